# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The releases of EMR: which Spark and which Pythons they have."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from lab.behaviours import Behaviour
from lab.rules import rule
from lab.spark.runs import Release
from lab.spark.spark_submit import python_of
from lab.world import World

PYTHONS = rule(
    "emr-pythons",
    service="emr",
    says="Releases 7.x have Python 3.9, which Spark takes unless told otherwise, and 3.11; emr-spark-8.1.0 has 3.12 "
    "(the lab plays 3.11 and 3.13 as defaults too)",
    fact="Amazon EMR release guide, application versions; spark.md 3, where the sources disagree",
    test="test_emr_serverless.py::test_python_is_chosen",
    confirmed=False,
)
NO_BOTO3 = rule(
    "emr-no-boto3",
    service="emr",
    says="The releases' Pythons have no boto3 (or have it: the lab plays either)",
    fact="EMR Serverless user guide, Using Python libraries (names NumPy, pandas, PyArrow only); spark.md 3",
    test="test_emr_serverless.py::test_boto3_may_be_there",
    confirmed=False,
)

DEFAULT_PYTHON, DEFAULT_PYTHON_8, BOTO3 = "emr.default_python", "emr.default_python_8", "emr.boto3"
BEHAVIOURS = (
    Behaviour(DEFAULT_PYTHON, ("3.9", "3.11")),
    Behaviour(DEFAULT_PYTHON_8, ("3.12", "3.13", "3.11")),
    Behaviour(BOTO3, ("absent", "present")),
)


@dataclass(frozen=True)
class _Contents:
    """A release: the lab's Spark nearest to its own, and its Pythons besides the default one."""

    spark: str
    default_python: str
    pythons: tuple[str, ...] = ()


_RELEASES: Mapping[str, _Contents] = {
    "emr-7.14.0": _Contents("3.5.6", DEFAULT_PYTHON, ("3.9", "3.11")),
    "emr-spark-8.1.0": _Contents("4.1.1", DEFAULT_PYTHON_8),
}
LABELS = tuple(_RELEASES)


def release(world: World, label: str, interpreters: Iterable[str]) -> Release:
    """The release ``label`` (one of ``LABELS``) with the Python of these paths; SubmitRefused where it has not."""
    contents = _RELEASES[label]
    default = world.behaviours[contents.default_python]
    python = python_of(interpreters, [default, *(each for each in contents.pythons if each != default)])
    return Release(label, contents.spark, python, world.behaviours[BOTO3] == "present")
