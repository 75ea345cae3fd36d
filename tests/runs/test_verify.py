# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The playbook verify with repair ends its run, whatever it found."""

from __future__ import annotations

from pathlib import Path

from lab.client import spawn
from tests.runs.playbooks import client, eventually, prepare


def test_a_repair_leaves_no_open_lease_and_cleanup_removes_the_record_table(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = prepare(
            lab,
            tmp_path,
            ["orders", "users"],
            ferry_method="direct",
            ferry_differences_dir=str(tmp_path / "differences"),
        )
        with migration.run("migrate") as migrated:
            assert migrated.wait() == 0, migrated.output[-4000:]
        copies = client(lab, "dynamodb", "destination")
        item = copies.scan(TableName="orders")["Items"][0]
        copies.put_item(TableName="orders", Item={**item, "id": {"S": "extra"}})  # which a repair leaves
        with migration.run("verify", playbook="tableferry.aws.verify", ferry_repair=True) as verified:
            assert verified.wait() == 2, verified.output[-4000:]
        assert "1 extra" in verified.output and "unreachable=0    failed=1" in verified.output
        assert verified.output.count("failed=0") == 1, verified.output[-4000:]
        leases = migration.leases()
        assert leases and all(lease.ended is not None and lease.ended.by == lease.run for lease in leases)
        variables = {"playbook": "tableferry.aws.cleanup", "ferry_remove_record": True}
        with migration.run("cleanup", **variables) as cleaned:
            assert cleaned.wait() == 0, cleaned.output[-4000:]
        eventually(lambda: copies.list_tables()["TableNames"] == ["orders", "users"])
