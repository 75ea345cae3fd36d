# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan that was approved against the one of now: a run does what was looked at, or says what has become of it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from ..errors import InvalidInput, Refused
from .amounts import Span, money
from .document import SCHEMA, VERSION

LEEWAY, CENT = 0.1, 0.01


class NotAsPlanned(Refused):
    """A table would not be moved as the approved plan says."""


def check_approved(approved: Any) -> None:
    """Raises InvalidInput where ``approved`` is no plan that this version can read."""
    if (
        not isinstance(approved, Mapping)
        or approved.get("schema") != SCHEMA
        or not isinstance(approved.get("tables"), list)
    ):
        raise InvalidInput(
            "The approved plan is no plan of TableFerry.", "Give the JSON file that the playbook plan has written."
        )
    if approved.get("version") != VERSION:
        raise InvalidInput(
            f"The approved plan is of version {approved.get('version')}, and this collection reads {VERSION}.",
            "Make the plan anew with this version, and have it approved again.",
        )


def refusals(approved: Mapping[str, Any], now: Mapping[str, Any]) -> dict[str, str]:
    """For each host of the plan ``now`` why its table may not be moved; those that are as approved are absent."""
    before = {table["host"]: table for table in approved["tables"]}
    found = {}
    for table in now["tables"]:
        words = list(_differences(before.get(table["host"]), table))
        if words:
            error = NotAsPlanned(
                f"Not as the plan of {approved['made_at']} says: {'; '.join(words)}.",
                "Make a new plan and have it approved, or undo what has changed.",
                table=table["host"],
            )
            found[table["host"]] = str(error)
    return found


def _differences(before: Mapping[str, Any] | None, table: Mapping[str, Any]) -> Iterator[str]:
    if before is None:
        yield "the table is not in it"
        return
    if table["state"] == "done":
        return  # nothing is done any more
    if before["state"] == "cannot_go":
        yield ": ".join(filter(None, ["it says that the table cannot go", str(before.get("why") or "")]))
        return
    for side in ("source", "destination"):
        if before[side]["arn"] != table[side]["arn"]:
            yield f"the {side} is {table[side]['arn'] or 'not known'}, not {before[side]['arn']}"
    if table["state"] == "cannot_go":
        return  # which is refused by itself, with the reason
    if before["method"] != table["method"]:
        yield f"the method would be {table['method']}, not {before['method']} ({table['why']})"
    for what in ("settings", "shape"):
        yield from _changed(before[what], table[what])
    if table["state"] == "planned":
        yield from _cost_differs(Span(*before["cost"]), Span(*table["cost"]))


def _cost_differs(planned: Span, now: Span) -> Iterator[str]:
    """What is said where the cost, as it is estimated now, has left the planned range: by more than a tenth, and by
    more than a cent, as AWS's own sizes are hours old."""
    middle = (now.low + now.high) / 2
    if not Span(planned.low * (1 - LEEWAY) - CENT, planned.high * (1 + LEEWAY) + CENT).holds(middle):
        yield f"it would cost about {money(middle)}, and {money(planned.low)} to {money(planned.high)} was planned"


def _changed(before: Mapping[str, Any], now: Mapping[str, Any]) -> Iterator[str]:
    for name in sorted({*before, *now}):
        if before.get(name) != now.get(name):
            yield f"{name} is {_short(now.get(name))}, not {_short(before.get(name))}"


def _short(value: Any) -> str:
    words = "none" if value in (None, "", [], {}) else str(value)
    return words if len(words) <= 120 else f"{words[:117]}..."
