# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates what Spark jobs need in the destination account, or removes what they leave there."""

from __future__ import annotations

from typing import Any

from ...core.account import Account
from ...core.methods.spark.access import SparkAccess, job_role, uses
from ...core.methods.spark.permissions import role_arn
from ...core.methods.spark.removal import SDK_SERVICES, apply_removal, plan_removal
from ...core.statements.role import apply_role, plan_role
from ...core.statements.users import ALONE
from ..accounts import Accounts
from ..changing import changed
from ..records import USERS_OPTIONS, Sharing, sharing
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "destination": account_option(required=True),
    **USERS_OPTIONS,
    "bucket": {"type": "str", "required": True},
    "role_arn": {"type": "str", "default": ""},
    "permissions_boundary": {"type": "str", "default": ""},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Read what is there, then make what is missing, or remove what nobody needs."""
    account = Accounts(params).get("destination", params["destination"])
    access = SparkAccess(
        bucket=params["bucket"],
        migration_id=params["migration_id"],
        tables=tuple(params["tables"]),
        given_role=params["role_arn"],
        permissions_boundary=params["permissions_boundary"],
    )
    with sharing(params, account) as shared:
        if params["state"] == "absent":
            return _leave(account, access, check_mode, shared)
        return _prepare(account, access, check_mode, shared)


def _prepare(account: Account, access: SparkAccess, check_mode: bool, shared: Sharing) -> dict[str, Any]:
    plan = None if access.given_role else plan_role(account, job_role(account, access))
    if not check_mode:
        for what, resource in uses(account, access).items():
            if what != "role" or plan is not None:
                shared.users.add(resource)
        if plan is not None:
            apply_role(plan, ALONE, sleep=account.sleep)
    arn = role_arn(account, access.given_role)
    return changed(plan.changes if plan else (), f"role {arn}", role_arn=arn, left=[])


def _leave(account: Account, access: SparkAccess, check_mode: bool, shared: Sharing) -> dict[str, Any]:
    plan = plan_removal(account, access, shared.users)
    left = plan.left if check_mode else apply_removal(plan, shared.users)
    result = shared.result(bool(plan.changes))
    result["left"] = [*result["left"], *(each.to_dict() for each in left)]
    return changed(plan.changes, "Spark jobs", role_arn=role_arn(account, access.given_role), **result)


VERB = Verb("spark_environment", SPEC, run, services=("dynamodb", "iam", "s3", "sts", *SDK_SERVICES))
