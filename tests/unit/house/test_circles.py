# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arrows point one way: no file of the core or of the lab imports another one in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest

from .imports import ROOT, circle, imports_below


@pytest.mark.parametrize(("folder", "package"), [("plugins/module_utils/core", "core"), ("lab", "lab")])
def test_no_circle(folder: str, package: str) -> None:
    """Type-checking imports and those within functions count too."""
    assert circle(imports_below(ROOT / folder, package)) == []


def test_a_circle_is_found(tmp_path: Path) -> None:
    """Of a relative import, one in a function and one for type checking."""
    (tmp_path / "room").mkdir()
    (tmp_path / "a.py").write_text("from .room import b\n")
    (tmp_path / "room" / "b.py").write_text("def f():\n    from ..c import x\n")
    (tmp_path / "c.py").write_text("from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import here.a\n")
    (tmp_path / "d.py").write_text("from . import a\n")
    found = circle(imports_below(tmp_path, "here"))
    assert set(found) == {"here.a", "here.room.b", "here.c"}
