# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ferry_backup_role_policy, and what becomes of the roles where it is changed (found.md C2)."""

from __future__ import annotations

from pathlib import Path

from lab.client import LabClient, spawn
from tests.runs.playbooks import client, prepare

ROLE = "AWSBackup-tableferry"
NARROW = {"source": "tableferry-backup-{}", "destination": "tableferry-restore-{}"}


def policies(lab: LabClient, side: str) -> tuple[list[str], list[str]]:
    """The managed and the inline policies of the side's role."""
    iam = client(lab, "iam", side)
    attached = iam.list_attached_role_policies(RoleName=ROLE)["AttachedPolicies"]
    return [policy["PolicyName"] for policy in attached], iam.list_role_policies(RoleName=ROLE)["PolicyNames"]


def test_c2_a_table_moves_under_either_and_the_roles_follow_the_option(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        management, region = lab.landscape["accounts"]["management"], lab.landscape["region"]
        place = {"region": region, "endpoint_url": lab.endpoint_url}
        migration = prepare(
            lab,
            tmp_path,
            ["orders", "users"],
            ferry_manage_accounts=True,
            ferry_method="backup",
            ferry_management={**place, **{part: management[part] for part in ("access_key", "secret_key")}},
        )
        with migration.run("usual", "--limit", "orders,localhost") as run:
            assert run.wait() == 0, run.output[-4000:]
        for side, kind in (("source", "Backup"), ("destination", "Restores")):
            assert policies(lab, side) == ([f"AWSBackupServiceRolePolicyFor{kind}"], [])
        with migration.run("narrow", ferry_backup_role_policy="dynamodb") as run:
            assert run.wait() == 0, run.output[-4000:]
        assert run.rows()["users"]["status"] == "migrated"
        for side, name in NARROW.items():
            assert policies(lab, side) == ([], [name.format(region)])
        document = client(lab, "iam", "source").get_role_policy(
            RoleName=ROLE, PolicyName=NARROW["source"].format(region)
        )["PolicyDocument"]
        named = {each["Sid"]: each["Resource"] for each in document["Statement"]}
        owner, other = (lab.landscape["accounts"][side]["account_id"] for side in NARROW)
        assert named["Tables"] == [f"arn:aws:dynamodb:{region}:{owner}:table/users"]
        assert named["Vaults"] == [
            f"arn:aws:backup:{region}:{account}:backup-vault:tableferry" for account in (owner, other)
        ]
        with migration.run("back", "-e", "ferry_remove_record=true", playbook="tableferry.aws.cleanup") as run:
            assert run.wait() == 0, run.output[-4000:]
        for side, name in NARROW.items():
            assert policies(lab, side) == ([], [name.format(region)])  # recovery points may need the role
