# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run killed at any call goes on in the next run, and never makes a second billed job."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any, TypeAlias

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import (
    ImportOptions,
    import_job,
    plan_import,
    start_import,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.judge import judge_import
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from tests.unit.on_lab.in_process import failure
from tests.unit.on_lab.kills import kill_points, killed_after
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")

Run: TypeAlias = Callable[[Staged], tuple[Judgement, list]]


def waited(aws: Staged, job: Job, *then: Job) -> WaitResult:
    """What job_wait returns: through plain data, as Ansible carries it."""
    first, *others = (Job.from_dict(part.to_dict()) for part in (job, *then))
    item = WaitItem("t", aws.account("source"), aws.account("destination"), first, tuple(others))
    return wait_for([item], clock=lambda: aws.clock, sleep=aws.sleep)


def migrate(aws: Staged) -> tuple[Judgement, list]:
    """One table's whole way, as the playbook goes it: the waiter starts the import."""
    source, destination = aws.account("source"), aws.account("destination")
    options = ExportOptions(table="orders", bucket=BUCKET, enable_point_in_time_recovery=True)
    plan = plan_export(source, destination, options, ImportLoader())
    then = import_job(ImportOptions(table="orders", bucket=BUCKET, definition=plan.definition))
    found = waited(aws, start_export(source, destination, plan), then)
    export, imported = found.ways["t"]
    return judge_import("orders", source, destination, export, imported), [*plan.changes, *found.started]


def migrate_by_verbs(aws: Staged) -> tuple[Judgement, list]:
    """The same with a verb for each job."""
    source, destination = aws.account("source"), aws.account("destination")
    options = ExportOptions(table="orders", bucket=BUCKET, enable_point_in_time_recovery=True)
    export_plan = plan_export(source, destination, options, ImportLoader())
    export = waited(aws, start_export(source, destination, export_plan)).jobs["t"]
    import_options = ImportOptions(table="orders", bucket=BUCKET, export=export, definition=export_plan.definition)
    import_plan = plan_import(source, destination, import_options)
    imported = waited(aws, start_import(destination, import_plan)).jobs["t"]
    judgement = judge_import("orders", source, destination, export, imported)
    return judgement, [*export_plan.changes, *import_plan.changes]


def world(*, recovery: bool = True) -> Staged:
    """Few polls lie between a job's beginning and its end: each is a call to be killed at."""
    return Staged(
        {"orders": 7},
        recovery,
        export__full=4.0,
        import__visible=1.0,
        import__creating=2.0,
        import__completing=0.5,
        pitr__latest_lag=6.0,
    )


def calls_of_a_run(run: Run = migrate, **how) -> int:
    aws = world(**how)
    judgement, _changes = run(aws)
    assert judgement.status == "migrated", judgement
    return len(aws.calls)


def assert_done_once(aws: Staged, run: Run = migrate, seen: set[tuple[str, ...]] | None = None) -> None:
    """The next run goes on, and one more changes nothing: not tried again where ``seen`` has the same changes."""
    judgement, changes = run(aws)
    assert (judgement.status, judgement.items_destination, judgement.verified) == ("migrated", 7, "counts")
    assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)
    made = tuple(aws.mutating())
    if seen is not None and made in seen:
        return
    if seen is not None:
        seen.add(made)
    aws.calls.clear()
    judgement, changes = run(aws)
    assert (changes, aws.mutating()) == ([], [])
    assert (judgement.status, judgement.items_source, judgement.items_destination) == ("migrated", 7, 7)


@pytest.mark.parametrize(("run", "recovery"), [(migrate, False), (migrate_by_verbs, True)])
def test_killed_after_each_call(run: Run, recovery: bool) -> None:
    """Each that leaves something else than the call before it."""
    aws = world(recovery=recovery)
    for number in kill_points(aws, partial(run, aws)):
        aws = world(recovery=recovery)
        with killed_after(aws, number):
            run(aws)
        assert_done_once(aws, run)
        aws.close()


def test_killed_twice() -> None:
    """Killed again in the second run."""
    aws, seen = world(), set[tuple[str, ...]]()
    for first in kill_points(aws, partial(migrate, aws))[1::2]:
        aws = world()
        with killed_after(aws, first):
            migrate(aws)
        for second in kill_points(aws, partial(migrate, aws))[1::2]:
            aws = world()
            for number in (first, second):
                with killed_after(aws, number):
                    migrate(aws)
            assert_done_once(aws, seen=seen)
            aws.close()


def test_killed_while_waiting_for_a_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    quota = "lab.dynamodb.imports.MOST_IMPORTS"
    for number in range(18, 50, 2):
        monkeypatch.setattr(quota, 0)
        aws = world()
        with killed_after(aws, number):
            kill = aws.interrupt

            def free_a_slot(when: str, operation: str, at: int, aws: Staged = aws, kill: Any = kill) -> None:
                if aws.count("ImportTable") > 3:
                    monkeypatch.setattr(quota, 50)
                kill(when, operation, at)

            aws.interrupt = free_a_slot
            migrate(aws)
        monkeypatch.setattr(quota, 50)
        assert_done_once(aws)
        aws.close()


@pytest.mark.parametrize(
    ("moment", "code"),
    [("before", "ThrottlingException"), ("before", "ExpiredTokenException"), ("after", "InternalServerError")],
)
def test_every_call_may_fail_in_passing(code: str, moment: str) -> None:
    """Also when the call took effect and only its answer was lost."""
    seen: set[tuple[str, ...]] = set()
    for number in range(1, calls_of_a_run() + 1):
        aws = world()

        def break_once(when: str, operation: str, at: int, number: int = number) -> None:
            if (when, at) == (moment, number):
                raise failure(code, operation=operation)

        aws.interrupt = break_once
        try:
            migrate(aws)
        except Exception as error:  # a start verb may end with an error that says to run again
            assert str(error)
        aws.interrupt = lambda *_call: None
        assert_done_once(aws, seen=seen)
        aws.close()
