# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports of a table to S3: find the one of an earlier run, or start one exactly once (aws.md A)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

from .account import Account
from .change import Change, Left
from .errors import FerryError
from .job import Job
from .table.definition import TableDefinition


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and where to. ``max_age`` and the wait are seconds; times are floored to whole UTC seconds."""

    table: str
    bucket: str
    destination_table: str = ""
    method: str = "auto"
    bucket_owner: str = ""
    prefix: str = ""
    sse_algorithm: Literal["AES256", "KMS"] = "AES256"
    kms_key_arn: str = ""
    export_type: Literal["FULL_EXPORT", "INCREMENTAL_EXPORT"] = "FULL_EXPORT"
    export_time: datetime | None = None
    from_time: datetime | None = None
    to_time: datetime | None = None
    view_type: Literal["NEW_AND_OLD_IMAGES", "NEW_IMAGE"] = "NEW_AND_OLD_IMAGES"
    export_format: Literal["DYNAMODB_JSON", "ION"] = "DYNAMODB_JSON"
    filter: Mapping[str, Any] | None = None
    migration_id: str = "default"
    max_age: int = 86400
    enable_point_in_time_recovery: bool = False
    point_in_time_recovery_days: int = 0
    point_in_time_recovery_wait: int = 1800
    kms_key_map: Mapping[str, str] = field(default_factory=dict)
    replace_failed: bool = False


@dataclass(frozen=True)
class ExportPlan:
    """What a start would do. ``obstacle`` is what must be mended before the start, which raises it (check mode does not)."""

    job: Job
    changes: list[Change]
    definition: TableDefinition
    left: list[Left]
    obstacle: FerryError | None = None


def plan_export(source: Account, destination: Account | None, options: ExportOptions) -> ExportPlan:
    """What a start would do; reads only."""
    raise NotImplementedError


def start_export(source: Account, destination: Account | None, plan: ExportPlan) -> Job:
    """Start the export of ``plan``, once; or leave it pending."""
    raise NotImplementedError
