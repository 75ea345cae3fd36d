# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Carries the settings of a table to its copy."""

from __future__ import annotations

from typing import Any

from ...core.account import Account
from ...core.errors import DestinationExists
from ...core.importing import is_ours
from ...core.ledger import Route
from ...core.settings_job import settings_job
from ...core.table.definition import TableDefinition
from ...core.table.foreseen import MadeBy, as_imported, as_restored, foresee_settings
from ...core.table.settings import SettingsOptions, SettingsPlan, prepare_settings
from ..accounts import Accounts
from ..spec import (
    KEY_MAP_OPTIONS,
    MIGRATION_OPTIONS,
    SHARED_OPTIONS,
    WAITING_OPTIONS,
    Progress,
    Verb,
    account_option,
    given,
)
from ..starting import finished, foreseen, start_result

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    **MIGRATION_OPTIONS,
    **KEY_MAP_OPTIONS,
    **WAITING_OPTIONS,
    "name": {"type": "str", "required": True},
    "source": account_option(required=True),
    "destination": account_option(required=True),
    "source_table": {"type": "str"},
    "table_id": {"type": "str"},
    "kinesis_map": {"type": "dict", "default": {}},
    "principal_map": {"type": "dict", "default": {}},
    "defer": {"type": "list", "elements": "str", "default": []},
    "warm_throughput": {"type": "bool", "default": True},
    "made_by": {"type": "str", "choices": ["import", "restore"], "default": "import"},
    "wait": {"type": "bool", "default": True},
}

_MADE_BY = {"import": as_imported, "restore": as_restored}


def _plan(
    source: Account,
    destination: Account,
    source_table: str,
    table: str,
    options: SettingsOptions,
    imported_id: str,
    foreseen_as: MadeBy | None,
) -> SettingsPlan:
    """What is to be set; ``foreseen_as`` is how a table that is not there yet will be made, in check mode.

    Raises DestinationExists for a table that is not of this migration.
    """
    found = TableDefinition.find(destination, table)
    if found is None and foreseen_as is not None:
        return foresee_settings(source, destination, source_table, table, options, foreseen_as)
    if found is not None:
        route = Route(
            source_account_id=source.account_id,
            source_region=source.region,
            source_table=source_table,
            destination_account_id=destination.account_id,
            destination_region=destination.region,
            destination_table=table,
            migration_id=options.migration_id,
        )
        if not is_ours(destination, found, route, imported_id):
            raise DestinationExists(
                f"The table {table} of account {destination.account_id} was not made by this migration.",
                f"To give it the settings all the same, tag it tableferry:migration={options.migration_id}.",
                table=table,
                details={"table_arn": found.arn},
            )
    return prepare_settings(source, destination, source_table, table, options, found)


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Plan what differs, and set it or leave it to the waiter."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    table = params["name"]
    source_table = params["source_table"] or table
    options = SettingsOptions(
        defer=tuple(params["defer"]),
        **given(params, ("kms_key_map", "kinesis_map", "principal_map", "migration_id", "warm_throughput")),
    )
    foreseen_as = _MADE_BY[params["made_by"]] if check_mode else None
    plan = _plan(source, destination, source_table, table, options, params["table_id"] or "", foreseen_as)
    job = settings_job(table, source_table, options, plan)
    if check_mode:
        job = foreseen(job)
    elif params["wait"]:
        job = finished(job, source, destination, params["wait_timeout"], progress)
    left = [entry.to_dict() for entry in plan.left]
    return {
        **start_result(job, plan.changes),
        "settings_carried": job.result.get("settings_carried", list(plan.carried)),
        "settings_left": job.result.get("settings_left", left),
    }


VERB = Verb("dynamodb_table_settings", SPEC, run, services=("application-autoscaling", "dynamodb", "kms", "sts"))
