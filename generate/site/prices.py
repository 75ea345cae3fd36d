# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's prices, and what tables of some sizes come to with them, as a page of the site."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import METHODS
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.amounts import (
    GB,
    about,
    amount_of_bytes,
    durations,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.facts import (
    Between,
    Location,
    TableFacts,
    Wishes,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition

SIZES = (100 << 20, 10 * GB, 1024 * GB)  # bytes
ITEM = 1024  # bytes
PAGE = """Prices and examples
===================

With these prices a plan calculates unless you give yours in ``ferry_prices`` (:doc:`/docs/plan`). They are those of one
Region, {region}. A price that nobody has confirmed is marked here, and in each plan that uses it.

{prices}
Examples
--------

What the plan says, with these prices, of a table on demand without indexes, with items of 1 KB and point-in-time
recovery on, that goes to another account in its Region and organization and whose items are counted (``ferry_verify:
counts``): about what it costs, and how long it takes. Where a range is wide, much of it was never measured: the plan
says what each part rests on.

{examples}"""


def rows(table: Iterable[Sequence[str]], widths: str) -> str:
    """A table whose first row is its heading, in reStructuredText."""
    lines = [f".. list-table::\n   :header-rows: 1\n   :widths: {widths}\n"]
    for row in table:
        lines += [f"   * - {row[0]}", *(f"     - {cell}" for cell in row[1:])]
    return "\n".join(lines) + "\n"


def prices() -> list[tuple[str, ...]]:
    """The prices that plans use where the user gives none."""
    found: list[tuple[str, ...]] = [("name", "price in US dollars", "for", "of", "source")]
    for name, figure in usual().figures.items():
        source = figure.source if figure.confirmed else f"**UNCONFIRMED:** {figure.source}"
        found.append((f"``{name}``", f"{figure.price:g}", figure.unit, figure.date, source))
    return found


def example(size: int) -> TableFacts:
    """A table of ``size`` bytes as the page describes it."""
    definition = TableDefinition.from_dict(
        {
            "TableName": "orders",
            "TableArn": "arn:aws:dynamodb:us-east-1:111111111111:table/orders",
            "TableId": "orders",
            "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
            "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
            "TableSizeBytes": size,
            "ItemCount": size // ITEM,
        }
    )
    source, destination = (Location(account, "us-east-1") for account in ("111111111111", "222222222222"))
    return TableFacts(definition, source, destination, "orders", Wishes(), recovery_on=True)


def examples() -> list[tuple[str, ...]]:
    """What the plan says of a table of each size, a row for each method."""
    found: list[tuple[str, ...]] = [("method", *(amount_of_bytes(size) for size in SIZES))]
    for name, method in METHODS.items():
        forecasts = [method.forecast(example(size), Between(), usual()) for size in SIZES]
        found.append((f"``{name}``", *(f"{about(each.cost)}; {durations(each.seconds)}" for each in forecasts)))
    return found


def page() -> str:
    """The page, in reStructuredText."""
    return PAGE.format(
        region=usual().region, prices=rows(prices(), "14 10 32 12 32"), examples=rows(examples(), "10 30 30 30")
    )
