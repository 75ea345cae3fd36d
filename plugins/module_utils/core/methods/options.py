# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a user chooses for the migration of a table: values that the methods take their own options from."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from ..data_plane import ItemChoices
from ..errors import InvalidInput
from ..exports.export_request import ExportOptions
from ..items.throttle import check_rate
from ..items.worker_count import check_workers
from ..judgement import Verify
from ..steps.drift import FinishedSettings
from ..table.setting import SettingsOptions
from ..table.transforming import TransformChoices, choices_from

AUTO = "auto"  # leaves the choice of the method to TableFerry
VAULT = "tableferry"  # what vaults are called that nobody named


@dataclass(frozen=True)
class BackupChoices:
    """What the user chose for AWS Backup; windows are minutes, retentions days (0: never), ages seconds.

    Without ``restore`` the table is only copied. ``plan`` names a backup plan whose next run is waited for instead of
    starting a backup, ``air_gapped_vault`` a vault that takes the place of a copy. ``copy_delete_after_days`` 0 means
    that the copy expires with the source's lifecycle, which AWS inherits all the same (aws.md C4).
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
class SparkChoices:
    """What the user chose for the Spark job; empty values leave the choice to the engine's own file.

    ``workers`` are the machines of a run, the driver's among them. ``engine`` is ``serverless`` or ``cluster`` on EMR;
    ``wheels`` a folder of the controller. ``end`` is ``table`` where the job writes into the table, or ``import`` where
    it writes to S3 for an import, which makes the table.
    """

    engine: str = ""
    workers: int = 2
    worker_type: str = ""
    role_arn: str = ""
    application_id: str = ""
    cluster_id: str = ""
    release: str = ""
    wheels: str = ""
    end: str = "table"


@dataclass(frozen=True)
class MigrationOptions:
    """What the user chose for a table. ``table`` is the source's; ages and waits are seconds.

    ``indexes_after`` are global secondary indexes that are created after the copy, ``leave_indexes`` those that are not
    created at all. ``writes_stopped``: nobody writes to the source any more, so that the copy has to show all that is
    in it. ``adopt`` takes a table with our tags and without a record for filled once a full comparison found it equal,
    ``finished_settings`` is what becomes of the settings of a table that an earlier run finished. ``transform`` is what
    changes the items on the way; with ``merge`` other sources may share the table.
    """

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
    indexes_after: tuple[str, ...] = ()
    leave_indexes: tuple[str, ...] = ()
    export_max_age: int = 86400
    enable_point_in_time_recovery: bool = False
    point_in_time_recovery_wait: int = 1800
    replace_failed: bool = False
    writes_stopped: bool = False
    backup: BackupChoices = field(default_factory=BackupChoices)
    spark: SparkChoices = field(default_factory=SparkChoices)
    verify: Verify = "counts"
    items: ItemChoices = field(default_factory=ItemChoices)
    adopt: bool = False
    finished_settings: FinishedSettings = "once"
    transform: TransformChoices | None = None
    merge: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return {**asdict(self), "defer": list(self.defer)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> MigrationOptions:
        """The options of ``to_dict``'s data. Raises InvalidInput for anything else."""
        try:
            backup, items = BackupChoices(**data["backup"]), ItemChoices(**data["items"])
            values = {**data, "defer": tuple(data["defer"]), "backup": backup, "items": items}
            values |= {"transform": choices_from(data.get("transform"))}
            values["spark"] = SparkChoices(**data.get("spark", {}))
            return cls(**values)
        except (KeyError, TypeError) as error:
            raise InvalidInput("The claim's options are not valid.", "Pass the job of migration_start.") from error

    def require_valid(self) -> None:
        """Raises InvalidInput for what no table could be read or written with."""
        if self.items.sample_items < 1:
            raise InvalidInput(f"sample_items is {self.items.sample_items}.", "Give 1 or more.", table=self.table)
        if self.spark.workers < 2:
            raise InvalidInput(
                f"workers of spark is {self.spark.workers}: one machine is the driver's.",
                "Set 2 or more.",
                table=self.table,
            )
        try:
            check_workers(self.items.workers)
            for name, text in (("read_rate", self.items.read_rate), ("write_rate", self.items.write_rate)):
                check_rate(name, text)
        except InvalidInput as error:
            raise error.for_table(self.table) from error

    @property
    def made_table(self) -> str:
        """What the table is called in the destination."""
        return self.destination_table or self.table

    @property
    def stopped(self) -> bool:
        """``writes_stopped``, which is a choice of the method backup too."""
        return self.writes_stopped or self.backup.writes_stopped

    @property
    def export(self) -> ExportOptions:
        """What concerns the export of the methods that begin with one."""
        return ExportOptions(
            table=self.table,
            bucket=self.bucket,
            destination_table=self.made_table,
            bucket_owner=self.bucket_owner,
            sse_algorithm="KMS" if self.kms_key_arn else "AES256",
            kms_key_arn=self.kms_key_arn,
            migration_id=self.migration_id,
            max_age=self.export_max_age,
            enable_point_in_time_recovery=self.enable_point_in_time_recovery,
            point_in_time_recovery_wait=self.point_in_time_recovery_wait,
            kms_key_map=self.kms_key_map,
            replace_failed=self.replace_failed,
            writes_stopped=self.stopped,
        )

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
            indexes_after=self.indexes_after,
            leave_indexes=self.leave_indexes,
            transform=self.transform,
        )
