# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan beside what became of it: the JSON that the playbook plan writes (``docs/plan.md``), version 2. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .row import MOVED, Row

SCHEMA, VERSION = "tableferry-plan", 2
_KEPT = ("state", "method", "why", "seconds", "cost", "wave", "bytes", "unconfirmed")


def is_plan(data: Any) -> bool:
    """Whether ``data`` is a plan of the version that is known here."""
    if not isinstance(data, Mapping) or (data.get("schema"), data.get("version")) != (SCHEMA, VERSION):
        return False
    tables = data.get("tables")
    return isinstance(tables, list) and all(isinstance(each, Mapping) and "host" in each for each in tables)


def with_plan(rows: Iterable[Row], plan: Mapping[str, Any]) -> list[Row]:
    """The ``rows``, each with what the ``plan`` said of its table, and its cost as planned and by its outcome."""
    currency = str((plan.get("prices") or {}).get("currency") or "USD")
    planned = {str(entry["host"]): entry for entry in plan["tables"]}
    return [_planned(row, planned.get(str(row["name"])), currency) for row in rows]


def _planned(row: Row, entry: Mapping[str, Any] | None, currency: str) -> Row:
    if entry is None:
        return row
    kept = {name: entry[name] for name in _KEPT if name in entry}
    kept["seconds"] = list(_span(entry.get("seconds")) or ())
    cost = _span(entry.get("cost"))
    sides = {"planned": _money(cost, currency), "outcome": _money(_outcome(row, entry, cost), currency)}
    return {**row, "plan": kept, "cost": sides}


def _outcome(row: Row, entry: Mapping[str, Any], cost: tuple[float, float] | None) -> tuple[float, float] | None:
    """The planned ``cost`` for the size that the table had instead of the planned one, both as DynamoDB tells it: an
    estimate, no bill. None where one of them is not known."""
    moved, expected = row.get("bytes"), entry.get("bytes")
    known = isinstance(expected, (int, float)) and expected > 0
    if cost is None or row["status"] not in MOVED or not moved or not known:
        return None
    ratio = moved / float(str(expected))
    return cost[0] * ratio, cost[1] * ratio


def _span(value: Any) -> tuple[float, float] | None:
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(each, (int, float)) for each in value):
        return float(value[0]), float(value[1])
    return None


def _money(span: tuple[float, float] | None, currency: str) -> dict[str, Any] | None:
    return None if span is None else {"currency": currency, "low": round(span[0], 4), "high": round(span[1], 4)}
