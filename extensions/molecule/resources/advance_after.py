# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``advance_after.py FILE OPERATION SECONDS COMMAND...``: run a command, turn the clock on when it called OPERATION.

Ends with the command's exit status, or 1 when it never called.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[3]))

from lab.client import LabClient


def main(ready: str, operation: str, seconds: str, *command: str) -> int:
    """Run ``command`` to its end."""
    landscape = json.loads(Path(ready).read_text())
    lab = LabClient(landscape["endpoint_url"], landscape)
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    while process.poll() is None and not lab.count(operation, ok=True):
        time.sleep(0.1)
    called = lab.count(operation, ok=True)
    if called:
        lab.advance(float(seconds))
    output = process.communicate()[0].decode(errors="replace")
    print(output[-4000:])
    return process.returncode if called else 1


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
