# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What came of the tables in the playbooks verify and cleanup: one table to show, and the hosts that fail."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.tableferry.aws.plugins.filter.report import VERIFIED, Ways, failure_note, repairs_of
from ansible_collections.tableferry.aws.plugins.filter.tables import CLEANED, has_failed
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import HostVars, read_if_sound

FAILURE = "cleanup_table_failure"  # what the role cleanup_table notes
_NUMBERS = ("items_source", "items_destination", "missing", "different", "extra")


def verify_lines(
    hosts: Iterable[str], hostvars: HostVars, problems: Mapping[str, str], check_mode: bool = False
) -> list[str]:
    """A row for each table with what its comparison came to, and in full what is more than equal.

    ``problems`` is of ``inventory_problems``.
    """
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report import text

    return text.verified_table([_verified(host, hostvars[host], problems, check_mode) for host in hosts])


def verify_rows(
    hosts: Iterable[str], hostvars: HostVars, problems: Mapping[str, str], check_mode: bool = False
) -> list[dict[str, Any]]:
    """What the report gets of each table whose comparison came to something. ``problems`` is of
    ``inventory_problems``."""
    ways, rows = Ways(hostvars), []
    for host in hosts:
        row = _verified(host, hostvars[host], problems, check_mode)
        found = read_if_sound(hostvars[host], VERIFIED) or {}
        ids = {"source_account_id": _account(found, "source_arn"), "owner": _account(found, "destination_arn")}
        if row["result"] != "not compared":
            rows.append(_part(host, "comparison", row, ways.of(host, ids)))
    return rows


def _account(found: Mapping[str, Any], arn: str) -> str:
    return str(found.get(arn) or "::::").split(":")[4]


def _part(host: str, name: str, row: Mapping[str, Any], way: Any) -> dict[str, Any]:
    """A part of the report of one table."""
    places = {"source": way.source.to_dict(), "destination": way.destination.to_dict()}
    part = {key: value for key, value in row.items() if key != "name"}
    return {"name": host, "migration_id": way.migration_id, **places, name: part}


def verify_problems(
    hosts: Iterable[str], hostvars: HostVars, problems: Mapping[str, str], check_mode: bool = False
) -> dict[str, str]:
    """Why tables fail, by host: those with wrong variables, those that could not be compared, and those that differ and
    were not repaired. ``problems`` is of ``inventory_problems``."""
    rows = [_verified(host, hostvars[host], problems, check_mode) for host in hosts]
    return {row["name"]: row["message"] for row in rows if row["result"] in ("differs", "failed", "refused")}


def _verified(host: str, variables: Mapping[str, Any], problems: Mapping[str, str], check_mode: bool) -> dict[str, Any]:
    found = read_if_sound(variables, VERIFIED) or {}
    message = str(found.get("msg") or "")
    export = found.get("export_time")
    compared = f"export of {export}" if export else "source table" if found.get("level") else None
    row = {"name": host, "level": found.get("level"), "compared_with": compared}
    row |= {name: found.get(name) for name in _NUMBERS}
    if host in problems:
        result, message = "refused", problems[host]
    elif not found or found.get("skipped"):
        result, message = "not compared", ""
    elif has_failed(found, "clean"):
        result = "refused" if found.get("ferry_status") == "refused" else "failed"
        message = failure_note(found)["msg"]
    elif found.get("equal"):
        result = "equal"
    elif found.get("clean"):
        result = "repaired"
    else:
        result = "would be repaired" if check_mode and repairs_of(variables) else "differs"
    return {**row, "result": result, "message": message}


def cleanup_lines(hosts: Iterable[str], hostvars: HostVars, outlook: Mapping[str, Any]) -> list[str]:
    """A row for each table with how much was removed and kept, then what is kept and why, and why tables failed.

    ``outlook`` is of ``account_outlook``.
    """
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report import text

    return text.cleaned_table([_cleaned(host, hostvars[host], outlook) for host in hosts])


def cleanup_rows(hosts: Iterable[str], hostvars: HostVars, outlook: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What the report gets of each table that was cleaned up, or could not be. ``outlook`` is of
    ``account_outlook``."""
    ways = Ways(hostvars)
    return [
        _part(host, "cleanup", _cleaned(host, hostvars[host], outlook), ways.of(host, _staging(host, outlook)))
        for host in hosts
    ]


def _staging(host: str, outlook: Mapping[str, Any]) -> Mapping[str, Any]:
    return (outlook.get(host) or {}).get("staging") or {}


def cleanup_problems(hosts: Iterable[str], hostvars: HostVars, outlook: Mapping[str, Any]) -> dict[str, str]:
    """Why tables, and the accounts that they stand for, could not be cleaned up, by host. ``outlook`` is of
    ``account_outlook``."""
    rows = [_cleaned(host, hostvars[host], outlook) for host in hosts]
    return {row["name"]: row["message"] for row in rows if row["message"]}


def _cleaned(host: str, variables: Mapping[str, Any], outlook: Mapping[str, Any]) -> dict[str, Any]:
    results = [read_if_sound(variables, name) or {} for name in CLEANED.values()]
    failed = [failure_note(result) for result in results if has_failed(result, "left")]
    failure = read_if_sound(variables, FAILURE) or next(iter(failed), {})
    message = str((outlook.get(host) or {}).get("reason") or failure.get("msg") or "")
    left = [entry for result in results for entry in result.get("left") or ()]
    return {
        "name": host,
        "removed": sum(len(result.get("changes") or ()) for result in results),
        "kept": len(left),
        "left": left,
        "result": "failed" if message else "cleaned up",
        "message": message,
    }


class FilterModule:
    """Filters for what came of the tables."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "cleanup_lines": cleanup_lines,
            "cleanup_problems": cleanup_problems,
            "cleanup_rows": cleanup_rows,
            "verify_lines": verify_lines,
            "verify_problems": verify_problems,
            "verify_rows": verify_rows,
        }
