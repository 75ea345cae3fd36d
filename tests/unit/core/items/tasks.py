# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Tasks for workers and a desk that hands out their work. Each worker imports this file: it needs no test tools."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Collection
from dataclasses import dataclass

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import ItemRefused
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.permit import Bounds

DEADLY = -1


class Desk:
    """Hands out numbers; those of a worker that died to others, as soon as each of the ``deaths`` has come: how many
    numbers are handed out before it."""

    def __init__(self, count: int, deaths: Collection[int] = ()) -> None:
        self._numbers = list(range(count))
        self._deaths = deaths
        self._handed_out = 0
        self._changed = threading.Condition()
        self.pids: set[int] = set()
        self.lost: list[str] = []

    def seat(self) -> Seat:
        return Seat(self)

    def vacated(self, seat: Seat, how: str) -> None:
        with self._changed:
            self.lost.append(how)
            self._numbers[:0] = seat.taken
            self._changed.notify_all()

    def wait(self) -> float | None:
        return 0.0 if self._numbers else None

    def next_number(self, seat: Seat, pid: int) -> int | None:
        with self._changed:
            self.pids.add(pid)
            self._handed_out += 1
            if self._handed_out in self._deaths:
                return DEADLY
            self._changed.wait_for(lambda: self._numbers or len(self.lost) >= len(self._deaths), 60)
            if not self._numbers:
                return None
            seat.taken.append(self._numbers.pop(0))
            return seat.taken[-1]


class Seat:
    """One worker's."""

    def __init__(self, desk: Desk) -> None:
        self.taken: list[int] = []
        self._desk = desk

    def next_number(self, pid: int) -> int | None:
        return self._desk.next_number(self, pid)

    def fail(self) -> None:
        raise OSError("a disk of the parent's")


@dataclass(frozen=True)
class Summing:
    """Sums what the desk hands out."""

    endpoint: Endpoint

    def run(self, desk: Seat, sharers: Callable[[], int], bounds: Bounds) -> tuple[int, int, str]:
        total, workers = 0, sharers()
        while (number := desk.next_number(os.getpid())) is not None:
            total += number
        return total, workers, self.endpoint.credentials().secret_key


@dataclass(frozen=True)
class Dying:
    """Sums what the desk hands out, and dies of deadly numbers; how many share the rates at the end."""

    by_exit: bool = False

    def run(self, desk: Seat, sharers: Callable[[], int], bounds: Bounds) -> tuple[int, int]:
        total = 0
        while (number := desk.next_number(os.getpid())) is not None:
            if number == DEADLY and self.by_exit:
                os._exit(3)
            if number == DEADLY:
                os.kill(os.getpid(), signal.SIGKILL)
            total += number
        return total, sharers()


@dataclass(frozen=True)
class Failing:
    """Fails in one of several ways."""

    how: str

    def run(self, desk: Seat, sharers: Callable[[], int], bounds: Bounds) -> None:
        first = desk.next_number(os.getpid()) == 0
        if self.how == "error" and first:
            raise ItemRefused("Cause.", "Next step.", table="orders", details={"key": 1})
        if self.how == "desk" and first:
            desk.fail()
        while desk.next_number(os.getpid()) is not None:
            pass
        threading.Event().wait()  # until it is ended
