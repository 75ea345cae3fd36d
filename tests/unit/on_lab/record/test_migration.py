# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table's migration by its record: what an earlier run did, who holds the table, what stands under its name."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from functools import partial

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.cleanup import (
    CleanupOptions,
    apply_cleanup,
    plan_cleanup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration, filled_id, preview
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import record_table, removal
from ansible_collections.tableferry.aws.plugins.module_utils.core.report import text
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.row import row
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import (
    Records,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import (
    VerifyOptions,
    require_repairable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.holding import hold
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.recorded import Playbook, killed_at, killed_where, world
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")


def test_a_table_is_done_with_its_evidence() -> None:
    aws = world()
    judged = Playbook(aws).migrate()["orders"]
    assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "counts")
    record = Playbook(aws, 2).record()
    assert (record.state, record.run, record.fence, record.attempt) == ("done", "", 0, 1)
    assert record.table_id == aws.described("orders")["TableId"]
    assert record.evidence["items_source"] == record.evidence["items_destination"] == 7
    assert record.data_as_of["from"] == record.data_as_of["to"] != ""
    assert judged.data_as_of == record.data_as_of
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


class TestWhatIsNotOurs:
    def test_a1_half_a_table_of_another_method_is_not_taken_for_done(self) -> None:
        aws = world({"orders": 7})
        first = Playbook(aws)
        first.start(method="direct")  # claimed; then its copy dies after CreateTable and some items
        aws.add_table("orders", 3, "destination", recovery=False)
        record = first.record()
        aws.tag("orders", "tableferry:migration", "default")
        aws.tag("orders", "tableferry:source", record.source.arn.split(":")[4] + "/eu-west-1/orders")
        first.end()
        with pytest.raises(errors.StateUnknown, match="no record says how far"):
            Playbook(aws, 2).start(method="s3")
        assert aws.jobs("export") == []
        assert Playbook(aws, 3).record().run == ""

    def test_a_table_without_a_record_is_refused_and_nothing_is_written(self) -> None:
        aws = world()
        aws.add_table("orders", 1, "destination", recovery=False)
        with pytest.raises(errors.DestinationExists):
            Playbook(aws).start()
        aws.tag("orders", "tableferry:migration", "default")
        with pytest.raises(errors.StateUnknown):
            Playbook(aws).start()
        assert aws.jobs("export") == []

    def test_a19_another_migration_is_refused_before_anything_is_billed(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        before = Playbook(aws, 2).record()
        aws.calls.clear()
        with pytest.raises(errors.Claimed, match="migration default"):
            Playbook(aws, 3).start(migration_id="other")
        assert aws.mutating() == []
        assert Playbook(aws, 4).record() == before

    def test_another_source_for_a_claimed_name_is_refused(self) -> None:
        aws = world({"orders": 7, "customers": 2})
        Playbook(aws).start()
        with pytest.raises(errors.Claimed, match="table/orders"):
            Playbook(aws, 2).start("customers", destination_table="orders")
        assert len(aws.jobs("export")) == 1

    def test_a_copy_that_was_made_anew_is_not_touched(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        aws.add_table("orders", 1, "destination", recovery=False)
        with pytest.raises(errors.Replaced):
            Playbook(aws, 2).start()
        assert len(aws.jobs("import")) == 1


class TestReplacedCopy:
    """Somebody deleted the copy and made a table of their own. All playbooks say the same two ways out; both work."""

    def replaced(self) -> Staged:
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        aws.add_table("orders", 1, "destination", recovery=False)
        return aws

    def test_all_playbooks_say_the_same(self) -> None:
        aws = self.replaced()
        playbook = Playbook(aws, 2)
        with pytest.raises(errors.Replaced) as migrated:
            playbook.start()
        record = playbook.record()
        options = VerifyOptions("orders", "orders")
        with pytest.raises(errors.DestinationExists) as repaired:
            require_repairable(
                playbook.source,
                playbook.destination,
                options,
                "default",
                delete_extra=False,
                filled_id=filled_id(record, "default", record.source.arn),
            )
        texts = {(each.value.cause, each.value.next_step) for each in (migrated, repaired)}
        assert len(texts) == 1
        ((cause, next_step),) = texts
        assert record.table_id in cause and aws.described("orders")["TableId"] in cause
        assert "delete that table" in next_step and "another destination_table" in next_step

    def test_the_table_is_deleted_and_the_copy_made_again(self) -> None:
        aws = self.replaced()
        aws.drop()
        assert Playbook(aws, 2).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("import")) == 2

    def test_the_table_stays_and_the_copy_gets_another_name(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = self.replaced()
        in_its_time = partial(record_table.remove, clock=lambda: aws.clock, sleep=aws.sleep)
        monkeypatch.setattr(record_table, "remove", in_its_time)
        own = aws.described("orders")["TableId"]
        cleaner = Playbook(aws, 2)
        removed = removal.remove(cleaner.run, ["orders"], "default", frozenset())
        assert [change.what for change in removed.changes][:1] == ["dynamodb.table.tableferry.orders"]
        aws.advance(60)  # the record table was empty, and went too
        playbook = Playbook(aws, 3)
        ways = playbook.wait({"copy": playbook.start(destination_table="copy")}).ways["copy"]
        judged = playbook.judge("copy", ways, source_table="orders")
        assert (judged.status, judged.items_destination) == ("migrated", 7)
        assert aws.described("orders")["TableId"] == own


class TestDone:
    def test_a3_settings_are_left_as_the_users_have_them(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.client("dynamodb", "destination").update_time_to_live(
            TableName="orders", TimeToLiveSpecification={"Enabled": True, "AttributeName": "ends"}
        )
        aws.calls.clear()
        judged = Playbook(aws, 2).migrate()["orders"]
        assert (judged.status, judged.verified) == ("migrated", "counts")
        assert [name for name in aws.mutating() if name not in ("PutItem", "UpdateItem")] == []

    @pytest.mark.parametrize("method", ["direct", "backup"])
    def test_a14_whatever_the_method_says_now(self, method: str) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.calls.clear()
        again = Playbook(aws, 2)
        migration = again.start(method=method)
        assert (migration.job.state, migration.method, aws.mutating()) == ("not_needed", "s3", [])
        assert again.judge("orders", (migration.job, *migration.then)).status == "migrated"

    @pytest.mark.parametrize("cleaned", [False, True])
    def test_a5_a15_a_copy_that_was_deleted_is_brought_by_a_new_export(self, cleaned: bool) -> None:
        aws = world()
        first = Playbook(aws).migrate()["orders"]
        if cleaned:
            aws.remove(*aws.objects())
        aws.drop()
        aws.write("orders", 4, first=100)
        judged = Playbook(aws, 2).migrate()["orders"]
        assert (judged.status, judged.items_source, judged.items_destination) == ("migrated", 11, 11)
        record = Playbook(aws, 3).record()
        assert (record.attempt, record.state, len(aws.jobs("export"))) == (2, "done", 2)
        note = f"the copy of {first.data_as_of['to']} had been deleted; made again"
        assert (list(first.notes), list(judged.notes)) == ([], [note])
        assert text.noted([row("orders", "s3", judgement=judged.to_dict())]) == [f"orders: {note}"]
        assert list(Playbook(aws, 4).migrate()["orders"].notes) == []

    def test_a_source_that_was_made_anew_is_said(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.drop("orders", "source")
        aws.add_table("orders", 1)
        assert "made anew" in Playbook(aws, 2).migrate()["orders"].reason


class TestNotWhole:
    def test_a9_an_import_that_brings_fewer_items_is_broken_and_says_what_to_do(self) -> None:
        aws = world()

        def lose(operation: str, answer: dict) -> None:
            described = answer.get("ImportTableDescription", {})
            if described.get("ImportStatus") == "COMPLETED":
                described["ImportedItemCount"] = 6

        aws.edit = lose
        judged = Playbook(aws).migrate(verify="none")["orders"]
        aws.edit = lambda operation, answer: None
        assert (judged.status, type(judged.failure).__name__) == ("failed", "CountMismatch")
        record = Playbook(aws, 2).record()
        assert (record.state, record.run) == ("broken", "")
        assert record.next
        with pytest.raises(errors.TableBroken, match="6") as refused:
            Playbook(aws, 3).start()
        assert refused.value.next_step == record.next
        judged = Playbook(aws, 4).migrate(replace_failed=True)["orders"]
        assert (judged.status, judged.items_destination) == ("migrated", 7)
        assert (len(aws.jobs("export")), Playbook(aws, 5).record().attempt) == (2, 2)

    def test_a_failed_export_is_begun_anew(self) -> None:
        aws = world()
        aws.fail_next("ExportTableToPointInTime", "S3AccessDenied", "No.")
        judged = Playbook(aws).migrate()["orders"]
        assert (judged.status, type(judged.failure).__name__) == ("failed", "ExportFailed")
        assert Playbook(aws, 2).record().next
        assert Playbook(aws, 3).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("export")) == 2


class TestTwoRuns:
    def test_a_table_that_failed_is_let_go_before_the_others_are_ready(self) -> None:
        aws = world({"orders": 2, "users": 2})
        one = Playbook(aws, 1, "one")
        aws.fail_next("ExportTableToPointInTime", "S3AccessDenied", "No.")
        begun = {table: one.start(table) for table in ("orders", "users")}
        waited = one.wait(begun)
        assert (one.record("orders").run, one.record("users").run) == ("", one.run.id)
        assert one.record("orders").next
        assert Playbook(aws, 2, "two").migrate("orders")["orders"].status == "migrated"
        assert one.judge("orders", waited.ways["orders"]).status == "failed"
        assert one.judge("users", waited.ways["users"]).status == "migrated"
        assert one.record("orders").state == "done"

    def test_a10_the_second_run_waits_for_the_table_and_then_reports_it(self) -> None:
        """The second one begins right after the first one's start, on another machine, and waits at the same time."""
        aws = world(recovery=False)
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        begun = first.start()
        later = second.start()
        assert (later.job.kind, later.job.pending_reason) == ("claim", "held")
        ended = []

        def go_on(seconds: float) -> None:
            aws.sleep(seconds)
            if not ended and second.lines:
                waited = first.wait({"orders": begun})
                ended.append(first.judge("orders", waited.ways["orders"]).status)
                first.end()

        second.sleep = go_on
        waited = second.wait({"orders": later})
        judged = second.judge("orders", waited.ways["orders"])
        assert (judged.status, ended) == ("migrated", ["migrated"])
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)
        assert any("held by ann@one" in line and "1 table" in line for line in second.lines)

    def test_a_held_table_stops_no_other_one_and_is_refused_at_the_end_of_the_wait(self) -> None:
        aws = world({"orders": 7, "customers": 2})
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        first.start()
        judged = second.migrate("orders", "customers", timeout=60.0)
        assert judged["customers"].status == "migrated"
        failure = judged["orders"].failure
        assert isinstance(failure, errors.Held)
        assert "held by ann@one" in failure.cause and "take_over" in failure.next_step
        assert len(aws.jobs("export")) == 2

    def test_who_was_taken_over_begins_nothing_more(self) -> None:
        aws = world()
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        begun = first.start()
        taken = second.start(take_over=first.run.id)
        waited = first.wait({"orders": begun})
        assert (waited.jobs["orders"].kind, waited.jobs["orders"].state) == ("export", "failed")
        assert waited.jobs["orders"].failure["error"] == "TakenOver"
        waited = second.wait({"orders": taken})
        assert second.judge("orders", waited.ways["orders"]).status == "migrated"
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)


class TestCleanup:
    def cleaned(self, playbook: Playbook) -> None:
        """What migration_cleanup does."""
        record = hold(Records(playbook.store, lambda: playbook.run), "orders")
        assert record is not None
        try:
            options = CleanupOptions(table="orders", bucket=BUCKET)
            plan = plan_cleanup(playbook.source, playbook.destination, options, [ImportLoader()], record)
            apply_cleanup(playbook.source, playbook.destination, plan, record)
        finally:
            record.let_go()

    def test_a20_a_table_that_a_run_holds_is_left_alone(self) -> None:
        aws = world()
        first = Playbook(aws, 1, "one")
        first.start()
        with pytest.raises(errors.Held, match="ann@one"):
            self.cleaned(Playbook(aws, 2, "two"))

    def test_nothing_is_removed_under_a_running_export(self) -> None:
        aws = world(export__full=1000.0)
        first = Playbook(aws, 1, "one")
        begun = first.start()
        assert not first.judge("orders", (begun.job, *begun.then)).items_destination
        first.end()
        with pytest.raises(errors.StillRunning, match="export"):
            self.cleaned(Playbook(aws, 2, "two"))
        assert Playbook(aws, 3).record().run == ""

    def test_a_finished_table_stays_finished(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        self.cleaned(Playbook(aws, 2))
        assert [key for key in aws.objects() if "AWSDynamoDB" in key] == []
        assert Playbook(aws, 3).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("export")) == 1

    def test_what_was_staged_and_not_imported_is_exported_anew(self) -> None:
        aws = world()
        first = Playbook(aws)
        begun = first.start()
        waited = first.wait({"orders": replace(begun, then=())})
        assert waited.jobs["orders"].state == "completed"
        first.end()
        self.cleaned(Playbook(aws, 2))
        assert Playbook(aws, 3).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("export")) == 2

    def test_so_is_what_ended_after_its_run(self) -> None:
        aws = world()
        first = Playbook(aws)
        assert first.start().job.state == "running"
        first.end()
        aws.advance(600.0)
        self.cleaned(Playbook(aws, 2))
        assert Playbook(aws, 3).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("export")) == 2

    def test_nothing_is_removed_that_an_import_was_made_of_and_is_compared_with(self) -> None:
        aws = world()
        first = Playbook(aws)
        begun = first.start()
        waited = first.wait({"orders": replace(begun, then=begun.then[:1])}, timeout=6.0)
        assert waited.jobs["orders"].kind == "import"
        first.end()
        aws.advance(600.0)
        with pytest.raises(errors.StillRunning, match="import"):
            self.cleaned(Playbook(aws, 2))
        assert Playbook(aws, 3).migrate()["orders"].status == "migrated"


def test_a16_a_wait_ends_with_its_playbook() -> None:
    aws = world(export__full=10000.0)
    first = Playbook(aws)
    begun = first.start()

    def die(seconds: float) -> None:
        aws.sleep(seconds)
        first.killed()

    first.sleep = die
    with pytest.raises(errors.ParentGone):
        first.wait({"orders": begun})


def test_h12_an_export_is_not_waited_for_once_nothing_can_be_recorded() -> None:
    """The session of the destination, which has the records, is over for good while the source exports."""
    aws = world(export__full=5000.0)
    playbook = Playbook(aws)
    begun = {"orders": playbook.start()}
    ended = {"session_ended": True, "refusal": "final", "side": "destination"}
    playbook.run.keys_ended = errors.CredentialsError("The session has ended.", "Give new keys.", details=ended)
    before = aws.clock
    [job] = playbook.wait(begun).jobs.values()
    assert (job.kind, job.not_followed, aws.clock - before < 60) == ("export", True, True)
    assert "may still be running. Give new keys. The next run finds the export." in job.failure_message
    playbook.run.keys_ended = None
    playbook.end()
    judged = Playbook(aws, 2).migrate()["orders"]
    assert (judged.status, len(aws.jobs("export"))) == ("migrated", 1)


def calls_of_a_run() -> int:
    aws = world(recovery=False)
    assert Playbook(aws).migrate()["orders"].status == "migrated"
    return len(aws.calls)


def assert_done_once(aws, pid: int) -> None:
    judged = Playbook(aws, pid).migrate()["orders"]
    assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "counts"), judged
    assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)
    record = Playbook(aws, pid + 1).record()
    assert (record.state, record.run, record.attempt) == ("done", "", 1)


class TestKilled:
    def test_before_and_after_each_call(self) -> None:
        """On the same machine: the next run sees that the process is gone, and takes over."""
        for number in range(1, calls_of_a_run() + 1):
            aws = world(recovery=False)
            first = Playbook(aws)
            killed_at(aws, "after", number, lambda first=first: first.migrate(), Killed)
            first.killed()
            assert_done_once(aws, 2)
            aws.close()

    def test_on_another_machine_the_lease_and_the_fence_are_waited_for(self) -> None:
        for number in range(30, calls_of_a_run() + 1, 12):
            aws = world(recovery=False)
            first = Playbook(aws, 1, "one")
            killed_at(aws, "after", number, lambda first=first: first.migrate(), Killed)
            first.killed()
            again = Playbook(aws, 2, "two")
            judged = again.migrate()["orders"]
            assert (judged.status, len(aws.jobs("export")), len(aws.jobs("import"))) == ("migrated", 1, 1)
            aws.close()

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_every_answer_may_be_lost(self, moment: str) -> None:
        """Also when the call took effect."""
        for number in range(1, calls_of_a_run() + 1):
            aws = world(recovery=False)
            first = Playbook(aws)

            def lose(when: str, operation: str, at: int, number: int = number) -> None:
                if (when, at) == (moment, number):
                    raise failure("InternalServerError", operation=operation, status=500)

            aws.interrupt = lose
            try:
                first.migrate()
            except errors.FerryError as error:  # a verb may end with an error that says to run again
                assert error.next_step
            aws.interrupt = lambda *_call: None
            first.killed()
            assert_done_once(aws, 2)
            aws.close()


class TestFences:
    @pytest.mark.parametrize(("take_over", "seconds"), [(False, 910), (True, 220)])
    def test_jobs_go_on_at_once_and_settings_wait_for_the_fence(self, take_over: bool, seconds: int) -> None:
        aws = world()
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        first.start()
        until, now = first.run.until, aws.clock
        begun = second.start(take_over=first.run.id if take_over else "")
        waited = second.wait({"orders": begun})
        assert second.judge("orders", waited.ways["orders"]).status == "migrated"
        assert aws.clock >= (now if take_over else until) + seconds
        ended = datetime.fromisoformat(aws.imports()[0]["EndTime"].isoformat()).timestamp()
        assert ended < aws.clock - seconds / 2  # the import did not wait
        assert len(aws.jobs("export")) == 1

    def test_a_run_that_let_go_leaves_no_fence(self) -> None:
        aws = world()
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        begun = first.start()
        assert first.judge("orders", (begun.job, *begun.then)).status == "failed"  # its wait has timed out
        first.end()
        began = aws.clock
        assert second.migrate()["orders"].status == "migrated"
        assert aws.clock - began < 30
        assert len(aws.jobs("export")) == 1


class TestCheckMode:
    def foreseen(self, playbook: Playbook, **options) -> Migration:
        return preview(
            playbook.source,
            playbook.destination,
            MigrationOptions("orders", bucket=BUCKET, enable_point_in_time_recovery=True, **options),
            playbook.store,
            by_record=True,
        )

    def test_it_claims_nothing(self) -> None:
        aws = world()
        playbook = Playbook(aws)
        playbook.store  # noqa: B018
        aws.calls.clear()
        assert self.foreseen(playbook).job.state == "planned"
        assert aws.mutating() == []
        assert playbook.store.read("table#orders") is None

    def test_it_shows_what_an_earlier_run_began_or_finished(self) -> None:
        aws = world()
        first = Playbook(aws)
        first.start()
        aws.calls.clear()
        foreseen = self.foreseen(Playbook(aws, 2))
        assert foreseen.job.state == "running"
        assert isinstance(foreseen.obstacle, errors.Held)
        assert "held by ann" in foreseen.obstacle.cause and " since " in foreseen.obstacle.cause
        assert foreseen.obstacle.next_step.startswith("Run again once it has ended.")
        with pytest.raises(errors.Claimed):
            self.foreseen(Playbook(aws, 2), migration_id="other")
        assert aws.mutating() == []
        first.killed()
        Playbook(aws, 3).migrate()
        assert [job.state for job in (lambda seen: (seen.job, *seen.then))(self.foreseen(Playbook(aws, 4)))] == [
            "not_needed",
            "not_needed",
        ]

    @pytest.mark.parametrize("state", ["filled", "settled"])
    def test_a_table_that_lacks_nothing_is_migrated_only_once_its_record_is_done(self, state: str) -> None:
        aws = world()
        first = Playbook(aws)

        def written(when: str, _operation: str) -> bool:
            record = aws.asked.get("Item") or {}
            return when == "after" and record.get("pk", {}).get("S") == "table#orders" and record["state"]["S"] == state

        killed_where(aws, written, first.migrate)
        first.killed()
        assert first.record().state == state
        foreseen = self.foreseen(Playbook(aws, 2))
        assert foreseen.then[-1].state == "planned"


class TestWhatChangesBetweenRuns:
    def test_a_source_that_is_made_anew_before_its_copy_exists_is_exported_anew(self) -> None:
        aws = world()
        first = Playbook(aws)
        begun = first.start()
        waited = first.wait({"orders": replace(begun, then=())})
        assert waited.jobs["orders"].state == "completed"
        first.end()
        aws.drop("orders", "source")
        aws.add_table("orders", 3)
        judged = Playbook(aws, 2).migrate()["orders"]
        assert (judged.status, judged.items_destination) == ("migrated", 3)
        assert Playbook(aws, 3).record().attempt == 2

    def test_a_running_import_is_judged_by_its_own_method_whatever_the_method_is_now(self) -> None:
        aws = world(import__creating=300.0)
        first = Playbook(aws)
        begun = first.start()
        first.wait({"orders": begun}, timeout=60.0)
        first.end()
        assert Playbook(aws, 2).record().state == "filling"
        judged = Playbook(aws, 3).migrate(method="direct")["orders"]
        assert (judged.status, judged.items_destination) == ("migrated", 7)
        assert (Playbook(aws, 4).record().method, len(aws.jobs("import"))) == ("s3", 1)


class TestInterleaved:
    def test_a10_a_second_run_begins_between_any_two_calls(self) -> None:
        """Its start takes turns with the first run's calls; it then waits, and nothing is begun twice."""
        for number in range(1, calls_of_a_run() + 1, 2):
            aws = world(recovery=False)
            first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
            last, found = len(aws.calls) + number, []

            def begin(when: str, operation: str, at: int, last=last, aws=aws, second=second, found=found) -> None:
                if (when, at) == ("after", last):
                    aws.interrupt = lambda *_call: None
                    try:
                        found.append(second.start())
                    except errors.FerryError as error:
                        found.append(error)

            aws.interrupt = begin
            judged = []
            try:
                judged.append(first.migrate()["orders"])
            except (errors.Claimed, errors.Held) as error:  # the second one was faster
                judged.append(error)
                first.end()
            (begun,) = found
            if not isinstance(begun, Exception):
                waited = second.wait({"orders": begun})
                with suppress(errors.TakenOver):  # the first one waited for the second one's lease meanwhile
                    judged.append(second.judge("orders", waited.ways["orders"]))
            with suppress(errors.TakenOver):
                second.end()
            assert any(getattr(each, "status", "") == "migrated" for each in judged), (number, judged)
            assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1), number
            assert all(getattr(each, "next_step", "") or each.status == "migrated" or each.failure for each in judged)
            assert Playbook(aws, 3).record().state == "done"
            aws.close()


class TestIntentions:
    def killed_before_the_export(self, aws) -> Playbook:
        """A run that dies when its export's intention is written and its request has not left."""
        first = Playbook(aws)
        killed_where(aws, lambda *call: call == ("before", "ExportTableToPointInTime"), first.start)
        first.killed()
        return first

    def test_the_same_request_is_sent_again(self) -> None:
        aws = world()
        self.killed_before_the_export(aws)
        request = Playbook(aws, 2).record().jobs[0].request
        again = Playbook(aws, 3)
        begun = again.start()
        waited = again.wait({"orders": begun})
        assert again.judge("orders", waited.ways["orders"]).status == "migrated"
        assert aws.exports()[0]["ClientToken"] in request
        assert len(Playbook(aws, 4).record().jobs) == 2

    def test_a21_a_lost_answer_has_the_export_asked_for_again_with_the_same_request(self) -> None:
        aws = world(recovery=False)
        sent = []

        def lose(when: str, operation: str, at: int) -> None:
            if operation != "ExportTableToPointInTime":
                return
            if when == "before":
                sent.append(dict(aws.asked))
            elif len(sent) == 1:
                raise failure("InternalServerError", operation=operation, status=500)

        aws.interrupt = lose
        first = Playbook(aws)
        begun = first.start()
        waited = first.wait({"orders": begun})
        assert first.judge("orders", waited.ways["orders"]).status == "migrated"
        assert all(each == sent[0] for each in sent)
        assert (len(aws.jobs("export")), sent[0]["ClientToken"]) == (1, aws.exports()[0]["ClientToken"])

    def test_another_request_waits_until_the_first_one_cannot_come_any_more(self) -> None:
        aws = world()
        self.killed_before_the_export(aws)
        began = aws.clock
        judged = Playbook(aws, 3).migrate(export_max_age=0)["orders"]
        record = Playbook(aws, 4).record()
        assert judged.status == "migrated"
        assert [job.state for job in record.jobs] == ["closed", "done", "done"]
        assert record.jobs[1].intended_at >= began + 120  # gone for 60 s, and listed 60 s later
        assert len(aws.jobs("export")) == 1

    def test_a_refusal_closes_the_intention_and_the_next_run_sends_a_new_one(self) -> None:
        aws = world()
        aws.may_not("source", "dynamodb:ExportTableToPointInTime")
        first = Playbook(aws)
        with pytest.raises(errors.AccessDenied):
            first.start()
        first.end()
        record = Playbook(aws, 2).record()
        assert ([job.state for job in record.jobs], record.run) == (["closed"], "")
        assert record.next
        aws.may_again("source")
        assert Playbook(aws, 3).migrate()["orders"].status == "migrated"
        assert Playbook(aws, 4).record().attempt == 1
