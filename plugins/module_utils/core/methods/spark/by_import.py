# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The methods glue and emr with ``end: import``: an export, a Spark job that writes the changed items to S3, an import.

They count as methods of their own in records: half a table of theirs is gone on with by no other one, nor the reverse.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar

from ...account import Account
from ...change import Change
from ...destination import not_ours
from ...errors import FerryError
from ...exports.export import ExportKind, ExportPlan, start_export
from ...exports.loading import Loader, Place
from ...imports.failures import explain_failure
from ...imports.import_place import ImportLoader
from ...imports.import_request import ImportOptions, untagged
from ...imports.importing import ImportKind, import_job, plan_import
from ...imports.lost import running_import
from ...jobs.job import Job
from ...jobs.kind import JobKind
from ...jobs.tracking import Tracking
from ...judgement import Judgement, JudgeOptions, nothing_to_judge
from ...record.record import FILL, WRITE
from ...route import Route
from ...table.definition import TableDefinition
from ...table.preview import as_imported
from ..method import ItemJobs, Method
from ..options import MigrationOptions
from . import delivery
from .engines import ENGINES, INTO_S3, LOOK_KIND
from .into_s3 import IntoS3Kind
from .judge import judge_changed_import
from .loader import SparkLoader
from .look_job import LookKind
from .method import (
    EmrMethod,
    GlueMethod,
    SparkMethod,
    item_jobs,
    look_change,
    looks_of,
    planned,
    require_importable_end,
)
from .planning import SparkOptions


class ObjectsLoader(SparkLoader):
    """The import of what a Spark job has changed, and that job, as the export before them sees them."""

    kind: ClassVar[str] = INTO_S3
    imports: ClassVar[ImportLoader] = ImportLoader()

    def require_loadable(self, definition: TableDefinition) -> None:
        """Raises LocalSecondaryIndexes."""
        require_importable_end(definition)

    def look(self, destination: Account, route: Route, record: Tracking | None) -> Place:
        """As for an import; ``running`` also while a Spark job reads the export."""
        if record is None:
            return Place("free")
        if record.record.open_job(WRITE) is not None:
            table = TableDefinition.find(destination, route.destination_table)
            if table is not None:
                raise not_ours(destination, table, route.source_table)
            return Place("running")
        return self.imports.look(destination, route, record)

    def explain(self, destination: Account, job: Job) -> FerryError:
        """What the import's log and its table say."""
        return explain_failure(destination, job)

    def close(self, record: Tracking, listed_at: float) -> None:
        """Close the intention of an import that is not to be sent any more. Raises NotYet."""
        self.imports.close(record, listed_at)


LOADER = ObjectsLoader()


class _ByImport(SparkMethod):
    """What both have in common with each other, and not with those whose job writes into the table."""

    local_secondary_indexes: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    loader: ClassVar[Loader | None] = LOADER
    kinds: ClassVar[Mapping[str, Callable[[], JobKind]]] = {
        "export": ExportKind,
        LOOK_KIND: LookKind,
        INTO_S3: IntoS3Kind,
        "import": ImportKind,
    }

    def start(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """The export started. Raises what plan_export and start_export raise, and MissingLibrary."""
        spark = self._options(options)
        plan = planned(source, destination, options, spark, record, LOADER)
        if plan.job.state != "not_needed":
            delivery.build(spark.choices.wheels)  # before anything is billed
        job = start_export(source, destination, plan, record)
        looks = self._looks(spark, options, plan, record)
        then = (*looks, self._changing(spark), import_job(_import_options(options, spark, plan)))
        return _imported(item_jobs(source, destination, options, plan, job, then, plan.changes), destination)

    def preview(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """Export, Spark job and import foreseen. Raises what plan_export and plan_import raise."""
        spark = self._options(options)
        plan = planned(source, destination, options, spark, record, LOADER)
        changing = self._changing(spark).foreseen
        about: dict[str, Any] = {
            name: plan.job.request[name] for name in ("source", "bucket") if name in plan.job.request
        }
        before = plan.job if plan.job.state == "not_needed" else replace(changing, state="planned", request=about)
        asked = replace(_import_options(options, spark, plan), export=before)
        imported = plan_import(source, destination, asked, record)
        changes, looks = [*plan.changes], self._looks(spark, options, plan, record)
        if looks:
            changes.append(look_change(spark))
        if imported.changes:
            run = {"workers": spark.choices.workers, "engine": spark.engine}
            changes.append(Change(f"{ENGINES[spark.engine].noun} into s3://{spark.bucket}", None, run, "billed"))
        changes += imported.changes
        then = (*(look.foreseen for look in looks), changing, imported.job.foreseen)
        jobs = item_jobs(source, destination, options, plan, plan.job.foreseen, then, changes)
        return _imported(replace(jobs, obstacle=jobs.obstacle or imported.obstacle), destination)

    def running_fill(
        self, destination: Account, options: MigrationOptions, route: Route, there: TableDefinition | None
    ) -> Job | None:
        """The import from the route's staging prefix that runs, where a Spark job of this method has changed what it
        reads."""
        job = running_import(destination, route)
        changed = job.request["export"].get("changed", {}) if job is not None else {}
        return job if changed.get("method") == self.name else None

    def judge(
        self, name: str, source: Account | None, destination: Account, jobs: Sequence[Job], options: JudgeOptions
    ) -> Judgement:
        """Judge the table that was imported; see ``judge_changed_import``."""
        kinds = {job.kind: job for job in jobs}
        if "import" not in kinds:
            raise nothing_to_judge(name)
        before = [kinds.get(kind) for kind in ("export", LOOK_KIND, INTO_S3)]
        return judge_changed_import(name, source, destination, before, kinds["import"], options)

    def _looks(
        self, spark: SparkOptions, options: MigrationOptions, plan: ExportPlan, record: Tracking | None
    ) -> tuple[Job, ...]:
        """As where the job writes into the table; an import that has begun was looked at before."""
        last = record.latest(FILL) if record is not None else None
        return () if last is not None and last.arn else looks_of(self.name, spark, options, plan, record)

    def _changing(self, spark: SparkOptions) -> Job:
        request = {"options": spark.to_dict(), "method": self.name}
        return Job(INTO_S3, spark.made_table, "pending", "", "job", request, migration_id=spark.migration_id)


class GlueByImport(_ByImport, GlueMethod):
    """Export to S3, Spark job on AWS Glue, import from S3."""

    name: ClassVar[str] = "glue with end: import"
    path: ClassVar[str] = "export to S3, Spark job on AWS Glue, import from S3"


class EmrByImport(_ByImport, EmrMethod):
    """Export to S3, Spark job on Amazon EMR, import from S3."""

    name: ClassVar[str] = "emr with end: import"
    path: ClassVar[str] = "export to S3, Spark job on EMR Serverless or a cluster of EMR, import from S3"


# By the names of the methods whose job writes into the table.
BY_IMPORT_OF: Mapping[str, Method] = {GlueMethod.name: GlueByImport(), EmrMethod.name: EmrByImport()}


def _import_options(options: MigrationOptions, spark: SparkOptions, plan: ExportPlan) -> ImportOptions:
    shape = spark.shape(plan.definition)
    return ImportOptions(
        table=options.made_table,
        bucket=options.bucket,
        source_table=options.table,
        bucket_owner=options.bucket_owner,
        # Without an id it is used as it is, and not read anew at the source, which has other keys.
        definition=TableDefinition.from_dict({**shape.to_dict(), "TableId": ""}),
        kms_key_map=options.kms_key_map,
        migration_id=options.migration_id,
        replace_failed=options.replace_failed,
        refused_path=options.items.refused_path,
    )


def _imported(jobs: ItemJobs, destination: Account) -> ItemJobs:
    """``jobs`` whose last one is an import."""
    return replace(jobs, warnings=(*jobs.warnings, *untagged(destination)), as_made=as_imported)
