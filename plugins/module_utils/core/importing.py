# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports of a table from S3: find the one of an earlier run, or start one exactly once (aws.md B)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from .account import Account
from .change import Change
from .errors import FerryError, ImportFailed
from .job import Job
from .table.definition import TableDefinition


@dataclass(frozen=True)
class ImportOptions:
    """What to import and from where. ``table`` is the destination table, ``source_table`` defaults to the same name.

    Either ``export`` (the job of an export) or ``prefix`` (``.../AWSDynamoDB/<id>/data/``) names the data.
    """

    table: str
    bucket: str
    source_table: str = ""
    bucket_owner: str = ""
    export: Job | None = None
    prefix: str = ""
    input_format: Literal["DYNAMODB_JSON", "ION"] = "DYNAMODB_JSON"
    compression: Literal["GZIP", "ZSTD", "NONE"] = "GZIP"
    definition: TableDefinition | None = None
    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    migration_id: str = "default"
    replace_failed: bool = False
    max_age: int = 86400


@dataclass(frozen=True)
class ImportPlan:
    """What a start would do. ``obstacle`` is what must be mended before the start, which raises it (check mode does not)."""

    job: Job
    changes: list[Change]
    obstacle: FerryError | None = None


def plan_import(source: Account | None, destination: Account, options: ImportOptions) -> ImportPlan:
    """What a start would do; reads only."""
    raise NotImplementedError


def start_import(destination: Account, plan: ImportPlan) -> Job:
    """Start the import of ``plan``, once; or leave it pending."""
    raise NotImplementedError


def explain_failure(destination: Account, job: Job) -> ImportFailed:
    """Why the import ``job`` failed, from its log, and what to do."""
    raise NotImplementedError
