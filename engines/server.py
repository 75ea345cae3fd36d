# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starting and stopping an engine as a process of its own."""

from __future__ import annotations

import http.client
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import boto3
from botocore.config import Config

from engines.catalog import Engine

START_SECONDS = 60
STOP_SECONDS = 20
REGION = "eu-west-1"
# DynamoDB Local keeps the tables of each access key apart; all clients of one instance use this one.
ACCESS_KEY, SECRET_KEY = "AKIAENGINEENGINEENGI", "engine-secret"


@dataclass(frozen=True)
class RunningEngine:
    """An engine that answers at ``endpoint_url``: one account, with the keys of this module."""

    name: str
    endpoint_url: str
    process_id: int

    def client(self) -> Any:
        """A boto3 client of its DynamoDB."""
        return boto3.client(
            "dynamodb",
            region_name=REGION,
            endpoint_url=self.endpoint_url,
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            config=Config(retries={"total_max_attempts": 1}, parameter_validation=False),
        )


@contextmanager
def running(engine: Engine, instances: int = 1) -> Iterator[list[RunningEngine]]:
    """``instances`` of ``engine``, started together on free ports and stopped when the context ends."""
    with ExitStack() as stack:
        started = [stack.enter_context(_process(engine)) for _ in range(instances)]
        yield [await_answer() for await_answer in started]


@contextmanager
def _process(engine: Engine) -> Iterator[Any]:
    """One instance; yields what waits until it answers and returns it."""
    port = _free_port()
    with tempfile.TemporaryFile() as log:
        process = subprocess.Popen(engine.start(engine.folder, port), stdout=log, stderr=subprocess.STDOUT)

        def await_answer() -> RunningEngine:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    log.seek(0)
                    output = log.read().decode(errors="replace")[-3000:]
                    raise RuntimeError(f"{engine.name} does not answer on port {port}. Its output:\n{output}")
                time.sleep(0.1)
            return RunningEngine(engine.name, f"http://127.0.0.1:{port}", process.pid)

        try:
            yield await_answer
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _answers(port: int) -> bool:
    """Whether something speaks HTTP there."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
