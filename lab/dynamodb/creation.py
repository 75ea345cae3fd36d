# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CreateTable and ImportTable refuse before a table exists (measured/indexes-capacity 1)."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from lab.dynamodb import encryption, limits
from lab.dynamodb.address import check_table_name
from lab.dynamodb.model import ON_DEMAND_WARM, Encryption, Shape
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, in_use, invalid, over_limit, validation
from lab.world import Context

CAPACITY_NEEDED = belief(
    "test_creation", "provisioned-needs-capacity",
    "Without BillingMode a table is PROVISIONED, and then the table and each global index need both capacities",
    "measured/indexes-capacity 1 [TABLE-024], measured/import-export-table 1.6",
)  # fmt: skip
NO_CAPACITY = belief(
    "test_creation", "on-demand-takes-no-capacity",
    "PAY_PER_REQUEST refuses ProvisionedThroughput of the table and of indexes",
    "measured/indexes-capacity 1 [TABLE-038]",
)  # fmt: skip
MAXIMUM_NEEDS_ON_DEMAND = belief(
    "test_creation", "maximum-needs-on-demand",
    "OnDemandThroughput is refused while the mode is PROVISIONED",
    "measured/indexes-capacity 1 [TABLE-038]",
)  # fmt: skip
MAXIMUM_RANGE = belief(
    "test_creation", "maximum-range-at-create",
    "At creation a maximum of 0 or below is out of range; -1 is legal in UpdateTable only",
    "measured/indexes-capacity 1 [TABLE-039]",
)  # fmt: skip
WARM_FLOOR = belief(
    "test_creation", "warm-not-below-initial",
    "Warm throughput below what the table has by itself is refused: 12000/4000 on demand, else the capacity",
    "measured/indexes-capacity 1 [TABLE-039]",
)  # fmt: skip
DEFINITIONS_EXACT = belief(
    "test_creation", "attribute-definitions-exact",
    "AttributeDefinitions are exactly the key attributes of table and indexes, checked before other index rules",
    "measured/indexes-capacity 1 [TABLE-127]",
)  # fmt: skip
KEY_ORDER = belief(
    "test_creation", "key-schema-order",
    "HASH comes before RANGE, a table's or local index's key has one of each, a global index's up to four of each",
    "measured/indexes-capacity 1 [TABLE-042, TABLE-123]",
)  # fmt: skip
PROJECTION = belief(
    "test_creation", "projection-type",
    "ProjectionType is mandatory; INCLUDE needs distinct NonKeyAttributes, ALL and KEYS_ONLY forbid them",
    "measured/indexes-capacity 1 [TABLE-126]",
)  # fmt: skip
INDEX_COUNT = belief(
    "test_creation", "index-counts",
    "At most 20 global and 5 local indexes at creation, an empty list of them is refused",
    "measured/indexes-capacity 1 [TABLE-129, TABLE-169]",
)  # fmt: skip
LOCAL_INDEX = belief(
    "test_creation", "local-index-shape",
    "A local index needs a table with a range key, its hash key and a range key of its own",
    "measured/indexes-capacity 1 [TABLE-129]",
)  # fmt: skip
INDEX_NAMES = belief(
    "test_creation", "index-names-unique",
    "Index names are unique across global and local ones",
    "measured/indexes-capacity 1 [TABLE-129]",
)  # fmt: skip
STREAM_AT_CREATE = belief(
    "test_creation", "stream-at-create",
    "A stream that is on needs a view type, one that is off takes none",
    "measured/settings 2.9 [TABLE-035]",
)  # fmt: skip
VECTOR_ON_DEMAND = belief(
    "test_creation", "vector-index-needs-on-demand",
    "Vector indexes need the mode PAY_PER_REQUEST, at most 5 in a table",
    "aws.md B, G", confirmed=False,
)  # fmt: skip
EXISTS = belief(
    "test_creation", "table-exists",
    "A second table of a name is ResourceInUseException: `is being created` while CREATING (`used` where a restore "
    "makes it), else `already exists`",
    "measured/import-export-table 1.9 [TABLE-005, TABLE-010]; measured/backup-restore-service 2.5 [TABLE-219]",
)  # fmt: skip
NAMES = belief(
    "test_creation", "names-of-three-to-255",
    "Names of indexes have 3 to 255 of the characters a-z A-Z 0-9 _ - .",
    "measured/indexes-capacity 1 [TABLE-129], measured/backup-restore-service [TABLE-457]",
)  # fmt: skip
MEMBERS = belief(
    "test_creation", "creation-needs-key-and-definitions",
    "CreateTable without KeySchema or AttributeDefinitions is a ValidationException, as is one without definitions",
    "measured/more 3 [TABLE-042]",
)  # fmt: skip
CAPACITY_QUOTA = belief(
    "test_creation", "capacity-quota",
    "40,000 units per table and per index, 80,000 per account and Region; on-demand maxima and warm throughput alike",
    "measured/indexes-capacity 3 [TABLE-170, TABLE-171]",
)  # fmt: skip

_NAME = re.compile(r"[a-zA-Z0-9_.-]+")
LOCAL_INDEXES, VECTOR_INDEXES, KEY_ATTRIBUTES_OF_EACH_KIND = 5, 5, 4


def check(context: Context, parameters: Shape, *, importing: bool = False) -> Encryption:
    """Refuse ``parameters`` of CreateTable or (``importing``) of ImportTable as AWS does, in its order.

    Returns the encryption that they ask for, its key resolved. ValidationException, LimitExceededException, and what
    KMS refuses.
    """
    mode = parameters.get("BillingMode", "PROVISIONED")
    _check_names(parameters, importing)
    _check_members(parameters)
    encryption.check_shape(parameters.get("SSESpecification"), "tableCreationParameters." if importing else "")
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        if parameters.get(member) == []:
            raise invalid(INDEX_COUNT, f"List of {member} is empty")
    global_indexes: list[Shape] = parameters.get("GlobalSecondaryIndexes", [])
    local_indexes: list[Shape] = parameters.get("LocalSecondaryIndexes", [])
    _check_capacity(parameters, global_indexes, mode)
    _check_on_demand(parameters, global_indexes, mode)
    _check_warm(parameters, global_indexes, mode)
    check_key_schema(parameters["KeySchema"], each_kind=1)
    _check_definitions(parameters, [*global_indexes, *local_indexes])
    _check_indexes(context, parameters, global_indexes, local_indexes)
    _check_vector_indexes(parameters, mode)
    _check_stream(parameters.get("StreamSpecification"))
    _check_quotas(context, parameters, global_indexes)
    return encryption.resolve(context, parameters.get("SSESpecification"))


def _check_names(parameters: Shape, importing: bool) -> None:
    check_table_name(parameters["TableName"], "tableCreationParameters.tableName" if importing else "tableName")
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes", "VectorIndexes"):
        for index in parameters.get(member, ()):
            check_name(index["IndexName"])


def _check_members(parameters: Shape) -> None:
    """Refuse what the model no longer demands, as copies of global tables go without it, but plain tables need."""
    for member in ("AttributeDefinitions", "KeySchema"):
        if member not in parameters:
            at = f"{member[0].lower()}{member[1:]}"
            text = f"1 validation error detected: Value null at '{at}' failed to satisfy constraint: "
            raise validation(MEMBERS, f"{text}Member must not be null")
    if not parameters["AttributeDefinitions"]:
        raise validation(MEMBERS, "Invalid KeySchema: Some index key attribute have no definition")


def check_name(name: str) -> None:
    """Refuse a name that no index can have."""
    if not 3 <= len(name) <= 255:
        raise validation(NAMES, "IndexName must be at least 3 characters long and at most 255 characters long")
    if not _NAME.fullmatch(name):
        raise validation(
            NAMES,
            f"1 validation error detected: Value '{name}' at 'indexName' failed to satisfy constraint: Member must "
            "satisfy regular expression pattern: [a-zA-Z0-9_.-]+",
        )


def refuse_existing(context: Context, name: str) -> None:
    """ResourceInUseException where a table of that name exists in any state (measured/import-export-table 1.9)."""
    table = registry(context).resolve(context, name)
    if table is None:
        return
    if table.status(context.world.clock.now()) == "CREATING":
        verb = "used" if table.origin == "restore" else "created"
        raise in_use(EXISTS, f"Table is being {verb}: {table.name}")
    raise EXISTS.error("ResourceInUseException", f"Table already exists: {table.name}")


def _check_capacity(parameters: Shape, indexes: Iterable[Shape], mode: str) -> None:
    given = parameters.get("ProvisionedThroughput")
    if mode == "PROVISIONED" and not given:
        raise invalid(
            CAPACITY_NEEDED,
            "ReadCapacityUnits and WriteCapacityUnits must both be specified when BillingMode is PROVISIONED",
        )
    if mode == "PAY_PER_REQUEST" and given:
        raise invalid(
            NO_CAPACITY,
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )
    for index in indexes:
        name = index["IndexName"]
        if mode == "PROVISIONED" and not index.get("ProvisionedThroughput"):
            raise invalid(CAPACITY_NEEDED, f"ProvisionedThroughput is not specified for index: {name}")
        if mode == "PAY_PER_REQUEST" and index.get("ProvisionedThroughput"):
            raise invalid(
                NO_CAPACITY,
                f"ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST",
            )


def _check_on_demand(parameters: Shape, indexes: Iterable[Shape], mode: str) -> None:
    for owner, shape in (("", parameters), *((index["IndexName"], index) for index in indexes)):
        subject = f"index : {owner}" if owner else "table"
        for member, value in shape.get("OnDemandThroughput", {}).items():
            if mode == "PROVISIONED":
                raise invalid(
                    MAXIMUM_NEEDS_ON_DEMAND,
                    f"{member} for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED.",
                )
            if value < 1:
                raise invalid(
                    MAXIMUM_RANGE, f"Requested {member} for OnDemandThroughput for {subject} is outside of valid range"
                )


def _check_warm(parameters: Shape, indexes: Iterable[Shape], mode: str) -> None:
    for owner, shape in (("table", parameters), *((f"index {index['IndexName']}", index) for index in indexes)):
        capacity = shape.get("ProvisionedThroughput", {})
        provisioned = mode == "PROVISIONED"
        for member, capacity_member in (
            ("ReadUnitsPerSecond", "ReadCapacityUnits"), ("WriteUnitsPerSecond", "WriteCapacityUnits")
        ):  # fmt: skip
            floor = capacity.get(capacity_member, 0) if provisioned else ON_DEMAND_WARM[member]
            than = f"{capacity_member} of ProvisionedThroughput" if provisioned else "initial throughput for OnDemand"
            if shape.get("WarmThroughput", {}).get(member, floor) < floor:
                raise invalid(WARM_FLOOR, f"Requested {member} for WarmThroughput for {owner} is lower than {than}")


def check_key_schema(keys: Sequence[Shape], each_kind: int) -> None:
    """Refuse a KeySchema that is out of order, too long or repeats itself. ``each_kind``: how many HASH, and RANGE."""
    kinds = [key["KeyType"] for key in keys]
    names = [key["AttributeName"] for key in keys]
    if kinds[0] != "HASH":
        raise validation(KEY_ORDER, "Invalid KeySchema: The first KeySchemaElement is not a HASH key type")
    if each_kind == 1:
        if len(keys) == 2 and kinds[1] != "RANGE":
            raise validation(KEY_ORDER, "Invalid KeySchema: The second KeySchemaElement is not a RANGE key type")
        if len(keys) > 2:
            raise invalid(KEY_ORDER, "Invalid KeySchema: Too many KeySchemaElements")
        if len(set(names)) != len(names):
            text = "Both the Hash Key and the Range Key element in the KeySchema have the same name"
            raise validation(KEY_ORDER, text)
    if kinds != sorted(kinds):  # HASH sorts before RANGE
        raise invalid(KEY_ORDER, "All HASH key attributes must precede RANGE key attributes in the KeySchema")
    for kind in ("HASH", "RANGE"):
        if kinds.count(kind) > each_kind:
            raise invalid(KEY_ORDER, f"The KeySchema exceeds the maximum allowed number of {kind} key attributes")
    if len(set(names)) != len(names):
        raise invalid(KEY_ORDER, "The KeySchema contains multiple key attributes with the same name")


def _names(names: Iterable[str]) -> str:
    return "[" + ", ".join(names) + "]"


def _check_definitions(parameters: Shape, indexes: Sequence[Shape]) -> None:
    defined = [each["AttributeName"] for each in parameters["AttributeDefinitions"]]
    for name in defined:
        if defined.count(name) > 1:
            raise validation(DEFINITIONS_EXACT, f"Attribute Name is duplicated: {name}")
    schemas = [parameters["KeySchema"], *(index["KeySchema"] for index in indexes)]
    used = list(dict.fromkeys(key["AttributeName"] for schema in schemas for key in schema))
    used += _searched(parameters, defined)
    missing = [name for name in used if name not in defined]
    if missing and (indexes or len(used) == len(defined)):
        raise invalid(
            DEFINITIONS_EXACT,
            f"Some index key attributes are not defined in AttributeDefinitions. Keys: {_names(missing)}, "
            f"AttributeDefinitions: {_names(defined)}",
        )
    if len(used) == len(defined):
        return
    if indexes:
        raise invalid(
            DEFINITIONS_EXACT,
            f"Some AttributeDefinitions are not used. AttributeDefinitions: {_names(defined)}, "
            f"keys used: {_names(used)}",
        )
    raise invalid(
        DEFINITIONS_EXACT,
        "Number of attributes in KeySchema does not exactly match number of attributes defined in AttributeDefinitions",
    )


def _searched(parameters: Shape, defined: Sequence[str]) -> list[str]:
    """Attributes that vector indexes name in their search schemas and the table defines."""
    elements = [each for index in parameters.get("VectorIndexes", ()) for each in index.get("SearchSchema", ())]
    keys = {key["AttributeName"] for key in parameters["KeySchema"]}
    return [
        name
        for name in dict.fromkeys(each["AttributeName"] for each in elements)
        if name in defined and name not in keys
    ]


def check_projection(projection: Shape) -> None:
    """Refuse a Projection without a type, or whose NonKeyAttributes do not fit its type."""
    kind, names = projection.get("ProjectionType"), projection.get("NonKeyAttributes", [])
    if kind is None:
        raise invalid(PROJECTION, "Unknown ProjectionType: null")
    if kind == "INCLUDE" and not names:
        raise invalid(PROJECTION, "ProjectionType is INCLUDE, but NonKeyAttributes is not specified")
    if kind != "INCLUDE" and names:
        raise invalid(PROJECTION, f"ProjectionType is {kind}, but NonKeyAttributes is specified")
    for name in names:
        if names.count(name) > 1:
            raise invalid(PROJECTION, f"Duplicate element in NonKeyAttributes: {name}")


def _check_indexes(
    context: Context, parameters: Shape, global_indexes: Sequence[Shape], local_indexes: Sequence[Shape]
) -> None:
    most = context.world.quota(context.account_id, limits.GLOBAL_INDEXES)
    if len(global_indexes) > most:
        raise invalid(INDEX_COUNT, f"GlobalSecondaryIndex count exceeds the per-table limit of {most}")
    if len(local_indexes) > LOCAL_INDEXES:
        raise validation(INDEX_COUNT, f"Number of LocalSecondaryIndexes exceeds per-table limit of {LOCAL_INDEXES}")
    names = [index["IndexName"] for index in (*global_indexes, *local_indexes)]
    for name in names:
        if names.count(name) > 1:
            raise invalid(INDEX_NAMES, f"Duplicate index name: {name}")
    for index in global_indexes:
        check_key_schema(index["KeySchema"], KEY_ATTRIBUTES_OF_EACH_KIND)
        check_projection(index["Projection"])
    table_keys = parameters["KeySchema"]
    for index in local_indexes:
        if len(table_keys) < 2:
            raise invalid(
                LOCAL_INDEX,
                "Table KeySchema does not have a range key, which is required when specifying a LocalSecondaryIndex",
            )
        check_key_schema(index["KeySchema"], each_kind=1)
        if index["KeySchema"][0] != table_keys[0]:
            raise invalid(
                LOCAL_INDEX,
                "Index KeySchema does not have the same leading hash key as table KeySchema for index: "
                f"{index['IndexName']}. index hash key: {index['KeySchema'][0]['AttributeName']}, "
                f"table hash key: {table_keys[0]['AttributeName']}",
            )
        if len(index["KeySchema"]) < 2:
            raise invalid(LOCAL_INDEX, f"Index KeySchema does not have a range key for index: {index['IndexName']}")
        check_projection(index["Projection"])


def _check_vector_indexes(parameters: Shape, mode: str) -> None:
    vectors = parameters.get("VectorIndexes", ())
    if vectors and mode != "PAY_PER_REQUEST":
        raise invalid(VECTOR_ON_DEMAND, "VectorIndexes can only be specified when BillingMode is PAY_PER_REQUEST")
    if len(vectors) > VECTOR_INDEXES:
        raise invalid(VECTOR_ON_DEMAND, f"VectorIndex count exceeds the per-table limit of {VECTOR_INDEXES}")


def _check_stream(stream: Shape | None) -> None:
    if stream is None:
        return
    if stream["StreamEnabled"] and "StreamViewType" not in stream:
        raise invalid(STREAM_AT_CREATE, "Table is being created with a stream enabled, UpdateViewType is required")
    if not stream["StreamEnabled"] and "StreamViewType" in stream:
        raise invalid(
            STREAM_AT_CREATE, "Table is being created with a stream disabled, UpdateViewType should not be specified"
        )


# Quotas


def _check_quotas(context: Context, parameters: Shape, indexes: Iterable[Shape]) -> None:
    check_units(context, parameters)
    for index in indexes:
        check_units(context, index, index["IndexName"])
    check_account_units(context, [parameters, *indexes])


def check_units(context: Context, shape: Shape, index: str = "") -> None:
    """Refuse capacity, on-demand maxima or warm throughput of ``shape`` above the quota per table or index."""
    if not context.world.quotas:
        return
    most = context.world.quota(context.account_id, limits.TABLE_UNITS)
    subject = f" for index {index}" if index else ""
    per = "index" if index else "table"
    for member, value in shape.get("ProvisionedThroughput", {}).items():
        if value > most:
            raise CAPACITY_QUOTA.error(
                "LimitExceededException",
                f"The requested {member}, {value}{subject}, is above the per {per} maximum for the account in "
                f"{context.region}. Per {per} maximum: {most}. Refer to the Amazon DynamoDB Developer Guide for "
                "current limits and how to request higher limits.",
            )
    for block in ("OnDemandThroughput", "WarmThroughput"):
        for member, value in shape.get(block, {}).items():
            if value > most:
                kind = "Read" if "Read" in member else "Write"
                raise over_limit(
                    CAPACITY_QUOTA,
                    f"Requested {member} for {block} for {f'index {index}' if index else 'table'} exceeds "
                    f"TableMax{kind}CapacityUnits of the account in region {context.region}",
                )


def check_account_units(context: Context, shapes: Iterable[Shape], replaced: Shape | None = None) -> None:
    """Refuse new capacity that takes the account over its quota; ``replaced`` is what the shapes take the place of."""
    if not context.world.quotas:
        return
    asked = [shape["ProvisionedThroughput"] for shape in shapes if "ProvisionedThroughput" in shape]
    if not asked:
        return
    most = context.world.quota(context.account_id, limits.ACCOUNT_UNITS)
    for member, kind in (("ReadCapacityUnits", "read"), ("WriteCapacityUnits", "write")):
        held = limits.account_units(context, kind)
        total = held + sum(each.get(member, 0) for each in asked) - (replaced or {}).get(member, 0)
        if total > most:
            raise CAPACITY_QUOTA.error(
                "LimitExceededException",
                f"This request would have caused the {member} limit to be exceeded for the account in "
                f"{context.region}. Maximum {member}: {most}.",
            )
