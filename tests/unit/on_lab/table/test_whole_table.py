# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table with everything set, moved and read back field by field with plain boto3; what is expected is literal."""

from __future__ import annotations

import json

import pytest

from demo.seed import RETRIES
from demo.tables import all_types, attributes, capacity, index, key_schema

BINARY_AND_NUMBER = {
    "KeySchema": key_schema("id", "part"),
    "AttributeDefinitions": attributes(("id", "B"), ("part", "N"), ("kind", "S")),
}
SCALED = ("table/ledger", "dynamodb:table:ReadCapacityUnits", "DynamoDBReadCapacityUtilization")


def only(shape, *names):
    return {name: shape.get(name) for name in names}


@pytest.fixture(scope="module")
def keys(crossing):
    return crossing.key("source"), crossing.key("destination")


@pytest.fixture(scope="module")
def provisioned(crossing, keys):
    """The table ``ledger``, provisioned, moved to ``accounts``."""
    lab = crossing.lab
    crossing.table(
        "ledger",
        list(all_types()),
        **BINARY_AND_NUMBER,
        BillingMode="PROVISIONED",
        ProvisionedThroughput={"ReadCapacityUnits": 7, "WriteCapacityUnits": 6},
        GlobalSecondaryIndexes=[
            {
                **index("by-kind", "kind", "part", {"ProjectionType": "INCLUDE", "NonKeyAttributes": ["a", "b"]}),
                "ProvisionedThroughput": capacity(4),
            },
            {**index("keys", "kind", "", {"ProjectionType": "KEYS_ONLY"}), "ProvisionedThroughput": capacity(3)},
        ],
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": keys[0]},
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"},
        TableClass="STANDARD_INFREQUENT_ACCESS",
        DeletionProtectionEnabled=True,
        Tags=[{"Key": "team", "Value": "shop"}, {"Key": "cost center", "Value": "4711 + 3"}],
    )
    dynamodb = lab.client("dynamodb", "source", retries=RETRIES)
    dynamodb.update_time_to_live(
        TableName="ledger", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends at"}
    )
    dynamodb.update_continuous_backups(
        TableName="ledger",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 9},
    )
    for more in ({}, {"IndexName": "by-kind"}):
        dynamodb.update_contributor_insights(TableName="ledger", ContributorInsightsAction="ENABLE", **more)
    table = dynamodb.describe_table(TableName="ledger")["Table"]
    dynamodb.put_resource_policy(ResourceArn=table["TableArn"], Policy=json.dumps(policy("111111111111", "ledger")))
    stream = table["LatestStreamArn"]
    dynamodb.tag_resource(ResourceArn=stream, Tags=[{"Key": "reader", "Value": "billing"}])
    dynamodb.put_resource_policy(ResourceArn=stream, Policy=json.dumps(stream_policy("111111111111", stream)))
    resource, dimension, metric = SCALED
    target = {"ServiceNamespace": "dynamodb", "ResourceId": resource, "ScalableDimension": dimension}
    scaling = lab.client("application-autoscaling", "source", retries=RETRIES)
    scaling.register_scalable_target(**target, MinCapacity=5, MaxCapacity=50)
    scaling.put_scaling_policy(
        **target,
        PolicyName="reads",
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={
            "TargetValue": 65.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": metric},
            "ScaleInCooldown": 61,
            "ScaleOutCooldown": 62,
        },
    )
    lab.advance(600)
    key_map = {keys[0]: keys[1]}
    export = crossing.export("ledger", destination_table="accounts", kms_key_map=key_map)
    moved = crossing.bring_in(export, "accounts", kms_key_map=key_map)
    principals = {"arn:aws:iam::111111111111:root": "arn:aws:iam::222222222222:root"}
    settings = crossing.settings("ledger", "accounts", kms_key_map=key_map, principal_map=principals)
    assert [job.state for job in (export, moved, settings)] == ["completed"] * 3, settings
    return settings


def policy(account, table):
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Sid": "Read",
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": ["dynamodb:GetItem", "dynamodb:Query"],
                "Resource": [
                    f"arn:aws:dynamodb:eu-west-1:{account}:table/{table}",
                    f"arn:aws:dynamodb:eu-west-1:{account}:table/{table}/index/*",
                ],
            }
        ],
    }


def stream_policy(account, stream):
    return {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": f"arn:aws:iam::{account}:root"},
                "Action": ["dynamodb:GetRecords", "dynamodb:GetShardIterator"],
                "Resource": stream,
            }
        ],
    }


def test_every_item_is_the_same(crossing, provisioned):
    assert len(crossing.items("source", "ledger")) > 0
    assert crossing.items("destination", "accounts") == crossing.items("source", "ledger")


def test_only_what_lies_outside_the_table_was_left(provisioned):
    assert [entry["what"] for entry in provisioned.result["settings_left"]] == [
        "event_source_mappings",
        "alarms",
        "iam_policies",
    ]


def test_the_table_itself(crossing, provisioned, keys):
    table = crossing.described("accounts")
    assert table["KeySchema"] == key_schema("id", "part")
    assert sorted(table["AttributeDefinitions"], key=str) == sorted(
        attributes(("id", "B"), ("kind", "S"), ("part", "N")), key=str
    )
    assert only(table["ProvisionedThroughput"], "ReadCapacityUnits", "WriteCapacityUnits") == {
        "ReadCapacityUnits": 7,
        "WriteCapacityUnits": 6,
    }
    assert table.get("BillingModeSummary", {}).get("BillingMode", "PROVISIONED") == "PROVISIONED"
    assert table["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert table["StreamSpecification"] == {"StreamEnabled": True, "StreamViewType": "OLD_IMAGE"}
    assert only(table["SSEDescription"], "Status", "SSEType", "KMSMasterKeyArn") == {
        "Status": "ENABLED",
        "SSEType": "KMS",
        "KMSMasterKeyArn": keys[1],
    }
    assert table["DeletionProtectionEnabled"] is True


def test_its_indexes(crossing, provisioned):
    found = {entry["IndexName"]: entry for entry in crossing.described("accounts")["GlobalSecondaryIndexes"]}
    assert {name: (entry["IndexStatus"], entry["KeySchema"]) for name, entry in found.items()} == {
        "by-kind": ("ACTIVE", key_schema("kind", "part")),
        "keys": ("ACTIVE", key_schema("kind")),
    }
    projection = found["by-kind"]["Projection"]
    assert (projection["ProjectionType"], sorted(projection["NonKeyAttributes"])) == ("INCLUDE", ["a", "b"])
    assert found["keys"]["Projection"] == {"ProjectionType": "KEYS_ONLY"}
    assert {name: entry["ProvisionedThroughput"]["ReadCapacityUnits"] for name, entry in found.items()} == {
        "by-kind": 4,
        "keys": 3,
    }


def test_what_stands_beside_the_table(crossing, provisioned):
    dynamodb = crossing.lab.client("dynamodb", "destination", retries=RETRIES)
    arn = crossing.described("accounts")["TableArn"]
    assert {tag["Key"]: tag["Value"] for tag in dynamodb.list_tags_of_resource(ResourceArn=arn)["Tags"]} == {
        "team": "shop",
        "cost center": "4711 + 3",
        "tableferry:migration": "default",
        "tableferry:source": "111111111111/eu-west-1/ledger",
    }
    expiry = dynamodb.describe_time_to_live(TableName="accounts")["TimeToLiveDescription"]
    assert expiry == {"TimeToLiveStatus": "ENABLED", "AttributeName": "ends at"}
    backups = dynamodb.describe_continuous_backups(TableName="accounts")["ContinuousBackupsDescription"]
    assert only(backups["PointInTimeRecoveryDescription"], "PointInTimeRecoveryStatus", "RecoveryPeriodInDays") == {
        "PointInTimeRecoveryStatus": "ENABLED",
        "RecoveryPeriodInDays": 9,
    }
    for more in ({}, {"IndexName": "by-kind"}):
        insights = dynamodb.describe_contributor_insights(TableName="accounts", **more)
        assert insights["ContributorInsightsStatus"] == "ENABLED"
    insights = dynamodb.describe_contributor_insights(TableName="accounts", IndexName="keys")
    assert insights["ContributorInsightsStatus"] == "DISABLED"
    told = json.loads(dynamodb.get_resource_policy(ResourceArn=arn)["Policy"])
    assert told == policy("222222222222", "accounts")


def test_tags_and_policy_of_the_stream(crossing, provisioned):
    dynamodb = crossing.lab.client("dynamodb", "destination")
    stream = crossing.described("accounts")["LatestStreamArn"]
    tags = dynamodb.list_tags_of_resource(ResourceArn=stream)["Tags"]
    assert tags == [{"Key": "reader", "Value": "billing"}]
    written = json.loads(dynamodb.get_resource_policy(ResourceArn=stream)["Policy"])
    assert written == stream_policy("222222222222", stream)


def test_its_auto_scaling(crossing, provisioned):
    scaling = crossing.lab.client("application-autoscaling", "destination", retries=RETRIES)
    (target,) = scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
    assert only(target, "ResourceId", "ScalableDimension", "MinCapacity", "MaxCapacity") == {
        "ResourceId": "table/accounts",
        "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
        "MinCapacity": 5,
        "MaxCapacity": 50,
    }
    (tracked,) = scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"]
    assert (tracked["PolicyName"], tracked["TargetTrackingScalingPolicyConfiguration"]) == (
        "reads",
        {
            "TargetValue": 65.0,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
            "ScaleInCooldown": 61,
            "ScaleOutCooldown": 62,
        },
    )


def test_a_second_time_changes_nothing(crossing, provisioned, keys):
    crossing.lab.clear_requests()
    principals = {"arn:aws:iam::111111111111:root": "arn:aws:iam::222222222222:root"}
    again = crossing.settings("ledger", "accounts", kms_key_map={keys[0]: keys[1]}, principal_map=principals)
    assert (again.state, again.result["changes"]) == ("not_needed", [])
    assert crossing.lab.mutating_calls() == []


@pytest.fixture(scope="module")
def on_demand_table(crossing):
    """``bursts``: maxima, warm throughput, a Kinesis destination, and a time to live that waits for the cutover."""
    lab = crossing.lab
    crossing.table(
        "bursts",
        **{"AttributeDefinitions": attributes(("id", "S"), ("n", "N"))},
        GlobalSecondaryIndexes=[
            {
                **index("by-n", "n", "", {"ProjectionType": "ALL"}),
                "OnDemandThroughput": {"MaxReadRequestUnits": 70, "MaxWriteRequestUnits": 80},
                "WarmThroughput": {"ReadUnitsPerSecond": 12500, "WriteUnitsPerSecond": 4000},
            }
        ],
        OnDemandThroughput={"MaxReadRequestUnits": 1000, "MaxWriteRequestUnits": 500},
        WarmThroughput={"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 4100},
    )
    streams = {}
    for side in ("source", "destination"):
        kinesis = lab.client("kinesis", side, retries=RETRIES)
        kinesis.create_stream(StreamName="feed", ShardCount=1)
        kinesis.get_waiter("stream_exists").wait(StreamName="feed", WaiterConfig={"Delay": 1})
        streams[side] = kinesis.describe_stream(StreamName="feed")["StreamDescription"]["StreamARN"]
    dynamodb = lab.client("dynamodb", "source", retries=RETRIES)
    dynamodb.update_time_to_live(TableName="bursts", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"})
    dynamodb.enable_kinesis_streaming_destination(
        TableName="bursts",
        StreamArn=streams["source"],
        EnableKinesisStreamingConfiguration={"ApproximateCreationDateTimePrecision": "MICROSECOND"},
    )
    crossing.bring_in(crossing.export("bursts"))
    settings = crossing.settings(
        "bursts", kinesis_map={streams["source"]: streams["destination"]}, defer=("time_to_live",)
    )
    assert settings.state == "completed", settings
    return settings, streams["destination"]


def test_on_demand_maxima_and_warm_throughput(crossing, on_demand_table):
    table = crossing.described("bursts")
    (found,) = table["GlobalSecondaryIndexes"]
    assert table["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
    assert table["OnDemandThroughput"] == {"MaxReadRequestUnits": 1000, "MaxWriteRequestUnits": 500}
    assert found["OnDemandThroughput"] == {"MaxReadRequestUnits": 70, "MaxWriteRequestUnits": 80}
    units = ("ReadUnitsPerSecond", "WriteUnitsPerSecond")
    assert [table["WarmThroughput"][unit] for unit in units] == [13000, 4100]
    assert [found["WarmThroughput"][unit] for unit in units] == [12500, 4000]


def test_a_kinesis_destination_is_mapped(crossing, on_demand_table):
    dynamodb = crossing.lab.client("dynamodb", "destination", retries=RETRIES)
    (found,) = dynamodb.describe_kinesis_streaming_destination(TableName="bursts")["KinesisDataStreamDestinations"]
    assert only(found, "StreamArn", "DestinationStatus", "ApproximateCreationDateTimePrecision") == {
        "StreamArn": on_demand_table[1],
        "DestinationStatus": "ACTIVE",
        "ApproximateCreationDateTimePrecision": "MICROSECOND",
    }


def test_time_to_live_waits_for_the_cutover(crossing, on_demand_table):
    dynamodb = crossing.lab.client("dynamodb", "destination", retries=RETRIES)
    assert dynamodb.describe_time_to_live(TableName="bursts")["TimeToLiveDescription"] == {
        "TimeToLiveStatus": "DISABLED"
    }
    left = {entry["what"]: entry["reason"] for entry in on_demand_table[0].result["settings_left"]}
    assert "cutover" in left["time_to_live"]
