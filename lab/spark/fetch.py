# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make spark``: fetches the lab's Sparks, except those for which this machine lacks something; it says so in a line.

``python -m lab.spark.fetch 3.5.6`` fetches that version only. In continuous integration (``CI=true``) the first one and
those that are named may not be left out; a newer one may, where its Python is missing.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lab.spark.engine import ENGINES, Engine, engine

_TINY_JOB = """\
from pyspark import SparkContext
context = SparkContext(appName="classes")
context.parallelize([1, 2], 2).foreachPartition(lambda numbers: sum(numbers))
context.stop()
"""
# Spark's Python comes in archives, from which every process would compile it anew.
_COMPILE = """\
import pathlib, py_compile, sys, tempfile, zipfile
for path in pathlib.Path(sys.argv[1]).glob("*.zip"):
    with zipfile.ZipFile(path, "a") as archive, tempfile.TemporaryDirectory() as directory:
        for name in [each for each in archive.namelist() if each.endswith(".py")]:
            source = pathlib.Path(archive.extract(name, directory))
            mode = py_compile.PycInvalidationMode.UNCHECKED_HASH
            compiled = py_compile.compile(source, source.with_suffix(".pyc"), name, invalidation_mode=mode)
            archive.write(compiled, f"{name}c")
"""


def main(versions: Sequence[str]) -> int:
    """Fetch the versions; 1 when something went wrong, or is missing where nothing may be."""
    failed = False
    needed = [engine(version) for version in versions] or ENGINES[:1]
    for each in needed if versions else ENGINES:
        missing = each.missing_tools()
        if missing:
            print(f"spark {each.version}: left out, {' and '.join(missing)} not found on this machine", flush=True)
            failed |= each in needed and os.environ.get("CI") == "true"
        elif each.why_not():
            failed |= not fetch(each)
        else:
            print(f"spark {each.version}: ready", flush=True)
    return int(failed)


def fetch(engine: Engine) -> bool:
    """Fetch the engine into an empty directory; whether that succeeded."""
    shutil.rmtree(engine.folder, ignore_errors=True)
    engine.folder.mkdir(parents=True)
    for folder, packages in engine.packages:
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile"]
        done = subprocess.run([*command, "--target", str(engine.folder / folder), *packages], check=False)
        if done.returncode:
            print(f"spark {engine.version}: pip ended with {done.returncode} for {' '.join(packages)}", flush=True)
            return False
    compile_spark(engine)
    if not archive_classes(engine):
        return False
    engine.stamp.write_text(engine.fingerprint)
    print(f"spark {engine.version}: fetched", flush=True)
    return True


def compile_spark(engine: Engine) -> None:
    """Put the compiled modules beside the others: another Python than the engine's passes over them."""
    interpreter, archives = engine.interpreter(engine.python), engine.home / "python" / "lib"
    subprocess.run([str(interpreter), "-c", _COMPILE, str(archives)], check=True)


def archive_classes(engine: Engine) -> bool:
    """Run a tiny job whose classes the JVM archives; whether that succeeded."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        (directory / "tiny.py").write_text(_TINY_JOB)
        command = engine.command(
            directory, "local[2]", ["tiny.py"], [f"-XX:ArchiveClassesAtExit={engine.archive}", "-Xlog:disable"]
        )
        environment = engine.environment(directory, engine.python, boto3=False)
        done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False)
    if done.returncode or not engine.archive.exists():
        print(f"spark {engine.version}: its first job ended with {done.returncode}\n{done.stderr}", flush=True)
        return False
    return True


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
