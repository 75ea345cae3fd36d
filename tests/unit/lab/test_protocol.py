# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests and answers by botocore's models, in AWS's words."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from lab import protocol
from lab.errors import AwsError
from lab.messages import HttpRequest

ARN = "arn:aws:dynamodb:eu-west-1:111111111111:table/orders"
Refused = Callable[..., tuple[str, int]]


def parse(operation: str, content: Any, service: str = "dynamodb", **options: Any) -> dict[str, Any]:
    model = protocol.service_model(service)
    assert model is not None
    body = content if isinstance(content, bytes) else json.dumps(content).encode()
    dialect = "query" if service in ("iam", "sts") else "json"
    return protocol.parse(HttpRequest("POST", "/", "", {}, body), model.operation_model(operation), dialect, **options)


def message(operation: str, content: Any, service: str = "dynamodb") -> str:
    with pytest.raises(AwsError) as refused:
        parse(operation, content, service)
    return f"{refused.value.code}: {refused.value.message}"


EXPORT = {"TableArn": ARN, "S3Bucket": "staging"}


@pytest.mark.parametrize(
    ("operation", "content", "problems"),
    [
        ("ExportTableToPointInTime", {**EXPORT, "S3SseAlgorithm": "aws:kms"},
         ["Value 'aws:kms' at 's3SseAlgorithm' failed to satisfy constraint: "
          "Member must satisfy enum value set: [AES256, KMS]"]),
        ("ExportTableToPointInTime", {**EXPORT, "S3BucketOwner": "12"},
         ["Value '12' at 's3BucketOwner' failed to satisfy constraint: "
          "Member must satisfy regular expression pattern: [0-9]{12}"]),
        ("ExportTableToPointInTime", {"TableArn": ARN},
         ["Value null at 's3Bucket' failed to satisfy constraint: Member must not be null"]),
        ("ListTables", {"Limit": 101, "ExclusiveStartTableName": "a"},
         ["Value '101' at 'limit' failed to satisfy constraint: Member must have value less than or equal to 100",
          "Value 'a' at 'exclusiveStartTableName' failed to satisfy constraint: "
          "Member must have length greater than or equal to 3"]),
        ("CreateTable", {"TableName": "orders", "KeySchema": [{"AttributeName": "pk", "KeyType": "X"}],
                         "AttributeDefinitions": []},
         ["Value 'X' at 'keySchema.1.member.keyType' failed to satisfy constraint: "
          "Member must satisfy enum value set: [HASH, RANGE]"]),
        ("BatchWriteItem", {"RequestItems": {"orders": []}},
         ["Value '{orders=[]}' at 'requestItems' failed to satisfy constraint: Map value must satisfy constraint: "
          "[Member must have length less than or equal to 25, Member must have length greater than or equal to 1]"]),
    ],
)  # fmt: skip
def test_shape_is_validated_in_aws_words(operation: str, content: dict[str, Any], problems: list[str]) -> None:
    plural = "s" * (len(problems) > 1)
    expected = f"ValidationException: {len(problems)} validation error{plural} detected: {'; '.join(problems)}"
    assert message(operation, content) == expected


def test_service_may_say_it_in_its_own_words() -> None:
    assert parse("ListTables", {"Limit": 101}, validate=False) == {"Limit": 101}


def test_unknown_members_are_ignored() -> None:
    given = {**EXPORT, "Later": 1, "IncrementalExportSpecification": {"ExportFromTime": 5, "Later": 2}}
    assert parse("ExportTableToPointInTime", given) == {
        **EXPORT, "IncrementalExportSpecification": {"ExportFromTime": 5.0}
    }  # fmt: skip


def test_null_members_are_absent() -> None:
    assert parse("ListTables", {"Limit": None}) == {}


@pytest.mark.parametrize("content", [b"{", b"[]", {"Limit": "many"}, {"Limit": True}, {"ExclusiveStartTableName": 5}])
def test_wrong_types_are_serialization_errors(content: Any) -> None:
    assert message("ListTables", content).startswith("SerializationException")


def test_items_stay_as_they_are() -> None:
    item = {"pk": {"B": "AAE="}, "n": {"N": "1e3"}, "odd": {"X": 1}}
    content = {"TableName": "orders", "Item": item, "ExpressionAttributeValues": {":a": {"B": "%"}}}
    assert parse("PutItem", content) == content


def test_blobs_and_times_are_converted() -> None:
    record = {"StreamName": "s", "PartitionKey": "p", "Data": "AAE="}
    assert parse("PutRecord", record, "kinesis")["Data"] == b"\x00\x01"
    assert message("PutRecord", {**record, "Data": "%"}, "kinesis").startswith("SerializationException")
    times = {**EXPORT, "ExportTime": 1700000000.5}
    assert parse("ExportTableToPointInTime", times)["ExportTime"] == 1700000000.5


def test_query_forms() -> None:
    form = b"Action=CreateRole&RoleName=ferry&AssumeRolePolicyDocument=%7B%7D&MaxSessionDuration=3600"
    tags = b"&Tags.member.1.Key=a&Tags.member.1.Value=&Tags.member.2.Key=b&Tags.member.2.Value=c%26"
    assert parse("CreateRole", form + tags, "iam") == {
        "RoleName": "ferry",
        "AssumeRolePolicyDocument": "{}",
        "MaxSessionDuration": 3600,
        "Tags": [{"Key": "a", "Value": ""}, {"Key": "b", "Value": "c&"}],
    }
    short = b"Action=AssumeRole&RoleArn=arn:aws:iam::111111111111:role/x&RoleSessionName=night&DurationSeconds=5"
    assert message("AssumeRole", short, "sts").startswith("ValidationError: 1 validation error detected: Value '5'")


@pytest.mark.parametrize(
    ("method", "path", "query", "headers", "operation"),
    [
        ("GET", "/", "", {}, "ListBuckets"),
        ("PUT", "/staging", "", {}, "CreateBucket"),
        ("HEAD", "/staging", "", {}, "HeadBucket"),
        ("GET", "/staging", "location", {}, "GetBucketLocation"),
        ("GET", "/staging", "", {}, "ListObjects"),
        ("GET", "/staging", "list-type=2&prefix=a", {}, "ListObjectsV2"),
        ("GET", "/staging", "uploads", {}, "ListMultipartUploads"),
        ("PUT", "/staging", "policy", {}, "PutBucketPolicy"),
        ("PUT", "/staging", "lifecycle", {}, "PutBucketLifecycleConfiguration"),
        ("GET", "/staging", "lifecycle", {}, "GetBucketLifecycleConfiguration"),
        ("PUT", "/staging", "ownershipControls", {}, "PutBucketOwnershipControls"),
        ("PUT", "/staging", "publicAccessBlock", {}, "PutPublicAccessBlock"),
        ("POST", "/staging", "delete", {}, "DeleteObjects"),
        ("PUT", "/staging/a/b", "", {}, "PutObject"),
        ("PUT", "/staging/a", "x-id=PutObject", {}, "PutObject"),
        ("PUT", "/staging/a", "", {"x-amz-copy-source": "staging/b"}, "CopyObject"),
        ("POST", "/staging/a", "uploads", {}, "CreateMultipartUpload"),
        ("PUT", "/staging/a", "partNumber=1&uploadId=u", {}, "UploadPart"),
        ("PUT", "/staging/a", "partNumber=1&uploadId=u", {"x-amz-copy-source": "b/c"}, "UploadPartCopy"),
        ("POST", "/staging/a", "uploadId=u", {}, "CompleteMultipartUpload"),
        ("DELETE", "/staging/a", "uploadId=u", {}, "AbortMultipartUpload"),
        ("GET", "/staging/a", "uploadId=u", {}, "ListParts"),
        ("GET", "/staging/a", "acl", {}, "GetObjectAcl"),
        ("GET", "/staging/a", "", {}, "GetObject"),
        ("HEAD", "/staging/a", "", {}, "HeadObject"),
        ("DELETE", "/staging/a", "", {}, "DeleteObject"),
        ("PATCH", "/staging/a", "", {}, ""),
    ],
)
def test_s3_operations_have_names(method: str, path: str, query: str, headers: dict[str, str], operation: str) -> None:
    assert protocol.operation_of(HttpRequest(method, path, query, headers, b""), "s3", "s3") == operation


def test_answers_reach_boto3(gate_lab: Any) -> None:
    tables = gate_lab.client("dynamodb")
    response = tables.describe_table(TableName="orders")
    assert response["Table"]["CreationDateTime"] == datetime.fromtimestamp(1.5, UTC)
    assert response["ResponseMetadata"]["RequestId"] == gate_lab.world.request_log.calls("DescribeTable")[0].request_id
    assert tables.scan(TableName="orders")["Items"] == [{"pk": {"B": b"\x00\x01"}}]


def test_errors_reach_boto3(gate_lab: Any, refused: Refused) -> None:
    tables = gate_lab.client("dynamodb")
    with pytest.raises(tables.exceptions.ResourceNotFoundException, match="Table: missing not found"):
        tables.describe_table(TableName="missing")
    with pytest.raises(ClientError, match=r"1 validation error detected: Value '12' at 's3BucketOwner'"):
        tables.export_table_to_point_in_time(TableArn=ARN, S3Bucket="staging", S3BucketOwner="12")
    objects = gate_lab.client("s3")
    with pytest.raises(objects.exceptions.NoSuchKey):
        objects.get_object(Bucket="staging", Key="missing")
    roles = gate_lab.client("iam")
    with pytest.raises(roles.exceptions.NoSuchEntityException, match="The role with name nobody cannot be found"):
        roles.get_role(RoleName="nobody")
    assert refused(gate_lab.client("cloudwatch").describe_alarms) == ("AccessDeniedException", 403)


def test_declared_errors_carry_dynamodbs_namespace() -> None:
    def kind(code: str) -> Any:
        response = protocol.error(AwsError(code, ""), "dynamodb", "DescribeTable", "json", "1")
        assert isinstance(response.body, bytes)
        return json.loads(response.body)["__type"]

    assert kind("ResourceNotFoundException") == "com.amazonaws.dynamodb.v20120810#ResourceNotFoundException"
    assert kind("ValidationException") == "com.amazon.coral.validate#ValidationException"
    assert kind("AccessDeniedException") == "com.amazon.coral.service#AccessDeniedException"


def test_unknown_operation(gate_lab: Any) -> None:
    request = AWSRequest(
        "POST", gate_lab.server.endpoint_url + "/", {"X-Amz-Target": "DynamoDB_20120810.MakeCoffee"}, b"{}"
    )
    SigV4Auth(Credentials(gate_lab.source.id, gate_lab.source.secret), "dynamodb", "eu-west-1").add_auth(request)
    headers = {name.lower(): value for name, value in request.headers.items()}
    headers["host"] = gate_lab.server.endpoint_url.removeprefix("http://")
    response = gate_lab.server.gate.answer(HttpRequest("POST", "/", "", headers, b"{}"))
    assert (response.status, response.headers["x-amzn-errortype"]) == (400, "UnknownOperationException")


def test_null_and_foreign_entries_of_maps_are_refused() -> None:
    text = "Value '{tbl=null}' at 'requestItems' failed to satisfy constraint: Map value must not be null"
    for operation in ("BatchWriteItem", "BatchGetItem"):
        assert text in message(operation, {"RequestItems": {"tbl": None}})
    for held in (5, "text", [None], [5]):
        with pytest.raises(AwsError) as caught:
            parse("BatchWriteItem", {"RequestItems": {"tbl": held}})
        assert caught.value.code == "SerializationException"


def test_requests_that_nest_too_deeply_are_refused() -> None:
    with pytest.raises(AwsError) as caught:
        parse("PutItem", b"[" * 200000)
    assert caught.value.code == "SerializationException"
