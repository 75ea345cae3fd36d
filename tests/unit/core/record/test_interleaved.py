# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two controllers: the second one comes between any two calls of the first, which is killed, stopped or at work."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import network_route, transport
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import fence, intended, rules, transitions
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.lease import VERB
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import FILL, Record
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import HeldElsewhere, Taken, held_lines
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.takeover import LETTING_GO, LETTING_GO_EVERY

from .two import KEY, Aws, Controller

OVER = VERB + 11


class Killed(BaseException):
    """SIGKILL at this call."""


def go_on(by: Controller, record: Record | None) -> Record:
    """Bring the table, from where its record says it is, to ``done`` and let it go. The import is done at once."""

    def step(record: Record, change: Callable[..., Record], *args: object, **more: object) -> Record:
        return by.run.write(record, change(record, by.moment(), *args, **more))

    record = record or by.claim()
    while not record.is_done:
        job = record.last_job(FILL)
        if record.state == "claimed" and job is None:
            record = step(record, intended.intend, purpose=FILL, kind="import", token="t1", request="{}")
        elif record.state == "claimed" and job is not None and not job.arn:
            record = step(record, intended.begun, "t1", arn="arn:import", table_id="T1")
        elif record.state == "claimed":
            record = step(record, transitions.filling, "t1", "T1")
        elif record.state == "filling" and job is not None and job.is_open:
            record = step(record, intended.ended, "t1", ok=True, result={"items": 2})
        elif record.state == "filling":
            record = step(
                record, transitions.filled, seen_table_id="T1", whole=True, evidence={"items": 2}, data_as_of={}
            )
        elif record.state == "filled":
            record = step(record, transitions.settled, seen_table_id="T1", read_back=True)
        else:
            record = step(record, transitions.done, seen_table_id="T1", verified={}, acceptable=True)
    record = by.run.let_go(record, "Nothing.")
    by.run.end()
    return record


def arrive(by: Controller) -> Record | None:
    """The record, taken; None if there is none yet."""
    record = by.run.store.read(KEY)
    if record is None:
        return None
    taken = by.run.hold(record)
    assert isinstance(taken, Taken), taken
    return taken.record


def calls_of_the_way() -> int:
    aws = Aws()
    one = aws.controller("one")
    before = one.client.calls
    go_on(one, None)
    aws.close()
    return one.client.calls - before


CALLS = calls_of_the_way()


def at_call(by: Controller, number: int, moment: str, do: Callable[[], None]) -> None:
    """Have ``do`` done once, at the ``number``-th call from now."""
    due = by.client.calls + number
    done: list[int] = []

    def interrupt(when: str, operation: str) -> None:
        if when == moment and by.client.calls == due and not done:
            done.append(due)
            do()

    by.client.interrupt = interrupt


def kill() -> None:
    raise Killed


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_killed_at_any_call_the_next_run_takes_it_to_its_end(aws, one, number, moment):
    at_call(one, number, moment, kill)
    with pytest.raises(Killed):
        go_on(one, None)
    one.die()
    two = aws.controller("two")
    aws.advance(OVER)
    record = arrive(two)
    aws.advance(max(0.0, (record.fence if record else 0) - aws.now))
    end = go_on(two, record) if record is None or not record.is_done else record
    assert (end.state, end.attempt, end.table_id) == ("done", 1, "T1")
    assert [job.state for job in end.jobs] == ["done"]


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_stopped_at_any_call_and_woken_it_changes_nothing_more(aws, one, two, number, moment):
    end: list[Record] = []

    def another_run_does_it_all() -> None:
        aws.advance(OVER)
        record = arrive(two)
        aws.advance(max(0.0, (record.fence if record else 0) - aws.now))
        end.append(go_on(two, record))

    at_call(one, number, moment, another_run_does_it_all)
    try:
        go_on(one, None)
    except (errors.TakenOver, errors.RecordChanged, errors.Claimed):
        stopped = True
    else:
        stopped = False
    assert stopped or number >= CALLS - 2  # what is left is to end the own lease, the table being let go
    record = two.read()
    assert record == end[0]
    assert record.state == "done"


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_while_a_run_lives_another_one_at_any_call_waits(aws, one, two, number, moment):
    seen: list[Record | HeldElsewhere | Taken] = []

    def looks() -> None:
        record = two.run.store.read(KEY)
        if record is not None:
            seen.append(two.run.hold(record) if record.run else record)

    at_call(one, number, moment, looks)
    assert go_on(one, None).state == "done"
    assert all(isinstance(each, (HeldElsewhere, Record)) for each in seen)


@pytest.mark.parametrize("number", range(1, CALLS + 1))
def test_an_answer_lost_at_any_call_changes_nothing(aws, one, number):
    """The call is done, its answer lost, and botocore sends it again: the nonce says that it had passed."""
    one.client.lost = frozenset({one.client.calls + number})
    record = go_on(one, None)
    assert one.read() == record
    assert record.state == "done"


def test_two_runs_take_a_free_table_at_once(aws, one, two):
    """Both read the record that nobody holds; one of them takes it."""
    one.claim()
    free = one.run.let_go(one.read())
    three = aws.controller("three")
    assert isinstance(two.run.hold(free), Taken)
    with pytest.raises(errors.RecordChanged):
        three.run.hold(free)
    assert isinstance(three.run.hold(three.read()), HeldElsewhere)


class TestTheSameMachine:
    """A run that is gone from this machine need not be waited for as long."""

    def test_it_is_taken_over_after_twelve_seconds_and_fenced_for_a_minute(self, aws):
        one, two = aws.controller("one", host="ci"), aws.controller("two", host="ci")
        one.to_filling()
        assert isinstance(two.run.hold(two.read()), HeldElsewhere)
        one.die()
        gone = aws.now
        held = two.run.hold(two.read())
        assert isinstance(held, HeldElsewhere) and held.again == gone + LETTING_GO_EVERY
        aws.advance(LETTING_GO)
        taken = two.take()
        assert "gone from this machine" in taken.why
        assert taken.fence.at == gone + 60

    def test_one_that_let_go_meanwhile_leaves_no_fence(self, aws):
        one, two = aws.controller("one", host="ci"), aws.controller("two", host="ci")
        one.to_filling()
        one.run.end()
        one.die()
        taken = two.take()
        assert taken.fence.at == 0

    def test_its_unanswered_request_does(self, aws):
        one, two = aws.controller("one", host="ci"), aws.controller("two", host="ci")
        one.to_filling()
        attempt = one.run.gate.leave(aws.now, "orders")
        one.run.gate.lost(attempt)
        sent = aws.now
        aws.advance(10)
        one.run.end()
        assert two.take().fence.at == sent + 60

    def test_another_container_with_its_pid_is_not_it(self, aws):
        one, two = aws.controller("one", host="ci"), aws.controller("two", host="other")
        one.to_filling()
        one.die()
        aws.advance(LETTING_GO)
        assert isinstance(two.run.hold(two.read()), HeldElsewhere)
        aws.advance(LETTING_GO)
        assert isinstance(two.run.hold(two.read()), HeldElsewhere)


class TestInterrupted:
    """A process that is asked to end lets go, whether its parent still lives or not."""

    @pytest.mark.parametrize("parent", ["lives", "gone"])
    def test_the_next_run_takes_the_table_at_once(self, aws, one, two, parent):
        one.to_filling()
        one.run.interrupt()
        if parent == "gone":
            one.die()
        one.run.abandon(60)
        assert (two.read().run, two.read().fence) == ("", 0)
        one.run.end()
        taken = two.take()
        assert (taken.fence.at, taken.why) == (0, "")

    def test_its_answers_are_written_and_nothing_is_begun(self, aws, one, two):
        one.claim()
        one.step(intended.intend, purpose=FILL, kind="create", token="t1", request="{}")
        one.run.interrupt()
        with pytest.raises(errors.Interrupted):
            one.run.look()
        with pytest.raises(errors.Interrupted):
            one.run.gate.leave(aws.now, "orders")
        one.step(transitions.filling, "t1", "T1")
        one.run.abandon(60)
        assert (two.read().state, two.read().run) == ("filling", "")
        with pytest.raises(errors.Interrupted):
            one.run.store.claim(two.read())

    def test_a_record_that_was_written_meanwhile_is_let_go_too(self, aws, one, two):
        one.to_filling()
        stale = dict(one.run._held)
        one.step(transitions.say, "Wait.")
        one.run._held = stale
        one.run.interrupt()
        one.run.abandon(60)
        assert (two.read().run, two.read().next) == ("", "Wait.")

    def test_without_time_the_lease_frees_the_tables(self, aws, one, two):
        one.to_filling()
        one.run.interrupt()
        one.run.abandon(-1)
        assert two.read().run == one.run.id
        one.run.end()
        assert two.take().fence.at == 0

    def test_what_has_no_answer_is_fenced_at_its_table_and_for_the_run(self, aws, one, two):
        one.to_filling()
        one.run.gate.leave(aws.now, "orders")
        one.run.gate.leave(aws.now, "others")
        one.run.interrupt()
        aws.advance(10)
        one.run.gate.give_up()
        one.run.abandon(60)
        assert two.read().fence == aws.now + 60
        lease = two.run.store.read_lease(one.run.id)
        assert lease is not None and lease.unanswered == aws.now and lease.ended is None
        one.run.end()
        lease = two.run.store.read_lease(one.run.id)
        assert lease is not None and lease.ended is not None and lease.ended.fence == aws.now + 60

    def test_a_process_that_others_cannot_see_is_fenced_by_its_lease(self, aws, one, two):
        one.to_filling()
        one.run.leave_unseen()
        until = int(one.run.until)
        one.run.end()
        assert two.take().fence.at == until + 60


class TestTakeOver:
    """``take_over``: the user says that the process is gone."""

    def test_it_shortens_the_wait(self, aws, one, two):
        one.to_filling()
        taken = two.take(take_over=one.run.id)
        assert taken.fence.at == aws.now + 90 + 10 + 60 + 60
        assert taken.why.endswith("take_over says that its process is gone")

    @pytest.mark.parametrize(("over", "seconds"), [(-30, 160), (0, 130), (69, 61), (200, 60)])
    def test_what_it_sent_last_is_waited_for(self, aws, one, two, over, seconds):
        """Its lease is ``over`` for so long: it sent nothing since."""
        one.to_filling()
        aws.advance(one.run.until - aws.now + over)
        assert two.take(take_over=one.run.id).fence.at == aws.now + seconds

    def test_requests_wait_no_longer_than_the_fence_counts_on(self):
        assert network_route.CONNECT_SECONDS + transport.ANSWER_SECONDS == fence.ANSWERED

    def test_of_another_run_it_does_nothing(self, aws, one, two):
        one.to_filling()
        assert isinstance(two.run.hold(two.read(), take_over="another"), HeldElsewhere)

    def test_the_one_that_lives_ends_at_its_next_renewal(self, aws, one, two):
        one.to_filling()
        two.take(take_over=one.run.id)
        aws.advance(20)
        with pytest.raises(errors.TakenOver, match=two.run.id):
            one.run.renew(90)

    def test_a_lease_that_is_gone_is_written_as_ended(self, aws, one, two):
        one.to_filling()
        aws.dynamodb("DeleteItem", {"TableName": "tableferry", "Key": two.run.store.read_lease(one.run.id).key})
        taken = two.take()
        assert taken.fence.at == aws.now + 300 + 240 + 910
        lease = two.run.store.read_lease(one.run.id)
        assert lease is not None and lease.ended is not None and lease.ended.by == two.run.id


class TestWaiting:
    """What is said of tables that another run holds, and how the fence of DynamoDB's own calls is seen to be over."""

    def test_a_line_for_each_run(self, aws, one, two):
        one.claim()
        aws.advance(12)
        held = two.run.hold(two.read())
        assert isinstance(held, HeldElsewhere)
        (line,) = held_lines([held, held])
        assert line.startswith("held by ann@one since 2027-01-15T08:00:0")
        assert "renewed 12 s ago: 2 tables. If its process is gone" in line
        assert f"take_over: {one.run.id}, and items and settings wait up to 220 s" in line
        refusal = held.refusal("orders")
        assert refusal.status == "refused" and f"take_over: {one.run.id}" in str(refusal)
        assert held_lines([]) == []

    def test_aws_refuses_the_former_holders_signatures_already(self, aws, one, two):
        one.to_filling()
        one.step(transitions.broken, seen_table_id="T1", why="stopped", next="Again.")
        asked: list[int] = []

        def refuses(date: int) -> bool:
            asked.append(date)
            return aws.now > date + 320

        until = int(one.run.until)
        aws.advance(OVER)
        two.take()
        two.run.refuses = refuses
        two.run.probe("orders")
        assert asked == []  # it cannot be yet
        aws.advance(until + 305 - aws.now)
        for _ in range(3):
            two.run.probe("orders")
        assert asked == [until]
        aws.advance(20)
        two.run.probe("orders")
        two.run.probe("orders")
        assert asked == [until, until]
        again = {"seen_table_id": "T1", "resumable": True}
        with pytest.raises(errors.NotYet) as waits:
            two.step(transitions.fill_again, "direct", **again)
        assert waits.value.details["until"] == aws.now + 15
        aws.advance(15)
        assert two.step(transitions.fill_again, "direct", **again).state == "filling"
        with pytest.raises(errors.NotYet):
            rules.require_fence(two.read(), two.moment())

    @pytest.mark.parametrize("answer", [False, errors.RecordBusy("Busy.", "Wait.")])
    def test_an_endpoint_that_never_refuses_leaves_the_fence(self, aws, one, two, answer):
        one.to_filling()
        until = int(one.run.until)
        aws.advance(OVER)
        two.take()

        def refuses(date: int) -> bool:
            if isinstance(answer, Exception):
                raise answer
            return answer

        two.run.refuses = refuses
        tracking = Tracking(two.run, "orders")
        while aws.now < until + 910:
            assert tracking.fence_left(dynamodb_only=True) == tracking.fence_left() == until + 910 - aws.now
            aws.advance(100)
        assert tracking.fence_left(dynamodb_only=True) == 0

    def test_items_wait_for_dynamodb_alone(self, aws, one, two):
        one.to_filling()
        until = int(one.run.until)
        aws.advance(OVER)
        two.take()
        two.run.refuses = lambda date: aws.now > date + 300
        tracking = Tracking(two.run, "orders")
        aws.advance(until + 301 - aws.now)
        assert tracking.fence_left(dynamodb_only=True) == 15
        assert tracking.fence_left() == 609
        aws.advance(15)
        assert (tracking.fence_left(dynamodb_only=True), tracking.fence_left()) == (0, 594)


class TestRuns:
    """One run for each ansible-playbook process."""

    def test_its_workers_share_it(self, one):
        first = one.run.id
        one.begin()
        assert one.run.id == first

    def test_after_its_end_the_next_playbook_is_another_run(self, one):
        first = one.run.id
        one.run.end()
        with pytest.raises(errors.TakenOver, match="ended"):
            one.run.look()
        one.begin()
        assert one.run.id != first

    def test_what_a_worker_left_without_an_answer_its_run_waits_for(self, aws, one, two):
        one.to_settled()
        one.run.gate.lost(one.run.gate.leave(aws.now, "orders"))
        sent = aws.now
        one.run.leave()
        one.begin()  # the next verb, in another process
        with pytest.raises(errors.NotYet) as waits:
            one.step(transitions.done, seen_table_id="T1", verified={}, acceptable=True)
        assert waits.value.details["until"] == sent + 60
        one.run.end()
        assert two.take().fence.at == sent + 60

    def test_stopped_while_it_renewed_it_writes_nothing(self, aws, one):
        record = one.claim()
        aws.advance(VERB - 100)

        def stop(moment: str, operation: str) -> None:
            if moment == "after" and operation == "UpdateItem":
                aws.advance(VERB + 1)

        one.client.interrupt = stop
        with pytest.raises(errors.LeaseOver):
            one.run.write(record, transitions.say(record, one.moment(), "late"))
        assert one.read() == record

    def test_a_local_clock_that_jumps_ahead_has_the_lease_renewed(self, aws, one):
        one.run.renew_if_due()
        until = one.run.until
        one.clock._local = lambda: aws.now + 200  # type: ignore[method-assign]
        one.run.renew_if_due()
        assert one.run.until == until + 200

    def test_ended_by_another_run_it_begins_nothing_more(self, aws, one, two):
        one.claim()
        two.take(take_over=one.run.id)
        with pytest.raises(errors.TakenOver):
            one.begin()

    def test_its_process_has_ended(self, aws, one):
        one.die()
        aws.advance(1)
        with pytest.raises(errors.ParentGone):
            one.run.look()
        with pytest.raises(errors.ParentGone):
            one.run.renew(90)
        with pytest.raises(errors.ParentGone):
            one.begin()

    def test_the_waiters_thread_renews_and_ends_with_the_context(self, aws, one):
        turns = iter([False, False, True])

        def pause(_stop: object, seconds: float) -> bool:
            aws.advance(seconds * 15)
            return next(turns)

        with one.run.keep(pause):
            pass
        assert one.run.until >= aws.now + 90 - 20 * 15

    @pytest.mark.parametrize(("refusal", "noted"), [("final", True), ("passes", False)])
    def test_the_waiters_thread_notes_a_session_that_is_over_for_good(self, one, monkeypatch, refusal, noted):
        turns, ended = iter([False, True]), {"session_ended": True, "refusal": refusal}

        def refused(*_lease: object) -> None:
            raise errors.CredentialsError("The session has ended.", "Give new keys.", details=ended)

        def pause(_stop: object, _seconds: float) -> bool:
            monkeypatch.setattr(one.run.store, "renew_lease", refused)
            return next(turns)

        with one.run.keep(pause):
            pass
        assert (one.run.keys_ended is not None) is noted

    def test_ended_leases_go_once_nothing_names_them(self, aws, one, two):
        one.to_filling()
        store = two.run.store
        one.run.end()
        aws.advance(1000)
        two.run.renew(90)
        assert store.remove_ended_leases(store.everything(), aws.now) == 0
        two.take()
        assert store.remove_ended_leases(store.everything(), aws.now) == 1
        assert set(store.everything().leases) == {two.run.id}

    def test_a_record_that_is_removed_frees_the_name(self, aws, one, two):
        record = one.claim()
        with pytest.raises(errors.RecordChanged):
            two.run.store.remove(record.__class__.from_item({**record.to_item(), "run": {"S": two.run.id}}))
        one.run.store.remove(record)
        one.run.store.remove(record)
        assert two.claim(migration="another").migration == "another"
