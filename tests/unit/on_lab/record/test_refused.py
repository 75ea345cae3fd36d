# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that are refused before anything is billed, and sources made anew between the look at them and the export."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import status
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import Staged


def with_local_index() -> Staged:
    aws = world({"customers": 2})
    key = {"AttributeName": "at", "AttributeType": "S"}
    schema = [{"AttributeName": "id", "KeyType": "HASH"}, {"AttributeName": "at", "KeyType": "RANGE"}]
    aws.add_table(
        "orders",
        AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}, key],
        KeySchema=schema,
        LocalSecondaryIndexes=[{"IndexName": "local", "KeySchema": schema, "Projection": {"ProjectionType": "ALL"}}],
    )
    return aws


def row(playbook: Playbook) -> dict[str, object]:
    store = playbook.store
    (found,) = status.rows(store.everything(), store.home, playbook.run.clock.now())
    return found


class TestShape:
    def test_status_says_what_to_do_and_another_method_goes_on(self) -> None:
        aws = with_local_index()
        with pytest.raises(errors.LocalSecondaryIndexes) as refused:
            Playbook(aws).start()
        found = row(Playbook(aws, 2))
        assert (found["state"], found["run"], found["next"]) == ("claimed", "", refused.value.next_step)
        assert aws.jobs("export") == []
        third = Playbook(aws, 3)
        third.start(method="direct")
        assert (third.record().method, third.record().next) == ("direct", "")

    @pytest.mark.parametrize("source", ["orders", "customers"])
    def test_the_name_is_free_for_another_migration_and_source(self, source: str) -> None:
        aws = with_local_index()
        with pytest.raises(errors.LocalSecondaryIndexes):
            Playbook(aws).start()
        second = Playbook(aws, 2)
        second.start(source, migration_id="other", method="direct", destination_table="orders")
        record = second.record()
        assert (record.migration, record.source.arn, record.method) == (
            "other",
            aws.account("source").table_arn(source),
            "direct",
        )

    def test_not_while_its_run_works_on_it(self) -> None:
        aws = world(recovery=False)
        first = Playbook(aws)
        first.start()  # waits for point-in-time recovery: nothing is begun yet
        assert first.record().jobs == ()
        with pytest.raises(errors.Claimed, match="held by ann"):
            Playbook(aws, 2).start(migration_id="other")


class TestSource:
    """It is made anew after it was read: AWS's answer to the export names another TableId."""

    def assert_anew(self, aws: Staged) -> None:
        new = aws.described("orders", "source")["TableId"]
        record = Playbook(aws, 2).record()
        assert record.source.table_id != new
        assert [(job.purpose, job.state) for job in record.jobs] == [("export", "failed")]
        judged = Playbook(aws, 3).migrate()["orders"]
        assert (judged.status, judged.items_source, judged.items_destination) == ("migrated", 3, 3)
        record = Playbook(aws, 4).record()
        assert (record.attempt, record.source.table_id, len(aws.jobs("import"))) == (2, new, 1)

    def test_before_its_recovery_window_is_read(self) -> None:
        aws = world()

        def replaced(when: str, operation: str, at: int) -> None:
            if (when, operation) == ("before", "DescribeContinuousBackups"):
                aws.interrupt = lambda *_call: None
                aws.drop("orders", "source")
                aws.add_table("orders", 3)

        aws.interrupt = replaced
        with pytest.raises(errors.ExportFailed, match="made anew"):
            Playbook(aws).start()
        self.assert_anew(aws)

    def test_while_point_in_time_recovery_is_waited_for(self) -> None:
        aws = world(recovery=False)
        first = Playbook(aws)
        begun = first.start()
        aws.advance(10)
        aws.drop("orders", "source")
        aws.add_table("orders", 3, recovery=False)
        waited = first.wait({"orders": begun})
        judged = first.judge("orders", waited.ways["orders"])
        assert isinstance(judged.failure, errors.ExportFailed)
        assert "made anew" in judged.failure.cause
        first.end()
        self.assert_anew(aws)
