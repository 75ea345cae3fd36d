# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which item of the source belongs to which item of the destination, where a transform may have changed the keys.

Where the steps leave the key's values as they are, a key of the destination tells the one of the source. Otherwise only
a reading of the whole source tells it: its items, transformed, have the keys of the destination.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from ..errors import InvalidInput
from .answers import Key, KeyAttribute, KeyReader, Raw, Slice
from .carried import Carried
from .client import Client
from .differences import Difference
from .kept_keys import MOST_ORIGINS
from .lookup import READ_ITEMS, Lookup
from .permit import Bounds
from .scan import SegmentPage, scan_table
from .tables import ItemTable, require_same_key
from .throttle import Rate
from .transform.compiled import Transform, compiled
from .transform.definition import Definition
from .transform.tally import Tally
from .transform.values import Unfit
from .transforming import require_key_after, require_made_key

_MOVING = frozenset({"rename", "drop", "keep"})  # steps that leave values of keys as they are


@dataclass(frozen=True)
class Pair:
    """A key of the destination with those of the source's items that it is made of, as far as they are known."""

    key: Key
    origins: tuple[Key, ...]


@dataclass(frozen=True)
class Pairing:
    """How the items of two tables belong together; ``transform`` is None where they are the same.

    ``places`` has for each attribute of the source's key which one of the destination's it is, None where the
    destination's key does not tell the source's.
    """

    transform: Transform | None
    source_key: tuple[KeyAttribute, ...]
    destination_key: tuple[KeyAttribute, ...]
    places: tuple[int, ...] | None

    @classmethod
    def of_tables(cls, source: ItemTable, destination: ItemTable, definition: Definition | None) -> Pairing:
        """Raises KeySchemaDiffers unless the items of ``source`` get the key of ``destination``; InvalidTransform."""
        if definition is None:
            require_same_key(source, destination)
            return cls(None, source.key, destination.key, tuple(range(len(source.key))))
        transform = compiled(definition)
        require_key_after(source, destination, transform)
        return cls._of(transform)

    @classmethod
    def of_export(cls, destination: ItemTable, definition: Definition | None) -> Pairing:
        """For items of an export instead of a table; without a transform they have the key of ``destination``."""
        if definition is None:
            return cls(None, destination.key, destination.key, tuple(range(len(destination.key))))
        transform = compiled(definition)
        require_made_key(destination, transform)
        return cls._of(transform)

    @classmethod
    def _of(cls, transform: Transform) -> Pairing:
        schemas = transform.definition.source.table, transform.keys.destination.table
        return cls(transform, schemas[0].attributes, schemas[1].attributes, _places(transform))

    @property
    def apart(self) -> bool:
        """Whether two items of the source are never one of the destination."""
        return self.transform is None or self.transform.keys.apart

    def origin(self, key: Key) -> Key | None:
        """The source's key of the item with this ``key`` of the destination; None where that does not tell it."""
        return None if self.places is None else tuple(key[place] for place in self.places)

    def pair(self, key: Key) -> Pair:
        """The pair of a key of the destination."""
        origin = self.origin(key)
        return Pair(key, () if origin is None else (origin,))


def _places(transform: Transform) -> tuple[int, ...] | None:
    """See Pairing; the steps are followed with a value of its own for each attribute of the source's key."""
    source = transform.definition.source.table.attributes
    if any(step.kind not in _MOVING for step in transform.keys.makers):
        return None
    values = {attribute.name: Raw(b'{"S":"%d"}' % number) for number, attribute in enumerate(source)}
    item = dict(values)
    try:
        for step in transform.keys.makers:
            step.run(item)
    except Unfit:
        return None
    there = [item.get(attribute.name) for attribute in transform.keys.destination.table.attributes]
    places = [[at for at, value in enumerate(there) if value is values[attribute.name]] for attribute in source]
    return tuple(each[0] for each in places) if all(places) else None


class PairedItems:
    """Makes of items of the source those of the destination, and names the keys of both in differences."""

    def __init__(self, pairing: Pairing, carried: Carried) -> None:
        """``carried`` is what of an item of the source gets to the transform."""
        self.pairing = pairing
        self.keys = KeyReader(pairing.destination_key)
        self.source_keys = KeyReader(pairing.source_key)
        self._carried = carried

    def made(self, item: Slice, tally: Tally | None = None) -> list[tuple[Key, Slice]]:
        """What becomes of an item of the source, each with its key of the destination."""
        transform = self.pairing.transform
        made = [self._carried.of_item(item)]
        if transform is not None:
            made = transform.of_item(made[0], tally or Tally())
        return [(self.keys.of(each), each) for each in made]

    def difference(self, difference: Difference, origins: Sequence[Key]) -> Difference:
        """The difference with the keys of the source's items, where these are not the same."""
        if self.pairing.transform is None or not origins:
            return difference
        return replace(difference, sources=tuple(map(self.source_keys.to_json, dict.fromkeys(origins))))

    def pair(self, difference: Difference) -> Pair:
        """The keys of a difference. Raises ServiceError for keys of another table, InvalidInput where it does not say
        of which items of the source it is."""
        key = self.keys.from_json(difference.key)
        if self.pairing.transform is not None and difference.sources:
            return Pair(key, tuple(map(self.source_keys.from_json, difference.sources)))
        pair = self.pairing.pair(key)
        if not pair.origins and difference.kind != "extra":
            raise InvalidInput(
                "The report of differences does not say which items of the source they are of.",
                "Compare the tables again with this transform.",
            )
        return pair


class Origins:
    """Reads the items of the source that belong to keys of the destination, strongly consistent. For one thread."""

    def __init__(self, lookup: Lookup, items: PairedItems) -> None:
        """``lookup`` reads the source."""
        self._lookup = lookup
        self._items = items

    def read(self, pairs: Iterable[Pair]) -> Iterator[tuple[Key, Slice]]:
        """All that the source has for the keys of ``pairs``: each key with an item as the destination is to have it.

        Raises what Lookup.read does, and ServiceError.
        """
        waiting = [(pair.key, origin) for pair in pairs for origin in pair.origins]
        for start in range(0, len(waiting), READ_ITEMS):
            part = waiting[start : start + READ_ITEMS]
            items = self._lookup.read([origin for _key, origin in part])
            if self._items.pairing.transform is None:
                yield from ((key, items[origin]) for key, origin in part if origin in items)
                continue
            made = {origin: self._items.made(item) for origin, item in items.items()}
            for key, origin in part:
                yield from ((key, item) for own, item in made.get(origin, ()) if own == key)


def find_origins(
    client: Client, source: ItemTable, items: PairedItems, keys: Collection[Key], *, rate: Rate | None, bounds: Bounds
) -> dict[Key, list[Key]]:
    """By a strongly consistent Scan of the whole source: the keys of its items that belong to ``keys`` of the
    destination, at most MOST_ORIGINS for each, without those to which none does.

    Raises what Client.call and the bounds' ``look`` do, TableVanished.
    """
    origins: dict[Key, list[Key]] = {}

    def take(page: SegmentPage) -> None:
        for item in page.items:
            for key, _made in items.made(item):
                if key in keys and len(origins.setdefault(key, [])) < MOST_ORIGINS:
                    origins[key].append(items.source_keys.of(item))

    scan_table(client, source, take, consistent=True, rate=rate, bounds=bounds)
    return origins
