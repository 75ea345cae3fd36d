# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Requests that go wrong: sent again while that may help, told when it does not, and no secret in what is told."""

from __future__ import annotations

import json
import pickle
import socket
import time
from types import SimpleNamespace

import pytest

from ansible_collections.tableferry.aws.plugins.module_utils.core.aws_errors import is_passing
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    AccessDenied,
    CredentialsError,
    EndpointUnreachable,
    FerryError,
    KeepsFailing,
    MissingTable,
    ServiceError,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import (
    Call,
    Client,
    Endpoint,
    RetryPolicy,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.lanes import Lanes
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transport import Answer
from tests.unit.core.items.fake_dynamo import HASTY, REGION, SECRET, TOKEN, refusal

DESCRIBE = b'{"TableName":"orders"}'


def waited(dynamo, retry_policy=HASTY, endpoint=None):
    client = Client(endpoint or dynamo.endpoint(), retry_policy)
    try:
        return client.call("DescribeTable", DESCRIBE, "orders"), client.retries
    finally:
        client.close()


def by_lanes(dynamo, retry_policy=HASTY, endpoint=None):
    client, lanes = Client(endpoint or dynamo.endpoint(), retry_policy), Lanes()
    heard = []
    try:
        lanes.submit(client, Call("DescribeTable", DESCRIBE, "orders"), heard.append)
        while not heard:
            lanes.turn(1.0)
        return heard[0], client.retries
    finally:
        lanes.close()


ways = pytest.mark.parametrize("send", [waited, by_lanes])


@ways
@pytest.mark.parametrize("kind", ["throttle", "500", "503", "conflict", "reset", "lost", "half", "crc"])
def test_what_fails_in_passing_is_sent_again(dynamo, send, kind):
    dynamo.make("orders")
    dynamo.plan(kind, times=5)
    body, retries = send(dynamo)
    assert json.loads(body)["Table"]["TableName"] == "orders"
    assert len(dynamo.calls) == 6
    failed = dict.fromkeys(("500", "503", "conflict"), retries.failed)
    counted = {"throttle": retries.throttled, **failed}.get(kind, retries.broken)
    assert counted == retries.throttled + retries.failed + retries.broken == 5


@ways
@pytest.mark.parametrize("kind", ["chunked", "until_close"])
def test_answers_framed_otherwise_are_read(dynamo, send, kind):
    dynamo.make("orders")
    dynamo.plan(kind)
    assert json.loads(send(dynamo)[0])["Table"]["TableName"] == "orders"


@ways
@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("throttle", KeepsFailing, "more capacity"),
        ("500", KeepsFailing, "AWS Health"),
        ("reset", EndpointUnreachable, "network"),
        ("crc", EndpointUnreachable, "CRC32"),
    ],
)
def test_patience_ends(dynamo, send, kind, error, words):
    dynamo.make("orders")
    dynamo.plan(kind, times=10_000)
    with pytest.raises(error, match=words) as told:
        send(dynamo, RetryPolicy(0.001, 0.005, 0.1, 0.1))
    assert told.value.table == "orders"
    assert len(dynamo.calls) > 3


@ways
def test_an_endpoint_that_is_not_there_is_told_sooner(dynamo, send):
    with socket.create_server(("127.0.0.1", 0)) as unused:
        port = unused.getsockname()[1]
    keys = SimpleNamespace(access_key="A", secret_key=SECRET, session_token="")
    endpoint = Endpoint(f"http://127.0.0.1:{port}", REGION, lambda: keys)
    with pytest.raises(EndpointUnreachable, match=str(port)):
        send(dynamo, RetryPolicy(0.001, 0.005, 1000.0, 0.1), endpoint)


@ways
def test_credentials_that_ended_are_asked_for_once_more(dynamo, send):
    dynamo.make("orders")
    given = iter(["AKIAOLD", "AKIAFAKE"])
    endpoint = Endpoint(
        dynamo.url,
        REGION,
        lambda: SimpleNamespace(access_key=next(given), secret_key=SECRET, session_token=TOKEN),
        "source",
    )
    assert b"orders" in send(dynamo, endpoint=endpoint)[0]
    assert len(dynamo.calls) == 2


@ways
@pytest.mark.parametrize("given", [["AKIAOLD"] * 5, ["AKIAOLD", "AKIAOLDER", "AKIAOLDEST"]])
def test_credentials_that_stay_ended_are_told(dynamo, send, given):
    dynamo.make("orders")
    keys = iter(given)
    endpoint = Endpoint(
        dynamo.url,
        REGION,
        lambda: SimpleNamespace(access_key=next(keys), secret_key=SECRET, session_token=TOKEN),
        "source",
    )
    with pytest.raises(CredentialsError, match="the source account do not work") as told:
        send(dynamo, endpoint=endpoint)
    assert len(dynamo.calls) <= 2
    assert not is_passing(told.value)  # H12: a job that copies is not begun again for ten minutes
    assert SECRET not in repr(told.value.details) + str(told.value)


def judged(status: int, body: bytes, headers: dict[bytes, bytes] | None = None, client: Client | None = None):
    keys = SimpleNamespace(access_key="AKIA", secret_key=SECRET, session_token=TOKEN)
    client = client or Client(Endpoint("https://host", REGION, lambda: keys, "source"), HASTY)
    call = Call("Scan", b"{}", "orders")
    client.request(call)
    return client.judge(call, Answer(status, headers or {}, body))


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", AccessDenied),
        ("ResourceNotFoundException", MissingTable),
        ("UnrecognizedClientException", CredentialsError),
        ("ValidationException", ServiceError),
        ("SomethingNew", ServiceError),
    ],
)
def test_refusals_are_told_at_once(code, error):
    with pytest.raises(error) as told:
        judged(*refusal(code, "some words"))
    assert told.value.details["code"] == code
    assert told.value.table == "orders"
    copy = pickle.loads(pickle.dumps(told.value))
    assert (str(copy), copy.details) == (str(told.value), told.value.details)


@pytest.mark.parametrize("code", ["AccessDeniedException", "ResourceNotFoundException", "ValidationException"])
def test_an_error_names_the_request(code):
    status, body = refusal(code, "some words")
    with pytest.raises(FerryError, match=r"request A1B2\)") as told:
        judged(status, body, {b"x-amzn-requestid": b"A1B2"})
    assert told.value.details["request_id"] == "A1B2"


def test_a_wrong_signature_is_told_without_the_headers_that_aws_quotes():
    message = f"The request signature does not match. The Canonical String was 'x-amz-security-token:{TOKEN}'"
    with pytest.raises(CredentialsError) as told:
        judged(*refusal("InvalidSignatureException", message))
    assert TOKEN not in str(told.value) + repr(told.value.details)


def test_no_secret_is_in_any_text_of_an_endpoint():
    keys = SimpleNamespace(access_key="AKIA", secret_key=SECRET, session_token=TOKEN)
    assert SECRET not in repr(Endpoint("https://host", REGION, lambda: keys))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b'"text"'])
@pytest.mark.parametrize(("status", "passing"), [(502, True), (429, True), (404, False), (302, False)])
def test_answers_of_others_are_told_by_their_status(status, passing, body):
    if passing:
        assert judged(status, body) > 0
    else:
        with pytest.raises(ServiceError, match=f"HTTP {status}"):
            judged(status, body)


@pytest.mark.parametrize("off", [-7200, 7200])
def test_a_clock_that_is_off_is_corrected_by_that_of_the_server(off):
    client = Client(
        Endpoint("https://host", REGION, lambda: SimpleNamespace(access_key="A", secret_key="s", session_token="")),
        HASTY,
    )
    spoken = time.strftime("%a, %d %b %Y %H:%M:%S GMT", time.gmtime(time.time() + off)).encode()
    refused = refusal("InvalidSignatureException", "Signature expired: now is not then")
    assert judged(*refused, {b"date": spoken}, client) == 0.0
    request = client.request(Call("Scan", b"{}", "orders"))
    signed_at = time.strptime(request.split(b"X-Amz-Date: ")[1][:16].decode(), "%Y%m%dT%H%M%SZ")
    assert abs(time.mktime(signed_at) - time.mktime(time.gmtime(time.time() + off))) < 5
    with pytest.raises(CredentialsError):
        judged(*refused, {b"date": spoken}, client)


@pytest.mark.parametrize("date", [b"", b"yesterday"])
def test_a_signature_is_wrong_where_the_clock_is_not(date):
    with pytest.raises(CredentialsError):
        judged(*refusal("InvalidSignatureException", "words"), {b"date": date})


def test_credentials_are_asked_for_again_after_a_while(dynamo, monkeypatch):
    dynamo.make("orders")
    asked = []

    def keys():
        asked.append(1)
        return SimpleNamespace(access_key="AKIAFAKE", secret_key=SECRET, session_token="")

    client = Client(Endpoint(dynamo.url, REGION, keys), HASTY)
    clock = [1000.0]
    monkeypatch.setattr("time.monotonic", lambda: clock[0])
    for _ in range(3):
        client.call("DescribeTable", DESCRIBE, "orders")
    clock[0] += 61
    client.call("DescribeTable", DESCRIBE, "orders")
    client.close()
    assert len(asked) == 2


def test_pauses_are_jittered_and_bounded():
    retry_policy = RetryPolicy(first=0.05, longest=20.0)
    for failures in (1, 5, 50, 5000):
        pauses = [retry_policy.pause(failures) for _ in range(200)]
        most = min(20.0, 0.05 * 2.0 ** min(failures, 30))
        assert 0 <= min(pauses) < most / 4 and most * 0.75 < max(pauses) <= most
