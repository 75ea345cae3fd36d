# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the command line may ask of our playbooks."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path

from ansible import context
from ansible.errors import AnsibleFilterError

COLLECTION = Path(__file__).resolve().parents[2]
_NAME = re.compile(r"^ *- name: (?P<name>.+)$", re.MULTILINE)


def whole_run(hosts: str) -> str:
    """``hosts`` of the first play of a playbook. Raises AnsibleFilterError where ``--start-at-task`` names one of our
    tasks: what a task needs comes from those before it, and nothing would have checked the inventory.

    A task of the user's own, in a play after ours, may be named: ours are then left out.
    """
    start = str(context.CLIARGS.get("start_at_task") or "")
    if start and any(_is_meant(start, name) for name in _task_names()):
        raise AnsibleFilterError(
            f"--start-at-task names a task of TableFerry ({start}), which needs what the tasks before it find out."
            " Nothing was done. Run again without it: jobs already started are found and continued."
        )
    return hosts


def _is_meant(start: str, name: str) -> bool:
    """Whether Ansible takes the task ``name`` for the one that ``start`` names, with the role or without it."""
    return any(start == each or fnmatch(each, start) for each in (name, start.rpartition(" : ")[0] + " : " + name))


def _task_names() -> Iterator[str]:
    for path in (*COLLECTION.glob("roles/*/tasks/*.yml"), *COLLECTION.glob("playbooks/*.yml")):
        for line in _NAME.finditer(path.read_text(encoding="utf-8")):
            yield line["name"].strip("\"'")


class FilterModule:
    """Filters for whole runs."""

    def filters(self) -> dict[str, Callable[..., str]]:
        """The filters by name."""
        return {"whole_run": whole_run}
