# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A report that cannot be written, and a run that shall begin in its middle, are refused before anything is done."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.runs.playbooks import Migration

TABLES = ["customers", "orders"]
TIMINGS: dict[str, float] = {}


def test_a_report_that_cannot_be_written_starts_nothing_and_fails_nothing_in_the_end(
    migration: Migration, tmp_path: Path
) -> None:
    (tmp_path / "folder").mkdir()
    for options in ((), ("--check",)):
        with migration.run("tried", *options, ferry_report_path=str(tmp_path / "folder")) as run:
            assert run.wait() == 2, run.output[-4000:]
        assert f"The report {tmp_path}/folder cannot be written: Is a directory. Nothing was started." in run.output
        assert migration.lab.count(mutating=True) == 0
        assert list((tmp_path / "folder").iterdir()) == []
    with migration.run("full", ferry_report_path="/dev/full") as run:
        assert run.wait() == 0, run.output[-4000:]
    assert "The report /dev/full cannot be written: No space left on device. It is shown above." in run.output
    assert "2 tables: 2 migrated" in run.output


@pytest.mark.parametrize(
    ("playbook", "task"),
    [
        ("migrate", "Report"),
        ("migrate", "Wait for the migrations of all tables"),
        ("verify", "Compare all items*"),
        ("cleanup", "tableferry.aws.cleanup_table : Remove what the table's migration left behind"),
        ("status", "Show how far the tables are"),
    ],
)
def test_a_run_does_not_begin_in_its_middle(migration: Migration, playbook: str, task: str) -> None:
    with migration.run("middle", "--start-at-task", task, playbook=f"tableferry.aws.{playbook}") as run:
        assert run.wait() != 0, run.output[-4000:]
    assert f"--start-at-task names a task of TableFerry ({task})" in run.output
    assert "Run again without it" in run.output
    assert "undefined" not in run.output
    assert migration.lab.count() == 0


def test_a_task_of_the_users_own_may_be_begun_with(migration: Migration, tmp_path: Path) -> None:
    book = tmp_path / "book.yml"
    book.write_text(
        "- ansible.builtin.import_playbook: tableferry.aws.migrate\n"
        "- hosts: localhost\n  connection: local\n  gather_facts: false\n  tasks:\n"
        "    - name: My own\n      ansible.builtin.debug:\n        msg: done\n"
    )
    with migration.run("own", "--start-at-task", "My own", playbook=str(book)) as run:
        assert run.wait() == 0, run.output[-4000:]
    assert '"msg": "done"' in run.output
    assert migration.lab.count() == 0
