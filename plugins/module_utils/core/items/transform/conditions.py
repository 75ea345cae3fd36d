# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's condition expressions, parsed: what keep_if and the API's filters are written in.

The grammar is that of the developer guide, "Condition and filter expressions, operators, and functions". Reserved words
may stand without a placeholder.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import TypeAlias

from .paths import Names, Path, read_path
from .tokens import Misread, Token, Tokens
from .values import KINDS, SCALARS, Value, ordered, parts_of

COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_OPERANDS = {"attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2}
_KEYWORDS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN"})
_DEEPEST = 100  # brackets and NOT within each other


@dataclass(frozen=True)
class Literal:
    """A value behind ``:alias``."""

    value: Value


@dataclass(frozen=True)
class SizeOf:
    """``size(path)``."""

    path: Path


Operand: TypeAlias = "Path | Literal | SizeOf"


@dataclass(frozen=True)
class Test:
    """``operator`` is a comparator, ``BETWEEN``, ``IN`` or a function's name."""

    operator: str
    operands: tuple[Operand, ...]


@dataclass(frozen=True)
class Junction:
    """``operator`` is ``AND``, ``OR`` or ``NOT``."""

    operator: str
    operands: tuple[Condition, ...]


Condition: TypeAlias = "Test | Junction"


class Literals:
    """The values behind ``:alias``, and which of these were used."""

    def __init__(self, values: Mapping[str, Value]) -> None:
        self._values = values
        self._used: set[str] = set()

    def behind(self, alias: Token) -> Literal:
        """The value behind the alias. Raises Misread."""
        if alias.text not in self._values:
            raise Misread(alias.at, f"{alias.text} is not among the values")
        self._used.add(alias.text)
        return Literal(self._values[alias.text])

    def unused(self) -> list[str]:
        """The aliases that no condition has used."""
        return sorted(set(self._values) - self._used)


def read_condition(text: str, names: Names, literals: Literals) -> Condition:
    """``text`` as a condition. Raises Misread."""
    parser = _Parser(text, names, literals)
    condition = parser.condition()
    left = parser.tokens.peek()
    if left.kind != "end":
        raise Misread(left.at, f"{left} is not expected")
    return condition


def paths_of(condition: Condition) -> Iterator[Path]:
    """Every path in the condition."""
    for operand in condition.operands:
        if isinstance(operand, (Test, Junction)):
            yield from paths_of(operand)
        elif isinstance(operand, SizeOf):
            yield operand.path
        elif isinstance(operand, Path):
            yield operand


def implied(condition: Condition) -> dict[str, str]:
    """The attributes that each item has for which the condition holds, each with its type, "" where any may be."""
    if isinstance(condition, Junction):
        known: dict[str, str] = {}
        for operand in condition.operands if condition.operator == "AND" else ():
            for name, kind in implied(operand).items():
                known[name] = known.get(name) or kind
        return known
    first = condition.operands[0]
    if not isinstance(first, Path) or condition.operator in ("attribute_not_exists", "<>"):
        return {}
    kinds = [_kind(operand) for operand in condition.operands[1:]]
    if condition.operator == "attribute_type":
        second = condition.operands[1]
        kind = str(second.value["S"]) if isinstance(second, Literal) else ""
    elif condition.operator == "contains":
        kind = ""
    else:
        kind = kinds[0] if len(set(kinds)) == 1 else ""
    return {first.name: kind if first.is_attribute else "M" if isinstance(first.parts[1], str) else "L"}


def _kind(operand: Operand) -> str:
    if isinstance(operand, SizeOf):
        return "N"
    return parts_of(operand.value)[0] if isinstance(operand, Literal) else ""


class _Parser:
    """A recursive descent over one expression."""

    def __init__(self, text: str, names: Names, literals: Literals) -> None:
        self.tokens = Tokens(text)
        self._text = text
        self._names = names
        self._literals = literals
        self._depth = 0

    def condition(self) -> Condition:
        """Conditions joined by OR."""
        operands = [self._conjunction()]
        while self.tokens.keyword() == "OR":
            self.tokens.take()
            operands.append(self._conjunction())
        return operands[0] if len(operands) == 1 else Junction("OR", tuple(operands))

    def _conjunction(self) -> Condition:
        operands = [self._negation()]
        while self.tokens.keyword() == "AND":
            self.tokens.take()
            operands.append(self._negation())
        return operands[0] if len(operands) == 1 else Junction("AND", tuple(operands))

    def _negation(self) -> Condition:
        begin = self.tokens.peek()
        self._depth += 1
        if self._depth > _DEEPEST:
            raise Misread(begin.at, "the expression is nested too deeply")
        try:
            if self.tokens.keyword() == "NOT":
                self.tokens.take()
                return Junction("NOT", (self._negation(),))
            if self.tokens.accept("("):
                inner = self.condition()
                self.tokens.expect(")")
                return inner
        finally:
            self._depth -= 1
        following = self.tokens.peek(1).text
        return self._function() if begin.text in _OPERANDS and following == "(" else self._comparison()

    def _function(self) -> Test:
        name = self.tokens.take()
        self.tokens.expect("(")
        first = self.tokens.peek()
        operands, places = self._listed()
        if len(operands) != _OPERANDS[name.text]:
            raise Misread(name.at, f"{name.text} takes {_OPERANDS[name.text]} operands, not {len(operands)}")
        if not isinstance(operands[0], Path):
            raise Misread(first.at, f"{name.text} takes a path first")
        if name.text == "begins_with":
            self._require(operands[1], places[1], frozenset("SB"), name.text)
        elif name.text == "attribute_type":
            second = operands[1]
            if not isinstance(second, Literal) or second.value.get("S") not in KINDS:
                raise Misread(places[1], "attribute_type takes a value that is the name of a type, as in {S: NS}")
        return Test(name.text, tuple(operands))

    def _listed(self) -> tuple[list[Operand], list[int]]:
        """Operands up to the closing bracket, and where each stands."""
        operands, places = [], []
        while True:
            places.append(self.tokens.peek().at)
            operands.append(self._operand())
            if not self.tokens.accept(","):
                self.tokens.expect(")")
                return operands, places

    def _comparison(self) -> Test:
        first = self._operand()
        sign = self.tokens.peek()
        if self.tokens.keyword() == "BETWEEN":
            return self._between(first)
        if self.tokens.keyword() == "IN":
            self.tokens.take()
            self.tokens.expect("(")
            return Test("IN", (first, *self._listed()[0]))
        if sign.text not in COMPARATORS:
            raise Misread(sign.at, f"a comparison is expected instead of {sign}")
        self.tokens.take()
        at = self.tokens.peek().at
        second = self._operand()
        if sign.text not in ("=", "<>"):
            self._require(second, at, SCALARS, sign.text)
        return Test(sign.text, (first, second))

    def _between(self, first: Operand) -> Test:
        self.tokens.take()
        at = self.tokens.peek().at
        low = self._operand()
        self._require(low, at, SCALARS, "BETWEEN")
        self.tokens.expect("AND")
        at = self.tokens.peek().at
        high = self._operand()
        self._require(high, at, SCALARS, "BETWEEN")
        if isinstance(low, Literal) and isinstance(high, Literal):
            same = parts_of(low.value)[0] == parts_of(high.value)[0]
            if not same or ordered(low.value) > ordered(high.value):
                raise Misread(at, "the upper bound is not one of the lower bound's type that is as large")
        return Test("BETWEEN", (first, low, high))

    def _require(self, operand: Operand, at: int, kinds: frozenset[str], operator: str) -> None:
        if isinstance(operand, Literal) and parts_of(operand.value)[0] not in kinds:
            raise Misread(at, f"{operator} takes no value of the type {parts_of(operand.value)[0]}")

    def _operand(self) -> Operand:
        token = self.tokens.peek()
        if token.kind == "value":
            return self._literals.behind(self.tokens.take())
        if self.tokens.peek(1).text == "(" and token.kind == "name":
            if token.text != "size":
                raise Misread(token.at, f"{token.text} is no function that can stand here")
            self.tokens.take()
            self.tokens.take()
            path = read_path(self.tokens, self._names, self._text)
            self.tokens.expect(")")
            return SizeOf(path)
        if self.tokens.keyword() in _KEYWORDS:
            raise Misread(token.at, f"a path or a value is expected instead of {token}")
        return read_path(self.tokens, self._names, self._text)
