# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The table of the records on the lab, through botocore and HTTP: made, found, refused; answers lost, requests late."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import probe, record_table, transitions
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record, Source, table_key
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import HeldElsewhere, Run, Taken
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore

SOURCE = Source("arn:aws:dynamodb:eu-west-1:111111111111:table/orders", "source-id")
FAR = 10**6  # seconds of lease that no machine is too slow for


class Time:
    """AWS's time as the tests turn it: the real one at first, by which botocore signs, then only ``on`` seconds on."""

    def __init__(self) -> None:
        self.on, self._began = 0.0, time.time()
        self.clock = AwsClock(lambda: self.on, lambda: self._began + self.on)
        self.clock.observe(self._began, 0.0)
        self.clock.watch = lambda client: None  # type: ignore[method-assign]


@pytest.fixture
def at() -> Time:
    return Time()


@pytest.fixture
def dynamodb(crossing) -> Iterator[Any]:
    crossing.lab.clear_faults()
    yield crossing.lab.client("dynamodb", "destination")
    crossing.lab.clear_faults()


def joined(crossing: Any, name: str, at: Time, host: str) -> Run:
    store = RecordStore.open(crossing.destination, name, at.clock)
    assert store is not None
    process = Process("ann", host, f"boot-{host}", "ns", 7, "start")
    return Run.join(store, at.clock, process, start_of=lambda pid: "start")


def new(run: Run, name: str) -> Record:
    return transitions.claim(
        table_key(name),
        run.moment(name),
        home=run.store.home,
        migration="m",
        source=SOURCE,
        method="s3",
        table_exists=False,
        filled_by_others=False,
    )


def word(run: Run, record: Record) -> Record:
    return run.write(record, transitions.say(record, run.moment(record.name), "word"))


class TestTheTable:
    def test_it_is_made_once_on_demand_and_protected(self, crossing, at, dynamodb):
        first = RecordStore.open(crossing.destination, "made", at.clock)
        again = RecordStore.open(crossing.destination, "made", at.clock)
        assert first is not None and again is not None and first.table == again.table
        described = dynamodb.describe_table(TableName="made")["Table"]
        assert described["BillingModeSummary"]["BillingMode"] == "PAY_PER_REQUEST"
        assert described["DeletionProtectionEnabled"] is True

    def test_nothing_is_made_in_check_mode(self, crossing, at, dynamodb):
        assert RecordStore.open(crossing.destination, "unmade", at.clock, create=False) is None
        assert "unmade" not in dynamodb.list_tables()["TableNames"]

    def test_one_made_by_hand_with_other_keys_is_refused(self, crossing, at, dynamodb):
        dynamodb.create_table(
            TableName="byhand",
            AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
            KeySchema=[{"AttributeName": "pk", "KeyType": "HASH"}],
            BillingMode="PAY_PER_REQUEST",
        )
        with pytest.raises(errors.RecordUnusable, match="record_table") as refused:
            RecordStore.open(crossing.destination, "byhand", at.clock)
        assert "pk (HASH, S)" in refused.value.cause

    def test_one_that_is_being_deleted_is_refused(self, crossing, at, dynamodb):
        RecordStore.open(crossing.destination, "leaving", at.clock)
        crossing.lab.set_timings({"table.deleting": 3600.0})
        try:
            dynamodb.update_table(TableName="leaving", DeletionProtectionEnabled=False)
            dynamodb.delete_table(TableName="leaving")
            with pytest.raises(errors.RecordUnusable, match="being deleted"):
                RecordStore.open(crossing.destination, "leaving", at.clock)
        finally:
            crossing.lab.set_timings({"table.deleting": 0.0})

    @staticmethod
    def denied(crossing, at, table, operation, action):
        """The refusal of the table of the records where ``operation`` is denied for want of ``action``."""
        crossing.lab.add_fault(
            operation=f"dynamodb.{operation}",
            code="AccessDeniedException",
            message=f"User is not authorized to perform: dynamodb:{action}",
            status=400,
            times=-1,
        )
        with pytest.raises(errors.RecordDenied) as refused:
            RecordStore.open(crossing.destination, table, at.clock)
        return refused

    def test_without_permission_the_policy_to_attach_is_named(self, crossing, at, dynamodb):
        refused = self.denied(crossing, at, "denied", "DescribeTable", "DescribeTable")
        statement = refused.value.details["policy"]["Statement"][0]
        assert statement["Resource"] == crossing.destination.table_arn("denied")
        assert "dynamodb:PutItem" in statement["Action"]
        assert json.dumps(refused.value.details)

    def test_h5_a_table_with_tags_of_ours_needs_one_permission_more_and_the_policy_has_it(self, crossing, at, dynamodb):
        refused = self.denied(crossing, at, "tagged", "CreateTable", "TagResource")
        statement = refused.value.details["policy"]["Statement"][0]
        assert {"dynamodb:CreateTable", "dynamodb:TagResource"} <= set(statement["Action"])
        assert "dynamodb:TagResource" in refused.value.next_step

    def test_the_policy_named_is_enough(self, crossing, at, dynamodb):
        arn = crossing.destination.table_arn("allowed")
        policy = {"Version": "2012-10-17", "Statement": [record_table.policy(arn)]}
        iam = crossing.lab.client("iam", "destination")
        trust = {
            "Version": "2012-10-17",
            "Statement": {
                "Effect": "Allow",
                "Principal": {"AWS": crossing.lab.landscape["hub"]["arn"]},
                "Action": "sts:AssumeRole",
            },
        }
        role = iam.create_role(RoleName="records", AssumeRolePolicyDocument=json.dumps(trust))["Role"]["Arn"]
        iam.put_role_policy(RoleName="records", PolicyName="records", PolicyDocument=json.dumps(policy))
        hub = crossing.lab.landscape["hub"]
        crossing.lab.client("iam", "management").put_user_policy(
            UserName="hub",
            PolicyName="records",
            PolicyDocument=json.dumps(
                {
                    "Version": "2012-10-17",
                    "Statement": {"Effect": "Allow", "Action": "sts:AssumeRole", "Resource": role},
                }
            ),
        )
        account = crossing.account(
            "destination", access_key=hub["access_key"], secret_key=hub["secret_key"], role_arn=role
        )
        store = RecordStore.open(account, "allowed", at.clock)
        assert store is not None
        run = Run.join(store, at.clock, Process("a", "h", "b", "n", 1, "s"), start_of=lambda pid: "s")
        record = word(run, run.claim(new(run, "orders")))
        uses = store.add_users("arn", frozenset({"a"}))
        store.begin_closing(uses, run.id)
        store.end_closing("arn", run.id)
        assert store.everything().records == (record,)
        store.remove(record)
        run.end()

    def test_a_key_that_may_not_be_used(self, crossing, at, dynamodb):
        run = joined(crossing, "encrypted", at, "one")
        crossing.lab.add_fault(
            operation="dynamodb.PutItem",
            code="AccessDeniedException",
            message="The ciphertext refers to a KMS key that you are not authorized to use: kms:Decrypt",
            status=400,
            times=-1,
        )
        with pytest.raises(errors.RecordUnusable, match="kms:Decrypt"):
            run.claim(new(run, "orders"))

    def test_throttled_for_longer_than_the_retries_last(self, crossing, at, dynamodb):
        run = joined(crossing, "throttled", at, "one")
        crossing.lab.add_fault(operation="dynamodb.PutItem", kind="throttle", times=2)
        run.claim(new(run, "orders"))
        crossing.lab.add_fault(operation="dynamodb.GetItem", kind="throttle", times=-1)
        with pytest.raises(errors.RecordBusy, match="throttled"):
            run.store.read(table_key("orders"))

    def test_deleted_during_a_run(self, crossing, at, dynamodb):
        run = joined(crossing, "deleted", at, "one")
        record = run.claim(new(run, "orders"))
        dynamodb.update_table(TableName="deleted", DeletionProtectionEnabled=False)
        dynamodb.delete_table(TableName="deleted")
        crossing.lab.advance(60)
        with pytest.raises(errors.RecordLost, match="gone"):
            word(run, record)
        with pytest.raises(errors.RecordLost):
            run.renew(300)

    def test_removed_when_nothing_is_left_in_it(self, crossing, at, dynamodb):
        run = joined(crossing, "emptied", at, "one")
        record = run.claim(new(run, "orders"))
        assert run.store.remove_table(run.id, at.clock.now()) is False
        assert dynamodb.describe_table(TableName="emptied")["Table"]["DeletionProtectionEnabled"] is True
        run.store.remove(record)
        assert run.store.remove_table("another", at.clock.now()) is False  # a run that lives is at work
        assert run.store.remove_table(run.id, at.clock.now()) is True
        assert run.store.remove_table(run.id, at.clock.now()) is False

    def test_a_clock_that_is_off_is_why_aws_refuses(self, crossing, dynamodb):
        clock = AwsClock(lambda: 0.0, lambda: 1_800_001_200.0)
        clock.observe(1_800_000_000.0, 0.0)
        clock.watch = lambda client: None  # type: ignore[method-assign]
        refusal = {"code": "InvalidSignatureException", "status": 400}
        crossing.lab.add_fault(operation="dynamodb.DescribeTable", times=-1, **refusal)
        with pytest.raises(errors.ClockOff, match="20 minutes ahead"):
            RecordStore.open(crossing.destination, "off", clock)


class TestTwoRuns:
    def test_one_holds_the_other_waits_then_takes_over(self, crossing, at, dynamodb):
        one, two = joined(crossing, "two", at, "one"), joined(crossing, "two", at, "two")
        record = one.claim(new(one, "orders"))
        seen = two.store.read(record.key)
        assert seen == record
        held = two.hold(seen)
        assert isinstance(held, HeldElsewhere) and held.words.startswith("held by ann@one since 20")
        at.on += 312
        taken = two.hold(seen)
        assert isinstance(taken, Taken)
        assert taken.record.run == two.id and taken.fence.at == one.until + 910
        with pytest.raises(errors.TakenOver, match=two.id):
            word(one, record)
        everything = two.store.everything()
        assert [each.name for each in everything.records] == ["orders"]
        assert everything.leases[one.id].ended is not None and everything.leases[two.id].ended is None

    def test_a_lost_answer_is_told_by_the_nonce(self, crossing, at, dynamodb):
        run = joined(crossing, "lost", at, "one")

        def lose(operation: str) -> None:
            crossing.lab.add_fault(operation=f"dynamodb.{operation}", kind="disconnect", when="after", times=1)

        lose("PutItem")
        record = run.claim(new(run, "orders"))
        assert run.store.read(record.key) == record
        lose("PutItem")
        after = word(run, record)
        assert run.store.read(record.key) == after and after.ver == 2
        lose("UpdateItem")
        run.renew(600)
        assert run.until >= at.clock.now() + 599
        lose("UpdateItem")
        run.end({"migrated": 1})
        lease = run.store.read_lease(run.id)
        assert lease is not None and lease.ended is not None and lease.totals == {"migrated": 1}

    def test_users_of_a_statement(self, crossing, at, dynamodb):
        run = joined(crossing, "users", at, "one")
        crossing.lab.add_fault(operation="dynamodb.UpdateItem", kind="disconnect", when="after", times=1)
        uses = run.store.add_users("arn:bucket", frozenset({"a", "b"}))
        assert uses.users == {"a", "b"} and uses.home == run.store.home
        closing = run.store.begin_closing(uses, run.id)
        assert closing is not None and closing.closing == run.id
        run.store.end_closing("arn:bucket", run.id)
        assert run.store.everything().uses == ()


class TestDatedRequests:
    def test_what_a_run_changes_is_held_to_its_lease(self, crossing, at, dynamodb):
        run = joined(crossing, "dated", at, "one")
        run.renew(FAR)
        keys = crossing.lab.landscape["accounts"]["destination"]
        account = crossing.account("destination", **{name: keys[name] for name in ("access_key", "secret_key")})
        buckets = account.client("s3")  # made before it is watched
        account.watch_clients(run.gate.guard)
        tables = account.client("dynamodb")

        def changes() -> None:
            buckets.delete_object(Bucket=crossing.bucket, Key="none")
            tables.delete_item(TableName="dated", Key={"pk": {"S": "a"}, "sk": {"S": "b"}})

        changes()
        at.on = FAR + 1.0
        with pytest.raises(errors.LeaseOver):
            buckets.delete_object(Bucket=crossing.bucket, Key="none")
        with pytest.raises(errors.LeaseOver):
            tables.delete_item(TableName="dated", Key={"pk": {"S": "a"}, "sk": {"S": "b"}})
        tables.list_tables()
        assert run.gate.unanswered() is None
        run.renew(FAR)
        changes()

    def test_whether_aws_has_begun_to_refuse_a_date(self, crossing, at, dynamodb):
        RecordStore.open(crossing.destination, "probed", at.clock)
        client = crossing.destination.own_client("dynamodb", connect_timeout=3, read_timeout=5, attempts=1)
        now = int(time.time())
        assert probe.signature_expired(client, "probed", now) is False
        assert probe.signature_expired(client, "probed", now - 1200) is True
        client.get_item(TableName="probed", Key={"pk": {"S": "a"}, "sk": {"S": "b"}})

    @pytest.mark.parametrize(("window", "refused"), [("5 minutes", 300), ("15 minutes", 900)])
    def test_a_run_finds_out_in_either_window(self, crossing, at, dynamodb, window, refused):
        RecordStore.open(crossing.destination, "probed", at.clock)
        prober = probe.Prober(crossing.destination, "probed")
        crossing.lab.choose_behaviours({"signature.window": window})
        try:
            now = int(time.time())
            assert prober(now - refused + 60) is False
            assert prober(now - refused - 60) is True
        finally:
            crossing.lab.choose_behaviours({"signature.window": "15 minutes"})
