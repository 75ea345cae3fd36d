# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The method s3: an export to S3, and an import from there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ...account import Account
from ...change import Change
from ...exports.export import ExportKind, ExportPlan, plan_export, start_export
from ...exports.keys import undescribed
from ...exports.loading import Loader
from ...exports.lost import running_exports
from ...imports.import_place import ImportLoader
from ...imports.import_request import ImportOptions, untagged
from ...imports.importing import ImportKind, import_job, plan_import
from ...imports.judge import judge_import
from ...imports.lost import fillings, running_import
from ...jobs.job import Job
from ...jobs.kind import JobKind
from ...jobs.tracking import Tracking
from ...judgement import Judgement, JudgeOptions, nothing_to_judge
from ...plan.facts import Between, TableFacts, Wishes
from ...plan.forecast import Forecast
from ...plan.prices import Prices
from ...route import Route
from ...steps.source_jobs import SourceJob
from ...steps.standing import Filling
from ...table.creation import check_indexes, require_importable
from ...table.definition import TableDefinition
from ...table.quotas import check_quotas
from ...table.replication import brought_along
from ..method import ItemJobs, Needs
from ..options import MigrationOptions
from .forecast import forecast

LONGEST_WAY = 86400  # seconds that an export may wait on the way to its import, whatever its age when it was chosen


class S3Method:
    """Export to S3, import from S3."""

    name: ClassVar[str] = "s3"
    path: ClassVar[str] = "export to S3, import from S3"
    local_secondary_indexes: ClassVar[bool] = False
    data_needs: ClassVar[Needs] = "staged"
    counts: ClassVar[bool] = True
    resumes: ClassVar[bool] = False
    transforms: ClassVar[bool] = False
    loader: ClassVar[Loader | None] = ImportLoader()
    compares_export: ClassVar[bool] = False
    kinds: ClassVar[Mapping[str, Callable[[], JobKind]]] = {"export": ExportKind, "import": ImportKind}

    def require(self, definition: TableDefinition, options: MigrationOptions) -> None:
        """Raises LocalSecondaryIndexes."""
        require_importable(definition)

    def require_room(self, destination: Account, options: MigrationOptions) -> None:
        """Nothing: no job of it has a place of the user's."""

    def start(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """The export started. Raises what plan_export and start_export raise."""
        plan = plan_export(source, destination, options.export, ImportLoader(), record)
        check_indexes(plan.definition, options.indexes_after, options.leave_indexes)
        check_quotas(destination, plan.definition, options.leave_indexes)
        job = start_export(source, destination, plan, record)
        following = import_job(_import_options(options, plan))
        changes = plan.changes
        if job.request.get("shared") and changes:
            place = f"s3://{job.request['call']['S3Bucket']}/{job.request['call']['S3Prefix']}/"
            changes = [*changes[:-1], Change(f"export of {options.table}", None, {"shared": place})]
        seen = undescribed(source, destination, plan.definition, options.export) if job.open else []
        warnings = (*brought_along(plan.definition), *untagged(destination), *seen)
        return ItemJobs(job, (following,), tuple(changes), plan.definition, following, tuple(plan.left), None, warnings)

    def preview(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """Export and import foreseen. Raises what plan_export and plan_import raise."""
        exported = plan_export(source, destination, options.export, ImportLoader(), record)
        check_indexes(exported.definition, options.indexes_after, options.leave_indexes)
        check_quotas(destination, exported.definition, options.leave_indexes)
        import_options = replace(_import_options(options, exported), export=exported.job.foreseen)
        imported = plan_import(source, destination, import_options, record)
        seen = (
            []
            if exported.job.state == "not_needed"
            else undescribed(source, destination, exported.definition, options.export)
        )
        return ItemJobs(
            exported.job.foreseen,
            (imported.job.foreseen,),
            (*exported.changes, *imported.changes),
            exported.definition,
            imported.job,
            tuple(exported.left),
            exported.obstacle or imported.obstacle,
            (*brought_along(exported.definition), *untagged(destination), *seen),
        )

    def running_fill(
        self, destination: Account, options: MigrationOptions, route: Route, there: TableDefinition | None
    ) -> Job | None:
        """The import from the route's staging prefix that runs; none of what a job has changed."""
        job = running_import(destination, route)
        return None if job is None or job.request["export"].get("changed") else job

    def fillings(self, destination: Account) -> Iterator[Filling]:
        """The imports of what was staged."""
        return fillings(destination)

    def source_jobs(self, source: Account, tables: Collection[str]) -> Iterator[SourceJob]:
        """The exports that run into our prefixes."""
        return running_exports(source, tables)

    def between(self, source: Account, destination: Account, wishes: Wishes) -> Between:
        """Nothing that a table does not say."""
        return Between()

    def forecast(self, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
        """Export and import; see ``forecast.py``."""
        return forecast(self.name, facts, between, prices)

    def judge(
        self, name: str, source: Account | None, destination: Account, jobs: Sequence[Job], options: JudgeOptions
    ) -> Judgement:
        """Judge the table that was imported; see ``judge_import``."""
        kinds = {job.kind: job for job in jobs}
        if "import" not in kinds:
            raise nothing_to_judge(name)
        return judge_import(
            name,
            source,
            destination,
            kinds.get("export"),
            kinds["import"],
            verify=options.verify,
            checksums=options.checksums,
            writes_stopped=options.writes_stopped,
            look=options.look,
        )


def _import_options(options: MigrationOptions, exported: ExportPlan) -> ImportOptions:
    return ImportOptions(
        table=options.made_table,
        bucket=options.bucket,
        source_table=options.table,
        bucket_owner=options.bucket_owner,
        definition=exported.definition,
        kms_key_map=options.kms_key_map,
        migration_id=options.migration_id,
        replace_failed=options.replace_failed,
        max_age=max(options.export_max_age, LONGEST_WAY),
        without_indexes=options.settings.without_indexes,
        refused_path=options.items.refused_path,
    )
