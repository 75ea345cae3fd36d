# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far a run of the Spark job is: by the results that its tasks have left, looked at now and then."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ServiceError
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import Page
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark import followed_runs
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.engines import ENGINES
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.results import percent_done
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.spark_job import SparkKind


class Account:
    """One whose time is told."""

    account_id, region, seconds = "111111111111", "eu-west-1", 1000.0

    def now(self) -> Any:
        return SimpleNamespace(timestamp=lambda: self.seconds)


@pytest.fixture
def listed(monkeypatch: pytest.MonkeyPatch) -> Callable[[], dict[str, float]]:
    """The percents on the page of a list that has two runs."""
    page = Page({"run-1": "running", "run-2": "running", "run-3": "completed"})
    monkeypatch.setitem(ENGINES, "glue", SimpleNamespace(page=lambda *_: page))

    def follow(look: Callable[[], float]) -> Callable[[float], dict[str, float]]:
        kind, account = SparkKind(), Account()
        kind.runs.add(account, SimpleNamespace(engine="glue", scope="job"), "run-1", look)

        def at(seconds: float) -> dict[str, float]:
            account.seconds = seconds
            return dict(kind.list_page(account, "glue", "").percents)

        return at

    return follow


def test_a_plan_is_as_far_as_the_items_of_files_with_a_result() -> None:
    files = [SimpleNamespace(key=key, items=items) for key, items in (("a", 10), ("b", 30), ("c", 60))]
    left = lambda there: [file for file in files if file.key not in there]  # noqa: E731
    plan = SimpleNamespace(files=files, results_prefix="results/", objects="", left=left)
    bucket = SimpleNamespace(objects=lambda folder: [SimpleNamespace(key="a"), SimpleNamespace(key="b")])
    assert percent_done(bucket, plan) == 40
    assert percent_done(bucket, SimpleNamespace(files=[], results_prefix="", objects="", left=lambda there: [])) == 0


def test_the_results_are_looked_at_once_a_minute(listed) -> None:
    found = iter([10.0, 60.0])
    at = listed(lambda: next(found))
    assert at(1000) == {"run-1": 10.0}
    assert at(1000 + followed_runs.PERCENT_GAP - 1) == {"run-1": 10.0}
    assert at(1000 + followed_runs.PERCENT_GAP) == {"run-1": 60.0}


def test_a_run_is_followed_though_its_results_cannot_be_read(listed) -> None:
    def refuse() -> float:
        raise ServiceError("AWS answered AccessDenied.", "Allow it.")

    assert listed(refuse)(1000) == {}
