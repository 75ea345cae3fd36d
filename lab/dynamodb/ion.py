# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Amazon Ion text, as far as DynamoDB's exports and imports use it (aws.md A7): attribute values to Ion and back."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from decimal import Context, Decimal
from typing import Any

from lab.dynamodb.values import AttributeValue, content_of

HEADER = "$ion_1_0 "
_SETS = {"$dynamodb_SS": "SS", "$dynamodb_NS": "NS", "$dynamodb_BS": "BS"}
_SYMBOL = re.compile(r"[A-Za-z_$][A-Za-z0-9_$]*")
_WIDE = Context(prec=38)
_KEYWORDS = frozenset({"null", "true", "false", "nan"})
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0", "a": "\a", "b": "\b", "f": "\f", "v": "\v"}
_TOKEN = re.compile(
    r"\s*(?:"
    r'(?P<string>"(?:[^"\\]|\\.)*")'
    r"|(?P<quoted>'(?:[^'\\]|\\.)*')"
    r"|\{\{\s*(?P<blob>[A-Za-z0-9+/=\s]*)\}\}"
    r"|(?P<number>[+-]?[0-9]+(?:\.[0-9]*)?(?:[dDeE][+-]?[0-9]+)?)"
    r"|(?P<symbol>[A-Za-z_$][A-Za-z0-9_$]*)"
    r"|(?P<mark>::|[{}\[\],:])"
    r")",
    re.DOTALL,
)


class IonFlaw(ValueError):
    """A line is not Ion, or not Ion that stands for attribute values."""


# Writing


def record(members: Mapping[str, str]) -> bytes:
    """A line with the version marker and a struct of members that are Ion already."""
    body = ",".join(f"{_symbol(name)}:{text}" for name, text in members.items())
    return f"{HEADER}{{{body}}}\n".encode()


def struct(item: Mapping[str, AttributeValue]) -> str:
    """An item as an Ion struct."""
    return "{" + ",".join(f"{_symbol(name)}:{write(value)}" for name, value in item.items()) + "}"


def write(value: AttributeValue) -> str:
    """One attribute value as Ion text."""
    kind, content = content_of(value)
    if kind == "S":
        return _string(content)
    if kind == "N":
        return number(content)
    if kind == "B":
        return f"{{{{{content}}}}}"
    if kind == "BOOL":
        return "true" if content else "false"
    if kind == "NULL":
        return "null"
    if kind == "M":
        return struct(content)
    if kind == "L":
        return f"[{','.join(map(write, content))}]"
    members = ",".join(write({kind[0]: member}) for member in content)
    return f"$dynamodb_{kind}::[{members}]"


def number(canonical: str) -> str:
    """A number as an Ion decimal without trailing zeros: ``103.``, ``2d3``, ``0.5``."""
    sign, digits, exponent = Decimal(canonical).normalize(_WIDE).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    minus = "-" if sign else ""
    if exponent > 0 or exponent < -40:
        return f"{minus}{text}d{exponent}"
    return f"{canonical}." if exponent == 0 else canonical


def _string(text: str) -> str:
    # JSON's escapes are Ion's too, except that Ion knows no surrogate pairs: those stay as they are.
    return json.dumps(text, ensure_ascii=False)


def _symbol(name: str) -> str:
    if _SYMBOL.fullmatch(name) and name not in _KEYWORDS:
        return name
    return "'" + _string(name)[1:-1].replace('\\"', '"').replace("'", "\\'") + "'"


# Reading


class _Reader:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.kind = ""
        self.token = ""
        self.advance()

    def advance(self) -> None:
        if not self.text[self.at :].strip():
            self.kind, self.token = "end", ""
            return
        match = _TOKEN.match(self.text, self.at)
        if match is None or match.lastgroup is None:
            raise IonFlaw("Unexpected token")
        self.kind, self.token, self.at = match.lastgroup, match[match.lastgroup], match.end()

    def take(self, mark: str) -> None:
        if (self.kind, self.token) != ("mark", mark):
            raise IonFlaw("Unexpected token")
        self.advance()

    def value(self) -> AttributeValue:
        kind, token = self.kind, self.token
        self.advance()
        if kind == "string":
            return {"S": _unescaped(token[1:-1])}
        if kind == "blob":
            return {"B": re.sub(r"\s", "", token)}
        if kind == "number":
            return {"N": re.sub("[dD]", "e", token)}
        if kind == "mark" and token == "{":
            return {"M": self.struct()}
        if kind == "mark" and token == "[":
            return {"L": self.entries()}
        if kind in ("symbol", "quoted") and (self.kind, self.token) == ("mark", "::"):
            self.advance()
            return self.annotated(token.strip("'"))
        if kind == "symbol" and token in ("true", "false"):
            return {"BOOL": token == "true"}
        if kind == "symbol" and token == "null":
            return {"NULL": True}
        raise IonFlaw("Unexpected token")

    def annotated(self, annotation: str) -> AttributeValue:
        value = self.value()
        if annotation not in _SETS:
            return value
        kind = _SETS[annotation]
        if any(kind[0] not in entry for entry in value.get("L", [{}])):
            raise IonFlaw("Unexpected token")
        return {kind: [entry[kind[0]] for entry in value["L"]]}

    def entries(self) -> list[AttributeValue]:
        elements: list[AttributeValue] = []
        while (self.kind, self.token) != ("mark", "]"):
            elements.append(self.value())
            if (self.kind, self.token) != ("mark", "]"):
                self.take(",")
        self.advance()
        return elements

    def struct(self) -> dict[str, AttributeValue]:
        members: dict[str, AttributeValue] = {}
        while (self.kind, self.token) != ("mark", "}"):
            if self.kind not in ("symbol", "quoted", "string"):
                raise IonFlaw("Unexpected token")
            name = self.token if self.kind == "symbol" else _unescaped(self.token[1:-1])
            self.advance()
            self.take(":")
            members[name] = self.value()
            if (self.kind, self.token) != ("mark", "}"):
                self.take(",")
        self.advance()
        return members


def _unescaped(text: str) -> str:
    def plain(match: re.Match[str]) -> str:
        escape = match[1]
        if escape[0] in "xuU" and len(escape) > 1:
            return chr(int(escape[1:], 16))
        return _ESCAPES.get(escape, escape)

    return re.sub(r"\\(x[0-9A-Fa-f]{2}|u[0-9A-Fa-f]{4}|U[0-9A-Fa-f]{8}|.)", plain, text, flags=re.DOTALL)


def read(line: str) -> dict[str, Any]:
    """The struct of one line as attribute values, numbers as written; IonFlaw for anything else."""
    text = line.strip().removeprefix(HEADER.strip())
    reader = _Reader(text)
    value = reader.value()
    if "M" not in value or reader.kind != "end":
        raise IonFlaw("Unexpected token")
    members: dict[str, Any] = value["M"]
    return members
