# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run that is interrupted lets go: the same command from anywhere goes on at once (design section 6, "Let go")."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.runs.playbooks import Migration, Playbook, eventually, group_of

TABLES = [f"table-{number}" for number in range(3)]
IMPORT_SECONDS = 30.0  # a run that is to be interrupted while imports run has them, however slow the machine is
TIMINGS = {"export.full": 3, "import.visible": 0.5, "import.creating": IMPORT_SECONDS, "import.completing": 0.5}


def ctrl_c(run: Playbook) -> None:
    """As a terminal does: the foreground process group gets SIGINT."""
    group_of(run.pid, signal.SIGINT)


def terminate(run: Playbook) -> None:
    """SIGTERM for ansible-playbook alone, which does not outlive it."""
    os.kill(run.pid, signal.SIGTERM)


def assert_let_go(migration: Migration) -> None:
    """The only run has ended its lease by itself, and nothing of it is to be waited for."""
    eventually(lambda: all(lease.ended for lease in migration.leases()), 30.0)
    (lease,) = migration.leases()
    assert lease.ended is not None
    assert (lease.ended.by, lease.ended.fence) == (lease.run, 0)
    assert {(record.run, record.fence) for record in migration.records().values()} <= {("", 0), (lease.run, 0)}


def assert_goes_on(migration: Migration) -> None:
    """The same command on another machine: every table once, and no wait for the former run."""
    with migration.run("second", machine="pod-2") as second:
        second.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
        migration.clock.advance(IMPORT_SECONDS)
        assert second.wait() == 0, second.output[-4000:]
    assert {row["status"] for row in second.rows().values()} == {"migrated"}
    assert migration.started("export") == migration.started("import") == TABLES
    assert "waiting: held by" not in second.output
    assert {record.state for record in migration.records().values()} == {"done"}


@pytest.mark.parametrize("interrupt", [ctrl_c, terminate])
def test_while_jobs_are_waited_for(migration: Migration, interrupt: Callable[[Playbook], None]) -> None:
    with migration.run("first", machine="pod-1") as first:
        first.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
        interrupt(first)
        assert first.wait() != 0
        assert_let_go(migration)
        assert {record.run for record in migration.records().values()} == {""}
        assert_goes_on(migration)


@pytest.mark.parametrize("interrupt", [ctrl_c, terminate])
def test_while_several_workers_start_migrations(migration: Migration, interrupt: Callable[[Playbook], None]) -> None:
    """The last one ends the lease: each has a call under way, whose answers come one after the other."""
    holds = [migration.hold_export(name) for name in TABLES]
    with migration.run("first", machine="pod-1") as first:
        first.until(lambda: all(migration.lab.held(hold) for hold in holds))
        interrupt(first)
        for hold in holds:
            assert [lease.ended for lease in migration.leases()] == [None]
            migration.lab.release(hold)
        assert first.wait() != 0
        assert_let_go(migration)
        assert [job.arn != "" for record in migration.records().values() for job in record.jobs] == [True] * len(TABLES)
        assert_goes_on(migration)


def test_a_call_without_an_answer_is_fenced_for_a_minute(migration: Migration) -> None:
    """It is waited for ten seconds; then its connection is closed, and it may arrive for a minute: at its table."""
    hold = migration.hold_export(TABLES[0])
    with migration.run("first", machine="pod-1") as first:
        first.until(lambda: migration.lab.held(hold))
        terminate(first)
        assert first.wait() != 0
        eventually(lambda: all(lease.ended for lease in migration.leases()), 30.0)
        migration.lab.release(hold)
        (lease,) = migration.leases()
        assert lease.ended is not None
        assert lease.ended.by == lease.run
        assert 50 <= lease.ended.fence - lease.ended.at <= 61
        fences = {name: record.fence for name, record in migration.records().items()}
        assert fences.pop(TABLES[0]) == lease.ended.fence
        assert set(fences.values()) == {0}


def test_ansible_playbook_that_is_killed_leaves_workers_that_let_go(migration: Migration) -> None:
    with migration.run("first", machine="pod-1") as first:
        first.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
        os.kill(first.pid, signal.SIGKILL)
        first.wait()
        assert_let_go(migration)
        assert_goes_on(migration)


def test_a_module_lets_go(migration: Migration) -> None:
    """The verbs run as modules where a task needs another environment than that of ansible-playbook."""
    playbook = migration.folder / "as_modules.yml"
    text = (Path(__file__).parents[2] / "playbooks" / "migrate.yml").read_text()
    needs_modules = "gather_facts: false\n  environment: {ANYTHING: else}\n"
    playbook.write_text(text.replace("gather_facts: false\n", needs_modules))
    with migration.run("first", machine="pod-1", playbook=str(playbook)) as first:
        first.until(lambda: len(migration.lab.jobs("import")) == len(TABLES))
        ctrl_c(first)
        assert first.wait() != 0
        assert_let_go(migration)
    assert_goes_on(migration)
