# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The examples of docs/transforms.md: each list of steps with the item before it, and the items that it makes of it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field

import pytest
import yaml

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.casting import FORMS
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transform.compiled import BUILDERS
from tests.unit.core.items.transform.building import Item, outcome, transform
from tests.unit.house.imports import ROOT

PAGE = (ROOT / "docs/transforms.md").read_text()
EXPORT = 1795932000.0
SPLIT_NAMES = ("acme", "globex", "acme")  # the tenants of three items
SALTS = {"env:FERRY_SALT": b"a long random text", "env:CARD_SALT": b"another one"}


@dataclass
class Example:
    """Steps with their options, the items that follow them, and the words around these; ``files`` before them."""

    options: Item
    files: str
    items: list[Item] = field(default_factory=list)
    words: str = ""


def examples() -> tuple[list[Example], list[Item]]:
    """The examples of the page: of items, and of hosts that share a table."""
    found: list[Example] = []
    hosts: list[Item] = []
    text, at, files = PAGE, 0, ""
    for block in re.finditer(r"```(\w+)\n(.*?)```\n", text, re.DOTALL):
        if found:
            found[-1].words += text[at : block.start()]
        at = block.end()
        kind, content = block.groups()
        if kind == "python":
            files = content
        elif kind == "yaml" and "ferry_transform" not in (options := yaml.safe_load(content)):
            hosts.append(options)
        elif kind == "yaml":
            found.append(Example(options, files))
        else:
            found[-1].items.append(json.loads(content))
    found[-1].words += text[at:]
    return found, hosts


(WHOLE, *EXAMPLES), (SPLIT, MERGED) = examples()


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: str(example.options["ferry_transform"])[:50])
def test_an_example_makes_what_the_page_says(example):
    options = example.options
    made = transform(
        *options["ferry_transform"],
        names=options.get("ferry_transform_names", {}),
        values=options.get("ferry_transform_values", {}),
        files={"files/transform.py": example.files},
        salts=SALTS,
        at=EXPORT,
    )
    before, *after = example.items
    items, failures, tally = outcome(made, before)
    assert items == after
    assert [list(item) for item in items] == [list(item) for item in after]
    for failure in failures:
        assert f"is refused: `{failure}`" in example.words
    assert len(failures) + tally.kept_out.total() == (0 if after else 1)


def test_the_list_at_the_top_compiles():
    function = "def fix_address(item):\n    return item\n"
    options = WHOLE.options
    assert transform(
        *options["ferry_transform"],
        names=options["ferry_transform_names"],
        values=options["ferry_transform_values"],
        files={"files/transform.py": function},
        at=EXPORT,
    )


def of_host(options):
    """The items that become of some of two tenants."""
    made = transform(*options["ferry_transform"], values=options.get("ferry_transform_values", {}))
    items = [{"pk": {"S": f"{number}"}, "tenant": {"S": name}} for number, name in enumerate(SPLIT_NAMES)]
    return [after for item in items for after in outcome(made, item)[0]]


def test_hosts_of_one_table_take_their_own_items():
    assert {options["ferry_table"] for options in SPLIT.values()} == {"tenants"}
    found = {options["ferry_destination_table"]: of_host(options) for options in SPLIT.values()}
    assert {table: {item["tenant"]["S"] for item in items} for table, items in found.items()} == {
        "acme": {"acme"},
        "globex": {"globex"},
    }
    assert sum(map(len, found.values())) == len(SPLIT_NAMES)


def test_hosts_with_one_destination_have_keys_apart():
    assert {(options["ferry_destination_table"], options["ferry_merge"]) for options in MERGED.values()} == {
        ("tenants", True)
    }
    keys = [item["pk"]["S"] for options in MERGED.values() for item in of_host(options)]
    assert len(set(keys)) == 2 * len(SPLIT_NAMES)


def test_each_step_and_each_form_is_on_the_page():
    headings = re.findall(r"^## (\w+)$", PAGE, re.MULTILINE)
    assert headings == list(BUILDERS)
    steps = {name for example in EXAMPLES for step in example.options["ferry_transform"] for name in step}
    assert steps == set(BUILDERS)
    assert all(f"`{form}`" in PAGE for form in FORMS)
