# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``lab_process.py start|stop FILE``: a lab that lives longer than the playbook that started it.

FILE is what the lab writes when it is ready; it holds its process id and keys.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
SCALE = "0.005"  # of the durations that were measured on AWS
SECONDS = 60


def start(ready: Path) -> None:
    """Start the lab in a session of its own and wait until it serves; RuntimeError when it does not."""
    ready.parent.mkdir(parents=True, exist_ok=True)
    log = ready.with_suffix(".log")
    with log.open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "lab", "--ready-file", str(ready), "--scale", SCALE],
            cwd=ROOT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=output,
            start_new_session=True,
        )
    end = time.monotonic() + SECONDS
    while not ready.exists():
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"The lab did not start: {log.read_text()[-2000:]}")
        time.sleep(0.1)


def stop(ready: Path) -> None:
    """Stop the lab that wrote ``ready``; it removes the file itself."""
    process = int(json.loads(ready.read_text())["pid"])
    try:
        os.kill(process, signal.SIGTERM)
    except ProcessLookupError:
        ready.unlink()
        return
    end = time.monotonic() + SECONDS
    while ready.exists():
        if time.monotonic() > end:
            raise RuntimeError(f"The lab (process {process}) did not stop.")
        time.sleep(0.1)


if __name__ == "__main__":
    {"start": start, "stop": stop}[sys.argv[1]](Path(sys.argv[2]))
