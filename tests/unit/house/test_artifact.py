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


def top(files: Iterable[str], ignored: Iterable[str]) -> set[str]:
    """What the artifact holds at its top."""
    patterns = tuple(ignored)
    names = {PurePosixPath(file).parts[0] for file in files}
    return {name for name in names if not any(fnmatch(name, pattern) for pattern in patterns)}


def test_the_artifact_holds_at_its_top_what_belongs_there() -> None:
    """And nothing that a test or a run left in the work tree, and that was committed with the rest."""
    listed = subprocess.run(("git", "ls-files"), cwd=ROOT, check=True, capture_output=True, text=True)
    ignored = yaml.safe_load((ROOT / "galaxy.yml").read_text())["build_ignore"]
    assert top(listed.stdout.splitlines(), ignored) == {
        ".ansible-lint",  # Galaxy runs ansible-lint over the artifact
        "CHANGELOG.rst", "CODE_OF_CONDUCT.md", "CONTRIBUTING.md", "LICENSE", "README.md", "SECURITY.md", "changelogs",
        "docs", "examples", "extensions", "galaxy.yml", "meta", "playbooks", "plugins", "requirements.txt", "roles",
    }  # fmt: skip
    assert top(["plugins/a.py", "tests/b.py", "left.jsonl"], ["tests"]) == {"plugins", "left.jsonl"}


def test_an_empty_folder_is_found() -> None:
    assert empty_folders(["a/b/c", "a.md", "d/e"], ["a/b", "*.md"]) == {"a"}
