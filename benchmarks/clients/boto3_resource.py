# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The peer of most tutorials: boto3's resource with its batch writer."""

from __future__ import annotations

from typing import Any

import boto3

from benchmarks.clients import Task, run


def copy(task: Task) -> int:
    """Scan, and put through ``batch_writer``, which batches and retries."""
    source = boto3.resource("dynamodb", endpoint_url=task.source_url).Table(task.source_table)
    destination = boto3.resource("dynamodb", endpoint_url=task.destination_url).Table(task.destination_table)
    copied = 0
    more: dict[str, Any] = {}
    with destination.batch_writer() as batch:
        while True:
            page = source.scan(**more)
            for item in page["Items"]:
                batch.put_item(Item=item)
            copied += len(page["Items"])
            if "LastEvaluatedKey" not in page:
                return copied
            more = {"ExclusiveStartKey": page["LastEvaluatedKey"]}


if __name__ == "__main__":
    run({"copy": copy})
