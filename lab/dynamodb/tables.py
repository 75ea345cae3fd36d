# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables from CreateTable to DeleteTable, and what an account may read about them."""

from __future__ import annotations

import math
import uuid
from collections.abc import Callable
from typing import Any, Literal

from lab.dynamodb import admission, creation, limits, resource_policy, streams, tags
from lab.dynamodb import encryption as encryption_at_rest
from lab.dynamodb.address import address
from lab.dynamodb.model import (
    ON_DEMAND_WARM,
    Billing,
    Encryption,
    Index,
    Origin,
    PointInTimeRecovery,
    Shape,
    Table,
    TableClass,
    Tags,
    Throughput,
    Warm,
)
from lab.dynamodb.registry import registry
from lab.dynamodb.shape import describe
from lab.dynamodb.store import TableStore
from lab.dynamodb.words import belief, in_use, validation
from lab.world import Context

PROTECTED = belief(
    "test_tables", "deletion-protection-refuses",
    "DeleteTable of a protected table is a ValidationException",
    "measured/settings 2.8 [TABLE-016]",
)  # fmt: skip
BEING_CREATED = belief(
    "test_tables", "creating-refuses-changes",
    "While a table is CREATING, by CreateTable or import, UpdateTable and DeleteTable are ResourceInUseException",
    "measured/indexes-capacity 2 [TABLE-002], measured/import-export-table 1.7",
)  # fmt: skip
BEING_DELETED = belief(
    "test_tables", "deleting-refuses-changes",
    "While a table is DELETING, UpdateTable and DeleteTable are ResourceInUseException; then its name is free",
    "measured/import-export-table 1.9 [TABLE-006, TABLE-076]",
)  # fmt: skip
WRITES_PENDING = belief(
    "test_tables", "delete-waits-for-writes",
    "DeleteTable is ResourceInUseException for about two seconds after a tag or policy write",
    "measured/import-export-table 1.9 [TABLE-103], measured/policy-autoscaling-replicas 1 [TABLE-348]",
)  # fmt: skip
DELETE_ANSWER = belief(
    "test_tables", "delete-answer",
    "DeleteTable's answer has the billing mode, capacity, size and names, not keys, definitions, indexes or dates",
    "measured/more 5 [TABLE-363]; ScyllaDB's tests, which run on AWS, for BillingModeSummary",
)  # fmt: skip
CREATING_TIME = belief(
    "test_tables", "table-creating",
    "DescribeTable finds a new table at once, CREATING; table and indexes become ACTIVE together, later with indexes",
    "measured/import-export-table 1.9 [TABLE-075], measured/indexes-capacity 1 [TABLE-148]",
)  # fmt: skip
CREATE_ANSWER = belief(
    "test_tables", "create-answer",
    "CreateTable's answer lacks warm throughput (sent, it is UPDATING) and the date of the billing summary",
    "measured/indexes-capacity 3 [TABLE-033], measured/more 6 [TABLE-032]",
)  # fmt: skip
SORTED = belief(
    "test_tables", "definitions-sorted",
    "AttributeDefinitions and NonKeyAttributes come back sorted by name, indexes and their keys as sent",
    "measured/indexes-capacity 2 [TABLE-125]",
)  # fmt: skip
ABSENT_MEMBERS = belief(
    "test_tables", "absent-members",
    "Never on demand: no BillingModeSummary; class not sent: no TableClassSummary; stream off: no StreamSpecification",
    "measured/indexes-capacity 3 [TABLE-025], measured/settings 2.7, 2.9",
)  # fmt: skip
COUNTS_LATE = belief(
    "test_tables", "item-count-late",
    "ItemCount and TableSizeBytes are 0 at first and hours old later",
    "aws.md G, measured/import-export-table 1.7",
)  # fmt: skip
LISTED = belief(
    "test_tables", "tables-listed-in-byte-order",
    "ListTables is in byte order, 100 to a page at most, DELETING tables included; any start name is accepted",
    "measured/import-export-table 1.9 [TABLE-012, TABLE-072]",
)  # fmt: skip
UNDELETABLE = belief(
    "test_snapshots", "no-delete-during-backup",
    "A table cannot be deleted while AWS Backup backs it up; the text is a guess",
    "aws.md C4",
)  # fmt: skip
NEW_IDENTITY = belief(
    "test_tables", "recreated-table-inherits-nothing",
    "A table made again under its name has the same ARN, a new TableId and none of the old settings or cooldowns",
    "measured/import-export-table 1.9 [TABLE-009, TABLE-377]",
)  # fmt: skip
NO_GLOBAL_TABLES = belief(
    "test_tables", "no-global-tables",
    "The lab has no global tables: replicas are refused, as in an account where replication is not available",
    "the lab's own limit", confirmed=False,
)  # fmt: skip


_DELETE_ANSWER = (
    "TableName", "TableArn", "TableId", "TableStatus", "ProvisionedThroughput", "BillingModeSummary", "TableSizeBytes",
    "ItemCount", "DeletionProtectionEnabled",
)  # fmt: skip
# Members of CreateTable and of its indexes that say what a table may do in a second.
CAPACITY = ("ProvisionedThroughput", "OnDemandThroughput")


def description(context: Context, table: Table) -> Shape:
    """DescribeTable's ``Table`` as of now."""
    return describe(table, context.world.clock.now(), context.world.timings)


def create_table(context: Context, params: Shape) -> Shape:
    """CreateTable."""
    if "GlobalTableSourceArn" in params:
        raise validation(NO_GLOBAL_TABLES, "Global tables are not available in this account")
    encryption = creation.check(context, params)
    tags.check_new(context, params.get("Tags", []))
    if "ResourcePolicy" in params:
        resource_policy.check_document(context, params["ResourcePolicy"], context.arn(f"table/{params['TableName']}"))
    creation.refuse_existing(context, params["TableName"])
    limits.require_room(context)
    limits.take_control_plane_write(context)
    has_indexes = bool(params.get("GlobalSecondaryIndexes"))
    table = create(
        context,
        params,
        origin="create",
        encryption=encryption,
        active_after=context.world.timings.seconds("table.creating_with_indexes" if has_indexes else "table.creating"),
    )
    if params.get("StreamSpecification", {}).get("StreamEnabled"):
        streams.begin(context, table, params["StreamSpecification"])
    if "ResourcePolicy" in params:
        resource_policy.attach(context, table, params["ResourcePolicy"])
    shown = description(context, table)
    if "WarmThroughput" in params:
        shown["WarmThroughput"]["Status"] = "UPDATING"
    else:
        del shown["WarmThroughput"]
    shown.get("BillingModeSummary", {}).pop("LastUpdateToPayPerRequestDateTime", None)
    return {"TableDescription": shown}


# Making


def check_import(context: Context, parameters: Shape) -> None:
    """Refuse TableCreationParameters as ImportTable does at the call: shapes, capacity, key, existing name."""
    creation.check(context, parameters, importing=True)
    creation.refuse_existing(context, parameters["TableName"])


def create_from_import(context: Context, parameters: Shape, table_id: str, *, visible_after: float = 0.0) -> Table:
    """The table of an import, CREATING until ``TableRegistry.activate``; ``parameters`` are the checked
    TableCreationParameters.

    ``visible_after`` seconds from now DescribeTable finds it. An import that does not own its name until then
    creates the table only when it becomes visible. ResourceInUseException when the name is taken by then.
    """
    creation.refuse_existing(context, parameters["TableName"])
    return create(context, parameters, origin="import", table_id=table_id, visible_after=visible_after)


def create(
    context: Context,
    parameters: Shape,
    *,
    origin: Origin,
    encryption: Encryption | None = None,
    table_id: str = "",
    visible_after: float = 0.0,
    active_after: float = math.inf,
) -> Table:
    """Register the table that checked ``parameters`` describe, CREATING for ``active_after`` seconds.

    An infinite ``active_after`` leaves it CREATING until ``TableRegistry.activate``.
    """
    world, tables = context.world, registry(context)
    where = address(context, parameters["TableName"])
    if tables.find(*where, visible_only=False) is not None:
        raise creation.EXISTS.error("ResourceInUseException", f"Table already exists: {where.name}")
    if encryption is None:
        encryption = encryption_at_rest.resolve(context, parameters.get("SSESpecification"))
    table_id = table_id or str(uuid.UUID(int=world.random.getrandbits(128), version=4))
    now = world.clock.now()
    definitions = sorted(parameters["AttributeDefinitions"], key=lambda each: each["AttributeName"])
    table = Table(
        account=where.account,
        region=where.region,
        name=where.name,
        table_id=table_id,
        created_at=now + visible_after,
        origin=origin,
        key_schema=parameters["KeySchema"],
        attribute_definitions=definitions,
        billing=_billing(parameters, now),
        store=TableStore(
            world.data_directory / "dynamodb" / table_id, parameters["KeySchema"], parameters["AttributeDefinitions"]
        ),
        pitr=PointInTimeRecovery(world.timings),
        encryption=encryption,
        counted=(now, 0, 0),
    )
    table.table_class = TableClass(parameters.get("TableClass", "STANDARD"), shown="TableClass" in parameters)
    table.protection.enabled = parameters.get("DeletionProtectionEnabled", False)
    table.tagging = Tags(current={tag["Key"]: tag["Value"] for tag in parameters.get("Tags", ())})
    _add_indexes(table, parameters)
    table.first_capacity = {
        shape.get("IndexName", ""): {name: shape[name] for name in CAPACITY if name in shape}
        for shape in (parameters, *parameters.get("GlobalSecondaryIndexes", ()))
    }
    table.vector_indexes = [dict(shape) for shape in parameters.get("VectorIndexes", ())]
    tables.add(table)
    if active_after != math.inf:
        table.active_at = now + active_after
        world.schedule(active_after, lambda: tables.activate(table))
    return table


def _add_indexes(table: Table, parameters: Shape) -> None:
    kinds: tuple[tuple[Literal["global", "local"], str], ...] = (
        ("global", "GlobalSecondaryIndexes"),
        ("local", "LocalSecondaryIndexes"),
    )
    for kind, member in kinds:
        for shape in parameters.get(member, ()):
            index = new_index(table, shape, kind)
            table.indexes[index.name] = index
            table.store.add_index(index.name, index.key_schema, index.projection)


def new_index(table: Table, shape: Shape, kind: Literal["global", "local"]) -> Index:
    """An index, CREATING, from a member of CreateTable or of a Create action."""
    projection = dict(shape["Projection"])
    if "NonKeyAttributes" in projection:
        projection["NonKeyAttributes"] = sorted(projection["NonKeyAttributes"])
    return Index(
        name=shape["IndexName"],
        arn=f"{table.arn}/index/{shape['IndexName']}",
        kind=kind,
        key_schema=shape["KeySchema"],
        projection=projection,
        throughput=Throughput.of(shape.get("ProvisionedThroughput")),
        on_demand=dict(shape.get("OnDemandThroughput", {})),
        warm=Warm(warm_units(table.billing.mode, shape)),
    )


def warm_units(mode: str, shape: Shape) -> Shape:
    """Warm throughput of a new table or index: what was asked for, or else what its mode gives."""
    capacity = shape.get("ProvisionedThroughput", {})
    given = dict(ON_DEMAND_WARM)
    if mode == "PROVISIONED":
        given = {
            "ReadUnitsPerSecond": capacity.get("ReadCapacityUnits", 0),
            "WriteUnitsPerSecond": capacity.get("WriteCapacityUnits", 0),
        }
    return {**given, **shape.get("WarmThroughput", {})}


def _billing(parameters: Shape, now: float) -> Billing:
    mode = parameters.get("BillingMode", "PROVISIONED")
    return Billing(
        mode=mode,
        throughput=Throughput.of(parameters.get("ProvisionedThroughput")),
        on_demand=dict(parameters.get("OnDemandThroughput", {})),
        warm=Warm(warm_units(mode, parameters)),
        switched_to_on_demand=now if mode == "PAY_PER_REQUEST" else None,
    )


# Reading and deleting


def describe_table(context: Context, params: Shape) -> Shape:
    """DescribeTable."""
    return {"Table": description(context, registry(context).require(context, params["TableName"]))}


def refuse_unsettled(context: Context, table: Table) -> None:
    """ResourceInUseException for a change of a table that is CREATING or DELETING."""
    status = table.status(context.world.clock.now())
    if status == "CREATING":
        raise in_use(BEING_CREATED, f"Table is being created: {table.name}")
    if status == "DELETING":
        raise in_use(BEING_DELETED, f"Table is being deleted: {table.name}")


def delete_table(context: Context, params: Shape) -> Shape:
    """DeleteTable."""
    table = registry(context).require(context, params["TableName"])
    refuse_unsettled(context, table)
    if table.protection.enabled:
        raise validation(
            PROTECTED,
            "Resource cannot be deleted as it is currently protected against deletion. Disable deletion protection "
            "first.",
        )
    if table.tagging.locked:
        raise in_use(WRITES_PENDING, f"Table tags are being updated: {table.name}")
    if resource_policy.is_pending(context, table):
        raise in_use(WRITES_PENDING, f"Table: {table.name} has a pending resource-based policy update.")
    if table.backups_running:
        raise in_use(UNDELETABLE, f"Table is being backed up: {table.name}")
    admission.admit(table, "delete_table")
    limits.take_control_plane_write(context)
    registry(context).delete(table)
    shown = description(context, table)
    return {"TableDescription": {name: shown[name] for name in _DELETE_ANSWER if name in shown}}


def list_tables(context: Context, params: Shape) -> Shape:
    """ListTables: byte order, at most 100 to a page."""
    names = [table.name for table in registry(context).all(context.account_id, context.region)]
    start = params.get("ExclusiveStartTableName", "").encode()
    names = [name for name in names if name.encode() > start]
    limit = params.get("Limit", 100)
    answer: dict[str, Any] = {"TableNames": names[:limit]}
    if len(names) > limit:
        answer["LastEvaluatedTableName"] = names[limit - 1]
    return answer


def describe_limits(context: Context, params: Shape) -> Shape:
    """DescribeLimits: the quotas that the lab enforces."""
    of_account = context.world.quota(context.account_id, limits.ACCOUNT_UNITS)
    of_table = context.world.quota(context.account_id, limits.TABLE_UNITS)
    return {
        "AccountMaxReadCapacityUnits": of_account,
        "AccountMaxWriteCapacityUnits": of_account,
        "TableMaxReadCapacityUnits": of_table,
        "TableMaxWriteCapacityUnits": of_table,
    }


def describe_endpoints(context: Context, params: Shape) -> Shape:
    """DescribeEndpoints."""
    return {"Endpoints": [{"Address": f"dynamodb.{context.region}.amazonaws.com", "CachePeriodInMinutes": 1440}]}


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "CreateTable": create_table,
    "DescribeTable": describe_table,
    "DeleteTable": delete_table,
    "ListTables": list_tables,
    "DescribeLimits": describe_limits,
    "DescribeEndpoints": describe_endpoints,
}
