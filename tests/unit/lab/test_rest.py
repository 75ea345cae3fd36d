# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""REST with JSON: operations by path, members from path, query and body, refusals on the wire."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError

from lab.client import RunningLab, running
from lab.protocol import REST_SHAPE

KEYS = [{"AttributeName": "pk", "KeyType": "HASH"}]
FERRY = {"BackupVaultName": "ferry"}
TABLE = "arn:aws:dynamodb:eu-west-1:111111111111:table/tbl"


@pytest.fixture(scope="module")
def lab() -> Iterator[RunningLab]:
    with running(scale=1.0) as lab:
        yield lab


@pytest.fixture(scope="module")
def backup(lab: RunningLab) -> Any:
    client = lab.client("backup")
    client.create_backup_vault(**FERRY, BackupVaultTags={"a": "b"})
    return client


def refused(function: Any, **params: Any) -> tuple[str, int, str]:
    with pytest.raises(ClientError) as caught:
        function(**params)
    response: Any = caught.value.response
    error = response["Error"]
    return error["Code"], response["ResponseMetadata"]["HTTPStatusCode"], error["Message"]


def test_operation_is_told_by_method_and_path(lab: RunningLab, backup: Any) -> None:
    shown = backup.describe_backup_vault(**FERRY)
    assert isinstance(shown["CreationDate"], datetime)
    assert backup.list_tags(ResourceArn=shown["BackupVaultArn"])["Tags"] == {"a": "b"}
    backup.tag_resource(ResourceArn=shown["BackupVaultArn"], Tags={"c": "d"})
    backup.untag_resource(ResourceArn=shown["BackupVaultArn"], TagKeyList=["a"])
    assert backup.list_tags(ResourceArn=shown["BackupVaultArn"])["Tags"] == {"c": "d"}
    assert [each["BackupVaultName"] for each in backup.list_backup_vaults(MaxResults=1)["BackupVaultList"]] == ["ferry"]
    assert backup.list_backup_vaults(ByShared=True)["BackupVaultList"] == []
    after = datetime(2100, 1, 1, tzinfo=UTC)
    assert backup.list_backup_jobs(ByCreatedAfter=after, ByState="FAILED")["BackupJobs"] == []
    lab.client("dynamodb").create_table(
        TableName="tbl", BillingMode="PAY_PER_REQUEST", KeySchema=KEYS,
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )  # fmt: skip
    assert backup.list_recovery_points_by_resource(ResourceArn=TABLE)["RecoveryPoints"] == []
    assert backup.delete_backup_vault_access_policy(**FERRY)["ResponseMetadata"]["HTTPStatusCode"] == 200
    operations = {entry["operation"] for entry in lab.calls(service="backup")}
    assert {"CreateBackupVault", "ListTags", "UntagResource", "ListRecoveryPointsByResource"} <= operations
    assert lab.client("ram").get_resource_shares(resourceOwner="SELF")["resourceShares"] == []


def test_refusals_are_http_403(lab: RunningLab, backup: Any) -> None:
    assert refused(backup.describe_backup_vault, BackupVaultName="none")[:2] == ("AccessDeniedException", 403)
    stranger = lab.client("backup", {"access_key": "AKIANOBODY", "secret_key": "x"})
    assert refused(stranger.list_backup_vaults)[:2] == ("UnrecognizedClientException", 403)
    keys = lab.landscape["accounts"]["source"]
    wrong = lab.client("backup", {"access_key": keys["access_key"], "secret_key": "wrong"})
    assert refused(wrong.describe_backup_vault, **FERRY)[:2] == ("InvalidSignatureException", 403)
    outside = lab.client("backup", "outside")
    assert refused(outside.describe_global_settings)[:2] == ("ERROR_9601", 400)


def test_malformed_request_is_refused(lab: RunningLab, backup: Any) -> None:
    code, status, message = refused(backup.list_backup_vaults, ByVaultType="CUPBOARD")
    assert (code, status) == ("InvalidParameterValueException", 400)
    assert "Member must satisfy enum value set" in message
    ram = lab.client("ram", parameter_validation=False)
    assert refused(ram.get_resource_shares)[0] == "InvalidParameterException"
    assert not REST_SHAPE.confirmed


def test_faults_match_path_and_query(lab: RunningLab, backup: Any) -> None:
    lab.add_fault(operation="backup.DescribeBackupVault", kind="throttle", match={"BackupVaultName": "ferry"})
    assert refused(backup.describe_backup_vault, BackupVaultName="none")[0] == "AccessDeniedException"
    assert refused(backup.describe_backup_vault, **FERRY)[:2] == ("ThrottlingException", 429)
    lab.add_fault(operation="backup.*", kind="expired_token")
    assert refused(backup.list_backup_vaults)[:2] == ("ExpiredTokenException", 403)
    assert backup.describe_backup_vault(**FERRY)["BackupVaultName"] == "ferry"


def test_unknown_path(lab: RunningLab, backup: Any) -> None:
    assert refused(backup.list_legal_holds)[0] == "UnknownOperationException"


def test_behaviours_and_accounts_are_set_from_outside(lab: RunningLab) -> None:
    assert lab.state()["behaviours"]["backup.copied_tags"] == "kept"
    lab.choose_behaviours({"backup.copied_tags": "lost"})
    assert lab.world.behaviours["backup.copied_tags"] == "lost"
    for name, choice, text in (("backup.none", "lost", "No behaviour"), ("backup.copied_tags", "some", "one of kept")):
        with pytest.raises(ValueError, match=text):
            lab.choose_behaviours({name: choice})
    lab.move_account("444444444444", "o-another")
    organization = lab.client("organizations", "outside").describe_organization()["Organization"]
    assert (organization["Id"], organization["MasterAccountId"]) == ("o-another", "444444444444")
    lab.move_account("444444444444", "")
    deny = {"Effect": "Deny", "Action": "sts:GetCallerIdentity", "Resource": "*"}
    lab.set_control_policies("444444444444", {"Version": "2012-10-17", "Statement": [deny]})
    assert len(lab.world.accounts["444444444444"].control_policies) == 1
    lab.set_control_policies("444444444444")
    assert lab.world.accounts["444444444444"].control_policies == []


def test_time_and_books_are_reached_from_outside(lab: RunningLab, backup: Any) -> None:
    now = lab.control("GET", "clock")["now"]
    lab.advance_until(now + 3600)
    assert 3600 <= lab.control("GET", "clock")["now"] - now < 3660
    iam, name = lab.client("iam"), "AWSBackup-ferry"
    trust = {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
    document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
    role = iam.create_role(RoleName=name, AssumeRolePolicyDocument=document)["Role"]["Arn"]
    lab.advance(60)
    request = {**FERRY, "ResourceArn": TABLE, "IamRoleArn": role, "IdempotencyToken": "one"}
    started = {backup.start_backup_job(**request)["BackupJobId"] for _ in range(2)}
    (begun,) = lab.jobs("backup", account="111111111111", resource=TABLE)
    assert {begun["id"]} == started
    assert (lab.count("StartBackupJob", ok=True), lab.jobs("copy")) == (2, [])
    lab.clear_requests()
    assert lab.jobs() == []


def test_the_stranger_is_reached_like_the_others(lab: RunningLab) -> None:
    identity = lab.client("sts", "outside/ferry").get_caller_identity()
    assert identity["Account"] == "444444444444"
    with pytest.raises(ClientError, match="AWSOrganizationsNotInUseException"):
        lab.client("organizations", "outside").describe_organization()
