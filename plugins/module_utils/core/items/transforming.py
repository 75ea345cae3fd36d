# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Transforms the items of pages on their way from table to table, and counts what became of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import KeySchemaDiffers
from .answers import KeyReader, Slice
from .checkpoint import Counts
from .named import MOST_NAMED, NamedItem
from .tables import ItemTable, shown_key
from .transform.compiled import Transform
from .transform.definition import Definition
from .transform.tally import Failure, Tally
from .write import distinct


@dataclass(frozen=True)
class Changed:
    """What became of a page's items: those to write, with distinct keys, and the counts, without ``bytes``."""

    items: Sequence[Slice]
    counts: Counts


class Changing:
    """Makes of a source's items those of the destination.

    ``skip_errors``: items that a step cannot take are left out and counted; otherwise they fail the copy.
    """

    def __init__(self, transform: Transform, source_keys: KeyReader, *, skip_errors: bool = False) -> None:
        self.skip_errors = skip_errors
        self._transform = transform
        self._source_keys = source_keys
        # Where the steps keep keys apart, those of a page are distinct as they are.
        self._keys = None if transform.keys.apart else KeyReader(transform.keys.destination.table.attributes)

    def of(self, items: Sequence[Slice]) -> Changed:
        """What becomes of ``items`` with distinct keys.

        An item that is written over by another one of the page counts as one that is written over by one of another
        page. Raises ServiceError for anything but items.
        """
        named: list[NamedItem] = []

        def name(item: Slice, failure: Failure) -> None:
            if len(named) < MOST_NAMED:
                named.append(NamedItem(self._source_keys.to_json(self._source_keys.of(item)), str(failure)))

        tally = Tally(on_failure=name)
        made: Sequence[Slice] = self._transform.of_items(items, tally)
        counts = Counts(
            tally.made,
            read=tally.read,
            added=tally.added,
            kept_out=dict(tally.kept_out),
            refused=dict(tally.refused),
            named=tuple(named),
        )
        if self._keys is not None and made:
            made = distinct(made, self._keys.of_items(made))
        return Changed(made, counts)


def require_source_key(source: ItemTable, definition: Definition) -> None:
    """Raises KeySchemaDiffers unless the definition is one for items of ``source``."""
    if source.key != definition.source.table.attributes:
        raise KeySchemaDiffers(
            f"The key of the source is {shown_key(source.key)}, and the transform was made for the key"
            f" {shown_key(definition.source.table.attributes)}.",
            "Run again: the transform is then made for the table as it is.",
            table=source.name,
        )


def require_key_after(source: ItemTable, destination: ItemTable, transform: Transform) -> None:
    """Raises KeySchemaDiffers unless the transform is one of items of ``source``, and makes items with the key of
    ``destination``."""
    require_source_key(source, transform.definition)
    require_made_key(destination, transform)


def require_made_key(destination: ItemTable, transform: Transform) -> None:
    """Raises KeySchemaDiffers unless the transform makes items with the key of ``destination``."""
    made = transform.keys.destination.table.attributes
    if destination.key != made:
        raise KeySchemaDiffers(
            f"The key of the transformed items is {shown_key(made)}, the key of the destination"
            f" {shown_key(destination.key)}.",
            "Create the destination table with the key of the transformed items, or correct the steps.",
            table=destination.name,
        )
