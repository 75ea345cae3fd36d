# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table that travelled by AWS Backup."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...account import Account
from ...data_plane import count_items, item_table
from ...errors import RestoreFailed
from ...jobs.job import Job, failure_of
from ...judgement import TABLE_FAILURES, Counts, Judgement, check_table, not_ended, span
from ...steps.counting import compare_counts
from ...table.definition import TableDefinition


def judge_restore(
    name: str,
    source: Account,
    destination: Account,
    source_table: str,
    jobs: Sequence[Job],
    *,
    counted: Job | None = None,
    verify: Counts = "counts",
    writes_stopped: bool = False,
) -> Judgement:
    """Judge a table that travelled by AWS Backup, by its ``jobs`` in the order of the way. The table's own failure is
    returned, not raised. What AWS Backup says of jobs that it completed with issues is in the notes.

    AWS Backup knows no item counts, and reports a job as done that could not read a key (aws.md C6): the job
    ``counted`` both tables, or they are counted here. A table that an earlier run counted is not read again. Raises
    what Account.explain gives.
    """
    judged = _judged(name, source, destination, source_table, jobs, counted, verify, writes_stopped)
    issues = tuple(job.issues for job in jobs if job.issues)
    if issues and judged.status == "copied":
        judged = replace(judged, reason=" ".join((judged.reason, *issues)))
    return replace(judged, notes=(*judged.notes, *issues))


def _judged(
    name: str,
    source: Account,
    destination: Account,
    source_table: str,
    jobs: Sequence[Job],
    counted: Job | None,
    verify: Counts,
    writes_stopped: bool,
) -> Judgement:
    moved = next((int(job.result["bytes"]) for job in reversed(jobs) if job.result.get("bytes")), None)
    counts: tuple[int | None, int | None] = (None, None)
    # Which instant within a backup job its items show nobody has measured (measured/backup-restore-service 2.3).
    data_as_of = next((span(job.result) for job in jobs if job.kind == "backup"), {})
    try:
        _check_jobs(jobs)
        if counted is not None:
            _check_count(counted)
        restore = next((job for job in jobs if job.kind == "restore"), None)
        if restore is None:
            note = "Copied to the destination's vault, not restored."
            return Judgement("copied", None, None, moved, "none", note, data_as_of=data_as_of)
        table = _check_restored(source, destination, source_table, restore)
        if restore.result.get("judged_before") and "items_destination" in restore.result:
            counts = (restore.result.get("items_source"), restore.result["items_destination"])
            equal = counts[0] == counts[1]
            note = "An earlier run restored and counted the table."
            # They were counted, whatever this run was to look at.
            return Judgement("migrated", *counts, moved, "counts" if equal else "none", note, data_as_of=data_as_of)
        if restore.result.get("judged_before"):
            note = "An earlier run restored the table: its items were not counted again."
            return Judgement("migrated", None, None, moved, "none", note, data_as_of=data_as_of)
        if verify == "none":
            note = "Not counted: verify is none."
            return Judgement("migrated", None, None, moved, "none", note, data_as_of=data_as_of)
        if counted is not None and counted.state == "failed":
            counts = (counted.result.get("items_source"), counted.result.get("items_destination"))
            raise failure_of(counted)
        counts = _counts(source, destination, source_table, table, counted)
        note = compare_counts(*counts, writes_stopped)
    except TABLE_FAILURES as error:
        failure = error.for_table(name)
        return Judgement("failed", *counts, moved, "none", f"{failure.cause}", failure, data_as_of)
    return Judgement("migrated", *counts, moved, "none" if note else "counts", note, data_as_of=data_as_of)


def _counts(
    source: Account, destination: Account, source_table: str, table: TableDefinition, counted: Job | None
) -> tuple[int, int]:
    """The items of source and destination: those that a job of the way counted, or counted now."""
    result = counted.result if counted is not None else {}
    if "items_source" in result and "items_destination" in result:
        return result["items_source"], result["items_destination"]
    return count_items(item_table(source, source_table)), count_items(item_table(destination, table.name))


def _check_jobs(jobs: Sequence[Job]) -> None:
    """Raises why the way did not come to its end."""
    for job in jobs:
        if job.open:
            raise not_ended(job, {"job_id": job.arn})
        if job.state in ("failed", "cancelled"):
            raise failure_of(job)
        _check_started(job)


def _check_count(job: Job) -> None:
    """Raises what kept both tables from being counted; a count that failed may have its numbers, which are reported."""
    if job.open:
        raise not_ended(job, {"job_id": job.arn})
    _check_started(job)


def _check_started(job: Job) -> None:
    if job.state == "planned":
        raise RestoreFailed(f"The {job.kind} was not started.", "Run again without check mode.")


def _check_restored(source: Account, destination: Account, source_table: str, job: Job) -> TableDefinition:
    """The destination table, with every local index of the source: they can never be added. Raises RestoreFailed."""
    table = check_table(destination, job, "restore", "restored", RestoreFailed)
    there = {index.name for index in table.local_secondary_indexes}
    lost = [index.name for index in TableDefinition.read(source, source_table).local_secondary_indexes]
    lost = [index for index in lost if index not in there]
    if lost:
        raise RestoreFailed(
            f"The restore left out the local secondary indexes {', '.join(lost)}, which cannot be added later.",
            "Keep the source; look into the restore job, delete the table yourself and run again.",
        )
    return table
