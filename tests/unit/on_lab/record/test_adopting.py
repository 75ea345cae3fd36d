# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that are whole by a full comparison: adopted ones, and broken ones that were repaired (found.md A4)."""

from __future__ import annotations

from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview, start, wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import adopting
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.record import by_calls
from tests.unit.on_lab.record.by_calls import verify
from tests.unit.on_lab.recorded import Playbook, killed_at, world
from tests.unit.on_lab.staged import BUCKET, Staged

OURS = {"PutItem", "UpdateItem", "CreateTable"}  # in the table of the records, where nothing else is written


@pytest.fixture(autouse=True)
def items_by_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    by_calls.put_in_place(monkeypatch)


def left_over(items: int = 7, *, until: str = "settings") -> Staged:
    """What version 0.2.0 left, which knew no records: its ledger in S3, its tags, and the table where it got so far."""
    aws = world({"orders": items})
    source, destination = aws.account("source"), aws.account("destination")
    begun = start(source, destination, MigrationOptions("orders", bucket=BUCKET, enable_point_in_time_recovery=True))
    then = {"export": (), "import": begun.then[:1], "settings": begun.then}[until]
    item = WaitItem("orders", source, destination, begun.job, then)
    wait_for([item], clock=lambda: aws.clock, sleep=aws.sleep)
    aws.sleep(60)  # its tags can be read
    aws.calls.clear()
    return aws


def marked(aws: Staged, items: int = 7, **create: Any) -> None:
    """A table with both our tags."""
    aws.add_table("orders", items, "destination", recovery=False, **create)
    account = aws.landscape["accounts"]["source"]["account_id"]
    aws.tag("orders", "tableferry:migration", "default")
    aws.tag("orders", "tableferry:source", f"{account}/eu-west-1/orders")
    aws.calls.clear()


def untouched(aws: Staged) -> bool:
    """Whether nothing was changed but in the table of the records."""
    return set(aws.mutating()) <= OURS and "orders" in aws.client("dynamodb", "destination").list_tables()["TableNames"]


class TestAdopting:
    @pytest.mark.parametrize("until", ["settings", "import"])
    def test_what_0_2_0_left_is_refused_and_adopted_where_asked_for(self, until: str) -> None:
        aws = left_over(until=until)
        before = aws.described("orders")
        with pytest.raises(errors.StateUnknown, match="no record says how far") as refused:
            Playbook(aws).start()
        assert "adopt: true" in refused.value.next_step
        assert untouched(aws) and Playbook(aws, 2).store.read(table_key("orders")) is None
        judged = Playbook(aws, 3).migrate(adopt=True)["orders"]
        assert (judged.status, judged.items_source, judged.items_destination) == ("migrated", 7, 7)
        assert (judged.verified, "full comparison" in judged.reason) == ("full", True)
        record = Playbook(aws, 4).record()
        assert (record.state, record.run, record.table_id) == ("done", "", before["TableId"])
        assert (record.evidence["adopted"], record.evidence["comparison"]["level"]) == (True, "full")
        assert (record.verified["verified"], judged.data_as_of) == ("full", record.data_as_of)
        assert record.data_as_of["from"] <= record.data_as_of["to"] != ""
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)

    def test_an_export_that_0_2_0_left_is_no_table_to_adopt(self) -> None:
        aws = left_over(until="export")
        assert Playbook(aws).migrate(adopt=True)["orders"].status == "migrated"
        assert "adopted" not in Playbook(aws, 2).record().evidence

    @pytest.mark.parametrize("method", ["s3", "direct", "backup"])
    def test_half_a_table_is_refused_with_numbers_and_not_written_to(self, method: str) -> None:
        aws = left_over()
        aws.erase("orders", 3)
        aws.write("orders", 1, "destination", first=100)
        before = aws.described("orders")
        aws.calls.clear()
        judged = Playbook(aws).migrate(adopt=True, method=method)["orders"]
        assert isinstance(judged.failure, errors.StateUnknown)
        assert "3 missing, 0 different, 1 extra" in judged.failure.cause
        assert "7 items in the source, 5 in the destination" in judged.failure.cause
        assert "verify with repair" in judged.failure.next_step
        assert untouched(aws)
        assert aws.described("orders") == before
        assert Playbook(aws, 2).store.read(table_key("orders")) is None

    def test_half_a_table_is_repaired_and_then_adopted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = left_over()
        aws.erase("orders", 3)
        assert Playbook(aws).migrate(adopt=True)["orders"].status == "failed"
        assert verify(Playbook(aws, 2), monkeypatch, repair=True)["clean"]
        assert Playbook(aws, 3).migrate(adopt=True)["orders"].status == "migrated"

    @pytest.mark.parametrize("state", ["done", "filling", "broken"])
    def test_a_record_that_was_restored_proves_nothing(self, state: str) -> None:
        aws = world()
        Playbook(aws).migrate()
        keys = {name: {"S": value} for name, value in (("pk", "table#orders"), ("sk", "record"))}
        there = aws.described("orders")["TableId"]
        aws.client("dynamodb", "destination").update_item(
            TableName="tableferry",
            Key=keys,
            UpdateExpression="SET home = :home, #state = :state, table_id = :table_id",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={
                ":home": {"S": "older"},
                ":state": {"S": state},
                ":table_id": {"S": "former" if state == "done" else there},
            },
        )
        with pytest.raises(errors.StateUnknown, match="restored from a backup"):
            Playbook(aws, 2).start()
        judged = Playbook(aws, 3).migrate(adopt=True)["orders"]
        assert (judged.status, judged.verified) == ("migrated", "full")
        record = Playbook(aws, 4).record()
        assert (record.state, record.attempt, record.table_id) == ("done", 2, there)
        assert record.home == Playbook(aws, 5).store.home

    def test_a_claimed_record_beside_a_table_with_our_tags_is_adopted_too(self) -> None:
        aws = world()
        first = Playbook(aws)
        first.start(method="direct")
        first.end()
        marked(aws)
        with pytest.raises(errors.StateUnknown):
            Playbook(aws, 2).start()
        assert Playbook(aws, 3).migrate(adopt=True)["orders"].verified == "full"
        assert Playbook(aws, 4).record().state == "done"

    @pytest.mark.parametrize("key", ["", "tableferry:migration"])
    def test_a_table_with_fewer_tags_is_not_adopted(self, key: str) -> None:
        aws = world()
        aws.add_table("orders", 7, "destination", recovery=False)
        if key:
            aws.tag("orders", key, "default")
        with pytest.raises(errors.StateUnknown if key else errors.DestinationExists):
            Playbook(aws).start(adopt=True)

    def test_settings_are_carried_afterwards(self) -> None:
        aws = world()
        aws.client("dynamodb").update_time_to_live(
            TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"}
        )
        aws.advance(3700)
        marked(aws)
        assert Playbook(aws).migrate(adopt=True)["orders"].status == "migrated"
        ttl = aws.client("dynamodb", "destination").describe_time_to_live(TableName="orders")
        assert ttl["TimeToLiveDescription"]["AttributeName"] == "ends"

    def test_a_table_that_was_made_anew_during_the_comparison_is_left_alone(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws = left_over()

        def replaced(*about: Any, **more: Any) -> Any:
            found = by_calls.verify_tables(*about, **more)
            aws.drop()
            aws.add_table("orders", 7, "destination", recovery=False)
            return found

        monkeypatch.setattr(adopting, "verify_tables", replaced)
        judged = Playbook(aws).migrate(adopt=True)["orders"]
        assert isinstance(judged.failure, errors.Replaced)
        assert Playbook(aws, 2).store.read(table_key("orders")) is None

    def test_two_controllers_adopt_it_once(self) -> None:
        aws = left_over()
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        begun, other = first.start(adopt=True), second.start(adopt=True)
        waited = first.wait({"orders": begun})
        late = second.wait({"orders": other})
        assert late.jobs["orders"].state == "failed"
        assert isinstance(second.judge("orders", late.ways["orders"]).failure, errors.Refused)
        assert first.judge("orders", waited.ways["orders"]).status == "migrated"
        second.end()
        assert Playbook(aws, 3).migrate()["orders"].status == "migrated"

    def test_killed_and_with_lost_answers(self) -> None:
        aws = left_over()
        aws.calls.clear()
        Playbook(aws).migrate(adopt=True)
        for number in range(1, len(aws.calls) + 1, 2):
            for lost in (True, False):
                aws = left_over()
                first = Playbook(aws)

                def lose(when: str, operation: str, at: int, last: int = number) -> None:
                    if (when, at) == ("after", last):
                        raise failure("InternalServerError", operation=operation, status=500)

                if lost:
                    aws.interrupt = lose
                    try:
                        first.migrate(adopt=True)
                    except errors.FerryError as error:
                        assert error.next_step
                    aws.interrupt = lambda *_call: None
                else:
                    killed_at(aws, "after", number, lambda first=first: first.migrate(adopt=True), Killed)
                first.killed()
                judged = Playbook(aws, 2).migrate(adopt=True)["orders"]
                assert (judged.status, judged.items_destination) == ("migrated", 7), (number, lost, judged)
                assert Playbook(aws, 3).record().state == "done"
                assert len(aws.jobs("export")) == 1
                aws.close()

    def test_check_mode_shows_what_it_will_read(self) -> None:
        aws = left_over()
        playbook = Playbook(aws)
        options = MigrationOptions("orders", bucket=BUCKET, adopt=True)
        shown = preview(playbook.source, playbook.destination, options, playbook.store, by_record=True)
        assert (shown.job.kind, shown.job.state) == ("adopt", "planned")
        assert [change.risk for change in shown.changes] == ["billed"]
        assert [job.state for job in shown.then] == ["planned"]  # the copy has all settings, but its record is not done
        assert Playbook(aws, 2).store.read(table_key("orders")) is None

    def test_check_mode_shows_the_settings_that_are_still_to_come(self) -> None:
        aws = left_over()
        playbook = Playbook(aws)
        aws.client("dynamodb", "source").update_table(TableName="orders", DeletionProtectionEnabled=True)
        aws.advance(100)
        options = MigrationOptions("orders", bucket=BUCKET, adopt=True)
        shown = preview(playbook.source, playbook.destination, options, playbook.store, by_record=True)
        assert [job.state for job in shown.then] == ["planned"]
        assert any(change.what == "deletion_protection" for change in shown.changes)


class TestRepaired:
    def broken(self) -> Staged:
        """An import that failed on an item, and left a part of the table."""
        aws = world()

        def lose(operation: str, answer: dict[str, Any]) -> None:
            described = answer.get("ImportTableDescription", {})
            if described.get("ImportStatus") == "COMPLETED":
                described["ImportedItemCount"] = 6

        aws.edit = lose
        assert Playbook(aws).migrate()["orders"].status == "failed"
        aws.edit = lambda operation, answer: None
        aws.erase("orders", 1)
        assert Playbook(aws, 2).record().state == "broken"
        return aws

    @pytest.mark.parametrize("method", ["s3", "direct", "backup"])
    @pytest.mark.parametrize("safe", [True, False])
    def test_a4_a_mended_table_is_never_deleted_and_filled_again(
        self, monkeypatch: pytest.MonkeyPatch, method: str, safe: bool
    ) -> None:
        """Failed import, clean verify with repair, then migrate with safe mode off."""
        aws = self.broken()
        there = aws.described("orders")["TableId"]
        mended = verify(Playbook(aws, 3), monkeypatch, repair=True)
        assert (mended["clean"], mended["filled"], mended["repaired"]["put"]) == (True, True, 1)
        record = Playbook(aws, 4).record()
        assert (record.state, record.run, record.evidence["filled_by"]) == ("filled", "", "comparison")
        assert "Run the migration again" in record.next
        aws.calls.clear()
        judged = Playbook(aws, 5).migrate(replace_failed=not safe, method=method)["orders"]
        assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "full")
        record = Playbook(aws, 6).record()
        assert (record.state, record.attempt, record.table_id) == ("done", 1, there)
        assert aws.described("orders")["TableId"] == there
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)
        assert "DeleteTable" not in aws.mutating()

    def test_a_comparison_alone_is_enough_for_a_table_that_somebody_else_mended(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws = self.broken()
        aws.write("orders", 7, "destination")
        assert not verify(Playbook(aws, 3), monkeypatch, check_mode=True)["filled"]
        assert not verify(Playbook(aws, 3), monkeypatch, level="sample")["filled"]
        assert Playbook(aws, 4).record().state == "broken"
        assert verify(Playbook(aws, 5), monkeypatch)["filled"]
        assert Playbook(aws, 6).migrate(replace_failed=True)["orders"].status == "migrated"

    def test_what_still_differs_stays_broken_and_is_exported_anew(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = self.broken()
        aws.write("orders", 1, "destination", first=100)
        result = verify(Playbook(aws, 3), monkeypatch, repair=True)
        assert (result["clean"], result["filled"]) == (False, False)
        record = Playbook(aws, 4).record()
        assert (record.state, record.run) == ("broken", "")
        judged = Playbook(aws, 5).migrate(replace_failed=True)["orders"]
        assert (judged.status, len(aws.jobs("export"))) == ("migrated", 2)

    def test_a_source_that_changes_during_the_repair_leaves_it_broken(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = self.broken()
        repair = by_calls.repair_differences

        def late(*about: Any, **more: Any) -> Any:
            result = repair(*about, **more)
            aws.write("orders", 1, first=200)
            return result

        monkeypatch.setattr(by_calls.dynamodb_verify, "repair_differences", late)
        result = verify(Playbook(aws, 3), monkeypatch, repair=True)
        assert (result["clean"], result["filled"]) == (True, False)
        assert Playbook(aws, 4).record().state == "broken"

    def test_a_copy_that_was_made_anew_is_not_mended(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = self.broken()
        aws.drop()
        aws.add_table("orders", 7, "destination", recovery=False)
        with pytest.raises(errors.Replaced):
            verify(Playbook(aws, 3), monkeypatch)
        with pytest.raises(errors.DestinationExists):
            verify(Playbook(aws, 4), monkeypatch, repair=True)
        assert Playbook(aws, 5).record().state == "broken"

    def test_a_table_that_another_run_holds_is_compared_and_its_record_left(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws = self.broken()
        aws.write("orders", 7, "destination")
        other = Playbook(aws, 3, "two")
        other.run.hold(other.record())
        result = verify(Playbook(aws, 4), monkeypatch)
        assert (result["equal"], result["filled"]) == (True, False)
        with pytest.raises(errors.Held):
            verify(Playbook(aws, 5), monkeypatch, repair=True)


class TestHandedOver:
    def test_a_repair_that_is_asked_for_is_made_and_says_what_it_overwrites(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.client("dynamodb", "destination").update_item(
            TableName="tableferry",
            Key={name: {"S": value} for name, value in (("pk", "table#orders"), ("sk", "record"))},
            UpdateExpression="SET #state = :state",
            ExpressionAttributeNames={"#state": "state"},
            ExpressionAttributeValues={":state": {"S": "handed_over"}},
        )
        aws.write("orders", 1, "destination", first=100)
        aws.erase("orders", 1)
        assert "warnings" not in verify(Playbook(aws, 2), monkeypatch)
        kept = verify(Playbook(aws, 3), monkeypatch, repair=True)
        assert (kept["repaired"]["put"], kept["repaired"]["left"], len(kept["warnings"])) == (1, 1, 1)
        assert "deleted" not in kept["warnings"][0]
        gone = verify(Playbook(aws, 4), monkeypatch, repair=True, delete_extra=True)
        assert (gone["repaired"]["deleted"], "deleted" in gone["warnings"][0]) == (1, True)
        record = Playbook(aws, 5).record()
        assert (record.state, record.run) == ("handed_over", "")
