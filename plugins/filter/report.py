# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened to the tables of a run, out of what their tasks registered."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core import report
from ansible_collections.tableferry.aws.plugins.plugin_utils.hostvars import HostVars, read_if_sound

# The results that the roles of a table's way register, in the order of the way.
STAGES = (
    "export_table_started",
    "export_table_waited",
    "import_table_started",
    "import_table_waited",
    "judge_table_judgement",
    "apply_table_settings_started",
    "apply_table_settings_waited",
)
NOTE = "report_migration_failure"
OUTLOOK = "check_inventory_outlook"
CHOSEN = {"auto": "s3"}  # what auto means in this version (design section 10)


def report_rows(hosts: Iterable[str], hostvars: HostVars) -> list[dict[str, Any]]:
    """One row for each table, also for those that failed, were refused or were never reached."""
    return report.document(_row(host, hostvars[host]) for host in hosts)["tables"]


def _row(host: str, variables: Mapping[str, Any]) -> dict[str, Any]:
    results = {stage: variables.get(stage) or {} for stage in STAGES}
    jobs = {
        kind: (results[f"{role}_waited"].get("jobs") or {}).get(host) or results[f"{role}_started"].get("job")
        for kind, role in (("export", "export_table"), ("import", "import_table"), ("settings", "apply_table_settings"))
    }
    asked = str(read_if_sound(variables, "ferry_method") or "auto")
    judgement = results["judge_table_judgement"]
    if (jobs["import"] or {}).get("state") == "planned":
        judgement = {"status": "planned", "reason": "Nothing was changed: this was a check."}
    outlook = (variables.get(OUTLOOK) or {}).get(host) or {}
    stopped = {"msg": outlook["reason"], "ferry_status": outlook["ferry_status"]} if outlook.get("reason") else None
    settings = (jobs["settings"] or {}).get("result") or {}
    if "settings_carried" not in settings:
        settings = results["apply_table_settings_started"]
    return report.row(
        str(read_if_sound(variables, "ferry_table") or host),
        CHOSEN.get(asked, asked),
        judgement=judgement if "status" in judgement else None,
        export=jobs["export"],
        import_job=jobs["import"],
        settings=settings,
        failure=stopped
        or variables.get(NOTE)
        or next((found for found in results.values() if found.get("failed")), None),
    )


def report_lines(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The rows as lines of a table, with a summary below."""
    found = list(rows)
    return [*report.text_table(found).splitlines(), report.summary(found)]


def failure_note(result: Mapping[str, Any], task: str = "") -> dict[str, str]:
    """What the report keeps of a failed task's result: its message, and what a verb said of the table."""
    message = str(result.get("msg") or result.get("reason") or f"The task {task!r} failed without a message.")
    return {"msg": message, "ferry_status": str(result.get("ferry_status") or ""), "task": task}


class FilterModule:
    """Filters that make the report."""

    def filters(self) -> dict[str, Callable[..., Any]]:
        """The filters by name."""
        return {"report_rows": report_rows, "report_lines": report_lines, "failure_note": failure_note}
