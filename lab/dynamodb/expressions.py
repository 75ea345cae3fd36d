# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's expressions: conditions, filters, key conditions, projections and updates, parsed by hand.

Parsing checks what AWS checks before it reads an item; evaluation works on canonical items (``lab.dynamodb.values``).
"""

from __future__ import annotations

import copy
import decimal
import itertools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from lab.dynamodb import values
from lab.dynamodb.reserved_words import RESERVED_WORDS
from lab.dynamodb.values import AttributeValue, Item
from lab.dynamodb.words import belief, invalid, validation
from lab.errors import AwsError

MAX_EXPRESSION_BYTES = 4096

SYNTAX = belief(
    "test_expressions", "expression-syntax",
    "An expression that AWS cannot read is a ValidationException that quotes the token",
    "AWS API reference dynamodb:Scan",
)  # fmt: skip
RESERVED = belief(
    "test_expressions", "reserved-words",
    "A reserved word as attribute name needs a placeholder",
    "AWS developer guide, Reserved words in DynamoDB",
)  # fmt: skip
PLACEHOLDERS = belief(
    "test_expressions", "placeholders-defined-and-used",
    "Every placeholder of an expression is defined, and every defined one is used",
    "AWS developer guide, Expression attribute names",
)  # fmt: skip
BRACKETS = belief(
    "test_expressions", "redundant-parentheses",
    "A condition in brackets within brackets of its own is refused",
    "tests that run on AWS: nubo-db/dynamodb-conformance, tests/tier3/error-messages/putItem",
)  # fmt: skip
DISTINCT = belief(
    "test_expressions", "distinct-operands",
    "A function's first operand is no other one of its operands",
    "tests that run on AWS: nubo-db/dynamodb-conformance, tests/tier3/error-messages/putItem",
)  # fmt: skip
OPERAND_TYPES = belief(
    "test_expressions", "operand-types",
    "A literal of a type that its operator or function does not take is refused before any item is read",
    "AWS developer guide, Condition and filter expressions",
)  # fmt: skip
OVERLAP = belief(
    "test_expressions", "paths-do-not-overlap",
    "Two paths of one projection or update do not overlap",
    "AWS developer guide, Update expressions",
)  # fmt: skip
KEY_CONDITION = belief(
    "test_expressions", "key-condition",
    "A key condition names the partition key with = and at most one condition on the sort key, each on one attribute",
    "AWS API reference dynamodb:Query; the wordings: dynalite's tests, which run on AWS: test/query.js",
)  # fmt: skip
UPDATE_PATHS = belief(
    "test_expressions", "update-paths-exist",
    "An update reads attributes that exist, and writes into maps and lists that exist",
    "AWS developer guide, Update expressions",
)  # fmt: skip

EXACT_SUMS = belief(
    "test_expressions", "sums-are-exact",
    "A sum that 38 digits do not hold (1e50 - 1) is refused, in the words of an overflow, and never rounded",
    "ScyllaDB's tests, which run on AWS: alternator/test_number.py",
)  # fmt: skip
NESTED = belief(
    "test_expressions", "expression-depth",
    "An expression has at most 300 operators; how deep it may nest is a guess (the lab: 100 levels), the texts too",
    "AWS developer guide, Expression operators and functions: limits", confirmed=False,
)  # fmt: skip

_MOST_OPERATORS = 300
_DEEPEST = 100
_OPERATORS = frozenset({"AND", "OR", "NOT", "BETWEEN", "IN", "=", "<>", "<", "<=", ">", ">=", "+", "-"})
_TOKEN = re.compile(r"\s*(?:([A-Za-z_]\w*)|(#\w+)|(:\w+)|(\d+)|(<>|<=|>=|[-=<>(),.\[\]+])|(\S))", re.ASCII)
_CONTEXT = decimal.Context(prec=300)  # holds every sum of two numbers in DynamoDB's range
_COMPARATORS = frozenset({"=", "<>", "<", "<=", ">", ">="})
_TURNED = {"=": "=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}  # with the operands the other way round
_FUNCTION_ARGUMENTS = {
    "attribute_exists": 1, "attribute_not_exists": 1, "attribute_type": 2, "begins_with": 2, "contains": 2,
}  # fmt: skip
_TYPE_NAMES = frozenset({"S", "N", "B", "SS", "NS", "BS", "BOOL", "NULL", "L", "M"})


@dataclass(frozen=True)
class Path:
    """A document path: attribute names and list positions."""

    parts: tuple[str | int, ...]

    def find(self, item: Item) -> AttributeValue | None:
        """The value at this path, or None."""
        value: AttributeValue = {"M": item}
        for part in self.parts:
            kind, content = values.content_of(value)
            if (isinstance(part, str) and kind == "M" and part in content) or (
                isinstance(part, int) and kind == "L" and part < len(content)
            ):
                value = content[part]
            else:
                return None
        return value

    def __str__(self) -> str:
        return f"[{', '.join(f'[{part}]' if isinstance(part, int) else part for part in self.parts)}]"


@dataclass(frozen=True)
class Literal:
    """A value from ExpressionAttributeValues, canonical."""

    value: AttributeValue

    def find(self, item: Item) -> AttributeValue | None:
        """The value."""
        return self.value


@dataclass(frozen=True)
class Size:
    """``size(path)``."""

    operand: Path

    def find(self, item: Item) -> AttributeValue | None:
        """The length as a number, or None where there is none."""
        value = self.operand.find(item)
        if value is None:
            return None
        kind, content = values.content_of(value)
        if kind == "B":
            return {"N": str(values.binary_size(content))}
        return {"N": str(len(content))} if kind in ("S", "SS", "NS", "BS", "L", "M") else None


Operand = Path | Literal | Size


@dataclass(frozen=True)
class Condition:
    """``operator`` is AND, OR, NOT, a comparator, BETWEEN, IN, or a function's name."""

    operator: str
    operands: tuple[Any, ...]

    def holds(self, item: Item) -> bool:
        """Whether the item meets it."""
        operator, operands = self.operator, self.operands
        if operator == "AND":
            return all(operand.holds(item) for operand in operands)
        if operator == "OR":
            return any(operand.holds(item) for operand in operands)
        if operator == "NOT":
            return not operands[0].holds(item)
        first = operands[0].find(item)
        if operator == "attribute_exists":
            return first is not None
        if operator == "attribute_not_exists":
            return first is None
        others = [operand.find(item) for operand in operands[1:]]
        if operator == "IN":
            return first is not None and any(other is not None and values.equal(first, other) for other in others)
        if first is None or None in others:
            return operator == "<>"
        if operator == "BETWEEN":
            return _compare(">=", first, others[0]) and _compare("<=", first, others[1])
        if operator == "attribute_type":
            return bool(values.content_of(first)[0] == others[0]["S"])
        if operator == "begins_with":
            return _begins_with(first, others[0])
        return _contains(first, others[0]) if operator == "contains" else _compare(operator, first, others[0])

    def paths(self) -> Iterable[Path]:
        """Every path in it."""
        for operand in self.operands:
            if isinstance(operand, Condition):
                yield from operand.paths()
            elif isinstance(operand, Size):
                yield operand.operand
            elif isinstance(operand, Path):
                yield operand


def _compare(operator: str, one: AttributeValue, other: AttributeValue) -> bool:
    if operator in ("=", "<>"):
        return values.equal(one, other) == (operator == "=")
    (kind, _), (other_kind, _) = values.content_of(one), values.content_of(other)
    if kind != other_kind or kind not in ("S", "N", "B"):
        return False
    left, right = values.comparable(one), values.comparable(other)
    results = {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}
    return bool(results[operator])


def _begins_with(value: AttributeValue, start: AttributeValue) -> bool:
    kind = values.content_of(value)[0]
    if kind not in ("S", "B") or kind != values.content_of(start)[0]:
        return False
    return bool(values.comparable(value).startswith(values.comparable(start)))


def _contains(value: AttributeValue, operand: AttributeValue) -> bool:
    (kind, content), (operand_kind, operand_content) = values.content_of(value), values.content_of(operand)
    if kind in ("S", "B") and kind == operand_kind:
        return values.comparable(operand) in values.comparable(value)
    if kind in values.SETS:
        return kind[0] == operand_kind and operand_content in content
    return kind == "L" and any(values.equal(each, operand) for each in content)


class Placeholders:
    """ExpressionAttributeNames and ExpressionAttributeValues of one request, and which of them were used."""

    def __init__(
        self, names: Mapping[str, str] | None = None, literals: Mapping[str, AttributeValue] | None = None
    ) -> None:
        self._names = names or {}
        for name in self._names.values():
            values.name_size(name)
        self._literals = {name: values.canonical_value(value)[0] for name, value in (literals or {}).items()}
        self._unused = {*self._names, *self._literals}

    def name(self, alias: str, kind: str) -> str:
        """The attribute's name behind ``#alias``."""
        if alias not in self._names:
            text = "An expression attribute name used in the document path is not defined; attribute name: "
            raise validation(PLACEHOLDERS, f"Invalid {kind}: {text}{alias}")
        self._unused.discard(alias)
        return self._names[alias]

    def literal(self, alias: str, kind: str) -> Literal:
        """The value behind ``:alias``."""
        if alias not in self._literals:
            text = "An expression attribute value used in expression is not defined; attribute value: "
            raise validation(PLACEHOLDERS, f"Invalid {kind}: {text}{alias}")
        self._unused.discard(alias)
        return Literal(self._literals[alias])

    def refuse_unused(self) -> None:
        """ValidationException when a placeholder is not used. Called after all expressions were parsed."""
        for member, defined in (("Names", self._names), ("Values", self._literals)):
            unused = [alias for alias in defined if alias in self._unused]
            if unused:
                raise validation(
                    PLACEHOLDERS,
                    f"Value provided in ExpressionAttribute{member} unused in expressions: keys: "
                    f"{{{', '.join(sorted(unused))}}}",
                )


class _Parser:
    """A recursive descent over one expression; ``kind`` is its member's name, such as FilterExpression."""

    def __init__(self, kind: str, text: str, placeholders: Placeholders) -> None:
        if not text.strip():
            raise validation(SYNTAX, f"Invalid {kind}: The expression can not be empty;")
        size = len(text.encode())
        if size > MAX_EXPRESSION_BYTES:
            words = "Expression size has exceeded the maximum allowed size; expression size: "
            raise validation(SYNTAX, f"Invalid {kind}: {words}{size}")
        self._kind = kind
        self._placeholders = placeholders
        self._tokens = [match.group().strip() for match in _TOKEN.finditer(text) if match.group().strip()]
        self._at = 0
        self._depth = 0
        self._bracketed = (-1, -1)  # where the last condition in brackets begins and ends
        operators = self._operators()
        if operators > _MOST_OPERATORS:
            words = f"The expression contains too many operators; operator count: {operators}"
            raise validation(NESTED, f"Invalid {kind}: {words}")

    def _operators(self) -> int:
        words = [token.upper() for token in self._tokens]
        calls = sum(token == "(" and word.isidentifier() for word, token in itertools.pairwise(words))
        counted = calls + sum(word in _OPERATORS for word in words) - words.count("BETWEEN") - words.count("IN")
        # An update's = only says where a value goes; BETWEEN has an AND of its own, IN its bracket.
        return counted - words.count("=") if self._kind == "UpdateExpression" else counted

    # Tokens

    def peek(self, ahead: int = 0) -> str:
        """The token ``ahead``, empty behind the last."""
        position = self._at + ahead
        return self._tokens[position] if position < len(self._tokens) else ""

    def keyword(self) -> str:
        """The next token in upper case."""
        return self.peek().upper()

    def take(self, keyword: str = "") -> str:
        """The next token, which must be ``keyword`` if that is given (keywords in any case)."""
        token = self.peek()
        if not token or (keyword and token.upper() != keyword):
            raise self.syntax_error()
        self._at += 1
        return token

    def ended(self) -> None:
        """Refuse what is left over."""
        if self.peek():
            raise self.syntax_error()

    def syntax_error(self) -> AwsError:
        """The refusal of the next token."""
        near = " ".join(self._tokens[max(0, self._at - 1) : self._at + 2])
        token = self.peek() or "<EOF>"
        return self.refusal(SYNTAX, f'Syntax error; token: "{token}", near: "{near}"')

    @contextmanager
    def deeper(self) -> Iterator[None]:
        """One level further down; refused where it gets too deep to be evaluated."""
        self._depth += 1
        if self._depth > _DEEPEST:
            raise self.refusal(NESTED, "The expression is nested too deeply")
        yield
        self._depth -= 1

    def refusal(self, rule: Any, text: str) -> AwsError:
        """ValidationException for this expression."""
        return validation(rule, f"Invalid {self._kind}: {text}")

    def listed(self, parse: Callable[[], Any]) -> list[Any]:
        """One or more entries, separated by commas."""
        entries = [parse()]
        while self.peek() == ",":
            self.take()
            entries.append(parse())
        return entries

    # Operands

    def path(self) -> Path:
        """A document path."""
        parts: list[str | int] = [self._name()]
        while self.peek() in (".", "["):
            if self.take() == ".":
                parts.append(self._name())
            else:
                position = self.take()
                if not position.isdigit():
                    self._at -= 1
                    raise self.syntax_error()
                parts.append(int(position))
                self.take("]")
        return Path(tuple(parts))

    def _name(self) -> str:
        token = self.peek()
        if token.startswith("#"):
            return self._placeholders.name(self.take(), self._kind)
        if not re.match(r"[A-Za-z_]", token):
            raise self.syntax_error()
        if token.upper() in RESERVED_WORDS:
            raise self.refusal(RESERVED, f"Attribute name is a reserved keyword; reserved keyword: {token}")
        return self.take()

    def literal(self) -> Literal:
        """A value's placeholder."""
        if not self.peek().startswith(":"):
            raise self.syntax_error()
        return self._placeholders.literal(self.take(), self._kind)

    def operand(self) -> Operand:
        """A path, a literal or a size."""
        if self.peek().startswith(":"):
            return self.literal()
        if self.peek() == "size" and self.peek(1) == "(":
            self.take()
            self.take("(")
            path = self.path()
            self.take(")")
            return Size(path)
        if self.peek(1) == "(":
            raise self.refusal(SYNTAX, f"Invalid function name; function: {self.peek()}")
        return self.path()

    # Conditions

    def condition(self) -> Condition:
        """Conditions joined by OR."""
        operands = [self._conjunction()]
        while self.keyword() == "OR":
            self.take()
            operands.append(self._conjunction())
        return operands[0] if len(operands) == 1 else Condition("OR", tuple(operands))

    def _conjunction(self) -> Condition:
        operands = [self._negation()]
        while self.keyword() == "AND":
            self.take()
            operands.append(self._negation())
        return operands[0] if len(operands) == 1 else Condition("AND", tuple(operands))

    def _negation(self) -> Condition:
        if self.keyword() == "NOT":
            self.take()
            with self.deeper():
                return Condition("NOT", (self._negation(),))
        if self.peek() == "(":
            began = self._at
            self.take()
            with self.deeper():
                inner = self.condition()
            if self._bracketed == (began + 1, self._at):
                raise self.refusal(BRACKETS, "The expression has redundant parentheses;")
            self.take(")")
            self._bracketed = (began, self._at)
            return inner
        if self.peek() in _FUNCTION_ARGUMENTS and self.peek(1) == "(":
            return self._function()
        return self._comparison()

    def _function(self) -> Condition:
        name = self.take()
        self.take("(")
        operands = self.listed(self.operand)
        self.take(")")
        if len(operands) != _FUNCTION_ARGUMENTS[name]:
            text = f"Incorrect number of operands for operator or function; operator or function: {name}, "
            raise self.refusal(OPERAND_TYPES, f"{text}number of operands: {len(operands)}")
        if not isinstance(operands[0], Path):
            text = "Operator or function requires a document path; operator or function: "
            raise self.refusal(OPERAND_TYPES, text + name)
        if operands[0] in operands[1:]:
            text = "The first operand must be distinct from the remaining operands for this operator or function; "
            raise self.refusal(DISTINCT, f"{text}operator: {name}, first operand: {operands[0]}")
        if name == "begins_with":
            self._demand(operands[1], name, "SB")
        if name == "attribute_type":
            self._demand(operands[1], name, "S")
            named = operands[1].value["S"] if isinstance(operands[1], Literal) else ""
            if named not in _TYPE_NAMES:
                raise self.refusal(OPERAND_TYPES, f"Invalid attribute type name found; type: {named}")
        return Condition(name, tuple(operands))

    def _demand(self, operand: Operand, operator: str, kinds: str) -> None:
        if isinstance(operand, Literal) and values.content_of(operand.value)[0] not in tuple(kinds):
            raise self.wrong_operand(operator, operand.value)

    def wrong_operand(self, operator: str, value: AttributeValue) -> AwsError:
        """The refusal of a literal whose type ``operator`` does not take."""
        text = "Incorrect operand type for operator or function; operator or function: "
        return self.refusal(OPERAND_TYPES, f"{text}{operator}, operand type: {values.content_of(value)[0]}")

    def _comparison(self) -> Condition:
        first = self.operand()
        if self.keyword() == "BETWEEN":
            self.take()
            low = self.operand()
            self.take("AND")
            high = self.operand()
            self._demand(low, "BETWEEN", "SNB")
            self._demand(high, "BETWEEN", "SNB")
            if isinstance(low, Literal) and isinstance(high, Literal) and not _compare("<=", low.value, high.value):
                text = "The BETWEEN operator requires upper bound to be greater than or equal to lower bound"
                raise self.refusal(OPERAND_TYPES, text)
            return Condition("BETWEEN", (first, low, high))
        if self.keyword() == "IN":
            self.take()
            self.take("(")
            others = self.listed(self.operand)
            self.take(")")
            return Condition("IN", (first, *others))
        if self.peek() not in _COMPARATORS:
            raise self.syntax_error()
        operator = self.take()
        second = self.operand()
        if operator not in ("=", "<>"):
            self._demand(second, operator, "SNB")
        return Condition(operator, (first, second))


def parse_condition(kind: str, text: str, placeholders: Placeholders) -> Condition:
    """A condition or filter; ``kind`` is the member's name. ValidationException for what AWS refuses."""
    parser = _Parser(kind, text, placeholders)
    condition = parser.condition()
    parser.ended()
    return condition


# Key conditions


@dataclass(frozen=True)
class KeyCondition:
    """``partition`` gives the partition key, ``leading`` sort keys that are fixed, ``operator`` the last one's test.

    ``operator`` is empty (no test), ``=``, ``<``, ``<=``, ``>``, ``>=``, ``BETWEEN`` or ``begins_with``;
    ``names_one_row`` where all key attributes are fixed.
    """

    partition: Item
    leading: tuple[AttributeValue, ...] = ()
    operator: str = ""
    bounds: tuple[AttributeValue, ...] = ()
    names_one_row: bool = False


def parse_key_condition(
    text: str,
    placeholders: Placeholders,
    hash_names: Sequence[str],
    range_names: Sequence[str],
    types: Mapping[str, str],
) -> KeyCondition:
    """The key condition of a Query (or of an export's filter) on a key of these attributes."""
    parsed = parse_condition("KeyConditionExpression", text, placeholders)
    parts = [_key_test(part) for part in _conjuncts(parsed)]
    by_name: dict[str, Condition] = {}
    for part in parts:
        others = part.operands[1:]
        name = str(part.operands[0].parts[0])
        if name in by_name:
            raise validation(KEY_CONDITION, "KeyConditionExpressions must only contain one condition per key")
        by_name[name] = part
        if name in types and any(values.content_of(each.value)[0] != types[name] for each in others):
            raise invalid(KEY_CONDITION, "Condition parameter type does not match schema type")
    for name in hash_names:
        if name not in by_name:
            raise validation(KEY_CONDITION, f"Query condition missed key schema element: {name}")
        if by_name[name].operator != "=":
            raise validation(KEY_CONDITION, "Query key condition not supported")
    given = [name for name in range_names if name in by_name]
    if len(by_name) > len(hash_names) + len(given):
        missed = next((name for name in range_names if name not in by_name), "")
        text = f"Query condition missed key schema element: {missed}" if missed else "Query key condition not supported"
        raise validation(KEY_CONDITION, text)
    if given != list(range_names[: len(given)]) or any(by_name[name].operator != "=" for name in given[:-1]):
        raise validation(KEY_CONDITION, "Query key condition not supported")
    partition = {name: by_name[name].operands[1].value for name in hash_names}
    if not given:
        return KeyCondition(partition, names_one_row=not range_names)
    last = by_name[given[-1]]
    return KeyCondition(
        partition,
        tuple(by_name[name].operands[1].value for name in given[:-1]),
        last.operator,
        tuple(each.value for each in last.operands[1:]),
        len(given) == len(range_names) and last.operator == "=",
    )


def _conjuncts(condition: Condition) -> list[Condition]:
    if condition.operator != "AND":
        return [condition]
    return [part for each in condition.operands for part in _conjuncts(each)]


def _key_test(part: Condition) -> Condition:
    """One test of a key condition with its attribute as first operand; ValidationException for others."""
    operator, operands = part.operator, part.operands
    if operator not in {*_TURNED, "BETWEEN", "begins_with"}:
        raise validation(KEY_CONDITION, f"Invalid operator used in KeyConditionExpression: {operator}")
    if operator in ("BETWEEN", "begins_with") and isinstance(operands[0], Literal):
        text = f"{operator} operator must have the key attribute as its first operand"
        raise validation(KEY_CONDITION, f"Invalid condition in KeyConditionExpression: {text}")
    paths: list[Path] = []
    for operand in operands:  # in this order: what comes first in the expression is refused first
        if isinstance(operand, Size):
            raise validation(KEY_CONDITION, "KeyConditionExpressions cannot contain nested operations")
        if isinstance(operand, Path):
            if paths:
                text = "Multiple attribute names used in one condition"
                raise validation(KEY_CONDITION, f"Invalid condition in KeyConditionExpression: {text}")
            if len(operand.parts) > 1:
                text = "KeyConditionExpressions cannot have conditions on nested attributes"
                raise validation(KEY_CONDITION, text)
            paths.append(operand)
    if not paths:
        text = "No key attribute specified"
        raise validation(KEY_CONDITION, f"Invalid condition in KeyConditionExpression: {text}")
    if isinstance(operands[0], Path):
        return part
    return Condition(_TURNED[operator], (operands[1], operands[0]))


# Projections

Tree = dict[str | int, Any]  # a path's parts as nested mappings; an empty one takes the whole value


@dataclass(frozen=True)
class Projection:
    """Which parts of an item are asked for."""

    paths: tuple[Path, ...]

    def of(self, item: Item) -> Item:
        """The parts asked for, in the item's own order; list positions close up."""
        tree: Tree = {}
        for path in self.paths:
            node = tree
            for part in path.parts:
                node = node.setdefault(part, {})
        taken = _taken({"M": item}, tree)
        return taken["M"] if taken else {}


def _taken(value: AttributeValue, tree: Tree) -> AttributeValue | None:
    if not tree:
        return value
    kind, content = values.content_of(value)
    if kind == "M":
        members = {name: taken for name in content if name in tree and (taken := _taken(content[name], tree[name]))}
        return {"M": members} if members else None
    if kind == "L":
        positions = sorted(part for part in tree if isinstance(part, int) and part < len(content))
        kept = [taken for at in positions if (taken := _taken(content[at], tree[at]))]
        return {"L": kept} if kept else None
    return None


def parse_projection(text: str, placeholders: Placeholders) -> Projection:
    """A projection expression."""
    parser = _Parser("ProjectionExpression", text, placeholders)
    paths = parser.listed(parser.path)
    parser.ended()
    _refuse_overlap("ProjectionExpression", paths)
    return Projection(tuple(paths))


def _refuse_overlap(kind: str, paths: Sequence[Path]) -> None:
    # In order of their parts, a path stands right before one that it contains.
    ordered = sorted(paths, key=lambda path: [(isinstance(part, int), str(part)) for part in path.parts])
    for one, other in itertools.pairwise(ordered):
        if other.parts[: len(one.parts)] == one.parts:
            text = "Two document paths overlap with each other; must remove or rewrite one of these paths; "
            raise validation(OVERLAP, f"Invalid {kind}: {text}path one: {one}, path two: {other}")


# Updates


@dataclass(frozen=True)
class _Call:
    """``if_not_exists``, ``list_append``, ``+`` or ``-`` in a SET action."""

    name: str
    operands: tuple[Any, ...]


@dataclass(frozen=True)
class Update:
    """The actions of an update expression: SET with a value's expression, ADD and DELETE with literals, REMOVE."""

    assignments: tuple[tuple[Path, Any], ...] = ()
    additions: tuple[tuple[Path, AttributeValue], ...] = ()
    deletions: tuple[tuple[Path, AttributeValue], ...] = ()
    removals: tuple[Path, ...] = ()

    @property
    def only_removes(self) -> bool:
        """Whether it takes away and sets nothing: REMOVE and DELETE alone."""
        return not self.assignments and not self.additions and bool(self.deletions or self.removals)

    def paths(self) -> list[Path]:
        """Every path that it writes."""
        written = [path for path, _ in (*self.assignments, *self.additions, *self.deletions)]
        return [*written, *self.removals]

    def apply(self, item: Item) -> Item:
        """The item after the update. All values are read from ``item``, which stays as it is."""
        assigned = [(path, _value(operand, item)) for path, operand in self.assignments]
        updated = copy.deepcopy(item)
        for path, value in assigned:
            _assign(updated, path, value)
        for path, value in self.additions:
            _assign(updated, path, _added(path.find(item), value))
        for path, value in self.deletions:
            _delete_members(updated, path, path.find(item), value)
        # From the end of lists to their start, so that positions stay those of the item as it was.
        for path in sorted(self.removals, key=_positions, reverse=True):
            _remove(updated, path)
        return updated


def _positions(path: Path) -> list[int]:
    return [part for part in path.parts if isinstance(part, int)]


def parse_update(text: str, placeholders: Placeholders, key_names: Iterable[str]) -> Update:
    """An update expression for a table with these key attributes, which no update may touch."""
    kind = "UpdateExpression"
    parser = _Parser(kind, text, placeholders)
    sections: dict[str, list[Any]] = {}
    while parser.peek():
        section = parser.keyword()
        if section not in ("SET", "REMOVE", "ADD", "DELETE"):
            raise parser.syntax_error()
        if section in sections:
            text = f'The "{section}" section can only be used once in an update expression;'
            raise parser.refusal(SYNTAX, text)
        parser.take()
        if section == "SET":
            sections[section] = parser.listed(lambda: _assignment(parser))
        elif section == "REMOVE":
            sections[section] = parser.listed(parser.path)
        elif section == "ADD":
            sections[section] = parser.listed(lambda: _change(parser, "ADD", ("N", "SS", "NS", "BS")))
        else:
            sections[section] = parser.listed(lambda: _change(parser, "DELETE", ("SS", "NS", "BS")))
    update = Update(
        tuple(sections.get("SET", ())),
        tuple(sections.get("ADD", ())),
        tuple(sections.get("DELETE", ())),
        tuple(sections.get("REMOVE", ())),
    )
    _refuse_overlap(kind, update.paths())
    touched = next((path.parts[0] for path in update.paths() if str(path.parts[0]) in key_names), None)
    if touched is not None:
        raise invalid(UPDATE_PATHS, f"Cannot update attribute {touched}. This attribute is part of the key")
    return update


def _assignment(parser: _Parser) -> tuple[Path, Any]:
    path = parser.path()
    parser.take("=")
    first = _assigned(parser)
    if parser.peek() in ("+", "-"):
        operator = parser.take()
        return path, _checked_call(parser, operator, (first, _assigned(parser)), "N")
    return path, first


def _assigned(parser: _Parser) -> Any:
    name = parser.peek()
    if name in ("if_not_exists", "list_append") and parser.peek(1) == "(":
        parser.take()
        parser.take("(")
        with parser.deeper():
            first = parser.path() if name == "if_not_exists" else _assigned(parser)
            parser.take(",")
            operands = (first, _assigned(parser))
        parser.take(")")
        return _Call(name, operands) if name == "if_not_exists" else _checked_call(parser, name, operands, "L")
    return parser.operand()


def _checked_call(parser: _Parser, name: str, operands: tuple[Any, ...], kind: str) -> _Call:
    for operand in operands:
        if isinstance(operand, Literal) and kind not in operand.value:
            raise parser.wrong_operand(name, operand.value)
    return _Call(name, operands)


def _change(parser: _Parser, section: str, allowed: Sequence[str]) -> tuple[Path, AttributeValue]:
    path, value = parser.path(), parser.literal().value
    if values.content_of(value)[0] not in allowed:
        raise parser.wrong_operand(section, value)
    return path, value


def _value(operand: Any, item: Item) -> AttributeValue:
    """What a SET action's expression yields for ``item``."""
    if not isinstance(operand, _Call):
        value: AttributeValue | None = operand.find(item)
        if value is None:
            text = "The provided expression refers to an attribute that does not exist in the item"
            raise validation(UPDATE_PATHS, text)
        return value
    if operand.name == "if_not_exists":
        present: AttributeValue | None = operand.operands[0].find(item)
        return present if present is not None else _value(operand.operands[1], item)
    first, second = (_value(each, item) for each in operand.operands)
    if operand.name == "list_append":
        if "L" not in first or "L" not in second:
            raise _wrong_type()
        return {"L": [*first["L"], *second["L"]]}
    return _sum(first, second, -1 if operand.name == "-" else 1)


def _sum(first: AttributeValue, second: AttributeValue, sign: int) -> AttributeValue:
    if "N" not in first or "N" not in second:
        raise _wrong_type()
    total = _CONTEXT.fma(Decimal(sign), Decimal(second["N"]), Decimal(first["N"]))
    if len(_CONTEXT.normalize(total).as_tuple().digits) > values.MOST_DIGITS:
        raise validation(EXACT_SUMS, values.OVERFLOW)
    return {"N": values.canonical_number(str(total))}


def _added(present: AttributeValue | None, value: AttributeValue) -> AttributeValue:
    if present is None:
        return value
    (kind, content), (present_kind, present_content) = values.content_of(value), values.content_of(present)
    if kind != present_kind:
        raise _wrong_type()
    if kind == "N":
        return _sum(present, value, 1)
    return {kind: [*present_content, *(member for member in content if member not in present_content)]}


def _wrong_type() -> AwsError:
    return validation(UPDATE_PATHS, "An operand in the update expression has an incorrect data type")


def _container(item: Item, path: Path) -> Any:
    """Content of the map or list that holds the last part of ``path``."""
    holder = Path(path.parts[:-1]).find(item)
    kind, content = values.content_of(holder) if holder is not None else ("", None)
    if kind != ("L" if isinstance(path.parts[-1], int) else "M"):
        text = "The document path provided in the update expression is invalid for update"
        raise validation(UPDATE_PATHS, text)
    return content


def _assign(item: Item, path: Path, value: AttributeValue) -> None:
    content, last = _container(item, path), path.parts[-1]
    if isinstance(last, int) and last >= len(content):
        content.append(value)
    else:
        content[last] = value


def _delete_members(item: Item, path: Path, present: AttributeValue | None, value: AttributeValue) -> None:
    if present is None:
        return
    (kind, content), (present_kind, members) = values.content_of(value), values.content_of(present)
    if kind != present_kind:
        raise _wrong_type()
    left = [member for member in members if member not in content]
    if left:
        _assign(item, path, {kind: left})
    else:
        _remove(item, path)


def _remove(item: Item, path: Path) -> None:
    content, last = _container(item, path), path.parts[-1]
    if isinstance(last, str):
        content.pop(last, None)
    elif last < len(content):
        del content[last]
