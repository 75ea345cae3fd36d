# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Completed backups of ours that no record knows, because it was lost or an older one came back: found by their tag
(design section 6, "Lost or old record")."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from ...account import Account
from ...errors import AccessDenied
from ...jobs.job import Job
from ...route import Route
from ...steps.source_jobs import SourceJob, in_seconds
from ...table.definition import Shape, json_safe
from .backup_status import described
from .calls import MIGRATION_TAG, RESOURCE_TYPE
from .history import is_completed, is_open, is_young, list_restores
from .memory import adopted
from .restore_status import is_into
from .vaults import is_there, read_recovery_point, read_tags

DESTINATION_TAG = "tableferry:destination"  # of recovery points: the table that the backup was begun for


def destination_of(route: Route) -> str:
    """The tag's value for the table that ``route`` leads to."""
    return f"{route.destination_account_id}/{route.destination_region}/{route.destination_table}"


def lost_backup(
    source: Account,
    destination: Account | None,
    requested: Job,
    max_age: int,
    backups: Sequence[Shape],
    copies: Sequence[Shape],
) -> Job | None:
    """The newest completed backup that a run with a record has begun for this table, if it serves.

    Never one that the table was restored from once (design section 11); none without the permission to read tags.
    """
    route = Route.from_dict(requested.request["route"])
    for job in backups:
        arn, vault = str(job.get("RecoveryPointArn", "")), str(job["BackupVaultName"])
        if (
            not is_completed(job)
            or not is_young(source, job, max_age)
            or not is_there(read_recovery_point(source, vault, arn))
        ):
            continue
        if not _is_for(source, arn, route) or (destination and _was_restored(destination, route, arn, copies)):
            continue
        return described(adopted(requested, str(job["BackupJobId"])), job)
    return None


def running_in_source(source: Account, tables: Collection[str]) -> Iterator[SourceJob]:
    """The backups of the ``tables`` that run, and the copies of their recovery points: a list of each, and the tags of
    the recovery points. Without tags, as before AWS has written them, nobody knows of which migration one is."""
    for words, operation, member, point in (
        ("a backup", "list_backup_jobs", "BackupJobs", "RecoveryPointArn"),
        ("a copy of a backup", "list_copy_jobs", "CopyJobs", "SourceRecoveryPointArn"),
    ):
        doing = f"listing {member[:-4].lower()} jobs"
        for job in map(json_safe, source.pages("backup", operation, member, doing, ByResourceType=RESOURCE_TYPE)):
            table = str(job.get("ResourceArn", "")).rpartition("/")[2]
            if is_open(job) and table in tables:
                tags = _tags(source, str(job.get(point) or ""))
                since, migration = in_seconds(str(job["CreationDate"])), tags.get(MIGRATION_TAG, "")
                yield SourceJob(words, table, since, migration, tags.get(DESTINATION_TAG, ""))


def _tags(source: Account, arn: str) -> Mapping[str, str]:
    """The tags of a recovery point; none where it has no ARN yet, or they may not be read."""
    try:
        return read_tags(source, arn) if arn else {}
    except AccessDenied:
        return {}


def _is_for(source: Account, arn: str, route: Route) -> bool:
    return _tags(source, arn).get(DESTINATION_TAG) == destination_of(route)


def _was_restored(destination: Account, route: Route, arn: str, copies: Sequence[Shape]) -> bool:
    """Whether a restore job, whatever became of it, made the table of the recovery point ``arn`` or a copy of it."""
    points = {arn}
    points |= {str(each.get("DestinationRecoveryPointArn")) for each in copies if each["SourceRecoveryPointArn"] == arn}
    return any(
        restore.get("RecoveryPointArn") in points and is_into(destination, restore, route.destination_table)
        for restore in list_restores(destination)
    )
