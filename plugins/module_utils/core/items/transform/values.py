# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attribute values in DynamoDB's JSON, decoded: which ones DynamoDB takes, and how it compares them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from collections.abc import Callable, Iterable, Mapping
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Any, TypeAlias

from .. import surrogates
from ..answers import Raw, Slice, canonical_number, joined, malformed, msgspec, split

# An item while its steps run: a value that no step has changed is Raw, any other one decoded.
Item: TypeAlias = dict[str, Any]
Value: TypeAlias = dict[str, Any]  # decoded: {"S": "text"}

SCALARS = frozenset({"S", "N", "B"})  # what keys can be
SETS = {"SS": "S", "NS": "N", "BS": "B"}  # each with the type of its elements
KINDS = frozenset({*SCALARS, *SETS, "BOOL", "NULL", "L", "M"})

MOST_DIGITS = 38  # significant ones of a number; it reaches from 1E-130 to 9.99E+125 (aws.md H)
LARGEST, SMALLEST = 125, -130
DEEPEST = 32  # lists and maps within each other (aws.md H)

_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")

# Without msgspec nothing is ever compiled that would call these.
_decode: Callable[[Any], Any] = msgspec.json.Decoder().decode if msgspec else json.loads
_decode_flat: Callable[[Any], Item] = msgspec.json.Decoder(dict[str, Raw]).decode if msgspec else json.loads
_encode: Callable[[Any], bytes] = msgspec.json.Encoder().encode if msgspec else joined


class Unfit(Exception):
    """An item, or a value, that a step cannot take. Its text says why, and shows nothing of the item."""


def parsed(item: Slice) -> Item:
    """An item, or a key, with its attributes raw. Raises ServiceError for anything else."""
    try:
        return _decode_flat(item)
    except msgspec.MsgspecError:
        try:
            return split(item, dict[str, Raw])  # type: ignore[no-any-return]
        except msgspec.MsgspecError as error:
            raise malformed("a read of items", "", error) from error


def whole(item: Slice) -> Item:
    """An item with all its values decoded. Raises ServiceError for anything else."""
    try:
        attributes = _decode(item)
    except msgspec.MsgspecError:
        attributes = {name: opened(value) for name, value in parsed(item).items()}
    if not isinstance(attributes, dict):
        raise malformed("a read of items", "", TypeError("no item"))
    return attributes


def encoded(item: Item) -> bytes:
    """The item's JSON, raw values as they are."""
    try:
        return _encode(item)
    except UnicodeEncodeError:  # for halves of surrogate pairs
        return joined(item)


def opened(value: Any) -> Value:
    """The value decoded; a value that is decoded already as it is: whoever changes it makes another one."""
    if isinstance(value, Raw):
        try:
            return _decode(value)  # type: ignore[no-any-return]
        except msgspec.MsgspecError:
            return surrogates.parsed(bytes(value))  # type: ignore[no-any-return]
    return value  # type: ignore[no-any-return]


def parts_of(value: Value) -> tuple[str, Any]:
    """Type and content of a decoded value."""
    for kind, content in value.items():
        return kind, content
    return "", None


def number(text: str) -> str:
    """The number ``text`` in the form in which DynamoDB returns it, every digit kept. Raises Unfit."""
    if text.isdigit() and text.isascii() and len(text) <= MOST_DIGITS and (text[0] != "0" or text == "0"):
        return text
    if not _NUMBER.fullmatch(text):
        raise Unfit("is not a number")
    try:
        exponent = Decimal(text).adjusted()
    except InvalidOperation:  # an exponent beyond the decimal module's own range
        raise Unfit("is a number beyond DynamoDB's range") from None
    plain = canonical_number(text)
    if plain != "0" and not SMALLEST <= exponent <= LARGEST:
        raise Unfit("is a number beyond DynamoDB's range")
    if len(plain.lstrip("-").replace(".", "").strip("0")) > MOST_DIGITS:
        raise Unfit(f"is a number of more than {MOST_DIGITS} digits")
    return plain


def binary(text: str) -> bytes:
    """The bytes behind base64 ``text``. Raises Unfit."""
    try:
        return binascii.a2b_base64(text, strict_mode=True)
    except (binascii.Error, ValueError):
        raise Unfit("is not base64") from None


def to_base64(content: bytes) -> str:
    """Bytes as they stand in DynamoDB's JSON."""
    return base64.b64encode(content).decode()


# What DynamoDB takes


def check(values: Iterable[Any], depth: int = 0) -> None:
    """Raises Unfit unless all ``values`` are such that DynamoDB takes, ``depth`` lists and maps deep.

    One call for all values of a level, with the usual ones first: it runs for each item that a function returns. Texts
    and lists are of these very classes: the encoder takes no others.
    """
    for value in values:
        if not isinstance(value, dict) or len(value) != 1:
            raise Unfit("is not one value in DynamoDB's JSON")
        for kind, content in value.items():
            if content.__class__ is str:
                if kind == "S" and content.isascii():
                    continue
                if kind == "N" and len(content) <= MOST_DIGITS and content.isdigit() and content.isascii():
                    continue
            elif (content is True or content is False) and (kind == "BOOL" or kind == "NULL"):
                continue
            _CHECKS.get(kind, _check_nothing)(content, depth)


def _check_text(content: Any, _depth: int = 0) -> None:
    if content.__class__ is not str:
        raise Unfit("has something else than text in S")
    if not content.isascii():
        try:
            content.encode()
        except UnicodeEncodeError:
            raise Unfit("is no Unicode text") from None


def _check_number(content: Any, _depth: int = 0) -> None:
    if content.__class__ is not str:
        raise Unfit("has something else than text in N")
    number(content)


def _check_binary(content: Any, _depth: int = 0) -> None:
    if content.__class__ is not str:
        raise Unfit("has something else than base64 in B")
    binary(content)


def _check_truth(content: Any, _depth: int) -> None:
    if not isinstance(content, bool):
        raise Unfit("has something else than true or false in BOOL or NULL")


def _check_map(content: Any, depth: int) -> None:
    if not isinstance(content, dict):
        raise Unfit("has something else than a map in M")
    if depth >= DEEPEST:
        raise Unfit(f"is nested more than {DEEPEST} levels deep")
    check_names(content)
    check(content.values(), depth + 1)


def _check_list(content: Any, depth: int) -> None:
    if content.__class__ is not list:
        raise Unfit("has something else than a list in L")
    if depth >= DEEPEST:
        raise Unfit(f"is nested more than {DEEPEST} levels deep")
    check(content, depth + 1)


def _check_set(kind: str, content: Any, _depth: int) -> None:
    if content.__class__ is not list or not content:
        raise Unfit(f"has something else than a list with elements in {kind}")
    if set(map(type, content)) != {str}:
        raise Unfit(f"has an element that is no text in {kind}")
    if kind == "SS":
        _check_text("".join(content))
    else:
        one = _check_number if kind == "NS" else _check_binary
        for each in content:
            one(each)
    if len(members(kind, content)) < len(content):
        raise Unfit(f"has an element twice in {kind}")


def _check_nothing(_content: Any, _depth: int) -> None:
    raise Unfit("has a type that DynamoDB does not have")


_CHECKS: dict[Any, Callable[[Any, int], None]] = {
    "S": _check_text,
    "N": _check_number,
    "B": _check_binary,
    "BOOL": _check_truth,
    "NULL": _check_truth,
    "M": _check_map,
    "L": _check_list,
    **{kind: partial(_check_set, kind) for kind in SETS},
}


def check_names(values: dict[Any, Any]) -> str:
    """The names of ``values``, joined. Raises Unfit for those that DynamoDB does not take."""
    try:
        names = "\n".join(values)
    except TypeError:
        raise Unfit("has a name that is no text") from None
    if "" in values:
        raise Unfit("has an empty name")
    if not names.isascii():
        _check_text(names)
    return names


def constant(value: Any) -> Value:
    """A value of the user's in DynamoDB's JSON, whole numbers in N without quotes allowed. Raises Unfit."""
    made = _with_texts(value)
    check([made])
    return made  # type: ignore[no-any-return]


def _with_texts(value: Any) -> Any:
    """``value`` in dicts, lists and texts of Python's own, with texts in place of whole numbers in N."""
    if not isinstance(value, Mapping) or len(value) != 1:
        return value
    ((kind, content),) = value.items()
    if kind == "N":
        content = _as_text(content)
    elif kind == "M" and isinstance(content, Mapping):
        content = {str(name): _with_texts(each) for name, each in content.items()}
    elif isinstance(content, (list, tuple)):
        one = _with_texts if kind == "L" else _as_text
        content = [one(each) for each in content]
    elif isinstance(content, str):
        content = str(content)
    return {str(kind): content}


def _as_text(content: Any) -> Any:
    whole = isinstance(content, (str, int)) and not isinstance(content, bool)
    return str(content) if whole else content


# How DynamoDB compares


def members(kind: str, content: list[str]) -> frozenset[Any]:
    """The elements of a set, equal as DynamoDB takes them for equal."""
    if kind == "NS":
        return frozenset(map(canonical_number, content))
    return frozenset(map(base64.b64decode, content) if kind == "BS" else content)


def equal(one: Value, other: Value) -> bool:
    """Whether two values are equal: of one type, numbers by value, sets without order."""
    if one == other:
        return True
    (kind, content), (other_kind, other_content) = parts_of(one), parts_of(other)
    if kind != other_kind or kind in ("S", "BOOL"):
        return False
    if kind == "NULL":
        return True
    if kind == "N":
        return canonical_number(content) == canonical_number(other_content)
    if kind == "B":
        return base64.b64decode(content) == base64.b64decode(other_content)
    if kind in SETS:
        return members(kind, content) == members(kind, other_content)
    if kind == "L":
        return len(content) == len(other_content) and all(map(equal, content, other_content))
    return content.keys() == other_content.keys() and all(equal(content[name], other_content[name]) for name in content)


def ordered(value: Value) -> Any:
    """What orders a value of S, N or B among those of its type, None for other types. Raises nothing.

    Texts order as their UTF-8 does, which is how Python orders them.
    """
    kind, content = parts_of(value)
    if kind == "N":
        return Decimal(content)  # exact, whatever the context's precision is
    if kind == "S":
        return content
    return base64.b64decode(content) if kind == "B" else None
