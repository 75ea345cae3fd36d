# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The status of exports, and finding that of an earlier run: by its token, or its result by its summary on S3."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import product
from typing import Any

from .. import sdk
from ..account import RETRIES, Account
from ..aws_errors import is_passing
from ..errors import AccessDenied, ExportFailed, FerryError
from ..jobs.job import Job, State, ended_with
from ..jobs.token import with_token
from ..jobs.tracking import NUMBERS_PER_ATTEMPT
from ..table.definition import json_safe
from .at_once import counted_since, lacks_items
from .export_request import STOPPED_PURPOSE, ExportOptions, texts_of, to_time
from .failures import export_failed
from .manifest import FOLDER, SUMMARY, data_prefix
from .staging import StagingBucket

# Numbers whose token is tried on exports that nothing else knows: those of exports without a record, and the first ones
# of each of a record's first attempts.
NUMBERS_LOOKED_FOR = (
    *range(20),
    *(attempt * NUMBERS_PER_ATTEMPT + number for attempt in range(1, 10) for number in range(4)),
)
EXPORT_STATES: dict[str, State] = {"IN_PROGRESS": "running", "COMPLETED": "completed", "FAILED": "failed"}


def look_up(source: Account, last: Job) -> Job:
    """The record's newest export with its status now."""
    if last.arn:
        return describe_export(source, last) if last.open else last
    token = last.request["call"].get("ClientToken")
    for description in exports_of(source, last.request["source"]["table_arn"]) if token else ():
        if description.get("ClientToken") == token:
            return described(last, description)
    return last


def find_by_token(source: Account, requested: Job) -> Job | None:
    """The newest export that this very request made, where no record knows it: its token is made of the whole request.

    One that was asked for when writes had stopped has a purpose of its own, and shows their end. A foreign export
    cannot have such a token, so none is taken whose filter an old SDK does not show (measured/import-export-table 1.4).
    """
    for description in exports_of(source, requested.request["source"]["table_arn"]):
        if description.get("S3Prefix") != requested.request["call"]["S3Prefix"]:
            continue
        times = {"ExportTime": description["ExportTime"]} if description.get("ExportTime") else {}
        if "IncrementalExportSpecification" in requested.request["call"]:
            times = {"IncrementalExportSpecification": description.get("IncrementalExportSpecification", {})}
        times = json_safe(texts_of(times))
        call = {**requested.request["call"], **times}
        untimed = {name: value for name, value in call.items() if name != "ExportTime"}  # of an export at once
        for number, asked in product(NUMBERS_LOOKED_FOR, (call, untimed)):
            guess = with_token(replace(requested, attempt=number, request={**requested.request, "call": asked}))
            if guess.request["call"]["ClientToken"] != description.get("ClientToken"):
                continue
            found = described(guess, description)
            if asked is untimed and call != untimed:
                found = counted_since(source, found)
            if found.request["purpose"] == STOPPED_PURPOSE:
                return replace(found, request={**found.request, "not_before": found.result["export_time"]})
            return found
    return None


def exports_of(source: Account, table_arn: str) -> Iterator[dict[str, Any]]:
    """Descriptions of the table's exports, newest first."""
    doing = "listing exports"
    summaries = source.pages("dynamodb", "list_exports", "ExportSummaries", doing, TableArn=table_arn, MaxResults=25)
    for summary in summaries:
        answer = source.ask("dynamodb", "describe_export", doing, ExportArn=summary["ExportArn"])
        yield answer["ExportDescription"]


def describe_export(source: Account, job: Job, *, retries: int = RETRIES) -> Job:
    """The export's status now. A record that AWS has dropped (90 days) is a failed export.

    A waiter, which paces its calls itself, asks for no ``retries``.
    """
    try:
        answer = source.client("dynamodb", retries=retries).describe_export(ExportArn=job.arn)
        return described(job, answer["ExportDescription"])
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) == "ExportNotFoundException":
            return ended_with(job, export_failed(job.arn, sdk.error_code(error), sdk.error_message(error)))
        raise source.explain(error, f"describing the export {job.arn}", job.name) from error


def read_result(destination: Account, job: Job) -> Job | None:
    """The completed export from its summary on S3, read by the destination, which needs it anyway.

    Many exports end at once, and DescribeExport is throttled after a dozen (measured/import-export-table 1.11), S3 is
    not. None when it cannot be read: then AWS is asked.
    """
    call = job.request["call"]
    key = f"{call['S3Prefix']}/{FOLDER}{job.arn.rpartition('/')[2]}/{SUMMARY}"
    try:
        summary = json.loads(StagingBucket.from_dict(destination, job.request["bucket"]).read(key))
        if summary["exportArn"] != job.arn:
            return None
        description = {
            "ExportArn": job.arn,
            "ExportStatus": "COMPLETED",
            "ExportManifest": key,
            "ItemCount": summary["itemCount"],
            "BilledSizeBytes": summary.get("billedSizeBytes"),
            "TableId": summary.get("tableId", ""),
            "ExportTime": summary.get("exportTime", ""),
            "StartTime": summary.get("startTime", ""),
            "EndTime": summary.get("endTime", ""),
        }
        return described(job, description)
    except (FerryError, ValueError, KeyError, TypeError):
        return None


def described(job: Job, description: Mapping[str, Any]) -> Job:
    """``job`` with what DescribeExport says; counts and manifest are there only at the end."""
    manifest_key = description.get("ExportManifest", "")
    values = json_safe(description)
    state = EXPORT_STATES.get(description["ExportStatus"], "running")
    result = {
        "export_id": description["ExportArn"].rpartition("/")[2],
        "export_time": values.get("ExportTime", ""),
        "start_time": values.get("StartTime", ""),
        "end_time": values.get("EndTime", ""),
        "table_id": values.get("TableId", ""),
    }
    if state == "completed":
        result |= {
            "item_count": int(description.get("ItemCount", 0)),
            "billed_bytes": int(description.get("BilledSizeBytes") or 0),
            "manifest_key": manifest_key,
        }
        if job.request["call"].get("ExportType") != "INCREMENTAL_EXPORT":
            result["data_prefix"] = data_prefix(manifest_key)
    return replace(
        job,
        state=state,
        pending_reason="",
        arn=description["ExportArn"],
        failure=_failure(description) if state == "failed" else {},
        result={**job.result, **result},
    )


def _failure(description: Mapping[str, Any]) -> dict[str, Any]:
    code, message = description.get("FailureCode", ""), description.get("FailureMessage", "")
    return export_failed(description["ExportArn"], code, message).to_failure()


def serves(source: Account, last: Job, requested: Job, options: ExportOptions) -> bool:
    """Whether an earlier export is what is requested: running, or completed not longer ago than ``max_age``."""
    if last.state not in ("running", "completed") or not last.arn:
        return False
    if last.request["source"] != requested.request["source"] or lacks_items(last):
        return False
    if options.shows_the_end and not last.request.get("not_before"):
        return False  # it shows an instant before the writes stopped
    asked, made = requested.request["call"], last.request["call"]
    for member in ("S3Bucket", "ExportFormat", "ExportType", "FilterSpecification"):
        if asked.get(member) != made.get(member):
            return False
    if asked["S3Prefix"] != made.get("S3Prefix") and not last.request.get("shared"):
        return False
    if "ExportTime" in asked and asked["ExportTime"] != made.get("ExportTime"):
        return False
    window, had = (call.get("IncrementalExportSpecification", {}) for call in (asked, made))
    if any(had.get(member) != value for member, value in window.items()):
        return False
    if last.state == "running":
        return True
    ended = last.result.get("end_time") or last.result.get("export_time") or None
    return source.is_young(to_time(ended) if ended else None, options.max_age)


def known_empty(source: Account, job: Job) -> Job:
    """An export without items is believed only when the table has none now (aws.md A3); a filter may leave none."""
    if job.request["filtered"] or job.request["call"]["ExportType"] != "FULL_EXPORT":
        return replace(job, result={**job.result, "known_empty": bool(job.request["filtered"])})
    full = has_items(source, job.name)
    if not full:
        return job if full is None else replace(job, result={**job.result, "known_empty": True})
    error = ExportFailed(
        f"The export shows the table at {job.result['export_time']}, when it was empty; now it has items.",
        "Run again: the next export shows a later time.",
        table=job.name,
    )
    return ended_with(job, error)


def has_items(source: Account, table: str) -> bool | None:
    """Whether the table has an item now, by one read; None without permission. Raises the SDK's passing errors."""
    try:
        answer = source.client("dynamodb").scan(TableName=table, Limit=1, Select="COUNT", ConsistentRead=True)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if is_passing(error):
            raise
        explained = source.explain(error, "looking for items in the table", table)
        if isinstance(explained, AccessDenied):
            return None
        raise explained from error
    return bool(answer["Count"])
