# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Repairs a destination, key by key, with what the source holds now.

    result = repair(source, destination, differences, RepairOptions(delete_extra=True))

Each key is read again from both tables, strongly consistent. The destination's item is replaced only if it is still
what was read: a newer item of another writer is never lost, but reported.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice
from typing import Literal

from ..errors import FerryError, ItemRefused, MissingTable
from .answers import Key, KeyReader, Raw, Single, Slice, decode, msgspec, require_msgspec
from .carried import CARRIED, Carried
from .client import Call, Client, RetryPolicy
from .differences import Difference
from .digest import canonical_item
from .lanes import LOOK_SECONDS, Lanes
from .lookup import READ_ITEMS, Lookup
from .permit import FREE, Bounds
from .tables import Identity, ItemTable, carried_between, require_same_key, require_two, vanished
from .throttle import Rate, Throttle
from .write import expected_units

Outcome = Literal["put", "deleted", "equal", "left", "changed"]

MOST_CONDITIONS = 100  # an expression has at most 300 operators and 4 KB (AWS developer guide, Constraints)


@dataclass(frozen=True)
class RepairOptions:
    """How to repair.

    ``delete_extra`` deletes what only the destination has; without it such items are left. ``writes_at_once`` are under
    way together. The rates limit the source's read units and the destination's write units per second.
    ``carried`` is what of an item travels. ``bounds`` say until when the repair may write, and when it must stop.
    """

    delete_extra: bool = False
    writes_at_once: int = 32
    source_rate: Rate | None = None
    destination_rate: Rate | None = None
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

    ``report`` gets the outcome of each. Raises MissingLibrary, KeySchemaDiffers, InvalidInput for a malformed key,
    ItemRefused, TableVanished, KeepsFailing, EndpointUnreachable, CredentialsError, AccessDenied, ServiceError.
    """
    options = options or RepairOptions()
    require_msgspec()
    require_two(source, destination)
    require_same_key(source, destination)
    options = replace(options, carried=carried_between(source, destination, options.carried))
    reading = Client(source.endpoint, options.retry_policy, options.bounds)
    writing = Client(destination.endpoint, options.retry_policy, options.bounds)
    lanes = Lanes(options.bounds)
    repairing = _Repair(
        Lookup(reading, source, Throttle(options.source_rate) if options.source_rate else None),
        Lookup(writing, destination),
        _Conditional(
            lanes,
            writing,
            destination,
            options.writes_at_once,
            options.carried,
            Throttle(options.destination_rate) if options.destination_rate else None,
        ),
        options.carried,
        options.delete_extra,
    )
    outcomes: Counter[str] = Counter()

    def note(difference: Difference, outcome: Outcome) -> None:
        outcomes[outcome] += 1
        report(difference, outcome)

    waiting = iter(differences)
    try:
        while part := list(islice(waiting, READ_ITEMS)):
            repairing.repair(part, note)
    finally:
        reading.close()
        writing.close()
        lanes.close()
    return RepairResult(**outcomes)


class _Repair:
    """Repairs keys: reads many at once, then writes them at once."""

    def __init__(
        self, source: Lookup, destination: Lookup, writer: _Conditional, carried: Carried, delete_extra: bool
    ) -> None:
        self._source = source
        self._destination = destination
        self._writer = writer
        self._carried = carried
        self._delete_extra = delete_extra

    def repair(self, differences: Sequence[Difference], note: Callable[[Difference, Outcome], None]) -> None:
        """Repair the keys of ``differences``; returns when the outcome of each is noted."""
        keys = [self._source.keys.from_json(difference.key) for difference in differences]
        mine, theirs = self._source.read(keys), self._destination.read(keys)
        for key, difference in zip(keys, differences, strict=True):
            self._repair(key, self._of(mine.get(key)), theirs.get(key), partial(note, difference))
        self._writer.finish()

    def _repair(self, key: Key, mine: Slice | None, theirs: bytes | None, note: Callable[[Outcome], None]) -> None:
        def written(accepted: bool) -> None:
            # A failed condition may be our own doing: the first attempt arrived, its answer did not, and the second
            # attempt failed.
            if accepted or self._same(mine, self._destination.read([key]).get(key)):
                note("deleted" if mine is None else "put")
            else:
                note("changed")

        if self._same(mine, theirs):
            note("equal")
        elif mine is not None:
            self._writer.put(key, mine, theirs, written)
        elif not self._delete_extra:
            note("left")
        else:
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


class _Conditional:
    """Puts and deletes single items of a table, on the condition that they are still as they were read."""

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

    def put(self, key: Key, item: Slice, seen: bytes | None, done: Callable[[bool], None]) -> None:
        """Put ``item`` where ``seen`` is (None: nothing); ``done`` gets False when something else is there by now."""
        condition = self._unchanged(seen) if seen is not None else _absent(self._table.key[0].name)
        self._write("PutItem", key, b'"Item":%s' % item, condition, expected_units([item]), done)

    def delete(self, key: Key, seen: bytes, done: Callable[[bool], None]) -> None:
        """Delete ``seen``; ``done`` gets False when something else is there by now."""
        which = b'"Key":%s' % self._keys.to_wire(key)
        self._write("DeleteItem", key, which, self._unchanged(seen), expected_units([seen]), done)

    def finish(self) -> None:
        """Wait until nothing is under way. Raises what Client.call does, ItemRefused, TableVanished."""
        while self._under_way:
            self._lanes.turn(LOOK_SECONDS)

    def _delay(self) -> float:
        """How many seconds to receive answers before there is room for one more request, 0 for none."""
        if self._under_way >= self._at_once:
            return LOOK_SECONDS
        return self._throttle.delay() if self._throttle else 0.0

    def _write(
        self, operation: str, key: Key, what: bytes, condition: bytes, weight: float, done: Callable[[bool], None]
    ) -> None:
        throttle = self._throttle
        while delay := self._delay():
            self._lanes.turn(delay)
        reserved = throttle.reserve(weight) if throttle else 0.0
        metered = b',"ReturnConsumedCapacity":"TOTAL"' if throttle else b""
        name = json.dumps(self._table.name).encode()
        request = b'{"TableName":%s,%s,%s%s}' % (name, what, condition, metered)

        def ended(accepted: bool, units: float) -> None:
            self._identity.acknowledged()
            self._under_way -= 1
            if throttle:
                throttle.settle(weight, reserved, units)
            done(accepted)

        def failed(error: FerryError) -> None:
            if error.details.get("code") != "ConditionalCheckFailedException":
                raise self._explained(key, error) from error
            ended(False, reserved)  # a failed condition is billed like a write (aws.md I)

        self._under_way += 1
        call = Call(operation, request, self._table.name)
        self._lanes.submit(
            self._client,
            call,
            lambda body: ended(True, _units(body, operation, self._table.name)),
            failed,
            identity=self._identity,
        )

    def _unchanged(self, item: bytes) -> bytes:
        """The members of a request which require that each attribute of ``item`` that travels is there and equal."""
        attributes: dict[str, Raw] = msgspec.json.decode(item, type=dict[str, Raw])
        named = [each for each in attributes.items() if self._carried.has(each[0])][:MOST_CONDITIONS]
        return b'"ConditionExpression":"%s","ExpressionAttributeNames":%s,"ExpressionAttributeValues":%s' % (
            " AND ".join(f"#{number}=:{number}" for number in range(len(named))).encode(),
            msgspec.json.encode({f"#{number}": name for number, (name, _value) in enumerate(named)}),
            msgspec.json.encode({f":{number}": value for number, (_name, value) in enumerate(named)}),
        )

    def _explained(self, key: Key, error: FerryError) -> FerryError:
        if isinstance(error, MissingTable):
            return vanished(self._table)
        if error.details.get("code") != "ValidationException":
            return error
        return ItemRefused(
            f"The destination rejects an item: {error.cause}",
            "Correct the item in the source, then compare again.",
            table=self._table.name,
            details={"key": self._keys.to_json(key), "code": "ValidationException"},
        )


def _units(body: bytes, operation: str, table: str) -> float:
    response: Single = decode(body, Single, operation, table)
    return response.consumed_capacity.capacity_units if response.consumed_capacity else 0.0


def _absent(name: str) -> bytes:
    """The members of a request which require that no item is there."""
    return b'"ConditionExpression":"attribute_not_exists(#0)","ExpressionAttributeNames":%s' % msgspec.json.encode(
        {"#0": name}
    )
