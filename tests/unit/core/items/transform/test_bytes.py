# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bytes in, bytes out: slices of pages, halves of surrogate pairs, and what is no item."""

from __future__ import annotations

import json

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import ScanPage, decode
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tally import Tally
from tests.unit.core.items.strategies import to_bytes
from tests.unit.core.items.transform.building import outcome, transform

FILES = {"f.py": "def f(item):\n    return {**item, 'c': {'S': 'new'}}\n"}
FUNCTION = {"python": {"function": "f.py:f", "attributes": "all"}}


def test_slices_of_a_page_are_taken_as_they_are():
    page = b'{"Items":[{"pk":{"S":"a"},"n":{"N":"1.0"}},{"pk":{"S":"b"},"n" : {"N":"2"} }],"Count":2}'
    items = decode(page, ScanPage, "Scan", "t").items
    made = [transform({"set": {"x": 5}}).of_item(each, Tally()) for each in items]
    assert made == [
        [b'{"pk":{"S":"a"},"n":{"N":"1.0"},"x":{"N":"5"}}'],
        [b'{"pk":{"S":"b"},"n":{"N":"2"},"x":{"N":"5"}}'],
    ]
    (same,) = transform({"keep_if": "attribute_exists(n)"}).of_item(items[1], Tally())
    assert same is items[1]


def test_values_that_no_step_touches_keep_their_form():
    item = b'{"a":{"N":"1.000E2"},"pk":{"S":"\\u0041\\u00e4"},"s":{"NS":["2.0","1"]},"b":{"B":"aGk="}}'
    steps = {"cast": {"x": "N"}}, {"keep_if": "a = :n AND contains(s, :two)"}, {"set": {"y": "{a}"}}
    values = {":n": {"N": "100"}, ":two": {"N": "2"}}
    (made,) = transform(*steps, values=values).of_item(item, Tally())
    assert made == item[:-1] + b',"y":{"S":"100"}}'


@pytest.mark.parametrize("text", [b"5", b"[]", b'{"pk":', b"null"])
def test_what_is_no_item_is_an_error_of_the_server(text):
    for steps in ([{"drop": "a"}], [FUNCTION]):
        with pytest.raises(ServiceError):
            transform(*steps, files=FILES).of_item(text, Tally())


def test_halves_of_surrogate_pairs_pass_all_steps():
    half = "x\ud83d"
    item = {"pk": {"S": half}, "a": {"S": half}, "m": {"M": {half: {"S": half}, "b": {"SS": [half]}}}, "h": {"S": half}}
    raw = to_bytes(item, ascii_only=True)
    steps = (
        {"keep_if": "contains(a, :x) AND size(m) = :two"},
        {"set": {"t": "T#{a}"}},
        {"replace": {"a": ["x", "y"], "m.b": ["x", "y"]}},
        {"rename": {"m.b": "b"}},
        {"hash": ["h"]},
        {"set": {"pk": "P#{pk}"}},
    )
    (made,) = transform(*steps, values={":x": {"S": "x"}, ":two": {"N": "2"}}).of_item(raw, Tally())
    new = json.loads(made)
    assert len(new.pop("h")["S"]) == 64
    assert new == {
        "pk": {"S": f"P#{half}"},
        "a": {"S": "y\ud83d"},
        "m": {"M": {half: {"S": half}}},
        "b": {"SS": ["y\ud83d"]},
        "t": {"S": f"T#{half}"},
    }
    failures = outcome(transform({"cast": {"a": "B"}}), {"pk": {"S": "k"}, "a": {"S": "x"}})[1]
    assert failures == []
    tally = Tally()
    assert transform({"cast": {"a": "B"}}).of_item(raw, tally) == [] and tally.refused == {1: 1}
    assert transform(FUNCTION, files=FILES).of_item(raw, tally) == [] and tally.refused == {1: 2}


def test_tallies_of_workers_add_up():
    steps = transform({"keep_if": "attribute_exists(n)"}, {"cast": {"n": "N"}})
    tallies = [Tally(), Tally()]
    for number, content in enumerate(["1", "x", "2", "", "3"]):
        steps.of_item(to_bytes({"pk": {"S": "k"}, "n": {"S": content}}), tallies[number % 2])
        steps.of_item(to_bytes({"pk": {"S": "k"}}), tallies[number % 2])
    first, second = tallies
    first.add(second)
    assert first.balanced
    assert first.to_json() == {"read": 10, "made": 3, "added": 0, "kept_out": {"1": 5}, "refused": {"2": 2}}
