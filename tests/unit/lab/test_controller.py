# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Processes that are stopped between two calls and woken while AWS's clock goes on."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lab.client import LabClient
from lab.controller import SharedClock, controller, tree

# Signs and sends DeleteTable: the words of its plan are "sign" (keep a signed request), "stale" (send that one) and
# "call". It prints clocks and answers.
SCRIPT = """
import datetime, http.client, json, os, sys, time
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

key, secret, host, *plan = sys.argv[1:]

def signed():
    headers = {"X-Amz-Target": "DynamoDB_20120810.DeleteTable", "Content-Type": "application/x-amz-json-1.0"}
    request = AWSRequest("POST", f"http://{host}/", headers=headers, data=b'{"TableName":"orders"}')
    SigV4Auth(Credentials(key, secret), "dynamodb", "eu-west-1").add_auth(request)
    return dict(request.headers)

def send(headers):
    connection = http.client.HTTPConnection(host)
    connection.request("POST", "/", b'{"TableName":"orders"}', headers)
    answer = connection.getresponse()
    return [answer.status, json.loads(answer.read()).get("message", "")]

for word in plan:
    if word == "sign":
        kept = signed()
        continue
    answer = send(kept if word == "stale" else signed())
    clocks = [time.time(), time.monotonic(), time.clock_gettime(time.CLOCK_MONOTONIC)]
    clocks += [datetime.datetime.now(datetime.timezone.utc).timestamp(), time.mktime(time.localtime())]
    print(json.dumps([answer, clocks]), flush=True)
"""


@pytest.fixture
def clock(gate_lab: Any, tmp_path: Path) -> SharedClock:
    return SharedClock(LabClient(gate_lab.server.endpoint_url, {}), tmp_path)


def command(lab: Any, *plan: str) -> list[str]:
    host = lab.server.endpoint_url.removeprefix("http://")
    return [sys.executable, "-c", SCRIPT, lab.source.id, lab.source.secret, host, *plan]


def printed(text: str) -> list[Any]:
    return [json.loads(line) for line in text.splitlines()]


def test_stopped_controller_wakes_after_20_minutes(gate_lab: Any, clock: SharedClock) -> None:
    lab = clock.lab
    hold = lab.hold(mutating=True, after=1)
    with controller(clock, command(gate_lab, "call", "sign", "call", "stale", "call"), stdout=subprocess.PIPE) as run:
        run.stop_at(hold)
        assert set(tree(run.process.pid).values()) == {"T"}
        clock.advance(1200)
        assert lab.count(mutating=True) == 2
        run.wake()
        output = run.process.communicate(timeout=60)[0]
    (first, before), (second, after), (stale, _), (last, _) = printed(output)
    assert first[0] == second[0] == last[0] == 200
    assert stale[0] == 400 and stale[1].startswith("Signature expired: ")
    assert [codes["error_code"] for codes in lab.calls(mutating=True)] == ["", "", "InvalidSignatureException", ""]
    assert all(late - early > 1199 for early, late in zip(before, after, strict=True))


@pytest.mark.parametrize(("skew", "refusal"), [(-180, ""), (1000, "Signature not yet current")])
def test_controller_whose_clock_is_wrong(gate_lab: Any, clock: SharedClock, skew: float, refusal: str) -> None:
    clock.advance(7200)
    with controller(clock, command(gate_lab, "call"), skew=skew, stdout=subprocess.PIPE) as run:
        (((status, message), clocks),) = printed(run.process.communicate(timeout=60)[0])
    assert (status, message.startswith(refusal)) == (400 if refusal else 200, True)
    assert abs(clocks[0] - gate_lab.world.clock.now() - skew) < 60


def test_shifted_dates_are_dates_like_others(clock: SharedClock) -> None:
    clock.advance(86400)
    script = """
import copy, datetime, pickle, sys, time
now = datetime.datetime.now(datetime.timezone.utc)
assert eval(repr(now)) == pickle.loads(pickle.dumps(now)) == copy.deepcopy(now) == now
assert type(now + datetime.timedelta(1)) is datetime.datetime and isinstance(now, datetime.date)
assert datetime.datetime.fromisoformat(now.isoformat()) == now
assert abs(datetime.datetime.today().timestamp() - now.timestamp()) < 60
days = [time.strftime("%d"), f"{time.localtime().tm_mday:02}", f"{datetime.datetime.now():%d}"]
assert len(set(days)) == 1 or time.localtime().tm_hour == 0, days
print(now.timestamp())
"""
    with controller(clock, [sys.executable, "-c", script], stdout=subprocess.PIPE) as run:
        shown = float(run.process.communicate(timeout=60)[0])
    assert abs(shown - clock.lab.control("GET", "clock")["now"]) < 60


def test_all_processes_stop_and_end(clock: SharedClock) -> None:
    script = (
        "import subprocess, sys; child = subprocess.Popen(['sleep', '600'], start_new_session=True); "
        "print(child.pid, flush=True); child.wait()"
    )
    with controller(clock, [sys.executable, "-c", script], stdout=subprocess.PIPE) as run:
        assert run.process.stdout is not None
        child = int(run.process.stdout.readline())
        run.stop()
        assert tree(run.process.pid) == {run.process.pid: "T", child: "T"}
        run.wake()
        assert "T" not in tree(run.process.pid).values()
    end = time.monotonic() + 60  # a process that was killed is there until the machine comes to it
    while (left := set(tree(child).values()) - {"Z"}) and time.monotonic() < end:
        time.sleep(0.02)
    assert not left


def test_process_that_ends_before_its_call_is_reported(clock: SharedClock) -> None:
    hold = clock.lab.hold(mutating=True)
    with (
        controller(clock, [sys.executable, "-c", "raise SystemExit(3)"]) as run,
        pytest.raises(RuntimeError, match=r"ended \(3\) before"),
    ):
        run.stop_at(hold)


def test_a_controller_may_believe_to_be_on_another_machine(clock: SharedClock) -> None:
    program = "import os, socket; print(socket.gethostname(), os.readlink('/proc/self/ns/pid'))"
    with controller(clock, [sys.executable, "-c", program], machine="pod-2", stdout=subprocess.PIPE) as run:
        assert run.process.communicate(timeout=60)[0] == "pod-2 pid:[pod-2]\n"


def test_a_controller_may_move_the_time_instead_of_sleeping(clock: SharedClock) -> None:
    script = "import time; a = time.monotonic(); time.sleep(600); time.sleep(0.1); print(time.monotonic() - a)"
    begun, before = time.monotonic(), clock.lab.control("GET", "clock")["offset"]
    with controller(clock, [sys.executable, "-c", script], skip_sleeps=True, stdout=subprocess.PIPE) as run:
        slept = float(run.process.communicate(timeout=60)[0])
    assert time.monotonic() - begun < 60
    assert 600 <= slept < 660
    assert clock.lab.control("GET", "clock")["offset"] == before + 600
