# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two accounts on an engine that others wrote, an instance each. What cannot run here is left out with a line."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import pytest

from demo.tables import Item
from engines.catalog import ENGINES, Engine
from engines.server import RunningEngine, running

BATCH_ITEMS, BATCH_BYTES = 25, 8 * 1024 * 1024


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
            client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 1})
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
    """Small items, told apart by a number."""
    text = "x" * size
    return (
        {"id": {"S": f"item-{number:08d}"}, "n": {"N": str(number)}, "text": {"S": text}} for number in range(items)
    )


@pytest.fixture(scope="session", params=ENGINES, ids=lambda engine: engine.name)
def accounts(request: pytest.FixtureRequest) -> Iterator[Accounts]:
    """Two fresh instances of each engine, for all tests of the run: each test makes tables of its own."""
    engine: Engine = request.param
    reason = engine.why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"{engine.name}: {reason}")
    if reason:
        pytest.skip(f"{engine.name}: {reason}")
    with running(engine, instances=2) as instances:
        yield Accounts(*instances)


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Say which engine was left out: nobody shall take a short run for a whole one."""
    for engine in ENGINES:
        reason = engine.why_not()
        if reason:
            terminalreporter.write_line(f"LEFT OUT: everything on {engine.name}: {reason}")
