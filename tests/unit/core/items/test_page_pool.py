# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages between reading and writing: what is set down is forgotten, and read again when nothing old can arrive."""

from __future__ import annotations

import math
import time

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items import page_pool
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyReader
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.carried import CARRIED
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import Counts
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.page_pool import PagePool
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.scan import Scanner, Segment
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.write import RefusedItem, Written
from tests.unit.core.items.fake_dynamo import FakeDynamo
from tests.unit.core.items.strategies import to_bytes

BEGIN = Segment(3, 16, b'{"id":{"S":"before"}}')


class Desk:
    """What is reported to it."""

    def __init__(self) -> None:
        self.advanced: list[tuple[int, bytes, int]] = []

    def next_segment(self) -> Segment | None:
        return None

    def advance(self, number: int, next_key: bytes, counts: Counts) -> None:
        self.advanced.append((number, next_key, counts.items))

    def refuse(self, item: RefusedItem) -> None:
        """None is."""


class Writer:
    """It keeps who put its batches."""

    bytes = bytes_aside = 0

    def __init__(self) -> None:
        self.watchers: list[page_pool.Writing] = []

    def delay(self) -> float:
        return 0.0

    def expect(self, batches: int) -> None:
        """Nothing is made ready."""

    def put(self, _items: object, watcher: page_pool.Writing) -> None:
        self.watchers.append(watcher)


class Filled:
    """A pool with one page of 100 items: four batches, of which two are stuck and one waits."""

    def __init__(self, dynamo: FakeDynamo, monkeypatch: pytest.MonkeyPatch) -> None:
        dynamo.make("orders")
        table = dynamo.found("orders")
        self.desk, self.writer, self.rewound = Desk(), Writer(), list[Segment]()
        self.pool = PagePool(self.desk, self.writer, KeyReader(table.key), CARRIED, None)
        self.pool.rewind = self.rewound.append
        self.scanner = Scanner(table)
        self.take(BEGIN, b'{"id":{"S":"99"}}')
        delays = iter((0.0, 0.0, 0.0, 5.0, 5.0, 5.0))
        monkeypatch.setattr(self.writer, "delay", lambda: next(delays))
        self.pool.write()
        assert len(self.writer.watchers) == 3

    def take(self, segment: Segment, next_key: bytes) -> None:
        items = b",".join(to_bytes({"id": {"S": str(number)}}) for number in range(100))
        body = b'{"Count":100,"ScannedCount":100,"Items":[%s],"LastEvaluatedKey":%s}' % (items, next_key)
        self.pool.take(self.scanner.page(segment, body))


@pytest.fixture
def filled(dynamo: FakeDynamo, monkeypatch: pytest.MonkeyPatch) -> Filled:
    return Filled(dynamo, monkeypatch)


@pytest.fixture
def scarce(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(page_pool, "ASIDE_BYTES", 1000)


def test_a_stuck_page_is_kept_while_there_is_memory(filled):
    first, second, third = filled.writer.watchers
    first.stick()
    second.stick()
    assert not first.gives_up
    assert not filled.pool.has_room_for(3)
    assert filled.pool.kept_bytes > 1000
    for each in (first, second, third):
        each.acknowledge(Written(None, 0))
    assert filled.pool.has_room_for(3)
    assert not filled.rewound


@pytest.mark.usefixtures("scarce")
@pytest.mark.parametrize("lost", [False, True])
def test_a_page_that_is_set_down_is_read_again_when_nothing_of_it_is_under_way(filled, monkeypatch, lost):
    first, second, third = filled.writer.watchers
    first.stick()
    assert first.gives_up and second.gives_up, "none of its segment is sent again"
    assert filled.pool.kept_bytes == 0, "what waited is forgotten"
    assert not filled.pool.has_room_for(3)
    filled.take(Segment(3, 16, b'{"id":{"S":"99"}}'), b"null")  # it was on its way
    assert filled.pool.kept_bytes == 0
    second.stick()
    first.gave_up()
    second.gave_up()
    assert not filled.rewound and not filled.pool.empty, "one is under way"
    third.acknowledge(Written(None, 0, time.monotonic() if lost else -math.inf))
    assert filled.rewound == [BEGIN]
    assert filled.desk.advanced == []
    # A lost request may still be carried out: not before is anything read that would be overwritten by it.
    assert filled.pool.has_room_for(3) is not lost
    monkeypatch.setattr(page_pool.time, "monotonic", lambda: math.inf)
    assert filled.pool.has_room_for(3)


@pytest.mark.usefixtures("scarce")
def test_a_page_that_is_acknowledged_after_all_is_not_read_again(filled):
    """Of the segment that is set down only what was not acknowledged is read again."""
    filled.pool.write()
    first, second, third = filled.writer.watchers
    fourth = page_pool.Writing(filled.pool, first.work)
    first.work.waiting.clear()
    first.work.under_way += 1
    filled.pool._waiting.clear()
    first.stick()
    late = Segment(3, 16, b'{"id":{"S":"99"}}')
    filled.take(late, b"null")
    for each in (first, second, third, fourth):
        each.acknowledge(Written(None, 0))
    assert filled.desk.advanced == [(3, b'{"id":{"S":"99"}}', 100)]
    assert filled.rewound == [late]
