# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A repair of items of which AWS takes some only later."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Difference
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import (
    RepairOptions,
    RepairResult,
    repair,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from tests.unit.core.items.fake_dynamo import FakeDynamo
from tests.unit.core.items.strategies import to_bytes

ITEMS, HOT = 450, 40
PATIENT = RetryPolicy(0.001, 0.01, 600.0, 5.0)


def item(number: int, version: int = 1) -> bytes:
    return to_bytes({"id": {"S": f"item {number}"}, "v": {"N": str(version)}})


@pytest.fixture
def stale(dynamo: FakeDynamo) -> FakeDynamo:
    """A destination whose first items are old."""
    dynamo.make("orders").put(*[item(number, 2) for number in range(ITEMS)])
    dynamo.make("copy").put(*[item(number) for number in range(ITEMS // 2)])
    return dynamo


def repaired(dynamo: FakeDynamo, numbers: list[int], rate: Rate | None = None) -> RepairResult:
    differences = [Difference("different", {"id": {"S": f"item {number}"}}) for number in numbers]
    options = RepairOptions(retry_policy=PATIENT, writes_at_once=8, destination_rate=rate)
    return repair(dynamo.found("orders"), dynamo.found("copy", "destination"), differences, options)


@pytest.mark.parametrize("rate", [None, Rate(5000)])
def test_g3_items_that_are_throttled_delay_no_others(stale: FakeDynamo, rate: Rate | None) -> None:
    """More of them than may be under way at once."""
    hot = {(f"item {number}",) for number in range(HOT)}
    stale.hot = hot.__contains__
    items = stale.tables["copy"].items
    cold = [item(number, 2) for number in range(HOT, ITEMS)]
    with ThreadPoolExecutor(1) as one:
        repairing = one.submit(repaired, stale, list(range(ITEMS)), rate)
        try:
            deadline = time.monotonic() + 60
            while not set(cold) <= set(items.copy().values()) and not repairing.done():
                assert time.monotonic() < deadline
                time.sleep(0.01)
            assert not repairing.done()
        finally:
            stale.hot = lambda key: False
        assert repairing.result() == RepairResult(put=ITEMS)
    assert items == stale.tables["orders"].items


def test_a_key_that_is_named_twice_is_repaired_once(stale: FakeDynamo) -> None:
    """Also while its first write is under way."""
    stale.plan("throttle", "PutItem", times=30)
    numbers = [*range(100), *range(50, 150)]
    assert repaired(stale, numbers) == RepairResult(put=150, equal=50)
