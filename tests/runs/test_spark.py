# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table that a Spark job of AWS Glue or Amazon EMR fills, by the playbooks, from the check to the cleanup."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from lab.client import LabClient, spawn
from lab.spark.engine import ENGINES
from tests.runs.playbooks import BUCKET, Migration, client, prepare
from tests.runs.test_transformed import FUNCTION, SALT

STEPS = [
    {"drop_expired": "expires_at"},
    {"rename": {"id": "user_id"}},
    {"hash": {"attributes": ["email"], "salt_from": "env:RUN_SALT"}},
    {"python": {"function": "files/transform.py:fix_zip", "attributes": ["zip"]}},
]
PATIENCE = 300.0  # seconds of real time for a run with a job of a real Spark
ROLE = "tableferry-spark"
ONE = {"users": {"ferry_destination_table": "people"}}
BOTH_ENDS = {**ONE, "members": {"ferry_spark": {"end": "import"}}}


@pytest.fixture(scope="module", autouse=True)
def spark() -> None:
    """Spark on this machine; without it the test is left out, in continuous integration never."""
    reason = ENGINES[0].why_not()
    if reason and os.environ.get("CI") == "true":
        pytest.fail(f"spark {ENGINES[0].version}: {reason}")
    if reason:
        pytest.skip(f"spark {ENGINES[0].version}: {reason}")


def _prepared(lab: LabClient, folder: Path, hosts: Mapping[str, Mapping[str, Any]] = ONE, **more: Any) -> Migration:
    """Tables, the variables of each in ``hosts``, with twenty items and one that has expired."""
    variables = {
        "ferry_method": "glue",
        "ferry_manage_accounts": True,
        "ferry_verify": "full",
        "ferry_transform": STEPS,
        "ferry_differences_dir": str(folder / "differences"),
        "ferry_checkpoint_dir": str(folder / "checkpoints"),
        **more,
    }
    migration = prepare(lab, folder, list(hosts), **variables)
    inventory = yaml.safe_load((folder / "inventory.yml").read_text())
    inventory["dynamodb_tables"]["hosts"] = {name: dict(own) for name, own in hosts.items()}
    (folder / "inventory.yml").write_text(yaml.safe_dump(inventory))
    (folder / "files").mkdir()
    (folder / "files" / "transform.py").write_text(FUNCTION)
    dynamodb = client(lab, "dynamodb", "source")
    now = int(lab.control("GET", "clock")["now"])
    expired = {"id": {"S": "expired"}, "email": {"S": "e@example.com"}, "expires_at": {"N": str(now - 5000)}}
    for name in hosts:
        for number in range(20):
            item = {"id": {"S": f"{number:02d}"}, "email": {"S": f"{number}@example.com"}, "zip": {"N": str(number)}}
            dynamodb.put_item(TableName=name, Item=item)
        dynamodb.put_item(TableName=name, Item=expired)
    lab.clear_requests()
    return migration


def test_a_table_goes_by_glue_with_other_keys_and_leaves_nothing_behind(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = _prepared(lab, tmp_path, BOTH_ENDS)
        glue, iam = client(lab, "glue", "destination"), client(lab, "iam", "destination")
        copies, objects = client(lab, "dynamodb", "destination"), client(lab, "s3", "destination")
        with migration.run("check", "--check", "--diff", environment=SALT) as checked:
            assert checked.wait() == 0, checked.output[-6000:]
        assert "role tableferry-spark" in checked.output
        assert "job run of AWS Glue into people" in checked.output
        assert f"job run of AWS Glue into s3://{BUCKET}" in checked.output
        assert "import into members" in checked.output
        assert "key of users: id (S) -> user_id (S), never the same for two items" in checked.output
        assert "attribute zip in the first 24 items: N in 20 -> S in 20" in checked.output
        assert "1@example.com" not in checked.output
        assert lab.mutating_calls() == []

        with migration.run("migrate", environment=SALT) as migrated:
            assert migrated.wait(PATIENCE) == 0, migrated.output[-6000:]
        row = migrated.rows()["users"]
        assert (row["status"], row["verified"], row["method"]) == ("migrated", "full", "glue"), row
        items = {item["user_id"]["S"]: item for item in copies.scan(TableName="people")["Items"]}
        assert (row["items_destination"], "expired" in items) == (len(items), False), row
        assert items["07"]["zip"] == {"S": "00007"}
        assert len(items["07"]["email"]["S"]) == 64
        imported = migrated.rows()["members"]
        assert (imported["status"], imported["verified"]) == ("migrated", "full"), imported
        assert imported["items_destination"] == row["items_destination"] == len(items)
        assert [lab.count(call) for call in ("ImportTable", "StartJobRun")] == [1, 2]
        keys = {item["user_id"]["S"]: item for item in copies.scan(TableName="members")["Items"]}
        made = {key for key in items if "/" not in key}  # the others have the name of their table
        assert {key for key in keys if "/" not in key} == made
        assert all(keys[key] == items[key] for key in made)
        for text in (migrated.output, migrated.report.read_text(), str(migration.items())):
            assert "pepper" not in text
        (job,) = glue.get_jobs()["Jobs"]
        assert len(glue.get_job_runs(JobName=job["Name"])["JobRuns"]) == 2
        policy = iam.get_role_policy(RoleName=ROLE, PolicyName=f"tableferry-spark-{lab.landscape['region']}")
        assert "table/people" in str(policy["PolicyDocument"])

        lab.clear_requests()
        with migration.run("again", environment=SALT) as again:
            assert again.wait() == 0, again.output[-6000:]
        assert "changed=0" in again.output
        assert [lab.count(call) for call in ("StartJobRun", "ExportTableToPointInTime", "ImportTable")] == [0, 0, 0]

        with migration.run("cleanup", playbook="tableferry.aws.cleanup", environment=SALT) as cleaned:
            assert cleaned.wait() == 0, cleaned.output[-6000:]
        assert glue.get_jobs()["Jobs"] == []
        assert ROLE not in [role["RoleName"] for role in iam.list_roles()["Roles"]]
        left = [each["Key"] for each in objects.list_objects_v2(Bucket=BUCKET, Prefix="tableferry/")["Contents"]]
        assert {key.rpartition("/")[0].rpartition("/")[0] for key in left} == {"tableferry/reports"}
        assert {item["user_id"]["S"]: item for item in copies.scan(TableName="people")["Items"]} == items


COLLIDING = [{"replace": {"id": ["[0-9]$", "x"]}}]  # of the ids 0 to 2 and 00 to 19: x, 0x and 1x


def test_a_table_whose_keys_collide_is_refused_by_glue_before_it_is_made(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = _prepared(lab, tmp_path, ferry_transform=COLLIDING)
        for name, looks in (("migrate", 1), ("again", 0)):
            lab.clear_requests()
            with migration.run(name) as refused:
                assert refused.wait(PATIENCE) == 2, refused.output[-6000:]
            row = refused.rows()["users"]
            assert (row["status"], row["changed"]) == ("refused", bool(looks)), row
            assert "gives 3 keys to several items each: 20 of 24 items" in row["reason"], row
            assert lab.count("StartJobRun") == looks
            (file,) = (tmp_path / "differences").rglob("*refused*")
            assert len(file.read_text().splitlines()) == 3
            assert file.stat().st_mode & 0o777 == 0o600
            file.unlink()
            assert '{"S": "0x"}' not in refused.output + refused.report.read_text() + str(migration.items())
        assert "people" not in client(lab, "dynamodb", "destination").list_tables()["TableNames"]


def test_a_table_goes_by_emr_serverless_and_is_compared(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = _prepared(lab, tmp_path, ferry_method="emr")
        copies = client(lab, "dynamodb", "destination")
        with migration.run("migrate", environment=SALT) as migrated:
            assert migrated.wait(PATIENCE) == 0, migrated.output[-6000:]
        row = migrated.rows()["users"]
        assert (row["status"], row["verified"], row["method"]) == ("migrated", "full", "emr"), row
        items = {item["user_id"]["S"]: item for item in copies.scan(TableName="people")["Items"]}
        assert (row["items_destination"], "expired" in items) == (len(items), False), row
        lab.clear_requests()
        with migration.run("again", environment=SALT) as again:
            assert again.wait() == 0, again.output[-6000:]
        assert "changed=0" in again.output
        assert lab.count("StartJobRun") == 0
        # The export is what the copy is to be, whatever the source does; once it is gone, the source table is.
        client(lab, "dynamodb", "source").put_item(TableName="users", Item={"id": {"S": "late"}})
        with migration.run("verify", playbook="tableferry.aws.verify", environment=SALT) as verified:
            assert verified.wait() == 0, verified.output[-6000:]
        exported = row["data_as_of"]["to"]
        assert f"export of {exported}" in verified.output
        assert f"Compared with the export of {exported}." in row["reason"]
        with migration.run("cleanup", playbook="tableferry.aws.cleanup", environment=SALT) as cleaned:
            assert cleaned.wait() == 0, cleaned.output[-6000:]
        with migration.run("anew", playbook="tableferry.aws.verify", environment=SALT) as anew:
            assert anew.wait() != 0, anew.output[-6000:]
        assert "source table" in anew.output and "1 missing" in anew.output
