# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which methods and which kinds of jobs there are is asked in one file, core/migration.py.

Elsewhere only the files of a method name it and the kinds of its jobs, and exports, imports and a step their own kind.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import judgement, migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports import export_request
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports import import_request
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import AUTO
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import adopting, claim_job, comparison

from .imports import ROOT, nodes

PLUGINS = ROOT / "plugins"
CORE = PLUGINS / "module_utils/core"
NAMES = frozenset({AUTO, *migration.KNOWN, *migration.LATER, *migration.KINDS})
OF_JOBS = frozenset({"kinds", "kind", "jobs", "methods", "ways"})  # what is looked up in such a mapping is a kind
OTHERS = frozenset({"pending_reason"})  # settings wait for their slot under the same word


def named(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line and names of each place of ``text`` that decides by a method or a kind of jobs.

    That is a comparison with a name, a membership test, a ``case`` or ``startswith``; a set, tuple, list or dict that
    lists two or more, where options of a module are not counted; a constant of a file that is a name; a look-up by a
    name in ``kinds`` or ``jobs``; and the making of a ``Job``. A single word in a collection is not: there are a
    service of AWS's and many options that are called so.
    """
    for node in nodes(text):
        names = sorted(set(_names(node)))
        if names:
            yield node.lineno, names  # type: ignore[attr-defined]


def _names(node: ast.AST) -> list[str]:
    if isinstance(node, ast.Compare):
        sides = [node.left, *node.comparators]
        if any(_last_word(side) in OTHERS for side in sides):
            return []
        return _words([part for side in sides for part in getattr(side, "elts", [side])])
    if isinstance(node, (ast.Set, ast.Tuple, ast.List)):
        return _if_listed(_words(node.elts))
    if isinstance(node, ast.Dict):
        pairs = [pair for pair in zip(node.keys, node.values, strict=True) if not _is_option(pair[1])]
        return _if_listed(_words([part for pair in pairs for part in pair if part is not None]))
    if isinstance(node, ast.Subscript):
        return _words([node.slice]) if _last_word(node.value) in OF_JOBS else []
    if isinstance(node, ast.MatchValue):
        return _words([node.value])
    if isinstance(node, ast.Assign) and all(isinstance(each, ast.Name) and each.id.isupper() for each in node.targets):
        return [name for name in _words([node.value]) if name != AUTO]  # which is no method: it stands for one
    return _passed(node) if isinstance(node, ast.Call) else []


def _passed(call: ast.Call) -> list[str]:
    """The names that are passed to what decides by them."""
    first = [*call.args[:1], *(word.value for word in call.keywords if word.arg == "kind")]
    called = _last_word(call)
    owner = call.func.value if isinstance(call.func, ast.Attribute) else None
    if owner is not None and called in ("startswith", "endswith"):
        return _words([part for each in first for part in getattr(each, "elts", [each])])
    if owner is not None and called in ("get", "pop") and _last_word(owner) in OF_JOBS:
        return _words(first)
    return _words(first) if called == "job" else []


def _words(nodes: list[ast.expr]) -> list[str]:
    values = [node.value for node in nodes if isinstance(node, ast.Constant)]
    return [value for value in values if isinstance(value, str) and value in NAMES]


def _if_listed(names: list[str]) -> list[str]:
    return names if len(names) > 1 else []


def _is_option(value: ast.expr) -> bool:
    """Whether a value of a dict is an option of an argument spec."""
    keys = value.keys if isinstance(value, ast.Dict) else []
    return any(isinstance(key, ast.Constant) and key.value == "type" for key in keys)


def _last_word(node: ast.expr) -> str:
    """``kinds`` of ``kinds``, ``self.kinds`` and ``_kinds(jobs)``."""
    if isinstance(node, ast.Call):
        return _last_word(node.func)
    word = node.attr if isinstance(node, ast.Attribute) else node.id if isinstance(node, ast.Name) else ""
    return word.lower().strip("_")


def allowed(path: Path) -> set[str]:
    """The names that ``path`` may decide by: all in core/migration.py, else its own method's, or its own step's."""
    if path == CORE / "migration.py":
        return set(NAMES)
    if path == CORE / "steps/claim_job.py":
        return {claim_job.KIND}
    if path == CORE / "steps/adopting.py":
        return {adopting.KIND}
    if path == CORE / "steps/comparison.py":
        return {comparison.KIND}
    if path == CORE / "judgement.py":
        return {judgement.KIND}
    if path.is_relative_to(CORE / "exports"):
        return {export_request.KIND}
    if path.is_relative_to(CORE / "imports"):
        return {import_request.KIND, export_request.KIND}
    if path.is_relative_to(CORE / "methods") and path.parent != CORE / "methods":
        methods = [
            each for each in migration.KNOWN.values() if f".methods.{path.parent.name}." in type(each).__module__
        ]
        return {name for method in methods for name in (method.name, *method.kinds)}
    module = ".".join(path.relative_to(CORE).with_suffix("").parts) if path.is_relative_to(CORE) else "?"
    return {name for name, kind in migration.STEPS.items() if kind.__module__.endswith(f"core.{module}")}


FILES = [
    path
    for folder in ("module_utils", "plugin_utils", "filter", "action")
    for path in sorted((PLUGINS / folder).rglob("*.py"))
    if path.name != "__init__.py"
]


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(PLUGINS)))
def test_methods_and_kinds_are_known_in_one_file(path: Path) -> None:
    found = [(line, names) for line, names in named(path.read_text()) if not set(names) <= allowed(path)]
    assert found == []


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("if job.kind == 'export': pass", ["export"]),
        ("rows = [job for job in jobs if job.kind not in ('count', 'report')]", ["count"]),
        ("if 'restore' in kinds: pass", ["restore"]),
        ("FOLLOWING = ('count', 'verify')", ["count", "verify"]),
        ("CHOSEN = {'auto': 's3'}", ["auto", "s3"]),
        ("NEEDS = {'backup': 'backed_up', 'direct': ''}", ["backup", "direct"]),
        ("LATER = {'glue', 'emr'}", ["emr", "glue"]),
        ("settings = self._jobs(host)['settings']", ["settings"]),
        ("settings = jobs.get('settings')", ["settings"]),
        ("job = Job('import', table)", ["import"]),
        ("job = jobs.Job(name=table, kind='import')", ["import"]),
        ("match job.kind:\n    case 'export' as kind: pass", ["export"]),
        ("if job.kind.startswith('export'): pass", ["export"]),
        ("KIND = 'export'", ["export"]),
        ("services = ('backup', 'dynamodb', 'sts')", []),
        ("SPEC = {'backup': {'type': 'dict'}, 'verify': {'type': 'str'}, 'copy': {'type': 'dict'}}", []),
        ("backup = params['backup']", []),
        ("waits = job.pending_reason == 'settings'", []),
    ],
)
def test_what_names_them_is_found(text: str, names: list[str]) -> None:
    assert [found for _line, found in named(text)] == ([names] if names else [])


def test_a_file_may_name_what_is_its_own() -> None:
    assert allowed(CORE / "methods/s3/method.py") == {"s3", "export", "import"}
    assert allowed(CORE / "exports/export.py") == {"export"}
    assert allowed(CORE / "imports/judge.py") == {"export", "import"}
    assert allowed(CORE / "steps/counting.py") == {"count"}
    assert allowed(CORE / "judgement.py") == {"judge"}
    assert allowed(CORE / "methods/method.py") == set()
