# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Expressions: what they mean, and what AWS refuses before it reads an item."""

from __future__ import annotations

from typing import Any

import pytest

from lab.dynamodb import expressions
from lab.dynamodb.expressions import KeyCondition, Placeholders
from lab.errors import AwsError

ITEM: dict[str, Any] = {
    "pk": {"S": "a"},
    "n": {"N": "1000"},
    "words": {"S": "héllo"},
    "bin": {"B": "AAEC"},
    "tags": {"SS": ["x", "y"]},
    "nums": {"NS": ["1", "2"]},
    "m": {"M": {"nest": {"L": [{"N": "1"}, {"M": {"deep": {"S": "d"}}}, {"N": "3"}]}}},
    "gone": {"NULL": True},
}
LITERALS: dict[str, Any] = {
    ":a": {"S": "a"}, ":he": {"S": "hé"}, ":k": {"N": "1e3"}, ":one": {"N": "1"}, ":two": {"N": "2"},
    ":bin": {"B": "AAE="}, ":set": {"SS": ["y", "x"]}, ":kind": {"S": "L"}, ":x": {"S": "x"},
    ":list": {"L": [{"N": "9"}]},
}  # fmt: skip
NAMES = {"#t": "words", "#m": "m"}


def holds(text: str) -> bool:
    return expressions.parse_condition("FilterExpression", text, Placeholders(NAMES, LITERALS)).holds(ITEM)


def refused(text: str, kind: str = "FilterExpression") -> str:
    with pytest.raises(AwsError) as caught:
        expressions.parse_condition(kind, text, Placeholders(NAMES, LITERALS))
    assert caught.value.code == "ValidationException"
    return caught.value.message


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("pk = :a", True), ("n = :k", True), ("n <> :k", False), ("absent <> :a", True), ("absent = :a", False),
        ("n > :one AND n <= :k", True), ("n < :one OR NOT (n < :one)", True), ("pk > :one", False),
        ("n BETWEEN :one AND :k", True), ("pk IN (:x, :a)", True), ("absent IN (:x)", False),
        ("attribute_exists(m.nest[1].deep)", True), ("attribute_exists(m.nest[7])", False),
        ("attribute_not_exists(m.nest[1].strange)", True), ("attribute_type(#m.nest, :kind)", True),
        ("begins_with(#t, :he)", True), ("begins_with(bin, :bin)", True), ("begins_with(n, :a)", False),
        ("contains(tags, :x)", True), ("contains(nums, :two)", True), ("contains(nums, :x)", False),
        ("contains(m.nest, :one)", True), ("contains(#t, :he)", True), ("tags = :set", True),
        ("size(#t) > :two", True), ("size(bin) = :two", False), ("size(tags) = :two", True), ("size(n) = :two", False),
        ("not pk = :x and pk = :a", True), ("pk = :x or pk = :x and pk = :a", False),
    ],
)  # fmt: skip
def test_conditions(text: str, expected: bool) -> None:
    assert holds(text) is expected


def test_expression_syntax() -> None:
    assert 'Invalid FilterExpression: Syntax error; token: "="' in refused("pk = = :a")
    assert '"<EOF>"' in refused("pk =")
    assert '"!"' in refused("pk ! :a")
    assert "can not be empty" in refused(" ")
    assert "Invalid function name; function: nope" in refused("nope(pk) = :a")
    assert "maximum allowed size" in refused("pk = :a OR " * 400 + "pk = :a")
    assert refused("pk", "ConditionExpression").startswith("Invalid ConditionExpression")


def test_reserved_words() -> None:
    assert refused("Status = :a").endswith("reserved keyword; reserved keyword: Status")
    assert holds("attribute_exists(#t)")


def test_placeholders_defined_and_used() -> None:
    assert "attribute value used in expression is not defined; attribute value: :zz" in refused("pk = :zz")
    assert "attribute name used in the document path is not defined; attribute name: #zz" in refused("#zz = :a")
    placeholders = Placeholders({"#p": "pk", "#q": "q"}, {":a": {"S": "a"}, ":b": {"S": "b"}})
    expressions.parse_condition("FilterExpression", "#p = :a", placeholders)
    with pytest.raises(AwsError, match=r"ExpressionAttributeNames unused in expressions: keys: \{#q\}"):
        placeholders.refuse_unused()


def test_operand_types() -> None:
    assert "operator or function: begins_with, operand type: N" in refused("begins_with(pk, :one)")
    assert "operator or function: <, operand type: SS" in refused("pk < :set")
    assert "upper bound to be greater" in refused("n BETWEEN :two AND :one")
    assert "number of operands: 1" in refused("contains(pk)")
    assert "requires a document path" in refused("attribute_exists(:a)")
    assert "Invalid attribute type name" in refused("attribute_type(pk, :a)")


def test_redundant_parentheses() -> None:
    for text in ("((pk = :a))", "n = :one OR ((pk = :a))", "NOT ((attribute_exists(pk)))"):
        assert "The expression has redundant parentheses;" in refused(text)
    assert holds("((pk = :a) AND (pk = :a))") and holds("(NOT (pk = :one))") and holds("(pk = :a) OR (pk = :one)")


def test_distinct_operands() -> None:
    assert (
        "distinct from the remaining operands for this operator or function; operator: contains, first operand: [pk]"
        in (refused("contains(pk, pk)"))
    )


def test_paths_do_not_overlap() -> None:
    for text in ("m, m.nest", "m.nest[0], pk, m.nest[0]"):
        with pytest.raises(AwsError, match="overlap with each other"):
            expressions.parse_projection(text, Placeholders())
    with pytest.raises(AwsError, match="overlap with each other"):
        expressions.parse_update("SET m.x = :a REMOVE m", Placeholders(None, LITERALS), ["pk"])


def key_condition(text: str) -> KeyCondition:
    types = {"pk": "S", "sk": "N"}
    return expressions.parse_key_condition(text, Placeholders(NAMES, LITERALS), ["pk"], ["sk"], types)


def test_key_condition() -> None:
    assert key_condition("pk = :a") == KeyCondition({"pk": {"S": "a"}})
    assert key_condition("sk BETWEEN :one AND :k AND (pk = :a)") == KeyCondition(
        {"pk": {"S": "a"}}, (), "BETWEEN", ({"N": "1"}, {"N": "1000"})
    )
    for text, words in [
        ("sk = :one", "missed key schema element: pk"),
        ("pk > :a", "not supported"),
        ("pk = :a AND strange = :a", "missed key schema element: sk"),
        ("pk = :a OR sk = :one", "Invalid operator used in KeyConditionExpression: OR"),
        ("pk = :a AND sk <> :one", "Invalid operator used in KeyConditionExpression: <>"),
        ("NOT pk = :a", "Invalid operator used in KeyConditionExpression: NOT"),
        ("pk IN (:a)", "Invalid operator used in KeyConditionExpression: IN"),
        ("pk = :a AND contains(sk, :one)", "Invalid operator used in KeyConditionExpression: contains"),
        ("size(pk) = :one", "KeyConditionExpressions cannot contain nested operations"),
        ("pk = sk", "Invalid condition in KeyConditionExpression: Multiple attribute names used in one condition"),
        ("begins_with(pk, sk)", "Multiple attribute names used in one condition"),
        ("#m.x = :a", "KeyConditionExpressions cannot have conditions on nested attributes"),
        (":a = :a", "No key attribute specified"),
        (":one BETWEEN sk AND sk", "BETWEEN operator must have the key attribute as its first operand"),
        ("pk = :a AND sk = :one AND sk > :one", "only contain one condition per key"),
        ("pk = :one", "type does not match schema type"),
    ]:
        with pytest.raises(AwsError, match=words):
            key_condition(text)


def test_key_condition_the_other_way_round() -> None:
    assert key_condition(":a = pk AND :one <= sk") == KeyCondition({"pk": {"S": "a"}}, (), ">=", ({"N": "1"},))
    assert key_condition("pk = :a AND :one > sk").operator == "<"


def test_sums_are_exact() -> None:
    literals = {":big": {"N": "1e50"}, ":one": {"N": "1"}, ":digits": {"N": "9" * 38}, ":tiny": {"N": "1e-5"}}
    for text in ("SET n = :big - :one", "SET n = :big + :one", "SET n = :digits + :tiny"):
        update = expressions.parse_update(text, Placeholders(None, literals), ["pk"])
        with pytest.raises(AwsError, match="Number overflow"):
            update.apply(ITEM)
    held = expressions.parse_update("SET n = :digits + :one", Placeholders(None, literals), ["pk"])
    assert held.apply(ITEM)["n"] == {"N": "1" + "0" * 38}


def test_expression_depth() -> None:
    assert holds("NOT (" * 44 + "pk = :a" + ")" * 44)
    assert holds(" AND ".join(["pk = :a"] * 150))
    for text in ("(" * 1000 + "pk = :a" + ")" * 1000, "NOT " * 250 + "pk = :a"):
        assert "nested too deeply" in refused(text)
    assert "too many operators; operator count: 301" in refused(" AND ".join(["pk = :a"] * 151))
    deep = "SET n = " + "if_not_exists(n, " * 200 + ":one" + ")" * 200
    with pytest.raises(AwsError, match="nested too deeply"):
        expressions.parse_update(deep, Placeholders(None, LITERALS), ["pk"])


def test_projection() -> None:
    def projected(text: str) -> Any:
        return expressions.parse_projection(text, Placeholders(NAMES)).of(ITEM)

    assert projected("n, absent, pk") == {"pk": ITEM["pk"], "n": ITEM["n"]}
    assert projected("m.nest[2], m.nest[1].deep") == {
        "m": {"M": {"nest": {"L": [{"M": {"deep": {"S": "d"}}}, {"N": "3"}]}}}
    }
    assert projected("pk[0], n.x") == {}


def updated(text: str) -> dict[str, Any]:
    before = repr(ITEM)
    result = expressions.parse_update(text, Placeholders(NAMES, LITERALS), ["pk"]).apply(ITEM)
    assert repr(ITEM) == before
    return result


def test_updates() -> None:
    assert updated("SET n = n + :one, fresh = :a")["n"] == {"N": "1001"}
    assert updated("SET n = n - :k")["n"] == {"N": "0"}
    assert updated("SET fresh = if_not_exists(fresh, :one) + :two")["fresh"] == {"N": "3"}
    assert updated("SET m.nest = list_append(m.nest, :list)")["m"]["M"]["nest"]["L"][-1] == {"N": "9"}
    assert updated("SET m.nest[50] = :a")["m"]["M"]["nest"]["L"][3:] == [{"S": "a"}]
    assert updated("REMOVE m.nest[0], m.nest[1], gone")["m"] == {"M": {"nest": {"L": [{"N": "3"}]}}}
    assert updated("ADD n :one, tags :set, fresh :two") == {
        **ITEM, "n": {"N": "1001"}, "fresh": {"N": "2"},
    }  # fmt: skip
    assert "tags" not in updated("DELETE tags :set")
    assert updated("SET #t = n, n = #t")["n"] == {"S": "héllo"}


def test_update_paths_exist() -> None:
    for text, words in [
        ("SET n = absent + :one", "refers to an attribute that does not exist"),
        ("SET absent.x = :a", "document path provided in the update expression is invalid"),
        ("SET m[0] = :a", "document path provided"),
        ("SET n = pk + :one", "incorrect data type"),
        ("ADD pk2 :a", "operator or function: ADD, operand type: S"),
        ("ADD m :one", "incorrect data type"),
        ("SET pk = :a", "Cannot update attribute pk. This attribute is part of the key"),
        ("SET n = :one SET m = :a", '"SET" section can only be used once'),
        ("SET n = n + :a", "operator or function: \\+, operand type: S"),
        ("CHANGE n", "Syntax error"),
    ]:
        with pytest.raises(AwsError, match=words):
            updated(text)
