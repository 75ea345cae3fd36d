# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports to read: data files as DynamoDB writes them, with items of the size and the compressibility of the issue's.

An item follows from its number, as in ``benchmarks.items``; its note is made of words, so that gzip takes a fifth.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import json
import random
from dataclasses import dataclass
from pathlib import Path

from benchmarks.items import SLOTS, template

WORDS, NOTES = 60, 2000
ITEM_BYTES = 1000
GZIP_LEVEL = 6


@dataclass(frozen=True)
class DataFile:
    """One data file: its key, which is its path below the folder too, its items, and MD5 in base64."""

    key: str
    items: int
    md5: str


@dataclass(frozen=True)
class Export:
    """The data files below ``folder``; ``bytes`` are those of the items' text, ``packed`` those of the files."""

    folder: Path
    files: tuple[DataFile, ...]
    bytes: int
    packed: int

    @property
    def items(self) -> int:
        """How many items all files have."""
        return sum(file.items for file in self.files)


def make_export(folder: Path, items: int, files: int) -> Export:
    """An export of ``items`` in so many ``files`` below ``folder``; the same bytes each time, so one that is there is
    taken as it is."""
    known = folder / f"export-{items}-{files}.json"
    if known.exists():
        found = json.loads(known.read_text())
        return Export(folder, tuple(DataFile(**each) for each in found["files"]), found["bytes"], found["packed"])
    templates, made, text, packed = _templates(), [], 0, 0
    for number in range(files):
        numbers = range(items * number // files, items * (number + 1) // files)
        body = b"".join(templates[each % NOTES] % ((each,) * SLOTS) for each in numbers)
        content = gzip.compress(body, GZIP_LEVEL, mtime=0)
        key = f"export-{items}-{files}/{number:06d}.json.gz"
        path = folder / key
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        md5 = base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()
        made.append(DataFile(key, len(numbers), md5))
        text, packed = text + len(body), packed + len(content)
    known.write_text(json.dumps({"files": [vars(each) for each in made], "bytes": text, "packed": packed}))
    return Export(folder, tuple(made), text, packed)


def _templates() -> list[bytes]:
    """Items whose notes differ, with the place of their number left: further apart than gzip looks back."""
    chosen = random.Random(1)
    words = ["".join(chosen.choices("abcdefghijklmnopqrstuvwxyz", k=chosen.randint(2, 10))) for _each in range(WORDS)]
    templates = []
    for _each in range(NOTES):
        item = json.loads(template(ITEM_BYTES))
        length = len(item["note"]["S"])
        item["note"]["S"] = " ".join(chosen.choices(words, k=length // 2))[:length]
        item["digest"]["B"] = base64.b64encode(chosen.randbytes(11)).decode()
        templates.append(b'{"Item":%s}\n' % json.dumps(item, separators=(",", ":")).encode())
    return templates
