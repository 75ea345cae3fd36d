# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Writes the items of an export's data files to objects of the same form, for an import: what one Spark task does.

Each data file becomes one object, whose name follows from it. The object is written whole by one request and only where
there is none, so that a task which was killed leaves none, one that is repeated none besides, and a late one changes
nothing that an import may be reading (aws.md B2: objects must not change). What became of its items is said in its
metadata: whoever finds the object there takes that for the result.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from tempfile import SpooledTemporaryFile
from typing import IO, Any, Protocol

from ..core.errors import ServiceError
from ..core.items.answers import KeyReader, Slice
from ..core.items.carried import Carried
from ..core.items.deflate import compressobj
from ..core.items.exported import ExportedFile, read_items
from ..core.items.named import MOST_NAMED, NamedItem
from ..core.items.transform.compiled import Transform
from ..core.items.transform.tally import Failure, Tally
from .files import FileResult

SPOOLED_BYTES = 32 * 1024 * 1024  # of an object that are kept in memory; a larger one is a file without a name
COUNTS = "tableferry-counts"  # the object's metadata
_COUNTED = ("read", "added", "written", "kept_out", "refused", "shortened", "md5")


class Objects(Protocol):
    """Where the objects are written."""

    def write_new(self, key: str, body: IO[bytes], md5: bytes, metadata: dict[str, str]) -> str | None:
        """Write the object unless there is one: its ETag, None where there is one. Raises ServiceError."""

    def about(self, key: str) -> tuple[str, dict[str, str]]:
        """ETag and metadata of an object. Raises ServiceError."""


@dataclass(frozen=True)
class ObjectsTask:
    """Changes data files by ``transform`` and writes each to the object that ``key_of`` names. ``keys`` reads keys of
    the source, ``stream`` gives the compressed bytes of a file."""

    objects: Objects
    transform: Transform
    keys: KeyReader
    carried: Carried
    stream: Callable[[ExportedFile], Iterable[bytes]]
    key_of: Callable[[ExportedFile], str]

    def run(self, files: Sequence[ExportedFile], done: Callable[[FileResult], None]) -> None:
        """Write all ``files``; ``done`` gets the result of each when its object is there. Raises what read_items,
        ``stream`` and the objects raise."""
        for file in files:
            done(self._written(file))

    def _written(self, file: ExportedFile) -> FileResult:
        tally, named = Tally(), list[NamedItem]()

        def name(item: Slice, failure: Failure) -> None:
            if len(named) < MOST_NAMED:
                named.append(NamedItem(self.keys.to_json(self.keys.of(item)), str(failure)))

        tally.on_failure = name
        with SpooledTemporaryFile(SPOOLED_BYTES) as body:
            digest = hashlib.md5(usedforsecurity=False)
            shortened = self._deflate(file, tally, body, digest)
            counts = tally.to_json()
            result = FileResult(
                file.key,
                read=tally.read,
                added=tally.added,
                written=tally.made,
                kept_out=counts["kept_out"],
                refused=counts["refused"],
                shortened=shortened,
                named=tuple(named),
                md5=b64encode(digest.digest()).decode(),
            )
            etag = self.objects.write_new(self.key_of(file), body, digest.digest(), {COUNTS: _counts(result)})
        return self._found(file, result) if etag is None else replace(result, etag=etag)

    def _deflate(self, file: ExportedFile, tally: Tally, body: IO[bytes], digest: hashlib._Hash) -> int:
        """Write the items that become of the file's to ``body``; how many lost attributes of replication."""
        deflater, shortened = compressobj(), 0

        def write(data: bytes) -> None:
            digest.update(data)
            body.write(data)

        for items in read_items(self.stream(file), file):
            kept = self.carried.of_page(b"".join(items), items)
            shortened += self.carried.shortened(items, kept)
            made = self.transform.of_items(kept, tally)
            write(deflater.compress(b"".join([b'{"Item":%b}\n' % bytes(item) for item in made])))
        write(deflater.flush())
        return shortened

    def _found(self, file: ExportedFile, own: FileResult) -> FileResult:
        """The result of whoever has written the object first; a function may have made other items than this time."""
        key = self.key_of(file)
        etag, metadata = self.objects.about(key)
        try:
            return replace(own, etag=etag, **{name: json.loads(metadata[COUNTS])[name] for name in _COUNTED})
        except (ValueError, KeyError, TypeError) as error:
            raise ServiceError(
                f"The object {key} is there, and was not written by this job.",
                "Find out who writes to the staging bucket, and delete the object; then run again.",
                details={"key": key},
            ) from error


def _counts(result: FileResult) -> str:
    counts: dict[str, Any] = {name: getattr(result, name) for name in _COUNTED}
    return json.dumps(counts, separators=(",", ":"))
