# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's CloudWatch Logs: groups, streams, events, and writers that act for a principal."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.client import RunningLab, running
from lab.errors import AwsError
from lab.services.logs import LogsService

SERVICES = ("lab.services.sts.StsService", "lab.services.iam.IamService", "lab.services.logs.LogsService")
REGION = "eu-west-1"
ACCOUNT = "222222222222"
GROUP = "/aws-dynamodb/imports"
ACTIONS = ["CreateLogGroup", "CreateLogStream", "DescribeLogStreams", "PutLogEvents", "PutRetentionPolicy"]


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with running(services=SERVICES) as lab:
        yield lab


@pytest.fixture
def logs(lab: RunningLab) -> Any:
    return lab.client("logs", "destination")


def refused(code: str, message: str = "") -> Any:
    return pytest.raises(ClientError, match=rf"\({code}\)[\s\S]*{message}")


@pytest.mark.parametrize("missing", [*ACTIONS, "DescribeLogGroups", "the colon"])
def test_writer_needs_permissions(lab: RunningLab, logs: Any, missing: str) -> None:
    service = lab.world.part(LogsService)
    colon = "/" if missing == "the colon" else ":"
    statements = [
        {
            "Effect": "Allow",
            "Action": [f"logs:{action}" for action in ACTIONS if action != missing],
            "Resource": f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group{colon}/aws-dynamodb/*",
        }
    ]
    if missing != "DescribeLogGroups":
        statements.append({"Effect": "Allow", "Action": "logs:DescribeLogGroups", "Resource": "*"})
    with lab.world.lock:
        role = lab.world.identity.add_role(ACCOUNT, "importer", '{"Statement": []}')
        role.inline["logs"] = json.dumps({"Version": "2012-10-17", "Statement": statements})
    caller = lab.world.identity.role_caller(role, "import")
    with pytest.raises(AwsError, match="AccessDeniedException"):
        service.put_events_as(caller, GROUP, "id/error", ["{}"], region=REGION)
    assert logs.describe_log_groups()["logGroups"] == []
    statements[0]["Action"] = "logs:*"
    statements[0]["Resource"] = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/aws-dynamodb/*"
    statements.append({"Effect": "Allow", "Action": "logs:DescribeLogGroups", "Resource": "*"})
    role.inline["logs"] = json.dumps({"Version": "2012-10-17", "Statement": statements})
    service.put_events_as(caller, GROUP, "id/error", ["one", "two"], region=REGION)
    events = logs.get_log_events(logGroupName=GROUP, logStreamName="id/error", startFromHead=True)["events"]
    assert [event["message"] for event in events] == ["one", "two"]


def test_missing_group_and_stream(logs: Any) -> None:
    with refused("ResourceNotFoundException", "The specified log group does not exist."):
        logs.describe_log_streams(logGroupName="/none")
    logs.create_log_group(logGroupName="/some")
    with refused("ResourceNotFoundException", "The specified log stream does not exist."):
        logs.get_log_events(logGroupName="/some", logStreamName="none")


def test_group_settings(logs: Any) -> None:
    logs.create_log_group(logGroupName="/some", tags={"a": "1", "b": "2"})
    with refused("ResourceAlreadyExistsException"):
        logs.create_log_group(logGroupName="/some")
    with refused("InvalidParameterException"):
        logs.put_retention_policy(logGroupName="/some", retentionInDays=2)
    logs.put_retention_policy(logGroupName="/some", retentionInDays=14)
    (shown,) = logs.describe_log_groups(logGroupNamePrefix="/so")["logGroups"]
    assert (shown["logGroupName"], shown["retentionInDays"]) == ("/some", 14)
    assert shown["arn"] == f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/some:*"
    logs.untag_log_group(logGroupName="/some", tags=["a"])
    assert logs.list_tags_log_group(logGroupName="/some")["tags"] == {"b": "2"}
    assert logs.list_tags_for_resource(resourceArn=shown["logGroupArn"])["tags"] == {"b": "2"}
    logs.delete_retention_policy(logGroupName="/some")
    assert "retentionInDays" not in logs.describe_log_groups()["logGroups"][0]
    logs.delete_log_group(logGroupName="/some")
    assert logs.describe_log_groups()["logGroups"] == []


def test_events_page_and_filter(logs: Any) -> None:
    logs.create_log_group(logGroupName="/some")
    for stream in ("a", "b"):
        logs.create_log_stream(logGroupName="/some", logStreamName=stream)
        events = [{"timestamp": 1000 + number, "message": f"{stream} {number}"} for number in range(5)]
        logs.put_log_events(logGroupName="/some", logStreamName=stream, logEvents=events)
    token, messages = None, []
    while True:
        params = {"nextToken": token} if token else {"startFromHead": True}
        page = logs.get_log_events(logGroupName="/some", logStreamName="a", limit=2, **params)
        messages += [event["message"] for event in page["events"]]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert messages == [f"a {number}" for number in range(5)]
    assert len(logs.get_log_events(logGroupName="/some", logStreamName="a", limit=2)["events"]) == 2
    pages = logs.get_paginator("filter_log_events").paginate(
        logGroupName="/some", filterPattern='"3"', PaginationConfig={"PageSize": 1}
    )
    assert [event["message"] for page in pages for event in page["events"]] == ["a 3", "b 3"]
    late = logs.filter_log_events(logGroupName="/some", logStreamNamePrefix="b", startTime=1003)["events"]
    assert [event["message"] for event in late] == ["b 3", "b 4"]
    streams = logs.describe_log_streams(logGroupName="/some", orderBy="LastEventTime", descending=True)["logStreams"]
    assert {each["logStreamName"]: each["lastEventTimestamp"] for each in streams} == {"a": 1004, "b": 1004}


@pytest.mark.parametrize("tagging", ["TagResource", "TagLogGroup"])
def test_tags_at_creation(lab: RunningLab, tagging: str) -> None:
    lab.set_timings({"iam.propagation": 0})
    iam = lab.client("iam", "destination")
    iam.create_user(UserName="maker")
    key = iam.create_access_key(UserName="maker")["AccessKey"]
    maker = lab.client("logs", {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]})

    def may(*actions: str) -> None:
        statement = {"Effect": "Allow", "Action": [f"logs:{action}" for action in actions], "Resource": "*"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [statement]})
        iam.put_user_policy(UserName="maker", PolicyName="logs", PolicyDocument=document)

    may("CreateLogGroup")
    with refused("AccessDeniedException", "logs:TagResource"):
        maker.create_log_group(logGroupName=GROUP, tags={"team": "data"})
    maker.create_log_group(logGroupName=f"{GROUP}-untagged")
    may("CreateLogGroup", tagging)
    maker.create_log_group(logGroupName=GROUP, tags={"team": "data"})
