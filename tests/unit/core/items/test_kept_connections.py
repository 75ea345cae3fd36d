# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Connections between two pieces of work: who gets them next, and which are too old or closed."""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import ClassVar

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import MissingTable, TableVanished
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import kept_connections
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Call, Client, Endpoint
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.copying import CopyOptions, copy_items
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.descriptions import (
    find_tables,
    require_unchanged,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.kept_connections import KEPT
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.network_route import NetworkRoute
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import OwnWork, Pause, Steps, WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.waiter import Waiter
from tests.unit.core.items.fake_dynamo import HASTY, REGION, SECRET, TOKEN, wait_until
from tests.unit.core.items.strategies import to_bytes


class StopWaiting(Exception):
    """What the look of a waiter raises here."""


class Endless(OwnWork):
    """A job that only waits."""

    noun: ClassVar[str] = "copy"
    plural: ClassVar[str] = "copies"

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        while True:
            yield Pause(item.job, "time", 1.0)


DESCRIBE = b'{"TableName":"orders"}'


def described(client: Client) -> bytes:
    try:
        return client.call("DescribeTable", DESCRIBE, "orders")
    finally:
        client.close()


def test_clients_of_one_endpoint_share_a_connection_whoever_signs(dynamo):
    dynamo.make("orders")
    dynamo.valid_keys.add("AKIAOTHER")
    for key in ("AKIAFAKE", "AKIAOTHER", "AKIAFAKE"):
        described(Client(dynamo.endpoint(access_key=key), HASTY))
    assert dynamo.connections == 1


def test_one_that_the_server_closed_is_not_given_again(dynamo):
    dynamo.make("orders")
    described(Client(dynamo.endpoint(), HASTY))
    dynamo.reset_all()
    while dynamo.visitors:
        time.sleep(0.001)
    client = Client(dynamo.endpoint(), HASTY)
    described(client)
    assert (dynamo.connections, client.retries.broken) == (2, 0)


def test_one_that_is_old_is_closed(dynamo, monkeypatch):
    dynamo.make("orders")
    described(Client(dynamo.endpoint(), HASTY))
    monkeypatch.setattr(kept_connections, "IDLE_SECONDS", -1.0)
    described(Client(dynamo.endpoint(), HASTY))
    assert dynamo.connections == 2
    assert KEPT.take(NetworkRoute("127.0.0.1", dynamo.port), waiting=True) is None


@pytest.fixture
def later(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock."""
    real, moved = time.monotonic, [0.0]
    monkeypatch.setattr(time, "monotonic", lambda: real() + moved[0])

    def move(seconds: float) -> None:
        moved[0] += seconds

    return move


def test_those_that_are_not_needed_are_closed_while_others_work(dynamo, later):
    """They stayed open until somebody took or kept one."""
    dynamo.make("orders")
    lanes, heard = Lanes(), []
    lanes.submit(Client(dynamo.endpoint(), HASTY), Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    described(Client(dynamo.endpoint(), HASTY))
    while not heard:
        lanes.turn(1.0)
    assert dynamo.visitors == 2
    later(kept_connections.IDLE_SECONDS / 2)
    lanes.turn(0.0)
    assert len(KEPT._kept) == 1
    later(kept_connections.IDLE_SECONDS / 2)
    lanes.turn(0.0)
    assert not KEPT._kept
    wait_until(lambda: dynamo.visitors == 1)
    lanes.close()


def test_those_that_are_not_needed_are_closed_while_the_waiter_waits_for_aws(dynamo, later):
    """No work on items goes on then."""
    dynamo.make("orders")
    described(Client(dynamo.endpoint(), HASTY))
    kept: list[int] = []

    def look() -> None:
        kept.append(len(KEPT._kept))
        if len(kept) == 3:
            raise StopWaiting
        later(kept_connections.IDLE_SECONDS / 2)

    job = Job("copied by AWS", "orders", "running")
    account = Account(AccountSpec("source", REGION, access_key="a", secret_key="b", account_id="111111111111"))
    with pytest.raises(StopWaiting):
        Waiter({job.kind: Endless()}, sleep=lambda _seconds: None, look=look).wait(
            [WaitItem("orders", account, account, job)], 1e6
        )
    assert kept == [1, 1, 0]
    wait_until(lambda: dynamo.visitors == 0)


def test_no_more_are_kept_than_so_many(dynamo, monkeypatch):
    monkeypatch.setattr(kept_connections, "MOST_KEPT", 3)
    dynamo.make("orders")
    lanes, heard = Lanes(), []
    client = Client(dynamo.endpoint(), HASTY)
    for _ in range(5):
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
    while len(heard) < 5:
        lanes.turn(1.0)
    lanes.close()
    route = NetworkRoute("127.0.0.1", dynamo.port)
    taken = [KEPT.take(route, waiting=False) for _ in range(4)]
    assert [each is not None for each in taken] == [True, True, True, False]
    for each in taken[:3]:
        each.close()


def test_a_fork_uses_none_of_its_parents(dynamo):
    dynamo.make("orders")
    described(Client(dynamo.endpoint(), HASTY))
    child = os.fork()
    if not child:
        taken = KEPT.take(NetworkRoute("127.0.0.1", dynamo.port), waiting=True)
        os._exit(0 if taken is None else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    described(Client(dynamo.endpoint(), HASTY))
    assert dynamo.connections == 1


def test_tables_are_described_side_by_side_and_the_first_failure_is_raised(dynamo):
    dynamo.make("orders")
    both = threading.Barrier(2, timeout=60)
    dynamo._arrived = lambda operation, headers: both.wait()
    here, there = find_tables([(dynamo.endpoint(), "orders"), (dynamo.endpoint("destination"), "orders")], HASTY)
    assert (here.name, here.endpoint.side, there.endpoint.side) == ("orders", "source", "destination")
    with pytest.raises(MissingTable, match="source"):
        find_tables([(dynamo.endpoint(), "gone"), (dynamo.endpoint("destination"), "gone")], HASTY)
    dynamo.make("orders")
    with pytest.raises(TableVanished, match="source account was deleted and created again"):
        require_unchanged((here, there), HASTY)
    dynamo.tables.clear()
    with pytest.raises(TableVanished, match="source account was deleted"):
        require_unchanged((here, there), HASTY)


@pytest.mark.parametrize("items", [0, 1, 100])
def test_small_tables_need_few_connections(dynamo, items):
    """100 tables of 100 items once made 74 connections each."""
    dynamo.page_items = 1000
    for number in range(10):
        values = [to_bytes({"id": {"S": f"{number} {item}"}}) for item in range(items)]
        dynamo.make(f"orders{number}").put(*values)
        dynamo.make(f"copy{number}")
        tables = ((dynamo.endpoint(), f"orders{number}"), (dynamo.endpoint("destination"), f"copy{number}"))
        here, there = find_tables(tables, HASTY)
        copy_items(here, there, CopyOptions(retry_policy=HASTY))
        assert dynamo.tables[f"copy{number}"].items == dynamo.tables[f"orders{number}"].items
    # An empty table may be a new one that is large: it is read in all segments.
    assert dynamo.connections <= (10 if items else 12)


def test_tickets_that_tls_sends_do_not_look_like_an_end(monkeypatch, certificate):
    """They arrive after a connection is open, without a request."""
    monkeypatch.setenv("NO_PROXY", "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)
    accepted: list[ssl.SSLSocket] = []

    def serve(listener: socket.socket) -> None:
        for _ in range(2):
            accepted.append(context.wrap_socket(listener.accept()[0], server_side=True))
        for each in accepted:
            each.recv(65536)
            each.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")

    with socket.create_server(("localhost", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,), daemon=True)
        thread.start()
        keys = SimpleNamespace(access_key="A", secret_key=SECRET, session_token=TOKEN)
        url = f"https://localhost:{listener.getsockname()[1]}"
        client = Client(Endpoint(url, REGION, lambda: keys, ca_bundle=str(certificate[0])), HASTY)
        lanes, heard = Lanes(), []
        lanes.prepare(client, 2)
        deadline = time.monotonic() + 60
        while len(accepted) < 2 and time.monotonic() < deadline:
            lanes.turn(0.01)
        lanes.turn(0.01)  # takes the tickets in
        for _ in range(2):
            lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
        while len(heard) < 2:
            lanes.turn(1.0)
        lanes.close()
        thread.join()
    assert (len(accepted), client.retries.broken) == (2, 0)
