# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table's items, ordered as DynamoDB orders them, in SQLite: linear scans, queries, indexes, and the past for PITR.

Items are ordered by a hash of the partition key, then by partition key and sort key. Bodies are compact JSON of
canonical items (``lab.dynamodb.values``) and come back byte for byte. A small table stays in memory, which takes no
file descriptor; a large one moves into a file.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from lab.dynamodb.values import (
    KEY_BYTES,
    AttributeValue,
    Item,
    binary_size,
    canonical_item,
    content_of,
    dump,
    encode_key,
    item_size,
    text_size,
)

MEMORY_BYTES = 16 * 1024 * 1024  # a table that is larger is kept in a file
PAGE_BYTES = 1024 * 1024  # what one Scan or Query reads at most (aws.md H)
_BEGINNING = b""
_END = b"\xff" * 9  # above every key: after the hash a key goes on with a type's letter
_ITERATED_ROWS = 500


class Row(NamedTuple):
    """An item as stored: its key's bytes, its size as AWS counts it (in an index: projected), its JSON."""

    key: bytes
    size: int
    body: bytes


@dataclass(frozen=True)
class Page:
    """Rows in order. ``more``: reading stopped at a limit, so that it may go on after the last row."""

    rows: list[Row]
    more: bool


class Change(NamedTuple):
    """What happened to one key between two times: the item before and after (None: there was none), the last write."""

    before: bytes | None
    after: bytes | None
    written_at: float


@dataclass(frozen=True)
class KeyEncoder:
    """Turns the key of a table or index into bytes that order as DynamoDB does."""

    hash_names: tuple[str, ...]
    range_names: tuple[str, ...]

    @classmethod
    def of(cls, key_schema: Sequence[Mapping[str, str]]) -> KeyEncoder:
        """From the API's KeySchema."""
        kinds = [(key["KeyType"], key["AttributeName"]) for key in key_schema]
        return cls(
            tuple(name for kind, name in kinds if kind == "HASH"),
            tuple(name for kind, name in kinds if kind == "RANGE"),
        )

    @property
    def names(self) -> tuple[str, ...]:
        """The key attributes, hash keys first."""
        return self.hash_names + self.range_names

    def partition(self, item: Mapping[str, AttributeValue]) -> bytes:
        """How the keys of all items start that share ``item``'s partition key."""
        encoded = b"".join(encode_key(item[name]) for name in self.hash_names)
        return hashlib.blake2b(encoded, digest_size=8).digest() + encoded

    def encode(self, item: Mapping[str, AttributeValue]) -> bytes:
        """The whole key; KeyError when ``item`` lacks a part of it."""
        return self.partition(item) + b"".join(encode_key(item[name]) for name in self.range_names)


@dataclass(frozen=True)
class _Index:
    table: str
    encoder: KeyEncoder
    projected: frozenset[str] | None  # None: all attributes

    def project(self, item: Item) -> Item:
        if self.projected is None:
            return item
        return {name: value for name, value in item.items() if name in self.projected}


@dataclass
class _Totals:
    count: int = 0
    size: int = 0
    indexes: dict[str, tuple[int, int]] = field(default_factory=dict)


class TableStore:
    """The items of one table. Safe to use from any thread; nothing is kept after ``close``.

    ``directory`` is made when the first file is needed. Items are canonical and hold their key in the right types: the
    caller has checked them. Times are epoch seconds.
    """

    def __init__(
        self,
        directory: Path,
        key_schema: Sequence[Mapping[str, str]],
        attribute_definitions: Sequence[Mapping[str, str]],
    ) -> None:
        self.lock = threading.RLock()
        self.encoder = KeyEncoder.of(key_schema)
        self._types = {each["AttributeName"]: each["AttributeType"] for each in attribute_definitions}
        self._directory = directory
        self._connection: sqlite3.Connection | None = None
        self._in_file = False
        self._in_transaction = False
        self._closed = False
        self._indexes: dict[str, _Index] = {}
        self._tables_made = 0
        self._totals = _Totals()
        self._journaling = False

    # Reading

    def count(self, index: str | None = None) -> int:
        """Number of items, of the table or of one index."""
        with self.lock:
            return self._totals.count if index is None else self._totals.indexes[index][0]

    def size_bytes(self, index: str | None = None) -> int:
        """Size of all items in bytes as AWS counts them, of the table or of one index."""
        with self.lock:
            return self._totals.size if index is None else self._totals.indexes[index][1]

    def get(self, key: Mapping[str, AttributeValue]) -> bytes | None:
        """The body of the item that has the key attributes of ``key``, or None."""
        encoded = self.encoder.encode(key)
        with self.lock:
            row = self._sql.execute("SELECT body FROM items WHERE key = ?", (encoded,)).fetchone()
        return row[0] if row else None

    def sized(self, key: Mapping[str, AttributeValue]) -> tuple[bytes, int] | None:
        """Body and size of the item that has the key attributes of ``key``, or None."""
        encoded = self.encoder.encode(key)
        with self.lock:
            row = self._sql.execute("SELECT body, size FROM items WHERE key = ?", (encoded,)).fetchone()
        return (row[0], row[1]) if row else None

    def page(
        self,
        *,
        index: str | None = None,
        lower: bytes = _BEGINNING,
        upper: bytes = _END,
        after: bytes | None = None,
        backward: bool = False,
        limit: int | None = None,
        limit_bytes: int = PAGE_BYTES,
        bodies: bool = True,
    ) -> Page:
        """Rows whose keys are from ``lower`` to below ``upper``, in order, at most ``limit`` and ``limit_bytes``.

        ``after`` is the key behind which to go on. One row is given even when it is larger than ``limit_bytes``.
        Without ``bodies`` only the last row has its body. Bodies of an index are projected.
        """
        order = "DESC" if backward else "ASC"
        table = "items" if index is None else self._indexes[index].table
        if after is not None and backward:
            upper = min(upper, after)
        elif after is not None:
            lower = max(lower, after + b"\0")  # one lower bound, so that SQLite starts right there
        rows: list[Row] = []
        size, more = 0, False
        with self.lock:
            # The index on (key, size) answers alone; bodies are fetched by rowid for the rows that are taken.
            columns = "rowid, key, size" if index is None else "item, key, size"
            cursor = self._sql.execute(
                f"SELECT {columns} FROM {table} WHERE key >= ? AND key < ? ORDER BY key {order}", (lower, upper)
            )
            references: list[Any] = []
            for reference, key, row_size in cursor:
                if rows and size + row_size > limit_bytes:
                    more = True
                    break
                size += row_size
                references.append(reference)
                rows.append(Row(key, row_size, b""))
                if limit is not None and len(rows) >= limit:
                    more = True
                    break
            cursor.close()
            start = 0 if bodies else max(0, len(rows) - 1)
            for position in range(start, len(rows)):
                rows[position] = rows[position]._replace(body=self._body(index, references[position]))
        return Page(rows, more)

    def _body(self, index: str | None, reference: Any) -> bytes:
        column = "rowid" if index is None else "key"
        (body,) = self._sql.execute(f"SELECT body FROM items WHERE {column} = ?", (reference,)).fetchone()
        if index is None or self._indexes[index].projected is None:
            return bytes(body)
        return dump(self._indexes[index].project(json.loads(body)))

    def scan(
        self,
        segment: int = 0,
        total_segments: int = 1,
        *,
        index: str | None = None,
        after: bytes | None = None,
        limit: int | None = None,
        limit_bytes: int = PAGE_BYTES,
        bodies: bool = True,
    ) -> Page:
        """A page of one of ``total_segments`` equal parts of the hash's range; see ``page``."""
        lower, upper = segment_bounds(segment, total_segments)
        return self.page(
            index=index, lower=lower, upper=upper, after=after, limit=limit, limit_bytes=limit_bytes, bodies=bodies
        )

    def position(self, item: Mapping[str, AttributeValue], index: str | None = None) -> bytes:
        """The key's bytes of ``item`` in the table or an index, for ``after``; KeyError when it lacks a part."""
        key = self.encoder.encode(item)
        return key if index is None else self._indexes[index].encoder.encode(item) + key

    def key_names(self, index: str | None = None) -> tuple[str, ...]:
        """The attributes that say where an item stands: an index's key, then the table's."""
        if index is None:
            return self.encoder.names
        return tuple(dict.fromkeys(self._indexes[index].encoder.names + self.encoder.names))

    # Writing

    def put(self, item: Item, size: int | None = None, time: float = 0.0) -> bytes | None:
        """Write ``item`` (``size`` in bytes when the caller knows it) at ``time``; the body it replaced, or None."""
        return self._write(self.encoder.encode(item), item, item_size(item) if size is None else size, time)

    def delete(self, key: Mapping[str, AttributeValue], time: float = 0.0) -> bytes | None:
        """Delete the item with that key at ``time``; the body that was there, or None."""
        return self._write(self.encoder.encode(key), None, 0, time)

    @contextmanager
    def transaction(self) -> Iterator[None]:
        """All writes within happen, or none when the block raises; other threads wait."""
        with self.lock:
            if self._in_transaction:
                yield
                return
            totals = _Totals(self._totals.count, self._totals.size, dict(self._totals.indexes))
            self._sql.execute("BEGIN")
            self._in_transaction = True
            try:
                yield
            except BaseException:
                self._sql.execute("ROLLBACK")
                self._totals = totals
                raise
            else:
                self._sql.execute("COMMIT")
            finally:
                self._in_transaction = False
            self._move_when_large()

    def _write(self, key: bytes, item: Item | None, size: int, time: float) -> bytes | None:
        with self.lock:
            sql = self._sql
            row = sql.execute("SELECT rowid, size, body FROM items WHERE key = ?", (key,)).fetchone()
            if row is None and item is None:
                return None
            rowid, old_size, old = row or (None, 0, None)
            with self._together():
                if item is None:
                    sql.execute("DELETE FROM items WHERE rowid = ?", (rowid,))
                elif rowid is None:
                    sql.execute("INSERT INTO items(key, size, body) VALUES (?, ?, ?)", (key, size, dump(item)))
                else:
                    sql.execute("UPDATE items SET size = ?, body = ? WHERE rowid = ?", (size, dump(item), rowid))
                if self._journaling:
                    sql.execute("INSERT INTO journal(key, time, before) VALUES (?, ?, ?)", (key, time, old))
                if self._indexes:
                    self._reindex(key, json.loads(old) if old is not None else None, item)
                self._totals.count += (item is not None) - (rowid is not None)
                self._totals.size += size - old_size
            return old

    @contextmanager
    def _together(self) -> Iterator[None]:
        """A transaction where one write has several statements."""
        if self._in_transaction or not (self._indexes or self._journaling):
            yield
            if not self._in_transaction:
                self._move_when_large()
            return
        with self.transaction():
            yield

    # Indexes

    def add_index(
        self,
        name: str,
        key_schema: Sequence[Mapping[str, str]],
        projection: Mapping[str, Any],
        attribute_definitions: Sequence[Mapping[str, str]] = (),
    ) -> None:
        """Make a secondary index and fill it. Items without its key attributes, or with those that are of other types,
        empty or too long, are not in it.

        ``attribute_definitions`` are those that came with the index.
        """
        with self.transaction():
            self._types.update({each["AttributeName"]: each["AttributeType"] for each in attribute_definitions})
            encoder = KeyEncoder.of(key_schema)
            projected = None
            if projection.get("ProjectionType") != "ALL":
                projected = frozenset((*encoder.names, *self.encoder.names, *projection.get("NonKeyAttributes", ())))
            self._tables_made += 1
            index = _Index(f"index_{self._tables_made}", encoder, projected)
            self._sql.execute(
                f"CREATE TABLE {index.table} (key BLOB PRIMARY KEY, item BLOB, size INTEGER) WITHOUT ROWID"
            )
            self._indexes[name] = index
            self._totals.indexes[name] = (0, 0)
            for key, body in self._sql.execute("SELECT key, body FROM items"):
                self._enter(name, index, key, json.loads(body), 1)

    def remove_index(self, name: str) -> None:
        """Drop a secondary index."""
        with self.transaction():
            self._sql.execute(f"DROP TABLE {self._indexes.pop(name).table}")
            del self._totals.indexes[name]

    def index_names(self) -> list[str]:
        """The secondary indexes."""
        return list(self._indexes)

    def projects(self, name: str, attributes: Iterable[str]) -> bool:
        """Whether the index has all of these attributes."""
        projected = self._indexes[name].projected
        return projected is None or projected.issuperset(attributes)

    def index_entries(self, item: Item | None) -> dict[str, tuple[bytes, Item, int]]:
        """For each index that takes ``item``: the place there, what is projected, and its size in bytes."""
        entries: dict[str, tuple[bytes, Item, int]] = {}
        if item is None:
            return entries
        for name, index in self._indexes.items():
            if self._takes(index, item):
                projected = index.project(item)
                entries[name] = (index.encoder.encode(item), projected, item_size(projected))
        return entries

    def _takes(self, index: _Index, item: Item) -> bool:
        kinds = (("HASH", index.encoder.hash_names), ("RANGE", index.encoder.range_names))
        return all(self._fits(item, name, KEY_BYTES[kind]) for kind, names in kinds for name in names)

    def _reindex(self, key: bytes, old: Item | None, new: Item | None) -> None:
        for name, index in self._indexes.items():
            if old is not None:
                self._enter(name, index, key, old, -1)
            if new is not None:
                self._enter(name, index, key, new, 1)

    def _enter(self, name: str, index: _Index, key: bytes, item: Item, step: int) -> None:
        """Add (``step`` 1) an item to an index or take it out (-1), if it belongs there."""
        if not self._takes(index, item):
            return
        place = index.encoder.encode(item) + key
        size = item_size(index.project(item)) if index.projected is not None else canonical_item(item)[1]
        if step > 0:
            self._sql.execute(f"INSERT INTO {index.table}(key, item, size) VALUES (?, ?, ?)", (place, key, size))
        else:
            self._sql.execute(f"DELETE FROM {index.table} WHERE key = ?", (place,))
        count, total = self._totals.indexes[name]
        self._totals.indexes[name] = (count + step, total + step * size)

    def _fits(self, item: Item, name: str, most_bytes: int) -> bool:
        kinds = self._types.get(name, "SNB")  # of an index whose definitions nobody gave, any key's type fits
        if name not in item:
            return False
        kind, content = content_of(item[name])
        if kind not in kinds or kind == "N":
            return kind in kinds
        return 0 < (text_size(content) if kind == "S" else binary_size(content)) <= most_bytes

    # The past

    def enable_journal(self, time: float) -> None:
        """Remember every write from ``time`` on, as point-in-time recovery does. What was remembered is forgotten."""
        with self.lock:
            if not self._journaling:
                self._sql.execute("DELETE FROM journal")
                self._journaling = True

    def disable_journal(self) -> None:
        """Stop remembering. Running exports continue with what was remembered."""
        with self.lock:
            self._journaling = False

    def items_at(self, time: float) -> Iterator[tuple[bytes, bytes]]:
        """(key, body) of every item as of ``time``, writes at that very time included, in order.

        Writes that happen meanwhile do not matter: each step reads what is there and undoes what came after ``time``.
        Without a journal it is what is there now.
        """
        after = _BEGINNING
        while after != _END:
            with self.lock:
                rows = self._sql.execute(
                    "SELECT key, body FROM items WHERE key > ? ORDER BY key LIMIT ?", (after, _ITERATED_ROWS)
                ).fetchall()
                upto = rows[-1][0] if len(rows) == _ITERATED_ROWS else _END
                undone = self._first_entries("time > ?", (time,), after, upto)
            bodies = dict(rows)
            bodies.update({key: before for key, (_, before, _) in undone.items()})
            yield from ((key, bodies[key]) for key in sorted(bodies) if bodies[key] is not None)
            after = upto

    def changes_between(self, start: float, end: float) -> Iterator[Change]:
        """One change for each key that was written from ``start`` to before ``end``, in order of keys (aws.md A7).

        An item that was neither there before nor after gives none.
        """
        with self.lock:
            changed = self._first_entries("time >= ? AND time < ?", (start, end), _BEGINNING, _END)
            later = self._first_entries("time >= ?", (end,), _BEGINNING, _END)
        for key in sorted(changed):
            _, before, written_at = changed[key]
            if key in later:
                after = later[key][1]
            else:
                with self.lock:
                    row = self._sql.execute("SELECT body FROM items WHERE key = ?", (key,)).fetchone()
                after = row[0] if row else None
            if before is not None or after is not None:
                yield Change(before, after, written_at)

    def _first_entries(
        self, condition: str, times: tuple[float, ...], after: bytes, upto: bytes
    ) -> dict[bytes, tuple[float, bytes | None, float]]:
        """By key the first journal entry that meets ``condition``: its number, the body before it, the last's time."""
        # SQLite takes bare columns from the row that has the minimum; the last time needs a pass of its own.
        entries = self._sql.execute(
            f"SELECT key, min(number), before FROM journal WHERE key > ? AND key <= ? AND {condition} GROUP BY key",
            (after, upto, *times),
        ).fetchall()
        last = dict(
            self._sql.execute(
                f"SELECT key, max(time) FROM journal WHERE key > ? AND key <= ? AND {condition} GROUP BY key",
                (after, upto, *times),
            ).fetchall()
        )
        return {key: (number, before, last[key]) for key, number, before in entries}

    # The database

    @property
    def _sql(self) -> sqlite3.Connection:
        if self._connection is None:
            if self._closed:
                raise RuntimeError("The store of this table is closed.")
            self._connection = _connect(":memory:")
            self._connection.executescript(
                "CREATE TABLE items (key BLOB, size INTEGER, body BLOB);"
                "CREATE INDEX items_key ON items (key, size);"
                "CREATE TABLE journal (number INTEGER PRIMARY KEY, key BLOB, time REAL, before BLOB);"
                "CREATE INDEX journal_key ON journal (key, time);"
            )
        return self._connection

    def _move_when_large(self) -> None:
        if self._in_file or self._totals.size <= MEMORY_BYTES:
            return
        self._directory.mkdir(parents=True, exist_ok=True)
        on_disk = _connect(str(self._directory / "items.sqlite"))
        self._sql.backup(on_disk)
        self._sql.close()
        self._connection, self._in_file = on_disk, True

    def close(self) -> None:
        """Forget everything."""
        with self.lock:
            self._closed = True
            if self._connection is not None:
                self._connection.close()
                self._connection = None


def segment_bounds(segment: int, total_segments: int) -> tuple[bytes, bytes]:
    """Where the keys of a parallel scan's segment start, and where the next segment's do."""

    def boundary(number: int) -> bytes:
        return _END if number == total_segments else ((number << 64) // total_segments).to_bytes(8, "big")

    return boundary(segment), boundary(segment + 1)


def after_all(prefix: bytes) -> bytes:
    """The lowest bound above all keys that start with ``prefix``, which holds more than bytes of 255."""
    kept = prefix.rstrip(b"\xff")
    return kept[:-1] + bytes([kept[-1] + 1])


def _connect(path: str) -> sqlite3.Connection:
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
    # Nothing outlives the world, so nothing needs to survive a crash.
    for setting in ("journal_mode = MEMORY", "synchronous = OFF", "temp_store = MEMORY", "cache_size = -32768"):
        connection.execute(f"PRAGMA {setting}")
    return connection
