# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages of the site: every link leads somewhere, and what the site needs is there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import yaml

from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import METHODS
from generate.site.labels import place
from generate.site.pages import REPOSITORY, BrokenLink, files, pages, with_links
from generate.site.prices import GB, example, examples, page
from tests.unit.house.imports import ROOT

HERE = {*pages(ROOT), *files(ROOT)}
GUIDES = sorted((ROOT / "docs/docsite/rst").glob("*.rst"))
TARGET = re.compile(r"(?::doc:|:download:)`(?:[^`<]*<)?(/[^`>]+)>?`|(?:literalinclude|include):: (/\S+)")


@pytest.mark.parametrize("page", pages(ROOT))
def test_links_of_pages_lead_to_what_there_is(page: str) -> None:
    with_links((ROOT / page).read_text(), page, ROOT, HERE)


@pytest.mark.parametrize("path", GUIDES, ids=lambda path: path.stem)
def test_guides_show_and_name_what_the_site_has(path: Path) -> None:
    named = {(a or b).lstrip("/") for a, b in TARGET.findall(path.read_text())}
    missing = {name for name in named if name not in HERE and f"{name}.md" not in HERE}
    assert missing <= {"prices"}


def test_what_the_first_guide_installs_is_what_the_project_asks_for() -> None:
    """Its other commands run on the lab, in tests/runs/test_guides.py."""
    text = (ROOT / "docs/docsite/rst/getting_started.rst").read_text()
    commands = re.findall(r"^ *\$ (.+)$", text, re.MULTILINE)
    (ansible,) = re.findall(r"^(ansible>=\S+)", (ROOT / "requirements-dev.txt").read_text(), re.MULTILINE)
    galaxy = yaml.safe_load((ROOT / "galaxy.yml").read_text())
    assert [command for command in commands if not command.startswith("ansible-playbook")] == [
        f"python3 -m pip install '{ansible}'",
        f"git clone {galaxy['repository']}",
        f"cd {galaxy['repository'].rpartition('/')[2]}",
        "python3 -m pip install -r requirements.txt",
        "ansible-galaxy collection build --output-path build/artifact",
        f"ansible-galaxy collection install build/artifact/{galaxy['namespace']}-{galaxy['name']}-*.tar.gz",
    ]
    assert re.search(r"^1\. \*\*Install Ansible\*\*", text, re.MULTILINE)


def test_all_guides_are_listed() -> None:
    (section,) = yaml.safe_load((ROOT / "docs/docsite/extra-docs.yml").read_text())["sections"]
    names = {path.stem for path in GUIDES}
    assert set(section["toctree"]) == names
    index = (ROOT / "generate/site/index.rst").read_text()
    assert set(re.findall(r"^   collection/docsite/(\w+)$", index, re.MULTILINE)) == names


def test_every_policy_is_offered_by_the_guide_of_its_method() -> None:
    offered = set(re.findall(r"/docs/permissions/([\w-]+\.json)", "".join(path.read_text() for path in GUIDES)))
    assert offered == {path.name for path in (ROOT / "docs/permissions").glob("*.json")}


def compared() -> dict[str, dict[str, str]]:
    """The table of methods in the guide: the cells of each row by method."""
    text = (ROOT / "docs/docsite/rst/choosing_a_method.rst").read_text()
    cells = [" ".join(cell.split()) for cell in re.findall(r"^   [ *] -(.*(?:\n {7}.*)*)", text, re.MULTILINE)]
    rows = [cells[start : start + 1 + len(METHODS)] for start in range(0, len(cells), 1 + len(METHODS))]
    names = [re.sub(r":ref:`(\w+) .*", r"\1", cell) for cell in rows[0][1:]]
    return {first: dict(zip(names, others, strict=True)) for first, *others in rows[1:]}


def test_the_table_of_methods_says_what_the_methods_are() -> None:
    table = compared()
    for name, method in METHODS.items():
        assert table["local secondary indexes"][name].startswith("yes" if method.local_secondary_indexes else "no")
        assert table["items change on the way"][name] == ("yes" if method.transforms else "no")
        needs = {"staged": "a staging bucket", "backed_up": "vaults", "": "nothing"}[method.data_needs]
        assert table["needs of the accounts"][name].startswith(needs)
    assert all(set(row) == set(METHODS) for row in table.values())


def test_a_link_to_what_is_not_in_the_site_leads_to_the_repository(tmp_path: Path) -> None:
    for name in ("docs/a.md", "docs/b.md", "roles/x/defaults/main.yml"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("")
    text = (
        "[b](b.md#c) [`x`](../roles/x/defaults/main.yml) [y](https://y.example) [z](#z)\n```\n[n](no)\n```\n`[n](no)`"
    )
    found = with_links(text, "docs/a.md", tmp_path, {"docs/a.md", "docs/b.md"})
    assert found == text.replace("../roles", f"{REPOSITORY}blob/main/roles")
    assert with_links("[x](../roles/)", "docs/a.md", tmp_path, set()) == f"[x]({REPOSITORY}tree/main/roles)"


def test_a_link_to_the_repository_leads_into_the_site_where_it_has_the_page(tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs/b.md").write_text("")
    text = f"[b]({REPOSITORY}blob/main/docs/b.md#c) [i]({REPOSITORY}issues)"
    assert with_links(text, "README.md", tmp_path, {"docs/b.md"}) == f"[b](docs/b.md#c) [i]({REPOSITORY}issues)"


def test_the_map_of_the_readme_has_all_pages() -> None:
    chart = (ROOT / "README.md").read_text().split("## Map of the documentation")[1].split("\n## ")[0]
    pages_of_docs = {path.relative_to(ROOT).as_posix() for path in (ROOT / "docs").glob("*.md")}
    assert pages_of_docs <= {
        link.removeprefix(f"{REPOSITORY}blob/main/") for link in re.findall(r"\]\(([^)]+)\)", chart)
    }


def test_the_readme_can_be_read_outside_of_the_repository() -> None:
    """As Galaxy and Automation Hub show it: without relative links, and with the headings of certified collections."""
    text = (ROOT / "README.md").read_text()
    links = re.findall(r"\]\(([^)]+)\)", text)
    assert [link for link in links if not link.startswith(("https://", "#"))] == []
    wanted = ["Description", "Requirements", "Installation", "Use cases", "Testing", "Support", "Release notes"]
    headings = re.findall(r"^## (.+)$", text, re.MULTILINE)
    assert [heading for heading in headings if heading in wanted] == wanted
    assert headings[-1] == "License information"


@pytest.mark.parametrize(
    "link", ["missing.md", "../../outside.md", "missing.md#part", f"{REPOSITORY}blob/main/missing.md"]
)
def test_a_link_to_nothing_is_refused(link: str, tmp_path: Path) -> None:
    (tmp_path / "docs").mkdir()
    with pytest.raises(BrokenLink, match=r"docs/a\.md links to"):
        with_links(f"[a]({link})", "docs/a.md", tmp_path, set())


def test_unconfirmed_prices_are_marked() -> None:
    figures = yaml.safe_load((ROOT / "plugins/module_utils/core/plan/prices.yml").read_text())["figures"]
    text = page()
    assert all(f"``{name}``" in text for name in figures)
    assert text.count("**UNCONFIRMED:**") == sum(not figure["confirmed"] for figure in figures.values())


def test_examples_are_what_the_plan_says_of_each_method() -> None:
    heading, *methods = examples()
    assert heading == ("method", "100.0 MB", "10.0 GB", "1.0 TB")
    assert [row[0].strip("`") for row in methods] == list(METHODS)
    assert example(10 * GB).definition.item_count == 10 * 1024 * 1024
    assert all(cell in page() for row in methods for cell in row)


def test_labels_of_ansible_lead_to_its_documentation() -> None:
    assert place("ANSIBLE_FORKS").endswith("/config.html#envvar-ANSIBLE_FORKS")
    assert place("ansible_collections.ansible.builtin.bool_filter").endswith("/builtin/bool_filter.html")
    assert place("action_plugins").endswith("/plugins/action.html#action-plugins")
    assert place("ansible_collections.tableferry.aws.no_module") == ""
