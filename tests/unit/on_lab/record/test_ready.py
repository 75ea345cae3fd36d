# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table that is ready is judged and let go by the wait itself, and a later judge reports the same."""

from __future__ import annotations

import gzip
from dataclasses import replace
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import JudgeChoice, is_tracked, judge_job
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.recorded import Playbook, world

pytestmark = pytest.mark.usefixtures("at_once")


def words(judged: Any) -> tuple[Any, ...]:
    """What is reported of a judgement."""
    error = judged.failure
    return judged.to_dict(), error and (type(error).__name__, error.cause, error.next_step, error.table, error.details)


def anew(playbook: Playbook, way: tuple[Job, ...], **how: Any) -> Any:
    """The judgement of ``way`` without that of the waiter, and without a record."""
    jobs = [job for job in way if job.kind != "judge"]
    assert len(jobs) == len(way) - 1
    return migration.judge(jobs[-1].name, playbook.source, playbook.destination, jobs, **how)


def carried(way: tuple[Job, ...]) -> list[Job]:
    """Jobs as Ansible carries them from verb to verb."""
    return [Job.from_dict(job.to_dict()) for job in way]


def with_judgement(one: Playbook, way: tuple[Job, ...], record: Tracking | None = None, **how: Any) -> tuple[Job, ...]:
    """The jobs of ``way`` with the waiter's judgement of them."""
    last = judge_job(JudgeChoice("orders", **how))
    item = WaitItem("orders", one.source, one.destination, way[0], way[1:], record, last)
    return migration.wait_for([item], clock=lambda: one.aws.clock, sleep=one.sleep).ways["orders"]


def test_a_judgement_alone_is_no_change() -> None:
    """Only jobs on AWS that the wait begins are: a rerun says that nothing changed."""
    aws = world()
    one = Playbook(aws)
    way = one.wait({"orders": one.start()}).ways["orders"]
    item = WaitItem("orders", one.source, one.destination, way[0], way[1:], None, judge_job(JudgeChoice("orders")))
    again = migration.wait_for([item], clock=lambda: aws.clock, sleep=one.sleep)
    assert again.ways["orders"][-1].state == "completed"
    assert again.started == frozenset()


class TestLetGo:
    def test_another_run_gets_it_while_the_first_one_waits_for_its_slowest_table(self) -> None:
        aws = world({"orders": 7, "slow": 2})
        holder, one, two = (Playbook(aws, pid, host) for pid, host in enumerate(("zero", "one", "two"), 1))
        holder.start("slow")
        begun = {table: one.start(table) for table in ("slow", "orders")}
        assert [begun[table].job.kind for table in begun] == ["claim", "export"]
        reports: list[Any] = []

        def go_on(seconds: float) -> None:
            aws.sleep(seconds)
            if not reports and one.record("orders").state == "done":
                assert one.record("orders").run == ""
                again = two.start("orders")
                assert (again.job.kind, again.job.state) == ("claim", "not_needed")
                reports.append(two.judge("orders", [again.job, *again.then]))
                holder.end()

        one.sleep = go_on
        waited = one.wait(begun, judge={})
        (report,) = reports
        assert (report.status, report.items_destination, report.verified) == ("migrated", 7, "counts")
        assert {table: one.judge(table, way).status for table, way in waited.ways.items()} == dict.fromkeys(
            begun, "migrated"
        )
        assert {one.record(table).state for table in begun} == {"done"}
        assert len(aws.jobs("import")) == 2

    def test_a_table_that_was_taken_after_a_wait_is_judged_too(self) -> None:
        aws = world()
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        first.start()
        begun = {"orders": second.start()}
        assert begun["orders"].job.kind == "claim"
        first.end()
        waited = second.wait(begun, judge={})
        assert [job.kind for job in waited.ways["orders"]] == ["export", "import", "settings", "judge"]
        assert (second.record().state, second.record().run) == ("done", "")

    def test_a_table_that_another_run_finished_meanwhile_is_only_reported(self) -> None:
        aws = world()
        first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
        begun, later = first.start(), second.start()
        first.wait({"orders": begun}, judge={})
        finished = first.record()
        waited = second.wait({"orders": later}, judge={})
        judged = second.judge("orders", carried(waited.ways["orders"]))
        assert judged.status == "migrated" and "earlier run" in judged.reason
        assert second.record() == finished

    def test_one_that_differs_is_let_go_with_what_to_do(self) -> None:
        """Its settings are left out, and its last job completed: nothing failed but the judgement."""
        aws = world()
        one = Playbook(aws)
        export, imported, settings = one.wait({"orders": one.start()}).ways["orders"]
        differs = {"level": "full", "missing": 1}
        compared = Job("verify", "orders", "completed", result=differs)
        settings = replace(settings, state="pending", pending_reason="job", result={})
        record = Tracking(one.run, "orders")
        way = with_judgement(one, (export, imported, compared, settings), record, verify="full")
        assert [(job.kind, job.state) for job in way[-2:]] == [("settings", "pending"), ("judge", "failed")]
        assert one.record().run == "" and one.record().next
        judged = one.judge("orders", carried(way), verify="full")
        assert judged.status == "failed" and words(judged) == words(anew(one, way, verify="full"))

    def test_without_being_asked_the_wait_keeps_it(self) -> None:
        """As the roles do: their own task judges."""
        aws = world()
        one = Playbook(aws)
        waited = one.wait({"orders": one.start()})
        assert (one.record().state, one.record().run) == ("settled", one.run.id)
        assert one.judge("orders", waited.ways["orders"]).status == "migrated"
        assert (one.record().state, one.record().run) == ("done", "")


class TestReports:
    @pytest.mark.parametrize("options", [{}, {"verify": "none"}])
    def test_the_same_and_nothing_is_asked_again(self, options: dict[str, Any]) -> None:
        aws = world()
        one, how = Playbook(aws), {"verify": options.get("verify", "counts")}
        way = one.wait({"orders": one.start(**options)}, judge=how).ways["orders"]
        asked = len(aws.calls)
        judged = one.judge("orders", carried(way), **how)
        assert aws.calls[asked:] == []
        record = one.record()
        assert (record.state, record.verified["run"]) == ("done", one.run.id)
        known = judged.to_dict()
        assert known.pop("lacks") == []  # true of that moment only
        assert {name: record.verified[name] for name in known} == known
        assert words(judged) == words(anew(one, way, **how))
        assert is_tracked(way[:-1]) and not is_tracked(way)

    def test_a_failure_is_reported_with_all_its_words(self) -> None:
        aws = world()
        one = Playbook(aws)
        way = one.wait({"orders": one.start()}).ways["orders"]
        fewer = replace(way[1], result={**way[1].result, "imported_items": 6})
        again = with_judgement(one, (way[0], fewer, *way[2:]), Tracking(one.run, "orders"))
        assert again[-1].state == "failed" and one.record().run == ""
        found = migration.judge("orders", one.source, one.destination, carried(again))
        assert (found.status, found.items_source, found.items_destination) == ("failed", 7, 6)
        assert words(found) == words(anew(one, again))

    def test_checksums_are_read_by_the_wait(self) -> None:
        aws = world()
        one = Playbook(aws)
        way = one.wait({"orders": one.start()}).ways["orders"]
        assert with_judgement(one, way, verify_checksums=True)[-1].result["status"] == "migrated"
        key = next(key for key, body in aws.objects("/data/").items() if gzip.decompress(body))
        aws.put(key, b"changed")
        changed = with_judgement(one, way, verify_checksums=True)
        assert (changed[-1].state, changed[-1].failure["error"]) == ("failed", "ChecksumMismatch")
        assert with_judgement(one, way)[-1].state == "completed"

    def test_what_kept_it_from_judging_is_raised(self) -> None:
        """A judgement that AWS refuses to be asked for is no judgement of the table."""
        aws = world()
        one = Playbook(aws)
        way = one.wait({"orders": one.start()}).ways["orders"]
        aws.may_not("destination", "dynamodb:DescribeTable")
        again = with_judgement(one, way)
        with pytest.raises(migration.FerryError) as raised:
            migration.judge("orders", one.source, one.destination, carried(again))
        with pytest.raises(migration.FerryError) as directly:
            anew(one, again)
        assert type(raised.value).__name__ == type(directly.value).__name__ == "AccessDenied"
        assert str(raised.value) == str(directly.value)

    def test_a_wait_that_ended_before_leaves_it_to_the_judge(self) -> None:
        aws = world()
        one = Playbook(aws)
        way = one.wait({"orders": one.start()}, 1.0, judge={}).ways["orders"]
        assert "judge" not in {job.kind for job in way}
        assert type(one.judge("orders", carried(way)).failure).__name__ == "JobTimeout"


class TestInterrupted:
    """Between the last job's end and ``done``."""

    @pytest.mark.parametrize("operation", ["DescribeTable", "PutItem"])
    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_killed(self, operation: str, moment: str) -> None:
        aws = world()
        one = Playbook(aws)
        begun = one.start()
        self.when_settled(aws, one, operation, moment, Killed(operation))
        with pytest.raises(Killed):
            one.wait({"orders": begun}, judge={})
        aws.interrupt = lambda *_call: None
        one.killed()
        written = (operation, moment) == ("PutItem", "after")
        assert one.record().state == ("done" if written else "settled")
        again = Playbook(aws, 2)
        judged = again.migrate()["orders"]
        assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "counts")
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)
        assert (again.record().state, again.record().run) == ("done", "")

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_the_answer_to_done_is_lost(self, moment: str) -> None:
        """Also when the table was written as done: the wait goes on, and reports the same."""
        aws = world()
        one = Playbook(aws)
        begun = one.start()
        lost = failure("InternalServerError", operation="PutItem", status=500)
        self.when_settled(aws, one, "PutItem", moment, lost)
        way = one.wait({"orders": begun}, judge={}).ways["orders"]
        assert one.judge("orders", carried(way)).status == "migrated"
        assert (one.record().state, one.record().run) == ("done", "")

    def when_settled(self, aws: Any, one: Playbook, operation: str, moment: str, error: BaseException) -> None:
        """Raise ``error`` once, at the first call of ``operation`` after the table was settled."""
        settled, failed = [], []

        def interrupt(when: str, called: str, at: int) -> None:
            if failed:
                if isinstance(error, Killed):
                    raise error
                return
            if settled and called == operation and when == moment and at > settled[0]:
                failed.append(at)
                raise error
            if when == "after" and called == "PutItem" and not settled:
                aws.interrupt = lambda *_call: None
                if one.record().state == "settled":
                    settled.append(at)
                aws.interrupt = interrupt

        aws.interrupt = interrupt
