# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A user's ansible.cfg and inventory, made for machines, and tables with mistakes beside the others."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.client import spawn
from tests.runs.playbooks import prepare

FOR_MACHINES = {
    "ANSIBLE_BECOME": "true",
    "ANSIBLE_STRATEGY": "free",
    "ANSIBLE_ANY_ERRORS_FATAL": "true",
    "ANSIBLE_TASK_TIMEOUT": "8",
}


def test_what_is_set_for_machines_stops_no_table(tmp_path: Path) -> None:
    # The wait alone takes longer than the timeout of tasks.
    with spawn(scale=0.01, timings={"export.full": 12, "import.visible": 0.5, "import.creating": 4}) as lab:
        migration = prepare(lab, tmp_path, ["customers", "orders"])
        inventory = yaml.safe_load(migration.inventory.read_text())
        inventory["all"] = {"vars": {"ansible_connection": "ssh", "ansible_become": True}}
        hosts = inventory["dynamodb_tables"]["hosts"] = {"ghost": {}, **inventory["dynamodb_tables"]["hosts"]}
        hosts["typo"] = {"ferry_destination_tabel": "elsewhere"}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        # One table at a time: the refused ones come before the last.
        with migration.run("run", environment=FOR_MACHINES, ferry_serial=1) as run:
            assert run.wait() == 2, run.output[-4000:]
        statuses = {name: row["status"] for name, row in run.rows().items()}
        assert statuses == {"customers": "migrated", "orders": "migrated", "ghost": "refused", "typo": "refused"}
        assert run.output.count("4 tables: 2 migrated, 2 refused") == 1
        assert run.output.count("did you mean ferry_destination_table?") == 1
        assert migration.started("import") == ["customers", "orders"]


@pytest.mark.parametrize(
    ("playbook", "variables"),
    [("migrate", {}), ("plan", {"ferry_plan_strict": True, "ferry_plan_path": ""}), ("verify", {})],
)
def test_table_fails_the_run_whatever_its_host_is_called(
    tmp_path: Path, playbook: str, variables: dict[str, Any]
) -> None:
    with spawn(scale=0.0) as lab:
        migration = prepare(lab, tmp_path, [])
        inventory = yaml.safe_load(migration.inventory.read_text())
        inventory["dynamodb_tables"]["hosts"] = {"old ghosts: a, b [1]": {"ferry_table": "ghost"}}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        with migration.run("run", playbook=f"tableferry.aws.{playbook}", **variables) as run:
            assert run.wait() == 2, run.output[-4000:]
        assert "Could not match supplied host pattern" not in run.output
