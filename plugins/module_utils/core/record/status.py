# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How all tables of a record table are, and what the user should do about each. Pure: values in, plain data out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from ..durations import in_words
from . import lease as leases
from .lease import Lease, iso
from .record import Record, table_key
from .store import Everything, Unreadable
from .takeover import GRACE

TOO_NEW = "unreadable"
_WORDS = {
    "claimed": "Run migrate: nothing was begun for it, or its job is found and continued.",
    "filling": "Run migrate: what fills the table is found and continued.",
    "filled": "Run migrate: its settings and its comparison are still to come.",
    "settled": "Run migrate: its comparison is still to come.",
    "following": "",
    "handed_over": "",
    "done": "",
}


def rows(everything: Everything, home: str, now: float) -> list[dict[str, Any]]:
    """One row for each record, by name; ``home`` is the TableId of the record table, ``now`` AWS's time.

    A record of a newer version is a row too: its state is ``unreadable``, and ``next`` says why.
    """
    found = [_row(record, everything.leases.get(record.run), home, now) for record in everything.records]
    found += [_unreadable(each) for each in everything.unreadable if not each.key.startswith("use#")]
    return sorted(found, key=lambda row: str(row["name"]))


def runs(everything: Everything, now: float) -> list[dict[str, Any]]:
    """The runs that hold tables, with how many: ``held by ann@ci-7 since .., renewed 12 s ago: 12 tables``."""
    counts = Counter(record.run for record in everything.records if record.run)
    return [
        {"run": run, "held_by": held_words(everything.leases.get(run), run, now), "tables": count}
        for run, count in sorted(counts.items())
    ]


def held_words(lease: Lease | None, run: str, now: float) -> str:
    """Who holds, in words, and whether that run is over: its tables are free for the next one then."""
    if lease is None:
        return f"run {run}, which has no lease any more"
    if lease.ended is not None:
        by = "it ended" if lease.ended.by == run else f"ended by run {lease.ended.by}"
        return f"{leases.held_by(lease, now)}; {by} at {iso(lease.ended.at)}"
    if _over(lease, now):
        return f"{leases.held_by(lease, now)}; its lease ran out {in_words(now - lease.until)} ago"
    return leases.held_by(lease, now)


def _over(lease: Lease | None, now: float) -> bool:
    return lease is None or lease.ended is not None or now > lease.until + GRACE


def _row(record: Record, lease: Lease | None, home: str, now: float) -> dict[str, Any]:
    job = next((each for each in reversed(record.jobs) if each.is_open), None)
    begun = [each.intended_at for each in record.jobs if each.attempt == record.attempt]
    begun = begun or ([lease.who.since] if lease is not None and lease.who is not None else [])
    percent = None if job is None else job.result.get("percent", job.result.get("percent_done"))
    counted = {**record.evidence, **record.verified}
    items = record.evidence.get("items")
    return {
        "name": record.name if record.key == table_key(record.name) else record.key,
        "source": record.source.arn,
        "migration": record.migration,
        "method": record.method,
        "state": record.state,
        "attempt": record.attempt,
        "job": "" if job is None else f"{job.kind} {job.state}",
        "percent": percent,
        "items_source": counted.get("items_source", items),
        "items_destination": counted.get("items_destination", items),
        "evidence": dict(record.evidence),
        "verified": dict(record.verified),
        "data_as_of": dict(record.data_as_of),
        "since": iso(min(begun)) if begun else "",
        "run": record.run,
        "held_by": held_words(lease, record.run, now) if record.run else "",
        "next": _next(record, lease, home, now),
    }


def _next(record: Record, lease: Lease | None, home: str, now: float) -> str:
    """What the user should do; empty where there is nothing to do."""
    if record.home != home:
        return (
            "The record table was restored or made anew after this record was written. Run migrate: it finds out how"
            " far the table is."
        )
    if record.run and not _over(lease, now):
        return record.next or (
            f"Nothing: run {record.run} works on it. If its process is gone for certain, run again with"
            f" take_over: {record.run}."
        )
    if record.next:
        return record.next
    words = _WORDS.get(record.state, "Run migrate.")
    wait = record.fence - now
    if words and not record.run and wait > 0:
        words += f" Items and settings wait until {iso(record.fence)} for requests of the former run."
    return words


def _unreadable(each: Unreadable) -> dict[str, Any]:
    return {
        "name": each.key.partition("#")[2] if each.key.startswith("table#") else each.key,
        "source": "",
        "migration": "",
        "method": "",
        "state": TOO_NEW,
        "attempt": None,
        "job": "",
        "percent": None,
        "items_source": None,
        "items_destination": None,
        "evidence": {},
        "verified": {},
        "data_as_of": {},
        "since": "",
        "run": "",
        "held_by": "",
        "next": f"{each.why} {each.next}",
    }


def missing(name: str, source: str = "") -> dict[str, Any]:
    """The row of a table without a record, in the shape of all others."""
    row = _unreadable(Unreadable(table_key(name), "", ""))
    return {**row, "state": "no record", "source": source, "next": "Run migrate: no run has begun this table."}


def matching(found: list[dict[str, Any]], names: Mapping[str, str] | None) -> list[dict[str, Any]]:
    """The rows of ``names`` (destination table: source table) alone, also of those without a record; all for None."""
    if names is None:
        return found
    known = {row["name"] for row in found}
    wanted = [row for row in found if row["name"] in names]
    return sorted(
        wanted + [missing(name, source) for name, source in names.items() if name not in known],
        key=lambda row: str(row["name"]),
    )
