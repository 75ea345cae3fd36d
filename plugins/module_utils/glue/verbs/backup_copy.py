# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies a recovery point to the vault of the other account."""

from __future__ import annotations

from typing import Any

from ...core.methods.backup.copy_jobs import RecoveryPointCopyOptions, plan_copy, start_copy
from ...core.methods.options import BackupChoices
from ...core.migration import job_from
from ..accounts import Accounts
from ..spec import BOTH_ACCOUNTS_OPTIONS, LIFECYCLE_OPTIONS, STARTING_OPTIONS, Progress, Verb, given
from ..starting import finished, start_result

SPEC: dict[str, Any] = {
    **STARTING_OPTIONS,
    **LIFECYCLE_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    "backup": {"type": "dict", "required": True},
    "destination_vault": {"type": "str", "default": "tableferry"},
    "role": {"type": "str"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Find the copy of an earlier run, or start one."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    choices = BackupChoices(
        **{f"copy_{name}": params[name] for name in LIFECYCLE_OPTIONS}, **given(params, ("destination_vault", "role"))
    )
    options = RecoveryPointCopyOptions(params["name"], job_from(params["backup"]), params["migration_id"], choices)
    plan = plan_copy(source, destination, options)
    job = plan.job.foreseen if check_mode else start_copy(source, plan)
    if params["wait"] and not check_mode:
        job = finished(job, source, destination, params["wait_timeout"], progress)
    return start_result(job, plan.changes)


VERB = Verb("backup_copy", SPEC, run, services=("backup", "sts"))
