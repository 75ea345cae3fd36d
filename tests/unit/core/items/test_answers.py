# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys and numbers taken out of bytes."""

from __future__ import annotations

import json
import random
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import (
    KeyAttribute,
    KeyReader,
    canonical_number,
)
from tests.unit.core.items.strategies import attributes, number_value, numbers, rewritten_number, to_bytes

ID = KeyAttribute("id", "S")


@given(numbers, numbers, st.randoms(use_true_random=False))
def test_a_number_has_one_form_for_all_its_texts(one, other, chance):
    canonical = canonical_number(one)
    assert number_value(canonical) == number_value(one)
    assert canonical_number(rewritten_number(one, chance)) == canonical
    assert canonical_number(canonical) == canonical
    assert (canonical == canonical_number(other)) == (number_value(one) == number_value(other))


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("1e3", "1000"),
        ("1000", "1000"),
        ("1E+3", "1000"),
        ("-0", "0"),
        ("0.0", "0"),
        ("007", "7"),
        ("+5", "5"),
        ("-1.50", "-1.5"),
        (".5", "0.5"),
        ("12345678901234567890123456789012345678", "12345678901234567890123456789012345678"),
        ("1e999999999", "1e999999999"),
        ("five", "five"),
        ("", ""),
    ],
)
def test_forms_of_numbers(text, form):
    assert canonical_number(text) == form


@settings(max_examples=40)
@given(attributes, st.text(min_size=1, max_size=5), numbers, st.booleans())
def test_a_key_is_found_whatever_else_an_item_holds(others, name, number, ascii_only):
    reader = KeyReader([ID, KeyAttribute("at", "N")])
    item = to_bytes({**others, "at": {"N": number}, "id": {"S": name}}, ascii_only)
    key = reader.of(item)
    assert key == (name, canonical_number(number))
    assert reader.of_page(b'{"Items":[%s,%s]}' % (item, item)) == [key, key]
    assert reader.from_json(reader.to_json(key)) == key
    assert json.loads(reader.to_wire(key)) == reader.to_json(key)


@pytest.mark.parametrize("kinds", [("S",), ("N",), ("B",), ("S", "S"), ("S", "N"), ("N", "S"), ("N", "N"), ("N", "B")])
def test_numbers_in_any_place_of_a_key_are_compared_by_value(kinds):
    names = ["one", "two"][: len(kinds)]
    reader = KeyReader([KeyAttribute(name, kind) for name, kind in zip(names, kinds, strict=True)])

    def item(number: str) -> bytes:
        return to_bytes(
            {name: {kind: number if kind == "N" else "QQ=="} for name, kind in zip(names, kinds, strict=True)}
        )

    assert reader.of(item("1e3")) == reader.of(item("1000"))
    assert (reader.of(item("1")) == reader.of(item("2"))) == ("N" not in kinds)


@pytest.mark.parametrize("item", [b'{"other":{"S":"1"}}', b'{"id":{"N":"1"}}', b'{"id":"1"}', b"[]", b"nothing"])
def test_an_item_without_its_key_is_no_answer_of_dynamodb(item):
    with pytest.raises(ServiceError):
        KeyReader([ID]).of(item)


def test_the_number_of_an_attribute_is_given_where_it_is_one():
    items = [{"id": {"S": "1"}, "end": {"N": "5"}}, {"id": {"S": "2"}}, {"id": {"S": "3"}, "end": {"S": "5"}}]
    page = to_bytes({"Items": items})
    assert KeyReader([ID], "end").numbers_of_page(page) == ["5", "", ""]
    assert KeyReader([ID, KeyAttribute("end", "N")], "end").numbers_of_page(to_bytes({"Items": items[:1]})) == ["5"]


def test_without_msgspec_everything_can_be_imported_and_the_error_says_what_to_install():
    code = """
import sys
sys.modules["msgspec"] = None
from importlib import import_module
base = "ansible_collections.tableferry.aws.plugins.module_utils.core"
names = "answers client lanes scan write copying comparing repairing differences digest lookup readings workers"
for name in names.split():
    import_module(f"{base}.items.{name}")
errors = import_module(f"{base}.errors")
try:
    import_module(f"{base}.items.answers").require_msgspec()
except errors.MissingLibrary as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout
    assert "pip install msgspec" in told


def test_rewriting_in_these_tests_does_rewrite():
    forms = {rewritten_number("1000", random.Random(seed)) for seed in range(50)}
    assert len(forms) > 1


def test_keys_and_numbers_of_items_from_several_answers():
    """Halves of surrogate pairs too, which msgspec refuses."""
    items = [
        rb'{"id":{"S":"a"},"end":{"N":"5"}}',
        rb'{"id":{"S":"\ud83d"},"end":{"S":"5"},"other":{"S":"\ud83d"}}',
        rb'{"id":{"S":"b"}}',
    ]
    reader = KeyReader([ID], "end")
    assert reader.of_items(items) == [reader.of(each) for each in items] == [("a",), ("\ud83d",), ("b",)]
    assert reader.numbers_of_items(items) == ["5", "", ""]
    assert KeyReader([KeyAttribute("end", "N")], "end").numbers_of_items(items[:1]) == ["5"]
    with pytest.raises(ServiceError):
        reader.of_items([b'{"other":{"S":"a"}}'])
