# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spark jobs of a history: what the job does, as events of the world. The engines, their runs and states are the lab's.

A run writes a batch in so many seconds, into the table that its plan names only, and a result for each file.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Iterator, Mapping
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.spark.permissions import ROLE
from ansible_collections.tableferry.aws.plugins.module_utils.spark.driver import read_arguments
from ansible_collections.tableferry.aws.plugins.module_utils.spark.files import FileResult
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from lab.landscape import DESTINATION
from lab.request_log import StartedJob
from lab.spark.runs import OnEnd, Outcome, Submission, spark_runs
from tests.unit.lab.spark_fakes import FakeRun
from tests.unit.on_lab.staged import BUCKET, Staged

ENDED = ("SUCCESS", "FAILED", "CANCELLED")
SPARK_JOBS = {"glue": "spark_job", "emr": "spark_job"}  # kinds of a record, by those of AWS's jobs
BEGINS, PAGE = 4.0, 3  # seconds until a job begins, items of a batch
# Seconds between batches: of some histories a run lasts longer than it takes until its intention could be closed.
STEPS = (1.0, 1.0, 60.0, 500.0)


class WorldRun(FakeRun):
    """A run by the world's clock."""

    def __init__(self, aws: Staged, step: float, submission: Submission, on_end: OnEnd) -> None:
        super().__init__(submission, on_end)
        self._aws, self._step = aws, step
        self._steps = self._work()
        aws.world.schedule(BEGINS, self._go_on)

    def _go_on(self) -> None:
        if self.stopped:
            return
        try:
            next(self._steps)
        except StopIteration:
            self._on_end(Outcome("succeeded", "", 1.0))
        except Exception as error:
            self._on_end(Outcome("failed", repr(error), 1.0))
        else:
            self._aws.world.schedule(self._step, self._go_on)

    def _work(self) -> Iterator[None]:
        objects, tables = (self._aws.client(name, "destination") for name in ("s3", "dynamodb"))
        asked = read_arguments(self.submission.arguments)
        bucket, _slash, key = asked.plan.removeprefix("s3://").partition("/")

        def read(key: str) -> bytes:
            body: bytes = objects.get_object(Bucket=bucket, Key=key)["Body"].read()
            return body

        plan = JobPlan.from_json(read(key))
        begun = {"run": asked.run, "plan": key, "engine_run": asked.engine_run}
        objects.put_object(Bucket=bucket, Key=plan.started_key, Body=json.dumps(begun).encode())
        listed = objects.list_objects_v2(Bucket=bucket, Prefix=plan.results_prefix).get("Contents", ())
        there = {each["Key"] for each in listed}
        for file in plan.files:
            if plan.result_key(file) in there:
                continue
            items = [json.loads(line)["Item"] for line in gzip.decompress(read(file.key)).splitlines() if line]
            for start in range(0, len(items), PAGE):
                self._require_same(tables, plan)
                puts: list[dict[str, Any]] = [{"PutRequest": {"Item": item}} for item in items[start : start + PAGE]]
                tables.batch_write_item(RequestItems={plan.table: puts})
                yield
            result = FileResult(file.key, read=len(items), written=len(items))
            objects.put_object(Bucket=bucket, Key=plan.result_key(file), Body=json.dumps(result.to_json()).encode())

    @staticmethod
    def _require_same(tables: Any, plan: JobPlan) -> None:
        if tables.describe_table(TableName=plan.table)["Table"]["TableId"] != plan.table_id:
            raise RuntimeError(f"{plan.table} is another table now")


def _described(aws: Staged, job: StartedJob) -> Mapping[str, Any]:
    if job.kind == "glue":
        glue = aws.client("glue", "destination")
        for name in (each["Name"] for each in glue.get_jobs()["Jobs"]):
            for run in glue.get_job_runs(JobName=name)["JobRuns"]:
                if run["Id"] == job.id:
                    return {
                        "state": run["JobRunState"],
                        "ended": run.get("CompletedOn"),
                        "run": run["Arguments"]["--run"],
                    }
        raise LookupError(job.id)
    application, run_id = job.id.split("/")[-3], job.id.split("/")[-1]
    run = aws.client("emr-serverless", "destination").get_job_run(applicationId=application, jobRunId=run_id)["jobRun"]
    ended = run.get("endedAt") or (run["updatedAt"] if run["state"] in ENDED else None)
    return {"state": run["state"], "ended": ended, "run": run["name"].removeprefix("tableferry-")}


def plan_of(aws: Staged, job: StartedJob) -> JobPlan:
    """What a run is to do, as it was when the run began."""
    plans: dict[str, JobPlan] = aws.__dict__.setdefault("plans", {})
    if job.id not in plans:
        objects, token = aws.client("s3", "destination"), _described(aws, job)["run"]
        listed = objects.list_objects_v2(Bucket=BUCKET, Prefix="tableferry/spark/")["Contents"]
        (key,) = (each["Key"] for each in listed if each["Key"].endswith(f"/runs/{token}/plan.json"))
        plans[job.id] = JobPlan.from_json(objects.get_object(Bucket=BUCKET, Key=key)["Body"].read())
    return plans[job.id]


def outcome_of(aws: Staged, job: StartedJob) -> tuple[float | None, bool]:
    """When a run ended, and whether it counts: one that has failed may be followed by another."""
    found = _described(aws, job)
    ended = found["ended"]
    return (ended.timestamp() if ended is not None else None), found["state"] in ("SUCCEEDED", "SUCCESS")


def add_spark(aws: Staged, step: float) -> None:
    """The job's role, and a Spark whose runs are events of the world, with so many seconds between two batches."""
    services = ["glue.amazonaws.com", "emr-serverless.amazonaws.com"]
    trust = {"Effect": "Allow", "Principal": {"Service": services}, "Action": "sts:AssumeRole"}
    aws.world.identity.add_role(DESTINATION, ROLE, json.dumps({"Version": "2012-10-17", "Statement": [trust]}))
    aws.world.advance(20)

    def submit(submission: Submission, on_end: OnEnd) -> WorldRun:
        return WorldRun(aws, step, submission, on_end)

    spark_runs(aws.world).submit = submit  # type: ignore[method-assign, assignment]
