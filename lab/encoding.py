# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How DynamoDB takes and gives bodies: how long they may be, and gzip and deflate in both directions."""

from __future__ import annotations

import gzip
import zlib
from dataclasses import replace

from lab.errors import AwsError
from lab.messages import HttpRequest, HttpResponse
from lab.rules import rule

TOO_LONG = rule(
    "dynamodb-request-over-16-mb",
    service="dynamodb",
    says="A request of more than 16 MB on the wire is HTTP 413, whatever it holds; its error code is a guess",
    fact="ScyllaDB's tests, which run on AWS: alternator/test_manual_requests.py",
    test="test_encoding.py::test_request_over_16_mb",
)
REQUESTS = rule(
    "dynamodb-compressed-requests",
    service="dynamodb",
    says="A request's body may be gzip, several joined ones too, signed as it is sent; what is broken, cut off or in "
    "another encoding is HTTP 500",
    fact="ScyllaDB's tests, which run on AWS: alternator/test_compressed_request.py",
    test="test_encoding.py::test_compressed_requests",
)
ANSWERS = rule(
    "dynamodb-compressed-answers",
    service="dynamodb",
    says="An answer of more than 4096 bytes is compressed with what Accept-Encoding prefers of gzip and deflate, "
    "`*` included; without that header it never is",
    fact="ScyllaDB's tests, which run on AWS: alternator/test_compressed_response.py; that x-amz-crc32 is of the bytes "
    "sent: botocore checks it before it decompresses",
    test="test_encoding.py::test_compressed_answers",
)

SERVICES = frozenset({"dynamodb", "dynamodbstreams"})
_MOST_BYTES = 16 * 1024 * 1024
_UNCOMPRESSED_BYTES = 4096
_ENCODINGS = ("gzip", "deflate")  # what * stands for, in this order


def refuse_long(request: HttpRequest) -> None:
    """HTTP 413 for a body that is too long."""
    if len(request.body) > _MOST_BYTES:
        raise TOO_LONG.error("RequestEntityTooLargeException", "Request size exceeded 16777216 bytes", 413)


def unpacked(request: HttpRequest) -> HttpRequest:
    """``request`` with its body as it was before it was compressed; HTTP 500 for what cannot be read."""
    encoding = request.headers.get("content-encoding", "")
    if encoding in ("", "identity"):
        return request
    try:
        if encoding.lower() != "gzip" or not request.body:
            raise ValueError(encoding)
        return replace(request, body=gzip.decompress(request.body))
    except (ValueError, OSError, EOFError, zlib.error):
        raise _unreadable() from None


def readable(request: HttpRequest) -> HttpRequest:
    """``unpacked``, but ``request`` as it is where it cannot be read: for who looks at it before it is refused."""
    try:
        return unpacked(request)
    except AwsError:
        return request


def _unreadable() -> AwsError:
    return REQUESTS.error("InternalServerError", "Internal server error", 500, "server")


def packed(response: HttpResponse, accepted: str) -> HttpResponse:
    """``response`` compressed, where it is long enough and ``accepted`` (the Accept-Encoding header) wants it."""
    encoding = _preferred(accepted)
    if not encoding or not isinstance(response.body, bytes) or len(response.body) <= _UNCOMPRESSED_BYTES:
        return response
    body = gzip.compress(response.body, 6) if encoding == "gzip" else zlib.compress(response.body)
    headers = {**response.headers, "Content-Encoding": encoding}
    if "x-amz-crc32" in headers:
        headers["x-amz-crc32"] = str(zlib.crc32(body))
    return replace(response, headers=headers, body=body)


def _preferred(accepted: str) -> str:
    """The encoding that an Accept-Encoding header wants most; empty for none of the two."""
    weights: dict[str, float] = {}
    for part in accepted.lower().split(","):
        name, _, parameter = part.partition(";")
        quality = parameter.replace(" ", "").removeprefix("q=")
        try:
            weights.setdefault(name.strip(), float(quality or 1))
        except ValueError:
            continue
    other = weights.pop("*", 0.0)
    for name in _ENCODINGS:
        weights.setdefault(name, other)
    # The sort is stable: of equal weights the one that the header names first.
    ordered = sorted((name for name in weights if name in _ENCODINGS), key=lambda name: -weights[name])
    return ordered[0] if weights[ordered[0]] > 0 else ""
