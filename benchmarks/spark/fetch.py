# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``python -m benchmarks.spark.fetch``: the peers of the Spark job, below ``build/spark``.

That is AWS's connector, with the job that calls it, compiled against the oldest Spark.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

from benchmarks.spark.job import CONNECTOR, PEERS, here

COPY = ("mvn", "--batch-mode", "--quiet", "dependency:copy-dependencies", "-DincludeScope=runtime")


def main() -> int:
    """Fetch what is not there; 1 where something went wrong."""
    sparks = here()
    if not sparks:
        print("Spark is not here: run make spark.")
        return 1
    oldest = sparks[0]
    commands: list[list[str]] = []
    if not (CONNECTOR / "connector.jar").exists():
        shutil.rmtree(CONNECTOR, ignore_errors=True)
        (CONNECTOR / "classes").mkdir(parents=True)
        shutil.copyfile(PEERS / "pom.xml", CONNECTOR / "pom.xml")
        jars, classes = CONNECTOR.resolve() / "jars", str(CONNECTOR / "classes")
        found = oldest.home / "jars"
        commands += [
            [*COPY, f"-DoutputDirectory={jars}", "--file", str(CONNECTOR / "pom.xml")],
            ["javac", "-nowarn", "-cp", f"{jars}/*:{found}/*", "-d", classes, str(PEERS / "Connector.java")],
            ["jar", "--create", "--file", str(CONNECTOR / "connector.jar"), "-C", classes, "."],
        ]
    return int(any(not _done(command) for command in commands))


def _done(command: list[str]) -> bool:
    code = subprocess.run(command, cwd=Path.cwd(), check=False).returncode
    if code:
        print(f"{' '.join(command)} ended with {code}")
    return not code


if __name__ == "__main__":
    sys.exit(main())
