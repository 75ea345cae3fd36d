# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/1.1 over one kept socket, plain or TLS, direct or through a proxy's tunnel; and Signature Version 4.

Every answer is checked against its Content-Length and its CRC32. Redirects, cookies and compression are not supported:
DynamoDB uses none of them.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import socket
import ssl
import time
import urllib.request
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol
from urllib.parse import quote, unquote, urlsplit

from ..errors import InvalidInput

API = "DynamoDB_20120810"
CONTENT_TYPE = "application/x-amz-json-1.0"
SERVICE = "dynamodb"
CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
SMALL_READ, LARGE_READ = 64 * 1024, 512 * 1024
LONGEST_HEAD = 64 * 1024


class SigningKeys(Protocol):
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


class BrokenConnection(Exception):
    """The connection broke or the answer is incomplete; the request may have been carried out.

    ``stale`` says that a kept connection ended before any of the answer arrived: the server had closed it.
    """

    def __init__(self, reason: str, *, stale: bool = False) -> None:
        super().__init__(reason)
        self.stale = stale


class Distrusted(Exception):
    """The server's certificate is not trusted."""


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, complete and checked. Header names are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


class Signer:
    """Signature Version 4 for requests to one endpoint; the day's signing key is kept.

    Source: AWS IAM user guide, "Create a signed AWS API request". Safe to use from any thread.
    """

    def __init__(self, host: str, path: str, region: str) -> None:
        self._host = host
        self._path = quote(path, safe="/-_.~")
        self._region = region
        self._kept: tuple[str, str, bytes] = ("", "", b"")

    def headers(self, credentials: SigningKeys, operation: str, body: bytes, now: float) -> str:
        """The header lines that sign ``body``; ``now`` in epoch seconds."""
        time_text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(now))
        day = time_text[:8]
        token = credentials.session_token
        if token:
            names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
            token_line, token_header = f"x-amz-security-token:{token}\n", f"X-Amz-Security-Token: {token}\r\n"
        else:
            names, token_line, token_header = "content-type;host;x-amz-date;x-amz-target", "", ""
        canonical = (
            f"POST\n{self._path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{time_text}\n{token_line}"
            f"x-amz-target:{API}.{operation}\n\n{names}\n{hashlib.sha256(body).hexdigest()}"
        )
        scope = f"{day}/{self._region}/{SERVICE}/aws4_request"
        text = f"AWS4-HMAC-SHA256\n{time_text}\n{scope}\n{hashlib.sha256(canonical.encode()).hexdigest()}"
        signature = hmac.digest(self._key(credentials.secret_key, day), text.encode(), "sha256").hex()
        return (
            f"X-Amz-Date: {time_text}\r\nX-Amz-Target: {API}.{operation}\r\n{token_header}"
            f"Authorization: AWS4-HMAC-SHA256 Credential={credentials.access_key}/{scope}, SignedHeaders={names}, "
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


# Connections


@dataclass(frozen=True)
class NetworkRoute:
    """How to reach a server: by TLS or not, through a proxy (host, port, its authorization line or "") or not."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    proxy: tuple[str, int, str] | None = None

    @classmethod
    def to(cls, host: str, port: int, secure: bool, ca_bundle: str = "") -> NetworkRoute:
        """The route that the environment sets; ``ca_bundle`` as in ``Endpoint``.

        Raises InvalidInput for certificates or a proxy that cannot be used. A proxy for plain HTTP is not used: plain
        endpoints are local test servers.
        """
        if not secure:
            return cls(host, port)
        return cls(host, port, _trusted_context(ca_bundle), _proxy_for(host, port))

    def connect(self) -> socket.socket:
        """A connection ready for requests. Raises OSError, Distrusted."""
        host, port, authorization = self.proxy or (self.host, self.port, "")
        connection = socket.create_connection((host, port), CONNECT_SECONDS)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self.proxy:
                _tunnel(connection, self.host, self.port, authorization)
            if self.tls is not None:
                connection = self.tls.wrap_socket(connection, server_hostname=self.host)
        except ssl.SSLCertVerificationError as error:
            connection.close()
            raise Distrusted(error.verify_message) from error
        except BaseException:
            connection.close()
            raise
        return connection


def _tunnel(connection: socket.socket, host: str, port: int, authorization: str) -> None:
    target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    connection.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n".encode())
    head = b""
    # Byte by byte: what follows the blank line belongs to TLS.
    while not head.endswith(b"\r\n\r\n"):
        byte = connection.recv(1)
        if not byte or len(head) > LONGEST_HEAD:
            raise ConnectionResetError("the proxy closed the connection")
        head += byte
    status = head.split(b" ", 2)[1][:3].decode("latin-1") if head.count(b" ") else "nothing"
    if status != "200":
        raise ConnectionRefusedError(f"the proxy answered {status} to CONNECT {target}")


def _trusted_context(ca_bundle: str) -> ssl.SSLContext:
    """TLS that checks names and certificates, with the same bundle that botocore would take."""
    bundle = ca_bundle or os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or _packaged_bundle()
    try:
        return ssl.create_default_context(cafile=bundle)
    except OSError as error:
        raise InvalidInput(
            f"The certificates in {bundle} cannot be read: {error.strerror or 'the file holds no certificate'}.",
            "Set AWS_CA_BUNDLE to a PEM file with certificates, or unset it.",
        ) from error


def _packaged_bundle() -> str | None:
    """certifi's certificates where it is installed, else None, which means the system's."""
    try:
        import certifi
    except ImportError:
        return None
    return str(certifi.where())


def _proxy_for(host: str, port: int) -> tuple[str, int, str] | None:
    """The proxy that HTTPS_PROXY and NO_PROXY set for a host. Raises InvalidInput for one that cannot be used."""
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidInput(
            f"HTTPS_PROXY is a {parts.scheme} proxy, which requests for items cannot use.",
            "Set an http:// proxy (it tunnels TLS unread), or add the endpoint to NO_PROXY.",
        )
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    return parts.hostname, parts.port or 80, authorization


class Connection:
    """One kept connection: one request at a time, its answer read as it arrives.

    ``advance`` does what can be done without waiting, or waits where the connection is ``waiting``. After
    BrokenConnection it is closed and must not be used again.
    """

    def __init__(self, route: NetworkRoute, *, waiting: bool) -> None:
        """Raises OSError, Distrusted."""
        self._socket = route.connect()
        self._socket.settimeout(ANSWER_SECONDS if waiting else 0.0)
        self._secure = route.tls is not None
        self._unsent = memoryview(b"")
        self._reused = False
        self._reset()
        self.reusable = True

    def _reset(self) -> None:
        self._answer: Answer | None = None
        self._chunks: list[bytes] = []
        self._head = b""
        self._headers: dict[bytes, bytes] = {}
        self._status = 0
        self._missing = 0  # bytes of the body; below 0: it ends with its last chunk, or with the connection

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno()

    def send(self, request: bytes) -> None:
        """Send a whole request, or what can be sent of it now. Raises BrokenConnection."""
        self._unsent = memoryview(request)
        self._push()

    @property
    def sending(self) -> bool:
        """Whether part of the request is still to be sent."""
        return bool(self._unsent)

    def advance(self) -> Answer | None:
        """The answer, or None until it is complete. Raises BrokenConnection."""
        if self._unsent:
            self._push()
        try:
            while True:
                size = LARGE_READ if self._missing > SMALL_READ else SMALL_READ
                data = self._socket.recv(size)
                if not data:
                    return self._ended()
                if self._take(data):
                    return self._whole()
                if len(data) < size and not self._secure:
                    return None  # all that was there; TLS gives one record at a time and must be asked
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    def close(self) -> None:
        """Close the connection."""
        self.reusable = False
        self._socket.close()

    def _push(self) -> None:
        try:
            while self._unsent:
                self._unsent = self._unsent[self._socket.send(self._unsent) :]
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise self._broken(error) from error

    def _take(self, data: bytes) -> bool:
        """Take in what arrived; whether the answer is complete. Raises ValueError, BrokenConnection."""
        if not self._status:
            self._head += data
            head, blank, data = self._head.partition(b"\r\n\r\n")
            if not blank:
                if len(self._head) > LONGEST_HEAD:
                    raise ValueError("the headers of the answer have no end")
                return False
            self._read_head(head)
        if 100 <= self._status < 200:
            self._reset()
            return bool(data) and self._take(data)
        self._chunks.append(data)
        if self._missing >= 0:
            self._missing -= len(data)
            if self._missing < 0:
                raise ValueError("the answer is longer than its Content-Length")
            return not self._missing
        if self._chunked:
            body = _dechunked(b"".join(self._chunks))
            if body is not None:
                self._chunks = [body]
                return True
        return False

    def _read_head(self, head: bytes) -> None:
        first, *lines = head.split(b"\r\n")
        status = first.partition(b" ")[2][:3]
        if not first.startswith(b"HTTP/1.") or not status.isdigit():
            raise ValueError("the answer is not HTTP/1.1")
        self._status = int(status)
        for line in lines:
            name, _colon, value = line.partition(b":")
            self._headers[name.lower()] = value.strip()
        length = self._headers.get(b"content-length")
        self._missing = int(length) if length is not None and not self._chunked else -1

    @property
    def _chunked(self) -> bool:
        return self._headers.get(b"transfer-encoding", b"").lower() == b"chunked"

    def _ended(self) -> Answer:
        """The server closed the connection: the end of an answer without a length, which only a CRC32 can confirm."""
        if self._status and self._missing < 0 and not self._chunked and b"x-amz-crc32" in self._headers:
            self.reusable = False
            return self._whole()
        raise self._broken(ConnectionResetError("the server closed the connection"))

    def _whole(self) -> Answer:
        body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        checksum = self._headers.get(b"x-amz-crc32")
        if checksum is not None and int(checksum) != zlib.crc32(body):
            raise self._broken(ValueError("the answer does not match its CRC32"))
        if self._headers.get(b"connection", b"").lower() == b"close":
            self.reusable = False
        answer = Answer(self._status, self._headers, body)
        self._reset()
        self._reused = True
        return answer

    def _broken(self, error: Exception) -> BrokenConnection:
        self.close()
        stale = self._reused and not self._status and not self._head and not isinstance(error, TimeoutError)
        return BrokenConnection(str(error) or type(error).__name__, stale=stale)


def _dechunked(data: bytes) -> bytes | None:
    """The body in the chunks of ``data``; None until its end has arrived. Raises ValueError."""
    parts: list[bytes] = []
    position = 0
    while (end := data.find(b"\r\n", position)) >= 0:
        size = int(data[position:end].partition(b";")[0], 16)
        position = end + 2
        if not size:
            whole = data[position : position + 2] == b"\r\n" or b"\r\n\r\n" in data[position:]
            return b"".join(parts) if whole else None
        parts.append(data[position : position + size])
        position += size + 2
    return None
