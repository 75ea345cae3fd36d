# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``kill_after.py FILE OPERATION COUNT COMMAND...``: kill a command when the lab has seen COUNT calls of OPERATION.

The command and all its processes get SIGKILL, as when the controller loses its power. Ends with 1 when the command
ended before that.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab.client import LabClient
from lab.controller import tree

SECONDS = 600  # of patience: a busy machine may be slow, and a run waits until the lease of the killed one has ended
SETTLED = 0.5  # after the calls, so that the run is waiting rather than starting


def main(ready: str, operation: str, count: str, *command: str) -> int:
    """Run ``command`` and kill it in time."""
    landscape = json.loads(Path(ready).read_text())
    lab = LabClient(landscape["endpoint_url"], landscape)
    process = subprocess.Popen(command, start_new_session=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    end = time.monotonic() + SECONDS
    while lab.count(operation, ok=True) < int(count):
        if process.poll() is not None or time.monotonic() > end:
            os.killpg(process.pid, signal.SIGKILL) if process.poll() is None else None
            output = process.communicate()[0].decode(errors="replace")
            print(f"The command ended ({process.returncode}) before it could be killed:\n{output[-4000:]}")
            return 1
        time.sleep(0.1)
    time.sleep(SETTLED)
    for pid in tree(process.pid):
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.communicate()
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
