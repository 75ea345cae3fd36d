# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every history that the record's model finds once one of its rules is missing, played against the room.

The model is a search over two controllers and one AWS; each test is named after the rule without which it found the
history, and plays the history until the point where the rule stops it.
"""

from __future__ import annotations

from dataclasses import replace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import (
    intended,
    intention,
    rules,
    transitions,
    uses,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.fence import SIGNATURE
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.intention import CLIENT_TOKEN, UNIQUE_NAME
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.lease import VERB, WAITER, Ended
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import (
    DELETE,
    FILL,
    JobEntry,
    Record,
    table_key,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import HeldElsewhere, Taken
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.transitions import Gone

from .two import KEY, SOURCE, Aws, Controller

HOUR = 3600
OVER = VERB + 11  # seconds after a verb's renewal in which another run may take over


def take_over_lapsed(aws: Aws, other: Controller) -> Taken:
    """``other`` takes the table after the lease of its holder ran out."""
    aws.advance(OVER)
    return other.take()


class TestFence:
    """Takeover waits until AWS refuses what the old run signed."""

    def test_a_late_write_cannot_overwrite_what_the_next_run_wrote(self, aws, network, one, two):
        one.to_filling()
        late, _ = network.send(one, "W:a of one")
        taken = take_over_lapsed(aws, two)
        assert aws.now - late.signed <= 900  # it would still be executed
        with pytest.raises(errors.NotYet):
            rules.require_fence(taken.record, two.moment())
        aws.advance(taken.fence.at - aws.now)
        rules.require_fence(taken.record, two.moment())
        assert not network.deliver(late)

    def test_whatever_was_signed_until_the_end_of_the_lease_is_refused_once_the_fence_has_passed(
        self, aws, network, one, two
    ):
        one.to_filling()
        aws.advance(one.run.until - WAITER - aws.now)
        with one.run.waiting():  # another verb would renew
            aws.advance(one.run.until - aws.now)
            late, _ = network.send(one, "signed in the last moment")
        aws.advance(11)
        taken = two.take()
        aws.advance(taken.fence.at - 1 - aws.now)
        with pytest.raises(errors.NotYet):
            rules.require_fence(taken.record, two.moment())
        aws.advance(1)
        rules.require_fence(taken.record, two.moment())
        assert not network.deliver(late)

    @pytest.mark.parametrize("what", ["S of one", "W:a of one"])
    def test_a_late_request_cannot_change_a_table_that_the_next_run_calls_done(self, aws, network, one, two, what):
        one.to_settled()
        late, _ = network.send(one, what)
        one.die()
        taken = take_over_lapsed(aws, two)
        with pytest.raises(errors.NotYet) as waits:
            two.step(transitions.done, seen_table_id="T1", verified={}, acceptable=True)
        assert waits.value.details["until"] == taken.fence.at
        aws.advance(taken.fence.at - aws.now)
        assert two.step(transitions.done, seen_table_id="T1", verified={}, acceptable=True).state == "done"
        assert not network.deliver(late)

    def test_no_create_table_beside_an_import_that_may_still_begin(self, aws, network, one, two):
        one.claim("s3")
        one.step(intended.intend, purpose=FILL, kind="import", token="f1", request="{}")
        late, _ = network.send(one, "F of one")
        one.die()
        taken = take_over_lapsed(aws, two)
        with pytest.raises(errors.StepNotAllowed, match="cannot be called off"):
            two.step(intended.change_method, "direct")
        with pytest.raises(errors.StepNotAllowed, match="already"):
            two.step(intended.intend, purpose=FILL, kind="create", token="c1", request="{}")
        with pytest.raises(errors.NotYet):
            two.step(intended.not_begun, "f1", CLIENT_TOKEN, listed_at=aws.now)
        aws.advance(taken.fence.at + intention.LISTED - aws.now)
        assert not network.deliver(late)
        two.run.renew(VERB)
        two.step(intended.not_begun, "f1", CLIENT_TOKEN, listed_at=aws.now)
        assert two.step(intended.change_method, "direct").method == "direct"

    def test_a_late_write_cannot_land_in_the_next_attempts_table(self, aws, network, one, two):
        one.to_filling()
        late, _ = network.send(one, "W:a of one")
        taken = take_over_lapsed(aws, two)
        with pytest.raises(errors.NotYet):
            two.step(intended.intend, purpose=DELETE, kind="delete", token="d1", request="{}")
        aws.advance(taken.fence.at - aws.now)
        two.run.renew(VERB)
        two.step(intended.intend, purpose=DELETE, kind="delete", token="d1", request="{}")
        two.step(intended.ended, "d1", ok=True, result={})
        assert two.step(transitions.new_attempt, method="s3").attempt == 2
        assert not network.deliver(late)

    def test_a_run_that_wakes_sends_nothing_more(self, aws, network, one, two):
        one.to_filling()  # decides to write, and is stopped
        take_over_lapsed(aws, two)
        with pytest.raises(errors.LeaseOver):
            network.send(one, "W:a of one")
        with pytest.raises(errors.TakenOver, match=two.run.id):
            one.run.renew(VERB)
        with pytest.raises(errors.TakenOver):
            network.send(one, "W:a of one")

    def test_a_signature_by_a_clock_that_runs_ahead_is_held_to_until_as_well(self, one):
        with pytest.raises(errors.LeaseOver):
            one.run.gate.leave(one.run.until + 1)


class TestSettle:
    """An intention without an answer is neither dropped nor repeated for ever."""

    @pytest.mark.parametrize("purpose", ["export", FILL])
    def test_no_second_billed_job_once_the_token_is_forgotten(self, aws, network, one, two, purpose):
        one.claim("s3")
        one.step(intended.intend, purpose=purpose, kind="job", token="x1", request="{}")
        network.send(one, "X of one")
        since = aws.now
        one.die()
        taken = take_over_lapsed(aws, two)
        job = two.read().job("x1")
        assert job is not None

        def step(at: float) -> str:
            return intention.step(job, CLIENT_TOKEN, at, fence=taken.fence.at, listed_at=at)

        assert step(aws.now) == "send"
        aws.advance(since + 7 * HOUR - 1 - aws.now)
        two.run.renew(VERB)
        assert step(aws.now) == "send"
        again, _ = network.send(two, "X of two")
        aws.advance(1)
        assert step(aws.now) == "close"
        aws.advance(HOUR - 1)  # AWS forgets the token 8 hours after it
        assert not network.deliver(again)

    def test_the_method_is_not_changed_over_a_create_table_without_an_answer(self, aws, network, one, two):
        one.claim("direct")
        one.step(intended.intend, purpose=FILL, kind="create", token="c1", request="{}")
        late, _ = network.send(one, "C of one")
        one.die()
        taken = take_over_lapsed(aws, two)
        with pytest.raises(errors.StepNotAllowed):
            two.step(intended.change_method, "s3")
        with pytest.raises(errors.NotYet):
            two.step(intended.not_begun, "c1", UNIQUE_NAME, listed_at=aws.now)
        aws.advance(taken.fence.at - aws.now)
        assert not network.deliver(late)


class TestTableId:
    """No evidence without the TableId."""

    @pytest.fixture
    def imported(self, one) -> Controller:
        one.claim("s3")
        one.step(intended.intend, purpose=FILL, kind="import", token="f1", request="{}")
        one.step(intended.begun, "f1", arn="arn:import")
        one.step(transitions.filling, "f1", "T1")
        one.step(intended.ended, "f1", ok=True, result={"items": 2})
        return one

    @pytest.mark.parametrize(("seen", "error"), [("", errors.StepNotAllowed), ("foreign", errors.Replaced)])
    def test_a_completed_import_whose_table_is_gone_or_replaced_fills_nothing(self, imported, seen, error):
        with pytest.raises(error):
            imported.step(transitions.filled, seen_table_id=seen, whole=True, evidence={}, data_as_of={})
        assert imported.read().state == "filling"

    @pytest.mark.parametrize(("seen", "error"), [("", errors.StepNotAllowed), ("foreign", errors.Replaced)])
    @pytest.mark.parametrize("step", ["settled", "done"])
    def test_neither_do_settings_nor_the_end(self, one, step, seen, error):
        more = {"read_back": True} if step == "settled" else {"verified": {}, "acceptable": True}
        one.to_filled() if step == "settled" else one.to_settled()
        with pytest.raises(error):
            one.step(getattr(transitions, step), seen_table_id=seen, **more)

    def test_a_deleted_copy_begins_anew_after_two_looks(self, aws, imported):
        first = aws.now
        with pytest.raises(errors.StepNotAllowed, match="looked for"):
            imported.step(transitions.new_attempt, method="s3")
        with pytest.raises(errors.NotYet):
            imported.step(transitions.new_attempt, method="s3", gone=Gone(first, first + 29))
        record = imported.step(
            transitions.new_attempt, method="s3", gone=Gone(first, first + 30), attempts_listed=(1, 4)
        )
        assert (record.state, record.attempt, record.table_id) == ("claimed", 5, "")


class TestHome:
    """Records know the table of the records that they were written into."""

    def test_a_running_import_of_ours_is_adopted_when_the_record_is_lost(self, aws, one, two):
        one.claim("s3")
        one.step(intended.intend, purpose=FILL, kind="import", token="f1", request="{}")
        aws.replace_record_table(keep=False)
        other = aws.controller("three")
        assert other.run.store.read(KEY) is None
        running = JobEntry(FILL, "import", 1, "f1", "{}", 1, 1, arn="arn:import", state="begun")
        record = other.run.claim(
            transitions.claim(
                KEY, other.moment(), home=other.run.store.home, migration="m", source=SOURCE, method="s3",
                table_exists=False, filled_by_others=False, attempts_listed=(1,), adopted=running,
            )
        )  # fmt: skip
        with pytest.raises(errors.StepNotAllowed, match="already"):
            other.step(intended.intend, purpose=FILL, kind="import", token="f2", request="{}")
        assert record.attempt == 1

    def test_the_run_that_lost_its_record_table_begins_nothing_more(self, aws, one):
        record = one.claim("s3")
        aws.replace_record_table(keep=False)
        aws.advance(VERB)
        with pytest.raises(errors.RecordLost):
            one.run.write(record, transitions.say(record, one.moment(), "next"))
        with pytest.raises(errors.RecordLost):
            one.run.look()

    def test_a_restored_table_of_the_records_does_not_renew_a_lapsed_lease(self, aws, one):
        one.claim("s3")
        aws.replace_record_table(keep=True)
        aws.advance(VERB)
        with pytest.raises(errors.RecordLost, match="restored"):
            one.run.renew(VERB)

    def test_a_restored_record_does_not_reopen_a_table_that_is_done(self, aws, one):
        one.to_settled()
        backup = aws.dynamodb("Scan", {"TableName": "tableferry"})["Items"]
        one.step(transitions.done, seen_table_id="T1", verified={}, acceptable=True)
        aws.restore_record_table(backup)
        other = aws.controller("three")
        record = other.read()
        with pytest.raises(errors.StateUnknown):
            rules.require_current(record, other.run.store.home, "T1")

    def test_a_restored_done_is_reported_for_the_same_table_only(self, aws, one):
        one.to_settled()
        one.step(transitions.done, seen_table_id="T1", verified={}, acceptable=True)
        aws.replace_record_table(keep=True)
        other = aws.controller("three")
        rules.require_current(other.read(), other.run.store.home, "T1")
        with pytest.raises(errors.StateUnknown):
            rules.require_current(other.read(), other.run.store.home, "T2")

    def test_a_restored_record_without_a_table_begins_anew_above_all_numbers(self, aws, one):
        one.to_filled()
        aws.replace_record_table(keep=True)
        other = aws.controller("three")
        aws.advance(OVER)
        taken = other.take()
        aws.advance(taken.fence.at - aws.now)
        other.run.renew(VERB)
        record = other.step(
            transitions.begin_anew_from_restored, home=other.run.store.home, table_exists=False,
            filled_by_others=False, method="s3", attempts_listed=(7,),
        )  # fmt: skip
        assert (record.state, record.attempt, record.home) == ("claimed", 8, other.run.store.home)


class TestWords:
    """Half a table has a state, and a word on what to do."""

    def test_half_a_table_by_direct_and_another_method_now(self, aws, network, one, two):
        one.claim("direct")
        one.step(intended.intend, purpose=FILL, kind="create", token="c1", request="{}")
        network.send(one, "C of one")
        one.die()
        take_over_lapsed(aws, two)
        two.step(transitions.filling, "c1", "T1")
        with pytest.raises(errors.StepNotAllowed):
            two.step(intended.change_method, "s3")
        with pytest.raises(errors.StepNotAllowed, match="word"):
            two.step(transitions.broken, seen_table_id="T1", why="method changed", next="")
        record = two.step(transitions.broken, seen_table_id="T1", why="method changed", next="Set the method direct.")
        assert (record.state, record.next) == ("broken", "Set the method direct.")

    def test_an_import_that_failed_on_items(self, one):
        one.claim("s3")
        one.step(intended.intend, purpose=FILL, kind="import", token="f1", request="{}")
        one.step(intended.begun, "f1", arn="arn:import")
        one.step(transitions.filling, "f1", "T1")
        with pytest.raises(errors.StepNotAllowed, match="may still write"):
            one.step(transitions.broken, seen_table_id="T1", why="failed", next="Delete it.")
        one.step(intended.ended, "f1", ok=False, result={"code": "ItemValidationError"})
        assert one.step(transitions.broken, seen_table_id="T1", why="failed", next="Delete it.").state == "broken"
        with pytest.raises(errors.StepNotAllowed):
            one.step(transitions.fill_again, "s3", seen_table_id="T1", resumable=False)

    def test_its_own_method_goes_on_with_half_a_table(self, one):
        one.to_filling()
        one.step(transitions.broken, seen_table_id="T1", why="refused item", next="Again.")
        with pytest.raises(errors.StepNotAllowed):
            one.step(transitions.fill_again, "spark", seen_table_id="T1", resumable=True)
        with pytest.raises(errors.Replaced):
            one.step(transitions.fill_again, "direct", seen_table_id="T2", resumable=True)
        assert one.step(transitions.fill_again, "direct", seen_table_id="T1", resumable=True).state == "filling"


class TestRenew:
    """A lapsed lease is not a lost one, and not only the waiter renews."""

    def test_a_run_between_two_waits_keeps_its_tables(self, aws, one, two):
        one.claim()
        aws.advance(VERB - 100)
        one.run.renew_if_due()
        aws.advance(150)
        assert isinstance(two.run.hold(two.read()), HeldElsewhere)

    def test_a_lapsed_lease_is_renewed_while_nobody_ended_it(self, aws, network, one, two):
        one.claim()
        aws.advance(VERB + 5)
        with pytest.raises(errors.LeaseOver):
            network.send(one, "anything")
        one.step(transitions.say, "goes on")  # a verb renews by itself
        network.send(one, "anything")
        assert isinstance(two.run.hold(two.read()), HeldElsewhere)


class TestKill:
    """The lease is ended first: two live runs do not take the table from each other."""

    def test_a_run_that_renewed_meanwhile_keeps_its_lease(self, aws, one, two):
        one.claim()
        aws.advance(OVER)
        read = two.client.interrupt
        seen = []

        def renews_in_between(moment: str, operation: str) -> None:
            if moment == "after" and operation == "GetItem" and not seen:
                seen.append(operation)
                one.run.renew(WAITER)

        two.client.interrupt = renews_in_between
        answer = two.run.hold(one.read())
        two.client.interrupt = read
        assert isinstance(answer, HeldElsewhere)
        one.run.look()

    def test_the_run_that_was_ended_does_not_take_its_table_back(self, aws, one, two):
        record = one.claim()
        aws.advance(OVER)
        two.take()
        with pytest.raises(errors.TakenOver, match=two.run.id):
            one.run.write(record, transitions.say(record, one.moment(), "mine"))
        aws.advance(OVER)
        with pytest.raises(errors.TakenOver):
            one.run.hold(one.read())

    def test_one_write_frees_all_tables_of_the_run(self, aws, one, two):
        one.claim()
        more = [
            one.run.claim(
                transitions.claim(
                    table_key(name), one.moment(), home=one.run.store.home, migration="m", source=SOURCE, method="s3",
                    table_exists=False, filled_by_others=False,
                )
            )
            for name in ("a", "b")
        ]  # fmt: skip
        aws.advance(OVER)
        first = two.take()
        for record in more:
            taken = two.run.hold(record)
            assert isinstance(taken, Taken) and taken.fence == first.fence


class TestQuiet:
    """Own requests without an answer are waited for."""

    @pytest.mark.parametrize("what", ["W:a", "S"])
    def test_a_twin_of_our_own_cannot_change_a_table_that_is_done(self, aws, network, one, what):
        one.to_settled()
        first, attempt = network.send(one, what)
        one.run.gate.lost(attempt)  # its connection is closed, no answer came
        again, second = network.send(one, what)
        one.run.gate.answered(second)
        assert network.deliver(again)
        with pytest.raises(errors.NotYet) as waits:
            one.step(transitions.done, seen_table_id="T1", verified={}, acceptable=True)
        assert waits.value.details["until"] == first.signed + 60
        aws.advance(60)
        assert one.step(transitions.done, seen_table_id="T1", verified={}, acceptable=True).state == "done"

    def test_one_that_is_still_waited_for_counts_as_sent_now(self, aws, network, one):
        one.to_settled()
        network.send(one, "S")
        aws.advance(200)
        with pytest.raises(errors.NotYet):
            one.step(transitions.done, seen_table_id="T1", verified={}, acceptable=True)


class TestClaim:
    """A claim is of the destination's name: one item under a fixed key."""

    def test_two_migrations_into_one_name(self, one, two):
        def new(controller: Controller, migration: str) -> Record:
            return transitions.claim(
                KEY, controller.moment(), home=controller.run.store.home, migration=migration, source=SOURCE,
                method="s3", table_exists=False, filled_by_others=False,
            )  # fmt: skip

        a, b = new(one, "a"), new(two, "b")
        one.run.claim(a)
        with pytest.raises(errors.Claimed, match="migration a"):
            two.run.claim(b)
        with pytest.raises(errors.Claimed, match="run that migration to its end") as claimed:
            transitions.require_same(two.read(), "b", SOURCE.arn)
        assert "abandon: true" in claimed.value.next_step
        for state, way in (("done", "delete it, then run cleanup"), ("filling", "delete its copy, then run cleanup")):
            with pytest.raises(errors.Claimed) as claimed:
                transitions.require_same(replace(two.read(), state=state, table_id="id"), "b", SOURCE.arn)
            assert claimed.value.next_step.startswith("Choose another destination name. ")
            assert way in claimed.value.next_step
        with pytest.raises(errors.Claimed):
            transitions.require_same(two.read(), "a", "arn:other")
        transitions.require_same(two.read(), "a", SOURCE.arn)


class TestUses:
    """Taking a shared statement away and beginning to use it exclude each other."""

    ARN = "arn:aws:s3:::bucket"

    def test_nobody_is_added_while_it_is_taken_away(self, one, two):
        store: RecordStore = one.run.store
        old, new = uses.user_ids("m", ["old"]), uses.user_ids("m", ["new"])
        store.add_users(self.ARN, old)
        seen = store.read_uses(self.ARN)
        assert seen is not None
        store.begin_closing(seen, one.run.id)
        assert two.run.store.add_users(self.ARN, new).closing == one.run.id
        store.end_closing(self.ARN, one.run.id)
        assert two.run.store.add_users(self.ARN, new).users == new

    def test_it_is_not_taken_away_once_another_one_began(self, one, two):
        store: RecordStore = one.run.store
        old, new = uses.user_ids("m", ["old"]), uses.user_ids("m", ["new"])
        seen = store.add_users(self.ARN, old)
        two.run.store.add_users(self.ARN, new)
        after = store.begin_closing(seen, one.run.id)
        assert after is not None and after.closing == "" and after.users == old | new
        left = store.remove_users(self.ARN, old)
        assert left is not None and left.users == new

    def test_what_a_dead_run_began_to_take_away_another_one_finishes(self, one, two):
        store: RecordStore = one.run.store
        old = uses.user_ids("m", ["old"])
        store.begin_closing(store.add_users(self.ARN, old), one.run.id)
        seen = two.run.store.read_uses(self.ARN)
        assert seen is not None
        after = two.run.store.begin_closing(seen, two.run.id)
        assert after is not None and after.closing == two.run.id
        store.end_closing(self.ARN, one.run.id)  # the dead one wakes: it is not its any more
        assert two.run.store.read_uses(self.ARN) is not None
        two.run.store.end_closing(self.ARN, two.run.id)
        assert two.run.store.read_uses(self.ARN) is None


class TestRenewals:
    """A renewal that arrives late never sets ``until`` back."""

    def test_a_late_twin_changes_nothing(self, aws, one, two):
        one.claim()
        store = one.run.store
        store.renew_lease(one.run.id, 2_000_000_000, 1)
        late = store.renew_lease(one.run.id, 1_900_000_000, 1)
        assert late.until == 2_000_000_000
        lease = two.run.store.read_lease(one.run.id)
        assert lease is not None and lease.until == 2_000_000_000

    def test_a_renewal_after_the_end_changes_nothing(self, aws, one, two):
        one.claim()
        lease = two.run.store.read_lease(one.run.id)
        two.run.store.end_lease(one.run.id, Ended("x", 1, lease.until + SIGNATURE), lease)
        assert one.run.store.renew_lease(one.run.id, lease.until + 90, 1).until == lease.until
        with pytest.raises(errors.TakenOver):
            one.run.renew(WAITER)
