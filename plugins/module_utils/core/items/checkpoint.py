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
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ..errors import CheckpointUnusable
from .named import MOST_NAMED, NamedItem
from .permit import pause
from .private_files import replace_text
from .scan import Segment, spread
from .tables import ItemTable

VERSION = 1
TRANSFORM_VERSION = 2  # of a copy with a transform, which versions that know none must not continue
LOCK_POLL_SECONDS = 0.05
LOCK_SECONDS = 10.0  # for which a lock is waited for: workers of a copy that was killed end after it


@dataclass(frozen=True)
class Counts:
    """What was moved: items, bytes of their JSON as read, capacity units (None where they were not requested), items
    sent again because AWS left them unprocessed, items left out because a page held their key twice, items of which
    attributes were left out.

    ``items`` were written. They were made of the source's items that were ``read``, and of those that functions
    ``added``; the others were ``kept_out`` or ``refused`` by the number of a step (0: by the table, for the key or the
    size). ``named`` are the first of those that were refused.
    """

    items: int = 0
    bytes: int = 0
    read_units: float | None = None
    write_units: float | None = None
    resent: int = 0
    duplicates: int = 0
    shortened: int = 0
    read: int = 0
    added: int = 0
    kept_out: Mapping[int, int] = field(default_factory=dict)
    refused: Mapping[int, int] = field(default_factory=dict)
    named: tuple[NamedItem, ...] = ()

    @property
    def balanced(self) -> bool:
        """Whether each item that was read or added was written, or is counted among the others."""
        return self.read + self.added == self.items + sum(self.kept_out.values()) + sum(self.refused.values())

    def __add__(self, other: Counts) -> Counts:
        return Counts(
            self.items + other.items,
            self.bytes + other.bytes,
            _sum(self.read_units, other.read_units),
            _sum(self.write_units, other.write_units),
            self.resent + other.resent,
            self.duplicates + other.duplicates,
            self.shortened + other.shortened,
            self.read + other.read,
            self.added + other.added,
            _merged(self.kept_out, other.kept_out),
            _merged(self.refused, other.refused),
            (self.named + other.named)[:MOST_NAMED] if other.named else self.named,
        )

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Counts:
        """Counts as ``asdict`` gives them, read from JSON; what was not counted yet is as in a copy without steps.
        Raises KeyError, TypeError, ValueError for anything else."""
        members = {each.name: data[each.name] for each in fields(cls) if each.name in data}
        members.setdefault("read", members["items"])
        for name in ("kept_out", "refused"):
            members[name] = {int(step): int(count) for step, count in members.get(name, {}).items()}
        members["named"] = tuple(NamedItem(each["key"], each["reason"]) for each in members.get("named", ()))
        return cls(**members)


def _merged(one: Mapping[int, int], other: Mapping[int, int]) -> Mapping[int, int]:
    return dict(Counter(one) + Counter(other)) if one and other else one or other


def _sum(units: float | None, more: float | None) -> float | None:
    return units if more is None else (units or 0.0) + more


class Checkpoint:
    """The segments of one copy: which are done, where the others stand, and the counts. Safe to use from any thread."""

    def __init__(
        self, source: ItemTable, destination: ItemTable, total: int, path: Path | None = None, transform: str = ""
    ) -> None:
        """A new checkpoint for ``total`` segments. Only ``save`` writes the file, and only with a ``path``.

        ``transform`` is the fingerprint of the copy's transform, "" for none.
        """
        self.total = total
        self.counts = Counts()
        self.resumed = False
        self._path = path
        self._transform = transform
        self._tables = {"source": _identity(source), "destination": _identity(destination)}
        self._positions: dict[int, bytes] = {}
        self._done: set[int] = set()
        self._waiting = deque(spread(total))
        self._lock = threading.Lock()
        self._saving = threading.Lock()

    @classmethod
    def load(
        cls, source: ItemTable, destination: ItemTable, total: int, path: Path | None = None, transform: str = ""
    ) -> Checkpoint:
        """The checkpoint in the file ``path``, or a new one for ``total`` segments where there is no file.

        The number of segments in the file is kept. Raises CheckpointUnusable for a file of other tables, of another
        transform or of another version, and for one that cannot be read.
        """
        if path is None or not path.exists():
            return cls(source, destination, total, path, transform)
        try:
            content = json.loads(path.read_bytes())
            if content["version"] not in (VERSION, TRANSFORM_VERSION):
                raise ValueError(f"its version is {content['version']}")
            checkpoint = cls(source, destination, int(content["segments"]), path, transform)
            began_with = str(content.get("transform", ""))
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
        if began_with != transform:
            raise CheckpointUnusable(
                f"The checkpoint {path} belongs to a copy {_changing(began_with, transform)}: a part of its items is"
                " in the destination.",
                "Let the copy go on as it began, or delete its destination table and this file to copy from the"
                " beginning.",
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
                "version": TRANSFORM_VERSION if self._transform else VERSION,
                **({"transform": self._transform} if self._transform else {}),
                "tables": self._tables,
                "segments": self.total,
                "done": _ranges(self._done),
                "positions": {str(number): json.loads(key) for number, key in self._positions.items()},
                "counts": asdict(self.counts),
            }

    def _restore(self, content: dict[str, Any]) -> None:
        self.resumed = True
        self.counts = Counts.from_json(content["counts"])
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


def _changing(began_with: str, transform: str) -> str:
    """How a copy differs from one with ``transform``, in words."""
    if not began_with:
        return "without a transform"
    return "with other transform steps, salts or functions" if transform else "with a transform, and there is none now"


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
