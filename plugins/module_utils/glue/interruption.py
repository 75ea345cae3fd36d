# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""SIGINT and SIGTERM while a verb runs: its runs wait for their answers, let go of their tables and end their leases.

Ansible's workers live in sessions of their own (core 2.19 and newer): ansible-playbook passes signals on to them and
waits for them after SIGINT, not after SIGTERM. With core 2.18 a SIGTERM ends ansible-playbook alone. So a worker whose
parent has gone lets go as well, and all of it may follow ansible-playbook's own end.
"""

from __future__ import annotations

import os
import signal
import socket
import struct
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from types import FrameType
from typing import NoReturn

from ..core.errors import FerryError
from ..core.record.attendance import Attendance
from ..core.record.run import Run

ANSWERS_SECONDS = 10.0  # for which outstanding answers are waited for
JOINING_SECONDS = 5.0  # for which a verb that is just joining its run is waited for
SETTLING_SECONDS = 0.5  # in which answers that just came are written into the records
TABLES_SECONDS = 5.0  # for letting tables go one by one; the lease's end frees the others
ALL_SECONDS = 30.0  # then the process ends, whatever is left
PARENT_EVERY = 1.0
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


class Attending:
    """The runs that this process works for, as long as a verb runs. Safe to use from many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._watched = False
        self._expected = False
        self._attendances: dict[str, Attendance] = {}
        self._unseen: set[str] = set()
        self._runs: list[Run] = []

    def begin(self) -> None:
        """A verb begins whose process lets go where it is interrupted."""
        self._watched = True

    def end(self) -> None:
        """The verb has ended: this process works for no run any more."""
        with self._changed:
            for attendance in self._attendances.values():
                attendance.leave()
            self._watched = self._expected = False
            self._attendances, self._unseen, self._runs = {}, set(), []

    def expect(self) -> None:
        """The verb is about to join a run."""
        self._expected = self._watched

    def attend(self, run: str) -> None:
        """This process is about to work for ``run``: before the run's lease is looked at, so that nobody ends it as the
        last one meanwhile."""
        if not self._watched or run in self._attendances:
            return
        try:
            self._attendances[run] = Attendance(run)
        except OSError:
            self._unseen.add(run)

    def join(self, run: Run) -> None:
        """This process works for ``run``. Where the others cannot know, they fence what it may send."""
        if run.id in self._unseen:
            run.leave_unseen()
        with self._changed:
            if self._watched and run not in self._runs:
                self._runs.append(run)
            self._changed.notify_all()

    def ended(self, run: Run) -> None:
        """``run`` has ended as runs do: nothing is left of it on this machine."""
        attendance = self._attendances.get(run.id)
        if attendance is not None and attendance.is_last():
            attendance.close_run()

    @property
    def at_work(self) -> bool:
        """Whether there is anything to let go of."""
        return self._expected or bool(self._runs)

    def let_go(self) -> None:
        """Wait for the answers to all requests, let the tables go, and end the leases that nobody else works under."""
        with self._changed:
            if self._expected:
                self._changed.wait_for(lambda: bool(self._runs), JOINING_SECONDS)
            runs = list(self._runs)
        for run in runs:
            run.interrupt()
        if any(not run.gate.wait_for_answers(0.0) for run in runs):
            end = time.monotonic() + ANSWERS_SECONDS
            answered = [run.gate.wait_for_answers(max(0.0, end - time.monotonic())) for run in runs]
            if not all(answered):
                close_connections()
                for run in runs:
                    run.gate.give_up()
            time.sleep(SETTLING_SECONDS)
        for run in runs:
            with suppress(FerryError):  # another run has ended it, or AWS does not answer
                run.abandon(TABLES_SECONDS)
                self._end(run)

    def _end(self, run: Run) -> None:
        # Without a lock nobody knows who else is at work: the lease runs out by itself.
        attendance = self._attendances.get(run.id)
        if attendance is not None and attendance.is_last():
            run.end()
            attendance.close_run()


ATTENDING = Attending()


@contextmanager
def interruptible() -> Iterator[None]:
    """SIGINT and SIGTERM within let everything go and end this process, and so does the parent's end where a run is at
    work.

    Only in the main thread, where Python lets signals be handled; elsewhere nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    watch = _Watch()
    former = {number: signal.signal(number, watch.note) for number in _SIGNALS}
    ATTENDING.begin()
    try:
        yield
    finally:
        watch.end()
        ATTENDING.end()
        for number, handler in former.items():
            signal.signal(number, handler)
        if watch.noted:  # after the last look
            os.kill(os.getpid(), watch.noted)


class _Watch:
    """A thread that waits for a signal: a handler must not take locks which the code it interrupts holds."""

    def __init__(self) -> None:
        self.noted = 0
        self._parent = os.getppid()
        self._ours, self._theirs = socket.socketpair()
        self._theirs.settimeout(PARENT_EVERY)
        self._thread = threading.Thread(target=self._watch, name="tableferry-signals", daemon=True)
        self._thread.start()

    def note(self, number: int, frame: FrameType | None) -> None:
        """The handler of a signal."""
        self.noted = number
        with suppress(OSError):  # the verb has just ended: it is sent again
            self._ours.send(bytes([number]))

    def end(self) -> None:
        """The verb has ended. Does not return where a signal was heard before, or the parent has gone."""
        self._ours.send(b"\0")
        self._thread.join()
        self._ours.close()
        self._theirs.close()

    def _watch(self) -> None:
        while True:
            try:
                heard = self._theirs.recv(1)
            except TimeoutError:
                heard = b""
            if heard in (b"", b"\0") and os.getppid() != self._parent and ATTENDING.at_work:
                heard = bytes([signal.SIGTERM])
            if heard == b"\0":
                return
            if not heard:
                continue
            letting_go = threading.Thread(target=ATTENDING.let_go, name="tableferry-letting-go", daemon=True)
            letting_go.start()
            letting_go.join(ALL_SECONDS)
            _end_process(heard[0])


def _end_process(number: int) -> NoReturn:
    # Nothing is reported: nobody reads the results of an interrupted ansible-playbook, and a full pipe would never end.
    os._exit(128 + number)


def close_connections() -> None:
    """Close all of this process's network connections at once, so that nothing unsent follows."""
    for name in os.listdir("/dev/fd"):
        with suppress(OSError, ValueError):
            _close_connection(int(name))


def _close_connection(descriptor: int) -> None:
    connection = socket.socket(fileno=os.dup(descriptor))  # raises OSError for what is no socket
    try:
        if connection.family in (socket.AF_INET, socket.AF_INET6):
            # What the system has not sent yet is dropped when the process ends.
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RDWR)
    finally:
        connection.close()
