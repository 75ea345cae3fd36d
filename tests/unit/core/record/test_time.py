# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's time, dated requests and processes: by clocks that the tests turn, through botocore without a network."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from email.utils import formatdate
from typing import Any

import pytest
from botocore.awsrequest import AWSResponse
from botocore.config import Config
from botocore.exceptions import ClientError, ConnectionClosedError
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors, sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.gate import (
    Gate,
    changes_something,
    signature_date,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.signing.clock_off import http_date

T0 = 1_800_000_000


class Machine:
    """A controller's clocks: ``up`` counts seconds, the local clock is ``off`` from AWS's."""

    def __init__(self, off: float = 0.0) -> None:
        self.up, self.off = 0.0, off
        self.clock = AwsClock(lambda: self.up, lambda: T0 + self.up + self.off)


class TestClock:
    def test_before_the_first_answer_nothing_is_known(self):
        machine = Machine()
        assert not machine.clock.known
        with pytest.raises(errors.RecordBusy, match="Date"):
            machine.clock.now()

    def test_it_goes_on_by_the_clock_that_counts_sleep(self):
        machine = Machine()
        machine.clock.observe(T0, 0.0)
        machine.up = 1200.5
        assert machine.clock.now() == T0 + 1200.5
        worker = AwsClock(lambda: machine.up, offset=machine.clock.offset)
        assert worker.now() == machine.clock.now()

    def test_an_answer_read_after_a_stop_does_not_set_it_back(self):
        machine = Machine()
        machine.clock.observe(T0, 0.0)
        machine.up = 1200.0  # stopped after the request left, woken, and only now its answer is read
        machine.clock.observe(T0, 0.0)
        assert machine.clock.now() == T0 + 1200

    def test_one_answer_from_a_wrong_server_is_corrected_by_the_next(self):
        machine = Machine()
        machine.clock.observe(T0 + 5000, 0.0)
        machine.up = 10.0
        machine.clock.observe(T0 + 10, 9.9)
        assert machine.clock.now() == pytest.approx(T0 + 10, abs=1.2)

    @given(
        st.lists(st.tuples(st.floats(0, 600), st.floats(0, 60), st.floats(0, 60)), min_size=1, max_size=20),
        st.floats(-300, 300),
    )
    def test_it_is_never_ahead_and_behind_by_no_more_than_the_best_answer(self, answers, off):
        machine = Machine(off)
        best = float("inf")
        for pause, there, back in answers:
            machine.up += pause
            sent = machine.up
            machine.up += there
            date = int(T0 + machine.up)
            best = min(best, back + (T0 + machine.up - date))
            machine.up += back
            machine.clock.observe(date, sent)
            error = (T0 + machine.up) - machine.clock.now()
            assert -1e-4 <= error <= best + 1e-4

    @pytest.mark.parametrize(("off", "right"), [(0, True), (180, True), (-180, True), (1200, False), (-1200, False)])
    def test_a_controller_whose_clock_is_off_is_refused(self, off, right):
        machine = Machine(off)
        machine.clock.observe(T0, 0.0)
        if right:
            machine.clock.require_right()
        else:
            with pytest.raises(errors.ClockOff, match=r"20 minutes (ahead of|behind)"):
                machine.clock.require_right()
        assert machine.clock.ahead() == max(0, off)

    @pytest.mark.parametrize(("off", "right"), [(0, True), (-1000, False), (1500, False)])
    def test_a_stop_before_the_first_answer_is_no_clock_that_is_off(self, off, right):
        """SIGSTOP between the run's first request and its answer: that one says little of AWS's time."""
        machine = Machine(off)
        machine.up = 1200.0
        machine.clock.observe(T0, 0.0)
        if right:
            machine.clock.require_right()
        machine.clock.observe(T0 + 1200, 1199.9)
        if not right:
            with pytest.raises(errors.ClockOff):
                machine.clock.require_right()
        machine.off = 0
        machine.clock.require_right()

    def test_dates(self):
        assert http_date("Fri, 15 Jan 2027 08:00:00 GMT") == T0
        assert http_date("") is http_date("soon") is None


class Wire:
    """A DynamoDB client whose requests meet ``answer`` instead of a network."""

    def __init__(self, service: str = "dynamodb", retries: int = 1) -> None:
        self.sent: list[Any] = []
        self.answer: Callable[[int], AWSResponse] = lambda number: self.response(200)
        self.client = sdk.new_session().create_client(
            service,
            region_name="eu-west-1",
            aws_access_key_id="AKIDEXAMPLE",
            aws_secret_access_key="secret",
            config=Config(retries={"total_max_attempts": retries, "mode": "standard"}),
        )

    def connect(self) -> None:
        """After the handlers of the product."""
        service = self.client.meta.service_model.service_id.hyphenize()
        self.client.meta.events.register_last(f"before-send.{service}", self._send)

    def _send(self, request: Any, **_event: Any) -> AWSResponse:
        self.sent.append(request)
        return self.answer(len(self.sent))

    def response(self, status: int, body: bytes = b"{}", date: float = T0) -> AWSResponse:
        headers = {"Date": formatdate(date, usegmt=True), "Content-Type": "application/x-amz-json-1.0"}

        class Raw:
            def stream(self, **_: Any) -> Any:
                return iter([body])

        return AWSResponse("https://aws/", status, headers, Raw())  # type: ignore[arg-type]


class TestWatching:
    @pytest.mark.parametrize("status", [200, 400])
    def test_the_clock_learns_from_answers_and_refusals(self, status):
        wire, machine = Wire(), Machine()
        machine.clock.watch(wire.client)
        wire.connect()
        wire.answer = lambda number: wire.response(status)
        try:
            wire.client.list_tables()
        except ClientError:
            assert status == 400
        assert machine.clock.now() == T0


def guarded(until: float, retries: int = 1, look: Callable[[], None] = lambda: None) -> tuple[Wire, Gate, Machine]:
    wire, machine = Wire(retries=retries), Machine()
    machine.clock.observe(T0, 0.0)
    gate = Gate(machine.clock, lambda: until, look)
    gate.guard(wire.client)
    wire.connect()
    return wire, gate, machine


FAR = 2 * T0  # botocore signs by the machine's real clock


class TestGate:
    def test_it_lets_changes_out_and_reads_always(self):
        wire, gate, _ = guarded(FAR)
        wire.client.delete_item(TableName="orders", Key={})
        assert gate.unanswered() is None
        wire, _, _ = guarded(T0 - 1)
        wire.client.list_tables()
        assert len(wire.sent) == 1

    def test_a_change_after_until_does_not_leave(self):
        wire, _, _ = guarded(T0 - 1)
        with pytest.raises(errors.LeaseOver):
            wire.client.delete_item(TableName="orders", Key={})
        assert wire.sent == []

    def test_one_whose_signature_is_dated_later_neither(self):
        _, gate, machine = guarded(T0 + 10)
        with pytest.raises(errors.LeaseOver):
            gate.leave(T0 + 11)
        machine.up = 10.0
        gate.leave(T0 + 10)

    def test_a_retry_is_held_to_it_too(self):
        wire, _, machine = guarded(FAR, retries=3)

        def late(number: int) -> AWSResponse:
            machine.up = float(FAR)
            return wire.response(500)

        wire.answer = late
        with pytest.raises(errors.LeaseOver):
            wire.client.delete_item(TableName="orders", Key={})
        assert len(wire.sent) == 1

    def test_it_looks_before_each_change(self):
        def look() -> None:
            raise errors.TakenOver("Taken.", "Stop.")

        wire, _, _ = guarded(FAR, look=look)
        with pytest.raises(errors.TakenOver):
            wire.client.delete_item(TableName="orders", Key={})
        assert wire.sent == []

    def test_what_broke_or_failed_inside_aws_has_no_answer(self):
        wire, gate, _ = guarded(FAR)

        def breaks(number: int) -> AWSResponse:
            raise ConnectionClosedError(endpoint_url="https://aws/")

        for answer in (breaks, lambda number: wire.response(500)):
            wire.answer = answer
            with gate.about("orders") as call, pytest.raises((ConnectionClosedError, ClientError)):
                wire.client.delete_item(TableName="orders", Key={})
            assert not call.all_answered
            assert gate.unanswered("orders") is not None
            assert gate.unanswered("others") is None

    def test_a_refusal_is_an_answer(self):
        wire, gate, _ = guarded(FAR)
        wire.answer = lambda number: wire.response(400)
        with gate.about("orders") as call, pytest.raises(ClientError):
            wire.client.delete_item(TableName="orders", Key={})
        assert call.all_answered and gate.unanswered() is None

    def test_a_stopped_one_lets_nothing_out_and_waits_for_answers(self):
        wire, gate, _ = guarded(FAR)
        sent = gate.leave(T0, "orders")
        gate.stop()
        with pytest.raises(errors.Interrupted):
            wire.client.delete_item(TableName="orders", Key={})
        assert wire.sent == []
        assert not gate.wait_for_answers(0.0)
        gate.answered(sent)
        assert gate.wait_for_answers(0.0)
        assert gate.unanswered() is None

    def test_what_is_given_up_may_arrive_from_then_on(self):
        _, gate, machine = guarded(FAR)
        gate.lost(gate.leave(T0, "others"))
        gate.leave(T0, "orders")
        machine.up = 10.0
        gate.give_up()
        machine.up = 20.0
        assert gate.wait_for_answers(0.0)
        assert (gate.unanswered("orders"), gate.unanswered("others")) == (T0 + 10, T0)

    def test_a_request_for_no_table_counts_for_all(self):
        _, gate, machine = guarded(FAR)
        gate.lost(gate.leave(T0))
        machine.up = 30.0
        assert gate.unanswered("orders") == T0
        machine.up = 61.0
        gate.answered(gate.leave(T0))
        assert gate.unanswered("orders") is None

    def test_a_request_whose_answer_was_waited_for_counts_from_the_end_of_the_wait(self):
        _, gate, machine = guarded(FAR)
        attempt = gate.leave(T0)
        machine.up = 60.0  # botocore's read timeout
        gate.lost(attempt)
        machine.up = 119.0
        assert gate.unanswered("orders") == T0 + 60

    @pytest.mark.parametrize(
        "operation",
        [
            "PutItem",
            "CreateTable",
            "ExportTableToPointInTime",
            "StartRestoreJob",
            "PutBucketPolicy",
            "ExecuteStatement",
        ],
    )
    def test_changes(self, operation):
        assert changes_something(operation)

    @pytest.mark.parametrize("operation", ["GetItem", "DescribeTable", "ListExports", "Scan", "AssumeRole"])
    def test_reads(self, operation):
        assert not changes_something(operation)

    def test_signature_dates(self):
        assert signature_date("20270115T080000Z") == signature_date(b"20270115T080000Z") == T0
        assert signature_date(None) is signature_date("yesterday") is None

    def test_a_request_can_be_signed_anew_with_another_date(self):
        wire = Wire()
        seen = []

        def sign(request: Any, **_event: Any) -> None:
            before = request.headers["Authorization"]
            sdk.sign_at(wire.client, request, "20270115T080000Z")
            seen.append(before != request.headers["Authorization"])

        wire.client.meta.events.register_last("before-send.dynamodb.GetItem", sign)
        wire.connect()
        wire.client.get_item(TableName="orders", Key={})
        date = wire.sent[0].headers["X-Amz-Date"]
        assert (date.decode() if isinstance(date, bytes) else date) == "20270115T080000Z"
        assert seen == [True]


class TestProcesses:
    def test_this_process_is_there_and_one_that_ended_is_gone(self):
        here = process.describe(os.getpid())
        assert here.started and here.boot
        assert not process.is_gone(here, here)
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        there = process.describe(child.pid)
        assert not process.is_gone(there, here)
        child.communicate(b"\n")
        assert process.is_gone(there, here)

    def test_the_remains_of_a_process_are_gone(self):
        child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
        there, here = process.describe(child.pid), process.describe(os.getpid())
        assert child.stdin is not None
        child.stdin.write(b"\n")
        child.stdin.close()
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # ended, and nobody has taken note yet
        assert process.is_gone(there, here)
        child.wait()

    def test_a_later_process_with_its_pid_is_another_one(self):
        here = process.Process("ann", "ci", "boot", "ns", 1, "start")
        assert process.is_gone(here, here, lambda pid: "later")
        assert not process.is_gone(here, here, lambda pid: "start")

    @pytest.mark.parametrize("other", [{"boot": "another"}, {"pid_ns": "another"}, {"boot": ""}, {"started": ""}])
    def test_what_cannot_be_seen_from_here_is_not_gone(self, other):
        here = process.Process("ann", "ci", "boot", "ns", 1, "start")
        holder = process.Process.from_dict({**here.to_dict(), **other})
        assert not process.is_gone(holder, here, lambda pid: "")
        assert process.Process.from_dict(holder.to_dict()) == holder
