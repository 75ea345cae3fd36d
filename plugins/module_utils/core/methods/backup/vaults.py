# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Vaults, their access policies, and the recovery points in them (aws.md C2)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from ...account import Account
from ...aws_errors import ALREADY_THERE, NO_RESOURCE, names_no_action
from ...change import Change
from ...destination import read_point_tags
from ...errors import AccessDenied, BackupNotPossible, InvalidInput, ServiceError
from ...statements.marks import own
from ...statements.policy_documents import Policy, Statement, principals_of, statements_of, texts
from ...statements.shared_policy import PolicyPlan, plan_policy
from ...statements.statement import OurStatement
from ...statements.users import ALONE, Users
from ...statements.vault_policy import VaultPolicy
from ...table.definition import Shape, json_safe

COPY_ACTION = "backup:CopyIntoBackupVault"  # all that another account may do in a vault
DEFAULT_VAULT = "default"  # in small letters: no destination of copies (aws.md C2)
USABLE = ("AVAILABLE", "COMPLETED")  # states of a recovery point that can be copied and restored


@dataclass(frozen=True)
class Vault:
    """A backup vault. Retentions are days, 0 where the vault sets none; they bind when it is locked or air-gapped."""

    name: str
    arn: str
    kind: str = "BACKUP_VAULT"
    state: str = "AVAILABLE"
    key_arn: str = ""
    locked: bool = False
    min_retention_days: int = 0
    max_retention_days: int = 0

    @property
    def account_id(self) -> str:
        """Whose it is."""
        return self.arn.split(":")[4]

    @property
    def region(self) -> str:
        """Where it is."""
        return self.arn.split(":")[3]

    def to_dict(self) -> Shape:
        """As JSON-safe data, with names as Ansible writes them."""
        return {
            "name": self.name,
            "arn": self.arn,
            "kind": self.kind,
            "state": self.state,
            "key_arn": self.key_arn,
            "locked": self.locked,
            "min_retention_days": self.min_retention_days,
            "max_retention_days": self.max_retention_days,
        }

    @classmethod
    def from_shape(cls, shape: Mapping[str, Any]) -> Vault:
        """From a member of ListBackupVaults, or DescribeBackupVault's answer."""
        return cls(
            name=shape["BackupVaultName"],
            arn=shape["BackupVaultArn"],
            kind=shape.get("VaultType") or "BACKUP_VAULT",
            state=shape.get("VaultState") or "AVAILABLE",
            key_arn=shape.get("EncryptionKeyArn", ""),
            locked=bool(shape.get("Locked")),
            min_retention_days=int(shape.get("MinRetentionDays") or 0),
            max_retention_days=int(shape.get("MaxRetentionDays") or 0),
        )

    def forbids(self, days: int) -> str:
        """Why a recovery point that is deleted after ``days`` (0: never) cannot lie here, "" when it can."""
        if not (self.locked or self.kind == "LOGICALLY_AIR_GAPPED_BACKUP_VAULT"):
            return ""
        least, most = self.min_retention_days, self.max_retention_days
        if least and days and days < least:
            return f"the vault {self.name} keeps recovery points for at least {least} days, not {days}"
        if most and (not days or days > most):
            return f"the vault {self.name} keeps recovery points for at most {most} days, not {days or 'for ever'}"
        return ""


def list_vaults(account: Account, *, shared: bool = False) -> Iterator[Vault]:
    """The vaults of ``account``, or those that others share with it. Raises what Account.explain gives."""
    request: dict[str, Any] = {"ByShared": True} if shared else {}
    shapes = account.pages("backup", "list_backup_vaults", "BackupVaultList", "listing backup vaults", **request)
    yield from map(Vault.from_shape, map(json_safe, shapes))


def find_vault(account: Account, name: str) -> Vault | None:
    """The vault ``name``, None when there is none.

    Listed rather than described: for a vault that is not there DescribeBackupVault says AccessDenied even to an
    administrator (aws.md C2).
    """
    return next((vault for vault in list_vaults(account) if vault.name == name), None)


# Access policies


def read_policy(account: Account, name: str) -> Policy:
    """The access policy of a vault that is known to exist, {} for none. Raises what Account.explain gives."""
    return VaultPolicy(account, name).read()


def copy_statement(source_account_id: str, partition: str, organization_id: str = "") -> OurStatement:
    """What lets the source account, or every account of the organization, copy recovery points into a vault.

    The account's root is named rather than a role: a role created just now is not a valid principal yet (aws.md C2).
    The Sid is of the account alone: the statement stands in the destination's own vault. The organization's is kept by
    clean-ups: users of it are not counted.
    """
    sid = f"TableFerryCopy{hashlib.sha256((organization_id or source_account_id).encode()).hexdigest()[:12]}"
    if organization_id:
        condition = {"StringEquals": {"aws:PrincipalOrgID": organization_id}}
        return OurStatement(sid, "*", (COPY_ACTION,), condition=condition, counted=False)
    return OurStatement(sid, {"AWS": f"arn:{partition}:iam::{source_account_id}:root"}, (COPY_ACTION,))


def lets_copy(policy: Mapping[str, Any], source_account_id: str, organization_id: str) -> bool:
    """Whether ``policy`` has a statement that lets the account copy into the vault.

    A check before the start, not IAM's decision: conditions other than on the organization count as met.
    """
    return any(_allows_copy(statement, source_account_id, organization_id) for statement in statements_of(policy))


def _allows_copy(statement: Statement, source_account_id: str, organization_id: str) -> bool:
    actions = {action.lower() for action in texts(statement.get("Action"))}
    if statement.get("Effect") != "Allow" or not actions & {COPY_ACTION.lower(), "backup:*", "*"}:
        return False
    if not names_account(statement, source_account_id):
        return False
    for operator, keys in (statement.get("Condition") or {}).items():
        for key, values in keys.items():
            if key.lower() == "aws:principalorgid" and operator.lower().startswith("string"):
                return organization_id in texts(values)
    return True


def names_account(statement: Statement, account_id: str) -> bool:
    """Whether the statement's principals include the account, one of its principals, or everybody."""
    return any(name in ("*", account_id) or f"::{account_id}:" in name for name in principals_of(statement))


def plan_copying(
    account: Account, name: str, statement: OurStatement, *, present: bool = True, users: Users = ALONE
) -> PolicyPlan:
    """The vault's policy with ``statement`` in it, or without it; those of others stay, and ours while others of
    ``users`` need it. Reads only.

    Where there is no such vault, there is no statement to take away: whoever needed it is only counted out.

    Raises BackupNotPossible when there is no vault to put it in, InvalidInput for the Default vault.
    """
    if name.lower() == DEFAULT_VAULT:
        raise InvalidInput("The Default vault takes no copies from other accounts.", "Use another vault.")
    there = find_vault(account, name) is not None
    if present and not there:
        raise BackupNotPossible(
            f"There is no vault {name} in {account.region} of the {account.side} account {account.account_id}.",
            "Create it first: the roles tableferry.aws.source_account and tableferry.aws.destination_account do.",
        )
    statements = [statement]
    return plan_policy(
        VaultPolicy(account, name, there),
        present=statements if present else [],
        absent=[] if present else statements,
        users=users,
    )


# Creating one


@dataclass(frozen=True)
class VaultPlan:
    """The vault ``name``. Where ``vault`` is None it has to be created under ``key_arn`` ("": AWS Backup's own key)."""

    account: Account = field(repr=False)
    name: str
    key_arn: str
    any_key: bool
    vault: Vault | None
    changes: list[Change]


# aws.md C2
_CREATION = (
    "AWS does not say which action is missing. Creating a vault takes, besides backup:CreateBackupVault,"
    " backup-storage:MountCapsule on * and, on {key} through AWS Backup, kms:CreateGrant, kms:Decrypt, kms:DescribeKey,"
    " kms:GenerateDataKey and kms:RetireGrant, by the principal's policies and by the key's."
)


def plan_vault(account: Account, name: str, key_arn: str = "", *, any_key: bool = False) -> VaultPlan:
    """Whether the vault has to be created; reads only. ``any_key``: an existing one is used whatever its key.

    Raises BackupNotPossible for a vault under another key, which cannot be changed; what Account.explain gives.
    """
    vault = find_vault(account, name)
    if vault is None:
        changes = [Change(f"vault {name}", None, {"key_arn": key_arn})]
        return VaultPlan(account, name, key_arn, any_key, None, changes)
    if key_arn and vault.key_arn != key_arn and not any_key:
        raise BackupNotPossible(
            f"The vault {name} of account {account.account_id} is encrypted with {vault.key_arn}, not with {key_arn}.",
            "A vault's key cannot be changed: use another vault, or set no key_arn.",
        )
    return VaultPlan(account, name, key_arn, any_key, vault, [])


def make_vault(plan: VaultPlan) -> Vault:
    """The vault, created if it is missing. If two controllers create it at once, the later one uses the first one's.

    Raises BackupNotPossible, AccessDenied, CredentialsError, ServiceError.
    """
    if plan.vault is not None:
        return plan.vault
    account, name = plan.account, plan.name
    request: dict[str, Any] = {"EncryptionKeyArn": plan.key_arn} if plan.key_arn else {}
    try:
        account.ask(
            "backup",
            "create_backup_vault",
            f"creating the vault {name}",
            missing=ALREADY_THERE,
            BackupVaultName=name,
            BackupVaultTags=own(account),
            **request,
        )
    except AccessDenied as error:
        if not names_no_action(error):
            raise
        key = f"the key {plan.key_arn}" if plan.key_arn else "the key aws/backup"
        raise AccessDenied(error.cause, _CREATION.format(key=key), details=error.details) from error
    made = plan_vault(account, name, plan.key_arn, any_key=plan.any_key).vault
    if made is None:
        raise ServiceError(f"The vault {name} was created, but is not listed yet.", "Run again.")
    return made


# Recovery points


def read_recovery_point(account: Account, vault: str, arn: str, owner: str = "") -> Shape | None:
    """A recovery point as DescribeRecoveryPoint shows it, None when it is gone. ``owner`` of a vault that another
    account shares (aws.md C7). Raises what Account.explain gives."""
    request: dict[str, Any] = {"BackupVaultName": vault, "RecoveryPointArn": arn}
    if owner and owner != account.account_id:
        request["BackupVaultAccountId"] = owner
    doing = f"describing the recovery point {arn}"
    point: Shape | None = json_safe(
        account.ask("backup", "describe_recovery_point", doing, missing=NO_RESOURCE, **request)
    )
    return point


def is_usable(point: Mapping[str, Any] | None) -> bool:
    """Whether a recovery point can be copied and restored."""
    return point is not None and point.get("Status") in USABLE


def is_there(point: Mapping[str, Any] | None) -> bool:
    """Whether a recovery point can be copied and restored, or is about to."""
    return is_usable(point) or (point is not None and point.get("Status") == "CREATING")


def read_tags(account: Account, arn: str) -> dict[str, str]:
    """The tags of a recovery point, {} when it is gone; keys in small letters, because the module that makes backup
    plans writes them with a capital (roles/source_account). Raises what Account.explain gives."""
    tags = read_point_tags(account, arn, f"reading the tags of {arn}")
    return {key.lower(): value for key, value in tags.items()}
