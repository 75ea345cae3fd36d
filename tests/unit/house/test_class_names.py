# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A name means one thing in the core: no two classes are called the same."""

from __future__ import annotations

import ast
from pathlib import Path

from .imports import ROOT

CORE = ROOT / "plugins/module_utils/core"


def used_twice(folder: Path) -> dict[str, list[str]]:
    """The names that classes of more than one file below ``folder`` have, with these files."""
    files: dict[str, list[str]] = {}
    for path in sorted(folder.rglob("*.py")):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.ClassDef):
                files.setdefault(node.name, []).append(str(path.relative_to(folder)))
    return {name: paths for name, paths in files.items() if len(paths) > 1}


def test_no_two_classes_have_one_name() -> None:
    assert used_twice(CORE) == {}


def test_a_name_used_twice_is_found(tmp_path: Path) -> None:
    (tmp_path / "room").mkdir()
    (tmp_path / "a.py").write_text("class Place:\n    class Inner: ...\nclass Other: ...\n")
    (tmp_path / "room" / "b.py").write_text("class Place: ...\nclass Inner: ...\n")
    assert used_twice(tmp_path) == {"Place": ["a.py", "room/b.py"]}
