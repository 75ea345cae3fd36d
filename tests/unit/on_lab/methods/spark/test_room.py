# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs for which the account, or the application, has no room: refused where they never fit, else waited for and told.

A run of EMR Serverless takes 5 vCPUs: one for its driver, and an executor's 4.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import QuotaTooSmall
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import SparkChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge
from tests.unit.on_lab.conftest import hurried
from tests.unit.on_lab.methods.spark.test_faults import Faults, faults, lab_with_role, table

__all__ = ["faults", "lab_with_role", "table"]  # fixtures
VCPUS, SHORT = "emr-serverless.vcpus", "emr-serverless.short_of_vcpus"
SHORT_OF = [("glue", "glue.runs_per_account", 1), ("emr", VCPUS, 5)]


@pytest.fixture(autouse=True)
def usual(faults: Faults) -> Iterator[None]:
    """The quotas of a new account, before the next test."""
    yield
    for quota, value in (("glue.runs_per_account", 2000), ("glue.task_dpus", 1000), (VCPUS, 16)):
        adjust(faults, quota, value)
    faults.lab.choose_behaviours({SHORT: "fails"})


def adjust(faults: Faults, quota: str, value: int) -> None:
    faults.lab.adjust_quota(faults.lab.landscape["accounts"]["destination"]["account_id"], quota, value)


class Two:
    """Two tables in one wait: the runs of the first hold what there is until ``free`` lets them go on."""

    def __init__(self, faults: Faults, table: str, method: str) -> None:
        self.faults, self.method, self.names = faults, method, (table, f"{table}-other")
        faults.table(self.names[1])
        self.playbook = faults.playbook()
        self.lines: list[str] = []
        self.items = []
        for name in self.names:
            migration = self.playbook.start(name, method=method)
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
        for name in self.names:
            self.faults.require_whole(name, self.faults.playbook().migrate(name, method=self.method))

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
    application = faults.lab.client("emr-serverless", "destination").create_application(
        name="mine", releaseLabel="emr-7.14.0", type="SPARK", maximumCapacity={"cpu": "8 vCPU", "memory": "64 GB"}
    )
    id_ = application["applicationId"]
    faults.lab.clear_requests()
    with pytest.raises(QuotaTooSmall) as refused:
        faults.playbook().start(table, method="emr", spark=SparkChoices(workers=3, application_id=id_))
    assert f"needs 9 vCPUs for 3 workers, and the application {id_}" in refused.value.cause
    assert "may have 8 at a time (its maximumCapacity)" in refused.value.cause
    assert faults.lab.count("ExportTableToPointInTime") == 0
    faults.lab.advance(60)
    fits = SparkChoices(application_id=id_)
    faults.require_whole(table, faults.playbook().migrate(table, method="emr", spark=fits))
