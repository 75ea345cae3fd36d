# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's Glue: jobs and the states of their runs. What a run does is decided here by the test, not by Spark."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from lab.assembly import build_world
from lab.rules import Rule
from lab.services import glue, glue_runs
from lab.spark.runs import Outcome, SparkRuns, Submission
from lab.world import World
from tests.unit.lab.backup.conftest import REGION, SOURCE, Side, policy

SERVICES = (
    "lab.services.iam.IamService",
    "lab.services.kms.KmsService",
    "lab.s3.service.S3Service",
    "lab.services.glue.GlueService",
)
ROLE = f"arn:aws:iam::{SOURCE}:role/job"
JOB_ARN = f"arn:aws:glue:{REGION}:{SOURCE}:job/ferry"
TRUST = policy({"Effect": "Allow", "Principal": {"Service": "glue.amazonaws.com"}, "Action": "sts:AssumeRole"})
DEFINITION: dict[str, Any] = {
    "Role": ROLE,
    "Command": {"Name": "glueetl", "ScriptLocation": "s3://staging/job.py", "PythonVersion": "3"},
    "GlueVersion": "5.1",
    "WorkerType": "G.1X",
    "NumberOfWorkers": 2,
    "DefaultArguments": {
        "--TempDir": "s3://staging/temp/",
        "--extra-py-files": "s3://staging/a.zip,s3://staging/b.zip",
    },
}
STARTED = 35.0


@dataclass
class Submitted:
    """A run that came to Spark."""

    world: World
    submission: Submission
    on_end: Callable[[Outcome], None]
    stopped: bool = False

    def stop(self) -> None:
        """As a real one: the outcome comes later."""
        self.stopped = True
        self.world.schedule(1, lambda: self.end("stopped"))

    def end(self, state: Any = "succeeded", message: str = "") -> None:
        """Let it end."""
        with self.world.lock:
            self.on_end(Outcome(state, message, 1.0))


@dataclass
class Glue:
    """An administrator of Glue, and the runs that Spark got."""

    side: Side
    submitted: list[Submitted] = field(default_factory=list)

    def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        return self.side._asked("glue", operation, params)

    def refused(self, rule: Rule, code: str, text: str, operation: str, **params: Any) -> None:
        self.side.refused(rule, code, text, operation, service="glue", **params)

    def job(self, name: str = "ferry", **members: Any) -> dict[str, Any]:
        return self("CreateJob", Name=name, **{**DEFINITION, **members})

    def start(self, **params: Any) -> str:
        return str(self("StartJobRun", JobName="ferry", **params)["JobRunId"])

    def run(self, run_id: str) -> dict[str, Any]:
        shown: dict[str, Any] = self("GetJobRun", JobName="ferry", RunId=run_id)["JobRun"]
        return shown

    def state(self, run_id: str) -> str:
        return str(self.run(run_id)["JobRunState"])

    def wait(self, seconds: float = STARTED) -> None:
        self.side.wait(seconds)


@pytest.fixture
def world() -> Iterator[World]:
    made = build_world(services=SERVICES, ticks=False)
    made.accounts.add(SOURCE)
    made.identity.add_role(SOURCE, "job", TRUST)
    yield made
    made.close()


@pytest.fixture
def lab(world: World, monkeypatch: pytest.MonkeyPatch) -> Glue:
    key = world.identity.add_administrator(SOURCE)
    credential = world.identity.credential(key.id)
    assert credential is not None
    made = Glue(Side(world, credential.caller))

    def submit(_runs: SparkRuns, submission: Submission, on_end: Callable[[Outcome], None]) -> Submitted:
        made.submitted.append(Submitted(world, submission, on_end))
        return made.submitted[-1]

    monkeypatch.setattr(SparkRuns, "submit", submit)
    return made


def test_a_job_of_a_name_is_made_once(lab: Glue) -> None:
    assert lab.job(Tags={"a": "b"}) == lab.job(Tags={"a": "b"}) == {"Name": "ferry"}
    text = "already submitted with different configuration"
    code = "IdempotentParameterMismatchException"
    lab.refused(glue.ONE_OF_A_NAME, code, text, "CreateJob", Name="ferry", **{**DEFINITION, "NumberOfWorkers": 3})
    shown = lab("GetJob", JobName="ferry")["Job"]
    assert shown.items() >= {**DEFINITION, "Timeout": 480, "MaxRetries": 0, "MaxCapacity": 2.0}.items()
    assert shown["ExecutionProperty"] == {"MaxConcurrentRuns": 1}
    lab("UpdateJob", JobName="ferry", JobUpdate={**DEFINITION, "NumberOfWorkers": 4, "MaxRetries": 1})
    shown = lab("GetJob", JobName="ferry")["Job"]
    assert (shown["NumberOfWorkers"], shown["MaxRetries"], shown["MaxCapacity"]) == (4, 1, 4.0)
    assert [job["Name"] for job in lab("GetJobs")["Jobs"]] == ["ferry"]


def test_what_does_not_exist(lab: Glue) -> None:
    missing = "EntityNotFoundException"
    lab.refused(glue.ABSENT, missing, "missing metadata", "StartJobRun", JobName="ferry")
    lab.refused(glue.ABSENT, missing, "Job ferry not found", "GetJob", JobName="ferry")
    lab.refused(glue.ABSENT, missing, "Job ferry not found", "GetJobRuns", JobName="ferry")
    lab.refused(glue.ABSENT, missing, "Job ferry not found", "UpdateJob", JobName="ferry", JobUpdate=DEFINITION)
    lab.refused(glue.ABSENT, missing, "not found", "GetTags", ResourceArn=JOB_ARN)
    assert lab("DeleteJob", JobName="ferry") == {"JobName": "ferry"}
    lab.job()
    lab.refused(glue.ABSENT, missing, "Job run jr_1", "GetJobRun", JobName="ferry", RunId="jr_1")
    lab("DeleteJob", JobName="ferry")
    lab.refused(glue.ABSENT, missing, "Job ferry not found", "GetJob", JobName="ferry")


def test_the_role_is_passed_when_a_job_is_made(lab: Glue, world: World) -> None:
    on_jobs = {"Effect": "Allow", "Action": "glue:*", "Resource": JOB_ARN}
    passing = {"Effect": "Allow", "Action": "iam:PassRole", "Resource": ROLE}
    for service, allowed in (("glue.amazonaws.com", True), ("backup.amazonaws.com", False)):
        condition = {"StringEquals": {"iam:PassedToService": service}}
        user = Glue(lab.side.as_user(on_jobs, {**passing, "Condition": condition}))
        if allowed:
            user.job()
            user("UpdateJob", JobName="ferry", JobUpdate=DEFINITION)
        else:
            for operation, params in (
                ("CreateJob", {"Name": "ferry", **DEFINITION}),
                ("UpdateJob", {"JobName": "ferry", "JobUpdate": {**DEFINITION, "Role": "job"}}),
            ):
                text = f"iam:PassRole on resource: {ROLE}"
                user.refused(glue.PASSED, "AccessDeniedException", text, operation, **params)
    starter = Glue(lab.side.as_user({"Effect": "Allow", "Action": "glue:StartJobRun", "Resource": JOB_ARN}))
    starter.start()
    logged = {(each.action, each.resource_arn, each.conditions, each.allowed) for each in world.permission_log.all()}
    assert ("iam:PassRole", ROLE, (("iam:PassedToService", "glue.amazonaws.com"),), True) in logged
    assert ("glue:StartJobRun", JOB_ARN, (), True) in logged


def test_tags(lab: Glue) -> None:
    lab.job(Tags={"a": "b", "c": "d"})
    lab("TagResource", ResourceArn=JOB_ARN, TagsToAdd={"a": "x"})
    lab("UntagResource", ResourceArn=JOB_ARN, TagsToRemove=["c"])
    assert lab("GetTags", ResourceArn=JOB_ARN) == {"Tags": {"a": "x"}}
    statements = [
        {"Effect": "Allow", "Action": "glue:CreateJob", "Resource": "*"},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": ROLE},
    ]
    user = Glue(lab.side.as_user(*statements))
    user.job("plain")
    with pytest.raises(Exception, match="glue:TagResource"):
        user.job("tagged", Tags={"a": "b"})


def test_workers(lab: Glue) -> None:
    def refused(text: str, **members: Any) -> None:
        params = {"Name": "ferry", **DEFINITION, **members}
        params = {name: value for name, value in params.items() if value is not None}
        lab.refused(glue.WORKERS, "InvalidInputException", text, "CreateJob", **params)

    refused("at least 2", NumberOfWorkers=1)
    refused("together", WorkerType=None)
    refused("Max Capacity", MaxCapacity=2.0)
    refused("not supported", WorkerType="Standard")
    refused("FLEX", WorkerType="G.4X", ExecutionClass="FLEX")
    lab.job()
    lab.refused(glue.WORKERS, "InvalidInputException", "at least 2", "StartJobRun", JobName="ferry", NumberOfWorkers=1)
    lab.start(WorkerType="G.2X", NumberOfWorkers=3, ExecutionClass="FLEX")
    lab.wait()
    assert lab.submitted[0].submission.slots == 8
    lab.wait(100)
    (run,) = lab("GetJobRuns", JobName="ferry")["JobRuns"]
    assert (run["MaxCapacity"], run["DPUSeconds"]) == (6.0, run["ExecutionTime"] * 6.0)


def test_versions(lab: Glue, world: World) -> None:
    given = {name: value for name, value in DEFINITION.items() if name != "GlueVersion"}
    lab("CreateJob", Name="first", **given)
    world.behaviours.choose("glue.default_version", "5.1")
    lab("CreateJob", Name="second", **given, GlueVersion="auto")
    versions = [lab("GetJob", JobName=name)["Job"]["GlueVersion"] for name in ("first", "second")]
    assert versions == ["6.0", "5.1"]
    lab.refused(glue.VERSION, "InvalidInputException", "not 3.0", "CreateJob", Name="x", **given, GlueVersion="3.0")


def test_timeouts(lab: Glue) -> None:
    lab.refused(
        glue.TIMEOUT, "InvalidInputException", "10080", "CreateJob", Name="ferry", **{**DEFINITION, "Timeout": 10081}
    )
    lab.job()
    lab.refused(glue.TIMEOUT, "InvalidInputException", "10080", "StartJobRun", JobName="ferry", Timeout=10081)


def test_a_run_starts_runs_and_succeeds(lab: Glue, world: World) -> None:
    lab.job(NonOverridableArguments={"--fixed": "1"}, NumberOfWorkers=3)
    run_id = lab.start(
        Arguments={"--plan": "s3://staging/plan", "--conf": "spark.a=b --conf spark.c=d=e", "--fixed": "2"}
    )
    assert lab.state(run_id) == "STARTING"
    lab.wait()
    assert lab.state(run_id) == "RUNNING"
    (spark,) = lab.submitted
    job = spark.submission
    assert (job.release.name, job.role_arn, job.account_id, job.region) == ("glue 5.1", ROLE, SOURCE, REGION)
    assert (job.script, job.py_files) == ("s3://staging/job.py", ("s3://staging/a.zip", "s3://staging/b.zip"))
    assert (job.slots, job.conf) == (8, {"spark.a": "b", "spark.c": "d=e"})
    pairs = dict(zip(job.arguments[::2], job.arguments[1::2], strict=True))
    assert pairs == {
        "--JOB_NAME": "ferry",
        "--JOB_ID": "j_ferry",
        "--JOB_RUN_ID": run_id,
        "--TempDir": "s3://staging/temp/",
        "--plan": "s3://staging/plan",
        "--fixed": "1",
    }
    lab.wait(90)
    spark.end()
    run = lab.run(run_id)
    assert (run["JobRunState"], run["GlueVersion"], run["Attempt"]) == ("SUCCEEDED", "5.1", 0)
    assert 90 <= run["ExecutionTime"] <= 100
    assert run["CompletedOn"] == run["LastModifiedOn"] > run["StartedOn"]
    assert (run["MaxCapacity"], "DPUSeconds" in run, "ErrorMessage" in run) == (3.0, False, False)
    (started,) = world.request_log.jobs(kind="glue")
    assert (started.resource, started.id) == (JOB_ARN, run_id)


def test_a_failed_run_has_a_message(lab: Glue) -> None:
    lab.job()
    run_id = lab.start()
    lab.wait()
    lab.submitted[0].end("failed", "ValueError: no")
    assert (lab.state(run_id), lab.run(run_id)["ErrorMessage"]) == ("FAILED", "ValueError: no")


def test_failed_runs_are_retried(lab: Glue) -> None:
    lab.job(MaxRetries=1)
    run_id = lab.start(Arguments={"--plan": "x"})
    for _ in range(2):
        lab.wait()
        lab.submitted[-1].end("failed", "no")
    again, first = lab("GetJobRuns", JobName="ferry")["JobRuns"]
    assert (first["Id"], first["Attempt"], first["JobRunState"]) == (run_id, 0, "FAILED")
    assert (again["Id"], again["Attempt"], again["JobRunState"]) == (f"{run_id}_attempt_1", 1, "FAILED")
    assert (again["PreviousRunId"], again["Arguments"]) == (run_id, {"--plan": "x"})


def test_a_run_of_an_earlier_one(lab: Glue) -> None:
    lab.job()
    run_id = lab.start(Arguments={"--plan": "x"})
    lab.wait()
    lab.submitted[0].end("failed", "no")
    again = lab.run(lab.start(JobRunId=run_id))
    assert (again["PreviousRunId"], again["Arguments"], again["Attempt"]) == (run_id, {"--plan": "x"}, 1)
    lab.refused(glue.ABSENT, "EntityNotFoundException", "jr_x", "StartJobRun", JobName="ferry", JobRunId="jr_x")


@pytest.mark.parametrize("trust", [None, TRUST.replace("glue.", "ec2.")])
def test_the_role_must_trust_glue(lab: Glue, world: World, trust: str | None) -> None:
    if trust is None:
        del world.identity.roles[SOURCE, "job"]
    else:
        world.identity.roles[SOURCE, "job"].trust = trust
    lab.job()
    run_id = lab.start()
    lab.wait()
    run = lab.run(run_id)
    assert (run["JobRunState"], lab.submitted) == ("FAILED", [])
    assert run["ErrorMessage"] == (
        f"JobName:ferry and JobRunId:{run_id} failed to execute with exception Role {ROLE} should be given assume role "
        "permissions for Glue Service."
    )


def test_a_run_times_out(lab: Glue) -> None:
    lab.job()
    run_id = lab.start(Timeout=2)
    lab.wait()
    lab.wait(110)
    assert lab.state(run_id) == "RUNNING"
    lab.wait(20)
    assert (lab.state(run_id), lab.submitted[0].stopped) == ("TIMEOUT", True)
    lab.wait()
    assert lab.state(run_id) == "TIMEOUT"


def test_concurrent_runs(lab: Glue, world: World) -> None:
    lab.job(ExecutionProperty={"MaxConcurrentRuns": 2})
    lab.start()
    lab.start()
    text = "Concurrent runs exceeded for ferry"
    lab.refused(glue.CONCURRENT, "ConcurrentRunsExceededException", text, "StartJobRun", JobName="ferry")
    queued = lab.start(JobRunQueuingEnabled=True)
    run = lab.run(queued)
    assert (run["JobRunState"], run["JobRunQueuingEnabled"], bool(run["StateDetail"])) == ("WAITING", True, True)
    lab.wait()
    lab.submitted[0].end()
    assert lab.state(queued) == "STARTING"
    lab.wait()
    assert lab.state(queued) == "RUNNING"
    world.adjust_quota(SOURCE, glue.RUNS_PER_ACCOUNT, 2)
    lab.job("other")
    code = "ResourceNumberLimitExceededException"
    lab.refused(glue.CONCURRENT, code, "Max concurrent", "StartJobRun", JobName="other")
    many = {**DEFINITION, "ExecutionProperty": {"MaxConcurrentRuns": 4001}}
    lab.refused(glue.CONCURRENT, code, "maximum number", "CreateJob", Name="many", **many)


def test_capacity(lab: Glue, world: World) -> None:
    world.adjust_quota(SOURCE, glue_runs.TASK_DPUS, 3)
    lab.job(ExecutionProperty={"MaxConcurrentRuns": 9})
    lab.start()
    refused, queued = lab.run(lab.start()), lab.start(JobRunQueuingEnabled=True)
    assert refused["JobRunState"] == "FAILED"
    assert "Exceeded maximum concurrent compute capacity" in refused["ErrorMessage"]
    assert lab.state(queued) == "WAITING"
    lab.wait()
    lab.submitted[0].end()
    lab.wait()
    assert lab.state(queued) == "RUNNING"


def test_planned_failures(lab: Glue, world: World) -> None:
    lab.job(ExecutionProperty={"MaxConcurrentRuns": 9})
    world.faults.add(kind="job_failure", match={"Arguments.--run": "a"}, values={"capacity": True}, times=2)
    world.faults.add(kind="job_failure", match={"Arguments.--run": "b"}, message="Resource unavailable")
    world.faults.add(kind="job_failure", match={"Arguments.--run": "c"}, values={"state": "ERROR"})
    full = lab.start(Arguments={"--run": "a"})
    waits = lab.start(Arguments={"--run": "a"}, JobRunQueuingEnabled=True)
    fails, breaks = lab.start(Arguments={"--run": "b"}), lab.start(Arguments={"--run": "c"})
    assert (lab.state(full), lab.state(waits), lab.state(fails)) == ("FAILED", "WAITING", "STARTING")
    lab.wait(100)
    assert (lab.state(waits), lab.state(fails), lab.state(breaks)) == ("RUNNING", "FAILED", "ERROR")
    assert lab.run(fails)["ErrorMessage"] == "Resource unavailable"


def test_arguments_are_limited(lab: Glue) -> None:
    lab.job()
    arguments = {"--long": "x" * 260 * 1024}
    lab.refused(
        glue.ARGUMENTS, "InvalidInputException", "size limit", "StartJobRun", JobName="ferry", Arguments=arguments
    )
    lab.start(Arguments={"--long": "x" * 259 * 1024})


def test_arguments_may_be_missing_in_answers(lab: Glue, world: World) -> None:
    lab.job()
    run_id = lab.start(Arguments={"--run": "a"})
    assert lab.run(run_id)["Arguments"] == {"--run": "a"}
    world.behaviours.choose("glue.arguments_in_answers", "missing")
    assert "Arguments" not in lab.run(run_id)
    assert "Arguments" not in lab("GetJobRuns", JobName="ferry")["JobRuns"][0]


def test_a_run_needs_a_temp_dir(lab: Glue) -> None:
    lab.job(DefaultArguments={})
    lab.refused(glue.TEMP_DIR, "InvalidInputException", "--TempDir", "StartJobRun", JobName="ferry")
    lab.start(Arguments={"--TempDir": "s3://staging/temp/"})


def test_the_session_policy(lab: Glue) -> None:
    lab.job()
    lab.refused(
        glue.NARROWED,
        "InvalidInputException",
        "ExecutionRoleSessionPolicy",
        "StartJobRun",
        JobName="ferry",
        ExecutionRoleSessionPolicy="{}x",
    )
    document = policy({"Effect": "Allow", "Action": "s3:*", "Resource": "*"})
    run_id = lab.start(ExecutionRoleSessionPolicy=document)
    assert lab.run(run_id)["ExecutionRoleSessionPolicy"] == document
    lab.wait()
    assert lab.submitted[0].submission.session_policy == document


def test_runs_are_listed_newest_first(lab: Glue) -> None:
    lab.job(ExecutionProperty={"MaxConcurrentRuns": 9})
    ids = []
    for _ in range(5):
        ids.append(lab.start())
        lab.wait(1)
    ids.reverse()
    first = lab("GetJobRuns", JobName="ferry", MaxResults=2)
    lab.start()
    second = lab("GetJobRuns", JobName="ferry", MaxResults=3, NextToken=first["NextToken"])
    assert [run["Id"] for run in first["JobRuns"] + second["JobRuns"]] == ids
    assert "NextToken" not in second
    with pytest.raises(Exception, match="token"):
        lab("GetJobRuns", JobName="ferry", NextToken="x")
    lab.wait(91 * 86400)
    assert lab("GetJobRuns", JobName="ferry") == {"JobRuns": []}


def test_runs_are_stopped(lab: Glue) -> None:
    lab.job(ExecutionProperty={"MaxConcurrentRuns": 9})
    running = lab.start()
    lab.wait()
    ended = lab.start()
    lab.wait()
    lab.submitted[-1].end()
    starting = lab.start()
    answer = lab("BatchStopJobRun", JobName="ferry", JobRunIds=[running, starting, ended, "jr_x"])
    assert [each["JobRunId"] for each in answer["SuccessfulSubmissions"]] == [running, starting]
    codes = {each["JobRunId"]: each["ErrorDetail"]["ErrorCode"] for each in answer["Errors"]}
    assert codes == {ended: "InvalidInputException", "jr_x": "EntityNotFoundException"}
    assert (lab.state(running), lab.state(starting)) == ("STOPPING", "STOPPING")
    lab("BatchStopJobRun", JobName="ferry", JobRunIds=[running])
    lab.wait()
    assert (lab.state(running), lab.state(starting), lab.state(ended)) == ("STOPPED", "STOPPED", "SUCCEEDED")
    assert [each.stopped for each in lab.submitted] == [True, False]
