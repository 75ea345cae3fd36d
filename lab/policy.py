# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The evaluation of IAM policies: identity, session and resource policies, within and across accounts.

As AWS documents it (aws.md J, A4, D): an explicit Deny anywhere wins; within an account either an identity policy or a
resource policy that names the principal allows; across accounts both must; a resource policy that names an account or
its root only delegates to that account's identity policies. For KMS keys and trust policies the resource policy must
allow or delegate. Service control policies bind the principals of their account, resource control
policies its resources. A permissions boundary and the policies of a session limit what identity policies give, and what
a resource policy gives to a role; what one gives to a session or a user is not limited by them.
"""

from __future__ import annotations

import ipaddress
import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import IntEnum
from functools import cached_property, lru_cache
from typing import Any, Literal

from lab.caller import Caller, ConditionValue
from lab.errors import AwsError
from lab.rules import rule

POLICIES_DECIDE = rule(
    "policies-decide",
    service="iam",
    says="Within an account an identity policy, or a resource policy that names the principal, must allow; "
    "an explicit Deny anywhere wins",
    fact="aws.md J; measured/policy-autoscaling-replicas [TABLE-431]",
    test="test_policy.py::test_same_account",
)
BOTH_SIDES = rule(
    "cross-account-needs-both-sides",
    service="iam",
    says="Across accounts both the resource's policy and the principal's own policies must allow; the former may name "
    "the role, the session, or the account's root",
    fact="aws.md A4, J",
    test="test_policy.py::test_cross_account_needs_both_sides",
)
ROOT_DELEGATES = rule(
    "root-principal-delegates",
    service="iam",
    says="A resource policy that names an account or its root only delegates: the principal's own policies must allow "
    "too",
    fact="aws.md A4, J",
    test="test_policy.py::test_root_principal_delegates",
)
BOUNDARY = rule(
    "permissions-boundary-limits",
    service="iam",
    says="What a user or a role may is what its own policies and its permissions boundary both allow. A resource "
    "policy of the account that names a user is not limited by the boundary, one that names a role is",
    fact="AWS IAM user guide, Permissions boundaries for IAM entities",
    test="test_policy.py::test_permissions_boundary",
)
SESSION_DIRECT = rule(
    "session-principal-is-granted-directly",
    service="iam",
    says="What a resource policy of the account gives to a session's ARN (assumed-role/ROLE/SESSION) or to a user is "
    "limited neither by an identity policy or a permissions boundary nor by the session's policies without an Allow; "
    "what it gives to a role's ARN is limited by both. Across accounts both always limit",
    fact="AWS IAM user guide, How AWS enforcement code logic evaluates requests, Resource-based policies; "
    "benkehoe/permissions-boundary-test, which ran on AWS",
    test="test_policy.py::test_a_session_is_granted_directly",
)
EVERYBODY_DIRECT = rule(
    "everybody-is-granted-directly",
    service="iam",
    says="So is what a resource policy of the account gives to everybody (`*`), narrowed by aws:PrincipalArn or not",
    fact="AWS IAM user guide, AWS JSON policy elements: Principal, IAM role principals: of `*` with aws:PrincipalArn; "
    "without that condition: none",
    test="test_policy.py::test_a_session_is_granted_directly",
    confirmed=False,
)
BOUNDARY_WORDS = "a permissions boundary"

SERVICE_CONTROL = rule(
    "service-control-policies-bind-principals",
    service="iam",
    says="A service control policy binds every user, role and root of its account, wherever the resource is: a Deny "
    "ends `with an explicit deny in a service control policy`, a policy with Allows that leaves the action out ends "
    "`because no service control policy allows the <action> action`; the management account, services and "
    "service-linked roles are free",
    fact="AWS Organizations user guide, Service control policies; AWS IAM user guide, Troubleshoot access denied",
    test="test_policy.py::test_service_control_policies",
)
RESOURCE_CONTROL = rule(
    "resource-control-policies-bind-resources",
    service="iam",
    says="A resource control policy binds the resources of its account, whoever calls, services too: a Deny ends "
    "`with an explicit deny in a resource control policy`; it allows nothing. The management account's resources, "
    "AWS managed keys and calls by service-linked roles are free",
    fact="AWS Organizations user guide, Resource control policies; AWS KMS developer guide, Resource control policies",
    test="test_policy.py::test_resource_control_policies",
)
RESOURCE_CONTROL_SERVICES = rule(
    "resource-control-policies-by-service",
    service="iam",
    says="They bind resources of S3, STS and KMS; whether those of DynamoDB and CloudWatch Logs too: behaviour "
    "organizations.resource_control_of",
    fact="AWS Control Tower controls reference, Controls implemented with RCPs (of what is in the lab: S3, STS, KMS); "
    "AWS adds services",
    test="test_control.py::test_resource_control_policies_by_service",
    confirmed=False,
)
REQUEST_TAGS = rule(
    "request-tags-are-condition-keys",
    service="iam",
    says="A call with tags has aws:RequestTag/<key> and aws:TagKeys, one that takes tags away aws:TagKeys alone; of "
    "S3's calls only CreateBucket has them",
    fact="AWS IAM user guide, Global condition context keys; service authorization reference",
    test="test_policy.py::test_request_tags",
)
TAGS_AT_CREATION = rule(
    "tags-at-creation-need-their-permission",
    service="iam",
    says="CreateKey, CreateRole, CreateBackupVault and StartBackupJob with tags need TagResource (iam: TagRole) of "
    "their service too, on what they make",
    fact="AWS IAM user guide, Controlling access to AWS resources using tags; AWS KMS developer guide, Controlling "
    "access to tags; AWS Backup developer guide, Access control",
    test="test_iam_backup.py::test_tags_at_creation",
)
NO_ENDPOINT = rule(
    "no-vpc-endpoint-on-loopback",
    service="iam",
    says="aws:SourceVpce and aws:SourceVpc are never set, as for calls past any VPC endpoint: StringEquals never "
    "holds, StringNotEquals always does",
    fact="AWS IAM user guide, Global condition context keys",
    test="test_policy.py::test_no_vpc_endpoint",
)

ADMINISTRATOR_DOCUMENT = '{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}'
_ACCOUNT = re.compile(r"(?:arn:[\w-]+:iam::)?(\d{12})(?::root)?")
_VARIABLE = re.compile(r"\$\{([^}]+)\}")
_TAG_MEMBERS = ("Tags", "tags", "BackupVaultTags", "BackupPlanTags", "RecoveryPointTags")
_KEY_MEMBERS = ("TagKeys", "tagKeys", "TagKeyList")
_LITERAL_VARIABLES = frozenset("*?$")


@dataclass(frozen=True, slots=True)
class Decision:
    """Whether a request is allowed, and if not, AWS's reason."""

    allowed: bool
    reason: str = ""
    explicit: bool = False


@dataclass(frozen=True, slots=True)
class Condition:
    """One line of a Condition block: ``key`` (lower case) compared with ``values`` by ``operator``."""

    operator: str
    quantifier: Literal["", "ForAnyValue", "ForAllValues"]
    if_exists: bool
    key: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement. ``principals`` holds (type, value) pairs and is empty in identity policies."""

    allow: bool
    actions: tuple[str, ...]
    not_actions: bool
    resources: tuple[str, ...]
    not_resources: bool
    principals: tuple[tuple[str, str], ...]
    not_principals: bool
    conditions: tuple[Condition, ...]


Policy = tuple[Statement, ...]
Document = str | Mapping[str, Any]


def parse(document: Document) -> Policy:
    """The statements of a policy document; AwsError MalformedPolicyDocument where AWS would refuse it."""
    return _parse_text(document if isinstance(document, str) else json.dumps(document, sort_keys=True))


@lru_cache(maxsize=4096)
def _parse_text(text: str) -> Policy:
    try:
        content = json.loads(text)
    except ValueError:
        raise _malformed("The policy is not in the valid JSON format.") from None
    if not isinstance(content, dict) or "Statement" not in content:
        raise _malformed("Syntax errors in policy.")
    if content.get("Version", "2008-10-17") not in ("2012-10-17", "2008-10-17"):
        raise _malformed("Policy document must be version 2012-10-17 or greater.")
    return tuple(_statement(each) for each in _listed(content["Statement"]))


def _malformed(message: str) -> AwsError:
    return AwsError("MalformedPolicyDocument", message)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]


def _texts(value: Any) -> tuple[str, ...]:
    # JSON booleans and numbers stand for their text in Condition values.
    return tuple(
        each if isinstance(each, str) else json.dumps(each) if isinstance(each, bool | int | float) else _no_text()
        for each in _listed(value)
    )


def _no_text() -> str:
    raise _malformed("Syntax errors in policy.")


def _one_of(content: Mapping[str, Any], name: str) -> tuple[Any, bool]:
    if name in content and f"Not{name}" in content:
        raise _malformed(f"Statement/policy contains both {name} and Not{name}.")
    negated = f"Not{name}" in content
    return content.get(f"Not{name}" if negated else name), negated


def _statement(content: Any) -> Statement:
    if not isinstance(content, dict) or content.get("Effect") not in ("Allow", "Deny"):
        raise _malformed("Syntax errors in policy.")
    known = {
        "Sid",
        "Effect",
        "Action",
        "NotAction",
        "Resource",
        "NotResource",
        "Principal",
        "NotPrincipal",
        "Condition",
    }
    if set(content) - known:
        raise _malformed("Syntax errors in policy.")
    actions, not_actions = _one_of(content, "Action")
    if not actions:
        raise _malformed("Policy statement must contain actions.")
    resources, not_resources = _one_of(content, "Resource")
    principals, not_principals = _one_of(content, "Principal")
    return Statement(
        allow=content["Effect"] == "Allow",
        actions=tuple(each.lower() for each in _texts(actions)),
        not_actions=not_actions,
        resources=_texts(resources) if resources is not None else (),
        not_resources=not_resources,
        principals=tuple(_principals(principals)) if principals is not None else (),
        not_principals=not_principals,
        conditions=tuple(_conditions(content.get("Condition", {}))),
    )


def _principals(content: Any) -> Iterable[tuple[str, str]]:
    if content == "*":
        return [("AWS", "*")]
    if not isinstance(content, dict):
        raise _malformed("Invalid principal in policy")
    return [(kind, value) for kind, values in content.items() for value in _texts(values)]


def _conditions(content: Any) -> Iterable[Condition]:
    if not isinstance(content, dict) or not all(isinstance(lines, dict) for lines in content.values()):
        raise _malformed("Syntax errors in policy.")
    for name, lines in content.items():
        quantifier, _, operator = name.rpartition(":")
        if_exists = operator.endswith("IfExists")
        operator = operator.removesuffix("IfExists")
        if quantifier not in ("", "ForAnyValue", "ForAllValues") or (operator != "Null" and operator not in _OPERATORS):
            raise _malformed(f"Invalid Condition type : {name}.")
        for key, values in lines.items():
            yield Condition(operator, quantifier, if_exists, key.lower(), _texts(values))


# Matching


@lru_cache(maxsize=8192)
def _expression(pattern: str) -> re.Pattern[str]:
    parts = (".*" if each == "*" else "." if each == "?" else re.escape(each) for each in re.split(r"([*?])", pattern))
    return re.compile("".join(parts), re.DOTALL)


def _like(value: str, pattern: str) -> bool:
    if pattern == "*" or value == pattern:
        return True
    if "*" not in pattern and "?" not in pattern:
        return False
    return _expression(pattern).fullmatch(value) is not None


def _arn_like(value: str, pattern: str) -> bool:
    have, want = value.split(":", 5), pattern.split(":", 5)
    return len(have) == len(want) and all(map(_like, have, want))


def _number(text: str) -> float:
    return float(text)


def _time(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _compared(convert: Callable[[str], Any], compare: Callable[[Any, Any], bool]) -> Callable[[str, str], bool]:
    def matches(have: str, want: str) -> bool:
        try:
            return compare(convert(have), convert(want))
        except ValueError:
            return False

    return matches


def _in_network(have: str, want: str) -> bool:
    try:
        return ipaddress.ip_address(have) in ipaddress.ip_network(want, strict=False)
    except ValueError:
        return False


# Name -> (how one value of the request is compared with one of the policy, whether the answer is turned round).
_OPERATORS: dict[str, tuple[Callable[[str, str], bool], bool]] = {
    "StringEquals": (lambda have, want: have == want, False),
    "StringNotEquals": (lambda have, want: have == want, True),
    "StringEqualsIgnoreCase": (lambda have, want: have.lower() == want.lower(), False),
    "StringNotEqualsIgnoreCase": (lambda have, want: have.lower() == want.lower(), True),
    "StringLike": (_like, False),
    "StringNotLike": (_like, True),
    "ArnEquals": (_arn_like, False),
    "ArnLike": (_arn_like, False),
    "ArnNotEquals": (_arn_like, True),
    "ArnNotLike": (_arn_like, True),
    "Bool": (lambda have, want: have.lower() == want.lower(), False),
    "BinaryEquals": (lambda have, want: have == want, False),
    "IpAddress": (_in_network, False),
    "NotIpAddress": (_in_network, True),
}
for _family, _convert in (("Numeric", _number), ("Date", _time)):
    _OPERATORS |= {
        f"{_family}Equals": (_compared(_convert, lambda have, want: have == want), False),
        f"{_family}NotEquals": (_compared(_convert, lambda have, want: have == want), True),
        f"{_family}LessThan": (_compared(_convert, lambda have, want: have < want), False),
        f"{_family}LessThanEquals": (_compared(_convert, lambda have, want: have <= want), False),
        f"{_family}GreaterThan": (_compared(_convert, lambda have, want: have > want), False),
        f"{_family}GreaterThanEquals": (_compared(_convert, lambda have, want: have >= want), False),
    }


class _Named(IntEnum):
    """How closely a resource policy names a caller: its account, the role behind a session, or nobody else."""

    NOT = 0
    ACCOUNT = 1
    ROLE = 2
    ITSELF = 3


class _Request:
    """What is asked for, in the form in which statements are matched with it."""

    def __init__(
        self, caller: Caller, action: str, resource_arn: str, conditions: Callable[[], Mapping[str, ConditionValue]]
    ) -> None:
        self.caller = caller
        self.action = action.lower()
        self.resource_arn = resource_arn
        self._read_conditions = conditions

    @cached_property
    def conditions(self) -> dict[str, list[str]]:
        """The values of each condition key, read once a statement asks for one: most never do."""
        return {
            key.lower(): [value] if isinstance(value, str) else list(value)
            for key, value in self._read_conditions().items()
        }

    def expand(self, pattern: str) -> str | None:
        """``pattern`` with its policy variables filled in; None when one of them has no value."""
        if "${" not in pattern:
            return pattern
        missing = False

        def value(match: re.Match[str]) -> str:
            nonlocal missing
            name, _, default = match[1].partition(",")
            if name in _LITERAL_VARIABLES:
                return name
            values = self.conditions.get(name.strip().lower())
            if values and len(values) == 1:
                return values[0]
            missing = missing or not default
            return default.strip().strip("'")

        expanded = _VARIABLE.sub(value, pattern)
        return None if missing else expanded

    def covers(self, statement: Statement) -> bool:
        """Whether the statement's actions, resources and conditions cover the request (principals aside)."""
        if any(_like(self.action, each) for each in statement.actions) == statement.not_actions:
            return False
        if statement.resources and self._names_resource(statement.resources) == statement.not_resources:
            return False
        return all(self._holds(condition) for condition in statement.conditions)

    def _names_resource(self, patterns: tuple[str, ...]) -> bool:
        return any(pattern is not None and _like(self.resource_arn, pattern) for pattern in map(self.expand, patterns))

    def _holds(self, condition: Condition) -> bool:
        have = self.conditions.get(condition.key)
        if condition.operator == "Null":
            return any((have is None) == (value.lower() == "true") for value in condition.values)
        compare, negated = _OPERATORS[condition.operator]
        if not have:
            return condition.quantifier != "ForAnyValue" and (
                condition.if_exists or negated or condition.quantifier == "ForAllValues"
            )
        expected = [value for value in map(self.expand, condition.values) if value is not None]
        passes = (any(compare(each, value) for value in expected) != negated for each in have)
        if condition.quantifier == "ForAllValues" or (negated and not condition.quantifier):
            return all(passes)
        return any(passes)

    def named_by(self, statement: Statement) -> _Named:
        """How closely the statement's principals name the caller."""
        level = max((self._named(kind, value) for kind, value in statement.principals), default=_Named.NOT)
        if statement.not_principals:
            return _Named.NOT if level >= _Named.ROLE else _Named.ROLE
        return level

    def _named(self, kind: str, value: str) -> _Named:
        caller = self.caller
        if kind == "Service":
            return _Named.ITSELF if caller.kind == "service" and value == caller.arn else _Named.NOT
        if kind != "AWS":
            return _Named.NOT
        if value in ("*", caller.arn):
            return _Named.ITSELF
        if value == caller.principal_arn:
            return _Named.ROLE
        if caller.kind == "service" or _account_of(value) != caller.account_id:
            return _Named.NOT
        return _Named.ITSELF if caller.kind == "root" else _Named.ACCOUNT


@lru_cache(maxsize=1024)
def _account_of(principal: str) -> str:
    match = _ACCOUNT.fullmatch(principal)
    return match[1] if match else ""


def _effect(request: _Request, policies: Iterable[Policy]) -> Literal["", "Allow", "Deny"]:
    """What identity or session policies say: Deny before Allow before nothing."""
    effect: Literal["", "Allow"] = ""
    for policy in policies:
        for statement in policy:
            if (not statement.allow or not effect) and request.covers(statement):
                if not statement.allow:
                    return "Deny"
                effect = "Allow"
    return effect


def _control_effect(request: _Request, policy: Policy) -> Literal["", "Allow", "Deny"]:
    effect = _effect(request, [policy])
    return "Allow" if not effect and not any(statement.allow for statement in policy) else effect


def _resource_effect(request: _Request, policy: Policy) -> _Named | Literal["Deny"]:
    """What a resource policy says: Deny, or how closely its Allow names the caller."""
    effect = _Named.NOT
    for statement in policy:
        if not (level := request.named_by(statement)) or not request.covers(statement):
            continue
        if not statement.allow:
            return "Deny"
        effect = max(effect, level)
    return effect


def decide(
    caller: Caller,
    action: str,
    resource_arn: str,
    *,
    identity_policies: Sequence[Policy],
    boundary: Policy | None = None,
    resource_policy: Document | None = None,
    owner_account: str = "",
    resource_policy_required: bool = False,
    conditions: Mapping[str, ConditionValue] | Callable[[], Mapping[str, ConditionValue]] | None = None,
    control_policies: Sequence[Document] = (),
    resource_control_policies: Sequence[Document] = (),
) -> Decision:
    """Whether ``caller`` may do ``action`` (``dynamodb:Scan``) on ``resource_arn``, owned by ``owner_account``.

    ``identity_policies`` are those of the caller, parsed, and ``boundary`` is its permissions boundary; session
    policies come with the caller. An empty owner is the caller's account. ``conditions`` are the request's condition
    keys, in any case, or what reads them when a statement asks for one, ``control_policies`` the service control
    policies of the caller's account: one without any Allow stands beside FullAWSAccess, another replaces it.
    ``resource_control_policies`` are those of the owner.
    """
    read = conditions if callable(conditions) else lambda: conditions or {}
    request = _Request(caller, action, resource_arn, read)
    identity = _effect(request, identity_policies)
    resource = _resource_effect(request, parse(resource_policy)) if resource_policy else _Named.NOT
    bound = "Allow" if boundary is None else _effect(request, [boundary])
    sessions = [_effect(request, [parse(document)]) for document in caller.session_policies]
    controls = [_control_effect(request, parse(each)) for each in control_policies if caller.kind != "service"]
    guards = [_resource_effect(request, parse(each)) for each in resource_control_policies]
    for effect, where in (
        *((each, "a service control") for each in controls),
        *((each, "a resource control") for each in guards),
        (resource, "a resource-based"),
        (identity, "an identity-based"),
        (bound, BOUNDARY_WORDS),
        *((each, "a session") for each in sessions),
    ):
        if effect == "Deny":
            kind = where if where == BOUNDARY_WORDS else f"{where} policy"
            return Decision(False, f"with an explicit deny in {kind}", explicit=True)
    assert resource != "Deny"
    if caller.kind == "service":
        return _allowed_if(resource >= _Named.ROLE, "resource-based", action)
    if not all(each == "Allow" for each in controls):
        return _allowed_if(False, "service control", action)
    if resource == _Named.ITSELF and owner_account in ("", caller.account_id):
        return Decision(True)
    if not all(each == "Allow" for each in sessions):
        return _allowed_if(False, "session", action)
    if bound != "Allow":
        return Decision(False, f"because no permissions boundary allows the {action} action")
    if owner_account not in ("", caller.account_id):
        if not resource:
            return _allowed_if(False, "resource-based", action)
        return _allowed_if(identity == "Allow", "identity-based", action)
    if resource >= _Named.ROLE:
        return Decision(True)
    if resource_policy_required and not resource:
        return _allowed_if(False, "resource-based", action)
    return _allowed_if(identity == "Allow", "identity-based", action)


def request_tags(params: Mapping[str, Any]) -> dict[str, ConditionValue]:
    """The condition keys of the tags in a call's parameters, as the services write them: lists or mappings."""
    tags: dict[str, str] = {}
    for member in _TAG_MEMBERS:
        given = params.get(member)
        if isinstance(given, Mapping):
            tags |= {str(key): str(value) for key, value in given.items()}
        for tag in (each for each in given if isinstance(each, Mapping)) if isinstance(given, list) else ():
            key = next((tag[name] for name in ("Key", "TagKey", "key") if name in tag), None)
            if key is not None:
                tags[key] = next((tag[name] for name in ("Value", "TagValue", "value") if name in tag), "")
    keys = list(tags) or next((list(params[name]) for name in _KEY_MEMBERS if isinstance(params.get(name), list)), [])
    conditions: dict[str, ConditionValue] = {f"aws:RequestTag/{key}": value for key, value in tags.items()}
    return conditions | ({"aws:TagKeys": keys} if keys else {})


def _allowed_if(allowed: bool, kind: str, action: str) -> Decision:
    return Decision(allowed, "" if allowed else f"because no {kind} policy allows the {action} action")
