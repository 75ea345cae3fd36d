# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When a backup plan's rule runs: AWS's cron expressions of six fields."""

from __future__ import annotations

import datetime
import re
from dataclasses import dataclass
from zoneinfo import ZoneInfo

_EXPRESSION = re.compile(r"cron\((.+)\)")
_PART = re.compile(r"(\*|\?|[A-Z0-9]+)(?:-([A-Z0-9]+))?(?:/(\d+))?")
_MONTHS = ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"]
_DAYS = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"]
_SEARCHED_DAYS = 366 * 4


@dataclass(frozen=True)
class Schedule:
    """A parsed expression: the numbers that each field allows. Days of the week count from 1, a Sunday."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]
    years: frozenset[int]
    zone: str

    def next_after(self, time: float) -> float | None:
        """The first moment after ``time``, both epoch seconds; None when there is none in four years."""
        zone = ZoneInfo(self.zone)
        day = datetime.datetime.fromtimestamp(time, zone).date()
        for _ in range(_SEARCHED_DAYS):
            if self._has(day):
                for hour in sorted(self.hours):
                    for minute in sorted(self.minutes):
                        moment = datetime.datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone).timestamp()
                        if moment > time:
                            return moment
            day += datetime.timedelta(days=1)
        return None

    def _has(self, day: datetime.date) -> bool:
        weekday = day.isoweekday() % 7 + 1
        return day.year in self.years and day.month in self.months and day.day in self.days and weekday in self.weekdays


def parse(expression: str, zone: str) -> Schedule:
    """The schedule of ``cron(0 5 ? * * *)`` in a time zone (``Etc/UTC``); ValueError for anything else.

    The lab knows no ``L``, ``W`` and ``#``.
    """
    match = _EXPRESSION.fullmatch(expression.strip())
    fields = match[1].upper().split() if match else []
    if len(fields) != 6:
        raise ValueError(f"Schedule expression is not valid: {expression}")
    ZoneInfo(zone)  # raises a ValueError or a KeyError, ZoneInfoNotFoundError, for a zone that is not there
    minutes, hours, days, months, weekdays, years = fields
    return Schedule(
        _numbers(minutes, 0, 59),
        _numbers(hours, 0, 23),
        _numbers(days, 1, 31),
        _numbers(months, 1, 12, _MONTHS),
        _numbers(weekdays, 1, 7, _DAYS),
        _numbers(years, 1970, 2199),
        zone,
    )


def _numbers(field: str, low: int, high: int, names: list[str] | None = None) -> frozenset[int]:
    numbers: set[int] = set()
    for part in field.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(f"Schedule expression is not valid: {field}")
        first, last, step = match.groups()
        start = low if first in "*?" else _number(first, names)
        stop = _number(last, names) if last else high if first in "*?" or step else start
        if not low <= start <= stop <= high:
            raise ValueError(f"Schedule expression is not valid: {field}")
        numbers.update(range(start, stop + 1, int(step or 1)))
    return frozenset(numbers)


def _number(text: str, names: list[str] | None) -> int:
    if names and text in names:
        return names.index(text) + 1
    return int(text)
