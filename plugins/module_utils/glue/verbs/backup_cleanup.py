# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes the recovery points that the migration of a table left behind."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from ...core.account import Account
from ...core.change import NotCarried, to_diff
from ...core.errors import Held, RecordDenied
from ...core.methods.backup.cleanup import (
    KINDS,
    BackupCleanupOptions,
    BackupCleanupPlan,
    apply_backup_cleanup,
    plan_backup_cleanup,
)
from ...core.steps.holding import Patience
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, RecordTables, has_recorded, read_record, refuse_held
from ..spec import BOTH_ACCOUNTS_OPTIONS, MIGRATION_OPTIONS, SHARED_OPTIONS, Progress, Verb

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **MIGRATION_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    "vault": {"type": "str", "default": "tableferry"},
    "destination_vault": {"type": "str", "default": "tableferry"},
    "remove_recovery_points": {"type": "bool", "default": False},
    "wait_timeout": {"type": "int", "default": 300},
    "abandon": {"type": "bool", "default": False},
    "recorded_only": {"type": "bool", "default": False},
    "destination_table": {"type": "str"},
    **RECORD_OPTIONS,
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Plan the removal, and carry it out."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    options = BackupCleanupOptions(
        table=params["name"],
        vault=params["vault"],
        destination_vault=params["destination_vault"],
        migration_id=params["migration_id"],
        remove_recovery_points=params["remove_recovery_points"],
        wait=params["wait_timeout"],
        abandon=params["abandon"],
        recorded_only=params["recorded_only"],
    )
    name, table = params["record_table"], params["destination_table"] or params["name"]
    try:
        plan, left = _clean_up(source, destination, options, name, table, check_mode, progress)
    except Held as held:
        what = f"the recovery points of {params['name']}"
        plan, left = BackupCleanupPlan((), [], [], recorded=True), [NotCarried(what, held.cause)]
    return {
        "changed": bool(plan.changes),
        "changes": [change.to_dict() for change in plan.changes],
        "left": [entry.to_dict() for entry in left],
        "recorded": plan.recorded,
        "diff": to_diff(plan.changes, f"recovery points of {params['name']}"),
    }


def _clean_up(
    source: Account,
    destination: Account,
    options: BackupCleanupOptions,
    name: str,
    table: str,
    check_mode: bool,
    progress: Progress,
) -> tuple[BackupCleanupPlan, list[NotCarried]]:
    """The plan, carried out while this run holds the table, and what is left. Raises Held."""
    tables = RecordTables()
    record = known = None
    if check_mode:
        refuse_held(destination, name, table)
    if check_mode or options.recorded_only or not options.remove_recovery_points:
        known = read_record(destination, name, table)
    if options.recorded_only and not has_recorded(known, KINDS):
        return BackupCleanupPlan((), [], []), []
    if not check_mode and (options.remove_recovery_points or (known is not None and known.open_jobs(KINDS))):
        # Used alone it needs no permission for a record table.
        with suppress(RecordDenied):
            record = tables.hold(destination, name, table, source, pause=Patience(progress, destination.sleep))
    try:
        plan = plan_backup_cleanup(source, destination, options, record or known)
        left = list(plan.left)
        if not check_mode:
            left += apply_backup_cleanup(source, destination, options, plan, record)["left"]
    finally:
        if record is not None:
            record.let_go()
        tables.leave()
    return plan, left


VERB = Verb("backup_cleanup", SPEC, run, services=("backup", "dynamodb", "sts"))
