# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m lab`` as a process: it says how to reach it, serves, stops, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import boto3
import pytest

from lab.client import spawn

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture
def started(tmp_path: Path) -> Iterator[tuple[subprocess.Popen[str], Path, Path]]:
    """A lab process, its ready file, and the directory in which it makes temporary ones."""
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    ready = tmp_path / "ready.json"
    process = subprocess.Popen(
        [sys.executable, "-m", "lab", "--ready-file", str(ready), "--timing", "export.full=3", "--scale", "0"],
        cwd=ROOT,
        env={**os.environ, "TMPDIR": str(temporary)},
        stdout=subprocess.PIPE,
        text=True,
    )
    end = time.monotonic() + 60
    while not ready.exists() and process.poll() is None and time.monotonic() < end:
        time.sleep(0.05)
    yield process, ready, temporary
    process.kill()
    process.wait()
    assert process.stdout
    process.stdout.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_start_and_stop(started: tuple[subprocess.Popen[str], Path, Path], number: signal.Signals) -> None:
    process, ready, temporary = started
    ready_file: dict[str, Any] = json.loads(ready.read_text())
    assert stat.S_IMODE(ready.stat().st_mode) == 0o600
    assert ready_file["pid"] == process.pid
    assert ready_file["endpoint_url"].startswith("http://127.0.0.1:")
    assert {name: account["account_id"] for name, account in ready_file["accounts"].items()} == {
        "source": "111111111111",
        "destination": "222222222222",
        "management": "333333333333",
        "outside": "444444444444",
    }
    with urllib.request.urlopen(f"{ready_file['endpoint_url']}/_lab/timings") as response:
        assert json.load(response)["export.full"] == 3
    hub = boto3.client(
        "sts",
        region_name=ready_file["region"],
        endpoint_url=ready_file["endpoint_url"],
        aws_access_key_id=ready_file["hub"]["access_key"],
        aws_secret_access_key=ready_file["hub"]["secret_key"],
    )
    account = ready_file["accounts"]["destination"]
    assumed = hub.assume_role(RoleArn=account["role_arn"], ExternalId=account["external_id"], RoleSessionName="night")
    assert assumed["AssumedRoleUser"]["Arn"] == "arn:aws:sts::222222222222:assumed-role/ferry/night"
    with pytest.raises(hub.exceptions.ClientError, match="AccessDenied"):
        hub.assume_role(RoleArn=account["role_arn"], ExternalId="wrong", RoleSessionName="night")
    assert list(temporary.iterdir())
    process.send_signal(number)
    assert process.wait(20) == 0
    assert list(temporary.iterdir()) == []
    assert not ready.exists()
    assert process.stdout
    assert json.loads(process.stdout.read()) == ready_file


def refused(*arguments: str) -> str:
    """What the command says when it ends at once with status 2."""
    command = [sys.executable, "-m", "lab", *arguments]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert ran.returncode == 2
    return ran.stderr


def test_unknown_timing_is_said() -> None:
    words = refused("--timing", "nothing=1")
    assert "nothing" in words and "export.full" in words


def test_taken_port_is_said() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert refused("--port", str(taken.getsockname()[1])).strip() == "Address already in use"


def test_spawned_lab_is_steered() -> None:
    with spawn(scale=0.0, timings={"table.creating": 7}, quotas=False) as lab:
        assert lab.state()["timings"]["table.creating"] == 7
        assert lab.state()["quotas"] is False
        lab.enforce_quotas(True)
        before = lab.state()["clock"]["now"]
        lab.advance(1000)
        assert lab.state()["clock"]["now"] >= before + 1000
        lab.set_timings({"table.creating": 8})
        assert lab.state()["timings"]["table.creating"] == 8
        lab.client("sts", "source").get_caller_identity()
        assert lab.count("GetCallerIdentity", account="111111111111", ok=True) == 1
        assert lab.mutating_calls() == []
        lab.clear_requests()
        assert lab.calls() == []
        lab.add_fault(operation="sts.GetCallerIdentity", kind="throttle")
        sts = lab.client("sts", "source")
        with pytest.raises(sts.exceptions.ClientError, match="Throttling"):
            sts.get_caller_identity()
        lab.clear_faults()
        with pytest.raises(ValueError, match="No timing is called"):
            lab.set_timings({"nothing": 1})
        address = lab.endpoint_url
    with pytest.raises(OSError):
        urllib.request.urlopen(f"{address}/_lab/state", timeout=2)
