# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's prices as a page of the site."""

from __future__ import annotations

from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual

INTRODUCTION = """Prices
======

With these a plan calculates unless you give yours in ``ferry_prices`` (:doc:`/docs/plan`). They are those of one
Region, {region}. A price that nobody has confirmed is marked here, and in each plan that uses it.

"""


def page() -> str:
    """The prices that plans use where the user gives none, in reStructuredText."""
    return INTRODUCTION.format(region=usual().region) + _table()


def _table() -> str:
    rows = [("name", "price in US dollars", "for", "of", "source")]
    for name, figure in usual().figures.items():
        source = figure.source if figure.confirmed else f"**UNCONFIRMED:** {figure.source}"
        rows.append((f"``{name}``", f"{figure.price:g}", figure.unit, figure.date, source))
    lines = [".. list-table::\n   :header-rows: 1\n   :widths: 14 10 32 12 32\n"]
    for row in rows:
        lines += ["   * - " + row[0], *(f"     - {cell}" for cell in row[1:])]
    return "\n".join(lines) + "\n"
