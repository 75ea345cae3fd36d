# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A lab whose engines run Spark for real, and a job's role in its destination account."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from lab.client import RunningLab, running
from lab.identity import Role
from lab.landscape import DESTINATION, REGION
from lab.spark.engine import ENGINES
from lab.spark.runs import Release, Submission

BUCKET = "staging-of-jobs"
GLUE_5_1 = Release("glue 5.1", "3.5.6", "3.11", True)
GLUE_6 = Release("glue 6.0", "4.1.1", "3.13", True)
EMR_7 = Release("emr-7.14.0", "3.5.6", "3.11", False)


@pytest.fixture(scope="session")
def spark() -> None:
    """Spark on this machine; without it the test is left out, in continuous integration never."""
    reason = ENGINES[0].why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"spark {ENGINES[0].version}: {reason}")
    if reason:
        pytest.skip(f"spark {ENGINES[0].version}: {reason}")


@pytest.fixture(scope="session")
def spark_4() -> None:
    """The newer Spark; without it the test is left out, in continuous integration only where its tools are missing."""
    reason = ENGINES[1].why_not()
    if reason and not ENGINES[1].missing_tools() and os.environ.get("CI") == "true":
        pytest.fail(f"spark {ENGINES[1].version}: {reason}")
    if reason:
        pytest.skip(f"spark {ENGINES[1].version}: {reason}")


@pytest.fixture
def lab() -> Iterator[RunningLab]:
    with running() as lab:
        lab.client("s3", "destination").create_bucket(
            Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
        )
        yield lab


@pytest.fixture
def put(lab: RunningLab) -> Callable[[str, bytes | str], str]:
    """Writes an object into the bucket; its URI."""

    def write(key: str, content: bytes | str) -> str:
        lab.client("s3", "destination").put_object(Bucket=BUCKET, Key=key, Body=content)
        return f"s3://{BUCKET}/{key}"

    return write


def allowing(*actions: str, resource: str = "*") -> str:
    statement = {"Effect": "Allow", "Action": list(actions), "Resource": resource}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def role(lab: RunningLab) -> Role:
    """The job's role, which may read and write objects."""
    made = lab.world.identity.add_role(DESTINATION, "spark-job", trusting("glue.amazonaws.com"))
    made.inline["objects"] = allowing("s3:GetObject", "s3:PutObject")
    return made


def trusting(service: str) -> str:
    statement = {"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole"}
    return json.dumps({"Version": "2012-10-17", "Statement": [statement]})


def submission(role: Role, script: str, *arguments: str, **members: Any) -> Submission:
    usual: dict[str, Any] = {
        "release": GLUE_5_1,
        "account_id": DESTINATION,
        "region": REGION,
        "role_arn": role.arn,
        "session_policy": "",
        "py_files": (),
        "conf": {},
        "slots": 2,
    }
    return Submission(script=script, arguments=arguments, **{**usual, **members})


def pytest_terminal_summary(terminalreporter: Any) -> None:
    """Report what was left out, so that a short run is not mistaken for a complete one."""
    for engine in ENGINES:
        if reason := engine.why_not():
            terminalreporter.write_line(f"LEFT OUT: jobs on Spark {engine.version}: {reason}")
