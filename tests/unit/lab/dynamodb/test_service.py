# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the operations need to be allowed, and the service through a server with boto3."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.assembly import build_world
from lab.dynamodb import service
from lab.server import LabServer
from lab.world import Context

REGION = "eu-west-1"
SERVICES = ("lab.services.kms.KmsService", "lab.dynamodb.service.DynamoDbService")
TABLE = "arn:aws:dynamodb:eu-west-1:111111111111:table"
FOREIGN = "arn:aws:dynamodb:eu-west-1:222222222222:table/theirs"


@pytest.fixture
def needed(desk):
    """The (action, ARN) pairs that an operation of the source's administrator needs."""

    def needed(operation, **params):
        context = Context(desk.world, desk.caller, REGION, "dynamodb", operation, "request-id")
        asked = desk.world.services["dynamodb"].authorization(context, operation, params)
        return [(each.action.removeprefix("dynamodb:"), each.resource_arn) for each in asked]

    return needed


def test_permission_per_table(needed):
    assert needed("Scan", TableName="tbl") == [("Scan", f"{TABLE}/tbl")]
    assert needed("Query", TableName="tbl", IndexName="i") == [("Query", f"{TABLE}/tbl/index/i")]
    assert needed("UpdateTimeToLive", TableName=f"{TABLE}/tbl") == [("UpdateTimeToLive", f"{TABLE}/tbl")]
    batch = {"aaa": {}, "bbb": {}}
    assert needed("BatchGetItem", RequestItems=batch) == [("BatchGetItem", f"{TABLE}/{name}") for name in batch]
    transaction = [{"Put": {"TableName": "aaa"}}, {"ConditionCheck": {"TableName": "bbb"}}]
    assert needed("TransactWriteItems", TransactItems=transaction) == [
        ("PutItem", f"{TABLE}/aaa"), ("ConditionCheckItem", f"{TABLE}/bbb"),
    ]  # fmt: skip
    assert needed("ListTables") == [("ListTables", "*")]
    assert needed("ListTagsOfResource", ResourceArn=f"{TABLE}/tbl") == [("ListTagsOfResource", f"{TABLE}/tbl")]
    assert needed("ExportTableToPointInTime", TableArn=f"{TABLE}/tbl") == [("ExportTableToPointInTime", f"{TABLE}/tbl")]
    assert needed("DescribeExport", ExportArn=f"{TABLE}/tbl/export/1") == [("DescribeExport", f"{TABLE}/tbl/export/1")]
    parameters = {"TableCreationParameters": {"TableName": "tbl"}}
    assert needed("ImportTable", **parameters) == [("ImportTable", f"{TABLE}/tbl")]
    assert needed("ListExports") == [("ListExports", "*")]


def test_creation_needs_its_parts(needed):
    parts = needed("CreateTable", TableName="tbl", Tags=[{"Key": "k", "Value": "v"}], ResourcePolicy="{}")
    assert [action for action, _ in parts] == ["CreateTable", "TagResource", "PutResourcePolicy"]


def test_across_accounts_by_arn(desk, other_desk):
    arn = other_desk.table("theirs")["TableArn"]
    assert arn == FOREIGN
    with pytest.raises(Exception, match="not authorized to perform: dynamodb:DescribeTable"):
        desk.describe(arn)
    policy = {
        "Effect": "Allow", "Principal": {"AWS": desk.caller.arn}, "Action": "dynamodb:*", "Resource": arn,
    }  # fmt: skip
    other_desk("PutResourcePolicy", ResourceArn=arn, Policy=json.dumps({"Version": "2012-10-17", "Statement": policy}))
    other_desk.wait(5)
    assert desk.describe(arn)["TableArn"] == arn
    for operation in ("DescribeTimeToLive", "DescribeContinuousBackups", "DescribeContributorInsights"):
        with pytest.raises(Exception, match=f"not authorized to perform: dynamodb:{operation}"):
            desk(operation, TableName=arn)
    # A bare name means the caller's own table.
    with pytest.raises(Exception, match="Table: theirs not found"):
        desk.describe("theirs")


def test_managed_key_closes_table(desk, other_desk):
    policy = {"Effect": "Allow", "Principal": {"AWS": "111111111111"}, "Action": "dynamodb:*", "Resource": "*"}
    document = json.dumps({"Version": "2012-10-17", "Statement": policy})
    plain = other_desk.table("plain", ResourcePolicy=document)["TableArn"]
    managed = other_desk.table("managed", ResourcePolicy=document, SSESpecification={"Enabled": True})["TableArn"]
    assert desk.describe(plain)
    with pytest.raises(Exception, match="not authorized"):
        desk.describe(managed)
    assert other_desk.describe(managed)


def test_identity_policies_bind(desk):
    desk.table("open")
    desk.table("closed")
    user = desk.world.identity.users["111111111111", desk.caller.user_name]
    user.attached.clear()
    allowed = {"Effect": "Allow", "Action": "dynamodb:DescribeTable", "Resource": f"{TABLE}/open"}
    user.inline["p"] = json.dumps({"Version": "2012-10-17", "Statement": [allowed]})
    assert desk.describe("open")
    with pytest.raises(Exception, match="not authorized") as caught:
        desk.describe("closed")
    assert caught.value.code == "AccessDeniedException"


# Through the server


@pytest.fixture
def clients() -> Iterator[tuple[boto3.client, boto3.client]]:
    """DynamoDB and DynamoDB Streams clients of an administrator, in a world without delays."""
    world = build_world(services=SERVICES, scale=0)
    world.accounts.add("111111111111")
    key = world.identity.add_administrator("111111111111")
    with closing(LabServer(world).start()) as server:
        common = {
            "endpoint_url": server.endpoint_url, "region_name": REGION, "aws_access_key_id": key.id,
            "aws_secret_access_key": key.secret,
            "config": Config(retries={"max_attempts": 0}, parameter_validation=False),
        }  # fmt: skip
        yield boto3.client("dynamodb", **common), boto3.client("dynamodbstreams", **common)
    world.close()


def test_with_boto3(clients):
    """A table with everything, made, read, changed and deleted by a real client."""
    dynamodb, streams = clients
    created = dynamodb.create_table(
        TableName="orders",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
        BillingMode="PAY_PER_REQUEST",
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
        SSESpecification={"Enabled": True, "SSEType": "KMS"},
        TableClass="STANDARD_INFREQUENT_ACCESS",
        Tags=[{"Key": "team", "Value": "orders"}],
    )["TableDescription"]
    dynamodb.get_waiter("table_exists").wait(TableName="orders", WaiterConfig={"Delay": 0.05})
    table = dynamodb.describe_table(TableName="orders")["Table"]
    assert (table["TableStatus"], table["TableId"]) == ("ACTIVE", created["TableId"])
    assert table["CreationDateTime"].year >= 2024
    assert dynamodb.list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"] == [{"Key": "team", "Value": "orders"}]
    dynamodb.update_continuous_backups(
        TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True}
    )
    backups = dynamodb.describe_continuous_backups(TableName="orders")["ContinuousBackupsDescription"]
    assert backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"] == "ENABLED"
    stream = streams.list_streams(TableName="orders")["Streams"][0]
    assert stream["StreamArn"] == table["LatestStreamArn"]
    with pytest.raises(ClientError, match="At least one of"):
        dynamodb.update_table(TableName="orders")
    with pytest.raises(ClientError) as caught:
        dynamodb.describe_table(TableName="nothing")
    assert caught.value.response["Error"]["Code"] == "ResourceNotFoundException"
    dynamodb.delete_table(TableName="orders")
    dynamodb.get_waiter("table_not_exists").wait(TableName="orders", WaiterConfig={"Delay": 0.05})


def test_empty_names_are_refused_before_the_model_has_words_for_them(clients):
    dynamodb, _ = clients
    both = r"2 validation errors detected: .* regular expression pattern: .* greater than or equal to 3"
    for call in (dynamodb.describe_table, dynamodb.delete_table, dynamodb.describe_time_to_live):
        with pytest.raises(ClientError, match=both):
            call(TableName="")
    for call, params in (
        (dynamodb.list_tags_of_resource, {}),
        (dynamodb.tag_resource, {"Tags": [{"Key": "a", "Value": "b"}]}),
        (dynamodb.untag_resource, {"TagKeys": ["a"]}),
    ):
        with pytest.raises(ClientError, match=r"ARNs must start with 'arn:': $"):
            call(ResourceArn="", **params)


@pytest.mark.parametrize(
    "operation", ["ExecuteStatement", "BatchExecuteStatement", "ExecuteTransaction", "CreateBackup"]
)
def test_operations_that_the_lab_lacks(desk, operation):
    desk.refused(service.LACKING, "UnknownOperationException", operation, operation, Statement="SELECT * FROM tbl")
