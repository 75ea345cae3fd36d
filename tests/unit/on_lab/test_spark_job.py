# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The Spark job's own work over an export of the lab, without Spark: what a run finds, does and leaves."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    CollidingKeys,
    InvalidInput,
    InvalidTransform,
    ServiceError,
    TableVanished,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.manifest import read_manifest
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging import StagingBucket
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import schemas_of
from ansible_collections.tableferry.aws.plugins.module_utils.spark import driver
from ansible_collections.tableferry.aws.plugins.module_utils.spark.files import FileResult
from ansible_collections.tableferry.aws.plugins.module_utils.spark.job import begin, write_share
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan
from demo.tables import on_demand
from tests.unit.on_lab.conftest import BUCKET, Crossing
from tests.unit.spark.local_context import LocalContext

PREFIX = "tableferry/spark/"
PLAN = f"{PREFIX}plan.json"
URI = f"s3://{BUCKET}/{PLAN}"
STEPS = [{"drop": ["n"]}, {"set": {"id": "TENANT#{id}"}}]


@pytest.fixture(autouse=True)
def job_role(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The credentials and endpoints that the engine gives a job."""
    keys = crossing.lab.landscape["accounts"]["destination"]
    for name, value in {
        "AWS_ACCESS_KEY_ID": keys["access_key"],
        "AWS_SECRET_ACCESS_KEY": keys["secret_key"],
        "AWS_DEFAULT_REGION": crossing.region,
        "AWS_ENDPOINT_URL": crossing.lab.endpoint_url,
    }.items():
        monkeypatch.setenv(name, value)


def planned(crossing: Crossing, name: str, **changes: Any) -> JobPlan:
    """A plan for an export of a new table ``name``, whose copy is made; it lies in the bucket."""
    crossing.table(name)
    export = crossing.export(name)
    bucket = StagingBucket(crossing.destination, BUCKET, crossing.destination.account_id)
    manifest = read_manifest(bucket, export.result["manifest_key"])
    client = crossing.lab.client("dynamodb", "destination")
    made = client.create_table(TableName=f"{name}-copy", **on_demand(("id", "S")))["TableDescription"]
    client.get_waiter("table_exists").wait(TableName=f"{name}-copy", WaiterConfig={"Delay": 1})
    plan = JobPlan(
        run=f"run-{name}",
        region=crossing.region,
        bucket=BUCKET,
        bucket_owner=crossing.destination.account_id,
        prefix=f"{PREFIX}{name}/",
        table=f"{name}-copy",
        table_id=made["TableId"],
        files=tuple(ExportedFile(file.key, file.items, file.md5) for file in manifest.files),
        definition=Definition(STEPS, schemas_of(crossing.described(name, "source"))),
        dynamodb_url=crossing.lab.endpoint_url,
    )
    return put(crossing, replace(plan, **changes))


def put(crossing: Crossing, plan: JobPlan) -> JobPlan:
    crossing.s3.put_object(Bucket=BUCKET, Key=PLAN, Body=plan.to_json())
    return plan


def results(crossing: Crossing, plan: JobPlan) -> list[FileResult]:
    pages = crossing.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=plan.results_prefix)
    keys = [each["Key"] for page in pages for each in page.get("Contents", ())]
    return [
        FileResult.from_json(json.load(crossing.s3.get_object(Bucket=BUCKET, Key=key)["Body"])) for key in sorted(keys)
    ]


def test_an_export_becomes_a_table_whose_items_were_changed(crossing: Crossing) -> None:
    plan = planned(crossing, "changed")
    work = begin(URI, plan.run, 3)
    assert sum(len(task) for task in work.tasks) == len(plan.files)
    for message in work.messages():
        write_share(message)
    items = [{"id": {"S": f"TENANT#item-{number:03d}"}} for number in range(100)]
    assert crossing.items("destination", "changed-copy") == items
    assert sum(result.written for result in results(crossing, plan)) == 100
    assert sum(result.read for result in results(crossing, plan)) == sum(file.items for file in plan.files)
    assert json.load(crossing.s3.get_object(Bucket=BUCKET, Key=plan.started_key)["Body"])["run"] == plan.run


def test_a_run_takes_up_only_files_without_a_result(crossing: Crossing) -> None:
    plan = planned(crossing, "halfway")
    messages = begin(URI, plan.run, len(plan.files)).messages()
    assert len(messages) > 1
    write_share(messages[0])
    (done,) = results(crossing, plan)
    again = begin(URI, plan.run, 100)
    assert {file.key for task in again.tasks for file in task} == {file.key for file in plan.files} - {done.key}
    for message in again.messages():
        write_share(message)
    assert len(crossing.items("destination", "halfway-copy")) == 100
    assert begin(URI, plan.run, 100).tasks == ()


def test_the_rate_is_shared_by_the_tasks(crossing: Crossing) -> None:
    plan = planned(crossing, "slow", rate=90.0)
    parts = [JobPlan.from_json(message) for message in begin(URI, plan.run, 3).messages()]
    assert sum(part.rate for part in parts) == pytest.approx(90.0)


def test_another_table_of_that_name_is_not_written_to(crossing: Crossing) -> None:
    plan = planned(crossing, "replaced", table_id="another")
    (message, *_others) = begin(URI, plan.run, 2).messages()
    with pytest.raises(TableVanished, match="another one now"):
        write_share(message)
    assert crossing.items("destination", "replaced-copy") == []
    assert results(crossing, plan) == []


def test_the_plan_of_another_run_is_refused(crossing: Crossing) -> None:
    plan = planned(crossing, "other")
    with pytest.raises(InvalidInput, match=f"of the run {plan.run}, not of mine"):
        begin(URI, "mine", 2)


def test_a_bucket_of_another_owner_is_refused(crossing: Crossing) -> None:
    plan = planned(crossing, "owner", bucket_owner="111111111111")
    with pytest.raises(ServiceError, match=r"PutObject of .* failed in the job"):
        begin(URI, plan.run, 2)


def test_a_file_that_is_gone_is_told_by_its_name(crossing: Crossing) -> None:
    plan = planned(crossing, "gone", files=(ExportedFile("tableferry/none.json.gz", 1),))
    (message,) = begin(URI, plan.run, 2).messages()
    with pytest.raises(ServiceError, match=r"GetObject of tableferry/none.json.gz") as caught:
        write_share(message)
    assert caught.value.details["code"] == "NoSuchKey"


def driven(crossing: Crossing, plan: JobPlan, monkeypatch: pytest.MonkeyPatch) -> LocalContext:
    """The whole job, its tasks in this process."""
    monkeypatch.setattr(driver, "_use_unpacked", lambda _archive: None)
    context = LocalContext()
    driver.main(["--JOB_NAME", "x", "--plan", URI, "--run", plan.run], context, Path("package.zip"))
    return context


COLLIDING = [{"set": {"id": "SAME"}}]


def test_nothing_is_written_where_keys_collide(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(crossing, "colliding")
    plan = put(crossing, replace(plan, definition=replace(plan.definition, steps=COLLIDING)))
    for _run in range(2):  # another run knows it without reading the files again
        with pytest.raises(CollidingKeys, match="99 items of the source a key that another one has"):
            driven(crossing, plan, monkeypatch)
    assert crossing.items("destination", "colliding-copy") == []
    found = json.load(crossing.s3.get_object(Bucket=BUCKET, Key=plan.collisions_key)["Body"])
    assert found["lost"] == 99
    assert found["first"][0]["key"] == {"id": {"S": "SAME"}}
    failure = json.load(crossing.s3.get_object(Bucket=BUCKET, Key=plan.failed_key)["Body"])
    assert failure["error"] == "CollidingKeys"
    assert "item-" not in json.dumps(failure)


def test_one_of_those_that_collide_is_kept_where_that_is_asked(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(crossing, "losing")
    steps = replace(plan.definition, steps=COLLIDING)
    plan = put(crossing, replace(plan, definition=steps, lose_colliding=True))
    assert driven(crossing, plan, monkeypatch).collections == 3
    (item,) = crossing.items("destination", "losing-copy")
    assert item["id"] == {"S": "SAME"}
    assert driven(crossing, plan, monkeypatch).collections == 0  # all is done


def test_keys_that_are_apart_are_looked_at_once(crossing: Crossing, monkeypatch: pytest.MonkeyPatch) -> None:
    plan = planned(crossing, "apart")
    plan = put(crossing, replace(plan, definition=replace(plan.definition, steps=[{"set": {"id": "{id}{id}"}}])))
    assert driven(crossing, plan, monkeypatch).collections == 2
    assert len(crossing.items("destination", "apart-copy")) == 100


def test_steps_that_cannot_be_used_are_told_before_any_task(
    crossing: Crossing, monkeypatch: pytest.MonkeyPatch
) -> None:
    plan = planned(crossing, "unusable")
    plan = put(crossing, replace(plan, definition=replace(plan.definition, steps=[{"dorp": ["n"]}])))
    with pytest.raises(InvalidTransform, match="no such step"):
        driven(crossing, plan, monkeypatch)
    failure = json.load(crossing.s3.get_object(Bucket=BUCKET, Key=plan.failed_key)["Body"])
    assert failure["error"] == "InvalidTransform"
