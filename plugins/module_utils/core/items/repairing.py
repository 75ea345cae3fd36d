# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Mends a destination, key by key, by what the source holds now.

    result = repair(source, destination, differences, RepairOptions(delete_extra=True))

Each key is read again from both sides, strongly consistent. What the destination holds is replaced only if it is still
what was read: another writer's newer item is never lost, but told.
"""

from __future__ import annotations

import json
import threading
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from itertools import islice
from typing import Literal

from ..errors import FerryError, ItemRefused, MissingTable, ServiceError
from .comparing import Difference
from .digest import canonical_item
from .lookup import Lookup
from .raw import Key, Raw, Single, Slice, decode, msgspec, require_msgspec
from .tables import ItemTable, require_same_key, vanished
from .throttle import Rate, Throttle
from .together import run_together
from .wire import Client, Patience
from .write import REPLICATION_PREFIX, expected_units, without_replication_attributes

Outcome = Literal["put", "deleted", "equal", "left", "changed"]

READ_AT_ONCE = 25
MOST_CONDITIONS = 100  # an expression has at most 300 operators and 4 KB (AWS developer guide, Constraints)


@dataclass(frozen=True)
class RepairOptions:
    """How to repair.

    ``delete_extra`` deletes what only the destination has; without it such items are left. ``threads`` mend keys at the
    same time. The rates limit the source's read units and the destination's write units per second.
    """

    delete_extra: bool = False
    threads: int = 8
    source_rate: Rate | None = None
    destination_rate: Rate | None = None
    patience: Patience = field(default_factory=Patience)


@dataclass(frozen=True)
class RepairResult:
    """How many keys were mended and how.

    ``put`` and ``deleted`` in the destination; ``equal`` by now, so untouched; ``left`` although the source does not
    have them, since deleting was not asked for; ``changed`` by somebody else in the destination while it was mended, so
    untouched too: compare again.
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
    """Make the destination equal to the source for the keys of ``differences``, whatever their kind was then.

    ``report`` gets what became of each. Raises MissingLibrary, KeySchemaDiffers, InvalidInput for a key that is none,
    ItemRefused, TableVanished, KeepsFailing, EndpointUnreachable, CredentialsError, AccessDenied, ServiceError.
    """
    options = options or RepairOptions()
    require_msgspec()
    require_same_key(source, destination)
    stop = threading.Event()
    reading = Client(source.endpoint, patience=options.patience, stop=stop)
    writing = Client(destination.endpoint, patience=options.patience, stop=stop)
    mending = _Mending(
        Lookup(reading, source, Throttle(options.source_rate, stop) if options.source_rate else None),
        Lookup(writing, destination),
        _Conditional(
            writing, destination, Throttle(options.destination_rate, stop) if options.destination_rate else None
        ),
        options.delete_extra,
    )
    outcomes: Counter[str] = Counter()
    lock = threading.Lock()
    waiting = iter(differences)

    def work() -> None:
        while True:
            with lock:
                part = list(islice(waiting, READ_AT_ONCE))
            if not part or stop.is_set():
                return
            for difference, outcome in mending.mend(part):
                with lock:
                    outcomes[outcome] += 1
                    report(difference, outcome)

    try:
        run_together([work] * options.threads, stop)
    finally:
        reading.close()
        writing.close()
    return RepairResult(**outcomes)


class _Mending:
    """Mends keys one by one, after reading some at once."""

    def __init__(self, source: Lookup, destination: Lookup, writer: _Conditional, delete_extra: bool) -> None:
        self._source = source
        self._destination = destination
        self._writer = writer
        self._delete_extra = delete_extra

    def mend(self, differences: list[Difference]) -> Iterator[tuple[Difference, Outcome]]:
        """Mend the keys of ``differences``."""
        keys = [self._source.keys.from_json(difference.key) for difference in differences]
        mine, theirs = self._source.read(keys), self._destination.read(keys)
        for key, difference in zip(keys, differences, strict=True):
            yield difference, self._mend(key, mine.get(key), theirs.get(key))

    def _mend(self, key: Key, mine: Slice | None, theirs: bytes | None) -> Outcome:
        if mine is not None:
            mine = without_replication_attributes(bytes(mine), [mine])[0]
        if self._same(mine, theirs):
            return "equal"
        if mine is None and not self._delete_extra:
            return "left"
        done = self._writer.delete(key, theirs or b"") if mine is None else self._writer.put(key, mine, theirs)
        # A refused condition may be our own doing: the first try arrived, its answer did not, the second was refused.
        if not done and not self._same(mine, self._destination.read([key]).get(key)):
            return "changed"
        return "deleted" if mine is None else "put"

    @staticmethod
    def _same(mine: Slice | None, theirs: Slice | None) -> bool:
        if mine is None or theirs is None:
            return mine is theirs
        return canonical_item(mine) == canonical_item(theirs)


class _Conditional:
    """Puts and deletes single items of a table, on the condition that they are still as they were read."""

    def __init__(self, client: Client, table: ItemTable, throttle: Throttle | None) -> None:
        self._client = client
        self._table = table
        self._throttle = throttle
        self._keys = Lookup(client, table).keys

    def put(self, key: Key, item: Slice, seen: bytes | None) -> bool:
        """Put ``item`` where ``seen`` is (None: nothing); False when something else is there by now."""
        condition = _unchanged(seen) if seen is not None else _absent(self._table.key[0].name)
        return self._write("PutItem", key, b'"Item":%s' % item, condition, expected_units([item]))

    def delete(self, key: Key, seen: bytes) -> bool:
        """Delete ``seen``; False when something else is there by now."""
        return self._write(
            "DeleteItem", key, b'"Key":%s' % self._keys.to_wire(key), _unchanged(seen), expected_units([seen])
        )

    def _write(self, operation: str, key: Key, what: bytes, condition: bytes, weight: float) -> bool:
        name = self._table.name
        request = b'{"TableName":%s,%s,%s' % (json.dumps(name).encode(), what, condition)
        try:
            if self._throttle is None:
                self._client.call(operation, request + b"}", name)
            else:
                metered = request + b',"ReturnConsumedCapacity":"TOTAL"}'
                self._throttle.spend(weight, lambda: _units(self._client.call(operation, metered, name), name))
        except MissingTable as error:
            raise vanished(self._table) from error
        except ServiceError as error:
            if error.details.get("code") == "ConditionalCheckFailedException":
                return False
            raise self._refused(key, error) from error
        return True

    def _refused(self, key: Key, error: FerryError) -> FerryError:
        if error.details.get("code") != "ValidationException":
            return error
        shown = self._keys.to_json(key)
        return ItemRefused(
            f"The destination does not take the item {json.dumps(shown, ensure_ascii=False)}: {error.cause}",
            "Correct the item in the source, then compare again.",
            table=self._table.name,
            details={"key": shown, "code": "ValidationException"},
        )


def _units(body: bytes, table: str) -> float:
    told: Single = decode(body, Single, "PutItem", table)
    return told.consumed_capacity.capacity_units if told.consumed_capacity else 0.0


def _absent(name: str) -> bytes:
    """The members of a request that demand that nothing is there."""
    return b'"ConditionExpression":"attribute_not_exists(#0)","ExpressionAttributeNames":%s' % msgspec.json.encode(
        {"#0": name}
    )


def _unchanged(item: bytes) -> bytes:
    """The members of a request that demand that each attribute of ``item`` is still there and equal."""
    attributes: dict[str, Raw] = msgspec.json.decode(item, type=dict[str, Raw])
    named = [each for each in attributes.items() if not each[0].startswith(REPLICATION_PREFIX)][:MOST_CONDITIONS]
    return b'"ConditionExpression":"%s","ExpressionAttributeNames":%s,"ExpressionAttributeValues":%s' % (
        " AND ".join(f"#{number}=:{number}" for number in range(len(named))).encode(),
        msgspec.json.encode({f"#{number}": name for number, (name, _) in enumerate(named)}),
        msgspec.json.encode({f":{number}": value for number, (_, value) in enumerate(named)}),
    )
