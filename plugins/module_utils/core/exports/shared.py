# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One export for several destination tables of a source table, by the export's record (design section 6).

``export#<source ARN>#<migration>`` lists the exports of a migration with their exact requests, each entered before its
first call, and the destination tables that use it. Who needs an export sends the request of an entry that serves: its
token makes AWS answer every sender with the same export. So nobody holds this record, and nobody waits for another run:
it is written on the condition that nobody else wrote it. Each table's own record follows the export to its end.

A source that is made anew has another TableId, and only an export of the table that stands serves. AWS says of which
one an export is: the request may have been written down when the other one stood.
"""

from __future__ import annotations

import math
from dataclasses import replace

from ..account import Account
from ..errors import Claimed, RecordBusy, RecordChanged
from ..jobs.entries import job_of_entry, to_text, token_of
from ..jobs.job import Job
from ..jobs.tracking import Tracking
from ..record.intention import CLIENT_TOKEN, repeats_until
from ..record.record import WRITE, JobEntry, Record, Source, export_key, table_key
from ..record.store import RecordStore
from ..route import Route
from ..table.definition import TableDefinition
from .at_once import ITEMS, is_without_time, lacks_items
from .export_request import PURPOSE, is_same_request, to_time
from .export_request import to_text as time_text
from .export_status import look_up
from .lost import lost_exports, was_imported
from .staging import StagingBucket

TRIES = 10  # writes of a record that others write at the same time
LOOKED_AT = 5  # the newest entries
KEPT_SECONDS = 90 * 86400  # AWS lists no export for longer


def agreed(source: Account, destination: Account | None, job: Job, record: Tracking | None) -> Job:
    """The export to begin for ``job``, which is about to be sent: that of another destination table, where it serves,
    else ``job`` itself, which others find from now on. With an ARN it was begun already. Raises RecordBusy, FerryError.
    """
    if record is None or destination is None or job.request["purpose"] != PURPOSE:
        return job
    last = record.latest(PURPOSE)
    if last is not None and token_of(last) == token_of(job):
        return job
    if last is not None and last.state in ("planned", "running"):  # agreed upon before, with its answer or without
        return last if last.arn else replace(last, state=job.state, pending_reason=job.pending_reason)
    store, request = record.run.store, job.request["source"]
    key = export_key(request["table_arn"], job.migration_id)
    for _try in range(TRIES):
        known = store.read(key)
        shared = known
        if shared is None or shared.home != store.home:  # of a record table that was restored: it proves nothing
            about = Source(request["table_arn"], request["table_id"])
            ver = known.ver if known is not None else 0
            shared = Record(key, store.home, job.migration_id, about, record.record.method, ver=ver)
            for lost in lost_exports(source, destination, job):
                entry = _used_by(_entry(lost, record), Route.from_dict(lost.request["route"]).destination_table)
                shared = shared.with_job(entry)
        serving = _serving(source, destination, job, record, shared)
        entry, export = serving if serving is not None else (_entry(job, record), job)
        try:
            _write(store, known, shared, _used_by(entry, record.name), record.now())
        except (Claimed, RecordChanged):
            continue  # somebody was faster: see what stands there now
        return export
    raise RecordBusy("Others write the record of this export at the same time.", "Run again.", table=job.name)


def _entry(job: Job, record: Tracking) -> JobEntry:
    at = math.floor(record.now())
    return JobEntry(PURPOSE, job.kind, 1, token_of(job), to_text(job), at, at)


def _used_by(entry: JobEntry, table: str) -> JobEntry:
    users = tuple(entry.result.get("users", ()))
    return entry if table in users else replace(entry, result={"users": [*users, table]})


def _write(store: RecordStore, known: Record | None, shared: Record, entry: JobEntry, now: float) -> None:
    if shared.job(entry.token) == entry:
        return
    jobs = shared.with_job(entry).jobs
    after = replace(shared, jobs=tuple(each for each in jobs if now - each.intended_at < KEPT_SECONDS))
    if known is None:
        store.claim(after)
    else:
        store.take(known, after)


def _serving(
    source: Account, destination: Account, job: Job, record: Tracking, shared: Record
) -> tuple[JobEntry, Job] | None:
    """The newest entry that serves for ``job``, with its export; None without one."""
    for entry in shared.jobs[: -LOOKED_AT - 1 : -1]:
        own = record.record.job(entry.token)
        refused = own is not None and own.state == "closed" and own.attempt == record.record.attempt
        if entry.state == "closed" or (own is not None and not refused):
            continue  # its data was removed, or this table had it in an earlier attempt
        theirs = job_of_entry(entry)
        read = replace(theirs, request={**theirs.request, "source": job.request["source"]})
        if not is_same_request(read, job):
            continue
        export = _looked_up(source, theirs, job, record)
        if export is None:
            continue
        if export.arn:
            if (
                _is_of_present(source, export)
                and not was_imported(destination, export)
                and _is_there(destination, export)
            ):
                return entry, export
        elif read == theirs and not refused and record.now() < repeats_until(entry, CLIENT_TOKEN):
            return entry, export
    return None


def _looked_up(source: Account, theirs: Job, job: Job, record: Tracking) -> Job | None:
    """The export ``theirs`` as one of this table, with its state now; None where it failed, or shows too early a time
    for ``job``."""
    asked, now = theirs.request["call"].get("ExportTime"), record.now()
    shows = to_time(asked).timestamp() if asked else now
    more: dict[str, object] = {"call": theirs.request["call"]}
    if is_without_time(theirs.request):
        more[ITEMS] = theirs.request[ITEMS]
    if theirs.request["call"]["S3Prefix"] != job.request["call"]["S3Prefix"]:
        more["shared"] = True
    if job.request.get("not_before"):
        if not asked or shows < record.run.began:
            return None
        more["not_before"] = time_text(to_time(asked))
    export = look_up(source, replace(job, attempt=theirs.attempt, request={**job.request, **more}))
    if lacks_items(export):
        return None
    if export.state == "completed":
        ended = export.result.get("end_time") or export.result.get("export_time") or ""
        shows = to_time(ended).timestamp() if ended else shows
    elif export.arn:
        return export if export.state == "running" else None
    return export if now - shows <= job.request["max_age"] else None


def _is_of_present(source: Account, export: Job) -> bool:
    """Whether ``export`` is of the table that stands now, where that is not the one which was read: else the source was
    made anew in between, and an export that is asked for now would be of the new table, too."""
    exported, read = export.result.get("table_id", ""), export.request["source"]
    if not exported or exported == read["table_id"]:
        return True
    there = TableDefinition.find(source, export.name)
    return there is not None and there.table_id == exported


def _is_there(destination: Account, export: Job) -> bool:
    """Whether the export runs, or its manifest is where it was written."""
    if export.state != "completed":
        return True
    return (
        StagingBucket.from_dict(destination, export.request["bucket"]).find(export.result["manifest_key"]) is not None
    )


# Before its data is removed


def needed_by(store: RecordStore, table: str, source_arn: str, migration: str, prefix: str) -> list[str]:
    """The destination tables other than ``table`` that still need an export below ``prefix``. Reads only."""
    shared = store.read(export_key(source_arn, migration))
    return [] if shared is None else _needing(store, shared, table, prefix)


def withdraw(store: RecordStore, table: str, source_arn: str, migration: str, prefix: str) -> list[str]:
    """Let nobody else use the exports below ``prefix``, whose data is about to be removed; the tables that still need
    one, where there are any: then it must stay. Raises RecordBusy."""
    for _try in range(TRIES):
        shared = store.read(export_key(source_arn, migration))
        if shared is None:
            return []
        names = _needing(store, shared, table, prefix)
        jobs = tuple(
            replace(entry, state="closed", request="") if entry.request and _prefix(entry) == prefix else entry
            for entry in shared.jobs
        )
        if names or jobs == shared.jobs:
            return names
        try:
            store.take(shared, replace(shared, jobs=jobs))
        except RecordChanged:
            continue
        return []
    raise RecordBusy("Others write the record of this export at the same time.", "Run again.", table=table)


def _needing(store: RecordStore, shared: Record, table: str, prefix: str) -> list[str]:
    entries = [entry for entry in shared.jobs if entry.request and _prefix(entry) == prefix]
    users = {(name, entry.token) for entry in entries for name in entry.result.get("users", ()) if name != table}
    return sorted({name for name, token in users if _needs(store.read(table_key(name)), shared, token)})


def _needs(record: Record | None, shared: Record, token: str) -> bool:
    """Whether the table of ``record`` may still be filled from the export ``token``, or compared with it: what a job of
    ours writes goes on with the same export after it has failed, and a full comparison reads the export."""
    if record is None or record.migration != shared.migration or record.is_done:
        return False
    if record.state not in ("claimed", "filling") and record.last_job(WRITE) is None:
        return False
    last = record.last_job(PURPOSE)
    if last is None or last.state == "closed":
        return bool(record.run)  # it may be about to write the export down
    return last.token == token and last.state != "failed"


def _prefix(entry: JobEntry) -> str:
    return str(job_of_entry(entry).request["call"]["S3Prefix"])
