# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two sources that become one table, by the playbooks: checked, migrated by two controllers, run again, cleaned up."""

from __future__ import annotations

from pathlib import Path

from demo.tables import on_demand
from lab.client import spawn
from tests.runs.playbooks import PATIENCE, client, prepare

NAMES = ("acme", "globex", "initech")


def test_sources_become_one_table_and_are_brought_once(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = prepare(
            lab, tmp_path, list(NAMES), ferry_method="direct", ferry_verify="full", ferry_workers=1,
            ferry_destination_table="tenants", ferry_merge=True,
            ferry_transform=[{"set": {"id": "TENANT#{{ inventory_hostname }}#{id}"}}],
            ferry_differences_dir=str(tmp_path / "differences"), ferry_checkpoint_dir=str(tmp_path / "checkpoints"),
        )  # fmt: skip
        sources, copies = client(lab, "dynamodb", "source"), client(lab, "dynamodb", "destination")
        before = {name: sources.scan(TableName=name)["Count"] for name in NAMES}
        assert all(before.values())
        lab.clear_requests()

        with migration.run("check", "--check", "--diff") as checked:
            assert checked.wait() == 0, checked.output[-6000:]
        assert "id begins with 'TENANT#acme#'" in checked.output
        assert lab.mutating_calls() == []

        first = ("--limit", "acme,globex,localhost")
        with (
            migration.run("one", *first, machine="pod-1") as one,
            migration.run("two", "--limit", "initech,localhost", machine="pod-2") as two,
        ):
            assert one.wait() == 0, one.output[-6000:]
            assert two.wait() == 0, two.output[-6000:]
        rows = {**one.rows(), **two.rows()}
        found = {name: (row["status"], row["verified"]) for name, row in rows.items()}
        assert found == dict.fromkeys(NAMES, ("migrated", "full"))
        assert {name: row["items_destination"] for name, row in rows.items()} == before
        items = copies.scan(TableName="tenants")["Items"]
        heads = [item["id"]["S"].rpartition("#")[0] for item in items]
        assert {name: heads.count(f"TENANT#{name}") for name in NAMES} == before

        lab.clear_requests()
        with migration.run("again") as again:
            assert again.wait() == 0, again.output[-6000:]
        assert "changed=0" in again.output
        assert [lab.count(call) for call in ("Scan", "BatchWriteItem", "CreateTable")] == [0, 0, 0]

        # The copy is brought anew without some: the same report says so of them until they are brought again.
        folder = {"ferry_report_dir": str(again.report.parent)}
        copies.delete_table(TableName="tenants")
        lab.advance(60)
        for options, statuses in ((first, ("migrated", "migrated", "failed")), ((), ("migrated",) * 3)):
            with migration.run(f"anew-{len(options)}", *options, **folder) as anew:
                assert anew.wait(2 * PATIENCE) == 0, anew.output[-6000:]  # it looks for the copy twice, 30 s apart
            shown = {name: row["status"] for name, row in again.rows().items()}
            assert shown == dict(zip(NAMES, statuses, strict=True))
        assert copies.scan(TableName="tenants")["Count"] == sum(before.values())

        # A source that was not brought yet has no items here: all that are there would count as extra.
        sources.create_table(TableName="umbrella", **on_demand(("id", "S")))
        lab.advance(60)
        other = ("--limit", "acme,localhost")
        with migration.run("early", *other, playbook="tableferry.aws.verify", ferry_table="umbrella") as early:
            assert early.wait() == 2, early.output[-6000:]
        assert "has items of other sources, and none of umbrella yet" in early.output

        # Items of the other sources are nothing that a repair takes for extra.
        extra = {"ferry_repair": True, "ferry_delete_extra": True}
        with migration.run("verify", playbook="tableferry.aws.verify", **extra) as verified:
            assert verified.wait() == 0, verified.output[-6000:]
        assert copies.scan(TableName="tenants")["Count"] == sum(before.values())

        with migration.run("status", playbook="tableferry.aws.status") as status:
            assert status.wait() == 0, status.output[-6000:]
        with migration.run("cleanup", playbook="tableferry.aws.cleanup", ferry_remove_record=True) as cleaned:
            assert cleaned.wait() == 0, cleaned.output[-6000:]
        assert copies.list_tables()["TableNames"] == ["tenants"]
        assert copies.scan(TableName="tenants")["Count"] == sum(before.values())
