# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Verbs other than the waiter that are stopped and woken: their lease has 300 s, and who takes over because the user
says so counts on 90 s."""

from __future__ import annotations

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors


class TestStopped:
    @pytest.mark.parametrize("seconds", [91, 200, 285])
    def test_it_sends_nothing_once_another_run_took_over(self, aws, one, two, seconds):
        one.claim()
        aws.advance(10)
        fence = two.take(take_over=one.run.id).fence
        aws.advance(seconds)
        assert aws.now < fence.at or seconds > 220
        assert aws.now < one.run.until + 10  # by its lease alone it would send
        with pytest.raises(errors.TakenOver, match=two.run.id):
            one.run.gate.leave(aws.now, "orders")
        assert one.run.gate.unanswered("orders") is None

    def test_what_it_sends_sooner_is_counted_on(self, aws, one, two):
        one.claim()
        fence = two.take(take_over=one.run.id).fence
        aws.advance(90)
        sent = one.run.gate.leave(aws.now, "orders")
        assert fence.at >= sent.date + 60 + 70

    def test_a_second_process_of_its_run_counts_from_its_own_look_at_the_lease(self, aws, one, two):
        one.claim()
        aws.advance(100)
        one.begin()  # joins the run that goes on
        before = one.client.calls
        one.run.gate.leave(aws.now, "orders")
        assert one.client.calls == before
        aws.advance(1)
        two.take(take_over=one.run.id)
        aws.advance(90)
        with pytest.raises(errors.TakenOver):
            one.run.gate.leave(aws.now, "orders")


def test_one_that_was_not_taken_over_goes_on(aws, one):
    until = one.run.until
    aws.advance(120)
    one.run.gate.leave(aws.now, "orders")
    assert one.run.until == until + 120
    before = one.client.calls
    one.run.gate.leave(aws.now + 1, "orders")
    assert one.client.calls == before
