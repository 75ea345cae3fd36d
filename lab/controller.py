# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Controllers of a lab: processes that tests stop between two calls and wake later, while AWS's clock goes on.

::

    time = SharedClock(lab, tmp_path)
    hold = lab.hold(after=3, mutating=True)
    with controller(time, ["ansible-playbook", "migrate.yml"]) as run:
        run.stop_at(hold)      # after its 4th call that changes something
        time.advance(1200)
        run.wake()
        run.process.wait()

A stopped process of a real machine finds all clocks moved on when it wakes. So do these: their Python reads the lab's
time (``controller_clock/sitecustomize.py``), and the lab takes the dates of signatures as they are.
"""

from __future__ import annotations

import os
import signal
import struct
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from lab.client import LabClient

# A running controller and the lab are never further apart while the clock moves: signatures stay good in any window.
STEP_SECONDS = 120.0
STOP_SECONDS = 20.0
_POLL_SECONDS = 0.02
_ENDED, _STOPPED = "ZX", "tT"


class SharedClock:
    """The time of a lab, which its controllers read too. One for all controllers of the lab."""

    def __init__(self, lab: LabClient, directory: Path) -> None:
        self.lab = lab
        self.directory = directory
        self.file = directory / "lab-clock"
        _write(self.file, lab.control("GET", "clock")["offset"])
        lab.control("POST", "clock", {"shared": True})

    def advance(self, seconds: float) -> None:
        """Move the time of the lab and of all its controllers forward."""
        while seconds > 0:
            step = min(seconds, STEP_SECONDS)
            _write(self.file, self.lab.control("POST", "clock", {"advance": step})["offset"])
            seconds -= step


class Controller:
    """A process with the lab's clock, and all that it starts. ``controller`` makes one."""

    def __init__(self, clock: SharedClock, process: subprocess.Popen[Any], skew_file: Path) -> None:
        self.process = process
        self._clock = clock
        self._skew_file = skew_file
        self._stopped: set[int] = set()

    def set_skew(self, seconds: float) -> None:
        """Let its wall clock be ahead of the lab's by ``seconds``, from now on."""
        _write(self._skew_file, seconds)

    def stop_at(self, hold: int, seconds: float = 60.0) -> None:
        """Stop it at the call that the fault ``hold`` keeps back (``LabClient.hold``), and let the call go on.

        RuntimeError when the process ended before that call, or the call did not come within ``seconds`` of real time.
        """
        end = time.monotonic() + seconds
        while not self._clock.lab.held(hold):
            if self.process.poll() is not None:
                raise RuntimeError(f"The process ended ({self.process.returncode}) before it was to be stopped.")
            if time.monotonic() > end:
                raise RuntimeError(f"The call at which to stop did not come within {seconds} s.")
            time.sleep(_POLL_SECONDS)
        self.stop()
        self._clock.lab.release(hold)

    def stop(self) -> None:
        """SIGSTOP for the process and all that it started, whatever their sessions; returns when they stand."""
        end = time.monotonic() + STOP_SECONDS
        while running := {pid for pid, state in tree(self.process.pid).items() if state not in _ENDED + _STOPPED}:
            for pid in running:
                _signal(pid, signal.SIGSTOP)
            self._stopped |= running
            if time.monotonic() > end:
                raise RuntimeError(f"Processes {sorted(running)} did not stop.")
            time.sleep(_POLL_SECONDS)

    def wake(self) -> None:
        """SIGCONT for all that were stopped."""
        for pid in self._stopped:
            _signal(pid, signal.SIGCONT)
        self._stopped.clear()

    def kill(self) -> None:
        """SIGKILL for the process and all that it started. Once it was waited for, others may have its number."""
        running = tree(self.process.pid) if self.process.poll() is None else {}
        for pid in [*running, *self._stopped]:
            _signal(pid, signal.SIGKILL)
        self.process.wait()


@contextmanager
def controller(
    clock: SharedClock,
    command: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    skew: float = 0.0,
    machine: str = "",
    skip_sleeps: bool = False,
    stdout: int | IO[Any] | None = None,
    stderr: int | IO[Any] | None = None,
) -> Iterator[Controller]:
    """Start ``command``; what still runs is killed when the context ends.

    ``environment`` is added to that of this process, ``skew`` the seconds by which its wall clock is ahead,
    ``machine`` the name of another machine, on which it believes to be. With ``skip_sleeps`` it moves the lab's time
    forward where it would sleep: for a process alone, whose threads do not sleep while others work. ``stdout`` and
    ``stderr`` are as for Popen.
    """
    skew_file = clock.directory / f"lab-skew-{time.monotonic_ns()}"
    _write(skew_file, skew)
    merged = {**os.environ, **(environment or {})}
    merged |= surroundings(clock, skew_file, machine, skip_sleeps, merged.get("PYTHONPATH", ""))
    process = subprocess.Popen(
        command, env=merged, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, start_new_session=True, text=True
    )
    run = Controller(clock, process, skew_file)
    try:
        yield run
    finally:
        run.kill()
        skew_file.unlink()


def surroundings(
    clock: SharedClock, skew_file: Path, machine: str = "", skip_sleeps: bool = False, python_path: str = ""
) -> dict[str, str]:
    """The environment variables that give a process the lab's clock, as ``controller`` does; ``python_path`` is its
    PYTHONPATH without them."""
    return {
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent / "controller_clock"), *filter(None, [python_path])]),
        "TABLEFERRY_LAB_CLOCK": str(clock.file),
        "TABLEFERRY_LAB_SKEW": str(skew_file),
        "TABLEFERRY_LAB_MACHINE": machine,
        "TABLEFERRY_LAB_SLEEPS": clock.lab.endpoint_url if skip_sleeps else "",
    }


def _write(path: Path, seconds: float) -> None:
    # In place: processes have the file in their memory.
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600), "wb") as stream:
        stream.write(struct.pack("d", seconds))


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return


def tree(root: int) -> dict[int, str]:
    """``root`` and its descendants with the letter of their state; empty when it has ended and was waited for."""
    states: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for pid, parent, state in _processes():
        states[pid] = state
        children.setdefault(parent, []).append(pid)
    found, waiting = {}, [root]
    while waiting:
        pid = waiting.pop()
        if pid in states:
            found[pid] = states[pid]
            waiting += children.get(pid, [])
    return found


def _processes() -> Iterator[tuple[int, int, str]]:
    """Process id, parent and state of everything that runs: from /proc, or from ps where there is none (macOS)."""
    if not Path("/proc/self/stat").exists():
        lines = subprocess.run(["ps", "-A", "-o", "pid=,ppid=,stat="], capture_output=True, text=True, check=True)
        for line in lines.stdout.splitlines():
            pid, parent, state = line.split()
            yield int(pid), int(parent), state[0]
        return
    for entry in os.scandir("/proc"):
        if not entry.name.isdecimal():
            continue
        try:
            stat = Path(entry.path, "stat").read_text()
        except OSError:
            continue  # it has ended
        state, parent = stat.rpartition(")")[2].split()[:2]
        yield int(entry.name), int(parent), state
