# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A role that TableFerry created: its trust is merged, and it has a managed policy or an inline one; any other role is
refused."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import unquote

from ..account import Account
from ..aws_errors import ALREADY_THERE, NO_ENTITY
from ..change import Change
from ..errors import AccessDenied, InvalidInput, NotOurs
from .caller_policy import InlinePolicy
from .marks import MARK, is_marked, own
from .policy_documents import Policy, covers, parse, statements_of
from .role_policy import Allowed, change_of, document, inline_of, write_allowed
from .shared_policy import PolicyPlan, Sleep, apply_policy, as_text, merged, plan_policy, put
from .statement import OurStatement
from .users import Users


@dataclass(frozen=True)
class TrustPolicy:
    """Who may assume the role ``name``."""

    account: Account = field(repr=False)
    name: str

    @property
    def what(self) -> str:
        """The policy in a message."""
        return f"trust policy of the role {self.name}"

    @property
    def arn(self) -> str:
        """The role's ARN; ours has no path."""
        return f"arn:{self.account.partition}:iam::{self.account.account_id}:role/{self.name}"

    def read(self) -> Policy:
        """As ``SharedPolicy.read``."""
        answer = self.account.ask("iam", "get_role", f"reading the {self.what}", RoleName=self.name)
        return trust_of(answer["Role"], self.what)

    def write(self, policy: Policy) -> None:
        """As ``SharedPolicy.write``."""
        text = as_text(policy)
        put(
            self.account, self.what, "update_assume_role_policy", "iam", policy, RoleName=self.name, PolicyDocument=text
        )


def trust_of(role: Mapping[str, Any], what: str) -> Policy:
    """A role's trust, which botocore decodes and other callers may not. Raises PolicyNotReadable."""
    document = role.get("AssumeRolePolicyDocument")
    return parse(unquote(document) if isinstance(document, str) else document, what)


@dataclass(frozen=True)
class RoleOptions:
    """The role ``name``, which ``trust`` lets a service assume, with the managed policy ``policy_arn``, or instead with
    the inline policy ``inline_name`` where there are statements of ``inline``.

    A role that never had a managed policy of ours has no ``policy_arn``, "".
    ``permissions_boundary`` is the ARN of the policy that bounds it where it is made; "" for none. A role that is there
    keeps its boundary.
    """

    name: str
    trust: OurStatement
    policy_arn: str
    description: str = ""
    permissions_boundary: str = ""
    inline_name: str = ""
    inline: tuple[Allowed, ...] = ()


@dataclass(frozen=True)
class RolePlan:
    """What becomes of the role: ``trust`` is None where it has to be made, or says what is needed already.

    ``attach`` and ``detach`` are of its managed policy; ``write`` is the inline policy that has to be written, ``drop``
    the one that goes.
    """

    account: Account = field(repr=False)
    options: RoleOptions
    arn: str
    make: bool
    trust: PolicyPlan | None
    attach: bool
    changes: list[Change]
    detach: bool = False
    write: InlinePolicy | None = None
    drop: InlinePolicy | None = None


def plan_role(account: Account, options: RoleOptions) -> RolePlan:
    """What becomes of the role; reads only.

    Raises NotOurs for a role without our tag, InvalidInput for a boundary that cannot be one, PolicyNotReadable,
    AccessDenied, CredentialsError, ServiceError.
    """
    policy = TrustPolicy(account, options.name)
    doing = f"looking at the role {options.name}"
    answer = account.ask("iam", "get_role", doing, missing=NO_ENTITY, RoleName=options.name)
    if answer is None:
        _require_boundary_of(account, options.permissions_boundary)
        return _new(account, options, policy)
    role = answer["Role"]
    if not is_marked(tags_of(account, options.name)):
        raise NotOurs(
            f"The role {options.name} of account {account.account_id} was not created by TableFerry: it has no tag"
            f" {MARK[0]}={MARK[1]}.",
            "Nothing was changed. To use that role as it is, configure it by name; otherwise delete it.",
        )
    found = trust_of(role, policy.what)
    trust = None if _trusts(found, options.trust) else plan_policy(policy, present=[options.trust])
    there = bool(options.policy_arn) and options.policy_arn in _attached(account, options.name)
    inline = inline_of(account, options.name, options.inline_name)
    listed, attached = f"managed policies of the role {options.name}", {"managed_policies": [options.policy_arn]}
    changes = [*(trust.changes if trust else [])]
    plan = RolePlan(account, options, str(role["Arn"]), False, trust, False, changes)
    if options.inline:
        before = inline.read()
        changes += change_of(inline, before, document(before, options.inline))
        changes += [Change(listed, attached, None)] if there else []
        return replace(plan, detach=there, write=inline)
    if there:
        return plan  # beside it an inline policy of ours allows nothing more, so it is not looked for
    superseded = _superseded(inline) if options.inline_name else {}
    changes += [Change(listed, None, attached), *change_of(inline, superseded, {})]
    return replace(plan, attach=True, drop=inline if superseded else None)


def _new(account: Account, options: RoleOptions, policy: TrustPolicy) -> RolePlan:
    """The plan for a role that is not there."""
    after: dict[str, Any] = {"trust": merged({}, [options.trust])}
    if options.inline:
        after["inline_policies"] = {options.inline_name: document({}, options.inline)}
    else:
        after["managed_policies"] = [options.policy_arn]
    if options.permissions_boundary:
        after["permissions_boundary"] = options.permissions_boundary
    inline = inline_of(account, options.name, options.inline_name) if options.inline else None
    change = Change(f"role {options.name}", None, after)
    return RolePlan(account, options, policy.arn, True, None, not options.inline, [change], write=inline)


def _superseded(inline: InlinePolicy) -> Policy:
    """The inline policy that goes with the managed one. Who may not read it did not write it either."""
    try:
        return inline.read()
    except AccessDenied:
        return {}


def _require_boundary_of(account: Account, boundary: str) -> None:
    """Refuse, before anything is made, what IAM takes for no boundary of a role of ``account``: whether the policy is
    there, only its creation shows. Raises InvalidInput."""
    arn = boundary.split(":", 5)
    is_policy = len(arn) == 6 and arn[:3] == ["arn", account.partition, "iam"] and arn[5].startswith("policy/")
    if boundary and not (is_policy and arn[4] in (account.account_id, "aws")):
        raise InvalidInput(
            f"permissions_boundary {boundary} is not a managed policy of account {account.account_id} ({account.side})"
            " or of AWS.",
            f"Set it to an ARN such as arn:{account.partition}:iam::{account.account_id}:policy/NAME.",
        )


def _trusts(trust: Policy, wanted: OurStatement) -> bool:
    """Whether a statement, of whatever Sid, lets the service in: perhaps only for an account, as its owner wants."""
    document = wanted.to_dict()
    return any(covers({**old, "Sid": wanted.sid}, document) for old in statements_of(trust))


def tags_of(account: Account, name: str) -> dict[str, str]:
    """The tags of the role ``name``. Raises what Account.explain gives."""
    tags: dict[str, str] = {}
    request: dict[str, Any] = {"RoleName": name}
    while True:
        page = account.ask("iam", "list_role_tags", f"reading the tags of the role {name}", **request)
        tags |= {tag["Key"]: tag["Value"] for tag in page["Tags"]}
        if not page.get("IsTruncated"):
            return tags
        request["Marker"] = page["Marker"]


def _attached(account: Account, name: str) -> set[str]:
    attached: set[str] = set()
    request: dict[str, Any] = {"RoleName": name}
    while True:
        doing = f"listing the policies of the role {name}"
        page = account.ask("iam", "list_attached_role_policies", doing, **request)
        attached |= {policy["PolicyArn"] for policy in page["AttachedPolicies"]}
        if not page.get("IsTruncated"):
            return attached
        request["Marker"] = page["Marker"]


def apply_role(plan: RolePlan, users: Users, *, sleep: Sleep) -> None:
    """Carry ``plan`` out. Where two controllers make the role at once, the later one uses what the first one made.

    Raises what ``plan_role`` and ``apply_policy`` raise.
    """
    account, options = plan.account, plan.options
    if plan.make:
        boundary = options.permissions_boundary
        bounded: dict[str, Any] = {"PermissionsBoundary": boundary} if boundary else {}
        answer = account.ask(
            "iam",
            "create_role",
            f"creating the role {options.name}",
            missing=ALREADY_THERE,
            RoleName=options.name,
            Description=options.description,
            AssumeRolePolicyDocument=json.dumps(merged({}, [options.trust])),
            Tags=[{"Key": key, "Value": value} for key, value in own(account).items()],
            **bounded,
        )
        if answer is None:
            plan = plan_role(account, options)
    if plan.trust:
        apply_policy(plan.trust, users, sleep=sleep)
    # What is needed is there before what it stands for goes: jobs may run as the role.
    if plan.write:
        write_allowed(plan.write, options.inline, sleep=sleep)
    managed: dict[str, Any] = {"RoleName": options.name, "PolicyArn": options.policy_arn}
    if plan.detach:
        doing = f"detaching {options.policy_arn} from the role {options.name}"
        account.ask("iam", "detach_role_policy", doing, missing=NO_ENTITY, **managed)
    if plan.attach:
        account.ask(
            "iam", "attach_role_policy", f"attaching {options.policy_arn} to the role {options.name}", **managed
        )
    if plan.drop:
        plan.drop.delete()
