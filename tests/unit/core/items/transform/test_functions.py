# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step python: what functions get, and what they may return."""

from __future__ import annotations

import json

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.functions import files_needed
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from tests.unit.core.items.strategies import to_bytes
from tests.unit.core.items.transform.building import Item, made, outcome, reason, transform

FILE = "files/transform.py"


def python(body: str, attributes: object = "all", **options: object) -> tuple[dict[str, object], dict[str, str]]:
    """A step whose function has this body, and its file."""
    text = f"def change(item):\n    {body}\n"
    return {"python": {"function": f"{FILE}:change", "attributes": attributes, **options}}, {FILE: text}


def changed(item: Item, body: str, attributes: object = "all") -> Item | None:
    step, files = python(body, attributes)
    first = made(item, step, files=files)
    assert first == made(item, {"drop": "nothing"}, step, files=files)  # as a later step too
    return first


def why(item: Item, body: str, attributes: object = "all") -> str:
    step, files = python(body, attributes)
    return reason(item, step, files=files).removeprefix("step 1 (python): ")


def test_a_function_gets_all_attributes_and_returns_them():
    item = {"a": {"S": "x"}, "m": {"M": {"n": {"NS": ["1", "2"]}}}}
    assert changed(item, "return item") == item
    assert changed(item, "item['m']['M']['n'] = {'S': item['pk']['S']}; del item['a']; return item") == {
        "m": {"M": {"n": {"S": "k"}}}
    }
    assert changed(item, "return {'pk': item['pk'], 'b': item['a']}") == {"b": {"S": "x"}}


def test_a_function_gets_the_named_attributes_and_no_other():
    item = {"a": {"S": "x"}, "b": {"S": "y"}, "c": {"N": "1"}}
    assert changed(item, "assert sorted(item) == ['a', 'b']; return {'d': item['a']}", ["a", "b", "d"]) == {
        "c": {"N": "1"},
        "d": {"S": "x"},
    }
    assert (
        why(item, "return {'c': {'S': 'z'}}", ["a"]) == "the function returned an attribute that the step does not name"
    )


def test_none_leaves_the_item_out():
    step, files = python("return None if item['a']['N'] == '1' else item")
    steps = transform({"drop": "b"}, step, files=files)
    assert outcome(steps, {"pk": {"S": "k"}, "a": {"N": "1"}})[2].kept_out == {2: 1}
    assert outcome(steps, {"pk": {"S": "k"}, "a": {"N": "2"}})[0] == [{"pk": {"S": "k"}, "a": {"N": "2"}}]


@pytest.mark.parametrize("attributes", ["all", ["pk", "n"]])
def test_a_list_makes_several(attributes):
    step, files = python(
        "return [{**item, 'pk': {'S': each}, 'n': {'N': str(len(each))}} for each in item['pk']['S'].split()]",
        attributes,
        several=True,
    )
    steps = transform(step, {"keep_if": "n <> :one"}, {"set": {"m": "{pk}"}}, files=files, values={":one": {"N": "1"}})
    items, _, tally = outcome(steps, {"pk": {"S": "aa b ccc"}, "x": {"SS": ["y"]}})
    assert (
        items
        == [
            {"x": {"SS": ["y"]}, "pk": {"S": each}, "n": {"N": str(len(each))}, "m": {"S": each}}
            for each in ("aa", "ccc")
        ]
        or [set(each) for each in items] == [{"pk", "x", "n", "m"}] * 2
    )
    assert [each["pk"]["S"] for each in items] == ["aa", "ccc"] == [each["m"]["S"] for each in items]
    assert (tally.added, tally.kept_out, tally.made) == (2, {2: 1}, 2)
    items, _, tally = outcome(steps, {"pk": {"S": " "}})
    assert items == [] and (tally.added, tally.kept_out) == (0, {1: 1})


def test_an_item_of_which_one_part_fails_is_refused_whole():
    step, files = python("return [{**item, 'n': {'S': each}} for each in '1x2']", several=True)
    again = {"python": {"function": f"{FILE}:change", "attributes": "all", "several": True}}
    steps = transform(step, {"keep_if": "n <> :one"}, {"cast": {"n": "N"}}, files=files, values={":one": {"S": "1"}})
    items, (failure,), tally = outcome(steps, {"pk": {"S": "k"}})
    assert (items, str(failure)) == ([], "step 3 (cast): n is not a number")
    assert (tally.added, tally.kept_out, tally.refused) == (0, {}, {3: 1})
    items, failures, tally = outcome(transform(step, again, files=files), {"pk": {"S": "k"}})
    assert (len(items), failures, tally.added) == (9, [], 8)


@pytest.mark.parametrize(
    ("value", "reason_"),
    [
        ("'text'", "is not one value in DynamoDB's JSON"),
        ("{}", "is not one value in DynamoDB's JSON"),
        ("{'S': 'x', 'N': '1'}", "is not one value in DynamoDB's JSON"),
        ("{'S': 5}", "has something else than text in S"),
        ("{'S': chr(0xd800)}", "is no Unicode text"),
        ("{'N': 5}", "has something else than text in N"),
        ("{'N': 'five'}", "is not a number"),
        ("{'N': '1' * 39}", "is a number of more than 38 digits"),
        ("{'B': b'x'}", "has something else than base64 in B"),
        ("{'B': '*'}", "is not base64"),
        ("{'BOOL': 'true'}", "has something else than true or false in BOOL or NULL"),
        ("{'SS': []}", "has something else than a list with elements in SS"),
        ("{'SS': ['a', 5]}", "has an element that is no text in SS"),
        ("{'SS': ['a', chr(0xd800)]}", "is no Unicode text"),
        ("{'BS': ['aGk=', '*']}", "is not base64"),
        ("{'BOOL': 1}", "has something else than true or false in BOOL or NULL"),
        ("{'NS': ['1', '1.0']}", "has an element twice in NS"),
        ("{'L': ({'S': 'x'},)}", "has something else than a list in L"),
        ("{'M': {'b': {'L': [{'X': 1}]}}}", "has a type that DynamoDB does not have"),
        ("{'M': {'': {'S': 'x'}}}", "has an empty name"),
        ("{'S': type('Text', (str,), {})('x')}", "has something else than text in S"),
        ("{'L': type('List', (list,), {})()}", "has something else than a list in L"),
    ],
)
def test_a_value_that_dynamodb_does_not_take_is_an_error_of_the_item(value, reason_):
    for attributes in ("all", ["pk", "a"]):
        body = f"return {{**item, 'a': {value}}}"
        assert why({}, body, attributes) == f"the function returned a, which {reason_}"


@pytest.mark.parametrize(
    ("body", "reason_"),
    [
        ("return 5", "the function returned int, neither attributes nor None"),
        ("return [item]", "the function returned a list, and the step does not have several: true"),
        ("return {**item, '': {'S': 'x'}}", "the function returned what has an empty name"),
        ("return {**item, 5: {'S': 'x'}}", "the function returned what has a name that is no text"),
        ("return {**item, 'aws:rep:x': {'S': 'x'}}", "the function returned an attribute that begins with aws:rep:"),
        ("raise KeyError('secret')", f"the function raised KeyError, {FILE}, line 2"),
        ("raise SystemExit('secret')", f"the function raised SystemExit, {FILE}, line 2"),
        ("return item['nothing']", f"the function raised KeyError, {FILE}, line 2"),
    ],
)
def test_what_a_function_may_not_do_is_an_error_of_the_item(body, reason_):
    assert why({}, body) == reason_


def test_a_list_of_something_else_is_an_error_of_the_item():
    step, files = python("return [item, None]", several=True)
    assert "a list of something else than attributes" in reason({}, step, files=files)


@pytest.mark.parametrize(
    ("body", "reason_"),
    [
        ("return {}", "pk is missing, a key of the table"),
        ("return {'pk': {'N': '1'}}", "pk has the type N, as a key of the table it must have S"),
        ("return {'pk': {'S': ''}}", "pk is empty, a key of the table"),
        ("return {'pk': {'S': 'x' * 2049}}", "pk is longer than 2048 bytes, a key of the table"),
    ],
)
def test_the_key_that_a_function_leaves_is_looked_at(body, reason_):
    assert why({}, body) == reason_
    assert why({}, body, ["pk"]) == reason_


def test_what_one_item_is_given_no_other_one_gets():
    step, files = python("item.setdefault('m', SHARED)['M'].update(a=item['pk']); return item")
    files[FILE] = "SHARED = {'M': {}}\n\ndef fill(item):\n    item['m'] = SHARED\n    return item\n\n" + files[FILE]
    fill = {"python": {"function": f"{FILE}:fill", "attributes": ["m"]}}
    steps = transform(fill, step, files=files)
    assert [outcome(steps, {"pk": {"S": each}})[0][0]["m"] for each in "xy"] == [
        {"M": {"a": {"S": "x"}}},
        {"M": {"a": {"S": "y"}}},
    ]
    assert outcome(transform(fill, files=files), {"pk": {"S": "x"}})[0][0]["m"] == {"M": {}}


def test_numbers_and_halves_of_surrogate_pairs_reach_a_function_as_they_are():
    step, files = python("item['b'] = item['a']; return item")
    item = b'{"pk":{"S":"k"},"a":{"N":"1.000e5"}}'
    (new,) = transform(step, files=files).of_item(item, Tally())
    assert json.loads(new) == {"pk": {"S": "k"}, "a": {"N": "1.000e5"}, "b": {"N": "1.000e5"}}
    odd = {"pk": {"S": "k"}, "x": {"S": "\ud800"}}
    (new,) = transform({"rename": {"x": "y"}}, {"hash": ["pk"]}).of_item(to_bytes(odd, ascii_only=True), Tally())
    assert json.loads(new)["y"] == {"S": "\ud800"}


def test_files_that_steps_need():
    step, _ = python("return item")
    assert files_needed([step, step, {"python": {"function": "b.py:f"}}, {"python": "x"}, {"drop": "a"}, 5]) == [
        "b.py",
        FILE,
    ]


def test_what_a_function_prints_is_shown_nowhere(capfd: pytest.CaptureFixture[str]) -> None:
    """Items are personal data, and would stand in Ansible's output."""
    step, files = python("print(item); return item")
    files = {FILE: f"print('on loading')\n{files[FILE]}"}
    assert made({"a": {"S": "secret"}}, step, files=files) == {"a": {"S": "secret"}}
    assert capfd.readouterr() == ("", "")
    body = (
        "import io; out = io.StringIO(); print('x', 'y', sep='-', end='', file=out); item['n'] = {'S': out.getvalue()}"
    )
    assert changed({"a": {"S": "a"}}, f"{body}; return item") == {"a": {"S": "a"}, "n": {"S": "x-y"}}
