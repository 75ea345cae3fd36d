# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The keys of a table and of its indexes, as steps that change keys need them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ..answers import KeyAttribute

PARTITION_BYTES, SORT_BYTES = 2048, 1024  # at most, in a table and in an index (aws.md H)


@dataclass(frozen=True)
class KeySchema:
    """The key of a table or of an index; ``local`` for a local secondary index."""

    partition: tuple[KeyAttribute, ...]
    sort: tuple[KeyAttribute, ...] = ()
    local: bool = False

    @property
    def attributes(self) -> tuple[KeyAttribute, ...]:
        """The key attributes in their order."""
        return self.partition + self.sort

    @property
    def limits(self) -> Iterator[tuple[KeyAttribute, int]]:
        """Each key attribute with the bytes that it may have at most."""
        yield from ((attribute, PARTITION_BYTES) for attribute in self.partition)
        yield from ((attribute, SORT_BYTES) for attribute in self.sort)


@dataclass(frozen=True)
class TableSchemas:
    """The key of a table, and those of its indexes by their names."""

    table: KeySchema
    indexes: Mapping[str, KeySchema] = field(default_factory=dict)

    def __iter__(self) -> Iterator[tuple[str, KeySchema]]:
        """Each schema with its index's name, "" for the table's."""
        yield "", self.table
        yield from self.indexes.items()


def schemas_of(description: Mapping[str, Any]) -> TableSchemas:
    """The schemas of a table by its description: DescribeTable's, or a request's for CreateTable."""
    types = {each["AttributeName"]: each["AttributeType"] for each in description["AttributeDefinitions"]}

    def schema(holder: Mapping[str, Any], local: bool) -> KeySchema:
        parts: dict[str, list[KeyAttribute]] = {"HASH": [], "RANGE": []}
        for each in holder["KeySchema"]:
            parts[each["KeyType"]].append(KeyAttribute(each["AttributeName"], types[each["AttributeName"]]))
        return KeySchema(tuple(parts["HASH"]), tuple(parts["RANGE"]), local)

    indexes = {
        each["IndexName"]: schema(each, local)
        for member, local in (("GlobalSecondaryIndexes", False), ("LocalSecondaryIndexes", True))
        for each in description.get(member) or ()
    }
    return TableSchemas(schema(description, False), indexes)
