# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a table page by page, in parallel segments; items stay slices of the page they came in."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ..errors import FerryError, MissingTable
from .answers import Raw, ScanPage, decode, malformed
from .client import Call, Client
from .lanes import LOOK_SECONDS, Lanes
from .permit import FREE, Bounds
from .tables import Identity, ItemTable, Unfound, read_found
from .throttle import Rate, Throttle

SEGMENT_BYTES = 64 * 1024 * 1024
LEAST_SEGMENTS, MOST_SEGMENTS = 16, 4096
PAGE_BYTES = 1024 * 1024  # about the size of one page of a scan (aws.md H)
PAGE_SEGMENTS = 4  # of a table that one page would hold: each costs a request, and at once a connection
LEAST_UNITS = 4.0  # of a page under a rate: its size is rounded up to half a unit or a whole one
FIRST_ITEMS = 25  # of the page whose cost is not known yet


@dataclass(frozen=True)
class Segment:
    """One of ``total`` parallel segments of a scan, from its start or after ``start_key`` (DynamoDB's JSON)."""

    number: int
    total: int
    start_key: bytes = b""


@dataclass(frozen=True)
class SegmentPage:
    """One answer of Scan: the whole ``body``, its ``items`` as slices, the key after which the segment continues (b""
    at its end), and the read units where they were requested."""

    segment: Segment
    body: bytes
    items: Sequence[Raw]
    count: int
    next_key: bytes
    units: float | None


def segments_for(table: ItemTable, workers: int = 1) -> int:
    """How many segments to cut ``table`` into for ``workers`` processes.

    Far more than are read at once: a worker that is done takes the next, so that a heavy one is one of many under way
    and not the last. Empty segments of a small table cost half a read unit each. A size of 0 is that of a new table,
    which may be large.
    """
    if 0 < table.size_bytes <= PAGE_BYTES and workers == 1:
        return PAGE_SEGMENTS
    return max(LEAST_SEGMENTS * workers, min(MOST_SEGMENTS, table.size_bytes // SEGMENT_BYTES))


def spread(total: int) -> list[int]:
    """The segments 0 to ``total`` - 1, ordered so that neighbours lie far apart.

    Segments are ranges of the partition key's hash, as partitions are: those under way at the same time are then spread
    over the whole source and, for writes, over the whole destination.
    """
    bits = max(1, (total - 1).bit_length())
    reversed_bits = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [number for number in reversed_bits if number < total]


class Scanner:
    """Builds the requests of one table's scan and reads the answers. It sends nothing."""

    def __init__(
        self, table: ItemTable, *, consistent: bool = False, metered: bool = False, counting: bool = False
    ) -> None:
        """``metered`` requests the consumed units, ``counting`` counts only (Select=COUNT)."""
        self.table = table
        self._counting = counting
        self._pages = 0
        members: dict[str, object] = {"TableName": table.name}
        if consistent:
            members["ConsistentRead"] = True
        if counting:
            members["Select"] = "COUNT"
        if metered:
            members["ReturnConsumedCapacity"] = "TOTAL"
        members.update(_filter(table))
        self._begin = json.dumps(members).encode()[:-1]

    def request(self, segment: Segment, limit: int = 0) -> Call:
        """The call for the page after ``segment``'s start key, of at most ``limit`` items where given."""
        body = b"%s%s%s%s}" % (
            self._begin,
            b',"Segment":%d,"TotalSegments":%d' % (segment.number, segment.total),
            b',"Limit":%d' % limit if limit else b"",
            b',"ExclusiveStartKey":%s' % segment.start_key if segment.start_key else b"",
        )
        return Call("Scan", body, self.table.name)

    def page(self, segment: Segment, body: bytes) -> SegmentPage:
        """The page in an answer. Raises ServiceError when it is malformed, or its count is not that of its items."""
        response: ScanPage = decode(body, ScanPage, "Scan", self.table.name)
        if len(response.items) != response.count and not self._counting:
            raise malformed(
                "Scan", self.table.name, ValueError(f"{len(response.items)} items instead of {response.count}")
            )
        self._pages += 1
        units = response.consumed_capacity.capacity_units if response.consumed_capacity else None
        next_key = bytes(response.last_evaluated_key)
        return SegmentPage(
            segment, body, response.items, response.count, b"" if next_key == b"null" else next_key, units
        )

    @property
    def seen(self) -> bool:
        """Whether the table returned a page: one that is missing later has vanished."""
        return self._pages > 0

    def read(self, client: Client, segment: Segment, limit: int = 0) -> SegmentPage:
        """One page. Raises what Client.call does, TableVanished, KeepsFailing."""
        return self.page(segment, read_found(client, self.request(segment, limit), self.table, seen=self.seen))


def _filter(table: ItemTable) -> dict[str, object]:
    """The members of a Scan that shows only items whose key attributes begin as ``table`` says. They cost as if all
    were shown (Scan's FilterExpression; key attributes may stand in it, as they may not in a Query's)."""
    if not table.heads:
        return {}
    return {
        "FilterExpression": " AND ".join(f"begins_with(#head{at}, :head{at})" for at in range(len(table.heads))),
        "ExpressionAttributeNames": {f"#head{at}": name for at, (name, _head) in enumerate(table.heads)},
        "ExpressionAttributeValues": {f":head{at}": {"S": head} for at, (_name, head) in enumerate(table.heads)},
    }


class ParallelScan:
    """Reads segments of one table page by page, several at once; the pages of each segment come in their order.

    ``next_segment`` returns segments until None; each page is passed to ``take``. The caller calls ``fill`` whenever
    there is room for more pages, and turns the lanes. For one thread.
    """

    def __init__(
        self,
        lanes: Lanes,
        client: Client,
        scanner: Scanner,
        next_segment: Callable[[], Segment | None],
        take: Callable[[SegmentPage], None],
        at_once: int,
        throttle: Throttle | None = None,
        has_room: Callable[[int], bool] = lambda _number: True,
    ) -> None:
        """With a ``throttle`` the ``scanner`` has to be metered. ``has_room`` says for a segment's number whether its
        next page may be read; the other segments go on meanwhile."""
        self._lanes = lanes
        self._client = client
        self._scanner = scanner
        self._next_segment = next_segment
        self._take = take
        self._at_once = at_once
        self._throttle = throttle
        self._has_room = has_room
        self._identity = Identity(scanner.table)  # asked for only where AWS does not find the table
        self._begun: deque[Segment] = deque()
        self._reading: set[int] = set()  # segments of which a page is under way
        self._rewound: dict[int, Segment] = {}
        self._under_way = 0
        self._exhausted = False

    @property
    def ended(self) -> bool:
        """Whether all pages were passed on."""
        return self._exhausted and not self._begun and not self._under_way

    def fill(self, most: int | None = None) -> float:
        """Request as many pages as may be under way, ``most`` of them where given; the seconds until the next call at
        most, 0 at the end."""
        while self._under_way < (self._at_once if most is None else min(self._at_once, most)):
            if self._throttle is not None and (delay := self._throttle.delay()):
                return delay
            segment = self._segment()
            if segment is None:
                break
            self._request(segment)
        return 0.0 if self.ended else LOOK_SECONDS

    def rewind(self, segment: Segment) -> None:
        """Read a segment that was begun from ``segment``'s start key on; what is under way of it is not passed on."""
        self._begun = deque(each for each in self._begun if each.number != segment.number)
        if segment.number in self._reading:
            self._rewound[segment.number] = segment
        else:
            self._begun.append(segment)

    def _segment(self) -> Segment | None:
        for begun in self._begun:
            if self._has_room(begun.number):
                self._begun.remove(begun)
                return begun
        if not self._exhausted:
            segment = self._next_segment()
            self._exhausted = segment is None
            return segment
        return None

    def _request(self, segment: Segment) -> None:
        throttle = self._throttle
        limit = self._limit(throttle) if throttle else 0
        reserved = throttle.reserve(limit) if throttle else None

        def received(body: bytes) -> None:
            page = self._scanner.page(segment, body)
            self._under_way -= 1
            self._reading.discard(segment.number)
            if throttle and reserved:
                throttle.settle(reserved, page.units or 0.0, page.count)
            rewound = self._rewound.pop(segment.number, None)
            if rewound is not None:
                self._begun.append(rewound)
                return
            if page.next_key:
                self._begun.append(Segment(segment.number, segment.total, page.next_key))
            self._take(page)

        call = self._scanner.request(segment, limit)
        unfound = Unfound(self._scanner.table, self._client.retry_policy, "reads")

        def failed(error: FerryError) -> None:
            if not isinstance(error, MissingTable):
                raise error
            pause = unfound.pause(error)
            if self._scanner.seen:
                self._identity.acknowledged()
            self._identity.doubt()
            self._lanes.submit(self._client, call, received, failed, pause, self._identity)

        self._under_way += 1
        self._reading.add(segment.number)
        self._lanes.submit(self._client, call, received, failed)

    def _limit(self, throttle: Throttle) -> int:
        """How many items a page may have so that each second keeps the rate."""
        affordable = throttle.weight_for(max(LEAST_UNITS, throttle.request_units))
        return max(1, int(affordable)) if affordable else FIRST_ITEMS


def count_items(
    client: Client,
    table: ItemTable,
    *,
    consistent: bool = True,
    rate: Rate | None = None,
    at_once: int = 8,
    progress: Callable[[int], None] = lambda _: None,
    bounds: Bounds = FREE,
) -> int:
    """How many items ``table`` has, by a parallel Scan that returns none of them; it reads, and AWS bills, the whole
    table.

    ``progress`` gets the count so far after each page; what it raises ends the counting. Raises what Client.call and
    the bounds' ``look`` do, TableVanished.
    """
    counted = 0

    def add(page: SegmentPage) -> None:
        nonlocal counted
        counted += page.count
        progress(counted)

    scan_table(client, table, add, consistent=consistent, counting=True, rate=rate, at_once=at_once, bounds=bounds)
    return counted


def scan_table(
    client: Client,
    table: ItemTable,
    take: Callable[[SegmentPage], None],
    *,
    consistent: bool = False,
    counting: bool = False,
    rate: Rate | None = None,
    at_once: int = 8,
    bounds: Bounds = FREE,
) -> None:
    """Read the whole ``table`` in this process; ``take`` gets its pages, without items where ``counting``.

    Raises what Client.call, ``take`` and the bounds' ``look`` do, TableVanished.
    """
    total = segments_for(table)
    waiting = deque(Segment(number, total) for number in spread(total))
    lanes = Lanes(bounds)
    scanner = Scanner(table, consistent=consistent, metered=rate is not None, counting=counting)
    scan = ParallelScan(
        lanes,
        client,
        scanner,
        lambda: waiting.popleft() if waiting else None,
        take,
        at_once,
        Throttle(rate) if rate else None,
    )
    try:
        while delay := scan.fill():
            lanes.turn(delay)
    finally:
        lanes.close()
