# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the recovery points of a table or of a vault."""

from __future__ import annotations

from typing import Any

from ..accounts import Accounts
from ..reading import snake
from ..spec import ONE_ACCOUNT_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **ONE_ACCOUNT_OPTIONS,
    "name": {"type": "str"},
    "vault": {"type": "str"},
    "vault_account_id": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The recovery points of a vault, or those of a table in all vaults of the account."""
    account = Accounts(params).get(params["side"], params["account"])
    if params["vault"]:
        request = {"BackupVaultName": params["vault"]}
        if params["name"]:
            request["ByResourceArn"] = account.table_arn(params["name"])
        if params["vault_account_id"]:
            request["BackupVaultAccountId"] = params["vault_account_id"]
        operation = "list_recovery_points_by_backup_vault"
    else:
        request = {"ResourceArn": account.table_arn(params["name"])}
        operation = "list_recovery_points_by_resource"
    points = account.pages("backup", operation, "RecoveryPoints", "listing the recovery points", **request)
    return {"changed": False, "recovery_points": [snake(entry) for entry in points]}


VERB = Verb(
    "recovery_point_info", SPEC, run, services=("backup", "sts"), rules={"required_one_of": [("name", "vault")]}
)
