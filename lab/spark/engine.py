# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Spark versions of the lab: where each is on this machine, and the command that runs a job with it.

Nothing but Spark, Java and an interpreter of its own is used, so that a job finds what its release has and no more.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

JAVA = 17  # of Glue 5.0, 5.1 and 6.0 (spark.md 2)
_FETCHED = Path(__file__).resolve().parents[2] / "build" / "spark"
# What Spark's own start script opens to it (org.apache.spark.launcher.JavaModuleOptions).
_OPENED = (
    "java.lang", "java.lang.invoke", "java.lang.reflect", "java.io", "java.net", "java.nio", "java.util",
    "java.util.concurrent", "java.util.concurrent.atomic", "jdk.internal.ref", "sun.nio.ch", "sun.nio.cs",
    "sun.security.action", "sun.util.calendar",
)  # fmt: skip
_LOG = """\
rootLogger.level = off
rootLogger.appenderRef.stderr.ref = stderr
appender.stderr.type = Console
appender.stderr.name = stderr
appender.stderr.target = SYSTEM_ERR
appender.stderr.layout.type = PatternLayout
appender.stderr.layout.pattern = %d{HH:mm:ss} %p %c{1}: %m%n%ex
"""


@dataclass(frozen=True)
class Engine:
    """One version of Spark, with the Python that its releases run and the boto3 of those that have it."""

    version: str
    python: str
    boto3: str

    @property
    def folder(self) -> Path:
        """Where it is fetched to; ``TABLEFERRY_SPARK`` names another place for all versions."""
        return Path(os.environ.get("TABLEFERRY_SPARK") or _FETCHED).resolve() / self.version

    @property
    def packages(self) -> tuple[tuple[str, tuple[str, ...]], ...]:
        """The packages that it consists of, by their folders."""
        return (
            ("spark", (f"pyspark=={self.version}",)),
            ("boto3", (f"boto3=={self.boto3}", f"botocore=={self.boto3}")),
        )

    @property
    def fingerprint(self) -> str:
        """What it is now: one that was fetched by another description is fetched again."""
        return f"{self.packages} {self.python}"

    @property
    def stamp(self) -> Path:
        """The file with the fingerprint by which it was fetched."""
        return self.folder / ".fetched"

    @property
    def home(self) -> Path:
        """Spark's home."""
        return self.folder / "spark" / "pyspark"

    @property
    def archive(self) -> Path:
        """The JVM's archive of Spark's classes, made once: with it a job starts with a third less of CPU time."""
        return self.folder / "classes.jsa"

    def missing_tools(self) -> list[str]:
        """What this machine lacks for it."""
        missing = [] if java() else [f"Java {JAVA}"]
        return missing if python(self.python) else [*missing, f"Python {self.python}"]

    def why_not(self) -> str:
        """Why it cannot be started here; empty when it can."""
        missing = self.missing_tools()
        if missing:
            return f"{' and '.join(missing)} not found on this machine"
        if not self.stamp.exists() or self.stamp.read_text() != self.fingerprint:
            return "not fetched: run make spark"
        return ""

    def interpreter(self, version: str) -> Path:
        """A Python ``version`` that has nothing but its standard library; LookupError where the machine has none."""
        own = self.folder / f"python{version}"
        if not own.exists():
            found = python(version)
            if not found:
                raise LookupError(f"Python {version} not found on this machine")
            making = own.with_name(f"{own.name}.{os.getpid()}")
            subprocess.run([found, "-m", "venv", "--without-pip", making], check=True, capture_output=True)
            try:
                making.rename(own)
            except OSError:
                shutil.rmtree(making)  # somebody else was faster
        return own / "bin" / "python"

    def command(self, directory: Path, master: str, arguments: Sequence[str], java_options: Sequence[str]) -> list[str]:
        """The command of a JVM that submits ``arguments``; ``directory`` is its own and takes its settings."""
        log = directory / "log4j2.properties"
        log.write_text(_LOG)
        return [
            java(),
            "-Xmx512m",
            "-XX:+UseSerialGC",
            "-XX:TieredStopAtLevel=1",
            *java_options,
            *(f"--add-opens=java.base/{package}=ALL-UNNAMED" for package in _OPENED),
            f"-Djava.io.tmpdir={directory}",
            f"-Dlog4j2.configurationFile={log}",
            "-cp",
            f"{self.home}/jars/*",
            "org.apache.spark.deploy.SparkSubmit",
            "--master",
            master,
            *arguments,
        ]

    def environment(self, directory: Path, python_version: str, *, boto3: bool) -> dict[str, str]:
        """All that a job's processes have in their environment, besides its role. LookupError without the Python."""
        interpreter = str(self.interpreter(python_version))
        return {
            "PATH": os.defpath,
            "HOME": str(directory),
            "LANG": "C.UTF-8",
            "SPARK_HOME": str(self.home),
            "SPARK_LOCAL_IP": "127.0.0.1",
            "PYSPARK_PYTHON": interpreter,
            "PYSPARK_DRIVER_PYTHON": interpreter,
            **({"PYTHONPATH": str(self.folder / "boto3")} if boto3 else {}),
        }


ENGINES = (Engine("3.5.6", "3.11", "1.40.61"), Engine("4.1.1", "3.13", "1.42.84"))


def engine(version: str) -> Engine:
    """The Spark of that version. LookupError for one that the lab does not have."""
    for each in ENGINES:
        if each.version == version:
            return each
    raise LookupError(f"The lab has no Spark {version}, but {', '.join(each.version for each in ENGINES)}")


def settings(conf: Mapping[str, str]) -> list[str]:
    """Spark's options for its configuration."""
    return [part for name, value in conf.items() for part in ("--conf", f"{name}={value}")]


@lru_cache(maxsize=1)
def java() -> str:
    """The command of this machine's Java 17; empty without one."""
    homes = [os.environ["JAVA_HOME"]] if os.environ.get("JAVA_HOME") else []
    found = [*(f"{home}/bin/java" for home in homes), shutil.which("java") or ""]
    return next((each for each in found if each and _java_version(each) == JAVA), "")


def _java_version(command: str) -> int:
    try:
        text = subprocess.run([command, "-version"], capture_output=True, text=True, check=True).stderr
    except (OSError, subprocess.CalledProcessError):
        return 0
    match = re.search(r'version "(\d+)', text)
    return int(match[1]) if match else 0


@lru_cache(maxsize=8)
def python(version: str) -> str:
    """The command of this machine's Python ``version`` (``3.11``): on the path, or pyenv's; empty without one."""
    if f"{sys.version_info[0]}.{sys.version_info[1]}" == version:
        return sys.executable
    versions = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"
    found = [shutil.which(f"python{version}") or "", *map(str, sorted(versions.glob(f"{version}.*/bin/python")))]
    return next((each for each in found if each and _is_python(each, version)), "")


def _is_python(command: str, version: str) -> bool:
    question = "import sys; print('%d.%d' % sys.version_info[:2])"
    try:
        done = subprocess.run([command, "-c", question], capture_output=True, text=True, check=True)
    except (OSError, subprocess.CalledProcessError):
        return False
    return done.stdout.strip() == version
