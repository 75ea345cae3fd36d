# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates a vault or uses the existing one."""

from __future__ import annotations

from typing import Any

from ...core.methods.backup.vaults import make_vault, plan_vault
from ..accounts import Accounts
from ..changing import changed
from ..spec import ONE_ACCOUNT_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **ONE_ACCOUNT_OPTIONS,
    "vault": {"type": "str", "required": True},
    "key_arn": {"type": "str", "no_log": False},
    "any_key": {"type": "bool", "default": False},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Look for the vault, then create it if it is missing."""
    account = Accounts(params).get(params["side"], params["account"])
    plan = plan_vault(account, params["vault"], params["key_arn"] or "", any_key=params["any_key"])
    vault = plan.vault if check_mode else make_vault(plan)
    return changed(plan.changes, f"vault {params['vault']}", vault=vault.to_dict() if vault else {})


VERB = Verb("backup_vault", SPEC, run, services=("backup", "sts"))
