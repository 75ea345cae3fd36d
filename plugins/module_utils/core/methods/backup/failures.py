# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the failures of AWS Backup's jobs mean, and what to do (aws.md C4)."""

from __future__ import annotations

import re
from typing import Any

from ...aws_errors import sort_refusal
from ...errors import FerryError

# (words of AWS's message in small letters, what to do), what explains most first.
_KNOWN = (
    (
        "member of the same organization",
        "Both accounts must be in one AWS Organization: invite the one that is not, share an air-gapped vault instead"
        " (air_gapped_vault), or use the method s3.",
    ),
    (
        "default backup service managed key",
        "The destination vault must have a customer managed key: create such a vault and set destination_vault to its"
        " name.",
    ),
    (
        "running job for the same resource",
        "AWS runs one backup of a table at a time: wait for the other job, then run again.",
    ),
    (
        "outside the valid range for backup vault",
        "The vault is locked: set delete_after_days within its retention.",
    ),
    (
        "not within the range specified for the target backup vault",
        "The destination vault is locked: set copy_delete_after_days within its retention.",
    ),
    (
        "feature is not supported for provided resource type",
        "The recovery point was made without AWS Backup's advanced features for DynamoDB: turn them on in the source"
        " account, then run again: the next run makes a new backup.",
    ),
    (
        "access denied trying to call aws backup",
        "Allow the source account backup:CopyIntoBackupVault in the policy of the destination vault, and the source's"
        " role backup:CopyFromBackupVault and backup:CopyIntoBackupVault.",
    ),
    (
        "key id is not accessible",
        "Share the source vault's key with the destination account: its policy must allow that account's root"
        " kms:DescribeKey, kms:Decrypt, kms:Encrypt, kms:ReEncrypt*, kms:GenerateDataKey* and kms:CreateGrant.",
    ),
    (
        "kms key does not exist, is not enabled or you do not have permissions",
        "Enable the source vault's key and share it with the destination account.",
    ),
    (
        "cold",
        "A recovery point in cold storage cannot be copied to another account. Run again: a new backup is made.",
    ),
    (
        "already exists",
        "A table of that name has been created in the meantime: find out whose it is, then choose another"
        " destination_table or delete it yourself.",
    ),
)
_STATES = {
    "EXPIRED": "AWS did not start it within the start window, most likely because another backup of the table was"
    " running: wait for that one, then run again.",
    "ABORTED": "It was stopped by a user. Find out why, then run again.",
    "PARTIAL": "It is incomplete and is not used. Fix the cause AWS reports, then run again.",
}
UNKNOWN = "UNKNOWN"  # of a job that AWS does not know any more
QUOTA_CODE = "LimitExceededException"  # of a failed job AWS Backup passes on DynamoDB's text, and no code
DENIED_CODE = "AccessDeniedException"  # likewise
_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:\w+)")


def hint(state: str, message: str, kind: str) -> str:
    """What to do about a job of ``kind`` that ended in AWS's ``state`` with ``message``; the set of both is open."""
    words = message.lower()
    refusal = sort_refusal(QUOTA_CODE, message)
    if refusal.quota and refusal != sort_refusal(QUOTA_CODE):
        return refusal.next_step
    for known, advice in _KNOWN:
        if known in words:
            return advice
    denied = _ACTION.search(message)
    if denied:
        # Words of a policy that the role's own do not outweigh: of a boundary, of the organization.
        elsewhere = sort_refusal(DENIED_CODE, message).next_step
        return f"{elsewhere} Then run again." if elsewhere else f"Allow AWS Backup's role {denied[1]}, then run again."
    if "kms" in words:
        return "Allow AWS Backup's role and the other account to use the key that AWS names, then run again."
    if state in _STATES:
        return _STATES[state]
    return f"Fix the cause AWS reports, then run again: the next run starts a new {kind}."


def is_full(message: str) -> bool:
    """Whether a job failed only because as many run as may: 50 restores at once, or one of a recovery point. A quota
    that stands, as of capacity, is worded like these (measured/more 9): a job that meets it is not begun again."""
    return sort_refusal(QUOTA_CODE, message).kind == "slot"


def reported(error: type[FerryError], kind: str, job_id: str, state: str, message: str) -> dict[str, Any]:
    """The failure, an ``error``, of a job of ``kind`` that AWS Backup reports as ended without success, or does not
    know any more (``UNKNOWN``)."""
    words = message.rstrip(".")
    return error(
        f"The {kind} job {job_id} ended {state}{f': {words}' if words else ''}.",
        hint(state, message, kind),
        details={"job_id": job_id, "code": state, "message": message},
    ).to_failure()
