# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table's whole way: the method chosen, its first job planned and started, and the jobs that follow (design 2, 5).

Everything that can be refused is refused here, before anything is billed; the waiter brings the jobs to their end, each
when the one before it has completed, so that no table waits for another.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from .account import Account
from .change import Change, NotCarried
from .errors import FerryError, InvalidInput
from .items.throttle import check_rate
from .jobs.job import Job
from .judgement import Verify
from .methods.backup.backup_jobs import BackupOptions, BackupPlan, plan_backup, start_backup
from .methods.backup.calls import VAULT
from .methods.backup.copy_jobs import CopyOptions, copy_job, plan_copy
from .methods.backup.restore_jobs import RestoreOptions, plan_restore, restore_job
from .methods.direct.copy_job import DirectOptions, DirectPlan, plan_direct
from .methods.s3.export import ExportOptions, ExportPlan, plan_export, start_export
from .methods.s3.importing import ImportOptions, import_job, plan_import
from .plan import AUTO, DEFAULT, choose_method
from .steps.comparison import VerifyOptions, verify_job
from .steps.counting import count_job, units_for
from .steps.settings_job import plan_table_settings, settings_job
from .table.definition import AS_OF, TableDefinition
from .table.preview import MadeBy, as_created, as_imported, as_restored
from .table.setting import SettingsOptions
from .table.settings import SettingsPlan

LONGEST_WAY = 86400  # seconds that an export may wait on the way to its import, whatever its age when it was chosen


@dataclass(frozen=True)
class BackupChoices:
    """What the user said about a way by AWS Backup; windows are minutes, retentions days (0: never), ages seconds.

    Without ``restore`` the table is only copied. ``plan`` names a backup plan whose next run is waited for,
    ``air_gapped_vault`` a vault that takes the place of a copy.
    """

    vault: str = VAULT
    role: str = ""
    destination_vault: str = VAULT
    restore: bool = True
    restore_role: str = ""
    air_gapped_vault: str = ""
    plan: str = ""
    delete_after_days: int = 7
    move_to_cold_storage_after_days: int = 0
    copy_delete_after_days: int = 7
    copy_move_to_cold_storage_after_days: int = 0
    start_window_minutes: int = 60
    complete_window_minutes: int = 0
    max_age: int = 86400
    writes_stopped: bool = False


@dataclass(frozen=True)
class ItemChoices:
    """How this machine reads and writes items: for direct copies, and for comparisons.

    Rates are units per second or parts of the provisioned capacity ("50%"), "" for no limit; ``workers`` are processes.
    Paths are of this machine, "" for none.
    """

    workers: int = 1
    read_rate: str = ""
    write_rate: str = ""
    consistent: bool = False
    checkpoint_dir: str = ""
    sample_items: int = 1000
    ignore_expired: bool = False
    differences_path: str = ""


@dataclass(frozen=True)
class WayOptions:
    """What the user said about a table. ``table`` is the source's; ages and waits are seconds."""

    table: str
    destination_table: str = ""
    method: str = AUTO
    migration_id: str = "default"
    bucket: str = ""
    bucket_owner: str = ""
    kms_key_arn: str = ""
    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    kinesis_map: Mapping[str, str] = field(default_factory=dict)
    principal_map: Mapping[str, str] = field(default_factory=dict)
    defer: tuple[str, ...] = ()
    warm_throughput: bool = True
    export_max_age: int = 86400
    enable_point_in_time_recovery: bool = False
    point_in_time_recovery_wait: int = 1800
    replace_failed: bool = False
    backup: BackupChoices = field(default_factory=BackupChoices)
    verify: Verify = "counts"
    items: ItemChoices = field(default_factory=ItemChoices)

    @property
    def made_table(self) -> str:
        """What the table is called in the destination."""
        return self.destination_table or self.table

    @property
    def settings(self) -> SettingsOptions:
        """What concerns the settings."""
        return SettingsOptions(
            kms_key_map=self.kms_key_map,
            kinesis_map=self.kinesis_map,
            principal_map=self.principal_map,
            defer=self.defer,
            migration_id=self.migration_id,
            warm_throughput=self.warm_throughput,
        )

    def following(self) -> tuple[Job, ...]:
        """The jobs that follow on every way, when the items are there: comparing them if wanted, and the settings."""
        settings = settings_job(self.made_table, self.table, self.settings)
        if self.verify not in ("sample", "full"):
            return (settings,)
        compared = VerifyOptions(
            source_table=self.table,
            table=self.made_table,
            level=self.verify,
            sample_items=self.items.sample_items,
            ignore_expired=self.items.ignore_expired,
            consistent=self.items.consistent,
            workers=self.items.workers,
            read_rate=self.items.read_rate,
            differences_path=self.items.differences_path,
        )
        return (verify_job(compared, self.migration_id), settings)


@dataclass(frozen=True)
class Way:
    """A table's way: the first ``job``, those that follow ``then``, and what the first one changes.

    ``obstacle`` is what must be mended before it can start; only a foreseen way has one.
    """

    method: str
    job: Job
    then: tuple[Job, ...]
    changes: tuple[Change, ...]
    definition: TableDefinition
    left: tuple[NotCarried, ...] = ()
    obstacle: FerryError | None = None
    warnings: tuple[str, ...] = ()


class MethodWay(Protocol):
    """How a method goes the way."""

    def start(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """Plan and start the first job, or find the one of an earlier run."""

    def foresee(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """All that ``start`` and the jobs after it would do; reads only."""


class S3Way:
    """Export to S3, import from S3."""

    def start(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """The export started. Raises what plan_export and start_export raise."""
        plan = self._export(source, destination, options)
        job = start_export(source, destination, plan)
        then = (import_job(self._import_options(options, plan)), *options.following())
        return Way("s3", job, then, tuple(plan.changes), plan.definition, tuple(plan.left))

    def foresee(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """Export, import and settings foreseen. Raises what plan_export, plan_import and the settings' plan raise."""
        exported = self._export(source, destination, options)
        told = replace(self._import_options(options, exported), export=exported.job.foreseen)
        imported = plan_import(source, destination, told)
        plan, following = _foreseen(source, destination, options)
        return Way(
            "s3",
            exported.job.foreseen,
            (imported.job.foreseen, *following),
            (
                *exported.changes,
                *imported.changes,
                *_comparison(options, exported.definition, imported.job),
                *plan.changes,
            ),
            exported.definition,
            (*exported.left, *plan.left),
            exported.obstacle or imported.obstacle,
        )

    @staticmethod
    def _export(source: Account, destination: Account, options: WayOptions) -> ExportPlan:
        return plan_export(
            source,
            destination,
            ExportOptions(
                table=options.table,
                bucket=options.bucket,
                destination_table=options.made_table,
                method="s3",
                bucket_owner=options.bucket_owner,
                sse_algorithm="KMS" if options.kms_key_arn else "AES256",
                kms_key_arn=options.kms_key_arn,
                migration_id=options.migration_id,
                max_age=options.export_max_age,
                enable_point_in_time_recovery=options.enable_point_in_time_recovery,
                point_in_time_recovery_wait=options.point_in_time_recovery_wait,
                kms_key_map=options.kms_key_map,
                replace_failed=options.replace_failed,
            ),
        )

    @staticmethod
    def _import_options(options: WayOptions, exported: ExportPlan) -> ImportOptions:
        return ImportOptions(
            table=options.made_table,
            bucket=options.bucket,
            source_table=options.table,
            bucket_owner=options.bucket_owner,
            definition=exported.definition,
            kms_key_map=options.kms_key_map,
            migration_id=options.migration_id,
            replace_failed=options.replace_failed,
            max_age=max(options.export_max_age, LONGEST_WAY),
        )


class BackupWay:
    """AWS Backup: backup, copy to the other account's vault, restore, count."""

    def start(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """The backup started. Raises what plan_backup and start_backup raise."""
        plan = self._backup(source, destination, options)
        job = start_backup(source, plan)
        then = [copy_job(self._copy_options(options, job))]
        if options.backup.restore:
            then += [restore_job(self._restore_options(options)), *self._count(options), *options.following()]
        return Way("backup", job, tuple(then), tuple(plan.changes), plan.definition, warnings=tuple(plan.warnings))

    def foresee(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """Backup, copy, restore and settings foreseen. Raises what their plans raise."""
        backup = self._backup(source, destination, options)
        copy = plan_copy(source, destination, self._copy_options(options, _as_it_will_be(backup.job)))
        then, changes = [copy.job.foreseen], [*backup.changes, *copy.changes]
        left: tuple[NotCarried, ...] = ()
        if options.backup.restore:
            told = replace(self._restore_options(options), copy=_as_it_will_be(copy.job))
            restore = plan_restore(source, destination, told)
            made_id = restore.job.result.get("table_id", "")
            plan, following = _foreseen(source, destination, options, made_id=made_id, as_made=as_restored)
            then += [restore.job.foreseen, *(job.foreseen for job in self._count(options)), *following]
            changes += [*restore.changes, *self._count_change(options, backup, restore.changes)]
            changes += [*_comparison(options, backup.definition, restore.job), *plan.changes]
            left = plan.left
        return Way(
            "backup",
            backup.job.foreseen,
            tuple(then),
            tuple(changes),
            backup.definition,
            left,
            backup.obstacle,
            tuple(backup.warnings),
        )

    @staticmethod
    def _count(options: WayOptions) -> list[Job]:
        """The count of both tables: AWS Backup counts none."""
        if options.verify == "none":
            return []
        return [count_job(options.made_table, options.table, writes_stopped=options.backup.writes_stopped)]

    @staticmethod
    def _count_change(options: WayOptions, backup: BackupPlan, restore: list[Change]) -> list[Change]:
        """What counting both tables costs, where there will be something to count."""
        if options.verify == "none" or not restore:
            return []
        units = {"read_units_of_each_table": units_for(backup.definition.size_bytes), "as_of": AS_OF}
        return [Change(f"count of {options.table} and {options.made_table}", None, units, "billed")]

    @staticmethod
    def _backup(source: Account, destination: Account, options: WayOptions) -> BackupPlan:
        wish = options.backup
        return plan_backup(
            source,
            destination,
            BackupOptions(
                table=options.table,
                vault=wish.vault,
                role=wish.role,
                destination_table=options.made_table,
                destination_vault=wish.destination_vault,
                restore=wish.restore,
                restore_role=wish.restore_role,
                air_gapped_vault=wish.air_gapped_vault,
                plan=wish.plan,
                delete_after_days=wish.delete_after_days,
                move_to_cold_storage_after_days=wish.move_to_cold_storage_after_days,
                copy_delete_after_days=wish.copy_delete_after_days,
                start_window_minutes=wish.start_window_minutes,
                complete_window_minutes=wish.complete_window_minutes,
                migration_id=options.migration_id,
                max_age=wish.max_age,
                kms_key_map=options.kms_key_map,
            ),
        )

    @staticmethod
    def _copy_options(options: WayOptions, backup: Job) -> CopyOptions:
        return CopyOptions(
            table=options.table,
            backup=backup,
            destination_vault=options.backup.destination_vault,
            role=options.backup.role,
            delete_after_days=options.backup.copy_delete_after_days,
            move_to_cold_storage_after_days=options.backup.copy_move_to_cold_storage_after_days,
            migration_id=options.migration_id,
        )

    @staticmethod
    def _restore_options(options: WayOptions) -> RestoreOptions:
        return RestoreOptions(
            table=options.made_table,
            source_table=options.table,
            role=options.backup.restore_role,
            kms_key_map=options.kms_key_map,
            migration_id=options.migration_id,
        )


def _as_it_will_be(job: Job) -> Job:
    """A job of AWS Backup as the plan of the next one takes it: what still runs is taken as not begun."""
    if job.state == "running" and job.result.get("aws_state") == "COMPLETED":
        return replace(job, state="completed")
    return replace(job, state="planned", pending_reason="", arn="") if job.open else job


class DirectWay:
    """Read and write through this machine."""

    def start(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """The copy planned; the waiter makes it. Raises what plan_direct raises."""
        plan = self._plan(source, destination, options)
        return Way("direct", plan.job, options.following(), tuple(plan.changes), plan.definition)

    def foresee(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """Copy and settings foreseen. Raises what plan_direct and the settings' plan raise."""
        plan = self._plan(source, destination, options)
        settings, following = _foreseen(source, destination, options, as_made=as_created)
        changes = (*plan.changes, *_comparison(options, plan.definition, plan.job), *settings.changes)
        return Way("direct", plan.job.foreseen, following, changes, plan.definition, settings.left)

    @staticmethod
    def _plan(source: Account, destination: Account, options: WayOptions) -> DirectPlan:
        return plan_direct(
            source,
            destination,
            DirectOptions(
                table=options.table,
                destination_table=options.made_table,
                migration_id=options.migration_id,
                kms_key_map=options.kms_key_map,
                warm_throughput=options.warm_throughput,
                consistent=options.items.consistent,
                workers=options.items.workers,
                read_rate=options.items.read_rate,
                write_rate=options.items.write_rate,
                checkpoint_dir=options.items.checkpoint_dir,
                count=options.verify != "none",
            ),
        )


WAYS: Mapping[str, MethodWay] = {"s3": S3Way(), "backup": BackupWay(), "direct": DirectWay()}


def _foreseen(
    source: Account,
    destination: Account,
    options: WayOptions,
    *,
    made_id: str = "",
    as_made: MadeBy = as_imported,
) -> tuple[SettingsPlan, tuple[Job, ...]]:
    """The settings as they will be planned, and the following jobs with them."""
    plan = plan_table_settings(
        source,
        destination,
        options.table,
        options.made_table,
        options.settings,
        made_id=made_id,
        foresee=True,
        as_made=as_made,
    )
    settings = settings_job(options.made_table, options.table, options.settings, plan)
    return plan, tuple(job.foreseen for job in (*options.following()[:-1], settings))


def _check_items(options: WayOptions) -> None:
    """Raises InvalidInput for what no table could be read or written with."""
    items = options.items
    for name, number in (("workers", items.workers), ("sample_items", items.sample_items)):
        if number < 1:
            raise InvalidInput(f"{name} is {number}.", "Give 1 or more.", table=options.table)
    for name, text in (("read_rate", items.read_rate), ("write_rate", items.write_rate)):
        try:
            check_rate(name, text)
        except InvalidInput as error:
            raise error.for_table(options.table) from error


def _comparison(options: WayOptions, definition: TableDefinition, job: Job) -> list[Change]:
    """What comparing the items costs, where ``job`` has yet to bring them."""
    if options.verify not in ("sample", "full") or job.state not in ("planned", "pending"):
        return []
    if options.verify == "sample":
        cost: dict[str, int | str] = {"items_of_each_table": options.items.sample_items}
    else:
        units = units_for(definition.size_bytes)
        units = units if options.items.consistent else -(-units // 2)
        cost = {"read_units_of_each_table": units, "as_of": AS_OF}
    return [Change(f"comparison of {options.table} and {options.made_table}", None, cost, "billed")]


def way_of(source: Account, options: WayOptions) -> MethodWay:
    """The way of the options' method. Raises InvalidInput, MissingTable, UnknownMethod, NotInThisVersion."""
    _check_items(options)
    name = DEFAULT if options.method == AUTO else options.method
    if name not in WAYS:
        name = choose_method(TableDefinition.read(source, options.table), name)
    return WAYS[name]
