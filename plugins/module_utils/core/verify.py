# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table: are its items there, and how do we know (design section 7)."""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Literal

from . import sdk
from .account import Account
from .errors import (
    ChecksumMismatch,
    CountMismatch,
    ExportFailed,
    FerryError,
    ImportFailed,
    InvalidInput,
    JobTimeout,
    StagingBucketUnusable,
    told_as,
)
from .export import has_items
from .hints import explain_export_failure
from .importing import explain_failure
from .job import Job
from .manifest import check_checksums, read_manifest
from .staging import StagingBucket
from .table.definition import TableDefinition


@dataclass(frozen=True)
class Judgement:
    """How a table ended. Counts are None where nobody knows them; ``failure`` is what a caller raises."""

    status: Literal["migrated", "failed"]
    items_source: int | None
    items_destination: int | None
    bytes: int | None
    verified: Literal["counts", "none"]
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
    verify: Literal["counts", "none"] = "counts",
    checksums: bool = False,
) -> Judgement:
    """Judge the table that the ``jobs`` of its way made, as ``judge`` does. Raises InvalidInput for no such jobs."""
    kinds = {job.kind: job for job in jobs}
    if "import" not in kinds:
        raise InvalidInput("There is no job that makes a table.", "Pass all jobs of the table's way.", table=name)
    return judge(name, source, destination, kinds.get("export"), kinds["import"], verify=verify, checksums=checksums)


def judge(
    name: str,
    source: Account | None,
    destination: Account,
    export: Job | None,
    import_job: Job,
    *,
    verify: Literal["counts", "none"] = "counts",
    checksums: bool = False,
    scan_segments: int = 0,
) -> Judgement:
    """Judge the destination table of ``import_job``; the table's own failure is returned, not raised.

    Items are those of the export's manifest and of the import's result: neither DescribeTable's count, which is hours
    old, nor ErrorCount, which is not the number of items lost (measured/import-export-table 1.6). ``checksums`` reads
    all data files, ``scan_segments`` > 0 counts the destination by that many parallel scans. Raises what
    Account.explain gives where AWS cannot be asked.
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
            if scan_segments:
                items_destination = count_items(destination, import_job.name, scan_segments)
                _same(items_source, items_destination, "a scan of the destination counts")
        if checksums:
            _check_files(destination, import_job)
    except _TABLE_FAILURES as error:
        told = error.for_table(name)
        return Judgement("failed", items_source, items_destination, moved, "none", f"{told.cause}", told)
    verified: Literal["counts", "none"] = "counts" if verify == "counts" and not note else "none"
    if not note and import_job.request.get("export", {}).get("filtered"):
        note = "Filtered: only the items that match the filter were exported."
    return Judgement("migrated", items_source, items_destination, moved, verified, note)


_TABLE_FAILURES = (ExportFailed, ImportFailed, CountMismatch, ChecksumMismatch, StagingBucketUnusable, JobTimeout)


def _items_source(export: Job | None, import_job: Job) -> int | None:
    """What the manifest says; the import's request keeps it for later runs."""
    told = import_job.request.get("export", {}).get("item_count")
    if told is None and export is not None:
        told = export.result.get("item_count")
    return None if told is None else int(told)


def _check_jobs(destination: Account, export: Job | None, import_job: Job) -> None:
    if export is not None and export.state in ("failed", "cancelled"):
        raise explain_export_failure(export)
    for job in (export, import_job):
        if job is not None and job.open:
            waits = f"waits for {job.pending_reason.replace('_', ' ')}" if job.pending_reason else "is still running"
            raise JobTimeout(
                f"The {job.kind} {job.arn} {waits}.".replace("  ", " "),
                "It goes on by itself: run again to go on with it, or allow more with ferry_wait_timeout.",
                details={"arn": job.arn},
            )
    if import_job.state in ("failed", "cancelled"):
        if import_job.arn and import_job.failure_code != ImportFailed.__name__:
            raise explain_failure(destination, import_job)
        raise told_as(import_job.failure_code, import_job.failure_message)
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


def count_items(account: Account, table: str, segments: int) -> int:
    """How many items a table has, by a parallel Scan that returns none of them; it reads the whole table.

    Raises what Account.explain gives.
    """
    with ThreadPoolExecutor(segments) as pool:
        return sum(pool.map(lambda segment: _count_segment(account, table, segment, segments), range(segments)))


def _count_segment(account: Account, table: str, segment: int, segments: int) -> int:
    request: dict[str, Any] = {
        "TableName": table,
        "Select": "COUNT",
        "Segment": segment,
        "TotalSegments": segments,
        "ConsistentRead": True,
    }
    counted = 0
    while True:
        try:
            page = account.client("dynamodb").scan(**request)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise account.explain(error, "counting the items", table) from error
        counted += int(page["Count"])
        if not page.get("LastEvaluatedKey"):
            return counted
        request["ExclusiveStartKey"] = page["LastEvaluatedKey"]
