# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job that is killed in the middle, and the runs after it."""

from __future__ import annotations

import time
from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.spark.package import Package
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from tests.unit.on_lab.conftest import BUCKET, Crossing
from tests.unit.on_lab.spark.jobs import SECONDS, GlueRun, results
from tests.unit.on_lab.spark.test_executors import expected, made


def result_times(crossing: Crossing, plan: JobPlan) -> dict[str, object]:
    """When each result was written."""
    listed = crossing.s3.list_objects_v2(Bucket=BUCKET, Prefix=plan.results_prefix).get("Contents", ())
    return {each["Key"]: each["LastModified"] for each in listed}


@pytest.mark.usefixtures("spark")
def test_a_killed_job_goes_on_with_files_that_have_no_result(crossing: Crossing, package: Package) -> None:
    # 2 tasks at 8 items a second each: the whole takes half a minute, the first files a few seconds.
    slow = made(crossing, "killed", 60, 8, rate=16.0)
    run = GlueRun(crossing, "5.1", package, slow)
    crossing.lab.choose_behaviours({"spark.jumps_wait_seconds": "0"})
    end = time.monotonic() + SECONDS
    while not results(crossing, slow):
        assert time.monotonic() < end
        crossing.lab.advance(1)
        time.sleep(0.1)
    run.stop()
    crossing.lab.choose_behaviours({"spark.jumps_wait_seconds": "20"})
    assert run.ended().state == "STOPPED"
    before, written = results(crossing, slow), result_times(crossing, slow)
    assert 0 < len(before) < len(slow.files)
    assert crossing.items("destination", slow.table) != expected(slow)

    # An item of a finished file is taken away: a run that wrote the file again would bring it back.
    finished = next(number for number, file in enumerate(slow.files) if file.key in before)
    taken = {"id": {"S": f"T#{finished:02d}-00"}}
    crossing.lab.client("dynamodb", "destination").delete_item(TableName=slow.table, Key=taken)
    again = replace(slow, run="run-again", rate=0.0)
    ended = GlueRun(crossing, "5.1", package, again).ended()
    assert (ended.state, ended.message) == ("SUCCEEDED", "")
    assert crossing.items("destination", slow.table) == [item for item in expected(slow) if item != taken]
    after = results(crossing, slow)
    assert {key: result.written for key, result in after.items()} == {file.key: file.items for file in slow.files}
    assert written.items() <= result_times(crossing, slow).items()
