# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From the variables of many tables to the verbs that start and judge them all in one task.

The options are those that the roles move_table and judge_table make of the same variables by their defaults, which a
test compares. Made here they cost a tenth: a template costs a millisecond, and each table has sixty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from ansible.errors import AnsibleFilterError
from ansible.module_utils.common.validation import check_type_dict, check_type_int

from ansible_collections.tableferry.aws.plugins.filter.report import is_foreseen, item_jobs, judged_in_the_wait
from ansible_collections.tableferry.aws.plugins.filter.tables import (
    OPEN,
    OPEN_METHOD,
    PLANNED,
    PREFIX,
    SIDES,
    VARIABLES,
    account_options,
    file_name,
    planned_methods,
    switch,
    table_names,
)
from ansible_collections.tableferry.aws.plugins.plugin_utils.held import held_variables, where
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import HostVars, plain, read
from ansible_collections.tableferry.aws.plugins.plugin_utils.sides import (
    RenderedSides,
    Sides,
    account_of,
    options_of,
)

WAIT_SECONDS = 86400
# Options of migration_start by the variables that they are, where the verb's default is the variable's.
_STARTING = {
    "method": "ferry_method",
    "kms_key_map": "ferry_kms_key_map",
    "kinesis_map": "ferry_kinesis_map",
    "principal_map": "ferry_principal_map",
    "warm_throughput": "ferry_warm_throughput",
    "indexes_after": "ferry_indexes_after",
    "leave_indexes": "ferry_leave_indexes",
    "transform": "ferry_transform",
    "transform_names": "ferry_transform_names",
    "transform_values": "ferry_transform_values",
    "transform_errors": "ferry_transform_errors",
    "transform_show_values": "ferry_transform_show_values",
    "on_collision": "ferry_on_collision",
    "destination_key": "ferry_destination_key",
    "merge": "ferry_merge",
    "migration_id": "ferry_migration_id",
    "export_max_age": "ferry_export_max_age",
    "point_in_time_recovery_wait": "ferry_pitr_wait",
    "writes_stopped": "ferry_writes_stopped",
    "verify": "ferry_verify",
    "record_table": "ferry_record_table",
    "take_over": "ferry_take_over",
    "finished_settings": "ferry_settings",
}
_ITEMS = {
    "workers": "ferry_workers",
    "read_rate": "ferry_read_rate",
    "write_rate": "ferry_write_rate",
    "consistent": "ferry_consistent",
    "checkpoint_dir": "ferry_checkpoint_dir",
    "work_dir": "ferry_work_dir",
    "sample_items": "ferry_sample_items",
    "ignore_expired": "ferry_ignore_expired",
    "digest": "ferry_digest",
}
_BACKUP = {
    "vault": "ferry_backup_source_vault",
    "role": "ferry_backup_role",
    "destination_vault": "ferry_backup_destination_vault",
    "restore": "ferry_restore",
    "restore_role": "ferry_restore_role",
    "air_gapped_vault": "ferry_air_gapped_vault",
    "delete_after_days": "ferry_backup_days",
    "move_to_cold_storage_after_days": "ferry_backup_cold_days",
    "copy_delete_after_days": "ferry_copy_days",
    "copy_move_to_cold_storage_after_days": "ferry_copy_cold_days",
    "max_age": "ferry_backup_max_age",
}
_JUDGING = {
    "verify": "ferry_verify",
    "verify_checksums": "ferry_verify_checksums",
    "writes_stopped": "ferry_writes_stopped",
}
# What the options and the accounts of a table have of the variables, besides those above.
_CARRIED = {
    *("ferry_source", "ferry_destination", "ferry_management", "ferry_tags", "ferry_table", "ferry_destination_table"),
    *("ferry_staging_bucket", "ferry_staging_kms_key_arn", "ferry_sync", "ferry_enable_point_in_time_recovery"),
    *("ferry_safe_mode", "ferry_adopt", "ferry_spark", "ferry_backup_plan"),
}
# Variables of the roles that an inventory may set count before all others; those with another name than the option's.
_OF_ROLE = {"export_max_age": "max_age", "replace_failed": "safe_mode"}


def tables_to_start(
    hosts: Iterable[str], hostvars: HostVars, outlook: Mapping[str, Any], sides: Sides | None = None
) -> list[dict[str, Any]]:
    """The entries of migration_start_all for the hosts whose tables can be migrated, by ``account_outlook``.

    ``sides`` are the accounts as they were rendered before (``inventory_sides``).
    """
    found = []
    rendered = RenderedSides(hostvars)
    hosts = list(hosts)
    planned = planned_methods(hostvars[hosts[0]]) if hosts else {}
    for host in hosts:
        if not outlook[host]["reason"]:
            variables, staging = hostvars[host], plain(outlook[host]["staging"])
            accounts = options_of(sides, host) if sides else rendered.of(host, SIDES)
            options = _start_options(host, variables, staging, planned)
            found.append({"name": host, **_sides(accounts, staging), "options": options})
    order = {host: at for at, host in enumerate(planned_order(hostvars[hosts[0]]) if hosts else ())}
    return sorted(found, key=lambda entry: order.get(entry["name"], -1))


def planned_order(variables: Mapping[str, Any]) -> list[str]:
    """The hosts in the order in which a plan would begin their tables; ``variables`` are those of any host."""
    return list(plain((variables.get(PLANNED) or {}).get("order") or [])) if PLANNED in variables else []


def tables_to_plan(
    hosts: Iterable[str],
    hostvars: HostVars,
    problems: Mapping[str, str],
    sides: Sides | None = None,
    which: Literal["all", "open"] = "all",
) -> list[dict[str, Any]]:
    """The entries of migration_plan for the hosts: ``all``, or those whose method is left ``open``.

    ``problems`` is of ``inventory_problems``, ``sides`` of ``known_sides``: the accounts that were asked who they are.
    """
    found: list[dict[str, Any]] = []
    rendered = RenderedSides(hostvars)
    for host in hosts:
        if host in problems:
            if which == "all":
                words = problems[host].removeprefix(f"{host}: ")
                found.append({"name": host, "source": {}, "destination": {}, "problem": words})
            continue
        variables = hostvars[host]
        if which == "open" and _method_asked(variables) != OPEN_METHOD:
            continue
        accounts = options_of(sides, host) if sides else rendered.of(host, SIDES)
        who = {side: account_of(sides, host, f"ferry_{side}") if sides else {} for side in ("source", "destination")}
        staging = {
            "source_account_id": who["source"].get("account_id"),
            "owner": who["destination"].get("account_id"),
        }
        staged = {"bucket": "ferry_staging_bucket", "kms_key_arn": "ferry_staging_kms_key_arn"}
        options = _start_options(host, variables, _given(variables, staged), {})
        entry = {"name": host, **_sides(accounts, staging), "options": options}
        management = read(variables, "ferry_management")
        manager = account_of(sides, host, "ferry_management").get("account_id") if sides else None
        entry["choices"] = {
            **_held(variables),
            **{f"{side}_tags": entry[side].get("tags") or {} for side in who},
            "management": {"account_id": manager} if manager else where(management),
        }
        about = {"prepared": _is_on(variables, "ferry_manage_accounts", True), "managed": bool(management)}
        found.append({**entry, **about})
    return found


def _held(variables: Mapping[str, Any]) -> dict[str, Any]:
    """What a plan holds of the variables besides the options."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.held import VARIABLES_OF_THE_RUN

    others = {f"{PREFIX}{name}" for name in VARIABLES_OF_THE_RUN} | _CARRIED
    others |= {*_STARTING.values(), *_ITEMS.values(), *_BACKUP.values()}
    return held_variables(variables, {name: each for name, each in VARIABLES.items() if name not in others})


def _method_asked(variables: Mapping[str, Any]) -> str:
    """The method as the user names it; that of the role move_table counts before the variable."""
    return str(read(variables, "move_table_method") or read(variables, "ferry_method") or OPEN_METHOD)


def tables_to_wait(
    hosts: Iterable[str], hostvars: HostVars, outlook: Mapping[str, Any], started: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The entries of job_wait for the hosts with open jobs in ``started``, the result of migration_start_all: each
    table is judged there as soon as it is ready. Accounts are rendered anew, as keys may have ended meanwhile."""
    found = []
    rendered = RenderedSides(hostvars)
    for host, table in _begun(hosts, started):
        if any(job.get("state") in OPEN for job in (table["job"], *table["then"])):
            found.append(
                {
                    "name": host,
                    **_sides(rendered.of(host, SIDES), plain(outlook[host]["staging"])),
                    **{name: table[name] for name in ("job", "then", "record")},
                    "judge": _judge_options(host, hostvars[host]),
                }
            )
    return found


def wait_seconds(hosts: Iterable[str], hostvars: HostVars, outlook: Mapping[str, Any]) -> int:
    """How long job_wait waits for the tables of ``hosts``: as long as the most patient one of those that can be
    migrated. A value that cannot be read is the problem of its table alone (``inventory_problems``)."""
    found = [read(hostvars[host], "ferry_wait_timeout") for host in hosts if not outlook[host]["reason"]]
    return max((WAIT_SECONDS if value is None else check_type_int(value) for value in found), default=WAIT_SECONDS)


def tables_to_judge(
    hosts: Iterable[str],
    hostvars: HostVars,
    outlook: Mapping[str, Any],
    started: Mapping[str, Any],
    waited: Mapping[str, Any],
    check_mode: bool = False,
) -> list[dict[str, Any]]:
    """The entries of migration_judge_all: for the hosts in ``started``, with their jobs as in ``waited``.

    Not for tables that were judged in the wait. In check mode only migrations that an earlier run has completed; none
    where the wait as a whole failed.
    """
    found: list[dict[str, Any]] = []
    rendered = RenderedSides(hostvars)
    if waited.get("failed"):
        return found
    ways = waited.get("ways") or {}
    for host, table in _begun(hosts, started):
        if judged_in_the_wait(ways.get(host) or ()):
            continue
        jobs = plain(ways[host]) if host in ways else [table["job"], *table["then"]]
        there = {job["state"] for job in item_jobs(jobs)} <= {"completed", "not_needed"}
        if check_mode and (is_foreseen(jobs) or not there):
            continue
        options = {**_judge_options(host, hostvars[host]), "jobs": jobs, "record": table["record"]}
        found.append(
            {"name": host, **_sides(rendered.of(host, SIDES), plain(outlook[host]["staging"])), "options": options}
        )
    return found


def _judge_options(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """How the table is judged: by the waiter, when its last job has ended, and else by migration_judge_all."""
    source_table, name = table_names(host, variables)
    given = {**_given(variables, _JUDGING), **_of_role("judge_table", variables, _JUDGING)}
    return {"name": name, "source_table": source_table, **given}


def _begun(hosts: Iterable[str], started: Mapping[str, Any]) -> Iterable[tuple[str, dict[str, Any]]]:
    """The results in ``started`` of the tables that did not fail."""
    tables = started.get("tables") or {}
    for host in hosts:
        table = tables.get(host) or {}
        if table.get("job") and not table.get("failed"):
            yield host, {name: plain(table[name]) for name in ("job", "then", "record")}


def _sides(accounts: Mapping[str, Any], staging: Mapping[str, Any]) -> dict[str, Any]:
    """Both accounts. Their ids were looked up once for all tables."""
    ids = {"source": staging.get("source_account_id"), "destination": staging.get("owner")}
    return {
        side: {**account_options(accounts[f"ferry_{side}"]), **({"account_id": found} if found else {})}
        for side, found in ids.items()
    }


def _given(variables: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    values = {option: read(variables, name) for option, name in names.items()}
    return {option: value for option, value in values.items() if value is not None}


def _of_role(role: str, variables: Mapping[str, Any], options: Iterable[str]) -> dict[str, Any]:
    found = _given(variables, {option: f"{role}_{_OF_ROLE.get(option, option)}" for option in options})
    if "replace_failed" in found:
        found["replace_failed"] = not switch(found["replace_failed"])
    return found


def _is_on(variables: Mapping[str, Any], name: str, default: bool) -> bool:
    return switch(read(variables, name, default))


def _folders(variables: Mapping[str, Any]) -> list[str]:
    """Where files with functions are looked for: beside the playbook, and beside the inventory."""
    playbook = str(read(variables, "playbook_dir", ""))
    return [playbook, str(read(variables, "inventory_dir") or playbook)]


def _start_options(
    host: str, variables: Mapping[str, Any], staging: Mapping[str, Any], planned: Mapping[str, str]
) -> dict[str, Any]:
    source, destination = table_names(host, variables)
    directory = read(variables, "ferry_differences_dir", "tableferry-differences")
    staged = {"bucket": "bucket", "bucket_owner": "owner", "kms_key_arn": "kms_key_arn"}
    options = {
        "name": source,
        "destination_table": destination,
        **{option: staging[name] for option, name in staged.items() if staging.get(name)},
        **_given(variables, _STARTING),
        **({"method": planned[host]} if host in planned and _method_asked(variables) == OPEN_METHOD else {}),
        # While changes are synced, the destination must not expire items by itself.
        "defer": ["time_to_live"] if _is_on(variables, "ferry_sync", False) else [],
        "enable_point_in_time_recovery": _is_on(variables, "ferry_enable_point_in_time_recovery", True),
        "replace_failed": not _is_on(variables, "ferry_safe_mode", True),
        "adopt": _is_on(variables, "ferry_adopt", False),
        "transform_folders": _folders(variables),
        "items": {
            "checkpoint_dir": "~/.tableferry",
            "work_dir": read(variables, "ferry_checkpoint_dir", "~/.tableferry"),
            **_given(variables, _ITEMS),
            "refused_path": f"{directory}/{file_name(host)}-refused.jsonl",
            "differences_path": f"{directory}/{file_name(host)}.jsonl",
        },
    }
    spark = _spark(variables)
    if spark:
        options["spark"] = spark
    plan = f"tableferry-{options.get('migration_id', 'default')}"
    planned_backup = {"plan": plan} if _is_on(variables, "ferry_backup_plan", False) else {}
    options["backup"] = {**_given(variables, _BACKUP), **planned_backup}
    return {**options, **_of_role("move_table", variables, {*_STARTING, *options, "spark"} - set(staged))}


def _spark(variables: Mapping[str, Any]) -> dict[str, Any]:
    """What the user chose for the Spark job; a text may be JSON or key=value."""
    wheels = read(variables, "ferry_spark_wheels")
    chosen = check_type_dict(plain(read(variables, "ferry_spark") or {}))
    return {**chosen, **({"wheels": wheels} if wheels else {})}


def prices(given: Any) -> dict[str, Any]:
    """``ferry_prices`` as the option ``prices`` of migration_plan: a dictionary, or the path of a YAML file. Raises
    AnsibleFilterError for a file that cannot be read, and for figures that are missing, negative or unknown."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import InvalidInput
    from ansible_collections.tableferry.aws.plugins.module_utils.core.plan.prices import prices_of

    given = plain(given)
    if isinstance(given, str) and given:
        try:
            text = Path(given).expanduser().read_text(encoding="utf-8")
            given = yaml.safe_load(text)
        except (OSError, ValueError, yaml.YAMLError) as error:
            raise AnsibleFilterError(f"ferry_prices: the file {given} cannot be read: {error}") from error
        given = given if isinstance(given, Mapping) and "figures" in given else {"figures": given}
    if given and not isinstance(given, Mapping):
        raise AnsibleFilterError("ferry_prices is neither a dictionary of figures nor the path of a file with them.")
    try:
        prices_of(given or {})
    except InvalidInput as error:
        raise AnsibleFilterError(f"ferry_prices: {error}") from error
    return dict(given or {})


class FilterModule:
    """Filters for the verbs that take many tables."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "prices": prices,
            "tables_to_judge": tables_to_judge,
            "tables_to_plan": tables_to_plan,
            "tables_to_start": tables_to_start,
            "tables_to_wait": tables_to_wait,
            "wait_seconds": wait_seconds,
        }
