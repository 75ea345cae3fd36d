# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Attribute values as DynamoDB compares, measures and returns them, in the form of the wire: ``{"N": "5"}``.

Whatever is stored went through ``canonical_item`` first: numbers are normalized, so that equal numbers are equal text.
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from decimal import Decimal, InvalidOperation
from typing import Any

from lab.dynamodb.words import belief, invalid, validation
from lab.errors import AwsError

AttributeValue = dict[str, Any]
Item = dict[str, AttributeValue]

KEY_BYTES = {"HASH": 2048, "RANGE": 1024}  # of a key, in a table and in an index (aws.md H)
MAX_ITEM_BYTES = 400 * 1024
MAX_NESTING = 32
MOST_DIGITS = 38  # of a number
OVERFLOW = "Number overflow. Attempting to store a number with magnitude larger than supported range"
SETS = {"SS": "string", "NS": "number", "BS": "binary"}

NUMBERS_NORMALIZED = belief(
    "test_values", "numbers-are-normalized",
    "Numbers come back without leading and trailing zeros and without an exponent: 1e3 is 1000, as a key and in a set",
    "emulators.md 9, aws.md B2",
)  # fmt: skip
NUMBER_LIMITS = belief(
    "test_values", "number-limits",
    "A number has at most 38 significant digits and a magnitude from 1E-130 to 9.99..E+125",
    "aws.md H",
)  # fmt: skip
SET_MEMBERS = belief(
    "test_values", "sets-hold-a-member-once",
    "A set is neither empty nor holds a member twice (5 and 5.0 are one number): ValidationException",
    "emulators.md 9",
)  # fmt: skip
NESTING = belief(
    "test_values", "nesting-depth",
    "Lists and maps nest up to 32 levels deep",
    "aws.md H",
)  # fmt: skip
ONE_TYPE = belief(
    "test_values", "one-type-per-value",
    "An attribute value has exactly one of the ten types",
    "AWS API reference dynamodb:AttributeValue",
)  # fmt: skip
NULL_IS_TRUE = belief(
    "test_values", "null-is-true",
    "NULL with false is taken as NULL with true",
    "tests that run on AWS: nubo-db/dynamodb-conformance, tests/tier3/error-messages/putItem",
)  # fmt: skip
ATTRIBUTE_NAMES = belief(
    "test_values", "attribute-name-not-empty",
    "An attribute's name is not empty, nested ones included",
    "emulators.md 9",
)  # fmt: skip
ATTRIBUTE_NAME_BYTES = belief(
    "test_values", "attribute-name-length",
    "An attribute's name has at most 65535 bytes, in items and behind placeholders; the text is a guess",
    "ScyllaDB's tests, which run on AWS: alternator/test_limits.py",
)  # fmt: skip
EMPTY_VALUES = belief(
    "test_values", "empty-values-outside-keys",
    "Empty strings, binaries, lists and maps are values like others, except in keys",
    "aws.md H",
)  # fmt: skip

_NAME_BYTES = 65535
_SHORT_INTEGER = re.compile(r"0|-?[1-9][0-9]{0,37}")
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")


def canonical_number(text: Any) -> str:
    """The text in which DynamoDB returns the number ``text``: plain digits, no superfluous zeros.

    ValidationException for what is not a number or out of DynamoDB's range (38 digits, 1E-130 to 9.99..E+125).
    """
    if not isinstance(text, str):
        raise _not_of_the_wire("NUMBER_VALUE can not be converted to a String")
    if _SHORT_INTEGER.fullmatch(text):
        return text
    if not _NUMBER.fullmatch(text):
        raise validation(NUMBER_LIMITS, f"The parameter cannot be converted to a numeric value: {text}")
    try:
        number = Decimal(text)
    except InvalidOperation:  # an exponent beyond the decimal module's own range
        number = Decimal("1E1000" if "-" not in text.lower().partition("e")[2] else "1E-1000")
    sign, digits, exponent = number.as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits))
    significant = text.rstrip("0")
    if not significant:
        return "0"
    if len(significant) > MOST_DIGITS:
        raise validation(NUMBER_LIMITS, "Attempting to store more than 38 significant digits in a Number")
    if number.adjusted() > 125:
        raise validation(NUMBER_LIMITS, OVERFLOW)
    if number.adjusted() < -130:
        words = "Number underflow. Attempting to store a number with magnitude smaller than supported range"
        raise validation(NUMBER_LIMITS, words)
    shift = exponent + len(text) - len(significant)
    return f"{Decimal((sign, digits[: len(significant)], shift)):f}"


def canonical_binary(text: Any) -> str:
    """Base64 ``text`` checked; SerializationException for what is not base64."""
    if not isinstance(text, str):
        raise _not_of_the_wire("Unexpected value type in payload")
    if len(text) % 4:
        raise _not_of_the_wire(f"Base64 encoded length is expected a multiple of 4 bytes but found: {len(text)}")
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except (binascii.Error, ValueError):
        raise _not_of_the_wire("Invalid last non-whitespace Base64 character found") from None


def text_size(text: str) -> int:
    """Bytes of ``text`` in UTF-8."""
    if text.isascii():
        return len(text)
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        raise _not_of_the_wire("The request holds a string that is not Unicode text") from None


def name_size(name: str) -> int:
    """Bytes of an attribute's name; ValidationException for one that is too long."""
    size = text_size(name)
    if size > _NAME_BYTES:
        raise invalid(ATTRIBUTE_NAME_BYTES, f"Attribute name is too large, must be less than {_NAME_BYTES + 1} bytes")
    return size


def number_size(canonical: str) -> int:
    """Bytes that DynamoDB counts for a number: one for two significant digits, one more, one for a minus sign."""
    digits = canonical.lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + canonical.startswith("-")


def binary_size(text: str) -> int:
    """Bytes behind base64 ``text``."""
    return len(text) // 4 * 3 - (text.endswith("=") + text.endswith("=="))


def canonical_item(item: Any, depth: int = 0) -> tuple[Item, int]:
    """An item (or a map's content) with its values canonical, and its size in bytes as AWS counts it, names included.

    The sizes are those of DynamoDB's developer guide ("Item sizes and formats"); the limit is for the caller to check.
    Raises ValidationException or SerializationException.
    """
    if not isinstance(item, dict):
        raise _not_of_the_wire("Unexpected value type in payload")
    canonical, total = {}, 0
    for name, value in item.items():
        if not name:
            raise invalid(ATTRIBUTE_NAMES, "Attribute name must not be empty")
        canonical[name], size = canonical_value(value, depth)
        total += name_size(name) + size
    return canonical, total


def canonical_value(value: Any, depth: int = 0) -> tuple[AttributeValue, int]:
    """One value, canonical, and its size in bytes. ``depth`` is the number of lists and maps around it."""
    if not isinstance(value, dict):
        raise _not_of_the_wire("Unexpected value type in payload")
    if len(value) != 1:
        problem = "has more than one datatypes set" if value else "is empty"
        raise validation(
            ONE_TYPE, f"Supplied AttributeValue {problem}, must contain exactly one of the supported datatypes"
        )
    ((kind, content),) = value.items()
    if kind == "S":
        if not isinstance(content, str):
            raise _not_of_the_wire("Unexpected value type in payload")
        return value, text_size(content)
    if kind == "N":
        number = canonical_number(content)
        return (value if number == content else {"N": number}), number_size(number)
    if kind == "B":
        content = canonical_binary(content)
        return {"B": content}, binary_size(content)
    if kind == "BOOL":
        if not isinstance(content, bool):
            raise _not_of_the_wire("Unexpected value type in payload")
        return value, 1
    if kind == "NULL":
        if not isinstance(content, bool):
            raise _not_of_the_wire("Unexpected value type in payload")
        return (value if content else {"NULL": True}), 1
    if kind in SETS:
        return _canonical_set(kind, content)
    if kind not in ("L", "M"):
        text = "Supplied AttributeValue is empty, must contain exactly one of the supported datatypes"
        raise validation(ONE_TYPE, text)
    if depth >= MAX_NESTING:
        raise validation(NESTING, "Nesting Levels have exceeded supported limits")
    if kind == "M":
        members, size = canonical_item(content, depth + 1)
        return {"M": members}, size + 3 + len(members)
    if not isinstance(content, list):
        raise _not_of_the_wire("Unexpected value type in payload")
    entries = [canonical_value(each, depth + 1) for each in content]
    return {"L": [entry for entry, _ in entries]}, sum(size for _, size in entries) + 3 + len(entries)


def _canonical_set(kind: str, content: Any) -> tuple[AttributeValue, int]:
    if not isinstance(content, list):
        raise _not_of_the_wire("Unexpected value type in payload")
    if not content:
        text = "Binary sets should not be empty" if kind == "BS" else f"An {SETS[kind]} set  may not be empty"
        raise invalid(SET_MEMBERS, text)
    canonical, size_of = {
        "SS": (_text, text_size),
        "NS": (canonical_number, number_size),
        "BS": (canonical_binary, binary_size),
    }[kind]
    members = [canonical(each) for each in content]
    if len(set(members)) < len(members):
        raise invalid(SET_MEMBERS, f"Input collection [{', '.join(map(str, content))}] contains duplicates.")
    return {kind: members}, sum(map(size_of, members))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise _not_of_the_wire("Unexpected value type in payload")
    return value


def item_size(item: Item) -> int:
    """Size in bytes of an item that is canonical already."""
    return canonical_item(item)[1]


def dump(item: Item) -> bytes:
    """An item's compact JSON, as it is stored and sent."""
    return json.dumps(item, separators=(",", ":"), ensure_ascii=False).encode()


def content_of(value: AttributeValue) -> tuple[str, Any]:
    """Type and content of a value."""
    ((kind, content),) = value.items()
    return kind, content


def comparable(value: AttributeValue) -> Any:
    """What orders a scalar value among those of its type: Decimal, or bytes (strings compare by UTF-8)."""
    kind, content = content_of(value)
    if kind == "N":
        return Decimal(content)
    if kind == "S":
        return content.encode()
    return base64.b64decode(content) if kind == "B" else content


def equal(one: AttributeValue, other: AttributeValue) -> bool:
    """Whether two canonical values are equal; the order of a set's members does not matter."""
    (kind, content), (other_kind, other_content) = content_of(one), content_of(other)
    if kind != other_kind:
        return False
    if kind in SETS:
        return set(content) == set(other_content)
    if kind == "L":
        return len(content) == len(other_content) and all(map(equal, content, other_content))
    if kind == "M":
        return content.keys() == other_content.keys() and all(equal(content[n], other_content[n]) for n in content)
    return bool(content == other_content)


# Keys


def encode_key(value: AttributeValue) -> bytes:
    """Bytes that order as DynamoDB orders the key values S, N and B, each type for itself; no encoding starts another.

    A type's letter, the content, an end: so encodings may be joined, and an encoding without its end (``key_prefix``)
    starts those of all longer values.
    """
    kind, content = content_of(value)
    if kind == "N":
        return b"N" + _ordered_number(content)
    return key_prefix(value) + b"\0\0"


def key_prefix(value: AttributeValue) -> bytes:
    """How the encodings of all strings (or binaries) start that begin with ``value``."""
    kind, content = content_of(value)
    raw = content.encode() if kind == "S" else base64.b64decode(content)
    return kind.encode() + raw.replace(b"\0", b"\0\xff")


def _ordered_number(canonical: str) -> bytes:
    sign, digits, exponent = Decimal(canonical).as_tuple()
    assert isinstance(exponent, int)
    text = "".join(map(str, digits)).rstrip("0")
    if not text:
        return b"\x80"
    # As 0.d1d2d3.. times a power of ten: first the power, then two digits a byte, then an end below all digits.
    magnitude = len(digits) + exponent + 300
    pairs = text + "0" * (len(text) % 2)
    packed = bytes(int(pairs[at : at + 2]) + 1 for at in range(0, len(pairs), 2))
    encoded = magnitude.to_bytes(2, "big") + packed + b"\0"
    return b"\x40" + bytes(255 - byte for byte in encoded) if sign else b"\xc0" + encoded


def _not_of_the_wire(text: str) -> AwsError:
    return AwsError("SerializationException", text)
