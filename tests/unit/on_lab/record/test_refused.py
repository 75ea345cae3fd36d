# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that are refused before anything is billed, and sources made anew between the look at them and the export."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import status
from tests.unit.on_lab.recorded import Playbook, killed_where, world
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
    """It is made anew after it was read: AWS's answer to the export names another TableId, and the export serves."""

    def anew(self, aws: Staged, recovery: bool = True) -> None:
        """With an index, which the copy has to have."""
        names = ("id", "at")
        index = {
            "IndexName": "by_at",
            "KeySchema": [{"AttributeName": "at", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
        }
        aws.drop("orders", "source")
        aws.add_table(
            "orders",
            3,
            recovery=recovery,
            AttributeDefinitions=[{"AttributeName": name, "AttributeType": "S"} for name in names],
            GlobalSecondaryIndexes=[index],
        )

    def assert_one_export(self, aws: Staged, judged: Judgement, attempt: int = 1) -> None:
        assert (judged.status, judged.items_source, judged.items_destination) == ("migrated", 3, 3)
        record, new = Playbook(aws, 9).record(), aws.described("orders", "source")
        assert (record.attempt, record.source.table_id) == (attempt, new["TableId"])
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)
        assert [each["IndexName"] for each in aws.described("orders")["GlobalSecondaryIndexes"]] == ["by_at"]

    def test_before_its_recovery_window_is_read(self) -> None:
        aws = world()

        def replaced(when: str, operation: str, at: int) -> None:
            if (when, operation) == ("before", "DescribeContinuousBackups"):
                aws.interrupt = lambda *_call: None
                self.anew(aws)

        aws.interrupt = replaced
        self.assert_one_export(aws, Playbook(aws).migrate()["orders"])

    def test_while_point_in_time_recovery_is_waited_for(self) -> None:
        aws = world(recovery=False)
        first = Playbook(aws)
        begun = first.start()
        aws.advance(10)
        self.anew(aws, recovery=False)
        waited = first.wait({"orders": begun})
        self.assert_one_export(aws, first.judge("orders", waited.ways["orders"]))
        first.end()
        assert Playbook(aws, 2).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("export")) == 1

    def test_and_the_run_dies_before_it_reads_the_answer(self) -> None:
        aws = world()
        first, replaced = Playbook(aws), list[str]()

        def answered(when: str, operation: str) -> bool:
            if not replaced and (when, operation) == ("before", "DescribeContinuousBackups"):
                replaced.append(operation)
                self.anew(aws)
            return (when, operation) == ("after", "ExportTableToPointInTime")

        killed_where(aws, answered, first.start)
        first.killed()
        aws.advance(1500.0)
        self.assert_one_export(aws, Playbook(aws, 2).migrate()["orders"], attempt=2)
