# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The items of the data plane's benchmark: numbered, of one size, the same on every server.

An item follows from its number alone, so a server can generate a table of any size and a test can find missing items.
"""

from __future__ import annotations

import json
import random
import string
from functools import lru_cache
from typing import Any

# Both keys and the number attribute hold the item's number; a template has this where it stands.
SLOT = "%08d"
SLOTS = 3
KEY_SCHEMA = [
    {"AttributeName": "customer", "KeyType": "HASH"},
    {"AttributeName": "order", "KeyType": "RANGE"},
]
ATTRIBUTE_DEFINITIONS = [
    {"AttributeName": "customer", "AttributeType": "S"},
    {"AttributeName": "order", "AttributeType": "S"},
]

Item = dict[str, dict[str, Any]]


@lru_cache
def template(item_bytes: int, reordered: bool = False) -> bytes:
    """DynamoDB's JSON of an item of ``item_bytes`` bytes by AWS's count, with ``SLOT`` where its number stands.

    From 500 bytes on it has a set, a map, a list and binary; from 10,000 on half of it is a list of maps. ``reordered``
    is the same item, its attributes in another order.
    """
    random_ = random.Random(item_bytes)
    item: Item = {
        "customer": {"S": f"customer#{SLOT}"},
        "order": {"S": f"order#{SLOT}"},
        "amount": {"N": f"1{SLOT}"},
        "paid": {"BOOL": True},
    }
    if item_bytes >= 500:
        item["tags"] = {"SS": ["express", "fragile", "gift"]}
        item["address"] = {"M": {"zip": {"N": "10115"}, "lines": {"L": [{"S": "c/o"}, {"NULL": True}]}}}
        item["digest"] = {"B": "aGVsbG8gd29ybGQ="}
    if item_bytes >= 10_000:
        lines: list[dict[str, Any]] = []
        item["lines"] = {"L": lines}
        while size(item) < item_bytes // 2:
            line = {"sku": {"S": _text(random_, 12)}, "count": {"N": "3"}, "price": {"N": "1999.95"}}
            lines.append({"M": {**line, "gift": {"BOOL": False}}})
    item["note"] = {"S": ""}
    item["note"]["S"] = _text(random_, item_bytes - size(item))
    return json.dumps(_reordered(item) if reordered else item, separators=(",", ":")).encode()


def numbered(number: int, item_bytes: int, reordered: bool = False) -> bytes:
    """DynamoDB's JSON of item ``number``."""
    return template(item_bytes, reordered) % ((number,) * SLOTS)


def number_of(key: Item) -> int:
    """The number of the item with ``key``."""
    return int(key["order"]["S"].removeprefix("order#"))


def size(item: Item) -> int:
    """The size of ``item`` in bytes as AWS counts it (aws.md H), for what a template holds.

    A number takes one byte for two significant digits and one more; an item's own number is taken as nine digits.
    """
    return sum(len(name) + _value_size(value) for name, value in item.items())


def _value_size(value: dict[str, Any]) -> int:
    ((kind, content),) = value.items()
    if kind == "S":
        return len(content.replace(SLOT, "0" * 8))
    if kind == "N":
        digits = content.replace(SLOT, "1" * 8).replace(".", "").strip("0")
        return (len(digits) + 1) // 2 + 1
    if kind == "B":
        return len(content) * 3 // 4 - content.count("=")
    if kind == "SS":
        return sum(map(len, content))
    if kind == "L":
        return 3 + sum(1 + _value_size(member) for member in content)
    if kind == "M":
        return 3 + sum(len(name) + 1 + _value_size(member) for name, member in content.items())
    return 1


def _reordered(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _reordered(member) for name, member in reversed(value.items())}
    return [_reordered(member) for member in value] if isinstance(value, list) else value


def _text(random_: random.Random, length: int) -> str:
    return "".join(random_.choices(string.ascii_letters + " ", k=length))
