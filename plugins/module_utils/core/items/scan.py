# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads a table page by page, in parallel segments; items stay slices of the page they came in."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from ..errors import FerryError, MissingTable
from .raw import KeyReader, Raw, ScanPage, decode
from .tables import ItemTable, vanished
from .throttle import Throttle
from .wire import Client

PAGE_BYTES = 1024 * 1024  # what one Scan reads at most (aws.md H)
READ_UNIT_BYTES = 4096  # a read unit strongly consistent, twice that eventually (AWS developer guide, read capacity)
SEGMENT_BYTES = 64 * 1024 * 1024
LEAST_SEGMENTS, MOST_SEGMENTS = 16, 4096
COUNTING_THREADS = 8


@dataclass(frozen=True)
class Segment:
    """One part of ``total`` parallel ones of a scan, from the beginning or after ``start_key`` (DynamoDB's JSON)."""

    number: int
    total: int
    start_key: bytes = b""


@dataclass(frozen=True)
class Page:
    """One answer of Scan: ``body`` whole, its ``items`` as slices, where the segment goes on (b"": it does not), and
    the read units where they were asked for."""

    segment: Segment
    body: bytes
    items: Sequence[Raw]
    count: int
    next_key: bytes
    units: float | None


def segments_for(table: ItemTable) -> int:
    """How many segments to cut ``table`` into.

    Far more than are read at once: whoever is done takes the next, so that a heavy one is one of many under way and
    not the last. A small table's empty segments cost half a read unit each.
    """
    return max(LEAST_SEGMENTS, min(MOST_SEGMENTS, table.size_bytes // SEGMENT_BYTES))


def spread(total: int) -> list[int]:
    """The segments 0 to ``total`` - 1 in an order in which neighbours lie far apart.

    Segments are ranges of the partition key's hash, as partitions are: those under way at one time are then spread over
    the whole table, here and, for writes, there.
    """
    bits = max(1, (total - 1).bit_length())
    reversed_bits = (int(f"{number:0{bits}b}"[::-1], 2) for number in range(1 << bits))
    return [number for number in reversed_bits if number < total]


class Scanner:
    """Reads pages of one table. Safe to use from any thread."""

    def __init__(
        self,
        client: Client,
        table: ItemTable,
        *,
        consistent: bool = False,
        throttle: Throttle | None = None,
        counting: bool = False,
    ) -> None:
        """``counting`` reads counts only (Select=COUNT)."""
        self._client = client
        self._table = table
        self._throttle = throttle
        self._answered = False
        request = {"TableName": table.name}
        if consistent:
            request["ConsistentRead"] = True  # type: ignore[assignment]
        if counting:
            request["Select"] = "COUNT"
        if throttle is not None:
            request["ReturnConsumedCapacity"] = "TOTAL"
        self._request = json.dumps(request).encode()[:-1]
        average = table.size_bytes / table.item_count if table.item_count else 0.0
        self._unit_items = READ_UNIT_BYTES * (1 if consistent else 2) / average if average else 0.0

    def pages(self, segment: Segment) -> Iterator[Page]:
        """The pages of ``segment`` from its start key on. Raises what Client.call does, TableVanished."""
        key = segment.start_key
        while True:
            page = self.page(Segment(segment.number, segment.total, key))
            yield page
            key = page.next_key
            if not key:
                return

    def page(self, segment: Segment, limit: int = 0) -> Page:
        """The one page at ``segment``'s start key, of at most ``limit`` items where given."""
        if self._throttle is None:
            return self._read(segment, limit)
        found: list[Page] = []
        limit = limit or self._limit(self._throttle)

        def read() -> float:
            found.append(self._read(segment, limit))
            return found[0].units or 0.0

        self._throttle.spend(limit or 1000, read)
        return found[0]

    def _limit(self, throttle: Throttle) -> int:
        """How many items a page may have so that the rate is kept within each second; 0: as many as there are."""
        wanted = throttle.weight_for(throttle.request_units) or self._unit_items * throttle.request_units
        return max(1, int(wanted)) if wanted else 25

    def _read(self, segment: Segment, limit: int) -> Page:
        request = b"%s,%s%s%s}" % (
            self._request,
            b'"Segment":%d,"TotalSegments":%d' % (segment.number, segment.total),
            b',"Limit":%d' % limit if limit else b"",
            b',"ExclusiveStartKey":%s' % segment.start_key if segment.start_key else b"",
        )
        try:
            body = self._client.call("Scan", request, self._table.name)
        except MissingTable as error:
            raise (vanished(self._table) if self._answered else error) from error
        self._answered = True
        told: ScanPage = decode(body, ScanPage, "Scan", self._table.name)
        units = told.consumed_capacity.capacity_units if told.consumed_capacity else None
        next_key = bytes(told.last_evaluated_key)
        return Page(segment, body, told.items, told.count, b"" if next_key == b"null" else next_key, units)


def count_items(
    client: Client,
    table: ItemTable,
    *,
    consistent: bool = True,
    throttle: Throttle | None = None,
    threads: int = COUNTING_THREADS,
) -> int:
    """How many items ``table`` has, by a parallel Scan that returns none of them; it reads, and pays for, the whole.

    Raises what Client.call does, TableVanished.
    """
    scanner = Scanner(client, table, consistent=consistent, throttle=throttle, counting=True)
    total = segments_for(table)

    def count(number: int) -> int:
        return sum(page.count for page in scanner.pages(Segment(number, total)))

    with ThreadPoolExecutor(threads, "count") as pool:
        counts = [pool.submit(count, number) for number in spread(total)]
        try:
            return sum(each.result() for each in counts)
        except FerryError:
            client.stop.set()
            for each in counts:
                each.cancel()
            raise


def reader_for(table: ItemTable, number: str = "") -> KeyReader:
    """The reader of ``table``'s keys."""
    return KeyReader(table.key, number)
