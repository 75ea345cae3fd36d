# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the forecasts of several methods have in common: capacity units, an export, settings, comparisons.

Durations are those of facts/measured, whose tables were small: for larger ones they are extrapolated, and say so.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..plan.amounts import GB, Span, exactly, total
from ..plan.facts import Reason, TableFacts
from ..plan.forecast import Forecast, Stage
from ..plan.prices import CostLine, Prices
from ..plan.waves import LARGE_IMPORTS, LARGE_REGIONS, LIMITS, TB
from ..table.creation import warm_above

MONTH = 30.0  # days, as AWS's GB-months are charged
MEASURED = 30 * 1000 * 1000  # bytes of the largest table whose export and import were measured (IMPORT-006)
EXTRAPOLATED = "; for a table of this size extrapolated"
TEXT_GROWTH = 1.5  # DynamoDB JSON is longer than the items that AWS counts (aws.md B5); by how much differs
# Capacity units a second: a new on-demand table takes 4,000, one partition 1,000, a table has a quota of 40,000
# (aws.md H). Reading is never the limit on demand.
NEW_TABLE, ONE_PARTITION, TABLE_QUOTA = 4000.0, 1000.0, 40000.0
RECOVERY_DAYS = Span(1, 7)  # that point-in-time recovery stays on until cleanup turns it off
STAGED_DAYS = Span(1, 14)  # that an export stays in the staging bucket
COMPRESSED = Span(0.1, 0.5)  # of the text, in GZIP


def read_units(size: float) -> float:
    """Read units of a scan of ``size`` bytes, eventually consistent: half a unit for 4 KB (aws.md H)."""
    return size / 4096 / 2


def write_units(facts: TableFacts) -> Span:
    """Write units that the items and their entries in the global secondary indexes take: one for each started KB, so
    between the larger and the sum of items and KB (aws.md H). Entries of an index count apart (DDB:gsi)."""
    raw = facts.definition.raw
    left = set(facts.wishes.leave_indexes) | set(facts.wishes.indexes_after)
    indexes = [index for index in raw.get("GlobalSecondaryIndexes", ()) if index["IndexName"] not in left]
    places = [(facts.definition.item_count, float(facts.size))]
    places += [(int(index.get("ItemCount", 0)), float(index.get("IndexSizeBytes", 0))) for index in indexes]
    return total(Span(max(items, size / 1024), items + size / 1024) for items, size in places)


def writing(facts: TableFacts, tasks_limit: float = TABLE_QUOTA) -> Stage:
    """How long the items take to be written, by the capacity of the new table; at most ``tasks_limit`` units a
    second."""
    units, wishes = write_units(facts), facts.wishes
    provisioned = float((facts.definition.provisioned_throughput or {}).get("WriteCapacityUnits", 0))
    limit = wishes.write_rate or tasks_limit
    if provisioned:
        rate = min(provisioned, limit)
        return Stage(
            "write the items", Span(units.low / rate, units.high / rate * 1.5), f"{rate:.0f} write units a second"
        )
    warm = float(facts.definition.warm_throughput.get("WriteUnitsPerSecond", 0)) if wishes.warm_throughput else 0.0
    fast = min(max(NEW_TABLE, warm), TABLE_QUOTA, limit)
    slow = min(ONE_PARTITION, limit)
    words = f"{fast:.0f} write units a second of the new table, {slow:.0f} where one key is hot"
    return Stage("write the items", Span(units.low / fast, units.high / slow), words)


def write_cost(facts: TableFacts, prices: Prices) -> tuple[CostLine, ...]:
    """The write units on demand; provisioned capacity costs the same whether it is used or not."""
    if facts.definition.provisioned_throughput:
        return ()
    return (prices.line("write the items", "write_million", write_units(facts).times(1e-6)),)


def scan_cost(facts: TableFacts, what: str, sides: int, prices: Prices) -> tuple[CostLine, ...]:
    """Scans of the table on ``sides`` sides."""
    if facts.definition.provisioned_throughput:
        return ()
    units = read_units(facts.size) * sides * 1e-6
    return (prices.line(what, "read_million", exactly(units)),)


def export_reasons(facts: TableFacts) -> tuple[Reason, ...]:
    """Why the table cannot be exported to S3 for the destination."""
    found = []
    if facts.crosses_partitions:
        found.append(
            Reason(
                "partition",
                f"no export goes from the partition {facts.source.partition} to {facts.destination.partition}",
            )
        )
    if facts.recovery_on is False and not facts.wishes.recovery:
        found.append(
            Reason(
                "point-in-time recovery",
                "point-in-time recovery is off, which an export needs, and may not be turned on",
                "Set enable_point_in_time_recovery to true.",
            )
        )
    if not facts.wishes.prepared and not facts.wishes.staging:
        found.append(
            Reason(
                "staging bucket",
                "there is no staging bucket: none is named, and the accounts are not prepared",
                "Set bucket, or have the accounts prepared.",
            )
        )
    return tuple(found)


def export_parts(facts: TableFacts) -> tuple[Stage, ...]:
    """The time of a full export (EXPORT-009, -011, -016, TABLE-454), and until there can be one."""
    parts = []
    if facts.recovery_on is False and facts.definition.size_bytes > 1 << 20:
        words = "5 minutes behind, pinned for 3 or more after it is turned on (EXPORT-015)"
        parts.append(Stage("wait for point-in-time recovery", Span(180, 600), words))
    elif facts.wishes.writes_stopped:
        words = "the export shows the moment once AWS has it, 5 minutes behind"
        parts.append(Stage("wait for the moment that the export shows", Span(0, 360), words))
    seconds = Span(150, 740) + by_size(facts, Span(1 << 30, 50 << 20))
    parts.append(Stage("export to S3", seconds, f"152 to 740 s measured for small tables{extrapolated(facts)}"))
    return tuple(parts)


def by_size(facts: TableFacts, rates: Span) -> Span:
    """The time for what a table is larger than those that were measured; ``rates`` are bytes a second, the fastest
    first."""
    over = max(0.0, facts.size - MEASURED)
    return Span(over / rates.low, over / rates.high)


def extrapolated(facts: TableFacts) -> str:
    """What is added to the words that a duration rests on, for a table that is larger than what was measured."""
    return EXTRAPOLATED if facts.size > MEASURED else ""


def text_gb(facts: TableFacts) -> Span:
    """GB of the export's text, not compressed."""
    return Span(facts.size / GB, facts.size / GB * TEXT_GROWTH)


def export_costs(facts: TableFacts, prices: Prices) -> tuple[CostLine, ...]:
    """An export, point-in-time recovery as long as this run needs it, the files in the bucket, and their way there."""
    size = exactly(facts.size / GB)
    lines = [prices.line("export to S3", "export_gb", size)]
    if facts.recovery_on is False:
        days = Span(size.low * RECOVERY_DAYS.low, size.high * RECOVERY_DAYS.high)
        lines.append(prices.line("point-in-time recovery", "recovery_gb_month", days.times(1 / MONTH)))
    files = text_gb(facts)
    packed = Span(files.low * COMPRESSED.low, files.high * COMPRESSED.high)
    kept = Span(packed.low * STAGED_DAYS.low, packed.high * STAGED_DAYS.high).times(1 / MONTH)
    lines.append(prices.line("files in the staging bucket", "storage_gb_month", kept))
    if facts.crosses_regions:
        lines.append(prices.line("transfer to another Region", "transfer_gb", packed))
    return tuple(lines)


def import_part(facts: TableFacts) -> Stage:
    """The time of an import (IMPORT-006)."""
    seconds = Span(100, 220) + by_size(facts, Span(500 << 20, 5 << 20))
    return Stage("import", seconds, f"100 to 215 s measured for up to 30 MB{extrapolated(facts)}")


def import_cost(facts: TableFacts, prices: Prices) -> CostLine:
    """An import is charged by its text, not compressed."""
    return prices.line("import", "import_gb", text_gb(facts))


def _most_bytes(region: str) -> float:
    """How much can be imported at once in a Region (aws.md B5)."""
    return LARGE_IMPORTS if region in LARGE_REGIONS else LIMITS["import_bytes"].most


def import_reasons(facts: TableFacts) -> tuple[Reason, ...]:
    """Why no import makes the table."""
    found = []
    if facts.definition.local_secondary_indexes:
        names = ", ".join(index.name for index in facts.definition.local_secondary_indexes)
        found.append(
            Reason("local secondary indexes", f"an import cannot create the local secondary indexes ({names})")
        )
    most = _most_bytes(facts.destination.region)
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


def compared(
    facts: TableFacts, counts: bool, prices: Prices, *, by_export: bool = False
) -> tuple[tuple[Stage, ...], tuple[CostLine, ...]]:
    """Counting the items where the method does not, and comparing them where that is asked for: its time and cost.
    ``by_export``: the copy is compared with the export, so that only the destination is read."""
    parts: list[Stage] = []
    lines: list[CostLine] = []
    units, reads = read_units(facts.size), max(facts.wishes.read_rate, 0.0)
    rate = _read_rate(facts)
    scan = Span(units / rate, units / min(rate, reads or rate) * 2)
    if not counts and facts.wishes.verify != "none":
        parts.append(Stage("count the items", Span(1, 30) + scan, f"{rate:.0f} read units a second"))
        lines += scan_cost(facts, "count both tables", 2, prices)
    if facts.wishes.verify == "full":
        parts.append(Stage("compare all items", Span(1, 60) + scan.times(2), f"{rate:.0f} read units a second"))
        lines += scan_cost(facts, "compare all items", 1 if by_export else 2, prices)
    elif facts.wishes.verify == "sample":
        parts.append(Stage("compare a sample", Span(1, 60), "some thousand items"))
    return tuple(parts), tuple(lines)


def adopting(method: str, facts: TableFacts, prices: Prices) -> Forecast:
    """Adopting a table that stands already: all items of both tables are read and compared, and its settings follow,
    whatever its ``method`` is."""
    full = replace(facts, wishes=replace(facts.wishes, verify="full"))
    parts, costs = compared(full, True, prices)
    return Forecast(method, parts=(*parts, settings_part(facts, made_warm=False)), costs=costs, uses={"machine": 1})


def _read_rate(facts: TableFacts) -> float:
    provisioned = float((facts.definition.provisioned_throughput or {}).get("ReadCapacityUnits", 0))
    return max(provisioned or 12000.0, 1.0)


def settings_part(facts: TableFacts, *, made_warm: bool) -> Stage:
    """The settings after the items: each alone, with AWS's pauses between them (measured/settings 3,
    measured/indexes-capacity 4). ``made_warm``: the method creates the table with its warm throughput."""
    seconds, words = Span(2, 120), ["2 to 120 s for the usual settings"]
    after = len(facts.wishes.indexes_after)
    if after:
        seconds += Span(480, 1020).times(after)
        words.append(f"8 to 17 min for each of {after} indexes created after the copy")
    definition = facts.definition
    above, _once = warm_above(definition.warm_throughput, definition.provisioned_throughput)
    if above and facts.wishes.warm_throughput and not made_warm:
        seconds += Span(2, 460)
        words.append("up to 460 s for warm throughput")
    return Stage("apply the settings", seconds, ", ".join(words))


def named_uses(**uses: float) -> Mapping[str, Any]:
    """How much of each quota a table uses, without those of which it uses nothing."""
    return {name: value for name, value in uses.items() if value}


def no_transforms(facts: TableFacts) -> tuple[Reason, ...]:
    """For a method on whose way no step can change items."""
    if not facts.wishes.transforms:
        return ()
    return (Reason("transforms", "steps are to change the items, which it cannot"),)
