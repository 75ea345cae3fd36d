# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The policy of a KMS key: of one that TableFerry created, or that the user configured."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from .. import aws_errors
from ..account import Account
from ..change import Change
from ..errors import FerryError, KeyNotUsable, NotOurs
from .marks import MARK, is_marked, own
from .policy_documents import VERSION, Policy, parse
from .shared_policy import PolicyPlan, Sleep, apply_policy, as_text, plan_policy, put
from .statement import OurStatement
from .users import ALONE, Users

POLICY_NAME = "default"  # the only one that KMS knows
ORPHAN_DAYS = 7  # the shortest time after which KMS deletes a key


@dataclass(frozen=True)
class KeyPolicy:
    """The policy of the key ``arn`` in ``account``."""

    account: Account = field(repr=False)
    arn: str

    @property
    def what(self) -> str:
        """The policy in a message."""
        return f"policy of the key {self.arn}"

    def read(self) -> Policy:
        """As ``SharedPolicy.read``."""
        doing = f"reading the {self.what}"
        answer = self.account.ask("kms", "get_key_policy", doing, KeyId=self.arn, PolicyName=POLICY_NAME)
        return parse(answer["Policy"], self.what)

    def write(self, policy: Policy) -> None:
        """As ``SharedPolicy.write``; a key is never without a policy, so that {} raises KeyNotUsable."""
        if not policy:
            raise KeyNotUsable(
                f"The {self.what} has no statement but ours: without it nobody could use the key.",
                "Give the key's owner a statement, then run again.",
            )
        text = as_text(policy)
        put(
            self.account,
            self.what,
            "put_key_policy",
            "kms",
            policy,
            KeyId=self.arn,
            PolicyName=POLICY_NAME,
            Policy=text,
        )


@dataclass(frozen=True)
class KeyOptions:
    """The key behind ``alias``, which is made when there is none; or ``arn``, the user's own. One of both."""

    alias: str = ""
    arn: str = ""
    description: str = ""


@dataclass(frozen=True)
class KeyPlan:
    """What becomes of a key: ``policy`` is None where there is no key yet, or none any more."""

    account: Account = field(repr=False)
    options: KeyOptions
    present: tuple[OurStatement, ...]
    absent: tuple[OurStatement, ...]
    policy: PolicyPlan | None
    changes: list[Change]

    @property
    def arn(self) -> str:
        """The key's ARN, "" where there is none."""
        return self.policy.policy.arn if self.policy else ""


def plan_key(
    account: Account,
    options: KeyOptions,
    *,
    present: Sequence[OurStatement] = (),
    absent: Sequence[OurStatement] = (),
    users: Users = ALONE,
) -> KeyPlan:
    """What becomes of a key of ``account``; reads only. With ``absent`` statements alone no key is made, and those that
    others of ``users`` need stay.

    Raises KeyNotUsable for a key that is not there or not enabled, NotOurs where somebody else made the key behind
    ``alias``, PolicyNotReadable, AccessDenied, CredentialsError, ServiceError.
    """
    arn = find_key(account, options, to_use=bool(present))
    if arn:
        policy = plan_policy(KeyPolicy(account, arn), present=present, absent=absent, users=users)
        return KeyPlan(account, options, policy.present, policy.absent, policy, policy.changes)
    changes = [Change(f"key {options.alias}", None, _first_policy(account, present))] if present else []
    return KeyPlan(account, options, tuple(present), tuple(absent), None, changes)


def find_key(account: Account, options: KeyOptions, *, to_use: bool = True) -> str:
    """The key's ARN, "" where there is none behind the alias. ``to_use``: it must be enabled; nothing here enables it.
    Otherwise what was put into its policy is to be taken back: nothing from a key of somebody else ("").

    Raises KeyNotUsable, NotOurs, AccessDenied, CredentialsError, ServiceError.
    """
    name = options.arn or options.alias
    doing = f"describing the key {name}"
    answer = account.ask("kms", "describe_key", doing, missing=aws_errors.NO_KEY, KeyId=name)
    if answer is None and options.arn and to_use:
        raise KeyNotUsable(f"There is no key {name} in {account.region}.", "Correct the ARN.")
    if answer is None:
        return ""
    key = answer["KeyMetadata"]
    if key.get("KeyManager") == "AWS":
        raise KeyNotUsable(f"The key {name} is managed by AWS: its policy cannot be changed.", "Name another key.")
    tags = [] if options.arn else list_tags(account, key["Arn"])
    ours = bool(options.arn) or is_marked({tag["TagKey"]: tag["TagValue"] for tag in tags})
    if not ours and not to_use:
        return ""
    if not ours:
        raise NotOurs(
            f"The key behind {name} in account {account.account_id} was not created by TableFerry: it has no tag"
            f" {MARK[0]}={MARK[1]}.",
            "Nothing was changed. To use that key, set key_arn; otherwise remove the alias from it.",
        )
    if key.get("KeyState", "Enabled") != "Enabled" and to_use:
        raise KeyNotUsable(
            f"The key {name} ({key['Arn']}) is {key['KeyState']}.",
            "Enable it, or name another key; nothing was changed.",
        )
    return str(key["Arn"])


def list_tags(account: Account, arn: str) -> list[dict[str, str]]:
    """All tags of a key. Raises what Account.explain gives."""
    tags: list[dict[str, str]] = []
    request: dict[str, Any] = {"KeyId": arn}
    while True:
        page = account.ask("kms", "list_resource_tags", f"reading the tags of the key {arn}", **request)
        tags += page.get("Tags", ())
        if not page.get("Truncated"):
            return tags
        request["Marker"] = page["NextMarker"]


def apply_key(plan: KeyPlan, users: Users, *, sleep: Sleep) -> tuple[str, Policy, list[str]]:
    """Carry ``plan`` out: the key's ARN ("" for none), its policy, and warnings.

    Where two controllers make the key at once, the alias tells which of both keys is used; the other one is deleted.
    Raises what ``plan_key`` and ``apply_policy`` raise.
    """
    warnings: list[str] = []
    policy = plan.policy
    if policy is None:
        if not plan.present:
            return "", {}, []
        arn, warnings = _make(plan)
        policy = plan_policy(KeyPolicy(plan.account, arn), present=plan.present, absent=plan.absent)
    return policy.policy.arn, apply_policy(policy, users, sleep=sleep), warnings


def _make(plan: KeyPlan) -> tuple[str, list[str]]:
    """The ARN of the key behind the alias, and warnings."""
    account, alias = plan.account, plan.options.alias
    made = account.ask(
        "kms",
        "create_key",
        f"creating the key {alias}",
        Description=plan.options.description,
        Policy=json.dumps(_first_policy(account, plan.present)),
        Tags=[{"TagKey": key, "TagValue": value} for key, value in own(account).items()],
    )
    arn = str(made["KeyMetadata"]["Arn"])
    answer = account.ask(
        "kms",
        "create_alias",
        f"naming the key {alias}",
        missing=aws_errors.ALREADY_THERE,
        AliasName=alias,
        TargetKeyId=arn,
    )
    if answer is None:
        warnings = _delete_orphan(account, arn, alias)
        return find_key(account, plan.options), warnings
    account.ask("kms", "enable_key_rotation", f"turning on the rotation of {alias}", KeyId=arn)
    return arn, []


def _delete_orphan(account: Account, arn: str, alias: str) -> list[str]:
    """Another controller's key has the alias: ours, of a moment ago, has encrypted nothing."""
    try:
        account.ask(
            "kms", "schedule_key_deletion", f"deleting the key {arn}", KeyId=arn, PendingWindowInDays=ORPHAN_DAYS
        )
    except FerryError as error:
        return [
            f"Another run created the key behind {alias} at the same time. The key {arn} of this run is not used, and"
            f" could not be deleted ({error.cause}): delete it with aws kms schedule-key-deletion --key-id {arn}."
        ]
    return []


def _first_policy(account: Account, statements: Sequence[OurStatement]) -> Policy:
    """A new key's policy: its account decides by IAM, as in the policy that KMS gives by default."""
    own = OurStatement("OwnAccount", {"AWS": f"arn:{account.partition}:iam::{account.account_id}:root"}, ("kms:*",))
    return {"Version": VERSION, "Statement": [statement.to_dict() for statement in (own, *statements)]}
