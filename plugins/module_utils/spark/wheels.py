# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The libraries with native code that the Spark job brings along: neither Glue nor EMR has them (spark.md 2 and 3)."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..core.errors import ChecksumMismatch, MissingLibrary
from ..core.items.private_files import in_words

MSGSPEC, ISAL = "msgspec==0.21.1", "isal==1.8.0"
# Glue 5.1 and EMR 7 have Python 3.11, emr-spark-8 has 3.12, Glue 6.0 has 3.13; all on Amazon Linux 2023, which loads
# what is tagged manylinux_2_28 (its glibc is 2.34).
PLATFORMS = ("manylinux2014", "manylinux_2_17", "manylinux_2_28")


@dataclass(frozen=True)
class Wheel:
    """One wheel: ``python`` and ``machine`` as in its tags (``cp311``, ``aarch64``), its SHA-256 in hex."""

    requirement: str
    python: str
    machine: str
    sha256: str

    @property
    def folder(self) -> str:
        """Where its files lie in the package, below ``native/``."""
        return f"{self.python}-{self.machine}"

    def is_named(self, file: str) -> bool:
        """Whether a wheel's file name says that it is this one."""
        name, _equal, version = self.requirement.partition("==")
        return file.startswith(f"{name}-{version}-{self.python}-{self.python}-") and file.endswith(
            f"{self.machine}.whl"
        )


WHEELS = (
    Wheel(MSGSPEC, "cp311", "x86_64", "6badc03b9725352219cca017bfe71c61f2fbd0fb5982b410ac17c97c213deb30"),
    Wheel(MSGSPEC, "cp311", "aarch64", "d3124010b3815451494c85ff345e693cb9fe5889cfcbbef39ed8622e0e72319c"),
    Wheel(MSGSPEC, "cp312", "x86_64", "21995e74b5c598c2e004110ad66ec7f1b8c20bf2bcf3b2de8fd9a3094422d3ff"),
    Wheel(MSGSPEC, "cp312", "aarch64", "846758412e9518252b2ac9bffd6f0e54d9ff614f5f9488df7749f81ff5c80920"),
    Wheel(MSGSPEC, "cp313", "x86_64", "a9aa659ebb0101b1cbc31461212b87e341d961f0ab0772aaf068a99e001ec4aa"),
    Wheel(MSGSPEC, "cp313", "aarch64", "48943e278b3854c2f89f955ddc6f9f430d3f0784b16e47d10604ee0463cd21f5"),
    Wheel(ISAL, "cp311", "x86_64", "4207dde1088b899c461792c1fb5db6b0cbfeb453460fb176042b2104559fc4f1"),
    Wheel(ISAL, "cp311", "aarch64", "c0e623268d358a52c3fe68beb7e59b733a3d998c6d5d4821af890627d2d691f7"),
    Wheel(ISAL, "cp312", "x86_64", "d3c28ff61f2f300e498ea0f50cb1528d8c14631fce4cdfce191ed05775952de3"),
    Wheel(ISAL, "cp312", "aarch64", "fa279aa6b7d6b6e99cceab84f7a8d53e755d2954ad95e14548e94460b7f4c0f2"),
    Wheel(ISAL, "cp313", "x86_64", "df4550061cbc828def0e19f7cf59c8dfe8d585869bd33ed4c5ddf6f1c477f640"),
    Wheel(ISAL, "cp313", "aarch64", "1ced06c2e71028fc6755edec6a9de4f1f680fdc7dd22497de3118729043e8f28"),
)


def find_wheels(folder: Path) -> dict[Wheel, bytes]:
    """The content of each wheel, from ``folder``. Raises MissingLibrary where one is not there or cannot be read,
    ChecksumMismatch where it is another than the one that was tested."""
    try:
        return _wheels_in(folder)
    except OSError as error:
        raise MissingLibrary(
            f"The wheels in {folder} cannot be read: {in_words(error)}.",
            "Let the user that runs Ansible read the folder and all in it.",
        ) from error


def _wheels_in(folder: Path) -> dict[Wheel, bytes]:
    names = sorted(path.name for path in folder.iterdir()) if folder.is_dir() else []
    found: dict[Wheel, bytes] = {}
    for wheel in WHEELS:
        name = next(filter(wheel.is_named, names), "")
        if not name:
            raise MissingLibrary(
                f"{folder} has no wheel of {wheel.requirement} for {wheel.python} on {wheel.machine}.",
                "Put the wheels of all Pythons and machines there, as pip download gets them.",
            )
        content = (folder / name).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        if digest != wheel.sha256:
            raise ChecksumMismatch(
                f"{folder / name} has the SHA-256 {digest}, not {wheel.sha256}.",
                "Remove it, and get it again from the package index.",
            )
        found[wheel] = content
    return found


def download_wheels(folder: Path) -> None:
    """Have pip put the wheels into ``folder``, which exists. Raises MissingLibrary with pip's last line."""
    with tempfile.TemporaryDirectory() as scratch:
        for python, machine in sorted({(wheel.python, wheel.machine) for wheel in WHEELS}):
            lines = [
                f"{wheel.requirement} --hash=sha256:{wheel.sha256}"
                for wheel in WHEELS
                if (wheel.python, wheel.machine) == (python, machine)
            ]
            requirements = Path(scratch) / f"{python}-{machine}.txt"
            requirements.write_text("\n".join(lines) + "\n")
            _pip(download_command(requirements, python, machine, folder))


def download_command(requirements: Path, python: str, machine: str, folder: Path) -> list[str]:
    """The arguments of pip that download ``requirements`` for another Python (``cp311``) and machine."""
    platforms = [argument for platform in PLATFORMS for argument in ("--platform", f"{platform}_{machine}")]
    return [
        "download",
        *("--quiet", "--disable-pip-version-check", "--no-input", "--no-deps", "--require-hashes"),
        *("--only-binary=:all:", "--implementation", "cp", "--python-version", python.removeprefix("cp")),
        *("--abi", python, *platforms, "--dest", str(folder), "--requirement", str(requirements)),
    ]


def _pip(arguments: Sequence[str]) -> None:
    result = subprocess.run(  # pylint: disable=ansible-bad-function
        [sys.executable, "-m", "pip", *arguments], capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL
    )
    if result.returncode:
        reason = (result.stderr.strip().splitlines() or [f"exit status {result.returncode}"])[-1]
        raise MissingLibrary(
            f"pip could not download what the Spark job brings along: {reason}",
            "Give the controller access to a package index, or download the wheels elsewhere and name their folder as"
            " wheels of spark.",
        )
