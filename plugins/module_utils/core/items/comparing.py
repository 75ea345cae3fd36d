# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares two tables by key, both ways: what is missing in the destination, different, or extra.

    result = compare_tables(source, destination, report=differences.append)

A full comparison reads both tables once and sums digests of their items in buckets: its memory does not grow with the
tables. Only where buckets differ are the tables read again, for the keys of the items in those: on disk where they are
too many for memory. What then looks different is read once more from both tables, strongly consistent, before it is
reported, so that ongoing writes do not make false differences.
"""

from __future__ import annotations

import json
import math
import random
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from .answers import Key, require_msgspec
from .client import Client
from .differences import CompareOptions, CompareProgress, Comparison, Difference, Kind
from .digest import Digests, Form, canonical_item, in_form, is_expired
from .kept_keys import KeptKeys, entry_bytes, free_bytes
from .lookup import READ_ITEMS, Lookup
from .private_files import in_words
from .readings import Reading, bits_of, collect_keys, sum_tables
from .scan import Scanner, Segment, SegmentPage
from .tables import ItemTable, carried_between, require_same_key
from .throttle import Rate, Throttle

FEWEST_BUCKETS = 1 << 14
BUCKET_ITEMS = 16  # in a bucket, about: so many are read again for one difference
PROBE_ITEMS = 50
FREE_SHARE = 0.9  # of the free space on disk, which may be used: others write too
ENTRY_BYTES = 100  # of a key on disk, where the probe has none
SAMPLE_DRAW = 10  # keys drawn from one segment of a table
MOST_SEGMENTS = 1_000_000  # of a Scan (aws.md H)


def compare_tables(
    source: ItemTable,
    destination: ItemTable,
    options: CompareOptions | None = None,
    report: Callable[[Difference], None] = lambda _: None,
    progress: Callable[[CompareProgress], None] = lambda _: None,
) -> Comparison:
    """Compare all items of both tables; ``report`` gets each difference, after both tables were read consistently.

    Raises MissingLibrary, KeySchemaDiffers, TableVanished, KeepsFailing, EndpointUnreachable, CredentialsError,
    AccessDenied, ServiceError, WorkerLost, CheckpointUnusable when the work directory fails.
    """
    options = options or CompareOptions()
    require_msgspec()
    require_same_key(source, destination)
    options = replace(options, carried=carried_between(source, destination, options.carried))
    tables = _TablePair(source, destination, options)
    try:
        now = time.time()
        buckets = _buckets_for(max(source.item_count, destination.item_count), options.most_buckets)
        digests = Digests.chosen(options.digest)
        task = Reading(source, destination, options, buckets, now, digests, tables.form())
        totals, differing = sum_tables(task, progress, 1)
        room = _Room.found(options, tables.entry_bytes, totals.items, buckets, len(differing))
        earlier: tuple[str, ...] = ()
        if len(differing) > room.buckets and task.form != "canonical":
            # Perhaps the items are equal and only their forms differ; those in the probe did not.
            task, earlier = replace(task, form="canonical"), totals.lost
            totals, differing = sum_tables(task, progress, 2)
            room = _Room.found(options, tables.entry_bytes, totals.items, buckets, len(differing))
        counts: Counter[str] = Counter()
        chosen = differing[: room.buckets]
        lost = earlier + totals.lost
        if chosen:
            with KeptKeys(int(len(chosen) * (1 + totals.items / buckets)), room.folder) as kept:
                lost += collect_keys(replace(task, looked_into=bits_of(buckets, chosen)), progress, kept)
                for difference in tables.confirm(kept.unmatched(), now):
                    counts[difference.kind] += 1
                    report(difference)
        return replace(
            totals.result(counts, len(differing) - len(chosen)),
            work_bytes=room.needed,
            work_bytes_free=room.free,
            work_unusable=room.unusable,
            workers_lost=lost,
        )
    finally:
        tables.close()


def compare_sample(
    source: ItemTable,
    destination: ItemTable,
    keys: int,
    options: CompareOptions | None = None,
    report: Callable[[Difference], None] = lambda _: None,
) -> Comparison:
    """Compare about ``keys`` items, drawn at random from each table, with the other table; all items of a small table.

    The result says how many were compared, and nothing about the others. Raises what ``compare_tables`` does.
    """
    options = options or CompareOptions()
    require_msgspec()
    require_same_key(source, destination)
    options = replace(options, carried=carried_between(source, destination, options.carried))
    tables = _TablePair(source, destination, options)
    try:
        now = time.time()
        drawn = [tables.source.draw(keys), tables.destination.draw(keys)]
        counts: Counter[str] = Counter()
        for difference in tables.confirm(dict.fromkeys(key for each in drawn for key in each), now):
            counts[difference.kind] += 1
            report(difference)
        return Comparison(len(drawn[0]), len(drawn[1]), counts["missing"], counts["different"], counts["extra"])
    finally:
        tables.close()


def _buckets_for(items: int, most: int) -> int:
    """A power of two that gives each bucket a few of ``items``, within what memory allows."""
    buckets = 1 << max(0, items // BUCKET_ITEMS).bit_length()
    return max(min(FEWEST_BUCKETS, most), min(most, buckets))


@dataclass(frozen=True)
class _Room:
    """How many of the buckets that differ can be looked into, and the ``folder`` for what memory does not hold.

    ``needed`` bytes all of them take on disk, 0 in memory; ``free`` can be had; ``unusable`` says why none can.
    """

    buckets: int
    folder: Path | None = None
    needed: int = 0
    free: int = 0
    unusable: str = ""

    @classmethod
    def found(cls, options: CompareOptions, entry: int, items: int, buckets: int, differing: int) -> _Room:
        """The room for ``differing`` of ``buckets``, where both tables have ``items`` and a key takes ``entry`` bytes
        on disk."""
        # A bucket that differs holds one item at least, and by chance as many others as any bucket.
        each = 1 + items / buckets
        in_memory = max(1, int(options.most_listed / each))
        if differing <= in_memory or options.work_dir is None:
            return cls(in_memory)
        needed = int(differing * each * entry)
        try:
            free = int(free_bytes(options.work_dir) * FREE_SHARE)
        except OSError as error:
            return cls(in_memory, needed=needed, unusable=in_words(error))
        free = min(free, options.most_work_bytes)
        # Differences fall into buckets by chance: so many are in one. Each of them is read from both tables by key.
        share = differing / buckets
        in_one = max(1.0, -math.log1p(-share) / share if share < 1 else items / buckets)
        on_disk = min(int(free / (each * entry)), int(options.most_differing / in_one))
        if on_disk <= in_memory:
            return cls(in_memory, needed=needed, free=free)
        return cls(on_disk, options.work_dir, needed, free)


class _KeyedTable:
    """One table, read by key and by sample."""

    def __init__(self, table: ItemTable, rate: Rate | None, options: CompareOptions) -> None:
        self.table = table
        self.client = Client(table.endpoint, options.retry_policy, options.bounds)
        self.throttle = Throttle(rate) if rate else None
        self.lookup = Lookup(self.client, table, self.throttle)
        self.keys = self.lookup.keys
        self._scanner = Scanner(table, metered=rate is not None)

    def page(self, segment: Segment, limit: int) -> SegmentPage:
        """One page of at most ``limit`` items."""
        pages: list[SegmentPage] = []

        def read() -> float:
            pages.append(self._scanner.read(self.client, segment, limit))
            return pages[0].units or 0.0

        if self.throttle is None:
            read()
        else:
            self.throttle.spend(limit, read)
        return pages[0]

    def draw(self, keys: int) -> list[Key]:
        """Up to ``keys`` keys from random segments; all keys of a table that has no more."""
        drawn: dict[Key, None] = {}
        places = -(-keys // SAMPLE_DRAW)
        total = min(MOST_SEGMENTS, max(places, self.table.item_count // SAMPLE_DRAW))
        while total > 1 and len(drawn) < keys:
            for number in random.sample(range(total), min(total, places)):
                self._note(self.page(Segment(number, total), SAMPLE_DRAW), drawn)
            total //= 32
        segment: Segment | None = Segment(0, 1)
        while segment is not None and len(drawn) < keys:
            page = self.page(segment, keys)
            self._note(page, drawn)
            segment = Segment(0, 1, page.next_key) if page.next_key else None
        return list(drawn)[:keys]

    def _note(self, page: SegmentPage, drawn: dict[Key, None]) -> None:
        if page.items:
            drawn.update(dict.fromkeys(self.keys.of_page(page.body)))


class _TablePair:
    """Both tables, read key by key."""

    def __init__(self, source: ItemTable, destination: ItemTable, options: CompareOptions) -> None:
        self._ignore_expired = options.ignore_expired
        self._carried = options.carried
        self.entry_bytes = ENTRY_BYTES  # of a key on disk, about
        self.source = _KeyedTable(source, options.source_rate, options)
        self.destination = _KeyedTable(destination, options.destination_rate, options)

    def close(self) -> None:
        """Close the connections."""
        self.source.client.close()
        self.destination.client.close()

    def form(self) -> Form:
        """The cheapest form that equal items of both tables share, judged by the first few items."""
        page = self.source.page(Segment(0, 1), PROBE_ITEMS)
        items = self._carried.of_page(page.body, page.items)
        mine = dict(zip(self.source.keys.of_page(page.body), items, strict=True)) if items else {}
        if mine:
            self.entry_bytes = -(-sum(map(entry_bytes, mine)) // len(mine))
        theirs = self.destination.lookup.read(list(mine))
        both = [(bytes(mine[key]), bytes(self._carried.of_item(item))) for key, item in theirs.items() if key in mine]
        equal = [(one, other) for one, other in both if one != other and canonical_item(one) == canonical_item(other)]
        if not equal:
            return "raw"
        return (
            "sorted" if all(in_form("sorted", one) == in_form("sorted", other) for one, other in equal) else "canonical"
        )

    def confirm(self, keys: Iterable[Key], now: float) -> Iterator[Difference]:
        """The differences among ``keys``, each read from both tables, strongly consistent."""
        remaining = iter(keys)
        while part := list(islice(remaining, READ_ITEMS)):
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
        if mine == theirs:
            return None
        one, other = self._carried.of_item(mine), self._carried.of_item(theirs)
        return None if canonical_item(one) == canonical_item(other) else "different"

    def _expired(self, item: bytes, now: float) -> bool:
        name = self._ignore_expired
        return bool(name) and is_expired(json.loads(item).get(name, {}).get("N", ""), now)
