# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWS Backup's role needs for DynamoDB alone: an inline policy instead of AWS's managed one (found.md C2).

The actions are those of the statements that the AWS Backup developer guide names for DynamoDB in "Managed policies:
customer managed policies", and for encrypted backups; a copy also takes BackupVaultPermissions,
BackupVaultCopyPermissions and RecoveryPointTaggingPermissions (aws.md C3). AWS's own policies name no table, vault or
account. UNCONFIRMED: that AWS asks for nothing besides, and that the names below are enough for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from ...account import Account, Side
from ...statements.role_policy import Allowed

RolePolicy = Literal["managed", "dynamodb"]
MANAGED: RolePolicy = "managed"
DYNAMODB: RolePolicy = "dynamodb"
CHOICES: tuple[RolePolicy, ...] = (MANAGED, DYNAMODB)

_PURPOSES: dict[Side, str] = {"source": "backup", "destination": "restore"}
_RESTORED = (
    "dynamodb:BatchWriteItem",
    "dynamodb:DeleteItem",
    "dynamodb:DescribeTable",
    "dynamodb:GetItem",
    "dynamodb:PutItem",
    "dynamodb:Query",
    "dynamodb:RestoreTableFromAwsBackup",
    "dynamodb:Scan",
    "dynamodb:UpdateItem",
)
_RESTORED_KEYS = (
    "kms:Decrypt",
    "kms:DescribeKey",
    "kms:Encrypt",
    "kms:GenerateDataKey",
    "kms:GenerateDataKeyWithoutPlaintext",
    "kms:ReEncryptFrom",
    "kms:ReEncryptTo",
)


def inline_name(account: Account) -> str:
    """The name of the policy: one account may be both sides, and serve several Regions."""
    return f"tableferry-{_PURPOSES[account.side]}-{account.region}"


def statements(account: Account, tables: Sequence[str], vaults: Sequence[str]) -> tuple[Allowed, ...]:
    """What the role of the account's side needs: for ``tables`` of the account (none: every table), and, where it backs
    up and copies, for the ARNs of ``vaults`` (none: every vault)."""
    if account.side == "destination":
        return (_tables(account, tables, _RESTORED), *_restored_backups(account), *_keys(account, _RESTORED_KEYS))
    every = f"arn:{account.partition}:backup:*:*:backup-vault:*"
    actions = ("dynamodb:CreateBackup", "dynamodb:DescribeTable", "dynamodb:ListTagsOfResource")
    return (
        _tables(account, tables, (*actions, "dynamodb:StartAwsBackupJob")),
        _table_backups(account, tables),
        Allowed(
            "Vaults",
            ("backup:CopyIntoBackupVault", "backup:DescribeBackupVault"),
            tuple(sorted(set(vaults))) or (every,),
            every=every,
        ),
        # AWS defines no resource for it (AWS service authorization reference, AWS Backup).
        Allowed("CopyFrom", ("backup:CopyFromBackupVault",), ("*",)),
        Allowed("RecoveryPoints", ("backup:TagResource",), (_arn(account, "backup", "recovery-point:*"),)),
        *_keys(account, ("kms:Decrypt", "kms:GenerateDataKey")),
    )


def _arn(account: Account, service: str, resource: str) -> str:
    return f"arn:{account.partition}:{service}:{account.region}:{account.account_id}:{resource}"


def _tables(account: Account, tables: Sequence[str], actions: tuple[str, ...]) -> Allowed:
    every = account.table_arn("*")
    named = tuple(account.table_arn(name) for name in sorted(set(tables)))
    return Allowed("Tables", actions, named or (every,), every=every)


def _table_backups(account: Account, tables: Sequence[str]) -> Allowed:
    every = account.table_arn("*/backup/*")
    named = tuple(account.table_arn(f"{name}/backup/*") for name in sorted(set(tables)))
    return Allowed("TableBackups", ("dynamodb:DeleteBackup", "dynamodb:DescribeBackup"), named or (every,), every=every)


def _restored_backups(account: Account) -> tuple[Allowed, ...]:
    backups = (account.table_arn("*/backup/*"),)  # their names are those of the tables that were backed up
    return (Allowed("TableBackups", ("dynamodb:RestoreTableFromBackup",), backups),)


def _keys(account: Account, actions: tuple[str, ...]) -> tuple[Allowed, ...]:
    """Keys of tables through DynamoDB, and those of vaults, which their own policies open (aws.md C6)."""
    domain = "amazonaws.com.cn" if account.partition == "aws-cn" else "amazonaws.com"
    through = {"StringEquals": {"kms:ViaService": f"dynamodb.{account.region}.{domain}"}}
    for_aws = {"Bool": {"kms:GrantIsForAWSResource": "true"}}
    return (
        Allowed("TableKeys", actions, ("*",), through),
        Allowed("Keys", ("kms:DescribeKey",), ("*",)),
        Allowed("KeyGrants", ("kms:CreateGrant",), ("*",), for_aws),
    )
