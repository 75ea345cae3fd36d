# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two accounts on an engine: an instance each, seen with plain boto3 and as the product sees them."""

from __future__ import annotations

import http.client
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from demo.tables import Item
from engines.server import ACCESS_KEY, REGION, SECRET_KEY, RunningEngine

BATCH_ITEMS, BATCH_BYTES = 25, 2 * 1024 * 1024  # of text; boto3 sends six bytes for some characters
POURERS = 4
SMALL_PUT = '{"PutRequest":{"Item":{"id":{"S":"item-%08d"},"n":{"N":"%d"}}}}'
# The engines look for a signature and do not check it.
SIGNED_BY = f"AWS4-HMAC-SHA256 Credential={ACCESS_KEY}/20260101/{REGION}/dynamodb/aws4_request"
UNSIGNED = {
    "X-Amz-Target": "DynamoDB_20120810.BatchWriteItem",
    "X-Amz-Date": "20260101T000000Z",
    "Content-Type": "application/x-amz-json-1.0",
    "Authorization": f"{SIGNED_BY}, SignedHeaders=host;x-amz-date, Signature=00",
}


@dataclass
class Accounts:
    """The source and the destination, seen with plain boto3."""

    source: RunningEngine
    destination: RunningEngine
    _names: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self._clients = {"source": self.source.client(), "destination": self.destination.client()}

    def pair(self, shape: dict[str, Any]) -> str:
        """The name of two new and empty tables of ``shape``, one on each side."""
        name = f"table-{next(self._names):03d}"
        for client in self._clients.values():
            client.create_table(TableName=name, **shape)
            client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.1})
        return name

    def fill(self, side: str, table: str, items: Iterable[Item]) -> None:
        """Put ``items``; each must be taken."""
        batch: list[Item] = []
        size = 0
        for item in items:
            weight = len(repr(item))
            if len(batch) == BATCH_ITEMS or size + weight > BATCH_BYTES:
                self._put(side, table, batch)
                batch, size = [], 0
            batch.append(item)
            size += weight
        self._put(side, table, batch)

    def pour(self, side: str, table: str, items: int) -> None:
        """Put so many small numbered items as fast as the engine takes them: boto3 would be the limit."""
        port = int({"source": self.source, "destination": self.destination}[side].endpoint_url.rsplit(":", 1)[1])

        def pour_part(part: int) -> None:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            for first in range(items * part // POURERS, items * (part + 1) // POURERS, BATCH_ITEMS):
                last = min(first + BATCH_ITEMS, items * (part + 1) // POURERS)
                puts = ",".join(SMALL_PUT % (number, number) for number in range(first, last))
                connection.request("POST", "/", f'{{"RequestItems":{{"{table}":[{puts}]}}}}', UNSIGNED)
                assert connection.getresponse().read() == b'{"UnprocessedItems":{}}'

        with ThreadPoolExecutor(POURERS) as pool:
            list(pool.map(pour_part, range(POURERS)))

    def items(self, side: str, table: str) -> list[Item]:
        """All items as boto3 reads them, sets in one order, in the order of their text."""
        pages = self._clients[side].get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return sorted((_settled(item) for page in pages for item in page["Items"]), key=repr)

    def count(self, side: str, table: str) -> int:
        """How many items there are."""
        pages = self._clients[side].get_paginator("scan").paginate(TableName=table, Select="COUNT")
        return sum(page["Count"] for page in pages)

    def put(self, side: str, table: str, item: Item) -> None:
        """Put one item."""
        self._clients[side].put_item(TableName=table, Item=item)

    def delete(self, side: str, table: str, key: Item) -> None:
        """Remove one item."""
        self._clients[side].delete_item(TableName=table, Key=key)

    def _put(self, side: str, table: str, batch: list[Item]) -> None:
        if batch:
            requests = [{"PutRequest": {"Item": item}} for item in batch]
            left = self._clients[side].batch_write_item(RequestItems={table: requests})["UnprocessedItems"]
            assert not left


def _settled(value: Any) -> Any:
    """``value`` with its sets in one order: a set has none."""
    if isinstance(value, dict):
        return {
            name: sorted(member) if name in ("SS", "NS", "BS") and isinstance(member, list) else _settled(member)
            for name, member in sorted(value.items())
        }
    return [_settled(member) for member in value] if isinstance(value, list) else value


def numbered(items: int, size: int = 40) -> Iterator[Item]:
    """Small items, numbered."""
    text = "x" * size
    return (
        {"id": {"S": f"item-{number:08d}"}, "n": {"N": str(number)}, "text": {"S": text}} for number in range(items)
    )


@dataclass(frozen=True)
class EngineKeys:
    """The keys of every instance."""

    access_key: str = ACCESS_KEY
    secret_key: str = SECRET_KEY
    session_token: str = ""


def endpoint(url: str, side: str) -> Endpoint:
    """One account as the product sees it."""
    return Endpoint(url, REGION, EngineKeys, side)
