# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remote jobs as values, and one waiter for many of them (design section 5).

A job is what a run starts on AWS and a later run must find again: an export, an import, the settings of a table. Values
here are JSON-safe and hold no secrets: they travel through registered results, and the ledger keeps them.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, get_args

from .account import Account
from .errors import InvalidInput

JobName = Literal["export", "import", "settings"]
State = Literal["planned", "pending", "running", "completed", "failed", "cancelled", "not_needed"]
PendingReason = Literal["", "slot", "point_in_time_recovery", "settings"]


@dataclass(frozen=True)
class Job:
    """One remote job of one table.

    ``name`` is the table (an import's and settings' destination table, an export's source table). ``pending`` waits for
    ``pending_reason`` and is started by the waiter; ``not_needed`` was done by an earlier run, ``result`` is that run's.
    ``request`` is what is needed to start it again exactly so, ``attempt`` the number of earlier jobs of this table and
    purpose that must not be used again.
    """

    kind: JobName
    name: str
    state: State = "planned"
    arn: str = ""
    pending_reason: PendingReason = ""
    request: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    failure_code: str = ""
    failure_message: str = ""
    migration_id: str = "default"
    attempt: int = 0

    @property
    def open(self) -> bool:
        """Whether a waiter has something to wait for."""
        return self.state in ("pending", "running")

    @property
    def timed_out(self) -> bool:
        """Whether a waiter gave up while the job was still open; it goes on, and the next run finds it."""
        return bool(self.result.get("timed_out"))

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON-safe data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """The job from ``to_dict``'s data; unknown members are ignored. Raises InvalidInput when it is not a job."""
        values = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        if values.get("kind") not in get_args(JobName) or values.get("state", "planned") not in get_args(State):
            raise InvalidInput("The job is not one that a start verb returned.", "Pass the job of a start verb or job_wait.")
        return replace(cls(values["kind"], str(values.get("name", ""))), **values)


@dataclass(frozen=True)
class WaitItem:
    """One job to wait for. ``name`` is the caller's key for it (the host); sides as the job's kind needs them."""

    name: str
    source: Account | None
    destination: Account | None
    job: Job


@dataclass(frozen=True)
class WaitResult:
    """How all jobs stand; ``started`` names those the waiter started, ``poll_calls`` counts calls per kind."""

    jobs: dict[str, Job]
    poll_calls: dict[str, dict[str, int]]
    started: frozenset[str] = frozenset()


def wait_for(
    items: Sequence[WaitItem],
    timeout: float = 86400.0,
    progress: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> WaitResult:
    """Wait until every job has ended or ``timeout`` seconds are over; start those that are pending."""
    raise NotImplementedError
