# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keeps a table's consumption under a rate of capacity units, by what AWS says each request consumed.

Each request takes the time that its units need at the rate, one request after the other. Unused time is not saved up,
so no second exceeds the rate by more than one request. The cost of a request is estimated before it and settled after.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..errors import InvalidInput

# Any two seconds together stay under twice the rate: 2 x AIM + REQUEST_SECONDS + CATCH_UP_SECONDS = 2.
AIM = 0.97  # of the rate
REQUEST_SECONDS = 0.04  # requests are made no larger than this much of the rate
CATCH_UP_SECONDS = 0.02  # of unused time that a late request may still use
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
        self._began = self._free_at = clock()
        self._units_per_weight = 0.0
        self._probing = False

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
        return max(0.0, self._free_at - self._clock())

    def reserve(self, weight: float) -> float:
        """Reserve the time for a request of ``weight``; the units it is expected to consume."""
        self._probing = not self._units_per_weight
        units = weight * self._units_per_weight
        self._free_at = max(self._free_at, self._clock() - CATCH_UP_SECONDS)
        self._take(units)
        return units

    def spend(self, weight: float, request: Callable[[], float]) -> None:
        """Wait until a ``request`` of ``weight`` may be sent, send it, and settle the units that it returns."""
        while delay := self.delay():
            time.sleep(delay)
        reserved = self.reserve(weight)
        self.settle(weight, reserved, request())

    def settle(self, weight: float, reserved: float, used: float) -> None:
        """Note that the request of ``weight``, for which ``reserved`` units were reserved, consumed ``used`` units."""
        self._probing = False
        if used and weight:
            known = self._units_per_weight
            self._units_per_weight = known + LEARNING * (used / weight - known) if known else used / weight
        self._take(used - reserved)

    @property
    def _units_per_second(self) -> float:
        return AIM * self._rate.at(self._clock() - self._began) / self._sharers()

    def _take(self, units: float) -> None:
        self._free_at += units / self._units_per_second
