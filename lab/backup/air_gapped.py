# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Logically air-gapped vaults: locked at once, shared by RAM, restored from without a copy (aws.md C7)."""

from __future__ import annotations

from collections.abc import Callable

from lab.backup import vaults
from lab.backup.model import AIR_GAPPED, Lock, Shape, Vault
from lab.backup.words import belief, invalid_parameter
from lab.errors import AwsError
from lab.services.kms import KmsService
from lab.world import Context

RETENTION = belief(
    "test_air_gapped", "air-gapped-retention",
    "Both retentions are required, the shortest is 7 days; the vault is locked in compliance mode at once: nothing in "
    "it is deleted earlier, the lock never changed",
    "aws.md C7; botocore's service model backup, CreateLogicallyAirGappedBackupVault",
)  # fmt: skip
CREATING = belief(
    "test_air_gapped", "air-gapped-vault-creating",
    "The vault is CREATING for one to three minutes, then AVAILABLE, or FAILED when its key's CreateGrant is denied",
    "aws.md C7",
)  # fmt: skip
OWN_KEY = belief(
    "test_air_gapped", "air-gapped-vault-key",
    "Without a key it is under an AWS-owned one, which needs no key policy; a customer key is fixed at creation and "
    "must be granted to whoever restores",
    "aws.md C7",
)  # fmt: skip
NO_COPY_OUT = belief(
    "test_air_gapped", "no-copy-from-shared-vault",
    "An account with which the vault is shared restores from it and does nothing else: no copy, no deletion",
    "aws.md C7",
)  # fmt: skip

SHORTEST_DAYS = 7


def create_logically_air_gapped_backup_vault(context: Context, params: Shape) -> Shape:
    """CreateLogicallyAirGappedBackupVault."""
    if known := vaults.earlier(context, params):
        return _created(known)
    least, most = params["MinRetentionDays"], params["MaxRetentionDays"]
    if least < SHORTEST_DAYS or most < least:
        raise invalid_parameter(
            RETENTION, f"MinRetentionDays is {SHORTEST_DAYS} or more, and not above MaxRetentionDays"
        )
    context.authorize("backup-storage:MountCapsule", "*")
    now = context.world.clock.now()
    vault = vaults.add(
        context, params, params.get("EncryptionKeyArn", ""), type=AIR_GAPPED, state="CREATING",
        lock=Lock(least, most, now),
    )  # fmt: skip
    context.world.schedule(
        context.world.timings.seconds("backup.creating_air_gapped_vault"), lambda: _settle(context, vault)
    )
    return _created(vault)


def _created(vault: Vault) -> Shape:
    return {
        "BackupVaultName": vault.name,
        "BackupVaultArn": vault.arn,
        "CreationDate": vault.created_at,
        "VaultState": vault.state,
    }


def _settle(context: Context, vault: Vault) -> None:
    try:
        if vault.key_arn:
            context.world.part(KmsService).use_key_as(
                context.caller, vault.key_arn, "CreateGrant", context.region, via_service="backup"
            )
    except AwsError:
        vault.state = "FAILED"
    else:
        vault.state = "AVAILABLE"


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "CreateLogicallyAirGappedBackupVault": create_logically_air_gapped_backup_vault,
}
