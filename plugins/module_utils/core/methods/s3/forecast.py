# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan says of this method for a table (aws.md B, measured/import-export-table 2)."""

from __future__ import annotations

from ...plan.facts import Between, TableFacts
from ...plan.forecast import Forecast
from ...plan.prices import Prices
from ..forecasting import (
    compared,
    export_costs,
    export_parts,
    export_reasons,
    import_cost,
    import_part,
    import_reasons,
    named_uses,
    no_transforms,
    settings_part,
)


def forecast(name: str, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
    """An export to S3 and an import from there."""
    compare_parts, compare_costs = compared(facts, True, prices)
    parts = (
        *export_parts(facts),
        import_part(facts),
        *compare_parts,
        settings_part(facts, made_warm=False),
    )
    costs = (
        *export_costs(facts, prices),
        import_cost(facts, prices),
        *compare_costs,
    )
    return Forecast(
        name,
        reasons=(*no_transforms(facts), *import_reasons(facts), *export_reasons(facts), *between.reasons),
        parts=parts,
        costs=costs,
        uses=named_uses(exports=1, export_bytes=facts.size, imports=1, import_bytes=facts.size),
        warnings=between.warnings,
    )
