# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that travel by AWS Backup, by their records: killed at any call, with lost answers, in two runs, rehearsed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from botocore.exceptions import ConnectionClosedError

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    DestinationExists,
    FerryError,
    StateUnknown,
    TableBroken,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices
from tests.unit.on_lab.backup.ready import Ready
from tests.unit.on_lab.in_process import Killed
from tests.unit.on_lab.recorded import Playbook, killed_at

KINDS = ("backup", "copy", "restore")
STOPPED = BackupChoices(writes_stopped=True)


def migrate(aws: Ready, number: int = 1, **options: Any) -> Any:
    return Playbook(aws, number).migrate(**{"method": "backup", "backup": STOPPED, **options})["orders"]


def billed(aws: Ready) -> list[int]:
    return [len(aws.jobs(kind)) for kind in KINDS]


def until_migrated(aws: Ready, first: int, runs: int = 6, **options: Any) -> Any:
    """Runs, each by a process of its own, until one brings the table to its end."""
    for number in range(first, first + runs):
        try:
            judged = migrate(aws, number, **options)
        except FerryError:
            aws.advance(30)
            continue
        if judged.status == "migrated":
            return judged
        aws.advance(30)
    raise AssertionError(judged)


def drop(aws: Ready, table: str = "orders") -> None:
    aws.drop(table)


def test_a_table_is_done_with_its_evidence() -> None:
    aws = Ready()
    judged = migrate(aws)
    assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "counts")
    record = Playbook(aws, 2).record()
    assert (record.state, record.run, record.attempt) == ("done", "", 1)
    assert record.table_id == aws.described("orders")["TableId"]
    assert record.evidence["items_source"] == record.evidence["items_destination"] == 7
    point = aws.backup("source").describe_recovery_point(
        BackupVaultName="tableferry", RecoveryPointArn=aws.points("source")[0]
    )
    assert record.data_as_of["instant"][:19] == point["CreationDate"].isoformat()[:19]
    assert [(job.purpose, job.kind, job.state) for job in record.jobs] == [
        ("backup", "backup", "done"),
        ("copy", "copy", "done"),
        ("fill", "restore", "done"),
    ]
    assert billed(aws) == [1, 1, 1]


def test_uncounted_it_is_filled_all_the_same() -> None:
    aws = Ready()
    assert migrate(aws, verify="none").status == "migrated"
    record = Playbook(aws, 2).record()
    assert record.state == "done" and "items_source" not in record.evidence


def test_killed_before_and_after_each_call() -> None:
    aws = Ready()
    migrate(aws)
    calls = len(aws.calls)
    aws.close()
    for number in range(1, calls + 1):
        for moment in ("before", "after"):
            aws = Ready()
            first = Playbook(aws)
            killed_at(
                aws,
                moment,
                number,
                lambda: first.migrate(method="backup", backup=STOPPED),
                Killed,  # noqa: B023
            )
            first.killed()
            aws.advance(15)
            judged = until_migrated(aws, 2)
            assert (judged.items_destination, judged.verified) == (7, "counts"), (moment, number)
            assert billed(aws) == [1, 1, 1], (moment, number)
            assert Playbook(aws, 90).record().state == "done"
            aws.close()
