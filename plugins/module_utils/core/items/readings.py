# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads both tables of a comparison whole, in one or more processes: for sums of digests, or the keys that differ."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from ..errors import WorkerLost
from . import memory
from .answers import Key, KeyReader, Slice
from .client import Client
from .differences import CompareOptions, CompareProgress, Comparison
from .digest import BucketSums, Digests, Form, is_expired
from .kept_keys import KeptKeys
from .lanes import Lanes
from .permit import FREE, Bounds
from .scan import ParallelScan, Scanner, Segment, SegmentPage, segments_for, spread
from .tables import ItemTable
from .throttle import Rate, Throttle
from .workers import run_in_workers

Side = Literal["source", "destination"]

PROGRESS_SECONDS = 0.5


@dataclass
class Totals:
    """The counts of one reading of both tables."""

    items_source: int = 0
    items_destination: int = 0
    expired_source: int = 0
    expired_destination: int = 0
    marked_source: int = 0
    marked_destination: int = 0
    units_source: float | None = None
    units_destination: float | None = None

    @property
    def items(self) -> int:
        """Items of both tables."""
        return self.items_source + self.items_destination

    def count(self, side: Side, items: int, expired: int, units: float | None, marked: int = 0) -> None:
        """Count a page; of ``marked`` items attributes were left out."""
        if side == "source":
            self.marked_source += marked
            self.items_source += items
            self.expired_source += expired
            self.units_source = _plus(self.units_source, units)
        else:
            self.marked_destination += marked
            self.items_destination += items
            self.expired_destination += expired
            self.units_destination = _plus(self.units_destination, units)

    def result(self, differences: Counter[str], unlisted: int) -> Comparison:
        """The comparison's result."""
        return Comparison(
            self.items_source,
            self.items_destination,
            differences["missing"],
            differences["different"],
            differences["extra"],
            unlisted,
            self.expired_source,
            self.expired_destination,
            self.units_source,
            self.units_destination,
            self.marked_source,
            self.marked_destination,
        )


def _plus(units: float | None, more: float | None) -> float | None:
    return units if more is None else (units or 0.0) + more


class _ReadingDesk:
    """Hands out the segments of both tables, counts what is read, and keeps the keys of buckets that differ."""

    def __init__(
        self, task: Reading, progress: Callable[[CompareProgress], None], reading: int, kept: KeptKeys
    ) -> None:
        self.totals = Totals()
        self._segments = {
            "source": _segments(task.source, task.options.workers),
            "destination": _segments(task.destination, task.options.workers),
        }
        self._all = sum(map(len, self._segments.values()))
        self._done = 0
        self._progress = progress
        self._reading = reading
        self._reported = time.monotonic()
        self._lock = threading.Lock()
        self._kept = kept

    def next_segment(self, side: Side) -> Segment | None:
        """A segment of ``side`` that no worker has taken yet, None when all are taken."""
        with self._lock:
            waiting = self._segments[side]
            return waiting.popleft() if waiting else None

    def count(self, side: Side, items: int, expired: int, units: float | None, ended: bool, marked: int) -> None:
        """Count a page; ``ended`` says that it is the last of its segment, ``marked`` of how many items attributes were
        left out."""
        with self._lock:
            self.totals.count(side, items, expired, units, marked)
            self._done += ended
            now = time.monotonic()
            if now - self._reported < PROGRESS_SECONDS and self._done < self._all:
                return
            self._reported = now
            progress = CompareProgress(
                self._reading, self.totals.items_source, self.totals.items_destination, self._done, self._all
            )
        self._progress(progress)

    def require_whole(self) -> None:
        """Raises WorkerLost unless all segments of both tables were read to their end."""
        if self._done != self._all:
            raise WorkerLost(f"The comparison ended after {self._done} of {self._all} segments.", "Run it again.")

    def match(self, side: Side, digests: Sequence[tuple[Key, int]]) -> None:
        """Keep keys of ``side``, each with its item's digest. Raises CheckpointUnusable."""
        with self._lock:
            self._kept.add(side, digests)


def _segments(table: ItemTable, workers: int) -> deque[Segment]:
    total = segments_for(table, workers)
    return deque(Segment(number, total) for number in spread(total))


def sum_tables(
    task: Reading, progress: Callable[[CompareProgress], None], reading: int
) -> tuple[Totals, Sequence[int]]:
    """Read both tables; the counts, and the buckets that differ. Raises WorkerLost."""
    desk = _ReadingDesk(task, progress, reading, KeptKeys())
    sums = BucketSums(task.buckets)
    for each in _run(task, desk):
        sums.merge(each)
    desk.require_whole()
    return desk.totals, sums.differing()


def collect_keys(task: Reading, progress: Callable[[CompareProgress], None], kept: KeptKeys) -> None:
    """Read both tables again; ``kept`` gets the keys in ``task.looked_into``. Raises WorkerLost, CheckpointUnusable."""
    desk = _ReadingDesk(task, progress, 3, kept)
    _run(task, desk)
    desk.require_whole()


def bits_of(buckets: int, chosen: Iterable[int]) -> bytes:
    """A bit for each of ``buckets``, set for those ``chosen``."""
    bits = bytearray(-(-buckets // 8))
    for bucket in chosen:
        bits[bucket >> 3] |= 1 << (bucket & 7)
    return bytes(bits)


def _run(task: Reading, desk: _ReadingDesk) -> list[Sequence[int]]:
    options = task.options
    unbound = replace(task, options=replace(options, bounds=FREE))  # it is pickled; workers have bounds of theirs
    return run_in_workers(unbound, desk, options.workers, options.bounds)


# In each worker


class _Readings(Protocol):
    """What a worker asks the desk for; see _ReadingDesk."""

    def next_segment(self, side: Side) -> Segment | None:
        """See _ReadingDesk.next_segment."""

    def count(self, side: Side, items: int, expired: int, units: float | None, ended: bool, marked: int) -> None:
        """See _ReadingDesk.count."""

    def match(self, side: Side, digests: Sequence[tuple[Key, int]]) -> None:
        """See _ReadingDesk.match."""


@dataclass(frozen=True)
class Reading:
    """One worker's part of a reading of both tables.

    Items that have expired at ``now`` (epoch seconds) may be left out; ``digests`` are the same in all workers and
    readings of a comparison, ``form`` is the form of items that is digested. With ``looked_into``, a bit for each
    bucket, the keys of the items in these go to the desk, with digests of their canonical form; without it the sums are
    the result.
    """

    source: ItemTable
    destination: ItemTable
    options: CompareOptions
    buckets: int
    now: float
    digests: Digests
    form: Form
    looked_into: bytes = b""

    def run(self, desk: _Readings, workers: int, bounds: Bounds) -> Sequence[int]:
        """Read segments of both tables until the desk has none; the sums of the buckets."""
        with memory.for_items():
            return self._run(desk, workers, bounds)

    def _run(self, desk: _Readings, workers: int, bounds: Bounds) -> Sequence[int]:
        options = self.options
        sums = BucketSums(self.buckets)
        lanes = Lanes(bounds)
        sides: list[tuple[Side, ItemTable, Rate | None, Callable[[Iterable[int]], None]]] = [
            ("source", self.source, options.source_rate, sums.add),
            ("destination", self.destination, options.destination_rate, sums.subtract),
        ]
        scans = []
        for side, table, rate, add in sides:
            scan = ParallelScan(
                lanes,
                Client(table.endpoint, options.retry_policy, bounds),
                Scanner(table, consistent=options.consistent, metered=rate is not None),
                partial(desk.next_segment, side),
                partial(self._take, side, KeyReader(table.key, options.ignore_expired), desk, add),
                options.reads_at_once,
                Throttle(rate.share(workers)) if rate else None,
            )
            scans.append(scan)
        try:
            while delays := list(filter(None, [scan.fill() for scan in scans])):
                lanes.turn(min(delays))
        finally:
            lanes.close()
        return sums.sums

    def _take(
        self, side: Side, reader: KeyReader, desk: _Readings, add: Callable[[Iterable[int]], None], page: SegmentPage
    ) -> None:
        items = self.options.carried.of_page(page.body, page.items)
        marked = self.options.carried.shortened(page.items, items)
        live: Sequence[int] = range(len(items))
        if self.options.ignore_expired and items:
            numbers = reader.numbers_of_page(page.body)
            live = [position for position in live if not is_expired(numbers[position], self.now)]
            items = [items[position] for position in live]
        digests = self.digests.of(self.form, items)
        if not self.looked_into:
            add(digests)
        elif items:
            self._match(side, reader, desk, page, live, items, digests)
        desk.count(side, len(items), page.count - len(items), page.units, not page.next_key, marked)

    def _match(
        self,
        side: Side,
        reader: KeyReader,
        desk: _Readings,
        page: SegmentPage,
        live: Sequence[int],
        items: Sequence[Slice],
        digests: Sequence[int],
    ) -> None:
        bits, mask = self.looked_into, self.buckets - 1
        chosen = [
            number
            for number, bucket in enumerate([digest & mask for digest in digests])
            if bits[bucket >> 3] >> (bucket & 7) & 1
        ]
        if chosen:
            keys = reader.of_page(page.body)
            exact = self.digests.of("canonical", [items[number] for number in chosen])
            desk.match(side, [(keys[live[number]], digest) for number, digest in zip(chosen, exact, strict=True)])
