# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Makes the record table, which says of all tables how far they are."""

from __future__ import annotations

from typing import Any

from ...core.change import to_diff
from ...core.record import record_table
from ...core.record.clock import AwsClock
from ...core.record.store import RecordStore
from ..accounts import Accounts
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "destination": account_option(required=True),
    "name": {"type": "str", "default": record_table.DEFAULT_NAME},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Look whether it is there and has its shape, and make it if it is not."""
    account, name = Accounts(params).get("destination", params["destination"]), params["name"]
    store = RecordStore.open(account, name, AwsClock(), create=False)
    changes = [record_table.creation(name)] if store is None else []
    if changes and not check_mode:
        store = RecordStore.open(account, name, AwsClock())
    return {
        "changed": bool(changes),
        "changes": [change.to_dict() for change in changes],
        "record_table_arn": account.table_arn(name) if store is None else store.table.arn,
        "diff": to_diff(changes, f"record table {name}"),
    }


VERB = Verb("record_table", SPEC, run, services=("dynamodb", "sts"), names_table=False)
