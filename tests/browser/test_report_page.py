# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The report's page in Chromium: sorted, filtered, used by the keyboard alone, and looked at by axe-core."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from generate.sample_report import sample
from plugins.module_utils.core.report.page import page
from tests.browser.chromium import Browser, browser, program
from tests.unit.core.report.test_page import HOSTILE, hostile

HERE = Path(__file__).parent
PACKAGES = HERE.parents[1] / "build" / "browser"
NAMES = "[...document.querySelectorAll('#list tbody tr:not(.d):not([hidden]) th')].map(e => e.textContent.trim())"


def left_out(reason: str) -> None:
    """Leave the test out with a line; in continuous integration it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="module")
def chromium(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    """A page in Chromium."""
    if not program():
        left_out("Chromium is not installed (Debian's package chromium)")
    with browser(tmp_path_factory.mktemp("profile")) as found:
        yield found


@pytest.fixture(scope="module")
def axe() -> str:
    """The script of axe-core, fetched into build/browser."""
    script = PACKAGES / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        if not shutil.which("npm"):
            left_out("npm, which fetches axe-core, is not installed")
        PACKAGES.mkdir(parents=True, exist_ok=True)
        for name in ("package.json", "package-lock.json"):
            shutil.copy(HERE / name, PACKAGES)
        command = ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
        if subprocess.run(command, cwd=PACKAGES, check=False).returncode:
            left_out("axe-core could not be fetched")
    return script.read_text()


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[int, Path]:
    """Pages of 5, 60, 500 and 2,500 tables."""
    folder, found = tmp_path_factory.mktemp("pages"), {}
    for number in (5, 60, 500, 2500):
        found[number] = folder / f"{number}.html"
        found[number].write_text(page(sample(number)))
    return found


def test_columns_sort_up_and_down(chromium: Browser, pages: dict[int, Path]) -> None:
    chromium.open(pages[60])
    before = chromium.run(NAMES)
    chromium.run("document.querySelector('[data-by=\"0\"]').click()")
    assert chromium.run("document.querySelector('thead th').getAttribute('aria-sort')") == "ascending"
    assert chromium.run(NAMES) == sorted(before)
    chromium.run("document.querySelector('[data-by=\"0\"]').click()")
    assert chromium.run(NAMES) == sorted(before, reverse=True)
    chromium.run("document.querySelector('[data-by=\"3\"]').click()")
    by_name = {entry["name"]: entry["items_destination"] or -1 for entry in sample(60)["tables"]}
    items = [by_name[name] for name in chromium.run(NAMES)]
    assert items == sorted(items)
    assert chromium.run("document.querySelectorAll('[aria-sort]').length") == 1


def test_name_status_and_method_filter(chromium: Browser, pages: dict[int, Path]) -> None:
    chromium.open(pages[60])
    chromium.run("document.getElementById('name').focus()")
    chromium.type("ORDERS")
    names = chromium.run(NAMES)
    assert names and all("orders" in name for name in names)
    assert chromium.run("document.getElementById('shown').textContent") == f"{len(names)} of 60 tables"
    choose = (
        "(id, to) => { const e = document.getElementById(id); e.value = to;"
        " e.dispatchEvent(new Event('input', {bubbles: true})); }"
    )
    chromium.run(f"({choose})('name', '')")
    chromium.run(f"({choose})('status', 'refused')")
    refused = {entry["name"] for entry in sample(60)["tables"] if entry["status"] == "refused"}
    assert set(chromium.run(NAMES)) == refused
    chromium.run(f"({choose})('method', 'direct')")
    assert chromium.run(NAMES) == []


def test_the_keyboard_alone_opens_and_closes_details(chromium: Browser, pages: dict[int, Path]) -> None:
    chromium.open(pages[5])
    chromium.press("Tab")
    assert chromium.run("document.activeElement.className") == "skip"
    chromium.press("Enter", "Tab", "Tab", "Tab")  # to the tables, then through the filters
    assert chromium.run("document.activeElement.id") == "method"
    chromium.press(*["Tab"] * 8)  # seven heads, then the first name
    assert chromium.run("document.activeElement.textContent") == chromium.run(NAMES)[0]
    chromium.press("Tab", "Enter")
    assert chromium.run("document.activeElement.getAttribute('aria-expanded')") == "true"
    shown = chromium.run("document.querySelector('.d').textContent")
    table = chromium.run(NAMES)[1]
    assert f"arn:aws:dynamodb:eu-west-1:111111111111:table/{table}" in shown
    assert f"arn:aws:dynamodb:eu-west-1:222222222222:table/{table}" in shown
    assert "Left to do" in shown and "Settings carried" in shown
    chromium.press("Enter")
    assert chromium.run("document.querySelectorAll('.d').length") == 0


def test_of_many_tables_a_button_shows_the_rest(chromium: Browser, pages: dict[int, Path]) -> None:
    chromium.open(pages[2500])
    visible = "[...document.querySelectorAll('#list tbody tr')].filter(e => e.offsetHeight).length"
    assert chromium.run(visible) == 500
    chromium.run("document.querySelector('[data-by=\"5\"]').click()")
    assert chromium.run(visible) == 500
    chromium.run("document.querySelector('#rest button').click()")
    assert chromium.run(visible) == 2500 and chromium.run("document.getElementById('rest').hidden")


def test_nothing_is_asked_of_a_network_and_no_name_does_anything(chromium: Browser, tmp_path: Path) -> None:
    path = tmp_path / "hostile.html"
    path.write_text(page(hostile()))
    chromium.asked.clear()
    chromium.run("window.alert = () => { throw Error('a name did something') }")
    chromium.open(path)
    chromium.run("document.querySelectorAll('#list tbody tr:not(.d) button').forEach(e => e.click())")
    assert chromium.run("document.querySelectorAll('.d').length") == len(HOSTILE)
    assert chromium.run("document.querySelectorAll('img,script:not([id]):not(:last-of-type)').length") == 0
    assert {address.partition(":")[0] for address in chromium.asked} <= {"file", "data"}
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("dark", [False, True])
@pytest.mark.parametrize("number", [5, 60])
def test_axe_finds_nothing(
    chromium: Browser, pages: dict[int, Path], axe: str, number: int, dark: bool, width: int
) -> None:
    chromium.open(pages[number], width=width, dark=dark)
    chromium.run("document.querySelectorAll('#list tbody button')[1].click()")
    chromium.run(axe)
    found = json.loads(chromium.run("axe.run(document).then(found => JSON.stringify(found.violations))"))
    assert [(each["id"], each["nodes"][0]["html"], each["nodes"][0]["failureSummary"]) for each in found] == []
    assert chromium.run("document.documentElement.scrollWidth <= innerWidth")


def test_axe_would_find_a_weak_contrast(chromium: Browser, pages: dict[int, Path], axe: str) -> None:
    chromium.open(pages[5])
    chromium.run("document.documentElement.style.setProperty('--soft', '#ccc')")
    chromium.run(axe)
    found = json.loads(chromium.run("axe.run(document).then(found => JSON.stringify(found.violations))"))
    assert "color-contrast" in {each["id"] for each in found}


def test_on_paper_all_tables_are_there_and_no_tools(chromium: Browser, pages: dict[int, Path]) -> None:
    chromium.open(pages[2500], media="print", dark=True)
    visible = "[...document.querySelectorAll('#list tbody tr')].filter(e => e.offsetHeight).length"
    assert chromium.run(visible) == 2500
    assert chromium.run("document.querySelector('.tools').offsetHeight") == 0
    assert chromium.run("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
