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


@pytest.mark.parametrize("key", [{"N": "1"}, {"L": [{"S": "x"}]}])
def test_batch_key_type(tables: Any, key: dict[str, Any]) -> None:
    puts = {"tbl": [{"PutRequest": {"Item": {"pk": key, "sk": {"N": "1"}}}}]}
    tables.refused(
        items.BATCH_KEY, "ValidationException", "does not match the schema", "BatchWriteItem", RequestItems=puts
    )


def test_index_key_type(tables: Any) -> None:
    wrong = {**item("a"), "color": {"N": "1"}}
    text = "Type mismatch for Index Key color Expected: S Actual: N IndexName: by-color"
    tables.refused(items.INDEX_KEY, "ValidationException", text, "PutItem", TableName="tbl", Item=wrong)
    empty = "cannot contain an empty string value. IndexName: by-color, IndexKey: color"
    tables.refused(items.INDEX_KEY, "ValidationException", empty, "PutItem", TableName="tbl", Item=item("a", color=""))
    # The attribute is the hash key of one index and the range key of another: the shorter limit holds.
    tables("PutItem", TableName="tbl", Item=item("a", color="x" * 1024))
    for size, text in ((1025, "all range keys has exceeded"), (2049, "Size of hashkey has exceeded")):
        too_long = item("a", color="x" * size)
        tables.refused(items.INDEX_KEY, "ValidationException", text, "PutItem", TableName="tbl", Item=too_long)


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
    assert tables("UpdateItem", **update, ReturnValues="ALL_OLD")["Attributes"] == {**item("a"), "hits": {"N": "3"}}
    assert tables("UpdateItem", **update) == {}
    assert "Attributes" not in tables("UpdateItem", **{**update, "Key": item("b")}, ReturnValues="ALL_OLD")
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


def test_updated_parts_alone(tables: Any) -> None:
    nested = {"a": {"M": {"b": {"S": "dog"}, "c": {"L": [{"N": "1"}, {"N": "2"}, {"N": "3"}]}}}, "d": {"S": "cat"}}
    tables("PutItem", TableName="tbl", Item={**item("a"), **nested})

    def updated(which: str, expression: str, **named: Any) -> Any:
        given = {"ExpressionAttributeValues": {f":{name}": value for name, value in named.items()}} if named else {}
        answer = tables(
            "UpdateItem", TableName="tbl", Key=item("a"), UpdateExpression=expression, ReturnValues=which, **given
        )
        return answer.get("Attributes")

    both = {"v": {"N": "7"}, "w": {"S": "yo"}}
    assert updated("UPDATED_OLD", "SET a.c[1] = :v, a.b = :w", **both) == {
        "a": {"M": {"b": {"S": "dog"}, "c": {"L": [{"N": "2"}]}}}
    }
    assert updated("UPDATED_NEW", "SET a.b = :v", v={"S": "hi"}) == {"a": {"M": {"b": {"S": "hi"}}}}
    assert updated("UPDATED_OLD", "SET e = :v, d = :w", **both) == {"d": {"S": "cat"}}
    assert updated("UPDATED_OLD", "SET a.x = :v", v={"N": "8"}) is None
    assert updated("UPDATED_OLD", "REMOVE a.c[1], a.c[3]") == {"a": {"M": {"c": {"L": [{"N": "7"}]}}}}
    assert updated("UPDATED_NEW", "REMOVE d") is None


def test_removing_makes_no_item(tables: Any) -> None:
    absent = {"TableName": "tbl", "Key": item("a")}
    assert tables("UpdateItem", **absent, UpdateExpression="REMOVE words", ReturnValues="ALL_NEW") == {}
    values_of_delete = {":v": {"SS": ["x"]}}
    tables("UpdateItem", **absent, UpdateExpression="DELETE colors :v", ExpressionAttributeValues=values_of_delete)
    assert tables("Scan", TableName="tbl")["Count"] == 0
    tables("UpdateItem", **absent)
    assert tables("Scan", TableName="tbl")["Items"] == [item("a")]


def test_sets_grow_and_shrink_by_conditional_updates(tables: Any) -> None:
    """The users of a shared statement: added unless it is being taken away, taken away with the last one."""
    users: dict[str, Any] = {"TableName": "tbl", "Key": item("use"), "ReturnValues": "ALL_NEW"}
    users["ExpressionAttributeNames"] = {"#users": "users"}

    def add(*names: str) -> Any:
        return tables(
            "UpdateItem", **users, UpdateExpression="ADD #users :mine SET home = if_not_exists(home, :home)",
            ConditionExpression="attribute_not_exists(closing)", ReturnValuesOnConditionCheckFailure="ALL_OLD",
            ExpressionAttributeValues={":mine": {"SS": list(names)}, ":home": {"S": "t1"}},
        )["Attributes"]  # fmt: skip

    add("a", "b")
    assert sorted(add("b", "c")["users"]["SS"]) == ["a", "b", "c"]
    taken = tables(
        "UpdateItem", **users, UpdateExpression="DELETE #users :v", ExpressionAttributeValues={":v": {"SS": ["b", "c"]}}
    )
    assert taken["Attributes"] == {**item("use"), "users": {"SS": ["a"]}, "home": {"S": "t1"}}
    closing: dict[str, Any] = {
        **users, "UpdateExpression": "SET closing = :run", "ConditionExpression": "#users = :mine",
        "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }  # fmt: skip
    with pytest.raises(RuleBroken) as caught:
        tables("UpdateItem", **closing, ExpressionAttributeValues={":run": {"S": "r"}, ":mine": {"SS": ["b"]}})
    assert caught.value.members == {"Item": taken["Attributes"]}
    tables("UpdateItem", **closing, ExpressionAttributeValues={":run": {"S": "r"}, ":mine": {"SS": ["a"]}})
    with pytest.raises(RuleBroken) as caught:
        add("d")
    assert caught.value.members["Item"]["closing"] == {"S": "r"}
    last = {"UpdateExpression": "DELETE #users :v", "ExpressionAttributeValues": {":v": {"SS": ["a"]}}}
    assert "users" not in tables("UpdateItem", **users, **last)["Attributes"]


def test_a_late_renewal_never_sets_a_lease_back(tables: Any) -> None:
    lease: dict[str, Any] = {
        "TableName": "tbl", "Key": item("run"), "UpdateExpression": "SET #until = :new",
        "ConditionExpression": "attribute_exists(pk) AND attribute_not_exists(ended) AND #until < :new",
        "ExpressionAttributeNames": {"#until": "until"}, "ReturnValuesOnConditionCheckFailure": "ALL_OLD",
    }  # fmt: skip
    with pytest.raises(RuleBroken) as caught:
        tables("UpdateItem", **lease, ExpressionAttributeValues={":new": {"N": "100"}})
    assert (caught.value.code, caught.value.members) == ("ConditionalCheckFailedException", {})
    tables("PutItem", TableName="tbl", Item={**item("run"), "until": {"N": "100"}})
    tables("UpdateItem", **lease, ExpressionAttributeValues={":new": {"N": "120"}})
    with pytest.raises(RuleBroken) as caught:
        tables("UpdateItem", **lease, ExpressionAttributeValues={":new": {"N": "110"}})
    assert caught.value.members["Item"]["until"] == {"N": "120"}
    assert tables("GetItem", TableName="tbl", Key=item("run"), ConsistentRead=True)["Item"]["until"] == {"N": "120"}


def test_no_legacy_parameters(tables: Any) -> None:
    tables.refused(items.NO_LEGACY, "ValidationException", "ScanFilter", "Scan", TableName="tbl", ScanFilter={"pk": {}})


def test_every_type_survives(tables: Any) -> None:
    every = {
        **item("a"), "b": {"B": "AAEC/w=="}, "yes": {"BOOL": True}, "nil": {"NULL": True}, "e": {"S": ""},
        "bs": {"BS": ["AA==", "AQ=="]}, "ns": {"NS": ["3", "-1.5", "12345678901234567890123456789012345678"]},
        "l": {"L": [{"L": []}, {"M": {}}, {"M": {"x": {"SS": ["b", "a"]}}}]},
    }  # fmt: skip
    tables("PutItem", TableName="tbl", Item=every)
    assert values.dump(tables("Scan", TableName="tbl")["Items"][0]) == values.dump(every)
