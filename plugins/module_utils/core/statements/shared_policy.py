# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statements of ours in a policy that others write too: read, merged, written, and read back.

The policies of buckets, keys, vaults and roles are written whole, and no call takes a condition. So a policy is read
again right before it is written, and read back a moment later: where another writer who had read before us wrote in
between, our statements are merged into what that one wrote.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from ..account import Account
from ..aws_errors import BAD_POLICY, FRESH_ROLE_SECONDS, names_strangers
from ..change import Change
from ..errors import FerryError, ServiceError
from .policy_documents import (
    Policy,
    covers,
    dead_principals,
    same_but_sid,
    statements_of,
    with_statements,
    without_statements,
)
from .statement import OurStatement, is_dead
from .users import ALONE, Users

WRITES = 5
PAUSE = 0.5  # seconds, and as many again by chance: longer than others need between their reading and their writing
FRESH_GAP = 5.0  # seconds between tries while AWS does not know a principal yet
_BURY = (
    "Take them out of these statements, or remove the statements (AWS shows a deleted user or role by its id; one of "
    "the same name that was made since is another one), then run again. TableFerry changes no statements of others."
)

Sleep = Callable[[float], None]


class SharedPolicy(Protocol):
    """A policy where it stands."""

    @property
    def what(self) -> str:
        """The policy in a message: "policy of the bucket b"."""

    @property
    def arn(self) -> str:
        """Of what it is the policy."""

    def read(self) -> Policy:
        """The policy, {} for none. Raises PolicyNotReadable, and what Account.explain gives."""

    def write(self, policy: Policy) -> None:
        """Put ``policy`` in its place; {} takes it away. Raises what Account.explain gives."""


@dataclass(frozen=True)
class PolicyPlan:
    """What becomes of a policy: ``present`` statements are in it afterwards, ``absent`` ones are not."""

    policy: SharedPolicy
    present: tuple[OurStatement, ...]
    absent: tuple[OurStatement, ...]
    before: Policy
    after: Policy

    @property
    def changes(self) -> list[Change]:
        """The change, none where the policy is as it should be."""
        return [Change(self.policy.what, self.before, self.after)] if self.before != self.after else []


def plan_policy(
    policy: SharedPolicy,
    *,
    present: Iterable[OurStatement] = (),
    absent: Iterable[OurStatement] = (),
    users: Users = ALONE,
) -> PolicyPlan:
    """What becomes of ``policy``; reads only. A statement of ``absent`` that others of ``users`` need stays.

    Raises PolicyNotReadable, and what Account.explain gives; ServiceError where a statement of somebody else names a
    user or role that was deleted: AWS would refuse the change.
    """
    wanted, unwanted = tuple(present), tuple(absent)
    before = policy.read()
    staying = {
        each.sid
        for each in unwanted
        if each.counted and _stands(before, each) and users.needed(_resource(policy, each))
    }
    going = [each for each in unwanted if each.sid not in staying]
    after = merged(before, wanted, going)
    if after != before and (dead := dead_principals(after)):
        raise ServiceError(
            f"The {policy.what} names users or roles that were deleted ({dead}), and AWS refuses every change to it.",
            _BURY,
            details={"policy": before},
        )
    return PolicyPlan(policy, wanted, unwanted, before, after)


def merged(policy: Policy, present: Sequence[OurStatement], absent: Sequence[OurStatement] = ()) -> Policy:
    """``policy`` with the one and without the other statements. What others wrote stays exactly as it is.

    A statement under a Sid of an earlier version is ours if it says the same; then it goes, or gets its new Sid. Where
    one is to be present, or one goes, those of ours go whose principals were deleted: AWS would refuse the policy with
    them.
    """
    old = {sid for statement in (*present, *absent) for sid in _earlier(policy, statement)}
    going = {statement.sid for statement in absent} | old
    changing = present or any(statement.get("Sid") in going for statement in statements_of(policy))
    dead = {str(statement["Sid"]) for statement in statements_of(policy) if changing and is_dead(statement)}
    without = without_statements(policy, going | dead)
    # Without any statement left, version and Id of the policy stay for the one that comes.
    remaining = without or ({**policy, "Statement": []} if policy and present else {})
    return with_statements(remaining, [_document(policy, statement) for statement in present])


def _document(policy: Policy, statement: OurStatement) -> dict[str, Any]:
    """The statement; where it stands as an earlier version wrote it, with the conditions that somebody has added."""
    document = statement.to_dict()
    for old in statements_of(policy):
        if old.get("Sid") != statement.sid or covers(old, document):
            continue
        if any(covers(old, former) for former in statement.former_documents()):
            conditions = {
                operator: {**(old.get("Condition") or {}).get(operator, {}), **statement.condition.get(operator, {})}
                for operator in {**(old.get("Condition") or {}), **statement.condition}
            }
            return {**document, **({"Condition": conditions} if conditions else {})}
    return document


def _earlier(policy: Policy, statement: OurStatement) -> list[str]:
    documents = [statement.to_dict(), *statement.former_documents()]
    return [
        str(old["Sid"])
        for old in statements_of(policy)
        if old.get("Sid") in statement.formerly and any(same_but_sid(old, each) for each in documents)
    ]


def apply_policy(plan: PolicyPlan, users: Users, *, sleep: Sleep = time.sleep) -> Policy:
    """Carry ``plan`` out; the policy afterwards. ``users`` decide whether a statement that is to go is needed yet.

    Raises AccessDenied, CredentialsError, PolicyNotReadable; ServiceError where AWS refuses the policy, or where others
    keep writing over it.
    """
    for statement in plan.present:
        if statement.counted:
            users.add(_resource(plan.policy, statement))
    after = _write(plan.policy, plan.present, (), sleep) if plan.present else plan.before
    for statement in plan.absent:
        counts = users if statement.counted else ALONE
        resource = _resource(plan.policy, statement)
        with counts.leave(resource, there=_stands(plan.before, statement)) as nobody_else:
            if nobody_else:
                after = _write(plan.policy, (), (statement,), sleep)
    return after


def _stands(policy: Policy, statement: OurStatement) -> bool:
    return merged(policy, (), (statement,)) != policy


def _resource(policy: SharedPolicy, statement: OurStatement) -> str:
    return f"{policy.arn}#{statement.sid}"


def _write(
    policy: SharedPolicy, present: Sequence[OurStatement], absent: Sequence[OurStatement], sleep: Sleep
) -> Policy:
    for _attempt in range(WRITES):
        found = policy.read()
        wanted = merged(found, present, absent)
        if wanted == found:
            return found
        _write_once_known(policy, wanted, sleep)
        sleep(PAUSE * (1 + random.random()))
    if merged(found := policy.read(), present, absent) == found:
        return found
    raise ServiceError(
        f"The {policy.what} was written {WRITES} times, and others wrote over it each time.",
        "Find out what else keeps changing it, then run again.",
    )


def _write_once_known(policy: SharedPolicy, wanted: Policy, sleep: Sleep) -> None:
    """Write ``wanted``, again for two minutes while AWS does not know a principal: a role made a moment ago shows up
    late. Where the policy names one by its id, as AWS does once it is gone, waiting is of no use."""
    waited = 0.0
    while True:
        try:
            return policy.write(wanted)
        except ServiceError as error:
            may_come = error.details.get("unknown_principal") and not dead_principals(wanted)
            if not may_come or waited >= FRESH_ROLE_SECONDS:
                raise
        sleep(FRESH_GAP)
        waited += FRESH_GAP


def put(account: Account, what: str, operation: str, service: str, policy: Policy, **params: Any) -> None:
    """Write a policy; ``params`` are the call's besides. Raises ServiceError where AWS refuses what the policy says,
    else what Account.explain gives."""
    try:
        account.ask(service, operation, f"writing the {what}", **params)
    except FerryError as error:
        code = str(error.details.get("code"))
        if code not in BAD_POLICY:
            raise
        dead = dead_principals(policy)
        raise ServiceError(
            f"AWS refuses the {what}: {error.cause}"
            + (f" It names users or roles that were deleted ({dead})." if dead else ""),
            _BURY
            if dead
            else "Check whether a statement names a principal that no longer exists: AWS checks the whole policy.",
            details={**error.details, "policy": policy, "unknown_principal": names_strangers(code, error.cause)},
        ) from error


def as_text(policy: Mapping[str, Any]) -> str:
    """A policy document as AWS takes it."""
    return json.dumps(policy)
