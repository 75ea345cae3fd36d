# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is refused before anything starts: each with the step, its name, and the place in it."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidTransform
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Following
from tests.unit.core.items.transform.building import INDEXED, TWO_KEYS, schema, transform

FILES = {
    "good.py": "def f(item):\n    return item\nx = 5\n",
    "syntax.py": "def f(item):\n    return (item\n",
    "fails.py": "import json\n\nraise ValueError('no')\n",
}
BEFORE = {"drop": ["nothing"]}


def refused(*steps: object, **more: object) -> InvalidTransform:
    with pytest.raises(InvalidTransform) as caught:
        transform(*steps, **more)
    error = caught.value
    assert error.next_step and error.status == "refused"
    return error


@pytest.mark.parametrize(
    ("step", "place", "cause"),
    [
        # unknown steps and options
        ({"mask": ["a"]}, "", "there is no such step"),
        ({"hash": {"attributes": ["a"], "salt": "x"}}, "salt", "there is no option of that name"),
        ({"hash": {"salt_from": "env:FERRY_SALT"}}, "attributes", "the option is missing"),
        ({"hash": {"attributes": ["a"], "salt_from": "FERRY_SALT"}}, "salt_from", "the salt is named as env:NAME"),
        ({"hash": {"attributes": ["a"], "salt_from": "env:X"}}, "salt_from", "the environment variable X is not set"),
        ({"python": {"function": "good.py:f", "attributes": "all", "many": True}}, "many", "there is no option of"),
        ({"python": {"function": "good.py:f"}}, "attributes", "the option is missing"),
        ({"python": {"function": "good.py:f", "attributes": "some"}}, "attributes", "a list of names is expected"),
        ({"python": {"function": "good.py:f", "attributes": "all", "several": 1}}, "several", "true or false"),
        ({"cast": {"a": "integer"}}, "a", "'integer' is no form of a value"),
        ({"cast": {"a": ["N"]}}, "a", "['N'] is no form of a value"),
        ({"cast": ["a"]}, "", "a mapping of paths and forms is expected"),
        ({"rename": {}}, "", "a mapping of paths and names is expected"),
        ({"drop": []}, "", "paths are expected, not []"),
        ({"drop": 5}, "", "paths are expected, not 5"),
        ({"keep": [5]}, "", "a path is a text, not 5"),
        ({"keep_if": ["a"]}, "", "a condition is a text"),
        ({"set": {"a": None}}, "a", "None is no value to set"),
        ({"set": {"a": ["x"]}}, "a", "['x'] is no value to set"),
        ({"set": {"a": {"S": "x", "N": "1"}}}, "a", "the value is not one value in DynamoDB's JSON"),
        ({"set": {"a": {"N": 1.5}}}, "a", "the value has something else than text in N"),
        ({"set": {"a": float("nan")}}, "a", "the value is not a number"),
        ({"replace": {"a": "^x"}}, "a", "a regular expression and a text are expected"),
        # paths
        ({"drop": ["meta..x"]}, "'meta..x'", "a name is expected instead of '.', at character 6"),
        ({"drop": ["a[b]"]}, "'a[b]'", "a position in a list is expected instead of 'b', at character 3"),
        ({"drop": ["a b"]}, "'a b'", "'b' is not expected, at character 3"),
        ({"drop": ["created-at"]}, "'created-at'", "'-' is not expected, at character 8"),
        ({"drop": [""]}, "''", "a name is expected instead of the end, at character 1"),
        ({"rename": {"a": "b.c"}}, "b.c", "a name is expected, not a path"),
        ({"rename": {"a": "x", "b": "x"}}, "x", "two values would get this name"),
        ({"rename": {"a": "pk"}}, "pk", "each item has an attribute of this name"),
        ({"rename": {"m": "x", "m.a": "y"}}, "m.a", "it is named twice, by m too"),
        ({"cast": {"m.a[0]": "N", "m.a": "L"}}, "m.a", "it is named twice, by m.a[0] too"),
        ({"hash": ["a", "a"]}, "a", "it is named twice, by a too"),
        ({"set": {"a": "1", "#a": "2"}}, "a", "it is set twice"),
        ({"set": {"a": "x{b..c}"}}, "'b..c'", "a name is expected instead of '.', at character 3"),
        ({"set": {"a": "x{b"}}, "'x{b'", "a { alone is not expected: write it twice, at character 2"),
        ({"set": {"a": "x}b"}}, "'x}b'", "a } alone is not expected: write it twice, at character 2"),
        # regular expressions
        ({"replace": {"a": ["^(x", "y"]}}, "'^(x'", "missing ), unterminated subpattern, at character 2"),
        ({"replace": {"a": ["x", r"y\1"]}}, r"'y\\1'", "invalid group reference 1"),
        ({"replace": {"a": ["x", r"\g<no>"]}}, r"'\\g<no>'", "unknown group name 'no'"),
        # files and functions
        ({"python": {"function": "f", "attributes": "all"}}, "function", "a function is named as FILE:FUNCTION"),
        ({"python": {"function": "no.py:f", "attributes": "all"}}, "no.py", "there is no such file"),
        ({"python": {"function": "good.py:g", "attributes": "all"}}, "good.py", "the file has no function g"),
        ({"python": {"function": "good.py:x", "attributes": "all"}}, "good.py", "the file has no function x"),
        ({"python": {"function": "syntax.py:f", "attributes": "all"}}, "syntax.py, line 2, character 12",
         "the file is not Python: '(' was never closed"),
        ({"python": {"function": "fails.py:f", "attributes": "all"}}, "fails.py, line 3",
         "the file cannot be run: ValueError: no"),
        ({"drop_expired": "ttl"}, "ttl", "the time of the data is not known"),
        ({"drop_expired": ["ttl"]}, "", "a path is a text, not ['ttl']"),
        ({"drop_expired": "a.ttl"}, "a.ttl", "a name is expected, not a path"),
        # keys
        ({"drop": ["pk"]}, "pk", "it drops pk, a key attribute of the table"),
        ({"set": {"pk": "T#{tenant}#{pk}"}}, "pk", "pk, a key attribute of the destination, is possibly left unset"),
        ({"set": {"pk": True}}, "pk", "pk gets the type BOOL, and as a key attribute it must be S, N or B"),
        ({"cast": {"pk": "BOOL"}}, "pk", "pk gets the type BOOL"),
        ({"cast": {"pk": "json"}}, "pk", "pk gets more than one type"),
        # names that are DynamoDB's own
        ({"drop": ["#rep"]}, "#rep (aws:rep:x)", "names that begin with aws:rep: are DynamoDB's own"),
        ({"set": {"#rep": "x"}}, "#rep (aws:rep:x)", "names that begin with aws:rep: are DynamoDB's own"),
        ({"rename": {"a": "#rep"}}, "#rep (aws:rep:x)", "names that begin with aws:rep: are DynamoDB's own"),
        ({"keep_if": "attribute_exists(#rep)"}, "#rep (aws:rep:x)", "names that begin with aws:rep:"),
        # names
        ({"drop": ["#no"]}, "'#no'", "#no is not among the names, at character 1"),
        ({"set": {"a": "{#no}"}}, "'#no'", "#no is not among the names, at character 1"),
    ],
)  # fmt: skip
def test_a_step_that_cannot_be_used(step, place, cause):
    names = {alias: name for alias, name in {"#rep": "aws:rep:x", "#a": "a"}.items() if alias in str(step)}
    error = refused(BEFORE, step, files=FILES, names=names)
    (kind,) = step
    assert error.details["step"] == 2 and error.details["kind"] == kind
    assert error.details["place"] == place
    where = f", {place}" if place else ""
    assert error.cause.startswith(f"Step 2 ({kind}){where}: ") and cause in error.cause


@pytest.mark.parametrize("step", ["drop", None, {}, {"drop": ["a"], "keep": ["b"]}])
def test_what_is_no_step(step):
    error = refused(BEFORE, step)
    assert error.cause.startswith("Step 2: one step with its options is expected, not ")


def test_names_and_values_that_are_unused_missing_or_wrong():
    uses = {"keep_if": "#a = :v"}
    assert transform(uses, names={"#a": "a"}, values={":v": {"S": "x"}})
    assert refused(uses, names={"#a": "a"}).cause.endswith(":v is not among the values, at character 6.")
    assert refused(uses, values={":v": {"S": "x"}}).cause.endswith("#a is not among the names, at character 1.")
    unused = refused(uses, names={"#a": "a", "#b": "b"}, values={":v": {"S": "x"}})
    assert (unused.cause, unused.next_step) == (
        "The transform, #b: no step uses #b.",
        "Remove it from transform_names, or correct a step.",
    )
    unused = refused(uses, names={"#a": "a"}, values={":v": {"S": "x"}, ":w": {"S": "x"}})
    assert (unused.cause, unused.next_step) == (
        "The transform, :w: no step uses :w.",
        "Remove it from transform_values, or correct a step.",
    )
    assert refused(values={":v": {"S": "x"}}).details["place"] == ":v"
    assert refused(uses, names={"#a": ""}, values={":v": {"S": "x"}}).cause == "The transform, #a: '' is no name."
    wrong = refused(uses, names={"#a": "a"}, values={":v": "x"})
    assert wrong.cause == "The transform, :v: the value is not one value in DynamoDB's JSON."


def test_a_type_that_an_indexs_key_cannot_have():
    error = refused(BEFORE, {"cast": {"mail": "BOOL"}}, source=INDEXED)
    assert error.cause == ("Step 2 (cast), mail: mail gets the type BOOL, and as a key attribute it must be S, N or B.")
    error = refused(BEFORE, {"set": {"day": "D#{day}"}}, source=INDEXED)
    assert error.cause == "Step 2 (set), day: day gets more than one type, and as a key attribute it must be S, N or B."


def test_a_name_that_some_items_keep_and_others_get_has_the_types_of_both():
    error = refused(BEFORE, {"rename": {"mail": "day"}}, source=INDEXED)  # where mail is missing, day stays
    assert error.cause == (
        "Step 2 (rename), day: day gets more than one type, and as a key attribute it must be S, N or B."
    )
    assert transform({"drop": "day"}, {"rename": {"mail": "day"}}, source=INDEXED)


def test_a_key_that_cannot_be_told_is_asked_for():
    steps = BEFORE, {"rename": {"pk": "old"}}, {"set": {"pk": "P#{old}"}}
    error = refused(*steps)
    assert error.cause == (
        "Step 3 (set), pk: it writes pk after the key attribute of that name was renamed to old, so it cannot be told"
        " which of the two is the key."
    )
    assert error.next_step == "Give the destination's key in destination_key."
    for name in ("pk", "old"):
        assert transform(*steps, destination=schema(f"{name}:S")).keys.destination.table == schema(f"{name}:S")


@pytest.mark.parametrize(
    ("key", "cause"),
    [
        (["user:S"], "The transform, user: user, a key attribute of the destination, is possibly left unset."),
        (["pk:N"], "The transform, pk: pk has the type S, and as a key attribute it must have N."),
        (["pk:S", "pk:S"], "The transform, the key: pk, pk is no key of a table."),
        (["pk:BOOL"], "The transform: a key attribute has one of the types S, N and B, not BOOL."),
        (["sum:S"], "Step 1 (set), sum: sum has the type N, and as a key attribute it must have S."),
        (["pk:S", "gone:S"], "Step 2 (drop), gone: gone, a key attribute of the destination, is possibly left unset."),
    ],
)
def test_a_key_of_the_destination_that_items_do_not_have(key, cause):
    assert refused({"set": {"sum": 5}}, {"drop": "gone"}, destination=schema(*key)).cause == cause


@pytest.mark.parametrize(
    ("steps", "blamed", "how"),
    [
        ([{"set": {"pk": "{a}#{pk}"}}, {"hash": ["pk"]}], "1 (set)", "is possibly left unset"),
        ([{"set": {"pk": "{a}#{pk}"}}, {"replace": {"pk": ["a", "b"]}}], "1 (set)", "is possibly left unset"),
        ([{"set": {"day": {"NS": ["1"]}}}, {"hash": ["day"]}], "1 (set)", "gets the type SS"),
        ([{"rename": {"mail": "day"}}, {"replace": {"day": ["a", "b"]}}], "1 (rename)", "gets more than one type"),
        ([{"cast": {"pk": "BOOL"}}, {"rename": {"pk": "post"}}], "1 (cast)", "gets the type BOOL"),
        ([{"set": {"x": True}}, {"rename": {"x": "mail"}}], "2 (rename)", "gets the type BOOL"),
        ([{"set": {"mail": 5}}, {"cast": {"mail": "BOOL"}}], "2 (cast)", "gets the type BOOL"),
        ([{"rename": {"pk": "old"}}, {"rename": {"x": "pk"}}, {"hash": ["pk"]}], "2 (rename)", "it writes pk after"),
    ],
)
def test_the_step_that_is_meant_is_blamed_and_not_one_after_it(steps, blamed, how):
    cause = refused(*steps, salts={"env:FERRY_SALT": b"x"}, source=INDEXED).cause
    assert cause.startswith(f"Step {blamed}")
    assert how in cause


def test_several_items_of_one_while_the_source_is_followed():
    step = {"python": {"function": "good.py:f", "attributes": "all", "several": True}}
    for following in (Following.KEYS, Following.IMAGES):
        error = refused(BEFORE, step, files=FILES, following=following)
        assert error.cause.startswith("Step 2 (python), several: the function makes several items of one")
    assert transform(step, files=FILES)


def test_keys_of_more_than_keys_without_old_images():
    guard = {"keep_if": "attribute_type(tenant, :s)"}
    step = {"set": {"pk": "{tenant}#{pk}"}}
    values = {":s": {"S": "S"}}
    error = refused(guard, step, values=values, following=Following.KEYS)
    assert error.cause == "Step 2 (set), pk: pk, a key of the destination, is made of more than the source's key."
    assert transform(guard, step, values=values, following=Following.IMAGES)
    assert transform({"set": {"pk": "{sk}#{pk}"}}, source=TWO_KEYS, following=Following.KEYS)
    function = {"python": {"function": "good.py:f", "attributes": "all"}}
    assert "is made of more" in refused(function, files=FILES, following=Following.KEYS).cause
