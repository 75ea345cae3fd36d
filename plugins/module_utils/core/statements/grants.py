# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Grants on KMS keys: what lets a principal use a table's key, created under a name of ours and revoked by it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..account import Account
from ..aws_errors import NO_KEY
from ..change import Change
from ..errors import InvalidInput, KeyNotUsable
from .users import ALONE, Users

# What DynamoDB does with a table's key in the caller's name (aws.md D).
TABLE_KEY_OPERATIONS = (
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "ReEncryptFrom",
    "ReEncryptTo",
)


@dataclass(frozen=True)
class GrantOptions:
    """A grant ``name`` on the key ``key_arn`` for ``grantee``. ``formerly``: names of earlier versions, to go too."""

    key_arn: str
    name: str
    grantee: str
    operations: tuple[str, ...] = TABLE_KEY_OPERATIONS
    formerly: tuple[str, ...] = ()


@dataclass(frozen=True)
class GrantPlan:
    """What becomes of the grants: with ``present`` one is made if ``create``, otherwise the ids in ``revoke`` go."""

    account: Account = field(repr=False)
    options: GrantOptions
    present: bool
    create: bool
    revoke: tuple[str, ...]
    changes: list[Change]

    @property
    def resource(self) -> str:
        """The grant, for its users."""
        return _resource(self.options)


def _resource(options: GrantOptions) -> str:
    return f"{options.key_arn}#{options.name}"


def plan_grant(account: Account, options: GrantOptions, *, present: bool = True, users: Users = ALONE) -> GrantPlan:
    """Whether the grant has to be made or revoked; reads only. Grants of others are never looked at twice, and one that
    others of ``users`` need stays.

    Raises KeyNotUsable for a key that is missing or not enabled (never for revoking), InvalidInput for an alias, which
    grants do not take, AccessDenied, CredentialsError, ServiceError.
    """
    if options.key_arn.startswith("alias/") or ":alias/" in options.key_arn:
        raise InvalidInput(f"{options.key_arn} is an alias, and grants are made on keys.", "Give the key's ARN.")
    state = _state(account, options.key_arn)
    if present and state != "Enabled":
        raise KeyNotUsable(f"The key {options.key_arn} is {state}.", "Enable it, or remove it from key_arns.")
    if state == "missing":
        return GrantPlan(account, options, present, False, (), [])
    found = [grant for grant in list_grants(account, options.key_arn, options.grantee) if _ours(grant, options)]
    what = f"grant {options.name} on the key {options.key_arn}"
    if present:
        there = any(
            grant.get("Name") == options.name and set(options.operations) <= set(grant["Operations"]) for grant in found
        )
        after = {"grantee": options.grantee, "operations": list(options.operations)}
        return GrantPlan(account, options, True, not there, (), [] if there else [Change(what, None, after)])
    stays = bool(found) and users.needed(_resource(options))
    changes = [
        Change(
            f"grant {grant['Name']} on the key {options.key_arn}",
            {"grantee": grant["GranteePrincipal"], "operations": list(grant["Operations"])},
            None,
        )
        for grant in found
    ]
    grants = tuple(str(grant["GrantId"]) for grant in found)
    return GrantPlan(account, options, False, False, grants, [] if stays else changes)


def _ours(grant: Mapping[str, Any], options: GrantOptions) -> bool:
    return grant.get("Name") in (options.name, *options.formerly) and grant.get("GranteePrincipal") == options.grantee


def _state(account: Account, arn: str) -> str:
    answer = account.ask("kms", "describe_key", f"describing the key {arn}", missing=NO_KEY, KeyId=arn)
    return str(answer["KeyMetadata"].get("KeyState", "Enabled")) if answer else "missing"


def list_grants(account: Account, key_arn: str, grantee: str) -> Iterator[dict[str, Any]]:
    """The grants on a key for one principal. Raises what Account.explain gives."""
    request: dict[str, Any] = {"KeyId": key_arn, "GranteePrincipal": grantee}
    while True:
        page = account.ask("kms", "list_grants", f"listing the grants on the key {key_arn}", **request)
        yield from page.get("Grants", ())
        if not page.get("Truncated"):
            return
        request["Marker"] = page["NextMarker"]


def apply_grant(plan: GrantPlan, users: Users) -> Sequence[Change]:
    """Carry ``plan`` out: the changes that were made. Others that need the grant keep it.

    Two controllers make one grant: KMS gives the first one's id for the same name and members (API reference,
    CreateGrant). Raises AccessDenied, CredentialsError, ServiceError.
    """
    account, options = plan.account, plan.options
    if plan.present:
        users.add(plan.resource)
    if plan.create:
        account.ask(
            "kms",
            "create_grant",
            f"creating the grant {options.name}",
            KeyId=options.key_arn,
            Name=options.name,
            GranteePrincipal=options.grantee,
            Operations=list(options.operations),
        )
    if plan.present:
        return plan.changes
    with users.leave(plan.resource, there=bool(plan.revoke)) as nobody_else:
        if not nobody_else:
            return []
        for grant_id in plan.revoke:
            doing = f"revoking the grant {options.name}"
            account.ask("kms", "revoke_grant", doing, missing=NO_KEY, KeyId=options.key_arn, GrantId=grant_id)
    return plan.changes
