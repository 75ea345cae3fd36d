# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The inline policy that gives the source's caller what exports need, waited for until it applies (found.md B4, C4).

One policy for all inventories of an account pair and migration: each adds its tables and its bucket, and who leaves
last takes the policy away.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote

from ..account import Account
from ..aws_errors import LIMITS, NO_ENTITY
from ..change import Change
from ..errors import AccessDenied, FerryError, InvalidInput, ServiceError
from .policy_documents import Policy, parse, statements_of
from .shared_policy import PAUSE, WRITES, as_text
from .users import ALONE, Users

# What the inline policies of a caller hold together, in characters without white space (IAM user guide, quotas).
SIZES = {"user": 2048, "role": 10240}
APPLIED_WITHIN = 60.0  # seconds; IAM is eventually consistent, and AWS names no bound
LOOK_AGAIN = 5.0

_TABLES = (
    "dynamodb:DescribeContinuousBackups",
    "dynamodb:DescribeContributorInsights",
    "dynamodb:DescribeExport",
    "dynamodb:DescribeKinesisStreamingDestination",
    "dynamodb:DescribeTable",
    "dynamodb:DescribeTimeToLive",
    "dynamodb:ExportTableToPointInTime",
    "dynamodb:GetResourcePolicy",
    "dynamodb:ListTagsOfResource",
    "dynamodb:Scan",
    "dynamodb:TagResource",
    "dynamodb:UntagResource",
    "dynamodb:UpdateContinuousBackups",
)
_LISTS = (
    "application-autoscaling:DescribeScalableTargets",
    "application-autoscaling:DescribeScalingPolicies",
    "application-autoscaling:DescribeScheduledActions",
    "dynamodb:ListContributorInsights",
    "dynamodb:ListExports",
    "kms:DescribeKey",
)
_STAGING = ("s3:AbortMultipartUpload", "s3:PutObject", "s3:PutObjectAcl")
_KEY = ("kms:Decrypt", "kms:DescribeKey", "kms:GenerateDataKey")


@dataclass(frozen=True)
class CallerPolicyOptions:
    """The policy ``name`` for ``tables`` (none: every table) that are staged in ``bucket`` of the account
    ``bucket_owner``, under the key ``key_arn`` ("" for none). ``formerly``: names of earlier versions, to go too."""

    name: str
    tables: tuple[str, ...] = ()
    bucket: str = ""
    bucket_owner: str = ""
    key_arn: str = ""
    formerly: tuple[str, ...] = ()


@dataclass(frozen=True)
class InlinePolicy:
    """The inline policy ``name`` of the account's caller, which is a ``user`` or a ``role``."""

    account: Account = field(repr=False)
    kind: str
    holder: str
    name: str

    @classmethod
    def of(cls, account: Account, name: str) -> InlinePolicy:
        """That of the account's caller. Raises InvalidInput for root and federated users, who take no policy."""
        kind, _slash, path = account.principal_arn.split(":", 5)[5].partition("/")
        if kind not in SIZES:
            raise InvalidInput(
                f"The caller {account.principal_arn} is neither a user nor a role, and takes no inline policy.",
                "Give its permissions another way.",
            )
        return cls(account, kind, path.rpartition("/")[2], name)

    @property
    def what(self) -> str:
        """The policy in a message."""
        return f"inline policy {self.name} of the {self.kind} {self.holder}"

    @property
    def resource(self) -> str:
        """The policy, for its users."""
        return f"{self.account.principal_arn}#{self.name}"

    def read(self) -> Policy:
        """The policy, {} for none. Raises PolicyNotReadable, and what Account.explain gives."""
        answer = self.account.ask(
            "iam", f"get_{self.kind}_policy", f"reading the {self.what}", missing=NO_ENTITY, **self._place
        )
        document = (answer or {}).get("PolicyDocument")
        return parse(unquote(document) if isinstance(document, str) else document, self.what)

    def write(self, policy: Policy) -> None:
        """Put ``policy`` in its place. Raises what Account.explain gives."""
        doing = f"writing the {self.what}"
        self.account.ask("iam", f"put_{self.kind}_policy", doing, **self._place, PolicyDocument=as_text(policy))

    def delete(self) -> None:
        """Take it away, if it is there. Raises what Account.explain gives."""
        doing = f"deleting the {self.what}"
        self.account.ask("iam", f"delete_{self.kind}_policy", doing, missing=NO_ENTITY, **self._place)

    @property
    def _place(self) -> dict[str, Any]:
        return {f"{self.kind.title()}Name": self.holder, "PolicyName": self.name}


@dataclass(frozen=True)
class CallerPolicyPlan:
    """What becomes of the policy: with ``present`` it says ``after``, otherwise those in ``there`` go."""

    policy: InlinePolicy
    options: CallerPolicyOptions
    present: bool
    after: Policy
    there: tuple[InlinePolicy, ...]
    changes: list[Change]


def plan_caller_policy(
    account: Account, options: CallerPolicyOptions, *, present: bool = True, users: Users = ALONE
) -> CallerPolicyPlan:
    """What becomes of the caller's policy; reads only. It stays while others of ``users`` need it.

    Raises InvalidInput for a caller that takes none, PolicyNotReadable, AccessDenied, CredentialsError, ServiceError.
    """
    policy = InlinePolicy.of(account, options.name)
    before = policy.read()
    if present:
        after = merged(policy, before, options)
        changes = [Change(policy.what, before or None, after)] if after != before else []
        return CallerPolicyPlan(policy, options, True, after, (), changes)
    found = {policy: before}
    for name in options.formerly:
        former = InlinePolicy.of(account, name)
        found[former] = former.read()
    there = tuple(each for each, document in found.items() if document)
    stays = bool(there) and users.needed(policy.resource)
    gone = [] if stays else [Change(each.what, found[each], None) for each in there]
    return CallerPolicyPlan(policy, options, False, {}, there, gone)


def merged(policy: InlinePolicy, before: Policy, options: CallerPolicyOptions, *, every: bool = False) -> Policy:
    """What the policy has to say: what ``options`` need, besides the tables, buckets and keys of other inventories.

    Every table of the account is named by ``table/*`` where ``every``, where the names do not fit, or where that stands
    already: others may need it.
    """
    account = policy.account
    prefix = account.table_arn("")
    tables = named_in(before, "Tables")
    if options.tables and not every:
        tables |= {prefix + name for table in options.tables for name in (table, f"{table}/*")}
    else:
        tables.add(f"{prefix}*")
    if f"{prefix}*" in tables:
        tables = {each for each in tables if not each.startswith(prefix)} | {f"{prefix}*"}
    objects = f"arn:{account.partition}:s3:::{options.bucket}/tableferry/*/AWSDynamoDB/*"
    statements = [
        _statement("Tables", _TABLES, tables),
        _statement("Lists", _LISTS, {"*"}),
        {
            **_statement("Staging", _STAGING, named_in(before, "Staging") | {objects}),
            "Condition": {"StringEquals": {"aws:ResourceAccount": options.bucket_owner}},
        },
    ]
    keys = named_in(before, "StagingKey") | ({options.key_arn} if options.key_arn else set())
    if keys:
        statements.append(_statement("StagingKey", _KEY, keys))
    document = {"Version": "2012-10-17", "Statement": statements}
    if not every and size(document) > SIZES[policy.kind]:
        return merged(policy, before, options, every=True)
    return document


def size(policy: Mapping[str, Any]) -> int:
    """The characters that IAM counts: all but white space."""
    return len(json.dumps(policy, separators=(",", ":")))


def _statement(sid: str, actions: Iterable[str], resources: Iterable[str]) -> dict[str, Any]:
    return {"Sid": sid, "Effect": "Allow", "Action": list(actions), "Resource": sorted(resources)}


def _listed(value: Any) -> list[str]:
    return [value] if isinstance(value, str) else list(value or ())


def named_in(policy: Policy, sid: str) -> set[str]:
    """What the statement of ours names."""
    return {name for each in statements_of(policy) if each.get("Sid") == sid for name in _listed(each.get("Resource"))}


def apply_caller_policy(plan: CallerPolicyPlan, users: Users) -> list[Change]:
    """Carry ``plan`` out: the changes that were made. Others that need the policy keep it.

    Raises what ``plan_caller_policy`` raises, and what ``users`` raise; ServiceError where the caller's inline policies
    are too large together.
    """
    if plan.present:
        users.add(plan.policy.resource)
        before, after = _write(plan)
        return [Change(plan.policy.what, before or None, after)] if after != before else []
    with users.leave(plan.policy.resource, there=bool(plan.there)) as nobody_else:
        if not nobody_else:
            return []
        for policy in plan.there:
            policy.delete()
    return plan.changes


def _write(plan: CallerPolicyPlan) -> tuple[Policy, Policy]:
    """The policy before and after."""
    return write_inline(
        plan.policy,
        lambda found, every: merged(plan.policy, found, plan.options, every=every),
        "Move some into managed policies, or give the caller its permissions yourself instead.",
        plan.policy.account.sleep,
    )


def write_inline(
    policy: InlinePolicy, make: Callable[[Policy, bool], Policy], next_step: str, sleep: Callable[[float], None]
) -> tuple[Policy, Policy]:
    """The policy before and after: what ``make`` makes of what stands there is written, with resources by their names
    or, where these do not fit, with ``every`` one.

    It is read back, as another controller may write it at the same time; IAM may show an old one for a while, so that
    a policy that does not come to rest is no error. Raises what InlinePolicy raises; ServiceError with ``next_step``
    where the policy does not fit.
    """
    every = False
    first: Policy | None = None
    wanted: Policy = {}
    for _attempt in range(WRITES):
        found = policy.read()
        first = found if first is None else first
        wanted = make(found, every)
        if wanted == found:
            break
        try:
            policy.write(wanted)
        except ServiceError as error:
            if error.details.get("code") not in LIMITS:
                raise
            if every:
                raise _too_large(policy, error, next_step) from error
            every = True
            continue
        sleep(PAUSE * (1 + random.random()))
    return first or {}, wanted


def _too_large(policy: InlinePolicy, error: ServiceError, next_step: str) -> ServiceError:
    return ServiceError(
        f"The {policy.what} does not fit beside the other inline policies: {error.cause}",
        f"IAM takes {SIZES[policy.kind]} characters of them together. {next_step}",
        details=error.details,
    )


def wait_until_applied(account: Account, tables: Iterable[str], sleep: Callable[[float], None]) -> str:
    """Wait for a minute until reads of the first table, and of lists, are allowed; why they are not yet, "" if so.

    Any other refusal than that no policy of the caller's allows them is nothing that time mends.
    """
    waited = 0.0
    while why := _refused(account, next(iter(tables), "")):
        if waited >= APPLIED_WITHIN:
            return why
        sleep(LOOK_AGAIN)
        waited += LOOK_AGAIN
    return ""


def _refused(account: Account, table: str) -> str:
    probes: list[tuple[str, str, dict[str, Any]]] = [
        ("dynamodb", "list_exports", {"MaxResults": 1}),
        ("application-autoscaling", "describe_scalable_targets", {"ServiceNamespace": "dynamodb", "MaxResults": 1}),
    ]
    if table:
        probes.insert(0, ("dynamodb", "describe_continuous_backups", {"TableName": table}))
    for service, operation, params in probes:
        try:
            account.ask(service, operation, "what the inline policy allows", **params)
        except AccessDenied as error:
            if error.details.get("denied_by", "") in ("", "identity-based policy"):
                return error.cause
        except FerryError:
            # What else is wrong with the table is said where it is moved.
            continue
    return ""
