# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Direct copies by their record: killed at any call, lost answers, half a table, tables that are not ours, two runs.

The data plane goes past the SDK, and so past a lab in process: here it is calls of that lab's clients, one for an item.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account
from ansible_collections.tableferry.aws.plugins.module_utils.core.destination import NONCE_TAG
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import Counts
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Retries
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyResult
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.direct import copy_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices, MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import removal
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import comparison
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.comparison import Verification
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.methods.backup.ready import Ready
from tests.unit.on_lab.recorded import Playbook, deaths, killed_at
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")

REFUSED = "0005"  # the id of an item that a test has refused


class Table(SimpleNamespace):
    """A table as the copy sees it."""

    account: Account
    name: str
    table_id: str
    read_capacity: int = 0
    write_capacity: int = 0
    size_bytes: int = 0
    heads: ClassVar[dict[str, str]] = {}

    def only(self, heads: dict[str, str]) -> Table:
        """The part of it whose keys begin so."""
        return Table(**{**vars(self), "heads": heads})

    @property
    def client(self) -> Any:
        return self.account.client("dynamodb")


def item_table(account: Account, name: str, *_bounds: Any) -> Table:
    described = account.client("dynamodb").describe_table(TableName=name)["Table"]
    return Table(account=account, name=name, table_id=described["TableId"])


def item_tables(*wanted: tuple[Account, str], bounds: Any = None) -> list[Table]:
    return [item_table(account, name) for account, name in wanted]


def copy_items(here: Table, there: Table, options: Any, tell: Callable[[Any], None]) -> Any:
    items = here.client.scan(TableName=here.name)["Items"]
    for item in items:
        if item.get("refused"):
            raise errors.ItemRefused("DynamoDB refuses an item.", "Mend the item in the source.", table=here.name)
        there.client.put_item(TableName=there.name, Item=item)
    return CopyResult(Counts(len(items), 10), Retries(), resumed=False)


def count_items(table: Table, *_more: Any) -> int:
    if not table.heads:
        return int(table.client.scan(TableName=table.name, Select="COUNT")["Count"])
    items = table.client.scan(TableName=table.name)["Items"]
    return sum(all(item[name]["S"].startswith(head) for name, head in table.heads.items()) for item in items)


class Bench:
    """A workbench whose work is done at once, so that no time goes by meanwhile."""

    def __init__(self, at_once: int) -> None:
        pass

    def steps(self, job: Any, work: Callable[[Any], Any]) -> Generator[Any, Any, Any]:
        yield from ()
        return work(lambda now: None)


@pytest.fixture(autouse=True)
def copied_by_calls(monkeypatch: pytest.MonkeyPatch) -> None:
    for room in (item_table, item_tables, copy_items, count_items):
        monkeypatch.setattr(copy_job, room.__name__, room)
    monkeypatch.setattr(copy_job, "Workbench", Bench)


def world(items: int = 7) -> Staged:
    return Staged({"orders": items}, False)


def migrate(aws: Staged, number: int = 1, host: str = "here", **options: Any) -> Any:
    return Playbook(aws, number, host).migrate(**{"method": "direct", **options})["orders"]


def protect(aws: Staged, side: str, on: bool = True) -> None:
    aws.client("dynamodb", side).update_table(TableName="orders", DeletionProtectionEnabled=on)
    aws.advance(20)


def half(aws: Staged, items: int = 3, number: int = 1) -> Playbook:
    """A copy that dies after some items."""
    first, put = Playbook(aws, number), [0]

    def kill(when: str, operation: str, at: int) -> None:
        if (when, operation, aws.asked.get("TableName")) == ("after", "PutItem", "orders"):
            put[0] += 1
        if put[0] >= items:
            raise Killed(operation)

    aws.interrupt = kill
    with pytest.raises(Killed):
        first.migrate(method="direct")
    aws.interrupt = lambda *_call: None
    first.end()
    return first


def drop(aws: Staged) -> None:
    """The user deletes the copy."""
    protect(aws, "destination", False)
    aws.client("dynamodb", "destination").delete_table(TableName="orders")
    aws.advance(400)


def count(aws: Staged) -> int:
    return int(aws.client("dynamodb", "destination").scan(TableName="orders", Select="COUNT")["Count"])


def made(aws: Staged) -> int:
    """How many tables CreateTable has made, but for that of the records."""
    return sum(called == "CreateTable" for _account, called in aws.calls)


class TestDone:
    @pytest.mark.parametrize("tags", [45, 46, 47, 48, 50])
    def test_b11_the_tags_of_a_source_near_the_limit_fit_beside_a_mark_that_does_not_show_yet(self, tags: int) -> None:
        aws = world()
        arn = aws.described("orders", "source")["TableArn"]
        given = {f"Owner{number:02}": "x" for number in range(tags)}
        aws.client("dynamodb", "source").tag_resource(
            ResourceArn=arn, Tags=[{"Key": key, "Value": value} for key, value in given.items()]
        )
        aws.advance(5)
        first = Playbook(aws)
        waited = first.wait({"orders": first.start(method="direct")})
        settings = next(job for job in waited.ways["orders"] if job.kind == "settings")
        assert (settings.state, settings.result.get("failed", [])) == ("completed", [])
        aws.advance(5)
        there = aws.tags("orders", "destination")
        assert len(there) == min(tags + 4, 50) and "tableferry:copy" in there

    def test_a_table_is_done_with_its_evidence(self) -> None:
        aws = world()
        judged = migrate(aws)
        assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "counts")
        record = Playbook(aws, 2).record()
        assert (record.state, record.run, record.attempt) == ("done", "", 1)
        assert record.table_id == aws.described("orders")["TableId"]
        assert record.evidence["items_source"] == record.evidence["items_destination"] == 7
        assert record.data_as_of["from"] <= record.data_as_of["to"]
        assert judged.data_as_of == record.data_as_of
        assert [(job.purpose, job.state) for job in record.jobs] == [("fill", "done"), ("items", "done")]

    def test_as_of_one_instant_with_writes_stopped_only(self) -> None:
        aws = world()
        migrate(aws, backup=BackupChoices(writes_stopped=True))
        shown = Playbook(aws, 2).record().data_as_of
        assert shown["from"] == shown["to"]

    def test_the_copy_is_protected_from_deletion_until_its_settings_are_applied(self) -> None:
        aws, seen = world(), set()

        def look(when: str, operation: str, at: int) -> None:
            if (when, operation) == ("before", "PutItem") and aws.asked["TableName"] == "orders":
                seen.add(aws.described("orders")["DeletionProtectionEnabled"])

        aws.interrupt = look
        assert migrate(aws).status == "migrated"
        assert (seen, aws.described("orders")["DeletionProtectionEnabled"]) == ({True}, False)

    def test_to_take_the_protection_off_is_a_change_of_the_run_that_does(self) -> None:
        aws = world()
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        copying = replace(first.start(method="direct"), then=())
        first.wait({"orders": copying})
        first.end()
        assert aws.described("orders")["DeletionProtectionEnabled"] is True
        begun = second.start(method="direct")
        assert begun.changes == () and begun.job.state == "not_needed"
        assert second.wait({"orders": begun}, judge={}).changed == {"orders"}
        assert (second.record().state, aws.described("orders")["DeletionProtectionEnabled"]) == ("done", False)

    def test_and_longer_where_the_source_is(self) -> None:
        aws = world()
        protect(aws, "source")
        assert migrate(aws).status == "migrated"
        assert aws.described("orders")["DeletionProtectionEnabled"] is True

    def test_a14_a_table_that_came_by_backup_is_only_reported(self) -> None:
        aws = Ready()
        Playbook(aws).migrate(method="backup", verify="none")
        aws.write("orders", 1, "destination", first=50)
        aws.calls.clear()
        again = Playbook(aws, 2)
        migration = again.start(method="direct")
        assert (migration.job.state, migration.method, aws.mutating()) == ("not_needed", "backup", [])


class TestCompared:
    """Comparisons are what the run says; how items are compared has tests of its own."""

    @pytest.fixture(autouse=True)
    def compared(self, monkeypatch: pytest.MonkeyPatch) -> list[str]:
        seen: list[str] = []

        def compare(source: Account, destination: Account, options: Any, *_more: Any) -> Verification:
            seen.append(options.level)
            return Verification(Comparison(7, 7, **self.found))

        monkeypatch.setattr(comparison, "verify_tables", compare)
        monkeypatch.setattr(comparison, "Workbench", Bench)
        return seen

    found: ClassVar[dict[str, int]] = {}

    def test_the_comparison_is_evidence(self, compared: list[str]) -> None:
        aws = world()
        judged = migrate(aws, verify="full")
        assert (judged.status, judged.verified, compared) == ("migrated", "full", ["full"])
        record = Playbook(aws, 2).record()
        assert (record.evidence["comparison"]["level"], record.verified["verified"]) == ("full", "full")

    def test_one_that_differs_is_made_anew_whatever_the_mark_says(
        self, compared: list[str], monkeypatch: pytest.MonkeyPatch
    ) -> None:
        aws = world()
        monkeypatch.setattr(TestCompared, "found", {"different": 1})
        assert migrate(aws, verify="full").status == "failed"
        aws.advance(30)
        table = aws.described("orders")
        aws.tag("orders", comparison.VERIFIED_TAG, f"full items=7 at=x table={comparison._short(table['TableId'])}")
        record = Playbook(aws, 2).record()
        assert (record.state, record.evidence["comparison"]["different"]) == ("filled", 1)
        monkeypatch.setattr(TestCompared, "found", {})
        assert migrate(aws, 3, verify="full").status == "migrated"
        assert compared == ["full", "full"]


class TestHalf:
    @pytest.mark.parametrize("method", ["s3", "backup"])
    def test_a1_half_a_copy_is_never_done_for_another_method(self, method: str) -> None:
        aws = Ready()
        half(aws)
        with pytest.raises(errors.TableBroken, match="direct") as refused:
            Playbook(aws, 2).start(method=method)
        assert "delete the copy" in refused.value.next_step
        record = Playbook(aws, 3).record()
        assert (record.state, record.run, record.next) == ("broken", "", refused.value.next_step)
        assert [len(aws.jobs(kind)) for kind in ("export", "import", "backup", "restore")] == [0, 0, 0, 0]

    @pytest.mark.parametrize("method", ["s3", "backup"])
    def test_check_mode_refuses_another_method_as_the_run_does(self, method: str) -> None:
        aws = Ready()
        half(aws)
        options = MigrationOptions("orders", bucket=BUCKET, method=method, enable_point_in_time_recovery=True)
        playbook = Playbook(aws, 2)
        with pytest.raises(errors.TableBroken, match="direct has begun to fill the table") as foreseen:
            preview(playbook.source, playbook.destination, options, playbook.store)
        with pytest.raises(errors.TableBroken) as refused:
            playbook.start(method=method)
        assert (foreseen.value.cause, foreseen.value.next_step) == (refused.value.cause, refused.value.next_step)

    @pytest.mark.parametrize("method", ["s3", "backup"])
    def test_check_mode_plans_what_replaces_it_with_safe_mode_off(self, method: str) -> None:
        aws = Ready()
        half(aws)
        options = MigrationOptions(
            "orders", bucket=BUCKET, method=method, replace_failed=True, enable_point_in_time_recovery=True
        )
        playbook = Playbook(aws, 2)
        aws.calls.clear()
        foreseen = preview(playbook.source, playbook.destination, options, playbook.store)
        first, *changes = foreseen.changes
        assert (first.what, first.after, first.risk) == ("table orders", None, "destructive")
        assert "billed" in [change.risk for change in changes]
        assert (foreseen.job.state, foreseen.obstacle, aws.mutating()) == ("planned", None, [])

    @pytest.mark.parametrize("method", ["s3", "backup"])
    def test_a_copy_that_was_deleted_is_planned_and_brought_by_another_method(self, method: str) -> None:
        """What the run before was writing is over: cleaning up does not wait for it."""
        aws = Ready()
        half(aws)
        drop(aws)
        options = MigrationOptions(
            "orders", bucket=BUCKET, method=method, verify="none", enable_point_in_time_recovery=True
        )
        playbook = Playbook(aws, 2)
        planned = preview(playbook.source, playbook.destination, options, playbook.store)
        assert planned.changes and planned.job.state == "planned"
        assert playbook.migrate(method=method, verify="none")["orders"].status == "migrated"
        record = Playbook(aws, 3).record()
        assert [job.state for job in record.jobs if job.is_open] == []
        assert removal.keeps_record(record, "default", frozenset(), aws.clock + 1000) == ""

    def test_cleaning_up_gives_up_what_is_half_copied(self) -> None:
        aws = Ready()
        half(aws)
        record, later = Playbook(aws, 2).record(), aws.clock + 1000
        assert "run migrate to its end" in removal.keeps_record(record, "default", frozenset(), later)
        assert removal.keeps_record(record, "default", frozenset(), later, {"orders"}) == ""

    def test_and_goes_on_by_its_own(self) -> None:
        aws = Ready()
        half(aws)
        with pytest.raises(errors.TableBroken):
            Playbook(aws, 2).start(method="backup")
        assert (migrate(aws, 3).status, count(aws), made(aws)) == ("migrated", 7, 2)
        assert Playbook(aws, 4).record().state == "done"

    def test_what_it_shows_begins_with_the_first_read_of_the_first_run(self) -> None:
        aws = world()
        half(aws)
        begun = aws.now.isoformat(timespec="seconds")
        aws.advance(3600)
        migrate(aws, 2)
        assert Playbook(aws, 3).record().data_as_of["from"] <= begun

    def test_an_item_that_is_refused_leaves_it_broken_and_says_the_ways_out(self) -> None:
        aws = world()
        dynamodb = aws.client("dynamodb", "source")
        dynamodb.put_item(TableName="orders", Item={"id": {"S": REFUSED}, "refused": {"BOOL": True}})
        judged = migrate(aws)
        assert (judged.status, type(judged.failure).__name__) == ("failed", "ItemRefused")
        record = Playbook(aws, 2).record()
        assert (record.state, record.run) == ("broken", "")
        assert "Mend the item" in record.next and "method direct" in record.next
        dynamodb.put_item(TableName="orders", Item={"id": {"S": REFUSED}})
        assert (migrate(aws, 3).status, count(aws)) == ("migrated", 7)

    def test_one_that_counts_fewer_items_than_were_copied_is_broken(self) -> None:
        aws = world()

        def lose(operation: str, answer: dict[str, Any]) -> None:
            if operation == "Scan" and aws.asked.get("Select") == "COUNT":
                answer["Count"] = 6

        aws.edit = lose
        assert type(migrate(aws).failure).__name__ == "CountMismatch"
        assert Playbook(aws, 2).record().state == "broken"
        aws.edit = lambda operation, answer: None
        assert migrate(aws, 3).status == "migrated"

    def test_safe_mode_off_brings_it_anew_by_another_method(self) -> None:
        aws = Ready()
        half(aws)
        judged = Playbook(aws, 2).migrate(method="backup", verify="none", replace_failed=True)["orders"]
        assert (judged.status, count(aws), Playbook(aws, 3).record().attempt) == ("migrated", 7, 2)


class TestNotOurs:
    def test_a_table_that_took_the_name_since_the_claim_is_not_written_to(self) -> None:
        aws = world()
        first = Playbook(aws)
        migration = first.start(method="direct")
        aws.add_table("orders", 1, "destination", recovery=False)
        jobs = first.wait({"orders": migration}).ways["orders"]
        assert (jobs[0].state, jobs[0].failure["error"]) == ("failed", "DestinationExists")
        assert count(aws) == 1

    def test_a17_a_table_that_was_made_anew_is_known_by_its_id(self) -> None:
        aws = world()
        half(aws)
        tags = aws.client("dynamodb", "destination").list_tags_of_resource(
            ResourceArn=aws.described("orders")["TableArn"]
        )["Tags"]
        protect(aws, "destination", False)
        aws.drop()
        aws.add_table("orders", 1, "destination", recovery=False, Tags=tags)  # with all tags of ours
        with pytest.raises(errors.Replaced):
            Playbook(aws, 2).start(method="direct")
        assert count(aws) == 1

    def test_one_that_is_deleted_while_the_copy_waits_is_brought_anew_by_a_later_run(self) -> None:
        aws = world()
        half(aws)
        protect(aws, "destination", False)
        again = Playbook(aws, 2)
        migration = again.start(method="direct")
        aws.drop()
        jobs = again.wait({"orders": migration}).ways["orders"]
        assert (jobs[0].state, jobs[0].failure["error"]) == ("failed", "TableVanished")
        again.end()
        assert (migrate(aws, 3).status, count(aws)) == ("migrated", 7)
        assert Playbook(aws, 4).record().attempt == 2


class TestCreateTable:
    def test_a_lost_answer_is_found_by_the_nonce(self) -> None:
        aws = world()
        first = Playbook(aws)

        def lose(when: str, operation: str, at: int) -> None:
            if (when, operation, aws.asked.get("TableName")) == ("after", "CreateTable", "orders"):
                raise Killed(operation)

        aws.interrupt = lose
        with pytest.raises(Killed):
            first.migrate(method="direct")
        aws.interrupt = lambda *_call: None
        first.killed()
        record = Playbook(aws, 2).record()
        assert (record.state, record.jobs[0].state) == ("claimed", "intended")
        assert (migrate(aws, 3).status, made(aws)) == ("migrated", 2)
        table = aws.client("dynamodb", "destination")
        tags = {
            tag["Key"]: tag["Value"]
            for tag in table.list_tags_of_resource(ResourceArn=aws.described("orders")["TableArn"])["Tags"]
        }
        assert tags[NONCE_TAG] == record.jobs[0].token

    def test_a_refusal_for_good_closes_the_intention(self) -> None:
        aws = world()

        def refuse(when: str, operation: str, at: int) -> None:
            if (when, operation, aws.asked.get("TableName")) == ("before", "CreateTable", "orders"):
                raise failure("ValidationException", operation=operation)

        aws.interrupt = refuse
        assert migrate(aws).status == "failed"
        aws.interrupt = lambda *_call: None
        assert [job.state for job in Playbook(aws, 2).record().jobs] == ["closed"]
        assert migrate(aws, 3).status == "migrated"

    def test_a_refusal_after_an_attempt_without_an_answer_closes_nothing(self) -> None:
        """The first attempt may have made the table: the next run looks for it, and sends the same request again."""
        aws = world()
        first = Playbook(aws)

        def refuse(when: str, operation: str, at: int) -> None:
            if (when, operation, aws.asked.get("TableName")) == ("before", "CreateTable", "orders"):
                first.run.gate.lost(first.run.gate.leave(aws.clock))
                raise failure("ValidationException", operation=operation)

        aws.interrupt = refuse
        assert first.migrate(method="direct")["orders"].status == "failed"
        aws.interrupt = lambda *_call: None
        (intended,) = Playbook(aws, 2).record().jobs
        assert (intended.state, Playbook(aws, 2).record().fence > aws.clock) == ("intended", True)
        assert migrate(aws, 3).status == "migrated"
        assert Playbook(aws, 4).record().jobs[0].token == intended.token

    def test_after_a_write_without_an_answer_the_table_is_settled_a_minute_later(self) -> None:
        aws, lost = world(), list[float]()
        first = Playbook(aws)

        def lose(when: str, operation: str, at: int) -> None:
            if (when, operation, aws.asked.get("TableName")) == ("after", "PutItem", "orders"):
                first.run.gate.lost(first.run.gate.leave(aws.clock))
                lost.append(aws.clock)

        aws.interrupt = lose
        assert first.migrate(method="direct")["orders"].status == "migrated"
        assert aws.clock >= lost[-1] + 60

    def test_it_goes_out_before_the_fence_and_items_only_after_it(self) -> None:
        aws = world()
        first = Playbook(aws, 1, "one")
        first.start(method="direct")
        first.killed()
        again = Playbook(aws, 2, "two")
        migration = again.start(method="direct", take_over=first.run.id)
        fence = again.record().fence
        sent: dict[str, float] = {}

        def note(when: str, operation: str, at: int) -> None:
            if when == "before" and operation in ("CreateTable", "PutItem") and aws.asked["TableName"] == "orders":
                sent.setdefault(operation, aws.clock)

        aws.interrupt = note
        waited = again.wait({"orders": migration})
        assert again.judge("orders", waited.ways["orders"]).status == "migrated"
        assert sent["CreateTable"] < fence <= sent["PutItem"]


class TestKilled:
    @staticmethod
    def calls() -> int:
        aws = world()
        assert migrate(aws).status == "migrated"
        return len(aws.calls)

    def test_at_each_call(self) -> None:
        aws = world()
        for moment, number in deaths(aws, partial(migrate, aws)):
            aws = world()
            first = Playbook(aws)
            killed_at(aws, moment, number, lambda first=first: first.migrate(method="direct"), Killed)
            first.killed()
            judged = migrate(aws, 2)
            assert (judged.status, count(aws), judged.verified) == ("migrated", 7, "counts"), number
            record = Playbook(aws, 3).record()
            assert (record.state, record.attempt, record.run) == ("done", 1, ""), number
            assert aws.described("orders")["DeletionProtectionEnabled"] is False
            aws.close()

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_every_answer_may_be_lost(self, moment: str) -> None:
        for number in range(1, self.calls() + 1):
            aws = world()
            first = Playbook(aws)

            def lose(when: str, operation: str, at: int, number: int = number) -> None:
                if (when, at) == (moment, number):
                    raise failure("InternalServerError", operation=operation, status=500)

            aws.interrupt = lose
            try:
                first.migrate(method="direct")
            except errors.FerryError as error:
                assert error.next_step
            aws.interrupt = lambda *_call: None
            first.killed()
            assert (migrate(aws, 2).status, count(aws)) == ("migrated", 7), number
            assert Playbook(aws, 3).record().attempt == 1
            aws.close()


def test_two_runs_make_one_copy() -> None:
    aws = world()
    first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
    begun = first.start(method="direct")
    later = second.start(method="direct")
    assert (later.job.kind, later.job.pending_reason) == ("claim", "held")
    waited = first.wait({"orders": begun})
    assert first.judge("orders", waited.ways["orders"]).status == "migrated"
    first.end()
    puts = aws.count("PutItem")
    waited = second.wait({"orders": later})
    assert second.judge("orders", waited.ways["orders"]).status == "migrated"
    assert (made(aws), count(aws)) == (2, 7)
    assert aws.count("PutItem") - puts <= 1  # its lease, and no item


def second_run_after_call(aws: Staged, number: int, **options: Any) -> None:
    """A second run, of another machine, begins after call ``number`` of the first one, and ends after it."""
    first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
    last, begun, judged = len(aws.calls) + number, [], []

    def begin(when: str, operation: str, at: int) -> None:
        if (when, at) == ("after", last):
            aws.interrupt = lambda *_call: None
            try:
                begun.append(second.start(**options))
            except errors.FerryError as error:
                assert error.next_step

    aws.interrupt = begin
    try:
        judged.append(first.migrate(**options)["orders"].status)
    except (errors.Claimed, errors.Held):  # the second one was faster
        first.end()
    for migration in begun:
        waited = second.wait({"orders": migration})
        with suppress(errors.TakenOver):  # the first one waited for the second one's lease meanwhile
            judged.append(second.judge("orders", waited.ways["orders"], verify=options.get("verify", "counts")).status)
    with suppress(errors.TakenOver):
        second.end()
    assert "migrated" in judged, (number, judged)
    assert Playbook(aws, 3).record().state == "done"


def test_a_second_run_begins_between_any_two_calls() -> None:
    for number in range(1, TestKilled.calls() + 1):
        aws = world()
        second_run_after_call(aws, number, method="direct")
        record = Playbook(aws, 4).record()
        assert (record.attempt, [job.purpose for job in record.jobs], count(aws)) == (1, ["fill", "items"], 7), number
        aws.close()
