# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backups as AWS shows them, and which of them serves a table's migration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ...account import RETRIES, Account
from ...aws_errors import NO_RESOURCE
from ...errors import BackupFailed, TableBroken
from ...jobs.job import Job
from ...jobs.tracking import Tracking
from ...route import Route
from ...table.definition import Shape, json_safe
from .calls import (
    percent_done,
    state_of,
)
from .failures import UNKNOWN, reported
from .history import (
    BACKUP_STATES,
)
from .memory import (
    begun_since,
)
from .restore_status import look_by_record

PURPOSE = "backup"


def restored_by_record(destination: Account, record: Tracking, route: Route) -> str | None:
    """From which recovery point the table was restored, or is being restored; None before that. Raises TableBroken."""
    if record.record.state == "broken":
        raise TableBroken(
            str(record.record.evidence.get("broken", "")), record.record.next or "Run again.", table=record.name
        )
    last = look_by_record(destination, record, route)
    if record.record.state != "claimed" or (last is not None and last.state in ("running", "completed")):
        return str(last.request.get("call", {}).get("RecoveryPointArn", "")) if last is not None else ""
    return None


def last_by_record(source: Account, record: Tracking, backups: list[Shape]) -> Job | None:
    """The newest backup of the record's present attempt, as AWS shows it where it may still run."""
    last = record.latest(PURPOSE)
    if last is not None and not last.arn and last.state == "planned":
        found = begun_since(record, last, reversed(backups), "BackupJobId")
        return described(last, found) if found is not None else last
    return describe_backup(source, last) if last is not None and last.open else last


def described(job: Job, description: Mapping[str, Any]) -> Job:
    """``job`` with what a list or DescribeBackupJob says of it."""
    state = BACKUP_STATES.get(state_of(description), "running")
    ended = state in ("failed", "cancelled")
    # What a backup plan made keeps the plan's vault, not that of the options.
    call = {
        **job.request["call"],
        "BackupVaultName": description.get("BackupVaultName", job.request["call"]["BackupVaultName"]),
    }
    return replace(
        job,
        state=state,
        pending_reason="",
        arn=str(description["BackupJobId"]),
        request={**job.request, "call": call},
        failure=_failure(
            str(description["BackupJobId"]), state_of(description), str(description.get("StatusMessage") or "")
        )
        if ended
        else {},
        result={
            "recovery_point_arn": description.get("RecoveryPointArn", ""),
            "aws_state": state_of(description),
            "percent_done": percent_done(description),
            "status_message": description.get("StatusMessage") or "",
            "start_time": description.get("CreationDate", ""),
            "end_time": description.get("CompletionDate", ""),
            "bytes": int(description.get("BackupSizeInBytes") or 0),
            "created_by_plan": (description.get("CreatedBy") or {}).get("BackupPlanName", ""),
        },
    )


def _failure(job_id: str, state: str, message: str) -> dict[str, Any]:
    return reported(BackupFailed, "backup", job_id, state, message)


def describe_backup(source: Account, job: Job, *, retries: int = RETRIES) -> Job:
    """The backup job's status now. A waiter, which paces its calls itself, asks for no ``retries``."""
    doing = f"describing the backup job {job.arn}"
    description = json_safe(
        source.ask("backup", "describe_backup_job", doing, missing=NO_RESOURCE, retries=retries, BackupJobId=job.arn)
    )
    if description is None:
        failure = _failure(job.arn, UNKNOWN, "AWS does not know it any more")
        return replace(job, state="failed", failure=failure)
    return described(job, description)
