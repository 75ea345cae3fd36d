# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attribute values: numbers as AWS compares them, sets, sizes, and keys whose bytes order as their values do."""

from __future__ import annotations

import base64
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.dynamodb import values
from lab.dynamodb.expressions import Placeholders
from lab.errors import AwsError

numbers = st.builds(
    lambda sign, digits, exponent: f"{sign}{digits}E{exponent}",
    st.sampled_from(["", "-"]),
    st.integers(0, 10**38 - 1),
    st.integers(-130, 87),
)
texts = st.text(st.characters(codec="utf-8"), max_size=12)
binaries = st.binary(max_size=12).map(lambda raw: base64.b64encode(raw).decode())


def refusal(value: object) -> str:
    with pytest.raises(AwsError) as caught:
        values.canonical_value(value)
    return f"{caught.value.code}: {caught.value.message}"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [("1e3", "1000"), ("1000.0", "1000"), ("+007", "7"), ("-0", "0"), ("0e9", "0"), (".50", "0.5"), ("5.", "5"),
     ("1E-130", "0." + "0" * 129 + "1"), ("1E+125", "1" + "0" * 125), ("-12.340", "-12.34")],
)  # fmt: skip
def test_numbers_are_normalized(sent: str, kept: str) -> None:
    assert values.canonical_number(sent) == kept
    assert values.encode_key({"N": values.canonical_number(sent)}) == values.encode_key({"N": kept})


@given(numbers)
def test_normalizing_keeps_the_value_and_is_final(text: str) -> None:
    kept = values.canonical_number(text)
    assert Decimal(kept) == Decimal(text)
    assert values.canonical_number(kept) == kept
    assert "E" not in kept and kept != "-0"


@pytest.mark.parametrize(
    ("number", "words"),
    [("1" * 39, "more than 38"), ("1e126", "overflow"), ("1e999999999999999999999", "overflow"),
     ("1e-131", "underflow"), ("1e-999999999999999999999", "underflow"), ("NaN", "numeric value"),
     ("", "numeric value"), ("1_0", "numeric value"), ("\u0661", "numeric value")],
)  # fmt: skip
def test_number_limits(number: str, words: str) -> None:
    assert words in refusal({"N": number})
    assert values.canonical_number("1" * 38 + "0" * 50) == "1" * 38 + "0" * 50


@given(st.lists(numbers.map(values.canonical_number), max_size=30))
def test_encoded_numbers_order_as_numbers(some: list[str]) -> None:
    by_bytes = sorted(some, key=lambda number: values.encode_key({"N": number}))
    assert [Decimal(each) for each in by_bytes] == sorted(map(Decimal, some))


@given(st.lists(texts, max_size=20), texts)
def test_encoded_strings_order_as_utf8_and_prefixes_hold(some: list[str], start: str) -> None:
    by_bytes = sorted(some, key=lambda text: values.encode_key({"S": text}))
    assert by_bytes == sorted(some, key=str.encode)
    prefix = values.key_prefix({"S": start})
    # A zero byte at the seam is written as two, so a prefix's encoding starts exactly its continuations.
    assert all(values.encode_key({"S": each}).startswith(prefix) == each.startswith(start) for each in [*some, start])


@given(binaries, binaries, binaries, binaries)
def test_joined_keys_stay_distinct_and_ordered(a: str, b: str, c: str, d: str) -> None:
    def joined(one: str, two: str) -> bytes:
        return values.encode_key({"B": one}) + values.encode_key({"B": two})

    raw = [tuple(map(base64.b64decode, pair)) for pair in ((a, b), (c, d))]
    assert (joined(a, b) < joined(c, d)) == (raw[0] < raw[1])


def test_sets_hold_a_member_once() -> None:
    assert "contains duplicates" in refusal({"NS": ["5", "5.0"]})
    assert "contains duplicates" in refusal({"SS": ["a", "a"]})
    assert "may not be empty" in refusal({"SS": []})
    assert "should not be empty" in refusal({"BS": []})
    assert values.canonical_value({"NS": ["2", "1e3"]})[0] == {"NS": ["2", "1000"]}


def test_nesting_depth() -> None:
    def nested(depth: int) -> dict[str, object]:
        value: dict[str, object] = {"S": "x"}
        for _ in range(depth):
            value = {"L": [value]}
        return value

    assert values.canonical_value(nested(32))[0] == nested(32)
    assert "Nesting Levels" in refusal(nested(33))


def test_null_is_true() -> None:
    assert values.canonical_value({"NULL": False})[0] == {"NULL": True}
    assert values.canonical_item({"m": {"M": {"a": {"NULL": False}}}})[0] == {"m": {"M": {"a": {"NULL": True}}}}


def test_one_type_per_value() -> None:
    assert "is empty" in refusal({})
    assert "is empty" in refusal({"X": "1"})
    assert "more than one" in refusal({"S": "1", "N": "1"})
    assert refusal({"NULL": "no"}).startswith("SerializationException")
    assert refusal({"S": 1}).startswith("SerializationException")
    assert refusal({"B": "abc"}).startswith("SerializationException")
    assert refusal({"S": "\ud800"}).startswith("SerializationException")


def test_attribute_name_not_empty() -> None:
    assert "Attribute name" in refusal({"M": {"": {"S": "x"}}})


def test_empty_values_outside_keys() -> None:
    item = {"s": {"S": ""}, "b": {"B": ""}, "l": {"L": []}, "m": {"M": {}}}
    assert values.canonical_item(item) == (item, 4 + 3 + 3)


@pytest.mark.parametrize(
    ("value", "size"),
    [({"S": "äb"}, 3), ({"B": "AAE="}, 2), ({"B": "AA=="}, 1), ({"B": "AAEC"}, 3), ({"N": "0"}, 1), ({"N": "7"}, 2),
     ({"N": "-123.45"}, 5), ({"N": "1000"}, 2), ({"BOOL": True}, 1), ({"NULL": True}, 1), ({"SS": ["a", "bc"]}, 3),
     ({"L": [{"S": "a"}, {"N": "12"}]}, 3 + 2 + 1 + 2), ({"M": {"ab": {"S": "c"}}}, 3 + 1 + 2 + 1)],
)  # fmt: skip
def test_sizes_are_counted_as_aws_counts(value: values.AttributeValue, size: int) -> None:
    assert values.canonical_value(value)[1] == size


def test_equality_ignores_the_order_of_sets_only() -> None:
    assert values.equal({"L": [{"SS": ["a", "b"]}]}, {"L": [{"SS": ["b", "a"]}]})
    assert not values.equal({"L": [{"S": "a"}, {"S": "b"}]}, {"L": [{"S": "b"}, {"S": "a"}]})
    assert not values.equal({"S": "1"}, {"N": "1"})
    assert values.equal({"M": {"a": {"N": "1"}, "b": {"B": ""}}}, {"M": {"b": {"B": ""}, "a": {"N": "1"}}})


def test_attribute_name_length() -> None:
    longest = "é" * 32767 + "x"
    assert values.canonical_item({longest: {"NULL": True}})[1] == 65536
    for held in ({f"{longest}y": {"NULL": True}}, {"m": {"M": {f"{longest}y": {"NULL": True}}}}):
        with pytest.raises(AwsError, match="Attribute name is too large"):
            values.canonical_item(held)
    with pytest.raises(AwsError, match="Attribute name is too large"):
        Placeholders({"#long": f"{longest}y"})
