# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table that was exported to S3 and imported from there."""

from __future__ import annotations

from collections.abc import Callable

from ..account import Account
from ..errors import CountMismatch, ExportFailed, ImportFailed
from ..exports.export_status import has_items
from ..exports.manifest import check_checksums, read_manifest
from ..exports.staging import StagingBucket
from ..jobs.job import Job, failure_of
from ..judgement import TABLE_FAILURES, Counts, Judgement, check_table, instant, not_ended
from .failures import explain_failure


def judge_import(
    name: str,
    source: Account | None,
    destination: Account,
    export: Job | None,
    import_job: Job,
    *,
    verify: Counts = "counts",
    checksums: bool = False,
    writes_stopped: bool = False,
    look: Callable[[], None] = lambda: None,
) -> Judgement:
    """Judge the destination table of ``import_job``; the table's own failure is returned, not raised.

    Items are those of the export's manifest and of the import's result: neither DescribeTable's count, which is hours
    old, nor ErrorCount, which is not the number of items lost (measured/import-export-table 1.6). ``checksums`` reads
    all data files, and calls ``look`` between them. With ``writes_stopped`` an export that was asked for before they
    had stopped proves nothing. Raises what Account.explain gives where AWS cannot be asked.
    """
    items_source = _items_source(export, import_job)
    items_destination = import_job.result.get("imported_items")
    moved = import_job.result.get("processed_bytes")
    shown = _shown(export, import_job)
    data_as_of = instant(shown)
    shown = data_as_of.get("from", "")
    try:
        _check_jobs(destination, export, import_job)
        check_table(destination, import_job, "import", "imported")
        note = ""
        if verify == "counts":
            note = _check_counts(source, export, import_job, items_source, items_destination)
        if writes_stopped and not note:
            note = _since(import_job, shown)
        if checksums:
            _check_files(destination, import_job, look)
    except TABLE_FAILURES as error:
        failure = error.for_table(name)
        return Judgement(
            "failed", items_source, items_destination, moved, "none", f"{failure.cause}", failure, data_as_of
        )
    verified: Counts = "counts" if verify == "counts" and not note else "none"
    if not note and import_job.request.get("export", {}).get("filtered"):
        note = "Filtered: only the items that match the filter were exported."
    return Judgement("migrated", items_source, items_destination, moved, verified, note, data_as_of=data_as_of)


def _items_source(export: Job | None, import_job: Job) -> int | None:
    """What the manifest says; the import's request keeps it for later runs."""
    count = import_job.request.get("export", {}).get("item_count")
    if count is None and export is not None:
        count = export.result.get("item_count")
    return None if count is None else int(count)


def _shown(export: Job | None, import_job: Job) -> str:
    """The instant that the imported export shows; "" where nobody knows any more."""
    shown = import_job.request.get("export", {}).get("time")
    shown = shown or (export.result.get("export_time") if export is not None else "")
    return str(shown or "")


def _since(import_job: Job, shown: str) -> str:
    """What may be missing, where the export was not asked to show the end of the writes; "" where it was."""
    if import_job.request.get("export", {}).get("writes_stopped"):
        return ""
    when = f"the source at {shown}" if shown else "an instant of the source that is not known"
    return f"The copy shows {when}, asked for before writes were said to have stopped: later writes are not in it."


def _check_jobs(destination: Account, export: Job | None, import_job: Job) -> None:
    if export is not None and export.state in ("failed", "cancelled"):
        raise failure_of(export, ExportFailed)
    for job in (export, import_job):
        if job is not None and job.open:
            raise not_ended(job, {"arn": job.arn})
    if import_job.state in ("failed", "cancelled"):
        raise explain_failure(destination, import_job)
    if import_job.state == "planned":
        raise ImportFailed("The import was not started.", "Run again without check mode.")


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


def _check_files(destination: Account, import_job: Job, look: Callable[[], None]) -> None:
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
    check_checksums(bucket, read_manifest(bucket, key), lambda done: look())
