# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes a vault that TableFerry created, when it is empty and no other account is let in any more."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

from ...account import Account
from ...aws_errors import BAD_BACKUP_REQUEST, NO_RESOURCE
from ...change import Change, NotCarried
from ...errors import FerryError
from ...statements.key_policy import KeyPolicy
from ...statements.marks import is_marked
from ...statements.policy_documents import Policy, Statement, principals_of, statements_of
from .air_gapped import AIR_GAPPED
from .vaults import Vault, find_vault, read_policy, read_tags

_ACCOUNT = re.compile(r"\b\d{12}\b")


@dataclass(frozen=True)
class VaultRemoval:
    """What becomes of the vault ``name``: a change where it goes, an entry in ``left`` where it stays, neither where
    there is none."""

    account: Account = field(repr=False)
    name: str
    changes: list[Change]
    left: list[NotCarried]


def plan_vault_removal(account: Account, name: str, leaving: str = "") -> VaultRemoval:
    """Whether the vault can go; reads only.

    It stays when it is air-gapped or not ours, when it holds recovery points, and while its policy, or in the source
    that of its key, names other accounts: their migrations use it. ``leaving`` is the account whose statements are
    about to go, and do not count: for check mode.

    Raises PolicyNotReadable, AccessDenied, CredentialsError, ServiceError.
    """
    vault = find_vault(account, name)
    if vault is None:
        return VaultRemoval(account, name, [], [])
    if reason := _why_it_stays(account, vault, leaving):
        return VaultRemoval(account, name, [], [_kept(account, name, reason)])
    change = Change(f"vault {name}", {"arn": vault.arn}, None, "destructive")
    return VaultRemoval(account, name, [change], [])


def apply_vault_removal(plan: VaultRemoval) -> list[NotCarried]:
    """Carry ``plan`` out; what is left. AWS refuses a vault that got a recovery point meanwhile: it stays.

    Raises AccessDenied, CredentialsError, ServiceError.
    """
    if not plan.changes:
        return plan.left
    doing = f"removing the vault {plan.name}"
    try:
        plan.account.ask("backup", "delete_backup_vault", doing, missing=NO_RESOURCE, BackupVaultName=plan.name)
    except FerryError as error:
        if error.details.get("code") not in BAD_BACKUP_REQUEST:
            raise
        return [_kept(plan.account, plan.name, f"AWS refuses to remove it: {error.cause}")]
    return []


def _kept(account: Account, name: str, reason: str) -> NotCarried:
    return NotCarried(f"vault {name} of the {account.side} account {account.account_id}", reason)


def _why_it_stays(account: Account, vault: Vault, leaving: str) -> str:
    if vault.kind == AIR_GAPPED:
        return "it is air-gapped, and never removed by TableFerry"
    if not is_marked(read_tags(account, vault.arn)):
        return "TableFerry did not create it"
    if _has_points(account, vault.name):
        return "it holds recovery points"
    others = _strangers(read_policy(account, vault.name), account.account_id, leaving)
    # In the source the key tells who copies from the vault; in the destination only the vault's policy does.
    if account.side == "source" and vault.key_arn:
        others |= _strangers(KeyPolicy(account, vault.key_arn).read(), account.account_id, leaving)
    if others:
        return f"its policy, or that of its key, still names others ({', '.join(sorted(others))}), who may use it"
    return ""


def _has_points(account: Account, name: str) -> bool:
    request: dict[str, Any] = {"BackupVaultName": name}
    doing = f"listing recovery points of {name}"
    points = account.pages("backup", "list_recovery_points_by_backup_vault", "RecoveryPoints", doing, **request)
    return next(points, None) is not None


def _strangers(policy: Policy, own: str, leaving: str) -> set[str]:
    """The accounts besides ``own`` and ``leaving`` that a policy allows something, ``*`` for everybody."""
    allowing = [each for each in statements_of(policy) if each.get("Effect") == "Allow"]
    return {name for each in allowing for name in _named(each)} - {own, leaving}


def _named(statement: Statement) -> set[str]:
    """The accounts of a statement's principals; a principal without an account stays as it is."""
    return {found[0] if (found := _ACCOUNT.findall(name)) else name for name in principals_of(statement)}
