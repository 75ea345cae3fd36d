# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who works for AWS Backup: the roles that jobs run as, the service-linked role, and the keys that they may use."""

from __future__ import annotations

from collections.abc import Iterable

from lab.backup.model import Vault
from lab.backup.words import belief, invalid_parameter
from lab.caller import Caller
from lab.errors import AwsError
from lab.identity import Role
from lab.messages import AuthorizationRequest
from lab.services.kms import KmsService
from lab.world import Context, World

PASSED = belief(
    "test_access", "role-is-passed",
    "Who starts a job or makes a selection needs iam:PassRole on its role, with iam:PassedToService "
    "backup.amazonaws.com",
    "aws.md C3",
)  # fmt: skip
TRUSTED = belief(
    "test_access", "role-trusts-backup",
    "A job's role exists in the caller's account and trusts backup.amazonaws.com; else it `cannot be assumed by AWS "
    "Backup`, at the call",
    "aws.md C3; the code at the call is a guess", confirmed=False,
)  # fmt: skip
YOUNG = belief(
    "test_access", "new-role-is-unknown",
    "A role made a moment ago cannot be assumed yet, and is no principal for a vault's policy: try again",
    "aws.md C2 (terraform-provider-aws, aws_backup_vault_policy and aws_backup_selection)",
)  # fmt: skip
DISABLED_KEY = belief(
    "test_access", "disabled-key-fails-jobs",
    "A job whose vault's or table's key is disabled or about to be deleted ends FAILED: `KMS key is "
    "either disabled or ..`",
    "aws.md C3; AWS Backup developer guide, console dashboards", confirmed=False,
)  # fmt: skip
ACTIONS = belief(
    "test_access", "role-lacks-action",
    "A job whose role lacks an action ends FAILED; its text names the action and the session AWSBackup-<role>",
    "aws.md C3; widdix/aws-cf-templates 633",
)  # fmt: skip
VAULT_KEY = belief(
    "test_access", "role-without-key",
    "A backup or restore whose role has no access to the vault's or the table's key is COMPLETED and its items are "
    "missing (or, as nobody measured it, FAILED: the lab plays either)",
    "aws.md C6", confirmed=False,
)  # fmt: skip
LINKED = belief(
    "test_access", "service-linked-role-copies",
    "The destination's AWSServiceRoleForBackup does the copying: it must exist, and the policies of both vaults' keys "
    "must name it or its account; its own policies do not count, as AWS's managed one names no key of AWS Backup",
    "aws.md C3, C6; MAMIP AWSBackupServiceLinkedRolePolicyForBackup", confirmed=False,
)  # fmt: skip

SERVICE = "backup.amazonaws.com"
LINKED_ROLE = "AWSServiceRoleForBackup"
VAULT_CONTEXT = "aws:backup:backup-vault"


def take_role(context: Context, role_arn: str) -> None:
    """Refuse a role that the caller may not pass, or that AWS Backup cannot assume."""
    context.authorize("iam:PassRole", role_arn, conditions={"iam:PassedToService": SERVICE})
    text = f"IAM Role {role_arn} cannot be assumed by AWS Backup"
    if role_arn.split(":")[4:5] != [context.account_id] or assumed(context.world, role_arn) is None:
        raise invalid_parameter(TRUSTED, text)
    if is_young(context.world, role_arn):
        raise invalid_parameter(YOUNG, text)


def is_young(world: World, role_arn: str) -> bool:
    """Whether the role was made so short a time ago that AWS Backup does not know it yet."""
    role = world.identity.role_by_arn(role_arn)
    return role is not None and world.clock.now() < role.created_at + world.timings.seconds("backup.role_known")


def assumed(world: World, role_arn: str) -> Caller | None:
    """AWS Backup in the role; None when there is no such role or it does not trust the service."""
    role: Role | None = world.identity.role_by_arn(role_arn)
    if role is None:
        return None
    needed = AuthorizationRequest("sts:AssumeRole", role.arn, role.trust, role.account_id, True)
    if not world.decide(Caller.service(SERVICE, role.account_id), needed).allowed:
        return None
    return world.identity.role_caller(role, f"AWSBackup-{role.name}")


def linked_role(world: World, account_id: str) -> Caller | None:
    """The account's service-linked role at work; None while it does not exist."""
    role = world.identity.roles.get((account_id, LINKED_ROLE))
    return world.identity.role_caller(role, "AWSBackup") if role is not None else None


def refusal(world: World, caller: Caller, needed: Iterable[AuthorizationRequest], region: str) -> str:
    """The text of the first of ``needed`` that ``caller`` may not do; empty when it may do all."""
    for each in needed:
        try:
            world.require(caller, each, region)
        except AwsError as error:
            return error.message
    return ""


def role_opens(world: World, caller: Caller, vault: Vault) -> bool:
    """Whether a job's role has access to the vault's key (none to check under an AWS-owned one).

    The role's own policies must allow DescribeKey and CreateGrant, as AWS's managed ones do; the key's policy must
    let it in for the data as well (aws.md C6).
    """
    if not vault.key_arn:
        return True
    for operation in ("DescribeKey", "CreateGrant"):
        try:
            world.part(KmsService).use_key_as(
                caller, vault.key_arn, operation, vault.place.region, via_service="backup",
                encryption_context={VAULT_CONTEXT: vault.name},
            )  # fmt: skip
        except AwsError:
            return False
    return key_admits(world, caller, vault)


def key_admits(world: World, caller: Caller, vault: Vault) -> bool:
    """Whether the policy of the vault's key lets ``caller`` use the vault's data."""
    return not vault.key_arn or world.part(KmsService).policy_admits(
        caller, vault.key_arn, ("GenerateDataKey", "Decrypt"), via_service="backup",
        encryption_context={VAULT_CONTEXT: vault.name},
    )  # fmt: skip


def opens_table(world: World, caller: Caller, key_arn: str) -> bool:
    """Whether a job's role may read a table under the key ``key_arn`` (empty: AWS-owned)."""
    if not key_arn:
        return True
    try:
        world.part(KmsService).use_key_as(caller, key_arn, "Decrypt", key_arn.split(":")[3], via_service="dynamodb")
    except AwsError:
        return False
    return True


def unusable(world: World, *key_arns: str) -> str:
    """The message of a job that fails because nobody can use one of its keys; empty keys are AWS-owned."""
    for key_arn in key_arns:
        if key_arn and not world.part(KmsService).is_enabled(key_arn):
            return "KMS key is either disabled or pending deletion or access to KMS key is denied"
    return ""


def is_managed(world: World, key_arn: str) -> bool:
    """Whether AWS manages the key (aws/backup)."""
    return world.part(KmsService).is_managed(key_arn)
