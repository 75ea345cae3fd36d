# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Less usual ways: ION, increments, filters, keys, sessions that expire, a log of failures, races."""

from __future__ import annotations

import json
import time
from datetime import UTC, datetime

import pytest
from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    ChecksumMismatch,
    DestinationExists,
    ImportFailed,
    ImportLocked,
    PrefixNotData,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.export import plan_export, start_export
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.manifest import read_manifest
from ansible_collections.tableferry.aws.plugins.module_utils.core.exports.staging import StagingBucket
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.import_place import ImportLoader
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.importing import (
    ImportOptions,
    explain_failure,
    plan_import,
    start_import,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.imports.judge import judge_import
from demo.tables import all_types, attributes, key_schema


def keyed(kind):
    """A table's keys: ``id`` of ``kind``, and the number ``part``."""
    return {"KeySchema": key_schema("id", "part"), "AttributeDefinitions": attributes(("id", kind), ("part", "N"))}


def test_ion_arrives_unchanged(crossing):
    crossing.table("ion", list(all_types()), **keyed("B"))
    export = crossing.export("ion", export_format="ION")
    moved = crossing.bring_in(export, input_format="ION")
    assert (export.state, moved.state) == ("completed", "completed"), (export, moved)
    assert crossing.items("destination", "ion") == crossing.items("source", "ion")
    assert (
        judge_import("ion", crossing.source, crossing.destination, export, moved, checksums=True).verified == "counts"
    )


def test_an_increment_holds_the_window_and_is_not_imported(crossing):
    crossing.table("changing")
    dynamodb = crossing.lab.client("dynamodb")
    crossing.lab.advance(2000)
    since = datetime.fromtimestamp(crossing.lab.world.clock.now(), UTC)
    dynamodb.put_item(TableName="changing", Item={"id": {"S": "item-000"}, "n": {"N": "7"}})
    dynamodb.delete_item(TableName="changing", Key={"id": {"S": "item-001"}})
    crossing.lab.advance(3000)
    window = {"export_type": "INCREMENTAL_EXPORT", "from_time": since, "view_type": "NEW_IMAGE"}
    export = crossing.export("changing", **window)
    assert export.state == "completed", export
    assert export.result["item_count"] == 2
    bucket = StagingBucket(crossing.destination, crossing.bucket, crossing.destination.account_id)
    assert read_manifest(bucket, export.result["manifest_key"]).export_type == "INCREMENTAL_EXPORT"
    again = plan_export(
        crossing.source, crossing.destination, crossing.export_options("changing", **window), ImportLoader()
    )
    assert (again.job.arn, again.changes) == (export.arn, [])
    with pytest.raises(PrefixNotData, match="incremental"):
        crossing.bring_in(export)


def test_a_filtered_table_says_so(crossing):
    crossing.table(
        "filtered",
        **keyed("S"),
        items=[{"id": {"S": "ab"[number % 2]}, "part": {"N": str(number)}} for number in range(10)],
    )
    told = {"KeyConditionExpression": "id = :id", "ExpressionAttributeValues": {":id": {"S": "a"}}}
    plan = plan_export(
        crossing.source, crossing.destination, crossing.export_options("filtered", filter=told), ImportLoader()
    )
    assert plan.changes[-1].after["filter"] == told
    assert [entry.what for entry in plan.left] == ["items that do not match the filter"]
    export = crossing.ended(start_export(crossing.source, crossing.destination, plan))
    moved = crossing.bring_in(export)
    assert [item["part"] for item in crossing.items("destination", "filtered")] == [
        {"N": number} for number in ("0", "2", "4", "6", "8")
    ]
    judgement = judge_import("filtered", crossing.source, crossing.destination, export, moved)
    assert (judgement.items_source, judgement.items_destination) == (5, 5)
    assert judgement.reason.startswith("Filtered")


def test_staged_under_a_key_of_the_destination(crossing):
    key = crossing.key("destination")
    source = crossing.source.principal_arn
    account = crossing.destination.account_id
    statements = [
        {"Effect": "Allow", "Principal": {"AWS": f"arn:aws:iam::{account}:root"}, "Action": "kms:*", "Resource": "*"},
        {
            "Effect": "Allow",
            "Principal": {"AWS": source},
            "Action": ["kms:GenerateDataKey", "kms:Decrypt", "kms:DescribeKey"],
            "Resource": "*",
        },
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    crossing.lab.client("kms", "destination").put_key_policy(KeyId=key, Policy=policy)
    crossing.table("sealed")
    export = crossing.export("sealed", sse_algorithm="KMS", kms_key_arn=key)
    assert export.state == "completed", export
    head = crossing.s3.head_object(Bucket=crossing.bucket, Key=export.result["manifest_key"])
    assert (head["ServerSideEncryption"], head["SSEKMSKeyId"]) == ("aws:kms", key)
    moved = crossing.bring_in(export)
    assert moved.state == "completed", moved
    assert crossing.items("destination", "sealed") == crossing.items("source", "sealed")


@pytest.mark.parametrize("sealed", [False, True])
def test_h3_a_bucket_may_deny_what_comes_without_the_encryption_header(crossing, sealed):
    """All that is written here carries it, as exports do: a bucket's default encryption is no header."""
    key = crossing.key("destination") if sealed else ""
    bucket = StagingBucket(crossing.destination, crossing.bucket, crossing.destination.account_id, key)
    header = "aws:kms" if sealed else "AES256"
    before = crossing.s3.get_bucket_policy(Bucket=crossing.bucket)["Policy"]
    policy = json.loads(before)
    policy["Statement"].append(
        {
            "Effect": "Deny",
            "Principal": "*",
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{crossing.bucket}/*",
            "Condition": {"StringNotEquals": {"s3:x-amz-server-side-encryption": header}},
        }
    )
    crossing.s3.put_bucket_policy(Bucket=crossing.bucket, Policy=json.dumps(policy))
    try:
        with pytest.raises(ClientError, match="AccessDenied"):
            crossing.s3.put_object(Bucket=crossing.bucket, Key="tableferry/bare", Body=b"")
        bucket.put("tableferry/ours", b"{}")
        head = crossing.s3.head_object(Bucket=crossing.bucket, Key="tableferry/ours")
        assert (head["ServerSideEncryption"], head.get("SSEKMSKeyId", "")) == (header, key)
        if not sealed:
            crossing.table("headed")
            assert crossing.bring_in(crossing.export("headed")).state == "completed"
    finally:
        crossing.s3.put_bucket_policy(Bucket=crossing.bucket, Policy=before)


def test_checksums_are_read_again(crossing):
    crossing.table("summed")
    export = crossing.export("summed")
    moved = crossing.bring_in(export)
    whole = judge_import("summed", crossing.source, crossing.destination, export, moved, checksums=True)
    assert whole.status == "migrated"
    found = crossing.s3.list_objects_v2(Bucket=crossing.bucket, Prefix=export.result["data_prefix"])["Contents"]
    key = max(found, key=lambda entry: entry["Size"])["Key"]
    body = crossing.s3.get_object(Bucket=crossing.bucket, Key=key)["Body"].read()
    crossing.s3.put_object(Bucket=crossing.bucket, Key=key, Body=body[:-1] + bytes([body[-1] ^ 1]))
    broken = judge_import("summed", crossing.source, crossing.destination, export, moved, checksums=True)
    assert isinstance(broken.failure, ChecksumMismatch)


def test_role_sessions_that_expire_during_the_wait_are_renewed(crossing):
    crossing.table("slow")
    crossing.source, before = crossing.by_role("source"), (crossing.source, crossing.destination)
    crossing.destination = crossing.by_role("destination")
    crossing.let_in(crossing.source.account_id)
    crossing.lab.set_timings({"export.full": 7200, "import.creating": 7200})
    sessions = crossing.lab.count("AssumeRole", ok=True)

    def two_hours_later():
        """A sleep whose first call takes two hours of the lab's time: longer than a session lives."""
        hours = iter([7300])

        def sleep(seconds):
            crossing.lab.advance(next(hours, 0))
            time.sleep(seconds / 50)

        return sleep

    try:
        plan = plan_export(crossing.source, crossing.destination, crossing.export_options("slow"), ImportLoader())
        export = start_export(crossing.source, crossing.destination, plan)
        export = crossing.ended(export, sleep=two_hours_later())
        assert export.state == "completed", export
        options = ImportOptions("slow", crossing.bucket, export=export)
        moved = start_import(crossing.destination, plan_import(crossing.source, crossing.destination, options))
        moved = crossing.ended(moved, sleep=two_hours_later())
        assert moved.state == "completed", moved
        assert crossing.lab.count(error_code="ExpiredTokenException") > 0
        assert crossing.lab.count("AssumeRole", ok=True) > sessions + 2
    finally:
        crossing.lab.set_timings({"export.full": 0, "import.creating": 0})
        crossing.source, crossing.destination = before


def test_a_bad_line_is_named_with_its_object(crossing):
    crossing.table("lines")
    crossing.lab.add_fault(
        operation="dynamodb.ExportTableToPointInTime",
        kind="corrupt_object",
        match={"TableArn": crossing.source.table_arn("lines")},
    )
    export = crossing.export("lines")
    moved = crossing.bring_in(export)
    assert moved.state == "failed"
    told = explain_failure(crossing.destination, moved)
    assert told.details["log"][0]["object"].startswith(f"s3://{crossing.bucket}/")
    assert told.details["log"][0]["object"] in told.cause
    assert "export_max_age: 0" in told.next_step
    assert "replace_failed" in told.next_step
    judgement = judge_import("lines", crossing.source, crossing.destination, export, moved)
    assert judgement.status == "failed"
    with pytest.raises(ImportFailed, match="partial table"):
        crossing.bring_in(export)
    # The lab is ahead of the time by which ages are told.
    fresh = crossing.export("lines", max_age=-1_000_000, replace_failed=True)
    assert fresh.arn != export.arn
    mended = crossing.bring_in(fresh, replace_failed=True)
    assert mended.state == "completed", mended
    assert mended.result["table_id"] != moved.result["table_id"]
    assert crossing.items("destination", "lines") == crossing.items("source", "lines")


def test_two_migrations_want_one_name(crossing):
    """Verbs used alone, without records: who comes second sees the first one's import in AWS's list."""
    crossing.table("left")
    crossing.table("right")
    before = crossing.lab.count("ImportTable", ok=True)
    crossing.lab.set_timings({"import.visible": 600, "import.creating": 600})
    try:
        exports = [crossing.export(name, destination_table="both", migration_id=name) for name in ("left", "right")]
        first, second = (
            ImportOptions("both", crossing.bucket, source_table=job.name, export=job, migration_id=job.name)
            for job in exports
        )
        started = start_import(crossing.destination, plan_import(crossing.source, crossing.destination, first))
        with pytest.raises(ImportLocked, match="not of this migration"):
            plan_import(crossing.source, crossing.destination, second)
    finally:
        crossing.lab.set_timings({"import.visible": 0, "import.creating": 0})
    crossing.lab.advance(1300)
    assert crossing.ended(started).state == "completed"
    with pytest.raises(DestinationExists):
        plan_import(crossing.source, crossing.destination, second)
    assert crossing.described("both")["TableId"] == started.result["table_id"]
    assert crossing.lab.count("ImportTable", ok=True) == before + 1


def test_an_import_without_a_log_says_so(crossing):
    """AWS fails the import of a caller who may not write its log, and then there is none to explain it."""
    crossing.table("unlogged")
    export = crossing.export("unlogged")
    iam = crossing.lab.client("iam", "destination")
    iam.create_user(UserName="silent")
    statements = [
        {"Effect": "Allow", "Action": "*", "Resource": "*"},
        {"Effect": "Deny", "Action": "logs:*", "Resource": "*"},
    ]
    policy = json.dumps({"Version": "2012-10-17", "Statement": statements})
    iam.put_user_policy(UserName="silent", PolicyName="only", PolicyDocument=policy)
    key = iam.create_access_key(UserName="silent")["AccessKey"]
    silent = crossing.account("destination", access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])
    everybody, crossing.destination = crossing.destination, silent
    try:
        moved = crossing.bring_in(export)
    finally:
        crossing.destination = everybody
    assert moved.state == "failed", moved
    told = explain_failure(silent, moved)
    assert "The log /aws-dynamodb/imports could not be read (AccessDeniedException)" in told.cause
    assert "logs:PutLogEvents" in told.next_step
