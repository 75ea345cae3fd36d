# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spark jobs of the lab: what they find of Python and of AWS, and how they end."""

from __future__ import annotations

import io
import queue
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from lab.client import RunningLab
from lab.controller import tree
from lab.identity import Role
from lab.spark.engine import ENGINES, Engine, engine
from lab.spark.fetch import main
from lab.spark.runs import Outcome, SparkRun, Submission, spark_runs
from tests.unit.lab.spark.conftest import BUCKET, EMR_7, GLUE_6, allowing, submission

Put = Callable[[str, bytes | str], str]
WRITES = f"""
import sys
import boto3
from pyspark import SparkContext
from brought import WORD

def task(numbers):
    import boto3
    for number in numbers:
        boto3.client("s3").put_object(Bucket="{BUCKET}", Key=f"out/{{number}}", Body=WORD.encode())

context = SparkContext()
print(sys.argv)
context.parallelize([1, 2, 3], 2).foreachPartition(task)
boto3.client("s3").put_object(Bucket="{BUCKET}", Key="out/arguments", Body=repr(sys.argv[1:]).encode())
"""


def started(lab: RunningLab, job: Submission) -> tuple[SparkRun, queue.SimpleQueue[Outcome]]:
    ends: queue.SimpleQueue[Outcome] = queue.SimpleQueue()
    return spark_runs(lab.world).submit(job, ends.put), ends


def ended(lab: RunningLab, job: Submission) -> Outcome:
    return started(lab, job)[1].get(timeout=240)


def body(lab: RunningLab, key: str) -> str:
    return str(lab.client("s3", "destination").get_object(Bucket=BUCKET, Key=key)["Body"].read().decode())


def keys(lab: RunningLab, prefix: str) -> set[str]:
    listed = lab.client("s3", "destination").list_objects_v2(Bucket=BUCKET, Prefix=prefix)
    return {each["Key"] for each in listed.get("Contents", ())}


@pytest.mark.usefixtures("spark")
def test_a_job_writes_under_its_role(lab: RunningLab, role: Role, put: Put) -> None:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        archive.writestr("brought.py", "WORD = 'written'")
    job = submission(
        role, put("code/job.py", WRITES), "--plan", "x y", py_files=(put("code/more.zip", packed.getvalue()),)
    )
    outcome = ended(lab, job)
    assert (outcome.state, outcome.message) == ("succeeded", "")
    assert outcome.seconds > 0
    assert {body(lab, f"out/{number}") for number in (1, 2, 3)} == {"written"}
    assert body(lab, "out/arguments") == "['--plan', 'x y']"
    session = f"arn:aws:sts::{role.account_id}:assumed-role/{role.name}/spark"
    assert [call["principal_arn"] for call in lab.calls("PutObject") if call["principal_arn"] == session]
    assert {each["action"] for each in lab.permissions(role.arn)} == {"s3:GetObject", "s3:PutObject"}


@pytest.mark.usefixtures("spark")
def test_a_session_policy_narrows_the_role(lab: RunningLab, role: Role, put: Put) -> None:
    script = put("code/job.py", WRITES.replace("from brought import WORD", "WORD = ''"))
    narrow = allowing("s3:*", resource=f"arn:aws:s3:::{BUCKET}/code/*")
    outcome = ended(lab, submission(role, script, session_policy=narrow))
    assert outcome.state == "failed"
    assert "AccessDenied" in outcome.message
    assert keys(lab, "out/") == set()


def test_the_script_is_read_under_the_role(lab: RunningLab, role: Role, put: Put) -> None:
    script = put("code/job.py", "")
    absent = ended(lab, submission(role, f"s3://{BUCKET}/code/other.py"))
    assert absent.state == "failed"
    assert absent.message.startswith(f"Error downloading from S3 for bucket: {BUCKET}, key: code/other.py. ")
    role.inline["objects"] = allowing("s3:PutObject")
    denied = ended(lab, submission(role, script))
    assert denied.state == "failed"
    assert "Status Code: 403; Error Code: AccessDenied" in denied.message


@pytest.mark.usefixtures("spark")
def test_a_job_has_what_its_release_has(lab: RunningLab, role: Role, put: Put) -> None:
    script = put(
        "code/job.py",
        "import importlib.util, os, sys\n"
        "names = [each for each in ('boto3', 'msgspec', 'isal', 'pyspark') if importlib.util.find_spec(each)]\n"
        "sys.exit(f'{sys.version_info[:2]} {names} {sorted(name for name in os.environ if name.startswith(\"AWS\"))}')",
    )
    environment = [
        f"AWS_{each}"
        for each in (
            "CONTAINER_AUTHORIZATION_TOKEN", "CONTAINER_CREDENTIALS_FULL_URI", "DEFAULT_REGION",
            "EC2_METADATA_DISABLED", "ENDPOINT_URL", "REGION",
        )
    ]  # fmt: skip
    assert ended(lab, submission(role, script)).message == f"(3, 11) ['boto3', 'pyspark'] {environment}"
    assert ended(lab, submission(role, script, release=EMR_7)).message == f"(3, 11) ['pyspark'] {environment}"


@pytest.mark.usefixtures("spark_4")
def test_a_job_on_the_newer_spark(lab: RunningLab, role: Role, put: Put) -> None:
    script = put(
        "code/job.py", WRITES.replace("from brought import WORD", "import sys\nWORD = str(sys.version_info[:2])")
    )
    assert ended(lab, submission(role, script, release=GLUE_6)).message == ""
    assert body(lab, "out/1") == "(3, 13)"


@pytest.mark.usefixtures("spark")
def test_a_task_is_tried_four_times(lab: RunningLab, role: Role, put: Put) -> None:
    script = put(
        "code/job.py",
        "import os\n"
        "from pyspark import SparkContext\n"
        "def task(_numbers):\n"
        "    open('tries', 'a').write('x')\n"
        "    raise SystemError(f'tried {os.path.getsize(\"tries\")}')\n"
        "try:\n"
        "    SparkContext().parallelize([1], 1).foreachPartition(task)\n"
        "except Exception:\n"
        "    raise SystemExit(open('tries').read()) from None\n",
    )
    outcome = ended(lab, submission(role, script))
    assert (outcome.state, outcome.message.splitlines()[-1]) == ("failed", "xxxx")


@pytest.mark.usefixtures("spark")
def test_credentials_are_renewed(lab: RunningLab, role: Role, put: Put, tmp_path: Path) -> None:
    spark_runs(lab.world)
    lab.choose_behaviours({"spark.credentials_seconds": "20", "spark.jumps_wait_seconds": "0"})
    go = tmp_path / "go"  # no request is under way while the time moves on
    script = put(
        "code/job.py",
        "import boto3, os, time\n"
        "client = boto3.client('s3')\n"
        "for number in range(2):\n"
        f"    client.put_object(Bucket='{BUCKET}', Key=f'out/{{number}}', Body=b'')\n"
        f"    while not os.path.exists({str(go)!r}):\n"
        "        time.sleep(0.05)\n",
    )
    _run, ends = started(lab, submission(role, script))
    wait_for(lambda: keys(lab, "out/") == {"out/0"})
    lab.advance(25)
    go.touch()
    assert ends.get(timeout=240).state == "succeeded"
    assert keys(lab, "out/") == {"out/0", "out/1"}


@pytest.mark.usefixtures("spark")
def test_time_does_not_jump_past_a_job(lab: RunningLab, role: Role, put: Put) -> None:
    now = lab.world.clock.now()
    script = put("code/job.py", WRITES.replace("from brought import WORD", "WORD = ''"))
    _run, ends = started(lab, submission(role, script))
    while ends.empty():
        lab.advance(30)
    assert ends.get().state == "succeeded"
    assert lab.world.clock.now() - now < 3600


@pytest.mark.usefixtures("spark")
def test_a_stopped_job_leaves_nothing_running(lab: RunningLab, role: Role, put: Put) -> None:
    script = put(
        "code/job.py",
        "import boto3, os, time\n"
        "from pyspark import SparkContext\n"
        "def task(numbers):\n"
        "    import boto3\n"
        f"    boto3.client('s3').put_object(Bucket='{BUCKET}', Key=f'pids/{{os.getpid()}}', Body=b'')\n"
        "    time.sleep(600)\n"
        f"boto3.client('s3').put_object(Bucket='{BUCKET}', Key=f'pids/{{os.getpid()}}', Body=b'')\n"
        "SparkContext().parallelize([1, 2], 2).foreachPartition(task)\n",
    )
    run, ends = started(lab, submission(role, script))
    wait_for(lambda: len(keys(lab, "pids/")) == 3)
    run.stop()
    assert ends.get(timeout=60).state == "stopped"
    pids = [int(key.rpartition("/")[2]) for key in keys(lab, "pids/")]
    wait_for(lambda: not any(set(tree(pid).values()) - {"Z", "X"} for pid in pids))
    assert list((lab.world.data_directory / "spark").iterdir()) == []


def wait_for(holds: Callable[[], Any], seconds: float = 240.0) -> None:
    end = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < end
        time.sleep(0.05)


def test_a_job_of_an_unknown_release_fails(lab: RunningLab, role: Role, put: Put) -> None:
    other = EMR_7.__class__("glue 9", "9.9", "3.11", True)
    outcome = ended(lab, submission(role, put("code/job.py", ""), release=other))
    assert outcome.state == "failed"
    assert "The lab cannot run glue 9: Spark 9.9: The lab has no Spark 9.9" in outcome.message


def test_what_a_machine_lacks_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: Any) -> None:
    monkeypatch.setenv("TABLEFERRY_SPARK", str(tmp_path))
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setattr("lab.spark.engine.java", lambda: "")
    assert ENGINES[0].folder == tmp_path / "3.5.6"
    monkeypatch.setattr("lab.spark.engine.python", lambda version: "python")
    assert main([]) == 0
    left_out = "left out, Java 17 not found on this machine\n"
    assert capsys.readouterr().out == f"spark 3.5.6: {left_out}spark 4.1.1: {left_out}"
    monkeypatch.setenv("CI", "true")
    assert main([]) == 1
    assert main(["4.1.1"]) == 1
    monkeypatch.setattr("lab.spark.engine.java", lambda: "java")
    monkeypatch.setattr("lab.spark.engine.python", lambda version: "python")
    assert engine("3.5.6").why_not() == "not fetched: run make spark"
    assert Engine("1.0", "3.11", "1").folder == tmp_path / "1.0"


def test_only_the_newer_spark_may_lack_its_python(monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    monkeypatch.setenv("CI", "true")
    monkeypatch.setattr("lab.spark.engine.java", lambda: "java")
    monkeypatch.setattr("lab.spark.engine.Engine.why_not", lambda engine: "")
    monkeypatch.setattr("lab.spark.engine.python", lambda version: "" if version == "3.13" else "python")
    assert main([]) == 0
    left_out = "spark 4.1.1: left out, Python 3.13 not found on this machine\n"
    assert capsys.readouterr().out == f"spark 3.5.6: ready\n{left_out}"
    assert main(["4.1.1"]) == 1
    monkeypatch.setattr("lab.spark.engine.python", lambda version: "")
    assert main([]) == 1
