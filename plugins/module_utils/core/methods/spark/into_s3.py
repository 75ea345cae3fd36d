# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spark jobs that write the changed items to S3 in the form of an export, for an import that makes the table.

Nothing of the destination is touched: what a run leaves are objects, each for one file of the export, and when all are
there a manifest, which the import takes for that of an export.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any, ClassVar

from ....spark.plan import JobPlan
from ...errors import ItemRefused
from ...exports.kept_export import EVIDENCE as EXPORT
from ...exports.kept_export import evidence_of
from ...exports.manifest import SUMMARY, DataFile, Manifest, write_manifest
from ...imports.import_request import require_importable_number
from ...jobs.job import Job, ended_with
from ...jobs.kind import Made, Steps, WaitItem
from ...record.lease import iso
from ...record.record import FILL
from ...route import Route
from ...steps.transforms import EVIDENCE, BeganWith
from ...table.definition import TableDefinition
from ...table.refused_items import without_keys
from .engines import ENGINES, INTO_S3
from .look_job import FolderWork
from .planning import exported, plan_of_objects
from .results import JobTotals, failed_run, files_left, read_results, read_totals, refusal, with_way_on
from .spark_job import SparkKind

# What the import takes from an export's request and result, and so from this job's.
_OF_EXPORT = ("route", "bucket", "source", "filtered", "not_before")


class IntoS3Kind(SparkKind):
    """Spark jobs whose items are imported, for the waiter."""

    kind: ClassVar[str] = INTO_S3
    noun: ClassVar[str] = "Spark job into S3"
    plural: ClassVar[str] = "Spark jobs into S3"

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Bring the items to S3: by the run that an earlier process has begun, else by a new one."""
        work = _ObjectsWork(item, self)
        job = item.job
        try:
            if job.state != "running":
                if work.is_being_imported:
                    return replace(job, state="not_needed", pending_reason="")
                job = yield from work.resumed(job)
            return (yield from work.changed(job))
        finally:
            work.leave()

    def made(self, job: Job) -> Made:
        """None: the import makes the table."""
        return Made()


class _ObjectsWork(FolderWork):
    """The work on the items of one table, by one process."""

    @property
    def is_being_imported(self) -> bool:
        """Whether the items are in the table, or an import of them has begun."""
        last = self.record.latest(FILL)
        return self.record.record.state in ("filled", "settled") or (last is not None and bool(last.arn))

    def changed(self, job: Job) -> Steps:
        """``job`` at its end. Raises what the export or its files lack, and SparkJobFailed, ItemRefused, CountMismatch
        for items that are not there."""
        while True:
            if job.state != "running":
                manifest = exported(self.bucket, Job.from_dict(job.request.get("export") or {}))
                plan = self._wanted(manifest)
                if not files_left(self.bucket, plan):
                    try:
                        return self._left(job, plan, manifest)
                    except ItemRefused as refused:
                        return ended_with(job, refused)
                lost = yield from self.lost(job, plan)
                if lost is None and not files_left(self.bucket, plan):  # it has ended meanwhile
                    continue
                job = lost or (yield from self._begun(job, None, plan))
            job, status = yield from self.followed(job)
            if status is None:
                continue
            plan = self.plan_run(job)
            left = files_left(self.bucket, plan)
            self.forget(job)
            if left:
                noun = ENGINES[job.request["run"]["engine"]].noun
                error = with_way_on(failed_run(self.bucket, plan, noun, job.arn, status, len(left)))
                return self._ended(ended_with(job, error))
            self._ended(replace(job, state="completed"))
            job = replace(job, state="pending", pending_reason="")  # a run of an earlier process may be of other steps

    def _wanted(self, manifest: Manifest) -> JobPlan:
        source = self.item.need("source")
        route = Route(
            source_account_id=source.account_id,
            source_region=source.region,
            source_table=self.options.table,
            destination_account_id=self.destination.account_id,
            destination_region=self.destination.region,
            destination_table=self.options.made_table,
            migration_id=self.options.migration_id,
        )
        require_importable_number(len(manifest.files), self.options.table)
        definition = TableDefinition.read(source, self.options.table)
        return plan_of_objects(self.destination, self.options, definition, manifest, route.export_prefix)

    def _left(self, job: Job, plan: JobPlan, manifest: Manifest) -> Job:
        """``job`` completed, and what it has left readable as an export: all items are there, and add up."""
        totals = read_totals(self.bucket, plan)
        if totals.not_written(skip=self._skips):
            raise with_way_on(without_keys(refusal(plan, totals), self.options.refused_path))
        written = self._manifest(job, plan, totals, manifest)
        write_manifest(self.bucket, written)
        export = job.request["export"]
        now = iso(self.record.now())
        result = {
            **job.result,
            **totals.to_dict(),
            "manifest_key": written.key,
            "data_prefix": written.data_prefix,
            "item_count": written.item_count,
            "export_time": manifest.export_time,
            "end_time": now,
            "known_empty": bool(totals.read or export.get("result", {}).get("known_empty")),
        }
        request = {name: export["request"][name] for name in _OF_EXPORT if name in export["request"]}
        return replace(job, state="completed", pending_reason="", request={**job.request, **request}, result=result)

    def _manifest(self, job: Job, plan: JobPlan, totals: JobTotals, of_export: Manifest) -> Manifest:
        files = tuple(
            DataFile(plan.object_key(file), result.written, result.md5, result.etag)
            for file, result in zip(plan.files, read_results(self.bucket, plan), strict=True)
        )
        changed: dict[str, Any] = {
            "method": str(job.request.get("method", "")),
            EVIDENCE: BeganWith(self._mark(), plan.definition.at or 0.0).to_dict(),
            "items_source": totals.read,
            "items_destination": totals.written - totals.lost,
            "spark": {**totals.to_dict(), "cost": job.result.get("cost", {})},
            EXPORT: evidence_of(self.bucket, of_export),
        }
        folder = plan.objects.removesuffix("data/")
        return replace(
            of_export, key=f"{folder}{SUMMARY}", item_count=totals.written, billed_bytes=0, files=files, changed=changed
        )
