# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table whose items steps change on the way, by the playbooks: checked, migrated, run again, compared."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from lab.client import LabClient, spawn
from tests.runs.playbooks import Migration, client, prepare

STEPS = [
    {"keep_if": "attribute_exists(email) AND #status <> :gone"},
    {"drop_expired": "expires_at"},
    {"rename": {"id": "user_id"}},
    {"hash": {"attributes": ["email"], "salt_from": "env:RUN_SALT"}},
    {"set": {"imported": True, "label": "USER#{user_id}"}},
    {"python": {"function": "files/transform.py:fix_zip", "attributes": ["zip"]}},
]
FUNCTION = """
def fix_zip(item):
    if "zip" in item:
        item["zip"] = {"S": item["zip"]["N"].zfill(5)}
    return item
"""
SALT = {"RUN_SALT": "pepper and salt"}


def _prepared(lab: LabClient, folder: Path, **more: Any) -> Migration:
    """One table with items of which one is gone, one has no mail address and one has expired."""
    variables = {
        "ferry_method": "direct",
        "ferry_destination_table": "people",
        "ferry_verify": "full",
        "ferry_workers": 2,
        "ferry_transform": STEPS,
        "ferry_transform_names": {"#status": "status"},
        "ferry_transform_values": {":gone": {"S": "gone"}},
        "ferry_differences_dir": str(folder / "differences"),
        "ferry_checkpoint_dir": str(folder / "checkpoints"),
        **more,
    }
    migration = prepare(lab, folder, ["users"], **variables)
    (folder / "files").mkdir()
    (folder / "files" / "transform.py").write_text(FUNCTION)
    dynamodb = client(lab, "dynamodb", "source")
    for number in range(20):
        item = {"id": {"S": f"{number:02d}"}, "email": {"S": f"{number}@example.com"}, "zip": {"N": str(number)}}
        dynamodb.put_item(TableName="users", Item=item)
    gone = {"id": {"S": "gone"}, "email": {"S": "g@example.com"}, "status": {"S": "gone"}}
    now = int(lab.control("GET", "clock")["now"])
    expired = {"id": {"S": "expired"}, "email": {"S": "e@example.com"}, "expires_at": {"N": str(now - 5000)}}
    for item in (gone, expired):
        dynamodb.put_item(TableName="users", Item=item)
    lab.clear_requests()
    return migration


def test_a_table_is_moved_with_other_keys_and_verified_and_run_again_unchanged(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = _prepared(lab, tmp_path)
        with migration.run("check", "--check", "--diff", environment=SALT) as checked:
            assert checked.wait() == 0, checked.output[-6000:]
        assert "key of users: id (S) -> user_id (S), never the same for two items" in checked.output
        assert "attribute zip in the first 25 items: N in 20 -> S in 20" in checked.output
        assert "1@example.com" not in checked.output
        copies = client(lab, "dynamodb", "destination")
        assert "people" not in copies.list_tables()["TableNames"]

        with migration.run("migrate", environment=SALT) as migrated:
            assert migrated.wait() == 0, migrated.output[-6000:]
        row = migrated.rows()["users"]
        assert (row["status"], row["verified"]) == ("migrated", "full"), row
        assert (row["items_source"], row["items_destination"]) == (25, 20), row
        assert "4 kept out by step 1 (keep_if), 1 kept out by step 2 (drop_expired), 20 written" in migrated.output
        assert copies.describe_table(TableName="people")["Table"]["KeySchema"][0]["AttributeName"] == "user_id"
        items = {item["user_id"]["S"]: item for item in copies.scan(TableName="people")["Items"]}
        assert items["07"]["zip"] == {"S": "00007"}
        assert items["07"]["label"] == {"S": "USER#07"}
        assert len(items["07"]["email"]["S"]) == 64
        for text in (migrated.output, migrated.report.read_text(), str(migration.items())):
            assert "pepper" not in text

        lab.clear_requests()
        with migration.run("again", environment=SALT) as again:
            assert again.wait() == 0, again.output[-6000:]
        assert "changed=0" in again.output
        assert "has changed since" not in again.output
        assert lab.count("Scan") == 0

        with migration.run("verify", playbook="tableferry.aws.verify", environment=SALT) as verified:
            assert verified.wait() == 0, verified.output[-6000:]
        assert re.search(r"users +full +source table +20 +20 +0 +0 +0 +equal", verified.output), verified.output[-3000:]

        other = {"RUN_SALT": "another one"}
        with migration.run("salt", environment=other) as salted:
            assert salted.wait() == 0, salted.output[-6000:]
        assert "its transform has changed since it was migrated" in " ".join(salted.output.split())
        with migration.run(
            "compare", playbook="tableferry.aws.verify", environment=other, ferry_repair=True
        ) as compared:
            assert compared.wait() == 2, compared.output[-6000:]
        assert "was filled, or begun, by other transform steps, salts or functions" in " ".join(compared.output.split())
        assert {item["user_id"]["S"]: item for item in copies.scan(TableName="people")["Items"]} == items


def test_a_method_that_cannot_change_items_is_refused_with_the_inventory(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = _prepared(lab, tmp_path, ferry_method="s3")
        with migration.run("migrate", environment=SALT) as migrated:
            assert migrated.wait() != 0
        assert "s3 cannot change items on the way; direct, glue, emr can" in " ".join(migrated.output.split())
        assert client(lab, "dynamodb", "destination").list_tables()["TableNames"] == []
