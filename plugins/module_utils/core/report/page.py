# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as one page that needs nothing else: no network, no file beside it.

What all tables show at once is written into the page; the details of a table are made of the data in it when somebody
opens them, each text of it kept once: 2,500 tables stay under 3 MB.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from datetime import datetime
from functools import cache
from typing import Any

from ..jobs.progress import duration
from .document import ATTENTION, Document, attention, of_earlier_runs
from .harmless import harmless_tables
from .left_to_do import grouped
from .row import MOVED
from .script import SCRIPT
from .style import NOSCRIPT, STYLE
from .template import PAGE
from .text import amount_of_bytes, of_earlier

FIRST_SHOWN = 500  # rows; a button shows all
STOPPED_SHOWN = 100  # causes in the list of those that need attention; the table has all
NAMES_SHOWN = 12  # of the tables with the same cause, or for which the same is left to do
WIDTH = 1000  # of a timeline, in its own units
_STOPPED = ("failed", "refused")
_COLOURS = 8


def page(found: Document) -> str:
    """The page of the report ``found``. Raises ImportError where Jinja2 is missing."""
    return str(_template().render(**_view(harmless_tables(found))))


@cache
def _template() -> Any:
    from jinja2 import Environment

    return Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(PAGE)


def _view(found: Mapping[str, Any]) -> dict[str, Any]:
    tables = sorted(found["tables"], key=attention)
    kinds = list(dict.fromkeys(job["kind"] for entry in tables for job in entry["jobs"] if job["start"]))
    scale = _Scale.of(found)
    colours = {kind: number % _COLOURS for number, kind in enumerate(kinds)}
    stopped = _causes(tables)
    return {
        "report": found,
        "style": _as_it_is(STYLE),
        "script": _as_it_is(SCRIPT),
        "noscript": _as_it_is(NOSCRIPT),
        "hashes": {"style": _hash(STYLE), "script": _hash(SCRIPT), "noscript": _hash(NOSCRIPT)},
        "written": _clock(found["written_at"]),
        "took": duration(scale.seconds) if scale.seconds else "",
        "size": amount_of_bytes(found["totals"]["bytes"]),
        "items": f"{found['totals']['items']:,}",
        "earlier": of_earlier(of_earlier_runs(found)),
        "begin": _clock(found["totals"]["start"]),
        "end": _clock(found["totals"]["end"]),
        "colours": colours,
        "statuses": [(status, found["totals"]["statuses"].get(status, 0)) for status in ATTENTION],
        "methods": sorted({entry["method"] for entry in tables} - {""}),
        "stopped": stopped[:STOPPED_SHOWN],
        "stopped_more": sum(len(cause["tables"]) + cause["more"] for cause in stopped[STOPPED_SHOWN:]),
        "rows": [_row(entry, scale, colours) for entry in tables],
        "first": FIRST_SHOWN,
        "to_do": _to_do(tables),
        "data": _as_it_is(_data(tables).replace("<", "\\u003c")),  # nothing in it can end the script
    }


def _why(entry: Mapping[str, Any]) -> str:
    return str(entry["reason"]).removeprefix(f"{entry['name']}: ")


def _causes(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Why tables were stopped, each cause once with its tables."""
    names: dict[tuple[str, str], list[str]] = {}
    for entry in tables:
        if entry["status"] in _STOPPED:
            names.setdefault((entry["status"], _why(entry)), []).append(str(entry["name"]))
    return [{"status": status, "why": why, **_first(found)} for (status, why), found in names.items()]


def _first(names: Sequence[str]) -> dict[str, Any]:
    return {"tables": names[:NAMES_SHOWN], "more": max(0, len(names) - NAMES_SHOWN)}


class _Scale:
    """From moments to places on a timeline that all tables share."""

    def __init__(self, begin: float, seconds: float) -> None:
        self.begin, self.seconds = begin, seconds

    @classmethod
    def of(cls, found: Mapping[str, Any]) -> _Scale:
        """Until the report was written, where no job has ended yet."""
        totals = found["totals"]
        if not totals["start"]:
            return cls(0.0, 0.0)
        begin, end = _epoch(totals["start"]), _epoch(totals["end"] or found["written_at"])
        return cls(begin, max(end - begin, 0.001))

    def place(self, moment: str) -> int:
        seconds = _epoch(moment) - self.begin
        return min(WIDTH, max(0, round(WIDTH * seconds / self.seconds)))


def _epoch(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def _row(entry: Mapping[str, Any], scale: _Scale, colours: Mapping[str, int]) -> dict[str, Any]:
    timed = [job for job in entry["jobs"] if job["start"]]
    bars = []
    for job in timed:
        begin = scale.place(job["start"])
        bars.append((colours[job["kind"]], begin, max(2, scale.place(job["end"] or job["start"]) - begin)))
    told = ", ".join(f"{job['kind']} {_took(job)}" for job in timed)
    return {
        "name": entry["name"],
        "status": entry["status"],
        "method": entry["method"],
        "count": "" if entry["items_destination"] is None else f"{entry['items_destination']:,}",
        "size": "" if entry["bytes"] is None else amount_of_bytes(entry["bytes"]),
        "took": "" if entry["seconds"] is None else duration(entry["seconds"]),
        "verified": _verified(entry),
        "bars": bars,
        "told": told,
    }


def _took(job: Mapping[str, Any]) -> str:
    if not job["end"]:
        return "not ended"
    begin, end = (datetime.fromisoformat(job[at]) for at in ("start", "end"))
    return duration((end - begin).total_seconds())


def _verified(entry: Mapping[str, Any]) -> str:
    compared = entry["comparison"]
    if compared:
        return f"{compared['level'] or 'comparison'}: {compared['result']}"
    return str(entry["verified"])


def _to_do(tables: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    return [{"what": what, "text": text, **_first(found)} for what, text, found in grouped(tables)]


class _Texts:
    """Texts, each kept once and named by its place."""

    def __init__(self) -> None:
        self._places: dict[str, int] = {}

    def place(self, text: Any) -> int:
        return self._places.setdefault(str(text), len(self._places))

    def all(self) -> list[str]:
        return list(self._places)


def _data(tables: Sequence[Mapping[str, Any]]) -> str:
    """What the script needs of each table, as JSON."""
    texts = _Texts()
    rows = [_details(entry, texts) for entry in tables]
    return json.dumps({"texts": texts.all(), "tables": rows}, separators=(",", ":"), ensure_ascii=False)


def _details(entry: Mapping[str, Any], texts: _Texts) -> list[Any]:
    """A table as a list: what is sorted by, then the details. ``script.py`` knows the order."""
    facts = [
        (name, value)
        for name, value in (
            ("Reason", _why(entry)),
            ("Migration id", entry["migration_id"]),
            ("Data as of", " to ".join(dict.fromkeys(map(str, entry["data_as_of"].values())))),
            ("Compared", _told(entry["comparison"])),
            ("Cleaned up", _told(entry["cleanup"])),
            ("Planned", _planned(entry["plan"])),
            ("Cost", _cost(entry)),
        )
        if value
    ]
    jobs = [
        [texts.place(job["kind"]), texts.place(job["state"]), _short(job["arn"], entry), job["start"], job["end"]]
        for job in entry["jobs"]
    ]
    return [
        entry["items_destination"] if entry["items_destination"] is not None else -1,
        entry["bytes"] if entry["bytes"] is not None else -1,
        entry["seconds"] if entry["seconds"] is not None else -1,
        _arn_or_place(entry["source"], texts),
        _arn_or_place(entry["destination"], texts),
        [[texts.place(name), texts.place(value)] for name, value in facts],
        jobs,
        [texts.place(name) for name in entry["settings_carried"]],
        [texts.place(f"{left['what']}: {left['reason']}") for left in entry["settings_left"]],
        [texts.place(text) for text in entry["warnings"]],
        [[texts.place(step["what"]), texts.place(step["text"])] for step in entry["to_do"]],
    ]


def _arn_or_place(place: Mapping[str, str], texts: _Texts) -> list[Any]:
    """The part of an ARN that many tables share, and the table."""
    arn = str(place["arn"])
    return [texts.place(arn.removesuffix(place["table"]) if arn else ""), place["table"]]


def _short(arn: str, entry: Mapping[str, Any]) -> str:
    """An ARN with a sign in the place of the source's or the copy's: the script puts it in again."""
    for sign, side in (("\x01", "source"), ("\x02", "destination")):
        own = str(entry[side]["arn"])
        if own and arn.startswith(own):
            return sign + arn.removeprefix(own)
    return arn


def _told(part: Mapping[str, Any] | None) -> str:
    return f"{part['result']}, at {part['at']}. {part['message']}".strip() if part else ""


def _cost(entry: Mapping[str, Any]) -> str:
    cost = entry["cost"]
    words = {"planned": "planned {}", "outcome": "{} for the size that the table had when it was moved, an estimate"}
    told = [words[name].format(_money(value)) for name, value in cost.items() if value]
    if cost["planned"] and not cost["outcome"] and entry["status"] in MOVED:
        told.append("what it came to is not known: neither DynamoDB nor the run has told the size of the table")
    return ", ".join(told)


def _money(cost: Mapping[str, Any]) -> str:
    return f"{cost['low']:.2f} to {cost['high']:.2f} {cost['currency']}"


def _planned(plan: Mapping[str, Any] | None) -> str:
    if not plan:
        return ""
    seconds = plan.get("seconds")
    times = [duration(each) for each in seconds] if isinstance(seconds, list) else []
    return ", ".join(filter(None, (f"by {plan['method']}" if plan.get("method") else "", " to ".join(times))))


def _clock(moment: str) -> str:
    return datetime.fromisoformat(moment).strftime("%Y-%m-%d %H:%M:%S UTC") if moment else ""


def _hash(text: str) -> str:
    return "sha256-" + b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _as_it_is(text: str) -> Any:
    """``text`` of our own, for a script or a style of the page."""
    from markupsafe import Markup

    return Markup(text)
