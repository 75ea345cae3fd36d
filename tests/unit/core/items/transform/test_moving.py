# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps that leave out or move: drop, keep, rename, keep_if, drop_expired."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from tests.unit.core.items.transform.building import INDEXED, made, outcome, reason, transform

META = {"M": {"trace": {"S": "t"}, "country": {"S": "DE"}, "tags": {"L": [{"S": "a"}, {"S": "b"}, {"S": "c"}]}}}


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        (["a"], {"b": {"N": "1"}, "meta": META}),
        ("a", {"b": {"N": "1"}, "meta": META}),
        (["a", "b", "meta", "nothing"], {}),
        (["#odd"], {"a": {"S": "x"}, "b": {"N": "1"}, "meta": META}),
        (["a", "b", "meta.trace", "meta.tags"], {"meta": {"M": {"country": {"S": "DE"}}}}),
        (["a", "b", "meta.trace", "meta.country", "meta.tags[0]", "meta.tags[2]", "meta.tags[9]", "a.b", "a[0]"],
         {"meta": {"M": {"tags": {"L": [{"S": "b"}]}}}}),
        (["a", "b", "meta.trace", "meta.country", "meta.tags[1]", "meta.tags"], {"meta": {"M": {}}}),
    ],
)  # fmt: skip
def test_drop(paths, left):
    names = {"#odd": "meta.trace"} if "#odd" in paths else {}
    assert made({"a": {"S": "x"}, "b": {"N": "1"}, "meta": META}, {"drop": paths}, names=names) == left


@pytest.mark.parametrize(
    ("paths", "left"),
    [
        (["a"], {"a": {"S": "x"}}),
        (["nothing"], {}),
        (["meta.country", "a.b"], {"meta": {"M": {"country": {"S": "DE"}}}}),
        (["meta.country", "meta"], {"meta": META}),
        (["meta.tags[2]", "meta.tags[0]"], {"meta": {"M": {"tags": {"L": [{"S": "a"}, {"S": "c"}]}}}}),
        (["meta.nothing", "meta.tags[7]", "a[0]"], {}),
    ],
)
def test_keep(paths, left):
    assert made({"a": {"S": "x"}, "b": {"N": "1"}, "meta": META}, {"keep": paths}) == left


def test_keep_keeps_the_key_under_its_name_of_that_moment():
    steps = transform({"rename": {"pk": "id"}}, {"keep": ["a"]}, {"rename": {"id": "pk"}})
    assert outcome(steps, {"pk": {"S": "k"}, "a": {"S": "x"}, "b": {"S": "y"}})[0] == [
        {"a": {"S": "x"}, "pk": {"S": "k"}}
    ]


def test_keep_that_does_not_name_an_indexs_key_leaves_the_index_out():
    keys = transform({"keep": ["mail"]}, source=INDEXED).keys
    assert set(keys.destination.indexes) == {"by-mail"}
    assert keys.lost == {
        "by-day": "a step drops its key attribute day",
        "local": "a step drops its key attribute rank",
    }


def test_rename_moves_values_as_they_are_out_of_maps_and_lists_too():
    item = {"a": {"NS": ["1.0", "2e1"]}, "meta": META}
    renames = {"a": "numbers", "meta.country": "country", "meta.tags[2]": "last", "meta.tags[0]": "first", "no.x": "no"}
    assert made(item, {"rename": renames}) == {
        "numbers": {"NS": ["1.0", "2e1"]},
        "country": {"S": "DE"},
        "last": {"S": "c"},
        "first": {"S": "a"},
        "meta": {"M": {"trace": {"S": "t"}, "tags": {"L": [{"S": "b"}]}}},
    }


def test_rename_exchanges_names():
    assert made({"a": {"S": "x"}, "b": {"S": "y"}}, {"rename": {"a": "b", "b": "a"}}) == {
        "b": {"S": "x"},
        "a": {"S": "y"},
    }


def test_rename_to_a_name_that_is_taken_is_an_error_of_the_item():
    item = {"a": {"S": "x"}, "b": {"S": "y"}, "meta": META}
    assert reason(item, {"drop": "c"}, {"rename": {"a": "b"}}) == "step 2 (rename): the item has b already"
    assert reason(item, {"rename": {"meta.country": "b", "a": "c"}}) == "step 1 (rename): the item has b already"
    assert made({"b": {"S": "y"}}, {"rename": {"a": "b"}}) == {"b": {"S": "y"}}


def test_steps_see_what_those_before_them_made():
    steps = {"rename": {"meta.country": "country"}}, {"keep_if": "country = :de"}, {"drop": ["country", "meta"]}
    values = {":de": {"S": "DE"}}
    assert made({"meta": META}, *steps, values=values) == {}
    assert made({"country": {"S": "AT"}}, *steps, values=values) is None


def test_what_is_only_left_out_or_kept_stays_byte_for_byte():
    keep = transform({"keep_if": "attribute_exists(a)"}, {"drop_expired": "ttl"}, at=1e9)
    item = b'{ "a" : {"N":"1e3"}, "pk":{"S":"\\u0041"} }'
    (left,) = keep.of_item(item, Tally())
    assert left is item
    assert outcome(keep, {"pk": {"S": "k"}})[2].kept_out == {1: 1}


@pytest.mark.parametrize(
    ("expires", "left"),
    [
        ({"N": "999999999"}, False),
        ({"N": "999999999.5"}, False),
        ({"N": "1000000000"}, True),
        ({"N": "1000000001"}, True),
        ({"S": "1"}, True),
        ({"N": "1"}, True),  # more than five years ago: no time to live
        ({"M": {}}, True),
    ],
)
def test_drop_expired_leaves_out_what_had_expired_at_the_time_of_the_data(expires, left):
    item = made({"ttl": expires}, {"drop_expired": "ttl"}, at=1_000_000_000.0)
    assert item == ({"ttl": expires} if left else None)
    assert made({}, {"drop_expired": "ttl"}, at=1e9) == {}
