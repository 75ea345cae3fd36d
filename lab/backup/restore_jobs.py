# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Restore jobs: a recovery point becomes a new table of the account that restores it (aws.md C5)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace

from lab.backup import access, jobs, vaults
from lab.backup.model import RecoveryPoint, RestoreJob, Shape
from lab.backup.registry import backups, here
from lab.backup.words import belief, denied, invalid_parameter, invalid_request, not_found
from lab.caller import Caller
from lab.dynamodb import encryption, snapshots
from lab.dynamodb import jobs as dynamodb_jobs
from lab.dynamodb import registry as dynamodb
from lab.dynamodb.model import Encryption, Table
from lab.dynamodb.snapshots import Snapshot
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.world import Context

OWN_POINT = belief(
    "test_restore_jobs", "restore-in-the-own-account",
    "A recovery point is restored by its own account, or by one with which its air-gapped vault is shared; another "
    "account's is AccessDeniedException",
    "aws.md C2, C7",
)  # fmt: skip
METADATA = belief(
    "test_restore_jobs", "restore-metadata-checked",
    "Metadata has targetTableName and may have encryptionType (Default or KMS), kmsMasterKeyArn and "
    "aws:backup:request-id, in any letter case; other keys are InvalidParameterValueException at the call",
    "aws.md C5; that other keys are refused at the call: a guess", confirmed=False,
)  # fmt: skip
TOKEN_SPENT = belief(
    "test_restore_jobs", "refused-restore-spends-its-token",
    "A restore that is refused for its metadata has used up its IdempotencyToken: a corrected one needs another",
    "aws.md C4 (seen with other resource types)", confirmed=False,
)  # fmt: skip
ROLE_NEEDED = belief(
    "test_restore_jobs", "restore-needs-a-role",
    "Without IamRoleArn a table is not restored; the code is a guess",
    "aws.md C3", confirmed=False,
)  # fmt: skip
NEW_NAME = belief(
    "test_restore_jobs", "restore-into-new-name-only",
    "A restore into the name of an existing table ends FAILED and leaves that table alone",
    "aws.md C5",
)  # fmt: skip
SOURCE_TAGS = belief(
    "test_restore_jobs", "restore-with-source-tags-fails",
    "CopySourceTagsToRestoredResource makes the restore of a table end FAILED",
    "aws.md C5",
)  # fmt: skip
ENCRYPTION = belief(
    "test_restore_jobs", "restore-encryption",
    "encryptionType Default is the AWS-owned key, KMS without a key aws/dynamodb, with one that key; said nothing, the "
    "source table's key is tried in its own Region, and another Region's restore fails",
    "aws.md C5",
)  # fmt: skip
QUOTA = belief(
    "test_restore_jobs", "fifty-restores",
    "50 restores of an account and Region at once; one more fails, or waits as PENDING: the lab plays either",
    "aws.md C6; measured/backup-restore-service 2.9", confirmed=False,
)  # fmt: skip
SECOND = belief(
    "test_restore_jobs", "one-restore-per-recovery-point",
    "A second restore of a recovery point while one runs may fail, as with native backups: the lab plays either",
    "measured/backup-restore-service 2.5, 2.9", confirmed=False,
)  # fmt: skip
CAPACITY = belief(
    "test_restore_jobs", "restored-capacity",
    "Provisioned capacity is that of the backup; whether on-demand mode, its maxima and vector indexes are kept is "
    "open: the lab plays either",
    "aws.md C5, G, L", confirmed=False,
)  # fmt: skip
PROGRESS = belief(
    "test_restore_jobs", "restore-progress",
    "A restore's PercentDone is text with a percent sign; CreatedResourceArn is there from COMPLETED on",
    "botocore's service model backup, DescribeRestoreJob; AWS CLI reference", confirmed=False,
)  # fmt: skip
AIR_GAPPED_RESTORE = belief(
    "test_air_gapped", "restore-from-shared-vault",
    "An account with which an air-gapped vault is shared, of another organization too, restores from it without a copy",
    "aws.md C7",
)  # fmt: skip

MOST_RESTORES = 50
_METADATA = ("targettablename", "encryptiontype", "kmsmasterkeyarn", "aws:backup:request-id")
_ACTIONS = (
    "BatchWriteItem", "DeleteItem", "DescribeTable", "GetItem", "PutItem", "Query", "RestoreTableFromAwsBackup", "Scan",
    "UpdateItem",
)  # fmt: skip
# What an on-demand table comes back with where its mode is not kept.
_UNITS = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
_RETRY_SECONDS = 5.0


def start_restore_job(context: Context, params: Shape) -> Shape:
    """StartRestoreJob."""
    return {"RestoreJobId": jobs.once(context, params, lambda: _start(context, params)).id}


def _start(context: Context, params: Shape) -> RestoreJob:
    point = _point(context, params["RecoveryPointArn"])
    if "IamRoleArn" not in params:
        raise invalid_parameter(ROLE_NEEDED, "IamRoleArn is required to restore a resource of type DynamoDB.")
    if params.get("ResourceType", "DynamoDB") != "DynamoDB":
        raise invalid_parameter(METADATA, f"The recovery point is not of resource type {params['ResourceType']}.")
    access.take_role(context, params["IamRoleArn"])
    try:
        _checked(params["Metadata"])
    except AwsError as refusal:
        raise jobs.spend(context, params, refusal) from None
    world, registry = context.world, backups(context)
    job = RestoreJob(
        context,
        registry.new_id(),
        world.clock.now(),
        params,
        params["IamRoleArn"],
        point.resource_arn,
        point=point,
        planned=jobs.planned(context, "StartRestoreJob", params),
    )
    registry.restores.append(job)
    jobs.note(job, "restore", point.arn)
    world.schedule(world.timings.seconds("backup.restore_starting"), lambda: _run(job))
    return job


def _point(context: Context, arn: str) -> RecoveryPoint:
    point = backups(context).point(arn)
    if point is None or point.vault.place.region != context.region:
        raise not_found(OWN_POINT, f"Cannot find recovery point {arn}.")
    if point.vault.place.account != context.account_id and not vaults.is_shared(context, point.vault):
        raise denied(OWN_POINT)
    if not point.finished:
        raise invalid_request(OWN_POINT, f"Recovery point {arn} is not in a state to be restored: {point.status}")
    return point


def _checked(metadata: Mapping[str, str]) -> dict[str, str]:
    """Metadata by their names in lower case; InvalidParameterValueException."""
    given = {name.lower(): value for name, value in metadata.items()}
    if unknown := sorted(set(given) - set(_METADATA)):
        raise invalid_parameter(METADATA, f"Invalid metadata for resource type DynamoDB: {', '.join(unknown)}")
    if not given.get("targettablename"):
        raise invalid_parameter(METADATA, "Metadata targetTableName is required.")
    kind = given.get("encryptiontype", "")
    if kind.lower() not in ("", "default", "kms") or (given.get("kmsmasterkeyarn") and kind.lower() != "kms"):
        raise invalid_parameter(METADATA, f"Invalid encryptionType: {kind}")
    return given


# The work


def _run(job: RestoreJob) -> None:
    world, registry = job.context.world, backups(job.context)
    running = [other for other in registry.restores if other.place == job.place and other.running]
    if world.quotas and len(running) >= MOST_RESTORES:
        if world.behaviours["backup.restore_over_quota"] == "pending":
            world.schedule(_RETRY_SECONDS, lambda: _run(job))
            return
        text = f"Subscriber limit exceeded: Only {MOST_RESTORES} restore operations can be done simultaneously"
        jobs.end(job, "FAILED", text)
        return
    second = any(other.point is job.point and other.running for other in registry.restores)
    if second and world.behaviours["backup.second_restore_of_a_point"] == "failed":
        jobs.end(job, "FAILED", f"Backup is being used to restore another table: {job.point.arn}")
        return
    caller, snapshot = access.assumed(world, job.role_arn), job.point.snapshot
    failure = _obstacle(job, caller)
    if failure or caller is None or snapshot is None:
        jobs.end(job, "FAILED", failure)
        return
    whole = not job.point.fully_managed or access.role_opens(world, caller, job.point.vault)
    if not whole and world.behaviours["backup.role_without_key"] == "failed":
        jobs.end(job, "FAILED", f"IAM Role {job.role_arn} has no access to the encryption key.")
        return
    acting = replace(job.context, caller=caller, service="dynamodb", operation="RestoreTableFromAwsBackup")
    metadata = _checked(job.request["Metadata"])
    try:
        target = _encryption(acting, snapshot, metadata)
        job.table = snapshots.begin_restore(
            acting, snapshot, _definition(job, snapshot), metadata["targettablename"], target, job.point.arn
        )
    except AwsError as error:
        jobs.end(job, "FAILED", error.message)
        return
    job.state, job.started_at = "RUNNING", world.clock.now()
    world.schedule(world.timings.seconds("backup.restore_running"), lambda: _finish(job, acting, snapshot, whole))


def _obstacle(job: RestoreJob, caller: Caller | None) -> str:
    """Why the job cannot run; empty when it can."""
    if caller is None:
        return f"IAM Role {job.role_arn} cannot be assumed by AWS Backup"
    if job.request.get("CopySourceTagsToRestoredResource"):
        return "Copying source tags to the restored resource is not supported for resource type DynamoDB."
    if job.point.fully_managed and (text := access.unusable(job.context.world, job.point.vault.key_arn)):
        return text
    name = _checked(job.request["Metadata"])["targettablename"]
    if dynamodb.registry(job.context).find(*here(job.context), name, visible_only=False) is not None:
        return f"Table already exists: {name}"
    table_arn = job.context.arn(f"table/{name}", "dynamodb")
    needed = [AuthorizationRequest(f"dynamodb:{action}", table_arn) for action in _ACTIONS]
    if not job.point.fully_managed:
        needed.append(AuthorizationRequest("dynamodb:RestoreTableFromBackup", job.point.arn))
    return access.refusal(job.context.world, caller, needed, job.context.region)


def _encryption(acting: Context, snapshot: Snapshot, metadata: Mapping[str, str]) -> Encryption:
    kind, key = metadata.get("encryptiontype", "").lower(), metadata.get("kmsmasterkeyarn", "")
    if not kind:
        if snapshot.table_arn.split(":")[3] != acting.region:
            raise invalid_parameter(ENCRYPTION, "encryptionType must be provided for restores to another Region.")
        kind, key = ("kms", snapshot.encryption.key_arn) if snapshot.encryption.type else ("default", "")
    if kind == "default":
        return encryption.resolve(acting, None)
    named = {"KMSMasterKeyId": key} if key else {}
    return encryption.resolve(acting, {"Enabled": True, "SSEType": "KMS", **named})


def _definition(job: RestoreJob, snapshot: Snapshot) -> Shape:
    """What of the snapshot's definition this world restores."""
    behaviours = job.context.world.behaviours
    definition = dict(snapshot.definition)
    if behaviours["backup.restored_vector_indexes"] == "lost":
        definition.pop("VectorIndexes", None)
    if definition["BillingMode"] == "PROVISIONED":
        return definition
    provisioned = behaviours["backup.restored_billing_mode"] == "provisioned"
    added: Shape = {"ProvisionedThroughput": dict(_UNITS)} if provisioned else {}
    kept = not provisioned and behaviours["backup.restored_on_demand_maximum"] == "kept"
    dropped = () if kept else ("OnDemandThroughput",)
    indexes = [_without(index, dropped) | added for index in definition.get("GlobalSecondaryIndexes", ())]
    definition = _without(definition, dropped) | added
    if provisioned:
        definition["BillingMode"] = "PROVISIONED"
    return definition | ({"GlobalSecondaryIndexes": indexes} if indexes else {})


def _without(shape: Shape, members: tuple[str, ...]) -> Shape:
    return {name: value for name, value in shape.items() if name not in members}


def _finish(job: RestoreJob, acting: Context, snapshot: Snapshot, whole: bool) -> None:
    table = job.table
    assert table is not None
    if jobs.fail_as_planned(job):
        dynamodb.registry(job.context).delete(table)
        return
    if not whole:
        snapshot = snapshot.emptied(backups(job.context).items_file())
    dynamodb_jobs.do_in_slices(acting.world, _steps(job, acting, snapshot, table))


def _steps(job: RestoreJob, acting: Context, snapshot: Snapshot, table: Table) -> Iterator[None]:
    yield from snapshots.fill(acting, snapshot, table)
    job.size_bytes = snapshot.size_bytes
    job.point.restored_at = acting.world.clock.now()
    jobs.end(job, "COMPLETED")


# Reading


def shape(job: RestoreJob) -> Shape:
    """A restore job as it is described and listed."""
    world = job.context.world
    share = jobs.share_done(job, world.timings.seconds("backup.restore_running"))
    shown: Shape = {
        "AccountId": job.context.account_id,
        "RestoreJobId": job.id,
        "RecoveryPointArn": job.point.arn,
        "RecoveryPointCreationDate": job.point.created_at,
        "BackupVaultArn": job.point.vault.arn,
        "SourceResourceArn": job.resource_arn,
        "ResourceType": "DynamoDB",
        "CreationDate": job.created_at,
        "CompletionDate": job.completed_at,
        "Status": job.state,
        "StatusMessage": job.message or None,
        "PercentDone": f"{100 * share:.2f}%",
        "BackupSizeInBytes": job.size_bytes if job.state == "COMPLETED" else None,
        "IamRoleArn": job.role_arn,
        "CreatedResourceArn": job.table.arn if job.table is not None and job.state == "COMPLETED" else None,
        "IsParent": False,
    }
    return {name: value for name, value in shown.items() if value is not None}


def describe_restore_job(context: Context, params: Shape) -> Shape:
    """DescribeRestoreJob."""
    return shape(jobs.find(context, backups(context).restores, params["RestoreJobId"]))


def get_restore_job_metadata(context: Context, params: Shape) -> Shape:
    """GetRestoreJobMetadata."""
    job = jobs.find(context, backups(context).restores, params["RestoreJobId"])
    return {"RestoreJobId": job.id, "Metadata": dict(job.request["Metadata"])}


def list_restore_jobs(context: Context, params: Shape) -> Shape:
    """ListRestoreJobs."""
    filters = (("ByStatus", "Status"),)
    return jobs.listing(context, "RestoreJobs", backups(context).restores, params, shape, filters)


def list_restore_jobs_by_protected_resource(context: Context, params: Shape) -> Shape:
    """ListRestoreJobsByProtectedResource."""
    filters = (("ByStatus", "Status"), ("ResourceArn", "SourceResourceArn"))
    return jobs.listing(context, "RestoreJobs", backups(context).restores, params, shape, filters)


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "StartRestoreJob": start_restore_job,
    "DescribeRestoreJob": describe_restore_job,
    "GetRestoreJobMetadata": get_restore_job_metadata,
    "ListRestoreJobs": list_restore_jobs,
    "ListRestoreJobsByProtectedResource": list_restore_jobs_by_protected_resource,
}
