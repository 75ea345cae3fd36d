# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Reads the items of an export's data files as bytes: gzip, one line an item, each ``{"Item":{...}}`` (aws.md A6).

    for items in read_items(chunks, ExportedFile("data/a.json.gz", items=1000, md5="..."):
        ...

Nothing of a file counts before its end was reached: only there its checksum and its number of items are known.
"""

from __future__ import annotations

import hashlib
from base64 import b64encode
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import Protocol

from ..errors import ChecksumMismatch, CountMismatch, ExportDamaged
from . import deflate

MOST_TEXT = 1024 * 1024  # bytes inflated at once: data like a template inflates 78-fold (spark.md 5)
LONGEST_LINE = 8 * 1024 * 1024  # bytes; an item has at most 400 KB, which JSON may write in six times as many
_GZIP = 31  # zlib's window bits for data with a gzip head
_BEGIN, _END = b'{"Item":', b"}"
_EXPORT_AGAIN = "Export the table again, and make sure that nobody else writes to the staging bucket."


@dataclass(frozen=True)
class ExportedFile:
    """A data file as the manifest names it: its key in the bucket, how many items it holds, its base64 MD5 (over the
    compressed bytes; "" where the manifest has none)."""

    key: str
    items: int
    md5: str = ""


@dataclass(frozen=True)
class Export:
    """A full export of a table: the ``time`` that it shows (ISO 8601), its ``files``, and ``stream``, which gives the
    compressed bytes of the object with a key."""

    time: str
    files: tuple[ExportedFile, ...]
    stream: Callable[[str], Iterable[bytes]] = field(repr=False)

    @property
    def item_count(self) -> int:
        """How many items the manifest says that there are."""
        return sum(file.items for file in self.files)

    def read(self, file: ExportedFile) -> Iterator[list[bytes]]:
        """The items of one of the ``files``, as ``read_items``. Raises what that and ``stream`` do."""
        return read_items(self.stream(file.key), file)

    def pieces(self) -> Iterator[list[bytes]]:
        """The items of all files. Raises what ``read`` does."""
        for file in self.files:
            yield from self.read(file)


def read_items(chunks: Iterable[bytes], file: ExportedFile) -> Iterator[list[bytes]]:
    """The raw items of ``file``, whose compressed bytes arrive in ``chunks``, a list for each piece that was inflated.

    Raises ExportDamaged for data that is not an export in DynamoDB's JSON or ends early, ChecksumMismatch and
    CountMismatch, at the end, where it is not what the manifest says.
    """
    digest = hashlib.md5(usedforsecurity=False)
    count, rest = 0, b""
    for text in _inflated(_hashed(chunks, digest), file):
        lines = (rest + text if rest else text).split(b"\n")
        rest = lines.pop()
        if len(rest) > LONGEST_LINE:
            raise _damaged(file.key, f"line {count + len(lines) + 1} is longer than any item")
        if lines:
            items = _items(lines, file.key, count)
            count += len(lines)
            yield items
    if rest:
        yield _items([rest], file.key, count)
        count += 1
    md5 = b64encode(digest.digest()).decode()
    if file.md5 and md5 != file.md5:
        raise ChecksumMismatch(
            f"{file.key} has the MD5 {md5}, the manifest says {file.md5}: the object was changed.",
            _EXPORT_AGAIN,
            details={"key": file.key},
        )
    if count != file.items:
        raise CountMismatch(
            f"{file.key} holds {count} items, the manifest says {file.items}.",
            _EXPORT_AGAIN,
            details={"key": file.key},
        )


def _hashed(chunks: Iterable[bytes], digest: hashlib._Hash) -> Iterator[bytes]:
    for chunk in chunks:
        digest.update(chunk)
        yield chunk


class _Inflater(Protocol):
    """The inflating object of zlib, and of isal."""

    unconsumed_tail: bytes
    unused_data: bytes
    eof: bool

    def decompress(self, data: bytes, max_length: int = 0) -> bytes: ...


def _inflated(chunks: Iterable[bytes], file: ExportedFile) -> Iterator[bytes]:
    """The text of gzip data of one or several members; none of a file without items and bytes, as an empty partition
    may leave it (aws.md A6). Raises ExportDamaged."""
    inflater: _Inflater = deflate.decompressobj(_GZIP)
    is_empty = file.items == 0
    try:
        for chunk in chunks:
            data = chunk
            is_empty = is_empty and not data
            while data:
                if inflater.eof:
                    inflater = deflate.decompressobj(_GZIP)
                if text := inflater.decompress(data, MOST_TEXT):
                    yield text
                data = inflater.unused_data if inflater.eof else inflater.unconsumed_tail
    except Exception as error:
        if not isinstance(error, deflate.ERRORS):
            raise
        raise _damaged(file.key, f"it cannot be inflated ({error})") from error
    if not (inflater.eof or is_empty):
        raise _damaged(file.key, "it ends before its data does")


def _items(lines: list[bytes], key: str, before: int) -> list[bytes]:
    """What stands in ``{"Item":...}`` of each of ``lines``, which come after ``before`` others."""
    for number, line in enumerate(lines, before + 1):
        if not (line.startswith(_BEGIN) and line.endswith(_END)):
            if line.startswith(b"$ion"):
                raise _damaged(key, "it is in Amazon Ion, not in DynamoDB's JSON", "Export it as DYNAMODB_JSON.")
            raise _damaged(key, f"line {number} is not an item in DynamoDB's JSON")
    return [line[len(_BEGIN) : -len(_END)] for line in lines]


def _damaged(key: str, why: str, next_step: str = _EXPORT_AGAIN) -> ExportDamaged:
    return ExportDamaged(f"{key} cannot be read: {why}.", next_step, details={"key": key})
