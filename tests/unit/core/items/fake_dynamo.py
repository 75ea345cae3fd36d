# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A DynamoDB on loopback that keeps the very bytes of items, and goes wrong in planned ways.

It knows as much as copying and comparing need. Everything that AWS enforces beyond that is the lab's to enforce; this
one can break answers on their way, which the lab cannot.
"""

from __future__ import annotations

import json
import socket
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from types import SimpleNamespace
from typing import Any

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Endpoint, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.tables import ItemTable, find_table

HASTY = RetryPolicy(first=0.001, longest=0.01, seconds=20.0, connecting=5.0)
REGION = "eu-west-1"
SECRET, TOKEN = "the-secret-key-itself", "the-session-token-itself"

Key = tuple[Any, ...]


@dataclass
class Fault:
    """What goes wrong with the next ``times`` calls of ``operation``, after ``after`` calls that go well.

    ``kind``: ``throttle``, ``conflict``, ``missing``, ``500``, ``503``, ``expired`` (refusals); ``reset`` before
    anything is done, ``lost`` after it was done; ``half`` and ``crc`` break the answer; ``chunked`` and ``until_close``
    frame it otherwise; ``unprocessed`` leaves ``count`` items of a batch.
    """

    kind: str
    operation: str = ""
    times: int = 1
    after: int = 0
    count: int = 25
    met: int = 0


@dataclass
class FakeTable:
    """A table: its items' bytes by key, in the order of their making."""

    key: list[tuple[str, str]]
    table_id: str
    items: dict[Key, bytes] = field(default_factory=dict)
    extra_scanned: list[tuple[Key, bytes]] = field(default_factory=list)  # seen by scans besides, as duplicates are

    def key_of(self, item: Any) -> Key:
        """The key as DynamoDB compares it: numbers by value."""
        values = [(kind, item[name][kind]) for name, kind in self.key]
        return tuple(Decimal(value) if kind == "N" else value for kind, value in values)

    def put(self, *items: bytes) -> None:
        """Store items."""
        for item in items:
            self.items[self.key_of(json.loads(item))] = bytes(item)


class FakeDynamo:
    """The server. ``calls`` lists operations as they arrived, ``dates`` with their signature's, ``bodies`` the
    bodies of BatchWriteItem."""

    def __init__(self) -> None:
        self.tables: dict[str, FakeTable] = {}
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        self.dates: list[tuple[str, str]] = []
        self.bodies: list[bytes] = []
        self.connections = 0
        self.page_items = 100
        self.units_per_item = 1.0
        self.consumed: list[tuple[float, float]] = []
        self.written: list[tuple[float, float]] = []  # the write units among them
        self.before: Callable[[str], None] = lambda operation: None
        self.valid_keys = {"AKIAFAKE"}
        self.latency = 0.0
        self.hot: Callable[[Key], bool] = lambda key: False  # items of a partition that takes no writes
        self.spoken_time = 0.0
        self._lock = threading.RLock()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port = self._listener.getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}"
        self._open: set[socket.socket] = set()
        self._accepting = threading.Thread(target=self._accept, daemon=True)
        self._accepting.start()

    # For tests

    def make(self, name: str, key: Sequence[tuple[str, str]] = (("id", "S"),), table_id: str = "") -> FakeTable:
        """Make a table."""
        self.tables[name] = FakeTable(list(key), table_id or f"id-of-{name}-{time.monotonic_ns()}")
        return self.tables[name]

    def endpoint(self, side: str = "source", access_key: str = "AKIAFAKE", token: str = "") -> Endpoint:
        """An endpoint with keys that never change."""
        keys = SimpleNamespace(access_key=access_key, secret_key=SECRET, session_token=token)
        return Endpoint(self.url, REGION, lambda: keys, side)

    def found(self, name: str, side: str = "source") -> ItemTable:
        """The table as the product finds it."""
        return find_table(self.endpoint(side), name, HASTY)

    def plan(self, kind: str, operation: str = "", **members: Any) -> Fault:
        """Plan a fault."""
        self.faults.append(Fault(kind, operation, **members))
        return self.faults[-1]

    @property
    def visitors(self) -> int:
        """How many connections are open."""
        return len(self._open)

    def reset_all(self) -> None:
        """Reset all open connections, as a load balancer or a gateway that forgets them."""
        for connection in list(self._open):
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            connection.shutdown(socket.SHUT_RD)
            connection.close()

    def close(self) -> None:
        """End it."""
        self._listener.shutdown(socket.SHUT_RDWR)
        self._accepting.join()  # else it might accept on whatever gets the listener's number next
        self._listener.close()
        for connection in list(self._open):
            connection.close()

    # Serving

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            self._open.add(connection)
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with connection, connection.makefile("rb") as stream:
                while self._one(connection, stream):
                    pass
        except (OSError, ValueError):
            return
        finally:
            self._open.discard(connection)

    def _one(self, connection: socket.socket, stream: Any) -> bool:
        if not stream.readline():
            return False
        headers = {}
        while (line := stream.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode().partition(":")
            headers[name.lower()] = value.strip()
        operation = headers["x-amz-target"].split(".")[1]
        body = self._body(stream, int(headers["content-length"]), operation)
        self._arrived(operation, headers)
        if self.latency:
            time.sleep(self.latency)
        with self._lock:
            self.calls.append(operation)
            self.dates.append((operation, headers["x-amz-date"]))
            self.before(operation)
            kind, fault = self._fault(operation)
            if kind == "reset":
                return self._reset(connection)
            status, answer = self._answer(operation, body, headers, kind, fault)
        if kind == "lost":
            return self._reset(connection)
        return self._send(connection, status, answer, kind)

    def _body(self, stream: Any, length: int, operation: str) -> bytes:
        body: bytes = stream.read(length)
        return body

    def _arrived(self, operation: str, headers: dict[str, str]) -> None:
        """A request has been read; it may have to wait for others."""

    def _fault(self, operation: str) -> tuple[str, Fault | None]:
        for fault in self.faults:
            if fault.operation in ("", operation) and fault.met < fault.times:
                if fault.after > 0:
                    fault.after -= 1
                    continue
                fault.met += 1
                return fault.kind, fault
        return "", None

    @staticmethod
    def _reset(connection: socket.socket) -> bool:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        connection.close()
        return False

    def _send(self, connection: socket.socket, status: int, answer: bytes, kind: str) -> bool:
        crc = zlib.crc32(answer) ^ (kind == "crc")
        now = time.gmtime(self.spoken_time or time.time())
        date = time.strftime("%a, %d %b %Y %H:%M:%S GMT", now)
        head = f"HTTP/1.1 {status} Words\r\nx-amz-crc32: {crc}\r\nDate: {date}\r\n"
        if kind == "chunked":
            middle = len(answer) // 2
            pieces = [answer[:middle], answer[middle:]]
            chunks = b"".join(b"%x;more=1\r\n%s\r\n" % (len(piece), piece) for piece in pieces if piece)
            connection.sendall(
                f"{head}Transfer-Encoding: chunked\r\n\r\n".encode() + chunks + b"0\r\nTrailer: 1\r\n\r\n"
            )
            return True
        if kind == "until_close":
            connection.sendall(f"{head}\r\n".encode() + answer)
            return False
        whole = f"{head}Content-Length: {len(answer)}\r\n\r\n".encode() + answer
        connection.sendall(whole[: -max(1, len(answer) // 2)] if kind == "half" else whole)
        return kind != "half"

    def _answer(
        self, operation: str, body: bytes, headers: dict[str, str], kind: str, fault: Fault | None
    ) -> tuple[int, bytes]:
        key = headers["authorization"].split("Credential=")[1].split("/")[0]
        if kind == "expired" or key not in self.valid_keys:
            quoted = headers.get("x-amz-security-token", "")
            return refusal(
                "ExpiredTokenException", f"The security token included in the request is expired{quoted[:0]}"
            )
        if kind == "throttle":
            return refusal("ProvisionedThroughputExceededException", "The level of configured throughput was exceeded")
        if kind == "conflict":
            return refusal("ReplicatedWriteConflictException", "The item is being written in another Region")
        if kind == "missing":
            return refusal("ResourceNotFoundException", "Requested resource not found")
        if kind in ("500", "503"):
            return int(
                kind
            ), b'{"__type":"com.amazon.coral.service#InternalServerError"}' if kind == "500" else b"<html>"
        request = json.loads(body)
        try:
            answer = getattr(self, f"_{operation}")(request, body, fault if kind == "unprocessed" else None)
        except _Refused as refused:
            return refusal(*refused.args)
        return 200, answer

    def _table(self, name: str) -> FakeTable:
        if name not in self.tables:
            raise _Refused("ResourceNotFoundException", "Requested resource not found")
        return self.tables[name]

    def _consume(self, request: dict[str, Any], items: int) -> str:
        units = max(0.5, items * self.units_per_item)
        self.consumed.append((time.monotonic(), units))
        if request.get("ReturnConsumedCapacity") != "TOTAL":
            return ""
        return json.dumps({"TableName": request.get("TableName", ""), "CapacityUnits": units})

    def _DescribeTable(self, request: dict[str, Any], _body: bytes, _fault: Fault | None) -> bytes:
        table = self._table(request["TableName"])
        kinds = ["HASH", "RANGE"]
        told = {
            "TableName": request["TableName"],
            "TableId": table.table_id,
            "TableStatus": "ACTIVE",
            "ItemCount": len(table.items),
            "TableSizeBytes": sum(map(len, table.items.values())),
            "KeySchema": [
                {"AttributeName": name, "KeyType": kind} for (name, _), kind in zip(table.key, kinds, strict=False)
            ],
            "AttributeDefinitions": [{"AttributeName": name, "AttributeType": kind} for name, kind in table.key],
        }
        return json.dumps({"Table": told}).encode()

    def _Scan(self, request: dict[str, Any], _body: bytes, _fault: Fault | None) -> bytes:
        table = self._table(request["TableName"])
        segment, total = request["Segment"], request["TotalSegments"]
        rows = [
            (key, item)
            for key, item in [*table.items.items(), *table.extra_scanned]
            if zlib.crc32(repr(key).encode()) % total == segment
        ]
        start = 0
        if "ExclusiveStartKey" in request:
            start = int(request["ExclusiveStartKey"]["the server's own"]["N"])
        page = rows[start : start + min(self.page_items, request.get("Limit", self.page_items))]
        members = [f'"Count":{len(page)},"ScannedCount":{len(page)}'.encode()]
        if request.get("Select") != "COUNT":
            members.append(b'"Items":[' + b",".join(item for _, item in page) + b"]")
        if start + len(page) < len(rows):
            last = json.loads(page[-1][1])
            told = {name: last[name] for name, _ in table.key} | {"the server's own": {"N": str(start + len(page))}}
            members.append(b'"LastEvaluatedKey":' + json.dumps(told).encode())
        if consumed := self._consume(request, len(page)):
            members.append(b'"ConsumedCapacity":' + consumed.encode())
        return b"{" + b",".join(members) + b"}"

    def _BatchWriteItem(self, request: dict[str, Any], body: bytes, fault: Fault | None) -> bytes:
        self.bodies.append(body)
        ((name, entries),) = request["RequestItems"].items()
        table = self._table(name)
        slices = list(objects_in(body[body.index(b"[") :]))
        assert len(slices) == len(entries)
        keys = [
            table.key_of(entry["PutRequest"]["Item"] if "PutRequest" in entry else entry["DeleteRequest"]["Key"])
            for entry in entries
        ]
        if not 0 < len(entries) <= 25:
            raise _Refused("ValidationException", "Member must have length less than or equal to 25")
        if len(set(keys)) < len(keys):
            raise _Refused("ValidationException", "Provided list of item keys contains duplicates")
        if any(len(entry) > 400 * 1024 for entry in slices):
            raise _Refused("ValidationException", "Item size has exceeded the maximum allowed size")
        taken = sorted(zip(keys, slices, entries, strict=True), key=lambda each: self.hot(each[0]))
        slices = [entry for _key, entry, _told in taken]
        cold = sum(not self.hot(key) for key in keys)
        if not cold:
            raise _Refused("ProvisionedThroughputExceededException", "The level of configured throughput was exceeded")
        done = min(cold, max(0, len(entries) - fault.count) if fault else len(entries))
        for key, entry, told in taken[:done]:
            if "PutRequest" in told:
                table.items[key] = entry[len(b'{"PutRequest":{"Item":') : -2]
            else:
                table.items.pop(key, None)
        left = b'{"%s":[%s]}' % (name.encode(), b",".join(slices[done:])) if done < len(entries) else b"{}"
        consumed = self._consume(request, done)
        self.written.append(self.consumed[-1])
        return b'{"UnprocessedItems":%s%s}' % (left, f',"ConsumedCapacity":[{consumed}]'.encode() if consumed else b"")

    def _BatchGetItem(self, request: dict[str, Any], _body: bytes, fault: Fault | None) -> bytes:
        ((name, told),) = request["RequestItems"].items()
        table = self._table(name)
        assert told["ConsistentRead"] is True
        assert 0 < len(told["Keys"]) <= 100
        done = max(0, len(told["Keys"]) - fault.count) if fault else len(told["Keys"])
        wanted = [table.key_of(key) for key in told["Keys"][:done]]
        items = [table.items[key] for key in wanted if key in table.items]
        left = {name: {**told, "Keys": told["Keys"][done:]}} if done < len(told["Keys"]) else {}
        return b'{"Responses":{"%s":[%s]},"UnprocessedKeys":%s}' % (
            name.encode(),
            b",".join(items),
            json.dumps(left).encode(),
        )

    def _PutItem(self, request: dict[str, Any], _body: bytes, _fault: Fault | None) -> bytes:
        item = json.dumps(request["Item"], ensure_ascii=False, separators=(",", ":")).encode(errors="surrogatepass")
        return self._replace(request, request["Item"], item)

    def _DeleteItem(self, request: dict[str, Any], _body: bytes, _fault: Fault | None) -> bytes:
        return self._replace(request, request["Key"], None)

    def _replace(self, request: dict[str, Any], keyed: dict[str, Any], item: bytes | None) -> bytes:
        """What conditional writes do: values of attributes that are named have to be equal, or no item to be there."""
        table = self._table(request["TableName"])
        key = table.key_of(keyed)
        if self.hot(key):
            raise _Refused("ProvisionedThroughputExceededException", "The level of configured throughput was exceeded")
        old = table.items.get(key)
        values, names = request.get("ExpressionAttributeValues", {}), request["ExpressionAttributeNames"]
        there = json.loads(old) if old else {}
        wanted = {name: values.get(place.replace("#", ":")) for place, name in names.items()}
        if any(there.get(name) != value for name, value in wanted.items()):
            raise _Refused("ConditionalCheckFailedException", "The conditional request failed")
        if item is None:
            table.items.pop(key, None)
        else:
            table.items[key] = item
        return b'{"Attributes":%s}' % old if old else b"{}"


class _Refused(Exception):
    """A code and a message."""


def refusal(code: str, message: str) -> tuple[int, bytes]:
    """An error as DynamoDB sends it."""
    return 400, json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{code}", "message": message}).encode()


def objects_in(array: bytes) -> Iterator[bytes]:
    """The bytes of each object in the JSON array that ``array`` starts with."""
    depth = start = 0
    quoted = escaped = False
    for position, byte in enumerate(array):
        if quoted:
            quoted = byte != ord('"') or escaped
            escaped = byte == ord("\\") and not escaped
        elif byte == ord('"'):
            quoted = True
        elif byte in b"[{":
            depth += 1
            if depth == 2:
                start = position
        elif byte in b"]}":
            depth -= 1
            if depth == 1:
                yield array[start : position + 1]
            if depth == 0:
                return


@contextmanager
def serving() -> Iterator[FakeDynamo]:
    """A server, ended with the context."""
    server = FakeDynamo()
    try:
        yield server
    finally:
        server.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """Wait for a state that comes for certain; only a fault makes it a matter of time."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.005)
