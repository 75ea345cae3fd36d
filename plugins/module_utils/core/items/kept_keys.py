# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Keys of two tables with digests of their items, matched in memory that does not grow: what is too much goes to disk.

    with KeptKeys(expected=48_000_000, folder=Path("~/.tableferry")) as keys:
        keys.add("source", [(("customer 1",), digest)])
        differing = list(keys.unmatched())

Keys are personal data. The file has no name and mode 0600: the system removes it when it is closed, and when the
process is killed.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
import zlib
from array import array
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import CheckpointUnusable
from .answers import Key
from .private_files import in_words, make_folder

MEMORY_BYTES = 16 << 20  # of keys that have not been written to disk yet
PART_KEYS = 50_000  # which are matched at once, in about 20 MB
MOST_PARTS = 2048

_HEAD = struct.Struct("<?16sHH")  # the source's, digest, lengths of the key's values
_NO_VALUE = 0xFFFF
_DIGEST = (1 << 128) - 1


def entry_bytes(key: Key) -> int:
    """How many bytes a key takes on disk."""
    return _HEAD.size + sum(len(value.encode("utf-8", "surrogatepass")) for value in key)


def free_bytes(folder: Path) -> int:
    """The free space for files in ``folder``, which is made where it is not there, in bytes. Raises OSError."""
    make_folder(folder)
    tempfile.TemporaryFile(dir=folder).close()
    return shutil.disk_usage(folder).free


class KeptKeys:
    """The keys. They stay in memory without ``folder``; ``expected`` is about how many of both tables there will be."""

    def __init__(self, expected: int = 0, folder: Path | None = None, memory_bytes: int = MEMORY_BYTES) -> None:
        self._folder = folder
        self._memory_bytes = memory_bytes
        self._buffered = self._written = 0
        parts = max(1, min(MOST_PARTS, -(-expected // PART_KEYS)))
        self._buffers = [bytearray() for _part in range(parts)]
        self._places = [array("Q") for _part in range(parts)]  # of each piece of a part: where it begins, its length
        self._file: IO[bytes] | None = None

    def __enter__(self) -> KeptKeys:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._file is not None:
            self._file.close()

    @property
    def bytes_on_disk(self) -> int:
        """The length of the file."""
        return self._written

    def add(self, side: str, digests: Iterable[tuple[Key, int]]) -> None:
        """Keep keys of ``side``, each with its item's digest. Raises CheckpointUnusable when the disk takes no more."""
        from_source, parts = side == "source", len(self._buffers)
        for key, digest in digests:
            values = [value.encode("utf-8", "surrogatepass") for value in key]
            second = len(values[1]) if len(values) > 1 else _NO_VALUE
            body = b"".join(values)
            entry = _HEAD.pack(from_source, (digest & _DIGEST).to_bytes(16, "little"), len(values[0]), second) + body
            self._buffers[zlib.crc32(body) % parts] += entry
            self._buffered += len(entry)
        if self._folder is not None and self._buffered > self._memory_bytes:
            self._write(self._folder)

    def unmatched(self) -> Iterator[Key]:
        """The keys that are not equal on both sides, in no order. Raises CheckpointUnusable."""
        for part in range(len(self._buffers)):
            yield from self._unmatched_of(part)

    def _unmatched_of(self, part: int) -> list[Key]:
        sides: tuple[dict[Key, bytes], dict[Key, bytes]] = ({}, {})
        different: list[Key] = []
        for from_source, key, digest in self._entries(part):
            mine, theirs = sides[from_source], sides[not from_source]
            other = theirs.pop(key, None)
            if other is None:
                mine[key] = digest
            elif other != digest:
                different.append(key)
        # A key that a scan gives twice is in both.
        return list(dict.fromkeys([*sides[True], *sides[False], *different]))

    def _entries(self, part: int) -> Iterator[tuple[bool, Key, bytes]]:
        for piece in self._pieces(part):
            position = 0
            while position < len(piece):
                from_source, digest, first, second = _HEAD.unpack_from(piece, position)
                middle = position + _HEAD.size + first
                value = str(piece[middle - first : middle], "utf-8", "surrogatepass")
                if second == _NO_VALUE:
                    yield from_source, (value,), digest
                    position = middle
                else:
                    position = middle + second
                    yield from_source, (value, str(piece[middle:position], "utf-8", "surrogatepass")), digest

    def _pieces(self, part: int) -> Iterator[bytes | bytearray]:
        places = self._places[part]
        for start, length in zip(places[::2], places[1::2], strict=True):
            if self._file is not None:
                try:
                    self._file.seek(start)
                    piece = self._file.read(length)
                except OSError as error:
                    raise self._unusable(error) from error
                yield piece
        yield self._buffers[part]

    def _write(self, folder: Path) -> None:
        """Move all buffers to the file."""
        try:
            if self._file is None:
                make_folder(folder)
                self._file = tempfile.TemporaryFile(dir=folder, buffering=1 << 20)  # noqa: SIM115 - closed by __exit__
            for part, buffer in enumerate(self._buffers):
                if buffer:
                    self._file.write(buffer)
                    self._places[part].extend((self._written, len(buffer)))
                    self._written += len(buffer)
                    buffer.clear()
            self._file.flush()
        except OSError as error:
            raise self._unusable(error) from error
        self._buffered = 0

    def _unusable(self, error: OSError) -> CheckpointUnusable:
        return CheckpointUnusable(
            f"The keys of items that differ cannot be kept in {self._folder}: {in_words(error)}, after"
            f" {self._written:,} bytes.",
            "Make room there or set work_dir to another directory, then compare again.",
        )
