# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What an ansible.cfg or an inventory sets for machines does not reach our plays, in which hosts are tables."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
PLAYS = [
    pytest.param(play, id=f"{path.stem}: {play['name']}")
    for path in sorted((ROOT / "playbooks").glob("*.yml"))
    for play in yaml.safe_load(path.read_text())
]
# Verbs that take as long as AWS does, or as there are tables.
LONG = {
    "job_wait",
    "migration_plan",
    "dynamodb_verify",
    "migration_start",
    "migration_start_all",
    "migration_judge",
    "migration_judge_all",
}


def tasks_of(entries: list[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    for entry in entries:
        yield entry
        for section in ("pre_tasks", "tasks", "post_tasks", "block", "rescue", "always"):
            yield from tasks_of(entry.get(section) or [])


@pytest.mark.parametrize("play", PLAYS)
def test_plays_run_here_one_task_after_the_other_and_each_table_for_itself(play: dict[str, Any]) -> None:
    # The variable wins over the inventory's, the keyword makes verbs run in the worker, where their lines are shown.
    assert play["become"] is False
    assert (play["connection"], play["strategy"], play["any_errors_fatal"]) == ("local", "linear", False)
    assert play["vars"]["ansible_connection"] == "local"
    assert play["vars"]["ansible_become"] is False
    assert play["vars"]["ansible_pipelining"] is True  # C8: arguments of modules, keys among them, go by no file


@pytest.mark.parametrize(
    ("playbook", "tags"),
    [("migrate", {"accounts", "move"}), ("verify", {"verify"}), ("status", {"report"}), ("plan", {"plan"})],
)
def test_d8_all_that_playbooks_do_has_tags(playbook: str, tags: set[str]) -> None:
    """Each by itself, so that a playbook of playbooks can be told what to do. ``cleanup`` has none: it runs unasked for
    nobody's tag. Roles that check their arguments there would do so whatever the tags are."""
    plays = yaml.safe_load((ROOT / "playbooks" / f"{playbook}.yml").read_text())
    tasks = [task for play in plays for task in play["tasks"]]
    assert {tag for task in tasks for tag in task["tags"]} == tags
    roles = [role for task in tasks_of(tasks) if (role := task.get("ansible.builtin.import_role"))]
    for role in roles:
        assert role.get("tasks_from") == "note_failure" or role["rolespec_validate"] is False


def test_d5_what_fails_a_table_has_a_message_of_its_own() -> None:
    """Of failed_when, ansible-core 2.21 and newer say only that an expression evaluated to true. The report prints the
    reasons before."""
    files = [*(ROOT / "roles").glob("*/tasks/*.yml"), *(ROOT / "playbooks").glob("*.yml")]
    conditions = {
        path.relative_to(ROOT / "roles").parts[0]
        for path in files
        for task in tasks_of(yaml.safe_load(path.read_text()) or [])
        if task.get("failed_when", False) is not False
    }
    assert conditions <= {"report_migration"}


def test_tasks_that_wait_have_no_timeout_of_ansible_cfg() -> None:
    files = [*(ROOT / "roles").glob("*/tasks/*.yml"), *(ROOT / "playbooks").glob("*.yml")]
    waiting = {
        (path.relative_to(ROOT).as_posix(), task["name"]): task.get("timeout")
        for path in files
        for task in tasks_of(yaml.safe_load(path.read_text()) or [])
        if any(f"tableferry.aws.{verb}" in task for verb in LONG)
    }
    assert len(waiting) > len(LONG)
    assert {where for where, timeout in waiting.items() if timeout != 0} == set()
