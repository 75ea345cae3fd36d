# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs of the lab's Glue and EMR Serverless that run the package, started by boto3 as a user would."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.spark.files import FileResult
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package, script
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from lab.landscape import DESTINATION
from tests.unit.lab.spark.conftest import allowing, trusting
from tests.unit.on_lab.conftest import BUCKET, Crossing

CODE = "tableferry/spark/code/"
PYTHON_3_11 = "--conf spark.emr-serverless.driverEnv.PYSPARK_PYTHON=/usr/bin/python3.11"
SMALL = (
    "--conf spark.driver.cores=1 --conf spark.driver.memory=2G --conf spark.executor.cores=2 "
    "--conf spark.executor.memory=4G --conf spark.executor.instances=1 --conf spark.dynamicAllocation.enabled=false"
)
SECONDS = 300  # of real time, after which a job hangs
NEEDED = (
    "s3:GetObject", "s3:PutObject", "s3:ListBucket", "dynamodb:DescribeTable", "dynamodb:BatchWriteItem",
    "dynamodb:PutItem",
)  # fmt: skip


@dataclass(frozen=True)
class Ended:
    """How a job ended, in the engine's words."""

    state: str
    message: str


def delivered(crossing: Crossing, package: Package) -> tuple[str, str]:
    """The URIs of script and package in the staging bucket."""
    names = {f"{CODE}script.py": script(), f"{CODE}{package.name}": package.content}
    for key, content in names.items():
        crossing.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
    first, second = (f"s3://{BUCKET}/{key}" for key in names)
    return first, second


def planned(crossing: Crossing, plan: JobPlan) -> str:
    """The URI of the plan, which lies in the bucket then."""
    key = f"{plan.prefix}plans/{plan.run}.json"
    crossing.s3.put_object(Bucket=BUCKET, Key=key, Body=plan.to_json())
    return f"s3://{BUCKET}/{key}"


def role_for(crossing: Crossing, service: str) -> str:
    """The ARN of the role of the jobs of ``service``, old enough to be assumed."""
    identity, name = crossing.lab.world.identity, f"spark-{service.partition('.')[0]}"
    role = identity.role_by_arn(f"arn:aws:iam::{DESTINATION}:role/{name}")
    if role is None:
        role = identity.add_role(DESTINATION, name, trusting(service))
        role.inline["job"] = allowing(*NEEDED)
        crossing.lab.advance(60)
    return role.arn


class GlueRun:
    """A run of a job of its own on AWS Glue."""

    def __init__(self, crossing: Crossing, version: str, package: Package, plan: JobPlan) -> None:
        self._crossing, self._name = crossing, f"ferry-{plan.run}"
        self._glue = crossing.lab.client("glue", "destination")
        code, zipped = delivered(crossing, package)
        self._glue.create_job(
            Name=self._name,
            Role=role_for(crossing, "glue.amazonaws.com"),
            Command={"Name": "glueetl", "ScriptLocation": code, "PythonVersion": "3"},
            GlueVersion=version,
            WorkerType="G.1X",
            NumberOfWorkers=2,
            DefaultArguments={"--extra-py-files": zipped, "--TempDir": f"s3://{BUCKET}/tableferry/spark/temp/"},
        )
        arguments = {"--plan": planned(crossing, plan), "--run": plan.run}
        self._id = self._glue.start_job_run(JobName=self._name, Arguments=arguments)["JobRunId"]

    def stop(self) -> None:
        """Stop it by hand, which kills its processes."""
        self._glue.batch_stop_job_run(JobName=self._name, JobRunIds=[self._id])

    def ended(self) -> Ended:
        """Its end."""

        def ask() -> Ended:
            run = self._glue.get_job_run(JobName=self._name, RunId=self._id)["JobRun"]
            return Ended(run["JobRunState"], run.get("ErrorMessage", ""))

        return at_the_end(self._crossing, ask, ["SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR"])


def emr_run(crossing: Crossing, release: str, package: Package, plan: JobPlan, parameters: str = "") -> Ended:
    """The end of a run on EMR Serverless, with ``parameters`` of spark-submit besides the usual ones."""
    emr = crossing.lab.client("emr-serverless", "destination")
    code, zipped = delivered(crossing, package)
    role = role_for(crossing, "emr-serverless.amazonaws.com")
    application = emr.create_application(name=f"ferry-{plan.run}", releaseLabel=release, type="SPARK")["applicationId"]
    crossing.lab.advance(60)
    driver = {
        "entryPoint": code,
        "entryPointArguments": ["--plan", planned(crossing, plan), "--run", plan.run],
        "sparkSubmitParameters": f"{SMALL} --conf spark.submit.pyFiles={zipped} {parameters}".strip(),
    }
    run_id = emr.start_job_run(
        applicationId=application, executionRoleArn=role, jobDriver={"sparkSubmit": driver}, name=plan.run
    )["jobRunId"]

    def ask() -> Ended:
        run = emr.get_job_run(applicationId=application, jobRunId=run_id)["jobRun"]
        return Ended(run["state"], run["stateDetails"])

    return at_the_end(crossing, ask, ["SUCCESS", "FAILED", "CANCELLED"])


def at_the_end(crossing: Crossing, ask: Callable[[], Ended], states: Sequence[str]) -> Ended:
    """What ``ask`` answers when its state is one of ``states``; the lab's time goes on, and waits for jobs."""
    end = time.monotonic() + SECONDS
    while (answer := ask()).state not in states:
        assert time.monotonic() < end, answer
        crossing.lab.advance(10)
        time.sleep(0.05)
    return answer


def results(crossing: Crossing, plan: JobPlan) -> dict[str, FileResult]:
    """The results of files so far, by the keys of the files."""
    pages = crossing.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=plan.results_prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ()) if each["Key"] != plan.collisions_key]
    bodies = [crossing.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read() for key in keys]
    return {result.key: result for result in (FileResult.from_json(json.loads(body)) for body in bodies)}


def added_up(found: dict[str, FileResult]) -> dict[str, Any]:
    """The counts of all files."""
    counts: dict[str, Any] = dict.fromkeys(("read", "added", "written"), 0)
    counts |= {"kept_out": {}, "refused": {}}
    for result in found.values():
        assert result.balanced and not result.rejected
        for name in ("read", "added", "written"):
            counts[name] += getattr(result, name)
        for name in ("kept_out", "refused"):
            for step, count in getattr(result, name).items():
                counts[name][int(step)] = counts[name].get(int(step), 0) + count
    return counts
