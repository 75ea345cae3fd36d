# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who calls, and what one request is about."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from lab.world import World

ConditionValue = str | list[str]


@dataclass(frozen=True, slots=True)
class Caller:
    """The principal behind a request.

    ``arn`` is what GetCallerIdentity answers (for a session ``arn:aws:sts::<account>:assumed-role/<role>/<session>``),
    ``principal_arn`` what policies name and ``aws:PrincipalArn`` holds (for a session the role's ARN, its path kept).
    ``session_policies`` narrow a session (AssumeRole's ``Policy``). ``kind`` ``service`` is an AWS service principal
    such as ``logs.amazonaws.com``, whose ``arn`` is that name.
    """

    account_id: str
    arn: str
    kind: Literal["root", "user", "assumed_role", "service"]
    principal_arn: str
    user_id: str = ""
    user_name: str = ""
    session_name: str = ""
    session_policies: tuple[str, ...] = ()
    access_key_id: str = ""

    @classmethod
    def service(cls, name: str, account_id: str = "") -> Caller:
        """The AWS service principal ``name``, working for ``account_id``."""
        return cls(account_id=account_id, arn=name, kind="service", principal_arn=name, user_id=name)


@dataclass(frozen=True, slots=True)
class Context:
    """One request on its way through a service.

    ``service`` is botocore's name (``application-autoscaling``), ``operation`` botocore's operation name,
    ``conditions`` further keys for the policies' Condition blocks, such as ``kms:ViaService``.
    """

    world: World
    caller: Caller
    region: str
    service: str
    operation: str
    request_id: str
    conditions: Mapping[str, ConditionValue] = field(default_factory=dict)

    @property
    def account_id(self) -> str:
        """Account of the caller."""
        return self.caller.account_id

    def arn(self, resource: str, service: str = "") -> str:
        """ARN of ``resource`` (``table/orders``) in the caller's account and the request's Region."""
        return f"arn:aws:{service or self.service}:{self.region}:{self.caller.account_id}:{resource}"

    def authorize(self, action: str, resource_arn: str, resource_policy: Any = None, **options: Any) -> None:
        """``World.authorize`` for this request's caller, Region and condition keys."""
        options["conditions"] = {**self.conditions, **options.get("conditions", {})}
        options.setdefault("region", self.region)
        self.world.authorize(self.caller, action, resource_arn, resource_policy, **options)
