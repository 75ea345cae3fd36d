# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Clocks that go by the lab's time, for the processes of ``lab.controller``: Python imports this file by its name.

``TABLEFERRY_LAB_CLOCK`` and ``TABLEFERRY_LAB_SKEW`` name files with one double each: the seconds by which every clock
of the machine is ahead, as after a time in which the process was stopped, and those by which its wall clock is wrong.
``TABLEFERRY_LAB_MACHINE`` is the name of the machine, or container, that the process believes to be on. With
``TABLEFERRY_LAB_SLEEPS``, the lab's endpoint, the process does not wait when it sleeps for a second or longer: it moves
the lab's time, and so its own, forward instead.
"""

from __future__ import annotations

import datetime
import json
import mmap
import os
import socket
import struct
import time
import urllib.request
from collections.abc import Callable
from typing import Any

_DOUBLE = struct.Struct("d")
_RealDatetime = datetime.datetime
_LONG_SLEEP = 1.0  # seconds


def _reader(path: str) -> Callable[[], float]:
    with open(path, "rb") as stream:
        memory = mmap.mmap(stream.fileno(), _DOUBLE.size, access=mmap.ACCESS_READ)
    return lambda: float(_DOUBLE.unpack_from(memory)[0])


class _Kind(type):
    """Lets instances of the real class pass for instances of the one that stands in its place."""

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, _RealDatetime)

    def __subclasscheck__(cls, subclass: type) -> bool:
        return issubclass(subclass, _RealDatetime)


class _Datetime(_RealDatetime, metaclass=_Kind):
    @classmethod
    def now(cls, tz: datetime.tzinfo | None = None) -> Any:
        return cls.fromtimestamp(time.time(), tz)

    def __repr__(self) -> str:
        # As of the real class: Ansible writes one into the program of a module.
        return f"datetime.{super().__repr__()}"

    @classmethod
    def today(cls) -> Any:
        return cls.now()

    @classmethod
    def utcnow(cls) -> Any:
        return cls.now(datetime.UTC).replace(tzinfo=None)


def _install(ahead: Callable[[], float], skew: Callable[[], float]) -> None:
    real_time, real_monotonic = time.time, time.monotonic
    real_gettime, real_gmtime, real_localtime = time.clock_gettime, time.gmtime, time.localtime
    real_strftime = time.strftime

    def wall() -> float:
        return real_time() + ahead() + skew()

    def monotonic() -> float:
        return real_monotonic() + ahead()

    def gettime(clock: int) -> float:
        if clock in (time.CLOCK_PROCESS_CPUTIME_ID, time.CLOCK_THREAD_CPUTIME_ID):
            return real_gettime(clock)
        return real_gettime(clock) + ahead() + (skew() if clock == time.CLOCK_REALTIME else 0.0)

    time.time, time.time_ns = wall, lambda: int(wall() * 1e9)
    time.monotonic, time.monotonic_ns = monotonic, lambda: int(monotonic() * 1e9)
    time.clock_gettime, time.clock_gettime_ns = gettime, lambda clock: int(gettime(clock) * 1e9)
    time.gmtime = lambda seconds=None: real_gmtime(wall() if seconds is None else seconds)
    time.localtime = lambda seconds=None: real_localtime(wall() if seconds is None else seconds)
    time.strftime = lambda text, when=None: real_strftime(text, time.localtime() if when is None else when)
    _Datetime.__module__, _Datetime.__name__, _Datetime.__qualname__ = "datetime", "datetime", "datetime"
    datetime.datetime = _Datetime  # type: ignore[misc]


def _skip_sleeps(endpoint: str, path: str) -> None:
    real_sleep = time.sleep

    def sleep(seconds: float) -> None:
        if seconds < _LONG_SLEEP:
            real_sleep(seconds)
            return
        body = json.dumps({"advance": seconds}).encode()
        with urllib.request.urlopen(urllib.request.Request(f"{endpoint}/_lab/clock", body, method="POST")) as answer:
            offset = json.load(answer)["offset"]
        with open(path, "r+b") as stream:
            stream.write(_DOUBLE.pack(offset))

    time.sleep = sleep  # type: ignore[assignment]


def _move(machine: str) -> None:
    """Another host name and another pid namespace: what is seen of processes elsewhere says nothing then."""
    real_readlink = os.readlink

    def readlink(path: Any, **more: Any) -> Any:
        return f"pid:[{machine}]" if path == "/proc/self/ns/pid" else real_readlink(path, **more)

    socket.gethostname = lambda: machine
    os.readlink = readlink


if os.environ.get("TABLEFERRY_LAB_MACHINE"):
    _move(os.environ["TABLEFERRY_LAB_MACHINE"])
if "TABLEFERRY_LAB_CLOCK" in os.environ:
    _install(_reader(os.environ["TABLEFERRY_LAB_CLOCK"]), _reader(os.environ["TABLEFERRY_LAB_SKEW"]))
    if os.environ.get("TABLEFERRY_LAB_SLEEPS"):
        _skip_sleeps(os.environ["TABLEFERRY_LAB_SLEEPS"], os.environ["TABLEFERRY_LAB_CLOCK"])
