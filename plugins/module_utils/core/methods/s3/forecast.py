# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan says of this method for a table (aws.md B, measured/import-export-table 2)."""

from __future__ import annotations

from ...plan.amounts import Span
from ...plan.facts import Between, Reason, TableFacts
from ...plan.forecast import Forecast, Stage
from ...plan.prices import Prices
from ...plan.waves import LARGE_IMPORTS, LARGE_REGIONS, LIMITS, TB
from ..forecasting import (
    by_size,
    compared,
    export_costs,
    export_parts,
    export_reasons,
    extrapolated,
    named_uses,
    no_transforms,
    settings_part,
    text_gb,
)


def forecast(name: str, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
    """An export to S3 and an import from there."""
    compare_parts, compare_costs = compared(facts, True, prices)
    imported = Span(100, 220) + by_size(facts, Span(500 << 20, 5 << 20))
    parts = (
        *export_parts(facts),
        Stage("import", imported, f"100 to 215 s measured for up to 30 MB{extrapolated(facts)}"),
        *compare_parts,
        settings_part(facts, made_warm=False),
    )
    costs = (
        *export_costs(facts, prices),
        prices.line("import", "import_gb", text_gb(facts)),
        *compare_costs,
    )
    return Forecast(
        name,
        reasons=(*no_transforms(facts), *_reasons(facts), *export_reasons(facts), *between.reasons),
        parts=parts,
        costs=costs,
        uses=named_uses(exports=1, export_bytes=facts.size, imports=1, import_bytes=facts.size),
        warnings=between.warnings,
    )


def most_bytes(region: str) -> float:
    """How much can be imported at once in a Region (aws.md B5)."""
    return LARGE_IMPORTS if region in LARGE_REGIONS else LIMITS["import_bytes"].most


def _reasons(facts: TableFacts) -> tuple[Reason, ...]:
    found = []
    if facts.definition.local_secondary_indexes:
        names = ", ".join(index.name for index in facts.definition.local_secondary_indexes)
        found.append(
            Reason("local secondary indexes", f"an import cannot create the local secondary indexes ({names})")
        )
    most = most_bytes(facts.destination.region)
    if facts.size > most * 4:  # the files are compressed to a half or less; AWS counts these
        found.append(
            Reason("size", f"an import takes {most / TB:.0f} TB of files at once in {facts.destination.region}")
        )
    if facts.sample.violating:
        names = ", ".join(f"{index} ({number})" for index, number in sorted(facts.sample.violating.items()))
        found.append(
            Reason(
                "items that an index does not take",
                f"of the first {facts.sample.items} items some have a key that an index does not take: {names}; the"
                " import would end failed",
                "Name these indexes in indexes_after or leave_indexes, or correct the items.",
            )
        )
    return tuple(found)
