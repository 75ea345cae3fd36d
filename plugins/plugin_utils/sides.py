# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The accounts of an inventory, each rendered once.

A lookup in the credentials of a group would run for every host and every filter: a hundred calls of a vault for a
hundred tables, and with one that gives fresh keys a hundred accounts that look different.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterable, Mapping
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.validation import check_type_dict
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import BROKEN, HostVars, plain

Sides = Mapping[str, Any]  # as ``resolved`` returns them

# The variables that are accounts, by the side that messages about them name.
SIDES = {"ferry_source": "source", "ferry_destination": "destination", "ferry_management": "source"}
TAGS = "ferry_tags"
DEBUG_CALLS, REPORT_DIR = "ferry_debug_calls", "ferry_report_dir"  # whether calls are noted, and in which folder
USUAL_DIR = "tableferry-report"  # of the report, where the variable is not set
_TEMPLATE = re.compile(r"\{[{%]")
_WORD = re.compile(r"[A-Za-z_]\w*")
_LOOKUPS = {"lookup", "query", "q"}
# What is read through these, no text shows.
_HIDDEN = {"hostvars", "vars", "varnames", "template"}
# What our roles and playbooks keep for a host: first words of names. No lookup's options are among them.
OWN = (
    "apply_table_settings_",
    "back_up_table_",
    "check_inventory_",
    "cleanup_account_",
    "cleanup_table_",
    "copy_recovery_point_",
    "copy_table_",
    "destination_account_",
    "export_table_",
    "ferry_",
    "import_table_",
    "judge_table_",
    "migrate_",
    "move_table_",
    "plan_tables_",
    "remove_records_",
    "report_migration_",
    "restore_table_",
    "show_permissions_",
    "show_status_",
    "source_account_",
    "verify_table_",
)
# What differs from host to host, and a lookup reads only where it is named.
_OF_HOST = {"inventory_hostname", "inventory_hostname_short", "groups", "group_names", "omit"}


class RenderedSides:
    """Reads the account variables of many hosts, and renders one that several hosts share once."""

    def __init__(self, hostvars: HostVars) -> None:
        self._hostvars = hostvars
        self._rendered: dict[tuple[str, str], Any] = {}

    def of(self, host: str, names: Iterable[str] = tuple(SIDES)) -> dict[str, Any]:
        """The account variables among ``names`` that the host has, by name. Raises one of ``BROKEN``."""
        raw = getattr(self._hostvars, "raw_get", self._hostvars.__getitem__)(host)
        tags = self._read(host, TAGS, raw) if TAGS in raw else {}
        log = ""
        if DEBUG_CALLS in raw:
            variables = self._hostvars[host]
            log = call_log_path(plain(variables[DEBUG_CALLS]), plain(variables.get(REPORT_DIR, USUAL_DIR)))
        return {name: completed(self._read(host, name, raw), tags, log) for name in names if name in raw}

    def destination_if_sound(self, host: str) -> Any:
        """The destination of the host; None where it is not set or cannot be read."""
        try:
            return self.of(host, ["ferry_destination"]).get("ferry_destination")
        except BROKEN:
            return None

    def _read(self, host: str, name: str, raw: Mapping[str, Any]) -> Any:
        key = (name, spelling(name, raw) or f"{host}:")
        if key not in self._rendered:
            try:
                self._rendered[key] = _as_mapping(plain(self._hostvars[host][name]))
            except BROKEN as error:
                self._rendered[key] = error
        value = self._rendered[key]
        if isinstance(value, Exception):
            raise value
        return value


def completed(account: Any, tags: Any, call_log: str) -> Any:
    """The options of an account with the ``tags`` of ``ferry_tags`` and the ``call_log`` of ``ferry_debug_calls``; its
    own win. What is no mapping is left for the validation to refuse."""
    if not isinstance(account, Mapping):
        return account
    account = {"call_log": call_log, **account} if call_log else account
    own = account.get("tags") or {}
    if not tags or not isinstance(tags, Mapping) or not isinstance(own, Mapping):
        return account
    return {**account, "tags": {**tags, **own}}


def call_log_path(debug_calls: Any, report_dir: Any) -> str:
    """The file that notes the calls of this run, in the folder of the report, without one in that of the run; "" where
    ``debug_calls`` does not ask for it.

    Raises AnsibleFilterError for what is neither true nor false."""
    try:
        if not boolean(debug_calls):
            return ""
    except TypeError as error:
        raise AnsibleFilterError(f"{DEBUG_CALLS} is {debug_calls!r}: use true or false.") from error
    from ansible_collections.tableferry.aws.plugins.module_utils.core.record import lease, process

    folder = os.path.abspath(os.path.expanduser(str(report_dir or "")))
    run = lease.run_id(process.describe(process.playbook()))
    return os.path.join(folder, f"tableferry-calls-{run}.jsonl")


def _as_mapping(value: Any) -> Any:
    """A text may be JSON or key=value; what is neither stays, for the validation to refuse."""
    if not isinstance(value, str):
        return value
    try:
        return check_type_dict(value)
    except TypeError:
        return value


def spelling(name: str, raw: Mapping[str, Any]) -> str:
    """How the variable ``name`` is written, with all that its templates may read: hosts for which it is equal have one
    value of it. "" where that cannot be seen. ``raw`` are the variables of a host, not rendered.
    """
    written = {name: _text(raw[name])}
    left = [written[name]]
    while left:
        text = left.pop()
        if not _TEMPLATE.search(text):
            continue
        words = set(_WORD.findall(text))
        if words & _HIDDEN:
            return ""
        if words & _LOOKUPS:  # these may read any variable, such as the options of their plugin
            words |= {each for each in raw if each not in _OF_HOST and not each.startswith(OWN)}
        for word in sorted(words - set(written)):
            if word in raw:
                written[word] = _text(raw[word])
                left.append(written[word])
    return json.dumps(written, sort_keys=True)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def resolved(hosts: Iterable[str], hostvars: HostVars) -> dict[str, Any]:
    """The accounts of the hosts, each once: ``accounts`` with ``side`` and ``options``; ``hosts``, for each host the
    places of its own in that list by variable; ``broken``, why those of a host cannot be read."""
    reader = RenderedSides(hostvars)
    accounts: list[dict[str, Any]] = []
    places: dict[str, int] = {}
    found: dict[str, dict[str, int]] = {}
    broken: dict[str, str] = {}
    for host in hosts:
        try:
            sides = reader.of(host)
        except BROKEN as error:
            broken[host] = str(error)
            continue
        found[host] = {}
        for name, options in sides.items():
            text = _text([SIDES[name], options])
            if text not in places:
                places[text] = len(accounts)
                accounts.append({"side": SIDES[name], "options": options})
            found[host][name] = places[text]
    return {"accounts": accounts, "hosts": found, "broken": broken}


def options_of(sides: Sides, host: str) -> dict[str, Any]:
    """The account variables of a host, by name; ``sides`` is of ``resolved``."""
    return {name: sides["accounts"][at]["options"] for name, at in (sides["hosts"].get(host) or {}).items()}


def place_of(sides: Sides, host: str, name: str) -> str:
    """A text that is equal for equal places of an account variable: account id, Region and endpoint, where the account
    was asked for its id, else all that is written. "" where the variable is not set."""
    account = account_of(sides, host, name)
    if not account:
        return ""
    options = account["options"]
    if isinstance(options, Mapping):
        options = {name: value for name, value in options.items() if name not in ("tags", "call_log")}
    if not account.get("account_id"):
        return _text(options)
    endpoint = str(options.get("endpoint_url") or "").rstrip("/")
    return _text([account["account_id"], options.get("region") or "", endpoint])


def pair_place(sides: Sides, host: str, name: str) -> str:
    """As ``place_of``, and who works there: statements and grants name that principal."""
    return _text([place_of(sides, host, name), account_of(sides, host, name).get("principal_arn", "")])


def account_of(sides: Sides, host: str, name: str) -> Mapping[str, Any]:
    """The entry of an account variable in ``sides``; empty where it is not set."""
    at = (sides["hosts"].get(host) or {}).get(name)
    return {} if at is None else sides["accounts"][at]


def account_name(account: Mapping[str, Any]) -> str:
    """How an entry of ``account_of`` is called in a line: its id, else its role or profile, and its Region."""
    options = account.get("options")
    options = options if isinstance(options, Mapping) else {}
    name = account.get("account_id") or options.get("account_id") or options.get("role_arn")
    if not name:
        name = f"of profile {options['profile']}" if options.get("profile") else "unknown"
    return f"{name} ({options['region']})" if options.get("region") else str(name)


class AccountChecks:
    """What is wrong with accounts as far as it shows without a call, each looked at once.

    ``sides`` is of ``resolved``. An account without a Region may get it from ``module_defaults``: it is left alone.
    """

    def __init__(self, sides: Sides) -> None:
        self._sides = sides
        self._checked: dict[int, tuple[str, str]] = {}  # the partition, and what is wrong

    def problems(self, host: str, method: str) -> list[str]:
        """Those of one host, whose table is moved by ``method`` ("" is the default one)."""
        checked = {name: self._check(at) for name, at in self._sides["hosts"][host].items()}
        found = [f"{name}: {problem}" for name, (_partition, problem) in checked.items() if problem]
        if found:
            return found
        partitions = [checked[name][0] for name in ("ferry_source", "ferry_destination") if name in checked]
        if len(set(filter(None, partitions))) > 1:
            from ansible_collections.tableferry.aws.plugins.module_utils.core import migration

            if method not in ("", migration.AUTO) and migration.data_needs(method):
                here, there = partitions
                return [
                    f"the method {method} does not work between the partitions {here} and {there} of the two Regions;"
                    " set ferry_method: direct"
                ]
        return []

    def _check(self, at: int) -> tuple[str, str]:
        if at not in self._checked:
            account = self._sides["accounts"][at]
            self._checked[at] = _check(account["side"], account["options"])
        return self._checked[at]


def _check(side: str, options: Mapping[str, Any]) -> tuple[str, str]:
    from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
    from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
    from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import FerryError

    if sdk.SDK_ERROR or not options.get("region"):
        return "", ""
    try:
        spec = AccountSpec.from_mapping("destination" if side == "destination" else "source", options)
        return Account(spec).partition, ""
    except FerryError as error:
        return "", f"{error.cause} {error.next_step}".rstrip(".")
