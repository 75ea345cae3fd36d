# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Arrows point from the verbs to the ground: a method imports no other one, and nobody imports what uses him."""

from __future__ import annotations

from pathlib import Path

import pytest

from .imports import ROOT, imports_below, targets

UTILS = ROOT / "plugins/module_utils"

# A file imports of these what lies in its own line or in a later one. The last line is the ground.
LAYERS = (
    ("glue.",),
    ("core.migration",),
    ("core.methods.",),
    ("core.imports.",),
    ("core.exports.", "core.plan."),
    ("core.judgement", "core.report"),
    ("core.steps.",),
    ("core.destination",),
    ("core.jobs.",),
    ("core.record.", "core.table.", "core.data_plane"),
    ("spark.",),
    ("core.items.",),
    ("core.statements.",),
    ("",),
)


def layer(name: str) -> int:
    """The line of ``LAYERS`` that a file belongs to."""
    word = name.removeprefix("module_utils.")
    return next(number for number, starts in enumerate(LAYERS) if word.startswith(starts))


def method(name: str) -> str:
    """The method whose file this is, "" for what they share."""
    parts = name.split(".")
    return parts[3] if parts[1:3] == ["core", "methods"] and len(parts) > 4 else ""


def upwards(imports: dict[str, set[str]]) -> set[tuple[str, str]]:
    """Who imports what lies above it, or another method."""
    pairs = {(name, target) for name, targets in imports.items() for target in targets}
    return {
        (name, target)
        for name, target in pairs
        if layer(target) < layer(name) or (layer(name) == 2 and method(target) not in ("", method(name)))
    }


def imported_names(folder: Path) -> set[str]:
    """The dotted names that the files below ``folder`` import."""
    return {name for path in folder.rglob("*.py") for name in targets(path.stem, path)}


def test_the_lab_and_the_product_import_nothing_of_each_other() -> None:
    assert {
        name for name in imported_names(ROOT / "lab") if {"plugins", "module_utils"} & set(name.split("."))
    } == set()
    assert {name for name in imported_names(ROOT / "plugins") if name.split(".")[0] == "lab"} == set()


def test_arrows_point_down() -> None:
    imports = imports_below(UTILS, "module_utils")
    assert any(method(name) for name in imports)
    assert upwards(imports) == set()


@pytest.mark.parametrize(
    ("name", "target"),
    [
        ("methods.s3.method", "methods.backup.calls"),
        ("methods.s3.method", "migration"),
        ("methods.method", "methods.s3.method"),
        ("imports.importing", "methods.s3.method"),
        ("exports.export", "imports.importing"),
        ("steps.counting", "methods.method"),
        ("table.settings", "jobs.job"),
        ("route", "jobs.job"),
        ("table.settings", "destination"),
        ("jobs.waiter", "destination"),
        ("account", "record.run"),
        ("items.client", "data_plane"),
    ],
)
def test_an_arrow_upwards_is_found(name: str, target: str) -> None:
    pair = (f"module_utils.core.{name}", f"module_utils.core.{target}")
    assert upwards({pair[0]: {pair[1]}}) == {pair}
    assert upwards({"module_utils.core.migration": {pair[1]}, "module_utils.glue.verbs.job_wait": {pair[0]}}) == set()
