# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The methods glue and emr: an export to S3, and a Spark job that writes its items into the table."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import ClassVar

from ...account import Account
from ...change import Change
from ...destination import creation_call
from ...errors import InvalidInput, LocalSecondaryIndexes
from ...exports.export import ExportKind, ExportPlan, plan_export, start_export
from ...exports.keys import undescribed
from ...exports.loading import Loader
from ...exports.staging import StagingBucket
from ...items.throttle import to_rate
from ...jobs.job import Job
from ...jobs.kind import JobKind
from ...jobs.tracking import Tracking
from ...judgement import Judgement, JudgeOptions, nothing_to_judge
from ...plan.facts import Between, TableFacts, Wishes
from ...plan.forecast import Forecast
from ...plan.prices import Prices
from ...record.parts import is_later_part
from ...record.record import LOOK
from ...route import Route
from ...steps.source_jobs import SourceJob
from ...steps.standing import Filling
from ...steps.transforms import fingerprint_of, holds_table, require_same_transform
from ...table.creation import check_indexes, require_importable
from ...table.definition import TableDefinition
from ...table.merged import require_same_shape
from ...table.own_apis import Tags
from ...table.preview import as_created, items_to_write
from ...table.quotas import check_quotas
from ...table.replication import kept_by_copy, left_by_copy
from ...table.transforming import made_shape, may_be_refused, require_transform
from ..method import ItemJobs, Method, Needs
from ..options import MigrationOptions, SparkChoices
from . import delivery
from .emr_cluster import EmrCluster, EmrStep, require_no_role
from .emr_serverless import EmrServerless
from .engines import ENGINES, require_choices
from .forecast import on_emr, on_glue
from .glue import Glue
from .judge import judge_spark
from .loader import LOADER
from .look_job import LookKind
from .lost import adopt_run, running_run
from .planning import SparkOptions
from .room import require_room
from .spark_job import SparkKind

CLUSTER, SERVERLESS = "cluster", "serverless"  # choices of the engine on EMR


class SparkMethod:
    """What all have in common: they differ in who runs the job, and in where it writes."""

    name: ClassVar[str]
    engines: ClassVar[Collection[str]]
    local_secondary_indexes: ClassVar[bool] = True
    data_needs: ClassVar[Needs] = "staged"
    counts: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    transforms: ClassVar[bool] = True
    loader: ClassVar[Loader | None] = LOADER
    compares_export: ClassVar[bool] = True
    kinds: ClassVar[Mapping[str, Callable[[], JobKind]]] = {
        "export": ExportKind,
        "spark_look": LookKind,
        "spark_job": SparkKind,
    }

    def require(self, definition: TableDefinition, options: MigrationOptions) -> None:
        """Raises InvalidInput, MissingLibrary and ChecksumMismatch, and LocalSecondaryIndexes where the job is to end
        with an import."""
        if self._options(options).choices.end == "import":
            require_importable_end(definition)
        _require_rate(definition, options)
        delivery.require_wheels(options.spark.wheels)

    def require_room(self, destination: Account, options: MigrationOptions) -> None:
        """Raises as the ``require_room`` of runs."""
        spark = self._options(options)
        require_room(destination, spark.engine, spark.choices, options.table)

    def start(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """The export started. Raises what plan_export and start_export raise, and MissingLibrary."""
        spark = self._options(options)
        if record is not None:
            adopt_run(record)
        plan = planned(source, destination, options, spark, record)
        if plan.job.state not in ("not_needed",):
            delivery.build(spark.choices.wheels)  # before anything is billed
        job = start_export(source, destination, plan, record)
        following, looks = _following(self.name, spark), looks_of(self.name, spark, options, plan, record)
        return item_jobs(source, destination, options, plan, job, (*looks, following), plan.changes)

    def preview(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """Export and Spark job foreseen. Raises what plan_export raises."""
        spark = self._options(options)
        plan = planned(source, destination, options, spark, record)
        job, changes = _following(self.name, spark), list(plan.changes)
        if plan.job.state == "not_needed" and record is not None and record.record.state in ("filled", "settled"):
            made = {"table_id": record.record.table_id}
            return item_jobs(source, destination, options, plan, plan.job, (_done(job, made),), changes)
        looks, noun = looks_of(self.name, spark, options, plan, record), ENGINES[spark.engine].noun
        run = {"workers": spark.choices.workers, "engine": spark.engine}
        if looks:
            changes.append(look_change(spark))
        there = TableDefinition.find(destination, options.made_table)
        if record is None and there is not None:  # a run that no record knows goes on: it is adopted
            return item_jobs(source, destination, options, plan, plan.job.foreseen, (job.foreseen,), ())
        if there is None:
            call = creation_call(
                source,
                destination,
                spark.shape(plan.definition),
                options.made_table,
                carry_tags=spark.carry_tags,
                migration_id=options.migration_id,
                kms_key_map=options.kms_key_map,
                warm_throughput=options.warm_throughput,
                protected=record is not None,
            )
            changes.append(Change(f"table {options.made_table}", None, call, "billed"))
        items = items_to_write(plan.definition, spark.shape(plan.definition))
        changes.append(Change(f"{noun} into {options.made_table}", None, {**run, **items}, "billed"))
        then = tuple(each.foreseen for each in (*looks, job))
        return item_jobs(source, destination, options, plan, plan.job.foreseen, then, changes)

    def running_fill(
        self, destination: Account, options: MigrationOptions, route: Route, there: TableDefinition | None
    ) -> Job | None:
        """The run that writes into the table, by what was written into the bucket before it was asked for."""
        if there is None or not options.bucket:
            return None
        bucket = StagingBucket(destination, options.bucket, options.bucket_owner or destination.account_id)
        return running_run(destination, bucket, route, there, self.engines)

    def fillings(self, destination: Account) -> Iterator[Filling]:
        """None, as ``running_fill``."""
        return iter(())

    def source_jobs(self, source: Account, tables: Collection[str]) -> Iterator[SourceJob]:
        """None besides exports, which the method that lists them shows."""
        return iter(())

    def between(self, source: Account, destination: Account, wishes: Wishes) -> Between:
        """Nothing that a table does not say."""
        return Between()

    def judge(
        self, name: str, source: Account | None, destination: Account, jobs: Sequence[Job], options: JudgeOptions
    ) -> Judgement:
        """Judge the table that was filled; see ``judge_spark``."""
        spark = next((job for job in jobs if job.kind == SparkKind.kind), None)
        if spark is None:
            raise nothing_to_judge(name)
        before = [job for job in jobs if job.kind in self.kinds and job is not spark]
        return judge_spark(name, destination, before, spark, verify=options.verify)

    def engine(self, choices: SparkChoices, table: str) -> str:
        """The engine that ``choices`` name. Raises InvalidInput."""
        raise NotImplementedError

    def _options(self, options: MigrationOptions) -> SparkOptions:
        choices = options.spark
        engine = self.engine(choices, options.table)
        require_choices(engine, choices, options.table)
        return SparkOptions(
            table=options.table,
            bucket=options.bucket,
            engine=engine,
            destination_table=options.made_table,
            bucket_owner=options.bucket_owner,
            kms_key_arn=options.kms_key_arn,
            migration_id=options.migration_id,
            kms_key_map=options.kms_key_map,
            warm_throughput=options.warm_throughput,
            indexes_after=options.indexes_after,
            leave_indexes=options.leave_indexes,
            carry_tags=Tags.name not in options.defer,
            write_rate=options.items.write_rate,
            refused_path=options.items.refused_path,
            count=options.verify != "none",
            choices=choices,
            transform=options.transform,
        )


class GlueMethod(SparkMethod):
    """Export to S3, Spark job on AWS Glue."""

    name: ClassVar[str] = "glue"
    engines: ClassVar[Collection[str]] = (Glue.name,)
    path: ClassVar[str] = "export to S3, Spark job on AWS Glue"

    def forecast(self, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
        """An export, and a run of the engine; see ``forecast.py``."""
        return on_glue(self.name, facts, between, prices)

    def engine(self, choices: SparkChoices, table: str) -> str:
        """Glue; what is for EMR is refused."""
        if choices.engine or choices.application_id or choices.cluster_id:
            raise InvalidInput(
                "spark names an engine, an application or a cluster of EMR.",
                "Leave it out, or use the method emr.",
                table=table,
            )
        return Glue.name


class EmrMethod(SparkMethod):
    """Export to S3, Spark job on Amazon EMR."""

    name: ClassVar[str] = "emr"
    engines: ClassVar[Collection[str]] = (EmrServerless.name, EmrStep.name, EmrCluster.name)
    path: ClassVar[str] = "export to S3, Spark job on EMR Serverless or a cluster of EMR"

    def forecast(self, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
        """An export, and a run of the engine; see ``forecast.py``."""
        return on_emr(self.name, facts, between, prices)

    def engine(self, choices: SparkChoices, table: str) -> str:
        """EMR Serverless unless a cluster is asked for: the user's, or one for the job alone."""
        if choices.engine not in ("", SERVERLESS, CLUSTER):
            raise InvalidInput(
                f"There is no engine {choices.engine!r} on EMR.", f"Use {SERVERLESS} or {CLUSTER}.", table=table
            )
        if choices.cluster_id and choices.application_id:
            raise InvalidInput("spark names an application and a cluster.", "Give one of them.", table=table)
        if choices.cluster_id:
            return EmrStep.name
        if choices.engine != CLUSTER:
            return EmrServerless.name
        require_no_role(choices, table)
        return EmrCluster.name


SPARK_METHODS: Sequence[Method] = (GlueMethod(), EmrMethod())


def planned(
    source: Account,
    destination: Account,
    options: MigrationOptions,
    spark: SparkOptions,
    record: Tracking | None,
    loader: Loader = LOADER,
) -> ExportPlan:
    """The export, and what the job after it would be refused for. Raises what plan_export and require_room do,
    InvalidTransform, TableBroken, InvalidInput, QuotaTooSmall, MissingLibrary, ChecksumMismatch."""
    plan = plan_export(source, destination, options.export, loader, record)
    definition = plan.definition
    if options.transform is not None:
        require_transform(options.transform, definition)
    if record is not None and holds_table(record.record, destination, options.made_table):
        require_same_transform(record.record, fingerprint_of(options.transform, definition), options.table)
    if record is not None and is_later_part(record.record):
        whole = made_shape(definition, options.transform, options.leave_indexes)
        require_same_shape(TableDefinition.read(destination, options.made_table), whole, options.table)
    check_indexes(definition, options.indexes_after, options.leave_indexes)
    _require_rate(definition, options)
    if plan.job.state != "not_needed":
        delivery.require_wheels(spark.choices.wheels)
        check_quotas(destination, definition, options.leave_indexes)
        require_room(destination, spark.engine, spark.choices, options.table)
    return plan


def require_importable_end(definition: TableDefinition) -> None:
    """Raises LocalSecondaryIndexes for a table that the import at the end cannot create."""
    try:
        require_importable(definition)
    except LocalSecondaryIndexes as error:
        cause = f"{error.cause} spark has end: import; with end: table the job can."
        raise LocalSecondaryIndexes(cause, error.next_step, table=error.table) from error


def _require_rate(definition: TableDefinition, options: MigrationOptions) -> None:
    capacity = int((definition.provisioned_throughput or {}).get("WriteCapacityUnits", 0))
    to_rate("write_rate", options.items.write_rate, capacity)


def _following(method: str, options: SparkOptions, kind: str = SparkKind.kind) -> Job:
    request = {"options": options.to_dict(), "method": method}
    return Job(kind, options.made_table, "pending", "", "job", request, migration_id=options.migration_id)


def looks_of(
    method: str, options: SparkOptions, chosen: MigrationOptions, plan: ExportPlan, record: Tracking | None
) -> tuple[Job, ...]:
    """The look for colliding keys before the table is made: where the steps do not keep keys apart provably and
    colliding ones are refused; and where an earlier run has begun one of which nobody has seen the end."""
    if record is not None and record.record.state in ("filled", "settled"):
        return ()
    begun = record is not None and record.record.open_job(LOOK) is not None
    wanted = may_be_refused(chosen.transform, plan.definition)
    return (_following(method, options, LookKind.kind),) if begun or wanted else ()


def look_change(options: SparkOptions) -> Change:
    """The look as a change that check mode shows."""
    run = {"workers": options.choices.workers, "engine": options.engine}
    what = f"{ENGINES[options.engine].noun} that looks for colliding keys of {options.table}"
    return Change(what, None, run, "billed")


def _done(job: Job, made: Mapping[str, str]) -> Job:
    return Job(job.kind, job.name, "not_needed", request=job.request, result=dict(made), migration_id=job.migration_id)


def item_jobs(
    source: Account,
    destination: Account,
    options: MigrationOptions,
    plan: ExportPlan,
    job: Job,
    then: tuple[Job, ...],
    changes: Sequence[Change],
) -> ItemJobs:
    """The export's ``job`` and those that follow ``then``, the last of which makes the table."""
    fresh = plan.job.state != "not_needed"
    seen = undescribed(source, destination, plan.definition, options.export) if fresh and job.open else []
    return ItemJobs(
        job,
        then,
        tuple(changes),
        plan.definition,
        then[-1],
        (*plan.left, *(left_by_copy(plan.definition) if fresh else ())),
        plan.obstacle,
        (*(kept_by_copy(plan.definition) if fresh else ()), *seen),
        as_made=as_created,
    )
