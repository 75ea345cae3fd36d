# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a plan says of this method for a table (aws.md C, measured/backup-restore-service 3)."""

from __future__ import annotations

from ...plan.amounts import GB, Span, exactly
from ...plan.facts import Between, Reason, TableFacts
from ...plan.forecast import PROVED, Forecast, Stage
from ...plan.prices import CostLine, Prices
from ..forecasting import MONTH, by_size, compared, extrapolated, named_uses, no_transforms, settings_part
from .readiness import MOST_TAGS

RATES = Span(500 << 20, 1 << 20)  # bytes a second: nobody has measured AWS Backup; 2 GB in 20 minutes is one report
UNMEASURED = "AWS Backup was not measured; DynamoDB's own restores took 82 to 767 s"


def forecast(name: str, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
    """A backup, its copy to the other account's vault, and a restore there."""
    more = by_size(facts, RATES)
    compare_parts, compare_costs = compared(facts, False, prices)
    words = f"{UNMEASURED}{extrapolated(facts)}"
    moving = [Stage("back up", Span(20, 600) + more, words)]
    if not facts.wishes.air_gapped:
        moving.append(Stage("copy to the other vault", Span(20, 600) + more, words))
    if facts.wishes.restore:
        moving += [Stage("restore", Span(80, 780) + more, words), *compare_parts, settings_part(facts, made_warm=False)]
    costs = [*_storage(facts, prices)]
    if facts.wishes.restore:
        costs += [prices.line("restore", "restore_gb", exactly(facts.size / GB)), *compare_costs]
    return Forecast(
        name,
        reasons=(*no_transforms(facts), *_reasons(facts), *between.reasons),
        broken=_broken(facts),
        parts=tuple(moving),
        costs=tuple(costs),
        uses=named_uses(
            copies=0 if facts.wishes.air_gapped else 1,
            restores=1 if facts.wishes.restore else 0,
            restore_bytes=facts.size if facts.wishes.restore else 0,
        ),
        warnings=between.warnings,
    )


def _broken(facts: TableFacts) -> dict[str, str]:
    if facts.wishes.verify != "counts" or facts.wishes.writes_stopped:
        return {}
    why = "AWS Backup counts no items, and counts of two tables are equal only once writes have stopped"
    return {PROVED: why}


def _storage(facts: TableFacts, prices: Prices) -> tuple[CostLine, ...]:
    """GB-months of warm storage, for as long as each side keeps its recovery point. One that never expires is counted
    for a month."""
    size, wishes = facts.size / GB, facts.wishes
    lines = [
        prices.line("backup in the source", "backup_gb_month", exactly(size * (wishes.backup_days or MONTH) / MONTH))
    ]
    if not wishes.air_gapped:
        kept = exactly(size * (wishes.copy_days or MONTH) / MONTH)
        lines.append(prices.line("copy in the destination", "backup_gb_month", kept))
    if facts.crosses_regions:
        lines.append(prices.line("transfer to another Region", "transfer_gb", exactly(size)))
    return tuple(lines)


def _reasons(facts: TableFacts) -> tuple[Reason, ...]:
    found = []
    if facts.crosses_partitions:
        why = f"AWS Backup does not copy from the partition {facts.source.partition} to {facts.destination.partition}"
        found.append(Reason("partition", why))
    if facts.same_account and not facts.wishes.air_gapped:
        found.append(Reason("one account", "AWS Backup copies only to another account"))
    if facts.wishes.leave_indexes or facts.wishes.indexes_after:
        found.append(Reason("indexes", "a restore creates all indexes, and some are to be left out or created later"))
    if facts.tags is not None and facts.tags + 1 > MOST_TAGS:
        why = f"the table has {facts.tags} tags, and with that of its recovery point AWS allows {MOST_TAGS}"
        found.append(Reason("tags", why, "Remove a tag from the table."))
    return tuple(found)
