# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Backup jobs: a table is frozen into a recovery point of a vault (aws.md C1, C3, C4)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.backup import access, copy_jobs, jobs, recovery_points, settings, vaults
from lab.backup.model import AIR_GAPPED, BackupJob, RecoveryPoint, Shape
from lab.backup.registry import backups
from lab.backup.words import belief, invalid_parameter, invalid_request, not_found
from lab.caller import Caller
from lab.dynamodb import registry as dynamodb
from lab.dynamodb import snapshots
from lab.dynamodb.address import TABLE_ARN
from lab.dynamodb.model import Table
from lab.messages import AuthorizationRequest
from lab.world import Context

RESOURCE = belief(
    "test_backup_jobs", "backup-of-own-table",
    "StartBackupJob takes the ARN of a table of the caller's account and Region; the codes of its refusals are a guess",
    "botocore's service model backup, StartBackupJob", confirmed=False,
)  # fmt: skip
WINDOW = belief(
    "test_backup_jobs", "start-window-of-an-hour",
    "StartWindowMinutes is 60 or more, 8 hours by default",
    "aws.md C4",
)  # fmt: skip
TAGS = belief(
    "test_backup_jobs", "recovery-point-tags",
    "A recovery point has its table's tags and at most 10 more; a backup of more than 50 together fails",
    "aws.md C4",
)  # fmt: skip
OPTS_IN = belief(
    "test_backup_jobs", "backup-opts-in",
    "An on-demand backup opts DynamoDB in by itself",
    "aws.md C1",
)  # fmt: skip
ADVANCED = belief(
    "test_backup_jobs", "advanced-features-decide",
    "With advanced features at the time of the backup the recovery point is arn:aws:backup:..:recovery-point:.. and "
    "the call's answer names it; without them it is arn:aws:dynamodb:..:table/../backup/..",
    "aws.md C1, C4",
)  # fmt: skip
FROZEN = belief(
    "test_backup_jobs", "backup-is-a-moment",
    "A recovery point holds items and definition of the moment when its job began to run, whatever comes later",
    "aws.md C4, I (time marker of the request)", confirmed=False,
)  # fmt: skip
EXPIRED = belief(
    "test_backup_jobs", "backup-expires-unstarted",
    "A job that did not start within its window is EXPIRED: `.. because there was a running job for the "
    "same resource.`",
    "aws.md C4",
)  # fmt: skip
CREATING_TABLE = belief(
    "test_backup_jobs", "backup-of-creating-table",
    "A backup fails while its table is CREATING, or when it is gone: `Table not found.`",
    "aws.md C4; AWS Backup developer guide, console dashboards",
)  # fmt: skip
RETENTION = belief(
    "test_backup_jobs", "backup-outside-vault-lock",
    "A backup whose lifecycle a locked vault does not take ends FAILED: `.. the lifecycle is outside the valid range "
    "for backup vault.`",
    "aws.md C4",
)  # fmt: skip
STOP = belief(
    "test_backup_jobs", "stop-backup-job",
    "StopBackupJob of a DynamoDB backup is InvalidRequestException, or leads over ABORTING to ABORTED: the lab plays "
    "either",
    "aws.md C4", confirmed=False,
)  # fmt: skip
COMPLETION = belief(
    "test_backup_jobs", "completion-window",
    "A backup that is not done CompleteWindowMinutes after its start is cancelled: EXPIRED, without a recovery point",
    "botocore's service model backup, StartBackupJob; AWS Backup developer guide, console dashboards (the text)",
    confirmed=False,
)  # fmt: skip
QUOTA = belief(
    "test_backup_jobs", "three-hundred-backups",
    "300 backups of an account and Region run at once; one more ends FAILED: `Subscriber limit exceeded: ..`",
    "AWS Backup developer guide, console dashboards; that it is DynamoDB's: its words", confirmed=False,
)  # fmt: skip
RECORDED = belief(
    "test_backup_jobs", "recorded-capacity",
    "A recovery point may have an older capacity and older on-demand maxima than the table has now, cleared ones too: "
    "the lab plays either",
    "measured/backup-restore-service 2.3, 2.9 [BACKUP-017, -021, of native backups]", confirmed=False,
)  # fmt: skip
PROGRESS = belief(
    "test_backup_jobs", "backup-progress",
    "PercentDone is text and grows while a job runs, BytesTransferred with it; BackupSizeInBytes comes at the end",
    "botocore's service model backup, DescribeBackupJob", confirmed=False,
)  # fmt: skip
AIR_GAPPED_TARGET = belief(
    "test_air_gapped", "backup-into-air-gapped-vault",
    "StartBackupJob with LogicallyAirGappedBackupVaultArn (same account and Region) puts a table with advanced "
    "features right into that vault; without them the point stays in BackupVaultName, which is needed in any case",
    "aws.md C7; botocore's service model backup",
)  # fmt: skip

SHORTEST_WINDOW = 60
USUAL_WINDOW = 480
MOST_TAGS = 50
MOST_BACKUPS = 300
MOST_ADDED_TAGS = 10


def start_backup_job(context: Context, params: Shape) -> Shape:
    """StartBackupJob."""
    job = jobs.once(context, params, lambda: _on_demand(context, params))
    answer: Shape = {"BackupJobId": job.id, "CreationDate": job.created_at, "IsParent": False}
    return answer | ({"RecoveryPointArn": job.point_arn} if job.fully_managed else {})


def _on_demand(context: Context, params: Shape) -> BackupJob:
    _check(context, params)
    access.take_role(context, params["IamRoleArn"])
    settings.region_settings(context).opted_in["DynamoDB"] = True
    return start(context, params)


def _check(context: Context, params: Shape) -> None:
    vaults.require(context, params["BackupVaultName"])
    if params.get("StartWindowMinutes", USUAL_WINDOW) < SHORTEST_WINDOW:
        raise invalid_parameter(WINDOW, "StartWindowMinutes must be at least 60.")
    recovery_points.checked_lifecycle(params.get("Lifecycle"))
    added: Mapping[str, str] = params.get("RecoveryPointTags", {})
    if len(added) > MOST_ADDED_TAGS or any(key.lower().startswith("aws:") for key in added):
        raise invalid_parameter(TAGS, "At most 10 tags can be added to a recovery point, none with the prefix aws:.")
    match = TABLE_ARN.fullmatch(params["ResourceArn"])
    if match is None or (match["account"], match["region"]) != (context.account_id, context.region):
        raise invalid_parameter(RESOURCE, f"Invalid resource ARN: {params['ResourceArn']}")
    if _table(context, params["ResourceArn"]) is None:
        raise not_found(RESOURCE, f"Resource {params['ResourceArn']} does not exist.")
    if (arn := params.get("LogicallyAirGappedBackupVaultArn")) is not None:
        vault = backups(context).vault_by_arn(arn)
        own = vault is not None and vault.place == (context.account_id, context.region)
        if vault is None or not own or vault.type != AIR_GAPPED or vault.state != "AVAILABLE":
            raise invalid_parameter(AIR_GAPPED_TARGET, f"Invalid logically air-gapped backup vault: {arn}")


def _table(context: Context, arn: str) -> Table | None:
    return dynamodb.registry(context).find(context.account_id, context.region, arn.rpartition("/")[2])


def start(
    context: Context,
    params: Shape,
    *,
    created_by: Shape | None = None,
    copies: tuple[Shape, ...] = (),
) -> BackupJob:
    """A job for checked ``params`` of StartBackupJob; a plan passes itself and the copy actions that follow."""
    world, registry = context.world, backups(context)
    now, job_id = world.clock.now(), registry.new_id()
    fully_managed = settings.region_settings(context).managed["DynamoDB"]
    vault = vaults.require(context, params["BackupVaultName"])
    category = ""
    if arn := params.get("LogicallyAirGappedBackupVaultArn"):
        category = "" if fully_managed else "LOGICALLY_AIR_GAPPED_BACKUP_VAULT_NOT_SUPPORTED"
        vault = (registry.vault_by_arn(arn) if fully_managed else None) or vault
    job = BackupJob(
        context,
        job_id,
        now,
        params,
        params["IamRoleArn"],
        params["ResourceArn"],
        vault=vault,
        start_by=now + jobs.minutes(world, params.get("StartWindowMinutes", USUAL_WINDOW)),
        fully_managed=fully_managed,
        point_arn=_new_arn(context, params["ResourceArn"], fully_managed, now),
        created_by=created_by or {},
        category=category,
        copies=copies,
        planned=jobs.planned(context, "StartBackupJob", params),
    )
    registry.backups.append(job)
    jobs.note(job, "backup", job.resource_arn)
    world.schedule(world.timings.seconds("backup.starting"), lambda: jobs.take_turn(job, lambda: _run(job)))
    world.schedule(job.start_by - now, lambda: _expire(job))
    return job


def _new_arn(context: Context, table_arn: str, fully_managed: bool, now: float) -> str:
    if fully_managed:
        return context.arn(f"recovery-point:{backups(context).new_id()}", "backup")
    return f"{table_arn}/backup/{int(now * 1000):014d}-{context.world.random.getrandbits(32):08x}"


def _expire(job: BackupJob) -> None:
    if job.state == "CREATED":
        jobs.end(job, "EXPIRED", "Backup job failed because there was a running job for the same resource.")


# The work


def _run(job: BackupJob) -> None:
    if job.planned is not None and job.planned.values.get("state") == "EXPIRED":
        jobs.fail_as_planned(job)
        return
    world, context = job.context.world, job.context
    caller = access.assumed(world, job.role_arn)
    table = _table(context, job.resource_arn)
    failure = _obstacle(job, caller, table)
    if failure or caller is None or table is None:
        jobs.end(job, "FAILED", failure)
        return
    stale = world.behaviours["backup.recorded_capacity"] == "stale"
    snapshot = snapshots.take(table, world.clock.now(), backups(context).items_file(), stale_capacity=stale)
    if not _opens(job, caller, table):
        if world.behaviours["backup.role_without_key"] == "failed":
            snapshot.discard()
            jobs.end(job, "FAILED", f"IAM Role {job.role_arn} has no access to the encryption key.")
            return
        snapshot = snapshot.emptied(snapshot.items)
    job.state, job.started_at = "RUNNING", world.clock.now()
    job.table, table.backups_running = table, table.backups_running + 1
    job.point = RecoveryPoint(
        job.point_arn,
        job.vault,
        job.resource_arn,
        job.started_at,
        job.role_arn,
        job.fully_managed,
        recovery_points.checked_lifecycle(job.request.get("Lifecycle")),
        job.created_at,
        snapshot=snapshot,
        created_by=job.created_by,
        tags={**snapshot.tags, **job.request.get("RecoveryPointTags", {})},
    )
    job.vault.points[job.point_arn] = job.point
    world.schedule(world.timings.seconds("backup.running"), lambda: _finish(job))
    if (window := job.request.get("CompleteWindowMinutes")) is not None:
        world.schedule(jobs.minutes(world, window), lambda: _cancel(job))


def _opens(job: BackupJob, caller: Caller, table: Table) -> bool:
    world = job.context.world
    own_key = not job.fully_managed or access.role_opens(world, caller, job.vault)
    return own_key and access.opens_table(world, caller, table.encryption.key_arn)


def _obstacle(job: BackupJob, caller: Caller | None, table: Table | None) -> str:
    """Why the job cannot run; empty when it can."""
    if caller is None:
        return f"IAM Role {job.role_arn} cannot be assumed by AWS Backup"
    if table is None or not table.usable(job.context.world.clock.now()):
        return "Table not found."
    if len({*table.tags, *job.request.get("RecoveryPointTags", {})}) > MOST_TAGS:
        return "The resultant tag set must not have more than 50 user tags."
    if job.context.world.quotas and _running(job) >= MOST_BACKUPS:
        return (
            "Subscriber limit exceeded: You have reached the maximum concurrent number of backups, which is "
            "{MOST_BACKUPS}. Wait until other jobs finish, and try again."
        )
    if not vaults.retention_fits(job.vault, job.request.get("Lifecycle", {})):
        return "Backup job failed because the lifecycle is outside the valid range for backup vault."
    key_arn = job.vault.key_arn if job.fully_managed else ""
    if text := access.unusable(job.context.world, key_arn, table.encryption.key_arn):
        return text
    point_arn = job.context.arn(f"recovery-point:{job.id}", "backup")
    actions = ["DescribeTable", "ListTagsOfResource", "StartAwsBackupJob" if job.fully_managed else "CreateBackup"]
    needed = [AuthorizationRequest(f"dynamodb:{action}", job.resource_arn) for action in actions]
    needed.append(
        AuthorizationRequest(
            "backup:TagResource", point_arn, conditions={"aws:ResourceAccount": job.context.account_id}
        )
    )
    return access.refusal(job.context.world, caller, needed, job.context.region)


def _running(job: BackupJob) -> int:
    """How many backups of the job's account and Region run."""
    return sum(other.place == job.place and other.running for other in backups(job.context).backups)


def _cancel(job: BackupJob) -> None:
    if job.state == "RUNNING":
        _drop(job, "EXPIRED", "Backup job expired before completion.")


def _release(job: BackupJob) -> None:
    if job.table is not None:
        job.table.backups_running -= 1
        job.table = None


def _finish(job: BackupJob) -> None:
    point = job.point
    if job.state != "RUNNING" or point is None or point.snapshot is None:
        return
    _release(job)
    state = job.planned.values.get("state", "FAILED") if job.planned is not None else "COMPLETED"
    message = job.planned.message if job.planned is not None else ""
    if state not in ("COMPLETED", "PARTIAL"):
        recovery_points.discard(point)
        jobs.fail_as_planned(job)
        return
    job.size_bytes = point.snapshot.size_bytes
    recovery_points.complete(job.context, point, partial=state == "PARTIAL")
    if job.category and not message:
        message = "The resource is not supported by logically air-gapped vaults; it was backed up to the backup vault."
    jobs.end(job, state, message)
    for action in job.copies:
        copy_jobs.start_of_plan(job, point, action)


def stop_backup_job(context: Context, params: Shape) -> Shape:
    """StopBackupJob."""
    job = jobs.find(context, backups(context).backups, params["BackupJobId"])
    if job.ended:
        raise invalid_request(STOP, f"Backup job {job.id} has ended already.")
    if context.world.behaviours["backup.stop"] == "refused":
        raise invalid_request(STOP, "Stopping a backup job is not supported for resource type DynamoDB.")
    job.state = "ABORTING"
    seconds = context.world.timings.seconds("backup.aborting")
    context.world.schedule(seconds, lambda: _drop(job, "ABORTED", "Backup job was stopped by user."))
    return {}


def _drop(job: BackupJob, state: str, message: str) -> None:
    _release(job)
    if job.point is not None:
        recovery_points.discard(job.point)
    jobs.end(job, state, message)


# Reading


def shape(job: BackupJob) -> Shape:
    """A backup job as it is described and listed."""
    world, vault = job.context.world, job.vault
    share = jobs.share_done(job, world.timings.seconds("backup.running"))
    expected = job.point.snapshot.size_bytes if job.point and job.point.snapshot else 0
    shown: Shape = {
        "AccountId": job.context.account_id,
        "BackupJobId": job.id,
        "BackupVaultName": vault.name,
        "BackupVaultArn": vault.arn,
        "VaultType": vault.type,
        "RecoveryPointArn": job.point_arn if job.fully_managed or job.point else None,
        "RecoveryPointLifecycle": job.request.get("Lifecycle"),
        "ResourceArn": job.resource_arn,
        "ResourceName": job.resource_arn.rpartition("/")[2],
        "ResourceType": "DynamoDB",
        "CreationDate": job.created_at,
        "InitiationDate": job.created_at,
        "CompletionDate": job.completed_at,
        "State": job.state,
        "StatusMessage": job.message or None,
        "PercentDone": f"{100 * share:.1f}",
        "BytesTransferred": int(share * expected) if share else None,
        "BackupSizeInBytes": job.size_bytes if job.state in ("COMPLETED", "PARTIAL") else None,
        "IamRoleArn": job.role_arn,
        "CreatedBy": job.created_by or None,
        "StartBy": job.start_by,
        "IsParent": False,
        "MessageCategory": job.category or ("SUCCESS" if job.state == "COMPLETED" and not job.message else None),
    }
    return {name: value for name, value in shown.items() if value is not None}


def describe_backup_job(context: Context, params: Shape) -> Shape:
    """DescribeBackupJob."""
    return shape(jobs.find(context, backups(context).backups, params["BackupJobId"]))


def list_backup_jobs(context: Context, params: Shape) -> Shape:
    """ListBackupJobs."""
    filters = (
        ("ByResourceArn", "ResourceArn"),
        ("ByState", "State"),
        ("ByBackupVaultName", "BackupVaultName"),
        ("ByMessageCategory", "MessageCategory"),
    )
    return jobs.listing(context, "BackupJobs", backups(context).backups, params, shape, filters)


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "StartBackupJob": start_backup_job,
    "StopBackupJob": stop_backup_job,
    "DescribeBackupJob": describe_backup_job,
    "ListBackupJobs": list_backup_jobs,
}
