# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What all kinds of jobs have in common."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import jobs
from tests.unit.lab.backup.conftest import DESTINATION, DONE, REGION, SOURCE, TABLE


def test_job_token(company: Any) -> None:
    first = company.source.start_backup(IdempotencyToken="one")
    assert company.source.start_backup(IdempotencyToken="one") == first
    other = company.source.start_backup(IdempotencyToken="one", RecoveryPointTags={"a": "b"})
    assert other == first
    company.source.wait(DONE)
    assert company.source.start_backup(IdempotencyToken="one") == first
    point = first["RecoveryPointArn"]
    copies = [
        company.source.start_copy(point, company.destination.vault_arn, IdempotencyToken="one")["CopyJobId"]
        for _ in range(2)
    ]
    company.source.wait(DONE)
    copy = company.source.backup("DescribeCopyJob", CopyJobId=copies[0])["CopyJob"]["DestinationRecoveryPointArn"]
    restores = [company.destination.start_restore(copy, IdempotencyToken="one")["RestoreJobId"] for _ in range(2)]
    assert len({*copies}) == len({*restores}) == 1
    requests = company.world.request_log
    assert [len(requests.jobs(kind)) for kind in ("backup", "copy", "restore")] == [1, 1, 1]
    assert company.source.start_backup(IdempotencyToken="two") != first
    assert requests.jobs("backup", account=SOURCE, resource=TABLE)[0].id == first["BackupJobId"]
    assert requests.jobs("copy")[0].resource == point
    assert requests.jobs("restore", account=DESTINATION)[0].region == REGION


@pytest.mark.parametrize("token", ["x" * 51, "a b", "a/b"])
def test_job_token_form(company: Any, token: str) -> None:
    company.source.denied(
        jobs.TOKEN_FORM, "InvalidParameterValueException", "1 to 50", "StartBackupJob",
        BackupVaultName="ferry", ResourceArn=TABLE, IamRoleArn=company.source.role_arn, IdempotencyToken=token,
    )  # fmt: skip
    assert company.source.start_backup(IdempotencyToken="a" * 50)["BackupJobId"]


def test_failed_job_keeps_its_token(company: Any) -> None:
    company.world.faults.add(operation="backup.StartBackupJob", kind="job_failure")
    failed = company.source.backed_up(IdempotencyToken="one")
    assert failed["State"] == "FAILED"
    assert company.source.start_backup(IdempotencyToken="one")["BackupJobId"] == failed["BackupJobId"]


def test_one_job_per_resource(company: Any) -> None:
    point = company.point()
    backups = [company.source.start_backup()["BackupJobId"] for _ in range(2)]
    copy = company.source.start_copy(point, company.destination.vault_arn)["CopyJobId"]

    def states() -> list[str]:
        shown = [company.source.backup("DescribeBackupJob", BackupJobId=each)["State"] for each in backups]
        return [*shown, company.source.backup("DescribeCopyJob", CopyJobId=copy)["CopyJob"]["State"]]

    company.source.wait(30)
    assert states() == ["RUNNING", "CREATED", "CREATED"]
    company.source.wait(190)
    assert states() == ["COMPLETED", "RUNNING", "CREATED"]
    company.source.wait(180)
    assert states() == ["COMPLETED", "COMPLETED", "RUNNING"]
    company.source.wait(180)
    assert states() == ["COMPLETED"] * 3


def test_other_resources_do_not_wait(company: Any) -> None:
    company.source.table("other")
    started = [company.source.start_backup(), company.source.start_backup(ResourceArn=TABLE.replace("tbl", "other"))]
    company.source.wait(30)
    for each in started:
        assert company.source.backup("DescribeBackupJob", BackupJobId=each["BackupJobId"])["State"] == "RUNNING"


def listed(company: Any, **filters: Any) -> list[str]:
    answer = company.source.backup("ListBackupJobs", **filters)
    return [job["BackupJobId"] for job in answer["BackupJobs"]]


def test_jobs_listed(company: Any) -> None:
    company.source.table("other")
    first = company.source.backed_up()
    company.world.faults.add(operation="backup.StartBackupJob", kind="job_failure")
    second = company.source.backed_up(ResourceArn=TABLE.replace("tbl", "other"))
    one, two = first["BackupJobId"], second["BackupJobId"]
    assert listed(company) == [two, one]
    for filters, expected in (
        ({"ByState": "COMPLETED"}, [one]),
        ({"ByState": "FAILED"}, [two]),
        ({"ByResourceArn": TABLE}, [one]),
        ({"ByBackupVaultName": "none"}, []),
        ({"ByResourceType": "DynamoDB"}, [two, one]),
        ({"ByResourceType": "EBS"}, []),
        ({"ByAccountId": DESTINATION}, []),
        ({"ByAccountId": "*"}, [two, one]),
        ({"ByCreatedAfter": first["CreationDate"]}, [two]),
        ({"ByCreatedBefore": second["CreationDate"]}, [one]),
        ({"ByCompleteBefore": second["CompletionDate"]}, [one]),
        ({"ByCompleteAfter": first["CompletionDate"]}, [two]),
        ({"ByMessageCategory": "SUCCESS"}, [one]),
    ):
        assert listed(company, **filters) == expected, filters
    page = company.source.backup("ListBackupJobs", MaxResults=1)
    assert [job["BackupJobId"] for job in page["BackupJobs"]] == [two]
    page = company.source.backup("ListBackupJobs", MaxResults=1, NextToken=page["NextToken"])
    assert ([job["BackupJobId"] for job in page["BackupJobs"]], "NextToken" in page) == ([one], False)
    company.source.wait(30 * 86400)
    assert listed(company) == []
    assert company.source.backup("DescribeBackupJob", BackupJobId=one)["State"] == "COMPLETED"


def test_other_jobs_listed_30_days(company: Any) -> None:
    copy = company.copy()
    company.destination.restored(copy)
    copies = company.source.backup("ListCopyJobs", ByDestinationVaultArn=company.destination.vault_arn)["CopyJobs"]
    assert [job["DestinationRecoveryPointArn"] for job in copies] == [copy]
    point = copies[0]["SourceRecoveryPointArn"]
    assert len(company.source.backup("ListCopyJobs", BySourceRecoveryPointArn=point)["CopyJobs"]) == 1
    assert company.source.backup("ListCopyJobs", BySourceRecoveryPointArn=copy)["CopyJobs"] == []
    restores = company.destination.backup("ListRestoreJobs", ByStatus="COMPLETED")["RestoreJobs"]
    assert [job["RecoveryPointArn"] for job in restores] == [copy]
    by_resource = company.destination.backup("ListRestoreJobsByProtectedResource", ResourceArn=TABLE)["RestoreJobs"]
    assert by_resource == restores
    company.source.wait(30 * 86400)
    assert company.source.backup("ListCopyJobs")["CopyJobs"] == []
    assert company.destination.backup("ListRestoreJobs")["RestoreJobs"] == []


def test_jobs_of_the_own_account(company: Any) -> None:
    point = company.point()
    job = company.source.copied(point, company.destination.vault_arn)
    assert company.destination.backup("ListCopyJobs")["CopyJobs"] == []
    company.destination.denied(
        jobs.OWN_JOBS, "ResourceNotFoundException", job["CopyJobId"], "DescribeCopyJob", CopyJobId=job["CopyJobId"]
    )
    backup = company.source.backup("ListBackupJobs")["BackupJobs"][0]["BackupJobId"]
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        company.destination.backup("DescribeBackupJob", BackupJobId=backup)
