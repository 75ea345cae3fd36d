# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removes the records of tables, and the record table once it is empty."""

from __future__ import annotations

from typing import Any

from ...core.change import to_diff
from ...core.errors import RecordDenied
from ...core.record import record_table
from ...core.record.removal import Removal, plan_removal, remove
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, open_run, open_to_read
from ..spec import MIGRATION_OPTIONS, SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **RECORD_OPTIONS,
    **MIGRATION_OPTIONS,
    "source": account_option(),
    "destination": account_option(required=True),
    "tables": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "destination_table": {"type": "str"},
            "abandon": {"type": "bool", "default": False},
        },
    },
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Plan what goes, or remove it under a run of this process."""
    accounts = Accounts(params)
    source = accounts.find("source", params["source"])
    account, table = accounts.get("destination", params["destination"]), params["record_table"]
    names = [entry["destination_table"] or entry["name"] for entry in params["tables"]]
    abandoned = frozenset(name for name, entry in zip(names, params["tables"], strict=True) if entry.get("abandon"))
    sources = frozenset(source.table_arn(entry["name"]) for entry in params["tables"]) if source else frozenset()
    try:
        store, now = open_to_read(account, table)
        removal = Removal()
        if store is not None:
            removal = plan_removal(store, names, params["migration_id"], sources, now, abandoned)
        if removal.changes and not check_mode:
            # A run is joined only where there is something to remove: joining writes a lease.
            joined = open_run(account, table, create=False)
            removal = remove(joined, names, params["migration_id"], sources, abandoned) if joined else Removal()
    except RecordDenied as denied:
        raise record_table.narrowed(denied, table, account.table_arn(table), record_table.REMOVING) from denied
    result = {
        "changed": bool(removal.changes),
        "changes": [change.to_dict() for change in removal.changes],
        "left": [entry.to_dict() for entry in removal.left],
        "diff": to_diff(removal.changes, f"records in {table}"),
    }
    return {**result, "warnings": list(removal.warnings)} if removal.warnings else result


VERB = Verb("record_cleanup", SPEC, run, services=("dynamodb", "sts"))
