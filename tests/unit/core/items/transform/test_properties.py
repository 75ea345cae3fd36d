# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What holds for items of all types, whatever is in them."""

from __future__ import annotations

import json

from hypothesis import assume, given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.digest import canonical_item
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.sizes import item_size
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.values import check
from lab.dynamodb import values as lab_values
from tests.unit.core.items.strategies import attributes, number_value, numbers, to_bytes
from tests.unit.core.items.transform.building import outcome, transform

keyed = attributes.map(lambda item: {"pk": {"S": "k"}, **{name: value for name, value in item.items() if name != "pk"}})
FILES = {"f.py": "def f(item):\n    return item\n"}


@settings(max_examples=100)
@given(keyed, st.booleans())
def test_no_steps_are_the_identity_byte_for_byte(item, ascii_only):
    raw = to_bytes(item, ascii_only)
    tally = Tally()
    (same,) = transform().of_item(raw, tally)
    assert same is raw and tally.balanced


@settings(max_examples=100)
@given(keyed, st.booleans())
def test_steps_that_find_nothing_to_do_leave_the_same_bytes(item, ascii_only):
    assume(not {"x", "y"} & item.keys())
    raw = to_bytes(item, ascii_only)
    steps = {"drop": ["x", "y.z"]}, {"rename": {"x": "y"}}, {"cast": {"x": "N"}}, {"hash": ["x"]}, {"set": {"y": "{x}"}}
    (same,) = transform(*steps).of_item(raw, Tally())
    assert json.loads(same) == item
    assert same == raw or ascii_only  # names are written as text, values stay as they are


@settings(max_examples=100)
@given(keyed, st.data())
def test_rename_there_and_back(item, data):
    old = data.draw(st.sampled_from(sorted(item)))
    assume("new" not in item)
    there, back = {"rename": {"#old": "new"}}, {"rename": {"new": "#old"}}
    (same,) = transform(there, back, names={"#old": old}).of_item(to_bytes(item), Tally())
    assert json.loads(same) == item
    raw = to_bytes({**{name: item[name] for name in item if name != old}, old: item[old]})
    assert same == raw  # the one that was moved stands last


@settings(max_examples=100)
@given(keyed)
def test_a_function_that_changes_nothing_changes_nothing(item):
    for named in ("all", ["a", "b"]):
        step = {"python": {"function": "f.py:f", "attributes": named}}
        (same,) = transform(step, files=FILES).of_item(to_bytes(item), Tally())
        assert canonical_item(same) == canonical_item(to_bytes(item))


@settings(max_examples=200)
@given(numbers)
def test_cast_to_text_and_back_keeps_each_digit(number):
    item = {"pk": {"S": "k"}, "a": {"N": number}}
    items, failures, _ = outcome(transform({"cast": {"a": "S"}}, {"cast": {"a": "N"}}), item)
    assert not failures and number_value(items[0]["a"]["N"]) == number_value(number)
    assert canonical_item(to_bytes(items[0])) == canonical_item(to_bytes(item))


@settings(max_examples=100)
@given(st.integers(-(10**10), 2 * 10**11), st.integers(0, 10**12))
def test_times_there_and_back_keep_each_digit(seconds, fraction):
    number = f"{seconds}.{fraction:012}".rstrip("0").rstrip(".")
    item = {"pk": {"S": "k"}, "a": {"N": number}, "b": {"N": number}}
    there = {"cast": {"a": "iso8601", "b": "iso8601_from_millis"}}
    back = {"cast": {"a": "epoch_seconds", "b": "epoch_millis"}}
    items, failures, _ = outcome(transform(there, back), item)
    assert not failures
    assert number_value(items[0]["a"]["N"]) == number_value(items[0]["b"]["N"]) == number_value(number)


@settings(max_examples=100)
@given(keyed)
def test_hashes_are_stable_and_of_equal_values_equal(item):
    names = {f"#{at}": name for at, name in enumerate(item)}
    made = transform({"hash": list(names)}, names=names)
    first, again = (outcome(made, item) for _ in range(2))
    assert first[:2] == again[:2]
    refused = any({"L", "M", "BOOL"} & value.keys() for value in item.values())
    assert bool(first[1]) is refused
    text = {"pk": {"S": "k"}, **{name: {"N": "1.0"} for name in item if name != "pk"}}
    other = {"pk": {"S": "k"}, **{name: {"N": "10e-1"} for name in item if name != "pk"}}
    assert outcome(made, text)[0] == outcome(made, other)[0]


@settings(max_examples=150)
@given(keyed)
def test_what_dynamodb_takes_is_taken_and_counted_as_it_counts(item):
    check(item.values())
    assert item_size(item) == lab_values.canonical_item(json.loads(json.dumps(item)))[1]
    assert item_size(item) <= len(to_bytes(item))
