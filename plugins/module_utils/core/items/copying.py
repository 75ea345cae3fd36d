# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies all items of one table into another existing table, byte for byte.

    result = copy_items(source, destination, CopyOptions(checkpoint=path), progress=print)

The destination's items with other keys stay; those with the same keys are overwritten: the caller has to know whether
that is allowed. A scan is not a snapshot: what is written to the source meanwhile may or may not be in the copy.
"""

from __future__ import annotations

import threading
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from ..errors import Interrupted, ItemRefused, WorkerLost
from . import memory
from .answers import KeyReader, Slice, require_msgspec
from .carried import CARRIED, Carried
from .checkpoint import Checkpoint, Counts, locked
from .client import Client, Retries, RetryPolicy
from .descriptions import require_unchanged
from .lanes import LOOK_SECONDS, Lanes
from .permit import FREE, LATE_SECONDS, Bounds
from .scan import ParallelScan, Scanner, Segment, SegmentPage, segments_for
from .tables import ItemTable, carried_between, require_same_key, require_two, require_unchanged
from .throttle import Rate, Throttle
from .workers import run_in_workers
from .write import (
    BATCH_ITEMS,
    FIRST_BATCHES,
    MOST_REFUSED,
    WRITE_UNIT_BYTES,
    RefusedItem,
    Writer,
    Written,
    batches,
    distinct,
    refusal,
)

POOL_BYTES = 24 * 1024 * 1024  # of pages on their way, read or under way to the destination, per worker
ASIDE_BYTES = 16 * 1024 * 1024  # besides, of batches that AWS keeps throttling, per worker
STUCK_BATCHES = 2  # of a page, and of a segment: as many show whether its partition takes more
SPREAD_BATCHES = 8  # at a time from each page, the oldest first: so not all end, and are replaced, at once
POOL_SECONDS = 2.0  # of the write rate, where there is one: what was read long ago may have changed since
SAVE_SECONDS = 2.0  # of work that a kill costs at most
PROGRESS_SECONDS = 0.5


@dataclass(frozen=True)
class CopyOptions:
    """How to copy.

    ``consistent`` reads the source strongly consistent, for twice the read units. ``workers`` are processes; each keeps
    at most ``reads_at_once`` pages and ``writes_at_once`` batches under way: a round trip moves one of them.
    ``segments`` 0 means a number by the table's size. ``read_rate`` and ``write_rate`` limit the units per second of
    the whole copy. ``checkpoint`` is a file with which a later run continues; it is kept, and a run that finds it
    complete copies nothing; only one copy at a time may use it. ``carried`` is what of an item travels. ``bounds`` say
    until when the copy may write, and when it must stop.
    """

    consistent: bool = False
    workers: int = 1
    reads_at_once: int = 8
    writes_at_once: int = 256
    segments: int = 0
    read_rate: Rate | None = None
    write_rate: Rate | None = None
    checkpoint: Path | None = None
    carried: Carried = CARRIED
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    bounds: Bounds = FREE


@dataclass(frozen=True)
class CopyProgress:
    """Where a copy stands: what was acknowledged so far, by earlier runs with the same checkpoint too."""

    counts: Counts
    segments_done: int
    segments: int


@dataclass(frozen=True)
class CopyResult:
    """A copy that has ended: the destination has acknowledged all of the source's items, as they were read.

    ``retries`` are this run's, ``counts`` those of all runs with the checkpoint; ``resumed`` says that there were
    earlier ones. ``workers_lost`` says how worker processes ended that died, whose work others have done ("was ended by
    SIGKILL").
    """

    counts: Counts
    retries: Retries
    resumed: bool
    workers_lost: tuple[str, ...] = ()


def copy_items(
    source: ItemTable,
    destination: ItemTable,
    options: CopyOptions | None = None,
    progress: Callable[[CopyProgress], None] = lambda _: None,
) -> CopyResult:
    """Copy all items of ``source`` into ``destination``; returns when AWS has acknowledged every one.

    ``progress`` is called about twice a second, with several workers from other threads than the caller's.

    Before anything is written it raises MissingLibrary, InvalidInput, KeySchemaDiffers, CheckpointUnusable; when all
    others are written, or there are too many of them, ItemRefused, with the refused ``items`` in its details, for the
    file of their owner; at any time TableVanished, KeepsFailing, EndpointUnreachable, CredentialsError, AccessDenied,
    ServiceError, WorkerLost, LeaseOver and what the bounds' ``look`` raises. A run with the same checkpoint continues.
    """
    options = options or CopyOptions()
    require_msgspec()
    require_two(source, destination)
    require_same_key(source, destination)
    options = replace(options, carried=carried_between(source, destination, options.carried))
    with locked(options.checkpoint, options.bounds.look) as locks:
        return _copy(source, destination, options, progress, locks)


def _copy(
    source: ItemTable,
    destination: ItemTable,
    options: CopyOptions,
    progress: Callable[[CopyProgress], None],
    locks: Sequence[int],
) -> CopyResult:
    segments = options.segments or segments_for(source, options.workers)
    checkpoint = Checkpoint.load(source, destination, segments, options.checkpoint)
    desk = _CopyDesk(checkpoint, progress, destination.name)
    bounds = options.bounds
    task = _CopyTask(source, destination, replace(options, bounds=FREE))  # it is pickled; workers have bounds of theirs
    retries: list[Retries] = []
    try:
        if not checkpoint.complete:
            checkpoint.save()
            retries = run_in_workers(task, desk, options.workers, bounds, writes_to=destination.name, inherited=locks)
            require_unchanged((source, destination), options.retry_policy, bounds)
            desk.require_taken()
            if not checkpoint.complete:
                raise WorkerLost("The copy ended before all segments were copied.", "Run again: the copy continues.")
    finally:
        checkpoint.save()
    desk.report()
    return CopyResult(checkpoint.counts, _all(retries), checkpoint.resumed, tuple(desk.lost))


def _all(retries: Sequence[Retries]) -> Retries:
    return Retries(
        sum(each.throttled for each in retries),
        sum(each.failed for each in retries),
        sum(each.broken for each in retries),
    )


class _Segments(Protocol):
    """What a worker asks the desk for."""

    def next_segment(self) -> Segment | None:
        """See Checkpoint.next_segment."""

    def advance(self, number: int, next_key: bytes, counts: Counts) -> None:
        """See Checkpoint.advance."""

    def refuse(self, item: RefusedItem) -> None:
        """The destination refuses an item: its page is never reported. Raises ItemRefused for too many."""


class _CopyDesk:
    """Hands out segments to the workers and takes in what they did: keeps the checkpoint, reports the progress.

    The segments of a worker that died are handed out again LATE_SECONDS after its end, each from its last acknowledged
    page on; the others go on meanwhile. Sooner, requests that it had sent might still be under way: one that put an
    older version of an item could take effect after the newer one was read and put, and the newer one would be lost.
    While one process has a segment this cannot be: what it sends again are the same bytes.
    """

    def __init__(self, checkpoint: Checkpoint, progress: Callable[[CopyProgress], None], table: str) -> None:
        self.lost: list[str] = []  # how workers ended that died
        self._checkpoint = checkpoint
        self._table = table
        self._progress = progress
        self._lock = threading.Lock()
        self._seats: list[_CopySeat] = []
        self._vacated: list[tuple[float, _CopySeat]] = []  # with the time of its worker's end
        self._saved = self._reported = time.monotonic()

    def seat(self) -> _CopySeat:
        """For one more worker."""
        with self._lock:
            self._seats.append(_CopySeat(self))
            return self._seats[-1]

    def vacated(self, seat: _CopySeat, how: str) -> None:
        """See workers.Desk. Whoever reads the segments again meets the items again that were refused."""
        with self._lock:
            self.lost.append(how)
            self._seats.remove(seat)
            # A clock that stands still while the machine sleeps, as then nothing moves that its network still holds.
            self._vacated.append((time.monotonic(), seat))

    def wait(self) -> float | None:
        """See workers.Desk."""
        self._hand_over()
        if self._checkpoint.waiting:
            return 0.0
        with self._lock:
            now = time.monotonic()
            waits = [max(0.0, ended + LATE_SECONDS - now) for ended, seat in self._vacated if seat.segments]
        return min(waits, default=None)

    def _hand_over(self) -> None:
        with self._lock:
            over = [each for each in self._vacated if time.monotonic() - each[0] >= LATE_SECONDS]
            self._vacated = [each for each in self._vacated if each not in over]
        for _ended, seat in over:
            self._checkpoint.give_back(seat.segments)

    def next_segment(self) -> Segment | None:
        """See Checkpoint.next_segment."""
        self._hand_over()
        return self._checkpoint.next_segment()

    def advance(self, number: int, next_key: bytes, counts: Counts) -> None:
        """See Checkpoint.advance."""
        self._checkpoint.advance(number, next_key, counts)
        now = time.monotonic()
        with self._lock:
            saves, self._saved = (True, now) if now - self._saved > SAVE_SECONDS else (False, self._saved)
            reports, self._reported = (
                (True, now) if now - self._reported > PROGRESS_SECONDS else (False, self._reported)
            )
        if saves:
            self._checkpoint.save()
        if reports:
            self.report()

    def require_few(self) -> None:
        """Raises ItemRefused where the destination has refused so many items that it is not the items."""
        refused = self._refused()
        if len(refused) >= MOST_REFUSED:
            raise self._refusal(refused, f"{len(refused):,} items, and the copy was ended:")

    def require_taken(self) -> None:
        """Raises ItemRefused where the destination has refused items."""
        refused = self._refused()
        if refused:
            count = len(refused)
            raise self._refusal(refused, f"{count} items; all others are copied:" if count > 1 else "an item:")

    def _refused(self) -> list[RefusedItem]:
        with self._lock:
            return [item for seat in self._seats for item in seat.refused]

    def _refusal(self, refused: Sequence[RefusedItem], what: str) -> ItemRefused:
        return refusal(
            self._table,
            refused,
            what,
            "Correct the items in the source. If an index does not take their key, set indexes_after to have the index"
            " created after the copy, or leave_indexes to do without.",
        )

    def report(self) -> None:
        """Report the progress now."""
        checkpoint = self._checkpoint
        self._progress(CopyProgress(checkpoint.counts, checkpoint.done, checkpoint.total))


class _CopySeat:
    """What one worker asks of the desk, and what it has taken; see _Segments."""

    def __init__(self, desk: _CopyDesk) -> None:
        self.segments: set[int] = set()  # that it has begun and not finished
        self.refused: list[RefusedItem] = []
        self._desk = desk

    def next_segment(self) -> Segment | None:
        segment = self._desk.next_segment()
        if segment is not None:
            self.segments.add(segment.number)
        return segment

    def advance(self, number: int, next_key: bytes, counts: Counts) -> None:
        if not next_key:
            self.segments.discard(number)
        self._desk.advance(number, next_key, counts)

    def refuse(self, item: RefusedItem) -> None:
        self.refused.append(item)
        self._desk.require_few()


# In each worker


@dataclass(frozen=True)
class _CopyTask:
    """One worker's part of a copy: the segments that the desk gives it."""

    source: ItemTable
    destination: ItemTable
    options: CopyOptions

    def run(self, desk: _Segments, sharers: Callable[[], int], bounds: Bounds) -> Retries:
        """Copy segments until the desk has none. Raises what copy_items does."""
        with memory.for_items():
            return self._run(desk, sharers, bounds)

    def _run(self, desk: _Segments, sharers: Callable[[], int], bounds: Bounds) -> Retries:
        options = self.options
        reading = Client(self.source.endpoint, options.retry_policy, bounds)
        writing = Client(self.destination.endpoint, options.retry_policy, bounds)
        read_throttle = Throttle(options.read_rate, sharers=sharers) if options.read_rate else None
        write_throttle = Throttle(options.write_rate, sharers=sharers) if options.write_rate else None
        lanes = Lanes(bounds)
        writer = Writer(lanes, writing, self.destination, options.writes_at_once, write_throttle)
        pool = _Pool(desk, writer, KeyReader(self.source.key), options.carried, write_throttle)
        scanner = Scanner(self.source, consistent=options.consistent, metered=read_throttle is not None)
        reads_at_once = max(1, min(options.reads_at_once, pool.most_bytes // PAGE_BYTES))
        scan = ParallelScan(
            lanes, reading, scanner, desk.next_segment, pool.take, reads_at_once, read_throttle, pool.has_room_for
        )
        try:
            scan.fill(1)  # the first of each by the connections that described the tables
            writer.expect(min(FIRST_BATCHES, -(-self.source.item_count // BATCH_ITEMS)))  # while the first pages come
            while True:
                delay = scan.fill(pool.most_pages) or LOOK_SECONDS
                delay = min(delay, pool.write())
                if scan.ended and pool.empty:
                    break
                lanes.turn(delay)
        except Interrupted:
            lanes.finish()
            raise
        finally:
            lanes.close()
        return _all([reading.retries, writing.retries])


@dataclass(eq=False)
class _Work:
    """A page on its way: the batches that wait, how many are under way, not yet acknowledged, and stuck. ``size`` is
    that of the page, which is kept by the batches that wait, in bytes. ``refused``: with an item that AWS takes never.
    """

    segment: int
    next_key: bytes
    size: int
    waiting: list[list[Slice]]
    counts: Counts
    open: int
    under_way: int = 0
    stuck: int = 0
    refused: bool = False


class _Pool:
    """The pages between reading and writing.

    The next batch is of the page with the fewest under way: so writes are spread over the segments, and a hot partition
    delays its own page only: of a page with stuck batches nothing more is written, and its segment is not read on. A
    page's bytes are given back when its last batch is sent; it is reported to the desk when all before it in its
    segment are acknowledged.
    """

    def __init__(
        self, desk: _Segments, writer: Writer, keys: KeyReader, carried: Carried, throttle: Throttle | None
    ) -> None:
        self._desk = desk
        self._writer = writer
        self._keys = keys
        self._carried = carried
        self._throttle = throttle
        self._waiting: list[_Work] = []
        self._batches = 0  # that wait
        self._rows: dict[int, deque[_Work]] = defaultdict(deque)
        self._stuck: Counter[int] = Counter()
        self._bytes = 0
        self._page_bytes = PAGE_BYTES
        self._open = 0

    @property
    def most_bytes(self) -> int:
        """How many bytes may be requested, wait or be under way before no more pages are requested."""
        if self._throttle is None:
            return POOL_BYTES
        return min(POOL_BYTES, int(self._throttle.units_in(POOL_SECONDS) * WRITE_UNIT_BYTES))

    @property
    def empty(self) -> bool:
        """Whether all pages taken in are acknowledged."""
        return not self._open

    @property
    def most_pages(self) -> int:
        """How many pages may be on their way from the source now."""
        if self._writer.bytes_aside >= ASIDE_BYTES:
            return 0
        room = max(1, self.most_bytes) - self._bytes - self._writer.bytes
        return max(0, -(-room // self._page_bytes))

    def has_room_for(self, segment: int) -> bool:
        """Whether more pages of a segment may be requested: not while AWS takes nothing of it."""
        return self._stuck[segment] < STUCK_BATCHES

    def take(self, page: SegmentPage) -> None:
        """Take in a page."""
        self._page_bytes = max(self._page_bytes, len(page.body))
        items = distinct(page.items, self._keys.of_page(page.body)) if page.items else []
        kept = self._carried.of_page(page.body, items)
        counts = Counts(
            len(items),
            len(page.body),
            page.units,
            duplicates=page.count - len(items),
            shortened=self._carried.shortened(items, kept),
        )
        waiting = batches(kept, self._most_items(page))
        work = _Work(page.segment.number, page.next_key, len(page.body), waiting, counts, len(waiting))
        self._rows[work.segment].append(work)
        self._open += 1
        if waiting:
            self._bytes += work.size
            self._waiting.append(work)
            self._batches += len(waiting)
        else:
            self._settle(work)

    def write(self) -> float:
        """Write as many batches as may be under way; the seconds until there may be one more."""
        self._writer.expect(self._batches)
        while self._waiting:
            if delay := self._writer.delay():
                return delay
            work = min(self._waiting, key=_turn)
            if work.stuck >= STUCK_BATCHES:
                break
            batch = work.waiting.pop()
            self._batches -= 1
            if not work.waiting:
                self._waiting.remove(work)
                self._bytes -= work.size
            work.under_way += 1
            self._writer.put(batch, _Writing(self, work))
        return LOOK_SECONDS

    def _most_items(self, page: SegmentPage) -> int:
        """How many items a batch may have so that each second keeps the rate."""
        if self._throttle is None or not page.items:
            return BATCH_ITEMS
        average = max(WRITE_UNIT_BYTES, len(page.body) / len(page.items))
        return max(1, min(BATCH_ITEMS, int(self._throttle.request_units * WRITE_UNIT_BYTES / average)))

    def acknowledge(self, work: _Work, written: Written) -> None:
        """AWS has acknowledged a batch of ``work``."""
        work.under_way -= 1
        work.open -= 1
        if written.units is not None or written.resent:
            work.counts += Counts(write_units=written.units, resent=written.resent)
        if not work.open:
            self._settle(work)

    def stick(self, work: _Work, batches: int) -> None:
        """So many more ``batches`` of ``work`` are stuck."""
        work.stuck += batches
        self._stuck[work.segment] += batches

    def refuse(self, work: _Work, item: RefusedItem) -> None:
        """AWS refuses an item of ``work``. Raises ItemRefused for too many."""
        work.refused = True
        self._desk.refuse(item)

    def _settle(self, work: _Work) -> None:
        """Report the segment's written pages to the desk, in their order; none from a refused item on, so that the next
        run tries again."""
        self._open -= 1
        row = self._rows[work.segment]
        while row and not row[0].open and not row[0].refused:
            head = row.popleft()
            self._desk.advance(head.segment, head.next_key, head.counts)


@dataclass(eq=False)
class _Writing:
    """One batch under way, and the page that it is of."""

    pool: _Pool
    work: _Work
    stuck: int = 0

    def acknowledge(self, written: Written) -> None:
        """AWS has acknowledged it."""
        if self.stuck:
            self.pool.stick(self.work, -1)
        self.pool.acknowledge(self.work, written)

    def stick(self) -> None:
        """AWS keeps taking nothing of it."""
        self.stuck = 1
        self.pool.stick(self.work, 1)

    def refuse(self, item: RefusedItem) -> None:
        """AWS refuses one of its items."""
        self.pool.refuse(self.work, item)


def _turn(work: _Work) -> tuple[bool, int]:
    return work.stuck >= STUCK_BATCHES, work.under_way // SPREAD_BATCHES
