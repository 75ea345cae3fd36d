# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Batches: how they are cut, and that each of their items arrives whatever becomes of the answers."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    KeepsFailing,
    MissingTable,
    ServiceError,
    TableVanished,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Client, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate, Throttle
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.write import (
    Writer,
    batches,
    distinct,
)
from tests.unit.core.items.fake_dynamo import HASTY
from tests.unit.core.items.strategies import to_bytes


def item(number: int, size: int = 1) -> bytes:
    return to_bytes({"id": {"S": str(number)}, "x": {"S": "x" * size}})


@given(
    st.lists(st.binary(min_size=1, max_size=40), max_size=200),
    st.integers(1, 25),
    st.integers(20, 400),
)
def test_batches_hold_each_item_once_within_their_limits(items, most_items, most_bytes):
    cut = batches(items, most_items, most_bytes)
    assert sorted(each for batch in cut for each in batch) == sorted(items)
    assert all(0 < len(batch) <= most_items for batch in cut)
    assert all(sum(map(len, batch)) <= most_bytes or len(batch) == 1 for batch in cut)


def test_a_batch_is_spread_over_the_page():
    numbers = [b"%d" % number for number in range(100)]
    for batch in batches(numbers):
        assert int(batch[-1]) - int(batch[0]) >= 90


@given(st.lists(st.tuples(st.integers(0, 5), st.binary(max_size=4)), max_size=30))
def test_of_a_key_that_comes_twice_the_last_counts(pairs):
    keys, items = [key for key, _ in pairs], [value for _, value in pairs]
    kept = distinct(items, keys)
    assert sorted(kept) == sorted(dict(pairs).values())
    assert (kept is items) == (len(set(keys)) == len(keys))


class Writing:
    """A writer to one table, and what it told."""

    def __init__(self, dynamo, retry_policy=HASTY, rate=None, at_once=4):
        self.lanes = Lanes()
        self.client = Client(dynamo.endpoint("destination"), retry_policy)
        table = dynamo.found("orders", "destination")
        self.writer = Writer(self.lanes, self.client, table, at_once, Throttle(rate) if rate else None)
        self.told = []
        self.refused = []
        self.stuck = 0
        self.asked = 0
        self.given_up = 0
        self.gives_up = False

    def acknowledge(self, written):
        self.told.append(written)

    def stick(self):
        self.stuck += 1

    def refuse(self, item):
        self.refused.append(item)

    def gave_up(self):
        self.given_up += 1
        self.asked -= 1

    def put(self, *items):
        self.asked += 1
        self.writer.put(items, self)

    def delete(self, *keys):
        self.asked += 1
        self.writer.delete(keys, self)

    def finish(self):
        try:
            while len(self.told) < self.asked:
                self.lanes.turn(1.0)
        finally:
            self.lanes.close()
        return self.told


@pytest.fixture
def writing(dynamo):
    dynamo.make("orders")
    return Writing(dynamo)


def test_a_batch_is_spliced_from_the_very_bytes(dynamo, writing):
    items = [b'{"id" : {"S":"1"} , "n":{"N":"1E+3"}}', b'{"n":{"N":"00.10"},"id":{"S":"\xc3\xa9\\u00e9\\n"}}']
    writing.put(*items)
    writing.finish()
    assert list(dynamo.tables["orders"].items.values()) == items
    assert dynamo.bodies[0].count(b"PutRequest") == 2


def test_what_is_left_unprocessed_is_sent_until_nothing_is(dynamo, writing):
    items = [item(number) for number in range(25)]
    for count in (25, 20, 20, 19, 3, 1):
        dynamo.plan("unprocessed", "BatchWriteItem", count=count)
    writing.put(*items)
    (told,) = writing.finish()
    assert sorted(dynamo.tables["orders"].items.values()) == sorted(items)
    assert told.resent == 25 + 20 + 20 + 19 + 3 + 1
    assert told.units is None


def test_nothing_is_told_before_everything_is_acknowledged(dynamo, writing):
    dynamo.plan("unprocessed", "BatchWriteItem", count=1, times=3)
    writing.put(item(1), item(2))
    for _ in range(3):
        writing.lanes.turn(0.5)
        if len(dynamo.tables["orders"].items) < 2:
            assert not writing.told
    writing.finish()
    assert len(dynamo.tables["orders"].items) == 2


def test_patience_with_unprocessed_items_ends_only_when_none_succeeds(dynamo):
    dynamo.make("orders")
    writing = Writing(dynamo, RetryPolicy(0.001, 0.005, 0.1, 0.1))
    dynamo.plan("unprocessed", "BatchWriteItem", times=10_000)
    writing.put(item(1), item(2))
    with pytest.raises(KeepsFailing, match="2 items stayed unprocessed"):
        writing.finish()


def test_g9_items_that_are_refused_are_told_and_all_others_are_written(dynamo, writing):
    items = [item(number) for number in range(10)] + [item(99, 500_000)] + [item(number) for number in range(10, 20)]
    writing.put(*items)
    writing.put(item(100, 500_000))
    writing.finish()
    assert [refused.key for refused in writing.refused] == [{"id": {"S": "100"}}, {"id": {"S": "99"}}]
    assert {refused.code for refused in writing.refused} == {"ValidationException"}
    assert "maximum allowed size" in writing.refused[0].reason
    assert len(dynamo.tables["orders"].items) == 20
    assert (writing.writer.bytes, writing.writer.bytes_aside) == (0, 0)


def test_a_batch_that_is_throttled_again_is_set_aside(dynamo, writing):
    dynamo.hot = lambda key: key[0] == "0"
    writing.put(item(0))
    writing.put(item(0, 2), item(1))
    while writing.writer.bytes:
        writing.lanes.turn(1.0)
    assert writing.writer.delay() == 0.0
    assert writing.writer.bytes_aside > 0
    assert writing.stuck == 1  # of the other, one item was taken
    dynamo.hot = lambda key: False
    writing.finish()
    assert writing.writer.bytes_aside == 0


@pytest.mark.parametrize("kind", ["throttle", "unprocessed"])
@pytest.mark.parametrize("lost", [None, "500", "reset"])
def test_a_stuck_batch_is_given_up_unless_an_attempt_may_still_be_carried_out(dynamo, writing, kind, lost):
    if lost is not None:
        dynamo.plan(lost, "BatchWriteItem")
    dynamo.plan(kind, "BatchWriteItem", times=6)
    writing.gives_up = True
    writing.put(item(1), item(2))
    writing.finish()
    assert writing.stuck == 1
    assert writing.given_up == (lost is None)
    assert len(dynamo.tables["orders"].items) == (0 if lost is None else 2)
    assert (writing.writer.bytes, writing.writer.bytes_aside) == (0, 0)


def test_fewer_batches_are_under_way_once_aws_throttles(dynamo):
    dynamo.make("orders")
    writing = Writing(dynamo, at_once=40)

    def most() -> int:
        """How many may be under way."""
        asked = 0
        while not writing.writer.delay():
            writing.put(item(writing.asked))
            asked += 1
        while len(writing.told) < writing.asked:
            writing.lanes.turn(1.0)
        return asked

    grown = [most() for _ in range(6)]
    assert (grown[0], grown[-1]) == (32, 40)
    assert grown == sorted(grown)
    dynamo.plan("throttle", "BatchWriteItem")
    most()
    assert 10 <= most() < 20
    writing.finish()


def test_connections_are_made_ahead_for_batches_that_wait_and_not_once_aws_throttles(dynamo):
    dynamo.make("orders")
    writing = Writing(dynamo, at_once=512)
    writing.writer.expect(0)
    assert writing.lanes._made[writing.client] == 0
    writing.writer.expect(3)
    assert writing.lanes._made[writing.client] == 3
    writing.writer.expect(1000)
    assert writing.lanes._made[writing.client] == 256
    dynamo.plan("throttle", "BatchWriteItem")
    writing.put(item(0))
    writing.finish()
    writing = Writing(dynamo, at_once=40)
    writing.writer._window.throttled()
    writing.writer.expect(1000)
    assert writing.lanes._made[writing.client] == 10
    writing.lanes.close()


def test_the_table_is_looked_at_while_its_first_batch_is_read(dynamo, monkeypatch):
    dynamo.make("orders")
    writing = Writing(dynamo)
    dynamo.calls.clear()
    writing.writer.expect(1)
    while writing.lanes._flights:
        writing.lanes.turn(1.0)
    assert dynamo.calls == ["DescribeTable"]
    writing.put(item(0))
    writing.put(item(1))
    while len(writing.told) < 2:
        writing.lanes.turn(1.0)
    monkeypatch.setattr(writing.writer._identity, "doubtful", lambda: True)
    writing.writer.expect(1)  # not again: before a batch, if there is a reason
    writing.lanes.close()
    assert dynamo.calls == ["DescribeTable", "BatchWriteItem", "BatchWriteItem"]


def test_no_connections_are_made_ahead_within_a_rate(dynamo):
    dynamo.make("orders")
    writing = Writing(dynamo, rate=Rate(1000))
    writing.writer.expect(1000)
    assert writing.lanes._made[writing.client] == 1  # of the look at the table
    writing.lanes.close()


def test_a_batch_refused_for_a_key_named_twice_is_sent_one_by_one(dynamo):
    table = dynamo.make("orders", [("id", "N")])
    writing = Writing(dynamo)
    writing.put(*[to_bytes({"id": {"N": number}}) for number in ("1e3", "1", "1000")])
    (told,) = writing.finish()
    assert {str(key[0].normalize()) for key in table.items} == {"1E+3", "1"}
    assert told.resent == 0


def test_deletes(dynamo, writing):
    dynamo.tables["orders"].put(*[item(number) for number in range(5)])
    dynamo.plan("unprocessed", "BatchWriteItem", count=1)
    writing.delete(*[to_bytes({"id": {"S": str(number)}}) for number in (0, 2, 4, 9)])
    writing.finish()
    assert [key[0] for key in dynamo.tables["orders"].items] == ["1", "3"]


@pytest.mark.parametrize("deleted", [False, True])
def test_a_table_that_is_not_there_is_told_from_one_that_vanished(dynamo, writing, deleted):
    if deleted:
        writing.put(item(1))
        while not writing.told:
            writing.lanes.turn(1.0)
    del dynamo.tables["orders"]
    writing.put(item(2))
    with pytest.raises(TableVanished if deleted else MissingTable):
        writing.finish()


@pytest.mark.parametrize(
    "answer",
    [
        b"{}",
        b"[]",
        b"<html>all is well</html>",
        b'{"UnprocessedItems":null}',
        b'{"UnprocessedItems":{"orders":[{"PutRequest":{}},{"PutRequest":{}},{"PutRequest":{}}]}}',
    ],
)
def test_an_answer_that_acknowledges_nothing_is_no_acknowledgement(dynamo, writing, answer):
    dynamo._BatchWriteItem = lambda *_: answer
    writing.put(item(1), item(2))
    with pytest.raises(ServiceError, match="cannot be read"):
        writing.finish()
    assert not writing.told


def test_units_are_asked_for_only_with_a_rate(dynamo):
    dynamo.make("orders")
    writing = Writing(dynamo, rate=Rate(10_000))
    dynamo.units_per_item = 3.0
    dynamo.plan("unprocessed", "BatchWriteItem", count=4)
    writing.put(*[item(number) for number in range(10)])
    (told,) = writing.finish()
    assert told.units == 30.0
    assert all(b'"ReturnConsumedCapacity":"TOTAL"' in body for body in dynamo.bodies)
