# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing the recovery points of a table, where that is asked for."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from ...account import Account
from ...aws_errors import NO_RESOURCE
from ...change import RECOVERY_POINT, Change, NotCarried
from ...errors import StillRunning
from ...jobs.entries import job_of_entry
from ...jobs.job import Job
from ...jobs.tracking import Tracking
from ...record.intention import BACKUP_TOKEN
from ...record.record import Record
from ...record.removal import GIVE_UP
from ...steps.claiming import data_removed
from ...table.definition import Shape, TableDefinition
from ..options import VAULT
from . import backup_status, copy_jobs, restore_status
from .air_gapped import AIR_GAPPED
from .backup_status import describe_backup
from .calls import MIGRATION_TAG, vault_arn
from .copy_jobs import describe_copy
from .history import is_completed, is_open, list_backups, list_copies
from .memory import KEPT, begun_since
from .restore_status import describe_restore, find_begun
from .vaults import find_vault, list_vaults, read_recovery_point, read_tags

METHOD = "backup"
KINDS = ("backup", "copy", "restore")
LOOK = 3.0  # seconds between looks at a recovery point that is being deleted


@dataclass(frozen=True)
class BackupCleanupOptions:
    """Whose recovery points, and where they are. They stay unless ``remove_recovery_points``, and where a run is to go
    on with the table unless ``abandon``; ``wait`` is seconds. ``recorded_only``: nothing is looked for where the record
    of the table knows no backup, copy or restore."""

    table: str
    vault: str = VAULT
    destination_vault: str = VAULT
    migration_id: str = "default"
    remove_recovery_points: bool = False
    wait: float = 300.0
    abandon: bool = False
    recorded_only: bool = False


@dataclass(frozen=True)
class Point:
    """A recovery point to remove; ``side`` says whose vault it lies in."""

    side: str
    vault: str
    arn: str


@dataclass(frozen=True)
class BackupCleanupPlan:
    """What goes and what stays, with the reason. ``over`` are the jobs that are open in the record and that AWS showed
    as ended, or never begun, at ``listed_at``; ``recorded``: the record has jobs of AWS Backup."""

    points: tuple[Point, ...]
    changes: list[Change]
    left: list[NotCarried]
    over: tuple[Job, ...] = ()
    listed_at: float = 0.0
    recorded: bool = False


def plan_backup_cleanup(
    source: Account, destination: Account, options: BackupCleanupOptions, record: Tracking | None = None
) -> BackupCleanupPlan:
    """What cleaning up would remove; reads only. ``record`` is the table's, where there is one: its jobs count too.

    Recovery points are ours by their tag, copies by their copy job or their tag. What lies in an air-gapped vault
    cannot be deleted before it expires, and is listed. Raises StillRunning while a job works on one, AccessDenied,
    CredentialsError, ServiceError.
    """
    if record is not None and record.record.migration != options.migration_id:
        record = None
    recorded = record is not None and any(job.kind in KINDS for job in record.record.jobs)
    if options.recorded_only and not recorded:
        return BackupCleanupPlan((), [], [])
    arn = source.table_arn(options.table)
    listed_at = record.now() if record is not None and record.may_write else 0.0
    over = _over(source, destination, options, record, listed_at) if record is not None else ()
    kept = _awaited(record.record) if record is not None and not options.abandon else ""
    vaults = _vaults(destination, options, record)
    copies = [copy for vault in vaults.there for copy in list_copies(source, arn, vault_arn(destination, vault))]
    running = next((copy for copy in copies if is_open(copy)), None)
    if running is not None:
        raise StillRunning(
            f"The copy {running['CopyJobId']} is still running.",
            "Wait for it to end, then clean up.",
            table=options.table,
        )
    air_gapped = [vault.name for vault in list_vaults(source) if vault.kind == AIR_GAPPED]
    here = {
        vault: _ours(source, vault, arn, options.migration_id, ()) for vault in vaults.here if vault not in air_gapped
    }
    originals = {str(point["RecoveryPointArn"]) for points in here.values() for point in points}
    made = {
        str(copy.get("DestinationRecoveryPointArn"))
        for copy in copies
        if is_completed(copy) and copy.get("SourceRecoveryPointArn") in originals
    }
    there = {vault: _ours(destination, vault, arn, options.migration_id, made) for vault in vaults.there}
    points: list[Point] = []
    changes: list[Change] = []
    left: list[NotCarried] = _undeletable(source, air_gapped, arn, options.migration_id)
    for side, vault, in_vault in (
        *(("destination", vault, in_vault) for vault, in_vault in there.items()),
        *(("source", vault, in_vault) for vault, in_vault in here.items()),
    ):
        for point in in_vault:
            what = f"{RECOVERY_POINT}{point['RecoveryPointArn']} in the {side}'s vault {vault}"
            if not options.remove_recovery_points:
                left.append(NotCarried(what, f"kept{_until(point)}; AWS charges for it until then"))
                continue
            if kept:
                left.append(NotCarried(what, kept))
                continue
            before = {"created": point.get("CreationDate", ""), "bytes": int(point.get("BackupSizeInBytes") or 0)}
            changes.append(Change(what, before, None, "destructive"))
            points.append(Point(side, vault, str(point["RecoveryPointArn"])))
    return BackupCleanupPlan(tuple(points), changes, left, over, listed_at, recorded)


@dataclass(frozen=True)
class _Vaults:
    """The names of the vaults in which a table's recovery points may lie, in the source and in the destination."""

    here: tuple[str, ...]
    there: tuple[str, ...]


def _vaults(destination: Account, options: BackupCleanupOptions, record: Tracking | None) -> _Vaults:
    """The vaults of the options, and those that earlier runs used by the table's ``record``: options may name others by
    now."""
    here, there = {options.vault: None}, {options.destination_vault: None}
    for entry in record.record.jobs if record is not None else ():
        call = job_of_entry(entry).request.get("call", {}) if entry.kind in KINDS else {}
        here |= {str(call[member]): None for member in ("BackupVaultName", "SourceBackupVaultName") if member in call}
        arn = str(call.get("DestinationBackupVaultArn", ""))
        name = arn.rpartition(":")[2]
        if name and arn == vault_arn(destination, name):
            there[name] = None
    return _Vaults(tuple(here), tuple(there))


def _over(
    source: Account, destination: Account, options: BackupCleanupOptions, record: Tracking, listed_at: float
) -> tuple[Job, ...]:
    """The jobs of AWS Backup that are open in the table's ``record`` and over on AWS. Raises StillRunning for one that
    runs, that may be begun, or that has made a table which no run has looked at yet."""
    found = []
    for job in record.open_jobs(KINDS):
        now = _as_it_is(source, destination, job, record)
        why = ""
        if now.open:
            why = f"{now.arn} is still running"
        elif not now.arn and not record.was_never_begun(now, BACKUP_TOKEN, listed_at):
            why = "may still be begun"
        elif now.kind == "restore" and now.arn:
            why = f"{now.arn} has ended, and no run has looked at its result yet"
        if why:
            raise StillRunning(
                f"The {now.kind} {why}.",
                "Wait for its end, then clean up again."
                if record.record.is_done
                else f"Run migrate, which brings the table to its end, or wait for that of the {now.kind}. Then clean"
                " up again.",
                table=options.table,
                details={"job_id": now.arn},
            )
        found.append(now)
    return tuple(found)


def _as_it_is(source: Account, destination: Account, job: Job, record: Tracking) -> Job:
    """``job`` with its status now; unchanged where its answer was lost and AWS lists nothing that it may be."""
    if not job.arn:
        return _found(source, destination, job, record) or job
    if job.kind == "restore":
        return describe_restore(destination, job)
    return describe_copy(source, job) if job.kind == "copy" else describe_backup(source, job)


def _found(source: Account, destination: Account, job: Job, record: Tracking) -> Job | None:
    """The job that an intention without an answer has begun, by AWS's lists; None where they show none."""
    call = job.request["call"]
    if job.kind == "restore":
        found = find_begun(destination, record, job)
        return restore_status.described(job, found) if found is not None else None
    if job.kind == "copy":
        point = call["RecoveryPointArn"]
        copies = list_copies(source, str(job.request["source"]["table_arn"]), str(call["DestinationBackupVaultArn"]))
        listed = [copy for copy in reversed(copies) if copy.get("SourceRecoveryPointArn") == point]
        found = begun_since(record, job, listed, "CopyJobId")
        return copy_jobs.described(job, found) if found is not None else None
    table = TableDefinition.find(source, job.name)
    backups = list_backups(source, table, {str(call["BackupVaultName"])}) if table is not None else []
    found = begun_since(record, job, reversed(backups), "BackupJobId")
    return backup_status.described(job, found) if found is not None else None


def _awaited(record: Record) -> str:
    """Why the recovery points of a table stay that a run is to go on with by AWS Backup; empty where they may go."""
    if record.method != METHOD or not record.is_under_way:
        return ""
    return f"kept: the table is not finished ({record.state}): run migrate to its end, or {GIVE_UP}"


def _ours(account: Account, vault: str, table_arn: str, migration_id: str, known: Iterable[str]) -> list[Shape]:
    """The recovery points of the table in a vault that are of this migration."""
    if find_vault(account, vault) is None:
        return []
    points = account.pages(
        "backup",
        "list_recovery_points_by_backup_vault",
        "RecoveryPoints",
        f"listing recovery points of {vault}",
        BackupVaultName=vault,
        ByResourceArn=table_arn,
    )
    known = set(known)
    return [
        point
        for point in points
        if point["RecoveryPointArn"] in known
        or read_tags(account, point["RecoveryPointArn"]).get(MIGRATION_TAG) == migration_id
    ]


def _undeletable(source: Account, air_gapped: Iterable[str], table_arn: str, migration_id: str) -> list[NotCarried]:
    return [
        NotCarried(
            f"{RECOVERY_POINT}{point['RecoveryPointArn']} in the air-gapped vault {vault}",
            f"nobody can delete it before it expires{_until(point)}",
        )
        for vault in air_gapped
        for point in _ours(source, vault, table_arn, migration_id, ())
    ]


def _until(point: Shape) -> str:
    day = str((point.get("CalculatedLifecycle") or {}).get("DeleteAt", ""))[:10]
    return f", until {day}" if day else ", without end: it has no lifecycle"


def apply_backup_cleanup(
    source: Account,
    destination: Account,
    options: BackupCleanupOptions,
    plan: BackupCleanupPlan,
    record: Tracking | None = None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> dict[str, Any]:
    """Delete the recovery points of ``plan`` and wait until they are gone: {recovery_points_removed, left}.

    In the table's ``record``, which this run holds, jobs that are over are closed.

    AWS answers 200 to a deletion that it cannot carry out, as without the role that made the point; the point is then
    EXPIRED and still billed (aws.md C3). Raises AccessDenied, CredentialsError, ServiceError.
    """
    if record is not None:
        for job in plan.over:
            record.close(job, BACKUP_TOKEN, plan.listed_at, KEPT)
    accounts = {"source": source, "destination": destination}
    for point in plan.points:
        account = accounts[point.side]
        account.ask(
            "backup",
            "delete_recovery_point",
            f"deleting the recovery point {point.arn}",
            options.table,
            missing=NO_RESOURCE,
            BackupVaultName=point.vault,
            RecoveryPointArn=point.arn,
        )
    end = clock() + options.wait
    open_points = dict.fromkeys(plan.points, "")
    while open_points:
        for point in list(open_points):
            description = read_recovery_point(accounts[point.side], point.vault, point.arn)
            open_points[point] = str((description or {}).get("Status", ""))
            if description is None:
                del open_points[point]
        if not open_points or clock() >= end or all(status == "EXPIRED" for status in open_points.values()):
            break
        sleep(LOOK)
    left = [
        NotCarried(
            f"{RECOVERY_POINT}{point.arn} in the {point.side}'s vault {point.vault}",
            f"AWS accepted its deletion, but it is {status}: the role that made it must exist and be allowed to delete",
        )
        for point, status in open_points.items()
    ]
    if record is not None and plan.recorded and plan.points and not left:
        data_removed(record, KINDS)
    return {"recovery_points_removed": len(plan.points) - len(left), "left": left}
