# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""When the benchmark of the data plane says that a target is reached."""

from __future__ import annotations

from dataclasses import replace

import pytest

from benchmarks.peers import TABLEFERRY
from benchmarks.rows import APART, CANNED, NEAR, SHARING, Row
from benchmarks.targets import Target, targets

MEMORY = Row("memory", TABLEFERRY, "http", CANNED, 1_000, 10_000, None, None, 50.0)
OURS = Row("copy", TABLEFERRY, "http", CANNED, 1_000, 1_000, 2_800, 1.0, 50.0)
RATE = replace(OURS, work="rate", asked_units_s=2_000.0)


def target(rows: list[Row], words: str) -> Target:
    """The one whose text holds ``words``."""
    (found,) = (each for each in targets([MEMORY, *rows]) if words in each.text)
    return found


@pytest.mark.parametrize(("theirs", "met"), [(90, True), (100, True), (102, True), (104, False)])
def test_a_ratio_is_of_the_same_run_and_may_be_missed_by_three_percent(theirs, met):
    peer = replace(OURS, who="boto3_client", items_per_cpu_s=theirs)
    assert target([OURS, peer], "CPU at most 1/28 of boto3_client").met == met


@pytest.mark.parametrize(
    ("got", "worst", "met"),
    [(1_940, 1_996, True), (1_921, 2_059, True), (1_919, 1_996, False), (1_940, 2_061, False)],
)
def test_a_rate_is_nearly_used_and_no_second_is_above(got, worst, met):
    assert target([replace(RATE, got_units_s=got, worst_units_s=worst)], "units/s").met == met


def test_many_small_tables_are_held_to_wall_time_at_a_distance_and_to_cpu_without():
    row = replace(OURS, work="tables", items=10_000, tables=100, transport="tls", items_per_cpu_s=1_000, wall_s=15.1)
    near = [target([replace(row, server=NEAR, wall_s=wall)], "20 ms") for wall in (15.1, 15.6)]
    assert [(each.got, each.met) for each in near] == [("15.1 s", True), ("15.6 s", False)]
    here = [target([replace(row, items_per_cpu_s=speed)], "without delay") for speed in (500, 480)]
    assert [(each.got, each.met) for each in here] == [("20.0 CPU-s", True), ("20.8 CPU-s", False)]


@pytest.mark.parametrize(
    ("wall", "speed", "met"),
    [(6.6, 2_800, True), (6.9, 2_800, False), (6.6, 2_520, True), (6.6, 2_510, False), (4.8, 2_800, False)],
)
def test_two_workers_are_held_to_what_was_measured_wherever_the_server_runs(wall, speed, met):
    one = replace(OURS, wall_s=10.0)
    for server, words in ((APART, "server apart"), (SHARING, "server on them too")):
        two = replace(one, server=server, workers=2, wall_s=wall, items_per_cpu_s=speed, server_cpu_s=2.0)
        shown = target([replace(one, server=server), two], words)
        assert shown.met == met
        assert "2.0 CPU-s" in shown.got
