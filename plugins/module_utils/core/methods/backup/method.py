# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The method backup: AWS Backup backs the table up, copies it to the other account's vault and restores it there."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import ClassVar

from ...account import Account
from ...errors import InvalidInput
from ...exports.loading import Loader
from ...jobs.job import Job
from ...jobs.kind import JobKind
from ...jobs.tracking import Tracking
from ...judgement import Judgement, JudgeOptions, nothing_to_judge
from ...plan.facts import Between, TableFacts, Wishes
from ...plan.forecast import Forecast
from ...plan.prices import Prices
from ...route import Route
from ...steps.source_jobs import SourceJob
from ...steps.standing import Filling
from ...table.definition import TableDefinition
from ...table.preview import as_restored
from ...table.quotas import check_quotas
from ...table.replication import brought_along
from ..method import ItemJobs, Needs
from ..options import MigrationOptions
from .backup_jobs import BackupKind, BackupOptions, PlannedBackup, plan_backup, start_backup
from .between import read_between
from .copy_jobs import CopyKind, RecoveryPointCopyOptions, copy_job, plan_copy
from .forecast import forecast
from .judge import judge_restore
from .lost import running_in_source
from .restore_jobs import RestoreKind, RestoreOptions, plan_restore, restore_job
from .restore_status import find_running, is_being_restored, running_fillings


class BackupMethod:
    """AWS Backup: backup, copy to the other account's vault, restore. AWS counts no items on the way."""

    name: ClassVar[str] = "backup"
    path: ClassVar[str] = "AWS Backup: backup, copy to the other account's vault, restore"
    local_secondary_indexes: ClassVar[bool] = True
    data_needs: ClassVar[Needs] = "backed_up"
    counts: ClassVar[bool] = False
    resumes: ClassVar[bool] = False
    transforms: ClassVar[bool] = False
    loader: ClassVar[Loader | None] = None
    compares_export: ClassVar[bool] = False
    kinds: ClassVar[Mapping[str, Callable[[], JobKind]]] = {
        "backup": BackupKind,
        "copy": CopyKind,
        "restore": RestoreKind,
    }

    def require(self, definition: TableDefinition, options: MigrationOptions) -> None:
        """Raises InvalidInput."""
        _require_all_indexes(options)

    def require_room(self, destination: Account, options: MigrationOptions) -> None:
        """Nothing: no job of it has a place of the user's."""

    def start(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """The backup started. Raises what plan_backup and start_backup raise."""
        plan = _planned(source, destination, options, record)
        job = start_backup(source, plan, record)
        copy = copy_job(_copy_options(options, job))
        restore = restore_job(_restore_options(options)) if options.backup.restore else None
        then = (copy, restore) if restore is not None else (copy,)
        return ItemJobs(
            job,
            then,
            tuple(plan.changes),
            plan.definition,
            restore,
            warnings=(*plan.warnings, *brought_along(plan.definition)),
            as_made=as_restored,
        )

    def preview(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """Backup, copy and restore foreseen. Raises what their plans raise."""
        backup = _planned(source, destination, options, record)
        copy = plan_copy(source, destination, _copy_options(options, _as_it_will_be(backup.job)), record)
        then, changes = [copy.job.foreseen], [*backup.changes, *copy.changes]
        maker = None
        if options.backup.restore:
            restore_options = replace(_restore_options(options), copy=_as_it_will_be(copy.job))
            restore = plan_restore(source, destination, restore_options, record)
            maker = restore.job
            then.append(restore.job.foreseen)
            changes += restore.changes
        return ItemJobs(
            backup.job.foreseen,
            tuple(then),
            tuple(changes),
            backup.definition,
            maker,
            obstacle=backup.obstacle,
            warnings=(*backup.warnings, *brought_along(backup.definition)),
            as_made=as_restored,
        )

    def running_fill(
        self, destination: Account, options: MigrationOptions, route: Route, there: TableDefinition | None
    ) -> Job | None:
        """The restore of the route's source that makes the table, once AWS shows it in the making."""
        if there is None or not is_being_restored(destination, there, route):
            return None
        return find_running(destination, route)

    def fillings(self, destination: Account) -> Iterator[Filling]:
        """The restores that run."""
        return running_fillings(destination)

    def source_jobs(self, source: Account, tables: Collection[str]) -> Iterator[SourceJob]:
        """The backups and copies that run."""
        return running_in_source(source, tables)

    def between(self, source: Account, destination: Account, wishes: Wishes) -> Between:
        """Whether AWS Backup copies from the one to the other. Raises what Account.explain gives."""
        return read_between(source, destination, wishes)

    def forecast(self, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
        """Backup, copy and restore; see ``forecast.py``."""
        return forecast(self.name, facts, between, prices)

    def judge(
        self, name: str, source: Account | None, destination: Account, jobs: Sequence[Job], options: JudgeOptions
    ) -> Judgement:
        """Judge the table that was restored, or whose backup was copied; see ``judge_restore``."""
        if source is None or not {job.kind for job in jobs} & {"copy", "restore"}:
            raise nothing_to_judge(name)
        return judge_restore(
            name,
            source,
            destination,
            options.source_table or name,
            [job for job in jobs if job.kind in self.kinds],
            counted=options.counted,
            verify=options.verify,
            writes_stopped=options.writes_stopped,
        )


def _planned(
    source: Account, destination: Account, options: MigrationOptions, record: Tracking | None
) -> PlannedBackup:
    _require_all_indexes(options)
    plan = plan_backup(
        source,
        destination,
        BackupOptions(
            table=options.table,
            destination_table=options.made_table,
            migration_id=options.migration_id,
            kms_key_map=options.kms_key_map,
            choices=options.backup,
        ),
        record,
    )
    if options.backup.restore:
        check_quotas(destination, plan.definition)
    return plan


def _copy_options(options: MigrationOptions, backup: Job) -> RecoveryPointCopyOptions:
    return RecoveryPointCopyOptions(options.table, backup, options.migration_id, options.backup)


def _restore_options(options: MigrationOptions) -> RestoreOptions:
    return RestoreOptions(
        table=options.made_table,
        source_table=options.table,
        kms_key_map=options.kms_key_map,
        migration_id=options.migration_id,
        choices=options.backup,
        count=options.verify != "none",
    )


def _as_it_will_be(job: Job) -> Job:
    """A job of AWS Backup as the plan of the next one takes it: what still runs is taken as not begun."""
    if job.state == "running" and job.result.get("aws_state") == "COMPLETED":
        return replace(job, state="completed")
    return replace(job, state="planned", pending_reason="", arn="") if job.open else job


def _require_all_indexes(options: MigrationOptions) -> None:
    """Raises InvalidInput where an index is to come later or not at all."""
    if options.settings.without_indexes:
        raise InvalidInput(
            "A restore of AWS Backup creates all indexes, and leaves items out that their keys do not fit.",
            "Leave indexes_after and leave_indexes out for this table.",
            table=options.table,
        )
