# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items read by their keys."""

from __future__ import annotations

import json

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import KeepsFailing, TableVanished
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Client, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lookup import Lookup
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate, Throttle
from tests.unit.core.items.fake_dynamo import HASTY
from tests.unit.core.items.strategies import to_bytes


def item(number: int) -> bytes:
    return to_bytes({"id": {"N": f"{number}.0"}, "word": {"S": f"é{number}"}})


@pytest.fixture
def orders(dynamo):
    """A table of 250 items."""
    dynamo.make("orders", [("id", "N")]).put(*map(item, range(250)))
    return dynamo.found("orders")


@pytest.mark.parametrize("rate", [None, Rate(100_000)])
@pytest.mark.parametrize("counts", [[], [1], [100, 100, 99, 1], [50] * 5])
def test_all_that_are_there_are_read_whatever_is_left_unprocessed(dynamo, orders, counts, rate):
    for count in counts:
        dynamo.plan("unprocessed", "BatchGetItem", count=count)
    lookup = Lookup(Client(dynamo.endpoint(), HASTY), orders, Throttle(rate) if rate else None)
    found = lookup.read([(str(number),) for number in [*range(0, 300, 2), 4, 4]])
    assert found == {(str(number),): item(number) for number in range(0, 250, 2)}


def test_nothing_is_asked_for_no_keys(dynamo, orders):
    assert Lookup(Client(dynamo.endpoint(), HASTY), orders).read([]) == {}
    assert "BatchGetItem" not in dynamo.calls


def test_patience_ends_when_nothing_is_processed(dynamo, orders):
    dynamo.plan("unprocessed", "BatchGetItem", count=100, times=10_000)
    lookup = Lookup(Client(dynamo.endpoint(), RetryPolicy(0.001, 0.005, 0.1, 0.1)), orders)
    with pytest.raises(KeepsFailing, match="1 keys stayed unprocessed"):
        lookup.read([("1",)])


def test_a_table_that_vanished_is_told(dynamo, orders):
    dynamo.tables.clear()
    with pytest.raises(TableVanished):
        Lookup(Client(dynamo.endpoint(), HASTY), orders).read([("1",)])


def test_g7_a_table_that_is_not_found_though_it_is_there_is_asked_again(dynamo, orders):
    missing = dynamo.plan("missing", "BatchGetItem", times=3)
    lookup = Lookup(Client(dynamo.endpoint(), HASTY), orders)
    assert list(lookup.read([("1",)])) == [("1",)]
    missing.met, missing.times = 0, 10**6
    impatient = Lookup(Client(dynamo.endpoint(), RetryPolicy(0.001, 0.005, 0.1, 0.1)), orders)
    with pytest.raises(KeepsFailing, match="does not find the table in the source account for reads"):
        impatient.read([("1",)])
    dynamo.make("orders", [("id", "N")])
    with pytest.raises(TableVanished, match="created again"):
        lookup.read([("1",)])


def test_the_fixture_keeps_numbers_as_they_were_written(orders):
    assert json.loads(item(5))["id"] == {"N": "5.0"}
