# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What verify and cleanup show in the end, and which hosts they fail."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from ansible_collections.tableferry.aws.plugins.filter.outcomes import (
    cleanup_lines,
    cleanup_problems,
    verify_lines,
    verify_problems,
)
from ansible_collections.tableferry.aws.plugins.filter.sides import pair_name
from ansible_collections.tableferry.aws.plugins.filter.tables import all_clean

PLAYBOOKS = Path(__file__).parents[3] / "playbooks"


def compared(**values: Any) -> dict[str, Any]:
    found = {"level": "full", "items_source": 3, "items_destination": 3, "missing": 0, "different": 0, "extra": 0}
    return {"verify_table_found": {**found, "equal": True, "clean": True, "msg": "3 items, all are equal.", **values}}


VERIFIED = {
    "equal": compared(),
    "repaired": compared(missing=1, equal=False, msg="repaired: 1 missing. Repaired: 1 put."),
    "differs": compared(missing=1, equal=False, clean=False, msg="differs: 1 missing."),
    "failed": {"verify_table_found": {"failed": False, "msg": "failed: Not there.", "ferry_error": "TableMissing"}},
    "other": {"verify_table_found": {"msg": "other: Other steps.", "ferry_status": "refused"}},
    "wrong": {"verify_table_found": {"skipped": True, "changed": False}},
    "late": {},
}
PROBLEMS = {"wrong": "wrong: ferry_workrs is no variable."}


def test_a_comparison_has_a_row_for_each_table_and_its_words_once() -> None:
    lines = verify_lines(VERIFIED, VERIFIED, PROBLEMS)
    assert lines[0].split() == [
        "name", "level", "compared_with", "items_source", "items_destination", "missing", "different", "extra",
        "result",
    ]  # fmt: skip
    assert [line.split()[0] for line in lines[2:9]] == list(VERIFIED)
    results = [line.split("  ")[-1].strip() for line in lines[2:9]]
    assert results == ["equal", "repaired", "differs", "failed", "refused", "refused", "not compared"]
    assert lines[9:] == [
        "repaired: 1 missing. Repaired: 1 put.",
        "differs: 1 missing.",
        "failed: Not there.",
        "other: Other steps.",
        "wrong: ferry_workrs is no variable.",
        "7 tables: 1 differs, 1 equal, 1 failed, 1 not compared, 2 refused, 1 repaired",
    ]


def test_a_comparison_says_with_what_a_table_was_compared() -> None:
    exported = {"exported": compared(export_time="2026-11-29T12:00:00+00:00"), **VERIFIED}
    lines = verify_lines(exported, exported, PROBLEMS)
    column = lines[0].index("compared_with")
    assert [line[column:].split("  ")[0] for line in lines[2:9]] == [
        "export of 2026-11-29T12:00:00+00:00", *["source table"] * 3, *["-"] * 3,
    ]  # fmt: skip


def test_tables_that_differ_or_could_not_be_compared_fail() -> None:
    assert list(verify_problems(VERIFIED, VERIFIED, PROBLEMS)) == ["differs", "failed", "other", "wrong"]
    for repair in ({"ferry_repair": "yes"}, {"verify_table_repair": "racing"}):
        differs = {"differs": {**VERIFIED["differs"], **repair}}
        assert verify_problems(differs, differs, {}, check_mode=True) == {}
        assert "would be repaired" in verify_lines(differs, differs, {}, check_mode=True)[2]
        assert list(verify_problems(differs, differs, {})) == ["differs"]


CLEAN = {"changes": [{"what": "a"}], "left": []}
LEFT = {"changes": [], "left": [{"what": "an export", "reason": "other needs it"}]}
CLEANED = {
    "clean": {"cleanup_table_removed": CLEAN, "cleanup_table_recovery_points": CLEAN},
    "left": {"cleanup_table_removed": CLEAN, "cleanup_table_recovery_points": LEFT},
    "failed": {"cleanup_table_removed": {"failed": False, "msg": "failed: Denied."}},
    "away": {"cleanup_table_removed": {"skipped": True}, "cleanup_table_recovery_points": {"skipped": True}},
}
OUTLOOK = {"away": {"reason": "away: Its accounts cannot be reached."}, "clean": {"reason": ""}}


def test_a_cleanup_has_a_row_for_each_table_and_what_is_kept() -> None:
    lines = cleanup_lines(CLEANED, CLEANED, OUTLOOK)
    assert [line.split() for line in lines[2:6]] == [
        ["clean", "2", "0", "cleaned", "up"],
        ["left", "1", "1", "cleaned", "up"],
        ["failed", "0", "0", "failed"],
        ["away", "0", "0", "failed"],
    ]
    assert lines[6:] == [
        "kept: an export: other needs it [left]",
        "failed: Denied.",
        "away: Its accounts cannot be reached.",
        "4 tables: 2 cleaned up, 2 failed",
    ]
    assert list(cleanup_problems(CLEANED, CLEANED, OUTLOOK)) == ["failed", "away"]


def test_a_table_that_was_left_out_is_not_clean() -> None:
    """Its jobs may still need what would be removed in the accounts."""
    for host, clean in (("clean", True), ("left", True), ("failed", False), ("away", False)):
        assert all_clean({host: host}, CLEANED, host, [host]) is clean


@pytest.mark.parametrize("number", [51, 1000])
def test_of_many_tables_only_those_that_need_attention_are_shown(number: int) -> None:
    verified = {f"t{each}": VERIFIED["equal"] for each in range(number - 1)} | {"differs": VERIFIED["differs"]}
    lines = verify_lines(verified, verified, {})
    assert [line.split()[0] for line in lines[2:]] == ["differs", "differs:", str(number)]
    all_differ = {f"t{each}": VERIFIED["differs"] for each in range(number)}
    lines = verify_lines(all_differ, all_differ, {})
    assert len(lines) < 60 and f"and {number - 50} more of these" in lines
    assert lines[-2] == f"{number} tables (t0 to t{number - 1}): differs: 1 missing."
    cleaned = {f"t{each}": CLEANED["clean"] for each in range(number)}
    assert cleanup_lines(cleaned, cleaned, {}) == [f"{number} tables: {number} cleaned up"]


def test_tables_that_failed_alike_have_one_line_whatever_the_ids_of_their_requests() -> None:
    said = {f"t{each}": {"verify_table_found": {"msg": f"t{each}: No (request {each}-a). Ask."}} for each in range(3)}
    lines = verify_lines(said, said, {})
    assert lines[5:] == ["3 tables (t0 to t2): No (request 0-a). Ask.", "3 tables: 3 failed"]
    alike = {host: {"verify_table_found": {"msg": f"{host}: No x/{host}/y (request {host}F=)."}} for host in "ab"}
    cleaned = {host: {"cleanup_table_removed": found["verify_table_found"]} for host, found in alike.items()}
    assert cleanup_lines(cleaned, cleaned, {})[4:] == [
        "2 tables (a, b): No x/TABLE/y (request aF=).",
        "2 tables: 2 failed",
    ]


def test_a_line_says_whose_accounts_they_are_without_secrets() -> None:
    options = {"region": "eu-west-1", "access_key": "A", "secret_key": "hidden"}
    accounts = [
        {"side": "source", "options": options, "account_id": "111111111111"},
        {"side": "destination", "options": {"profile": "new"}},
    ]
    sides = {"accounts": accounts, "hosts": {"host": {"ferry_source": 0, "ferry_destination": 1}}, "broken": {}}
    assert pair_name(sides, "host") == "source account 111111111111 (eu-west-1), destination account of profile new"
    assert pair_name({**sides, "hosts": {}}, "host") == "source account unknown, destination account unknown"


@pytest.mark.parametrize(("playbook", "play", "most"), [("verify", 1, 1), ("cleanup", 2, 2)])
def test_few_tasks_have_a_line_for_each_table(playbook: str, play: int, most: int) -> None:
    """What is shown of them comes once, in the end; the last play has the hosts that fail."""
    plays = yaml.safe_load((PLAYBOOKS / f"{playbook}.yml").read_text())
    assert "_failures" in plays[-1]["hosts"] and "_failures" not in plays[play]["hosts"]
    own = [task for task in _tasks(plays[play]["tasks"]) if not task.get("run_once")]
    assert len(own) == most


def _tasks(tasks: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The tasks that a host runs where nothing fails, those of roles too."""
    found: list[dict[str, Any]] = []
    for task in tasks:
        role = task.get("ansible.builtin.import_role")
        if role:
            name = f"{role['name'].rpartition('.')[2]}/tasks/{role.get('tasks_from', 'main')}.yml"
            found += _tasks(yaml.safe_load((PLAYBOOKS.parent / "roles" / name).read_text()))
        elif "block" in task:
            found += _tasks([*task["block"], *task.get("always", [])])
        else:
            found.append(task)
    return found
