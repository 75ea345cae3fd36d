# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Applies the settings of a table to its copy."""

from __future__ import annotations

from typing import Any

from ...core.steps.settings_job import plan_table_settings, settings_job
from ...core.table.settings import SettingsOptions
from ..accounts import Accounts
from ..spec import (
    BOTH_ACCOUNTS_OPTIONS,
    KEY_MAP_OPTIONS,
    SETTINGS_OPTIONS,
    STARTING_OPTIONS,
    STEPS_OPTIONS,
    Progress,
    Verb,
    given,
)
from ..starting import finished, start_result
from ..transforming import transform_of

SPEC: dict[str, Any] = {
    **STARTING_OPTIONS,
    **KEY_MAP_OPTIONS,
    **SETTINGS_OPTIONS,
    **STEPS_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    "source_table": {"type": "str"},
    "table_id": {"type": "str"},
    "wait": {"type": "bool", "default": True},
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Find the settings that differ, and apply them or leave that to the waiter."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    table = params["name"]
    source_table = params["source_table"] or table
    options = SettingsOptions(
        defer=tuple(params["defer"]),
        leave_indexes=tuple(params["leave_indexes"]),
        transform=transform_of(params, source_table),
        **given(params, ("kms_key_map", "kinesis_map", "principal_map", "migration_id", "warm_throughput")),
    )
    plan = plan_table_settings(
        source, destination, source_table, table, options, made_id=params["table_id"] or "", preview=check_mode
    )
    job = settings_job(table, source_table, options, plan)
    if check_mode:
        job = job.foreseen
    elif params["wait"]:
        job = finished(job, source, destination, params["wait_timeout"], progress)
    left = [entry.to_dict() for entry in plan.left]
    return {
        **start_result(job, plan.changes),
        "settings_carried": job.result.get("settings_carried", list(plan.carried)),
        "settings_left": job.result.get("settings_left", left),
    }


VERB = Verb("dynamodb_table_settings", SPEC, run, services=("application-autoscaling", "dynamodb", "kms", "sts"))
