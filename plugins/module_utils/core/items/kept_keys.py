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
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import repeat
from pathlib import Path
from types import TracebackType
from typing import IO

from ..errors import CheckpointUnusable
from .answers import Key
from .private_files import in_words, make_folder

MEMORY_BYTES = 16 << 20  # of keys that have not been written to disk yet
PART_KEYS = 50_000  # which are matched at once, in about 20 MB
MOST_PARTS = 2048
MOST_ORIGINS = 100  # of one key, of which the first ones are given

_HEAD = struct.Struct("<?16sHH")  # the source's, digest, lengths of the key's values
_ORIGIN = struct.Struct("<HH")  # lengths of the values of the source's key
_NO_VALUE = 0xFFFF
_DIGEST = (1 << 128) - 1


def entry_bytes(key: Key, origin: Key = ()) -> int:
    """How many bytes a key takes on disk, with the source's key that it was made of, where that is kept."""
    values = sum(len(value.encode("utf-8", "surrogatepass")) for value in key + origin)
    return _HEAD.size + values + (_ORIGIN.size if origin else 0)


def free_bytes(folder: Path) -> int:
    """The free space for files in ``folder``, which is made where it is not there, in bytes. Raises OSError."""
    make_folder(folder)
    tempfile.TemporaryFile(dir=folder).close()
    return shutil.disk_usage(folder).free


@dataclass(frozen=True)
class Candidates:
    """A key of the destination with what the source has for it: keys of its items, each with a digest of the item that
    is made of it, 0 for one that has expired. None where the source has nothing for it."""

    key: Key
    origins: tuple[tuple[Key, int], ...] = ()


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

    def add(self, side: str, digests: Iterable[tuple[Key, int]], origins: Sequence[Key] = ()) -> None:
        """Keep keys of ``side``, each with its item's digest; see KeptOrigins for ``origins``.

        Raises CheckpointUnusable when the disk takes no more.
        """
        from_source, parts = side == "source", len(self._buffers)
        for key, digest in digests:
            values = [value.encode("utf-8", "surrogatepass") for value in key]
            second = len(values[1]) if len(values) > 1 else _NO_VALUE
            body = b"".join(values)
            entry = _HEAD.pack(from_source, (digest & _DIGEST).to_bytes(16, "little"), len(values[0]), second) + body
            self._buffers[zlib.crc32(body) % parts] += entry
            self._buffered += len(entry)
        self._make_room()

    def unmatched(self) -> Iterator[Key]:
        """The keys that are not equal on both sides, in no order. Raises CheckpointUnusable."""
        for part in range(len(self._buffers)):
            yield from self._unmatched_of(part)

    def differing(self) -> Iterator[Candidates]:
        """The keys of ``unmatched``, without what the source has for them."""
        return map(Candidates, self.unmatched())

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

    def _make_room(self) -> None:
        if self._folder is not None and self._buffered > self._memory_bytes:
            self._write(self._folder)

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


@dataclass
class _Seen:
    """What the source has for one key: ``sought`` are digests of the destination's that were not among it."""

    sought: set[int]
    there: bool
    is_live: bool = False
    origins: dict[tuple[Key, int], None] = field(default_factory=dict)

    def take(self, digest: int, origin: Key) -> None:
        if digest:
            self.is_live = True
            self.sought.discard(digest)
        if len(self.origins) < MOST_ORIGINS:
            self.origins[origin, digest] = None

    @property
    def differs(self) -> bool:
        return bool(self.sought) if self.there else self.is_live


class KeptOrigins(KeptKeys):
    """Keys of the destination, those of the source's side with the keys of the items that they were made of.

    Several items of the source may have been made into one: then the destination may have any of them. All of them are
    looked at, and the first MOST_ORIGINS are given.
    """

    def add(self, side: str, digests: Iterable[tuple[Key, int]], origins: Sequence[Key] = ()) -> None:
        """Keep keys as KeptKeys does, with the source's key of each, where ``origins`` has them."""
        from_source, parts = side == "source", len(self._buffers)
        made = zip(digests, origins, strict=True) if origins else zip(digests, repeat(()), strict=False)
        for (key, digest), origin in made:
            first, second, body = _packed(key)
            head = _HEAD.pack(from_source, (digest & _DIGEST).to_bytes(16, "little"), first, second)
            one, other, text = _packed(origin)
            entry = b"".join((head, body, _ORIGIN.pack(one, other), text))
            self._buffers[zlib.crc32(body) % parts] += entry
            self._buffered += len(entry)
        self._make_room()

    def differing(self) -> Iterator[Candidates]:
        """The keys for which the destination has none of the items that the source has for them, or one and the source
        has none, in no order. Raises CheckpointUnusable."""
        for part in range(len(self._buffers)):
            yield from self._differing_of(part)

    def _differing_of(self, part: int) -> Iterator[Candidates]:
        theirs: dict[Key, set[int]] = {}
        for from_source, key, digest, _origin in self._made(part):
            if not from_source:
                theirs.setdefault(key, set()).add(digest)
        mine: dict[Key, _Seen] = {}
        for from_source, key, digest, origin in self._made(part):
            if from_source:
                seen = mine.get(key) or mine.setdefault(key, _Seen(set(theirs.get(key, ())), key in theirs))
                seen.take(digest, origin)
        yield from (Candidates(key, tuple(seen.origins)) for key, seen in mine.items() if seen.differs)
        yield from (Candidates(key) for key in theirs if key not in mine)

    def _made(self, part: int) -> Iterator[tuple[bool, Key, int, Key]]:
        for piece in self._pieces(part):
            position = 0
            while position < len(piece):
                from_source, digest, first, second = _HEAD.unpack_from(piece, position)
                key, position = _unpacked(piece, position + _HEAD.size, first, second)
                one, other = _ORIGIN.unpack_from(piece, position)
                origin, position = _unpacked(piece, position + _ORIGIN.size, one, other)
                yield from_source, key, int.from_bytes(digest, "little"), origin


def _packed(key: Key) -> tuple[int, int, bytes]:
    """The lengths of a key's values, and the values."""
    values = [value.encode("utf-8", "surrogatepass") for value in key]
    lengths = [*map(len, values), _NO_VALUE, _NO_VALUE]
    return lengths[0], lengths[1], b"".join(values)


def _unpacked(piece: bytes | bytearray, start: int, first: int, second: int) -> tuple[Key, int]:
    """The key whose values, of these lengths, begin at ``start``; where it ends."""
    values = []
    for length in (first, second):
        if length != _NO_VALUE:
            values.append(str(piece[start : start + length], "utf-8", "surrogatepass"))
            start += length
    return tuple(values), start
