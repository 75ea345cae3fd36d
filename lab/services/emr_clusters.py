# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clusters of EMR on EC2 and their steps, from their start to their end."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.caller import Caller
from lab.clock import Event
from lab.faults import Fault
from lab.identity import Role
from lab.messages import AuthorizationRequest
from lab.rules import rule
from lab.services.iam import IamService
from lab.spark import emr_releases
from lab.spark.runs import Outcome, SparkRun, Submission, spark_runs
from lab.spark.spark_submit import SubmitRefused, exported, for_driver, interpreters, properties, read_command, whole
from lab.world import World

STATES = rule(
    "emr-cluster-states",
    service="emr",
    says="A cluster is STARTING, BOOTSTRAPPING, RUNNING while it has steps to do and WAITING while it has none; how "
    "long each lasts is a guess",
    fact="Amazon EMR management guide, Understanding the cluster lifecycle; botocore's service model emr",
    test="test_emr.py::test_a_cluster_goes_through_its_states",
)
ENDS_ITSELF = rule(
    "emr-cluster-ends-after-its-steps",
    service="emr",
    says="Without KeepJobFlowAliveWhenNoSteps a cluster is TERMINATED after its last step (ALL_STEPS_COMPLETED, `Steps "
    "completed` or `Steps completed with errors`); with an AutoTerminationPolicy after it was idle for so long",
    fact="botocore's service model emr; Amazon EMR management guide, Using an auto-termination policy; the words of "
    "the latter: none",
    test="test_emr.py::test_a_cluster_ends_after_its_steps",
)
ROLES_INVALID = rule(
    "emr-cluster-roles-invalid",
    service="emr",
    says="A service role that does not exist or does not trust elasticmapreduce.amazonaws.com ends the cluster: "
    "TERMINATED_WITH_ERRORS, VALIDATION_ERROR, `EMR service role .. is invalid`",
    fact="aws/aws-cdk#27736",
    test="test_emr.py::test_roles_must_trust",
)
ONE_AT_A_TIME = rule(
    "emr-step-concurrency",
    service="emr",
    says="Steps run in their order, as many at a time as StepConcurrencyLevel says: 1 unless told otherwise, 256 at "
    "most",
    fact="botocore's service model emr",
    test="test_emr.py::test_steps_run_one_at_a_time",
)
ON_FAILURE = rule(
    "emr-step-action-on-failure",
    service="emr",
    says="A step that fails lets the cluster go on (CONTINUE, the default), cancels the pending ones (CANCEL_AND_WAIT) "
    "or ends the cluster TERMINATED_WITH_ERRORS (TERMINATE_CLUSTER)",
    fact="botocore's service model emr; the default: Amazon EMR management guide, Add steps to a cluster",
    test="test_emr.py::test_what_a_failed_step_does",
)
FAILED_TEXT = rule(
    "emr-step-failure-details",
    service="emr",
    says="A failed step has FailureDetails: the Reason `Unknown Error.`, a Message from its log, and the LogFile where "
    "the cluster has a LogUri",
    fact="botocore's service model emr; the words are a guess",
    test="test_emr.py::test_failure_details",
    confirmed=False,
)
SPARK_SUBMIT = rule(
    "emr-step-spark-submit",
    service="emr",
    says="A step of command-runner.jar runs its Args; the lab runs `spark-submit` of a Python script, which a cluster "
    "has where Spark is among its Applications; another step, or an option that spark-submit does not know, ends "
    "FAILED",
    fact="Amazon EMR release guide, Run commands and scripts on a cluster, and Add a Spark step; the rest is the lab's "
    "own limit",
    test="test_emr.py::test_what_a_step_may_be",
)
CHOSEN_PYTHON = rule(
    "emr-step-python",
    service="emr",
    says="spark.pyspark.python, PYSPARK_PYTHON exported by spark-env and, in deploy mode cluster only, "
    "spark.yarn.appMasterEnv.PYSPARK_PYTHON choose the Python of a step",
    fact="Apache Spark 3.5, Running Spark on YARN; Amazon EMR release guide, Configure Spark",
    test="test_emr.py::test_python_of_a_step",
)
RUNTIME_ROLE = rule(
    "emr-runtime-role-trust",
    service="emr",
    says="A step's ExecutionRoleArn, of any account, is assumed by the role of the cluster's instance profile: that "
    "one's policies must allow sts:AssumeRole and sts:TagSession on it, and its trust policy must name that one",
    fact="Amazon EMR management guide, Runtime roles for Amazon EMR steps; how a step fails: none",
    test="test_emr.py::test_a_runtime_role_is_assumed_by_the_instances",
)
ENDED_STEPS = rule(
    "emr-termination-cancels-steps",
    service="emr",
    says="When a cluster is shut down, the steps that have not ended are CANCELLED",
    fact="botocore's service model emr, TerminateJobFlows",
    test="test_emr.py::test_a_cluster_is_terminated",
)

SERVICE, INSTANCES = "elasticmapreduce.amazonaws.com", "ec2.amazonaws.com"
# Seconds, none of them measured.
TIMINGS: Mapping[str, float] = {
    "emr.starting": 180.0,
    "emr.bootstrapping": 60.0,
    "emr.step_starting": 5.0,
    "emr.step_cancelling": 5.0,
    "emr.terminating": 60.0,
    "emr.role_known": 10.0,
}
ENDED = frozenset({"TERMINATED", "TERMINATED_WITH_ERRORS"})
OPEN = frozenset({"STARTING", "BOOTSTRAPPING", "RUNNING", "WAITING"})
_CORES = 4  # of an instance, where a step does not say how many executors it wants
Shape = dict[str, Any]


@dataclass
class Step:
    """A step. ``config`` is the request's HadoopJarStep."""

    id: str
    name: str
    action: str
    config: Shape
    role_arn: str
    created_at: float
    failure: Fault | None = None
    state: str = "PENDING"
    reason: str = ""
    log: str = ""
    started_at: float = 0.0
    ended_at: float = 0.0
    spark: SparkRun | None = None

    @property
    def active(self) -> bool:
        """Whether it has not ended."""
        return self.state in ("PENDING", "RUNNING", "CANCEL_PENDING")


@dataclass
class Cluster:
    """A cluster. ``request`` is RunJobFlow's, ``profile`` the name of its instance profile and ``role`` its role."""

    id: str
    account_id: str
    region: str
    arn: str
    request: Shape
    profile: str
    role: Role
    created_at: float
    tags: dict[str, str]
    runtime_roles: bool = False
    protected: bool = False
    state: str = "STARTING"
    code: str = ""
    message: str = ""
    ready_at: float = 0.0
    ended_at: float = 0.0
    steps: list[Step] = field(default_factory=list)
    idle: Event | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Account and Region."""
        return self.account_id, self.region

    @property
    def keeps_alive(self) -> bool:
        """Whether it stays when it has no steps."""
        return bool(self.request["Instances"].get("KeepJobFlowAliveWhenNoSteps", False))

    @property
    def configurations(self) -> list[Shape]:
        """Its configurations."""
        return list(self.request.get("Configurations", ()))


class ClusterLives:
    """What becomes of the clusters of a world, on its clock and by its local Spark."""

    def __init__(self, world: World) -> None:
        self._world = world
        world.behaviours.define(emr_releases.BEHAVIOURS)
        for name, seconds in TIMINGS.items():
            world.timings.define(name, seconds)

    def role_of_profile(self, account_id: str, name: str) -> Role | None:
        """The role of an instance profile; None while EMR knows of no such profile."""
        profile = self._world.part(IamService).profile(account_id, name)
        return profile.role if profile is not None and self._is_known(profile.created_at) else None

    def can_launch(self, role: Role) -> bool:
        """Whether instances can have the role now."""
        return self._is_known(role.created_at) and self._trusts(role, INSTANCES)

    def _is_known(self, created_at: float) -> bool:
        return self._world.clock.now() >= created_at + self._world.timings.seconds("emr.role_known")

    def begin(self, cluster: Cluster) -> None:
        """Start a cluster that was just asked for."""
        self._later("starting", lambda: self._bootstrap(cluster))

    def go_on(self, cluster: Cluster) -> None:
        """Let a cluster that is ready run its steps, or wait, or end as there is nothing to do."""
        if cluster.state not in ("RUNNING", "WAITING"):
            return
        if cluster.idle is not None:
            cluster.idle.cancel()
        busy = [step for step in cluster.steps if step.state in ("RUNNING", "CANCEL_PENDING")]
        pending = [step for step in cluster.steps if step.state == "PENDING"]
        free = cluster.request.get("StepConcurrencyLevel", 1) - len(busy)
        for step in pending[: max(0, free)]:
            self._start(cluster, step)
        if busy or pending:
            cluster.state = "RUNNING"
        elif not cluster.keeps_alive:
            failed = any(step.state == "FAILED" for step in cluster.steps)
            self.terminate(cluster, "ALL_STEPS_COMPLETED", f"Steps completed{' with errors' if failed else ''}")
        else:
            cluster.state = "WAITING"
            self._watch_idle(cluster)

    def terminate(self, cluster: Cluster, code: str, message: str, state: str = "TERMINATED") -> None:
        """Shut a cluster down; its steps that have not ended are cancelled."""
        if cluster.state not in OPEN:
            return
        cluster.state, cluster.code, cluster.message = "TERMINATING", code, message
        for step in cluster.steps:
            if step.active:
                self._end(step, "CANCELLED", "Job terminated")
        self._later("terminating", lambda: self._close(cluster, state))

    def cancel(self, cluster: Cluster, step: Step) -> bool:
        """Cancel a step; whether it can still be."""
        if step.state == "PENDING":
            self._end(step, "CANCELLED", "Cancelled by user")
            self.go_on(cluster)
            return True
        if step.state != "RUNNING":
            return False
        step.state = "CANCEL_PENDING"

        def act() -> None:
            if step.active:
                self._end(step, "CANCELLED", "Cancelled by user")
                self.go_on(cluster)

        self._later("step_cancelling", act)
        if step.spark is not None:
            step.spark.stop()
        return True

    # Clusters

    def _later(self, timing: str, act: Any) -> None:
        self._world.schedule(self._world.timings.seconds(f"emr.{timing}"), act)

    def _bootstrap(self, cluster: Cluster) -> None:
        if cluster.state != "STARTING":
            return
        service_role = cluster.request["ServiceRole"].rpartition("/")[2]
        role = self._world.identity.roles.get((cluster.account_id, service_role))
        if role is None or not self._trusts(role, SERVICE):
            problem = f"EMR service role {role.arn if role is not None else service_role} is invalid"
            self.terminate(cluster, "VALIDATION_ERROR", problem, "TERMINATED_WITH_ERRORS")
            return
        cluster.state = "BOOTSTRAPPING"
        self._later("bootstrapping", lambda: self._ready(cluster))

    def _trusts(self, role: Role, service: str) -> bool:
        needed = AuthorizationRequest("sts:AssumeRole", role.arn, role.trust, role.account_id, True)
        return self._world.decide(Caller.service(service, role.account_id), needed).allowed

    def _ready(self, cluster: Cluster) -> None:
        if cluster.state == "BOOTSTRAPPING":
            cluster.state, cluster.ready_at = "RUNNING", self._world.clock.now()
            self.go_on(cluster)

    def _watch_idle(self, cluster: Cluster) -> None:
        seconds = (cluster.request.get("AutoTerminationPolicy") or {}).get("IdleTimeout")
        if seconds:
            message = "Cluster was idle for longer than its auto-termination policy allows"
            cluster.idle = self._world.schedule(
                seconds, lambda: self.terminate(cluster, "ALL_STEPS_COMPLETED", message)
            )

    def _close(self, cluster: Cluster, state: str) -> None:
        cluster.state, cluster.ended_at = state, self._world.clock.now()

    # Steps

    def _start(self, cluster: Cluster, step: Step) -> None:
        step.state, step.started_at = "RUNNING", self._world.clock.now()

        def act() -> None:
            if step.state == "RUNNING":
                self._submit(cluster, step)

        self._later("step_starting", act)

    def _submit(self, cluster: Cluster, step: Step) -> None:
        if step.failure is not None:
            self._fail(cluster, step, step.failure.message or "The lab was told to let this step fail.")
            return
        try:
            submission = self._submission(cluster, step)
        except SubmitRefused as refused:
            self._fail(cluster, step, str(refused))
            return

        def ended(outcome: Outcome) -> None:
            self._world.schedule(0.0, lambda: self._take(cluster, step, outcome))

        step.spark = spark_runs(self._world).submit(submission, ended)

    def _submission(self, cluster: Cluster, step: Step) -> Submission:
        words = list(step.config.get("Args", ()))
        if step.config["Jar"] != "command-runner.jar" or words[:1] != ["spark-submit"]:
            raise SubmitRefused("The lab runs command-runner.jar with spark-submit only.")
        if not any(each.get("Name", "").lower() == "spark" for each in cluster.request.get("Applications", ())):
            raise SubmitRefused(
                'Cannot run program "spark-submit" (in directory "."): error=2, No such file or directory'
            )
        command = read_command(words[1:], defaults=properties(cluster.configurations, "spark-defaults"))
        conf = dict(command.conf)
        role_arn = step.role_arn or cluster.role.arn
        if step.role_arn and not self._assumes(cluster, step.role_arn):
            raise SubmitRefused(
                f"User: {self._instances(cluster).arn} is not authorized to perform: sts:AssumeRole on resource: "
                f"{step.role_arn}"
            )
        return Submission(
            release=emr_releases.release(self._world, cluster.request["ReleaseLabel"], _pythons(cluster, conf)),
            account_id=cluster.account_id,
            region=cluster.region,
            role_arn=role_arn,
            session_policy="",
            script=command.script,
            py_files=command.py_files,
            arguments=command.arguments,
            conf=for_driver(conf),
            slots=whole(conf, "spark.executor.instances", _workers(cluster))
            * whole(conf, "spark.executor.cores", _CORES),
        )

    def _instances(self, cluster: Cluster) -> Caller:
        return self._world.identity.role_caller(cluster.role, f"i-{cluster.id.removeprefix('j-').lower()}")

    def _assumes(self, cluster: Cluster, role_arn: str) -> bool:
        role = self._world.identity.role_by_arn(role_arn)
        if role is None:
            return False
        caller = self._instances(cluster)
        return all(
            self._world.decide(
                caller, AuthorizationRequest(action, role.arn, role.trust, role.account_id, True), cluster.region
            ).allowed
            and self._own_policies_allow(caller, action, role.arn)
            for action in ("sts:AssumeRole", "sts:TagSession")
        )

    def _own_policies_allow(self, caller: Caller, action: str, role_arn: str) -> bool:
        """Within an account a trust policy that names the role would do; EMR wants its own policies to allow it too."""
        return self._world.decide(caller, AuthorizationRequest(action, role_arn)).allowed

    def _take(self, cluster: Cluster, step: Step, outcome: Outcome) -> None:
        """The local Spark has ended."""
        if step.state != "RUNNING":
            return
        if outcome.state == "succeeded":
            self._end(step, "COMPLETED")
            self.go_on(cluster)
        elif outcome.state == "stopped":
            self._end(step, "CANCELLED", "Cancelled by user")
            self.go_on(cluster)
        else:
            self._fail(cluster, step, outcome.message)

    def _fail(self, cluster: Cluster, step: Step, message: str) -> None:
        uri = cluster.request.get("LogUri", "").rstrip("/")
        step.log = f"{uri}/{cluster.id}/steps/{step.id}/stderr.gz" if uri else ""
        self._end(step, "FAILED", message)
        if step.action in ("TERMINATE_CLUSTER", "TERMINATE_JOB_FLOW"):
            self.terminate(cluster, "STEP_FAILURE", "Shut down as step failed", "TERMINATED_WITH_ERRORS")
            return
        if step.action == "CANCEL_AND_WAIT":
            for each in cluster.steps:
                if each.state == "PENDING":
                    self._end(each, "CANCELLED", "Cancelled because of a failed step")
        self.go_on(cluster)

    def _end(self, step: Step, state: str, reason: str = "") -> None:
        spark, step.spark = step.spark, None
        step.state, step.reason, step.ended_at = state, reason, self._world.clock.now()
        if spark is not None and state == "CANCELLED":
            spark.stop()


def _pythons(cluster: Cluster, conf: Mapping[str, str]) -> list[str]:
    environment = exported(cluster.configurations, "spark-env")
    if conf.get("spark.submit.deployMode") == "cluster":
        environment |= _environment(conf, "spark.yarn.appMasterEnv.")
    return interpreters(environment, _environment(conf, "spark.executorEnv."), conf)


def _environment(conf: Mapping[str, str], prefix: str) -> dict[str, str]:
    return {name.removeprefix(prefix): value for name, value in conf.items() if name.startswith(prefix)}


def _workers(cluster: Cluster) -> int:
    """Core instances, or the only one."""
    instances = cluster.request["Instances"]
    groups = instances.get("InstanceGroups", ())
    count = sum(each["InstanceCount"] for each in groups if each["InstanceRole"] != "MASTER")
    return max(1, count if groups else instances.get("InstanceCount", 1) - 1)
