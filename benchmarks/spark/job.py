# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Jobs, ours and those of others, and how one is run by a local Spark."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import build_package, script
from ansible_collections.tableferry.aws.plugins.module_utils.spark.wheels import download_wheels, find_wheels
from benchmarks.spark.servers import BUCKET
from lab.spark.engine import ENGINES, Engine, settings

FETCHED = Path("build/spark")
CONNECTOR = FETCHED / "connector"
DAEMON, REPORTS = "reporting_daemon", "WORKER_CPU_FOLDER"  # and the variable that it reads
PEERS = Path(__file__).parent / "peers"
MASTER = "local[2,4]"  # two slots, whose tasks are tried again
SHOWN = 3000  # characters of the output of a job that failed


@dataclass(frozen=True)
class Job:
    """What spark-submit is given."""

    name: str
    arguments: tuple[str, ...]
    boto3: bool = False  # whether it needs one
    is_python: bool = True


@dataclass(frozen=True)
class Ran:
    """How a job ended, and what it took."""

    code: int
    cpu_s: float
    wall_s: float
    peak_mb: float
    output: str


def our_job(folder: Path, run: str) -> Job:
    """Our job for the plan of that run; its package is made in ``folder`` once."""
    package, script = _delivered(folder)
    where = ("--plan", f"s3://{BUCKET}/{run}.json", "--run", run)
    return Job("tableferry", ("--py-files", str(package), str(script), *where))


def connector(url: str, table: str, paths: str) -> Job:
    """AWS's connector."""
    jars = ",".join(str(jar.resolve()) for jar in sorted((CONNECTOR / "jars").glob("*.jar")))
    job = str(CONNECTOR / "connector.jar")
    return Job("connector", ("--jars", jars, "--class", "Connector", job, url, table, paths), is_python=False)


def batch_writer(url: str, table: str, paths: str) -> Job:
    """boto3's batch writer."""
    return Job("batch_writer", (str(PEERS / "batch_writer.py"), url, table, paths), boto3=True)


def run_job(spark: Engine, job: Job, folder: Path, role: Mapping[str, str]) -> Ran:
    """Run ``job`` to its end and measure all of it. Its processes have nothing in their environment but what an engine
    gives them, and its ``role``."""
    reports = Path(tempfile.mkdtemp(dir=folder))
    with tempfile.TemporaryDirectory(dir=folder) as name:
        directory = Path(name)
        conf = {"spark.python.daemon.module": DAEMON, "spark.ui.enabled": "false"}
        archive = [f"-XX:SharedArchiveFile={spark.archive}"] if job.is_python else []
        command = spark.command(directory, MASTER, [*settings(conf), *job.arguments], archive)
        own = spark.environment(directory, spark.python, boto3=job.boto3)
        path = [str(Path(__file__).parent), *filter(None, [own.get("PYTHONPATH")])]  # the first has the daemon
        variables = {**role, **own, "PYTHONPATH": os.pathsep.join(path), REPORTS: str(reports)}
        done = subprocess.run(
            [sys.executable, "-m", "benchmarks.spark.tree", str(reports), "env", "-i", *_given(variables), *command],
            capture_output=True,
            text=True,
            check=False,
        )
    shutil.rmtree(reports)
    if not done.stdout:
        return Ran(done.returncode or 1, 0, 0, 0, done.stderr[-SHOWN:])
    found = json.loads(done.stdout)
    return Ran(done.returncode, found["cpu_s"], found["wall_s"], found["peak_mb"], done.stderr[-SHOWN:])


def _given(variables: Mapping[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in variables.items()]


def here() -> list[Engine]:
    """The versions of Spark that are here, the oldest first."""
    return [engine for engine in ENGINES if not engine.why_not()]


def _delivered(folder: Path) -> tuple[Path, Path]:
    """Package and script in ``folder``, made once."""
    known, sent = next(folder.glob("tableferry-*.zip"), None), folder / "script.py"
    if known is None:
        wheels = FETCHED / "wheels"
        wheels.mkdir(parents=True, exist_ok=True)
        if not any(wheels.iterdir()):
            download_wheels(wheels)
        made = build_package(find_wheels(wheels))
        known = folder / made.name
        known.write_bytes(made.content)
        sent.write_bytes(script())
    return known, sent
