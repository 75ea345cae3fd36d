# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The waiter: polls within the bound, slots as backpressure, nothing raised for one table."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import CredentialsError
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import (
    ImportOptions,
    plan_import,
    start_import,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.group import round_bound
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from tests.unit.on_lab.in_process import failure
from tests.unit.on_lab.staged import BUCKET, Staged

EXPORT_QUOTA = "lab.dynamodb.export.MOST_EXPORTS"


def test_the_bound_of_a_round() -> None:
    assert [round_bound(jobs) for jobs in (1, 25, 26, 100, 500)] == [2, 2, 3, 5, 21]


class Fleet:
    """Many tables in one lab."""

    def __init__(self, tables: int) -> None:
        self.names = [f"table{number}" for number in range(tables)]
        self.aws = Staged(dict.fromkeys(self.names, 2), export__full=15.0, import__visible=1.0, import__creating=8.0)
        self.aws.world.throttles.enabled = False  # the exports shall all run at once
        self.source, self.destination = self.aws.account("source"), self.aws.account("destination")
        self.lines: list[str] = []
        self.began = self.aws.clock

    @property
    def passed(self) -> float:
        """Seconds since the tables stood."""
        return self.aws.clock - self.began

    def exports(self) -> dict[str, Job]:
        jobs = {}
        for name in self.names:
            plan = plan_export(self.source, self.destination, ExportOptions(table=name, bucket=BUCKET), ImportLoader())
            jobs[name] = start_export(self.source, self.destination, plan)
        return jobs

    def imports(self, exports: dict[str, Job]) -> dict[str, Job]:
        jobs = {}
        for name, export in exports.items():
            options = ImportOptions(table=name, bucket=BUCKET, export=export)
            jobs[name] = start_import(self.destination, plan_import(self.source, self.destination, options))
        return jobs

    def wait(self, jobs: dict[str, Job], timeout: float = 86400.0) -> WaitResult:
        items = [WaitItem(name, self.source, self.destination, job) for name, job in jobs.items()]
        return wait_for(items, timeout, self.lines.append, lambda: self.aws.clock, self.aws.sleep)


@pytest.mark.parametrize(("tables", "page"), [(1, 25), (3, 25), (60, 10), (60, 25)])
def test_polls_stay_within_the_bound(tables: int, page: int) -> None:
    fleet = Fleet(tables)
    fleet.aws.page = page
    found = fleet.wait(fleet.exports())
    assert {job.state for job in found.jobs.values()} == {"completed"}
    calls = found.poll_calls["export"]
    assert calls["bound"] == round_bound(tables)
    assert calls["largest_round"] <= calls["bound"]
    assert calls["list"] + calls["describe"] <= calls["rounds"] * calls["bound"]
    assert calls["result"] <= tables
    assert fleet.passed < 25


def test_full_quotas_are_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("lab.dynamodb.imports.MOST_IMPORTS", 10)
    fleet = Fleet(40)
    exports = fleet.wait(fleet.exports()).jobs
    imports = fleet.imports(exports)
    assert sum(job.pending_reason == "slot" for job in imports.values()) == 30
    before = fleet.aws.clock
    found = fleet.wait(imports)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    assert len(found.started) == 30
    assert len(fleet.aws.jobs("import")) == 40
    assert fleet.aws.clock - before <= 15 * 4 * 1.4
    # Tries for a slot that is not there are few: one from time to time, none per waiting table.
    assert fleet.aws.count("ImportTable") <= 40 + 30 + 25


def test_slots_that_others_free_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EXPORT_QUOTA, 0)
    fleet = Fleet(5)
    jobs = fleet.exports()
    assert {job.pending_reason for job in jobs.values()} == {"slot"}
    fleet.aws.interrupt = lambda *_call: monkeypatch.setattr(EXPORT_QUOTA, 300 if fleet.passed > 100 else 0)
    found = fleet.wait(jobs)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    assert fleet.aws.count("ExportTableToPointInTime") <= 5 + 12 + 5


def test_throttled_starts_are_paced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(EXPORT_QUOTA, 0)
    fleet = Fleet(6)
    jobs = fleet.exports()
    monkeypatch.setattr(EXPORT_QUOTA, 300)
    starts: list[float] = []

    def throttle(moment: str, operation: str, number: int) -> None:
        if (moment, operation) == ("before", "ExportTableToPointInTime"):
            starts.append(fleet.aws.clock)
            if len(starts) == 1 or starts[-1] - starts[-2] < 1.4:
                raise failure("ThrottlingException", "Rate exceeded")

    fleet.aws.interrupt = throttle
    found = fleet.wait(jobs)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    assert len(starts) <= 6 + 3


def test_a_failed_job_fails_alone() -> None:
    fleet = Fleet(3)
    table = {"TableArn": fleet.source.table_arn("table1")}
    fleet.aws.fail_next("ExportTableToPointInTime", "S3AccessDenied", "Access Denied", match=table)
    jobs = fleet.exports()
    found = fleet.wait(jobs).jobs
    assert [found[name].state for name in fleet.names] == ["completed", "failed", "completed"]
    assert found["table1"].failure_code == "S3AccessDenied"


def test_a_missing_account_fails_alone() -> None:
    fleet = Fleet(2)
    jobs = fleet.exports()
    items = [WaitItem(name, fleet.source if name == "table0" else None, None, jobs[name]) for name in fleet.names]
    found = wait_for(items, clock=lambda: fleet.aws.clock, sleep=fleet.aws.sleep).jobs
    assert (found["table0"].state, found["table1"].state, found["table1"].failure_code) == (
        "completed",
        "failed",
        "InvalidInput",
    )


def test_a_job_that_left_the_list_is_described() -> None:
    fleet = Fleet(3)
    jobs = fleet.exports()
    # The list forgets the exports of a table that is deleted; describing still works (measured 1.4).
    fleet.aws.drop("table0", "source")
    found = fleet.wait(jobs)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    assert found.poll_calls["export"]["largest_round"] <= found.poll_calls["export"]["bound"]


def test_a_refused_list_leaves_describing() -> None:
    fleet = Fleet(12)
    jobs = fleet.exports()

    def refuse(moment: str, operation: str, number: int) -> None:
        if operation == "ListExports":
            raise failure("AccessDeniedException", "not authorized to perform: dynamodb:ListExports")

    fleet.aws.interrupt = refuse
    found = fleet.wait(jobs)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    assert found.poll_calls["export"]["list"] == 1


def test_a_list_that_never_works_keeps_no_job_waiting() -> None:
    fleet = Fleet(30)
    jobs = fleet.exports()

    def refuse(moment: str, operation: str, number: int) -> None:
        if operation == "ListExports":
            raise failure("InternalServerError", status=500)

    fleet.aws.interrupt = refuse
    found = fleet.wait(jobs, timeout=3600.0)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    calls = found.poll_calls["export"]
    assert calls["largest_round"] <= calls["bound"]
    assert calls["list"] > 3, "a list that works again must be found"


def test_a_list_that_breaks_off_leaves_describing() -> None:
    fleet = Fleet(30)
    jobs = fleet.exports()

    def refuse(moment: str, operation: str, number: int) -> None:
        if operation == "ListExports" and "NextToken" in fleet.aws.asked:
            raise failure("ValidationException", "Invalid Request: Provided nextToken is invalid")

    fleet.aws.interrupt = refuse
    found = fleet.wait(jobs)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    assert fleet.passed < 40


@pytest.mark.parametrize("gone", [1, 30])
def test_jobs_of_a_list_that_fills_the_bound(gone: int) -> None:
    """Listing costs all that a round may: what the list does not show gets a round of its own."""
    fleet = Fleet(50)
    fleet.aws.page = 10
    jobs = fleet.exports()
    for name in fleet.names[:gone]:
        fleet.aws.client("dynamodb", "source").delete_table(TableName=name)
    fleet.aws.sleep(10)
    found = fleet.wait(jobs)
    calls = found.poll_calls["export"]
    assert {job.state for job in found.jobs.values()} == {"completed"}
    assert calls["largest_round"] <= calls["bound"] == 3


@pytest.mark.parametrize("code", ["ThrottlingException", "ExpiredTokenException", "InternalServerError"])
def test_passing_errors_are_survived(code: str) -> None:
    fleet = Fleet(4)
    jobs = fleet.exports()

    def break_some(moment: str, operation: str, number: int) -> None:
        if moment == "before" and number % 3 == 0:
            raise failure(code)

    fleet.aws.interrupt = break_some
    assert {job.state for job in fleet.wait(jobs).jobs.values()} == {"completed"}


@pytest.mark.parametrize("kind", ["export", "import"])
@pytest.mark.parametrize(
    "code", ["InternalServerError", "500", "ServiceUnavailable", "ThrottlingException", "SlowDown"]
)
def test_b8_jobs_that_run_are_looked_at_however_long_polls_fail(code: str, kind: str) -> None:
    fleet = Fleet(2)
    jobs = fleet.exports()
    if kind == "import":
        jobs = fleet.imports(fleet.wait(jobs).jobs)
    until = fleet.aws.clock + 7200

    def fail(moment: str, operation: str, number: int) -> None:
        if moment == "before" and fleet.aws.clock < until:
            raise failure(code, "We encountered an internal error. Please try again.", status=500)

    fleet.aws.interrupt = fail
    calls = len(fleet.aws.calls)
    found = fleet.wait(jobs, 10800.0)
    assert {job.state for job in found.jobs.values()} == {"completed"}
    lines = [line for line in fleet.lines if f"does not answer, or throttles ({code})" in line]
    assert 60 <= len(lines) <= 125  # about one a minute, then slower
    assert len(fleet.aws.calls) - calls < 800


def test_b8_they_are_left_running_when_the_time_is_over() -> None:
    fleet = Fleet(1)
    jobs = fleet.exports()

    def fail(moment: str, operation: str, number: int) -> None:
        raise failure("InternalServerError", "internal error", status=500)

    fleet.aws.interrupt = fail
    job = fleet.wait(jobs, 3600.0).jobs["table0"]
    assert (job.state, job.timed_out, job.failure) == ("running", True, {})


def test_b8_a_start_that_fails_inside_aws_is_given_up_after_ten_minutes() -> None:
    fleet = Fleet(1)
    source, name = fleet.source, fleet.names[0]
    plan = plan_export(source, fleet.destination, ExportOptions(table=name, bucket=BUCKET), ImportLoader())
    job = replace(plan.job, state="pending", pending_reason="slot")

    def fail(moment: str, operation: str, number: int) -> None:
        if operation == "ExportTableToPointInTime":
            raise failure("InternalServerError", "internal error", status=500)

    fleet.aws.interrupt = fail
    assert fleet.wait({name: job}).jobs[name].state == "failed"
    assert 400 < fleet.passed < 1000


def test_an_error_that_does_not_pass_is_the_jobs_failure() -> None:
    fleet = Fleet(1)
    jobs = fleet.exports()

    def forget(moment: str, operation: str, number: int) -> None:
        if operation == "DescribeExport":
            raise failure("ExpiredTokenException")

    fleet.aws.interrupt = forget
    job = fleet.wait(jobs).jobs["table0"]
    assert job.state == "failed"
    assert "may still be running" in job.failure_message
    assert fleet.passed > 300


def ended_session(**details: object) -> CredentialsError:
    return CredentialsError(
        "The session of the source account (profile legacy) has ended.",
        "Log in again.",
        details={"code": "ExpiredToken", "session_ended": True, **details},
    )


def test_h12_a_session_that_ended_for_good_is_told_at_once_and_its_jobs_are_not_followed() -> None:
    fleet = Fleet(3)
    jobs = fleet.exports()
    before = fleet.passed

    def end(moment: str, operation: str, number: int) -> None:
        raise ended_session(refusal="final")

    fleet.aws.interrupt = end
    found = fleet.wait(jobs)
    assert fleet.passed - before < 10
    assert all(job.not_followed for job in found.jobs.values())
    assert all("may still be running. Log in" in job.failure_message for job in found.jobs.values())
    assert fleet.lines[-1].startswith("exports 0/3 done, 3 not followed, ")
    assert "FAILED" not in str(found.jobs)
    fleet.aws.interrupt = lambda *_call: None
    assert {job.state for job in fleet.wait(jobs).jobs.values()} == {"completed"}


def test_h12_while_a_session_may_be_renewed_a_line_says_which_sides_has_ended() -> None:
    fleet = Fleet(3)
    jobs = fleet.exports()
    back_at = fleet.passed + 100

    def end(moment: str, operation: str, number: int) -> None:
        if fleet.passed < back_at:
            raise ended_session(refusal="passes")

    fleet.aws.interrupt = end
    assert {job.state for job in fleet.wait(jobs).jobs.values()} == {"completed"}
    lines = [line for line in fleet.lines if line.startswith("waiting: The session of the source account (profile leg")]
    assert 1 <= len(lines) <= 3


def test_the_timeout_leaves_the_job_running() -> None:
    fleet = Fleet(2)
    found = fleet.wait(fleet.exports(), timeout=5)
    assert all((job.state, job.timed_out) == ("running", True) for job in found.jobs.values())
    later = fleet.wait(found.jobs)
    assert all((job.state, job.timed_out) == ("completed", False) for job in later.jobs.values())


def test_ended_and_planned_jobs_come_back_as_they_are() -> None:
    jobs = {state: Job("export", state, state=state) for state in ("completed", "not_needed", "planned", "failed")}
    fleet = Fleet(0)
    found = fleet.wait(jobs)
    assert found.jobs == jobs
    assert (found.poll_calls, fleet.aws.calls, fleet.lines) == ({}, [], [])


def test_progress_is_shown() -> None:
    fleet = Fleet(3)
    fleet.wait(fleet.exports())
    assert fleet.lines[-1].startswith("exports 3/3 done, ")
    assert any("3 running" in line for line in fleet.lines)
