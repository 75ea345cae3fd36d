# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who may use the keys of vaults and the roles of AWS Backup (aws.md C3, C6)."""

from __future__ import annotations

from collections.abc import Sequence

from ...account import Account, Side
from ...statements.role import RoleOptions
from ...statements.statement import AccountPair, OurStatement
from .calls import ROLE, SERVICE
from .role_policy import DYNAMODB, MANAGED, RolePolicy, inline_name, statements

_USE = ("kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*")
_POLICIES: dict[Side, str] = {
    "source": "AWSBackupServiceRolePolicyForBackup",
    "destination": "AWSBackupServiceRolePolicyForRestores",
}
_PURPOSES: dict[Side, str] = {
    "source": "AWS Backup backs up and copies DynamoDB tables with it",
    "destination": "AWS Backup restores DynamoDB tables with it",
}


def source_vault_key(source: Account, destination: Account) -> tuple[OurStatement, ...]:
    """What lets the destination's service-linked role decrypt what it copies from the source's vault (aws.md C6)."""
    pair = AccountPair.of(source.account_id, destination)
    principal = {"AWS": f"arn:{destination.partition}:iam::{destination.account_id}:root"}
    return (
        OurStatement(pair.sid("VaultKey"), principal, _USE, formerly=("DestinationAccount",)),
        OurStatement(
            pair.sid("VaultKeyGrants"),
            principal,
            ("kms:CreateGrant", "kms:ListGrants", "kms:RevokeGrant"),
            condition={"Bool": {"kms:GrantIsForAWSResource": "true"}},
            formerly=("DestinationAccountGrants",),
        ),
    )


def destination_vault_key(destination: Account) -> tuple[OurStatement, ...]:
    """What lets the destination's own service-linked role, which does the copying, use its vault's key (aws.md C3).

    It serves all migrations into the account as long as there are recovery points: clean-ups keep it.
    """
    role = "role/aws-service-role/backup.amazonaws.com/AWSServiceRoleForBackup"
    principal = {"AWS": f"arn:{destination.partition}:iam::{destination.account_id}:{role}"}
    actions = ("kms:CreateGrant", *_USE)
    return (OurStatement("TableFerryBackupRole", principal, actions, formerly=("ServiceLinkedRole",), counted=False),)


def job_role(
    account: Account,
    name: str = ROLE,
    permissions_boundary: str = "",
    policy: RolePolicy = MANAGED,
    tables: Sequence[str] = (),
    vaults: Sequence[str] = (),
) -> RoleOptions:
    """The role of AWS Backup on the account's side of a migration, with the ARN of its boundary, "" for none.

    With the ``policy`` ``dynamodb`` it may what ``role_policy.statements`` says of ``tables`` and ``vaults``.
    """
    return RoleOptions(
        name=name,
        trust=OurStatement("TableFerryBackup", {"Service": SERVICE}, ("sts:AssumeRole",), resource="", counted=False),
        policy_arn=f"arn:{account.partition}:iam::aws:policy/service-role/{_POLICIES[account.side]}",
        description=_PURPOSES[account.side],
        permissions_boundary=permissions_boundary,
        inline_name=inline_name(account),
        inline=statements(account, tables, vaults) if policy == DYNAMODB else (),
    )
