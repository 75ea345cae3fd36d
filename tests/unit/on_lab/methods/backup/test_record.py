# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tables that travel by AWS Backup, by their records: killed at any call, with lost answers, in two runs, rehearsed."""

from __future__ import annotations

from functools import partial
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices, MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import preview
from tests.unit.on_lab.backup_accounts import ROLE
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.methods.backup.ready import VAULT, Ready
from tests.unit.on_lab.methods.direct.test_record import second_run_after_call
from tests.unit.on_lab.recorded import Playbook, deaths, killed_at, killed_where

pytestmark = pytest.mark.usefixtures("at_once")

KINDS = ("backup", "copy", "restore")
STOPPED = BackupChoices(writes_stopped=True)


def migrate(aws: Ready, number: int = 1, **options: Any) -> Any:
    return Playbook(aws, number).migrate(**{"method": "backup", "backup": STOPPED, **options})["orders"]


def billed(aws: Ready) -> list[int]:
    return [len(aws.jobs(kind)) for kind in KINDS]


def until_migrated(aws: Ready, first: int, runs: int = 6, **options: Any) -> Any:
    """Runs, each by a process of its own, until one brings the table to its end."""
    for number in range(first, first + runs):
        try:
            judged = migrate(aws, number, **options)
        except errors.FerryError as error:
            assert error.next_step
            aws.advance(30)
            continue
        if judged.status == "migrated":
            return judged
        aws.advance(30)
    raise AssertionError(judged)


def started(aws: Ready, operation: str, first: Playbook) -> None:
    """A run that dies when AWS has taken ``operation``, before its answer comes; its lease ends at once."""

    killed_where(
        aws, lambda *call: call == ("after", operation), partial(first.migrate, method="backup", backup=STOPPED)
    )
    first.end()


def test_a_table_is_done_with_its_evidence() -> None:
    aws = Ready()
    judged = migrate(aws)
    assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "counts")
    record = Playbook(aws, 2).record()
    assert (record.state, record.run, record.attempt) == ("done", "", 1)
    assert record.table_id == aws.described("orders")["TableId"]
    assert record.evidence["items_source"] == record.evidence["items_destination"] == 7
    point = aws.backup("source").describe_recovery_point(
        BackupVaultName=VAULT, RecoveryPointArn=aws.points("source")[0]
    )
    assert record.data_as_of["from"] <= point["CreationDate"].isoformat() <= record.data_as_of["to"]
    assert [(job.purpose, job.kind, job.state) for job in record.jobs] == [
        ("backup", "backup", "done"),
        ("copy", "copy", "done"),
        ("fill", "restore", "done"),
    ]
    assert billed(aws) == [1, 1, 1]


def test_uncounted_it_is_filled_all_the_same() -> None:
    aws = Ready()
    assert migrate(aws, verify="none").status == "migrated"
    record = Playbook(aws, 2).record()
    assert record.state == "done" and "items_source" not in record.evidence


def with_issues(kind: str) -> Any:
    """An edit of AWS's answers: jobs of ``kind`` are completed with issues."""

    def edit(called: str, answer: dict[str, Any]) -> None:
        if called not in (f"Describe{kind}Job", f"List{kind}Jobs"):
            return
        for job in [*answer.get(f"{kind}Jobs", ()), answer.get(f"{kind}Job", answer)]:
            if "COMPLETED" in (job.get("State"), job.get("Status")):
                job["StatusMessage"] = "Some metadata was left out."

    return edit


@pytest.mark.parametrize("kind", ["Backup", "Copy", "Restore"])
def test_e2_completed_with_issues_is_noted_in_every_run(kind: str) -> None:
    aws = Ready()
    aws.edit = with_issues(kind)
    for number in (1, 2):
        judged = migrate(aws, number)
        assert (judged.status, judged.verified) == ("migrated", "counts")
        (note,) = judged.notes
        assert f"AWS completed the {kind.lower()} " in note and note.endswith("issues: Some metadata was left out.")


@pytest.mark.parametrize("kind", ["Backup", "Copy"])
def test_e2_a_copy_with_issues_is_not_plainly_copied(kind: str) -> None:
    aws = Ready()
    aws.edit = with_issues(kind)
    for number in (1, 2):
        judged = migrate(aws, number, backup=BackupChoices(writes_stopped=True, restore=False))
        assert judged.status == "copied"
        assert "with issues: Some metadata was left out." in judged.reason
        assert len(judged.notes) == 1


@pytest.mark.parametrize("verify", ["counts", "none"])
def test_e5_what_an_earlier_run_counted_stays_counted(verify: str) -> None:
    aws = Ready()
    first = Playbook(aws)

    def in_the_settings(_when: str, called: str) -> bool:
        return called == "TagResource" and first.record().state == "filled"

    killed_where(aws, in_the_settings, partial(first.migrate, method="backup", backup=STOPPED))
    first.end()
    for number in (2, 3):
        judged = migrate(aws, number, verify=verify)
        assert (judged.status, judged.verified) == ("migrated", "counts")
        assert (judged.items_source, judged.items_destination) == (7, 7)


class TestKilled:
    @staticmethod
    def calls() -> int:
        aws = Ready()
        assert migrate(aws).status == "migrated"
        return len(aws.calls)

    def test_at_each_call(self) -> None:
        aws = Ready()
        for moment, number in deaths(aws, partial(migrate, aws)):
            aws = Ready()
            first = Playbook(aws)
            killed_at(aws, moment, number, lambda first=first: first.migrate(method="backup", backup=STOPPED), Killed)
            first.killed()
            judged = migrate(aws, 2)
            assert (judged.status, judged.items_destination, judged.verified) == ("migrated", 7, "counts"), number
            record = Playbook(aws, 3).record()
            assert (record.state, record.attempt, billed(aws)) == ("done", 1, [1, 1, 1]), number
            aws.close()

    @pytest.mark.parametrize("moment", ["before", "after"])
    def test_every_answer_may_be_lost(self, moment: str) -> None:
        for number in range(1, self.calls() + 1):
            aws = Ready()
            first = Playbook(aws)

            def lose(when: str, operation: str, at: int, number: int = number) -> None:
                if (when, at) == (moment, number):
                    raise failure("InternalServerError", operation=operation, status=500)

            aws.interrupt = lose
            try:
                first.migrate(method="backup", backup=STOPPED)
            except errors.FerryError as error:
                assert error.next_step
            aws.interrupt = lambda *_call: None
            first.killed()
            judged = until_migrated(aws, 2)
            assert (judged.items_destination, billed(aws)) == (7, [1, 1, 1]), number
            aws.close()


STARTS = ("StartBackupJob", "StartCopyJob", "StartRestoreJob")


class TestLostAnswers:
    @pytest.mark.parametrize("operation", STARTS)
    @pytest.mark.parametrize("later", [0.0, 1800.0, 7200.0])
    def test_what_was_begun_is_found_by_the_lists(self, operation: str, later: float) -> None:
        aws = Ready()
        started(aws, operation, Playbook(aws))
        aws.advance(later)
        assert migrate(aws, 2).status == "migrated"
        assert billed(aws) == [1, 1, 1]
        assert len({job.token for job in Playbook(aws, 3).record().jobs}) == 3

    @pytest.mark.parametrize("operation", STARTS)
    def test_one_that_no_list_shows_yet_is_sent_again_unchanged(self, operation: str) -> None:
        aws = Ready()
        started(aws, operation, Playbook(aws))
        calls = []

        def hide(called: str, answer: dict[str, Any]) -> None:
            if called == operation:
                calls.append(dict(aws.asked))
                aws.edit = lambda *_call: None
            for member in ("BackupJobs", "CopyJobs", "RestoreJobs"):
                if called == operation.replace("Start", "List") + "s" and member in answer:
                    answer[member] = []

        aws.edit = hide
        before = next(job for job in Playbook(aws, 2).record().jobs if job.state == "intended")
        assert migrate(aws, 3).status == "migrated"
        assert [call["IdempotencyToken"] for call in calls] == [before.token]
        assert billed(aws) == [1, 1, 1]

    @pytest.mark.parametrize("operation", STARTS)
    def test_one_that_was_never_begun_is_sent_again_or_closed_by_the_rules(self, operation: str) -> None:
        """Within an hour with its token; later it is closed, when none of its requests can be executed any more."""
        for later, states in ((60.0, ["done"]), (7200.0, ["closed", "done"])):
            aws = Ready()
            first = Playbook(aws)

            def kill(when: str, called: str, at: int) -> None:
                if (when, called) == ("before", operation):
                    raise Killed(called)

            aws.interrupt = kill
            with pytest.raises(Killed):
                first.migrate(method="backup", backup=STOPPED)
            aws.interrupt = lambda *_call: None
            first.end()
            aws.advance(later)
            assert migrate(aws, 2).status == "migrated"
            purpose = {"StartBackupJob": "backup", "StartCopyJob": "copy", "StartRestoreJob": "fill"}[operation]
            jobs = Playbook(aws, 3).record().jobs
            assert [job.state for job in jobs if job.purpose == purpose] == states
            assert billed(aws) == [1, 1, 1]
            aws.close()

    def test_another_request_waits_until_the_intended_one_is_closed(self) -> None:
        aws = Ready()
        first = Playbook(aws)

        def kill(when: str, called: str, at: int) -> None:
            if (when, called) == ("before", "StartBackupJob"):
                raise Killed(called)

        aws.interrupt = kill
        with pytest.raises(Killed):
            first.migrate(method="backup", backup=STOPPED)
        aws.interrupt = lambda *_call: None
        first.end()
        asked_at = Playbook(aws, 2).record().jobs[0].asked_at
        changed = BackupChoices(writes_stopped=True, delete_after_days=40)
        assert migrate(aws, 3, backup=changed).status == "migrated"
        backups = aws.backup("source").list_backup_jobs()["BackupJobs"]
        assert len(backups) == 1 and backups[0]["CreationDate"].timestamp() >= asked_at + 970
        assert [job.state for job in Playbook(aws, 4).record().jobs] == ["closed", "done", "done", "done"]


class TestAnew:
    @pytest.mark.parametrize("cleaned", [False, True])
    def test_a5_a15_a_copy_that_was_deleted_is_brought_by_a_new_backup(self, cleaned: bool) -> None:
        aws = Ready()
        migrate(aws)
        if cleaned:
            for side in ("source", "destination"):
                for point in aws.points(side):
                    aws.remove_point(side, point)
        aws.drop()
        aws.write("orders", 4, first=100)
        judged = migrate(aws, 2)
        assert (judged.status, judged.items_source, judged.items_destination) == ("migrated", 11, 11)
        record = Playbook(aws, 3).record()
        assert (record.state, record.attempt, billed(aws)) == ("done", 2, [2, 2, 2])

    def test_a_backup_of_a_verb_used_alone_is_not_taken(self) -> None:
        """Whether it was restored already, and when, no record says."""
        aws = Ready()
        aws.backup("source").start_backup_job(
            BackupVaultName=VAULT,
            ResourceArn=aws.account("source").table_arn("orders"),
            IamRoleArn=f"arn:aws:iam::{aws.landscape['accounts']['source']['account_id']}:role/{ROLE}",
            RecoveryPointTags={"tableferry:migration": "default"},
        )
        aws.advance(600)
        aws.write("orders", 2, first=100)
        assert (migrate(aws).items_destination, billed(aws)) == (9, [2, 1, 1])

    def test_one_that_runs_is_adopted(self) -> None:
        """AWS runs no second one at the same time."""
        aws = Ready()
        aws.backup("source").start_backup_job(
            BackupVaultName=VAULT,
            ResourceArn=aws.account("source").table_arn("orders"),
            IamRoleArn=f"arn:aws:iam::{aws.landscape['accounts']['source']['account_id']}:role/{ROLE}",
        )
        assert (migrate(aws).status, billed(aws)) == ("migrated", [1, 1, 1])
        assert Playbook(aws, 2).record().jobs[0].state == "done"

    def test_a_restore_that_runs_is_adopted_where_the_record_was_lost(self) -> None:
        aws = Ready()
        started(aws, "StartRestoreJob", Playbook(aws))
        key = {"pk": {"S": "table#orders"}, "sk": {"S": "record"}}
        aws.client("dynamodb", "destination").delete_item(TableName="tableferry", Key=key)
        assert (migrate(aws, 2).items_destination, billed(aws)) == (7, [1, 1, 1])
        record = Playbook(aws, 3).record()
        assert (record.state, [job.purpose for job in record.jobs]) == ("done", ["fill"])
        assert record.data_as_of["from"] and record.data_as_of["to"]

    def test_a_second_run_reads_only(self) -> None:
        aws = Ready()
        migrate(aws)
        aws.calls.clear()
        again = Playbook(aws, 2)
        migration = again.start(method="backup")
        assert (migration.job.state, migration.changes, aws.mutating()) == ("not_needed", (), [])
        judged = again.judge("orders", (migration.job, *migration.then))
        assert (judged.status, judged.items_source, judged.items_destination) == ("migrated", 7, 7)

    @pytest.mark.parametrize("operation", STARTS)
    def test_check_mode_writes_nothing_wherever_a_run_died(self, operation: str) -> None:
        aws = Ready()
        first = Playbook(aws)
        started(aws, operation, first)
        before = first.record()
        aws.calls.clear()
        options = MigrationOptions("orders", method="backup", backup=STOPPED)
        preview(first.source, first.destination, options, first.store)
        assert (first.record(), aws.mutating()) == (before, [])


class TestNotOurs:
    def test_a17_a_table_made_after_the_restores_end_is_not_touched(self) -> None:
        """The restore has ended, its copy was deleted, and another table has its name, all within seconds."""
        aws = Ready()
        started(aws, "StartRestoreJob", Playbook(aws))
        aws.advance(60)
        aws.drop()
        aws.add_table("orders", 1, "destination", recovery=False)
        judged = migrate(aws, 2)
        assert (judged.status, type(judged.failure).__name__) == ("failed", "RestoreFailed")
        assert "created again" in judged.failure.cause
        table = aws.described("orders")
        tags = aws.client("dynamodb", "destination").list_tags_of_resource(ResourceArn=table["TableArn"])["Tags"]
        assert tags == []
        with pytest.raises(errors.DestinationExists):
            Playbook(aws, 3).start(method="backup")

    def test_a_table_made_anew_before_it_was_counted_is_known_by_its_id(self) -> None:
        aws = Ready()
        first = Playbook(aws)

        seen: set[str] = set()

        def kill(when: str, operation: str, at: int) -> None:
            seen.add(operation)
            if when == "before" and operation == "Scan" and "StartRestoreJob" in seen:
                raise Killed(operation)

        aws.interrupt = kill
        with pytest.raises(Killed):
            first.migrate(method="backup", backup=STOPPED)
        aws.interrupt = lambda *_call: None
        first.end()
        assert Playbook(aws, 2).record().state == "filling"
        aws.drop()
        aws.add_table("orders", 1, "destination", recovery=False)
        with pytest.raises(errors.Replaced):
            Playbook(aws, 3).start(method="backup")

    def test_a_table_that_took_the_name_while_the_copy_ran_is_refused(self) -> None:
        aws = Ready()
        first = Playbook(aws)
        migration = first.start(method="backup", backup=STOPPED)
        aws.add_table("orders", 1, "destination", recovery=False)
        jobs = first.wait({"orders": migration}).ways["orders"]
        restore = next(job for job in jobs if job.kind == "restore")
        assert (restore.state, restore.failure["error"]) == ("failed", "DestinationExists")
        assert billed(aws) == [1, 1, 0]


class TestNotWhole:
    def test_fewer_items_than_the_source_has_are_broken(self) -> None:
        aws = Ready()

        def lose(operation: str, answer: dict[str, Any]) -> None:
            if operation == "DescribeRestoreJob" and answer["Status"] == "COMPLETED" and not lost:
                lost.append(aws.erase("orders", 2))

        lost: list[Any] = []
        aws.edit = lose
        judged = migrate(aws)
        assert (judged.status, type(judged.failure).__name__) == ("failed", "CountMismatch")
        record = Playbook(aws, 2).record()
        assert (record.state, record.run) == ("broken", "")
        assert "Delete the copy orders" in record.next
        with pytest.raises(errors.TableBroken) as refused:
            Playbook(aws, 3).start(method="backup")
        assert refused.value.next_step == record.next
        with pytest.raises(errors.TableBroken):
            Playbook(aws, 4).start(method="direct")
        aws.drop()
        assert (migrate(aws, 5).status, billed(aws)) == ("migrated", [2, 2, 2])

    def test_a_failed_restore_that_left_a_table_is_broken(self) -> None:
        aws = Ready()
        aws.fail_next("StartRestoreJob", message="out of luck")

        def leave(operation: str, answer: dict[str, Any]) -> None:
            if operation == "DescribeRestoreJob" and answer["Status"] == "FAILED":
                if not left:
                    aws.advance(30)  # the lab's restores take their tables with them; whether AWS's do nobody has seen
                    left.append(aws.add_table("orders", 1, "destination", recovery=False))
                answer |= {"CompletionDate": aws.now, "CreatedResourceArn": aws.described("orders")["TableArn"]}

        left: list[Any] = []
        aws.edit = leave
        judged = migrate(aws)
        assert (judged.status, type(judged.failure).__name__) == ("failed", "RestoreFailed")
        record = Playbook(aws, 2).record()
        assert (record.state, record.table_id) == ("broken", aws.described("orders")["TableId"])
        assert "Delete the copy orders" in record.next

    @pytest.mark.parametrize("operation", STARTS)
    def test_a_failed_job_is_begun_anew(self, operation: str) -> None:
        aws = Ready()
        aws.fail_next(operation, message="out of luck")
        assert migrate(aws).status == "failed"
        assert migrate(aws, 2).status == "migrated"
        assert Playbook(aws, 3).record().attempt == 1


def test_two_runs_make_one_copy() -> None:
    aws = Ready()
    first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")
    begun = first.start(method="backup", backup=STOPPED)
    later = second.start(method="backup", backup=STOPPED)
    assert (later.job.kind, later.job.pending_reason) == ("claim", "held")
    waited = first.wait({"orders": begun})
    assert first.judge("orders", waited.ways["orders"]).status == "migrated"
    first.end()
    waited = second.wait({"orders": later})
    assert second.judge("orders", waited.ways["orders"]).status == "migrated"
    assert billed(aws) == [1, 1, 1]


@pytest.mark.parametrize("operation", STARTS)
def test_a_run_that_took_over_goes_on_with_the_jobs_of_the_first(operation: str) -> None:
    """The first one's machine is lost: what it began is adopted before the fence, the table is settled after it."""
    aws = Ready()
    first, second = Playbook(aws, 1, "one"), Playbook(aws, 2, "two")

    def kill(when: str, called: str, at: int) -> None:
        if (when, called) == ("after", operation):
            raise Killed(operation)

    aws.interrupt = kill
    with pytest.raises(Killed):
        first.migrate(method="backup", backup=STOPPED)
    aws.interrupt = lambda *_call: None
    first.killed()
    judged = second.migrate(method="backup", backup=STOPPED)["orders"]
    assert (judged.status, billed(aws)) == ("migrated", [1, 1, 1])


def test_a_second_run_begins_between_any_two_calls() -> None:
    for number in range(1, TestKilled.calls() + 1, 2):
        aws = Ready()
        second_run_after_call(aws, number, method="backup", backup=STOPPED)
        assert billed(aws) == [1, 1, 1], number
        aws.close()
