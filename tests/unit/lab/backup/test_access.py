# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Roles, the service-linked role, and keys."""

from __future__ import annotations

from typing import Any

import pytest

from lab.backup import access
from lab.errors import AwsError
from tests.unit.lab.backup.conftest import DESTINATION, FOR_BACKUP, SOURCE, TABLE, TRUST, allow, policy, root

PASSED = {"iam:PassedToService": "backup.amazonaws.com"}
START = {"Effect": "Allow", "Action": "backup:*", "Resource": "*"}


def role(company: Any, *statements: dict[str, Any]) -> None:
    """Let the source's role have these statements instead of AWS's policies."""
    company.source.role.attached.clear()
    company.source.role.inline["only"] = policy(*statements)


def test_role_is_passed(company: Any) -> None:
    arn = company.source.role_arn
    request = {"BackupVaultName": "ferry", "ResourceArn": TABLE, "IamRoleArn": arn}
    for passing in (
        [],
        [{"Effect": "Allow", "Action": "iam:PassRole", "Resource": arn,
          "Condition": {"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}}}],
    ):  # fmt: skip
        with pytest.raises(AwsError, match="iam:PassRole"):
            company.source.as_user(START, *passing).backup("StartBackupJob", **request)
    may = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": arn, "Condition": {"StringEquals": PASSED}}
    assert company.source.as_user(START, may).backup("StartBackupJob", **request)["BackupJobId"]


def test_full_access_passes_roles_of_its_name_only(company: Any) -> None:
    user = company.source.as_user()
    identity = company.world.identity
    identity.users[SOURCE, user.caller.user_name].attached.append("arn:aws:iam::aws:policy/AWSBackupFullAccess")
    identity.add_role(SOURCE, "ferry-backup", TRUST)
    with pytest.raises(AwsError, match="iam:PassRole"):
        user.start_backup(IamRoleArn=f"arn:aws:iam::{SOURCE}:role/ferry-backup")
    assert user.start_backup()["BackupJobId"]


def test_role_trusts_backup(company: Any) -> None:
    text = "cannot be assumed by AWS Backup"
    company.world.identity.add_role(SOURCE, "AWSBackup-other", TRUST.replace("backup.", "glue."))
    for arn in (
        f"arn:aws:iam::{SOURCE}:role/AWSBackup-other",
        f"arn:aws:iam::{SOURCE}:role/AWSBackup-none",
        company.destination.role_arn,
    ):
        company.source.denied(
            access.TRUSTED, "InvalidParameterValueException", text, "StartBackupJob",
            BackupVaultName="ferry", ResourceArn=TABLE, IamRoleArn=arn,
        )  # fmt: skip
    started = company.source.start_backup()
    company.source.role.trust = TRUST.replace("backup.", "glue.")
    company.source.wait(60)
    job = company.source.backup("DescribeBackupJob", BackupJobId=started["BackupJobId"])
    assert (job["State"], text in job["StatusMessage"]) == ("FAILED", True)


def test_new_role_is_unknown(company: Any) -> None:
    company.world.identity.add_role(SOURCE, "AWSBackup-new", TRUST, attached=(FOR_BACKUP,))
    arn = f"arn:aws:iam::{SOURCE}:role/AWSBackup-new"
    company.source.denied(
        access.YOUNG, "InvalidParameterValueException", "cannot be assumed", "StartBackupJob",
        BackupVaultName="ferry", ResourceArn=TABLE, IamRoleArn=arn,
    )  # fmt: skip
    document = policy(allow({"AWS": arn}, "backup:CopyIntoBackupVault"))
    company.destination.denied(
        access.YOUNG, "InvalidParameterValueException", "Provided principal is not valid", "PutBackupVaultAccessPolicy",
        BackupVaultName="ferry", Policy=document,
    )  # fmt: skip
    company.source.wait(10)
    company.destination.backup("PutBackupVaultAccessPolicy", BackupVaultName="ferry", Policy=document)
    job = company.source.backed_up(IamRoleArn=arn)
    assert company.source.copied(job["RecoveryPointArn"], company.destination.vault_arn, IamRoleArn=arn)["CopyJobId"]


def test_disabled_key_fails_jobs(company: Any) -> None:
    copy = company.copy()
    company.source("DisableKey", service="kms", KeyId=company.source_key)
    job = company.source.backed_up()
    assert (job["State"], "either disabled" in job["StatusMessage"]) == ("FAILED", True)
    company.destination("DisableKey", service="kms", KeyId=company.destination_key)
    restored = company.destination.restored(copy)
    assert (restored["Status"], "either disabled" in restored["StatusMessage"]) == ("FAILED", True)


def test_role_lacks_action(company: Any) -> None:
    actions = {
        "dynamodb:DescribeTable",
        "dynamodb:ListTagsOfResource",
        "dynamodb:StartAwsBackupJob",
        "backup:TagResource",
    }
    keys = {"Effect": "Allow", "Action": ["kms:DescribeKey", "kms:CreateGrant"], "Resource": "*"}
    for lacking in sorted(actions):
        role(company, {"Effect": "Allow", "Action": sorted(actions - {lacking}), "Resource": "*"}, keys)
        job = company.source.backed_up()
        assert job["State"] == "FAILED"
        session = f"assumed-role/AWSBackup-ferry/AWSBackup-AWSBackup-ferry is not authorized to perform: {lacking}"
        assert session in job["StatusMessage"]
    role(company, {"Effect": "Allow", "Action": sorted(actions), "Resource": "*"}, keys)
    assert company.source.backed_up()["State"] == "COMPLETED"


def close_vault_key(company: Any) -> None:
    """Let the key of the source's vault know its administrator only, not the role."""
    document = policy(allow({"AWS": company.source.caller.arn}, "kms:*"), allow(root(DESTINATION), "kms:*"))
    company.source("PutKeyPolicy", service="kms", KeyId=company.source_key, PolicyName="default", Policy=document)


def close_vault_key_half(company: Any) -> None:
    """Let the role make grants on the key of the source's vault, but not use it."""
    document = policy(
        allow({"AWS": company.source.caller.arn}, "kms:*"),
        allow({"AWS": company.source.role_arn}, "kms:DescribeKey", "kms:CreateGrant"),
        allow(root(DESTINATION), "kms:*"),
    )
    company.source("PutKeyPolicy", service="kms", KeyId=company.source_key, PolicyName="default", Policy=document)


def close_table_key(company: Any) -> None:
    """Let the role use the vault's key, and put the table under a key that it may not use."""
    key = company.source.key()
    company.source(
        "UpdateTable", TableName="tbl", SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
    )
    company.source.wait(60)
    actions = ["dynamodb:*", "backup:*", "kms:DescribeKey", "kms:CreateGrant"]
    role(company, {"Effect": "Allow", "Action": actions, "Resource": "*"})


@pytest.mark.parametrize("close", [close_vault_key, close_vault_key_half, close_table_key])
@pytest.mark.parametrize("choice", ["completed", "failed"])
def test_role_without_key(company: Any, close: Any, choice: str) -> None:
    company.behaviours.choose("backup.role_without_key", choice)
    close(company)
    job = company.source.backed_up()
    assert job["State"] == choice.upper()
    if choice == "completed":
        copied = company.source.copied(job["RecoveryPointArn"], company.destination.vault_arn)
        company.destination.restored(copied["DestinationRecoveryPointArn"])
        assert company.destination.items() == []


@pytest.mark.parametrize("choice", ["completed", "failed"])
def test_restore_role_without_key(company: Any, choice: str) -> None:
    copy = company.copy()
    company.behaviours.choose("backup.role_without_key", choice)
    document = policy(allow({"AWS": company.destination.caller.arn}, "kms:*"))
    company.destination(
        "PutKeyPolicy", service="kms", KeyId=company.destination_key, PolicyName="default", Policy=document
    )
    assert company.destination.restored(copy)["Status"] == choice.upper()
    if choice == "completed":
        assert company.destination.items() == []


def test_service_linked_role_copies(company: Any) -> None:
    copy = company.copy()
    shown = company.destination.backup("DescribeRecoveryPoint", BackupVaultName="ferry", RecoveryPointArn=copy)
    linked = f"arn:aws:iam::{DESTINATION}:role/aws-service-role/backup.amazonaws.com/AWSServiceRoleForBackup"
    assert shown["IamRoleArn"] == linked
    # A key's policy that names the role alone, and no longer the account, is enough.
    named = policy(allow({"AWS": company.destination.caller.arn}, "kms:*"), allow({"AWS": linked}, "kms:*"))
    company.destination(
        "PutKeyPolicy", service="kms", KeyId=company.destination_key, PolicyName="default", Policy=named
    )
    assert company.copy()


def test_key_policy_before_its_role(company: Any) -> None:
    company.forget_linked_role()
    linked = f"arn:aws:iam::{DESTINATION}:role/aws-service-role/backup.amazonaws.com/AWSServiceRoleForBackup"
    document = policy(allow(root(DESTINATION), "kms:*"), allow({"AWS": linked}, "kms:*"))
    with pytest.raises(AwsError, match="MalformedPolicyDocumentException"):
        company.destination("CreateKey", service="kms", Policy=document)
    company.destination("CreateServiceLinkedRole", service="iam", AWSServiceName="backup.amazonaws.com")
    assert company.destination("CreateKey", service="kms", Policy=document)["KeyMetadata"]["Arn"]
