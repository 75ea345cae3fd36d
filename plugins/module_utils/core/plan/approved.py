# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan that was approved against the one of now: a run does what was looked at, or says what has become of it."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, get_args

from ..errors import InvalidInput, NotAsPlanned
from .amounts import Span, money
from .document import SCHEMA, VERSION, State

LEEWAY, CENT = 0.1, 0.01
_UNDO = "Make a new plan and have it approved, or undo what has changed."
_ANEW = "Look whether the new table is the one to move, then make a new plan and have it approved."


def check_approved(approved: Any, name: str) -> None:
    """Raises InvalidInput where ``approved``, the content of the file ``name``, is no whole plan that this version can
    read."""
    if not isinstance(approved, Mapping) or approved.get("schema") != SCHEMA:
        raise InvalidInput(
            f"The approved plan {name} is no plan of TableFerry.",
            "Give the JSON file that the playbook plan has written.",
        )
    if approved.get("version") != VERSION:
        raise InvalidInput(
            f"The approved plan {name} is of version {approved.get('version')}, and this collection reads {VERSION}.",
            "Make the plan again with this version of the collection, and have it approved again.",
        )
    fault = next(_faults(approved), "")
    if fault:
        raise InvalidInput(
            f"The approved plan {name} is not whole: {fault}.",
            "Give the file as the playbook plan has written it, or make the plan again and have it approved.",
        )


def _faults(approved: Mapping[str, Any]) -> Iterator[str]:
    """What is missing or wrong in a plan, as far as tables are compared by it and the report shows it."""
    if not _is_dict(approved.get("prices")):
        yield "prices is missing or no dictionary"
    if not _is_time(approved.get("made_at")):
        yield "made_at, the time at which it was made, is missing or no time"
    tables = approved.get("tables")
    if not isinstance(tables, list):
        yield "tables is missing or no list"
        return
    hosts = set()
    for number, table in enumerate(tables, 1):
        host = table.get("host") if isinstance(table, Mapping) else None
        if not isinstance(table, Mapping) or not _is_text(host) or not host:
            yield f"table {number} is no dictionary with a host"
            return
        if host in hosts:
            yield f"it has the table {host} twice"
        hosts.add(host)
        wrong = [member for member, is_right in _MEMBERS.items() if not is_right(table.get(member))]
        if wrong:
            yield f"the table {host} has no {', '.join(wrong)}, or a wrong one"


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_dict(value: Any) -> bool:
    return isinstance(value, Mapping)


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool) and 0 <= value < math.inf


def _is_place(value: Any) -> bool:
    return _is_dict(value) and _is_text(value.get("arn"))


def _is_range(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)) and value[0] <= value[1]


def _is_time(value: Any) -> bool:
    try:
        return _is_text(value) and (not value or bool(datetime.fromisoformat(value)))  # "" where no account was asked
    except ValueError:
        return False


_MEMBERS: Mapping[str, Callable[[Any], bool]] = {
    "state": lambda value: value in get_args(State),
    "source": _is_place,
    "destination": _is_place,
    "method": _is_text,
    "why": _is_text,
    "bytes": _is_number,
    "seconds": _is_range,
    "cost": _is_range,
    "wave": _is_number,
    "unconfirmed": lambda value: isinstance(value, list) and all(map(_is_text, value)),
    "settings": _is_dict,
    "shape": _is_dict,
}


def refusals(approved: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """For each host of the plan ``now`` why its table may not be moved; those that are as approved are absent."""
    before = {table["host"]: table for table in approved["tables"]}
    found = {}
    for table in now["tables"]:
        words = list(_differences(before.get(table["host"]), table))
        if words:
            plan = f"the plan of {approved['made_at']}" if approved["made_at"] else "the plan"
            cause = f"Not as {plan} says: {'; '.join(words)}."
            found[table["host"]] = str(
                NotAsPlanned(cause, _step(before.get(table["host"]), table), table=table["host"])
            )
    return found


def _step(before: Mapping[str, Any] | None, table: Mapping[str, Any]) -> str:
    """What to do about a table that is not as planned."""
    if before is not None and before["state"] != "cannot_go":
        steps = " ".join(filter(None, (reason["next_step"] for reason in table["reasons"])))
        if steps:
            return steps
    return _ANEW if _is_anew(before, table) else _UNDO


def _differences(before: Mapping[str, Any] | None, table: Mapping[str, Any]) -> Iterator[str]:
    if before is None:
        yield "the table is not in it"
        return
    if table["state"] == "done":
        # Nothing but what applies settings concerns it any more.
        if table["settings"]["finished_settings"] == "apply":
            yield from _elsewhere(before, table)
            yield from _other_settings(before["settings"], table["settings"])
        return
    if before["state"] == "cannot_go":
        yield ": ".join(filter(None, ["it says that the table cannot go", str(before.get("why") or "")]))
        return
    if table["state"] == "cannot_go":
        # Not left to the start: what stops the table now may be gone then, and nothing else was compared.
        yield f"it cannot go now: {table['why']}"
        return
    yield from _elsewhere(before, table)
    if before["state"] == "done":
        yield "it says that the table is done already, and it would be moved again"
        return
    adopts, moved = "adopted, as it stands under the name", "moved"
    now, then = (adopts if each.get("adopts") else moved for each in (table, before))
    if now != then:
        yield f"the table would be {now}, not {then}"
    if before["method"] != table["method"]:
        yield f"the method would be {table['method']}, not {before['method']} ({table['why']})"
    yield from _other_settings(before["settings"], table["settings"])
    yield from _other_shape(before, table)
    if table["state"] == "planned":
        yield from _cost_differs(Span(*before["cost"]), Span(*table["cost"]))


def _elsewhere(before: Mapping[str, Any], table: Mapping[str, Any]) -> Iterator[str]:
    for side in ("source", "destination"):
        if before[side]["arn"] != table[side]["arn"]:
            yield f"the {side} is {table[side]['arn'] or 'not known'}, not {before[side]['arn']}"


def _other_settings(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    """A transform has no fingerprint where the source table was not read."""
    read = {name: value for name, value in before.items() if name != "transform" or name in now}
    yield from _changed(read, now)


def _other_shape(before: Mapping[str, Any], table: Mapping[str, Any]) -> Iterator[str]:
    if not table["shape"]:
        yield "the source table cannot be read now"
        return
    if _is_anew(before, table):
        yield "the source table was deleted and created anew since the plan was made (another TableId)"
    yield from _changed(*({**each["shape"], "table_id": ""} for each in (before, table)))


def _is_anew(before: Mapping[str, Any] | None, table: Mapping[str, Any]) -> bool:
    """Whether the source is another table than the plan was made for, under the same name."""
    ids = [each["shape"].get("table_id") for each in (before, table) if each is not None]
    return len(ids) == 2 and all(ids) and ids[0] != ids[1]


def _cost_differs(planned: Span, now: Span) -> Iterator[str]:
    """What is said where the cost, as it is estimated now, has left the planned range: by more than a tenth, and by
    more than a cent, as AWS's own sizes are hours old."""
    middle = (now.low + now.high) / 2
    if not Span(planned.low * (1 - LEEWAY) - CENT, planned.high * (1 + LEEWAY) + CENT).holds(middle):
        yield f"it would cost about {money(middle)}, and {money(planned.low)} to {money(planned.high)} was planned"


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if before.get(name) == now.get(name):
            continue
        if name == "transform":
            marks = f"fingerprint {_short(now.get(name))}, not {_short(before.get(name))}"
            yield f"transform has other steps, names, values, salts or functions ({marks})"
        else:
            yield f"{name} is {_short(now.get(name))}, not {_short(before.get(name))}"


def _short(value: Any) -> str:
    words = "none" if value in (None, "", [], {}) else str(value)
    return words if len(words) <= 120 else f"{words[:117]}..."
