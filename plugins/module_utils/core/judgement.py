# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table: are its items there, and how do we know (design section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal, TypeAlias

from .account import Account
from .data_plane import count_items, item_table
from .errors import (
    BackupFailed,
    ChecksumMismatch,
    CopyFailed,
    CountMismatch,
    ExportFailed,
    FerryError,
    ImportFailed,
    InvalidInput,
    JobTimeout,
    RestoreFailed,
    StagingBucketUnusable,
    TableUnusable,
)
from .jobs.job import Job, failure_of
from .methods.s3.export import has_items
from .methods.s3.importing import explain_failure
from .methods.s3.manifest import check_checksums, read_manifest
from .methods.s3.staging import StagingBucket
from .steps.comparison import require_equal
from .steps.counting import compare_counts
from .table.definition import TableDefinition
from .table_status import require_usable

Verify: TypeAlias = Literal["counts", "sample", "full", "none"]


@dataclass(frozen=True)
class Judgement:
    """How a table ended. Counts are None where nobody knows them; ``failure`` is what a caller raises."""

    status: Literal["migrated", "copied", "failed"]
    items_source: int | None
    items_destination: int | None
    bytes: int | None
    verified: Verify
    reason: str = ""
    failure: FerryError | None = None

    def to_dict(self) -> dict[str, Any]:
        """The judgement as JSON-safe data, without ``failure``."""
        return {
            "status": self.status,
            "items_source": self.items_source,
            "items_destination": self.items_destination,
            "bytes": self.bytes,
            "verified": self.verified,
            "reason": self.reason,
        }


def judge_way(
    name: str,
    source: Account | None,
    destination: Account,
    jobs: Sequence[Job],
    *,
    source_table: str = "",
    verify: Verify = "counts",
    checksums: bool = False,
    writes_stopped: bool = False,
) -> Judgement:
    """Judge the table that the ``jobs`` of its way made: by what they counted, and by the comparison among them.

    ``source_table`` is the source's where it has another name. Raises InvalidInput for no such jobs, and what ``judge``
    raises.
    """
    kinds = {job.kind: job for job in jobs}
    counts: Literal["counts", "none"] = "none" if verify == "none" else "counts"
    if source is not None and kinds.keys() & {"copy", "restore"}:
        judged = judge_restore(
            name, source, destination, source_table or name, jobs, verify=counts, writes_stopped=writes_stopped
        )
    elif "import" in kinds:
        judged = judge(
            name, source, destination, kinds.get("export"), kinds["import"], verify=counts, checksums=checksums
        )
    elif "direct" in kinds:
        judged = judge_direct(name, destination, kinds["direct"], verify=counts)
    else:
        raise InvalidInput("There is no job that makes a table.", "Pass all jobs of the table's way.", table=name)
    comparison = kinds.get("verify")
    if comparison is None or comparison.state == "planned" or (judged.status == "failed" and comparison.open):
        return judged
    return _compared(judged, comparison, name)


def _compared(judged: Judgement, comparison: Job, name: str) -> Judgement:
    """``judged`` with what the comparison says, which has seen more than the counts."""
    try:
        if comparison.open:
            raise JobTimeout(
                "The comparison of all items has not ended.", "Run again: it is made anew.", details={"kind": "verify"}
            )
        if comparison.state == "failed":
            raise failure_of(comparison)
        require_equal(comparison)
    except FerryError as error:
        told = error.for_table(name)
        return replace(judged, status="failed", verified="none", reason=told.cause, failure=told)
    if judged.failure:
        return judged
    earlier = f"Compared by an earlier run, at {comparison.result.get('end_time')}; `verify` compares anew."
    note = earlier if comparison.state == "not_needed" else ""
    return replace(judged, verified=comparison.result["level"], reason=f"{judged.reason} {note}".strip())


def judge_direct(
    name: str, destination: Account, job: Job, *, verify: Literal["counts", "none"] = "counts"
) -> Judgement:
    """Judge the table that a direct copy filled: every item was acknowledged, and a consistent scan counted as many.

    More items than were copied are no loss: somebody writes to the destination, or the source lost some while a killed
    copy waited to go on. Raises what Account.explain gives where AWS cannot be asked.
    """
    told = job.result
    copied, counted = told.get("items"), told.get("counted")
    try:
        if job.open:
            raise JobTimeout(f"The copy of {job.name} has not ended.", "Run again: it goes on from where it is.")
        if job.state == "failed":
            raise failure_of(job)
        _check_table(destination, job)
        if verify == "counts" and counted is not None and counted < copied:
            raise CountMismatch(
                f"{copied} items were copied, a scan of the destination counts {counted}.",
                "Keep the source. Compare the tables with the playbook verify before you copy again.",
                details={"items_source": copied, "items_destination": counted},
            )
    except FerryError as error:
        failed = error.for_table(name)
        return Judgement("failed", copied, counted, told.get("bytes"), "none", failed.cause, failed)
    if verify == "none" or counted is None:
        return Judgement("migrated", copied, counted, told.get("bytes"), "none", "")
    if counted != copied:
        note = f"{copied} items were copied, the destination has {counted}: was one of the tables written to?"
        return Judgement("migrated", copied, counted, told.get("bytes"), "none", note)
    return Judgement("migrated", copied, counted, told.get("bytes"), "counts", "")


def judge(
    name: str,
    source: Account | None,
    destination: Account,
    export: Job | None,
    import_job: Job,
    *,
    verify: Literal["counts", "none"] = "counts",
    checksums: bool = False,
) -> Judgement:
    """Judge the destination table of ``import_job``; the table's own failure is returned, not raised.

    Items are those of the export's manifest and of the import's result: neither DescribeTable's count, which is hours
    old, nor ErrorCount, which is not the number of items lost (measured/import-export-table 1.6). ``checksums`` reads
    all data files. Raises what Account.explain gives where AWS cannot be asked.
    """
    items_source = _items_source(export, import_job)
    items_destination = import_job.result.get("imported_items")
    moved = import_job.result.get("processed_bytes")
    try:
        _check_jobs(destination, export, import_job)
        _check_table(destination, import_job)
        note = ""
        if verify == "counts":
            note = _check_counts(source, export, import_job, items_source, items_destination)
        if checksums:
            _check_files(destination, import_job)
    except _TABLE_FAILURES as error:
        told = error.for_table(name)
        return Judgement("failed", items_source, items_destination, moved, "none", f"{told.cause}", told)
    verified: Literal["counts", "none"] = "counts" if verify == "counts" and not note else "none"
    if not note and import_job.request.get("export", {}).get("filtered"):
        note = "Filtered: only the items that match the filter were exported."
    return Judgement("migrated", items_source, items_destination, moved, verified, note)


_TABLE_FAILURES = (
    ExportFailed,
    ImportFailed,
    BackupFailed,
    CopyFailed,
    RestoreFailed,
    CountMismatch,
    ChecksumMismatch,
    StagingBucketUnusable,
    TableUnusable,
    JobTimeout,
)


def judge_restore(
    name: str,
    source: Account,
    destination: Account,
    source_table: str,
    jobs: Sequence[Job],
    *,
    verify: Literal["counts", "none"] = "counts",
    writes_stopped: bool = False,
) -> Judgement:
    """Judge a table that travelled by AWS Backup, by its ``jobs`` in the order of the way. The table's own failure is
    returned, not raised.

    AWS Backup knows no item counts, and reports a job as done that could not read a key (aws.md C6): a job of the way
    counted both tables, or they are counted here. A table that an earlier run counted is not read again. Raises what
    Account.explain gives.
    """
    kinds = {job.kind: job for job in jobs}
    moved = next((int(job.result["bytes"]) for job in reversed(jobs) if job.result.get("bytes")), None)
    counts: tuple[int | None, int | None] = (None, None)
    try:
        _check_backup_jobs(jobs)
        restore = kinds.get("restore")
        if restore is None:
            return Judgement("copied", None, None, moved, "none", "Copied to the destination's vault, not restored.")
        table = _check_restored(source, destination, source_table, restore)
        if restore.result.get("judged_before"):
            note = "An earlier run restored the table: its items were not counted again."
            return Judgement("migrated", None, None, moved, "none", note)
        if verify == "none":
            return Judgement("migrated", None, None, moved, "none", "Not counted: ferry_verify is none.")
        counts = _counts(source, destination, source_table, table, kinds.get("count"))
        note = compare_counts(*counts, writes_stopped)
    except _TABLE_FAILURES as error:
        told = error.for_table(name)
        return Judgement("failed", *counts, moved, "none", f"{told.cause}", told)
    return Judgement("migrated", *counts, moved, "none" if note else "counts", note)


def _counts(
    source: Account, destination: Account, source_table: str, table: TableDefinition, counted: Job | None
) -> tuple[int, int]:
    """The items of source and destination: those that a job of the way counted, or counted now."""
    found = counted.result if counted is not None else {}
    if "items_source" in found and "items_destination" in found:
        return found["items_source"], found["items_destination"]
    return count_items(item_table(source, source_table)), count_items(item_table(destination, table.name))


def _check_backup_jobs(jobs: Sequence[Job]) -> None:
    """Raises why the way did not come to its end; what became of the settings is not looked at here."""
    for job in (job for job in jobs if job.kind not in ("settings", "verify")):
        if job.open:
            waits = f"waits for {job.pending_reason.replace('_', ' ')}" if job.pending_reason else "is still running"
            state = job.result.get("aws_state")
            raise JobTimeout(
                f"The {job.kind} {job.arn} {waits}{f' (AWS says {state})' if state else ''}.".replace("  ", " "),
                "It goes on by itself: run again to go on with it, or allow more with ferry_wait_timeout.",
                details={"job_id": job.arn},
            )
        if job.state in ("failed", "cancelled") and job.kind != "count":
            raise failure_of(job)
        if job.state == "planned":
            raise RestoreFailed(f"The {job.kind} was not started.", "Run again without check mode.")


def _check_restored(source: Account, destination: Account, source_table: str, job: Job) -> TableDefinition:
    """The destination table, with every local index of the source: they can never be added. Raises RestoreFailed."""
    table = TableDefinition.find(destination, job.name)
    wanted = job.result.get("table_id")
    if table is None:
        raise RestoreFailed(
            f"The table {job.name} does not exist, though its restore completed.",
            "Find out who deleted it, then run again: it is restored anew.",
        )
    if wanted and table.table_id != wanted:
        raise RestoreFailed(
            f"The table {job.name} is not the one that was restored: its id is {table.table_id}, not {wanted}.",
            "Find out who made it anew.",
        )
    require_usable(table.raw)
    there = {index.name for index in table.local_secondary_indexes}
    lost = [index.name for index in TableDefinition.read(source, source_table).local_secondary_indexes]
    lost = [index for index in lost if index not in there]
    if lost:
        raise RestoreFailed(
            f"The restore left out the local secondary indexes {', '.join(lost)}, which cannot be added later.",
            "Keep the source; look into the restore job, delete the table yourself and run again.",
        )
    return table


def _items_source(export: Job | None, import_job: Job) -> int | None:
    """What the manifest says; the import's request keeps it for later runs."""
    told = import_job.request.get("export", {}).get("item_count")
    if told is None and export is not None:
        told = export.result.get("item_count")
    return None if told is None else int(told)


def _check_jobs(destination: Account, export: Job | None, import_job: Job) -> None:
    if export is not None and export.state in ("failed", "cancelled"):
        raise failure_of(export, ExportFailed)
    for job in (export, import_job):
        if job is not None and job.open:
            waits = f"waits for {job.pending_reason.replace('_', ' ')}" if job.pending_reason else "is still running"
            raise JobTimeout(
                f"The {job.kind} {job.arn} {waits}.".replace("  ", " "),
                "It goes on by itself: run again to go on with it, or allow more with ferry_wait_timeout.",
                details={"arn": job.arn},
            )
    if import_job.state in ("failed", "cancelled"):
        raise explain_failure(destination, import_job)
    if import_job.state == "planned":
        raise ImportFailed("The import was not started.", "Run again without check mode.")


def _check_table(destination: Account, import_job: Job) -> None:
    table = TableDefinition.find(destination, import_job.name)
    wanted = import_job.result.get("table_id")
    if table is None:
        raise ImportFailed(
            f"The table {import_job.name} does not exist, though its import completed.",
            "Find out who deleted it, then run again: it is imported anew.",
        )
    if wanted and table.table_id != wanted:
        raise ImportFailed(
            f"The table {import_job.name} is not the one that was imported: its id is {table.table_id}, not {wanted}.",
            "Find out who made it anew.",
        )
    require_usable(table.raw)


def _check_counts(
    source: Account | None, export: Job | None, import_job: Job, exported: int | None, imported: int | None
) -> str:
    """What keeps the counts from proving the move; "" when they do. Raises CountMismatch, ExportFailed."""
    if exported is None or imported is None:
        return "The table is ours, but the record of its import is gone: its items were not counted again."
    errors = int(import_job.result.get("errors", 0))
    if errors:
        raise CountMismatch(f"The import counted {errors} errors.", "Look at its log, then import the table again.")
    _same(exported, imported, "the import counts")
    if exported or import_job.request.get("export", {}).get("filtered"):
        return ""
    known = import_job.request.get("export", {}).get("known_empty") or (export and export.result.get("known_empty"))
    if known:
        return ""
    full = has_items(source, export.name if export else import_job.name) if source is not None else None
    if full:
        raise ExportFailed("The export held no items, but the source table has some.", "Run again with a new export.")
    return "" if full is False else "No items were moved, and whether the source is empty was not looked at."


def _same(exported: int | None, found: int | None, who: str) -> None:
    if exported != found:
        raise CountMismatch(
            f"The export holds {exported} items, {who} {found}.",
            "Keep the source. Look at the import's log; do not hand the destination over.",
            details={"items_source": exported, "items_destination": found},
        )


def _check_files(destination: Account, import_job: Job) -> None:
    """Every data file of the import against the export's MD5. Raises ChecksumMismatch, StagingBucketUnusable.

    After cleanup there is nothing to read: the run that imported has looked.
    """
    request = import_job.request
    if "bucket" not in request:
        return
    bucket = StagingBucket.from_dict(destination, request["bucket"])
    key = request["export"]["manifest_key"]
    if import_job.state == "not_needed" and bucket.find(key) is None:
        return
    check_checksums(bucket, read_manifest(bucket, key))
