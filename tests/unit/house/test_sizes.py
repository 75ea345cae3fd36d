# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The core has few rooms and no long files: who looks for something sees where it must be."""

from __future__ import annotations

from .imports import ROOT

CORE = ROOT / "plugins/module_utils/core"
ROOMS = 24
LINES = 500


def test_the_core_has_few_rooms() -> None:
    rooms = {path.name for path in CORE.iterdir() if path.is_dir() or path.suffix == ".py"}
    assert len(rooms - {"__init__.py", "__pycache__"}) <= ROOMS


def test_no_file_of_the_core_is_long() -> None:
    lines = {str(path.relative_to(CORE)): len(path.read_text().splitlines()) for path in CORE.rglob("*.py")}
    assert {name: count for name, count in lines.items() if count > LINES} == {}
