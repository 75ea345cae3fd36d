# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The staging bucket of the destination account: created or adopted, and opened to a source for its exports.

All settings of a bucket that TableFerry created are managed; to any other only the source's statement is added.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from .. import aws_errors
from ..account import Account
from ..change import Change
from ..errors import AccessDenied, FerryError, NotOurs, StagingBucketUnusable
from ..statements.bucket_policy import BucketPolicy, bucket_exists
from ..statements.marks import is_marked, own
from ..statements.policy_documents import Policy, statements_of
from ..statements.shared_policy import PolicyPlan, Sleep, apply_policy, merged, plan_policy
from ..statements.statement import AccountPair, OurStatement
from ..statements.users import ALONE, Users
from ..table.definition import json_safe
from .report_copy import remove_reports
from .staging import StagingBucket

ENFORCED = "BucketOwnerEnforced"
EXPORT_ACTIONS = ("s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload")
LEFT_OVERS = "tableferry-left-overs"  # the lifecycle rule's id
TLS_SID = "TableFerryTlsOnly"
TAG_LOOKS = 5  # at a bucket that another run is making, until that one has tagged it


@dataclass(frozen=True)
class StagingOptions:
    """The bucket ``name``, into which ``source_principal`` (an IAM ARN) exports.

    ``kms_key_arn`` encrypts what is staged, "" leaves it to S3's own keys; ``expire_days`` is when left-overs go.
    """

    name: str
    source_principal: str
    kms_key_arn: str = ""
    expire_days: int = 30


@dataclass(frozen=True)
class BucketSetting:
    """One setting of a bucket of ours: how it stands and what it must be, in the words of S3's API."""

    what: str
    before: Any
    after: Any
    write: Callable[[], object] = field(repr=False)


@dataclass(frozen=True)
class StagingPlan:
    """What becomes of the bucket. ``ours``: created by TableFerry, now or before, so that its settings are managed."""

    account: Account = field(repr=False)
    options: StagingOptions
    exists: bool
    ours: bool
    policy: PolicyPlan | None
    settings: tuple[BucketSetting, ...]
    changes: list[Change]


def export_statement(destination: Account, options: StagingOptions) -> OurStatement:
    """What lets the source's principal export tables of its account into the bucket, and nothing besides (aws.md A4).

    A policy for the whole of ``tableferry/``, as earlier versions had it, lets a source write over the staged data of
    others (found.md C3).
    """
    principal = options.source_principal
    arn = f"arn:{destination.partition}:s3:::{options.name}"
    pair = _pair(destination, principal)
    return OurStatement(
        pair.sid("Export", principal),
        {"AWS": principal},
        EXPORT_ACTIONS,
        f"{arn}/tableferry/*/export/{pair.source_account_id}/*/AWSDynamoDB/*",
        formerly=(_former_sid(principal),),
        former_resource=f"{arn}/tableferry/*/AWSDynamoDB/*",
    )


def key_statements(destination: Account, source_principal: str) -> tuple[OurStatement, ...]:
    """What lets the source's principal encrypt what it exports, through S3 or DynamoDB alone; a multipart upload
    decrypts its parts (aws.md A4). Looking at the key is no use through a service: it has a statement of its own."""
    pair, principal = _pair(destination, source_principal), {"AWS": source_principal}
    return (
        OurStatement(
            pair.sid("Export", source_principal),
            principal,
            ("kms:GenerateDataKey", "kms:Decrypt"),
            condition={"StringLike": {"kms:ViaService": exporting_services(destination)}},
            formerly=(_former_sid(source_principal),),
            former_actions=("kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey"),
        ),
        OurStatement(pair.sid("StagingKey", source_principal), principal, ("kms:DescribeKey",)),
    )


def exporting_services(account: Account) -> list[str]:
    """The values of kms:ViaService by which KMS may know who encrypts an export: S3 in the bucket's Region, as for
    whatever is written there, or DynamoDB in the table's Region, of which nobody has written whether it asks KMS itself
    (aws.md A4). Either domain may be that of China."""
    names = [f"s3.{account.region}.amazonaws.com", "dynamodb.*.amazonaws.com"]
    return [*names, *(f"{name}.cn" for name in names)] if account.partition == "aws-cn" else names


def _pair(destination: Account, principal: str) -> AccountPair:
    return AccountPair.of(principal.split(":")[4], destination)


def _former_sid(principal: str) -> str:
    """The Sid that version 0.2 gave the statement of a principal."""
    return f"TableFerryExport{hashlib.sha256(principal.encode()).hexdigest()[:12]}"


def tls_statement(destination: Account, bucket: str) -> OurStatement:
    """Nobody without TLS."""
    arn = f"arn:{destination.partition}:s3:::{bucket}"
    condition = {"Bool": {"aws:SecureTransport": "false"}}
    return OurStatement(TLS_SID, "*", ("s3:*",), (arn, f"{arn}/*"), "Deny", condition, counted=False)


# Creating it


def plan_bucket(destination: Account, options: StagingOptions) -> StagingPlan:
    """What has to be done for the source to export into the bucket; reads only.

    Raises StagingBucketUnusable for a bucket of another account, and for one of somebody else whose writers own what
    they write; PolicyNotReadable, AccessDenied, CredentialsError, ServiceError.
    """
    exists = bucket_exists(destination, options.name)
    ours = not exists or is_marked(_tags(destination, options.name))
    statements = [export_statement(destination, options)]
    if ours:
        statements.append(tls_statement(destination, options.name))
    if not exists:
        what = f"bucket {options.name}"
        settings = {setting.what.partition(" of ")[0]: setting.after for setting in _settings(destination, options, {})}
        after = {"policy": merged({}, statements), **settings}
        return StagingPlan(destination, options, False, True, None, (), [Change(what, None, after)])
    found = {name: _read(destination, options.name, name) for name in _READERS}
    if not ours and found["object ownership"] != ENFORCED:
        raise StagingBucketUnusable(
            f"The bucket {options.name} lets writers own what they write.",
            f"Set its object ownership to {ENFORCED}, or choose another bucket.",
        )
    policy = plan_policy(BucketPolicy(destination, options.name), present=statements)
    settings_left = [
        setting
        for setting in (_settings(destination, options, found) if ours else ())
        if setting.before != setting.after
    ]
    changes = [*policy.changes, *(Change(each.what, each.before, each.after) for each in settings_left)]
    return StagingPlan(destination, options, True, ours, policy, tuple(settings_left), changes)


def apply_bucket(plan: StagingPlan, users: Users, *, sleep: Sleep = time.sleep) -> None:
    """Carry ``plan`` out. Where two controllers make the bucket at once, the later one uses what the first one made.

    Raises what ``plan_bucket`` and ``apply_policy`` raise.
    """
    account, options = plan.account, plan.options
    if not plan.exists:
        if not _create(account, options.name):
            _wait_for_tag(account, options.name, sleep)
        plan = plan_bucket(account, options)
    for setting in plan.settings:
        setting.write()
    if plan.policy:
        apply_policy(plan.policy, users, sleep=sleep)


def _create(account: Account, name: str) -> bool:
    """Create the bucket with its tags; False when another run has just created it.

    The tags go into the call itself, where a policy may demand them. Who may not tag what is created (s3:TagResource),
    and a partition whose S3 takes no tags there, gets them in a call of their own, as before November 2025.
    """
    tags = [{"Key": key, "Value": value} for key, value in own(account).items()]
    first: FerryError | None = None
    if _takes_tags(account):
        try:
            return _created(account, name, Tags=tags)
        except FerryError as error:
            if error.details.get("code") not in aws_errors.DENIED | aws_errors.NOT_SUPPORTED:
                raise
            first = error
    try:
        made = _created(account, name)
    except AccessDenied as error:
        raise first or error from error
    if made:
        _call(account, name, "put_bucket_tagging", Tagging={"TagSet": tags})
    return made


def _takes_tags(account: Account) -> bool:
    """Whether this SDK knows tags of CreateBucket."""
    return "Tags" in account.client("s3").meta.service_model.shape_for("CreateBucketConfiguration").members


def _created(account: Account, name: str, **configuration: Any) -> bool:
    """One CreateBucket; False when the account has the bucket."""
    if account.region != "us-east-1":
        configuration["LocationConstraint"] = account.region
    place: dict[str, Any] = {"CreateBucketConfiguration": configuration} if configuration else {}
    try:
        answer = account.ask(
            "s3",
            "create_bucket",
            f"creating the bucket {name}",
            missing=aws_errors.ALREADY_THERE,
            Bucket=name,
            ObjectOwnership=ENFORCED,
            **place,
        )
    except FerryError as error:
        if error.details.get("code") != "BucketAlreadyExists":
            raise
        raise StagingBucketUnusable(
            f"The bucket name {name} is taken by another account.",
            "Bucket names are shared by all accounts: choose another name.",
            details=error.details,
        ) from error
    return answer is not None


def _wait_for_tag(account: Account, name: str, sleep: Sleep) -> None:
    for _look in range(TAG_LOOKS):
        if is_marked(_tags(account, name)):
            return
        sleep(1.0)


# Settings

# Operation, and what of its answer is the setting.
_READERS: dict[str, tuple[str, Callable[[dict[str, Any]], Any]]] = {
    "object ownership": (
        "get_bucket_ownership_controls",
        lambda answer: answer["OwnershipControls"]["Rules"][0]["ObjectOwnership"],
    ),
    "public access block": ("get_public_access_block", lambda answer: answer["PublicAccessBlockConfiguration"]),
    "encryption": (
        "get_bucket_encryption",
        lambda answer: answer["ServerSideEncryptionConfiguration"]["Rules"][0]["ApplyServerSideEncryptionByDefault"],
    ),
    "lifecycle": ("get_bucket_lifecycle_configuration", lambda answer: answer["Rules"]),
}


def _read(account: Account, name: str, setting: str) -> Any:
    """The setting as S3 shows it, None for none. Raises StagingBucketUnusable where it is not in a shape known."""
    operation, pick = _READERS[setting]
    answer = account.ask(
        "s3",
        operation,
        f"reading the {setting} of the bucket {name}",
        missing=aws_errors.NO_BUCKET_SETTING,
        Bucket=name,
        ExpectedBucketOwner=account.account_id,
    )
    try:
        return None if answer is None else json_safe(pick(answer))
    except (KeyError, IndexError, TypeError) as error:
        raise StagingBucketUnusable(
            f"The {setting} of the bucket {name} has a shape that is not known.",
            "Look at it with the AWS CLI; nothing was changed.",
        ) from error


def _tags(account: Account, name: str) -> dict[str, str]:
    answer = account.ask(
        "s3",
        "get_bucket_tagging",
        f"reading the tags of the bucket {name}",
        missing=aws_errors.NO_BUCKET_SETTING,
        Bucket=name,
        ExpectedBucketOwner=account.account_id,
    )
    return {tag["Key"]: tag["Value"] for tag in (answer or {"TagSet": []})["TagSet"]}


def _settings(account: Account, options: StagingOptions, found: dict[str, Any]) -> list[BucketSetting]:
    """The settings of a bucket of ours, each as it is in ``found`` and as it must be."""
    call = partial(_call, account, options.name)
    block = dict.fromkeys(("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets"), True)
    encryption = {"SSEAlgorithm": "AES256"}
    if options.kms_key_arn:
        encryption = {"SSEAlgorithm": "aws:kms", "KMSMasterKeyID": options.kms_key_arn}
    before = found.get("lifecycle") or []
    rules = [*(rule for rule in before if rule.get("ID") != LEFT_OVERS), _left_overs(options.expire_days)]
    if _left_overs(options.expire_days) in before:
        rules = before
    rows: list[tuple[str, Any, str, dict[str, Any]]] = [
        (
            "object ownership",
            ENFORCED,
            "put_bucket_ownership_controls",
            {"OwnershipControls": {"Rules": [{"ObjectOwnership": ENFORCED}]}},
        ),
        ("public access block", block, "put_public_access_block", {"PublicAccessBlockConfiguration": block}),
        (
            "encryption",
            encryption,
            "put_bucket_encryption",
            {"ServerSideEncryptionConfiguration": {"Rules": [{"ApplyServerSideEncryptionByDefault": encryption}]}},
        ),
        ("lifecycle", rules, "put_bucket_lifecycle_configuration", {"LifecycleConfiguration": {"Rules": rules}}),
    ]
    return [
        BucketSetting(
            f"{name} of the bucket {options.name}", found.get(name), after, partial(call, operation, **params)
        )
        for name, after, operation, params in rows
    ]


def _left_overs(days: int) -> dict[str, Any]:
    return {
        "ID": LEFT_OVERS,
        "Filter": {"Prefix": "tableferry/"},
        "Status": "Enabled",
        "Expiration": {"Days": days},
        # Where versioning is on, expiry only hides an object: this removes it.
        "NoncurrentVersionExpiration": {"NoncurrentDays": days},
        "AbortIncompleteMultipartUpload": {"DaysAfterInitiation": days},
    }


def _call(account: Account, bucket: str, operation: str, **params: Any) -> None:
    doing = f"{operation.replace('_', ' ')} of {bucket}"
    account.ask("s3", operation, doing, Bucket=bucket, ExpectedBucketOwner=account.account_id, **params)


# Leaving it

_ONLY_KEPT = {"kept": True}  # of errors: the source's statement has gone, the bucket alone stays


@dataclass(frozen=True)
class LeavingPlan:
    """What is taken back: ``policy`` is None for a bucket that does not exist, ``obstacle`` why the bucket stays;
    ``managed`` is whether TableFerry created it."""

    account: Account = field(repr=False)
    options: StagingOptions
    policy: PolicyPlan | None
    remove: bool
    managed: bool
    obstacle: FerryError | None
    changes: list[Change]


def plan_leaving(
    destination: Account, options: StagingOptions, *, remove_bucket: bool = False, users: Users = ALONE
) -> LeavingPlan:
    """Remove the source's statement from the bucket's policy, and with ``remove_bucket`` the bucket.

    Reads only. The statement stays while others of ``users`` need it, and so does the bucket: ``users.left`` says why.

    Raises StagingBucketUnusable for a bucket of another account, AccessDenied, PolicyNotReadable, CredentialsError,
    ServiceError.
    """
    if not bucket_exists(destination, options.name):
        return LeavingPlan(destination, options, None, False, False, None, [])
    statement = export_statement(destination, options)
    policy = plan_policy(BucketPolicy(destination, options.name), absent=[statement], users=users)
    managed = is_marked(_tags(destination, options.name))
    remove = remove_bucket and not _has(policy.after, statement)
    obstacle = _why_it_stays(options.name, managed, policy.after) if remove else None
    changes = policy.changes
    if remove and obstacle is None:
        changes = [*changes, Change(f"bucket {options.name}", {}, None, "destructive")]
    return LeavingPlan(destination, options, policy, remove, managed, obstacle, changes)


def _has(policy: Policy, statement: OurStatement) -> bool:
    return any(each.get("Sid") == statement.sid for each in statements_of(policy))


def _why_it_stays(name: str, managed: bool, policy: Policy) -> FerryError | None:
    if not managed:
        return NotOurs(
            f"The bucket {name} is kept: TableFerry did not create it.", "Remove it yourself.", details=_ONLY_KEPT
        )
    others = [str(each.get("Sid", "without a Sid")) for each in statements_of(policy) if each.get("Sid") != TLS_SID]
    if not others:
        return None
    return StagingBucketUnusable(
        f"The bucket {name} is kept: its policy still has statements of others ({', '.join(others)}).",
        "Clean up their migrations first, or remove the statements.",
        details=_ONLY_KEPT,
    )


def apply_leaving(plan: LeavingPlan, users: Users, *, sleep: Sleep = time.sleep) -> None:
    """Carry ``plan`` out: the statement first, then the copies of reports, then the bucket.

    The bucket is kept, with an error, if TableFerry did not create it (NotOurs), if its policy has statements of
    others, or if it is not empty (StagingBucketUnusable); ``details`` then has ``kept``. Besides that raises what
    ``apply_policy`` raises.
    """
    account, name = plan.account, plan.options.name
    if plan.policy is None:
        return
    policy = apply_policy(plan.policy, users, sleep=sleep)
    if not plan.remove or _has(policy, export_statement(account, plan.options)):
        return
    if obstacle := _why_it_stays(name, plan.managed, policy):
        raise obstacle
    with suppress(FerryError):  # a bucket that is not empty then is kept, with the reason
        remove_reports(StagingBucket(account, name, account.account_id))
    try:
        account.ask(
            "s3",
            "delete_bucket",
            f"removing the bucket {name}",
            missing=aws_errors.NO_BUCKET,
            Bucket=name,
            ExpectedBucketOwner=account.account_id,
        )
    except FerryError as error:
        if error.details.get("code") != "BucketNotEmpty":
            raise
        raise StagingBucketUnusable(
            f"The bucket {name} is kept: it is not empty.",
            "Clean up other migrations that stage data in it, and delete what is not of TableFerry. What version 0.2.0"
            " left under tableferry/<migration_id>/ledger/ and tableferry/locks/ is of no use any more.",
            details={**error.details, **_ONLY_KEPT},
        ) from error
