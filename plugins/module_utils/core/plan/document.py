# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A plan: what becomes of each table, what all of them cost together, and the same as JSON and as lines of text.

The shape of the JSON is told in docs/plan.md; ``VERSION`` rises with each change that a reader has to know of.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from ..report.alike import Order, merged
from .amounts import NOTHING, Span, about, amount_of_bytes, durations, total
from .facts import Location, Reason
from .forecast import Forecast
from .permitted import Permitted
from .prices import Prices
from .warnings import AFTER, STALE
from .waves import Load, together, usage, waves

SCHEMA, VERSION = "tableferry-plan", 2
MOST_LINES = 50  # tables that have a line of their own, unless they cannot go
State = Literal["planned", "begun", "done", "cannot_go"]


def named_by_user(method: str) -> str:
    """A record's ``method`` as a user names it: records name the end of a method too."""
    return method.partition(" with ")[0]


@dataclass(frozen=True)
class PlannedTable:
    """What becomes of one table of the inventory.

    ``host`` is its name there. ``begun``: an earlier run began it, and its method stays. ``asked`` is what the user
    wants, ``method`` what it comes to, "" where the table cannot go. ``settings`` are the user's choices, ``shape`` is
    what the source table is like, both as far as the outcome depends on them. ``adoption``: what it takes to adopt the
    table that stands under the name; then no items are moved.
    """

    host: str
    state: State
    table: str
    made_table: str
    source: Location | None = None
    destination: Location | None = None
    asked: str = ""
    method: str = ""
    why: str = ""
    forecasts: tuple[Forecast, ...] = ()
    reasons: tuple[Reason, ...] = ()
    warnings: tuple[str, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)
    shape: Mapping[str, Any] = field(default_factory=dict)
    size: int = 0
    items: int = 0
    growth: Mapping[str, Span] = field(default_factory=dict)
    adoption: Forecast | None = None

    @property
    def adopts(self) -> bool:
        """Whether a run adopts it, and moves no items."""
        return self.goes and self.adoption is not None

    @property
    def method_chosen(self) -> str:
        """Its method as a user names it."""
        return named_by_user(self.method)

    @property
    def forecast(self) -> Forecast | None:
        """That of its adoption, or of the table's method; None where it cannot go or is done."""
        return self.adoption or next((each for each in self.forecasts if each.method == self.method_chosen), None)

    @property
    def seconds(self) -> Span:
        """How long it will take; of one that was begun up to the whole."""
        whole = self.forecast.seconds if self.forecast is not None and self.goes else NOTHING
        return Span(0, whole.high) if self.state == "begun" else whole

    @property
    def cost(self) -> Span:
        """What it will cost; of one that was begun up to the whole."""
        whole = self.forecast.cost if self.forecast is not None and self.goes else NOTHING
        return Span(0, whole.high) if self.state == "begun" else whole

    @property
    def goes(self) -> bool:
        """Whether a run has something to do."""
        return self.state in ("planned", "begun")

    def load(self) -> Load:
        """What it asks of the quotas."""
        forecast, here, there = self.forecast, self.source, self.destination
        return Load(
            self.host,
            self.size,
            self.seconds,
            forecast.uses if forecast is not None else {},
            str(here or ""),
            str(there or ""),
            there.region if there is not None else "",
        )

    def to_dict(self, wave: int) -> dict[str, Any]:
        """As JSON-safe data."""
        forecast = self.forecast if self.goes else None
        return {
            "host": self.host,
            "state": self.state,
            "source": _place(self.source, self.table),
            "destination": _place(self.destination, self.made_table),
            "asked": self.asked,
            "method": self.method,
            "why": self.why,
            "methods": [each.to_dict() for each in self.forecasts],
            "reasons": [reason.to_dict() for reason in self.reasons],
            "bytes": self.size,
            "items": self.items,
            "seconds": self.seconds.to_list(0),
            "parts": [part.to_dict() for part in forecast.parts] if forecast is not None else [],
            "cost": self.cost.to_list(),
            "costs": [line.to_dict() for line in forecast.costs] if forecast is not None else [],
            **({"growth": {name: span.to_list() for name, span in self.growth.items()}} if self.growth else {}),
            **({"adopts": True} if self.adopts else {}),
            "unconfirmed": list(forecast.unconfirmed) if forecast is not None else [],
            "wave": wave,
            "settings": dict(self.settings),
            "shape": dict(self.shape),
            "warnings": list(self.warnings),
        }


@dataclass(frozen=True)
class Plan:
    """All tables, in the order of the inventory. ``to_do`` is what the user should do first, ``quotas`` what does not
    fit or may not; ``permissions`` say what callers lack, where that was looked at."""

    tables: tuple[PlannedTable, ...]
    prices: Prices
    made_at: str
    to_do: tuple[str, ...] = ()
    quotas: tuple[Mapping[str, Any], ...] = ()
    warnings: tuple[str, ...] = ()
    permissions: tuple[Permitted, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data (docs/plan.md)."""
        loads = [table.load() for table in self.tables if table.goes]
        groups = waves(loads)
        number = {name: at for at, names in enumerate(groups, 1) for name in names}
        seconds = together(loads, [name for names in groups for name in names])
        cost = total(table.cost for table in self.tables)
        states = Counter(table.state for table in self.tables)
        methods = Counter(table.method for table in self.tables if table.goes and not table.adopts)
        return {
            "schema": SCHEMA,
            "version": VERSION,
            "made_at": self.made_at,
            "line": line(self.tables, seconds, cost, len(self.to_do)),
            "totals": {
                "tables": len(self.tables),
                "by_method": dict(sorted(methods.items())),
                "planned": states["planned"],
                "begun": states["begun"],
                "adopted": sum(table.adopts for table in self.tables),
                "done": states["done"],
                "cannot_go": states["cannot_go"],
                "seconds": seconds.to_list(0),
                "cost": cost.to_list(),
                "to_do": len(self.to_do),
            },
            "tables": [table.to_dict(number.get(table.host, 0)) for table in self.tables],
            "waves": groups,
            "quotas": [*self.quotas, *usage(loads)],
            "permissions": [each.to_dict() for each in self.permissions],
            "to_do": list(self.to_do),
            "after": list(AFTER),
            "warnings": list(self.warnings),
            "unconfirmed": sorted(
                {name for table in self.tables if table.forecast for name in table.forecast.unconfirmed}
            ),
            "prices": self.prices.to_dict(),
        }


def _place(place: Location | None, table: str) -> dict[str, str]:
    if place is None:
        return {"account_id": "", "region": "", "table": table, "arn": ""}
    arn = f"arn:{place.partition}:dynamodb:{place.region}:{place.account_id}:table/{table}"
    return {"account_id": place.account_id, "region": place.region, "table": table, "arn": arn}


def line(tables: Sequence[PlannedTable], seconds: Span, cost: Span, to_do: int) -> str:
    """All in one line: ``104 tables: 88 by s3, 9 by backup (why), 1 adopted, 3 cannot go (why); 41 min; about $212; 2
    things for you to do``."""
    found: dict[str, list[PlannedTable]] = {}
    for table in tables:
        if table.goes and not table.adopts:
            found.setdefault(table.method, []).append(table)
    counts = [
        f"{len(of)} by {method}{_because(of)}" for method, of in sorted(found.items(), key=lambda each: -len(each[1]))
    ]
    adopted = sum(table.adopts for table in tables)
    counts += [f"{adopted} adopted"] if adopted else []
    done = sum(table.state == "done" for table in tables)
    counts += [f"{done} done already"] if done else []
    stuck = [table for table in tables if table.state == "cannot_go"]
    if stuck:
        rules = Counter(table.reasons[0].rule if table.reasons else "no method" for table in stuck)
        words = ", ".join(rule for rule, _count in rules.most_common(3))
        counts.append(f"{len(stuck)} cannot go ({words})")
    number = len(tables)
    head = f"{number} table{'s'[: number != 1]}: {', '.join(counts) or 'none to move'}"
    moved = any(table.goes for table in tables)
    rest = [durations(seconds), about(cost)] if moved else []
    if to_do:
        rest.append(f"{to_do} thing{'s'[: to_do != 1]} for you to do")
    return "; ".join([head, *rest])


def _because(tables: Sequence[PlannedTable]) -> str:
    """The rule that rules out the usual method for all of these tables, where auto chose them and it is one."""
    rules = set()
    for table in tables:
        if not table.forecasts or table.asked == table.method:
            return ""
        first = table.forecasts[0]
        rules.add(first.reasons[0].rule if first.reasons and first.method != table.method else "")
    return f" ({rules.pop()})" if len(rules) == 1 and rules != {""} else ""


def lines_of(data: Mapping[str, Any]) -> Iterator[str]:
    """The plan as text, from its JSON: tables first, the line that counts all of them last."""
    tables = data["tables"]
    if len(tables) <= MOST_LINES:
        for table in tables:
            yield from _table_lines(table, short=len(tables) > 10)
    else:
        stuck = {table["host"]: _stuck(table) for table in tables if table["state"] == "cannot_go"}
        order = Order(table["host"] for table in tables)
        yield from (f"{order.named(hosts)}: {words}" for words, hosts in merged(stuck.items()))
        if len(stuck) < len(tables):
            yield f"{len(tables) - len(stuck)} tables that can go are not listed here: the JSON has all of them."
    if len(data["waves"]) > 1:
        sizes = ", ".join(str(len(names)) for names in data["waves"])
        yield f"Waves, by AWS's quotas: {len(data['waves'])} ({sizes} tables). What is over waits for a free place."
    yield from _marked("Quota", (_quota(quota) for quota in data["quotas"] if quota.get("raise")))
    yield from _marked("Warning", _few(data["warnings"]))
    unconfirmed = data["unconfirmed"]
    if unconfirmed and data["totals"]["cost"][1] > 0:
        yield f"Prices: {data['prices']['region']}; UNCONFIRMED: {', '.join(unconfirmed)}. prices sets your own."
    if any(table["bytes"] for table in tables):
        yield f"Times rest on durations measured on small tables, larger ones are extrapolated; {STALE}."
    if data["totals"]["planned"] + data["totals"]["begun"]:
        yield "Moves with no table:"
        yield from (f"  {words}" for words in data["after"])
    yield from _marked("To do", data["to_do"])
    yield data["line"]


def _few(words: Sequence[str], most: int = 20) -> Iterator[str]:
    yield from words[:most]
    if len(words) > most:
        yield f"{len(words) - most} more are in the JSON."


def _marked(mark: str, words: Any) -> Iterator[str]:
    yield from (f"{mark}: {each}" for each in words)


def _quota(quota: Mapping[str, Any]) -> str:
    numbers = f"{quota['asked']:.0f} asked for, {quota['at_once']:.0f} allowed"
    return f"{quota['what']} in {quota['where']}: {numbers}. {quota['raise']}"


def _stuck(table: Mapping[str, Any]) -> str:
    words = "; ".join(f"{reason['why']}. {reason['next_step']}".rstrip(". ") for reason in table["reasons"])
    return f"cannot go: {words or table['why']}."


def _table_lines(table: Mapping[str, Any], *, short: bool) -> Iterator[str]:
    head = f"{table['host']}: "
    if table["state"] == "done":
        yield f"{head}done already, by {table['method']}"
        return
    if table["state"] == "cannot_go":
        yield f"{head}{_stuck(table)}"
        return
    seconds, cost = Span(*table["seconds"]), Span(*table["cost"])
    size = f"{amount_of_bytes(table['bytes'])}, {table['items']} items"
    how = "adopted" if table.get("adopts") else f"by {table['method']}"
    yield f"{head}{how}, {size}, {durations(seconds)}, {about(cost)}"
    if table["state"] == "begun":
        yield "  an earlier run began it: its method stays"
    elif not short:
        yield f"  why: {table['why']}"
