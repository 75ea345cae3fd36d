# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""CPU and memory of a Spark job with everything that it starts (Linux).

``python -m benchmarks.spark.tree FOLDER COMMAND...`` runs the command, adopts what it leaves behind, and prints JSON.
PySpark's workers are not waited for by their daemon, so no rusage has them: each says what it took, in a file of
FOLDER (``reporting_daemon``); one that outlives its daemon is waited for here, and counts once.
"""

from __future__ import annotations

import ctypes
import json
import os
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.process_tree import PeakMemory

SUBREAPER = 36  # PR_SET_CHILD_SUBREAPER of prctl
SAMPLE_SECONDS = 0.3
ORPHANS_SECONDS = 30  # that processes left behind get to end


def main() -> int:
    """Run the command of the command line; the result is its exit code."""
    folder, command = Path(sys.argv[1]), sys.argv[2:]
    ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
    started = time.monotonic()
    process = subprocess.Popen(command, stdout=sys.stderr)
    peak = PeakMemory(process.pid, SAMPLE_SECONDS)
    took: dict[int, float] = {}
    wall, code, end = 0.0, 0, 0.0
    while True:
        try:
            pid, status, usage = os.wait4(-1, os.WNOHANG if end else 0)
        except ChildProcessError:
            break
        if pid:
            took[pid] = usage.ru_utime + usage.ru_stime
        if pid == process.pid:
            wall, code = time.monotonic() - started, os.waitstatus_to_exitcode(status)
            process.returncode, end = code, time.monotonic() + ORPHANS_SECONDS
        elif not pid:
            if time.monotonic() > end:
                sys.exit("processes of the job did not end")
            time.sleep(0.02)
    peak.stop()
    reports = {int(path.name): float(path.read_text()) for path in folder.glob("[0-9]*")}
    cpu = sum(took.values()) + sum(seconds for pid, seconds in reports.items() if pid not in took)
    print(json.dumps({"cpu_s": cpu, "wall_s": wall, "peak_mb": peak.kilobytes / 1024, "workers": len(reports)}))
    return code


if __name__ == "__main__":
    sys.exit(main())
