# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What concerns a run as a whole: what the command line may ask of our playbooks, and what all tables share."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from ansible import context
from ansible.errors import AnsibleFilterError

from ansible_collections.tableferry.aws.plugins.filter.tables import counting
from ansible_collections.tableferry.aws.plugins.plugin_utils.differing import differing
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import BROKEN, HostVars

COLLECTION = Path(__file__).resolve().parents[2]
# Variables that playbooks read from one table for all of a run, with what one that is not set counts as.
OF_A_RUN: Mapping[str, Any] = {
    "ferry_plan": "",
    "ferry_plan_path": "tableferry-plan.json",
    "ferry_plan_permissions": True,
    "ferry_plan_strict": False,
    "ferry_prices": {},
    "ferry_report_dir": "tableferry-report",
    "ferry_iac": [],
    "ferry_status_path": "",
    "ferry_permissions_dir": "",
}
_NAME = re.compile(r"^ *- name: (?P<name>.+)$", re.MULTILINE)
_PLAIN = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


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


def host_patterns(hosts: Iterable[str]) -> list[str]:
    """``hosts`` for the ``hosts`` of a play, which takes patterns: a name with a blank, a colon or a comma in it would
    be taken for several, and one with brackets for a range. Those become regular expressions."""
    return [host if _PLAIN.fullmatch(host) else f"~{''.join(map(_escaped, host))}\\Z" for host in hosts]


def _escaped(character: str) -> str:
    """``character`` in a regular expression that has none of what Ansible splits patterns at."""
    return character if character.isalnum() else f"\\U{ord(character):08x}"


def run_variables(hosts: Iterable[str], hostvars: HostVars) -> str:
    """In which variables of the whole run the tables of ``hosts`` differ, with the hosts: one of them would count for
    all, without a word; "" where they differ in none. One that cannot be read is left to ``inventory_problems``."""
    hosts = list(hosts)
    values: dict[str, dict[str, Any]] = {name: {} for name in OF_A_RUN}
    for host in hosts:
        variables = hostvars[host]  # which Ansible puts together each time
        for name, unset in OF_A_RUN.items():
            try:
                values[name][host] = counting(variables, name, unset)
            except BROKEN:
                continue
    words = {name: differing(those) for name, those in values.items()}
    return " ".join(
        f"{name} is one for all tables of a run, and they have different ones: {differ}."
        f" {_next_step(name, hosts, hostvars)}"
        for name, differ in words.items()
        if differ
    )


def _next_step(name: str, hosts: Iterable[str], hostvars: HostVars) -> str:
    raw = getattr(hostvars, "raw_get", hostvars.__getitem__)
    if not any("{{" in str(raw(host).get(name)) for host in hosts):
        return f"Give all of them the same, as with -e {name}=VALUE, or run them apart with --limit."
    return (
        "A template is worked out for each table anew, and with the time or a table's name in it comes to something"
        f' else each time. Give all of them one text, as with -e "{name}=NAME-$(date +%F-%H%M)", or run them apart with'
        " --limit."
    )


def _is_meant(start: str, name: str) -> bool:
    """Whether Ansible takes the task ``name`` for the one that ``start`` names, with the role or without it."""
    return any(start == each or fnmatch(each, start) for each in (name, start.rpartition(" : ")[0] + " : " + name))


def _task_names() -> Iterator[str]:
    for path in (*COLLECTION.glob("roles/*/tasks/*.yml"), *COLLECTION.glob("playbooks/*.yml")):
        for line in _NAME.finditer(path.read_text(encoding="utf-8")):
            yield line["name"].strip("\"'")


class FilterModule:
    """Filters for whole runs."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"host_patterns": host_patterns, "run_variables": run_variables, "whole_run": whole_run}
