# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The world's time: a clock that tests push forward, measured durations, and token buckets that refill by it."""

from __future__ import annotations

import heapq
import itertools
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

# Seconds, measured/import-export-table.md section 2 and 3.15 unless another source is named. Services add their own
# with Timings.define. The import's three follow one another: call -> visible -> ACTIVE -> COMPLETED.
MEASURED_SECONDS: Mapping[str, float] = {
    "export.full": 152.7,
    "export.incremental": 125.7,
    "export.failing": 16.5,
    "import.visible": 30.7,
    "import.creating": 74.1,
    "import.completing": 6.0,
    "import.failing": 5.6,
    "table.creating": 2.0,
    "table.deleting": 5.1,
    "pitr.latest_lag": 180.0,
    "tags.readable": 1.88,
}


class Moment(NamedTuple):
    """One moment, in epoch seconds outside (``real``) and in the world."""

    real: float
    world: float


class Clock:
    """Real time plus an offset that only grows.

    A client that reads the machine's clock does not see the world jump ahead. Unless ``shared`` is set, that is no
    error of its clock: answers are dated in real time, and the date of a request may be real time or the world's. With
    ``shared`` clients read the world's time (``lab.controller`` gives it to them), and dates count as they are, as on
    AWS.
    """

    def __init__(self) -> None:
        self._offset = 0.0
        self.shared = False

    def now(self) -> float:
        """Seconds since the epoch in the world."""
        return self.real_now() + self._offset

    @staticmethod
    def real_now() -> float:
        """Seconds since the epoch outside, by which clients sign their requests unless the clock is ``shared``."""
        return time.time()

    def shown(self) -> float:
        """The time that answers are dated with: the one by which clients date their requests."""
        return self.now() if self.shared else self.real_now()

    def moment(self) -> Moment:
        """Now."""
        real = self.real_now()
        return Moment(real, real + self._offset)

    @property
    def offset(self) -> float:
        """Seconds by which the world is ahead of the outside."""
        return self._offset

    def advance(self, seconds: float) -> None:
        """Move the world's time forward. ``World.advance`` also runs what falls due on the way."""
        self._offset += seconds

    def age(self, date: float, received: Moment) -> float:
        """Seconds of the world since a client dated a request ``date`` (its epoch seconds); negative for one ahead.

        ``received`` is when the request came from the client; the seconds since then count too.
        """
        readings = [received.world - date] + ([] if self.shared else [received.real - date])
        return min(readings, key=abs) + self.now() - received.world


class Timings:
    """How long things take, in seconds by name; where none was set, the measured default times ``scale``."""

    def __init__(self, scale: float = 1.0) -> None:
        if scale < 0:
            raise ValueError("The scale of the timings must be 0 or more.")
        self.scale = scale
        self._defaults = dict(MEASURED_SECONDS)
        self._set: dict[str, float] = {}

    def define(self, name: str, seconds: float) -> None:
        """Add a timing, or give one another measured default."""
        self._defaults[name] = seconds

    def seconds(self, name: str) -> float:
        """Seconds that ``name`` takes in this world; KeyError for an unknown name."""
        chosen = self._set.get(name)
        return self._defaults[name] * self.scale if chosen is None else chosen

    def set(self, name: str, seconds: float) -> None:
        """Fix ``name`` to ``seconds``, whatever the scale."""
        if name not in self._defaults:
            raise KeyError(f"No timing is called {name!r}; there are: {', '.join(sorted(self._defaults))}")
        if seconds < 0:
            raise ValueError(f"The timing {name} must be 0 or more seconds.")
        self._set[name] = float(seconds)

    def all(self) -> dict[str, float]:
        """Every timing in seconds, as it is now."""
        return {name: self.seconds(name) for name in sorted(self._defaults)}


@dataclass(order=True, slots=True)
class Event:
    """Something that happens at ``due`` (epoch seconds of the world)."""

    due: float
    number: int
    action: Callable[[], Any] = field(compare=False)
    cancelled: bool = field(default=False, compare=False)

    def cancel(self) -> None:
        """Let it not happen."""
        self.cancelled = True


class Agenda:
    """Events in the order in which they fall due; equal times keep the order of scheduling."""

    def __init__(self) -> None:
        self._events: list[Event] = []
        self._numbers = itertools.count()

    def add(self, due: float, action: Callable[[], Any]) -> Event:
        """Plan ``action`` for ``due``."""
        event = Event(due, next(self._numbers), action)
        heapq.heappush(self._events, event)
        return event

    def next_due(self) -> float | None:
        """When the next event falls due, or None."""
        return self._events[0].due if self._events else None

    def take(self, now: float) -> Event | None:
        """The next event that is due by ``now`` and was not cancelled, taken off the agenda."""
        while self._events and self._events[0].due <= now:
            event = heapq.heappop(self._events)
            if not event.cancelled:
                return event
        return None


class Throttles:
    """Token buckets by account and family of operations, such as ``("1111..", "dynamodb.export")``.

    A bucket refills on the world's clock, faster in a scaled world, so that a paced client meets the same relation of
    jobs and calls. Throttles are off with the quotas and in a world of scale 0.
    """

    def __init__(self, clock: Clock, timings: Timings) -> None:
        self._clock = clock
        self._timings = timings
        self._buckets: dict[tuple[str, str], tuple[float, float]] = {}
        self.enabled = True

    def admits(
        self, account_id: str, family: str, *, burst: float, per_second: float, refused_count: bool = False
    ) -> bool:
        """Whether one more call passes. ``refused_count``: refused calls cost a token too (measured 1.11)."""
        if not self.enabled or self._timings.scale == 0:
            return True
        now = self._clock.now()
        tokens, since = self._buckets.get((account_id, family), (burst, now))
        tokens = min(burst, tokens + (now - since) * per_second / self._timings.scale)
        passes = tokens >= 1
        if passes or refused_count:
            tokens = max(tokens - 1, -burst)
        self._buckets[(account_id, family)] = (tokens, now)
        return passes

    def clear(self) -> None:
        """Fill every bucket."""
        self._buckets.clear()
