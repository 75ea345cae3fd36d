# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports of a table from S3: find the one of an earlier run, or start one exactly once (aws.md B)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from .. import sdk
from ..account import Account
from ..aws_errors import IN_USE, is_passing, is_slot
from ..change import Change
from ..errors import (
    CountMismatch,
    DestinationExists,
    ExportFailed,
    FerryError,
    ImportFailed,
    JobTimeout,
)
from ..exports.loading import Place
from ..exports.manifest import check_readable, checked_manifest, read_manifest, summary_key
from ..exports.memory import Memory, sending
from ..exports.staging import BucketMissing, StagingBucket
from ..jobs.job import Job, ended_with, failure_of
from ..jobs.kind import DestinationJobs, Made, Page, Pause, Steps, WaitItem, made_of
from ..jobs.token import with_token
from ..jobs.tracking import Tracking
from ..judgement import instant
from ..record.intention import CLIENT_TOKEN
from ..record.record import FILL
from ..steps.background import Workbench
from ..table.definition import TableDefinition, json_safe
from .failures import explain_failure
from .import_place import look_at_destination, look_by_record
from .import_request import (
    KIND,
    ImportOptions,
    check_age,
    check_manifest,
    foreseen_call,
    import_change,
    route_of,
    table_parameters,
)
from .import_status import IMPORT_STATES, describe_import, described, find_started
from .memory import KEPT, memory_of
from .refused import has_bad_items, name_refused

PURPOSE = "import"
ABSENCE = 60.0  # seconds in which not-found proves nothing (measured/import-export-table 3.12)
NAMED_AT_ONCE = 4  # failed imports whose items are looked for at the same time
VISIBLE_GAP = 2.0  # seconds between looks at a table that is about to be there
ACTIVE_WAIT = 900.0  # seconds that a completed import's table may take to be ACTIVE


@dataclass(frozen=True)
class ImportPlan:
    """What a start would do. ``obstacle`` is what must be fixed first: the start raises it."""

    job: Job
    changes: list[Change]
    obstacle: FerryError | None = None


# Planning


def plan_import(
    source: Account | None, destination: Account, options: ImportOptions, record: Tracking | None = None
) -> ImportPlan:
    """What a start would do; reads only. With the ``record`` of the table, earlier imports are found there.

    The plan's job is ``not_needed`` after an earlier run's import, ``running`` while one runs, else ``planned``. Raises
    DestinationExists, ImportFailed (an earlier import left a partial table), ExportFailed, PrefixNotData, EmptyPrefix,
    ChecksumMismatch, CountMismatch, MissingKeyMapping, LocalSecondaryIndexes, StagingBucketUnusable, InvalidInput.
    """
    export = options.export
    if export is not None and export.state in ("failed", "cancelled"):
        raise _export_error(export)
    bucket = StagingBucket(
        destination,
        options.bucket,
        options.bucket_owner or destination.account_id,
        export.request.get("bucket", {}).get("kms_key_arn", "") if export else "",
    )
    blank = Job(KIND, options.table, migration_id=options.migration_id)
    try:
        manifest = None if export else read_manifest(bucket, summary_key(options.prefix))
        route = route_of(source, destination, options, manifest)
        listed_at = record.now() if record is not None and record.may_write else 0.0
        if record is not None:
            place = look_by_record(destination, route, record)
        else:
            bucket.region()  # which says where there is none
            place = _known(look_at_destination(destination, route, _data_prefix(options)), export)
    except BucketMissing as error:
        planned = foreseen_call(source, destination, options)
        return ImportPlan(blank, [import_change(options, options.prefix, planned)], error)
    if place.job is not None and place.state == "done":
        return ImportPlan(replace(place.job, state="not_needed"), [])
    if place.job is not None and place.state == "running":
        return ImportPlan(place.job, [])
    if place.job is not None and place.table is not None and not options.replace_failed:
        raise explain_failure(destination, place.job)
    if export is not None and not export.result.get("manifest_key"):
        # Check mode before the first run has an export that is only planned: that is no error.
        if export.state == "planned":
            return ImportPlan(blank, [import_change(options, "", foreseen_call(source, destination, options))])
        return ImportPlan(blank, [import_change(options, "", {})], _export_error(export))
    check_age(destination, options)
    before = None
    if export is not None:
        key = export.result["manifest_key"]
        before = checked_manifest(bucket, key, export.result.get("checked", {}))
        manifest = before or read_manifest(bucket, key)
    elif manifest is None:
        manifest = read_manifest(bucket, summary_key(options.prefix))
    check_manifest(options, route, manifest)
    if before is None:
        check_readable(bucket, manifest)
    call = {
        "S3BucketSource": {
            "S3BucketOwner": bucket.owner,
            "S3Bucket": bucket.name,
            "S3KeyPrefix": manifest.data_prefix,
        },
        "InputFormat": options.input_format,
        "InputCompressionType": options.compression,
        "TableCreationParameters": table_parameters(source, destination, options, manifest.table_id),
    }
    replaces = place.table.table_id if place.table is not None else ""
    requested = replace(
        blank,
        request={
            "purpose": PURPOSE,
            "route": route.to_dict(),
            "bucket": bucket.to_dict(),
            "call": call,
            "source": {"table_arn": manifest.table_arn, "table_id": manifest.table_id},
            "export": {
                "arn": manifest.export_arn,
                "manifest_key": manifest.key,
                "item_count": manifest.item_count,
                **_of_itself(export),
                "time": manifest.export_time or str(export.result.get("export_time", "") if export else ""),
                "changed": dict(manifest.changed),
            },
            "replaces": replaces,
            "refused_path": options.refused_path,
        },
    )
    changes = [import_change(options, manifest.data_prefix, call)]
    if replaces:
        changes.insert(0, Change(f"table {options.table}", "what a failed import left", None, "destructive"))
    job = _numbered(requested, place) if record is None else _to_intend(record, requested, place, listed_at)
    return ImportPlan(job, changes)


def _data_prefix(options: ImportOptions) -> str:
    return str(options.export.result.get("data_prefix", "")) if options.export else options.prefix


def _known(place: Place, export: Job | None) -> Place:
    """``place`` with what the ``export`` says of itself beyond its manifest, where it was imported."""
    if place.job is None or export is None or place.job.request["export"].get("arn") != export.arn:
        return place
    about = {**place.job.request["export"], **_of_itself(export)}
    return replace(place, job=replace(place.job, request={**place.job.request, "export": about}))


def _of_itself(export: Job | None) -> dict[str, Any]:
    return {
        "known_empty": bool(export and export.result.get("known_empty")),
        "filtered": bool(export and export.request.get("filtered")),
        "writes_stopped": bool(export and export.request.get("not_before")),
    }


def _numbered(requested: Job, place: Place) -> Job:
    """``requested`` with its token, and an attempt above those of the imports that AWS lists."""
    return with_token(replace(requested, attempt=place.job.attempt + 1 if place.job else 0))


def _to_intend(record: Tracking, requested: Job, place: Place, listed_at: float) -> Job:
    """The import to begin: the one that was intended, unchanged, as long as it may be sent; else a new one.

    Raises NotYet while an intention that is not to be sent any more may still be begun.
    """
    last = place.job
    if last is not None and place.state == "unfinished":
        again = with_token(replace(requested, attempt=last.attempt))
        wanted = again.request["call"] == last.request["call"]
        if not record.may_write or record.next_step(last, CLIENT_TOKEN, listed_at, wanted=wanted) == "send":
            return replace(last, state="planned")
        record.not_begun(last, CLIENT_TOKEN, listed_at)
    return with_token(replace(requested, attempt=record.number(FILL)))


def _export_error(export: Job) -> FerryError:
    """Why there is no export to import from."""
    if export.state in ("failed", "cancelled"):
        return failure_of(export, ExportFailed)
    if export.open:
        return JobTimeout(
            "The export has not ended yet.", "Wait for it with job_wait, or run again later.", table=export.name
        )
    return ExportFailed("There is no export to import from.", "Export the table first.", table=export.name)


# Starting


def import_job(options: ImportOptions) -> Job:
    """The import that follows an export: the waiter plans and starts it when the export has completed."""
    values = {name: value for name, value in vars(options).items() if name not in ("export", "definition")}
    if options.definition is not None:
        values["definition"] = options.definition.to_dict()
    request = {"options": values}
    return Job(KIND, options.table, "pending", "", "job", request, migration_id=options.migration_id)


def _planned_options(request: Mapping[str, Any]) -> ImportOptions:
    """The options of ``import_job``'s request, with the export that ``ImportKind.after`` put there."""
    values = dict(request["options"])
    if "definition" in values:
        values["definition"] = TableDefinition.from_dict(values["definition"])
    return ImportOptions(**values, export=Job.from_dict(request["export"]))


def start_import(destination: Account, plan: ImportPlan, record: Tracking | None = None) -> Job:
    """Start the import of ``plan``, once; or leave it pending until a slot is free.

    Raises the plan's obstacle, ImportLocked, DestinationExists, ImportFailed, StagingBucketUnusable, FerryError.
    """
    if plan.obstacle is not None:
        raise plan.obstacle
    if plan.job.state != "planned":
        memory = memory_of(record)
        if plan.job.open and memory is not None:
            memory.write(plan.job)
        return plan.job
    if not plan.job.request:
        raise ExportFailed("There is no export to import from.", "Export the table first.", table=plan.job.name)
    try:
        return begin_import(destination, memory_of(record), plan.job)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if is_passing(error):
            return replace(plan.job, state="pending", pending_reason="slot")
        raise destination.explain(error, "starting the import", plan.job.name) from error


def begin_import(destination: Account, memory: Memory | None, job: Job) -> Job:
    """Send the import's request, which is written down: the running job, or still pending (a table that it
    replaces is not gone yet). Sending it again finds the first one.

    Raises the SDK's errors as they are (a full quota is one), DestinationExists, ImportFailed.
    """
    dynamodb = destination.client("dynamodb", retries=0)
    call = job.request["call"]
    name = call["TableCreationParameters"]["TableName"]
    if job.request["replaces"] and not _make_room(destination, dynamodb, job, name):
        return replace(job, state="pending", pending_reason="slot")
    try:
        with sending(memory, job):
            description = json_safe(dynamodb.import_table(**call)["ImportTableDescription"])
    except sdk.ClientError as error:
        if sdk.error_code(error) != "ResourceInUseException":
            raise
        # The table's existence is looked at before the token: it may be our own import's, whose answer was lost.
        started = find_started(destination, job)
        if started is None:
            raise DestinationExists(
                f"The table {name} has been created in the meantime: {sdk.told(error)}.",
                "Find out who created it, or choose another destination_table.",
                table=job.name,
            ) from error
    else:
        _check_echo(job, description)
        started = described(job, description)
    # A replayed token may answer with an import that has ended: its end is read like any other's.
    started = replace(started, state="running", failure={})
    if memory is not None:
        memory.write(started)
    return started


def _check_echo(job: Job, description: Mapping[str, Any]) -> None:
    """A replayed token ignores a changed source (measured/import-export-table 1.8): compare what AWS imports."""
    sent, used = job.request["call"]["S3BucketSource"], description.get("S3BucketSource", {})
    for member in ("S3Bucket", "S3KeyPrefix"):
        if member in used and used[member] != sent[member]:
            raise ImportFailed(
                f"AWS answered with an older import, {description['ImportArn']}: of {used[member]} not {sent[member]}.",
                "Wait until that import has ended, check its table, and run again.",
                table=job.name,
                details={"import_arn": description["ImportArn"]},
            )


def _make_room(destination: Account, dynamodb: Any, job: Job, name: str) -> bool:
    """Delete the partial table that the import replaces; whether the name is free now. Never another table."""
    table = TableDefinition.find(destination, name)
    if table is None:
        return True
    if table.table_id != job.request["replaces"]:
        raise DestinationExists(
            f"The table {name} is no longer the one that the failed import left.",
            "Find out who created it, or choose another destination_table.",
            table=job.name,
        )
    if table.status == "ACTIVE":
        try:
            dynamodb.delete_table(TableName=name)
        except sdk.ClientError as error:
            # Its tags are locked for a moment, or it is being updated: asked again, as while it is being deleted.
            if sdk.error_code(error) not in IN_USE:
                raise
    return False


# Waiting


class ImportKind(DestinationJobs):
    """Imports, for the waiter."""

    noun: ClassVar[str] = "import"
    plural: ClassVar[str] = "imports"

    def __init__(self) -> None:
        self._workbench = Workbench(NAMED_AT_ONCE)

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListImports."""
        request = {"PageSize": 25, **({"NextToken": next_token} if next_token else {})}
        page = account.client("dynamodb").list_imports(**request)
        states = {
            entry["ImportArn"]: IMPORT_STATES.get(entry["ImportStatus"], "running")
            for entry in page["ImportSummaryList"]
        }
        return Page(states, page.get("NextToken", ""))

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Plan the import when it follows an export, start it, wait for its end and for its table."""
        destination, job, adopted = self.account(item), item.job, False
        if job.state == "pending" and "call" not in job.request:
            plan = plan_import(item.source, destination, _planned_options(job.request), item.record)
            job, adopted = start_import(destination, plan, item.record), not plan.changes
            if job.state == "not_needed":
                return job
            if job.state == "pending":
                yield Pause(job, "slot")
        memory = memory_of(item.record)
        while job.state == "pending":
            try:
                job = begin_import(destination, memory, job)
            except sdk.ClientError as error:
                if not is_slot(error):
                    raise
                yield Pause(job, "slot")
                continue
            if job.state == "pending":
                yield Pause(job, "time", VISIBLE_GAP)
        while job.state == "running":
            yield Pause(job, "end", adopted=adopted)
            job = describe_import(destination, job, retries=0)
        if job.state == "failed" and has_bad_items(job):
            job = yield from self._workbench.steps(job, partial(name_refused, destination, job))
        if job.state == "completed":
            job = yield from _settled(destination, job, clock)
        if job.state == "completed":
            job = _counted(job)
        if item.record is not None:
            _record_end(destination, job, item.record)
        return job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """The import of just that export."""
        return replace(job, request={**job.request, "export": before.to_dict()})

    def made(self, job: Job) -> Made:
        """The imported table, whole where AWS counted no errors and as many items as were exported."""
        exported, imported = job.request.get("export", {}).get("item_count"), job.result.get("imported_items")
        lacking = None not in (exported, imported) and exported != imported
        return made_of(job, whole=not job.result.get("errors") and not lacking)

    def explain(self, job: Job, destination: Account | None) -> FerryError:
        """The error that the job failed with, and what the destination's log and table say."""
        return explain_failure(destination, job) if destination else failure_of(job)


def _settled(destination: Account, job: Job, clock: Callable[[], float]) -> Steps:
    """The completed ``job`` once its table is ACTIVE, or failed: COMPLETED alone proves nothing (measured 3.2)."""
    begun = clock()
    while True:
        table = TableDefinition.find(destination, job.name)
        patience = ABSENCE if table is None else ACTIVE_WAIT
        cause = ""
        if table is None:
            cause = "its table does not exist: it was deleted"
        elif table.table_id != job.result["table_id"]:
            cause, patience = f"its table now has the id {table.table_id}: it was deleted and created again", 0.0
        elif table.status != "ACTIVE":
            cause = f"its table is {table.status}"
        if not cause:
            return job
        if clock() - begun >= patience:
            return ended_with(job, ImportFailed(f"The import completed, but {cause}.", "Find out why, then run again."))
        yield Pause(replace(job, state="running"), "time", VISIBLE_GAP)


def _counted(job: Job) -> Job:
    """The completed ``job``, or failed where AWS imported fewer items than were exported, or counted errors."""
    exported, imported = job.request.get("export", {}).get("item_count"), job.result.get("imported_items")
    errors = int(job.result.get("errors") or 0)
    if errors:
        cause = f"The import counted {errors} errors."
        return ended_with(job, CountMismatch(cause, "Look at its log, then import the table again."))
    if None in (exported, imported) or exported == imported:
        return job
    return ended_with(
        job,
        CountMismatch(
            f"The export holds {exported} items, the import counts {imported}.",
            "Keep the source. Look at the import's log; do not hand the destination over.",
            details={"items_source": exported, "items_destination": imported},
        ),
    )


def _record_end(destination: Account, job: Job, record: Tracking) -> None:
    """The import's end in the table's ``record``: filled, or broken where it left a table that is not whole.

    A completed one's table has been seen by ``_settled`` just now.
    """
    if job.state == "completed":
        exported, result = job.request["export"], job.result
        record.filled(
            job,
            seen_table_id=result["table_id"],
            evidence={
                "items_source": exported.get("item_count"),
                "items_destination": result.get("imported_items"),
                "bytes": result.get("processed_bytes"),
                "export_arn": exported.get("arn", ""),
                "import_arn": job.arn,
                "end_time": result.get("end_time", ""),
                **exported.get("changed", {}),
            },
            data_as_of=instant(exported.get("time", "")),
            keep=KEPT,
        )
        return
    table = TableDefinition.find(destination, job.name)
    seen = table.table_id if table is not None else ""
    if seen and seen == job.result.get("table_id"):
        error = explain_failure(destination, job)
        record.broken(job, seen_table_id=seen, why=error.cause, next=error.next_step, keep=KEPT)
    else:
        record.ended(job, KEPT)
