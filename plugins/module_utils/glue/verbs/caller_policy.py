# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Gives the source's caller an inline policy with what exports need, or takes it away."""

from __future__ import annotations

from typing import Any

from ...core.statements.caller_policy import (
    CallerPolicyOptions,
    apply_caller_policy,
    plan_caller_policy,
    wait_until_applied,
)
from ...core.statements.statement import AccountPair
from ..accounts import Accounts
from ..changing import changed
from ..records import USERS_OPTIONS, sharing
from ..spec import BOTH_ACCOUNTS_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **BOTH_ACCOUNTS_OPTIONS,
    **USERS_OPTIONS,
    "source_tables": {"type": "list", "elements": "str", "default": []},
    "bucket": {"type": "str"},
    "kms_key_arn": {"type": "str", "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Read the policy, change what differs, and wait until the caller may read."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    migration, tables = params["migration_id"], tuple(dict.fromkeys(params["source_tables"]))
    options = CallerPolicyOptions(
        AccountPair.of(source.account_id, destination).name(migration),
        tables,
        params["bucket"] or "",
        destination.account_id,
        params["kms_key_arn"] or "",
        formerly=(f"tableferry-{migration}",),
    )
    present = params["state"] == "present"
    with sharing(params, destination, source) as shared:
        plan = plan_caller_policy(source, options, present=present, users=shared.users)
        changes = plan.changes if check_mode else apply_caller_policy(plan, shared.users)
        # Also where an earlier run wrote the policy: that one may have ended before IAM applied it.
        late = "" if check_mode or not present else wait_until_applied(source, tables, source.sleep)
    result = shared.result(bool(changes) and not present)
    if late:
        words = f"A minute after the caller was given the {plan.policy.what}, it is still refused: {late}"
        result["warnings"] = [*result.get("warnings", ()), words]
    return changed(changes, plan.policy.what, name=options.name, **result)


VERB = Verb(
    "caller_policy",
    SPEC,
    run,
    services=("application-autoscaling", "dynamodb", "iam", "sts"),
    rules={"required_if": [("state", "present", ("bucket",))]},
)
