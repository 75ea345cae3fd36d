# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Query and Scan."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lab.dynamodb import expressions, reading
from lab.dynamodb.store import KeyEncoder
from tests.unit.lab.dynamodb.data_plane import fill, item, pages


def test_pages_of_one_megabyte(tables: Any) -> None:
    fill(tables, 50, size=50_000)
    answers = pages(tables, "Scan")
    assert [page["Count"] for page in answers] == [20, 20, 10]
    limited = pages(tables, "Scan", Limit=15)
    assert [page["ScannedCount"] for page in limited] == [15, 15, 15, 5]
    nothing = pages(tables, "Scan", FilterExpression="words = :no", ExpressionAttributeValues={":no": {"S": "no"}})
    assert [(page["Items"], page["ScannedCount"]) for page in nothing] == [([], 20), ([], 20), ([], 10)]


def test_scan_segments(tables: Any) -> None:
    fill(tables, 100)
    parts = [
        entry
        for segment in range(4)
        for page in pages(tables, "Scan", Segment=segment, TotalSegments=4, Limit=9)
        for entry in page["Items"]
    ]
    assert sorted(int(entry["sk"]["N"]) for entry in parts) == list(range(100))
    tables.refused(
        reading.SEGMENTS,
        "ValidationException",
        "TotalSegments parameter is required but was not present in the request when Segment parameter is present",
        "Scan",
        TableName="tbl",
        Segment=0,
    )
    tables.refused(
        reading.SEGMENTS, "ValidationException", "zero-based", "Scan", TableName="tbl", Segment=4, TotalSegments=4
    )
    last = tables("Scan", TableName="tbl", Segment=0, TotalSegments=4, Limit=1)["LastEvaluatedKey"]
    tables.refused(
        reading.START_KEY, "ValidationException", "correct Segment", "Scan", TableName="tbl", Segment=3,
        TotalSegments=4, ExclusiveStartKey=last,
    )  # fmt: skip


def test_select_count(tables: Any) -> None:
    fill(tables, 30, size=50_000)
    answer = tables("Scan", TableName="tbl", Select="COUNT")
    assert (answer["Count"], answer["ScannedCount"], "Items" in answer) == (20, 20, False)
    filtered = pages(
        tables, "Scan", Select="COUNT", FilterExpression="sk < :n", ExpressionAttributeValues={":n": {"N": "10"}}
    )
    assert sum(page["Count"] for page in filtered) == 10
    tables.refused(
        reading.COUNT_ONLY, "ValidationException", "only the Count", "Scan", TableName="tbl", Select="COUNT",
        ProjectionExpression="pk",
    )  # fmt: skip


def test_query(tables: Any) -> None:
    fill(tables, 30, pk="a")
    fill(tables, 3, pk="b")
    a = {":a": {"S": "a"}, ":low": {"N": "5"}, ":high": {"N": "20"}}

    def queried(condition: str, **params: Any) -> list[int]:
        literals = {name: value for name, value in a.items() if name in condition}
        answers = pages(tables, "Query", KeyConditionExpression=condition, ExpressionAttributeValues=literals, **params)
        return [int(entry["sk"]["N"]) for page in answers for entry in page["Items"]]

    assert queried("pk = :a") == list(range(30))
    assert queried("pk = :a AND sk BETWEEN :low AND :high", ScanIndexForward=False, Limit=7) == list(range(20, 4, -1))
    assert queried("pk = :a AND sk > :high") == list(range(21, 30))
    assert queried("pk = :a AND sk >= :high") == list(range(20, 30))
    assert queried("pk = :a AND sk < :low") == list(range(5))
    assert queried("pk = :a AND sk <= :low") == list(range(6))
    assert queried("pk = :a AND sk = :low", ProjectionExpression="pk, sk") == [5]


@pytest.mark.parametrize("raw", [b"", b"\0", b"\xff", b"\xff\xff", b"a\0b", b"a"])
def test_begins_with_bounds_hold_exactly_the_continuations(raw: bytes) -> None:
    def binary(content: bytes) -> dict[str, str]:
        return {"B": base64.b64encode(content).decode()}

    encoder = KeyEncoder(("pk",), ("sk",))
    condition = expressions.KeyCondition({"pk": {"S": "a"}}, (), "begins_with", (binary(raw),))
    lower, upper = reading.key_bounds(encoder, condition)
    for other in (b"", b"\0", b"\0\0", b"\xff", b"\xff\xff\xff\xff\xff\xff", b"a", b"a\0", b"a\0b\xff", b"b", b"`"):
        key = encoder.encode({"pk": {"S": "a"}, "sk": binary(other)})
        assert (lower <= key < upper) == other.startswith(raw)


def test_start_key(tables: Any) -> None:
    fill(tables, 3, pk="a")
    text = "The provided starting key is invalid"
    tables.refused(
        reading.START_KEY, "ValidationException", text, "Scan", TableName="tbl", ExclusiveStartKey={"pk": {"S": "a"}}
    )
    tables.refused(
        reading.START_KEY, "ValidationException", "outside query boundaries", "Query", TableName="tbl",
        KeyConditionExpression="pk = :a", ExpressionAttributeValues={":a": {"S": "a"}}, ExclusiveStartKey=item("b"),
    )  # fmt: skip


def test_filter_without_keys(tables: Any) -> None:
    tables.refused(
        reading.KEYS_ARE_QUERIED, "ValidationException", "non-primary key attributes: Primary key attribute: sk",
        "Query", TableName="tbl", KeyConditionExpression="pk = :a", FilterExpression="sk = :n",
        ExpressionAttributeValues={":a": {"S": "a"}, ":n": {"N": "1"}},
    )  # fmt: skip


def test_index_reads(tables: Any) -> None:
    tables("PutItem", TableName="tbl", Item=item("a", 1, color="red", words="w"))
    tables("PutItem", TableName="tbl", Item=item("b", 1))
    query: dict[str, Any] = {
        "TableName": "tbl", "IndexName": "by-color", "KeyConditionExpression": "color = :c",
        "ExpressionAttributeValues": {":c": {"S": "red"}},
    }  # fmt: skip
    assert tables("Query", **query)["Items"] == [item("a", 1, color="red")]
    assert tables("Scan", TableName="tbl", IndexName="by-color", Limit=1)["LastEvaluatedKey"] == item(
        "a", 1, color="red"
    )
    whole = tables("Scan", TableName="tbl", IndexName="local", Select="ALL_ATTRIBUTES")["Items"]
    assert whole == [item("a", 1, color="red", words="w")]
    refused = [
        ({"IndexName": "none"}, "does not have the specified index: none"),
        ({"IndexName": "by-color", "ConsistentRead": True}, "Consistent reads are not supported"),
        ({"IndexName": "by-color", "Select": "ALL_ATTRIBUTES"}, "projection type is not ALL"),
    ]
    for params, text in refused:
        tables.refused(reading.INDEX_READS, "ValidationException", text, "Scan", TableName="tbl", **params)


def test_select_fits_index(tables: Any) -> None:
    for operation, word in (("Query", "Querying"), ("Scan", "Scanning")):
        tables.refused(
            reading.SELECT, "ValidationException", f"can be used only when {word} using an IndexName", operation,
            TableName="tbl", Select="ALL_PROJECTED_ATTRIBUTES",
        )  # fmt: skip
    text = "One or more parameter values were invalid: Global secondary index by-color does not project [w, words]"
    tables.refused(
        reading.SELECT, "ValidationException", text, "Scan", TableName="tbl", IndexName="by-color",
        ProjectionExpression="words, pk, w.x",
    )  # fmt: skip


def test_local_index_fetches(tables: Any) -> None:
    whole = item("a", 1, color="red", words="w" * 5000)
    tables("PutItem", TableName="tbl", Item=whole)
    query: dict[str, Any] = {
        "TableName": "tbl", "IndexName": "local", "KeyConditionExpression": "pk = :a", "ConsistentRead": True,
        "ExpressionAttributeValues": {":a": {"S": "a"}}, "ReturnConsumedCapacity": "INDEXES",
    }  # fmt: skip
    keys = item("a", 1, color="red")
    for params, shown, table_units in (
        ({}, keys, 0.0),
        ({"Select": "ALL_PROJECTED_ATTRIBUTES"}, keys, 0.0),
        ({"ProjectionExpression": "pk, sk, color"}, keys, 0.0),
        ({"Select": "ALL_ATTRIBUTES"}, whole, 2.0),
        ({"ProjectionExpression": "words"}, {"words": whole["words"]}, 2.0),
    ):
        answer = tables("Query", **query, **params)
        assert answer["Items"] == [shown]
        assert answer["ConsumedCapacity"] == {
            "TableName": "tbl", "CapacityUnits": 1.0 + table_units, "Table": {"CapacityUnits": table_units},
            "LocalSecondaryIndexes": {"local": {"CapacityUnits": 1.0}},
        }  # fmt: skip


def test_one_row_is_not_restarted(tables: Any) -> None:
    def refused(text: str, condition: str, start: dict[str, Any], rule: Any = reading.START_KEY, **params: Any) -> None:
        literals = {name: {"S": "a"} if name == ":a" else {"N": "5"} for name in (":a", ":n") if name in condition}
        tables.refused(
            rule, "ValidationException", text, "Query", **{"TableName": "tbl", **params},
            KeyConditionExpression=condition, ExpressionAttributeValues=literals, ExclusiveStartKey=start,
        )  # fmt: skip

    once = "The query can return at most one row and cannot be restarted"
    refused(once, "pk = :a AND sk = :n", item("a", 5), reading.ONE_ROW)
    refused("does not match the range key predicate", "pk = :a AND sk > :n", item("a", 5))
    refused("does not match the range key predicate", "pk = :a AND sk > :n", item("b", 4))
    refused(once, "pk = :a AND sk > :n", item("b", 6))
    tables.table("plain")
    refused(once, "pk = :a", {"pk": {"S": "a"}}, reading.ONE_ROW, TableName="plain")
