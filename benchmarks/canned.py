# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A DynamoDB of canned answers on loopback: so light that what is measured is its client.

A table's name says what it holds: ``source-1000-50000`` is 50,000 items of 1,000 bytes (``benchmarks.items``), made up
while they are scanned; ``reordered-1000-50000`` holds the same, attributes in another order, and each full page of
``repeated-1000-50000`` has the same items, made up once: it costs no more than to send it. ``made-1000-50000`` is not
there before it is made by CreateTable, keeps its tags, and counts what was written into it. What is written is counted
by table and time, and forgotten. It knows DescribeTable, Scan (with segments, limits and pages of 1 MB, as AWS),
BatchGetItem and BatchWriteItem, and reports consumed capacity when asked.

``python -m benchmarks.canned CERTIFICATE KEY [DELAY [CORES]]`` prints its port and the port that speaks TLS. With a
delay, the seconds of a round trip, a connection is made and each request answered after so long; TLS takes one more to
begin. It runs on ``CORES`` (``2,3``) alone where they are given.
"""

from __future__ import annotations

import json
import math
import os
import re
import selectors
import socket
import ssl
import sys
import threading
import time
import uuid
import zlib
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from benchmarks.items import ATTRIBUTE_DEFINITIONS, KEY_SCHEMA, number_of, numbered

PAGE_BYTES = 1024 * 1024
READ_UNIT, WRITE_UNIT = 4096, 1024
READ_BYTES = 128 * 1024
_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)

REGION, ACCOUNT = "eu-west-1", "111111111111"
ARN = f"arn:aws:dynamodb:{REGION}:{ACCOUNT}:table/"
ERROR = b'{"__type":"com.amazonaws.dynamodb.v20120810#%s","message":"%s"}'

_writes: dict[str, list[tuple[float, int]]] = defaultdict(list)
_tags: dict[str, dict[str, str]] = {}  # of the tables that were made


@dataclass(frozen=True)
class Repeated:
    """An answer whose begin, with its CRC, was sent before."""

    begin: bytes
    crc: int
    rest: bytes = b""

    def __bytes__(self) -> bytes:
        return self.begin + self.rest


def shape(table: str) -> tuple[int, int]:
    """Item size in bytes and number of items, by the table's name."""
    _, item_bytes, items, *_ = table.split("-")
    return int(item_bytes), int(items)


def scan(request: dict[str, Any]) -> bytes | Repeated:
    """The page of items that AWS would answer with."""
    item_bytes, items = shape(request["TableName"])
    if request["TableName"] in _tags:
        count = sum(written for _at, written in list(_writes[request["TableName"]]))
        whole = request.get("Segment", 0) == 0  # what it got was forgotten: it can be counted
        return b'{"Count":%d,"ScannedCount":%d}' % (count * whole, count * whole)
    segment, segments = request.get("Segment", 0), request.get("TotalSegments", 1)
    first, end = items * segment // segments, items * (segment + 1) // segments
    if "ExclusiveStartKey" in request:
        first = number_of(request["ExclusiveStartKey"]) + 1
    last = min(end, first + min(request.get("Limit", PAGE_BYTES), max(1, PAGE_BYTES // item_bytes)))
    count = max(0, last - first)
    parts, repeated = [], None
    if request.get("Select") != "COUNT" and request["TableName"].startswith("repeated"):
        repeated = _page(request["TableName"], count)
    elif request.get("Select") != "COUNT":
        parts.append(b'"Items":[' + _items(request["TableName"], range(first, last)) + b"]")
    parts.append(b'"Count":%d,"ScannedCount":%d' % (count, count))
    if request.get("ReturnConsumedCapacity", "NONE") != "NONE":
        units = math.ceil(count * item_bytes / READ_UNIT) / (1 if request.get("ConsistentRead") else 2)
        parts.append(b'"ConsumedCapacity":' + _capacity(request["TableName"], units))
    if last < end:
        key = {"customer": {"S": f"customer#{last - 1:08d}"}, "order": {"S": f"order#{last - 1:08d}"}}
        parts.append(b'"LastEvaluatedKey":' + json.dumps(key).encode())
    rest = b",".join(parts) + b"}"
    return b"{" + rest if repeated is None else replace(repeated, rest=rest)


def batch_get_item(request: dict[str, Any]) -> bytes:
    """The items of the keys that a table holds."""
    responses = []
    for table, keys in request["RequestItems"].items():
        held = (number for number in map(number_of, keys["Keys"]) if number < shape(table)[1])
        responses.append(b'"%s":[%s]' % (table.encode(), _items(table, held)))
    return b'{"Responses":{%s},"UnprocessedKeys":{}}' % b",".join(responses)


def batch_write_item(body: bytes) -> bytes:
    """Everything was processed. The body is not parsed: its items are only counted."""
    start = body.index(b"{", body.index(b'"RequestItems"')) + 1
    table = body[start : body.index(b":", start)].strip().strip(b'"').decode()
    count = body.count(b'"PutRequest"')
    _writes[table].append((time.monotonic(), count))
    answer = b'{"UnprocessedItems":{}'
    asked = body[-64:]  # where all clients ask for what was consumed, if they do
    if b'"ReturnConsumedCapacity"' in asked and b'"NONE"' not in asked:
        units = count * math.ceil(shape(table)[0] / WRITE_UNIT)
        answer += b',"ConsumedCapacity":[' + _capacity(table, units, by_part=b'"INDEXES"' in asked) + b"]"
    return answer + b"}"


def describe_table(request: dict[str, Any]) -> bytes:
    """An active table on demand."""
    item_bytes, items = shape(request["TableName"])
    table = {
        "TableName": request["TableName"],
        "TableId": str(uuid.uuid5(uuid.NAMESPACE_URL, request["TableName"])),
        "TableArn": ARN + request["TableName"],
        "TableStatus": "ACTIVE",
        "CreationDateTime": 1767225600.0,
        "KeySchema": KEY_SCHEMA,
        "AttributeDefinitions": ATTRIBUTE_DEFINITIONS,
        "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
        "ProvisionedThroughput": {"NumberOfDecreasesToday": 0, "ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
        "ItemCount": items,
        "TableSizeBytes": items * item_bytes,
    }
    return json.dumps({"Table": table}).encode()


def create_table(request: dict[str, Any]) -> bytes:
    """A table that is about to be active: the next look finds it so."""
    _tags[request["TableName"]] = {tag["Key"]: tag["Value"] for tag in request.get("Tags", ())}
    table = json.loads(describe_table(request))["Table"]
    return json.dumps({"TableDescription": {**table, "TableStatus": "CREATING"}}).encode()


def tag_resource(request: dict[str, Any]) -> bytes:
    """Nothing, as AWS."""
    tags = {tag["Key"]: tag["Value"] for tag in request["Tags"]}
    _tags.setdefault(request["ResourceArn"].removeprefix(ARN), {}).update(tags)
    return b"{}"


def list_tags(request: dict[str, Any]) -> bytes:
    """The tags that a table got."""
    tags = _tags.get(request["ResourceArn"].removeprefix(ARN), {})
    return json.dumps({"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}).encode()


@lru_cache(4)
def _page(table: str, count: int) -> Repeated:
    items = b'{"Items":[' + _items(table, range(count)) + b"],"
    return Repeated(items, zlib.crc32(items))


def _items(table: str, numbers: Iterable[int]) -> bytes:
    item_bytes, reordered = shape(table)[0], table.startswith("reordered")
    return b",".join(numbered(number, item_bytes, reordered) for number in numbers)


def _capacity(table: str, units: float, by_part: bool = False) -> bytes:
    """What was consumed, with ``by_part`` that of the table beside its indexes, as a client asks for by INDEXES."""
    part = {"Table": {"CapacityUnits": units}} if by_part else {}
    return json.dumps({"TableName": table, "CapacityUnits": units, **part}).encode()


def answer(head: bytes, body: bytes) -> bytes | Repeated:
    """What one request gets: an error begins with its type."""
    if head.startswith(b"GET /writes/"):
        return json.dumps(_writes[head.split(b" ", 2)[1].removeprefix(b"/writes/").decode()]).encode()
    if b"DynamoDB_20120810.BatchWriteItem" in head:
        return batch_write_item(body)
    if b"DynamoDB_20120810.Scan" in head:
        return scan(json.loads(body))
    if b"DynamoDB_20120810.DescribeTable" in head:
        request = json.loads(body)
        if request["TableName"].startswith("made-") and request["TableName"] not in _tags:
            return ERROR % (b"ResourceNotFoundException", b"Requested resource not found")
        return describe_table(request)
    if b"DynamoDB_20120810.BatchGetItem" in head:
        return batch_get_item(json.loads(body))
    if b"DynamoDB_20120810.CreateTable" in head:
        return create_table(json.loads(body))
    if b"DynamoDB_20120810.TagResource" in head:
        return tag_resource(json.loads(body))
    if b"DynamoDB_20120810.ListTagsOfResource" in head:
        return list_tags(json.loads(body))
    return ERROR % (b"UnknownOperationException", b"")


def response(head: bytes, body: bytes) -> bytes:
    """The whole answer to one request."""
    answered = answer(head, body)
    begin, rest, crc = (
        (answered.begin, answered.rest, answered.crc) if isinstance(answered, Repeated) else (b"", answered, 0)
    )
    return (
        b"HTTP/1.1 %s\r\nContent-Type: application/x-amz-json-1.0\r\nx-amzn-RequestId: CANNED\r\n"
        b"x-amz-crc32: %d\r\nContent-Length: %d\r\n\r\n%s%s"
    ) % (
        b"400 Bad Request" if rest.startswith(b'{"__type"') else b"200 OK",
        zlib.crc32(rest, crc),
        len(begin) + len(rest),
        begin,
        rest,
    )


def converse(connection: socket.socket, delay: float) -> None:
    """Answer one connection until it ends, each request after ``delay`` seconds."""
    try:
        for head, body in requests(connection):
            time.sleep(delay)
            connection.sendall(response(head, body))
    except OSError:
        pass  # the client hung up
    finally:
        connection.close()


def requests(connection: socket.socket) -> Iterator[tuple[bytes, bytes]]:
    """Head and body of each request of a connection."""
    got = b""
    while True:
        while (end := got.find(b"\r\n\r\n")) < 0:
            more = connection.recv(READ_BYTES)
            if not more:
                return
            got += more
        head, parts = got[:end], [got[end + 4 :]]
        length = _LENGTH.search(head)
        left = (int(length[1]) if length else 0) - len(parts[0])
        while left > 0:
            parts.append(connection.recv(READ_BYTES))
            if not parts[-1]:
                return
            left -= len(parts[-1])
        body = b"".join(parts)
        got = body[len(body) + left :] if left else b""
        yield head, body[: len(body) + left] if left else body


def listen(secure: Callable[[socket.socket], socket.socket], delay: float = 0.0, trips: int = 1) -> int:
    """Accept connections on a free port of loopback, each in a thread and after ``trips`` delays; return the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)

    def attend(connection: socket.socket) -> None:
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            time.sleep(delay * trips)
            converse(secure(connection), delay)
        except ssl.SSLError as refused:
            print(f"TLS: {refused}", file=sys.stderr)

    def accept() -> None:
        while True:
            threading.Thread(target=attend, args=(listener.accept()[0],), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


class Visitor:
    """A connection of ``listen_alone``: what has come of its request, and what is to be sent of the answer."""

    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 2 * PAGE_BYTES)  # a page goes out in one call
        self.connection = connection
        self.unsent = memoryview(b"")
        self._got = b""
        self._whole = 0  # bytes of the request with its body, 0 until its head has come

    def hear(self) -> bool:
        """Take in what has come, and answer; False when it hung up."""
        more = self.connection.recv(READ_BYTES)
        self._got += more
        self.go_on()
        return bool(more)

    def go_on(self) -> None:
        """Send what can be sent, and answer requests that have come whole."""
        while True:
            if self.unsent:
                try:
                    self.unsent = self.unsent[self.connection.send(self.unsent) :]
                except BlockingIOError:
                    return
                continue
            end = 0 if self._whole else self._got.find(b"\r\n\r\n")
            if end < 0:
                return
            if not self._whole:
                length = _LENGTH.search(self._got, 0, end)
                self._head = end
                self._whole = end + 4 + (int(length[1]) if length else 0)
            if len(self._got) < self._whole:
                return
            request, self._got = self._got[: self._whole], self._got[self._whole :]
            self._whole = 0
            self.unsent = memoryview(response(request[: self._head], request[self._head + 4 :]))


def listen_alone() -> int:
    """Accept connections on a free port of loopback and answer all in one thread, which costs less; return the port."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=128)
    selector = selectors.DefaultSelector()
    selector.register(listener, selectors.EVENT_READ)

    def attend() -> None:
        while True:
            for key, events in selector.select():
                visitor = key.data
                if visitor is None:
                    connection = listener.accept()[0]
                    selector.register(connection, selectors.EVENT_READ, Visitor(connection))
                    continue
                try:
                    there = True
                    if events & selectors.EVENT_WRITE:
                        visitor.go_on()
                    else:
                        there = visitor.hear()
                except OSError:
                    there = False
                if not there:
                    selector.unregister(visitor.connection)
                    visitor.connection.close()
                    continue
                wants = selectors.EVENT_WRITE if visitor.unsent else selectors.EVENT_READ
                if wants != key.events:
                    selector.modify(visitor.connection, wants, visitor)

    threading.Thread(target=attend, daemon=True).start()
    port: int = listener.getsockname()[1]
    return port


def main() -> None:
    """Serve until standard input ends."""
    certificate, key, delay_text, cores, *_ = [*sys.argv[1:], "", ""]
    delay = float(delay_text or 0)
    if cores:
        os.sched_setaffinity(0, set(map(int, cores.split(","))))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    ports = {
        "http": listen(lambda connection: connection, delay) if delay else listen_alone(),
        "tls": listen(lambda connection: context.wrap_socket(connection, server_side=True), delay, 2),
    }
    print(json.dumps(ports), flush=True)
    sys.stdin.read()


if __name__ == "__main__":
    main()
