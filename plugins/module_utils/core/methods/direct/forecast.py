# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan says of this method for a table (aws.md H)."""

from __future__ import annotations

from ...plan.amounts import GB, Span, exactly
from ...plan.facts import Between, TableFacts
from ...plan.forecast import INSTANT, Forecast, Stage
from ...plan.prices import Prices
from ..forecasting import compared, read_units, scan_cost, settings_part, write_cost, writing

LONGEST = 86400.0  # seconds that auto lets a copy take through one machine
MACHINE = 20000.0  # write units a second that one machine sends


def forecast(name: str, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
    """A scan and writes through this machine."""
    compare_parts, compare_costs = compared(facts, True, prices)
    written = writing(facts, MACHINE)
    parts = (
        Stage("create the table", Span(1, 25), "1 to 8 s measured, 14 to 20 s with indexes"),
        Stage("start reading and writing", Span(0, 30), "this machine"),
        _slower(facts, written),
        *compare_parts,
        settings_part(facts, made_warm=True),
    )
    costs = [*scan_cost(facts, "read the items", 1, prices), *write_cost(facts, prices), *compare_costs]
    if facts.crosses_regions:
        costs.append(prices.line("transfer to another Region", "transfer_gb", exactly(facts.size / GB)))
    low = written.seconds.low
    return Forecast(
        name,
        reasons=between.reasons,
        broken={} if facts.wishes.writes_stopped else {INSTANT: "the items are read while others write them"},
        parts=parts,
        costs=tuple(costs),
        uses={"machine": 1},
        by_itself=("through one machine it would take more than a day",) if low > LONGEST else (),
        warnings=between.warnings,
    )


def _slower(facts: TableFacts, written: Stage) -> Stage:
    """Reading and writing go on at once: the slower one decides."""
    provisioned = float((facts.definition.provisioned_throughput or {}).get("ReadCapacityUnits", 0))
    rate = min(provisioned or float("inf"), facts.wishes.read_rate or float("inf"))
    if rate == float("inf"):
        return written
    seconds = read_units(facts.size) / rate
    if seconds <= written.seconds.low:
        return written
    return Stage(
        "read the items", Span(seconds, max(seconds * 1.5, written.seconds.high)), f"{rate:.0f} read units a second"
    )
