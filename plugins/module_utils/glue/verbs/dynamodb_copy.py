# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Copies a table through the controller."""

from __future__ import annotations

from typing import Any

from ...core.data_plane import ItemChoices
from ...core.methods.direct.copy_job import plan_direct
from ...core.methods.direct.options import DirectOptions
from ..accounts import Accounts
from ..spec import (
    BOTH_ACCOUNTS_OPTIONS,
    COPYING_OPTIONS,
    INDEX_OPTIONS,
    KEY_MAP_OPTIONS,
    READING_OPTIONS,
    STARTING_OPTIONS,
    Progress,
    Verb,
    given,
)
from ..starting import finished, start_result

SPEC: dict[str, Any] = {
    **STARTING_OPTIONS,
    **KEY_MAP_OPTIONS,
    **READING_OPTIONS,
    **COPYING_OPTIONS,
    **INDEX_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    "destination_table": {"type": "str"},
    "warm_throughput": {"type": "bool", "default": True},
    "count": {"type": "bool", "default": True},
    "wait": {"type": "bool", "default": True},
}

_SAME_NAME = (
    "destination_table",
    "migration_id",
    "kms_key_map",
    "warm_throughput",
    "count",
)


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Copy the table, or leave it to the waiter; the copy of an earlier run is found."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    items = ItemChoices(**given(params, (*READING_OPTIONS, *COPYING_OPTIONS)))
    indexes = {name: tuple(params[name]) for name in INDEX_OPTIONS}
    options = DirectOptions(table=params["name"], items=items, **indexes, **given(params, _SAME_NAME))
    plan = plan_direct(source, destination, options)
    job = plan.job.foreseen if check_mode else plan.job
    if params["wait"] and not check_mode:
        job = finished(job, source, destination, params["wait_timeout"], progress)
    return {**start_result(job, plan.changes), "table": plan.definition.to_dict()}


VERB = Verb("dynamodb_copy", SPEC, run, services=("dynamodb", "kms", "sts"))
