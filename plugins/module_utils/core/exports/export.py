# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports of a table to S3: find the one of an earlier run, or start one exactly once (aws.md A)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, ClassVar

from .. import sdk
from ..account import Account
from ..aws_errors import is_passing
from ..change import Change, NotCarried
from ..errors import (
    AccessDenied,
    ExportFailed,
    FerryError,
    InvalidInput,
    MissingTable,
    PointInTimeRecoveryDisabled,
    PointInTimeRecoveryNotReady,
    Refused,
)
from ..jobs.job import Job, ended_with
from ..jobs.kind import Made, Page, Pause, SourceJobs, Steps, WaitItem, begun
from ..jobs.token import with_token
from ..jobs.tracking import Tracking
from ..record.intention import CLIENT_TOKEN
from ..record.record import Source
from ..route import Route
from ..table.definition import TableDefinition
from ..table.ownership import has_room, read_tags
from ..table_status import require_usable
from .at_once import WAITS, accepted, again, at_once, is_without_time, lacks_items
from .export_request import (
    PURPOSE,
    STOPPED_PURPOSE,
    ExportOptions,
    at_time,
    export_job,
    is_same_request,
    may_still_show,
    numbered,
    summary_of,
    timed,
    to_call,
    to_text,
)
from .export_status import (
    EXPORT_STATES,
    describe_export,
    described,
    find_by_token,
    known_empty,
    look_up,
    read_result,
    serves,
)
from .filter import check_filter
from .keys import check_keys, check_staging_key
from .loading import Loader, Place
from .lost import PROBE, LostExport, lost_export, was_probed
from .manifest import FOLDER, check_readable, read_manifest
from .memory import KEPT, memory_of, sending
from .recovery import RECOVERY_TAG, RecoveryWindow, read_recovery, turn_on_recovery, wait_for_recovery
from .shared import agreed
from .staging import BucketMissing, StagingBucket


@dataclass(frozen=True)
class ExportPlan:
    """What a start would do. ``obstacle`` is what must be fixed first: the start raises it."""

    job: Job
    changes: list[Change]
    definition: TableDefinition
    left: list[NotCarried]
    obstacle: FerryError | None = None


# Planning


def plan_export(
    source: Account,
    destination: Account | None,
    options: ExportOptions,
    loader: Loader,
    record: Tracking | None = None,
) -> ExportPlan:
    """What a start would do; reads only. With ``destination`` all that can be known is checked before AWS charges: the
    ``loader``, which is to load the export there, says what stands there, and which tables it can make.

    With the ``record`` of the table, earlier jobs are found there; one that this run holds is brought to where a new
    export may be intended (NotYet where that must wait).

    The plan's job is ``not_needed`` when the destination is complete, ``running`` or ``completed`` for an export of an
    earlier run that serves, else ``planned``. Raises MissingTable, TableUnusable, LocalSecondaryIndexes,
    FilterNotAllowed, PointInTimeRecoveryDisabled, DestinationExists, ImportFailed,
    MissingKeyMapping, KeyNotUsable, StagingBucketUnusable, InvalidInput, AccessDenied, CredentialsError.
    """
    definition = TableDefinition.read(source, options.table)
    if options.export_type == "FULL_EXPORT" and options.to_import:
        loader.require_loadable(definition)
    check_filter(source, definition, options)
    route = _route(source, destination, definition, options)
    account = destination or source
    bucket = StagingBucket(account, options.bucket, _owner(source, destination, options), options.kms_key_arn)
    requested = export_job(options, definition, route, bucket)
    if record is None and options.shows_the_end:
        requested = replace(requested, request={**requested.request, "purpose": STOPPED_PURPOSE})
    place, may_be_begun = Place("free"), True
    obstacle: FerryError | None = None
    try:
        check_staging_key(bucket, options)
        if record is None and (destination is not None or bucket.owner == source.account_id):
            if destination is not None and options.to_import:
                bucket.require_listable(route.export_prefix)
            may_be_begun = was_probed(bucket, requested)
    except BucketMissing as error:
        obstacle = error
    if destination is not None and options.export_type == "FULL_EXPORT":
        place = loader.look(destination, route, record)
        check_keys(source, destination, definition, options, loader)
    last = None
    if record is not None:
        last = record.latest(requested.request["purpose"])
    elif may_be_begun and obstacle is None:
        last = find_by_token(source, requested)
    if place.state in ("done", "running"):
        served = last or replace(requested, request={**requested.request, "call": {}})
        return ExportPlan(replace(served, state="not_needed"), [], definition, [])
    listed_at = record.now() if record is not None and record.may_write else 0.0
    if record is not None and last is None:
        last = _former_serving(source, record, requested, options)
    lost = LostExport()
    if record is not None and last is None and destination is not None and obstacle is None:
        if options.to_import:
            bucket.require_listable(route.export_prefix)
        lost = lost_export(source, destination, bucket, requested, options, record)
        last = lost.serving
    elif record is not None and last is not None:
        last = look_up(source, last)
    if last is not None and serves(source, last, requested, options):
        return ExportPlan(last, [], definition, [], obstacle)
    if place.state == "partial" and place.job is not None and destination is not None and not options.replace_failed:
        raise loader.explain(destination, place.job)
    if record is not None and last is not None and destination is not None and options.to_import and obstacle is None:
        bucket.require_listable(route.export_prefix)
    require_usable(definition.raw)
    window = read_recovery(source, options.table)
    if options.shows_the_end:
        requested = replace(requested, request={**requested.request, "not_before": to_text(window.moment)})
    if last is not None and last.arn and is_without_time(last.request):
        requested = replace(requested, request={**requested.request, WAITS: True})  # it had too few items, or failed
    changes = _recovery_changes(window, options)
    if record is not None:
        if lost.attempts and record.may_write:
            record.above(lost.attempts)
        _close_former(source, record, requested, listed_at)
        job = _to_intend(record, timed(requested, window), last, window, options, loader, listed_at)
    else:
        job = numbered(timed(requested, window), last, window, options)
    changes.append(Change(f"export of {options.table}", None, summary_of(job), "billed"))
    left = [NotCarried("items that do not match the filter", "the filter leaves them out")] if options.filter else []
    if not window.enabled and _is_full(source, definition):
        changes = [change for change in changes if not change.what.startswith(f"tag {RECOVERY_TAG} ")]
        left.append(
            NotCarried(
                f"tag {RECOVERY_TAG} of {options.table}",
                "the table has no room for one more tag: cleanup cannot know that point-in-time recovery was turned on"
                " by this migration; turn it off yourself when it is no longer needed",
            )
        )
    return ExportPlan(job, changes, definition, left, obstacle)


def _to_intend(
    record: Tracking,
    requested: Job,
    last: Job | None,
    window: RecoveryWindow,
    options: ExportOptions,
    loader: Loader,
    listed_at: float,
) -> Job:
    """The export to begin: the one that was intended, unchanged, as long as it may be sent; else a new one.

    An export that has ended and does not serve needs a new attempt. Raises NotYet where it is too early for that.
    """
    if last is not None and not last.arn:
        wanted = is_same_request(last, requested) and may_still_show(last, window, options)
        if not record.may_write or record.next_step(last, CLIENT_TOKEN, listed_at, wanted=wanted) == "send":
            return last
        record.not_begun(last, CLIENT_TOKEN, listed_at)
    elif last is not None and record.may_write:
        loader.close(record, listed_at)
        record.close(last, CLIENT_TOKEN, listed_at, KEPT)
        record.new_attempt(record.record.method)
    fresh = replace(requested, attempt=record.number(requested.request["purpose"]))
    return with_token(fresh) if fresh.state == "planned" else fresh


def _close_former(source: Account, record: Tracking, requested: Job, listed_at: float) -> None:
    """End or close the export that an earlier attempt left open. Raises NotYet while it runs, or may be begun."""
    former = record.former(requested.request["purpose"])
    if former is not None and record.may_write:
        record.close(look_up(source, former), CLIENT_TOKEN, listed_at, KEPT)


def _recovery_changes(window: RecoveryWindow, options: ExportOptions) -> list[Change]:
    """Turning point-in-time recovery on, where it is off and may be turned on. Raises PointInTimeRecoveryDisabled."""
    if window.enabled:
        return []
    if options.export_type == "INCREMENTAL_EXPORT":
        raise PointInTimeRecoveryDisabled(
            "Point-in-time recovery is off: the changes were not recorded.",
            "Start again with a full export.",
            table=options.table,
        )
    if not options.enable_point_in_time_recovery:
        raise PointInTimeRecoveryDisabled(
            "Point-in-time recovery is off, and an export needs it.",
            "Turn it on, or set enable_point_in_time_recovery: true (AWS charges for it until it is turned off).",
            table=options.table,
        )
    after: dict[str, Any] = {"status": "ENABLED"}
    if options.point_in_time_recovery_days:
        after["days"] = options.point_in_time_recovery_days
    return [
        Change(f"tag {RECOVERY_TAG} of {options.table}", None, options.migration_id),
        Change(f"point-in-time recovery of {options.table}", {"status": "DISABLED"}, after, "billed"),
    ]


def _is_full(source: Account, definition: TableDefinition) -> bool:
    """Whether the source has no room for a mark; one whose tags we may not read has, as far as we know."""
    try:
        tags = read_tags(source, definition.arn)
    except AccessDenied:
        return False
    theirs = {key: value for key, value in tags.items() if not key.startswith("aws:")}
    return RECOVERY_TAG not in theirs and not has_room(theirs, RECOVERY_TAG)


def _owner(source: Account, destination: Account | None, options: ExportOptions) -> str:
    return options.bucket_owner or (destination or source).account_id


def _route(source: Account, destination: Account | None, definition: TableDefinition, options: ExportOptions) -> Route:
    if destination is not None and destination.partition != source.partition:
        raise Refused(
            f"An export in the partition {source.partition} cannot be imported in {destination.partition}.",
            "Use the method direct for this table.",
            table=options.table,
        )
    here, name = (source.account_id, source.region), options.destination_table or definition.name
    if destination is not None and (destination.account_id, destination.region, name) == (*here, definition.name):
        raise InvalidInput("Source and destination are the same table.", "Set destination_table.", table=options.table)
    return Route(
        source_account_id=source.account_id,
        source_region=source.region,
        source_table=definition.name,
        destination_account_id=destination.account_id if destination else "",
        destination_region=destination.region if destination else "",
        destination_table=name,
        migration_id=options.migration_id,
    )


# Starting


def start_export(source: Account, destination: Account | None, plan: ExportPlan, record: Tracking | None = None) -> Job:
    """Start the export of ``plan``, once; or leave it pending for a slot or for point-in-time recovery.

    Point-in-time recovery is turned on when the plan says so, after a tag that names the migration. Raises the plan's
    obstacle, StagingBucketUnusable, ExportFailed, FerryError.
    """
    if plan.obstacle is not None:
        raise plan.obstacle
    job = plan.job
    if job.state == "pending":
        turn_on_recovery(source, job)
        return job
    memory = memory_of(record)
    if job.state != "planned":
        if job.state != "not_needed" and memory is not None:
            memory.write(job)  # as AWS answers now: the answer to an earlier run may have been lost
        return job
    _probe(source, job)
    try:
        return begin_export(source, destination, record, job)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if is_passing(error):
            return replace(job, state="pending", pending_reason="slot")
        raise _refusal(source, job, error) from error


def _probe(source: Account, job: Job) -> None:
    """Write a small object as the export will: policy, ownership and key fail now, and not minutes later when the
    token is used up (measured/import-export-table 3.10). Raises StagingBucketUnusable."""
    bucket = _bucket(source, job)
    folder = f"{job.request['call']['S3Prefix']}/{FOLDER}"
    bucket.put(f"{folder}{PROBE}", b"{}")


def begin_export(source: Account, destination: Account | None, record: Tracking | None, job: Job) -> Job:
    """Send the export's request, which is written down: the running job. Sending it again finds the first one.

    Where the export of another destination table serves, it is that one.

    Raises the SDK's errors as they are (a full quota is one), ExportFailed.
    """
    memory, job = memory_of(record), agreed(source, destination, job, record)
    if job.arn and memory is not None:
        job = replace(job, state="running")  # as any other: its end is read, and written
        memory.write(job)
        return _of_source(job, record)
    with sending(memory, job):
        answer = source.client("dynamodb", retries=0).export_table_to_point_in_time(**to_call(job.request["call"]))
    description = answer["ExportDescription"]
    sent = job.request["call"]
    for member in ("TableArn", "S3Bucket", "S3Prefix"):
        if member in description and description[member] != sent[member]:
            raise ExportFailed(
                f"AWS answered with another export, {description['ExportArn']}: its {member} is {description[member]}.",
                "Check that export, then run again with another migration_id.",
                table=job.name,
            )
    started = replace(described(job, description), state="running", failure={})
    started = _of_source(started, record)
    if memory is not None:
        memory.write(started)
    return started


def _of_source(started: Job, record: Tracking | None) -> Job:
    """The export ``started``, of the source that AWS names in its answer: it may have been made anew after it was read.

    Such an export is billed, and shows the table that the user has now: with a record it serves, and the import reads
    that table's definition. Raises ExportFailed without one: a later run would not find it as that table's.
    """
    read, exported = started.request["source"], started.result.get("table_id", "")
    if not exported or exported == read["table_id"]:
        return started
    if record is None:
        raise ExportFailed(
            f"The source table was made anew after it was read: its TableId was {read['table_id']}, the export is of"
            f" {exported}.",
            "Run again: the new table is exported.",
            table=started.name,
            details={"export_arn": started.arn, "source_table_id": exported},
        )
    started = replace(started, request={**started.request, "source": {**read, "table_id": exported}})
    record.begun_of(started, Source(read["table_arn"], exported))
    return started


def _former_serving(source: Account, record: Tracking, requested: Job, options: ExportOptions) -> Job | None:
    """The export of an earlier attempt that was executed when the source had been made anew, and so shows the table
    that is to be exported now: adopted by the present attempt, if it serves."""
    former = record.former(requested.request["purpose"])
    if former is None or not record.may_write:
        return None
    export, wanted = look_up(source, former), requested.request["source"]
    export = replace(export, request={**export.request, "source": wanted})
    if export.result.get("table_id") != wanted["table_id"] or not serves(source, export, requested, options):
        return None
    record.adopt(export, requested.request["purpose"])
    return export


def _refusal(source: Account, job: Job, error: Exception) -> FerryError:
    """What a refused start means (measured/import-export-table 1.2)."""
    code = sdk.error_code(error)
    if code == "PointInTimeRecoveryUnavailableException":
        return PointInTimeRecoveryDisabled(
            "Point-in-time recovery has been turned off in the meantime.", "Turn it on and run again.", table=job.name
        )
    if code == "TableNotFoundException":
        return MissingTable("The table has been deleted in the meantime.", "Find out who deleted it.", table=job.name)
    if code == "InvalidExportTimeException":
        return InvalidInput(
            f"AWS refuses the time of the export: {sdk.told(error)}.", "Choose another time.", table=job.name
        )
    return source.explain(error, "starting the export", job.name)


def _bucket(account: Account, job: Job) -> StagingBucket:
    return StagingBucket.from_dict(account, job.request["bucket"])


# Waiting


class ExportKind(SourceJobs):
    """Exports, for the waiter."""

    noun: ClassVar[str] = "export"
    plural: ClassVar[str] = "exports"

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListExports."""
        request: dict[str, Any] = {"MaxResults": 25, **({"NextToken": next_token} if next_token else {})}
        page = account.client("dynamodb").list_exports(**request)
        states = {
            entry["ExportArn"]: EXPORT_STATES.get(entry["ExportStatus"], "running") for entry in page["ExportSummaries"]
        }
        return Page(states, page.get("NextToken", ""))

    def describes_end(self, item: WaitItem) -> bool:
        """Not where the destination's bucket says what the export wrote."""
        return item.destination is None

    def shared_place(self, job: Job, other: Job) -> str:
        """The prefix of ``job`` in the bucket, where it exports for imports what ``other`` would."""
        to_import = {each.request["purpose"] for each in (job, other)} == {PURPOSE}
        if not to_import or job.migration_id != other.migration_id or not is_same_request(job, other):
            return ""
        return f"s3://{job.request['call']['S3Bucket']}/{job.request['call']['S3Prefix']}/"

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Start the export when it is pending, wait for its end, and check whether the table is really empty when the
        export is."""
        source = self.account(item)
        memory = memory_of(item.record)
        job = accepted(source, (yield from self._ended(item, item.job, waiting_since, clock)))
        if lacks_items(job):
            job = yield from again(job, item.record)
            job = yield from self._ended(item, job, waiting_since, clock)
        if job.state == "completed" and not job.result["item_count"]:
            job = known_empty(source, job)
        # The check is not kept: a later run checks what it imports.
        if memory is not None:
            memory.write(job)
        return _checked(item.destination, job) if item.destination else job

    def _ended(self, item: WaitItem, job: Job, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """``job`` at its end, started where it is pending."""
        source = self.account(item)
        if job.pending_reason == "point_in_time_recovery":
            ready = at_once(source, job)
            if ready is None:
                try:
                    newest = yield from wait_for_recovery(source, job, waiting_since, clock)
                except PointInTimeRecoveryNotReady as error:
                    return ended_with(job, error)
                ready = with_token(at_time(job, newest))
            job = ready
            _probe(source, job)
            job = replace(job, state="pending", pending_reason="slot")
            yield Pause(job, "time")  # started again after a lost answer, exactly this request is sent again
        job = yield from begun(
            job, partial(begin_export, source, item.destination, item.record), partial(_refusal, source, job)
        )
        while job.state == "running":
            state = yield Pause(job, "end")
            read = read_result(item.destination, job) if state == "completed" and item.destination else None
            job = read or describe_export(source, job, retries=0)
        return job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """An export follows no other job."""
        return job


def _checked(destination: Account, job: Job) -> Job:
    """The completed full export with ``result["checked"]``: its files are complete, and the destination may read them.

    Many tables are looked at in one process here, each import's start would need its own clients for it. A problem
    fails the job, but not the export: once the bucket is fixed, the next run uses it.
    """
    if job.state != "completed" or job.request["call"]["ExportType"] != "FULL_EXPORT":
        return job
    bucket = _bucket(destination, job)
    try:
        checked = check_readable(bucket, read_manifest(bucket, job.result["manifest_key"]))
    except FerryError as error:
        # Passing errors are no reason to fail: the import's start checks again.
        if is_passing(error):
            return job
        error.details["export_arn"] = job.arn
        return ended_with(job, error)
    return replace(job, result={**job.result, "checked": checked})
