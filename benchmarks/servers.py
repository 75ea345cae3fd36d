# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The servers that the data plane is measured on: the canned one, and two instances of each engine."""

from __future__ import annotations

import datetime
import ipaddress
import itertools
import json
import os
import subprocess
import sys
import urllib.request
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from benchmarks.items import ATTRIBUTE_DEFINITIONS, KEY_SCHEMA, numbered
from engines.catalog import Engine
from engines.server import RunningEngine, running

BATCH = 25


class Server(Protocol):
    """Two accounts, with numbered items in the first."""

    name: str

    def url(self, side: str, transport: str) -> str:
        """The endpoint of ``source`` or ``destination`` by ``http`` or ``tls``."""

    def source(self, item_bytes: int, items: int) -> str:
        """The name of a table of the source that holds so many items."""

    def destination(self, item_bytes: int, items: int) -> str:
        """The name of a new table of the destination."""

    def copy(self, item_bytes: int, items: int) -> str:
        """The name of a table of the destination that equals the source's."""

    def written(self, table: str) -> int:
        """How many items were put into that table of the destination."""


@dataclass
class CannedServer:
    """``benchmarks.canned`` as a process; both accounts are one. ``copies`` begins the names of tables that equal the
    source's: ``reordered`` for attributes in another order; ``sources`` begins the names of the source's, ``repeated``
    for pages that cost the server little. It is the process of that id."""

    ports: dict[str, int]
    name: str = "canned"
    copies: str = "copy"
    sources: str = "source"
    process: int = 0
    _runs: Iterator[int] = field(default_factory=itertools.count)

    def url(self, side: str, transport: str) -> str:
        return f"{'https' if transport == 'tls' else 'http'}://127.0.0.1:{self.ports[transport]}"

    def source(self, item_bytes: int, items: int) -> str:
        return f"{self.sources}-{item_bytes}-{items}"

    def destination(self, item_bytes: int, items: int) -> str:
        return f"destination-{item_bytes}-{items}-{next(self._runs)}"

    def copy(self, item_bytes: int, items: int) -> str:
        return f"{self.copies}-{item_bytes}-{items}"

    def new_tables(self, item_bytes: int, items: int) -> str:
        """The name of tables of the destination that are not there yet; a number of each is to follow."""
        return f"made-{item_bytes}-{items}-{next(self._runs)}"

    def written(self, table: str) -> int:
        return sum(count for _, count in self.writes(table))

    def cpu_seconds(self) -> float:
        """What the server itself has taken so far (Linux)."""
        fields = Path(f"/proc/{self.process}/stat").read_text().rsplit(")", 1)[1].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def writes(self, table: str) -> list[tuple[float, int]]:
        """Time in seconds and number of items of each write, as the server saw them."""
        with urllib.request.urlopen(f"{self.url('destination', 'http')}/writes/{table}") as answer:
            return sorted((at, count) for at, count in json.load(answer))


@dataclass
class EngineServer:
    """Two instances of an engine."""

    name: str
    instances: list[RunningEngine]
    _filled: set[str] = field(default_factory=set)
    _runs: Iterator[int] = field(default_factory=itertools.count)

    def url(self, side: str, transport: str) -> str:
        return self.instances[side == "destination"].endpoint_url

    def source(self, item_bytes: int, items: int) -> str:
        return self._full("source", item_bytes, items)

    def destination(self, item_bytes: int, items: int) -> str:
        name = f"destination-{item_bytes}-{items}-{next(self._runs)}"
        self._create("destination", name)
        return name

    def copy(self, item_bytes: int, items: int) -> str:
        return self._full("destination", item_bytes, items)

    def written(self, table: str) -> int:
        pages = self._client("destination").get_paginator("scan").paginate(TableName=table, Select="COUNT")
        return sum(page["Count"] for page in pages)

    def _client(self, side: str) -> Any:
        return self.instances[side == "destination"].client()

    def _create(self, side: str, name: str) -> None:
        self._client(side).create_table(
            TableName=name,
            BillingMode="PAY_PER_REQUEST",
            KeySchema=KEY_SCHEMA,
            AttributeDefinitions=ATTRIBUTE_DEFINITIONS,
        )
        self._client(side).get_waiter("table_exists").wait(TableName=name, WaiterConfig={"Delay": 0.1})

    def _full(self, side: str, item_bytes: int, items: int) -> str:
        name = f"{side}-full-{item_bytes}-{items}"
        if name not in self._filled:
            self._filled.add(name)
            self._create(side, name)
            client = self._client(side)
            for first in range(0, items, BATCH):
                batch = [json.loads(numbered(number, item_bytes)) for number in range(first, min(items, first + BATCH))]
                client.batch_write_item(RequestItems={name: [{"PutRequest": {"Item": item}} for item in batch]})
        return name


@contextmanager
def canned(
    certificate: Path, delay: float = 0.0, name: str = "canned", cores: Collection[int] = ()
) -> Iterator[CannedServer]:
    """The canned server, with ``certificate``; ``delay`` are the seconds of a round trip to it, for which it has a
    ``name`` of its own. It runs on ``cores`` alone where there are some."""
    key = certificate.with_suffix(".key")
    process = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.canned", str(certificate), str(key), str(delay), ",".join(map(str, cores))],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin and process.stdout
    try:
        yield CannedServer(json.loads(process.stdout.readline()), name, process=process.pid)
    finally:
        process.stdin.close()
        process.wait(10)


@contextmanager
def engine_pair(engine: Engine) -> Iterator[EngineServer]:
    """Two instances of ``engine``."""
    with running(engine, instances=2) as instances:
        yield EngineServer(engine.name, instances)


def make_certificate(certificate: Path) -> None:
    """Write a certificate of a day for 127.0.0.1 that signs itself, and beside it its private key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.oid.NameOID.COMMON_NAME, "benchmark")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = certificate.with_suffix(".key")
    private.touch(mode=0o600)
    private.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    )
