# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logically air-gapped vaults, shared and restored from."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import air_gapped, recovery_points, vaults
from tests.unit.lab.backup.conftest import DONE, OUTSIDE, REGION, SOURCE, allow, policy, root

GAPPED = f"arn:aws:backup:{REGION}:{SOURCE}:backup-vault:gapped"
RETENTION = {"MinRetentionDays": 7, "MaxRetentionDays": 30}
WEEK = {"DeleteAfterDays": 7}


def create(company: Any, **params: Any) -> dict[str, Any]:
    request = {"BackupVaultName": "gapped", **RETENTION, **params}
    made: dict[str, Any] = company.source.backup("CreateLogicallyAirGappedBackupVault", **request)
    return made


def state(company: Any) -> Any:
    return company.source.backup("DescribeBackupVault", BackupVaultName="gapped")["VaultState"]


def gapped_point(company: Any, **params: Any) -> str:
    """A recovery point in a new air-gapped vault of the source."""
    create(company, **params)
    company.source.wait(120)
    job = company.source.backed_up(LogicallyAirGappedBackupVaultArn=GAPPED, Lifecycle=WEEK)
    assert job["State"] == "COMPLETED", job
    return str(job["RecoveryPointArn"])


def share(company: Any, *accounts: str) -> None:
    """Share the vault with accounts outside, who accept."""
    company.source.ram("CreateResourceShare", name="ferry", resourceArns=[GAPPED], principals=list(accounts))
    for invitation in company.outside.ram("GetResourceShareInvitations")["resourceShareInvitations"]:
        arn = invitation["resourceShareInvitationArn"]
        company.outside.ram("AcceptResourceShareInvitation", resourceShareInvitationArn=arn)


def test_air_gapped_retention(company: Any) -> None:
    for days in ({"MinRetentionDays": 6}, {"MaxRetentionDays": 6}):
        company.source.denied(
            air_gapped.RETENTION, "InvalidParameterValueException", "7", "CreateLogicallyAirGappedBackupVault",
            **{"BackupVaultName": "gapped", **RETENTION, **days},
        )  # fmt: skip
    point = gapped_point(company)
    shown = company.source.backup("DescribeBackupVault", BackupVaultName="gapped")
    assert (shown["Locked"], shown["MinRetentionDays"], shown["MaxRetentionDays"]) == (True, 7, 30)
    company.source.denied(
        recovery_points.LOCKED, "InvalidRequestException", "locked", "DeleteRecoveryPoint",
        BackupVaultName="gapped", RecoveryPointArn=point,
    )  # fmt: skip
    company.source.denied(
        vaults.LOCKED, "InvalidRequestException", "immutable", "DeleteBackupVaultLockConfiguration",
        BackupVaultName="gapped",
    )  # fmt: skip
    for lifecycle in ({"DeleteAfterDays": 6}, {"DeleteAfterDays": 31}, {}):
        job = company.source.backed_up(LogicallyAirGappedBackupVaultArn=GAPPED, Lifecycle=lifecycle)
        assert (job["State"], "valid range" in job["StatusMessage"]) == ("FAILED", True)
    company.source.wait(7 * 86400)
    company.source.backup("DeleteBackupVault", BackupVaultName="gapped")


def test_air_gapped_vault_creating(company: Any) -> None:
    assert create(company)["VaultState"] == state(company) == "CREATING"
    with pytest.raises(Exception, match="Invalid logically air-gapped backup vault"):
        company.source.start_backup(LogicallyAirGappedBackupVaultArn=GAPPED)
    company.source.wait(120)
    assert state(company) == "AVAILABLE"
    listed = company.source.backup("ListBackupVaults", ByVaultType="LOGICALLY_AIR_GAPPED_BACKUP_VAULT")
    assert [vault["BackupVaultName"] for vault in listed["BackupVaultList"]] == ["gapped"]


def test_air_gapped_vault_failed(company: Any) -> None:
    closed = policy(allow(root(SOURCE), "kms:*"), allow("*", "kms:CreateGrant", effect="Deny"))
    key = company.source("CreateKey", service="kms", Policy=closed)["KeyMetadata"]["Arn"]
    create(company, EncryptionKeyArn=key)
    company.source.wait(120)
    assert state(company) == "FAILED"


def test_air_gapped_vault_key(company: Any) -> None:
    point = gapped_point(company)
    shown = company.source.backup("DescribeBackupVault", BackupVaultName="gapped")
    assert (shown["EncryptionKeyType"], "EncryptionKeyArn" in shown) == ("AWS_OWNED_KMS_KEY", False)
    share(company, OUTSIDE)
    assert company.outside.restored(point)["Status"] == "COMPLETED"
    assert company.outside.items() == ["a", "b", "c"]


@pytest.mark.parametrize(("opened", "items"), [((OUTSIDE,), ["a", "b", "c"]), ((), [])])
def test_air_gapped_vault_under_customer_key(company: Any, opened: tuple[str, ...], items: list[str]) -> None:
    point = gapped_point(company, EncryptionKeyArn=company.source.key(*opened))
    share(company, OUTSIDE)
    assert company.outside.restored(point)["Status"] == "COMPLETED"
    assert company.outside.items() == items


def test_backup_into_air_gapped_vault(company: Any) -> None:
    point = gapped_point(company)
    in_ferry = company.source.backup("ListRecoveryPointsByBackupVault", BackupVaultName="ferry")["RecoveryPoints"]
    in_gapped = company.source.backup("ListRecoveryPointsByBackupVault", BackupVaultName="gapped")["RecoveryPoints"]
    assert ([each["RecoveryPointArn"] for each in in_gapped], in_ferry) == ([point], [])
    assert in_gapped[0]["VaultType"] == "LOGICALLY_AIR_GAPPED_BACKUP_VAULT"
    with pytest.raises(Exception, match="Invalid logically air-gapped backup vault"):
        company.source.start_backup(LogicallyAirGappedBackupVaultArn=company.destination.vault_arn)
    company.source.opt_in(advanced=False)
    job = company.source.backed_up(LogicallyAirGappedBackupVaultArn=GAPPED, Lifecycle=WEEK)
    assert (job["State"], job["BackupVaultName"]) == ("COMPLETED", "ferry")
    assert "not supported by logically air-gapped vaults" in job["StatusMessage"]
    assert job["MessageCategory"] == "LOGICALLY_AIR_GAPPED_BACKUP_VAULT_NOT_SUPPORTED"


def test_shared_vault_needs_account(company: Any) -> None:
    point = gapped_point(company)
    asked = {"BackupVaultName": "gapped", "BackupVaultAccountId": SOURCE}
    calls = (
        ("DescribeBackupVault", {}),
        ("ListRecoveryPointsByBackupVault", {}),
        ("DescribeRecoveryPoint", {"RecoveryPointArn": point}),
        ("GetRecoveryPointRestoreMetadata", {"RecoveryPointArn": point}),
    )
    for operation, params in calls:
        with pytest.raises(Exception, match="AccessDeniedException"):
            company.outside.backup(operation, **asked, **params)
    share(company, OUTSIDE)
    shared = company.outside.backup("ListBackupVaults", ByShared=True)["BackupVaultList"]
    assert [vault["BackupVaultArn"] for vault in shared] == [GAPPED]
    for operation, params in calls:
        assert company.outside.backup(operation, **asked, **params)
        company.outside.denied(
            vaults.MISSING_IS_DENIED, "AccessDeniedException", "Insufficient privileges to perform this action.",
            operation, BackupVaultName="gapped", **params,
        )  # fmt: skip
    listed = company.outside.backup("ListRecoveryPointsByBackupVault", **asked)["RecoveryPoints"]
    assert [each["RecoveryPointArn"] for each in listed] == [point]
    assert recovery_points.SHARED_BY_ACCOUNT.confirmed


def test_shared_vault_is_named_in_policies(company: Any) -> None:
    gapped_point(company)
    share(company, OUTSIDE)
    asked = {"BackupVaultName": "gapped", "BackupVaultAccountId": SOURCE}
    may = {"Effect": "Allow", "Action": "backup:DescribeBackupVault", "Resource": GAPPED}
    assert company.outside.as_user(may).backup("DescribeBackupVault", **asked)["BackupVaultArn"] == GAPPED


def test_restore_from_shared_vault(company: Any) -> None:
    point = gapped_point(company)
    with pytest.raises(Exception, match="AccessDeniedException"):
        company.outside.start_restore(point)
    company.world.accounts[OUTSIDE].organization_id = "o-another"
    share(company, OUTSIDE)
    job = company.outside.restored(point)
    assert (job["Status"], job["BackupVaultArn"]) == ("COMPLETED", GAPPED)
    assert company.outside.items() == ["a", "b", "c"]


def test_no_copy_from_shared_vault(company: Any) -> None:
    point = gapped_point(company)
    share(company, OUTSIDE)
    company.outside.vault("own")
    company.outside.denied(
        vaults.MISSING, "ResourceNotFoundException", "gapped", "StartCopyJob",
        RecoveryPointArn=point, SourceBackupVaultName="gapped", IamRoleArn=company.outside.role_arn,
        DestinationBackupVaultArn=f"arn:aws:backup:{REGION}:{OUTSIDE}:backup-vault:own",
    )  # fmt: skip
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        company.outside.backup("DeleteRecoveryPoint", BackupVaultName="gapped", RecoveryPointArn=point)
    assert air_gapped.NO_COPY_OUT.confirmed


def test_copy_into_air_gapped_vault(company: Any) -> None:
    create(company)
    company.source.wait(120)
    point = company.point(Lifecycle={"DeleteAfterDays": 3})
    job = company.source.copied(point, GAPPED)
    assert "retention" in job["StatusMessage"]
    job = company.source.copied(point, GAPPED, Lifecycle=WEEK)
    assert (job["State"], job["DestinationVaultType"]) == ("COMPLETED", "LOGICALLY_AIR_GAPPED_BACKUP_VAULT")
    company.source.wait(DONE)
