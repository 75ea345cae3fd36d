# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Spark job is to reach, and whether a run shows it.

The copy that the bounds speak of took 1/19.4 of the CPU of boto3's client. What that client takes is measured in the
same run, and the newest direct copy beside.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from benchmarks.peers import TABLEFERRY

SLACK = 0.03
COPY_OF_BOTO3 = 19.4  # how many times cheaper than boto3's client the copy was that the bounds speak of
BOTO3 = "boto3_client"
# By work, how many times the CPU of that copy an item may take.
DEARER: Mapping[str, float] = {"none": 1.15, "three": 1.6, "six": 2.4, "python": 3.0}
NEWER = 1.3  # on a newer Spark than the oldest, without steps
LOOK = 1.2  # for the look for colliding keys
WHOLE_OF_CONNECTOR, ITEM_OF_CONNECTOR, WHOLE_OF_BATCH_WRITER = 1 / 3, 1 / 4, 1 / 5
AWAY_ITEMS, AWAY_TIMES = 100_000, 5
RATE, RATE_LEAST, RATE_WORST = 2_000, 1_900, 2_040
MOST_MB, MB_APART = 550, 0.10
SMALL_CPU_SECONDS = 4.5


class Figure(Protocol):
    """A row of the benchmark."""

    work: str
    who: str
    items: int
    cpu_s: float
    peak_mb: float
    cpu_us: float
    rate: float
    worst: float


@dataclass(frozen=True)
class Target:
    """What is to be reached, and what this run got."""

    text: str
    got: str
    met: bool


def targets(rows: Sequence[Figure]) -> Iterator[Target]:
    """All of them, beside what ``rows`` show."""
    copy, newest = _cost(rows, "none", BOTO3) / COPY_OF_BOTO3, _cost(rows, "none", TABLEFERRY)
    oldest = next(row.who for row in rows if row.who.startswith("spark"))
    for work, most in DEARER.items():
        yield _beside(f"{oldest}, steps: {work}", _cost(rows, work, oldest), copy, newest, most)
    for row in rows:
        if row.who.startswith("spark") and row.who != oldest and row.cpu_us:
            yield _beside(f"{row.who}, steps: {row.work}", row.cpu_us, copy, newest, NEWER)
    look = _cost(rows, "look", oldest) - _cost(rows, "apart", oldest)
    yield _beside(f"{oldest}, the look for colliding keys", look, copy, newest, LOOK)
    yield from _beside_others(rows, oldest)
    yield from _of_jobs(rows, oldest)


def _beside(text: str, cost: float, copy: float, newest: float, most: float) -> Target:
    got = f"{cost / copy:.2f} times, {cost / newest:.2f} times the newest direct copy"
    return Target(f"{text}: CPU of an item at most {most} times the copy's", got, cost / copy <= most * (1 + SLACK))


def _beside_others(rows: Sequence[Figure], oldest: str) -> Iterator[Target]:
    whole = max(row.items for row in rows if row.who == "connector" and not row.cpu_us)
    for who, items, most in (
        ("connector", whole, WHOLE_OF_CONNECTOR),
        ("batch_writer", _items(rows, "batch_writer"), WHOLE_OF_BATCH_WRITER),
    ):
        ours, theirs = _whole(rows, oldest, items), _whole(rows, who, items)
        text = f"{items:,} items, start included: at most 1/{1 / most:.0f} of the CPU of {who}"
        yield Target(text, f"1/{theirs / ours:.1f}", ours / theirs <= most * (1 + SLACK))
    ours, theirs = _cost(rows, "none", oldest), _cost(rows, "none", "connector")
    text = f"an item: at most 1/{1 / ITEM_OF_CONNECTOR:.0f} of the CPU of connector"
    yield Target(text, f"1/{theirs / ours:.1f}", ours / theirs <= ITEM_OF_CONNECTOR * (1 + SLACK))


def _of_jobs(rows: Sequence[Figure], oldest: str) -> Iterator[Target]:
    away = {row.who: row.rate for row in rows if row.work == "away"}
    ours, theirs = away[oldest], away["connector"]
    text = f"10 ms per request, two slots: {AWAY_ITEMS:,} items a second, and {AWAY_TIMES} times those of connector"
    met = ours >= AWAY_ITEMS * (1 - SLACK) and ours >= theirs * AWAY_TIMES * (1 - SLACK)
    yield Target(text, f"{ours:,.0f}, {ours / theirs:.1f} times", met)
    rate = next(row for row in rows if row.work == "rate")
    text = f"{RATE:,} units/s shared by two tasks: at least {RATE_LEAST:,}, no second above {RATE_WORST:,}"
    met = rate.rate >= RATE_LEAST and rate.worst <= RATE_WORST
    yield Target(text, f"{rate.rate:,.0f}, worst second {rate.worst:,.0f}", met)
    few, many = (row.peak_mb for row in _both(rows, oldest))
    text = f"memory of the tree: at most {MOST_MB} MB, within {MB_APART:.0%} for ten times the items"
    met = max(few, many) <= MOST_MB * (1 + SLACK) and many <= few * (1 + MB_APART)
    yield Target(text, f"{few:.0f} / {many:.0f} MB", met)
    small = min((row for row in rows if row.who == oldest and row.work == "none"), key=lambda row: row.items)
    text = f"a job of {small.items:,} items: at most {SMALL_CPU_SECONDS} CPU-s"
    yield Target(text, f"{small.cpu_s:.1f}", small.cpu_s <= SMALL_CPU_SECONDS * (1 + SLACK))


def _both(rows: Sequence[Figure], oldest: str) -> Sequence[Figure]:
    """The rows that the slope without steps is between."""
    at = next(number for number, row in enumerate(rows) if row.who == oldest and row.work == "none" and row.cpu_us)
    return rows[at - 1 : at + 1]


def _cost(rows: Sequence[Figure], work: str, who: str) -> float:
    return next(row.cpu_us for row in rows if row.work == work and row.who == who and row.cpu_us)


def _items(rows: Sequence[Figure], who: str) -> int:
    return next(row.items for row in rows if row.who == who)


def _whole(rows: Sequence[Figure], who: str, items: int) -> float:
    return next(row.cpu_s for row in rows if row.who == who and row.work == "none" and row.items == items)
