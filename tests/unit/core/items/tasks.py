# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks for workers and a desk that hands out their work. Each worker imports this file: it needs no test tools."""

from __future__ import annotations

import os
import signal
import threading
from dataclasses import dataclass

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ItemRefused
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.permit import Bounds


class Desk:
    """Hands out numbers."""

    def __init__(self, count: int) -> None:
        self._numbers = iter(range(count))
        self._lock = threading.Lock()
        self.pids: set[int] = set()

    def next_number(self, pid: int) -> int | None:
        with self._lock:
            self.pids.add(pid)
            return next(self._numbers, None)

    def fail(self) -> None:
        raise OSError("a disk of the parent's")


@dataclass(frozen=True)
class Summing:
    """Sums what the desk hands out."""

    endpoint: Endpoint

    def run(self, desk: Desk, workers: int, bounds: Bounds) -> tuple[int, int, str]:
        total = 0
        while (number := desk.next_number(os.getpid())) is not None:
            total += number
        return total, workers, self.endpoint.credentials().secret_key


@dataclass(frozen=True)
class Failing:
    """Fails in one of several ways."""

    how: str

    def run(self, desk: Desk, workers: int, bounds: Bounds) -> None:
        first = desk.next_number(os.getpid()) == 0
        if self.how == "error" and first:
            raise ItemRefused("Cause.", "Next step.", table="orders", details={"key": 1})
        if self.how == "killed" and first:
            os.kill(os.getpid(), signal.SIGKILL)
        if self.how == "desk" and first:
            desk.fail()
        while desk.next_number(os.getpid()) is not None:
            pass
        threading.Event().wait()  # until it is ended
