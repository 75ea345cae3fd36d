# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items in batches."""

from __future__ import annotations

from typing import Any

from lab.dynamodb import batches
from tests.unit.lab.dynamodb.data_plane import fill, item


def test_batch_without_duplicates(tables: Any) -> None:
    twice = [{"PutRequest": {"Item": item("a", 1000)}}, {"DeleteRequest": {"Key": item("a", "1e3")}}]
    tables.refused(
        batches.BATCH_DUPLICATES, "ValidationException", "duplicates", "BatchWriteItem", RequestItems={"tbl": twice}
    )
    tables.refused(
        batches.BATCH_DUPLICATES, "ValidationException", "duplicates", "BatchGetItem",
        RequestItems={"tbl": {"Keys": [item("a", "1.0"), item("a", 1)]}},
    )  # fmt: skip
    many = {"tbl": [{"DeleteRequest": {"Key": item("a", number)}} for number in range(26)]}
    tables.refused(
        batches.BATCH_DUPLICATES, "ValidationException", "Too many items", "BatchWriteItem", RequestItems=many
    )


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


def test_batch_entry_is_one_request(tables: Any) -> None:
    both = {"PutRequest": {"Item": item("a")}, "DeleteRequest": {"Key": item("b")}}
    for entry in ({}, both):
        tables.refused(
            batches.ONE_REQUEST, "ValidationException", "either a PutRequest or a DeleteRequest", "BatchWriteItem",
            RequestItems={"tbl": [entry]},
        )  # fmt: skip
