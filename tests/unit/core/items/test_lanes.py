# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many requests under way at once: those that fail, connections that end, and an endpoint that stays silent."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from types import SimpleNamespace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    EndpointUnreachable,
    FerryError,
    MissingTable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import lanes as lanes_module
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import network_route
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import transport as transport_module
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import (
    Call,
    Client,
    Endpoint,
    RetryPolicy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.network_route import NetworkRoute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transport import Connection
from tests.unit.core.items.fake_dynamo import HASTY, REGION, SECRET

DESCRIBE = b'{"TableName":"orders"}'


def test_many_calls_that_meet_the_end_of_credentials_ask_once(dynamo):
    dynamo.make("orders")
    given = ["AKIAOLD", "AKIAFAKE"]
    endpoint = Endpoint(
        dynamo.url, REGION, lambda: SimpleNamespace(access_key=given.pop(0), secret_key=SECRET, session_token="")
    )
    client, lanes, heard = Client(endpoint, HASTY), Lanes(), []
    for _ in range(10):
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    while len(heard) < 10:
        lanes.turn(1.0)
    lanes.close()
    assert not given


def test_lanes_keep_many_calls_under_way(dynamo):
    dynamo.make("orders")
    dynamo.latency = 0.05
    client, lanes, heard = Client(dynamo.endpoint(), HASTY), Lanes(), []
    for _ in range(20):
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    assert dynamo.connections <= 20
    while len(heard) < 20:
        lanes.turn(1.0)
    for _ in range(20):
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    while len(heard) < 40:
        lanes.turn(1.0)
    lanes.close()
    assert dynamo.connections == 20


def test_many_calls_to_an_endpoint_that_is_not_there_are_patient_together():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    keys = SimpleNamespace(access_key="A", secret_key=SECRET, session_token="")
    client = Client(Endpoint(f"http://127.0.0.1:{port}", REGION, lambda: keys), RetryPolicy(60.0, 60.0, 1000.0, 0.05))
    lanes = Lanes()
    lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), lambda body: None)
    lanes.turn(1.0)
    time.sleep(0.1)
    lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), lambda body: None)
    with pytest.raises(EndpointUnreachable):
        lanes.turn(1.0)
    lanes.close()


def test_lanes_tell_failures_to_who_asked(dynamo):
    client, lanes, told = Client(dynamo.endpoint(), HASTY), Lanes(), []
    lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), lambda body: None, told.append)
    while not told:
        lanes.turn(1.0)
    assert isinstance(told[0], MissingTable)
    lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), lambda body: None)
    with pytest.raises(FerryError):
        lanes.turn(5.0)
    lanes.close()


def test_lanes_forget_a_connection_that_the_server_closed(dynamo):
    dynamo.make("orders")
    client, lanes, heard = Client(dynamo.endpoint(), HASTY), Lanes(), []
    lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    while not heard:
        lanes.turn(1.0)
    for connection in list(dynamo._open):
        connection.shutdown(socket.SHUT_RDWR)
    lanes.turn(1.0)
    lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    while len(heard) < 2:
        lanes.turn(1.0)
    lanes.close()
    assert (dynamo.connections, client.retries.broken) == (2, 0)


def test_g1_connections_that_are_reset_together_cost_no_call(dynamo):
    """A call whose connection is gone takes a kept one, of which the same look says that it is gone too."""
    dynamo.make("orders")
    client, lanes, heard = Client(dynamo.endpoint(), HASTY), Lanes(), []
    for _ in range(20):
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    while len(heard) < 20:
        lanes.turn(1.0)

    def ends(_operation: str) -> None:
        raise ConnectionResetError

    dynamo.before = ends
    for _ in range(10):
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    while dynamo.visitors > 10:
        time.sleep(0.001)
    dynamo.reset_all()
    while dynamo.visitors:
        time.sleep(0.001)
    dynamo.before = lambda operation: None
    while len(heard) < 30:
        lanes.turn(1.0)
    lanes.close()


class Clock:
    """A time that stands still."""

    gmtime, strftime = staticmethod(time.gmtime), staticmethod(time.strftime)

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        """The time."""
        return self.now


def test_g13_an_answer_that_still_flows_is_waited_for(monkeypatch):
    clock = Clock()
    for module in (lanes_module, transport_module):
        monkeypatch.setattr(module, "time", clock)
    with socket.create_server(("127.0.0.1", 0)) as listener:
        client, lanes, heard = Client(endpoint_at(listener), HASTY), Lanes(), []
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
        lanes.turn(1.0)
        connection = listener.accept()[0]
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        for piece in (b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\n", b"a", b"b", b"c", b"d"):
            clock.now += transport_module.ANSWER_SECONDS - 1
            assert not heard
            connection.sendall(piece)
            lanes.turn(5.0)
        assert (heard, client.retries.broken) == ([b"abcd"], 0)
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
        clock.now += transport_module.ANSWER_SECONDS + 1
        lanes.turn(0.0)
        assert client.retries.broken == 1
        lanes.close()
        connection.close()


def endpoint_at(listener: socket.socket, scheme: str = "http", **more: str) -> Endpoint:
    keys = SimpleNamespace(access_key="A", secret_key=SECRET, session_token="")
    return Endpoint(f"{scheme}://localhost:{listener.getsockname()[1]}", REGION, lambda: keys, **more)


def test_g4_connections_are_made_side_by_side(monkeypatch, certificate):
    """The server shakes hands with nobody before all have come."""
    monkeypatch.setenv("NO_PROXY", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def serve(listener: socket.socket) -> None:
        waiting = [listener.accept()[0] for _ in range(20)]
        for each in waiting:
            with context.wrap_socket(each, server_side=True) as secure:
                secure.recv(65536)
                secure.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("localhost", 0), backlog=20) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        endpoint = endpoint_at(listener, "https", ca_bundle=str(certificate[0]))
        client, lanes, heard = Client(endpoint, HASTY), Lanes(), []
        for _ in range(20):
            lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
        while len(heard) < 20:
            lanes.turn(1.0)
        lanes.close()
        thread.join()
    assert client.retries.broken == 0


def test_connections_are_made_before_the_calls_come(dynamo):
    dynamo.make("orders")
    client, lanes, heard = Client(dynamo.endpoint(), HASTY), Lanes(), []
    lanes.prepare(client, 8)
    lanes.prepare(client, 5)  # there are more than so many
    for _ in range(12):
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    lanes.prepare(client, 12)
    while len(heard) < 12:
        lanes.turn(1.0)
    lanes.prepare(client, 12)
    lanes.close()
    assert dynamo.connections == 12


def test_a_connection_made_ahead_that_fails_is_not_made_again():
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    keys = SimpleNamespace(access_key="A", secret_key=SECRET, session_token="")
    client, lanes = Client(Endpoint(f"http://127.0.0.1:{port}", REGION, lambda: keys), HASTY), Lanes()
    for _ in range(3):
        lanes.prepare(client, 4)
        lanes.turn(0.1)
    assert (lanes._made[client], client.retries.broken) == (0, 0)
    lanes.close()


def test_a_connection_made_ahead_that_stays_silent_is_given_up(monkeypatch, certificate):
    monkeypatch.setenv("NO_PROXY", "localhost")
    clock = Clock()
    for module in (lanes_module, transport_module):
        monkeypatch.setattr(module, "time", clock)
    with socket.create_server(("localhost", 0)) as listener:
        endpoint = endpoint_at(listener, "https", ca_bundle=str(certificate[0]))
        client, lanes = Client(endpoint, HASTY), Lanes()
        lanes.prepare(client, 3)
        lanes.turn(1.0)
        clock.now += network_route.CONNECT_SECONDS + 1
        lanes.turn(0.0)
        assert lanes._made[client] == 0
        lanes.close()
    assert client.retries.broken == 0


def test_a_connection_that_is_never_made_is_given_up(monkeypatch, certificate):
    monkeypatch.setenv("NO_PROXY", "localhost")
    clock = Clock()
    for module in (lanes_module, transport_module):
        monkeypatch.setattr(module, "time", clock)
    with socket.create_server(("localhost", 0)) as listener:
        endpoint = endpoint_at(listener, "https", ca_bundle=str(certificate[0]))
        client, lanes = Client(endpoint, HASTY), Lanes()
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), lambda body: None)
        lanes.turn(1.0)
        clock.now += network_route.CONNECT_SECONDS + 1
        lanes.turn(0.0)
        lanes.close()
    assert client.retries.broken == 1


def test_addresses_that_fail_are_tried_last(monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    with socket.create_server(("127.0.0.2", port)):
        found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in ("127.0.0.1", "127.0.0.2")]
        monkeypatch.setattr(network_route.socket, "getaddrinfo", lambda *_args, **_more: found)
        route = NetworkRoute("dynamodb", port)
        with pytest.raises(ConnectionRefusedError):
            Connection(route, waiting=True)
        Connection(route, waiting=True).close()


@pytest.mark.parametrize(("seconds", "first"), [(0.0, "127.0.0.1"), (network_route.CONNECT_SECONDS, "127.0.0.2")])
def test_an_address_has_not_failed_where_its_connection_is_no_longer_needed(monkeypatch, seconds, first):
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, 443)) for address in ("127.0.0.1", "127.0.0.2")]
    monkeypatch.setattr(network_route.socket, "getaddrinfo", lambda *_args, **_more: found)
    clock = Clock()
    monkeypatch.setattr(network_route, "time", clock)
    route = NetworkRoute("dynamodb", 443)
    here, there = socket.socketpair()
    with there:
        opening = network_route.Opening(route, here, route.addresses.of("dynamodb", 443)[0])
        clock.now += seconds
        opening.close()
    assert route.addresses.of("dynamodb", 443)[0][1][0] == first


def test_lanes_give_up_a_connection_that_stays_silent(dynamo, monkeypatch):
    module = "ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes"
    monkeypatch.setattr(f"{module}.ANSWER_SECONDS", 0.05)
    monkeypatch.setattr(f"{module}.LOOK_SECONDS", 0.05)
    dynamo.make("orders")
    slow = [0.5, 0.0]
    dynamo.before = lambda operation: time.sleep(slow.pop(0))
    client, lanes, heard = Client(dynamo.endpoint(), HASTY), Lanes(), []
    lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    slow += [0.0] * 50
    while not heard:
        lanes.turn(0.05)
    lanes.close()
    assert client.retries.broken >= 1
