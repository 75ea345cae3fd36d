# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which permissions were asked of whom, and in which phase of a migration: what policies are made of, and held to."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from typing import NamedTuple

from lab.caller import Caller, ConditionValue

# The condition keys that policies of migrations compare; what others hold differs from call to call.
KEPT_CONDITIONS = frozenset({"iam:AWSServiceName", "iam:PassedToService", "iam:PolicyARN", "kms:ViaService"})


class Permission(NamedTuple):
    """A permission that at least one call needed.

    ``phase`` is what the log was told last, ``principal_arn`` the user's or the role's ARN, ``conditions`` are pairs
    of a key among ``KEPT_CONDITIONS`` and its value.
    """

    phase: str
    account: str
    principal_arn: str
    action: str
    resource_arn: str
    conditions: tuple[tuple[str, str], ...]
    allowed: bool


class PermissionLog:
    """The permissions so far, each once. Safe to use from any thread. ``phase`` names what goes on, for its readers."""

    def __init__(self) -> None:
        self.phase = ""
        self._lock = threading.Lock()
        self._permissions: dict[Permission, None] = {}

    def add(
        self,
        caller: Caller,
        action: str,
        resource_arn: str,
        conditions: Mapping[str, ConditionValue],
        allowed: bool,
    ) -> None:
        """Add one, unless it is a service's own."""
        if caller.kind == "service":
            return
        kept = tuple(
            (key, value)
            for key, value in sorted(conditions.items())
            if key in KEPT_CONDITIONS and isinstance(value, str)
        )
        entry = Permission(
            self.phase, caller.account_id, caller.principal_arn, action, resource_arn, kept, allowed
        )  # fmt: skip
        with self._lock:
            self._permissions.setdefault(entry)

    def all(self, principal_arn: str = "") -> list[Permission]:
        """Those asked of ``principal_arn``, or of anybody, in the order in which they were asked first."""
        with self._lock:
            entries = list(self._permissions)
        return [entry for entry in entries if principal_arn in ("", entry.principal_arn)]

    def clear(self) -> None:
        """Forget all permissions, not the phase."""
        with self._lock:
            self._permissions.clear()
