# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Spark job on AWS Glue (spark.md 2): one job for each migration, role and package, one run for each table.

A job is never changed: another package or role makes another one. StartJobRun takes no token, so a run whose answer was
lost is found by the run's token in its arguments.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, ClassVar

from ... import aws_errors, sdk
from ...account import Account
from ...errors import NotOurs
from ...jobs.job import State
from ...jobs.kind import Page
from ...jobs.token import canonical
from ...record.intention import NO_TOKEN, Window
from .engine import MIGRATION_TAG, NAME, SLACK, Found, Request, RunStatus, Started, Submission, answered

RELEASE = "5.1"  # Spark 3.5.6 on Python 3.11; always sent, as AWS's documents differ about the default
WORKER_TYPE = "G.1X"  # 4 task slots an executor
AT_ONCE = 500  # runs of one job: 1,000 DPUs are an account's in large Regions
MINUTES = 2880  # after which AWS stops a run; the default of 480 is too short for the largest tables
PAGE = 200
STATES: Mapping[str, State] = {
    "SUCCEEDED": "completed",
    "FAILED": "failed",
    "TIMEOUT": "failed",
    "ERROR": "failed",
    "EXPIRED": "failed",
    "STOPPED": "cancelled",
}


class Glue:
    """AWS Glue."""

    name: ClassVar[str] = "glue"
    noun: ClassVar[str] = "job run of AWS Glue"
    window: ClassVar[Window] = NO_TOKEN

    def fitted(self, account: Account, submission: Submission) -> Submission:
        """As it is: the job is ours."""
        return submission

    def place(self, account: Account, submission: Submission, *, make: bool = True) -> str:
        """The job's name; the job is made where there is none. Raises NotOurs for one that somebody else has made, or
        has changed."""
        definition = self._definition(submission)
        digest = hashlib.sha256(canonical(definition).encode()).hexdigest()[:12]
        name = f"{NAME}-{submission.migration_id}-{digest}"
        there = _job(account, name)
        if there is None:
            if not make:
                return ""
            try:
                account.client("glue").create_job(Name=name, Tags=dict(submission.tags), **definition)
            except sdk.ClientError as error:
                if sdk.error_code(error) not in aws_errors.GLUE_JOB_THERE:
                    raise
                there = _job(account, name)  # another controller's, whose user may want other tags
                if there is None:
                    raise
            else:
                return name
        if not _is_ours(account, name, submission.migration_id):
            raise NotOurs(
                f"The Glue job {name} has not the tag {MIGRATION_TAG} of this migration: somebody else has made it.",
                "Delete it, or give it the tag; or set another migration_id. Then run again.",
                details={"job": name},
            )
        if _differs(there, definition):
            raise NotOurs(
                f"The Glue job {name} was changed: its role, script or package is another one.",
                "Delete the job, which is made again, and run again.",
                details={"job": name},
            )
        return name

    def _definition(self, submission: Submission) -> dict[str, Any]:
        return {
            "Role": submission.role_arn,
            "Command": {"Name": "glueetl", "ScriptLocation": submission.script, "PythonVersion": "3"},
            "GlueVersion": submission.choices.release or RELEASE,
            "ExecutionProperty": {"MaxConcurrentRuns": AT_ONCE},
            "MaxRetries": 0,  # a run again is a decision of ours: it costs
            # Without TempDir AWS makes a bucket that "might permit public access" (spark.md 2).
            "DefaultArguments": {
                "--extra-py-files": submission.package,
                "--TempDir": f"{submission.script.rpartition('/')[0]}/temp/",
            },
        }

    def request(self, submission: Submission, scope: str) -> Request:
        """StartJobRun of the job ``scope``."""
        choices, arguments = submission.choices, submission.arguments
        call = {
            "JobName": scope,
            "Arguments": dict(zip(arguments[::2], arguments[1::2], strict=True)),
            "WorkerType": choices.worker_type or WORKER_TYPE,
            "NumberOfWorkers": choices.workers,
            "Timeout": MINUTES,
            "ExecutionClass": "STANDARD",
            "JobRunQueuingEnabled": False,  # the waiter queues: it knows which table comes next
            "ExecutionRoleSessionPolicy": submission.policy,
        }
        return Request(self.name, scope, submission.run, call)

    def begin(self, account: Account, request: Request) -> str:
        """StartJobRun; ConcurrentRunsExceededException is a full quota."""
        return str(account.client("glue", retries=0).start_job_run(**request.call)["JobRunId"])

    def find(self, account: Account, request: Request, since: datetime, started: Callable[[], Started | None]) -> Found:
        """By the token in the arguments. Where AWS lists runs without their arguments, as it did for some jobs
        (boto3#3506), by the id that the job wrote; without one a run that has not ended may be it."""
        nameless: list[Mapping[str, Any]] = []
        for run in self._runs(account, request.scope):
            if run["StartedOn"] < since - SLACK:
                break
            arguments = run.get("Arguments")
            if not arguments:
                nameless.append(run)
            elif arguments.get("--run") == request.run:
                return Found(run["Id"])
        if not nameless:
            return Found()
        written = started()
        if written is not None and written.engine_run in {run["Id"] for run in nameless}:
            return Found(written.engine_run)
        # One that has ended without a word of the job has written nothing.
        return Found(unclear=written is not None or any(_state(run) == "running" for run in nameless))

    def _runs(self, account: Account, job: str) -> Iterator[Mapping[str, Any]]:
        glue = account.client("glue")
        more: dict[str, str] = {}
        while True:
            page = glue.get_job_runs(JobName=job, MaxResults=PAGE, **more)
            yield from page["JobRuns"]
            if not page.get("NextToken"):
                return
            more = {"NextToken": page["NextToken"]}

    def page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of GetJobRuns."""
        more = {"NextToken": next_token} if next_token else {}
        page = account.client("glue").get_job_runs(JobName=scope, MaxResults=PAGE, **more)
        return Page({run["Id"]: _state(run) for run in page["JobRuns"]}, page.get("NextToken") or "")

    def describe(self, account: Account, scope: str, run_id: str) -> RunStatus:
        """GetJobRun."""
        run = account.client("glue", retries=0).get_job_run(JobName=scope, RunId=run_id)["JobRun"]
        message = str(run.get("ErrorMessage") or run.get("StateDetail") or "")
        state, seconds = _state(run), float(run.get("ExecutionTime") or 0)
        if run["JobRunState"] == "TIMEOUT" and not message:
            message = f"the run was stopped by its timeout of {run.get('Timeout', MINUTES)} minutes"
        # Flex and auto scaling alone have DPUSeconds.
        used = float(run.get("DPUSeconds") or seconds * float(run.get("MaxCapacity") or 0))
        cost = {"seconds": seconds, "dpu_hours": round(used / 3600, 4)}
        return RunStatus(state, message, state == "failed" and aws_errors.is_lack_of_capacity(message), cost)

    def stop(self, account: Account, scope: str, run_id: str) -> None:
        """BatchStopJobRun of one."""
        account.client("glue").batch_stop_job_run(JobName=scope, JobRunIds=[run_id])


def _state(run: Mapping[str, Any]) -> State:
    return STATES.get(run["JobRunState"], "running")


def _job(account: Account, name: str) -> Mapping[str, Any] | None:
    try:
        found: Mapping[str, Any] = account.client("glue").get_job(JobName=name)["Job"]
    except sdk.ClientError as error:
        if sdk.error_code(error) not in aws_errors.NO_GLUE_JOB:
            raise
        return None
    return found


def job_arn(account: Account, name: str) -> str:
    """The ARN of the Glue job ``name``."""
    return f"arn:{account.partition}:glue:{account.region}:{account.account_id}:job/{name}"


def _is_ours(account: Account, name: str, migration_id: str) -> bool:
    """Whether the job is the migration's. Who may not read its tags knows no more than its name."""
    asked = answered(lambda: account.client("glue").get_tags(ResourceArn=job_arn(account, name)))
    return asked is None or bool(asked["Tags"].get(MIGRATION_TAG) == migration_id)


def _differs(there: Mapping[str, Any], definition: Mapping[str, Any]) -> bool:
    """Whether the job ``there`` would run something else, or as somebody else."""
    command, arguments = there.get("Command", {}), there.get("DefaultArguments", {})
    return (
        there.get("Role") != definition["Role"]
        or command.get("ScriptLocation") != definition["Command"]["ScriptLocation"]
        or any(arguments.get(name) != value for name, value in definition["DefaultArguments"].items())
    )
