# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parameters with which an import, or CreateTable, creates a table."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from ..errors import InvalidInput, LocalSecondaryIndexes
from .definition import Index, Shape, TableDefinition
from .encryption import Encryption, map_encryption

# What AWS gives every on-demand table anyway (measured/indexes-capacity 1), and a provisioned one by its capacity.
WARM_BY_DEFAULT = {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000}
_CAPACITY = {"ReadUnitsPerSecond": "ReadCapacityUnits", "WriteUnitsPerSecond": "WriteCapacityUnits"}


def initial_warm(provisioned_throughput: Shape | None) -> dict[str, int]:
    """The warm throughput that a new table or index has by itself: its capacity, or on demand AWS's default
    (measured/indexes-capacity 3)."""
    if not provisioned_throughput:
        return dict(WARM_BY_DEFAULT)
    return {member: int(provisioned_throughput.get(units, 0)) for member, units in _CAPACITY.items()}


def warm_above(units: Shape, provisioned_throughput: Shape | None) -> tuple[dict[str, int], dict[str, int]]:
    """What of the warm throughput ``units`` is above what a table or index of that capacity has by itself: what was
    once provisioned or bought, and what only says that the table was on demand once.

    The latter are provisioned units at exactly AWS's default for on-demand tables (measured/indexes-capacity 5.8).
    """
    own = initial_warm(provisioned_throughput)
    above = {member: value for member, value in units.items() if value > own.get(member, 0)}
    once = {member: value for member, value in above.items() if value == WARM_BY_DEFAULT[member]}
    return {member: value for member, value in above.items() if member not in once}, once


def import_parameters(
    definition: TableDefinition,
    name: str,
    kms_key_map: Mapping[str, str],
    *,
    encryption: Encryption | None = None,
) -> Shape:
    """TableCreationParameters of ImportTable for a table ``name`` like ``definition``, with all its indexes.

    Indexes added later cost 8 to 17 minutes each, here nothing (measured/indexes-capacity 5.1). AttributeDefinitions
    hold exactly the keys used (aws.md B1). ``encryption`` is the source's, from read_encryption; without it any KMS key
    counts as a customer's. Table class, stream, tags, warm throughput (of indexes too: AWS refuses it there,
    aws.md B1) and the rest are settings: an import cannot express them. Raises MissingKeyMapping,
    LocalSecondaryIndexes, InvalidInput.
    """
    require_importable(definition)
    return _parameters(definition, name, kms_key_map, encryption, warm_throughput=False)


def require_importable(definition: TableDefinition) -> None:
    """Raises LocalSecondaryIndexes for a table that an import cannot create (aws.md B1)."""
    if definition.local_secondary_indexes:
        names = ", ".join(index.name for index in definition.local_secondary_indexes)
        raise LocalSecondaryIndexes(
            f"The table has local secondary indexes ({names}), which an import cannot create.",
            "Use a method that can create them.",
            table=definition.name,
        )


def check_indexes(definition: TableDefinition, indexes_after: Collection[str], leave_indexes: Collection[str]) -> None:
    """Raises InvalidInput for names of which the table has no global secondary index; local ones come with it."""
    known = {index.name for index in definition.global_secondary_indexes}
    for option, names in (("indexes_after", indexes_after), ("leave_indexes", leave_indexes)):
        unknown = sorted(set(names) - known)
        if unknown:
            raise InvalidInput(
                f"{option} names {', '.join(unknown)}: the table has no such global secondary index.",
                f"Name some of {', '.join(sorted(known))}." if known else f"Leave {option} out.",
                table=definition.name,
            )
    both = sorted(set(indexes_after) & set(leave_indexes))
    if both:
        raise InvalidInput(
            f"indexes_after and leave_indexes both name {', '.join(both)}.", "Choose one.", table=definition.name
        )


def creation_parameters(
    definition: TableDefinition,
    name: str,
    kms_key_map: Mapping[str, str],
    *,
    tags: Mapping[str, str],
    encryption: Encryption | None = None,
    warm_throughput: bool = False,
) -> Shape:
    """The request of CreateTable for a table ``name`` like ``definition``, with its indexes, its class and ``tags``.

    With ``warm_throughput`` table and indexes are warm from the start, which is charged. Stream, time to
    live and protection are settings for a table that has its items. Raises MissingKeyMapping.
    """
    warm, _once = warm_above(definition.warm_throughput, definition.provisioned_throughput)
    parameters: Shape = {
        **_parameters(definition, name, kms_key_map, encryption, warm_throughput),
        "AttributeDefinitions": list(definition.attribute_definitions),
        "LocalSecondaryIndexes": [
            {"IndexName": index.name, "KeySchema": list(index.key_schema), "Projection": index.projection}
            for index in definition.local_secondary_indexes
        ],
        "TableClass": definition.table_class if definition.table_class != "STANDARD" else None,
        "WarmThroughput": warm if warm_throughput else None,
        "Tags": [{"Key": key, "Value": value} for key, value in tags.items()],
    }
    return {key: value for key, value in parameters.items() if value}


def _parameters(
    definition: TableDefinition,
    name: str,
    kms_key_map: Mapping[str, str],
    encryption: Encryption | None,
    warm_throughput: bool,
) -> Shape:
    """The parameters that ImportTable and CreateTable share."""
    source = encryption or (Encryption("customer", definition.kms_key_arn) if definition.kms_key_arn else Encryption())
    provisioned = definition.billing_mode == "PROVISIONED"
    parameters: Shape = {
        "TableName": name,
        "AttributeDefinitions": definition.attributes_of(used_attributes(definition)),
        "KeySchema": list(definition.key_schema),
        "BillingMode": definition.billing_mode,
        "ProvisionedThroughput": definition.provisioned_throughput if provisioned else None,
        "OnDemandThroughput": None if provisioned else definition.on_demand_throughput,
        "SSESpecification": map_encryption(source, kms_key_map, definition.name).specification(),
        "GlobalSecondaryIndexes": [
            index_parameters(index, provisioned, warm_throughput) for index in definition.global_secondary_indexes
        ],
        "VectorIndexes": [vector_index_parameters(index) for index in definition.vector_indexes],
    }
    return {key: value for key, value in parameters.items() if value}


def used_attributes(definition: TableDefinition) -> list[str]:
    """The attributes that table keys, global secondary indexes and vector indexes use."""
    names = list(definition.key_attributes)
    for index in definition.global_secondary_indexes:
        names += index.key_attributes
    defined = {entry["AttributeName"] for entry in definition.attribute_definitions}
    for vector_index in definition.vector_indexes:
        names += [
            key["AttributeName"] for key in vector_index.get("SearchSchema", ()) if key["AttributeName"] in defined
        ]
    return names


def index_parameters(index: Index, provisioned: bool, warm_throughput: bool = False) -> Shape:
    """A global secondary index as CreateTable, ImportTable and UpdateTable take it.

    With ``warm_throughput``, which ImportTable refuses, its warm throughput too, where above what AWS gives anyway: it
    is charged.
    """
    warm, _once = warm_above(index.warm_throughput, index.provisioned_throughput if provisioned else None)
    parameters: Shape = {
        "IndexName": index.name,
        "KeySchema": list(index.key_schema),
        "Projection": index.projection,
        "ProvisionedThroughput": index.provisioned_throughput if provisioned else None,
        "OnDemandThroughput": None if provisioned else index.on_demand_throughput,
        "WarmThroughput": warm if warm_throughput else None,
    }
    return {key: value for key, value in parameters.items() if value}


def vector_index_parameters(index: Shape) -> Shape:
    """A vector index as CreateTable, ImportTable and UpdateTable take it (aws.md G)."""
    members = ("IndexName", "VectorAttribute", "SearchSchema", "Projection", "Dimensions", "DistanceFunction")
    return {name: index[name] for name in members if index.get(name)}
