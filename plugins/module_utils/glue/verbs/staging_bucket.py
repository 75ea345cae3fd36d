# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates the staging bucket for a source's exports, or removes the source's access to it."""

from __future__ import annotations

from typing import Any

from ...core.account import Account
from ...core.exports.staging_bucket import (
    StagingOptions,
    apply_bucket,
    apply_leaving,
    plan_bucket,
    plan_leaving,
)
from ..accounts import Accounts
from ..changing import changed
from ..records import USERS_OPTIONS, Sharing, sharing
from ..spec import BOTH_ACCOUNTS_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **BOTH_ACCOUNTS_OPTIONS,
    **USERS_OPTIONS,
    "bucket": {"type": "str", "required": True},
    "kms_key_arn": {"type": "str", "no_log": False},
    "expire_days": {"type": "int", "default": 30},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "remove_bucket": {"type": "bool", "default": False},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Read the bucket, then change what differs."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    options = StagingOptions(params["bucket"], source.principal_arn, params["kms_key_arn"] or "", params["expire_days"])
    with sharing(params, destination, source) as shared:
        if params["state"] == "absent":
            return _leave(destination, options, params["remove_bucket"], check_mode, shared)
        plan = plan_bucket(destination, options)
        if not check_mode:
            apply_bucket(plan, shared.users)
    header = f"bucket {options.name}"
    return changed(plan.changes, header, bucket=options.name, exists=plan.exists, managed=plan.ours, left=[])


def _leave(
    destination: Account, options: StagingOptions, remove_bucket: bool, check_mode: bool, shared: Sharing
) -> dict[str, Any]:
    plan = plan_leaving(destination, options, remove_bucket=remove_bucket, users=shared.users)
    if not check_mode:
        apply_leaving(plan, shared.users)
    elif plan.obstacle:
        raise plan.obstacle
    values = {"bucket": options.name, "exists": plan.policy is not None, "managed": plan.managed}
    return changed(plan.changes, f"bucket {options.name}", **values, **shared.result(bool(plan.changes)))


VERB = Verb("staging_bucket", SPEC, run, services=("iam", "s3", "sts"))
