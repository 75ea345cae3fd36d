# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fault server of the tests, with faults by chance, kills, and runs told apart by their access keys."""

from __future__ import annotations

import json
import random
import socket
import threading
import time
import zlib
from collections import Counter
from collections.abc import Callable
from typing import Any

from tests.unit.core.items.fake_dynamo import FakeDynamo, Fault, refusal

KINDS = ("throttle", "conflict", "missing", "500", "503", "reset", "lost", "half", "crc", "chunked", "until_close")
MOST_IN_ROW = 4  # faults of a table's requests one after the other, but for a partition that takes no writes
RUN_KEY = "AKIARUN"


class FuzzedDynamo(FakeDynamo):
    """``faults_met`` counts what went wrong, ``late`` the writes of a run that arrived after the next one began."""

    def __init__(self) -> None:
        super().__init__()
        self.faults_met: Counter[str] = Counter()
        self.late = self.moves = 0
        self.refused_keys: set[Any] = set()
        self.at_write: tuple[int, Callable[[], None]] | None = None  # after so many more batches, what is done
        self.run = 0
        self._request = threading.local()  # began: the newest run that had begun when it arrived
        self._chance = random.Random(0)
        self._rate = 0.0
        self._in_row = self._hot_left = self._began = self._held = self._held_writes = 0

    def begin(self, seed: int) -> None:
        """A new round: its tables, faults and rates of faults follow from ``seed``."""
        self._chance = random.Random(f"server {seed}")
        self._rate = self._chance.choice([0.02, 0.1, 0.25])
        rows = len(self.tables["orders"].items) if "orders" in self.tables else 0
        self.page_items = max(self._chance.choice([3, 25, 40, 100]), rows // 100)  # the server is slow at pages
        self.latency = self._chance.choice([0.0, 0.0, 0.001])
        self.refused_keys, self.at_write = set(), None
        self._in_row, self._hot_left = 0, self._chance.choice([0, 0, 40])
        partition = self._chance.randrange(8)
        self.hot = lambda key: self._hot_left > 0 and zlib.crc32(repr(key).encode()) % 8 == partition
        self.calls.clear()
        self.dates.clear()
        self.bodies.clear()
        self.consumed.clear()

    def next_run(self) -> str:
        """The access key of the next run."""
        self.run += 1
        key = f"{RUN_KEY}{self.run}"
        self.valid_keys.add(key)
        return key

    def _fault(self, operation: str) -> tuple[str, Fault | None]:
        if self._chance.random() >= self._rate or self._in_row >= MOST_IN_ROW:
            self._in_row = 0
            return "", None
        self._in_row += 1
        kinds = [*KINDS, "drip", "reset_all"]
        if operation in ("BatchWriteItem", "BatchGetItem"):
            kinds.append("unprocessed")
        if operation == "DescribeTable":
            kinds.remove("missing")  # it says what is there
        kind = self._chance.choice(kinds)
        self.faults_met[kind] += 1
        if kind == "reset_all":
            self.reset_all()
        return kind, Fault(kind, count=self._chance.randrange(1, 26))

    def _answer(
        self, operation: str, body: bytes, headers: dict[str, str], kind: str, fault: Fault | None
    ) -> tuple[int, bytes]:
        run = self._run_of(headers)
        if operation == "BatchWriteItem":
            self.late += run < self._request.began
            kind = self._held_back(run) or kind
            if self.at_write is not None:
                left, action = self.at_write
                self.at_write = (left - 1, action) if left > 1 else None
                if left <= 1:
                    action()
            ((_name, entries),) = json.loads(body)["RequestItems"].items()
            keys = {self._key(entry["PutRequest"]["Item"]) for entry in entries}
            if keys & self.refused_keys and kind not in ("throttle", "conflict", "missing", "500", "503"):
                self.faults_met["refused"] += 1
                return refusal("ValidationException", "One or more parameter values are not valid. A value is refused")
        status, answer = super()._answer(operation, body, headers, kind, fault)
        if operation == "BatchWriteItem":
            if status == 200:
                self.moves += len(entries)
            elif self._hot_left and kind == "":
                self._hot_left -= 1
                self.faults_met["stuck"] += 1
        return status, answer

    def hold(self) -> None:
        """Throttle all writes of this run, until the next one has written: so its workers try for as long as they
        live."""
        self._held, self._held_writes = self.run, 5

    def _held_back(self, run: int) -> str:
        if run <= self._held:
            self.faults_met["held"] += 1
            return "throttle"
        self._held_writes -= 1
        if self._held_writes <= 0:
            self._held = 0
        return ""

    def _arrived(self, operation: str, headers: dict[str, str]) -> None:
        # A run that only describes tables may wait for the lock of the one before.
        self._request.began = self._began
        if operation in ("Scan", "BatchWriteItem"):
            self._began = max(self._began, self._run_of(headers))

    def _run_of(self, headers: dict[str, str]) -> int:
        key = headers["authorization"].split("Credential=")[1].split("/")[0]
        return int(key.removeprefix(RUN_KEY)) if key.startswith(RUN_KEY) else self.run

    @staticmethod
    def _key(item: dict[str, Any]) -> str:
        return json.dumps(item["id"])

    def _send(self, connection: socket.socket, status: int, answer: bytes, kind: str) -> bool:
        if kind != "drip":
            return super()._send(connection, status, answer, kind)
        head = f"HTTP/1.1 {status} Words\r\nContent-Length: {len(answer)}\r\n\r\n".encode()
        whole = head + answer
        step = max(1, len(whole) // 5)
        for start in range(0, len(whole), step):
            connection.sendall(whole[start : start + step])
            time.sleep(0.002)
        return True
