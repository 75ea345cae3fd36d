# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads how all tables of a destination account are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...core.account import Account
from ...core.errors import FerryError, RecordDenied
from ...core.migration import FILLINGS, SOURCE_JOBS
from ...core.record import record_table, status
from ...core.record.record import table_key
from ...core.record.status import Wanted
from ...core.record.store import Everything
from ...core.report.text import status_table
from ...core.steps.source_jobs import look_at_sources
from ...core.steps.standing import Standings, look_around
from ...core.table.definition import TableDefinition
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, open_to_read
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **RECORD_OPTIONS,
    "destination": account_option(required=True),
    "names": {"type": "list", "elements": "str"},
    "recorded": {"type": "bool", "default": False},
    "tables": {
        "type": "list",
        "elements": "dict",
        "default": [],
        "options": {
            "name": {"type": "str", "required": True},
            "source_table": {"type": "str", "default": ""},
            "migration_id": {"type": "str", "default": ""},
            "source": account_option(),
        },
    },
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """A row for each record; none, and a word, where there is no record table."""
    accounts, name = Accounts(params), params["record_table"]
    account = accounts.get("destination", params["destination"])
    store, now = open_to_read(account, name)
    names = params["names"]
    wanted = {entry["name"]: Wanted(entry["source_table"], entry["migration_id"]) for entry in params["tables"]}
    everything, home = Everything((), {}, ()), ""
    if store is not None:
        home = store.home
        try:
            everything = store.everything()
        except RecordDenied as denied:
            raise record_table.narrowed(denied, name, store.table.arn, record_table.READING) from denied
    if names is not None and params["recorded"]:
        recorded = {record.name for record in everything.records}
        without = [each for each in names if each not in recorded]
        if without and not _stands(account, without[0]):
            names = [each for each in names if each in recorded]
    sources = {entry["name"]: accounts.get("source", entry["source"]) for entry in params["tables"] if entry["source"]}
    seen = _look(account, everything, wanted, names, sources)
    known = status.rows(everything, home, now, seen.standing, wanted)
    rows = status.matching(known, names, seen.standing, wanted)
    runs = status.runs(everything, now)
    if store is None:
        words = f"There is no record table {name} in account {account.account_id}, {account.region}"
        # What was begun shows that there was one: somebody has deleted it.
        begun = any(row["job"] or row["migration"] for row in rows)
        words += ", though runs have begun: what they began is below." if begun else ": no run has begun."
    else:
        count = len(known if names is None else rows)
        words = f"{name} in account {account.account_id}, {account.region}: {count} table{'s'[: count != 1]}."
    return {
        "changed": False,
        "tables": rows,
        "runs": runs,
        "unseen": list(seen.unseen),
        "record_table_arn": "" if store is None else store.table.arn,
        "lines": [
            words,
            *(f"{each['held_by']}: {each['tables']} of them" for each in runs),
            *status_table(rows),
            *status.unseen_lines(seen.unseen),
        ],
        "msg": words,
    }


def _stands(account: Account, name: str) -> bool:
    """Whether a table stands under ``name``, as far as can be seen."""
    try:
        return TableDefinition.find(account, name) is not None
    except FerryError:
        return False


def _look(
    account: Account,
    everything: Everything,
    wanted: Mapping[str, Wanted],
    names: Sequence[str] | None,
    accounts: Mapping[str, Account],
) -> Standings:
    records = {record.name: record for record in everything.records if record.key == table_key(record.name)}
    hidden = {each.key for each in everything.unreadable}  # what such a record says is not known
    shown = dict.fromkeys((*records, *wanted) if names is None else names)
    sources = {name: of.source_table for name, of in wanted.items()}
    looked_at = [name for name in shown if table_key(name) not in hidden]
    seen = look_around(account, looked_at, records, sources, FILLINGS)
    return look_at_sources(account, seen, wanted, accounts, records, SOURCE_JOBS)


VERB = Verb("migration_status_info", SPEC, run, services=("backup", "dynamodb", "sts"))
