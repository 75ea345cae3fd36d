# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates a vault or uses the existing one, or removes one that TableFerry created."""

from __future__ import annotations

from typing import Any

from ...core.account import Account
from ...core.methods.backup.vault_removal import apply_vault_removal, plan_vault_removal
from ...core.methods.backup.vaults import make_vault, plan_vault
from ..accounts import Accounts
from ..changing import changed
from ..spec import ONE_ACCOUNT_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **ONE_ACCOUNT_OPTIONS,
    "vault": {"type": "str", "required": True},
    "key_arn": {"type": "str", "no_log": False},
    "any_key": {"type": "bool", "default": False},
    "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
    "leaving_account_id": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Look for the vault, then create it if it is missing, or remove it if nobody needs it."""
    account = Accounts(params).get(params["side"], params["account"])
    if params["state"] == "absent":
        return _remove(account, params["vault"], params["leaving_account_id"] or "", check_mode)
    plan = plan_vault(account, params["vault"], params["key_arn"] or "", any_key=params["any_key"])
    vault = plan.vault if check_mode else make_vault(plan)
    return changed(plan.changes, f"vault {params['vault']}", vault=vault.to_dict() if vault else {}, left=[])


def _remove(account: Account, name: str, leaving: str, check_mode: bool) -> dict[str, Any]:
    plan = plan_vault_removal(account, name, leaving if check_mode else "")
    left = plan.left if check_mode else apply_vault_removal(plan)
    changes = plan.changes if check_mode or not left else []
    return changed(changes, f"vault {name}", vault={}, left=[entry.to_dict() for entry in left])


VERB = Verb("backup_vault", SPEC, run, services=("backup", "kms", "sts"))
