# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs say of each table: changed where it, or a job of it, was changed by this run."""

from __future__ import annotations

import re
import signal

from tests.runs.playbooks import Migration, Playbook, client, group_of

TABLES = ["first", "second"]
TIMINGS = {"export.full": 3, "import.visible": 0.5, "import.creating": 3, "import.completing": 0.5}


def changed(run: Playbook) -> list[str]:
    """The tables that were changed, by what the run prints, which agrees with its recap and its report."""
    assert run.wait() == 0, run.output[-4000:]
    named = re.findall(r"^(?:changed|would change): (\w+(?:, \w+)*)$", run.output, re.MULTILINE)
    tables = [table for line in named for table in line.split(", ")]
    assert re.findall(r"^\S+ +: ok=.* changed=(\d+)", run.output, re.MULTILINE) == [str(int(bool(tables)))]
    if run.report.exists():
        assert tables == [name for name, row in run.rows().items() if row["changed"]]
    return tables


def test_the_report_says_of_each_table_whether_it_was_changed(migration: Migration) -> None:
    with migration.run("begins") as begins:
        begins.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
        group_of(begins.pid, signal.SIGINT)
        assert begins.wait() != 0
    with migration.run("finishes") as finishes:
        assert changed(finishes) == ["first", "second"]
    assert migration.started("import") == TABLES

    # Another method, for which the accounts are not ready: finished tables need nothing of it.
    with migration.run("again", ferry_method="backup") as again:
        assert changed(again) == []

    client(migration.lab, "dynamodb", "source").update_table(TableName="second", DeletionProtectionEnabled=True)
    with migration.run("foreseen", "--check", "--diff", ferry_settings="apply") as foreseen:
        assert changed(foreseen) == ["second"]
    assert "second: deletion_protection: False -> True" in foreseen.output
    with migration.run("applies", ferry_settings="apply") as applies:
        assert changed(applies) == ["second"]
    row = applies.rows()["second"]
    assert row["settings_drift"] == [] and [each["what"] for each in row["settings_applied"]] == ["deletion_protection"]
    with migration.run("applied", ferry_settings="apply") as applied:
        assert changed(applied) == []
