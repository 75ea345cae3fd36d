# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The workflow of the pattern by ansible-runner: the tables are found, planned, and migrated by two slices at once as
the plan says that was handed on; a relaunch takes the failed hosts only."""

from __future__ import annotations

import json
from pathlib import Path

from tests.runs.awx_jobs import awx
from tests.runs.playbooks import BUCKET, Migration, client

TABLES = [f"table-{number}" for number in range(4)]
FAILING = TABLES[1]
TIMINGS = {"export.full": 1, "import.visible": 0.5, "import.creating": 1, "import.completing": 0.5}


def test_plan_two_slices_and_a_relaunch(migration: Migration, tmp_path: Path) -> None:
    lab = migration.lab
    controller = awx(migration, tmp_path, "accounts")
    inventory = controller.update_inventory()
    inventory["all"]["vars"] |= {"ferry_staging_bucket": BUCKET, "ferry_manage_accounts": False}
    assert sorted(inventory["_meta"]["hostvars"]) == TABLES
    for side in ("source", "destination"):
        assert lab.landscape["accounts"][side]["secret_key"] not in json.dumps(inventory)
    lab.clear_requests()
    with controller.launch("plan", inventory, ferry_method="s3") as plan:
        assert plan.wait() == "successful", plan.output[-4000:]
    assert lab.mutating_calls() == []
    handed_on = plan.artifacts
    assert handed_on["tableferry_plan"]["line"].startswith("4 tables: 4 by s3; ")
    assert len(json.dumps(handed_on)) < 10_000

    # Nobody has approved this one.
    inventory["_meta"]["hostvars"]["late"] = {
        **inventory["_meta"]["hostvars"][TABLES[0]],
        "ferry_destination_table": "late",
    }
    for group in inventory.values():
        group.get("hosts", []).extend(["late"] if TABLES[0] in group.get("hosts", []) else [])
    match = migration.about(FAILING)
    lab.add_fault(kind="job_failure", operation="ExportTableToPointInTime", code="Sorry", match=match)
    given = {"handed_on": handed_on, "ferry_method": "s3"}
    with (
        controller.launch("migrate", inventory, slice_of=(1, 2), **given) as odd,
        controller.launch("migrate", inventory, slice_of=(2, 2), **given) as even,
    ):
        assert (odd.wait(), even.wait()) == ("failed", "successful"), odd.output[-3000:] + even.output[-3000:]
    assert even.artifacts["tableferry_report"]["statuses"] == {"migrated": 2}
    assert odd.artifacts["tableferry_report"]["statuses"] == {"failed": 1, "migrated": 1, "refused": 1}
    assert odd.failed_hosts == ["late", FAILING]
    assert "the table is not in it" in odd.output
    # The job's disk is gone; its report is in the bucket.
    (copy,) = even.artifacts["tableferry_report"]["copies"]
    key = copy.removeprefix(f"s3://{BUCKET}/").rstrip("/") + "/report.json"
    report = json.loads(client(lab, "s3", "destination").get_object(Bucket=BUCKET, Key=key)["Body"].read())
    assert {table["name"]: table["plan"]["method"] for table in report["tables"]} == {
        TABLES[0]: "s3",
        TABLES[2]: "s3",
    }

    # AWX gives a relaunch the variables of the job, and its failed hosts as the limit.
    with controller.launch("migrate", inventory, slice_of=(1, 2), limit=odd.failed_hosts, **given) as again:
        assert again.wait() == "failed", again.output[-4000:]
    assert again.artifacts["tableferry_report"]["statuses"] == {"migrated": 1, "refused": 1}
    assert again.failed_hosts == ["late"]
    assert migration.started("export") == sorted([*TABLES, FAILING])
    assert migration.started("import") == TABLES
