# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the collection's artifact holds, by ``build_ignore`` of galaxy.yml, which is matched with whole paths."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import PurePosixPath

import yaml

from .imports import ROOT


def empty_folders(files: Iterable[str], ignored: Iterable[str]) -> set[str]:
    """The folders that the artifact would hold without any file in them."""
    patterns = tuple(ignored)
    kept: set[str] = set()
    folders: set[str] = set()
    for file in files:
        parents = [str(folder) for folder in reversed(PurePosixPath(file).parents[:-1])]
        reached = []
        for folder in parents:
            if any(fnmatch(folder, pattern) for pattern in patterns):
                break
            reached.append(folder)
        folders.update(reached)
        if len(reached) == len(parents) and not any(fnmatch(file, pattern) for pattern in patterns):
            kept.update(reached)
    return folders - kept


def test_c11_the_artifact_holds_no_empty_folder() -> None:
    listed = subprocess.run(("git", "ls-files"), cwd=ROOT, check=True, capture_output=True, text=True)
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
    assert empty_folders(listed.stdout.splitlines(), ignored) == set()


def test_an_empty_folder_is_found() -> None:
    assert empty_folders(["a/b/c", "a.md", "d/e"], ["a/b", "*.md"]) == {"a"}
