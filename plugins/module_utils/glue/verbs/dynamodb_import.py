# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports a table from S3."""

from __future__ import annotations

from typing import Any

from ...core.imports.import_request import ImportOptions
from ...core.imports.importing import plan_import, start_import
from ...core.methods.method import naming_methods
from ...core.migration import METHODS, job_from
from ...core.table.definition import TableDefinition
from ..accounts import Accounts
from ..records import RECORD_OPTIONS, refuse_held
from ..spec import (
    INDEX_OPTIONS,
    KEY_MAP_OPTIONS,
    STAGING_OPTIONS,
    STARTING_OPTIONS,
    Progress,
    Verb,
    account_option,
    given,
)
from ..starting import finished, start_result

SPEC: dict[str, Any] = {
    **STARTING_OPTIONS,
    **STAGING_OPTIONS,
    **KEY_MAP_OPTIONS,
    **INDEX_OPTIONS,
    "name": {"type": "str", "required": True},
    "destination": account_option(required=True),
    "source": account_option(),
    "source_table": {"type": "str"},
    "export": {"type": "dict"},
    "prefix": {"type": "str"},
    "definition": {"type": "dict"},
    "input_format": {"type": "str", "choices": ["DYNAMODB_JSON", "ION"], "default": "DYNAMODB_JSON"},
    "compression": {"type": "str", "choices": ["GZIP", "ZSTD", "NONE"], "default": "GZIP"},
    "replace_failed": {"type": "bool", "default": False},
    "export_max_age": {"type": "int", "default": 86400},
    "refused_path": {"type": "path"},
    **RECORD_OPTIONS,
}

_SAME_NAME = (
    "bucket",
    "bucket_owner",
    "source_table",
    "prefix",
    "input_format",
    "compression",
    "kms_key_map",
    "migration_id",
    "replace_failed",
    "refused_path",
)


def options(params: dict[str, Any]) -> ImportOptions:
    """The core's options from the verb's. Raises InvalidInput."""
    return ImportOptions(
        table=params["name"],
        export=job_from(params["export"]) if params["export"] else None,
        definition=TableDefinition.from_dict(params["definition"]) if params["definition"] else None,
        max_age=params["export_max_age"],
        without_indexes=(*params["indexes_after"], *params["leave_indexes"]),
        **given(params, _SAME_NAME),
    )


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Find the import of an earlier run, or start one."""
    accounts = Accounts(params)
    source = accounts.find("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    refuse_held(destination, params["record_table"], params["name"])
    with naming_methods(METHODS):
        plan = plan_import(source, destination, options(params))
    job = plan.job.foreseen if check_mode else start_import(destination, plan)
    if params["wait"] and not check_mode:
        job = finished(job, source, destination, params["wait_timeout"], progress)
    return start_result(job, plan.changes, plan.obstacle if check_mode else None)


VERB = Verb(
    "dynamodb_import",
    SPEC,
    run,
    services=("dynamodb", "kms", "logs", "s3", "sts"),
    rules={
        "mutually_exclusive": [("export", "prefix")],
        "required_one_of": [("export", "prefix"), ("source", "definition")],
    },
)
