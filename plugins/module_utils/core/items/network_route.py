# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The way to a server: plain or TLS, direct or through a proxy's tunnel. But for DNS, nothing waits for the network."""

from __future__ import annotations

import base64
import errno
import os
import selectors
import socket
import ssl
import threading
import time
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any, TypeAlias
from urllib.parse import unquote, urlsplit

from ..errors import InvalidInput

CONNECT_SECONDS = 10.0  # for a connection, its tunnel and its handshake
ADDRESS_SECONDS = 5.0  # for which addresses are known: as long as DynamoDB's are valid in DNS
LONGEST_HEAD = 64 * 1024
READ, WRITE = selectors.EVENT_READ, selectors.EVENT_WRITE

_Address: TypeAlias = tuple[socket.AddressFamily, tuple[Any, ...]]


class Distrusted(Exception):
    """The server's certificate is not trusted."""


class _Addresses:
    """The addresses of one server. Safe to use from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._known: list[_Address] = []
        self._until = 0.0
        self._failed: dict[_Address, float] = {}

    def of(self, host: str, port: int) -> list[_Address]:
        """Those that never failed first, then those whose failure is longest ago. Raises OSError."""
        with self._lock:
            now = time.monotonic()
            if now > self._until:
                found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
                self._known = [(family, address) for family, _type, _protocol, _name, address in found]
                self._until = now + ADDRESS_SECONDS
            return sorted(self._known, key=lambda address: self._failed.get(address, 0.0))

    def failed(self, address: _Address) -> None:
        """Try ``address`` after all others from now on."""
        with self._lock:
            self._failed[address] = time.monotonic()


@cache
def _addresses_of(host: str, port: int) -> _Addresses:
    """One for each server: what one client has learned of its addresses is known to all."""
    return _Addresses()


@dataclass(frozen=True)
class NetworkRoute:
    """How to reach a server: by TLS or not, through a proxy (host, port, its authorization line or "") or not."""

    host: str
    port: int
    tls: ssl.SSLContext | None = None
    proxy: tuple[str, int, str] | None = None
    addresses: _Addresses = field(default_factory=_Addresses, compare=False, repr=False)

    @classmethod
    def to(cls, host: str, port: int, secure: bool, ca_bundle: str = "") -> NetworkRoute:
        """The route that the environment sets; ``ca_bundle`` as in ``Endpoint``.

        Raises InvalidInput for certificates or a proxy that cannot be used. A proxy for plain HTTP is not used: plain
        endpoints are local test servers.
        """
        if not secure:
            return cls(host, port, addresses=_addresses_of(host, port))
        proxy = _proxy_for(host, port)
        return cls(host, port, _trusted_context(ca_bundle), proxy, _addresses_of(*(proxy or (host, port))[:2]))

    def begin(self) -> Opening:
        """A connection that is on its way. Raises OSError."""
        host, port, _authorization = self.proxy or (self.host, self.port, "")
        refused = OSError(errno.EADDRNOTAVAIL, f"{host} has no address")
        for address in self.addresses.of(host, port):
            connection = socket.socket(address[0], socket.SOCK_STREAM)
            connection.setblocking(False)
            code = connection.connect_ex(address[1])
            if code in (0, errno.EINPROGRESS):
                return Opening(self, connection, address)
            connection.close()
            refused = OSError(code, os.strerror(code))
        raise refused


class Opening:
    """A connection on its way: TCP, the tunnel of a proxy, TLS. ``socket`` changes meanwhile, its number does not."""

    def __init__(self, route: NetworkRoute, connection: socket.socket, address: _Address) -> None:
        self.socket = connection
        self.wants = WRITE
        self._route = route
        self._address = address
        self._begun = time.monotonic()
        self._steps = self._open()

    def go_on(self) -> bool:
        """Do what can be done without waiting; whether the connection is ready for requests. It is called when what
        ``wants`` says has come. Raises OSError, Distrusted."""
        try:
            self.wants = next(self._steps)
        except StopIteration:
            return True
        except ssl.SSLCertVerificationError as error:
            self._failed()
            raise Distrusted(error.verify_message) from error
        except OSError:
            self._failed()
            raise
        return False

    def close(self) -> None:
        """Give it up. If it had its time, other addresses are tried first from now on: not if nobody needs it any
        more."""
        if time.monotonic() - self._begun >= CONNECT_SECONDS:
            self._failed()
        self.socket.close()

    def _failed(self) -> None:
        self._route.addresses.failed(self._address)

    def wait(self) -> None:
        """Wait until the connection is ready; ``go_on`` says so then. Raises OSError, Distrusted, closed then."""
        end = time.monotonic() + CONNECT_SECONDS
        try:
            with selectors.DefaultSelector() as selector:
                selector.register(self.socket.fileno(), self.wants)
                ready = False
                while not ready:
                    if not selector.select(max(0.0, end - time.monotonic())):
                        raise TimeoutError(f"no connection for {CONNECT_SECONDS:.0f} seconds")
                    ready = self.go_on()
                    selector.modify(self.socket.fileno(), self.wants)
        except BaseException:
            self.close()
            raise

    def _open(self) -> Iterator[int]:
        code = self.socket.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, os.strerror(code))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if self._route.proxy is not None:
            yield from self._tunnel(self._route.proxy[2])
        if self._route.tls is not None:
            yield from self._handshake(self._route.tls)

    def _tunnel(self, authorization: str) -> Iterator[int]:
        host, port = self._route.host, self._route.port
        target = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self.socket.sendall(f"CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n{authorization}\r\n".encode())
        head = b""
        # Byte by byte: what follows the blank line belongs to TLS.
        while not head.endswith(b"\r\n\r\n"):
            try:
                byte = self.socket.recv(1)
            except BlockingIOError:
                yield READ
                continue
            if not byte or len(head) > LONGEST_HEAD:
                raise ConnectionResetError("the proxy closed the connection")
            head += byte
        status = head.split(b" ", 2)[1][:3].decode("latin-1") if head.count(b" ") else "nothing"
        if status != "200":
            raise ConnectionRefusedError(f"the proxy answered {status} to CONNECT {target}")

    def _handshake(self, tls: ssl.SSLContext) -> Iterator[int]:
        self.socket = secure = tls.wrap_socket(
            self.socket, server_hostname=self._route.host, do_handshake_on_connect=False
        )
        while True:
            try:
                secure.do_handshake()
            except ssl.SSLWantReadError:
                yield READ
            except ssl.SSLWantWriteError:
                yield WRITE
            else:
                return


def _trusted_context(ca_bundle: str) -> ssl.SSLContext:
    """TLS that checks names and certificates, with the same bundle that botocore would take. Raises InvalidInput."""
    bundle = ca_bundle or os.environ.get("AWS_CA_BUNDLE") or os.environ.get("REQUESTS_CA_BUNDLE") or _packaged_bundle()
    try:
        with _BUILDING:
            return _context_of(bundle, os.stat(bundle).st_mtime_ns if bundle else 0)
    except OSError as error:
        raise InvalidInput(
            f"The certificates in {bundle} cannot be read: {error.strerror or 'the file holds no certificate'}.",
            "Set AWS_CA_BUNDLE to a PEM file with certificates, or unset it.",
        ) from error


_BUILDING = threading.Lock()  # else tables that begin at once read the certificates each


@cache
def _context_of(bundle: str | None, _changed: int) -> ssl.SSLContext:
    """One for each bundle: reading the certificates takes longer than a small table.

    Not ``create_default_context``, which from Python 3.13 on refuses certificates of company authorities that botocore
    takes (VERIFY_X509_STRICT).
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    if bundle is None:
        context.load_default_certs()
    elif os.path.isdir(bundle):
        context.load_verify_locations(capath=bundle)
    else:
        context.load_verify_locations(cafile=bundle)
    return context


def _packaged_bundle() -> str | None:
    """certifi's certificates where it is installed, else None, which means the system's."""
    try:
        import certifi
    except ImportError:
        return None
    return str(certifi.where())


def _proxy_for(host: str, port: int) -> tuple[str, int, str] | None:
    """The proxy that HTTPS_PROXY and NO_PROXY set for a host. Raises InvalidInput for one that cannot be used."""
    proxy = urllib.request.getproxies().get("https")
    if not proxy or urllib.request.proxy_bypass(f"{host}:{port}"):
        return None
    parts = urlsplit(proxy if "://" in proxy else f"http://{proxy}")
    if parts.scheme != "http" or not parts.hostname:
        raise InvalidInput(
            f"HTTPS_PROXY is a {parts.scheme} proxy, which requests for items cannot use.",
            "Set an http:// proxy (it tunnels TLS unread), or add the endpoint to NO_PROXY.",
        )
    authorization = ""
    if parts.username is not None:
        pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
        authorization = f"Proxy-Authorization: Basic {base64.b64encode(pair.encode()).decode()}\r\n"
    return parts.hostname, parts.port or 80, authorization
