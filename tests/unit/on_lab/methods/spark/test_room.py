# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs for which the account, or the application, has no room: refused where they never fit, else waited for and told.

A run of EMR Serverless takes 5 vCPUs: one for its driver, and an executor's 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import CountMismatch, QuotaTooSmall
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge
from ansible_collections.tableferry.aws.plugins.module_utils.spark import job
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from tests.unit.on_lab.conftest import hurried
from tests.unit.on_lab.methods.spark import canned
from tests.unit.on_lab.methods.spark.test_faults import Faults, faults, lab_with_role, table

__all__ = ["faults", "lab_with_role", "table"]  # fixtures
VCPUS, SHORT = "emr-serverless.vcpus", "emr-serverless.short_of_vcpus"
CAPACITY, NO_EXECUTOR = "emr-serverless.short_of_capacity", "emr-serverless.no_executor"
NO_WORKER = (
    "software.amazon.awssdk.services.emrserverlessresourcemanager.model.ApplicationMaxCapacityExceededException: Worker"
    " could not be allocated as the application has exceeded maximumCapacity settings: [cpu: 8 vCPU]"
)
SHORT_OF = [("glue", "glue.runs_per_account", 1), ("emr", VCPUS, 5)]


@pytest.fixture(autouse=True)
def usual(faults: Faults) -> Iterator[None]:
    """The quotas of a new account, before the next test."""
    yield
    for quota, value in (("glue.runs_per_account", 2000), ("glue.task_dpus", 1000), (VCPUS, 16)):
        adjust(faults, quota, value)
    faults.lab.choose_behaviours({SHORT: "fails", CAPACITY: "fails"})
    faults.lab.set_timings({NO_EXECUTOR: 0.0})


def application(faults: Faults, **maximum: str) -> SparkChoices:
    """Two workers in an application of the user's with a ``maximum`` capacity."""
    client = faults.lab.client("emr-serverless", "destination")
    made = client.create_application(
        name="mine", releaseLabel="emr-7.14.0", type="SPARK", maximumCapacity={"memory": "64 GB", **maximum}
    )
    faults.lab.advance(60)
    return SparkChoices(application_id=made["applicationId"])


def adjust(faults: Faults, quota: str, value: int) -> None:
    faults.lab.adjust_quota(faults.lab.landscape["accounts"]["destination"]["account_id"], quota, value)


class Two:
    """Two tables in one wait: the runs of the first hold what there is until ``free`` lets them go on."""

    def __init__(self, faults: Faults, table: str, method: str, spark: SparkChoices | None = None) -> None:
        self.faults, self.method, self.names = faults, method, (table, f"{table}-other")
        self.spark = spark or SparkChoices()
        faults.table(self.names[1])
        self.playbook = faults.playbook()
        self.lines: list[str] = []
        self.items = []
        for name in self.names:
            migration = self.playbook.start(name, method=method, spark=self.spark)
            jobs = [Job.from_dict(each.to_dict()) for each in (migration.job, *migration.then)]
            record = Tracking(self.playbook.run, name)
            self.items.append(WaitItem(name, faults.source, faults.destination, jobs[0], tuple(jobs[1:]), record))
        faults.lab.clear_requests()
        faults.spark.may_write.clear()

    def wait(self, **more: Any) -> WaitResult:
        return hurried(self.items, **{**self.faults.spark.told(), "progress": self.lines.append, **more})

    def arrive(self) -> None:
        """The next run of the playbook brings both."""
        self.faults.spark.go_on()
        for run in self.faults.spark.runs:
            run.settle()
        self.faults.lab.advance(1)
        for name in self.names:
            again = self.faults.playbook().migrate(name, method=self.method, spark=self.spark)
            self.faults.require_whole(name, again)

    def judged(self, waited: WaitResult) -> dict[str, Judgement]:
        """Both tables, at the end of the run."""
        run, faults = self.playbook.run, self.faults
        found = {
            name: judge(name, faults.source, faults.destination, waited.ways[name], record=Tracking(run, name))
            for name in self.names
        }
        run.end()
        return found


@pytest.mark.parametrize(("method", "quota", "least"), SHORT_OF)
def test_a_full_quota_is_waited_for(faults: Faults, table: str, method: str, quota: str, least: int) -> None:
    adjust(faults, quota, least)
    two = Two(faults, table, method)

    def sleep(seconds: float) -> None:
        if faults.lab.count("StartJobRun") > 1:
            faults.spark.go_on()
        faults.spark.sleep(seconds)

    waited = two.wait(sleep=sleep)
    two.playbook.run.end()
    assert [waited.ways[name][1].state for name in two.names] == ["completed", "completed"]
    assert "lack" not in {**waited.ways[two.names[0]][1].result, **waited.ways[two.names[1]][1].result}
    assert len(faults.spark.runs) == 2
    assert faults.lab.count("StartJobRun") > 2  # one was refused


@pytest.mark.parametrize(
    ("method", "quota", "least", "needs", "ways", "refused"),
    [
        ("emr", VCPUS, 5, "5 vCPUs for 2 workers", "Max concurrent vCPUs per account", "reached the service limit on"),
        ("glue", "glue.runs_per_account", 1, "2 workers of type G.1X", "Max task DPUs per account", "runs exceeded"),
    ],
)
def test_who_waits_for_room_until_the_end_is_told_so(
    faults: Faults, table: str, method: str, quota: str, least: int, needs: str, ways: str, refused: str
) -> None:
    adjust(faults, quota, least)
    two = Two(faults, table, method)
    waited = two.wait(timeout=150.0)
    (name,) = (name for name in two.names if "lack" in waited.ways[name][1].result)
    judged = two.judged(waited)[name]
    assert judged.failure is not None and judged.status == "failed"
    assert refused in judged.reason
    assert f"It needs {needs}." in judged.reason
    assert ways in judged.failure.next_step and "set fewer workers" in judged.failure.next_step
    told = [line for line in two.lines if "1 refused for lack of capacity since 20" in line]
    assert told and f"({needs} needed)" in told[-1], two.lines
    two.arrive()
    assert len(faults.spark.runs) == 2


def test_a_run_that_aws_keeps_waiting_is_not_begun_again(faults: Faults, table: str) -> None:
    """AWS may let a run without room wait SCHEDULED instead of failing it."""
    faults.lab.choose_behaviours({SHORT: "waits"})
    adjust(faults, VCPUS, 5)
    two = Two(faults, table, "emr")
    waited = two.wait(timeout=150.0)
    (name,) = (name for name in two.names if "aws_waits" in waited.ways[name][1].result)
    reason = two.judged(waited)[name].reason
    assert "AWS says SCHEDULED: it has not its workers yet. It needs 5 vCPUs for 2 workers." in reason
    assert any("AWS says SCHEDULED" in line for line in two.lines), two.lines
    two.arrive()
    assert len(faults.spark.runs) == faults.lab.count("StartJobRun") == 2


def test_a_run_that_never_fits_the_quota_is_refused_before_anything_is_billed(faults: Faults, table: str) -> None:
    faults.lab.clear_requests()
    with pytest.raises(QuotaTooSmall) as refused:
        faults.playbook().start(table, method="emr", spark=SparkChoices(workers=5))
    assert refused.value.table == table
    assert "needs 17 vCPUs for 5 workers" in refused.value.cause and "may have 16 at a time" in refused.value.cause
    assert "Set fewer workers in spark, or have the quota 'Max concurrent vCPUs" in refused.value.next_step
    assert faults.lab.count("ExportTableToPointInTime") == faults.lab.count("CreateApplication") == 0
    adjust(faults, VCPUS, 17)
    faults.require_whole(table, faults.playbook().migrate(table, method="emr", spark=SparkChoices(workers=5)))


def test_a_quota_that_may_not_be_read_is_not_held_against_a_table(faults: Faults, table: str) -> None:
    faults.lab.add_fault(operation="GetServiceQuota", code="AccessDeniedException", status=400)
    faults.playbook().start(table, method="emr", spark=SparkChoices(workers=5))
    assert faults.lab.count("ExportTableToPointInTime") >= 1


def test_a_run_that_aws_refuses_and_that_never_fits_is_begun_once(faults: Faults, table: str) -> None:
    adjust(faults, VCPUS, 4)  # less than every account is known to have
    faults.lab.clear_requests()
    judged = faults.playbook().migrate(table, method="emr")
    assert judged.failure is not None and isinstance(judged.failure, QuotaTooSmall), judged
    assert "needs 5 vCPUs for 2 workers" in judged.reason and "may have 4 at a time" in judged.reason
    assert faults.lab.count("StartJobRun") == 1
    adjust(faults, VCPUS, 16)
    faults.require_whole(table, faults.playbook().migrate(table, method="emr"))
    assert len(faults.spark.runs) == 1


def test_a_run_that_never_fits_the_users_application_is_refused(faults: Faults, table: str) -> None:
    fits = application(faults, cpu="8 vCPU")
    faults.lab.clear_requests()
    with pytest.raises(QuotaTooSmall) as refused:
        faults.playbook().start(table, method="emr", spark=replace(fits, workers=3))
    assert f"needs 9 vCPUs for 3 workers, and the application {fits.application_id}" in refused.value.cause
    assert "may have 8 at a time (its maximumCapacity)" in refused.value.cause
    assert faults.lab.count("ExportTableToPointInTime") == 0
    faults.require_whole(table, faults.playbook().migrate(table, method="emr", spark=fits))


@pytest.mark.parametrize(
    ("maximum", "needs"),
    [({"memory": "10 GB"}, "11 GB of memory"), ({"memory": "11 GB", "disk": "39 GB"}, "40 GB of disk")],
)
def test_an_application_has_memory_and_disk_too(
    faults: Faults, table: str, maximum: dict[str, str], needs: str
) -> None:
    """AWS would refuse each run that is begun in it: the table waited for room until its time was over."""
    faults.lab.clear_requests()
    with pytest.raises(QuotaTooSmall) as refused:
        faults.playbook().start(table, method="emr", spark=application(faults, cpu="16 vCPU", **maximum))
    assert f"needs {needs} for 2 workers" in refused.value.cause
    assert faults.lab.count("ExportTableToPointInTime") == 0


def test_tables_of_one_wait_take_an_application_one_after_the_other(faults: Faults, table: str) -> None:
    """AWS would begin both drivers, and have an executor for none of them."""
    two = Two(faults, table, "emr", application(faults, cpu="8 vCPU"))
    waited = two.wait(timeout=150.0)
    assert faults.lab.count("StartJobRun") == 1
    (name,) = (name for name in two.names if waited.ways[name][1].pending_reason == "slot")
    judged = two.judged(waited)[name]
    assert judged.failure is not None and "at a time: 8 vCPUs, 64 GB of memory. It needs 5 vCPUs" in judged.reason
    assert f"raise the maximumCapacity of {two.spark.application_id}" in judged.failure.next_step
    assert any("1 waiting for a slot" in line for line in two.lines), two.lines
    two.arrive()
    assert len(faults.spark.runs) == faults.lab.count("StartJobRun") == 2


@pytest.mark.parametrize(("vcpus", "runs"), [(17, 1), (18, 2), (None, 2)])
def test_tables_of_one_wait_begin_as_many_runs_as_the_account_may_have(
    faults: Faults, table: str, vcpus: int | None, runs: int
) -> None:
    adjust(faults, VCPUS, vcpus or 18)
    two = Two(faults, table, "emr", SparkChoices(workers=3))
    if vcpus is None:  # what may not be read is not held against them
        faults.lab.add_fault(operation="GetServiceQuota", code="AccessDeniedException", status=400)
    two.wait(timeout=150.0)
    assert faults.lab.count("StartJobRun") == runs
    two.playbook.run.end()
    two.arrive()
    assert faults.lab.count("StartJobRun") == len(faults.spark.runs) == 2


class Others:
    """Runs of others in an application, of as many vCPUs as one of ours, that are held until they ``end``."""

    def __init__(self, faults: Faults, spark: SparkChoices) -> None:
        self.faults = faults
        faults.spark.may_begin.clear()
        parameters = {
            "spark.driver.cores": 1,
            "spark.driver.memory": "2g",
            "spark.executor.cores": 4,
            "spark.executor.memory": "7g",
            "spark.executor.instances": 1,
            "spark.dynamicAllocation.enabled": "false",
        }
        driver = {
            "entryPoint": "s3://bucket/theirs.py",
            "sparkSubmitParameters": " ".join(f"--conf {name}={value}" for name, value in parameters.items()),
        }
        self.client = faults.lab.client("emr-serverless", "destination")
        self.place = {"applicationId": spark.application_id}
        begun = self.client.start_job_run(
            **self.place, executionRoleArn=faults.role.arn, jobDriver={"sparkSubmit": driver}
        )
        self.run = begun["jobRunId"]
        faults.lab.advance(120)
        assert self.client.get_job_run(**self.place, jobRunId=self.run)["jobRun"]["state"] == "RUNNING"

    def end(self) -> None:
        """Once."""
        if self.run:
            self.client.cancel_job_run(**self.place, jobRunId=self.run)
            self.faults.lab.advance(30)
            self.faults.spark.go_on()
            self.run = ""


@pytest.mark.parametrize(
    ("short", "cpu", "refused"),
    [
        ("fails", "5 vCPU", "Job failed as application has exceeded maximumCapacity settings"),
        ("fails", "8 vCPU", "ApplicationMaxCapacityExceededException"),
        ("waits", "8 vCPU", "ApplicationMaxCapacityExceededException"),
    ],
)
def test_an_application_that_others_fill_is_waited_for(
    faults: Faults, table: str, short: str, cpu: str, refused: str
) -> None:
    """The table failed with AWS's words. A run whose executors have no room may fail only after 20 minutes."""
    faults.lab.choose_behaviours({CAPACITY: short})
    faults.lab.set_timings({NO_EXECUTOR: 20.0})
    spark = application(faults, cpu=cpu)
    others, lines, playbook = Others(faults, spark), [], faults.playbook()
    faults.lab.clear_requests()

    def sleep(seconds: float) -> None:
        if any("1 refused for lack of capacity since 20" in line for line in lines):
            others.end()
        faults.spark.sleep(seconds)

    migration = playbook.start(table, method="emr", spark=spark)
    waited = playbook.wait(table, migration, sleep=sleep, progress=lines.append)
    faults.require_whole(table, playbook.judged(table, waited))
    assert any("(5 vCPUs for 2 workers needed)" in line for line in lines), lines
    assert len(faults.spark.runs) == 2  # theirs, and one of ours
    runs = others.client.list_job_runs(**others.place)["jobRuns"]
    failed = [run["stateDetails"] for run in runs if run["state"] == "FAILED"]
    assert len(failed) == faults.lab.count("StartJobRun") - 1 >= 1
    assert all(refused in each for each in failed), failed


def test_executors_that_come_late_are_waited_for(faults: Faults, table: str) -> None:
    faults.lab.choose_behaviours({CAPACITY: "waits"})
    faults.lab.set_timings({NO_EXECUTOR: 1200.0})
    spark = application(faults, cpu="8 vCPU")
    others, playbook = Others(faults, spark), faults.playbook()
    faults.lab.clear_requests()

    def sleep(seconds: float) -> None:
        states = {run["state"] for run in others.client.list_job_runs(**others.place)["jobRuns"]}
        if faults.lab.count("StartJobRun") and states == {"RUNNING"}:  # its driver runs
            others.end()
        faults.spark.sleep(seconds)

    waited = playbook.wait(table, playbook.start(table, method="emr", spark=spark), sleep=sleep)
    faults.require_whole(table, playbook.judged(table, waited))
    assert faults.lab.count("StartJobRun") == 1


def test_a_run_that_has_done_all_is_not_begun_again(faults: Faults, table: str) -> None:
    """EMR Serverless has ended runs FAILED that had done their work, as they had asked in vain for more workers."""
    faults.spark.last_words = NO_WORKER
    faults.lab.clear_requests()
    faults.require_whole(table, faults.playbook().migrate(table, method="emr"))
    assert faults.lab.count("StartJobRun") == 1


def test_a_run_that_says_itself_why_it_failed_is_not_begun_again(
    faults: Faults, table: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refusing(message: bytes) -> None:
        plan = JobPlan.from_json(message)
        with job._told(plan, job.bucket_of(plan)):
            raise CountMismatch("The file has other items.", "Export anew.")

    monkeypatch.setattr(canned, "write_share", refusing)
    faults.spark.last_words = NO_WORKER
    faults.lab.clear_requests()
    judged = faults.playbook().migrate(table, method="emr")
    assert judged.failure is not None and judged.failure.cause == "The file has other items."
    assert faults.lab.count("StartJobRun") == 1
