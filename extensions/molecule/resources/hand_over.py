# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The users of a copy: ``change`` writes to it and changes settings on both sides, ``show`` prints how the copy is."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import boto3


def client(lab: dict[str, Any], side: str) -> Any:
    """DynamoDB in an account of the lab."""
    keys = lab["accounts"][side]
    return boto3.client(
        "dynamodb",
        region_name=lab["region"],
        endpoint_url=lab["endpoint_url"],
        aws_access_key_id=keys["access_key"],
        aws_secret_access_key=keys["secret_key"],
    )


def change(lab: dict[str, Any], table: str) -> None:
    """The copy loses an item and gets a table class; the source gets deletion protection."""
    there = client(lab, "destination")
    names = [key["AttributeName"] for key in there.describe_table(TableName=table)["Table"]["KeySchema"]]
    first = there.scan(TableName=table, Limit=1)["Items"][0]
    there.delete_item(TableName=table, Key={name: first[name] for name in names})
    there.update_table(TableName=table, TableClass="STANDARD_INFREQUENT_ACCESS")
    client(lab, "source").update_table(TableName=table, DeletionProtectionEnabled=True)


def show(lab: dict[str, Any], table: str) -> str:
    """The copy's items and what describes it, in one order."""
    there = client(lab, "destination")
    described = there.describe_table(TableName=table)["Table"]
    settings = {name: described.get(name) for name in ("TableId", "TableClassSummary", "DeletionProtectionEnabled")}
    return json.dumps([settings, sorted(map(repr, there.scan(TableName=table)["Items"]))], default=str)


if __name__ == "__main__":
    what, file, table = sys.argv[1:]
    landscape = json.loads(Path(file).read_text(encoding="utf-8"))
    if what == "change":
        change(landscape, table)
    else:
        print(show(landscape, table))
