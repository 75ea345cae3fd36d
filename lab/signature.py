# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Signature Version 4: who signed a request, for which Region and service, and whether the signature is right."""

from __future__ import annotations

import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import lru_cache
from typing import Literal
from urllib.parse import quote, unquote

from lab.behaviours import Behaviour, Behaviours
from lab.clock import Clock, Moment
from lab.errors import AwsError
from lab.identity import Credential, IdentityStore
from lab.messages import HttpRequest
from lab.partitions import APART, partition_of
from lab.rules import rule

SIGNATURE_CHECKED = rule(
    "signature-checked",
    service="signature",
    says="A request that is unsigned, signed with a wrong secret, an unknown key or a foreign token is refused; "
    "the code differs between JSON services, query services and S3",
    fact="emulators.md 9; AWS's documentation of Signature Version 4",
    test="test_signature.py::test_wrong_secret_is_refused",
)
HEADER_PARTED = rule(
    "authorization-parted-by-blanks",
    service="signature",
    says="The parts of the Authorization header may be parted by commas, with or without blanks, or by blanks alone",
    fact="ScyllaDB's tests, which run on AWS: such a header is read and refused as `Signature expired` where it is old",
    test="test_signature.py::test_authorization_parted_by_blanks",
)
SESSION_ENDS = rule(
    "session-ends",
    service="signature",
    says="Temporary credentials end at their Expiration: ExpiredTokenException, for S3, STS and IAM ExpiredToken",
    fact="aws.md J",
    test="test_signature.py::test_session_ends_on_the_worlds_clock",
)
SKEW = rule(
    "signature-skew",
    service="signature",
    says="A request whose signature is dated outside the window around the service's own time is refused as expired or "
    "not yet current, in JSON services InvalidSignatureException, in query services SignatureDoesNotMatch",
    fact="AWS's documentation of Signature Version 4; texts of DynamoDB: aws/aws-sdk-js#254, #2565; of query services: "
    "AWS's troubleshooting of Signature Version 4",
    test="test_signature.py::test_old_and_early_signatures_are_refused",
)
SKEW_S3 = rule(
    "signature-skew-s3",
    service="signature",
    says="S3 takes a signature for 15 minutes around its date (RequestTimeTooSkewed), a presigned URL until its "
    "X-Amz-Expires",
    fact="AWS API reference s3, Error responses; Authenticating requests",
    test="test_signature.py::test_s3_takes_signatures_for_15_minutes",
)
WINDOW = rule(
    "signature-window",
    service="signature",
    says="Services other than S3 take a signature for 15 minutes around its date, or for 5: behaviour signature.window",
    fact="aws.md J: users of DynamoDB saw both",
    test="test_signature.py::test_window_is_a_behaviour",
    confirmed=False,
)
DATED_ON_ARRIVAL = rule(
    "signature-dated-on-arrival",
    service="signature",
    says="The date of a signature is held against the time at which the request arrives: one that the network delivers "
    "late is refused if it is older than the window then, and else executed",
    fact="AWS's documentation of Signature Version 4: a request must reach AWS within the window of its time stamp",
    test="test_faults.py::test_late_request_is_executed_or_refused_by_its_date",
)

Dialect = Literal["json", "rest", "cbor", "query", "s3"]
WINDOW_S3_SECONDS = 15 * 60
_WINDOWS = {"15 minutes": 15 * 60, "5 minutes": 5 * 60}
BEHAVIOURS = (Behaviour("signature.window", tuple(_WINDOWS)),)
UNSIGNED = frozenset({"UNSIGNED-PAYLOAD", "STREAMING-UNSIGNED-PAYLOAD-TRAILER"})
EMPTY_HASH = hashlib.sha256(b"").hexdigest()
_AUTHORIZATION = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^/,\s]+)/(\d{8})/([^/]*)/([^/]*)/aws4_request"
    r"[,\s]\s*SignedHeaders=([^,\s]+)[,\s]\s*Signature=([0-9a-f]{64})"
)
_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
_MISMATCH_S3 = (
    "The request signature we calculated does not match the signature you provided. Check your key and signing method."
)
_INVALID = "The security token included in the request is invalid."

# What each kind of service answers: (code, message, status).
_REFUSALS: Mapping[str, Mapping[str, tuple[str, str, int]]] = {
    "missing": {
        "json": ("MissingAuthenticationTokenException", "Request is missing Authentication Token", 400),
        "query": ("MissingAuthenticationToken", "Request is missing Authentication Token", 403),
        "s3": ("AccessDenied", "Access Denied", 403),
    },
    "incomplete": {
        "json": ("IncompleteSignatureException", "Authorization header is not a valid Signature Version 4.", 400),
        "query": ("IncompleteSignature", "Authorization header is not a valid Signature Version 4.", 403),
        "s3": ("AuthorizationHeaderMalformed", "The authorization header that you provided is not valid.", 400),
    },
    "unknown key": {
        "json": ("UnrecognizedClientException", _INVALID, 400),
        "query": ("InvalidClientTokenId", _INVALID, 403),
        "s3": ("InvalidAccessKeyId", "The AWS Access Key Id you provided does not exist in our records.", 403),
    },
    "wrong token": {
        "json": ("UnrecognizedClientException", _INVALID, 400),
        "query": ("InvalidClientTokenId", _INVALID, 403),
        "s3": ("InvalidToken", "The provided token is malformed or otherwise invalid.", 400),
    },
    "expired token": {
        "json": ("ExpiredTokenException", "The security token included in the request is expired", 400),
        "query": ("ExpiredToken", "The security token included in the request is expired", 403),
        "s3": ("ExpiredToken", "The provided token has expired.", 400),
    },
    "mismatch": {
        "json": ("InvalidSignatureException", _MISMATCH, 400),
        "query": ("SignatureDoesNotMatch", _MISMATCH, 403),
        "s3": ("SignatureDoesNotMatch", _MISMATCH_S3, 403),
    },
}
_SKEWED_S3 = "The difference between the request time and the current time is too large."


def refusal(why: str, dialect: Dialect) -> AwsError:
    """The error that services of ``dialect`` answer; ``why`` is a key such as ``expired token``."""
    code, message, status = _REFUSALS[why]["json" if dialect in ("cbor", "rest") else dialect]
    status = 403 if dialect == "rest" else status
    broken = SESSION_ENDS if why == "expired token" else SIGNATURE_CHECKED
    return broken.error(code, message, status)


@dataclass(frozen=True, slots=True)
class Scope:
    """What a request says about its signature, not verified yet."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    time: str
    token: str
    expires: int | None = None

    @property
    def text(self) -> str:
        """The credential scope without the key id."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


def scope_of(request: HttpRequest) -> Scope | None:
    """The scope of a signed or presigned request; None where there is none, or none that can be read."""
    headers = request.headers
    if authorization := headers.get("authorization"):
        match = _AUTHORIZATION.fullmatch(authorization.strip())
        if match is None:
            return None
        key, date, region, service, names, signature = match.groups()
        token, time = headers.get("x-amz-security-token", ""), headers.get("x-amz-date", "")
        return Scope(key, date, region, service, tuple(names.split(";")), signature, time, token)
    if "X-Amz-Signature=" not in request.query:
        return None
    values = request.parameters
    parts = values.get("X-Amz-Credential", "").split("/")
    if len(parts) != 5 or values.get("X-Amz-Algorithm") != "AWS4-HMAC-SHA256":
        return None
    key, date, region, service, _ = parts
    expires = values.get("X-Amz-Expires", "")
    return Scope(
        key,
        date,
        region,
        service,
        tuple(values.get("X-Amz-SignedHeaders", "").split(";")),
        values["X-Amz-Signature"],
        values.get("X-Amz-Date", ""),
        values.get("X-Amz-Security-Token", ""),
        int(expires) if expires.isdigit() else 0,
    )


@lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """The day's key for a Region and service."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _sign(secret: str, scope: Scope, text: str) -> str:
    key = signing_key(secret, scope.date, scope.region, scope.service)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def _canonical_path(path: str, service: str) -> str:
    # S3 signs the path once encoded, all others encode what is on the wire once more.
    return quote(unquote(path), safe="/~") if service == "s3" else quote(path or "/", safe="/~")


def _canonical_query(query: str) -> str:
    pairs = []
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if part and name != "X-Amz-Signature":
            pairs.append((quote(unquote(name), safe="-_.~"), quote(unquote(value), safe="-_.~")))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _canonical_request(request: HttpRequest, scope: Scope, payload_hash: str) -> str:
    headers = request.headers
    lines = "".join(f"{name}:{' '.join(headers.get(name, '').split())}\n" for name in scope.signed_headers)
    return "\n".join(
        (
            request.method,
            _canonical_path(request.path, scope.service),
            _canonical_query(request.query) if request.query else "",
            lines,
            ";".join(scope.signed_headers),
            payload_hash,
        )
    )


def verify(
    request: HttpRequest,
    scope: Scope | None,
    dialect: Dialect,
    identity: IdentityStore,
    clock: Clock,
    behaviours: Behaviours,
    received: Moment | None = None,
) -> Credential:
    """The credential that really signed ``request``; an AwsError as ``dialect`` writes it for any other request.

    ``received`` is when the client's request came, now where it is left out. The signature's date
    and the end of a session are held against the world's clock as it is now (see ``Clock.age``).
    """
    if scope is None:
        raise refusal("incomplete" if "authorization" in request.headers else "missing", dialect)
    credential = identity.credential(scope.access_key_id)
    if credential is None:
        raise refusal("unknown key", dialect)
    if identity.accounts.partition(credential.caller.account_id) != partition_of(scope.region):
        _, message, status = _REFUSALS["unknown key"]["json" if dialect in ("cbor", "rest") else dialect]
        raise APART.error(refusal("unknown key", dialect).code, message, 403 if dialect == "rest" else status)
    if scope.token != credential.token:
        raise refusal("wrong token", dialect)
    signed_at = _time(scope, dialect)
    if "host" not in scope.signed_headers:
        raise refusal("incomplete", dialect)
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256",
            scope.time,
            scope.text,
            hashlib.sha256(_canonical_request(request, scope, _payload_hash(request, scope)).encode()).hexdigest(),
        )
    )
    if not hmac.compare_digest(_sign(credential.secret, scope, text), scope.signature):
        raise refusal("mismatch", dialect)
    age = clock.age(signed_at, received or clock.moment())
    _refuse_skewed(scope, age, clock.now(), dialect, _WINDOWS[behaviours["signature.window"]])
    if dialect == "s3" and scope.expires is None:
        _refuse_unsigned_headers(request, scope)
    if credential.expires_at is not None and credential.expires_at <= clock.now():
        raise refusal("expired token", dialect)
    return credential


def _time(scope: Scope, dialect: Dialect) -> float:
    try:
        moment = datetime.strptime(scope.time, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise refusal("incomplete", dialect) from None
    if not scope.time.startswith(scope.date):
        raise refusal("mismatch", dialect)
    return moment.timestamp()


def _refuse_skewed(scope: Scope, age: float, now: float, dialect: Dialect, window: int) -> None:
    if scope.expires is not None and not 0 < scope.expires <= 604800:
        raise AwsError("AuthorizationQueryParametersError", "X-Amz-Expires must be between 1 and 604800 seconds")
    if scope.expires is not None:
        if not -WINDOW_S3_SECONDS <= age <= scope.expires:
            raise SKEW_S3.error("AccessDenied", "Request has expired", 403)
    elif dialect == "s3":
        if abs(age) > WINDOW_S3_SECONDS:
            members = {
                "RequestTime": scope.time,
                "ServerTime": f"{datetime.fromtimestamp(now, UTC):%Y-%m-%dT%H:%M:%SZ}",
            }
            members["MaxAllowedSkewMilliseconds"] = str(WINDOW_S3_SECONDS * 1000)
            raise SKEW_S3.error("RequestTimeTooSkewed", _SKEWED_S3, 403, **members)
    elif abs(age) > window:
        late = age > 0
        limit, server = _stamp(now - window if late else now + window), _stamp(now)
        message = (
            f"Signature expired: {scope.time} is now earlier than {limit} ({server} - {window // 60} min.)"
            if late
            else f"Signature not yet current: {scope.time} is still later than {limit} ({server} + {window // 60} min.)"
        )
        if dialect == "query":
            raise SKEW.error("SignatureDoesNotMatch", message, 403)
        raise SKEW.error("InvalidSignatureException", message, 403 if dialect == "rest" else 400)


def _stamp(seconds: float) -> str:
    """An epoch time as X-Amz-Date writes it."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def _refuse_unsigned_headers(request: HttpRequest, scope: Scope) -> None:
    for name in request.headers:
        if name.startswith("x-amz-") and name not in scope.signed_headers:
            raise SIGNATURE_CHECKED.error(
                "AccessDenied", "There were headers present in the request which were not signed", 403
            )


def _payload_hash(request: HttpRequest, scope: Scope) -> str:
    if scope.expires is not None:
        return request.headers.get("x-amz-content-sha256", "UNSIGNED-PAYLOAD" if scope.service == "s3" else EMPTY_HASH)
    declared = request.headers.get("x-amz-content-sha256", "")
    if declared in UNSIGNED or declared.startswith("STREAMING-"):
        return declared
    actual = hashlib.sha256(request.body).hexdigest()
    if declared and declared != actual:
        raise AwsError(
            "XAmzContentSHA256Mismatch", "The provided 'x-amz-content-sha256' header does not match what was computed."
        )
    return actual


def unwrap(request: HttpRequest, scope: Scope, credential: Credential) -> HttpRequest:
    """``request`` without aws-chunked encoding: chunks joined, their signatures checked, trailers among the headers."""
    declared = request.headers.get("x-amz-content-sha256", "")
    if not declared.startswith("STREAMING-"):
        return request
    previous = scope.signature if declared.startswith("STREAMING-AWS4-HMAC-SHA256") else ""
    body, position, parts = request.body, 0, []
    while True:
        line_end = body.find(b"\r\n", position)
        if line_end < 0:
            raise AwsError("IncompleteBody", "The request body terminated unexpectedly")
        size_text, _, extension = body[position:line_end].partition(b";")
        size = int(size_text, 16)
        chunk = body[line_end + 2 : line_end + 2 + size]
        if previous:
            previous = _checked_chunk(chunk, extension.decode(), previous, scope, credential)
        position = line_end + 2 + size
        if size == 0:
            break
        parts.append(chunk)
        position += 2
    headers = dict(request.headers)
    for line in body[position:].decode("latin-1").split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers[name.strip().lower()] = value.strip()
    encodings = [each.strip() for each in headers.pop("content-encoding", "").split(",")]
    if kept := ", ".join(each for each in encodings if each and each != "aws-chunked"):
        headers["content-encoding"] = kept
    joined = b"".join(parts)
    headers["content-length"] = str(len(joined))
    return replace(request, headers=headers, body=joined)


def _checked_chunk(chunk: bytes, extension: str, previous: str, scope: Scope, credential: Credential) -> str:
    text = "\n".join(
        (
            "AWS4-HMAC-SHA256-PAYLOAD",
            scope.time,
            scope.text,
            previous,
            EMPTY_HASH,
            hashlib.sha256(chunk).hexdigest(),
        )
    )
    expected = _sign(credential.secret, scope, text)
    if extension.removeprefix("chunk-signature=") != expected:
        raise refusal("mismatch", "s3")
    return expected
