# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of the demo: real shapes, each with its items and its inventory variables.

ProductCatalog, Forum, Thread and Reply carry the values of Amazon's developer guide ("Example tables and data").
"""

from __future__ import annotations

import hashlib
import hmac
import json
import random
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

DATA = Path(__file__).parent / "data"
SAMPLES = ("ProductCatalog", "Forum", "Thread", "Reply")
ORDERS = 20_000
ITEM_LIMIT = 400 * 1024  # bytes of an item, names included (aws.md H)
DAY = 24 * 3600
SALT, SALT_FROM = secrets.token_hex(32), "DEMO_SALT"  # of hashes, and the variable of the environment that has it
COLLIDING = "members"
SPARK = "3.5.6"  # of the releases that the methods glue and emr take by default

Item = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Keys:
    """Customer managed keys: the one of the source, and the one of the destination that replaces it."""

    source: str
    destination: str


@dataclass(frozen=True)
class DemoTable:
    """One table: how it is created, what is in it, what is set on it afterwards, and its inventory variables.

    ``settings`` maps an operation of DynamoDB's client to its parameters besides the table's name. ``in_copy`` is what
    an item is in the copy, None for one that is left out there. A table with ``spark`` needs Spark on this machine.
    """

    name: str
    create: dict[str, Any]
    items: Callable[[], Iterator[Item]] = field(default=lambda: iter(()))
    settings: dict[str, dict[str, Any]] = field(default_factory=dict)
    scaled: bool = False
    variables: dict[str, Any] = field(default_factory=dict)
    in_copy: Callable[[Item], Item | None] = lambda item: item
    spark: bool = False


def demo_tables(keys: Keys) -> list[DemoTable]:
    """All tables of the demo."""
    return [
        *map(sample, SAMPLES),
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
            "forgotten", on_demand(("id", "S")), numbered, variables={"ferry_method": "bulk", "ferry_expect": "refused"}
        ),
        *changed_tables(),
    ]


def changed_tables() -> list[DemoTable]:
    """Tables whose items are changed on the way: by jobs of AWS Glue and of EMR Serverless. The steps of one give two
    items one key: a job of AWS Glue finds that before there is a table."""
    by_email = index("ByEmail", "email", "", {"ProjectionType": "KEYS_ONLY"})
    by_since = {
        "IndexName": "BySince",
        "KeySchema": key_schema("list", "since"),
        "Projection": {"ProjectionType": "ALL"},
    }
    return [
        DemoTable(
            "users",
            on_demand(("uid", "S"), indexes=[by_email]),
            users,
            {"update_time_to_live": time_to_live("expires_at")},
            variables={"ferry_method": "glue", "ferry_transform": steps({"uid": "user_id"})},
            in_copy=lambda item: changed(item, {"uid": "user_id"}),
            spark=True,
        ),
        DemoTable(
            "subscribers",
            {
                **on_demand(("list", "S"), ("number", "N")),
                "AttributeDefinitions": attributes(("list", "S"), ("number", "N"), ("since", "S")),
                "LocalSecondaryIndexes": [by_since],
            },
            subscribers,
            {"update_time_to_live": time_to_live("expires_at")},
            variables={
                "ferry_method": "emr",
                "ferry_transform": steps({"list": "newsletter", "number": "subscriber"}),
            },
            in_copy=lambda item: changed(item, {"list": "newsletter", "number": "subscriber"}),
            spark=True,
        ),
        # EU-001 and US-001 would both be 001.
        DemoTable(
            COLLIDING,
            on_demand(("id", "S")),
            members,
            variables={
                "ferry_method": "glue",
                "ferry_transform": [{"replace": {"id": ["^[A-Z]+-", ""]}}],
                "ferry_expect": "refused",
            },
            spark=True,
        ),
    ]


def steps(names: dict[str, str]) -> list[dict[str, Any]]:
    """Steps by which expired items stay behind, key attributes get other ``names``, mail addresses are hashed, and a
    function corrects postal codes."""
    return [
        {"drop_expired": "expires_at"},
        {"rename": names},
        {"hash": {"attributes": ["email"], "salt_from": f"env:{SALT_FROM}"}},
        {"python": {"function": "files/transform.py:fix_zip", "attributes": ["zip"]}},
    ]


def changed(item: Item, names: dict[str, str]) -> Item | None:
    """What ``steps`` are to make of an item, without TableFerry."""
    if float(item.get("expires_at", {}).get("N", "inf")) < time.time():
        return None
    email = hmac.new(SALT.encode(), item["email"]["S"].encode(), hashlib.sha256).hexdigest()
    made = {names.get(name, name): value for name, value in item.items()} | {"email": {"S": email}}
    return made | {"zip": {"S": f"{int(item['zip']['N']):05d}"}} if "zip" in item else made


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


def users() -> Iterator[Item]:
    """Five hundred users, of whom each tenth has expired, and each third has no postal code."""
    for number in range(500):
        yield {
            "uid": {"S": f"u-{number:03d}"},
            **person(number),
            "address": {"M": {"city": {"S": "Dresden"}, "lines": {"L": [{"S": f"Elbweg {number}"}]}}},
        }


def subscribers() -> Iterator[Item]:
    """Three hundred subscribers of three newsletters, of whom each tenth has expired."""
    for number in range(300):
        yield {
            "list": {"S": ("news", "offers", "jobs")[number % 3]},
            "number": {"N": str(number)},
            "since": {"S": f"2026-0{number % 9 + 1}-15"},
            **person(number),
        }


def person(number: int) -> Item:
    """What users and subscribers have in common. Who expires did so a month ago, or does in ten years."""
    expires = int(time.time()) + (3650 if number % 10 else -30) * DAY
    item = {"email": {"S": f"person-{number}@example.com"}, "expires_at": {"N": str(expires)}}
    return item | {"zip": {"N": str(1067 + 100 * number)}} if number % 3 else item


def members() -> Iterator[Item]:
    """Forty members, numbered from 1 in each of two regions."""
    return ({"id": {"S": f"{region}-{number:03d}"}} for region in ("EU", "US") for number in range(1, 21))


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
