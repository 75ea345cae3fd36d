# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Everybody else in a history: who writes to the source, and who deletes or replaces the copy."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError

from tests.histories.plan import TABLE
from tests.histories.promises import Items, Version
from tests.unit.on_lab.staged import Staged

ITEMS = 7


class User:
    """The user. ``versions`` are all states of what stands under the source's name; ``foreign`` are the tables under
    the copy's name that are the user's, with the time since when; ``acted`` is what was done."""

    def __init__(self, aws: Staged) -> None:
        self._aws = aws
        self.versions: list[Version] = []
        self.foreign: dict[str, float] = {}
        self.deleted: list[float] = []
        self.acted: list[str] = []
        self._number = 0
        self._create("source")
        self._write(ITEMS)
        self._aws.advance(20.0)

    def act(self, kind: str) -> None:
        """What a fault of the kinds ``plan.USER`` does; nothing where AWS refuses it at this moment."""
        before = self._aws.clock
        try:
            {
                "user deletes": self._delete,
                "user replaces": self._replace,
                "source written": self._write,
                "source erased": self._erase,
                "source made anew": self._make_anew,
            }[kind]()
            self.acted.append(kind)
        except ClientError as error:
            self._aws.trace.append((before, "user", f"{kind}: {error}"))  # type: ignore[attr-defined]

    def items(self, side: str, table: str = TABLE) -> Items:
        """The items of a side's table."""
        pages = self._aws.client("dynamodb", side).get_paginator("scan").paginate(TableName=table, ConsistentRead=True)
        return {item["id"]["S"]: item["v"]["S"] for page in pages for item in page["Items"]}

    def table_id(self, side: str, table: str = TABLE) -> str:
        """The TableId of a side's table; empty where there is none."""
        try:
            return str(self._aws.described(table, side)["TableId"])
        except ClientError:
            return ""

    def _create(self, side: str) -> str:
        self._aws.client("dynamodb", side).create_table(
            TableName=TABLE,
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        table_id = self.table_id(side)
        if side == "source":
            self.versions.append(Version(self._aws.clock, table_id, {}))
        else:
            self.foreign[table_id] = self._aws.clock
        self._aws.advance(3.0)
        if side == "source":
            self._aws.client("dynamodb", side).update_time_to_live(
                TableName=TABLE, TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"}
            )
        return table_id

    def _drop(self, side: str) -> None:
        dynamodb = self._aws.client("dynamodb", side)
        if self._aws.described(TABLE, side).get("DeletionProtectionEnabled"):
            dynamodb.update_table(TableName=TABLE, DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName=TABLE)

    def _delete(self) -> None:
        self._drop("destination")
        self.deleted.append(self._aws.clock)

    def _replace(self) -> None:
        self._delete()
        self._aws.advance(6.0)
        self._create("destination")
        self._put("destination", {"id": {"S": "the user's"}, "v": {"S": "own"}})

    def _make_anew(self) -> None:
        self._drop("source")
        while self.table_id("source"):  # longer while it is exported
            self._aws.advance(6.0)
        self._create("source")
        self._write(3)

    def _write(self, new: int = 1) -> None:
        """New items, and another value of each old one: a late write of an old value shows."""
        last = self._number
        self._number += new
        keys = [*self.versions[-1].items, *(f"{number:04d}" for number in range(last + 1, self._number + 1))]
        items = {key: str(self._number) for key in keys}
        puts = [{"PutRequest": {"Item": {"id": {"S": key}, "v": {"S": value}}}} for key, value in items.items()]
        self._aws.client("dynamodb", "source").batch_write_item(RequestItems={TABLE: puts})
        self._changed(items)

    def _erase(self) -> None:
        items = dict(self.versions[-1].items)
        if items:
            key = max(items)
            self._aws.client("dynamodb", "source").delete_item(TableName=TABLE, Key={"id": {"S": key}})
            del items[key]
        self._changed(items)

    def _put(self, side: str, item: dict[str, Any]) -> None:
        self._aws.client("dynamodb", side).put_item(TableName=TABLE, Item=item)

    def _changed(self, items: Items) -> None:
        self.versions.append(Version(self._aws.clock, self.versions[-1].table_id, items))
