# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the destination where an import is to make a table."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from ...account import Account
from ...destination import UNKNOWN_IMPORT, is_ours, not_ours
from ...jobs.job import Job
from ...jobs.tracking import Tracking
from ...record.intention import CLIENT_TOKEN
from ...record.record import FILL
from ...route import Route
from ...table.definition import TableDefinition
from ...table_status import require_usable
from .import_status import describe_import, find_started


@dataclass(frozen=True)
class Place:
    """What is at the destination's name, as far as this migration is concerned.

    ``free``: nothing of ours that matters. ``unfinished``: an import was about to start, and did not. ``running``,
    ``done`` and ``partial``: an import of ours runs, has completed, or has failed and left a table.
    ``job`` is the newest import of ours, ``table`` the table of the name where there is one.
    """

    state: Literal["free", "unfinished", "running", "done", "partial"]
    job: Job | None = None
    table: TableDefinition | None = None


def look_at_destination(destination: Account, route: Route, last: Job | None) -> Place:
    """What is at the destination's name; ``last`` is the newest import in the ledger. Reads only.

    Raises DestinationExists when the table there is not ours (design section 11), TableUnusable when it is our copy
    and is being deleted, archived or without its key.
    """
    table = TableDefinition.find(destination, route.destination_table)
    if last is not None and not last.arn:
        last = find_started(destination, last) or last
    if last is not None and last.arn and last.open:
        last = describe_import(destination, last)
    if last is not None and last.state == "running":
        return Place("running", last, table)
    if table is None:
        return Place("unfinished" if last is not None and not last.arn else "free", last)
    if last is not None and not last.arn and last.request.get("replaces") == table.table_id:
        return Place("unfinished", last, table)
    known = last is not None and last.failure_code != UNKNOWN_IMPORT
    if last is not None and known and last.result.get("table_id") == table.table_id:
        if last.state != "completed":
            return Place("partial", last, table)
        require_usable(table.raw)
        return Place("done", last, table)
    if is_ours(destination, table, route):
        require_usable(table.raw)
        # Marked by us, but the ledger has no import of it any more: only that it is ours is known.
        job = Job("import", route.destination_table, state="completed", migration_id=route.migration_id)
        return Place("done", replace(job, result={"table_id": table.table_id, "table_arn": table.arn}), table)
    raise not_ours(destination, table, route.source_table)


def look_by_record(destination: Account, route: Route, record: Tracking) -> Place:
    """What is at the destination's name by the table's ``record``. Reads only.

    Raises DestinationExists for a table that no import of this record has made, TableUnusable when it is our copy and
    is being deleted, archived or without its key.
    """
    last = record.latest(FILL)
    if last is not None and not last.arn:
        started = find_started(destination, last)
        # It may have ended: its end is read, and written, like any other's.
        last = last if started is None else replace(started, state="running", failure={})
    table = TableDefinition.find(destination, route.destination_table)
    if last is not None and last.state == "running":
        return Place("running", last, table)
    if table is None:
        return Place("unfinished" if last is not None and not last.arn else "free", last)
    ours = (record.record.table_id, last.result.get("table_id") if last is not None else "")
    if table.table_id not in ours:
        raise not_ours(destination, table, route.source_table)
    if last is None or last.state != "completed" or record.record.state == "broken":
        return Place("partial", last, table)
    require_usable(table.raw)
    return Place("done", last, table)


def close_import(record: Tracking, listed_at: float) -> None:
    """Close the intention of an import that is not to be sent any more. Raises NotYet while it may still be begun."""
    last = record.latest(FILL)
    if last is not None and last.state == "planned":
        record.not_begun(last, CLIENT_TOKEN, listed_at)
