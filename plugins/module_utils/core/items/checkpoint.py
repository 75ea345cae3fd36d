# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The progress of a copy, segment by segment, in a small file that survives a kill at any moment.

It holds only what AWS has acknowledged: a continued copy reads and puts again what was under way. An item put twice is
the same item; it is counted once. Only one copy at a time may keep a file (``locked``).
"""

from __future__ import annotations

import fcntl
import json
import os
import socket
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from ..errors import CheckpointUnusable
from .permit import pause
from .private_files import replace_text
from .scan import Segment, spread
from .tables import ItemTable

VERSION = 1
LOCK_POLL_SECONDS = 0.05
LOCK_SECONDS = 10.0  # for which a lock is waited for: workers of a copy that was killed end after it


@dataclass(frozen=True)
class Counts:
    """What was moved: items, bytes of their JSON as read, capacity units (None where they were not requested), items
    sent again because AWS left them unprocessed, items left out because a page held their key twice, items of which
    attributes were left out."""

    items: int = 0
    bytes: int = 0
    read_units: float | None = None
    write_units: float | None = None
    resent: int = 0
    duplicates: int = 0
    shortened: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.items + other.items,
            self.bytes + other.bytes,
            _sum(self.read_units, other.read_units),
            _sum(self.write_units, other.write_units),
            self.resent + other.resent,
            self.duplicates + other.duplicates,
            self.shortened + other.shortened,
        )


def _sum(units: float | None, more: float | None) -> float | None:
    return units if more is None else (units or 0.0) + more


class Checkpoint:
    """The segments of one copy: which are done, where the others stand, and the counts. Safe to use from any thread."""

    def __init__(self, source: ItemTable, destination: ItemTable, total: int, path: Path | None = None) -> None:
        """A new checkpoint for ``total`` segments. Only ``save`` writes the file, and only with a ``path``."""
        self.total = total
        self.counts = Counts()
        self.resumed = False
        self._path = path
        self._tables = {"source": _identity(source), "destination": _identity(destination)}
        self._positions: dict[int, bytes] = {}
        self._done: set[int] = set()
        self._waiting = deque(spread(total))
        self._lock = threading.Lock()
        self._saving = threading.Lock()

    @classmethod
    def load(cls, source: ItemTable, destination: ItemTable, total: int, path: Path | None = None) -> Checkpoint:
        """The checkpoint in the file ``path``, or a new one for ``total`` segments where there is no file.

        The number of segments in the file is kept. Raises CheckpointUnusable for a file of other tables or of another
        version, and for one that cannot be read.
        """
        if path is None or not path.exists():
            return cls(source, destination, total, path)
        try:
            content = json.loads(path.read_bytes())
            if content["version"] != VERSION:
                raise ValueError(f"its version is {content['version']}")
            checkpoint = cls(source, destination, int(content["segments"]), path)
            checkpoint._restore(content)
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise CheckpointUnusable(
                f"The checkpoint {path} cannot be read ({error}).",
                "Remove it to copy from the beginning, or use another file.",
                table=source.name,
            ) from error
        if content["tables"] != checkpoint._tables:
            raise CheckpointUnusable(
                f"The checkpoint {path} belongs to another copy: {_both(content['tables'])}, not"
                f" {_both(checkpoint._tables)}.",
                "Use another file. If a table was created again, remove this file to copy from the beginning.",
                table=source.name,
            )
        return checkpoint

    @property
    def done(self) -> int:
        """How many segments are done."""
        return len(self._done)

    @property
    def complete(self) -> bool:
        """Whether all segments are done."""
        return len(self._done) == self.total

    def next_segment(self) -> Segment | None:
        """A segment that no worker has taken yet, those begun by an earlier run first; None when all are taken."""
        with self._lock:
            if not self._waiting:
                return None
            number = self._waiting.popleft()
            return Segment(number, self.total, self._positions.get(number, b""))

    @property
    def waiting(self) -> int:
        """How many segments no worker has taken."""
        return len(self._waiting)

    def give_back(self, numbers: Iterable[int]) -> None:
        """Segments that were taken are to be taken again, before all others, each from where it was acknowledged."""
        with self._lock:
            self._waiting.extendleft(number for number in numbers if number not in self._done)

    def advance(self, number: int, next_key: bytes, counts: Counts) -> None:
        """Note that segment ``number`` is acknowledged up to ``next_key`` (b"": to its end), and add ``counts``."""
        with self._lock:
            self.counts += counts
            if next_key:
                self._positions[number] = next_key
            else:
                self._positions.pop(number, None)
                self._done.add(number)

    def save(self) -> None:
        """Write the file, whole or not at all; it is on the disk when this returns. Raises CheckpointUnusable."""
        if self._path is None:
            return
        with self._saving:
            try:
                replace_text(
                    self._path,
                    json.dumps(self._to_json(), separators=(",", ":")),
                    first=f".{self._path.name}.new",
                )
            except OSError as error:
                raise CheckpointUnusable(
                    f"The checkpoint {self._path} cannot be written: {error.strerror}.",
                    "Free space on the disk or use a file that can be written, then run again.",
                ) from error

    def _to_json(self) -> dict[str, Any]:
        with self._lock:
            return {
                "version": VERSION,
                "tables": self._tables,
                "segments": self.total,
                "done": _ranges(self._done),
                "positions": {str(number): json.loads(key) for number, key in self._positions.items()},
                "counts": asdict(self.counts),
            }

    def _restore(self, content: dict[str, Any]) -> None:
        self.resumed = True
        self.counts = Counts(**{each.name: content["counts"].get(each.name, each.default) for each in fields(Counts)})
        self._done = {number for first, last in content["done"] for number in range(first, last + 1)}
        self._positions = {int(number): json.dumps(key).encode() for number, key in content["positions"].items()}
        begun = sorted(self._positions)
        self._waiting = deque(begun)
        self._waiting.extend(
            number for number in spread(self.total) if number not in self._done and number not in self._positions
        )


@contextmanager
def locked(path: Path | None, look: Callable[[], None] | None = None) -> Iterator[list[int]]:
    """Keep the checkpoint ``path`` for this process and those that inherit the open files given; none without a path.

    The lock goes with the last process that has inherited it, however it ends. Raises CheckpointUnusable when another
    copy has it for longer than ten seconds, or when it cannot be made, and what ``look`` does.
    """
    if path is None:
        yield []
        return
    place = path.with_name(f".{path.name}.lock")
    handle = _lock(path, place, look)
    try:
        yield [handle]
    finally:
        place.unlink(missing_ok=True)
        os.close(handle)


def _lock(path: Path, place: Path, look: Callable[[], None] | None) -> int:
    patience = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            handle = os.open(place, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise CheckpointUnusable(
                f"The checkpoint {path} cannot be written: {error.strerror}.",
                "Use a file that can be written, then run again.",
            ) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if _is_at(handle, place):
                os.ftruncate(handle, 0)
                os.write(handle, f"process {os.getpid()} on {socket.gethostname()}".encode())
                return handle
        except BlockingIOError as error:
            if time.monotonic() > patience:
                holder = os.pread(handle, 500, 0).decode(errors="replace")
                os.close(handle)
                raise CheckpointUnusable(
                    f"Another copy uses the checkpoint {path}: {holder or 'a process that has just begun'}.",
                    "Wait until it has ended, or end it, then run again: the copy continues.",
                    details={"holder": holder},
                ) from error
        except OSError:  # a file system without locks
            return handle
        os.close(handle)
        pause(LOCK_POLL_SECONDS, look)


def _is_at(handle: int, place: Path) -> bool:
    """Whether the open file is still the one at ``place``: who had the lock before removes it."""
    try:
        return os.path.samestat(os.fstat(handle), place.stat())
    except FileNotFoundError:
        return False


def _identity(table: ItemTable) -> dict[str, str]:
    return {"table": table.name, "id": table.table_id or table.endpoint.url}


def _both(tables: dict[str, dict[str, str]]) -> str:
    return " to ".join(f"{each['table']} ({each['id']})" for each in tables.values())


def _ranges(numbers: set[int]) -> list[list[int]]:
    """``numbers`` as first and last of each unbroken range."""
    ranges: list[list[int]] = []
    for number in sorted(numbers):
        if ranges and ranges[-1][1] == number - 1:
            ranges[-1][1] = number
        else:
            ranges.append([number, number])
    return ranges
