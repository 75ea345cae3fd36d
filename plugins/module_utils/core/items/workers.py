# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one task in several processes, which ask one desk for their work.

A worker is a fresh interpreter that imports this module and nothing of its parent. It is not a fork of an Ansible
worker, whose threads and locks it would inherit in an unusable state, nor multiprocessing's spawn, which would run the
parent's main program again, be that ``ansible-playbook`` or a zipped module. What it needs comes through a socket: the
task, answers of the desk, credentials each time it asks for them, so that they are refreshed in one place, and until
when it may write, anew with each renewal. Nothing secret is in its arguments or its environment. It ends with the
socket, which it watches while it works: a parent that is killed leaves no writer behind.
"""

from __future__ import annotations

import io
import math
import os
import pickle
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import suppress
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..errors import Interrupted, InvalidInput, LeaseOver, ParentGone, WorkerLost, interrupted
from .client import Endpoint
from .permit import FREE, TURN_SECONDS, Bounds, Permit, elapsed
from .transport import SigningKeys

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_ENTRY = "import sys; sys.path[:] = {path!r}; from {module} import serve; serve({descriptor})"
# These must not be names of a desk's methods.
_CREDENTIALS, _RENEWED, _RESULT, _FAILURE = "credentials of", "new credentials of", "the result", "the failure"
_ANSWER, _TERM = "the answer", "the term"
GRACE_SECONDS = 5.0

Term = tuple[float, float]  # the end of a permit: AWS's time, and the same by ``elapsed``
STOPPED: Term = (-math.inf, -math.inf)  # the term of a permit that is stopped


class Task(Protocol[Result_co]):
    """The work of a worker; it can be pickled, except for the credentials of its endpoints."""

    def run(self, desk: Any, workers: int, bounds: Bounds) -> Result_co:
        """Do one worker's part of the work of ``workers``, taken from ``desk``, within ``bounds``."""


def run_in_workers(
    task: Task[Result],
    desk: Any,
    workers: int,
    bounds: Bounds = FREE,
    *,
    writes_to: str = "",
    inherited: Sequence[int] = (),
) -> list[Result]:
    """The results of ``task`` in each of ``workers`` processes; with 1 it runs in this one.

    Methods of ``desk`` are called from several threads; their arguments and results can be pickled. ``writes_to`` is
    the table that the workers change, if they do; ``inherited`` are open files that they keep open.

    Raises what the task, the desk or the bounds' ``look`` raises; the first failure ends all workers, but for
    Interrupted: each of them waits for its last answers then. Raises InvalidInput for fewer than 1 worker, WorkerLost
    when one ends by itself, LeaseOver.
    """
    if workers < 1:
        raise InvalidInput(f"workers is {workers}.", "Give 1 or more.")
    if workers == 1:
        return [task.run(desk, 1, bounds)]
    pickled, endpoints = _dump(task)
    started: list[_Worker] = []
    with ThreadPoolExecutor(workers, "attend") as pool:
        try:
            attending = []
            for _worker in range(workers):
                started.append(_Worker(bounds, writes_to, inherited))
                attending.append(pool.submit(started[-1].attend, pickled, endpoints, desk, workers))
            for each in as_completed(attending):
                with suppress(Interrupted):
                    each.result()
        finally:
            for worker in started:
                worker.end()
    return [each.result() for each in attending]


class _Worker:
    """A process under way, seen from its parent."""

    def __init__(self, bounds: Bounds, writes_to: str, inherited: Sequence[int]) -> None:
        """Start it. Raises LeaseOver."""
        self._bounds = bounds
        self._term: Term = (math.inf, math.inf)
        self._lost: float | None = None  # date of its newest request without an answer, 0 for none; None: not known
        # One attempt stands for all requests of the worker: open as long as it lives.
        permit = bounds.permit if writes_to else None
        self._attempt = permit.leave(time.time(), writes_to) if permit is not None else None
        self._connection, theirs = Pipe()
        entry = _ENTRY.format(path=[*sys.path, _root()], module=__name__, descriptor=theirs.fileno())
        # run_command, which the sanity tests ask for, belongs to a module; this runs without Ansible too.
        self.process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [sys.executable, "-c", entry],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *inherited],
            start_new_session=True,
        )
        theirs.close()

    def attend(self, task: bytes, endpoints: list[Endpoint], desk: Any, workers: int) -> Any:
        """Send the worker its task and answer its questions until its result. Raises its failure, WorkerLost."""
        self._renew()
        self._send((task, workers, self._term))
        while True:
            method, arguments = self._receive()
            if method == _RESULT:
                result, self._lost = arguments
                return result
            if method == _FAILURE:
                failure, self._lost = arguments
                raise failure
            if method == _CREDENTIALS:
                self._answer(_Keys.of(endpoints[arguments].credentials()))
            elif method == _RENEWED:
                endpoint = endpoints[arguments]
                self._answer(_Keys.of((endpoint.renewed or endpoint.credentials)()))
            else:
                self._answer(getattr(desk, method)(*arguments))

    def end(self) -> None:
        """End the process if it still runs; ``attend`` then raises WorkerLost."""
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self._settle()

    def _settle(self) -> None:
        """Tell the permit what became of the requests of the process, which has ended."""
        permit, attempt, self._attempt = self._bounds.permit, self._attempt, None
        if permit is None or attempt is None:
            return
        if self._lost == 0.0:
            permit.answered(attempt)
        else:
            until, left = permit.until, permit.left()
            permit.lost(attempt, self._lost or until - max(0.0, left))

    def _renew(self) -> bool:
        """Whether the worker does not know yet until when it may write."""
        permit = self._bounds.permit
        if permit is not None and permit.stopped:
            known, self._term = self._term, STOPPED
            return known != STOPPED
        if permit is None or permit.until == self._term[0]:
            return False
        now = elapsed()  # first: whatever comes between makes the term shorter
        self._term = (permit.until, now + permit.left())
        return True

    def _turn(self) -> None:
        if self._bounds.look is not None:
            self._bounds.look()
        if self._renew():
            self._send((_TERM, self._term))

    def _answer(self, value: Any) -> None:
        self._send((_ANSWER, value))

    def _send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._ended() from error

    def _receive(self) -> Any:
        try:
            while self._bounds is not FREE and not self._connection.poll(TURN_SECONDS):
                self._turn()
            message = self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error
        self._turn()
        return message

    def _ended(self) -> WorkerLost:
        return WorkerLost(
            f"A worker process {_how_it_ended(self.process.wait())}.",
            "Check whether the machine ran out of memory, then run again with fewer workers.",
        )


def _how_it_ended(status: int) -> str:
    """In words, by the exit status as subprocess gives it."""
    if status >= 0:
        return f"ended by itself (exit status {status})"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"


def _root() -> str:
    """The folder of this module's package: Ansible finds collections in folders that are not on Python's path."""
    return str(Path(__file__).parents[__name__.count(".")])


class _Keys:
    """Credentials on their way to a worker."""

    def __init__(self, access_key: str, secret_key: str, session_token: str) -> None:
        self.access_key = access_key
        self.secret_key = secret_key
        self.session_token = session_token

    @classmethod
    def of(cls, credentials: SigningKeys) -> _Keys:
        """From any credentials."""
        return cls(credentials.access_key, credentials.secret_key, credentials.session_token)


class _Pickler(pickle.Pickler):
    """Replaces the credentials of an endpoint by a number, with which the worker asks for them."""

    def __init__(self, stream: io.BytesIO) -> None:
        super().__init__(stream)
        self.endpoints: list[Endpoint] = []

    def persistent_id(self, obj: Any) -> Any:
        if not isinstance(obj, Endpoint):
            return None
        self.endpoints.append(obj)
        return len(self.endpoints) - 1, obj.url, obj.region, obj.side, obj.ca_bundle


def _dump(task: Any) -> tuple[bytes, list[Endpoint]]:
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(task)
    return stream.getvalue(), pickler.endpoints


# In the worker


class _Unpickler(pickle.Unpickler):
    def __init__(self, stream: io.BytesIO, ask: Callable[[str, int], SigningKeys]) -> None:
        super().__init__(stream)
        self._ask = ask

    def persistent_load(self, pid: Any) -> Endpoint:
        number, url, region, side, ca_bundle = pid
        credentials, renewed = (partial(self._ask, what, number) for what in (_CREDENTIALS, _RENEWED))
        return Endpoint(url, region, credentials, side, renewed, ca_bundle)


class _Parent:
    """The parent, seen from a worker: its desk, its permit, and the socket with which everything ends.

    Threads ask one after the other; only one may write.
    """

    def __init__(self, connection: Connection) -> None:
        self.lost_date = 0.0  # of the newest request without an answer
        self._process = os.getppid()
        self._connection = connection
        self._lock = threading.Lock()
        self._term: Term = (math.inf, math.inf)

    def start(self) -> tuple[bytes, int]:
        """The task and the number of workers. Raises EOFError, OSError when the parent is gone."""
        task, workers, self._term = self._connection.recv()
        return task, workers

    def ask(self, method: str, arguments: Any) -> Any:
        """The answer of its desk. Raises EOFError, OSError when it is gone."""
        with self._lock:
            self._connection.send((method, arguments))
            while True:
                kind, value = self._connection.recv()
                if kind == _ANSWER:
                    return value
                self._term = value

    # The socket

    def fileno(self) -> int:
        """For selectors."""
        return self._connection.fileno()

    def hear(self) -> None:
        """Take in a renewal. Raises EOFError, OSError when the parent is gone."""
        with self._lock:
            while self._connection.poll():
                _kind, self._term = self._connection.recv()

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
        pickled, workers = parent.start()
        task = _Unpickler(io.BytesIO(pickled), parent.ask).load()
        try:
            kind, value = _RESULT, task.run(_RemoteDesk(parent), workers, Bounds(permit, parent.look, parent))
        except Exception as error:
            kind, value = _FAILURE, error
        connection.send((kind, (value, parent.lost_date)))
    except (EOFError, OSError):
        return  # the parent is gone: nobody is left to report to
