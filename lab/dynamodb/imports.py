# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports from S3: a new table that appears late, bad lines that cost more than themselves, counters at the end."""

from __future__ import annotations

import csv
import gzip
import io
import itertools
import json
import sys
import uuid
import zlib
from collections.abc import Callable, Iterable, Iterator
from importlib import import_module
from typing import Any

from lab.dynamodb import ion, jobs, limits, tables
from lab.dynamodb.items import ItemRules
from lab.dynamodb.jobs import Import
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, over_limit, validation
from lab.errors import AwsError
from lab.s3.buckets import Buckets
from lab.services.logs import LogsService
from lab.world import Context

# Python has it from 3.14 on, a package before; without both the lab refuses such imports.
try:
    zstd: Any = import_module("compression.zstd" if sys.version_info >= (3, 14) else "backports.zstd")
except ImportError:
    zstd = None

SHAPE = belief(
    "test_imports", "import-parameters",
    "ImportTable refuses at the call what CreateTable refuses: keys, definitions, capacity, a missing key alias",
    "measured/import-export-table 1.6 [IMPORT-009], aws.md B1",
)  # fmt: skip
NO_WARM_INDEX = belief(
    "test_imports", "import-refuses-warm-indexes",
    "WarmThroughput of a global secondary index, which the model has, is a ValidationException of ImportTable",
    "aws.md B1 (SCY-I)",
)  # fmt: skip
OPTIONS = belief(
    "test_imports", "import-format-options",
    "InputFormatOptions go with CSV only",
    "measured/import-export-table 1.6 [IMPORT-009]",
)  # fmt: skip
TOKEN_NEEDED = belief(
    "test_imports", "import-token-on-the-wire",
    "An import brings a ClientToken, which is looked for after the table's parameters; SDKs add one",
    "aws.md B1, emulators.md 9; the order: ScyllaDB's tests, which run on AWS: alternator/test_import.py",
    confirmed=False,
)  # fmt: skip
NAME_TAKEN = belief(
    "test_imports", "import-into-existing-table",
    "A name whose table is visible is ResourceInUseException `Table already exists`, for a known token too",
    "measured/import-export-table 1.6, 1.8 [IMPORT-017, IMPORT-019]",
)  # fmt: skip
TOKEN = belief(
    "test_imports", "import-token",
    "A known token answers its import, whatever source the call names, even when it failed and its table is gone; "
    "another TableName is ImportConflictException",
    "measured/import-export-table 1.8 [IMPORT-017]",
)  # fmt: skip
QUOTA = belief(
    "test_imports", "import-quota",
    "50 imports of an account and Region at once, then LimitExceededException; its text is a guess",
    "aws.md B5",
)  # fmt: skip
LATE_FAILURE = belief(
    "test_imports", "import-fails-late",
    "A missing bucket, or one that the caller may not list or read, is 200, then FAILED; no table comes into being",
    "measured/import-export-table 1.6 [IMPORT-012]; denials: aws.md A3",
)  # fmt: skip
OWNER_DEFAULTS = belief(
    "test_imports", "import-bucket-owner",
    "S3BucketOwner is the caller's account unless given, so a foreign bucket needs it",
    "aws.md B3",
)  # fmt: skip
READS_AS_CALLER = belief(
    "test_imports", "import-reads-as-caller",
    "The caller's principal needs s3:ListBucket on the bucket, s3:GetObject on objects, kms:Decrypt on their key",
    "aws.md B3",
)  # fmt: skip
LOGS_NEEDED = belief(
    "test_imports", "import-needs-logs",
    "Without permission to write /aws-dynamodb/imports an import is FAILED; its code is a guess",
    "aws.md B3", confirmed=False,
)  # fmt: skip
RIVALS = belief(
    "test_imports", "import-rivals",
    "A name is not reserved: of several imports one makes the table, not always the first, the others are FAILED "
    "TableAlreadyExists",
    "measured/import-export-table 1.8 [IMPORT-018]",
)  # fmt: skip
STATES = belief(
    "test_imports", "import-states",
    "The table is invisible, then CREATING, then ACTIVE while the import is IN_PROGRESS for some seconds more",
    "measured/import-export-table 1.7 [IMPORT-001, IMPORT-006]",
)  # fmt: skip
COUNTERS = belief(
    "test_imports", "import-counters",
    "Counters are 0 and ProcessedSizeBytes absent while an import runs; processed = imported + errors",
    "aws.md B2",
)  # fmt: skip
EMPTY_PREFIX = belief(
    "test_imports", "import-of-nothing",
    "A prefix that matches no object is COMPLETED 0/0/0 with an empty table",
    "measured/import-export-table 1.6 [IMPORT-012]",
)  # fmt: skip
RAW_PREFIX = belief(
    "test_imports", "import-prefix-is-raw",
    "The prefix is a raw string: `data` takes `data2/` and `data.bak` too",
    "measured/import-export-table 1.6 [IMPORT-014]",
)  # fmt: skip
COMPRESSION = belief(
    "test_imports", "import-compression-said",
    "Compression is never sniffed: an export's data without GZIP gives one error for each file, as does GZIP on text",
    "measured/import-export-table 1.6 [IMPORT-003, -015, -020]",
)  # fmt: skip
BAD_LINE = belief(
    "test_imports", "import-unparseable-line",
    "A line that is no JSON or has no Item is one error and ends its object; the import is FAILED ItemValidationError, "
    "its table stays ACTIVE with the good items",
    "measured/import-export-table 1.6 [IMPORT-013]",
)  # fmt: skip
BAD_ITEM = belief(
    "test_imports", "import-invalid-item",
    "A line whose item fails validation is one error and skipped alone",
    "measured/import-export-table 1.6 [IMPORT-013]",
)  # fmt: skip
INDEX_KEYS = belief(
    "test_imports", "import-of-index-keys",
    "An item with a key that an index does not take is an error like other invalid items, or is imported and left out "
    "of the index: as dynamodb.import_of_index_keys says",
    "nobody has seen it", confirmed=False,
)  # fmt: skip
CHANGED_OBJECT = belief(
    "test_imports", "import-of-changed-object",
    "An object that was changed or deleted since the import began is one error",
    "measured/import-export-table 1.6 [IMPORT-007]",
)  # fmt: skip
ERROR_LOG = belief(
    "test_imports", "import-error-log",
    "Errors are in /aws-dynamodb/imports, stream <id>/error, each with bucket, key and message; <id>/info is there too",
    "aws.md B4",
)  # fmt: skip
BLANKS = belief(
    "test_imports", "import-ignores-blanks",
    "Blank lines and empty objects are ignored; a later line replaces an earlier one of its key, and both count",
    "aws.md B2",
)  # fmt: skip
KEPT = belief(
    "test_imports", "imports-outlive-tables",
    "ListImports shows the imports of a name even after its table is gone",
    "measured/import-export-table 1.7 [IMPORT-008]",
)  # fmt: skip
FOUND_BY_ARN = belief(
    "test_imports", "describe-import",
    "DescribeImport tells malformed (a table's name of one letter too), foreign, other-Region and unknown ARNs apart",
    "measured/import-export-table 1.7 [IMPORT-010]; the name: ScyllaDB's tests, which run on AWS",
)  # fmt: skip
ZSTD = belief(
    "test_imports", "import-reads-zstd",
    "Objects under ZSTD are read as those under GZIP are, several frames in one object too; a lab whose Python has no "
    "package for it refuses the call",
    "aws.md B1; of several frames: RFC 8878 section 3.1",
)  # fmt: skip

MOST_IMPORTS = 50
LOG_GROUP = "/aws-dynamodb/imports"
_STEP_LINES = 500
_REMAINDER = "Remainder of the file will not be processed."


class _UnreadableRest(Exception):
    """The rest of an object cannot be read; the message is written to the log."""


# The call


def import_table(context: Context, params: Shape) -> Shape:
    """ImportTable."""
    world = context.world
    parameters = params["TableCreationParameters"]
    _check_input(params)
    if any("WarmThroughput" in index for index in parameters.get("GlobalSecondaryIndexes", ())):
        text = "WarmThroughput is not supported on Global Secondary Indexes via ImportTable"
        raise validation(NO_WARM_INDEX, text)
    tables.check_import(context, parameters)
    if not params.get("ClientToken"):
        raise validation(TOKEN_NEEDED, "Invalid Request: ClientToken is required")
    imports = registry(context).imports
    earlier = next((job for job in imports if job.token == params["ClientToken"] and _same_place(job, context)), None)
    if earlier is not None:
        if earlier.table_name != parameters["TableName"]:
            text = "Import conflict: Duplicate request detected with conflicting parameters"
            raise TOKEN.error("ImportConflictException", text)
        return {"ImportTableDescription": describe(earlier)}
    limits.require_room(context)
    if world.quotas and jobs.count_running(context, imports) >= MOST_IMPORTS:
        raise over_limit(QUOTA, f"The limit of {MOST_IMPORTS} concurrent imports was reached")
    now = world.clock.now()
    table_arn = context.arn(f"table/{parameters['TableName']}", "dynamodb")
    job = Import(
        context,
        params,
        jobs.new_arn(world, table_arn, "import", now),
        table_arn,
        str(uuid.UUID(int=world.random.getrandbits(128), version=4)),
        now,
        token=params["ClientToken"],
        planned_failure=world.faults.take("job_failure", f"dynamodb.{context.operation}", params, context.account_id),
        table_name=parameters["TableName"],
        rank=world.random.random(),
    )
    imports.append(job)
    jobs.note(job, "import")
    visible = world.timings.seconds("import.visible")
    world.schedule(min(world.timings.seconds("import.failing"), visible), lambda: _probe(job))
    world.schedule(visible, lambda: _appear(job))
    return {"ImportTableDescription": describe(job)}


def _check_input(params: Shape) -> None:
    input_format = params["InputFormat"]
    if "InputFormatOptions" in params and input_format != "CSV":
        text = f"Invalid Request: Unsupported InputFormatOptions for the given input format: {input_format}."
        raise validation(OPTIONS, text)
    if params.get("InputCompressionType") == "ZSTD" and zstd is None:
        raise validation(ZSTD, "The lab reads ZSTD with the package backports-zstd, or on Python 3.14")


def _same_place(job: Import, context: Context) -> bool:
    return (job.context.account_id, job.context.region) == (context.account_id, context.region)


def _owner(job: Import) -> str:
    owner: str = job.request["S3BucketSource"].get("S3BucketOwner") or job.context.account_id
    return owner


# The work


def _log(job: Import, stream: str, messages: Iterable[Shape]) -> None:
    texts = [json.dumps(message, separators=(",", ":")) for message in messages]
    job.world.part(LogsService).put_events_as(
        job.context.caller, LOG_GROUP, f"{job.id}/{stream}", texts, region=job.context.region
    )


def _probe(job: Import) -> None:
    """Checks made before there is a table: log group, bucket, and the first object."""
    try:
        _log(job, "info", [{"importArn": job.arn, "message": "Import started"}])
    except AwsError as error:
        job.end("ConfigurationError", f"CloudWatch Logs cannot be written: {error.message}")
        return
    source, caller, s3 = job.request["S3BucketSource"], job.context.caller, job.world.part(Buckets)
    try:
        job.objects = s3.list_objects_as(caller, source["S3Bucket"], source.get("S3KeyPrefix", ""), _owner(job))
        if job.objects:
            s3.head_as(caller, source["S3Bucket"], job.objects[0][0], expected_owner=_owner(job))
    except AwsError as error:
        job.end(*jobs.s3_failure(job.world, error))
        return
    job.probed = True
    if job.planned_failure is not None and not job.planned_failure.values.get("table", True):
        _fail_as_planned(job)


def _fail_as_planned(job: Import) -> None:
    assert job.planned_failure is not None
    fault = job.planned_failure
    job.end(fault.code or "InternalServerError", fault.message or "The import failed by an internal error.")


def _appear(job: Import) -> None:
    """Create the table, unless another import has its name or will have it."""
    if not job.running:
        return
    rivals = [
        other
        for other in registry(job.context).imports
        if other.running and other.probed and other.table is None and jobs.place(other) == jobs.place(job)
    ]
    try:
        if max(rivals, key=lambda rival: rival.rank) is not job:
            raise RIVALS.error("ResourceInUseException", f"Table already exists: {job.table_name}")
        parameters = job.request["TableCreationParameters"]
        job.table = tables.create_from_import(job.context, parameters, job.table_id)
    except AwsError as error:
        job.end("TableAlreadyExists" if error.code == "ResourceInUseException" else error.code, error.message)
        return
    table = job.table
    creating = job.world.timings.seconds("import.creating")
    job.world.schedule(creating, lambda: jobs.do_in_slices(job.world, _load(job, table)))


def _load(job: Import, table: Table) -> Iterator[None]:
    """Read all objects into the table, in steps; then it is ACTIVE, and a little later the import ends."""
    rules = ItemRules(table, of_indexes=job.world.behaviours["dynamodb.import_of_index_keys"] == "refused")
    failure = ("", "")
    try:
        for key, _, etag in job.objects:
            yield from _load_object(job, table, rules, key, etag)
    except AwsError as error:
        failure = jobs.s3_failure(job.world, error)
    if job.errors and not failure[0]:
        failure = (
            "ItemValidationError",
            "Some of the items failed validation checks and were not imported. Please check CloudWatch error logs for "
            "more details.",
        )
    registry(job.context).activate(table)

    def complete() -> None:
        if job.planned_failure is not None:
            _fail_as_planned(job)
        else:
            job.end(*failure)

    job.world.schedule(job.world.timings.seconds("import.completing"), complete)


def _load_object(job: Import, table: Table, rules: ItemRules, key: str, etag: str) -> Iterator[None]:
    problems: list[Shape] = []

    def refuse(message: str, index: int | None = None) -> None:
        pointer: Shape = {"bucket": job.request["S3BucketSource"]["S3Bucket"], "key": key}
        pointer |= {} if index is None else {"itemIndex": index}
        problems.append({"itemS3Pointer": pointer, "importArn": job.arn, "errorMessages": [message]})

    try:
        body = _read(job, key, etag)
        job.processed_bytes += len(body)
        records = _records(job, table, body)
        while chunk := list(itertools.islice(records, _STEP_LINES)):
            flaw = _store(job, table, rules, chunk, refuse)
            if flaw is not None:
                raise flaw
            yield
    except _UnreadableRest as rest:
        refuse(str(rest))
    if problems:
        job.errors += len(problems)
        _log(job, "error", problems)


def _read(job: Import, key: str, etag: str) -> bytes:
    """An object's content, decompressed as the call asks."""
    bucket, caller = job.request["S3BucketSource"]["S3Bucket"], job.context.caller
    try:
        stored, body = job.world.part(Buckets).read_as(caller, bucket, key, expected_owner=_owner(job))
    except AwsError as error:
        if error.code == "NoSuchKey":
            raise _UnreadableRest("ObjectModifiedInS3DuringImport") from None
        raise
    if stored.etag != etag:
        raise _UnreadableRest("ObjectModifiedInS3DuringImport")
    compression = job.request.get("InputCompressionType", "NONE")
    if compression == "NONE" or not body:
        return body
    reader, flaws = (gzip, (OSError, EOFError, zlib.error)) if compression == "GZIP" else (zstd, (zstd.ZstdError,))
    try:
        return bytes(reader.decompress(body))
    except flaws:
        raise _UnreadableRest(f"Failed to decompress the file. {_REMAINDER}") from None


def _store(
    job: Import,
    table: Table,
    rules: ItemRules,
    chunk: Iterable[tuple[int, Any]],
    refuse: Callable[[str, int | None], None],
) -> _UnreadableRest | None:
    """Write a chunk's items; returns the fault of the rest of the object, if the chunk ends with one."""
    time = job.world.clock.now()
    with table.store.transaction():
        for index, item in chunk:
            if isinstance(item, _UnreadableRest):
                return item
            try:
                table.store.put(*rules.checked(item), time)
                job.imported += 1
            except AwsError as error:
                refuse(error.message, index)
    return None


def _records(job: Import, table: Table, body: bytes) -> Iterator[tuple[int, Any]]:
    """(number, item) of each line; behind the last one that can be read, what is wrong instead of an item."""
    input_format = job.request["InputFormat"]
    if input_format == "CSV":
        yield from _rows(job, table, body)
        return
    parse: Callable[[bytes], Any] = json.loads if input_format == "DYNAMODB_JSON" else _ion_line
    index = 0
    for line in body.split(b"\n"):
        if not line.strip():
            continue
        try:
            record = parse(line)
        except ValueError:
            yield index, _UnreadableRest(f"Unexpected token. {_REMAINDER}")
            return
        if not isinstance(record, dict) or "Item" not in record:
            yield index, _UnreadableRest(f"Expected 'Item' top level container. {_REMAINDER}")
            return
        yield index, record["Item"]
        index += 1


def _ion_line(line: bytes) -> Any:
    record = ion.read(line.decode())
    return {name: value.get("M", value) for name, value in record.items()}


def _rows(job: Import, table: Table, body: bytes) -> Iterator[tuple[int, Any]]:
    """CSV: keys have their own types, everything else is a string."""
    options = job.request.get("InputFormatOptions", {}).get("Csv", {})
    types = {each["AttributeName"]: each["AttributeType"] for each in table.attribute_definitions}
    try:
        reader = csv.reader(io.StringIO(body.decode(), newline=""), delimiter=options.get("Delimiter", ","))
        names = options.get("HeaderList") or next(reader, [])
        for index, row in enumerate(row for row in reader if row):
            yield index, {name: {types.get(name, "S"): text} for name, text in zip(names, row, strict=False)}
    except (UnicodeDecodeError, csv.Error):
        yield 0, _UnreadableRest(f"Unexpected token. {_REMAINDER}")


# Reading


def describe(job: Import) -> Shape:
    """ImportTableDescription."""
    request = job.request
    ended = job.ended_at is not None
    shown: Shape = {
        **_summary(job),
        "TableId": job.table_id,
        "ClientToken": job.token,
        "InputCompressionType": request.get("InputCompressionType", "NONE"),
        "TableCreationParameters": request["TableCreationParameters"],
        "ErrorCount": job.errors if ended else 0,
        "ProcessedItemCount": job.imported + job.errors if ended else 0,
        "ImportedItemCount": job.imported if ended else 0,
    }
    if "InputFormatOptions" in request:
        shown["InputFormatOptions"] = request["InputFormatOptions"]
    if ended and job.processed_bytes:
        shown["ProcessedSizeBytes"] = job.processed_bytes
    return shown | job.failure()


def _summary(job: Import) -> Shape:
    shown: Shape = {
        "ImportArn": job.arn,
        "ImportStatus": job.status,
        "TableArn": job.table_arn,
        "S3BucketSource": {**job.request["S3BucketSource"], "S3BucketOwner": _owner(job)},
        "CloudWatchLogGroupArn": job.context.arn(f"log-group:{LOG_GROUP}:*", "logs"),
        "InputFormat": job.request["InputFormat"],
        "StartTime": job.started_at,
    }
    return shown | ({} if job.ended_at is None else {"EndTime": job.ended_at})


def describe_import(context: Context, params: Shape) -> Shape:
    """DescribeImport."""
    jobs.throttle_describes(context)
    job = jobs.find(context, registry(context).imports, params["ImportArn"], "import", FOUND_BY_ARN)
    return {"ImportTableDescription": describe(job)}


def list_imports(context: Context, params: Shape) -> Shape:
    """ListImports."""
    shown, token = jobs.page(context, registry(context).imports, params, "PageSize", lambda job: True)
    return {"ImportSummaryList": [_summary(job) for job in shown], **token}


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "ImportTable": import_table,
    "DescribeImport": describe_import,
    "ListImports": list_imports,
}
