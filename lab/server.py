# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lab's HTTP/1.1 server: one thread per connection, kept alive, on loopback only."""

from __future__ import annotations

import itertools
import socket
import socketserver
import struct
import threading
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from io import BufferedReader

from lab.errors import ConnectionDropped
from lab.gate import Gate
from lab.messages import HttpRequest, HttpResponse
from lab.world import World

HOST = "127.0.0.1"
_LONGEST_LINE = 65536
_NO_BODY = frozenset({204, 304})
# Closing with this sends a reset, as a connection lost underway.
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Malformed(Exception):
    """The bytes are not an HTTP/1.1 request."""


_numbers = itertools.count(1)


class _Connection(socketserver.BaseRequestHandler):
    server: LabServer
    request: socket.socket

    def handle(self) -> None:
        self._number = next(_numbers)
        self.request.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.server.opened(self.request)
        try:
            with self.request.makefile("rb", buffering=_LONGEST_LINE) as stream:
                assert isinstance(stream, BufferedReader)
                while self._one_request(stream):
                    pass
        except ConnectionDropped:
            self.request.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        except (OSError, ValueError):
            # The client went away; a stream that is closed under a read raises ValueError.
            return
        finally:
            self.server.closed(self.request)

    def _one_request(self, stream: BufferedReader) -> bool:
        """Serve one request; False when the connection ends."""
        line = stream.readline(_LONGEST_LINE)
        if not line.strip():
            return bool(line)
        try:
            method, target, version = line.decode("latin-1").split()
            headers = _read_headers(stream)
            if headers.get("expect", "").lower() == "100-continue":
                self.request.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
            body = _read_body(stream, headers)
        except (_Malformed, ValueError):
            self.request.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
            return False
        path, _, query = target.partition("?")
        response = self.server.gate.answer(HttpRequest(method, path, query, headers, body, self._number))
        asked = headers.get("connection", "").lower()
        stays = asked != "close" and (version == "HTTP/1.1" or asked == "keep-alive")
        _send(self.request, response, method == "HEAD", stays)
        return stays


def _read_headers(stream: BufferedReader) -> dict[str, str]:
    headers: dict[str, str] = {}
    while (line := stream.readline(_LONGEST_LINE)) not in (b"\r\n", b"\n"):
        name, colon, value = line.decode("latin-1").partition(":")
        if not colon:
            raise _Malformed
        name, value = name.strip().lower(), value.strip()
        headers[name] = f"{headers[name]},{value}" if name in headers else value
    return headers


def _read_body(stream: BufferedReader, headers: Mapping[str, str]) -> bytes:
    if headers.get("transfer-encoding", "").lower() == "chunked":
        return b"".join(_read_chunks(stream))
    length = int(headers.get("content-length", "0"))
    body = stream.read(length) if length else b""
    if len(body) < length:
        raise _Malformed
    return body


def _read_chunks(stream: BufferedReader) -> Iterable[bytes]:
    while size := int(stream.readline(_LONGEST_LINE).partition(b";")[0], 16):
        yield stream.read(size)
        stream.readline(_LONGEST_LINE)
    while stream.readline(_LONGEST_LINE) not in (b"\r\n", b"\n", b""):
        pass


def _send(connection: socket.socket, response: HttpResponse, head_only: bool, stays: bool) -> None:
    names = {name.lower() for name in response.headers}
    try:
        reason = HTTPStatus(response.status).phrase
    except ValueError:
        reason = ""
    lines = [f"HTTP/1.1 {response.status} {reason}"]
    lines += [f"{name}: {value}" for name, value in response.headers.items() if name.lower() != "transfer-encoding"]
    whole = response.body if isinstance(response.body, bytes) else None
    chunked = whole is None and "content-length" not in names
    if chunked:
        lines.append("Transfer-Encoding: chunked")
    elif whole is not None and "content-length" not in names and response.status not in _NO_BODY:
        lines.append(f"Content-Length: {len(whole)}")
    if not stays:
        lines.append("Connection: close")
    head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    if head_only or response.status in _NO_BODY:
        connection.sendall(head)
    elif whole is not None:
        connection.sendall(head + whole)
    else:
        connection.sendall(head)
        for piece in response.body:
            if piece:
                assert isinstance(piece, bytes)
                connection.sendall(b"%x\r\n%s\r\n" % (len(piece), piece) if chunked else piece)
        if chunked:
            connection.sendall(b"0\r\n\r\n")


class LabServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    """Serves a world. ``port`` 0 takes a free one; ``close`` ends the connections but not the world."""

    daemon_threads = True
    block_on_close = False
    allow_reuse_address = True
    request_queue_size = 512

    def __init__(self, world: World, port: int = 0) -> None:
        self.world = world
        self.gate = Gate(world)
        self._open: set[socket.socket] = set()
        self._open_lock = threading.Lock()
        self._thread: threading.Thread | None = None
        super().__init__((HOST, port), _Connection)

    @property
    def endpoint_url(self) -> str:
        """Where clients find the lab."""
        return f"http://{HOST}:{self.server_address[1]}"

    def start(self) -> LabServer:
        """Serve in a thread."""
        self._thread = threading.Thread(target=self.serve_forever, args=(0.05,), name="lab-server", daemon=True)
        self._thread.start()
        return self

    def opened(self, connection: socket.socket) -> None:
        """Remember a connection, to end it with the server."""
        with self._open_lock:
            self._open.add(connection)

    def closed(self, connection: socket.socket) -> None:
        """Forget a connection."""
        with self._open_lock:
            self._open.discard(connection)

    def close(self) -> None:
        """Stop listening and end every connection."""
        if self._thread is not None:
            self.shutdown()
            self._thread.join()
        self.server_close()
        with self._open_lock:
            for connection in self._open:
                try:
                    connection.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    def __enter__(self) -> LabServer:
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.close()
