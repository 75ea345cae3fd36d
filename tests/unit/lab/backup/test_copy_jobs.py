# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy jobs."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import copy_jobs
from lab.errors import AwsError
from tests.unit.lab.backup.conftest import DESTINATION, DONE, ORGANIZATION, SOURCE, TABLE, allow, policy, root


def failure(job: dict[str, Any]) -> str:
    """The text of a job that must have failed."""
    assert job["State"] == "FAILED", job
    return str(job["StatusMessage"])


def copy(company: Any, point: str, vault: str = "ferry", **params: Any) -> dict[str, Any]:
    job: dict[str, Any] = company.source.copied(
        point, f"arn:aws:backup:eu-west-1:{DESTINATION}:backup-vault:{vault}", **params
    )
    return job


def test_copy_of_own_recovery_point(company: Any) -> None:
    started = company.source.start_backup()
    company.source.wait(60)
    request = {
        "SourceBackupVaultName": "ferry",
        "DestinationBackupVaultArn": company.destination.vault_arn,
        "IamRoleArn": company.source.role_arn,
    }
    running = {**request, "RecoveryPointArn": started["RecoveryPointArn"]}
    company.source.denied(copy_jobs.SOURCE, "InvalidRequestException", "CREATING", "StartCopyJob", **running)
    company.source.wait(DONE)
    company.source.denied(
        copy_jobs.SOURCE, "InvalidParameterValueException", "Invalid backup vault ARN", "StartCopyJob",
        **{**running, "DestinationBackupVaultArn": "ferry"},
    )  # fmt: skip
    pulled = {**running, "IamRoleArn": company.destination.role_arn}
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        company.destination.backup("StartCopyJob", **pulled)
    assert company.source.backup("StartCopyJob", **running)["CopyJobId"]


def test_copy_needs_advanced_features(company: Any) -> None:
    company.source.opt_in(advanced=False)
    point = company.point()
    company.source.opt_in()
    assert failure(copy(company, point)) == "Feature is not supported for provided resource type"


def test_destination_advanced_features(company: Any) -> None:
    company.destination.opt_in(advanced=False)
    point = company.point()
    assert copy(company, point)["State"] == "COMPLETED"
    company.behaviours.choose("backup.destination_advanced_features", "needed")
    assert failure(copy(company, point)) == "Feature is not supported for provided resource type"


@pytest.mark.parametrize("organization", ["", "o-other"])
def test_copy_within_organization(company: Any, organization: str) -> None:
    point = company.point()
    company.world.accounts[DESTINATION].organization_id = organization
    text = failure(copy(company, point))
    assert text.startswith("Access denied: Copy job failed. Both source and destination account must be a member")
    company.world.accounts[DESTINATION].organization_id = ORGANIZATION
    assert copy(company, point)["State"] == "COMPLETED"


def test_copy_needs_cross_account_backup(company: Any) -> None:
    point = company.point()
    company.management.backup("UpdateGlobalSettings", GlobalSettings={"isCrossAccountBackupEnabled": "false"})
    company.management.wait(900)
    assert "not enabled" in failure(copy(company, point))
    company.source.vault("second", EncryptionKeyArn=company.source_key)
    within = company.source.vault_arn.replace("ferry", "second")
    assert company.source.copied(point, within)["State"] == "COMPLETED"


@pytest.mark.parametrize(
    ("statement", "passes"),
    [
        (allow(root(SOURCE), "backup:CopyIntoBackupVault"), True),
        (allow({"AWS": f"arn:aws:iam::{SOURCE}:role/AWSBackup-ferry"}, "backup:CopyIntoBackupVault"), True),
        (
            allow("*", "backup:CopyIntoBackupVault", Condition={"StringEquals": {"aws:PrincipalOrgID": ORGANIZATION}}),
            True,
        ),
        (
            allow(
                "*", "backup:CopyIntoBackupVault",
                Condition={"ForAnyValue:StringLike": {"aws:PrincipalOrgPaths": f"{ORGANIZATION}/*"}},
            ),
            True,
        ),
        (
            allow("*", "backup:CopyIntoBackupVault", Condition={"StringEquals": {"aws:PrincipalOrgID": "o-other"}}),
            False,
        ),
        (allow(root("333333333333"), "backup:CopyIntoBackupVault"), False),
    ],
)  # fmt: skip
def test_destination_vault_decides(company: Any, statement: dict[str, Any], passes: bool) -> None:
    point = company.point()
    company.let_in(company.destination, "ferry", statement)
    job = copy(company, point)
    if passes:
        assert job["State"] == "COMPLETED"
    else:
        assert failure(job) == "Access Denied trying to call AWS Backup service"


def test_destination_vault_must_exist_and_role_be_allowed(company: Any) -> None:
    point = company.point()
    assert failure(copy(company, point, "none")) == copy_jobs.DENIED
    company.source.role.attached.clear()
    company.source.role.inline["only"] = policy(
        {"Effect": "Allow", "Action": "backup:CopyFromBackupVault", "Resource": "*"}
    )
    assert failure(copy(company, point)) == copy_jobs.DENIED


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("backup:CopyTargets", f"arn:aws:backup:eu-west-1:{DESTINATION}:backup-vault:ferry"),
        ("backup:CopyTargetOrgPaths", f"{ORGANIZATION}/*"),
    ],
)
def test_source_vault_decides(company: Any, key: str, value: str) -> None:
    point = company.point()
    condition = {"ForAnyValue:StringLike": {key: value}}
    company.let_in(
        company.source, "ferry", allow("*", "backup:CopyFromBackupVault", effect="Deny", Condition=condition)
    )
    assert failure(copy(company, point)) == copy_jobs.DENIED
    condition = {"ForAnyValue:StringLike": {key: "other"}}
    company.let_in(
        company.source, "ferry", allow("*", "backup:CopyFromBackupVault", effect="Deny", Condition=condition)
    )
    assert copy(company, point)["State"] == "COMPLETED"


def test_default_vault_is_no_destination(company: Any) -> None:
    point = company.point()
    company.destination.vault("Default", EncryptionKeyArn=company.destination_key)
    company.let_in(company.destination, "Default")
    assert "default backup vault" in failure(copy(company, point, "Default"))


def test_destination_managed_key(company: Any) -> None:
    point = company.point()
    company.destination.vault("managed")
    company.let_in(company.destination, "managed")
    assert "default Backup service managed key" in failure(copy(company, point, "managed"))
    company.behaviours.choose("backup.managed_destination_key", "allowed")
    assert copy(company, point, "managed")["State"] == "COMPLETED"


def close_source_key(company: Any) -> None:
    document = policy(allow(root(SOURCE), "kms:*"))
    company.source("PutKeyPolicy", service="kms", KeyId=company.source_key, PolicyName="default", Policy=document)


def close_destination_key(company: Any) -> None:
    document = policy(allow({"AWS": company.destination.caller.arn}, "kms:*"))
    company.destination(
        "PutKeyPolicy", service="kms", KeyId=company.destination_key, PolicyName="default", Policy=document
    )


def disable_source_key(company: Any) -> None:
    company.source("DisableKey", service="kms", KeyId=company.source_key)


def test_copy_from_disabled_key(company: Any) -> None:
    company.behaviours.choose("backup.copy_without_key", "completed")
    point = company.point()
    disable_source_key(company)
    assert "KMS key is either disabled" in failure(copy(company, point))


@pytest.mark.parametrize("close", [close_source_key, close_destination_key])
def test_copy_needs_both_keys(company: Any, close: Any) -> None:
    point = company.point()
    close(company)
    assert "KMS key does not exist, is not enabled or you do not have permissions" in failure(copy(company, point))
    company.behaviours.choose("backup.copy_without_key", "completed")
    job = copy(company, point)
    assert job["State"] == "COMPLETED"
    document = policy(allow(root(DESTINATION), "kms:*"))
    company.destination(
        "PutKeyPolicy", service="kms", KeyId=company.destination_key, PolicyName="default", Policy=document
    )
    assert company.destination.restored(job["DestinationRecoveryPointArn"])["Status"] == "COMPLETED"
    assert company.destination.items() == []


def test_managed_source_key_needs_no_sharing(company: Any) -> None:
    company.source.vault("managed")
    job = company.source.backed_up(BackupVaultName="managed")
    copied = copy(company, job["RecoveryPointArn"], SourceBackupVaultName="managed")
    assert copied["State"] == "COMPLETED"


def test_copy_needs_linked_role(company: Any) -> None:
    point = company.point()
    company.forget_linked_role()
    assert "service-linked role" in failure(copy(company, point))
    company.destination("CreateServiceLinkedRole", service="iam", AWSServiceName="backup.amazonaws.com")
    assert copy(company, point)["State"] == "COMPLETED"


def test_copy_outside_vault_lock(company: Any) -> None:
    point = company.point(Lifecycle={"DeleteAfterDays": 30})
    company.destination.backup(
        "PutBackupVaultLockConfiguration", BackupVaultName="ferry", MinRetentionDays=5, MaxRetentionDays=10
    )
    text = (
        "Copy job failed. The retention specified in the job is not within the range specified for the target Backup "
        "Vault."
    )
    assert failure(copy(company, point)) == text
    assert failure(copy(company, point, Lifecycle={"DeleteAfterDays": 4})) == text
    assert copy(company, point, Lifecycle={"DeleteAfterDays": 5})["State"] == "COMPLETED"


def test_no_copy_from_cold_storage(company: Any) -> None:
    point = company.point(Lifecycle={"MoveToColdStorageAfterDays": 1, "DeleteAfterDays": 91})
    assert copy(company, point)["State"] == "COMPLETED"
    company.source.wait(86400)
    assert "cold storage" in failure(copy(company, point))


def test_copy_stands_alone(company: Any) -> None:
    point = company.point(Lifecycle={"DeleteAfterDays": 30})
    source = company.source.backup("DescribeRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=point)
    company.source.wait(3600)
    job = copy(company, point, Lifecycle={"DeleteAfterDays": -1})
    arn = job["DestinationRecoveryPointArn"]
    company.source.backup("DeleteRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=point)
    company.source("DeleteTable", TableName="tbl")
    company.source.wait(DONE)
    shown = company.destination.backup("DescribeRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=arn)
    assert shown["CreationDate"] == source["CreationDate"]
    assert shown["Lifecycle"] == {"DeleteAfterDays": 30}
    assert shown["SourceBackupVaultArn"] == company.source.vault_arn
    assert shown["BackupSizeInBytes"] == source["BackupSizeInBytes"] == job["BackupSizeInBytes"]
    by_resource = company.destination.backup("ListRecoveryPointsByResource", ResourceArn=shown["ResourceArn"])
    assert [each["RecoveryPointArn"] for each in by_resource["RecoveryPoints"]] == [arn]
    assert company.destination.restored(arn)["Status"] == "COMPLETED"
    assert company.destination.items() == ["a", "b", "c"]


@pytest.mark.parametrize(("choice", "tags"), [("kept", {"why": "moving"}), ("lost", {})])
def test_copied_tags(company: Any, choice: str, tags: dict[str, str]) -> None:
    company.behaviours.choose("backup.copied_tags", choice)
    copied = company.copy(RecoveryPointTags={"why": "moving"})
    assert company.destination.backup("ListTags", ResourceArn=copied)["Tags"] == tags


@pytest.mark.parametrize("choice", ["refused", "waits"])
def test_hundred_copies(company: Any, choice: str) -> None:
    company.behaviours.choose("backup.copy_over_quota", choice)
    points = []
    for number in range(101):
        name = f"table-{number}"
        company.source.table(name)
        points.append(company.source.start_backup(ResourceArn=TABLE.replace("tbl", name))["RecoveryPointArn"])
    company.source.wait(DONE)
    target = company.destination.vault_arn
    started = [company.source.start_copy(point, target)["CopyJobId"] for point in points[:100]]
    if choice == "refused":
        with pytest.raises(AwsError, match="LimitExceededException"):
            company.source.start_copy(points[100], target)
    else:
        started.append(company.source.start_copy(points[100], target)["CopyJobId"])
        company.source.wait(60)
        last = company.source.backup("DescribeCopyJob", CopyJobId=started[100])["CopyJob"]
        assert last["State"] == "CREATED"
    company.source.wait(2 * DONE)
    states = {company.source.backup("DescribeCopyJob", CopyJobId=each)["CopyJob"]["State"] for each in started}
    assert states == {"COMPLETED"}
    assert company.source.copied(points[100], target)["State"] == "COMPLETED"


def test_planned_failures(company: Any) -> None:
    point = company.point()
    faults = company.world.faults
    faults.add(operation="backup.StartCopyJob", kind="job_failure", message="As planned")
    assert failure(copy(company, point)) == "As planned"
    faults.add(operation="backup.StartCopyJob", kind="job_failure", values={"state": "PARTIAL"}, message="Some")
    assert copy(company, point)["State"] == "PARTIAL"
    faults.add(operation="backup.StartCopyJob", kind="job_failure", values={"state": "CREATED"})
    assert copy(company, point)["State"] == "CREATED"
    assert copy(company, point)["State"] == "COMPLETED"
