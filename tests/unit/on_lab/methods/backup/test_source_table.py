# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B6: a source table that AWS is making or changing is backed up when that is over, and not refused."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.backup import source_table
from tests.unit.on_lab.methods.backup.ready import SOURCE, Ready
from tests.unit.on_lab.methods.backup.test_record import STOPPED, migrate
from tests.unit.on_lab.recorded import Playbook

pytestmark = pytest.mark.usefixtures("at_once")


def updated(aws: Ready) -> None:
    aws.client("dynamodb", "source").update_table(TableName="orders", TableClass="STANDARD_INFREQUENT_ACCESS")


def statuses_at_the_start(aws: Ready) -> list[str]:
    """The source's TableStatus whenever a backup is asked for."""
    seen: list[str] = []

    def look(when: str, operation: str, _number: int) -> None:
        if (when, operation) == ("before", "StartBackupJob"):
            seen.append(aws.described("orders", "source")["TableStatus"])

    aws.interrupt = look
    return seen


def test_b6_a_source_that_is_updating_for_seconds_is_waited_for() -> None:
    aws = Ready()
    seen = statuses_at_the_start(aws)
    updated(aws)
    first = Playbook(aws)
    begun = first.start(method="backup", backup=STOPPED)
    assert (begun.job.state, begun.job.pending_reason, seen) == ("pending", "source_table", [])
    waited = first.wait({"orders": begun}, judge={"verify": "counts"})
    assert first.judge("orders", waited.ways["orders"]).status == "migrated"
    assert (seen, len(aws.jobs("backup"))) == (["ACTIVE"], 1)


def test_a_source_that_is_being_made_is_waited_for() -> None:
    aws = Ready({})
    seen = statuses_at_the_start(aws)
    aws.client("dynamodb", "source").create_table(
        TableName="orders",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}],
        KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
        BillingMode="PAY_PER_REQUEST",
    )
    assert aws.described("orders", "source")["TableStatus"] == "CREATING"
    assert (migrate(aws).status, seen) == ("migrated", ["ACTIVE"])


def test_a_change_of_hours_is_not_waited_out() -> None:
    aws = Ready()

    def show(operation: str, answer: dict[str, Any]) -> None:
        if operation == "DescribeTable" and f":{SOURCE}:" in answer["Table"]["TableArn"]:
            answer["Table"]["TableStatus"] = "UPDATING"

    aws.edit = show
    began = aws.clock
    times: list[float] = []
    aws.interrupt = lambda when, operation, _number: (
        times.append(aws.clock - began) if (when, operation) == ("before", "StartBackupJob") else None
    )
    first = Playbook(aws)
    assert first.migrate(method="backup", backup=STOPPED)["orders"].status == "migrated"
    assert "1 waiting until their tables are ACTIVE" in " ".join(first.lines)
    assert source_table.CHANGE_WAIT <= times[0] < 2 * source_table.CHANGE_WAIT


def test_a_source_that_is_deleted_meanwhile_fails() -> None:
    aws = Ready()
    updated(aws)
    first = Playbook(aws)
    begun = first.start(method="backup", backup=STOPPED)
    aws.advance(30)
    aws.drop("orders", "source")
    job = first.wait({"orders": begun}).jobs["orders"]
    assert (job.state, job.failure["error"], aws.jobs("backup")) == ("failed", "MissingTable", [])


def test_the_next_run_goes_on_where_one_was_killed_meanwhile() -> None:
    aws = Ready()
    updated(aws)
    first = Playbook(aws)
    first.start(method="backup", backup=STOPPED)
    first.killed()
    assert (migrate(aws, 2).status, len(aws.jobs("backup"))) == ("migrated", 1)
