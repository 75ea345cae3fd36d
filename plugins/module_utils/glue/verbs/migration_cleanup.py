# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes what the migration of a table left behind."""

from __future__ import annotations

from typing import Any

from ...core.account import Account
from ...core.change import NotCarried, to_diff
from ...core.errors import Held
from ...core.exports.cleanup import CleanupOptions, CleanupPlan, apply_cleanup, kinds_of, plan_cleanup
from ...core.jobs.tracking import Tracking
from ...core.methods.method import loaders_of
from ...core.migration import KNOWN, has_job_role
from ...core.steps.holding import Patience
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, RecordTables, has_recorded, open_to_read, read_record, record_of, refuse_held
from ..spec import MIGRATION_OPTIONS, SHARED_OPTIONS, STAGING_OPTIONS, Progress, Verb, account_option, given

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **STAGING_OPTIONS,
    **MIGRATION_OPTIONS,
    "name": {"type": "str", "required": True},
    "source": account_option(),
    "destination": account_option(required=True),
    "destination_table": {"type": "str"},
    "source_account_id": {"type": "str"},
    "source_region": {"type": "str"},
    "disable_point_in_time_recovery": {"type": "bool", "default": False},
    "recorded_only": {"type": "bool", "default": False},
    **RECORD_OPTIONS,
}

_SAME_NAME = (
    "bucket",
    "bucket_owner",
    "destination_table",
    "migration_id",
    "source_account_id",
    "source_region",
    "disable_point_in_time_recovery",
    "recorded_only",
)

LOADERS = loaders_of(KNOWN.values())


def _clean_up(
    source: Account | None,
    destination: Account,
    options: CleanupOptions,
    tables: RecordTables,
    name: str,
    table: str,
    progress: Progress,
) -> CleanupPlan:
    """Planned and carried out while this run holds the table: it waits for a former one whose process has ended."""
    try:
        pause = Patience(progress, destination.sleep)
        record = tables.hold(destination, name, table, source, pause=pause)
        try:
            store = tables.to_read(destination, name) if record is None else record.run.store
            plan = plan_cleanup(source, destination, options, LOADERS, record, store)
            apply_cleanup(source, destination, plan, record)
        finally:
            if record is not None:
                record.let_go()
    finally:
        tables.leave()
    return plan


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Plan the removal, and carry it out."""
    accounts = Accounts(params)
    source = accounts.find("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    options = CleanupOptions(table=params["name"], **given(params, _SAME_NAME))
    name, table = params["record_table"], options.destination_table or options.table
    if options.recorded_only and not has_recorded(read_record(destination, name, table), kinds_of(LOADERS)):
        return _result(CleanupPlan([], [], []), params)
    try:
        if check_mode:
            refuse_held(destination, name, table)
            store, _now = open_to_read(destination, name)
            record = record_of(store, table)
            known = Tracking(None, table, record) if record is not None else None
            plan = plan_cleanup(source, destination, options, LOADERS, known, store)
        else:
            plan = _clean_up(source, destination, options, RecordTables(), name, table, progress)
    except Held as held:
        left = NotCarried(f"everything of the migration of {params['name']}", held.cause)
        plan = CleanupPlan([], [left], [], recorded_kinds=tuple(kinds_of(LOADERS)))
    return _result(plan, params)


def _result(plan: CleanupPlan, params: dict[str, Any]) -> dict[str, Any]:
    result = {
        "changed": bool(plan.changes),
        "changes": [change.to_dict() for change in plan.changes],
        "left": [entry.to_dict() for entry in plan.left],
        "recorded": plan.recorded,
        "job_role": any(has_job_role(kind) for kind in plan.recorded_kinds),
        "diff": to_diff(plan.changes, f"what is left of the migration of {params['name']}"),
    }
    return {**result, "warnings": plan.warnings} if plan.warnings else result


VERB = Verb(
    "migration_cleanup",
    SPEC,
    run,
    services=("dynamodb", "s3", "sts"),
    rules={
        "required_one_of": [("source", "source_account_id")],
        "required_together": [("source_account_id", "source_region")],
    },
)
