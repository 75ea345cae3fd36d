# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs one task in several processes, which ask one desk for their work.

A worker is a fresh interpreter that imports this module and nothing of its parent. It is not a fork of an Ansible
worker, whose threads and locks it would inherit in an unusable state, nor multiprocessing's spawn, which would run the
parent's main program again, be that ``ansible-playbook`` or a zipped module. What it needs comes through a socket: the
task, answers of the desk, and credentials each time it asks for them, so that they are refreshed in one place. Nothing
secret is in its arguments or its environment, and it ends when its parent does.
"""

from __future__ import annotations

import io
import pickle
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, as_completed
from functools import partial
from multiprocessing.connection import Connection, Pipe
from pathlib import Path
from typing import Any, Protocol, TypeVar

from ..errors import InvalidInput, WorkerLost
from .client import Endpoint
from .transport import SigningKeys

Result = TypeVar("Result")
Result_co = TypeVar("Result_co", covariant=True)

_ENTRY = "import sys; sys.path[:] = {path!r}; from {module} import serve; serve({descriptor})"
# These must not be names of a desk's methods.
_CREDENTIALS, _RENEWED, _RESULT, _FAILURE = "credentials of", "new credentials of", "the result", "the failure"
GRACE_SECONDS = 5.0


class Task(Protocol[Result_co]):
    """The work of a worker; it can be pickled, except for the credentials of its endpoints."""

    def run(self, desk: Any, workers: int) -> Result_co:
        """Do one worker's part of the work of ``workers``, taken from ``desk``."""


def run_in_workers(task: Task[Result], desk: Any, workers: int) -> list[Result]:
    """The results of ``task`` in each of ``workers`` processes; with 1 it runs in this one.

    Methods of ``desk`` are called from several threads; their arguments and results can be pickled. Raises what the
    task or the desk raises; the first failure ends all workers. Raises InvalidInput for fewer than 1 worker, WorkerLost
    when one ends by itself.
    """
    if workers < 1:
        raise InvalidInput(f"workers is {workers}.", "Give 1 or more.")
    if workers == 1:
        return [task.run(desk, 1)]
    pickled, endpoints = _dump(task)
    started: list[_Worker] = []
    with ThreadPoolExecutor(workers, "attend") as pool:
        try:
            attending = []
            for _worker in range(workers):
                started.append(_Worker())
                attending.append(pool.submit(started[-1].attend, pickled, endpoints, desk, workers))
            for each in as_completed(attending):
                each.result()
        finally:
            for worker in started:
                worker.end()
    return [each.result() for each in attending]


class _Worker:
    """A process under way, seen from its parent."""

    def __init__(self) -> None:
        self._connection, theirs = Pipe()
        entry = _ENTRY.format(path=[*sys.path, _root()], module=__name__, descriptor=theirs.fileno())
        self.process = subprocess.Popen(
            [sys.executable, "-c", entry], stdin=subprocess.DEVNULL, pass_fds=[theirs.fileno()], start_new_session=True
        )
        theirs.close()

    def attend(self, task: bytes, endpoints: list[Endpoint], desk: Any, workers: int) -> Any:
        """Send the worker its task and answer its questions until its result. Raises its failure, WorkerLost."""
        self._send(task)
        self._send(workers)
        while True:
            method, arguments = self._receive()
            if method == _RESULT:
                return arguments
            if method == _FAILURE:
                raise arguments
            if method == _CREDENTIALS:
                self._send(_Keys.of(endpoints[arguments].credentials()))
            elif method == _RENEWED:
                endpoint = endpoints[arguments]
                self._send(_Keys.of((endpoint.renewed or endpoint.credentials)()))
            else:
                self._send(getattr(desk, method)(*arguments))

    def end(self) -> None:
        """End the process if it still runs; ``attend`` then raises WorkerLost."""
        self.process.terminate()
        try:
            self.process.wait(GRACE_SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def _send(self, message: Any) -> None:
        try:
            self._connection.send(message)
        except OSError as error:
            raise self._lost() from error

    def _receive(self) -> Any:
        try:
            return self._connection.recv()
        except (EOFError, OSError) as error:
            raise self._lost() from error

    def _lost(self) -> WorkerLost:
        return WorkerLost(
            f"A worker process ended by itself (exit status {self.process.wait()}).",
            "Check whether the machine ran out of memory, then run again with fewer workers.",
        )


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

    def persistent_id(self, value: Any) -> Any:
        if not isinstance(value, Endpoint):
            return None
        self.endpoints.append(value)
        return len(self.endpoints) - 1, value.url, value.region, value.side


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

    def persistent_load(self, endpoint: Any) -> Endpoint:
        number, url, region, side = endpoint
        ask = self._ask
        return Endpoint(url, region, partial(ask, _CREDENTIALS, number), side, partial(ask, _RENEWED, number))


class _RemoteDesk:
    """The parent's desk, seen from a worker; threads ask one after the other."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._lock = threading.Lock()

    def ask(self, method: str, arguments: Any) -> Any:
        """The parent's answer. Raises EOFError, OSError when it is gone."""
        with self._lock:
            self._connection.send((method, arguments))
            return self._connection.recv()

    def __getattr__(self, method: str) -> Any:
        return lambda *arguments: self.ask(method, arguments)


def serve(descriptor: int) -> None:
    """A worker's whole life: the task comes through the socket ``descriptor``, the result goes back through it."""
    connection = Connection(descriptor)
    desk = _RemoteDesk(connection)
    try:
        task = _Unpickler(io.BytesIO(connection.recv()), desk.ask).load()
        workers = connection.recv()
        try:
            answer = (_RESULT, task.run(desk, workers))
        except Exception as error:
            answer = (_FAILURE, error)
        connection.send(answer)
    except (EOFError, OSError):
        return  # the parent is gone: nobody is left to report to
