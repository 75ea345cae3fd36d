# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""FakeAws with AWS Backup in both accounts: jobs, recovery points and vaults, ready for tables to travel."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

from tests.unit.core.fake_aws import DESTINATION, REGION, SOURCE, Client, FakeAccount, FakeAws, Table, failure, public

MANAGEMENT, ORGANIZATION, VAULT = "333333333333", "o-example", "tableferry"
BACKUP_MUTATING = frozenset(
    {
        "StartBackupJob",
        "StartCopyJob",
        "StartRestoreJob",
        "DeleteRecoveryPoint",
        "PutBackupVaultAccessPolicy",
        "UpdateRegionSettings",
        "UpdateGlobalSettings",
        "TagResource",
    }
)
NONE_ADVANCED = {"DynamoDB": True, "EFS": True}


def root(account_id: str) -> str:
    return f"arn:aws:iam::{account_id}:root"


def allow(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    return {
        "Statement": [{"Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*", **more}]
    }


class BackupAws(FakeAws):
    """Both accounts as the guide leaves them. ``denied`` operations answer AccessDenied, ``jobs`` are all jobs."""

    def __init__(self) -> None:
        super().__init__()
        self.organizations: dict[str, str] = {SOURCE: ORGANIZATION, DESTINATION: ORGANIZATION}
        self.cross_account = "true"
        settings = {
            "ResourceTypeOptInPreference": {"DynamoDB": True, "EBS": False},
            "ResourceTypeManagementPreference": dict(NONE_ADVANCED),
        }
        self.region_settings = {account: copy.deepcopy(settings) for account in (SOURCE, DESTINATION)}
        self.vaults: dict[tuple[str, str], dict[str, Any]] = {}
        self.policies: dict[tuple[str, str], Any] = {}
        self.keys: dict[str, dict[str, Any]] = {}
        for account in (SOURCE, DESTINATION):
            self.add_vault(account)
        self.policies[DESTINATION, VAULT] = allow({"AWS": root(SOURCE)}, "backup:CopyIntoBackupVault")
        self.roles = {(account, "AWSBackup-tableferry") for account in (SOURCE, DESTINATION)}
        self.denied: set[str] = set()
        self.jobs: list[dict[str, Any]] = []
        self.points: dict[tuple[str, str], dict[str, Any]] = {}
        self.job_seconds, self.listed_after, self.point_after = 4.0, 0.0, 0.0
        self.restore_slots = 50
        self.endings: dict[str, tuple[str, str]] = {}
        self.lost_items = 0
        self.forgets_jobs = False
        self.failed_restores_leave_tables = False

    def add_vault(self, account: str, name: str = VAULT, **more: Any) -> dict[str, Any]:
        key = f"arn:aws:kms:{REGION}:{account}:key/{name}"
        self.keys[key] = {
            "KeyManager": "CUSTOMER",
            "policy": allow({"AWS": [root(SOURCE), root(DESTINATION)]}, "kms:*"),
        }
        self.vaults[account, name] = {
            "BackupVaultName": name,
            "BackupVaultArn": f"arn:aws:backup:{REGION}:{account}:backup-vault:{name}",
            "VaultType": "BACKUP_VAULT",
            "EncryptionKeyArn": key,
            **more,
        }
        return self.vaults[account, name]

    def account(self, side: str) -> FakeAccount:
        return BackupAccount(self, side, SOURCE if side == "source" else DESTINATION)

    def of_kind(self, kind: str) -> list[dict[str, Any]]:
        return [job for job in self.jobs if job["_kind"] == kind]

    def mutating(self) -> list[str]:
        return [operation for _account, operation in self.calls if operation in BACKUP_MUTATING]

    def begin(self, kind: str, account: str, token: str, shape: dict[str, Any], **private: Any) -> dict[str, Any]:
        """A new job, or the one of the token."""
        for job in self.of_kind(kind):
            if (job["_token"], job["_account"]) == (token, account):
                return job
        job = {
            **shape,
            "CreationDate": self.now,
            "_kind": kind,
            "_account": account,
            "_token": token,
            "_end": self.now + timedelta(seconds=self.job_seconds),
            **{f"_{name}": value for name, value in private.items()},
        }
        self.jobs.append(job)
        return job

    def settle(self) -> None:
        super().settle()
        for job in self.jobs:
            if "CompletionDate" not in job and self.now >= job["_end"]:
                job["CompletionDate"] = job["_end"]
                getattr(self, f"_end_{job['_kind']}")(job)

    def _ending(self, job: dict[str, Any], member: str = "State") -> bool:
        """Whether the job completes."""
        job[member], message = self.endings.get(job["_kind"], ("COMPLETED", ""))
        if message:
            job["StatusMessage"] = message
        return bool(job[member] == "COMPLETED")

    def _end_backup(self, job: dict[str, Any]) -> None:
        if self._ending(job):
            self.add_point(job["_account"], job["BackupVaultName"], job)

    def add_point(self, account: str, vault: str, job: dict[str, Any], **more: Any) -> None:
        self.points[account, job["RecoveryPointArn"]] = {
            "RecoveryPointArn": job["RecoveryPointArn"],
            "ResourceArn": job["ResourceArn"],
            "BackupVaultName": vault,
            "CreationDate": job["CreationDate"],
            "CalculatedLifecycle": {"DeleteAt": self.now + timedelta(days=7)},
            "_items": job["_items"],
            "_tags": job.get("_tags", {}),
            "_usable": self.now + timedelta(seconds=self.point_after),
            **more,
        }

    def _end_copy(self, job: dict[str, Any]) -> None:
        if self._ending(job):
            made = {**job, "RecoveryPointArn": job["DestinationRecoveryPointArn"]}
            self.add_point(DESTINATION, job["DestinationBackupVaultArn"].rpartition(":")[2], made)

    def _end_restore(self, job: dict[str, Any]) -> None:
        if self._ending(job, "Status"):
            table = self.tables[DESTINATION, job["_table"]]
            table.items = max(job["_items"] - self.lost_items, 0)
        elif not self.failed_restores_leave_tables:
            del self.tables[DESTINATION, job["_table"]]


class BackupAccount(FakeAccount):
    """An Account over BackupAws."""

    def client(self, service: str, region: str | None = None, *, retries: int = 8) -> Client:
        return BackupClient(self.aws, self.account_id, service)


class BackupClient(Client):
    """The calls of AWS Backup, Organizations, IAM and KMS that the way makes."""

    _aws: BackupAws

    def __getattr__(self, name: str) -> Callable[..., dict[str, Any]]:
        operation = "".join(part.title() for part in name.split("_"))
        if operation in self._aws.denied:

            def refuse(**params: Any) -> dict[str, Any]:
                raise failure("AccessDeniedException", "not authorized", operation)

            return refuse
        return super().__getattr__(name)

    def _dynamodb_describe_table(self, TableName: str) -> dict[str, Any]:
        answer = super()._dynamodb_describe_table(TableName)
        created = getattr(self._table(TableName), "created", None) or self._aws.began - timedelta(days=9)
        answer["Table"].setdefault("CreationDateTime", created)
        for job in self._aws.of_kind("restore"):
            if job["_table"] == TableName and job["Status"] == "RUNNING" and self._account_id == DESTINATION:
                source = f"arn:aws:dynamodb:{REGION}:{SOURCE}:table/{TableName}"
                answer["Table"]["RestoreSummary"] = {"RestoreInProgress": True, "SourceTableArn": source}
        return answer

    # Settings

    def _organizations_describe_organization(self) -> dict[str, Any]:
        found = self._aws.organizations.get(self._account_id, "")
        if not found:
            raise failure("AWSOrganizationsNotInUseException", "not a member")
        return {"Organization": {"Id": found, "MasterAccountId": MANAGEMENT}}

    def _backup_describe_region_settings(self) -> dict[str, Any]:
        return copy.deepcopy(self._aws.region_settings[self._account_id])

    def _backup_update_region_settings(self, **maps: Any) -> dict[str, Any]:
        self._aws.region_settings[self._account_id] |= maps
        return {}

    def _backup_describe_global_settings(self) -> dict[str, Any]:
        if not self._aws.organizations.get(self._account_id):
            raise failure("InvalidRequestException", "Your account is not a member of an organization.")
        return {"GlobalSettings": {"isCrossAccountBackupEnabled": self._aws.cross_account}}

    def _iam_get_role(self, RoleName: str) -> dict[str, Any]:
        if (self._account_id, RoleName) not in self._aws.roles:
            raise failure("NoSuchEntity", "no role")
        return {"Role": {"Arn": f"arn:aws:iam::{self._account_id}:role/{RoleName}"}}

    def _kms_describe_key(self, KeyId: str) -> dict[str, Any]:
        known = self._aws.keys.get(KeyId)
        if known is None:
            return super()._kms_describe_key(KeyId)
        return {
            "KeyMetadata": {"Arn": KeyId, "KeyState": "Enabled", **{k: v for k, v in known.items() if k != "policy"}}
        }

    def _kms_get_key_policy(self, KeyId: str, PolicyName: str) -> dict[str, Any]:
        return {"Policy": json.dumps(self._aws.keys[KeyId]["policy"])}

    # Vaults and recovery points

    def _backup_list_backup_vaults(self, ByShared: bool = False, NextToken: str = "") -> dict[str, Any]:
        shared = self._aws.vaults.values() if ByShared else ()
        mine = [vault for (account, _name), vault in self._aws.vaults.items() if account == self._account_id]
        found = [vault for vault in shared if vault.get("shared")] if ByShared else mine
        start = int(NextToken or 0)
        more = {"NextToken": str(start + 1)} if start + 1 < len(found) else {}
        return {"BackupVaultList": found[start : start + 1], **more}

    def _backup_get_backup_vault_access_policy(self, BackupVaultName: str) -> dict[str, Any]:
        policy = self._aws.policies.get((self._account_id, BackupVaultName))
        if policy is None:
            raise failure("ResourceNotFoundException", "no policy")
        return {"Policy": json.dumps(policy)}

    def _backup_put_backup_vault_access_policy(self, BackupVaultName: str, Policy: str) -> dict[str, Any]:
        self._aws.policies[self._account_id, BackupVaultName] = json.loads(Policy)
        return {}

    def _backup_delete_backup_vault_access_policy(self, BackupVaultName: str) -> dict[str, Any]:
        del self._aws.policies[self._account_id, BackupVaultName]
        return {}

    def _point(self, arn: str) -> dict[str, Any]:
        point = self._aws.points.get((self._account_id, arn))
        if point is None:
            raise failure("ResourceNotFoundException", "no recovery point")
        return point

    def _backup_describe_recovery_point(self, BackupVaultName: str, RecoveryPointArn: str) -> dict[str, Any]:
        point = self._point(RecoveryPointArn)
        return {**public(point), "Status": "COMPLETED" if self._aws.now >= point["_usable"] else "CREATING"}

    def _backup_list_recovery_points_by_backup_vault(self, BackupVaultName: str, ByResourceArn: str) -> dict[str, Any]:
        return {
            "RecoveryPoints": [
                public(point)
                for (account, _arn), point in self._aws.points.items()
                if (account, point["BackupVaultName"], point["ResourceArn"])
                == (self._account_id, BackupVaultName, ByResourceArn)
            ]
        }

    def _backup_list_tags(self, ResourceArn: str) -> dict[str, Any]:
        return {"Tags": self._point(ResourceArn)["_tags"]}

    def _backup_delete_recovery_point(self, BackupVaultName: str, RecoveryPointArn: str) -> dict[str, Any]:
        self._point(RecoveryPointArn)
        del self._aws.points[self._account_id, RecoveryPointArn]
        return {}

    # Jobs

    def _backup_start_backup_job(self, **call: Any) -> dict[str, Any]:
        aws = self._aws
        number = aws.new_id("backup")
        job = aws.begin(
            "backup",
            self._account_id,
            call["IdempotencyToken"],
            {
                "BackupJobId": number,
                "BackupVaultName": call["BackupVaultName"],
                "ResourceArn": call["ResourceArn"],
                "RecoveryPointArn": f"arn:aws:backup:{REGION}:{self._account_id}:recovery-point:{number}",
                "IamRoleArn": call["IamRoleArn"],
                "State": "RUNNING",
                "PercentDone": "40.00%",
                "BackupSizeInBytes": 700,
            },
            items=self._table(call["ResourceArn"]).items,
            tags=call.get("RecoveryPointTags", {}),
        )
        return {name: job[name] for name in ("BackupJobId", "RecoveryPointArn", "CreationDate")}

    def _backup_start_copy_job(self, **call: Any) -> dict[str, Any]:
        aws, point = self._aws, self._point(call["RecoveryPointArn"])
        number = aws.new_id("copy")
        job = aws.begin(
            "copy",
            self._account_id,
            call["IdempotencyToken"],
            {
                "CopyJobId": number,
                "SourceRecoveryPointArn": call["RecoveryPointArn"],
                "DestinationBackupVaultArn": call["DestinationBackupVaultArn"],
                "DestinationRecoveryPointArn": f"arn:aws:backup:{REGION}:{DESTINATION}:recovery-point:{number}",
                "ResourceArn": point["ResourceArn"],
                "State": "RUNNING",
                "BackupSizeInBytes": 700,
            },
            items=point["_items"],
        )
        return {"CopyJobId": job["CopyJobId"], "CreationDate": job["CreationDate"]}

    def _backup_start_restore_job(self, **call: Any) -> dict[str, Any]:
        aws, point = self._aws, self._point(call["RecoveryPointArn"])
        known = {job["_token"] for job in aws.of_kind("restore")}
        if call["IdempotencyToken"] not in known:
            open_jobs = [job for job in aws.of_kind("restore") if job["Status"] == "RUNNING"]
            if len(open_jobs) >= aws.restore_slots:
                raise failure("LimitExceededException", "Only so many restore operations can be done simultaneously")
        name = call["Metadata"]["targetTableName"]
        arn = f"arn:aws:dynamodb:{REGION}:{DESTINATION}:table/{name}"
        job = aws.begin(
            "restore",
            self._account_id,
            call["IdempotencyToken"],
            {
                "RestoreJobId": aws.new_id("restore"),
                "RecoveryPointArn": call["RecoveryPointArn"],
                "CreatedResourceArn": arn,
                "Status": "RUNNING",
                "PercentDone": "0.00%",
            },
            items=point["_items"],
            table=name,
            metadata=call["Metadata"],
        )
        if (DESTINATION, name) not in aws.tables:
            table = Table(name, aws.new_id("table"), active_at=job["_end"])
            table.created = aws.now  # type: ignore[attr-defined]
            aws.tables[DESTINATION, name] = table
        return {"RestoreJobId": job["RestoreJobId"]}

    def _one(self, kind: str, member: str, number: str) -> dict[str, Any]:
        for job in self._aws.of_kind(kind):
            if job[member] == number:
                return public(job)
        raise failure("ResourceNotFoundException", "no job")

    def _backup_describe_backup_job(self, BackupJobId: str) -> dict[str, Any]:
        return self._one("backup", "BackupJobId", BackupJobId)

    def _backup_describe_copy_job(self, CopyJobId: str) -> dict[str, Any]:
        return {"CopyJob": self._one("copy", "CopyJobId", CopyJobId)}

    def _backup_describe_restore_job(self, RestoreJobId: str) -> dict[str, Any]:
        return self._one("restore", "RestoreJobId", RestoreJobId)

    def _listed(self, kind: str, member: str, token: str, wanted: dict[str, Any]) -> dict[str, Any]:
        aws = self._aws
        since = aws.now - timedelta(seconds=aws.listed_after)
        found = [
            public(job)
            for job in aws.of_kind(kind)
            if job["_account"] == self._account_id
            and not aws.forgets_jobs
            and job["CreationDate"] <= since
            and all(job.get(name) == value for name, value in wanted.items() if value)
        ]
        page, more = aws_page(found, token, aws.page)
        return {member: page, **more}

    def _backup_list_backup_jobs(
        self, ByResourceArn: str = "", ByResourceType: str = "", MaxResults: int = 0, NextToken: str = ""
    ) -> dict[str, Any]:
        return self._listed("backup", "BackupJobs", NextToken, {"ResourceArn": ByResourceArn})

    def _backup_list_copy_jobs(
        self,
        ByResourceArn: str = "",
        ByDestinationVaultArn: str = "",
        ByResourceType: str = "",
        MaxResults: int = 0,
        NextToken: str = "",
    ) -> dict[str, Any]:
        wanted = {"ResourceArn": ByResourceArn, "DestinationBackupVaultArn": ByDestinationVaultArn}
        return self._listed("copy", "CopyJobs", NextToken, wanted)

    def _backup_list_restore_jobs(
        self, ByResourceType: str = "", MaxResults: int = 0, NextToken: str = ""
    ) -> dict[str, Any]:
        return self._listed("restore", "RestoreJobs", NextToken, {})


def aws_page(found: list[Any], token: str, size: int) -> tuple[list[Any], dict[str, str]]:
    """A page and what leads to the next one."""
    start = int(token or 0)
    more = {"NextToken": str(start + size)} if start + size < len(found) else {}
    return found[start : start + size], more
