# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backs up a table with AWS Backup."""

from __future__ import annotations

from typing import Any

from ...core.methods.backup.backup_jobs import BackupOptions, plan_backup, start_backup
from ...core.methods.options import BackupChoices
from ..accounts import Accounts
from ..spec import KEY_MAP_OPTIONS, LIFECYCLE_OPTIONS, STARTING_OPTIONS, Progress, Verb, account_option, given
from ..starting import finished, start_result

SPEC: dict[str, Any] = {
    **STARTING_OPTIONS,
    **KEY_MAP_OPTIONS,
    **LIFECYCLE_OPTIONS,
    "name": {"type": "str", "required": True},
    "source": account_option(required=True),
    "destination": account_option(),
    "destination_table": {"type": "str"},
    "vault": {"type": "str", "default": "tableferry"},
    "role": {"type": "str"},
    "destination_vault": {"type": "str", "default": "tableferry"},
    "restore": {"type": "bool", "default": True},
    "restore_role": {"type": "str"},
    "air_gapped_vault": {"type": "str"},
    "plan": {"type": "str"},
    "copy_delete_after_days": {"type": "int", "default": 7},
    "start_window_minutes": {"type": "int", "default": 60},
    "complete_window_minutes": {"type": "int", "default": 0},
    "backup_max_age": {"type": "int", "default": 86400},
}

_SAME_NAME = ("destination_table", "migration_id", "kms_key_map")
_CHOICES = (
    "vault",
    "role",
    "destination_vault",
    "restore",
    "restore_role",
    "air_gapped_vault",
    "plan",
    "copy_delete_after_days",
    "start_window_minutes",
    "complete_window_minutes",
    *LIFECYCLE_OPTIONS,
)


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Find the backup of an earlier run, or start one."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.find("destination", params["destination"])
    choices = BackupChoices(max_age=params["backup_max_age"], **given(params, _CHOICES))
    options = BackupOptions(table=params["name"], choices=choices, **given(params, _SAME_NAME))
    plan = plan_backup(source, destination, options)
    job = plan.job.foreseen if check_mode else start_backup(source, plan)
    if params["wait"] and not check_mode:
        job = finished(job, source, destination, params["wait_timeout"], progress)
    result = start_result(job, plan.changes, plan.obstacle if check_mode else None)
    result["table"] = plan.definition.to_dict()
    warnings = [*plan.warnings, *result.get("warnings", ())]
    return {**result, "warnings": warnings} if warnings else result


VERB = Verb("backup_job", SPEC, run, services=("backup", "dynamodb", "iam", "kms", "organizations", "sts"))
