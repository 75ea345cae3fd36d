# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Vaults: keys, policies, locks."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import vaults
from lab.errors import AwsError
from tests.unit.lab.backup.conftest import DESTINATION, SOURCE, allow, policy, root

OWN_KEY_USE = ("kms:CreateGrant", "kms:GenerateDataKey", "kms:Decrypt", "kms:RetireGrant", "kms:DescribeKey")


def test_vault_name_taken(company: Any) -> None:
    made = company.source.backup("CreateBackupVault", BackupVaultName="second", CreatorRequestId="one")
    again = company.source.backup("CreateBackupVault", BackupVaultName="second", CreatorRequestId="one")
    assert again == made
    for request in ({"CreatorRequestId": "two"}, {}):
        company.source.denied(
            vaults.NAME_TAKEN, "AlreadyExistsException", "second", "CreateBackupVault", BackupVaultName="second",
            **request,
        )  # fmt: skip


@pytest.mark.parametrize("lacking", ["backup-storage:MountCapsule", *OWN_KEY_USE])
def test_vault_creation_permissions(company: Any, lacking: str) -> None:
    needed = {"backup:CreateBackupVault", "backup-storage:MountCapsule", *OWN_KEY_USE}
    request = {"BackupVaultName": "second", "EncryptionKeyArn": company.source_key}

    def user(actions: set[str]) -> Any:
        return company.source.as_user({"Effect": "Allow", "Action": sorted(actions), "Resource": "*"})

    refusal = user(needed - {lacking}).denied(
        vaults.CREATION_PERMISSIONS, "AccessDeniedException", "Insufficient privileges", "CreateBackupVault", **request
    )
    assert lacking not in refusal
    assert user(needed).backup("CreateBackupVault", **request)["BackupVaultArn"].endswith(":second")


def test_vault_managed_key(company: Any) -> None:
    company.source.vault("second")
    shown = company.source.backup("DescribeBackupVault", BackupVaultName="second")
    key = company.source("DescribeKey", service="kms", KeyId=shown["EncryptionKeyArn"])["KeyMetadata"]
    assert key["KeyManager"] == "AWS"
    assert shown["VaultType"] == "BACKUP_VAULT"
    assert shown["NumberOfRecoveryPoints"] == 0
    assert shown["Locked"] is False


@pytest.mark.parametrize("operation", ["DescribeBackupVault", "GetBackupVaultAccessPolicy"])
def test_missing_vault_is_denied(company: Any, operation: str) -> None:
    company.source.denied(
        vaults.MISSING_IS_DENIED, "AccessDeniedException", "Insufficient", operation, BackupVaultName="none"
    )


def test_missing_vault(company: Any) -> None:
    for operation in ("DeleteBackupVault", "DeleteBackupVaultAccessPolicy"):
        company.source.denied(vaults.MISSING, "ResourceNotFoundException", "none", operation, BackupVaultName="none")


def test_vault_without_policy(company: Any) -> None:
    company.source.denied(
        vaults.NO_POLICY, "ResourceNotFoundException", "no access policy", "GetBackupVaultAccessPolicy",
        BackupVaultName="ferry",
    )  # fmt: skip


def test_vault_deleted_when_empty(company: Any) -> None:
    point = company.point()
    company.source.denied(
        vaults.EMPTY_ONLY, "InvalidRequestException", "recovery points", "DeleteBackupVault", BackupVaultName="ferry"
    )
    company.source.backup("DeleteRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=point)
    company.source.wait(60)
    company.source.backup("DeleteBackupVault", BackupVaultName="ferry")
    assert company.source.backup("ListBackupVaults")["BackupVaultList"] == []


def test_vault_policy_replaced(company: Any) -> None:
    second = allow(root(DESTINATION), "backup:CopyIntoBackupVault")
    company.let_in(company.destination, "ferry", second)
    shown = company.destination.backup("GetBackupVaultAccessPolicy", BackupVaultName="ferry")
    assert shown["Policy"] == policy(second)
    company.destination.backup("DeleteBackupVaultAccessPolicy", BackupVaultName="ferry")
    with pytest.raises(AwsError, match="ResourceNotFoundException"):
        company.destination.backup("GetBackupVaultAccessPolicy", BackupVaultName="ferry")


@pytest.mark.parametrize(
    ("statement", "text"),
    [
        (allow(root(SOURCE), "backup:Copy*"), "Wildcards are not supported"),
        (allow({"AWS": f"arn:aws:iam::{SOURCE}:role/none"}, "backup:CopyIntoBackupVault"), "principal is not valid"),
    ],
)
def test_vault_policy_sound(company: Any, statement: dict[str, Any], text: str) -> None:
    company.destination.denied(
        vaults.POLICY_SOUND, "InvalidParameterValueException", text, "PutBackupVaultAccessPolicy",
        BackupVaultName="ferry", Policy=policy(statement),
    )  # fmt: skip


@pytest.mark.parametrize("principal", [root(SOURCE), "*", {"AWS": ["*"]}, {"AWS": SOURCE}])
def test_vault_policy_opens_copies_only(company: Any, principal: Any) -> None:
    for actions in (["backup:StartRestoreJob"], ["backup:CopyIntoBackupVault", "backup:DescribeRecoveryPoint"]):
        company.destination.denied(
            vaults.POLICY_COPIES_ONLY, "InvalidParameterValueException", "cross-account sharing restrictions",
            "PutBackupVaultAccessPolicy", BackupVaultName="ferry", Policy=policy(allow(principal, *actions)),
        )  # fmt: skip
        company.let_in(company.destination, "ferry", allow(principal, *actions, effect="Deny"))
        company.let_in(company.destination, "ferry", allow(root(DESTINATION), *actions))
    company.let_in(company.destination, "ferry", allow(principal, "backup:CopyIntoBackupVault"))


def test_vault_policy_binds(company: Any) -> None:
    point = company.point()
    company.let_in(company.source, "ferry", allow("*", "backup:DeleteRecoveryPoint", effect="Deny"))
    with pytest.raises(AwsError, match="explicit deny in a resource-based policy"):
        company.source.backup("DeleteRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=point)


def test_vault_lock(company: Any) -> None:
    source = company.source
    source.denied(
        vaults.LOCKED, "InvalidParameterValueException", "3 or greater", "PutBackupVaultLockConfiguration",
        BackupVaultName="ferry", ChangeableForDays=2,
    )  # fmt: skip
    lock = {"BackupVaultName": "ferry", "MinRetentionDays": 5, "MaxRetentionDays": 10}
    source.backup("PutBackupVaultLockConfiguration", **lock)
    shown = source.backup("DescribeBackupVault", BackupVaultName="ferry")
    assert (shown["Locked"], shown["MinRetentionDays"], shown["MaxRetentionDays"]) == (True, 5, 10)
    source.backup("DeleteBackupVaultLockConfiguration", BackupVaultName="ferry")
    source.backup("PutBackupVaultLockConfiguration", **lock, ChangeableForDays=3)
    source.wait(3 * 86400)
    for operation in ("PutBackupVaultLockConfiguration", "DeleteBackupVaultLockConfiguration"):
        source.denied(vaults.LOCKED, "InvalidRequestException", "immutable", operation, BackupVaultName="ferry")


def test_vaults_listed(company: Any) -> None:
    company.source.vault("another")
    pages = []
    token: dict[str, Any] = {}
    while True:
        page = company.source.backup("ListBackupVaults", MaxResults=1, **token)
        pages.append([vault["BackupVaultName"] for vault in page["BackupVaultList"]])
        if "NextToken" not in page:
            break
        token = {"NextToken": page["NextToken"]}
    assert pages == [["another"], ["ferry"]]
    by_type = {"ByVaultType": "LOGICALLY_AIR_GAPPED_BACKUP_VAULT"}
    assert company.source.backup("ListBackupVaults", **by_type)["BackupVaultList"] == []
    assert company.source.backup("ListBackupVaults", ByShared=True)["BackupVaultList"] == []


def test_vault_quota(company: Any) -> None:
    for number in range(vaults.MOST_VAULTS - 1):
        company.source.vault(f"vault-{number}")
    request = {"BackupVaultName": "one-too-many"}
    company.source.denied(vaults.QUOTA, "LimitExceededException", "limit", "CreateBackupVault", **request)
    company.world.quotas = False
    company.source.backup("CreateBackupVault", **request)
