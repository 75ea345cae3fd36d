# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened to each table, as lines for a terminal. Pure: values in, values out."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..steps.comparison import LEVELS, compared_with

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
# In what texts differ that say the same, besides the name of a table in an ARN or a key: instants, and ids of requests.
_INSTANT = r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|[+-]\d\d:\d\d)"
_REQUEST = "(request "
_OWN = rf"{_INSTANT}|(?<={re.escape(_REQUEST)})[^()\s]+"
_PLACE = "TABLE"  # stands for the names of several tables


def text_table(rows: Sequence[Mapping[str, Any]]) -> str:
    """The rows as a table for a terminal, one line each, numbers to the right."""
    return "\n".join(
        _aligned(COLUMNS, [[_cell(column, _shown(entry, column)) for column in COLUMNS] for entry in rows])
    )


def overview(rows: Sequence[Mapping[str, Any]], check_mode: bool = False) -> list[str]:
    """What is shown of a run: of up to 50 tables a row each, of more the tables to which the same happened in one line;
    in full why tables were stopped and what the table has no room for, remarks, and a summary. Of any number of tables
    less than 60 lines, or 5 for each of up to 50."""
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
        *(_each(rows) if few else _together(rows)),
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


def _together(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    """Many tables, those to which the same happened in one line: first the expected, then all others, for each cause
    one line that names all its tables."""
    usual = [entry for entry in rows if entry["status"] in EXPECTED]
    special = [entry for entry in rows if entry["status"] not in EXPECTED]
    whole = _Order(str(entry["name"]) for entry in rows)
    return [
        *_grouped(usual, whole),
        *_stopped(special, whole),
        *_causes([entry for entry in usual if _is_long(entry)], MOST_REMARKS),
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
    found = _merged((str(entry["name"]), str(_shown(entry, "reason"))) for entry in rows)
    lines = [f"{_first_names(names)}: {cause}" for cause, names in found]
    more = [f"and {len(lines) - most} more reasons"] if len(lines) > most else []
    return [*lines[:most], *more]


def _merged(told: Iterable[tuple[str, str]]) -> list[tuple[str, list[str]]]:
    """What is ``told`` of tables, as name and text: each text once with the names, that of most tables first. Texts
    that differ in nothing but instants, ids of requests and the table's own name in an ARN or a key are one, with the
    first and the last of the instants and one of the ids."""
    found: dict[tuple[str, ...], list[tuple[str, str, list[str]]]] = {}
    for name, text in told:
        own = re.compile(rf"{_OWN}|(?<=/){re.escape(name)}(?![\w.-])")
        pieces = [_PLACE if each == name else each for each in own.findall(text)]
        found.setdefault(tuple(own.split(text)), []).append((name, text, pieces))
    lines = [
        (
            alike[0][1] if len(alike) == 1 else _filled(parts, [own for *_told, own in alike]),
            [each[0] for each in alike],
        )
        for parts, alike in found.items()
    ]
    return sorted(lines, key=lambda line: -len(line[1]))


def _filled(parts: Sequence[str], own: Iterable[Sequence[str]]) -> str:
    """The text of ``parts`` with what is between each two of them in one of the texts, or in the first and the last."""
    ends = [(min(each), max(each)) for each in zip(*own, strict=True)]
    between = [
        first if first == last or part.endswith(_REQUEST) else f"{first} to {last}"
        for part, (first, last) in zip(parts, ends, strict=False)
    ]
    return "".join(part for pair in zip(parts, [*between, ""], strict=True) for part in pair)


def _first_names(names: Sequence[str]) -> str:
    more = [f"{len(names) - MOST_NAMES} more"] if len(names) > MOST_NAMES else []
    return ", ".join([*names[:MOST_NAMES], *more])


def _grouped(rows: Iterable[Mapping[str, Any]], whole: _Order) -> list[str]:
    """Tables to which the same happened in one line each, the largest group first."""
    found = _merged((str(entry["name"]), _ending(entry)) for entry in rows)
    lines = [f"{whole.named(names, MOST_SPANS)} {what}" for what, names in found]
    more = [f"and {len(lines) - MOST_GROUPS} more groups"] if len(lines) > MOST_GROUPS else []
    return [*lines[:MOST_GROUPS], *more]


def _ending(entry: Mapping[str, Any]) -> str:
    verified = "" if entry["verified"] == "none" else f", verified {entry['verified']}"
    reason = f": {_shown(entry, 'reason')}" if entry["reason"] else ""
    if _is_long(entry):
        reason = f": {_cell('reason', _shown(entry, 'reason'))} (see below)"
    return f"{entry['status']} by {entry['method']}{verified}{reason}"


def _stopped(rows: Iterable[Mapping[str, Any]], whole: _Order) -> list[str]:
    """A line for each cause with all its tables; those of further causes are named in one more."""
    found = _merged(
        (str(entry["name"]), ": ".join(filter(None, (entry["status"], str(_shown(entry, "reason")))))) for entry in rows
    )
    further = [name for _text, names in found[MOST_CAUSES:] for name in names]
    more = f"for {len(found) - MOST_CAUSES} more reasons, which the report has: {whole.named(further)}"
    return [*(f"{whole.named(names)} {what}" for what, names in found[:MOST_CAUSES]), *([more] if further else [])]


class _Order:
    """The names of all tables of a run in their order, numbers in them by value."""

    def __init__(self, names: Iterable[str]) -> None:
        self._places = {name: at for at, name in enumerate(sorted(names, key=_by_value))}

    def named(self, names: Iterable[str], most: int | None = None) -> str:
        """``names`` with their number. A span is written only where all tables of the run between its ends are in it;
        of the spans, ``most``."""
        found = list(self._spans(names))
        count = sum(map(len, found))
        if count == 1:
            return found[0][0]
        left = sum(map(len, found[most:])) if most is not None else 0
        words = [f"{span[0]} to {span[-1]}" if len(span) > 2 else ", ".join(span) for span in found[:most]]
        return f"{count} tables ({', '.join(words)}{f' and {left} more' if left else ''})"

    def _spans(self, names: Iterable[str]) -> Iterator[list[str]]:
        span: list[str] = []
        for name in sorted(names, key=self._places.__getitem__):
            if span and self._places[name] != self._places[span[-1]] + 1:
                yield span
                span = []
            span.append(name)
        if span:
            yield span


def _by_value(name: str) -> list[tuple[int, str]]:
    """A key to sort by: table2 comes before table10."""
    return [(int(part), "") if part.isdecimal() else (-1, part) for part in re.split(r"(\d+)", name)] + [(-2, name)]


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
    whole = _Order(str(entry["name"]) for entry in run)
    pairs = [(str(entry["name"]), str(entry["message"])) for entry in rows]
    found = _merged((name, message.removeprefix(f"{name}: ")) for name, message in pairs)
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
    """A row's value as the table shows it: the reason without the name, which has a column of its own."""
    value = entry.get(column)
    return str(value).removeprefix(f"{entry.get('name')}: ") if column == "reason" and value else value


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
    found = _merged((str(entry["name"]), str(note)) for entry in rows for note in entry.get("warnings", ()))
    return [f"{_first_names(names)}: {note}" for note, names in found]


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


def amount_of_bytes(number: int) -> str:
    """``1.5 GB``: powers of 1,000, as AWS bills staged data."""
    size, unit = float(number), "B"
    for larger in ("kB", "MB", "GB", "TB", "PB"):
        if size < 1000:
            break
        size, unit = size / 1000, larger
    return f"{number} B" if unit == "B" else f"{size:.1f} {unit}"
