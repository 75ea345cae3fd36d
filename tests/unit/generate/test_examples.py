# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What pages and examples show: commands of playbooks that there are, and variables with values that they take.

The commands of the guides run on the lab (tests/runs/test_guides.py), those of docs/transforms.md in its own test.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import pytest
import yaml
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ansible_collections.tableferry.aws.plugins.filter.tables import VARIABLES
from generate.site.pages import pages
from tests.unit.house.imports import ROOT

GUIDES = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "docs/docsite/rst").glob("*.rst"))]
EXAMPLES = [path.relative_to(ROOT).as_posix() for path in sorted((ROOT / "examples").rglob("*.yml"))]
# Read before any host is; and an option of a role that the page of permissions gives to the play.
OF_PLAYS = {"ferry_hosts", "ferry_serial", "check_inventory_accounts_by"}
_FENCE = re.compile(r"^( *)```(\w*)\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
_COMMAND = re.compile(r"\bansible-playbook +(?:[\w./-]+ +)?tableferry\.aws\.[^\n`]*")


def commands(text: str) -> list[str]:
    """The commands with one of our playbooks, without comments."""
    return [
        found.partition(" #")[0].strip() for found in _COMMAND.findall(re.sub(r"\s*\n\s+(?=tableferry)", " ", text))
    ]


def blocks(text: str) -> list[str]:
    """The YAML of a page in Markdown."""
    return [textwrap.dedent(body) for _, language, body in _FENCE.findall(text) if language == "yaml"]


def set_variables(data: Any) -> Iterator[dict[str, Any]]:
    """Each dictionary's variables of ours, wherever they stand."""
    if isinstance(data, dict):
        given = {name: value for name, value in data.items() if str(name).startswith("ferry_")}
        if given:
            yield given
    for value in data.values() if isinstance(data, dict) else data if isinstance(data, list) else ():
        yield from set_variables(value)


def wrong(given: dict[str, Any]) -> list[str]:
    """What is wrong with variables: unknown names, and values that they do not take. A template may be any value."""
    unknown = sorted(set(given) - set(VARIABLES) - OF_PLAYS)
    fixed = {name: value for name, value in given.items() if name in VARIABLES and "{{" not in str(value)}
    return [*unknown, *ArgumentSpecValidator(VARIABLES).validate(fixed).error_messages]


@pytest.mark.parametrize("page", [*pages(ROOT), *GUIDES])
def test_commands_of_pages_are_of_playbooks_and_variables_that_there_are(page: str) -> None:
    playbooks = {path.stem for path in (ROOT / "playbooks").glob("*.yml")}
    for command in commands((ROOT / page).read_text()):
        words = shlex.split(command)
        named = [word.removeprefix("tableferry.aws.") for word in words if word.startswith("tableferry.aws.")]
        assert named[0].rstrip(".,:") in playbooks, command
        given = [word.partition("=")[0] for flag, word in pairwise(words) if flag == "-e" and word[0] != "@"]
        assert set(given) <= {*VARIABLES, *OF_PLAYS}, command


@pytest.mark.parametrize("page", pages(ROOT))
def test_yaml_of_pages_has_variables_and_values_that_there_are(page: str) -> None:
    for block in blocks((ROOT / page).read_text()):
        assert [problem for given in set_variables(yaml.safe_load(block)) for problem in wrong(given)] == [], block


@pytest.mark.parametrize("example", EXAMPLES)
def test_examples_have_variables_and_values_that_there_are(example: str) -> None:
    data = yaml.safe_load((ROOT / example).read_text())
    assert [problem for given in set_variables(data) for problem in wrong(given)] == []


def test_what_is_wrong_is_found() -> None:
    assert wrong({"ferry_metod": "s3"}) == ["ferry_metod"]
    assert wrong({"ferry_pitr_wait": "soon"}) != []
    assert wrong({"ferry_method": "s3", "ferry_hosts": "all", "ferry_pitr_wait": "{{ 3 }}"}) == []
    text = "```yaml\na:\n  - ferry_x: 1\n```\nRun `ansible-playbook tableferry.aws.plan -i a`.\n"
    assert [list(set_variables(yaml.safe_load(block))) for block in blocks(text)] == [[{"ferry_x": 1}]]
    assert commands(text) == ["ansible-playbook tableferry.aws.plan -i a"]
