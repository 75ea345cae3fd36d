# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Conditions: what they mean, shown by the lab's own reading of the same expressions, and where they are wrong."""

from __future__ import annotations

import copy

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidTransform
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.conditions import (
    Literals,
    read_condition,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.evaluating import evaluated
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.paths import Names
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.tokens import Misread
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.values import parsed
from lab.dynamodb import values as lab_values
from lab.dynamodb.expressions import Placeholders, parse_condition
from lab.errors import AwsError
from tests.unit.core.items.strategies import attribute_values, to_bytes
from tests.unit.core.items.transform.building import transform

NAMES = {"#a": "a", "#odd": "odd name.x"}
LITERALS = {
    ":s": {"S": "m"}, ":e": {"S": ""}, ":n": {"N": "5"}, ":n2": {"N": "10.50"}, ":b": {"B": "aGk="},
    ":t": {"BOOL": True}, ":null": {"NULL": True}, ":ss": {"SS": ["x", "y"]}, ":ns": {"NS": ["5", "1"]},
    ":l": {"L": [{"S": "m"}, {"N": "5"}]}, ":m": {"M": {"b": {"N": "5"}}}, ":N": {"S": "N"}, ":SS": {"S": "SS"},
}  # fmt: skip
FORMS = [{"N": "5.0"}, {"N": "1.05E1"}, {"NS": ["1", "5.00"]}, {"SS": ["y", "x"]}, {"S": "mm"}, {"B": "aGkx"},
         {"M": {"b": {"N": "0.5e1"}}}, {"L": [{"S": "m"}, {"N": "5.0"}]}]  # fmt: skip
near = st.sampled_from([*LITERALS.values(), *FORMS])
maps = st.dictionaries(st.sampled_from(["b", "c"]), near).map(lambda members: {"M": members})
some_value = st.one_of(near, attribute_values, maps)
items = st.dictionaries(st.sampled_from(["a", "b", "c", "odd name.x"]), some_value, max_size=4)

paths = st.sampled_from(["a", "b", "c", "#a", "#odd", "a.b", "a[0]", "a[1]", "b.c", "#a.b", "c.b.c", "nothing"])
literals = st.sampled_from(sorted(LITERALS))
operands = st.one_of(paths, literals, paths.map(lambda path: f"size({path})"))
tests_ = st.one_of(
    st.tuples(operands, st.sampled_from(["=", "<>", "<", "<=", ">", ">="]), operands).map(" ".join),
    st.tuples(operands, operands, operands).map(lambda each: f"{each[0]} BETWEEN {each[1]} AND {each[2]}"),
    st.tuples(operands, st.lists(operands, min_size=1, max_size=3)).map(
        lambda each: f"{each[0]} IN ({', '.join(each[1])})"
    ),
    paths.map(lambda path: f"attribute_exists({path})"),
    paths.map(lambda path: f"attribute_not_exists ( {path} )"),
    st.tuples(paths, st.sampled_from([":N", ":SS"])).map(lambda each: f"attribute_type({each[0]}, {each[1]})"),
    st.tuples(st.sampled_from(["begins_with", "contains"]), paths, operands).map(
        lambda each: f"{each[0]}({each[1]}, {each[2]})"
    ),
)
expressions = st.recursive(
    tests_,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "or", "OR"]), inner).map(" ".join),
        inner.map(lambda each: f"NOT {each}"),
        inner.map(lambda each: f"({each})"),
    ),
    max_leaves=5,
)


@settings(max_examples=500)
@given(expressions, st.lists(items, min_size=1, max_size=4))
def test_conditions_mean_what_the_lab_takes_them_for(text, tried):
    """DynamoDB refuses two kinds of texts that mean something: redundant brackets, and one operand given twice."""
    try:
        theirs = parse_condition("FilterExpression", text, Placeholders(NAMES, LITERALS))
    except AwsError as refusal:
        if not any(words in refusal.message for words in ("redundant parentheses", "must be distinct")):
            with pytest.raises(Misread):
                read_condition(text, Names(NAMES), Literals(LITERALS))
        return
    ours = evaluated(read_condition(text, Names(NAMES), Literals(LITERALS)))
    for item in tried:
        canonical = lab_values.canonical_item(copy.deepcopy(item))[0]
        assert ours(parsed(to_bytes(item))) == theirs.holds(canonical), (text, item)


@pytest.mark.parametrize(
    ("text", "cause", "character"),
    [
        ("", "a path or a value", 1),
        ("a =", "a name is expected instead of the end", 4),
        ("a = :n AND", "a name is expected instead of the end", 11),
        ("a == :n", "a name is expected instead of '='", 4),
        ("a ! :n", "'!' is not expected", 3),
        ("a = 5", "a name is expected instead of '5'", 5),
        ("a", "a comparison is expected instead of the end", 2),
        ("a = :n)", "')' is not expected", 7),
        ("(a = :n", ") is expected instead of the end", 8),
        ("a[x] = :n", "a position in a list is expected instead of 'x'", 3),
        ("a. = :n", "a name is expected instead of '='", 4),
        ("a = :nothing", ":nothing is not among the values", 5),
        ("#nothing = :n", "#nothing is not among the names", 1),
        ("a BETWEEN :n OR :n2", "AND is expected instead of 'OR'", 14),
        ("a BETWEEN :n2 AND :n", "the upper bound is not one of the lower bound's type that is as large", 19),
        ("a BETWEEN :n AND :s", "the upper bound is not one of the lower bound's type that is as large", 18),
        ("a < :ss", "< takes no value of the type SS", 5),
        ("a IN :n", "( is expected instead of ':n'", 6),
        ("exists(a)", "exists is no function that can stand here", 1),
        ("a = size(:s)", "a name is expected instead of ':s'", 10),
        ("attribute_exists(a, b)", "attribute_exists takes 1 operands, not 2", 1),
        ("attribute_exists(:s)", "attribute_exists takes a path first", 18),
        ("attribute_type(a, :s)", "attribute_type takes a value that is the name of a type, as in {S: NS}", 19),
        ("begins_with(a, :n)", "begins_with takes no value of the type N", 16),
        ("NOT" + " NOT" * 200 + " a = :n", "the expression is nested too deeply", 401),
        ("a = AND", "a path or a value is expected instead of 'AND'", 5),
    ],
)
def test_a_condition_that_cannot_be_read_is_refused_with_the_place(text, cause, character):
    with pytest.raises(InvalidTransform) as caught:
        transform({"drop": "x"}, {"keep_if": text}, names=NAMES, values=LITERALS)
    assert caught.value.cause.startswith(f"Step 2 (keep_if), {text!r}: ")
    if text:
        assert caught.value.cause.endswith(f": {cause}, at character {character}.")
    assert caught.value.details == {"step": 2, "kind": "keep_if", "place": repr(text)}
