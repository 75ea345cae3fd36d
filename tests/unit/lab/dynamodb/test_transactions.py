# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All or nothing."""

from __future__ import annotations

from typing import Any

import pytest

from lab.dynamodb import transactions
from lab.errors import AwsError
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
