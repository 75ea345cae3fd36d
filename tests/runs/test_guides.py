# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The guides of docs/docsite: their inventories and commands as they stand there, on the lab with profiles for it."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
import yaml

from lab.client import LabClient, spawn
from lab.spark.engine import ENGINES
from tests.runs.playbooks import Migration, prepare

ROOT = Path(__file__).parents[2]
GUIDES = ROOT / "docs/docsite/rst"
# What a guide's tables become; others are migrated.
OUTCOMES = {("method_backup", "customers"): "copied"}
# Commands that install: tests/unit/generate/test_site.py looks at them, `make artifact` runs the like.
INSTALLING = ("python3 -m pip", "git clone", "cd ", "ansible-galaxy collection")
PROFILES = {"legacy": "source", "new": "destination", "root": "management"}
SPARK = ("method_glue", "method_emr")
PATIENCE = 300.0  # seconds of real time for a run with a job of a real Spark


@dataclass(frozen=True)
class Guide:
    """A guide's inventory, by its path, and its commands in their order."""

    name: str
    inventory: str
    commands: tuple[str, ...]


def guide_of(name: str, text: str) -> Guide:
    """What a guide says to write and to run."""
    inventories = re.findall(r"literalinclude:: /(examples/\S+)", text)
    assert len(inventories) <= 1
    blocks = re.findall(r"^( *)\.\. code-block:: console\n\n((?:\1 +.*\n)+)", text, re.MULTILINE)
    lines = [line.strip() for _, block in blocks for line in block.splitlines()]
    assert all(line.startswith("$ ") for line in lines)
    return Guide(name, "".join(inventories), tuple(line.removeprefix("$ ") for line in lines))


def guides() -> list[Guide]:
    """The guides that have commands."""
    found = [guide_of(path.stem, path.read_text()) for path in sorted(GUIDES.glob("*.rst"))]
    return [guide for guide in found if guide.commands]


def profiles(lab: LabClient, folder: Path) -> dict[str, str]:
    """An environment in which the profiles of the guides are the lab's accounts."""
    lines = []
    for profile, side in PROFILES.items():
        account = lab.landscape["accounts"][side]
        lines += [
            f"[profile {profile}]",
            f"aws_access_key_id = {account['access_key']}",
            f"aws_secret_access_key = {account['secret_key']}",
            f"endpoint_url = {lab.endpoint_url}",
        ]
    path = folder / "aws-config"
    path.write_text("\n".join(lines) + "\n")
    return {"AWS_CONFIG_FILE": str(path), "AWS_SHARED_CREDENTIALS_FILE": str(folder / "none")}


def options_of(command: str) -> tuple[str, list[str]]:
    """The playbook of a command, and what stands behind its inventory."""
    program, playbook, flag, inventory, *options = shlex.split(command)
    assert (program, flag, inventory) == ("ansible-playbook", "-i", "inventory.yml")
    return playbook, options


@pytest.fixture
def lab() -> Iterator[LabClient]:
    """A fast lab."""
    with spawn(scale=0.01) as client:
        yield client


def left_out(guide: str) -> str:
    """Why this machine cannot run a guide; empty if it can."""
    return ENGINES[0].why_not() if guide in SPARK else ""


@pytest.mark.parametrize("guide", guides(), ids=lambda guide: guide.name)
def test_what_a_guide_says_works(guide: Guide, lab: LabClient, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    reason = left_out(guide.name)
    if reason and os.environ.get("CI") == "true":
        pytest.fail(reason)
    if reason:
        pytest.skip(reason)
    inventory = (ROOT / (guide.inventory or "examples/guides/first.yml")).read_text()
    hosts = yaml.safe_load(inventory)["dynamodb_tables"]["hosts"]
    migration: Migration = prepare(lab, tmp_path, list(hosts))
    migration.inventory.write_text(inventory)
    environment = profiles(lab, tmp_path)
    monkeypatch.chdir(tmp_path)
    for number, command in enumerate(guide.commands):
        if command.startswith(INSTALLING):
            continue
        playbook, options = options_of(command)
        with migration.run(f"{number}", *options, playbook=playbook, environment=environment) as run:
            assert run.wait(PATIENCE) == 0, f"{command}\n{run.output[-6000:]}"
        if playbook == "tableferry.aws.migrate" and options[:1] != ["--check"]:
            ended = {row["name"]: row["status"] for row in run.rows().values()}
            assert ended == {name: OUTCOMES.get((guide.name, name), "migrated") for name in hosts}


def test_commands_and_inventories_are_read_as_they_stand() -> None:
    text = """
1. Write:

   .. literalinclude:: /examples/guides/x.yml

2. Run:

   .. code-block:: console

      $ ansible-playbook a.b.c -i inventory.yml --check
      $ cd there

   Other words.
"""
    commands = ("ansible-playbook a.b.c -i inventory.yml --check", "cd there")
    assert guide_of("x", text) == Guide("x", "examples/guides/x.yml", commands)
    assert options_of(commands[0]) == ("a.b.c", ["--check"])
