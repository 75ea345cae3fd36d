# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting the items of a table and of its copy, where no job of AWS counts them: AWS Backup (design section 11)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import ClassVar

from ..account import Account
from ..change import Change
from ..data_plane import count_items, item_table
from ..errors import CountMismatch
from ..jobs.job import Job, ended_with
from ..jobs.kind import Made, OwnWork, Steps, WaitItem, made_of
from ..jobs.tracking import Tracking
from ..record.record import FILL
from ..table.definition import AS_OF, TableDefinition
from .background import Workbench, bounds_of

AT_ONCE = 4  # tables that one waiter counts at the same time
UNIT_BYTES = 4096  # that one read unit of a consistent scan reads (aws.md H)


def units_for(size_bytes: int) -> int:
    """The read units that counting a table of that size costs."""
    return -(-size_bytes // UNIT_BYTES)


def count_change(source_table: str, table: str, definition: TableDefinition) -> Change:
    """What counting both tables, of the size of ``definition``, costs."""
    units = {"read_units_of_each_table": units_for(definition.size_bytes), "as_of": AS_OF}
    return Change(f"count of {source_table} and {table}", None, units, "billed")


def compare_counts(items_source: int, items_destination: int, writes_stopped: bool) -> str:
    """Why the counts do not prove that all items were restored; "" when they do. Raises CountMismatch.

    Counts must be equal only when writes to the source were stopped (design section 11).
    """
    if items_source == items_destination:
        return ""
    details = {"items_source": items_source, "items_destination": items_destination}
    if writes_stopped:
        raise CountMismatch(
            f"The source has {items_source} items, the restored table {items_destination}, though writes were stopped.",
            "Keep the source. Check that AWS Backup's roles may use the keys of the table and the vaults: without them"
            " AWS reports jobs as completed although items are missing.",
            details=details,
        )
    if not items_destination:
        raise CountMismatch(
            f"The source has {items_source} items, the restored table none.",
            "Check that AWS Backup's roles may use the keys of the table and the vaults. If the source was empty when"
            " it was backed up, delete the restored table yourself and run again.",
            details=details,
        )
    return (
        f"The source has {items_source} items now, the restored table has {items_destination}: the source was written"
        " to after the backup. dynamodb_verify shows which items differ. To have what was written since: stop the"
        " writes, delete the copy, and run again with writes_stopped: true."
    )


def count_job(table: str, source_table: str, *, writes_stopped: bool = False) -> Job:
    """The job that counts ``table`` and its source after a restore, before the table counts as complete."""
    request = {"source_table": source_table, "writes_stopped": writes_stopped}
    return Job("count", table, state="pending", pending_reason="job", request=request)


class CountKind(OwnWork):
    """Counting, for the waiter: the controller does the work."""

    noun: ClassVar[str] = "count"
    plural: ClassVar[str] = "counts"

    def __init__(self) -> None:
        self._workbench = Workbench(AT_ONCE)

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Count both tables and compare. Started again, it counts again."""
        destination, source, job = self.account(item), item.need("source"), replace(item.job, state="running")
        tables = (
            ("items_destination", item_table(destination, job.name)),
            ("items_source", item_table(source, job.request["source_table"])),
        )
        counts = yield from self._workbench.steps(
            job,
            lambda show: {
                side: count_items(table, bounds=bounds_of(item.record, lambda: show(job))) for side, table in tables
            },
        )
        table = {name: job.request.get(name, "") for name in ("table_id", "table_arn")}
        job = replace(job, pending_reason="", result={**counts, **table})
        try:
            note = compare_counts(counts["items_source"], counts["items_destination"], job.request["writes_stopped"])
        except CountMismatch as error:
            return ended_with(job, _broken(destination, item.record, job, error))
        _record_filled(destination, item.record, job)
        return replace(job, state="completed", result={**job.result, "note": note})

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """The count of the restored table; a table that an earlier run counted is not read again."""
        table = {"table_id": made.table_id, "table_arn": made.table_arn}
        if made.counted:
            known = {**table, "judged_before": True}
            return replace(job, state="not_needed", pending_reason="", result=known)
        return replace(job, request={**job.request, **table})

    def made(self, job: Job) -> Made:
        """The table that was counted: a job whose counts differ has failed."""
        return made_of(job)


def _record_filled(destination: Account, record: Tracking | None, job: Job) -> None:
    """The table's ``record``, where what filled it has ended without having counted: filled, with the counts."""
    if record is None or record.record.state != "filling" or record.open_fill:
        return
    counts = {name: job.result[name] for name in ("items_source", "items_destination")}
    fill = record.latest(FILL)
    brought = fill.result if fill is not None else {}
    record.filled(
        job,
        seen_table_id=_seen(destination, job),
        evidence={**brought.get("evidence", {}), **counts},
        data_as_of=brought.get("data_as_of", {}),
    )


def _broken(destination: Account, record: Tracking | None, job: Job, error: CountMismatch) -> CountMismatch:
    """The ``error``, with the ways out where the ``record`` says now that the table is not whole."""
    if record is None or record.record.state != "filling" or record.open_fill:
        return error
    ways = f"{error.next_step} Delete the copy {job.name} yourself, then run again: its data is brought anew."
    record.broken(job, seen_table_id=_seen(destination, job), why=error.cause, next=ways)
    return CountMismatch(error.cause, ways, details=error.details)


def _seen(destination: Account, job: Job) -> str:
    table = TableDefinition.find(destination, job.name)
    return table.table_id if table is not None else ""
