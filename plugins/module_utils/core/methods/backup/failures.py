# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the failures that AWS Backup reports late mean, and what to do (aws.md C4)."""

from __future__ import annotations

import re
from typing import Any

from ...errors import FerryError

# (words of AWS's message in small letters, what to do), what explains most first.
_KNOWN = (
    (
        "member of the same organization",
        "Both accounts must be in one AWS Organization: invite the one that is not, share an air-gapped vault instead"
        " (ferry_air_gapped_vault), or use the method s3.",
    ),
    (
        "default backup service managed key",
        "The destination vault must have a customer managed key: make such a vault and name it in"
        " ferry_backup_destination_vault.",
    ),
    (
        "running job for the same resource",
        "AWS backs a table up once at a time: wait for the other job, then run again.",
    ),
    (
        "outside the valid range for backup vault",
        "The vault is locked: choose ferry_backup_days within its retention.",
    ),
    (
        "not within the range specified for the target backup vault",
        "The destination vault is locked: choose ferry_copy_days within its retention.",
    ),
    (
        "feature is not supported for provided resource type",
        "The recovery point was made without AWS Backup's advanced features for DynamoDB: turn them on in the source"
        " account and run again; a new backup is made.",
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
        "A recovery point in cold storage cannot be copied to another account: run again; a new backup is made.",
    ),
    (
        "already exists",
        "A table of that name came into being in the meantime: look whose it is, choose another"
        " ferry_destination_table, or delete it yourself.",
    ),
)
_STATES = {
    "EXPIRED": "AWS did not begin within the start window, most likely because another backup of the table ran: wait"
    " for it, then run again.",
    "ABORTED": "Somebody stopped it. Run again when that is settled.",
    "PARTIAL": "Part of it is missing: it is not used. Mend what AWS names and run again.",
}
UNKNOWN = "UNKNOWN"  # of a job that AWS has forgotten
_ACTION = re.compile(r"not authorized to perform:? ([a-z0-9-]+:\w+)")
_BUSY = re.compile(
    r"subscriber limit exceeded|only \d+ restore operations|limit exceeded|being used to restore", re.IGNORECASE
)


def hint(state: str, message: str, kind: str) -> str:
    """What to do about a job of ``kind`` that ended in AWS's ``state`` with ``message``; the set of both is open."""
    words = message.lower()
    for known, advice in _KNOWN:
        if known in words:
            return advice
    denied = _ACTION.search(message)
    if denied:
        return f"Allow the role of AWS Backup {denied[1]}, then run again."
    if "kms" in words:
        return "Allow the role of AWS Backup, and the other account, the use of the key that AWS names, then run again."
    if state in _STATES:
        return _STATES[state]
    return f"Mend what AWS names and run again: the next run starts a new {kind}."


def is_full(message: str) -> bool:
    """Whether a job failed only because a quota was full: 50 restores at once, or one of a recovery point."""
    return bool(_BUSY.search(message))


def reported(error: type[FerryError], kind: str, job_id: str, state: str, message: str) -> dict[str, Any]:
    """The failure, an ``error``, of a job of ``kind`` that AWS Backup reports as ended without success, or has
    forgotten (``UNKNOWN``)."""
    words = message.rstrip(".")
    return error(
        f"The {kind} job {job_id} ended {state}{f': {words}' if words else ''}.",
        hint(state, message, kind),
        details={"job_id": job_id, "code": state, "message": message},
    ).to_failure()
