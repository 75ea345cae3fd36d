# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened to each table, as lines for a terminal. Pure: values in, values out."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..steps.comparison import LEVELS, compared_with
from .alike import Order, first_of, merged

COLUMNS = ("name", "method", "status", "items_source", "items_destination", "seconds", "verified", "reason")
STATUS_COLUMNS = (
    "name", "method", "state", "copy_state", "job", "percent", "items_source", "items_destination", "verified",
    "data_as_of", "since", "held_by",
)  # fmt: skip
VERIFIED_COLUMNS = (
    "name", "level", "compared_with", "items_source", "items_destination", "missing", "different", "extra", "result",
)  # fmt: skip
CLEANED_COLUMNS = ("name", "removed", "kept", "result")
NUMBERS = frozenset(
    {"items_source", "items_destination", "seconds", "percent", "missing", "different", "extra", "removed", "kept"}
)
MOST_LINES = 50  # of one kind in what is shown of a run; the report has all
MOST_GROUPS = 10  # of the tables of a large run to which the same happened
MOST_CAUSES = 15  # for which tables of a large run were stopped
MOST_REMARKS = 5  # of one kind in what is shown of a large run
MOST_NAMES = 10  # of the tables that a cause concerns
MOST_SPANS = 3  # of names of the tables to which the same happened
# A table with another status needs attention.
EXPECTED = frozenset({"migrated", "copied", "planned"})
STOPPED = frozenset({"failed", "refused"})
REASON_WIDTH = 100  # characters of a reason in the text table; the report has all of it


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for a terminal, one line each, numbers to the right."""
    return "\n".join(
        _aligned(COLUMNS, [[_cell(column, _shown(entry, column)) for column in COLUMNS] for entry in rows])
    )


def overview(rows: Sequence[Mapping[str, Any]], check_mode: bool = False, written: bool = True) -> list[str]:
    """What is shown of a run: of up to 50 tables a row each, of more the tables to which the same happened in one line;
    in full why tables were stopped and what the table has no room for, remarks, and a summary. Of any number of tables
    less than 60 lines, or 5 for each of up to 50; where no report is ``written``, as in check mode, all reasons."""
    whole = check_mode or not written
    few = len(rows) <= MOST_LINES
    changed = [str(entry["name"]) for entry in rows if entry.get("changed")]
    remarks = {
        "note": noted(rows),
        "not carried": not_carried(rows),
        "drift": drifted(rows),
        "applied": applied(rows),
        "would change" if check_mode else "changed": [_names(changed)] if changed else [],
    }
    most = MOST_LINES // 2 if few else MOST_REMARKS
    return [
        *(_each(rows) if few else _together(rows, whole)),
        *(line for kind, found in remarks.items() for line in _at_most(kind, found, most)),
        summary(rows),
    ]


def _each(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """A few tables, each with a row, and below these the reasons for which they have no room."""
    return [
        *text_table([_brief_row(entry) for entry in rows]).splitlines(),
        *(f"{entry['name']}: {_shown(entry, 'reason')}" for entry in rows if _is_stopped(entry)),
        *_causes([entry for entry in rows if entry["status"] not in STOPPED and _is_long(entry)], MOST_LINES),
    ]


def _together(rows: Sequence[Mapping[str, Any]], whole: bool) -> list[str]:
    """Many tables, those to which the same happened in one line: first the expected, then all others, for each cause
    one line that names all its tables; the ``whole`` of it, or the most of each kind."""
    usual = [entry for entry in rows if entry["status"] in EXPECTED]
    special = [entry for entry in rows if entry["status"] not in EXPECTED]
    order = Order(str(entry["name"]) for entry in rows)
    groups, causes, remarks = (len(rows) if whole else most for most in (MOST_GROUPS, MOST_CAUSES, MOST_REMARKS))
    return [
        *_grouped(usual, order, groups),
        *_stopped(special, order, causes),
        *_causes([entry for entry in usual if _is_long(entry)], remarks),
    ]


def _at_most(kind: str, lines: Sequence[str], most: int) -> list[str]:
    """``lines`` of a ``kind``, those above ``most`` as their number."""
    more = [f"{kind}: {len(lines) - most} more"] if len(lines) > most else []
    return [*(f"{kind}: {line}" for line in lines[:most]), *more]


def _brief_row(entry: Mapping[str, Any]) -> Mapping[str, Any]:
    return {**entry, "reason": "see below"} if _is_stopped(entry) or _is_long(entry) else entry


def _is_stopped(entry: Mapping[str, Any]) -> bool:
    return bool(entry["status"] in STOPPED and entry["reason"])


def _is_long(entry: Mapping[str, Any]) -> bool:
    """Whether the table has no room for the reason of a row."""
    return len(" ".join(str(_shown(entry, "reason") or "").split())) > REASON_WIDTH


def _causes(rows: Iterable[Mapping[str, Any]], most: int) -> list[str]:
    """The reasons of ``rows`` in full, each once with its tables, those of most tables first, ``most`` of them."""
    found = merged((str(entry["name"]), str(_shown(entry, "reason"))) for entry in rows)
    lines = [f"{first_of(names, MOST_NAMES)}: {cause}" for cause, names in found]
    more = [f"and {len(lines) - most} more reasons"] if len(lines) > most else []
    return [*lines[:most], *more]


def _grouped(rows: Iterable[Mapping[str, Any]], order: Order, most: int) -> list[str]:
    """Tables to which the same happened in one line each, the largest group first, ``most`` of them."""
    found = merged((str(entry["name"]), _ending(entry)) for entry in rows)
    lines = [f"{order.named(names, MOST_SPANS)} {what}" for what, names in found]
    more = [f"and {len(lines) - most} more groups"] if len(lines) > most else []
    return [*lines[:most], *more]


def _ending(entry: Mapping[str, Any]) -> str:
    verified = "" if entry["verified"] == "none" else f", verified {entry['verified']}"
    reason = f": {_shown(entry, 'reason')}" if entry["reason"] else ""
    if _is_long(entry):
        reason = f": {_cell('reason', _shown(entry, 'reason'))} (see below)"
    return f"{entry['status']} by {entry['method']}{verified}{reason}"


def _stopped(rows: Iterable[Mapping[str, Any]], order: Order, most: int) -> list[str]:
    """A line for each cause with all its tables, ``most`` of them; those of further causes are named in one more."""
    found = merged(
        (str(entry["name"]), ": ".join(filter(None, (entry["status"], str(_shown(entry, "reason")))))) for entry in rows
    )
    further = [name for _text, names in found[most:] for name in names]
    more = f"for {len(found) - most} more reasons, which the report has: {order.named(further)}"
    return [*(f"{order.named(names)} {what}" for what, names in found[:most]), *([more] if further else [])]


def status_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """The rows of ``record.status`` as lines of a table for a terminal, what to do next below: it may be long."""
    cells = [[_cell(column, _status_value(entry, column)) for column in STATUS_COLUMNS] for entry in rows]
    tables: dict[str, list[str]] = {}
    for entry in rows:
        if entry["next"]:
            tables.setdefault(str(entry["next"]), []).append(str(entry["name"]))
    steps = [f"{_names(names)}: {step}" for step, names in tables.items()]
    return [*_aligned(STATUS_COLUMNS, cells), *(["", "Next:"] if steps else []), *steps]


def verified_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What the comparisons of tables came to, as lines for a terminal: of more than 50 tables those that are not equal.

    Rows have VERIFIED_COLUMNS and ``message``, which is shown where it says more than the row.
    """
    lines = _outcomes(VERIFIED_COLUMNS, rows, "equal")
    special = [entry for entry in rows if entry["message"] and not entry["message"].endswith("all are equal.")]
    return [*lines, *_messages(special, rows), summary({"status": entry["result"]} for entry in rows)]


def cleaned_table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """What was removed of the migrations of tables and what is kept, as ``verified_table``.

    Rows have CLEANED_COLUMNS, ``message``, and ``left``: what is kept, and the reason.
    """
    tables: dict[str, list[str]] = {}
    for entry in rows:
        for left in entry["left"]:
            tables.setdefault(f"{left['what']}: {left['reason']}", []).append(str(entry["name"]))
    kept = [f"{cause} [{_names(names)}]" for cause, names in tables.items()]
    return [
        *_outcomes(CLEANED_COLUMNS, rows, "cleaned up"),
        *_at_most("kept", kept, MOST_LINES),
        *_messages([entry for entry in rows if entry["message"]], rows),
        summary({"status": entry["result"]} for entry in rows),
    ]


def _outcomes(columns: Sequence[str], rows: Sequence[Mapping[str, Any]], usual: str) -> list[str]:
    shown = rows if len(rows) <= MOST_LINES else [entry for entry in rows if entry["result"] != usual]
    cells = [[_cell(column, entry[column]) for column in columns] for entry in shown[:MOST_LINES]]
    more = [f"and {len(shown) - MOST_LINES} more of these"] if len(shown) > MOST_LINES else []
    return [*(_aligned(columns, cells) if cells else []), *more]


def _messages(rows: Sequence[Mapping[str, Any]], run: Iterable[Mapping[str, Any]]) -> list[str]:
    """The messages of ``rows`` in full, each once with all its tables among those of the ``run``."""
    whole = Order(str(entry["name"]) for entry in run)
    pairs = [(str(entry["name"]), str(entry["message"])) for entry in rows]
    found = merged((name, message.removeprefix(f"{name}: ")) for name, message in pairs)
    lines = [f"{whole.named(names)}: {message}" for message, names in found]
    more = [f"and {len(lines) - MOST_LINES} more reasons"] if len(lines) > MOST_LINES else []
    return [*lines[:MOST_LINES], *more]


def _status_value(entry: Mapping[str, Any], column: str) -> Any:
    """A value of a status row as its table shows it: mappings by what matters of them, an empty text as a dash."""
    value = entry.get(column)
    if column == "verified":
        value, evidence = value or {}, entry.get("evidence") or {}
        value = value.get("level") or value.get("verified") or (value and "yes")
        export = compared_with(evidence.get("comparison") or {})
        if export and value in LEVELS:
            value = f"{value}, with {export}"
        repaired = evidence.get("repaired")
        if repaired:
            how = "repaired" if "put" in repaired else "a repair did not end, begun"
            value = f"{value or 'no'}, {how} {repaired['at']}"
    elif column == "data_as_of":
        value = " to ".join(dict.fromkeys(str(each) for each in (value or {}).values()))
    elif column == "percent" and value is not None:
        value = f"{round(float(value))}%"
    return None if value == "" or value == {} else value


def _aligned(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    """``lines`` of cells below the names of their ``columns``, numbers to the right."""
    widths = [max(len(line[index]) for line in [columns, *lines]) for index in range(len(columns))]
    return [
        "  ".join(
            cell.rjust(width) if column in NUMBERS else cell.ljust(width)
            for column, cell, width in zip(columns, line, widths, strict=True)
        ).rstrip()
        for line in [columns, ["-" * width for width in widths], *lines]
    ]


def _shown(entry: Mapping[str, Any], column: str) -> Any:
    """A row's value as the table shows it: the reason without the name, which has a column of its own, or is that of
    the table where the host has another one."""
    value = entry.get(column)
    if column != "reason" or not value:
        return value
    names = [entry.get("name"), *((entry.get(side) or {}).get("table") for side in ("source", "destination"))]
    start = next((f"{name}: " for name in names if name and str(value).startswith(f"{name}: ")), "")
    return str(value).removeprefix(start)


def _cell(column: str, value: Any) -> str:
    if value is None:
        return "-"
    text = " ".join(str(value).split())
    return text if column != "reason" or len(text) <= REASON_WIDTH else f"{text[: REASON_WIDTH - 3]}..."


def not_carried(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What was not carried over, one line for each cause with its tables; empty when everything was."""
    tables: dict[str, list[str]] = {}
    for entry in rows:
        for left in entry["settings_left"]:
            tables.setdefault(f"{left['what']}: {left['reason']}", []).append(str(entry["name"]))
    return [f"{cause} [{_names(names)}]" for cause, names in tables.items()]


def noted(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What the user should know of single tables, each note once with its tables."""
    found = merged((str(entry["name"]), str(note)) for entry in rows for note in entry.get("warnings", ()))
    return [f"{first_of(names, MOST_NAMES)}: {note}" for note, names in found]


def drifted(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """In which settings finished copies differ from their sources, a line for each; only where that was looked at."""
    return [
        f"{entry['name']}: {change['what']}: {_brief(change['before'])} in the copy,"
        f" {_brief(change['after'])} in the source"
        for entry in rows
        for change in entry.get("settings_drift", ())
    ]


def applied(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """What this run applied of the settings in which finished copies differed from their sources, a line for each."""
    return [change_line(entry["name"], change) for entry in rows for change in entry.get("settings_applied", ())]


def change_line(name: str, change: Mapping[str, Any]) -> str:
    """One change of the table ``name``, as data, in a line; what it risks where that is something."""
    risk = change.get("risk", "safe")
    values = f"{_brief(change['before'])} -> {_brief(change['after'])}"
    return f"{name}: {change['what']}: {values}{'' if risk == 'safe' else f' ({risk})'}"


def _brief(value: Any) -> str:
    text = "none" if value is None else " ".join(str(value).split())
    return text if len(text) <= REASON_WIDTH else f"{text[: REASON_WIDTH - 3]}..."


def _names(tables: Sequence[str]) -> str:
    """The names of some tables, of more than three their number."""
    return ", ".join(tables) if len(tables) < 4 else f"{len(tables)} tables"


def summary(rows: Iterable[Mapping[str, Any]]) -> str:
    """``8 tables: 7 migrated, 1 refused``."""
    counts: dict[str, int] = {}
    for entry in rows:
        counts[entry["status"]] = counts.get(entry["status"], 0) + 1
    total = sum(counts.values())
    parts = ", ".join(f"{count} {status}" for status, count in sorted(counts.items()))
    return f"{total} table{'' if total == 1 else 's'}{': ' if parts else ''}{parts}"


def of_earlier(number: int) -> str:
    """That a ``number`` of tables are as earlier runs found them, for the end of a line; "" for none."""
    words = "table is as an earlier run" if number == 1 else "tables are as earlier runs"
    return f" {number} {words} found {'it' if number == 1 else 'them'}." if number else ""


def amount_of_bytes(number: int) -> str:
    """``1.5 GB``: powers of 1,000, as AWS bills staged data."""
    size, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{number} B" if unit == "B" else f"{size:.1f} {unit}"
