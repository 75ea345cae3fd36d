# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What AWS Backup remembers of a table: for the verbs used alone, which have no record.

Backup jobs are listed for 30 days (aws.md C4), recovery points carry our tag for as long as they live.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import timedelta
from typing import Any

from ...account import Account
from ...errors import AccessDenied
from ...jobs.job import State
from ...table.definition import Shape, TableDefinition, json_safe
from .calls import MIGRATION_TAG, RESOURCE_TYPE, moment, state_of
from .vaults import is_there, read_recovery_point, read_tags

BACKUP_STATES: dict[str, State] = {
    "CREATED": "running",
    "PENDING": "running",
    "RUNNING": "running",
    "ABORTING": "running",
    "COMPLETED": "completed",
    "ABORTED": "cancelled",
    "FAILED": "failed",
    "EXPIRED": "failed",
    "PARTIAL": "failed",
}
COPY_STATES: dict[str, State] = {
    "CREATED": "running",
    "RUNNING": "running",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "PARTIAL": "failed",
}
RESTORE_STATES: dict[str, State] = {
    "PENDING": "running",
    "RUNNING": "running",
    "COMPLETED": "completed",
    "ABORTED": "cancelled",
    "FAILED": "failed",
}
CLOCKS = timedelta(minutes=1)  # by how much the times of two services of AWS may differ


def newest_first(jobs: Iterable[Shape]) -> list[Shape]:
    """Jobs by when they were created; no list call promises an order."""
    return sorted(jobs, key=lambda job: str(job.get("CreationDate", "")), reverse=True)


def list_backups(source: Account, definition: TableDefinition, vaults: Iterable[str]) -> list[Shape]:
    """The backup jobs of this very table into one of ``vaults``, newest first.

    A table created again under its name keeps the ARN (measured/backup-restore-service 2.14): what is older than the
    table is of another one.
    """
    made = moment(definition.raw.get("CreationDateTime"))
    jobs = _jobs(source, "list_backup_jobs", "BackupJobs", "listing backup jobs", ByResourceArn=definition.arn)
    names = set(vaults)
    return newest_first(
        job
        for job in jobs
        if job.get("BackupVaultName") in names
        and (made is None or (moment(job["CreationDate"]) or made) >= made - CLOCKS)
    )


def list_copies(source: Account, table_arn: str, destination_vault_arn: str) -> list[Shape]:
    """The copy jobs of the table's recovery points into one vault, newest first. Only the source sees them
    (aws.md C4)."""
    return newest_first(
        _jobs(
            source,
            "list_copy_jobs",
            "CopyJobs",
            "listing copy jobs",
            ByResourceArn=table_arn,
            ByDestinationVaultArn=destination_vault_arn,
        )
    )


def list_restores(destination: Account) -> list[Shape]:
    """The restore jobs of DynamoDB tables in the destination, newest first. They do not show their request."""
    return newest_first(
        _jobs(destination, "list_restore_jobs", "RestoreJobs", "listing restore jobs", ByResourceType=RESOURCE_TYPE)
    )


def _jobs(account: Account, operation: str, member: str, doing: str, **request: Any) -> Iterator[Shape]:
    """The entries of a list of jobs, JSON-safe."""
    return map(json_safe, account.pages("backup", operation, member, doing, **request))


def is_open(job: Mapping[str, Any]) -> bool:
    """Whether a listed job is still running."""
    return state_of(job) in ("CREATED", "PENDING", "RUNNING", "ABORTING")


def is_completed(job: Mapping[str, Any]) -> bool:
    """Whether a listed job has completed."""
    return state_of(job) == "COMPLETED"


def is_advanced(recovery_point_arn: str) -> bool:
    """Whether a recovery point was made with the advanced features: only those can be copied (aws.md C1)."""
    return recovery_point_arn.split(":")[2:3] == ["backup"]


def is_young(account: Account, job: Mapping[str, Any], max_age: int) -> bool:
    """Whether a completed job of ``account`` ended no longer than ``max_age`` seconds ago."""
    return account.is_young(moment(job.get("CompletionDate") or job.get("CreationDate")), max_age)


def is_of_migration(account: Account, recovery_point_arn: str, migration_id: str, *, untagged: bool = False) -> bool:
    """Whether the recovery point carries our tag; ``untagged`` is the answer for one without any tag of ours.

    Without the permission to read tags, lying in our vault counts as ours.
    """
    try:
        tags = read_tags(account, recovery_point_arn)
    except AccessDenied:
        return True
    return tags[MIGRATION_TAG] == migration_id if MIGRATION_TAG in tags else untagged


def made_copy(destination: Account, copies: Iterable[Shape], vault: str, point: str) -> Shape | None:
    """The completed copy job of the recovery point ``point`` whose copy still exists, or will soon."""
    for job in copies:
        if job.get("SourceRecoveryPointArn") != point or not is_completed(job):
            continue
        if is_there(read_recovery_point(destination, vault, str(job.get("DestinationRecoveryPointArn", "")))):
            return job
    return None
