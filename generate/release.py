# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Prepares a release in the work tree: the version in galaxy.yml, the changelog of the fragments. Publishes nothing.

``make release VERSION=1.2.0`` runs it, then builds and imports the artifact. The commit, its tag and the push are the
maintainer's; the tag makes ``.github/workflows/release.yml`` publish.
"""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

ROOT = Path(__file__).parents[1]
_LINE = re.compile(r"^version: *(\S+)$", re.MULTILINE)
_VERSION = re.compile(r"(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)")


class NotReleasable(Exception):
    """Why nothing was changed, for the maintainer."""


def numbers(version: str) -> tuple[int, ...]:
    """``1.2.3`` as (1, 2, 3). NotReleasable for anything else: the changelog and Galaxy order by these alone."""
    found = _VERSION.fullmatch(version)
    if not found:
        raise NotReleasable(f"{version!r} is no version such as 1.2.0.")
    return tuple(int(number) for number in found.groups())


def version_of(galaxy: str) -> str:
    """The version in the text of a galaxy.yml. NotReleasable where there is none, or more than one line with one."""
    found = _LINE.findall(galaxy)
    if len(found) != 1:
        raise NotReleasable("galaxy.yml has no single line with the version.")
    return str(found[0])


def with_version(galaxy: str, version: str) -> str:
    """The text of a galaxy.yml with ``version``. NotReleasable unless it is newer than what stands there."""
    if numbers(version) <= numbers(version_of(galaxy)):
        raise NotReleasable(f"{version} is not newer than {version_of(galaxy)}.")
    return _LINE.sub(f"version: {version}", galaxy)


def changed_files(root: Path) -> list[str]:
    """What git sees as changed or new in the work tree at ``root``, a line each. CalledProcessError outside of one."""
    command = ("git", "status", "--porcelain")
    return subprocess.run(command, cwd=root, check=True, capture_output=True, text=True).stdout.splitlines()


def prepare(root: Path, version: str) -> None:
    """Write version and changelog at ``root``. NotReleasable, before anything is written, where that cannot be."""
    changed = changed_files(root)
    if changed:
        raise NotReleasable("The work tree has changes:\n" + "\n".join(changed))
    path = root / "galaxy.yml"
    text = with_version(path.read_text(), version)
    if not list((root / "changelogs/fragments").glob("*.y*ml")):
        raise NotReleasable("changelogs/fragments is empty: nothing that users see has changed.")
    path.write_text(text)
    subprocess.run(("antsibull-changelog", "release", "--version", version), cwd=root, check=True)


def same(root: Path, version: str) -> None:
    """NotReleasable unless galaxy.yml at ``root`` has ``version``, as that of a tag must be."""
    found = version_of((root / "galaxy.yml").read_text())
    if version != found:
        raise NotReleasable(f"galaxy.yml has the version {found}, not {version}.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Prepare the version given, or with ``--same`` only compare it; 1, and why, where that cannot be."""
    parser = argparse.ArgumentParser(prog="python -m generate.release", description=__doc__)
    parser.add_argument("version")
    parser.add_argument("--same", action="store_true", help="only compare with galaxy.yml")
    options = parser.parse_args(arguments)
    try:
        (same if options.same else prepare)(ROOT, options.version)
    except NotReleasable as why:
        print(why, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
