# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook status against what stands in the account."""

from __future__ import annotations

import json
from pathlib import Path

from lab.client import spawn
from tests.runs.playbooks import client, eventually, prepare


def test_status_says_which_copies_are_gone_or_were_never_made(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["orders", "users", "late"], ferry_method="direct")
        with migration.run("migrate", "--limit", "orders,users") as migrated:
            assert migrated.wait() == 0, migrated.output[-4000:]
        copies = client(lab, "dynamodb", "destination")
        copies.delete_table(TableName="orders")
        eventually(lambda: "orders" not in copies.list_tables()["TableNames"])
        shown = tmp_path / "status.json"
        lab.clear_requests()
        with migration.run("status", playbook="tableferry.aws.status", ferry_status_path=str(shown)) as status:
            assert status.wait() == 0, status.output[-4000:]
        assert lab.mutating_calls() == []
        rows = {row["name"]: row for row in json.loads(shown.read_text())["tables"]}
        assert {name: (row["state"], row["copy_state"]) for name, row in rows.items()} == {
            "orders": ("done", "deleted"), "users": ("done", "there"), "late": ("no record", "none"),
        }  # fmt: skip
        assert "copy has been deleted since. Run migrate" in rows["orders"]["next"]
        assert (rows["users"]["next"], rows["late"]["next"]) == ("", "Run migrate: no run has begun this table.")
        assert lab.count("dynamodb.ListImports") == 1
        assert lab.count("dynamodb.DescribeTable") <= 5  # the record table, and one for each table
