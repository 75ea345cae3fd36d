# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The data plane stands alone: it knows nothing of accounts, settings or jobs, and imports no SDK."""

from __future__ import annotations

import ast

from .imports import ROOT, imports_below, nodes

CORE = ROOT / "plugins/module_utils/core"
ALLOWED = {"core.errors", "core.aws_errors", "core.table_status"}  # pure values, as the Spark job needs them
SDKS = {"boto3", "botocore"}


def outside(imports: dict[str, set[str]]) -> dict[str, set[str]]:
    """Of each file of ``core.items``, what it imports of the core beside the items and what is allowed."""
    found = {
        name: {each for each in targets if not each.startswith("core.items.")} - ALLOWED
        for name, targets in imports.items()
        if name.startswith("core.items.")
    }
    return {name: targets for name, targets in found.items() if targets}


def test_items_import_of_the_core_only_what_aws_answers_mean() -> None:
    imports = imports_below(CORE, "core")
    assert any(name.startswith("core.items.") for name in imports)
    assert outside(imports) == {}


def test_an_import_of_anything_else_is_found() -> None:
    imports = {"core.items.a": {"core.items.b", "core.errors"}, "core.items.b": {"core.account"}, "core.c": {"core.d"}}
    assert outside(imports) == {"core.items.b": {"core.account"}}


def test_items_import_no_sdk() -> None:
    for path in (CORE / "items").rglob("*.py"):
        for node in nodes(path.read_text()):
            if isinstance(node, ast.Import):
                names = {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and not node.level:
                names = {(node.module or "").partition(".")[0]}
            else:
                continue
            assert not names & SDKS, path
