# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates a key for a migration and allows one pair of accounts to use it."""

from __future__ import annotations

import time
from typing import Any

from ...core.account import Account
from ...core.exports.staging_bucket import key_statements
from ...core.methods.backup.access import destination_vault_key, source_vault_key
from ...core.statements.key_policy import KeyOptions, apply_key, plan_key
from ...core.statements.statement import OurStatement
from ..accounts import Accounts
from ..changing import changed
from ..records import USERS_OPTIONS, sharing
from ..spec import BOTH_ACCOUNTS_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **BOTH_ACCOUNTS_OPTIONS,
    **USERS_OPTIONS,
    "purpose": {"type": "str", "required": True, "choices": ["staging", "source_vault", "destination_vault"]},
    "alias": {"type": "str"},
    "key_arn": {"type": "str", "no_log": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
}
DESCRIPTIONS = {"staging": "TableFerry's staged data"}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Read the key's policy, and change our statements in it."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    purpose = params["purpose"]
    owner = source if purpose == "source_vault" else destination
    statements = _statements(purpose, source, destination)
    description = DESCRIPTIONS.get(purpose, "TableFerry's vault")
    options = KeyOptions(params["alias"] or "", params["key_arn"] or "", description)
    present = params["state"] == "present"
    with sharing(params, destination, source) as shared:
        plan = plan_key(
            owner,
            options,
            present=statements if present else (),
            absent=() if present else statements,
            users=shared.users,
        )
        arn, policy, warnings = plan.arn, plan.policy.after if plan.policy else {}, []
        if not check_mode:
            arn, policy, warnings = apply_key(plan, shared.users, sleep=time.sleep)
    result = shared.result(bool(plan.changes) and not present)
    values = {"key_arn": arn, "policy": policy, **result, "warnings": [*warnings, *result.get("warnings", ())]}
    return changed(plan.changes, f"key {options.arn or options.alias}", **values)


def _statements(purpose: str, source: Account, destination: Account) -> tuple[OurStatement, ...]:
    if purpose == "staging":
        return key_statements(destination, source.principal_arn)
    return source_vault_key(source, destination) if purpose == "source_vault" else destination_vault_key(destination)


VERB = Verb(
    "migration_key",
    SPEC,
    run,
    services=("iam", "kms", "sts"),
    rules={"required_one_of": [("alias", "key_arn")], "mutually_exclusive": [("alias", "key_arn")]},
)
