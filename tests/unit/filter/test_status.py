# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of all destinations as one."""

from __future__ import annotations

from typing import Any

from ansible_collections.tableferry.aws.plugins.filter.status import status_overview, status_places, status_tables
from ansible_collections.tableferry.aws.plugins.filter.tables import removable_records
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import status

A, B = {"region": "eu-west-1"}, {"region": "eu-central-1"}
PAIRS = {"a": "a", "b": "a", "c": "c", "d": "d", "e": "e"}
HOSTVARS: dict[str, Any] = {
    "a": {"ferry_destination": A},
    "b": {"ferry_destination": A, "ferry_destination_table": "bees"},
    "c": {"ferry_destination": A, "ferry_staging_bucket": "other"},
    "d": {"ferry_destination": B},
    "e": {"ferry_destination": A, "ferry_record_table": "mine"},
}


def answer(arn: str, *names: str) -> dict[str, Any]:
    rows = [{**status.missing(name), "state": "done", "next": ""} for name in names]
    held = [{"run": "r", "held_by": "held by ann@ci", "tables": 2}]
    return {"tables": rows, "runs": held, "record_table_arn": arn, "msg": f"{arn}: {len(rows)} tables."}


def test_each_destination_is_asked_once() -> None:
    assert status_places(PAIRS, HOSTVARS) == {
        "a": {"a": "a", "bees": "b", "c": "c"}, "d": {"d": "d"}, "e": {"e": "e"},
    }  # fmt: skip


def test_a_destination_is_told_what_the_inventory_says_of_its_tables() -> None:
    source = {"profile": "old", "region": "eu-west-1"}
    hostvars = {**HOSTVARS, "c": {**HOSTVARS["c"], "ferry_migration_id": "spring", "ferry_source": source}}
    assert status_tables(PAIRS, hostvars, "a") == [
        {"name": "a", "source_table": "a", "migration_id": "default"},
        {"name": "bees", "source_table": "b", "migration_id": "default"},
        {"name": "c", "source_table": "c", "migration_id": "spring", "source": source},
    ]


def test_what_could_not_be_compared_is_a_line() -> None:
    found = overview(a={**answer("arn:a", "a"), "unseen": ["not allowed"]}, d={}, e={})
    assert "not compared with what stands in the account: not allowed" in found["lines"]


def overview(limited: bool = False, **answers: Any) -> dict[str, Any]:
    hostvars = {host: {**HOSTVARS[host], "show_status_read": answers.get(host)} for host in HOSTVARS}
    return status_overview(status_places(PAIRS, hostvars), hostvars, {"f": "f: a typo."}, limited)


def test_all_records_those_without_one_and_what_could_not_be_read() -> None:
    found = overview(
        a=answer("arn:a", "a", "old"),
        d={"msg": "Access denied.", "ferry_error": "RecordDenied"},
        e=answer("", "e"),
    )
    assert {row["name"]: (row["state"], row["record_table"]) for row in found["tables"]} == {
        "a": ("done", "arn:a"), "bees": ("no record", "arn:a"), "c": ("no record", "arn:a"),
        "e": ("done", ""), "old": ("done", "arn:a"),
    }  # fmt: skip
    assert found["problems"] == {"d": "Access denied.", "f": "f: a typo."}
    assert found["record_tables"] == ["arn:a"]
    assert found["lines"][:2] == ["arn:a: 2 tables.", "held by ann@ci: 2 of them"]
    assert found["lines"][-2:] == ["not shown: f: a typo.", "not shown: Access denied."]


def test_one_account_with_two_ways_in_is_shown_once_and_a_limit_limits() -> None:
    found = overview(True, a=answer("arn:a", "a", "d", "old"), d=answer("arn:a", "a", "d", "old"), e={})
    assert [row["name"] for row in found["tables"]] == ["a", "bees", "c", "d"]
    assert found["lines"].count("arn:a: 3 tables.") == 1
    assert "not asked" in found["problems"]["e"]


def test_records_go_only_where_cleanup_did_its_work_and_where_asked() -> None:
    clean = {"cleanup_table_removed": {"changed": False, "left": []}}
    hostvars = {
        "a": {**clean, "ferry_remove_record": "true"},
        "b": {
            **clean,
            "ferry_remove_record": True,
            "ferry_table": "bees",
            "ferry_destination_table": "hive",
            "ferry_safe_mode": "false",
        },
        "c": {**clean, "ferry_remove_record": "false"},
        "d": {"ferry_remove_record": True, "cleanup_table_removed": {"failed": True}},
        "e": {"ferry_remove_record": True},
        "f": clean,
        "g": {**clean, "ferry_remove_record": True},
    }
    pairs = {**dict.fromkeys("abcdef", "a"), "g": "g"}
    assert removable_records(pairs, hostvars, "a", "ferry_remove_record") == [
        {"name": "a", "destination_table": "a", "abandon": False},
        {"name": "bees", "destination_table": "hive", "abandon": True},
    ]
