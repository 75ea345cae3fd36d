# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The room stands on the ground alone: it knows no method and no job."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import record

GROUND = {"account", "aws_errors", "change", "errors", "sdk", "signing", "table_status"}
FILES = sorted(Path(record.__path__[0]).glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_it_imports_the_ground_and_itself(path: Path) -> None:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.level >= 2:
            assert node.level == 2
            names = {node.module.partition(".")[0]} if node.module else {alias.name for alias in node.names}
            assert names <= GROUND
        if isinstance(node, ast.ImportFrom) and node.level == 0:
            assert not (node.module or "").startswith(("ansible", "boto"))
