# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ansible-playbook over one lab in one process, each with its lease, as verb after verb makes them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import JudgeChoice, Judgement, judge_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration, judge, start, wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import record_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Run
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from tests.unit.on_lab.in_process import Killed
from tests.unit.on_lab.staged import BUCKET, Staged


def world(tables: dict[str, int] | None = None, *, recovery: bool = True, **timings: float) -> Staged:
    """Few polls lie between a job's beginning and its end: each is a call to be killed at."""
    return Staged(
        tables or {"orders": 7},
        recovery,
        **{
            "export__full": 4.0,
            "import__visible": 1.0,
            "import__creating": 2.0,
            "import__completing": 0.5,
            "pitr__latest_lag": 6.0,
            **timings,
        },
    )


class Playbook:
    """One run of ansible-playbook, by the process ``pid`` of ``host``. It is there until ``killed``."""

    def __init__(self, aws: Staged, pid: int = 1, host: str = "here") -> None:
        self.aws = aws
        self.source, self.destination = aws.account("source"), aws.account("destination")
        self.lines: list[str] = []
        self.sleep: Callable[[float], None] = aws.sleep
        self._process = Process("ann", host, f"boot-{host}", "ns", pid, f"start-{pid}")
        self._run: Run | None = None
        self._store: RecordStore | None = None
        self._alive(pid, True)

    def _alive(self, pid: int, alive: bool) -> None:
        there: set[int] = self.aws.__dict__.setdefault("processes", set())
        (there.add if alive else there.discard)(pid)

    def killed(self) -> None:
        """Its process is gone."""
        self._alive(self._process.pid, False)

    def _start_of(self, pid: int) -> str:
        return f"start-{pid}" if pid in self.aws.__dict__["processes"] else ""

    # The record

    @property
    def store(self) -> RecordStore:
        """The table of the records, made where there is none."""
        if self._store is None:
            client = self.aws.account("destination").client("dynamodb")
            table = record_table.find_or_create(
                client, "tableferry", clock=lambda: self.aws.clock, sleep=self.aws.sleep
            )
            self._store = RecordStore(client, table)
        return self._store

    @property
    def run(self) -> Run:
        """This process's run."""
        if self._run is None:
            clock = AwsClock(lambda: self.aws.clock, lambda: self.aws.clock, offset=0.0)
            self._run = Run.join(self.store, clock, self._process, start_of=self._start_of)
        return self._run

    def record(self, table: str = "orders") -> Record:
        """The record of a table as it stands."""
        found = self.store.read(table_key(table))
        assert found is not None
        return found

    # The verbs

    def start(self, table: str = "orders", take_over: str = "", **options: Any) -> Migration:
        """What migration_start does; by s3 unless another method is asked for."""
        chosen = {"method": "s3", "bucket": BUCKET, "enable_point_in_time_recovery": True, **options}
        records = Records(self.store, lambda: self.run)
        return start(self.source, self.destination, MigrationOptions(table, **chosen), records, take_over)

    def wait(
        self, migrations: dict[str, Migration], timeout: float = 86400.0, judge: dict[str, Any] | None = None
    ) -> WaitResult:
        """What job_wait does: the jobs come through plain data, as Ansible carries them. With ``judge``, which are its
        options, each table is judged when it is ready."""
        items = []
        for name, migration in migrations.items():
            first, *others = (Job.from_dict(part.to_dict()) for part in (migration.job, *migration.then))
            record = Tracking(self.run, name)
            last = None if judge is None else judge_job(JudgeChoice(name, **judge))
            items.append(WaitItem(name, self.source, self.destination, first, tuple(others), record, last))
        return wait_for(items, timeout, self.lines.append, lambda: self.aws.clock, self.sleep)

    def judge(self, table: str, jobs: Any, **how: Any) -> Judgement:
        """What migration_judge does."""
        record = Tracking(self.run, table)
        return judge(table, self.source, self.destination, jobs, record=record, sleep=self.aws.sleep, **how)

    def migrate(self, *tables: str, timeout: float = 86400.0, **options: Any) -> dict[str, Judgement]:
        """The playbook: every table through all verbs, and the run ends."""
        begun = {table: self.start(table, **options) for table in tables or ("orders",)}
        verify = options.get("verify", "counts")
        waited = self.wait(begun, timeout, {"verify": verify})
        judged = {table: self.judge(table, waited.ways[table], verify=verify) for table in begun}
        self.end()
        return judged

    def end(self) -> None:
        """The report's task."""
        if self._run is not None:
            self._run.end()
        self.killed()


def deaths(aws: Staged, run: Callable[[], Any]) -> list[tuple[str, int]]:
    """Where ``run`` may die, as ``killed_at`` takes it: after each call, and before those that it pauses before.

    Without a pause between them, before a call is after the one before it: AWS holds the same.
    """
    found: list[tuple[str, int]] = []
    left = 0.0

    def note(when: str, operation: str, at: int) -> None:
        nonlocal left
        if when == "after" or aws.clock != left:
            found.append((when, at))
        left = aws.clock

    first, aws.interrupt = len(aws.calls), note
    run()
    aws.interrupt = lambda *_call: None
    return [(when, at - first) for when, at in found]


def killed_where(aws: Staged, here: Callable[[str, str], bool], run: Callable[[], Any]) -> None:
    """``run`` until its first call for which ``here``, asked with the moment (before, after) and the operation, is
    true: there it dies. It must get that far."""

    def kill(when: str, operation: str, _at: int) -> None:
        if here(when, operation):
            raise Killed(operation)

    aws.interrupt = kill
    with pytest.raises(Killed):
        run()
    aws.interrupt = lambda *_call: None


def killed_at(aws: Staged, moment: str, number: int, run: Callable[[], Any], error: type[BaseException]) -> bool:
    """``run`` until ``moment`` (before, after) of its call ``number``, where it dies; whether it got that far."""
    last = len(aws.calls) + number

    def kill(when: str, operation: str, at: int) -> None:
        if at > last or (when, at) == (moment, last):
            raise error(operation)

    aws.interrupt = kill
    try:
        run()
    except error:
        return True
    finally:
        aws.interrupt = lambda *_call: None
    return False
