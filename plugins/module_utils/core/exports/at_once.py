# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A small table whose point-in-time recovery was turned on this moment is exported at once.

For five minutes there is no instant that an export could be asked for. One that names none held all items, where that
was measured (aws.md A3), but a restore held none (measured/backup-restore-service 2.5). So the items of a table that
one page of a Scan shows whole are counted first: an export with fewer is not used, and the five minutes are waited out.
"""

from __future__ import annotations

from collections.abc import Generator, Mapping
from dataclasses import replace
from typing import Any

from .. import sdk
from ..account import Account
from ..errors import ExportFailed, NotYet
from ..jobs.entries import token_of
from ..jobs.job import Job, ended_with
from ..jobs.kind import FENCE_GAP, Pause
from ..jobs.token import with_token
from ..jobs.tracking import Tracking
from ..table.definition import TableDefinition
from .memory import memory_of
from .recovery import read_recovery, turn_on_recovery

ITEMS = "page_items"  # of an export without a time: what the page held
WAITS = "waits_for_recovery"  # of one whose export at once had too few
PAGE_BYTES = 1024 * 1024  # of a page of Scan
FRESH_SECONDS = 60.0  # since it was turned on: later the rest of the five minutes is waited out


def at_once(source: Account, job: Job) -> Job | None:
    """``job`` ready to start without a time, its token made; None where it has to wait for point-in-time recovery.

    Turns that on, where ``job`` allows it. Raises what Account.explain gives.
    """
    call = job.request["call"]
    if call["ExportType"] != "FULL_EXPORT" or "ExportTime" in call or job.request["filtered"]:
        return None
    if job.request.get("not_before") or job.request.get(WAITS):
        return None
    window = read_recovery(source, job.name)
    if not window.enabled and job.request["enable_point_in_time_recovery"] and turn_on_recovery(source, job):
        window = read_recovery(source, job.name)
    if not window.enabled or window.earliest is None or window.newest is not None:
        return None
    if (window.asked_at - window.earliest).total_seconds() > FRESH_SECONDS:
        return None
    if TableDefinition.read(source, job.name).size_bytes > PAGE_BYTES:
        return None
    items = _whole_page(source, job.name)
    if items is None:
        return None
    return with_token(replace(job, state="planned", pending_reason="", request={**job.request, ITEMS: items}))


def _whole_page(source: Account, table: str) -> int | None:
    """How many items the table has, where one page of a Scan shows all; None where it does not, or may not be read."""
    try:
        client = source.client("dynamodb", retries=0)
        page = client.scan(TableName=table, Select="COUNT", ConsistentRead=True)
    except (sdk.ClientError, sdk.BotoCoreError):
        return None  # of little capacity, without the permission: it waits, as larger ones do
    return None if page.get("LastEvaluatedKey") else int(page["Count"])


def counted_since(source: Account, job: Job) -> Job:
    """An export at once of which nobody knows any more what the page held: what the table holds now counts, and at
    least one item where that cannot be seen."""
    items = _whole_page(source, job.name)
    return replace(job, request={**job.request, ITEMS: 1 if items is None else items})


def is_without_time(request: Mapping[str, Any]) -> bool:
    """Whether the export of this ``request`` was asked for at once."""
    return ITEMS in request


def lacks_items(job: Job) -> bool:
    """Whether the completed export has fewer items than the page held that was read before it."""
    return job.state == "completed" and job.result.get("item_count", 0) < job.request.get(ITEMS, 0)


def accepted(source: Account, job: Job) -> Job:
    """``job``, which does not count as lacking items any more where the table has no more of them now than the export:
    they were deleted meanwhile."""
    if not lacks_items(job):
        return job
    items, exported = _whole_page(source, job.name), job.result["item_count"]
    return replace(job, request={**job.request, ITEMS: exported}) if items is not None and items <= exported else job


def again(job: Job, record: Tracking | None) -> Generator[Pause, str | None, Job]:
    """The export to make in place of ``job``, which lacks items: it waits for point-in-time recovery. What becomes of
    ``job`` is written into the ``record``; pauses where a former run's requests may still arrive."""
    error = ExportFailed(
        f"The export, begun just after point-in-time recovery was turned on, has {job.result['item_count']} items; the"
        f" table had {job.request[ITEMS]}.",
        "Another one is made when point-in-time recovery can show an instant.",
        table=job.name,
        details={"export_arn": job.arn},
    )
    memory, number = memory_of(record), job.attempt + 1
    if record is not None and memory is not None:
        entry = record.record.job(token_of(job))
        if entry is None or entry.is_open:
            memory.write(ended_with(job, error))
        while True:
            try:
                record.new_attempt(record.record.method)
                break
            except NotYet as early:
                left = float(early.details.get("until", 0)) - record.now()
                yield Pause(replace(job, state="running"), "time", min(max(left, 1.0), FENCE_GAP))
        number = record.number(str(job.request["purpose"]))
    request = {name: value for name, value in job.request.items() if name != ITEMS}
    call = {name: value for name, value in request["call"].items() if name != "ClientToken"}
    job = replace(
        job,
        state="pending",
        pending_reason="point_in_time_recovery",
        arn="",
        attempt=number,
        request={**request, "call": call, WAITS: True},
        result={},
        failure={},
    )
    yield Pause(job, "time")
    return job
