# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Spark job on EMR Serverless (spark.md 3): an application of the user's, or one made for the migration, and one
job run for each table. Its requests have a token; what AWS does with it after a change is UNCONFIRMED, so a run is
looked for by its name first."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import ClassVar

from ...account import Account
from ...aws_errors import is_lack_of_capacity
from ...jobs.job import State
from ...jobs.kind import Page
from ...record.intention import RUN_TOKEN, Window
from .engine import MIGRATION_TAG, NAME, SLACK, Found, Request, RunStatus, Started, Submission, answered, name_of

RELEASE = "emr-7.14.0"  # Spark 3.5 on Python 3.11
MINUTES = 2880  # after which AWS stops a run; its default is 720
PAGE = 50
DRIVER_CORES, EXECUTOR_CORES = 1, 4
# What a worker takes of an application's maximumCapacity: vCPUs, and GB of memory, heap and overhead together, and of
# disk (EMR Serverless user guide, Supported worker configurations).
DRIVER: Mapping[str, int] = {"cpu": DRIVER_CORES, "memory": 3, "disk": 20}
EXECUTOR: Mapping[str, int] = {"cpu": EXECUTOR_CORES, "memory": 8, "disk": 20}
PYTHON = "/usr/bin/python3.11"  # of the images of EMR 7, beside 3.9; which of them is the default is UNCONFIRMED
_PYTHONS = (
    "spark.emr-serverless.driverEnv.PYSPARK_DRIVER_PYTHON",
    "spark.emr-serverless.driverEnv.PYSPARK_PYTHON",
    "spark.executorEnv.PYSPARK_PYTHON",
)
STATES: Mapping[str, State] = {"SUCCESS": "completed", "FAILED": "failed", "CANCELLED": "cancelled"}
_WAITING = ("SUBMITTED", "QUEUED", "PENDING", "SCHEDULED")  # before RUNNING: without its workers
_USABLE = ("CREATING", "CREATED", "STARTING", "STARTED", "STOPPING", "STOPPED")


class EmrServerless:
    """EMR Serverless."""

    name: ClassVar[str] = "emr_serverless"
    noun: ClassVar[str] = "job run of EMR Serverless"
    window: ClassVar[Window] = RUN_TOKEN

    def fitted(self, account: Account, submission: Submission) -> Submission:
        """With the release of the user's application, where none is given."""
        choices = submission.choices
        if not choices.application_id or choices.release:
            return submission
        asked = answered(lambda: account.client("emr-serverless").get_application(applicationId=choices.application_id))
        return submission.of_release(str(asked["application"]["releaseLabel"])) if asked else submission

    def place(self, account: Account, submission: Submission, *, make: bool = True) -> str:
        """The application's id: the user's, the migration's, or one that is made. It costs nothing while nothing runs
        in it: it starts with a run, and stops by itself after 15 minutes."""
        choices = submission.choices
        if choices.application_id:
            return choices.application_id
        release = choices.release or RELEASE
        name = _application_name(submission.migration_id, release)
        emr = account.client("emr-serverless")
        more: dict[str, str] = {}
        there: list[tuple[datetime, str, str]] = []
        while True:
            page = emr.list_applications(maxResults=PAGE, states=list(_USABLE), **more)
            there += [
                (each["createdAt"], each["id"], each["arn"]) for each in page["applications"] if each["name"] == name
            ]
            if not page.get("nextToken"):
                break
            more = {"nextToken": page["nextToken"]}
        for _created, id_, arn in sorted(there):  # two controllers may have made one each at the same moment
            if _is_ours(account, arn, submission.migration_id):
                return id_
        if not make:
            return ""
        made = emr.create_application(
            name=name,
            releaseLabel=release,
            type="SPARK",
            clientToken=submission.run,
            tags=dict(submission.tags),
        )
        return str(made["applicationId"])

    def request(self, submission: Submission, scope: str) -> Request:
        """StartJobRun in the application ``scope``, with all sizes: the defaults take the 16 vCPUs of a new account."""
        conf = {
            "spark.submit.pyFiles": submission.package,
            "spark.driver.cores": str(DRIVER_CORES),
            "spark.driver.memory": "2g",  # and an overhead of 384 MB
            "spark.executor.cores": str(EXECUTOR_CORES),
            "spark.executor.memory": "7g",  # and its overhead of a tenth: 8 GB in all
            "spark.executor.instances": str(max(1, submission.choices.workers - 1)),
            # The tasks share the rate: there are as many as there are slots, and none runs twice.
            "spark.dynamicAllocation.enabled": "false",
            "spark.speculation": "false",
        }
        if (submission.choices.release or RELEASE).startswith("emr-7"):
            conf |= dict.fromkeys(_PYTHONS, PYTHON)
        call = {
            "applicationId": scope,
            "clientToken": submission.run,
            "executionRoleArn": submission.role_arn,
            "executionIamPolicy": {"policy": submission.policy},
            "jobDriver": {
                "sparkSubmit": {
                    "entryPoint": submission.script,
                    "entryPointArguments": list(submission.arguments),
                    "sparkSubmitParameters": " ".join(f"--conf {name}={value}" for name, value in conf.items()),
                }
            },
            "configurationOverrides": {
                "monitoringConfiguration": {"s3MonitoringConfiguration": {"logUri": submission.logs}}
            },
            "executionTimeoutMinutes": MINUTES,
            "name": submission.name,
            "tags": dict(submission.tags),
        }
        return Request(self.name, scope, submission.run, call)

    def begin(self, account: Account, request: Request) -> str:
        """StartJobRun, by its token."""
        return str(account.client("emr-serverless", retries=0).start_job_run(**request.call)["jobRunId"])

    def find(self, account: Account, request: Request, since: datetime, started: Callable[[], Started | None]) -> Found:
        """By its name, among the runs made since."""
        emr = account.client("emr-serverless")
        more: dict[str, str] = {}
        while True:
            page = emr.list_job_runs(applicationId=request.scope, maxResults=PAGE, createdAtAfter=since - SLACK, **more)
            for run in page["jobRuns"]:
                if run.get("name") == name_of(request.run):
                    return Found(run["id"])
            if not page.get("nextToken"):
                return Found()
            more = {"nextToken": page["nextToken"]}

    def page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListJobRuns."""
        more = {"nextToken": next_token} if next_token else {}
        page = account.client("emr-serverless").list_job_runs(applicationId=scope, maxResults=PAGE, **more)
        runs = page["jobRuns"]
        return Page(
            {run["id"]: STATES.get(run["state"], "running") for run in runs},
            page.get("nextToken") or "",
            waiting={run["id"]: run["state"] for run in runs if run["state"] in _WAITING},
        )

    def describe(self, account: Account, scope: str, run_id: str) -> RunStatus:
        """GetJobRun."""
        emr = account.client("emr-serverless", retries=0)
        run = emr.get_job_run(applicationId=scope, jobRunId=run_id)["jobRun"]
        billed = run.get("billedResourceUtilization") or run.get("totalResourceUtilization") or {}
        cost = {
            "seconds": float(run.get("totalExecutionDurationSeconds") or 0),
            "vcpu_hours": float(billed.get("vCPUHour") or 0),
            "memory_gb_hours": float(billed.get("memoryGBHour") or 0),
        }
        state, message = STATES.get(run["state"], "running"), str(run.get("stateDetails") or "")
        return RunStatus(state, message, state == "failed" and is_lack_of_capacity(message), cost)

    def stop(self, account: Account, scope: str, run_id: str) -> None:
        """CancelJobRun."""
        account.client("emr-serverless").cancel_job_run(applicationId=scope, jobRunId=run_id)


def _is_ours(account: Account, arn: str, migration_id: str) -> bool:
    """Whether the application of our name is the migration's: a name may be another one's too, and who may not read
    tags knows no more than it."""
    asked = answered(lambda: account.client("emr-serverless").list_tags_for_resource(resourceArn=arn))
    return asked is None or bool(asked["tags"].get(MIGRATION_TAG) == migration_id)


def _application_name(migration_id: str, release: str) -> str:
    """At most 64 of [A-Za-z0-9._/#-], another one for another release."""
    name = f"{NAME}-{migration_id}-{release}"
    digest = hashlib.sha256(name.encode()).hexdigest()[:12]
    letters = "".join(each if each.isascii() and (each.isalnum() or each in "._-") else "-" for each in migration_id)
    return f"{NAME}-{letters[:32]}-{digest}"
