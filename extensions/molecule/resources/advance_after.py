# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``advance_after.py FILE OPERATIONS SECONDS COMMAND...``: run a command, turn the clock on when it called OPERATIONS.

These are names separated by commas: each is waited for anew after the one before it. The last one should be a call of a
task that assumes its roles again, since the sessions of the others are expired then. Ends with the exit status of the
command, or 1 when the lab never saw one of them: a second run on the same lab need not call them, and leaves the clock.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab.client import LabClient


def called(lab: LabClient, operation: str, process: subprocess.Popen[bytes]) -> bool:
    """Whether the process called ``operation`` from now on, before it ended."""
    before = lab.count(operation, ok=True)
    while lab.count(operation, ok=True) == before:
        if process.poll() is not None:
            return False
        time.sleep(0.1)
    return True


def main(ready: str, operations: str, seconds: str, *command: str) -> int:
    """Run ``command`` to its end."""
    landscape = json.loads(Path(ready).read_text())
    lab = LabClient(landscape["endpoint_url"], landscape)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    awaited = operations.split(",")
    if all(called(lab, operation, process) for operation in awaited):
        lab.advance(float(seconds))
    output = process.communicate()[0].decode(errors="replace")
    print(output[-4000:])
    return process.returncode if all(lab.count(operation, ok=True) for operation in awaited) else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
