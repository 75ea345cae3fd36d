# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How all tables of a record table are, and what the user should do about each. Pure: values in, plain data out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from ..errors import in_words
from . import lease as leases
from .lease import Lease, iso
from .parts import lacking, of_source
from .record import DELETE, FILL, WRITE, Record, Source, table_key
from .rules import REPLACED_NEXT, deleted, replaced_cause, source_gone, source_renewed, ways_out
from .store import Everything, Unreadable
from .takeover import GRACE

TOO_NEW = "unreadable"
NO_RECORD = "no record"
_WORDS = {
    "claimed": "Run migrate: nothing was begun for it, or its job is found and continued.",
    "filling": "Run migrate: what fills the table is found and continued.",
    "filled": "Run migrate: its settings and its comparison are still to come.",
    "settled": "Run migrate: its comparison is still to come.",
    "following": "",
    "handed_over": "",
    "done": "",
}
_OTHERWISE = "Otherwise choose another destination_table"
_ADOPT = (
    "Run migrate with adopt: true: it is compared with its source in full, and counts as filled only where both are"
    " equal. If nobody needs it, delete it and run migrate."
)


@dataclass(frozen=True)
class Wanted:
    """What the user says of a destination table: its source table, and the migration; empty where not known."""

    source_table: str = ""
    migration: str = ""


@dataclass(frozen=True)
class Standing:
    """What stands under a name in the destination: the ``table_id`` of the table, empty for none.

    Where no record explains the table, ``migration`` is the one that its tags or the job that made it name, ``marked``
    whether it is one of ours at all; ``running`` is the job that brings it now, as in "an import", and ``running_of``
    the migration which that is of, empty where not known. One that runs in the source account, and does not make the
    table itself, has run ``in_source_since``. ``source`` is the source table of a record, without a TableId for
    one that is not there; None where nobody looked.
    """

    table_id: str = ""
    marked: bool = False
    migration: str = ""
    running: str = ""
    running_of: str = ""
    in_source_since: str = ""
    source: Source | None = None


NOTHING: Mapping[str, Any] = MappingProxyType({})


def rows(
    everything: Everything,
    home: str,
    now: float,
    standing: Mapping[str, Standing] = NOTHING,
    wanted: Mapping[str, Wanted] = NOTHING,
) -> list[dict[str, Any]]:
    """One row for each record, by name; ``home`` is the TableId of the record table, ``now`` AWS's time.

    ``standing`` is what stands under those names that were looked at, ``wanted`` what the user says of them. A record
    of a newer version is a row too: its state is ``unreadable``, and ``next`` says why.
    """
    found = [
        _row(
            record,
            everything.leases.get(record.run),
            home,
            now,
            standing.get(record.name),
            wanted.get(record.name, Wanted()),
        )
        for record in everything.records
    ]
    found += [_unreadable(each) for each in everything.unreadable if not each.key.startswith("use#")]
    return sorted(found, key=lambda row: str(row["name"]))


def rows_of_sources(everything: Everything, home: str, now: float) -> list[dict[str, Any]]:
    """As ``rows``, with one row for each source of a record that was read: of a merge what is known of that source's
    part. ``source_table_id`` is the TableId of the source that it is about, empty for one that was not begun."""
    found = []
    for record in everything.records:
        lease = everything.leases.get(record.run)
        whole = _row(record, lease, home, now, None, Wanted())
        for arn in sorted(record.sources):
            own = of_source(record, arn)
            alone = replace(own, jobs=own.part_jobs, parts={})
            row = {**_row(alone, lease, home, now, None, Wanted()), "parts": whole["parts"]}
            found.append({**row, "source_table_id": own.source.table_id})
    return sorted(found, key=lambda row: (str(row["name"]), str(row["source"])))


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


def _row(
    record: Record, lease: Lease | None, home: str, now: float, standing: Standing | None, wanted: Wanted
) -> dict[str, Any]:
    job = next((each for each in reversed(record.jobs) if each.is_open), None)
    begun = [each.intended_at for each in record.jobs if each.attempt == record.attempt]
    begun = begun or ([lease.who.since] if lease is not None and lease.who is not None else [])
    percent = None if job is None else job.result.get("percent", job.result.get("percent_done"))
    counted = {**record.evidence, **record.verified}
    items = record.evidence.get("items")
    parts = {arn: part.state for arn, part in sorted(record.parts.items())}
    if parts and not record.is_done:
        parts[record.source.arn] = record.state
    return {
        "name": record.name if record.key == table_key(record.name) else record.key,
        "source": record.source.arn,
        "migration": record.migration,
        "method": record.method,
        "state": "claimed" if _incomplete(record) else record.state,
        "copy_state": copy_state(record, standing),
        "attempt": record.attempt,
        "job": "" if job is None else f"{job.kind} {job.state}",
        "percent": percent,
        "items_source": _sum(record, "items_source", counted.get("items_source", items)),
        "items_destination": _sum(record, "items_destination", counted.get("items_destination", items)),
        "evidence": dict(record.evidence),
        "verified": dict(record.verified),
        "data_as_of": dict(record.data_as_of),
        "parts": parts,
        "since": iso(min(begun)) if begun else "",
        "run": record.run,
        "held_by": held_words(lease, record.run, now) if record.run else "",
        "next": _next(record, lease, home, now, standing, wanted),
    }


def _sum(record: Record, name: str, own: int | None) -> int | None:
    """The count ``name`` of the ``record``, whose own is ``own``: of a merge, of all parts that are done."""
    counts = [{**part.evidence, **part.verified}.get(name) for part in record.parts.values() if part.state == "filled"]
    if not counts:
        return own
    return None if None in counts else sum(int(count or 0) for count in counts)


def needs_tags(record: Record, table_id: str) -> bool:
    """Whether the ``record`` does not explain the table ``table_id`` of its name, so that its tags are of interest."""
    return bool(table_id) and not record.table_id and record.open_job(FILL) is None


def copy_state(record: Record, standing: Standing | None) -> str:
    """Whether the copy that the ``record`` knows stands: see migration_status_info. Empty where nobody looked."""
    if standing is None:
        return ""
    if needs_tags(record, standing.table_id):
        return "unknown"
    if record.table_id and standing.table_id not in ("", record.table_id):
        return "replaced"
    if record.table_id and not standing.table_id:
        return "none" if any(map(record.open_job, (FILL, WRITE, DELETE))) else "deleted"
    return "there" if standing.table_id else "none"


def _of_copy(record: Record, standing: Standing | None) -> str:
    """What the user should do about a copy that is not as the ``record`` says; empty where it is."""
    copy = copy_state(record, standing)
    if standing is None or copy in ("", "there", "none"):
        return ""
    if copy == "replaced":
        return f"{replaced_cause(record.name, standing.table_id, record.table_id)} {REPLACED_NEXT}"
    if copy == "unknown":
        return _unknown(standing, Wanted(migration=record.migration))
    return " ".join(deleted(record))


def _of_source(record: Record, standing: Standing | None) -> str:
    """What the user should do about a source that is not the one that the ``record`` knows; empty where it is."""
    source = standing.source if standing is not None else None
    if source is None or source.arn != record.source.arn or source.table_id == record.source.table_id:
        return ""
    if not source.table_id:
        return " ".join(source_gone(record) or ())
    return " ".join(source_renewed(record)) if record.table_id else ""


def _unknown(standing: Standing, wanted: Wanted) -> str:
    """What to do about a table that no record explains."""
    if not standing.marked:
        return (
            "A table that TableFerry did not make stands under this name, and is not touched. Choose another"
            " destination_table; or delete that table, if nobody needs it, and run migrate."
        )
    if standing.migration and wanted.migration not in ("", standing.migration):
        of = f"The table belongs to migration {standing.migration}, and migration_id is {wanted.migration}."
        ways = f"{_OTHERWISE}; or delete that table, if nobody needs it, and run migrate."
        return f"{of} {_set_id(standing.migration)} {ways}"
    return f"The table is one of migration {standing.migration}, and no record says how far it is. {_ADOPT}"


def _set_id(migration: str) -> str:
    return f"Set migration_id to {migration} to go on with it."


def other_migration(record: Record, wanted: Wanted) -> str:
    """What to do about a ``record`` that is not of what the user wants; empty where it is."""
    if record.is_untouched:
        return ""
    if wanted.migration not in ("", record.migration):
        of = f"It belongs to migration {record.migration}, and migration_id is {wanted.migration}."
        return f"{of} {_set_id(record.migration)} Otherwise: {ways_out(record)}"
    sources = {arn.rpartition("/")[2] for arn in record.sources}
    if wanted.source_table and wanted.source_table not in sources and not record.parts:
        return f"It is the copy of {record.source.arn}, not of {wanted.source_table}. {ways_out(record)}"
    return ""


def _incomplete(record: Record) -> str:
    """What to do about a finished table of several sources that lacks items of some; empty elsewhere."""
    sources = lacking(record) if record.state == "done" else []
    return f"Run migrate: it lacks the items of {', '.join(sources)}." if sources else ""


def _differing(record: Record) -> str:
    """What to do about a finished table that counts as not verified because the counts differ; empty elsewhere."""
    verified = record.verified
    here, there = verified.get("items_source"), verified.get("items_destination")
    if verified.get("verified") != "none" or here is None or there is None or here == there:
        return ""
    return (
        f"It is migrated but not verified: {here} items were in the source and {there} in the destination. Run verify"
        " with full, which shows what differs."
    )


def repaired_since(evidence: Mapping[str, Any]) -> str:
    """What was repaired of a finished table, by the record's ``evidence``, in words; empty where nothing was."""
    repaired = evidence.get("repaired")
    if not repaired:
        return ""
    before = "The counts and data_as_of are those of before."
    if "put" not in repaired:
        return f"A repair by verify began at {repaired['at']} and did not end: run verify again. {before}"
    left = f", {repaired['left']} left as they were" if repaired.get("left") else ""
    return (
        f"Repaired by verify at {repaired['at']}: {repaired['put']} put, {repaired['deleted']} deleted{left}. {before}"
    )


def _next(record: Record, lease: Lease | None, home: str, now: float, standing: Standing | None, wanted: Wanted) -> str:
    """What the user should do; empty where there is nothing to do."""
    other = other_migration(record, wanted)
    if other:
        return other
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
    found = _of_copy(record, standing) or _of_source(record, standing)
    if found or record.next:
        return found or record.next
    if record.is_done:
        return _incomplete(record) or _differing(record)
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
        "copy_state": "",
        "attempt": None,
        "job": "",
        "percent": None,
        "items_source": None,
        "items_destination": None,
        "evidence": {},
        "verified": {},
        "data_as_of": {},
        "parts": {},
        "since": "",
        "run": "",
        "held_by": "",
        "next": f"{each.why} {each.next}",
    }


def unseen_lines(unseen: Iterable[str]) -> list[str]:
    """What could not be looked at, as lines of text."""
    return [f"not compared with what stands in the account: {why}" for why in unseen]


def missing(
    name: str, source: str = "", standing: Standing | None = None, wanted: Wanted | None = None
) -> dict[str, Any]:
    """The row of a table without a record, in the shape of all others."""
    row = {**_unreadable(Unreadable(table_key(name), "", "")), "state": NO_RECORD, "source": source}
    wanted = wanted or Wanted()
    if standing is not None:
        row["copy_state"] = "unknown" if standing.table_id else "none"
        if standing.running:
            row |= {
                "job": f"{standing.running.split()[1]} running",
                "migration": standing.running_of,
                "since": standing.in_source_since,
            }
            return {**row, "next": _running(standing, wanted)}
        if standing.table_id:
            return {**row, "migration": standing.migration, "next": _unknown(standing, wanted)}
    return {**row, "next": "Run migrate: no run has begun this table."}


def _running(standing: Standing, wanted: Wanted) -> str:
    """What to do about a table without a record which a job brings now."""
    if standing.in_source_since:
        return _running_in_source(standing, wanted)
    of = f" of migration {standing.running_of}" if standing.running_of else ""
    words = f"No record of it, but {standing.running}{of} brings it now"
    if of and wanted.migration not in ("", standing.running_of):
        return f"{words}, and migration_id is {wanted.migration}. {_set_id(standing.running_of)} {_OTHERWISE}."
    return f"{words}. Run migrate: it is found and continued."


def _running_in_source(standing: Standing, wanted: Wanted) -> str:
    """What to do about a table without a record for which a job runs in the source account."""
    of = f" of migration {standing.running_of}" if standing.running_of else ""
    words = f"No record of it, but {standing.running}{of} runs in the source account since {standing.in_source_since}"
    if not of:
        return (
            f"{words}; AWS does not say of which migration. Run migrate: with the method and the vault of that job it"
            " is found and continued."
        )
    if wanted.migration not in ("", standing.running_of):
        return (
            f"{words}, and migration_id is {wanted.migration}. Set migration_id to {standing.running_of} to go on with"
            " it; otherwise run migrate, which begins one of its own."
        )
    return f"{words}. Run migrate: it is found and continued."


def matching(
    found: list[dict[str, Any]],
    names: Iterable[str] | None,
    standing: Mapping[str, Standing] = NOTHING,
    wanted: Mapping[str, Wanted] = NOTHING,
) -> list[dict[str, Any]]:
    """The rows of ``names`` (destination tables) alone, all for None; also of ``names`` and ``wanted`` without a
    record."""
    known = {row["name"] for row in found}
    asked = dict.fromkeys((*wanted, *(row["name"] for row in found)) if names is None else names)
    shown = [row for row in found if row["name"] in asked]
    without = [name for name in asked if name not in known]
    made = [
        missing(name, wanted.get(name, Wanted()).source_table, standing.get(name), wanted.get(name)) for name in without
    ]
    return sorted(shown + made, key=lambda row: str(row["name"]))
