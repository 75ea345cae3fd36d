# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signatures: what boto3 signs is accepted, everything else refused in the service's own words."""

from __future__ import annotations

import hashlib
import http.client
import urllib.request
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.error import HTTPError

import botocore.auth
import pytest
from botocore.auth import S3SigV4Auth, SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.exceptions import ClientError

from lab import signature
from lab.client import LabClient
from lab.clock import Clock
from lab.errors import AwsError
from lab.identity import AccessKey
from lab.messages import HttpRequest

Refused = Callable[..., tuple[str, int]]


def test_boto3_is_accepted_by_every_protocol(gate_lab: Any) -> None:
    assert gate_lab.client("dynamodb").describe_table(TableName="orders")["Table"]["TableName"] == "orders"
    assert gate_lab.client("sts").get_caller_identity()["Arn"] == "arn:aws:iam::111111111111:user/administrator"
    odd = "a b/+ü~*'()%/ä?=&;:@$,[]"
    gate_lab.client("s3").put_object(Bucket="staging", Key=odd, Body=b"x" * 300, Metadata={"two": "a  b"})
    context, request = gate_lab.objects.asked[-1]
    assert (context.operation, context.region, request.bucket_and_key) == ("PutObject", "eu-west-1", ("staging", odd))
    gate_lab.client("s3").list_objects_v2(Bucket="staging", Prefix="a b+/ü", Delimiter="/")
    assert gate_lab.objects.asked[-1][1].parameters["prefix"] == "a b+/ü"


def test_wrong_secret_is_refused(gate_lab: Any, refused: Refused) -> None:
    wrong = AccessKey(gate_lab.source.id, "x" * 40, "111111111111", "administrator", 0.0)
    assert refused(gate_lab.client("dynamodb", wrong).list_tables) == ("InvalidSignatureException", 400)
    assert refused(gate_lab.client("sts", wrong).get_caller_identity) == ("SignatureDoesNotMatch", 403)
    assert refused(gate_lab.client("s3", wrong).list_buckets) == ("SignatureDoesNotMatch", 403)


def test_unknown_key_is_refused(gate_lab: Any, refused: Refused) -> None:
    unknown = AccessKey("AKIAXXXXXXXXXXXXXXXX", "x" * 40, "", "", 0.0)
    assert refused(gate_lab.client("dynamodb", unknown).list_tables) == ("UnrecognizedClientException", 400)
    assert refused(gate_lab.client("sts", unknown).get_caller_identity) == ("InvalidClientTokenId", 403)
    assert refused(gate_lab.client("s3", unknown).list_buckets) == ("InvalidAccessKeyId", 403)


def test_inactive_key_is_refused(gate_lab: Any, refused: Refused) -> None:
    gate_lab.world.identity.access_keys[gate_lab.source.id].active = False
    assert refused(gate_lab.client("sts").get_caller_identity) == ("InvalidClientTokenId", 403)


def test_wrong_token_is_refused(gate_lab: Any, refused: Refused) -> None:
    session = gate_lab.client("sts").get_session_token()["Credentials"]
    assert gate_lab.client("sts", session).get_caller_identity()["Account"] == "111111111111"
    wrong = {**session, "SessionToken": "other"}
    assert refused(gate_lab.client("dynamodb", wrong).list_tables) == ("UnrecognizedClientException", 400)
    assert refused(gate_lab.client("s3", wrong).list_buckets) == ("InvalidToken", 400)


def test_session_ends_on_the_worlds_clock(gate_lab: Any, refused: Refused) -> None:
    session = gate_lab.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    tables = gate_lab.client("dynamodb", session)
    gate_lab.world.advance(880)
    tables.describe_table(TableName="orders")
    gate_lab.world.advance(30)
    assert refused(tables.describe_table, TableName="orders") == ("ExpiredTokenException", 400)
    assert refused(gate_lab.client("sts", session).get_caller_identity) == ("ExpiredToken", 403)
    assert refused(gate_lab.client("s3", session).list_buckets) == ("ExpiredToken", 400)
    gate_lab.client("dynamodb").describe_table(TableName="orders")


def test_unsigned_is_refused(gate_lab: Any) -> None:
    connection = http.client.HTTPConnection(gate_lab.server.endpoint_url.removeprefix("http://"))
    connection.request("POST", "/", b"{}", {"X-Amz-Target": "DynamoDB_20120810.ListTables"})
    response = connection.getresponse()
    assert (response.status, b"MissingAuthenticationTokenException" in response.read()) == (400, True)
    connection.request("GET", "/staging/key")
    response = connection.getresponse()
    assert (response.status, b"<Code>AccessDenied</Code>" in response.read()) == (403, True)
    connection.request("POST", "/", b"{}", {"X-Amz-Target": "DynamoDB_20120810.ListTables", "Authorization": "AWS4 x"})
    assert b"IncompleteSignatureException" in connection.getresponse().read()
    assert gate_lab.tables.asked == []


def signed(lab: Any, body: bytes, **headers: str) -> HttpRequest:
    """A signed PutObject whose body hash is what the headers say."""
    request = AWSRequest("PUT", f"{lab.server.endpoint_url}/staging/key", headers=headers, data=body)
    SigV4 = S3SigV4Auth if "X-Amz-Content-SHA256" not in headers else SigV4Auth
    SigV4(Credentials(lab.source.id, lab.source.secret), "s3", "eu-west-1").add_auth(request)
    lowered = {name.lower(): value for name, value in request.headers.items()}
    return HttpRequest("PUT", "/staging/key", "", {**lowered, "host": lab.server.endpoint_url[7:]}, body)


def verify(lab: Any, request: HttpRequest) -> Any:
    world = lab.world
    return signature.verify(request, signature.scope_of(request), "s3", world.identity, world.clock, world.behaviours)


def test_changed_requests_are_refused(gate_lab: Any) -> None:
    request = signed(gate_lab, b"body", **{"x-amz-acl": "bucket-owner-full-control"})
    assert verify(gate_lab, request).caller.account_id == "111111111111"
    changes: list[dict[str, Any]] = [
        {"body": b"bod!"},
        {"method": "DELETE"},
        {"path": "/staging/other"},
        {"query": "acl"},
        {"headers": {**request.headers, "x-amz-acl": "private"}},
        {"headers": {**request.headers, "x-amz-expected-bucket-owner": "222222222222"}},
    ]
    codes = []
    for change in changes:
        with pytest.raises(AwsError) as failure:
            verify(gate_lab, HttpRequest(**{**request.__dict__, **change}))
        codes.append(failure.value.code)
    assert codes == ["XAmzContentSHA256Mismatch", *["SignatureDoesNotMatch"] * 4, "AccessDenied"]


@pytest.fixture
def client_ahead(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Sets by how many seconds the clock is ahead by which botocore signs."""

    def set_ahead(seconds: float) -> None:
        monkeypatch.setattr(
            botocore.auth, "get_current_datetime", lambda *_: datetime.now(UTC) + timedelta(seconds=seconds)
        )

    return set_ahead


def test_old_and_early_signatures_are_refused(gate_lab: Any, client_ahead: Callable[[float], None]) -> None:
    tables, sts = gate_lab.client("dynamodb"), gate_lab.client("sts")
    for seconds in (-180, 180):
        client_ahead(seconds)
        tables.describe_table(TableName="orders")
        sts.get_caller_identity()
    stamp = r"\d{8}T\d{6}Z"
    for seconds, text in (
        (-1000, rf"Signature expired: {stamp} is now earlier than {stamp} \({stamp} - 15 min\.\)"),
        (1000, rf"Signature not yet current: {stamp} is still later than {stamp} \({stamp} \+ 15 min\.\)"),
    ):
        client_ahead(seconds)
        for call, code, status in (
            (tables.list_tables, "InvalidSignatureException", 400),
            (sts.get_caller_identity, "SignatureDoesNotMatch", 403),
        ):
            with pytest.raises(ClientError, match=rf"\({code}\).*{text}") as failure:
                call()
            assert failure.value.response["ResponseMetadata"]["HTTPStatusCode"] == status


def test_window_is_a_behaviour(gate_lab: Any, client_ahead: Callable[[float], None], refused: Refused) -> None:
    tables, behaviours = gate_lab.client("dynamodb"), gate_lab.world.behaviours
    client_ahead(-600)
    behaviours.choose("signature.window", "5 minutes")
    with pytest.raises(ClientError, match=r"Signature expired: .* - 5 min\.\)"):
        tables.describe_table(TableName="orders")
    gate_lab.client("s3").list_buckets()
    client_ahead(-180)
    tables.describe_table(TableName="orders")
    client_ahead(-600)
    behaviours.choose("signature.window", "15 minutes")
    tables.describe_table(TableName="orders")


def test_s3_takes_signatures_for_15_minutes(gate_lab: Any, client_ahead: Callable[[float], None]) -> None:
    client_ahead(-1000)
    with pytest.raises(ClientError) as failure:
        gate_lab.client("s3").list_buckets()
    error: Any = failure.value.response["Error"]
    assert (error["Code"], error["MaxAllowedSkewMilliseconds"]) == ("RequestTimeTooSkewed", "900000")
    client_ahead(180)
    gate_lab.client("s3").list_buckets()


def test_the_worlds_jumps_are_no_error_of_a_clients_clock(gate_lab: Any, client_ahead: Callable[[float], None]) -> None:
    """Unless clients read the world's time: then dates count as they are."""
    gate_lab.world.advance(3600)
    tables = gate_lab.client("dynamodb")
    tables.describe_table(TableName="orders")
    client_ahead(3600)
    tables.describe_table(TableName="orders")
    LabClient(gate_lab.server.endpoint_url, {}).control("POST", "clock", {"shared": True})
    tables.describe_table(TableName="orders")
    client_ahead(0)
    with pytest.raises(ClientError, match="Signature expired"):
        tables.describe_table(TableName="orders")


def test_presigned_url(gate_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    url = gate_lab.client("s3", signature_version="s3v4").generate_presigned_url(
        "get_object", {"Bucket": "staging", "Key": "a b"}, ExpiresIn=60
    )
    with urllib.request.urlopen(url) as response:
        assert response.read() == b"/staging/a%20b"
    assert gate_lab.objects.asked[-1][0].operation == "GetObject"
    with pytest.raises(HTTPError) as failure:
        urllib.request.urlopen(url.replace("a%20b", "c"))
    assert failure.value.code == 403
    later = Clock.real_now() + 61
    monkeypatch.setattr(Clock, "real_now", staticmethod(lambda: later))
    with pytest.raises(HTTPError, match="403"):
        urllib.request.urlopen(url)


def test_chunked_upload_without_chunk_signatures(gate_lab: Any) -> None:
    body = b"4\r\nabcd\r\n3;x=y\r\nefg\r\n0\r\nx-amz-checksum-crc32:AAAAAA==\r\n\r\n"
    headers = {
        "X-Amz-Content-SHA256": "STREAMING-UNSIGNED-PAYLOAD-TRAILER",
        "Content-Encoding": "aws-chunked,gzip",
        "x-amz-trailer": "x-amz-checksum-crc32",
    }
    request = signed(gate_lab, body, **headers)
    scope = signature.scope_of(request)
    assert scope is not None
    whole = signature.unwrap(request, scope, verify(gate_lab, request))
    assert whole.body == b"abcdefg"
    assert (whole.headers["content-encoding"], whole.headers["content-length"]) == ("gzip", "7")
    assert whole.headers["x-amz-checksum-crc32"] == "AAAAAA=="


def test_signed_chunks_are_checked(gate_lab: Any) -> None:
    request = signed(gate_lab, b"", **{"X-Amz-Content-SHA256": "STREAMING-AWS4-HMAC-SHA256-PAYLOAD"})
    scope = signature.scope_of(request)
    credential = verify(gate_lab, request)
    assert scope is not None

    def framed(*chunks: bytes) -> bytes:
        previous, parts = scope.signature, []
        for chunk in chunks:
            hashed = hashlib.sha256(chunk).hexdigest()
            text = "\n".join(
                ("AWS4-HMAC-SHA256-PAYLOAD", scope.time, scope.text, previous, signature.EMPTY_HASH, hashed)
            )
            previous = SigV4Auth(Credentials(gate_lab.source.id, gate_lab.source.secret), "s3", "eu-west-1").signature(
                text, type("Request", (), {"context": {"timestamp": scope.time}})()
            )
            parts.append(b"%x;chunk-signature=%s\r\n%s\r\n" % (len(chunk), previous.encode(), chunk))
        return b"".join(parts)

    good = HttpRequest(**{**request.__dict__, "body": framed(b"abc", b"de", b"")})
    assert signature.unwrap(good, scope, credential).body == b"abcde"
    forged = HttpRequest(**{**request.__dict__, "body": good.body.replace(b"abc", b"xyz")})
    with pytest.raises(AwsError, match="SignatureDoesNotMatch"):
        signature.unwrap(forged, scope, credential)


@pytest.mark.parametrize("parted", [",", " ", ", ", "  "])
def test_authorization_parted_by_blanks(gate_lab: Any, parted: str) -> None:
    request = signed(gate_lab, b"x")
    header = request.headers["authorization"].replace(", ", parted)
    changed = HttpRequest(**{**request.__dict__, "headers": {**request.headers, "authorization": header}})
    assert verify(gate_lab, changed).access_key_id == gate_lab.source.id
