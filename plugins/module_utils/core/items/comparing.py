# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares two tables by key, both ways: what is missing in the destination, different, or extra.

    result = compare_tables(source, destination, report=differences.append)

A full comparison reads both tables once and sums digests of their items in buckets: its memory does not grow with the
tables. Only where buckets differ are the tables read again, for the keys of the items in those. What then looks
different is read once more from both sides, strongly consistent, before it is told; so writes that go on do not make
false differences.
"""

from __future__ import annotations

import json
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Literal, Protocol, get_args

from ..errors import InvalidInput, WorkerLost
from .answers import Key, KeyReader, require_msgspec
from .client import Client, Patience
from .digest import BucketSums, canonical_digest, canonical_item, is_expired, raw_digest
from .lanes import Lanes
from .lookup import READ_ITEMS, Lookup
from .scan import Page, ParallelScan, Scanner, Segment, segments_for, spread
from .tables import ItemTable, require_same_key
from .throttle import Rate, Throttle
from .workers import run_in_workers
from .write import without_replication_attributes

Kind = Literal["missing", "different", "extra"]
Side = Literal["source", "destination"]

FEWEST_BUCKETS, MOST_BUCKETS = 1 << 14, 1 << 18
BUCKET_ITEMS = 16  # wanted in a bucket: what one difference has to read again
PROBE_ITEMS = 50
SAMPLE_DRAW = 10  # keys taken from one place of a table
MOST_SEGMENTS = 1_000_000  # of a Scan (aws.md H)
PROGRESS_SECONDS = 0.5


@dataclass(frozen=True)
class Difference:
    """One key that is not equal on both sides: ``missing`` in the destination, ``different``, or ``extra`` there.

    ``key`` is DynamoDB's JSON, ``{"id": {"S": "1"}}``.
    """

    kind: Kind
    key: Mapping[str, Mapping[str, str]]

    def to_line(self) -> str:
        """The difference as a line of JSON."""
        return json.dumps({"difference": self.kind, "key": self.key}, ensure_ascii=False)

    @classmethod
    def from_line(cls, line: str) -> Difference:
        """The difference in a line of ``to_line``. Raises InvalidInput."""
        try:
            told = json.loads(line)
            kind, key = told["difference"], told["key"]
            if kind not in get_args(Kind) or not isinstance(key, dict):
                raise ValueError(f"no difference is {kind!r}")
        except (ValueError, KeyError, TypeError) as error:
            raise InvalidInput(
                f"A line of the report of differences cannot be read: {error}.", "Compare the tables again."
            ) from error
        return cls(kind, key)


@dataclass(frozen=True)
class CompareOptions:
    """How to compare.

    ``consistent`` reads both tables strongly consistent from the beginning, for twice the units; differences are always
    read so before they are told. ``workers`` are processes; each keeps ``reads_at_once`` pages of either side under
    way. The rates limit the read units per second of the whole comparison. ``ignore_expired`` names the time to live
    attribute: items whose time has passed are then left out on both sides. ``most_listed`` bounds the memory for naming
    differences: about that many keys are held at once, and differing buckets beyond are counted, not looked into.
    """

    consistent: bool = False
    workers: int = 1
    reads_at_once: int = 8
    source_rate: Rate | None = None
    destination_rate: Rate | None = None
    ignore_expired: str = ""
    most_listed: int = 100_000
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class CompareProgress:
    """Where a comparison stands: items read of both sides in this reading of the tables, and parts of it done.

    ``reading`` is 1 for the first, 2 where equal items come in so different forms that their canonical forms have to be
    compared, 3 for the keys of what differs.
    """

    reading: int
    items_source: int
    items_destination: int
    segments_done: int
    segments: int


@dataclass(frozen=True)
class Comparison:
    """What was compared and found.

    ``items_*`` were read of either side and compared, ``expired_*`` left out; ``missing``, ``different`` and ``extra``
    count the differences told. ``unlisted_buckets`` > 0 says that there are more than could be named: this many groups
    of keys differ too. Read units are None where no rate was asked for.
    """

    items_source: int
    items_destination: int
    missing: int = 0
    different: int = 0
    extra: int = 0
    unlisted_buckets: int = 0
    expired_source: int = 0
    expired_destination: int = 0
    read_units_source: float | None = None
    read_units_destination: float | None = None

    @property
    def differences(self) -> int:
        """How many differences were told."""
        return self.missing + self.different + self.extra

    @property
    def equal(self) -> bool:
        """Whether nothing that was compared differs."""
        return not self.differences and not self.unlisted_buckets


def compare_tables(
    source: ItemTable,
    destination: ItemTable,
    options: CompareOptions | None = None,
    report: Callable[[Difference], None] = lambda _: None,
    progress: Callable[[CompareProgress], None] = lambda _: None,
) -> Comparison:
    """Compare all items of both tables; ``report`` gets each difference, after both sides were read consistently.

    Raises MissingLibrary, KeySchemaDiffers, TableVanished, KeepsFailing, EndpointUnreachable, CredentialsError,
    AccessDenied, ServiceError, WorkerLost.
    """
    options = options or CompareOptions()
    require_msgspec()
    require_same_key(source, destination)
    sides = _Sides(source, destination, options)
    try:
        now = time.time()
        buckets = _buckets_for(max(source.item_count, destination.item_count))
        canonical = sides.forms_differ()
        totals, differing = _sum(_Task(source, destination, options, buckets, now, canonical), progress, 1)
        # A bucket that differs holds one item at least, and by chance as many others as any bucket.
        affordable = max(1, int(options.most_listed / (1 + totals.items / buckets)))
        if len(differing) > affordable and not canonical:
            # Perhaps only the forms of equal items differ: those that the probe saw did not.
            canonical = True
            totals, differing = _sum(_Task(source, destination, options, buckets, now, canonical), progress, 2)
        looked_into = frozenset(differing[:affordable])
        found: Counter[str] = Counter()
        if looked_into:
            candidates = _collect(_Task(source, destination, options, buckets, now, canonical, looked_into), progress)
            for difference in sides.confirm(candidates, now):
                found[difference.kind] += 1
                report(difference)
        return totals.result(found, len(differing) - len(looked_into))
    finally:
        sides.close()


def compare_sample(
    source: ItemTable,
    destination: ItemTable,
    keys: int,
    options: CompareOptions | None = None,
    report: Callable[[Difference], None] = lambda _: None,
) -> Comparison:
    """Compare about ``keys`` items drawn at random from either table with what the other has; all of a small table.

    It says how many were compared, and nothing about the others. Raises what ``compare_tables`` does.
    """
    options = options or CompareOptions()
    require_msgspec()
    require_same_key(source, destination)
    sides = _Sides(source, destination, options)
    try:
        now = time.time()
        drawn = [sides.source.draw(keys), sides.destination.draw(keys)]
        found: Counter[str] = Counter()
        for difference in sides.confirm(dict.fromkeys(key for each in drawn for key in each), now):
            found[difference.kind] += 1
            report(difference)
        return Comparison(len(drawn[0]), len(drawn[1]), found["missing"], found["different"], found["extra"])
    finally:
        sides.close()


def _buckets_for(items: int) -> int:
    """A power of two that gives each bucket a few of ``items``, within what memory allows."""
    wanted = 1 << max(0, items // BUCKET_ITEMS).bit_length()
    return max(FEWEST_BUCKETS, min(MOST_BUCKETS, wanted))


class _Side:
    """One table, read by key and by sample."""

    def __init__(self, table: ItemTable, rate: Rate | None, patience: Patience) -> None:
        self.table = table
        self.client = Client(table.endpoint, patience)
        self.throttle = Throttle(rate) if rate else None
        self.lookup = Lookup(self.client, table, self.throttle)
        self.keys = self.lookup.keys
        self._scanner = Scanner(table, metered=rate is not None)

    def page(self, segment: Segment, limit: int) -> Page:
        """One page of at most ``limit`` items."""
        found: list[Page] = []

        def read() -> float:
            found.append(self._scanner.read(self.client, segment, limit))
            return found[0].units or 0.0

        if self.throttle is None:
            read()
        else:
            self.throttle.spend(limit, read)
        return found[0]

    def draw(self, keys: int) -> list[Key]:
        """About ``keys`` keys from random places, ``keys`` at most; all of a table that has no more."""
        found: dict[Key, None] = {}
        places = -(-keys // SAMPLE_DRAW)
        total = min(MOST_SEGMENTS, max(places, self.table.item_count // SAMPLE_DRAW))
        while total > 1 and len(found) < keys:
            for number in random.sample(range(total), min(total, places)):
                self._note(self.page(Segment(number, total), SAMPLE_DRAW), found)
            total //= 32
        segment: Segment | None = Segment(0, 1)
        while segment is not None and len(found) < keys:
            page = self.page(segment, keys)
            self._note(page, found)
            segment = Segment(0, 1, page.next_key) if page.next_key else None
        return list(found)[:keys]

    def _note(self, page: Page, found: dict[Key, None]) -> None:
        if page.items:
            found.update(dict.fromkeys(self.keys.of_page(page.body)))


class _Sides:
    """Both tables, looked at key by key."""

    def __init__(self, source: ItemTable, destination: ItemTable, options: CompareOptions) -> None:
        self._ignore_expired = options.ignore_expired
        self.source = _Side(source, options.source_rate, options.patience)
        self.destination = _Side(destination, options.destination_rate, options.patience)

    def close(self) -> None:
        """End the connections."""
        self.source.client.close()
        self.destination.client.close()

    def forms_differ(self) -> bool:
        """Whether equal items of both tables come in different forms, by the first few items."""
        page = self.source.page(Segment(0, 1), PROBE_ITEMS)
        mine = dict(zip(self.source.keys.of_page(page.body), page.items, strict=True)) if page.items else {}
        theirs = self.destination.lookup.read(list(mine))
        return any(
            bytes(mine[key]) != item and canonical_item(mine[key]) == canonical_item(item)
            for key, item in theirs.items()
            if key in mine
        )

    def confirm(self, keys: Iterable[Key], now: float) -> Iterator[Difference]:
        """The differences among ``keys``, each read from both sides, strongly consistent."""
        wanted = list(keys)
        for start in range(0, len(wanted), READ_ITEMS):
            part = wanted[start : start + READ_ITEMS]
            mine, theirs = self.source.lookup.read(part), self.destination.lookup.read(part)
            for key in part:
                kind = self._kind(mine.get(key), theirs.get(key), now)
                if kind:
                    yield Difference(kind, self.source.keys.to_json(key))

    def _kind(self, mine: bytes | None, theirs: bytes | None, now: float) -> Kind | None:
        if all(item is None or self._expired(item, now) for item in (mine, theirs)):
            return None
        if mine is None:
            return "extra"
        if theirs is None:
            return "missing"
        return None if mine == theirs or canonical_item(mine) == canonical_item(theirs) else "different"

    def _expired(self, item: bytes, now: float) -> bool:
        name = self._ignore_expired
        return bool(name) and is_expired(json.loads(item).get(name, {}).get("N", ""), now)


# Both tables whole


@dataclass
class _Totals:
    """What one reading of both tables counted."""

    items_source: int = 0
    items_destination: int = 0
    expired_source: int = 0
    expired_destination: int = 0
    units_source: float | None = None
    units_destination: float | None = None

    @property
    def items(self) -> int:
        """Of both sides."""
        return self.items_source + self.items_destination

    def count(self, side: Side, items: int, expired: int, units: float | None) -> None:
        """Count a page."""
        if side == "source":
            self.items_source += items
            self.expired_source += expired
            self.units_source = _plus(self.units_source, units)
        else:
            self.items_destination += items
            self.expired_destination += expired
            self.units_destination = _plus(self.units_destination, units)

    def result(self, found: Counter[str], unlisted: int) -> Comparison:
        """The comparison's result."""
        return Comparison(
            self.items_source,
            self.items_destination,
            found["missing"],
            found["different"],
            found["extra"],
            unlisted,
            self.expired_source,
            self.expired_destination,
            self.units_source,
            self.units_destination,
        )


def _plus(units: float | None, more: float | None) -> float | None:
    return units if more is None else (units or 0.0) + more


class _Desk:
    """Hands out the segments of both tables, counts what was read, and matches the keys of buckets that differ."""

    def __init__(self, task: _Task, progress: Callable[[CompareProgress], None], reading: int) -> None:
        self.totals = _Totals()
        self._segments = {
            "source": _segments(task.source, task.options.workers),
            "destination": _segments(task.destination, task.options.workers),
        }
        self._all = sum(map(len, self._segments.values()))
        self._done = 0
        self._progress = progress
        self._reading = reading
        self._told = time.monotonic()
        self._lock = threading.Lock()
        self._unmatched: dict[str, dict[Key, int]] = {"source": {}, "destination": {}}
        self._different: dict[Key, None] = {}

    def next_segment(self, side: Side) -> Segment | None:
        """A segment of ``side`` that nobody has read yet."""
        with self._lock:
            waiting = self._segments[side]
            return waiting.popleft() if waiting else None

    def count(self, side: Side, items: int, expired: int, units: float | None, ended: bool) -> None:
        """A page was read, perhaps the last of its segment."""
        with self._lock:
            self.totals.count(side, items, expired, units)
            self._done += ended
            now = time.monotonic()
            if now - self._told < PROGRESS_SECONDS and self._done < self._all:
                return
            self._told = now
            progress = CompareProgress(
                self._reading, self.totals.items_source, self.totals.items_destination, self._done, self._all
            )
        self._progress(progress)

    def require_whole(self) -> None:
        """Raises WorkerLost unless all segments of both sides were read to their end."""
        if self._done != self._all:
            raise WorkerLost(
                f"The comparison ended when {self._done} of {self._all} segments were read.", "Run it again."
            )

    def match(self, side: Side, found: Sequence[tuple[Key, int]]) -> None:
        """Keys of ``side`` with their items' digests; equal pairs are forgotten."""
        with self._lock:
            mine = self._unmatched[side]
            theirs = self._unmatched["destination" if side == "source" else "source"]
            for key, digest in found:
                other = theirs.pop(key, None)
                if other is None:
                    mine[key] = digest
                elif other != digest:
                    self._different[key] = None

    @property
    def candidates(self) -> list[Key]:
        """The keys that were not equal on both sides, as read so far."""
        return [*self._unmatched["source"], *self._unmatched["destination"], *self._different]


def _segments(table: ItemTable, workers: int) -> deque[Segment]:
    total = segments_for(table, workers)
    return deque(Segment(number, total) for number in spread(total))


def _sum(task: _Task, progress: Callable[[CompareProgress], None], reading: int) -> tuple[_Totals, list[int]]:
    """Read both tables; what was counted, and the buckets that differ."""
    desk = _Desk(task, progress, reading)
    sums = BucketSums(task.buckets)
    for each in run_in_workers(task, desk, task.options.workers):
        sums.merge(each)
    desk.require_whole()
    return desk.totals, sums.differing()


def _collect(task: _Task, progress: Callable[[CompareProgress], None]) -> list[Key]:
    """Read both tables again; the keys in the buckets looked into that are not equal on both sides."""
    desk = _Desk(task, progress, 3)
    run_in_workers(task, desk, task.options.workers)
    desk.require_whole()
    return desk.candidates


# In each worker


class _Readings(Protocol):
    """What a worker asks of the desk; see _Desk."""

    def next_segment(self, side: Side) -> Segment | None:
        """See _Desk.next_segment."""

    def count(self, side: Side, items: int, expired: int, units: float | None, ended: bool) -> None:
        """See _Desk.count."""

    def match(self, side: Side, found: Sequence[tuple[Key, int]]) -> None:
        """See _Desk.match."""


@dataclass(frozen=True)
class _Task:
    """One worker's part of a reading of both tables.

    ``now`` is when items must have expired to be left out, ``canonical`` which form of an item is digested. With
    ``looked_into`` the keys of the items in these buckets go to the desk, without it the sums are the result.
    """

    source: ItemTable
    destination: ItemTable
    options: CompareOptions
    buckets: int
    now: float
    canonical: bool
    looked_into: frozenset[int] | None = None

    def run(self, desk: _Readings, workers: int) -> list[int]:
        """Read segments of both tables until the desk has none; the sums of the buckets."""
        options = self.options
        sums = BucketSums(self.buckets)
        lanes = Lanes()
        sides: list[tuple[Side, ItemTable, Rate | None, Callable[[Iterable[int]], None]]] = [
            ("source", self.source, options.source_rate, sums.add),
            ("destination", self.destination, options.destination_rate, sums.subtract),
        ]
        scans = []
        for side, table, rate, add in sides:
            scan = ParallelScan(
                lanes,
                Client(table.endpoint, options.patience),
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
        self, side: Side, reader: KeyReader, desk: _Readings, add: Callable[[Iterable[int]], None], page: Page
    ) -> None:
        items = without_replication_attributes(page.body, page.items)
        live: Sequence[int] = range(len(items))
        if self.options.ignore_expired and items:
            numbers = reader.numbers_of_page(page.body)
            live = [position for position in live if not is_expired(numbers[position], self.now)]
            items = [items[position] for position in live]
        digests = list(map(canonical_digest if self.canonical else raw_digest, items))
        if self.looked_into is None:
            add(digests)
        elif items:
            self._match(side, reader, desk, page, live, digests)
        desk.count(side, len(items), page.count - len(items), page.units, not page.next_key)

    def _match(
        self,
        side: Side,
        reader: KeyReader,
        desk: _Readings,
        page: Page,
        live: Sequence[int],
        digests: Sequence[int],
    ) -> None:
        wanted, mask = self.looked_into or frozenset(), self.buckets - 1
        chosen = [(position, digest) for position, digest in zip(live, digests, strict=True) if digest & mask in wanted]
        if chosen:
            keys = reader.of_page(page.body)
            desk.match(side, [(keys[position], digest) for position, digest in chosen])
