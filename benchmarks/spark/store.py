# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An S3 on loopback, so light that what is measured is its client: objects below a folder are read, others written.

``python -m benchmarks.spark.store FOLDER`` prints its port. It knows GetObject with a range, PutObject (kept in memory)
and ListObjectsV2 of what was put. It checks no signatures, and ends with its standard input.
"""

from __future__ import annotations

import hashlib
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit


class Store(ThreadingHTTPServer):
    """The server, and what was put into it."""

    daemon_threads = True

    def __init__(self, folder: Path) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.folder = folder
        self.put: dict[str, bytes] = {}

    def content(self, key: str) -> bytes | None:
        """The bytes of an object, None where there is none."""
        if key in self.put:
            return self.put[key]
        path = self.folder / key
        return path.read_bytes() if path.is_file() else None


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Store

    def do_GET(self) -> None:
        where = urlsplit(self.path)
        query = parse_qs(where.query)
        if "list-type" in query:
            keys = sorted(key for key in self.server.put if key.startswith(query.get("prefix", [""])[0]))
            entries = "".join(f"<Contents><Key>{key}</Key><Size>1</Size></Contents>" for key in keys)
            self._answer(
                200, f"<ListBucketResult><IsTruncated>false</IsTruncated>{entries}</ListBucketResult>".encode()
            )
            return
        content = self.server.content(self._key(where.path))
        if content is None:
            self._answer(404, b"<Error><Code>NoSuchKey</Code><Message>No such key.</Message></Error>")
            return
        first = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").partition("-")[0])
        etag = f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"'
        self._answer(206 if "Range" in self.headers else 200, content[first:], ETag=etag)

    def do_PUT(self) -> None:
        content = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.put[self._key(urlsplit(self.path).path)] = content
        self._answer(200, b"", ETag=f'"{hashlib.md5(content, usedforsecurity=False).hexdigest()}"')

    def _key(self, path: str) -> str:
        """The key of a path-style request."""
        return unquote(path).lstrip("/").partition("/")[2]

    def _answer(self, status: int, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Nothing is printed."""


def main() -> None:
    """Serve until standard input ends."""
    store = Store(Path(sys.argv[1]))
    threading.Thread(target=store.serve_forever, daemon=True).start()
    print(store.server_port, flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
