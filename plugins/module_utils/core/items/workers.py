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

One that dies is no reason to end the others: they go on with what it had taken, at its part of the rates too, once
nothing of it can be under way any more. Only where none is left another one is started: a machine that has too little
memory for the workers it had has none for more.
"""

from __future__ import annotations

import io
import math
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from multiprocessing.connection import Pipe
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

from ..errors import Interrupted, InvalidInput, WorkerLost, interrupted
from . import worker_process
from .client import Endpoint
from .permit import FREE, TURN_SECONDS, Bounds, elapsed, pause
from .transport import SigningKeys
from .worker_process import ANSWER, CREDENTIALS, FAILURE, RENEWED, RESULT, SHARERS, STOPPED, TERM, Term

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_ENTRY = "import sys; sys.path[:] = {path!r}; from {module} import serve; serve({descriptor})"
GRACE_SECONDS = 5.0
# Workers that may die in one run. A single one is one that the system ended for its memory, or somebody by mistake; of
# so many there is a cause, which would go on to cost what they have read.
MOST_LOST = 3


class Task(Protocol[Result_co]):
    """The work of a worker; it can be pickled, except for the credentials of its endpoints."""

    def run(self, desk: Any, sharers: Callable[[], int], bounds: Bounds) -> Result_co:
        """Do one worker's part of the work, taken from a seat of the ``desk``, within ``bounds``; ``sharers`` says how
        many workers share the rates now."""


class Desk(Protocol):
    """Hands out the work. Its methods, and those of its seats, are called from several threads."""

    def seat(self) -> Any:
        """What one worker asks for its work; arguments and results of its methods can be pickled."""

    def vacated(self, seat: Any, how: str) -> None:
        """The worker at ``seat`` died, its sockets are closed, and ``how`` says in words how it ended: what it has not
        finished is to be handed out again."""

    def wait(self) -> float | None:
        """Seconds until there is work for one more worker, 0 for now; None when there is none and none will be."""


def run_in_workers(
    task: Task[Result],
    desk: Desk,
    workers: int,
    bounds: Bounds = FREE,
    *,
    writes_to: str = "",
    inherited: Sequence[int] = (),
) -> list[Result]:
    """The results of ``task`` in each of ``workers`` processes; with 1 it runs in this one.

    The result of a worker that dies is missing: its desk hands its work out again, if needed to another worker.
    ``writes_to`` is the table that the workers change, if they do; ``inherited`` are open files that they keep open.

    Raises what the task, the desk or the bounds' ``look`` raises; the first failure ends all workers, but for
    Interrupted: each of them waits for its last answers then. Raises InvalidInput for fewer than 1 worker, WorkerLost
    when more than MOST_LOST end by themselves, LeaseOver.
    """
    if workers < 1:
        raise InvalidInput(f"workers is {workers}.", "Give 1 or more.")
    if workers == 1:
        return [task.run(desk.seat(), _alone, bounds)]
    return _Crew(task, desk, bounds, writes_to, inherited).run(workers)


def _alone() -> int:
    return 1


class _Crew(Generic[Result]):
    """The workers of one task, seen from their parent."""

    def __init__(
        self, task: Task[Result], desk: Desk, bounds: Bounds, writes_to: str, inherited: Sequence[int]
    ) -> None:
        self.sharers = 1  # workers among which the rates are divided; read by the threads that attend to them
        self.pickled, self.endpoints = _dump(task)
        self.bounds = bounds
        self.writes_to = writes_to
        self.inherited = inherited
        self._desk = desk
        self._at_work: dict[Future[Result], tuple[_Worker, Any]] = {}
        self._results: list[Result] = []
        self._lost = 0
        self._interrupted: Interrupted | None = None

    def run(self, workers: int) -> list[Result]:
        """Start ``workers``, and others where none is left and there is work; the results. See run_in_workers."""
        self.sharers = workers  # before the first begins: none may think that the rates are its own
        with ThreadPoolExecutor(workers, "attend") as pool:
            try:
                for _worker in range(workers):
                    self._start(pool)
                while self._at_work:
                    for ended in wait(self._at_work, return_when=FIRST_COMPLETED).done:
                        self._take(ended)
                    if not self._at_work and self._interrupted is None and self._more():
                        self._start(pool)
            finally:
                for worker, _seat in self._at_work.values():
                    worker.end()
        if self._interrupted is not None:
            raise self._interrupted
        return self._results

    def _start(self, pool: ThreadPoolExecutor) -> None:
        seat = self._desk.seat()
        worker = _Worker(self)
        self._at_work[pool.submit(worker.attend, seat)] = worker, seat

    def _take(self, ended: Future[Result]) -> None:
        """Take in how one worker has ended. Raises its failure, WorkerLost for one too many."""
        worker, seat = self._at_work.pop(ended)
        worker.end()
        self.sharers = max(1, len(self._at_work))
        try:
            self._results.append(ended.result())
        except Interrupted as error:
            self._interrupted = error
        except WorkerLost as error:
            self._lost += 1
            if self._lost > MOST_LOST:
                raise WorkerLost(
                    f"{error.cause.rstrip('.')}, after {MOST_LOST} others had ended by themselves too.",
                    error.next_step,
                    table=self.writes_to,
                ) from error
            self._desk.vacated(seat, worker.ended_by)

    def _more(self) -> bool:
        """Whether there is work for one more worker, none of them being left; returns when it can begin."""
        permit = self.bounds.permit
        while seconds := self._desk.wait():
            if permit is not None and permit.stopped:
                raise interrupted(self.writes_to)
            pause(min(seconds, TURN_SECONDS), self.bounds.look)
        return seconds is not None


class _Worker:
    """A process under way, seen from its parent."""

    def __init__(self, crew: _Crew[Any]) -> None:
        """Start it. Raises LeaseOver, Interrupted."""
        self.ended_by = ""  # in words, of one that died
        self._crew = crew
        self._bounds = bounds = crew.bounds
        self._sharers = 0  # as it knows them
        self._term: Term = (math.inf, math.inf)
        self._lost: float | None = None  # date of its newest request without an answer, 0 for none; None: not known
        # One attempt stands for all requests of the worker: open as long as it lives.
        permit = bounds.permit if crew.writes_to else None
        self._attempt = permit.leave(time.time(), crew.writes_to) if permit is not None else None
        self._connection, theirs = Pipe()
        entry = _ENTRY.format(path=[*sys.path, _root()], module=worker_process.__name__, descriptor=theirs.fileno())
        # run_command, which the sanity tests ask for, belongs to a module; this runs without Ansible too.
        self.process = subprocess.Popen(  # pylint: disable=ansible-bad-function
            [sys.executable, "-c", entry],
            stdin=subprocess.DEVNULL,
            pass_fds=[theirs.fileno(), *crew.inherited],
            start_new_session=True,
        )
        theirs.close()

    def attend(self, seat: Any) -> Any:
        """Send the worker its task and answer its questions until its result. Raises its failure, WorkerLost."""
        endpoints = self._crew.endpoints
        self._renew()
        self._sharers = self._crew.sharers
        self._send((self._crew.pickled, self._sharers, self._term))
        while True:
            method, arguments = self._receive()
            if method == RESULT:
                result, self._lost = arguments
                return result
            if method == FAILURE:
                failure, self._lost = arguments
                raise failure
            self._turn()
            if method == CREDENTIALS:
                self._answer(_Keys.of(endpoints[arguments].credentials()))
            elif method == RENEWED:
                endpoint = endpoints[arguments]
                self._answer(_Keys.of((endpoint.renewed or endpoint.credentials)()))
            else:
                self._answer(getattr(seat, method)(*arguments))

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
        """Look, and tell the worker what is new. Where it has ended, what it sent before is still to be received."""
        if self._bounds.look is not None:
            self._bounds.look()
        with suppress(OSError):
            if self._renew():
                self._connection.send((TERM, self._term))
            if self._sharers != self._crew.sharers:
                self._sharers = self._crew.sharers
                self._connection.send((SHARERS, self._sharers))

    def _answer(self, value: Any) -> None:
        self._send((ANSWER, value))

    def _send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._ended() from error

    def _receive(self) -> Any:
        try:
            while not self._connection.poll(TURN_SECONDS):
                self._turn()
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._ended() from error

    def _ended(self) -> WorkerLost:
        self.ended_by = _how_it_ended(self.process.wait())
        return WorkerLost(
            f"A worker process {self.ended_by}.",
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
        return len(self.endpoints) - 1, obj.url, obj.region, obj.side, obj.ca_bundle, obj.log


def _dump(task: Any) -> tuple[bytes, list[Endpoint]]:
    stream = io.BytesIO()
    pickler = _Pickler(stream)
    pickler.dump(task)
    return stream.getvalue(), pickler.endpoints
