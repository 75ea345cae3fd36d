# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes items in batches that are spliced from their bytes, until AWS has acknowledged each of them."""

from __future__ import annotations

import json
import math
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Protocol

from ..aws_errors import BAD_ITEM
from ..errors import FerryError, ItemRefused, KeepsFailing, MissingTable
from .answers import BatchWritten, KeyReader, Raw, Slice, decode, malformed, split
from .client import Call, Client
from .lanes import LOOK_SECONDS, Lanes
from .permit import sure_from
from .tables import Identity, ItemTable, Unfound
from .throttle import Reserved, Throttle

BATCH_ITEMS = 25  # the most that BatchWriteItem takes (aws.md H)
BATCH_BYTES = 4 * 1024 * 1024  # of JSON; AWS takes 16 MB (aws.md H), smaller ones are quicker to send again
FIRST_BATCHES = 32  # under way at the beginning, twice as many after each round trip in which they succeed
AHEAD = 8  # times as many connections are made as may be under way now: making one takes three round trips
TRIES = 2  # that AWS throttled before a batch is set aside
WRITE_UNIT_BYTES = 1024
MOST_REFUSED = 1000  # items; so many show that it is not the items which are wrong

_PUT, _DELETE = b'{"PutRequest":{"Item":', b'{"DeleteRequest":{"Key":'
_END = b"}}"
_NEXT_PUT = b"%s,%s" % (_END, _PUT)
_NOTHING_LEFT = b'{"UnprocessedItems":{}}'


@dataclass(frozen=True)
class Written:
    """One batch that AWS acknowledged: the units where they were requested, and how many items were sent again.
    ``lost_at`` is when an attempt before had no answer, by the monotonic clock: it may still be carried out."""

    units: float | None
    resent: int
    lost_at: float = -math.inf


@dataclass(frozen=True)
class RefusedItem:
    """An item that AWS refuses: its key in DynamoDB's JSON, which no message may show, and AWS's words."""

    key: Mapping[str, Mapping[str, str]]
    reason: str
    code: str


def refusal(table: str, refused: Sequence[RefusedItem], what: str, next_step: str) -> ItemRefused:
    """The error for items that ``table`` refuses: ``what`` says how many, the reasons follow."""
    reasons = Counter(item.reason.rstrip(".") for item in refused)
    words = "; ".join(f"{reason} ({count})" if len(reasons) > 1 else reason for reason, count in reasons.most_common(3))
    return ItemRefused(
        f"The destination rejects {what} {words}.",
        next_step,
        table=table,
        details={
            "code": refused[0].code,
            "refused": len(refused),
            "items": [{"key": item.key, "reason": item.reason} for item in refused],
        },
    )


def put(item: Slice) -> bytes:
    """The request of a batch that puts ``item``."""
    return b"%s%s%s" % (_PUT, item, _END)


def delete(key: Slice) -> bytes:
    """The request of a batch that deletes the item with ``key`` (DynamoDB's JSON)."""
    return b"%s%s%s" % (_DELETE, key, _END)


def distinct(items: Sequence[Slice], keys: Sequence[object]) -> Sequence[Slice]:
    """``items`` with each of their ``keys`` once, the last of each; AWS rejects a batch that holds a key twice."""
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


def most_items(throttle: Throttle | None, items: int, size: int) -> int:
    """How many items a batch may have so that each second keeps the rate, where ``items`` take ``size`` bytes."""
    if throttle is None or not items:
        return BATCH_ITEMS
    average = max(WRITE_UNIT_BYTES, size / items)
    return max(1, min(BATCH_ITEMS, int(throttle.request_units * WRITE_UNIT_BYTES / average)))


def expected_units(items: Sequence[Slice]) -> int:
    """About how many write units ``items`` take, by the length of their JSON; indexes cost more (aws.md H)."""
    return sum(-(-len(item) // WRITE_UNIT_BYTES) for item in items)


class Watcher(Protocol):
    """Who put a batch."""

    def acknowledge(self, written: Written) -> None:
        """AWS has taken all of it but what was refused."""

    def stick(self) -> None:
        """AWS keeps taking nothing of it; said once."""

    def refuse(self, item: RefusedItem) -> None:
        """AWS takes one of its items never."""

    @property
    def gives_up(self) -> bool:
        """Whether a batch that sticks is not to be sent again."""

    def gave_up(self) -> None:
        """It is not sent again, and nothing of it is under way."""


class _Window:
    """How many batches may be under way: one more with each that succeeds, up to ``most``; a quarter of these once AWS
    has throttled, and slowly more again."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._growth: float | None = 1.0
        self.size = float(min(FIRST_BATCHES, most))

    def acknowledged(self) -> None:
        """A batch succeeded."""
        self.size = min(self._most, self.size + (self._growth or 1.0 / self.size))

    @property
    def soon(self) -> int:
        """How many there may be in a few round trips, if all succeed."""
        return min(self._most, int(self.size) * (AHEAD if self._growth else 1))

    def throttled(self) -> None:
        """AWS throttled, or left items unprocessed."""
        self._growth = None
        self.size = min(self.size, max(1.0, self._most / 4))


class Writer:
    """Writes batches to one table, many at once, and calls back when AWS has acknowledged a whole batch.

    Unprocessed items are sent again after a pause, a batch that is rejected as a whole is sent item by item. A batch
    that AWS keeps throttling is set aside between its tries: it takes no place of those under way, as mostly one
    partition is hot and the others are not. It can be given up when AWS has just refused it, unless an attempt before
    may still be carried out. For one thread.
    """

    def __init__(
        self, lanes: Lanes, client: Client, table: ItemTable, at_once: int, throttle: Throttle | None = None
    ) -> None:
        """At most ``at_once`` batches are under way, besides those that are set aside."""
        self._lanes = lanes
        self._client = client
        self._table = table
        self._throttle = throttle
        self._window = _Window(at_once)
        self._under_way = 0
        self._expected = False
        self.bytes = 0  # of requests under way
        self.bytes_aside = 0  # of those that AWS keeps throttling
        self._identity = Identity(table)
        self._keys = KeyReader(table.key)
        self._begin = b'{"RequestItems":{%s:[' % json.dumps(table.name).encode()
        self._end = b']},"ReturnConsumedCapacity":"TOTAL"}' if throttle is not None else b"]}}"

    def expect(self, batches: int) -> None:
        """Make connections ready for so many more ``batches``, but no more than may soon be under way.

        The first time it asks whether the table is still the same, so that ``put`` need not wait for that. This method
        or Lanes.turn raises what Lanes.identify does.
        """
        if not batches:
            return
        if not self._expected:
            self._expected = True
            self._lanes.identify(self._client, self._identity)
        if self._throttle is None:
            self._lanes.prepare(self._client, min(self._under_way + batches, self._window.soon))

    def delay(self) -> float:
        """The seconds until the rate allows one more batch, 0 for now; LOOK_SECONDS while as many are under way as may
        be."""
        if self._under_way >= int(self._window.size):
            return LOOK_SECONDS
        return self._throttle.delay() if self._throttle else 0.0

    def put(self, items: Sequence[Slice], watcher: Watcher) -> None:
        """Put a batch of ``items`` with distinct keys.

        This method or Lanes.turn raises KeepsFailing, TableVanished, what Client.call and ``watcher`` raise; any part
        of the batch may then be written.
        """
        # One join: each item is copied once.
        if len(items) == 1:
            body = b"%s%s%s%s%s" % (self._begin, _PUT, items[0], _END, self._end)
        else:
            first, last = b"%s%s%s" % (self._begin, _PUT, items[0]), b"%s%s%s" % (items[-1], _END, self._end)
            body = _NEXT_PUT.join((first, *items[1:-1], last))
        self._send(items, body, watcher)

    def delete(self, keys: Sequence[Slice], watcher: Watcher) -> None:
        """Delete the items with ``keys``; otherwise as ``put``."""
        self._send(keys, self._body(b",".join(map(delete, keys))), watcher)

    def _send(self, parts: Sequence[Slice], body: bytes, watcher: Watcher) -> None:
        batch = _Batch(body, len(parts), watcher)
        self._under_way += 1
        self.bytes += len(batch.body)
        if self._throttle is not None:
            batch.reserved = self._throttle.reserve(expected_units(parts))
        self._submit(batch)

    def _body(self, requests: bytes) -> bytes:
        return b"".join((self._begin, requests, self._end))

    def _requests(self, batch: _Batch) -> list[Raw]:
        """The requests in a batch's body: kept as one, it does not keep the page alive that its items came in."""
        array = batch.body[len(self._begin) - 1 : len(batch.body) - len(self._end) + 1]
        requests: list[Raw] = split(array, list[Raw])
        return requests

    def _submit(self, batch: _Batch, delay: float = 0.0) -> None:
        call = batch.call = Call("BatchWriteItem", batch.body, self._table.name, lost_at=batch.lost_at)
        received, failed = partial(self._received, batch), partial(self._failed, batch)
        again = partial(self._not_taken, batch)
        self._lanes.submit(self._client, call, received, failed, delay, self._identity, again)

    def _received(self, batch: _Batch, body: bytes) -> None:
        self._identity.acknowledged()
        if body == _NOTHING_LEFT:
            self._end_of(batch)
            return
        name = self._table.name
        response: BatchWritten = decode(body, BatchWritten, "BatchWriteItem", name)
        left = [request for requests in response.unprocessed_items.values() for request in requests]
        batch.units += sum(each.capacity_units for each in response.consumed_capacity)
        if not left:
            self._end_of(batch)
            return
        if len(left) > batch.count:
            raise malformed("BatchWriteItem", name, ValueError("more items are unprocessed than were sent"))
        now = time.monotonic()
        if len(left) < batch.count:
            batch.failures, batch.failing_since = 0, now
        elif now - batch.failing_since > self._client.retry_policy.seconds:
            raise KeepsFailing(
                f"{len(left)} items stayed unprocessed for {now - batch.failing_since:.0f} seconds.",
                "Give the table more capacity or set a lower rate, then run again: the copy continues.",
                table=name,
            )
        batch.failures += 1
        batch.resent += len(left)
        self._replace(batch, self._body(b",".join(left)), len(left))
        if self._not_taken(batch):
            self._submit(batch, self._client.retry_policy.pause(batch.failures))

    def _replace(self, batch: _Batch, body: bytes, count: int) -> None:
        """Go on with what is left of ``batch``."""
        less = len(batch.body) - len(body)
        if batch.aside:
            self.bytes_aside -= less
        elif batch.ended is None:
            self.bytes -= less
        batch.body, batch.count, batch.whole = body, count, batch.whole and count == batch.count

    def _not_taken(self, batch: _Batch) -> bool:
        """AWS throttled ``batch``, or left some of it unprocessed. Set it aside at the second time; whether it is to be
        sent again."""
        self._window.throttled()
        if self._throttle is not None and batch.reserved is not None:
            self._throttle.refused(batch.reserved)
        batch.tries += 1
        if batch.aside and time.monotonic() >= sure_from(batch.lost_at) and batch.watcher.gives_up:
            self.bytes_aside -= len(batch.body)
            batch.watcher.gave_up()
            return False
        if batch.tries < TRIES or batch.aside or batch.ended is not None:
            return True
        batch.aside = True
        self._under_way -= 1
        self.bytes -= len(batch.body)
        self.bytes_aside += len(batch.body)
        if batch.whole:
            batch.watcher.stick()
        return True

    def _failed(self, batch: _Batch, error: FerryError) -> None:
        if isinstance(error, MissingTable):
            self._look_again(batch, error)
            return
        if error.details.get("code") not in BAD_ITEM:
            raise error
        # A batch with one wrong item is refused whole (aws.md H): each is then sent alone.
        requests = self._requests(batch)
        if len(requests) == 1:
            batch.watcher.refuse(self._refused(requests[0], error))
            self._end_of(batch)
            return
        open_parts = len(requests)

        def part_done(part: _Batch) -> None:
            nonlocal open_parts
            open_parts -= 1
            batch.units += part.units
            batch.resent += part.resent
            batch.part_lost_at = max(batch.part_lost_at, part.lost_at)
            if not open_parts:
                self._end_of(batch)

        for request in requests:
            self._submit(_Batch(self._body(bytes(request)), 1, batch.watcher, ended=part_done))

    def _look_again(self, batch: _Batch, error: FerryError) -> None:
        """Send a batch again whose table was not found, if DescribeTable finds it."""
        batch.unfound = batch.unfound or Unfound(self._table, self._client.retry_policy, "writes")
        pause = batch.unfound.pause(error)
        self._identity.doubt()
        self._submit(batch, pause)

    def _end_of(self, batch: _Batch) -> None:
        if batch.ended is not None:
            batch.ended(batch)
            return
        if batch.aside:
            self.bytes_aside -= len(batch.body)
        else:
            self._under_way -= 1
            self.bytes -= len(batch.body)
        self._window.acknowledged()
        if self._throttle is not None and batch.reserved is not None:
            self._throttle.settle(batch.reserved, batch.units)
        units = batch.units if self._throttle is not None else None
        batch.watcher.acknowledge(Written(units, batch.resent, batch.lost_at))

    def _refused(self, request: Slice, error: FerryError) -> RefusedItem:
        members = split(request, dict[str, dict[str, Raw]])
        key = self._keys.to_json(self._keys.of(next(iter(next(iter(members.values())).values()))))
        return RefusedItem(key, error.cause, str(error.details.get("code", "")))


@dataclass(eq=False)
class _Batch:
    """``count`` requests on their way in ``body``. ``whole``: AWS has taken none of them yet. ``aside``: it takes no
    place of those under way. ``ended`` is called with a part of a batch that was rejected as a whole."""

    body: bytes
    count: int
    watcher: Watcher
    ended: Callable[[_Batch], None] | None = None
    whole: bool = True
    aside: bool = False
    tries: int = 0
    reserved: Reserved | None = None
    units: float = 0.0
    resent: int = 0
    failures: int = 0
    unfound: Unfound | None = None
    call: Call | None = None
    part_lost_at: float = -math.inf
    failing_since: float = field(default_factory=time.monotonic)

    @property
    def lost_at(self) -> float:
        """When an attempt was lost last, see Call."""
        return max(self.part_lost_at, -math.inf if self.call is None else self.call.lost_at)
