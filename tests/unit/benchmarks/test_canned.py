# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The canned server reads requests however they come, and its repeated pages are pages."""

from __future__ import annotations

import json
import os
import socket
import threading

import pytest

from benchmarks.canned import PAGE_BYTES, requests, scan
from benchmarks.servers import canned, make_certificate

REQUEST = b"POST / HTTP/1.1\r\nX-Amz-Target: Scan\r\nContent-Length: 4\r\n\r\nabcd"


@pytest.mark.parametrize("size", [1, 7, len(REQUEST), len(REQUEST) + 5, 10 * len(REQUEST)])
def test_requests_are_read_however_they_are_cut(size):
    sent = REQUEST * 3 + b"GET /writes/x HTTP/1.1\r\n\r\n"
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            for start in range(0, len(sent), size):
                theirs.sendall(sent[start : start + size])

    thread = threading.Thread(target=send)
    thread.start()
    with ours:
        got = list(requests(ours))
    thread.join()
    assert [body for _head, body in got] == [b"abcd"] * 3 + [b""]
    assert got[-1][0] == b"GET /writes/x HTTP/1.1"


def test_a_request_that_is_cut_off_is_none():
    ours, theirs = socket.socketpair()
    with theirs:
        theirs.sendall(REQUEST[:-1])
    with ours:
        assert not list(requests(ours))


def test_the_server_runs_on_its_cores_alone_and_says_what_it_took(tmp_path):
    core = min(os.sched_getaffinity(0))
    make_certificate(tmp_path / "certificate.pem")
    with canned(tmp_path / "certificate.pem", cores=[core]) as server:
        assert os.sched_getaffinity(server.process) == {core}
        assert server.written("destination-1000-1") == 0
        assert server.cpu_seconds() > 0.0


def test_repeated_pages_count_as_many_items_as_the_table_has():
    counted, key = 0, None
    while True:
        request = {"TableName": "repeated-1000-2500", **({"ExclusiveStartKey": key} if key else {})}
        page = json.loads(bytes(scan(request)))
        assert len(page["Items"]) == page["Count"] <= PAGE_BYTES // 1000
        counted += page["Count"]
        key = page.get("LastEvaluatedKey")
        if key is None:
            break
    assert counted == 2500
