# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What status says of records and tables that do not agree, and that its next step works."""

from __future__ import annotations

from dataclasses import replace
from importlib import import_module
from typing import Any

import pytest
from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import FILLINGS, SOURCE_JOBS
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import status
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.lease import iso
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.status import Wanted
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.text import status_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.source_jobs import look_at_sources
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.standing import look_around
from tests.unit.on_lab.in_process import Killed
from tests.unit.on_lab.methods.backup.conftest import counted_by_calls
from tests.unit.on_lab.methods.backup.ready import Ready
from tests.unit.on_lab.methods.backup.test_record import STOPPED
from tests.unit.on_lab.methods.direct.test_record import copied_by_calls
from tests.unit.on_lab.record import by_calls
from tests.unit.on_lab.record.test_lost import lose
from tests.unit.on_lab.recorded import Playbook, world
from tests.unit.on_lab.staged import BUCKET, Staged

GLUE = "ansible_collections.tableferry.aws.plugins.module_utils.glue"
DATA_PLANE = (copied_by_calls, counted_by_calls)  # fixtures: the data plane is calls of the lab's clients
ORDERS = {"orders": Wanted("orders", "default")}


def rows_of(aws: Staged, wanted: dict[str, Wanted] = ORDERS) -> list[dict[str, Any]]:
    """The rows of the playbook status, which changes nothing."""
    playbook = Playbook(aws, 90)
    everything = playbook.store.everything()
    records = {record.name: record for record in everything.records}
    sources = {name: each.source_table for name, each in wanted.items()}
    aws.calls.clear()
    look = look_around(playbook.destination, list({**records, **wanted}), records, sources, FILLINGS)
    look = look_at_sources(
        playbook.destination, look, wanted, dict.fromkeys(wanted, playbook.source), records, SOURCE_JOBS
    )
    assert (aws.mutating(), look.unseen) == ([], ())
    rows = status.rows(everything, playbook.store.home, aws.clock, look.standing, wanted)
    rows = status.matching(rows, None, look.standing, wanted)
    assert status_table(rows)
    return rows


def row_of(aws: Staged, wanted: dict[str, Wanted] = ORDERS) -> dict[str, Any]:
    (row,) = rows_of(aws, wanted)
    return row


class TestRecorded:
    def test_a_copy_that_stands(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        row = row_of(aws)
        assert (row["state"], row["copy_state"], row["next"]) == ("done", "there", "")
        assert [operation for _account, operation in aws.calls] == ["DescribeTable"] * 2

    def test_a_copy_that_was_deleted(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        row = row_of(aws)
        assert (row["state"], row["copy_state"]) == ("done", "deleted")
        assert "has been deleted since. Run migrate" in row["next"]
        assert Playbook(aws, 2).migrate()["orders"].status == "migrated"
        assert row_of(aws)["copy_state"] == "there"

    def test_a_copy_that_was_replaced(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        aws.add_table("orders", 1, "destination", recovery=False)
        row = row_of(aws)
        assert (row["state"], row["copy_state"]) == ("done", "replaced")
        with pytest.raises(errors.Replaced, match="made anew") as refused:
            Playbook(aws, 2).start()
        assert row["next"] == f"{refused.value.cause} {refused.value.next_step}"

    def test_a_source_that_was_made_anew(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.drop(side="source")
        aws.add_table("orders", 3)
        row = row_of(aws)
        assert (row["state"], row["copy_state"]) == ("done", "there")
        assert row["next"].startswith("The source table was made anew since.") and "delete the copy" in row["next"]
        assert row["next"].split(".")[0] in (Playbook(aws, 2).migrate()["orders"].reason or "")
        aws.drop()
        assert Playbook(aws, 3).migrate()["orders"].items_destination == 3
        assert row_of(aws)["next"] == ""

    def test_a_source_that_was_deleted_after_the_items_arrived(self) -> None:
        aws = world()
        stopped_after_filled(aws)
        aws.drop(side="source")
        aws.advance(1000)
        row = row_of(aws)
        assert row["state"] == "filled" and "copy has all its items" in row["next"]
        assert "set the settings that you need on it yourself" in row["next"]
        assert "run cleanup with remove_record and abandon: true" in row["next"]
        for pid in (2, 3):
            with pytest.raises(errors.MissingTable) as refused:
                Playbook(aws, pid).start()
            assert row["next"] == f"{refused.value.cause} {refused.value.next_step}" == row_of(aws)["next"]
        assert "case-sensitive" not in row["next"]

    @pytest.mark.parametrize("operation", ["ExportTableToPointInTime", "ImportTable"])
    def test_a_table_on_its_way_is_not_said_to_be_deleted(self, operation: str) -> None:
        aws = world(export__full=30.0, import__visible=100.0)
        stopped_after(aws, operation)
        row = row_of(aws)
        assert (row["state"], row["copy_state"]) != ("done", "deleted") and row["copy_state"] == "none"
        assert "works on it" in row["next"]

    def test_another_migration_or_source(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        row = row_of(aws, {"orders": Wanted("orders", "spring")})
        assert row["next"].startswith("It belongs to migration default, and migration_id is spring.")
        row = row_of(aws, {"orders": Wanted("customers", "default")})
        assert "table/orders, not of customers" in row["next"]

    def test_counts_that_differ_are_said(self) -> None:
        aws = world()
        playbook = Playbook(aws)
        begun = {"orders": playbook.start()}
        ways = playbook.wait(begun).ways["orders"]
        playbook.judge("orders", ways)
        record = playbook.store.read(table_key("orders"))
        assert record is not None
        verified = {**record.verified, "verified": "none", "items_source": 9}
        everything = playbook.store.everything()
        changed = replace(everything, records=(replace(record, verified=verified, run=""),))
        (row,) = status.rows(changed, playbook.store.home, aws.clock)
        assert "not verified: 9 items were in the source and 7 in the destination" in row["next"]
        assert status.rows(everything, playbook.store.home, aws.clock)[0]["next"] == ""


class TestWithoutARecord:
    def test_nothing_was_begun(self) -> None:
        row = row_of(world())
        assert (row["state"], row["copy_state"], row["next"]) == (
            "no record", "none", "Run migrate: no run has begun this table.",
        )  # fmt: skip

    @pytest.mark.parametrize("seconds", [0.5, 20.0])
    def test_an_import_that_runs_is_found_and_the_next_run_continues_it(self, seconds: float) -> None:
        aws = world(import__visible=10.0, import__creating=100.0)
        stopped_after(aws, "ImportTable")
        aws.advance(seconds)
        lose(aws)
        row = row_of(aws)
        assert (row["state"], row["job"], row["migration"]) == ("no record", "import running", "default")
        assert "an import of migration default brings it now. Run migrate" in row["next"]
        assert "Set migration_id to default" in row_of(aws, {"orders": Wanted("orders", "spring")})["next"]
        assert Playbook(aws, 2).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("import")) == 1

    def test_exports_that_run_when_the_record_table_was_deleted(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = world(export__full=100.0)
        verb = import_module(f"{GLUE}.verbs.migration_status_info")
        playbook = Playbook(aws)
        monkeypatch.setattr(verb, "open_to_read", lambda *_place: (None, aws.clock))  # there is none
        monkeypatch.setattr(verb.Accounts, "get", lambda _self, side, _options: getattr(playbook, side))
        table = {"name": "orders", "source_table": "orders", "migration_id": "default", "source": {"region": "r"}}
        params = {"record_table": "tableferry", "destination": {}, "names": None, "tables": [table], "recorded": False}
        assert verb.run(params, False, print)["msg"].endswith(": no run has begun.")
        stopped_after(aws, "ExportTableToPointInTime")
        client = aws.client("dynamodb", "destination")
        client.update_table(TableName="tableferry", DeletionProtectionEnabled=False)
        aws.drop("tableferry")
        shown = verb.run(params, False, print)
        assert "There is no record table" in shown["msg"] and "no run has begun" not in " ".join(shown["lines"])
        assert shown["tables"][0]["next"].startswith("No record of it, but an export of migration default runs")

    def test_a_restore_that_runs(self) -> None:
        aws = Ready()
        stopped_after(aws, "StartRestoreJob", method="backup", backup=STOPPED)
        aws.advance(2)
        lose(aws)
        row = row_of(aws)
        assert (row["state"], row["job"]) == ("no record", "restore running")
        assert "a restore brings it now" in row["next"]
        assert row_of(aws, {"orders": Wanted("customers")})["job"] == ""

    def test_an_export_that_runs_in_the_source_account(self) -> None:
        aws = world(export__full=100.0)
        stopped_after(aws, "ExportTableToPointInTime")
        began = iso(aws.clock)
        aws.advance(20)
        lose(aws)
        row = row_of(aws)
        assert (row["state"], row["copy_state"]) == ("no record", "none")
        assert (row["job"], row["migration"], row["since"]) == ("export running", "default", began)
        words = f"No record of it, but an export of migration default runs in the source account since {began}"
        assert row["next"] == f"{words}. Run migrate: it is found and continued."
        assert "Set migration_id to default" in row_of(aws, {"orders": Wanted("orders", "spring")})["next"]
        assert row_of(aws, {"orders": Wanted("customers", "default")})["job"] == ""
        assert Playbook(aws, 2).migrate()["orders"].status == "migrated"
        assert len(aws.jobs("export")) == 1

    @pytest.mark.parametrize(
        ("operation", "job", "words"),
        [("StartBackupJob", "backup running", "a backup"), ("StartCopyJob", "copy running", "a copy of a backup")],
    )
    def test_a_backup_or_copy_that_runs_in_the_source_account(self, operation: str, job: str, words: str) -> None:
        aws = Ready()
        stopped_after(aws, operation, method="backup", backup=STOPPED)
        lose(aws)
        row = row_of(aws)
        assert (row["state"], row["job"]) == ("no record", job)
        assert f"but {words}" in row["next"] and "runs in the source account since 20" in row["next"]
        assert "Run migrate" in row["next"]
        assert Playbook(aws, 2).migrate(method="backup", backup=STOPPED)["orders"].status == "migrated"
        assert [len(aws.jobs(kind)) for kind in ("backup", "copy", "restore")] == [1, 1, 1]

    def test_a_copy_for_another_destination_is_not_named(self) -> None:
        aws = Ready()
        stopped_after(aws, "StartCopyJob", method="backup", backup=STOPPED)
        lose(aws)
        rows = rows_of(aws, {"orders": Wanted("orders", "default"), "other": Wanted("orders", "default")})
        assert [row["job"] for row in rows] == ["copy running", ""]
        assert rows[0]["migration"] == "default"

    def test_a_foreign_export_is_not_named(self) -> None:
        aws = world(export__full=100.0)
        orders = str(aws.described("orders", "source")["TableArn"])
        aws.client("dynamodb", "source").export_table_to_point_in_time(TableArn=orders, S3Bucket=BUCKET, S3Prefix="own")
        assert row_of(aws)["job"] == ""

    def test_lists_of_the_source_that_may_not_be_read_are_named(self) -> None:
        aws = world()
        playbook = Playbook(aws)
        aws.may_not("source", "dynamodb:ListExports", "backup:ListCopyJobs")
        look = look_around(playbook.destination, ["orders"], {}, {}, FILLINGS)
        look = look_at_sources(playbook.destination, look, ORDERS, {"orders": playbook.source}, {}, SOURCE_JOBS)
        aws.may_again("source")
        assert "orders" in look.standing and len(look.unseen) == 2
        assert "dynamodb:ListExports" in look.unseen[0] and "backup:ListCopyJobs" in look.unseen[1]

    def test_a_copy_whose_record_is_lost_is_adopted_as_it_says(self) -> None:
        aws = world()
        Playbook(aws).migrate()
        lose(aws)
        row = row_of(aws)
        assert (row["state"], row["copy_state"], row["migration"]) == ("no record", "unknown", "default")
        assert "Run migrate with adopt: true" in row["next"]
        assert "belongs to migration default" in row_of(aws, {"orders": Wanted("orders", "spring")})["next"]
        with pytest.raises(errors.StateUnknown, match="adopt: true"):
            Playbook(aws, 2).start()
        assert Playbook(aws, 3).start(adopt=True).job.kind == "adopt"

    def test_what_our_import_made_is_known_without_its_tags(self) -> None:
        aws = world()
        stopped_after(aws, "ImportTable")
        aws.advance(60)
        lose(aws)
        row = row_of(aws)
        assert (row["copy_state"], row["migration"]) == ("unknown", "default")
        assert "adopt: true" in row["next"]

    def test_a_table_of_somebody_elses(self) -> None:
        aws = world()
        aws.add_table("orders", 1, "destination", recovery=False)
        row = row_of(aws)
        assert (row["state"], row["copy_state"], row["migration"]) == ("no record", "unknown", "")
        assert "TableFerry did not make" in row["next"] and "destination_table" in row["next"]


def stopped_after_filled(aws: Staged) -> None:
    """A run that dies once its record says that the items are there."""
    playbook, write = Playbook(aws), RecordStore.write

    def stop(*_call: Any) -> None:
        raise Killed

    def written(store: RecordStore, before: Record, after: Record) -> Record:
        record = write(store, before, after)
        if record.state == "filled":
            aws.interrupt = stop
            raise Killed
        return record

    with pytest.MonkeyPatch.context() as patch, pytest.raises(Killed):
        patch.setattr(RecordStore, "write", written)
        playbook.migrate()
    aws.interrupt = lambda *_call: None
    playbook.killed()


def stopped_after(aws: Staged, operation: str, **options: Any) -> None:
    """A run that dies when its ``operation`` was answered."""
    playbook, dead = Playbook(aws), False

    def stop(when: str, called: str, number: int) -> None:
        nonlocal dead
        dead = dead or (when, called) == ("after", operation)
        if dead:
            raise Killed(called)

    aws.interrupt = stop
    with pytest.raises(Killed):
        playbook.migrate(**options)
    aws.interrupt = lambda *_call: None
    playbook.killed()


def test_what_may_not_be_read_is_named_and_hides_nothing() -> None:
    aws = world({"orders": 7, "customers": 2})
    Playbook(aws).migrate()
    playbook = Playbook(aws, 90)
    record = playbook.record()
    aws.may_not("destination", "dynamodb:DescribeTable", "dynamodb:ListImports")
    look = look_around(aws.account("destination"), ["orders", "customers"], {"orders": record}, {}, FILLINGS)
    aws.may_again("destination")
    assert look.standing == {}
    assert len(look.unseen) == 2 and "dynamodb:ListImports" in look.unseen[0] and "2 tables" in look.unseen[1]


class TestVerify:
    """The verb that compares says of a copy which is not the record's what ``status`` and ``migrate`` say."""

    @pytest.fixture(autouse=True)
    def items_by_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        by_calls.put_in_place(monkeypatch)

    @pytest.mark.parametrize("check_mode", [False, True])
    def test_a_copy_that_was_replaced(self, monkeypatch: pytest.MonkeyPatch, check_mode: bool) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        aws.add_table("orders", 1, "destination", recovery=False)
        with pytest.raises(errors.Replaced) as verified:
            by_calls.verify(Playbook(aws, 2), monkeypatch, check_mode=check_mode)
        with pytest.raises(errors.Replaced) as refused:
            Playbook(aws, 3).start()
        said = f"{verified.value.cause} {verified.value.next_step}"
        assert said == f"{refused.value.cause} {refused.value.next_step}" == row_of(aws)["next"]

    @pytest.mark.parametrize("repair", [False, True])
    def test_a_copy_that_was_deleted(self, monkeypatch: pytest.MonkeyPatch, repair: bool) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        with pytest.raises(errors.MissingTable) as verified:
            by_calls.verify(Playbook(aws, 2), monkeypatch, repair=repair)
        assert f"{verified.value.cause} {verified.value.next_step}" == row_of(aws)["next"]

    def test_a_table_of_another_migration_is_compared_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = world()
        Playbook(aws).migrate()
        aws.drop()
        aws.add_table("orders", 7, "destination", recovery=False)
        assert by_calls.verify(Playbook(aws, 2), monkeypatch, migration_id="other")["equal"]


class TestRepair:
    """A repair of a table that an earlier run finished."""

    @pytest.fixture(autouse=True)
    def items_by_calls(self, monkeypatch: pytest.MonkeyPatch) -> None:
        by_calls.put_in_place(monkeypatch)

    @pytest.fixture
    def used(self) -> Staged:
        """A finished copy that an application writes to."""
        aws = world()
        Playbook(aws).migrate()
        aws.client("dynamodb", "destination").put_item(TableName="orders", Item={"id": {"S": "of the application"}})
        return aws

    @pytest.mark.parametrize("check_mode", [False, True])
    def test_that_items_of_its_applications_go_is_said(
        self, monkeypatch: pytest.MonkeyPatch, used: Staged, check_mode: bool
    ) -> None:
        repair = {"repair": True, "delete_extra": True, "check_mode": check_mode}
        (warning,) = by_calls.verify(Playbook(used, 2), monkeypatch, **repair)["warnings"]
        assert "what its applications wrote since is overwritten" in warning and "are deleted" in warning
        again = by_calls.verify(Playbook(used, 3), monkeypatch, **repair)
        assert ("warnings" in again) == check_mode

    def test_a_repair_that_was_denied_on_its_way_is_not_told_as_done(
        self, monkeypatch: pytest.MonkeyPatch, used: Staged
    ) -> None:
        """The item that only the copy has may not be deleted."""
        used.may_not("destination", "dynamodb:DeleteItem", resource="*/orders")
        with pytest.raises(ClientError, match="DeleteItem"):
            by_calls.verify(Playbook(used, 2), monkeypatch, repair=True, delete_extra=True)
        row = row_of(used)
        assert set(row["evidence"]["repaired"]) == {"at"}
        (line,) = [line for line in status_table([row]) if line.startswith("orders")]
        assert f", a repair did not end, begun {row['evidence']['repaired']['at']}" in line

    def test_its_record_says_that_it_was_repaired(self, monkeypatch: pytest.MonkeyPatch, used: Staged) -> None:
        by_calls.verify(Playbook(used, 2), monkeypatch, repair=True, delete_extra=True)
        row = row_of(used)
        repaired = row["evidence"]["repaired"]
        assert (repaired["put"], repaired["deleted"], repaired["left"], row["state"]) == (0, 1, 0, "done")
        assert f"repaired {repaired['at']}" in "\n".join(status_table([row]))
        judged = Playbook(used, 3).migrate()["orders"]
        assert f"Repaired by verify at {repaired['at']}: 0 put, 1 deleted." in judged.reason

    def test_one_that_fails_on_its_way_is_noted_too(self, monkeypatch: pytest.MonkeyPatch, used: Staged) -> None:
        def failing(*_about: Any, **_more: Any) -> Any:
            raise errors.ItemRefused("Another writer changed an item.", "Run again.")

        monkeypatch.setattr(by_calls.dynamodb_verify, "repair_differences", failing)
        with pytest.raises(errors.ItemRefused):
            by_calls.verify(Playbook(used, 2), monkeypatch, repair=True, delete_extra=True)
        assert "did not end" in Playbook(used, 3).migrate()["orders"].reason

    @pytest.mark.parametrize("check_mode", [False, True])
    def test_a_source_that_was_made_anew(self, monkeypatch: pytest.MonkeyPatch, used: Staged, check_mode: bool) -> None:
        used.drop("orders", "source")
        used.add_table("orders", 3, "source", recovery=False)
        before = by_calls.items_of(used.account("destination"), "orders")
        with pytest.raises(errors.DestinationExists, match="orders was made anew since") as refused:
            by_calls.verify(Playbook(used, 2), monkeypatch, check_mode=check_mode, repair=True, delete_extra=True)
        assert "Nothing was changed" in refused.value.next_step and refused.value.table == "orders"
        assert by_calls.items_of(used.account("destination"), "orders") == before
        assert by_calls.verify(Playbook(used, 3), monkeypatch)["missing"] >= 0  # comparing them is nobody's harm

    @pytest.mark.parametrize("check_mode", [False, True])
    def test_of_another_migration(self, monkeypatch: pytest.MonkeyPatch, used: Staged, check_mode: bool) -> None:
        with pytest.raises(errors.DestinationExists) as refused:
            by_calls.verify(Playbook(used, 2), monkeypatch, migration_id="spring", repair=True, check_mode=check_mode)
        words = f"{refused.value.cause} {refused.value.next_step}"
        assert "migration default" in words and "Set migration_id to default" in words
        assert "Run migrate to its end" not in words

    def test_one_that_another_run_holds(self, monkeypatch: pytest.MonkeyPatch, used: Staged) -> None:
        other = Playbook(used, 2, "elsewhere")
        held = other.run.hold(other.record())
        with pytest.raises(errors.Held, match="held by ann@elsewhere since") as refused:
            by_calls.verify(Playbook(used, 3), monkeypatch, repair=True)
        assert "take_over" not in refused.value.next_step
        assert "Run again once it has ended" in refused.value.next_step
        assert held is not None
