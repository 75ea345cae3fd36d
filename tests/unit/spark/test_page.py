# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The figures of docs/spark.md: each calculation has the result that stands beside it, with the page's own prices."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.spark.files import OPEN_FILES
from ansible_collections.tableferry.aws.plugins.module_utils.spark.wheels import WHEELS
from tests.unit.house.imports import ROOT

PAGE = (ROOT / "docs/spark.md").read_text()
ROWS = [[cell.strip() for cell in line.strip("|").split("|")] for line in PAGE.splitlines() if line.startswith("|")]
TIMES = "\N{MULTIPLICATION SIGN}"
NUMBER = r"\$?\d[\d,]*(?:\.\d+)?"
CALCULATION = rf"{NUMBER}(?: [{TIMES}/+] {NUMBER})+"


def number(text: str) -> Fraction:
    """A number of the page, with or without a dollar sign."""
    return Fraction(text.lstrip("$").replace(",", ""))


def calculated(text: str) -> Fraction:
    """The value of a sum of products and quotients, which are taken from left to right."""
    total = Fraction(0)
    for product in text.split(" + "):
        first, *others = product.split(" ")
        value = number(first)
        for sign, factor in zip(others[::2], others[1::2], strict=True):
            value = value * number(factor) if sign == TIMES else value / number(factor)
        total += value
    return total


def calculations() -> list[tuple[str, str]]:
    """The calculations of tables, each with the number in the cell after it, and those within sentences."""
    cells = [(row[1], row[2]) for row in ROWS if len(row) == 3 and re.fullmatch(CALCULATION, row[1])]
    return cells + re.findall(rf"({CALCULATION}) = ({NUMBER})", PAGE)


def row_of(first: str) -> list[str]:
    """The row that begins with ``first``."""
    (row,) = [row for row in ROWS if row[0].strip("*") == first]
    return row


def result(part: str) -> Fraction:
    """The result of one part of the example."""
    found = re.match(NUMBER, row_of(part)[-1])
    assert found
    return number(found[0])


@pytest.mark.parametrize(("text", "shown"), calculations(), ids=str)
def test_a_calculation_has_the_result_that_the_page_shows(text, shown):
    found = re.match(NUMBER, shown)
    assert found
    digits = len(found[0].partition(".")[2])
    assert abs(calculated(text) - number(found[0])) <= Fraction(1, 2 * 10**digits)


def test_all_calculations_are_looked_at():
    assert len(calculations()) == len(re.findall(CALCULATION, PAGE))


def test_the_sum_is_of_the_parts():
    parts = ("write units", "export", "the job on Glue", "count of the destination")
    assert sum(result(part) for part in parts) == result("all, with Glue")
    parts = ("the import", "the same export", "the job with `end: import` on Glue")
    assert sum(result(part) for part in parts) == result("all, with `end: import`")


@pytest.mark.parametrize(
    ("part", "figures"),
    [
        ("write units", ["write unit, on demand"]),
        ("export", ["full export"]),
        ("the same export", ["full export"]),
        ("the import", ["import"]),
        ("the job with `end: import` on Glue", ["DPU-hour of Glue", "two workers on Glue"]),
        ("the job on Glue", ["DPU-hour of Glue", "two workers on Glue"]),
        ("what AWS Glue then costs", ["DPU-hour of Glue", "two workers on Glue"]),
        ("or on EMR Serverless", ["vCPU-hour of EMR Serverless", "two workers on EMR Serverless"]),
        ("or on EMR Serverless", ["GB-hour of EMR Serverless", "their memory"]),
        ("count of the destination", ["read unit, on demand"]),
    ],
)
def test_the_example_takes_the_figures_of_the_page(part, figures):
    factors = re.findall(NUMBER, row_of(part)[1])
    for figure in figures:
        assert row_of(figure)[1].split(" ")[0] in factors


def test_prices_have_a_source_with_its_date_or_are_marked():
    prices = [row for row in ROWS if len(row) == 3 and re.match(r"\$", row[1]) and not re.match(CALCULATION, row[1])]
    assert len(prices) == 7
    for row in prices:
        assert re.search(r"\d{4}-\d\d|UNCONFIRMED|the same", row[2]), row[0]


def test_the_package_is_as_the_page_says():
    pythons = sorted({wheel.python for wheel in WHEELS})
    assert pythons == ["cp311", "cp312", "cp313"]
    assert "Python 3.11, 3.12 and 3.13 on x86_64 and aarch64" in PAGE
    assert {wheel.machine for wheel in WHEELS} == {"x86_64", "aarch64"}
    assert OPEN_FILES == 8
    assert "eight at a time" in PAGE
