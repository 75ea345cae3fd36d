# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting the items of a table and of its copy, where no job of AWS's counts them: AWS Backup (design section 10)."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, TypeAlias

from . import sdk
from .account import Account
from .errors import CountMismatch, InvalidInput
from .job import Job, Page, Pause, Steps, WaitItem, ended_with
from .table.definition import TableDefinition

SEGMENT_BYTES = 256 * 1024 * 1024  # of a table that one segment of a counting scan reads, about
MOST_SEGMENTS = 16  # of one table at a time
STEP = 2.0  # seconds of scanning after which other tables have their turn
UNIT_BYTES = 4096  # that one read unit of a consistent scan reads (aws.md H)

Counting: TypeAlias = Generator[None, None, int]


def segments_for(size_bytes: int) -> int:
    """How many parallel scans count a table of that size, which DescribeTable tells hours late."""
    return min(max(size_bytes // SEGMENT_BYTES, 1), MOST_SEGMENTS)


def units_for(size_bytes: int) -> int:
    """The read units that counting a table of that size costs."""
    return -(-size_bytes // UNIT_BYTES)


def count_items(account: Account, table: str, segments: int) -> int:
    """How many items a table has, by a parallel Scan that returns none of them; it reads the whole table.

    Raises what Account.explain gives.
    """
    counting = count_in_steps(account, table, segments)
    while True:
        try:
            next(counting)
        except StopIteration as end:
            counted: int = end.value
            return counted


def count_in_steps(account: Account, table: str, segments: int) -> Counting:
    """As ``count_items``, handing control back every two seconds. Raises what Account.explain gives."""
    counted = 0
    starts: dict[int, Mapping[str, Any]] = {segment: {} for segment in range(segments)}
    while starts:
        deadline = time.monotonic() + STEP
        with ThreadPoolExecutor(len(starts)) as pool:
            parts = {
                segment: pool.submit(_count_segment, account, table, segment, segments, start, deadline)
                for segment, start in starts.items()
            }
        starts = {}
        for segment, part in parts.items():
            found, start = part.result()
            counted += found
            if start:
                starts[segment] = start
        if starts:
            yield
    return counted


def _count_segment(
    account: Account, table: str, segment: int, segments: int, start: Mapping[str, Any], deadline: float
) -> tuple[int, Mapping[str, Any]]:
    """The items of a segment from ``start`` until the deadline, and where to go on; {} at its end."""
    request: dict[str, Any] = {
        "TableName": table,
        "Select": "COUNT",
        "Segment": segment,
        "TotalSegments": segments,
        "ConsistentRead": True,
    }
    counted = 0
    while True:
        if start:
            request["ExclusiveStartKey"] = start
        try:
            page = account.client("dynamodb").scan(**request)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise account.explain(error, "counting the items", table) from error
        counted += int(page["Count"])
        start = page.get("LastEvaluatedKey") or {}
        if not start or time.monotonic() >= deadline:
            return counted, start


def compare_counts(items_source: int, items_destination: int, writes_stopped: bool) -> str:
    """What keeps the counts from proving the move; "" when they do. Raises CountMismatch.

    Equality is demanded only when writes to the source were stopped (design section 10).
    """
    if items_source == items_destination:
        return ""
    details = {"items_source": items_source, "items_destination": items_destination}
    if writes_stopped:
        raise CountMismatch(
            f"The source has {items_source} items, the restored table {items_destination}, though writes were stopped.",
            "Keep the source. Look whether AWS Backup's roles may use the keys of table and vaults: without, it reports"
            " jobs as done whose items are missing.",
            details=details,
        )
    if not items_destination:
        raise CountMismatch(
            f"The source has {items_source} items, the restored table none.",
            "Look whether AWS Backup's roles may use the keys of table and vaults. If the source was empty when it was"
            " backed up, delete the restored table yourself and run again.",
            details=details,
        )
    return (
        f"The source has {items_source} items now, the restored table has {items_destination}: writes went on after the"
        " backup. Stop them and set ferry_writes_stopped: true to have the counts compared."
    )


def count_job(table: str, source_table: str, *, writes_stopped: bool = False) -> Job:
    """The job that counts ``table`` and its source after a restore, before anybody takes the table for whole."""
    request = {"source_table": source_table, "writes_stopped": writes_stopped}
    return Job("count", table, state="pending", pending_reason="job", request=request)


class CountKind:
    """Counting, for the waiter: nothing to list, each job scans for a while and lets others have their turn."""

    def account(self, item: WaitItem) -> Account:
        """The destination's. Raises InvalidInput without one."""
        if item.destination is None:
            raise InvalidInput("The count's destination account is missing.", "Give destination.", table=item.job.name)
        return item.destination

    def list_page(self, account: Account, next_token: str) -> Page:
        """Empty: counts are no jobs of AWS's."""
        return Page({})

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Count both tables and compare. Begun again it counts anew."""
        destination, source, job = self.account(item), item.source, replace(item.job, state="running")
        if source is None:
            raise InvalidInput("The count's source account is missing.", "Give source.", table=job.name)
        source_table = job.request["source_table"]
        segments = segments_for(TableDefinition.read(source, source_table).size_bytes)
        counts = {}
        for side, account, table in (
            ("items_destination", destination, job.name),
            ("items_source", source, source_table),
        ):
            counting = count_in_steps(account, table, segments)
            while side not in counts:
                try:
                    next(counting)
                except StopIteration as end:
                    counts[side] = int(end.value)
                else:
                    yield Pause(job, "time")
        job = replace(job, pending_reason="", result={**counts, "table_id": job.request.get("table_id", "")})
        try:
            note = compare_counts(counts["items_source"], counts["items_destination"], job.request["writes_stopped"])
        except CountMismatch as error:
            return ended_with(job, error)
        return replace(job, state="completed", result={**job.result, "note": note})

    def after(self, job: Job, before: Job) -> Job | None:
        """The count of the restored table; a table that an earlier run has counted is not read again."""
        table_id = before.result.get("table_id", "")
        if before.result.get("judged_before"):
            known = {"table_id": table_id, "judged_before": True}
            return replace(job, state="not_needed", pending_reason="", result=known)
        return replace(job, request={**job.request, "table_id": table_id})
