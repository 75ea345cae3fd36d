# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Data files of exports, whole and damaged."""

from __future__ import annotations

import gzip
import hashlib
import itertools
import json
import zlib
from base64 import b64encode
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    ChecksumMismatch,
    CountMismatch,
    ExportDamaged,
    FerryError,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.items import exported
from ansible_collections.tableferry.aws.plugins.module_utils.core.items.exported import ExportedFile, read_items

KEY = "tableferry/t/AWSDynamoDB/01/data/a.json.gz"


def written(items: list[bytes], end: bytes = b"\n") -> bytes:
    """The text of a data file."""
    return b"\n".join(b'{"Item":%s}' % item for item in items) + (end if items else b"")


def md5_of(data: bytes) -> str:
    return b64encode(hashlib.md5(data).digest()).decode()


def cut(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


def read(data: bytes, items: int, size: int = 7, md5: str | None = None) -> list[bytes]:
    file = ExportedFile(KEY, items, md5_of(data) if md5 is None else md5)
    return list(itertools.chain.from_iterable(read_items(cut(data, size), file)))


def error_of(data: bytes, items: int, kind: type[FerryError], **options: str) -> FerryError:
    with pytest.raises(kind) as caught:
        read(data, items, **options)  # type: ignore[arg-type]
    assert caught.value.details["key"] == KEY
    assert KEY in caught.value.cause and caught.value.next_step
    return caught.value


ITEMS = [json.dumps({"id": {"S": str(number)}, "note": {"S": "x" * number}}).encode() for number in range(300)]


@given(st.lists(st.dictionaries(st.text(), st.text(), min_size=1), max_size=40), st.integers(1, 5000), st.booleans())
def test_items_come_byte_for_byte(values: list[dict[str, str]], size: int, newline_at_the_end: bool) -> None:
    items = [json.dumps({name: {"S": text} for name, text in value.items()}).encode() for value in values]
    data = gzip.compress(written(items, b"\n" if newline_at_the_end else b""))
    assert read(data, len(items), size) == items


def test_a_file_of_several_members_is_read_to_its_end() -> None:
    data = gzip.compress(written(ITEMS[:100])) + gzip.compress(b"") + gzip.compress(written(ITEMS[100:]))
    assert read(data, 300) == ITEMS


def test_a_manifest_without_a_checksum_is_enough() -> None:
    assert read(gzip.compress(written(ITEMS)), 300, md5="") == ITEMS


def test_inflating_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(exported, "MOST_TEXT", 10_000)
    items = [b'{"id":{"S":"%06d"},"note":{"S":"%s"}}' % (number, b"x" * 300) for number in range(1000)]
    data = gzip.compress(written(items))
    assert len(written(items)) > 40 * len(data)
    pieces = list(read_items([data], ExportedFile(KEY, 1000, md5_of(data))))
    assert max(len(b"".join(piece)) for piece in pieces) <= 10_000 + 400
    assert list(itertools.chain.from_iterable(pieces)) == items


def test_a_truncated_file() -> None:
    data = gzip.compress(written(ITEMS))
    for length in (0, 1, 20, len(data) // 2, len(data) - 1):
        assert "ends before" in error_of(data[:length], 300, ExportDamaged).cause


def test_a_file_that_is_not_gzip() -> None:
    assert "inflated" in error_of(written(ITEMS), 300, ExportDamaged).cause


def test_a_changed_byte_is_found() -> None:
    data = bytearray(gzip.compress(written(ITEMS)))
    data[len(data) // 2] ^= 1
    error_of(bytes(data), 300, ExportDamaged)


def test_another_file_in_its_place() -> None:
    error = error_of(gzip.compress(written(ITEMS)), 300, ChecksumMismatch, md5=md5_of(b"other"))
    assert "was changed" in error.cause


@pytest.mark.parametrize("items", [299, 301, 0])
def test_a_count_that_is_not_the_manifests(items: int) -> None:
    assert f"the manifest says {items}" in error_of(gzip.compress(written(ITEMS)), items, CountMismatch).cause


def test_an_empty_file_is_no_error_where_the_manifest_says_so() -> None:
    assert read(gzip.compress(b""), 0) == read(b"", 0) == []
    error_of(gzip.compress(b""), 1, CountMismatch)


def test_ion() -> None:
    error = error_of(gzip.compress(b'$ion_1_0 {Item:{id:"1"}}\n'), 1, ExportDamaged)
    assert "Ion" in error.cause and "DYNAMODB_JSON" in error.next_step


@pytest.mark.parametrize("line", [b"", b"{}", b'{"Keys":{}}', b'{"Item":{"id":{"S":"1"}}} ', b'["Item"]'])
def test_a_line_that_is_no_item(line: bytes) -> None:
    data = gzip.compress(written(ITEMS[:2]) + line + b"\n" + written(ITEMS[2:4]))
    assert "line 3 is not an item" in error_of(data, 4, ExportDamaged).cause


def test_a_line_without_an_end() -> None:
    data = zlib.compress(b'{"Item":{"id":{"S":"' + b"x" * (exported.LONGEST_LINE + 2 * exported.MOST_TEXT), wbits=31)
    with pytest.raises(ExportDamaged, match="line 1 is longer than any item"):
        list(read_items([data], ExportedFile(KEY, 1, md5_of(data))))
