# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""B9: a table that one page of a Scan shows whole is exported as soon as point-in-time recovery is on; what AWS does
then is not known for all cases, so the lab plays both."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import (
    ExportOptions,
    plan_export,
    start_export,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import wait_for
from tests.unit.on_lab.recorded import Playbook, killed_where
from tests.unit.on_lab.staged import BUCKET, Staged

pytestmark = pytest.mark.usefixtures("at_once")

OPTIONS = ExportOptions("orders", BUCKET, enable_point_in_time_recovery=True)


def world(choice: str = "current", items: int = 7, **timings: float) -> Staged:
    aws = Staged({"orders": items}, False, **timings)
    aws.world.behaviours.choose("dynamodb.export_just_after_pitr", choice)
    return aws


def starts(aws: Staged) -> list[tuple[float, bool]]:
    """When each export was asked for, in seconds from now, and whether for an instant."""
    seen: list[tuple[float, bool]] = []
    began = aws.clock

    def look(when: str, operation: str, _number: int) -> None:
        if (when, operation) == ("after", "ExportTableToPointInTime"):
            seen.append((aws.clock - began, "ExportTime" in aws.asked))

    aws.interrupt = look
    return seen


def alone(aws: Staged, options: ExportOptions = OPTIONS) -> Any:
    """The ended export of the verbs alone."""
    source, destination = aws.account("source"), aws.account("destination")
    job = start_export(source, destination, plan_export(source, destination, options, ImportLoader()))
    item = WaitItem("orders", source, destination, job)
    return wait_for([item], clock=lambda: aws.clock, sleep=aws.sleep).jobs["orders"]


class TestASmallTable:
    def test_b9_is_exported_at_once_without_a_time(self) -> None:
        aws = world()
        seen = starts(aws)
        judged = Playbook(aws).migrate()["orders"]
        assert (judged.status, judged.items_destination) == ("migrated", 7)
        [(seconds, timed)] = seen
        assert seconds < 20 and not timed
        assert judged.data_as_of["from"]

    def test_b9_whose_export_holds_less_is_exported_again_after_the_five_minutes(self) -> None:
        aws = world("empty")
        seen = starts(aws)
        judged = Playbook(aws).migrate()["orders"]
        assert (judged.status, judged.items_destination) == ("migrated", 7)
        assert [timed for _seconds, timed in seen] == [False, True]
        assert seen[1][0] > 300
        states = [(job.attempt, job.state) for job in Playbook(aws, 2).record().jobs if job.purpose == "export"]
        assert states[-1] == (2, "done")

    def test_whose_items_were_deleted_after_they_were_counted_is_not_exported_again(self) -> None:
        aws = world()

        def delete(when: str, operation: str, _number: int) -> None:
            if (when, operation) == ("before", "ExportTableToPointInTime"):
                aws.erase("orders", 2, "source")

        aws.interrupt = delete
        judged = Playbook(aws).migrate()["orders"]
        assert (judged.status, judged.items_destination, len(aws.jobs("export"))) == ("migrated", 5, 1)

    def test_is_exported_anew_after_a_cleanup_that_removed_all(self) -> None:
        """Files, record and point-in-time recovery are gone; AWS still knows the token of the first export."""
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        aws.client("dynamodb", "destination").delete_item(
            TableName="tableferry", Key={"pk": {"S": "table#orders"}, "sk": {"S": "record"}}
        )
        for key in aws.objects():
            aws.client("s3", "destination").delete_object(Bucket=BUCKET, Key=key)
        aws.client("dynamodb", "source").update_continuous_backups(
            TableName="orders", PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": False}
        )
        aws.write("orders", 4, first=100)
        aws.advance(30)
        judged = Playbook(aws, 2).migrate()["orders"]
        assert (judged.status, judged.items_destination, len(aws.jobs("export"))) == ("migrated", 11, 2)

    @pytest.mark.parametrize(("choice", "exports"), [("current", 1), ("empty", 2)])
    def test_by_the_verbs_alone(self, choice: str, exports: int) -> None:
        aws = world(choice)
        done = alone(aws)
        assert (done.state, done.result["item_count"], len(aws.jobs("export"))) == ("completed", 7, exports)
        plan = plan_export(aws.account("source"), aws.account("destination"), OPTIONS, ImportLoader())
        assert (plan.job.state, plan.job.arn) == ("completed", done.arn)

    def test_that_is_empty_is_too(self) -> None:
        aws = world(items=0)
        done = alone(aws)
        assert (done.state, done.result["known_empty"], aws.clock - aws.began < 200) == ("completed", True, True)


class TestOthersWait:
    @staticmethod
    def waited(aws: Staged, options: ExportOptions = OPTIONS) -> None:
        seen = starts(aws)
        assert alone(aws, options).state == "completed"
        [(seconds, timed)] = seen
        assert seconds > 300 and timed

    def test_of_more_than_a_page(self) -> None:
        aws = world(items=0)
        for number in range(4):
            item = {"id": {"S": str(number)}, "body": {"S": "x" * 390_000}}
            aws.client("dynamodb", "source").put_item(TableName="orders", Item=item)
        self.waited(aws)

    def test_that_may_not_be_read(self) -> None:
        aws = world()
        aws.may_not("source", "dynamodb:Scan")
        self.waited(aws)

    def test_with_writes_stopped(self) -> None:
        self.waited(world(), replace(OPTIONS, writes_stopped=True))

    def test_with_writes_stopped_by_their_record(self) -> None:
        aws = world()
        seen = starts(aws)
        judged = Playbook(aws).migrate(backup=BackupChoices(writes_stopped=True))["orders"]
        assert (judged.status, [timed for _seconds, timed in seen]) == ("migrated", [True])

    def test_whose_recovery_somebody_turned_on_minutes_ago(self) -> None:
        aws = world()
        aws.turn_on_recovery("orders")
        aws.advance(120)
        seen = starts(aws)
        assert alone(aws).state == "completed"
        assert [timed for _seconds, timed in seen] == [True]


def killed(aws: Staged, here: Callable[[str, str], bool]) -> Playbook:
    first = Playbook(aws)
    killed_where(aws, here, first.migrate)
    first.killed()
    return first


@pytest.mark.parametrize("choice", ["current", "empty"])
class TestKilled:
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_at_the_export_the_same_one_is_used(self, moment: str, choice: str) -> None:
        aws = world(choice)
        killed(aws, lambda when, operation: (when, operation) == (moment, "ExportTableToPointInTime"))
        judged = Playbook(aws, 2).migrate()["orders"]
        assert (judged.status, judged.items_destination) == ("migrated", 7)
        assert len(aws.jobs("export")) == (1 if choice == "current" else 2)

    @pytest.mark.parametrize("later", [1.0, 200.0, 600.0])
    def test_while_it_runs_it_is_compared_by_the_next_run(self, choice: str, later: float) -> None:
        aws = world(choice)
        asked = []

        def running(when: str, operation: str) -> bool:
            asked.append(operation)
            return "ExportTableToPointInTime" in asked and operation in ("ListExports", "DescribeExport")

        killed(aws, running)
        aws.advance(later)
        judged = Playbook(aws, 2).migrate()["orders"]
        assert (judged.status, judged.items_destination) == ("migrated", 7)
        assert len(aws.jobs("export")) == (1 if choice == "current" else 2)

    def test_by_the_verbs_alone(self, choice: str) -> None:
        aws = world(choice)
        killed_where(aws, lambda *call: call == ("after", "ExportTableToPointInTime"), lambda: alone(aws))
        done = alone(aws)
        assert (done.state, done.result["item_count"]) == ("completed", 7)


@pytest.mark.parametrize("choice", ["current", "empty"])
def test_two_destination_tables_share_it(choice: str) -> None:
    aws = world(choice)
    play = Playbook(aws)
    begun = {name: play.start(destination_table=name) for name in ("one", "two")}
    waited = play.wait(begun, judge={"verify": "counts"})
    for name in begun:
        judged = play.judge(name, waited.ways[name])
        assert (judged.status, judged.items_destination) == ("migrated", 7)
    assert len(aws.jobs("export")) <= (1 if choice == "current" else 3)
