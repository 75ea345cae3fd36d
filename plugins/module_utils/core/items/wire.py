# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests to DynamoDB as bytes, over a light HTTP/1.1 of our own.

With 25 items to a request the request is the cost, not the item: a bare socket carries four times the items per
CPU-second that urllib3 does (design section 6). What is given up is redirects, cookies and compression; none of it is
DynamoDB's. What is kept is care: every answer is held to its Content-Length and its CRC32, every request is signed
(Signature Version 4), and what fails in passing is sent again with full jitter.

``Endpoint`` says where and who, ``Client.call`` sends one request and returns the answer's body.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import socket
import ssl
import threading
import time
import urllib.request
import zlib
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from functools import cached_property
from io import BufferedReader
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from ..errors import (
    AccessDenied,
    CredentialsError,
    EndpointUnreachable,
    FerryError,
    InvalidInput,
    KeepsFailing,
    MissingTable,
    ServiceError,
)

API = "DynamoDB_20120810"
CONTENT_TYPE = "application/x-amz-json-1.0"
SERVICE = "dynamodb"
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
CREDENTIALS_SECONDS = 60.0  # how long credentials are kept before they are asked for again
SKEW_SECONDS = 120.0  # a clock that is off by less is not why a signature was refused
BUFFER_BYTES = 64 * 1024
LONGEST_LINE = 64 * 1024

THROTTLES = frozenset(
    {
        "ProvisionedThroughputExceededException",
        "RequestLimitExceeded",
        "RequestThrottled",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TooManyRequestsException",
    }
)
_PASSING = THROTTLES | {"InternalFailure", "InternalServerError", "ServiceUnavailable", "ServiceUnavailableException"}
_EXPIRED = frozenset({"ExpiredToken", "ExpiredTokenException", "RequestExpired"})
_BAD_SIGNATURES = frozenset({"IncompleteSignature", "InvalidSignatureException", "SignatureDoesNotMatch"})
_BAD_CREDENTIALS = (
    _EXPIRED
    | _BAD_SIGNATURES
    | {
        "InvalidAccessKeyId",
        "InvalidClientTokenId",
        "MissingAuthenticationToken",
        "MissingAuthenticationTokenException",
        "UnrecognizedClientException",
    }
)
_DENIED = frozenset({"AccessDenied", "AccessDeniedException", "UnauthorizedOperation"})


class Credentials(Protocol):
    """Keys that are valid now; ``session_token`` is "" where there is none."""

    @property
    def access_key(self) -> str:
        """The key's id."""

    @property
    def secret_key(self) -> str:
        """The secret, which is never sent."""

    @property
    def session_token(self) -> str:
        """The token of temporary credentials."""


@dataclass(frozen=True)
class Endpoint:
    """Where requests go and in whose name.

    ``url`` is ``https://dynamodb.<region>.amazonaws.com`` or another server's; ``credentials`` gives keys valid now and
    is asked again every minute, and at once when AWS calls them expired: refreshing is the caller's. ``side`` is what
    messages call the account (``source``).
    """

    url: str
    region: str
    credentials: Callable[[], Credentials] = field(repr=False)
    side: str = ""

    @property
    def account(self) -> str:
        """The account, for messages."""
        return f"the {self.side} account" if self.side else self.url


@dataclass(frozen=True)
class Patience:
    """How requests that fail in passing are sent again: after a random time up to ``first`` seconds, doubled each time
    up to ``longest`` (full jitter), until nothing has succeeded for ``seconds``, or ``connecting`` seconds where the
    endpoint never answered at all."""

    first: float = 0.05
    longest: float = 20.0
    seconds: float = 600.0
    connecting: float = 30.0

    def pause(self, failures: int) -> float:
        """Seconds to wait after ``failures`` failures in a row."""
        return random.uniform(0.0, min(self.longest, self.first * 2.0 ** min(failures, 30)))


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, whole and checked. Header names are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Stopped(Exception):
    """The work was called off while a request waited for its next try."""


class _Broken(Exception):
    """The connection or the answer is not whole; the request may have been carried out."""

    def __init__(self, reason: str, *, stale: bool = False) -> None:
        super().__init__(reason)
        self.stale = stale  # a kept connection that the server had closed before we used it again


class _Distrusted(Exception):
    """The server's certificate is not to be trusted."""


# Signing


class Signer:
    """Signature Version 4 for requests to one endpoint; the day's signing key is kept.

    Source: AWS General Reference, "Create a signed AWS API request". Safe to use from any thread.
    """

    def __init__(self, host: str, path: str, region: str) -> None:
        self._host = host
        self._path = quote(path, safe="/-_.~")
        self._region = region
        self._kept: tuple[str, str, bytes] = ("", "", b"")

    def headers(self, credentials: Credentials, operation: str, body: bytes, now: float) -> str:
        """The header lines that sign ``body``; ``now`` in epoch seconds."""
        time_text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        day = time_text[:8]
        token = credentials.session_token
        token_line = f"x-amz-security-token:{token}\n" if token else ""
        token_header = f"X-Amz-Security-Token: {token}\r\n" if token else ""
        signed = (
            "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
            if token
            else "content-type;host;x-amz-date;x-amz-target"
        )
        canonical = (
            f"POST\n{self._path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{time_text}\n{token_line}"
            f"x-amz-target:{API}.{operation}\n\n{signed}\n{hashlib.sha256(body).hexdigest()}"
        )
        scope = f"{day}/{self._region}/{SERVICE}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{time_text}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key(credentials.secret_key, day), text.encode(), "sha256").hex()
        return (
            f"X-Amz-Date: {time_text}\r\nX-Amz-Target: {API}.{operation}\r\n"
            f"{token_header}"
            f"Authorization: AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={signed}, "
            f"Signature={signature}\r\n"
        )

    def _key(self, secret: str, day: str) -> bytes:
        kept_secret, kept_day, key = self._kept
        if (kept_secret, kept_day) != (secret, day):
            key = f"AWS4{secret}".encode()
            for part in (day, self._region, SERVICE, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            self._kept = (secret, day, key)
        return key


# Transport


@dataclass(frozen=True)
class _Route:
    """How to reach a server: by TLS or not, through a proxy or not."""

    host: str
    port: int
    tls: ssl.SSLContext | None
    proxy: tuple[str, int, str] | None = None  # host, port, the Proxy-Authorization line or ""

    def connect(self) -> socket.socket:
        """A connection ready for requests. Raises OSError, _Distrusted."""
        host, port, authorization = self.proxy or (self.host, self.port, "")
        plain = socket.create_connection((host, port), CONNECT_SECONDS)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            plain.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self.proxy:
                self._tunnel(plain, authorization)
            if self.tls is not None:
                plain = self.tls.wrap_socket(plain, server_hostname=self.host)
            plain.settimeout(ANSWER_SECONDS)
        except ssl.SSLCertVerificationError as error:
            plain.close()
            raise _Distrusted(error.verify_message) from error
        except BaseException:
            plain.close()
            raise
        return plain

    def _tunnel(self, plain: socket.socket, authorization: str) -> None:
        name = f"[{self.host}]" if ":" in self.host else self.host
        plain.sendall(
            f"CONNECT {name}:{self.port} HTTP/1.1\r\nHost: {name}:{self.port}\r\n{authorization}\r\n".encode()
        )
        head = b""
        # Byte by byte: what follows the blank line belongs to TLS.
        while not head.endswith(b"\r\n\r\n") and len(head) < LONGEST_LINE:
            byte = plain.recv(1)
            if not byte:
                raise ConnectionResetError("the proxy closed the connection")
            head += byte
        status = head.split(b" ", 2)[1:2]
        if status != [b"200"]:
            code = status[0].decode("latin-1", "replace") if status else "no status"
            raise ConnectionRefusedError(f"the proxy {self.proxy[0] if self.proxy else ''} answered {code}")


class _Connection:
    """One kept connection. After any exception it is closed and must not be used again."""

    def __init__(self, route: _Route) -> None:
        self._socket = route.connect()
        self._stream: BufferedReader = self._socket.makefile("rb", BUFFER_BYTES)  # type: ignore[assignment]
        self._used = False
        self.reusable = True

    def exchange(self, request: bytes) -> Answer:
        """Send a whole request, read its whole answer. Raises _Broken."""
        started = False
        try:
            self._socket.sendall(request)
            line = self._stream.readline(LONGEST_LINE)
            started = bool(line)
            if not line:
                raise ConnectionResetError("the server closed the connection")
            answer = self._answer(line)
        except (OSError, ValueError, _Broken) as error:
            self.close()
            reason = str(error) or type(error).__name__
            raise _Broken(reason, stale=self._used and not started and not isinstance(error, TimeoutError)) from error
        self._used = True
        return answer

    def close(self) -> None:
        """End the connection."""
        self.reusable = False
        self._stream.close()
        self._socket.close()

    def _answer(self, line: bytes) -> Answer:
        status = int(line.split(None, 2)[1])
        headers: dict[bytes, bytes] = {}
        while (line := self._stream.readline(LONGEST_LINE)) not in (b"\r\n", b"\n"):
            name, colon, value = line.partition(b":")
            if not colon:
                raise _Broken("the answer ended in its headers")
            headers[name.lower()] = value.strip()
        if 100 <= status < 200:
            return self._answer(self._stream.readline(LONGEST_LINE))
        body = self._body(headers)
        told = headers.get(b"x-amz-crc32")
        if told is not None and int(told) != zlib.crc32(body):
            raise _Broken("the answer does not have the CRC32 that it says")
        if headers.get(b"connection", b"").lower() == b"close":
            self.reusable = False
        return Answer(status, headers, body)

    def _body(self, headers: Mapping[bytes, bytes]) -> bytes:
        if headers.get(b"transfer-encoding", b"").lower() == b"chunked":
            return b"".join(iter(self._chunk, b""))
        told = headers.get(b"content-length")
        if told is None:
            # Without a length, the end of the connection is the end of the answer: only a CRC32 can vouch for it.
            self.reusable = False
            if b"x-amz-crc32" not in headers:
                raise _Broken("the answer says neither its length nor its CRC32")
            return self._stream.read()
        return self._exactly(int(told))

    def _chunk(self) -> bytes:
        size = int(self._stream.readline(LONGEST_LINE).partition(b";")[0], 16)
        chunk = self._exactly(size)
        if size:
            self._stream.readline(LONGEST_LINE)
        else:
            while self._stream.readline(LONGEST_LINE) not in (b"\r\n", b"\n", b""):
                pass
        return chunk

    def _exactly(self, size: int) -> bytes:
        body = self._stream.read(size) if size else b""
        if len(body) < size:
            raise _Broken(f"the answer ended after {len(body)} of {size} bytes")
        return body


def _trusted_context() -> ssl.SSLContext:
    """TLS that checks names and certificates, with the same bundle that botocore would take."""
    bundle = os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or _packaged_bundle()
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise InvalidInput(
            f"The certificates in {bundle} cannot be read: {error.strerror or 'no certificate is in it'}.",
            "Set AWS_CA_BUNDLE to a PEM file of certificates, or unset it.",
        ) from error


def _packaged_bundle() -> str | None:
    try:
        import certifi
    except ImportError:
        return None
    return str(certifi.where())


def _proxy_for(host: str, port: int) -> tuple[str, int, str] | None:
    """The proxy that HTTPS_PROXY and NO_PROXY name for a host. Raises InvalidInput for one that we cannot use."""
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidInput(
            f"HTTPS_PROXY names a {parts.scheme} proxy, which item requests cannot go through.",
            "Give an http:// proxy (it tunnels TLS unread), or exempt the endpoint in NO_PROXY.",
        )
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    return parts.hostname, parts.port or 80, authorization


# Calls


@dataclass
class Retries:
    """What was sent again, and why: throttles, errors of the service, broken connections or answers."""

    throttled: int = 0
    failed: int = 0
    broken: int = 0

    @property
    def total(self) -> int:
        """All of them."""
        return self.throttled + self.failed + self.broken


class Client:
    """Sends requests to one endpoint, from any number of threads; each has a connection of its own while it sends."""

    def __init__(
        self,
        endpoint: Endpoint,
        *,
        patience: Patience | None = None,
        stop: threading.Event | None = None,
    ) -> None:
        """``stop`` ends waiting for a next try. Raises InvalidInput for a URL or a proxy that cannot be used."""
        self.endpoint = endpoint
        self.retries = Retries()
        self.stop = stop or threading.Event()
        self._patience = patience or Patience()
        parts = urlsplit(endpoint.url)
        try:
            port = parts.port
        except ValueError:
            port = -1
        if parts.scheme not in ("http", "https") or not parts.hostname or port == -1:
            raise InvalidInput(
                f"The endpoint URL {endpoint.url!r} is none.", "Write it as https://dynamodb.eu-west-1.amazonaws.com."
            )
        secure = parts.scheme == "https"
        self._host, self._port, self._secure = parts.hostname, port or (443 if secure else 80), secure
        host = f"[{self._host}]" if ":" in self._host else self._host
        named = host if port in (None, 443 if secure else 80) else f"{host}:{port}"
        path = parts.path or "/"
        self._signer = Signer(named, path, endpoint.region)
        self._head = (
            f"POST {path} HTTP/1.1\r\nHost: {named}\r\nUser-Agent: tableferry\r\nContent-Type: {CONTENT_TYPE}\r\n"
        )
        self._idle: deque[_Connection] = deque()
        self._lock = threading.Lock()
        self._credentials: tuple[float, Credentials] | None = None
        self._skew = 0.0
        self._answered = False

    @cached_property
    def _route(self) -> _Route:
        if not self._secure:
            # A proxy for plain HTTP is not used: plain endpoints are test servers near by.
            return _Route(self._host, self._port, None)
        return _Route(self._host, self._port, _trusted_context(), _proxy_for(self._host, self._port))

    def call(self, operation: str, body: bytes, table: str) -> bytes:
        """The body of the answer to one request about ``table``, once AWS has carried it out.

        Raises MissingTable, AccessDenied, CredentialsError, EndpointUnreachable, KeepsFailing, ServiceError (all with
        ``code`` in their details), Stopped.
        """
        failures, since = 0, 0.0
        renewed = reset = False
        while True:
            credentials = self._keys()
            try:
                answer = self._exchange(operation, body, credentials)
            except _Distrusted as error:
                raise self._distrusted(str(error), table) from error
            except (OSError, _Broken) as error:
                code, reason = "ConnectionError", str(error) or type(error).__name__
                if isinstance(error, _Broken) and error.stale:
                    continue
                with self._lock:
                    self.retries.broken += 1
            else:
                self._answered = True
                if answer.status == 200:
                    return answer.body
                code, message = _error_of(answer)
                if code in _EXPIRED and not renewed:
                    renewed = True
                    if self._renew(credentials):
                        continue
                if code in _BAD_SIGNATURES | _EXPIRED and not reset and self._correct_clock(answer):
                    reset = True
                    continue
                if code not in _PASSING and answer.status < 500 and answer.status != 429:
                    raise self._explain(operation, table, code, message)
                reason = f"{message} ({code})" if message else code
                self._count_failure(throttled=code in THROTTLES or answer.status == 429)
            now = time.monotonic()
            since = since or now
            if now - since > (self._patience.seconds if self._answered else self._patience.connecting):
                raise self._gave_up(operation, table, code, reason, now - since)
            failures += 1
            if self.stop.wait(self._patience.pause(failures)):
                raise Stopped

    def pause(self, failures: int) -> None:
        """Wait as after ``failures`` failures in a row, for answers that left something undone. Raises Stopped."""
        if self.stop.wait(self._patience.pause(failures)):
            raise Stopped

    @property
    def patience_seconds(self) -> float:
        """How long nothing may succeed before it is given up."""
        return self._patience.seconds

    def close(self) -> None:
        """End the idle connections."""
        while self._idle:
            self._idle.pop().close()

    def _exchange(self, operation: str, body: bytes, credentials: Credentials) -> Answer:
        signed = self._signer.headers(credentials, operation, body, time.time() + self._skew)
        request = f"{self._head}{signed}Content-Length: {len(body)}\r\n\r\n".encode("latin-1") + body
        try:
            connection = self._idle.pop()
        except IndexError:
            connection = _Connection(self._route)
        answer = connection.exchange(request)
        if connection.reusable:
            self._idle.append(connection)
        else:
            connection.close()
        return answer

    def _keys(self) -> Credentials:
        kept = self._credentials
        if kept is None or time.monotonic() - kept[0] > CREDENTIALS_SECONDS:
            with self._lock:
                if self._credentials is kept:
                    self._credentials = (time.monotonic(), self.endpoint.credentials())
                kept = self._credentials
        assert kept is not None
        return kept[1]

    def _renew(self, expired: Credentials) -> bool:
        """Ask for credentials again, once for all threads; False when they are the same."""
        with self._lock:
            if self._credentials is None or self._credentials[1] is expired:
                self._credentials = (time.monotonic(), self.endpoint.credentials())
            return _values(self._credentials[1]) != _values(expired)

    def _correct_clock(self, answer: Answer) -> bool:
        """Take the server's time for signing when ours is off; False when it is not."""
        try:
            told = parsedate_to_datetime(answer.headers.get(b"date", b"").decode("latin-1")).timestamp()
        except ValueError:
            return False
        skew = told - time.time()
        if abs(skew - self._skew) < SKEW_SECONDS:
            return False
        self._skew = skew
        return True

    def _count_failure(self, throttled: bool) -> None:
        with self._lock:
            if throttled:
                self.retries.throttled += 1
            else:
                self.retries.failed += 1

    # Errors

    def _explain(self, operation: str, table: str, code: str, message: str) -> FerryError:
        details = {"code": code, "side": self.endpoint.side, "region": self.endpoint.region, "operation": operation}
        # AWS quotes the signed headers, the session token among them, where a signature is wrong.
        said = f"{message} ({code})" if message and code not in _BAD_SIGNATURES else code
        account = self.endpoint.account
        if code in _BAD_CREDENTIALS:
            return CredentialsError(
                f"The credentials of {account} do not work: {said}.",
                "Check profile, keys or role; temporary ones may have ended.",
                table=table,
                details=details,
            )
        if code in _DENIED:
            return AccessDenied(
                f"{operation} was refused in {account}: {said}.",
                f"Allow dynamodb:{operation} on the table for the principal named.",
                table=table,
                details=details,
            )
        if code == "ResourceNotFoundException":
            return MissingTable(
                f"{account[:1].upper()}{account[1:]} has no usable table of this name in {self.endpoint.region}.",
                "Check name, account and Region, and that the table is ACTIVE.",
                table=table,
                details=details,
            )
        return ServiceError(
            f"{operation} failed in {account} ({self.endpoint.region}): {said}.",
            "Run again; what was acknowledged stays.",
            table=table,
            details=details,
        )

    def _gave_up(self, operation: str, table: str, code: str, reason: str, seconds: float) -> FerryError:
        details = {"code": code, "side": self.endpoint.side, "region": self.endpoint.region, "operation": operation}
        if code == "ConnectionError":
            return EndpointUnreachable(
                f"No whole answer came from {self.endpoint.url} for {seconds:.0f} s: {reason}.",
                "Check the network, the proxy and the endpoint, then run again.",
                table=table,
                details=details,
            )
        return KeepsFailing(
            f"{operation} kept failing in {self.endpoint.account} for {seconds:.0f} s: {reason}.",
            "Give the table more capacity or ask for fewer units per second, then run again: it goes on where it was."
            if code in THROTTLES
            else "Look at AWS's health, then run again: it goes on where it was.",
            table=table,
            details=details,
        )

    def _distrusted(self, reason: str, table: str) -> FerryError:
        return EndpointUnreachable(
            f"The certificate of {self.endpoint.url} is not to be trusted: {reason}.",
            "Set AWS_CA_BUNDLE to the certificates of your proxy or endpoint.",
            table=table,
            details={"code": "CertificateError", "side": self.endpoint.side},
        )


def _values(credentials: Credentials) -> tuple[str, str, str]:
    return credentials.access_key, credentials.secret_key, credentials.session_token


def _error_of(answer: Answer) -> tuple[str, str]:
    """Code and message of a refusal; the code of one that is not in DynamoDB's form is ``HTTP <status>``."""
    try:
        told = json.loads(answer.body)
        code = str(told.get("__type") or told.get("code") or "").rsplit("#", 1)[-1]
        message = str(told.get("message") or told.get("Message") or "")
    except (ValueError, AttributeError):
        code, message = "", ""
    return code or f"HTTP {answer.status}", message
