# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A copy of a table with many items, of which one partition takes no writes for a minute.

The time is the server's: it passes with each answer, and where nothing is under way the copy's own waits pass it. So
what is seen depends on the requests alone, however fast the machine is.
"""

from __future__ import annotations

import json
import time
from itertools import pairwise
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items import copying, page_pool
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.permit import FREE, Bounds
from tests.unit.core.items.fake_dynamo import FakeDynamo, Fault, _Refused

ITEMS, PAGE_ITEMS = 300_000, 1_000
ANSWERS_A_SECOND = 100.0
THROTTLED = (1010.0, 1070.0)  # of the server's time: the others are under way before and after
PADDING = "x" * 160


def row(number: int) -> dict[str, Any]:
    return {"id": {"S": f"{number:06}"}, "x": {"S": PADDING}}


class Clock:
    """Seconds of the server's own."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class LargeDynamo(FakeDynamo):
    """Its items are numbers in the order of their hash: partitions and segments are ranges of them."""

    def __init__(self, clock: Clock, hot: range) -> None:
        super().__init__()
        self.clock = clock
        self.hot_numbers = hot
        self.arrived = bytearray(ITEMS)  # how often each was put
        self.others: list[float] = []  # when items of the other partitions were taken
        self.refusals = 0
        for name in ("orders", "copy"):
            self.make(name)

    def _answer(
        self, operation: str, body: bytes, headers: dict[str, str], kind: str, fault: Fault | None
    ) -> tuple[int, bytes]:
        self.clock.now += 1.0 / ANSWERS_A_SECOND
        return super()._answer(operation, body, headers, kind, fault)

    def _DescribeTable(self, request: dict[str, Any], body: bytes, fault: Fault | None) -> bytes:
        description = json.loads(super()._DescribeTable(request, body, fault))
        if request["TableName"] == "orders":
            description["Table"] |= {"ItemCount": ITEMS, "TableSizeBytes": ITEMS * len(PADDING)}
        return json.dumps(description).encode()

    def _Scan(self, request: dict[str, Any], _body: bytes, _fault: Fault | None) -> bytes:
        segment, total = request["Segment"], request["TotalSegments"]
        start, end = (ITEMS * each // total for each in (segment, segment + 1))
        if "ExclusiveStartKey" in request:
            start = int(request["ExclusiveStartKey"]["id"]["S"]) + 1
        numbers = range(start, min(start + PAGE_ITEMS, end))
        page: dict[str, Any] = {"Count": len(numbers), "Items": [row(number) for number in numbers]}
        if numbers and numbers[-1] + 1 < end:
            page["LastEvaluatedKey"] = {"id": row(numbers[-1])["id"]}
        return json.dumps(page).encode()

    def _BatchWriteItem(self, request: dict[str, Any], _body: bytes, _fault: Fault | None) -> bytes:
        ((name, entries),) = request["RequestItems"].items()
        throttled = THROTTLED[0] <= self.clock.now < THROTTLED[1]
        left = []
        for entry in entries:
            item = entry["PutRequest"]["Item"]
            number = int(item["id"]["S"])
            assert item == row(number)
            if number not in self.hot_numbers:
                self.arrived[number] += 1
            elif throttled:
                left.append(entry)
            else:
                self.arrived[number] += 1
        if any(int(entry["PutRequest"]["Item"]["id"]["S"]) not in self.hot_numbers for entry in entries):
            self.others.append(self.clock.now)
        if len(left) == len(entries):
            self.refusals += 1
            raise _Refused("ProvisionedThroughputExceededException", "The level of configured throughput was exceeded")
        return json.dumps({"UnprocessedItems": {name: left} if left else {}}).encode()


class _Selector:
    """Waits for answers as long as some are under way; else the time passes at once."""

    def __init__(self, lanes: Lanes, clock: Clock) -> None:
        self._lanes, self._clock, self._real = lanes, clock, lanes._selector

    def __getattr__(self, name: str) -> Any:
        return getattr(self._real, name)

    def select(self, timeout: float) -> Any:
        if self._lanes._flights or any(self._lanes._ahead.values()):
            return self._real.select(min(timeout, 0.01))
        self._clock.now += max(0.001, timeout)
        return []


@pytest.mark.parametrize("memory_share", [1, 8])
def test_300_000_items_never_stand_still_while_one_partition_is_throttled(monkeypatch, memory_share):
    """The partition has a tenth of them: with an eighth of the memory that is twice what there is room for."""
    clock = Clock()
    monkeypatch.setattr(time, "monotonic", clock)
    for name in ("POOL_BYTES", "ASIDE_BYTES"):
        monkeypatch.setattr(page_pool, name, getattr(page_pool, name) // memory_share)

    class TimedLanes(Lanes):
        def __init__(self, bounds: Bounds = FREE) -> None:
            super().__init__(bounds)
            self._selector = _Selector(self, clock)

    monkeypatch.setattr(copying, "Lanes", TimedLanes)
    options = CopyOptions()
    dynamo = LargeDynamo(clock, range(ITEMS // 2, ITEMS // 2 + ITEMS // 10))
    try:
        result = copy_items(dynamo.found("orders"), dynamo.found("copy", "destination"), options)
    finally:
        dynamo.close()
    assert result.counts.items == ITEMS
    assert min(dynamo.arrived) >= 1
    assert dynamo.refusals > 100
    start, end = THROTTLED
    within = [at for at in dynamo.others if start <= at < end]
    gap = max(later - at for at, later in pairwise([start, *within, end]))
    # No longer than the answers to all that may be under way take: 0.3 to 0.6 s as measured, 35 to 52 s where batches
    # that are throttled keep their places.
    assert gap < options.writes_at_once / ANSWERS_A_SECOND
    assert dynamo.others[-1] > end, "there were enough of the others"
