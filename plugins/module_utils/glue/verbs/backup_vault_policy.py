# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Allows another account to copy recovery points into a vault."""

from __future__ import annotations

from typing import Any

from ...core.methods.backup.vaults import copy_statement, plan_copying
from ...core.statements.shared_policy import apply_policy
from ..accounts import Accounts
from ..changing import changed
from ..records import USERS_OPTIONS, sharing
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "name": {"type": "str", "required": True},
    "destination": account_option(required=True),
    **USERS_OPTIONS,
    "source_account_id": {"type": "str"},
    "organization_id": {"type": "str"},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Read the policy, and add or remove our statement."""
    account = Accounts(params).get("destination", params["destination"])
    statement = copy_statement(params["source_account_id"] or "", account.partition, params["organization_id"] or "")
    present = params["state"] == "present"
    with sharing(params, account) as shared:
        plan = plan_copying(account, params["name"], statement, present=present, users=shared.users)
        policy = plan.after if check_mode else apply_policy(plan, shared.users)
    result = shared.result(bool(plan.changes) and not present)
    return changed(plan.changes, f"vault {params['name']}", policy=policy, **result)


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
