# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Vaults: their keys, policies, locks and tags (aws.md C2)."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from lab.backup import access
from lab.backup.model import AIR_GAPPED, DAY_SECONDS, Lock, Place, Shape, Vault
from lab.backup.registry import BackupRegistry, backups, here
from lab.backup.words import belief, denied, invalid_parameter, invalid_request, not_found
from lab.errors import AwsError
from lab.messages import AuthorizationRequest
from lab.partitions import partition_of
from lab.policy import Statement
from lab.services.kms import KmsService
from lab.services.paging import page
from lab.services.policies import PolicyFlaw, checked_policy
from lab.services.ram import RamService
from lab.world import Context

NAME_TAKEN = belief(
    "test_vaults", "vault-name-taken",
    "A second vault of a name is AlreadyExistsException, unless CreatorRequestId is the first one's",
    "botocore's service model backup, CreateBackupVault",
)  # fmt: skip
CREATION_PERMISSIONS = belief(
    "test_vaults", "vault-creation-permissions",
    "CreateBackupVault needs backup-storage:MountCapsule on `*` and, on its key, CreateGrant, GenerateDataKey, "
    "Decrypt, RetireGrant and DescribeKey; lacking one is a bare AccessDeniedException",
    "aws.md C2",
)  # fmt: skip
MANAGED_KEY = belief(
    "test_vaults", "vault-managed-key",
    "A vault without a key is under the account's aws/backup key",
    "aws.md C2",
)  # fmt: skip
MISSING_IS_DENIED = belief(
    "test_vaults", "missing-vault-is-denied",
    "DescribeBackupVault and GetBackupVaultAccessPolicy of a vault that does not exist are AccessDeniedException, for "
    "administrators too",
    "aws.md C2",
)  # fmt: skip
MISSING = belief(
    "test_vaults", "missing-vault",
    "Other calls on a vault that does not exist are ResourceNotFoundException",
    "botocore's service model backup", confirmed=False,
)  # fmt: skip
NO_POLICY = belief(
    "test_vaults", "vault-without-policy",
    "GetBackupVaultAccessPolicy of a vault without a policy is ResourceNotFoundException",
    "aws.md C2",
)  # fmt: skip
EMPTY_ONLY = belief(
    "test_vaults", "vault-deleted-when-empty",
    "Only an empty vault is deleted: InvalidRequestException, ERROR_9101",
    "aws.md C3; gruntwork-io/cloud-nuke 730",
)  # fmt: skip
POLICY_REPLACED = belief(
    "test_vaults", "vault-policy-replaced",
    "PutBackupVaultAccessPolicy replaces the whole policy",
    "aws.md C2",
)  # fmt: skip
POLICY_SOUND = belief(
    "test_vaults", "vault-policy-sound",
    "A vault policy is refused with a wildcard as action, and as `Provided principal is not valid` when it names a "
    "principal that does not exist (or was made a moment ago)",
    "aws.md C2",
)  # fmt: skip
POLICY_COPIES_ONLY = belief(
    "test_vaults", "vault-policy-opens-copies-only",
    "A vault policy that allows other accounts (or everybody) more than backup:CopyIntoBackupVault is refused, `due to "
    "cross-account sharing restrictions`; the code is a guess",
    "aws.md C2; rebuy-de/aws-nuke 1150", confirmed=False,
)  # fmt: skip
POLICY_BINDS = belief(
    "test_vaults", "vault-policy-binds",
    "A Deny in a vault's policy binds its own account's principals too",
    "aws.md C3",
)  # fmt: skip
LOCKED = belief(
    "test_vaults", "vault-lock",
    "A lock bounds the retention of new recovery points and keeps them from deletion; with ChangeableForDays (3 or "
    "more) it becomes immutable after so many days, without it can be changed and taken off",
    "botocore's service model backup, PutBackupVaultLockConfiguration; aws.md C4",
)  # fmt: skip
LISTED = belief(
    "test_vaults", "vaults-listed",
    "ListBackupVaults filters by type; with ByShared it lists other accounts' shared vaults only",
    "aws.md C7; botocore's service model backup",
)  # fmt: skip
QUOTA = belief(
    "test_vaults", "vault-quota",
    "300 vaults of an account and Region, then LimitExceededException",
    "aws.md C6",
)  # fmt: skip

MOST_VAULTS = 300
PAGE_SIZE = 100
_REQUEST_ID = re.compile(r"[a-zA-Z0-9\-_.]{1,50}")
_COOLING_DAYS = 3


def require(context: Context, name: str) -> Vault:
    """The caller's vault of that name, or ResourceNotFoundException."""
    vault = backups(context).vault(here(context), name)
    if vault is None:
        raise not_found(MISSING, f"Backup vault {name} not found.")
    return vault


def readable(context: Context, name: str, account: str | None = None) -> Vault:
    """The vault ``name`` of the caller's account, or of ``account`` if it is shared with the caller; else denied."""
    owner = account or context.account_id
    vault = backups(context).vault(Place(owner, context.region), name)
    if vault is None or (owner != context.account_id and not is_shared(context, vault)):
        raise denied(MISSING_IS_DENIED)
    return vault


def is_shared(context: Context, vault: Vault) -> bool:
    """Whether RAM shares the vault with the caller's account."""
    return context.world.part(RamService).reaches(vault.arn, context.account_id)


def authorization(
    registry: BackupRegistry, context: Context, action: str, name: str, account: str | None = None
) -> AuthorizationRequest:
    """The permission to do ``action`` on the vault ``name`` of ``account``, by default the caller's.

    A vault's own policy counts in its account; RAM decides about vaults of other accounts.
    """
    owner = account or context.account_id
    vault = registry.vault(here(context), name) if owner == context.account_id else None
    arn = f"arn:{partition_of(context.region)}:backup:{context.region}:{owner}:backup-vault:{name}"
    return AuthorizationRequest(f"backup:{action}", arn, vault.policy if vault else None)


# Creating


def create_backup_vault(context: Context, params: Shape) -> Shape:
    """CreateBackupVault."""
    if known := earlier(context, params):
        return _created(known)
    key_arn = usable_key(context, params["BackupVaultName"], params.get("EncryptionKeyArn", "alias/aws/backup"))
    return _created(add(context, params, key_arn))


def earlier(context: Context, params: Shape) -> Vault | None:
    """The vault that an earlier try of this request made; AlreadyExistsException for another vault of that name."""
    vault = backups(context).vault(here(context), params["BackupVaultName"])
    request_id = params.get("CreatorRequestId", "")
    if request_id and not _REQUEST_ID.fullmatch(request_id):
        raise invalid_parameter(NAME_TAKEN, "CreatorRequestId must contain 1 to 50 alphanumeric or '-_.' characters.")
    if vault is None or (request_id and vault.creator_request_id == request_id):
        return vault
    raise NAME_TAKEN.error(
        "AlreadyExistsException",
        f"Backup vault with the same name already exists: {vault.name}",
        CreatorRequestId=vault.creator_request_id,
        Arn=vault.arn,
    )


def usable_key(context: Context, vault_name: str, key: str) -> str:
    """ARN of the key, if the caller may make a vault under it; AccessDeniedException without details."""
    kms = context.world.part(KmsService)
    try:
        context.authorize("backup-storage:MountCapsule", "*")
        used_key = kms.use_key_as(context.caller, key, "DescribeKey", context.region, via_service="backup")
        # The policy of a key that AWS manages says nothing of RetireGrant.
        others = (
            "CreateGrant",
            "GenerateDataKey",
            "Decrypt",
            *(("RetireGrant",) if used_key.manager == "CUSTOMER" else ()),
        )
        for operation in others:
            kms.use_key_as(
                context.caller, key, operation, context.region, via_service="backup",
                encryption_context={access.VAULT_CONTEXT: vault_name},
            )  # fmt: skip
    except AwsError as error:
        if error.code != "AccessDeniedException":
            raise invalid_parameter(CREATION_PERMISSIONS, f"Invalid encryption key: {error.message}") from None
        raise denied(CREATION_PERMISSIONS) from None
    return used_key.arn


def add(context: Context, params: Shape, key_arn: str, **members: Any) -> Vault:
    """A new vault of the caller's account, under the key ``key_arn``."""
    registry = backups(context)
    if context.world.quotas and len(registry.vaults_of(here(context))) >= MOST_VAULTS:
        raise QUOTA.error("LimitExceededException", "The number of backup vaults has reached its limit.")
    vault = Vault(
        here(context),
        params["BackupVaultName"],
        context.world.clock.now(),
        key_arn,
        creator_request_id=params.get("CreatorRequestId", ""),
        tags=dict(params.get("BackupVaultTags", {})),
        **members,
    )
    registry.vaults[vault.place, vault.name] = vault
    return vault


def _created(vault: Vault) -> Shape:
    return {"BackupVaultName": vault.name, "BackupVaultArn": vault.arn, "CreationDate": vault.created_at}


# Reading


def shape(context: Context, vault: Vault) -> Shape:
    """A vault as lists show it."""
    shown: dict[str, Any] = {
        "BackupVaultName": vault.name,
        "BackupVaultArn": vault.arn,
        "VaultType": vault.type,
        "VaultState": vault.state,
        "CreationDate": vault.created_at,
        "CreatorRequestId": vault.creator_request_id or None,
        "EncryptionKeyArn": vault.key_arn or None,
        "NumberOfRecoveryPoints": len(vault.points),
        "Locked": vault.lock is not None,
    }
    if vault.type == AIR_GAPPED:
        shown["EncryptionKeyType"] = "CUSTOMER_MANAGED_KMS_KEY" if vault.key_arn else "AWS_OWNED_KMS_KEY"
    if vault.lock is not None:
        shown |= {
            "MinRetentionDays": vault.lock.min_days,
            "MaxRetentionDays": vault.lock.max_days,
            "LockDate": vault.lock.immutable_at,
        }
    return {name: value for name, value in shown.items() if value is not None}


def describe_backup_vault(context: Context, params: Shape) -> Shape:
    """DescribeBackupVault."""
    return shape(context, readable(context, params["BackupVaultName"], params.get("BackupVaultAccountId")))


def list_backup_vaults(context: Context, params: Shape) -> Shape:
    """ListBackupVaults."""
    registry = backups(context)
    if params.get("ByShared"):
        vaults = [
            vault
            for vault in registry.vaults.values()
            if vault.place.account != context.account_id
            and vault.place.region == context.region
            and is_shared(context, vault)
        ]
    else:
        vaults = registry.vaults_of(here(context))
    vault_type = params.get("ByVaultType")
    return listing(
        "BackupVaultList", [shape(context, vault) for vault in vaults if vault_type in (None, vault.type)], params
    )


def listing(member: str, items: list[Any], params: Shape) -> Shape:
    """The page of a list that ``params`` ask for."""
    shown, token = page(
        items,
        params.get("MaxResults") or PAGE_SIZE,
        params.get("NextToken"),
        code="InvalidParameterValueException",
    )
    return {member: shown, **({"NextToken": token} if token else {})}


# Deleting, policies, locks


def delete_backup_vault(context: Context, params: Shape) -> Shape:
    """DeleteBackupVault."""
    vault = require(context, params["BackupVaultName"])
    if vault.points:
        text = "Backup vault cannot be deleted because it contains recovery points."
        raise EMPTY_ONLY.error("InvalidRequestException", text, Code="ERROR_9101")
    del backups(context).vaults[vault.place, vault.name]
    return {}


def put_backup_vault_access_policy(context: Context, params: Shape) -> Shape:
    """PutBackupVaultAccessPolicy."""
    vault = require(context, params["BackupVaultName"])
    document = params.get("Policy", "")
    try:
        statements = checked_policy(context.world, document)
    except PolicyFlaw as flaw:
        text = "Provided principal is not valid" if "principal" in str(flaw) else f"Invalid policy document: {flaw}"
        raise invalid_parameter(POLICY_SOUND, text) from None
    named = {value for statement in statements for kind, value in statement.principals if kind == "AWS"}
    if any(access.is_young(context.world, principal) for principal in named):
        raise invalid_parameter(access.YOUNG, "Provided principal is not valid")
    for statement in statements:
        if any("*" in action for action in statement.actions):
            raise invalid_parameter(POLICY_SOUND, "Wildcards are not supported in the actions of the policy")
    if any(_opens_more(statement, vault.place.account) for statement in statements):
        raise invalid_parameter(
            POLICY_COPIES_ONLY,
            "The specified policy cannot be added to the vault due to cross-account sharing restrictions. Amend the "
            "policy or the vault's settings, then retry request",
        )
    vault.policy = context.world.identity.hold(document)
    return {}


def _opens_more(statement: Statement, account: str) -> bool:
    """Whether a statement allows strangers anything but to copy into the vault."""
    own = re.compile(rf"(arn:[\w-]+:(iam|sts)::)?{account}(:.*)?")
    strangers = any(kind == "AWS" and not own.fullmatch(value) for kind, value in statement.principals)
    return statement.allow and strangers and set(statement.actions) != {"backup:copyintobackupvault"}


def get_backup_vault_access_policy(context: Context, params: Shape) -> Shape:
    """GetBackupVaultAccessPolicy."""
    vault = readable(context, params["BackupVaultName"])
    if vault.policy is None:
        raise not_found(NO_POLICY, f"Backup vault {vault.name} has no access policy.")
    return {
        "BackupVaultName": vault.name,
        "BackupVaultArn": vault.arn,
        "Policy": context.world.identity.shown(vault.policy),
    }


def delete_backup_vault_access_policy(context: Context, params: Shape) -> Shape:
    """DeleteBackupVaultAccessPolicy."""
    require(context, params["BackupVaultName"]).policy = None
    return {}


def put_backup_vault_lock_configuration(context: Context, params: Shape) -> Shape:
    """PutBackupVaultLockConfiguration."""
    vault = require(context, params["BackupVaultName"])
    _refuse_immutable(context, vault)
    least, most = params.get("MinRetentionDays"), params.get("MaxRetentionDays")
    if least is not None and (least < 1 or (most is not None and most < least)):
        raise invalid_parameter(LOCKED, "MinRetentionDays is 1 or more, and not above MaxRetentionDays")
    days = params.get("ChangeableForDays")
    if days is not None and days < _COOLING_DAYS:
        raise invalid_parameter(LOCKED, "ChangeableForDays must be 3 or greater")
    immutable_at = None if days is None else context.world.clock.now() + days * DAY_SECONDS
    vault.lock = Lock(least, most, immutable_at)
    return {}


def delete_backup_vault_lock_configuration(context: Context, params: Shape) -> Shape:
    """DeleteBackupVaultLockConfiguration."""
    vault = require(context, params["BackupVaultName"])
    _refuse_immutable(context, vault)
    vault.lock = None
    return {}


def _refuse_immutable(context: Context, vault: Vault) -> None:
    lock = vault.lock
    if lock is not None and lock.immutable_at is not None and lock.immutable_at <= context.world.clock.now():
        raise invalid_request(LOCKED, f"Vault lock of {vault.name} is immutable and cannot be changed.")


def retention_fits(vault: Vault, lifecycle: Mapping[str, int]) -> bool:
    """Whether a recovery point of that lifecycle may go into the vault."""
    lock = vault.lock
    if lock is None:
        return True
    days = lifecycle.get("DeleteAfterDays", -1)
    if lock.max_days is not None and (days < 0 or days > lock.max_days):
        return False
    return lock.min_days is None or days < 0 or days >= lock.min_days


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "CreateBackupVault": create_backup_vault,
    "DescribeBackupVault": describe_backup_vault,
    "ListBackupVaults": list_backup_vaults,
    "DeleteBackupVault": delete_backup_vault,
    "PutBackupVaultAccessPolicy": put_backup_vault_access_policy,
    "GetBackupVaultAccessPolicy": get_backup_vault_access_policy,
    "DeleteBackupVaultAccessPolicy": delete_backup_vault_access_policy,
    "PutBackupVaultLockConfiguration": put_backup_vault_lock_configuration,
    "DeleteBackupVaultLockConfiguration": delete_backup_vault_lock_configuration,
}
