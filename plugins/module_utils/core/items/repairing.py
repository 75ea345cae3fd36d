# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repairs a destination, key by key, with what the source holds now.

    result = repair(source, destination, differences, RepairOptions(delete_extra=True))

Each key is read again from both tables, strongly consistent. The destination's item is replaced only if each of its
attributes is still what was read, up to 150 of them. No condition sees an attribute that another writer has added in
between, nor those beyond: so AWS returns the item that was replaced, and one that was newer is given back. Where that
fails, since a still newer one is there or this process was killed or the answer to the write was lost, what was added
is lost. So a repair ends as soon as it sees another writer, unless it is allowed to race.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Literal, Protocol

from ..aws_errors import BAD_ITEM
from ..errors import DestinationChanging, FerryError, MissingTable
from .answers import Key, KeyReader, Raw, Single, Slice, decode, joined, require_msgspec, split
from .carried import CARRIED, Carried
from .client import Call, Client, RetryPolicy
from .differences import Difference
from .digest import canonical_item
from .lanes import LOOK_SECONDS, Lanes
from .lookup import READ_ITEMS, Lookup
from .pairing import Origins, Pair, PairedItems, Pairing, find_origins
from .permit import FREE, Bounds
from .tables import Identity, ItemTable, Unfound, carried_between, require_two
from .throttle import Rate, Throttle
from .transform.definition import Definition
from .write import MOST_REFUSED, TRIES, RefusedItem, expected_units, refusal

Outcome = Literal["put", "deleted", "equal", "left", "changed"]
Written = Callable[[bool, "bytes | None"], None]

ASIDE_BYTES = 16 * 1024 * 1024  # of writes that AWS keeps throttling
# An expression has at most 300 operators and 4 KB (AWS developer guide, Constraints): so many "=", and AND between.
MOST_CONDITIONS = 150


@dataclass(frozen=True)
class RepairOptions:
    """How to repair.

    ``delete_extra`` deletes what only the destination has; without it such items are left. Where a transform makes keys
    that do not tell the source's, the whole source is read once more before that, strongly consistent. ``racing`` goes
    on although others write to the destination. ``writes_at_once`` are under way together. The rates limit the source's
    read units and the destination's write units per second.
    ``transform`` makes of the source's items those that the destination is to have, as in the comparison.
    ``carried`` is what of an item travels. ``bounds`` say until when the repair may write, and when it must stop.
    """

    delete_extra: bool = False
    racing: bool = False
    writes_at_once: int = 32
    source_rate: Rate | None = None
    destination_rate: Rate | None = None
    transform: Definition | None = None
    carried: Carried = CARRIED
    retry_policy: RetryPolicy = field(default_factory=RetryPolicy)
    bounds: Bounds = FREE


@dataclass(frozen=True)
class RepairResult:
    """How many keys were repaired, and how.

    ``put`` and ``deleted`` in the destination; ``equal`` by now, so not touched; ``left`` there although the source
    does not have them, because deleting is off; ``changed`` in the destination by another writer during the repair, so
    not touched either: compare again.
    """

    put: int = 0
    deleted: int = 0
    equal: int = 0
    left: int = 0
    changed: int = 0


def repair(
    source: ItemTable,
    destination: ItemTable,
    differences: Iterable[Difference],
    options: RepairOptions | None = None,
    report: Callable[[Difference, Outcome], None] = lambda _, __: None,
) -> RepairResult:
    """Make the destination equal to the source for the keys of ``differences``, by what both hold now.

    With a transform, the destination gets what comes of the source's items; where several become one and it has none of
    them, it gets the first. ``report`` gets the outcome of each but those that the destination refuses. Raises
    MissingLibrary, KeySchemaDiffers, InvalidTransform, InvalidInput for a malformed key or a difference without what
    the transform needs, DestinationChanging at the first item of another writer unless that is allowed; ItemRefused
    when all others are repaired, or for too many, with the refused ``items`` in its details, for the file of their
    owner; TableVanished, KeepsFailing, EndpointUnreachable, CredentialsError, AccessDenied, ServiceError.
    """
    options = options or RepairOptions()
    require_msgspec()
    require_two(source, destination)
    pairing = Pairing.of_tables(source, destination, options.transform)
    options = replace(options, carried=carried_between(source, destination, options.carried))
    reading = Client(source.endpoint, options.retry_policy, options.bounds)
    writing = Client(destination.endpoint, options.retry_policy, options.bounds)
    lanes = Lanes(options.bounds)
    items = PairedItems(pairing, options.carried)
    lookup = Lookup(reading, source, Throttle(options.source_rate) if options.source_rate else None)
    doubtful = pairing.places is None and options.delete_extra
    repairing = KeyRepair.of(destination, Origins(lookup, items), items, options, lanes, writing, doubtful=doubtful)
    outcomes: Counter[str] = Counter()

    def note(difference: Difference, outcome: Outcome) -> None:
        outcomes[outcome] += 1
        report(difference, outcome)

    def repair_all(waiting: Iterator[Difference]) -> None:
        while not repairing.ended and (part := list(islice(waiting, READ_ITEMS))):
            repairing.repair(part, note)
        repairing.finish()

    try:
        repair_all(iter(differences))
        if repairing.unsure and not repairing.ended:
            # Only a reading of the whole source tells that it has nothing for them.
            keys = {items.keys.from_json(each.key) for each in repairing.unsure}
            origins = find_origins(reading, source, items, keys, rate=options.source_rate, bounds=options.bounds)
            repair_all(
                items.difference(each, origins.get(items.keys.from_json(each.key), ())) for each in repairing.surely()
            )
    finally:
        reading.close()
        writing.close()
        lanes.close()
    return result_of(destination, outcomes, repairing.refused, racing=options.racing)


def result_of(
    destination: ItemTable, outcomes: Counter[str], refused: Sequence[RefusedItem], *, racing: bool
) -> RepairResult:
    """The result of a repair with these ``outcomes``. Raises DestinationChanging, ItemRefused: see ``repair``."""
    if outcomes["changed"] and not racing:
        raise _changing(destination, outcomes)
    if refused:
        raise _refusal(destination, refused, outcomes)
    return RepairResult(**outcomes)


def _changing(table: ItemTable, outcomes: Counter[str]) -> FerryError:
    return DestinationChanging(
        f"Others write to the table in {table.endpoint.account}: {outcomes['changed']} items were changed during the"
        f" repair and left as they are. The repair was ended; {_repaired(outcomes)}.",
        "Stop the writes to the destination, then repair again. To repair while they go on, set repair: racing:"
        " an attribute that another writer adds at the same moment can then be lost.",
        table=table.name,
        details=dict(outcomes),
    )


def _refusal(table: ItemTable, refused: Sequence[RefusedItem], outcomes: Counter[str]) -> FerryError:
    many = len(refused) >= MOST_REFUSED
    rest = "and the repair was ended" if many else _repaired(outcomes)
    what = f"{len(refused):,} items" if len(refused) > 1 else "an item"
    return refusal(table.name, refused, f"{what}; {rest}:", "Correct the items in the source, then compare again.")


def _repaired(outcomes: Counter[str]) -> str:
    return f"{outcomes['put']} others were put, {outcomes['deleted']} deleted"


class OriginItems(Protocol):
    """What the source has for keys of the destination."""

    def read(self, pairs: Iterable[Pair]) -> Iterator[tuple[Key, Slice]]:
        """All that it has for the keys of ``pairs``: each key with an item as the destination is to have it."""


class KeyRepair:
    """Repairs keys: reads many at once, then writes them at once."""

    def __init__(
        self,
        origins: OriginItems,
        items: PairedItems,
        destination: Lookup,
        writer: Conditional,
        carried: Carried,
        delete_extra: bool,
        racing: bool,
        doubtful: bool = False,
    ) -> None:
        """``doubtful``: what is to be deleted is kept in ``unsure`` instead, until ``surely`` is called."""
        self.unsure: list[Difference] = []
        self._doubtful = doubtful
        self._items = items
        self._origins = origins
        self._destination = destination
        self._writer = writer
        self._carried = carried
        self._delete_extra = delete_extra
        self._racing = racing
        self._raced = False
        self._under_way: set[Key] = set()

    @classmethod
    def of(
        cls,
        destination: ItemTable,
        origins: OriginItems,
        items: PairedItems,
        options: RepairOptions,
        lanes: Lanes,
        writing: Client,
        *,
        doubtful: bool = False,
    ) -> KeyRepair:
        """The repair of ``destination``, over ``lanes`` by the client ``writing``."""
        throttle = Throttle(options.destination_rate) if options.destination_rate else None
        return cls(
            origins,
            items,
            Lookup(writing, destination),
            Conditional(lanes, writing, destination, options.writes_at_once, options.carried, throttle),
            options.carried,
            options.delete_extra,
            options.racing,
            doubtful,
        )

    @property
    def refused(self) -> Sequence[RefusedItem]:
        """The items that the destination refuses."""
        return self._writer.refused

    @property
    def ended(self) -> bool:
        """Whether nothing more is repaired: another writer was seen, or too many items are refused."""
        return (self._raced and not self._racing) or len(self.refused) >= MOST_REFUSED

    def surely(self) -> list[Difference]:
        """The differences that were kept in ``unsure``; from now on items are deleted."""
        self._doubtful = False
        return self.unsure

    def repair(self, differences: Sequence[Difference], note: Callable[[Difference, Outcome], None]) -> None:
        """Repair the keys of ``differences``; some may still be under way when it returns, see ``finish``."""
        pairs = [self._items.pair(difference) for difference in differences]
        keys = [pair.key for pair in pairs]
        if not self._under_way.isdisjoint(keys):  # named twice: what is written is to be seen
            self.finish()
        theirs = self._destination.read(keys)
        mine: dict[Key, Slice | None] = {}
        for key, item in self._origins.read(pairs):
            made = self._of(item)
            if key not in mine or self._same(made, theirs.get(key)):
                mine[key] = made
        for key, difference in zip(keys, differences, strict=True):
            if self.ended:
                break
            if self._doubtful and key not in mine and key in theirs:
                self.unsure.append(difference)
                continue
            self._repair(key, mine.get(key), theirs.get(key), partial(note, difference))

    def finish(self) -> None:
        """Wait until the outcome of each is noted. Raises what Client.call does, TableVanished."""
        self._writer.finish()
        self._under_way.clear()

    def _repair(self, key: Key, mine: Slice | None, theirs: bytes | None, note: Callable[[Outcome], None]) -> None:
        def changed() -> None:
            self._raced = True
            note("changed")

        def written(accepted: bool, replaced: bytes | None) -> None:
            self._under_way.discard(key)
            if accepted and not self._same(self._of(theirs), replaced):
                # Another writer changed what no condition saw: its item is newer than the difference.
                self._writer.give_back(key, replaced or b"", mine, changed)
            # A failed condition may be our own doing: the first attempt arrived, its answer did not, and the second
            # attempt failed.
            elif accepted or self._same(mine, self._destination.read([key]).get(key)):
                note("deleted" if mine is None else "put")
            else:
                changed()

        if self._same(mine, theirs):
            note("equal")
        elif mine is not None:
            self._under_way.add(key)
            self._writer.put(key, mine, theirs, written)
        elif not self._delete_extra:
            note("left")
        else:
            self._under_way.add(key)
            self._writer.delete(key, theirs or b"", written)

    def _of(self, item: bytes | None) -> Slice | None:
        """What travels of an item."""
        return None if item is None else self._carried.of_item(item)

    def _same(self, mine: Slice | None, theirs: bytes | None) -> bool:
        """Whether the destination's item is what travels of the source's."""
        other = self._of(theirs)
        if mine is None or other is None:
            return mine is other
        return canonical_item(mine) == canonical_item(other)


class Conditional:
    """Puts and deletes single items of a table, on the condition that they are still as they were read.

    A write that AWS keeps throttling takes no place of those under way, as in Writer: the others go on.
    """

    def __init__(
        self,
        lanes: Lanes,
        client: Client,
        table: ItemTable,
        at_once: int,
        carried: Carried,
        throttle: Throttle | None,
    ) -> None:
        self._lanes = lanes
        self._client = client
        self._table = table
        self._at_once = at_once
        self._carried = carried
        self._throttle = throttle
        self._keys = KeyReader(table.key)
        self._identity = Identity(table)
        self._under_way = 0
        self._aside = self._aside_bytes = 0  # writes that AWS keeps throttling, besides
        self.refused: list[RefusedItem] = []

    def put(self, key: Key, item: Slice, seen: bytes | None, done: Written) -> None:
        """Put ``item`` where ``seen`` is (None: nothing).

        ``done`` gets whether that was still there, and the item that was replaced: it may have attributes that no
        condition saw. It is not called for an item that AWS refuses, which is added to ``refused``.
        """
        condition = self._unchanged(seen) if seen is not None else _absent(self._table.key[0].name)
        self._write("PutItem", key, b'"Item":%s' % item, condition, expected_units([item]), done)

    def give_back(self, key: Key, item: bytes, ours: Slice | None, done: Callable[[], None]) -> None:
        """Put ``item`` again, which was replaced by ``ours`` (None: nothing), unless something else is there by now;
        ``done`` is called in any case."""
        condition = self._unchanged(ours) if ours is not None else _absent(self._table.key[0].name)
        request = b'"Item":%s' % item
        self._write("PutItem", key, request, condition, expected_units([item]), lambda *_ended: done(), waits=False)

    def delete(self, key: Key, seen: bytes, done: Written) -> None:
        """Delete ``seen``; otherwise as ``put``."""
        which = b'"Key":%s' % self._keys.to_wire(key)
        self._write("DeleteItem", key, which, self._unchanged(seen), expected_units([seen]), done)

    def finish(self) -> None:
        """Wait until nothing is under way. Raises what Client.call does, ItemRefused, TableVanished."""
        while self._under_way or self._aside:
            self._lanes.turn(LOOK_SECONDS)

    def _delay(self) -> float:
        """How many seconds to receive answers before there is room for one more request, 0 for none."""
        if self._under_way >= self._at_once or self._aside_bytes >= ASIDE_BYTES:
            return LOOK_SECONDS
        return self._throttle.delay() if self._throttle else 0.0

    def _write(
        self,
        operation: str,
        key: Key,
        what: bytes,
        condition: bytes,
        weight: float,
        done: Written,
        *,
        waits: bool = True,
    ) -> None:
        """Send one write; at once without ``waits``: it is called while answers are received."""
        throttle = self._throttle
        while waits and (delay := self._delay()):
            self._lanes.turn(delay)
        reserved = throttle.reserve(weight) if throttle else None
        metered = b',"ReturnConsumedCapacity":"TOTAL"' if throttle else b""
        name = json.dumps(self._table.name).encode()
        request = b'{"TableName":%s,%s,%s%s,"ReturnValues":"ALL_OLD"}' % (name, what, condition, metered)

        tries = 0

        def again() -> bool:
            nonlocal tries
            tries += 1
            if tries == TRIES:
                self._under_way -= 1
                self._aside += 1
                self._aside_bytes += len(request)
            if throttle and reserved:
                throttle.refused(reserved)
            return True

        def ended(units: float) -> None:
            self._identity.acknowledged()
            if tries >= TRIES:
                self._aside -= 1
                self._aside_bytes -= len(request)
            else:
                self._under_way -= 1
            if throttle and reserved:
                throttle.settle(reserved, units)

        def received(body: bytes) -> None:
            response: Single = decode(body, Single, operation, self._table.name)
            ended(response.consumed_capacity.capacity_units if response.consumed_capacity else 0.0)
            done(True, bytes(response.attributes) or None)

        unfound = Unfound(self._table, self._client.retry_policy, "writes")

        def failed(error: FerryError) -> None:
            code = str(error.details.get("code", ""))
            if code == "ConditionalCheckFailedException":
                ended(reserved.units if reserved else 0.0)  # a failed condition is billed like a write (aws.md I)
                done(False, None)
            elif code in BAD_ITEM:
                ended(0.0)
                self.refused.append(RefusedItem(self._keys.to_json(key), error.cause, code))
            elif isinstance(error, MissingTable):
                pause = unfound.pause(error)
                self._identity.doubt()
                self._lanes.submit(self._client, call, received, failed, pause, self._identity, again)
            else:
                raise error

        self._under_way += 1
        call = Call(operation, request, self._table.name)
        self._lanes.submit(self._client, call, received, failed, identity=self._identity, again=again)

    def _unchanged(self, item: Slice) -> bytes:
        """The members of a request which require that each attribute of ``item`` that travels is there and equal, as
        far as a condition has room."""
        attributes: dict[str, Raw] = split(item, dict[str, Raw])
        named = [each for each in attributes.items() if self._carried.has(each[0])][:MOST_CONDITIONS]
        return b'"ConditionExpression":"%s","ExpressionAttributeNames":%s,"ExpressionAttributeValues":%s' % (
            " AND ".join(f"#{number}=:{number}" for number in range(len(named))).encode(),
            joined({f"#{number}": name for number, (name, _value) in enumerate(named)}),
            joined({f":{number}": value for number, (_name, value) in enumerate(named)}),
        )


def _absent(name: str) -> bytes:
    """The members of a request which require that no item is there."""
    return b'"ConditionExpression":"attribute_not_exists(#0)","ExpressionAttributeNames":%s' % joined({"#0": name})
