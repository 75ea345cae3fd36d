# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Plans the migrations of many tables. Changes nothing."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ansible.module_utils.common.arg_spec import ArgumentSpecValidator

from ...core.account import Account
from ...core.errors import FerryError, InvalidInput, PlanNotWritten
from ...core.items import private_files
from ...core.methods.options import AUTO, MigrationOptions
from ...core.methods.permitting import Policies
from ...core.methods.planning import ToPlan, make_plan
from ...core.migration import METHODS, method_of
from ...core.plan.approved import check_approved, refusals
from ...core.plan.document import lines_of
from ...core.plan.handed_on import is_packed, pack, unpack
from ...core.plan.prices import prices_of
from ...core.record.store import RecordStore
from ..accounts import Accounts
from ..records import RecordTables
from ..spec import SHARED_OPTIONS, Parameters, Progress, Verb, account_option
from . import migration_start

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "tables": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "source": account_option(required=True),
            "destination": account_option(required=True),
            "options": {"type": "dict", "default": {}},
            "prepared": {"type": "bool", "default": True},
            "managed": {"type": "bool", "default": False},
            "problem": {"type": "str", "default": ""},
            "choices": {"type": "dict", "default": {}},
        },
    },
    "prices": {"type": "dict", "default": {}},
    "policies": {"type": "dict", "default": {}},
    "approved": {"type": "str"},
    "path": {"type": "path"},
    "show": {"type": "bool", "default": True},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The plan of the tables: shown, and written as JSON, in check mode too. Raises InvalidInput for wrong prices and
    for an approved plan that is none, PlanNotWritten."""
    prices = prices_of(params["prices"])
    approved = _read(params["approved"]) if params["approved"] else None
    accounts = Accounts({name: params[name] for name in SHARED_OPTIONS})
    opened = _Opened()
    entries = [to_plan(entry, params, accounts, opened) for entry in params["tables"]]
    policies = Policies(params["policies"], method_of) if params["policies"] else None
    data = make_plan(METHODS, entries, prices, progress, opened.warnings, policies).to_dict()
    refused = refusals(approved, data) if approved is not None else {}
    lines = list(lines_of(data)) if params["show"] else []
    if params["path"]:
        written = _write(params["path"], data)
        lines += [f"plan: {written}"] if params["show"] else []
    for line in lines:
        progress(line)
    tables = data["tables"]
    handed = _handed_on(data) if params["path"] else {}
    return {
        **handed,
        "changed": False,
        "line": data["line"],
        "lines": lines,
        "totals": data["totals"],
        "to_do": data["to_do"],
        "methods": {table["host"]: table["method"] for table in tables if table["method"]},
        "order": [name for names in data["waves"] for name in names],
        "stuck": {table["host"]: _why(table) for table in tables if table["state"] == "cannot_go"},
        "refused": refused,
        "msg": data["line"],
    }


def _handed_on(data: Mapping[str, Any]) -> dict[str, Any]:
    """The plan as set_stats hands it on to the next jobs of a workflow, without a task of its own."""
    handed = {"line": data["line"], "made_at": data["made_at"], "to_do": len(data["to_do"]), "plan": pack(data)}
    return {"ansible_stats": {"data": {"tableferry_plan": handed}, "per_host": False, "aggregate": False}}


def _why(table: Mapping[str, Any]) -> str:
    words = [f"{reason['why']}. {reason['next_step']}".strip() for reason in table["reasons"]]
    return f"{table['host']}: {' '.join(words) or table['why']}"


class _Opened:
    """The tables of the records, each opened once; why one cannot be read is a warning."""

    def __init__(self) -> None:
        self._tables = RecordTables()
        self._failed: set[tuple[int, str]] = set()
        self.warnings: list[str] = []

    def store(self, destination: Account, name: str) -> RecordStore | None:
        """That of the destination; None where there is none, or where it cannot be read."""
        if (id(destination), name) in self._failed:
            return None
        try:
            return self._tables.to_read(destination, name)
        except FerryError as error:
            self._failed.add((id(destination), name))
            self.warnings.append(f"The records of earlier runs cannot be read: {error.cause} {error.next_step}")
            return None


def to_plan(entry: Mapping[str, Any], params: Parameters, accounts: Accounts, opened: _Opened) -> ToPlan:
    """One table with its accounts and options; what is wrong with these is its problem."""
    name = str(entry["options"].get("name") or entry["name"])
    blank = ToPlan(entry["name"], None, None, MigrationOptions(name), problem=entry["problem"])
    if entry["problem"]:
        return blank
    try:
        source = accounts.get("source", _given(entry["source"]))
        destination = accounts.get("destination", _given(entry["destination"]))
        options, record_table = _options(entry, params)
        if options.method != AUTO:
            method_of(options.method, name)
    except FerryError as error:
        return ToPlan(**{**vars(blank), "problem": f"{error.cause} {error.next_step}".strip()})
    store = opened.store(destination, record_table)
    choices = {**entry["choices"], "record_table": record_table}
    return ToPlan(
        entry["name"], source, destination, options, store, entry["prepared"], entry["managed"], choices=choices
    )


def _options(entry: Mapping[str, Any], params: Parameters) -> tuple[MigrationOptions, str]:
    """The options of migration_start for a table, and its table of the records. Raises InvalidInput."""
    given = {**entry["options"], "source": _given(entry["source"]), "destination": _given(entry["destination"])}
    checked = ArgumentSpecValidator(migration_start.SPEC).validate(given)
    if checked.error_messages:
        raise InvalidInput("; ".join(checked.error_messages), "Correct this option.")
    validated = {**checked.validated_parameters, **{name: params[name] for name in SHARED_OPTIONS}}
    return migration_start.options_of(validated), str(validated["record_table"])


def _given(side: Mapping[str, Any] | None) -> dict[str, Any]:
    return {name: value for name, value in (side or {}).items() if value is not None}


def _read(path: str) -> Mapping[str, Any]:
    try:
        data = unpack(path) if is_packed(path) else json.loads(private_files.expanded(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise InvalidInput(
            f"The approved plan {path} cannot be read: {private_files.in_words(error)}.", "Correct the path."
        ) from error
    except (ValueError, RecursionError) as error:
        raise InvalidInput(
            f"The approved plan {path} is no JSON.", "Give the JSON file that the playbook plan has written."
        ) from error
    check_approved(data, "that was handed on" if is_packed(path) else path)
    return data


def _write(path: str, data: Mapping[str, Any]) -> Path:
    """As text of JSON that only its owner can read: where it is. A link at its own place is replaced, its folder may be
    one. Raises PlanNotWritten."""
    place = private_files.expanded(path)
    try:
        written = place.parent.resolve() / place.name
        private_files.replace_text(written, json.dumps(data, indent=1) + "\n")
        return written
    except OSError as error:
        raise PlanNotWritten(
            f"The plan {path} cannot be written: {private_files.in_words(error)}.",
            "Nothing was started. Set path to a file that can be written.",
        ) from error


VERB = Verb("migration_plan", SPEC, run, services=("backup", "dynamodb", "iam", "kms", "sts"), names_table=False)
