# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests are equal exactly when items are, and sums of them when tables are."""

from __future__ import annotations

import json
import pickle
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import MissingLibrary, ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import digest as digest_module
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.digest import (
    BucketSums,
    Digests,
    canonical_item,
    is_expired,
    sorted_item,
)
from tests.unit.core.items.strategies import (
    attribute_values,
    attributes,
    number_value,
    rewritten_attributes,
    to_bytes,
)

BUILT_IN = [Digests("blake2b"), Digests("sha256")]
ALL = [*BUILT_IN, *([Digests("xxh3")] if digest_module.xxh3_128_intdigest is not None else [])]


def canonical_digests(*items: Any) -> list[list[int]]:
    """The digests of the canonical forms of ``items``, by every function."""
    return [
        digests.of("canonical", [item if isinstance(item, bytes) else to_bytes(item) for item in items])
        for digests in ALL
    ]


def equal_digests(one: Any, other: Any) -> bool:
    """Whether all functions give both items one digest; fails where they do not agree."""
    verdicts = {digests[0] == digests[1] for digests in canonical_digests(one, other)}
    assert len(verdicts) == 1
    return verdicts.pop()


def meaning(value: Any) -> Any:
    """An attribute value as what it means, written independently of the product: equal exactly when DynamoDB's are."""
    ((kind, content),) = value.items()
    if kind == "N":
        return kind, number_value(content)
    if kind == "NS":
        return kind, frozenset(map(number_value, content))
    if kind in ("SS", "BS"):
        return kind, frozenset(content)
    if kind == "L":
        return kind, tuple(map(meaning, content))
    if kind == "M":
        return kind, frozenset((name, meaning(each)) for name, each in content.items())
    return kind, content


@settings(max_examples=50)
@given(attributes, st.randoms(use_true_random=False), st.booleans())
def test_an_item_has_one_form_for_all_its_forms(item, chance, ascii_only):
    other = to_bytes(rewritten_attributes(item, chance), ascii_only)
    assert canonical_item(other) == canonical_item(to_bytes(item))
    assert equal_digests(other, item)
    assert canonical_item(canonical_item(other)) == canonical_item(other)


@settings(max_examples=50)
@given(attribute_values, attribute_values)
def test_values_are_equal_exactly_when_their_digests_are(one, other):
    assert equal_digests({"value": one}, {"value": other}) == (meaning(one) == meaning(other))


@settings(max_examples=50)
@given(attributes, attributes)
def test_items_are_equal_exactly_when_their_digests_are(one, other):
    same = {name: meaning(value) for name, value in one.items()} == {
        name: meaning(value) for name, value in other.items()
    }
    assert equal_digests(one, other) == same


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ({"S": "5"}, {"N": "5"}),
        ({"S": ""}, {"NULL": True}),
        ({"S": "QQ=="}, {"B": "QQ=="}),
        ({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]}),
        ({"SS": ["a"]}, {"S": "a"}),
        ({"L": []}, {"M": {}}),
        ({"N": "1"}, {"N": "1.0000000000000000000000000000000000001"}),
        ({"M": {"S": {"S": "1"}}}, {"M": {"N": {"S": "1"}}}),
        ({"BOOL": True}, {"BOOL": False}),
        ({"S": "é"}, {"S": "e\u0301"}),
    ],
)
def test_what_looks_alike_is_told_apart(one, other):
    assert not equal_digests({"v": one}, {"v": other})


@pytest.mark.parametrize("item", [b"", b"[]", b'{"id":"1"}', b'{"id":{"M":{"x":1}}}', b'{"id":{"L":5}}', b"{"])
def test_what_is_no_item_has_no_digest(item):
    with pytest.raises(ServiceError):
        canonical_item(item)


@pytest.mark.parametrize("item", [b"", b"[]", b"{", b'{"id":{"M":{"x":1}}}', b'{"id":{"L":[{"X":"1"}]}}'])
def test_what_is_no_item_cannot_be_sorted(item):
    with pytest.raises(ServiceError):
        sorted_item(item)


def reordered(value: Any) -> Any:
    """A value with all its maps the other way round."""
    if isinstance(value, dict):
        return {name: reordered(member) for name, member in reversed(value.items())}
    return [reordered(member) for member in value] if isinstance(value, list) else value


@settings(max_examples=100)
@given(attributes)
def test_sorted_items_keep_their_meaning_and_do_not_depend_on_the_order_of_attributes(item):
    made = sorted_item(to_bytes(item))
    assert canonical_item(made) == canonical_item(to_bytes(item))
    assert sorted_item(made) == made
    assert sorted_item(to_bytes(reordered(item))) == made


@settings(max_examples=100)
@given(attributes, attributes, st.randoms(use_true_random=False))
def test_items_whose_sorted_forms_are_equal_are_equal(one, other, chance):
    for theirs in (other, rewritten_attributes(one, chance)):
        if sorted_item(to_bytes(one)) == sorted_item(to_bytes(theirs)):
            assert canonical_item(to_bytes(one)) == canonical_item(to_bytes(theirs))


@given(
    st.lists(st.binary(max_size=4), max_size=30),
    st.lists(st.binary(max_size=4), max_size=3),
    st.integers(0, 4),
    st.sampled_from(ALL),
    st.data(),
)
def test_sums_are_equal_exactly_when_the_same_items_are(items, others, power, digests, data):
    """Whatever bytes items are: short ones, so that some come twice."""
    buckets = 1 << power
    one, other = BucketSums(buckets), BucketSums(buckets)
    destination = data.draw(st.permutations(items)) + others
    cut = data.draw(st.integers(0, len(items)))
    one.add(digests.raw(items[:cut]))
    other.add(digests.raw(items[cut:]))
    other.subtract(digests.raw(destination))
    one.merge(other.sums)
    assert bool(one.differing()) == bool(others)
    assert len(one.differing()) <= len(others)


def test_comparisons_take_the_fastest_digest_that_is_installed_unless_sha256_is_asked_for(monkeypatch):
    monkeypatch.setattr(digest_module, "xxh3_128_intdigest", lambda item, seed: len(item) + seed)
    assert [Digests.chosen(choice).function for choice in ("auto", "sha256")] == ["xxh3", "sha256"]
    monkeypatch.setattr(digest_module, "xxh3_128_intdigest", None)
    assert [Digests.chosen(choice).function for choice in ("auto", "sha256")] == ["blake2b", "sha256"]


def test_a_worker_takes_the_digest_of_its_comparison_or_says_that_it_cannot(monkeypatch):
    """Digests of two functions are never compared: every item would differ."""
    monkeypatch.setattr(digest_module, "xxh3_128_intdigest", None)
    with pytest.raises(MissingLibrary, match="xxhash"):
        Digests("xxh3").raw([b"item"])


@pytest.mark.parametrize("digests", ALL, ids=lambda digests: digests.function)
def test_digests_have_128_bits_and_are_the_same_in_every_process(digests):
    items = [str(number).encode() for number in range(2000)]
    made = digests.raw(items)
    assert pickle.loads(pickle.dumps(digests)).raw(items) == made
    assert len(set(made)) == len(items)
    assert max(made).bit_length() in range(110, 129)


def test_nobody_can_know_digests_before_the_comparison():
    assert Digests("sha256").raw([b"item"]) != Digests("sha256").raw([b"item"])
    assert "secret" not in repr(Digests("sha256"))


def test_a_difference_shows_in_the_buckets_of_its_items():
    chance = random.Random(1)
    digests = [chance.getrandbits(128) for _ in range(1000)]
    sums = BucketSums(256)
    sums.add(digests)
    sums.subtract(digests[1:])
    assert sums.differing() == [digests[0] & 255]


@pytest.mark.parametrize(
    ("number", "expired"),
    [
        ("999", True),
        ("1000", False),
        ("1001", False),
        ("", False),
        ("-200000000", False),
        (str(1000 - 6 * 365 * 86400), False),
        ("9.99e2", True),
        ("word", False),
    ],
)
def test_an_item_expires_when_its_time_has_passed_within_five_years(number, expired):
    assert is_expired(number, 1000.0) is expired


def test_the_strategies_make_every_type():
    assert json.loads(to_bytes({"é": {"S": "\u2028"}}, True)) == json.loads(to_bytes({"é": {"S": "\u2028"}}))
