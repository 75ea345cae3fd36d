# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies all items of one table into another, both there already, byte for byte.

    result = copy_items(source, destination, CopyOptions(checkpoint=path), progress=print)

The destination's items with other keys stay; those with the same keys are overwritten: whether that is allowed is the
caller's to know. A scan is no snapshot: what is written to the source meanwhile may or may not be in the copy.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from .checkpoint import Checkpoint, Counts
from .raw import KeyReader, Slice, require_msgspec
from .scan import Page, Scanner, Segment, segments_for
from .tables import ItemTable, require_same_key, require_unchanged
from .throttle import Rate, Throttle
from .together import run_together
from .wire import Client, Patience, Retries, Stopped
from .workers import run_in_workers
from .write import (
    BATCH_ITEMS,
    WRITE_UNIT_BYTES,
    Writer,
    Written,
    batches,
    distinct,
    without_replication_attributes,
)

POOL_BYTES = 16 * 1024 * 1024  # of pages read and not yet written, per worker
SAVE_SECONDS = 2.0  # what a kill costs at most, in work done again
PROGRESS_SECONDS = 0.5


@dataclass(frozen=True)
class CopyOptions:
    """How to copy.

    ``consistent`` reads the source strongly consistent, for twice the read units. ``workers`` are processes, each with
    ``scanners`` and ``writers`` threads, which are requests under way at once: one connection moves 25 items in a round
    trip. ``segments`` 0 chooses by the table's size. ``read_rate`` and ``write_rate`` limit the units per second of the
    whole copy. ``checkpoint`` is a file by which a later run goes on; it is kept, and a run that finds it complete
    copies nothing.
    """

    consistent: bool = False
    workers: int = 1
    scanners: int = 4
    writers: int = 16
    segments: int = 0
    read_rate: Rate | None = None
    write_rate: Rate | None = None
    checkpoint: Path | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class CopyProgress:
    """Where a copy stands: what was acknowledged so far, earlier runs by the same checkpoint included."""

    counts: Counts
    segments_done: int
    segments: int


@dataclass(frozen=True)
class CopyResult:
    """A copy that has ended: all of the source's items, as they were read, are acknowledged by the destination.

    ``retries`` are this run's, ``counts`` those of all runs by one checkpoint; ``resumed`` says that there were others.
    """

    counts: Counts
    retries: Retries
    resumed: bool


def copy_items(
    source: ItemTable,
    destination: ItemTable,
    options: CopyOptions | None = None,
    progress: Callable[[CopyProgress], None] = lambda _: None,
) -> CopyResult:
    """Copy all items of ``source`` into ``destination``; returns when AWS has acknowledged every one.

    ``progress`` is called about twice a second, from any thread. Raises MissingLibrary, KeySchemaDiffers,
    CheckpointUnusable before anything is written; ItemRefused, TableVanished, KeepsFailing, EndpointUnreachable,
    CredentialsError, AccessDenied, ServiceError, WorkerLost at any time, after which a run with the same checkpoint
    goes on.
    """
    options = options or CopyOptions()
    require_msgspec()
    require_same_key(source, destination)
    checkpoint = Checkpoint.load(source, destination, options.segments or segments_for(source), options.checkpoint)
    desk = _Desk(checkpoint, progress)
    task = _CopyTask(source, destination, options)
    retries: list[Retries] = []
    try:
        if not checkpoint.complete:
            checkpoint.save()
            retries = run_in_workers(task, desk, options.workers)
            for table in (source, destination):
                require_unchanged(table, Client(table.endpoint, patience=options.patience))
    finally:
        checkpoint.save()
    desk.tell()
    return CopyResult(checkpoint.counts, _all(retries), checkpoint.resumed)


def _all(retries: Sequence[Retries]) -> Retries:
    return Retries(
        sum(each.throttled for each in retries),
        sum(each.failed for each in retries),
        sum(each.broken for each in retries),
    )


class _Segments(Protocol):
    """What a worker asks of the desk."""

    def next_segment(self) -> Segment | None:
        """See Checkpoint.next_segment."""

    def advance(self, number: int, next_key: bytes, counts: Counts) -> None:
        """See Checkpoint.advance."""


class _Desk:
    """Hands out segments to the workers and takes back what they did: keeps the checkpoint, tells the progress."""

    def __init__(self, checkpoint: Checkpoint, progress: Callable[[CopyProgress], None]) -> None:
        self._checkpoint = checkpoint
        self._progress = progress
        self._lock = threading.Lock()
        self._saved = self._told = time.monotonic()

    def next_segment(self) -> Segment | None:
        return self._checkpoint.next_segment()

    def advance(self, number: int, next_key: bytes, counts: Counts) -> None:
        self._checkpoint.advance(number, next_key, counts)
        now = time.monotonic()
        with self._lock:
            saves, self._saved = (True, now) if now - self._saved > SAVE_SECONDS else (False, self._saved)
            tells, self._told = (True, now) if now - self._told > PROGRESS_SECONDS else (False, self._told)
        if saves:
            self._checkpoint.save()
        if tells:
            self.tell()

    def tell(self) -> None:
        """Tell the progress now."""
        checkpoint = self._checkpoint
        self._progress(CopyProgress(checkpoint.counts, checkpoint.done, checkpoint.total))


# In each worker


@dataclass(frozen=True)
class _CopyTask:
    """One worker's part: whatever segments the desk gives."""

    source: ItemTable
    destination: ItemTable
    options: CopyOptions

    def run(self, desk: _Segments, workers: int) -> Retries:
        """Copy segments until the desk has none. Raises what copy_items does."""
        options = self.options
        stop = threading.Event()
        reading = Client(self.source.endpoint, patience=options.patience, stop=stop)
        writing = Client(self.destination.endpoint, patience=options.patience, stop=stop)
        read_throttle = Throttle(options.read_rate.share(workers), stop) if options.read_rate else None
        write_throttle = Throttle(options.write_rate.share(workers), stop) if options.write_rate else None
        scanner = Scanner(reading, self.source, consistent=options.consistent, throttle=read_throttle)
        pool = _Pool(desk, Writer(writing, self.destination, write_throttle), stop, options.scanners)
        reader = _Reading(scanner, KeyReader(self.source.key), desk, pool, write_throttle)
        try:
            run_together([*[reader.read_all] * options.scanners, *[pool.write_all] * options.writers], stop, pool.wake)
        finally:
            reading.close()
            writing.close()
        return _all([reading.retries, writing.retries])


@dataclass(eq=False)
class _Work:
    """A page on its way: the batches that nobody has taken, how many are under way and how many not acknowledged."""

    page: Page
    waiting: list[list[Slice]]
    counts: Counts
    open: int
    under_way: int = 0


@dataclass(eq=False)
class _Row:
    """The pages of one segment in their order, which is the order in which they may be acknowledged."""

    works: deque[_Work] = field(default_factory=deque)
    lock: threading.Lock = field(default_factory=threading.Lock)


class _Reading:
    """Reads segments and cuts their pages into batches."""

    def __init__(
        self, scanner: Scanner, keys: KeyReader, desk: _Segments, pool: _Pool, write_throttle: Throttle | None
    ) -> None:
        self._scanner = scanner
        self._keys = keys
        self._desk = desk
        self._pool = pool
        self._write_throttle = write_throttle

    def read_all(self) -> None:
        """Read segments until there are no more."""
        while (segment := self._desk.next_segment()) is not None:
            for page in self._scanner.pages(segment):
                self._pool.add(self._cut(page))
        self._pool.end_feeding()

    def _cut(self, page: Page) -> _Work:
        items = distinct(page.items, self._keys.of_page(page.body)) if page.items else []
        counts = Counts(len(items), len(page.body), page.units, duplicates=page.count - len(items))
        most = BATCH_ITEMS
        if self._write_throttle is not None and items:
            affordable = self._write_throttle.request_units * len(items) * WRITE_UNIT_BYTES / len(page.body)
            most = max(1, min(BATCH_ITEMS, int(affordable)))
        waiting = batches(without_replication_attributes(page.body, items), most)
        return _Work(page, waiting, counts, len(waiting))


class _Pool:
    """The pages between reading and writing.

    Writers take from the page with the fewest batches under way: so writes are spread over the segments, and a hot
    partition holds up its own page only. A page is told to the desk when all before it in its segment are acknowledged.
    """

    def __init__(self, desk: _Segments, writer: Writer, stop: threading.Event, feeders: int) -> None:
        self._desk = desk
        self._writer = writer
        self._stop = stop
        self._feeders = feeders
        self._lock = threading.Lock()
        self._filled = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._works: list[_Work] = []
        self._rows: dict[int, _Row] = {}
        self._bytes = 0

    def add(self, work: _Work) -> None:
        """Take a page in, when there is room. Raises Stopped."""
        size = len(work.page.body)
        with self._lock:
            while self._bytes and self._bytes + size > POOL_BYTES and not self._stop.is_set():
                self._room.wait()
            if self._stop.is_set():
                raise Stopped
            self._bytes += size
            self._rows.setdefault(work.page.segment.number, _Row()).works.append(work)
            if work.waiting:
                self._works.append(work)
                self._filled.notify(len(work.waiting))
        if not work.open:
            self._settle(work)

    def end_feeding(self) -> None:
        """One reader is done."""
        with self._lock:
            self._feeders -= 1
            self._filled.notify_all()

    def wake(self) -> None:
        """Let everybody who waits see that the work was stopped."""
        with self._lock:
            self._filled.notify_all()
            self._room.notify_all()

    def write_all(self) -> None:
        """Write batches until there will be no more."""
        while (taken := self._take()) is not None:
            work, batch = taken
            self._acknowledge(work, self._writer.put(batch))

    def _take(self) -> tuple[_Work, list[Slice]] | None:
        with self._lock:
            while not self._works:
                if self._stop.is_set():
                    raise Stopped
                if not self._feeders:
                    return None
                self._filled.wait()
            work = min(self._works, key=_under_way)
            batch = work.waiting.pop()
            if not work.waiting:
                self._works.remove(work)
            work.under_way += 1
            return work, batch

    def _acknowledge(self, work: _Work, written: Written) -> None:
        with self._lock:
            work.under_way -= 1
            work.open -= 1
            if written.units is not None or written.resent:
                work.counts += Counts(write_units=written.units, resent=written.resent)
            whole = not work.open
        if whole:
            self._settle(work)

    def _settle(self, work: _Work) -> None:
        """Tell the desk of the segment's pages that are written, in their order."""
        row = self._rows[work.page.segment.number]
        freed = 0
        with row.lock:
            while row.works and not row.works[0].open:
                head = row.works.popleft()
                self._desk.advance(head.page.segment.number, head.page.next_key, head.counts)
                freed += len(head.page.body)
        with self._lock:
            self._bytes -= freed
            self._room.notify_all()


def _under_way(work: _Work) -> int:
    return work.under_way
