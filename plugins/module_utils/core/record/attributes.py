# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Values as DynamoDB's attributes and back: only the types that records have. Nothing here calls AWS."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

Attribute = Mapping[str, Any]
Item = Mapping[str, Attribute]


def to_attribute(value: Any) -> dict[str, Any]:
    """``value`` (text, number, boolean, None, list, mapping, set of texts, dataclass) as DynamoDB's attribute.

    Raises TypeError for any other type. Sets must not be empty: DynamoDB has no empty set.
    """
    if value is None:
        return {"NULL": True}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, int | float):
        return {"N": repr(value)}
    if isinstance(value, set | frozenset):
        return {"SS": sorted(value)}
    if isinstance(value, Mapping):
        return {"M": to_item(value)}
    if isinstance(value, list | tuple):
        return {"L": [to_attribute(entry) for entry in value]}
    if is_dataclass(value):
        return {"M": {each.name: to_attribute(getattr(value, each.name)) for each in fields(value)}}
    raise TypeError(f"A record holds no {type(value).__name__}.")


def from_attribute(attribute: Attribute) -> Any:
    """The value of DynamoDB's ``attribute``. Raises TypeError for a type that records do not have."""
    ((kind, value),) = attribute.items()
    if kind == "N":
        return float(value) if set(value) & set(".eE") else int(value)
    if kind in ("S", "BOOL"):
        return value
    if kind == "NULL":
        return None
    if kind == "SS":
        return frozenset(value)
    if kind == "M":
        return from_item(value)
    if kind == "L":
        return [from_attribute(entry) for entry in value]
    raise TypeError(f"A record holds no attribute of type {kind}.")


def to_item(values: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """``values`` as DynamoDB's item."""
    return {str(name): to_attribute(value) for name, value in values.items()}


def from_item(item: Item) -> dict[str, Any]:
    """The values of DynamoDB's ``item``."""
    return {name: from_attribute(attribute) for name, attribute in item.items()}
