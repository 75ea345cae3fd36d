# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ranges of seconds, dollars and other amounts, and how they are written."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

GB = 1 << 30  # bytes; AWS bills by these


@dataclass(frozen=True)
class Span:
    """From ``low`` to ``high``, both included."""

    low: float
    high: float

    def __add__(self, other: Span) -> Span:
        return Span(self.low + other.low, self.high + other.high)

    def times(self, factor: float) -> Span:
        """Both ends by ``factor``, which is not negative."""
        return Span(self.low * factor, self.high * factor)

    def holds(self, value: float) -> bool:
        """Whether ``value`` is within."""
        return self.low <= value <= self.high

    def overlaps(self, other: Span) -> bool:
        """Whether both have an amount in common."""
        return self.low <= other.high and other.low <= self.high

    def to_list(self, digits: int = 6) -> list[float]:
        """As JSON: [low, high], rounded."""
        return [round(self.low, digits), round(self.high, digits)]


NOTHING = Span(0, 0)


def exactly(value: float) -> Span:
    """A range of one amount."""
    return Span(value, value)


def total(spans: Iterable[Span]) -> Span:
    """The sum of all."""
    found = NOTHING
    for span in spans:
        found += span
    return found


def duration(seconds: float) -> str:
    """Seconds as people say them: ``45 s``, ``12 min``, ``3 h 20 min``, ``2 days 4 h``."""
    if seconds < 90:
        return f"{round(seconds)} s"
    minutes = round(seconds / 60)
    if minutes < 60:
        return f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} days {hours} h" if hours else f"{days} days"


def durations(seconds: Span) -> str:
    """A range of seconds: ``5 to 16 min``."""
    low, high = duration(seconds.low), duration(seconds.high)
    if low == high:
        return high
    number, _blank, unit = low.partition(" ")
    return f"{number} to {high}" if high.endswith(f" {unit}") and high.count(" ") == 1 else f"{low} to {high}"


def money(dollars: float) -> str:
    """Dollars: to the cent below 10, in full above."""
    if 0 < dollars < 0.01:
        return "under $0.01"
    return f"${dollars:,.2f}" if dollars < 10 else f"${dollars:,.0f}"


def about(cost: Span) -> str:
    """A range of dollars: ``about $212 ($180 to $244)``."""
    low, high = money(cost.low), money(cost.high)
    if cost.high < 0.01:
        return "under $0.01" if cost.high else "$0"
    if low == high:
        return f"about {high}"
    if cost.low < 0.01:
        return f"up to {high}"
    return f"about {money((cost.low + cost.high) / 2)} ({low} to {high})"


def amount_of_bytes(count: float) -> str:
    """Bytes as people say them."""
    for unit, size in (("TB", GB << 10), ("GB", GB), ("MB", 1 << 20), ("KB", 1 << 10)):
        if count >= size:
            return f"{count / size:.1f} {unit}"
    return f"{count:.0f} bytes"
