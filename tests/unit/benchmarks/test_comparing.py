# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The benchmark of comparing runs, on small tables: it shares its server with the others."""

from __future__ import annotations

import subprocess
import sys


def test_it_finds_all_differences() -> None:
    command = [sys.executable, "-m", "benchmarks.comparing", "--items", "20000", "--differences", "20"]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout + run.stderr
    assert "20 of 20, wrong 0" in run.stdout and "all found" in run.stdout
