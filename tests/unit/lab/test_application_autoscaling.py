# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Application Auto Scaling: targets, policies, scheduled actions of tables and indexes."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.client import RunningLab, running

TABLE = {
    "ServiceNamespace": "dynamodb",
    "ResourceId": "table/orders",
    "ScalableDimension": "dynamodb:table:ReadCapacityUnits",
}
INDEX = {**TABLE, "ResourceId": "table/orders/index/by-day", "ScalableDimension": "dynamodb:index:WriteCapacityUnits"}
UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
READS = {
    "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
    "TargetValue": 70.0,
}


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with running(scale=0.001, quotas=False) as lab:
        create(lab)
        yield lab


def create(lab: RunningLab) -> None:
    dynamodb = lab.client("dynamodb")
    dynamodb.create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "day")],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        GlobalSecondaryIndexes=[
            {
                "IndexName": "by-day",
                "KeySchema": [{"AttributeName": "day", "KeyType": "HASH"}],
                "Projection": {"ProjectionType": "ALL"},
                "ProvisionedThroughput": UNITS,
            }
        ],
        ProvisionedThroughput=UNITS,
    )
    lab.advance(300)


@pytest.fixture
def scaling(lab: RunningLab) -> Any:
    return lab.client("application-autoscaling")


def refused(code: str, message: str = "") -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)[\s\S]*{message}")


def track(scaling: Any, name: str = "reads", **members: Any) -> Any:
    return scaling.put_scaling_policy(
        **TABLE,
        PolicyName=name,
        PolicyType="TargetTrackingScaling",
        TargetTrackingScalingPolicyConfiguration={**READS, **members},
    )


def test_target_must_exist(lab: RunningLab, scaling: Any) -> None:
    bounds = {"MinCapacity": 1, "MaxCapacity": 10}
    with refused("ValidationException", "DynamoDB table does not exist: table/none"):
        scaling.register_scalable_target(**{**TABLE, "ResourceId": "table/none"}, **bounds)
    with refused("ValidationException", "DynamoDB index does not exist: table/orders/index/none"):
        scaling.register_scalable_target(**{**INDEX, "ResourceId": "table/orders/index/none"}, **bounds)
    with refused("ValidationException", "scalable dimension"):
        scaling.register_scalable_target(**{**INDEX, "ResourceId": "table/orders"}, **bounds)
    with refused("ValidationException", "DynamoDB table does not exist"):
        lab.client("application-autoscaling", "destination").register_scalable_target(**TABLE, **bounds)


def test_bounds_of_a_target(scaling: Any) -> None:
    with refused("ValidationException"):
        scaling.register_scalable_target(**TABLE, MinCapacity=1)
    with refused("ValidationException"):
        scaling.register_scalable_target(**TABLE, MinCapacity=11, MaxCapacity=10)
    first = scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10)
    assert scaling.register_scalable_target(**TABLE, MaxCapacity=20)["ScalableTargetARN"] == first["ScalableTargetARN"]
    (shown,) = scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]
    assert (shown["MinCapacity"], shown["MaxCapacity"]) == (1, 20)


def test_target_shows_the_service_linked_role(scaling: Any) -> None:
    scaling.register_scalable_target(
        **TABLE, MinCapacity=1, MaxCapacity=10, RoleARN="arn:aws:iam::111111111111:role/ferry"
    )
    (shown,) = scaling.describe_scalable_targets(ServiceNamespace="dynamodb", ResourceIds=["table/orders"])[
        "ScalableTargets"
    ]
    assert shown["RoleARN"].endswith("/AWSServiceRoleForApplicationAutoScaling_DynamoDBTable")
    assert shown["SuspendedState"]["DynamicScalingInSuspended"] is False


ROLE = "AWSServiceRoleForApplicationAutoScaling_DynamoDBTable"


@pytest.mark.parametrize("choice", ["caller", "service"])
def test_first_target_makes_the_role(lab: RunningLab, choice: str) -> None:
    lab.world.behaviours.choose("autoscaling.role_made_by", choice)
    iam = lab.client("iam")
    with refused("NoSuchEntity", ROLE):
        iam.get_role(RoleName=ROLE)
    user = lab.world.identity.add_user("111111111111", "scaler")
    statement = {"Effect": "Allow", "Action": "application-autoscaling:*", "Resource": "*"}
    user.inline["only"] = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
    key = lab.world.identity.add_access_key("111111111111", "scaler")
    scaling = lab.client("application-autoscaling", {"access_key": key.id, "secret_key": key.secret})
    if choice == "caller":
        with refused("AccessDeniedException", "not authorized to perform: iam:CreateServiceLinkedRole"):
            scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10)
        scaling = lab.client("application-autoscaling")
    scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10)
    role = iam.get_role(RoleName=ROLE)["Role"]
    assert role["Path"] == "/aws-service-role/dynamodb.application-autoscaling.amazonaws.com/"
    scaling.register_scalable_target(**TABLE, MinCapacity=2, MaxCapacity=10)


def test_policy_needs_its_target(scaling: Any) -> None:
    with refused("ObjectNotFoundException", "No scalable target registered"):
        track(scaling)
    with refused("ObjectNotFoundException"):
        scaling.deregister_scalable_target(**TABLE)
    scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10)
    with refused("ObjectNotFoundException"):
        scaling.delete_scaling_policy(**TABLE, PolicyName="reads")
    with refused("ObjectNotFoundException"):
        scaling.delete_scheduled_action(**TABLE, ScheduledActionName="night")
    track(scaling)
    scaling.deregister_scalable_target(**TABLE)
    assert scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"] == []


def test_target_tracking_only(scaling: Any) -> None:
    scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10)
    with refused("AccessDeniedException"):
        scaling.put_scaling_policy(
            **TABLE,
            PolicyName="steps",
            PolicyType="StepScaling",
            StepScalingPolicyConfiguration={"AdjustmentType": "ChangeInCapacity"},
        )
    custom = {"MetricName": "m", "Namespace": "n", "Statistic": "Sum"}
    with refused("ValidationException"):
        track(scaling, PredefinedMetricSpecification={"PredefinedMetricType": "DynamoDBWriteCapacityUtilization"})
    with refused("ValidationException"):
        scaling.put_scaling_policy(
            **TABLE,
            PolicyName="reads",
            PolicyType="TargetTrackingScaling",
            TargetTrackingScalingPolicyConfiguration={"CustomizedMetricSpecification": custom, "TargetValue": 50.0},
        )
    for value in (9.0, 91.0):
        with refused("ValidationException", "between 10 and 90"):
            track(scaling, TargetValue=value)


def test_policy_is_updated_by_its_name(scaling: Any) -> None:
    scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10)
    made = track(scaling)
    assert len(made["Alarms"]) == 4
    assert track(scaling, TargetValue=50.0, ScaleInCooldown=60)["PolicyARN"] == made["PolicyARN"]
    (shown,) = scaling.describe_scaling_policies(ServiceNamespace="dynamodb", ResourceId="table/orders")[
        "ScalingPolicies"
    ]
    assert shown["TargetTrackingScalingPolicyConfiguration"] == {**READS, "TargetValue": 50.0, "ScaleInCooldown": 60}
    with refused("ValidationException", "Only one TargetTrackingScaling policy"):
        track(scaling, name="second")


def test_scheduled_actions(scaling: Any) -> None:
    scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10)
    start = datetime(2030, 1, 1, tzinfo=UTC)
    scaling.put_scheduled_action(
        **TABLE,
        ScheduledActionName="night",
        Schedule="cron(0 3 * * ? *)",
        Timezone="Europe/Berlin",
        StartTime=start,
        ScalableTargetAction={"MinCapacity": 2, "MaxCapacity": 4},
    )
    with refused("ValidationException"):
        scaling.put_scheduled_action(**TABLE, ScheduledActionName="bad", Schedule="every night")
    scaling.put_scheduled_action(**TABLE, ScheduledActionName="night", Schedule="rate(1 day)")
    (shown,) = scaling.describe_scheduled_actions(ServiceNamespace="dynamodb")["ScheduledActions"]
    assert (shown["Schedule"], shown["Timezone"], shown["StartTime"]) == ("rate(1 day)", "Europe/Berlin", start)
    assert shown["ScalableTargetAction"] == {"MinCapacity": 2, "MaxCapacity": 4}
    scaling.delete_scheduled_action(**TABLE, ScheduledActionName="night")
    assert scaling.describe_scheduled_actions(ServiceNamespace="dynamodb")["ScheduledActions"] == []


def test_bounds_act_at_registration(lab: RunningLab, scaling: Any) -> None:
    dynamodb = lab.client("dynamodb")
    scaling.register_scalable_target(**TABLE, MinCapacity=8, MaxCapacity=20)
    scaling.register_scalable_target(**INDEX, MinCapacity=7, MaxCapacity=20)
    lab.advance(600)
    shown = dynamodb.describe_table(TableName="orders")["Table"]
    assert shown["ProvisionedThroughput"]["ReadCapacityUnits"] == 8
    assert shown["ProvisionedThroughput"]["WriteCapacityUnits"] == 5
    assert shown["GlobalSecondaryIndexes"][0]["ProvisionedThroughput"]["WriteCapacityUnits"] == 7
    dynamodb.update_table(TableName="orders", ProvisionedThroughput=UNITS)
    lab.advance(600)
    assert dynamodb.describe_table(TableName="orders")["Table"]["ProvisionedThroughput"]["ReadCapacityUnits"] == 5
    assert lab.state()["event_errors"] == []


def test_targets_outlive_their_table(lab: RunningLab, scaling: Any) -> None:
    scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10)
    track(scaling)
    lab.client("dynamodb").delete_table(TableName="orders")
    lab.advance(300)
    assert len(scaling.describe_scalable_targets(ServiceNamespace="dynamodb")["ScalableTargets"]) == 1
    create(lab)
    assert len(scaling.describe_scaling_policies(ServiceNamespace="dynamodb")["ScalingPolicies"]) == 1


def test_tags_and_pages(scaling: Any) -> None:
    arn = scaling.register_scalable_target(**TABLE, MinCapacity=1, MaxCapacity=10, Tags={"a": "1"})["ScalableTargetARN"]
    scaling.tag_resource(ResourceARN=arn, Tags={"b": "2"})
    scaling.untag_resource(ResourceARN=arn, TagKeys=["a"])
    assert scaling.list_tags_for_resource(ResourceARN=arn)["Tags"] == {"b": "2"}
    scaling.register_scalable_target(**INDEX, MinCapacity=1, MaxCapacity=10)
    pages = scaling.get_paginator("describe_scalable_targets").paginate(
        ServiceNamespace="dynamodb", PaginationConfig={"PageSize": 1}
    )
    resource_ids = [each["ResourceId"] for page in pages for each in page["ScalableTargets"]]
    assert resource_ids == ["table/orders", "table/orders/index/by-day"]
