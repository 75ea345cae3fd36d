# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as Markdown, for a ticket or a wiki. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ..jobs.progress import duration
from .alike import first_of
from .document import Document, attention, of_earlier_runs
from .harmless import harmless_tables
from .left_to_do import grouped
from .text import amount_of_bytes, of_earlier

NAMES_SHOWN = 12
_COLUMNS = ("Table", "Status", "Method", "Items", "Size", "Took", "Verified", "From", "To")
_NUMBERS = {"Items", "Size", "Took"}
_SPECIAL = re.compile(r"([\\`*_{}\[\]<>()#+!|~&:@-])")


def markdown(found: Document) -> str:
    """The report ``found`` as Markdown; nothing from outside is markup in it."""
    shown = harmless_tables(found)
    tables = sorted(shown["tables"], key=attention)
    return "\n".join([*_head(shown), *_table(tables), *_reasons(tables), *_to_do(tables), *_adoption(shown)]) + "\n"


def _plain(text: Any) -> str:
    return _SPECIAL.sub(r"\\\1", str(text))


def _head(found: Mapping[str, Any]) -> Iterator[str]:
    totals = found["totals"]
    counts = ", ".join(f"{count} {status}" for status, count in totals["statuses"].items())
    yield f"# {totals['tables']} table{'' if totals['tables'] == 1 else 's'}{': ' if counts else ''}{counts}"
    yield ""
    yield (
        f"Written at {_plain(found['written_at'])} by {_plain(found['playbook'])}, run {_plain(found['run'])}."
        f" {totals['items']:,} items, {amount_of_bytes(totals['bytes'])}."
        f"{of_earlier(of_earlier_runs(found))}"
    )
    yield ""


def _table(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    if not tables:
        return
    yield _line(_COLUMNS)
    yield _line("---:" if column in _NUMBERS else "---" for column in _COLUMNS)
    for entry in tables:
        compared = entry["comparison"]
        yield _line(
            (
                _plain(entry["name"]),
                entry["status"],
                _plain(entry["method"]),
                "" if entry["items_destination"] is None else f"{entry['items_destination']:,}",
                "" if entry["bytes"] is None else amount_of_bytes(entry["bytes"]),
                "" if entry["seconds"] is None else duration(entry["seconds"]),
                _plain(f"{compared['level']}: {compared['result']}" if compared else entry["verified"]),
                _plain(_place(entry["source"])),
                _plain(_place(entry["destination"])),
            )
        )


def _line(cells: Iterable[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _place(place: Mapping[str, str]) -> str:
    return " ".join(filter(None, (place["account_id"], place["region"], place["table"])))


def _reasons(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    told = [(entry, reason) for entry in tables if (reason := str(entry["reason"]).removeprefix(f"{entry['name']}: "))]
    if told:
        yield from ("", "## Reasons", "")
    for entry, reason in told:
        yield f"- **{_plain(entry['name'])}** ({entry['status']}): {_plain(reason)}"
    warned = [(entry, text) for entry in tables for text in entry["warnings"]]
    if warned:
        yield from ("", "## Warnings", "")
    for entry, text in warned:
        yield f"- **{_plain(entry['name'])}**: {_plain(text)}"


def _to_do(tables: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    steps = grouped(tables)
    if steps:
        yield from ("", "## What is left to do", "")
    for what, text, names in steps:
        yield f"- [ ] **{_plain(what)}**: {_plain(text)} ({first_of([*map(_plain, names)], NAMES_SHOWN)})"


def _adoption(found: Mapping[str, Any]) -> Iterator[str]:
    if found["adoption"]:
        yield from ("", "## Into your infrastructure code")
    for entry in found["adoption"]:
        for way in entry["ways"]:
            yield from ("", f"### {way['name']}: account {entry['account_id']}, {entry['region']}", "")
            yield from (f"In the folder `{way['folder']}`:", "", "```", *way["commands"], "```", "")
            yield from (f"- {_plain(trap)}" for trap in way["traps"])
