# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Destination tables of one source table share its export: one is billed, and none is lost to another table."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.cleanup import (
    CleanupOptions,
    apply_cleanup,
    plan_cleanup,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import Migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import export_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.removal import remove
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.holding import hold
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.recorded import Playbook, deaths, killed_at, world
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")


def start(play: Playbook, copy: str, **options: Any) -> Migration:
    return play.start(destination_table=copy, **options)


def finish(play: Playbook, begun: dict[str, Migration]) -> dict[str, str]:
    """The rest of the playbook: how each copy ends."""
    waited = play.wait(begun)
    judged = {copy: play.judge(copy, waited.ways[copy], source_table="orders") for copy in begun}
    play.end()
    return {copy: judgement.status for copy, judgement in judged.items()}


def migrate(aws: Staged, pid: int, *copies: str, **options: Any) -> dict[str, str]:
    play = Playbook(aws, pid)
    return finish(play, {copy: start(play, copy, **options) for copy in copies})


def exports(aws: Staged) -> int:
    return len(aws.jobs("export"))


def entries(aws: Staged, play: Playbook) -> Any:
    record = play.store.read(export_key(str(aws.described("orders", "source")["TableArn"]), "default"))
    assert record is not None
    return record.jobs


def items(aws: Staged, table: str) -> int:
    return int(aws.client("dynamodb", "destination").scan(TableName=table, Select="COUNT")["Count"])


def moments() -> list[tuple[str, int]]:
    """Where a start may die, of a run that has begun."""
    aws = world()
    play = Playbook(aws)
    assert play.run.id
    return deaths(aws, lambda: start(play, "one"))


def test_two_destinations_of_one_run_share_an_export() -> None:
    aws = world()
    assert migrate(aws, 1, "one", "two") == {"one": "migrated", "two": "migrated"}
    assert (exports(aws), items(aws, "one"), items(aws, "two")) == (1, 7, 7)
    play = Playbook(aws, 2)
    assert {play.record(copy).evidence["export_arn"] for copy in ("one", "two")} == {aws.exports()[0]["ExportArn"]}
    assert [entry.result["users"] for entry in entries(aws, play)] == [["one", "two"]]
    assert {record.key for record in play.store.everything().records} == {"table#one", "table#two"}


def test_exports_that_wait_for_point_in_time_recovery_become_one() -> None:
    aws = world(recovery=False)
    assert migrate(aws, 1, "one", "two") == {"one": "migrated", "two": "migrated"}
    assert exports(aws) == 1


def test_two_runs_at_once_share_an_export_and_none_waits_for_the_other() -> None:
    aws = world()
    first, second = Playbook(aws, 1), Playbook(aws, 2, "there")
    ahead, behind = start(first, "one"), start(second, "two")
    assert ahead.job.arn == behind.job.arn != ""
    assert finish(second, {"two": behind}) == {"two": "migrated"}
    assert finish(first, {"one": ahead}) == {"one": "migrated"}
    assert exports(aws) == 1


def test_two_runs_in_threads_share_an_export() -> None:
    aws = world()
    plays = {copy: Playbook(aws, pid, copy) for pid, copy in enumerate(("one", "two", "three"), 1)}
    for play in plays.values():
        assert play.run.id
    begun: dict[str, Migration] = {}
    threads = [
        threading.Thread(target=lambda copy=copy, play=play: begun.update({copy: start(play, copy)}))  # type: ignore[misc]
        for copy, play in plays.items()
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert {finish(play, {copy: begun[copy]})[copy] for copy, play in plays.items()} == {"migrated"}
    assert exports(aws) == 1


@pytest.mark.parametrize("at", ["before", "after"])
def test_another_run_begins_at_every_call_of_the_first_one(at: str) -> None:
    points = moments()
    for _moment, number in points:
        aws = world()
        first, second = Playbook(aws, 1), Playbook(aws, 2, "there")
        assert first.run.id and second.run.id
        last = len(aws.calls) + number
        begun: dict[str, Migration] = {}

        def meanwhile(when: str, operation: str, called: int) -> None:
            if (when, called) == (at, last):  # noqa: B023
                begun["two"] = start(second, "two")  # noqa: B023

        aws.interrupt = meanwhile
        ahead = start(first, "one")
        aws.interrupt = lambda *_call: None
        if not begun:
            begun["two"] = start(second, "two")
        assert finish(first, {"one": ahead}) == {"one": "migrated"}
        assert finish(second, begun) == {"two": "migrated"}
        assert exports(aws) == 1, number


@pytest.mark.parametrize("error", [Killed, ConnectionError])
def test_a_run_that_dies_at_any_call_leaves_its_export_to_both(error: type[BaseException]) -> None:
    points = moments()
    for moment, number in points:
        aws = world()
        died = Playbook(aws, 1)
        assert died.run.id
        killed_at(aws, moment, number, lambda: start(died, "one"), error)  # noqa: B023
        died.killed()
        assert migrate(aws, 2, "two") == {"two": "migrated"}
        aws.advance(1200)
        assert migrate(aws, 3, "one") == {"one": "migrated"}
        assert exports(aws) == 1, (moment, number)


def test_the_answer_to_the_first_request_is_lost() -> None:
    aws = world()
    first = Playbook(aws, 1)

    def lose(when: str, operation: str, number: int) -> None:
        if (when, operation) == ("after", "ExportTableToPointInTime"):
            aws.interrupt = lambda *_call: None
            raise failure("InternalServerError", status=500)

    aws.interrupt = lose
    begun = start(first, "one")
    aws.interrupt = lambda *_call: None
    assert migrate(aws, 2, "two") == {"two": "migrated"}
    assert finish(first, {"one": begun}) == {"one": "migrated"}
    assert exports(aws) == 1


def test_a_destination_that_was_filled_from_it_gets_a_new_export() -> None:
    aws = world()
    migrate(aws, 1, "one", "two")
    aws.client("dynamodb", "destination").update_table(TableName="two", DeletionProtectionEnabled=False)
    aws.drop("two")
    aws.advance(60)
    aws.write("orders", 2, first=100)
    aws.advance(60)
    assert migrate(aws, 2, "two") == {"two": "migrated"}
    assert (exports(aws), items(aws, "two")) == (2, 9)
    assert migrate(aws, 3, "one", "three") == {"one": "migrated", "three": "migrated"}
    assert (exports(aws), items(aws, "three")) == (2, 9)


def test_a_forgotten_destination_that_was_filled_from_it_gets_a_new_export() -> None:
    aws = world()
    migrate(aws, 1, "one", "two")
    aws.client("dynamodb", "destination").update_table(TableName="two", DeletionProtectionEnabled=False)
    aws.drop("two")
    aws.client("dynamodb", "destination").delete_item(
        TableName="tableferry", Key={"pk": {"S": "table#two"}, "sk": {"S": "record"}}
    )
    assert migrate(aws, 2, "two") == {"two": "migrated"}
    assert exports(aws) == 2


@pytest.mark.parametrize(("hours", "count"), [(6, 1), (20, 1), (25, 2)])
def test_it_serves_no_longer_than_its_greatest_age(hours: int, count: int) -> None:
    aws = world()
    migrate(aws, 1, "one")
    aws.advance(hours * 3600)
    assert migrate(aws, 2, "two") == {"two": "migrated"}
    assert exports(aws) == count


def test_another_bucket_or_migration_has_an_export_of_its_own() -> None:
    aws = world()
    migrate(aws, 1, "one")
    migrate(aws, 2, "two", migration_id="other")
    assert exports(aws) == 2


def test_a_later_run_after_the_last_write_does_not_take_an_export_that_began_before_it() -> None:
    aws = world()
    assert migrate(aws, 1, "one", "two", writes_stopped=True) == {"one": "migrated", "two": "migrated"}
    assert exports(aws) == 1
    aws.advance(600)
    assert migrate(aws, 2, "three", writes_stopped=True) == {"three": "migrated"}
    assert exports(aws) == 2


def test_one_export_that_fails_fails_both_and_the_next_run_begins_one_more() -> None:
    aws = world()
    aws.fail_next("ExportTableToPointInTime", "UNKNOWN", "said AWS")
    play = Playbook(aws, 1)
    waited = play.wait({copy: start(play, copy) for copy in ("one", "two")})
    one, two = (waited.jobs[copy].failure for copy in ("one", "two"))
    assert one == two != {}
    for copy in ("one", "two"):
        play.judge(copy, waited.ways[copy], source_table="orders")
    play.end()
    assert exports(aws) == 1
    assert migrate(aws, 2, "one", "two") == {"one": "migrated", "two": "migrated"}
    assert exports(aws) == 2


def test_what_aws_refuses_for_one_it_refuses_for_both_and_one_export_follows() -> None:
    aws = world()
    refused = []

    def refuse(when: str, operation: str, number: int) -> None:
        if (when, operation) == ("before", "ExportTableToPointInTime"):
            raise failure("AccessDeniedException", "not authorized")

    aws.interrupt = refuse
    play = Playbook(aws, 1)
    for copy in ("one", "two"):
        with pytest.raises(Exception, match="not authorized") as caught:
            start(play, copy)
        refused.append(str(caught.value))
    play.end()
    assert refused[0] == refused[1]
    aws.interrupt = lambda *_call: None
    assert migrate(aws, 2, "two", "one") == {"one": "migrated", "two": "migrated"}
    assert exports(aws) == 1


def test_an_import_that_failed_on_items_takes_a_new_export_and_the_other_table_keeps_its_own() -> None:
    aws = world()
    play = Playbook(aws, 1)
    begun = {copy: start(play, copy) for copy in ("one", "two")}
    aws.fail_next("ImportTable", "ItemValidationError", "said AWS")
    ended = finish(play, begun)
    assert sorted(ended.values()) == ["failed", "migrated"]
    (broken,) = (copy for copy, status in ended.items() if status == "failed")
    aws.advance(1200)
    assert migrate(aws, 2, broken, replace_failed=True) == {broken: "migrated"}
    assert exports(aws) == 2


def test_a_table_whose_record_is_lost_during_its_import_is_known_again() -> None:
    aws = world(import__completing=2000.0)
    first = Playbook(aws, 1)
    first.wait({copy: start(first, copy) for copy in ("one", "two")}, timeout=60.0)
    first.killed()
    assert len(aws.jobs("import")) == 2
    aws.client("dynamodb", "destination").delete_item(
        TableName="tableferry", Key={"pk": {"S": "table#two"}, "sk": {"S": "record"}}
    )
    aws.advance(1200)
    assert migrate(aws, 2, "one", "two") == {"one": "migrated", "two": "migrated"}
    assert (exports(aws), len(aws.jobs("import"))) == (1, 2)


def lose_records(aws: Staged) -> None:
    """Somebody empties the table of the records."""
    dynamodb = aws.client("dynamodb", "destination")
    for item in dynamodb.scan(TableName="tableferry", ConsistentRead=True)["Items"]:
        dynamodb.delete_item(TableName="tableferry", Key={"pk": item["pk"], "sk": item["sk"]})


class TestLostRecords:
    """All records are lost while the export of two destinations runs, or when it has completed."""

    @pytest.mark.parametrize("seconds", [1.0, 60.0])
    @pytest.mark.parametrize("copies", [("one", "two"), ("two", "one")])
    def test_the_export_is_used_by_both_again(self, copies: tuple[str, ...], seconds: float) -> None:
        aws = world(export__full=30.0)
        first = Playbook(aws, 1)
        for copy in ("one", "two"):
            start(first, copy)
        first.killed()
        aws.advance(seconds)
        lose_records(aws)
        assert migrate(aws, 2, *copies) == {"one": "migrated", "two": "migrated"}
        assert (exports(aws), items(aws, "one"), items(aws, "two")) == (1, 7, 7)

    def test_the_other_destination_comes_first_and_alone(self) -> None:
        aws = world(export__full=30.0)
        first = Playbook(aws, 1)
        start(first, "one")
        first.killed()
        lose_records(aws)
        assert migrate(aws, 2, "two") == {"two": "migrated"}
        assert migrate(aws, 3, "one") == {"one": "migrated"}
        assert exports(aws) == 1


def made_anew(aws: Staged, number: int = 3) -> None:
    """The user deletes the source and makes another one of its name, with point-in-time recovery."""
    aws.drop("orders", "source")
    aws.add_table("orders", number)
    aws.advance(60)


class TestSourceMadeAnew:
    """The source was deleted, and another table of its name stands there: it has another TableId."""

    @staticmethod
    def remade_during(aws: Staged, copy: str, *, dies: bool = False) -> Playbook:
        """A run that begins ``copy`` and reads the source; before it asks for its recovery, the source is made anew.
        With ``dies`` it ends before it hears of the export."""
        play = Playbook(aws, 1)

        def meanwhile(when: str, operation: str, number: int) -> None:
            if (when, operation) == ("before", "DescribeContinuousBackups"):
                aws.interrupt = die if dies else lambda *_call: None
                made_anew(aws)

        def die(when: str, operation: str, number: int) -> None:
            if (when, operation) == ("after", "ExportTableToPointInTime"):
                raise Killed(operation)

        aws.interrupt = meanwhile
        if dies:
            with pytest.raises(Killed):
                start(play, copy)
            play.killed()
        else:
            assert start(play, copy).job.arn
        aws.interrupt = lambda *_call: None
        return play

    def test_the_export_of_the_old_table_is_not_used_for_the_new_one(self) -> None:
        aws = world()
        migrate(aws, 1, "one")
        made_anew(aws)
        assert migrate(aws, 2, "two") == {"two": "migrated"}
        assert (exports(aws), items(aws, "one"), items(aws, "two")) == (2, 7, 3)

    def test_an_export_that_shows_the_new_table_is_used_by_others_of_it(self) -> None:
        aws = world()
        first = self.remade_during(aws, "one")
        assert migrate(aws, 2, "two") == {"two": "migrated"}
        first.end()
        assert migrate(aws, 3, "one") == {"one": "migrated"}
        assert (exports(aws), items(aws, "one"), items(aws, "two")) == (1, 3, 3)
        assert [entry.result["users"] for entry in entries(aws, Playbook(aws, 4))] == [["one", "two"]]

    def test_an_export_whose_answer_was_lost_is_used_by_others_of_the_new_table(self) -> None:
        aws = world()
        self.remade_during(aws, "one", dies=True)
        aws.advance(1200)
        assert migrate(aws, 2, "one") == {"one": "migrated"}
        assert migrate(aws, 3, "two") == {"two": "migrated"}
        assert (exports(aws), items(aws, "one"), items(aws, "two")) == (1, 3, 3)

    def test_an_export_whose_run_died_is_used_by_another_destination_that_comes_first(self) -> None:
        aws = world()
        self.remade_during(aws, "one", dies=True)
        assert migrate(aws, 2, "two") == {"two": "migrated"}
        aws.advance(1200)
        assert migrate(aws, 3, "one") == {"one": "migrated"}
        assert (exports(aws), items(aws, "one"), items(aws, "two")) == (1, 3, 3)

    def test_data_is_not_removed_while_another_destination_of_the_new_table_needs_it(self) -> None:
        aws = world()
        first = self.remade_during(aws, "one")
        second = Playbook(aws, 2, "there")
        behind = start(second, "two")
        first.end()
        assert migrate(aws, 3, "one") == {"one": "migrated"}
        removed, left = TestCleaningUp.clean(aws, 4, "one")
        assert (removed, len(left)) == ([], 1)
        assert finish(second, {"two": behind}) == {"two": "migrated"}


class TestCleaningUp:
    @staticmethod
    def clean(aws: Staged, pid: int, copy: str) -> tuple[list[str], list[str]]:
        """What was removed and what is left."""
        play = Playbook(aws, pid)
        record = hold(Records(play.store, lambda: play.run), copy)
        options = CleanupOptions("orders", BUCKET, copy)
        plan = plan_cleanup(play.source, play.destination, options, [ImportLoader()], record, play.store)
        if plan.changes:
            apply_cleanup(play.source, play.destination, plan)
        if record is not None:
            record.let_go()
        play.end()
        return [change.what for change in plan.changes], [left.what for left in plan.left]

    def test_an_export_stays_while_another_destination_needs_it(self) -> None:
        aws = world()
        first, second = Playbook(aws, 1), Playbook(aws, 2, "there")
        ahead, behind = start(first, "one"), start(second, "two")
        assert finish(first, {"one": ahead}) == {"one": "migrated"}
        removed, left = self.clean(aws, 3, "one")
        assert (removed, len(left)) == ([], 1)
        assert "orders!one" in left[0]
        assert finish(second, {"two": behind}) == {"two": "migrated"}
        removed, left = self.clean(aws, 4, "one")
        assert (len(removed), left) == (1, [])

    def test_the_last_destination_removes_the_export_that_another_one_left_for_it(self) -> None:
        aws = world()
        first, second = Playbook(aws, 1), Playbook(aws, 2, "there")
        ahead, behind = start(first, "one"), start(second, "two")
        assert finish(first, {"one": ahead}) == {"one": "migrated"}
        assert self.clean(aws, 3, "one")[0] == []
        assert finish(second, {"two": behind}) == {"two": "migrated"}
        removed, left = self.clean(aws, 4, "two")
        assert ([what.rpartition("/orders")[2] for what in removed], left) == (["!two/", "!one/"], [])
        assert aws.objects("orders") == {}
        assert migrate(aws, 5, "three") == {"three": "migrated"}
        assert exports(aws) == 2

    def test_of_another_destination_only_what_was_used_goes(self) -> None:
        aws = world()
        migrate(aws, 1, "one")
        aws.advance(25 * 3600)
        first = Playbook(aws, 2)
        start(first, "three")  # its export is below its own prefix, and the next one's is another's
        first.end()
        migrate(aws, 3, "two")
        (folder,) = {key.partition("/AWSDynamoDB/")[0] for key in aws.objects("orders!three")}
        aws.put(f"{folder}/AWSDynamoDB/mine", b"x")
        removed, left = self.clean(aws, 4, "two")
        assert ([what.rpartition("/orders")[2] for what in removed], len(left)) == (["!two/"], 1)
        assert migrate(aws, 5, "three") == {"three": "migrated"}
        removed, _left = self.clean(aws, 6, "two")
        assert [what.rpartition("/orders")[2] for what in removed] == ["!three/"]
        assert [key.rpartition("/")[2] for key in aws.objects("orders!three")] == ["mine", "tableferry-probe"]
        assert len(aws.objects("orders!one")) > 1

    def test_what_was_removed_serves_nobody_any_more(self) -> None:
        aws = world()
        migrate(aws, 1, "one")
        self.clean(aws, 2, "one")
        assert migrate(aws, 3, "two") == {"two": "migrated"}
        assert exports(aws) == 2

    def test_the_record_of_an_export_goes_with_the_last_destination(self) -> None:
        aws = world()
        migrate(aws, 1, "one", "two")
        migrate(aws, 2, "three", migration_id="other")
        for pid, copy, left in ((3, "one", ["default", "other"]), (4, "two", ["other"])):
            remove(Playbook(aws, pid).run, [copy], "default", frozenset())
            assert sorted(each.migration for each in Playbook(aws, 5).store.everything().exports) == left

    def test_without_a_record_of_its_own_another_table_is_seen_too(self) -> None:
        aws = world()
        first, second = Playbook(aws, 1), Playbook(aws, 2, "there")
        ahead, behind = start(first, "one"), start(second, "two")
        assert finish(first, {"one": ahead}) == {"one": "migrated"}
        third = Playbook(aws, 3)
        remove(third.run, ["one"], "default", frozenset())
        removed, left = self.clean(aws, 4, "one")
        assert (removed, len(left)) == ([], 1)
        assert finish(second, {"two": behind}) == {"two": "migrated"}

    def test_data_that_somebody_else_removed_serves_nobody(self) -> None:
        aws = world()
        migrate(aws, 1, "one")
        aws.remove(*aws.objects("orders!one"))
        assert migrate(aws, 2, "two") == {"two": "migrated"}
        assert exports(aws) == 2
