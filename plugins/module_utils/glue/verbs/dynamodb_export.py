# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports a table to S3."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from ...core.errors import InvalidInput
from ...core.exports.export import plan_export, start_export
from ...core.exports.export_request import ExportOptions
from ...core.imports.import_place import ImportLoader
from ...core.methods.method import naming_methods
from ...core.migration import METHODS, method_of
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, refuse_held
from ..spec import KEY_MAP_OPTIONS, STAGING_OPTIONS, STARTING_OPTIONS, Progress, Verb, account_option, given
from ..starting import finished, start_result

SPEC: dict[str, Any] = {
    **STARTING_OPTIONS,
    **STAGING_OPTIONS,
    **KEY_MAP_OPTIONS,
    "name": {"type": "str", "required": True},
    "source": account_option(required=True),
    "destination": account_option(),
    "destination_table": {"type": "str"},
    "method": {"type": "str", "default": "auto"},
    "prefix": {"type": "str"},
    "sse_algorithm": {"type": "str", "choices": ["AES256", "KMS"], "default": "AES256"},
    "kms_key_arn": {"type": "str", "no_log": False},
    "export_type": {"type": "str", "choices": ["full", "incremental"], "default": "full"},
    "export_time": {"type": "str"},
    "from_time": {"type": "str"},
    "to_time": {"type": "str"},
    "view_type": {"type": "str", "choices": ["NEW_AND_OLD_IMAGES", "NEW_IMAGE"], "default": "NEW_AND_OLD_IMAGES"},
    "export_format": {"type": "str", "choices": ["DYNAMODB_JSON", "ION"], "default": "DYNAMODB_JSON"},
    "filter": {"type": "dict"},
    "export_max_age": {"type": "int", "default": 86400},
    "enable_point_in_time_recovery": {"type": "bool", "default": False},
    "point_in_time_recovery_days": {"type": "int", "default": 0},
    "point_in_time_recovery_wait": {"type": "int", "default": 1800},
    "replace_failed": {"type": "bool", "default": False},
    "writes_stopped": {"type": "bool", "default": False},
    **RECORD_OPTIONS,
}

_EXPORT_TYPES = {"full": "FULL_EXPORT", "incremental": "INCREMENTAL_EXPORT"}
_SAME_NAME = (
    "destination_table",
    "bucket",
    "bucket_owner",
    "prefix",
    "sse_algorithm",
    "kms_key_arn",
    "view_type",
    "export_format",
    "filter",
    "migration_id",
    "enable_point_in_time_recovery",
    "point_in_time_recovery_days",
    "point_in_time_recovery_wait",
    "kms_key_map",
    "replace_failed",
    "writes_stopped",
)


def to_time(name: str, text: str | None) -> datetime | None:
    """A time option: ISO 8601, UTC without an offset; None where it is not given. Raises InvalidInput."""
    if not text:
        return None
    try:
        time = datetime.fromisoformat(text)
    except ValueError as error:
        raise InvalidInput(
            f"{name} {text!r} is not a time.", "Use the ISO 8601 format, for example 2026-10-08T12:00:00Z."
        ) from error
    return time if time.tzinfo else time.replace(tzinfo=UTC)


def options(params: dict[str, Any]) -> ExportOptions:
    """The core's options from the verb's. Raises InvalidInput, UnknownMethod, NotInThisVersion."""
    full = params["export_type"] == "full"
    return ExportOptions(
        table=params["name"],
        to_import=full and not method_of(params["method"], params["name"]).local_secondary_indexes,
        export_type=_EXPORT_TYPES[params["export_type"]],
        max_age=params["export_max_age"],
        **{name: to_time(name, params[name]) for name in ("export_time", "from_time", "to_time")},
        **given(params, _SAME_NAME),
    )


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Find the export of an earlier run, or start one."""
    accounts = Accounts(params)
    source = accounts.get("source", params["source"])
    destination = accounts.find("destination", params["destination"])
    if destination is not None:
        refuse_held(destination, params["record_table"], params["destination_table"] or params["name"])
    with naming_methods(METHODS):
        plan = plan_export(source, destination, options(params), ImportLoader())
    job = plan.job.foreseen if check_mode else start_export(source, destination, plan)
    if params["wait"] and not check_mode:
        job = finished(job, source, destination, params["wait_timeout"], progress)
    result = start_result(job, plan.changes, plan.obstacle if check_mode else None)
    return {**result, "table": plan.definition.to_dict(), "left": [left.to_dict() for left in plan.left]}


VERB = Verb(
    "dynamodb_export",
    SPEC,
    run,
    services=("dynamodb", "kms", "s3", "sts"),
    rules={
        "mutually_exclusive": [("export_time", "from_time"), ("export_time", "to_time")],
        "required_if": [("export_type", "incremental", ("from_time",))],
    },
)
