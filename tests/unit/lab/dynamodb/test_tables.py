# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables from CreateTable to DeleteTable."""

from __future__ import annotations

import pytest

from lab.dynamodb import address, creation, items, limits, registry, tables
from lab.dynamodb.registry import TableRegistry
from lab.errors import AwsError

REGION = "eu-west-1"
KEY = [{"AttributeName": "pk", "KeyType": "HASH"}]
DEFINITION = {"AttributeName": "pk", "AttributeType": "S"}
ON_DEMAND = {"KeySchema": KEY, "AttributeDefinitions": [DEFINITION], "BillingMode": "PAY_PER_REQUEST"}
PROVISIONED = {
    "KeySchema": KEY,
    "AttributeDefinitions": [DEFINITION],
    "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6},
}
INDEX = {"IndexName": "g-a", "KeySchema": KEY, "Projection": {"ProjectionType": "ALL"}}
IN_USE = "ResourceInUseException"
PARAMETERS = {**ON_DEMAND, "TableName": "tbl"}


def tables_of(desk):
    return desk.world.part(TableRegistry)


def context_of(desk, operation="ImportTable"):
    from lab.world import Context

    return Context(desk.world, desk.caller, REGION, "dynamodb", operation, "request-id")


def test_table_not_found(desk):
    text = "Requested resource not found: Table: tbl not found"
    desk.refused(registry.NOT_FOUND, "ResourceNotFoundException", text, "DescribeTable", TableName="tbl")
    backups = ("TableNotFoundException", "Table not found: tbl", "DescribeContinuousBackups")
    desk.refused(registry.NOT_FOUND, *backups, TableName="tbl")
    arn = "arn:aws:dynamodb:eu-west-1:111111111111:table/tbl"
    missing = ("ResourceNotFoundException", f"ResourceArn: {arn} not found", "ListTagsOfResource")
    desk.refused(registry.NOT_FOUND, *missing, ResourceArn=arn)


def test_table_arn_of_other_region(desk):
    table = desk.table()
    assert desk.describe(table["TableArn"])["TableId"] == table["TableId"]
    arn = table["TableArn"].replace("eu-west-1", "us-east-1")
    desk.refused(address.WRONG_REGION, "ValidationException", f"'{arn}'", "DescribeTable", TableName=arn)


def test_backends_learn_separately(desk):
    desk.world.timings.set("table.creating", 8)
    created = desk("CreateTable", TableName="tbl", **ON_DEMAND)["TableDescription"]
    ttl = {"TableName": "tbl", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "a"}}
    tag = {"ResourceArn": created["TableArn"], "Tags": [{"Key": "k", "Value": "v"}]}
    pitr = {"TableName": "tbl"}
    missing = "ResourceNotFoundException"
    desk.refused(registry.BORN_SEPARATELY, missing, "Table: tbl", "UpdateTimeToLive", **ttl)
    backups = ("TableNotFoundException", "Table not found: tbl", "DescribeContinuousBackups")
    desk.refused(registry.BORN_SEPARATELY, *backups, **pitr)
    desk.refused(registry.BORN_SEPARATELY, missing, "Table: tbl", "DescribeKinesisStreamingDestination", **pitr)
    desk.wait(4)
    assert desk("DescribeContinuousBackups", **pitr)
    desk.refused(registry.BORN_SEPARATELY, missing, "ResourceArn: ", "TagResource", **tag)
    desk.wait(4.5)
    desk("TagResource", **tag)


def test_backends_forget_separately(desk):
    arn = desk.table()["TableArn"]
    desk("DeleteTable", TableName="tbl")
    assert desk("ListTagsOfResource", ResourceArn=arn) == {"Tags": []}
    desk.wait(1.3)
    missing = "ResourceNotFoundException"
    desk.refused(registry.FORGOTTEN_SEPARATELY, missing, "ResourceArn", "ListTagsOfResource", ResourceArn=arn)
    assert desk("DescribeContributorInsights", TableName="tbl")
    desk.wait(1)
    desk.refused(registry.FORGOTTEN_SEPARATELY, missing, "Table: tbl", "DescribeContributorInsights", TableName="tbl")
    assert desk("DescribeKinesisStreamingDestination", TableName="tbl")
    assert desk.status() == "DELETING"


def test_control_plane_limiter(desk):
    desk.world.throttles.enabled = True
    results = []
    for number in range(10):
        try:
            desk("CreateTable", TableName=f"t-{number}", **ON_DEMAND)
            results.append("ok")
        except AwsError as error:
            results.append(error.code)
    assert results[:6] == ["ok"] * 6
    assert "ThrottlingException" in results
    text = "rate of control plane requests"
    desk.refused(limits.ACCOUNT_LIMITER, "ThrottlingException", text, "CreateTable", TableName="one-more", **ON_DEMAND)
    assert desk("ListTables")["TableNames"]
    desk.wait(1)
    desk("CreateTable", TableName="one-more", **ON_DEMAND)


def test_deletion_protection_refuses(desk):
    desk.table(DeletionProtectionEnabled=True)
    text = "currently protected against deletion"
    desk.refused(tables.PROTECTED, "ValidationException", text, "DeleteTable", TableName="tbl")
    desk("UpdateTable", TableName="tbl", DeletionProtectionEnabled=False)
    assert desk("DeleteTable", TableName="tbl")["TableDescription"]["TableStatus"] == "DELETING"


def test_name_is_free_when_the_table_is_gone(desk):
    first = desk.table()
    desk("DeleteTable", TableName="tbl")
    text = "Table already exists: tbl"
    desk.refused(creation.EXISTS, IN_USE, text, "CreateTable", TableName="tbl", **ON_DEMAND)
    desk.refused(
        items.NOT_READY, "ResourceNotFoundException", "not found", "PutItem", TableName="tbl", Item={"pk": {"S": "a"}}
    )
    desk.wait(10)
    assert desk.table()["TableId"] != first["TableId"]


def test_creating_refuses_changes(desk):
    desk("CreateTable", TableName="tbl", **ON_DEMAND)
    update = {"TableName": "tbl", "DeletionProtectionEnabled": True}
    desk.refused(tables.BEING_CREATED, IN_USE, "Table is being created: tbl", "UpdateTable", **update)
    desk.refused(tables.BEING_CREATED, IN_USE, "Table is being created: tbl", "DeleteTable", TableName="tbl")
    desk.wait(2.1)
    desk("UpdateTable", **update)


def test_import_timeline(desk):
    """The answers of measured/import-export-table 1.7 while an import's table is invisible, CREATING and ACTIVE."""
    known = tables_of(desk)
    context = context_of(desk)
    tables.check_import(context, PARAMETERS)
    table = tables.create_from_import(context, PARAMETERS, "id-of-the-import", visible_after=30)
    assert known.find("111111111111", REGION, "tbl") is None
    assert known.find("111111111111", REGION, "tbl", visible_only=False) is table
    desk.refused(registry.NOT_FOUND, "ResourceNotFoundException", "Table: tbl", "DescribeTable", TableName="tbl")
    desk.wait(31)
    assert (desk.status(), desk.describe()["TableId"]) == ("CREATING", "id-of-the-import")
    desk.refused(tables.BEING_CREATED, IN_USE, "being created", "DeleteTable", TableName="tbl")
    assert desk("DescribeContinuousBackups", TableName="tbl")
    tag = {"ResourceArn": table.arn, "Tags": [{"Key": "k", "Value": "v"}]}
    desk.refused(registry.BORN_SEPARATELY, "ResourceNotFoundException", "ResourceArn", "TagResource", **tag)
    known.activate(table)
    assert desk.status() == "ACTIVE"
    desk("TagResource", **tag)
    with pytest.raises(AwsError, match="Table already exists: tbl"):
        tables.check_import(context, PARAMETERS)


def test_invisible_table_keeps_its_name(desk):
    """Whoever registers a table first has the name, seen or not."""
    context = context_of(desk)
    tables.create_from_import(context, PARAMETERS, "first", visible_after=30)
    with pytest.raises(AwsError, match="Table already exists: tbl"):
        tables.create_from_import(context, PARAMETERS, "second")
    desk.wait(31)
    assert desk.describe()["TableId"] == "first"


def test_deleting_refuses_changes(desk):
    desk.table()
    desk("DeleteTable", TableName="tbl")
    desk.refused(tables.BEING_DELETED, IN_USE, "Table is being deleted", "DeleteTable", TableName="tbl")
    update = {"TableName": "tbl", "DeletionProtectionEnabled": True}
    desk.refused(tables.BEING_DELETED, IN_USE, "Table is being deleted", "UpdateTable", **update)
    desk.wait(5.2)
    desk.refused(registry.NOT_FOUND, "ResourceNotFoundException", "Table: tbl", "DescribeTable", TableName="tbl")


def test_delete_waits_for_writes(desk):
    arn = desk.table()["TableArn"]
    desk("TagResource", ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    desk.refused(tables.WRITES_PENDING, IN_USE, "Table tags are being updated: tbl", "DeleteTable", TableName="tbl")
    desk.wait(2)
    policy = (
        '{"Statement": {"Effect": "Allow", "Principal": {"AWS": "222222222222"}, "Action": "dynamodb:GetItem", '
        f'"Resource": "{arn}"}}}}'
    )
    desk("PutResourcePolicy", ResourceArn=arn, Policy=policy)
    text = "has a pending resource-based policy update"
    desk.refused(tables.WRITES_PENDING, IN_USE, text, "DeleteTable", TableName="tbl")
    desk.wait(2)
    desk("DeleteTable", TableName="tbl")


def test_table_creating(desk):
    desk("CreateTable", TableName="plain", **ON_DEMAND)
    desk("CreateTable", TableName="indexed", **ON_DEMAND, GlobalSecondaryIndexes=[INDEX])
    desk.wait(2.1)
    assert (desk.status("plain"), desk.status("indexed")) == ("ACTIVE", "CREATING")
    index = desk.describe("indexed")["GlobalSecondaryIndexes"][0]
    assert (index["IndexStatus"], "Backfilling" in index) == ("CREATING", False)
    desk.wait(15)
    assert desk.status("indexed") == "ACTIVE"
    assert desk.describe("indexed")["GlobalSecondaryIndexes"][0]["IndexStatus"] == "ACTIVE"


def test_create_answer(desk):
    answer = desk("CreateTable", TableName="tbl", **ON_DEMAND)["TableDescription"]
    assert answer["BillingModeSummary"] == {"BillingMode": "PAY_PER_REQUEST"}
    assert "WarmThroughput" not in answer
    asked = {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 5000}
    answer = desk("CreateTable", TableName="warm", **ON_DEMAND, WarmThroughput=asked)["TableDescription"]
    assert answer["WarmThroughput"] == {**asked, "Status": "UPDATING"}
    desk.wait(3)
    assert desk.describe("warm")["WarmThroughput"] == {**asked, "Status": "ACTIVE"}
    assert "LastUpdateToPayPerRequestDateTime" in desk.describe()["BillingModeSummary"]
    units = {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000}
    assert desk.describe()["WarmThroughput"] == {**units, "Status": "ACTIVE"}


def test_definitions_sorted(desk):
    names = ["pk", "z", "a"]
    indexes = [
        {
            "IndexName": f"by-{name}",
            "KeySchema": [{"AttributeName": name, "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["y", "b"]},
        }
        for name in ("z", "a")
    ]
    definitions = [{"AttributeName": name, "AttributeType": "S"} for name in names]
    table = desk.table(AttributeDefinitions=definitions, GlobalSecondaryIndexes=indexes)
    assert [each["AttributeName"] for each in table["AttributeDefinitions"]] == ["a", "pk", "z"]
    assert [each["IndexName"] for each in table["GlobalSecondaryIndexes"]] == ["by-z", "by-a"]
    assert table["GlobalSecondaryIndexes"][0]["Projection"]["NonKeyAttributes"] == ["b", "y"]


def test_absent_members(desk):
    desk("CreateTable", TableName="tbl", **PROVISIONED)
    desk.wait(3)
    table = desk.describe()
    absent = {
        "BillingModeSummary", "TableClassSummary", "StreamSpecification", "SSEDescription", "OnDemandThroughput",
        "LatestStreamArn", "GlobalSecondaryIndexes", "LocalSecondaryIndexes", "VectorIndexes", "Replicas",
    }  # fmt: skip
    assert not absent & set(table)
    assert table["DeletionProtectionEnabled"] is False
    assert table["ProvisionedThroughput"] == {
        "ReadCapacityUnits": 5, "WriteCapacityUnits": 6, "NumberOfDecreasesToday": 0
    }  # fmt: skip
    assert desk.table("classy", TableClass="STANDARD")["TableClassSummary"] == {"TableClass": "STANDARD"}


def test_item_count_late(desk):
    desk.table()
    desk.put(pk={"S": "a"})
    assert (desk.describe()["ItemCount"], desk.describe()["TableSizeBytes"]) == (0, 0)
    desk.wait(6 * 3600)
    assert desk.describe()["ItemCount"] == 1
    assert desk.describe()["TableSizeBytes"] > 0


def test_tables_listed_in_byte_order(desk, other_desk):
    for name in ("bbb", "aaa", "BBB"):
        desk.table(name)
    other_desk.table("mine")
    desk("DeleteTable", TableName="bbb")
    assert desk("ListTables") == {"TableNames": ["BBB", "aaa", "bbb"]}
    assert desk("ListTables", Limit=2) == {"TableNames": ["BBB", "aaa"], "LastEvaluatedTableName": "aaa"}
    assert desk("ListTables", ExclusiveStartTableName="Z") == {"TableNames": ["aaa", "bbb"]}


def test_recreated_table_inherits_nothing(desk):
    ttl = {"TableName": "tbl", "TimeToLiveSpecification": {"Enabled": True, "AttributeName": "a"}}
    before = desk.table(Tags=[{"Key": "k", "Value": "v"}])
    desk("UpdateTimeToLive", **ttl)
    desk(
        "UpdateContinuousBackups",
        TableName="tbl",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    desk("DeleteTable", TableName="tbl")
    desk.wait(6)
    after = desk.table()
    assert after["TableArn"] == before["TableArn"]
    assert after["TableId"] != before["TableId"]
    assert desk("ListTagsOfResource", ResourceArn=after["TableArn"]) == {"Tags": []}
    backups = desk("DescribeContinuousBackups", TableName="tbl")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"] == {"PointInTimeRecoveryStatus": "DISABLED"}
    desk("UpdateTimeToLive", **ttl)


def test_no_global_tables(desk):
    desk.table()
    text = "Global tables are not available"
    replicas = {"TableName": "tbl", "ReplicaUpdates": [{"Create": {"RegionName": "us-east-1"}}]}
    desk.refused(tables.NO_GLOBAL_TABLES, "ValidationException", text, "UpdateTable", **replicas)


def test_limits_and_endpoints(desk):
    assert desk("DescribeLimits")["TableMaxReadCapacityUnits"] == 40000
    assert desk("DescribeEndpoints")["Endpoints"]


@pytest.mark.parametrize(
    ("name", "texts"),
    [
        ("ab", ["Value 'ab' at 'tableName' failed to satisfy constraint: Member must have length greater than or"]),
        ("a" * 256, ["1 validation error detected", "Member must have length less than or equal to 255"]),
        ("a b", ["Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"]),
        ("", ["2 validation errors detected", "Member must satisfy regular expression", "length greater than"]),
    ],
)
def test_table_names_checked_first(desk, name, texts):
    calls = {"CreateTable": ON_DEMAND, "DescribeTable": {}, "DeleteTable": {}, "Scan": {}, "DescribeTimeToLive": {}}
    for call, params in calls.items():
        for text in texts:
            desk.refused(address.TABLE_NAMES, "ValidationException", text, call, TableName=name, **params)
    transaction = [{"Put": {"TableName": name, "Item": {}}}]
    for call, params in (
        ("BatchGetItem", {"RequestItems": {name: {}}}),
        ("TransactWriteItems", {"TransactItems": transaction}),
    ):
        desk.refused(address.TABLE_NAMES, "ValidationException", texts[0], call, **params)


def test_table_arn_of_a_table_only(desk):
    arn = desk.table(StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})["TableArn"]
    assert desk.describe(arn)["TableArn"] == arn
    for wrong in (f"{arn}/index/idx", desk.describe()["LatestStreamArn"]):
        desk.refused(address.TABLES_ONLY, "ValidationException", wrong, "DescribeTable", TableName=wrong)


def test_delete_answer(desk):
    desk.table()
    on_demand = desk("DeleteTable", TableName="tbl")["TableDescription"]
    assert on_demand["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert {"KeySchema", "AttributeDefinitions", "CreationDateTime", "WarmThroughput"}.isdisjoint(on_demand)
    desk("CreateTable", TableName="ptb", **PROVISIONED)
    desk.wait(3)
    assert "BillingModeSummary" not in desk("DeleteTable", TableName="ptb")["TableDescription"]


def test_tables_per_account(desk, other_desk):
    desk.world.adjust_quota(desk.caller.account_id, limits.TABLES, 2)
    desk.table()
    desk("CreateTable", TableName="second", **PROVISIONED)
    desk.refused(
        limits.MOST_TABLES, "LimitExceededException", "limit of 2 tables per account", "CreateTable",
        TableName="third", **PROVISIONED,
    )  # fmt: skip
    other_desk("CreateTable", TableName="third", **PROVISIONED)
    desk.wait(10)
    desk("DeleteTable", TableName="second")
    desk.wait(10)
    desk("CreateTable", TableName="third", **PROVISIONED)


def test_quotas_adjustable(desk, other_desk):
    many = [{**INDEX, "IndexName": f"index-{number}"} for number in range(21)]
    desk.refused(
        creation.INDEX_COUNT, "ValidationException", "limit of 20", "CreateTable", **PARAMETERS,
        GlobalSecondaryIndexes=many,
    )  # fmt: skip
    account = desk.caller.account_id
    desk.world.adjust_quota(account, limits.GLOBAL_INDEXES, 21)
    desk.world.adjust_quota(account, limits.TABLE_UNITS, 50_000)
    assert len(desk.table(GlobalSecondaryIndexes=many)["GlobalSecondaryIndexes"]) == 21
    other_desk.refused(
        creation.INDEX_COUNT, "ValidationException", "limit of 20", "CreateTable", **PARAMETERS,
        GlobalSecondaryIndexes=many,
    )  # fmt: skip
    assert desk("DescribeLimits")["TableMaxReadCapacityUnits"] == 50_000
    units = {"ReadCapacityUnits": 50_000, "WriteCapacityUnits": 1}
    desk("CreateTable", TableName="large", **{**PROVISIONED, "ProvisionedThroughput": units})
