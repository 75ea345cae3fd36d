# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Settings against the lab, which is as strict as AWS was measured to be: locks, lags, one concern per call."""

from __future__ import annotations

import json
import time
from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import CredentialsError, MissingTable
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.preview import preview_settings
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.settings import (
    SettingsOptions,
    apply_settings,
    prepare_settings,
)
from lab.client import running

CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
HASH = [{"AttributeName": "pk", "KeyType": "HASH"}]
ATTRIBUTES = [{"AttributeName": "pk", "AttributeType": "S"}, {"AttributeName": "c", "AttributeType": "S"}]
INDEX = {
    "IndexName": "by_c",
    "KeySchema": [{"AttributeName": "c", "KeyType": "HASH"}],
    "Projection": {"ProjectionType": "ALL"},
}


@pytest.fixture(scope="module")
def lab():
    with running(scale=0.002) as world:
        yield world


def spec(lab, side):
    reach = lab.landscape["accounts"][side]
    return AccountSpec.from_mapping(
        side,
        {
            "region": lab.landscape["region"],
            "access_key": lab.landscape["hub"]["access_key"],
            "secret_key": lab.landscape["hub"]["secret_key"],
            "role_arn": reach["role_arn"],
            "external_id": reach["external_id"],
            "endpoint_url": lab.endpoint_url,
        },
    )


@pytest.fixture
def sides(lab):
    return Account(spec(lab, "source")), Account(spec(lab, "destination"))


def run(steps):
    """The result; waits as the lab's clock asks, which runs 500 times as fast as AWS's."""
    while True:
        try:
            time.sleep(min(next(steps), 0.02))
        except StopIteration as stopped:
            return stopped.value


def make(account, name, **parameters):
    client = account.client("dynamodb")
    request = {"AttributeDefinitions": ATTRIBUTES[:1], "KeySchema": HASH, "BillingMode": "PAY_PER_REQUEST"}
    client.create_table(TableName=name, **request | parameters)
    client.get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.02, "MaxAttempts": 500})
    return client


def retried(call, *errors, **parameters):
    """``call`` until it is none of ``errors``: a new table is not ready for everything at once."""
    for _ in range(200):
        try:
            return call(**parameters)
        except errors:
            time.sleep(0.02)
    raise AssertionError(f"{call} never came through")


def migrate(sides, source_table, table, **options):
    options = SettingsOptions(migration_id="m1", **options)
    plan = prepare_settings(*sides, source_table, table, options)
    return plan, run(apply_settings(sides[1], table, plan))


def test_a_rich_table(lab, sides):
    source, destination = sides
    here = source.client("kms").create_key()["KeyMetadata"]["Arn"]
    there = destination.client("kms").create_key()["KeyMetadata"]["Arn"]
    destination.client("kms").create_alias(AliasName="alias/tables", TargetKeyId=there)
    for side in sides:
        side.client("kinesis").create_stream(StreamName="events", ShardCount=1)
    client = make(
        source,
        "rich",
        AttributeDefinitions=ATTRIBUTES,
        GlobalSecondaryIndexes=[INDEX],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        TableClass="STANDARD_INFREQUENT_ACCESS",
        SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": here},
        OnDemandThroughput={"MaxReadRequestUnits": 100},
        Tags=[{"Key": "team", "Value": "blue"}],
        DeletionProtectionEnabled=True,
    )
    make(destination, "rich2")
    errors = client.exceptions
    recovery = {"PointInTimeRecoveryEnabled": True, "RecoveryPeriodInDays": 9}
    retried(
        client.update_continuous_backups,
        errors.ContinuousBackupsUnavailableException,
        TableName="rich",
        PointInTimeRecoverySpecification=recovery,
    )
    client.update_time_to_live(TableName="rich", TimeToLiveSpecification={"Enabled": True, "AttributeName": "expires"})
    client.update_contributor_insights(
        TableName="rich", ContributorInsightsAction="ENABLE", ContributorInsightsMode="THROTTLED_KEYS"
    )
    client.update_contributor_insights(TableName="rich", IndexName="by_c", ContributorInsightsAction="ENABLE")
    kinesis = "arn:aws:kinesis:eu-west-1:{}:stream/events"
    client.enable_kinesis_streaming_destination(TableName="rich", StreamArn=kinesis.format(source.account_id))
    statement = {"Effect": "Allow", "Action": "dynamodb:GetItem", "Resource": source.table_arn("rich")}
    statement["Principal"] = {"AWS": source.principal_arn}
    document = {"Version": "2012-10-17", "Statement": [statement]}
    client.put_resource_policy(ResourceArn=source.table_arn("rich"), Policy=json.dumps(document))
    retried(client.get_resource_policy, errors.PolicyNotFoundException, ResourceArn=source.table_arn("rich"))

    maps = {
        "kms_key_map": {here: "alias/tables"},
        "kinesis_map": {"events": kinesis.format(destination.account_id)},
        "principal_map": {source.principal_arn: destination.principal_arn},
    }
    plan, result = migrate(sides, "rich", "rich2", **maps)
    assert result.failed == ()
    assert result.applied == plan.changes
    definition = TableDefinition.read(destination, "rich2")
    assert definition.kms_key_arn == there
    assert definition.table_class == "STANDARD_INFREQUENT_ACCESS"
    assert definition.stream == {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}
    assert definition.index("by_c").status == "ACTIVE"
    assert definition.deletion_protection
    assert {"encryption", "kinesis_destination", "resource_policy", "time_to_live"} <= set(result.carried)

    lab.clear_requests()
    again, result = migrate(sides, "rich", "rich2", **maps)
    assert (again.changes, lab.count(mutating=True)) == ((), 0)
    assert again.carried == plan.carried


def test_a_table_that_auto_scales(lab, sides):
    source, destination = sides
    make(
        source,
        "scaled",
        AttributeDefinitions=ATTRIBUTES,
        BillingMode="PROVISIONED",
        ProvisionedThroughput=CAPACITY,
        GlobalSecondaryIndexes=[{**INDEX, "ProvisionedThroughput": CAPACITY}],
    )
    make(destination, "scaled")
    scaling = source.client("application-autoscaling")
    for resource, dimension in (
        ("table/scaled", "dynamodb:table:ReadCapacityUnits"),
        ("table/scaled/index/by_c", "dynamodb:index:ReadCapacityUnits"),
    ):
        target = {"ServiceNamespace": "dynamodb", "ResourceId": resource, "ScalableDimension": dimension}
        scaling.register_scalable_target(**target, MinCapacity=5, MaxCapacity=50)
        scaling.put_scaling_policy(
            **target,
            PolicyName=f"DynamoDBReadCapacityUtilization:{resource}",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={
                "TargetValue": 70,
                "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
            },
        )
        scaling.put_scheduled_action(
            **target,
            ScheduledActionName="night",
            Schedule="cron(0 1 * * ? *)",
            ScalableTargetAction={"MinCapacity": 5},
        )
    _, result = migrate(sides, "scaled", "scaled")
    assert result.failed == ()
    assert {"billing_mode", "global_secondary_indexes", "autoscaling"} <= set(result.carried)
    definition = TableDefinition.read(destination, "scaled")
    assert definition.provisioned_throughput == definition.index("by_c").provisioned_throughput == CAPACITY
    lab.clear_requests()
    again, _ = migrate(sides, "scaled", "scaled")
    assert (again.changes, lab.count(mutating=True)) == ((), 0)


def test_e3_a_target_that_outlived_its_table_is_told_and_left(lab, sides):
    """As AWS leaves it (TABLE-292): the copy of that name finds it."""
    source, destination = sides
    shape = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": CAPACITY}
    make(source, "former", **shape)
    former = make(destination, "former", **shape)
    target = {"ResourceId": "table/former", "ScalableDimension": "dynamodb:table:WriteCapacityUnits"}
    target["ServiceNamespace"] = "dynamodb"
    scaling = destination.client("application-autoscaling")
    scaling.register_scalable_target(**target, MinCapacity=6, MaxCapacity=60)
    retried(former.delete_table, former.exceptions.ResourceInUseException, TableName="former")
    former.get_waiter("table_not_exists").wait(TableName="former", WaiterConfig={"Delay": 1})
    what = "autoscaling.table/WriteCapacityUnits"
    foreseen = preview_settings(*sides, "former", "former", SettingsOptions(migration_id="m1"))
    assert "from 6 to 60" in {entry.what: entry.reason for entry in foreseen.left}[what]
    make(destination, "former", **shape)
    _, result = migrate(sides, "former", "former")
    assert what in {entry.what for entry in result.left}
    described = scaling.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=["table/former"])
    assert [entry["MaxCapacity"] for entry in described["ScalableTargets"]] == [60]


def test_who_we_are_and_who_we_are_not(lab, sides):
    source, destination = sides
    assert (source.account_id, destination.account_id) == ("111111111111", "222222222222")
    assert ":assumed-role/ferry/" in source.caller_arn
    with pytest.raises(MissingTable, match="222222222222"):
        TableDefinition.read(destination, "never-made")
    with pytest.raises(CredentialsError, match="external_id"):
        Account(replace(spec(lab, "source"), external_id="wrong")).temporary_credentials()
    with pytest.raises(CredentialsError):
        _ = Account(replace(spec(lab, "source"), role_arn="", external_id="", secret_key="wrong")).caller_arn


def test_a_role_that_aws_calls_expired_is_assumed_again(lab, sides):
    client = sides[0].client("dynamodb", retries=0)
    client.list_tables()
    before = lab.count("AssumeRole")
    lab.advance(7200)
    client.list_tables()
    assert lab.count("AssumeRole") == before + 1
