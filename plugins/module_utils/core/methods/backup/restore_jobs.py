# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restores of a recovery point into a new table (aws.md C5). Called and followed in the destination account."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from ... import sdk
from ...account import Account
from ...aws_errors import BACKUP_REFUSED, is_passing, is_slot
from ...change import Change
from ...destination import not_ours
from ...errors import (
    BackupNotPossible,
    CopyFailed,
    FerryError,
    InvalidInput,
    JobTimeout,
    RestoreFailed,
    TableBroken,
)
from ...jobs.job import Job, ended_with, failure_of
from ...jobs.kind import DestinationJobs, Made, Page, Pause, Steps, WaitItem, begun, made_of
from ...jobs.token import with_token
from ...jobs.tracking import Tracking
from ...record.record import DELETE, FILL
from ...route import Route
from ...table.definition import TableDefinition
from ...table.encryption import Encryption, map_encryption, read_encryption, resolve_key_map
from ...table_status import Phase, phase_of, require_usable
from ..options import BackupChoices
from .calls import RESOURCE_TYPE, page_of_jobs, role_arn
from .failures import hint, is_full
from .fresh_role import no_slot_yet
from .history import RESTORE_STATES, is_open, list_restores
from .memory import KEPT, TOKEN, close_former, fresh, patiently, sending, to_intend, write
from .restore_status import (
    PURPOSE,
    RestoreTarget,
    describe_restore,
    described,
    is_being_restored,
    is_within,
    look_at_destination,
    look_by_record,
    table_of,
)

SETTLE_GAP, SETTLE_WAIT = 3.0, 900.0  # seconds between looks at the table, and for all of them


@dataclass(frozen=True)
class RestoreOptions:
    """What to restore and as which table. ``table`` is the destination table.

    Either ``copy`` (the job of a copy) or ``recovery_point_arn`` names the data; ``source_table_arn`` is needed with
    the latter where there is no source account. ``encryption`` is the source table's, where there is no
    source account. ``count``: the items are counted afterwards, and only then does the table's record say filled.
    """

    table: str
    source_table: str = ""
    copy: Job | None = None
    recovery_point_arn: str = ""
    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    encryption: Encryption | None = None
    source_table_arn: str = ""
    migration_id: str = "default"
    choices: BackupChoices = field(default_factory=BackupChoices)
    count: bool = False


@dataclass(frozen=True)
class RestorePlan:
    """What a start would do."""

    job: Job
    changes: list[Change]


# Planning


def plan_restore(
    source: Account | None, destination: Account, options: RestoreOptions, record: Tracking | None = None
) -> RestorePlan:
    """What a start would do; reads only. With the ``record`` of the table, restores of earlier runs are found there.

    The plan's job is ``not_needed`` when an earlier run restored the table, ``running`` while it is being restored,
    else ``planned``. Raises DestinationExists, TableBroken, NotYet, CopyFailed, JobTimeout, MissingKeyMapping,
    KeyNotUsable, InvalidInput, AccessDenied, CredentialsError, ServiceError.
    """
    copy = options.copy
    blank = Job("restore", options.table, migration_id=options.migration_id)
    route = _route(source, destination, options)
    arn = options.recovery_point_arn or str((copy.result if copy else {}).get("destination_recovery_point_arn", ""))
    listed_at = record.now() if record is not None and record.may_write else 0.0
    restores = list_restores(destination) if arn else []
    last = None
    if record is not None:
        last = look_by_record(destination, record, route)
        known = _known_by_record(destination, record, last, route)
        if known is not None:
            return RestorePlan(known, [])
        restores, place = [], RestoreTarget("free")
    else:
        place = look_at_destination(destination, route, restores, {arn})
    if place.state == "done" and place.table is not None:
        result = {"table_id": place.table.table_id, "table_arn": place.table.arn, "judged_before": True}
        return RestorePlan(replace(blank, state="not_needed", result=result), [])
    if place.state == "restored" and place.table is not None and place.job is not None:
        job = described(_requested(source, destination, options, route, arn, {}), place.job)
        return RestorePlan(replace(job, state="not_needed", result={**job.result, **table_of(place.table)}), [])
    if place.state == "running" and place.job is not None:
        return RestorePlan(described(_requested(source, destination, options, route, arn, {}), place.job), [])
    role = role_arn(destination, options.choices.restore_role)
    change = Change(f"restore of {options.table}", None, {"from": arn, "role": role}, "billed")
    if not arn and copy is not None and copy.state in ("planned", "pending", "not_needed") and not copy.arn:
        # Check mode before there is a copy: that is no error.
        return RestorePlan(blank, [change])
    if not arn or (copy is not None and copy.state not in ("completed", "not_needed")):
        raise _copy_error(copy, options.table)
    metadata = restore_metadata(options.table, _encryption(source, destination, options))
    requested = _requested(source, destination, options, route, arn, metadata)
    if record is not None:
        close_former(record, FILL, partial(describe_restore, destination), listed_at)
        return RestorePlan(to_intend(record, requested, FILL, last, listed_at), [change])
    earlier = [job for job in restores if job.get("RecoveryPointArn") == arn and not is_open(job)]
    return RestorePlan(with_token(replace(requested, attempt=len(earlier)), TOKEN), [change])


def _known_by_record(destination: Account, record: Tracking, last: Job | None, route: Route) -> Job | None:
    """The restore that made the table, or is making it, by the ``record``; None where one is to be begun.

    Raises TableBroken, DestinationExists for a table that no restore of this record made, TableUnusable.
    """
    state = record.record
    if state.state == "broken":
        raise TableBroken(str(state.evidence.get("broken", "")), state.next or "Run again.", table=record.name)
    if state.state == "claimed":
        if last is not None and last.state in ("running", "completed"):
            return replace(last, state="running")
        table = TableDefinition.find(destination, record.name)
        if state.open_job(DELETE) is not None:
            return None  # in check mode: it is deleted before the restore begins
        if table is not None and not (last is not None and is_being_restored(destination, table, route)):
            raise not_ours(destination, table, route.source_table)
        return None
    table = TableDefinition.find(destination, record.name)
    if table is not None:
        require_usable(table.raw)
    result = {**(last.result if last is not None else {}), "table_id": state.table_id}
    result["table_arn"] = destination.table_arn(record.name)
    if state.state in ("filled", "settled"):
        counts = {name: state.evidence.get(name) for name in ("items_source", "items_destination")}
        result |= {"judged_before": True, **{name: count for name, count in counts.items() if count is not None}}
    base = last or Job("restore", record.name, migration_id=route.migration_id)
    return replace(base, state="not_needed", failure={}, result=result)


def restore_metadata(table: str, encryption: Encryption) -> dict[str, str]:
    """Exactly the keys that AWS Backup takes for a DynamoDB table; the encryption is always given: without it AWS tries
    the source table's key (aws.md C5)."""
    metadata = {"targetTableName": table, "encryptionType": "Default" if encryption.kind == "aws_owned" else "KMS"}
    if encryption.kind == "customer":
        metadata["kmsMasterKeyArn"] = encryption.key_arn
    return metadata


def _route(source: Account | None, destination: Account, options: RestoreOptions) -> Route:
    data = options.copy.request.get("route") if options.copy else None
    if data:
        return Route.from_dict(data)
    arn = options.source_table_arn.split(":")
    if source is None and len(arn) != 6:
        raise InvalidInput(
            "The source of the recovery point is not known.", "Set source or source_table_arn.", table=options.table
        )
    return Route(
        source_account_id=source.account_id if source else arn[4],
        source_region=source.region if source else arn[3],
        source_table=options.source_table or options.table,
        destination_account_id=destination.account_id,
        destination_region=destination.region,
        destination_table=options.table,
        migration_id=options.migration_id,
    )


def _encryption(source: Account | None, destination: Account, options: RestoreOptions) -> Encryption:
    """What encrypts the table. Raises MissingKeyMapping, KeyNotUsable, InvalidInput."""
    table = options.source_table or options.table
    encryption = options.encryption
    if encryption is None and source is not None:
        encryption = read_encryption(source, TableDefinition.read(source, table))
    if encryption is None:
        raise InvalidInput("How the source table is encrypted is not known.", "Set source.", table=options.table)
    key_map = resolve_key_map(destination, options.kms_key_map, table, encryption, source)
    return map_encryption(encryption, key_map, table)


def _requested(
    source: Account | None,
    destination: Account,
    options: RestoreOptions,
    route: Route,
    arn: str,
    metadata: Mapping[str, str],
) -> Job:
    origin = options.copy.request.get("source", {}) if options.copy else {}
    table_arn = origin.get("table_arn") or options.source_table_arn
    if not table_arn and source is not None:
        table_arn = source.table_arn(route.source_table)
    return Job(
        "restore",
        options.table,
        migration_id=options.migration_id,
        request={
            "purpose": PURPOSE,
            "route": route.to_dict(),
            "source": {"table_arn": table_arn, "table_id": origin.get("table_id", "")},
            "call": {
                "RecoveryPointArn": arn,
                "Metadata": dict(metadata),
                "IamRoleArn": role_arn(destination, options.choices.restore_role),
                "ResourceType": RESOURCE_TYPE,
            },
        },
    )


def _copy_error(copy: Job | None, table: str) -> FerryError:
    """Why there is nothing to restore from."""
    if copy is not None and copy.state in ("failed", "cancelled"):
        return failure_of(copy)
    if copy is not None and copy.open:
        return JobTimeout(
            f"The copy has not ended yet: it is {copy.result.get('aws_state') or copy.state}.",
            "Wait for it with job_wait, or run again later: AWS continues by itself.",
            table=copy.name,
            details={"job_id": copy.arn},
        )
    return CopyFailed("There is no copy to restore from.", "Copy the recovery point first.", table=table)


# Starting


def restore_job(options: RestoreOptions) -> Job:
    """The restore that follows a copy: the waiter plans and starts it when the copy has completed."""
    values = {name: value for name, value in vars(options).items() if name not in ("copy", "encryption")}
    request = {"options": {**values, "choices": asdict(options.choices)}}
    return Job("restore", options.table, "pending", "", "job", request, migration_id=options.migration_id)


def _options_of(job: Job) -> RestoreOptions:
    """The options of ``restore_job``'s request, with the copy that ``RestoreKind.after`` put there."""
    values = job.request["options"]
    choices = BackupChoices(**values["choices"])
    return RestoreOptions(**{**values, "choices": choices}, copy=Job.from_dict(job.request["copy"]))


def start_restore(destination: Account, plan: RestorePlan, record: Tracking | None = None) -> Job:
    """Start the restore of ``plan``, once; or leave it pending for a slot. Raises FerryError."""
    job = plan.job
    if job.state != "planned":
        if job.state == "running":
            write(record, job, FILL)
        return job
    if not job.request:
        raise CopyFailed("There is no copy to restore from.", "Copy the recovery point first.", table=job.name)
    try:
        return begin_restore(destination, job, record)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if is_passing(error) or no_slot_yet(destination, job)(error):
            return replace(job, state="pending", pending_reason="slot")
        raise _refusal(destination, job, error) from error


def begin_restore(destination: Account, job: Job, record: Tracking | None = None) -> Job:
    """Send the request: the running job. Sending it again finds the first one. Raises the SDK's errors as they are."""
    with sending(record, job, FILL, no_slot_yet(destination, job, _is_no_slot)):
        answer = destination.client("backup", retries=0).start_restore_job(**job.request["call"])
    job = replace(job, state="running", pending_reason="", arn=answer["RestoreJobId"], result={})
    write(record, job, FILL)
    return job


def _refusal(destination: Account, job: Job, error: Exception) -> FerryError:
    code, message = sdk.error_code(error), sdk.error_message(error)
    if code in BACKUP_REFUSED:
        return BackupNotPossible(
            f"AWS refuses the restore: {sdk.told(error)}.",
            hint(code, message, job.kind),
            table=job.name,
            details={"code": code},
        )
    return destination.explain(error, "starting the restore", job.name)


# Waiting


def _is_no_slot(error: Exception) -> bool:
    return is_slot(error) or is_full(sdk.error_message(error))


class RestoreKind(DestinationJobs):
    """Restore jobs, for the waiter."""

    noun: ClassVar[str] = "restore"
    plural: ClassVar[str] = "restores"

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListRestoreJobs."""
        return page_of_jobs(account, "list_restore_jobs", "RestoreJobs", next_token, "RestoreJobId", RESTORE_STATES)

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Start the restore when it is pending, wait for its end and for its table.

        A full quota shows as a failed job (measured/backup-restore-service 2.9): it waits for a slot like one that was
        refused at once. One that follows a copy is planned first.
        """
        destination, job, record, earlier = self.account(item), item.job, item.record, False
        count = bool(job.request.get("count"))
        if job.state == "pending" and "call" not in job.request:
            options = _options_of(job)
            plan = yield from patiently(lambda: plan_restore(item.source, destination, options, record), job, record)
            job, earlier, count = start_restore(destination, plan, record), not plan.changes, options.count
            if job.state == "not_needed":
                if record is not None and not count:
                    _record_filled(destination, record, job)
                return job
            job = replace(job, request={**job.request, "count": count})
            if job.pending_reason == "slot":
                yield Pause(job, "slot")
        while job.open:
            begin = partial(begin_restore, destination, record=record)
            job = yield from begun(
                job, begin, partial(_refusal, destination, job), no_slot_yet(destination, job, _is_no_slot)
            )
            while job.state == "running":
                yield Pause(job, "end", adopted=earlier)
                job = describe_restore(destination, job, retries=0)
            if job.state == "failed" and is_full(job.failure_message):
                job = _once_more(job, record)
                yield Pause(job, "slot")
        if job.state == "completed":
            job = yield from _settled(destination, job, clock)
        if record is not None:
            if job.state == "failed":
                yield from _still(destination, job, clock)
            job = _record_end(destination, record, job)
            if job.state == "completed" and not count:
                _record_filled(destination, record, job)
        return job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """The restore of just that copy."""
        return replace(job, request={**job.request, "copy": before.to_dict()})

    def made(self, job: Job) -> Made:
        """The restored table."""
        return replace(made_of(job), counted=bool(job.result.get("judged_before")))


def _still(destination: Account, job: Job, clock: Callable[[], float]) -> Generator[Pause, str | None, None]:
    """Steps that end when the table of the failed ``job`` is neither in the making nor on its way out: whether AWS
    takes away what a failed restore has made, nobody has seen."""
    begun = clock()
    while clock() - begun < SETTLE_WAIT:
        table = TableDefinition.find(destination, job.name)
        if table is None or phase_of(table.status) not in (Phase.MAKING, Phase.GOING):
            return
        yield Pause(replace(job, state="running"), "time", SETTLE_GAP)


def _once_more(job: Job, record: Tracking | None) -> Job:
    """The request of ``job``, for which a quota was full, with a token of its own."""
    again = replace(job, arn="", state="pending", pending_reason="slot", result={}, failure={})
    if record is None:
        return with_token(replace(again, attempt=job.attempt + 1), TOKEN)
    write(record, job, FILL)
    return fresh(record, again, FILL, job.attempt + 1)


def _record_end(destination: Account, record: Tracking, job: Job) -> Job:
    """The restore's end in the ``record``: filling once its table is known, or broken where it failed and left one;
    then ``job`` says the ways out."""
    if job.state == "completed":
        brought = {"evidence": _evidence(job), "data_as_of": _data_as_of(record, job)}
        write(record, replace(job, result={**job.result, **brought}), FILL)
        return job
    table, result = TableDefinition.find(destination, job.name), job.result
    left = table is not None and result.get("table_arn") == table.arn
    if table is None or not left or not is_within(table, result.get("start_time"), result.get("end_time")):
        write(record, job, FILL)  # a table that took the name meanwhile, and let the restore fail, is somebody's
        return job
    error = failure_of(job)
    ways = f"{error.next_step} Delete the copy {job.name} yourself, then run again: it is restored anew."
    job = replace(job, result={**result, **table_of(table)})
    record.broken(job, seen_table_id=table.table_id, why=error.cause, next=ways, keep=KEPT)
    return ended_with(job, type(error)(error.cause, ways, table=error.table, details=error.details))


def _record_filled(destination: Account, record: Tracking, job: Job) -> None:
    """The table has what the recovery point had, as far as AWS says: nobody counts it."""
    if record.record.state != "filling":
        return
    table = TableDefinition.find(destination, job.name)
    record.filled(
        job,
        seen_table_id=table.table_id if table is not None else "",
        evidence=_evidence(job),
        data_as_of=_data_as_of(record, job),
    )


def _evidence(job: Job) -> dict[str, Any]:
    """What a restore job says of what it brought."""
    names = {"bytes": "bytes", "end_time": "end_time"}
    known = {name: job.result[member] for name, member in names.items() if job.result.get(member)}
    return {**known, "restore_job_id": job.arn}


def _data_as_of(record: Tracking, job: Job) -> dict[str, str]:
    """From when to when the items may be: which instant within a backup job they show nobody has measured. Where the
    record knows of no backup, between the recovery point and its restore."""
    backup = record.latest("backup")
    if backup is not None and backup.result.get("start_time") and backup.result.get("end_time"):
        return {"from": str(backup.result["start_time"]), "to": str(backup.result["end_time"])}
    return {"from": str(job.result.get("point_time") or ""), "to": str(job.result.get("start_time") or "")}


def _settled(destination: Account, job: Job, clock: Callable[[], float]) -> Steps:
    """The completed ``job`` once its table is ACTIVE, or failed: the table that was there at the job's end, known by
    its id from the first look on."""
    begun, table_id = clock(), ""
    made = job.result["table_arn"]
    if made and made != destination.table_arn(job.name):
        cause = f"The restore {job.arn} made {made}, not {job.name}."
        return ended_with(job, RestoreFailed(cause, "Another restore of this recovery point was started. Run again."))
    while True:
        table = TableDefinition.find(destination, job.name)
        if table is not None:
            within = is_within(table, job.result["start_time"], job.result["end_time"])
            if table.table_id != (table_id or table.table_id) or not within:
                cause = f"The restore completed, but {job.name} was created again since: its id is {table.table_id}."
                step = "It is not touched. Delete it if nobody needs it, or choose another name, then run again."
                return ended_with(job, RestoreFailed(cause, step))
            table_id = table.table_id
        if table is not None and table.status == "ACTIVE":
            return replace(job, result={**job.result, **table_of(table)})
        if clock() - begun >= SETTLE_WAIT:
            cause = f"The restore completed, but its table {'is ' + table.status if table else 'does not exist'}."
            return ended_with(job, RestoreFailed(cause, "Find out why, then run again."))
        yield Pause(replace(job, state="running"), "time", SETTLE_GAP)
