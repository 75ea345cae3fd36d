# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads both tables of a comparison whole, in one or more processes: for sums of digests, or the keys that differ."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Literal, Protocol

from ..errors import WorkerLost
from . import memory
from .answers import Key, KeyReader, Raw, Slice
from .client import Client
from .differences import CompareOptions, CompareProgress, Comparison
from .digest import BucketSums, Digests, Form, is_expired
from .kept_keys import KeptKeys
from .lanes import Lanes
from .made_items import ExportStream, Looked, Making
from .permit import FREE, Bounds
from .scan import ParallelScan, Scanner, Segment, SegmentPage, segments_for, spread
from .tables import ItemTable
from .throttle import Rate, Throttle
from .transform.compiled import compiled
from .transform.tally import Tally
from .workers import run_in_workers

Side = Literal["source", "destination"]

PROGRESS_SECONDS = 0.5
AT_ONCE = 1e-6  # seconds to receive answers in, while there is more to do


@dataclass(frozen=True)
class Totals:
    """The counts of one reading of both tables, or of one of its pages. ``lost`` says how workers ended that died."""

    items_source: int = 0
    items_destination: int = 0
    expired_source: int = 0
    expired_destination: int = 0
    marked_source: int = 0
    marked_destination: int = 0
    units_source: float | None = None
    units_destination: float | None = None
    lost: tuple[str, ...] = ()
    tally: Tally | None = None  # of a transform

    @classmethod
    def of(cls, side: Side, items: int, expired: int, marked: int, units: float | None) -> Totals:
        """Of one page of ``side``; of ``marked`` items attributes were left out."""
        if side == "source":
            return cls(items_source=items, expired_source=expired, marked_source=marked, units_source=units)
        return cls(
            items_destination=items, expired_destination=expired, marked_destination=marked, units_destination=units
        )

    @property
    def items(self) -> int:
        """Items of both tables."""
        return self.items_source + self.items_destination

    def __add__(self, other: Totals) -> Totals:
        return Totals(
            self.items_source + other.items_source,
            self.items_destination + other.items_destination,
            self.expired_source + other.expired_source,
            self.expired_destination + other.expired_destination,
            self.marked_source + other.marked_source,
            self.marked_destination + other.marked_destination,
            _plus(self.units_source, other.units_source),
            _plus(self.units_destination, other.units_destination),
            tally=_together(self.tally, other.tally),
        )

    @property
    def units(self) -> Totals:
        """The units alone, of what was read in vain."""
        return Totals(units_source=self.units_source, units_destination=self.units_destination)

    def result(self, differences: Counter[str], unlisted: int) -> Comparison:
        """The comparison's result."""
        tally = self.tally or Tally()
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
            workers_lost=self.lost,
            read=tally.read,
            added=tally.added,
            kept_out=dict(tally.kept_out),
            refused=dict(tally.refused),
        )


def _plus(units: float | None, more: float | None) -> float | None:
    return units if more is None else (units or 0.0) + more


def _together(tally: Tally | None, more: Tally | None) -> Tally | None:
    if tally is None or more is None:
        return tally or more
    both = Tally()
    both.add(tally)
    both.add(more)
    return both


@dataclass(frozen=True)
class ReadPage:
    """A page of ``side`` as it was read: of which ``segment``, the key after which this continues (b"" at its end), the
    counts, and the keys to keep, each with its item's digest, and with the source's key where that is kept."""

    side: Side
    segment: int
    next_key: bytes
    totals: Totals
    digests: Sequence[tuple[Key, int]] = ()
    origins: Sequence[Key] = ()


class _ReadingDesk:
    """Hands out the segments of both tables, counts what is read, and keeps the keys of buckets that differ.

    The segments of a worker that died are handed out again at once: nothing is written. Its sums are lost with it, and
    all that it had read is read again; keys are kept page by page, and reading goes on after the last page.
    """

    def __init__(
        self, task: Reading, progress: Callable[[CompareProgress], None], reading: int, kept: KeptKeys
    ) -> None:
        self.lost: list[str] = []  # how workers ended that died
        self._segments = {
            "source": _segments(task.source, task.options.workers),
            "destination": _segments(task.destination, task.options.workers),
        }
        self._all = sum(map(len, self._segments.values()))
        self._sums = not task.looked_into
        self._progress = progress
        self._reading = reading
        self._reported = time.monotonic()
        self._lock = threading.Lock()
        self._kept = kept
        self._seats: list[_ReadingSeat] = []

    @property
    def totals(self) -> Totals:
        """The counts of all that was read, and is not to be read again."""
        return sum((seat.totals for seat in self._seats), Totals())

    def seat(self) -> _ReadingSeat:
        """For one more worker."""
        with self._lock:
            self._seats.append(_ReadingSeat(self))
            return self._seats[-1]

    def vacated(self, seat: _ReadingSeat, how: str) -> None:
        """See workers.Desk."""
        with self._lock:
            self.lost.append(how)
            for side, segments in seat.segments.items():
                self._segments[side].extendleft(segments.values())
            if self._sums:
                seat.totals, seat.done = seat.totals.units, 0

    def wait(self) -> float | None:
        """See workers.Desk."""
        with self._lock:
            return 0.0 if any(self._segments.values()) else None

    def next_segment(self, seat: _ReadingSeat, side: Side) -> Segment | None:
        """A segment of ``side`` that no worker has taken yet, None when all are taken."""
        with self._lock:
            waiting = self._segments[side]
            if not waiting:
                return None
            segment = waiting.popleft()
            seat.segments[side][segment.number] = segment
            return segment

    def count(self, seat: _ReadingSeat, page: ReadPage) -> None:
        """Take in a page. Raises CheckpointUnusable."""
        with self._lock:
            if page.digests:
                self._kept.add(page.side, page.digests, page.origins)
            seat.totals += page.totals
            seat.done += not page.next_key
            if not self._sums:
                segments = seat.segments[page.side]
                segment = segments.pop(page.segment)
                if page.next_key:
                    segments[page.segment] = replace(segment, start_key=page.next_key)
            now = time.monotonic()
            if now - self._reported < PROGRESS_SECONDS and self._done < self._all:
                return
            self._reported = now
            totals = self.totals
            progress = CompareProgress(
                self._reading, totals.items_source, totals.items_destination, self._done, self._all
            )
        self._progress(progress)

    @property
    def _done(self) -> int:
        return sum(seat.done for seat in self._seats)

    def require_whole(self) -> None:
        """Raises WorkerLost unless all segments of both tables were read to their end."""
        if self._done != self._all:
            raise WorkerLost(f"The comparison ended after {self._done} of {self._all} segments.", "Run it again.")


class _ReadingSeat:
    """What one worker asks of the desk, and what it has taken; see _Readings."""

    def __init__(self, desk: _ReadingDesk) -> None:
        self.totals = Totals()
        self.done = 0  # segments that it has read to their end
        # What is to be read again if it dies: all that it took for sums, or what it has not read yet.
        self.segments: dict[Side, dict[int, Segment]] = {"source": {}, "destination": {}}
        self._desk = desk

    def next_segment(self, side: Side) -> Segment | None:
        return self._desk.next_segment(self, side)

    def count(self, page: ReadPage) -> None:
        self._desk.count(self, page)


def _segments(table: ItemTable | ExportStream, workers: int) -> deque[Segment]:
    if isinstance(table, ExportStream):
        return deque([Segment(0, 1)])
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
    return replace(desk.totals, lost=tuple(desk.lost)), sums.differing()


def collect_keys(task: Reading, progress: Callable[[CompareProgress], None], kept: KeptKeys) -> tuple[str, ...]:
    """Read both tables again; ``kept`` gets the keys in ``task.looked_into``. How workers ended that died.

    Raises WorkerLost, CheckpointUnusable.
    """
    desk = _ReadingDesk(task, progress, 3, kept)
    _run(task, desk)
    desk.require_whole()
    return tuple(desk.lost)


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
    """What a worker asks the desk for."""

    def next_segment(self, side: Side) -> Segment | None:
        """See _ReadingDesk.next_segment."""

    def count(self, page: ReadPage) -> None:
        """See _ReadingDesk.count."""


@dataclass(frozen=True)
class Reading:
    """One worker's part of a reading of both tables.

    Items that have expired at ``now`` (epoch seconds) may be left out; ``digests`` are the same in all workers and
    readings of a comparison, ``form`` is the form of items that is digested. With ``looked_into``, a bit for each
    bucket, the keys of the items in these go to the desk, with digests of their canonical form; without it the sums are
    the result. ``by_key``: buckets are chosen by keys of the destination, and the keys of the source's items are kept
    too. An export is read in one process only.
    """

    source: ItemTable | ExportStream
    destination: ItemTable
    options: CompareOptions
    buckets: int
    now: float
    digests: Digests
    form: Form
    looked_into: bytes = b""
    by_key: bool = False

    def run(self, desk: _Readings, sharers: Callable[[], int], bounds: Bounds) -> Sequence[int]:
        """Read segments of both tables until the desk has none; the sums of the buckets."""
        with memory.for_items():
            return self._run(desk, sharers, bounds)

    def _run(self, desk: _Readings, sharers: Callable[[], int], bounds: Bounds) -> Sequence[int]:
        options = self.options
        sums = BucketSums(self.buckets)
        lanes = Lanes(bounds)
        sides: list[tuple[Side, ItemTable | ExportStream, Rate | None, Callable[[Iterable[int]], None]]] = [
            ("source", self.source, options.source_rate, sums.add),
            ("destination", self.destination, options.destination_rate, sums.subtract),
        ]
        fed: list[Callable[[], float]] = []
        for side, table, rate, add in sides:
            if isinstance(table, ExportStream):
                fed.append(partial(next, self._pieces(table, desk, add), 0.0))
                continue
            if self._is_plain(side):
                take = partial(self._take, side, KeyReader(table.key, options.ignore_expired), desk, add)
            else:
                take = partial(self._make, side, self._making(side), desk, add)
            # A key of the source is found in this reading only.
            exact = side == "source" and self.by_key and bool(self.looked_into)
            scan = ParallelScan(
                lanes,
                Client(table.endpoint, options.retry_policy, bounds),
                Scanner(table, consistent=options.consistent or exact, metered=rate is not None),
                partial(desk.next_segment, side),
                take,
                options.reads_at_once,
                Throttle(rate, sharers=sharers) if rate else None,
            )
            fed.append(scan.fill)
        try:
            while delays := list(filter(None, [fill() for fill in fed])):
                lanes.turn(min(delays))
        finally:
            lanes.close()
        return sums.sums

    def _is_plain(self, side: Side) -> bool:
        """Whether the items of ``side`` are compared as they are, each in the bucket of its digest."""
        return not self.by_key and (side == "destination" or self.options.transform is None)

    def _making(self, side: Side) -> Making:
        """What makes of the items of ``side`` what is compared."""
        options = self.options
        definition = options.transform if side == "source" else None
        return Making(
            Looked(
                self.buckets,
                self.now,
                options.ignore_expired,
                self.digests,
                self.form,
                self.looked_into,
                self.by_key,
            ),
            KeyReader(self.destination.key, options.ignore_expired),
            None if definition is None else compiled(definition),
            KeyReader(self.source.key) if side == "source" and self.by_key else None,
        )

    def _make(
        self, side: Side, making: Making, desk: _Readings, add: Callable[[Iterable[int]], None], page: SegmentPage
    ) -> None:
        """Take in a page of items that are not compared as they are."""
        items = self.options.carried.of_page(page.body, page.items)
        marked = self.options.carried.shortened(page.items, items)
        made = making.of(items)
        add(made.digests)
        totals = replace(Totals.of(side, made.items, made.expired, marked, page.units), tally=made.tally)
        desk.count(ReadPage(side, page.segment.number, page.next_key, totals, made.kept, made.origins))

    def _pieces(self, export: ExportStream, desk: _Readings, add: Callable[[Iterable[int]], None]) -> Iterator[float]:
        """Take in an export, piece by piece; after each, how many seconds answers may be waited for."""
        segment = desk.next_segment("source")
        if segment is None:
            return
        making = self._making("source")
        for piece in export.pieces():
            page = SegmentPage(segment, b"".join(piece), [Raw(item) for item in piece], len(piece), b"more", None)
            self._make("source", making, desk, add, page)
            yield AT_ONCE
        desk.count(ReadPage("source", segment.number, b"", Totals()))

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
        kept: list[tuple[Key, int]] = []
        if not self.looked_into:
            add(digests)
        elif items:
            kept = self._kept(reader, page, live, items, digests)
        totals = Totals.of(side, len(items), page.count - len(items), marked, page.units)
        # One call: a worker that dies has done both, or none.
        desk.count(ReadPage(side, page.segment.number, page.next_key, totals, kept))

    def _kept(
        self,
        reader: KeyReader,
        page: SegmentPage,
        live: Sequence[int],
        items: Sequence[Slice],
        digests: Sequence[int],
    ) -> list[tuple[Key, int]]:
        """The keys of ``page`` in the buckets that are looked into, with digests of their items' canonical form."""
        bits, mask = self.looked_into, self.buckets - 1
        chosen = [
            number
            for number, bucket in enumerate([digest & mask for digest in digests])
            if bits[bucket >> 3] >> (bucket & 7) & 1
        ]
        if not chosen:
            return []
        keys = reader.of_page(page.body)
        exact = self.digests.of("canonical", [items[number] for number in chosen])
        return [(keys[live[number]], digest) for number, digest in zip(chosen, exact, strict=True)]
