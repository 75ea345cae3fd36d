# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports: what is refused at the call, what fails late, what lies in the bucket."""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
from collections.abc import Callable
from typing import Any

import pytest

from lab.dynamodb import export, ion, jobs
from lab.dynamodb.registry import TableRegistry
from lab.rules import RuleBroken
from lab.s3.buckets import Buckets
from lab.world import Context

SOURCE, DESTINATION = "111111111111", "222222222222"
REGION = "eu-west-1"
BUCKET = "staging"
ARN = f"arn:aws:dynamodb:{REGION}:{SOURCE}:table/tbl"
SLOWEST = 800.0


@pytest.fixture
def bucket(world: Any, other_desk: Any) -> Any:
    """A bucket of the destination account that the source's administrator may write to."""
    made = world.part(Buckets).create_bucket(other_desk.caller, BUCKET, REGION, REGION, "", "")
    allow(made)
    return made


def allow(bucket: Any, *actions: str) -> None:
    statement = {
        "Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{SOURCE}:root"},
        "Action": list(actions) or ["s3:PutObject", "s3:PutObjectAcl", "s3:AbortMultipartUpload"],
        "Resource": f"arn:aws:s3:::{BUCKET}/*",
    }  # fmt: skip
    bucket.policy = json.dumps({"Version": "2012-10-17", "Statement": [statement]})


@pytest.fixture
def source(desk: Any, bucket: Any) -> Any:
    """The source's desk with table ``t``, its PITR on and past its first minutes, three items written."""
    desk.table("tbl")
    desk(
        "UpdateContinuousBackups",
        TableName="tbl",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    for name in "abc":
        desk("PutItem", TableName="tbl", Item={"pk": {"S": name}, "n": {"N": "1e2"}})
    desk.wait(600)
    return desk


def start(desk: Any, **params: Any) -> dict[str, Any]:
    request = {"TableArn": ARN, "S3Bucket": BUCKET, "S3BucketOwner": DESTINATION, **params}
    description: dict[str, Any] = desk("ExportTableToPointInTime", **request)["ExportDescription"]
    return description


def described(desk: Any, arn: str) -> dict[str, Any]:
    description: dict[str, Any] = desk("DescribeExport", ExportArn=arn)["ExportDescription"]
    return description


def run(desk: Any, **params: Any) -> dict[str, Any]:
    arn = start(desk, **params)["ExportArn"]
    desk.wait(SLOWEST)
    return described(desk, arn)


def failed(desk: Any, **params: Any) -> tuple[str, str]:
    done = run(desk, **params)
    assert done["ExportStatus"] == "FAILED"
    assert "ItemCount" not in done and "ExportManifest" not in done
    return done["FailureCode"], done["FailureMessage"]


def objects(world: Any, other_desk: Any) -> dict[str, bytes]:
    s3 = world.part(Buckets)
    return {
        key: s3.get_object_as(other_desk.caller, BUCKET, key)
        for key, _, _ in s3.list_objects_as(other_desk.caller, BUCKET, "")
    }


@pytest.fixture
def stored(world: Any, other_desk: Any) -> Callable[[], dict[str, bytes]]:
    """The bucket's objects, as the destination reads them."""
    return lambda: objects(world, other_desk)


def lines(objects: dict[str, bytes]) -> list[dict[str, Any]]:
    data = [gzip.decompress(body) for key, body in objects.items() if "/data/" in key]
    return [json.loads(line) for body in data for line in body.splitlines()]


def test_delete_under_an_export(source: Any) -> None:
    arn = start(source)["ExportArn"]
    source("DeleteTable", TableName="tbl")
    source.wait(15)
    assert source.status() == "DELETING"
    source.wait(1)
    assert source("ListTables")["TableNames"] == []
    source.wait(SLOWEST)
    assert described(source, arn)["ItemCount"] == 3


# At the call


def test_export_needs_table_arn(source: Any) -> None:
    rule = export.TABLE_ARN_NEEDED
    call = "ExportTableToPointInTime"
    source.refused(rule, "ValidationException", "tableArn is not a valid ARN", call, TableArn="tbl", S3Bucket=BUCKET)
    source.refused(
        rule, "ValidationException", "Table ARN is invalid.", call, TableArn=f"{ARN}/index/i", S3Bucket=BUCKET
    )
    for nothing in ({}, {"TableArn": ""}):
        with pytest.raises(RuleBroken, match="Invalid TableArn: Invalid Table ARN"):
            source.world.services["dynamodb"].before_shape[call]({"S3Bucket": BUCKET, **nothing})


def test_export_prefix(source: Any) -> None:
    for prefix in ("", "a\tb"):
        source.refused(
            export.PREFIX, "ValidationException", f"Value '{prefix}' at 's3Prefix' failed", "ExportTableToPointInTime",
            TableArn=ARN, S3Bucket=BUCKET, S3Prefix=prefix,
        )  # fmt: skip


def test_export_key_form(source: Any) -> None:
    text = "Invalid Request: 1 validation error detected: Value 'not a key' at 's3SseKmsKeyId' failed to satisfy"
    source.refused(
        export.KEY_FORM, "ValidationException", text, "ExportTableToPointInTime",
        TableArn=ARN, S3Bucket=BUCKET, S3SseAlgorithm="KMS", S3SseKmsKeyId="not a key",
    )  # fmt: skip


def test_export_by_the_tables_account(source: Any, other_desk: Any) -> None:
    # The desk asks for permission first, as the gate does; a foreign caller fails there or in the rule alike.
    with pytest.raises(Exception, match="AccessDeniedException"):
        other_desk("ExportTableToPointInTime", TableArn=ARN, S3Bucket=BUCKET)
    foreign = ARN.replace(SOURCE, DESTINATION)
    with pytest.raises(RuleBroken) as caught:
        export._table(_context(source), foreign)
    assert (caught.value.rule, caught.value.message) == (export.OWN_TABLE.name, "Access is denied")


def _context(desk: Any) -> Any:
    return Context(desk.world, desk.caller, REGION, "dynamodb", "ExportTableToPointInTime", "id")


def test_export_of_missing_table(source: Any) -> None:
    call = "ExportTableToPointInTime"
    for arn in (f"{ARN}x", ARN.replace(REGION, "us-east-1")):
        with pytest.raises(Exception, match=f"TableNotFoundException: Table not found: {arn}"):
            source(call, TableArn=arn, S3Bucket=BUCKET)


def test_export_needs_pitr(desk: Any, bucket: Any) -> None:
    desk.table("tbl")
    call = "ExportTableToPointInTime"
    text = "Point in time recovery is not enabled for table 'tbl'"
    desk.refused(
        export.PITR_NEEDED, "PointInTimeRecoveryUnavailableException", text, call, TableArn=ARN, S3Bucket="none"
    )
    desk.refused(
        export.PITR_NEEDED, "InvalidExportTimeException", "cannot be less than the table creation time", call,
        TableArn=ARN, S3Bucket=BUCKET, ExportType="INCREMENTAL_EXPORT",
        IncrementalExportSpecification={"ExportFromTime": desk.world.clock.now()},
    )  # fmt: skip


def test_export_time_restorable(source: Any) -> None:
    now = source.world.clock.now()
    call, code = "ExportTableToPointInTime", "InvalidExportTimeException"
    for export_time in (now + 5, now - 86400):
        source.refused(
            export.TIME_RESTORABLE,
            code,
            "Export Time is invalid",
            call,
            TableArn=ARN,
            S3Bucket=BUCKET,
            ExportTime=export_time,
        )
    text = "Point in Time Recovery is not available for specified export time"
    source.refused(export.TIME_RESTORABLE, code, text, call, TableArn=ARN, S3Bucket=BUCKET, ExportTime=now - 1)


@pytest.mark.parametrize("choice", ["current", "empty"])
def test_export_before_latest_moves(desk: Any, bucket: Any, choice: str) -> None:
    desk.world.behaviours.choose("dynamodb.export_just_after_pitr", choice)
    desk.table("tbl")
    desk("PutItem", TableName="tbl", Item={"pk": {"S": "a"}})
    desk(
        "UpdateContinuousBackups",
        TableName="tbl",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    assert run(desk)["ItemCount"] == (1 if choice == "current" else 0)
    assert run(desk)["ItemCount"] == 1


def test_export_key_needs_kms(source: Any) -> None:
    for sent in ({}, {"S3SseAlgorithm": "AES256"}):
        source.refused(
            export.KEY_NEEDS_KMS, "ValidationException", "KMS Key Id is not supported for this encryption type",
            "ExportTableToPointInTime", TableArn=ARN, S3Bucket=BUCKET, S3SseKmsKeyId="k", **sent,
        )  # fmt: skip


@pytest.mark.parametrize(
    ("params", "text"),
    [
        ({"IncrementalExportSpecification": {}}, "Export Type expected to be Incremental Export when"),
        ({"IncrementalExportSpecification": {}, "ExportType": "FULL_EXPORT"}, "When Export Type is Full Export , Incr"),
        ({"ExportType": "INCREMENTAL_EXPORT"}, "Incremental Export Specification expected when"),
        ({"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": {}}, "ExportFromTime must be provided"),
    ],
)
def test_export_type_and_specification(source: Any, params: dict[str, Any], text: str) -> None:
    source.refused(
        export.TYPE_AND_SPECIFICATION, "ValidationException", text, "ExportTableToPointInTime",
        TableArn=f"{ARN}-missing", S3Bucket=BUCKET, **params,
    )  # fmt: skip


def incremental(start: float, end: float | None = None, **more: Any) -> dict[str, Any]:
    specification = {"ExportFromTime": start, **({} if end is None else {"ExportToTime": end}), **more}
    return {"ExportType": "INCREMENTAL_EXPORT", "IncrementalExportSpecification": specification}


def test_incremental_window(source: Any) -> None:
    source.wait(2 * 86400)
    now = source.world.clock.now()
    for window, text in [
        ((0.0, now), "from time cannot be less than the table creation time : 1970-01-01T00:00:00.000Z"),
        ((now - 1000, now - 101), "less than 15 minutes"),
        ((now - 100, now - 1000), "less than 15 minutes"),
        ((now - 90000, now - 1), "greater than 24 hours"),
        ((now - 1000, now + 5), "to time cannot be greater than the current time"),
    ]:
        source.refused(
            export.WINDOW, "InvalidExportTimeException", text, "ExportTableToPointInTime", TableArn=ARN,
            S3Bucket=BUCKET, **incremental(*window),
        )  # fmt: skip
    assert start(source, **incremental(now - 900, now))["ExportStatus"] == "IN_PROGRESS"
    described_window = start(source, **incremental(now - 950))["IncrementalExportSpecification"]
    assert described_window["ExportToTime"] in (float(int(now)), float(int(now)) + 1)
    assert described_window["ExportViewType"] == "NEW_AND_OLD_IMAGES"


def test_incremental_window_starts_with_pitr(desk: Any, bucket: Any) -> None:
    desk.table("tbl")
    desk.wait(3000)
    desk(
        "UpdateContinuousBackups",
        TableName="tbl",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    desk.wait(2000)
    desk.refused(
        export.WINDOW_START, "InvalidExportTimeException", "cannot be less than", "ExportTableToPointInTime",
        TableArn=ARN, S3Bucket=BUCKET, **incremental(desk.world.clock.now() - 2500),
    )  # fmt: skip


def test_export_filter_sound(source: Any) -> None:
    literals = {"ExpressionAttributeValues": {":a": {"S": "a"}}}
    for specification, text in [
        ({}, "Invalid FilterSpecification: The specification can not be empty"),
        ({"FilterExpression": "n = "}, "Syntax error"),
        ({"KeyConditionExpression": "pk > :a", **literals}, "Query key condition not supported"),
        (
            {"KeyConditionExpression": "pk = :a", "FilterExpression": "pk = :a", **literals},
            "non-primary key attributes",
        ),
    ]:
        source.refused(
            export.FILTER_SOUND, "ValidationException", text, "ExportTableToPointInTime", TableArn=ARN, S3Bucket=BUCKET,
            FilterSpecification=specification,
        )  # fmt: skip


def test_begun_export_is_in_the_books(source: Any) -> None:
    first = start(source, ClientToken="one")
    start(source, ClientToken="one")
    (begun,) = source.world.request_log.jobs("export")
    assert (begun.account, begun.region, begun.resource, begun.id) == (SOURCE, REGION, ARN, first["ExportArn"])


def test_export_token(source: Any) -> None:
    first = start(source, ClientToken="one", S3Bucket="missing")
    source.wait(SLOWEST)
    again = start(source, ClientToken="one", S3Bucket="missing")
    assert (again["ExportArn"], again["ExportStatus"]) == (first["ExportArn"], "FAILED")
    source.refused(
        export.CONFLICT, "ExportConflictException", "Duplicate request detected with conflicting parameters",
        "ExportTableToPointInTime", TableArn=ARN, S3Bucket=BUCKET, S3BucketOwner=DESTINATION, ClientToken="one",
    )  # fmt: skip
    assert start(source)["ExportArn"] != start(source)["ExportArn"]


def test_export_token_life(source: Any) -> None:
    first = start(source, ClientToken="one")
    source.wait(8 * 3600 + 1)
    assert start(source, ClientToken="one")["ExportArn"] != first["ExportArn"]


def test_export_quota(source: Any) -> None:
    for _ in range(300):
        start(source)
    source.refused(
        export.QUOTA, "LimitExceededException", "300 concurrent exports", "ExportTableToPointInTime", TableArn=ARN,
        S3Bucket=BUCKET,
    )  # fmt: skip
    source.world.quotas = False
    assert start(source)["ExportStatus"] == "IN_PROGRESS"


def test_export_calls_throttled(source: Any) -> None:
    source.world.throttles.enabled = True
    # Refused calls count like others.
    for _ in range(20):
        with pytest.raises(RuleBroken, match="ValidationException"):
            source("ExportTableToPointInTime", TableArn="tbl", S3Bucket=BUCKET)
    source.refused(
        export.THROTTLED,
        "ThrottlingException",
        "Rate exceeded",
        "ExportTableToPointInTime",
        TableArn=ARN,
        S3Bucket=BUCKET,
    )
    source.wait(60)
    for _ in range(5):
        start(source)
        source.wait(1.5)


# Late


def test_export_fails_late(source: Any, world: Any, desk: Any) -> None:
    code, message = failed(source, S3Bucket="missing")
    assert code == "S3NoSuchBucket"
    assert message.startswith(
        "The specified bucket does not exist (Service: Amazon S3; Status Code: 404; Error Code: NoSuchBucket; "
    )
    code, message = failed(source, S3BucketOwner=SOURCE)
    assert (code, message.split(" (")[0]) == ("S3AccessDenied", "Access Denied")
    missing = f"arn:aws:kms:{REGION}:{SOURCE}:key/00000000-0000-0000-0000-000000000000"
    code, message = failed(source, S3SseAlgorithm="KMS", S3SseKmsKeyId=missing)
    assert code == "KmsNotFoundException"
    assert message.startswith(f"Key '{missing}' does not exist (Service: Amazon S3; Status Code: 400; ")
    elsewhere = missing.replace(REGION, "us-east-1")
    code, message = failed(source, S3SseAlgorithm="KMS", S3SseKmsKeyId=elsewhere)
    assert (code, message.split(" (")[0]) == ("KmsNotFoundException", "Invalid arn us-east-1")


def test_export_fails_soon_when_the_first_write_fails(source: Any) -> None:
    arn = start(source, S3Bucket="missing")["ExportArn"]
    source.wait(17)
    assert described(source, arn)["ExportStatus"] == "FAILED"


def test_export_writes_as_caller(source: Any, bucket: Any) -> None:
    allow(bucket, "s3:PutObject")
    code, message = failed(source)
    assert code == "S3AccessDenied"
    assert message.startswith(f"User: {source.caller.arn} is not authorized to perform: s3:PutObjectAcl on resource: ")
    allow(bucket)
    arn = start(source)["ExportArn"]
    source.wait(100)  # after _started, before the data
    allow(bucket, "s3:GetObject")
    source.wait(SLOWEST)
    assert described(source, arn)["FailureCode"] == "S3AccessDenied"


def test_export_bucket_owner(source: Any) -> None:
    arn = source("ExportTableToPointInTime", TableArn=ARN, S3Bucket=BUCKET)["ExportDescription"]["ExportArn"]
    source.wait(SLOWEST)
    assert described(source, arn)["FailureCode"] == "S3AccessDenied"


def test_export_uses_table_key(source: Any) -> None:
    key = source("CreateKey", service="kms")["KeyMetadata"]["Arn"]
    table = source.world.part(TableRegistry).find(SOURCE, REGION, "tbl")
    table.encryption.type, table.encryption.key_arn = "KMS", key
    assert run(source)["ExportStatus"] == "COMPLETED"
    source("DisableKey", service="kms", KeyId=key)
    assert failed(source)[0] == "KmsAccessDenied"


# What is written


def test_export_layout(source: Any, stored: Callable[[], dict[str, bytes]]) -> None:
    done = run(source, S3Prefix="some/prefix")
    assert (done["ExportStatus"], done["ItemCount"]) == ("COMPLETED", 3)
    root = f"some/prefix/AWSDynamoDB/{done['ExportArn'].rpartition('/')[2]}/"
    assert done["ExportManifest"] == f"{root}manifest-summary.json"
    objects = stored()
    assert all(key.startswith(root) for key in objects)
    data = {key: body for key, body in objects.items() if key.startswith(f"{root}data/")}
    assert {key.removeprefix(root) for key in objects if key not in data} == {
        "_started", "manifest-files.json", "manifest-files.md5", "manifest-summary.json", "manifest-summary.md5",
    }  # fmt: skip
    assert len(data) == 4 and all(key.endswith(".json.gz") for key in data)
    assert b"" in map(gzip.decompress, data.values())
    assert sorted(line["Item"]["pk"]["S"] for line in lines(objects)) == ["a", "b", "c"]
    assert lines(objects)[0]["Item"]["n"] == {"N": "100"}
    entries = [json.loads(line) for line in objects[f"{root}manifest-files.json"].splitlines()]
    assert {entry["dataFileS3Key"] for entry in entries} == set(data)
    for entry in entries:
        body = data[entry["dataFileS3Key"]]
        assert entry["itemCount"] == len(gzip.decompress(body).splitlines())
        assert entry["md5Checksum"] == base64.b64encode(hashlib.md5(body).digest()).decode()
        assert entry["etag"].endswith("-1")
    for name in ("manifest-files", "manifest-summary"):
        digest = hashlib.md5(objects[f"{root}{name}.json"]).digest()
        assert objects[f"{root}{name}.md5"] == base64.b64encode(digest)
    summary = json.loads(objects[f"{root}manifest-summary.json"])
    assert {name: summary[name] for name in ("version", "itemCount", "s3Prefix", "outputFormat", "tableId")} == {
        "version": "2020-06-30", "itemCount": 3, "s3Prefix": "some/prefix", "outputFormat": "DYNAMODB_JSON",
        "tableId": done["TableId"],
    }  # fmt: skip
    assert "exportType" not in summary
    assert summary["manifestFilesS3Key"] == f"{root}manifest-files.json"


def test_export_prefix_gives_no_double_slash(source: Any) -> None:
    assert run(source, S3Prefix="foo/")["ExportManifest"].startswith("foo/AWSDynamoDB/0")
    assert run(source)["ExportManifest"].startswith("AWSDynamoDB/0")


def test_export_shows_the_table_at_its_time(source: Any, stored: Callable[[], dict[str, bytes]]) -> None:
    then = float(int(source.world.clock.now()))
    source.wait(2)
    source("DeleteItem", TableName="tbl", Key={"pk": {"S": "a"}})
    source("PutItem", TableName="tbl", Item={"pk": {"S": "new"}})
    source.wait(600)
    assert run(source, ExportTime=then)["ExportTime"] == then
    assert sorted(line["Item"]["pk"]["S"] for line in lines(stored())) == ["a", "b", "c"]


def test_ion_export(source: Any, stored: Callable[[], dict[str, bytes]]) -> None:
    run(source, ExportFormat="ION")
    data = {key: gzip.decompress(body).decode() for key, body in stored().items() if "/data/" in key}
    assert all(key.endswith(".ion.gz") for key in data)
    records = [ion.read(line)["Item"]["M"] for text in data.values() for line in text.splitlines()]
    assert sorted(record["pk"]["S"] for record in records) == ["a", "b", "c"]


def test_filtered_export(source: Any, stored: Callable[[], dict[str, bytes]]) -> None:
    specification = {
        "KeyConditionExpression": "pk = :a", "ProjectionExpression": "pk",
        "ExpressionAttributeValues": {":a": {"S": "a"}},
    }  # fmt: skip
    done = run(source, FilterSpecification=specification)
    assert (done["ItemCount"], done["FilterSpecification"]) == (1, specification)
    assert lines(stored()) == [{"Item": {"pk": {"S": "a"}}}]


def test_incremental_compacted(source: Any, stored: Callable[[], dict[str, bytes]]) -> None:
    begin = source.world.clock.now()
    source.wait(10)
    source("PutItem", TableName="tbl", Item={"pk": {"S": "a"}, "n": {"N": "5"}})
    source("PutItem", TableName="tbl", Item={"pk": {"S": "a"}, "n": {"N": "6"}})
    source("DeleteItem", TableName="tbl", Key={"pk": {"S": "b"}})
    source("PutItem", TableName="tbl", Item={"pk": {"S": "brief"}})
    source("DeleteItem", TableName="tbl", Key={"pk": {"S": "brief"}})
    source("PutItem", TableName="tbl", Item={"pk": {"S": "new"}})
    source.wait(1000)
    done = run(source, **incremental(begin, source.world.clock.now()), S3Prefix="p")
    assert (done["ItemCount"], "ExportTime" in done) == (3, False)
    records = {line["Keys"]["pk"]["S"]: line for line in lines(stored())}
    assert set(records) == {"a", "b", "new"}
    assert records["a"]["NewImage"]["n"] == {"N": "6"}
    assert records["a"]["OldImage"]["n"] == {"N": "100"}
    assert ("NewImage" in records["b"], records["b"]["OldImage"]["pk"]) == (False, {"S": "b"})
    assert "OldImage" not in records["new"]
    micros = int(records["a"]["Metadata"]["WriteTimestampMicros"]["N"])
    assert begin < micros / 1e6 < begin + 60
    summary = json.loads(next(body for key, body in stored().items() if key.endswith("manifest-summary.json")))
    assert (summary["version"], summary["exportType"], summary["outputView"]) == (
        "2023-08-01", "INCREMENTAL_EXPORT", "NEW_AND_OLD_IMAGES",
    )  # fmt: skip


def test_incremental_data_folder(source: Any, stored: Callable[[], dict[str, bytes]]) -> None:
    begin = source.world.clock.now()
    source("PutItem", TableName="tbl", Item={"pk": {"S": "a"}})
    source.wait(1000)
    window = incremental(begin, begin + 950, ExportViewType="NEW_IMAGE")
    first, second = run(source, **window, S3Prefix="p"), run(source, **window, S3Prefix="p")
    assert first["ExportManifest"] != second["ExportManifest"]
    data = [key for key in stored() if "/data/" in key]
    assert len(data) == 8 and all(key.startswith("p/AWSDynamoDB/data/") for key in data)
    assert {"OldImage" in line for line in lines(stored())} == {False}


# Reading


def test_export_description(source: Any) -> None:
    running = source("ExportTableToPointInTime", TableArn=ARN, S3Bucket=BUCKET)["ExportDescription"]
    assert set(running) == {
        "ClientToken", "ExportArn", "ExportFormat", "ExportStatus", "ExportTime", "S3Bucket", "S3SseAlgorithm",
        "StartTime", "TableArn", "TableId", "DestinationType",
    }  # fmt: skip
    assert (running["S3SseAlgorithm"], running["ExportFormat"]) == ("AES256", "DYNAMODB_JSON")
    identifier = running["ExportArn"].rpartition("/")[2]
    assert identifier[:14].isdigit() and identifier[14] == "-" and len(identifier) == 23
    done = run(source, ExportType="FULL_EXPORT", S3Prefix="p")
    assert (done["ExportType"], done["S3Prefix"], done["S3BucketOwner"]) == ("FULL_EXPORT", "p", DESTINATION)
    assert {"EndTime", "ItemCount", "BilledSizeBytes", "ExportManifest"} <= set(done)


def test_export_billed_bytes(source: Any) -> None:
    assert run(source)["BilledSizeBytes"] == 0
    source.wait(1000)
    now = source.world.clock.now()
    assert run(source, **incremental(now - 950, now))["BilledSizeBytes"] == 10_000_000


def test_describe_export(source: Any, other_desk: Any) -> None:
    unknown = f"{ARN}/export/01700000000000-00000000"
    call, rule = "DescribeExport", export.FOUND_BY_ARN
    source.refused(
        rule, "ExportNotFoundException", f"Export not found: Export not found: {unknown}", call, ExportArn=unknown
    )
    elsewhere = unknown.replace(REGION, "us-east-1")
    source.refused(rule, "ExportNotFoundException", "Export not found: Invalid export arn", call, ExportArn=elsewhere)
    source.refused(rule, "ValidationException", "Invalid Export ARN", call, ExportArn=f"{ARN}/import/1-2")
    source.refused(rule, "ValidationException", "Invalid Export ARN", call, ExportArn="export")
    for name, nonsense in ((":aws:", ":xyz:"), (":dynamodb:", ":xyz:"), (REGION, "xyz"), (SOURCE, "xyz")):
        for arn in (unknown.replace(name, nonsense), ARN.replace(name, nonsense)):
            source.refused(rule, "AccessDeniedException", "Access is denied", call, ExportArn=arn)
    source.refused(rule, "ValidationException", "Invalid Export ARN", call, ExportArn=ARN)
    with pytest.raises(Exception, match="AccessDeniedException"):
        other_desk(call, ExportArn=unknown)


def test_jobs_listed_newest_first(source: Any) -> None:
    arns = []
    for _ in range(12):
        arns.append(start(source)["ExportArn"])
        source.wait(1)
    first = source("ListExports", TableArn=ARN)
    assert [each["ExportArn"] for each in first["ExportSummaries"]] == arns[:1:-1]
    assert first["ExportSummaries"][0] == {
        "ExportArn": arns[-1], "ExportStatus": "IN_PROGRESS", "ExportType": "FULL_EXPORT"
    }  # fmt: skip
    second = source("ListExports", TableArn=ARN, NextToken=first["NextToken"])
    assert [each["ExportArn"] for each in second["ExportSummaries"]] == arns[1::-1]
    assert "NextToken" not in second
    other = source("ListExports", TableArn=f"{ARN}2", NextToken=first["NextToken"])
    assert other == {"ExportSummaries": []}
    source.refused(
        jobs.LISTED, "ValidationException", "Provided nextToken is invalid: zzz", "ListExports", NextToken="zzz"
    )
    assert len(source("ListExports", MaxResults=5)["ExportSummaries"]) == 5


def test_export_leaves_list_with_table(source: Any) -> None:
    done = run(source)
    source("DeleteTable", TableName="tbl")
    assert len(source("ListExports", TableArn=ARN)["ExportSummaries"]) == 1
    source.wait(30)
    assert source("ListExports", TableArn=ARN)["ExportSummaries"] == []
    source.table("tbl")
    assert source("ListExports", TableArn=ARN)["ExportSummaries"] == []
    assert described(source, done["ExportArn"])["ExportStatus"] == "COMPLETED"


def test_export_of_a_table_deleted_meanwhile_completes(source: Any) -> None:
    arn = start(source)["ExportArn"]
    source("DeleteTable", TableName="tbl")
    source.wait(SLOWEST)
    assert described(source, arn)["ItemCount"] == 3


def test_jobs_kept_90_days(source: Any) -> None:
    arn = run(source)["ExportArn"]
    source.wait(90 * 86400)
    with pytest.raises(RuleBroken, match="ExportNotFoundException"):
        described(source, arn)


def test_describes_throttled(source: Any) -> None:
    arn = start(source)["ExportArn"]
    source.world.throttles.enabled = True
    for _ in range(13):
        described(source, arn)
    source.refused(jobs.DESCRIBES_THROTTLED, "ThrottlingException", "Rate exceeded", "DescribeExport", ExportArn=arn)


def test_export_durations(source: Any) -> None:
    took = set()
    for _ in range(12):
        done = run(source)
        took.add(round(done["EndTime"] - done["StartTime"]))
    assert took == {153, 724}
    source.world.timings.set("export.full", 15)
    arns = [start(source)["ExportArn"] for _ in range(5)]
    source.wait(15.1)
    assert {described(source, arn)["ExportStatus"] for arn in arns} == {"COMPLETED"}


# Faults


def test_planned_failure_of_an_export(source: Any) -> None:
    source.world.faults.add(
        operation="ExportTableToPointInTime", kind="job_failure", code="Sorry", match={"TableArn": ARN}
    )
    assert failed(source)[0] == "Sorry"
    assert run(source)["ExportStatus"] == "COMPLETED"


def test_planned_corruption_of_an_export(source: Any, stored: Callable[[], dict[str, bytes]]) -> None:
    source.world.faults.add(operation="ExportTableToPointInTime", kind="corrupt_object")
    assert run(source)["ExportStatus"] == "COMPLETED"
    objects = stored()
    files = next(body for key, body in objects.items() if key.endswith("manifest-files.json"))
    differing = [
        entry
        for entry in map(json.loads, files.splitlines())
        if base64.b64encode(hashlib.md5(objects[entry["dataFileS3Key"]]).digest()).decode() != entry["md5Checksum"]
    ]
    assert len(differing) == 1


def test_large_export_lets_others_work(source: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jobs, "SLICE_SECONDS", 0.0)
    monkeypatch.setattr(export, "_STEP_ITEMS", 1)
    arn = start(source)["ExportArn"]
    source.wait(SLOWEST)
    assert described(source, arn)["ItemCount"] == 3
