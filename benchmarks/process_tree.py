# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Wall time, CPU time and memory of a command with everything that it starts (Linux: reads /proc)."""

from __future__ import annotations

import os
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

SAMPLE_SECONDS = 1.0


@dataclass(frozen=True)
class Measurement:
    """One run: exit code, wall and CPU seconds, peak proportional set size of the tree in MB, and its output."""

    returncode: int
    wall_seconds: float
    cpu_seconds: float
    peak_megabytes: float
    output: str


def measure(
    command: Sequence[str], environment: Mapping[str, str], log: Path, sample_seconds: float = SAMPLE_SECONDS
) -> Measurement:
    """Run ``command`` to its end and measure the whole process tree.

    CPU seconds are those of the process and of every descendant that was waited for. Memory is sampled every
    ``sample_seconds`` as the sum of proportional set sizes, so that pages shared after a fork count once. Output goes
    to ``log``.
    """
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(command, env=dict(environment), stdout=output, stderr=subprocess.STDOUT)
        peak = PeakMemory(process.pid, sample_seconds)
        _, status, usage = os.wait4(process.pid, 0)
        wall = time.monotonic() - started
        process.returncode = os.waitstatus_to_exitcode(status)
        peak.stop()
    return Measurement(
        returncode=process.returncode,
        wall_seconds=wall,
        cpu_seconds=usage.ru_utime + usage.ru_stime,
        peak_megabytes=peak.kilobytes / 1024,
        output=log.read_text(errors="replace"),
    )


class PeakMemory(threading.Thread):
    """Samples the proportional set size of a process tree until stopped."""

    def __init__(self, root: int, sample_seconds: float) -> None:
        super().__init__(daemon=True)
        self.root = root
        self.sample_seconds = sample_seconds
        self.kilobytes = 0
        self._done = threading.Event()
        self.start()

    def run(self) -> None:
        while not self._done.wait(self.sample_seconds):
            self.kilobytes = max(self.kilobytes, sum(map(_proportional_set_size, _descendants(self.root))))

    def stop(self) -> None:
        self._done.set()
        self.join()


def _descendants(root: int) -> list[int]:
    """``root`` and every process below it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                fields = (entry / "stat").read_text().rsplit(")", 1)[1].split()
            except (OSError, IndexError):
                continue
            children.setdefault(int(fields[1]), []).append(int(entry.name))
    processes, pending = [], [root]
    while pending:
        process = pending.pop()
        processes.append(process)
        pending += children.get(process, [])
    return processes


def _proportional_set_size(process: int) -> int:
    """The proportional set size of ``process`` in KB; 0 when it has gone."""
    try:
        for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1])
    except OSError:
        pass
    return 0
