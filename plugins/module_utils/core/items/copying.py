# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies all items of one table into another existing table, byte for byte, or as a transform makes them.

    result = copy_items(source, destination, CopyOptions(checkpoint=path), progress=print)

The destination's items with other keys stay; those with the same keys are overwritten: the caller has to know whether
that is allowed. A scan is not a snapshot: what is written to the source meanwhile may or may not be in the copy.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from ..errors import CheckpointUnusable, Interrupted, WorkerLost
from . import memory
from .answers import KeyReader, require_msgspec
from .carried import CARRIED, Carried
from .checkpoint import Checkpoint, Counts, locked
from .client import Client, Retries, RetryPolicy
from .descriptions import require_unchanged
from .lanes import LOOK_SECONDS, Lanes
from .page_pool import PagePool, Segments
from .permit import FREE, LATE_SECONDS, Bounds
from .refused import RefusedItems
from .scan import PAGE_BYTES, ParallelScan, Scanner, Segment, segments_for
from .tables import ItemTable, carried_between, require_same_key, require_two
from .throttle import Rate, Throttle
from .transform.compiled import compiled
from .transform.definition import Definition
from .transform.fingerprint import fingerprint
from .transforming import Changing, require_key_after
from .workers import run_in_workers
from .write import BATCH_ITEMS, FIRST_BATCHES, MOST_REFUSED, RefusedItem, Writer

SAVE_SECONDS = 2.0  # of work that a kill costs at most
PROGRESS_SECONDS = 0.5


@dataclass(frozen=True)
class CopyOptions:
    """How to copy.

    ``consistent`` reads the source strongly consistent, for twice the read units. ``workers`` are processes; each keeps
    at most ``reads_at_once`` pages and ``writes_at_once`` batches under way: a round trip moves one of them.
    ``segments`` 0 means a number by the table's size. ``read_rate`` and ``write_rate`` limit the units per second of
    the whole copy. ``checkpoint`` is a file with which a later run continues; it is kept, and a run that finds it
    complete copies nothing; only one copy at a time may use it. ``carried`` is what of an item travels; ``transform``
    changes that on the way. ``skip_errors``: items that one of its steps cannot take are left out and counted; without
    it they fail the copy when all others are written. ``bounds`` say until when the copy may write, and when it must
    stop.
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
    transform: Definition | None = None
    skip_errors: bool = False
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

    ``retries`` are this run's, but for those of workers that died: each reports its own at its end. ``counts`` are
    those of all runs with the checkpoint; ``resumed`` says that there were earlier ones. ``workers_lost`` says how
    worker processes ended that died, whose work others have done ("was ended by SIGKILL").
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

    Before anything is written it raises MissingLibrary, InvalidInput, InvalidTransform, KeySchemaDiffers,
    CheckpointUnusable; when all others are written, or there are too many of them, ItemRefused, with the refused
    ``items`` in its details, for the file of their owner; at any time TableVanished, KeepsFailing, EndpointUnreachable,
    CredentialsError, AccessDenied, ServiceError, WorkerLost, LeaseOver and what the bounds' ``look`` raises. A run with
    the same checkpoint continues.
    """
    options = options or CopyOptions()
    require_msgspec()
    require_two(source, destination)
    if options.transform is None:
        require_same_key(source, destination)
    else:
        require_key_after(source, destination, compiled(options.transform))
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
    transform = fingerprint(options.transform) if options.transform is not None else ""
    checkpoint = Checkpoint.load(source, destination, segments, options.checkpoint, transform)
    if not options.skip_errors:
        _require_whole(checkpoint, options, source.name)
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


def _require_whole(checkpoint: Checkpoint, options: CopyOptions, table: str) -> None:
    """Raises CheckpointUnusable where an earlier run has left out items that this one may not."""
    left_out = sum(checkpoint.counts.refused.values())
    if left_out:
        raise CheckpointUnusable(
            f"The checkpoint {options.checkpoint} belongs to a copy that has left out {left_out:,} items which its"
            " transform cannot take.",
            "Set transform_errors to skip as before, or remove this file to copy from the beginning.",
            table=table,
        )


def _all(retries: Sequence[Retries]) -> Retries:
    return Retries(
        sum(each.throttled for each in retries),
        sum(each.failed for each in retries),
        sum(each.broken for each in retries),
    )


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
        """Raises ItemRefused where so many items were refused that it is not the items."""
        refused = self._refused()
        if refused.count >= MOST_REFUSED:
            raise refused.error(self._table, ended=True)

    def require_taken(self) -> None:
        """Raises ItemRefused where items were refused."""
        refused = self._refused()
        if refused.count:
            raise refused.error(self._table, ended=False)

    def _refused(self) -> RefusedItems:
        with self._lock:
            return RefusedItems(
                tuple(item for seat in self._seats for item in seat.refused),
                sum((failed for seat in self._seats for failed in seat.failed.values()), Counts()),
            )

    def report(self) -> None:
        """Report the progress now."""
        checkpoint = self._checkpoint
        self._progress(CopyProgress(checkpoint.counts, checkpoint.done, checkpoint.total))


class _CopySeat:
    """What one worker asks of the desk, and what it has taken; see Segments."""

    def __init__(self, desk: _CopyDesk) -> None:
        self.segments: set[int] = set()  # that it has begun and not finished
        self.refused: list[RefusedItem] = []
        self.failed: dict[int, Counts] = {}  # by segment
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
        if item not in self.refused:  # of a page that was read again
            self.refused.append(item)
        self._desk.require_few()

    def fail(self, number: int, failed: Counts) -> None:
        self.failed[number] = failed
        self._desk.require_few()


# In each worker


@dataclass(frozen=True)
class _CopyTask:
    """One worker's part of a copy: the segments that the desk gives it."""

    source: ItemTable
    destination: ItemTable
    options: CopyOptions

    def run(self, desk: Segments, sharers: Callable[[], int], bounds: Bounds) -> Retries:
        """Copy segments until the desk has none. Raises what copy_items does."""
        with memory.for_items():
            return self._run(desk, sharers, bounds)

    def _run(self, desk: Segments, sharers: Callable[[], int], bounds: Bounds) -> Retries:
        options = self.options
        reading = Client(self.source.endpoint, options.retry_policy, bounds)
        writing = Client(self.destination.endpoint, options.retry_policy, bounds)
        read_throttle = Throttle(options.read_rate, sharers=sharers) if options.read_rate else None
        write_throttle = Throttle(options.write_rate, sharers=sharers) if options.write_rate else None
        lanes = Lanes(bounds)
        writer = Writer(lanes, writing, self.destination, options.writes_at_once, write_throttle)
        keys, changing = KeyReader(self.source.key), None
        if options.transform is not None:
            changing = Changing(compiled(options.transform), keys, skip_errors=options.skip_errors)
        pool = PagePool(desk, writer, keys, options.carried, write_throttle, changing)
        scanner = Scanner(self.source, consistent=options.consistent, metered=read_throttle is not None)
        reads_at_once = max(1, min(options.reads_at_once, pool.most_bytes // PAGE_BYTES))
        scan = ParallelScan(
            lanes, reading, scanner, desk.next_segment, pool.take, reads_at_once, read_throttle, pool.has_room_for
        )
        pool.rewind = scan.rewind
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
