# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whose process holds a run: named so that another process of the same machine can see that it is gone."""

from __future__ import annotations

import getpass
import os
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# Ansible's commands: ``ansible-playbook``, ``ansible-playbook-3.12``, ``python -m ansible playbook``.
_ANSIBLE = re.compile(r"ansible(-playbook|-console)?(-[\d.]+)?")
_ANSIBLE_MODULE = re.compile(r"ansible(\.cli\.(adhoc|console|playbook)|\.__main__)?")
_PYTHON = re.compile(r"(python|pypy)[\d.]*", re.IGNORECASE)
_MOST_ANCESTORS = 100


@dataclass(frozen=True)
class Relative:
    """What is known of an ancestor: its parent's pid (0 for none) and its command line."""

    parent: int
    command: tuple[str, ...]


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


def playbook(pid: int | None = None, look: Callable[[int], Relative] | None = None) -> int:
    """The pid of the Ansible command, such as ``ansible-playbook``, that the process ``pid``, or this one, works for.

    A worker of Ansible's is a fork with its parent's command line; a module is started by such a worker, mostly through
    a shell. The nearest Ansible command counts: a playbook that another one starts is a run of its own. Where there is
    none, as in a module on another machine or one in the background, it is the process itself: ancestors such as sshd
    or a login shell serve others too, and two that share a run would not exclude each other. ``look`` is for tests.
    """
    start = os.getpid() if pid is None else pid
    look = look or relative
    here, command, seen = start, look(start), 0
    while not _is_ansible(command.command):
        here, seen = command.parent, seen + 1
        if here <= 0 or seen > _MOST_ANCESTORS:
            return start
        command = look(here)
    while command.parent > 0:
        above = look(command.parent)
        if above.command != command.command:
            break
        here, command = command.parent, above
    return here


def relative(pid: int) -> Relative:
    """The parent and the command line of the process ``pid``; nothing of one that is gone."""
    if sys.platform != "linux":
        words = _output("ps", "-o", "ppid=,command=", "-p", str(pid)).split()
        return Relative(int(words[0]), tuple(words[1:])) if words and words[0].isdigit() else Relative(0, ())
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
        command = Path(f"/proc/{pid}/cmdline").read_bytes().decode(errors="replace")
    except OSError:
        return Relative(0, ())
    return Relative(int(stat.rpartition(")")[2].split()[1]), tuple(command.rstrip("\0").split("\0")))


def _is_ansible(command: tuple[str, ...]) -> bool:
    if not command:
        return False
    name, *arguments = command
    if not _PYTHON.fullmatch(os.path.basename(name)):
        return _ANSIBLE.fullmatch(os.path.basename(name)) is not None
    for at, argument in enumerate(arguments):
        if argument == "-m":
            return at + 1 < len(arguments) and _ANSIBLE_MODULE.fullmatch(arguments[at + 1]) is not None
        if not argument.startswith("-"):  # the script; options with a value of their own (-W, -X) are rare
            return _ANSIBLE.fullmatch(os.path.basename(argument)) is not None
    return False


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
        # run_command, which the sanity tests ask for, belongs to a module; this runs without Ansible too.
        ended = subprocess.run(  # pylint: disable=ansible-bad-function
            command, capture_output=True, text=True, timeout=10, check=False
        )
        return ended.stdout.strip()
    except (OSError, subprocess.TimeoutExpired):
        return ""
