# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies: every byte arrives, every fault is overcome or told, every count is exact."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    CheckpointUnusable,
    CredentialsError,
    InvalidInput,
    ItemRefused,
    KeepsFailing,
    KeySchemaDiffers,
    MissingTable,
    TableVanished,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import copying, page_pool, permit
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute, KeyReader
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.carried import CARRIED
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import Counts
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import (
    CopyOptions,
    CopyProgress,
    copy_items,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.scan import Scanner, Segment
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import find_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from tests.unit.core.items.fake_dynamo import HASTY, REGION, SECRET, FakeDynamo, serving
from tests.unit.core.items.strategies import attributes, to_bytes
from tests.unit.core.items.test_throttle import worst

ITEMS = 750


def numbered(count: int = ITEMS) -> list[bytes]:
    return [to_bytes({"id": {"S": f"item {number}"}, "n": {"N": str(number)}}) for number in range(count)]


def options(**members) -> CopyOptions:
    return CopyOptions(**{"retry_policy": HASTY, **members})


def copied(dynamo: FakeDynamo, **members):
    return copy_items(dynamo.found("orders"), dynamo.found("copy", "destination"), options(**members))


@pytest.fixture
def filled(dynamo):
    """A source of 750 items, which 30 pages hold, and an empty destination."""
    dynamo.page_items = 25
    dynamo.make("orders").put(*numbered())
    dynamo.make("copy")
    return dynamo


def same(dynamo: FakeDynamo) -> bool:
    return dynamo.tables["copy"].items == dynamo.tables["orders"].items


@settings(max_examples=15)
@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), attributes, max_size=40),
    st.booleans(),
    st.integers(1, 7),
)
def test_what_arrives_is_byte_for_byte_what_was_stored(items, ascii_only, page_items):
    with serving() as dynamo:
        dynamo.page_items = page_items
        dynamo.make("orders").put(
            *[to_bytes({**others, "id": {"S": name}}, ascii_only) for name, others in items.items()]
        )
        dynamo.make("copy")
        result = copied(dynamo)
        assert same(dynamo)
        assert result.counts.items == len(items)


@pytest.mark.parametrize("workers", [1, 2])
def test_a_copy_and_its_counts(filled, workers):
    told: list[CopyProgress] = []
    source, destination = filled.found("orders"), filled.found("copy", "destination")
    result = copy_items(source, destination, options(workers=workers), told.append)
    assert same(filled)
    assert result.counts == Counts(ITEMS, result.counts.bytes, read=ITEMS)
    assert result.counts.bytes > sum(map(len, numbered()))
    assert (result.retries.throttled, result.retries.failed, result.resumed) == (0, 0, False)
    segments = 4 if workers == 1 else 16 * workers
    assert told[-1] == CopyProgress(result.counts, segments, segments)
    assert filled.calls.count("BatchWriteItem") < ITEMS / 25 * 1.5 + 16


@pytest.mark.parametrize("size", [0, 1, 25, 26, 100, 101])
def test_small_tables(dynamo, size):
    dynamo.make("orders").put(*numbered(size))
    dynamo.make("copy")
    assert copied(dynamo).counts.items == size
    assert same(dynamo)


@pytest.mark.parametrize("operation", ["Scan", "BatchWriteItem"])
@pytest.mark.parametrize("kind", ["throttle", "500", "503", "reset", "lost", "half", "crc", "chunked", "until_close"])
def test_faults_lose_nothing_and_double_nothing(filled, operation, kind):
    for after in range(0, 60, 3):
        filled.plan(kind, operation, after=after, times=2)
    result = copied(filled)
    assert same(filled)
    assert result.counts.items == ITEMS
    met = sum(fault.met for fault in filled.faults)
    assert met > 10
    retries = result.retries
    if kind in ("reset", "lost"):
        # A kept connection that ends without a word is taken for one that the server had closed.
        assert 0 < retries.broken <= met
    else:
        expected = 0 if kind in ("chunked", "until_close") else met
        assert retries.throttled + retries.failed + retries.broken == expected


HOT = {
    "its segments": lambda key: zlib.crc32(repr(key).encode()) % 16 < 3,
    "a few items of each page": lambda key: int(key[0].removeprefix("item ")) % 9 == 0,
    "one batch": lambda key: key[0] == "item 0",
}


@pytest.mark.parametrize("pool", [4_000, page_pool.POOL_BYTES])
@pytest.mark.parametrize("hot", HOT)
def test_g3_a_partition_that_is_throttled_delays_no_other(filled, monkeypatch, hot, pool):
    monkeypatch.setattr(page_pool, "POOL_BYTES", pool)
    filled.hot = HOT[hot]
    source, destination = (filled.tables[name] for name in ("orders", "copy"))
    cold = sum(not filled.hot(key) for key in source.items)
    patient = RetryPolicy(0.001, 0.01, 600.0, 5.0)
    with ThreadPoolExecutor(1) as pool_of_one:
        copy = pool_of_one.submit(copied, filled, writes_at_once=8, retry_policy=patient)
        try:
            while len(destination.items) < cold and not copy.done():
                time.sleep(0.005)
        finally:
            filled.hot = lambda key: False
        assert copy.result().counts.items == ITEMS
    assert same(filled)


@pytest.mark.parametrize("faults", [(), ("500", "reset", "lost", "half")])
def test_g3_a_partition_of_many_segments_that_is_throttled_delays_no_other(dynamo, monkeypatch, faults):
    """A tenth of a large table's segments is of one partition, of which AWS takes nothing for long: several times more
    pages than there is memory for. All others are copied meanwhile, within that memory."""
    segments, page_items = 200, 40
    dynamo.page_items = page_items
    dynamo.make("orders").put(*numbered(segments * page_items))
    dynamo.make("copy")
    page = sum(map(len, numbered(page_items))) + page_items
    monkeypatch.setattr(page_pool, "POOL_BYTES", 8 * page)
    monkeypatch.setattr(page_pool, "ASIDE_BYTES", 8 * page)
    monkeypatch.setattr(permit, "LATE_SECONDS", 0.0)
    for number, kind in enumerate(faults):
        for after in range(number, 600, 20):
            dynamo.plan(kind, "BatchWriteItem", after=after)
    kept: list[int] = []
    take = page_pool.PagePool.take

    def taken(pool, came):
        take(pool, came)
        kept.append(pool.kept_bytes)

    monkeypatch.setattr(page_pool.PagePool, "take", taken)
    hot = [key for key in dynamo.tables["orders"].items if zlib.crc32(repr(key).encode()) % segments % 10 == 3]
    dynamo.hot = frozenset(hot).__contains__
    cold = segments * page_items - len(hot)
    patient = RetryPolicy(0.001, 0.01, 600.0, 5.0)
    with ThreadPoolExecutor(1) as one:
        copy = one.submit(copied, dynamo, segments=segments, writes_at_once=8, retry_policy=patient)
        try:
            moved, at = 0, time.monotonic()
            while len(dynamo.tables["copy"].items) < cold and not copy.done():
                time.sleep(0.01)
                if len(dynamo.tables["copy"].items) > moved:
                    moved, at = len(dynamo.tables["copy"].items), time.monotonic()
                assert time.monotonic() - at < 60, f"{moved} of {cold} are copied"
        finally:
            dynamo.hot = lambda key: False
        assert copy.result().counts.items == segments * page_items
    assert same(dynamo)
    assert dynamo.calls.count("Scan") < 3 * segments, "what is set down is not read again and again"
    assert max(kept) <= (8 + 8 + 8) * page  # with what was under way when there was no room for more


def test_pages_that_are_on_their_way_take_room_too(monkeypatch):
    """They were not counted, and eight more came when one batch of a full pool had been sent."""
    monkeypatch.setattr(page_pool, "POOL_BYTES", 10_000)
    monkeypatch.setattr(page_pool, "PAGE_BYTES", 1_000)
    writer = SimpleNamespace(bytes=0, bytes_aside=0, expect=lambda batches: None, delay=lambda: 1.0)
    pool = page_pool.PagePool(SimpleNamespace(), writer, KeyReader((KeyAttribute("id", "S"),)), CARRIED, None)
    assert pool.most_pages == 10
    writer.bytes = 4_500
    assert pool.most_pages == 6
    items = b",".join(numbered(50))
    page = Scanner(SimpleNamespace(name="orders", heads={})).page(
        Segment(0, 1), b'{"Count":50,"Items":[' + items + b'],"LastEvaluatedKey":null}'
    )
    assert 1_000 < len(page.body) < 5_500
    pool.take(page)
    assert pool.most_pages == -(-(5_500 - len(page.body)) // len(page.body))  # pages are as large as the largest
    writer.bytes = 10_000
    assert pool.most_pages == 0
    writer.bytes, writer.bytes_aside = 0, page_pool.ASIDE_BYTES
    assert pool.most_pages == 0


def test_a_storm_of_everything(filled):
    for kind in ("throttle", "500", "reset", "lost", "half", "crc", "unprocessed"):
        for after in range(0, 150, 2):
            filled.plan(kind, "BatchWriteItem" if after % 4 else "", after=after, count=7)
    result = copied(filled)
    assert same(filled)
    assert result.counts.items == ITEMS


def test_unprocessed_items_are_counted_and_arrive(filled):
    for after, count in enumerate((25, 1, 13, 25, 24)):
        filled.plan("unprocessed", "BatchWriteItem", after=after * 5, count=count)
    result = copied(filled)
    assert same(filled)
    assert result.counts.items == ITEMS
    assert 25 <= result.counts.resent <= 88


def test_expired_credentials_are_renewed_on_both_sides(filled):
    keys = {"source": "AKIAFAKE", "destination": "AKIAFAKE"}
    asked: list[str] = []

    def endpoint(side):
        def credentials():
            asked.append(side)
            return SimpleNamespace(access_key=keys[side], secret_key=SECRET, session_token="")

        return Endpoint(filled.url, REGION, credentials, side)

    seen = [0]

    def turn_over(operation):
        seen[0] += 1
        if seen[0] == 50:
            filled.valid_keys = {"AKIANEW"}
            keys.update(source="AKIANEW", destination="AKIANEW")

    source = find_table(endpoint("source"), "orders")
    destination = find_table(endpoint("destination"), "copy")
    filled.before = turn_over
    result = copy_items(source, destination, options())
    assert same(filled)
    assert result.counts.items == ITEMS
    assert {"source", "destination"} <= set(asked)
    assert result.retries == type(result.retries)()


def test_credentials_that_cannot_be_renewed_are_told(filled):
    source, destination = filled.found("orders"), filled.found("copy", "destination")
    filled.before = lambda operation: filled.valid_keys.clear() if operation == "BatchWriteItem" else None
    with pytest.raises(CredentialsError, match="do not work"):
        copy_items(source, destination, options())


def test_workers_get_renewed_credentials_from_their_parent(filled):
    given = []

    def credentials():
        given.append(1)
        return SimpleNamespace(access_key="AKIAFAKE", secret_key=SECRET, session_token="")

    source = find_table(Endpoint(filled.url, REGION, credentials, "source"), "orders")
    destination = find_table(Endpoint(filled.url, REGION, credentials, "destination"), "copy")
    asked_before = len(given)
    copy_items(source, destination, options(workers=2))
    assert same(filled)
    # Each worker that finds work asks for both sides, the parent for its look at the tables at the end.
    assert 2 + 2 <= len(given) - asked_before <= 2 * 2 + 2


def test_keys_that_come_twice_are_written_once_a_page(dynamo):
    table = dynamo.make("orders", [("id", "N")])
    table.put(*[to_bytes({"id": {"N": str(number)}}) for number in range(1, 500)])
    again = [to_bytes({"id": {"N": f"{number}e0"}, "again": {"BOOL": True}}) for number in range(1, 500, 7)]
    table.extra_scanned = [(table.key_of(json.loads(item)), item) for item in again]
    dynamo.page_items = 1000
    dynamo.make("copy", [("id", "N")])
    result = copied(dynamo)
    assert result.counts.items == 499
    assert result.counts.duplicates == len(again)
    assert set(dynamo.tables["copy"].items) == set(table.items)
    assert sum(b"again" in item for item in dynamo.tables["copy"].items.values()) == len(again)


def test_keys_that_come_twice_across_pages_make_one_item_each(dynamo):
    table = dynamo.make("orders")
    table.put(*numbered(400))
    table.extra_scanned = list(table.items.items())
    dynamo.page_items = 10
    dynamo.make("copy")
    result = copied(dynamo)
    assert dynamo.tables["copy"].items == table.items
    assert result.counts.items + result.counts.duplicates == 800


def test_attributes_of_replication_stay_behind(dynamo):
    dynamo.make("orders").put(
        to_bytes({"id": {"S": "1"}, "aws:rep:updatetime": {"N": "1.5"}, "aws:rep:deleting": {"BOOL": False}}),
        b'{"id":{"S":"2"}, "note":{"S":"\\"aws:rep:x\\""}}',
    )
    dynamo.make("copy")
    assert copied(dynamo).counts.shortened == 1  # H1: counted
    assert sorted(dynamo.tables["copy"].items.values()) == [
        b'{"id":{"S":"1"}}',
        b'{"id":{"S":"2"}, "note":{"S":"\\"aws:rep:x\\""}}',
    ]


@pytest.mark.parametrize("workers", [1, 2])
def test_g9_items_that_the_destination_refuses_are_named_when_all_others_are_copied(filled, tmp_path, workers):
    huge = {
        f"huge {number}": to_bytes({"id": {"S": f"huge {number}"}, "x": {"S": "x" * 420_000}}) for number in range(3)
    }
    source, destination = filled.tables["orders"], filled.tables["copy"]
    source.put(*huge.values())
    with pytest.raises(ItemRefused, match=r"rejects 3 items; all others are copied: .*maximum allowed size") as refused:
        copied(filled, checkpoint=tmp_path / "c", workers=workers)
    details = refused.value.details
    assert sorted(item["key"]["id"]["S"] for item in details["items"]) == sorted(huge)
    assert (details["refused"], details["code"]) == (3, "ValidationException")
    assert "huge" not in str(refused.value)  # C7
    assert len(destination.items) == ITEMS
    # The next run begins before them.
    with pytest.raises(ItemRefused, match="3 items"):
        copied(filled, checkpoint=tmp_path / "c", workers=workers)
    for name in huge:
        source.put(to_bytes({"id": {"S": name}}))
    assert copied(filled, checkpoint=tmp_path / "c", workers=workers).counts.items == ITEMS + 3
    assert same(filled)


def test_so_many_refused_items_end_a_copy(filled, monkeypatch):
    monkeypatch.setattr(copying, "MOST_REFUSED", 20)
    filled.tables["orders"].put(
        *[to_bytes({"id": {"S": f"huge {number}"}, "x": {"S": "x" * 420_000}}) for number in range(40)]
    )
    with pytest.raises(ItemRefused, match="20 items, and the copy was ended"):
        copied(filled)


def test_other_keys_are_refused_before_anything_is_written(dynamo):
    dynamo.make("orders").put(*numbered(10))
    for key in ([("id", "N")], [("id", "S"), ("at", "N")], [("key", "S")]):
        dynamo.make("copy", key)
        with pytest.raises(KeySchemaDiffers, match="The key of the source is id"):
            copied(dynamo)
    assert "BatchWriteItem" not in dynamo.calls


def test_a_table_is_not_copied_onto_itself(filled):
    with pytest.raises(InvalidInput, match="the same table"):
        copy_items(filled.found("orders"), filled.found("orders", "destination"), options())
    assert "BatchWriteItem" not in filled.calls


@pytest.mark.parametrize("side", ["orders", "copy"])
def test_a_table_that_is_deleted_meanwhile_is_told(filled, side):
    source, destination = filled.found("orders"), filled.found("copy", "destination")
    filled.before = lambda operation: len(filled.bodies) > 15 and filled.tables.pop(side, None)
    with pytest.raises(TableVanished, match="deleted") as told:
        copy_items(source, destination, options())
    assert told.value.table == side
    assert "run again" in told.value.next_step and "checkpoint" not in told.value.next_step  # a new table has its own


@pytest.mark.parametrize("side", ["orders", "copy"])
def test_a_table_that_is_made_anew_meanwhile_is_told(filled, side, tmp_path):
    source, destination = filled.found("orders"), filled.found("copy", "destination")
    made = []

    def make_anew(operation):
        if len(filled.bodies) > 15 and not made:
            made.append(filled.tables[side])
            filled.make(side).put(*made[0].items.values())

    filled.before = make_anew
    path = tmp_path / "copy.json"
    with pytest.raises(TableVanished, match="created again") as told:
        copy_items(source, destination, options(checkpoint=path))
    assert "run again" in told.value.next_step and "checkpoint" not in told.value.next_step
    with pytest.raises(CheckpointUnusable, match="another copy"):
        copied(filled, checkpoint=path)


def test_g13_an_outage_at_the_end_is_waited_out(filled):
    """The last look at both tables is as patient as the copy."""
    impatient = RetryPolicy(0.001, 0.01, 20.0, connecting=0.0)
    source, destination = filled.found("orders"), filled.found("copy", "destination")

    def before(_operation: str) -> None:
        if len(filled.tables["copy"].items) == ITEMS and not filled.faults:
            filled.plan("reset", "DescribeTable", times=5)

    filled.before = before
    copy_items(source, destination, options(retry_policy=impatient))
    assert same(filled)
    assert filled.faults[0].met == 5


def test_a_missing_table_is_told(dynamo):
    with pytest.raises(MissingTable):
        dynamo.found("orders")


# Going on


def test_a_copy_that_failed_goes_on_and_counts_everything_once(filled, tmp_path):
    path = tmp_path / "copy.json"
    filled.plan("throttle", "BatchWriteItem", after=20, times=10_000)
    impatient = RetryPolicy(0.001, 0.002, 0.05, 0.05)
    with pytest.raises(KeepsFailing):
        copied(filled, checkpoint=path, retry_policy=impatient)
    first = json.loads(path.read_text())["counts"]["items"]
    filled.faults.clear()
    written_before = len(filled.bodies)
    result = copied(filled, checkpoint=path)
    assert same(filled)
    assert result.resumed
    assert result.counts.items == ITEMS
    assert 0 < first < ITEMS
    assert len(filled.bodies) - written_before < ITEMS / 25
    calls = len(filled.calls)
    again = copied(filled, checkpoint=path)
    assert (again.counts, again.resumed) == (result.counts, True)
    assert set(filled.calls[calls:]) == {"DescribeTable"}


KILLED = """
import sys, time
from pathlib import Path
from types import SimpleNamespace
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import copying, page_pool
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import find_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
copying.SAVE_SECONDS = 0.05
keys = SimpleNamespace(access_key="AKIAFAKE", secret_key="s", session_token="")
endpoint = Endpoint(sys.argv[1], "eu-west-1", lambda: keys)
source, destination = find_table(endpoint, "orders"), find_table(endpoint, "copy")
options = copying.CopyOptions(checkpoint=Path(sys.argv[2]), workers=int(sys.argv[3]), writes_at_once=2)
result = copying.copy_items(source, destination, options)
print(result.counts.items)
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_copy_that_is_killed_goes_on(filled, tmp_path, workers):
    path = tmp_path / "copy.json"
    filled.page_items = 5
    filled.latency = 0.004
    command = [sys.executable, "-c", KILLED, filled.url, str(path), str(workers)]
    kills = 0
    for wanted in (40, 90):
        process = subprocess.Popen(command)
        while len(filled.bodies) < wanted and process.poll() is None:
            time.sleep(0.005)
        if process.poll() is None:
            process.kill()
            kills += 1
        process.wait()
        time.sleep(0.1)
        json.loads(path.read_text())
    filled.latency = 0.0
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    assert int(told) == ITEMS
    assert same(filled)
    assert kills == 2


# Rates


def test_a_rate_limits_writes_and_asks_for_units(filled):
    filled.units_per_item = 2.0
    began = time.monotonic()
    result = copied(filled, write_rate=Rate(1500))
    assert result.counts.write_units == ITEMS * 2.0
    assert result.counts.read_units is None
    assert time.monotonic() - began > 0.7
    assert same(filled)


@pytest.mark.parametrize("workers", [1, 2])
def test_no_second_of_the_servers_books_is_above_the_rate(dynamo, workers):
    """However fast the machine is: what may have been taken within a second is known from when a request is sent and
    answered."""
    dynamo.make("orders").put(*numbered(4000))
    dynamo.make("copy")
    result = copied(dynamo, write_rate=Rate(2000), workers=workers)
    assert same(dynamo)
    assert result.counts.write_units == 4000 == sum(units for _at, units in dynamo.written)
    assert worst(dynamo.written) <= 2000


@pytest.mark.parametrize("workers", [1, 2])
def test_a_rate_limits_reads_of_all_workers_together(filled, workers):
    filled.consumed.clear()
    result = copied(filled, read_rate=Rate(1000), workers=workers)
    assert result.counts.read_units == pytest.approx(ITEMS, rel=0.1)
    assert same(filled)


def test_a_table_under_heavy_write_is_copied_as_it_was_read(filled):
    """Items come and go while the table is read: what stays all the time is all there, whatever else."""
    turn = [0]

    def write(operation):
        turn[0] += 1
        table = filled.tables["orders"]
        table.put(to_bytes({"id": {"S": f"new {turn[0]}"}}))

    source, destination = filled.found("orders"), filled.found("copy", "destination")
    filled.before = write
    result = copy_items(source, destination, options())
    assert set(numbered()) <= set(filled.tables["copy"].items.values())
    assert result.counts.items == len(filled.tables["copy"].items)
