# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Who imports whom among the files of a folder, read from their text."""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from functools import cache
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
FULL_NAME = "ansible_collections.tableferry.aws.plugins."  # what module_utils is called in absolute imports


def imports_below(folder: Path, package: str) -> dict[str, set[str]]:
    """The modules of ``folder``, whose dotted name is ``package``, each with those of the folder that it imports.

    Imports within functions, those for type checking alone and those by the collection's full name count like any
    other. Whoever imports a module imports the ``__init__.py`` of the folders above it too.
    """
    files = {".".join((package, *path.relative_to(folder).with_suffix("").parts)): path for path in _files(folder)}
    return {name: set(_imported(name, path, files)) for name, path in files.items()}


def _files(folder: Path) -> Iterator[Path]:
    """The modules below ``folder``; of the files ``__init__.py`` those that import something."""
    for path in sorted(folder.rglob("*.py")):
        if path.name != "__init__.py" or any(targets("", path)):
            yield path


def _imported(name: str, path: Path, files: Mapping[str, Path]) -> Iterator[str]:
    package = name.partition(".")[0]
    for target in targets(name, path):
        parts = target.removeprefix(FULL_NAME).split(".")
        if target.startswith(FULL_NAME) and package in parts:
            parts = parts[parts.index(package) :]
        packages = [".".join([*parts[:count], "__init__"]) for count in range(1, len(parts) + 1)]
        yield from (each for each in (".".join(parts), *packages) if each in files and each != name)


@cache
def nodes(text: str) -> tuple[ast.AST, ...]:
    """All nodes of a file's ``text``, parsed once for all tests that read it."""
    return tuple(ast.walk(ast.parse(text)))


def targets(name: str, path: Path) -> Iterator[str]:
    """Every dotted name that the file at ``path``, called ``name``, imports or imports from."""
    for node in nodes(path.read_text()):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = name.split(".")[: -node.level] if node.level else []
            base = ".".join([*above, *([node.module] if node.module else [])])
            names = [base, *(f"{base}.{alias.name}" for alias in node.names)]
        else:
            continue
        yield from names


def circle(imports: Mapping[str, set[str]]) -> list[str]:
    """Modules that import each other in a circle, the first one again at the end; empty where there is none."""
    try:
        TopologicalSorter(imports).prepare()
    except CycleError as error:
        return [str(name) for name in error.args[1]]
    return []
