# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of imports, and finding one by its token when its ARN was lost."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from ..account import RETRIES, Account
from ..destination import UNKNOWN_IMPORT, imports_of, read_import
from ..jobs.job import Job, State, ended_with
from .failures import import_failed

IMPORT_STATES: dict[str, State] = {
    "IN_PROGRESS": "running",
    "CANCELLING": "running",
    "COMPLETED": "completed",
    "FAILED": "failed",
    "CANCELLED": "cancelled",
}


def find_started(destination: Account, job: Job) -> Job | None:
    """The import of ``job``'s token, when it was started but its ARN was lost. Reads only."""
    call = job.request["call"]
    table_arn = destination.table_arn(call["TableCreationParameters"]["TableName"])
    for summary in imports_of(destination, table_arn):
        if summary.get("S3BucketSource", {}).get("S3KeyPrefix") != call["S3BucketSource"]["S3KeyPrefix"]:
            continue
        description = read_import(destination, summary["ImportArn"])
        if description is not None and description.get("ClientToken") == call["ClientToken"]:
            return described(job, description)
    return None


def describe_import(destination: Account, job: Job, *, retries: int = RETRIES) -> Job:
    """The import's status now. A waiter, which paces its calls itself, asks for no ``retries``."""
    description = read_import(destination, job.arn, retries)
    if description is None:
        return ended_with(job, import_failed(job, "failed", UNKNOWN_IMPORT, "AWS does not know the import."))
    return described(job, description)


def described(job: Job, description: Mapping[str, Any]) -> Job:
    """``job`` with what DescribeImport says. Counters are 0 until the end (aws.md B2)."""
    state = IMPORT_STATES.get(description["ImportStatus"], "running")
    job = replace(job, arn=description["ImportArn"])
    code, message = description.get("FailureCode", ""), description.get("FailureMessage", "")
    failed = state in ("failed", "cancelled")
    return replace(
        job,
        state=state,
        pending_reason="",
        failure=import_failed(job, state, code, message).to_failure() if failed else {},
        result={
            "table_id": description.get("TableId", ""),
            "table_arn": description.get("TableArn", ""),
            "processed_items": int(description.get("ProcessedItemCount", 0)),
            "imported_items": int(description.get("ImportedItemCount", 0)),
            "errors": int(description.get("ErrorCount", 0)),
            "processed_bytes": int(description.get("ProcessedSizeBytes") or 0),
            "start_time": description.get("StartTime", ""),
            "end_time": description.get("EndTime", ""),
            "log_group": description.get("CloudWatchLogGroupArn", ""),
        },
    )
