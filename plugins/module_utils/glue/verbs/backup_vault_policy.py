# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Allows another account to copy recovery points into a vault."""

from __future__ import annotations

from typing import Any

from ...core.change import to_diff
from ...core.methods.backup.vaults import apply_policy, copy_statement, plan_policy
from ..accounts import Accounts
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "name": {"type": "str", "required": True},
    "destination": account_option(required=True),
    "source_account_id": {"type": "str"},
    "organization_id": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Read the policy, and add or remove our statement."""
    account = Accounts(params).get("destination", params["destination"])
    statement = copy_statement(params["source_account_id"] or "", account.partition, params["organization_id"] or "")
    plan = plan_policy(account, params["name"], statement, present=params["state"] == "present")
    if not check_mode:
        apply_policy(account, plan)
    return {
        "changed": bool(plan.changes),
        "policy": plan.policy,
        "changes": [change.to_dict() for change in plan.changes],
        "diff": to_diff(plan.changes, f"vault {params['name']}"),
    }


VERB = Verb(
    "backup_vault_policy",
    SPEC,
    run,
    services=("backup", "sts"),
    rules={
        "required_one_of": [("source_account_id", "organization_id")],
        "mutually_exclusive": [("source_account_id", "organization_id")],
    },
)
