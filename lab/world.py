# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The world: its accounts, services, time, request log and faults. One object, no global state.

``Context`` is one request within it, ``Service`` what a service offers to it.
"""

from __future__ import annotations

import random
import shutil
import sys
import tempfile
import threading
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol, TypeVar, runtime_checkable

from lab import signature
from lab.behaviours import Behaviour, Behaviours
from lab.caller import Caller, ConditionValue
from lab.clock import Agenda, Clock, Event, Throttles, Timings
from lab.faults import Fault, Faults
from lab.identity import IdentityStore
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.permission_log import PermissionLog
from lab.policy import BOTH_SIDES, POLICIES_DECIDE, Decision, decide
from lab.protocol import speaks_rest
from lab.request_log import Entry, RequestLog, is_mutating

__all__ = ["Clock", "Entry", "Event", "Fault", "Faults", "RequestLog", "Throttles", "Timings", "World", "is_mutating"]

TICK_SECONDS = 0.02
RESOURCE_CONTROL_OF = "organizations.resource_control_of"  # the services whose resources such policies bind
# Services whose AccessDenied is spelled without "Exception" and comes as HTTP 403 (query and REST protocols).
_BARE_ACCESS_DENIED = frozenset({"s3", "sts", "iam"})


Part = TypeVar("Part")


class World:
    """Everything behind the lab's one endpoint.

    ``seed`` makes names and random durations repeatable, ``scale`` multiplies the measured durations, ``quotas`` turns
    AWS's limits and throttles on. ``ticks``: what is due happens by itself, not at calls and ``advance`` alone.
    ``data_directory`` holds what does not fit memory; without it a temporary one is
    made, and removed by ``close``. Services are added by ``lab.assembly.build_world``.
    """

    def __init__(
        self,
        *,
        seed: int = 0,
        scale: float = 1.0,
        quotas: bool = True,
        data_directory: str | Path | None = None,
        ticks: bool = True,
    ) -> None:
        self.lock = threading.RLock()
        self.random = random.Random(seed)
        self.clock = Clock()
        self.timings = Timings(scale)
        self.throttles = Throttles(self.clock, self.timings)
        self.behaviours = Behaviours()
        self.behaviours.define(signature.BEHAVIOURS)
        self.behaviours.define([Behaviour(RESOURCE_CONTROL_OF, ("s3 sts kms", "s3 sts kms logs dynamodb"))])
        self.quotas = quotas
        self._default_quotas: dict[str, int] = {}
        self._adjusted_quotas: dict[tuple[str, str], int] = {}
        self.request_log = RequestLog()
        self.permission_log = PermissionLog()
        self.faults = Faults()
        self.identity = IdentityStore(self.clock, self.random)
        self.accounts = self.identity.accounts
        self.services: dict[str, Service] = {}
        self._parts: list[object] = []
        self.event_errors: list[str] = []
        self._agenda = Agenda()
        # Called before time jumps, with the seconds: what goes on in real time may need some of it first.
        self.before_jumps: list[Callable[[float], object]] = []
        self._temporary = data_directory is None
        self.data_directory = Path(data_directory or tempfile.mkdtemp(prefix="tableferry-lab-"))
        self.data_directory.mkdir(parents=True, exist_ok=True)
        self._closed = threading.Event()
        self._ticker = threading.Thread(target=self._tick_often, name="lab-ticker", daemon=True)
        if ticks:
            self._ticker.start()

    # Time

    @property
    def quotas(self) -> bool:
        """Whether AWS's limits and throttles are enforced."""
        return self._quotas

    @quotas.setter
    def quotas(self, enforced: bool) -> None:
        self._quotas = enforced
        self.throttles.enabled = enforced

    def define_quotas(self, defaults: Mapping[str, int]) -> None:
        """Add quotas that AWS raises for single accounts on request, by name, with what every account has."""
        self._default_quotas |= defaults

    def quota(self, account_id: str, name: str) -> int:
        """The account's quota ``name``; KeyError for an unknown one."""
        return self._adjusted_quotas.get((account_id, name), self._default_quotas[name])

    def adjust_quota(self, account_id: str, name: str, value: int) -> None:
        """Give an account another quota than the others have; KeyError for an unknown one."""
        if name not in self._default_quotas:
            raise KeyError(f"No quota is called {name!r}; there are: {', '.join(sorted(self._default_quotas))}")
        self._adjusted_quotas[account_id, name] = value

    def adjusted_quotas(self) -> dict[str, dict[str, int]]:
        """The quotas that were adjusted, by account and name."""
        adjusted: dict[str, dict[str, int]] = {}
        for (account_id, name), value in sorted(self._adjusted_quotas.items()):
            adjusted.setdefault(account_id, {})[name] = value
        return adjusted

    def schedule(self, delay_seconds: float, action: Callable[[], Any]) -> Event:
        """Run ``action`` once, ``delay_seconds`` of the world's time from now, with the world locked."""
        with self.lock:
            return self._agenda.add(self.clock.now() + delay_seconds, action)

    def tick(self) -> None:
        """Run what is due."""
        due = self._agenda.next_due()
        if due is None or due > self.clock.now():
            return
        with self.lock:
            while event := self._agenda.take(self.clock.now()):
                self._run(event)

    def advance(self, seconds: float) -> None:
        """Move time forward, stopping at each event on the way so that one may lead to the next."""
        if seconds < 0:
            raise ValueError("The world's clock only goes forward.")
        for each in self.before_jumps:
            each(seconds)
        with self.lock:
            target = self.clock.offset + seconds
            while (due := self._agenda.next_due()) is not None:
                wait = max(0.0, due - self.clock.now())
                if self.clock.offset + wait > target:
                    break
                self.clock.advance(wait)
                if event := self._agenda.take(max(due, self.clock.now())):
                    self._run(event)
            self.clock.advance(target - self.clock.offset)

    def _run(self, event: Event) -> None:
        try:
            event.action()
        except Exception:
            # One broken event must not stop time for all; /_lab/state shows it.
            self.event_errors.append(traceback.format_exc())
            print(self.event_errors[-1], file=sys.stderr)

    def _tick_often(self) -> None:
        while not self._closed.wait(TICK_SECONDS):
            self.tick()

    # Services and what they hold

    def put(self, part: Part) -> Part:
        """Let others find ``part`` by its class; returns it."""
        self._parts.append(part)
        return part

    def part(self, kind: type[Part]) -> Part:
        """What a service put here, or the service itself, by its class. LookupError where no service did."""
        for part in (*self._parts, *self.services.values()):
            if isinstance(part, kind):
                return part
        raise LookupError(f"This world has no {kind.__name__}.")

    # Permission

    def decide(self, caller: Caller, needed: AuthorizationRequest, region: str = "") -> Decision:
        """Whether the policies allow ``caller`` what is ``needed``."""
        if self.identity.is_gone(caller):
            return Decision(False, f"because no identity-based policy allows the {needed.action} action")
        resource_policy = needed.resource_policy
        if isinstance(resource_policy, str):
            resource_policy = self.identity.shown(resource_policy)
        return decide(
            caller,
            needed.action,
            needed.resource_arn,
            identity_policies=self.identity.policies_of(caller),
            boundary=self.identity.boundary_of(caller),
            resource_policy=resource_policy,
            owner_account=needed.owner_account,
            resource_policy_required=needed.resource_policy_required,
            conditions=lambda: {**self.identity.condition_keys(caller, region), **needed.conditions},
            control_policies=self.accounts.control_policies(caller),
            resource_control_policies=self._resource_controls(caller, needed),
        )

    def _resource_controls(self, caller: Caller, needed: AuthorizationRequest) -> list[str]:
        bound = self.behaviours[RESOURCE_CONTROL_OF].split()
        if needed.uncontrolled or needed.resource_arn == "*" or needed.action.partition(":")[0] not in bound:
            return []
        return self.accounts.resource_control_policies(caller, needed.owner_account or caller.account_id)

    def allows(self, caller: Caller, needed: AuthorizationRequest, region: str = "") -> bool:
        """``decide`` for a permission that the request needs, which goes to the log of permissions."""
        allowed = self.decide(caller, needed, region).allowed
        self.permission_log.add(caller, needed.action, needed.resource_arn, needed.conditions, allowed)
        return allowed

    def require(self, caller: Caller, needed: AuthorizationRequest, region: str = "") -> None:
        """``decide``, raising AccessDenied in the words of the action's service."""
        decision = self.decide(caller, needed, region)
        self.permission_log.add(caller, needed.action, needed.resource_arn, needed.conditions, decision.allowed)
        if decision.allowed:
            return
        message = (
            f"User: {caller.arn} is not authorized to perform: {needed.action} "
            f"on resource: {needed.resource_arn} {decision.reason}"
        )
        if needed.refusal is not None:
            raise needed.refusal(message)
        broken = POLICIES_DECIDE if needed.owner_account in ("", caller.account_id) else BOTH_SIDES
        if needed.action.partition(":")[0] in _BARE_ACCESS_DENIED:
            raise broken.error("AccessDenied", message, 403)
        service = needed.action.partition(":")[0]
        raise broken.error("AccessDeniedException", message, 403 if speaks_rest(service) else 400)

    def authorize(
        self,
        caller: Caller,
        action: str,
        resource_arn: str,
        resource_policy: str | Mapping[str, Any] | None = None,
        owner_account: str = "",
        *,
        resource_policy_required: bool = False,
        conditions: Mapping[str, ConditionValue] | None = None,
        region: str = "",
    ) -> None:
        """For services that act on behalf of ``caller``: AccessDenied(Exception) unless the policies allow it.

        ``owner_account`` owns the resource (empty: the caller's account). See ``AuthorizationRequest`` for the rest.
        """
        self.require(
            caller,
            AuthorizationRequest(
                action, resource_arn, resource_policy, owner_account, resource_policy_required, conditions or {}
            ),
            region,
        )

    # End

    def close(self) -> None:
        """Stop time, close the services and what they put here, and remove the temporary directory."""
        if self._closed.is_set():
            return
        self._closed.set()
        if self._ticker.is_alive():
            self._ticker.join()
        for part in (*reversed(self._parts), *self.services.values()):
            close = getattr(part, "close", None)
            if close is not None:
                close()
        if self._temporary:
            shutil.rmtree(self.data_directory, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Context:
    """One request on its way through a service.

    ``service`` is botocore's name (``application-autoscaling``), ``operation`` botocore's operation name,
    ``conditions`` further keys for the policies' Condition blocks, such as ``kms:ViaService``, ``connection`` the
    number of the HTTP connection.
    """

    world: World
    caller: Caller
    region: str
    service: str
    operation: str
    request_id: str
    conditions: Mapping[str, ConditionValue] = field(default_factory=dict)
    connection: int = 0

    @property
    def account_id(self) -> str:
        """Account of the caller."""
        return self.caller.account_id

    def arn(self, resource: str, service: str = "") -> str:
        """ARN of ``resource`` (``table/orders``) in the caller's account and the request's Region."""
        place = f"{self.region}:{self.caller.account_id}"
        return f"arn:{partition_of(self.region)}:{service or self.service}:{place}:{resource}"

    def authorize(self, action: str, resource_arn: str, resource_policy: Any = None, **options: Any) -> None:
        """``World.authorize`` for this request's caller, Region and condition keys."""
        options["conditions"] = {**self.conditions, **options.get("conditions", {})}
        options.setdefault("region", self.region)
        self.world.authorize(self.caller, action, resource_arn, resource_policy, **options)


@runtime_checkable
class Service(Protocol):
    """A service behind the gate.

    The gate parses and validates the request by botocore's model of ``name``, asks ``authorization``, calls ``handle``
    and writes its answer. Shapes of parameters and answers are those of boto3, except: timestamps are epoch seconds in
    parameters, and epoch seconds or ``datetime`` in answers; DynamoDB's AttributeValues stay as on the wire both ways
    (``B`` is base64 text). Members that the model does not know are dropped from requests and kept in JSON answers.
    ``handle`` may answer ``bytes`` of a JSON protocol: they are sent as they are.

    The gate holds ``world.lock`` around authorization and handling, except for the operations in
    ``locks_itself``: these are called without it and lock what they touch.

    Four optional attributes:
    ``handle_http(context, request: HttpRequest) -> HttpResponse``: when present, requests come here whole, already
    signed and counted but neither parsed nor authorized (the service calls ``context.authorize``).
    ``validates(operation) -> bool``: False takes the model's validation of lengths, patterns, enums and required
    members off an operation where AWS says it in other words. ``before_shape``: by operation, what looks at the members
    as sent before they are validated, and may refuse them. ``close()``: called when the world ends.
    """

    name: str
    locks_itself: frozenset[str]

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any] | bytes:
        """Do ``operation`` and return its answer, or raise AwsError."""
        ...

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The permissions that ``operation`` needs with ``params``; an empty list where it needs none."""
        ...
