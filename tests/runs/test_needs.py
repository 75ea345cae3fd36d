# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What cannot be made in an account stops the tables that need it, and no others."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from lab.client import spawn
from tests.runs.playbooks import client, prepare


def test_h6_a_bucket_that_cannot_be_made_stops_staged_tables_alone(tmp_path: Path) -> None:
    """found.md H6."""
    with spawn(scale=0.01) as lab:
        migration = prepare(
            lab, tmp_path, ["staged", "copied"], ferry_manage_accounts=True, ferry_staging_bucket="none-yet"
        )
        inventory = yaml.safe_load(migration.inventory.read_text())
        inventory["dynamodb_tables"]["hosts"]["copied"] = {"ferry_method": "direct"}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        deny = {"Effect": "Deny", "Action": "s3:CreateBucket", "Resource": "*"}
        account = lab.landscape["accounts"]["destination"]["account_id"]
        lab.set_control_policies(account, {"Version": "2012-10-17", "Statement": [deny]})
        with migration.run("run") as run:
            assert run.wait() == 2, run.output[-4000:]
        rows = run.rows()
        assert rows["copied"]["status"] == "migrated", run.output[-4000:]
        assert rows["staged"]["status"] in ("failed", "refused")
        assert "service control policy" in rows["staged"]["reason"], rows["staged"]


def test_h5_what_modules_of_others_make_is_tagged_too(tmp_path: Path) -> None:
    """found.md H5: the log group is made by a module of another collection; one that is there is left as it is."""
    with spawn(scale=0.01) as lab:
        migration = prepare(
            lab,
            tmp_path,
            ["orders"],
            ferry_manage_accounts=True,
            ferry_staging_bucket="tagged-bucket",
            ferry_tags={"team": "data"},
        )
        with migration.run("run") as run:
            assert run.wait() == 0, run.output[-4000:]
        logs = client(lab, "logs", "destination")
        assert logs.list_tags_log_group(logGroupName="/aws-dynamodb/imports")["tags"] == {"team": "data"}
        logs.untag_log_group(logGroupName="/aws-dynamodb/imports", tags=["team"])
        with migration.run("again") as run:
            assert run.wait() == 0, run.output[-4000:]
        assert logs.list_tags_log_group(logGroupName="/aws-dynamodb/imports")["tags"] == {}


@pytest.mark.parametrize(
    ("side", "action", "playbook"),
    [
        ("destination", "logs:DescribeLogGroups", "migrate"),
        ("source", "backup:CreateBackupSelection", "migrate"),
        ("source", "backup:DeleteBackupSelection", "cleanup"),
    ],
)
def test_what_a_module_of_others_may_not_do_names_the_account(
    tmp_path: Path, side: str, action: str, playbook: str
) -> None:
    with spawn(scale=0.01) as lab:
        management = lab.landscape["accounts"]["management"]
        place = {"region": lab.landscape["region"], "endpoint_url": lab.endpoint_url}
        migration = prepare(
            lab,
            tmp_path,
            ["staged", "backed"],
            ferry_manage_accounts=True,
            ferry_tags={"team": "data"},
            ferry_backup_plan=True,
            ferry_remove_backup_plan=True,
            ferry_management={**place, **{part: management[part] for part in ("access_key", "secret_key")}},
        )
        inventory = yaml.safe_load(migration.inventory.read_text())
        inventory["dynamodb_tables"]["hosts"]["backed"] = {"ferry_method": "backup"}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        if playbook == "cleanup":
            with migration.run("before", "--tags", "accounts") as run:
                assert run.wait() == 0, run.output[-4000:]
        account = lab.landscape["accounts"][side]["account_id"]
        deny = {"Effect": "Deny", "Action": action, "Resource": "*"}
        lab.set_control_policies(account, {"Version": "2012-10-17", "Statement": [deny]})
        options = ("--tags", "accounts") if playbook == "migrate" else ()
        with migration.run("denied", *options, playbook=f"tableferry.aws.{playbook}") as run:
            assert run.wait() == 2, run.output[-4000:]
        words = run.output.partition(f"In the {side} account {account}, the task ")[2].partition("run again.")[0]
        assert action in words, run.output[-6000:]
