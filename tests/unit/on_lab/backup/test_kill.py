# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A way by AWS Backup, killed at any call, goes on in the next run: no second backup, copy or restore."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement, judge_way
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.backup_jobs import (
    BackupOptions,
    plan_backup,
    start_backup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.copy_jobs import CopyOptions, copy_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup.restore_jobs import (
    RestoreOptions,
    restore_job,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.counting import count_job
from tests.unit.core.fake_aws import SOURCE, Killed, failure
from tests.unit.core.fake_backup import BackupAws

KINDS = ("backup", "copy", "restore")


def migrate(aws: BackupAws) -> Judgement:
    """One table's whole way up to the count, as the playbook goes it."""
    source, destination = aws.account("source"), aws.account("destination")
    plan = plan_backup(source, destination, BackupOptions("orders"))
    job = start_backup(source, plan)
    then = (
        copy_job(CopyOptions("orders", job)),
        restore_job(RestoreOptions("orders")),
        count_job("orders", "orders", writes_stopped=True),
    )
    first, *others = (Job.from_dict(part.to_dict()) for part in (job, *then))
    item = WaitItem("t", source, destination, first, tuple(others))
    jobs = wait_for([item], clock=lambda: aws.clock, sleep=aws.sleep).ways["t"]
    return judge_way("orders", source, destination, jobs, writes_stopped=True)


def world(**how: Any) -> BackupAws:
    aws = BackupAws()
    aws.add_table(SOURCE, "orders", items=7)
    for name, value in how.items():
        setattr(aws, name, value)
    return aws


def calls_of_a_run(**how: Any) -> int:
    aws = world(**how)
    judgement = migrate(aws)
    assert (judgement.status, judgement.verified) == ("migrated", "counts"), judgement
    return len(aws.calls)


def assert_done_once(aws: BackupAws) -> None:
    judgement = migrate(aws)
    assert (judgement.status, judgement.items_destination, judgement.verified) == ("migrated", 7, "counts")
    assert [len(aws.of_kind(kind)) for kind in KINDS] == [1, 1, 1]
    aws.calls.clear()
    assert migrate(aws).status == "migrated"
    assert aws.mutating() == []


HOW = [{}, {"listed_after": 3.0}, {"point_after": 5.0}]


@pytest.mark.parametrize("how", HOW, ids=["plain", "late-in-the-list", "late-in-the-vault"])
@pytest.mark.parametrize("moment", ["before", "after"])
def test_killed_at_each_call(moment: str, how: dict[str, Any]) -> None:
    for number in range(1, calls_of_a_run(**how) + 1):
        aws = world(**how)

        def kill(when: str, operation: str, at: int, number: int = number) -> None:
            if (when, at) == (moment, number):
                raise Killed(operation)

        aws.interrupt = kill
        with pytest.raises(Killed):
            migrate(aws)
        aws.interrupt = lambda *_call: None
        assert_done_once(aws)


def test_killed_at_each_call_twice() -> None:
    for first in range(3, calls_of_a_run() + 1, 3):
        for second in range(1, 50, 4):
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


@pytest.mark.parametrize(
    "code", ["ThrottlingException", "ServiceUnavailableException", "InternalServerError", "ExpiredTokenException"]
)
@pytest.mark.parametrize("moment", ["before", "after"])
def test_every_call_may_fail_in_passing(code: str, moment: str) -> None:
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
