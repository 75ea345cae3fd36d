# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Progress lines."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.progress import (
    duration,
    progress_line,
    slowest_line,
)


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


def test_the_slowest_ten_are_named_where_more_run() -> None:
    running = [(f"table-{number:02d}", "import", 60.0 * number) for number in range(11)]
    assert slowest_line(running[:10]) == ""
    line = slowest_line(running)
    assert line.startswith("slowest: table-10 (import 10m00s), table-09 (import 9m00s), ")
    assert "table-00" not in line
