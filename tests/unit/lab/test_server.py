# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The HTTP server: connections, bodies, big and small."""

from __future__ import annotations

import http.client
import socket
import threading
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError


def connect(lab: Any) -> http.client.HTTPConnection:
    return http.client.HTTPConnection(lab.server.endpoint_url.removeprefix("http://"), timeout=10)


def raw(lab: Any, *pieces: bytes) -> bytes:
    """What the server answers to these bytes before it closes the connection."""
    with socket.create_connection(lab.server.server_address, timeout=10) as connection:
        for piece in pieces:
            connection.sendall(piece)
        answer = b""
        while data := connection.recv(65536):
            answer += data
        return answer


def test_listens_on_loopback_only(gate_lab: Any) -> None:
    assert gate_lab.server.server_address[0] == "127.0.0.1"


def test_connections_stay_open(gate_lab: Any) -> None:
    connection = connect(gate_lab)
    for _ in range(3):
        connection.request("GET", "/_lab/clock")
        assert connection.getresponse().read()
        first = connection.sock
        assert first is not None
    connection.request("GET", "/_lab/clock")
    connection.getresponse().read()
    assert connection.sock is first


def test_every_answer_is_dated(gate_lab: Any) -> None:
    """In the time by which clients date their requests, so that none of them believes that its clock is off."""
    clock = gate_lab.world.clock
    gate_lab.world.advance(7200)

    def calls() -> Iterator[dict[str, Any]]:
        yield gate_lab.client("dynamodb").describe_table(TableName="orders")
        yield gate_lab.client("dynamodb").scan(TableName="orders")
        yield gate_lab.client("sts").get_caller_identity()
        yield gate_lab.client("s3").list_buckets()
        gate_lab.world.faults.add(kind="error")
        for _ in range(2):
            with pytest.raises(ClientError) as failure:
                gate_lab.client("dynamodb").describe_table(TableName="missing")
            yield failure.value.response  # type: ignore[misc]

    for answer in calls():
        date = answer["ResponseMetadata"]["HTTPHeaders"]["date"]
        assert date.endswith(" GMT")
        assert abs(parsedate_to_datetime(date).timestamp() - clock.real_now()) < 60


def test_answers_name_the_server(gate_lab: Any) -> None:
    def server(answer: dict[str, Any]) -> str | None:
        headers: dict[str, str] = answer["ResponseMetadata"]["HTTPHeaders"]
        return headers.get("server")

    assert server(gate_lab.client("dynamodb").describe_table(TableName="orders")) == "Server"
    assert server(gate_lab.client("s3").list_buckets()) == "AmazonS3"
    assert server(gate_lab.client("sts").get_caller_identity()) is None


def test_connection_closes_when_asked(gate_lab: Any) -> None:
    answer = raw(gate_lab, b"GET /_lab/clock HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n") and b"Connection: close" in answer
    assert raw(gate_lab, b"GET /_lab/clock HTTP/1.0\r\n\r\n").startswith(b"HTTP/1.1 200 OK")


def test_pipelined_requests(gate_lab: Any) -> None:
    one = b"GET /_lab/clock HTTP/1.1\r\nHost: x\r\n\r\n"
    assert raw(gate_lab, one + one + one.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")).count(b"200 OK") == 3


@pytest.mark.parametrize("garbage", [b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nnocolon\r\n\r\n",
                                     b"PUT / HTTP/1.1\r\nContent-Length: many\r\n\r\n"])  # fmt: skip
def test_garbage_is_refused(gate_lab: Any, garbage: bytes) -> None:
    assert raw(gate_lab, garbage).startswith(b"HTTP/1.1 400 ")


def test_chunked_body(gate_lab: Any) -> None:
    head = b"POST /_lab/timings HTTP/1.1\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n"
    answer = raw(gate_lab, head, b'8\r\n{"export\r\n', b'b;x=y\r\n.full": 1.5\r\n1\r\n}\r\n0\r\nTrailer: x\r\n\r\n')
    assert b"200 OK" in answer
    assert gate_lab.world.timings.seconds("export.full") == 1.5


def test_expect_continue(gate_lab: Any) -> None:
    with socket.create_connection(gate_lab.server.server_address, timeout=10) as connection:
        head = b"POST /_lab/quotas HTTP/1.1\r\nExpect: 100-continue\r\nContent-Length: 19\r\nConnection: close\r\n\r\n"
        connection.sendall(head)
        assert connection.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        connection.sendall(b'{"enforced": false}')
        assert connection.recv(1000).startswith(b"HTTP/1.1 200 OK")
    assert gate_lab.world.quotas is False


def test_big_bodies(gate_lab: Any) -> None:
    body = bytes(range(256)) * 65536
    objects = gate_lab.client("s3")
    objects.put_object(Bucket="staging", Key="big", Body=body)
    assert gate_lab.objects.asked[-1][1].body == body


def test_streamed_answers(gate_lab: Any) -> None:
    body = gate_lab.client("s3").get_object(Bucket="staging", Key="streamed")["Body"].read()
    assert body == b"a" * 70000 + b"b"


def test_head_has_no_body(gate_lab: Any) -> None:
    objects = gate_lab.client("s3")
    for _ in range(2):
        assert objects.head_object(Bucket="staging", Key="a")["ETag"] == '"0"'


def test_many_clients_at_once(gate_lab: Any) -> None:
    failures: list[Exception] = []

    def work() -> None:
        try:
            connection = connect(gate_lab)
            for _ in range(20):
                connection.request("GET", "/_lab/clock")
                response = connection.getresponse()
                assert (response.status, bool(response.read())) == (200, True)
        except Exception as failure:
            failures.append(failure)

    threads = [threading.Thread(target=work) for _ in range(40)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []


def test_dropped_connection(gate_lab: Any) -> None:
    gate_lab.world.faults.add(operation="dynamodb.DescribeTable", kind="disconnect")
    tables = gate_lab.client("dynamodb")
    with pytest.raises(ConnectionClosedError):
        tables.describe_table(TableName="orders")
    assert gate_lab.tables.asked == []
    tables.describe_table(TableName="orders")


def test_fault_of_the_lab_is_an_internal_error(gate_lab: Any, refused: Any, capsys: pytest.CaptureFixture[str]) -> None:
    described = refused(gate_lab.client("dynamodb").describe_table, TableName="broken")
    assert described == ("InternalServerError", 500)
    assert "a fault of the lab" in capsys.readouterr().err


def test_close_ends_open_connections(gate_lab: Any) -> None:
    connection = connect(gate_lab)
    connection.request("GET", "/_lab/clock")
    connection.getresponse().read()
    gate_lab.server.close()
    with pytest.raises((ConnectionError, http.client.RemoteDisconnected)):
        connection.request("GET", "/_lab/clock")
        connection.getresponse()
        connect(gate_lab).request("GET", "/_lab/clock")
