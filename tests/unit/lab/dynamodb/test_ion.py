# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Ion text as DynamoDB writes it, and back."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.dynamodb import ion
from lab.dynamodb.values import canonical_item, canonical_number

numbers = st.decimals(allow_nan=False, allow_infinity=False, min_value=-(10**20), max_value=10**20, places=6)
texts = st.text(st.characters(codec="utf-8"), max_size=10)
blobs = st.binary(max_size=8).map(lambda raw: base64.b64encode(raw).decode())
scalars: Any = st.one_of(
    st.fixed_dictionaries({"S": texts}),
    st.fixed_dictionaries({"N": numbers.map(str).map(canonical_number)}),
    st.fixed_dictionaries({"B": blobs}),
    st.fixed_dictionaries({"BOOL": st.booleans()}),
    st.just({"NULL": True}),
    st.fixed_dictionaries({"SS": st.lists(texts, min_size=1, max_size=3, unique=True)}),
    st.fixed_dictionaries({"BS": st.lists(blobs, min_size=1, max_size=3, unique=True)}),
)
names = st.text(st.characters(codec="utf-8"), min_size=1, max_size=8)
attribute_values: Any = st.recursive(
    scalars,
    lambda inner: st.one_of(
        st.fixed_dictionaries({"L": st.lists(inner, max_size=3)}),
        st.fixed_dictionaries({"M": st.dictionaries(names, inner, max_size=3)}),
    ),
    max_leaves=8,
)


def test_a_line_is_written_as_aws_documents_it() -> None:
    item = {
        "Authors": {"SS": ["A", "B"]}, "Id": {"N": "103"}, "Price": {"N": "2000"}, "Bin": {"B": "AAE="},
        "Half": {"N": "-0.5"}, "odd name": {"NULL": True}, "null": {"NS": ["1", "2"]},
    }  # fmt: skip
    assert ion.record({"Item": ion.struct(item)}).decode() == (
        '$ion_1_0 {Item:{Authors:$dynamodb_SS::["A","B"],Id:103.,Price:2d3,Bin:{{AAE=}},Half:-0.5,'
        "'odd name':null,'null':$dynamodb_NS::[1.,2.]}}\n"
    )


@given(st.dictionaries(names, attribute_values, max_size=4))
def test_what_was_written_is_read(item: dict[str, Any]) -> None:
    line = ion.record({"Item": ion.struct(item)}).decode()
    assert line.count("\n") == 1
    assert canonical_item(ion.read(line)["Item"]["M"])[0] == item


@pytest.mark.parametrize(
    "line", ["", "{", "{Item:}", "[1]", "{Item:{a:1}} more", "{a:$dynamodb_SS::[1]}", "{a:2020-01-01}"]
)
def test_other_text_is_refused(line: str) -> None:
    with pytest.raises(ion.IonFlaw):
        ion.read(line)
