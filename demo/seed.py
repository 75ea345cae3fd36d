# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Puts the tables of the demo into the accounts of a lab."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from botocore.exceptions import ClientError

from demo.tables import DemoTable, Item, Keys, demo_tables, taken_tables
from lab.client import LabClient

BATCH = 25  # items per BatchWriteItem (aws.md H)
BATCH_BYTES = 300_000  # a batch of large items goes alone
RETRIES = {"mode": "standard", "max_attempts": 10}
READY_TRIES, READY_GAP = 100, 0.2  # tries, and seconds between them


def seed(lab: LabClient, without_spark: bool = False) -> list[DemoTable]:
    """Create keys and tables in both accounts; return the tables of the source.

    Tables that need Spark are left out ``without_spark``.
    """
    keys = Keys(*(make_key(lab, side) for side in ("source", "destination")))
    tables = [table for table in demo_tables(keys) if not (table.spark and without_spark)]
    make_tables(lab, "source", tables)
    make_tables(lab, "destination", taken_tables())
    return tables


def make_key(lab: LabClient, side: str) -> str:
    """A customer managed key of an account: its ARN."""
    metadata = lab.client("kms", side, retries=RETRIES).create_key(Description="the demo's")["KeyMetadata"]
    return str(metadata["Arn"])


def make_tables(lab: LabClient, side: str, tables: Iterable[DemoTable]) -> None:
    """Create the tables, fill them and set what is set afterwards."""
    dynamodb = lab.client("dynamodb", side, retries=RETRIES)
    tables = list(tables)
    for table in tables:
        dynamodb.create_table(TableName=table.name, **table.create)
    waiter = dynamodb.get_waiter("table_exists")
    for table in tables:
        waiter.wait(TableName=table.name, WaiterConfig={"Delay": 1, "MaxAttempts": 60})
        fill(dynamodb, table)
        for operation, parameters in table.settings.items():
            set_when_ready(getattr(dynamodb, operation), TableName=table.name, **parameters)
        if table.scaled:
            scale(lab, side, table)


def set_when_ready(call: Callable[..., Any], **parameters: Any) -> None:
    """Make a call that AWS refuses for some seconds after a table is ACTIVE (measured/settings 2.3)."""
    for _try in range(READY_TRIES):
        try:
            call(**parameters)
            return
        except ClientError as error:
            if error.response["Error"]["Code"] != "ContinuousBackupsUnavailableException":
                raise
            time.sleep(READY_GAP)
    call(**parameters)


def fill(dynamodb: Any, table: DemoTable) -> None:
    """Write the table's items, what is left unprocessed included."""
    for batch in batches(table.items()):
        request = {table.name: [{"PutRequest": {"Item": item}} for item in batch]}
        while request:
            request = dynamodb.batch_write_item(RequestItems=request)["UnprocessedItems"]


def batches(items: Iterator[Item]) -> Iterator[list[Item]]:
    """Groups of items that one request takes."""
    for batch in iter(lambda: list(itertools.islice(items, BATCH)), []):
        if sum(len(str(item)) for item in batch) > BATCH_BYTES:
            yield from ([item] for item in batch)
        else:
            yield batch


def scale(lab: LabClient, side: str, table: DemoTable) -> None:
    """Let Application Auto Scaling manage the reads of the table and of its indexes."""
    scaling = lab.client("application-autoscaling", side, retries=RETRIES)
    places = [(f"table/{table.name}", "table")]
    places += [
        (f"table/{table.name}/index/{index['IndexName']}", "index") for index in table.create["GlobalSecondaryIndexes"]
    ]
    for resource, kind in places:
        target = {
            "ServiceNamespace": "dynamodb",
            "ResourceId": resource,
            "ScalableDimension": f"dynamodb:{kind}:ReadCapacityUnits",
        }
        scaling.register_scalable_target(**target, MinCapacity=5, MaxCapacity=50)
        scaling.put_scaling_policy(
            **target,
            PolicyName=f"reads-of-{kind}",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 70.0,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
            },
        )
