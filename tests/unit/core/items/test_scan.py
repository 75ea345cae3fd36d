# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reading: pages, segments, counts."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    KeepsFailing,
    MissingTable,
    ServiceError,
    TableVanished,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Client, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.scan import (
    ParallelScan,
    Scanner,
    Segment,
    count_items,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from tests.unit.core.items.fake_dynamo import HASTY
from tests.unit.core.items.strategies import to_bytes


@pytest.fixture
def orders(dynamo):
    """A table of 1,234 items."""
    dynamo.make("orders").put(*[to_bytes({"id": {"S": str(number)}}) for number in range(1234)])
    return dynamo.found("orders")


def client(dynamo) -> Client:
    return Client(dynamo.endpoint(), HASTY)


@pytest.mark.parametrize("rate", [None, Rate(5000)])
@pytest.mark.parametrize("kind", ["", "throttle", "half", "reset", "500"])
def test_items_are_counted_in_parallel_and_without_reading_them(dynamo, orders, kind, rate):
    if kind:
        for after in (0, 3, 9):
            dynamo.plan(kind, "Scan", after=after)
    assert count_items(client(dynamo), orders, rate=rate) == 1234
    assert rate or dynamo.connections > 2


def test_an_empty_table_is_counted(dynamo):
    dynamo.make("empty")
    assert count_items(client(dynamo), dynamo.found("empty")) == 0


def test_a_table_that_vanishes_while_it_is_read_is_told(dynamo, orders):
    dynamo.before = lambda operation: dynamo.calls.count("Scan") > 5 and dynamo.tables.clear()
    with pytest.raises(TableVanished):
        count_items(client(dynamo), orders)
    with pytest.raises(MissingTable):
        count_items(client(dynamo), orders)


@pytest.mark.parametrize("after", [0, 3])
def test_g7_a_table_that_is_not_found_though_it_is_there_is_read_again(dynamo, orders, after):
    missing = dynamo.plan("missing", "Scan", after=after, times=3)
    assert count_items(client(dynamo), orders) == 1234
    assert missing.met == 3
    missing.met = 0
    assert Scanner(orders, counting=True).read(client(dynamo), Segment(0, 1)).count == 100
    missing.met, missing.times, missing.after = 0, 10**6, after
    with pytest.raises(KeepsFailing, match="does not find the table in the source account for reads"):
        count_items(Client(dynamo.endpoint(), RetryPolicy(0.001, 0.005, 0.1, 0.1)), orders)
    missing.met, missing.after = 0, after
    dynamo.make("orders")
    with pytest.raises(TableVanished, match="created again"):
        count_items(client(dynamo), orders)


@pytest.mark.parametrize(
    "answer", [b"", b"{}", b"[]", b'{"Count":"1"}', b'{"Count":1,"Items":{}}', b'{"Count":1,"Items":[]}']
)
def test_an_answer_that_is_no_page_is_told(dynamo, orders, answer):
    dynamo._Scan = lambda *_: answer
    with pytest.raises(ServiceError, match="cannot be read"):
        Scanner(orders).read(client(dynamo), Segment(0, 1))


@pytest.mark.parametrize("ended", [b"", b',"LastEvaluatedKey":null'])
def test_a_segment_ends_without_a_key(dynamo, orders, ended):
    dynamo._Scan = lambda *_: b'{"Count":0,"Items":[]%s}' % ended
    assert Scanner(orders).read(client(dynamo), Segment(0, 1)).next_key == b""


def test_pages_of_a_segment_come_in_order_and_an_empty_page_is_no_end(dynamo, orders):
    answers = [
        b'{"Count":1,"Items":[{"id":{"S":"1"}}],"LastEvaluatedKey":{"id":{"S":"1"}}}',
        b'{"Count":0,"Items":[],"LastEvaluatedKey":{"id":{"S":"2"}}}',
        b'{"Count":1,"Items":[{"id":{"S":"3"}}]}',
    ]
    requests = []

    def scan(request, *_):
        requests.append(request.get("ExclusiveStartKey"))
        return answers[len(requests) - 1]

    dynamo._Scan = scan
    lanes, pages, segments = Lanes(), [], iter([Segment(0, 1), None])
    scanning = ParallelScan(lanes, client(dynamo), Scanner(orders), lambda: next(segments), pages.append, 4)
    while delay := scanning.fill():
        lanes.turn(delay)
    lanes.close()
    assert [bytes(item) for page in pages for item in page.items] == [b'{"id":{"S":"1"}}', b'{"id":{"S":"3"}}']
    assert requests == [None, {"id": {"S": "1"}}, {"id": {"S": "2"}}]
