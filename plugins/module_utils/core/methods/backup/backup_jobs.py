# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup jobs of a table: find the one of an earlier run, or start one exactly once (aws.md C4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from functools import partial
from typing import Any, ClassVar

from ... import sdk
from ...account import Account
from ...aws_errors import BACKUP_REFUSED, is_passing
from ...change import Change
from ...errors import BackupFailed, BackupNotPossible, FerryError, InvalidInput
from ...jobs.job import Job, ended_with
from ...jobs.kind import Made, Page, Pause, SourceJobs, Steps, WaitItem, begun
from ...jobs.token import with_token
from ...jobs.tracking import Tracking
from ...route import Route
from ...table.definition import Shape, TableDefinition
from ...table.encryption import map_encryption, read_encryption, resolve_key_map
from ...table_status import require_usable
from ..options import BackupChoices
from .backup_status import PURPOSE, describe_backup, described, last_by_record, restored_by_record
from .calls import (
    MIGRATION_TAG,
    lifecycle,
    page_of_jobs,
    role_arn,
    vault_arn,
)
from .fresh_role import no_slot_yet
from .history import (
    BACKUP_STATES,
    is_advanced,
    is_completed,
    is_of_migration,
    is_open,
    is_young,
    list_backups,
    list_copies,
    list_restores,
    made_copy,
)
from .lost import DESTINATION_TAG, destination_of, lost_backup
from .memory import (
    KEPT,
    TOKEN,
    adopted,
    close_former,
    fresh,
    is_since_intention,
    sending,
    to_intend,
    write,
)
from .readiness import (
    BackupAccount,
    Readiness,
    count_tags,
    judge_readiness,
    read_destination_policy,
    read_side,
)
from .restore_status import look_at_destination
from .source_table import REASON, is_changing, when_ready
from .vaults import Vault, find_vault, is_there, is_usable, list_vaults, read_recovery_point

SHORTEST_START_WINDOW = 60  # minutes; it also shows soonest that AWS cannot start (aws.md C4)
REPLAYED = timedelta(minutes=5)  # an answer about a job older than this is about an earlier one
TRIES = 5  # tokens that jobs may have used which are not listed any more
SETTLE_GAP, SETTLE_WAIT = 3.0, 900.0  # seconds between looks at a recovery point, and for all of them
SHORTEST_LOOK, LONGEST_LOOK = 1.0, 60.0  # seconds between looks for the run of a backup plan, longer and longer


@dataclass(frozen=True)
class BackupOptions:
    """What to back up, where to, and how long it is kept.

    With ``choices.plan``, the name of a backup plan, nothing is started: the waiter waits for the plan's next run.
    """

    table: str
    destination_table: str = ""
    migration_id: str = "default"
    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    choices: BackupChoices = field(default_factory=BackupChoices)


@dataclass(frozen=True)
class PlannedBackup:
    """What a start would do. ``warnings`` are what may go wrong later, ``obstacle`` what must be fixed first."""

    job: Job
    changes: list[Change]
    definition: TableDefinition
    warnings: list[str] = field(default_factory=list)
    obstacle: FerryError | None = None


# Planning


def plan_backup(
    source: Account, destination: Account | None, options: BackupOptions, record: Tracking | None = None
) -> PlannedBackup:
    """What a start would do; reads only. With ``destination`` all up to the restore is checked before AWS charges.

    With the ``record`` of the table, what an earlier run has begun is found there; one that this run holds is brought
    to where a new backup may be intended (NotYet where that must wait).

    The plan's job is ``not_needed`` when the destination is complete, ``running`` or ``completed`` for a backup of an
    earlier run that serves, ``pending`` when a backup plan is waited for, else ``planned``. What AWS would refuse late
    is the plan's obstacle. Raises MissingTable, TableUnusable, DestinationExists, MissingKeyMapping,
    KeyNotUsable, TableBroken, InvalidInput, AccessDenied, CredentialsError, ServiceError.
    """
    definition = TableDefinition.read(source, options.table)
    route = _route(source, destination, definition, options)
    requested = _requested(source, options, definition, route)
    if record is not None and destination is not None:
        requested = _tagged(requested, route)
    listed_at = record.now() if record is not None and record.may_write else 0.0
    backups = list_backups(source, definition, {options.choices.vault, options.choices.air_gapped_vault} - {""})
    copies = _copies(source, destination, options, definition)
    if destination is not None and options.choices.restore and record is not None:
        restored_from = restored_by_record(destination, record, route)
        if restored_from is not None:
            known = {"restored_from": restored_from}
            return PlannedBackup(replace(requested, state="not_needed", result=known), [], definition)
        _check_keys(source, destination, definition, options)
    elif destination is not None and options.choices.restore:
        points = {str(copy.get("DestinationRecoveryPointArn")) for copy in copies}
        points |= {str(job.get("RecoveryPointArn")) for job in backups}
        place = look_at_destination(destination, route, list_restores(destination), points)
        if place.state != "free":
            restored_from = str((place.job or {}).get("RecoveryPointArn", ""))
            return PlannedBackup(
                replace(requested, state="not_needed", result={"restored_from": restored_from}), [], definition
            )
        _check_keys(source, destination, definition, options)
    last = None
    if record is not None:
        last = last_by_record(source, record, backups)
        found = _serving_by_record(source, destination, options, record, last, requested, backups, copies)
    else:
        serving = _serving(source, destination, options, backups, copies)
        found = described(requested, serving) if serving is not None else None
    if found is not None:
        # Checked once more by the waiter: a completed backup is not there at once.
        return PlannedBackup(replace(found, state="running", failure={}), [], definition)
    require_usable(definition.raw)
    verdict = judge_readiness(read_readiness(source, destination, definition, options, requested))
    obstacle = verdict.refusal(options.table)
    if options.choices.plan:
        job = replace(requested, state="pending", pending_reason="backup_plan")
        return PlannedBackup(job, [], definition, list(verdict.warnings), obstacle)
    # Every earlier job has used its token: AWS answers it with the old job (aws.md C4).
    if record is not None:
        close_former(record, PURPOSE, partial(describe_backup, source), listed_at)
        job = to_intend(record, requested, PURPOSE, last, listed_at, len(backups))
    else:
        job = with_token(replace(requested, attempt=len(backups)), TOKEN)
    change = Change(f"backup of {options.table}", None, _summary(job), "billed")
    return PlannedBackup(job, [change], definition, list(verdict.warnings), obstacle)


def _tagged(requested: Job, route: Route) -> Job:
    """``requested``, its recovery point tagged with the table that it is for."""
    call = requested.request["call"]
    tags = {**call["RecoveryPointTags"], DESTINATION_TAG: destination_of(route)}
    return replace(requested, request={**requested.request, "call": {**call, "RecoveryPointTags": tags}})


def _route(source: Account, destination: Account | None, definition: TableDefinition, options: BackupOptions) -> Route:
    return Route(
        source_account_id=source.account_id,
        source_region=source.region,
        source_table=definition.name,
        destination_account_id=destination.account_id if destination else "",
        destination_region=destination.region if destination else "",
        destination_table=options.destination_table or definition.name,
        migration_id=options.migration_id,
    )


def _requested(source: Account, options: BackupOptions, definition: TableDefinition, route: Route) -> Job:
    """The backup that is requested, without attempt and token."""
    if options.choices.start_window_minutes < SHORTEST_START_WINDOW:
        raise InvalidInput(
            f"start_window_minutes is {options.choices.start_window_minutes}.",
            f"Set it to {SHORTEST_START_WINDOW} or more: AWS takes no shorter one.",
            table=options.table,
        )
    call: dict[str, Any] = {
        "BackupVaultName": options.choices.vault,
        "ResourceArn": definition.arn,
        "IamRoleArn": role_arn(source, options.choices.role),
        "StartWindowMinutes": options.choices.start_window_minutes,
        "RecoveryPointTags": {**source.tags, MIGRATION_TAG: options.migration_id},
    }
    if options.choices.complete_window_minutes:
        call["CompleteWindowMinutes"] = options.choices.complete_window_minutes
    kept = lifecycle(options.choices.delete_after_days, options.choices.move_to_cold_storage_after_days, options.table)
    if kept:
        call["Lifecycle"] = kept
    if options.choices.air_gapped_vault:
        call["LogicallyAirGappedBackupVaultArn"] = vault_arn(source, options.choices.air_gapped_vault)
    return Job(
        "backup",
        definition.name,
        migration_id=options.migration_id,
        request={
            "purpose": PURPOSE,
            "route": route.to_dict(),
            "call": call,
            "source": {"table_arn": definition.arn, "table_id": definition.table_id},
            "plan": options.choices.plan,
            "max_age": options.choices.max_age,
        },
    )


def _copies(
    source: Account, destination: Account | None, options: BackupOptions, definition: TableDefinition
) -> list[Shape]:
    if destination is None or options.choices.air_gapped_vault:
        return []
    return list_copies(source, definition.arn, vault_arn(destination, options.choices.destination_vault))


def _check_keys(source: Account, destination: Account, definition: TableDefinition, options: BackupOptions) -> None:
    """Whether the destination table can be encrypted as requested. Raises MissingKeyMapping, KeyNotUsable."""
    encryption = read_encryption(source, definition)
    key_map = resolve_key_map(destination, options.kms_key_map, definition.name, encryption, source)
    map_encryption(encryption, key_map, definition.name)


def _serving(
    source: Account,
    destination: Account | None,
    options: BackupOptions,
    backups: list[Shape],
    copies: list[Shape],
) -> Shape | None:
    """The backup job of an earlier run, or of a plan's, that serves: one that runs, or the newest whose recovery point
    or copy is there. Any that runs in our vault serves: AWS runs no second one at the same time (aws.md C6)."""
    running = next((job for job in backups if is_open(job)), None)
    if running is not None:
        return running
    for job in backups:
        arn = str(job.get("RecoveryPointArn", ""))
        if not is_completed(job) or not is_young(source, job, options.choices.max_age) or not is_advanced(arn):
            continue
        if is_there(read_recovery_point(source, str(job["BackupVaultName"]), arn)):
            if is_of_migration(source, arn, options.migration_id):
                return job
        elif destination is not None:
            copy = made_copy(destination, copies, options.choices.destination_vault, arn)
            # Whether a copy keeps its tags is not documented: one without tags is recognized by its vault.
            if copy and is_of_migration(
                destination, str(copy["DestinationRecoveryPointArn"]), options.migration_id, untagged=True
            ):
                return job
    return None


def _serving_by_record(
    source: Account,
    destination: Account | None,
    options: BackupOptions,
    record: Tracking,
    last: Job | None,
    requested: Job,
    backups: list[Shape],
    copies: list[Shape],
) -> Job | None:
    """The backup of the record's present attempt, if it serves; never that of an earlier attempt. One that runs in our
    vault serves too: AWS runs no second one at the same time (aws.md C6)."""
    if last is not None and last.state == "running":
        return last
    known = {job.arn for job in record.record.jobs}
    running = next((job for job in backups if is_open(job) and job["BackupJobId"] not in known), None)
    if running is not None and (last is None or last.arn):
        return described(adopted(requested, str(running["BackupJobId"])), running)
    if last is None and not record.record.jobs and record.record.state == "claimed":
        return lost_backup(source, destination, requested, options.choices.max_age, backups, copies)
    if last is None or last.state != "completed":
        return None
    restoring = record.open_fill
    age = {"CompletionDate": last.result.get("end_time"), "CreationDate": last.result.get("start_time")}
    if not restoring and not is_young(source, age, options.choices.max_age):
        return None
    arn = str(last.result.get("recovery_point_arn", ""))
    if is_there(read_recovery_point(source, str(last.request["call"]["BackupVaultName"]), arn)):
        return last
    there = destination is not None and made_copy(destination, copies, options.choices.destination_vault, arn)
    return last if there else None


def read_readiness(
    source: Account, destination: Account | None, definition: TableDefinition, options: BackupOptions, requested: Job
) -> Readiness:
    """What the checks before the start need; reads only. Raises what Account.explain gives."""
    there: BackupAccount | None = None
    if destination is not None:
        role = role_arn(destination, options.choices.restore_role) if options.choices.restore else ""
        there = read_side(destination, options.choices.destination_vault, role)
    return Readiness(
        table=definition.name,
        status=definition.status,
        tags=count_tags(source, definition),
        own_tags=len(requested.request["call"]["RecoveryPointTags"]),
        source=read_side(source, options.choices.vault, role_arn(source, options.choices.role)),
        destination=there,
        destination_policy=read_destination_policy(destination, there.vault) if destination and there else None,
        air_gapped_name=options.choices.air_gapped_vault,
        air_gapped=_air_gapped(source, destination, options),
        backup_days=options.choices.delete_after_days,
        copy_days=options.choices.copy_delete_after_days,
        restore=options.choices.restore,
    )


def _air_gapped(source: Account, destination: Account | None, options: BackupOptions) -> Vault | None:
    """The air-gapped vault of the source, where the destination sees it too."""
    if not options.choices.air_gapped_vault:
        return None
    vault = find_vault(source, options.choices.air_gapped_vault)
    if vault is None or destination is None:
        return vault
    shared = any(seen.arn == vault.arn for seen in list_vaults(destination, shared=True))
    return vault if shared else None


def _summary(job: Job) -> dict[str, Any]:
    call = job.request["call"]
    return {
        "vault": call.get("LogicallyAirGappedBackupVaultArn", call["BackupVaultName"]),
        "role": call["IamRoleArn"],
        "lifecycle": call.get("Lifecycle", {}),
    }


# Starting


def start_backup(source: Account, plan: PlannedBackup, record: Tracking | None = None) -> Job:
    """Start the backup of ``plan``, once; or leave it pending for a slot, for its table or for a backup plan's run.

    Raises the plan's obstacle, BackupFailed, FerryError.
    """
    job = plan.job
    if plan.obstacle is not None:
        raise plan.obstacle
    if job.state != "planned":
        if job.state == "running":
            write(record, job, PURPOSE)
        return job
    if is_changing(plan.definition.status):
        return replace(job, state="pending", pending_reason=REASON)
    try:
        return begin_backup(source, job, record)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if is_passing(error) or no_slot_yet(source, job)(error):
            return replace(job, state="pending", pending_reason="slot")
        raise _refusal(source, job, error) from error


def begin_backup(source: Account, job: Job, record: Tracking | None = None) -> Job:
    """Send the request: the running job. Sending it again finds the first one.

    A token that AWS answers with an old job, which is not listed any more, is replaced by the next one. Raises the
    SDK's errors as they are (a full quota is one), BackupFailed.
    """
    for _try in range(TRIES):
        with sending(record, job, PURPOSE, no_slot_yet(source, job)):
            answer = source.client("backup", retries=0).start_backup_job(**job.request["call"])
        created = answer.get("CreationDate")
        if record is not None and (created is None or is_since_intention(record, job, created)):
            break
        if record is None and (created is None or created >= source.now() - REPLAYED):
            break
        earlier = describe_backup(source, replace(job, arn=answer["BackupJobId"]))
        if earlier.open:
            write(record, earlier, PURPOSE)
            return earlier
        if record is None:
            job = with_token(replace(job, attempt=job.attempt + 1), TOKEN)
        else:
            record.ended(replace(job, state="failed"), KEPT)
            job = fresh(record, job, PURPOSE, job.attempt + 1)
    else:
        raise BackupFailed("AWS answers with backup jobs that ended long ago.", "Run again with another migration_id.")
    result = {
        "recovery_point_arn": answer.get("RecoveryPointArn", ""),
        "start_time": created.isoformat() if created else "",
    }
    job = replace(job, state="running", pending_reason="", arn=answer["BackupJobId"], result=result)
    write(record, job, PURPOSE)
    return job


def _refusal(source: Account, job: Job, error: Exception) -> FerryError:
    """What a refused start means."""
    code = sdk.error_code(error)
    if code in BACKUP_REFUSED:
        return BackupNotPossible(
            f"AWS refuses the backup: {sdk.told(error)}.",
            "Fix the cause AWS reports, then run again. The roles tableferry.aws.source_account and"
            " tableferry.aws.destination_account make the vaults, the roles and the settings.",
            table=job.name,
            details={"code": code},
        )
    return source.explain(error, "starting the backup", job.name)


# Waiting


class BackupKind(SourceJobs):
    """Backup jobs, for the waiter."""

    noun: ClassVar[str] = "backup"
    plural: ClassVar[str] = "backups"

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListBackupJobs."""
        return page_of_jobs(account, "list_backup_jobs", "BackupJobs", next_token, "BackupJobId", BACKUP_STATES)

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Start the backup when it is pending, or wait for a plan to start one, then wait for its end."""
        source, job, record = self.account(item), item.job, item.record
        gap = SHORTEST_LOOK
        while job.pending_reason == "backup_plan":
            planned = _planned_run(source, job, record)
            if planned is None:
                yield Pause(job, "time", gap)
                gap = min(gap * 1.5, LONGEST_LOOK)
            else:
                job = replace(planned, state="running")
        if job.pending_reason == REASON:
            job = yield from when_ready(source, job, clock)
        begin = partial(begin_backup, source, record=record)
        job = yield from begun(job, begin, partial(_refusal, source, job), no_slot_yet(source, job))
        write(record, job, PURPOSE)
        while job.state == "running":
            yield Pause(job, "end")
            job = describe_backup(source, job, retries=0)
        if job.state == "completed":
            job = yield from _settled(source, job, clock)
        write(record, job, PURPOSE)
        return job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """A backup follows no other job."""
        return job


def _planned_run(source: Account, job: Job, record: Tracking | None) -> Job | None:
    """The newest job that a backup plan has started for the table meanwhile; none that the ``record`` knows."""
    definition = TableDefinition.read(source, job.name)
    vault = job.request["call"]["BackupVaultName"]
    known = {each.arn for each in record.record.jobs} if record is not None else set()
    for backup in list_backups(source, definition, {vault}):
        if backup["BackupJobId"] in known:
            continue
        young = is_completed(backup) and is_young(source, backup, job.request["max_age"])
        if is_open(backup) or (young and is_of_migration(source, str(backup["RecoveryPointArn"]), job.migration_id)):
            return described(job if record is None else adopted(job, str(backup["BackupJobId"])), backup)
    return None


def _settled(source: Account, job: Job, clock: Callable[[], float]) -> Steps:
    """The completed ``job`` once its recovery point can be copied; failed where it never can (aws.md C1)."""
    begun, arn = clock(), str(job.result.get("recovery_point_arn", ""))
    if not is_advanced(arn):
        error = BackupFailed(
            f"The recovery point {arn or '(none)'} was made without the advanced features: it cannot be copied.",
            "Turn AWS Backup's advanced features for DynamoDB on in the source account, then run again.",
        )
        return ended_with(job, error)
    while True:
        point = read_recovery_point(source, job.request["call"]["BackupVaultName"], arn)
        # The backup may be gone already and its copy there: the copy's plan checks that.
        if point is None or is_usable(point):
            return job
        if clock() - begun >= SETTLE_WAIT or not is_there(point):
            cause = f"The backup completed, but its recovery point {arn} is {point.get('Status')}."
            return ended_with(
                job, BackupFailed(cause, "Check the recovery point in the source's vault, then run again.")
            )
        yield Pause(replace(job, state="running"), "time", SETTLE_GAP)
