# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Steps that set and replace."""

from __future__ import annotations

import pytest

from tests.unit.core.items.transform.building import made, reason


@pytest.mark.parametrize(
    ("given", "value"),
    [
        ("text", {"S": "text"}),
        ("", {"S": ""}),
        ("{{not a path}}", {"S": "{not a path}"}),
        (5, {"N": "5"}),
        (-1.5, {"N": "-1.5"}),
        (True, {"BOOL": True}),
        ({"S": "{text}"}, {"S": "{text}"}),
        ({"N": 12345678901234567890}, {"N": "12345678901234567890"}),
        ({"NS": [1, "2.50"]}, {"NS": ["1", "2.50"]}),
        ({"NULL": True}, {"NULL": True}),
        ({"M": {"a": {"L": [{"N": 1}, {"B": "aGk="}]}}}, {"M": {"a": {"L": [{"N": "1"}, {"B": "aGk="}]}}}),
    ],
)
def test_set_to_a_constant(given, value):
    assert made({"a": {"S": "before"}}, {"set": {"a": given}}) == {"a": value}
    assert made({}, {"set": {"a": given}}) == {"a": value}


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("EMAIL#{mail}", "EMAIL#a@b"),
        ("{mail}", "a@b"),
        ("{mail}-{n}-{meta.list[1]}", "a@b-1000-ö"),
        ("{{{mail}}}", "{a@b}"),
        ("{nothing}", None),
        ("{mail}{meta.nothing}", None),
        ("{null}", None),
        ("{meta}", None),
    ],
)
def test_set_to_a_text_where_nothing_is_missing(text, value):
    item = {
        "mail": {"S": "a@b"},
        "n": {"N": "1e3"},
        "null": {"NULL": True},
        "meta": {"M": {"list": {"L": [{"S": "x"}, {"S": "ö"}]}}},
    }
    new = made(item, {"set": {"made": text}})
    assert new == ({**item, "made": {"S": value}} if value is not None else item)
    kept = made({**item, "made": {"S": "old"}}, {"set": {"made": text}})
    assert kept == {**item, "made": {"S": value if value is not None else "old"}}


def test_all_texts_of_a_step_read_the_item_before_it():
    item = {"a": {"S": "1"}, "b": {"S": "2"}}
    assert made(item, {"set": {"a": "{b}", "b": "{a}"}}) == {"a": {"S": "2"}, "b": {"S": "1"}}
    assert made(item, {"set": {"a": "new", "b": "{a}"}}) == {"a": {"S": "new"}, "b": {"S": "1"}}


def test_an_alias_in_a_text_may_have_spaces_around_it():
    item = {"odd-name": {"S": "x"}, "m": {"M": {"a.b": {"N": "1"}}}}
    names = {"#odd": "odd-name", "#b": "a.b"}
    assert made(item, {"set": {"a": "{ #odd }-{ m.#b }"}}, names=names) == {**item, "a": {"S": "x-1"}}


def test_a_constant_map_is_of_each_item_its_own():
    steps = {"set": {"m": {"M": {"a": {"S": "x"}, "b": {"S": "y"}}}}}, {"drop": "m.a"}
    for _ in range(2):
        assert made({}, *steps) == {"m": {"M": {"b": {"S": "y"}}}}


@pytest.mark.parametrize(
    ("value", "replaced"),
    [
        ({"S": "ORDER#5#ORDER#"}, {"S": "O#5#ORDER#"}),
        ({"SS": ["ORDER#1", "x", "O#1"]}, {"SS": ["O#1", "x"]}),
        ({"S": "x"}, {"S": "x"}),
        ({"N": "5"}, {"N": "5"}),
        ({"L": [{"S": "ORDER#"}]}, {"L": [{"S": "ORDER#"}]}),
    ],
)
def test_replace(value, replaced):
    assert made({"a": value}, {"replace": {"a": ["^ORDER#", "O#"]}}) == {"a": replaced}
    inside = {"M": {"b": {"L": [value]}}}
    assert made({"a": inside}, {"replace": {"a.b[0]": ["^ORDER#", "O#"]}}) == {"a": {"M": {"b": {"L": [replaced]}}}}


def test_replace_knows_groups():
    step = {"replace": {"a": [r"(\d+)-(?P<last>\w+)", r"\g<last>/\1"]}}
    assert made({"a": {"S": "12-ab 3-c"}}, step) == {"a": {"S": "ab/12 c/3"}}


def test_a_key_that_a_text_makes_is_looked_at():
    assert reason({}, {"set": {"pk": "{pk}" + "x" * 2048}}) == (
        "step 1 (set): pk is longer than 2048 bytes, a key of the table"
    )
    assert (
        reason({}, {"drop": "a"}, {"replace": {"pk": [".", ""]}}) == "step 2 (replace): pk is empty, a key of the table"
    )
    assert made({}, {"set": {"pk": "{pk}" + "ö" * 1023 + "x"}}) == {}


def test_an_item_over_400_kb_is_refused_by_dynamodbs_own_count():
    large = {"S": "x" * (400 * 1024 - len("pkk") - len("a") - len("made") - 1)}
    assert made({"a": large}, {"set": {"made": "1"}}) is not None
    assert reason({"a": large}, {"set": {"made": "12"}}, {"keep_if": "attribute_exists(a)"}) == (
        "step 1 (set): the item is larger than 400 KB"
    )
