# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run of a real Spark that takes longer than its credentials last, and loses a worker on its way."""

from __future__ import annotations

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.data_plane import ItemChoices
from lab.controller import tree
from lab.spark.runs import OnEnd, SparkRun, Submission, spark_runs
from tests.unit.on_lab.conftest import BUCKET, HASTE
from tests.unit.on_lab.methods.spark.test_glue import Glue, Playbook, glue, spark

__all__ = ["glue", "spark"]  # fixtures


def workers(run: SparkRun) -> list[int]:
    """The processes of Spark's Python workers, whose parent is a daemon of the same command line."""
    process = run._process
    if process is None:
        return []
    found = []
    for pid in tree(process.pid):
        with suppress(OSError):
            if b"pyspark.daemon" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.append(pid)
    return sorted(found)[1:]  # the first one is the daemon, which has made the others


@pytest.mark.skipif(not Path("/proc/self/cmdline").exists(), reason="needs /proc")
def test_a_run_outlives_its_credentials_and_a_worker_that_the_system_kills(
    glue: Glue, monkeypatch: pytest.MonkeyPatch
) -> None:
    runs = spark_runs(glue.lab.world)
    glue.lab.choose_behaviours({"spark.credentials_seconds": "20"})
    glue.table("long", [{"id": {"S": f"{number}"}} for number in range(120)])
    submit, begun, killed = runs.submit, [], []

    def submitting(submission: Submission, on_end: OnEnd) -> SparkRun:
        begun.append(submit(submission, on_end))
        return begun[-1]

    monkeypatch.setattr(runs, "submit", submitting)

    def sleep(seconds: float) -> None:
        listed = glue.s3.list_objects_v2(Bucket=BUCKET, Prefix="tableferry/spark/").get("Contents", ())
        writes = begun and any(each["Key"].endswith("/started.json") for each in listed)
        if writes and not killed and glue.lab.count("BatchWriteItem") > written:
            for pid in workers(begun[0])[:1]:
                os.kill(pid, signal.SIGKILL)
                killed.append(pid)
        time.sleep(seconds / HASTE)

    written = glue.lab.count("BatchWriteItem")
    playbook = Playbook(glue, 60)
    migration = playbook.start("long", items=ItemChoices(write_rate="4"))
    more: dict[str, Any] = {"sleep": sleep}
    judged = playbook.judged("long", playbook.wait("long", migration, **more))
    assert judged.failure is None, judged.failure
    assert (len(begun), len(killed)) == (1, 1)
    assert judged.items_source == judged.items_destination == 120
    assert glue.items("destination", "long") == glue.items("source", "long")
    job = playbook.waited.ways["it"][1]
    assert job.result["cost"]["seconds"] > 25  # 120 items at 4 a second
