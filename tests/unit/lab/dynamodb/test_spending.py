# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capacity units of reads and writes."""

from __future__ import annotations

from typing import Any

from tests.unit.lab.dynamodb.conftest import PROVISIONED
from tests.unit.lab.dynamodb.data_plane import fill, item

METERED = {"ReturnConsumedCapacity": "TOTAL"}
PARTS = {"ReturnConsumedCapacity": "INDEXES"}
KEY_BYTES = len("pk") + 1 + len("sk") + 2


def sized(size: int, pk: str = "a", **others: str) -> dict[str, Any]:
    """An item of so many bytes, those of ``others`` beside them."""
    return item(pk, w="x" * (size - KEY_BYTES - 1), **others)


def put(desk: Any, made: dict[str, Any], **params: Any) -> float:
    return float(desk("PutItem", TableName="tbl", Item=made, **METERED, **params)["ConsumedCapacity"]["CapacityUnits"])


def parts(consumed: dict[str, Any]) -> tuple[float, float, float, float]:
    """The sum, then the units of the table, of the global and of the local index."""
    kinds = ("GlobalSecondaryIndexes", "by-color"), ("LocalSecondaryIndexes", "local")
    indexes = [consumed.get(kind, {}).get(name, {}).get("CapacityUnits", 0.0) for kind, name in kinds]
    return consumed["CapacityUnits"], consumed["Table"]["CapacityUnits"], indexes[0], indexes[1]


def test_reads_cost_by_item(tables: Any) -> None:
    for size, units in ((4096, 1.0), (4097, 2.0)):
        put(tables, sized(size))
        for params in ({}, {"ProjectionExpression": "pk"}):
            read: dict[str, Any] = {"TableName": "tbl", "Key": item("a"), **METERED, **params}
            assert tables("GetItem", **read, ConsistentRead=True)["ConsumedCapacity"]["CapacityUnits"] == units
            assert tables("GetItem", **read)["ConsumedCapacity"]["CapacityUnits"] == units / 2
        for keys, absent in (([item("a")], 0.0), ([item("a"), item("b")], 1.0), ([item("b")], 1.0 - units)):
            batch = {"tbl": {"Keys": keys, "ConsistentRead": True}}
            (consumed,) = tables("BatchGetItem", RequestItems=batch, **METERED)["ConsumedCapacity"]
            assert consumed == {"TableName": "tbl", "CapacityUnits": units + absent}
    absent_read = tables("GetItem", TableName="tbl", Key=item("b"), **METERED)
    assert absent_read == {"ConsumedCapacity": {"TableName": "tbl", "CapacityUnits": 0.5}}


def test_writes_cost_the_larger_item(tables: Any) -> None:
    assert put(tables, sized(1024)) == 1.0
    assert put(tables, sized(1025)) == 2.0
    assert put(tables, sized(20)) == 2.0
    assert put(tables, sized(20)) == 1.0
    put(tables, sized(3000))
    batch = {"tbl": [{"PutRequest": {"Item": sized(20)}}, {"DeleteRequest": {"Key": item("none")}}]}
    (consumed,) = tables("BatchWriteItem", RequestItems=batch, **METERED)["ConsumedCapacity"]
    assert consumed == {"TableName": "tbl", "CapacityUnits": 4.0}
    put(tables, sized(3000))
    deleted = tables("DeleteItem", TableName="tbl", Key=item("a"), **METERED)["ConsumedCapacity"]
    assert deleted["CapacityUnits"] == 3.0


def test_index_writes_cost(tables: Any) -> None:
    def written(operation: str, **params: Any) -> tuple[float, float, float, float]:
        return parts(tables(operation, TableName="tbl", **params, **PARTS)["ConsumedCapacity"])

    assert written("PutItem", Item=sized(2000)) == (2.0, 2.0, 0.0, 0.0)
    # The indexes have the keys alone, so they cost one unit however large the item is.
    assert written("PutItem", Item=sized(2000, color="red")) == (4.0, 2.0, 1.0, 1.0)
    assert written("PutItem", Item=sized(3000, color="red")) == (3.0, 3.0, 0.0, 0.0)
    assert written("PutItem", Item=sized(20, color="blue")) == (7.0, 3.0, 2.0, 2.0)
    assert written("DeleteItem", Key=item("a")) == (3.0, 1.0, 1.0, 1.0)
    put(tables, sized(20))
    batch = {"tbl": [{"PutRequest": {"Item": sized(20, color="red")}}]}
    (consumed,) = tables("BatchWriteItem", RequestItems=batch, **PARTS)["ConsumedCapacity"]
    assert parts(consumed) == (3.0, 1.0, 1.0, 1.0)


def test_scans_cost_by_partition(tables: Any) -> None:
    def scanned(name: str = "tbl", **params: Any) -> float:
        return float(tables("Scan", TableName=name, **METERED, **params)["ConsumedCapacity"]["CapacityUnits"])

    put(tables, sized(20))
    assert (scanned(), scanned(ConsistentRead=True)) == (2.0, 4.0)
    segments = [scanned(Segment=segment, TotalSegments=4, ConsistentRead=True) for segment in range(4)]
    assert segments == [1.0] * 4
    tables.table("bought", **PROVISIONED, BillingMode="PROVISIONED")
    assert (scanned("bought"), scanned("bought", ConsistentRead=True)) == (0.5, 1.0)
    fill(tables, 100, 4000)
    size = 100 * 4000
    assert size / 4096 <= scanned(ConsistentRead=True) <= size / 4096 + 8


def test_transactions_cost_twice(tables: Any) -> None:
    write = {"Put": {"TableName": "tbl", "Item": sized(2000, color="red")}}
    (consumed,) = tables("TransactWriteItems", TransactItems=[write], **PARTS)["ConsumedCapacity"]
    assert parts(consumed) == (8.0, 4.0, 2.0, 2.0)
    gets = [{"Get": {"TableName": "tbl", "Key": item(pk)}} for pk in ("a", "b")]
    answer = tables("TransactGetItems", TransactItems=gets, **METERED)
    assert answer["ConsumedCapacity"] == [{"TableName": "tbl", "CapacityUnits": 4.0}]
