# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Continuous backups and point-in-time recovery."""

from __future__ import annotations

import pytest

from lab.dynamodb import continuous_backups as rules
from lab.dynamodb.registry import TableRegistry
from lab.errors import AwsError

INVALID = "ValidationException"
KEY = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def params(enabled=True, **more):
    return {"TableName": "tbl", "PointInTimeRecoverySpecification": {"PointInTimeRecoveryEnabled": enabled, **more}}


def recovery(answer):
    return answer["ContinuousBackupsDescription"]["PointInTimeRecoveryDescription"]


def read(desk):
    return recovery(desk("DescribeContinuousBackups", TableName="tbl"))


def test_pitr_after_active(desk):
    desk("CreateTable", TableName="tbl", **KEY)
    desk.wait(3)
    assert desk.status() == "ACTIVE"
    code, text = (
        "ContinuousBackupsUnavailableException",
        "Backups are being enabled for the table: tbl. Please retry later",
    )
    desk.refused(rules.NOT_YET, code, text, "UpdateContinuousBackups", **params())
    assert read(desk) == {"PointInTimeRecoveryStatus": "DISABLED"}
    desk.wait(2)
    assert recovery(desk("UpdateContinuousBackups", **params()))["PointInTimeRecoveryStatus"] == "ENABLED"


def test_pitr_period(desk):
    desk.table()
    assert recovery(desk("UpdateContinuousBackups", **params()))["RecoveryPeriodInDays"] == 35
    assert recovery(desk("UpdateContinuousBackups", **params(RecoveryPeriodInDays=7)))["RecoveryPeriodInDays"] == 7
    assert recovery(desk("UpdateContinuousBackups", **params()))["RecoveryPeriodInDays"] == 7
    text = "Cannot specify RecoveryPeriodInDays when disabling"
    desk.refused(rules.PERIOD, INVALID, text, "UpdateContinuousBackups", **params(False, RecoveryPeriodInDays=7))
    desk("UpdateContinuousBackups", **params(False))
    assert recovery(desk("UpdateContinuousBackups", **params()))["RecoveryPeriodInDays"] == 35


def test_pitr_idempotent(desk):
    desk.table()
    desk("UpdateContinuousBackups", **params(False))
    first = recovery(desk("UpdateContinuousBackups", **params()))["EarliestRestorableDateTime"]
    desk.wait(60)
    assert recovery(desk("UpdateContinuousBackups", **params()))["EarliestRestorableDateTime"] == first
    assert recovery(desk("UpdateContinuousBackups", **params(False))) == {"PointInTimeRecoveryStatus": "DISABLED"}
    assert recovery(desk("UpdateContinuousBackups", **params()))["EarliestRestorableDateTime"] >= first + 60


def test_pitr_latest_pinned(desk):
    desk.table()
    enabled = recovery(desk("UpdateContinuousBackups", **params()))["EarliestRestorableDateTime"]
    assert read(desk)["LatestRestorableDateTime"] == enabled
    desk.wait(290)
    assert read(desk)["LatestRestorableDateTime"] == enabled
    desk.wait(110)
    now = desk.world.clock.now()
    assert read(desk)["LatestRestorableDateTime"] == pytest.approx(now - 300, abs=5)
    assert read(desk)["EarliestRestorableDateTime"] == enabled


def test_continuous_backups_enable_themselves(desk):
    desk("CreateTable", TableName="tbl", **KEY)
    desk.wait(3)
    described = desk("DescribeContinuousBackups", TableName="tbl")["ContinuousBackupsDescription"]
    assert described["ContinuousBackupsStatus"] == "DISABLED"
    desk.wait(3)
    described = desk("DescribeContinuousBackups", TableName="tbl")["ContinuousBackupsDescription"]
    assert described["ContinuousBackupsStatus"] == "ENABLED"
    assert described["PointInTimeRecoveryDescription"] == {"PointInTimeRecoveryStatus": "DISABLED"}


def test_pitr_throttled(desk):
    desk.table()
    desk.world.throttles.enabled = True
    codes = []
    for _ in range(20):
        try:
            desk("UpdateContinuousBackups", **params())
        except AwsError as error:
            codes.append(error.code)
    assert 5 <= len(codes) <= 9
    assert set(codes) == {"ThrottlingException"}
    desk.refused(rules.THROTTLED, "ThrottlingException", "Rate exceeded", "UpdateContinuousBackups", **params())


def test_pitr_keeps_the_past(desk):
    """Turning PITR on starts the journal of the table's items."""
    desk.table()
    desk.put(pk={"S": "a"})
    desk("UpdateContinuousBackups", **params())
    store = desk.world.part(TableRegistry).find("111111111111", "eu-west-1", "tbl").store
    then = desk.world.clock.now()
    desk.wait(10)
    store.put({"pk": {"S": "b"}}, time=desk.world.clock.now())
    assert len(list(store.items_at(then))) == 1
    assert len(list(store.items_at(then + 20))) == 2


def test_pitr_reads_throttled(desk):
    desk.table()
    desk.world.throttles.enabled, desk.connection = True, 1
    for _ in range(11):
        desk("DescribeContinuousBackups", TableName="tbl")
    call = "DescribeContinuousBackups"
    desk.refused(rules.READS_THROTTLED, "ThrottlingException", "Rate exceeded", call, TableName="tbl")
    desk.connection = 2
    desk(call, TableName="tbl")
