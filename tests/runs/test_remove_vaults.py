# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Cleaning up removes vaults when it is asked to, after what lies in them, and ends well however often it runs."""

from __future__ import annotations

from pathlib import Path

from lab.client import LabClient, spawn
from tests.runs.playbooks import client, prepare

CLEANUP = "tableferry.aws.cleanup"
ASKED = {"ferry_remove_recovery_points": True, "ferry_remove_backup_vaults": True}


def vaults(lab: LabClient) -> dict[str, set[str]]:
    """The names of the vaults in both accounts."""
    sides = ("source", "destination")
    lists = {side: client(lab, "backup", side).list_backup_vaults()["BackupVaultList"] for side in sides}
    return {side: {vault["BackupVaultName"] for vault in listed} for side, listed in lists.items()}


def test_c6_vaults_go_when_asked_and_a_killed_cleanup_is_finished_by_the_next(tmp_path: Path) -> None:
    """found.md C6."""
    with spawn(scale=0.01) as lab:
        management = lab.landscape["accounts"]["management"]
        place = {"region": lab.landscape["region"], "endpoint_url": lab.endpoint_url}
        migration = prepare(
            lab,
            tmp_path,
            ["orders"],
            ferry_manage_accounts=True,
            ferry_method="backup",
            ferry_management={**place, **{part: management[part] for part in ("access_key", "secret_key")}},
        )
        with migration.run("migrate") as run:
            assert run.wait() == 0, run.output[-4000:]
        made = vaults(lab)
        assert all("tableferry" in names for names in made.values())

        with migration.run("kept", playbook=CLEANUP) as run:
            assert run.wait() == 0, run.output[-4000:]
        assert vaults(lab) == made
        assert "ferry_remove_backup_vaults" in run.output

        with migration.run("points-stay", playbook=CLEANUP, ferry_remove_backup_vaults=True) as run:
            assert run.wait() == 0, run.output[-4000:]
        assert vaults(lab) == made
        assert "it holds recovery points" in run.output

        lab.hold(operation="DeleteBackupVault")
        with migration.run("killed", playbook=CLEANUP, **ASKED) as run:
            run.until(lambda: vaults(lab) != made)
            run.controller.kill()
        assert "tableferry" not in vaults(lab)["source"] and "tableferry" in vaults(lab)["destination"]

        left = vaults(lab)
        with migration.run("foreseen", "--check", "--diff", playbook=CLEANUP, **ASKED) as run:
            assert run.wait() == 0, run.output[-4000:]
        assert vaults(lab) == left
        account = lab.landscape["accounts"]["destination"]["account_id"]
        assert f"changed: [orders] => (item=destination account {account}: tableferry)" in run.output, run.output
        assert "(item=source account " in run.output

        for name in ("finished", "again"):
            with migration.run(name, playbook=CLEANUP, **ASKED) as run:
                assert run.wait() == 0, run.output[-4000:]
            assert not any("tableferry" in names for names in vaults(lab).values())
        assert "changed: [" not in run.output, run.output[-4000:]
