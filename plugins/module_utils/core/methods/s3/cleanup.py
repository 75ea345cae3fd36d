# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing what a migration left behind: staged data, point-in-time recovery that it turned on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from ...account import Account
from ...change import Change, NotCarried
from ...errors import InvalidInput, MissingTable, StillRunning
from ...jobs.entries import job_of_entry
from ...jobs.tracking import Tracking
from ...record.record import FILL
from ...record.store import RecordStore
from ...route import Route
from ...table.definition import TableDefinition
from ...table.ownership import read_tags
from .export_request import PURPOSE as EXPORT
from .export_status import describe_export, look_up
from .import_status import describe_import, find_started
from .lost import running_export, running_import
from .memory import KEPT
from .recovery import RECOVERY_TAG, read_recovery
from .shared import needed_by, withdraw
from .staging import BucketMissing, StagingBucket


@dataclass(frozen=True)
class CleanupOptions:
    """What to remove of one table's migration. ``table`` is the source table; staged data is removed, the rest only
    when asked for. Without a source account its id and Region are needed.
    """

    table: str
    bucket: str
    destination_table: str = ""
    bucket_owner: str = ""
    migration_id: str = "default"
    source_account_id: str = ""
    source_region: str = ""
    disable_point_in_time_recovery: bool = False


@dataclass(frozen=True)
class SharedExports:
    """The exports below ``prefix``, which other destination tables than ``table`` may need too."""

    store: RecordStore = field(repr=False)
    table: str
    source_ids: tuple[str, ...]
    migration: str
    prefix: str

    def needed_by(self) -> list[str]:
        """The other tables that still need one."""
        return needed_by(self.store, self.table, self.source_ids, self.migration, self.prefix)

    def withdraw(self) -> list[str]:
        """No other table uses them from now on; those that still need one, where there are any."""
        return withdraw(self.store, self.table, self.source_ids, self.migration, self.prefix)


@dataclass(frozen=True)
class CleanupPlan:
    """What will be removed: objects by key, and point-in-time recovery. ``warnings`` are for the user, ``needed_by``
    are the other destination tables for whose sake the objects stay."""

    changes: list[Change]
    left: list[NotCarried]
    warnings: list[str]
    bucket: dict[str, str]
    keys: tuple[str, ...] = field(repr=False, default=())
    recovery_of: str = ""
    exports: SharedExports | None = None
    needed_by: tuple[str, ...] = ()


def plan_cleanup(
    source: Account | None,
    destination: Account,
    options: CleanupOptions,
    record: Tracking | None = None,
    store: RecordStore | None = None,
) -> CleanupPlan:
    """What cleaning up would remove; reads only. ``record`` is the table's, where there is one: its jobs count too.

    Where the ``store`` has the records, what other destination tables still need is left.

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
    bucket = StagingBucket(destination, options.bucket, options.bucket_owner or destination.account_id)
    changes: list[Change] = []
    left: list[NotCarried] = []
    warnings: list[str] = []
    keys: list[str] = []
    if record is not None:
        _check_recorded(source, destination, record, options.table)
    exports = _shared_exports(route, record, store)
    needed = exports.needed_by() if exports is not None else []
    try:
        if record is None:
            _check_ended(source, destination, route)
        stored = list(bucket.objects(f"{route.export_prefix}/"))
        if stored and needed:
            left.append(_needed(bucket.name, route.export_prefix, needed))
        elif stored:
            before = {"objects": len(stored), "bytes": sum(entry.size for entry in stored)}
            changes.append(Change(f"s3://{bucket.name}/{route.export_prefix}/", before, None, "destructive"))
            keys += [entry.key for entry in stored]
    except BucketMissing:
        left.append(NotCarried(f"bucket {bucket.name}", "it does not exist"))
    recovery_of = _plan_recovery(source, options, changes, left, warnings)
    return CleanupPlan(changes, left, warnings, bucket.to_dict(), tuple(keys), recovery_of, exports, tuple(needed))


def _shared_exports(route: Route, record: Tracking | None, store: RecordStore | None) -> SharedExports | None:
    if store is None:
        return None
    if record is not None:
        exported = [job_of_entry(job) for job in record.record.jobs if job.purpose == EXPORT and job.state != "closed"]
        ids = {record.record.source.table_id, *(job.request["source"]["table_id"] for job in exported)}
    else:
        source = route.source_arn.partition("arn:")[2]
        ids = {each.source.table_id for each in store.everything().exports if each.source.arn.endswith(source)}
    return SharedExports(store, route.destination_table, tuple(sorted(ids)), route.migration_id, route.export_prefix)


def _needed(bucket: str, prefix: str, tables: Sequence[str]) -> NotCarried:
    return NotCarried(
        f"s3://{bucket}/{prefix}/", f"its export is still needed by {', '.join(tables)}: clean up again then"
    )


def _check_ended(source: Account | None, destination: Account, route: Route) -> None:
    """No job that AWS lists may still use the data. Raises StillRunning."""
    for job in (running_import(destination, route), running_export(source, route) if source is not None else None):
        if job is not None:
            raise StillRunning(
                f"The {job.kind} {job.arn} is still running.",
                "Wait for it to end, then clean up.",
                table=route.source_table,
                details={"arn": job.arn},
            )


def _check_recorded(source: Account | None, destination: Account, record: Tracking, table: str) -> None:
    """No job in the table's ``record`` may still use the data. Raises StillRunning."""
    export, imported = record.latest(EXPORT), record.latest(FILL)
    if export is not None and export.state == "running" and source is not None:
        export = describe_export(source, export)
    elif export is not None and export.state == "planned" and source is not None:
        export = look_up(source, export)
    if imported is not None and imported.kind != "import":
        imported = None
    if imported is not None and imported.state == "planned":
        imported = find_started(destination, imported) or imported
    if imported is not None and imported.state == "running":
        imported = describe_import(destination, imported)
    for job in (export, imported):
        if job is not None and (job.open or job.state == "planned"):
            how = f"{job.arn} is still running" if job.arn else "may still be begun"
            raise StillRunning(
                f"The {job.kind} {how}.",
                "Run migrate again, which brings it to its end, then clean up.",
                table=table,
                details={"arn": job.arn},
            )
    if imported is not None and record.open_fill:
        raise StillRunning(
            f"The import {imported.arn} has ended, and no run has looked at its result yet, which needs these files.",
            "Run migrate again, then clean up.",
            table=table,
            details={"arn": imported.arn},
        )


def write_end(source: Account | None, record: Tracking) -> None:
    """Write the end of an export whose files are gone into the ``record``, which this run holds: it serves no more."""
    export = record.latest(EXPORT)
    if export is not None and export.state == "running" and source is not None:
        export = describe_export(source, export)
        if not export.open:
            record.ended(export, KEPT["export"])


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


def apply_cleanup(source: Account | None, destination: Account, plan: CleanupPlan) -> dict[str, Any]:
    """Remove what ``plan`` says: {objects_removed, point_in_time_recovery_disabled}. Again it removes nothing more.

    Raises StillRunning where another table has begun to use its export since, StagingBucketUnusable, AccessDenied,
    CredentialsError, ServiceError.
    """
    needed = plan.exports.withdraw() if plan.keys and plan.exports is not None else []
    if needed:
        raise StillRunning(
            f"The export is needed by {', '.join(needed)} since a moment ago: nothing was removed.",
            "Clean up again when that table is migrated.",
            table=plan.exports.table if plan.exports else "",
        )
    removed = StagingBucket.from_dict(destination, plan.bucket).delete(plan.keys) if plan.keys else 0
    if plan.recovery_of and source is not None:
        name, doing = plan.recovery_of.rpartition("/")[2], "turning point-in-time recovery off"
        off = {"PointInTimeRecoveryEnabled": False}
        source.ask(
            "dynamodb", "update_continuous_backups", doing, name, TableName=name, PointInTimeRecoverySpecification=off
        )
        source.ask("dynamodb", "untag_resource", doing, name, ResourceArn=plan.recovery_of, TagKeys=[RECOVERY_TAG])
    return {"objects_removed": removed, "point_in_time_recovery_disabled": bool(plan.recovery_of)}
