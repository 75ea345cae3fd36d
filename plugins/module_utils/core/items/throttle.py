# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps a table's consumption under a rate of capacity units, by what AWS says each request consumed.

Each request takes the time that its units need at the rate, one request after the other. AWS takes it at some time
before its answer; what may have been taken within the last second, together with the next request, is never more than
the rate: neither a process or a network that stands still for a while, nor late answers, make a burst. Only requests
that are large for the rate exceed it, by one at most. The cost of a request is estimated before it and settled after.
"""

from __future__ import annotations

import heapq
import itertools
import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InvalidInput

AIM = 0.98  # of the rate, at which requests are spread over time
SECOND = 1.005  # in which no more than the rate is consumed; the rest is what a request may differ on its way
REQUEST_SECONDS = 0.02  # requests are made no larger than this much of the rate
COARSE = 0.04  # of a second's units: larger requests may exceed them, by one
CATCH_UP_SECONDS = 0.2  # of unused time that late requests may still use, within what a second allows
LONGEST_TRAVEL = 0.5  # of an answer, in seconds: what takes longer waited at the server
TIMED = 30  # requests: the fastest of fewer may have been a slow one
PROBE_SECONDS = 1.0  # how long to wait at a time while the first request is under way
LEARNING = 0.2  # the weight of one request in the estimate of the next

_RATE = re.compile(r"(?P<number>\d+(\.\d+)?) *(?P<percent>%)?")


@dataclass(frozen=True)
class Rate:
    """``units`` capacity units per second (read or write).

    With ``start`` > 0 the rate begins there and doubles every ``doubling`` seconds up to ``units``: an on-demand table
    takes twice its previous peak at once, a new one 4,000 write units, and more only over time (aws.md H).
    """

    units: float
    start: float = 0.0
    doubling: float = 1800.0

    def __post_init__(self) -> None:
        numbers = (self.units, self.start, self.doubling)
        if not all(map(math.isfinite, numbers)) or self.units <= 0 or self.start < 0 or self.doubling <= 0:
            raise InvalidInput(
                f"{self.units:g} units per second (starting at {self.start:g}) is not a rate.",
                "Give a number above 0, or nothing for no limit.",
            )

    @classmethod
    def percent_of(cls, capacity: int, percent: float) -> Rate:
        """``percent`` of a provisioned ``capacity`` in units per second. Raises InvalidInput for an on-demand table,
        whose capacity is 0."""
        if capacity <= 0:
            raise InvalidInput(
                "The rate is a part of the provisioned capacity, but an on-demand table has no provisioned capacity.",
                "Give units per second (500).",
            )
        return cls(capacity * percent / 100.0)

    def at(self, seconds: float) -> float:
        """Units per second, ``seconds`` after the start."""
        if not self.start:
            return self.units
        return min(self.units, self.start * float(2.0 ** min(seconds / self.doubling, 60.0)))


def check_rate(option: str, text: str) -> None:
    """Raises InvalidInput, naming ``option``, where ``text`` is neither "" nor a rate that some table could have."""
    to_rate(option, text, capacity=100)


def to_rate(option: str, text: str, capacity: int) -> Rate | None:
    """The rate in ``text``, the value of the module's ``option``; None for "", which means no limit.

    ``text`` is units per second ("500") or a part of the provisioned ``capacity`` in units per second ("50%"). Raises
    InvalidInput, for a part also where ``capacity`` is 0 (on demand).
    """
    text = text.strip()
    if not text:
        return None
    match = _RATE.fullmatch(text)
    number = float(match["number"]) if match else 0.0
    if match is None or not number or (match["percent"] and number > 100):
        raise InvalidInput(
            f"{option} {text!r} is not a rate: give units per second (500) or a part of the provisioned capacity"
            " (50%).",
            "",
        )
    return Rate.percent_of(capacity, number) if match["percent"] else Rate(number)


@dataclass(eq=False)
class Reserved:
    """A request for which time is reserved: its ``weight``, the units that it is expected to consume, when it was
    sent, and whether it is under way."""

    weight: float
    units: float
    sent: float
    under_way: bool = True


class Throttle:
    """One table's rate. ``delay`` says how long to wait, ``reserve`` and ``settle`` go around a request; ``spend`` is
    all of it for one request at a time.

    ``weight`` is what the caller knows of a request's cost beforehand, in its own measure; units per weight are
    learned. The second request has to wait until the first one is settled. For one thread.
    """

    def __init__(
        self, rate: Rate, clock: Callable[[], float] = time.monotonic, sharers: Callable[[], int] = lambda: 1
    ) -> None:
        """``sharers`` says among how many throttles the rate is divided now, evenly, this one among them."""
        self._rate = rate
        self._clock = clock
        self._sharers = sharers
        self._shared = sharers()
        self._more_from = -math.inf  # when this one may have what another had
        self._began = self._free_at = clock()
        self._units_per_weight = 0.0
        self._probing = False
        self._fastest = math.inf  # seconds from a request to its answer
        self._timed = 0  # requests of which this is
        self._latest_units = 0.0
        self._counted = 0.0  # units that count in the present second
        self._leaving: list[tuple[float, int, float]] = []  # those of them that are answered, and until when they count
        self._numbers = itertools.count()

    @property
    def request_units(self) -> float:
        """How many units one request should take at most."""
        return self.units_in(REQUEST_SECONDS)

    def units_in(self, seconds: float) -> float:
        """How many units may be consumed in ``seconds``."""
        return self._units_per_second * seconds

    def weight_for(self, units: float) -> float:
        """The weight that is expected to consume ``units``; 0 while that is unknown."""
        return units / self._units_per_weight if self._units_per_weight else 0.0

    def delay(self) -> float:
        """Seconds until the next request may be sent, 0 for now; a second one only after the answer to the first."""
        if self._probing:
            return PROBE_SECONDS
        now = self._clock()
        return max(0.0, self._free_at - now) or self._full_for(now)

    def reserve(self, weight: float) -> Reserved:
        """Reserve the time for a request of ``weight``, which is sent now."""
        self._probing = not self._units_per_weight
        now = self._clock()
        request = Reserved(weight, weight * self._units_per_weight, now)
        self._free_at = max(self._free_at, now - CATCH_UP_SECONDS)
        self._take(request.units)
        self._counted += request.units
        self._latest_units = request.units
        return request

    def spend(self, weight: float, request: Callable[[], float]) -> None:
        """Wait until a ``request`` of ``weight`` may be sent, send it, and settle the units that it returns."""
        while delay := self.delay():
            time.sleep(delay)
        reserved = self.reserve(weight)
        self.settle(reserved, request())

    def refused(self, request: Reserved) -> None:
        """AWS throttled ``request``: it will be sent again, and may be for long. Others need not wait for it."""
        if request.under_way:
            request.under_way = False
            self._probing = False  # the next one shows the cost then
            self._answered(request, request.units)

    def settle(self, request: Reserved, used: float, weight: float | None = None) -> None:
        """Note that ``request`` consumed ``used`` units; ``weight``, where it was another than expected."""
        self._probing = False
        weight = request.weight if weight is None else weight
        if used and weight:
            known = self._units_per_weight
            self._units_per_weight = known + LEARNING * (used / weight - known) if known else used / weight
        self._take(used - request.units)
        if request.under_way:
            request.under_way = False
            self._fastest = min(self._fastest, self._clock() - request.sent)
            self._timed += 1
            self._counted += used - request.units
        else:
            self._counted += used
        self._answered(request, used)

    def _answered(self, request: Reserved, units: float) -> None:
        # AWS took it at some time before the answer left, which travelled for no less than the fastest one.
        travelled = min(self._fastest, LONGEST_TRAVEL) if self._timed >= TIMED else 0.0
        at = max(request.sent, self._clock() - travelled)
        heapq.heappush(self._leaving, (at + SECOND, next(self._numbers), units))

    def _full_for(self, now: float) -> float:
        """Seconds until the present second may have room for one more request; 0 where it has."""
        while self._leaving and self._leaving[0][0] <= now:
            self._counted -= heapq.heappop(self._leaving)[2]
        needed = max(self.request_units, self._latest_units)
        most = self._rate_at(now)
        if needed > COARSE * most:
            most += needed  # else a second might have one request less than would fit
        if self._counted + needed <= most * (1.0 + 1e-9) or self._counted < 1e-6:
            return 0.0
        return self._leaving[0][0] - now if self._leaving else PROBE_SECONDS

    @property
    def _units_per_second(self) -> float:
        return AIM * self._rate_at(self._clock())

    def _rate_at(self, now: float) -> float:
        sharers = self._sharers()
        if sharers > self._shared:
            self._shared = sharers
        elif sharers < self._shared:
            # What the other one had consumed is of the present second still.
            self._more_from = now + SECOND if self._more_from == -math.inf else self._more_from
            if now >= self._more_from:
                self._shared, self._more_from = sharers, -math.inf
        return self._rate.at(now - self._began) / self._shared

    def _take(self, units: float) -> None:
        self._free_at += units / self._units_per_second
