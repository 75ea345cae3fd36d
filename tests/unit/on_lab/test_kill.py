# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run killed at any call goes on in the next run, and never makes a second billed job."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TypeAlias

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem, WaitResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement, judge
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.s3.export import (
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.s3.importing import (
    ImportOptions,
    import_job,
    plan_import,
    start_import,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from tests.unit.core.fake_aws import BUCKET, SOURCE, FakeAws, Killed, failure

Run: TypeAlias = Callable[[FakeAws], tuple[Judgement, list]]


def waited(aws: FakeAws, job: Job, *then: Job) -> WaitResult:
    """What job_wait returns: through plain data, as Ansible carries it."""
    first, *others = (Job.from_dict(part.to_dict()) for part in (job, *then))
    item = WaitItem("t", aws.account("source"), aws.account("destination"), first, tuple(others))
    return wait_for([item], clock=lambda: aws.clock, sleep=aws.sleep)


def migrate(aws: FakeAws) -> tuple[Judgement, list]:
    """One table's whole way, as the playbook goes it: the waiter starts the import."""
    source, destination = aws.account("source"), aws.account("destination")
    options = ExportOptions(table="orders", bucket=BUCKET, enable_point_in_time_recovery=True)
    plan = plan_export(source, destination, options)
    then = import_job(ImportOptions(table="orders", bucket=BUCKET, definition=plan.definition))
    found = waited(aws, start_export(source, destination, plan), then)
    export, imported = found.ways["t"]
    return judge("orders", source, destination, export, imported), [*plan.changes, *found.started]


def migrate_by_verbs(aws: FakeAws) -> tuple[Judgement, list]:
    """The same with a verb for each job."""
    source, destination = aws.account("source"), aws.account("destination")
    options = ExportOptions(table="orders", bucket=BUCKET, enable_point_in_time_recovery=True)
    export_plan = plan_export(source, destination, options)
    export = waited(aws, start_export(source, destination, export_plan)).jobs["t"]
    import_options = ImportOptions(table="orders", bucket=BUCKET, export=export, definition=export_plan.definition)
    import_plan = plan_import(source, destination, import_options)
    imported = waited(aws, start_import(destination, import_plan)).jobs["t"]
    judgement = judge("orders", source, destination, export, imported)
    return judgement, [*export_plan.changes, *import_plan.changes]


def world(*, recovery: bool = True, slots: int = 50) -> FakeAws:
    aws = FakeAws()
    aws.add_table(SOURCE, "orders", items=7, recovery=recovery)
    aws.import_slots = slots
    aws.export_seconds, aws.import_seconds, aws.visible_after = 4.0, 3.0, 1.0
    return aws


def calls_of_a_run(run: Run = migrate, **how) -> int:
    aws = world(**how)
    judgement, _changes = run(aws)
    assert judgement.status == "migrated", judgement
    return len(aws.calls)


def assert_done_once(aws: FakeAws, run: Run = migrate) -> None:
    judgement, changes = run(aws)
    assert (judgement.status, judgement.items_destination, judgement.verified) == ("migrated", 7, "counts")
    assert (len(aws.exports), len(aws.imports)) == (1, 1)
    aws.calls.clear()
    judgement, changes = run(aws)
    assert (changes, aws.mutating()) == ([], [])
    assert (judgement.status, judgement.items_source, judgement.items_destination) == ("migrated", 7, 7)


@pytest.mark.parametrize("recovery", [True, False])
@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("run", [migrate, migrate_by_verbs])
def test_killed_at_each_call(run: Run, moment: str, recovery: bool) -> None:
    for number in range(1, calls_of_a_run(run, recovery=recovery) + 1):
        aws = world(recovery=recovery)

        def kill(when: str, operation: str, at: int, number: int = number) -> None:
            if (when, at) == (moment, number):
                raise Killed(operation)

        aws.interrupt = kill
        with pytest.raises(Killed):
            run(aws)
        aws.interrupt = lambda *_call: None
        assert_done_once(aws, run)


def test_killed_at_each_call_twice() -> None:
    """Killed again at each call of the second run."""
    for first in range(5, calls_of_a_run() + 1, 3):
        for second in range(1, 40, 2):
            aws = world()
            for number in (first, second):
                start = len(aws.calls)

                def kill(when: str, operation: str, at: int, number: int = number + start) -> None:
                    if (when, at) == ("after", number):
                        raise Killed(operation)

                aws.interrupt = kill
                with contextlib.suppress(Killed):
                    migrate(aws)
            aws.interrupt = lambda *_call: None
            assert_done_once(aws)


def test_killed_while_waiting_for_a_slot() -> None:
    def full() -> FakeAws:
        aws = world()
        aws.add_table(SOURCE, "other", items=1)
        aws.import_slots = 0
        return aws

    for number in range(1, 60):
        aws = full()

        def kill(when: str, operation: str, at: int, number: int = number, aws: FakeAws = aws) -> None:
            if aws.count("ImportTable") > 3:
                aws.import_slots = 50
            if (when, at) == ("after", number):
                raise Killed(operation)

        aws.interrupt = kill
        with contextlib.suppress(Killed):
            migrate(aws)
        aws.interrupt = lambda *_call: None
        aws.import_slots = 50
        assert_done_once(aws)


@pytest.mark.parametrize("code", ["ThrottlingException", "InternalServerError", "ExpiredTokenException"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_every_call_of_the_waiter_may_fail_in_passing(code: str, moment: str) -> None:
    """Also when the call took effect and only its answer was lost."""
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
        assert_done_once(aws)
