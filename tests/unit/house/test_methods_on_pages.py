# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Pages and roles that list the methods list those of core/migration.py."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.tableferry.aws.plugins.module_utils.core import migration
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import AUTO

from .imports import ROOT

NAMES = {AUTO, *migration.METHODS, *migration.LATER}
WAY = re.compile(r"ferry_method(?: ==|:| not in)? ['`]?(\w+)")


def table_below(text: str, heading: str) -> list[str]:
    """The first words in code of the rows of the Markdown table whose first line starts with ``heading``."""
    rows = text[text.index(heading) :].split("\n\n", 1)[0].splitlines()[2:]
    return [row.split("`")[1] for row in rows]


@pytest.mark.parametrize(
    ("page", "heading"), [("README.md", "| `ferry_method` |"), ("roles/move_table/README.md", "| method |")]
)
def test_tables_of_methods_are_whole(page: str, heading: str) -> None:
    assert table_below((ROOT / page).read_text(), heading) == list(migration.METHODS)


def test_the_readme_names_the_default() -> None:
    text = (ROOT / "README.md").read_text()
    part = text[text.index("### Methods and verification") : text.index("| `ferry_verify` |")]
    assert (re.findall(r"`(\w+)`, the default of `ferry_method`", part), "(default)" in part) == ([AUTO], False)


def test_the_page_of_variables_names_all_methods() -> None:
    text = (ROOT / "docs/variables.md").read_text()
    row = next(line for line in text.splitlines() if line.startswith("| `ferry_method` |"))
    names = re.findall(r"`([a-z0-9]+)`", row)
    assert set(names) == {AUTO, *migration.METHODS}


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/meta/argument_specs.yml")), ids=lambda path: path.parts[-3])
def test_roles_leave_the_choice_to_the_default(path: Path) -> None:
    options = yaml.safe_load(path.read_text())["argument_specs"]["main"]["options"]
    assert {option["default"] for name, option in options.items() if name.endswith("_method")} <= {AUTO}


PAGES = [
    path
    for pattern in (
        "*.md",
        "docs/*.md",
        "roles/*/README.md",
        "roles/*/meta/*.yml",
        "roles/*/tasks/*.yml",
        "playbooks/*.yml",
    )
    for path in sorted(ROOT.glob(pattern))
]


def unknown(text: str) -> set[str]:
    """What ``text`` gives ``ferry_method`` that is no method."""
    return {name for name in WAY.findall(text) if name not in NAMES}


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_pages_name_methods_that_there_are(path: Path) -> None:
    assert unknown(path.read_text()) == set()


@pytest.mark.parametrize("path", sorted(ROOT.glob("roles/*/tasks/*.yml")), ids=lambda path: path.parts[-3])
def test_roles_ask_a_filter_what_a_method_is(path: Path) -> None:
    """No condition of a role compares a method, or a job's kind, with a name."""
    names = "|".join(sorted({*NAMES, *migration.KINDS}))
    assert re.findall(rf"(?:==|!=|\bin\b) *[\[(]?'(?:{names})'", path.read_text()) == []


def test_what_is_no_method_is_found() -> None:
    assert unknown("Set `ferry_method: s4`, or ferry_method: backup.") == {"s4"}
    assert table_below("Text\n\n| method | jobs |\n|---|---|\n| `s3` | `export` |\n\n| `x` |", "| method |") == ["s3"]
