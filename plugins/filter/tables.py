# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The tables of an inventory: problems with their variables, which share accounts, which of their jobs are open."""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from ansible.errors import AnsibleFilterError, AnsibleUndefinedVariable
from ansible.module_utils.common.arg_spec import ArgumentSpecValidator
from ansible.module_utils.common.validation import check_type_dict
from ansible.module_utils.parsing.convert_bool import boolean
from ansible.utils.display import Display
from jinja2 import UndefinedError

from ansible_collections.tableferry.aws.plugins.module_utils.glue.spec import ACCOUNT_OPTIONS, SPARK_OPTIONS
from ansible_collections.tableferry.aws.plugins.plugin_utils.differing import differing, named, same_text
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import (
    BROKEN,
    HostVars,
    plain,
    read,
    read_if_sound,
)
from ansible_collections.tableferry.aws.plugins.plugin_utils.sides import (
    AccountChecks,
    RenderedSides,
    Sides,
    call_log_path,
    completed,
    options_of,
    pair_place,
    place_of,
    resolved,
)

PREFIX = "ferry_"
ACCOUNT = {"type": "dict", "options": ACCOUNT_OPTIONS}
SIDES = ("ferry_source", "ferry_destination")
ACCOUNTS = (*SIDES, "ferry_management")
# The user's variables, documented in docs/variables.md. ferry_hosts and ferry_serial are read before any host is.
VARIABLES: dict[str, dict[str, Any]] = {
    "ferry_source": ACCOUNT,
    "ferry_destination": ACCOUNT,
    "ferry_table": {"type": "str"},
    "ferry_destination_table": {"type": "str"},
    "ferry_record_table": {"type": "str"},
    "ferry_method": {"type": "str"},
    "ferry_staging_bucket": {"type": "str"},
    "ferry_staging_kms_key_arn": {"type": "str"},
    "ferry_create_staging_key": {"type": "bool"},
    "ferry_staging_days": {"type": "int"},
    "ferry_migration_id": {"type": "str"},
    "ferry_kms_key_map": {"type": "dict"},
    "ferry_kinesis_map": {"type": "dict"},
    "ferry_principal_map": {"type": "dict"},
    "ferry_source_kms_key_arns": {"type": "list", "elements": "str"},
    "ferry_enable_point_in_time_recovery": {"type": "bool"},
    "ferry_pitr_wait": {"type": "int"},
    "ferry_export_max_age": {"type": "int"},
    "ferry_warm_throughput": {"type": "bool"},
    "ferry_indexes_after": {"type": "list", "elements": "str"},
    "ferry_leave_indexes": {"type": "list", "elements": "str"},
    "ferry_transform": {"type": "list", "elements": "dict"},
    "ferry_transform_names": {"type": "dict"},
    "ferry_transform_values": {"type": "dict"},
    "ferry_transform_errors": {"type": "str", "choices": ["fail", "skip"]},
    "ferry_transform_show_values": {"type": "bool"},
    "ferry_on_collision": {"type": "str", "choices": ["refuse", "any"]},
    "ferry_destination_key": {"type": "dict"},
    "ferry_merge": {"type": "bool"},
    # The wheels are a variable of their own: one folder serves every table.
    "ferry_spark": {
        "type": "dict",
        "options": {name: option for name, option in SPARK_OPTIONS.items() if name != "wheels"},
    },
    "ferry_spark_wheels": {"type": "str"},
    "ferry_verify": {"type": "str", "choices": ["counts", "sample", "full", "none"]},
    "ferry_sample_items": {"type": "int"},
    "ferry_ignore_expired": {"type": "bool"},
    "ferry_digest": {"type": "str", "choices": ["auto", "sha256"]},
    "ferry_differences_dir": {"type": "str"},
    "ferry_repair": {"type": "str", "choices": ["false", "true", "racing"]},
    "ferry_delete_extra": {"type": "bool"},
    "ferry_workers": {"type": "str"},
    "ferry_read_rate": {"type": "str"},
    "ferry_write_rate": {"type": "str"},
    "ferry_consistent": {"type": "bool"},
    "ferry_checkpoint_dir": {"type": "str"},
    "ferry_work_dir": {"type": "str"},
    "ferry_verify_checksums": {"type": "bool"},
    "ferry_safe_mode": {"type": "bool"},
    "ferry_sync": {"type": "bool"},
    "ferry_manage_accounts": {"type": "bool"},
    "ferry_manage_source_policy": {"type": "bool"},
    "ferry_expect": {"type": "str", "choices": ["migrated", "copied", "refused", "failed"]},
    "ferry_report_dir": {"type": "str"},
    "ferry_iac": {"type": "list", "elements": "str", "choices": ["terraform", "cloudformation"]},
    "ferry_debug_calls": {"type": "bool"},
    "ferry_permissions_dir": {"type": "str"},
    "ferry_status_path": {"type": "str"},
    "ferry_plan": {"type": "str"},
    "ferry_plan_path": {"type": "str"},
    "ferry_plan_permissions": {"type": "bool"},
    "ferry_plan_strict": {"type": "bool"},
    "ferry_prices": {"type": "raw"},
    "ferry_wait_timeout": {"type": "int"},
    "ferry_take_over": {"type": "str"},
    "ferry_adopt": {"type": "bool"},
    "ferry_settings": {"type": "str", "choices": ["once", "report", "apply"]},
    "ferry_disable_point_in_time_recovery": {"type": "bool"},
    "ferry_remove_record": {"type": "bool"},
    "ferry_remove_bucket": {"type": "bool"},
    "ferry_management": ACCOUNT,
    "ferry_restore": {"type": "bool"},
    "ferry_writes_stopped": {"type": "bool"},
    "ferry_backup_source_vault": {"type": "str"},
    "ferry_backup_destination_vault": {"type": "str"},
    "ferry_backup_source_key_arn": {"type": "str"},
    "ferry_backup_destination_key_arn": {"type": "str"},
    "ferry_backup_role": {"type": "str"},
    "ferry_restore_role": {"type": "str"},
    "ferry_backup_role_policy": {"type": "str", "choices": ["managed", "dynamodb"]},
    "ferry_source_permissions_boundary": {"type": "str"},
    "ferry_destination_permissions_boundary": {"type": "str"},
    "ferry_backup_days": {"type": "int"},
    "ferry_backup_cold_days": {"type": "int"},
    "ferry_copy_days": {"type": "int"},
    "ferry_copy_cold_days": {"type": "int"},
    "ferry_backup_max_age": {"type": "int"},
    "ferry_backup_open_to": {"type": "str", "choices": ["account", "organization"]},
    "ferry_backup_plan": {"type": "bool"},
    "ferry_backup_schedule": {"type": "str"},
    "ferry_air_gapped_vault": {"type": "str"},
    "ferry_air_gapped_min_days": {"type": "int"},
    "ferry_air_gapped_max_days": {"type": "int"},
    "ferry_remove_recovery_points": {"type": "bool"},
    "ferry_remove_backup_plan": {"type": "bool"},
    "ferry_remove_backup_vaults": {"type": "bool"},
    "ferry_tags": {"type": "dict"},
    "ferry_hosts": {"type": "str"},
    "ferry_serial": {"type": "raw"},
}
# Variables of former versions, and what takes their place.
RENAMED = {
    "ferry_report_path": "ferry_report_dir, the folder that report.html, report.md and report.json are written to",
}
# What tables must share to be served by one staging area, and by one pair of vaults.
PAIR = (
    "ferry_source",
    "ferry_destination",
    "ferry_record_table",
    "ferry_staging_bucket",
    "ferry_staging_kms_key_arn",
    "ferry_create_staging_key",
    "ferry_migration_id",
    "ferry_manage_accounts",
    "ferry_manage_source_policy",
    "ferry_management",
    "ferry_tags",
    "ferry_backup_source_vault",
    "ferry_backup_destination_vault",
    "ferry_backup_source_key_arn",
    "ferry_backup_destination_key_arn",
    "ferry_backup_role",
    "ferry_restore_role",
    "ferry_backup_role_policy",
    "ferry_source_permissions_boundary",
    "ferry_destination_permissions_boundary",
    "ferry_backup_days",
    "ferry_backup_cold_days",
    "ferry_copy_days",
    "ferry_copy_cold_days",
    "ferry_backup_open_to",
    "ferry_backup_plan",
    "ferry_backup_schedule",
    "ferry_air_gapped_vault",
    "ferry_air_gapped_min_days",
    "ferry_air_gapped_max_days",
)
# What the roles for its accounts read from one table of those that PAIR puts together, with what one that is not set
# counts as.
OF_A_PAIR: Mapping[str, Any] = {
    "ferry_source_kms_key_arns": [],
    "ferry_staging_days": 30,
    "ferry_remove_bucket": False,
    "ferry_remove_backup_plan": False,
    "ferry_remove_backup_vaults": False,
}
PLAN_OF = ("ferry_source", "ferry_destination", "ferry_migration_id")  # what tables of one backup plan share
OPEN = ("pending", "running")
PLANNED = "plan_tables_planned"  # what the role plan_tables registers, once for all hosts
# Switches of a plan as a whole, and of the role that makes it.
OF_PLAN = (
    *("ferry_plan_strict", "ferry_plan_permissions"),
    *("plan_tables_strict", "plan_tables_permissions", "plan_tables_show"),
)
OPEN_METHOD = "auto"  # the method that a plan chooses
SPARK = "spark"  # the need of tables that a Spark job fills
# What the role cleanup_table registers for a table, by what was made for it in the accounts.
CLEANED = {"staged": "cleanup_table_removed", "backed_up": "cleanup_table_recovery_points"}
_TABLE_ARN = re.compile(
    r"arn:[a-z-]+:dynamodb:(?P<region>[a-z0-9-]+):(?P<account>\d{12}):table/(?P<name>[\w.-]+)", re.A
)


def table_name(table: Any) -> str:
    """The name of a source table that is given by its name or by its ARN."""
    arn = _TABLE_ARN.fullmatch(str(table))
    return arn["name"] if arn else str(table)


def file_name(host: Any) -> str:
    """The name of the file for a host: no path, and not too long, whatever the host is called."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.items import private_files

    return private_files.file_name(str(host))


def switch(value: Any) -> bool:
    """``value`` as true or false, as arguments of modules are read: texts too. Raises AnsibleFilterError for others."""
    try:
        return bool(boolean(plain(value)))
    except TypeError as error:
        raise AnsibleFilterError(f"{value!r} is neither true nor false: use one of these.") from error


def plan_switches(variables: Mapping[str, Any]) -> str:
    """What is wrong with a host's ``variables`` that concern a plan as a whole and are neither true nor false; "" where
    all are. One that cannot be read is left to ``inventory_problems``."""
    found = []
    for name in OF_PLAN:
        value = read_if_sound(variables, name, False)
        try:
            switch(value)
        except AnsibleFilterError:
            found.append(f"{name} is {value!r}, which is neither true nor false: use one of these.")
    return " ".join(found)


def repairs(value: Any) -> str:
    """``ferry_repair``: ``racing``, or ``true`` or ``false`` for what modules take for these. Raises
    AnsibleFilterError for others."""
    value = plain(value)
    if value == "racing":
        return "racing"
    try:
        return "true" if boolean(value) else "false"
    except TypeError as error:
        raise AnsibleFilterError(f"{value!r} is none of true, false and racing: use one of these.") from error


def account_options(account: Any, tags: Any = None, debug_calls: Any = False, report_dir: Any = "") -> dict[str, Any]:
    """The options of an account as a dictionary. As those of a verb they may be a text, JSON or key=value.

    ``tags`` are added to those of the account, which win. With ``debug_calls`` its calls are noted in a file in
    the folder of the report, ``report_dir``."""
    log = call_log_path(plain(debug_calls), plain(report_dir))
    return dict(completed(check_type_dict(plain(account)), plain(tags), log))


def table_names(host: str, variables: Mapping[str, Any]) -> tuple[str, str]:
    """The names of the table of ``host`` in the source and in the destination account."""
    source = table_name(read(variables, "ferry_table") or host)
    return source, str(read(variables, "ferry_destination_table") or source)


def account_pairs(hosts: Iterable[str], hostvars: HostVars, sides: Sides | None = None) -> dict[str, str]:
    """For each host the first one with the same accounts, bucket and key.

    ``sides`` is of ``inventory_sides`` or ``known_sides``. A host whose variables cannot be read is left out:
    ``inventory_problems`` reports why.
    """
    hosts = list(hosts)
    sides = sides or resolved(hosts, hostvars)
    first: dict[str, str] = {}
    found: dict[str, str] = {}
    for host in hosts:
        try:
            shared = _shared(host, hostvars[host], sides, PAIR) + _job_role(hostvars[host])
        except BROKEN:
            continue
        if host in sides["hosts"]:
            found[host] = first.setdefault(shared, host)
    return found


def _job_role(variables: Mapping[str, Any]) -> str:
    """The role that the user has for Spark jobs of the table, "" for none. Raises one of ``BROKEN``."""
    with suppress(TypeError):
        return str(check_type_dict(plain(read(variables, "ferry_spark") or {})).get("role_arn") or "")
    return ""  # which ``inventory_problems`` refuses


def _shared(host: str, variables: Mapping[str, Any], sides: Sides, names: Iterable[str]) -> str:
    """A text that is equal for hosts with the same values; accounts are the same where AWS says so."""
    return same_text([pair_place(sides, host, name) if name in ACCOUNTS else meant(variables, name) for name in names])


def meant(variables: Mapping[str, Any], name: str) -> Any:
    """The variable ``name`` of a host as its type: ``-e ferry_backup_plan=false`` is a text. One that is not of its
    type stays as it is, which ``inventory_problems`` refuses; None where it is not set. Raises one of ``BROKEN``."""
    value = read(variables, name)
    with suppress(AnsibleFilterError, TypeError, ValueError):
        if value is not None and VARIABLES[name]["type"] == "bool":
            return switch(value)
        if value is not None and VARIABLES[name]["type"] == "int":
            return int(str(value))
    return value


def planned_methods(variables: Mapping[str, Any]) -> Mapping[str, str]:
    """The methods that a plan has chosen, by host; ``variables`` are those of any host of its play."""
    return plain((variables.get(PLANNED) or {}).get("methods") or {}) if PLANNED in variables else {}


def method_of(host: str, variables: Mapping[str, Any], planned: Mapping[str, str]) -> str:
    """The method of a host's table: what the user names, else what a plan has chosen, else ``auto``. Raises one of
    ``BROKEN``."""
    asked = str(read(variables, "ferry_method") or OPEN_METHOD)
    return planned.get(host, asked) if asked == OPEN_METHOD else asked


def data_needs(method: Any) -> str:
    """What the data of a table of ``method`` needs in the accounts: ``staged`` a staging bucket, ``backed_up`` vaults,
    empty neither."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration

    return migration.data_needs(str(method or migration.AUTO))


def _needs(method: Any) -> set[str]:
    """What a table of ``method`` needs in the accounts: ``spark`` besides what its data needs."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration

    spark = {SPARK} if migration.needs_job_role(str(method or migration.AUTO)) else set()
    return {data_needs(method), *spark} - {""}


def pair_tables(
    pairs: Mapping[str, str], hostvars: HostVars, first: str, status: Mapping[str, Any] | None = None
) -> dict[str, list[str]]:
    """The source tables that share accounts with ``first``, by what their method needs there.

    ``staged`` need the staging bucket, ``backed_up`` the vaults; other tables need neither. ``spark`` are those of the
    staged ones that a Spark job fills. A table that was cleaned up
    also counts by what its record says was made there by another method. ``pairs`` is the result of ``account_pairs``.
    With ``status``, the result of migration_status_info, tables count by what their records say is
    still to be done: a finished one needs nothing, and one that is being filled what its own method needs.
    """
    found: dict[str, list[str]] = {"staged": [], "backed_up": [], SPARK: []}
    by_record, parts = _needs_by_record(status or {}), _parts_by_record(hostvars, pairs, status or {})
    planned = planned_methods(hostvars[first])
    for host, owner in pairs.items():
        variables = hostvars[host]
        if owner != first:
            continue
        source, destination = table_names(host, variables)
        needs = by_record.get(destination)
        if needs is None or not parts.get((destination, source), True):
            needs = _needs(method_of(host, variables, planned))
        for need, result in CLEANED.items():
            if need in needs or (read(variables, result) or {}).get("recorded"):
                found[need].append(source)
        if SPARK in needs or (read(variables, CLEANED["staged"]) or {}).get("job_role"):
            found[SPARK].append(source)
    return found


def _parts_by_record(
    hostvars: HostVars, pairs: Mapping[str, str], status: Mapping[str, Any]
) -> dict[tuple[str, str], bool]:
    """Whether the record says that the part of a source is done, by the names of the destination and the source table:
    of tables that are merged of several sources."""
    merged = {row["name"]: row.get("parts") or {} for row in status.get("tables") or ()}
    names = [table_names(host, hostvars[host]) for host in pairs if meant(hostvars[host], "ferry_merge") is True]
    return {
        (destination, source): any(
            state == "filled" and arn.endswith(f":table/{source}") for arn, state in merged[destination].items()
        )
        for source, destination in names
        if destination in merged
    }


def _needs_by_record(status: Mapping[str, Any]) -> dict[str, set[str]]:
    """What the tables still need that stand and that a record says are filled, or being filled, whatever their method
    is now. One that somebody has made anew is refused by the start: it needs nothing either. Nor does one that stands
    without a record, and that no job makes, where all jobs could be looked at."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.record.status import NO_RECORD

    found = {}
    for row in status.get("tables") or ():
        standing = row["copy_state"] in ("there", "replaced")
        unknown = row["state"] == NO_RECORD and row["copy_state"] == "unknown" and not row["job"]
        lacks_parts = row["state"] == "claimed" and "filled" in (row.get("parts") or {}).values()
        if standing and row["state"] in ("filling", "filled", "settled"):
            found[row["name"]] = _needs(row["method"])
        elif (standing and (lacks_parts or row["state"] in ("done", "following", "handed_over"))) or (
            unknown and not status.get("unseen")
        ):
            found[row["name"]] = set()
    return found


def pair_users(
    pairs: Mapping[str, str], hostvars: HostVars, first: str, tables: Collection[str] | None = None
) -> list[str]:
    """The tables that share accounts with ``first``, by their names in the destination: they are counted as users of
    what they share. ``pairs`` is the result of ``account_pairs``; with ``tables``, a list of ``pair_tables``, those of
    them alone."""
    named = [table_names(host, hostvars[host]) for host, owner in pairs.items() if owner == first]
    return sorted({destination for source, destination in named if tables is None or source in tables})


def inventory_problems(hosts: Iterable[str], hostvars: HostVars, sides: Sides | None = None) -> dict[str, str]:
    """The problems with the variables of each host, before anything is changed; hosts without one are absent.

    Variables with our prefix that nothing reads are no problem of a table: one warning names them. ``sides`` is of
    ``inventory_sides`` or ``known_sides``.
    """
    hosts = list(hosts)
    # Plain: each host's validation copies its accounts, and a copy of what Ansible renders lazily copies its templar.
    sides = plain(sides) if sides else resolved(hosts, hostvars)
    checks = AccountChecks(sides)
    problems: dict[str, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    owners: dict[str, list[str]] = {}
    shared: dict[str, dict[str, Any]] = {}
    for host in hosts:
        try:
            variables = hostvars[host]
            unknown[host] = _unknown(variables)
            if host in sides["broken"]:
                problems[host] = [f"ferry_source or ferry_destination cannot be read: {sides['broken'][host]}"]
                continue
            problems[host] = _problems(variables, options_of(sides, host), unknown[host])
            place = same_text([place_of(sides, host, "ferry_destination"), table_names(host, variables)[1]])
            shared[host] = {name: counting(variables, name, unset) for name, unset in OF_A_PAIR.items()}
            if not problems[host]:
                problems[host] = checks.problems(host, str(read(variables, "ferry_method") or ""))
        except BROKEN as error:
            problems[host] = [_unreadable(hostvars[host], error)]
            continue
        if not problems[host]:
            owners.setdefault(place, []).append(host)
    warning = unread_variables(unknown)
    if warning:
        Display().warning(warning)
    for host, words in _plan_problems(problems, hostvars, sides).items():
        problems[host].append(words)
    for host, words in _pair_problems(shared, hostvars, sides).items():
        problems[host].append(words)
    for rivals in owners.values():
        for host, words in (_rivalry(rivals, hostvars, sides) if len(rivals) > 1 else {}).items():
            problems[host].append(words)
    return {
        host: f"{host}: {'; '.join(found)}. Correct the inventory and run again."
        for host, found in problems.items()
        if found
    }


def counting(variables: Mapping[str, Any], name: str, unset: Any) -> Any:
    """What a variable of a host counts as, where one that is not set counts as ``unset``. Raises one of ``BROKEN``."""
    value = meant(variables, name)
    return unset if value is None else value


def _pair_problems(shared: Mapping[str, Mapping[str, Any]], hostvars: HostVars, sides: Sides) -> dict[str, str]:
    """In which variables that are read from one table of an account pair its tables differ; ``shared`` are these, by
    host. Otherwise a bucket would go by the word of one table, and the others' would not be heard."""
    names = [name for name in OF_A_PAIR if differing({host: values[name] for host, values in shared.items()})]
    pairs: dict[str, list[str]] = {}
    for host, first in account_pairs(shared, hostvars, sides).items() if names else ():
        pairs.setdefault(first, []).append(host)
    found: dict[str, list[str]] = {}
    for hosts in pairs.values():
        for name in names:
            words = differing({host: shared[host][name] for host in hosts})
            for host in hosts if words else ():
                found.setdefault(host, []).append(
                    f"{name} is one for all tables that share their accounts, and they have different ones: {words};"
                    " give all of them the same"
                )
    return {host: "; ".join(words) for host, words in found.items()}


def _rivalry(rivals: list[str], hostvars: HostVars, sides: Sides) -> dict[str, str]:
    """What is wrong with each of several hosts that have one destination table. Which table should get the name cannot
    be decided here: all of them are refused, unless each is to be merged, of a source of its own."""
    found, merged = {}, [host for host in rivals if meant(hostvars[host], "ferry_merge") is True]
    places = {host: same_text([place_of(sides, host, "ferry_source"), _source_of(host, hostvars)]) for host in rivals}
    for host in rivals:
        others = [other for other in rivals if other != host]
        twice = [other for other in others if places[other] == places[host]]
        destination = table_names(host, hostvars[host])[1]
        if len(merged) < len(rivals):
            ways = "set ferry_destination_table" + (", or ferry_merge on each of them" if merged else "")
            found[host] = f"{destination} is also the destination table of {', '.join(others)}; {ways}"
        elif twice:
            found[host] = f"{destination} is merged twice of the same source table, also by {', '.join(twice)}"
        elif not read(hostvars[host], "ferry_transform"):
            found[host] = (
                f"{destination} is merged with {', '.join(others)}; set ferry_transform, with a step that lets the keys"
                ' of each source begin with a text of its own, such as set: {pk: "TENANT#acme#{pk}"}'
            )
        elif len({meant(hostvars[each], "ferry_migration_id") for each in rivals}) > 1:
            found[host] = f"{destination} is merged with {', '.join(others)}; give them the same ferry_migration_id"
    return found


def _source_of(host: str, hostvars: HostVars) -> str:
    return table_names(host, hostvars[host])[0]


def _plan_problems(problems: Mapping[str, list[str]], hostvars: HostVars, sides: Sides) -> dict[str, str]:
    """Tables that share a backup plan and need different settings of it: each would undo the other's."""
    wishes: dict[str, dict[str, list[str]]] = {}
    for host, found in problems.items():
        if not found and meant(hostvars[host], "ferry_backup_plan"):
            variables = hostvars[host]
            plan = _shared(host, variables, sides, PLAN_OF)
            wish = _shared(host, variables, sides, [name for name in PAIR if name not in PLAN_OF])
            wishes.setdefault(plan, {}).setdefault(wish, []).append(host)
    return {
        host: "other tables of its backup plan have different settings; give it the same settings, or another"
        " ferry_migration_id"
        for wish in wishes.values()
        if len(wish) > 1
        for hosts in wish.values()
        for host in hosts
    }


def _problems(variables: Mapping[str, Any], sides: Mapping[str, Any], unknown: Iterable[str]) -> list[str]:
    """The problems with the variables of one host. Values are not repeated: there may be secrets among them.

    ``sides`` are its accounts, by variable, ``unknown`` those variables with our prefix that are none of ours."""
    given = {name: read(variables, name) for name in VARIABLES if name in variables and name not in ACCOUNTS}
    given |= sides
    found = []
    for side in SIDES:
        # A text may be JSON or key=value, which the validation reads.
        if not given.get(side) or not isinstance(given[side], (Mapping, str)):
            found.append(f"{side} must be a dictionary such as {{profile: NAME, region: REGION}}")
            given.pop(side, None)
    with suppress(AnsibleFilterError):
        given["ferry_repair"] = repairs(given.get("ferry_repair", False))
    checked = ArgumentSpecValidator(VARIABLES).validate(given)
    found += dict.fromkeys(filter(None, map(_told, checked.error_messages)))
    if not found and given.get("ferry_transform"):
        found += _transform_problems(str(given.get("ferry_method") or ""))
    if not found:
        found += _arn_problems(str(given.get("ferry_table") or ""), sides.get("ferry_source") or {})
    found += [
        f"{name} is not a variable of TableFerry (did you mean {close}?)"
        for name in unknown
        if name not in RENAMED and (close := _close_to(name))
    ]
    found += [f"{name} is no variable any more: set {RENAMED[name]}" for name in unknown if name in RENAMED]
    return found


def _transform_problems(method: str) -> list[str]:
    """What is wrong with changing the items of a table of ``method`` on the way."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration

    problem = migration.transform_problem(method or migration.AUTO)
    return [f"ferry_transform: {problem}"] if problem else []


def _arn_problems(table: str, source: Mapping[str, Any]) -> list[str]:
    """What is wrong with the source ``table`` where it is an ARN: it must be one of a table, in the Region and the
    account of ``source`` as far as these are given there. Whose the credentials are is known later."""
    if not table.startswith("arn:"):
        return []
    arn = _TABLE_ARN.fullmatch(table)
    if arn is None:
        return ["ferry_table is no ARN of a table"]
    if not source.get("region"):
        return ["ferry_table is an ARN, so ferry_source must say its Region: add region to it"]
    problems = []
    if source["region"] != arn["region"]:
        problems.append("ferry_table is the ARN of a table in another Region than ferry_source")
    role, account = str(source.get("role_arn") or ""), str(source.get("account_id") or "")
    account = account or (role.split(":")[4] if role.count(":") > 4 else "")
    if account not in ("", arn["account"]):
        problems.append("ferry_table is the ARN of a table of another account than ferry_source")
    return problems


def _unreadable(variables: Mapping[str, Any], error: Exception) -> str:
    """Which variable of a host cannot be read, and why; ``error`` where it cannot be told which."""
    for name in VARIABLES:
        try:
            read(variables, name)
        except (AnsibleUndefinedVariable, UndefinedError) as undefined:
            return (
                f"{name} cannot be read: {str(undefined).rstrip('.')}. Define what its template uses; where the braces"
                " belong to the text itself, mark the text !unsafe"
            )
        except BROKEN as broken:
            return f"{name} cannot be read: {broken}"
    return f"a variable cannot be read: {error}"


def _unknown(variables: Mapping[str, Any]) -> list[str]:
    """The variables with our prefix that are none of ours."""
    return [name for name in variables if name.startswith(PREFIX) and name not in VARIABLES]


def _close_to(name: str) -> str:
    """The variable that is meant by a ``name`` with a typo; "" for a name that may be the user's own."""
    return "".join(difflib.get_close_matches(name, VARIABLES, n=1, cutoff=0.85))


def unread_variables(names: Mapping[str, Iterable[str]]) -> str:
    """A warning of all variables with our prefix that nothing reads, by the ``names`` that each host has; "" without
    one. Those with a typo are left to ``inventory_problems``; users may have others of their own."""
    found: dict[str, list[str]] = {}
    for host, unknown in names.items():
        for name in unknown:
            if name not in RENAMED and not _close_to(name):
                found.setdefault(name, []).append(host)
    if not found:
        return ""
    which = ", ".join(f"{name} ({_which(hosts, len(names))})" for name, hosts in sorted(found.items()))
    return (
        f"No variable of TableFerry, and read by nothing: {which}. They come from the inventory, its group_vars or"
        " host_vars, or from -e. If one is meant for TableFerry, correct its name: docs/variables.md lists all of them."
    )


def _which(hosts: list[str], number: int) -> str:
    if len(hosts) == number:
        return "all tables"
    return named(hosts)


def _told(message: str) -> str:
    """A message of the argument validation in terms of variables; empty where another message covers it."""
    if message.startswith("dictionary requested") or message.endswith("must be of type dict or list of dicts"):
        return ""
    unknown, separator, known = message.partition(". Supported parameters include: ")
    if separator:
        variable, _dot, option = unknown.partition(".")
        close = difflib.get_close_matches(option, VARIABLES.get(variable, {}).get("options", ()), n=1, cutoff=0.7)
        what = "an account" if variable in ACCOUNTS else variable
        meant_by = f" (did you mean {close[0]}?)" if close else ""
        return f"{unknown} is not an option of {what}{meant_by}; the options are {known.rstrip('.')}"
    variable, separator, why = message.removeprefix("argument ").partition(" and we were unable to convert to ")
    if separator:
        variable = re.sub(r"<class '(\w+)'>", r"\1", variable)  # as ansible-core 2.18 writes a type
        return f"{variable.replace(chr(39), '')} and cannot be read as {why.partition(':')[0]}"
    return message.rstrip(".")


def account_outlook(pairs: Mapping[str, str], hostvars: HostVars, problems: Mapping[str, str]) -> dict[str, Any]:
    """For each host the result of the checks of the inventory and of its accounts.

    What could not be made in an account stops the tables that need it, and no others. ``staging`` is where its data is
    staged; ``reason`` why the table cannot be migrated, empty when it can; and
    ``ferry_status`` its status then. ``pairs`` is the result of ``account_pairs``, ``problems`` that of
    ``inventory_problems``.
    """
    found: dict[str, Any] = {
        host: {"staging": {}, "reason": reason, "ferry_status": "refused"} for host, reason in problems.items()
    }
    accounts = {first: hostvars[first] for first in set(pairs.values())}
    for host, first in pairs.items():
        note = read(accounts[first], "check_inventory_account_failure") or _lacking(
            host, hostvars[host], accounts[first]
        )
        staging = read(accounts[first], "destination_account_staging") or {}
        reason = f"{host}: {note['msg']}" if note else ""
        if not reason and not staging:
            reason = f"{host}: Its accounts were not checked, because the variables of {first} have problems."
        arn = _TABLE_ARN.fullmatch(str(read(hostvars[host], "ferry_table") or ""))
        if not reason and arn and staging.get("source_account_id") not in (None, "", arn["account"]):
            reason = (
                f"{host}: ferry_table is the ARN of a table of account {arn['account']}, the credentials of"
                f" ferry_source belong to account {staging['source_account_id']}. Correct one of them and run again."
            )
        found.setdefault(
            host,
            {"staging": staging, "reason": reason, "ferry_status": note.get("ferry_status", "refused") or "failed"},
        )
    return found


def _lacking(host: str, variables: Mapping[str, Any], account: Mapping[str, Any]) -> Mapping[str, Any]:
    """The failure to make what the table of ``variables`` needs; empty without one. ``account`` are the variables of
    the host that stands for its accounts."""
    failures = [read(account, f"{side}_account_failures") or {} for side in ("destination", "source")]
    if not any(failures):
        return {}
    method, prepared = method_of(host, variables, planned_methods(account)), read(account, "migrate_tables")
    needs, spark = data_needs(method), SPARK in _needs(method)
    if needs and prepared:
        # By its record it may need something else than by its method now, or nothing any more.
        source = table_names(host, variables)[0]
        recorded = [need for need, tables in prepared.items() if source in tables]
        needs, spark = needs if needs in recorded else next(iter(recorded), "nothing"), SPARK in recorded
    wanted = [needs or "direct", *([SPARK] if spark else [])]
    return next((found[need] for found in failures for need in wanted if need in found), {})


def open_jobs(
    hosts: Iterable[str],
    hostvars: HostVars,
    registered: str,
    source: Mapping[str, Any] | None = None,
    destination: Mapping[str, Any] | None = None,
) -> list[dict[str, Any]]:
    """The jobs for job_wait: those that the start verb, registered as ``registered``, left open, and their followers.

    ``source`` and ``destination`` are for hosts whose variables name no accounts.
    """
    found = []
    rendered = RenderedSides(hostvars)
    for host in hosts:
        variables = hostvars[host]
        started = read(variables, registered) or {}
        job, then = started.get("job") or {}, started.get("then") or []
        if any(part.get("state") in OPEN for part in (job, *then)):
            sides = rendered.of(host, SIDES)
            found.append(
                {
                    "name": host,
                    "source": sides.get("ferry_source") or plain(source),
                    "destination": sides.get("ferry_destination") or plain(destination),
                    "job": job,
                    "then": then,
                    **({"record": started["record"]} if started.get("record") else {}),
                }
            )
    return found


def all_clean(pairs: Mapping[str, str], hostvars: HostVars, first: str, group: Iterable[str]) -> bool:
    """Whether all tables that share accounts with ``first`` were cleaned up, and no table of ``group`` was left out."""
    if set(group) - set(pairs):
        return False
    return all(_is_clean(hostvars[host]) for host, owner in pairs.items() if owner == first)


def _is_clean(variables: Mapping[str, Any]) -> bool:
    """Whether the table of a host was cleaned up."""
    results = [read(variables, name) or {} for name in CLEANED.values()]
    results = [each for each in results if not each.get("skipped")]
    return any(results) and not any(has_failed(each, "left") for each in results)


def has_failed(result: Mapping[str, Any], sign: str) -> bool:
    """Whether the task failed that registered ``result``, also where its role went on after it: such a result lacks the
    value ``sign``, which a success has."""
    return bool(result) and not result.get("skipped") and (bool(result.get("failed")) or sign not in result)


def pair_is_safe(pairs: Mapping[str, str], hostvars: HostVars, first: str) -> bool:
    """Whether safe mode is on for one of the tables that share accounts with ``first``: what they share is then kept.
    The variable of the role cleanup_account counts before the table's. Raises AnsibleFilterError where one of them is
    neither true nor false."""
    return any(
        switch(read(hostvars[host], "cleanup_account_safe_mode", read(hostvars[host], "ferry_safe_mode", True)))
        for host, owner in pairs.items()
        if owner == first
    )


def removable_records(pairs: Mapping[str, str], hostvars: HostVars, first: str, wanted: str) -> list[dict[str, Any]]:
    """The tables that share accounts with ``first``, were cleaned up, and whose variable ``wanted`` is true: their
    names in both accounts, and whether an unfinished one is given up (safe mode is off). Raises AnsibleFilterError
    where one of them is neither true nor false."""
    found = []
    for host, owner in pairs.items():
        variables = hostvars[host]
        if owner == first and _is_clean(variables) and switch(read(variables, wanted, False)):
            source, destination = table_names(host, variables)
            abandon = not switch(read(variables, "ferry_safe_mode", True))
            found.append({"name": source, "destination_table": destination, "abandon": abandon})
    return found


class FilterModule:
    """Filters for the tables of an inventory."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "account_options": account_options,
            "account_outlook": account_outlook,
            "account_pairs": account_pairs,
            "all_clean": all_clean,
            "data_needs": data_needs,
            "file_name": file_name,
            "inventory_problems": inventory_problems,
            "open_jobs": open_jobs,
            "pair_is_safe": pair_is_safe,
            "pair_tables": pair_tables,
            "pair_users": pair_users,
            "plan_switches": plan_switches,
            "removable_records": removable_records,
            "repairs": repairs,
            "switch": switch,
            "table_name": table_name,
        }
