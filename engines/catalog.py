# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The engines: what each needs, how it is fetched and how it is started."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

DESCRIPTIONS = Path(__file__).parent
FETCHED = Path("build/engines").resolve()


@dataclass(frozen=True)
class Engine:
    """One engine.

    ``tools`` are the commands that fetch and run it. ``described_by`` are the files of this folder that pin its version
    and are laid into its folder. ``fetch`` is run there, ``start`` gives the command for a port of loopback.
    """

    name: str
    tools: tuple[str, ...]
    described_by: tuple[str, ...]
    fetch: tuple[str, ...]
    start: Callable[[Path, int], list[str]]
    settle: Callable[[Path], None] = lambda folder: None

    @property
    def folder(self) -> Path:
        """Where it is fetched to."""
        return FETCHED / self.name

    @property
    def fingerprint(self) -> str:
        """What its pinned description is now: an engine fetched by another one is fetched again."""
        pinned = b"".join((DESCRIPTIONS / name).read_bytes() for name in self.described_by)
        return hashlib.sha256(pinned + " ".join(self.fetch).encode()).hexdigest()

    @property
    def stamp(self) -> Path:
        """The file with the fingerprint of the description by which it was fetched."""
        return self.folder / ".fetched"

    def missing_tools(self) -> list[str]:
        """The commands that this machine lacks."""
        return [tool for tool in self.tools if not shutil.which(tool)]

    def why_not(self) -> str:
        """Why it cannot be started here; empty when it can."""
        missing = self.missing_tools()
        if missing:
            return f"{' and '.join(missing)} not found on this machine"
        if not self.stamp.exists() or self.stamp.read_text() != self.fingerprint:
            return "not fetched: run make engines"
        return ""


def _start_dynamodb_local(folder: Path, port: int) -> list[str]:
    """Amazon's server in memory (emulators.md 10). It has no option for an address and listens on all of them."""
    return [
        "java",
        "-XX:+UseSerialGC",
        f"-Djava.library.path={folder}",
        "-cp",
        f"{folder}/*",
        "software.amazon.dynamodb.services.local.main.ServerRunner",
        "-inMemory",
        "-disableTelemetry",
        "-port",
        str(port),
    ]


def _name_native_libraries(folder: Path) -> None:
    """sqlite4java looks for its native libraries without the version that Maven puts into their names."""
    for pattern in ("*sqlite4java-*-1.0.392.so", "*sqlite4java-*-1.0.392.dylib", "*sqlite4java-*-1.0.392.dll"):
        for library in folder.glob(pattern):
            shutil.copyfile(library, folder / library.name.replace("-1.0.392", ""))


def _start_dynalite(folder: Path, port: int) -> list[str]:
    return [
        "node",
        str(folder / "node_modules/dynalite/cli.js"),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--createTableMs",
        "0",
        "--deleteTableMs",
        "0",
    ]


ENGINES = (
    Engine(
        name="dynamodb-local",
        tools=("java", "mvn"),
        described_by=("pom.xml",),
        fetch=(
            "mvn",
            "--batch-mode",
            "--quiet",
            "dependency:copy-dependencies",
            "-DincludeScope=runtime",
            "-DoutputDirectory=.",
        ),
        start=_start_dynamodb_local,
        settle=_name_native_libraries,
    ),
    Engine(
        name="dynalite",
        tools=("node", "npm"),
        described_by=("package.json", "package-lock.json"),
        # Its native parts come ready in their packages; no install script is run.
        fetch=("npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"),
        start=_start_dynalite,
    ),
)


def engine(name: str) -> Engine:
    """The engine of that name."""
    return next(known for known in ENGINES if known.name == name)
