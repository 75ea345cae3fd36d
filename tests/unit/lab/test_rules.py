# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Every rule of the lab is shown by a test, and docs/lab-rules.md is what the rules say."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path

import pytest

from lab import rules
from lab.errors import AwsError

ROOT = Path(__file__).resolve().parents[3]


def nodes_of(path: Path) -> set[str]:
    """The tests that a file holds: ``function`` and ``Class::method``."""
    names: set[str] = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.FunctionDef):
            names.add(node.name)
        elif isinstance(node, ast.ClassDef):
            names |= {f"{node.name}::{each.name}" for each in node.body if isinstance(each, ast.FunctionDef)}
    return {name for name in names if name.rpartition("::")[2].startswith("test_")}


def test_every_rule_names_a_test_that_exists() -> None:
    collected = rules.collect()
    files = {entry.test.partition("::")[0] for entry in collected}
    tests = {name: nodes_of(path) if (path := ROOT / rules.TESTS / name).exists() else set() for name in files}
    missing = [f"{entry.name}: {entry.test}" for entry in collected if not shown(entry, tests)]
    assert collected and not missing, "\n".join(missing)


def shown(entry: rules.Rule, tests: dict[str, set[str]]) -> bool:
    file, _, node = entry.test.partition("::")
    return node.partition("[")[0] in tests[file]


def test_page_is_what_the_rules_say() -> None:
    page = ROOT / "docs" / "lab-rules.md"
    assert page.read_text() == rules.document(rules.collect()), "run `make generate`"


def test_command_prints_the_page() -> None:
    ran = subprocess.run([sys.executable, "-m", "lab.rules"], cwd=ROOT, capture_output=True, text=True, check=True)
    assert ran.stdout == rules.document(rules.collect())


def test_rule_refuses() -> None:
    entry = rules.rule("a", service="s3", says="A bucket has an owner.", fact="aws.md A4", test="test_x.py::test_y")
    error = entry.error("AccessDenied", "Access Denied", 403, Key="k")
    assert isinstance(error, AwsError)
    assert (error.rule, error.code, error.message, error.status, error.members) == (
        "a",
        "AccessDenied",
        "Access Denied",
        403,
        {"Key": "k"},
    )
    assert entry.says == "A bucket has an owner"


@pytest.mark.parametrize("wrong", [{"says": ""}, {"fact": ""}, {"test": "test_x.py"}])
def test_rule_must_be_whole(wrong: dict[str, str]) -> None:
    members = {"service": "s3", "says": "It is so", "fact": "aws.md A4", "test": "test_x.py::test_y", **wrong}
    with pytest.raises(ValueError, match="lacks"):
        rules.rule("a", **members)


def test_page_escapes_and_marks() -> None:
    entry = rules.rule("a", service="s3", says="`a|b` holds", fact="f", test="t.py::test_t", confirmed=False)
    assert "| a | UNCONFIRMED: `a\\|b` holds | f | `t.py::test_t` |" in rules.document([entry])
