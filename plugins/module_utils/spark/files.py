# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the items of an export's data files into a table: what one Spark task does, and what it says of each file.

A task reads its files itself, so no item passes through the JVM (spark.md 5). A data file holds one range of hash keys:
several are open at once, so that a hot partition delays its own file only.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..core.items.answers import KeyReader, Slice
from ..core.items.carried import Carried
from ..core.items.exported import ExportedFile, read_items
from ..core.items.lanes import LOOK_SECONDS, Lanes
from ..core.items.named import MOST_NAMED, NamedItem
from ..core.items.throttle import Throttle
from ..core.items.transform.compiled import Transform
from ..core.items.transform.tally import Failure, Tally
from ..core.items.write import RefusedItem, Writer, Written, batches, most_items

OPEN_FILES = 8
POOL_BYTES = 16 * 1024 * 1024  # of items read and not yet written, per task
ASIDE_BYTES = 16 * 1024 * 1024  # besides, of batches that AWS keeps throttling
STUCK_BATCHES = 2  # of a file: as many show whether its partition takes more


@dataclass(frozen=True)
class FileResult:
    """What became of a file's items. ``read`` and those that functions ``added`` were ``kept_out`` or ``refused`` by
    the number of a step (0: by the table, for the key or the size), ``rejected`` by AWS, or ``written``.

    ``shortened`` of them were left without attributes of replication; ``resent`` requests for items were repeated;
    ``units`` are write capacity units, None where nobody asked for them. ``named`` are the first that were not written.
    ``etag`` and ``md5`` (base64) are those of the object, where the items went to one.
    """

    key: str
    read: int = 0
    added: int = 0
    written: int = 0
    kept_out: Mapping[str, int] = field(default_factory=dict)
    refused: Mapping[str, int] = field(default_factory=dict)
    rejected: int = 0
    shortened: int = 0
    resent: int = 0
    units: float | None = None
    named: tuple[NamedItem, ...] = ()
    etag: str = ""
    md5: str = ""

    @property
    def balanced(self) -> bool:
        """Whether each item was written or is counted among the others."""
        left = sum(self.kept_out.values()) + sum(self.refused.values()) + self.rejected
        return self.read + self.added == left + self.written

    def to_json(self) -> dict[str, Any]:
        """The result as JSON-safe data; ``from_json`` reads it."""
        return asdict(self)

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> FileResult:
        """A result that ``to_json`` made. Raises TypeError, KeyError for anything else."""
        named = tuple(NamedItem(each["key"], each["reason"]) for each in data.get("named", ()))
        return cls(**{**data, "named": named})


class FilesTask:
    """Writes data files with one ``writer``; ``stream`` gives the compressed bytes of a file, ``done`` gets its result
    when AWS has acknowledged all that was to be written of it. For one thread."""

    def __init__(
        self,
        lanes: Lanes,
        writer: Writer,
        transform: Transform,
        keys: KeyReader,
        carried: Carried,
        stream: Callable[[ExportedFile], Iterable[bytes]],
        done: Callable[[FileResult], None],
        throttle: Throttle | None = None,
    ) -> None:
        """``keys`` reads keys of the source, for items that are named."""
        self._lanes = lanes
        self._writer = writer
        self._transform = transform
        self._keys = keys
        self._carried = carried
        self._stream = stream
        self._done = done
        self._throttle = throttle
        self._files: deque[_File] = deque()
        self._bytes = 0

    def run(self, files: Sequence[ExportedFile]) -> None:
        """Write all ``files``. Raises what read_items, ``stream``, Writer.put and Lanes.turn raise; then some of the
        items of files without a result may be written."""
        todo = deque(files)
        while todo or self._files:
            while todo and len(self._files) < OPEN_FILES:
                self._files.append(self._opened(todo.popleft()))
            has_read = self._read_on()
            delay = self._write()
            self._lanes.turn(0.0 if has_read else delay)
            for file in [each for each in self._files if each.is_done]:
                self._files.remove(file)
                self._done(file.result())

    def _opened(self, file: ExportedFile) -> _File:
        opened = _File(file, read_items(self._stream(file), file))
        opened.tally.on_failure = lambda item, failure: self._name(opened, item, failure)
        return opened

    def _name(self, file: _File, item: Slice, failure: Failure) -> None:
        if len(file.named) < MOST_NAMED:
            file.named.append(NamedItem(self._keys.to_json(self._keys.of(item)), str(failure)))

    def _read_on(self) -> bool:
        """Read one piece of the file that has waited longest for it; whether there was room for one."""
        if self._bytes + self._writer.bytes >= POOL_BYTES or self._writer.bytes_aside >= ASIDE_BYTES:
            return False
        for _each in range(len(self._files)):
            file = self._files[0]
            self._files.rotate(-1)
            if not file.ended and file.stuck < STUCK_BATCHES:
                self._take(file)
                return True
        return False

    def _take(self, file: _File) -> None:
        items = next(file.pieces, None)
        if items is None:
            file.ended = True
            return
        kept = self._carried.of_page(b"".join(items), items)
        file.shortened += self._carried.shortened(items, kept)
        made = self._transform.of_items(kept, file.tally)
        if made:
            size = sum(map(len, made))
            file.waiting.extend(batches(made, most_items(self._throttle, len(made), size)))
            self._bytes += size

    def _write(self) -> float:
        """Write as many batches as may be under way; the seconds until there may be one more."""
        while True:
            if delay := self._writer.delay():
                return delay
            ready = [file for file in self._files if file.waiting and file.stuck < STUCK_BATCHES]
            if not ready:
                return LOOK_SECONDS
            file = min(ready, key=_under_way)
            batch = file.waiting.popleft()
            self._bytes -= sum(map(len, batch))
            file.under_way += 1
            self._writer.put(batch, _Batch(file, len(batch)))


@dataclass(eq=False)
class _File:
    """A file that is open: its batches that wait, how many are under way, and how many of those AWS takes nothing of.
    ``ended``: it was read to its end, and is what the manifest says."""

    file: ExportedFile
    pieces: Iterator[list[bytes]]
    waiting: deque[list[Slice]] = field(default_factory=deque)
    under_way: int = 0
    stuck: int = 0
    ended: bool = False
    tally: Tally = field(default_factory=Tally)
    written: int = 0
    rejected: int = 0
    shortened: int = 0
    resent: int = 0
    units: float | None = None
    named: list[NamedItem] = field(default_factory=list)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing left to do for it."""
        return self.ended and not self.waiting and not self.under_way

    def result(self) -> FileResult:
        """What became of its items."""
        counts = self.tally.to_json()
        return FileResult(
            self.file.key,
            read=self.tally.read,
            added=self.tally.added,
            written=self.written,
            kept_out=counts["kept_out"],
            refused=counts["refused"],
            rejected=self.rejected,
            shortened=self.shortened,
            resent=self.resent,
            units=self.units,
            named=tuple(self.named),
        )


def _under_way(file: _File) -> int:
    return file.under_way


@dataclass(eq=False)
class _Batch:
    """One batch under way, of ``items`` items, and the file that it is of."""

    file: _File
    items: int
    stuck: bool = False

    def acknowledge(self, written: Written) -> None:
        """AWS has acknowledged it."""
        file = self.file
        file.under_way -= 1
        file.stuck -= self.stuck
        file.written += self.items
        file.resent += written.resent
        if written.units is not None:
            file.units = (file.units or 0.0) + written.units

    def stick(self) -> None:
        """AWS keeps taking nothing of it."""
        self.stuck = True
        self.file.stuck += 1

    def refuse(self, item: RefusedItem) -> None:
        """AWS refuses one of its items."""
        self.items -= 1
        self.file.rejected += 1
        if len(self.file.named) < MOST_NAMED:
            self.file.named.append(NamedItem(item.key, item.reason))

    @property
    def gives_up(self) -> bool:
        """No: it is sent until AWS takes it, or the writer's patience ends."""
        return False

    def gave_up(self) -> None:
        """Never called, as ``gives_up`` is False."""
