# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is measured side by side: the command line of each client, and how the peers among them are fetched.

``python -m benchmarks.peers`` fetches the peers' packages into ``build/peers``. dynein is not among them: crates.io has
no crate of that name, and its releases are binaries elsewhere.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from benchmarks.clients import REGION, Task

PACKAGES = Path(__file__).parent / "peer_packages"
FETCHED = Path("build/peers").resolve()
DYNAMODUMP = FETCHED / "dynamodump"
COPY_DYNAMODB_TABLE = FETCHED / "copy-dynamodb-table"
NOT_TO_BE_HAD = "dynein: left out, crates.io has no such crate"


@dataclass(frozen=True)
class Client:
    """One client. ``command`` takes the work, the task and a folder for its files; ``rounds`` are how often it is
    measured at most."""

    who: str
    works: tuple[str, ...]
    command: Callable[[str, Task, Path], list[str]]
    proof: Path | None = None
    rounds: int = 3

    def is_here(self) -> bool:
        """Whether it was fetched, where it has to be."""
        return self.proof is None or self.proof.exists()


def _python(who: str) -> Callable[[str, Task, Path], list[str]]:
    def command(work: str, task: Task, folder: Path) -> list[str]:
        arguments = [task.source_url, task.source_table, task.destination_url, task.destination_table]
        limits = ["--units", str(task.units), "--workers", str(task.workers), "--tables", str(task.tables)]
        return [sys.executable, "-m", f"benchmarks.clients.{who}", work, *arguments, *limits]

    return command


def _dynamodump(work: str, task: Task, folder: Path) -> list[str]:
    """A backup to files and a restore of them into the table that is there."""
    tool = [str(DYNAMODUMP / "bin/dynamodump"), "--region", REGION, "--srcTable", task.source_table]
    tool += ["--dumpPath", str(folder / "dump"), "--log", "WARNING"]
    backup = ["env", f"AWS_ENDPOINT_URL={task.source_url}", *tool, "--mode", "backup"]
    restore = ["env", f"AWS_ENDPOINT_URL={task.destination_url}", *tool, "--mode", "restore"]
    restore += ["--destTable", task.destination_table, "--dataOnly", "--skipThroughputUpdate", "--noConfirm"]
    return ["sh", "-c", f"{shlex.join(backup)} && {shlex.join(restore)}"]


def _copy_dynamodb_table(work: str, task: Task, folder: Path) -> list[str]:
    """A library without a command line; its connections are kept, as the SDK advises."""
    arguments = [task.source_url, task.source_table, task.destination_url, task.destination_table]
    script = shlex.join(["node", str(PACKAGES / "copy_table.js"), *arguments])
    kept = "AWS_NODEJS_CONNECTION_REUSE_ENABLED=1 AWS_SDK_JS_SUPPRESS_MAINTENANCE_MODE_MESSAGE=1"
    return ["sh", "-c", f"cd {shlex.quote(str(COPY_DYNAMODB_TABLE))} && {kept} exec {script}"]


TABLEFERRY = "tableferry"
CLIENTS = (
    Client(TABLEFERRY, ("copy", "verify", "rate"), _python("tableferry")),
    Client("boto3_client", ("copy", "verify"), _python("boto3_client")),
    Client("boto3_resource", ("copy",), _python("boto3_resource")),
    Client("dynamodump", ("copy",), _dynamodump, DYNAMODUMP / "bin/dynamodump", rounds=1),  # 25 s to start
    Client("copy_dynamodb_table", ("copy",), _copy_dynamodb_table, COPY_DYNAMODB_TABLE / "node_modules"),
)

MANY_TABLES = Client(TABLEFERRY, ("tables",), _python("many_tables"))


def client(who: str) -> Client:
    """The client of that name."""
    return next(known for known in CLIENTS if known.who == who)


def main() -> int:
    """Fetch the peers' packages; what this machine cannot fetch is left out with a line."""
    failed = False
    if not client("dynamodump").is_here():
        requirements = str(PACKAGES / "requirements.txt")
        failed |= not _done([sys.executable, "-m", "venv", str(DYNAMODUMP)])
        failed |= not _done([str(DYNAMODUMP / "bin/pip"), "install", "--quiet", "-r", requirements])
    if not shutil.which("npm"):
        print("copy_dynamodb_table: left out, npm not found on this machine")
    elif not client("copy_dynamodb_table").is_here():
        COPY_DYNAMODB_TABLE.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copyfile(PACKAGES / name, COPY_DYNAMODB_TABLE / name)
        failed |= not _done(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"], COPY_DYNAMODB_TABLE
        )
    print(NOT_TO_BE_HAD)
    return int(failed)


def _done(command: list[str], folder: Path | None = None) -> bool:
    return subprocess.run(command, cwd=folder, check=False).returncode == 0


if __name__ == "__main__":
    sys.exit(main())
