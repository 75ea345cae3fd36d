# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of AWS Glue's jobs, from their start to their end. What a run does, a real Spark does (``lab.spark.runs``)."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from lab.caller import Caller
from lab.clock import Event
from lab.faults import Fault
from lab.messages import AuthorizationRequest
from lab.request_log import StartedJob
from lab.rules import rule
from lab.spark.runs import NOT_READ, Outcome, Release, SparkRun, Submission, spark_runs
from lab.world import World

STATES = rule(
    "glue-run-states",
    service="glue",
    says="A run is STARTING, RUNNING, then SUCCEEDED, or FAILED with an ErrorMessage; it may be WAITING before",
    fact="botocore's service model glue; AWS Glue developer guide, AWS Glue job run statuses",
    test="test_glue.py::test_a_run_starts_runs_and_succeeds",
)
TRUSTED = rule(
    "glue-role-trusts-glue",
    service="glue",
    says="A run whose job's role does not exist or does not trust glue.amazonaws.com is FAILED: `.. should be given "
    "assume role permissions for Glue Service`; CreateJob does not look",
    fact="aws-solutions-library-samples/data-lakes-on-aws#312 (a run's ErrorMessage)",
    test="test_glue.py::test_the_role_must_trust_glue",
)
UNREADABLE = rule(
    "glue-launch-error",
    service="glue",
    says="A run whose script or further files its role cannot read is FAILED: `LAUNCH ERROR | Error downloading from "
    "S3 for bucket: .., key: ..`",
    fact="users' reports of `LAUNCH ERROR | Error downloading from S3` with Access Denied and NoSuchKey",
    test="spark/test_glue_jobs.py::test_a_script_that_the_role_may_not_read",
)
TIMED_OUT = rule(
    "glue-timeout",
    service="glue",
    says="A run that runs for longer than its Timeout (minutes) is stopped and is TIMEOUT",
    fact="botocore's service model glue, StartJobRun Timeout",
    test="test_glue.py::test_a_run_times_out",
)
CAPACITY = rule(
    "glue-capacity",
    service="glue",
    says="Without queuing, a run for which the account has no capacity left is FAILED, `Exceeded maximum concurrent "
    "compute capacity for your account`; with JobRunQueuingEnabled it is WAITING until there is",
    fact="spark.md 2; AWS General Reference, AWS Glue quotas (task DPUs); the text's end is a guess",
    test="test_glue.py::test_capacity",
    confirmed=False,
)
RETRIED = rule(
    "glue-retries",
    service="glue",
    says="A FAILED run of a job with MaxRetries is followed by a run of its own, which names it as PreviousRunId",
    fact="botocore's service model glue, MaxRetries and Attempt; the end of its id, _attempt_<n>, is a guess",
    test="test_glue.py::test_failed_runs_are_retried",
    confirmed=False,
)

SERVICE = "glue.amazonaws.com"
SESSION = "GlueJobRunnerSession"
TASK_DPUS = "glue.task_dpus"
NO_CAPACITY = "Exceeded maximum concurrent compute capacity for your account."
# Not measured.
TIMINGS = {"glue.starting": 30.0, "glue.stopping": 10.0, "glue.failing": 40.0, "glue.waiting": 60.0}
RELEASES: Mapping[str, Release] = {
    "5.1": Release("glue 5.1", "3.5.6", "3.11", True),
    "6.0": Release("glue 6.0", "4.1.1", "3.13", True),
}
# Data processing units of a worker (spark.md 2; those of memory-optimized workers are M-DPU).
DPUS: Mapping[str, float] = {
    "G.1X": 1, "G.2X": 2, "G.4X": 4, "G.8X": 8, "G.12X": 12, "G.16X": 16, "R.1X": 1, "R.2X": 2, "R.4X": 4, "R.8X": 8,
}  # fmt: skip
SLOTS_OF_A_DPU = 4
MOST_SLOTS = 8  # of a local Spark, whatever the workers could do: each is a process of this machine
ACTIVE = frozenset({"STARTING", "RUNNING", "STOPPING"})
ENDED = frozenset({"SUCCEEDED", "FAILED", "STOPPED", "TIMEOUT", "ERROR", "EXPIRED"})
# Settings of a run that are Glue's own and no business of the script.
_OF_GLUE = frozenset({"--extra-py-files", "--extra-files", "--extra-jars", "--conf", "--job-language"})


@dataclass(eq=False)
class Job:
    """A job: its ``definition`` as CreateJob or UpdateJob took it, with the defaults."""

    name: str
    account_id: str
    region: str
    arn: str
    definition: dict[str, Any]
    created_at: float
    modified_at: float
    tags: dict[str, str] = field(default_factory=dict)
    runs: list[Run] = field(default_factory=list)

    @property
    def most_runs(self) -> int:
        """How many of its runs may go on at once."""
        return int(self.definition["ExecutionProperty"]["MaxConcurrentRuns"])

    def active(self) -> list[Run]:
        """Its runs that are under way."""
        return [run for run in self.runs if run.state in ACTIVE]


@dataclass(eq=False)
class Run:
    """One run. ``definition`` is the job's when it was started, with the run's own values over it."""

    id: str
    job: Job
    definition: dict[str, Any]
    arguments: dict[str, str]
    started_at: float
    session_policy: str = ""
    queued: bool = False
    attempt: int = 0
    previous: str = ""
    state: str = "STARTING"
    detail: str = ""
    message: str = ""
    running_at: float | None = None
    ended_at: float | None = None
    modified_at: float = 0.0
    fault: Fault | None = None
    next_event: Event | None = None
    timeout: Event | None = None
    spark: SparkRun | None = None

    @property
    def dpus(self) -> float:
        """The capacity that it takes."""
        return DPUS[self.definition["WorkerType"]] * int(self.definition["NumberOfWorkers"])

    @property
    def slots(self) -> int:
        """How many tasks its executors run at once; one worker is the driver."""
        executors = int(self.definition["NumberOfWorkers"]) - 1
        return min(MOST_SLOTS, int(executors * DPUS[self.definition["WorkerType"]] * SLOTS_OF_A_DPU))

    def seconds(self, now: float) -> int:
        """How long it has run, or ran."""
        if self.running_at is None:
            return 0
        return int((now if self.ended_at is None else self.ended_at) - self.running_at)


class Runs:
    """What goes on with the runs of all jobs. Everything is called with the world locked."""

    def __init__(self, world: World, jobs: Callable[[], Iterator[Job]]) -> None:
        self._world = world
        self._jobs = jobs
        world.define_quotas({TASK_DPUS: 1000})
        for name, seconds in TIMINGS.items():
            world.timings.define(name, seconds)

    def new_id(self) -> str:
        """An id of a run."""
        return f"jr_{self._world.random.getrandbits(256):064x}"

    def begin(self, run: Run) -> None:
        """Start ``run``, or let it wait or fail where there is no capacity."""
        job = run.job
        job.runs.append(run)
        entry = StartedJob(run.started_at, "glue", job.account_id, job.region, job.arn, run.id)
        self._world.request_log.add_job(entry)
        if not self._fits(run):
            if run.queued:
                self._set(run, "WAITING")
                run.detail = "Waiting for compute capacity or for other runs of the job to end."
            else:
                self._end(run, "FAILED", NO_CAPACITY)
        elif run.fault is not None and run.fault.values.get("capacity"):
            self._lack_capacity(run)
        else:
            self._starting(run)

    def stop(self, run: Run) -> None:
        """Stop a run that has not ended."""
        if run.state == "STOPPING":
            return
        self._set(run, "STOPPING")
        if run.next_event is not None:
            run.next_event.cancel()
        if run.spark is not None:
            run.spark.stop()  # its outcome comes
        else:
            self._later(run, "glue.stopping", lambda: self._end(run, "STOPPED"))

    def _fits(self, run: Run) -> bool:
        job = run.job
        others = [each for each in job.active() if each is not run]
        if len(others) >= job.most_runs:
            return False
        here = [each for each in self._jobs() if (each.account_id, each.region) == (job.account_id, job.region)]
        taken = sum(each.dpus for other in here for each in other.active() if each is not run)
        return not self._world.quotas or taken + run.dpus <= self._world.quota(job.account_id, TASK_DPUS)

    def _lack_capacity(self, run: Run) -> None:
        """What a planned fault of capacity does."""
        if not run.queued:
            self._end(run, "FAILED", NO_CAPACITY)
            return
        self._set(run, "WAITING")
        run.detail = "Waiting for compute capacity."
        run.fault = None
        self._later(run, "glue.waiting", lambda: self._starting(run))

    def _starting(self, run: Run) -> None:
        self._set(run, "STARTING")
        run.detail = ""
        if run.fault is not None:
            self._later(run, "glue.failing", lambda: self._fail(run))
        else:
            self._later(run, "glue.starting", lambda: self._running(run))

    def _fail(self, run: Run) -> None:
        assert run.fault is not None
        self._end(run, run.fault.values.get("state", "FAILED"), run.fault.message or "Internal service error")

    def _running(self, run: Run) -> None:
        job, role_arn = run.job, role_arn_of(self._world, run.job.account_id, run.definition["Role"])
        if assumed(self._world, role_arn) is None:
            text = f"JobName:{job.name} and JobRunId:{run.id} failed to execute with exception Role {role_arn} "
            self._end(run, "FAILED", f"{text}should be given assume role permissions for Glue Service.")
            return
        self._set(run, "RUNNING")
        run.running_at = self._world.clock.now()
        minutes = int(run.definition["Timeout"])
        run.timeout = self._world.schedule(minutes * 60, lambda: self._time_out(run))
        submission = self._submission(run, role_arn)
        run.spark = spark_runs(self._world).submit(submission, lambda outcome: self._outcome(run, outcome))

    def _submission(self, run: Run, role_arn: str) -> Submission:
        job = run.job
        arguments = merged(run)
        files = [each for each in arguments.get("--extra-py-files", "").split(",") if each]
        own = {"--JOB_NAME": job.name, "--JOB_ID": f"j_{job.name}", "--JOB_RUN_ID": run.id}
        shown = {name: value for name, value in arguments.items() if name not in _OF_GLUE}
        settings = [each.strip().partition("=") for each in arguments.get("--conf", "").split("--conf")]
        return Submission(
            release=RELEASES[run.definition["GlueVersion"]],
            account_id=job.account_id,
            region=job.region,
            role_arn=role_arn,
            session_policy=run.session_policy,
            script=run.definition["Command"]["ScriptLocation"],
            py_files=tuple(files),
            arguments=tuple(part for pair in (own | shown).items() for part in pair if part),
            conf={name: value for name, _, value in settings if name},
            slots=run.slots,
            session_name=SESSION,
        )

    def _outcome(self, run: Run, outcome: Outcome) -> None:
        if run.state in ENDED:
            return
        if outcome.state == "stopped" or run.state == "STOPPING":
            self._end(run, "STOPPED")
        elif outcome.state == "succeeded":
            self._end(run, "SUCCEEDED")
        else:
            launch = "LAUNCH ERROR | " if outcome.message.startswith(NOT_READ) else ""
            self._end(run, "FAILED", f"{launch}{outcome.message}")

    def _time_out(self, run: Run) -> None:
        if run.state != "RUNNING":
            return
        if run.spark is not None:
            run.spark.stop()
        self._end(run, "TIMEOUT")

    def _later(self, run: Run, timing: str, action: Callable[[], None]) -> None:
        run.next_event = self._world.schedule(self._world.timings.seconds(timing), action)

    def _set(self, run: Run, state: str) -> None:
        run.state, run.modified_at = state, self._world.clock.now()

    def _end(self, run: Run, state: str, message: str = "") -> None:
        self._set(run, state)
        run.ended_at, run.message, run.detail = run.modified_at, message, ""
        if run.timeout is not None:
            run.timeout.cancel()
        if state == "FAILED" and run.attempt < int(run.definition.get("MaxRetries", 0)):
            self.begin(self._next_attempt(run))
        self._let_in()

    def _next_attempt(self, run: Run) -> Run:
        number = run.attempt + 1
        return Run(
            f"{run.id.partition('_attempt_')[0]}_attempt_{number}",
            run.job,
            run.definition,
            run.arguments,
            self._world.clock.now(),
            run.session_policy,
            run.queued,
            number,
            run.id,
        )

    def _let_in(self) -> None:
        """Start the runs that wait, oldest first, as far as there is room."""
        waiting = [run for job in self._jobs() for run in job.runs if run.state == "WAITING" and run.next_event is None]
        for run in sorted(waiting, key=lambda run: run.started_at):
            if self._fits(run):
                self._starting(run)


def merged(run: Run) -> dict[str, str]:
    """All arguments of a run: the job's defaults, those of the run over them, and those that no run overrides."""
    given = run.definition
    return {**given.get("DefaultArguments", {}), **run.arguments, **given.get("NonOverridableArguments", {})}


def role_arn_of(world: World, account_id: str, role: str) -> str:
    """The ARN of a job's role, which may be given by its name."""
    if role.startswith("arn:"):
        return role
    known = world.identity.roles.get((account_id, role))
    return (
        known.arn if known is not None else f"arn:{world.accounts.partition(account_id)}:iam::{account_id}:role/{role}"
    )


def assumed(world: World, role_arn: str) -> Caller | None:
    """Glue in the role; None when there is no such role or it does not trust the service."""
    role = world.identity.role_by_arn(role_arn)
    if role is None:
        return None
    needed = AuthorizationRequest("sts:AssumeRole", role.arn, role.trust, role.account_id, True)
    if not world.decide(Caller.service(SERVICE, role.account_id), needed).allowed:
        return None
    return world.identity.role_caller(role, SESSION)
