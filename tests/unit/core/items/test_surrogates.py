# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items with halves of surrogate pairs, which DynamoDB Local and dynalite store: their bytes are copied as they are."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ItemRefused, ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import surrogates
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import (
    KeyAttribute,
    KeyReader,
    Raw,
    decode,
    joined,
    msgspec,
    split,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.carried import CARRIED
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.comparing import compare_sample, compare_tables
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import CompareOptions, Difference
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.digest import canonical_item, sorted_item
from tests.unit.core.items.fake_dynamo import HASTY

ODD = [
    rb'{"id":{"S":"1"},"v":{"S":"\ud800"}}',
    rb'{"v":{"S":"a"},"id":{"S":"\uD800x"}}',
    rb'{"id":{"S":"\uDc00\ud800"},"v":{"L":[{"S":"\\ud800\ud83d\ude00\ue800"}]}}',
    b'{"id":{"S":"\xee\xa0\x80"},"\\udfff":{"S":"\xef\xbf\xbd"}, "aws:rep:x":{"N":"1"}}',
    b'{"id":{"S":"plain"},"v":{"N":"1"}}',
]
PIECES = st.sampled_from(
    [
        "\\ud800",
        "\\uDBff",
        "\\udc00",
        "\\uE800",
        "\\uf8ff",
        "\\ue0ff",
        "\\\\ud800",
        "\\n",
        '\\"',
        "\ue800",
        "é",
        "u",
        "x",
    ]
)
TEXTS = st.lists(PIECES, max_size=8).map(lambda pieces: f'"{"".join(pieces)}"'.encode())


@given(st.lists(TEXTS, max_size=5))
def test_g10_parts_of_an_answer_are_slices_of_it_whatever_surrogates_it_has(texts):
    body = b"[%s]" % b",".join(texts)
    assert [bytes(part) for part in split(body, list[Raw])] == texts
    assert split(body, list[str]) == json.loads(body)


@given(TEXTS, TEXTS)
def test_g10_what_was_taken_apart_is_joined_again(name, value):
    attributes = split(b'{%s:{"S":%s}}' % (name, value), dict[str, Raw])
    assert json.loads(joined(attributes)) == {json.loads(name): {"S": json.loads(value)}}


def test_nothing_takes_the_place_of_surrogates_where_all_other_characters_are_there():
    assert surrogates.hidden(rb'"\ud800\ue800\uf900\uca00\uba00\uaa00"') is None
    assert surrogates.hidden(rb'"\ud800\ue800\uf900\uca00\uba00"') is not None
    assert surrogates.hidden(rb'"\\ud800"') is None
    for broken in (rb'["\ud800"', rb'["\ud80"]'):
        with pytest.raises(ServiceError, match="cannot be read"):
            decode(broken, list[str], "Scan", "orders")


@pytest.mark.parametrize("item", ODD)
def test_g10_keys_and_forms_of_items_with_surrogates(item):
    keys = KeyReader([KeyAttribute("id", "S")], number="n")
    key = keys.of(item)
    assert key == (json.loads(item)["id"]["S"],)
    assert keys.of(keys.to_wire(key)) == keys.from_json(keys.to_json(key)) == key
    assert keys.of_page(b'{"Items":[%s]}' % item) == [key]
    assert keys.numbers_of_page(b'{"Items":[%s]}' % item) == [""]
    members = dict(reversed(json.loads(item).items()))
    for form in (canonical_item, sorted_item):
        assert form(item) == form(json.dumps(members, separators=(",", ":")).encode())
    assert json.loads(bytes(CARRIED.of_item(item))) == {name: v for name, v in members.items() if name[:4] != "aws:"}
    difference = Difference("extra", keys.to_json(key))
    assert Difference.from_line(difference.to_line()) == difference
    difference.to_line().encode()


@pytest.mark.parametrize("workers", [1, 2])
def test_g10_their_bytes_are_copied_and_compared(dynamo, workers):
    dynamo.page_items = 2
    dynamo.make("orders").put(*ODD)
    dynamo.make("copy")
    source, destination = dynamo.found("orders"), dynamo.found("copy", "destination")
    dynamo.plan("unprocessed", "BatchWriteItem", count=1, times=2)
    assert copy_items(source, destination, CopyOptions(workers=workers, retry_policy=HASTY)).counts.items == len(ODD)
    wanted = dict(dynamo.tables["orders"].items)
    marked = next(key for key, item in wanted.items() if b"aws:rep" in item)
    assert json.loads(dynamo.tables["copy"].items.pop(marked)) == {"id": {"S": "\ue800"}, "\udfff": {"S": "\ufffd"}}
    del wanted[marked]
    assert dynamo.tables["copy"].items == wanted
    dynamo.tables["copy"].put(rb'{"id":{"S":"\ud800x"},"v":{"S":"\ud801"}}')
    options = CompareOptions(workers=workers, retry_policy=HASTY)
    for compare in (
        lambda note: compare_tables(source, destination, options, note),
        lambda note: compare_sample(source, destination, 100, options, note),
    ):
        differences = []
        compare(differences.append)
        assert {each.kind: each.key["id"]["S"] for each in differences} == {"missing": "\ue800", "different": "\ud800x"}


def test_g10_one_that_the_destination_refuses_is_named_and_the_others_are_copied(dynamo):
    big = rb'{"id":{"S":"\ud800"},"v":{"S":"%s"}}' % (b"x" * 500_000)
    dynamo.make("orders").put(*ODD, big)
    dynamo.make("copy")
    source, destination = dynamo.found("orders"), dynamo.found("copy", "destination")
    with pytest.raises(ItemRefused) as caught:
        copy_items(source, destination, CopyOptions(retry_policy=HASTY))
    assert [each["key"] for each in caught.value.details["items"]] == [{"id": {"S": "\ud800"}}]
    assert len(dynamo.tables["copy"].items) == len(ODD)


def test_msgspec_still_refuses_them():
    """Without this the way round it can go."""
    with pytest.raises(msgspec.MsgspecError):
        msgspec.json.decode(rb'"\ud800"', type=str)
