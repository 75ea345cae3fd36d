# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A spark-submit command line as Spark reads it, and what EMR makes of its settings: sizes and the Python."""

from __future__ import annotations

import math
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lab.rules import rule

OPTIONS = rule(
    "spark-submit-options",
    service="spark",
    says="spark-submit refuses an option that it does not know (`Unrecognized option`), one without its value "
    "(`Missing argument`) and a --conf without `=`; its own options win over --conf, --conf over spark-defaults",
    fact="Apache Spark 3.5, launcher SparkSubmitOptionParser, core SparkSubmitArguments; Submitting Applications",
    test="test_spark_submit.py::test_options_are_read_as_spark_reads_them",
)
PYTHON_ONLY = rule(
    "spark-submit-python-script",
    service="spark",
    says="The primary resource is a Python script; the lab runs no JARs, and --py-files goes with Python only",
    fact="Apache Spark 3.5, core SparkSubmitArguments; of JARs: the lab's own limit",
    test="test_spark_submit.py::test_a_python_script_is_needed",
)
ONE_PYTHON = rule(
    "spark-one-python",
    service="spark",
    says="The driver's Python is PYSPARK_DRIVER_PYTHON or PYSPARK_PYTHON, the executors' is PYSPARK_PYTHON; two "
    "versions of Python end the job",
    fact="Apache Spark 3.5 configuration, Environment Variables; python/pyspark/worker.py PYTHON_VERSION_MISMATCH",
    test="test_spark_submit.py::test_driver_and_executors_have_one_python",
)

# SparkSubmitOptionParser.opts: option, and the property that stands for it where it has one.
_VALUED: Mapping[str, str] = {
    "--archives": "spark.archives", "--class": "", "--conf": "", "--deploy-mode": "spark.submit.deployMode",
    "--driver-class-path": "spark.driver.extraClassPath", "--driver-cores": "spark.driver.cores",
    "--driver-java-options": "spark.driver.extraJavaOptions",
    "--driver-library-path": "spark.driver.extraLibraryPath", "--driver-memory": "spark.driver.memory",
    "--exclude-packages": "spark.jars.excludes", "--executor-cores": "spark.executor.cores",
    "--executor-memory": "spark.executor.memory", "--files": "spark.files", "--jars": "spark.jars",
    "--keytab": "spark.kerberos.keytab", "--kill": "", "--master": "spark.master", "--name": "spark.app.name",
    "--num-executors": "spark.executor.instances", "--packages": "spark.jars.packages",
    "--principal": "spark.kerberos.principal", "--properties-file": "", "--proxy-user": "",
    "--py-files": "spark.submit.pyFiles", "--queue": "spark.yarn.queue", "--repositories": "spark.jars.repositories",
    "--status": "", "--total-executor-cores": "spark.cores.max",
}  # fmt: skip
_SHORT = {"-c": "--conf", "-h": "--help", "-v": "--verbose"}
_SWITCHES = frozenset({"--help", "--supervise", "--usage-error", "--verbose", "--version"})
_WITH_EQUALS = re.compile(r"(--[^=]+)=(.+)", re.DOTALL)
_SIZE = re.compile(r"(\d+)\s*([bkmgtp]?)b?", re.IGNORECASE)
_MEBIBYTES = {"b": 2**-20, "k": 2**-10, "": 1.0, "m": 1.0, "g": 2.0**10, "t": 2.0**20, "p": 2.0**30}
_INTERPRETER = re.compile(r"(?:/usr/bin/|/usr/local/bin/)?python(3(?:\.\d+)?)")


class SubmitRefused(ValueError):
    """Why spark-submit ends without a job."""


@dataclass(frozen=True)
class SparkSubmit:
    """A command line. ``conf`` has the dedicated options under their properties' names."""

    script: str
    arguments: tuple[str, ...]
    conf: Mapping[str, str]

    @property
    def py_files(self) -> tuple[str, ...]:
        """URIs of what is added to the Python path."""
        return tuple(part.strip() for part in self.conf.get("spark.submit.pyFiles", "").split(",") if part.strip())


def split_command(text: str) -> list[str]:
    """The words of a command line; SubmitRefused for a quote that does not end."""
    try:
        return shlex.split(text)
    except ValueError as failure:
        raise SubmitRefused(f"{failure}: {text}") from None


def read_command(
    words: Sequence[str], script: str = "", arguments: Sequence[str] = (), defaults: Mapping[str, str] | None = None
) -> SparkSubmit:
    """What the words after ``spark-submit`` ask for; SubmitRefused in Spark's words.

    ``script`` and ``arguments`` are given where they come apart from the options, ``defaults`` are those of
    spark-defaults.conf.
    """
    conf: dict[str, str] = {}
    dedicated: dict[str, str] = {}
    rest = list(words)
    while rest:
        word = rest.pop(0)
        match = _WITH_EQUALS.fullmatch(word)
        name, given = (match[1], match[2]) if match else (_SHORT.get(word, word), None)
        if name in _SWITCHES and given is None:
            continue
        if name not in _VALUED:
            if word.startswith("-"):
                raise SubmitRefused(f"Unrecognized option '{word}'.")
            if script:
                raise SubmitRefused(f"Unexpected argument '{word}' among the options.")
            script, arguments = word, tuple(rest)
            break
        if given is None and not rest:
            raise SubmitRefused(f"Missing argument for option '{name}'.")
        value = given if given is not None else rest.pop(0)
        if name == "--conf":
            key, equals, text = value.partition("=")
            if not equals:
                raise SubmitRefused(f"Spark config without '=': {value}")
            conf[key.strip()] = text.strip()
        elif _VALUED[name]:
            dedicated[_VALUED[name]] = value
    if not script:
        raise SubmitRefused("Must specify a primary resource (JAR or Python or R file)")
    if not script.endswith(".py"):
        raise SubmitRefused(f"The lab runs Python scripts, and {script} is none.")
    command = SparkSubmit(script, tuple(arguments), {**(defaults or {}), **conf, **dedicated})
    mode = command.conf.get("spark.submit.deployMode", "client")
    if mode not in ("client", "cluster"):
        raise SubmitRefused('Deploy mode must be either "client" or "cluster".')
    return command


def properties(configurations: Iterable[Mapping[str, Any]], classification: str) -> dict[str, str]:
    """The properties of a classification (``spark-defaults``) among EMR's configurations; boto3's casing or REST's."""
    found: dict[str, str] = {}
    for each in configurations:
        if each.get("classification", each.get("Classification")) == classification:
            found |= each.get("properties", each.get("Properties")) or {}
    return found


def exported(configurations: Iterable[Mapping[str, Any]], classification: str) -> dict[str, str]:
    """The environment that a classification (``spark-env``) exports."""
    found: dict[str, str] = {}
    for each in configurations:
        if each.get("classification", each.get("Classification")) == classification:
            found |= properties(each.get("configurations", each.get("Configurations")) or (), "export")
    return found


# Sizes


def mebibytes(text: str) -> float:
    """A size as Spark writes it (``14G``, ``512m``), MiB where it has no unit; SubmitRefused for another form."""
    match = _SIZE.fullmatch(text.strip())
    if match is None:
        raise SubmitRefused(f"Size must be specified as bytes (b), kibibytes (k), ... Fractional values: {text}")
    return int(match[1]) * _MEBIBYTES[match[2].lower()]


@dataclass(frozen=True)
class Worker:
    """A driver or an executor: its cores, and its memory with the overhead in whole GB."""

    cores: int
    memory: int


def worker(conf: Mapping[str, str], kind: str, cores: int, memory: str) -> Worker:
    """The driver or executor of a job; ``cores`` and ``memory`` where the job says nothing."""
    heap = mebibytes(conf.get(f"spark.{kind}.memory", memory))
    overhead = conf.get(f"spark.{kind}.memoryOverhead")
    factor = float(conf.get(f"spark.{kind}.memoryOverheadFactor", "0.1"))
    total = heap + (mebibytes(overhead) if overhead else max(384.0, heap * factor))
    return Worker(whole(conf, f"spark.{kind}.cores", cores), math.ceil(total / 1024))


def whole(conf: Mapping[str, str], name: str, default: int) -> int:
    """A property that is a whole number above 0."""
    text = conf.get(name, str(default))
    if not text.isdigit() or int(text) == 0:
        raise SubmitRefused(f"{name} should be a positive number, but was {text}.")
    return int(text)


# Python


def interpreters(environment: Mapping[str, str], executors: Mapping[str, str], conf: Mapping[str, str]) -> list[str]:
    """The paths of the driver's and the executors' Python, empty where nobody chooses one.

    ``environment`` is that of the driver, ``executors`` what is set for the executors alone.
    """
    chosen = conf.get("spark.pyspark.python") or environment.get("PYSPARK_PYTHON", "")
    driver = conf.get("spark.pyspark.driver.python") or environment.get("PYSPARK_DRIVER_PYTHON", "") or chosen
    return [driver, executors.get("PYSPARK_PYTHON", "") or chosen]


def for_driver(conf: Mapping[str, str]) -> dict[str, str]:
    """A job's settings without those that choose its Python by a path of EMR's machines."""
    chosen = ("spark.pyspark.python", "spark.pyspark.driver.python")
    return {name: value for name, value in conf.items() if name not in chosen and "Env.PYSPARK_" not in name}


def python_of(paths: Iterable[str], installed: Sequence[str]) -> str:
    """The version of Python of a job, of those ``installed``, whose first is the default.

    SubmitRefused for an interpreter that the release does not have, and for two versions.
    """
    versions = []
    for path in paths:
        match = _INTERPRETER.fullmatch(path) if path else None
        version = match[1] if match else ""
        version = installed[0] if not path or version == "3" else version
        if version not in installed:
            raise SubmitRefused(f'java.io.IOException: Cannot run program "{path}": error=2, No such file or directory')
        versions.append(version)
    driver, *others = versions
    for version in others:
        if version != driver:
            raise SubmitRefused(
                f"[PYTHON_VERSION_MISMATCH] Python in worker has different version: {version} than that in driver: "
                f"{driver}, PySpark cannot run with different minor versions."
            )
    return driver
