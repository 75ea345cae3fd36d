# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The simplest peer: loops over a boto3 client, as lean as boto3's settings allow."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from typing import Any

import boto3
from botocore.config import Config

from benchmarks.clients import Task, run

BATCH = 25


def copy(task: Task) -> int:
    """Scan, and write in batches until nothing is unprocessed."""
    source, destination = client(task.source_url), client(task.destination_url)
    copied = 0
    for items in pages(source, task.source_table):
        for first in range(0, len(items), BATCH):
            batch = items[first : first + BATCH]
            pending = {task.destination_table: [{"PutRequest": {"Item": item}} for item in batch]}
            attempt = 0
            while pending := destination.batch_write_item(RequestItems=pending)["UnprocessedItems"]:
                time.sleep(random.uniform(0, min(20, 0.05 * 2**attempt)))
                attempt += 1
            copied += len(batch)
    return copied


def verify(task: Task) -> int:
    """Read both tables and compare the items as dictionaries."""
    source = {key(item): item for items in pages(client(task.source_url), task.source_table) for item in items}
    compared = 0
    for items in pages(client(task.destination_url), task.destination_table):
        for item in items:
            if source.pop(key(item), None) != item:
                raise SystemExit(f"different or extra: {key(item)}")
            compared += 1
    if source:
        raise SystemExit(f"{len(source)} items are missing")
    return compared


def client(url: str) -> Any:
    """Without the validation of parameters, which answers of DynamoDB do not need and which costs much."""
    return boto3.client("dynamodb", endpoint_url=url, config=Config(parameter_validation=False))


def pages(dynamodb: Any, table: str) -> Iterator[list[dict[str, Any]]]:
    """The items of a table, page by page."""
    more: dict[str, Any] = {}
    while True:
        page = dynamodb.scan(TableName=table, **more)
        yield page["Items"]
        if "LastEvaluatedKey" not in page:
            return
        more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


def key(item: dict[str, Any]) -> tuple[str, str]:
    """The key of an item."""
    return item["customer"]["S"], item["order"]["S"]


if __name__ == "__main__":
    run({"copy": copy, "verify": verify})
