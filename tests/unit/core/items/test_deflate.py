# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fast library and the standard one give the same."""

from __future__ import annotations

import builtins
import gzip
import importlib
import zlib
from collections.abc import Iterator
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.items import deflate


@pytest.fixture
def without_isal(monkeypatch: pytest.MonkeyPatch) -> Iterator[ModuleType]:
    found = builtins.__import__

    def missing(name: str, *more: Any, **options: Any) -> Any:
        if name.partition(".")[0] == "isal":
            raise ImportError(name)
        return found(name, *more, **options)

    with monkeypatch.context() as patch:
        patch.setattr(builtins, "__import__", missing)
        yield importlib.reload(deflate)
    importlib.reload(deflate)


@given(st.binary(max_size=5000))
def test_checksums_are_those_of_zlib(data: bytes) -> None:
    assert deflate.crc32(data) == zlib.crc32(data)


@given(st.binary(max_size=5000))
def test_what_is_inflated_is_what_was_deflated(data: bytes) -> None:
    inflater = deflate.decompressobj(31)
    assert inflater.decompress(gzip.compress(data)) == data
    assert inflater.eof


def test_damage_is_an_error_of_ours() -> None:
    with pytest.raises(deflate.ERRORS):
        deflate.decompressobj(31).decompress(b"no gzip at all")


def test_the_standard_library_serves_without_it(without_isal: ModuleType) -> None:
    assert without_isal.crc32 is zlib.crc32
    assert without_isal.decompressobj is zlib.decompressobj
    assert (zlib.error, zlib.error) == without_isal.ERRORS
