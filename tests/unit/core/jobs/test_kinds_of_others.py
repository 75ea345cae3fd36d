# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engine runs kinds that it has never heard of: what it knows of a kind is what the kind says."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from types import SimpleNamespace
from typing import ClassVar

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ExportFailed, LeaseOver
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs import waiter
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job, ended_with, failure_of
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import (
    AnySteps,
    Instead,
    JobKind,
    Made,
    OwnWork,
    Page,
    Pause,
    SourceJobs,
    Steps,
    WaitItem,
    WaitResult,
    made_of,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.waiter import Waiter
from tests.unit.on_lab.in_process import failure


class GlueRuns(SourceJobs):
    """Runs whose list call wants the name of what they are runs of."""

    noun: ClassVar[str] = "run"
    plural: ClassVar[str] = "runs"

    def __init__(self, refused: frozenset[str] = frozenset()) -> None:
        self.listed: list[tuple[str, str]] = []
        self.began: list[str] = []
        self.refused = refused

    def list_scope(self, item: WaitItem) -> str:
        """The name of the job that the runs are of."""
        return str(item.job.request["job_name"])

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """Ten runs of ``scope``, all ended, on two pages."""
        self.listed.append((scope, next_token))
        first = 5 if next_token else 0
        return Page({f"{scope}-{number}": "completed" for number in range(first, first + 5)}, "" if first else "more")

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Begins and ends; "" where a lonely job is not listed."""
        job = item.job
        if job.arn in self.refused:
            raise failure("AccessDeniedException", "No.", "StartJobRun")
        self.began.append(job.arn)
        job = replace(job, state="running")
        assert (yield Pause(job, "end")) in ("", "completed")
        return replace(job, state="completed", result={"table_id": f"id of {job.name}", "rows": 0})

    def made(self, job: Job) -> Made:
        """Half a table where it is called so."""
        return made_of(job, whole=job.name != "half")

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """Nothing for half a table."""
        return replace(job, state="not_needed", result={"seen": made.table_id}) if made.whole else None


def waited(kind: GlueRuns, jobs: list[Job], *then: Job, told: list[str] | None = None, **others: JobKind) -> WaitResult:
    account = Account(AccountSpec("source", "eu-west-1", access_key="a", secret_key="b", account_id="111111111111"))
    items = [WaitItem(job.name, account, account, job, then) for job in jobs]
    lines: list[str] = [] if told is None else told
    now = SimpleNamespace(seconds=0.0)

    def sleep(seconds: float) -> None:
        now.seconds += max(seconds, 0.001)

    wait = Waiter({"glue": kind, **others}, progress=lines.append, clock=lambda: now.seconds, sleep=sleep).wait
    result = wait(items, 6000)
    assert lines[-1].startswith("runs ")
    return result


def run_of(name: str, job_name: str, number: int) -> Job:
    return Job("glue", name, "pending", f"{job_name}-{number}", request={"job_name": job_name})


def test_each_scope_has_lists_of_its_own() -> None:
    kind = GlueRuns()
    jobs = [run_of(f"{job_name}{number}", job_name, number) for job_name in ("a", "b") for number in range(10)]
    result = waited(kind, [replace(job, state="running") for job in jobs])
    assert {job.state for job in result.jobs.values()} == {"completed"}
    assert sorted(kind.listed) == [("a", ""), ("a", "more"), ("b", ""), ("b", "more")]
    assert result.poll_calls["glue"]["list"] == 4


@pytest.mark.parametrize(("name", "seen"), [("orders", "id of orders"), ("half", None)])
def test_what_a_job_made_is_handed_on_by_its_kind(name: str, seen: str | None) -> None:
    following = Job("glue", name, "pending", pending_reason="job")
    jobs = [run_of(name, "a", number) for number in range(1)] + [run_of(f"t{number}", "a", number) for number in (1, 2)]
    way = waited(GlueRuns(), jobs, following).ways[name]
    assert way[0].state == "completed"
    assert way[1] == (following if seen is None else replace(following, state="not_needed", result={"seen": seen}))


class Interrupted(GlueRuns):
    """Runs whose first beginning meets a lease that has lapsed; and jobs whose place is taken by others."""

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> AnySteps:
        """Fails in passing once; a job called ``first`` is replaced by two others."""
        if not self.began:
            self.began.append("")
            raise LeaseOver("The run's lease is over.", "Run again.")
        if item.job.name == "first":
            yield Pause(item.job, "time", 1.0)
            others = (run_of("second", "a", 2), Job("glue", "third", "pending", pending_reason="job"))
            return Instead(others, started=True)
        ended: Job = yield from super().run(item, waiting_since, clock)
        return ended


def test_a_lapsed_lease_is_waited_for_and_other_jobs_take_the_place_of_one() -> None:
    result = waited(Interrupted(), [run_of("first", "a", 1)])
    assert [(job.name, job.state) for job in result.ways["first"]] == [("second", "completed"), ("third", "not_needed")]
    assert result.started == {("first", "glue")}


class Settings(OwnWork):
    """Work of our own that is done in one step."""

    noun: ClassVar[str] = "settings job"
    plural: ClassVar[str] = "settings"

    def __init__(self, began: list[str]) -> None:
        self.began = began

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Notes that it was done."""
        self.began.append("settings")
        yield Pause(item.job, "time")
        return replace(item.job, state="completed")

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """As it is."""
        return replace(job, pending_reason="")


def test_what_aws_can_work_on_is_sent_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiter, "THREADS", 1)
    monkeypatch.setattr(waiter, "QUEUED", 1)
    runs, tables = GlueRuns(), [f"table{number}" for number in range(8)]
    jobs = [replace(run_of(name, "a", number), state="completed") for number, name in enumerate(tables[:4])]
    jobs += [run_of(name, "a", number) for number, name in enumerate(tables[4:], 4)]
    settings = Job("settings", "settings", "pending", pending_reason="job")
    waited(runs, jobs, settings, settings=Settings(runs.began))
    assert runs.began == [*(f"a-{number}" for number in range(4, 8)), *["settings"] * 8]


class Followed(GlueRuns):
    """Runs that were begun before; another kind's job starts after each."""

    def describes_end(self, item: WaitItem) -> bool:
        """As exports, which are read from the bucket."""
        return False

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Notes the ends of these, and the starts of those."""
        if item.job.arn:
            yield Pause(item.job, "end")
        self.began.append(item.job.arn or "after")
        return replace(item.job, state="completed")

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """As it is."""
        return replace(job, pending_reason="")


def test_ends_that_a_list_shows_together_do_not_hold_back_what_starts_after_the_first(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(waiter, "THREADS", 1)
    monkeypatch.setattr(waiter, "QUEUED", 1)
    runs = Followed()
    jobs = [replace(run_of(f"table{number}", "a", number), state="running") for number in range(10)]
    following = Job("load", "", "pending", pending_reason="job", request={"job_name": "b"})
    waited(runs, jobs, following, load=runs)
    assert runs.began.index("after") < runs.began.index("a-2")


def test_a_refused_call_is_explained_by_the_account() -> None:
    job = waited(GlueRuns(frozenset({"a-1"})), [run_of("orders", "a", 1)]).jobs["orders"]
    error = failure_of(job)
    assert (type(error).__name__, job.state, error.details["code"]) == (
        "AccessDenied", "failed", "AccessDeniedException",
    )  # fmt: skip
    assert "The run a-1 could not be followed; it may still be running." in error.cause
    assert error.next_step.endswith("The next run finds the run.")


def test_a_kind_explains_its_failed_jobs() -> None:
    failed = ended_with(run_of("orders", "a", 1), ExportFailed("No.", "Again."))
    assert str(GlueRuns().explain(failed, None)) == "orders: No. Again."


class Long(GlueRuns):
    """Runs that take minutes, each as many as its table's name says."""

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Ends when its minutes are over."""
        yield Pause(replace(item.job, state="running"), "time", 60.0 * int(item.name))
        return replace(item.job, state="completed", result={"table_id": item.name})


@pytest.mark.parametrize(("tables", "told"), [(10, False), (14, True)])
def test_the_slowest_of_many_tables_are_named_once_a_minute(tables: int, told: bool) -> None:
    lines: list[str] = []
    result = waited(Long(), [run_of(str(number + 3), "a", number) for number in range(tables)], told=lines)
    slowest = [line for line in lines if line.startswith("slowest: ")]
    assert bool(slowest) is told
    assert len(slowest) < 10 and all(line.count("(run ") == 10 for line in slowest)
    assert all(0 < len(line) < 400 for line in slowest)
    # From when to when each was waited for.
    assert set(result.spans) == {str(number + 3) for number in range(tables)}
    assert all(begin and begin <= end for span in result.spans.values() for begin, end in span.values())
