# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""No loop goes over the options of an account: Ansible prints items with ``-v``, and AWX keeps them in its events."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

ROOT = Path(__file__).parents[3]
FILES = sorted([*ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("playbooks/*.yml")])
# What stands for an account with its keys: ``cleanup_account_source``, ``ferry_management``, ``check_inventory_sides``.
KEYS = re.compile(r"\b\w+_(?:source|destination|management|sides)\b(?!\s*\.\s*accounts\s*\|\s*length)")


def tasks_in(content: Any) -> Iterator[dict[str, Any]]:
    """All tasks in a file of tasks or plays, those in blocks too."""
    for each in content or []:
        yield each
        for part in ("tasks", "pre_tasks", "post_tasks", "block", "rescue", "always"):
            yield from tasks_in(each.get(part))


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parts[-3]}/{path.name}")
def test_no_loop_shows_the_options_of_an_account(path: Path) -> None:
    shown = [
        task["name"]
        for task in tasks_in(yaml.safe_load(path.read_text()))
        if "loop" in task and not task.get("no_log") and KEYS.search(json.dumps(task["loop"]))
    ]
    assert shown == []
