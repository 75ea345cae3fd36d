# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json

import pytest
from botocore.exceptions import EndpointConnectionError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    RUN_STOPPED,
    CredentialsError,
    DestinationExists,
    MissingKeyMapping,
    ServiceError,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.preview import preview_settings
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.settings import (
    SETTINGS,
    Settings,
    SettingsOptions,
    SettingsPlan,
    apply_settings,
    prepare_settings,
    read_settings,
)

KEY = "arn:aws:kms:eu-west-1:111111111111:key/k1"
THERE = "arn:aws:kms:eu-west-1:222222222222:key/k2"
STREAM = "arn:aws:kinesis:eu-west-1:111111111111:stream/events"
STREAM_THERE = "arn:aws:kinesis:eu-west-1:222222222222:stream/good"
ALWAYS_LEFT = {"alarms", "iam_policies"}
CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}

MARKS = {"tableferry:migration": "m1", "tableferry:source": "111111111111/eu-west-1/orders"}


def index(name="by_customer", **members):
    return {
        "IndexName": name,
        "KeySchema": [{"AttributeName": "customer", "KeyType": "HASH"}],
        "Projection": {"ProjectionType": "ALL"},
        "IndexStatus": "ACTIVE",
        **members,
    }


def run(steps):
    """The result of a generator, and the seconds it asked for."""
    waited = []
    while True:
        try:
            waited.append(next(steps))
        except StopIteration as stopped:
            return stopped.value, sum(waited)


def migrate(source, destination, table="orders", **options):
    options = SettingsOptions(**{"migration_id": "m1", **options})
    plan = prepare_settings(source, destination, "orders", table, options)
    result, waited = run(apply_settings(destination, table, plan))
    return plan, result, waited


def reasons(entries):
    return {entry.what: entry.reason for entry in entries if entry.what not in ALWAYS_LEFT}


def test_a_plain_table_gets_the_mark_and_nothing_else(accounts, described):
    source, destination = accounts(described(), described("222222222222"))
    plan, result, _ = migrate(source, destination)
    assert [change.what for change in plan.changes] == ["tags"]
    assert destination.tables["orders"].tags == MARKS
    assert result.applied == plan.changes
    assert {entry.what for entry in result.left} == ALWAYS_LEFT
    assert plan.carried == ("billing_mode",)


def test_reading_a_plain_table_costs_the_calls_that_the_docstring_says(accounts, described):
    source, destination = accounts(described(), described("222222222222"))
    here = read_settings(source, TableDefinition.from_dict(described()))
    assert len(source.calls) == 6 + 1  # the fake lists insights on two pages
    read_settings(destination, TableDefinition.from_dict(described("222222222222")), here)
    assert [name for name, _ in destination.calls] == ["list_tags_of_resource"]


EVERYTHING = {
    "tags": {f"tag{number:02}": "x" for number in range(12)} | {"aws:cloudformation:stack": "s", "tableferry:old": "o"},
    "ttl": "expires",
    "pitr": 7,
    "insights": {"": "THROTTLED_KEYS", "by_customer": "ACCESSED_AND_THROTTLED_KEYS"},
    "kinesis": [
        {"StreamArn": "arn:aws:kinesis:eu-west-1:111111111111:stream/old", "DestinationStatus": "DISABLED"},
        {"StreamArn": STREAM, "DestinationStatus": "ACTIVE"},
    ],
    "policy": {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111111111111:role/app"},
                "Action": "dynamodb:GetItem",
                "Resource": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
            }
        ],
    },
    "stream_tags": {"reader": "billing", "aws:cloudformation:stack": "s"},
    "stream_policy": {
        "Version": "2012-10-17",
        "Statement": [
            {
                "Effect": "Allow",
                "Principal": {"AWS": "arn:aws:iam::111111111111:role/app"},
                "Action": "dynamodb:GetRecords",
                "Resource": ["arn:aws:dynamodb:eu-west-1:111111111111:table/orders/stream/1"],
            }
        ],
    },
}
FULL_TABLE = {
    "OnDemandThroughput": {"MaxReadRequestUnits": 100, "MaxWriteRequestUnits": 50},
    "TableClassSummary": {"TableClass": "STANDARD_INFREQUENT_ACCESS"},
    "StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
    "LatestStreamArn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders/stream/1",
    "SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY},
    "DeletionProtectionEnabled": True,
    "GlobalSecondaryIndexes": [index(OnDemandThroughput={"MaxReadRequestUnits": 9})],
}
MAPS = {
    "kms_key_map": {KEY: "alias/tables", "of-another-table": "alias/missing"},
    "kinesis_map": {STREAM: STREAM_THERE},
    "principal_map": {"arn:aws:iam::111111111111:role/app": "arn:aws:iam::222222222222:role/app"},
}


def full(accounts, described, **destination_members):
    source, destination = accounts(
        described(**FULL_TABLE), described("222222222222", "orders2", **destination_members), **EVERYTHING
    )
    source.keys = {KEY: (KEY, "CUSTOMER")}
    destination.keys = {"alias/tables": (THERE, "CUSTOMER"), THERE: (THERE, "CUSTOMER")}
    return source, destination


def test_everything_is_carried_and_a_second_run_changes_nothing(accounts, described):
    source, destination = full(accounts, described)
    plan, result, waited = migrate(source, destination, "orders2", **MAPS)
    assert result.failed == ()
    assert reasons(result.left).keys() == {"event_source_mappings"}
    there = destination.tables["orders2"]
    assert there.tags == {f"tag{n:02}": "x" for n in range(12)} | MARKS
    tagged = [parameters["ResourceArn"] for name, parameters in destination.calls if name == "tag_resource"]
    assert tagged == [there.table["TableArn"], there.table["LatestStreamArn"]]
    assert (there.ttl, there.pitr) == ("expires", 7)
    assert there.insights == EVERYTHING["insights"]
    assert there.kinesis[0]["StreamArn"] == STREAM_THERE
    (statement,) = there.policy["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::222222222222:role/app"}
    assert statement["Resource"] == "arn:aws:dynamodb:eu-west-1:222222222222:table/orders2"
    assert there.stream_tags == {"reader": "billing"}
    (statement,) = there.stream_policy["Statement"]
    assert statement["Principal"] == {"AWS": "arn:aws:iam::222222222222:role/app"}
    assert statement["Resource"] == ["arn:aws:dynamodb:eu-west-1:222222222222:table/orders2/stream/new"]
    table = there.table
    assert table["SSEDescription"]["KMSMasterKeyArn"] == THERE
    assert table["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert table["OnDemandThroughput"] == FULL_TABLE["OnDemandThroughput"]
    assert table["StreamSpecification"]["StreamViewType"] == "NEW_IMAGE"
    assert table["GlobalSecondaryIndexes"][0]["OnDemandThroughput"] == {"MaxReadRequestUnits": 9}
    assert set(result.carried) == {setting.name for setting in SETTINGS} - {
        "autoscaling",
        "vector_indexes",
        "warm_throughput",
    }
    assert waited > 0

    again, result, waited = migrate(source, destination, "orders2", **MAPS)
    assert (again.changes, result.applied, waited) == ((), (), 0)
    assert again.carried == plan.carried


def test_the_mark_is_set_first_and_protection_is_the_last_update(accounts, described):
    source, destination = full(accounts, described)
    migrate(source, destination, "orders2", **MAPS)
    writes = [name for name, _ in destination.calls if not name.startswith(("describe", "list", "get"))]
    updates = [parameters for name, parameters in destination.calls if name == "update_table"]
    assert writes[0] == "tag_resource"
    assert writes[-1] == "put_resource_policy"
    assert updates[-1] == {"TableName": "orders2", "DeletionProtectionEnabled": True}


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ({"principal_map": {}}, "arn:aws:iam::111111111111:role/app of the source account"),
        ({"defer": ("stream",)}, "the stream is deferred until the cutover"),
    ],
)
def test_the_policy_of_a_stream_is_left_where_it_cannot_be_carried(accounts, described, options, reason):
    source, destination = full(accounts, described)
    _, result, _ = migrate(source, destination, "orders2", **{**MAPS, **options})
    assert result.failed == ()
    assert reason in reasons(result.left)["stream_policy"]
    assert destination.tables["orders2"].stream_policy is None
    assert ("stream_tags" in reasons(result.left)) == ("defer" in options)


def test_another_policy_of_the_copys_stream_is_left_alone(accounts, described):
    source, destination = full(accounts, described)
    migrate(source, destination, "orders2", **MAPS)
    other = {"Version": "2012-10-17", "Statement": []}
    destination.tables["orders2"].stream_policy = other
    plan, result, _ = migrate(source, destination, "orders2", **MAPS)
    assert (plan.changes, destination.tables["orders2"].stream_policy) == ((), other)
    assert "already has another policy" in reasons(result.left)["stream_policy"]


def test_tags_of_a_stream_that_do_not_fit_are_named(accounts, described):
    source, destination = full(accounts, described)
    migrate(source, destination, "orders2", **MAPS)
    destination.tables["orders2"].stream_tags = {f"own{number}": "x" for number in range(50)}
    plan, result, _ = migrate(source, destination, "orders2", **MAPS)
    assert plan.changes == ()
    assert "at most 50 tags" in reasons(result.left)["stream_tags.reader"]


def test_nothing_is_switched_off_on_the_destination(accounts, described):
    source, destination = accounts(described(), described("222222222222", **FULL_TABLE))
    there = destination.tables["orders"]
    there.ttl, there.pitr, there.tags = "expires", 35, {"own": "tag"}
    plan, _result, _ = migrate(source, destination)
    assert [change.what for change in plan.changes] == ["tags"]
    assert there.tags == {"own": "tag"} | MARKS


def test_other_values_of_the_destination_are_left_and_named(accounts, described):
    source, destination = accounts(
        described(**FULL_TABLE | {"SSEDescription": {}}),
        described(
            "222222222222",
            StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"},
            TableClassSummary={"TableClass": "STANDARD_INFREQUENT_ACCESS"},
            GlobalSecondaryIndexes=[index(Projection={"ProjectionType": "KEYS_ONLY"})],
        ),
        **EVERYTHING,
    )
    there = destination.tables["orders"]
    there.ttl, there.pitr = "other", 35
    there.kinesis = [{"StreamArn": STREAM_THERE + "2", "DestinationStatus": "ACTIVE"}]
    there.policy = {"Version": "2012-10-17", "Statement": []}
    plan, _, _ = migrate(source, destination, **MAPS)
    assert {
        "stream",
        "global_secondary_indexes.by_customer",
        "time_to_live",
        "point_in_time_recovery",
        "kinesis_destination",
        "resource_policy",
    } <= reasons(plan.left).keys()
    assert not {"stream", "time_to_live", "resource_policy"} & set(plan.carried)


@pytest.mark.parametrize(
    ("options", "left"),
    [
        ({"kinesis_map": {}}, "kinesis_destination"),
        ({"kinesis_map": {"events": "arn:aws:kinesis:eu-west-1:333333333333:stream/x"}}, "kinesis_destination"),
        ({"principal_map": {}}, "resource_policy"),
        ({"defer": ("time_to_live",)}, "time_to_live"),
        ({"defer": ("tags",)}, "tags"),
    ],
)
def test_without_a_counterpart_a_setting_is_left(accounts, described, options, left):
    source, destination = full(accounts, described)
    plan, result, _ = migrate(source, destination, "orders2", **MAPS | options)
    assert left in reasons(plan.left)
    assert left not in result.carried
    assert destination.tables["orders2"].tags["tableferry:migration"] == "m1"


def test_a_customer_key_without_mapping_is_refused(accounts, described):
    source, destination = full(accounts, described)
    with pytest.raises(MissingKeyMapping, match=KEY):
        migrate(source, destination, "orders2")
    assert destination.count("update_table") == 0


def test_the_managed_key_becomes_the_managed_key(accounts, described):
    source, destination = full(accounts, described)
    source.keys = {KEY: (KEY, "AWS")}
    migrate(source, destination, "orders2")
    assert destination.tables["orders2"].table["SSEDescription"]["KMSMasterKeyArn"].endswith("222222222222:key/aws")


def test_a_customer_key_of_the_destination_is_not_taken_off(accounts, described):
    source, destination = full(accounts, described, SSEDescription={"Status": "ENABLED", "KMSMasterKeyArn": THERE})
    source.keys = {KEY: (KEY, "AWS")}
    plan, _, _ = migrate(source, destination, "orders2")
    assert "encryption" not in {change.what for change in plan.changes}


def test_recovery_turned_on_for_the_export_does_not_come_along(accounts, described):
    tags = {"tableferry:point-in-time-recovery": "m1"}
    source, destination = accounts(described(), described("222222222222"), pitr=35, tags=tags)
    plan, _, _ = migrate(source, destination)
    assert "export" in reasons(plan.left)["point_in_time_recovery"]
    assert destination.tables["orders"].pitr is None


def test_tags_beyond_the_quota_are_named(accounts, described):
    source, destination = accounts(described(), described("222222222222"), tags={f"t{n:02}": "" for n in range(50)})
    plan, _result, _ = migrate(source, destination)
    assert reasons(plan.left).keys() == {"tags.t48", "tags.t49"}
    assert len(destination.tables["orders"].tags) == 50
    assert migrate(source, destination)[0].changes == ()


def test_what_may_not_be_read_is_left_with_the_reason(accounts, described):
    source, destination = accounts(described(), described("222222222222"), ttl="expires", pitr=7)
    source.errors["describe_time_to_live"] = [aws("AccessDeniedException", "not authorized to perform that")]
    destination.errors["describe_continuous_backups"] = [aws("AccessDeniedException", "not authorized either")]
    plan, result, _ = migrate(source, destination)
    assert "not authorized to perform that" in reasons(plan.left)["time_to_live"]
    assert "destination" in reasons(plan.left)["point_in_time_recovery"]
    assert not {"time_to_live", "point_in_time_recovery"} & set(result.carried)


def test_other_errors_while_reading_are_raised_for_the_table(accounts, described):
    source, destination = accounts(described(), described("222222222222"))
    source.errors["describe_time_to_live"] = [aws("InternalServerError", "sorry")]
    with pytest.raises(ServiceError, match="time_to_live of orders"):
        migrate(source, destination)


def aws(code, message=""):
    return sdk.ClientError({"Error": {"Code": code, "Message": message}}, "Operation")


@pytest.mark.parametrize(
    ("operation", "errors"),
    [
        (
            "tag_resource",
            [aws("LimitExceededException", "Subscriber limit exceeded: Table tags are being updated: orders2")],
        ),
        ("update_table", [aws("ThrottlingException", "The rate of control plane requests made by this account")] * 3),
        ("update_table", [aws("InternalServerError", "Table is under system maintenance, please try again later")]),
        ("update_continuous_backups", [aws("ContinuousBackupsUnavailableException", "Please retry later")] * 2),
        ("update_time_to_live", [aws("ValidationException", "modified multiple times within a fixed interval")] * 12),
        ("put_resource_policy", [aws("ResourceInUseException", "Table is pending previous resource-based policy")]),
        ("describe_table", [EndpointConnectionError(endpoint_url="http://127.0.0.1:9")]),
    ],
)
def test_what_passes_is_waited_for(accounts, described, operation, errors):
    source, destination = full(accounts, described)
    plan = prepare_settings(source, destination, "orders", "orders2", SettingsOptions(migration_id="m1", **MAPS))
    destination.errors[operation] = list(errors)
    result, waited = run(apply_settings(destination, "orders2", plan))
    assert result.failed == ()
    assert waited > len(errors)


@pytest.mark.parametrize(
    ("operation", "error", "setting"),
    [
        ("tag_resource", aws("AccessDeniedException", "not authorized"), "tags"),
        ("update_table", aws("InternalFailure", ""), "encryption"),
        ("update_table", aws("LimitExceededException", "Subscriber limit exceeded: Encryption mode"), "encryption"),
        ("put_resource_policy", aws("AccessDeniedException", "will not allow you to update"), "resource_policy"),
        ("update_time_to_live", aws("ValidationException", "TimeToLive is active on a different"), "time_to_live"),
    ],
)
def test_what_aws_refuses_for_good_fails_alone(accounts, described, operation, error, setting):
    source, destination = full(accounts, described)
    plan = prepare_settings(source, destination, "orders", "orders2", SettingsOptions(migration_id="m1", **MAPS))
    destination.errors[operation] = [error]
    result, _ = run(apply_settings(destination, "orders2", plan))
    assert [entry.what for entry in result.failed] == [setting]
    assert error.response["Error"]["Code"] in result.failed[0].reason
    assert len(result.applied) == len(plan.changes) - 1
    assert setting not in result.carried


@pytest.mark.parametrize("kind", RUN_STOPPED)
def test_a_run_that_is_stopped_is_no_refusal(accounts, described, kind):
    """A lapsed lease is renewed, and the settings go on; a run that was taken over reports that."""
    source, destination = full(accounts, described)
    plan = prepare_settings(source, destination, "orders", "orders2", SettingsOptions(migration_id="m1", **MAPS))
    destination.errors["tag_resource"] = [kind("Stopped.", "Run again.")]
    with pytest.raises(kind):
        run(apply_settings(destination, "orders2", plan))


def test_a_500_is_not_retried_for_ever(accounts, described):
    source, destination = full(accounts, described)
    plan = prepare_settings(source, destination, "orders", "orders2", SettingsOptions(migration_id="m1", **MAPS))
    destination.errors["update_table"] = [aws("InternalServerError", "KMS internal error")] * 1000
    result, _waited = run(apply_settings(destination, "orders2", plan))
    assert "encryption" in {entry.what for entry in result.failed}
    assert len(destination.errors["update_table"]) > 800


def test_insights_and_kinesis_that_fail_late_are_reported(accounts, described):
    source, destination = full(accounts, described)
    maps = MAPS | {"kinesis_map": {"events": STREAM_THERE.replace("good", "bad")}}
    destination.describe_contributor_insights = lambda **_: {
        "ContributorInsightsStatus": "FAILED",
        "FailureException": {"ExceptionDescription": "rule limit reached"},
    }
    _, result, _ = migrate(source, destination, "orders2", **maps)
    failed = reasons(result.failed)
    assert failed.keys() == {"contributor_insights", "contributor_insights.by_customer", "kinesis_destination"}
    assert "no way" in failed["kinesis_destination"]
    assert "rule limit" in failed["contributor_insights"]
    assert not failed.keys() & {change.what for change in result.applied}


def test_insights_that_failed_are_not_on(accounts, described):
    source, destination = accounts(described(), described("222222222222"), insights={"": "THROTTLED_KEYS"})
    failed = {"ContributorInsightsStatus": "FAILED", "ContributorInsightsMode": "THROTTLED_KEYS"}
    destination.list_contributor_insights = lambda **_: {"ContributorInsightsSummaries": [failed]}
    plan = prepare_settings(source, destination, "orders", "orders", SettingsOptions())
    assert "contributor_insights" in {change.what for change in plan.changes}


def test_a_run_killed_after_the_call_finds_its_own_work(accounts, described):
    source, destination = accounts(
        described(TableClassSummary={"TableClass": "STANDARD_INFREQUENT_ACCESS"}),
        described("222222222222"),
        ttl="expires",
    )
    plan = prepare_settings(source, destination, "orders", "orders", SettingsOptions())
    run(apply_settings(destination, "orders", plan))
    result, _ = run(apply_settings(destination, "orders", plan))
    assert result.failed == ()
    assert destination.tables["orders"].ttl == "expires"
    assert destination.count("update_table") == 1  # a table class costs one of two in 30 days


def test_a_vanished_table_ends_the_settings(accounts, described):
    source, destination = accounts(described(), described("222222222222"), ttl="expires")
    plan = prepare_settings(source, destination, "orders", "orders", SettingsOptions())
    destination.tables.clear()
    result, waited = run(apply_settings(destination, "orders", plan))
    assert {entry.what for entry in result.failed} == {"tags", "time_to_live"}
    assert "no longer exists" in result.failed[0].reason
    assert waited < 120


def test_lost_credentials_end_the_settings_without_an_exception(accounts, described):
    source, destination = accounts(described(), described("222222222222"), ttl="expires")
    plan = prepare_settings(source, destination, "orders", "orders", SettingsOptions())
    destination.errors["tag_resource"] = [CredentialsError("The role cannot be assumed.", "Mend it.")]
    result, _ = run(apply_settings(destination, "orders", plan))
    assert {entry.what for entry in result.failed} == {"tags", "time_to_live"}


def test_an_update_that_aws_drops_is_sent_again(accounts, described):
    source, destination = accounts(described(DeletionProtectionEnabled=True), described("222222222222"))
    plan = prepare_settings(source, destination, "orders", "orders", SettingsOptions())
    keep, real = [1], destination._set_DeletionProtectionEnabled
    destination._set_DeletionProtectionEnabled = lambda table, value: keep.pop() if keep else real(table, value)
    result, _ = run(apply_settings(destination, "orders", plan))
    assert result.failed == ()
    assert destination.count("update_table") == 2


def test_tables_with_other_keys_are_refused(accounts, described):
    source, destination = accounts(
        described(), described("222222222222", KeySchema=[{"AttributeName": "customer", "KeyType": "HASH"}])
    )
    with pytest.raises(DestinationExists, match="keys"):
        migrate(source, destination)


def provisioned(**members):
    return {"BillingModeSummary": {}, "ProvisionedThroughput": CAPACITY, **members}


def test_missing_indexes_are_made_one_at_a_time_with_capacity(accounts, described):
    indexes = [index("one-x", ProvisionedThroughput=CAPACITY), index("two-x", ProvisionedThroughput=CAPACITY)]
    source, destination = accounts(
        described(**provisioned(GlobalSecondaryIndexes=indexes)), described("222222222222", **provisioned())
    )
    plan, result, _ = migrate(source, destination)
    assert result.failed == ()
    assert [change.what for change in plan.changes if change.risk == "slow"] == [
        "global_secondary_indexes.one-x",
        "global_secondary_indexes.two-x",
    ]
    made = destination.tables["orders"].table["GlobalSecondaryIndexes"]
    assert [entry["ProvisionedThroughput"] for entry in made] == [CAPACITY, CAPACITY]


def test_a_switch_to_provisioned_names_every_index_of_the_destination(accounts, described):
    more = {"ReadCapacityUnits": 9, "WriteCapacityUnits": 9}
    source, destination = accounts(
        described(**provisioned(GlobalSecondaryIndexes=[index(ProvisionedThroughput=more)])),
        described("222222222222", GlobalSecondaryIndexes=[index(), index("extra")]),
    )
    migrate(source, destination)
    (update,) = [parameters for name, parameters in destination.calls if name == "update_table"]
    assert update["ProvisionedThroughput"] == CAPACITY
    units = {entry["Update"]["IndexName"]: entry["Update"] for entry in update["GlobalSecondaryIndexUpdates"]}
    assert units["by_customer"]["ProvisionedThroughput"] == more
    assert units["extra"]["ProvisionedThroughput"] == CAPACITY


def scaled(account, table="orders", index=""):
    resource = f"table/{table}/index/{index}" if index else f"table/{table}"
    dimension = f"dynamodb:{'index' if index else 'table'}:ReadCapacityUnits"
    of = {"ServiceNamespace": "dynamodb", "ResourceId": resource, "ScalableDimension": dimension}
    account.targets[resource, dimension] = {
        **of,
        "MinCapacity": 5,
        "MaxCapacity": 50,
        "SuspendedState": {"DynamicScalingInSuspended": True, "DynamicScalingOutSuspended": False},
    }
    account.policies[resource, dimension, "p"] = {
        **of,
        "PolicyName": f"DynamoDBReadCapacityUtilization:{resource}",
        "PolicyType": "TargetTrackingScaling",
        "PolicyARN": "arn:policy",
        "Alarms": [{"AlarmName": "a", "AlarmARN": "b"}],
        "TargetTrackingScalingPolicyConfiguration": {
            "TargetValue": 70.0,
            "DisableScaleIn": False,
            "PredefinedMetricSpecification": {"PredefinedMetricType": "DynamoDBReadCapacityUtilization"},
        },
    }
    account.actions[resource, dimension, "night"] = {
        **of,
        "ScheduledActionName": "night",
        "Schedule": "cron(0 22 * * ? *)",
        "Timezone": "Europe/Berlin",
        "ScalableTargetAction": {"MinCapacity": 1},
    }


def test_auto_scaling_comes_along_under_the_new_name(accounts, described):
    members = provisioned(GlobalSecondaryIndexes=[index(ProvisionedThroughput=CAPACITY)])
    source, destination = accounts(described(**members), described("222222222222", "copy", **members))
    scaled(source)
    scaled(source, index="by_customer")
    plan, result, _ = migrate(source, destination, "copy")
    assert result.failed == ()
    assert {change.what for change in plan.changes} == {
        "tags",
        "autoscaling.table/ReadCapacityUnits",
        "autoscaling.index/by_customer/ReadCapacityUnits",
    }
    registered = destination.targets["table/copy/index/by_customer", "dynamodb:index:ReadCapacityUnits"]
    assert (registered["MinCapacity"], registered["MaxCapacity"]) == (5, 50)
    assert registered["SuspendedState"]["DynamicScalingInSuspended"] is True
    assert "RoleARN" not in registered
    names = {name for _, _, name in destination.policies}
    assert names == {
        "DynamoDBReadCapacityUtilization:table/copy",
        "DynamoDBReadCapacityUtilization:table/copy/index/by_customer",
    }
    assert len(destination.actions) == 2
    assert migrate(source, destination, "copy")[0].changes == ()


def test_capacity_that_auto_scaling_owns_is_not_compared(accounts, described):
    low = {"ReadCapacityUnits": 7, "WriteCapacityUnits": 6}
    source, destination = accounts(
        described(**provisioned()), described("222222222222", **provisioned(ProvisionedThroughput=low))
    )
    scaled(source)
    scaled(destination)
    assert [change.what for change in migrate(source, destination)[0].changes] == ["tags"]
    destination.targets.clear()
    source.targets.clear()
    assert [change.what for change in migrate(source, destination)[0].changes] == ["billing_mode"]
    assert destination.tables["orders"].table["ProvisionedThroughput"] == CAPACITY


@pytest.mark.parametrize("there", [True, False])
def test_e3_auto_scaling_that_a_deleted_table_left_at_the_name_is_told(accounts, described, there):
    """Before the copy is made too, and what is more in a target that both have."""
    source, destination = accounts(described(**provisioned()), described("222222222222", **provisioned()))
    scaled(destination)

    def left():
        if there:
            return reasons(migrate(source, destination)[1].left)
        return reasons(preview_settings(source, destination, "orders", "orders", SettingsOptions()).left)

    key = "autoscaling.table/ReadCapacityUnits"
    assert "the destination has a scalable target (from 5 to 50), which the source has not" in left()[key]
    before = dict(destination.targets), dict(destination.policies), dict(destination.actions)
    scaled(source)
    assert key not in left()
    source.actions.clear()
    assert "the destination has in its auto scaling night, which the source has not" in left()[key]
    assert (destination.targets, destination.policies, destination.actions) == before


def test_e3_auto_scaling_that_may_not_be_looked_for_is_told(accounts, described):
    source, destination = accounts(described(**provisioned()), described("222222222222", **provisioned()))
    destination.errors["describe_scalable_targets"] = [aws("AccessDeniedException", "You may not")]
    scaled(source)
    left = reasons(preview_settings(source, destination, "orders", "orders", SettingsOptions()).left)
    assert "could not be read in the destination account" in left["autoscaling"]


def test_policies_other_than_target_tracking_are_left(accounts, described):
    source, destination = accounts(described(**provisioned()), described("222222222222", **provisioned()))
    scaled(source)
    source.policies["table/orders", "dynamodb:table:ReadCapacityUnits", "p"]["PolicyType"] = "StepScaling"
    plan, _result, _ = migrate(source, destination)
    assert "StepScaling" in reasons(plan.left)["autoscaling.table/ReadCapacityUnits"]
    assert destination.policies == {}


def test_warm_throughput_is_carried_as_a_billed_change_unless_switched_off(accounts, described):
    warm = {"ReadUnitsPerSecond": 30000, "WriteUnitsPerSecond": 4000}
    source, destination = accounts(
        described(WarmThroughput=warm),
        described("222222222222", WarmThroughput={"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000}),
    )
    plan, _, _ = migrate(source, destination, warm_throughput=False)
    assert "charged" in reasons(plan.left)["warm_throughput"]
    assert "warm_throughput" not in plan.carried
    plan, result, _ = migrate(source, destination)
    assert [(change.after, change.risk) for change in plan.changes] == [({"ReadUnitsPerSecond": 30000}, "billed")]
    assert result.carried == ("billing_mode", "warm_throughput")


def warm(read, write):
    return {"WarmThroughput": {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": write}}


def test_a13_warm_throughput_of_a_table_that_was_scaled_up_once_is_carried_or_named(accounts, described):
    """Its index too: below AWS's default for on-demand tables, and above what the destination has."""
    five = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    source, destination = (
        described(account, **provisioned(), **table, GlobalSecondaryIndexes=[index(ProvisionedThroughput=five, **part)])
        for account, table, part in (
            ("111111111111", warm(900, 6), warm(5, 700)),
            ("222222222222", warm(5, 6), warm(5, 6)),
        )
    )
    pair = accounts(source, destination)
    plan, _, _ = migrate(*pair, warm_throughput=False)
    assert "900" in reasons(plan.left)["warm_throughput"]
    assert "700" in reasons(plan.left)["warm_throughput.by_customer"]
    assert "warm_throughput" not in plan.carried
    plan, result, _ = migrate(*pair)
    assert [(change.what, change.before, change.after, change.risk) for change in plan.changes] == [
        ("warm_throughput", {"ReadUnitsPerSecond": 5}, {"ReadUnitsPerSecond": 900}, "billed"),
        ("warm_throughput.by_customer", {"WriteUnitsPerSecond": 6}, {"WriteUnitsPerSecond": 700}, "billed"),
    ]
    assert "warm_throughput" in result.carried
    plan, result, _ = migrate(*pair)
    assert (plan.changes, "warm_throughput" in plan.carried) == ((), True)


def test_a13_that_a_provisioned_table_was_on_demand_once_is_named_and_not_bought(accounts, described):
    five = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 6}
    source, destination = (
        described(
            account, **provisioned(), **units, GlobalSecondaryIndexes=[index(ProvisionedThroughput=five, **units)]
        )
        for account, units in (("111111111111", warm(12000, 4000)), ("222222222222", warm(5, 6)))
    )
    plan, _, _ = migrate(*accounts(source, destination))
    assert [change.what for change in plan.changes] == ["tags"]
    for part in ("warm_throughput", "warm_throughput.by_customer"):
        assert "on demand once" in reasons(plan.left)[part]
    assert "warm_throughput" not in plan.carried


def test_a13_an_index_that_is_created_without_its_warm_throughput_is_named(accounts, described):
    by_customer = index(**warm(20000, 4000))
    pair = accounts(described(GlobalSecondaryIndexes=[by_customer]), described("222222222222"))
    plan, _, _ = migrate(*pair, warm_throughput=False)
    assert "20000" in reasons(plan.left)["warm_throughput.by_customer"]
    plan, _, _ = migrate(*accounts(described(GlobalSecondaryIndexes=[by_customer]), described("222222222222")))
    assert [change.what for change in plan.changes] == ["tags", "global_secondary_indexes.by_customer"]
    assert plan.changes[1].after["index"]["WarmThroughput"] == {"ReadUnitsPerSecond": 20000}
    assert "warm_throughput" in plan.carried


def test_replicas_and_local_indexes_are_named(accounts, described):
    source, destination = accounts(
        described(Replicas=[{"RegionName": "us-east-1"}], LocalSecondaryIndexes=[index("local")]),
        described("222222222222"),
    )
    left = reasons(migrate(source, destination)[0].left)
    assert "us-east-1" in left["replicas"]
    assert "local_secondary_indexes.local" in left


def test_plans_and_settings_are_json(accounts, described):
    source, destination = full(accounts, described)
    here = read_settings(source, TableDefinition.read(source, "orders"))
    assert Settings.from_dict(json.loads(json.dumps(here.to_dict()))) == here
    plan = prepare_settings(source, destination, "orders", "orders2", SettingsOptions(**MAPS))
    again = SettingsPlan.from_dict(json.loads(json.dumps(plan.to_dict())))
    assert again == plan
    result, _ = run(apply_settings(destination, "orders2", again))
    assert result.failed == ()
    json.dumps(result.to_dict())


def maybe(strategy):
    return st.none() | strategy


TABLES = st.fixed_dictionaries(
    {},
    optional={
        "OnDemandThroughput": st.sampled_from([{"MaxReadRequestUnits": 7}, {"MaxWriteRequestUnits": -1}]),
        "TableClassSummary": st.sampled_from(
            [{"TableClass": "STANDARD"}, {"TableClass": "STANDARD_INFREQUENT_ACCESS"}]
        ),
        "StreamSpecification": st.just({"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}),
        "DeletionProtectionEnabled": st.booleans(),
        "SSEDescription": st.just({"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": KEY}),
        "GlobalSecondaryIndexes": st.lists(st.sampled_from(["one", "two", "three"]), unique=True).map(
            lambda names: [index(name) for name in names]
        ),
    },
)
STATES = st.fixed_dictionaries(
    {
        "tags": st.dictionaries(st.sampled_from("abcde"), st.text("xy", max_size=2)),
        "ttl": maybe(st.sampled_from(["t", "u"])),
        "pitr": maybe(st.integers(1, 35)),
        "insights": st.dictionaries(st.just(""), st.sampled_from(["THROTTLED_KEYS", "ACCESSED_AND_THROTTLED_KEYS"])),
        "policy": maybe(st.just(EVERYTHING["policy"])),
    }
)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(TABLES, STATES, st.booleans())
def test_after_applying_nothing_is_left_to_change(accounts, described, table, state, switch):
    source, destination = accounts(
        described(**table, **({} if switch else {"ProvisionedThroughput": {}})),
        described("222222222222", **(provisioned() if switch else {})),
        **state,
    )
    source.keys = {KEY: (KEY, "CUSTOMER")}
    destination.keys = {THERE: (THERE, "CUSTOMER")}
    maps = MAPS | {"kms_key_map": {KEY: THERE}}
    plan, result, _ = migrate(source, destination, **maps)
    assert result.failed == ()
    assert result.applied == plan.changes
    assert migrate(source, destination, **maps)[0].changes == ()
