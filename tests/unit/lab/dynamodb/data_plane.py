# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table with items for the tests of the data plane."""

from __future__ import annotations

from typing import Any

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


def fill(desk: Any, count: int, size: int = 10, table: str = "tbl", pk: str = "") -> None:
    for start in range(0, count, 25):
        puts = [
            {"PutRequest": {"Item": item(pk or f"p{number}", number, words="x" * size)}}
            for number in range(start, min(count, start + 25))
        ]
        assert desk("BatchWriteItem", RequestItems={table: puts})["UnprocessedItems"] == {}


def pages(desk: Any, operation: str, **params: Any) -> list[dict[str, Any]]:
    answers = [desk(operation, TableName="tbl", **params)]
    while "LastEvaluatedKey" in answers[-1]:
        answers.append(desk(operation, TableName="tbl", ExclusiveStartKey=answers[-1]["LastEvaluatedKey"], **params))
    return answers
