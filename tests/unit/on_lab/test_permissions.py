# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The IAM policies in the roles' READMEs suffice: callers who may just that move a table with all its settings."""

from __future__ import annotations

import json

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    AccessDenied,
    StagingBucketUnusable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.judge import judge_import
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, start
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.ready_policies import filled
from demo.tables import index
from generate.permission_files import committed
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.readmes import PLACES, policies


def readers(action: str, resource: str) -> str:
    """A resource policy for a third account."""
    statement = {"Effect": "Allow", "Principal": {"AWS": "333333333333"}, "Action": action, "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def user(crossing, side: str, name: str, statements: list[dict]) -> Account:
    """A user of ``side`` who may do just that."""
    document = json.dumps({"Version": "2012-10-17", "Statement": statements})
    return crossing.account(side, **user_who_may(crossing.lab.client("iam", side), name, document))


@pytest.fixture
def narrowed(crossing):
    """The crossing with callers who may what the READMEs say."""
    crossing.table(
        "narrow",
        GlobalSecondaryIndexes=[index("all", "id", "", {"ProjectionType": "ALL"})],
        StreamSpecification={"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"},
        Tags=[{"Key": "team", "Value": "shop"}],
        WarmThroughput={"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 4000},
        DeletionProtectionEnabled=True,
    )
    dynamodb = crossing.lab.client("dynamodb", "source")
    dynamodb.update_time_to_live(TableName="narrow", TimeToLiveSpecification={"Enabled": True, "AttributeName": "end"})
    for more in ({}, {"IndexName": "all"}):
        dynamodb.update_contributor_insights(TableName="narrow", ContributorInsightsAction="ENABLE", **more)
    table = dynamodb.describe_table(TableName="narrow")["Table"]
    for action, arn in (
        ("dynamodb:GetItem", table["TableArn"]),
        ("dynamodb:DescribeStream", table["LatestStreamArn"]),
    ):
        dynamodb.put_resource_policy(ResourceArn=arn, Policy=readers(action, arn))
    for side in ("source", "destination"):
        names = ("export_table", "import_table", "judge_table", "apply_table_settings")
        setattr(crossing, side, user(crossing, side, "narrow", policies(side, *names)))
    crossing.lab.clear_requests()
    return crossing


def test_the_policies_of_the_readmes_suffice(narrowed):
    export = narrowed.export("narrow")
    moved = narrowed.bring_in(export)
    settings = narrowed.settings("narrow")
    judgement = judge_import("narrow", narrowed.source, narrowed.destination, export, moved, checksums=True)
    denied = [call["operation"] for call in narrowed.lab.calls(ok=False) if "Denied" in call["error_code"]]
    assert denied == []
    assert [job.state for job in (export, moved, settings)] == ["completed"] * 3
    assert (judgement.status, judgement.verified) == ("migrated", "counts")
    assert {entry["what"] for entry in settings.result["settings_left"]} == {
        "alarms",
        "event_source_mappings",
        "iam_policies",
    }


def test_the_policies_of_a_direct_copy_suffice(crossing, hurry):
    crossing.table("narrow-direct")
    for side in ("source", "destination"):
        statements = policies(side, "copy_table", "verify_table", "apply_table_settings")
        renamed = json.loads(json.dumps(statements).replace("narrow", "narrow-direct"))
        setattr(crossing, side, user(crossing, side, "narrow-direct", renamed))
    options = MigrationOptions("narrow-direct", method="direct", verify="full")
    crossing.lab.clear_requests()
    way = start(crossing.source, crossing.destination, options)
    item = WaitItem("it", crossing.source, crossing.destination, way.job, way.then)
    jobs = hurry([item]).ways["it"]
    denied = [call["operation"] for call in crossing.lab.calls(ok=False) if "Denied" in call["error_code"]]
    assert denied == []
    judgement = judge("narrow-direct", crossing.source, crossing.destination, jobs, verify="full")
    assert (judgement.status, judgement.verified, judgement.failure) == ("migrated", "full", None)


@pytest.mark.parametrize(
    ("side", "action"),
    [
        ("source", "dynamodb:DescribeTable"),
        ("source", "dynamodb:ExportTableToPointInTime"),
        ("source", "s3:PutObject"),
        ("destination", "dynamodb:ImportTable"),
        ("destination", "s3:GetObject"),
        ("destination", "s3:ListBucket"),
        ("destination", "dynamodb:DescribeTable"),
    ],
)
def test_without_one_of_them_the_table_does_not_go(crossing, side, action):
    """The lab holds callers to their policies, and the message names what is missing, where AWS's own names it."""
    name = f"short-{action.rpartition(':')[2].lower()}-{side}"
    crossing.table(name)
    for each in ("source", "destination"):
        statements = filled(committed("s3", each), {**PLACES, "TABLE": name})["Statement"]
        if each == side:
            statements = [
                {**rest, "Action": [one for one in actions if one != action] or ["sts:GetCallerIdentity"]}
                for statement in statements
                for actions, rest in [(statement["Action"], statement)]
            ]
        setattr(crossing, each, user(crossing, each, name, statements))
    words = "staging bucket" if action.startswith("s3:") else action
    with pytest.raises((AccessDenied, StagingBucketUnusable), match=words):
        crossing.bring_in(crossing.export(name))
    caller = f"arn:aws:iam::{PLACES[side.upper()]}:user/{name}"
    assert {row["action"] for row in crossing.lab.permissions(caller) if not row["allowed"]} == {action}


def test_a_service_control_policy_stops_administrators(crossing):
    """And the message says whose policy it was, as nobody in the account can change that."""
    crossing.table("guarded")
    crossing.source, crossing.destination = crossing.account("source"), crossing.account("destination")
    deny = {"Effect": "Deny", "Action": "dynamodb:ExportTableToPointInTime", "Resource": "*"}
    crossing.lab.set_control_policies("111111111111", {"Version": "2012-10-17", "Statement": [deny]})
    try:
        with pytest.raises(
            AccessDenied, match=r"ExportTableToPointInTime.* explicit deny in a service control policy"
        ) as caught:
            crossing.export("guarded")
        assert caught.value.next_step.startswith("Ask who administers the organization")
    finally:
        crossing.lab.set_control_policies("111111111111")
