# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies of a recovery point into the other account's vault (aws.md C4). Called and followed in the source account."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from typing import Any, ClassVar

from ... import sdk
from ...account import RETRIES, Account
from ...aws_errors import BACKUP_REFUSED, NO_RESOURCE, is_passing
from ...change import Change
from ...errors import BackupFailed, BackupNotPossible, CopyFailed, FerryError, JobTimeout
from ...jobs.job import Job, ended_with, failure_of
from ...jobs.kind import Made, Page, Pause, SourceJobs, Steps, WaitItem, begun
from ...jobs.token import with_token
from ...jobs.tracking import Tracking
from ...record.intention import BACKUP_TOKEN
from ...table.definition import Shape, json_safe
from ..options import BackupChoices
from .calls import lifecycle, page_of_jobs, role_arn, state_of, vault_arn
from .failures import UNKNOWN, hint, reported
from .fresh_role import no_slot_yet
from .history import COPY_STATES, is_open, list_copies, made_copy
from .memory import TOKEN, adopted, close_former, patiently, sending, to_intend, write
from .vaults import is_usable, read_recovery_point

PURPOSE = "copy"
SETTLE_GAP, SETTLE_WAIT = 3.0, 900.0  # seconds between looks at the copy, and for all of them
SHORTEST_LOOK, LONGEST_LOOK = 1.0, 60.0  # seconds between looks for a plan's copy, longer and longer
PLAN_WAIT = 3600.0  # seconds for all of them


@dataclass(frozen=True)
class RecoveryPointCopyOptions:
    """What to copy, and where to. ``backup`` is the job of a backup."""

    table: str
    backup: Job
    migration_id: str = "default"
    choices: BackupChoices = field(default_factory=BackupChoices)


@dataclass(frozen=True)
class CopyPlan:
    """What a start would do."""

    job: Job
    changes: list[Change]


def plan_copy(
    source: Account, destination: Account, options: RecoveryPointCopyOptions, record: Tracking | None = None
) -> CopyPlan:
    """What a start would do; reads only. With the ``record`` of the table NotYet is raised where a new copy must wait.

    The plan's job is ``not_needed`` where nothing has to be copied (the copy is there, the destination is complete, or
    an air-gapped vault is shared), ``running`` for a copy that an earlier run or a backup plan started, else
    ``planned``, or ``pending`` until the backup plan that made the backup copies it. Raises
    BackupFailed, BackupNotPossible, JobTimeout, InvalidInput, AccessDenied, CredentialsError, ServiceError.
    """
    backup = options.backup
    blank = Job("copy", options.table, migration_id=options.migration_id)
    arn = str(backup.result.get("recovery_point_arn", ""))
    if backup.state == "not_needed":
        known = {"destination_recovery_point_arn": backup.result.get("restored_from", "")}
        return CopyPlan(replace(blank, state="not_needed", request=_about(backup), result=known), [])
    air_gapped = backup.request.get("call", {}).get("LogicallyAirGappedBackupVaultArn", "")
    if air_gapped and backup.state == "completed":
        shared = {"destination_recovery_point_arn": arn, "vault_arn": air_gapped, "end_time": backup.result["end_time"]}
        return CopyPlan(replace(blank, state="not_needed", request=_about(backup), result=shared), [])
    change = Change(
        f"copy of {options.table}", None, {"to": vault_arn(destination, options.choices.destination_vault)}, "billed"
    )
    if backup.state in ("planned", "pending") and not backup.arn:
        # Check mode before there is a backup: that is no error.
        return CopyPlan(blank, [] if air_gapped or backup.request.get("plan") else [change])
    _check_backup(backup)
    requested = _requested(source, destination, options, arn)
    listed_at = record.now() if record is not None and record.may_write else 0.0
    copies = _of_point(source, destination, options, backup, arn)
    if record is not None:
        copies = [*_not_listed(source, record, copies, arn), *copies]
    running = next((copy for copy in copies if is_open(copy)), None)
    last = _last_by_record(source, record, arn, listed_at) if record is not None else None
    if running is not None:
        return CopyPlan(described(_as_known(record, last, requested, running), running), [])
    made = made_copy(destination, copies, options.choices.destination_vault, arn)
    if made is not None:
        done = described(_as_known(record, last, requested, made), made)
        point = done.result["destination_recovery_point_arn"]
        usable = is_usable(read_recovery_point(destination, options.choices.destination_vault, point))
        return CopyPlan(replace(done, state="not_needed" if usable else "running"), [])
    if backup.request.get("plan") and not copies:
        return CopyPlan(replace(requested, state="pending", pending_reason="backup_plan"), [])
    if record is not None:
        return CopyPlan(to_intend(record, requested, PURPOSE, last, listed_at, len(copies)), [change])
    return CopyPlan(with_token(replace(requested, attempt=len(copies)), TOKEN), [change])


def _not_listed(source: Account, record: Tracking, listed: Sequence[Shape], arn: str) -> Iterator[Shape]:
    """The copy of the recovery point ``arn`` that the record knows and no list shows yet."""
    last = record.latest(PURPOSE)
    if last is None or not last.arn or last.arn in {copy["CopyJobId"] for copy in listed}:
        return
    doing = f"describing the copy job {last.arn}"
    answer = json_safe(source.ask("backup", "describe_copy_job", doing, missing=NO_RESOURCE, CopyJobId=last.arn))
    if answer is not None and answer["CopyJob"].get("SourceRecoveryPointArn") == arn:
        yield answer["CopyJob"]


def _last_by_record(source: Account, record: Tracking, arn: str, listed_at: float) -> Job | None:
    """The newest copy of the recovery point ``arn`` in the record's present attempt, where it is not over yet.

    One of another recovery point is brought to its end first. Raises NotYet.
    """
    close_former(record, PURPOSE, partial(describe_copy, source), listed_at)
    last = record.latest(PURPOSE)
    if last is None or not (last.open or last.state == "planned"):
        return None
    if last.arn and record.may_write:
        now = describe_copy(source, last)
        write(record, now, PURPOSE)
        return now if now.open else None
    if last.request["call"]["RecoveryPointArn"] != arn and record.may_write:
        record.not_begun(last, BACKUP_TOKEN, listed_at)
        return None
    return last


def _as_known(record: Tracking | None, last: Job | None, requested: Job, copy: Shape) -> Job:
    """The job that a listed copy is: as it was intended, or one that was not begun for this table."""
    if record is None:
        return requested
    entry = next((each for each in record.record.jobs if each.arn == copy["CopyJobId"]), None)
    if entry is not None:
        call = {**requested.request["call"], TOKEN: entry.token}
        return replace(requested, request={**requested.request, "call": call})
    return last if last is not None and not last.arn else adopted(requested, str(copy["CopyJobId"]))


def _about(backup: Job) -> dict[str, Any]:
    """What a table's jobs hand on: its route and its source."""
    return {"route": backup.request["route"], "source": backup.request["source"]}


def _check_backup(backup: Job) -> None:
    """Raises what keeps a backup from being copied."""
    if backup.state in ("failed", "cancelled"):
        raise failure_of(backup)
    if backup.open:
        raise JobTimeout(
            f"The backup has not ended yet: it is {backup.result.get('aws_state') or backup.state}.",
            "Wait for it with job_wait, or run again later.",
            table=backup.name,
        )
    if backup.state != "completed":
        raise BackupFailed("There is no backup to copy.", "Back the table up first.", table=backup.name)


def _requested(source: Account, destination: Account, options: RecoveryPointCopyOptions, arn: str) -> Job:
    call: dict[str, Any] = {
        "RecoveryPointArn": arn,
        "SourceBackupVaultName": options.backup.request["call"]["BackupVaultName"],
        "DestinationBackupVaultArn": vault_arn(destination, options.choices.destination_vault),
        "IamRoleArn": role_arn(source, options.choices.role),
    }
    kept = lifecycle(
        options.choices.copy_delete_after_days, options.choices.copy_move_to_cold_storage_after_days, options.table
    )
    if kept:
        call["Lifecycle"] = kept
    return Job(
        "copy",
        options.table,
        migration_id=options.migration_id,
        request={
            **_about(options.backup),
            "purpose": PURPOSE,
            "call": call,
            "destination_vault": options.choices.destination_vault,
        },
    )


def _of_point(
    source: Account, destination: Account, options: RecoveryPointCopyOptions, backup: Job, arn: str
) -> list[Shape]:
    """The copy jobs of the recovery point into the destination's vault, newest first."""
    table_arn = backup.request["source"]["table_arn"]
    copies = list_copies(source, table_arn, vault_arn(destination, options.choices.destination_vault))
    return [copy for copy in copies if copy.get("SourceRecoveryPointArn") == arn]


def described(job: Job, description: Mapping[str, Any]) -> Job:
    """``job`` with what a list or DescribeCopyJob says of it."""
    state = COPY_STATES.get(state_of(description), "running")
    failed = state == "failed"
    return replace(
        job,
        state=state,
        pending_reason="",
        arn=str(description["CopyJobId"]),
        failure=_failure(
            str(description["CopyJobId"]), state_of(description), str(description.get("StatusMessage") or "")
        )
        if failed
        else {},
        result={
            "destination_recovery_point_arn": description.get("DestinationRecoveryPointArn", ""),
            "vault_arn": description.get("DestinationBackupVaultArn", ""),
            "aws_state": state_of(description),
            "status_message": description.get("StatusMessage") or "",
            "start_time": description.get("CreationDate", ""),
            "end_time": description.get("CompletionDate", ""),
            "bytes": int(description.get("BackupSizeInBytes") or 0),
        },
    )


def _failure(job_id: str, state: str, message: str) -> dict[str, Any]:
    return reported(CopyFailed, "copy", job_id, state, message)


def describe_copy(source: Account, job: Job, *, retries: int = RETRIES) -> Job:
    """The copy job's status now. A waiter, which paces its calls itself, asks for no ``retries``."""
    doing = f"describing the copy job {job.arn}"
    description = json_safe(
        source.ask("backup", "describe_copy_job", doing, missing=NO_RESOURCE, retries=retries, CopyJobId=job.arn)
    )
    if description is None:
        failure = _failure(job.arn, UNKNOWN, "AWS does not know it any more")
        return replace(job, state="failed", failure=failure)
    return described(job, description["CopyJob"])


def copy_job(options: RecoveryPointCopyOptions) -> Job:
    """The copy that follows a backup: the waiter plans and starts it when the backup has completed."""
    request = {"options": {"choices": asdict(options.choices)}}
    return Job("copy", options.table, "pending", "", "job", request, migration_id=options.migration_id)


def _options_of(job: Job) -> RecoveryPointCopyOptions:
    """The options of ``copy_job``'s request, with the backup that ``CopyKind.after`` put there."""
    choices = BackupChoices(**job.request["options"]["choices"])
    return RecoveryPointCopyOptions(job.name, Job.from_dict(job.request["backup"]), job.migration_id, choices)


def start_copy(source: Account, plan: CopyPlan, record: Tracking | None = None) -> Job:
    """Start the copy of ``plan``, once; or leave it pending for a slot. Raises FerryError."""
    job = plan.job
    if job.state != "planned":
        if job.request.get("purpose") == PURPOSE:
            write(record, replace(job, state="completed") if job.state == "not_needed" else job, PURPOSE)
        return job
    if not job.request:
        raise BackupFailed("There is no backup to copy.", "Back the table up first.", table=job.name)
    try:
        return begin_copy(source, job, record)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if is_passing(error) or no_slot_yet(source, job)(error):
            return replace(job, state="pending", pending_reason="slot")
        raise _refusal(source, job, error) from error


def begin_copy(source: Account, job: Job, record: Tracking | None = None) -> Job:
    """Send the request: the running job. Sending it again finds the first one. Raises the SDK's errors as they are."""
    with sending(record, job, PURPOSE, no_slot_yet(source, job)):
        answer = source.client("backup", retries=0).start_copy_job(**job.request["call"])
    created = answer.get("CreationDate")
    result = {"start_time": created.isoformat() if created else ""}
    job = replace(job, state="running", pending_reason="", arn=answer["CopyJobId"], result=result)
    write(record, job, PURPOSE)
    return job


def _refusal(source: Account, job: Job, error: Exception) -> FerryError:
    code, message = sdk.error_code(error), sdk.error_message(error)
    if code in BACKUP_REFUSED:
        return BackupNotPossible(
            f"AWS refuses the copy: {sdk.told(error)}.",
            hint(code, message, job.kind),
            table=job.name,
            details={"code": code},
        )
    return source.explain(error, "starting the copy", job.name)


class CopyKind(SourceJobs):
    """Copy jobs, for the waiter."""

    noun: ClassVar[str] = "copy"
    plural: ClassVar[str] = "copies"

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListCopyJobs."""
        return page_of_jobs(account, "list_copy_jobs", "CopyJobs", next_token, "CopyJobId", COPY_STATES)

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Start the copy when it is pending, wait for its end, and for the copy to be there.

        A job that stays CREATED is followed, never started again: AWS retries by itself (aws.md C4). One that follows a
        backup is planned first.
        """
        source, job, record, earlier = self.account(item), item.job, item.record, False
        if job.state == "pending" and "call" not in job.request:
            options = _options_of(job)
            plan = yield from patiently(
                lambda: plan_copy(source, item.need("destination"), options, record), job, record
            )
            job, earlier = start_copy(source, plan, record), not plan.changes
            if job.state == "not_needed":
                return job
            if job.pending_reason == "slot":
                yield Pause(job, "slot")
        gap = SHORTEST_LOOK
        while job.pending_reason == "backup_plan":
            job = _planned_run(source, job, record)
            if job.state != "pending":
                break
            if clock() - waiting_since >= PLAN_WAIT:
                return ended_with(job, _no_planned_copy(job))
            yield Pause(job, "time", gap)
            gap = min(gap * 1.5, LONGEST_LOOK)
        begin = partial(begin_copy, source, record=record)
        job = yield from begun(job, begin, partial(_refusal, source, job), no_slot_yet(source, job))
        write(record, job, PURPOSE)
        while job.state == "running":
            yield Pause(job, "end", adopted=earlier)
            job = describe_copy(source, job, retries=0)
        if job.state == "completed" and item.destination is not None:
            job = yield from _settled(item.destination, job, clock)
        write(record, job, PURPOSE)
        return job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """The copy of just that backup."""
        return replace(job, request={**job.request, "backup": before.to_dict()})


def _planned_run(source: Account, job: Job, record: Tracking | None) -> Job:
    """``job`` as the copy that a backup plan has started meanwhile; unchanged while there is none."""
    call = job.request["call"]
    for copy in list_copies(source, job.request["source"]["table_arn"], call["DestinationBackupVaultArn"]):
        if copy.get("SourceRecoveryPointArn") == call["RecoveryPointArn"]:
            known = job if record is None else adopted(job, str(copy["CopyJobId"]))
            return replace(described(known, copy), state="running")
    return job


def _no_planned_copy(job: Job) -> CopyFailed:
    return CopyFailed(
        "The backup plan made the backup, but no copy of it.",
        f"Check that its rule has a copy action to {job.request['call']['DestinationBackupVaultArn']}; without plan the"
        " copy is made on demand.",
    )


def _settled(destination: Account, job: Job, clock: Callable[[], float]) -> Steps:
    """The completed ``job`` once its recovery point can be restored, or failed."""
    begun, arn = clock(), job.result["destination_recovery_point_arn"]
    while True:
        point = read_recovery_point(destination, job.request["destination_vault"], arn)
        if is_usable(point):
            return job
        status = str((point or {}).get("Status", "not there"))
        if clock() - begun >= SETTLE_WAIT or status in ("EXPIRED", "DELETING", "PARTIAL"):
            cause = f"The copy completed, but its recovery point {arn} is {status}."
            return ended_with(
                job, CopyFailed(cause, "Check the recovery point in the destination vault, then run again.")
            )
        yield Pause(replace(job, state="running"), "time", SETTLE_GAP)
