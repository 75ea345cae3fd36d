# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repairs a destination, key by key, with what an export holds.

    result = repair_by_export(export, destination, differences, RepairOptions(delete_extra=True))

As ``repairing``, but the items come from the export's files: the destination becomes what the export shows, though the
table that was exported goes on changing. Nothing of a file is written before the file was read to its end, where it has
shown to be what the manifest says.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from itertools import islice

from .answers import Key, Slice, require_msgspec
from .client import Client
from .differences import Difference
from .exported import Export, ExportedFile
from .lanes import Lanes
from .lookup import READ_ITEMS
from .pairing import Pair, PairedItems, Pairing
from .repairing import KeyRepair, Outcome, RepairOptions, RepairResult, result_of
from .tables import ItemTable, carried_between

KEYS_AT_ONCE = 100_000  # differences for which the export is read once
HELD_BYTES = 128 * 1024 * 1024  # of items of one file: for more of them the file is read again


def repair_by_export(
    export: Export,
    destination: ItemTable,
    differences: Iterable[Difference],
    options: RepairOptions | None = None,
    report: Callable[[Difference, Outcome], None] = lambda _, __: None,
) -> RepairResult:
    """Make the destination equal to the export for the keys of ``differences``, by what it holds now.

    Where several items of the export become one, the destination gets the first of a file. Otherwise as ``repair``.
    Raises what that and Export.read do.
    """
    options = options or RepairOptions()
    require_msgspec()
    pairing = Pairing.of_export(destination, options.transform)
    options = replace(options, carried=carried_between(destination, destination, options.carried))
    writing = Client(destination.endpoint, options.retry_policy, options.bounds)
    lanes = Lanes(options.bounds)
    items, outcomes = PairedItems(pairing, options.carried), Counter[str]()
    at_hand = _AtHand()
    repairing = KeyRepair.of(destination, at_hand, items, options, lanes, writing)

    def note(difference: Difference, outcome: Outcome) -> None:
        outcomes[outcome] += 1
        report(difference, outcome)

    def repair_all(chosen: Sequence[Difference]) -> None:
        for start in range(0, len(chosen), READ_ITEMS):
            if not repairing.ended:
                repairing.repair(chosen[start : start + READ_ITEMS], note)
        repairing.finish()  # the reading of a file may take long

    read = partial(_read, export, items, look=options.bounds.look or (lambda: None))
    remaining = iter(differences)
    try:
        while not repairing.ended and (part := list(islice(remaining, KEYS_AT_ONCE))):
            waiting = {items.keys.from_json(each.key): each for each in part}
            for file in export.files:
                whole = not waiting
                while not whole and not repairing.ended:
                    at_hand.items, whole = read(file, waiting)
                    repair_all([waiting.pop(key) for key in at_hand.items])
            at_hand.items = {}  # the export has nothing for the others
            repair_all(list(waiting.values()))
    finally:
        writing.close()
        lanes.close()
    return result_of(destination, outcomes, repairing.refused, racing=options.racing)


class _AtHand:
    """Items of the export, as the destination is to have them, by its key."""

    def __init__(self) -> None:
        self.items: dict[Key, list[Slice]] = {}

    def read(self, pairs: Iterable[Pair]) -> Iterator[tuple[Key, Slice]]:
        """Those with the keys of ``pairs``."""
        return ((pair.key, item) for pair in pairs for item in self.items.get(pair.key, ()))


def _read(
    export: Export, items: PairedItems, file: ExportedFile, keys: Collection[Key], *, look: Callable[[], None]
) -> tuple[dict[Key, list[Slice]], bool]:
    """What a file has for ``keys``, and whether that is all of it: no more than HELD_BYTES are held."""
    found: dict[Key, list[Slice]] = {}
    size, whole = 0, True
    for piece in export.read(file):
        look()
        for item in piece:
            for key, made in items.made(item):
                if key not in keys:
                    continue
                if size < HELD_BYTES:
                    found.setdefault(key, []).append(bytes(made))
                    size += len(made)
                else:
                    whole = whole and key in found
    return found, whole
