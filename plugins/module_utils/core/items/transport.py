# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP/1.1 over one kept socket; and Signature Version 4.

Every answer is checked against its Content-Length and its CRC32. Redirects, cookies and compression are not supported:
DynamoDB uses none of them.
"""

from __future__ import annotations

import hashlib
import hmac
import io
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

from .deflate import crc32
from .network_route import LONGEST_HEAD, READ, WRITE, NetworkRoute, Opening

API = "DynamoDB_20120810"
CONTENT_TYPE = "application/x-amz-json-1.0"
SERVICE = "dynamodb"
ANSWER_SECONDS = 60.0  # for which a server may send nothing
READ_BYTES = 64 * 1024
MOST_BUFFERED = 64 * 1024 * 1024  # no answer of DynamoDB is longer; memory is not set aside for whatever a length says


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


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, complete and checked. Header names are in lower case."""

    status: int
    headers: Mapping[bytes, bytes]
    body: bytes


@dataclass(frozen=True)
class _Signing:
    """What requests of one operation, signed in one second by the same keys, have in common: the beginnings of the
    canonical request (hashed), of the string to sign and of the header lines, and the day's key."""

    second: int
    credentials: tuple[str, str, str]
    canonical: Any
    text: bytes
    head: str
    key: bytes


class Signer:
    """Signature Version 4 for requests to one endpoint; what many requests share is kept.

    Source: AWS IAM user guide, "Create a signed AWS API request". Safe to use from any thread.
    """

    def __init__(self, host: str, path: str, region: str) -> None:
        self._host = host
        self._path = quote(path, safe="/-_.~")
        self._region = region
        self._kept: dict[str, _Signing] = {}

    def headers(self, credentials: SigningKeys, operation: str, body: bytes, now: float) -> str:
        """The header lines that sign ``body``; ``now`` in epoch seconds."""
        keys = credentials.access_key, credentials.secret_key, credentials.session_token
        kept = self._kept.get(operation)
        if kept is None or kept.second != int(now) or kept.credentials != keys:
            self._kept[operation] = kept = self._begun(keys, operation, int(now))
        canonical = kept.canonical.copy()
        canonical.update(hashlib.sha256(body).hexdigest().encode())
        signature = hmac.digest(kept.key, kept.text + canonical.hexdigest().encode(), "sha256").hex()
        return f"{kept.head}{signature}\r\n"

    def _begun(self, keys: tuple[str, str, str], operation: str, second: int) -> _Signing:
        access_key, secret_key, token = keys
        time_text = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(second))
        day = time_text[:8]
        if token:
            names = "content-type;host;x-amz-date;x-amz-security-token;x-amz-target"
            token_line, token_header = f"x-amz-security-token:{token}\n", f"X-Amz-Security-Token: {token}\r\n"
        else:
            names, token_line, token_header = "content-type;host;x-amz-date;x-amz-target", "", ""
        canonical = (
            f"POST\n{self._path}\n\ncontent-type:{CONTENT_TYPE}\nhost:{self._host}\nx-amz-date:{time_text}\n{token_line}"
            f"x-amz-target:{API}.{operation}\n\n{names}\n"
        )
        scope = f"{day}/{self._region}/{SERVICE}/aws4_request"
        head = (
            f"X-Amz-Date: {time_text}\r\nX-Amz-Target: {API}.{operation}\r\n{token_header}"
            f"Authorization: AWS4-HMAC-SHA256 Credential={access_key}/{scope}, SignedHeaders={names}, Signature="
        )
        text = f"AWS4-HMAC-SHA256\n{time_text}\n{scope}\n".encode()
        key = f"AWS4{secret_key}".encode()
        for part in scope.split("/"):
            key = hmac.digest(key, part.encode(), "sha256")
        return _Signing(second, keys, hashlib.sha256(canonical.encode()), text, head, key)


# Connections


class Connection:
    """One kept connection: one request at a time, its answer read as it arrives.

    It is made first: ``open`` does what can be done of that without waiting, and so does ``advance`` for an answer; a
    connection that is ``waiting`` is open when it is made, and waits for answers. After BrokenConnection, Distrusted
    and OSError it is closed and must not be used again.
    """

    def __init__(self, route: NetworkRoute, *, waiting: bool) -> None:
        """Raises OSError, Distrusted."""
        self._unsent: list[memoryview] = []
        self._reused = False
        self._secure = route.tls is not None
        self.heard = time.monotonic()  # when it was begun, or something arrived last
        self.reusable = True
        self._reset()
        self._opening: Opening | None = route.begin()
        self._socket = self._opening.socket
        if waiting:
            self._opening.wait()
            self.open()
            self._socket.settimeout(ANSWER_SECONDS)

    def _reset(self) -> None:
        self._answer: Answer | None = None
        self._chunks: list[bytes] = []
        self._large: _LargeBody | None = None
        self._head = b""
        self._headers: dict[bytes, bytes] = {}
        self._status = 0
        self._missing = 0  # bytes of the body; below 0: it ends with its last chunk, or with the connection

    def fileno(self) -> int:
        """For selectors."""
        return self._socket.fileno() if self._opening is None else self._opening.socket.fileno()

    @property
    def closed(self) -> bool:
        """Whether it is closed: its number may be another connection's."""
        return self.fileno() < 0

    @property
    def opening(self) -> bool:
        """Whether it is not ready for requests yet."""
        return self._opening is not None

    @property
    def events(self) -> int:
        """What it waits for, for selectors."""
        if self._opening is not None:
            return self._opening.wants
        return READ | WRITE if self._unsent else READ

    def open(self) -> bool:
        """Go on with making it; whether it is ready. Raises OSError, Distrusted."""
        if self._opening is None:
            return True
        try:
            ready = self._opening.go_on()
        except BaseException:
            self.close()
            raise
        if ready:
            self._socket, self._opening, self.heard = self._opening.socket, None, time.monotonic()
        return ready

    def use(self, *, waiting: bool) -> None:
        """Go on with one that is open, as one that is ``waiting`` or not."""
        self._socket.settimeout(ANSWER_SECONDS if waiting else 0.0)

    def quiet(self) -> bool:
        """Whether nothing has arrived on one without a request: else the server has closed it. What TLS sends on its
        own account, as tickets of the session, is taken in. It does not wait from then on."""
        try:
            self._socket.settimeout(0.0)
            self._socket.recv(1)
        except (BlockingIOError, ssl.SSLWantReadError):
            return True
        except (OSError, ValueError):
            pass
        return False

    def send(self, head: bytes, body: bytes = b"") -> None:
        """Send a whole request, or what can be sent of it now. Raises BrokenConnection."""
        parts = [head + body] if self._secure else [head, body]  # TLS would make a record of each
        self._unsent = [memoryview(part) for part in parts if part]
        self._push()

    def advance(self) -> Answer | None:
        """The answer, or None until it is complete. Raises BrokenConnection."""
        if self._unsent:
            self._push()
        try:
            while self._large is None:
                data = self._socket.recv(READ_BYTES)
                if not data:
                    return self._ended()
                self.heard = time.monotonic()
                if self._take(data):
                    return self._whole()
                if len(data) < READ_BYTES and not self._secure:
                    return None  # all that was there; TLS gives one record at a time and must be asked
            return self._advance_large(self._large)
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return None
        except (OSError, ValueError) as error:
            raise self._broken(error) from error

    def _advance_large(self, large: _LargeBody) -> Answer | None:
        received = large.receive(self._socket, by_records=self._secure)
        if not received:
            return self._ended()
        self.heard = time.monotonic()
        return self._whole() if self._is_whole(received) else None

    def close(self) -> None:
        """Close the connection."""
        self.reusable = False
        if self._opening is not None:
            self._opening.close()
        else:
            self._socket.close()

    def _push(self) -> None:
        """Send what can be sent now. Where that was not all, the rest waits for the next event, and for what its caller
        asks before; but for TLS, which takes one record at a time."""
        try:
            while self._unsent:
                one = len(self._unsent) == 1
                self._sent(self._socket.send(self._unsent[0]) if one else self._socket.sendmsg(self._unsent))
                if self._unsent and not self._secure and self._socket.gettimeout() == 0.0:
                    return
        except (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError):
            return
        except OSError as error:
            raise self._broken(error) from error

    def _sent(self, count: int) -> None:
        while self._unsent and count >= len(self._unsent[0]):
            count -= len(self._unsent.pop(0))
        if count:
            self._unsent[0] = self._unsent[0][count:]

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
        if READ_BYTES < self._missing <= MOST_BUFFERED:
            self._large = _LargeBody(self._missing, data)
            return self._is_whole(len(data))
        self._chunks.append(data)
        if self._missing >= 0:
            return self._is_whole(len(data))
        if self._chunked:
            body = _dechunked(b"".join(self._chunks))
            if body is not None:
                self._chunks = [body]
                return True
        return False

    def _is_whole(self, count: int) -> bool:
        """Count bytes of a body whose length is known; whether it is complete. Raises ValueError."""
        self._missing -= count
        if self._missing < 0:
            raise ValueError("the answer is longer than its Content-Length")
        return not self._missing

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
        if self._large is not None:
            body = self._large.whole()
        else:
            body = self._chunks[0] if len(self._chunks) == 1 else b"".join(self._chunks)
        checksum = self._headers.get(b"x-amz-crc32")
        if checksum is not None and int(checksum) != crc32(body):
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


class _LargeBody:
    """A body that is received where it stays: nothing is joined, and its bytes are copied once, out of the socket."""

    def __init__(self, length: int, begun: bytes) -> None:
        """Of ``length`` bytes, of which ``begun`` has arrived: no more than that and one."""
        self._length = length
        # BytesIO lends its memory for writing, and gives the same memory as bytes.
        self._memory = io.BytesIO()
        self._memory.seek(length)
        self._memory.write(b"\0")  # one more than its length: so it shows where more arrives
        self._room = self._memory.getbuffer()
        self._received = len(begun)
        self._room[: len(begun)] = begun

    def receive(self, connection: socket.socket, *, by_records: bool) -> int:
        """Receive what is there; how many bytes, 0 at the connection's end. ``by_records``: the connection gives less
        at a time than what is there, as TLS does. Raises OSError, BlockingIOError and SSLWantReadError for nothing."""
        before = self._received
        try:
            while True:
                rest = self._room[self._received :]
                count = connection.recv_into(rest, len(rest))
                self._received += count
                if not count:
                    return 0
                if not by_records or self._received >= self._length:
                    break
        except (BlockingIOError, ssl.SSLWantReadError):
            if self._received == before:
                raise
        return self._received - before

    def whole(self) -> bytes:
        """The body, when all of it has been received."""
        self._room.release()
        self._memory.truncate(self._length)
        return self._memory.getvalue()


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
