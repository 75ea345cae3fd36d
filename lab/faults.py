# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Faults that a test or a rehearsal plans: what goes wrong, for which calls, how often."""

from __future__ import annotations

import itertools
import threading
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any, Literal, get_args

from lab.request_log import is_mutating

FaultKind = Literal[
    "error", "throttle", "expired_token", "kms_denied", "disconnect", "late", "hold", "unprocessed_items",
    "job_failure", "corrupt_object",
]  # fmt: skip
# These the gate answers itself; the others are taken by the services.
GATE_KINDS: tuple[FaultKind, ...] = ("error", "throttle", "expired_token", "kms_denied", "disconnect", "late", "hold")
# A held call goes on by itself after so many seconds of real time, so that a test which failed does not hang.
LONGEST_HOLD = 120.0
ALWAYS = -1


@dataclass
class Fault:
    """One planned fault.

    ``operation`` is ``dynamodb.Scan``, ``Scan``, ``dynamodb.*`` or ``*``; ``account`` (12 digits, empty for any) the
    caller's. ``match`` compares members of the request by their text (``{"TableName": "orders"}``, nested ones with
    dots); with ``mutating`` only calls count that change something (or, False, that do not). After ``after`` calls
    that would match, the next ``times`` fail (-1: all). ``when`` ``after`` lets the gate do the work first and then
    lose the answer. ``code``, ``message`` and ``status`` have a default for each kind; ``values`` carries what a kind
    needs besides, for example ``{"count": 3}`` items left unprocessed, or for a ``job_failure`` of AWS Backup the state
    to end in, ``{"state": "EXPIRED"}`` (CREATED: a copy that never starts).

    ``kms_denied`` is DynamoDB's answer where the caller may not use the table's key. ``disconnect`` closes the
    connection without an answer: ``when`` ``before`` the call was never done, ``after`` it was. ``late`` closes it at
    once, and the request arrives ``{"seconds": N}`` of the world's time later: its signature is checked then (rule
    signature-dated-on-arrival), and only then it stands in the request log. ``hold`` keeps the request (``before``) or
    the finished call's answer (``after``) back until ``Faults.release``; ``held`` counts the calls that it did.
    """

    operation: str = "*"
    kind: FaultKind = "error"
    code: str = ""
    message: str = ""
    status: int = 0
    times: int = 1
    after: int = 0
    match: dict[str, Any] = field(default_factory=dict)
    account: str = ""
    mutating: bool | None = None
    when: Literal["before", "after"] = "before"
    values: dict[str, Any] = field(default_factory=dict)
    id: int = 0
    taken: int = 0
    held: int = 0

    @classmethod
    def from_mapping(cls, mapping: Mapping[str, Any]) -> Fault:
        """A fault from JSON; ValueError for a key or a kind that does not exist."""
        unknown = set(mapping) - {each.name for each in fields(cls)} | {"id", "taken", "held"} & set(mapping)
        if unknown:
            raise ValueError(f"A fault has no members {', '.join(sorted(unknown))}.")
        fault = cls(**mapping)
        if fault.kind not in get_args(FaultKind):
            raise ValueError(f"Unknown kind of fault {fault.kind!r}. Use one of: {', '.join(get_args(FaultKind))}")
        if fault.when not in ("before", "after"):
            raise ValueError("when is 'before' or 'after'.")
        if fault.kind == "late" and not fault.seconds > 0:
            raise ValueError("A late request needs values with seconds above 0.")
        return fault

    @property
    def seconds(self) -> float:
        """How late a request arrives, in seconds of the world."""
        return float(self.values.get("seconds", 0))

    def concerns(self, operation: str, account: str) -> bool:
        """Whether calls of ``operation`` (``dynamodb.Scan``) by ``account`` may meet this fault."""
        service, _, name = operation.partition(".")
        if self.mutating is not None and self.mutating != is_mutating(name):
            return False
        return self.operation in ("*", operation, name, f"{service}.*") and self.account in ("", account)

    def matches(self, params: Mapping[str, Any]) -> bool:
        """Whether the request's members are those asked for."""
        return all(str(_member(params, name)) == str(value) for name, value in self.match.items())


def _member(params: Any, name: str) -> Any:
    for part in name.split("."):
        if not isinstance(params, Mapping):
            return None
        params = params.get(part)
    return params


class Faults:
    """The planned faults, in the order of planning. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._released: set[int] = set()
        self._faults: list[Fault] = []
        self._numbers = itertools.count(1)

    def __bool__(self) -> bool:
        return bool(self._faults)

    def add(self, fault: Fault | None = None, **members: Any) -> Fault:
        """Plan a fault, given whole or by its members."""
        planned = fault or Fault.from_mapping(members)
        with self._lock:
            planned.id = next(self._numbers)
            self._faults.append(planned)
        return planned

    def concern(self, operation: str, account: str, kinds: tuple[FaultKind, ...] = GATE_KINDS) -> bool:
        """Whether a fault of ``kinds`` is planned for ``operation``, so that the gate must read its request."""
        return bool(self._faults) and any(
            fault.kind in kinds and fault.concerns(operation, account) for fault in tuple(self._faults)
        )

    def take(
        self, kind: FaultKind | tuple[FaultKind, ...], operation: str, params: Mapping[str, Any], account: str
    ) -> Fault | None:
        """The fault that this call meets, counted as met; None for most calls.

        ``operation`` is ``dynamodb.Scan``, ``account`` the caller's.
        """
        if not self._faults:
            return None
        kinds = kind if isinstance(kind, tuple) else (kind,)
        with self._lock:
            for fault in self._faults:
                if fault.kind not in kinds or not fault.concerns(operation, account) or not fault.matches(params):
                    continue
                if fault.times != ALWAYS and fault.taken >= fault.times:
                    continue
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.taken += 1
                return fault
        return None

    def all(self) -> list[Fault]:
        """Every fault that was planned, met ones included."""
        with self._lock:
            return list(self._faults)

    def release(self, number: int) -> None:
        """Let the calls go on that the ``hold`` of this id keeps back, those that it would still meet too."""
        with self._changed:
            self._released.add(number)
            self._changed.notify_all()

    def wait_for_release(self, fault: Fault) -> None:
        """Return when ``fault`` is released or forgotten."""
        with self._changed:
            fault.held += 1
            self._changed.wait_for(lambda: fault.id in self._released, LONGEST_HOLD)

    def clear(self) -> None:
        """Forget every fault; held calls go on."""
        with self._changed:
            self._released |= {fault.id for fault in self._faults}
            self._faults.clear()
            self._changed.notify_all()
