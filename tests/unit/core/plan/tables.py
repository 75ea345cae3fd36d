# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Facts about tables for tests of plans."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core import migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.choice import Chosen, choose
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.facts import (
    Between,
    Location,
    TableFacts,
    Wishes,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.forecast import Forecast
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import Prices, usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition

GB = 1 << 30
HERE, THERE = Location("111111111111", "eu-west-1"), Location("222222222222", "eu-west-1")
LSI = {
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by_date",
            "KeySchema": [
                {"AttributeName": "id", "KeyType": "HASH"},
                {"AttributeName": "date", "KeyType": "RANGE"},
            ],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "AttributeDefinitions": [
        {"AttributeName": "id", "AttributeType": "S"},
        {"AttributeName": "date", "AttributeType": "S"},
    ],
}
PROVISIONED = {
    "BillingModeSummary": {"BillingMode": "PROVISIONED"},
    "ProvisionedThroughput": {"ReadCapacityUnits": 100, "WriteCapacityUnits": 50},
}


def definition(**members: Any) -> TableDefinition:
    """A table on demand of 10 GB and 10 million items, and what else is said of it."""
    return TableDefinition.from_dict(
        {
            "TableName": "orders",
            "TableArn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
            "TableId": "id-1",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "TableSizeBytes": 10 * GB,
            "ItemCount": 10_000_000,
            **members,
        }
    )


def facts(
    wishes: Wishes | None = None, source: Location = HERE, destination: Location = THERE, **members: Any
) -> TableFacts:
    """Facts of ``definition``; members of TableFacts are named as they are, the others are of DescribeTable."""
    own = {name: members.pop(name) for name in ("recovery_on", "tags", "sample") if name in members}
    found = TableFacts(definition(**members), source, destination, "orders", wishes or Wishes(), recovery_on=True)
    return replace(found, **own)


def forecasts(
    found: TableFacts, between: dict[str, Between] | None = None, prices: Prices | None = None
) -> dict[str, Forecast]:
    """What each method would do for the table."""
    return {
        name: method.forecast(found, (between or {}).get(name, Between()), prices or usual())
        for name, method in migration.METHODS.items()
    }


def chosen(found: TableFacts, between: dict[str, Between] | None = None) -> Chosen:
    """What auto comes to."""
    return choose(list(forecasts(found, between).values()))
