# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Streams of tables."""

from __future__ import annotations

import pytest

from lab.dynamodb import streams as rules

ON = {"StreamSpecification": {"StreamEnabled": True, "StreamViewType": "NEW_IMAGE"}}
OFF = {"StreamSpecification": {"StreamEnabled": False}}
INVALID = "ValidationException"


@pytest.fixture
def update(desk):
    def update(**params):
        return desk("UpdateTable", TableName="tbl", **params)["TableDescription"]

    return update


@pytest.fixture
def refuse(desk):
    def refuse(rule, text, **params):
        desk.refused(rule, INVALID, text, "UpdateTable", TableName="tbl", **params)

    return refuse


def test_stream_specification(desk, refuse, update):
    desk.table()
    text = "If stream is being enabled then UpdateViewType is required"
    refuse(rules.SPECIFICATION, text, StreamSpecification={"StreamEnabled": True})
    wrong = {"StreamEnabled": False, "StreamViewType": "NEW_IMAGE"}
    refuse(rules.SPECIFICATION, "UpdateViewType must not be specified", StreamSpecification=wrong)


def test_stream_already_on(desk, refuse, update):
    desk.table()
    refuse(rules.ALREADY_ON, "Table has no stream to disable: TableName: tbl", **OFF)
    update(**ON)
    desk.wait(5)
    text = "Table already has an enabled stream: TableName: tbl"
    refuse(rules.ALREADY_ON, text, **ON)
    refuse(rules.ALREADY_ON, text, StreamSpecification={"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"})


def test_stream_new_arn(desk, update):
    first = desk.table(**ON)
    assert first["StreamSpecification"] == ON["StreamSpecification"]
    answer = update(**OFF)
    assert (answer["TableStatus"], "StreamSpecification" in answer) == ("UPDATING", False)
    desk.wait(6)
    assert desk.describe()["LatestStreamArn"] == first["LatestStreamArn"]
    answer = update(**ON)
    assert answer["LatestStreamArn"] != first["LatestStreamArn"]
    assert answer["LatestStreamArn"].endswith(answer["LatestStreamLabel"])
    desk.wait(5)
    assert desk.status() == "ACTIVE"


def test_stream_outlives_table(desk, other_desk, update):
    arn = desk.table(**ON)["LatestStreamArn"]
    described = desk("DescribeStream", "dynamodbstreams", StreamArn=arn)["StreamDescription"]
    assert (described["StreamStatus"], described["StreamViewType"]) == ("ENABLED", "NEW_IMAGE")
    desk("DeleteTable", TableName="tbl")
    assert desk("DescribeStream", "dynamodbstreams", StreamArn=arn)["StreamDescription"]["StreamStatus"] == "DISABLING"
    desk.wait(6)
    again = desk.table(**ON)["LatestStreamArn"]
    listed = desk("ListStreams", "dynamodbstreams", TableName="tbl")["Streams"]
    assert [each["StreamArn"] for each in listed] == [arn, again]
    assert desk("ListStreams", "dynamodbstreams", Limit=1)["LastEvaluatedStreamArn"] == arn
    assert other_desk("ListStreams", "dynamodbstreams")["Streams"] == []
    ghost = arn + "0"
    with pytest.raises(Exception, match="not found") as caught:
        desk("DescribeStream", "dynamodbstreams", StreamArn=ghost)
    assert caught.value.rule == rules.OUTLIVES.name
