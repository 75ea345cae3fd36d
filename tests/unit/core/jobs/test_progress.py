# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress lines."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.progress import (
    JobPace,
    Running,
    Telling,
    TellingOne,
    duration,
    names_line,
    point_of,
    progress_line,
    rough,
)

PLURALS = {"direct": "direct copies", "import": "imports"}


def paced(*points: tuple[float, float | None, int | None]) -> JobPace:
    pace = JobPace()
    for now, percent, items in points:
        pace.note(now, percent, items)
    return pace


@pytest.mark.parametrize(("seconds", "words"), [(9.9, "9s"), (130, "2m10s"), (3725, "1h02m")])
def test_durations(seconds: float, words: str) -> None:
    assert duration(seconds) == words


def test_a_line_counts_the_jobs() -> None:
    jobs = [
        Job("import", "a", state="completed"),
        Job("import", "b", state="failed"),
        Job("import", "c", state="pending", pending_reason="slot"),
        Job("import", "d", state="running"),
    ]
    assert progress_line("imports", jobs) == "imports 1/4 done, 1 failed, 1 waiting for a slot, 1 running"
    shown = progress_line("direct copies", jobs[3:], [12.4, 90.0])
    assert shown == "direct copies 0/1 done, 1 running (12 to 90 %)"


def test_h12_a_job_that_could_not_be_followed_is_not_failed() -> None:
    jobs = [
        Job("import", "a", state="failed", failure={"error": "CredentialsError", "details": {"not_followed": True}}),
        Job("import", "b", state="failed", failure={"error": "ImportFailed"}),
    ]
    assert progress_line("imports", jobs) == "imports 0/2 done, 1 failed, 1 not followed"


@pytest.mark.parametrize(
    ("reason", "words"), [("held", "held by other runs"), ("fence", "waiting until no former request can arrive")]
)
def test_a_line_says_what_other_runs_keep_waiting(reason, words) -> None:
    jobs = [Job("settings", name, state="pending", pending_reason=reason) for name in "ab"]
    assert progress_line("settings", jobs) == f"settings 0/2 done, 2 {words}"


def test_a_line_says_since_when_aws_has_no_capacity() -> None:
    lacks = [
        {"lack": {"since": f"2026-11-29T20:0{since}:00Z", "last": f"2026-11-29T21:0{last}:00Z", "needs": "5 vCPUs"}}
        for since, last in ((2, 5), (1, 4))
    ]
    jobs = [
        Job("spark_job", "a", state="running", result=lacks[0]),
        Job("spark_job", "b", state="pending", pending_reason="slot", result=lacks[1]),
        Job("spark_job", "c", state="failed", result=lacks[1]),
    ]
    assert progress_line("Spark jobs", jobs) == (
        "Spark jobs 0/3 done, 1 failed, 1 waiting for a slot, 2 refused for lack of capacity since"
        " 2026-11-29T20:01:00Z, last at 2026-11-29T21:05:00Z (5 vCPUs needed), 1 running"
    )


def test_a_job_that_aws_has_not_begun_to_work_on_is_named_so() -> None:
    waits = Running("a", "spark_job", "Spark job", 60.0, JobPace(), aws_state="SCHEDULED")
    assert names_line([waits], 0) == "running: a (Spark job 1m00s, AWS says SCHEDULED)"


def test_the_slowest_ten_are_named_where_more_run() -> None:
    running = [
        Running(f"table-{number:02d}", "import", "import", 60.0 * number, paced((0, None, None)))
        for number in range(11)
    ]
    assert names_line(running[:2], 0) == "running: table-01 (import 1m00s), table-00 (import 0s)"
    line = names_line(running, 0)
    assert line.startswith("slowest: table-10 (import 10m00s), table-09 (import 9m00s), ")
    assert "table-00" not in line


def test_what_is_left_rests_on_what_the_job_says() -> None:
    """30 % in 60 seconds: the other 60 % take 120."""
    pace = paced((100, 10.0, 1000), (160, 40.0, 4000))
    assert pace.left(160) == 120
    assert pace.left(170) == 110
    assert pace.rate() == 50
    pace.tell()
    assert pace.rate() is None
    pace.note(170, 45.0, 5000)
    assert pace.rate() == 100


@pytest.mark.parametrize(
    "points",
    [
        [],
        [(0, None, None), (60, None, None)],
        [(0, None, 10), (60, None, 1000)],
        [(0, 50.0, None)],
        [(0, 10.0, 0), (9, 60.0, 0)],
        [(0, 10.0, 0), (60, 10.5, 0)],
        [(0, 10.0, 0), (60, 100.0, 0)],
        [(0, 90.0, 900), (30, 5.0, 50), (35, 10.0, 100)],
    ],
    ids=["nothing", "unsaid", "items", "once", "soon", "stands", "done", "again"],
)
def test_nothing_is_estimated_that_rests_on_nothing(points) -> None:
    assert paced(*points).left(60.0) is None


def test_a_job_that_stands_still_takes_longer_and_longer() -> None:
    pace = paced((0, 0.0, 0), (60, 50.0, 500), (120, 50.0, 500))
    assert pace.left(120) == 120


def test_a_job_is_as_far_as_its_result_says() -> None:
    assert point_of(Job("backup", "a", result={"percent_done": 40.4})) == (40.4, None)
    assert point_of(Job("direct", "a", result={"percent": 30.0, "items": 12})) == (30.0, 12)
    assert point_of(Job("import", "a", result={"items": 12})) == (None, None)


def test_blocks_come_every_five_seconds_at_most_and_not_where_nothing_changes() -> None:
    telling, pace = Telling(1000.0), JobPace()
    jobs = [Job("direct", "orders", state="running"), Job("import", "users", state="running")]
    blocks: dict[int, list[str]] = {}
    for second in range(170):
        pace.note(1000.0 + second, min(second / 2, 50.0), 1000 * min(second, 100))
        running = [
            Running("orders", "direct", "direct copy", second, pace, 200_000),
            Running("users", "import", "import", second, JobPace()),
        ]
        lines = telling.block(1000.0 + second, PLURALS, jobs, running)
        if lines:
            blocks[second] = lines
    at = list(blocks)
    assert at[:10] == list(range(5, 51, 5))
    assert at[10:] == [56, 63, 70, 78, 87, 97, 108, 168]  # after 50 seconds less often, and quiet when nothing changes
    assert blocks[20] == [
        "direct copies 0/1 done, 1 running (10 %, 1,000 items/s, about 3m00s left); imports 0/1 done, 1 running, 20s"
    ]
    assert blocks[63][1:] == [
        "running: orders (direct copy 1m03s, 32 % of about 200,000 items, about 2m20s left), users (import 1m03s)"
    ]
    assert [second for second, lines in blocks.items() if len(lines) > 1] == [63, 168]


def test_a_day_of_changes_takes_a_line_a_minute() -> None:
    """A change every few seconds: the log of a day is read by people."""
    telling, lines, hour = Telling(), [], 3600
    for second in range(0, 24 * hour, 5):
        jobs = [Job("import", "users", state="running" if second % 10 else "completed")]
        running = [Running("users", "import", "import", second, JobPace())]
        lines += telling.block(float(second), PLURALS, jobs, running)
    assert 24 * 60 * 0.9 < len(lines) < 24 * 60 + 150  # one a minute, which says that the run goes on


def test_the_work_on_one_table_is_told_in_the_same_way() -> None:
    telling = TellingOne("orders", "comparison", 100.0)
    lines = [line for second in range(31) if (line := telling.line(100.0 + second, second, 500 * second))]
    assert lines == [
        "orders: comparison 5 %, 2,500 items read, 500 items/s, 5s",
        "orders: comparison 10 %, 5,000 items read, 500 items/s, about 1m30s left, 10s",
        "orders: comparison 15 %, 7,500 items read, 500 items/s, about 1m30s left, 15s",
        "orders: comparison 20 %, 10,000 items read, 500 items/s, about 1m20s left, 20s",
        "orders: comparison 25 %, 12,500 items read, 500 items/s, about 1m20s left, 25s",
        "orders: comparison 30 %, 15,000 items read, 500 items/s, about 1m10s left, 30s",
    ]
    assert [telling.line(131.0 + second, 30, 15000) for second in range(59)] == [""] * 59
    assert telling.line(190.0, 30, 15000) == "orders: comparison 30 %, 15,000 items read, about 3m30s left, 1m30s"


@pytest.mark.parametrize(
    ("seconds", "words"), [(21, "25s"), (60, "1m00s"), (61, "1m10s"), (781, "14m00s"), (3601, "1h10m")]
)
def test_estimates_are_round(seconds: float, words: str) -> None:
    assert rough(seconds) == words
