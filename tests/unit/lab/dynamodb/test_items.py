# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Single items of the data plane, operation by operation."""

from __future__ import annotations

from typing import Any

import pytest

from lab.dynamodb import items, values
from lab.rules import RuleBroken
from tests.unit.lab.dynamodb.data_plane import BOTH_KEYS, DEFINITIONS, item


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
