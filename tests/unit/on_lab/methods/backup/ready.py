# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Both accounts in process as the guide for AWS Backup leaves them, and what tests put wrong there."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.unit.on_lab.backup_accounts import ROLE, VAULT, BackupAccounts
from tests.unit.on_lab.staged import DESTINATION, SOURCE, Staged

__all__ = ["DESTINATION", "ROLE", "SOURCE", "VAULT", "Ready", "allow", "root"]

# A job begins and ends within the first pauses of a waiter.
SECONDS = {
    f"backup__{name}": seconds
    for kind in ("", "copy_", "restore_")
    for name, seconds in ((f"{kind}starting", 1.0), (f"{kind}running", 3.0))
}


class Ready(Staged):
    """A lab whose source has ``tables``, ready for AWS Backup."""

    def __init__(self, tables: Mapping[str, int] | None = None, ago: float = 0.0, **timings: float) -> None:
        super().__init__({"orders": 7} if tables is None else tables, False, ago, **{**SECONDS, **timings})
        BackupAccounts(self).make_ready()
        self.world.advance(20)  # until the new roles can be assumed

    def backup(self, side: str) -> Any:
        """A client of AWS Backup that is neither counted nor interrupted."""
        return self.client("backup", side)

    def settings(self, side: str, opt_in: bool = True, advanced: bool = True) -> None:
        """Set what the Region backs up, and how."""
        self.backup(side).update_region_settings(
            ResourceTypeOptInPreference={"DynamoDB": opt_in}, ResourceTypeManagementPreference={"DynamoDB": advanced}
        )

    def vault(self, side: str, name: str = VAULT) -> dict[str, Any]:
        """A vault, as DescribeBackupVault answers."""
        answer: dict[str, Any] = self.backup(side).describe_backup_vault(BackupVaultName=name)
        return answer

    def remove_vault(self, side: str) -> None:
        """Delete the vault."""
        self.backup(side).delete_backup_vault(BackupVaultName=VAULT)

    def add_air_gapped_vault(self, name: str = "gapped", shortest: int = 7, longest: int = 30) -> None:
        """A logically air-gapped vault of the source, shared with the destination."""
        vault = self.backup("source").create_logically_air_gapped_backup_vault(
            BackupVaultName=name, MinRetentionDays=shortest, MaxRetentionDays=longest
        )
        self.world.advance(130)
        self.client("ram", "source").create_resource_share(
            name=name, resourceArns=[vault["BackupVaultArn"]], principals=[DESTINATION]
        )
        ram = self.client("ram", "destination")
        for invitation in ram.get_resource_share_invitations()["resourceShareInvitations"]:
            ram.accept_resource_share_invitation(resourceShareInvitationArn=invitation["resourceShareInvitationArn"])

    def policy(self, side: str = "destination") -> dict[str, Any]:
        """The access policy of a vault."""
        answer = self.backup(side).get_backup_vault_access_policy(BackupVaultName=VAULT)
        policy: dict[str, Any] = json.loads(answer["Policy"])
        return policy

    def set_policy(self, policy: Mapping[str, Any] | None, side: str = "destination") -> None:
        """Put an access policy on a vault, or take it off."""
        if policy is None:
            self.backup(side).delete_backup_vault_access_policy(BackupVaultName=VAULT)
        else:
            self.backup(side).put_backup_vault_access_policy(BackupVaultName=VAULT, Policy=json.dumps(policy))

    def set_key(self, side: str, **policy: Any) -> None:
        """Put another policy on the key of a vault, or (without one) disable the key."""
        arn = self.vault(side)["EncryptionKeyArn"]
        if policy:
            self.client("kms", side).put_key_policy(KeyId=arn, PolicyName="default", Policy=json.dumps(policy))
        else:
            self.client("kms", side).disable_key(KeyId=arn)

    def remove_role(self, side: str) -> None:
        """Delete AWS Backup's role."""
        iam = self.client("iam", side)
        for each in iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]:
            iam.detach_role_policy(RoleName=ROLE, PolicyArn=each["PolicyArn"])
        iam.delete_role(RoleName=ROLE)

    def points(self, side: str) -> list[str]:
        """The ARNs of the recovery points in a vault."""
        listed = self.backup(side).list_recovery_points_by_backup_vault(BackupVaultName=VAULT)
        return [each["RecoveryPointArn"] for each in listed["RecoveryPoints"]]

    def remove_point(self, side: str, arn: str) -> None:
        """Delete a recovery point."""
        self.backup(side).delete_recovery_point(BackupVaultName=VAULT, RecoveryPointArn=arn)
        self.world.advance(20)


def root(account_id: str) -> str:
    """Who stands for a whole account in a policy."""
    return f"arn:aws:iam::{account_id}:root"


def allow(principal: Any, *actions: str, **more: Any) -> dict[str, Any]:
    """A policy of one statement."""
    statement = {"Effect": "Allow", "Principal": principal, "Action": list(actions), "Resource": "*", **more}
    return {"Version": "2012-10-17", "Statement": [statement]}
