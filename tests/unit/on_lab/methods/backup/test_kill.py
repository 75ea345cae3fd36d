# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A way by AWS Backup, killed at any call, goes on in the next run: no second backup, copy or restore."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.backup_jobs import (
    BackupOptions,
    plan_backup,
    start_backup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.copy_jobs import (
    RecoveryPointCopyOptions,
    copy_job,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.restore_jobs import (
    RestoreOptions,
    restore_job,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.counting import count_job
from tests.unit.on_lab.in_process import failure
from tests.unit.on_lab.kills import kill_points, killed_after
from tests.unit.on_lab.methods.backup.ready import Ready

pytestmark = pytest.mark.usefixtures("at_once")

KINDS = ("backup", "copy", "restore")
LISTS = {"ListBackupJobs": "BackupJobs", "ListCopyJobs": "CopyJobs", "ListRestoreJobs": "RestoreJobs"}


def migrate(aws: Ready) -> Judgement:
    """One table's whole way up to the count, as the playbook goes it."""
    source, destination = aws.account("source"), aws.account("destination")
    plan = plan_backup(source, destination, BackupOptions("orders"))
    job = start_backup(source, plan)
    then = (
        copy_job(RecoveryPointCopyOptions("orders", job)),
        restore_job(RestoreOptions("orders")),
        count_job("orders", "orders", writes_stopped=True),
    )
    first, *others = (Job.from_dict(part.to_dict()) for part in (job, *then))
    item = WaitItem("t", source, destination, first, tuple(others))
    jobs = wait_for([item], clock=lambda: aws.clock, sleep=aws.sleep).ways["t"]
    return judge("orders", source, destination, jobs, writes_stopped=True)


def world(*, listed_after: float = 0.0, point_after: float = 0.0, ago: float = 0.0) -> Ready:
    """``listed_after``: seconds until a list shows a new job, ``point_after`` until a new recovery point is whole."""
    aws = Ready(ago=ago)

    def show_late(operation: str, answer: dict[str, Any]) -> None:
        if operation in LISTS:
            member = LISTS[operation]
            oldest = aws.now - timedelta(seconds=listed_after)
            answer[member] = [job for job in answer[member] if job["CreationDate"] <= oldest]
        whole = aws.now - timedelta(seconds=point_after)
        if operation == "DescribeRecoveryPoint" and answer.get("CompletionDate", aws.now) > whole:
            answer["Status"] = "CREATING"

    if listed_after or point_after:
        aws.edit = show_late
    return aws


def calls_of_a_run(**how: Any) -> int:
    aws = world(**how)
    judgement = migrate(aws)
    assert (judgement.status, judgement.verified) == ("migrated", "counts"), judgement
    return len(aws.calls)


def assert_done_once(aws: Ready, seen: set[tuple[str, ...]] | None = None) -> None:
    """The next run goes on, and one more changes nothing: not tried again where ``seen`` has the same changes."""
    judgement = migrate(aws)
    assert (judgement.status, judgement.items_destination, judgement.verified) == ("migrated", 7, "counts")
    assert [len(aws.jobs(kind)) for kind in KINDS] == [1, 1, 1]
    made = tuple(aws.mutating())
    if seen is not None and made in seen:
        return
    if seen is not None:
        seen.add(made)
    aws.calls.clear()
    assert migrate(aws).status == "migrated"
    assert aws.mutating() == []


def killed_once(number: int, **how: Any) -> None:
    """Killed after that call, the next run goes on."""
    aws = world(**how)
    with killed_after(aws, number):
        migrate(aws)
    assert_done_once(aws)
    aws.close()


def test_killed_after_each_call() -> None:
    """Each that leaves something else than the call before it."""
    aws = world()
    for number in kill_points(aws, partial(migrate, aws)):
        killed_once(number)


@pytest.mark.parametrize("how", [{"listed_after": 3.0}, {"point_after": 5.0}], ids=["in-the-list", "in-the-vault"])
def test_killed_while_what_was_started_is_not_shown(how: dict[str, Any]) -> None:
    """Killed after the calls that begin a job, and after the few that follow until the job shows."""
    aws = world(**how)
    migrate(aws)
    starts = [number for number, (_account, name) in enumerate(aws.calls, 1) if name.startswith("Start")]
    assert len(starts) == 3
    aws.close()
    for number in sorted({start + later for start in starts for later in range(4)}):
        killed_once(number, **how)


def test_killed_twice() -> None:
    aws, seen = world(), set[tuple[str, ...]]()
    for first in kill_points(aws, partial(migrate, aws))[1::3]:
        aws = world()
        with killed_after(aws, first):
            migrate(aws)
        for second in kill_points(aws, partial(migrate, aws))[1::3]:
            aws = world()
            for number in (first, second):
                with killed_after(aws, number):
                    migrate(aws)
            assert_done_once(aws, seen)
            aws.close()


@pytest.mark.parametrize(
    ("moment", "code"),
    [("before", "ThrottlingException"), ("after", "InternalServerError")],
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
        assert_done_once(aws, seen)
        aws.close()
