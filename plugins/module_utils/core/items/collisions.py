# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Finds items of a source that a transform makes into one, before anything is written.

    collisions = find_collisions(source, definition, CollisionOptions(folder=path))
    collisions.count  # keys of the destination that several items get

The count is exact: of each key that the destination would get there is a digest of 16 bytes, in memory as far as that
reaches and then on disk. Items are only read, those of the examples twice.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from operator import add
from pathlib import Path

from ..errors import WorkerLost
from . import memory
from .answers import Key, KeyReader, Slice, require_msgspec
from .carried import CARRIED, Carried
from .client import Client, RetryPolicy
from .digest import Digests, key_texts
from .kept_digests import Doubled, KeptDigests, packed
from .kept_keys import MEMORY_BYTES
from .lanes import Lanes
from .permit import FREE, Bounds
from .scan import ParallelScan, Scanner, Segment, SegmentPage, segments_for, spread
from .tables import ItemTable, carried_between
from .throttle import Rate, Throttle
from .transform.compiled import Transform, compiled
from .transform.definition import Definition
from .transform.tally import Tally
from .transforming import require_source_key
from .workers import run_in_workers

MOST_EXAMPLES = 10
PROGRESS_SECONDS = 0.5

Pieces = Callable[[], Iterable[Sequence[Slice]]]  # opens a stream of items anew, which come in pieces


@dataclass(frozen=True)
class CollisionOptions:
    """How to look for collisions.

    Digests take 28 bytes for each item; beyond ``memory_bytes`` they go to ``folder``, of this machine, and without it
    they stay in memory. The other options are those of CopyOptions; ``workers`` are for tables only.
    """

    folder: Path | None = None
    memory_bytes: int = MEMORY_BYTES
    consistent: bool = False
    workers: int = 1
    reads_at_once: int = 8
    segments: int = 0
    read_rate: Rate | None = None
    carried: Carried = CARRIED
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    bounds: Bounds = FREE


@dataclass(frozen=True)
class Colliding:
    """A ``key`` of the destination and two items of the source that get it, by their keys, which are one where a
    function makes several items of one; all in DynamoDB's JSON. Keys are personal data, for a file of their owner."""

    key: Mapping[str, Mapping[str, str]]
    sources: tuple[Mapping[str, Mapping[str, str]], Mapping[str, Mapping[str, str]]]


@dataclass(frozen=True)
class Collisions:
    """``count`` keys of the destination that more than one item gets, by which ``lost`` items would be written over.

    ``examples`` are the first ten; fewer where items were changed meanwhile. ``read`` items were looked at.
    """

    count: int = 0
    lost: int = 0
    examples: tuple[Colliding, ...] = ()
    read: int = 0
    read_units: float | None = None
    workers_lost: tuple[str, ...] = ()


def find_collisions(
    source: ItemTable,
    definition: Definition,
    options: CollisionOptions | None = None,
    progress: Callable[[int], None] = lambda _: None,
) -> Collisions:
    """The items of ``source`` that would become one. Where the steps keep keys apart provably, nothing is read.

    ``progress`` gets the number of items read, about twice a second, with several workers from other threads than the
    caller's. Raises MissingLibrary, InvalidInput, InvalidTransform, KeySchemaDiffers, CheckpointUnusable for the
    folder, TableVanished, KeepsFailing, EndpointUnreachable, CredentialsError, AccessDenied, ServiceError, WorkerLost
    and what the bounds' ``look`` raises.
    """
    options = options or CollisionOptions()
    require_msgspec()
    transform = compiled(definition)
    require_source_key(source, definition)
    if transform.keys.apart:
        return Collisions()
    options = replace(options, carried=carried_between(source, source, options.carried))
    digests = Digests.chosen("auto")
    with _kept(source.item_count, options) as kept:
        segments = options.segments or segments_for(source, options.workers)
        desk = _CollisionDesk(segments, kept, progress)
        task = _CollisionTask(source, definition, digests, replace(options, bounds=FREE))
        run_in_workers(task, desk, options.workers, options.bounds)
        if not desk.complete:
            raise WorkerLost("The search for equal keys ended before all segments were read.", "Run again.")
        doubled = kept.doubled(MOST_EXAMPLES)
    progress(desk.read)
    examples = _Examples(doubled, transform, digests)
    if doubled.count:
        again = deque(Segment(number, segments) for number in doubled.portions)
        digesting = task.digesting()

        def take(page: SegmentPage) -> bool:
            examples.take(digesting.made_of_page(page))
            return not examples.complete

        task.read(lambda: again.popleft() if again else None, take, options.bounds)
    return Collisions(doubled.count, doubled.more, examples.found(), desk.read, desk.units, tuple(desk.lost))


def find_collisions_among(
    portions: Sequence[Pieces],
    definition: Definition,
    options: CollisionOptions | None = None,
    progress: Callable[[int], None] = lambda _: None,
    expected: int = 0,
) -> Collisions:
    """As find_collisions, of items that come in ``portions``, such as the files of an export; about ``expected`` items.

    Portions with examples are opened again. Raises MissingLibrary, InvalidTransform, CheckpointUnusable for the folder,
    ServiceError for anything but items, and what the portions raise.
    """
    options = options or CollisionOptions()
    transform = compiled(definition)
    if transform.keys.apart:
        return Collisions()
    digests = Digests.chosen("auto")
    digesting = Digesting(transform, digests, options.carried)
    read, shown = 0, time.monotonic()
    with memory.for_items(), _kept(expected, options) as kept:
        for number, portion in enumerate(portions):
            for items in portion():
                kept.add_packed(digesting.of(items, number))
                read += len(items)
                if time.monotonic() - shown > PROGRESS_SECONDS:
                    progress(read)
                    shown = time.monotonic()
        doubled = kept.doubled(MOST_EXAMPLES)
    progress(read)
    examples = _Examples(doubled, transform, digests)
    for number in doubled.portions:
        for items in portions[number]():
            if examples.complete:
                break
            examples.take(digesting.made(items))
    return Collisions(doubled.count, doubled.more, examples.found(), read)


def _kept(expected: int, options: CollisionOptions) -> KeptDigests:
    return KeptDigests(expected, options.folder, options.memory_bytes)


# What is made of items


@dataclass(frozen=True)
class _Gets:
    """Which items get which keys, item by item: keys of the destination, with the keys of the source's items, and
    numbers that tell apart what is made of one item."""

    keys: Sequence[Key] = ()
    sources: Sequence[Key] = ()
    numbers: Sequence[int] = ()


class Digesting:
    """Makes of items the digests of their keys in the destination. For one thread."""

    def __init__(self, transform: Transform, digests: Digests, carried: Carried) -> None:
        self._transform = transform
        self._digests = digests
        self._carried = carried
        self._source_keys = KeyReader(transform.definition.source.table.attributes)
        self._keys = KeyReader(transform.keys.destination.table.attributes)

    def of_page(self, page: SegmentPage) -> bytes:
        """The entries to keep of a page. Raises ServiceError, MissingLibrary."""
        return self._entries(self.made_of_page(page), page.segment.number)

    def of(self, items: Sequence[Slice], portion: int) -> bytes:
        """The entries to keep of ``items`` of a portion. Raises ServiceError, MissingLibrary."""
        return self._entries(self.made(items), portion)

    def made_of_page(self, page: SegmentPage) -> _Gets:
        """Which items of a page get which keys; those that no step leaves are not there. Raises ServiceError."""
        return self._made(page.body, page.items) if page.items else _Gets()

    def made(self, items: Sequence[Slice]) -> _Gets:
        """As ``made_of_page``, of items that may be of more than one answer."""
        return self._made(b'{"Items":[%s]}' % b",".join(items), items) if items else _Gets()

    def _made(self, body: bytes, items: Sequence[Slice]) -> _Gets:
        odd: dict[int, int] = {}
        made = self._transform.of_items(self._carried.of_page(body, items), Tally(), odd)
        if not made:
            return _Gets()
        sources, numbers = self._source_keys.of_page(body), [0] * len(made)
        if odd:
            counts = [odd.get(at, 1) for at in range(len(items))]
            sources = [source for source, count in zip(sources, counts, strict=True) for _each in range(count)]
            numbers = [number for count in counts for number in range(count)]
        return _Gets(self._keys.of_items(made), sources, numbers)

    def _entries(self, gets: _Gets, portion: int) -> bytes:
        sources = _digests(self._digests, gets.sources)
        return packed(_digests(self._digests, gets.keys), list(map(add, sources, gets.numbers)), portion)


def _digests(digests: Digests, keys: Sequence[Key]) -> list[int]:
    return digests.raw(key_texts(keys))


class _Examples:
    """Looks for the items behind the first digests that are there more than once."""

    def __init__(self, doubled: Doubled, transform: Transform, digests: Digests) -> None:
        self._sources: dict[int, dict[tuple[Key, int], None]] = {digest: {} for digest in doubled.first}
        self._keys: dict[int, Key] = {}
        self._digests = digests
        self._key_reader = KeyReader(transform.keys.destination.table.attributes)
        self._source_reader = KeyReader(transform.definition.source.table.attributes)

    @property
    def complete(self) -> bool:
        """Whether there are two items for each digest."""
        return all(len(sources) > 1 for sources in self._sources.values())

    def take(self, gets: _Gets) -> None:
        """Look at some items."""
        rows = zip(_digests(self._digests, gets.keys), gets.keys, gets.sources, gets.numbers, strict=True)
        for digest, key, source, number in rows:
            if digest in self._sources:
                self._keys[digest] = key
                self._sources[digest][source, number] = None

    def found(self) -> tuple[Colliding, ...]:
        """The examples."""
        return tuple(self._example(digest) for digest, sources in self._sources.items() if len(sources) > 1)

    def _example(self, digest: int) -> Colliding:
        one, other = (source for source, _number in islice(self._sources[digest], 2))
        to_json = self._source_reader.to_json
        return Colliding(self._key_reader.to_json(self._keys[digest]), (to_json(one), to_json(other)))


# Reading a table


class _CollisionDesk:
    """Hands out the segments, and keeps the digests page by page: those of a worker that died are handed out again at
    once, from the last page that it has reported."""

    def __init__(self, segments: int, kept: KeptDigests, progress: Callable[[int], None]) -> None:
        self.read = 0
        self.units: float | None = None
        self.lost: list[str] = []
        self._kept = kept
        self._progress = progress
        self._waiting = deque(Segment(number, segments) for number in spread(segments))
        self._left = segments
        self._shown = time.monotonic()
        self._lock = threading.Lock()

    @property
    def complete(self) -> bool:
        """Whether all segments were read to their ends."""
        return not self._left

    def seat(self) -> _CollisionSeat:
        """For one more worker."""
        return _CollisionSeat(self)

    def vacated(self, seat: _CollisionSeat, how: str) -> None:
        """See workers.Desk."""
        with self._lock:
            self.lost.append(how)
            self._waiting.extendleft(seat.segments.values())

    def wait(self) -> float | None:
        """See workers.Desk."""
        return 0.0 if self._waiting else None

    def next_segment(self) -> Segment | None:
        """A segment that no worker has."""
        with self._lock:
            return self._waiting.popleft() if self._waiting else None

    def advance(self, at_end: bool, items: int, units: float | None, entries: bytes) -> None:
        """Take in a page. Raises CheckpointUnusable."""
        with self._lock:
            self._kept.add_packed(entries)
            self.read += items
            if units is not None:
                self.units = (self.units or 0.0) + units
            self._left -= at_end
            now = time.monotonic()
            shows = now - self._shown > PROGRESS_SECONDS
            self._shown = now if shows else self._shown
        if shows:
            self._progress(self.read)


class _CollisionSeat:
    """What one worker asks of the desk, and what it has taken."""

    def __init__(self, desk: _CollisionDesk) -> None:
        self.segments: dict[int, Segment] = {}  # that it has begun and not finished, from where it stands
        self._desk = desk

    def next_segment(self) -> Segment | None:
        segment = self._desk.next_segment()
        if segment is not None:
            self.segments[segment.number] = segment
        return segment

    def advance(self, number: int, next_key: bytes, items: int, units: float | None, entries: bytes) -> None:
        if next_key:
            self.segments[number] = replace(self.segments[number], start_key=next_key)
        else:
            del self.segments[number]
        self._desk.advance(not next_key, items, units, entries)


@dataclass(frozen=True)
class _CollisionTask:
    """One worker's part: the segments that the desk gives it."""

    source: ItemTable
    definition: Definition
    digests: Digests
    options: CollisionOptions

    def run(self, desk: _CollisionSeat, sharers: Callable[[], int], bounds: Bounds) -> None:
        """Read segments until the desk has none."""
        digesting = self.digesting()

        def take(page: SegmentPage) -> bool:
            entries = digesting.of_page(page)
            desk.advance(page.segment.number, page.next_key, page.count, page.units, entries)
            return True

        self.read(desk.next_segment, take, bounds, sharers)

    def digesting(self) -> Digesting:
        """What makes digests of this task's items."""
        return Digesting(compiled(self.definition), self.digests, self.options.carried)

    def read(
        self,
        next_segment: Callable[[], Segment | None],
        take: Callable[[SegmentPage], bool],
        bounds: Bounds,
        sharers: Callable[[], int] = lambda: 1,
    ) -> None:
        """Read segments page by page, until ``take`` says that no more are needed."""
        options = self.options
        throttle = Throttle(options.read_rate, sharers=sharers) if options.read_rate else None
        scanner = Scanner(self.source, consistent=options.consistent, metered=throttle is not None)
        more = True

        def taken(page: SegmentPage) -> None:
            nonlocal more
            more = more and take(page)

        with memory.for_items():
            lanes = Lanes(bounds)
            client = Client(self.source.endpoint, options.retry_policy, bounds)
            scan = ParallelScan(lanes, client, scanner, next_segment, taken, options.reads_at_once, throttle)
            try:
                while more and (delay := scan.fill()):
                    lanes.turn(delay)
            finally:
                lanes.close()
