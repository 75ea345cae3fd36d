# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both accounts made ready for AWS Backup with plain boto3, as the console's guide does it, and ways through them."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices, MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration, judge, start
from demo.seed import make_tables
from demo.tables import DemoTable, Item, numbered, on_demand
from lab.client import RunningLab
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.conftest import hurried
from tests.unit.on_lab.in_process import InProcess

VAULT, ROLE = "tableferry", "AWSBackup-tableferry"
MANAGED = "arn:aws:iam::aws:policy/service-role/AWSBackupServiceRolePolicyFor"
SHARED = ("kms:DescribeKey", "kms:Decrypt", "kms:Encrypt", "kms:ReEncrypt*", "kms:GenerateDataKey*", "kms:CreateGrant")


class BackupAccounts:
    """A lab whose accounts are ready, and tables that travel between them."""

    def __init__(self, lab: RunningLab | InProcess, destination: str = "destination") -> None:
        self.lab = lab
        self.destination_name = destination
        self.region = lab.landscape["region"]
        self.source = self.account("source", "source")
        self.destination = self.account("destination", destination)

    def account(self, side: Any, name: str) -> Account:
        """An account of the product's, as its administrator."""
        if isinstance(self.lab, InProcess):
            return self.lab.account(name, side)
        keys = self.lab.landscape["accounts"][name]
        told = {"region": self.region, "endpoint_url": self.lab.endpoint_url}
        told |= {part: keys[part] for part in ("access_key", "secret_key", "account_id")}
        return Account(AccountSpec.from_mapping(side, told))

    def user(self, name: str, user: str, statements: list[dict[str, Any]]) -> Account:
        """An account of the product's, as a user who may do just that."""
        document = json.dumps({"Version": "2012-10-17", "Statement": statements})
        told = user_who_may(self.lab.client("iam", name), user, document)
        told |= {"region": self.region, "endpoint_url": self.lab.endpoint_url}
        return Account(AccountSpec.from_mapping(name, told))  # type: ignore[arg-type]

    def make_ready(self) -> None:
        """All that the guide says, in its order."""
        management = self.lab.client("backup", "management")
        management.update_global_settings(GlobalSettings={"isCrossAccountBackupEnabled": "true"})
        for name in ("source", self.destination_name):
            backup = self.lab.client("backup", name)
            backup.update_region_settings(
                ResourceTypeOptInPreference={"DynamoDB": True}, ResourceTypeManagementPreference={"DynamoDB": True}
            )
            self.lab.client("iam", name).create_service_linked_role(AWSServiceName="backup.amazonaws.com")
        self.key_arn = self.make_vault("source", shared_with=self.destination.account_id)
        self.make_vault(self.destination_name)
        self.make_role("source", "Backup")
        self.make_role(self.destination_name, "Restores")
        self.let_in()

    def make_vault(
        self, name: str, vault: str = VAULT, shared_with: str = "", own: bool = True, region: str = ""
    ) -> str:
        """A vault under a new customer managed key; the key's ARN. ``own``: open to every role of its account."""
        kms = self.lab.client("kms", name, region)
        account = self.lab.landscape["accounts"][name]["account_id"]
        caller = str(self.lab.client("sts", name).get_caller_identity()["Arn"])
        statements = [_statement(f"arn:aws:iam::{account}:root" if own else caller, "kms:*")]
        if shared_with:
            statements.append(_statement(f"arn:aws:iam::{shared_with}:root", *SHARED))
        policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
        key = str(kms.create_key(Policy=policy)["KeyMetadata"]["Arn"])
        self.lab.client("backup", name, region).create_backup_vault(BackupVaultName=vault, EncryptionKeyArn=key)
        return key

    def make_role(self, name: str, purpose: str, role: str = ROLE) -> None:
        """A role that AWS Backup may assume, with its managed policy."""
        iam = self.lab.client("iam", name)
        trust = {"Effect": "Allow", "Principal": {"Service": "backup.amazonaws.com"}, "Action": "sts:AssumeRole"}
        document = json.dumps({"Version": "2012-10-17", "Statement": [trust]})
        iam.create_role(RoleName=role, AssumeRolePolicyDocument=document)
        iam.attach_role_policy(RoleName=role, PolicyArn=f"{MANAGED}{purpose}")

    def let_in(self, region: str = "") -> None:
        """Let the source copy into the destination's vault."""
        who = f"arn:aws:iam::{self.source.account_id}:root"
        policy = {"Version": "2012-10-17", "Statement": [_statement(who, "backup:CopyIntoBackupVault")]}
        self.lab.client("backup", self.destination_name, region).put_backup_vault_access_policy(
            BackupVaultName=VAULT, Policy=json.dumps(policy)
        )

    def table(self, name: str, items: Callable[[], Iterator[Item]] = numbered, **create: Any) -> None:
        """A table of a hundred items in the source."""
        make_tables(self.lab, "source", [DemoTable(name, {**on_demand(("id", "S")), **create}, items)])

    def options(self, table: str, **more: Any) -> MigrationOptions:
        """The way's options; those of AWS Backup among ``more`` by their names."""
        chosen = {name: more.pop(name) for name in list(more) if name in BackupChoices.__dataclass_fields__}
        return MigrationOptions(table=table, method="backup", backup=BackupChoices(**chosen), **more)

    def start(self, table: str, **more: Any) -> Migration:
        """The way begun."""
        return start(self.source, self.destination, self.options(table, **more))

    def ended(self, way: Migration, **more: Any) -> WaitResult:
        """The way at its end, through plain data as Ansible carries it."""
        first, *others = (Job.from_dict(job.to_dict()) for job in (way.job, *way.then))
        item = WaitItem("t", self.source, self.destination, first, tuple(others))
        return hurried([item], **more)

    def moved(self, table: str, **more: Any) -> tuple[Judgement, tuple[Job, ...]]:
        """The table's whole way and its judgement."""
        jobs = self.ended(self.start(table, **more)).ways["t"]
        judgement = judge(
            more.get("destination_table", table),
            self.source,
            self.destination,
            jobs,
            source_table=table,
            writes_stopped=more.get("writes_stopped", False),
        )
        return judgement, jobs

    def started(self, operation: str) -> int:
        """How many jobs were started, by the lab's request log: a call with a known token starts none."""
        return self.lab.count(operation, ok=True)

    def items(self, name: str, table: str) -> list[Mapping[str, Any]]:
        """All items of a table, in one order."""
        pages = self.lab.client("dynamodb", name).get_paginator("scan").paginate(TableName=table)
        return sorted((item for page in pages for item in page["Items"]), key=repr)


def _statement(principal: str, *actions: str) -> dict[str, Any]:
    return {"Effect": "Allow", "Principal": {"AWS": principal}, "Action": list(actions), "Resource": "*"}
