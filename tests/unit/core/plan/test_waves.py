# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waves and quotas: they are used and not hit, and a huge table does not hold up the small ones."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.amounts import Span
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.facts import Location
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.quotas import account_quotas
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.waves import (
    LARGE,
    TB,
    Load,
    together,
    usage,
    waves,
)

from .tables import PROVISIONED, facts

MINUTE = Span(60, 100)


def load(name: str, size: float = 1.0, seconds: Span = MINUTE, region: str = "eu-west-1", **uses: float) -> Load:
    return Load(name, size, seconds, uses or {"imports": 1, "import_bytes": size}, "here", "there", region)


def test_what_fits_at_once_is_one_wave() -> None:
    loads = [load(f"t{number:02}") for number in range(50)]
    assert waves(loads) == [[each.name for each in loads]]
    assert together(loads, waves(loads)[0]) == Span(60, 100)


def test_the_51st_import_is_in_the_next_wave_and_waits_for_a_place() -> None:
    loads = [load(f"t{number:02}") for number in range(51)]
    assert [len(names) for names in waves(loads)] == [50, 1]
    assert together(loads, [name for names in waves(loads) for name in names]) == Span(120, 200)


def test_quotas_of_two_destinations_are_apart() -> None:
    loads = [load(f"t{number:02}") for number in range(50)]
    loads += [Load(f"u{number:02}", 1, Span(1, 1), {"imports": 1}, "here", "elsewhere") for number in range(50)]
    assert len(waves(loads)) == 1


def test_small_tables_come_first_and_huge_ones_take_half_of_the_places() -> None:
    huge = [load(f"huge{number:02}", LARGE + number, imports=1) for number in range(40)]
    small = [load(f"small{number:02}", number, imports=1) for number in range(40)]
    first, second = waves([*huge, *small])
    assert sum(name.startswith("huge") for name in first) == 25
    assert first[:25] == [f"small{number:02}" for number in range(25)]
    assert first[25] == "huge39"  # the largest of them is begun at once
    assert len(second) == 30


def test_a_table_larger_than_the_whole_quota_goes_with_none_of_its_kind() -> None:
    # 1 TB at once outside the three large Regions, 15 TB in these.
    loads = [
        load(name, size, region="eu-west-2") for name, size in (("ten", 10 * TB), ("one", TB / 2), ("two", TB / 2))
    ]
    assert [sorted(names) for names in waves(loads)] == [["one", "two"], ["ten"]]
    there = [load(each.name, each.size, region="us-east-1") for each in loads]
    assert len(waves(there)) == 1


def test_time_is_that_of_the_slowest_or_of_what_waits() -> None:
    loads = [load("slow", seconds=Span(10, 500)), load("quick", seconds=Span(1, 2))]
    assert together(loads, ["quick", "slow"]) == Span(10, 500)
    copies = [load(f"t{number}", seconds=Span(10, 20), machine=1) for number in range(9)]
    assert together(copies, [each.name for each in copies]) == Span(30, 60)  # four at a time
    assert together([], []) == Span(0, 0)


def test_usage_says_how_much_of_each_quota_is_asked_for() -> None:
    found = {row["quota"]: row for row in usage([load(f"t{number:02}") for number in range(51)])}
    assert (found["imports"]["asked"], found["imports"]["at_once"], found["imports"]["fits_at_once"]) == (51, 50, False)
    assert found["import_bytes"]["fits_at_once"]


@pytest.mark.parametrize(("standing", "fits"), [(2499, True), (2500, False)])
def test_the_number_of_tables(standing: int, fits: bool) -> None:
    (quota,) = account_quotas(Location("222222222222", "eu-west-1"), standing, [facts()], {})
    assert (quota["asked"], quota["at_once"], quota["raise"] == "") == (standing + 1, 2500, fits)


def test_the_capacity_of_the_account() -> None:
    tables = [facts(**PROVISIONED)] * 3
    limits = {"AccountMaxReadCapacityUnits": 300, "AccountMaxWriteCapacityUnits": 149}
    found = {quota["quota"]: quota for quota in account_quotas(Location("2", "r"), 0, tables, limits)}
    assert found["ReadCapacityUnits"]["raise"] == ""
    assert found["WriteCapacityUnits"]["asked"] == 150
    assert "raised in Service Quotas" in found["WriteCapacityUnits"]["raise"]
