# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Recovery points: what is in them, how long they live, and why some cannot be deleted (aws.md C3, C5, C6)."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from lab.backup import access, vaults
from lab.backup.model import AIR_GAPPED, DAY_SECONDS, RecoveryPoint, Shape, Vault
from lab.backup.registry import backups, here
from lab.backup.words import belief, invalid_parameter, invalid_request, not_found
from lab.world import Context

FOUND = belief(
    "test_recovery_points", "recovery-point-not-found",
    "A recovery point that is not (or no longer) in the vault is ResourceNotFoundException",
    "aws.md C3; botocore's service model backup",
)  # fmt: skip
FINISHED_STATUS = belief(
    "test_recovery_points", "recovery-point-status",
    "A recovery point is CREATING while its job runs, then COMPLETED or AVAILABLE: the lab plays either",
    "botocore's service model backup, DescribeRecoveryPoint; aws.md C4", confirmed=False,
)  # fmt: skip
DELETED_LATE = belief(
    "test_recovery_points", "recovery-point-deleted-late",
    "DeleteRecoveryPoint is answered at once and done later: the point is DELETING, its vault not yet empty",
    "aws.md C3",
)  # fmt: skip
ROLE_GONE = belief(
    "test_recovery_points", "recovery-point-without-its-role",
    "Without the role that made it a recovery point cannot be deleted: the call is 200, the point becomes EXPIRED",
    "aws.md C3; botocore's service model backup, DeleteRecoveryPoint",
)  # fmt: skip
LOCKED = belief(
    "test_recovery_points", "recovery-point-in-locked-vault",
    "A recovery point of a locked or air-gapped vault is not deleted before its retention ends; the code is a guess",
    "aws.md C7", confirmed=False,
)  # fmt: skip
EXPIRES = belief(
    "test_recovery_points", "recovery-point-expires",
    "A recovery point is deleted DeleteAfterDays after its creation, a copy after that of its source",
    "aws.md C4",
)  # fmt: skip
LIFECYCLE = belief(
    "test_recovery_points", "lifecycle-sound",
    "DeleteAfterDays is 90 days or more beyond MoveToColdStorageAfterDays",
    "aws.md C6",
)  # fmt: skip
BUSY = belief(
    "test_recovery_points", "recovery-point-in-use",
    "A recovery point is not deleted while it is copied or restored; the code is a guess",
    "measured/backup-restore-service 2.5 (native restores)", confirmed=False,
)  # fmt: skip
METADATA = belief(
    "test_recovery_points", "restore-metadata-read",
    "GetRecoveryPointRestoreMetadata has keys that StartRestoreJob refuses",
    "aws.md C5", confirmed=False,
)  # fmt: skip
SHARED_BY_ACCOUNT = belief(
    "test_air_gapped", "shared-vault-needs-account",
    "What is in a shared vault is described and listed with BackupVaultAccountId only; without it, or when it is not "
    "shared, AccessDeniedException `Insufficient privileges to perform this action.`",
    "aws.md C7",
)  # fmt: skip

_COLD_DAYS = 90
_BY_RESOURCE = (
    "RecoveryPointArn", "CreationDate", "Status", "StatusMessage", "EncryptionKeyArn", "BackupVaultName", "IsParent",
    "ResourceName", "VaultType", "EncryptionKeyType",
)  # fmt: skip


def checked_lifecycle(lifecycle: Mapping[str, int] | None) -> Shape:
    """A Lifecycle as it will be kept; InvalidParameterValueException."""
    given = dict(lifecycle or {})
    cold, delete = given.get("MoveToColdStorageAfterDays", -1), given.get("DeleteAfterDays", -1)
    if cold > 0 and 0 <= delete < cold + _COLD_DAYS:
        raise invalid_parameter(
            LIFECYCLE,
            "DeleteAfterDays cannot be less than 90 days apart from MoveToColdStorageAfterDays",
        )
    if delete == 0 or cold == 0:
        raise invalid_parameter(LIFECYCLE, "Lifecycle days must be 1 or more, or -1")
    return given


def is_cold(point: RecoveryPoint, now: float) -> bool:
    """Whether it is in cold storage by now."""
    cold = point.lifecycle.get("MoveToColdStorageAfterDays", -1)
    return bool(cold > 0 and now >= point.created_at + cold * DAY_SECONDS)


def require(vault: Vault, arn: str) -> RecoveryPoint:
    """The recovery point in ``vault``, or ResourceNotFoundException."""
    if arn not in vault.points:
        raise not_found(FOUND, f"Cannot find recovery point {arn} in backup vault {vault.name}.")
    return vault.points[arn]


def keep(context: Context, point: RecoveryPoint) -> None:
    """Plan the end of the point's retention."""
    if point.expiry is not None:
        point.expiry.cancel()
        point.expiry = None
    if point.delete_at is not None:
        left = max(0.0, point.delete_at - context.world.clock.now())
        point.expiry = context.world.schedule(left, lambda: _delete(context, point))


def complete(context: Context, point: RecoveryPoint, *, partial: bool = False) -> None:
    """Complete a recovery point and start its retention."""
    point.completed_at = context.world.clock.now()
    point.status = "PARTIAL" if partial else context.world.behaviours["backup.finished_point"]  # type: ignore[assignment]
    keep(context, point)


# Reading


def shape(point: RecoveryPoint) -> Shape:
    """A recovery point as lists by vault show it."""
    vault, snapshot = point.vault, point.snapshot
    key = vault.key_arn if point.fully_managed else (snapshot.encryption.key_arn if snapshot else "")
    shown: Shape = {
        "RecoveryPointArn": point.arn,
        "BackupVaultName": vault.name,
        "BackupVaultArn": vault.arn,
        "SourceBackupVaultArn": point.source_vault_arn or None,
        "ResourceArn": point.resource_arn,
        "ResourceType": "DynamoDB",
        "ResourceName": point.resource_arn.rpartition("/")[2],
        "CreatedBy": point.created_by or None,
        "IamRoleArn": point.role_arn,
        "Status": point.status,
        "StatusMessage": point.status_message or None,
        "CreationDate": point.created_at,
        "InitiationDate": point.initiated_at,
        "CompletionDate": point.completed_at,
        "BackupSizeInBytes": snapshot.size_bytes if snapshot and point.completed_at else None,
        "CalculatedLifecycle": {"DeleteAt": point.delete_at} if point.delete_at else None,
        "Lifecycle": point.lifecycle or None,
        "EncryptionKeyArn": key or None,
        "IsEncrypted": True,
        "LastRestoreTime": point.restored_at,
        "IsParent": False,
        "VaultType": vault.type,
    }
    if vault.type == AIR_GAPPED:
        shown["EncryptionKeyType"] = "CUSTOMER_MANAGED_KMS_KEY" if vault.key_arn else "AWS_OWNED_KMS_KEY"
    return {name: value for name, value in shown.items() if value is not None}


def _readable(context: Context, params: Shape) -> RecoveryPoint:
    vault = vaults.readable(context, params["BackupVaultName"], params.get("BackupVaultAccountId"))
    return require(vault, params["RecoveryPointArn"])


def describe_recovery_point(context: Context, params: Shape) -> Shape:
    """DescribeRecoveryPoint."""
    return {**shape(_readable(context, params)), "StorageClass": "WARM"}


def list_recovery_points_by_backup_vault(context: Context, params: Shape) -> Shape:
    """ListRecoveryPointsByBackupVault."""
    vault = vaults.readable(context, params["BackupVaultName"], params.get("BackupVaultAccountId"))
    points = [
        point
        for point in vault.points.values()
        if params.get("ByResourceArn") in (None, point.resource_arn)
        and params.get("ByResourceType") in (None, "DynamoDB")
        and params.get("ByBackupPlanId") in (None, point.created_by.get("BackupPlanId"))
        and point.created_at < params.get("ByCreatedBefore", float("inf"))
        and point.created_at > params.get("ByCreatedAfter", float("-inf"))
    ]
    points.sort(key=lambda point: point.created_at, reverse=True)
    return vaults.listing("RecoveryPoints", [shape(point) for point in points], params)


def list_recovery_points_by_resource(context: Context, params: Shape) -> Shape:
    """ListRecoveryPointsByResource: those in the vaults of the caller's account and Region."""
    points = [
        point
        for vault in backups(context).vaults_of(here(context))
        for point in vault.points.values()
        if point.resource_arn == params["ResourceArn"]
    ]
    points.sort(key=lambda point: point.created_at, reverse=True)
    shown = []
    for point in points:
        whole = shape(point)
        each = {name: whole[name] for name in _BY_RESOURCE if name in whole}
        if "BackupSizeInBytes" in whole:
            each["BackupSizeBytes"] = whole["BackupSizeInBytes"]
        shown.append(each)
    return vaults.listing("RecoveryPoints", shown, params)


def get_recovery_point_restore_metadata(context: Context, params: Shape) -> Shape:
    """GetRecoveryPointRestoreMetadata."""
    point = _readable(context, params)
    return {
        "BackupVaultArn": point.vault.arn,
        "RecoveryPointArn": point.arn,
        "ResourceType": "DynamoDB",
        "RestoreMetadata": {
            "originalTableName": point.resource_arn.rpartition("/")[2],
            "aws:backup:request-id": context.request_id,
        },
    }


# Changing


def update_recovery_point_lifecycle(context: Context, params: Shape) -> Shape:
    """UpdateRecoveryPointLifecycle."""
    vault = vaults.require(context, params["BackupVaultName"])
    point = require(vault, params["RecoveryPointArn"])
    lifecycle = checked_lifecycle(params.get("Lifecycle"))
    if not vaults.retention_fits(vault, lifecycle):
        raise invalid_request(LOCKED, "The lifecycle is outside the valid range for backup vault.")
    point.lifecycle = lifecycle
    keep(context, point)
    calculated = {"DeleteAt": point.delete_at} if point.delete_at else {}
    return {
        "BackupVaultArn": vault.arn,
        "RecoveryPointArn": point.arn,
        "Lifecycle": lifecycle,
        "CalculatedLifecycle": calculated,
    }


def delete_recovery_point(context: Context, params: Shape) -> Shape:
    """DeleteRecoveryPoint."""
    vault = vaults.require(context, params["BackupVaultName"])
    point = require(vault, params["RecoveryPointArn"])
    if vault.lock is not None:
        raise invalid_request(LOCKED, f"Recovery point {point.arn} cannot be deleted: its backup vault is locked.")
    if _is_busy(context, point):
        raise BUSY.error("InvalidResourceStateException", f"Recovery point {point.arn} is in use.")
    _delete(context, point)
    return {}


def _is_busy(context: Context, point: RecoveryPoint) -> bool:
    registry = backups(context)
    return point.status == "CREATING" or any(
        used is point
        for used in (
            *(job.source for job in registry.copies if job.running),
            *(job.point for job in registry.restores if job.running),
        )
    )


def _delete(context: Context, point: RecoveryPoint) -> None:
    if access.assumed(context.world, point.role_arn) is None:
        point.status = "EXPIRED"
        point.status_message = f"IAM Role {point.role_arn} cannot be assumed by AWS Backup"
        return
    point.status = "DELETING"
    context.world.schedule(context.world.timings.seconds("backup.deleting_point"), lambda: discard(point))


def discard(point: RecoveryPoint) -> None:
    """Take the point out of its vault, with its data."""
    point.vault.points.pop(point.arn, None)
    if point.expiry is not None:
        point.expiry.cancel()
    if point.snapshot is not None:
        point.snapshot.discard()


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "DescribeRecoveryPoint": describe_recovery_point,
    "ListRecoveryPointsByBackupVault": list_recovery_points_by_backup_vault,
    "ListRecoveryPointsByResource": list_recovery_points_by_resource,
    "GetRecoveryPointRestoreMetadata": get_recovery_point_restore_metadata,
    "UpdateRecoveryPointLifecycle": update_recovery_point_lifecycle,
    "DeleteRecoveryPoint": delete_recovery_point,
}
