# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``make release`` changes nothing unless the work tree is clean and the version newer."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
import yaml

from generate.release import NotReleasable, changed_files, numbers, prepare, same, version_of, with_version
from tests.unit.house.imports import ROOT

GALAXY = "namespace: tableferry\nname: aws\nversion: 0.9.10\nreadme: README.md\nauthors: [me]\n"


def git(root: Path, *arguments: str) -> None:
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    subprocess.run(("git", *who, *arguments), cwd=root, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A collection in git with one fragment and a released changelog."""
    files = {
        "galaxy.yml": GALAXY,
        "README.md": "# A collection\n",
        "changelogs/config.yaml": (ROOT / "changelogs/config.yaml").read_text(),
        "changelogs/fragments/one.yml": "---\nbugfixes:\n  - verify - it reads again.\n",
        ".gitignore": "/changelogs/.plugin-cache.yaml\n",
    }
    for name, text in files.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    git(tmp_path, "init", "--quiet")
    git(tmp_path, "add", "--all")
    git(tmp_path, "commit", "--quiet", "-m", "All")
    return tmp_path


def test_the_version_and_the_changelog_are_written(tree: Path) -> None:
    prepare(tree, "0.10.0")
    assert version_of((tree / "galaxy.yml").read_text()) == "0.10.0"
    text = (tree / "CHANGELOG.rst").read_text()
    assert "v0.10.0" in text
    assert "it reads again" in text
    assert not (tree / "changelogs/fragments/one.yml").exists()
    same(tree, "0.10.0")


@pytest.mark.parametrize(
    "version", ["0.9.10", "0.9.9", "0.1.11", "1.0", "v1.0.0", "1.0.0-rc1", "01.0.0", "1.0.0\n", ""]
)
def test_a_version_that_is_not_newer_or_none_changes_nothing(tree: Path, version: str) -> None:
    with pytest.raises(NotReleasable):
        prepare(tree, version)
    assert changed_files(tree) == []


@pytest.mark.parametrize("name", ["README.md", "changelogs/fragments/two.yml"])
def test_a_work_tree_with_changes_is_refused_with_their_names(tree: Path, name: str) -> None:
    (tree / name).write_text("changed")
    with pytest.raises(NotReleasable, match=name):
        prepare(tree, "1.0.0")
    assert (tree / "galaxy.yml").read_text() == GALAXY


def test_nothing_new_is_no_release(tree: Path) -> None:
    git(tree, "rm", "--quiet", "changelogs/fragments/one.yml")
    git(tree, "commit", "--quiet", "-m", "None")
    with pytest.raises(NotReleasable, match="nothing that users see"):
        prepare(tree, "1.0.0")


def test_a_tag_is_of_the_version_in_galaxy_yml(tree: Path) -> None:
    same(tree, "0.9.10")
    with pytest.raises(NotReleasable, match=r"has the version 0\.9\.10, not 1\.0\.0"):
        same(tree, "1.0.0")


def test_only_the_line_of_the_version_changes() -> None:
    assert with_version(GALAXY, "1.0.0") == GALAXY.replace("0.9.10", "1.0.0")
    assert version_of((ROOT / "galaxy.yml").read_text()) == yaml.safe_load((ROOT / "galaxy.yml").read_text())["version"]
    assert numbers("0.10.0") > numbers("0.9.10")
