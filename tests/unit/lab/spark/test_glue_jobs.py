# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of the lab's Glue as boto3 sees them, with a real Spark."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from lab.client import RunningLab
from lab.identity import Role
from lab.services.glue_runs import ENDED
from tests.unit.lab.spark.conftest import BUCKET, allowing

Put = Callable[[str, bytes | str], str]
SCRIPT = f"""
import argparse
import boto3
from pyspark import SparkContext

parser = argparse.ArgumentParser(allow_abbrev=False)
parser.add_argument("--key", required=True)
key = parser.parse_known_args()[0].key
total = SparkContext().parallelize([1, 2, 3]).sum()
boto3.client("s3").put_object(Bucket="{BUCKET}", Key=key, Body=str(total).encode())
"""


def run_of(lab: RunningLab, role: Role, script: str, **params: Any) -> dict[str, Any]:
    """A run of a new job, when it has ended."""
    glue = lab.client("glue", "destination")
    glue.create_job(
        Name="ferry",
        Role=role.arn,
        Command={"Name": "glueetl", "ScriptLocation": script, "PythonVersion": "3"},
        GlueVersion="5.1",
        WorkerType="G.1X",
        NumberOfWorkers=2,
        DefaultArguments={"--TempDir": f"s3://{BUCKET}/temp/"},
    )
    run_id = glue.start_job_run(JobName="ferry", **params)["JobRunId"]
    lab.advance(60)
    end = time.monotonic() + 240
    while time.monotonic() < end:
        run: dict[str, Any] = glue.get_job_run(JobName="ferry", RunId=run_id)["JobRun"]
        if run["JobRunState"] in ENDED:
            return run
        time.sleep(0.1)
    raise AssertionError("The run did not end.")


def keys(lab: RunningLab, prefix: str) -> list[str]:
    listed = lab.client("s3", "destination").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return [each["Key"] for each in listed.get("Contents", ())]


@pytest.mark.usefixtures("spark")
def test_a_run_writes_under_the_role_of_its_job(lab: RunningLab, role: Role, put: Put) -> None:
    run = run_of(lab, role, put("code/job.py", SCRIPT), Arguments={"--key": "out/total"})
    assert (run["JobRunState"], run.get("ErrorMessage")) == ("SUCCEEDED", None)
    written = lab.client("s3", "destination").get_object(Bucket=BUCKET, Key="out/total")["Body"].read()
    assert written == b"6"
    session = f"arn:aws:sts::{role.account_id}:assumed-role/{role.name}/GlueJobRunnerSession"
    assert session in [call["principal_arn"] for call in lab.calls("PutObject")]
    assert lab.state()["event_errors"] == []


@pytest.mark.usefixtures("spark")
def test_a_run_whose_session_policy_is_too_narrow(lab: RunningLab, role: Role, put: Put) -> None:
    narrow = allowing("s3:*", resource=f"arn:aws:s3:::{BUCKET}/code/*")
    script = put("code/job.py", SCRIPT)
    run = run_of(lab, role, script, Arguments={"--key": "out/total"}, ExecutionRoleSessionPolicy=narrow)
    assert run["JobRunState"] == "FAILED"
    assert "(AccessDenied) when calling the PutObject operation" in run["ErrorMessage"]
    assert keys(lab, "out/") == []


def test_a_script_that_the_role_may_not_read(lab: RunningLab, role: Role, put: Put) -> None:
    role.inline["objects"] = allowing("s3:PutObject")
    run = run_of(lab, role, put("code/job.py", SCRIPT))
    assert run["JobRunState"] == "FAILED"
    assert run["ErrorMessage"].startswith(
        f"LAUNCH ERROR | Error downloading from S3 for bucket: {BUCKET}, key: code/job.py. "
    )
