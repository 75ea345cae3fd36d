# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the destination must have room for: tables, and provisioned capacity. No call is made."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from .facts import Location, TableFacts

TABLES = 2500  # in an account and Region, which AWS raises to 10,000 (aws-new.md, ServiceQuotas)
_UNITS = {
    "ReadCapacityUnits": "AccountMaxReadCapacityUnits",
    "WriteCapacityUnits": "AccountMaxWriteCapacityUnits",
}


def account_quotas(
    place: Location, standing: int, tables: Sequence[TableFacts], limits: Mapping[str, int]
) -> Iterator[dict[str, Any]]:
    """For each quota of the destination ``place`` how much is asked for with its ``tables``, and how much is allowed;
    ``raise`` says what is to be raised first. ``standing`` tables are there, ``limits`` is of DescribeLimits."""
    yield _quota(
        "tables",
        "tables",
        place,
        standing + len(tables),
        TABLES,
        "Have 'Maximum number of tables' raised in Service Quotas, unless it was: this is AWS's usual quota.",
    )
    for unit, member in _UNITS.items():
        asked = sum(_provisioned(facts, unit) for facts in tables)
        if asked and member in limits:
            words = (
                f"Have '{member}' raised in Service Quotas, or lower the capacity of some tables at the source. What"
                " tables that stand there have comes on top."
            )
            yield _quota(unit, f"provisioned {unit}", place, asked, int(limits[member]), words)


def _quota(name: str, what: str, place: Location, asked: int, allowed: int, advice: str) -> dict[str, Any]:
    fits = asked <= allowed
    return {
        "quota": name,
        "what": what,
        "where": str(place),
        "asked": asked,
        "at_once": allowed,
        "fits_at_once": fits,
        "raise": "" if fits else advice,
    }


def _provisioned(facts: TableFacts, unit: str) -> int:
    """Units of the table and of its global secondary indexes, which count alike."""
    places = [facts.definition.provisioned_throughput or {}]
    places += [index.provisioned_throughput or {} for index in facts.definition.global_secondary_indexes]
    return sum(int(units.get(unit, 0)) for units in places)
