# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Sources of one table in different slices: each slice knows of the others' only what the record says."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.runs.awx_jobs import Controller, Job, awx, until
from tests.runs.playbooks import BUCKET, Migration, client

TABLES = ["acme", "globex", "initech", "umbrella"]  # every other one is of the first slice
TIMINGS: dict[str, float] = {}
DIRECT = {"ferry_method": "direct"}


def merged(controller: Controller, **heads: str) -> dict[str, Any]:
    """The inventory, with all tables merged in one; keys begin with the name of the source, or as ``heads`` say."""
    inventory = controller.update_inventory()
    inventory["all"]["vars"] |= {
        "ferry_staging_bucket": BUCKET, "ferry_manage_accounts": False, "ferry_destination_table": "tenants",
        "ferry_merge": True,
    }  # fmt: skip
    for name, variables in inventory["_meta"]["hostvars"].items():
        variables["ferry_transform"] = [{"set": {"id": heads.get(name, f"TENANT#{name}#") + "{id}"}}]
    return inventory


def statuses(job: Job) -> Mapping[str, int]:
    found: Mapping[str, int] = job.artifacts["tableferry_report"]["statuses"]
    return found


def ids(migration: Migration) -> list[str]:
    items = client(migration.lab, "dynamodb", "destination").scan(TableName="tenants")["Items"]
    return sorted(item["id"]["S"] for item in items)


def expected(*names: str) -> list[str]:
    return sorted(f"TENANT#{name}#{name}/{number}" for name in names for number in range(3))


def two_slices(
    controller: Controller, inventory: dict[str, Any], *, ends: tuple[str, str], **given: Any
) -> tuple[Job, Job]:
    """Both slices to their ends: the second one begins while the first one is at its part."""
    migration, lab = controller.migration, controller.migration.lab
    held = lab.hold(operation="Scan", match={"TableName": "acme"})
    with controller.launch("migrate", inventory, slice_of=(1, 2), **given) as odd:
        until(odd, lambda: "tenants" in migration.records() and lab.count("CreateTable") > 0)
        with controller.launch("migrate", inventory, slice_of=(2, 2), **given) as even:
            until(even, lambda: len(migration.leases()) == 2)
            lab.release(held)
            assert odd.wait() == ends[0], odd.output[-4000:]
            assert even.wait() == ends[1], even.output[-4000:]
    return odd, even


def test_parts_in_two_slices_all_arrive_as_planned_and_once(migration: Migration, tmp_path: Path) -> None:
    lab, controller = migration.lab, awx(migration, tmp_path, "accounts")
    inventory = merged(controller)
    with controller.launch("plan", inventory, **DIRECT) as plan:
        assert plan.wait() == "successful", plan.output[-4000:]
    assert plan.artifacts["tableferry_plan"]["line"].startswith("4 tables: 4 by direct; ")
    given = {"handed_on": plan.artifacts, **DIRECT}
    odd, even = two_slices(controller, inventory, ends=("successful", "successful"), **given)
    assert statuses(odd) == statuses(even) == {"migrated": 2}
    assert ids(migration) == expected(*TABLES)
    assert {part.state for part in migration.records()["tenants"].parts.values()} == {"filled"}

    lab.clear_requests()
    for number in (1, 2):
        with controller.launch("migrate", inventory, slice_of=(number, 2), **given) as again:
            assert again.wait() == "successful", again.output[-4000:]
        assert statuses(again) == {"migrated": 2}
    assert [lab.count(call) for call in ("BatchWriteItem", "CreateTable")] == [0, 0]
    assert ids(migration) == expected(*TABLES)


def test_a_part_that_is_not_apart_from_one_of_another_slice_is_refused_and_nothing_is_lost(
    migration: Migration, tmp_path: Path
) -> None:
    controller = awx(migration, tmp_path, "accounts")
    inventory = merged(controller, umbrella="TENANT#acme")
    # A plan sees all of them.
    with controller.launch("plan", inventory, **DIRECT) as plan:
        assert plan.wait() == "successful", plan.output[-4000:]
    assert plan.artifacts["tableferry_plan"]["line"].startswith("4 tables: 2 by direct, 2 cannot go (KeysNotApart); ")
    # Without one the slice that comes second is held to what the first one has begun.
    odd, even = two_slices(controller, inventory, ends=("successful", "failed"), **DIRECT)
    assert (statuses(odd), statuses(even)) == ({"migrated": 2}, {"migrated": 1, "refused": 1})
    assert even.failed_hosts == ["umbrella"]
    assert "Keys of umbrella are not provably others than those of arn:" in even.output.replace("\n", " ")
    assert ids(migration) == expected("acme", "globex", "initech")
    # A relaunch with keys of its own brings what was refused.
    inventory = merged(controller)
    with controller.launch("migrate", inventory, slice_of=(2, 2), limit=even.failed_hosts, **DIRECT) as relaunched:
        assert relaunched.wait() == "successful", relaunched.output[-4000:]
    assert ids(migration) == expected(*TABLES)
