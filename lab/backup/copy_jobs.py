# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copy jobs: a recovery point into another vault, of another account as a rule (aws.md C1 to C4, C6)."""

from __future__ import annotations

from collections.abc import Callable

from lab.backup import access, jobs, recovery_points, settings, vaults
from lab.backup.model import AIR_GAPPED, BackupJob, CopyJob, RecoveryPoint, Shape, Vault
from lab.backup.registry import backups, parse_arn
from lab.backup.words import belief, invalid_parameter, invalid_request
from lab.caller import Caller
from lab.identity import organization_path
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.world import Context

SOURCE = belief(
    "test_copy_jobs", "copy-of-own-recovery-point",
    "StartCopyJob is called in the source account, on a finished recovery point of its own vault",
    "aws.md C4",
)  # fmt: skip
ADVANCED_ONLY = belief(
    "test_copy_jobs", "copy-needs-advanced-features",
    "A recovery point that was made without advanced features cannot be copied: FAILED, `Feature is not supported for "
    "provided resource type`",
    "aws.md C1, C4",
)  # fmt: skip
DESTINATION_ADVANCED = belief(
    "test_copy_jobs", "destination-advanced-features",
    "Whether the destination needs advanced features too is unsettled: the lab plays either",
    "aws.md C1", confirmed=False,
)  # fmt: skip
ORGANIZATION = belief(
    "test_copy_jobs", "copy-within-organization",
    "A copy into an account outside the organization ends FAILED: `.. must be a member of the same organization`",
    "aws.md C1",
)  # fmt: skip
ENABLED = belief(
    "test_copy_jobs", "copy-needs-cross-account-backup",
    "A copy into another account ends FAILED unless the organization has cross-account backup turned on: `.. feature "
    "is not enabled for the current organization.`",
    "aws.md C1; AWS Backup developer guide, console dashboards",
)  # fmt: skip
VAULT_DENIES = belief(
    "test_copy_jobs", "destination-vault-decides",
    "The destination vault's policy must let the source account in with backup:CopyIntoBackupVault, and the job's role "
    "must be allowed it too; else, or without such a vault, FAILED: `Access Denied trying to call AWS Backup service`",
    "aws.md C2, C4",
)  # fmt: skip
SOURCE_DENIES = belief(
    "test_copy_jobs", "source-vault-decides",
    "The role needs backup:CopyFromBackupVault, which the source vault's policy may deny by backup:CopyTargets or "
    "backup:CopyTargetOrgPaths",
    "aws.md C3",
)  # fmt: skip
DEFAULT_VAULT = belief(
    "test_copy_jobs", "default-vault-is-no-destination",
    "The vault `Default` of another account is no destination; the text is a guess",
    "aws.md C2",
)  # fmt: skip
MANAGED_KEY = belief(
    "test_copy_jobs", "destination-managed-key",
    "A destination vault under aws/backup is refused as `encrypted with the default Backup service managed key`, or "
    "taken for fully managed types: the lab plays either",
    "aws.md C2, C4", confirmed=False,
)  # fmt: skip
KEYS = belief(
    "test_copy_jobs", "copy-needs-both-keys",
    "The key of the source vault must be shared with the destination (one under aws/backup need not), the "
    "destination's key must let its service-linked role in; else FAILED, or COMPLETED without the items: "
    "the lab plays either",
    "aws.md C4, C6, D", confirmed=False,
)  # fmt: skip
LINKED_ROLE = belief(
    "test_copy_jobs", "copy-needs-linked-role",
    "Without AWSServiceRoleForBackup in the destination a copy fails; the text is a guess",
    "aws.md C3", confirmed=False,
)  # fmt: skip
RETENTION = belief(
    "test_copy_jobs", "copy-outside-vault-lock",
    "A retention that a locked or air-gapped destination does not take: FAILED, `The retention specified in the job is "
    "not within the range specified for the target Backup Vault.`",
    "aws.md C4",
)  # fmt: skip
COLD = belief(
    "test_copy_jobs", "no-copy-from-cold-storage",
    "A recovery point in cold storage is not copied to another account; the text is a guess",
    "aws.md C6",
)  # fmt: skip
REAL_COPY = belief(
    "test_copy_jobs", "copy-stands-alone",
    "A copy has data of its own and outlives its source; it keeps the source's creation date, and its lifecycle unless "
    "one is given; its account sees it in its own vault",
    "aws.md C4",
)  # fmt: skip
QUOTA = belief(
    "test_copy_jobs", "hundred-copies",
    "100 copy jobs of an account into one Region at once; one more is LimitExceededException, or waits in CREATED: the "
    "lab plays either",
    "aws.md C6", confirmed=False,
)  # fmt: skip
TAGS = belief(
    "test_copy_jobs", "copied-tags",
    "Whether a copy has its recovery point's tags is open: the lab plays either",
    "not found in any source", confirmed=False,
)  # fmt: skip

MOST_COPIES = 100
_RETRY_SECONDS = 5.0
NO_KEY = "The source snapshot KMS key does not exist, is not enabled or you do not have permissions to access it"
DENIED = "Access Denied trying to call AWS Backup service"


def start_copy_job(context: Context, params: Shape) -> Shape:
    """StartCopyJob."""
    job = jobs.once(context, params, lambda: _on_demand(context, params))
    return {"CopyJobId": job.id, "CreationDate": job.created_at, "IsParent": False}


def _on_demand(context: Context, params: Shape) -> CopyJob:
    vault = vaults.require(context, params["SourceBackupVaultName"])
    point = recovery_points.require(vault, params["RecoveryPointArn"])
    if not point.finished:
        raise invalid_request(SOURCE, f"Recovery point {point.arn} is not in a state to be copied: {point.status}")
    target = parse_arn(params["DestinationBackupVaultArn"])
    if target is None or target.kind != "backup-vault":
        raise invalid_parameter(SOURCE, f"Invalid backup vault ARN: {params['DestinationBackupVaultArn']}")
    recovery_points.checked_lifecycle(params.get("Lifecycle"))
    access.take_role(context, params["IamRoleArn"])
    over = _busy(context, target.region) >= MOST_COPIES
    if context.world.quotas and over and context.world.behaviours["backup.copy_over_quota"] == "refused":
        raise QUOTA.error("LimitExceededException", f"The limit of {MOST_COPIES} concurrent copy jobs was reached")
    return _start(context, params, point)


def _busy(context: Context, region: str, *, running: bool = False) -> int:
    """How many copy jobs of the caller's account into ``region`` have not ended, or run."""
    return sum(
        job.context.account_id == context.account_id
        and job.request["DestinationBackupVaultArn"].split(":")[3] == region
        and (job.running if running else not job.ended)
        for job in backups(context).copies
    )


def start_of_plan(backup: BackupJob, point: RecoveryPoint, action: Shape) -> CopyJob:
    """The job of a plan rule's copy action, after its backup."""
    params = {
        "RecoveryPointArn": point.arn,
        "SourceBackupVaultName": point.vault.name,
        "DestinationBackupVaultArn": action["DestinationBackupVaultArn"],
        "IamRoleArn": backup.role_arn,
        **({"Lifecycle": action["Lifecycle"]} if "Lifecycle" in action else {}),
    }
    job = _start(backup.context, params, point)
    job.created_by, job.backup_job_id = backup.created_by, backup.id
    return job


def _start(context: Context, params: Shape, point: RecoveryPoint) -> CopyJob:
    world, registry = context.world, backups(context)
    job = CopyJob(
        context,
        registry.new_id(),
        world.clock.now(),
        params,
        params["IamRoleArn"],
        point.resource_arn,
        source=point,
        planned=jobs.planned(context, "StartCopyJob", params),
    )
    registry.copies.append(job)
    jobs.note(job, "copy", point.arn)
    world.schedule(world.timings.seconds("backup.copy_starting"), lambda: jobs.take_turn(job, lambda: _run(job)))
    return job


# The work


def _run(job: CopyJob) -> None:
    world = job.context.world
    region = job.request["DestinationBackupVaultArn"].split(":")[3]
    if world.quotas and _busy(job.context, region, running=True) >= MOST_COPIES:
        world.schedule(_RETRY_SECONDS, lambda: jobs.take_turn(job, lambda: _run(job)))
        return
    target = backups(job.context).vault_by_arn(job.request["DestinationBackupVaultArn"])
    failure = _obstacle(job, target)
    if failure or target is None:
        jobs.end(job, "FAILED", failure or DENIED)
        return
    complete = _keys_open(job, target)
    disabled = access.unusable(world, job.source.vault.key_arn, target.key_arn)
    if disabled or (not complete and world.behaviours["backup.copy_without_key"] == "failed"):
        jobs.end(job, "FAILED", disabled or NO_KEY)
        return
    job.state, job.started_at = "RUNNING", world.clock.now()
    world.schedule(world.timings.seconds("backup.copy_running"), lambda: _finish(job, target, complete))


def _obstacle(job: CopyJob, target: Vault | None) -> str:
    """Why the copy cannot be made; empty when it can."""
    place = job.place
    destination = parse_arn(job.request["DestinationBackupVaultArn"])
    assert destination is not None
    crosses = destination.account != place.account
    if not job.source.fully_managed:
        return "Feature is not supported for provided resource type"
    if crosses and (text := _organization_obstacle(job, destination.account)):
        return text
    if target is None or target.state != "AVAILABLE":
        return DENIED
    if crosses and target.name == "Default":
        return "Copy job failed. The default backup vault cannot be the destination of a copy from another account."
    if crosses and recovery_points.is_cold(job.source, job.context.world.clock.now()):
        return "Copy job failed. A recovery point in cold storage cannot be copied to another account."
    if text := _permission_obstacle(job, target):
        return text
    return _vault_obstacle(job, target) if crosses else _retention_obstacle(job, target)


def _organization_obstacle(job: CopyJob, account_id: str) -> str:
    world = job.context.world
    own, other = world.accounts.get(job.context.account_id), world.accounts.get(account_id)
    organization = own.organization_id if own else ""
    if not organization or other is None or other.organization_id != organization:
        return (
            "Access denied: Copy job failed. Both source and destination account must be a member of the same "
            "organization"
        )
    if not settings.cross_account_enabled(world, organization):
        return "Copy job failed. Cross-account copy feature is not enabled for the current organization."
    return ""


def _permission_obstacle(job: CopyJob, target: Vault) -> str:
    world, source = job.context.world, job.source.vault
    caller = access.assumed(world, job.role_arn)
    if caller is None:
        return f"IAM Role {job.role_arn} cannot be assumed by AWS Backup"
    account = world.accounts.get(target.place.account)
    organization = account.organization_id if account else ""
    conditions = {
        "backup:CopyTargets": [target.arn],
        "backup:CopyTargetOrgPaths": [organization_path(organization)] if organization else [],
    }
    needed = (
        AuthorizationRequest("backup:CopyFromBackupVault", source.arn, source.policy, conditions=conditions),
        AuthorizationRequest("backup:CopyIntoBackupVault", target.arn, target.policy, target.place.account),
    )
    return DENIED if access.refusal(world, caller, needed, job.context.region) else ""


def _vault_obstacle(job: CopyJob, target: Vault) -> str:
    world = job.context.world
    if access.is_managed(world, target.key_arn) and world.behaviours["backup.managed_destination_key"] == "refused":
        return (
            "Copy job failed because the destination Backup vault is encrypted with the default Backup service managed "
            "key. The contents of this vault cannot be copied. Only the contents of a Backup vault encrypted by an AWS "
            "KMS key may be copied."
        )
    if world.behaviours["backup.destination_advanced_features"] == "needed":
        region = settings.region_settings(job.context, target.place)
        if not region.managed["DynamoDB"]:
            return "Feature is not supported for provided resource type"
    if access.linked_role(world, target.place.account) is None:
        return "Copy job failed. The service-linked role of AWS Backup does not exist in the destination account."
    return _retention_obstacle(job, target)


def _retention_obstacle(job: CopyJob, target: Vault) -> str:
    if vaults.retention_fits(target, _lifecycle(job)):
        return ""
    return (
        "Copy job failed. The retention specified in the job is not within the range specified for the target Backup "
        "Vault."
    )


def _lifecycle(job: CopyJob) -> Shape:
    """The copy's: as given, the source's for what is not given or never."""
    return {
        **job.source.lifecycle,
        **{name: value for name, value in job.request.get("Lifecycle", {}).items() if value not in (None, -1)},
    }


def _copier(job: CopyJob, target: Vault) -> Caller | None:
    world = job.context.world
    if target.place.account == job.context.account_id:
        return access.assumed(world, job.role_arn)
    return access.linked_role(world, target.place.account)


def _keys_open(job: CopyJob, target: Vault) -> bool:
    world, source = job.context.world, job.source.vault
    copier = _copier(job, target)
    if copier is None:
        return False
    readable = access.is_managed(world, source.key_arn) or access.key_admits(world, copier, source)
    return readable and access.key_admits(world, copier, target)


def _finish(job: CopyJob, target: Vault, whole: bool) -> None:
    source, registry, world = job.source, backups(job.context), job.context.world
    state = job.planned.values.get("state", "FAILED") if job.planned is not None else "COMPLETED"
    if state not in ("COMPLETED", "PARTIAL") or source.snapshot is None:
        jobs.fail_as_planned(job)
        return
    file = registry.items_file()
    snapshot = source.snapshot.copied(file) if whole else source.snapshot.emptied(file)
    place = target.place
    arn = f"arn:{partition_of(place.region)}:backup:{place.region}:{place.account}:recovery-point:{registry.new_id()}"
    copier = _copier(job, target)
    point = RecoveryPoint(
        arn,
        target,
        source.resource_arn,
        source.created_at,
        copier.principal_arn if copier else job.role_arn,
        True,
        _lifecycle(job),
        job.created_at,
        snapshot=snapshot,
        source_vault_arn=source.vault.arn,
        created_by=job.created_by,
        tags=dict(source.tags) if world.behaviours["backup.copied_tags"] == "kept" else {},
    )
    target.points[arn] = point
    job.copy_arn, job.size_bytes = arn, snapshot.size_bytes
    recovery_points.complete(job.context, point, partial=state == "PARTIAL")
    jobs.end(job, state, job.planned.message if job.planned is not None else "")


# Reading


def shape(job: CopyJob) -> Shape:
    """A copy job as it is described and listed; it has no percentage."""
    target_arn = job.request["DestinationBackupVaultArn"]
    target = backups(job.context).vault_by_arn(target_arn)
    shown: Shape = {
        "AccountId": job.context.account_id,
        "CopyJobId": job.id,
        "SourceBackupVaultArn": job.source.vault.arn,
        "SourceRecoveryPointArn": job.source.arn,
        "DestinationBackupVaultArn": target_arn,
        "DestinationVaultType": AIR_GAPPED if target and target.type == AIR_GAPPED else None,
        "DestinationRecoveryPointArn": job.copy_arn or None,
        "DestinationRecoveryPointLifecycle": _lifecycle(job) or None,
        "ResourceArn": job.resource_arn,
        "ResourceName": job.resource_arn.rpartition("/")[2],
        "ResourceType": "DynamoDB",
        "CreationDate": job.created_at,
        "CompletionDate": job.completed_at,
        "State": job.state,
        "StatusMessage": job.message or None,
        "BackupSizeInBytes": job.size_bytes if job.copy_arn else None,
        "IamRoleArn": job.role_arn,
        "CreatedBy": job.created_by or None,
        "CreatedByBackupJobId": job.backup_job_id or None,
        "IsParent": False,
        "MessageCategory": "SUCCESS" if job.state == "COMPLETED" and not job.message else None,
    }
    return {name: value for name, value in shown.items() if value is not None}


def describe_copy_job(context: Context, params: Shape) -> Shape:
    """DescribeCopyJob."""
    return {"CopyJob": shape(jobs.find(context, backups(context).copies, params["CopyJobId"]))}


def list_copy_jobs(context: Context, params: Shape) -> Shape:
    """ListCopyJobs."""
    filters = (
        ("ByResourceArn", "ResourceArn"),
        ("ByState", "State"),
        ("ByDestinationVaultArn", "DestinationBackupVaultArn"),
        ("BySourceRecoveryPointArn", "SourceRecoveryPointArn"),
        ("ByMessageCategory", "MessageCategory"),
    )
    return jobs.listing(context, "CopyJobs", backups(context).copies, params, shape, filters)


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "StartCopyJob": start_copy_job,
    "DescribeCopyJob": describe_copy_job,
    "ListCopyJobs": list_copy_jobs,
}
