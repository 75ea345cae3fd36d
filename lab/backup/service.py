# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS Backup behind the gate: every operation with its handler and the permission it needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from lab.backup import (
    air_gapped,
    backup_jobs,
    copy_jobs,
    plans,
    recovery_points,
    restore_jobs,
    settings,
    tags,
    timings,
    vaults,
)
from lab.backup.model import Shape
from lab.backup.registry import BackupRegistry, here
from lab.backup.words import belief
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.world import Context, World

PERMISSIONS = belief(
    "test_service", "permission-per-resource",
    "An operation needs its action on the vault, the recovery point or the plan that it names, on `*` "
    "where it names none",
    "AWS service authorization reference, AWS Backup",
)  # fmt: skip

_MODULES = (settings, vaults, air_gapped, recovery_points, backup_jobs, copy_jobs, restore_jobs, plans, tags)
# Authorized on the recovery point although they name its vault too (service authorization reference).
_ON_POINTS = frozenset((
    "DescribeRecoveryPoint", "DeleteRecoveryPoint", "GetRecoveryPointRestoreMetadata", "StartCopyJob",
    "StartRestoreJob", "UpdateRecoveryPointLifecycle",
))  # fmt: skip

# Where calls have the tags of what they make.
_TAGGED = {"CreateBackupVault": "BackupVaultTags", "StartBackupJob": "RecoveryPointTags"}


class BackupService:
    """AWS Backup. ``registry`` holds what belongs to it, of all accounts and Regions."""

    name = "backup"
    locks_itself: frozenset[str] = frozenset()

    def __init__(self, world: World) -> None:
        timings.define(world.timings, world.behaviours)
        self.registry = world.put(BackupRegistry(world))
        self._handlers: Mapping[str, Callable[[Context, Shape], Shape]] = {
            name: handler for module in _MODULES for name, handler in module.OPERATIONS.items()
        }

    def handle(self, context: Context, operation: str, params: dict[str, Any]) -> dict[str, Any]:
        """Do ``operation``."""
        handler = self._handlers.get(operation)
        if handler is None:
            raise AwsError("UnknownOperationException", f"The lab's AWS Backup has no {operation}.")
        return handler(context, params)

    def authorization(self, context: Context, operation: str, params: dict[str, Any]) -> list[AuthorizationRequest]:
        """The permission that ``operation`` needs; a vault's policy counts for what is in it."""
        if operation in _ON_POINTS:
            return [self._on_arn(context, operation, params["RecoveryPointArn"])]
        if "ResourceArn" in params and operation in tags.OPERATIONS:
            return [self._on_arn(context, operation, params["ResourceArn"])]
        if "BackupVaultName" in params:
            name, owner = params["BackupVaultName"], params.get("BackupVaultAccountId")
            needed = [vaults.authorization(self.registry, context, operation, name, owner)]
            if operation in _TAGGED and params.get(_TAGGED[operation]):
                arn = needed[0].resource_arn if operation == "CreateBackupVault" else context.arn("recovery-point:new")
                needed.append(AuthorizationRequest("backup:TagResource", arn))
            return needed
        if "BackupPlanId" in params:
            arn = context.arn(f"backup-plan:{params['BackupPlanId']}", "backup")
            return [AuthorizationRequest(f"backup:{operation}", arn)]
        return [AuthorizationRequest(f"backup:{operation}", "*")]

    def _on_arn(self, context: Context, operation: str, arn: str) -> AuthorizationRequest:
        vault = self.registry.vault_by_arn(arn)
        point = self.registry.point(arn)
        if point is not None:
            vault = point.vault
        own = vault is not None and vault.place == here(context)
        # Other accounts' are the handler's to refuse, or RAM's to open.
        return AuthorizationRequest(f"backup:{operation}", arn, vault.policy if vault is not None and own else None)
