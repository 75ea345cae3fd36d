# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from lab.dynamodb import transactions
from lab.errors import AwsError
from lab.rules import RuleBroken
from tests.unit.lab.dynamodb.data_plane import item


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
        transactions.TRANSACTION, "ValidationException", "multiple operations on one item", "TransactWriteItems",
        TransactItems=[delete, delete],
    )  # fmt: skip


def cancelled(desk: Any, *parts: dict[str, Any]) -> tuple[str, list[dict[str, Any]]]:
    with pytest.raises(RuleBroken) as caught:
        desk("TransactWriteItems", TransactItems=list(parts))
    assert caught.value.code == "TransactionCanceledException"
    return caught.value.rule, caught.value.members["CancellationReasons"]


def put(pk: str, table: str = "tbl", **params: Any) -> dict[str, Any]:
    return {"Put": {"TableName": table, "Item": item(pk), **params}}


def test_cancellation_reasons(tables: Any) -> None:
    wrong = {"Put": {"TableName": "tbl", "Item": {"pk": {"N": "7"}, "sk": {"N": "1"}}}}
    unmet = put("a", ConditionExpression="attribute_exists(pk)")
    rule, reasons = cancelled(tables, unmet, wrong, wrong)
    assert rule == transactions.REASONS.name
    assert [reason["Code"] for reason in reasons] == ["None", "ValidationError", "None"]
    assert "Type mismatch for key pk" in reasons[1]["Message"]
    assert reasons[0] == reasons[2] == {"Code": "None"}
    broken = {"Put": {"TableName": "tbl", "Item": item("a"), "ConditionExpression": "attribute_exists(#x)"}}
    with pytest.raises(AwsError, match="#x") as caught:
        tables("TransactWriteItems", TransactItems=[wrong, broken])
    assert caught.value.code == "ValidationException"
    tables("PutItem", TableName="tbl", Item=item("b", words="old"))
    shown = put("b", ConditionExpression="attribute_not_exists(pk)", ReturnValuesOnConditionCheckFailure="ALL_OLD")
    hidden = put("a", ConditionExpression="attribute_exists(pk)", ReturnValuesOnConditionCheckFailure="NONE")
    _, reasons = cancelled(tables, shown, hidden)
    assert reasons[0]["Item"] == item("b", words="old")
    assert "Item" not in reasons[1]


def test_transaction_token(tables: Any) -> None:
    add = {"TableName": "tbl", "Key": item("a"), "UpdateExpression": "ADD n :one"}
    parts = [{"Update": {**add, "ExpressionAttributeValues": {":one": {"N": "1"}}}}]

    def count() -> str:
        number: str = tables("GetItem", TableName="tbl", Key=item("a"))["Item"]["n"]["N"]
        return number

    once: dict[str, Any] = {"TransactItems": parts, "ClientRequestToken": "t", "ReturnConsumedCapacity": "TOTAL"}
    tables("TransactWriteItems", **once)
    assert tables("TransactWriteItems", **once)["ConsumedCapacity"] == [{"TableName": "tbl", "CapacityUnits": 2.0}]
    assert count() == "1"
    tables.refused(
        transactions.TOKEN, "IdempotentParameterMismatchException", "same client token", "TransactWriteItems",
        TransactItems=[put("other")], ClientRequestToken="t",
    )  # fmt: skip
    tables("TransactWriteItems", TransactItems=parts, ClientRequestToken="another")
    tables("TransactWriteItems", TransactItems=parts)
    assert count() == "3"
    tables.wait(transactions.TOKEN_SECONDS)
    tables("TransactWriteItems", **once)
    assert count() == "4"
    unmet = {"TransactItems": [put("c", ConditionExpression="attribute_exists(pk)")], "ClientRequestToken": "again"}
    for _ in range(2):
        with pytest.raises(AwsError, match="Transaction cancelled"):
            tables("TransactWriteItems", **unmet)


def test_transaction_size(tables: Any) -> None:
    def puts(count: int) -> list[dict[str, Any]]:
        return [
            {"Put": {"TableName": "tbl", "Item": item("a", number, words="x" * (399 * 1024))}}
            for number in range(count)
        ]

    tables("TransactWriteItems", TransactItems=puts(10))
    tables.refused(transactions.SIZE, "ValidationException", "4 MB", "TransactWriteItems", TransactItems=puts(11))
    assert tables("Scan", TableName="tbl", Select="COUNT", IndexName="local")["Count"] == 0
    tables("PutItem", TableName="tbl", Item=item("a", 10, words="x" * (399 * 1024)))
    gets = [{"Get": {"TableName": "tbl", "Key": item("a", number)}} for number in range(11)]
    tables.refused(transactions.SIZE, "ValidationException", "4 MB", "TransactGetItems", TransactItems=gets)


def test_one_action_per_part(tables: Any) -> None:
    for part in ({}, {**put("a"), "Delete": {"TableName": "tbl", "Key": item("b")}}):
        tables.refused(
            transactions.ONE_ACTION, "ValidationException", "can only contain one of", "TransactWriteItems",
            TransactItems=[part],
        )  # fmt: skip
