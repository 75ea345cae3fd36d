# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Encryption at rest: what is asked for, whether the key can be used, and the slow change from one to another."""

from __future__ import annotations

import math
from collections.abc import Callable

from lab.dynamodb import limits
from lab.dynamodb.address import refuse_value
from lab.dynamodb.model import Encryption, Job, Shape, Table
from lab.dynamodb.words import belief, in_use, invalid, over_limit
from lab.errors import AwsError
from lab.services.kms import KmsService
from lab.world import Context

SPECIFICATION = belief(
    "test_encryption", "encryption-specification",
    "A key needs SSEType KMS, Enabled false takes neither, AES256 is refused; nothing is the AWS-owned key",
    "measured/settings 2.10 [TABLE-027, TABLE-036]",
)  # fmt: skip
MANAGED = belief(
    "test_encryption", "encryption-managed-key",
    "KMS without a key is this account's alias/aws/dynamodb, shown by its ARN",
    "measured/settings 2.10 [TABLE-031]",
)  # fmt: skip
KEY_RESOLVED = belief(
    "test_encryption", "encryption-key-resolved-once",
    "A key given as ARN, id or alias is shown as its ARN already in the answer",
    "measured/settings 2.10 [TABLE-371, TABLE-078]",
)  # fmt: skip
KEY_UNUSABLE = belief(
    "test_encryption", "encryption-key-unusable",
    "A disabled, unknown or dying key is refused at the call as ValidationException, a forbidden one as AccessDenied",
    "measured/settings 2.10 [TABLE-020, TABLE-037, TABLE-139]",
)  # fmt: skip
KEY_ASYMMETRIC = belief(
    "test_encryption", "encryption-key-asymmetric",
    "A key that is not symmetric is HTTP 500 InternalServerError for good",
    "measured/settings 2.10 [TABLE-022]",
)  # fmt: skip
RESENT = belief(
    "test_encryption", "encryption-resent",
    "The current key by its ARN, or off when off, is refused; by alias or without a key it is a full re-encryption",
    "measured/settings 2.10 [TABLE-018, TABLE-082]",
)  # fmt: skip
QUOTA = belief(
    "test_encryption", "encryption-quota",
    "Four changes in 24 hours from the first, then one every six hours, checked before the key",
    "measured/settings 2.10 [TABLE-081, TABLE-141]",
)  # fmt: skip
RUNNING = belief(
    "test_encryption", "encryption-running",
    "While a change runs another target is ResourceInUseException, the same one 200",
    "measured/settings 2.2",
)  # fmt: skip
PHASES = belief(
    "test_encryption", "encryption-phases",
    "A change leaves TableStatus ACTIVE and shows UPDATING, first with the old key, then with the new one",
    "measured/settings 2.10 [TABLE-371, TABLE-361]",
)  # fmt: skip

EMPTY_KEY = belief(
    "test_encryption", "encryption-key-empty",
    "An empty KMSMasterKeyId is a ValidationException, whatever else is said",
    "measured/more 8 [TABLE-457]",
)  # fmt: skip

CHANGES_BEFORE_INTERVAL = 4
# KMS's error, and how DynamoDB begins its own text for it.
_KMS_TEXTS = {
    "DisabledException": "KMS key disabled error",
    "KMSInvalidStateException": "KMS validation error",
    "NotFoundException": "KMS validation error",
}


def check_shape(specification: Shape | None, path: str = "") -> None:
    """Refuse an empty key in ``specification``, which stands below ``path`` (ends with a point) in the request."""
    if (specification or {}).get("KMSMasterKeyId") == "":
        refuse_value(
            EMPTY_KEY, f"{path}sSESpecification.kMSMasterKeyId", "", ["have length greater than or equal to 1"]
        )


def resolve(context: Context, specification: Shape | None) -> Encryption:
    """The encryption that an SSESpecification asks for; its key exists and the caller may let DynamoDB use it.

    ValidationException, AccessDeniedException, InternalServerError (measured/settings 2.10).
    """
    given = specification or {}
    kind, key = given.get("SSEType"), given.get("KMSMasterKeyId")
    if given.get("Enabled") is False:
        for member in ("SSEType", "KMSMasterKeyId"):
            if member in given:
                raise invalid(SPECIFICATION, f"{member} can not be specified if Enabled is false")
        return Encryption()
    if kind == "AES256":
        raise invalid(SPECIFICATION, "SSEType AES256 is not supported")
    if key and not kind:
        raise invalid(SPECIFICATION, "SSEType KMS is required if KMSMasterKeyId is specified")
    if not kind and "Enabled" not in given:
        return Encryption()
    return Encryption("KMS", _usable_key_arn(context, key or "alias/aws/dynamodb"))


def _usable_key_arn(context: Context, key_id: str) -> str:
    kms = context.world.part(KmsService)
    try:
        for operation in ("DescribeKey", "CreateGrant"):
            key = kms.use_key_as(context.caller, key_id, operation, context.region, via_service="dynamodb")
    except AwsError as error:
        if error.code in _KMS_TEXTS:
            raise KEY_UNUSABLE.error(
                "ValidationException",
                f"{_KMS_TEXTS[error.code]}: com.amazonaws.services.kms.model.{error.code}: {error.message} "
                f"(Service: AWSKMS; Status Code: 400; Error Code: {error.code}; Request ID: {context.request_id}; "
                "Proxy: null)",
            ) from None
        raise KEY_UNUSABLE.error(
            "AccessDeniedException",
            f"KMS key access denied error: com.amazonaws.services.kms.model.AWSKMSException: {error.message}",
        ) from None
    if key.spec != "SYMMETRIC_DEFAULT":
        raise KEY_ASYMMETRIC.error(
            "InternalServerError",
            "KMS internal error: com.amazonaws.services.kms.model.AWSKMSException: EncryptionContext is supported only "
            "when creating a grant for a symmetric encryption KMS key.",
            500,
            "server",
        )
    return str(key.arn)


def plan(context: Context, table: Table, specification: Shape) -> Callable[[], None] | None:
    """Check a change of the table's encryption and return what starts it, None where the same one runs."""
    current = table.encryption
    job = table.jobs.get("encryption")
    if job is None:
        _refuse_resent(current, specification)
        _check_quota(context, current)
    target = resolve(context, specification)
    if job is not None:
        if (target.type, target.key_arn) != (job.target.type, job.target.key_arn):
            raise in_use(RUNNING, "Server-Side Encryption is still being updated")
        return None

    return lambda: _start(context, table, target)


def _refuse_resent(current: Encryption, specification: Shape) -> None:
    if current.type is None and specification.get("Enabled") is False and len(specification) == 1:
        raise invalid(RESENT, "Table is already encrypted by default")
    if current.type is not None and specification.get("KMSMasterKeyId") == current.key_arn:
        raise invalid(
            RESENT,
            "Table is already encrypted with given KMSMasterKeyId. Use KMSMasterKeyId parameter if you want to change "
            "Master Key",
        )


def _check_quota(context: Context, current: Encryption) -> None:
    now, seconds = context.world.clock.now(), context.world.timings.seconds
    window, interval = seconds("encryption.window"), seconds("encryption.interval")
    first = current.changes[0] if current.changes else -math.inf
    if now >= first + window:
        current.changes.clear()
    changes = current.changes
    if len(changes) >= CHANGES_BEFORE_INTERVAL and now < changes[-1] + interval:
        raise over_limit(
            QUOTA,
            f"Encryption mode changes are limited in the 24h window ending at {limits.moment(first + window)}. After "
            "the first 4 change, each subsequent change in the same window can be performed at most once every 21600 "
            f"seconds. Number of updates today: {len(changes)}. Last change at {limits.moment(changes[-1])}",
        )


def _start(context: Context, table: Table, target: Encryption) -> None:
    world, current = context.world, table.encryption
    old = current.description()
    target.changes = [*current.changes, world.clock.now()]
    current.changes = target.changes
    running = table.jobs.get("class")
    if running is not None:
        # The race of measured/settings 2.7: TableStatus says ACTIVE although the class is still pending.
        running.updating = False
    # Off to on shows a bare status first; the others still show the old key.
    current.shown = {**(old or {}), "Status": "UPDATING"}

    def show_new_key() -> None:
        current.shown = {"Status": "UPDATING"}
        if target.type is not None:
            current.shown |= {"SSEType": target.type, "KMSMasterKeyArn": target.key_arn}

    def finish() -> None:
        table.encryption = target
        table.jobs.pop("encryption", None)

    seconds = world.timings.seconds
    table.jobs["encryption"] = Job("encryption", updating=False, target=target)
    world.schedule(seconds("encryption.old_key"), show_new_key)
    world.schedule(seconds("encryption.changing"), finish)
