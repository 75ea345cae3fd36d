# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads what AWS Backup may do in an account, and across accounts."""

from __future__ import annotations

from typing import Any

from ...core.methods.backup.account_settings import read_settings
from ..accounts import Accounts
from ..spec import ONE_ACCOUNT_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **ONE_ACCOUNT_OPTIONS,
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The settings; null where the caller is not allowed to read them."""
    account = Accounts(params).get(params["side"], params["account"])
    return {"changed": False, "settings": read_settings(account, policies=True).to_dict()}


VERB = Verb("backup_account_settings_info", SPEC, run, services=("backup", "iam", "organizations", "sts"))
