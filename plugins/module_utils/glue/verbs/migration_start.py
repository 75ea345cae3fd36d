# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the migration of a table."""

from __future__ import annotations

from typing import Any

from ...core.account import Account
from ...core.change import to_diff
from ...core.data_plane import ItemChoices
from ...core.methods.options import BackupChoices, MigrationOptions, SparkChoices
from ...core.migration import preview, start
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, RecordTables
from ..spec import (
    BOTH_ACCOUNTS_OPTIONS,
    COMPARING_OPTIONS,
    COPYING_OPTIONS,
    INDEX_OPTIONS,
    KEY_MAP_OPTIONS,
    MIGRATION_OPTIONS,
    READING_OPTIONS,
    SETTINGS_OPTIONS,
    SHARED_OPTIONS,
    SPARK_OPTIONS,
    TRANSFORMING_OPTIONS,
    Parameters,
    Progress,
    Verb,
    given,
)
from ..starting import start_result
from ..transforming import transform_of

BACKUP: dict[str, Any] = {
    "vault": {"type": "str", "default": "tableferry"},
    "role": {"type": "str"},
    "destination_vault": {"type": "str", "default": "tableferry"},
    "restore": {"type": "bool", "default": True},
    "restore_role": {"type": "str"},
    "air_gapped_vault": {"type": "str"},
    "plan": {"type": "str"},
    "delete_after_days": {"type": "int", "default": 7},
    "move_to_cold_storage_after_days": {"type": "int", "default": 0},
    "copy_delete_after_days": {"type": "int", "default": 7},
    "copy_move_to_cold_storage_after_days": {"type": "int", "default": 0},
    "start_window_minutes": {"type": "int", "default": 60},
    "complete_window_minutes": {"type": "int", "default": 0},
    "max_age": {"type": "int", "default": 86400},
    "writes_stopped": {"type": "bool", "default": False},
}

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **MIGRATION_OPTIONS,
    **KEY_MAP_OPTIONS,
    **SETTINGS_OPTIONS,
    **INDEX_OPTIONS,
    **TRANSFORMING_OPTIONS,
    "name": {"type": "str", "required": True},
    "destination_table": {"type": "str"},
    **BOTH_ACCOUNTS_OPTIONS,
    "method": {"type": "str", "default": "auto"},
    "bucket": {"type": "str"},
    "bucket_owner": {"type": "str"},
    "kms_key_arn": {"type": "str", "no_log": False},
    "export_max_age": {"type": "int", "default": 86400},
    "enable_point_in_time_recovery": {"type": "bool", "default": False},
    "point_in_time_recovery_wait": {"type": "int", "default": 1800},
    "replace_failed": {"type": "bool", "default": False},
    "writes_stopped": {"type": "bool", "default": False},
    "backup": {"type": "dict", "options": BACKUP},
    "spark": {"type": "dict", "options": SPARK_OPTIONS},
    "verify": {"type": "str", "choices": ["counts", "sample", "full", "none"], "default": "counts"},
    "items": {"type": "dict", "options": {**READING_OPTIONS, **COPYING_OPTIONS, **COMPARING_OPTIONS}},
    **RECORD_OPTIONS,
    "take_over": {"type": "str", "default": ""},
    "adopt": {"type": "bool", "default": False},
    "finished_settings": {"type": "str", "choices": ["once", "report", "apply"], "default": "once"},
    "merge": {"type": "bool", "default": False},
}

LISTS = ("defer", "indexes_after", "leave_indexes")
_OTHER_NAMES = {
    "name",
    "source",
    "destination",
    *LISTS,
    "backup",
    "spark",
    "items",
    "record_table",
    "take_over",
    *SHARED_OPTIONS,
    *TRANSFORMING_OPTIONS,
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Start the first job of the table's migration, or find it; in check mode preview the whole migration."""
    tables = RecordTables()
    try:
        return start_one(Accounts(params), tables, params, check_mode)
    finally:
        tables.leave()


def options_of(params: Parameters) -> MigrationOptions:
    """The options of one table of those of ``SPEC``. Raises InvalidInput, InvalidTransform."""
    return MigrationOptions(
        table=params["name"],
        **{name: tuple(params[name]) for name in LISTS},
        backup=BackupChoices(**given(params["backup"] or {}, params["backup"] or ())),
        spark=SparkChoices(**given(params["spark"] or {}, params["spark"] or ())),
        items=ItemChoices(**given(params["items"] or {}, params["items"] or ())),
        transform=transform_of(params, params["name"]),
        **given(params, [name for name in SPEC if name not in _OTHER_NAMES]),
    )


def start_one(accounts: Accounts, tables: RecordTables, params: Parameters, check_mode: bool) -> dict[str, Any]:
    """The start of one table with the options of ``SPEC``, in ``accounts`` and ``tables`` that many may share."""
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    options = options_of(params)
    name = params["record_table"]
    unknown = _unknown_run(tables, destination, name, params["take_over"])
    if check_mode:
        migration = preview(source, destination, options, tables.to_read(destination, name), by_record=True)
    else:
        records = tables.records(destination, name, source)
        migration = start(source, destination, options, records, params["take_over"])
    started = start_result(migration.job, migration.changes, migration.obstacle)
    if migration.drift:  # also where nothing is changed
        started["diff"] = to_diff(migration.drift, f"settings of {options.made_table}")
    result = {
        **started,
        "drift": [change.to_dict() for change in migration.drift],
        "method": migration.method,
        "record": {"table": options.made_table, "record_table": name},
        "then": [job.to_dict() for job in migration.then],
        "table": migration.definition.to_dict(),
        "left": [left.to_dict() for left in migration.left],
    }
    warnings = [*unknown, *migration.warnings, *started.get("warnings", ())]
    return {**result, "warnings": warnings} if warnings else result


def _unknown_run(tables: RecordTables, destination: Account, name: str, run: str) -> list[str]:
    """A line about a ``take_over`` that is of no run, which would change nothing without a word."""
    if not run or tables.knows_run(destination, name, run):
        return []
    return [
        f"take_over: the record table {name} knows no run {run}, so nothing is taken over from it. The playbook status"
        " names the runs that hold tables."
    ]


VERB = Verb("migration_start", SPEC, run, services=("application-autoscaling", "dynamodb", "kms", "logs", "s3", "sts"))
