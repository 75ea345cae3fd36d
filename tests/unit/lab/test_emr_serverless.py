# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's EMR Serverless: applications, and job runs from their submission to their end."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.faults import Fault
from lab.rules import Rule
from lab.server import LabServer
from lab.services import emr_serverless as service
from lab.services import emr_serverless_runs as lives
from lab.spark import emr_releases
from lab.spark.runs import NOT_READ
from lab.world import World
from tests.unit.lab.dynamodb.conftest import administrator
from tests.unit.lab.spark_fakes import ACCOUNT, OTHER, REGION, Engine, FakeRun, allow, policy, still_world, trust

ROLE = f"arn:aws:iam::{ACCOUNT}:role/job"
SMALL = (
    "--conf spark.driver.cores=1 --conf spark.driver.memory=2G --conf spark.executor.cores=4 "
    "--conf spark.executor.memory=8G --conf spark.executor.instances=1 --conf spark.dynamicAllocation.enabled=false"
)
READY = 120.0  # seconds after which a run is RUNNING


@pytest.fixture
def world() -> Iterator[World]:
    made = still_world("lab.services.emr_serverless.EmrServerlessService")
    made.identity.add_role(ACCOUNT, "job", trust(lives.SERVICE))
    made.advance(60)
    yield made
    assert made.event_errors == []
    made.close()


class Desk(Engine):
    """The engine with one application."""

    def __init__(self, world: World, **members: Any) -> None:
        super().__init__(world, "emr-serverless")
        self.id = self.make(**members)

    def make(self, **members: Any) -> str:
        request = {"name": "ferry", "releaseLabel": "emr-spark-8.1.0", "type": "SPARK", "clientToken": "app", **members}
        made = str(self("CreateApplication", **request)["applicationId"])
        self.wait(10)
        return made

    def request(self, token: str = "one", parameters: str = SMALL, **members: Any) -> dict[str, Any]:
        driver = {
            "entryPoint": "s3://bucket/job.py",
            "entryPointArguments": ["--plan", "s3://bucket/plan.json"],
            "sparkSubmitParameters": parameters,
        }
        return {
            "applicationId": self.id, "clientToken": token, "executionRoleArn": ROLE,
            "jobDriver": {"sparkSubmit": driver}, "name": "run", **members,
        }  # fmt: skip

    def start(self, token: str = "one", parameters: str = SMALL, **members: Any) -> str:
        return str(self("StartJobRun", **self.request(token, parameters, **members))["jobRunId"])

    def run(self, run_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self("GetJobRun", applicationId=self.id, jobRunId=run_id)["jobRun"]
        return shown

    def ended(self, **members: Any) -> dict[str, Any]:
        """A run that ends before its script begins."""
        run_id = self.start(**members)
        self.wait(READY)
        return self.run(run_id)

    def running(self, *args: Any, **members: Any) -> tuple[str, FakeRun]:
        run_id = self.start(*args, **members)
        self.wait(READY)
        assert self.run(run_id)["state"] == "RUNNING", self.run(run_id)
        return run_id, self.spark[-1]

    def state(self) -> str:
        return str(self("GetApplication", applicationId=self.id)["application"]["state"])

    def refused(self, rule: Rule, code: str, text: str, operation: str, **params: Any) -> None:
        self.desk.refused(rule, code, text, operation, service="emr-serverless", **params)


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


# Applications


def test_an_application_goes_through_its_states(world: World) -> None:
    desk = Desk(world, clientToken="other")
    desk.id = str(desk("CreateApplication", releaseLabel="emr-7.14.0", type="Spark", clientToken="x")["applicationId"])
    seen = [desk.state()]
    desk.wait(5)
    seen.append(desk.state())
    desk("StartApplication", applicationId=desk.id)
    seen.append(desk.state())
    desk.wait(20)
    seen.append(desk.state())
    desk.wait(15 * 60 - 9)
    seen.append(desk.state())
    desk.wait(10)
    seen.append(desk.state())
    assert seen == ["CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED"]
    shown = desk("GetApplication", applicationId=desk.id)["application"]
    assert (shown["type"], shown["releaseLabel"], shown["tags"]) == ("Spark", "emr-7.14.0", {})
    assert shown["autoStopConfiguration"] == {"enabled": True, "idleTimeoutMinutes": 15}
    assert shown["arn"] == f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/{desk.id}"


def test_an_application_that_works_is_not_stopped(desk: Desk) -> None:
    _, spark = desk.running()
    desk.wait(3600)
    assert desk.state() == "STARTED"
    spark.end()
    desk.wait(14 * 60)
    assert desk.state() == "STARTED"
    desk.wait(2 * 60)
    assert desk.state() == "STOPPED"


def test_when_an_application_is_stopped(desk: Desk) -> None:
    text = "Applications must be in one of the following statuses: [STARTING, STARTED]"
    desk.refused(service.STOPPED_WHEN, "ValidationException", text, "StopApplication", applicationId=desk.id)
    _, spark = desk.running()
    text = "job runs that are active"
    desk.refused(service.STOPPED_WHEN, "ValidationException", text, "StopApplication", applicationId=desk.id)
    spark.end()
    desk.wait(1)
    desk("StopApplication", applicationId=desk.id)
    assert desk.state() == "STOPPING"


def test_when_an_application_is_deleted(desk: Desk) -> None:
    desk("StartApplication", applicationId=desk.id)
    text = "must be in of the following statuses [CREATED, STOPPED]. Current status: STARTING"
    desk.refused(service.DELETED_WHEN, "ValidationException", text, "DeleteApplication", applicationId=desk.id)
    desk("StopApplication", applicationId=desk.id)
    desk.wait(10)
    desk("DeleteApplication", applicationId=desk.id)
    assert (desk.state(), desk("ListApplications")["applications"]) == ("TERMINATED", [])
    (gone,) = desk("ListApplications", states=["TERMINATED"])["applications"]
    assert gone["id"] == desk.id


def test_when_an_application_is_started(desk: Desk) -> None:
    maximum = {"cpu": "8 vCPU", "memory": "32 GB"}
    updated = desk("UpdateApplication", applicationId=desk.id, clientToken="u", maximumCapacity=maximum)["application"]
    assert (updated["maximumCapacity"]["cpu"], updated["name"]) == ("8 vCPU", "ferry")
    desk("StartApplication", applicationId=desk.id)
    for operation in ("StartApplication", "UpdateApplication"):
        desk.refused(
            service.STARTED_WHEN, "ValidationException", "STARTING", operation, applicationId=desk.id, clientToken="v"
        )


def test_releases(desk: Desk) -> None:
    for members in ({"releaseLabel": "emr-6.6.0"}, {"type": "HIVE"}):
        request = {"releaseLabel": "emr-7.14.0", "type": "SPARK", "clientToken": "new", **members}
        desk.refused(service.RELEASES, "ValidationException", "emr-7.14.0", "CreateApplication", **request)
    request = desk.request(jobDriver={"hive": {"query": "select 1"}})
    desk.refused(service.RELEASES, "ValidationException", "sparkSubmit", "StartJobRun", **request)
    request = desk.request(mode="STREAMING")
    desk.refused(service.RELEASES, "ValidationException", "batch", "StartJobRun", **request)


def test_the_first_application_makes_the_linked_role(world: World) -> None:
    some = Engine(world, "emr-serverless").as_user(allow("emr-serverless:*"))
    request = {"releaseLabel": "emr-7.14.0", "type": "SPARK", "clientToken": "a"}
    some.desk.refused(
        service.LINKED, "AccessDeniedException", "iam:CreateServiceLinkedRole", "CreateApplication",
        service="emr-serverless", **request,
    )  # fmt: skip
    key = {"StringEquals": {"iam:AWSServiceName": "ops.emr-serverless.amazonaws.com"}}
    other = some.as_user(allow("emr-serverless:*"), allow("iam:CreateServiceLinkedRole", Condition=key))
    other("CreateApplication", **request)
    assert (ACCOUNT, "AWSServiceRoleForAmazonEMRServerless") in world.identity.roles
    some("CreateApplication", **{**request, "clientToken": "b"})


def test_places_are_apart(desk: Desk, world: World) -> None:
    run_id = desk.start()
    other = Engine(world, "emr-serverless", administrator(world, OTHER))
    assert other("ListApplications")["applications"] == []
    for operation, params in (("GetApplication", {}), ("GetJobRun", {"jobRunId": run_id}), ("ListJobRuns", {})):
        with pytest.raises(Exception, match="ResourceNotFoundException"):
            other(operation, applicationId=desk.id, **params)
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        desk("GetJobRun", applicationId=desk.make(clientToken="second"), jobRunId=run_id)


# Runs


def test_a_run_goes_through_its_states(desk: Desk) -> None:
    run_id = desk.start()
    seen = [desk.run(run_id)["state"]]
    for _ in range(80):
        desk.wait(1)
        if (state := desk.run(run_id)["state"]) != seen[-1]:
            seen.append(state)
    (spark,) = desk.spark
    submission = spark.submission
    assert (submission.script, submission.arguments) == ("s3://bucket/job.py", ("--plan", "s3://bucket/plan.json"))
    assert (submission.account_id, submission.region, submission.role_arn) == (ACCOUNT, REGION, ROLE)
    assert (submission.slots, submission.release.name, submission.release.spark) == (4, "emr-spark-8.1.0", "4.1.1")
    spark.end()
    desk.wait(1)
    seen.append(desk.run(run_id)["state"])
    assert seen == ["SUBMITTED", "PENDING", "SCHEDULED", "RUNNING", "SUCCESS"]
    (job,) = desk.world.request_log.jobs("emr")
    assert job.id == desk.run(run_id)["arn"]


def test_a_failure_is_told_in_256_characters(desk: Desk) -> None:
    run_id, spark = desk.running()
    spark.end("ValueError: " + "x" * 300)
    desk.wait(1)
    run = desk.run(run_id)
    assert (run["state"], len(run["stateDetails"])) == ("FAILED", 256)
    assert "ExitCode: 1. Last few exceptions: ValueError: xxx" in run["stateDetails"]


@pytest.mark.parametrize(
    ("printed", "details"),
    [
        (
            "Traceback (most recent call last):\n  x\nModuleNotFoundError: No module named 'boto3'",
            "ModuleNotFoundError: No module named 'boto3'. Please refer to the user guide on how",
        ),
        (
            f"{NOT_READ} for bucket: b, key: k. (.. Error Code: AccessDenied)",
            "S3 access is denied. Please check S3 access",
        ),
        (
            f"{NOT_READ} for bucket: b, key: k. (.. Error Code: NoSuchKey)",
            "ExitCode: 1. Last few exceptions: Error downl",
        ),
        (
            "Traceback\nValueError: one\n  at x\nbotocore.ClientError: An error: two",
            "ValueError: one; botocore.ClientError",
        ),
        ("This job needs Python 3.11", "Last few exceptions: This job needs Python 3.11"),
    ],
)
def test_what_a_failure_says(desk: Desk, printed: str, details: str) -> None:
    run_id, spark = desk.running()
    spark.end(printed)
    desk.wait(1)
    assert details in desk.run(run_id)["stateDetails"]


def test_a_failed_run_is_tried_again_where_asked(desk: Desk) -> None:
    run_id, spark = desk.running(retryPolicy={"maxAttempts": 2})
    spark.end("ValueError")
    desk.wait(READY)
    assert (desk.run(run_id)["state"], desk.run(run_id)["attempt"], len(desk.spark)) == ("RUNNING", 2, 2)
    desk.spark[-1].end("ValueError")
    desk.wait(1)
    assert desk.run(run_id)["state"] == "FAILED"


def test_a_planned_failure(desk: Desk) -> None:
    desk.world.faults.add(Fault("emr-serverless.StartJobRun", "job_failure", message="Spot interruption"))
    assert desk.ended()["stateDetails"] == "Spot interruption"
    assert desk.spark == []
    desk.world.faults.add(Fault("emr-serverless.StartJobRun", "job_failure"))
    assert desk.ended(token="two", retryPolicy={"maxAttempts": 2})["attempt"] == 2
    assert len(desk.spark) == 1


@pytest.mark.parametrize("parameters", ["--extra-py-files s3://b/x.zip", "--conf spark.executor.cores", "s3://b/x.py"])
def test_unknown_parameters_end_the_run(desk: Desk, parameters: str) -> None:
    run = desk.ended(parameters=parameters)
    assert (run["state"], desk.spark) == ("FAILED", [])
    assert "ExitCode: 1" in run["stateDetails"]


def test_python_files(desk: Desk) -> None:
    desk.running(parameters=f"{SMALL} --conf spark.submit.pyFiles=s3://bucket/a.zip")
    assert desk.spark[-1].submission.py_files == ("s3://bucket/a.zip",)


def test_defaults_come_from_configurations(desk: Desk) -> None:
    defaults = {"classification": "spark-defaults", "properties": {"spark.executor.cores": "2", "spark.x": "1"}}
    overrides = {"applicationConfiguration": [defaults]}
    desk.running(configurationOverrides=overrides)
    conf = desk.spark[-1].submission.conf
    assert (conf["spark.executor.cores"], conf["spark.x"]) == ("4", "1")


def test_python_is_chosen(world: World) -> None:
    desk = Desk(world, releaseLabel="emr-7.14.0")
    desk.running("a")
    path = "/usr/bin/python3.11"
    for token, names in (
        ("b", ("driverEnv.PYSPARK_PYTHON",)),
        ("c", ("driverEnv.PYSPARK_DRIVER_PYTHON", "driverEnv.PYSPARK_PYTHON")),
    ):
        parameters = " ".join(f"--conf spark.emr-serverless.{name}={path}" for name in names)
        desk.running(token, f"{SMALL} {parameters}")
    assert [each.submission.release.python for each in desk.spark] == ["3.9", "3.11", "3.11"]
    for each in desk.spark:
        each.end()
    desk.wait(1)
    for token, name, text in (
        ("d", f"executorEnv.PYSPARK_PYTHON={path}", "PYTHON_VERSION_MISMATCH"),
        ("e", "emr-serverless.driverEnv.PYSPARK_PYTHON=/usr/bin/python3.13", "error=2"),
    ):
        assert text in desk.ended(token=token, parameters=f"{SMALL} --conf spark.{name}")["stateDetails"]
    world.behaviours.choose(emr_releases.DEFAULT_PYTHON, "3.11")
    desk.running("f")
    assert desk.spark[-1].submission.release.python == "3.11"


def test_boto3_may_be_there(desk: Desk) -> None:
    desk.running("a")
    desk.world.behaviours.choose(emr_releases.BOTO3, "present")
    desk.running("b")
    assert [each.submission.release.boto3 for each in desk.spark] == [False, True]


def test_the_role_must_trust_the_service(desk: Desk) -> None:
    identity = desk.world.identity
    prefix = f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/"
    for name, document in (
        ("glue", trust("glue.amazonaws.com")),
        ("elsewhere", trust(lives.SERVICE, Condition={"ArnEquals": {"aws:SourceArn": f"{prefix}other"}})),
        ("here", trust(lives.SERVICE, Condition={"ArnLike": {"aws:SourceArn": f"{prefix}{desk.id}"}})),
    ):
        identity.add_role(ACCOUNT, name, document)
    desk.wait(60)
    for name in ("glue", "elsewhere", "missing"):
        run = desk.ended(token=name, executionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/{name}")
        assert (run["state"], "Could not assume execution role" in run["stateDetails"]) == ("FAILED", True)
    desk.running("here", executionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/here")


def test_a_new_role_cannot_be_assumed_yet(desk: Desk) -> None:
    desk("StartApplication", applicationId=desk.id)
    desk.wait(30)
    desk.world.identity.add_role(ACCOUNT, "young", trust(lives.SERVICE))
    run = desk.ended(executionRoleArn=f"arn:aws:iam::{ACCOUNT}:role/young")
    assert "Could not assume execution role" in run["stateDetails"]


def test_the_role_is_passed(desk: Desk) -> None:
    request = desk.request()
    condition = {"StringEquals": {"iam:PassedToService": "glue.amazonaws.com"}}
    for statements in ((), (allow("iam:PassRole", Condition=condition),)):
        user = desk.as_user(allow("emr-serverless:StartJobRun"), *statements)
        user.desk.refused(
            service.PASSED, "AccessDeniedException", "iam:PassRole", "StartJobRun", service="emr-serverless", **request
        )
    condition = {"StringEquals": {"iam:PassedToService": lives.SERVICE}}
    user = desk.as_user(allow("emr-serverless:StartJobRun"), allow("iam:PassRole", resource=ROLE, Condition=condition))
    user("StartJobRun", **request)
    foreign = desk.request("two", executionRoleArn=f"arn:aws:iam::{OTHER}:role/job")
    desk.refused(service.PASSED, "AccessDeniedException", "Cross-account pass role", "StartJobRun", **foreign)


def test_permissions_are_on_the_application_and_the_run(desk: Desk) -> None:
    run_id = desk.start()
    arn = f"arn:aws:emr-serverless:{REGION}:{ACCOUNT}:/applications/{desk.id}"
    user = desk.as_user(
        allow("emr-serverless:GetApplication", "emr-serverless:ListJobRuns", resource=arn),
        allow("emr-serverless:GetJobRun", "emr-serverless:CancelJobRun", resource=f"{arn}/jobruns/*"),
    )
    user("GetApplication", applicationId=desk.id)
    user("ListJobRuns", applicationId=desk.id)
    user("GetJobRun", applicationId=desk.id, jobRunId=run_id)
    with pytest.raises(Exception, match="StopApplication"):
        user("StopApplication", applicationId=desk.id)


def test_tags_need_a_permission(desk: Desk) -> None:
    user = desk.as_user(allow("emr-serverless:StartJobRun", "iam:PassRole"))
    with pytest.raises(Exception, match="emr-serverless:TagResource"):
        user("StartJobRun", **desk.request(tags={"a": "b"}))
    run_id = desk.start(tags={"a": "b"})
    arn = desk.run(run_id)["arn"]
    desk("TagResource", resourceArn=arn, tags={"c": "d"})
    desk("UntagResource", resourceArn=arn, tagKeys=["a"])
    assert desk("ListTagsForResource", resourceArn=arn)["tags"] == {"c": "d"} == desk.run(run_id)["tags"]


def test_token(desk: Desk) -> None:
    run_id = desk.start()
    assert desk.start() == run_id != desk.start("two")
    assert desk.make() == desk.id != desk.make(clientToken="new")
    assert len(desk.world.request_log.jobs("emr")) == 2
    desk.wait(READY)
    desk.spark[0].end("broken")
    desk.wait(1)
    assert (desk.start(), desk.run(run_id)["state"]) == (run_id, "FAILED")


def test_token_with_other_parameters(desk: Desk) -> None:
    run_id = desk.start()
    assert desk.start(name="other") == run_id
    for code in ("ConflictException", "ValidationException"):
        desk.world.behaviours.choose(service.TOKEN_DIFFERS, code)
        request = desk.request(name="other")
        desk.refused(service.OTHER_TOKEN, code, "other parameters", "StartJobRun", **request)
        assert desk.start() == run_id
        request = {"name": "b", "releaseLabel": "emr-spark-8.1.0", "type": "SPARK", "clientToken": "app"}
        desk.refused(service.OTHER_TOKEN, code, "other parameters", "CreateApplication", **request)


def test_which_applications_take_runs(world: World) -> None:
    desk = Desk(world, autoStartConfiguration={"enabled": False})
    desk.refused(service.RUNS_WHEN, "ConflictException", "is CREATED", "StartJobRun", **desk.request())
    desk("StartApplication", applicationId=desk.id)
    desk.running()
    desk.id = desk.make(clientToken="own")
    desk("DeleteApplication", applicationId=desk.id)
    desk.refused(service.RUNS_WHEN, "ConflictException", "is TERMINATED", "StartJobRun", **desk.request())


def test_timeouts_are_from_1_to_10080(desk: Desk) -> None:
    for minutes in (0, 10_081):
        request = desk.request(executionTimeoutMinutes=minutes)
        desk.refused(service.MINUTES, "ValidationException", "between 1 and 10080", "StartJobRun", **request)
    assert desk.run(desk.start(executionTimeoutMinutes=10_080))["executionTimeoutMinutes"] == 10_080


def test_a_run_times_out(desk: Desk) -> None:
    run_id, spark = desk.running(executionTimeoutMinutes=5)
    desk.wait(5 * 60 - READY + 1)
    assert (desk.run(run_id)["state"], spark.stopped) == ("CANCELLING", True)
    desk.wait(10)
    assert desk.run(run_id)["state"] == "CANCELLED"
    assert "5 minutes" in desk.run(run_id)["stateDetails"]


def test_a_run_is_cancelled(desk: Desk) -> None:
    early = desk.start("early")
    run_id, spark = desk.running()
    for each in (early, run_id):
        desk("CancelJobRun", applicationId=desk.id, jobRunId=each)
        assert desk.run(each)["state"] == "CANCELLING"
    desk.wait(10)
    assert (desk.run(run_id)["state"], desk.run(early)["state"], spark.stopped) == ("CANCELLED", "CANCELLED", True)
    desk.refused(
        service.CANCELLED_WHEN, "ValidationException", "CANCELLED", "CancelJobRun",
        applicationId=desk.id, jobRunId=run_id,
    )  # fmt: skip


def test_vcpus_of_a_new_account(desk: Desk) -> None:
    first, spark = desk.running("a", "--conf spark.dynamicAllocation.initialExecutors=3")  # the defaults take all 16
    assert spark.submission.slots == 12
    text = "account has reached the service limit on the maximum vCPU it can use concurrently"
    assert desk.ended(token="b")["stateDetails"] == f"Job failed as {text}."
    desk.world.adjust_quota(ACCOUNT, lives.VCPU_QUOTA, 18)
    assert f"ServiceQuotaExceededException: the {text}" in desk.ended(token="b2")["stateDetails"]
    desk.world.adjust_quota(ACCOUNT, lives.VCPU_QUOTA, 16)
    desk.world.behaviours.choose(lives.SHORT_OF_VCPUS, "waits")
    waiting = desk.start("c")
    desk.wait(3600)
    assert desk.run(waiting)["state"] == "SCHEDULED"
    spark.end()
    desk.wait(READY)
    assert (desk.run(first)["state"], desk.run(waiting)["state"]) == ("SUCCESS", "RUNNING")
    desk.world.adjust_quota(ACCOUNT, lives.VCPU_QUOTA, 64)
    desk.running("d", "")


def test_maximum_capacity(world: World) -> None:
    desk = Desk(world, maximumCapacity={"cpu": "8 vCPU", "memory": "32 GB", "disk": "70 GB"})
    desk.running("a")
    text = desk.ended(token="b")["stateDetails"]
    assert "exceeded maximumCapacity settings: [cpu: 8 vCPU, disk:" in text
    text = desk.ended(token="c", parameters=SMALL.replace("driver.cores=1", "driver.cores=4"))["stateDetails"]
    assert text == "Job failed as application has exceeded maximumCapacity settings."


def test_executors_for_which_the_application_has_no_room_may_be_waited_for(world: World) -> None:
    world.behaviours.choose(lives.SHORT_OF_CAPACITY, "waits")
    desk = Desk(world, maximumCapacity={"cpu": "8 vCPU", "memory": "32 GB", "disk": "70 GB"})
    _, first = desk.running("a")
    waiting = desk.start("b")
    desk.wait(READY)
    assert (desk.run(waiting)["state"], len(desk.spark)) == ("RUNNING", 1)  # its driver alone
    assert desk.ended(token="c", parameters=SMALL.replace("driver.cores=1", "driver.cores=4"))["state"] == "FAILED"
    first.end()
    desk.wait(READY)
    assert (desk.run(waiting)["state"], len(desk.spark)) == ("RUNNING", 2)
    refused = desk.start("d")
    desk.wait(1100)
    assert desk.run(refused)["state"] == "RUNNING"
    desk.wait(150)
    run = desk.run(refused)
    assert run["state"] == "FAILED" and "ApplicationMaxCapacityExceededException" in run["stateDetails"]
    assert run["billedResourceUtilization"]["vCPUHour"] == pytest.approx(1160 / 3600, abs=0.02)  # its driver's
    desk.spark[1].end()
    desk.running("e")


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ("--conf spark.executor.cores=3", "3 vCPU is not supported"),
        ("--conf spark.driver.cores=1", "16 GB is not supported for 1 vCPU"),
        ("--executor-memory 1.5g", "Size must be specified"),
        ("--num-executors none", "spark.executor.instances"),
    ],
)
def test_workers_have_certain_sizes(desk: Desk, parameters: str, text: str) -> None:
    assert text in desk.ended(parameters=parameters)["stateDetails"]


def test_runs_queue(world: World) -> None:
    desk = Desk(world, schedulerConfiguration={"maxConcurrentRuns": 1, "queueTimeoutMinutes": 30})
    _, spark = desk.running("a")
    second, third = desk.start("b"), desk.start("c")
    desk.wait(600)
    assert [desk.run(each)["state"] for each in (second, third)] == ["QUEUED", "QUEUED"]
    spark.end()
    desk.wait(READY)
    assert [desk.run(each)["state"] for each in (second, third)] == ["RUNNING", "QUEUED"]
    assert desk.run(second)["queuedDurationMilliseconds"] > 500_000
    desk.wait(1800)
    assert [desk.run(each)["state"] for each in (second, third)] == ["RUNNING", "FAILED"]
    assert "queued" in desk.run(third)["stateDetails"]


def test_what_is_billed(desk: Desk) -> None:
    run_id, spark = desk.running()
    assert "billedResourceUtilization" not in desk.run(run_id)
    started = desk.run(run_id)["startedAt"]
    desk.wait(started + 3600 - desk.world.clock.now())
    spark.end()
    desk.wait(0.1)
    run = desk.run(run_id)
    assert run["billedResourceUtilization"]["vCPUHour"] == pytest.approx(5, abs=0.01)
    assert run["billedResourceUtilization"]["memoryGBHour"] == pytest.approx(3 + 9, abs=0.01)
    assert run["billedResourceUtilization"]["storageGBHour"] == 0
    assert run["totalResourceUtilization"]["storageGBHour"] == pytest.approx(40, abs=0.1)
    assert run["totalExecutionDurationSeconds"] in (3599, 3600, 3601)
    _, spark = desk.running("short")
    spark.end()
    desk.wait(0.1)
    (short, _) = desk("ListJobRuns", applicationId=desk.id)["jobRuns"]
    assert desk.run(short["id"])["billedResourceUtilization"]["vCPUHour"] > 0.08  # a minute of 5 vCPUs


def test_the_execution_policy_narrows_the_role(desk: Desk) -> None:
    narrow = policy(allow("s3:GetObject", resource="arn:aws:s3:::bucket/*"))
    desk.running("a", executionIamPolicy={"policy": narrow})
    assert desk.spark[-1].submission.session_policy == narrow
    managed = "arn:aws:iam::aws:policy/AdministratorAccess"
    desk.running("b", executionIamPolicy={"policy": narrow, "policyArns": [managed]})
    assert desk.spark[-1].submission.session_policy.count('"Effect"') == 2
    for asked in ({"policy": "{"}, {"policyArns": [f"{managed}Not"]}):
        request = desk.request("c", executionIamPolicy=asked)
        desk.refused(service.SESSION_POLICY, "ValidationException", "IAM policy", "StartJobRun", **request)


def test_runs_are_listed(desk: Desk) -> None:
    desk.world.adjust_quota(ACCOUNT, lives.VCPU_QUOTA, 1000)
    ids = []
    for number in range(52):
        ids.append(desk.start(str(number)))
        desk.wait(1)
    first = desk("ListJobRuns", applicationId=desk.id)
    second = desk("ListJobRuns", applicationId=desk.id, nextToken=first["nextToken"])
    assert [run["id"] for run in (*first["jobRuns"], *second["jobRuns"])] == ids[::-1]
    assert (len(first["jobRuns"]), "nextToken" in second) == (50, False)
    middle = desk.run(ids[26])["createdAt"]
    later = desk("ListJobRuns", applicationId=desk.id, createdAtAfter=middle)["jobRuns"]
    assert [run["id"] for run in later] == ids[:25:-1]
    shown = desk("ListJobRuns", applicationId=desk.id, states=["QUEUED", "SUBMITTED"])["jobRuns"]
    states = [run["state"] for run in shown]
    assert states == sorted(states) and set(states) == {"QUEUED", "SUBMITTED"}


# By HTTP


@pytest.fixture
def client(desk: Desk) -> Iterator[Any]:
    with LabServer(desk.world) as server:
        key = desk.world.identity.add_administrator(ACCOUNT, "http")
        yield boto3.client(
            "emr-serverless", endpoint_url=server.endpoint_url, region_name=REGION, aws_access_key_id=key.id,
            aws_secret_access_key=key.secret, config=Config(retries={"max_attempts": 0}),
        )  # fmt: skip


def code_of(call: Any, **params: Any) -> tuple[str, int]:
    with pytest.raises(ClientError) as refused:
        call(**params)
    response: Any = refused.value.response
    return response["Error"]["Code"], response["ResponseMetadata"]["HTTPStatusCode"]


def test_calls_over_http(desk: Desk, client: Any) -> None:
    run_id = client.start_job_run(**desk.request())["jobRunId"]
    shown = client.list_job_runs(applicationId=desk.id, states=["SUBMITTED", "RUNNING"], maxResults=1)["jobRuns"]
    assert [run["id"] for run in shown] == [run_id]
    assert client.list_job_runs(applicationId=desk.id, states=["RUNNING"])["jobRuns"] == []
    arn = client.get_job_run(applicationId=desk.id, jobRunId=run_id)["jobRun"]["arn"]
    client.tag_resource(resourceArn=arn, tags={"a": "b", "c": "d"})
    client.untag_resource(resourceArn=arn, tagKeys=["a", "c"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {}
    client.cancel_job_run(applicationId=desk.id, jobRunId=run_id)
    assert client.list_applications(states=["STARTING", "STARTED"])["applications"][0]["id"] == desk.id


def test_shapes_are_those_of_the_model(desk: Desk, client: Any) -> None:
    long_policy = policy(allow("s3:GetObject", resource="arn:aws:s3:::" + "b" * 2048))
    for members in (
        {"name": "n" * 257},
        {"clientToken": "with space"},
        {"executionRoleArn": "arn:aws:iam::111111111111:user/job"},
        {"executionIamPolicy": {"policy": long_policy}},
    ):
        assert code_of(client.start_job_run, **{**desk.request(), **members}) == ("ValidationException", 400), members
    request = {"releaseLabel": "emr-7.14.0", "type": "SPARK"}
    assert code_of(client.create_application, name="n" * 65, **request) == ("ValidationException", 400)
    assert code_of(client.get_application, applicationId="none") == ("ResourceNotFoundException", 404)


def test_rates(desk: Desk, client: Any) -> None:
    desk.world.throttles.enabled = True
    for call, most, params in (
        (client.list_job_runs, 25, {}),
        (client.start_job_run, 25, {key: value for key, value in desk.request().items() if key != "applicationId"}),
    ):
        for _ in range(most):
            call(applicationId=desk.id, **params)
        codes = {code_of(call, applicationId=desk.id, **params) for _ in range(3)}
        assert codes == {("ThrottlingException", 429)}
