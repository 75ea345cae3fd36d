# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's EMR on EC2: clusters and steps from their start to their end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

from lab.faults import Fault
from lab.rules import Rule
from lab.server import LabServer
from lab.services import emr as service
from lab.services import emr_clusters as lives
from lab.world import World
from tests.unit.lab.dynamodb.conftest import administrator
from tests.unit.lab.spark_fakes import ACCOUNT, OTHER, REGION, Engine, FakeRun, allow, policy, still_world, trust

INSTANCE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/emr-instances"
SERVICE_ROLE = f"arn:aws:iam::{ACCOUNT}:role/emr-service"
READY = 300.0  # seconds after which a cluster runs its steps
STARTED = 10.0  # and a step its script
ALIVE = {"MasterInstanceType": "m5.xlarge", "InstanceCount": 3, "KeepJobFlowAliveWhenNoSteps": True}
RUNTIME = json.dumps({"AuthorizationConfiguration": {"IAMConfiguration": {"EnableApplicationScopedIAMRole": True}}})


@pytest.fixture
def world() -> Iterator[World]:
    made = still_world("lab.services.emr.EmrService")
    made.identity.add_role(ACCOUNT, "emr-service", trust(lives.SERVICE))
    made.identity.add_role(ACCOUNT, "emr-instances", trust(lives.INSTANCES))
    made.advance(60)
    yield made
    assert made.event_errors == []
    made.close()


class Desk(Engine):
    """The engine with an instance profile ``emr``."""

    def __init__(self, world: World) -> None:
        super().__init__(world, "emr")
        self.profile("emr", "emr-instances")
        self.wait(60)

    def profile(self, name: str, role: str) -> None:
        """Make an instance profile, with a role or (empty) without."""
        self.desk("CreateInstanceProfile", "iam", InstanceProfileName=name)
        if role:
            self.desk("AddRoleToInstanceProfile", "iam", InstanceProfileName=name, RoleName=role)

    def request(self, **members: Any) -> dict[str, Any]:
        return {
            "Name": "ferry", "ReleaseLabel": "emr-7.14.0", "JobFlowRole": "emr", "ServiceRole": "emr-service",
            "Instances": ALIVE, "Applications": [{"Name": "Spark"}], **members,
        }  # fmt: skip

    def run(self, **members: Any) -> str:
        return str(self("RunJobFlow", **self.request(**members))["JobFlowId"])

    def ready(self, **members: Any) -> str:
        """A new cluster that waits for steps, or runs those that it was given."""
        cluster = self.run(**members)
        self.wait(READY)
        return cluster

    def add(self, cluster: str, *words: str, name: str = "step", role: str = "", **members: Any) -> str:
        added = {"ExecutionRoleArn": role} if role else {}
        return str(
            self("AddJobFlowSteps", JobFlowId=cluster, Steps=[step(*words, name=name, **members)], **added)["StepIds"][
                0
            ]
        )

    def running(self, cluster: str, *words: str, **members: Any) -> tuple[str, FakeRun]:
        identifier = self.add(cluster, *words, **members)
        self.wait(STARTED)
        assert self.step(cluster, identifier)["Status"]["State"] == "RUNNING", self.step(cluster, identifier)
        return identifier, self.spark[-1]

    def cluster(self, identifier: str) -> dict[str, Any]:
        shown: dict[str, Any] = self("DescribeCluster", ClusterId=identifier)["Cluster"]
        return shown

    def status(self, identifier: str) -> tuple[str, str]:
        status = self.cluster(identifier)["Status"]
        return status["State"], status["StateChangeReason"].get("Code", "")

    def step(self, cluster: str, identifier: str) -> dict[str, Any]:
        shown: dict[str, Any] = self("DescribeStep", ClusterId=cluster, StepId=identifier)["Step"]
        return shown

    def state(self, cluster: str, identifier: str) -> str:
        return str(self.step(cluster, identifier)["Status"]["State"])

    def failed(self, cluster: str, *words: str, **members: Any) -> str:
        """The message of a step that fails before its script begins."""
        before = len(self.spark)
        identifier = self.add(cluster, *words, **members)
        self.wait(STARTED)
        status = self.step(cluster, identifier)["Status"]
        assert (status["State"], len(self.spark)) == ("FAILED", before)
        return str(status["FailureDetails"]["Message"])

    def refused(self, rule: Rule, code: str, text: str, operation: str, **params: Any) -> None:
        self.desk.refused(rule, code, text, operation, service="emr", **params)


def step(*words: str, name: str = "step", **members: Any) -> dict[str, Any]:
    arguments = ["spark-submit", *(words or ("--py-files", "s3://bucket/a.zip", "s3://bucket/job.py", "--plan", "p"))]
    return {"Name": name, "HadoopJarStep": {"Jar": "command-runner.jar", "Args": arguments}, **members}


@pytest.fixture
def desk(world: World) -> Desk:
    return Desk(world)


# Clusters


def test_a_cluster_goes_through_its_states(desk: Desk) -> None:
    cluster = desk.run()
    seen = [desk.status(cluster)[0]]
    desk.wait(200)
    seen.append(desk.status(cluster)[0])
    desk.wait(100)
    seen.append(desk.status(cluster)[0])
    _, spark = desk.running(cluster)
    seen.append(desk.status(cluster)[0])
    spark.end()
    desk.wait(1)
    seen.append(desk.status(cluster)[0])
    desk("TerminateJobFlows", JobFlowIds=[cluster])
    seen.append(desk.status(cluster)[0])
    desk.wait(100)
    seen.append(desk.status(cluster)[0])
    assert seen == ["STARTING", "BOOTSTRAPPING", "WAITING", "RUNNING", "WAITING", "TERMINATING", "TERMINATED"]
    shown = desk.cluster(cluster)
    assert shown["ClusterArn"] == f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/{cluster}"
    assert (shown["AutoTerminate"], shown["ReleaseLabel"], shown["StepConcurrencyLevel"]) == (False, "emr-7.14.0", 1)
    assert shown["Ec2InstanceAttributes"] == {"IamInstanceProfile": "emr"}
    assert set(shown["Status"]["Timeline"]) == {"CreationDateTime", "ReadyDateTime", "EndDateTime"}


@pytest.mark.parametrize(("message", "reason"), [("", "Steps completed"), ("x", "Steps completed with errors")])
def test_a_cluster_ends_after_its_steps(desk: Desk, message: str, reason: str) -> None:
    mortal = {**ALIVE, "KeepJobFlowAliveWhenNoSteps": False}
    cluster = desk.ready(Instances=mortal, Steps=[step(name="a"), step(name="b")])
    for _ in range(2):
        desk.wait(STARTED)
        assert desk.status(cluster)[0] == "RUNNING"
        desk.spark[-1].end(message)
        desk.wait(STARTED)
    assert desk.status(cluster) == ("TERMINATING", "ALL_STEPS_COMPLETED")
    desk.wait(100)
    assert desk.status(cluster)[0] == "TERMINATED"
    assert desk.cluster(cluster)["Status"]["StateChangeReason"]["Message"] == reason


def test_an_idle_cluster_ends(desk: Desk) -> None:
    cluster = desk.ready(AutoTerminationPolicy={"IdleTimeout": 600})
    _, spark = desk.running(cluster)
    desk.wait(1000)
    spark.end()
    desk.wait(1)
    assert desk.status(cluster)[0] == "WAITING"
    desk.wait(700)
    assert desk.status(cluster)[0] == "TERMINATED"


def test_a_cluster_needs_its_roles(desk: Desk) -> None:
    desk.profile("without-role", "")
    desk.wait(60)
    for members, text in (
        ({"JobFlowRole": ""}, "InstanceProfile is required for creating cluster"),
        ({"ServiceRole": ""}, "ServiceRole is required"),
        ({"JobFlowRole": "emr-instances"}, "Invalid InstanceProfile: emr-instances"),
        ({"JobFlowRole": "without-role"}, "Invalid InstanceProfile: without-role"),
    ):
        desk.refused(service.ROLES_NEEDED, "ValidationException", text, "RunJobFlow", **desk.request(**members))
    assert desk.run(JobFlowRole=f"arn:aws:iam::{ACCOUNT}:instance-profile/emr", ServiceRole=SERVICE_ROLE)


def test_roles_must_trust(desk: Desk) -> None:
    desk.world.identity.add_role(ACCOUNT, "glue", trust("glue.amazonaws.com"))
    desk.profile("glue", "glue")
    desk.wait(60)
    for name, shown in (("glue", f"arn:aws:iam::{ACCOUNT}:role/glue"), ("missing", "missing")):
        cluster = desk.ready(ServiceRole=name)
        assert desk.status(cluster) == ("TERMINATED_WITH_ERRORS", "VALIDATION_ERROR")
        message = desk.cluster(cluster)["Status"]["StateChangeReason"]["Message"]
        assert message == f"EMR service role {shown} is invalid"
    text, request = "Failed to authorize instance profile glue", desk.request(JobFlowRole="glue")
    desk.refused(service.AUTHORIZED, "AccessDeniedException", text, "RunJobFlow", **request)


def test_a_new_instance_profile_is_not_known_yet(desk: Desk) -> None:
    desk.profile("new", "emr-instances")
    request = desk.request(JobFlowRole="new")
    desk.refused(service.ROLES_NEEDED, "ValidationException", "Invalid InstanceProfile: new", "RunJobFlow", **request)
    desk.wait(60)
    desk("RunJobFlow", **request)
    desk.desk("RemoveRoleFromInstanceProfile", "iam", InstanceProfileName="new", RoleName="emr-instances")
    desk.world.identity.add_role(ACCOUNT, "newer", trust(lives.INSTANCES))
    desk.desk("AddRoleToInstanceProfile", "iam", InstanceProfileName="new", RoleName="newer")
    text = "Failed to authorize instance profile new"
    desk.refused(service.AUTHORIZED, "AccessDeniedException", text, "RunJobFlow", **request)


def test_the_roles_are_passed(desk: Desk) -> None:
    request = desk.request()
    user = desk.as_user(allow("elasticmapreduce:RunJobFlow"))
    user.desk.refused(
        service.LINKED, "AccessDeniedException", "CreateServiceLinkedRole", "RunJobFlow", service="emr", **request
    )
    passing = [
        allow("iam:PassRole", resource=arn, Condition={"StringEquals": {"iam:PassedToService": to}})
        for arn, to in ((SERVICE_ROLE, lives.SERVICE), (INSTANCE_ROLE, lives.INSTANCES))
    ]
    linked = allow("iam:CreateServiceLinkedRole")
    for few in (passing[:1], passing[1:]):
        user = desk.as_user(allow("elasticmapreduce:RunJobFlow"), linked, *few)
        user.desk.refused(
            service.PASSED, "AccessDeniedException", "iam:PassRole", "RunJobFlow", service="emr", **request
        )
    desk.as_user(allow("elasticmapreduce:RunJobFlow"), linked, *passing)("RunJobFlow", **request)
    assert (ACCOUNT, "AWSServiceRoleForEMRCleanup") in desk.world.identity.roles
    desk.as_user(allow("elasticmapreduce:RunJobFlow"), *passing)("RunJobFlow", **request)


@pytest.mark.parametrize(
    "instances",
    [
        {"KeepJobFlowAliveWhenNoSteps": True},
        {"MasterInstanceType": "m5.xlarge", "InstanceFleets": [{"InstanceFleetType": "MASTER"}]},
        {"InstanceGroups": [{"InstanceRole": "CORE", "InstanceType": "m5.xlarge", "InstanceCount": 1}]},
    ],
)
def test_instances(desk: Desk, instances: dict[str, Any]) -> None:
    request = desk.request(Instances=instances)
    desk.refused(service.INSTANCES_GIVEN, "ValidationException", "A master", "RunJobFlow", **request)


def test_ranges(desk: Desk) -> None:
    for members, rule, text in (
        ({"AutoTerminationPolicy": {"IdleTimeout": 59}}, service.RANGES, "between 60 and 604800"),
        ({"AutoTerminationPolicy": {"IdleTimeout": 604_801}}, service.RANGES, "between 60 and 604800"),
        ({"StepConcurrencyLevel": 257}, service.RANGES, "between 1 and 256"),
        ({"ReleaseLabel": "emr-5.0.0"}, service.RELEASES, "The supplied release label is invalid"),
    ):
        desk.refused(rule, "ValidationException", text, "RunJobFlow", **desk.request(**members))
    cluster = desk.ready(StepConcurrencyLevel=2)
    steps = [step(ActionOnFailure="CANCEL_AND_WAIT")]
    text = "ActionOnFailure"
    desk.refused(service.RANGES, "ValidationException", text, "AddJobFlowSteps", JobFlowId=cluster, Steps=steps)


def test_tags(desk: Desk) -> None:
    cluster = desk.run(Tags=[{"Key": "a", "Value": "b"}])
    desk("AddTags", ResourceId=cluster, Tags=[{"Key": "c", "Value": "d"}])
    desk("RemoveTags", ResourceId=cluster, TagKeys=["a"])
    assert desk.cluster(cluster)["Tags"] == [{"Key": "c", "Value": "d"}]
    user = desk.as_user(allow("elasticmapreduce:RunJobFlow", "iam:*"))
    with pytest.raises(Exception, match="elasticmapreduce:AddTags"):
        user("RunJobFlow", **desk.request(Tags=[{"Key": "a", "Value": "b"}]))


def test_there_is_no_token(desk: Desk) -> None:
    first, second = desk.ready(), desk.run()
    assert first != second
    assert desk.add(first) != desk.add(first)


def test_clusters_are_listed(desk: Desk) -> None:
    made = []
    for _ in range(52):
        made.append(desk.run())
        desk.wait(1)
    first = desk("ListClusters")
    second = desk("ListClusters", Marker=first["Marker"])
    assert (len(first["Clusters"]), "Marker" in second) == (50, False)
    assert {each["Id"] for each in (*first["Clusters"], *second["Clusters"])} == set(made)
    assert "Tags" not in first["Clusters"][0]
    created = desk.cluster(made[-2])["Status"]["Timeline"]["CreationDateTime"]
    assert {each["Id"] for each in desk("ListClusters", CreatedAfter=created)["Clusters"]} == set(made[-2:])
    assert desk("ListClusters", ClusterStates=["WAITING"])["Clusters"] == []


def test_a_cluster_is_terminated(desk: Desk) -> None:
    cluster = desk.ready()
    first, spark = desk.running(cluster)
    second = desk.add(cluster)
    desk("TerminateJobFlows", JobFlowIds=[cluster])
    assert [desk.state(cluster, each) for each in (first, second)] == ["CANCELLED", "CANCELLED"]
    assert (spark.stopped, desk.status(cluster)) == (True, ("TERMINATING", "USER_REQUEST"))
    desk.wait(100)
    assert desk.status(cluster) == ("TERMINATED", "USER_REQUEST")


def test_a_protected_cluster_is_not_terminated(desk: Desk) -> None:
    cluster = desk.ready(Instances={**ALIVE, "TerminationProtected": True})
    text = "termination protected"
    desk.refused(service.PROTECTED, "ValidationException", text, "TerminateJobFlows", JobFlowIds=[cluster])
    desk.refused(service.PROTECTED, "ValidationException", "At most 10", "TerminateJobFlows", JobFlowIds=[cluster] * 11)
    desk("SetTerminationProtection", JobFlowIds=[cluster], TerminationProtected=False)
    desk("TerminateJobFlows", JobFlowIds=[cluster])


def test_unknown_ids(desk: Desk, world: World) -> None:
    cluster = desk.ready()
    for operation in ("DescribeCluster", "ListSteps"):
        desk.refused(
            service.UNKNOWN,
            "InvalidRequestException",
            "Cluster id 'j-NONE' is not valid",
            operation,
            ClusterId="j-NONE",
        )
    desk.refused(
        service.UNKNOWN, "InvalidRequestException", "Step id 's-NONE' is not valid", "DescribeStep",
        ClusterId=cluster, StepId="s-NONE",
    )  # fmt: skip
    text = "Specified job flow ID does not exist"
    desk.refused(service.UNKNOWN, "ValidationException", text, "AddJobFlowSteps", JobFlowId="j-NONE", Steps=[step()])
    other = Engine(world, "emr", administrator(world, OTHER))
    assert other("ListClusters")["Clusters"] == []
    with pytest.raises(Exception, match="is not valid"):
        other("DescribeCluster", ClusterId=cluster)


# Steps


def test_a_step_runs(desk: Desk) -> None:
    cluster = desk.ready()
    identifier, spark = desk.running(cluster)
    submission = spark.submission
    assert (submission.script, submission.arguments) == ("s3://bucket/job.py", ("--plan", "p"))
    assert (submission.py_files, submission.role_arn) == (("s3://bucket/a.zip",), INSTANCE_ROLE)
    assert (submission.release.name, submission.release.spark, submission.slots) == ("emr-7.14.0", "3.5.6", 8)
    spark.end()
    desk.wait(1)
    shown = desk.step(cluster, identifier)
    assert shown["Config"]["Args"][0] == "spark-submit"
    assert set(shown["Status"]["Timeline"]) == {"CreationDateTime", "StartDateTime", "EndDateTime"}
    assert (shown["Status"]["State"], shown["ActionOnFailure"]) == ("COMPLETED", "CONTINUE")
    (job,) = desk.world.request_log.jobs("emr")
    assert job.id == identifier


def test_steps_run_one_at_a_time(desk: Desk) -> None:
    cluster = desk.ready()
    identifiers = [desk.add(cluster, name=name) for name in "abc"]
    desk.wait(STARTED)
    states = [desk.state(cluster, each) for each in identifiers]
    assert states == ["RUNNING", "PENDING", "PENDING"]
    desk.spark[-1].end()
    desk.wait(STARTED)
    assert [desk.state(cluster, each) for each in identifiers] == ["COMPLETED", "RUNNING", "PENDING"]
    wide = desk.ready(StepConcurrencyLevel=2)
    identifiers = [desk.add(wide, name=name) for name in "abc"]
    assert [desk.state(wide, each) for each in identifiers] == ["RUNNING", "RUNNING", "PENDING"]


@pytest.mark.parametrize(
    ("action", "others", "cluster_state"),
    [
        ("CONTINUE", "RUNNING", "RUNNING"),
        ("CANCEL_AND_WAIT", "CANCELLED", "WAITING"),
        ("TERMINATE_CLUSTER", "CANCELLED", "TERMINATING"),
    ],
)
def test_what_a_failed_step_does(desk: Desk, action: str, others: str, cluster_state: str) -> None:
    cluster = desk.ready()
    first, spark = desk.running(cluster, ActionOnFailure=action)
    second = desk.add(cluster)
    spark.end("broken")
    desk.wait(1)
    assert (desk.state(cluster, first), desk.state(cluster, second)) == ("FAILED", others)
    assert desk.status(cluster)[0] == cluster_state
    if action == "TERMINATE_CLUSTER":
        desk.wait(100)
        assert desk.status(cluster) == ("TERMINATED_WITH_ERRORS", "STEP_FAILURE")


def test_failure_details(desk: Desk) -> None:
    cluster = desk.ready(LogUri="s3://logs/emr/")
    identifier, spark = desk.running(cluster)
    spark.end("ValueError: no plan")
    desk.wait(1)
    assert desk.step(cluster, identifier)["Status"]["FailureDetails"] == {
        "Reason": "Unknown Error.",
        "Message": "ValueError: no plan",
        "LogFile": f"s3://logs/emr/{cluster}/steps/{identifier}/stderr.gz",
    }


def test_a_planned_failure(desk: Desk) -> None:
    cluster = desk.ready()
    desk.world.faults.add(Fault("emr.AddJobFlowSteps", "job_failure", message="Node lost"))
    assert desk.failed(cluster) == "Node lost"


def test_what_a_step_may_be(desk: Desk) -> None:
    cluster = desk.ready()
    for words, text in (
        (("--extra-py-files", "a.zip", "s3://b/job.py"), "Unrecognized option"),
        (("s3://b/job.jar",), "Python scripts"),
        (("--deploy-mode",), "Missing argument"),
    ):
        assert text in desk.failed(cluster, *words)
    other = {"Name": "x", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": ["bash", "-c", "true"]}}
    (identifier,) = desk("AddJobFlowSteps", JobFlowId=cluster, Steps=[other])["StepIds"]
    desk.wait(STARTED)
    assert desk.state(cluster, identifier) == "FAILED"
    bare = desk.ready(Applications=[{"Name": "Hive"}])
    assert "error=2" in desk.failed(bare)


def test_python_of_a_step(desk: Desk) -> None:
    path, script = "/usr/bin/python3.11", "s3://bucket/job.py"
    cluster = desk.ready()
    master = f"spark.yarn.appMasterEnv.PYSPARK_PYTHON={path}"
    for words, python in (
        ((), "3.9"),
        (("--conf", f"spark.pyspark.python={path}"), "3.11"),
        (("--deploy-mode", "cluster", "--conf", master), "3.11"),
        (("--conf", master), "3.9"),
    ):
        _, spark = desk.running(cluster, *words, script)
        assert spark.submission.release.python == python
        assert path not in spark.submission.conf.get("spark.pyspark.python", "")
        spark.end()
        desk.wait(1)
    assert "MISMATCH" in desk.failed(cluster, "--conf", f"spark.executorEnv.PYSPARK_PYTHON={path}", script)
    export = {"Classification": "export", "Properties": {"PYSPARK_PYTHON": path}}
    exporting = desk.ready(Configurations=[{"Classification": "spark-env", "Configurations": [export]}])
    _, spark = desk.running(exporting)
    assert (spark.submission.release.python, spark.submission.release.boto3) == ("3.11", False)


def test_which_clusters_take_steps(desk: Desk) -> None:
    cluster = desk.run()
    desk.add(cluster)
    desk("TerminateJobFlows", JobFlowIds=[cluster])
    text = "A job flow that is shutting down, terminated, or finished may not be modified"
    desk.refused(service.STEPS_TAKEN, "ValidationException", text, "AddJobFlowSteps", JobFlowId=cluster, Steps=[step()])


def test_256_steps(desk: Desk) -> None:
    cluster = desk.run()
    desk("AddJobFlowSteps", JobFlowId=cluster, Steps=[step()] * 256)
    request = {"JobFlowId": cluster, "Steps": [step()]}
    text = "Maximum number of active steps"
    desk.refused(service.STEP_COUNT, "ValidationException", text, "AddJobFlowSteps", **request)
    desk.wait(READY)
    desk.spark[-1].end()
    desk.wait(1)
    desk("AddJobFlowSteps", **request)
    many = desk.request(Steps=[step()] * 257)
    desk.refused(service.STEP_COUNT, "ValidationException", "256", "RunJobFlow", **many)


def test_10240_characters(desk: Desk) -> None:
    cluster = desk.run()
    fixed = len("command-runner.jar") + len("spark-submit") + len("s3://b/job.py")
    desk.add(cluster, "s3://b/job.py", "x" * (10_240 - fixed))
    steps = [step("s3://b/job.py", "x" * (10_241 - fixed))]
    text = "10240 characters"
    desk.refused(service.STEP_SIZE, "ValidationException", text, "AddJobFlowSteps", JobFlowId=cluster, Steps=steps)


def test_steps_are_listed(desk: Desk) -> None:
    cluster = desk.run()
    ids = desk("AddJobFlowSteps", JobFlowId=cluster, Steps=[step(name=str(n)) for n in range(52)])["StepIds"]
    first = desk("ListSteps", ClusterId=cluster)
    second = desk("ListSteps", ClusterId=cluster, Marker=first["Marker"])
    assert [each["Id"] for each in (*first["Steps"], *second["Steps"])] == ids[::-1]
    assert (len(first["Steps"]), "Marker" in second) == (50, False)
    assert [each["Id"] for each in desk("ListSteps", ClusterId=cluster, StepIds=ids[3:5])["Steps"]] == ids[3:5]
    assert [each["Id"] for each in desk("ListSteps", ClusterId=cluster, StepStates=["PENDING"])["Steps"]] == ids[:50]
    text = "At most 10"
    desk.refused(
        service.STEPS_LISTED, "InvalidRequestException", text, "ListSteps", ClusterId=cluster, StepIds=ids[:11]
    )


def test_steps_are_cancelled(desk: Desk) -> None:
    cluster = desk.ready()
    first, spark = desk.running(cluster)
    second, third = desk.add(cluster), desk.add(cluster)
    answers = desk("CancelSteps", ClusterId=cluster, StepIds=[first, second])["CancelStepsInfoList"]
    assert [each["Status"] for each in answers] == ["SUBMITTED", "SUBMITTED"]
    states = [desk.state(cluster, each) for each in (first, second, third)]
    assert (states, spark.stopped) == (["CANCEL_PENDING", "CANCELLED", "PENDING"], True)
    desk.wait(STARTED)
    assert [desk.state(cluster, each) for each in (first, third)] == ["CANCELLED", "RUNNING"]
    (answer,) = desk("CancelSteps", ClusterId=cluster, StepIds=[first])["CancelStepsInfoList"]
    assert answer["Status"] == "FAILED"


def test_runtime_roles_are_asked_for_or_refused(desk: Desk) -> None:
    desk("CreateSecurityConfiguration", Name="runtime", SecurityConfiguration=RUNTIME)
    assert desk("DescribeSecurityConfiguration", Name="runtime")["SecurityConfiguration"] == RUNTIME
    with_roles, without = desk.run(SecurityConfiguration="runtime"), desk.run()
    text = "Runtime roles are required for this cluster"
    request = {"JobFlowId": with_roles, "Steps": [step()]}
    desk.refused(service.RUNTIME_ROLES, "ValidationException", text, "AddJobFlowSteps", **request)
    text = "Runtime roles are not supported on this cluster"
    request = {"JobFlowId": without, "Steps": [step()], "ExecutionRoleArn": INSTANCE_ROLE}
    desk.refused(service.RUNTIME_ROLES, "ValidationException", text, "AddJobFlowSteps", **request)
    asked = desk.request(Steps=[step()], StepExecutionRoleArn=INSTANCE_ROLE)
    desk.refused(service.RUNTIME_ROLES, "ValidationException", text, "RunJobFlow", **asked)
    taken = desk.run(Steps=[step()], StepExecutionRoleArn=INSTANCE_ROLE, SecurityConfiguration="runtime")
    (begun,) = desk("ListSteps", ClusterId=taken)["Steps"]
    assert desk.step(taken, begun["Id"])["ExecutionRoleArn"] == INSTANCE_ROLE
    desk("DeleteSecurityConfiguration", Name="runtime")
    with pytest.raises(Exception, match="does not exist"):
        desk.run(SecurityConfiguration="runtime")


def test_a_runtime_role_is_assumed_by_the_instances(desk: Desk) -> None:
    desk("CreateSecurityConfiguration", Name="runtime", SecurityConfiguration=RUNTIME)
    cluster = desk.ready(SecurityConfiguration="runtime")
    statement = {"Effect": "Allow", "Principal": {"AWS": INSTANCE_ROLE}, "Action": ["sts:AssumeRole", "sts:TagSession"]}
    identity = desk.world.identity
    for account, name, document in (
        (ACCOUNT, "good", policy(statement)),
        (OTHER, "foreign", policy(statement)),
        (ACCOUNT, "untagged", policy({**statement, "Action": "sts:AssumeRole"})),
        (ACCOUNT, "deaf", trust(lives.INSTANCES)),
    ):
        identity.add_role(account, name, document)
    good, foreign = f"arn:aws:iam::{ACCOUNT}:role/good", f"arn:aws:iam::{OTHER}:role/foreign"
    assert "sts:AssumeRole" in desk.failed(cluster, role=good)
    allowed = allow("sts:AssumeRole", "sts:TagSession", resource="arn:aws:iam::*:role/*")
    identity.roles[ACCOUNT, "emr-instances"].inline["assume"] = policy(allowed)
    for role in (good, foreign):
        identifier, spark = desk.running(cluster, role=role)
        assert (spark.submission.role_arn, desk.step(cluster, identifier)["ExecutionRoleArn"]) == (role, role)
        spark.end()
        desk.wait(1)
    for name in ("untagged", "deaf", "missing"):
        assert "sts:AssumeRole" in desk.failed(cluster, role=f"arn:aws:iam::{ACCOUNT}:role/{name}")


def test_permissions_are_on_the_cluster(desk: Desk) -> None:
    desk("CreateSecurityConfiguration", Name="runtime", SecurityConfiguration=RUNTIME)
    cluster = desk.ready(SecurityConfiguration="runtime")
    arn = f"arn:aws:elasticmapreduce:{REGION}:{ACCOUNT}:cluster/{cluster}"
    condition = {"StringEquals": {"elasticmapreduce:ExecutionRoleArn": INSTANCE_ROLE}}
    user = desk.as_user(
        allow("elasticmapreduce:AddJobFlowSteps", resource=arn, Condition=condition),
        allow("elasticmapreduce:ListSteps", resource=arn),
    )
    user("AddJobFlowSteps", JobFlowId=cluster, Steps=[step()], ExecutionRoleArn=INSTANCE_ROLE)
    user("ListSteps", ClusterId=cluster)
    with pytest.raises(Exception, match="elasticmapreduce:AddJobFlowSteps"):
        user("AddJobFlowSteps", JobFlowId=cluster, Steps=[step()], ExecutionRoleArn=SERVICE_ROLE)
    with pytest.raises(Exception, match="elasticmapreduce:TerminateJobFlows"):
        user("TerminateJobFlows", JobFlowIds=[cluster])


def test_rates(desk: Desk) -> None:
    cluster = desk.run()
    desk.world.throttles.enabled = True
    for _ in range(10):
        desk("ListSteps", ClusterId=cluster)
    desk.refused(service.THROTTLED, "ThrottlingException", "Rate exceeded", "ListSteps", ClusterId=cluster)
    desk.wait(2)
    desk("ListSteps", ClusterId=cluster)
    desk.wait(60)
    for _ in range(20):
        desk("ListClusters")
    for _ in range(5):
        desk("DescribeCluster", ClusterId=cluster)
    desk.refused(
        service.THROTTLED, "ThrottlingException", "Rate exceeded", "DescribeStep", ClusterId=cluster, StepId="s"
    )


def test_calls_over_http(desk: Desk) -> None:
    with LabServer(desk.world) as server:
        key = desk.world.identity.add_administrator(ACCOUNT, "http")
        client = boto3.client(
            "emr", endpoint_url=server.endpoint_url, region_name=REGION, aws_access_key_id=key.id,
            aws_secret_access_key=key.secret, config=Config(retries={"max_attempts": 0}),
        )  # fmt: skip
        cluster = client.run_job_flow(**desk.request(Steps=[step()]))["JobFlowId"]
        (shown,) = client.list_clusters(ClusterStates=["STARTING"])["Clusters"]
        assert (shown["Id"], shown["Status"]["State"]) == (cluster, "STARTING")
        (first,) = client.list_steps(ClusterId=cluster)["Steps"]
        assert first["Status"]["State"] == "PENDING"
        client.terminate_job_flows(JobFlowIds=[cluster])
        with pytest.raises(ClientError) as refused:
            client.describe_cluster(ClusterId="j-NONE")
        assert refused.value.response["Error"]["Code"] == "InvalidRequestException"
        with pytest.raises(ClientError) as refused:
            client.run_job_flow(**desk.request(Name="n" * 257))
        assert refused.value.response["Error"]["Code"] == "ValidationException"
