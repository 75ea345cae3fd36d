# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the Spark job has left in the staging bucket: a small object for each data file whose items are in.

Counters come from these and not from Spark's accumulators, which count a task twice that was tried again (spark.md 6).
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ....spark.collisions import Collisions
from ....spark.files import FileResult
from ....spark.plan import JobPlan
from ...errors import (
    CountMismatch,
    FerryError,
    ItemRefused,
    SparkJobFailed,
    StagingBucketUnusable,
    error_from,
)
from ...exports.staging import StagingBucket
from ...items.exported import ExportedFile
from ...steps.background import percent
from .engine import RunStatus, Started

READERS = 8  # objects read at once
MOST_NAMED = 20  # items whose keys are kept


@dataclass(frozen=True)
class JobTotals:
    """What became of all items of an export; numbers are as in ``FileResult``."""

    read: int
    added: int
    written: int
    kept_out: Mapping[str, int]
    refused: Mapping[str, int]
    rejected: int
    shortened: int
    resent: int
    units: float | None
    lost: int
    named: tuple[Mapping[str, Any], ...]

    def to_dict(self) -> dict[str, Any]:
        """The numbers as JSON-safe data, without the keys of items."""
        names = ("read", "added", "written", "rejected", "shortened", "resent", "lost")
        numbers = {name: getattr(self, name) for name in names}
        more = {"units": self.units} if self.units is not None else {}
        return {**numbers, "kept_out": dict(self.kept_out), "refused": dict(self.refused), **more}

    def not_written(self, *, skip: bool = False) -> int:
        """How many items could not be written, by a step, by the table or by AWS; with ``skip`` those of steps, and for
        their keys and sizes after them, are left out."""
        return (0 if skip else sum(self.refused.values())) + self.rejected


def files_left(bucket: StagingBucket, plan: JobPlan) -> list[ExportedFile]:
    """The files of ``plan`` that are still to be done. Raises what the bucket does."""
    folders = filter(None, (plan.results_prefix, plan.objects))
    return plan.left({each.key for folder in folders for each in bucket.objects(folder)})


def percent_done(bucket: StagingBucket, plan: JobPlan) -> float:
    """How much of ``plan`` has a result, 0 to 100, by the items of its files. Raises what the bucket does."""
    whole = sum(file.items for file in plan.files)
    return percent(whole - sum(file.items for file in files_left(bucket, plan)), whole)


def read_totals(bucket: StagingBucket, plan: JobPlan) -> JobTotals:
    """The sums over all files of ``plan``, each of which has a result.

    Raises CountMismatch where items are neither written nor counted among the others, or where other files were read
    than the manifest names; and what the bucket does.
    """
    results = read_results(bucket, plan)
    for file, result in zip(plan.files, results, strict=True):
        if result.key != file.key or result.read != file.items or not result.balanced:
            raise CountMismatch(
                f"Of {file.key} the Spark job counts {result.read} items read and {result.written} written, the"
                f" manifest {file.items}: they do not add up.",
                "Keep the source. Compare the tables with the playbook verify, and report this.",
                table=plan.table,
                details={"key": file.key},
            )
    return _sum(results, _lost(bucket, plan))


def read_results(bucket: StagingBucket, plan: JobPlan) -> list[FileResult]:
    """The results of all files of ``plan``, in their order. Raises what the bucket does."""
    with ThreadPoolExecutor(READERS) as pool:
        return list(pool.map(lambda file: _read(bucket, plan, file), plan.files))


def _lost(bucket: StagingBucket, plan: JobPlan) -> int:
    """How many items others with the same key were written over: the look for them has counted them."""
    found = bucket.find(plan.collisions_key)
    return 0 if found is None else int(Collisions.from_json(found).lost)


def _read(bucket: StagingBucket, plan: JobPlan, file: ExportedFile) -> FileResult:
    key = plan.result_key(file)
    try:
        return FileResult.from_json(json.loads(bucket.read(key)))
    except (ValueError, TypeError, KeyError) as error:
        raise StagingBucketUnusable(
            f"s3://{bucket.name}/{key} is not a result of the Spark job.", "Delete it, then run again."
        ) from error


def _sum(results: Sequence[FileResult], lost: int) -> JobTotals:
    units = [each.units for each in results if each.units is not None]
    return JobTotals(
        read=sum(each.read for each in results),
        added=sum(each.added for each in results),
        written=sum(each.written for each in results),
        kept_out=_by_step(each.kept_out for each in results),
        refused=_by_step(each.refused for each in results),
        rejected=sum(each.rejected for each in results),
        shortened=sum(each.shortened for each in results),
        resent=sum(each.resent for each in results),
        units=sum(units) if units else None,
        lost=lost,
        named=tuple({"key": item.key, "reason": item.reason} for each in results for item in each.named)[:MOST_NAMED],
    )


def _by_step(counts: Iterable[Mapping[Any, int]]) -> dict[str, int]:
    total: Counter[str] = Counter()
    for each in counts:
        total.update({str(step): number for step, number in each.items()})
    return dict(sorted(total.items()))


def refusal(plan: JobPlan, totals: JobTotals) -> ItemRefused:
    """The error for items that could not be written; its details name the first of them."""
    count = totals.not_written()
    reasons = Counter(str(each["reason"]) for each in totals.named)
    words = "; ".join(reason for reason, _count in reasons.most_common(3))
    items = f"{count:,} items" if count != 1 else "an item"
    others = "nothing is imported" if plan.objects else "all others are in the table"
    return ItemRefused(
        f"The Spark job could not write {items}; {others}: {words}.",
        "Set transform_errors to skip to leave out what a step cannot take, or correct the items in the source, or the"
        " steps. If an index does not take their key, set indexes_after to have"
        " the index created after the copy, or leave_indexes to do without.",
        table=plan.table,
        details={"refused": count, "steps": dict(totals.refused), "items": list(totals.named)},
    )


def with_way_on(error: FerryError, copy: str = "", *, merged: bool = False) -> FerryError:
    """``error``, after which some items are missing, with the next steps: in the table ``copy``, or "" where their
    import has yet to make it. Those that the job refused stand in the export as they were. ``merged``: the table has
    items of other sources too."""
    anew = f"delete the copy {copy}, whose deletion protection is on, and run again"
    if not isinstance(error, ItemRefused):
        ways = "Then run again with the same method, which goes on with the files that are left"
        ways += f"; or {anew}." if copy else "."
    elif merged:
        ways = "Then run again, with items that you have corrected by the playbook verify with repair."
    elif copy:
        ways = f"With skip, run again. With corrected items or steps, {anew} with export_max_age 0, for a new export."
    else:
        ways = "With skip or corrected steps, run again; with corrected items with export_max_age 0, for a new export."
    return type(error)(error.cause, f"{error.next_step} {ways}", table=error.table, details=error.details)


def failure_left(bucket: StagingBucket, plan: JobPlan) -> FerryError | None:
    """Why the job failed, in its own words; None where it left none."""
    content = bucket.find(plan.failed_key)
    if content is None:
        return None
    try:
        return error_from(json.loads(content)).for_table(plan.table)
    except (ValueError, TypeError, KeyError):
        return None


def failed_run(bucket: StagingBucket, plan: JobPlan, noun: str, run: str, status: RunStatus, left: int) -> FerryError:
    """Why ``left`` files of ``plan`` have no result after the ``run``, which ended with ``status``: in the job's own
    words, else in AWS's. ``noun`` is what its engine calls it."""
    own = failure_left(bucket, plan)
    if own is not None:
        return own
    words = {"cancelled": "was stopped", "failed": "failed", "completed": "ended"}[status.state]
    why = f": {status.message.rstrip('.')}" if status.message else ""
    return SparkJobFailed(
        f"The {noun} {run} {words} with {left} of {len(plan.files)} files of the export left{why}.",
        "Look at its log." if not status.full else "Wait until others have ended, or set fewer workers in spark.",
        table=plan.table,
        details={"run": run, "files_left": left, "message": status.message},
    )


def started_run(bucket: StagingBucket, plan: JobPlan) -> Started | None:
    """What the job wrote first, None where it has not begun."""
    content = bucket.find(plan.started_key)
    if content is None:
        return None
    try:
        return Started(str(json.loads(content).get("engine_run", "")))
    except (ValueError, AttributeError):
        return Started("")
