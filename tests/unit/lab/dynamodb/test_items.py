# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data plane, operation by operation."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from lab.dynamodb import expressions, items, values
from lab.errors import AwsError
from lab.rules import RuleBroken

BOTH_KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}]
DEFINITIONS = [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "sk", "AttributeType": "N"}]
WITH_INDEXES: dict[str, Any] = {
    "KeySchema": BOTH_KEYS,
    "AttributeDefinitions": [*DEFINITIONS, {"AttributeName": "color", "AttributeType": "S"}],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by-color",
            "KeySchema": [{"AttributeName": "color", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "local",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "color", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }
    ],
}


def item(pk: str, sk: int | str = 1, **others: str) -> dict[str, Any]:
    return {"pk": {"S": pk}, "sk": {"N": str(sk)}, **{name: {"S": value} for name, value in others.items()}}


@pytest.fixture
def tables(desk: Any) -> Any:
    """The desk with a table ``t`` that has both keys and both kinds of index."""
    desk.table("tbl", **WITH_INDEXES)
    return desk


def fill(desk: Any, count: int, size: int = 10, table: str = "tbl", pk: str = "") -> None:
    for start in range(0, count, 25):
        puts = [
            {"PutRequest": {"Item": item(pk or f"p{number}", number, words="x" * size)}}
            for number in range(start, min(count, start + 25))
        ]
        assert desk("BatchWriteItem", RequestItems={table: puts})["UnprocessedItems"] == {}


def pages(desk: Any, operation: str, **params: Any) -> list[dict[str, Any]]:
    found = [desk(operation, TableName="tbl", **params)]
    while "LastEvaluatedKey" in found[-1]:
        found.append(desk(operation, TableName="tbl", ExclusiveStartKey=found[-1]["LastEvaluatedKey"], **params))
    return found


def test_put_get_delete_round_trip_normalizes(tables: Any) -> None:
    tables("PutItem", TableName="tbl", Item=item("a", "1e3", words="ä"))
    got = tables("GetItem", TableName="tbl", Key=item("a", "1000.0"), ConsistentRead=True)
    assert got == {"Item": item("a", 1000, words="ä")}
    assert (
        tables("DeleteItem", TableName="tbl", Key=item("a", 1000), ReturnValues="ALL_OLD")["Attributes"] == got["Item"]
    )
    assert tables("GetItem", TableName="tbl", Key=item("a", 1000)) == {}


def test_items_need_an_active_table(desk: Any) -> None:
    text = "Requested resource not found"
    desk.refused(items.NOT_READY, "ResourceNotFoundException", text, "Scan", TableName="none")
    desk(
        "CreateTable",
        TableName="tbl",
        KeySchema=BOTH_KEYS,
        AttributeDefinitions=DEFINITIONS,
        BillingMode="PAY_PER_REQUEST",
    )
    desk.refused(items.NOT_READY, "ResourceNotFoundException", text, "PutItem", TableName="tbl", Item=item("a"))
    desk.wait(30)
    desk("PutItem", TableName="tbl", Item=item("a"))
    desk("DeleteTable", TableName="tbl")
    desk.refused(items.NOT_READY, "ResourceNotFoundException", text, "Scan", TableName="tbl")


@pytest.mark.parametrize(
    ("broken", "text"),
    [
        ({"pk": {"S": "a"}}, "Missing the key sk in the item"),
        ({"pk": {"N": "1"}, "sk": {"N": "1"}}, "Type mismatch for key pk expected: S actual: N"),
        ({"pk": {"S": ""}, "sk": {"N": "1"}}, "cannot contain an empty string value. Key: pk"),
        ({"pk": {"S": "x" * 2049}, "sk": {"N": "1"}}, "Size of hashkey has exceeded"),
    ],
)
def test_item_has_its_key(tables: Any, broken: dict[str, Any], text: str) -> None:
    tables.refused(items.ITEM_KEY, "ValidationException", text, "PutItem", TableName="tbl", Item=broken)


def test_index_key_type(tables: Any) -> None:
    wrong = {**item("a"), "color": {"N": "1"}}
    text = "Type mismatch for Index Key color Expected: S Actual: N IndexName: by-color"
    tables.refused(items.INDEX_KEY, "ValidationException", text, "PutItem", TableName="tbl", Item=wrong)
    empty = "cannot contain an empty string value. IndexName: by-color, IndexKey: color"
    tables.refused(items.INDEX_KEY, "ValidationException", empty, "PutItem", TableName="tbl", Item=item("a", color=""))


def test_key_matches_schema(tables: Any) -> None:
    for key in ({"pk": {"S": "a"}}, item("a", color="x"), {"pk": {"S": "a"}, "sk": {"S": "1"}}):
        text = "The provided key element does not match the schema"
        tables.refused(items.KEY_MATCHES, "ValidationException", text, "GetItem", TableName="tbl", Key=key)


def test_item_size_limit(tables: Any) -> None:
    overhead = len("pk") + 1 + len("sk") + 2 + len("w")
    largest = item("a", w="x" * (400 * 1024 - overhead))
    tables("PutItem", TableName="tbl", Item=largest)
    assert tables("GetItem", TableName="tbl", Key=item("a"))["Item"] == largest
    largest["w"]["S"] += "x"
    tables.refused(
        items.ITEM_SIZE, "ValidationException", "maximum allowed size", "PutItem", TableName="tbl", Item=largest
    )


def test_condition_fails(tables: Any) -> None:
    tables("PutItem", TableName="tbl", Item=item("a", words="old"), ConditionExpression="attribute_not_exists(pk)")
    with pytest.raises(RuleBroken) as caught:
        tables(
            "PutItem",
            TableName="tbl",
            Item=item("a", words="new"),
            ConditionExpression="attribute_not_exists(pk)",
            ReturnValuesOnConditionCheckFailure="ALL_OLD",
        )
    assert caught.value.code == "ConditionalCheckFailedException"
    assert caught.value.members == {"Item": item("a", words="old")}
    tables.refused(
        items.CONDITION_FAILED, "ConditionalCheckFailedException", "failed", "DeleteItem", TableName="tbl",
        Key=item("a", 2), ConditionExpression="attribute_exists(pk)",
    )  # fmt: skip
    assert tables("Scan", TableName="tbl")["Items"] == [item("a", words="old")]


def test_return_values(tables: Any) -> None:
    update: dict[str, Any] = {
        "TableName": "tbl", "Key": item("a"), "UpdateExpression": "SET hits = if_not_exists(hits, :z) + :one",
        "ExpressionAttributeValues": {":z": {"N": "0"}, ":one": {"N": "1"}},
    }  # fmt: skip
    assert tables("UpdateItem", **update, ReturnValues="ALL_NEW")["Attributes"] == {**item("a"), "hits": {"N": "1"}}
    assert tables("UpdateItem", **update, ReturnValues="UPDATED_NEW")["Attributes"] == {"hits": {"N": "2"}}
    assert tables("UpdateItem", **update, ReturnValues="UPDATED_OLD")["Attributes"] == {"hits": {"N": "2"}}
    assert tables("UpdateItem", **update) == {}
    text = "Return values set to invalid value"
    tables.refused(
        items.RETURN_VALUES,
        "ValidationException",
        text,
        "PutItem",
        TableName="tbl",
        Item=item("a"),
        ReturnValues="ALL_NEW",
    )


def test_batch_without_duplicates(tables: Any) -> None:
    twice = [{"PutRequest": {"Item": item("a", 1000)}}, {"DeleteRequest": {"Key": item("a", "1e3")}}]
    tables.refused(
        items.BATCH_DUPLICATES, "ValidationException", "duplicates", "BatchWriteItem", RequestItems={"tbl": twice}
    )
    tables.refused(
        items.BATCH_DUPLICATES, "ValidationException", "duplicates", "BatchGetItem",
        RequestItems={"tbl": {"Keys": [item("a", "1.0"), item("a", 1)]}},
    )  # fmt: skip
    many = {"tbl": [{"DeleteRequest": {"Key": item("a", number)}} for number in range(26)]}
    tables.refused(items.BATCH_DUPLICATES, "ValidationException", "Too many items", "BatchWriteItem", RequestItems=many)


def test_batches(tables: Any) -> None:
    fill(tables, 30)
    got = tables("BatchGetItem", RequestItems={"tbl": {"Keys": [item("p1", 1), item("p2", 2), item("no", 1)]}})
    assert sorted(got["Responses"]["tbl"], key=str) == [item("p1", 1, words="x" * 10), item("p2", 2, words="x" * 10)]
    assert got["UnprocessedKeys"] == {}
    tables("BatchWriteItem", RequestItems={"tbl": [{"DeleteRequest": {"Key": item("p1", 1)}}]})
    assert tables("Scan", TableName="tbl", Select="COUNT")["Count"] == 29


def test_unprocessed_items(tables: Any) -> None:
    tables.world.faults.add(operation="dynamodb.BatchWriteItem", kind="unprocessed_items", values={"count": 2})
    puts = [{"PutRequest": {"Item": item("a", number)}} for number in range(5)]
    answer = tables("BatchWriteItem", RequestItems={"tbl": puts})
    assert answer["UnprocessedItems"] == {"tbl": puts[3:]}
    assert tables("Scan", TableName="tbl", Select="COUNT")["Count"] == 3
    assert tables("BatchWriteItem", RequestItems=answer["UnprocessedItems"])["UnprocessedItems"] == {}
    tables.world.faults.add(operation="dynamodb.BatchGetItem", kind="unprocessed_items", values={"count": 1})
    got = tables("BatchGetItem", RequestItems={"tbl": {"Keys": [item("a", 1), item("a", 2)]}})
    assert got["UnprocessedKeys"]["tbl"]["Keys"] == [item("a", 2)]


def test_pages_of_one_megabyte(tables: Any) -> None:
    fill(tables, 50, size=50_000)
    found = pages(tables, "Scan")
    assert [page["Count"] for page in found] == [20, 20, 10]
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
        items.SEGMENTS, "ValidationException", "TotalSegments parameter is required", "Scan", TableName="tbl", Segment=0
    )
    tables.refused(
        items.SEGMENTS, "ValidationException", "zero-based", "Scan", TableName="tbl", Segment=4, TotalSegments=4
    )
    last = tables("Scan", TableName="tbl", Segment=0, TotalSegments=4, Limit=1)["LastEvaluatedKey"]
    tables.refused(
        items.START_KEY, "ValidationException", "correct Segment", "Scan", TableName="tbl", Segment=3, TotalSegments=4,
        ExclusiveStartKey=last,
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
        items.COUNT_ONLY, "ValidationException", "only the Count", "Scan", TableName="tbl", Select="COUNT",
        ProjectionExpression="pk",
    )  # fmt: skip


def test_query(tables: Any) -> None:
    fill(tables, 30, pk="a")
    fill(tables, 3, pk="b")
    a = {":a": {"S": "a"}, ":low": {"N": "5"}, ":high": {"N": "20"}}

    def queried(condition: str, **params: Any) -> list[int]:
        literals = {name: value for name, value in a.items() if name in condition}
        found = pages(tables, "Query", KeyConditionExpression=condition, ExpressionAttributeValues=literals, **params)
        return [int(entry["sk"]["N"]) for page in found for entry in page["Items"]]

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

    encoder = items.KeyEncoder(("pk",), ("sk",))
    condition = expressions.KeyCondition({"pk": {"S": "a"}}, (), "begins_with", (binary(raw),))
    lower, upper = items.key_bounds(encoder, condition)
    for other in (b"", b"\0", b"\0\0", b"\xff", b"\xff\xff\xff\xff\xff\xff", b"a", b"a\0", b"a\0b\xff", b"b", b"`"):
        key = encoder.encode({"pk": {"S": "a"}, "sk": binary(other)})
        assert (lower <= key < upper) == other.startswith(raw)


def test_start_key(tables: Any) -> None:
    fill(tables, 3, pk="a")
    text = "The provided starting key is invalid"
    tables.refused(
        items.START_KEY, "ValidationException", text, "Scan", TableName="tbl", ExclusiveStartKey={"pk": {"S": "a"}}
    )
    tables.refused(
        items.START_KEY, "ValidationException", "outside query boundaries", "Query", TableName="tbl",
        KeyConditionExpression="pk = :a", ExpressionAttributeValues={":a": {"S": "a"}}, ExclusiveStartKey=item("b"),
    )  # fmt: skip


def test_filter_without_keys(tables: Any) -> None:
    tables.refused(
        items.KEYS_ARE_QUERIED, "ValidationException", "non-primary key attributes: Primary key attribute: sk", "Query",
        TableName="tbl", KeyConditionExpression="pk = :a", FilterExpression="sk = :n",
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
        tables.refused(items.INDEX_READS, "ValidationException", text, "Scan", TableName="tbl", **params)


def test_transaction_all_or_nothing(tables: Any) -> None:
    tables("PutItem", TableName="tbl", Item=item("a"))
    tables.table("other")
    put = {"Put": {"TableName": "other", "Item": {"pk": {"S": "new"}}}}
    delete = {"Delete": {"TableName": "tbl", "Key": item("a")}}
    check = {"ConditionCheck": {"TableName": "tbl", "Key": item("b"), "ConditionExpression": "attribute_exists(pk)"}}
    with pytest.raises(AwsError) as caught:
        tables("TransactWriteItems", TransactItems=[put, delete, check])
    assert caught.value.code == "TransactionCanceledException"
    assert [reason["Code"] for reason in caught.value.members["CancellationReasons"]] == [
        "None", "None", "ConditionalCheckFailed",
    ]  # fmt: skip
    assert (tables("Scan", TableName="tbl")["Count"], tables("Scan", TableName="other")["Count"]) == (1, 0)
    tables("TransactWriteItems", TransactItems=[put, delete])
    assert (tables("Scan", TableName="tbl")["Count"], tables("Scan", TableName="other")["Count"]) == (0, 1)
    gets = [
        {"Get": {"TableName": "other", "Key": {"pk": {"S": "new"}}}},
        {"Get": {"TableName": "tbl", "Key": item("a")}},
    ]
    assert tables("TransactGetItems", TransactItems=gets) == {"Responses": [{"Item": {"pk": {"S": "new"}}}, {}]}
    tables.refused(
        items.TRANSACTION, "ValidationException", "multiple operations on one item", "TransactWriteItems",
        TransactItems=[delete, delete],
    )  # fmt: skip


def test_no_legacy_parameters(tables: Any) -> None:
    tables.refused(items.NO_LEGACY, "ValidationException", "ScanFilter", "Scan", TableName="tbl", ScanFilter={"pk": {}})


def test_consumed_capacity(tables: Any) -> None:
    big = tables("PutItem", TableName="tbl", Item=item("a", words="x" * 3000), ReturnConsumedCapacity="TOTAL")
    assert big["ConsumedCapacity"] == {"TableName": "tbl", "CapacityUnits": 3.0}
    read = tables("Scan", TableName="tbl", ReturnConsumedCapacity="INDEXES", ConsistentRead=True)["ConsumedCapacity"]
    assert read == {"TableName": "tbl", "CapacityUnits": 1.0, "Table": {"CapacityUnits": 1.0}}


def test_every_type_survives(tables: Any) -> None:
    every = {
        **item("a"), "b": {"B": "AAEC/w=="}, "yes": {"BOOL": True}, "nil": {"NULL": True}, "e": {"S": ""},
        "bs": {"BS": ["AA==", "AQ=="]}, "ns": {"NS": ["3", "-1.5", "12345678901234567890123456789012345678"]},
        "l": {"L": [{"L": []}, {"M": {}}, {"M": {"x": {"SS": ["b", "a"]}}}]},
    }  # fmt: skip
    tables("PutItem", TableName="tbl", Item=every)
    assert values.dump(tables("Scan", TableName="tbl")["Items"][0]) == values.dump(every)
