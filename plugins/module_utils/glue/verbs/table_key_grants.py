# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Allows the source's caller to use the customer managed keys of its tables, or revokes that."""

from __future__ import annotations

from typing import Any

from ...core.statements.grants import GrantOptions, apply_grant, plan_grant
from ...core.statements.statement import AccountPair
from ..accounts import Accounts
from ..changing import changed
from ..records import USERS_OPTIONS, sharing
from ..spec import BOTH_ACCOUNTS_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **BOTH_ACCOUNTS_OPTIONS,
    **USERS_OPTIONS,
    "key_arns": {"type": "list", "elements": "str", "required": True, "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Look at all keys, then create or revoke the grants: nothing is changed if one of the keys cannot be used."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    migration = params["migration_id"]
    name = AccountPair.of(source.account_id, destination).name(migration)
    present = params["state"] == "present"
    with sharing(params, destination, source) as shared:
        plans = [
            plan_grant(
                source,
                GrantOptions(arn, name, source.principal_arn, formerly=(f"tableferry-{migration}",)),
                present=present,
                users=shared.users,
            )
            for arn in dict.fromkeys(params["key_arns"])
        ]
        made = [plan.changes if check_mode else apply_grant(plan, shared.users) for plan in plans]
    changes = [change for each in made for change in each]
    return changed(changes, f"grants {name}", name=name, **shared.result(bool(changes) and not present))


VERB = Verb("table_key_grants", SPEC, run, services=("iam", "kms", "sts"))
