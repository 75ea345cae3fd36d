# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies with a transform: what arrives is what the steps make of each item, and every item is counted once."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    CheckpointUnusable,
    InvalidTransform,
    ItemRefused,
    KeepsFailing,
    KeySchemaDiffers,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import copying, page_pool
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import (
    CopyOptions,
    CopyProgress,
    CopyResult,
    copy_items,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.named import MOST_NAMED
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import compiled
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from tests.unit.core.items.fake_dynamo import HASTY, FakeDynamo, serving
from tests.unit.core.items.strategies import attributes, to_bytes

ITEMS = 750
BAD = range(0, ITEMS, 15)  # items whose number is none
SOURCE = TableSchemas(KeySchema((KeyAttribute("id", "S"),)))
FILES = {
    "files/t.py": "def each(item):\n"
    "    if item['n'].get('S') == 'none': raise ValueError('no number')\n"
    "    if int(item['n']['N']) % 5 == 0: return None\n"
    "    if int(item['n']['N']) % 5 == 1: return [{**item, 'uid': {'S': item['uid']['S'] + t}} for t in 'ab']\n"
    "    return item\n"
}
STEPS: tuple[Mapping[str, Any], ...] = (
    {"keep_if": "NOT begins_with(note, :x)"},
    {"drop": ["note"]},
    {"rename": {"id": "uid"}},
    {"set": {"imported": True}},
)
FAN = ({"rename": {"id": "uid"}}, {"python": {"function": "files/t.py:each", "attributes": "all", "several": True}})


def definition(*steps: Mapping[str, Any], **more: Any) -> Definition:
    return Definition(steps, SOURCE, **more)


ORDINARY = definition(*STEPS, values={":x": {"S": "x"}})
CASTING = definition({"rename": {"id": "uid"}}, {"cast": {"n": "N"}})
FANNING = definition(*FAN, files=FILES, destination=KeySchema((KeyAttribute("uid", "S"),)))


def numbered(count: int = ITEMS) -> list[bytes]:
    """Items of which every 7th has a note that begins with x."""
    return [
        to_bytes(
            {"id": {"S": f"item {number}"}, "n": {"N": str(number)}, "note": {"S": "y" if number % 7 else "x at last"}}
        )
        for number in range(count)
    ]


def with_bad() -> list[bytes]:
    return [to_bytes({"id": {"S": f"item {number}"}, "n": {"S": "none"}}) for number in BAD]


def copied(dynamo: FakeDynamo, transform: Definition | None = ORDINARY, **members: Any) -> CopyResult:
    options = CopyOptions(**{"retry_policy": HASTY, "transform": transform, **members})
    return copy_items(dynamo.found("orders"), dynamo.found("copy", "destination"), options)


def by_hand(dynamo: FakeDynamo, transform: Definition) -> tuple[list[bytes], Tally]:
    """What the steps make of each item of the source, and the counts."""
    made, tally = compiled(transform), Tally()
    items = [each for item in dynamo.tables["orders"].items.values() for each in made.of_item(item, tally)]
    return list(map(bytes, items)), tally


def require_as_by_hand(dynamo: FakeDynamo, transform: Definition, result: CopyResult) -> None:
    items, tally = by_hand(dynamo, transform)
    assert sorted(dynamo.tables["copy"].items.values()) == sorted(items)
    counts = result.counts
    assert (counts.items, counts.read, counts.added) == (tally.made, tally.read, tally.added)
    assert (counts.kept_out, counts.refused) == (dict(tally.kept_out), dict(tally.refused))
    assert counts.balanced


@pytest.fixture
def filled(dynamo: FakeDynamo) -> FakeDynamo:
    """A source of 750 items, which 30 pages hold, and an empty destination with the key of the renamed items."""
    dynamo.page_items = 25
    dynamo.make("orders").put(*numbered())
    dynamo.make("copy", [("uid", "S")])
    return dynamo


# What arrives


@settings(max_examples=15)
@given(
    st.dictionaries(st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8), attributes, max_size=40),
    st.integers(1, 7),
)
def test_what_arrives_is_what_the_steps_make_of_each_item(items, page_items):
    transform = definition({"drop": ["a", "b.c"]}, {"rename": {"id": "uid"}}, {"set": {"imported": {"S": "{uid}"}}})
    with serving() as dynamo:
        dynamo.page_items = page_items
        dynamo.make("orders").put(*[to_bytes({**others, "id": {"S": name}}) for name, others in items.items()])
        dynamo.make("copy", [("uid", "S")])
        require_as_by_hand(dynamo, transform, copied(dynamo, transform, skip_errors=True))


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("transform", [ORDINARY, FANNING], ids=["one of each", "several of one"])
def test_a_copy_and_its_counts(filled, workers, transform):
    shown: list[CopyProgress] = []
    source, destination = filled.found("orders"), filled.found("copy", "destination")
    options = CopyOptions(retry_policy=HASTY, transform=transform, workers=workers)
    result = copy_items(source, destination, options, shown.append)
    require_as_by_hand(filled, transform, result)
    assert result.counts.read == ITEMS and sum(result.counts.kept_out.values()) >= ITEMS // 7
    assert shown[-1].counts == result.counts


@pytest.mark.parametrize("steps", [[], [{"keep_if": "attribute_exists(id)"}]], ids=["none", "one that changes nothing"])
def test_steps_that_change_nothing_copy_byte_for_byte(filled, steps):
    filled.make("copy")
    result = copied(filled, definition(*steps))
    assert filled.tables["copy"].items == filled.tables["orders"].items
    assert (result.counts.items, result.counts.read) == (ITEMS, ITEMS)


def test_without_a_transform_what_was_read_is_counted_too(filled):
    filled.make("copy")
    counts = copied(filled, None).counts
    assert (counts.items, counts.read, counts.balanced) == (ITEMS, ITEMS, True)


def test_attributes_of_replication_are_left_out_before_the_steps(dynamo):
    dynamo.make("orders").put(
        to_bytes({"id": {"S": "1"}, "aws:rep:updatetime": {"N": "1.5"}}), to_bytes({"id": {"S": "2"}})
    )
    dynamo.make("copy", [("uid", "S")])
    function = "def f(item):\n    return {**item, 'names': {'S': ','.join(sorted(item))}}"
    steps = {"rename": {"id": "uid"}}, {"python": {"function": "f.py:f", "attributes": "all"}}
    transform = definition(*steps, files={"f.py": function})
    assert copied(dynamo, transform).counts.shortened == 1
    assert {json.loads(item)["names"]["S"] for item in dynamo.tables["copy"].items.values()} == {"uid"}


def test_items_that_get_one_key_within_a_page_are_never_in_one_batch(filled):
    """Any of them may win. One that is written over within its page counts as one of another page."""
    transform = definition(
        {"set": {"uid": "{n}"}}, {"cast": {"n": "N"}}, destination=KeySchema((KeyAttribute("uid", "S"),))
    )
    filled.tables["orders"].items.clear()
    filled.tables["orders"].put(
        *[to_bytes({"id": {"S": f"item {number}"}, "n": {"S": str(number % 40 + 1)}}) for number in range(ITEMS)]
    )
    transform = replace(
        transform, steps=({"keep_if": "attribute_type(n, :s)"}, *transform.steps), values={":s": {"S": "S"}}
    )
    assert not compiled(transform).keys.apart
    result = copied(filled, transform)
    assert len(filled.tables["copy"].items) == 40
    assert (result.counts.items, result.counts.read, result.counts.balanced) == (ITEMS, ITEMS, True)
    for body in filled.bodies:
        ((_table, requests),) = json.loads(body)["RequestItems"].items()
        keys = [each["PutRequest"]["Item"]["uid"]["S"] for each in requests]
        assert len(set(keys)) == len(keys)
    items, _tally = by_hand(filled, transform)
    assert set(filled.tables["copy"].items.values()) <= set(items)


@pytest.mark.parametrize("page_items", [1000, 10])
def test_keys_that_a_scan_gives_twice_are_transformed_once_a_page(dynamo, page_items):
    table = dynamo.make("orders")
    table.put(*numbered(400))
    table.extra_scanned = list(table.items.items())
    dynamo.page_items = page_items
    dynamo.make("copy", [("uid", "S")])
    counts = copied(dynamo).counts
    assert sorted(dynamo.tables["copy"].items.values()) == sorted(by_hand(dynamo, ORDINARY)[0])
    assert counts.read + counts.duplicates == 800 and counts.balanced
    if page_items == 1000:
        assert counts.read == 400


# Faults


@pytest.mark.parametrize("transform", [ORDINARY, FANNING], ids=["one of each", "several of one"])
@pytest.mark.parametrize("operation", ["Scan", "BatchWriteItem"])
@pytest.mark.parametrize(
    "kind", ["throttle", "500", "503", "reset", "lost", "half", "crc", "chunked", "until_close", "unprocessed"]
)
def test_the_equation_holds_whatever_goes_wrong(filled, operation, kind, transform):
    for after in range(0, 60, 3):
        filled.plan(kind, operation, after=after, times=2, count=7)
    filled.tables["orders"].put(*with_bad())
    result = copied(filled, transform, skip_errors=True)
    require_as_by_hand(filled, transform, result)
    assert sum(fault.met for fault in filled.faults) > 10 or (kind, operation) == ("unprocessed", "Scan")


def test_a_storm_of_everything(filled):
    for kind in ("throttle", "500", "reset", "lost", "half", "crc", "unprocessed"):
        for after in range(0, 150, 2):
            filled.plan(kind, "BatchWriteItem" if after % 4 else "", after=after, count=7)
    filled.tables["orders"].put(*with_bad())
    require_as_by_hand(filled, FANNING, copied(filled, FANNING, skip_errors=True, workers=2))


def test_pages_that_are_set_down_and_read_again_are_counted_once(filled, monkeypatch):
    """Of a partition that takes nothing for a while, more is read than there is memory for."""
    monkeypatch.setattr(page_pool, "ASIDE_BYTES", 4_000)
    filled.tables["orders"].put(*with_bad())
    filled.hot = lambda key: True

    def before(_operation: str) -> None:
        if filled.calls.count("BatchWriteItem") > 150:
            filled.hot = lambda key: False

    filled.before = before
    require_as_by_hand(filled, CASTING, copied(filled, CASTING, skip_errors=True))
    assert filled.calls.count("Scan") > 40, "pages are read again"


@pytest.mark.parametrize("workers", [1, 2])
def test_a_rate_holds_for_what_is_written(filled, workers):
    result = copied(filled, FANNING, write_rate=Rate(1500), workers=workers)
    require_as_by_hand(filled, FANNING, result)
    assert result.counts.write_units == result.counts.items


# Errors of items


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("transform", [CASTING, FANNING], ids=["cast", "function"])
def test_items_that_a_step_cannot_take_fail_the_copy_when_all_others_are_written(filled, tmp_path, workers, transform):
    filled.tables["orders"].put(*with_bad())
    items, tally = by_hand(filled, transform)
    for _run in range(2):
        with pytest.raises(ItemRefused, match="cannot take 50 items; all others are copied: step 2") as refused:
            copied(filled, transform, workers=workers, checkpoint=tmp_path / "c")
        details = refused.value.details
        assert (details["refused"], details["steps"], len(details["items"])) == (50, {"2": 50}, MOST_NAMED)
        assert {each["key"]["id"]["S"] for each in details["items"]} <= {f"item {number}" for number in BAD}
        assert all(each["reason"].startswith("step 2 (") for each in details["items"])
        assert "item " not in str(refused.value).replace("an item", "") and "none" not in str(refused.value)  # C7
        assert sorted(filled.tables["copy"].items.values()) == sorted(items)
    assert tally.refused == Counter({2: 50})
    filled.tables["orders"].put(*numbered())
    result = copied(filled, transform, workers=workers, checkpoint=tmp_path / "c")
    require_as_by_hand(filled, transform, result)
    assert result.resumed and not result.counts.named


@pytest.mark.parametrize("workers", [1, 2])
def test_items_that_a_step_cannot_take_are_left_out_where_that_is_asked_for(filled, workers):
    filled.tables["orders"].put(*with_bad())
    counts = copied(filled, CASTING, skip_errors=True, workers=workers).counts
    assert counts.refused == {2: 50} and counts.items == ITEMS - 50 and counts.balanced
    assert len(counts.named) == MOST_NAMED
    assert {each.key["id"]["S"] for each in counts.named} <= {f"item {number}" for number in BAD}


def test_keys_and_sizes_that_the_table_cannot_have_are_refused_by_the_transform(filled):
    table = filled.tables["orders"]
    table.items.clear()
    table.put(
        to_bytes({"id": {"S": "good"}, "k": {"S": "v"}}),
        to_bytes({"id": {"S": "long"}, "k": {"S": "v" * 2049}}),
        to_bytes({"id": {"S": "empty"}, "k": {"S": ""}}),
        to_bytes({"id": {"S": "large"}, "k": {"S": "w"}, "x": {"S": "x" * 409_500}}),
    )
    transform = definition(
        {"keep_if": "attribute_type(k, :s)"},
        {"rename": {"k": "uid"}},
        {"set": {"more": {"S": "m" * 200}}},
        values={":s": {"S": "S"}},
        destination=KeySchema((KeyAttribute("uid", "S"),)),
    )
    counts = copied(filled, transform, skip_errors=True).counts
    reasons = {each.key["id"]["S"]: each.reason for each in counts.named}
    assert sorted(reasons) == ["empty", "large", "long"]
    assert "is empty" in reasons["empty"] and "2048 bytes" in reasons["long"] and "400 KB" in reasons["large"]
    assert sum(counts.refused.values()) == 3 and counts.items == 1 and counts.balanced


def test_items_that_aws_refuses_are_named_beside_those_of_the_steps(filled):
    filled.tables["orders"].put(
        *with_bad(), to_bytes({"id": {"S": "huge"}, "x": {"S": "\u00e9" * 200_000}, "n": {"S": "1"}})
    )

    def ascii_only(item: bytes) -> bytes:
        return json.dumps(json.loads(item)).encode()

    table = filled.tables["orders"]
    table.items = {key: ascii_only(item) for key, item in table.items.items()}
    with pytest.raises(ItemRefused, match=r"cannot take 50 items: .*rejects an item") as refused:
        copied(filled, CASTING)
    details = refused.value.details
    assert (details["refused"], details["code"], len(details["items"])) == (51, "ValidationException", MOST_NAMED + 1)
    with pytest.raises(ItemRefused, match="rejects an item") as refused:
        copied(filled, CASTING, skip_errors=True)
    assert refused.value.details["items"][0]["key"] == {"uid": {"S": "huge"}}


def test_so_many_items_that_a_step_cannot_take_end_a_copy(filled, monkeypatch):
    monkeypatch.setattr(copying, "MOST_REFUSED", 20)
    filled.tables["orders"].put(*with_bad())
    with pytest.raises(ItemRefused, match=r"cannot take \d\d items, and the copy was ended"):
        copied(filled, CASTING)


def test_failed_pages_that_are_set_down_are_counted_once(filled, monkeypatch):
    monkeypatch.setattr(page_pool, "ASIDE_BYTES", 4_000)
    filled.tables["orders"].put(*with_bad())
    filled.hot = lambda key: True

    def before(_operation: str) -> None:
        if filled.calls.count("BatchWriteItem") > 150:
            filled.hot = lambda key: False

    filled.before = before
    with pytest.raises(ItemRefused, match="cannot take 50 items"):
        copied(filled, CASTING)
    assert filled.calls.count("Scan") > 40, "pages are read again"


# Before anything is written


def test_a_destination_with_another_key_than_the_transformed_items_is_refused(filled):
    filled.make("copy")
    with pytest.raises(KeySchemaDiffers, match=r"key of the transformed items is uid \(S\), .*destination id \(S\)"):
        copied(filled)
    other = replace(ORDINARY, source=TableSchemas(KeySchema((KeyAttribute("id", "N"),))))
    with pytest.raises(KeySchemaDiffers, match=r"the transform was made for the key id \(N\)"):
        copied(filled, other)
    with pytest.raises(InvalidTransform, match="Step 1"):
        copied(filled, definition({"drop": ["id"]}))
    assert not filled.bodies


# Going on


def test_a_copy_that_failed_goes_on_and_counts_everything_once(filled, tmp_path):
    path = tmp_path / "copy.json"
    filled.tables["orders"].put(*with_bad())
    filled.plan("throttle", "BatchWriteItem", after=20, times=10_000)
    with pytest.raises(KeepsFailing):
        copied(filled, FANNING, checkpoint=path, skip_errors=True, retry_policy=RetryPolicy(0.001, 0.002, 0.05, 0.05))
    first = json.loads(path.read_text())["counts"]
    assert 0 < first["read"] < ITEMS and first["refused"]["2"] and first["named"]
    filled.faults.clear()
    result = copied(filled, FANNING, checkpoint=path, skip_errors=True)
    require_as_by_hand(filled, FANNING, result)
    assert result.resumed and len(result.counts.named) == MOST_NAMED
    again = copied(filled, FANNING, checkpoint=path, skip_errors=True)
    assert again.counts == result.counts
    # What was left out is not passed over in silence by a run that may leave nothing out.
    with pytest.raises(CheckpointUnusable, match="left out 50 items"):
        copied(filled, FANNING, checkpoint=path)


def test_a_copy_that_failed_for_items_goes_on_where_these_may_be_left_out(filled, tmp_path):
    path = tmp_path / "copy.json"
    filled.tables["orders"].put(*with_bad())
    with pytest.raises(ItemRefused, match="cannot take 50 items"):
        copied(filled, CASTING, checkpoint=path)
    result = copied(filled, CASTING, checkpoint=path, skip_errors=True)
    require_as_by_hand(filled, CASTING, result)
    assert result.resumed and result.counts.refused == {2: 50}


@pytest.mark.parametrize(
    "other",
    [None, replace(ORDINARY, steps=ORDINARY.steps[:-1]), replace(ORDINARY, values={":x": {"S": "z"}})],
    ids=["none", "a step less", "another value"],
)
def test_a_copy_goes_on_with_its_own_transform_only(filled, tmp_path, other):
    path = tmp_path / "copy.json"
    copied(filled, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(CheckpointUnusable, match="belongs to a copy with") as refused:
        if other is None:
            filled.tables["copy"].key = [("id", "S")]
        copied(filled, other, checkpoint=path)
    assert "delete its destination table and this file" in refused.value.next_step
    assert path.read_bytes() == before


def test_a_copy_that_began_without_a_transform_does_not_go_on_with_one(filled, tmp_path):
    path = tmp_path / "copy.json"
    filled.tables["copy"].key = [("id", "S")]
    copied(filled, None, checkpoint=path)
    filled.tables["copy"].key = [("uid", "S")]
    with pytest.raises(CheckpointUnusable, match="belongs to a copy without a transform"):
        copied(filled, checkpoint=path)


def test_a_checkpoint_of_a_transformed_copy_is_not_one_of_versions_without_transforms(filled, tmp_path):
    path = tmp_path / "copy.json"
    copied(filled, checkpoint=path)
    assert json.loads(path.read_text())["version"] == 2
    assert path.stat().st_mode & 0o777 == 0o600  # it may name items


KILLED = """
import json, sys, pickle
from pathlib import Path
from types import SimpleNamespace
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import copying
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import find_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
copying.SAVE_SECONDS = 0.05
keys = SimpleNamespace(access_key="AKIAFAKE", secret_key="s", session_token="")
endpoint = Endpoint(sys.argv[1], "eu-west-1", lambda: keys)
source, destination = find_table(endpoint, "orders"), find_table(endpoint, "copy")
definition = pickle.loads(Path(sys.argv[4]).read_bytes())
options = copying.CopyOptions(
    checkpoint=Path(sys.argv[2]), workers=int(sys.argv[3]), writes_at_once=2, transform=definition, skip_errors=True)
counts = copying.copy_items(source, destination, options).counts
print(json.dumps([counts.items, counts.read, counts.added, counts.kept_out, counts.refused]))
"""


@pytest.mark.parametrize("workers", [1, 2])
def test_a_copy_that_is_killed_goes_on(filled, tmp_path, workers):
    path, pickled = tmp_path / "copy.json", tmp_path / "definition"
    pickled.write_bytes(pickle.dumps(FANNING))
    filled.tables["orders"].put(*with_bad())
    filled.page_items = 5
    filled.latency = 0.004
    command = [sys.executable, "-c", KILLED, filled.url, str(path), str(workers), str(pickled)]
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
    counts = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    items, tally = by_hand(filled, FANNING)
    assert counts == [tally.made, tally.read, tally.added, tally.to_json()["kept_out"], tally.to_json()["refused"]]
    assert sorted(filled.tables["copy"].items.values()) == sorted(items)
    assert kills == 2
