# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A destination in another partition: what cannot work is refused with the inventory, before anything is made."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lab.client import RunningLab, running
from tests.runs.playbooks import Migration, prepare

ACCOUNT = "777777777777"
METHODS = {"copied": "direct", "staged": "s3", "saved": "backup", "usual": ""}
GO = ("copied", "usual")  # auto takes the only method that goes to another partition


def abroad(lab: RunningLab, folder: Path, region: str, partition: str) -> Migration:
    """Tables of one method each, with an account of another partition as their destination."""
    lab.world.accounts.add(ACCOUNT, "abroad", "", partition)
    key = lab.world.identity.add_administrator(ACCOUNT)
    migration = prepare(lab, folder, list(METHODS), ferry_manage_accounts=True)
    inventory = yaml.safe_load(migration.inventory.read_text())
    tables = inventory["dynamodb_tables"]
    keys = {"access_key": key.id, "secret_key": key.secret}
    tables["vars"]["ferry_destination"] = {**keys, "region": region, "endpoint_url": lab.endpoint_url}
    tables["hosts"] = {name: {"ferry_method": method} if method else {} for name, method in METHODS.items()}
    migration.inventory.write_text(yaml.safe_dump(inventory))
    return migration


@pytest.mark.parametrize(("region", "partition"), [("us-gov-west-1", "aws-us-gov"), ("cn-north-1", "aws-cn")])
def test_h13_another_partition_is_refused_and_direct_tables_of_the_pair_go_on(
    tmp_path: Path, region: str, partition: str
) -> None:
    with running(scale=0.01) as lab:
        migration = abroad(lab, tmp_path, region, partition)
        with migration.run("run") as run:
            assert run.wait() == 2, run.output[-4000:]
        rows = run.rows()
        assert {name: row["status"] for name, row in rows.items()} == {
            name: "migrated" if name in GO else "refused" for name in METHODS
        }
        words = f"does not work between the partitions aws and {partition} of the two Regions"
        assert all(f"the method {METHODS[name]} {words}" in rows[name]["reason"] for name in rows if name not in GO)
        # Nothing was made for the refused ones: neither jobs nor buckets, vaults, roles, keys, or an opt-in. The tables
        # of the source are as they were; what changes at the destination is the record and the copy.
        assert lab.jobs() == []
        changes = {(call["account"], call["service"]) for call in lab.calls(mutating=True, ok=True)}
        assert changes == {(ACCOUNT, "dynamodb")}  # no bucket is there that a copy of the report could go to
