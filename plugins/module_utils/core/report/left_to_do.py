# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the user has left to do for a table that was moved: what no migration of a table carries. Pure.

Steps are told of settings that the source is known to have, and of what nobody asked AWS about, for all tables.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from ..change import NOT_THERE, RECOVERY_POINT
from .row import MOVED, TablePlace

DELETED_TABLE_BACKUP = timedelta(days=35)  # kept of a deleted table that had point-in-time recovery (measured/settings)
STREAM = "24 hours"  # how long a stream keeps its records (aws.md J9)
STAGED = "staging data"
_KEPT = "cleanup kept it: "  # how what a cleanup left begins
_NOT_CARRIED = {"point-in-time recovery": "setting point_in_time_recovery"}  # what says the same before a cleanup
# What is told of every table of which it is true; no further step says it again as a setting that was not carried.
_TOLD = frozenset({"alarms", "iam_policies"})
_READ = frozenset({"stream", "kinesis_destination"})  # settings whose readers have a step of their own


def left_to_do(
    row: Mapping[str, Any], settings: Collection[str], now: datetime, staged: Collection[str] = ()
) -> list[dict[str, str]]:
    """The list of a table's ``row``, each entry with ``what`` and ``text``; what stopped the table first.

    ``settings`` are those that its source has (``row.settings_of_source``), ``staged`` what its method left in the
    accounts, in words.
    """
    if row["status"] not in MOVED:
        step = str(row.get("next") or "")
        return [{"what": "this table", "text": step}] if step else []
    here, there = (_place(row[side]) for side in ("source", "destination"))
    return [{"what": what, "text": text} for what, text in _steps(row, settings, here, there, now, staged)]


def _place(data: Mapping[str, str]) -> TablePlace:
    return TablePlace(data["table"], data["account_id"], data["region"])


def _named(place: TablePlace) -> str:
    return f"account {place.account_id or 'of the destination'}, {place.region or 'its Region'}"


def _steps(
    row: Mapping[str, Any],
    settings: Collection[str],
    here: TablePlace,
    there: TablePlace,
    now: datetime,
    staged: Collection[str],
) -> Iterator[tuple[str, str]]:
    if row["status"] == "copied":
        yield "the copy", "Only its data is in the destination account: run again with restore on."
    renamed = "" if here.table == there.table else ", under its new name"
    yield (
        "applications",
        f"Point them at the copy ({_named(there)}{renamed}), and give their IAM policies the ARNs of the copy, of its"
        " indexes and of its stream.",
    )
    if "stream" in settings:
        yield (
            "event sources",
            "Lambda triggers, pipes and other readers of the old stream do not come along: make them on the copy's"
            f" stream. The old stream keeps its records for {STREAM}.",
        )
    if "kinesis_destination" in settings and all(
        left["what"] != "kinesis_destination" for left in row["settings_left"]
    ):
        yield "Kinesis", "Readers of the old Kinesis data stream are to read that of the copy."
    yield (
        "alarms and dashboards",
        "CloudWatch alarms, dashboards and EventBridge rules that name the old table are to name the copy"
        f" ({_named(there)}).",
    )
    yield "DAX", "A DAX cluster serves tables of its own account and Region: make one there if the old table has one."
    yield (
        "backups",
        "Backups, recovery points and exports of the old table stay where they are. Take the copy into the backup plans"
        " of its account.",
    )
    told = {*_TOLD, "event_source_mappings"} if _READ.intersection(settings) else _TOLD
    for entry in row["settings_left"]:
        if entry["what"] not in told:
            yield f"setting {entry['what']}", f"It was not carried: {entry['reason']}"
    for words in staged:
        yield STAGED, words
    yield "old table", _old_table(settings, now)


def _old_table(settings: Collection[str], now: datetime) -> str:
    words = "Nobody deletes it but you, once nothing uses it any more."
    if "point_in_time_recovery" not in settings:
        return f"{words} It can be restored only from backups that you made of it."
    last = (now + DELETED_TABLE_BACKUP).date().isoformat()
    return (
        f"{words} Its point-in-time recovery ends with it; the backup that AWS then makes by itself is kept for"
        f" {DELETED_TABLE_BACKUP.days} days (until {last}, were it deleted today)."
    )


def after_cleanup(steps: Iterable[Mapping[str, str]], table: str, cleanup: Mapping[str, Any]) -> list[dict[str, str]]:
    """What is left to do of the ``steps`` of a table after a ``cleanup``, a part of the report: not what it removed,
    but what it kept. ``table`` is the source's."""
    before = [dict(step) for step in steps if not step["text"].startswith(_KEPT)]
    if cleanup["result"] != "cleaned up":
        return before
    left = [entry for entry in cleanup["left"] if entry["reason"] != NOT_THERE]
    points = [entry for entry in left if entry["what"].startswith(RECOVERY_POINT)]
    kept = [
        {"what": entry["what"].removesuffix(f" of {table}"), "text": f"{_KEPT}{entry['reason']}."}
        for entry in left
        if entry not in points
    ]
    gone = {_NOT_CARRIED[step["what"]] for step in kept if step["what"] in _NOT_CARRIED}
    # Until when recovery points are kept is told for all of them.
    gone |= set() if points else {STAGED}
    rest = [step for step in before if step["what"] not in gone]
    return [*rest[:-1], *kept, *rest[-1:]]


def grouped(tables: Iterable[Mapping[str, Any]]) -> list[tuple[str, str, list[str]]]:
    """What is left to do for ``tables``, each step once as its ``what``, its text and the tables' names; what most
    tables have first."""
    names: dict[tuple[str, str], list[str]] = {}
    for entry in tables:
        for step in entry["to_do"]:
            names.setdefault((step["what"], step["text"]), []).append(str(entry["name"]))
    return [(what, text, found) for (what, text), found in sorted(names.items(), key=lambda each: -len(each[1]))]
