# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Check mode of many tables: what ``migrate --check`` of 1,000 tables costs, and how many lines it prints.

Prints its figures beside what is to be reached, writes ``build/bench/check.json``, and ends 1 where one is missed.
"""

from __future__ import annotations

import argparse
import json
import os
import sys

from benchmarks.fleet import FORKS, OUTPUT, TIMINGS, seed
from benchmarks.process_tree import measure
from lab.client import spawn

# For 1,000 tables, on a quiet machine.
LIMITS = {"wall_s": 90, "cpu_s": 60, "peak_mb": 350, "lines": 200}


def main() -> int:
    """Check the tables asked for once, in a fresh lab."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tables", type=int, default=1000)
    tables = parser.parse_args().tables
    OUTPUT.mkdir(parents=True, exist_ok=True)
    log = OUTPUT / f"check-{tables}.log"
    with spawn(scale=0.01, timings=TIMINGS) as lab:
        inventory = seed(lab, tables)
        lab.clear_requests()
        environment = os.environ | {"ANSIBLE_FORKS": str(FORKS)}
        command = ["ansible-playbook", "tableferry.aws.migrate", "--check", "-i", str(inventory)]
        run = measure(command, environment, log)
        calls = len(lab.calls())
    if run.returncode:
        sys.exit(f"The check ended with {run.returncode}, see {log}:\n{run.output[-3000:]}")
    figures = {
        "wall_s": round(run.wall_seconds, 1),
        "cpu_s": round(run.cpu_seconds, 1),
        "peak_mb": round(run.peak_megabytes),
        "lines": len(run.output.splitlines()),
    }
    (OUTPUT / "check.json").write_text(json.dumps({"tables": tables, **figures, "calls": calls}, indent=2) + "\n")
    print(f"{tables} tables, {calls} calls, load {os.getloadavg()[0]:.1f}")
    for name, figure in figures.items():
        print(f"{name:>8} {figure:>8}   at most {LIMITS[name]:>4}{'' if figure <= LIMITS[name] else '   MISSED'}")
    return int(any(figure > LIMITS[name] for name, figure in figures.items()))


if __name__ == "__main__":
    sys.exit(main())
