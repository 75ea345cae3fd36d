# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table's migration by its record: what an earlier run did, who holds the table, what stands under its name."""

from __future__ import annotations

from tests.unit.on_lab.recorded import Playbook, world


def test_a_table_is_done_with_its_evidence() -> None:
    aws = world()
    judged = Playbook(aws).migrate()["orders"]
    assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "counts")
    record = Playbook(aws, 2).record()
    assert (record.state, record.run, record.fence, record.attempt) == ("done", "", 0, 1)
    assert record.table_id == aws.described("orders")["TableId"]
    assert record.evidence["items_source"] == record.evidence["items_destination"] == 7
    assert record.data_as_of["instant"]
    assert [(job.purpose, job.state, job.request) for job in record.jobs] == [
        ("export", "done", ""),
        ("fill", "done", ""),
    ]


def test_a_second_run_changes_nothing_and_is_cheap() -> None:
    aws = world()
    Playbook(aws).migrate()
    aws.calls.clear()
    again = Playbook(aws, 2)
    migration = again.start()
    assert (migration.job.state, migration.changes, aws.mutating()) == ("not_needed", (), [])
    assert [operation for _account, operation in aws.calls] == ["DescribeTable", "GetItem", *["DescribeTable"] * 2]
    judged = again.judge("orders", (migration.job, *migration.then))
    assert (judged.status, judged.items_source, judged.items_destination, judged.verified) == (
        "migrated",
        7,
        7,
        "counts",
    )
