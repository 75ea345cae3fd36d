# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether an item meets a condition, as DynamoDB decides it.

What is missing meets no test but ``<>`` and ``attribute_not_exists`` (tests that run on AWS: ScyllaDB's
alternator/test_filter_expression.py).
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Sequence
from operator import ge, gt, le, lt
from typing import Any, TypeAlias

from ..answers import Raw, canonical_number
from .conditions import COMPARATORS, Condition, Junction, Literal, Operand, SizeOf
from .paths import Path
from .values import SETS, Item, Value, equal, members, opened, ordered, parts_of

Holds: TypeAlias = Callable[[Item], bool]
Find: TypeAlias = Callable[[Item], "Value | None"]
_ORDERS: dict[str, Callable[[Any, Any], bool]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def evaluated(condition: Condition) -> Holds:
    """The condition as a function of an item."""
    if isinstance(condition, Junction):
        return _junction(condition.operator, [evaluated(operand) for operand in condition.operands])
    operator = condition.operator
    first, *others = (_found(operand) for operand in condition.operands)
    if operator == "attribute_exists":
        return lambda item: first(item) is not None
    if operator == "attribute_not_exists":
        return lambda item: first(item) is None
    if operator == "IN":
        return _one_of(first, others)
    if operator == "BETWEEN":
        low, high = _compared(">=", first, others[0]), _compared("<=", first, others[1])
        return lambda item: low(item) and high(item)
    if operator in ("=", "<>"):
        same = _equals(first, condition.operands[1], others[0])
        return same if operator == "=" else lambda item: not same(item)
    if operator in COMPARATORS:
        return _compared(operator, first, others[0])
    tests = {"attribute_type": _has_type, "begins_with": _begins_with, "contains": _contains}
    return _tested(tests[operator], first, others[0])


def _junction(operator: str, operands: Sequence[Holds]) -> Holds:
    if operator == "NOT":
        only = operands[0]
        return lambda item: not only(item)
    if len(operands) == 2:
        one, other = operands
        if operator == "AND":
            return lambda item: one(item) and other(item)
        return lambda item: one(item) or other(item)
    if operator == "AND":
        return lambda item: all(operand(item) for operand in operands)
    return lambda item: any(operand(item) for operand in operands)


def _found(operand: Operand) -> Find:
    if isinstance(operand, Literal):
        value = operand.value
        return lambda _item: value
    if isinstance(operand, SizeOf):
        path = operand.path
        return lambda item: _size(path.find(item))
    return _attribute(operand) if operand.is_attribute else operand.find


def _attribute(path: Path) -> Find:
    name = path.name

    def find(item: Item) -> Value | None:
        value = item.get(name)
        return opened(value) if isinstance(value, Raw) else value

    return find


def _size(value: Value | None) -> Value | None:
    """The size of a value as a number: characters, bytes or elements; None for types without one."""
    if value is None:
        return None
    kind, content = parts_of(value)
    if kind == "B":
        return {"N": str(len(base64.b64decode(content)))}
    return {"N": str(len(content))} if kind in ("S", "L", "M") or kind in SETS else None


def _equals(first: Find, operand: Operand, second: Find) -> Holds:
    """Texts and numbers as literals, the usual case, are compared by their content alone."""
    if not isinstance(operand, Literal) or not operand.value.keys() <= {"S", "N"}:
        return _tested(equal, first, second)
    ((kind, sought),) = operand.value.items()
    if kind == "N":
        sought = canonical_number(sought)

    def holds(item: Item) -> bool:
        value = first(item)
        content = None if value is None else value.get(kind)
        return content == sought or (kind == "N" and content is not None and canonical_number(content) == sought)

    return holds


def _compared(operator: str, first: Find, second: Find) -> Holds:
    order = _ORDERS[operator]

    def compare(one: Value, other: Value) -> bool:
        if one.keys() != other.keys():
            return False
        left = ordered(one)
        return left is not None and order(left, ordered(other))

    return _tested(compare, first, second)


def _tested(test: Callable[[Value, Value], bool], first: Find, second: Find) -> Holds:
    def holds(item: Item) -> bool:
        one, other = first(item), second(item)
        return one is not None and other is not None and test(one, other)

    return holds


def _one_of(first: Find, others: Sequence[Find]) -> Holds:
    def holds(item: Item) -> bool:
        one = first(item)
        if one is None:
            return False
        found = (other(item) for other in others)
        return any(each is not None and equal(one, each) for each in found)

    return holds


def _has_type(value: Value, kind: Value) -> bool:
    return bool(parts_of(value)[0] == kind["S"])


def _begins_with(value: Value, start: Value) -> bool:
    kind = parts_of(value)[0]
    if kind not in ("S", "B") or value.keys() != start.keys():
        return False
    return bool(ordered(value).startswith(ordered(start)))


def _contains(value: Value, operand: Value) -> bool:
    (kind, content), (operand_kind, sought) = parts_of(value), parts_of(operand)
    if kind in ("S", "B"):
        return kind == operand_kind and ordered(operand) in ordered(value)
    if kind in SETS:
        if SETS[kind] != operand_kind:
            return False
        return not members(kind, [sought]).isdisjoint(members(kind, content))
    return kind == "L" and any(equal(each, operand) for each in content)
