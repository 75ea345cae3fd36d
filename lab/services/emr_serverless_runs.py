# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Job runs of EMR Serverless: from SUBMITTED through their queue, role and workers to their end."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import takewhile
from typing import Any

from lab.behaviours import Behaviour
from lab.caller import Caller
from lab.clock import Event
from lab.faults import Fault
from lab.identity import Role
from lab.messages import AuthorizationRequest
from lab.rules import rule
from lab.spark import emr_releases
from lab.spark.runs import NOT_READ, Outcome, SparkRun, Submission, spark_runs
from lab.spark.spark_submit import (
    SparkSubmit,
    SubmitRefused,
    Worker,
    exported,
    for_driver,
    interpreters,
    properties,
    read_command,
    split_command,
    whole,
    worker,
)  # fmt: skip
from lab.world import World

STATES = rule(
    "emr-serverless-job-states",
    service="emr-serverless",
    says="A run is SUBMITTED, PENDING, SCHEDULED while its workers are allocated, RUNNING with its driver, then "
    "SUCCESS or FAILED; how long each lasts is a guess",
    fact="EMR Serverless user guide, Job run states",
    test="test_emr_serverless.py::test_a_run_goes_through_its_states",
)
FAILED_TEXT = rule(
    "emr-serverless-job-failed",
    service="emr-serverless",
    says="A script that fails gives `Job failed, please check complete logs in configured logging destination. "
    "ExitCode: 1. Last few exceptions: ..`, cut to 256 characters; S3 denied to the role and a missing module have "
    "sentences of their own; of a script that exits without an exception the lab shows what it printed last, a guess",
    fact="aws-samples/emr-serverless-samples#17; EMR Serverless user guide, Troubleshooting; botocore's service model",
    test="test_emr_serverless.py::test_a_failure_is_told_in_256_characters",
)
SPARK_REFUSES = rule(
    "emr-serverless-parameters-refused",
    service="emr-serverless",
    says="sparkSubmitParameters that spark-submit does not know are taken by the call and end the run FAILED",
    fact="Apache Spark 3.5, SparkSubmitArguments; when EMR looks at them: none",
    test="test_emr_serverless.py::test_unknown_parameters_end_the_run",
    confirmed=False,
)
TRUSTED = rule(
    "emr-serverless-role-trust",
    service="emr-serverless",
    says="The role must exist and trust emr-serverless.amazonaws.com, with aws:SourceArn of the application; else the "
    "run ends FAILED: `Could not assume execution role ..`",
    fact="EMR Serverless user guide, Job runtime roles, and Troubleshooting; aws.md F1",
    test="test_emr_serverless.py::test_the_role_must_trust_the_service",
)
YOUNG = rule(
    "emr-serverless-new-role",
    service="emr-serverless",
    says="A role made some seconds ago cannot be assumed yet",
    fact="AWS IAM user guide, Changes that I make are not always immediately visible; how long: a guess",
    test="test_emr_serverless.py::test_a_new_role_cannot_be_assumed_yet",
    confirmed=False,
)
VCPUS = rule(
    "emr-serverless-vcpu-quota",
    service="emr-serverless",
    says="A new account has 16 vCPUs at a time in a Region; a run whose driver has none left fails: `Job failed as "
    "account has reached the service limit on the maximum vCPU it can use concurrently`, one whose executors have none "
    "with ServiceQuotaExceededException, on AWS after minutes (or they stay SCHEDULED: the lab plays either)",
    fact="EMR Serverless user guide, Troubleshooting; aws.md F1; spark.md 3; users' reports; which of them: none",
    test="test_emr_serverless.py::test_vcpus_of_a_new_account",
    confirmed=False,
)
MAXIMUM = rule(
    "emr-serverless-maximum-capacity",
    service="emr-serverless",
    says="A run whose driver needs more than what is left of the application's maximumCapacity (of vCPUs, memory or, "
    "with 20 GB a worker, disk) fails: `Job failed as application has exceeded maximumCapacity settings`; one whose "
    "executors do, with ApplicationMaxCapacityExceededException: on AWS the driver runs and asks for them for 20 "
    "minutes, and gets them when another run ends (the lab plays that, or lets it fail at once)",
    fact="EMR Serverless user guide, Maximum capacity, and Troubleshooting; users' logs, such as those of "
    "softeerbootcamp-8th/DE_team4-4una#508 (`Abandoning job due to no executor being launched within 1200000ms after "
    "driver starts`); how GetJobRun words it: a guess",
    test="test_emr_serverless.py::test_maximum_capacity",
    confirmed=False,
)
WORKERS = rule(
    "emr-serverless-workers",
    service="emr-serverless",
    says="A worker has 1, 2, 4, 8 or 16 vCPUs, each with a range of memory, heap and overhead together; a driver and "
    "three executors of 4 vCPUs and 14 GB unless the run says otherwise; another size fails the run",
    fact="EMR Serverless user guide, Supported worker configurations and Spark job properties; how it fails: none",
    test="test_emr_serverless.py::test_workers_have_certain_sizes",
    confirmed=False,
)
QUEUE = rule(
    "emr-serverless-queue",
    service="emr-serverless",
    says="An application runs 15 runs at a time unless its schedulerConfiguration says otherwise; the next are QUEUED, "
    "and FAILED after queueTimeoutMinutes (360)",
    fact="EMR Serverless user guide, Job concurrency and queuing; the text is a guess",
    test="test_emr_serverless.py::test_runs_queue",
)
TIMEOUT = rule(
    "emr-serverless-timeout",
    service="emr-serverless",
    says="A run over its executionTimeoutMinutes (720) is cancelled: CANCELLING, then CANCELLED",
    fact="EMR Serverless user guide, Job run states; botocore's service model emr-serverless",
    test="test_emr_serverless.py::test_a_run_times_out",
)
BILLED = rule(
    "emr-serverless-billed",
    service="emr-serverless",
    says="billedResourceUtilization counts each worker's vCPU- and GB-hours by the second, one minute at least, and no "
    "storage up to 20 GB; it is there once the run has ended",
    fact="Amazon EMR pricing, EMR Serverless; botocore's service model emr-serverless",
    test="test_emr_serverless.py::test_what_is_billed",
)

SERVICE = "emr-serverless.amazonaws.com"
VCPU_QUOTA = "emr-serverless.vcpus"
SHORT_OF_VCPUS = "emr-serverless.short_of_vcpus"
SHORT_OF_CAPACITY = "emr-serverless.short_of_capacity"  # the executors of a run, in their application
BEHAVIOURS = (Behaviour(SHORT_OF_VCPUS, ("fails", "waits")), Behaviour(SHORT_OF_CAPACITY, ("fails", "waits")))
# Seconds; none of them was measured but that a driver waits 20 minutes for its first executor (users' logs).
TIMINGS: Mapping[str, float] = {
    "emr-serverless.submitted": 2.0,
    "emr-serverless.pending": 3.0,
    "emr-serverless.allocating": 40.0,
    "emr-serverless.no_executor": 1200.0,
    "emr-serverless.cancelling": 5.0,
    "emr-serverless.role_known": 10.0,
}
RUN_TIMEOUT_MINUTES, QUEUE_TIMEOUT_MINUTES, CONCURRENT_RUNS = 720, 360, 15
DETAIL_CHARACTERS = 256
OVER = frozenset({"SUCCESS", "FAILED", "CANCELLED"})
# vCPUs: least and most GB of a worker, and in which steps.
_MEMORY: Mapping[int, tuple[int, int, int]] = {
    1: (2, 8, 1), 2: (4, 16, 1), 4: (8, 30, 1), 8: (16, 60, 4), 16: (32, 120, 8)
}  # fmt: skip
_LEAST_BILLED_SECONDS = 60.0
_SHORT = "account has reached the service limit on the maximum vCPU it can use concurrently"
_NO_WORKER = "Worker could not be allocated as the application has exceeded maximumCapacity settings"
DISK = 20  # GB of a worker
_RAISED = re.compile(r"\s*[\w.]*(Error|Exception)\b.*:")
_NO_MODULE = "ModuleNotFoundError: No module named"
Shape = dict[str, Any]


@dataclass
class Application:
    """An application. ``settings`` are the members of its request that it shows."""

    id: str
    account_id: str
    region: str
    arn: str
    release: str
    token: str
    request: Shape
    settings: Shape
    created_at: float
    updated_at: float
    tags: dict[str, str]
    state: str = "CREATING"
    idle: Event | None = None

    @property
    def place(self) -> tuple[str, str]:
        """Account and Region."""
        return self.account_id, self.region

    def move(self, state: str, now: float) -> None:
        """Enter a state."""
        self.state, self.updated_at = state, now


@dataclass
class Run:
    """A job run.

    ``queued_at`` is set while it is QUEUED, ``evaluated`` once it waits for its application only. ``had`` says how many
    of its workers it has: none, its driver, or all; its end makes ``events`` void.
    """

    id: str
    arn: str
    application: Application
    request: Shape
    created_by: str
    created_at: float
    updated_at: float
    tags: dict[str, str]
    failure: Fault | None = None
    state: str = "SUBMITTED"
    details: str = "SUBMITTED"
    attempt: int = 1
    workers: tuple[Worker, ...] = ()
    evaluated: bool = False
    had: int = 0
    queued_at: float = 0.0
    queued_seconds: float = 0.0
    started_at: float = 0.0
    ended_at: float = 0.0
    spark: SparkRun | None = None
    events: list[Event] = field(default_factory=list)

    @property
    def over(self) -> bool:
        """Whether it has ended."""
        return self.state in OVER

    @property
    def vcpus(self) -> int:
        """What its workers need."""
        return sum(each.cores for each in self.workers)

    @property
    def held(self) -> tuple[Worker, ...]:
        """The workers that it has."""
        return self.workers[: self.had]


class RunLives:
    """What becomes of the job runs of a world, on its clock and by its local Spark."""

    def __init__(self, world: World, ended: Callable[[Application], None]) -> None:
        """``ended`` is called with the application whenever one of its runs has ended."""
        self._world = world
        self._ended = ended
        world.define_quotas({VCPU_QUOTA: 16})
        world.behaviours.define((*BEHAVIOURS, *emr_releases.BEHAVIOURS))
        for name, seconds in TIMINGS.items():
            world.timings.define(name, seconds)
        self.runs: dict[str, Run] = {}

    def of(self, application: Application) -> list[Run]:
        """The application's runs, oldest first."""
        return [run for run in self.runs.values() if run.application is application]

    def active(self, application: Application) -> list[Run]:
        """Those that have not ended."""
        return [run for run in self.of(application) if not run.over]

    def begin(self, run: Run) -> None:
        """Take in a run that was just submitted."""
        self.runs[run.id] = run
        self._later(run, "submitted", self._enqueue)
        minutes = run.request.get("executionTimeoutMinutes", RUN_TIMEOUT_MINUTES)
        if minutes:
            text = f"Job run was cancelled because it exceeded its timeout of {minutes} minutes."
            run.events.append(self._world.schedule(minutes * 60, lambda: self.cancel(run, text)))

    def application_started(self, application: Application) -> None:
        """Let those go on that waited for their application."""
        for run in self.active(application):
            if run.state == "PENDING" and run.evaluated:
                self._schedule(run)

    def cancel(self, run: Run, text: str = "Job run was cancelled by the user.") -> None:
        """Let a run that has not ended be CANCELLING, and later CANCELLED."""
        if run.over or run.state == "CANCELLING":
            return
        self._move(run, "CANCELLING", text)
        if run.spark is not None:
            run.spark.stop()
        delay = self._world.timings.seconds("emr-serverless.cancelling")
        self._world.schedule(delay, lambda: self._end(run, "CANCELLED", text))

    # Its way

    def _later(self, run: Run, timing: str, step: Any) -> None:
        def act() -> None:
            if not run.over and run.state != "CANCELLING":
                step(run)

        run.events.append(self._world.schedule(self._world.timings.seconds(f"emr-serverless.{timing}"), act))

    def _move(self, run: Run, state: str, details: str = "") -> None:
        run.state, run.updated_at = state, self._world.clock.now()
        run.details = (details or state)[:DETAIL_CHARACTERS]

    def _scheduler(self, application: Application, member: str, default: int) -> int:
        return int((application.settings.get("schedulerConfiguration") or {}).get(member, default))

    def _enqueue(self, run: Run) -> None:
        started = [each for each in self.active(run.application) if each.state not in ("SUBMITTED", "QUEUED")]
        if len(started) < self._scheduler(run.application, "maxConcurrentRuns", CONCURRENT_RUNS):
            self._wait_for_application(run)
            return
        self._move(run, "QUEUED")
        run.queued_at = self._world.clock.now()
        minutes = self._scheduler(run.application, "queueTimeoutMinutes", QUEUE_TIMEOUT_MINUTES)
        run.events.append(self._world.schedule(minutes * 60, lambda: self._leave_queue(run, minutes)))

    def _leave_queue(self, run: Run, minutes: int) -> None:
        if run.state == "QUEUED":
            self._fail(run, f"Job run failed because it was queued for longer than {minutes} minutes.")

    def _wait_for_application(self, run: Run) -> None:
        if run.queued_at:
            run.queued_seconds, run.queued_at = self._world.clock.now() - run.queued_at, 0.0
        self._move(run, "PENDING")
        self._later(run, "pending", self._schedule)

    def _schedule(self, run: Run) -> None:
        run.evaluated = True
        if run.application.state != "STARTED":
            return  # goes on once it is
        self._move(run, "SCHEDULED")
        if refusal := self._role_refusal(run):
            self._fail(run, refusal)
            return
        try:
            run.workers = _workers(self._command(run).conf)
        except SubmitRefused as refused:
            self._fail(run, _exception(str(refused)))
            return
        self._allocate(run)

    def _allocate(self, run: Run) -> None:
        if refusal := self._lack(run):
            if _NO_WORKER in refusal and self._world.behaviours[SHORT_OF_CAPACITY] == "waits":
                self._wait_for_executors(run, refusal)
            elif self._world.behaviours[SHORT_OF_VCPUS] == "fails" or _SHORT not in refusal:
                self._fail(run, refusal)
            return
        run.had = len(run.workers)
        self._later(run, "allocating", self._start)

    def _wait_for_executors(self, run: Run, refusal: str) -> None:
        """Let the driver run, which asks for executors until others have ended, or for as long as AWS lets it."""
        if run.had:
            return

        def runs(run: Run) -> None:
            if run.had == 1:
                self._move(run, "RUNNING")
                run.started_at = self._world.clock.now()

        def gives_up(run: Run) -> None:
            if run.had == 1:
                run.workers = run.workers[:1]
                self._end(run, "FAILED", refusal)

        run.had = 1
        self._later(run, "allocating", runs)
        self._later(run, "no_executor", gives_up)

    def _lack(self, run: Run) -> str:
        """Why the run's workers cannot be had now; empty when they can."""
        holding = [
            each
            for each in self.runs.values()
            if each is not run and each.had and each.application.place == run.application.place
        ]
        held = [worker for each in holding if each.application is run.application for worker in each.held]
        maximum = run.application.settings.get("maximumCapacity") or {}
        if _over(maximum, [*held, run.workers[0]]):
            return "Job failed as application has exceeded maximumCapacity settings."
        if over := _over(maximum, [*held, *run.workers]):
            return _exception(f"ApplicationMaxCapacityExceededException: {_NO_WORKER}: [{over}]")
        if not self._world.quotas:
            return ""
        free = self._world.quota(run.application.account_id, VCPU_QUOTA)
        free -= sum(worker.cores for each in holding for worker in each.held)
        if run.workers[0].cores > free:
            return f"Job failed as {_SHORT}."
        return _exception(f"ServiceQuotaExceededException: the {_SHORT}") if run.vcpus > free else ""

    def _start(self, run: Run) -> None:
        command = self._command(run)
        self._move(run, "RUNNING")
        run.started_at = run.started_at or self._world.clock.now()
        if run.failure is not None:
            failure, run.failure = run.failure, None  # of one attempt
            self._fail(run, failure.message or _exception("The lab was told to let this run fail."))
            return
        try:
            release = emr_releases.release(self._world, run.application.release, _pythons(command.conf))
        except SubmitRefused as refused:
            self._fail(run, _exception(str(refused)))
            return
        submission = Submission(
            release=release,
            account_id=run.application.account_id,
            region=run.application.region,
            role_arn=run.request["executionRoleArn"],
            session_policy=self._session_policy(run),
            script=command.script,
            py_files=command.py_files,
            arguments=command.arguments,
            conf=for_driver(command.conf),
            slots=sum(each.cores for each in run.workers[1:]),
        )
        attempt = run.attempt

        def ended(outcome: Outcome) -> None:
            self._world.schedule(0.0, lambda: self._take(run, attempt, outcome))

        run.spark = spark_runs(self._world).submit(submission, ended)

    def _take(self, run: Run, attempt: int, outcome: Outcome) -> None:
        """The local Spark has ended."""
        if run.over or run.state == "CANCELLING" or attempt != run.attempt:
            return
        run.spark = None
        if outcome.state == "succeeded":
            self._end(run, "SUCCESS", "Job run completed.")
        elif outcome.state == "stopped":
            self._end(run, "CANCELLED", outcome.message or "Job run was cancelled.")
        else:
            self._fail(run, _failure(outcome.message))

    def _fail(self, run: Run, text: str) -> None:
        most = (run.request.get("retryPolicy") or {}).get("maxAttempts", 1)
        if run.state == "RUNNING" and run.attempt < most:
            run.attempt += 1
            self._move(run, "SCHEDULED")
            self._later(run, "allocating", self._start)
            return
        self._end(run, "FAILED", text)

    def _end(self, run: Run, state: str, details: str) -> None:
        if run.over:
            return
        run.ended_at = self._world.clock.now()
        self._move(run, state, details)
        run.had = 0
        for event in run.events:
            event.cancel()
        self._ended(run.application)
        self._go_on(run.application.place)

    def _go_on(self, place: tuple[str, str]) -> None:
        """Let those go on that waited for what has become free."""
        for run in list(self.runs.values()):
            if run.application.place != place or run.over:
                continue
            if run.state == "QUEUED":
                started = [each for each in self.active(run.application) if each.state not in ("SUBMITTED", "QUEUED")]
                if len(started) < self._scheduler(run.application, "maxConcurrentRuns", CONCURRENT_RUNS):
                    self._wait_for_application(run)
            elif run.state in ("SCHEDULED", "RUNNING") and run.had < len(run.workers):
                self._allocate(run)

    # What it asks for

    def _command(self, run: Run) -> SparkSubmit:
        submit = run.request["jobDriver"]["sparkSubmit"]
        words = split_command(submit.get("sparkSubmitParameters", ""))
        return read_command(words, submit["entryPoint"], submit.get("entryPointArguments", ()), self._defaults(run))

    def _configurations(self, run: Run) -> list[Shape]:
        overrides = run.request.get("configurationOverrides") or {}
        application = run.application.settings.get("runtimeConfiguration") or []
        return [*application, *overrides.get("applicationConfiguration", ())]

    def _defaults(self, run: Run) -> dict[str, str]:
        configurations = self._configurations(run)
        environment = exported(configurations, "spark-env")
        prefixed = {f"spark.emr-serverless.driverEnv.{name}": value for name, value in environment.items()}
        return {**prefixed, **properties(configurations, "spark-defaults")}

    def _session_policy(self, run: Run) -> str:
        """The run's policies in one, as a session's policies allow what one of them allows; empty without any."""
        asked = run.request.get("executionIamPolicy") or {}
        managed = self._world.identity.policies
        documents = [asked["policy"]] if asked.get("policy") else []
        documents += [managed[arn].versions[managed[arn].default_version] for arn in asked.get("policyArns", ())]
        if len(documents) < 2:
            return "".join(documents)
        statements: list[Any] = []
        for document in documents:
            content = json.loads(document)["Statement"]
            statements += content if isinstance(content, list) else [content]
        return json.dumps({"Version": "2012-10-17", "Statement": statements})

    def _role_refusal(self, run: Run) -> str:
        """Why EMR Serverless cannot assume the run's role; empty when it can."""
        arn = run.request["executionRoleArn"]
        role: Role | None = self._world.identity.role_by_arn(arn)
        text = (
            f"Could not assume execution role {arn} because it does not exist or is not set up with the required "
            "trust relationship."
        )
        if role is None:
            return text
        if self._world.clock.now() < role.created_at + self._world.timings.seconds("emr-serverless.role_known"):
            return text
        application = run.application
        needed = AuthorizationRequest(
            "sts:AssumeRole", role.arn, role.trust, role.account_id, True,
            {"aws:SourceArn": application.arn, "aws:SourceAccount": application.account_id},
        )  # fmt: skip
        service = Caller.service(SERVICE, role.account_id)
        return "" if self._world.decide(service, needed, application.region).allowed else text


def _over(maximum: Mapping[str, str], workers: Sequence[Worker]) -> str:
    """Which parts of a maximumCapacity the workers exceed, as EMR Serverless writes them."""
    needed = {
        "cpu": sum(each.cores for each in workers),
        "memory": sum(each.memory for each in workers),
        "disk": DISK * len(workers),
    }
    return ", ".join(
        f"{part}: {_leading(size)} {'vCPU' if part == 'cpu' else 'GB'}"
        for part, size in maximum.items()
        if needed[part] > _leading(size)
    )


def _leading(size: str) -> int:
    """The number that a size (``4 vCPU``, ``16GB``) begins with."""
    return int("".join(takewhile(str.isdigit, size)))


def _exception(text: str) -> str:
    return (
        "Job failed, please check complete logs in configured logging destination. ExitCode: 1. Last few exceptions: "
        f"{text}"
    )


def _failure(printed: str) -> str:
    """The stateDetails of a script that failed, from what it printed last."""
    if printed.startswith(NOT_READ) and "AccessDenied" in printed:
        return (
            "S3 access is denied. Please check S3 access permissions of the job runtime role on the required S3 "
            "resources."
        )
    lines = printed.splitlines()
    raised = [line.strip() for line in lines if _RAISED.match(line)]
    if raised and raised[-1].startswith(_NO_MODULE):
        return f"{raised[-1]}. Please refer to the user guide on how to use python libraries with EMR Serverless."
    return _exception("; ".join(raised[-3:] or lines[-1:]))


def _pythons(conf: Mapping[str, str]) -> list[str]:
    driver_prefix, executor_prefix = "spark.emr-serverless.driverEnv.", "spark.executorEnv."
    driver = {name.removeprefix(driver_prefix): conf[name] for name in conf if name.startswith(driver_prefix)}
    executors = {name.removeprefix(executor_prefix): conf[name] for name in conf if name.startswith(executor_prefix)}
    return interpreters(driver, executors, conf)


def _workers(conf: Mapping[str, str]) -> tuple[Worker, ...]:
    """The driver and the executors that the run begins with."""
    driver = _fitting(worker(conf, "driver", 4, "14G"))
    executor = _fitting(worker(conf, "executor", 4, "14G"))
    count = whole(conf, "spark.executor.instances", 3)
    if conf.get("spark.dynamicAllocation.enabled", "true").lower() == "true":
        count = whole(conf, "spark.dynamicAllocation.initialExecutors", count)
    return (driver, *[executor] * count)


def _fitting(asked: Worker) -> Worker:
    if asked.cores not in _MEMORY:
        raise SubmitRefused(f"Worker CPU {asked.cores} vCPU is not supported: use 1, 2, 4, 8 or 16.")
    least, most, step = _MEMORY[asked.cores]
    memory = max(least, -(-asked.memory // step) * step)
    if asked.memory > most:
        raise SubmitRefused(
            f"Worker memory {asked.memory} GB is not supported for {asked.cores} vCPU: use {least} to {most} GB."
        )
    return Worker(asked.cores, memory)


def usage(run: Run) -> tuple[Shape, Shape]:
    """What a run that has ended has used and what is billed, in hours."""
    seconds = run.ended_at - run.started_at if run.started_at else 0.0
    billed = max(float(-(-seconds // 1)), _LEAST_BILLED_SECONDS) if run.started_at else 0.0
    memory = sum(each.memory for each in run.workers)

    def hours(length: float, storage: float) -> Shape:
        return {
            "vCPUHour": round(run.vcpus * length / 3600, 3),
            "memoryGBHour": round(memory * length / 3600, 3),
            "storageGBHour": round(storage * length / 3600, 3),
        }

    return hours(seconds, float(DISK * len(run.workers))), hours(billed, 0.0)
