# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as data: what report.json has, and of what the page and the Markdown are made. Pure.

``docs/report.schema.json`` describes it; ``VERSION`` grows with what is added, and by a whole number where something
is taken away or changes its meaning.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ..steps.claim_job import KIND as CLAIM
from .left_to_do import after_cleanup
from .row import MOVED, Row, TablePlace, row

VERSION = "1.1"
UNKNOWN = "unknown"  # the status of a table of whose migration this report knows nothing
MOST_NAMED = 50  # failed tables in what AWX is handed
ATTENTION = ("failed", "refused", "planned", "copied", "migrated", UNKNOWN)  # the order in which people look

Document = dict[str, Any]


@dataclass(frozen=True)
class WrittenBy:
    """Who writes a report: the ``run``, its playbook's ``kind`` and when (ISO 8601)."""

    run: str
    kind: str
    at: str


def document(
    rows: Iterable[Row],
    written: WrittenBy,
    former: Mapping[str, Any] | None = None,
    others: Collection[str] = (),
    earlier: Collection[str] | None = None,
) -> Document:
    """The report of a run that migrated tables. Of a ``former`` report in the same folder it keeps what verify and
    cleanup found about copies that this run found finished: they are still the same; what it says of ``others``, the
    tables of the inventory that this run left alone, and of those no longer in it that were moved; and what a
    run beside this one has written, each with the run that found it. A source that was moved, and whose items a table
    of this run ``lacks``, has failed. ``earlier`` are the runs that the report named when this run began; None: that is
    not known."""
    before_all = former or {}
    known = _Known(before_all.get("tables", ()))
    tables, left_alone, lacks = [], set(others), list[tuple[Mapping[str, Any], str]]()
    for entry in rows:
        before = known.find(entry) if _was_finished(entry) else None
        kept = {part: before.get(part) for part in ("comparison", "cleanup")} if before else {}
        table = {**_EMPTY, **entry, **kept, "run": written.run}
        lacks += [(table["destination"], str(arn)) for arn in table.pop("lacks", ())]
        tables.append({**table, "to_do": _still_to_do(table)})
    own = _Known(tables)
    named = [{"run": before_all.get("run"), **entry} for entry in known.all() if own.find(entry) is None]
    beside = runs_of(former) - {*earlier, written.run} if earlier is not None else set()
    is_missing = _missing_in(tables)
    stays = [
        _gone(entry) if entry["run"] not in beside and _is_lacked(entry, lacks) else entry
        for entry in named
        if entry["name"] in left_alone or entry["run"] in beside or (entry["status"] in MOVED and is_missing(entry))
    ]
    places = {_account(entry["destination"]) for entry in stays}
    adoption = [each for each in before_all.get("adoption", ()) if _account(each) in places]
    return _document([*tables, *stays], written, adoption)


def _is_lacked(entry: Mapping[str, Any], lacks: Iterable[tuple[Mapping[str, Any], str]]) -> bool:
    """Whether a table that was moved is one of the sources, each a destination and an ARN, whose items that lacks."""
    if entry["status"] not in MOVED:
        return False
    source, mine = entry["source"], entry["destination"]
    return any(
        (mine["region"], mine["table"]) == (there["region"], there["table"])
        and (mine["account_id"] == there["account_id"] or not (mine["account_id"] and there["account_id"]))
        and (source["arn"] == arn if source["arn"] else arn.endswith(f":table/{source['table']}"))
        for there, arn in lacks
    )


def _gone(entry: Mapping[str, Any]) -> Row:
    """The row of a source whose items went with a copy of several sources, which was made anew without them."""
    step = "Run migrate for this source too."
    return {
        **entry,
        "status": "failed",
        "items_destination": None,
        "verified": "none",
        "data_as_of": {},
        "comparison": None,
        "reason": f"The copy {entry['destination']['table']} was deleted, and made anew without its items.",
        "next": step,
        "to_do": [{"what": "this table", "text": step}],
    }


def left_out(former: Mapping[str, Any] | None, found: Document) -> list[str]:
    """The tables of a ``former`` report that ``found`` has no more, under no other name either."""
    return [str(entry["name"]) for entry in filter(_missing_in(found["tables"]), (former or {}).get("tables", ()))]


def _missing_in(tables: Sequence[Mapping[str, Any]]) -> Callable[[Mapping[str, Any]], bool]:
    """Says of a table whether it is none of ``tables``, under no other name either."""
    hosts, ways = {str(entry["name"]) for entry in tables}, set(map(_way, tables))
    return lambda entry: entry["name"] not in hosts and _way(entry) not in ways


def of_earlier_runs(found: Mapping[str, Any]) -> int:
    """How many tables of the report are as earlier runs found them."""
    return sum(not _is_of_run(entry, found["run"]) for entry in found["tables"])


def runs_of(found: Mapping[str, Any] | None) -> set[str]:
    """The runs that the report ``found`` names."""
    return {str(entry.get("run") or found.get("run")) for entry in found["tables"]} if found else set()


def with_part(former: Mapping[str, Any] | None, part: str, rows: Iterable[Row], written: WrittenBy) -> Document:
    """The ``former`` report with what ``rows`` say as the ``part`` comparison or cleanup of their tables; a table that
    it does not know comes in with the status ``unknown``."""
    tables = [dict(entry) for entry in (former or {}).get("tables", ())]
    known = _Known(tables)
    for entry in rows:
        found = known.find(entry)
        if found is None:
            found = _unknown(entry)
            tables.append(found)
            known.add(found)
        found[part] = {**entry[part], "at": written.at, "run": written.run}
        found["to_do"] = _still_to_do(found)
    return _document(tables, written, list((former or {}).get("adoption", ())))


def is_readable(found: Any) -> bool:
    """Whether ``found``, from a file, is a report that this version can go on with."""
    try:
        tables = found["tables"]
        places = [
            place[name] for entry in tables for place in map(entry.get, _SIDES) for name in TablePlace().to_dict()
        ]
        sound = all({*_EMPTY, *row("", "")} <= entry.keys() for entry in tables)
        for way in (way for place in found.get("adoption", ()) for way in place["ways"]):
            sound = sound and isinstance(way["folder"], str) and all(isinstance(name, str) for name in way["files"])
        major = str(found["version"]).partition(".")[0]
    except (KeyError, TypeError, AttributeError):
        return False
    return sound and major == VERSION.partition(".")[0] and all(isinstance(place, str) for place in places)


_SIDES = ("source", "destination")
_EMPTY: Row = {
    "to_do": [],
    "cost": {"planned": None, "outcome": None},
    "plan": None,
    "comparison": None,
    "cleanup": None,
}


def _unknown(entry: Mapping[str, Any]) -> Row:
    found = row(str(entry["name"]), "")
    names = ("migration_id", "source", "destination")
    return {**_EMPTY, **found, **{name: entry[name] for name in names}, "status": UNKNOWN, "reason": ""}


def _still_to_do(table: Mapping[str, Any]) -> list[dict[str, str]]:
    steps, cleanup = table["to_do"], table["cleanup"]
    return after_cleanup(steps, str(table["source"]["table"]), cleanup) if cleanup else steps


class _Known:
    """Tables of a report, to be found again."""

    def __init__(self, tables: Iterable[Any]) -> None:
        self._by_name: dict[tuple[str, ...], list[Any]] = {}
        for entry in tables:
            self.add(entry)

    def add(self, entry: Any) -> None:
        self._by_name.setdefault(self._name(entry), []).append(entry)

    def all(self) -> Iterable[Any]:
        """All of them."""
        return (entry for entries in self._by_name.values() for entry in entries)

    def find(self, entry: Mapping[str, Any]) -> Any:
        """The one that is the table of ``entry``; None where there is none. An account that is not known on one side
        is taken for the other's."""
        account = entry["destination"]["account_id"]
        found = self._by_name.get(self._name(entry), [])
        exact = [each for each in found if each["destination"]["account_id"] == account]
        close = [each for each in found if not account or not each["destination"]["account_id"]]
        return next(iter([*exact, *close]), None)

    @staticmethod
    def _name(entry: Mapping[str, Any]) -> tuple[str, ...]:
        return (str(entry["name"]), str(entry["destination"]["region"]), str(entry["destination"]["table"]))


def _way(entry: Mapping[str, Any]) -> tuple[str, ...]:
    """From where to where the table goes, by ARN; its name where one of them is not known."""
    arns = (str(entry["source"]["arn"]), str(entry["destination"]["arn"]))
    return arns if all(arns) else (str(entry["name"]),)


def _account(place: Mapping[str, Any]) -> tuple[str, str]:
    return str(place["account_id"]), str(place["region"])


def _was_finished(entry: Mapping[str, Any]) -> bool:
    return any(job["kind"] == CLAIM and job["state"] == "not_needed" for job in entry["jobs"])


def _document(tables: list[Row], written: WrittenBy, adoption: Sequence[Mapping[str, Any]]) -> Document:
    tables.sort(key=lambda entry: (str(entry["name"]), str(entry["destination"]["arn"])))
    return {
        "version": VERSION,
        "run": written.run,
        "playbook": written.kind,
        "written_at": written.at,
        "totals": totals(tables),
        "tables": tables,
        "adoption": [dict(entry) for entry in adoption],
    }


def totals(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What all ``tables`` come to: their number, also by status, items and bytes of the copies, and from when to when
    jobs were at work ("" where nobody knows)."""
    starts, ends = ([job[at] for entry in tables for job in entry["jobs"] if job[at]] for at in ("start", "end"))
    statuses = [str(entry["status"]) for entry in tables]
    return {
        "tables": len(tables),
        "statuses": {status: statuses.count(status) for status in ATTENTION if status in statuses},
        "items": sum(entry["items_destination"] or 0 for entry in tables),
        "bytes": sum(entry["bytes"] or 0 for entry in tables),
        "start": min(starts, default=""),
        "end": max(ends, default=""),
    }


def attention(entry: Mapping[str, Any]) -> tuple[int, str]:
    """A key to sort tables by: those that need attention first, then by name."""
    status = str(entry["status"])
    place = ATTENTION.index(status) if status in ATTENTION else 0
    differs = bool(entry["comparison"]) and entry["comparison"]["result"] not in ("equal", "repaired")
    failed = bool(entry["cleanup"]) and entry["cleanup"]["result"] == "failed"
    return (min(place, 1) if differs or failed else place, str(entry["name"]))


def part_of(found: Document, keep: Callable[[Mapping[str, Any]], bool]) -> Document:
    """The report of those tables that are to ``keep``: what one account may see of it."""
    tables = [entry for entry in found["tables"] if keep(entry)]
    adoption = [entry for entry in found["adoption"] if keep({"destination": entry})]
    return {**found, "totals": totals(tables), "tables": tables, "adoption": adoption}


def artifact(found: Document, page: str, copies: Sequence[str]) -> dict[str, Any]:
    """What a workflow is handed of the tables that the run has worked on: small, whatever their number."""
    tables = [entry for entry in found["tables"] if _is_of_run(entry, found["run"])]
    failed = [str(entry["name"]) for entry in tables if _has_failed(entry)]
    return {
        "tables": len(tables),
        "statuses": totals(tables)["statuses"],
        "failed": failed[:MOST_NAMED],
        "failed_more": max(0, len(failed) - MOST_NAMED),
        "report": page,
        "copies": list(copies),
        "run": found["run"],
    }


def _is_of_run(entry: Mapping[str, Any], run: str) -> bool:
    return run in [part.get("run") for part in (entry, entry["comparison"], entry["cleanup"]) if part]


def _has_failed(entry: Mapping[str, Any]) -> bool:
    parts = [entry["comparison"], entry["cleanup"]]
    wrong = any(part and part["result"] in ("failed", "differs", "refused") for part in parts)
    return wrong or entry["status"] in ("failed", "refused")
