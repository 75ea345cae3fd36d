# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the benchmark counts the outcome of a plan."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks import planned
from benchmarks.planned import Kept, compared, show, together


def row(name: str, *jobs: tuple[str, int, int], status: str = "migrated") -> dict[str, Any]:
    def at(second: int) -> str:
        return f"2026-01-01T00:{second // 60:02d}:{second % 60:02d}.000+00:00"

    return {
        "name": name,
        "status": status,
        "jobs": [{"kind": kind, "start": at(begin), "end": at(end)} for kind, begin, end in jobs],
    }


def test_aws_time_is_scaled_and_this_machine_s_work_is_not() -> None:
    assert together([row("a", ("export", 0, 8), ("import", 8, 14))], 0.05) == 280
    assert together([row("a", ("export", 0, 8), ("spark_job", 8, 48), ("settings", 48, 50))], 0.05) == 10 / 0.05 + 40
    both = [row("a", ("export", 0, 8)), row("b", ("direct", 10, 40))]
    assert together(both, 0.05) == 10 / 0.05 + 30


def test_a_table_that_was_not_moved_has_no_outcome() -> None:
    assert together([row("a", ("export", 0, 8), status="failed")], 0.05) is None
    assert together([], 0.05) is None
    entry = {"host": "a", "method": "s3", "seconds": [100, 200]}
    (kept,) = compared([entry], [row("a", ("export", 0, 8), status="failed")], 0.05)
    assert kept == Kept("a", "s3", "failed", (100, 200), None) and not kept.within


@pytest.mark.parametrize(("late", "whole", "missed"), [(1, 150.0, 0), (2, 150.0, 1), (0, 250.0, 1), (0, None, 1)])
def test_nine_of_ten_tables_and_all_together_are_to_be_within(late: int, whole: float | None, missed: int) -> None:
    kept = [Kept(f"t{at}", "s3", "migrated", (100, 200), 201.0 if at < late else 200.0) for at in range(10)]
    assert show(kept, Kept("all", "all", "", (100, 200), whole)) == missed


def test_there_are_forty_tables_of_all_methods() -> None:
    tables = list(planned.tables_of(planned.METHODS))
    assert len(tables) == len({table.name for table in tables}) == 40
    assert {table.variables["ferry_method"] for table in tables} == {"s3", "backup", "direct", "glue", "emr"}
