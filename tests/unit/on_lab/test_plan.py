# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans of tables on the lab: what stops a table and why, what was begun, and that a migration does as planned."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import TableBroken
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods import planning
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import (
    BackupChoices,
    MigrationOptions,
    SparkChoices,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.planning import ToPlan, make_plan
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.approved import refusals
from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import usual
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.transforming import choices_of
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")
LOCAL = {
    "AttributeDefinitions": [{"AttributeName": name, "AttributeType": "S"} for name in ("id", "date")],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "date", "KeyType": "RANGE"}],
    "LocalSecondaryIndexes": [
        {
            "IndexName": "by_other",
            "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "other", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "ALL"},
        }
    ],
}
LOCAL["AttributeDefinitions"].append({"AttributeName": "other", "AttributeType": "S"})


@pytest.fixture(autouse=True)
def one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(planning, "THREADS", 1)


def plan(aws: Staged, *tables: str, recorded: bool = True, prepared: bool = False, **options: Any) -> dict[str, Any]:
    """The plan as JSON, with the tables by name besides."""
    chosen = {"bucket": BUCKET, "enable_point_in_time_recovery": True, **options}
    source, destination = aws.account("source"), aws.account("destination")
    store = Playbook(aws, 99).store if recorded else None
    aws.calls.clear()
    entries = [
        ToPlan(table, source, destination, MigrationOptions(table, **chosen), store, prepared) for table in tables
    ]
    data = make_plan(migration.METHODS, entries, usual()).to_dict()
    assert aws.mutating() == []
    return {**data, **{table["host"]: table for table in data["tables"]}}


def rules(table: dict[str, Any]) -> list[str]:
    return [reason["rule"] for reason in table["reasons"]]


def test_a_plan_changes_nothing_and_asks_little() -> None:
    aws = world({"orders": 7, "users": 3})
    data = plan(aws, "orders", "users")
    assert data["line"].startswith("2 tables: 2 by s3; ")
    assert (data["orders"]["items"], data["orders"]["state"], data["orders"]["wave"]) == (7, "planned", 1)
    # Of each table two calls, and what concerns all of them once.
    assert (aws.count("DescribeTable"), aws.count("DescribeContinuousBackups"), aws.count("ListTables")) == (2, 2, 1)
    assert aws.count("DescribeOrganization") == 2
    assert aws.count("Scan") == 1  # of the records


def test_a_plan_says_what_items_will_add_of_a_table_whose_size_is_not_told_yet() -> None:
    aws = world({"orders": 7})
    aws.add_table("young", 0)
    data = plan(aws, "orders", "young", method="direct")
    assert "growth" not in data["orders"]
    # A write unit for each started KB, and for each item, and half a read unit for 4 KB: in dollars per million.
    prices = {name: data["prices"]["figures"][name]["price"] for name in ("write_million", "read_million")}
    kilobytes = (1 << 20) / 1e6  # million, of a GB
    read, written = kilobytes / 8 * prices["read_million"], kilobytes * prices["write_million"]
    assert data["young"]["growth"]["gb"] == pytest.approx([read + written] * 2, rel=1e-3)
    assert data["young"]["growth"]["million_items"] == pytest.approx([prices["write_million"]] * 2, rel=1e-3)


def test_an_export_that_serves_several_hosts_is_told() -> None:
    aws = world({"orders": 7, "users": 3})
    source, destination = aws.account("source"), aws.account("destination")
    entries = [
        ToPlan(host, source, destination, MigrationOptions(table, destination_table=host, method="s3", bucket=BUCKET))
        for host, table in (("one", "orders"), ("two", "orders"), ("users", "users"))
    ]
    warnings = make_plan(migration.METHODS, entries, usual()).to_dict()["warnings"]
    assert [words for words in warnings if "one export" in words] == [
        "one, two: AWS bills one export for all of them, which the plan counts for each."
    ]


def test_a_migration_does_as_planned() -> None:
    aws = world({"orders": 7})
    aws.add_table("local", 0, **LOCAL)
    aws.add_table("off", 3, recovery=False)
    for table, more in (
        ("orders", {}),
        ("local", {}),
        ("off", {"enable_point_in_time_recovery": False}),
        ("orders", {"writes_stopped": True}),
        ("orders", {"backup": BackupChoices(writes_stopped=True)}),
        ("orders", {"method": "direct"}),
    ):
        planned = plan(aws, table, **more)[table]
        options = MigrationOptions(table, **{"bucket": BUCKET, "enable_point_in_time_recovery": True, **more})
        shown = migration.preview(aws.account("source"), aws.account("destination"), options)
        assert shown.method == planned["method"] != "", (table, more)


def test_what_was_migrated_took_the_planned_method_and_is_done() -> None:
    aws = world({"orders": 7, "users": 3})
    planned = plan(aws, "orders", "users")
    Playbook(aws).migrate("orders", "users", method="auto")
    records = {name: Playbook(aws, 2).record(name) for name in ("orders", "users")}
    assert {name: record.method for name, record in records.items()} == {
        name: planned[name]["method"] for name in records
    }
    again = plan(aws, "orders", "users", writes_stopped=True)
    assert [again[name]["state"] for name in records] == ["done", "done"]
    assert again["line"] == "2 tables: 2 done already"
    assert aws.count("DescribeTable") == 0  # the records say all


def test_a_table_that_was_begun_stays_with_its_method() -> None:
    aws = world({"orders": 7})
    playbook = Playbook(aws)
    playbook.start("orders", method="auto")  # by s3
    data = plan(aws, "orders", writes_stopped=True)
    assert (data["orders"]["state"], data["orders"]["method"]) == ("begun", "s3")
    assert data["orders"]["cost"][0] == 0
    playbook.killed()
    # Of a table this small auto would choose direct now.
    assert (
        Playbook(aws, 2).start("orders", method="auto", writes_stopped=True, take_over=playbook.run.id).method == "s3"
    )


def test_a_partial_table_of_a_failed_import_is_told_as_the_start_refuses_it() -> None:
    aws = world({"orders": 7})
    aws.fail_next("ImportTable", "ItemValidationError", "said AWS")
    failed = Playbook(aws).migrate(method="auto")["orders"]
    assert failed.status == "failed"
    data = plan(aws, "orders")
    with pytest.raises(TableBroken) as refused:
        Playbook(aws, 2).start(method="auto")
    (reason,) = data["orders"]["reasons"]
    assert (data["orders"]["state"], data["orders"]["method"], data["orders"]["cost"]) == ("cannot_go", "", [0, 0])
    assert f"{reason['why']}. {reason['next_step']}" == f"{refused.value.cause} {refused.value.next_step}"
    assert "AWS left the partial table orders" in reason["next_step"]
    assert data["to_do"] == [f"orders: {refused.value.next_step}"]
    # What the next step names lets it go on: the partial table is replaced, or gone.
    assert plan(aws, "orders", replace_failed=True)["orders"]["state"] == "begun"
    dynamodb = aws.client("dynamodb", "destination")
    dynamodb.update_table(TableName="orders", DeletionProtectionEnabled=False)
    dynamodb.delete_table(TableName="orders")
    aws.advance(60)
    assert plan(aws, "orders")["orders"]["state"] == "begun"
    assert Playbook(aws, 3).migrate(method="auto")["orders"].status == "migrated"


def test_another_method_for_a_table_that_was_begun_is_told_as_the_start_refuses_it() -> None:
    aws = world({"orders": 7})
    aws.fail_next("ImportTable", "ItemValidationError", "said AWS")
    Playbook(aws).migrate(method="s3")
    with pytest.raises(TableBroken) as refused:
        Playbook(aws, 2).start(method="backup")
    (reason,) = plan(aws, "orders", method="backup")["orders"]["reasons"]
    assert f"{reason['why']}. {reason['next_step']}" == f"{refused.value.cause} {refused.value.next_step}"


def test_a_source_that_was_made_anew_since_the_plan_is_told_in_words() -> None:
    aws = world({"orders": 7})
    approved = plan(aws, "orders")
    aws.client("dynamodb").delete_table(TableName="orders")
    aws.advance(60)
    aws.add_table("orders", 7)
    words = refusals(approved, plan(aws, "orders"))["orders"]
    assert "the source table was deleted and created anew since the plan was made (another TableId)" in words
    assert words.endswith("Look whether the new table is the one to move, then make a new plan and have it approved.")


def test_what_stops_a_table_is_told_with_what_to_do() -> None:
    aws = world({"orders": 7, "taken": 1})
    aws.add_table("taken", 1, side="destination", recovery=False)
    data = plan(aws, "orders", "taken", "missing")
    assert data["line"].startswith("3 tables: 1 by s3, 2 cannot go (")
    assert rules(data["taken"]) == ["destination"]
    assert rules(data["missing"]) == ["MissingTable"]
    assert (data["taken"]["method"], data["taken"]["wave"], data["taken"]["cost"]) == ("", 0, [0, 0])
    assert len(data["to_do"]) == 2


def test_a_record_of_another_migration_stops_a_table() -> None:
    aws = world({"orders": 7})
    Playbook(aws).migrate()
    assert rules(plan(aws, "orders", migration_id="other")["orders"]) == ["Claimed"]


def test_wrong_options_and_variables_stop_their_table_alone() -> None:
    aws = world({"orders": 7, "users": 1})
    data = plan(aws, "orders", indexes_after=("ghost",))
    assert rules(data["orders"]) == ["InvalidInput"]
    problem = ToPlan("users", None, None, MigrationOptions("users"), problem="ferry_verfy is not a variable.")
    found = make_plan(migration.METHODS, [problem], usual()).to_dict()
    assert found["tables"][0]["reasons"][0]["why"] == "ferry_verfy is not a variable"
    assert found["line"] == "1 table: 1 cannot go (variables)"


def test_steps_and_choices_that_a_run_would_refuse_stop_their_table(tmp_path: Path) -> None:
    aws = world({"orders": 7, "users": 1})
    (tmp_path / "steps.py").write_text("")
    python = {"python": {"function": "steps.py:absent", "attributes": "all"}}
    unset = {"hash": {"attributes": ["mail"], "salt_from": "env:TABLEFERRY_NOWHERE"}}
    for step, words in ((python, "has no function absent"), (unset, "TABLEFERRY_NOWHERE")):
        transform = choices_of([step], folders=[str(tmp_path)])
        data = plan(aws, "orders", method="direct", transform=transform)
        assert rules(data["orders"]) == ["InvalidTransform"]
        assert words in data["orders"]["why"]
    data = plan(aws, "users", method="glue", spark=SparkChoices(workers=1))
    assert rules(data["users"]) == ["InvalidInput"]
    assert "workers of spark is 1" in data["users"]["why"]


def test_source_and_destination_that_are_one_table_are_refused() -> None:
    aws = world({"orders": 7})
    account = aws.account("source")
    entry = ToPlan("orders", account, aws.account("source", "destination"), MigrationOptions("orders"))
    (table,) = make_plan(migration.METHODS, [entry], usual()).to_dict()["tables"]
    assert rules(table) == ["same table"]


def test_items_that_an_index_does_not_take_are_seen_in_a_sample() -> None:
    """Written before the index was created: a backfill leaves them out, an import would fail."""
    aws = world({"orders": 7})
    source = aws.client("dynamodb")
    source.put_item(TableName="orders", Item={"id": {"S": "odd"}, "mail": {"N": "5"}})
    source.update_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in ("id", "mail")],
        GlobalSecondaryIndexUpdates=[
            {
                "Create": {
                    "IndexName": "by_mail",
                    "KeySchema": [{"AttributeName": "mail", "KeyType": "HASH"}],
                    "Projection": {"ProjectionType": "ALL"},
                }
            }
        ],
    )
    aws.world.advance(8 * 3600)  # until AWS has counted the items too
    table = plan(aws, "orders")["orders"]
    against = next(each["reasons"] for each in table["methods"] if each["method"] == "s3")
    assert [reason["rule"] for reason in against] == ["items that an index does not take"]
    assert "by_mail (1)" in against[0]["why"]
    assert table["method"] not in ("", "s3")
    assert plan(aws, "orders", indexes_after=("by_mail",))["orders"]["method"] == "s3"


def test_denied_calls_leave_a_plan_with_what_is_not_known() -> None:
    aws = world({"orders": 7})
    aws.may_not("source", "dynamodb:DescribeContinuousBackups", "organizations:DescribeOrganization", "backup:*")
    data = plan(aws, "orders")
    assert data["orders"]["state"] == "planned"
    backup = next(each for each in data["orders"]["methods"] if each["method"] == "backup")
    assert backup["possible"]
    aws.may_not("source", "dynamodb:DescribeTable")
    assert rules(plan(aws, "orders")["orders"]) == ["AccessDenied"]
