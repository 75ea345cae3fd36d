# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Many requests under way at once: those that fail, connections that end, and an endpoint that stays silent."""

from __future__ import annotations

import socket
import time
from types import SimpleNamespace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    EndpointUnreachable,
    FerryError,
    MissingTable,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import (
    Call,
    Client,
    Endpoint,
    RetryPolicy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
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
    time.sleep(0.1)
    with pytest.raises(EndpointUnreachable):
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), lambda body: None)
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
