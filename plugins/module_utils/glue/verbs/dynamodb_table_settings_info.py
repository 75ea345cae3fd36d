# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the definition and every setting of a table."""

from __future__ import annotations

from typing import Any

from ...core.table.definition import TableDefinition
from ...core.table.settings import read_settings
from ..accounts import Accounts
from ..spec import ONE_ACCOUNT_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "name": {"type": "str", "required": True},
    **ONE_ACCOUNT_OPTIONS,
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The definition and the settings of the table."""
    account = Accounts(params).get(params["side"], params["account"])
    settings = read_settings(account, TableDefinition.read(account, params["name"]))
    return {
        "changed": False,
        "definition": settings.definition.to_dict(),
        "settings": dict(settings.values),
        "unreadable": dict(settings.unreadable),
    }


VERB = Verb("dynamodb_table_settings_info", SPEC, run, services=("application-autoscaling", "dynamodb", "kms", "sts"))
