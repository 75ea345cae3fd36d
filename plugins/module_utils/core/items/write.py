# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes items in batches that are spliced from their bytes, until AWS has acknowledged each of them."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import FerryError, ItemRefused, KeepsFailing, MissingTable, ServiceError
from .raw import BatchWritten, KeyReader, Raw, Slice, decode, malformed, msgspec
from .tables import ItemTable, vanished
from .throttle import Throttle
from .wire import Client

BATCH_ITEMS = 25  # the most that BatchWriteItem takes (aws.md H)
BATCH_BYTES = 4 * 1024 * 1024  # of JSON; AWS takes 16 MB (aws.md H), smaller ones are quicker to send again
WRITE_UNIT_BYTES = 1024
REPLICATION_PREFIX = "aws:rep:"  # what old global tables keep in items; never ours to write (design section 10)

_PUT, _DELETE = b'{"PutRequest":{"Item":', b'{"DeleteRequest":{"Key":'
_END = b"}}"
_NEXT_PUT = b"%s,%s" % (_END, _PUT)
_REPLICATION = f'"{REPLICATION_PREFIX}'.encode()
_NOTHING_LEFT = b'{"UnprocessedItems":{}}'
# A batch with one wrong item is refused whole (aws.md H): each is then sent alone, and the wrong one told.
_ONE_BY_ONE = frozenset({"ItemCollectionSizeLimitExceededException", "ValidationException"})


@dataclass(frozen=True)
class Written:
    """What became of one batch: units where they were asked for, and how many items had to be sent again."""

    units: float | None
    resent: int


def put(item: Slice) -> bytes:
    """The request of a batch that puts ``item``."""
    return b"%s%s%s" % (_PUT, item, _END)


def delete(key: Slice) -> bytes:
    """The request of a batch that deletes the item with ``key`` (DynamoDB's JSON)."""
    return b"%s%s%s" % (_DELETE, key, _END)


def without_replication_attributes(body: bytes, items: Sequence[Slice]) -> Sequence[Slice]:
    """``items`` of the answer ``body`` without the attributes of old global tables."""
    if _REPLICATION not in body:
        return items
    return [_stripped(item) if _REPLICATION in bytes(item) else item for item in items]


def _stripped(item: Slice) -> bytes:
    attributes = msgspec.json.decode(item, type=dict[str, Raw])
    kept = {name: value for name, value in attributes.items() if not name.startswith(REPLICATION_PREFIX)}
    return msgspec.json.encode(kept)


def distinct(items: Sequence[Slice], keys: Sequence[object]) -> Sequence[Slice]:
    """``items`` with each of their ``keys`` once, the last of each; AWS refuses a batch that names a key twice."""
    if len(set(keys)) == len(items):
        return items
    return list(dict(zip(keys, items, strict=True)).values())


def batches(items: Sequence[Slice], most_items: int = BATCH_ITEMS, most_bytes: int = BATCH_BYTES) -> list[list[Slice]]:
    """``items`` in batches of at most ``most_items`` and ``most_bytes`` (one larger item is a batch of its own).

    Each takes every n-th item: neighbours in a page share a partition, so a batch is spread over the page's range.
    """
    count = -(-len(items) // most_items)
    cut: list[list[Slice]] = [list(items[start::count]) for start in range(count)]
    if sum(map(len, items)) <= most_bytes:
        return cut
    return [part for batch in cut for part in _by_bytes(batch, most_bytes)]


def _by_bytes(batch: list[Slice], most_bytes: int) -> list[list[Slice]]:
    parts: list[list[Slice]] = [[]]
    size = 0
    for item in batch:
        if parts[-1] and size + len(item) > most_bytes:
            parts.append([])
            size = 0
        parts[-1].append(item)
        size += len(item)
    return parts


def expected_units(items: Sequence[Slice]) -> int:
    """About how many write units ``items`` take, by the length of their JSON; indexes cost more (aws.md H)."""
    return sum(-(-len(item) // WRITE_UNIT_BYTES) for item in items)


class Writer:
    """Writes to one table. Safe to use from any thread."""

    def __init__(self, client: Client, table: ItemTable, throttle: Throttle | None = None) -> None:
        self._client = client
        self._table = table
        self._throttle = throttle
        self._answered = False
        self._keys = KeyReader(table.key)
        self._begin = b'{"RequestItems":{%s:[' % json.dumps(table.name).encode()
        self._end = b']},"ReturnConsumedCapacity":"TOTAL"}' if throttle is not None else b"]}}"

    def put(self, items: Sequence[Slice]) -> Written:
        """Put a batch of ``items`` with distinct keys; returns when AWS has acknowledged every one.

        Raises ItemRefused, KeepsFailing, TableVanished, what Client.call does. After an error any part may be written.
        """
        payload = b"%s%s%s" % (_PUT, _NEXT_PUT.join(items), _END)
        return self._write(payload, items, put)

    def delete(self, keys: Sequence[bytes]) -> Written:
        """Delete the items with ``keys`` (DynamoDB's JSON, distinct); raises as ``put`` does."""
        return self._write(b",".join(map(delete, keys)), keys, delete)

    def _write(self, payload: bytes, parts: Sequence[Slice], request_of: Callable[[Slice], bytes]) -> Written:
        if self._throttle is None:
            return self._send_all(payload, parts, request_of)
        done: list[Written] = []

        def send() -> float:
            done.append(self._send_all(payload, parts, request_of))
            return done[0].units or 0.0

        self._throttle.spend(expected_units(parts), send)
        return done[0]

    def _send_all(self, payload: bytes, parts: Sequence[Slice], request_of: Callable[[Slice], bytes]) -> Written:
        """Send ``payload`` until nothing is left unprocessed; it is made of ``request_of`` each of ``parts``."""
        units: float | None = None
        resent = failures = 0
        progressed = time.monotonic()
        while True:
            try:
                left, used = self._send(payload, len(parts))
            except ServiceError as error:
                if error.details.get("code") not in _ONE_BY_ONE:
                    raise
                requests = [request_of(part) for part in parts]
                if len(requests) == 1:
                    raise self._refused(requests[0], error) from error
                alone = [self._send_all(request, [request], bytes) for request in requests]
                units = _sum(units, sum(each.units or 0.0 for each in alone) if self._throttle else None)
                return Written(units, resent + sum(each.resent for each in alone))
            units = _sum(units, used)
            if not left:
                return Written(units, resent)
            if len(left) < len(parts):
                failures, progressed = 0, time.monotonic()
            elif time.monotonic() - progressed > self._client.patience_seconds:
                raise KeepsFailing(
                    f"{len(left)} items stayed unprocessed for {self._client.patience_seconds:.0f} s.",
                    "Give the table more capacity or ask for fewer units per second, then run again: it goes on.",
                    table=self._table.name,
                )
            resent += len(left)
            failures += 1
            self._client.pause(failures)
            payload, parts, request_of = b",".join(left), left, bytes

    def _send(self, payload: bytes, count: int) -> tuple[list[Raw], float | None]:
        """What one BatchWriteItem of ``count`` requests left unprocessed, and the units it took."""
        name = self._table.name
        try:
            body = self._client.call("BatchWriteItem", b"".join((self._begin, payload, self._end)), name)
        except MissingTable as error:
            raise (vanished(self._table) if self._answered else error) from error
        self._answered = True
        if body == _NOTHING_LEFT:
            return [], None
        told: BatchWritten = decode(body, BatchWritten, "BatchWriteItem", name)
        left = [request for requests in told.unprocessed_items.values() for request in requests]
        if len(left) > count:
            raise malformed("BatchWriteItem", name, ValueError("more is unprocessed than was sent"))
        used = sum(each.capacity_units for each in told.consumed_capacity) if told.consumed_capacity else None
        return left, used

    def _refused(self, request: Slice, error: FerryError) -> FerryError:
        told = msgspec.json.decode(request, type=dict[str, dict[str, Raw]])
        key = self._keys.to_json(self._keys.of(next(iter(next(iter(told.values())).values()))))
        return ItemRefused(
            f"The destination does not take the item {json.dumps(key, ensure_ascii=False)}: {error.cause}",
            "Correct the item in the source. If its index key is of another type, make the index after the copy.",
            table=self._table.name,
            details={"key": key, "code": error.details.get("code", "")},
        )


def _sum(units: float | None, more: float | None) -> float | None:
    return units if more is None else (units or 0.0) + more
