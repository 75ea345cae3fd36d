# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table's whole way by AWS Backup, on the wire, with sessions of roles as a migration has them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest

from lab.client import RunningLab, running

SOURCE, DESTINATION = "111111111111", "222222222222"
TABLE = f"arn:aws:dynamodb:eu-west-1:{SOURCE}:table/orders"
ROLE = "AWSBackup-ferry"
FERRY = {"BackupVaultName": "ferry"}


def document(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


class Account:
    """One side of the way, reached as its role ``ferry``."""

    def __init__(self, lab: RunningLab, side: str, *partners: str) -> None:
        self.lab, self.side = lab, side
        self.backup, self.tables = self.client("backup"), self.client("dynamodb")
        self.id = lab.landscape["accounts"][side]["account_id"]
        iam = self.client("iam")
        trust = {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
        self.role_arn = iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=document(trust))["Role"]["Arn"]
        for kind in ("Backup", "Restores"):
            policy = f"arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyFor{kind}"
            iam.attach_role_policy(RoleName=ROLE, PolicyArn=policy)
        iam.create_service_linked_role(AWSServiceName="backup.amazonaws.com")
        roots = [f"arn:aws:iam::{account}:root" for account in (self.id, *partners)]
        open_key = {"Effect": "Allow", "Principal": {"AWS": roots}, "Action": "kms:*", "Resource": "*"}
        key = self.client("kms").create_key(Policy=document(open_key))["KeyMetadata"]["Arn"]
        self.vault_arn = self.backup.create_backup_vault(**FERRY, EncryptionKeyArn=key)["BackupVaultArn"]
        described = self.backup.describe_region_settings()
        self.backup.update_region_settings(
            ResourceTypeOptInPreference={**described["ResourceTypeOptInPreference"], "DynamoDB": True},
            ResourceTypeManagementPreference={**described["ResourceTypeManagementPreference"], "DynamoDB": True},
        )

    def client(self, service: str) -> Any:
        return self.lab.client(service, f"{self.side}/ferry")


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with running(scale=1.0) as lab:
        settings = {"isCrossAccountBackupEnabled": "true"}
        lab.client("backup", "management").update_global_settings(GlobalSettings=settings)
        yield lab
        assert lab.state()["event_errors"] == []


@pytest.fixture
def sides(lab: RunningLab) -> tuple[Account, Account]:
    """Source, with a table of 30 items and a local index, and destination, whose vault takes copies."""
    source, destination = Account(lab, "source", DESTINATION), Account(lab, "destination")
    take = {
        "Effect": "Allow",
        "Principal": {"AWS": f"arn:aws:iam::{SOURCE}:root"},
        "Action": "backup:CopyIntoBackupVault",
        "Resource": "*",
    }
    destination.backup.put_backup_vault_access_policy(**FERRY, Policy=document(take))
    source.tables.create_table(
        TableName="orders",
        BillingMode="PAY_PER_REQUEST",
        KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk", "day")],
        LocalSecondaryIndexes=[
            {
                "IndexName": "by-day",
                "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "day", "KeyType": "RANGE"}],
                "Projection": {"ProjectionType": "ALL"},
            }
        ],
    )
    lab.advance(60)
    for number in range(30):
        item = {"pk": {"S": "a"}, "sk": {"S": str(number)}, "day": {"S": "monday"}, "n": {"N": "1e3"}}
        source.tables.put_item(TableName="orders", Item=item)
    return source, destination


def test_on_demand(lab: RunningLab, sides: tuple[Account, Account]) -> None:
    source, destination = sides
    started = source.backup.start_backup_job(
        **FERRY, ResourceArn=TABLE, IamRoleArn=source.role_arn, IdempotencyToken="one", StartWindowMinutes=60
    )
    lab.advance(300)
    job = source.backup.describe_backup_job(BackupJobId=started["BackupJobId"])
    assert (job["State"], isinstance(job["CompletionDate"], datetime)) == ("COMPLETED", True)
    copying = source.backup.start_copy_job(
        RecoveryPointArn=job["RecoveryPointArn"],
        SourceBackupVaultName="ferry",
        DestinationBackupVaultArn=destination.vault_arn,
        IamRoleArn=source.role_arn,
        Lifecycle={"DeleteAfterDays": 7},
    )
    lab.advance(300)
    copied = source.backup.describe_copy_job(CopyJobId=copying["CopyJobId"])["CopyJob"]
    point = copied["DestinationRecoveryPointArn"]
    seen = destination.backup.describe_recovery_point(**FERRY, RecoveryPointArn=point)
    assert (seen["Status"], seen["Lifecycle"], seen["ResourceArn"]) == ("COMPLETED", {"DeleteAfterDays": 7}, TABLE)
    restoring = destination.backup.start_restore_job(
        RecoveryPointArn=point,
        IamRoleArn=destination.role_arn,
        ResourceType="DynamoDB",
        Metadata={"targetTableName": "orders", "encryptionType": "Default"},
    )
    lab.advance(400)
    restored = destination.backup.describe_restore_job(RestoreJobId=restoring["RestoreJobId"])
    assert (restored["Status"], restored["PercentDone"]) == ("COMPLETED", "100.00%")
    assert restored["CreatedResourceArn"] == TABLE.replace(SOURCE, DESTINATION)
    both = [side.tables.scan(TableName="orders", IndexName="by-day")["Items"] for side in sides]
    assert (both[0] == both[1], len(both[0])) == (True, 30)


def test_by_plan(lab: RunningLab, sides: tuple[Account, Account]) -> None:
    source, destination = sides
    rule = {
        "RuleName": "daily",
        "TargetBackupVaultName": "ferry",
        "ScheduleExpression": "cron(0 3 ? * * *)",
        "CopyActions": [{"DestinationBackupVaultArn": destination.vault_arn}],
    }
    plan = source.backup.create_backup_plan(BackupPlan={"BackupPlanName": "ferry", "Rules": [rule]})["BackupPlanId"]
    source.backup.create_backup_selection(
        BackupPlanId=plan,
        BackupSelection={"SelectionName": "tables", "IamRoleArn": source.role_arn, "Resources": [TABLE]},
    )
    shown = source.backup.get_backup_plan(BackupPlanId=plan, MaxScheduledRunsPreview=1)
    (run,) = shown["ScheduledRunsPreview"]
    lab.advance_until(run["ExecutionTime"].timestamp() + 1)
    lab.advance(600)
    # The sessions of the roles ended with the hours that passed.
    source, destination = (lab.client("backup", f"{side}/ferry") for side in ("source", "destination"))
    (copied,) = source.list_copy_jobs()["CopyJobs"]
    assert (copied["State"], copied["CreatedBy"]["BackupPlanId"]) == ("COMPLETED", plan)
    (point,) = destination.list_recovery_points_by_resource(ResourceArn=TABLE)["RecoveryPoints"]
    assert point["RecoveryPointArn"] == copied["DestinationRecoveryPointArn"]
    assert (len(lab.jobs("backup")), len(lab.jobs("copy")), lab.count("StartBackupJob")) == (1, 1, 0)


def test_into_another_region(lab: RunningLab, sides: tuple[Account, Account]) -> None:
    source, destination = sides
    there = lab.client("backup", "destination", "eu-central-1")
    open_key = {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{DESTINATION}:root"}, "Action": "kms:*"}
    kms = lab.client("kms", "destination", "eu-central-1")
    key = kms.create_key(Policy=document({**open_key, "Resource": "*"}))["KeyMetadata"]["Arn"]
    vault = there.create_backup_vault(**FERRY, EncryptionKeyArn=key)["BackupVaultArn"]
    there.put_backup_vault_access_policy(
        **FERRY, Policy=destination.backup.get_backup_vault_access_policy(**FERRY)["Policy"]
    )
    started = source.backup.start_backup_job(**FERRY, ResourceArn=TABLE, IamRoleArn=source.role_arn)
    lab.advance(300)
    copying = source.backup.start_copy_job(
        RecoveryPointArn=started["RecoveryPointArn"],
        SourceBackupVaultName="ferry",
        DestinationBackupVaultArn=vault,
        IamRoleArn=source.role_arn,
    )
    lab.advance(300)
    point = source.backup.describe_copy_job(CopyJobId=copying["CopyJobId"])["CopyJob"]["DestinationRecoveryPointArn"]
    assert point.startswith(f"arn:aws:backup:eu-central-1:{DESTINATION}:recovery-point:")
    states = []
    for metadata in ({"targetTableName": "orders"}, {"targetTableName": "orders", "encryptionType": "KMS"}):
        job = there.start_restore_job(RecoveryPointArn=point, IamRoleArn=destination.role_arn, Metadata=metadata)
        lab.advance(400)
        states.append(there.describe_restore_job(RestoreJobId=job["RestoreJobId"])["Status"])
    assert states == ["FAILED", "COMPLETED"]  # another Region's restore must name an encryption
    assert lab.client("dynamodb", "destination", "eu-central-1").scan(TableName="orders")["Count"] == 30
