# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores as AWS shows them, and which of them made the table that stands in the destination."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Any, Literal

from ...account import RETRIES, Account
from ...aws_errors import NO_RESOURCE
from ...destination import has_mark, not_ours
from ...errors import (
    RestoreFailed,
)
from ...jobs.job import Job
from ...jobs.tracking import Tracking
from ...record.record import FILL
from ...route import Route
from ...steps.standing import Filling
from ...table.definition import Shape, TableDefinition, json_safe
from ...table_status import require_usable
from .calls import moment, percent_done, state_of
from .failures import UNKNOWN, reported
from .history import RESTORE_STATES, is_completed, is_open, list_restores
from .memory import adopted, begun_since

PURPOSE = "restore"


CLOCKS = timedelta(minutes=2)  # by how much a table's creation may lie before its restore job; never after its end


@dataclass(frozen=True)
class RestoreTarget:
    """What is at the destination's name.

    ``free``: nothing, or a table that a restore of ours has just started to make. ``running`` and ``restored``: a
    restore of ours runs, or has made the table. ``done``: the table carries our mark, which it gets once it was
    counted.
    """

    state: Literal["free", "running", "restored", "done"]
    job: Shape | None = None
    table: TableDefinition | None = None


def look_at_destination(
    destination: Account, route: Route, restores: Iterable[Shape], recovery_points: Collection[str]
) -> RestoreTarget:
    """What is at the destination's name; ``restores`` are the account's restore jobs, ``recovery_points`` those that
    this migration may have restored. Reads only.

    Raises DestinationExists when the table there is not ours (design section 11), RestoreFailed when a restore of ours
    failed and left it, TableUnusable when our copy is being deleted, archived or without its key.
    """
    table = TableDefinition.find(destination, route.destination_table)
    mine = [job for job in restores if _is_of_way(job, destination, route, recovery_points)]
    running = next((job for job in mine if is_open(job)), None)
    if running is not None:
        return RestoreTarget("running", running, table)
    if table is None or is_being_restored(destination, table, route):
        return RestoreTarget("free", table=table)
    if has_mark(destination, table, route.migration_id, route.source_arn):
        require_usable(table.raw)
        return RestoreTarget("done", table=table)
    made = next((job for job in mine if is_completed(job) and _made(job, table)), None)
    if made is not None:
        require_usable(table.raw)
        return RestoreTarget("restored", made, table)
    left = next((job for job in mine if not is_completed(job) and _made(job, table)), None)
    if left is not None:
        raise RestoreFailed(
            f"The restore job {left['RestoreJobId']} ended {state_of(left)} and left the table"
            f" {route.destination_table}: {str(left.get('StatusMessage') or 'AWS gives no reason').rstrip('.')}.",
            "TableFerry keeps it. Fix the cause AWS reports, delete exactly this table yourself, then run again.",
            table=route.source_table,
            details={"job_id": left["RestoreJobId"], "table_id": table.table_id},
        )
    raise not_ours(destination, table, route.source_table)


def is_being_restored(destination: Account, table: TableDefinition, route: Route) -> bool:
    """Whether a restore of our source, which is not listed yet, is making the table: starting that restore again, with
    its token, finds it (measured/backup-restore-service 2.7; of AWS Backup unmeasured)."""
    summary = table.raw.get("RestoreSummary", {})
    place = f"{route.source_region}:{route.source_account_id}:table/{route.source_table}"
    source_arn = f"arn:{destination.partition}:dynamodb:{place}"
    return bool(summary.get("RestoreInProgress")) and summary.get("SourceTableArn") == source_arn


def _is_of_way(job: Shape, destination: Account, route: Route, recovery_points: Collection[str]) -> bool:
    """Whether a restore job is this table's: of one of its recovery points, and not into another table."""
    created = job.get("CreatedResourceArn")
    if created and created != destination.table_arn(route.destination_table):
        return False
    return job.get("RecoveryPointArn") in recovery_points


def _made(job: Shape, table: TableDefinition) -> bool:
    """Whether the completed job made this very table: a table created again has the same ARN
    (measured/backup-restore-service 2.14)."""
    if job.get("CreatedResourceArn") != table.arn:
        return False
    return is_within(table, job.get("CreationDate"), job.get("CompletionDate"))


def is_within(table: TableDefinition, begun_at: Any, ended_at: Any) -> bool:
    """Whether the table was created while a restore job ran. No margin at its end: a restore completes after its table
    is there, and what came later is somebody's."""
    created, begun, ended = moment(table.raw.get("CreationDateTime")), moment(begun_at), moment(ended_at)
    if created is None or begun is None:
        return False
    return begun - CLOCKS <= created and (ended is None or created <= ended)


def look_by_record(destination: Account, record: Tracking, route: Route) -> Job | None:
    """The newest restore of the record's present attempt, as AWS shows it where it may still run. Reads only.

    Where the record knows of no job at all, as after it was lost, a running restore of the same source into the same
    table is it.
    """
    last = record.latest(FILL)
    if last is None and record.record.state == "claimed" and not record.record.jobs:
        return find_running(destination, route)
    if last is None or last.kind != "restore":
        return None
    if last.state == "planned":
        found = find_begun(destination, record, last)
        return described(last, found) if found is not None else last
    return describe_restore(destination, last) if last.open else last


def find_running(destination: Account, route: Route) -> Job | None:
    """The restore of the route's source that runs into its table; None without one."""
    source_arn = f"arn:{destination.partition}{route.source_arn.removeprefix('arn:')}"
    for each in list_restores(destination):
        if (
            is_open(each)
            and each.get("SourceResourceArn") == source_arn
            and is_into(destination, each, route.destination_table)
        ):
            call = {"RecoveryPointArn": each["RecoveryPointArn"]}
            about = {"purpose": PURPOSE, "route": route.to_dict(), "call": call}
            job = Job("restore", route.destination_table, request=about, migration_id=route.migration_id)
            return described(adopted(job, str(each["RestoreJobId"])), each)
    return None


def running_fillings(destination: Account) -> Iterator[Filling]:
    """The restores that run: one list, and a call for each that does. They do not tell of which migration they are."""
    for each in filter(is_open, list_restores(destination)):
        doing = "reading what a restore was asked for"
        asked = destination.ask(
            "backup", "get_restore_job_metadata", doing, missing=NO_RESOURCE, RestoreJobId=each["RestoreJobId"]
        )
        name = str((asked or {}).get("Metadata", {}).get("targetTableName", ""))
        if name:
            source = str(each.get("SourceResourceArn", "")).rpartition("/")[2]
            yield Filling("a restore", name, runs=True, source_table=source)


def is_into(destination: Account, job: Shape, table: str) -> bool:
    """Whether a listed restore job makes ``table``, by what it was asked for; yes where AWS does not say."""
    doing = "reading what a restore was asked for"
    asked = destination.ask(
        "backup", "get_restore_job_metadata", doing, table, missing=NO_RESOURCE, RestoreJobId=job["RestoreJobId"]
    )
    return str((asked or {}).get("Metadata", {}).get("targetTableName", table)) == table


def find_begun(destination: Account, record: Tracking, job: Job) -> Shape | None:
    """The listed restore job that the intention ``job`` has begun: of the same recovery point, and into the same table,
    which GetRestoreJobMetadata tells."""
    call = job.request["call"]
    listed = [each for each in list_restores(destination) if each.get("RecoveryPointArn") == call["RecoveryPointArn"]]
    while (found := begun_since(record, job, listed, "RestoreJobId")) is not None:
        if is_into(destination, found, job.name):
            return found
        listed.remove(found)
    return None


def described(job: Job, description: Mapping[str, Any]) -> Job:
    """``job`` with what a list or DescribeRestoreJob says of it."""
    state = RESTORE_STATES.get(state_of(description), "running")
    ended = state in ("failed", "cancelled")
    return replace(
        job,
        state=state,
        pending_reason="",
        arn=str(description["RestoreJobId"]),
        failure=_failure(
            str(description["RestoreJobId"]), state_of(description), str(description.get("StatusMessage") or "")
        )
        if ended
        else {},
        result={
            "table_arn": description.get("CreatedResourceArn", ""),
            "aws_state": state_of(description),
            "status_message": description.get("StatusMessage") or "",
            "percent_done": percent_done(description),
            "start_time": description.get("CreationDate", ""),
            "end_time": description.get("CompletionDate", ""),
            "bytes": int(description.get("BackupSizeInBytes") or 0),
            "point_time": description.get("RecoveryPointCreationDate", ""),
        },
    )


def _failure(job_id: str, state: str, message: str) -> dict[str, Any]:
    return reported(RestoreFailed, "restore", job_id, state, message)


def describe_restore(destination: Account, job: Job, *, retries: int = RETRIES) -> Job:
    """The restore job's status now. A waiter, which paces its calls itself, asks for no ``retries``."""
    doing = f"describing the restore job {job.arn}"
    description = json_safe(
        destination.ask(
            "backup", "describe_restore_job", doing, missing=NO_RESOURCE, retries=retries, RestoreJobId=job.arn
        )
    )
    if description is None:
        failure = _failure(job.arn, UNKNOWN, "AWS does not know it any more")
        return replace(job, state="failed", failure=failure)
    return described(job, description)


def table_of(table: TableDefinition) -> dict[str, str]:
    """What results have of a table."""
    return {"table_id": table.table_id, "table_arn": table.arn}
