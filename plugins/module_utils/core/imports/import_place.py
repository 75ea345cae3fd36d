# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What stands in the destination where an import is to make a table."""

from __future__ import annotations

import itertools
from collections.abc import Collection
from dataclasses import replace
from typing import ClassVar

from ..account import Account
from ..destination import has_mark, not_ours, unknown_state
from ..errors import FerryError
from ..exports.loading import Place
from ..jobs.job import Job
from ..jobs.tracking import Tracking
from ..record.intention import CLIENT_TOKEN, Window
from ..record.record import DELETE, FILL
from ..route import Route
from ..table.creation import require_importable
from ..table.definition import TableDefinition
from ..table_status import require_usable
from .failures import explain_failure
from .import_request import KIND
from .import_status import describe_import, find_started
from .lost import imports_of_route, running_import
from .memory import KEPT


def look_at_destination(destination: Account, route: Route, data_prefix: str = "") -> Place:
    """What is at the destination's name by AWS's list of imports; reads only. An import is ours if it reads what the
    route has staged, or ``data_prefix``.

    Raises DestinationExists when the table there is not ours (design section 11), StateUnknown when only its tags say
    that it is, ImportLocked while another import makes it, TableUnusable when it is our copy and is being deleted,
    archived or without its key.
    """
    table = TableDefinition.find(destination, route.destination_table)
    ours = imports_of_route(destination, route, data_prefix)
    last = next(ours, None)
    if last is not None and last.state == "running":
        return Place("running", last, table)
    if table is None:
        return Place("free", last)
    for each in itertools.chain([last] if last is not None else [], ours):
        if each.result["table_id"] == table.table_id:
            if each.state != "completed":
                return Place("partial", each, table)
            require_usable(table.raw)
            return Place("done", each, table)
    if has_mark(destination, table, route.migration_id, route.source_arn):
        raise unknown_state(table, route.source_table, "carries the tags of this migration")
    raise not_ours(destination, table, route.source_table)


def look_by_record(destination: Account, route: Route, record: Tracking) -> Place:
    """What is at the destination's name by the table's ``record``. Reads only.

    Raises DestinationExists for a table that no import of this record has made, TableUnusable when it is our copy and
    is being deleted, archived or without its key.
    """
    last = record.latest(FILL)
    if last is not None and last.kind != KIND:
        last = None  # another method made the table
    if last is not None and not last.arn:
        started = find_started(destination, last)
        # It may have ended: its end is read, and written, like any other's.
        last = last if started is None else replace(started, state="running", failure={})
    table = TableDefinition.find(destination, route.destination_table)
    if last is not None and last.state == "running":
        return Place("running", last, table)
    if table is None or record.record.open_job(DELETE) is not None:  # the latter in check mode only
        return Place("unfinished" if last is not None and not last.arn else "free", last)
    ours = (record.record.table_id, last.result.get("table_id") if last is not None else "")
    if table.table_id not in ours:
        raise not_ours(destination, table, route.source_table)
    if last is None or last.state != "completed" or record.record.state == "broken":
        return Place("partial", last, table)
    require_usable(table.raw)
    return Place("done", last, table)


class ImportLoader:
    """Imports, as the export before them sees them (``Loader``)."""

    kind: ClassVar[str] = KIND
    window: ClassVar[Window] = CLIENT_TOKEN
    kept: ClassVar[Collection[str]] = KEPT

    def require_loadable(self, definition: TableDefinition) -> None:
        """Raises LocalSecondaryIndexes."""
        require_importable(definition)

    def look(self, destination: Account, route: Route, record: Tracking | None) -> Place:
        """What is there by the ``record``, or by AWS's list of imports. Raises what those two ways raise."""
        return look_at_destination(destination, route) if record is None else look_by_record(destination, route, record)

    def explain(self, destination: Account, job: Job) -> FerryError:
        """What the import's log and its table say."""
        return explain_failure(destination, job)

    def close(self, record: Tracking, listed_at: float) -> None:
        """Close the intention of an import that is not to be sent any more. Raises NotYet."""
        last = record.latest(FILL)
        if last is not None and last.state == "planned":
            record.not_begun(last, self.window, listed_at)

    def running(self, destination: Account, route: Route) -> Job | None:
        """The import from the route's staging prefix that runs."""
        return running_import(destination, route)

    def look_up(self, destination: Account, job: Job) -> Job:
        """The import with its status now, found by its token where its ARN was lost."""
        return describe_import(destination, job) if job.arn else find_started(destination, job) or job
