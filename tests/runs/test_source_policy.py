# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A caller of the source that may only write its own inline policies moves tables, and keeps none of them."""

from __future__ import annotations

import json
from pathlib import Path

import yaml

from lab.client import spawn
from tests.runs.playbooks import client, prepare


def test_c4_a_caller_gives_itself_what_exports_need_and_leaves_nothing(tmp_path: Path) -> None:
    """found.md B4 and C4: the policy applies late, and is taken back by cleaning up."""
    with spawn(scale=0.01) as lab:
        migration = prepare(
            lab,
            tmp_path,
            ["orders", "users"],
            ferry_manage_accounts=True,
            ferry_manage_source_policy=True,
            ferry_staging_bucket="policied",
        )
        iam = client(lab, "iam", "source")
        arn = iam.create_user(UserName="mover")["User"]["Arn"]
        own = {
            "Effect": "Allow",
            "Action": ["iam:GetUserPolicy", "iam:PutUserPolicy", "iam:DeleteUserPolicy"],
            "Resource": arn,
        }
        document = json.dumps({"Version": "2012-10-17", "Statement": [own]})
        iam.put_user_policy(UserName="mover", PolicyName="own", PolicyDocument=document)
        lab.set_timings({"iam.propagation": 8})
        key = iam.create_access_key(UserName="mover")["AccessKey"]
        inventory = yaml.safe_load(migration.inventory.read_text())
        source = inventory["dynamodb_tables"]["vars"]["ferry_source"]
        source |= {"access_key": key["AccessKeyId"], "secret_key": key["SecretAccessKey"]}
        migration.inventory.write_text(yaml.safe_dump(inventory))
        with migration.run("run") as run:
            assert run.wait() == 0, run.output[-4000:]
        assert {row["status"] for row in run.rows().values()} == {"migrated"}
        assert len(iam.list_user_policies(UserName="mover")["PolicyNames"]) == 2
        lab.clear_requests()
        with migration.run("cleanup", playbook="tableferry.aws.cleanup") as run:
            assert run.wait() == 0, run.output[-4000:]
        assert iam.list_user_policies(UserName="mover")["PolicyNames"] == ["own"]
        assert [call["operation"] for call in lab.calls(ok=False) if "Denied" in call["error_code"]] == []
