# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What runs say of each host: changed where its own table, or a job of it, was changed by this run."""

from __future__ import annotations

import re
import signal

from tests.runs.playbooks import Migration, Playbook, client, group_of

TABLES = ["first", "second"]
TIMINGS = {"export.full": 3, "import.visible": 0.5, "import.creating": 3, "import.completing": 0.5}


def changed(run: Playbook) -> dict[str, int]:
    """How many tasks changed something for each host, by the run's recap, with which its report agrees."""
    assert run.wait() == 0, run.output[-4000:]
    recap = re.findall(r"^(\S+) +: ok=.* changed=(\d+)", run.output, re.MULTILINE)
    numbers = {host: int(number) for host, number in recap}
    named = re.findall(r"^(?:changed|would change): (\w+(?:, \w+)*)$", run.output, re.MULTILINE)
    tables = [table for line in named for table in line.split(", ")]
    assert tables == [host for host, number in numbers.items() if number]
    if run.report.exists():
        assert tables == [name for name, row in run.rows().items() if row["changed"]]
    return numbers


def test_each_host_says_what_happened_to_its_own_table(migration: Migration) -> None:
    with migration.run("begins") as begins:
        begins.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
        group_of(begins.pid, signal.SIGINT)
        assert begins.wait() != 0
    with migration.run("finishes") as finishes:
        assert changed(finishes) == {"first": 1, "second": 1}
    assert migration.started("import") == TABLES

    # Another method, for which the accounts are not ready: finished tables need nothing of it.
    with migration.run("again", ferry_method="backup") as again:
        assert changed(again) == {"first": 0, "second": 0}

    client(migration.lab, "dynamodb", "source").update_table(TableName="second", DeletionProtectionEnabled=True)
    with migration.run("foreseen", "--check", "--diff", ferry_settings="apply") as foreseen:
        assert changed(foreseen) == {"first": 0, "second": 1}
    assert "second: deletion_protection: False -> True" in foreseen.output
    with migration.run("applies", ferry_settings="apply") as applies:
        assert changed(applies) == {"first": 0, "second": 1}
    row = applies.rows()["second"]
    assert row["settings_drift"] == [] and [each["what"] for each in row["settings_applied"]] == ["deletion_protection"]
    with migration.run("applied", ferry_settings="apply") as applied:
        assert changed(applied) == {"first": 0, "second": 0}
