# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The step cast: all forms, and what is not of the form."""

from __future__ import annotations

import pytest

from tests.unit.core.items.transform.building import made, reason

DIGITS = "1234567890.1234567890123456789012345678"  # 38 of them


@pytest.mark.parametrize(
    ("form", "value", "cast"),
    [
        ("N", {"S": DIGITS}, {"N": DIGITS}),
        ("N", {"S": "-007.50"}, {"N": "-7.5"}),
        ("N", {"S": "1E-130"}, {"N": "0." + "0" * 129 + "1"}),
        ("N", {"N": "1e3"}, {"N": "1e3"}),
        ("S", {"N": DIGITS}, {"S": DIGITS}),
        ("S", {"N": "1e3"}, {"S": "1000"}),
        ("S", {"S": "x"}, {"S": "x"}),
        ("B", {"S": "hö"}, {"B": "aMO2"}),
        ("S", {"B": "aMO2"}, {"S": "hö"}),
        ("BOOL", {"S": "true"}, {"BOOL": True}),
        ("BOOL", {"S": "false"}, {"BOOL": False}),
        ("BOOL", {"BOOL": True}, {"BOOL": True}),
        ("SS", {"L": [{"S": "a"}, {"S": "b"}]}, {"SS": ["a", "b"]}),
        ("NS", {"L": [{"N": "1"}, {"N": "2.0"}]}, {"NS": ["1", "2.0"]}),
        ("BS", {"L": [{"B": "aGk="}]}, {"BS": ["aGk="]}),
        ("L", {"SS": ["a", "b"]}, {"L": [{"S": "a"}, {"S": "b"}]}),
        ("L", {"NS": ["1"]}, {"L": [{"N": "1"}]}),
        ("L", {"BS": ["aGk="]}, {"L": [{"B": "aGk="}]}),
        ("L", {"L": []}, {"L": []}),
        ("epoch_seconds", {"S": "1970-01-01T00:00:00Z"}, {"N": "0"}),
        ("epoch_seconds", {"S": "2026-11-29T06:00:00+01:00"}, {"N": "1795928400"}),
        ("epoch_seconds", {"S": "2026-11-29 06:00:00.1234567890123-0130"}, {"N": "1795937400.1234567890123"}),
        ("epoch_seconds", {"S": "1969-12-31T23:59:59.5Z"}, {"N": "-0.5"}),
        ("epoch_seconds", {"S": "2026-11-29T06:00Z"}, {"N": "1795932000"}),
        ("epoch_seconds", {"N": "5"}, {"N": "5"}),
        ("epoch_millis", {"S": "2026-11-29T06:00:00.12345+01"}, {"N": "1795928400123.45"}),
        ("iso8601", {"N": "1795928400"}, {"S": "2026-11-29T05:00:00Z"}),
        ("iso8601", {"N": "-0.5"}, {"S": "1969-12-31T23:59:59.5Z"}),
        ("iso8601", {"N": "1795928400.123456789"}, {"S": "2026-11-29T05:00:00.123456789Z"}),
        ("iso8601", {"N": "-62135596800"}, {"S": "0001-01-01T00:00:00Z"}),
        ("iso8601", {"S": "any"}, {"S": "any"}),
        ("iso8601_from_millis", {"N": "1795928400123"}, {"S": "2026-11-29T05:00:00.123Z"}),
        ("json", {"S": '{"a":[1.50,"x",true,null],"b":{}}'},
         {"M": {"a": {"L": [{"N": "1.5"}, {"S": "x"}, {"BOOL": True}, {"NULL": True}]}, "b": {"M": {}}}}),
        ("json", {"S": f"[{DIGITS}]"}, {"L": [{"N": DIGITS}]}),
        ("json", {"S": '"text"'}, {"S": "text"}),
        ("json", {"M": {"ä": {"L": [{"N": "1e3"}, {"S": 'q"'}, {"BOOL": False}, {"NULL": True}]}}},
         {"S": '{"ä":[1000,"q\\"",false,null]}'}),
        ("json", {"L": []}, {"S": "[]"}),
    ],
)  # fmt: skip
def test_cast(form, value, cast):
    assert made({"a": value}, {"cast": {"a": form}}) == {"a": cast}
    assert made({"m": {"M": {"a": value}}}, {"cast": {"m.a": form}}) == {"m": {"M": {"a": cast}}}
    assert made({}, {"cast": {"a": form}}) == {}


@pytest.mark.parametrize(
    ("form", "value", "why"),
    [
        ("N", {"S": "five"}, "is not a number"),
        ("N", {"S": ""}, "is not a number"),
        ("N", {"S": " 5"}, "is not a number"),
        ("N", {"S": "\u0665"}, "is not a number"),
        ("N", {"S": "NaN"}, "is not a number"),
        ("N", {"S": "1e126"}, "is a number beyond DynamoDB's range"),
        ("N", {"S": "1e-131"}, "is a number beyond DynamoDB's range"),
        ("N", {"S": "1e99999999999999999999"}, "is a number beyond DynamoDB's range"),
        ("N", {"S": "1" * 39}, "is a number of more than 38 digits"),
        ("N", {"BOOL": True}, "has the type BOOL, which cannot be cast"),
        ("S", {"B": "/w=="}, "is no text in UTF-8"),
        ("S", {"L": []}, "has the type L, which cannot be cast"),
        ("BOOL", {"S": "True"}, "is neither true nor false"),
        ("SS", {"L": [{"S": "a"}, {"N": "1"}]}, "has an element of another type than S"),
        ("SS", {"L": []}, "is empty, and no set is"),
        ("NS", {"L": [{"N": "1"}, {"N": "1.0"}]}, "has an element twice"),
        ("NS", {"SS": ["1"]}, "has the type SS, which cannot be cast"),
        (
            "epoch_seconds",
            {"S": "2026-11-29T06:00:00"},
            "is no time in ISO 8601 with an offset, as 2026-11-29T06:00:00Z",
        ),
        ("epoch_seconds", {"S": "2026-02-29T06:00:00Z"}, "is a day that there is not"),
        ("epoch_seconds", {"S": "2026-02-28T24:00:00Z"}, "is a time that there is not"),
        ("epoch_seconds", {"S": "2026-02-28T23:00:00+01:60"}, "is a time that there is not"),
        ("epoch_seconds", {"S": f"2026-02-28T23:00:00.{'1' * 40}Z"}, "is a number of more than 38 digits"),
        ("iso8601", {"N": "1e15"}, "is a time before the year 1 or after the year 9999"),
        ("iso8601", {"N": "-62135596801"}, "is a time before the year 1 or after the year 9999"),
        ("iso8601", {"NULL": True}, "has the type NULL, which cannot be cast"),
        ("json", {"S": "{"}, "is not JSON"),
        ("json", {"S": '{"a":1,"a":2}'}, "has a name twice in a map"),
        ("json", {"S": "[NaN]"}, "has a number that JSON does not have"),
        ("json", {"S": '{"":1}'}, "has an empty name"),
        ("json", {"S": '"\\ud800"'}, "is no Unicode text"),
        ("json", {"S": "[" * 33 + "]" * 33}, "is nested more than 32 levels deep"),
        ("json", {"S": "[" * 100_000}, "is nested too deeply"),
        ("json", {"S": "[1e999]"}, "is a number beyond DynamoDB's range"),
        ("json", {"M": {"a": {"SS": ["x"]}}}, "has a value of the type SS, which JSON does not have"),
        ("json", {"N": "1"}, "has the type N, which cannot be cast"),
    ],
)
def test_what_is_not_of_the_form_is_an_error_of_the_item(form, value, why):
    assert reason({"a": value}, {"cast": {"a": form}}) == f"step 1 (cast): a {why}"
