# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan beside what became of it: the JSON that the playbook plan writes (``docs/plan.md``), version 2. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from .row import MOVED, Row

GB = 1 << 30  # bytes, as the plan counts them
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
    outcome = None if cost is None or row["status"] not in MOVED else _outcome(row, entry, cost)
    sides = {"planned": _money(cost, currency), "outcome": _money(outcome, currency)}
    return {**row, "plan": kept, "cost": sides}


def _outcome(row: Row, entry: Mapping[str, Any], cost: tuple[float, float]) -> tuple[float, float] | None:
    """The planned ``cost`` for the size that the table had instead of the planned one: as DynamoDB tells it, else as
    the run has found it. An estimate, no bill. None where nothing is known."""
    told = row.get("bytes")
    size = (float(told), float(told)) if told else _span(row.get("bytes_about"))
    items = next((row[name] for name in ("items_source", "items_destination") if row.get(name) is not None), None)
    expected, planned_items = (_positive(entry.get(name)) for name in ("bytes", "items"))
    if size is not None and expected:
        return cost[0] * size[0] / expected, cost[1] * size[1] / expected
    if items is not None and planned_items:
        return cost[0] * items / planned_items, cost[1] * items / planned_items
    if items == 0:
        return cost
    growth = entry.get("growth") or {}
    by_size, by_items = (_span(growth.get(name)) for name in ("gb", "million_items"))
    if by_size is None or by_items is None or (size is None and items is None):
        return None
    (least, most), millions = size or (0.0, 0.0), (items or 0) / 1e6
    return (
        cost[0] + max(by_size[0] * least / GB, by_items[0] * millions),
        cost[1] + by_size[1] * most / GB + by_items[1] * millions,
    )


def _positive(value: Any) -> float:
    return float(value) if isinstance(value, (int, float)) and value > 0 else 0.0


def _span(value: Any) -> tuple[float, float] | None:
    if isinstance(value, (list, tuple)) and len(value) == 2 and all(isinstance(each, (int, float)) for each in value):
        return float(value[0]), float(value[1])
    return None


def _money(span: tuple[float, float] | None, currency: str) -> dict[str, Any] | None:
    return None if span is None else {"currency": currency, "low": round(span[0], 4), "high": round(span[1], 4)}
