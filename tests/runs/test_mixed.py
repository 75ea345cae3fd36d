# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""All at once: an ansible.cfg and an inventory made for machines, a vaulted file, keys by a lookup, and mistakes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from lab.client import spawn
from tests.runs.playbooks import prepare

CONFIGURATION = """
[defaults]
strategy = free
any_errors_fatal = true
vault_password_file = {folder}/password

[privilege_escalation]
become = True
"""
MOST_LOOKUPS = 4
MOST_LINES = 150


def test_a_mixed_inventory_migrates_all_but_its_mistakes(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    number = request.config.getoption("--mixed-tables")
    tables = [f"table-{each:03d}" for each in range(number - 2)]
    with spawn(scale=0.01, timings={"export.full": 2, "import.visible": 0.5, "import.creating": 2}) as lab:
        migration = prepare(lab, tmp_path, tables)
        inventory = yaml.safe_load(migration.inventory.read_text())
        group = inventory["dynamodb_tables"]
        group["hosts"] |= {"ghost": {}, "typo": {"ferry_destination_tabel": "elsewhere"}}
        secret, lookups = tmp_path / "secret", tmp_path / "lookups"
        secret.write_text(group["vars"]["ferry_destination"]["secret_key"])
        command = f"echo >> {lookups}; cat {secret}"
        group["vars"]["ferry_destination"]["secret_key"] = f"{{{{ lookup('ansible.builtin.pipe', '{command}') }}}}"
        vaulted = tmp_path / "group_vars" / "dynamodb_tables.yml"
        vaulted.parent.mkdir()
        vaulted.write_text(yaml.safe_dump(group.pop("vars")))
        inventory["all"] = {"vars": {"ansible_connection": "ssh"}}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        (tmp_path / "password").write_text("correct horse")
        configuration = tmp_path / "ansible.cfg"
        configuration.write_text(CONFIGURATION.format(folder=tmp_path))
        vault = [sys.executable, "-m", "ansible.cli.vault", "encrypt", "--vault-password-file", tmp_path / "password"]
        subprocess.run([*vault, vaulted], check=True, capture_output=True)
        assert vaulted.read_text().startswith("$ANSIBLE_VAULT")

        with migration.run("run", environment={"ANSIBLE_CONFIG": str(configuration)}) as run:
            assert run.wait(600) == 2, run.output[-4000:]

        statuses = {name: row["status"] for name, row in run.rows().items()}
        assert statuses == {**dict.fromkeys(tables, "migrated"), "ghost": "refused", "typo": "refused"}
        assert run.output.count(f"{number} tables: {number - 2} migrated, 2 refused") == 1
        assert run.output.count("did you mean ferry_destination_table?") == 1
        assert migration.started("import") == tables
        assert len(lookups.read_text().splitlines()) <= MOST_LOOKUPS
        # Up to 50 tables, each has a task and a line in the recap.
        assert len(run.output.splitlines()) <= MOST_LINES + (2 * number if number <= 50 else 0), run.output
