# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Servers for the tests of the items, and items of all kinds."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ansible_collections.tableferry.aws.plugins.module_utils.core.items.kept_connections import KEPT
from tests.unit.core.items.fake_dynamo import FakeDynamo, serving


@pytest.fixture(autouse=True)
def nothing_kept() -> Iterator[None]:
    """Each test begins without connections that another has left."""
    yield
    KEPT.clear()


@pytest.fixture
def dynamo() -> Iterator[FakeDynamo]:
    """A server of one test's own."""
    with serving() as server:
        yield server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A self-signed certificate for localhost: the files of certificate and key."""
    return signed(tmp_path_factory.mktemp("tls"), critical=True)


@pytest.fixture(scope="session")
def lax_certificate(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """One as older company authorities make them: RFC 5280 asks for critical constraints, OpenSSL only in strict
    mode."""
    return signed(tmp_path_factory.mktemp("lax"), critical=False)


def signed(folder: Path, *, critical: bool) -> tuple[Path, Path]:
    """The files of a self-signed certificate for localhost and of its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=critical)
        .sign(key, hashes.SHA256())
    )
    (folder / "cert.pem").write_bytes(made.public_bytes(serialization.Encoding.PEM))
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    (folder / "key.pem").write_bytes(private)
    return folder / "cert.pem", folder / "key.pem"
