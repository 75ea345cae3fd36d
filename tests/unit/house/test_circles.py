# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arrows point one way: no file of the core or of the lab imports another one in a circle."""

from __future__ import annotations

from pathlib import Path

import pytest

from .imports import FULL_NAME, ROOT, circle, imports_below


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


def test_what_a_package_imports_is_found(tmp_path: Path) -> None:
    """Whoever imports a module imports the ``__init__.py`` of its folder too."""
    (tmp_path / "room").mkdir()
    (tmp_path / "room" / "__init__.py").write_text("from ..c import x\n")
    (tmp_path / "room" / "b.py").write_text("")
    (tmp_path / "c.py").write_text("from .room.b import y\n")
    assert set(circle(imports_below(tmp_path, "here"))) == {"here.c", "here.room.__init__"}


def test_imports_by_the_full_name_are_found(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text(f"from {FULL_NAME}module_utils.core.b import x\n")
    (tmp_path / "b.py").write_text(f"def f():\n    import {FULL_NAME}module_utils.core.a\n")
    assert set(circle(imports_below(tmp_path, "core"))) == {"core.a", "core.b"}
