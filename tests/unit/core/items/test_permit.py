# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Nothing is written after a lease, by an orphan, after a call off, or into another table than the one given."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    CheckpointUnusable,
    Interrupted,
    KeepsFailing,
    LeaseOver,
    MissingTable,
    ParentGone,
    TableVanished,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import checkpoint, tables, write
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import locked
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.differences import Difference
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.kept_connections import KEPT
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.permit import Bounds, elapsed, pause
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.repairing import RepairOptions, repair
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import Identity
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import seconds_with_sleep
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.gate import Gate
from tests.unit.core.items.fake_dynamo import HASTY, FakeDynamo, wait_until
from tests.unit.core.items.strategies import to_bytes

ITEMS = 500
STUCK = RetryPolicy(first=1e6, longest=1e6, seconds=1e6)  # after one failure it waits for days
HURRIED = RetryPolicy(0.001, 0.01, 0.3, 0.3)


class CalledOff(Exception):
    """What a ``look`` of these tests raises."""


def numbered(version: int = 1) -> list[bytes]:
    return [to_bytes({"id": {"S": f"item {number}"}, "v": {"N": str(version)}}) for number in range(ITEMS)]


@pytest.fixture
def filled(dynamo: FakeDynamo) -> FakeDynamo:
    dynamo.page_items = 25
    dynamo.make("orders").put(*numbered())
    dynamo.make("copy")
    return dynamo


def copied(dynamo: FakeDynamo, bounds: Bounds, **members):
    options = CopyOptions(bounds=bounds, **{"retry_policy": HASTY, **members})
    return copy_items(dynamo.found("orders"), dynamo.found("copy", "destination"), options)


class Lease:
    """A gate over a lease that the test ends and renews."""

    def __init__(self, seconds: float = 1e6) -> None:
        self.until = time.time() + seconds
        self.gate = Gate(self, lambda: self.until)
        self.bounds = Bounds(self.gate)

    def now(self) -> float:
        return time.time()

    def end(self) -> None:
        self.until = time.time() - 3600  # a request dated now is far beyond it

    def renew(self) -> None:
        self.until = time.time() + 1e6


# The lease


def test_the_clock_of_workers_counts_sleep_as_the_records_do():
    assert abs(elapsed() - seconds_with_sleep()) < 60


@pytest.mark.parametrize("workers", [1, 2])
def test_a_copy_within_its_lease_leaves_nothing_unanswered(filled, workers):
    lease = Lease()
    assert copied(filled, lease.bounds, workers=workers).counts.items == ITEMS
    assert filled.tables["copy"].items == filled.tables["orders"].items
    assert lease.gate.unanswered() is None


def test_what_is_compared_is_what_is_signed(filled):
    left: list[float] = []

    class Noting(Lease):
        def leave(self, date, subject):
            left.append(date)
            assert subject == "copy"

        def answered(self, attempt):
            raise AssertionError("nothing was noted")

    copied(filled, Bounds(Noting()), retry_policy=HASTY)
    signed = [date for operation, date in filled.dates if operation == "BatchWriteItem"]
    shown = [datetime.fromtimestamp(date, UTC).strftime("%Y%m%dT%H%M%SZ") for date in left]
    assert sorted(signed) == sorted(shown)
    assert len(signed) >= ITEMS / 25


def test_writing_stops_with_the_lease_and_a_later_run_goes_on(filled, tmp_path):
    lease = Lease()
    filled.before = lambda operation: lease.end() if len(filled.bodies) == 10 else None
    path = tmp_path / "copy.json"
    with pytest.raises(LeaseOver, match="Nothing was sent"):
        copied(filled, lease.bounds, writes_at_once=1, retry_policy=HURRIED, checkpoint=path)
    assert len(filled.bodies) <= 11, "more than the one that was on its way"
    assert lease.gate.unanswered() is None
    filled.before = lambda operation: None
    assert copied(filled, Bounds(), checkpoint=path).resumed
    assert filled.tables["copy"].items == filled.tables["orders"].items


@pytest.mark.parametrize("workers", [1, 2])
def test_writing_waits_for_a_lease_that_is_renewed(filled, workers):
    """Nothing is written before; then workers hear of it while they wait."""
    lease = Lease()
    lease.until = time.time() + 1e6
    seen: list[int] = []
    if workers > 1:
        ended = threading.Event()

        def look():
            # The workers have read what they may, and none of it was written.
            if not ended.is_set() and filled.calls.count("Scan") >= 4:
                seen.append(len(filled.bodies))
                ended.set()
                lease.renew()

        class Lapsed(Gate):
            """Ended as the workers see it, though they could be started."""

            def left(self):
                return super().left() if ended.is_set() else -1.0

        gate = Lapsed(lease, lambda: lease.until)
        copied(filled, Bounds(gate, look), workers=workers)
    else:
        lease.end()

        def look():
            if filled.calls.count("Scan") >= 4 and not seen:
                seen.append(len(filled.bodies))
                lease.renew()

        copied(filled, Bounds(lease.gate, look))
    assert seen == [0]
    assert filled.tables["copy"].items == filled.tables["orders"].items


def test_workers_write_nothing_after_the_end_of_their_parents_lease(filled):
    class Lapsed(Gate):
        def left(self):
            return -1.0

    lease = Lease()
    with pytest.raises(LeaseOver, match="was not renewed"):
        copied(filled, Bounds(Lapsed(lease, lambda: lease.until)), workers=2, retry_policy=HURRIED)
    assert "BatchWriteItem" not in filled.calls
    with pytest.raises(LeaseOver):
        lease.end()
        copied(filled, lease.bounds, workers=2)
    assert "BatchWriteItem" not in filled.calls


@pytest.mark.parametrize("kind", ["500", "reset", "lost", "half"])
def test_requests_without_an_answer_are_known_to_the_gate(filled, kind):
    lease = Lease()
    began = int(time.time())
    filled.plan(kind, "BatchWriteItem", after=3)
    copied(filled, lease.bounds)
    assert began <= lease.gate.unanswered("copy") <= time.time()
    assert lease.gate.unanswered("another") is None


@pytest.mark.parametrize("workers", [1, 2])
def test_requests_under_way_when_a_copy_is_called_off_have_no_answer(filled, workers):
    """The one attempt of a worker stands for all that it sent, and is dated by its end."""
    lease, stop, go_on = Lease(), threading.Event(), threading.Event()

    def before(operation):
        if operation == "BatchWriteItem":
            stop.set()
            go_on.wait(60)

    def look():
        if stop.is_set():
            raise CalledOff

    filled.before = before
    began = time.time()
    with pytest.raises(CalledOff):
        copied(filled, Bounds(lease.gate, look), workers=workers)
    go_on.set()
    assert began - 1 <= lease.gate.unanswered("copy") <= time.time() + 1


@pytest.mark.parametrize("workers", [1, 2])
def test_an_interrupted_copy_waits_for_the_answers_to_what_it_sent(filled, workers, tmp_path):
    lease, path, stopped = Lease(), tmp_path / "copy.json", threading.Event()

    def before(operation):
        if operation == "BatchWriteItem":
            lease.gate.stop()
            stopped.set()

    filled.before = before
    with pytest.raises(Interrupted):
        copied(filled, lease.bounds, workers=workers, writes_at_once=4, checkpoint=path)
    assert stopped.is_set()
    assert filled.tables["copy"].items
    assert lease.gate.unanswered() is None
    assert lease.gate.wait_for_answers(0.0)
    filled.before = lambda operation: None
    assert copied(filled, Bounds(), checkpoint=path).resumed
    assert filled.tables["copy"].items == filled.tables["orders"].items


def test_a_repair_is_held_to_the_lease_too(filled):
    lease = Lease(-3600)
    differences = [Difference("missing", {"id": {"S": f"item {number}"}}) for number in range(5)]
    there = filled.found("orders"), filled.found("copy", "destination")
    with pytest.raises(LeaseOver):
        repair(*there, differences, RepairOptions(retry_policy=HURRIED, bounds=lease.bounds))
    assert "PutItem" not in filled.calls


# Stopping


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("error", [CalledOff, ParentGone])
def test_a_copy_stops_within_a_pause(filled, workers, error):
    """Writes are throttled, and the next attempt is days away: only a look within the pause ends the copy."""
    filled.plan("throttle", "BatchWriteItem", times=10**6)

    def look():
        if "BatchWriteItem" in filled.calls:
            raise error("Cause.", "Next.") if error is ParentGone else error

    with pytest.raises(error):
        copied(filled, Bounds(look=look), workers=workers, retry_policy=STUCK)
    assert not filled.tables["copy"].items


def test_finding_a_table_stops_within_a_pause(filled):
    filled.plan("throttle", "DescribeTable", times=10**6)

    def look():
        if "DescribeTable" in filled.calls:
            raise CalledOff

    with pytest.raises(CalledOff):
        tables.find_table(filled.endpoint(), "orders", STUCK, Bounds(look=look))


def test_a_pause_looks_and_lasts():
    looks: list[None] = []
    began = time.monotonic()
    pause(0.01, lambda: looks.append(None))
    pause(0.01, None)
    assert time.monotonic() - began >= 0.02
    assert looks


ORPHANED = """
import sys
from pathlib import Path
from types import SimpleNamespace
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import find_table
keys = SimpleNamespace(access_key="AKIAFAKE", secret_key="s", session_token="")
endpoint = Endpoint(sys.argv[1], "eu-west-1", lambda: keys)
path = Path(sys.argv[2]) if len(sys.argv) > 2 else None
copy_items(find_table(endpoint, "orders"), find_table(endpoint, "copy"), CopyOptions(workers=2, checkpoint=path))
"""


@pytest.mark.parametrize("attempt", range(int(os.environ.get("ORPHANS", "1"))))  # make orphans: 50, since it is a race
@pytest.mark.parametrize("with_checkpoint", [False, True])
def test_an_orphaned_worker_overwrites_nothing(filled, tmp_path, with_checkpoint, attempt):
    """The parent is killed while writes are throttled; then the source changes, and the next run copies it."""
    path = tmp_path / "copy.json" if with_checkpoint else None
    throttled = filled.plan("throttle", "BatchWriteItem", after=5, times=10**6)
    with subprocess.Popen([sys.executable, "-c", ORPHANED, filled.url, *([str(path)] if path else [])]) as parent:
        wait_until(lambda: throttled.met >= 8)
        parent.kill()
    filled.tables["orders"].put(*numbered(version=2))
    if path is None:
        wait_until(lambda: filled.visitors == 0)  # the workers have ended, and their connections with them
    else:
        path.unlink()  # all is to be copied anew; the lock alone keeps the next run from beginning too soon
    throttled.times = 0
    copied(filled, Bounds(), checkpoint=path)
    assert set(filled.tables["copy"].items.values()) == set(numbered(version=2))
    KEPT.clear()  # our own
    wait_until(lambda: filled.visitors == 0)
    assert set(filled.tables["copy"].items.values()) == set(numbered(version=2))


class Halves(FakeDynamo):
    """It reads the first bytes of what is written, and the others, as far as they come, when it is to ``read_on``."""

    FIRST = 20_000  # less than sockets take before anything is read

    def __init__(self) -> None:
        super().__init__()
        self.stops = True
        self.begun = self.whole = self.cut = self.received = 0
        self.read_on = threading.Event()
        self._listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 16_384)  # of connections that it accepts

    def _body(self, stream: Any, length: int, operation: str) -> bytes:
        if operation != "BatchWriteItem" or not self.stops:
            return super()._body(stream, length, operation)
        body = stream.read(self.FIRST)
        self.begun += 1
        self.read_on.wait(60)
        try:
            while len(body) < length and (more := stream.read1(length - len(body))):
                body += more
                self.received += len(more)
        finally:
            self.whole, self.cut = self.whole + (len(body) == length), self.cut + (len(body) < length)
        return body


LARGE = 50


def large(version: int = 1) -> list[bytes]:
    """Of batches that no socket with a SMALL buffer takes whole while nothing is read."""
    return [to_bytes({"id": {"S": f"{number}"}, "v": {"S": f"{version}" * 15_000}}) for number in range(LARGE)]


@pytest.fixture
def halves() -> Iterator[Halves]:
    server = Halves()
    server.page_items = 25
    server.make("orders").put(*large())
    server.make("copy")
    yield server
    server.read_on.set()
    server.close()


def runs(process: int) -> bool:
    """Whether a process is there and not stopped."""
    state = subprocess.run(["ps", "-o", "state=", "-p", str(process)], capture_output=True, text=True, check=False)
    return state.stdout.strip()[:1] not in ("T", "Z", "")


def signalled(process: int, number: signal.Signals) -> None:
    """Send a signal to a process that may have ended: one of two workers may have done all."""
    with suppress(ProcessLookupError):
        os.kill(process, number)


# Sockets whose buffers are far smaller than batches, as those of slow networks are.
SMALL = """
import socket
connect = socket.socket.connect_ex
def small(self, address):
    self.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 65536)
    return connect(self, address)
socket.socket.connect_ex = small
"""
# It says which workers there are, which wait for events longer than they are stopped: then these come before a look.
STOPPED = f"""
import subprocess
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import workers
patient = f"from {{workers.__package__}} import permit; permit.TURN_SECONDS = 60; from "
workers._ENTRY = {SMALL!r} + workers._ENTRY.replace("from ", patient)
started = subprocess.Popen
def start(*arguments, **members):
    worker = started(*arguments, **members)
    print(worker.pid, flush=True)
    return worker
subprocess.Popen = start
{ORPHANED.replace("workers=2", "workers=2, segments=2")}
"""


@pytest.mark.parametrize("attempt", range(int(os.environ.get("ORPHANS", "1"))))
def test_an_orphaned_worker_that_was_stopped_sends_no_rest_of_a_request(halves, attempt):
    """Workers are stopped with a part of their requests sent, their parent is killed, and the next run copies what has
    changed. When they go on, their sockets take more, which they learn before they hear of their parent's end."""
    with subprocess.Popen([sys.executable, "-c", STOPPED, halves.url], stdout=subprocess.PIPE, text=True) as parent:
        workers = [int(parent.stdout.readline()) for _worker in range(2)]
        wait_until(lambda: halves.begun == 2)
        halves.stops = False
        for worker in workers:
            signalled(worker, signal.SIGSTOP)
        try:
            wait_until(lambda: not any(runs(worker) for worker in workers))
            halves.read_on.set()
            received = -1
            while received != halves.received:  # what the workers' sockets hold
                received = halves.received
                time.sleep(0.1)
            parent.kill()
            parent.wait()
            halves.tables["orders"].put(*large(version=2))
            copied(halves, Bounds())
            assert (halves.whole, halves.cut) == (0, 0)
        finally:
            for worker in workers:
                signalled(worker, signal.SIGCONT)
    KEPT.clear()
    wait_until(lambda: halves.visitors == 0)
    assert (halves.whole, halves.cut) == (0, 2)
    assert set(halves.tables["copy"].items.values()) == set(large(version=2))


@pytest.mark.parametrize("interrupted", [False, True])
def test_the_rest_of_a_request_is_sent_within_the_lease_alone(halves, monkeypatch, interrupted):
    """What an interrupted run has begun to send is sent: it waits for the answer."""
    monkeypatch.setattr(socket.socket, "connect_ex", socket.socket.connect_ex)
    exec(SMALL, {})
    lease, renewed = Lease(), threading.Event()

    def look():
        if halves.begun and not halves.read_on.is_set():
            halves.stops = False
            if interrupted:
                lease.gate.stop()
            else:
                lease.end()
            halves.read_on.set()
        if halves.cut and not renewed.is_set():
            renewed.set()
            lease.renew()

    if interrupted:
        with pytest.raises(Interrupted):
            copied(halves, Bounds(lease.gate, look), writes_at_once=1, segments=2)
        assert (halves.whole, halves.cut) == (1, 0)
        assert lease.gate.unanswered() is None
        return
    copied(halves, Bounds(lease.gate, look), writes_at_once=1, segments=2)
    assert (halves.whole, halves.cut) == (0, 1)
    assert renewed.is_set()
    assert halves.tables["copy"].items == halves.tables["orders"].items


# One copy for a checkpoint


def test_a_second_copy_with_one_checkpoint_is_refused(filled, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "LOCK_SECONDS", 0.0)
    path = tmp_path / "copy.json"
    refusals: list[CheckpointUnusable] = []

    def look():
        if not refusals and "BatchWriteItem" in filled.calls:
            with pytest.raises(
                CheckpointUnusable, match=r"Another copy uses the checkpoint .*: process \d+ on "
            ) as told:
                copied(filled, Bounds(), checkpoint=path)
            refusals.append(told.value)

    assert copied(filled, Bounds(look=look), checkpoint=path).counts.items == ITEMS
    assert "end it" in refusals[0].next_step
    assert list(tmp_path.iterdir()) == [path]
    assert copied(filled, Bounds(), checkpoint=path).resumed


KILLED_WITH_LOCK = """
import os, subprocess, sys
from pathlib import Path
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.checkpoint import locked
with locked(Path(sys.argv[1])) as locks:
    subprocess.Popen([sys.executable, "-c", "import sys; sys.stdin.read()"], pass_fds=locks)
    os._exit(0)
"""


def test_a_lock_goes_with_the_last_process_that_has_it(tmp_path, monkeypatch):
    """The parent is gone, and a worker lives on until its stdin ends."""
    path = tmp_path / "copy.json"
    command = [sys.executable, "-c", KILLED_WITH_LOCK, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE) as parent:
        assert parent.wait() == 0
        with monkeypatch.context() as patch:
            patch.setattr(checkpoint, "LOCK_SECONDS", 0.0)
            with pytest.raises(CheckpointUnusable, match=f"process {parent.pid} "), locked(path):
                pass
    monkeypatch.setattr(checkpoint, "LOCK_SECONDS", 60.0)
    with locked(path):
        assert (tmp_path / ".copy.json.lock").exists()
    assert not list(tmp_path.iterdir())


def test_who_waits_for_a_lock_gets_the_next_file(tmp_path):
    """The one before removes its file: a lock on that one would exclude nobody."""
    path = tmp_path / "copy.json"
    first = locked(path)
    first.__enter__()
    entered: list[str] = []

    def release():
        if not entered:
            entered.append("released")
            first.__exit__(None, None, None)

    with locked(path, release):
        assert (tmp_path / ".copy.json.lock").read_text().startswith("process ")
    assert entered == ["released"]


# The same table


def replaced(dynamo: FakeDynamo) -> None:
    """Another table takes the name."""
    dynamo.make("copy").put(to_bytes({"id": {"S": "another's"}}))


@pytest.mark.parametrize("workers", [1, 2])
def test_a18_nothing_is_written_into_a_table_that_took_the_name_before_the_copy(filled, workers):
    source, destination = filled.found("orders"), filled.found("copy", "destination")
    replaced(filled)
    with pytest.raises(TableVanished, match="created again"):
        copy_items(source, destination, CopyOptions(retry_policy=HASTY, workers=workers))
    assert "BatchWriteItem" not in filled.calls


def test_a18_nothing_is_written_into_a_table_that_took_the_name_in_a_pause(filled, monkeypatch):
    """A write is throttled, and its next attempt comes six seconds later: the fake's, not those of the test."""
    now = [1000.0]
    monkeypatch.setattr(write, "Identity", lambda table: Identity(table, lambda: now[0]))
    source, destination = filled.found("orders"), filled.found("copy", "destination")
    throttled = filled.plan("throttle", "BatchWriteItem", after=5)

    def before(operation):
        if operation == "BatchWriteItem" and not throttled.after and not throttled.met:
            now[0] += 6
            replaced(filled)

    filled.before = before
    with pytest.raises(TableVanished, match="created again"):
        copy_items(source, destination, CopyOptions(retry_policy=HASTY, writes_at_once=1))
    assert len(filled.bodies) == 5
    assert len(filled.tables["copy"].items) == 1


def test_a_table_that_is_not_found_for_a_moment_is_looked_at_and_written_on(filled):
    filled.plan("missing", "BatchWriteItem", after=3, times=2)
    assert copied(filled, Bounds()).counts.items == ITEMS
    assert filled.tables["copy"].items == filled.tables["orders"].items


def test_a_table_that_is_not_found_and_then_another_one_gets_nothing(filled):
    source, destination = filled.found("orders"), filled.found("copy", "destination")
    missing = filled.plan("missing", "BatchWriteItem", after=3)

    def before(operation):
        if missing.met and len(filled.tables["copy"].items) > 1:
            replaced(filled)

    filled.before = before
    with pytest.raises(TableVanished, match="created again"):
        copy_items(source, destination, CopyOptions(retry_policy=HASTY, writes_at_once=1))
    assert len(filled.tables["copy"].items) == 1


def test_a_table_that_writes_never_find_is_told_as_what_it_is(filled):
    filled.plan("missing", "BatchWriteItem", times=10**6)
    with pytest.raises(KeepsFailing, match="though DescribeTable shows it"):
        copied(filled, Bounds(), retry_policy=HURRIED)


def test_when_the_identity_of_a_table_is_in_doubt(filled):
    now = [1000.0]
    table = filled.found("copy", "destination")
    identity = Identity(table, lambda: now[0])
    description = to_bytes({"Table": filled_description(filled)})
    assert isinstance(identity.explain(MissingTable("Cause.", "Next.")), MissingTable)
    assert identity.doubtful()
    identity.recognize(description)
    assert not identity.doubtful()
    for _second in range(19):
        now[0] += 1
        identity.acknowledged()
        assert not identity.doubtful()
    now[0] += 2
    assert identity.doubtful(), "20 seconds since the last look"
    identity.recognize(description)
    now[0] += 5.5
    assert identity.doubtful(), "5 seconds without a write"
    identity.recognize(description)
    identity.doubt()
    assert identity.doubtful()
    assert isinstance(identity.explain(MissingTable("Cause.", "Next.")), TableVanished)


def filled_description(dynamo: FakeDynamo) -> dict:
    return json.loads(dynamo._DescribeTable({"TableName": "copy"}, b"", None))["Table"]
