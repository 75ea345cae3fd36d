# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup jobs."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import backup_jobs
from tests.unit.lab.backup.conftest import DONE, REGION, SOURCE, TABLE
from tests.unit.lab.dynamodb.conftest import ON_DEMAND


def described(company: Any, started: dict[str, Any]) -> dict[str, Any]:
    job: dict[str, Any] = company.source.backup("DescribeBackupJob", BackupJobId=started["BackupJobId"])
    return job


@pytest.mark.parametrize(
    ("arn", "code"),
    [
        ("tbl", "InvalidParameterValueException"),
        (TABLE.replace(SOURCE, "222222222222"), "InvalidParameterValueException"),
        (TABLE.replace(REGION, "eu-west-2"), "InvalidParameterValueException"),
        (f"{TABLE}-none", "ResourceNotFoundException"),
    ],
)
def test_backup_of_own_table(company: Any, arn: str, code: str) -> None:
    company.source.denied(
        backup_jobs.RESOURCE, code, arn, "StartBackupJob",
        BackupVaultName="ferry", ResourceArn=arn, IamRoleArn=company.source.role_arn,
    )  # fmt: skip


def test_start_window_of_an_hour(company: Any) -> None:
    company.source.denied(
        backup_jobs.WINDOW, "InvalidParameterValueException", "60", "StartBackupJob",
        BackupVaultName="ferry", ResourceArn=TABLE, IamRoleArn=company.source.role_arn, StartWindowMinutes=59,
    )  # fmt: skip
    job = described(company, company.source.start_backup())
    assert job["StartBy"] - job["CreationDate"] == 8 * 3600


def test_recovery_point_tags(company: Any) -> None:
    source = company.source
    source("TagResource", ResourceArn=TABLE, Tags=[{"Key": f"t{number}", "Value": ""} for number in range(41)])
    source.wait(5)
    added = {f"r{number}": "x" for number in range(11)}
    source.denied(
        backup_jobs.TAGS, "InvalidParameterValueException", "10 tags", "StartBackupJob",
        BackupVaultName="ferry", ResourceArn=TABLE, IamRoleArn=source.role_arn, RecoveryPointTags=added,
    )  # fmt: skip
    del added["r10"]
    job = source.backed_up(RecoveryPointTags=added)
    assert (job["State"], "more than 50" in job["StatusMessage"]) == ("FAILED", True)
    point = company.point(RecoveryPointTags={"r0": "x"})
    tags = source.backup("ListTags", ResourceArn=point)["Tags"]
    assert (len(tags), tags["t0"], tags["r0"]) == (42, "", "x")


def test_backup_opts_in(company: Any) -> None:
    company.source.backup("UpdateRegionSettings", ResourceTypeOptInPreference={"DynamoDB": False})
    company.source.start_backup()
    assert company.source.backup("DescribeRegionSettings")["ResourceTypeOptInPreference"]["DynamoDB"] is True


def test_advanced_features_decide(company: Any) -> None:
    started = company.source.start_backup()
    assert started["RecoveryPointArn"].startswith(f"arn:aws:backup:{REGION}:{SOURCE}:recovery-point:")
    company.source.wait(DONE)
    company.source.opt_in(advanced=False)
    started = company.source.start_backup()
    assert "RecoveryPointArn" not in started
    company.source.wait(DONE)
    plain = described(company, started)["RecoveryPointArn"]
    assert plain.startswith(f"{TABLE}/backup/")
    # An old point is not converted when the features come back.
    company.source.opt_in()
    shown = company.source.backup("DescribeRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=plain)
    assert shown["RecoveryPointArn"] == plain
    assert company.source.restored(plain, "again")["Status"] == "COMPLETED"
    assert company.source.items("again") == ["a", "b", "c"]


def test_backup_is_a_moment(company: Any) -> None:
    started = company.source.start_backup()
    company.source.wait(100)
    company.source("PutItem", TableName="tbl", Item={"pk": {"S": "late"}})
    company.source("DeleteItem", TableName="tbl", Key={"pk": {"S": "a"}})
    company.source.wait(DONE)
    company.source.restored(started["RecoveryPointArn"], "again")
    assert company.source.items("again") == ["a", "b", "c"]
    stored = company.source("GetItem", TableName="again", Key={"pk": {"S": "b"}})["Item"]
    assert stored == company.source("GetItem", TableName="tbl", Key={"pk": {"S": "b"}})["Item"]


def test_backup_expires_unstarted(company: Any) -> None:
    company.world.timings.set("backup.running", 7200)
    company.source.start_backup()
    company.source.wait(10)
    second = company.source.start_backup(StartWindowMinutes=60)
    company.source.wait(3500)
    assert described(company, second)["State"] == "CREATED"
    company.source.wait(200)
    job = described(company, second)
    assert job["State"] == "EXPIRED"
    assert job["StatusMessage"] == "Backup job failed because there was a running job for the same resource."
    company.source.wait(7200)
    assert described(company, second)["State"] == "EXPIRED"


def test_backup_of_creating_table(company: Any) -> None:
    company.world.timings.set("table.creating", 100)
    company.source(
        "CreateTable", TableName="new", BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )  # fmt: skip
    arn = TABLE.replace("tbl", "new")
    assert company.source.backed_up(ResourceArn=arn)["State"] == "FAILED"
    assert company.source.backed_up(ResourceArn=arn)["State"] == "COMPLETED"
    started = company.source.start_backup(ResourceArn=arn)
    company.source("DeleteTable", TableName="new")
    company.source.wait(DONE)
    assert described(company, started)["State"] == "FAILED"


def test_three_hundred_backups(company: Any) -> None:
    arns = []
    for number in range(backup_jobs.MOST_BACKUPS + 1):
        company.source("CreateTable", TableName=f"table-{number}", **ON_DEMAND)
        arns.append(TABLE.replace("tbl", f"table-{number}"))
    company.source.wait(30)
    jobs = [company.source.start_backup(ResourceArn=arn) for arn in arns]
    company.source.wait(60)
    states = [described(company, job)["State"] for job in jobs]
    assert (states[:-1], states[-1]) == (["RUNNING"] * backup_jobs.MOST_BACKUPS, "FAILED")
    assert described(company, jobs[-1])["StatusMessage"].startswith("Subscriber limit exceeded: ")
    company.source.wait(DONE)
    assert company.source.backed_up(ResourceArn=arns[-1])["State"] == "COMPLETED"


def test_backup_outside_vault_lock(company: Any) -> None:
    company.source.backup(
        "PutBackupVaultLockConfiguration", BackupVaultName="ferry", MinRetentionDays=5, MaxRetentionDays=10
    )
    text = "Backup job failed because the lifecycle is outside the valid range for backup vault."
    for days in (4, 11):
        assert company.source.backed_up(Lifecycle={"DeleteAfterDays": days})["StatusMessage"] == text
    assert company.source.backed_up()["StatusMessage"] == text  # for ever is longer than the longest
    assert company.source.backed_up(Lifecycle={"DeleteAfterDays": 5})["State"] == "COMPLETED"


def test_stop_backup_job(company: Any) -> None:
    started = company.source.start_backup()
    company.source.wait(60)
    stop = {"BackupJobId": started["BackupJobId"]}
    company.source.denied(backup_jobs.STOP, "InvalidRequestException", "not supported", "StopBackupJob", **stop)
    company.behaviours.choose("backup.stop", "aborts")
    company.source.backup("StopBackupJob", **stop)
    assert described(company, started)["State"] == "ABORTING"
    company.source.wait(DONE)
    assert described(company, started)["State"] == "ABORTED"
    points = company.source.backup("ListRecoveryPointsByBackupVault", BackupVaultName="ferry")["RecoveryPoints"]
    assert points == []
    assert company.source("DeleteTable", TableName="tbl")["TableDescription"]["TableStatus"] == "DELETING"


def test_completion_window(company: Any) -> None:
    company.world.timings.set("backup.running", 7200)
    started = company.source.start_backup(CompleteWindowMinutes=60)
    company.source.wait(3000)
    assert described(company, started)["State"] == "RUNNING"
    company.source.wait(1000)
    assert described(company, started)["State"] == "EXPIRED"
    points = company.source.backup("ListRecoveryPointsByBackupVault", BackupVaultName="ferry")["RecoveryPoints"]
    assert points == []
    company.world.timings.set("backup.running", 60)
    assert company.source.backed_up(CompleteWindowMinutes=60)["State"] == "COMPLETED"


@pytest.mark.parametrize(("choice", "maximum"), [("current", None), ("stale", {"MaxReadRequestUnits": 70})])
def test_recorded_capacity(company: Any, choice: str, maximum: Any) -> None:
    company.behaviours.choose("backup.recorded_capacity", choice)
    arn = TABLE.replace("tbl", "free")
    company.source.table("free", OnDemandThroughput={"MaxReadRequestUnits": 70})
    company.source("UpdateTable", TableName="free", OnDemandThroughput={"MaxReadRequestUnits": -1})
    units = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    paid = TABLE.replace("tbl", "paid")
    company.source.table("paid", BillingMode="PROVISIONED", ProvisionedThroughput=units)
    company.source("UpdateTable", TableName="paid", ProvisionedThroughput={**units, "ReadCapacityUnits": 9})
    company.source.wait(60)
    company.source.restored(company.point(ResourceArn=arn), "free-again")
    assert company.source.describe("free-again").get("OnDemandThroughput") == maximum
    company.source.restored(company.point(ResourceArn=paid), "paid-again")
    read = company.source.describe("paid-again")["ProvisionedThroughput"]["ReadCapacityUnits"]
    assert read == (5 if choice == "stale" else 9)


def test_backup_progress(company: Any) -> None:
    started = company.source.start_backup()
    first = described(company, started)
    assert (first["State"], first["PercentDone"]) == ("CREATED", "0.0")
    company.source.wait(20 + 90)
    half = described(company, started)
    assert half["State"] == "RUNNING"
    assert 49 <= float(half["PercentDone"]) <= 51
    assert "BackupSizeInBytes" not in half
    company.source.wait(DONE)
    done = described(company, started)
    assert (done["State"], done["PercentDone"]) == ("COMPLETED", "100.0")
    assert done["BackupSizeInBytes"] == done["BytesTransferred"] > half["BytesTransferred"] > 0
    assert done["MessageCategory"] == "SUCCESS"


@pytest.mark.parametrize("state", ["FAILED", "ABORTED", "EXPIRED"])
def test_planned_failures(company: Any, state: str) -> None:
    company.world.faults.add(
        operation="backup.StartBackupJob", kind="job_failure", message="As planned", values={"state": state}
    )
    job = company.source.backed_up()
    assert (job["State"], job["StatusMessage"]) == (state, "As planned")
    points = company.source.backup("ListRecoveryPointsByBackupVault", BackupVaultName="ferry")["RecoveryPoints"]
    assert points == []
    assert company.source.backed_up()["State"] == "COMPLETED"


@pytest.mark.parametrize("state", ["PARTIAL", "COMPLETED"])
def test_planned_issues(company: Any, state: str) -> None:
    company.world.faults.add(
        operation="backup.StartBackupJob", kind="job_failure", message="Completed with issues", values={"state": state}
    )
    job = company.source.backed_up()
    assert (job["State"], job["StatusMessage"]) == (state, "Completed with issues")
    shown = company.source.backup(
        "DescribeRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=job["RecoveryPointArn"]
    )
    assert shown["Status"] == state
