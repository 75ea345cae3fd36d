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
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from .answers import Key, KeyReader, Slice, require_msgspec
from .carried import Carried
from .client import Client
from .differences import CompareOptions, CompareProgress, Comparison, Difference, Kind
from .digest import Digests, Form, canonical_item, in_form, is_expired
from .kept_keys import Candidates, KeptKeys, KeptOrigins, entry_bytes, free_bytes
from .lookup import READ_ITEMS, Lookup
from .made_items import ExportStream
from .pairing import Origins, Pair, PairedItems, Pairing
from .private_files import in_words
from .readings import Reading, Totals, bits_of, collect_keys, sum_tables
from .scan import Scanner, Segment, SegmentPage
from .tables import ItemTable, carried_between
from .throttle import Rate, Throttle
from .transform.tally import Tally

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

    With a transform, what comes of the source's items is compared. Raises MissingLibrary, KeySchemaDiffers,
    InvalidTransform, TableVanished, KeepsFailing, EndpointUnreachable, CredentialsError, AccessDenied, ServiceError,
    WorkerLost, CheckpointUnusable when the work directory fails.
    """
    options = options or CompareOptions()
    require_msgspec()
    pairing = Pairing.of_tables(source, destination, options.transform)
    options = replace(options, carried=carried_between(source, destination, options.carried))
    tables = _TablePair(source, destination, options, pairing)
    try:
        now = time.time()
        buckets = _buckets_for(max(source.item_count, destination.item_count), options.most_buckets)
        digests = Digests.chosen(options.digest)
        by_key = pairing.places is None
        task = Reading(source, destination, options, buckets, now, digests, tables.form(), b"", by_key)
        return _compared(task, tables, pairing.apart or not options.collisions, report, progress)
    finally:
        tables.close()


def compare_export(
    pieces: Callable[[], Iterable[Sequence[Slice]]],
    destination: ItemTable,
    options: CompareOptions | None = None,
    report: Callable[[Difference], None] = lambda _: None,
    progress: Callable[[CompareProgress], None] = lambda _: None,
    *,
    item_count: int = 0,
) -> Comparison:
    """Compare all items of an export with a table; as ``compare_tables``, exact though the source goes on changing.

    ``pieces`` opens the stream of the export's items anew, as ``read_items`` gives them: it is read once, or twice
    where items differ; ``item_count`` is what the manifest says. What differs is read once more from the destination,
    strongly consistent, before it is reported. It runs in this process. Raises what ``compare_tables`` and ``pieces``
    do.
    """
    options = replace(options or CompareOptions(), workers=1)
    require_msgspec()
    pairing = Pairing.of_export(destination, options.transform)
    options = replace(options, carried=carried_between(destination, destination, options.carried))
    export = ExportStream(pairing.source_key, pieces, item_count)
    table = _ExportPair(export, destination, options, pairing)
    try:
        now = time.time()
        buckets = _buckets_for(max(item_count, destination.item_count), options.most_buckets)
        digests = Digests.chosen(options.digest)
        task = Reading(export, destination, options, buckets, now, digests, table.form(), by_key=True)
        return _compared(task, table, pairing.apart or not options.collisions, report, progress)
    finally:
        table.close()


class _Confirming(Protocol):
    """Two sides of a comparison, read where they differ."""

    entry_bytes: int

    def form(self) -> Form:
        """The cheapest form that equal items of both sides share, judged by the first few items."""

    def differences(self, kept: Iterable[Candidates], task: Reading) -> Iterator[Difference]:
        """What differs of what was kept, read once more."""


def _compared(
    task: Reading,
    sides: _Confirming,
    apart: bool,
    report: Callable[[Difference], None],
    progress: Callable[[CompareProgress], None],
) -> Comparison:
    totals, differing = sum_tables(task, progress, 1)
    room = _Room.of(task, sides.entry_bytes, totals, len(differing), apart)
    earlier: tuple[str, ...] = ()
    if len(differing) > room.buckets and task.form != "canonical":
        # Perhaps the items are equal and only their forms differ; those in the probe did not.
        task, earlier = replace(task, form="canonical"), totals.lost
        totals, differing = sum_tables(task, progress, 2)
        room = _Room.of(task, sides.entry_bytes, totals, len(differing), apart)
    counts: Counter[str] = Counter()
    chosen = differing[: room.buckets]
    lost = earlier + totals.lost
    if chosen:
        keeping = KeptOrigins if task.by_key else KeptKeys
        with keeping(int(len(chosen) * room.each), room.folder) as kept:
            lost += collect_keys(replace(task, looked_into=bits_of(task.buckets, chosen)), progress, kept)
            for difference in sides.differences(kept.differing(), task):
                counts[difference.kind] += 1
                report(difference)
    return replace(
        totals.result(counts, len(differing) - len(chosen)),
        work_bytes=room.needed,
        work_bytes_free=room.free,
        work_unusable=room.unusable,
        workers_lost=lost,
    )


def compare_sample(
    source: ItemTable,
    destination: ItemTable,
    keys: int,
    options: CompareOptions | None = None,
    report: Callable[[Difference], None] = lambda _: None,
) -> Comparison:
    """Compare about ``keys`` items, drawn at random from each table, with the other table; all items of a small table.

    The result says how many were compared, and nothing about the others. With a transform whose keys do not tell the
    source's, only items of the source are drawn: see Comparison.one_way. Raises what ``compare_tables`` does.
    """
    options = options or CompareOptions()
    require_msgspec()
    pairing = Pairing.of_tables(source, destination, options.transform)
    options = replace(options, carried=carried_between(source, destination, options.carried))
    tables = _TablePair(source, destination, options, pairing)
    try:
        now = time.time()
        counts: Counter[str] = Counter()
        tally = Tally()
        one_way = pairing.places is None
        drawn = tables.source.draw(keys)
        mine = tables.pairs_of(drawn, tally)
        theirs = [] if one_way else tables.destination.draw(keys)
        pairs = {pair.key: pair for pair in [*mine, *map(pairing.pair, theirs)]}
        undecided = one_way and options.collisions and not pairing.apart
        for difference in tables.confirm(pairs.values(), now):
            if difference.kind == "different" and undecided:
                counts["undecided"] += 1
                continue
            counts[difference.kind] += 1
            report(difference)
        return Comparison(
            len(mine) if pairing.transform is None else tally.made,
            len(theirs),
            counts["missing"],
            counts["different"],
            counts["extra"],
            read=tally.read,
            added=tally.added,
            kept_out=dict(tally.kept_out),
            refused=dict(tally.refused),
            one_way=one_way,
            undecided=counts["undecided"],
        )
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
    ``each`` is how many keys a bucket is expected to have.
    """

    buckets: int
    each: float
    folder: Path | None = None
    needed: int = 0
    free: int = 0
    unusable: str = ""

    @classmethod
    def of(cls, task: Reading, entry: int, totals: Totals, differing: int, apart: bool) -> _Room:
        """The room for ``differing`` buckets after a reading with ``totals``, where a key takes ``entry`` bytes on
        disk."""
        options, buckets = task.options, task.buckets
        # A bucket that differs holds one item at least, and by chance as many others as any bucket.
        each = 1 + totals.items / buckets
        if not apart:
            # And all those of the source of which one is there.
            each += max(0, totals.items_source - totals.items_destination) / max(1, differing)
        in_memory = max(1, int(options.most_listed / each))
        if differing <= in_memory or options.work_dir is None:
            return cls(in_memory, each)
        needed = int(differing * each * entry)
        try:
            free = int(free_bytes(options.work_dir) * FREE_SHARE)
        except OSError as error:
            return cls(in_memory, each, needed=needed, unusable=in_words(error))
        free = min(free, options.most_work_bytes)
        on_disk = int(free / (each * entry))
        if apart:
            # Differences fall into buckets by chance: so many are in one. Each of them is read from both tables by key.
            # Where several items became one, most buckets differ and few keys: what is right costs no read by key.
            share = differing / buckets
            in_one = max(1.0, -math.log1p(-share) / share if share < 1 else totals.items / buckets)
            on_disk = min(on_disk, int(options.most_differing / in_one))
        if on_disk <= in_memory:
            return cls(in_memory, each, needed=needed, free=free)
        return cls(on_disk, each, options.work_dir, needed, free)


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

    def __init__(self, source: ItemTable, destination: ItemTable, options: CompareOptions, pairing: Pairing) -> None:
        self._judging = _Judging(options)
        self._carried = options.carried
        self._pairing = pairing
        self.entry_bytes = ENTRY_BYTES  # of a key on disk, about
        self.source = _KeyedTable(source, options.source_rate, options)
        self.destination = _KeyedTable(destination, options.destination_rate, options)
        self._items = PairedItems(pairing, options.carried)
        self._origins = Origins(self.source.lookup, self._items)

    def close(self) -> None:
        """Close the connections."""
        self.source.client.close()
        self.destination.client.close()

    def form(self) -> Form:
        """The cheapest form that equal items of both tables share, judged by the first few items."""
        page = self.source.page(Segment(0, 1), PROBE_ITEMS)
        if self._pairing.transform is None:
            items = self._carried.of_page(page.body, page.items)
            mine = dict(zip(self.source.keys.of_page(page.body), items, strict=True)) if items else {}
            sizes = [entry_bytes(key) for key in mine]
        else:
            made = [(self.source.keys.of(item), each) for item in page.items for each in self._items.made(item)]
            mine = {key: item for _origin, (key, item) in made}
            by_key = self._pairing.places is None
            sizes = [entry_bytes(key, origin if by_key else ()) for origin, (key, _item) in made]
        self.entry_bytes = -(-sum(sizes) // len(sizes)) if sizes else ENTRY_BYTES
        return _form(mine, self.destination.lookup.read(list(mine)), self._carried)

    def pairs_of(self, drawn: Sequence[Key], tally: Tally) -> list[Pair]:
        """The pairs of the items of the source with the keys ``drawn``; ``tally`` counts what became of these."""
        if self._pairing.transform is None:
            return [Pair(key, (key,)) for key in drawn]
        origins: dict[Key, dict[Key, None]] = {}
        for start in range(0, len(drawn), READ_ITEMS):
            for origin, item in self.source.lookup.read(drawn[start : start + READ_ITEMS]).items():
                for key, _item in self._items.made(item, tally):
                    origins.setdefault(key, {})[origin] = None
        return [Pair(key, tuple(each)) for key, each in origins.items()]

    def differences(self, kept: Iterable[Candidates], task: Reading) -> Iterator[Difference]:
        """What differs of what was kept, read from both tables, strongly consistent."""
        pairs = (
            Pair(each.key, tuple(origin for origin, _digest in each.origins))
            if each.origins
            else self._pairing.pair(each.key)
            for each in kept
        )
        return self.confirm(pairs, task.now)

    def confirm(self, pairs: Iterable[Pair], now: float) -> Iterator[Difference]:
        """The differences among ``pairs``, each read from both tables, strongly consistent."""
        remaining = iter(pairs)
        while part := list(islice(remaining, READ_ITEMS)):
            theirs = self.destination.lookup.read([pair.key for pair in part])
            sights = {pair.key: _Sight(theirs.get(pair.key)) for pair in part}
            for key, item in self._origins.read(part):
                self._judging.see(sights[key], item, now)
            for pair in part:
                kind = self._judging.kind(sights[pair.key], now)
                if kind:
                    difference = Difference(kind, self.destination.keys.to_json(pair.key))
                    yield self._items.difference(difference, pair.origins)


def _form(mine: Mapping[Key, Slice], theirs: Mapping[Key, bytes], carried: Carried) -> Form:
    """The cheapest form that all pairs of equal items share."""
    both = [(bytes(mine[key]), bytes(carried.of_item(item))) for key, item in theirs.items() if key in mine]
    equal = [(one, other) for one, other in both if one != other and canonical_item(one) == canonical_item(other)]
    if not equal:
        return "raw"
    return "sorted" if all(in_form("sorted", one) == in_form("sorted", other) for one, other in equal) else "canonical"


@dataclass
class _Sight:
    """What the destination has under a key, None for nothing, and what the source has for it: anything, anything that
    has not expired, the same."""

    there: bytes | None
    any: bool = False
    live: bool = False
    equal: bool = False


class _Judging:
    """Says of a key whether both sides are equal."""

    def __init__(self, options: CompareOptions) -> None:
        self._ignore_expired = options.ignore_expired
        self._carried = options.carried

    def see(self, sight: _Sight, item: Slice, now: float) -> None:
        """Take in an item that the source has for the key."""
        sight.any = True
        sight.live |= not self.is_expired(item, now)
        if sight.there is not None and not sight.equal:
            sight.equal = bytes(item) == sight.there or self._same(item, sight.there)

    def kind(self, sight: _Sight, now: float) -> Kind | None:
        """How both sides differ, None where they do not."""
        if not sight.live and (sight.there is None or self.is_expired(sight.there, now)):
            return None
        if not sight.any:
            return "extra"
        if sight.there is None:
            return "missing"
        return None if sight.equal else "different"

    def is_expired(self, item: Slice, now: float) -> bool:
        """Whether the item is to be left out."""
        name = self._ignore_expired
        return bool(name) and is_expired(json.loads(bytes(item)).get(name, {}).get("N", ""), now)

    def _same(self, mine: Slice, theirs: bytes) -> bool:
        return canonical_item(self._carried.of_item(mine)) == canonical_item(self._carried.of_item(theirs))


class _ExportPair:
    """A table, read key by key, and an export, of whose items only the keys and digests are kept."""

    def __init__(self, export: ExportStream, destination: ItemTable, options: CompareOptions, pairing: Pairing) -> None:
        self._export = export
        self._options = options
        self._judging = _Judging(options)
        self.entry_bytes = ENTRY_BYTES
        self.destination = _KeyedTable(destination, options.destination_rate, options)
        self._items = PairedItems(pairing, options.carried)
        self._sources = KeyReader(export.key)

    def close(self) -> None:
        """Close the connections."""
        self.destination.client.close()

    def form(self) -> Form:
        """The cheapest form that equal items of both sides share, judged by the first few items."""
        items = list(islice((item for piece in self._export.pieces() for item in piece), PROBE_ITEMS))
        made = [(self._sources.of(item), each) for item in items for each in self._items.made(item)]
        mine = {key: item for _origin, (key, item) in made}
        sizes = [entry_bytes(key, origin) for origin, (key, _item) in made]
        self.entry_bytes = -(-sum(sizes) // len(sizes)) if sizes else ENTRY_BYTES
        return _form(mine, self.destination.lookup.read(list(mine)), self._options.carried)

    def differences(self, kept: Iterable[Candidates], task: Reading) -> Iterator[Difference]:
        """What differs of what was kept: the table is read once more, strongly consistent."""
        remaining = iter(kept)
        while part := list(islice(remaining, READ_ITEMS)):
            theirs = self.destination.lookup.read([each.key for each in part])
            for each in part:
                kind = self._judging.kind(self._sight(each, theirs.get(each.key), task.digests), task.now)
                if kind:
                    difference = Difference(kind, self.destination.keys.to_json(each.key))
                    yield self._items.difference(difference, [origin for origin, _digest in each.origins])

    def _sight(self, mine: Candidates, there: bytes | None, digests: Digests) -> _Sight:
        live = {digest for _origin, digest in mine.origins if digest}
        equal = there is not None and digests.of("canonical", [self._options.carried.of_item(there)])[0] in live
        return _Sight(there, bool(mine.origins), bool(live), equal)
