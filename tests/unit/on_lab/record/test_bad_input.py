# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What can be wrong with the table of the records, with records and with the names: each is refused in words, and
nothing is billed, or it makes no difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import EndpointConnectionError

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, preview, start, wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import record_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.status import rows
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import BUCKET, Staged

RECORDS = "tableferry"
JOBS = ("export", "import", "backup", "copy", "restore")
KEY = {"pk": {"S": "table#orders"}, "sk": {"S": "record"}}


def billed(aws: Staged) -> int:
    return sum(len(aws.jobs(kind)) for kind in JOBS)


def arn(aws: Staged, table: str = RECORDS) -> str:
    return f"arn:aws:dynamodb:{aws.region}:{aws.landscape['accounts']['destination']['account_id']}:table/{table}"


def dynamodb(aws: Staged, side: str = "destination") -> Any:
    return aws.client("dynamodb", side)


def by_hand(aws: Staged, keys: tuple[tuple[str, str], ...] = record_table.KEYS, **more: Any) -> None:
    """The table of the records as a user makes it."""
    dynamodb(aws).create_table(
        TableName=RECORDS,
        AttributeDefinitions=[{"AttributeName": key, "AttributeType": "S"} for key, _kind in keys],
        KeySchema=[{"AttributeName": key, "KeyType": kind} for key, kind in keys],
        BillingMode="PAY_PER_REQUEST",
        **more,
    )
    aws.advance(20)


def delete_records(aws: Staged) -> None:
    dynamodb(aws).update_table(TableName=RECORDS, DeletionProtectionEnabled=False)
    dynamodb(aws).delete_table(TableName=RECORDS)
    aws.advance(60)


def restored_from_a_backup(aws: Staged) -> None:
    """The items are back, in a table with another TableId."""
    items = dynamodb(aws).scan(TableName=RECORDS)["Items"]
    delete_records(aws)
    by_hand(aws)
    for item in items:
        dynamodb(aws).put_item(TableName=RECORDS, Item=item)


def once(moment: str, operation: str, act: Callable[[], Any], aws: Staged) -> None:
    """``act`` at the first call of ``operation``."""

    def interrupt(when: str, called: str, _number: int) -> None:
        if (when, called) == (moment, operation):
            aws.interrupt = lambda *_call: None
            act()

    aws.interrupt = interrupt


def killed() -> None:
    raise Killed


def said(error: errors.FerryError) -> str:
    """What the user reads: a cause and a next step."""
    assert error.cause and error.next_step
    return str(error)


class TestLostRecord:
    def test_lost_record_of_a_finished_table_leaves_it_owned_with_its_state_unknown(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        dynamodb(aws).delete_item(TableName=RECORDS, Key=KEY)
        before, jobs = aws.described("orders"), billed(aws)
        with pytest.raises(errors.StateUnknown, match="no record says how far") as refused:
            Playbook(aws, 2).start()
        assert "not touched" in said(refused.value)
        assert (aws.described("orders"), billed(aws)) == (before, jobs)

    def test_lost_record_while_a_run_works_ends_its_work_on_the_table(self) -> None:
        aws = world()
        first = Playbook(aws)
        begun = first.start()
        dynamodb(aws).delete_item(TableName=RECORDS, Key=KEY)
        failed = first.wait({"orders": begun}).jobs["orders"]
        assert (failed.state, failed.failure["error"]) == ("failed", "RecordLost")
        assert "run again" in failed.failure["next_step"]
        assert aws.jobs("import") == []


class TestPermission:
    @pytest.mark.parametrize("action", ["DescribeTable", "CreateTable", "GetItem", "PutItem", "UpdateItem"])
    def test_no_permission_for_the_record_table_is_refused_before_anything_is_billed(self, action: str) -> None:
        aws = world(recovery=False)
        aws.may_not("destination", f"dynamodb:{action}", resource=arn(aws))
        with pytest.raises(errors.RecordDenied) as refused:
            Playbook(aws).migrate()
        assert "in the destination account may not be used" in refused.value.cause
        assert f"dynamodb:{action}" in said(refused.value) and RECORDS in said(refused.value)
        statement = refused.value.details["policy"]["Statement"][0]
        assert f"dynamodb:{action}" in statement["Action"]
        assert (billed(aws), aws.recovery("orders")["PointInTimeRecoveryStatus"]) == (0, "DISABLED")
        aws.may_again("destination")
        assert Playbook(aws, 2).migrate()["orders"].status == "migrated"


class TestTable:
    @pytest.mark.parametrize("keys", [(("pk", "HASH"),), (("id", "HASH"), ("sk", "RANGE"))])
    def test_record_table_made_by_hand_with_other_keys_is_refused(self, keys: tuple[tuple[str, str], ...]) -> None:
        aws = world()
        by_hand(aws, keys)
        with pytest.raises(errors.RecordUnusable, match=r"it is not a table of our records") as refused:
            Playbook(aws).migrate()
        assert "record_table" in said(refused.value)
        assert (billed(aws), dynamodb(aws).scan(TableName=RECORDS)["Count"]) == (0, 0)

    def test_record_table_made_by_hand_with_the_right_keys_serves(self) -> None:
        aws = world()
        by_hand(aws)
        assert Playbook(aws).migrate()["orders"].status == "migrated"

    def test_record_table_missing_is_made(self) -> None:
        aws = world()
        assert Playbook(aws).migrate()["orders"].status == "migrated"
        table = aws.described(RECORDS)
        assert (table["BillingModeSummary"]["BillingMode"], table["DeletionProtectionEnabled"]) == (
            "PAY_PER_REQUEST",
            True,
        )

    @pytest.mark.parametrize("at", ["ExportTableToPointInTime", "ImportTable", "UpdateContinuousBackups"])
    def test_record_table_deleted_during_a_run_ends_it(self, at: str) -> None:
        aws = world()
        first = Playbook(aws)
        once("after", at, lambda: delete_records(aws), aws)
        try:
            begun = first.start()
            failed = first.wait({"orders": begun}).jobs["orders"]
            assert failed.state == "failed"
            error, words = failed.failure["error"], failed.failure["cause"] + failed.failure["next_step"]
        except errors.FerryError as refused:
            error, words = type(refused).__name__, said(refused)
        assert error == "RecordLost" and "gone" in words and "no run is at work" in words
        changed = aws.mutating()
        assert set(changed[changed.index(at) + 1 :]) <= {at, "PutItem"}
        jobs = billed(aws)
        first.killed()
        again = Playbook(aws, 2)
        try:
            ended = again.migrate()["orders"]
            assert ended.status == "migrated" or ended.failure
        except errors.FerryError as refused:
            assert said(refused)
        assert billed(aws) <= jobs + 2
        assert all(len(aws.jobs(kind)) <= 2 for kind in JOBS)

    def test_record_table_throttled_for_minutes_is_waited_for(self) -> None:
        aws = world()
        first = Playbook(aws)
        begun, end = first.start(), aws.clock + 1200

        def throttle(when: str, operation: str, number: int) -> None:
            if when == "before" and aws.clock < end and aws.asked.get("TableName") == RECORDS:
                raise failure("ProvisionedThroughputExceededException", "too fast", operation)

        aws.interrupt = throttle
        waited = first.wait({"orders": begun})
        aws.interrupt = lambda *_call: None
        assert first.judge("orders", waited.ways["orders"]).status == "migrated"
        assert (aws.clock >= end, len(aws.jobs("export")), len(aws.jobs("import"))) == (True, 1, 1)

    def test_record_table_throttled_from_the_start_is_told_and_nothing_is_billed(self) -> None:
        aws = world()
        playbook = Playbook(aws)
        playbook.store  # noqa: B018

        def throttle(when: str, operation: str, number: int) -> None:
            if when == "before" and aws.asked.get("TableName") == RECORDS:
                raise failure("ProvisionedThroughputExceededException", "too fast", operation)

        aws.interrupt = throttle
        with pytest.raises(errors.RecordBusy, match="did not answer: too fast") as refused:
            playbook.start()
        assert "Run again" in said(refused.value)
        aws.interrupt = lambda *_call: None
        assert billed(aws) == 0
        assert Playbook(aws, 2).migrate()["orders"].status == "migrated"

    @pytest.mark.parametrize("shown", ["by a refusal", "by its status"])
    def test_record_table_encrypted_with_a_key_we_may_not_use_is_refused(self, shown: str) -> None:
        """DynamoDB refuses items at once, and shows it in the table's status after some days."""
        aws = world()
        by_hand(aws, SSESpecification={"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": aws.key("destination")})

        def refuse(when: str, operation: str, number: int) -> None:
            ours = aws.asked.get("TableName") == RECORDS
            if shown == "by a refusal" and when == "before" and ours and operation.endswith("Item"):
                raise failure("AccessDeniedException", "KMS key access denied error", operation)

        def show(operation: str, answer: dict[str, Any]) -> None:
            if shown == "by its status" and operation == "DescribeTable" and aws.asked["TableName"] == RECORDS:
                answer["Table"]["TableStatus"] = "INACCESSIBLE_ENCRYPTION_CREDENTIALS"

        aws.interrupt, aws.edit = refuse, show
        with pytest.raises(errors.RecordUnusable, match="encrypted with a KMS key that may not be used") as refused:
            Playbook(aws).migrate()
        assert "enable the key" in said(refused.value)
        assert billed(aws) == 0

    def test_record_table_in_deleting_is_refused(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.world.timings.set("table.deleting", 3600.0)
        dynamodb(aws).update_table(TableName=RECORDS, DeletionProtectionEnabled=False)
        dynamodb(aws).delete_table(TableName=RECORDS)
        aws.calls.clear()
        with pytest.raises(errors.RecordUnusable, match="is being deleted") as refused:
            Playbook(aws, 2).start()
        assert "Wait until it is gone" in said(refused.value)
        assert aws.mutating() == []

    def test_record_table_restored_from_a_backup_reports_what_is_done(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        restored_from_a_backup(aws)
        aws.calls.clear()
        again = Playbook(aws, 2)
        assert (again.start().job.state, aws.mutating()) == ("not_needed", [])

    def test_record_table_restored_from_a_backup_leaves_half_a_table_alone(self) -> None:
        aws = world()
        first = Playbook(aws)
        begun = first.start()
        once("after", "ImportTable", killed, aws)
        with pytest.raises(Killed):
            first.wait({"orders": begun})
        first.killed()
        restored_from_a_backup(aws)
        before, jobs = aws.described("orders"), billed(aws)
        with pytest.raises(errors.StateUnknown, match="restored from a backup") as refused:
            Playbook(aws, 2).start()
        assert said(refused.value)
        assert (aws.described("orders"), billed(aws)) == (before, jobs)

    def test_record_table_restored_from_a_backup_begins_a_claimed_table_anew(self) -> None:
        aws = world()
        aws.may_not("source", "dynamodb:ExportTableToPointInTime")
        first = Playbook(aws)
        with pytest.raises(errors.AccessDenied):
            first.start()
        first.end()
        aws.may_again("source")
        restored_from_a_backup(aws)
        assert Playbook(aws, 2).migrate()["orders"].status == "migrated"
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)


class TestNewerVersion:
    def test_record_of_a_newer_version_is_refused_and_not_rewritten(self) -> None:
        aws = world()
        first = Playbook(aws)
        first.start()
        first.end()
        item = dynamodb(aws).get_item(TableName=RECORDS, Key=KEY)["Item"]
        newer = {**item, "schema": {"N": "2"}, "state": {"S": "of tomorrow"}, "shape": {"L": []}}
        dynamodb(aws).put_item(TableName=RECORDS, Item=newer)
        jobs = billed(aws)
        with pytest.raises(errors.RecordTooNew, match="newer version") as refused:
            Playbook(aws, 2).start()
        assert "Use that version" in said(refused.value)
        again = Playbook(aws, 3)
        (row,) = rows(again.store.everything(), again.store.home, aws.clock)
        assert (row["name"], row["state"]) == ("orders", "unreadable")
        assert "newer version" in row["next"]
        assert dynamodb(aws).get_item(TableName=RECORDS, Key=KEY)["Item"] == newer
        assert billed(aws) == jobs


class TestEarlierVersion:
    """0.2.0 had a ledger in the bucket and tags, and no record: as verbs that are used alone, but for the ledger."""

    LEDGER = "tableferry/default/ledger/orders/import-0000.json"

    def left_by_it(self, aws: Staged) -> Judgement:
        source, destination = aws.account("source"), aws.account("destination")
        begun = start(source, destination, MigrationOptions("orders", bucket=BUCKET))
        items = [WaitItem("orders", source, destination, begun.job, begun.then)]
        jobs = wait_for(items, clock=lambda: aws.clock, sleep=aws.sleep).ways["orders"]
        judged = judge("orders", source, destination, jobs, sleep=aws.sleep)
        aws.put(self.LEDGER, b'{"state": "completed"}')
        aws.advance(60)
        return judged

    def assert_told_and_untouched(self, aws: Staged) -> None:
        before, tags = aws.described("orders"), aws.tags("orders", "destination")
        objects, jobs = aws.objects(), billed(aws)
        with pytest.raises(errors.StateUnknown, match="no record says how far it is") as refused:
            Playbook(aws).migrate()
        assert "It is not touched" in said(refused.value) and "delete it" in said(refused.value)
        assert aws.described("orders") == before
        assert (aws.tags("orders", "destination"), aws.objects(), billed(aws)) == (tags, objects, jobs)

    def test_table_ledger_and_tags_of_0_2_0_complete_are_owned_and_never_touched(self) -> None:
        aws = world()
        assert self.left_by_it(aws).status == "migrated"
        assert "tableferry:migration" in aws.tags("orders", "destination")
        self.assert_told_and_untouched(aws)

    def test_table_ledger_and_tags_of_0_2_0_half_done_are_owned_and_never_touched(self) -> None:
        aws = world()
        aws.fail_next("ImportTable")
        assert self.left_by_it(aws).status == "failed"
        aws.tag("orders", "tableferry:migration", "default")
        self.assert_told_and_untouched(aws)


class TestNames:
    def test_two_migrations_of_one_destination_name_are_one_and_a_refusal(self) -> None:
        aws = world({"orders": 7, "customers": 2})
        first = Playbook(aws, 1, "one")
        begun = first.start()
        for table, more in (("customers", {}), ("orders", {"migration_id": "other"})):
            with pytest.raises(errors.Claimed, match="held by ann@one since") as refused:
                Playbook(aws, 2, "two").start(table, destination_table="orders", **more)
            assert "Choose another destination name" in said(refused.value)
        waited = first.wait({"orders": begun})
        assert first.judge("orders", waited.ways["orders"]).status == "migrated"
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)

    def test_two_regions_have_records_and_runs_of_their_own(self) -> None:
        """The same names in two destination Regions."""
        aws = world()
        first = Playbook(aws)
        assert first.migrate()["orders"].status == "migrated"
        other = Playbook(aws, 2)
        other.destination.region = "eu-central-1"
        there = other.destination.client("dynamodb")
        table = record_table.find_or_create(there, RECORDS, clock=lambda: aws.clock, sleep=aws.sleep)
        other._store = type(first.store)(there, table)
        assert other.store.home != first.store.home
        assert other.store.read("table#orders") is None
        assert other.start(method="direct").job.state == "pending"
        assert other.record().source == first.record().source
        assert (first.record().state, other.record().state) == ("done", "claimed")


class TestNothingThere:
    @pytest.mark.parametrize("method", ["s3", "direct"])
    def test_check_on_accounts_where_nothing_is_made_yet_shows_all_and_changes_nothing(self, method: str) -> None:
        aws = world(recovery=False)
        aws.remove_bucket()
        aws.calls.clear()
        options = MigrationOptions("orders", bucket=BUCKET, method=method, enable_point_in_time_recovery=True)
        seen = preview(aws.account("source"), aws.account("destination"), options, None, by_record=True)
        assert (seen.job.state, aws.mutating()) == ("planned", [])
        assert any(change.risk == "billed" for change in seen.changes)


class TestUnreachable:
    def test_own_write_whose_answer_was_lost_is_not_taken_for_somebody_elses(self) -> None:
        """AWS goes away between a write and its answer: the same run goes on, or says to run again."""
        aws = world()
        first = Playbook(aws)
        begun = first.start()
        before = len(aws.calls)
        first.wait({"orders": begun})
        writes = [at for at, (_who, called) in enumerate(aws.calls, 1) if at > before and called == "PutItem"]
        ends = []
        for number in writes:
            aws = world()

            def lose(when: str, operation: str, at: int, number: int = number) -> None:
                if (when, at) == ("after", number):
                    raise failure("InternalServerError", operation=operation, status=500)

            first = Playbook(aws)
            begun = first.start()
            aws.interrupt = lose
            job = first.wait({"orders": begun}).jobs["orders"]
            ends.append(job.state)
            if job.failure:
                assert job.failure["error"] == "StepNotAllowed" and "is begun" in job.failure["cause"], job.failure
                assert "Run again" in job.failure["next_step"]
            aws.close()
        assert ends.count("completed") >= len(writes) - 1 >= 3

    @pytest.mark.parametrize(
        "at", ["ExportTableToPointInTime", "ImportTable", "UpdateContinuousBackups", "TagResource"]
    )
    def test_account_pair_unreachable_for_an_hour_goes_on_after_it(self, at: str) -> None:
        aws = world()
        first = Playbook(aws)
        begun = first.start()
        gone: list[float] = [0.0] if at == "ExportTableToPointInTime" else []

        def unreachable(when: str, operation: str, number: int) -> None:
            if (when, operation) == ("after", at) and not gone:
                gone.append(aws.clock)
            if gone and gone[0] == 0.0:
                gone[0] = aws.clock
            if when == "before" and gone and aws.clock < gone[0] + 3600:
                raise EndpointConnectionError(endpoint_url="https://dynamodb.eu-west-1.amazonaws.com")

        aws.interrupt = unreachable
        waited = first.wait({"orders": begun})
        aws.interrupt = lambda *_call: None
        assert [job.state for job in waited.ways["orders"]] == ["completed"] * len(waited.ways["orders"]), [
            (job.kind, job.failure) for job in waited.ways["orders"]
        ]
        assert first.judge("orders", waited.ways["orders"]).status == "migrated"
        assert aws.clock >= gone[0] + 3600
        assert (len(aws.jobs("export")), len(aws.jobs("import"))) == (1, 1)
        if at in ("ExportTableToPointInTime", "ImportTable"):  # settings wait in their own steps
            assert any("does not answer" in line for line in first.lines), first.lines
