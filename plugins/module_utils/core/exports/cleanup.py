# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing what a migration left behind: staged data, point-in-time recovery that it turned on."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from ..account import Account
from ..change import NOT_THERE, Change, NotCarried
from ..errors import InvalidInput, MissingTable, StillRunning
from ..jobs.entries import job_of_entry
from ..jobs.job import Job
from ..jobs.tracking import Tracking
from ..record.intention import CLIENT_TOKEN, Window
from ..record.record import table_key
from ..record.store import RecordStore
from ..route import Route
from ..steps.claiming import data_removed
from ..table.definition import TableDefinition
from ..table.ownership import read_tags
from .export_request import KIND
from .export_request import PURPOSE as EXPORT
from .export_status import look_up
from .loading import Loader
from .lost import PROBE, running_export
from .manifest import FOLDER
from .memory import KEPT
from .recovery import RECOVERY_TAG, read_recovery
from .shared import needed_by, withdraw
from .staging import BucketMissing, StagingBucket, StoredObject


@dataclass(frozen=True)
class CleanupOptions:
    """What to remove of one table's migration. ``table`` is the source table; staged data is removed, the rest only
    when asked for. Without a source account its id and Region are needed. ``recorded_only``: nothing is looked for
    where the table's record knows no export and no job that loads one.
    """

    table: str
    bucket: str
    destination_table: str = ""
    bucket_owner: str = ""
    migration_id: str = "default"
    source_account_id: str = ""
    source_region: str = ""
    disable_point_in_time_recovery: bool = False
    recorded_only: bool = False


@dataclass(frozen=True)
class SharedExports:
    """The exports below ``prefix``, which other destination tables than ``table`` may need too."""

    store: RecordStore = field(repr=False)
    table: str
    source_arn: str
    migration: str
    prefix: str

    def needed_by(self) -> list[str]:
        """The other tables that still need one."""
        return needed_by(self.store, self.table, self.source_arn, self.migration, self.prefix)

    def withdraw(self) -> list[str]:
        """No other table uses them from now on; those that still need one, where there are any."""
        return withdraw(self.store, self.table, self.source_arn, self.migration, self.prefix)


@dataclass(frozen=True)
class Files:
    """Staged objects of one bucket (``StagingBucket.to_dict``), by key, and the ``exports`` that they are of."""

    bucket: dict[str, str]
    keys: tuple[str, ...] = field(repr=False)
    exports: SharedExports | None = None


@dataclass(frozen=True)
class CleanupPlan:
    """What will be removed: objects by key, and point-in-time recovery. ``warnings`` are for the user, ``needed_by``
    are the other destination tables for whose sake the objects stay. ``over`` are the jobs that are open in the record
    and that AWS showed as ended, or never begun, at ``listed_at``; ``loaders`` know those that are no exports.
    ``recorded_kinds`` are those of the exports, and of the jobs that load them, that the record has; ``gone``:
    afterwards nothing is left of what they brought.
    """

    changes: list[Change]
    left: list[NotCarried]
    warnings: list[str]
    files: tuple[Files, ...] = ()
    recovery_of: str = ""
    needed_by: tuple[str, ...] = ()
    over: tuple[Job, ...] = ()
    listed_at: float = 0.0
    recorded_kinds: tuple[str, ...] = ()
    gone: bool = False
    loaders: tuple[Loader, ...] = field(default=(), repr=False)

    @property
    def recorded(self) -> bool:
        """Whether the record has exports, or jobs that load them."""
        return bool(self.recorded_kinds)


def kinds_of(loaders: Iterable[Loader]) -> dict[str, tuple[Window, Collection[str]]]:
    """The kinds of jobs that use staged data, exports and those of the ``loaders``: until when such a job may be begun,
    and what of its request stays in the record when it has ended."""
    return {KIND: (CLIENT_TOKEN, KEPT), **{loader.kind: (loader.window, loader.kept) for loader in loaders}}


def plan_cleanup(
    source: Account | None,
    destination: Account,
    options: CleanupOptions,
    loaders: Sequence[Loader],
    record: Tracking | None = None,
    store: RecordStore | None = None,
) -> CleanupPlan:
    """What cleaning up would remove; reads only. ``record`` is the table's, where there is one: its jobs count too.
    ``loaders`` are those of all methods: whatever still reads the staged data keeps it.

    Where the ``store`` has the records, what other destination tables still need is left. What exports of the record
    brought into another bucket than the one of the ``options`` goes too.

    Raises StillRunning while a job runs, StagingBucketUnusable, InvalidInput, AccessDenied, CredentialsError.
    """
    account_id = options.source_account_id or (source.account_id if source else "")
    region = options.source_region or (source.region if source else "")
    if not account_id or not region:
        raise InvalidInput(
            "The source account is not known.",
            "Set source, or source_account_id and source_region.",
            table=options.table,
        )
    route = Route(
        source_account_id=account_id,
        source_region=region,
        source_table=options.table,
        destination_account_id=destination.account_id,
        destination_region=destination.region,
        destination_table=options.destination_table or options.table,
        migration_id=options.migration_id,
    )
    if record is not None and record.record.migration != options.migration_id:
        record = None
    kinds = kinds_of(loaders)
    recorded = {job.kind for job in record.record.jobs if job.kind in kinds} if record is not None else set()
    known = bool(recorded)
    if options.recorded_only and not known:
        return CleanupPlan([], [], [])
    changes: list[Change] = []
    left: list[NotCarried] = []
    warnings: list[str] = []
    files: list[Files] = []
    listed_at = record.now() if record is not None and record.may_write else 0.0
    over = _over(source, destination, record, loaders, options.table, listed_at) if record is not None else ()
    shared = {prefix: _shared_exports(destination, route, prefix, store) for prefix in _prefixes(record, route)}
    needing = {prefix: exports.needed_by() if exports else [] for prefix, exports in shared.items()}
    if not known:
        _check_ended(source, destination, loaders, route)
    for prefix in list(shared)[1:]:
        _check_other(source, destination, loaders, route, prefix, store)
    for bucket in _buckets(destination, options, record):
        try:
            found = {prefix: _stored(bucket, prefix, route, record) for prefix in shared}
        except BucketMissing:
            left.append(NotCarried(f"bucket {bucket.name}", NOT_THERE))
            continue
        for prefix, stored in found.items():
            if stored and needing[prefix]:
                left.append(_needed(bucket.name, prefix, needing[prefix]))
            elif stored:
                before = {"objects": len(stored), "bytes": sum(entry.size for entry in stored)}
                changes.append(Change(f"s3://{bucket.name}/{prefix}/", before, None, "destructive"))
                files.append(Files(bucket.to_dict(), tuple(entry.key for entry in stored), shared[prefix]))
                if bucket.keeps_versions():
                    left.append(_versions(bucket.name, f"{prefix}/"))
    if files and record is not None and _is_awaited(record, over):
        warnings.append(
            f"{options.table}: its migration is not finished, and the staged data goes: the next run exports the table"
            " again, which AWS bills."
        )
    recovery_of = _plan_recovery(source, options, changes, left, warnings)
    needed = dict.fromkeys(table for tables in needing.values() for table in tables)
    gone = record is not None and known and not needed
    return CleanupPlan(
        changes,
        left,
        warnings,
        tuple(files),
        recovery_of,
        tuple(needed),
        over,
        listed_at,
        tuple(sorted(recorded)),
        gone,
        tuple(loaders),
    )


def _prefixes(record: Tracking | None, route: Route) -> list[str]:
    """Where exports of the ``route`` lie: its own prefix first, then those of other destination tables of its source
    whose exports the table of the ``record`` has used."""
    jobs = _exports_used(record, route)
    used = [str(job.request.get("call", {}).get("S3Prefix", "")) for job in jobs]
    return list(dict.fromkeys(filter(None, (route.export_prefix, *used))))


def _exports_used(record: Tracking | None, route: Route) -> list[Job]:
    """The exports in the ``record`` that are of the source of the ``route``."""
    jobs = [job_of_entry(job) for job in record.record.jobs if job.purpose == EXPORT] if record is not None else []
    of_source = f":table/{route.source_table}"
    return [job for job in jobs if str(job.request.get("source", {}).get("table_arn", of_source)).endswith(of_source)]


def _stored(bucket: StagingBucket, prefix: str, route: Route, record: Tracking | None) -> list[StoredObject]:
    """What is to go of what lies below ``prefix``: everything where it is that of the ``route``; elsewhere the exports
    that the table of the ``record`` has used, and the probe where nothing else is there."""
    stored = list(bucket.objects(f"{prefix}/"))
    if prefix == route.export_prefix:
        return stored
    ids = [job.arn.rpartition("/")[2] for job in _exports_used(record, route) if job.arn]
    folders = tuple(f"{prefix}/{FOLDER}{export_id}/" for export_id in ids)
    going = [entry for entry in stored if entry.key.startswith(folders)]
    others = [entry.key for entry in stored if not entry.key.startswith(folders)]
    return stored if others == [f"{prefix}/{FOLDER}{PROBE}"] else going


def _check_other(
    source: Account | None,
    destination: Account,
    loaders: Sequence[Loader],
    route: Route,
    prefix: str,
    store: RecordStore | None,
) -> None:
    """No job of the table whose ``prefix`` this is may still use the data, where no record says what that table needs.
    Raises StillRunning."""
    other = Route.of_prefix(f"{prefix}/", route.destination_account_id, route.destination_region)
    if other is not None and (store is None or store.read(table_key(other.destination_table)) is None):
        _check_ended(source, destination, loaders, other)


def _buckets(destination: Account, options: CleanupOptions, record: Tracking | None) -> list[StagingBucket]:
    """The bucket of the ``options``, and those into which exports of the ``record`` went."""
    jobs = record.record.jobs if record is not None else ()
    used = [job_of_entry(job).request.get("bucket") for job in jobs if job.purpose == EXPORT]
    found = [StagingBucket.from_dict(destination, bucket) for bucket in used if bucket]
    if not options.recorded_only:
        found.append(StagingBucket(destination, options.bucket, options.bucket_owner or destination.account_id))
    return list({bucket.name: bucket for bucket in found}.values())


def _is_awaited(record: Tracking, over: Sequence[Job]) -> bool:
    """Whether the table's next run would import an export that has completed."""
    last = record.latest(EXPORT)
    completed = [job.arn for job in over if job.state == "completed"]
    return (
        record.record.state == "claimed" and last is not None and (last.state == "completed" or last.arn in completed)
    )


def _shared_exports(destination: Account, route: Route, prefix: str, store: RecordStore | None) -> SharedExports | None:
    if store is None:
        return None
    arn = route.source_arn.replace("arn::", f"arn:{destination.partition}:", 1)
    return SharedExports(store, route.destination_table, arn, route.migration_id, prefix)


def _needed(bucket: str, prefix: str, tables: Sequence[str]) -> NotCarried:
    return NotCarried(
        f"s3://{bucket}/{prefix}/", f"its export is still needed by {', '.join(tables)}, with whose cleanup it goes"
    )


def _versions(bucket: str, prefix: str) -> NotCarried:
    """Versions are the choice of the bucket's owner, who may have to keep them: they are named, not deleted."""
    return NotCarried(
        f"older versions in s3://{bucket}/{prefix}",
        "the bucket keeps versions: what is deleted stays there with a delete marker, and is billed. List them with aws"
        f" s3api list-object-versions --bucket {bucket} --prefix {prefix} and delete each with aws s3api delete-object"
        " --version-id, or let a lifecycle rule with NoncurrentVersionExpiration and ExpiredObjectDeleteMarker do so",
    )


def _check_ended(source: Account | None, destination: Account, loaders: Sequence[Loader], route: Route) -> None:
    """No job that AWS lists may still use the data. Raises StillRunning."""
    running = [loader.running(destination, route) for loader in loaders]
    for job in (*running, running_export(source, route) if source is not None else None):
        if job is not None:
            raise StillRunning(
                f"The {job.kind} {job.arn} is still running.",
                "Wait for it to end, then clean up.",
                table=route.source_table,
                details={"arn": job.arn},
            )


def _over(
    source: Account | None,
    destination: Account,
    record: Tracking,
    loaders: Sequence[Loader],
    table: str,
    listed_at: float,
) -> tuple[Job, ...]:
    """The exports, and jobs that load them, that are open in the table's ``record`` and over on AWS: each use of the
    data is.

    Raises StillRunning for one that runs, that may be begun, or that has made a table which no run has looked at yet.
    """
    found, kinds = [], kinds_of(loaders)
    for job in record.open_jobs(kinds):
        now = _as_it_is(source, destination, loaders, job)
        window, _kept = kinds[now.kind]
        if now.open or (not now.arn and not record.was_never_begun(now, window, listed_at)):
            how = f"{now.arn} is still running" if now.arn else "may still be begun"
            raise StillRunning(
                f"The {now.kind} {how}.",
                "Wait for its end, then clean up again."
                if record.record.is_done
                else "Run migrate, which brings the table to its end, or wait for that of the "
                f"{now.kind}. Then clean up again.",
                table=table,
                details={"arn": now.arn},
            )
        if now.kind != KIND and now.arn:
            raise StillRunning(
                f"The {now.kind} {now.arn} has ended, and no run has looked at its result yet, which needs these"
                " files.",
                "Run migrate again, then clean up.",
                table=table,
                details={"arn": now.arn},
            )
        found.append(now)
    return tuple(found)


def _as_it_is(source: Account | None, destination: Account, loaders: Sequence[Loader], job: Job) -> Job:
    """``job`` with its status now; unchanged where AWS does not show it, or nobody can be asked."""
    for loader in loaders:
        if job.kind == loader.kind:
            return loader.look_up(destination, job)
    return look_up(source, job) if source is not None else job


def _plan_recovery(
    source: Account | None, options: CleanupOptions, changes: list[Change], left: list[NotCarried], warnings: list[str]
) -> str:
    """Add what becomes of point-in-time recovery that we turned on; the ARN of the table where it is turned off."""
    if source is None:
        return ""
    try:
        table = TableDefinition.read(source, options.table)
    except MissingTable:
        return ""
    tags = read_tags(source, table.arn, "reading the tags of the source table", options.table)
    if tags.get(RECOVERY_TAG) != options.migration_id or not read_recovery(source, options.table).enabled:
        return ""
    what = f"point-in-time recovery of {options.table}"
    if not options.disable_point_in_time_recovery:
        left.append(NotCarried(what, "this migration turned it on; AWS charges for it until it is turned off"))
        return ""
    warnings.append(
        f"{options.table}: turning point-in-time recovery off ends the chain of incremental exports: a sync would have"
        " to start with a full export again, and the table can no longer be restored to a point in time."
    )
    changes.append(Change(what, {"status": "ENABLED"}, {"status": "DISABLED"}, "destructive"))
    return table.arn


def apply_cleanup(
    source: Account | None, destination: Account, plan: CleanupPlan, record: Tracking | None = None
) -> dict[str, Any]:
    """Remove what ``plan`` says: {objects_removed, point_in_time_recovery_disabled}. Again it removes nothing more.

    In the table's ``record``, which this run holds, jobs that are over are closed.

    Raises StillRunning where another table has begun to use its export since, StagingBucketUnusable, AccessDenied,
    CredentialsError, ServiceError.
    """
    exports = dict.fromkeys(part.exports for part in plan.files if part.exports is not None)
    needed = [table for each in exports for table in each.withdraw()]
    if needed:
        raise StillRunning(
            f"The export is needed by {', '.join(needed)} since a moment ago: nothing was removed.",
            "Clean up again when that table is migrated.",
            table="".join(each.table for each in list(exports)[:1]),
        )
    removed = sum(StagingBucket.from_dict(destination, part.bucket).delete(part.keys) for part in plan.files)
    if record is not None:
        kinds = kinds_of(plan.loaders)
        for job in plan.over:
            window, kept = kinds[job.kind]
            record.close(job, window, plan.listed_at, kept)
        if plan.gone:
            data_removed(record, kinds)
    if plan.recovery_of and source is not None:
        name, doing = plan.recovery_of.rpartition("/")[2], "turning point-in-time recovery off"
        off = {"PointInTimeRecoveryEnabled": False}
        source.ask(
            "dynamodb", "update_continuous_backups", doing, name, TableName=name, PointInTimeRecoverySpecification=off
        )
        source.ask("dynamodb", "untag_resource", doing, name, ResourceArn=plan.recovery_of, TagKeys=[RECOVERY_TAG])
    return {"objects_removed": removed, "point_in_time_recovery_disabled": bool(plan.recovery_of)}
