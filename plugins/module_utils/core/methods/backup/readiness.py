# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether AWS Backup can move a table: what would fail late is reported before anything is started (aws.md C).

``read_readiness`` asks AWS, ``judge_readiness`` judges the answers without any call. What could not be asked counts as
right and is a warning: AWS decides.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from ... import aws_errors, sdk
from ...account import Account
from ...errors import AccessDenied, BackupNotPossible, FerryError, PolicyNotReadable
from ...statements.policy_documents import statements_of, texts
from ...statements.role import trust_of
from ...table.definition import TableDefinition
from ...table.ownership import read_tags
from .account_settings import AccountSettings, read_settings
from .calls import ROLE, SERVICE
from .source_table import is_changing
from .vaults import DEFAULT_VAULT, Vault, find_vault, lets_copy, names_account, read_policy

MOST_TAGS = 50  # a backup fails whose table and recovery point have more together (aws.md C4)
NO_CROSS_ACCOUNT = "aws-eusc"  # no copy between accounts, no air-gapped vault (aws.md C1)
CHINA = "aws-cn"


@dataclass(frozen=True)
class Key:
    """A vault's KMS key. ``policy`` is None where it could not be read; ``manager`` is AWS or CUSTOMER."""

    arn: str
    manager: str = ""
    state: str = ""
    policy: Mapping[str, Any] | None = None


@dataclass(frozen=True)
class BackupAccount:
    """What matters of one account for AWS Backup. ``role_exists`` is None where IAM could not be asked, ``role_trusts``
    where the role's trust policy could not be read either."""

    account_id: str
    region: str
    partition: str
    settings: AccountSettings
    vault_name: str
    vault: Vault | None
    key: Key | None = None
    role_arn: str = ""
    role_exists: bool | None = None
    role_trusts: bool | None = None


@dataclass(frozen=True)
class Readiness:
    """Everything that the judgement needs. ``destination`` is None for a backup alone; ``air_gapped`` is the vault that
    takes the place of a copy, ``air_gapped_name`` its name when one is asked for."""

    table: str
    status: str
    tags: int | None
    source: BackupAccount
    destination: BackupAccount | None = None
    destination_policy: Mapping[str, Any] | None = None
    air_gapped_name: str = ""
    air_gapped: Vault | None = None
    own_tags: int = 1  # that its recovery point gets
    backup_days: int = 0
    copy_days: int = 0
    restore: bool = True


class Problem(NamedTuple):
    """What is certainly wrong, and what the user can do. ``made_by`` as in errors.MADE_BY."""

    cause: str
    next_step: str
    made_by: str = ""


@dataclass(frozen=True)
class Verdict:
    """``problems`` is what is certainly wrong, ``warnings`` what may go wrong."""

    problems: tuple[Problem, ...] = ()
    warnings: tuple[str, ...] = field(default=())

    def refusal(self, table: str) -> BackupNotPossible | None:
        """All problems as one error, those first that only the user can mend; None without any."""
        if not self.problems:
            return None
        ordered = sorted(self.problems, key=lambda problem: problem.made_by != "")
        causes = list(dict.fromkeys(problem.cause for problem in ordered))
        steps = list(dict.fromkeys(problem.next_step for problem in ordered))
        each = [problem._asdict() for problem in ordered]
        details = {"problems": causes, "each": each}
        return BackupNotPossible(" ".join(causes), " ".join(steps), table=table, details=details)


# Reading


def read_key(account: Account, arn: str) -> Key | None:
    """A key as KMS describes it; None without the permission to ask. Raises what Account.explain gives."""
    if not arn:
        return None
    kms = account.client("kms")
    try:
        metadata = kms.describe_key(KeyId=arn)["KeyMetadata"]
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) in aws_errors.DENIED:
            return None
        if sdk.error_code(error) in aws_errors.NO_KEY:
            return Key(arn, state="missing")
        raise account.explain(error, f"describing the key {arn}") from error
    policy: Mapping[str, Any] | None = None
    if metadata.get("KeyManager") != "AWS":
        try:
            policy = json.loads(kms.get_key_policy(KeyId=arn, PolicyName="default")["Policy"])
        except (sdk.ClientError, sdk.BotoCoreError):
            policy = None
    return Key(arn, str(metadata.get("KeyManager", "")), str(metadata.get("KeyState", "Enabled")), policy)


def look_at_role(account: Account, arn: str) -> tuple[bool | None, bool | None]:
    """Whether IAM knows the role, and whether its trust policy names AWS Backup; None for what could not be read.

    Conditions of the trust policy are not judged.
    """
    try:
        role = account.client("iam").get_role(RoleName=arn.rpartition("/")[2])["Role"]
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        return (False if sdk.error_code(error) in aws_errors.NO_ENTITY else None), None
    try:
        trust = trust_of(role, f"trust policy of the role {arn}")
    except PolicyNotReadable:
        return True, None
    allowed = [each.get("Principal") for each in statements_of(trust) if each.get("Effect") == "Allow"]
    named = [texts(each.get("Service")) if isinstance(each, Mapping) else texts(each) for each in allowed]
    return True, any({SERVICE, "*"} & set(each) for each in named)


def read_side(account: Account, vault_name: str, role: str) -> BackupAccount:
    """One account. Raises what Account.explain gives."""
    vault = find_vault(account, vault_name)
    exists, trusts = look_at_role(account, role) if role else (None, None)
    return BackupAccount(
        account_id=account.account_id,
        region=account.region,
        partition=account.partition,
        settings=read_settings(account),
        vault_name=vault_name,
        vault=vault,
        key=read_key(account, vault.key_arn) if vault else None,
        role_arn=role,
        role_exists=exists,
        role_trusts=trusts,
    )


def count_tags(source: Account, definition: TableDefinition) -> int | None:
    """How many tags the table has; None without the permission to read them."""
    try:
        return len(read_tags(source, definition.arn))
    except FerryError:
        return None


def read_destination_policy(destination: Account, vault: Vault | None) -> Mapping[str, Any] | None:
    """The policy of the destination's vault, None where there is no vault or no permission to look."""
    if vault is None:
        return None
    try:
        return read_policy(destination, vault.name)
    except AccessDenied:
        return None


# Judging


def judge_readiness(readiness: Readiness) -> Verdict:
    """Why AWS Backup cannot move the table, and what may go wrong. Makes no call."""
    problems = list(_table_problems(readiness))
    warnings: list[str] = []
    problems += _source_problems(readiness)
    if readiness.destination is not None:
        if readiness.air_gapped_name:
            problems += _air_gapped_problems(readiness)
        else:
            problems += between_problems(readiness, readiness.destination)
            problems += _destination_problems(readiness, readiness.destination)
            warnings += _copy_warnings(readiness, readiness.destination)
        problems += _role_problems(readiness.destination, "restore") if readiness.restore else ()
    return Verdict(tuple(problems), tuple(warnings))


def _table_problems(readiness: Readiness) -> Iterator[Problem]:
    if readiness.status != "ACTIVE" and not is_changing(readiness.status):
        yield Problem(
            f"The table is {readiness.status}: AWS cannot back it up.", "Wait until it is ACTIVE, then run again."
        )
    if readiness.tags is not None and readiness.tags + readiness.own_tags > MOST_TAGS:
        ours = "one" if readiness.own_tags == 1 else str(readiness.own_tags)
        over = readiness.tags + readiness.own_tags - MOST_TAGS
        yield Problem(
            f"The table has {readiness.tags} tags, and its recovery point gets {ours} of ours: AWS allows {MOST_TAGS}.",
            f"Remove {'a tag' if over == 1 else f'{over} tags'} from the table.",
        )


def _source_problems(readiness: Readiness) -> Iterator[Problem]:
    source = readiness.source
    if source.settings.advanced_features is False:
        yield Problem(
            f"AWS Backup's advanced features for DynamoDB are off in {source.region} of the source account"
            f" {source.account_id}: what is backed up without them cannot be copied.",
            "Turn them on with backup_account_settings or the role tableferry.aws.source_account; earlier backups stay"
            " as they are.",
            "accounts",
        )
    yield from _vault_problems(source, "source", "vault")
    if source.vault is not None:
        words = "" if readiness.air_gapped_name else source.vault.forbids(readiness.backup_days)
        if words:
            yield Problem(f"Locked: {words}.", "Set delete_after_days accordingly.")
    yield from _role_problems(source, "backup")


def _vault_problems(side: BackupAccount, name: str, option: str) -> Iterator[Problem]:
    if side.vault is None:
        yield Problem(
            f"There is no vault {side.vault_name} in {side.region} of the {name} account {side.account_id}.",
            f"Create it, for example with the role tableferry.aws.{name}_account, or set {option} to another one.",
            "accounts",
        )
    elif side.vault.state != "AVAILABLE":
        yield Problem(
            f"The vault {side.vault_name} of the {name} account is {side.vault.state}.",
            "Wait until it is AVAILABLE, or use another one.",
        )
    if side.key is not None and side.key.state not in ("", "Enabled"):
        yield Problem(
            f"The key {side.key.arn} of the vault {side.vault_name} is {side.key.state}.",
            "Enable it, or use a vault with another key.",
        )


def _role_problems(side: BackupAccount, purpose: str) -> Iterator[Problem]:
    if side.role_exists is False:
        yield Problem(
            f"The role {side.role_arn} for AWS Backup's {purpose} jobs does not exist.",
            f"Create it, or set {'role' if purpose == 'backup' else 'restore_role'} to another one.",
            "accounts" if side.role_arn.endswith(f"/{ROLE}") else "",
        )
    elif side.role_trusts is False:
        yield Problem(
            f"The role {side.role_arn} for AWS Backup's {purpose} jobs cannot be assumed by AWS Backup: its trust"
            f" policy does not name {SERVICE}.",
            f"Allow the service {SERVICE} sts:AssumeRole in it, or set"
            f" {'role' if purpose == 'backup' else 'restore_role'} to another one.",
            "accounts" if side.role_arn.endswith(f"/{ROLE}") else "",
        )


def between_problems(readiness: Readiness, destination: BackupAccount) -> Iterator[Problem]:
    """Why AWS Backup copies nothing from the source account to the destination, whatever stands in their vaults."""
    source = readiness.source
    if source.account_id == destination.account_id:
        yield Problem(
            "Source and destination are the same account: AWS Backup copies nothing to another one.",
            "Use the method s3 within one account.",
        )
        return
    if NO_CROSS_ACCOUNT in (source.partition, destination.partition) or source.partition != destination.partition:
        yield Problem(
            f"AWS Backup does not copy from the partition {source.partition} to {destination.partition}.",
            "Use the method s3 within one partition, direct across partitions.",
        )
        return
    ours, theirs = source.settings.organization_id, destination.settings.organization_id
    outside = [side.account_id for side in (source, destination) if side.settings.organization_id == ""]
    if outside or (ours is not None and theirs is not None and ours != theirs):
        cause = (
            f"{' and '.join(outside)} {'is' if len(outside) == 1 else 'are'} in no AWS Organization"
            if outside
            else f"{source.account_id} is in the organization {ours}, {destination.account_id} in {theirs}"
        )
        yield Problem(
            f"{cause}: AWS Backup copies only between accounts of one organization.",
            "Share an air-gapped vault instead (air_gapped_vault), use the method s3, or invite the account.",
        )
    elif source.settings.cross_account_backup is False:
        yield Problem(
            "Cross-account backup is off in the organization.",
            f"Turn it on in the management account {source.settings.management_account_id}: AWS Backup, Settings,"
            " Cross-account management; or with backup_account_settings and that account's credentials.",
            "management",
        )


def _destination_problems(readiness: Readiness, destination: BackupAccount) -> Iterator[Problem]:
    if destination.vault_name.lower() == DEFAULT_VAULT:
        yield Problem(
            "The Default vault of the destination takes no copies from other accounts.",
            "Set destination_vault to another vault.",
        )
        return
    yield from _vault_problems(destination, "destination", "destination_vault")
    if destination.vault is not None:
        words = destination.vault.forbids(readiness.copy_days)
        if words:
            yield Problem(f"Locked: {words}.", "Set copy_delete_after_days accordingly.")
        if destination.vault.kind != "BACKUP_VAULT":
            yield Problem(
                f"The destination vault {destination.vault_name} is a {destination.vault.kind}.",
                "Set destination_vault to an ordinary vault.",
            )
    if destination.key is not None and destination.key.manager == "AWS":
        yield Problem(
            f"The destination vault {destination.vault_name} is encrypted with a key that AWS manages.",
            "Use a vault with a customer managed key: a vault's key cannot be changed.",
        )
    organization = readiness.source.settings.organization_id or ""
    policy = readiness.destination_policy
    if policy is not None and not lets_copy(policy, readiness.source.account_id, organization):
        yield Problem(
            f"The policy of the destination vault {destination.vault_name} does not let the source account"
            f" {readiness.source.account_id} copy into it.",
            "Allow it with backup_vault_policy or the role tableferry.aws.destination_account.",
            "accounts",
        )
    key = readiness.source.key
    if key is not None and key.policy is not None and not _shared(key.policy, destination.account_id):
        yield Problem(
            f"The key {key.arn} of the source vault is not shared with the destination account"
            f" {destination.account_id}.",
            "Allow that account's root kms:DescribeKey, kms:Decrypt, kms:Encrypt, kms:ReEncrypt*,"
            " kms:GenerateDataKey* and kms:CreateGrant in the key's policy.",
            # A key of ours that other account pairs use is shared with this one by the run.
            "accounts" if any(_is_ours(statement) for statement in statements_of(key.policy)) else "",
        )


def _is_ours(statement: Mapping[str, Any]) -> bool:
    """Whether a statement shares the source vault's key for an account pair of ours (``access.py``)."""
    return str(statement.get("Sid", "")).startswith("TableFerryVaultKey")


def _shared(policy: Mapping[str, Any], account_id: str) -> bool:
    """Whether a statement allows the account to decrypt; conditions count as met."""
    for statement in statements_of(policy):
        actions = [action.lower() for action in texts(statement.get("Action"))]
        decrypts = any(action in ("*", "kms:*", "kms:decrypt", "kms:d*", "kms:de*") for action in actions)
        if statement.get("Effect") == "Allow" and decrypts and names_account(statement, account_id):
            return True
    return False


def _air_gapped_problems(readiness: Readiness) -> Iterator[Problem]:
    if readiness.source.partition in (NO_CROSS_ACCOUNT, CHINA):
        yield Problem(
            f"There are no air-gapped vaults in the partition {readiness.source.partition}.", "Use the method s3."
        )
    elif readiness.air_gapped is None:
        yield Problem(
            f"There is no air-gapped vault {readiness.air_gapped_name} in {readiness.source.region} of the source"
            f" account {readiness.source.account_id}, or it is not shared with the destination.",
            "Create and share it with backup_air_gapped_vault; an invitation expires after 12 hours.",
            "accounts",
        )
    elif readiness.air_gapped.forbids(readiness.backup_days):
        yield Problem(
            f"Locked: {readiness.air_gapped.forbids(readiness.backup_days)}.",
            "Set delete_after_days within its retention.",
        )
    destination = readiness.destination
    if destination is not None and destination.region != readiness.source.region:
        yield Problem(
            "An air-gapped vault can be restored from only in its own Region.",
            f"Use a destination in {readiness.source.region}, or another method.",
        )


def _copy_warnings(readiness: Readiness, destination: BackupAccount) -> Iterator[str]:
    table, source = readiness.table, readiness.source
    if None in (source.settings.organization_id, destination.settings.organization_id):
        yield f"{table}: whether both accounts are in one organization is not known; AWS checks it when it copies."
    if source.settings.organization_id != "" and source.settings.cross_account_backup is None:
        yield (
            f"{table}: whether cross-account backup is on is not known. The management account sees it in AWS"
            " Backup, Settings, or by aws backup describe-global-settings."
        )
    if source.settings.advanced_features is None:
        yield f"{table}: whether AWS Backup's advanced features are on in the source is not known."
    if destination.settings.advanced_features is False:
        yield (
            f"{table}: AWS Backup's advanced features for DynamoDB are off in the destination account; whether it"
            " needs them too is not documented."
        )
    if source.key is not None and source.key.manager == "AWS":
        yield (
            f"{table}: the source vault {source.vault_name} is encrypted with an AWS managed key. By the newest"
            " documentation copies work; if this one fails, use a vault with a customer managed key."
        )
    if source.key is not None and source.key.manager == "CUSTOMER" and source.key.policy is None:
        yield f"{table}: whether the source vault's key is shared with {destination.account_id} is not known."
