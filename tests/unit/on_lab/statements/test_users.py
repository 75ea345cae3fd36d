# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Statements and grants go with their last user: two inventories, two pairs, two controllers (found.md A11)."""

from __future__ import annotations

import json
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging_bucket import (
    StagingOptions,
    apply_bucket,
    apply_leaving,
    key_statements,
    plan_bucket,
    plan_leaving,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import record_table as removing
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.counted import ADD_WAIT, Counted
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.removal import plan_removal, remove
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.uses import user_id
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.grants import (
    GrantOptions,
    apply_grant,
    plan_grant,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.statements.key_policy import (
    KeyOptions,
    apply_key,
    plan_key,
)
from tests.unit.on_lab.in_process import Killed, failure
from tests.unit.on_lab.recorded import Playbook, killed_at, world
from tests.unit.on_lab.staged import BUCKET, Staged

ALIAS = KeyOptions(alias="alias/tableferry-staging")
Policies = dict[str, list[dict[str, Any]]]


class Inventory(Playbook):
    """An inventory of an account pair: its ``tables`` share bucket, key and a grant with those of others."""

    def __init__(self, aws: Staged, *tables: str, pid: int = 1, host: str = "here", pair: str = "source") -> None:
        super().__init__(aws, pid, host)
        self.tables = tables
        self.source = aws.account(pair, "source")
        self.options = StagingOptions(BUCKET, self.source.principal_arn)
        self.statements = key_statements(self.destination, self.source.principal_arn)
        self.left: dict[str, str] = {}

    def again(self, pid: int, host: str = "here") -> Inventory:
        """The same inventory, by another process."""
        after = Inventory(self.aws, *self.tables, pid=pid, host=host)
        after.source, after.options, after.statements = self.source, self.options, self.statements
        return after

    def users(self, sleep: Callable[[float], None] | None = None) -> Counted:
        """What a verb is given."""
        return Counted(
            self.store, lambda: self.run, lambda: self.aws.clock, "default", self.tables, sleep=sleep or self.sleep
        )

    def prepare(self, sleep: Callable[[float], None] | None = None) -> None:
        """What the roles of both accounts do."""
        users = self.users(sleep)
        apply_bucket(plan_bucket(self.destination, self.options), users, sleep=self.aws.sleep)
        apply_key(plan_key(self.destination, ALIAS, present=self.statements), users, sleep=self.aws.sleep)
        if self.aws.__dict__.get("table_key"):
            apply_grant(plan_grant(self.source, self.grant()), users)

    def grant(self) -> GrantOptions:
        return GrantOptions(self.aws.__dict__["table_key"], "tableferry-default", self.source.principal_arn)

    def clean_up(self) -> bool:
        """What cleanup does for the accounts; whether it says that it changed anything."""
        users = self.users()
        key = plan_key(self.destination, ALIAS, absent=self.statements, users=users)
        apply_key(key, users, sleep=self.aws.sleep)
        bucket = plan_leaving(self.destination, self.options, users=users)
        apply_leaving(bucket, users, sleep=self.aws.sleep)
        changes = [*key.changes, *bucket.changes]
        if self.aws.__dict__.get("table_key"):
            changes += apply_grant(plan_grant(self.source, self.grant(), present=False, users=users), users)
        self.left = {entry.what: entry.reason for entry in users.left}
        return bool(changes)


def policies(aws: Staged) -> Policies:
    """The statements of the bucket and of the key."""
    kms, found = aws.client("kms", "destination"), {}
    found["bucket"] = json.loads(aws.client("s3", "destination").get_bucket_policy(Bucket=BUCKET)["Policy"])
    found["key"] = json.loads(kms.get_key_policy(KeyId=key_arn(aws), PolicyName="default")["Policy"])
    return {name: document["Statement"] for name, document in found.items()}


def key_arn(aws: Staged) -> str:
    answer = aws.client("kms", "destination").describe_key(KeyId=ALIAS.alias)
    return str(answer["KeyMetadata"]["Arn"])


def ours(aws: Staged, *of: Inventory) -> list[bool]:
    """Whether the statements of each inventory's pair stand, in bucket and key alike."""
    found = {name: {each.get("Sid") for each in statements} for name, statements in policies(aws).items()}
    assert all(
        (of_one.statements[0].sid in found["bucket"]) == (of_one.statements[0].sid in found["key"]) for of_one in of
    )
    return [of_one.statements[0].sid in found["bucket"] for of_one in of]


def shared(**timings: float) -> tuple[Staged, Inventory, Inventory, Policies]:
    """Two inventories of one account pair, both prepared, and the policies as they were before."""
    aws = world({"orders": 7, "users": 5}, **timings)
    first, second = Inventory(aws, "orders", pid=1), Inventory(aws, "users", pid=2)
    aws.__dict__["table_key"] = aws.client("kms", "source").create_key()["KeyMetadata"]["Arn"]
    guard = {"Sid": "Guard", "Effect": "Deny", "Principal": "*", "Action": "s3:DeleteBucket"}
    policy = {"Version": "2012-10-17", "Statement": [{**guard, "Resource": f"arn:aws:s3:::{BUCKET}"}]}
    aws.client("s3", "destination").put_bucket_policy(Bucket=BUCKET, Policy=json.dumps(policy))
    apply_key(plan_key(first.destination, ALIAS, present=first.statements), first.users(), sleep=aws.sleep)
    first.clean_up()
    before = policies(aws)
    first.prepare()
    second.prepare()
    return aws, first, second, before


def nothing_left(aws: Staged, store: RecordStore, before: Policies) -> None:
    """Policies as before, no grant, no users."""
    assert policies(aws) == before
    assert store.everything().uses == ()
    if aws.__dict__.get("table_key"):
        assert aws.client("kms", "source").list_grants(KeyId=aws.__dict__["table_key"])["Grants"] == []


class TestTwoInventories:
    def test_a11_one_is_cleaned_up_while_the_export_of_the_other_runs(self) -> None:
        aws, first, second, before = shared()
        assert first.migrate("orders")["orders"].status == "migrated"
        begun = {"users": second.start("users")}
        assert begun["users"].job.state == "running"
        cleanup = first.again(pid=3)
        assert not cleanup.clean_up()
        assert ours(aws, first) == [True]
        assert len(cleanup.left) == 4 and all(
            "users (migration default, held by ann@here" in why for why in cleanup.left.values()
        )
        cleanup.end()
        waited = second.wait(begun)
        assert second.judge("users", waited.ways["users"]).status == "migrated"
        second.end()
        last = second.again(pid=4)
        assert last.clean_up()
        assert last.left == {}
        nothing_left(aws, last.store, before)
        assert not last.clean_up()

    def test_each_is_counted_once_and_a_second_run_writes_nothing(self) -> None:
        aws, first, _second, _before = shared()
        assert {len(uses.users) for uses in first.store.everything().uses} == {2}
        aws.calls.clear()
        first.again(pid=3).prepare()
        assert aws.mutating() == []

    def test_who_was_never_counted_is_nobody(self) -> None:
        aws, first, _second, before = shared()
        for uses in first.store.everything().uses:
            first.store.remove_users(uses.arn, uses.users)
            closing = first.store.read_uses(uses.arn)
            assert closing is not None
            first.store.begin_closing(closing, first.run.id)
            first.store.end_closing(uses.arn, first.run.id)
        assert first.clean_up()
        nothing_left(aws, first.store, before)

    def test_a_check_foresees_it(self) -> None:
        aws, first, second, _before = shared()
        for one, changes in ((first, 0), (second, 1)):
            users = one.users()
            calls = len(aws.mutating())
            assert len(plan_key(one.destination, ALIAS, absent=one.statements, users=users).changes) == changes
            assert len(aws.mutating()) == calls
            assert len(users.left) == 2 * (1 - changes)
            one.clean_up()

    def test_a_user_leaves_while_the_other_one_does(self) -> None:
        """Both read that the other one is there, and leave: who finds nobody there takes it away."""
        aws, first, second, before = shared()
        went = []

        def meanwhile(moment: str, operation: str, number: int) -> None:
            if (moment, operation) == ("before", "UpdateItem") and not went:
                went.append(number)
                second.clean_up()

        aws.interrupt = meanwhile
        first.clean_up()
        nothing_left(aws, first.store, before)


class TestTwoPairs:
    def test_each_pair_has_its_own_statement(self) -> None:
        aws = world({"orders": 7})
        one, other = Inventory(aws, "orders", pid=1), Inventory(aws, "others", pid=2, pair="outside")
        one.prepare()
        other.prepare()
        assert ours(aws, one, other) == [True, True]
        assert one.clean_up()
        assert (ours(aws, one, other), one.left) == ([False, True], {})
        assert other.clean_up()
        assert ours(aws, one, other) == [False, False]
        assert other.store.everything().uses == ()

    def test_a_bucket_with_the_statement_of_another_pair_stays(self) -> None:
        aws = world({"orders": 7})
        one, other = Inventory(aws, "orders", pid=1), Inventory(aws, "others", pid=2, pair="outside")
        one.options = StagingOptions("tableferry-made", one.source.principal_arn)
        other.options = StagingOptions("tableferry-made", other.source.principal_arn)
        one.prepare()
        other.prepare()
        users = one.users()
        leaving = plan_leaving(one.destination, one.options, remove_bucket=True, users=users)
        with pytest.raises(errors.StagingBucketUnusable, match="statements of others"):
            apply_leaving(leaving, users, sleep=aws.sleep)
        users = other.users()
        leaving = plan_leaving(other.destination, other.options, remove_bucket=True, users=users)
        apply_leaving(leaving, users, sleep=aws.sleep)
        assert "tableferry-made" not in str(aws.client("s3", "destination").list_buckets()["Buckets"])

    def test_the_bucket_stays_for_another_inventory_of_the_pair(self) -> None:
        aws = world({"orders": 7})
        one, other = Inventory(aws, "orders", pid=1), Inventory(aws, "users", pid=2)
        for each in (one, other):
            each.options = StagingOptions("tableferry-made", each.source.principal_arn)
            each.prepare()
        users = one.users()
        leaving = plan_leaving(one.destination, one.options, remove_bucket=True, users=users)
        assert (leaving.remove, leaving.obstacle) == (False, None)
        apply_leaving(leaving, users, sleep=aws.sleep)
        assert [entry.reason for entry in users.left][:1] == [
            "tables need it yet, users (migration default) without a record"
        ]
        assert "tableferry-made" in str(aws.client("s3", "destination").list_buckets()["Buckets"])


class TestWhatIsHeld:
    def test_a20_tables_that_another_run_holds_stay_users(self) -> None:
        aws = world({"orders": 7, "users": 5})
        both = Inventory(aws, "orders", "users", pid=1)
        both.prepare()
        assert both.start("users").job.state == "running"
        cleanup = both.again(pid=2)
        assert not cleanup.clean_up()
        assert ours(aws, both) == [True]
        assert all("users (held by ann@here since" in why for why in cleanup.left.values())
        uses = cleanup.store.everything().uses
        assert {each.users for each in uses} == {frozenset({user_id("default", "users")})}

    def test_a_job_that_runs_without_a_holder_needs_its_statement(self) -> None:
        aws = world({"orders": 7})
        one = Inventory(aws, "orders", pid=1)
        one.prepare()
        assert one.start("orders").job.state == "running"
        one.end()
        cleanup = one.again(pid=2)
        assert not cleanup.clean_up()
        assert all("its export is begun" in why for why in cleanup.left.values())
        assert ours(aws, one) == [True]

    def test_who_needs_it_is_named_also_before_there_is_a_record(self) -> None:
        aws = world({"orders": 7})
        Inventory(aws, *"abcde", pid=1).prepare()
        one = Inventory(aws, "orders", pid=2)
        one.prepare()
        assert not one.clean_up()
        names = [f"{table} (migration default) without a record" for table in "abc"]
        assert set(one.left.values()) == {f"tables need it yet, {', '.join(names)}, 2 more"}
        left = Inventory(aws, *"abcd", pid=3)
        assert not left.clean_up()
        assert {frozenset(uses.named_users(uses.users).values()) for uses in left.store.everything().uses} == {
            frozenset({"e (migration default)"})
        }

    def test_a_held_table_that_nobody_counted_is_counted(self) -> None:
        aws = world({"orders": 7})
        one = Inventory(aws, "orders", pid=1)
        one.prepare()
        one.start("orders")
        store = one.store
        for uses in store.everything().uses:
            closing = store.begin_closing(uses, one.run.id)
            assert closing is not None
            store.end_closing(uses.arn, one.run.id)
        cleanup = one.again(pid=2)
        assert not cleanup.clean_up()
        assert {len(uses.users) for uses in store.everything().uses} == {1}


class TestInterleaved:
    """A second controller adds its users after each call with which cleanup closes."""

    def test_who_adds_has_the_statement_in_the_end(self) -> None:
        number = 0
        while True:
            number += 1
            aws = world({"orders": 7, "users": 5})
            first, second = Inventory(aws, "orders", pid=1), Inventory(aws, "users", pid=2, host="there")
            first.prepare()
            went: list[str] = []

            def meanwhile(
                when: str,
                operation: str,
                at: int,
                last: int = len(aws.calls) + number,
                second: Inventory = second,
                went: list[str] = went,
            ) -> None:
                if went or (when, at) != ("after", last):
                    return
                went.append("began")
                try:
                    second.prepare(_gives_up)
                    went.append("prepared")
                except errors.Held:
                    went.append("waits")

            aws.interrupt = meanwhile
            first.clean_up()
            aws.interrupt = lambda *_call: None
            if not went:
                break
            if went[-1] == "waits":
                second.prepare()
            assert ours(aws, second) == [True], (number, went)
            assert all(user_id("default", "users") in uses.users for uses in second.store.everything().uses)
            first.end()
            assert second.clean_up()
            assert ours(aws, second) == [False]
            assert second.store.everything().uses == ()
        assert number > 15

    def test_who_adds_waits_for_the_one_that_takes_it_away(self) -> None:
        aws = world({"orders": 7, "users": 5})
        first, second = Inventory(aws, "orders", pid=1), Inventory(aws, "users", pid=2, host="there")
        first.prepare()
        store, resource = first.store, f"{key_arn(aws)}#{first.statements[0].sid}"
        uses = store.read_uses(resource)
        assert uses is not None
        store.begin_closing(uses, first.run.id)
        slept: list[float] = []

        def sleep(seconds: float) -> None:
            slept.append(seconds)
            aws.sleep(seconds)
            if len(slept) == 3:
                store.end_closing(resource, first.run.id)

        second.prepare(sleep)
        assert len(slept) == 3
        assert ours(aws, second) == [True]

    def test_it_does_not_wait_for_ever(self) -> None:
        aws = world({"orders": 7, "users": 5})
        first, second = Inventory(aws, "orders", pid=1), Inventory(aws, "users", pid=2, host="there")
        first.prepare()
        for uses in first.store.everything().uses:
            first.store.begin_closing(uses, first.run.id)
        began = aws.clock
        with pytest.raises(errors.Held, match="held by ann@here"):
            second.prepare()
        assert ADD_WAIT <= aws.clock - began < ADD_WAIT + 10


def _gives_up(_seconds: float) -> None:
    """The other one goes on only when this one is out of its way."""
    raise errors.Held("It waits.", "Later.")


class TestCutOff:
    """After each call: before the next one nothing else has happened."""

    def test_cleanup_killed_at_each_call_and_run_again(self) -> None:
        number = 0
        while True:
            number += 1
            aws, first, second, before = shared()
            second.clean_up()
            second.end()
            first.end()
            dead = first.again(pid=3)
            if not killed_at(aws, "after", number, dead.clean_up, Killed):
                break
            dead.killed()
            rerun = first.again(pid=4)
            for _look in range(3):  # once its process was seen gone, and once its last requests are over
                rerun.clean_up()
                aws.advance(70)
            assert rerun.left == {}, number
            nothing_left(aws, rerun.store, before)
        assert number > 25

    def test_another_inventory_prepares_after_a_killed_cleanup(self) -> None:
        number = 0
        while True:
            number += 1
            aws, first, second, before = shared()
            second.clean_up()
            second.end()
            first.end()
            dead = first.again(pid=3)
            if not killed_at(aws, "after", number, dead.clean_up, Killed):
                break
            dead.killed()
            again = second.again(pid=4)
            again.prepare()
            assert ours(aws, again) == [True], number
            assert all(user_id("default", "users") in uses.users for uses in again.store.everything().uses)
            first.again(pid=5).clean_up()
            again.clean_up()
            nothing_left(aws, again.store, before)
        assert number > 25

    @pytest.mark.parametrize("act", ["prepare", "clean_up"])
    def test_the_answer_of_each_write_is_lost(self, act: str) -> None:
        number = 0
        while True:
            number += 1
            aws, first, second, before = shared()
            if act == "clean_up":
                second.clean_up()
            else:
                first.clean_up()
            second.end()
            first.end()
            again = first.again(pid=3)
            writes = aws.mutating()

            def lose(moment: str, operation: str, at: int, aws: Staged = aws, last: int = len(writes) + number) -> None:
                if moment == "after" and len(aws.mutating()) == last and aws.calls[at - 1][1] == aws.mutating()[-1]:
                    raise failure("InternalServerError", operation=operation, status=500)

            aws.interrupt = lose
            try:
                getattr(again, act)()
                lost = False
            except errors.FerryError:
                lost = True
            aws.interrupt = lambda *_call: None
            if not lost:
                break
            for _look in range(3):
                getattr(again, act)()
                aws.advance(70)
            assert again.left == {}
            if act == "prepare":
                assert ours(aws, again) == [True]
                assert again.clean_up() is False  # the other inventory is there
                second.again(pid=4).clean_up()
            nothing_left(aws, again.store, before)
        assert number > 3


class TestTheRecordTable:
    def test_of_a_restored_one_nobody_knows_who_is_missing(self) -> None:
        aws, first, second, before = shared()
        second.clean_up()
        home = first.store.table
        restored = first.again(pid=3)
        restored.store.table = type(home)(home.name, home.arn, "restored", home.created)
        assert not restored.clean_up()
        assert ours(aws, first) == [True]
        assert all("was restored" in why for why in restored.left.values())
        restored.prepare()
        assert restored.clean_up()
        nothing_left(aws, first.store, before)

    def test_tables_whose_records_are_removed_need_nothing_any_more(self) -> None:
        aws, first, second, _before = shared()
        first.migrate("orders")
        store, names = second.store, ["orders"]
        foreseen = plan_removal(store, names, "default", frozenset(), aws.clock)
        second.end()
        done = remove(first.again(pid=3).run, names, "default", frozenset())
        assert [change.what for change in foreseen.changes] == [change.what for change in done.changes]
        assert {each.users for each in store.everything().uses} == {frozenset({user_id("default", "users")})}

    def test_what_nobody_needs_then_is_listed_and_the_table_goes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        aws = world({"orders": 7})
        monkeypatch.setattr(removing, "remove", partial(removing.remove, clock=lambda: aws.clock, sleep=aws.sleep))
        one = Inventory(aws, "orders", pid=1)
        one.prepare()
        one.migrate("orders")
        last = one.again(pid=2)
        foreseen = plan_removal(last.store, ["orders"], "default", frozenset(), aws.clock)
        done = remove(last.run, ["orders"], "default", frozenset())
        for removal in (foreseen, done):
            assert [entry.reason for entry in removal.left] == [
                "no table needs it any more: a cleanup of the whole inventory removes it"
            ] * 3
            assert removal.changes[-1].what == "dynamodb.table.tableferry"
