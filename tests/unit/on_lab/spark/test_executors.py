# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The package where driver and executors are processes of their own, and where Python is too old for it."""

from __future__ import annotations

import gzip
import hashlib
import os
import signal
import subprocess
import time
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import KeySchema, TableSchemas
from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package, script
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from demo.tables import on_demand
from lab.controller import tree
from lab.spark.engine import Engine, engine, java, python, settings
from tests.unit.core.items.strategies import to_bytes
from tests.unit.on_lab.conftest import BUCKET, Crossing
from tests.unit.on_lab.spark.jobs import SECONDS, added_up, emr_run, planned, results

# Slots 1 each in two executors: JVMs with Python workers of their own, which share no memory with the driver.
SEPARATE = "local-cluster[2,1,1024]"
# Before the script, by the same interpreter: nothing that the package brings is there.
BARE = """
import importlib.util
for name in ("msgspec", "isal", "botocore", "boto3", "ansible_collections"):
    assert importlib.util.find_spec(name) is None, name
"""


def made(crossing: Crossing, name: str, number_of_files: int, items_each: int, rate: float = 0.0) -> JobPlan:
    """A plan for data files, made by hand as an export has them, and an empty table."""
    client = crossing.lab.client("dynamodb", "destination")
    table = client.create_table(TableName=name, **on_demand(("id", "S")))["TableDescription"]
    crossing.lab.advance(100)
    files = []
    for number in range(number_of_files):
        items = [{"id": {"S": f"{number:02d}-{each:02d}"}, "n": {"N": str(each)}} for each in range(items_each)]
        content = gzip.compress(b"".join(b'{"Item":%s}\n' % to_bytes(item) for item in items))
        key = f"tableferry/{name}/AWSDynamoDB/0/data/{number}.json.gz"
        crossing.s3.put_object(Bucket=BUCKET, Key=key, Body=content)
        files.append(ExportedFile(key, items_each, b64encode(hashlib.md5(content).digest()).decode()))
    return JobPlan(
        run=f"run-{name}",
        region=crossing.region,
        bucket=BUCKET,
        bucket_owner=crossing.destination.account_id,
        prefix=f"tableferry/spark/{name}/",
        table=name,
        table_id=table["TableId"],
        files=tuple(files),
        definition=Definition(
            [{"set": {"id": "T#{id}"}}, {"drop": ["n"]}], TableSchemas(KeySchema((KeyAttribute("id", "S"),)))
        ),
        dynamodb_url=crossing.lab.endpoint_url,
        rate=rate,
    )


def home_of(spark: Engine, directory: Path) -> Path:
    """A home of Spark where executors leave their files, instead of in the one that was fetched."""
    home = directory / "home"
    home.mkdir()
    for each in spark.home.iterdir():
        if each.name != "work":
            (home / each.name).symlink_to(each)
    return home


def expected(plan: JobPlan) -> list[dict[str, dict[str, str]]]:
    """The items of the table that the plan fills."""
    return [
        {"id": {"S": f"T#{number:02d}-{each:02d}"}}
        for number, file in enumerate(plan.files)
        for each in range(file.items)
    ]


@dataclass(frozen=True)
class Separate:
    """A job whose executors are processes of their own: its ``command``, its ``environment``, and the ``home`` of its
    Spark, below which they work."""

    command: list[str]
    environment: dict[str, str]
    home: Path


def separate(crossing: Crossing, package: Package, plan: JobPlan, version: str, directory: Path) -> Separate:
    """The job of ``plan`` on Spark ``version``, with what it needs in ``directory``."""
    (directory / package.name).write_bytes(package.content)
    (directory / "script.py").write_text(BARE + script().decode().replace("from __future__ import annotations\n", ""))
    spark = engine(version)
    home = home_of(spark, directory)
    (core,) = home.glob("jars/spark-core_*.jar")
    conf = {
        "spark.ui.enabled": "false",
        "spark.driver.host": "127.0.0.1",
        "spark.executor.memory": "512m",
        "spark.executor.extraJavaOptions": "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC",
        # Both executors are there before the first task, however slow the machine is: so each gets one.
        "spark.scheduler.minRegisteredResourcesRatio": "1.0",
        "spark.scheduler.maxRegisteredResourcesWaitingTime": "240s",
    }
    arguments = [*settings(conf), "--py-files", str(directory / package.name), str(directory / "script.py")]
    archive = [f"-XX:SharedArchiveFile={spark.archive}", "-Xlog:disable"]
    keys = crossing.lab.landscape["accounts"]["destination"]
    environment = spark.environment(directory, spark.python, boto3=False) | {
        "SPARK_HOME": str(home),
        "SPARK_SCALA_VERSION": core.name.partition("_")[2].partition("-")[0],
        "JAVA_HOME": str(Path(java()).resolve().parents[1]),
        "AWS_ACCESS_KEY_ID": keys["access_key"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
        "AWS_DEFAULT_REGION": crossing.region,
        "AWS_ENDPOINT_URL": crossing.lab.endpoint_url,
    }
    arguments += ["--plan", planned(crossing, plan), "--run", plan.run]
    return Separate(spark.command(directory, SEPARATE, arguments, archive), environment, home)


SPARKS = pytest.mark.parametrize(("version", "needs"), [("3.5.6", "spark"), ("4.1.1", "spark_4")])


@SPARKS
def test_the_package_loads_in_separate_executors(
    version: str, needs: str, request: pytest.FixtureRequest, crossing: Crossing, package: Package, tmp_path: Path
) -> None:
    request.getfixturevalue(needs)
    plan = made(crossing, f"executors-{version}", 4, 10)
    job = separate(crossing, package, plan, version, tmp_path)
    done = subprocess.run(
        job.command, env=job.environment, cwd=tmp_path, capture_output=True, text=True, check=False, timeout=300
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list(job.home.glob(f"work/*/*/{package.name}"))) >= 2  # each executor got the package
    assert crossing.items("destination", plan.table) == expected(plan)
    assert set(results(crossing, plan)) == {file.key for file in plan.files}


def executors(job: int) -> list[int]:
    """The process ids of the executors of a job."""
    lines = {pid: Path(f"/proc/{pid}/cmdline") for pid in tree(job)}
    return [
        pid for pid, line in lines.items() if line.exists() and b"CoarseGrainedExecutorBackend" in line.read_bytes()
    ]


@SPARKS
def test_a_job_goes_on_when_an_executor_is_lost_while_it_writes(
    version: str, needs: str, request: pytest.FixtureRequest, crossing: Crossing, package: Package, tmp_path: Path
) -> None:
    request.getfixturevalue(needs)
    # 2 tasks at 8 items a second each: the whole takes half a minute, the first files a few seconds.
    plan = made(crossing, f"lost-{version}", 60, 8, rate=16.0)
    job = separate(crossing, package, plan, version, tmp_path)
    with (
        (tmp_path / "output").open("w+") as output,
        subprocess.Popen(job.command, env=job.environment, cwd=tmp_path, stdout=output, stderr=output) as process,
    ):
        end = time.monotonic() + SECONDS
        while not results(crossing, plan) and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.1)
        before = results(crossing, plan)
        lost, _other = executors(process.pid)
        os.kill(lost, signal.SIGKILL)
        assert process.wait(SECONDS) == 0, (tmp_path / "output").read_text()[-4000:]
    assert 0 < len(before) < len(plan.files)
    assert len(list(job.home.glob("work/*/*"))) == 3  # another one took the place of the one that was lost
    assert crossing.items("destination", plan.table) == expected(plan)
    after = results(crossing, plan)
    assert {key: result.written for key, result in after.items()} == {file.key: file.items for file in plan.files}
    assert added_up(after)["read"] == 60 * 8


@pytest.mark.usefixtures("spark")
def test_a_python_that_is_too_old_is_told(crossing: Crossing, package: Package) -> None:
    if not python("3.9"):
        pytest.skip("Python 3.9 not found on this machine")
    plan = made(crossing, "old", 1, 1)
    ended = emr_run(crossing, "emr-7.14.0", package, plan)  # whose default it is
    assert ended.state == "FAILED"
    assert (
        "TableFerry's Spark job needs Python 3.11 or newer, and this is Python 3.9. Choose a newer release, or on EMR"
        " another PYSPARK_PYTHON."
    ) in ended.message
    assert crossing.items("destination", "old") == []
    assert results(crossing, plan) == {}
