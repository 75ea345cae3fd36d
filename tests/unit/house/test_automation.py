# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""``.pre-commit-config.yaml`` runs what ``make lint`` runs, and ``.github`` names only what there is."""

from __future__ import annotations

import re

import yaml

from .imports import ROOT

MAKEFILE = (ROOT / "Makefile").read_text()
WORKFLOWS = sorted((ROOT / ".github/workflows").glob("*.yml"))


def recipe(target: str, makefile: str = MAKEFILE) -> list[str]:
    """The commands of a target, with the folder of the programs filled in."""
    found = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", makefile, re.MULTILINE)
    assert found
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in found[1].splitlines()]


def test_pre_commit_runs_the_commands_of_make_lint() -> None:
    (repository,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    hooks = repository["hooks"]
    assert [hook["entry"] for hook in hooks] == recipe("lint")
    # Each looks at everything, as make does, whatever the commit changes.
    assert all(hook["always_run"] and not hook["pass_filenames"] for hook in hooks)


def test_lint_checks_all_workflows_and_forms() -> None:
    files = {word for command in recipe("lint") for word in command.split() if word.startswith(".github/")}
    assert files == {path.relative_to(ROOT).as_posix() for path in (ROOT / ".github").rglob("*.yml")}


def test_workflows_run_targets_that_there_are() -> None:
    targets = set(re.findall(r"^([a-z][\w.-]*):", MAKEFILE, re.MULTILINE))
    named = set()
    for path in WORKFLOWS:
        for job in yaml.safe_load(path.read_text())["jobs"].values():
            named |= set(job.get("strategy", {}).get("matrix", {}).get("check", []))
            for step in job.get("steps", []):
                named |= set(re.findall(r"\bmake ([\w.-]+)", step.get("run", "")))
    assert {"test", "test-newest", "package"} <= named <= targets


def test_other_commands_are_seen() -> None:
    assert recipe("lint", "lint: setup\n\t$(BIN)/ruff check .\n\tyamllint .\n\ntypes:\n\tmypy\n") == [
        ".venv/bin/ruff check .",
        "yamllint .",
    ]
