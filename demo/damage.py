# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Damages a copy: five of its items."""

from __future__ import annotations

from itertools import islice

from demo.tables import orders
from lab.client import LabClient

DAMAGED = "orders"


def damage(lab: LabClient) -> dict[str, str]:
    """Change three items of the copy of orders, remove one and add one; returns the differences by OrderId."""
    dynamodb = lab.client("dynamodb", "destination")
    *changed, removed = islice(orders(), 100, 104)
    for item in changed:
        dynamodb.put_item(TableName=DAMAGED, Item={**item, "Status": {"S": "lost"}})
    key = {name: removed[name] for name in ("CustomerId", "OrderId")}
    dynamodb.delete_item(TableName=DAMAGED, Key=key)
    added = {"CustomerId": {"S": "nobody"}, "OrderId": {"S": "order-of-nobody"}}
    dynamodb.put_item(TableName=DAMAGED, Item=added)
    return {
        **{item["OrderId"]["S"]: "different" for item in changed},
        removed["OrderId"]["S"]: "missing",
        added["OrderId"]["S"]: "extra",
    }
