# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of keys with where they come from, counted in memory that does not grow: what is too much goes to disk.

    with KeptDigests(expected=48_000_000, folder=Path("~/.tableferry")) as kept:
        kept.add_packed(packed([digest], [item], portion=3))
        doubled = kept.doubled(most=10)

No key is in the file, only digests; it is as private as that of KeptKeys.
"""

from __future__ import annotations

import struct
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..errors import CheckpointUnusable
from .kept_keys import MEMORY_BYTES, PART_KEYS, KeptKeys
from .private_files import in_words

AT_ONCE = 200_000  # digests that are counted at once, in about 30 MB
FEWEST_PARTS = 256

_ENTRY = struct.Struct("<16sQI")  # digest of a key, of the item that gets it, and the item's portion
_DIGEST = struct.Struct(f"<16s{_ENTRY.size - 16}x")
_PLACE = struct.Struct(f"<I{_ENTRY.size - 4}x")
_WHOLE = struct.Struct(f"{_ENTRY.size}s")
_64_BITS = (1 << 64) - 1
ENTRY_BYTES = _ENTRY.size  # that a key takes in memory or on disk


def packed(digests: Sequence[int], items: Sequence[int], portion: int) -> bytes:
    """Entries of keys with these ``digests``, of 128 bits, that get ``items`` (digests as well, of 64 bits) of the
    portion of that number."""
    pack = _ENTRY.pack
    return b"".join(
        [
            pack(digest.to_bytes(16, "little"), item & _64_BITS, portion)
            for digest, item in zip(digests, items, strict=True)
        ]
    )


@dataclass(frozen=True)
class Doubled:
    """``count`` digests were there with more than one item, with ``more`` items than digests; the first of them, each
    with the numbers of the portions that its items are in."""

    count: int = 0
    more: int = 0
    first: Mapping[int, frozenset[int]] = field(default_factory=dict)

    @property
    def portions(self) -> list[int]:
        """The numbers of the portions that hold the first ones."""
        return sorted({number for numbers in self.first.values() for number in numbers})


class KeptDigests(KeptKeys):
    """The digests. An item that is added again with its digest, as one that a scan gives twice, is the same."""

    def __init__(self, expected: int = 0, folder: Path | None = None, memory_bytes: int = MEMORY_BYTES) -> None:
        # AWS's count of items may be that of a table which was empty hours ago.
        super().__init__(max(expected, FEWEST_PARTS * PART_KEYS), folder, memory_bytes)

    def __enter__(self) -> KeptDigests:
        return self

    def add_packed(self, entries: bytes) -> None:
        """Keep ``packed`` entries. Raises CheckpointUnusable when the disk takes no more."""
        buffers, parts = self._buffers, len(self._buffers)
        for (place,), (entry,) in zip(_PLACE.iter_unpack(entries), _WHOLE.iter_unpack(entries), strict=True):
            buffers[place % parts] += entry
        self._buffered += len(entries)
        if self._folder is not None and self._buffered > self._memory_bytes:
            self._write(self._folder)

    def doubled(self, most: int) -> Doubled:
        """What is there more than once, with the first ``most``. Raises CheckpointUnusable."""
        result = Doubled()
        for part in range(len(self._buffers)):
            entries = sum(self._places[part][1::2], len(self._buffers[part])) // _ENTRY.size
            turns = max(1, -(-entries // AT_ONCE))
            for turn in range(turns):
                result = _together(result, self._doubled_of(part, turn, turns), most)
        return result

    def _doubled_of(self, part: int, turn: int, turns: int) -> Doubled:
        """As ``doubled``, of one of the ``turns`` in which a part is counted."""
        digests = [
            digest
            for piece in self._pieces(part)
            for (digest,) in _DIGEST.iter_unpack(piece)
            if _turn(digest, turns) == turn
        ]
        if len(set(digests)) == len(digests):
            return Doubled()
        suspect = {digest for digest, count in Counter(digests).items() if count > 1}
        del digests
        items: dict[bytes, dict[int, int]] = {}
        for piece in self._pieces(part):
            for digest, item, portion in _ENTRY.iter_unpack(piece):
                if digest in suspect:
                    items.setdefault(digest, {})[item] = portion
        doubled = {digest: portions for digest, portions in items.items() if len(portions) > 1}
        first = {int.from_bytes(digest, "little"): frozenset(each.values()) for digest, each in doubled.items()}
        return Doubled(len(doubled), sum(len(each) - 1 for each in doubled.values()), first)

    def _unusable(self, error: OSError) -> CheckpointUnusable:
        return CheckpointUnusable(
            f"The digests of the transformed keys cannot be kept in {self._folder}: {in_words(error)}, after"
            f" {self._written:,} bytes.",
            "Make room there or set work_dir to another directory, then run again; or set on_collision to any, and the"
            " keys are not looked at.",
        )


def _turn(digest: bytes, turns: int) -> int:
    # By other bits than those that chose the part.
    return int.from_bytes(digest[8:], "little") % turns if turns > 1 else 0


def _together(one: Doubled, other: Doubled, most: int) -> Doubled:
    if not other.count:
        return one
    first = dict(one.first)
    for digest, portions in other.first.items():
        if len(first) >= most:
            break
        first[digest] = portions
    return Doubled(one.count + other.count, one.more + other.more, first)
