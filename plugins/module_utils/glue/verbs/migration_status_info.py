# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads how all tables of a destination account are."""

from __future__ import annotations

from typing import Any

from ...core.errors import RecordDenied
from ...core.record import record_table, status
from ...core.report import status_table
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, open_to_read
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **RECORD_OPTIONS,
    "destination": account_option(required=True),
    "names": {"type": "list", "elements": "str"},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """A row for each record; an empty list, and a word, where there is no record table."""
    account, name = Accounts(params).get("destination", params["destination"]), params["record_table"]
    store, now = open_to_read(account, name)
    names = None if params["names"] is None else dict.fromkeys(params["names"], "")
    if store is None:
        rows, runs = status.matching([], names), []
        words = f"There is no record table {name} in account {account.account_id}, {account.region}: no run has begun."
    else:
        try:
            everything = store.everything()
        except RecordDenied as denied:
            raise record_table.narrowed(denied, name, store.table.arn, record_table.READING) from denied
        rows = status.matching(status.rows(everything, store.home, now), names)
        runs = status.runs(everything, now)
        words = f"{name} in account {account.account_id}, {account.region}: {len(rows)} table{'s'[: len(rows) != 1]}."
    return {
        "changed": False,
        "tables": rows,
        "runs": runs,
        "record_table_arn": "" if store is None else store.table.arn,
        "lines": [words, *(f"{each['held_by']}: {each['tables']} of them" for each in runs), *status_table(rows)],
        "msg": words,
    }


VERB = Verb("migration_status_info", SPEC, run, services=("dynamodb", "sts"))
