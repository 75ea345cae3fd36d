# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose process holds a run: named so that another process of the same machine can see that it is gone."""

from __future__ import annotations

import getpass
import os
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Process:
    """A process and its machine. ``boot`` and ``pid_ns`` are empty where the system does not tell.

    ``started`` tells the process from a later one with the same ``pid``; ``since`` is AWS's time when its run began.
    """

    user: str
    host: str
    boot: str
    pid_ns: str
    pid: int
    started: str
    since: int = 0

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Process:
        """The process of ``to_dict``'s data."""
        return cls(**{name: data[name] for name in cls.__dataclass_fields__ if name in data})

    def same_as(self, other: Process) -> bool:
        """Whether both are one process, whenever its run began."""
        return self._identity == other._identity

    @property
    def _identity(self) -> tuple[str, str, str, int, str]:
        return (self.host, self.boot, self.pid_ns, self.pid, self.started)


def describe(pid: int) -> Process:
    """The process ``pid`` of this machine, with the machine's name and this user's. ``started`` is empty if it is
    gone already."""
    return Process(_user(), socket.gethostname(), _boot(), _pid_namespace(), pid, start_of(pid))


def is_gone(holder: Process, here: Process, start: Callable[[int], str] | None = None) -> bool:
    """Whether ``holder`` is seen gone by this process, ``here``. False where that cannot be seen: another machine,
    another container, or one that was started anew since and may share its name with another.

    ``start`` answers when a process started, empty for none.
    """
    if not holder.boot or not holder.started or (holder.boot, holder.pid_ns) != (here.boot, here.pid_ns):
        return False
    return (start or start_of)(holder.pid) != holder.started


def start_of(pid: int) -> str:
    """When the process ``pid`` started, in the system's own words; empty when there is none, or only its remains."""
    if sys.platform != "linux":
        return _output("ps", "-o", "lstart=", "-p", str(pid))
    try:
        text = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return ""
    # The second field, a name in parentheses, may hold anything. proc_pid_stat(5): field 3 state, field 22 start.
    state, *fields = text.rpartition(")")[2].split()
    return "" if state in "ZX" else fields[18]


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user id has no name
        return str(os.getuid())


def _boot() -> str:
    if sys.platform != "linux":
        return _output("sysctl", "-n", "kern.bootsessionuuid")
    return _text("/proc/sys/kernel/random/boot_id")


def _pid_namespace() -> str:
    try:
        return os.readlink("/proc/self/ns/pid") if sys.platform == "linux" else ""
    except OSError:
        return ""


def _text(path: str) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""


def _output(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=False).stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
