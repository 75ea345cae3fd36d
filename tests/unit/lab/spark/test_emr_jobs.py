# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Job runs of the lab's EMR Serverless and steps of its EMR as boto3 sees them, with a real Spark."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.client import RunningLab
from lab.identity import Role
from lab.landscape import DESTINATION
from lab.spark.emr_releases import BOTO3
from lab.spark.engine import python
from tests.unit.lab.spark.conftest import BUCKET, allowing, trusting

Put = Callable[[str, bytes | str], str]
PYTHON = "/usr/bin/python3.11"
SMALL = (
    "--conf spark.driver.cores=1 --conf spark.driver.memory=2G --conf spark.executor.cores=2 "
    "--conf spark.executor.memory=4G --conf spark.executor.instances=1 --conf spark.dynamicAllocation.enabled=false"
)
BARE = """
import sys
if sys.version_info < (3, 11):
    sys.exit("This job needs Python 3.11")
from pyspark import SparkContext

def found(name):
    try:
        __import__(name)
    except ImportError:
        return []
    return [name]

context = SparkContext()
both = context.parallelize(["boto3", "msgspec"], 2).flatMap(found).collect() + found("boto3")
if both or sys.argv[1:] != ["--run", "a b"]:
    raise ValueError(f"{both} {sys.argv}")
"""
WRITES = f"""
import sys
import boto3
from pyspark import SparkContext
total = SparkContext().parallelize([1, 2, 3]).sum()
boto3.client("s3").put_object(Bucket="{BUCKET}", Key=sys.argv[1], Body=str(total).encode())
"""


def wait_for(ask: Callable[[], dict[str, Any]], ended: set[str]) -> dict[str, Any]:
    """What ``ask`` answers once its ``state`` is one of ``ended``."""
    end = time.monotonic() + 240
    while time.monotonic() < end:
        answer = ask()
        if answer.get("state", answer.get("State")) in ended:
            return answer
        time.sleep(0.1)
    raise AssertionError(f"The run did not end: {ask()}")


@pytest.fixture
def role(lab: RunningLab) -> Role:
    """The role of runs on EMR Serverless, which may read and write objects."""
    made = lab.world.identity.add_role(DESTINATION, "emr-job", trusting("emr-serverless.amazonaws.com"))
    made.inline["objects"] = allowing("s3:GetObject", "s3:PutObject")
    lab.advance(60)
    return made


def run_of(
    lab: RunningLab, role: Role, script: str, parameters: str, release: str = "emr-7.14.0", **members: Any
) -> dict[str, Any]:
    """A run of a new application, when it has ended."""
    emr = lab.client("emr-serverless", "destination")
    made = emr.create_application(name="ferry", releaseLabel=release, type="SPARK")["applicationId"]
    lab.advance(60)
    driver = {"entryPoint": script, "entryPointArguments": ["--run", "a b"], "sparkSubmitParameters": parameters}
    run_id = emr.start_job_run(
        applicationId=made, executionRoleArn=role.arn, jobDriver={"sparkSubmit": driver}, name="run", **members
    )["jobRunId"]
    lab.advance(60)
    return wait_for(
        lambda: emr.get_job_run(applicationId=made, jobRunId=run_id)["jobRun"], {"SUCCESS", "FAILED", "CANCELLED"}
    )


@pytest.mark.usefixtures("spark")
def test_a_run_finds_what_the_release_has(lab: RunningLab, role: Role, put: Put) -> None:
    parameters = f"{SMALL} --conf spark.emr-serverless.driverEnv.PYSPARK_PYTHON={PYTHON}"
    run = run_of(lab, role, put("code/job.py", BARE), parameters)
    assert (run["state"], run["attempt"]) == ("SUCCESS", 1), run["stateDetails"]
    assert run["billedResourceUtilization"]["vCPUHour"] >= 0.05
    assert lab.state()["event_errors"] == []


@pytest.mark.usefixtures("spark")
def test_the_default_python_is_too_old(lab: RunningLab, role: Role, put: Put) -> None:
    if not python("3.9"):
        pytest.skip("Python 3.9 not found on this machine")
    run = run_of(lab, role, put("code/job.py", BARE), SMALL)
    assert run["state"] == "FAILED"
    assert "This job needs Python 3.11" in run["stateDetails"]


@pytest.mark.usefixtures("spark_4")
def test_a_run_on_the_newer_spark(lab: RunningLab, role: Role, put: Put) -> None:
    if not python("3.12"):
        pytest.skip("Python 3.12 not found on this machine")
    run = run_of(lab, role, put("code/job.py", BARE), SMALL, "emr-spark-8.1.0")
    assert (run["state"], run["releaseLabel"]) == ("SUCCESS", "emr-spark-8.1.0"), run["stateDetails"]


@pytest.mark.usefixtures("spark")
def test_an_execution_policy_that_is_too_narrow(lab: RunningLab, role: Role, put: Put) -> None:
    narrow = allowing("s3:*", resource=f"arn:aws:s3:::{BUCKET}/plans/*")
    run = run_of(lab, role, put("code/job.py", BARE), SMALL, executionIamPolicy={"policy": narrow})
    assert run["state"] == "FAILED"
    assert run["stateDetails"].startswith("S3 access is denied.")


@pytest.mark.usefixtures("spark")
def test_a_step_writes_under_the_role_of_the_instances(lab: RunningLab, put: Put) -> None:
    lab.world.behaviours.choose(BOTO3, "present")
    lab.world.identity.add_role(DESTINATION, "emr-service", trusting("elasticmapreduce.amazonaws.com"))
    instances = lab.world.identity.add_role(DESTINATION, "emr-instances", trusting("ec2.amazonaws.com"))
    instances.inline["objects"] = allowing("s3:GetObject", "s3:PutObject")
    iam, emr = lab.client("iam", "destination"), lab.client("emr", "destination")
    iam.create_instance_profile(InstanceProfileName="emr")
    iam.add_role_to_instance_profile(InstanceProfileName="emr", RoleName="emr-instances")
    lab.advance(60)
    conf = ["--conf", f"spark.pyspark.python={PYTHON}", "--num-executors", "1", "--executor-cores", "2"]
    arguments = ["spark-submit", *conf, put("code/job.py", WRITES), "out/total"]
    cluster = emr.run_job_flow(
        Name="ferry",
        ReleaseLabel="emr-7.14.0",
        JobFlowRole="emr",
        ServiceRole="emr-service",
        Applications=[{"Name": "Spark"}],
        Instances={"MasterInstanceType": "m5.xlarge", "InstanceCount": 2, "KeepJobFlowAliveWhenNoSteps": False},
        Steps=[{"Name": "a", "HadoopJarStep": {"Jar": "command-runner.jar", "Args": arguments}}],
    )["JobFlowId"]
    lab.advance(300)

    def status() -> dict[str, Any]:
        answer: dict[str, Any] = emr.list_steps(ClusterId=cluster)["Steps"][0]["Status"]
        return answer

    step = wait_for(status, {"COMPLETED", "FAILED", "CANCELLED"})
    assert step["State"] == "COMPLETED", step
    assert lab.client("s3", "destination").get_object(Bucket=BUCKET, Key="out/total")["Body"].read() == b"6"
    lab.advance(120)
    ended = emr.describe_cluster(ClusterId=cluster)["Cluster"]["Status"]
    assert (ended["State"], ended["StateChangeReason"]["Code"]) == ("TERMINATED", "ALL_STEPS_COMPLETED")
    assert lab.state()["event_errors"] == []
