# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports to S3: strict at the call; whatever concerns S3 and keys fails later (measured/import-export-table)."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from lab.clock import MEASURED_SECONDS
from lab.dynamodb import expressions, ion, jobs, values
from lab.dynamodb.address import TABLE_ARN, refuse_value
from lab.dynamodb.expressions import Condition, Placeholders, Projection
from lab.dynamodb.jobs import Export
from lab.dynamodb.limits import moment
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.reading import key_bounds
from lab.dynamodb.registry import registry
from lab.dynamodb.values import Item
from lab.dynamodb.words import belief, invalid, over_limit, validation
from lab.errors import AwsError
from lab.s3.buckets import OWNER_FULL_CONTROL, Buckets
from lab.services.kms import KmsService
from lab.world import Context, World

THROTTLED = belief(
    "test_export", "export-calls-throttled",
    "About 20 export calls at once pass, refused ones count, then `Rate exceeded`; a pace of 1.5 s works",
    "measured/import-export-table 1.11 [EXPORT-007]",
)  # fmt: skip
TABLE_ARN_NEEDED = belief(
    "test_export", "export-needs-table-arn",
    "TableArn is a table's full ARN: none, a name or an index ARN is a ValidationException, each in its own words",
    "measured/import-export-table 1.2 [EXPORT-001, TABLE-457]",
)  # fmt: skip
OWN_TABLE = belief(
    "test_export", "export-by-the-tables-account",
    "Only the table's own account exports it: AccessDeniedException for another's ARN, whatever policies say",
    "measured/import-export-table 1.2 [EXPORT-002], aws.md A3",
)  # fmt: skip
TABLE_EXISTS = belief(
    "test_export", "export-of-missing-table",
    "A missing table, or one of another Region, is TableNotFoundException that quotes the ARN, before any token",
    "measured/import-export-table 1.2, 1.5 [EXPORT-001, EXPORT-023]",
)  # fmt: skip
PITR_NEEDED = belief(
    "test_export", "export-needs-pitr",
    "Without PITR a full export is PointInTimeRecoveryUnavailableException, an incremental InvalidExportTimeException",
    "measured/import-export-table 1.2 [EXPORT-001]",
)  # fmt: skip
TIME_RESTORABLE = belief(
    "test_export", "export-time-restorable",
    "ExportTime lies in the past and in PITR's window: InvalidExportTimeException, two texts",
    "measured/import-export-table 1.2 [EXPORT-001]",
)  # fmt: skip
PINNED_IS_EMPTY = belief(
    "test_export", "export-before-latest-moves",
    "While LatestRestorableDateTime still stands at the enable time, an export holds the items of its call, or none: "
    "behaviour dynamodb.export_just_after_pitr",
    "measured/import-export-table 1.2: others' exports had them, a restore did not [TABLE-086, -215]", confirmed=False,
)  # fmt: skip
KEY_NEEDS_KMS = belief(
    "test_export", "export-key-needs-kms",
    "S3SseKmsKeyId without S3SseAlgorithm KMS is a ValidationException",
    "measured/import-export-table 1.2 [EXPORT-005]",
)  # fmt: skip
KEY_FORM = belief(
    "test_export", "export-key-form",
    "An S3SseKmsKeyId that no key can have is a ValidationException that says `Invalid Request:` twice over",
    "measured/more 12 [EXPORT-005]",
)  # fmt: skip
PREFIX = belief(
    "test_export", "export-prefix",
    "An S3Prefix that is empty or has control characters is a ValidationException; its text is a guess",
    "ScyllaDB's tests, which run on AWS: alternator/test_export.py",
)  # fmt: skip
TYPE_AND_SPECIFICATION = belief(
    "test_export", "export-type-and-specification",
    "INCREMENTAL_EXPORT and IncrementalExportSpecification come together, with ExportFromTime; full exports without",
    "measured/import-export-table 1.2 [EXPORT-003]",
)  # fmt: skip
WINDOW = belief(
    "test_export", "incremental-window",
    "An incremental window starts within PITR, is 15 minutes to 24 hours long and ends in the past",
    "measured/import-export-table 1.2 [EXPORT-004]; 24 hours: aws.md A3",
)  # fmt: skip
WINDOW_START = belief(
    "test_export", "incremental-window-starts-with-pitr",
    "The first window text is bound by the start of PITR, not by the table's creation as it says",
    "measured/import-export-table 1.2 (unknown)", confirmed=False,
)  # fmt: skip
FILTER_SOUND = belief(
    "test_export", "export-filter-sound",
    "A FilterSpecification is not empty and its expressions are sound; keys are filtered by the key condition only",
    "measured/import-export-table 1.2 [EXPORT-008], aws-new.md 2",
)  # fmt: skip
CONFLICT = belief(
    "test_export", "export-token",
    "The same token and parameters answer the same export, even a failed one; any change is ExportConflictException",
    "measured/import-export-table 1.5 [EXPORT-009, EXPORT-010]",
)  # fmt: skip
TOKEN_LIFE = belief(
    "test_export", "export-token-life",
    "A token is forgotten 8 hours after its export was called",
    "aws.md A1", confirmed=False,
)  # fmt: skip
QUOTA = belief(
    "test_export", "export-quota",
    "300 exports of an account and Region at once, then LimitExceededException; its text is a guess",
    "aws.md A8",
)  # fmt: skip
LATE_FAILURE = belief(
    "test_export", "export-fails-late",
    "Missing buckets, denied writes, wrong owners and keys are accepted with 200; then the export is FAILED",
    "measured/import-export-table 1.3 [EXPORT-002, -005, -010, -011]",
)  # fmt: skip
CALLER_WRITES = belief(
    "test_export", "export-writes-as-caller",
    "The caller's principal writes, with s3:PutObject and s3:PutObjectAcl, under the bucket's policy of the moment",
    "measured/import-export-table 1.3, aws.md A4",
)  # fmt: skip
OWNER_DEFAULTS = belief(
    "test_export", "export-bucket-owner",
    "Without S3BucketOwner a bucket of another account is S3AccessDenied",
    "aws.md A1",
)  # fmt: skip
TABLE_KEY = belief(
    "test_export", "export-uses-table-key",
    "The caller needs kms:Decrypt on the table's customer key; without it the export is FAILED, its code a guess",
    "aws.md A5", confirmed=False,
)  # fmt: skip
LAYOUT = belief(
    "test_export", "export-layout",
    "An export leaves _started, several gzipped data files (empty ones too), both manifests and their base64 .md5",
    "aws.md A6, measured/import-export-table 1.4 [IMPORT-020]",
)  # fmt: skip
INCREMENTAL_FOLDER = belief(
    "test_export", "incremental-data-folder",
    "All incremental exports below a prefix share AWSDynamoDB/data/",
    "aws.md A6",
)  # fmt: skip
COMPACTED = belief(
    "test_export", "incremental-compacted",
    "An incremental export has one record for each key: the last image and, if asked, the one before the window",
    "aws.md A7",
)  # fmt: skip
ECHO = belief(
    "test_export", "export-description",
    "DescribeExport omits ExportType, S3Prefix, S3BucketOwner and key unless sent; counts come at the end only",
    "measured/import-export-table 1.4 [EXPORT-005, -016, -017]",
)  # fmt: skip
BILLED = belief(
    "test_export", "export-billed-bytes",
    "BilledSizeBytes: 0 for a tiny full export (whole megabytes are a guess), 10 MB at least for an incremental one",
    "measured/import-export-table 1.4 [EXPORT-019, EXPORT-022]",
)  # fmt: skip
FOUND_BY_ARN = belief(
    "test_export", "describe-export",
    "DescribeExport tells malformed, foreign, other-Region and unknown ARNs apart; nonsense for partition, service, "
    "Region or account counts as foreign",
    "measured/import-export-table 1.4 [EXPORT-006]; nonsense: aws.md A3 (SCY-E)",
)  # fmt: skip
LEAVES_THE_LIST = belief(
    "test_export", "export-leaves-list-with-table",
    "Once its table is deleted or re-created an export is no more listed; DescribeExport still answers",
    "measured/import-export-table 1.4 [EXPORT-020, EXPORT-022]",
)  # fmt: skip
TWO_DURATIONS = belief(
    "test_export", "export-durations",
    "A full export takes about 150 or about 720 seconds, nobody knows why; an incremental about 125",
    "measured/import-export-table 2 [EXPORT-016, EXPORT-009]",
)  # fmt: skip

SLOW_FULL = 723.6 / 152.7  # the slow mode of a full export in units of the fast one (measured 2)
TOKEN_SECONDS = 8 * 3600
MOST_EXPORTS = 300
SHORTEST_WINDOW, LONGEST_WINDOW = 900, 86400
SMALLEST_INCREMENTAL_BYTES = 10_000_000
_PREFIX = re.compile(r"[^\x00-\x1f\x7f]+")
_KEY_ID = re.compile(r"[a-zA-Z0-9:/_+=,.@-]+")
_KEY_RANGES = 3  # files by range of hash; with an empty one at the end a small table has four (IMPORT-020)
_FILE_BYTES = 16 * 1024 * 1024
_STEP_ITEMS = 500
_ALPHABET = "abcdefghijklmnopqrstuvwxyz234567"


# The call


def export_table_to_point_in_time(context: Context, params: Shape) -> Shape:
    """ExportTableToPointInTime."""
    world = context.world
    family = f"dynamodb.export.{context.region}"
    if not world.throttles.admits(context.account_id, family, burst=20, per_second=1 / 1.5, refused_count=True):
        raise THROTTLED.error("ThrottlingException", "Rate exceeded")
    _check_shape(params)
    table = _table(context, params["TableArn"])
    request = {name: value for name, value in params.items() if name != "ClientToken"}
    earlier = _replayed(context, params.get("ClientToken"))
    if earlier is not None:
        if earlier.request != request:
            text = "Export conflict: Duplicate request detected with conflicting parameters"
            raise CONFLICT.error("ExportConflictException", text)
        return {"ExportDescription": describe(earlier)}
    now = world.clock.now()
    incremental = request.get("ExportType") == "INCREMENTAL_EXPORT"
    pinned_is_empty = world.behaviours["dynamodb.export_just_after_pitr"] == "empty"
    content_time = now if incremental else _content_time(table, request, now, pinned_is_empty)
    if incremental:
        _check_window(table, request["IncrementalExportSpecification"], now)
    _Filter.of(request, table)
    exports = registry(context).exports
    if world.quotas and jobs.count_running(context, exports) >= MOST_EXPORTS:
        raise over_limit(QUOTA, f"The limit of {MOST_EXPORTS} concurrent exports was reached")
    export = Export(
        context,
        request,
        jobs.new_arn(world, table.arn, "export", now),
        table.arn,
        table.table_id,
        now,
        token=params.get("ClientToken") or jobs.new_token(world),
        planned_failure=world.faults.take("job_failure", f"dynamodb.{context.operation}", params, context.account_id),
        corrupting=world.faults.take("corrupt_object", f"dynamodb.{context.operation}", params, context.account_id),
        table=table,
        content_time=content_time,
    )
    exports.append(export)
    jobs.note(export, "export")
    duration = _duration(world, export.incremental)
    world.schedule(min(world.timings.seconds("export.failing"), duration), lambda: _begin(export))
    world.schedule(duration, lambda: jobs.do_in_slices(world, _work(export)))
    return {"ExportDescription": describe(export)}


def check_named(members: Shape) -> None:
    """Refuse a request as sent that names no table at all."""
    if members.get("TableArn") in (None, ""):
        raise validation(TABLE_ARN_NEEDED, "Invalid TableArn: Invalid Table ARN")


def _check_shape(params: Shape) -> None:
    """What is refused before the table is looked for (measured 1.1, 1.2)."""
    if not _PREFIX.fullmatch(params.get("S3Prefix", "-")):
        pattern = f"satisfy regular expression pattern: {_PREFIX.pattern}"
        refuse_value(PREFIX, "s3Prefix", params["S3Prefix"], [pattern])
    match = TABLE_ARN.match(params["TableArn"])
    if match is None:
        raise invalid(TABLE_ARN_NEEDED, "tableArn is not a valid ARN")
    if match.end() != len(params["TableArn"]):
        raise validation(TABLE_ARN_NEEDED, "Invalid Request: Table ARN is invalid.")
    if "S3SseKmsKeyId" in params and params.get("S3SseAlgorithm") != "KMS":
        raise validation(KEY_NEEDS_KMS, "Invalid Request: KMS Key Id is not supported for this encryption type")
    if not _KEY_ID.fullmatch(params.get("S3SseKmsKeyId", "-")):
        text = "Member must satisfy regular expression pattern: " + _KEY_ID.pattern
        raise validation(
            KEY_FORM,
            f"Invalid Request: 1 validation error detected: Value '{params['S3SseKmsKeyId']}' at 's3SseKmsKeyId' "
            f"failed to satisfy constraint: {text}",
        )
    specification, kind = params.get("IncrementalExportSpecification"), params.get("ExportType")
    text = ""
    if specification is not None and kind is None:
        text = "Export Type expected to be Incremental Export when incremental export specification is provided"
    elif specification is not None and kind == "FULL_EXPORT":
        text = "When Export Type is Full Export , Incremental Export Specification should not be provided"
    elif specification is None and kind == "INCREMENTAL_EXPORT":
        text = "Incremental Export Specification expected when export type is set as Incremental Export"
    elif specification is not None and "ExportFromTime" not in specification:
        text = "ExportFromTime must be provided in IncrementalExportSpecification"
    if text:
        raise validation(TYPE_AND_SPECIFICATION, f"Invalid Request: {text}")
    if params.get("FilterSpecification") == {}:
        text = "Invalid Request: Invalid FilterSpecification: The specification can not be empty"
        raise validation(FILTER_SOUND, text)


def _table(context: Context, arn: str) -> Table:
    match = TABLE_ARN.match(arn)
    assert match is not None
    if match["account"] != context.account_id:
        raise OWN_TABLE.error("AccessDeniedException", "Access is denied")
    if match["region"] != context.region:
        raise TABLE_EXISTS.error("TableNotFoundException", f"Table not found: {arn}")
    return registry(context).require_known(context, arn, "backups")


def _replayed(context: Context, token: str | None) -> Export | None:
    """The export that was started with this token by the caller's account, while the token is remembered."""
    oldest = context.world.clock.now() - TOKEN_SECONDS
    for export in registry(context).exports if token else ():
        where = (export.context.account_id, export.context.region)
        if export.token == token and where == (context.account_id, context.region) and export.started_at > oldest:
            return export
    return None


def _content_time(table: Table, request: Shape, now: float, pinned_is_empty: bool) -> float | None:
    """The instant that a full export shows; None while nothing is restorable."""
    if not table.pitr.enabled:
        text = f"Point in time recovery is not enabled for table '{table.name}'"
        raise PITR_NEEDED.error("PointInTimeRecoveryUnavailableException", text)
    earliest, latest = table.pitr.earliest(now), table.pitr.latest(now)
    export_time: float | None = request.get("ExportTime")
    if export_time is None:
        return None if pinned_is_empty and latest == table.pitr.enabled_at else now
    if export_time > now or export_time < table.created_at or (export_time < earliest < latest):
        raise TIME_RESTORABLE.error("InvalidExportTimeException", "Export Time is invalid")
    if not earliest <= export_time <= latest:
        text = "Point in Time Recovery is not available for specified export time"
        raise TIME_RESTORABLE.error("InvalidExportTimeException", text)
    return export_time


def _check_window(table: Table, specification: Shape, now: float) -> None:
    """Refuse an incremental window, and fill in the end that it lacks: the time of the call in whole seconds."""
    start = specification["ExportFromTime"]
    if not table.pitr.enabled or start < max(table.created_at, table.pitr.earliest(now)):
        rule = WINDOW_START if table.pitr.enabled and start >= table.created_at else PITR_NEEDED
        rule = rule if start >= table.created_at else WINDOW
        text = "Incremental export period from time cannot be less than the table creation time : "
        raise rule.error("InvalidExportTimeException", text + moment(start))
    end = specification.get("ExportToTime", float(int(now)))
    between = "Difference between export period from time and export period to time is "
    if end - start < SHORTEST_WINDOW:
        raise WINDOW.error("InvalidExportTimeException", f"{between}less than 15 minutes")
    if end - start > LONGEST_WINDOW:
        raise WINDOW.error("InvalidExportTimeException", f"{between}greater than 24 hours")
    if end > now:
        text = "Incremental export period to time cannot be greater than the current time : "
        raise WINDOW.error("InvalidExportTimeException", text + moment(end))


def _duration(world: World, incremental: bool) -> float:
    name = "export.incremental" if incremental else "export.full"
    seconds = world.timings.seconds(name)
    if incremental or seconds != MEASURED_SECONDS[name] * world.timings.scale:
        return seconds  # what a test has set holds for every export
    return seconds * world.random.choice((1.0, SLOW_FULL))


# Filters


@dataclass(frozen=True)
class _Filter:
    """FilterSpecification, parsed. ``bounds`` are the key condition's."""

    bounds: tuple[bytes, bytes] | None
    condition: Condition | None
    projection: Projection | None
    key_of: Callable[[Item], bytes]

    @classmethod
    def of(cls, request: Shape, table: Table) -> _Filter | None:
        """The filter of a request, None without one; ValidationException for one that AWS would refuse."""
        specification = request.get("FilterSpecification")
        if specification is None:
            return None
        try:
            return cls._parsed(specification, table)
        except AwsError as error:
            text = f"Invalid Request: Invalid FilterSpecification: {error.message}"
            raise validation(FILTER_SOUND, text) from None

    @classmethod
    def _parsed(cls, specification: Shape, table: Table) -> _Filter:
        encoder = table.store.encoder
        placeholders = Placeholders(
            specification.get("ExpressionAttributeNames"), specification.get("ExpressionAttributeValues")
        )
        bounds = condition = projection = None
        if "KeyConditionExpression" in specification:
            types = {each["AttributeName"]: each["AttributeType"] for each in table.attribute_definitions}
            key_condition = expressions.parse_key_condition(
                specification["KeyConditionExpression"], placeholders, encoder.hash_names, encoder.range_names, types
            )
            bounds = key_bounds(encoder, key_condition)
        if "FilterExpression" in specification:
            condition = expressions.parse_condition("FilterExpression", specification["FilterExpression"], placeholders)
            keys = {path.parts[0] for path in condition.paths()} & set(encoder.names)
            if bounds is not None and keys:
                text = "Filter Expression can only contain non-primary key attributes: Primary key attribute: "
                raise validation(FILTER_SOUND, f"{text}{sorted(map(str, keys))[0]}")
        if "ProjectionExpression" in specification:
            projection = expressions.parse_projection(specification["ProjectionExpression"], placeholders)
        placeholders.refuse_unused()
        return cls(bounds, condition, projection, encoder.encode)

    def takes(self, item: Item) -> bool:
        """Whether the item is exported."""
        if self.bounds is not None and not self.bounds[0] <= self.key_of(item) < self.bounds[1]:
            return False
        return self.condition is None or self.condition.holds(item)

    def shown(self, item: Item) -> Item:
        """What is exported of it."""
        return item if self.projection is None else self.projection.of(item)


# The work


def _begin(export: Export) -> None:
    """The first write, which shows whether bucket, policy and key are usable."""
    try:
        _put(export, f"{export.root}{export.id}/_started", b"")
    except AwsError as error:
        export.end(*jobs.s3_failure(export.world, error))


def _put(export: Export, key: str, body: bytes) -> str:
    """Write an object as the caller; its ETag."""
    request = export.request
    stored = export.world.part(Buckets).put_object_as(
        export.context.caller,
        request["S3Bucket"],
        key,
        body,
        expected_owner=request.get("S3BucketOwner") or export.context.account_id,
        sse_algorithm=request.get("S3SseAlgorithm", "AES256"),
        kms_key_id=request.get("S3SseKmsKeyId"),
        acl=OWNER_FULL_CONTROL,
        multipart=True,
    )
    return stored.etag


def _work(export: Export) -> Iterator[None]:
    """All that follows ``_started``, in steps."""
    if not export.running:
        return
    if (fault := export.planned_failure) is not None:
        export.end(fault.code or "InternalServerError", fault.message or "The export failed by an internal error.")
        return
    if not _may_read_table(export):
        return
    try:
        files = _Files(export)
        for number, line in enumerate(_lines(export)):
            files.add(*line)
            if number % _STEP_ITEMS == 0:
                yield
        files.finish()
        _write_manifests(export, files)
        export.end()
    except AwsError as error:
        export.end(*jobs.s3_failure(export.world, error))


def _may_read_table(export: Export) -> bool:
    """Whether the caller may use the table's key; ends the export when not."""
    encryption = export.table.encryption
    kms = export.world.part(KmsService)
    try:
        if encryption.type is not None:
            caller, region = export.context.caller, export.context.region
            kms.use_key_as(caller, encryption.key_arn, "Decrypt", region, via_service="dynamodb")
    except AwsError as error:
        export.end("KmsAccessDenied", error.message)
    return export.running


def _lines(export: Export) -> Iterator[tuple[int, int, bytes]]:
    """(range of its key, bytes billed, line) for each record of the export, in order of keys."""
    as_ion = export.request.get("ExportFormat") == "ION"
    chosen = _Filter.of(export.request, export.table)
    if export.incremental:
        yield from _changes(export, chosen, as_ion)
        return
    if export.content_time is None:
        return
    for key, body in export.table.store.items_at(export.content_time):
        if not (as_ion or chosen):
            line = b'{"Item":%s}\n' % body
        else:
            item = json.loads(body)
            if chosen is not None and not chosen.takes(item):
                continue
            item = item if chosen is None else chosen.shown(item)
            line = ion.record({"Item": ion.struct(item)}) if as_ion else b'{"Item":%s}\n' % values.dump(item)
        yield _range_of(key), len(body), line


def _range_of(key: bytes) -> int:
    return key[0] * _KEY_RANGES >> 8


def _changes(export: Export, chosen: _Filter | None, as_ion: bool) -> Iterator[tuple[int, int, bytes]]:
    specification = incremental_specification(export)
    both = specification["ExportViewType"] == "NEW_AND_OLD_IMAGES"
    encoder = export.table.store.encoder
    changes = export.table.store.changes_between(specification["ExportFromTime"], specification["ExportToTime"])
    for change in changes:
        before, after = (None if body is None else json.loads(body) for body in change[:2])
        image: Item = after or before or {}
        if chosen is not None and not chosen.takes(image):
            continue
        images = {"NewImage": after, "OldImage": before if both else None}
        written = {"WriteTimestampMicros": {"N": str(int(change.written_at * 1_000_000))}}
        members: dict[str, Any] = {"Metadata": written, "Keys": {name: image[name] for name in encoder.names}}
        members |= {name: chosen.shown(item) if chosen else item for name, item in images.items() if item is not None}
        if as_ion:
            record = ",".join(f"{name}:{ion.struct(member)}" for name, member in members.items())
            line = ion.record({"Record": f"{{{record}}}"})
        else:
            line = values.dump(members) + b"\n"
        yield _range_of(encoder.encode(image)), len(line), line


class _Files:
    """The data files: written one after the other, each a range of keys or a part of it."""

    def __init__(self, export: Export) -> None:
        self._export = export
        folder = "data/" if export.incremental else f"{export.id}/data/"
        self._folder = export.root + folder
        self._suffix = "ion" if export.request.get("ExportFormat") == "ION" else "json"
        self._range = 0
        self._lines: list[bytes] = []
        self._size = 0
        self.entries: list[Shape] = []
        self.item_count = 0
        self.billed_bytes = 0

    def add(self, key_range: int, billed: int, line: bytes) -> None:
        """One record."""
        while key_range > self._range:
            self._write()
            self._range += 1
        self._lines.append(line)
        self._size += len(line)
        self.item_count += 1
        self.billed_bytes += billed
        if self._size > _FILE_BYTES:
            self._write()

    def finish(self) -> None:
        """Write what is left, files of empty ranges, and one that is empty in any case."""
        for _ in range(self._range, _KEY_RANGES + 1):
            self._write()

    def _write(self) -> None:
        body = gzip.compress(b"".join(self._lines), compresslevel=1, mtime=0)
        export, count = self._export, len(self._lines)
        self._lines, self._size = [], 0
        name = "".join(export.world.random.choices(_ALPHABET, k=26))
        key = f"{self._folder}{name}.{self._suffix}.gz"
        checksum = _md5(body)
        if export.corrupting is not None and count:
            # The manifest tells what was to be written.
            export.corrupting = None
            middle = len(body) // 2
            body = body[:middle] + bytes([body[middle] ^ 0xFF]) + body[middle + 1 :]
        etag = _put(export, key, body)
        self.entries.append({"itemCount": count, "md5Checksum": checksum, "etag": etag, "dataFileS3Key": key})


def _md5(body: bytes) -> str:
    return base64.b64encode(hashlib.md5(body, usedforsecurity=False).digest()).decode()


def _write_manifests(export: Export, files: _Files) -> None:
    folder = f"{export.root}{export.id}/"
    export.item_count = files.item_count
    export.billed_bytes = (
        max(SMALLEST_INCREMENTAL_BYTES, files.billed_bytes)
        if export.incremental
        else files.billed_bytes // 1_000_000 * 1_000_000
    )
    listed = "".join(json.dumps(entry, separators=(",", ":")) + "\n" for entry in files.entries).encode()
    request = export.request
    summary: Shape = {
        "version": "2023-08-01" if export.incremental else "2020-06-30",
        "exportArn": export.arn,
        "startTime": moment(export.started_at),
        "endTime": moment(export.world.clock.now()),
        "tableArn": export.table_arn,
        "tableId": export.table_id,
    }
    if export.incremental:
        specification = incremental_specification(export)
        summary |= {
            "exportFromTime": moment(specification["ExportFromTime"]),
            "exportToTime": moment(specification["ExportToTime"]),
        }
    else:
        summary["exportTime"] = moment(_export_time(export))
    summary |= {
        "s3Bucket": request["S3Bucket"],
        "s3Prefix": request.get("S3Prefix"),
        "s3SseAlgorithm": request.get("S3SseAlgorithm", "AES256"),
        "s3SseKmsKeyId": request.get("S3SseKmsKeyId"),
        "manifestFilesS3Key": f"{folder}manifest-files.json",
        "billedSizeBytes": export.billed_bytes,
        "itemCount": export.item_count,
        "outputFormat": request.get("ExportFormat", "DYNAMODB_JSON"),
    }
    if export.incremental:
        summary |= {"outputView": specification["ExportViewType"], "exportType": "INCREMENTAL_EXPORT"}
    for name, body in (
        ("manifest-files", listed),
        ("manifest-summary", json.dumps(summary, separators=(",", ":")).encode()),
    ):
        _put(export, f"{folder}{name}.md5", _md5(body).encode())
        _put(export, f"{folder}{name}.json", body)


# Reading


def incremental_specification(export: Export) -> Shape:
    """IncrementalExportSpecification with what the request left out."""
    return {
        "ExportToTime": float(int(export.started_at)),
        "ExportViewType": "NEW_AND_OLD_IMAGES",
        **export.request["IncrementalExportSpecification"],
    }


def _export_time(export: Export) -> float:
    export_time: float = export.request.get("ExportTime", int(export.started_at * 1000) / 1000)
    return export_time


def describe(export: Export) -> Shape:
    """ExportDescription."""
    request = export.request
    shown: Shape = {
        "ExportArn": export.arn,
        "ExportStatus": export.status,
        "StartTime": export.started_at,
        "TableArn": export.table_arn,
        "TableId": export.table_id,
        "ClientToken": export.token,
        "S3Bucket": request["S3Bucket"],
        "S3SseAlgorithm": request.get("S3SseAlgorithm", "AES256"),
        "ExportFormat": request.get("ExportFormat", "DYNAMODB_JSON"),
        "DestinationType": "S3",
    }
    sent = ("S3BucketOwner", "S3Prefix", "S3SseKmsKeyId", "ExportType", "FilterSpecification")
    shown |= {name: request[name] for name in sent if name in request}
    if export.incremental:
        shown["IncrementalExportSpecification"] = incremental_specification(export)
    else:
        shown["ExportTime"] = _export_time(export)
    if export.ended_at is not None:
        shown["EndTime"] = export.ended_at
    if export.status == "COMPLETED":
        shown |= {
            "ItemCount": export.item_count,
            "BilledSizeBytes": export.billed_bytes,
            "ExportManifest": f"{export.root}{export.id}/manifest-summary.json",
        }
    return shown | export.failure()


def describe_export(context: Context, params: Shape) -> Shape:
    """DescribeExport."""
    jobs.throttle_describes(context)
    export = jobs.find(context, registry(context).exports, params["ExportArn"], "export", FOUND_BY_ARN)
    return {"ExportDescription": describe(export)}


def list_exports(context: Context, params: Shape) -> Shape:
    """ListExports."""
    tables = registry(context)

    def has_its_table(export: Export) -> bool:
        table = tables.find(*jobs.place(export))
        return table is not None and table.table_id == export.table_id

    shown, token = jobs.page(context, tables.exports, params, "MaxResults", has_its_table)
    summaries = [
        {
            "ExportArn": export.arn,
            "ExportStatus": export.status,
            "ExportType": export.request.get("ExportType", "FULL_EXPORT"),
        }
        for export in shown
    ]
    return {"ExportSummaries": summaries, **token}


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "ExportTableToPointInTime": export_table_to_point_in_time,
    "DescribeExport": describe_export,
    "ListExports": list_exports,
}
