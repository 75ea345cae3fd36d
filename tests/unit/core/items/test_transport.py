# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""HTTP, TLS, proxies and signatures, held to what other implementations say."""

from __future__ import annotations

import datetime
import os
import socket
import ssl
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials
from botocore.httpsession import URLLib3Session

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import EndpointUnreachable, InvalidInput
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import network_route
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.client import Client, Endpoint, RetryPolicy
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.network_route import Distrusted, NetworkRoute
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.transport import (
    BrokenConnection,
    Connection,
    Signer,
)

BODY = b'{"UnprocessedItems":{}}'
CRC = b"x-amz-crc32: %d\r\n" % zlib.crc32(BODY)
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: Chunked\r\n"
LENGTH = b"Content-Length: %d\r\n" % len(BODY)


@contextmanager
def listening(handle: Callable[[socket.socket], None]) -> Iterator[int]:
    """A port whose connections ``handle`` gets, one after the other."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def accept() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    try:
                        handle(connection)
                    except OSError:
                        continue

        threading.Thread(target=accept, daemon=True).start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)


def answering(*pieces: bytes) -> Callable[[socket.socket], None]:
    """Answers each request with the pieces, apart from each other."""

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        while connection.recv(65536):
            for piece in pieces:
                connection.sendall(piece)
                time.sleep(0.005)
            if not any(b"ength:" in piece or b"chunked" in piece for piece in pieces):
                return

    return handle


def exchange(port: int, request: bytes = b"request", waiting: bool = True):
    connection = Connection(NetworkRoute("127.0.0.1", port), waiting=waiting)
    try:
        while not connection.open():
            time.sleep(0.001)
        connection.send(request)
        while (answer := connection.advance()) is None:
            time.sleep(0 if waiting else 0.001)
        return answer, connection.reusable
    finally:
        connection.close()


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize(
    ("pieces", "reusable"),
    [
        ([b"HTTP/1.1 200 OK\r\n" + LENGTH + CRC + b"\r\n" + BODY], True),
        ([b"HTTP/1.1 20", b"0 OK\r\nconTENT-Length:%d\r" % len(BODY), b"\n\r", b"\n{", BODY[1:-1], b"}"], True),
        ([b"HTTP/1.1 200 OK\r\n" + LENGTH + b"Connection: close\r\n\r\n" + BODY], False),
        ([b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY], True),
        ([b"HTTP/1.1 100 Continue\r\n\r\n", b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY], True),
        ([CHUNKED + CRC + b"\r\n1;a=b\r\n{\r\n16\r\n", BODY[1:], b"\r\n0\r\n\r\n"], True),
        ([CHUNKED + b"\r\n17\r\n" + BODY + b"\r\n0\r\nT: 1", b"\r\n\r\n"], True),
        ([b"HTTP/1.1 200 OK\r\n" + CRC + b"\r\n" + BODY], False),
    ],
)  # fmt: skip
def test_answers_are_read_however_they_come(pieces, reusable, waiting):
    with listening(answering(*pieces)) as port:
        answer, kept = exchange(port, waiting=waiting)
    assert (answer.status, answer.body, kept) == (200, BODY, reusable)


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (b"HTTP/1.1 200 OK\r\n" + LENGTH + b"x-amz-crc32: 1\r\n\r\n" + BODY, "CRC32"),
        (b"HTTP/1.1 200 OK\r\n\r\n" + BODY, "closed"),
        (b"HTTP/1.1 200 OK\r\nx-amz-crc32: 1\r\n\r\n" + BODY, "CRC32"),
        (b"HTTP/1.1 200 OK\r\nContent-Len", "closed"),
        (b"nonsense\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 2x0 OK\r\n\r\n", "not HTTP"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n" + BODY, "longer"),
    ],
)
def test_broken_answers_are_told_from_whole_ones(answer, reason, waiting):
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(answer)

    with listening(handle) as port, pytest.raises(BrokenConnection, match=reason) as broken:
        exchange(port, waiting=waiting)
    assert not broken.value.stale


@pytest.mark.parametrize("sent", [b"", b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY[:-1]])
def test_an_answer_that_ends_early_is_broken(sent):
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(sent)

    with listening(handle) as port, pytest.raises(BrokenConnection):
        exchange(port)


LARGE = bytes(range(256)) * 3_000
LARGE_HEAD = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(LARGE)


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize("first", [0, 1, 30_000, 400_000, len(LARGE) - 1, len(LARGE)])
def test_a_large_answer_arrives_whole_however_it_is_cut(first, waiting):
    with listening(answering(LARGE_HEAD + LARGE[:first], LARGE[first:])) as port:
        answer, kept = exchange(port, waiting=waiting)
    assert (type(answer.body), answer.body == LARGE, kept) == (bytes, True, True)


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (LARGE_HEAD + LARGE + b"H", "longer"),
        (LARGE_HEAD + LARGE[:-1], "closed"),
        (LARGE_HEAD, "closed"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % 10**15 + LARGE, "closed"),
        (LARGE_HEAD.replace(b"OK\r\n", b"OK\r\nx-amz-crc32: 1\r\n") + LARGE, "CRC32"),
    ],
)
def test_a_large_answer_that_is_not_whole_is_broken(sent, reason, waiting):
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(sent)

    with listening(handle) as port, pytest.raises(BrokenConnection, match=reason):
        exchange(port, waiting=waiting)


@pytest.mark.parametrize("waiting", [True, False])
@pytest.mark.parametrize(("head", "body"), [(b"head", b""), (b"", b"body"), (b"head", b"body"), (LARGE, LARGE[::-1])])
def test_head_and_body_of_a_request_arrive_as_one(head, body, waiting):
    received = bytearray()

    def handle(connection: socket.socket) -> None:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)  # less than what is sent
        while len(received) < len(head + body):
            received.extend(connection.recv(10_000))
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY)

    with listening(handle) as port:
        connection = Connection(NetworkRoute("127.0.0.1", port), waiting=waiting)
        while not connection.open():
            time.sleep(0.001)
        connection.send(head, body)
        while connection.advance() is None:
            time.sleep(0.001)
        connection.close()
    assert received == head + body


def test_a_kept_connection_that_the_server_closed_is_stale():
    def handle(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY)

    with listening(handle) as port:
        connection = Connection(NetworkRoute("127.0.0.1", port), waiting=True)
        connection.send(b"request")
        while connection.advance() is None:
            pass
        time.sleep(0.05)
        with pytest.raises(BrokenConnection) as broken:
            connection.send(b"request")
            connection.advance()
    assert broken.value.stale


def test_a_large_request_is_sent_as_the_server_takes_it():
    request = bytes(range(256)) * 40_000
    received = []

    def handle(connection: socket.socket) -> None:
        whole = b""
        while len(whole) < len(request):
            time.sleep(0.002)
            whole += connection.recv(1 << 20)
        received.append(whole)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + LENGTH + b"\r\n" + BODY)

    with listening(handle) as port:
        assert exchange(port, request, waiting=False)[0].body == BODY
    assert received == [request]


# Signatures


@pytest.mark.parametrize("token", ["", "token/with+signs=="])
@pytest.mark.parametrize(
    ("url", "host", "path"),
    [
        ("https://dynamodb.eu-west-1.amazonaws.com/", "dynamodb.eu-west-1.amazonaws.com", "/"),
        ("http://127.0.0.1:8000/", "127.0.0.1:8000", "/"),
        ("https://gateway.example/dynamo db/x", "gateway.example", "/dynamo db/x"),
    ],
)
def test_signatures_are_those_of_botocore(monkeypatch, url, host, path, token):
    now = 1_790_000_000
    body = b'{"TableName":"orders"}'
    frozen = datetime.datetime.fromtimestamp(now, datetime.UTC)
    monkeypatch.setattr("botocore.auth.get_current_datetime", lambda remove_tzinfo=True: frozen.replace(tzinfo=None))
    request = AWSRequest("POST", url, data=body)
    request.headers["Content-Type"] = "application/x-amz-json-1.0"
    request.headers["X-Amz-Target"] = "DynamoDB_20120810.Scan"
    SigV4Auth(Credentials("AKIA", "secret", token or None), "dynamodb", "eu-west-1").add_auth(request)
    keys = SimpleNamespace(access_key="AKIA", secret_key="secret", session_token=token)
    signer = Signer(host, path, "eu-west-1")
    for _ in range(2):
        lines = signer.headers(keys, "Scan", body, now).split("\r\n")
        ours = dict(line.split(": ", 1) for line in lines if line)
        assert ours["Authorization"] == request.headers["Authorization"]
        assert ours["X-Amz-Date"] == request.headers["X-Amz-Date"]
        assert ours.get("X-Amz-Security-Token", "") == token


def test_the_kept_key_is_of_the_day_and_the_secret():
    signer = Signer("host", "/", "eu-west-1")
    keys = [SimpleNamespace(access_key="A", secret_key=secret, session_token="") for secret in ("one", "two")]
    times = (1_790_000_000, 1_790_086_400)
    signed = [[signer.headers(each, "Scan", b"", at) for each in keys for at in times] for _ in range(2)]
    assert signed[0] == signed[1]
    assert len(set(signed[0])) == 4
    alone = [Signer("host", "/", "eu-west-1").headers(each, "Scan", b"", at) for each in keys for at in times]
    assert signed[0] == alone


def test_what_is_kept_is_of_the_second_the_keys_and_the_operation():
    signer = Signer("host", "/", "eu-west-1")
    keys = [
        SimpleNamespace(access_key=name, secret_key="secret", session_token=token)
        for name, token in (("A", ""), ("B", ""), ("A", "token"), ("A", "other"))
    ]
    asked = [
        (each, operation, body, 1_790_000_000 + second)
        for second in (0.2, 0.9, 1.1)
        for each in keys
        for operation in ("Scan", "PutItem")
        for body in (b"", b"{}")
    ]
    for each in (asked, asked[::-1]):
        for one in each:
            assert signer.headers(*one) == Signer("host", "/", "eu-west-1").headers(*one)


# TLS and proxies


@pytest.fixture
def tls_port(certificate):
    """A TLS server that answers."""
    with tls_serving(certificate) as port:
        yield port


@contextmanager
def tls_serving(certificate) -> Iterator[int]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*certificate)

    def handle(connection: socket.socket) -> None:
        try:
            with context.wrap_socket(connection, server_side=True) as secure:
                answering(b"HTTP/1.1 200 OK\r\n" + LENGTH + CRC + b"\r\n" + BODY)(secure)
        except ssl.SSLError:
            return

    with listening(handle) as port:
        yield port


def client(url: str, ca_bundle: str = "") -> Client:
    keys = SimpleNamespace(access_key="A", secret_key="s", session_token="")
    endpoint = Endpoint(url, "eu-west-1", lambda: keys, "source", ca_bundle=ca_bundle)
    return Client(endpoint, RetryPolicy(0.001, 0.01, 0.3, 0.3))


def test_tls_with_a_bundle_of_ones_own(monkeypatch, certificate, tls_port):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    monkeypatch.setenv("NO_PROXY", "localhost")
    ours = client(f"https://localhost:{tls_port}")
    assert [ours.call("Scan", b"{}", "orders") for _ in range(2)] == [BODY, BODY]
    ours.close()


def test_h9_the_bundle_of_a_profile_is_trusted(monkeypatch, certificate, tls_port):
    for name in ("AWS_CA_BUNDLE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("NO_PROXY", "localhost")
    ours = client(f"https://localhost:{tls_port}", str(certificate[0]))
    assert ours.call("Scan", b"{}", "orders") == BODY
    ours.close()


def test_g12_certificates_that_botocore_takes_are_taken(monkeypatch, lax_certificate):
    monkeypatch.setenv("NO_PROXY", "localhost")
    bundle = str(lax_certificate[0])
    with tls_serving(lax_certificate) as port:
        request = AWSRequest("POST", f"https://localhost:{port}", data=b"{}").prepare()
        assert URLLib3Session(verify=bundle).send(request).content == BODY
    with tls_serving(lax_certificate) as port:
        ours = client(f"https://localhost:{port}", bundle)
        assert ours.call("Scan", b"{}", "orders") == BODY
        ours.close()


def test_certificates_are_read_once(monkeypatch, certificate, lax_certificate, tmp_path):
    def contexts(path: Path) -> set[int]:
        return {id(NetworkRoute.to("localhost", 1, True, str(path)).tls) for _ in range(3)}

    bundle = tmp_path / "bundle.pem"
    bundle.write_bytes(certificate[0].read_bytes())
    first = contexts(bundle)
    bundle.write_bytes(lax_certificate[0].read_bytes() * 2)
    os.utime(bundle, (1, 1))
    assert len(first) == len(contexts(bundle)) == 1
    assert contexts(bundle) != first


def test_g13_a_hundred_tables_make_one_context(monkeypatch, certificate, tmp_path):
    bundle = tmp_path / "hundred.pem"
    bundle.write_bytes(certificate[0].read_bytes())
    made = []

    class Counted(ssl.SSLContext):
        def load_verify_locations(self, *how: Any, **more: Any) -> None:
            made.append(self)
            time.sleep(0.02)  # others begin meanwhile
            super().load_verify_locations(*how, **more)

    monkeypatch.setattr(network_route.ssl, "SSLContext", Counted)

    def make(_table: int) -> None:
        for _side in ("source", "destination"):
            assert NetworkRoute.to("localhost", 1, True, str(bundle)).tls is not None

    with ThreadPoolExecutor(8) as threads:
        list(threads.map(make, range(100)))
    assert len(made) == 1


@pytest.mark.parametrize(("host", "bundle"), [("127.0.0.1", True), ("localhost", False)])
def test_a_certificate_that_is_not_to_be_trusted_fails_at_once(monkeypatch, certificate, tls_port, host, bundle):
    monkeypatch.setenv("NO_PROXY", "*")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)
    if bundle:
        monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    else:
        monkeypatch.delenv("AWS_CA_BUNDLE", raising=False)
    with pytest.raises(EndpointUnreachable, match="AWS_CA_BUNDLE"):
        client(f"https://{host}:{tls_port}").call("Scan", b"{}", "orders")
    with pytest.raises(Distrusted):
        Connection(NetworkRoute.to(host, tls_port, True), waiting=True)


def test_a_bundle_that_cannot_be_read_is_told(monkeypatch, tmp_path):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "missing.pem"))
    with pytest.raises(InvalidInput, match="AWS_CA_BUNDLE"):
        client("https://localhost:1").call("Scan", b"{}", "orders")
    (tmp_path / "empty.pem").write_text("")
    monkeypatch.setenv("AWS_CA_BUNDLE", str(tmp_path / "empty.pem"))
    with pytest.raises(InvalidInput, match="cannot be read"):
        client("https://localhost:1").call("Scan", b"{}", "orders")


@contextmanager
def proxy(status: str, heads: list[bytes]) -> Iterator[int]:
    """A proxy that tunnels when it answers 200."""

    def handle(connection: socket.socket) -> None:
        head = b""
        while not head.endswith(b"\r\n\r\n"):
            head += connection.recv(1)
        heads.append(head)
        connection.sendall(f"HTTP/1.1 {status}\r\nVia: test\r\n\r\n".encode())
        if not status.startswith("200"):
            return
        target = head.split()[1].decode().rsplit(":", 1)
        with socket.create_connection((target[0], int(target[1]))) as onward:
            back = threading.Thread(target=pump, args=(onward, connection), daemon=True)
            back.start()
            pump(connection, onward)

    with listening(handle) as port:
        yield port


def pump(source: socket.socket, target: socket.socket) -> None:
    try:
        while data := source.recv(65536):
            target.sendall(data)
    except OSError:
        return


def test_tls_goes_through_the_tunnel_of_a_proxy(monkeypatch, certificate, tls_port):
    heads: list[bytes] = []
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with proxy("200 Connection established", heads) as port:
        monkeypatch.setenv("HTTPS_PROXY", f"http://user:p%40ss@127.0.0.1:{port}")
        monkeypatch.setenv("https_proxy", f"http://user:p%40ss@127.0.0.1:{port}")
        ours = client(f"https://localhost:{tls_port}")
        assert ours.call("Scan", b"{}", "orders") == BODY
        ours.close()
    assert heads[0].startswith(f"CONNECT localhost:{tls_port} HTTP/1.1\r\n".encode())
    assert b"Proxy-Authorization: Basic dXNlcjpwQHNz\r\n" in heads[0]


def test_a_proxy_that_refuses_is_told_without_its_password(monkeypatch, certificate, tls_port):
    monkeypatch.setenv("AWS_CA_BUNDLE", str(certificate[0]))
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with proxy("407 Proxy Authentication Required", []) as port:
        monkeypatch.setenv("https_proxy", f"http://user:pass-word@127.0.0.1:{port}")
        with pytest.raises(EndpointUnreachable, match="answered 407") as refused:
            client(f"https://localhost:{tls_port}").call("Scan", b"{}", "orders")
    assert "pass-word" not in str(refused.value)


def test_a_proxy_of_another_kind_is_refused(monkeypatch):
    monkeypatch.setenv("https_proxy", "socks5://user:pass-word@127.0.0.1:1080")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with pytest.raises(InvalidInput, match="socks5") as refused:
        client("https://dynamodb.eu-west-1.amazonaws.com").call("Scan", b"{}", "orders")
    assert "pass-word" not in str(refused.value)


@pytest.mark.parametrize("url", ["ftp://host", "dynamodb.eu-west-1.amazonaws.com", "http://", "http://host:port", ""])
def test_a_url_that_is_none_is_refused(url):
    with pytest.raises(InvalidInput, match="endpoint URL"):
        client(url)
