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
from .change import Change, Left
from .errors import FerryError
from .export import ExportOptions, ExportPlan, plan_export, start_export
from .importing import ImportOptions, import_job, plan_import
from .job import Job
from .plan import AUTO, DEFAULT, choose_method
from .settings_job import plan_table_settings, settings_job
from .table.definition import TableDefinition
from .table.setting import SettingsOptions

LONGEST_WAY = 86400  # seconds that an export may wait on the way to its import, whatever its age when it was chosen


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
    left: tuple[Left, ...] = ()
    obstacle: FerryError | None = None


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
        imported = import_job(self._import_options(options, plan))
        then = (imported, settings_job(options.made_table, options.table, options.settings))
        return Way("s3", job, then, tuple(plan.changes), plan.definition, tuple(plan.left))

    def foresee(self, source: Account, destination: Account, options: WayOptions) -> Way:
        """Export, import and settings foreseen. Raises what plan_export, plan_import and the settings' plan raise."""
        exported = self._export(source, destination, options)
        told = replace(self._import_options(options, exported), export=exported.job.foreseen)
        imported = plan_import(source, destination, told)
        plan = plan_table_settings(
            source, destination, options.table, options.made_table, options.settings, foresee=True
        )
        settings = settings_job(options.made_table, options.table, options.settings, plan)
        return Way(
            "s3",
            exported.job.foreseen,
            (imported.job.foreseen, settings.foreseen),
            (*exported.changes, *imported.changes, *plan.changes),
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


WAYS: Mapping[str, MethodWay] = {"s3": S3Way()}


def way_of(source: Account, options: WayOptions) -> MethodWay:
    """The way of the options' method. Raises MissingTable, UnknownMethod, NotInThisVersion."""
    name = DEFAULT if options.method == AUTO else options.method
    if name not in WAYS:
        name = choose_method(TableDefinition.read(source, options.table), name)
    return WAYS[name]
