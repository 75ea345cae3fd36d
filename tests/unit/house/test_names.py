# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What is thrown away has a name too: Ansible's sanity refuses ``_``, and takes minutes to say so."""

from __future__ import annotations

import ast
from pathlib import Path

from .imports import ROOT


def nameless(folder: Path) -> list[str]:
    """Where files below ``folder`` give ``_`` a value."""
    found = [
        (str(path.relative_to(folder)), node.lineno)
        for path in sorted(folder.rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store) and node.id == "_"
    ]
    return [f"{path}:{line}" for path, line in sorted(found)]


def test_nothing_is_called_underscore() -> None:
    assert nameless(ROOT / "plugins") == []


def test_an_underscore_is_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("one, _ = 1, 2\nfor _ in (): ...\n[0 for _, _two in ()]\nkeep = lambda _: _\n")
    assert nameless(tmp_path) == ["a.py:1", "a.py:2", "a.py:3"]
