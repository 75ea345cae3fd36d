# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The verbs of the records on the lab, as playbooks call them, each with the permissions that its role lists."""

from __future__ import annotations

import importlib
import json
import os
from collections.abc import Iterator
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import process, transitions
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Source, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.glue.records import open_run
from generate.rehearsal import ROOT
from tests.unit.glue.test_verbs import assert_documented
from tests.unit.on_lab.callers import user_who_may
from tests.unit.on_lab.readmes import policies

VERBS = "ansible_collections.tableferry.aws.plugins.module_utils.glue.verbs"


def verb(name: str) -> Any:
    return importlib.import_module(f"{VERBS}.{name}")


class Caller:
    """Somebody who runs verbs in the destination account: the administrator, or a user with a role's permissions."""

    def __init__(self, crossing: Any, role: str = "", table: str = "") -> None:
        keys = crossing.lab.landscape["accounts"]["destination"]
        if role:
            document = {"Version": "2012-10-17", "Statement": policies("destination", role, TABLE="*")}
            text = json.dumps(document).replace("table/tableferry", f"table/{table}")
            keys = user_who_may(crossing.lab.client("iam", "destination"), f"{role}-{table}", text)
        self.side = {
            "access_key": keys["access_key"],
            "secret_key": keys["secret_key"],
            "region": crossing.region,
            "endpoint_url": crossing.lab.endpoint_url,
        }

    def run(self, called: str, check_mode: bool = False, **arguments: Any) -> dict[str, Any]:
        checked = ArgumentSpecValidator(verb(called).SPEC, **verb(called).VERB.rules).validate(
            {"destination": self.side, **arguments}
        )
        assert not checked.error_messages
        result = verb(called).run(checked.validated_parameters, check_mode, lambda line: None)
        assert_documented(verb(called), result)
        assert json.dumps(result)
        return result


@pytest.fixture
def admin(crossing) -> Iterator[Caller]:
    crossing.lab.clear_faults()
    yield Caller(crossing)
    crossing.lab.clear_faults()


def claimed(crossing: Any, table: str, name: str = "orders") -> Any:
    """A record of ``name``, held by the run of this process."""
    run = open_run(crossing.destination, table)
    assert run is not None
    run.claim(
        transitions.claim(
            table_key(name),
            run.moment(name),
            home=run.store.home,
            migration="default",
            source=Source(f"arn:aws:dynamodb:eu-west-1:1:table/{name}", "id"),
            method="s3",
            table_exists=False,
            filled_by_others=False,
        )
    )
    return run


def test_the_record_table_is_made_once_and_not_in_check_mode(crossing, admin) -> None:
    caller = Caller(crossing, "destination_account", "made")
    foreseen = caller.run("record_table", check_mode=True, name="made")
    assert (
        foreseen["changed"] and "made" not in crossing.lab.client("dynamodb", "destination").list_tables()["TableNames"]
    )
    made = caller.run("record_table", name="made")
    assert made["changed"] and made["record_table_arn"] == foreseen["record_table_arn"]
    assert made["record_table_arn"].endswith(":table/made")
    assert caller.run("record_table", name="made")["changed"] is False


def test_without_permission_the_policy_to_attach_is_named_before_anything_is_made(crossing, admin) -> None:
    caller = Caller(crossing, "remove_records", "elsewhere")
    with pytest.raises(errors.RecordDenied) as refused:
        caller.run("record_table", name="unmade")
    assert "dynamodb:CreateTable" in refused.value.next_step
    with pytest.raises(errors.RecordDenied) as refused:
        caller.run("migration_status_info", record_table="unmade")
    assert refused.value.details["policy"]["Statement"][0]["Action"] == ["dynamodb:DescribeTable", "dynamodb:Scan"]
    assert "CreateTable" not in refused.value.next_step


def test_status_without_a_record_table_is_an_empty_list_with_a_word(crossing, admin) -> None:
    result = Caller(crossing, "show_status", "none").run("migration_status_info", record_table="none")
    assert (result["changed"], result["tables"], result["record_table_arn"]) == (False, [], "")
    assert "no record table none" in result["msg"]
    assert "none" not in crossing.lab.client("dynamodb", "destination").list_tables()["TableNames"]


@pytest.mark.parametrize("check_mode", [False, True])
def test_status_reads_while_a_run_works_and_takes_nothing(crossing, admin, check_mode) -> None:
    table = f"read-{check_mode}".lower()
    run = claimed(crossing, table)
    result = Caller(crossing, "show_status", table).run(
        "migration_status_info", check_mode, record_table=table, names=["orders", "missing"]
    )
    assert result["unseen"] == []
    assert [(row["name"], row["state"]) for row in result["tables"]] == [
        ("missing", "no record"), ("orders", "claimed"),
    ]  # fmt: skip
    assert result["tables"][1]["run"] == run.id
    assert result["runs"] == [{"run": run.id, "held_by": result["runs"][0]["held_by"], "tables": 1}]
    assert result["msg"].endswith(": 2 tables.") and any("orders" in line for line in result["lines"])
    record = run.store.read(table_key("orders"))
    assert record is not None and record.run == run.id and record.ver == 1


def test_status_of_recorded_tables_alone(crossing, admin) -> None:
    claimed(crossing, "recorded")
    asked = {"record_table": "recorded", "names": ["orders", "unknown"]}
    assert [row["name"] for row in admin.run("migration_status_info", recorded=True, **asked)["tables"]] == ["orders"]
    assert len(admin.run("migration_status_info", **asked)["tables"]) == 2
    assert admin.run("migration_status_info", recorded=True, record_table="none", names=["orders"])["tables"] == []
    crossing.lab.client("dynamodb", "destination").create_table(
        TableName="standing",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    asked["names"] = ["standing", "unknown", "orders"]
    rows = admin.run("migration_status_info", recorded=True, **asked)["tables"]
    assert [(row["name"], row["state"], row["copy_state"]) for row in rows] == [
        ("orders", "claimed", "none"),
        ("standing", "no record", "unknown"),
        ("unknown", "no record", "none"),
    ]


def test_records_and_the_empty_table_go(crossing, admin) -> None:
    run = claimed(crossing, "going")
    run.let_go(run.store.read(table_key("orders")))
    run.end()
    caller = Caller(crossing, "remove_records", "going")
    arguments = {"record_table": "going", "tables": [{"name": "orders"}]}
    foreseen = caller.run("record_cleanup", check_mode=True, **arguments)
    assert [change["risk"] for change in foreseen["changes"]] == ["destructive", "destructive"]
    assert run.store.read(table_key("orders")) is not None
    crossing.lab.add_fault(
        operation="dynamodb.DeleteTable", code="AccessDeniedException", message="no", status=400, times=1
    )
    with pytest.raises(errors.RecordDenied) as refused:
        caller.run("record_cleanup", **arguments)
    assert "dynamodb:DeleteTable" in refused.value.next_step
    removed = caller.run("record_cleanup", **arguments)
    assert [change["what"] for change in removed["changes"]] == ["dynamodb.table.going"]
    assert caller.run("record_cleanup", **arguments)["changes"] == []
    assert "going" not in crossing.lab.client("dynamodb", "destination").list_tables()["TableNames"]


def test_a_record_of_another_source_or_held_stays(crossing, admin) -> None:
    run = claimed(crossing, "staying")
    source = {**admin.side, "account_id": crossing.lab.landscape["accounts"]["source"]["account_id"]}
    arguments = {"record_table": "staying", "tables": [{"name": "orders"}]}
    result = admin.run("record_cleanup", check_mode=True, **arguments)
    assert result["changes"] == [] and "held by" in result["left"][0]["reason"]
    run.let_go(run.store.read(table_key("orders")))
    result = admin.run("record_cleanup", source=source, **arguments)
    assert result["changes"] == [] and "of the source" in result["left"][0]["reason"]
    assert run.store.read(table_key("orders")) is not None


def test_the_run_is_that_of_the_process_that_the_verb_works_for(crossing, admin) -> None:
    run = claimed(crossing, "whose")
    assert run.here.pid == process.playbook(os.getpid())
    assert open_run(crossing.destination, "whose").id == run.id


def test_the_playbook_status_is_a_list_of_roles() -> None:
    for play in yaml.safe_load((ROOT / "playbooks/status.yml").read_text()):
        assert play["connection"] == "local" and play["gather_facts"] is False
        assert all(set(task) <= {"name", "tags", "vars", "ansible.builtin.import_role"} for task in play["tasks"])
