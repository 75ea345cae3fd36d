# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened to the tables of a run, from the results that their tasks registered."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from ansible.errors import AnsibleFilterError
from ansible.module_utils.parsing.convert_bool import boolean

from ansible_collections.tableferry.aws.plugins.filter.tables import (
    PLANNED,
    SIDES,
    account_options,
    repairs,
    table_names,
)
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import (
    BROKEN,
    HostVars,
    plain,
    read,
    read_if_sound,
)
from ansible_collections.tableferry.aws.plugins.plugin_utils.sides import RenderedSides, options_of

# The results that the roles register for a table, in the order of its migration.
STARTED = "move_table_started"
WAITED = "move_table_waited"
JUDGED = "judge_table_judgement"
STAGES = (STARTED, WAITED, JUDGED)
# Those that the playbook migrate registers, for all tables in one.
TOGETHER = {STARTED: "migrate_started", WAITED: "migrate_waited", JUDGED: "migrate_judged"}
VERIFIED = "verify_table_found"  # what the role verify_table registers
NOTE = "report_migration_failure"
# The key that destination_account makes for the bucket. S3 takes its alias too (API reference, PutObject).
STAGING_KEY = "alias/tableferry-staging"
OUTLOOK = "check_inventory_outlook"
RENDERED = "check_inventory_sides"


class Ways:
    """From where to where the tables of hosts go, as far as their variables can be read."""

    def __init__(self, hostvars: HostVars) -> None:
        self._hostvars = hostvars
        self._rendered = RenderedSides(hostvars)

    def of(self, host: str, staging: Mapping[str, Any]) -> Any:
        """The way of one host's table; ``staging`` names the accounts where these were looked up."""
        from ansible_collections.tableferry.aws.plugins.module_utils.core.report.row import NO_WAY, TablePlace, Way

        variables = self._hostvars[host]
        try:
            names = table_names(host, variables)
            sides = _accounts(host, variables) or self._rendered.of(host, SIDES)
            migration_id = str(read(variables, "ferry_migration_id") or NO_WAY.migration_id)
        except BROKEN:
            return NO_WAY
        accounts = [sides.get(side) for side in SIDES]
        known = [account if isinstance(account, Mapping) else {} for account in accounts]
        ids = [str(staging.get(name) or "") for name in ("source_account_id", "owner")]
        places = [
            TablePlace(name, found or str(account.get("account_id") or ""), str(account.get("region") or ""))
            for name, found, account in zip(names, ids, known, strict=True)
        ]
        return Way(*places, migration_id)


def _accounts(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    """The accounts of a host as the playbook rendered them once: a lookup in them runs for no report."""
    sides = variables.get(RENDERED)
    return options_of(sides, host) if sides else {}


def _staging(host: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    return ((variables.get(OUTLOOK) or {}).get(host) or {}).get("staging") or {}


def report_places(hosts: Iterable[str], hostvars: HostVars) -> list[dict[str, Any]]:
    """The destinations of the hosts, each once: its account, the bucket in which data is staged there, and the key of
    that. Without those whose accounts were not looked at."""
    found: dict[str, dict[str, Any]] = {}
    rendered = RenderedSides(hostvars)
    for host in hosts:
        staging = _staging_area(host, hostvars[host])
        known = _accounts(host, hostvars[host]).get("ferry_destination") if staging else None
        destination = known or (rendered.destination_if_sound(host) if staging else None)
        if destination:
            owner = {"account_id": staging["owner"]} if staging["owner"] else {}
            place = {
                "destination": {**account_options(destination), **owner},
                **{name: staging.get(name) for name in ("bucket", "kms_key_arn")},
            }
            found.setdefault(json.dumps(place, sort_keys=True), place)
    return list(found.values())


def _staging_area(host: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """Where the data of a host's table is staged, as ``destination_account_staging`` has it; of a table that verify
    looked at as its variables name it. Empty where no bucket is known."""
    area = plain(_staging(host, variables)) or _named_area(host, variables)
    if area and not area.get("kms_key_arn") and _makes_key(variables):
        alias = read_if_sound(variables, "destination_account_kms_key_alias") or STAGING_KEY
        return {**area, "kms_key_arn": str(alias)}
    return area


def _named_area(host: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    """The staging area of a table that verify looked at. Where that failed before it knew the account, the variables
    may say which one it is, or name the bucket."""
    verified = read_if_sound(variables, VERIFIED) or {}
    if not verified or verified.get("skipped"):
        return {}
    _arn, _partition, _service, region, owner, *_table = str(verified.get("destination_arn") or ":::::").split(":")
    if not owner:
        account = _accounts(host, variables).get("ferry_destination")
        known = account if isinstance(account, Mapping) else {}
        region, owner = (str(known.get(name) or "") for name in ("region", "account_id"))
    usual = f"tableferry-{owner}-{region}" if owner and region else ""
    bucket = read_if_sound(variables, "ferry_staging_bucket") or usual
    key = read_if_sound(variables, "ferry_staging_kms_key_arn") or ""
    return {"bucket": str(bucket), "owner": owner, "kms_key_arn": str(key)} if bucket else {}


def _makes_key(variables: Mapping[str, Any]) -> bool:
    makes = read_if_sound(variables, "ferry_create_staging_key", False)
    return boolean(makes, strict=False) and boolean(
        read_if_sound(variables, "ferry_manage_accounts", True), strict=False
    )


def report_rows(hosts: Iterable[str], hostvars: HostVars) -> list[dict[str, Any]]:
    """One row for each table, also for those that failed, were refused or were never reached."""
    ways = Ways(hostvars)
    found = [_row(host, hostvars[host], ways.of(host, _staging(host, hostvars[host]))) for host in hosts]
    return sorted(found, key=lambda row: str(row["name"]))


def report_problems(hosts: Iterable[str], hostvars: HostVars) -> dict[str, str]:
    """Why tables were not migrated completely, by host; hosts that were, or that were never reached, are absent."""
    found = {host: _failure(host, hostvars[host]) for host in hosts}
    return {host: str(failure["msg"]) for host, failure in found.items() if failure is not None}


def run_places(hosts: Iterable[str], hostvars: HostVars) -> list[dict[str, Any]]:
    """The destinations in which this run may hold tables, each with its record table once."""
    records = {host: _result(host, hostvars[host], STARTED).get("record") for host in hosts}
    return _places({host: record["record_table"] for host, record in records.items() if record}, hostvars)


def repair_places(hosts: Iterable[str], hostvars: HostVars) -> list[dict[str, Any]]:
    """As ``run_places``, of a run of the playbook verify: where it took tables to repair them. A comparison takes none,
    but of a table that it makes whole."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record_table import DEFAULT_NAME

    tables = {}
    for host in hosts:
        variables = hostvars[host]
        verified = read_if_sound(variables, VERIFIED) or {}
        if verified and not verified.get("skipped") and (verified.get("filled") or repairs_of(variables)):
            tables[host] = str(read_if_sound(variables, "ferry_record_table") or DEFAULT_NAME)
    return _places(tables, hostvars)


def _places(record_tables: Mapping[str, str], hostvars: HostVars) -> list[dict[str, Any]]:
    """The destinations of the hosts, each with its record table once; none where they cannot be read."""
    found: dict[str, dict[str, Any]] = {}
    rendered = RenderedSides(hostvars)
    for host, record_table in record_tables.items():
        destination = rendered.destination_if_sound(host)
        if destination:
            place = {"destination": destination, "record_table": record_table}
            found.setdefault(json.dumps(place, sort_keys=True), place)
    return list(found.values())


def repairs_of(variables: Mapping[str, Any]) -> bool:
    """Whether the table of a host is repaired: the option of the role counts before the variable."""
    asked = read_if_sound(variables, "verify_table_repair") or read_if_sound(variables, "ferry_repair") or False
    with contextlib.suppress(AnsibleFilterError):
        return repairs(asked) != "false"
    return False


def report_changed(hosts: Iterable[str], hostvars: HostVars) -> list[str]:
    """The hosts whose tables, or jobs of theirs, were changed by a task for all tables, or would be in check mode; the
    others' tasks have said it themselves."""
    return [host for host in hosts if _is_changed(host, hostvars[host])]


def report_changes(hosts: Iterable[str], hostvars: HostVars) -> list[str]:
    """What tasks for all tables changed, or would change in check mode, a line for each change: for ``--diff``."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report import text
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report.row import SETTINGS

    lines = []
    for host in hosts:
        if _is_changed(host, hostvars[host]):
            results = {STARTED: _started_together(host, hostvars[host]), WAITED: _together(hostvars[host], WAITED)}
            settings = _jobs(host, results).get(SETTINGS) or {}
            changes = [*results[STARTED].get("changes", ()), *(settings.get("result") or {}).get("changes", ())]
            lines += [text.change_line(host, change) for change in changes]
    return lines


def _is_changed(host: str, variables: Mapping[str, Any]) -> bool:
    from ansible_collections.tableferry.aws.plugins.module_utils.core.steps import adopting

    changed = host in (_together(variables, WAITED).get("tables_changed") or ())
    started = _started_together(host, variables)
    if (started.get("job") or {}).get("kind") == adopting.KIND:
        # Nothing is written before both tables are equal: one that is refused is as it was.
        results = {STARTED: started, WAITED: _together(variables, WAITED)}
        if (_jobs(host, results).get(adopting.KIND) or {}).get("state") in ("failed", "cancelled"):
            return changed
    return changed or bool(started.get("changed"))


def _started_together(host: str, variables: Mapping[str, Any]) -> Mapping[str, Any]:
    return (_together(variables, STARTED).get("tables") or {}).get(host) or {}


def _results(host: str, variables: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    return {stage: _result(host, variables, stage) for stage in STAGES}


def _result(host: str, variables: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    """The result of a stage for one table, by a task of its own or by one for all tables."""
    own = variables.get(stage)
    if own:
        return own
    together = _together(variables, stage)
    judged = judged_in_the_wait((_together(variables, WAITED).get("ways") or {}).get(host) or ())
    if stage == JUDGED and judged:
        return judged
    if stage == WAITED or (together.get("failed") and "tables" not in together):
        return together
    return (together.get("tables") or {}).get(host) or {}


def _together(variables: Mapping[str, Any], stage: str) -> Mapping[str, Any]:
    return variables.get(TOGETHER[stage]) or {}


def _jobs(host: str, results: Mapping[str, Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    """The jobs of a table by their kind, in their last known state."""
    started = results[STARTED]
    begun = [started.get("job") or {}, *(started.get("then") or ())]
    return {job.get("kind", ""): job for job in (results[WAITED].get("ways") or {}).get(host) or begun}


def _failure(host: str, variables: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """What stopped a table: a problem known before, a job that failed, or its settings."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report import row

    outlook = (variables.get(OUTLOOK) or {}).get(host) or {}
    if outlook.get("reason"):
        return {"msg": outlook["reason"], "ferry_status": outlook["ferry_status"]}
    results = _results(host, variables)
    failed = variables.get(NOTE) or next((found for found in results.values() if found.get("failed")), None)
    if failed:
        return {**failure_note(failed), "next_step": str(failed.get("next_step") or "")}
    words = settings_problem(_jobs(host, results).get(row.SETTINGS) or {})
    return {"msg": words, "ferry_status": "failed"} if words else None


def settings_problem(job: Mapping[str, Any]) -> str:
    """Why a settings job did not end well, empty when it did or when there is none."""
    if (job.get("result") or {}).get("timed_out"):
        return f"{job['name']}: the settings were still being applied when the wait timed out. Run again to continue."
    if job.get("state") in ("failed", "cancelled"):
        return str(job.get("failure_message") or f"{job['name']}: the settings ended {job['state']}.")
    return ""


def _row(host: str, variables: Mapping[str, Any], way: Any) -> dict[str, Any]:
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report import row as rows
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report.left_to_do import left_to_do

    results = _results(host, variables)
    asked = str(read_if_sound(variables, "ferry_method") or migration.AUTO)
    asked = str(((variables.get(PLANNED) or {}).get("methods") or {}).get(host, asked))
    judgement = results[JUDGED]
    jobs = _jobs(host, results)
    if is_foreseen(jobs.values()):
        left = _left_to_the_user(results[STARTED], variables)
        first = "" if results[STARTED].get("obstacle_error") == "Held" else "Fix this first: "
        reason = f"{first}{left}" if left else "Check mode: nothing was changed."
        judgement = {"status": "planned", "reason": reason}
    row = rows.row(
        host,
        migration.method_used(jobs)
        or str(results[STARTED].get("method") or (migration.chosen(asked) if any(jobs) else asked)),
        judgement=judgement if "status" in judgement else None,
        jobs=jobs,
        spans=(results[WAITED].get("spans") or {}).get(host) or {},
        failure=_failure(host, variables),
        way=way,
    )
    known = rows.settings_of_source(jobs)
    steps = left_to_do(row, known, datetime.now(UTC), _staged(row["method"], _staging(host, variables)))
    return {**row, "changed": _is_changed(host, variables), "to_do": steps}


def _staged(method: str, staging: Mapping[str, Any]) -> list[str]:
    """What a table's ``method`` leaves in the accounts, in words."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration

    words = {
        "staged": f"What was staged in the bucket {staging.get('bucket') or ''} is removed by the playbook cleanup, or"
        " by the bucket's lifecycle rule.",
        "backed_up": "Its recovery points are kept for ferry_backup_days and ferry_copy_days; the playbook cleanup with"
        " ferry_remove_recovery_points removes them sooner.",
    }
    found = words.get(migration.data_needs(method))
    return [found] if found else []


def _left_to_the_user(started: Mapping[str, Any], variables: Mapping[str, Any]) -> str:
    """What check mode found missing and the run does not make before it needs it, such as bucket, vaults and roles."""
    manages = read_if_sound(variables, "ferry_manage_accounts")
    made = set()
    if manages is None or boolean(manages, strict=False):
        made |= {"accounts", "management"} if read_if_sound(variables, "ferry_management") else {"accounts"}
    left = [problem for problem in started.get("obstacles") or () if problem["made_by"] not in made]
    words = [problem[part] for part in ("cause", "next_step") for problem in left]
    return " ".join(dict.fromkeys(words))


def item_jobs(jobs: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """Those of ``jobs`` that bring a table's items, without those that follow on every method."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration

    return [job for job in jobs if job.get("kind") not in migration.STEPS]


def is_foreseen(jobs: Iterable[Mapping[str, Any]]) -> bool:
    """Whether check mode has found something still to do for the table: its items, or what follows on them. What is
    asked of the settings of a finished table is no part of its migration."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import migration

    found = [job for job in jobs if job]
    finished = any(job.get("kind") == migration.FINISHED and job.get("state") == "not_needed" for job in found)
    looked_at = item_jobs(found) if finished else found
    return any(job.get("state") == "planned" for job in looked_at)


def judged_in_the_wait(jobs: Iterable[Mapping[str, Any]]) -> Mapping[str, Any]:
    """The judgement that waiting for the ``jobs`` came to; empty where there was none, or what kept it from one."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core import judgement

    judged = [job for job in jobs if job["kind"] == judgement.KIND and job["state"] == "completed"]
    return judged[0]["result"] if judged else {}


def report_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rows as lines of a table, followed by notes, what was not carried, drift, and a summary."""
    from ansible_collections.tableferry.aws.plugins.module_utils.core.report import text

    found = list(rows)
    left = [f"not carried: {line}" for line in text.not_carried(found)]
    notes = [f"note: {line}" for line in text.noted(found)]
    drift = [f"drift: {line}" for line in text.drifted(found)]
    applied = [f"applied: {line}" for line in text.applied(found)]
    return [*text.text_table(found).splitlines(), *notes, *left, *drift, *applied, text.summary(found)]


def failure_note(result: Mapping[str, Any], task: str = "", side: str = "", account_id: str = "") -> dict[str, str]:
    """What the report keeps of the result of a failed task: its message and ferry_status.

    A verb says itself in which account it failed; of the module of another collection, which knows no sides, ``side``
    and ``account_id`` do.
    """
    message = str(
        module_message(result)
        or result.get("msg")
        or result.get("reason")
        or f"The task {task!r} failed without a message."
    )
    if side and "ferry_error" not in result:
        message = _of_account(message, result, task, f"the {side} account {account_id}".rstrip())
    return {"msg": message, "ferry_status": str(result.get("ferry_status") or ""), "task": task}


def _of_account(message: str, result: Mapping[str, Any], task: str, account: str) -> str:
    from ansible_collections.tableferry.aws.plugins.module_utils.core import aws_errors

    error = result.get("error")
    code = str(error.get("code") or "") if isinstance(error, Mapping) else ""
    step = "Grant the permission to the principal" if code in aws_errors.DENIED else "Mend the cause"
    return f"In {account}, the task {task!r} failed: {message.rstrip('.')}. {step}, and run again."


def module_message(result: Mapping[str, Any]) -> str:
    """The message of a module whose result could not be read: such a message is in the module's output only."""
    for line in str(result.get("module_stdout") or "").splitlines():
        with contextlib.suppress(ValueError):
            said = json.loads(line)
            if isinstance(said, Mapping) and said.get("msg"):
                return str(said["msg"])
    return ""


class FilterModule:
    """Filters for the report."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {
            "failure_note": failure_note,
            "item_jobs": item_jobs,
            "report_changed": report_changed,
            "report_changes": report_changes,
            "report_lines": report_lines,
            "report_places": report_places,
            "report_problems": report_problems,
            "repair_places": repair_places,
            "run_places": run_places,
            "report_rows": report_rows,
        }
