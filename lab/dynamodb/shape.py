# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table as DescribeTable shows it (measured/indexes-capacity 2 and 3, measured/settings 2)."""

from __future__ import annotations

from typing import Any

from lab.clock import Timings
from lab.dynamodb.model import Index, Shape, Table, Throughput, Warm

_MAXIMUM_CLEARED = -1


def describe(table: Table, now: float, timings: Timings) -> Shape:
    """DescribeTable's ``Table``. Counts are hours old; what AWS leaves out is left out."""
    counted_at, items, size = table.counted
    status = table.status(now)
    if status != "DELETING" and now - counted_at >= timings.seconds("table.counted"):
        items, size = table.store.count(), table.store.size_bytes()
        table.counted = (now, items, size)
    billing = table.billing
    shown: Shape = {
        "TableName": table.name,
        "TableArn": table.arn,
        "TableId": table.table_id,
        "TableStatus": status,
        "CreationDateTime": table.created_at,
        "KeySchema": table.key_schema,
        "AttributeDefinitions": table.attribute_definitions,
        "ProvisionedThroughput": throughput(billing.throughput, now, timings),
        "TableSizeBytes": size,
        "ItemCount": items,
        "DeletionProtectionEnabled": table.protection.enabled,
        "WarmThroughput": warm(billing.warm, "CREATING" if status == "CREATING" else "ACTIVE"),
    }
    if billing.switched_to_on_demand is not None or billing.mode == "PAY_PER_REQUEST":
        shown["BillingModeSummary"] = {"BillingMode": billing.mode}
    if billing.switched_to_on_demand is not None:
        shown["BillingModeSummary"]["LastUpdateToPayPerRequestDateTime"] = billing.switched_to_on_demand
    if maximum := on_demand(billing.on_demand, now < billing.clearing_until):
        shown["OnDemandThroughput"] = maximum
    if table.table_class.shown:
        shown["TableClassSummary"] = {"TableClass": table.table_class.value}
        if table.table_class.updated_at is not None:
            shown["TableClassSummary"]["LastUpdateDateTime"] = table.table_class.updated_at
    if table.stream_specification is not None:
        shown["StreamSpecification"] = table.stream_specification
    if stream := table.stream():
        shown["LatestStreamArn"], shown["LatestStreamLabel"] = stream.arn, stream.label
    if table.restore_summary is not None and status == "CREATING":
        shown["RestoreSummary"] = table.restore_summary
    if encryption := table.encryption.description():
        shown["SSEDescription"] = encryption
    if indexes := table.global_indexes:
        shown["GlobalSecondaryIndexes"] = [
            global_index(index, now, timings, billing.clearing_until) for index in indexes
        ]
        if "RestoreSummary" in shown:
            for each in shown["GlobalSecondaryIndexes"]:
                del each["IndexStatus"]
    if local_indexes := table.local_indexes:
        shown["LocalSecondaryIndexes"] = [_index(index) for index in local_indexes]
    if table.vector_indexes:
        shown["VectorIndexes"] = [
            {
                **index,
                "IndexStatus": "CREATING" if status == "CREATING" else index.get("IndexStatus", "ACTIVE"),
                "IndexSizeBytes": 0,
                "ItemCount": 0,
                "IndexArn": f"{table.arn}/index/{index['IndexName']}",
            }
            for index in table.vector_indexes
        ]
    return shown


def throughput(provisioned: Throughput, now: float, timings: Timings) -> Shape:
    """ProvisionedThroughputDescription: 0/0 on demand, its counter always there."""
    shown: dict[str, Any] = {
        "NumberOfDecreasesToday": max(provisioned.decreases_today(now, timings) - provisioned.uncounted, 0),
        "ReadCapacityUnits": provisioned.read,
        "WriteCapacityUnits": provisioned.write,
    }
    if provisioned.last_decrease is not None:
        shown["LastDecreaseDateTime"] = provisioned.last_decrease
    if provisioned.last_increase is not None:
        shown["LastIncreaseDateTime"] = provisioned.last_increase
    return shown


def on_demand(maximum: Shape, clearing: bool) -> Shape:
    """OnDemandThroughput: a member just cleared is -1 for a moment, then absent."""
    return {member: value for member, value in maximum.items() if clearing or value != _MAXIMUM_CLEARED}


def warm(throughput: Warm, status: str) -> Shape:
    """WarmThroughput with its status: the old units until an increase is done."""
    return {**throughput.units, "Status": "UPDATING" if throughput.target is not None else status}


def _index(index: Index) -> Shape:
    return {
        "IndexName": index.name,
        "KeySchema": index.key_schema,
        "Projection": index.projection,
        "IndexSizeBytes": 0,
        "ItemCount": 0,
        "IndexArn": index.arn,
    }


def global_index(index: Index, now: float, timings: Timings, clearing_until: float) -> Shape:
    """GlobalSecondaryIndexDescription; Backfilling only while an index is added to a live table."""
    shown = _index(index) | {
        "IndexStatus": index.status,
        "ProvisionedThroughput": throughput(index.throughput, now, timings),
        "WarmThroughput": warm(index.warm, "CREATING" if index.status == "CREATING" else "ACTIVE"),
    }
    if index.backfilling is not None:
        shown["Backfilling"] = index.backfilling
    if maximum := on_demand(index.on_demand, now < clearing_until):
        shown["OnDemandThroughput"] = maximum
    return shown
