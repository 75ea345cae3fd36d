# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The request for an export: its options, the call made of them, the instant it shows, its attempt and token."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

from ..errors import InvalidInput
from ..jobs.job import Job
from ..jobs.token import with_token
from ..route import Route
from ..table.definition import TableDefinition, json_safe
from .manifest import FOLDER
from .recovery import RecoveryWindow
from .staging import StagingBucket

KIND = "export"
PURPOSE = "export"
STOPPED_PURPOSE = "export-stopped"  # of an export without a record that was asked for when writes had stopped
SHORTEST_WINDOW, LONGEST_WINDOW = timedelta(minutes=15), timedelta(hours=24)  # of an incremental export (aws.md A8)
_TIMES = ("ExportTime", "ExportFromTime", "ExportToTime")


@dataclass(frozen=True)
class ExportOptions:
    """What to export, and where. ``max_age`` and the wait are seconds; times are rounded down to whole UTC seconds.

    With ``to_import`` the destination is to load it: a table is refused that its loader cannot make, and a bucket that
    it may not list. With ``writes_stopped`` an export that is not asked for the end of its time shows nothing before
    the instant at which it was planned.
    """

    table: str
    bucket: str
    destination_table: str = ""
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
    to_import: bool = True
    writes_stopped: bool = False

    @property
    def shows_the_end(self) -> bool:
        """Whether the export has to show what the table holds now, after the last write."""
        return self.writes_stopped and self.export_time is None and self.to_time is None


def export_job(options: ExportOptions, definition: TableDefinition, route: Route, bucket: StagingBucket) -> Job:
    """The export that is requested, without its time, attempt and token."""
    call: dict[str, Any] = {
        "TableArn": definition.arn,
        "S3Bucket": bucket.name,
        "S3BucketOwner": bucket.owner,
        "S3Prefix": options.prefix.strip("/") or route.export_prefix,
        "S3SseAlgorithm": options.sse_algorithm,
        "ExportFormat": options.export_format,
        "ExportType": options.export_type,
    }
    if options.kms_key_arn:
        call["S3SseKmsKeyId"] = options.kms_key_arn
    if options.filter:
        call["FilterSpecification"] = json_safe(options.filter)
    purpose = PURPOSE
    if options.export_type == "INCREMENTAL_EXPORT":
        call["IncrementalExportSpecification"] = _increment(options)
        purpose = (
            f"incremental-{_floor(options.from_time).strftime('%Y%m%dt%H%M%Sz')}" if options.from_time else PURPOSE
        )
    elif options.export_time is not None:
        call["ExportTime"] = to_text(options.export_time)
    return Job(
        KIND,
        definition.name,
        migration_id=options.migration_id,
        request={
            "purpose": purpose,
            "route": route.to_dict(),
            "bucket": bucket.to_dict(),
            "call": call,
            "source": {"table_arn": definition.arn, "table_id": definition.table_id},
            "filtered": bool(options.filter),
            "max_age": options.max_age,
            "enable_point_in_time_recovery": options.enable_point_in_time_recovery,
            "point_in_time_recovery_days": options.point_in_time_recovery_days,
            "point_in_time_recovery_wait": options.point_in_time_recovery_wait,
        },
    )


def _increment(options: ExportOptions) -> dict[str, str]:
    if options.from_time is None:
        raise InvalidInput("An incremental export needs from_time.", "Set from_time.", table=options.table)
    specification = {"ExportFromTime": to_text(options.from_time), "ExportViewType": options.view_type}
    if options.to_time is not None:
        length = _floor(options.to_time) - _floor(options.from_time)
        if not SHORTEST_WINDOW <= length <= LONGEST_WINDOW:
            raise InvalidInput(
                f"The window of the incremental export is {length}: AWS allows 15 minutes to 24 hours.",
                "Choose from_time and to_time accordingly.",
                table=options.table,
            )
        specification["ExportToTime"] = to_text(options.to_time)
    return specification


def timed(requested: Job, window: RecoveryWindow) -> Job:
    """``requested`` with the instant it shows, or pending while there is none yet that is not before the moment it has
    to show. Raises InvalidInput."""
    newest = window.newest_since(requested.request.get("not_before", ""))
    call = requested.request["call"]
    asked = call.get("ExportTime") or call.get("IncrementalExportSpecification", {}).get("ExportFromTime")
    if asked and window.enabled and window.earliest is not None and to_time(asked) < window.earliest:
        raise InvalidInput(
            f"{asked} is before the start of point-in-time recovery ({to_text(window.earliest)}).",
            "Choose a later time.",
            table=requested.name,
        )
    if newest is None:
        return replace(requested, state="pending", pending_reason="point_in_time_recovery")
    last = call.get("ExportTime") or call.get("IncrementalExportSpecification", {}).get("ExportToTime")
    if last and to_time(last) > newest:
        raise InvalidInput(
            f"{last} is later than what can be exported now ({to_text(newest)}).",
            "Choose an earlier time, or leave it out.",
            table=requested.name,
        )
    return at_time(requested, newest)


def at_time(job: Job, newest: datetime) -> Job:
    """``job`` ready to start, showing the newest instant where it names none (whole seconds: aws.md A1)."""
    call = dict(job.request["call"])
    window = call.get("IncrementalExportSpecification")
    if window is None:
        call.setdefault("ExportTime", to_text(newest))
    elif "ExportToTime" not in window:
        end = min(newest, to_time(window["ExportFromTime"]) + LONGEST_WINDOW)
        if end - to_time(window["ExportFromTime"]) < SHORTEST_WINDOW:
            raise InvalidInput(
                f"The window of the incremental export would be {end - to_time(window['ExportFromTime'])}.",
                "Run again when 15 minutes of changes can be exported.",
                table=job.name,
            )
        call["IncrementalExportSpecification"] = {**window, "ExportToTime": to_text(end)}
    return replace(job, state="planned", pending_reason="", request={**job.request, "call": call})


def numbered(requested: Job, last: Job | None, window: RecoveryWindow, options: ExportOptions) -> Job:
    """``requested`` with its attempt and, where its time is known, its token.

    A start that was killed before the call is repeated with its instant and token, while that instant can be exported.
    """
    if last is not None and not last.arn and not (options.shows_the_end and not last.request.get("not_before")):
        again = _with_time_of(replace(requested, state="planned", pending_reason="", attempt=last.attempt), last)
        if again.request["call"] == last.request["call"] and may_still_show(again, window, options):
            return again
    fresh = replace(requested, attempt=last.attempt + 1 if last else 0)
    return with_token(fresh) if fresh.state == "planned" else fresh


def may_still_show(job: Job, window: RecoveryWindow, options: ExportOptions) -> bool:
    """Whether the instant of ``job`` can be exported and is not older than the options allow."""
    since = _shows(job)
    if since is None and "page_items" in job.request:
        return window.enabled  # it names no time, and shows that of its call
    return (
        since is not None
        and window.earliest is not None
        and since >= window.earliest
        and window.asked_at - since <= timedelta(seconds=options.max_age)
    )


def is_same_request(last: Job, requested: Job) -> bool:
    """Whether ``last`` asks for what ``requested`` does, whatever instant, folder and token it has."""
    return bool(last.request["source"] == requested.request["source"]) and _terms(last) == _terms(requested)


def _terms(job: Job) -> dict[str, Any]:
    free = ("ExportTime", "IncrementalExportSpecification", "S3Prefix", "ClientToken")
    return {name: value for name, value in job.request["call"].items() if name not in free}


def _with_time_of(job: Job, last: Job) -> Job:
    call = last.request["call"]
    times = {name: call[name] for name in ("ExportTime", "IncrementalExportSpecification") if name in call}
    return with_token(replace(job, request={**job.request, "call": {**job.request["call"], **times}}))


def _shows(job: Job) -> datetime | None:
    """The instant that an export shows; of an incremental one its beginning."""
    call = job.request["call"]
    time = call.get("ExportTime") or call.get("IncrementalExportSpecification", {}).get("ExportFromTime")
    return to_time(time) if time else None


def summary_of(job: Job) -> dict[str, Any]:
    """What a preview shows of the export: where it goes, the instant it shows, format and filter."""
    call = job.request["call"]
    return {
        "to": f"s3://{call['S3Bucket']}/{call['S3Prefix']}/{FOLDER}",
        **({"not_before": job.request["not_before"]} if job.request.get("not_before") else {}),
        **{
            name: call[name]
            for name in ("ExportTime", "IncrementalExportSpecification", "ExportFormat")
            if name in call
        },
        **({"filter": call["FilterSpecification"]} if "FilterSpecification" in call else {}),
    }


def to_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """The request as botocore takes it: times as datetimes."""
    return {
        name: to_call(value)
        if isinstance(value, Mapping) and name == "IncrementalExportSpecification"
        else to_time(value)
        if name in _TIMES
        else value
        for name, value in call.items()
    }


def texts_of(call: Mapping[str, Any]) -> dict[str, Any]:
    """Times of a description as requests have them."""
    return {
        name: texts_of(value) if isinstance(value, Mapping) else to_text(value) if name in _TIMES else value
        for name, value in call.items()
    }


def _floor(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


def to_text(time: datetime) -> str:
    """A time as requests write it: whole seconds, UTC."""
    return _floor(time).strftime("%Y-%m-%dT%H:%M:%SZ")


def to_time(text: str) -> datetime:
    """The time that ``to_text`` wrote."""
    return datetime.fromisoformat(text)
