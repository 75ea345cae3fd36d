# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report as data, by its schema; what is left to do; what a workflow is handed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from ansible_collections.tableferry.aws.plugins.module_utils.core.report import row as rows
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.document import (
    VERSION,
    WrittenBy,
    artifact,
    document,
    is_readable,
    left_out,
    of_earlier_runs,
    part_of,
    totals,
    with_part,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.left_to_do import grouped, left_to_do
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.markdown import markdown
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.page import page
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.planned import is_plan, with_plan
from generate.sample_report import sample

SCHEMA = json.loads((Path(__file__).parents[4] / "docs" / "report.schema.json").read_text())
BY = WrittenBy("3f9ac1d27be04410", "migrate", "2026-11-29T11:00:00+00:00")
NOW = datetime(2026, 11, 29, tzinfo=UTC)


def faults(found: Any) -> list[str]:
    """What the schema says against ``found``."""
    return [error.message for error in Draft202012Validator(SCHEMA).iter_errors(found)]


def test_the_report_keeps_to_its_schema() -> None:
    Draft202012Validator.check_schema(SCHEMA)
    assert faults(sample(60)) == []
    assert faults(document([], BY)) == []
    assert VERSION.partition(".")[0] == "1"


@pytest.mark.parametrize(
    ("member", "value"),
    [("status", "done"), ("jobs", [{"kind": "export"}]), ("verified", "yes"), ("to_do", ["look"]), ("bytes", -1)],
)
def test_the_schema_refuses_what_it_does_not_describe(member: str, value: Any) -> None:
    found = sample(1)
    found["tables"][0][member] = value
    assert faults(found)


def part(name: str, account: str, **values: Any) -> dict[str, Any]:
    """What verify found about a table."""
    places = {side: rows.TablePlace(name, account, "eu-west-1").to_dict() for side in ("source", "destination")}
    numbers = dict.fromkeys(("items_source", "items_destination", "missing", "different", "extra"), 0)
    compared = {"level": "full", **numbers, "result": "equal", "message": "", **values}
    return {"name": name, "migration_id": "default", **places, "comparison": compared}


def moved(name: str, account: str) -> dict[str, Any]:
    """The row of a table that was migrated."""
    place = rows.TablePlace(name, account, "eu-west-1")
    return rows.row(name, "s3", judgement={"status": "migrated"}, way=rows.Way(place, place))


def test_what_verify_found_goes_to_the_table_of_that_account() -> None:
    former = document([moved("orders", "111111111111"), moved("orders", "222222222222")], BY)
    found = with_part(former, "comparison", [part("orders", "222222222222"), part("orders", "333333333333")], BY)
    assert faults(found) == []
    assert [
        (each["destination"]["account_id"][:1], each["status"], each["comparison"] is None) for each in found["tables"]
    ] == [
        ("1", "migrated", True),
        ("2", "migrated", False),
        ("3", "unknown", False),
    ]


def test_tables_that_a_run_left_alone_stay_in_the_report_with_the_run_that_found_them() -> None:
    gone = rows.row("gone", "s3", failure={"msg": "why"})
    first = document([moved("carts", "1" * 12), moved("orders", "1" * 12), gone], BY)
    first["adoption"] = [{"account_id": account * 12, "region": "eu-west-1"} for account in "12"]
    later = WrittenBy("0123456789abcdef", "migrate", BY.at)
    found = document([{**moved("orders", "1" * 12), "status": "failed"}], later, first, ["carts", "never"])
    found = with_part(found, "comparison", [part("carts", "1" * 12), part("orders", "")], later)
    assert [(each["name"], each["status"], each["run"]) for each in found["tables"]] == [
        ("carts", "migrated", BY.run),
        ("orders", "failed", later.run),
    ]
    assert [each["account_id"][:1] for each in found["adoption"]] == ["1"]
    assert faults({**found, "adoption": []}) == []
    last = document([moved("never", "1" * 12)], WrittenBy("f" * 16, "migrate", BY.at), found, ["carts", "orders"])
    assert [each["run"] for each in last["tables"]] == [BY.run, "f" * 16, later.run]


def test_a_source_whose_items_the_copy_lacks_now_is_not_migrated_any_more() -> None:
    into = rows.TablePlace("merged", "2" * 12, "eu-west-1")
    sources = {name: rows.TablePlace(name, "1" * 12, "eu-west-1") for name in ("acme", "globex", "other")}

    def part_of_it(name: str, into: rows.TablePlace = into, **judged: Any) -> dict[str, Any]:
        judgement = {"status": "migrated", "items_source": 40, "items_destination": 40, "verified": "counts", **judged}
        return rows.row(name, "direct", judgement=judgement, way=rows.Way(sources[name], into))

    elsewhere = rows.TablePlace("elsewhere", "2" * 12, "eu-west-1")
    first = document([part_of_it("acme"), part_of_it("globex"), part_of_it("other", elsewhere)], BY)
    later = WrittenBy("0123456789abcdef", "migrate", BY.at)
    lacking = part_of_it("acme", lacks=[sources["globex"].arn, sources["other"].arn])
    found = document([lacking], later, first, ["globex", "other"], {BY.run})
    assert faults(found) == []
    tables = {each["name"]: each for each in found["tables"]}
    assert {name: each["status"] for name, each in tables.items()} == {
        "acme": "migrated",
        "globex": "failed",
        "other": "migrated",
    }
    assert (tables["globex"]["verified"], tables["globex"]["items_destination"]) == ("none", None)
    assert tables["globex"]["reason"].startswith("The copy merged was deleted")
    assert [step["text"] for step in tables["globex"]["to_do"]] == ["Run migrate for this source too."]
    assert "lacks" not in tables["acme"]
    assert "made anew without its items" in markdown(found)
    # Where another run brought them meanwhile, this one does not know better.
    beside = document([lacking], later, first, ["globex", "other"], set())
    assert [each["status"] for each in beside["tables"]] == ["migrated"] * 3


def test_tables_that_were_moved_stay_in_the_report_when_the_inventory_has_them_no_more() -> None:
    """Those of a wave that is done were taken out of the inventory, and what became of them was nowhere any more."""
    stopped = [rows.row(name, "s3", failure={"msg": "why"}) for name in ("refused", "again")]
    copied = {**moved("copied", "1" * 12), "status": "copied"}
    first = document([moved("done", "1" * 12), copied, moved("renamed", "1" * 12), *stopped], BY)
    later = WrittenBy("0123456789abcdef", "migrate", BY.at)
    renamed = {**moved("renamed", "1" * 12), "name": "other"}
    found = document([renamed, {**moved("again", "1" * 12), "status": "failed"}], later, first)
    assert faults(found) == []
    assert [(each["name"], each["status"], each["run"]) for each in found["tables"]] == [
        ("again", "failed", later.run),
        ("copied", "copied", BY.run),
        ("done", "migrated", BY.run),
        ("other", "migrated", later.run),
    ]
    assert (left_out(first, found), left_out(None, found), of_earlier_runs(found)) == (["refused"], [], 2)
    assert "2 tables are as earlier runs found them." in markdown(found)
    assert "2 tables are as earlier runs found them.</p>" in page(found)
    assert "earlier run" not in markdown(first) + page(first).partition("<ul")[0]
    # A host whose destination cannot be told this time has one row.
    broken = rows.row("done", "s3", failure={"msg": "why"})
    assert [each["status"] for each in document([broken], later, first)["tables"] if each["name"] == "done"] == [
        "failed"
    ]


def test_a_workflow_is_handed_only_the_tables_of_its_run() -> None:
    first = document([rows.row("orders", "s3", failure={"msg": "why"})], BY)
    later = WrittenBy("0123456789abcdef", "migrate", BY.at)
    found = document([moved("carts", "1")], later, first, ["orders"])
    found["adoption"] = [{"account_id": "1", "region": "eu-west-1"}]
    handed = artifact(found, "", [])
    assert (handed["tables"], handed["statuses"], handed["failed"]) == (1, {"migrated": 1}, [])


def test_a_table_of_whose_migration_nothing_is_known_is_last_unless_something_is_wrong() -> None:
    former = document([moved("orders", "1"), rows.row("stopped", "s3", failure={"msg": "why"})], BY)
    known = with_part(former, "comparison", [part("a", "1"), part("b", "1", result="differs")], BY)
    text = markdown(known)
    assert [line.split("|")[1].strip() for line in text.splitlines() if line.startswith("| ")][2:] == [
        "stopped", "b", "orders", "a",
    ]  # fmt: skip
    shown = page(known).partition("<tbody")[2]
    places = [shown.index(f">{name}<") for name in ("stopped", "b", "orders", "a")]
    assert places == sorted(places)


def test_an_account_that_was_not_reached_is_taken_for_the_one_that_is_known() -> None:
    former = document([moved("orders", "111111111111")], BY)
    (table,) = with_part(former, "comparison", [part("orders", "", result="failed")], BY)["tables"]
    assert table["comparison"]["result"] == "failed" and table["destination"]["account_id"] == "111111111111"


def test_a_report_of_another_version_or_of_somebody_else_is_not_gone_on_with() -> None:
    found = sample(2)
    assert is_readable(found)
    assert is_readable({**found, "version": "1.7"})
    assert not is_readable({**found, "version": "2.0"})
    assert not is_readable({"tables": [{}], "version": VERSION})
    assert not is_readable([found]) and not is_readable(None)
    del found["tables"][0]["destination"]["region"]
    assert not is_readable(found)


def test_totals_count_what_is_known() -> None:
    found = totals(sample(40)["tables"])
    assert sum(found["statuses"].values()) == found["tables"] == 40
    assert list(found["statuses"]) == ["failed", "refused", "copied", "migrated"]
    assert found["start"] < found["end"]
    assert totals([])["start"] == ""


def test_an_account_sees_its_own_tables_alone() -> None:
    found = document([moved("mine", "111111111111"), moved("theirs", "222222222222")], BY)
    own = part_of(found, lambda entry: entry["destination"]["account_id"] == "111111111111")
    assert faults(own) == []
    assert "theirs" not in json.dumps(own) and own["totals"]["tables"] == 1


def test_a_workflow_is_handed_little_whatever_the_number_of_tables() -> None:
    failed = [rows.row(f"table-{number:04d}", "s3") for number in range(2500)]
    found = artifact(document(failed, BY), "/report.html", ["s3://b/"])
    assert (len(found["failed"]), found["failed_more"], found["tables"]) == (50, 2450, 2500)
    assert len(json.dumps(found)) < 2000
    differs = with_part(document([moved("a", "1")], BY), "comparison", [part("a", "1", result="differs")], BY)
    assert artifact(differs, "", [])["failed"] == ["a"]


def steps(status: str, settings: set[str], **values: Any) -> dict[str, str]:
    """What is left to do for a table, by what it is about."""
    here, there = rows.TablePlace("orders", "1" * 12, "eu-west-1"), rows.TablePlace("orders2", "2" * 12, "eu-central-1")
    found = {**rows.row("orders", "s3", judgement={"status": status}, way=rows.Way(here, there)), **values}
    return {step["what"]: step["text"] for step in left_to_do(found, settings, NOW, ["Removed by cleanup."])}


def test_what_is_left_to_do_for_a_table_that_was_moved() -> None:
    found = steps("migrated", {"stream", "point_in_time_recovery", "kinesis_destination"})
    assert list(found) == [
        "applications", "event sources", "Kinesis", "alarms and dashboards", "DAX", "backups", "staging data",
        "old table",
    ]  # fmt: skip
    assert "account 222222222222, eu-central-1, under its new name" in found["applications"]
    assert "until 2027-01-03" in found["old table"] and "35 days" in found["old table"]
    plain = steps("migrated", set())
    assert "event sources" not in plain and "only from backups" in plain["old table"]


def test_settings_that_were_left_are_left_to_do() -> None:
    left = [{"what": "resource_policy", "reason": "a principal is unknown"}]
    assert steps("migrated", set(), settings_left=left)["setting resource_policy"] == (
        "It was not carried: a principal is unknown"
    )


def test_nothing_is_left_to_do_twice() -> None:
    """What no setting can carry is told with what every table leaves to do."""
    never = ("event_source_mappings", "alarms", "iam_policies", "replicas")
    left = [{"what": what, "reason": "do it"} for what in never]
    assert [what for what in steps("migrated", {"stream"}, settings_left=left) if "setting" in what] == [
        "setting replicas"
    ]
    kinesis = steps("migrated", {"kinesis_destination"}, settings_left=left)
    assert "Kinesis" in kinesis and "event sources" not in kinesis and "setting event_source_mappings" not in kinesis
    assert "setting event_source_mappings" in steps("migrated", set(), settings_left=left)
    refused = [{"what": "kinesis_destination", "reason": "it is not in kinesis_map"}]
    found = steps("migrated", {"kinesis_destination"}, settings_left=refused)
    assert "Kinesis" not in found and "setting kinesis_destination" in found


def cleaned(*left: tuple[str, str], result: str = "cleaned up") -> dict[str, Any]:
    """What cleanup found about the table ``orders``."""
    kept = [{"what": what, "reason": reason} for what, reason in left]
    found = part("orders", "111111111111")
    del found["comparison"]
    return {**found, "cleanup": {"removed": 1, "kept": len(kept), "left": kept, "result": result, "message": ""}}


def to_do_after(*cleanups: dict[str, Any]) -> dict[str, str]:
    """What a table's report says is left to do after it was migrated and cleaned up."""
    left = [{"what": "point_in_time_recovery", "reason": "it was turned on for the export only"}]
    entry = {**moved("orders", "111111111111"), "settings_left": left}
    found = document([{**entry, "to_do": left_to_do(entry, set(), NOW, ["Removed by cleanup."])}], BY)
    for each in cleanups:
        found = with_part(found, "cleanup", [each], BY)
    assert faults(found) == []
    return {step["what"]: step["text"] for step in found["tables"][0]["to_do"]}


RECOVERY = ("point-in-time recovery of orders", "AWS charges for it until it is turned off")


def test_after_a_cleanup_what_it_removed_is_not_left_to_do_and_what_it_kept_is() -> None:
    assert to_do_after()["staging data"] == "Removed by cleanup."
    assert {"staging data", "setting point_in_time_recovery"} <= to_do_after(cleaned(result="failed")).keys()
    found = to_do_after(cleaned(("bucket b", "it does not exist"), RECOVERY))
    assert list(found)[-3:] == ["backups", "point-in-time recovery", "old table"]
    assert found["point-in-time recovery"] == "cleanup kept it: AWS charges for it until it is turned off."
    assert "point-in-time recovery" not in to_do_after(cleaned(RECOVERY), cleaned())
    points = to_do_after(cleaned(("recovery point arn:aws:backup in the source's vault v", "kept until 2026-12-06")))
    assert "staging data" in points and not any("recovery point" in what for what in points)


def test_a_later_run_keeps_what_a_cleanup_left_to_do() -> None:
    claim = {"claim": {"kind": "claim", "state": "not_needed"}}
    place = rows.TablePlace("orders", "111111111111", "eu-west-1")
    entry = rows.row("orders", "s3", judgement={"status": "migrated"}, jobs=claim, way=rows.Way(place, place))
    entry["to_do"] = left_to_do(entry, set(), NOW, ["Removed by cleanup."])
    former = with_part(document([entry], BY), "cleanup", [cleaned(RECOVERY)], BY)
    (table,) = document([entry], BY, former)["tables"]
    assert [step["what"] for step in table["to_do"]][-2:] == ["point-in-time recovery", "old table"]
    assert "staging data" not in {step["what"] for step in table["to_do"]}


def test_a_table_that_was_stopped_has_its_next_step_and_a_copied_one_is_to_be_made() -> None:
    assert steps("failed", {"stream"}, next="Look at the log.") == {"this table": "Look at the log."}
    assert steps("refused", set()) == {}
    assert "run again" in steps("copied", set())["the copy"]


def test_steps_are_told_once_with_their_tables() -> None:
    found = grouped(sample(100)["tables"])
    assert len({(what, text) for what, text, _names in found}) == len(found) < 20
    numbers = [len(names) for _what, _text, names in found]
    assert numbers == sorted(numbers, reverse=True)


PLAN = {
    "schema": "tableferry-plan",
    "version": 2,
    "prices": {"currency": "USD"},
    "tables": [
        {"host": "orders", "method": "s3", "seconds": [300, 1260], "cost": [1.0, 2.0], "bytes": 1000, "more": 1}
    ],
}


def test_plan_and_outcome_stand_side_by_side() -> None:
    entry = {**moved("orders", "1"), "bytes": 1500}
    found = document(with_plan([entry, moved("carts", "1")], PLAN), BY)
    assert faults(found) == []
    carts, orders = found["tables"]
    assert carts["plan"] is None and carts["cost"] == {"planned": None, "outcome": None}
    assert orders["plan"] == {"method": "s3", "seconds": [300, 1260], "cost": [1.0, 2.0], "bytes": 1000}
    assert orders["cost"]["planned"] == {"currency": "USD", "low": 1.0, "high": 2.0}
    assert orders["cost"]["outcome"] == {"currency": "USD", "low": 1.5, "high": 3.0}
    text = page(found)
    assert "by s3, 5m00s to 21m00s" in text and "planned 1.00 to 2.00 USD, 1.50 to 3.00 USD for the size" in text


YOUNG = {**PLAN["tables"][0], "bytes": 0, "items": 0, "growth": {"gb": [0.2, 1.0], "million_items": [0.0, 0.5]}}


@pytest.mark.parametrize(
    ("known", "planned", "outcome"),
    [
        # What the run found out counts where DynamoDB had told nothing.
        ({"bytes_about": [500, 1000]}, PLAN["tables"][0], (0.5, 2.0)),
        ({"bytes": 2000, "bytes_about": [1, 1]}, PLAN["tables"][0], (2.0, 4.0)),
        ({"items_source": 30}, {**PLAN["tables"][0], "bytes": 0, "items": 10}, (3.0, 6.0)),
        # What the plan did not know either is by its prices.
        ({"bytes_about": [1 << 30, 2 << 30], "items_source": 4_000_000}, YOUNG, (1.2, 6.0)),
        ({"bytes": 1 << 30, "items_source": 0}, YOUNG, (1.0, 2.0)),
        ({"items_source": 2_000_000}, YOUNG, (1.0, 3.0)),
        ({"items_source": 0}, {**YOUNG, "growth": {}}, (1.0, 2.0)),
    ],
)
def test_the_outcome_is_by_what_is_known(
    known: dict[str, Any], planned: dict[str, Any], outcome: tuple[float, float]
) -> None:
    unknown = dict.fromkeys(("items_source", "items_destination", "bytes"))
    (row,) = with_plan([{**moved("orders", "1"), **unknown, **known}], {**PLAN, "tables": [planned]})
    assert row["cost"]["outcome"] == {"currency": "USD", "low": outcome[0], "high": outcome[1]}
    assert faults(document([row], BY)) == []


def test_the_outcome_is_not_known_where_nothing_is() -> None:
    """DynamoDB tells a new table's size hours later: nothing can be scaled by it."""
    entry = {**moved("orders", "1"), **dict.fromkeys(("items_source", "items_destination", "bytes"))}
    for planned in ({**PLAN["tables"][0], "bytes": 0}, PLAN["tables"][0], YOUNG):
        (row,) = with_plan([entry], {**PLAN, "tables": [planned]})
        assert row["cost"]["planned"] and row["cost"]["outcome"] is None
        assert "not known: neither DynamoDB nor the run has told" in page(document([row], BY))


@pytest.mark.parametrize(
    "wrong", [None, [], {}, {**PLAN, "version": 1}, {**PLAN, "tables": [{}]}, {**PLAN, "tables": 1}]
)
def test_what_is_no_plan_is_left_out(wrong: Any) -> None:
    assert is_plan(PLAN) and not is_plan(wrong)
