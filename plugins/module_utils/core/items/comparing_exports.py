# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Compares an export with a table by key, both ways: exact, though the table that was exported goes on changing.

    result = compare_export(export, destination, report=differences.append)

As ``comparing``, but one of the sides is read from the export's files: no read unit of the source is consumed. What
looks different is read once more from the table, strongly consistent, before it is reported.
"""

from __future__ import annotations

import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import islice

from .answers import Key, KeyReader, Slice, require_msgspec
from .comparing import ENTRY_BYTES, PROBE_ITEMS, buckets_for, compared
from .differences import CompareOptions, CompareProgress, Comparison, Difference
from .digest import Digests, Form
from .exported import Export, ExportedFile
from .judging import Judging, Sight, form_of
from .kept_keys import Candidates, entry_bytes
from .keyed_table import KeyedTable
from .lookup import READ_ITEMS
from .made_items import ExportStream
from .pairing import PairedItems, Pairing
from .readings import Reading
from .tables import ItemTable, carried_between
from .transform.tally import Tally

# A sample looks through so many items of an export for each item that it draws: all files of one that has no more, else
# files that are chosen at random. So little takes seconds, and a file counts only when it was read to its end.
LOOKED_THROUGH = 1000
FEWEST_FILES = 4


def compare_export(
    export: Export,
    destination: ItemTable,
    options: CompareOptions | None = None,
    report: Callable[[Difference], None] = lambda _: None,
    progress: Callable[[CompareProgress], None] = lambda _: None,
) -> Comparison:
    """Compare all items of an export with a table; as ``compare_tables``, exact though the source goes on changing.

    The export is read once, or twice where items differ, by this process alone. Raises what ``compare_tables`` and
    Export.read do.
    """
    options, pairing = _prepared(destination, replace(options or CompareOptions(), workers=1))
    pair = _ExportPair(export, destination, options, pairing)
    try:
        buckets = buckets_for(max(export.item_count, destination.item_count), options.most_buckets)
        digests = Digests.chosen(options.digest)
        stream = ExportStream(pairing.source_key, export.pieces, export.item_count)
        task = Reading(stream, destination, options, buckets, time.time(), digests, pair.form(), by_key=True)
        return compared(task, pair, pairing.apart or not options.collisions, report, progress)
    finally:
        pair.close()


def sample_export(
    export: Export,
    destination: ItemTable,
    keys: int,
    options: CompareOptions | None = None,
    report: Callable[[Difference], None] = lambda _: None,
) -> Comparison:
    """Compare about ``keys`` items, drawn at random from each side, with the other side; all items of a small table.

    Of an export with more items than LOOKED_THROUGH for each key some files are read, chosen at random, and only items
    of these are drawn: see Comparison.one_way. Raises what ``compare_export`` does.
    """
    options, pairing = _prepared(destination, options or CompareOptions())
    part = replace(export, files=_some_files(export, keys))
    one_way = len(part.files) < len(export.files)
    pair = _ExportPair(part, destination, options, pairing)
    try:
        now, digests = time.time(), Digests.chosen(options.digest)
        tally, counts = Tally(), Counter[str]()
        mine = pair.draw(keys, tally)
        theirs = [] if one_way else pair.destination.draw(keys)
        drawn = dict.fromkeys([*mine, *theirs])
        found = pair.origins_of(drawn, now, digests)
        kept = (Candidates(key, tuple(found.get(key, ()))) for key in drawn)
        undecided = one_way and options.collisions and not pairing.apart
        for difference in pair.confirmed(kept, now, digests):
            if difference.kind == "different" and undecided:
                counts["undecided"] += 1
                continue
            counts[difference.kind] += 1
            report(difference)
        return Comparison(
            tally.made,
            len(theirs),
            counts["missing"],
            counts["different"],
            counts["extra"],
            read=0 if pairing.transform is None else tally.read,
            added=tally.added,
            kept_out=dict(tally.kept_out),
            refused=dict(tally.refused),
            one_way=one_way,
            undecided=counts["undecided"],
        )
    finally:
        pair.close()


def _prepared(destination: ItemTable, options: CompareOptions) -> tuple[CompareOptions, Pairing]:
    require_msgspec()
    pairing = Pairing.of_export(destination, options.transform)
    return replace(options, carried=carried_between(destination, destination, options.carried)), pairing


def _some_files(export: Export, keys: int) -> tuple[ExportedFile, ...]:
    """Files in random order that have LOOKED_THROUGH items for each of ``keys``, at least FEWEST_FILES; or all."""
    chosen: list[ExportedFile] = []
    items = 0
    for file in random.sample(export.files, len(export.files)):
        if items >= keys * LOOKED_THROUGH and len(chosen) >= FEWEST_FILES:
            break
        chosen.append(file)
        items += file.items
    return tuple(chosen)


class _ExportPair:
    """A table, read key by key, and an export, of whose items only the keys and digests are kept."""

    def __init__(self, export: Export, destination: ItemTable, options: CompareOptions, pairing: Pairing) -> None:
        self._export = export
        self._options = options
        self._judging = Judging(options)
        self.entry_bytes = ENTRY_BYTES
        self.destination = KeyedTable(destination, options.destination_rate, options)
        self._items = PairedItems(pairing, options.carried)
        self._sources = KeyReader(pairing.source_key)

    def close(self) -> None:
        """Close the connections."""
        self.destination.client.close()

    def form(self) -> Form:
        """The cheapest form that equal items of both sides share, judged by the first few items."""
        items = list(islice((item for piece in self._pieces() for item in piece), PROBE_ITEMS))
        made = [(self._sources.of(item), each) for item in items for each in self._items.made(item)]
        mine = {key: item for _origin, (key, item) in made}
        sizes = [entry_bytes(key, origin) for origin, (key, _item) in made]
        self.entry_bytes = -(-sum(sizes) // len(sizes)) if sizes else ENTRY_BYTES
        return form_of(mine, self.destination.lookup.read(list(mine)), self._options.carried)

    def draw(self, keys: int, tally: Tally) -> list[Key]:
        """The keys of what comes of ``keys`` items drawn at random; ``tally`` counts what became of these."""
        count = self._export.item_count
        places = sorted(random.sample(range(count), min(count, keys)), reverse=True)
        drawn: dict[Key, None] = {}
        begin = 0
        for piece in self._pieces():
            while places and places[-1] < begin + len(piece):
                for key, _item in self._made(piece[places.pop() - begin], tally):
                    drawn[key] = None
            begin += len(piece)
        return list(drawn)

    def origins_of(self, keys: Collection[Key], now: float, digests: Digests) -> dict[Key, list[tuple[Key, int]]]:
        """What the export has for ``keys`` of the table: see Candidates."""
        found: dict[Key, list[tuple[Key, int]]] = {}
        for piece in self._pieces():
            for item in piece:
                for key, made in self._made(item, Tally()):
                    if key in keys:
                        expired = self._judging.is_expired(made, now)
                        digest = 0 if expired else digests.of("canonical", [made])[0]
                        found.setdefault(key, []).append((self._sources.of(item), digest))
        return found

    def differences(self, kept: Iterable[Candidates], task: Reading) -> Iterator[Difference]:
        """What differs of what was kept: the table is read once more, strongly consistent."""
        return self.confirmed(kept, task.now, task.digests)

    def confirmed(self, kept: Iterable[Candidates], now: float, digests: Digests) -> Iterator[Difference]:
        """The differences among ``kept``, by reading the table, strongly consistent."""
        remaining = iter(kept)
        while part := list(islice(remaining, READ_ITEMS)):
            theirs = self.destination.lookup.read([each.key for each in part])
            for each in part:
                kind = self._judging.kind(self._sight(each, theirs.get(each.key), digests), now)
                if kind:
                    difference = Difference(kind, self.destination.keys.to_json(each.key))
                    yield self._items.difference(difference, [origin for origin, _digest in each.origins])

    def _sight(self, mine: Candidates, there: bytes | None, digests: Digests) -> Sight:
        live = {digest for _origin, digest in mine.origins if digest}
        equal = there is not None and digests.of("canonical", [self._options.carried.of_item(there)])[0] in live
        return Sight(there, bool(mine.origins), bool(live), equal)

    def _made(self, item: Slice, tally: Tally) -> list[tuple[Key, Slice]]:
        """As PairedItems.made, and counted without a transform too."""
        if self._items.pairing.transform is None:
            tally.read += 1
            tally.made += 1
        return self._items.made(item, tally)

    def _pieces(self) -> Iterator[Sequence[Slice]]:
        """The export's items. Raises what the bounds' ``look`` does too."""
        for piece in self._export.pieces():
            if self._options.bounds.look is not None:
                self._options.bounds.look()
            yield piece
