# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Kinesis streaming destinations."""

from __future__ import annotations

import pytest

from lab.dynamodb import kinesis_destination as rules
from lab.dynamodb.registry import BORN_SEPARATELY

INVALID = "ValidationException"
STREAM = "arn:aws:kinesis:eu-west-1:111111111111:stream/s"
PRECISION = "ApproximateCreationDateTimePrecision"
ON_DEMAND = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
def stream(desk):
    desk.table()
    desk("CreateStream", "kinesis", StreamName="s", ShardCount=1)
    desk.wait(20)
    return STREAM


def enable(desk, arn=STREAM, **more):
    return desk("EnableKinesisStreamingDestination", TableName="tbl", StreamArn=arn, **more)


def disable(desk, arn=STREAM):
    return desk("DisableKinesisStreamingDestination", TableName="tbl", StreamArn=arn)


def entries(desk):
    return desk("DescribeKinesisStreamingDestination", TableName="tbl")["KinesisDataStreamDestinations"]


def test_kinesis_wrong_state(desk, stream):
    text = "KinesisStreamingDestination must be ACTIVE to perform DISABLE operation."
    name = "DisableKinesisStreamingDestination"
    desk.refused(rules.STATE, INVALID, text, name, TableName="tbl", StreamArn=stream)
    assert enable(desk, stream)["DestinationStatus"] == "ENABLING"
    desk.refused(rules.STATE, INVALID, text, name, TableName="tbl", StreamArn=stream)
    text = "must be DISABLED or ENABLE_FAILED to perform ENABLE operation."
    name = "EnableKinesisStreamingDestination"
    desk.refused(rules.STATE, INVALID, text, name, TableName="tbl", StreamArn=stream)
    change = {"TableName": "tbl", "UpdateKinesisStreamingConfiguration": {PRECISION: "MICROSECOND"}}
    name = "UpdateKinesisStreamingDestination"
    desk.refused(rules.STATE, INVALID, "is not in ACTIVE state", name, **change, StreamArn=stream)
    ghost = stream + "-ghost"
    desk.refused(rules.STATE, INVALID, f"with streamArn: {ghost}", name, **change, StreamArn=ghost)
    desk.wait(5)
    assert entries(desk) == [{"StreamArn": stream, "DestinationStatus": "ACTIVE"}]
    assert disable(desk)["DestinationStatus"] == "DISABLING"
    assert disable(desk)["DestinationStatus"] == "DISABLING"
    desk.wait(3)
    assert entries(desk)[0]["DestinationStatus"] == "DISABLED"
    enable(desk, stream)
    assert len(entries(desk)) == 1


def test_kinesis_one_destination(desk, stream):
    enable(desk, stream)
    desk.wait(5)
    other = {"TableName": "tbl", "StreamArn": stream + "2"}
    text = "must be DISABLED or ENABLE_FAILED"
    desk.refused(rules.ONE, INVALID, text, "EnableKinesisStreamingDestination", **other)


@pytest.mark.parametrize(
    ("arn", "seconds", "description"),
    [
        (STREAM + "-missing", 3, "User does not have a permission to use kinesis stream"),
        (STREAM.replace("eu-west-1", "us-east-1"), 3, "which is not in the current region"),
        (STREAM.replace("1" * 12, "2" * 12), 63, "which is not in Active state"),
    ],
)
def test_kinesis_stream_checked_late(desk, stream, arn, seconds, description):
    assert enable(desk, arn)["DestinationStatus"] == "ENABLING"
    desk.wait(seconds)
    assert entries(desk)[0]["DestinationStatus"] == "ENABLE_FAILED"
    assert description in entries(desk)[0]["DestinationStatusDescription"]
    enable(desk, stream)  # a failed one does not stand in the way
    desk.wait(5)
    assert [each["DestinationStatus"] for each in entries(desk)] == ["ENABLE_FAILED", "ACTIVE"]


def test_kinesis_precision(desk, stream):
    answer = enable(desk, stream, EnableKinesisStreamingConfiguration={PRECISION: "MICROSECOND"})
    assert answer["EnableKinesisStreamingConfiguration"] == {PRECISION: "MICROSECOND"}
    desk.wait(5)
    change = {"TableName": "tbl", "StreamArn": stream}
    name = "UpdateKinesisStreamingDestination"
    empty = {**change, "UpdateKinesisStreamingConfiguration": {}}
    desk.refused(rules.PRECISION, INVALID, "contain only null values", name, **empty)
    same = {**change, "UpdateKinesisStreamingConfiguration": {PRECISION: "MICROSECOND"}}
    desk.refused(rules.PRECISION, INVALID, "already set to the desired value of MICROSECOND", name, **same)
    desk(name, **change, UpdateKinesisStreamingConfiguration={PRECISION: "MILLISECOND"})
    assert entries(desk)[0] == {"StreamArn": stream, "DestinationStatus": "UPDATING", PRECISION: "MILLISECOND"}
    desk.wait(150)
    assert entries(desk)[0]["DestinationStatus"] == "ACTIVE"
    disable(desk)
    assert PRECISION not in entries(desk)[0]


def test_kinesis_after_create(desk):
    desk.world.timings.set("table.creating", 8)
    desk("CreateTable", TableName="tbl", **ON_DEMAND)
    missing = ("ResourceNotFoundException", "Table: tbl not found", "EnableKinesisStreamingDestination")
    desk.refused(BORN_SEPARATELY, *missing, TableName="tbl", StreamArn=STREAM)
    desk.wait(2)
    assert desk.status() == "CREATING"
    assert enable(desk)["DestinationStatus"] == "ENABLING"
