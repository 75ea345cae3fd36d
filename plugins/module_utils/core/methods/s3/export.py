# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports of a table to S3: find the one of an earlier run, or start one exactly once (aws.md A)."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any, ClassVar, Literal

from ... import sdk
from ...account import RETRIES, Account
from ...aws_errors import DENIED, NO_KEY, is_passing
from ...change import Change, NotCarried
from ...errors import (
    AccessDenied,
    ExportFailed,
    FerryError,
    FilterNotAllowed,
    InvalidInput,
    KeyNotUsable,
    MissingTable,
    PointInTimeRecoveryDisabled,
    PointInTimeRecoveryNotReady,
    Refused,
)
from ...jobs.job import Job, State, ended_with
from ...jobs.kind import Made, Page, Pause, SourceJobs, Steps, WaitItem, begun
from ...plan import choose_method
from ...route import Route, with_token
from ...table.creation import import_parameters
from ...table.definition import TableDefinition, json_safe
from ...table.encryption import read_encryption, resolve_key_map
from ...table_status import require_usable
from .failures import export_failed
from .importing import PURPOSE as IMPORT
from .importing import Place, explain_failure, look_at_destination
from .ledger import Ledger, ledger_of
from .manifest import FOLDER, SUMMARY, check_readable, data_prefix, read_manifest
from .staging import BucketMissing, StagingBucket

PURPOSE = "export"
RECOVERY_TAG = "tableferry:point-in-time-recovery"
PROBE = "tableferry-probe"  # the object that shows, before any cost, that the source may write
SHORTEST_WINDOW, LONGEST_WINDOW = timedelta(minutes=15), timedelta(hours=24)  # of an incremental export (aws.md A8)
TOKENS_LOOKED_FOR = 20  # attempts whose token is tried on exports found without a ledger
SHORTEST_LOOK, LONGEST_LOOK = 1.0, 15.0  # seconds between looks at point-in-time recovery that was just turned on

_STATES: dict[str, State] = {"IN_PROGRESS": "running", "COMPLETED": "completed", "FAILED": "failed"}
_TIMES = ("ExportTime", "ExportFromTime", "ExportToTime")
_FILTER_MEMBERS = frozenset(
    {
        "KeyConditionExpression",
        "FilterExpression",
        "ProjectionExpression",
        "ExpressionAttributeNames",
        "ExpressionAttributeValues",
    }
)
_FILTER_WORDS = frozenset(
    {
        "and", "or", "not", "between", "in", "attribute_exists", "attribute_not_exists", "attribute_type",
        "begins_with", "contains", "size",
    }
)  # fmt: skip


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
    """What a start would do. ``obstacle`` is what must be mended first: the start raises it."""

    job: Job
    changes: list[Change]
    definition: TableDefinition
    left: list[NotCarried]
    obstacle: FerryError | None = None


@dataclass(frozen=True)
class RecoveryWindow:
    """Point-in-time recovery of a table (measured/settings 2.5): the instants an export can show."""

    enabled: bool
    earliest: datetime | None = None
    latest: datetime | None = None

    @property
    def newest(self) -> datetime | None:
        """The newest whole second that can be exported, None while recovery was only just turned on.

        Latest stands still at the enable time for 5 minutes; an export then may hold nothing (aws.md A3).
        """
        if not self.enabled or self.earliest is None or self.latest is None or self.latest <= self.earliest:
            return None
        whole = self.latest.replace(microsecond=0)
        return whole if whole > self.earliest else None


def read_recovery(source: Account, table: str) -> RecoveryWindow:
    """The table's point-in-time recovery by one call. Raises what Account.explain gives."""
    doing = "reading point-in-time recovery"
    answer = source.ask("dynamodb", "describe_continuous_backups", doing, table, TableName=table)
    told = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    return RecoveryWindow(
        enabled=told.get("PointInTimeRecoveryStatus") == "ENABLED",
        earliest=told.get("EarliestRestorableDateTime"),
        latest=told.get("LatestRestorableDateTime"),
    )


# Planning


def plan_export(source: Account, destination: Account | None, options: ExportOptions) -> ExportPlan:
    """What a start would do; reads only. With ``destination`` everything that can be known before a cost is looked at.

    The plan's job is ``not_needed`` when the destination is complete, ``running`` or ``completed`` for an export of an
    earlier run that serves, else ``planned``. Raises MissingTable, TableUnusable, UnknownMethod, NotInThisVersion,
    LocalSecondaryIndexes, FilterNotAllowed, PointInTimeRecoveryDisabled, DestinationExists, ImportFailed,
    MissingKeyMapping, KeyNotUsable, StagingBucketUnusable, InvalidInput, AccessDenied, CredentialsError.
    """
    definition = TableDefinition.read(source, options.table)
    if options.export_type == "FULL_EXPORT":
        choose_method(definition, options.method)
    check_filter(source, definition, options)
    route = _route(source, destination, definition, options)
    account = destination or source
    bucket = StagingBucket(account, options.bucket, _owner(source, destination, options), options.kms_key_arn)
    wanted = _wanted(options, definition, route, bucket)
    place, entries, obstacle = Place("free"), dict[str, Job](), None
    try:
        _check_staging_key(bucket, options)
        if destination is not None or bucket.owner == source.account_id:
            entries = Ledger(bucket, route).latest(wanted.request["purpose"], IMPORT)
    except BucketMissing as error:
        obstacle = error
    if destination is not None and options.export_type == "FULL_EXPORT":
        place = look_at_destination(destination, route, entries.get(IMPORT))
        _check_keys(source, destination, definition, options)
    last = entries.get(wanted.request["purpose"])
    if place.state in ("done", "running"):
        served = last or replace(wanted, request={**wanted.request, "call": {}})
        return ExportPlan(replace(served, state="not_needed"), [], definition, [])
    if last is None and destination is None:
        last = find_by_token(source, wanted)
    elif last is not None:
        last = _looked_up(source, last)
    if last is not None and _serves(last, wanted, options):
        return ExportPlan(last, [], definition, [], obstacle)
    if place.state == "partial" and place.job is not None and destination is not None and not options.replace_failed:
        raise explain_failure(destination, place.job)
    require_usable(definition.raw)
    window = read_recovery(source, options.table)
    changes = _recovery_changes(window, options, route)
    job = _numbered(_timed(wanted, window), last, window, options)
    changes.append(Change(f"export of {options.table}", None, _summary(job), "billed"))
    left = [NotCarried("items that do not match the filter", "the filter leaves them out")] if options.filter else []
    return ExportPlan(job, changes, definition, left, obstacle)


def _owner(source: Account, destination: Account | None, options: ExportOptions) -> str:
    return options.bucket_owner or (destination or source).account_id


def _route(source: Account, destination: Account | None, definition: TableDefinition, options: ExportOptions) -> Route:
    if destination is not None and destination.partition != source.partition:
        raise Refused(
            f"S3 does not reach from the partition {source.partition} into {destination.partition}.",
            "Use the method direct for this table.",
            table=options.table,
        )
    here, name = (source.account_id, source.region), options.destination_table or definition.name
    if destination is not None and (destination.account_id, destination.region, name) == (*here, definition.name):
        raise InvalidInput(
            "Source and destination are the same table.", "Set ferry_destination_table.", table=options.table
        )
    return Route(
        source_account_id=source.account_id,
        source_region=source.region,
        source_table=definition.name,
        destination_account_id=destination.account_id if destination else "",
        destination_region=destination.region if destination else "",
        destination_table=name,
        migration_id=options.migration_id,
    )


def check_filter(source: Account, definition: TableDefinition, options: ExportOptions) -> None:
    """Only filters that lose nothing in silence: key attributes, no projection, one-shot full exports (aws.md A8).

    Raises FilterNotAllowed.
    """
    told = options.filter
    if told is None:
        return

    def refuse(cause: str, next_step: str) -> FilterNotAllowed:
        return FilterNotAllowed(cause, next_step, table=options.table)

    unknown = sorted(set(told) - _FILTER_MEMBERS)
    if unknown or not told:
        raise refuse(
            f"The filter has unknown members: {', '.join(unknown)}." if unknown else "The filter is empty.",
            f"Use {', '.join(sorted(_FILTER_MEMBERS))}, as a Query takes them.",
        )
    if options.export_type != "FULL_EXPORT":
        raise refuse("Changes cannot be filtered: an item that stops matching would stay.", "Leave the filter out.")
    if told.get("ProjectionExpression"):
        raise refuse("A projection would make partial items.", "Leave ProjectionExpression out.")
    if told.get("KeyConditionExpression") and told.get("FilterExpression"):
        raise refuse("With a key condition AWS filters other attributes than keys.", "Give one of the two.")
    strangers = filter_attributes(str(told.get("FilterExpression", "")), told.get("ExpressionAttributeNames", {}))
    strangers -= set(definition.key_attributes)
    if strangers:
        raise refuse(
            f"The filter looks at {', '.join(sorted(strangers))}, which can change.",
            f"Filter on the key attributes {', '.join(definition.key_attributes)} only.",
        )
    try:
        model = source.client("dynamodb").meta.service_model.operation_model("ExportTableToPointInTime")
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        raise source.explain(error, "reading the SDK's model", options.table) from error
    if "FilterSpecification" not in model.input_shape.members:
        raise refuse("The installed botocore does not know export filters.", "Install botocore 1.43.106 or newer.")


def filter_attributes(expression: str, names: Mapping[str, str]) -> set[str]:
    """The top-level attributes that a filter expression looks at."""
    found = set()
    for match in re.finditer(r"(?<![\w.:#\]])(#?[A-Za-z_][\w-]*)", expression):
        word = match[1]
        if word.startswith("#"):
            found.add(names.get(word, word))
        elif word.lower() not in _FILTER_WORDS:
            found.add(word)
    return found


def _check_staging_key(bucket: StagingBucket, options: ExportOptions) -> None:
    """The staging key must be a customer's, named in full, in the bucket's Region (aws.md A5)."""
    if options.sse_algorithm == "AES256":
        if options.kms_key_arn:
            raise InvalidInput(
                "kms_key_arn is given, but sse_algorithm is AES256.", "Set sse_algorithm to KMS.", table=options.table
            )
        return
    parts = options.kms_key_arn.split(":")
    if len(parts) != 6 or parts[2] != "kms" or not parts[5].startswith("key/"):
        raise KeyNotUsable(
            f"The staging key {options.kms_key_arn!r} is not the full ARN of a key: the other account cannot use it.",
            "Set ferry_staging_kms_key_arn to arn:<partition>:kms:<region>:<account>:key/<id>.",
            table=options.table,
        )
    region = bucket.region()
    if parts[3] != region:
        raise KeyNotUsable(
            f"The staging key lies in {parts[3]}, the bucket {bucket.name} in {region}.",
            f"Use a key of {region}.",
            table=options.table,
        )
    _check_enabled(bucket.account, options.kms_key_arn, "staging", options.table)


def _check_enabled(account: Account, key_arn: str, whose: str, table: str) -> None:
    """Refuse a key that KMS knows to be unusable; a key that we may not look at may still work for DynamoDB."""
    try:
        metadata = account.client("kms").describe_key(KeyId=key_arn)["KeyMetadata"]
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) in DENIED:
            return
        if sdk.error_code(error) in NO_KEY:
            raise KeyNotUsable(
                f"The {whose} key {key_arn} does not exist.", "Name a key that exists.", table=table
            ) from error
        raise account.explain(error, f"describing the {whose} key", table) from error
    state = metadata.get("KeyState", "Enabled")
    if state != "Enabled":
        raise KeyNotUsable(f"The {whose} key {key_arn} is {state}.", "Enable it, or use another key.", table=table)
    if whose == "staging" and metadata.get("KeyManager") == "AWS":
        raise KeyNotUsable(
            f"The staging key {key_arn} is managed by AWS: other accounts cannot use it.",
            "Use a customer managed key.",
            table=table,
        )


def _check_keys(source: Account, destination: Account, definition: TableDefinition, options: ExportOptions) -> None:
    """Whether the destination can be encrypted as asked, and the source's key still works."""
    encryption, key_map = None, dict[str, str]()
    if definition.kms_key_arn:
        encryption = read_encryption(source, definition)
        if encryption.kind == "customer":
            _check_enabled(source, definition.kms_key_arn, "source table's", definition.name)
        key_map = resolve_key_map(destination, options.kms_key_map, definition.name, encryption)
    import_parameters(definition, options.destination_table or definition.name, key_map, encryption=encryption)


def _wanted(options: ExportOptions, definition: TableDefinition, route: Route, bucket: StagingBucket) -> Job:
    """The export that is asked for, without its time, attempt and token."""
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
        call["ExportTime"] = _to_text(options.export_time)
    return Job(
        "export",
        definition.name,
        migration_id=options.migration_id,
        request={
            "purpose": purpose,
            "route": route.to_dict(),
            "bucket": bucket.to_dict(),
            "call": call,
            "source": {"table_arn": definition.arn, "table_id": definition.table_id},
            "filtered": bool(options.filter),
            "enable_point_in_time_recovery": options.enable_point_in_time_recovery,
            "point_in_time_recovery_days": options.point_in_time_recovery_days,
            "point_in_time_recovery_wait": options.point_in_time_recovery_wait,
        },
    )


def _increment(options: ExportOptions) -> dict[str, str]:
    if options.from_time is None:
        raise InvalidInput("An incremental export needs from_time.", "Give from_time.", table=options.table)
    told = {"ExportFromTime": _to_text(options.from_time), "ExportViewType": options.view_type}
    if options.to_time is not None:
        length = _floor(options.to_time) - _floor(options.from_time)
        if not SHORTEST_WINDOW <= length <= LONGEST_WINDOW:
            raise InvalidInput(
                f"The window of the incremental export is {length}: AWS takes 15 minutes to 24 hours.",
                "Choose from_time and to_time accordingly.",
                table=options.table,
            )
        told["ExportToTime"] = _to_text(options.to_time)
    return told


def _recovery_changes(window: RecoveryWindow, options: ExportOptions, route: Route) -> list[Change]:
    """Turning point-in-time recovery on, where it is off and that is allowed. Raises PointInTimeRecoveryDisabled."""
    if window.enabled:
        return []
    if options.export_type == "INCREMENTAL_EXPORT":
        raise PointInTimeRecoveryDisabled(
            "Point-in-time recovery is off: the changes were not recorded.",
            "Start again with a full export.",
            table=options.table,
        )
    if not options.enable_point_in_time_recovery:
        raise PointInTimeRecoveryDisabled(
            "Point-in-time recovery is off, and an export needs it.",
            "Turn it on, or allow it with ferry_enable_point_in_time_recovery (it costs until it is turned off).",
            table=options.table,
        )
    after: dict[str, Any] = {"status": "ENABLED"}
    if options.point_in_time_recovery_days:
        after["days"] = options.point_in_time_recovery_days
    return [
        Change(f"tag {RECOVERY_TAG} of {options.table}", None, route.migration_id),
        Change(f"point-in-time recovery of {options.table}", {"status": "DISABLED"}, after, "billed"),
    ]


def _timed(wanted: Job, window: RecoveryWindow) -> Job:
    """``wanted`` with the instant it shows, or pending while there is none yet. Raises InvalidInput."""
    newest = window.newest
    call = wanted.request["call"]
    asked = call.get("ExportTime") or call.get("IncrementalExportSpecification", {}).get("ExportFromTime")
    if asked and window.enabled and window.earliest is not None and _to_time(asked) < window.earliest:
        raise InvalidInput(
            f"{asked} lies before the beginning of point-in-time recovery ({_to_text(window.earliest)}).",
            "Choose a later time.",
            table=wanted.name,
        )
    if newest is None:
        return replace(wanted, state="pending", pending_reason="point_in_time_recovery")
    last = call.get("ExportTime") or call.get("IncrementalExportSpecification", {}).get("ExportToTime")
    if last and _to_time(last) > newest:
        raise InvalidInput(
            f"{last} is later than what can be exported now ({_to_text(newest)}).",
            "Choose an earlier time, or none.",
            table=wanted.name,
        )
    return at_time(wanted, newest)


def at_time(job: Job, newest: datetime) -> Job:
    """``job`` ready to start, showing the newest instant where it names none (whole seconds: aws.md A1)."""
    call = dict(job.request["call"])
    window = call.get("IncrementalExportSpecification")
    if window is None:
        call.setdefault("ExportTime", _to_text(newest))
    elif "ExportToTime" not in window:
        end = min(newest, _to_time(window["ExportFromTime"]) + LONGEST_WINDOW)
        if end - _to_time(window["ExportFromTime"]) < SHORTEST_WINDOW:
            raise InvalidInput(
                f"The window of the incremental export would be {end - _to_time(window['ExportFromTime'])}.",
                "Wait until 15 minutes of changes can be exported.",
                table=job.name,
            )
        call["IncrementalExportSpecification"] = {**window, "ExportToTime": _to_text(end)}
    return replace(job, state="planned", pending_reason="", request={**job.request, "call": call})


def _numbered(wanted: Job, last: Job | None, window: RecoveryWindow, options: ExportOptions) -> Job:
    """``wanted`` with its attempt and, where its time is known, its token.

    A start that was killed before the call is begun again with the instant and token it had, while that instant serves.
    """
    if last is not None and not last.arn:
        again = _with_time_of(replace(wanted, state="planned", pending_reason="", attempt=last.attempt), last)
        since = _shows(again)
        if (
            again.request["call"] == last.request["call"]
            and since is not None
            and window.earliest is not None
            and since >= window.earliest
            and datetime.now(UTC) - since <= timedelta(seconds=options.max_age)
        ):
            return again
    numbered = replace(wanted, attempt=last.attempt + 1 if last else 0)
    return with_token(numbered) if numbered.state == "planned" else numbered


def _with_time_of(job: Job, last: Job) -> Job:
    told = last.request["call"]
    times = {name: told[name] for name in ("ExportTime", "IncrementalExportSpecification") if name in told}
    return with_token(replace(job, request={**job.request, "call": {**job.request["call"], **times}}))


def _shows(job: Job) -> datetime | None:
    """The instant that an export shows; of an incremental one its beginning."""
    call = job.request["call"]
    told = call.get("ExportTime") or call.get("IncrementalExportSpecification", {}).get("ExportFromTime")
    return _to_time(told) if told else None


def _summary(job: Job) -> dict[str, Any]:
    call = job.request["call"]
    return {
        "to": f"s3://{call['S3Bucket']}/{call['S3Prefix']}/{FOLDER}",
        **{
            name: call[name]
            for name in ("ExportTime", "IncrementalExportSpecification", "ExportFormat")
            if name in call
        },
        **({"filter": call["FilterSpecification"]} if "FilterSpecification" in call else {}),
    }


# Finding


def _looked_up(source: Account, last: Job) -> Job:
    """The ledger's newest export as it stands now."""
    if last.arn:
        return describe_export(source, last) if last.open else last
    token = last.request["call"].get("ClientToken")
    for description in _exports_of(source, last.request["source"]["table_arn"]) if token else ():
        if description.get("ClientToken") == token:
            return described(last, description)
    return last


def find_by_token(source: Account, wanted: Job) -> Job | None:
    """The newest export that this very request made, found without a ledger: its token is made of all it says.

    Used by the export verb alone, where no ledger can be written. A foreign export cannot have such a token, so that
    none is adopted whose filter an old SDK does not show (measured/import-export-table 1.4).
    """
    for description in _exports_of(source, wanted.request["source"]["table_arn"]):
        times = {"ExportTime": description["ExportTime"]} if description.get("ExportTime") else {}
        if "IncrementalExportSpecification" in wanted.request["call"]:
            times = {"IncrementalExportSpecification": description.get("IncrementalExportSpecification", {})}
        times = json_safe(_texts(times))
        call = {**wanted.request["call"], **times}
        for attempt in range(TOKENS_LOOKED_FOR):
            guess = with_token(replace(wanted, attempt=attempt, request={**wanted.request, "call": call}))
            if guess.request["call"]["ClientToken"] == description.get("ClientToken"):
                return described(guess, description)
    return None


def _exports_of(source: Account, table_arn: str) -> Iterator[dict[str, Any]]:
    """Descriptions of the table's exports, newest first."""
    doing = "listing exports"
    summaries = source.pages("dynamodb", "list_exports", "ExportSummaries", doing, TableArn=table_arn, MaxResults=25)
    for summary in summaries:
        answer = source.ask("dynamodb", "describe_export", doing, ExportArn=summary["ExportArn"])
        yield answer["ExportDescription"]


def describe_export(source: Account, job: Job, *, retries: int = RETRIES) -> Job:
    """How the export stands now. A record that AWS forgot (90 days) is a failed export.

    A waiter, which paces its calls itself, asks for no ``retries``.
    """
    try:
        answer = source.client("dynamodb", retries=retries).describe_export(ExportArn=job.arn)
        return described(job, answer["ExportDescription"])
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if sdk.error_code(error) == "ExportNotFoundException":
            return ended_with(job, export_failed(job.arn, sdk.error_code(error), sdk.error_message(error)))
        raise source.explain(error, f"describing the export {job.arn}", job.name) from error


def described(job: Job, description: Mapping[str, Any]) -> Job:
    """``job`` with what DescribeExport says; counts and manifest are there only at the end."""
    manifest_key = description.get("ExportManifest", "")
    told = json_safe(description)
    state = _STATES.get(description["ExportStatus"], "running")
    result = {
        "export_id": description["ExportArn"].rpartition("/")[2],
        "export_time": told.get("ExportTime", ""),
        "start_time": told.get("StartTime", ""),
        "end_time": told.get("EndTime", ""),
        "table_id": told.get("TableId", ""),
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


def _serves(last: Job, wanted: Job, options: ExportOptions) -> bool:
    """Whether an earlier export is what is asked for: running, or completed not longer ago than ``max_age``."""
    if last.state not in ("running", "completed") or not last.arn:
        return False
    if last.request["source"] != wanted.request["source"]:
        return False
    asked, made = wanted.request["call"], last.request["call"]
    for member in ("S3Bucket", "S3Prefix", "ExportFormat", "ExportType", "FilterSpecification"):
        if asked.get(member) != made.get(member):
            return False
    if "ExportTime" in asked and asked["ExportTime"] != made.get("ExportTime"):
        return False
    window, had = (call.get("IncrementalExportSpecification", {}) for call in (asked, made))
    if any(had.get(member) != value for member, value in window.items()):
        return False
    if last.state == "running":
        return True
    ended = last.result.get("end_time") or last.result.get("export_time") or None
    return ended is not None and datetime.now(UTC) - _to_time(ended) <= timedelta(seconds=options.max_age)


# Starting


def start_export(source: Account, destination: Account | None, plan: ExportPlan) -> Job:
    """Start the export of ``plan``, once; or leave it pending for a slot or for point-in-time recovery.

    Point-in-time recovery is turned on when the plan says so, with a tag before it that says who did. Raises the plan's
    obstacle, StagingBucketUnusable, ExportFailed, FerryError.
    """
    if plan.obstacle is not None:
        raise plan.obstacle
    job = plan.job
    if job.state == "pending":
        _turn_on_recovery(source, job)
        return job
    if job.state != "planned":
        return job
    _probe(source, job)
    ledger = _ledger(source, destination, job)
    _record(ledger, job)
    try:
        return begin_export(source, ledger, job)
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        if is_passing(error):
            return replace(job, state="pending", pending_reason="slot")
        raise _refusal(source, job, error) from error


def _turn_on_recovery(source: Account, job: Job) -> bool:
    """Turn point-in-time recovery on where it is off; False when AWS cannot do it yet (measured 1.2)."""
    if read_recovery(source, job.name).enabled:
        return True
    specification: dict[str, Any] = {"PointInTimeRecoveryEnabled": True}
    if job.request["point_in_time_recovery_days"]:
        specification["RecoveryPeriodInDays"] = job.request["point_in_time_recovery_days"]
    doing = "turning point-in-time recovery on"
    table_arn, mark = job.request["source"]["table_arn"], {"Key": RECOVERY_TAG, "Value": job.migration_id}
    source.ask("dynamodb", "tag_resource", doing, job.name, ResourceArn=table_arn, Tags=[mark])
    answer = source.ask(
        "dynamodb",
        "update_continuous_backups",
        doing,
        job.name,
        missing=("ContinuousBackupsUnavailableException",),
        TableName=job.name,
        PointInTimeRecoverySpecification=specification,
    )
    return answer is not None


def _probe(source: Account, job: Job) -> None:
    """Write a small object as the export will: policy, ownership and key fail now, and not minutes later when the
    token is burnt (measured/import-export-table 3.10). Raises StagingBucketUnusable."""
    bucket = _bucket(source, job)
    folder = f"{job.request['call']['S3Prefix']}/{FOLDER}"
    bucket.put(f"{folder}{PROBE}", b"{}", as_export=True)


def begin_export(source: Account, ledger: Ledger | None, job: Job) -> Job:
    """Send the export's request, whose ledger entry is written: the running job. Sending it again finds the first one.

    Raises the SDK's errors as they are (a full quota is one), ExportFailed.
    """
    answer = source.client("dynamodb", retries=0).export_table_to_point_in_time(**_to_call(job.request["call"]))
    description = answer["ExportDescription"]
    sent = job.request["call"]
    for member in ("TableArn", "S3Bucket", "S3Prefix"):
        if member in description and description[member] != sent[member]:
            raise ExportFailed(
                f"AWS answered with another export, {description['ExportArn']}: its {member} is {description[member]}.",
                "Look at that export, then run again with another ferry_migration_id.",
                table=job.name,
            )
    started = replace(described(job, description), state="running", failure={})
    _record(ledger, started)
    return started


def _refusal(source: Account, job: Job, error: Exception) -> FerryError:
    """What a refused start means (measured/import-export-table 1.2)."""
    code, message = sdk.error_code(error), sdk.error_message(error)
    if code == "PointInTimeRecoveryUnavailableException":
        return PointInTimeRecoveryDisabled(
            "Point-in-time recovery was turned off in the meantime.", "Turn it on and run again.", table=job.name
        )
    if code == "TableNotFoundException":
        return MissingTable("The table was deleted in the meantime.", "Look who deleted it.", table=job.name)
    if code == "InvalidExportTimeException":
        return InvalidInput(f"AWS refuses the time of the export: {message}.", "Choose another.", table=job.name)
    return source.explain(error, "starting the export", job.name)


def _bucket(account: Account, job: Job) -> StagingBucket:
    return StagingBucket.from_dict(account, job.request["bucket"])


def _ledger(source: Account, destination: Account | None, job: Job) -> Ledger | None:
    """The ledger of the export: the destination's. Without a destination the source's own bucket can keep one; in
    anybody else's bucket the source may write nothing but exports, and ``find_by_token`` finds them."""
    if destination is not None:
        return ledger_of(job, _bucket(destination, job))
    if job.request["bucket"]["owner"] == source.account_id:
        return ledger_of(job, _bucket(source, job))
    return None


def _record(ledger: Ledger | None, job: Job) -> None:
    if ledger is not None:
        ledger.write(job)


def _to_call(call: Mapping[str, Any]) -> dict[str, Any]:
    """The request as botocore takes it: times as datetimes."""
    return {
        name: _to_call(value)
        if isinstance(value, Mapping) and name == "IncrementalExportSpecification"
        else _to_time(value)
        if name in _TIMES
        else value
        for name, value in call.items()
    }


def _texts(call: Mapping[str, Any]) -> dict[str, Any]:
    """Times of a description as the ledger writes them."""
    return {
        name: _texts(value) if isinstance(value, Mapping) else _to_text(value) if name in _TIMES else value
        for name, value in call.items()
    }


def _floor(time: datetime) -> datetime:
    return time.astimezone(UTC).replace(microsecond=0)


def _to_text(time: datetime) -> str:
    return _floor(time).strftime("%Y-%m-%dT%H:%M:%SZ")


def _to_time(text: str) -> datetime:
    return datetime.fromisoformat(text)


# Waiting


class ExportKind(SourceJobs):
    """Exports, for the waiter."""

    plural: ClassVar[str] = "exports"

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of ListExports."""
        request: dict[str, Any] = {"MaxResults": 25, **({"NextToken": next_token} if next_token else {})}
        page = account.client("dynamodb").list_exports(**request)
        states = {
            entry["ExportArn"]: _STATES.get(entry["ExportStatus"], "running") for entry in page["ExportSummaries"]
        }
        return Page(states, page.get("NextToken", ""))

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Start the export when it is pending, wait for its end, and look whether an empty one may be empty."""
        source, job = self.account(item), item.job
        ledger = _ledger(source, item.destination, job)
        if job.pending_reason == "point_in_time_recovery":
            job = yield from _recovered(source, job, waiting_since, clock)
            if job.state == "failed":
                return job
            _probe(source, job)
            _record(ledger, job)
            job = replace(job, state="pending", pending_reason="slot")
        job = yield from begun(job, partial(begin_export, source, ledger), partial(_refusal, source, job))
        while job.state == "running":
            told = yield Pause(job, "end")
            read = read_result(item.destination, job) if told == "completed" and item.destination else None
            job = read or describe_export(source, job, retries=0)
        if job.state == "completed" and not job.result["item_count"]:
            job = _known_empty(source, job)
        # The ledger keeps no check: what a later run imports is looked at by that run.
        _record(ledger, job)
        return _checked(item.destination, job) if item.destination else job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """Nothing comes before an export."""
        return job


def read_result(destination: Account, job: Job) -> Job | None:
    """The completed export from its own summary, read by the destination, which needs it anyway.

    Many exports end at once, and DescribeExport is throttled after a dozen (measured/import-export-table 1.11), S3 is
    not. None when it cannot be read: then AWS is asked.
    """
    call = job.request["call"]
    key = f"{call['S3Prefix']}/{FOLDER}{job.arn.rpartition('/')[2]}/{SUMMARY}"
    try:
        told = json.loads(_bucket(destination, job).read(key))
        if told["exportArn"] != job.arn:
            return None
        description = {
            "ExportArn": job.arn,
            "ExportStatus": "COMPLETED",
            "ExportManifest": key,
            "ItemCount": told["itemCount"],
            "BilledSizeBytes": told.get("billedSizeBytes"),
            "TableId": told.get("tableId", ""),
            "ExportTime": told.get("exportTime", ""),
            "StartTime": told.get("startTime", ""),
            "EndTime": told.get("endTime", ""),
        }
        return described(job, description)
    except (FerryError, ValueError, KeyError, TypeError):
        return None


def _checked(destination: Account, job: Job) -> Job:
    """The completed full export with ``result["checked"]``: its files are complete, and the destination may read them.

    Many tables are looked at in one process here, each import's start would need its own clients for it. What is wrong
    fails the job, but not the export: with the bucket mended the next run goes on with it.
    """
    if job.state != "completed" or job.request["call"]["ExportType"] != "FULL_EXPORT":
        return job
    bucket = _bucket(destination, job)
    try:
        checked = check_readable(bucket, read_manifest(bucket, job.result["manifest_key"]))
    except FerryError as error:
        # What passes is no reason to fail: the import's start looks then.
        if is_passing(error):
            return job
        error.details["export_arn"] = job.arn
        return ended_with(job, error)
    return replace(job, result={**job.result, "checked": checked})


def _recovered(source: Account, job: Job, waiting_since: float, clock: Callable[[], float]) -> Steps:
    """``job`` ready to start, once point-in-time recovery reaches back past its beginning; or failed."""
    gap = SHORTEST_LOOK
    allowed = float(job.request["point_in_time_recovery_wait"])
    while True:
        window = read_recovery(source, job.name)
        if window.newest is not None:
            return with_token(at_time(job, window.newest))
        if not window.enabled and job.request["enable_point_in_time_recovery"]:
            _turn_on_recovery(source, job)
        if clock() - waiting_since >= allowed:
            error = PointInTimeRecoveryNotReady(
                f"Point-in-time recovery was not usable after {allowed:.0f} s.",
                "It becomes so 5 minutes after it was turned on; allow more with ferry_pitr_wait, or run again.",
                table=job.name,
            )
            return ended_with(job, error)
        yield Pause(job, "time", gap)
        gap = min(gap * 1.25, LONGEST_LOOK)


def _known_empty(source: Account, job: Job) -> Job:
    """An export without items is believed only when the table has none now (aws.md A3); a filter may leave none."""
    if job.request["filtered"] or job.request["call"]["ExportType"] != "FULL_EXPORT":
        return replace(job, result={**job.result, "known_empty": bool(job.request["filtered"])})
    full = has_items(source, job.name)
    if not full:
        return job if full is None else replace(job, result={**job.result, "known_empty": True})
    found = ExportFailed(
        f"The export shows the table of {job.result['export_time']}, which was empty; now it has items.",
        "Run again: the next export shows a later time.",
        table=job.name,
    )
    return ended_with(job, found)


def has_items(source: Account, table: str) -> bool | None:
    """Whether the table has an item now, by one read; None when we may not look. Raises the SDK's passing errors."""
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
