# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The plan of a job: what is written is what is read, and files are shared evenly."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput, InvalidTransform
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.answers import KeyAttribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.definition import Definition
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.schemas import (
    KeySchema,
    TableSchemas,
)
from ansible_collections.tableferry.aws.plugins.module_utils.spark.driver import Asked, read_arguments
from ansible_collections.tableferry.aws.plugins.module_utils.spark.plan import JobPlan, shares

KEY = KeySchema((KeyAttribute("pk", "S"),), (KeyAttribute("sk", "N"),))
INDEX = KeySchema((KeyAttribute("mail", "S"),), local=True)


def planned(**definition: object) -> JobPlan:
    return JobPlan(
        run="token",
        region="eu-west-1",
        bucket="staging",
        bucket_owner="222222222222",
        prefix="tableferry/t/spark/",
        table="copy",
        table_id="id",
        files=(ExportedFile("t/data/a.json.gz", 7, "md5"), ExportedFile("t/data/b.json.gz", 0)),
        definition=Definition(**{"steps": [], "source": TableSchemas(KEY, {"by_mail": INDEX}), **definition}),
        dynamodb_url="https://dynamodb.eu-west-1.amazonaws.com",
        rate=12.5,
    )


def test_a_plan_is_read_as_it_was_written() -> None:
    plan = planned(
        steps=[{"hash": {"attributes": ["note"], "salt_from": "env:SALT"}}, {"drop": ["#d"]}],
        names={"#d": "de bug"},
        values={},
        at=1_700_000_000.5,
        salts={"env:SALT": b"\x00\xff secret"},
        files={"f.py": "def fix(item):\n    return item\n"},
        destination=KEY,
    )
    assert JobPlan.from_json(plan.to_json()) == plan
    assert JobPlan.from_json(plan.to_json()).transform().definition == plan.definition


def test_secrets_are_no_part_of_what_a_plan_shows() -> None:
    plan = planned(salts={"env:SALT": b"the salt itself"}, files={"f.py": "the code itself"})
    assert "itself" not in repr(plan)


def test_objects_of_a_run_lie_below_its_prefix() -> None:
    plan = planned()
    assert plan.started_key == "tableferry/t/spark/runs/token/started.json"
    assert plan.failed_key == "tableferry/t/spark/runs/token/failed.json"
    assert plan.results_prefix.startswith("tableferry/t/spark/results/")
    assert plan.result_key(plan.files[0]) == f"{plan.results_prefix}a.json.gz.json"
    assert plan.collisions_key.startswith(plan.results_prefix)


def test_results_of_other_work_do_not_count() -> None:
    """Other steps, another salt, another table: what was written by them is no part of this."""
    salted = {"steps": [{"hash": {"attributes": ["n"], "salt_from": "env:S"}}], "salts": {"env:S": b"one"}}
    plans = [
        planned(),
        planned(steps=[{"drop": ["n"]}]),
        planned(**salted),
        planned(**{**salted, "salts": {"env:S": b"2"}}),
    ]
    plans.append(replace(plans[0], table_id="another"))
    assert len({plan.results_prefix for plan in plans}) == len(plans)
    again = replace(plans[2], run="later", rate=1.0, files=(), lose_colliding=True)
    assert again.results_prefix == plans[2].results_prefix


@pytest.mark.parametrize("content", [b"", b"[]", b"{}", b'{"version": 1}', b"\xff"])
def test_what_is_no_plan_is_refused(content: bytes) -> None:
    with pytest.raises(InvalidInput, match="plan cannot be read"):
        JobPlan.from_json(content)


def test_a_plan_of_another_version_is_refused() -> None:
    with pytest.raises(InvalidInput, match="plan cannot be read"):
        JobPlan.from_json(json.dumps({**json.loads(planned().to_json()), "version": 2}).encode())


def test_steps_are_checked_when_they_are_compiled() -> None:
    with pytest.raises(InvalidTransform, match="Step 1"):
        planned(steps=[{"shrink": "it"}]).transform()


@given(st.lists(st.integers(0, 10_000), max_size=60), st.integers(1, 12))
def test_files_are_shared_evenly(sizes: list[int], count: int) -> None:
    files = [ExportedFile(f"{number}.json.gz", items) for number, items in enumerate(sizes)]
    tasks = shares(files, count)
    assert sorted(file.key for task in tasks for file in task) == sorted(file.key for file in files)
    assert len(tasks) == min(count, len(files))
    assert tasks == shares(files[::-1], count)
    loads = [sum(file.items for file in task) for task in tasks]
    if loads:
        assert max(loads) - min(loads) <= max(sizes) + len(files)


def test_arguments_of_the_engine_are_left_alone() -> None:
    arguments = ["--JOB_NAME", "j", "--plan", "s3://b/k", "--enable-metrics", "--run", "token", "--r", "x"]
    assert read_arguments(arguments) == Asked("s3://b/k", "token")
    assert read_arguments([*arguments, "--JOB_RUN_ID", "jr_1"]) == Asked("s3://b/k", "token", "jr_1")
