# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Creates an air-gapped vault and shares it with another account."""

from __future__ import annotations

from typing import Any

from ...core.change import to_diff
from ...core.methods.backup.air_gapped import AirGappedOptions, apply_air_gapped, plan_air_gapped
from ..accounts import Accounts
from ..spec import BOTH_ACCOUNTS_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    "min_retention_days": {"type": "int", "required": True},
    "max_retention_days": {"type": "int", "required": True},
    "kms_key_arn": {"type": "str", "no_log": False},
    "wait_timeout": {"type": "int", "default": 900},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Create the vault, share it and accept the share, as far as that is not done yet."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    options = AirGappedOptions(
        name=params["name"],
        min_retention_days=params["min_retention_days"],
        max_retention_days=params["max_retention_days"],
        key_arn=params["kms_key_arn"] or "",
        wait=params["wait_timeout"],
    )
    plan = plan_air_gapped(source, destination, options)
    vault = plan.vault if check_mode else apply_air_gapped(source, destination, plan)
    return {
        "changed": bool(plan.changes),
        "vault": vault.to_dict() if vault else {},
        "changes": [change.to_dict() for change in plan.changes],
        "diff": to_diff(plan.changes, f"air-gapped vault {params['name']}"),
    }


VERB = Verb("backup_air_gapped_vault", SPEC, run, services=("backup", "ram", "sts"))
