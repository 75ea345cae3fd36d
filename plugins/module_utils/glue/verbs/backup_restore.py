# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores a recovery point into a new table."""

from __future__ import annotations

from typing import Any

from ...core.methods.backup.restore_jobs import RestoreOptions, plan_restore, start_restore
from ...core.methods.options import BackupChoices
from ...core.migration import job_from
from ..accounts import Accounts
from ..spec import BOTH_ACCOUNTS_OPTIONS, KEY_MAP_OPTIONS, STARTING_OPTIONS, Progress, Verb, given
from ..starting import finished, start_result

SPEC: dict[str, Any] = {
    **STARTING_OPTIONS,
    **KEY_MAP_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    "source_table": {"type": "str"},
    "copy": {"type": "dict"},
    "recovery_point_arn": {"type": "str"},
    "role": {"type": "str"},
}

_SAME_NAME = ("source_table", "recovery_point_arn", "kms_key_map", "migration_id")


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Find the restore of an earlier run, or start one."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    copy = job_from(params["copy"]) if params["copy"] else None
    choices = BackupChoices(restore_role=params["role"] or "")
    options = RestoreOptions(table=params["name"], copy=copy, choices=choices, **given(params, _SAME_NAME))
    plan = plan_restore(source, destination, options)
    job = plan.job.foreseen if check_mode else start_restore(destination, plan)
    if params["wait"] and not check_mode:
        job = finished(job, source, destination, params["wait_timeout"], progress)
    return start_result(job, plan.changes)


VERB = Verb(
    "backup_restore",
    SPEC,
    run,
    services=("backup", "dynamodb", "kms", "sts"),
    rules={
        "required_one_of": [("copy", "recovery_point_arn")],
        "mutually_exclusive": [("copy", "recovery_point_arn")],
    },
)
