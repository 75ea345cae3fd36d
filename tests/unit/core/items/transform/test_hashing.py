# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step hash."""

from __future__ import annotations

import hashlib
import hmac

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.hashing import (
    hashed_with,
    salts_needed,
)
from tests.unit.core.items.transform.building import SALTS, made, reason


def expected(content: bytes, salt: bytes = SALTS["env:FERRY_SALT"]) -> str:
    return hmac.new(salt, content, hashlib.sha256).hexdigest()


@pytest.mark.parametrize(
    ("value", "hashed"),
    [
        ({"S": "a@b"}, {"S": expected(b"a@b")}),
        ({"S": "ö"}, {"S": expected("ö".encode())}),
        ({"S": ""}, {"S": expected(b"")}),
        ({"N": "1e3"}, {"S": expected(b"1000")}),
        ({"N": "1000.0"}, {"S": expected(b"1000")}),
        ({"B": "aGk="}, {"S": expected(b"hi")}),
        ({"SS": ["a", "b"]}, {"SS": [expected(b"a"), expected(b"b")]}),
        ({"NS": ["1.0"]}, {"SS": [expected(b"1")]}),
        ({"BS": ["aGk="]}, {"SS": [expected(b"hi")]}),
        ({"NULL": True}, {"NULL": True}),
    ],
)
def test_hash(value, hashed):
    assert made({"a": value}, {"hash": ["a"]}) == {"a": hashed}
    assert made({"m": {"M": {"a": value}}}, {"hash": "m.a"}) == {"m": {"M": {"a": hashed}}}
    assert made({}, {"hash": {"attributes": ["a"]}}) == {}


@pytest.mark.parametrize("value", [{"L": [{"S": "a"}]}, {"M": {}}, {"BOOL": True}])
def test_what_would_stay_readable_is_an_error_of_the_item(value):
    (kind,) = value
    assert reason({"a": value}, {"hash": ["a"]}) == f"step 1 (hash): a has the type {kind}, which cannot be hashed"


def test_each_salt_makes_hashes_of_its_own():
    salts = {"env:FERRY_SALT": b"one", "env:OTHER": b"other"}
    step = {"hash": {"attributes": ["a"], "salt_from": "env:OTHER"}}
    assert made({"a": {"S": "x"}, "b": {"S": "x"}}, step, {"hash": ["b"]}, salts=salts) == {
        "a": {"S": expected(b"x", b"other")},
        "b": {"S": expected(b"x", b"one")},
    }
    assert salts_needed([step, {"hash": ["b"]}, {"hash": 5}, "no step", {"drop": "a"}]) == [
        "env:FERRY_SALT",
        "env:OTHER",
    ]


@settings(max_examples=60)
@given(st.binary(max_size=150), st.text(st.characters(codec="utf-8")))
def test_it_is_hmac_with_salts_of_any_length(salt, text):
    assert hashed_with(salt)({"S": text}) == {"S": expected(text.encode(), salt)}
