# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparisons name exactly the keys that differ, whatever form equal items come in and whatever goes on meanwhile."""

from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput, KeySchemaDiffers
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import comparing
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_sample, compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import (
    CompareOptions,
    Comparison,
    Difference,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.readings import Reading
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.throttle import Rate
from tests.unit.core.items.fake_dynamo import HASTY, FakeDynamo, serving
from tests.unit.core.items.strategies import attributes, rewritten_attributes, to_bytes

ITEMS = 800


def item(number: int, **others) -> bytes:
    return to_bytes({"id": {"S": str(number)}, "n": {"N": str(number)}, "s": {"SS": ["a", "b"]}, **others})


def compared(dynamo: FakeDynamo, **members) -> tuple[Comparison, dict[str, str]]:
    told: list[Difference] = []
    options = CompareOptions(**{"retry_policy": HASTY, **members})
    result = compare_tables(dynamo.found("orders"), dynamo.found("copy", "destination"), options, told.append)
    found = {difference.key["id"]["S"]: difference.kind for difference in told}
    assert len(found) == len(told) == result.differences
    return result, found


NUMBERED = {(str(number),): item(number) for number in range(ITEMS)}


@pytest.fixture
def pair(dynamo):
    """Two equal tables of 800 items; a segment of sixteen has about two pages."""
    dynamo.page_items = 40
    for name in ("orders", "copy"):
        dynamo.make(name).items = dict(NUMBERED)
    return dynamo


def corrupt(dynamo: FakeDynamo) -> dict[str, str]:
    """Three items changed, one removed, one added."""
    copy = dynamo.tables["copy"]
    copy.put(*[item(number, x={"S": "changed"}) for number in (3, 500, 799)])
    del copy.items[("77",)]
    copy.put(item(5000))
    return {"3": "different", "500": "different", "799": "different", "77": "missing", "5000": "extra"}


@pytest.mark.parametrize("workers", [1, 2])
def test_equal_tables_are_read_once(pair, workers):
    result, found = compared(pair, workers=workers)
    assert result == Comparison(ITEMS, ITEMS)
    assert (result.equal, found) == (True, {})
    assert pair.calls.count("BatchGetItem") == 1
    assert pair.calls.count("Scan") < 2 * (ITEMS / 40 + 16) + 2


@pytest.mark.parametrize("workers", [1, 2])
def test_exactly_the_differences_are_named(pair, workers):
    wanted = corrupt(pair)
    result, found = compared(pair, workers=workers)
    assert found == wanted
    assert (result.missing, result.different, result.extra, result.equal) == (1, 3, 1, False)
    assert (result.items_source, result.items_destination) == (ITEMS, ITEMS)


@pytest.mark.parametrize("rewrite", [0.01, 1.0])
@pytest.mark.parametrize("corrupted", [False, True])
def test_forms_of_equal_items_make_no_difference(pair, rewrite, corrupted):
    chance = random.Random(7)
    wanted = corrupt(pair) if corrupted else {}
    copy = pair.tables["copy"]
    for key, body in list(copy.items.items()):
        if chance.random() < rewrite:
            copy.items[key] = to_bytes(rewritten_attributes(json.loads(body), chance))
    assert compared(pair, most_listed=300)[1] == wanted


@pytest.mark.parametrize("form", ["raw", "sorted"])
def test_forms_that_the_probe_did_not_see_are_found_by_a_second_reading(pair, monkeypatch, form):
    monkeypatch.setattr(comparing._TablePair, "form", lambda self: form)
    chance = random.Random(7)
    wanted = corrupt(pair)
    copy = pair.tables["copy"]
    for key, body in list(copy.items.items()):
        copy.items[key] = to_bytes(rewritten_attributes(json.loads(body), chance))
    told = []
    result, found = compared(pair, most_listed=50)
    assert (found, result.unlisted_buckets, told) == (wanted, 0, [])


@pytest.mark.parametrize(
    ("rewrite", "form"),
    [
        (lambda item: item, "raw"),
        (lambda item: dict(reversed(item.items())), "sorted"),
        (lambda item: {**item, "numbers": {"NS": ["2", "1"]}}, "canonical"),
    ],
)
def test_the_cheapest_form_that_equal_items_share_is_compared(pair, monkeypatch, rewrite, form):
    forms = []
    monkeypatch.setattr(comparing, "Reading", lambda *given: forms.append(given[6]) or Reading(*given))
    ours = [{"id": {"S": str(number)}, "numbers": {"NS": ["1", "2"]}, "a": {"N": "1"}} for number in range(ITEMS)]
    pair.make("orders").put(*map(to_bytes, ours))
    pair.make("copy").put(*[to_bytes(rewrite(each)) for each in ours])
    result, found = compared(pair)
    assert (result.equal, found, forms) == (True, {}, [form])


@settings(max_examples=15)
@given(
    st.dictionaries(st.integers(0, 30).map(str), attributes, max_size=15),
    st.dictionaries(st.integers(0, 30).map(str), attributes, max_size=5),
    st.sets(st.integers(0, 30).map(str), max_size=3),
    st.randoms(use_true_random=False),
)
def test_any_two_tables(items, changed, removed, chance):
    ours = {key: {**others, "id": {"S": key}} for key, others in items.items()}
    theirs = {key: each for key, each in ours.items() if key not in removed}
    theirs |= {key: {**others, "id": {"S": key}, "mark": {"NULL": True}} for key, others in changed.items()}
    wanted = {key: "missing" for key in ours if key not in theirs}
    wanted |= {key: "different" if key in ours else "extra" for key in changed}
    wanted = {key: kind for key, kind in wanted.items() if ours.get(key) != theirs.get(key)}
    with serving() as dynamo:
        dynamo.page_items = 4
        dynamo.make("orders").put(*map(to_bytes, ours.values()))
        dynamo.make("copy").put(*[to_bytes(rewritten_attributes(each, chance)) for each in theirs.values()])
        result, found = compared(dynamo)
    assert found == wanted
    assert (result.items_source, result.items_destination) == (len(ours), len(theirs))


def test_more_differences_than_memory_allows_are_counted_and_said(pair):
    pair.make("copy").put(*[item(number, x={"S": "changed"}) for number in range(ITEMS)])
    result, found = compared(pair, most_listed=150)
    assert result.unlisted_buckets > 0
    assert 25 < len(found) <= 200
    assert set(found.values()) == {"different"}
    assert not result.equal


def test_a_difference_that_has_passed_when_it_is_read_again_is_none(pair):
    corrupt(pair)
    reads = []

    def mend(operation):
        if operation == "BatchGetItem":
            reads.append(1)
            if len(reads) == 2:
                pair.tables["copy"].items = dict(pair.tables["orders"].items)

    pair.before = mend
    result, found = compared(pair)
    assert (found, result.equal) == ({}, True)


def test_attributes_of_replication_make_no_difference(pair):
    for number in (1, 2, 3):
        pair.tables["orders"].put(item(number, **{"aws:rep:updatetime": {"N": "1.5"}}))
    pair.tables["copy"].put(item(1, **{"aws:rep:updatetime": {"N": "2"}}))
    result = compared(pair)[0]
    assert (result.equal, result.marked_source, result.marked_destination) == (True, 3, 1)  # H1: counted


def test_expired_items_are_left_out_only_when_asked(dynamo):
    dynamo.make("orders").put(
        *[item(number, end={"N": "1000000000"}) for number in range(10)],  # more than five years ago: never expires
        *[item(number, end={"N": "99999999999"}) for number in range(10, 20)],
        *[item(number, end={"S": "1700000000"}) for number in range(20, 30)],
        *[item(number, end={"N": "1760000000.5"}) for number in range(30, 40)],
    )
    live = [body for body in dynamo.tables["orders"].items.values() if b"1760000000" not in body]
    dynamo.make("copy").put(*live)
    clock = 1_760_000_000 + 86400
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(comparing.time, "time", lambda: float(clock))
        assert compared(dynamo)[0].missing == 10
        result, found = compared(dynamo, ignore_expired="end")
        assert (found, result.expired_source, result.expired_destination) == ({}, 10, 0)
        assert (result.items_source, result.items_destination) == (30, 30)
        dynamo.tables["copy"].put(item(31, end={"N": "99999999999"}), item(12, end={"N": "1760000000"}))
        assert compared(dynamo, ignore_expired="end")[1] == {"31": "different", "12": "different"}


@pytest.mark.parametrize("kind", ["throttle", "500", "reset", "half", "crc", "expired"])
def test_faults_make_no_differences(pair, kind):
    wanted = corrupt(pair)
    source, destination = pair.found("orders"), pair.found("copy", "destination")
    if kind == "expired":
        pair.valid_keys.add("AKIANEW")
    else:
        for after in range(0, 40, 2):
            pair.plan(kind, after=after)
        pair.plan("unprocessed", "BatchGetItem", count=3)
    told = []
    result = compare_tables(source, destination, CompareOptions(retry_policy=HASTY), told.append)
    assert {difference.key["id"]["S"]: difference.kind for difference in told} == wanted
    assert result.items_source == ITEMS


def test_rates_and_units(pair):
    result, _ = compared(pair, source_rate=Rate(4000), destination_rate=Rate(8000))
    assert result.read_units_source == pytest.approx(ITEMS, rel=0.1)
    assert result.read_units_destination == pytest.approx(ITEMS, rel=0.1)
    assert result.equal


def test_progress_counts_both_sides(pair):
    told = []
    options = CompareOptions(retry_policy=HASTY)
    compare_tables(pair.found("orders"), pair.found("copy"), options, progress=told.append)
    last = told[-1]
    assert (last.items_source, last.items_destination, last.segments_done, last.segments) == (ITEMS, ITEMS, 8, 8)


def test_other_keys_are_refused(dynamo):
    dynamo.make("orders")
    dynamo.make("copy", [("id", "N")])
    with pytest.raises(KeySchemaDiffers):
        compared(dynamo)
    with pytest.raises(KeySchemaDiffers):
        compare_sample(dynamo.found("orders"), dynamo.found("copy"), 10)


# Samples


def sampled(dynamo: FakeDynamo, keys: int) -> tuple[Comparison, dict[str, str]]:
    told: list[Difference] = []
    options = CompareOptions(retry_policy=HASTY)
    result = compare_sample(dynamo.found("orders"), dynamo.found("copy"), keys, options, told.append)
    return result, {difference.key["id"]["S"]: difference.kind for difference in told}


def test_a_sample_of_equal_tables(pair):
    result, found = sampled(pair, 100)
    assert found == {}
    assert (result.items_source, result.items_destination) == (100, 100)


def test_a_sample_as_large_as_the_table_finds_everything(pair):
    wanted = corrupt(pair)
    result, found = sampled(pair, 5000)
    assert found == wanted
    assert (result.items_source, result.items_destination) == (ITEMS, ITEMS)


def test_a_sample_finds_what_is_common(pair):
    pair.make("copy").put(*[item(number) for number in range(ITEMS // 2)])
    result, found = sampled(pair, 200)
    assert set(found.values()) == {"missing"}
    assert 50 < result.missing < 150


def test_samples_are_drawn_at_random(pair):
    keys = []
    for _ in range(2):
        seen = set()
        pair.tables["copy"].items.clear()
        seen = set(sampled(pair, 50)[1])
        keys.append(seen)
    assert keys[0] != keys[1]


def test_a_sample_of_an_empty_table(dynamo):
    dynamo.make("orders")
    dynamo.make("copy")
    assert sampled(dynamo, 100)[0] == Comparison(0, 0)


# The report


@given(st.sampled_from(["missing", "different", "extra"]), st.text(), st.binary())
def test_lines_of_a_report(kind, text, binary):
    difference = Difference(kind, {"id": {"S": text}, "at": {"B": binary.hex()}})
    line = difference.to_line()
    assert "\n" not in line
    assert Difference.from_line(line) == difference


@pytest.mark.parametrize("line", ["", "{}", "[]", '{"difference":"other","key":{}}', '{"difference":"extra","key":5}'])
def test_a_line_that_is_none_is_told(line):
    with pytest.raises(InvalidInput, match="report of differences"):
        Difference.from_line(line)
