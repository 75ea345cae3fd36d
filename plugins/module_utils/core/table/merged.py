# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether a table that has items of other sources already is one that this source could have made."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..errors import InvalidInput
from .definition import TableDefinition


def require_same_shape(there: TableDefinition, wanted: TableDefinition, source_table: str) -> None:
    """Raises InvalidInput unless the table that is ``there`` has the key and the indexes of the one that is ``wanted``
    for the items of ``source_table``: an index would lack them, or refuse them."""
    differing = []
    if _key(there, there.raw) != _key(wanted, wanted.raw):
        differing.append(f"the key ({', '.join(there.key_attributes)} there, {', '.join(wanted.key_attributes)} here)")
    mine, theirs = _indexes(wanted), _indexes(there)
    for name in sorted({*mine, *theirs}):
        if name not in theirs:
            differing.append(f"the index {name}, which it does not have")
        elif name not in mine:
            differing.append(f"the index {name}, which {source_table} does not have")
        elif mine[name] != theirs[name]:
            differing.append(f"the index {name}")
    if differing:
        raise InvalidInput(
            f"{there.name} was made for another source, and cannot take the items of {source_table}: they differ in"
            f" {'; '.join(differing)}.",
            "Give both tables the same key and the same indexes, by the transform or with leave_indexes; or choose"
            " another destination_table.",
            table=source_table,
        )


def _key(table: TableDefinition, shape: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    types = {each["AttributeName"]: each["AttributeType"] for each in table.attribute_definitions}
    schema = sorted(shape.get("KeySchema", ()), key=lambda each: str(each["KeyType"]))
    return [(each["AttributeName"], each["KeyType"], types.get(each["AttributeName"], "")) for each in schema]


def _indexes(table: TableDefinition) -> dict[str, Any]:
    found = {}
    for kind in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        for index in table.raw.get(kind) or ():
            projection = index.get("Projection") or {}
            others = sorted(projection.get("NonKeyAttributes", ()))
            found[index["IndexName"]] = (kind, _key(table, index), projection.get("ProjectionType"), others)
    return found
