# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's sizes: of items, and of the values of keys."""

from __future__ import annotations

from typing import Any

from ..answers import canonical_number
from .values import Item, Value, opened, parts_of

MOST_BYTES = 400 * 1024  # of an item, its names included (aws.md H)


def item_size(item: Item) -> int:
    """The bytes of an item as DynamoDB counts them (developer guide, "DynamoDB item sizes and formats")."""
    return sum(_text(name) + _value(opened(value)) for name, value in item.items())


def key_size(value: Value) -> int:
    """The bytes of the value of a key attribute."""
    kind, content = parts_of(value)
    return _SIZES[kind](content)


def _value(value: Value) -> int:
    kind, content = parts_of(value)
    if kind == "M":
        return 3 + sum(1 + _text(name) + _value(each) for name, each in content.items())
    if kind == "L":
        return 3 + sum(1 + _value(each) for each in content)
    one = _SIZES.get(kind)
    if one is not None:
        return one(content)
    of_element = _SIZES.get(kind[0]) if kind in ("SS", "NS", "BS") else None
    return sum(map(of_element, content)) if of_element else 1  # BOOL and NULL


def _text(text: Any) -> int:
    return len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass"))


def _number(text: str) -> int:
    """One byte for two significant digits, one more, and one for a minus sign."""
    plain = canonical_number(text)
    digits = plain.lstrip("-").replace(".", "").strip("0")
    return (len(digits) + 1) // 2 + 1 + plain.startswith("-")


def _binary(text: str) -> int:
    return len(text) // 4 * 3 - (text.endswith("=") + text.endswith("=="))


_SIZES = {"S": _text, "N": _number, "B": _binary}
