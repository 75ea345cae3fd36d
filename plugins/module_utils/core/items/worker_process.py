# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A worker process, seen from within: its task, and its parent behind the socket through which everything comes."""

from __future__ import annotations

import io
import math
import os
import pickle
import threading
from collections.abc import Callable
from functools import partial
from multiprocessing.connection import Connection
from typing import Any

from ..errors import LeaseOver, ParentGone, interrupted
from .client import Endpoint
from .permit import Bounds, Permit, elapsed
from .transport import SigningKeys

# What a worker sends and gets. These must not be names of a desk's methods.
CREDENTIALS, RENEWED, RESULT, FAILURE = "credentials of", "new credentials of", "the result", "the failure"
ANSWER, TERM, SHARERS = "the answer", "the term", "the sharers"

Term = tuple[float, float]  # the end of a permit: AWS's time, and the same by ``elapsed``
STOPPED: Term = (-math.inf, -math.inf)  # the term of a permit that is stopped


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, ask: Callable[[str, int], SigningKeys]) -> None:
        super().__init__(stream)
        self._ask = ask

    def persistent_load(self, pid: Any) -> Endpoint:
        number, url, region, side, ca_bundle, log = pid
        credentials, renewed = (partial(self._ask, what, number) for what in (CREDENTIALS, RENEWED))
        return Endpoint(url, region, credentials, side, renewed, ca_bundle, log)


class _Parent:
    """The parent, seen from a worker: its desk, its permit, how many share the rates, and the socket with which
    everything ends.

    Threads ask one after the other; only one may write.
    """

    def __init__(self, connection: Connection) -> None:
        self.lost_date = 0.0  # of the newest request without an answer
        self._process = os.getppid()
        self._connection = connection
        self._lock = threading.Lock()
        self._term: Term = (math.inf, math.inf)
        self._sharers = 1

    def start(self) -> bytes:
        """The task. Raises EOFError, OSError when the parent is gone."""
        task: bytes
        task, self._sharers, self._term = self._connection.recv()
        return task

    def sharers(self) -> int:
        """How many workers share the rates now, this one among them."""
        return self._sharers

    def ask(self, method: str, arguments: Any) -> Any:
        """The answer of its desk. Raises EOFError, OSError when it is gone."""
        with self._lock:
            self._connection.send((method, arguments))
            while True:
                kind, value = self._connection.recv()
                if kind == ANSWER:
                    return value
                self._note(kind, value)

    def _note(self, kind: str, value: Any) -> None:
        if kind == TERM:
            self._term = value
        else:
            self._sharers = value

    # The socket

    def fileno(self) -> int:
        """For selectors."""
        return self._connection.fileno()

    def hear(self) -> None:
        """Take in what was not asked for. Raises ParentGone, EOFError, OSError when the parent is gone."""
        self.look()
        with self._lock:
            while self._connection.poll():
                self._note(*self._connection.recv())

    def look(self) -> None:
        """Raises ParentGone when the parent is gone."""
        if os.getppid() != self._process:
            raise ParentGone("The process that started this worker has ended.", "Run again: the copy continues.")

    # The permit

    @property
    def until(self) -> float:
        """AWS's time until which the worker may write."""
        return self._term[0]

    @property
    def stopped(self) -> bool:
        """Whether the parent was interrupted."""
        return self._term == STOPPED

    def left(self) -> float:
        """Seconds until then."""
        return self._term[1] - elapsed()

    def leave(self, date: float, subject: str) -> float:
        """See Permit.leave. Raises LeaseOver, ParentGone, Interrupted."""
        self.look()
        if self.stopped:
            raise interrupted(subject)
        until, end = self._term
        if date > until or elapsed() > end:
            raise LeaseOver(
                "Nothing was sent: the run's lease is over and was not renewed.",
                "Run again: the copy continues.",
                table=subject,
                details={"until": until, "date": date},
            )
        return date

    def answered(self, attempt: float) -> None:
        """Nothing is kept of requests that are answered."""

    def lost(self, attempt: float, date: float | None = None) -> None:
        """See Permit.lost."""
        self.lost_date = max(self.lost_date, attempt)


class _RemoteDesk:
    """The parent's desk, seen from a worker."""

    def __init__(self, parent: _Parent) -> None:
        self._parent = parent

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments: self._parent.ask(method, arguments)


def serve(descriptor: int) -> None:
    """A worker's whole life: the task comes through the socket ``descriptor``, the result goes back through it."""
    connection = Connection(descriptor)
    parent = _Parent(connection)
    permit: Permit = parent
    try:
        task = _Unpickler(io.BytesIO(parent.start()), parent.ask).load()
        try:
            kind, value = RESULT, task.run(_RemoteDesk(parent), parent.sharers, Bounds(permit, parent.look, parent))
        except Exception as error:
            kind, value = FAILURE, error
        connection.send((kind, (value, parent.lost_date)))
    except (EOFError, OSError):
        return  # the parent is gone: nobody is left to report to
