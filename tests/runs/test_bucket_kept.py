# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A bucket that a cleanup may not remove makes it fail, after everything else that was to go has gone."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import yaml

from lab.client import spawn
from tests.runs.playbooks import Migration, client, prepare


def test_c6_a_bucket_that_stays_keeps_no_vault_open(tmp_path: Path) -> None:
    """found.md C6."""
    with spawn(scale=0.01) as lab:
        management = lab.landscape["accounts"]["management"]
        place = {"region": lab.landscape["region"], "endpoint_url": lab.endpoint_url}
        migration = prepare(
            lab,
            tmp_path,
            ["staged", "backed"],
            ferry_manage_accounts=True,
            ferry_management={**place, **{part: management[part] for part in ("access_key", "secret_key")}},
        )
        inventory = yaml.safe_load(migration.inventory.read_text())
        inventory["dynamodb_tables"]["hosts"]["backed"] = {"ferry_method": "backup"}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        with migration.run("migrate") as run:
            assert run.wait() == 0, run.output[-4000:]

        # On a busy machine the answer to a request may have been lost: then the statements stay until nothing of the
        # run can arrive, with a line that says so, and the next cleanup takes them away. Here one always was.
        _lose_an_answer(migration, "backed")
        vaults = client(lab, "backup", "destination")
        for name, words, closed in (("early", "may arrive until", False), ("cleanup", "safe mode is on", True)):
            with migration.run(name, playbook="tableferry.aws.cleanup", ferry_remove_bucket=True) as run:
                assert run.wait() == 2, run.output[-4000:]
            assert words in run.output and "safe mode is on" in run.output, run.output[-4000:]
            assert _is_closed(vaults) is closed, run.output[-4000:]
            migration.clock.advance(3600)

        asked = {"ferry_remove_bucket": True, "ferry_safe_mode": False}
        with migration.run("again", playbook="tableferry.aws.cleanup", **asked) as run:
            assert run.wait() == 2, run.output[-4000:]
        assert "TableFerry did not create it" in run.output, run.output[-4000:]
        assert "Report what stays until you remove it" in run.output, run.output[-4000:]


def _lose_an_answer(migration: Migration, table: str) -> None:
    """Have requests of the run that worked on ``table`` arrive for ten minutes more."""
    (record,) = (
        item for item in migration.items() if item["pk"]["S"].startswith("table#") and item["pk"]["S"].endswith(table)
    )
    fence = int(time.time() + migration.lab.control("GET", "clock")["offset"]) + 600
    client(migration.lab, "dynamodb", "destination").update_item(
        TableName="tableferry",
        Key={name: record[name] for name in ("pk", "sk")},
        UpdateExpression="SET fence = :fence",
        ExpressionAttributeValues={":fence": {"N": str(fence)}},
    )


def two_pairs(lab: Any, folder: Path) -> Migration:
    """One table each of two migrations, which share the bucket, moved."""
    migration = prepare(lab, folder, ["first", "second"], ferry_manage_accounts=True, ferry_remove_record=True)
    inventory = yaml.safe_load(migration.inventory.read_text())
    inventory["dynamodb_tables"]["hosts"]["second"] = {"ferry_migration_id": "other"}
    migration.inventory.write_text(yaml.safe_dump(inventory))
    with migration.run("migrate") as run:
        assert run.wait() == 0, run.output[-4000:]
    return migration


def test_a_bucket_that_stays_keeps_no_record_and_no_other_pair(tmp_path: Path) -> None:
    with spawn(scale=0.01) as lab:
        migration = two_pairs(lab, tmp_path)
        with migration.run("cleanup", playbook="tableferry.aws.cleanup", ferry_remove_bucket=True) as run:
            assert run.wait() == 2, run.output[-4000:]
        assert run.output.count("Report what stays until you remove it") == 2, run.output[-6000:]
        assert migration.records() == {}
        reported, _, failed = run.output.partition("PLAY [Fail the tables that could not be cleaned up]")
        assert "safe mode is on; set ferry_safe_mode: false" in reported.partition("TASK [Report] ")[2]
        assert "Not cleaned up completely. The report above says why" in failed


def test_a_bucket_goes_by_the_word_of_no_table_alone(tmp_path: Path) -> None:
    """The first table of an account pair spoke for all of them."""
    with spawn(scale=0.01) as lab:
        migration = prepare(lab, tmp_path, ["first", "second"], ferry_manage_accounts=True)
        inventory = yaml.safe_load(migration.inventory.read_text())
        hosts = inventory["dynamodb_tables"]["hosts"]
        hosts["first"] = {"ferry_remove_bucket": True, "ferry_safe_mode": False}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        with migration.run("differing", playbook="tableferry.aws.cleanup") as run:
            assert run.wait() == 2, run.output[-4000:]
        told = "ferry_remove_bucket is one for all tables that share their accounts, and they have different ones"
        assert f"{told}: true for first; false for second; give all of them the same" in run.output, run.output[-4000:]
        assert lab.count(mutating=True) == 0

        with migration.run("one is safe", playbook="tableferry.aws.cleanup", ferry_remove_bucket=True) as run:
            assert run.wait() == 2, run.output[-4000:]
        assert "safe mode is on; set ferry_safe_mode: false for all tables" in run.output, run.output[-4000:]


def test_records_stay_where_the_next_cleanup_needs_them(tmp_path: Path) -> None:
    """The statement of the source in the bucket's policy could not be removed."""
    with spawn(scale=0.01) as lab:
        migration = two_pairs(lab, tmp_path)
        account = lab.landscape["accounts"]["destination"]["account_id"]
        deny = {"Effect": "Deny", "Action": ["s3:PutBucketPolicy", "s3:DeleteBucketPolicy"], "Resource": "*"}
        lab.set_control_policies(account, {"Version": "2012-10-17", "Statement": [deny]})
        with migration.run("cleanup", playbook="tableferry.aws.cleanup") as run:
            assert run.wait() == 2, run.output[-4000:]
        # The first pair leaves the statement to the second.
        assert set(migration.records()) == {"second"}
        assert run.output.count("The records of the pair's tables are kept") == 1, run.output[-6000:]
        lab.set_control_policies(account, {"Version": "2012-10-17", "Statement": []})
        with migration.run("again", playbook="tableferry.aws.cleanup") as run:
            assert run.wait() == 0, run.output[-4000:]
        assert migration.records() == {}


def _is_closed(vaults: Any) -> bool:
    """Whether the destination's vault has no policy any more."""
    try:
        vaults.get_backup_vault_access_policy(BackupVaultName="tableferry")
    except vaults.exceptions.ResourceNotFoundException:
        return True
    return False
