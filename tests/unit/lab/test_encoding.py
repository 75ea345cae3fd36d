# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Bodies of DynamoDB's requests and answers: how long they may be, and compressed ones."""

from __future__ import annotations

import gzip
import http.client
import json
import zlib
from collections.abc import Mapping
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from lab import encoding
from lab.messages import HttpResponse

TARGET = {"X-Amz-Target": "DynamoDB_20120810.DescribeTable", "Content-Type": "application/x-amz-json-1.0"}
BODY = json.dumps({"TableName": "orders"}).encode()


def call(lab: Any, body: bytes, **unsigned: str) -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers (names in lower case) and raw body of the answer to a signed call."""
    request = AWSRequest("POST", lab.server.endpoint_url + "/", dict(TARGET), body)
    key = lab.source
    SigV4Auth(Credentials(key.id, key.secret), "dynamodb", "eu-west-1").add_auth(request)
    headers = dict(request.headers.items()) | {name.replace("_", "-"): value for name, value in unsigned.items()}
    connection = http.client.HTTPConnection(lab.server.endpoint_url.removeprefix("http://"), timeout=30)
    try:
        connection.request("POST", "/", body, headers)
        answer = connection.getresponse()
        return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
    finally:
        connection.close()


def test_request_over_16_mb(gate_lab: Any) -> None:
    padded = b'{"TableName": "orders"%s}'
    longest = padded % (b" " * (16 * 1024 * 1024 - len(padded) + 2))
    assert (len(longest), call(gate_lab, longest)[0]) == (16 * 1024 * 1024, 200)
    asked = len(gate_lab.tables.asked)
    assert call(gate_lab, longest + b" ")[0] == 413
    assert len(gate_lab.tables.asked) == asked


def test_compressed_requests(gate_lab: Any) -> None:
    packed = gzip.compress(BODY)
    joined = gzip.compress(BODY[:5]) + gzip.compress(BODY[5:])
    for body in (packed, joined, gzip.compress(BODY + b" " * 20 * 1024 * 1024)):
        assert call(gate_lab, body, Content_Encoding="gzip")[0] == 200
        assert gate_lab.tables.asked[-1][1] == {"TableName": "orders"}
    asked = len(gate_lab.tables.asked)
    for body, name in ((packed[:-1], "gzip"), (BODY, "gzip"), (b"", "gzip"), (BODY, "garbage"), (packed, "br")):
        status, _, answer = call(gate_lab, body, Content_Encoding=name)
        assert (status, json.loads(answer)["__type"].rpartition("#")[2]) == (500, "InternalServerError")
    assert len(gate_lab.tables.asked) == asked


def test_faults_and_checks_read_compressed_requests(gate_lab: Any) -> None:
    """What looks at a request before it is parsed sees its members too."""
    gate_lab.world.faults.add(operation="DescribeTable", match={"TableName": "orders"}, code="Odd", times=-1)
    other = json.dumps({"TableName": "others"}).encode()
    assert b"Odd" in call(gate_lab, gzip.compress(BODY), Content_Encoding="gzip")[2]
    assert call(gate_lab, gzip.compress(other), Content_Encoding="gzip")[0] == 200
    assert call(gate_lab, gzip.compress(BODY)[:-1], Content_Encoding="gzip")[0] == 500
    assert b"Odd" in call(gate_lab, BODY)[2]
    asked: list[Any] = []
    gate_lab.tables.before_shape = {"DescribeTable": asked.append}
    call(gate_lab, gzip.compress(other), Content_Encoding="gzip")
    assert asked == [{"TableName": "others"}]


@pytest.mark.parametrize(
    ("accepted", "expected"),
    [
        ("identity", ""), ("", ""), ("br", ""), ("x-gzip", ""), ("gzip;q=0", ""), ("gzip ;q=0", ""), ("*;q=0", ""),
        ("gzip", "gzip"), ("deflate", "deflate"), ("gzip, deflate", "gzip"), ("br, identity, deflate, gzip", "deflate"),
        ("GZIP, identity", "gzip"), ("dog, gzip ,, cat", "gzip"), ("gzip;q=0.8, deflate;q=0.5", "gzip"),
        ("br, gzip;q=0, deflate; q = 0.5 , identity;q=0", "deflate"), ("*", "gzip"), ("*, deflate;q=0.5", "gzip"),
        ("*, deflate", "deflate"), ("*, identity", "gzip"), ("*, gzip;q=0.5", "deflate"), ("gzip;q=much", ""),
    ],
)  # fmt: skip
def test_compressed_answers(accepted: str, expected: str) -> None:
    plain = b"x" * 4097
    response = encoding.packed(HttpResponse(200, {"x-amz-crc32": "1"}, plain), accepted)
    assert response.headers.get("Content-Encoding", "") == expected
    assert isinstance(response.body, bytes)
    if expected:
        unpack = gzip.decompress if expected == "gzip" else zlib.decompress
        assert unpack(response.body) == plain
        assert response.headers["x-amz-crc32"] == str(zlib.crc32(response.body))
    short = HttpResponse(200, {}, plain[1:])
    assert encoding.packed(short, accepted) is short


def test_compressed_answers_on_the_wire(gate_lab: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    plain = b'{"Table":{"TableName":"%s"}}' % (b"x" * 5000)
    monkeypatch.setattr(gate_lab.tables, "handle", lambda *_: plain)
    status, headers, body = call(gate_lab, BODY, Accept_Encoding="gzip")
    assert (status, headers["content-encoding"], gzip.decompress(body)) == (200, "gzip", plain)
    assert int(headers["content-length"]) == len(body) < 200
    assert call(gate_lab, BODY)[2] == plain
    assert gate_lab.client("dynamodb").describe_table(TableName="orders")["Table"]["TableName"] == "x" * 5000
