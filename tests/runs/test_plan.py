# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook plan, and migrate with the plan that was approved."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from lab.client import spawn
from tests.runs.playbooks import client, prepare


def told(data: dict[str, Any]) -> dict[str, Any]:
    """A plan without the time at which it was made."""
    return {name: value for name, value in data.items() if name != "made_at"}


def test_what_is_planned_is_what_runs_and_what_was_not_approved_is_refused(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["orders", "users", "taken"])
        client(lab, "dynamodb", "destination").create_table(
            TableName="taken", BillingMode="PAY_PER_REQUEST", KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
            AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        )  # fmt: skip
        lab.clear_requests()
        path = tmp_path / "plan.json"
        book = "tableferry.aws.plan"
        with migration.run(
            "plan", playbook=book, ferry_plan_path=str(path), ferry_plan_strict=True, ferry_prices={"export_gb": 0.2}
        ) as planned:
            assert planned.wait() == 2, planned.output[-4000:]  # for the table that cannot go
        assert lab.mutating_calls() == []
        data = json.loads(path.read_text())
        assert data["line"].startswith("3 tables: 2 by s3, 1 cannot go (destination); ")
        assert data["line"].endswith("; 1 thing for you to do")
        assert f"{data['line']}\nplan: {path}\n" in planned.output
        assert planned.output.count(str(path)) == 1
        assert data["prices"]["figures"]["export_gb"]["price"] == 0.2
        # Check mode prints and writes the same, and starts nothing.
        checked_path = tmp_path / "checked.json"
        with migration.run(
            "check", "--check", ferry_plan_path=str(checked_path), ferry_prices={"export_gb": 0.2}
        ) as checked:
            checked.wait()
        assert f"{data['line']}\nplan: {checked_path}\n" in checked.output
        assert told(json.loads(checked_path.read_text())) == told(data)
        assert lab.mutating_calls() == []
        # Only what was approved is moved: not what came later, and not what has another method now.
        inventory = yaml.safe_load(migration.inventory.read_text())
        inventory["dynamodb_tables"]["hosts"] |= {
            "users": {"ferry_method": "direct"},
            "late": {"ferry_table": "orders", "ferry_destination_table": "late"},
        }
        migration.inventory.write_text(yaml.safe_dump(inventory))
        with migration.run("migrate", ferry_plan=str(path)) as migrated:
            assert migrated.wait() == 2, migrated.output[-4000:]
        rows = {row["name"]: row for row in json.loads(migrated.report.read_text())["tables"]}
        assert {name: row["status"] for name, row in rows.items()} == {
            "orders": "migrated", "users": "refused", "taken": "refused", "late": "refused",
        }  # fmt: skip
        assert "the method would be direct, not s3" in rows["users"]["reason"]
        assert "the table is not in it" in rows["late"]["reason"]
        assert migration.records()["orders"].method == "s3"
        assert migration.started("export") == ["orders"]
        # Wrong prices are refused before anything is asked.
        lab.clear_requests()
        with migration.run("wrong", playbook=book, ferry_prices={"export_gb": -1}) as refused:
            assert refused.wait() == 2
        assert "the price of export_gb is negative" in refused.output


def test_an_approved_plan_holds_what_becomes_of_items_and_wrong_files_are_refused_in_words(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        transform = [{"set": {"id": "same"}}]  # of three items one is left
        migration = prepare(lab, tmp_path, ["orders"], ferry_method="direct", ferry_transform=transform)
        path = tmp_path / "plan.json"
        with migration.run("plan", playbook="tableferry.aws.plan", ferry_plan_path=str(path)) as planned:
            assert planned.wait() == 0, planned.output[-4000:]
        lab.clear_requests()
        changed = {"ferry_on_collision": "any", "ferry_transform_errors": "skip", "ferry_staging_days": "1"}
        with migration.run("migrate", ferry_plan=str(path), **changed) as migrated:
            assert migrated.wait() == 2, migrated.output[-4000:]
        row = migrated.rows()["orders"]
        assert row["status"] == "refused"
        for words in (
            "on_collision is any, not refuse",
            "transform_errors is skip, not fail",
            "staging_days is 1, not",
        ):
            assert words in row["reason"]
        assert lab.mutating_calls() == []
        plan = json.loads(path.read_text())
        wrong = tmp_path / "wrong.json"
        for content, words in (
            ({**plan, "tables": [{}]}, "is not whole: table 1 is no dictionary with a host. Give the file as"),
            ({**plan, "version": 1}, "is of version 1, and this collection reads 2. Make the plan again"),
        ):
            wrong.write_text(json.dumps(content))
            with migration.run("wrong", ferry_plan=str(wrong)) as refused:
                assert refused.wait() == 2
            assert f"The approved plan {wrong} {words}" in refused.output
        assert lab.mutating_calls() == []


def test_a_switch_of_the_plan_that_is_neither_true_nor_false_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["orders"])
        path = tmp_path / "plan.json"
        for name, playbook, options in (
            ("ferry_plan_strict", "tableferry.aws.plan", ()),
            ("ferry_plan_permissions", "tableferry.aws.plan", ()),
            ("plan_tables_strict", "tableferry.aws.plan", ()),
            ("ferry_plan_permissions", "tableferry.aws.migrate", ("--check",)),
        ):
            variables = {name: "maybe", "ferry_plan_path": str(path)}
            with migration.run("wrong", *options, playbook=playbook, **variables) as refused:
                assert refused.wait() == 2, refused.output[-4000:]
            assert f"{name} is 'maybe', which is neither true nor false: use one of these." in refused.output
            assert "Finalization of task args" not in refused.output
            assert not path.exists()
        with migration.run("right", playbook="tableferry.aws.plan", ferry_plan_strict="no") as planned:
            assert planned.wait() == 0, planned.output[-4000:]


def test_an_approved_plan_of_merged_and_split_tables_is_done_as_planned_and_once(tmp_path: Path) -> None:
    tenants = ("acme", "globex")
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, [*tenants, "orders"])
        inventory = yaml.safe_load(migration.inventory.read_text())
        merged = {
            "ferry_method": "direct", "ferry_destination_table": "tenants", "ferry_merge": True, "ferry_workers": 1,
            "ferry_transform": [{"set": {"id": "TENANT#{{ inventory_hostname }}#{id}"}}],
        }  # fmt: skip
        split = {"ferry_table": "orders", "ferry_method": "s3"}
        inventory["dynamodb_tables"]["hosts"] = {
            **dict.fromkeys(tenants, merged),
            "orders": split,
            "archive": {**split, "ferry_destination_table": "archive"},
        }
        migration.inventory.write_text(yaml.safe_dump(inventory))
        path = tmp_path / "plan.json"
        with migration.run("plan", playbook="tableferry.aws.plan", ferry_plan_path=str(path)) as planned:
            assert planned.wait() == 0, planned.output[-4000:]
        data = json.loads(path.read_text())
        assert {table["host"]: (table["state"], table["method"]) for table in data["tables"]} == {
            "acme": ("planned", "direct"), "globex": ("planned", "direct"),
            "orders": ("planned", "s3"), "archive": ("planned", "s3"),
        }  # fmt: skip
        # What has become of a merge since is refused with the difference, before anything starts.
        lab.clear_requests()
        for name, value, words in (
            ("ferry_merge", False, "merge is False, not True"),
            ("ferry_transform", [{"set": {"id": "OTHER#{id}"}}], "transform has other steps"),
            ("ferry_destination_table", "elsewhere", "/elsewhere, not "),
        ):
            with migration.run(
                "changed", "--limit", "acme,localhost", ferry_plan=str(path), **{name: value}
            ) as changed:
                assert changed.wait() == 2, changed.output[-6000:]
            row = changed.rows()["acme"]
            assert (row["status"], words in row["reason"]) == ("refused", True), row["reason"]
        assert lab.mutating_calls() == []

        with migration.run("first", "--limit", "acme,archive,localhost", ferry_plan=str(path)) as first:
            assert first.wait() == 0, first.output[-6000:]
        with migration.run("migrate", ferry_plan=str(path)) as migrated:
            assert migrated.wait() == 0, migrated.output[-6000:]
        rows = migrated.rows()
        assert {host: row["status"] for host, row in rows.items()} == {
            table["host"]: "migrated" for table in data["tables"]
        }
        assert {row["plan"]["method"] for row in rows.values()} == {"direct", "s3"}
        assert all(rows[host]["cost"]["outcome"] for host in ("globex", "orders"))  # of those that this run moved
        assert migration.started("export") == ["orders"]
        assert migration.started("import") == ["archive", "orders"]
        copies = client(lab, "dynamodb", "destination")
        assert {name: copies.scan(TableName=name)["Count"] for name in ("tenants", "orders", "archive")} == {
            "tenants": 6, "orders": 3, "archive": 3,
        }  # fmt: skip

        lab.clear_requests()
        with migration.run("again", ferry_plan=str(path)) as again:
            assert again.wait() == 0, again.output[-6000:]
        assert "changed=0" in again.output
        billed = ("ExportTableToPointInTime", "ImportTable", "BatchWriteItem", "CreateTable")
        assert [lab.count(call) for call in billed] == [0] * len(billed)


def test_tables_with_different_approved_plans_are_refused_before_anything_starts(tmp_path: Path) -> None:
    """The plan of the first one counted for all, without a word."""
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["orders", "users"])
        inventory = yaml.safe_load(migration.inventory.read_text())
        inventory["dynamodb_tables"]["hosts"] = {
            "orders": {"ferry_plan": "one.json"},
            "users": {"ferry_plan": "two.json"},
        }
        migration.inventory.write_text(yaml.safe_dump(inventory))
        lab.clear_requests()
        with migration.run("migrate") as refused:
            assert refused.wait() == 2, refused.output[-4000:]
        assert "they have different ones: one.json for orders; two.json for users" in refused.output
        assert lab.calls() == []
