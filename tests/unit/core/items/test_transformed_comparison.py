# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Comparisons of a table with what a transform makes of another one: exactly what differs from a copy is named."""

from __future__ import annotations

import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    InvalidInput,
    KeySchemaDiffers,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import comparing
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_sample, compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import (
    CompareOptions,
    Comparison,
    Difference,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.pairing import Pairing
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import (
    RepairOptions,
    RepairResult,
    repair,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import Transform
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Following
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from tests.unit.core.items.fake_dynamo import HASTY, FakeDynamo, serving
from tests.unit.core.items.strategies import rewritten_attributes, to_bytes
from tests.unit.core.items.transform import test_random_steps as random_steps
from tests.unit.core.items.transform.building import ONE_KEY, TWO_KEYS, schema, transform

ITEMS = 400
FILES = {
    "f.py": "def parts(item):\n"
    "    return [{**item, 'pk': {'S': item['pk']['S'] + end}} for end in 'abc'[:len(item['pk']['S'])]]\n\n"
    "def group(item):\n    return {**item, 'pk': {'S': item['n']['N'][0]}}\n"
}
RENAMED = [{"rename": {"pk": "uid"}}, {"drop": ["secret"]}]
TOLD = [
    {"set": {"pk": "T#{pk}"}},
    {"keep_if": "n > :five"},
    {"hash": ["secret"]},
]  # the key tells the source's, to us not
SEVERAL = [{"python": {"function": "f.py:parts", "attributes": "all", "several": True}}]
GROUPED = [{"python": {"function": "f.py:group", "attributes": "all"}}]


def steps_of(*steps: Any, source: Any = ONE_KEY, **more: Any) -> Transform:
    if any(":five" in str(step) for step in steps):
        more["values"] = {":five": {"N": "5"}}
    return transform(*steps, source=source, files=FILES, at=1e9, **more)


def item(number: int, **others: Any) -> bytes:
    return to_bytes({"pk": {"S": str(number)}, "n": {"N": str(number)}, "secret": {"S": f"s{number}"}, **others})


def made_of(made: Transform, items: Any) -> tuple[list[bytes], Tally]:
    tally = Tally()
    return [bytes(each) for item_ in items for each in made.of_item(item_, tally)], tally


def pair(dynamo: FakeDynamo, made: Transform, items: list[bytes]) -> Tally:
    """Two tables, the second one a copy of the first one through the transform."""
    dynamo.page_items = 40
    for name, key in (("orders", made.definition.source.table), ("copy", made.keys.destination.table)):
        dynamo.make(name, [(each.name, each.type) for each in key.attributes])
    dynamo.tables["orders"].put(*items)
    copied, tally = made_of(made, dynamo.tables["orders"].items.values())
    dynamo.tables["copy"].put(*copied)
    return tally


def compared(dynamo: FakeDynamo, made: Transform, **members: Any) -> tuple[Comparison, dict[str, str]]:
    options = CompareOptions(**{"retry_policy": HASTY, "transform": made.definition, **members})
    reported: list[Difference] = []
    result = compare_tables(dynamo.found("orders"), dynamo.found("copy", "destination"), options, reported.append)
    kinds = {named(difference.key): difference.kind for difference in reported}
    assert len(kinds) == len(reported) == result.differences
    assert result.balanced
    for difference in reported:
        assert Difference.from_line(difference.to_line()) == difference
        sources = [dynamo.tables["orders"].items.get(key_of(each)) for each in difference.sources]
        assert difference.kind == "extra" or (all(sources) and sources)
    return result, kinds


def key_of(key: Any) -> tuple[Any, ...]:
    ((_kind, text),) = next(iter(key.values())).items()
    return (text,)


def named(key: Any) -> str:
    return "/".join(next(iter(value.values())) for value in key.values())


def spoil(dynamo: FakeDynamo) -> dict[str, str]:
    """One value of the copy changed, an item missing, one extra."""
    items = dynamo.tables["copy"].items
    first, second, *_others = sorted(items)
    changed = json.loads(items[first])
    items[first] = to_bytes({**changed, "x": {"S": "changed"}})
    extra = json.loads(items[second])
    del items[second]
    name, kind = dynamo.tables["copy"].key[0]
    dynamo.tables["copy"].put(to_bytes({**extra, name: {kind: "77777"}}))
    shown = ["/".join(map(str, key)) for key in (first, second)]
    return {shown[0]: "different", shown[1]: "missing", "/".join(["77777", *map(str, second[1:])]): "extra"}


EACH = pytest.mark.parametrize("steps", [RENAMED, TOLD, SEVERAL])


@pytest.mark.parametrize("workers", [1, 2])
@EACH
def test_a_copy_through_the_transform_is_equal(dynamo, steps, workers):
    made = steps_of(*steps)
    tally = pair(dynamo, made, [item(number) for number in range(ITEMS)])
    result, kinds = compared(dynamo, made, workers=workers)
    assert (result.equal, kinds) == (True, {})
    assert (result.read, result.added, result.kept_out) == (ITEMS, tally.added, dict(tally.kept_out))
    assert (result.items_source, result.items_destination) == (tally.made, len(dynamo.tables["copy"].items))
    assert dynamo.calls.count("BatchGetItem") <= 2  # the probe's


@pytest.mark.parametrize("workers", [1, 2])
@EACH
def test_exactly_the_differences_are_named(dynamo, steps, workers):
    made = steps_of(*steps)
    pair(dynamo, made, [item(number) for number in range(ITEMS)])
    wanted = spoil(dynamo)
    assert compared(dynamo, made, workers=workers)[1] == wanted


@EACH
def test_forms_of_equal_items_make_no_difference(dynamo, steps):
    made = steps_of(*steps)
    pair(dynamo, made, [item(number, m={"M": {"b": {"N": "1"}, "a": {"NS": ["1", "2"]}}}) for number in range(ITEMS)])
    wanted = spoil(dynamo)
    chance = random.Random(7)
    copy = dynamo.tables["copy"]
    for key, body in list(copy.items.items()):
        copy.items[key] = to_bytes(rewritten_attributes(json.loads(body), chance))
    assert compared(dynamo, made, most_listed=300)[1] == wanted


@EACH
def test_keys_are_kept_on_disk_where_memory_does_not_hold_them(dynamo, steps, tmp_path, monkeypatch):
    made = steps_of(*steps)
    pair(dynamo, made, [item(number) for number in range(ITEMS)])
    copy = dynamo.tables["copy"]
    for key, body in list(copy.items.items()):
        copy.items[key] = to_bytes({**json.loads(body), "x": {"S": "changed"}})
    few, _ = compared(dynamo, made, most_listed=20)
    assert few.unlisted_buckets and not few.equal
    result, kinds = compared(dynamo, made, most_listed=20, work_dir=tmp_path)
    assert (result.different, result.unlisted_buckets) == (len(copy.items), 0)
    assert set(kinds.values()) == {"different"}


def test_what_is_left_out_and_refused_is_counted_by_its_step(dynamo):
    made = steps_of({"keep_if": "n > :five"}, {"cast": {"secret": "N"}}, {"drop_expired": "end"})
    items = [item(number, secret={"S": "5" if number % 2 else "odd"}, end={"N": "900000000"}) for number in range(20)]
    items += [item(number, secret={"S": "5"}) for number in range(20, 30)]
    pair(dynamo, made, items)
    result, kinds = compared(dynamo, made)
    assert (result.read, result.items_source, result.items_destination, kinds) == (30, 10, 10, {})
    assert (result.kept_out, result.refused) == ({1: 6, 3: 7}, {2: 7})


def test_what_a_step_keeps_out_and_the_destination_has_is_extra(dynamo):
    made = steps_of({"keep_if": "n > :five"})
    pair(dynamo, made, [item(number) for number in range(20)])
    dynamo.tables["copy"].put(item(3))
    _result, kinds = compared(dynamo, made)
    assert kinds == {"3": "extra"}


def test_attributes_of_replication_are_left_out_before_the_steps(dynamo):
    made = steps_of(*SEVERAL)
    pair(dynamo, made, [item(number) for number in range(20)])
    dynamo.tables["orders"].put(item(3, **{"aws:rep:updatetime": {"N": "1.5"}}))
    result, kinds = compared(dynamo, made)
    assert (kinds, result.marked_source) == ({}, 1)


@pytest.mark.parametrize("steps", [[{"rename": {"end": "until"}}], [{"rename": {"end": "until"}}, *TOLD[:1]]])
def test_expired_items_are_left_out_by_the_name_that_they_get(dynamo, steps, monkeypatch):
    made = steps_of(*steps)
    past, future = {"N": "1760000000"}, {"N": "99999999999"}
    pair(dynamo, made, [item(number, end=past if number < 10 else future) for number in range(20)])
    monkeypatch.setattr(comparing.time, "time", lambda: 1_760_000_000.0 + 86400)
    copy = dynamo.tables["copy"]
    name = "T#%d" if len(steps) > 1 else "%d"
    for number in (1, 2):
        del copy.items[name % number,]
    copy.put(to_bytes({**json.loads(copy.items[name % 3,]), "until": future}))
    assert compared(dynamo, made)[1] == {name % 1: "missing", name % 2: "missing", name % 3: "different"}
    result, kinds = compared(dynamo, made, ignore_expired="until")
    assert kinds == {name % 3: "different"}  # it was given another time: nothing extra
    assert (result.expired_source, result.expired_destination, result.items_source) == (10, 7, 10)


def test_a_difference_that_has_passed_when_it_is_read_again_is_none(dynamo):
    made = steps_of(*TOLD)
    pair(dynamo, made, [item(number) for number in range(ITEMS)])
    right = dict(dynamo.tables["copy"].items)
    spoil(dynamo)
    reads = []

    def mend(operation):
        if operation == "BatchGetItem":
            reads.append(1)
            if len(reads) == 2:
                dynamo.tables["copy"].items = right

    dynamo.before = mend
    result, kinds = compared(dynamo, made)
    assert (kinds, result.equal) == ({}, True)


def test_a_source_whose_items_change_meanwhile_makes_nothing_extra(dynamo):
    """Its new items are in other buckets, of digests; a bucket of their keys has them."""
    made = steps_of(*TOLD)
    pair(dynamo, made, [item(number) for number in range(ITEMS)])
    scans = []

    def change(operation):
        scans.append(operation)
        if operation == "BatchGetItem" and scans.count("BatchGetItem") == 1:
            dynamo.tables["orders"].put(*[item(number, x={"S": "new"}) for number in range(0, ITEMS, 3)])

    dynamo.before = change
    kinds = compared(dynamo, made)[1]
    assert set(kinds.values()) == {"different"} and len(kinds) > 100


def test_the_key_is_that_of_the_transformed_items(dynamo):
    made = steps_of(*RENAMED)
    pair(dynamo, made, [item(1)])
    options = CompareOptions(transform=made.definition, retry_policy=HASTY)
    with pytest.raises(KeySchemaDiffers, match="uid"):
        compare_tables(dynamo.found("orders"), dynamo.found("orders", "destination"), options)
    with pytest.raises(KeySchemaDiffers, match="The key of the source"):
        compare_sample(dynamo.found("copy"), dynamo.found("copy", "destination"), 5, options)


# Several items that become one


@pytest.mark.parametrize("workers", [1, 2])
def test_any_of_several_items_that_become_one_is_right(dynamo, workers):
    made = steps_of(*GROUPED)
    assert not made.keys.apart
    items = [item(number) for number in range(10, ITEMS)]
    chance = random.Random(3)
    for _ in range(3):
        chance.shuffle(items)
        pair(dynamo, made, items)
        result, kinds = compared(dynamo, made, workers=workers)
        assert (result.equal, kinds, result.items_source, result.items_destination) == (True, {}, 390, 9)


def test_a_copy_in_which_any_of_several_items_won_is_equal(dynamo):
    """Which one is chance, with workers that write at once."""
    made = steps_of(*GROUPED)
    pair(dynamo, made, [item(number) for number in range(10, ITEMS)])
    dynamo.tables["copy"].items.clear()
    there = dynamo.found("orders"), dynamo.found("copy", "destination")
    copy_items(*there, CopyOptions(transform=made.definition, workers=2, retry_policy=HASTY))
    result, kinds = compared(dynamo, made)
    assert (result.equal, kinds, result.items_destination) == (True, {}, 9)


def test_none_of_several_items_is_a_difference(dynamo):
    made = steps_of(*GROUPED)
    pair(dynamo, made, [item(number) for number in range(10, 100)])
    copy = dynamo.tables["copy"]
    copy.put(to_bytes({**json.loads(copy.items["3",]), "secret": {"S": "s40"}}))
    del copy.items["5",]
    copy.put(to_bytes({**json.loads(copy.items["6",]), "pk": {"S": "x"}}))
    _result, kinds = compared(dynamo, made)
    assert kinds == {"3": "different", "5": "missing", "x": "extra"}


def test_right_ones_among_several_take_no_place_of_differences(dynamo, tmp_path):
    made = steps_of(*GROUPED)
    pair(dynamo, made, [item(number) for number in range(10, ITEMS)])
    few = compared(dynamo, made, most_listed=20)[0]
    assert few.unlisted_buckets and not few.equal  # never equal in silence
    assert compared(dynamo, made, most_listed=20, most_differing=2, work_dir=tmp_path)[0].equal


def test_parts_of_one_item_with_one_key(dynamo):
    made = transform(
        {"python": {"function": "f.py:same", "attributes": ["n"], "several": True}},
        files={"f.py": "def same(item):\n    return [{'n': {'N': '1'}}, {'n': {'N': '2'}}]\n"},
    )
    dynamo.page_items = 40
    pair(dynamo, made, [item(number) for number in range(20)])
    assert compared(dynamo, made)[0].equal
    copy = dynamo.tables["copy"]
    copy.put(item(3, n={"N": "1"}), item(4, n={"N": "3"}))
    assert compared(dynamo, made)[1] == {"4": "different"}


# Samples


def sampled(dynamo: FakeDynamo, made: Transform, keys: int, **members: Any) -> tuple[Comparison, dict[str, str]]:
    options = CompareOptions(retry_policy=HASTY, transform=made.definition, **members)
    reported: list[Difference] = []
    there = dynamo.found("orders"), dynamo.found("copy", "destination")
    result = compare_sample(*there, keys, options, reported.append)
    assert result.balanced
    return result, {named(difference.key): difference.kind for difference in reported}


def test_a_sample_goes_both_ways_where_keys_tell_the_sources(dynamo):
    made = steps_of(*RENAMED)
    pair(dynamo, made, [item(number) for number in range(ITEMS)])
    wanted = spoil(dynamo)
    result, kinds = sampled(dynamo, made, 5000)
    assert (kinds, result.one_way) == (wanted, False)
    assert (result.items_source, result.items_destination) == (ITEMS, ITEMS)


@pytest.mark.parametrize("steps", [TOLD, SEVERAL])
def test_a_sample_says_that_it_goes_one_way(dynamo, steps):
    made = steps_of(*steps)
    pair(dynamo, made, [item(number) for number in range(ITEMS)])
    wanted = {key: kind for key, kind in spoil(dynamo).items() if kind != "extra"}
    result, kinds = sampled(dynamo, made, 5000, collisions=False)
    assert (kinds, result.one_way, result.items_destination, result.read) == (wanted, True, 0, ITEMS)


def test_a_sample_does_not_take_the_other_of_two_items_for_a_difference(dynamo):
    made = steps_of(*GROUPED)
    pair(dynamo, made, [item(number) for number in range(10, ITEMS)])
    copy = dynamo.tables["copy"]
    del copy.items["3",]
    copy.put(to_bytes({**json.loads(copy.items["2",]), "x": {"S": "neither"}}))
    result, kinds = sampled(dynamo, made, 300)
    assert (kinds, result.different, result.one_way) == ({"3": "missing"}, 0, True)
    assert result.undecided >= 1
    result, kinds = sampled(dynamo, made, 300, collisions=False)
    assert (kinds["2"], result.undecided) == ("different", 0)


# All steps


@settings(max_examples=60)
@given(
    random_steps.lists,
    random_steps.destinations,
    st.dictionaries(random_steps.keys, random_steps.others, min_size=1, max_size=8),
    st.randoms(use_true_random=False),
)
def test_any_steps_over_any_items(given_steps, destination, source, chance):
    """A copy is equal in any form; of the copy, one value changed, one item missing and one extra are named."""
    made = random_steps.compiled(given_steps, destination, Following.NOTHING)
    if made is None:
        return
    items = [to_bytes({"pk": {"S": pk}, "sk": {"N": sk}, **more}) for (pk, sk), more in source.items()]
    with serving() as dynamo:
        tally = pair(dynamo, made, items)
        copy = dynamo.tables["copy"]
        for key, body in list(copy.items.items()):
            copy.items[key] = to_bytes(rewritten_attributes(json.loads(body), chance))
        result = compared_whole(dynamo, made)
        assert not result[1]
        assert (result[0].read, result[0].items_source) == (tally.read, tally.made)
        assert (result[0].kept_out, result[0].refused) == (dict(tally.kept_out), dict(tally.refused))
        right = dict(copy.items)
        for key, body in right.items():
            copy.items = {**right, key: to_bytes({**json.loads(body), "new": {"NULL": True}})}
            assert compared_whole(dynamo, made)[1] == {key: "different"}
            copy.items = {other: each for other, each in right.items() if other != key}
            assert compared_whole(dynamo, made)[1] == {key: "missing"}
        attributes = {name: {kind: "987"} for name, kind in copy.key}
        copy.items = dict(right)
        copy.put(to_bytes(attributes))
        assert compared_whole(dynamo, made)[1] == {copy.key_of(attributes): "extra"}


def compared_whole(dynamo: FakeDynamo, made: Transform) -> tuple[Comparison, dict[Any, str]]:
    reported: list[Difference] = []
    options = CompareOptions(retry_policy=HASTY, transform=made.definition)
    result = compare_tables(dynamo.found("orders"), dynamo.found("copy"), options, reported.append)
    assert result.balanced
    return result, {dynamo.tables["copy"].key_of(each.key): each.kind for each in reported}


# Pairs of keys


@pytest.mark.parametrize(
    ("steps", "source", "destination", "key", "origin"),
    [
        ([{"drop": ["n"]}], TWO_KEYS, None, ("a", "b"), ("a", "b")),
        ([{"rename": {"pk": "sk", "sk": "pk"}}], TWO_KEYS, None, ("a", "b"), ("a", "b")),
        ([{"rename": {"pk": "uid"}}], TWO_KEYS, schema("sk:S", "uid:S"), ("a", "b"), ("b", "a")),
        ([{"set": {"pk": "T#{pk}"}}], TWO_KEYS, None, ("T#a", "b"), None),
        ([{"python": {"function": "f.py:group", "attributes": "all"}}], ONE_KEY, None, ("1",), None),
    ],
)
def test_a_key_of_the_destination_tells_the_sources(dynamo, steps, source, destination, key, origin):
    made = steps_of(*steps, source=source, destination=destination)
    name = dynamo.make("copy", [(each.name, each.type) for each in made.keys.destination.table.attributes])
    assert name and Pairing.of_export(dynamo.found("copy"), made.definition).origin(key) == origin


# Repairs


def differences_of(dynamo: FakeDynamo, made: Transform) -> list[Difference]:
    reported: list[Difference] = []
    options = CompareOptions(retry_policy=HASTY, transform=made.definition)
    compare_tables(dynamo.found("orders"), dynamo.found("copy", "destination"), options, reported.append)
    return [Difference.from_line(each.to_line()) for each in reported]


def repaired(dynamo: FakeDynamo, made: Transform, differences: list[Difference], **members: Any) -> RepairResult:
    options = RepairOptions(retry_policy=HASTY, transform=made.definition, **members)
    return repair(dynamo.found("orders"), dynamo.found("copy", "destination"), differences, options)


@EACH
def test_a_repair_writes_what_comes_of_the_source(dynamo, steps):
    made = steps_of(*steps)
    pair(dynamo, made, [item(number) for number in range(ITEMS)])
    right = dict(dynamo.tables["copy"].items)
    spoil(dynamo)
    differences = differences_of(dynamo, made)
    assert repaired(dynamo, made, differences) == RepairResult(put=2, left=1)
    assert {key: dynamo.tables["copy"].items[key] for key in right} == right
    assert repaired(dynamo, made, differences, delete_extra=True) == RepairResult(equal=2, deleted=1)
    assert dynamo.tables["copy"].items == right
    assert compared(dynamo, made)[0].equal


@EACH
def test_a_repair_goes_by_what_the_source_holds_now(dynamo, steps):
    """Another item under a key that differs, none any more, and one by now for what was extra."""
    made = steps_of(*steps)
    pair(dynamo, made, [item(number) for number in range(10, 50)])
    orders, copy = dynamo.tables["orders"], dynamo.tables["copy"]
    spoil(dynamo)
    new = made_of(made, [item(77777)])[0][-1]
    copy.items = {key: each for key, each in copy.items.items() if "77777" not in str(key)}
    copy.put(new, *made_of(made, [item(60)])[0])
    differences = differences_of(dynamo, made)
    assert {each.kind for each in differences} == {"different", "missing", "extra"}
    orders.put(item(77777, x={"S": "new"}))
    gone = {key_of(source) for each in differences if each.kind == "different" for source in each.sources}
    for key in gone:
        del orders.items[key]
    repaired(dynamo, made, differences, delete_extra=True)
    left = {each.key["uid" if steps is RENAMED else "pk"]["S"]: each.kind for each in differences_of(dynamo, made)}
    others = {"extra", "missing"} if steps is SEVERAL else set()  # of these items no difference was known
    assert set(left.values()) <= others
    assert copy.key_of(json.loads(new)) in copy.items and b'"new"' in copy.items[copy.key_of(json.loads(new))]


def test_a_repair_leaves_any_of_several_items_that_become_one(dynamo):
    made = steps_of(*GROUPED)
    pair(dynamo, made, [item(number) for number in range(10, 100)])
    copy = dynamo.tables["copy"]
    right = dict(copy.items)
    copy.put(to_bytes({**json.loads(copy.items["3",]), "secret": {"S": "neither"}}))
    del copy.items["5",]
    differences = differences_of(dynamo, made)
    copy.items["3",] = right["3",]  # mended meanwhile, by the last of several
    assert repaired(dynamo, made, differences) == RepairResult(put=1, equal=1)
    assert compared(dynamo, made)[0].equal


def test_another_item_that_became_one_meanwhile_keeps_it_from_being_deleted(dynamo):
    """Of those that the comparison named none is left."""
    made = steps_of(*GROUPED)
    pair(dynamo, made, [item(number) for number in (30, 31, 50)])
    orders, copy = dynamo.tables["orders"], dynamo.tables["copy"]
    for key in ("3", "5"):
        copy.put(to_bytes({**json.loads(copy.items[key,]), "secret": {"S": "neither"}}))
    differences = differences_of(dynamo, made)
    for number in ("30", "31", "50"):
        del orders.items[number,]
    orders.put(item(35))
    assert repaired(dynamo, made, differences) == RepairResult(left=2)
    assert repaired(dynamo, made, differences, delete_extra=True) == RepairResult(put=1, deleted=1)
    assert list(copy.items.values()) == made_of(made, [item(35)])[0]


def test_a_difference_that_does_not_name_its_source_is_refused(dynamo):
    made = steps_of(*TOLD)
    pair(dynamo, made, [item(number) for number in range(20)])
    del dynamo.tables["copy"].items["T#10",]
    nameless = [Difference(each.kind, each.key) for each in differences_of(dynamo, made)]
    with pytest.raises(InvalidInput, match="which items of the source"):
        repaired(dynamo, made, nameless)


@pytest.mark.parametrize(("steps", "wanted"), [(RENAMED, set()), (TOLD, {"orders"})])
def test_keys_that_only_a_reading_tells_are_read_strongly_consistent(dynamo, monkeypatch, steps, wanted):
    """The source only, and only where something differs."""
    consistent = set()
    scan = FakeDynamo._Scan

    def noting(self, request, *others):
        if request.get("ConsistentRead"):
            consistent.add(request["TableName"])
        return scan(self, request, *others)

    monkeypatch.setattr(FakeDynamo, "_Scan", noting)
    made = steps_of(*steps)
    pair(dynamo, made, [item(number) for number in range(20)])
    compared(dynamo, made)
    assert consistent == set()
    spoil(dynamo)
    compared(dynamo, made)
    assert consistent == wanted
