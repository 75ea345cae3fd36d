# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a restored table has, and how tables behave while they are backed up and restored."""

from __future__ import annotations

from typing import Any

import pytest

from lab.dynamodb import tables
from lab.dynamodb.registry import TableRegistry
from lab.errors import AwsError
from tests.unit.lab.backup.conftest import DESTINATION, REGION, SOURCE, TABLE, Company, policy
from tests.unit.lab.backup.conftest import world as backup_world

__all__ = ["backup_world"]

RICH: dict[str, Any] = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "g", "l")],
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "gsi",
            "KeySchema": [{"AttributeName": "g", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["b", "a"]},
        }
    ],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "lsi",
            "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "l", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
    "TableClass": "STANDARD_INFREQUENT_ACCESS",
    "Tags": [{"Key": "colour", "Value": "red"}],
    "DeletionProtectionEnabled": True,
    "WarmThroughput": {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 5000},
}


@pytest.fixture
def company(backup_world: Any) -> Company:
    """The company, whose source has the table ``rich`` with every setting and one item."""
    made = Company(backup_world)
    source = made.source
    source.table("rich", **RICH)
    key = {"pk": {"S": "p"}, "sk": {"S": "s"}}
    source("PutItem", TableName="rich", Item={**key, "g": {"S": "g"}, "l": {"S": "l"}, "n": {"NS": ["1", "2e1"]}})
    source("UpdateTimeToLive", TableName="rich", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ttl"})
    source(
        "UpdateContinuousBackups", TableName="rich",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )  # fmt: skip
    arn = TABLE.replace("tbl", "rich")
    reader = {"AWS": source.role_arn}
    statement = {"Effect": "Allow", "Principal": reader, "Action": "dynamodb:GetItem", "Resource": arn}
    source("UpdateContributorInsights", TableName="rich", ContributorInsightsAction="ENABLE")
    source("PutResourcePolicy", ResourceArn=arn, Policy=policy(statement))
    source.wait(60)
    return made


def restore(company: Company) -> dict[str, Any]:
    """DescribeTable of the destination's new table ``rich``."""
    copy = company.copy(ResourceArn=TABLE.replace("tbl", "rich"))
    assert company.destination.restored(copy, "rich")["Status"] == "COMPLETED"
    return company.destination.describe("rich")


def test_restored_definition(company: Company) -> None:
    table, original = restore(company), company.source.describe("rich")
    for member in ("KeySchema", "AttributeDefinitions"):
        assert table[member] == original[member]
    for member in ("GlobalSecondaryIndexes", "LocalSecondaryIndexes"):
        kept = ("IndexName", "KeySchema", "Projection")
        assert [[index[name] for name in kept] for index in table[member]] == [
            [index[name] for name in kept] for index in original[member]
        ]
    assert table["TableId"] != original["TableId"]
    for gone in ("StreamSpecification", "LatestStreamArn", "TableClassSummary", "RestoreSummary", "SSEDescription"):
        assert gone not in table
    assert table["DeletionProtectionEnabled"] is False
    asked = company.destination
    time_to_live = asked("DescribeTimeToLive", TableName="rich")["TimeToLiveDescription"]
    assert time_to_live == {"TimeToLiveStatus": "DISABLED"}
    backups = asked("DescribeContinuousBackups", TableName="rich")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"] == {"PointInTimeRecoveryStatus": "DISABLED"}
    assert asked("ListTagsOfResource", ResourceArn=table["TableArn"])["Tags"] == []
    with pytest.raises(AwsError, match="PolicyNotFoundException"):
        asked("GetResourcePolicy", ResourceArn=table["TableArn"])
    key = {"pk": {"S": "p"}, "sk": {"S": "s"}}
    item = asked("GetItem", TableName="rich", Key=key)
    assert item == company.source("GetItem", TableName="rich", Key=key)
    for index, name in (("gsi", "g"), ("lsi", "l")):
        entries = asked("Scan", TableName="rich", IndexName=index)["Items"]
        assert [each[name] for each in entries] == [{"S": name}]


def test_every_item_is_restored_once(company: Company) -> None:
    names = [f"item-{number:04}\n" for number in range(1250)]
    for name in names:
        company.source.put(pk={"S": name}, text={"S": "line\nbreak \u2028 é"})
    assert company.destination.restored(company.copy())["Status"] == "COMPLETED"
    assert company.destination.items() == sorted([*"abc", *names])
    table = company.world.part(TableRegistry).find(DESTINATION, REGION, "tbl")
    original = company.world.part(TableRegistry).find(SOURCE, REGION, "tbl")
    assert list(table.store.items_at(0)) == list(original.store.items_at(0))


def test_restored_without(company: Company) -> None:
    assert company.source.describe("rich")["WarmThroughput"]["ReadUnitsPerSecond"] == 13000
    assert restore(company)["WarmThroughput"]["ReadUnitsPerSecond"] == 12000
    insights = company.destination("DescribeContributorInsights", TableName="rich")
    assert insights["ContributorInsightsStatus"] == "DISABLED"
    destinations = company.destination("DescribeKinesisStreamingDestination", TableName="rich")
    assert destinations["KinesisDataStreamDestinations"] == []


def test_restore_target_creating(company: Company) -> None:
    copy = company.copy(ResourceArn=TABLE.replace("tbl", "rich"))
    company.destination.start_restore(copy, "rich")
    asked = company.destination
    asked.wait(60)
    shown = asked.describe("rich")
    assert shown["TableStatus"] == "CREATING"
    assert (shown["RestoreSummary"]["SourceBackupArn"], shown["RestoreSummary"]["RestoreInProgress"]) == (copy, True)
    assert shown["RestoreSummary"]["SourceTableArn"] == TABLE.replace("tbl", "rich")
    assert "IndexStatus" not in shown["GlobalSecondaryIndexes"][0]
    arn = shown["TableArn"]
    for operation, params, code in (
        ("UpdateTable", {"TableName": "rich", "DeletionProtectionEnabled": True}, "ResourceNotFoundException"),
        (
            "UpdateTimeToLive",
            {"TableName": "rich", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "ttl"}},
            "ResourceNotFoundException",
        ),
        ("DescribeContributorInsights", {"TableName": "rich"}, "ResourceNotFoundException"),
        ("GetResourcePolicy", {"ResourceArn": arn}, "ResourceNotFoundException"),
        ("TagResource", {"ResourceArn": arn, "Tags": [{"Key": "a", "Value": "b"}]}, "ResourceNotFoundException"),
        ("DescribeContinuousBackups", {"TableName": "rich"}, "TableNotFoundException"),
        ("Scan", {"TableName": "rich"}, "ResourceNotFoundException"),
    ):
        with pytest.raises(AwsError, match=code):
            asked(operation, **params)
    asked.refused(tables.BEING_CREATED, "ResourceInUseException", "rich", "DeleteTable", TableName="rich")
    with pytest.raises(AwsError, match="Table is being used: rich"):
        asked("CreateTable", TableName="rich", BillingMode="PAY_PER_REQUEST", **RICH)
    asked.wait(300)
    shown = asked.describe("rich")
    assert (shown["TableStatus"], "RestoreSummary" in shown) == ("ACTIVE", False)
    assert shown["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE"
    assert asked("DeleteTable", TableName="rich")["TableDescription"]["TableStatus"] == "DELETING"


def test_no_delete_during_backup(company: Company) -> None:
    company.source.start_backup()
    company.source.wait(60)
    company.source.refused(tables.UNDELETABLE, "ResourceInUseException", "backed up", "DeleteTable", TableName="tbl")
    company.source.wait(300)
    assert company.source("DeleteTable", TableName="tbl")["TableDescription"]["TableStatus"] == "DELETING"
