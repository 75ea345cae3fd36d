# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether several sources could have made one table: the one that has items of others already, or one to come."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

from ..errors import InvalidInput
from .definition import TableDefinition

Form: TypeAlias = tuple[list[tuple[str, str, str]], dict[str, Any]]

_WAYS = (
    "Give both tables the same key and the same indexes, by the transform or with leave_indexes; or choose another"
    " destination_table."
)


def require_same_shape(there: TableDefinition, wanted: TableDefinition, source_table: str) -> None:
    """Raises InvalidInput unless the table that is ``there`` has the key and the indexes of the one that is ``wanted``
    for the items of ``source_table``: an index would lack them, or refuse them."""
    keys = f"{_key_words(there)} there, {_key_words(wanted)} here"
    differing = list(_differing(wanted, there, keys, (source_table, "it")))
    if differing:
        raise InvalidInput(
            f"{there.name} was made for another source, and cannot take the items of {source_table}: they differ in"
            f" {'; '.join(differing)}.",
            _WAYS,
            table=source_table,
        )


def not_alike(name: str, one: tuple[str, TableDefinition], other: tuple[str, TableDefinition]) -> InvalidInput:
    """The error for the first of two sources of the table ``name``, each its ARN and the table that its items would
    make, where these differ in their ``form_of``."""
    (source_arn, wanted), (arn, others) = one, other
    source = source_arn.rpartition("/")[2]
    keys = f"{_key_words(wanted)} of {source}, {_key_words(others)} of {arn}"
    return InvalidInput(
        f"{source} and {arn} cannot both be merged in {name}: they differ in"
        f" {'; '.join(_differing(wanted, others, keys, (source, arn)))}.",
        _WAYS,
        table=source,
        details={"source": arn},
    )


def form_of(table: TableDefinition) -> Form:
    """The key and the indexes of a table, as far as tables of one merge must have the same."""
    return _key(table, table.raw), _indexes(table)


def _differing(one: TableDefinition, other: TableDefinition, keys: str, names: tuple[str, str]) -> Iterator[str]:
    """In what two tables differ, in words: those for their ``keys``, and their ``names``."""
    (key, mine), (other_key, theirs) = form_of(one), form_of(other)
    if key != other_key:
        yield f"the key ({keys})"
    for index in sorted({*mine, *theirs}):
        if index not in theirs or index not in mine:
            yield f"the index {index}, which {names[index in mine]} does not have"
        elif mine[index] != theirs[index]:
            yield f"the index {index}"


def _key_words(table: TableDefinition) -> str:
    return ", ".join(f"{name} {kind}" for name, _part, kind in _key(table, table.raw))


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
