# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""AWS's error codes are listed in one file, core/aws_errors.py: no collection and no condition elsewhere names two."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core import aws_errors

from .imports import ROOT, nodes

MODULE_UTILS = ROOT / "plugins/module_utils"
LISTED = MODULE_UTILS / "core/aws_errors.py"
KNOWN = frozenset[str]().union(*(value for value in vars(aws_errors).values() if isinstance(value, frozenset)))


def lists_of_codes(text: str) -> Iterator[tuple[int, list[str]]]:
    """Line and codes of each set, tuple, list or dict literal, of each ``or`` of comparisons and of each ``case`` in
    ``text`` that names two or more codes."""
    for node in nodes(text):
        if isinstance(node, ast.Dict):
            members = [*node.keys, *node.values]
        elif isinstance(node, (ast.Set, ast.Tuple, ast.List)):
            members = [*node.elts]
        elif isinstance(node, ast.BoolOp):
            members = [side for each in node.values if isinstance(each, ast.Compare) for side in _sides(each)]
        elif isinstance(node, ast.MatchOr):
            members = [each.value for each in node.patterns if isinstance(each, ast.MatchValue)]
        else:
            continue
        words = [member.value for member in members if isinstance(member, ast.Constant)]
        codes = [word for word in words if isinstance(word, str) and _is_code(word)]
        if len(codes) > 1:
            yield node.lineno, codes


def _sides(node: ast.Compare) -> list[ast.expr]:
    return [node.left, *node.comparators]


def _is_code(word: str) -> bool:
    return word in KNOWN or (word.isidentifier() and word.endswith("Exception"))


FILES = [path for folder in ("core", "glue") for path in sorted((MODULE_UTILS / folder).rglob("*.py"))]


@pytest.mark.parametrize("path", [path for path in FILES if path != LISTED], ids=lambda path: path.name)
def test_codes_are_listed_in_one_file(path: Path) -> None:
    assert list(lists_of_codes(path.read_text())) == []


def test_lists_are_found() -> None:
    assert len(list(lists_of_codes(LISTED.read_text()))) > 10
    text = """
if code in ("AccessDenied", "SomeException"): pass
HINTS = {"OtherException": "Wait.", "NoSuchBucket": "Make it."}
ONE = frozenset({"OtherException", "other words"})
if code == "AccessDenied" or code == "SomeException": pass
match code:
    case "SlowDown" | "Throttling": pass
if code == "SomeException" and message == "other words": pass
"""
    assert sorted(lists_of_codes(text)) == [
        (2, ["AccessDenied", "SomeException"]),
        (3, ["OtherException", "NoSuchBucket"]),
        (5, ["AccessDenied", "SomeException"]),
        (7, ["SlowDown", "Throttling"]),
    ]
