# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Spark job on a cluster of EMR (spark.md 4): as a step of the user's cluster, or on a cluster of its own that ends
with the job. Neither call takes a token: what was begun is found by the run's token in its name."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

from ...account import Account
from ...errors import InvalidInput
from ...jobs.job import State
from ...jobs.kind import Page
from ...record.intention import NO_TOKEN, Window
from ..options import SparkChoices
from .engine import RUN_TAG, SLACK, Found, Request, RunStatus, Started, Submission, answered, name_of

RELEASE = "emr-7.14.0"
WORKER_TYPE = "m6g.xlarge"  # 4 vCPUs
PYTHON = "/usr/bin/python3.11"  # of EMR 7.1 and newer, whose default is 3.9
SERVICE_ROLE, INSTANCE_PROFILE = "EMR_DefaultRole", "EMR_EC2_DefaultRole"  # as ``aws emr create-default-roles`` makes
STATES: Mapping[str, State] = {
    "COMPLETED": "completed",
    "CANCELLED": "cancelled",
    "FAILED": "failed",
    "INTERRUPTED": "failed",
}


def _step(submission: Submission, on_failure: str) -> dict[str, Any]:
    conf = {
        "spark.executor.instances": str(max(1, submission.choices.workers - 1)),
        "spark.dynamicAllocation.enabled": "false",
        "spark.speculation": "false",
        "spark.yarn.maxAppAttempts": "1",  # a run again is a decision of ours
    }
    if (submission.choices.release or RELEASE).startswith("emr-7"):
        conf |= {"spark.yarn.appMasterEnv.PYSPARK_PYTHON": PYTHON, "spark.executorEnv.PYSPARK_PYTHON": PYTHON}
    options = [each for name, value in conf.items() for each in ("--conf", f"{name}={value}")]
    submit = ["spark-submit", "--deploy-mode", "cluster", "--py-files", submission.package, *options]
    return {
        "Name": submission.name,
        "ActionOnFailure": on_failure,
        "HadoopJarStep": {"Jar": "command-runner.jar", "Args": [*submit, submission.script, *submission.arguments]},
    }


class EmrStep:
    """A step of a cluster that the user runs."""

    name: ClassVar[str] = "emr_step"
    noun: ClassVar[str] = "step of an EMR cluster"
    window: ClassVar[Window] = NO_TOKEN

    def fitted(self, account: Account, submission: Submission) -> Submission:
        """With the cluster's release where none is given, and without a role where its steps run as its instances: it
        takes one only by a security configuration that has runtime roles (awslabs/amazon-emr-cli#21)."""
        choices = submission.choices
        asked = answered(lambda: account.client("emr").describe_cluster(ClusterId=choices.cluster_id))
        if asked is None:
            return submission
        cluster = asked["Cluster"]
        if not choices.release:
            submission = submission.of_release(str(cluster.get("ReleaseLabel") or ""))
        if _has_runtime_roles(account, str(cluster.get("SecurityConfiguration") or "")):
            return submission
        if choices.role_arn:
            raise InvalidInput(
                f"The cluster {choices.cluster_id} takes no role for a step: its steps run as its instances.",
                "Leave role_arn out of spark, or name a cluster whose security configuration has runtime roles.",
                table=submission.table,
            )
        return replace(submission, role_arn="")

    def place(self, account: Account, submission: Submission, *, make: bool = True) -> str:
        """The cluster's id, as the user gave it."""
        return submission.choices.cluster_id

    def request(self, submission: Submission, scope: str) -> Request:
        """AddJobFlowSteps with one step, under the job's role where the cluster takes one; where it fails the cluster
        goes on."""
        role = {"ExecutionRoleArn": submission.role_arn} if submission.role_arn else {}
        call = {"JobFlowId": scope, "Steps": [_step(submission, "CONTINUE")], **role}
        return Request(self.name, scope, submission.run, call)

    def begin(self, account: Account, request: Request) -> str:
        """AddJobFlowSteps."""
        return str(account.client("emr", retries=0).add_job_flow_steps(**request.call)["StepIds"][0])

    def find(self, account: Account, request: Request, since: datetime, started: Callable[[], Started | None]) -> Found:
        """By its name, among the steps made since."""
        emr = account.client("emr")
        more: dict[str, str] = {}
        while True:
            page = emr.list_steps(ClusterId=request.scope, **more)
            for step in page["Steps"]:
                if step["Name"] == name_of(request.run):
                    return Found(step["Id"])
                if step["Status"]["Timeline"]["CreationDateTime"] < since - SLACK:
                    return Found()
            if not page.get("Marker"):
                return Found()
            more = {"Marker": page["Marker"]}

    def page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListSteps."""
        more = {"Marker": next_token} if next_token else {}
        page = account.client("emr").list_steps(ClusterId=scope, **more)
        return Page(
            {step["Id"]: STATES.get(step["Status"]["State"], "running") for step in page["Steps"]},
            page.get("Marker") or "",
        )

    def describe(self, account: Account, scope: str, run_id: str) -> RunStatus:
        """DescribeStep."""
        status = account.client("emr", retries=0).describe_step(ClusterId=scope, StepId=run_id)["Step"]["Status"]
        details = status.get("FailureDetails") or {}
        parts = [details.get("Reason"), details.get("Message"), details.get("LogFile")]
        reason = str((status.get("StateChangeReason") or {}).get("Message") or "")
        message = "; ".join(str(part) for part in parts if part) or reason
        return RunStatus(STATES.get(status["State"], "running"), message, cost=_seconds(status.get("Timeline") or {}))

    def stop(self, account: Account, scope: str, run_id: str) -> None:
        """CancelSteps, of a step that runs too."""
        account.client("emr").cancel_steps(
            ClusterId=scope, StepIds=[run_id], StepCancellationOption="TERMINATE_PROCESS"
        )


class EmrCluster:
    """A cluster of its own for each run, which ends with the job. The job runs as the cluster's instances: a role for a
    step needs a security configuration, which is an account's to make."""

    name: ClassVar[str] = "emr_cluster"
    noun: ClassVar[str] = "EMR cluster"
    window: ClassVar[Window] = NO_TOKEN

    def fitted(self, account: Account, submission: Submission) -> Submission:
        """Without a role; raises InvalidInput for one that the user has named."""
        require_no_role(submission.choices, submission.table)
        return submission

    def place(self, account: Account, submission: Submission, *, make: bool = True) -> str:
        """None: the cluster is the run."""
        return ""

    def request(self, submission: Submission, scope: str) -> Request:
        """RunJobFlow with one step."""
        choices = submission.choices
        instances = choices.worker_type or WORKER_TYPE
        call = {
            "Name": submission.name,
            "LogUri": submission.logs,
            "ReleaseLabel": choices.release or RELEASE,
            "Applications": [{"Name": "Spark"}],
            "Instances": {
                "InstanceGroups": [
                    {"InstanceRole": "MASTER", "InstanceType": instances, "InstanceCount": 1},
                    {"InstanceRole": "CORE", "InstanceType": instances, "InstanceCount": max(1, choices.workers - 1)},
                ],
                "KeepJobFlowAliveWhenNoSteps": False,
            },
            "Steps": [_step(submission, "TERMINATE_CLUSTER")],
            "ServiceRole": SERVICE_ROLE,
            "JobFlowRole": INSTANCE_PROFILE,
            "VisibleToAllUsers": True,
            "Tags": [
                {"Key": key, "Value": value} for key, value in {**submission.tags, RUN_TAG: submission.run}.items()
            ],
        }
        return Request(self.name, scope, submission.run, call)

    def begin(self, account: Account, request: Request) -> str:
        """RunJobFlow."""
        return str(account.client("emr", retries=0).run_job_flow(**request.call)["JobFlowId"])

    def find(self, account: Account, request: Request, since: datetime, started: Callable[[], Started | None]) -> Found:
        """By its name, among the clusters made since."""
        emr = account.client("emr")
        more: dict[str, str] = {}
        while True:
            page = emr.list_clusters(CreatedAfter=since - SLACK, **more)
            for cluster in page["Clusters"]:
                if cluster["Name"] == name_of(request.run):
                    return Found(cluster["Id"])
            if not page.get("Marker"):
                return Found()
            more = {"Marker": page["Marker"]}

    def page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListClusters."""
        more = {"Marker": next_token} if next_token else {}
        page = account.client("emr").list_clusters(**more)
        return Page({each["Id"]: _state(each["Status"]) for each in page["Clusters"]}, page.get("Marker") or "")

    def describe(self, account: Account, scope: str, run_id: str) -> RunStatus:
        """DescribeCluster."""
        status = account.client("emr", retries=0).describe_cluster(ClusterId=run_id)["Cluster"]["Status"]
        reason = status.get("StateChangeReason") or {}
        cost = _seconds(status.get("Timeline") or {})
        return RunStatus(_state(status), str(reason.get("Message") or reason.get("Code") or ""), cost=cost)

    def stop(self, account: Account, scope: str, run_id: str) -> None:
        """TerminateJobFlows of one."""
        account.client("emr").terminate_job_flows(JobFlowIds=[run_id])


def require_no_role(choices: SparkChoices, table: str) -> None:
    """Raises InvalidInput where the user names a role for a cluster of its own."""
    if choices.role_arn:
        raise InvalidInput(
            f"spark names a role for a cluster of its own, which runs the job as {INSTANCE_PROFILE}.",
            "Leave role_arn out, or set cluster_id to a cluster whose security configuration has runtime roles.",
            table=table,
        )


def _has_runtime_roles(account: Account, security: str) -> bool:
    """Whether the security configuration of this name has steps run as roles of their own; so it may for a caller who
    may not look."""
    if not security:
        return False
    asked = answered(lambda: account.client("emr").describe_security_configuration(Name=security))
    if asked is None:
        return True
    iam = json.loads(asked["SecurityConfiguration"]).get("AuthorizationConfiguration", {}).get("IAMConfiguration", {})
    return bool(iam.get("EnableApplicationScopedIAMRole"))


def _state(status: Mapping[str, Any]) -> State:
    """A cluster whose steps have all been done ends without an error."""
    if status["State"] == "TERMINATED_WITH_ERRORS":
        return "failed"
    if status["State"] != "TERMINATED":
        return "running"
    done = (status.get("StateChangeReason") or {}).get("Code") == "ALL_STEPS_COMPLETED"
    return "completed" if done else "cancelled"


def _seconds(timeline: Mapping[str, datetime]) -> dict[str, float]:
    begun = timeline.get("StartDateTime") or timeline.get("CreationDateTime")
    ended = timeline.get("EndDateTime")
    return {"seconds": (ended - begun).total_seconds()} if begun and ended else {}
