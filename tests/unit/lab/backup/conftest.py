# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Four accounts with AWS Backup made ready, without a server: handlers are asked as the gate asks them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from lab.assembly import build_world
from lab.behaviours import Behaviours
from lab.protocol import service_model
from lab.rules import Rule
from lab.services.managed_policies import LINKED_ROLES
from lab.world import World
from tests.unit.lab.dynamodb.conftest import Desk

SOURCE, DESTINATION, MANAGEMENT, OUTSIDE = "111111111111", "222222222222", "333333333333", "444444444444"
REGION = "eu-west-1"
ORGANIZATION = "o-company"
ROLE = "AWSBackup-ferry"
TABLE = f"arn:aws:dynamodb:{REGION}:{SOURCE}:table/tbl"
FOR_BACKUP, FOR_RESTORES = (
    f"arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyFor{kind}" for kind in ("Backup", "Restores")
)
DONE = 400.0  # seconds after which any job is done


def policy(*statements: dict[str, Any]) -> str:
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def allow(principal: Any, *actions: str, effect: str = "Allow", **members: Any) -> dict[str, Any]:
    return {"Effect": effect, "Principal": principal, "Action": list(actions), "Resource": "*", **members}


def root(*accounts: str) -> dict[str, Any]:
    return {"AWS": [f"arn:aws:iam::{account}:root" for account in accounts]}


TRUST = policy(
    {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
)  # fmt: skip


def unknown_members(value: Any, shape: Any) -> list[str]:
    """Members of an answer that botocore's model does not have, and words that its enums do not have."""
    if shape.type_name == "structure":
        return [
            f"{shape.name}.{name}: {flaw}"
            for name, member in value.items()
            for flaw in (unknown_members(member, shape.members[name]) if name in shape.members else ["unknown"])
        ]
    if shape.type_name == "list":
        return [flaw for member in value for flaw in unknown_members(member, shape.member)]
    if shape.type_name == "map":
        return [flaw for member in value.values() for flaw in unknown_members(member, shape.value)]
    kinds = {"string": str, "boolean": bool, "timestamp": float, "long": int, "integer": int, "double": float}
    words = shape.metadata.get("enum", [value])
    return [] if isinstance(value, kinds[shape.type_name]) and value in words else [repr(value)]


class Side(Desk):
    """An account's administrator."""

    def _asked(self, service: str, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """The answer of ``service``, which must be one of its model."""
        model = service_model(service)
        assert model is not None
        request = model.operation_model(operation).input_shape
        if request is not None:
            assert unknown_members(params, request) == []
        answer = self(operation, service=service, **params)
        shape = model.operation_model(operation).output_shape
        if shape is not None:
            assert unknown_members(answer, shape) == []
        return answer

    @property
    def account(self) -> str:
        """Its id."""
        return self.caller.account_id

    @property
    def role_arn(self) -> str:
        """The role for all its jobs."""
        return f"arn:aws:iam::{self.account}:role/{ROLE}"

    @property
    def role(self) -> Any:
        """That role in the identity store."""
        return self.world.identity.roles[self.account, ROLE]

    @property
    def vault_arn(self) -> str:
        """Its vault ``ferry``."""
        return f"arn:aws:backup:{REGION}:{self.account}:backup-vault:ferry"

    def backup(self, operation: str, **params: Any) -> dict[str, Any]:
        """The answer of AWS Backup."""
        return self._asked("backup", operation, params)

    def ram(self, operation: str, **params: Any) -> dict[str, Any]:
        """The answer of RAM."""
        return self._asked("ram", operation, params)

    def denied(self, rule: Rule, code: str, text: str, operation: str, **params: Any) -> str:
        """Demand that AWS Backup refuses by ``rule``."""
        return self.refused(rule, code, text, operation, **{"service": "backup", **params})

    def as_user(self, *statements: dict[str, Any]) -> Side:
        """A user of the account who may do what these identity statements say."""
        name = f"user-{len(self.world.identity.users)}"
        self.world.identity.add_user(self.account, name).inline["only"] = policy(*statements)
        return Side(self.world, _caller(self.world, self.world.identity.add_access_key(self.account, name).id))

    def key(self, *accounts: str) -> str:
        """ARN of a new key that these accounts' policies may open, besides the own."""
        document = policy(allow(root(self.account, *accounts), "kms:*"))
        return str(self("CreateKey", service="kms", Policy=document)["KeyMetadata"]["Arn"])

    def vault(self, name: str = "ferry", **params: Any) -> str:
        """ARN of a new vault."""
        return str(self.backup("CreateBackupVault", BackupVaultName=name, **params)["BackupVaultArn"])

    def opt_in(self, advanced: bool = True) -> None:
        """Turn DynamoDB, and its advanced features, on."""
        self.backup(
            "UpdateRegionSettings",
            ResourceTypeOptInPreference={"DynamoDB": True},
            ResourceTypeManagementPreference={"DynamoDB": advanced},
        )

    def items(self, table: str = "tbl") -> list[str]:
        """The partition keys of a table's items."""
        return sorted(item["pk"]["S"] for item in self("Scan", TableName=table)["Items"])

    # Jobs, from the call to their end

    def start_backup(self, **params: Any) -> dict[str, Any]:
        request = {"BackupVaultName": "ferry", "ResourceArn": TABLE, "IamRoleArn": self.role_arn, **params}
        return self.backup("StartBackupJob", **request)

    def backed_up(self, **params: Any) -> dict[str, Any]:
        job_id = self.start_backup(**params)["BackupJobId"]
        self.wait(DONE)
        return self.backup("DescribeBackupJob", BackupJobId=job_id)

    def start_copy(self, point: str, target: str, **params: Any) -> dict[str, Any]:
        request = {
            "RecoveryPointArn": point,
            "SourceBackupVaultName": "ferry",
            "DestinationBackupVaultArn": target,
            "IamRoleArn": self.role_arn,
            **params,
        }
        return self.backup("StartCopyJob", **request)

    def copied(self, point: str, target: str, **params: Any) -> dict[str, Any]:
        job_id = self.start_copy(point, target, **params)["CopyJobId"]
        self.wait(DONE)
        job: dict[str, Any] = self.backup("DescribeCopyJob", CopyJobId=job_id)["CopyJob"]
        return job

    def start_restore(self, point: str, name: str = "tbl", **params: Any) -> dict[str, Any]:
        request = {
            "RecoveryPointArn": point,
            "IamRoleArn": self.role_arn,
            "Metadata": {"targetTableName": name, "encryptionType": "Default"},
            **params,
        }
        return self.backup("StartRestoreJob", **request)

    def restored(self, point: str, name: str = "tbl", **params: Any) -> dict[str, Any]:
        job_id = self.start_restore(point, name, **params)["RestoreJobId"]
        self.wait(DONE)
        return self.backup("DescribeRestoreJob", RestoreJobId=job_id)


def _caller(world: World, access_key_id: str) -> Any:
    credential = world.identity.credential(access_key_id)
    assert credential is not None
    return credential.caller


class Company:
    """Source, destination and management account of one organization, and an account outside.

    Source and destination have opted in, each with a role and a vault ``ferry`` under a key of its own, which the other
    may use as far as a copy needs; the source has a table ``tbl`` with the items ``a``, ``b`` and ``c``.
    """

    def __init__(self, world: World) -> None:
        self.world = world
        self.source = self._side(SOURCE, "source")
        self.destination = self._side(DESTINATION, "destination")
        self.management = self._side(MANAGEMENT, "management")
        self.outside = self._side(OUTSIDE, "outside", "")
        self.management.backup("UpdateGlobalSettings", GlobalSettings={"isCrossAccountBackupEnabled": "true"})
        for side in (self.source, self.destination):
            side.opt_in()
        self.source_key = self.source.key(DESTINATION)
        self.source.vault(EncryptionKeyArn=self.source_key)
        self.destination("CreateServiceLinkedRole", service="iam", AWSServiceName="backup.amazonaws.com")
        self.destination_key = self.destination.key()
        self.destination.vault(EncryptionKeyArn=self.destination_key)
        self.let_in(self.destination)
        self.source.table()
        for name in "abc":
            self.source("PutItem", TableName="tbl", Item={"pk": {"S": name}, "n": {"N": "1e2"}})

    def _side(self, account: str, name: str, organization: str = ORGANIZATION) -> Side:
        self.world.accounts.add(account, name, organization)
        side = Side(self.world, _caller(self.world, self.world.identity.add_administrator(account).id))
        self.world.identity.add_role(account, ROLE, TRUST, attached=(FOR_BACKUP, FOR_RESTORES))
        return side

    @property
    def behaviours(self) -> Behaviours:
        """The answers to open questions."""
        return self.world.behaviours

    def let_in(self, side: Side, vault: str = "ferry", *statements: dict[str, Any]) -> None:
        """Write the vault's policy: these statements, or the source may copy into it."""
        document = policy(*(statements or (allow(root(SOURCE), "backup:CopyIntoBackupVault"),)))
        side.backup("PutBackupVaultAccessPolicy", BackupVaultName=vault, Policy=document)

    def point(self, **params: Any) -> str:
        """ARN of a new recovery point in the source."""
        job = self.source.backed_up(**params)
        assert job["State"] == "COMPLETED", job
        return str(job["RecoveryPointArn"])

    def copy(self, **params: Any) -> str:
        """ARN of a new recovery point's copy in the destination."""
        job = self.source.copied(self.point(**params), self.destination.vault_arn)
        assert job["State"] == "COMPLETED", job
        return str(job["DestinationRecoveryPointArn"])

    def forget_linked_role(self) -> None:
        """Take the destination's service-linked role away."""
        name, _ = LINKED_ROLES["backup.amazonaws.com"]
        del self.world.identity.roles[DESTINATION, name]


@pytest.fixture
def world() -> Iterator[World]:
    made = build_world()
    made.throttles.enabled = False
    yield made
    assert made.event_errors == []
    made.close()


@pytest.fixture
def company(world: World) -> Company:
    return Company(world)
