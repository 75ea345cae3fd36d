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

import math
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path
from typing import Protocol

from .answers import Key, require_msgspec
from .differences import CompareOptions, CompareProgress, Comparison, Difference
from .digest import Digests, Form
from .judging import Judging, Sight, form_of
from .kept_keys import Candidates, KeptKeys, KeptOrigins, entry_bytes, free_bytes
from .keyed_table import KeyedTable
from .lookup import READ_ITEMS
from .pairing import Origins, Pair, PairedItems, Pairing
from .private_files import in_words
from .readings import Reading, Totals, bits_of, collect_keys, sum_tables
from .scan import Segment
from .tables import ItemTable, carried_between
from .transform.tally import Tally

FEWEST_BUCKETS = 1 << 14
BUCKET_ITEMS = 16  # in a bucket, about: so many are read again for one difference
PROBE_ITEMS = 50
FREE_SHARE = 0.9  # of the free space on disk, which may be used: others write too
ENTRY_BYTES = 100  # of a key on disk, where the probe has none


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
        buckets = buckets_for(max(source.item_count, destination.item_count), options.most_buckets)
        digests = Digests.chosen(options.digest)
        by_key = pairing.places is None
        task = Reading(source, destination, options, buckets, now, digests, tables.form(), b"", by_key)
        return compared(task, tables, pairing.apart or not options.collisions, report, progress)
    finally:
        tables.close()


class Confirming(Protocol):
    """Two sides of a comparison, read where they differ."""

    entry_bytes: int

    def form(self) -> Form:
        """The cheapest form that equal items of both sides share, judged by the first few items."""

    def differences(self, kept: Iterable[Candidates], task: Reading) -> Iterator[Difference]:
        """What differs of what was kept, read once more."""


def compared(
    task: Reading,
    sides: Confirming,
    apart: bool,
    report: Callable[[Difference], None],
    progress: Callable[[CompareProgress], None],
) -> Comparison:
    """Compare both ``sides`` of ``task``; ``apart``: no two items of the source are to be one of the destination."""
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


def buckets_for(items: int, most: int) -> int:
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


class _TablePair:
    """Both tables, read key by key."""

    def __init__(self, source: ItemTable, destination: ItemTable, options: CompareOptions, pairing: Pairing) -> None:
        self._judging = Judging(options)
        self._carried = options.carried
        self._pairing = pairing
        self.entry_bytes = ENTRY_BYTES  # of a key on disk, about
        self.source = KeyedTable(source, options.source_rate, options)
        self.destination = KeyedTable(destination, options.destination_rate, options)
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
        return form_of(mine, self.destination.lookup.read(list(mine)), self._carried)

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
            sights = {pair.key: Sight(theirs.get(pair.key)) for pair in part}
            for key, item in self._origins.read(part):
                self._judging.see(sights[key], item, now)
            for pair in part:
                kind = self._judging.kind(sights[pair.key], now)
                if kind:
                    difference = Difference(kind, self.destination.keys.to_json(pair.key))
                    yield self._items.difference(difference, pair.origins)
