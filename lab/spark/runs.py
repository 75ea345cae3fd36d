# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spark jobs of the lab's engines: real ones, on this machine, which find of AWS what their role may reach.

A job's script and files come from the lab's S3 under its role. It runs in a process group of its own, by an interpreter
that has what the engine's release has. Its AWS is the lab: by AWS_ENDPOINT_URL, which botocore reads.
"""

from __future__ import annotations

import itertools
import os
import re
import secrets
import shutil
import signal
import struct
import subprocess
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal
from urllib.parse import quote, urlsplit

from lab.behaviours import Behaviour
from lab.caller import Caller
from lab.errors import AwsError
from lab.messages import HttpRequest
from lab.protocol import request_id
from lab.rules import rule
from lab.server import LabServer
from lab.spark import engine
from lab.spark.credentials import SECONDS, RoleCredentials
from lab.world import Context, World

FETCHED = rule(
    "spark-script-under-the-role",
    service="spark",
    says="Script and further files of a job are read from S3 under the job's role, narrowed by its session policy; a "
    "job that may not read them fails",
    fact="AWS Glue developer guide, Step 2: Create an IAM role for AWS Glue; EMR Serverless user guide, Job runtime "
    "roles; the text is a guess",
    test="spark/test_runs.py::test_the_script_is_read_under_the_role",
)
RETRIES = rule(
    "spark-retries-tasks",
    service="spark",
    says="A task that fails is tried four times in all before its job fails",
    fact="spark.md 5 (spark.task.maxFailures; a local Spark does so as local[N,4] only)",
    test="spark/test_runs.py::test_a_task_is_tried_four_times",
)

# A job takes real time. Where time jumps on meanwhile, as that of a waiter whose sleeps are skipped, credentials would
# expire and timeouts strike before the job could do its work: jumps wait for jobs, at most so many seconds each.
PATIENCE = Behaviour("spark.jumps_wait_seconds", ("20", "0"))
NOT_READ = "Error downloading from S3"
TRIES = 4
_LINES, _CHARACTERS = 20, 2000
_JAVA_FRAME = re.compile(r"\s+(at [\w.$/]+\(|\.\.\. \d+ more)")


@dataclass(frozen=True)
class Release:
    """What an engine's release has: ``Release("glue 5.1", "3.5.6", "3.11", True)``."""

    name: str
    spark: str
    python: str
    boto3: bool


@dataclass(frozen=True)
class Submission:
    """A job. ``script`` and ``py_files`` are S3 URIs, ``session_policy`` narrows the role (empty: not), ``slots`` is
    how many tasks it runs at once."""

    release: Release
    account_id: str
    region: str
    role_arn: str
    session_policy: str
    script: str
    py_files: tuple[str, ...]
    arguments: tuple[str, ...]
    conf: Mapping[str, str]
    slots: int
    session_name: str = "spark"


@dataclass(frozen=True)
class Outcome:
    """How a job ended: ``message`` is empty, or the end of what it printed; ``seconds`` are real ones."""

    state: Literal["succeeded", "failed", "stopped"]
    message: str
    seconds: float


OnEnd = Callable[[Outcome], None]


class SparkRuns:
    """The Spark jobs of one world. ``spark_runs`` finds it."""

    def __init__(self, world: World) -> None:
        self.world = world
        world.behaviours.define([SECONDS, PATIENCE])
        world.before_jumps.append(self.wait)
        self._numbers = itertools.count(1)
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._under_way: set[SparkRun] = set()
        self._server: LabServer | None = None
        self._credentials: RoleCredentials | None = None

    def submit(self, submission: Submission, on_end: OnEnd) -> SparkRun:
        """Start a job and return; ``on_end`` is called once, by a thread, with the world locked."""
        run = SparkRun(self, submission, on_end, f"{next(self._numbers)}")
        with self._lock:
            self._under_way.add(run)
        run.start()
        return run

    def servers(self) -> tuple[str, RoleCredentials]:
        """Where jobs find the world, and their credentials; both serve from the first job on."""
        with self._lock:
            if self._server is None or self._credentials is None:
                self._server, self._credentials = LabServer(self.world).start(), RoleCredentials(self.world)
            return self._server.endpoint_url, self._credentials

    def ended(self, run: SparkRun) -> None:
        """Forget a job."""
        with self._changed:
            self._under_way.discard(run)
            self._changed.notify_all()

    def wait(self, seconds: float) -> None:
        """Let jobs that run end, for so many seconds of real time at most and as long as a jump has patience."""
        patience = min(seconds, float(self.world.behaviours[PATIENCE.name]))
        with self._changed:
            self._changed.wait_for(lambda: not self._under_way, patience)

    def close(self) -> None:
        """Stop all jobs and wait for their ends."""
        with self._lock:
            left = list(self._under_way)
        for run in left:
            run.stop()
        for run in left:
            run.join()
        if self._server is not None and self._credentials is not None:
            self._server.close()
            self._credentials.close()


def spark_runs(world: World) -> SparkRuns:
    """The Spark jobs of ``world``, which may be a test's."""
    try:
        return world.part(SparkRuns)
    except LookupError:
        return world.put(SparkRuns(world))


class SparkRun:
    """One job. ``SparkRuns.submit`` makes it."""

    def __init__(self, runs: SparkRuns, submission: Submission, on_end: OnEnd, number: str) -> None:
        self._runs = runs
        self._world = runs.world
        self._submission = submission
        self._on_end = on_end
        self._number = number
        self._directory = self._world.data_directory / "spark" / number
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._stopped = False
        self._thread = threading.Thread(target=self._work, name=f"lab-spark-{number}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End it; returns at once, and its outcome is ``stopped`` unless it had ended already."""
        with self._lock:
            self._stopped = True
            if self._process is not None:
                _kill(self._process)

    def join(self) -> None:
        """Wait for its end; not with the world locked."""
        self._thread.join()

    def _work(self) -> None:
        began = time.monotonic()
        try:
            self._directory.mkdir(parents=True)
            problem = self._problem()
        except Exception as failure:  # of the lab or the machine: the job's owner must learn of it
            problem = f"The lab could not run the job: {failure!r}"
        finally:
            shutil.rmtree(self._directory, ignore_errors=True)
        seconds = time.monotonic() - began
        outcome = Outcome("succeeded", "", seconds)
        if self._stopped:
            outcome = Outcome("stopped", "", seconds)
        elif problem:
            outcome = Outcome("failed", problem, seconds)
        with self._world.lock:
            self._on_end(outcome)
        self._runs.ended(self)

    def _problem(self) -> str:
        """Run the job; why it failed, or nothing."""
        submission = self._submission
        caller = self._caller()
        if caller is None:
            return f"The role {submission.role_arn} cannot be assumed."
        try:
            script, *py_files = [self._fetched(caller, uri) for uri in (submission.script, *submission.py_files)]
        except AwsError as refusal:
            return refusal.message
        try:
            spark = engine.engine(submission.release.spark)
            problem = spark.why_not()
            environment = {} if problem else self._environment(spark)
        except LookupError as missing:
            problem = str(missing.args[0])
        if problem:
            return f"The lab cannot run {submission.release.name}: Spark {submission.release.spark}: {problem}"
        url, credentials = self._runs.servers()
        token = secrets.token_hex(16)
        environment |= credentials.offer(self._number, caller, token)
        environment |= {
            "AWS_ENDPOINT_URL": url,
            "AWS_REGION": submission.region,
            "AWS_DEFAULT_REGION": submission.region,
            "AWS_EC2_METADATA_DISABLED": "true",
        }
        try:
            return self._spark(self._command(spark, script, py_files), environment)
        finally:
            credentials.withdraw(self._number)

    def _caller(self) -> Caller | None:
        submission, identity = self._submission, self._world.identity
        role = identity.role_by_arn(submission.role_arn)
        policies = (submission.session_policy,) if submission.session_policy else ()
        return identity.role_caller(role, submission.session_name, policies) if role is not None else None

    def _fetched(self, caller: Caller, uri: str) -> Path:
        """A file in the job's directory with the object's content. Raises AwsError."""
        where = urlsplit(uri)
        bucket, key = where.netloc, where.path.lstrip("/")
        context = Context(self._world, caller, self._submission.region, "s3", "GetObject", request_id())
        request = HttpRequest("GET", f"/{quote(bucket)}/{quote(key)}", "", {"host": "127.0.0.1"}, b"")
        try:
            response = self._world.services["s3"].handle_http(context, request)  # type: ignore[attr-defined]
        except AwsError as refusal:
            text = f"{NOT_READ} for bucket: {bucket}, key: {key}. {refusal.message} (Service: Amazon S3; Status Code: "
            raise FETCHED.error(refusal.code, f"{text}{refusal.status}; Error Code: {refusal.code})") from None
        path = self._directory / "files" / key.rpartition("/")[2]
        path.parent.mkdir(exist_ok=True)
        body = response.body
        path.write_bytes(body if isinstance(body, bytes) else b"".join(body))
        return path

    def _environment(self, spark: engine.Engine) -> dict[str, str]:
        release = self._submission.release
        environment = spark.environment(self._directory, release.python, boto3=release.boto3)
        clock = self._world.clock
        return environment | on_clock(environment, clock.offset, self._directory) if clock.shared else environment

    def _command(self, spark: engine.Engine, script: Path, py_files: list[Path]) -> list[str]:
        submission = self._submission
        conf = {name: value for name, value in submission.conf.items() if not name.startswith(_OF_THE_LAB)}
        conf |= {
            "spark.ui.enabled": "false",
            "spark.local.dir": str(self._directory),
            "spark.driver.host": "127.0.0.1",
            "spark.driver.bindAddress": "127.0.0.1",
        }
        options = engine.settings(conf)
        if py_files:
            options += ["--py-files", ",".join(map(str, py_files))]
        archive = [f"-XX:SharedArchiveFile={spark.archive}", "-Xlog:disable", "-Xlog:all=error:stderr"]
        return spark.command(
            self._directory,
            f"local[{submission.slots},{TRIES}]",
            [*options, str(script), *submission.arguments],
            archive if spark.archive.exists() else [],
        )

    def _spark(self, command: list[str], environment: Mapping[str, str]) -> str:
        # Spark gives both streams of the script to its own stdout (org.apache.spark.deploy.PythonRunner).
        output = self._directory / "output"
        with output.open("wb") as stream:
            with self._lock:
                if self._stopped:
                    return ""
                self._process = subprocess.Popen(
                    command,
                    env=dict(environment),
                    cwd=self._directory,
                    stdin=subprocess.DEVNULL,
                    stdout=stream,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            status = self._process.wait()
        if not status:
            return ""
        return _last_lines(output) or f"The job ended with exit code {status}."


def on_clock(environment: Mapping[str, str], ahead: float, directory: Path) -> dict[str, str]:
    """What makes the Python of ``environment`` go by a clock that is ``ahead`` by so many seconds, as the engine's own
    machines go by AWS's time: where clients of the lab read its time, its signatures' dates count as they are."""
    files = {"TABLEFERRY_LAB_CLOCK": ahead, "TABLEFERRY_LAB_SKEW": 0.0}
    for name, seconds in files.items():
        (directory / name).write_bytes(struct.pack("d", seconds))
    path = [str(Path(__file__).parents[1] / "controller_clock"), *filter(None, [environment.get("PYTHONPATH")])]
    return {"PYTHONPATH": os.pathsep.join(path), **{name: str(directory / name) for name in files}}


# Settings of a job's submission that say where it runs.
_OF_THE_LAB = ("spark.master", "spark.submit.")


def _kill(process: subprocess.Popen[bytes]) -> None:
    # Spark's Python workers have a group of their own, which ends with the JVM: their parent reads its end of file.
    if process.poll() is not None:
        return
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        return


def _last_lines(path: Path) -> str:
    """The end of what a job printed, as long as a message of a job may be; without the JVM's frames."""
    text = path.read_text(errors="replace")
    lines = [line for line in text.splitlines() if line.strip() and not _JAVA_FRAME.match(line)]
    return "\n".join(lines[-_LINES:])[-_CHARACTERS:].strip()
