# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How far tables are, and records removed: rows for users, and nothing taken from a run that lives."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import Claimed
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import intended, removal, status, transitions
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.attributes import to_attribute
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import FILL
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.status import rows
from ansible_collections.tableferry.aws.plugins.module_utils.core.report.text import status_table

from .two import KEY, SOURCE, Aws, Controller

ANY: frozenset[str] = frozenset()


def row_of(by: Controller) -> dict:
    (row,) = rows(by.run.store.everything(), by.run.store.home, by.clock.now())
    return row


def test_a_running_table_names_its_run_since_when_and_its_job(one: Controller, aws: Aws) -> None:
    one.claim()
    assert row_of(one)["since"].startswith("2027-01-15T08:00:")
    one.step(intended.intend, purpose=FILL, kind="import", token="t1", request="{}")
    aws.advance(30)
    row = row_of(one)
    assert (row["name"], row["source"], row["state"], row["job"]) == (
        "orders",
        SOURCE.arn,
        "claimed",
        "import intended",
    )
    assert row["run"] == one.run.id and row["percent"] is None
    assert row["held_by"].startswith("held by ann@one since 2027-01-15T08:00:") and "renewed 3" in row["held_by"]
    assert row["since"].startswith("2027-01-15T08:00:")
    assert f"take_over: {one.run.id}" in row["next"]
    entry = one.read().jobs[0]
    one.run.write(one.read(), one.read().with_job(replace(entry, state="begun", result={"percent_done": 40.4})))
    row = row_of(one)
    assert row["percent"] == 40.4
    lines = status_table([row])
    assert "import begun" in lines[2] and " 40% " in lines[2] and lines[4] == "Next:"


def test_a_done_table_asks_for_nothing(one: Controller) -> None:
    one.to_settled()
    done = one.step(
        transitions.done, seen_table_id="T1", verified={"level": "counts", "items_source": 3}, acceptable=True
    )
    one.run.let_go(done)
    row = row_of(one)
    assert (row["state"], row["next"], row["held_by"], row["run"]) == ("done", "", "", "")
    assert (row["items_source"], row["items_destination"], row["data_as_of"]) == (3, 2, {"at": 1})
    assert json.dumps(row)
    (header, _rule, line) = status_table([row])
    assert line.split()[:4] == ["orders", "direct", "done", "-"] and "counts" in line and "Next:" not in header


def test_why_a_table_was_refused_is_no_word_while_another_run_fills_it(one: Controller, two: Controller) -> None:
    one.to_filling()
    one.run.let_go(one.read(), "Set transform as it was.")
    assert row_of(two)["next"] == "Set transform as it was."
    two.run.hold(two.read())
    assert row_of(one)["next"].startswith(f"Nothing: run {two.run.id} works on it")


def test_a_run_that_is_over_is_said_to_be(one: Controller, two: Controller, aws: Aws) -> None:
    one.to_filling()
    aws.advance(400)
    assert "its lease ran out 2 minutes ago" in row_of(two)["held_by"]
    assert row_of(two)["next"].startswith("Run migrate")
    one.run.end()
    row = row_of(two)
    assert "; it ended at 2027" in row["held_by"] and row["next"].startswith("Run migrate")
    everything = two.run.store.everything()
    assert [each["tables"] for each in status.runs(everything, aws.now)] == [1]
    without = replace(everything, leases={})
    assert "no lease" in rows(without, two.run.store.home, aws.now)[0]["held_by"]


def test_a_restored_record_is_not_taken_at_its_word(one: Controller) -> None:
    one.to_settled()
    (row,) = rows(one.run.store.everything(), "another-home", one.clock.now())
    assert "restored or made anew" in row["next"]


def test_what_cannot_be_read_hides_nothing_else(one: Controller, aws: Aws) -> None:
    one.claim()
    newer = {"pk": {"S": "table#newer"}, "sk": {"S": "record"}, "schema": to_attribute(9), "state": to_attribute("x")}
    strange = {"pk": {"S": "table#strange"}, "sk": {"S": "record"}}
    other = {"pk": {"S": "other"}, "sk": {"S": "other"}}
    for item in (newer, strange, other):
        aws.dynamodb("PutItem", {"TableName": "tableferry", "Item": item})
    found = {row["name"]: row for row in rows(one.run.store.everything(), one.run.store.home, aws.now)}
    assert {name: row["state"] for name, row in found.items()} == {
        "newer": "unreadable", "orders": "claimed", "other": "unreadable", "strange": "unreadable",
    }  # fmt: skip
    assert "schema 9" in found["newer"]["next"] and "newer one" in found["newer"]["next"]
    assert len({frozenset(row) for row in found.values()}) == 1
    assert status_table(list(found.values()))


def test_names_alone_and_those_without_a_record(one: Controller) -> None:
    one.claim()
    all_rows = [row_of(one)]
    assert status.matching(all_rows, None) == all_rows
    (row,) = status.matching(all_rows, ["customers"], wanted={"customers": status.Wanted("shop")})
    assert (row["name"], row["state"], row["source"]) == ("customers", "no record", "shop")
    assert set(row) == set(all_rows[0])


@pytest.mark.parametrize(("migration", "source"), [("spring", SOURCE.arn), ("m", "arn:aws:dynamodb:::table/other")])
@pytest.mark.parametrize("state", ["claimed", "filled", "done"])
def test_status_and_migrate_say_the_same_of_a_name_that_is_anothers(
    one: Controller, state: str, migration: str, source: str
) -> None:
    if state == "claimed":
        one.claim()
    elif state == "filled":
        one.to_filled()
    else:
        one.to_settled()
        one.step(transitions.done, seen_table_id="T1", verified={"level": "counts"}, acceptable=True)
    record = one.read()
    wanted = {"orders": status.Wanted(source.rpartition("/")[2], migration)}
    (row,) = rows(one.run.store.everything(), one.run.store.home, one.clock.now(), wanted=wanted)
    with pytest.raises(Claimed) as refused:
        transitions.require_same(record, migration, source)
    assert refused.value.next_step in row["next"]
    assert "leaves the table" not in row["next"]
    assert ("delete" in row["next"]) is (state != "claimed")  # a table that stands keeps the name all the same
    assert "remove_record" in row["next"]


def test_a_table_of_another_migration_without_a_record_is_not_freed_by_cleanup() -> None:
    standing = status.Standing("T1", marked=True, migration="spring")
    row = status.missing("orders", standing=standing, wanted=status.Wanted("orders", "m"))
    assert "Set migration_id to spring" in row["next"] and "delete that table" in row["next"]
    assert "cleanup" not in row["next"]


class TestRemoval:
    def settled(self, by: Controller) -> None:
        by.to_settled()
        done = by.step(transitions.done, seen_table_id="T1", verified={"level": "counts"}, acceptable=True)
        by.run.let_go(done)

    @pytest.fixture(autouse=True)
    def no_pauses(self, monkeypatch: pytest.MonkeyPatch, aws: Aws) -> None:
        monkeypatch.setattr("time.sleep", aws.advance)

    def test_a_held_record_stays_and_is_listed(self, one: Controller, two: Controller, aws: Aws) -> None:
        one.to_filling()
        planned = removal.plan_removal(two.run.store, ["orders"], "m", ANY, aws.now)
        removed = removal.remove(two.run, ["orders"], "m", ANY)
        for each in (planned, removed):
            assert each.changes == () and "held by ann@one" in each.left[0].reason
        assert one.read().run == one.run.id

    @pytest.mark.parametrize(
        ("migration", "sources", "why"),
        [("other", ANY, "migration m"), ("m", frozenset({"arn:other"}), SOURCE.arn)],
    )
    def test_another_ones_record_stays(
        self, one: Controller, two: Controller, aws: Aws, migration: str, sources: frozenset[str], why: str
    ) -> None:
        self.settled(one)
        planned = removal.plan_removal(two.run.store, ["orders"], migration, sources, aws.now)
        removed = removal.remove(two.run, ["orders"], migration, sources)
        for each in (planned, removed):
            assert each.changes == () and why in each.left[0].reason
        assert one.run.store.read(KEY) is not None

    def test_a_record_with_a_job_that_may_run_stays(self, one: Controller, two: Controller, aws: Aws) -> None:
        one.claim()
        one.step(intended.intend, purpose=FILL, kind="import", token="t1", request="{}")
        one.run.let_go(one.read())
        assert "import is intended" in removal.plan_removal(two.run.store, ["orders"], "m", ANY, aws.now).left[0].reason
        assert "import is intended" in removal.remove(two.run, ["orders"], "m", ANY).left[0].reason
        assert one.read().jobs

    def test_a_record_whose_fence_has_not_passed_stays(self, one: Controller, two: Controller, aws: Aws) -> None:
        one.to_filling()
        aws.advance(400)
        two.begin()
        left = removal.remove(two.run, ["orders"], "m", ANY).left
        assert "may arrive until" in left[0].reason
        record = two.read()
        assert record.run == "" and record.fence > aws.now
        aws.advance(1000)
        two.begin()
        assert "not finished (filling" in removal.remove(two.run, ["orders"], "m", ANY).left[0].reason
        two.begin()
        removed = removal.remove(two.run, ["orders"], "m", ANY, {"orders"})
        assert removed.changes[0].what == "dynamodb.table.tableferry.orders"

    def test_the_record_goes_and_the_table_while_others_are_at_work_stays(
        self, one: Controller, two: Controller, aws: Aws
    ) -> None:
        self.settled(one)
        removed = removal.remove(two.run, ["orders", "nobody"], "m", frozenset({SOURCE.arn}))
        assert [change.what for change in removed.changes] == ["dynamodb.table.tableferry.orders"]
        assert removed.changes[0].before == {"migration": "m", "state": "done", "method": "direct"}
        (table,) = removed.left
        assert table.what == "the record table tableferry" and "held by ann@one" in table.reason
        assert "run cleanup again" in table.reason and removed.warnings == ()
        assert one.run.store.read(KEY) is None
        lease = one.run.store.read_lease(two.run.id)
        assert lease is not None and lease.ended is not None

    def test_the_empty_table_goes_too(self, one: Controller, aws: Aws) -> None:
        self.settled(one)
        planned = removal.plan_removal(one.run.store, ["orders"], "m", ANY, aws.now + 400)
        removed = removal.remove(one.run, ["orders"], "m", ANY)
        assert planned.changes == removed.changes and len(removed.changes) == 2
        assert aws.dynamodb("ListTables", {})["TableNames"] == []

    def test_a_record_table_that_stays_for_other_records_is_no_news(self, one: Controller, aws: Aws) -> None:
        self.settled(one)
        for removed in (
            removal.plan_removal(one.run.store, ["nobody"], "m", ANY, aws.now),
            removal.remove(one.run, ["nobody"], "m", ANY),
        ):
            assert (removed.changes, removed.left) == ((), ())

    def test_check_mode_says_which_run_keeps_the_record_table(self, one: Controller, two: Controller, aws: Aws) -> None:
        self.settled(one)
        one.run.end()
        planned = removal.plan_removal(two.run.store, ["orders"], "m", ANY, aws.now)
        assert [change.what for change in planned.changes] == ["dynamodb.table.tableferry.orders"]
        assert "held by ann@two" in planned.left[0].reason and "ann@one" not in planned.left[0].reason

    def test_half_a_table_is_forgotten_with_a_warning_where_it_is_given_up(
        self, one: Controller, two: Controller, aws: Aws
    ) -> None:
        one.to_filling()
        one.run.let_go(one.read())
        for kept in (
            removal.plan_removal(one.run.store, ["orders"], "m", ANY, aws.now),
            removal.remove(one.run, ["orders"], "m", ANY),
        ):
            assert kept.changes == () and "run migrate to its end" in kept.left[0].reason
        assert "owned, state unknown" in removal.remove(two.run, ["orders"], "m", ANY, {"orders"}).warnings[0]

    def test_a_record_that_came_meanwhile_keeps_the_table(self, one: Controller, two: Controller, aws: Aws) -> None:
        two.run.end()

        def claim(moment: str, operation: str) -> None:
            if (moment, operation) == ("after", "UpdateTable"):
                one.client.interrupt = lambda moment, operation: None
                other = aws.controller("three")
                other.claim()

        one.client.interrupt = claim
        assert removal.remove(one.run, ["orders"], "m", ANY).changes == ()
        described = aws.dynamodb("DescribeTable", {"TableName": "tableferry"})["Table"]
        assert described["DeletionProtectionEnabled"] is True
