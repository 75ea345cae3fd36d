# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of the demo: real shapes, each with its items and its inventory variables.

ProductCatalog, Forum, Thread and Reply carry the values of Amazon's developer guide ("Example tables and data").
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
ORDERS = 20_000
ITEM_LIMIT = 400 * 1024  # bytes of an item, names included (aws.md H)

Item = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Keys:
    """Customer managed keys: the one of the source, and the one of the destination that replaces it."""

    source: str
    destination: str


@dataclass(frozen=True)
class DemoTable:
    """One table: how it is created, what is in it, what is set on it afterwards, and its inventory variables.

    ``settings`` maps an operation of DynamoDB's client to its parameters besides the table's name.
    """

    name: str
    create: dict[str, Any]
    items: Callable[[], Iterator[Item]] = field(default=lambda: iter(()))
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    scaled: bool = False
    variables: dict[str, Any] = field(default_factory=dict)


def demo_tables(keys: Keys) -> list[DemoTable]:
    """All tables of the demo."""
    return [
        *(sample(name) for name in ("ProductCatalog", "Forum", "Thread", "Reply")),
        DemoTable(
            "orders",
            on_demand(
                ("CustomerId", "S"),
                ("OrderId", "S"),
                indexes=[
                    index(
                        "ByStatus", "Status", "OrderedAt", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["Total"]}
                    ),
                    index("ByOrder", "OrderId", "", {"ProjectionType": "KEYS_ONLY"}),
                ],
                StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_AND_OLD_IMAGES"},
                Tags=[{"Key": "team", "Value": "shop"}, {"Key": "cost center", "Value": "4711"}],
            ),
            orders,
            {
                "update_time_to_live": time_to_live("ExpiresAt"),
                "update_continuous_backups": recovery(35),
            },
        ),
        DemoTable("all_types", on_demand(("id", "B"), ("part", "N")), all_types),
        DemoTable(
            "sessions",
            {
                **on_demand(("SessionId", "S"), indexes=[index("ByUser", "UserId", "", {"ProjectionType": "ALL"}, 5)]),
                "BillingMode": "PROVISIONED",
                "ProvisionedThroughput": capacity(5),
            },
            lambda: (
                {
                    "SessionId": {"S": f"s-{number:04d}"},
                    "UserId": {"S": f"u-{number % 40}"},
                    "Ends": {"N": "4102444800"},
                }
                for number in range(200)
            ),
            {"update_time_to_live": time_to_live("Ends")},
            scaled=True,
        ),
        DemoTable(
            "secrets",
            on_demand(("id", "S"), SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": keys.source}),
            numbered,
            variables={"ferry_kms_key_map": {keys.source: keys.destination}},
        ),
        DemoTable("archive", on_demand(("id", "S"), TableClass="STANDARD_INFREQUENT_ACCESS"), numbered),
        DemoTable(
            "empty",
            on_demand(("id", "S"), OnDemandThroughput={"MaxReadRequestUnits": 1000, "MaxWriteRequestUnits": 500}),
        ),
        DemoTable(
            "customers",
            on_demand(("id", "S"), DeletionProtectionEnabled=True),
            numbered,
            {
                "update_continuous_backups": recovery(7),
                "update_contributor_insights": {"ContributorInsightsAction": "ENABLE"},
            },
            variables={"ferry_destination_table": "crm-customers"},
        ),
        # A local secondary index: an import cannot create it, a direct copy can.
        DemoTable(
            "ThreadByDate",
            thread_by_date(),
            sample("Thread").items,
            variables={"ferry_method": "s3", "ferry_expect": "refused"},
        ),
        DemoTable("ThreadHistory", thread_by_date(), sample("Thread").items, variables={"ferry_method": "direct"}),
        # With AWS Backup: backed up, copied to the vault of the other account, restored there.
        DemoTable(
            "ThreadVault",
            {
                **thread_by_date(),
                "SSESpecification": {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": keys.source},
            },
            sample("Thread").items,
            variables={"ferry_method": "backup", "ferry_kms_key_map": {keys.source: keys.destination}},
        ),
        DemoTable(
            "ledger_2025",
            on_demand(("id", "S"), Tags=[{"Key": "keep", "Value": "seven years"}]),
            numbered,
            {"update_time_to_live": time_to_live("ExpiresAt"), "update_continuous_backups": recovery(14)},
            variables={"ferry_method": "backup"},
        ),
        DemoTable("invoices", on_demand(("id", "S")), numbered, variables={"ferry_expect": "refused"}),
        DemoTable(
            "forgotten", on_demand(("id", "S")), numbered, variables={"ferry_method": "glue", "ferry_expect": "refused"}
        ),
    ]


def taken_tables() -> list[DemoTable]:
    """Tables that exist in the destination before the run, created by someone else."""
    return [DemoTable("invoices", on_demand(("id", "S")), lambda: iter([{"id": {"S": "somebody else's"}}]))]


def sample(name: str) -> DemoTable:
    """A sample table of Amazon's developer guide."""
    content = json.loads((DATA / f"{name}.json").read_text())
    return DemoTable(name, content["create"], lambda: iter(content["items"]))


# Shapes


def thread_by_date() -> dict[str, Any]:
    """CreateTable's parameters for threads with the local secondary index of Amazon's developer guide."""
    return {
        **on_demand(("ForumName", "S"), ("Subject", "S")),
        "AttributeDefinitions": attributes(("ForumName", "S"), ("Subject", "S"), ("LastPostedDateTime", "S")),
        "LocalSecondaryIndexes": [
            {
                "IndexName": "LastPostIndex",
                "KeySchema": key_schema("ForumName", "LastPostedDateTime"),
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    }


def attributes(*named: tuple[str, str]) -> list[dict[str, str]]:
    """AttributeDefinitions."""
    return [{"AttributeName": name, "AttributeType": kind} for name, kind in named]


def key_schema(partition: str, sort: str = "") -> list[dict[str, str]]:
    """KeySchema."""
    keys = [{"AttributeName": partition, "KeyType": "HASH"}]
    return [*keys, {"AttributeName": sort, "KeyType": "RANGE"}] if sort else keys


def capacity(units: int) -> dict[str, int]:
    """ProvisionedThroughput of as many units both ways."""
    return {"ReadCapacityUnits": units, "WriteCapacityUnits": units}


def index(name: str, partition: str, sort: str, projection: dict[str, Any], units: int = 0) -> dict[str, Any]:
    """A global secondary index, provisioned with ``units``, on demand without."""
    shape = {"IndexName": name, "KeySchema": key_schema(partition, sort), "Projection": projection}
    return {**shape, "ProvisionedThroughput": capacity(units)} if units else shape


def on_demand(*keys: tuple[str, str], indexes: list[dict[str, Any]] | None = None, **more: Any) -> dict[str, Any]:
    """CreateTable's parameters for a table on demand; the keys of indexes that are not the table's are strings."""
    names = [name for name, _ in keys]
    extra = {key["AttributeName"] for entry in indexes or () for key in entry["KeySchema"]} - set(names)
    shape = {
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": attributes(*keys, *((name, "S") for name in sorted(extra))),
        "KeySchema": key_schema(*names),
        **more,
    }
    return {**shape, "GlobalSecondaryIndexes": indexes} if indexes else shape


def time_to_live(attribute: str) -> dict[str, Any]:
    """UpdateTimeToLive's parameters."""
    return {"TimeToLiveSpecification": {"Enabled": True, "AttributeName": attribute}}


def recovery(days: int) -> dict[str, Any]:
    """UpdateContinuousBackups's parameters."""
    return {"PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": days}}


# Items


def numbered() -> Iterator[Item]:
    """A hundred small items."""
    return ({"id": {"S": f"item-{number:03d}"}, "n": {"N": str(number)}} for number in range(100))


def orders() -> Iterator[Item]:
    """Twenty thousand orders, the same at every run."""
    chance = random.Random(20260101)
    for number in range(ORDERS):
        lines = [
            {"M": {"Sku": {"S": f"SKU-{chance.randrange(500):04d}"}, "Count": {"N": str(chance.randint(1, 9))}}}
            for _ in range(chance.randint(1, 4))
        ]
        yield {
            "CustomerId": {"S": f"C{chance.randrange(2_000):05d}"},
            "OrderId": {"S": f"O{number:07d}"},
            "OrderedAt": {
                "S": f"2026-{chance.randint(1, 9):02d}-{chance.randint(1, 28):02d}T{chance.randrange(24):02d}:00:00Z"
            },
            "Status": {"S": chance.choice(("open", "paid", "sent", "returned"))},
            "Total": {"N": f"{chance.randrange(100, 1_000_000) / 100:.2f}"},
            "Lines": {"L": lines},
            "ExpiresAt": {"N": str(4_102_444_800 + number)},
        }


def all_types() -> Iterator[Item]:
    """Every attribute type, and the edges of each."""
    deep: dict[str, Any] = {"S": "bottom"}
    for _ in range(30):
        deep = {"M": {"m": deep}}
    values: list[Item] = [
        {"S": {"S": 'text with \u00fc, \u4f60\u597d, \U0001f6a2, a " quote, a \\ and a\nline end'}, "Empty": {"S": ""}},
        {"N": {"N": "0"}, "Negative": {"N": "-273.15"}, "Exponent": {"N": "1E+3"}},
        {
            "Digits": {"N": "12345678901234567890123456789012345678"},
            "Fraction": {"N": "-0.12345678901234567890123456789012345678"},
            "Largest": {"N": "9.9999999999999999999999999999999999999E+125"},
            "Smallest": {"N": "1E-130"},
        },
        {"B": {"B": bytes(range(256))}, "Empty": {"B": b""}},
        {"Yes": {"BOOL": True}, "No": {"BOOL": False}, "Nothing": {"NULL": True}},
        {"SS": {"SS": ["b", "a", ""]}, "NS": {"NS": ["1", "-2.5", "1E+20"]}, "BS": {"BS": [b"\x00", b"\xff\xfe"]}},
        {"L": {"L": []}, "M": {"M": {}}},
        {
            "Nested": {
                "M": {
                    "sets": {"L": [{"SS": ["x", "y"]}, {"NS": ["3", "4"]}, {"BS": [b"\x01", b"\x02"]}]},
                    "binary": {"M": {"raw": {"B": b"\x00\x80\xff"}}},
                    "mixed": {"L": [{"S": ""}, {"N": "1"}, {"NULL": True}, {"L": [{"BOOL": False}]}]},
                }
            }
        },
        {"Deep": deep},
        {"Name with blanks, dots. and #signs": {"S": "v"}, "\u00e4ttribute": {"N": "7"}},
    ]
    for number, value in enumerate(values):
        yield {"id": {"B": bytes([0, number, 255])}, "part": {"N": str(number - 3)}, **value}
    # The names and the keys of this item take 23 bytes of the limit; a number takes at most 21.
    yield {"id": {"B": b"\xff\xff"}, "part": {"N": "1E+10"}, "Payload": {"S": "x" * (ITEM_LIMIT - 64)}}
