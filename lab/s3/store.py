# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What S3 remembers: buckets and the versions of their objects, with bodies as files where they are large.

Permissions are checked elsewhere.
"""

from __future__ import annotations

import hashlib
import itertools
from bisect import bisect_left, insort
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lab.partitions import partition_of

UNVERSIONED = "null"
MEMORY_BYTES = 16 * 1024  # up to which a body stays in memory: most are manifests and probes, and files cost more


@dataclass(frozen=True)
class WriteOptions:
    """How an object is written, in the words of S3's headers.

    ``sse_algorithm`` is ``AES256``, ``aws:kms`` or empty for the bucket's default, ``kms_key_id`` an id, ARN or alias,
    ``acl`` a canned ACL or empty.
    """

    sse_algorithm: str = ""
    kms_key_id: str = ""
    acl: str = ""
    content_type: str = "binary/octet-stream"
    metadata: Mapping[str, str] = field(default_factory=dict)
    if_none_match: bool = False
    if_match: str = ""


@dataclass(frozen=True)
class StoredObject:
    """One version of an object; ``content`` is the body, or its file, and None for a delete marker.

    ``etag`` stands without its quotes.
    """

    key: str
    version_id: str
    size: int
    etag: str
    modified_at: float
    owner: str
    content: Path | bytes | None
    sse_algorithm: str
    kms_key_arn: str
    acl: str
    content_type: str
    metadata: Mapping[str, str]
    lock_mode: str = ""
    locked_until: float = 0.0

    def read(self) -> bytes:
        """The body."""
        return self.content.read_bytes() if isinstance(self.content, Path) else self.content or b""

    @property
    def is_marker(self) -> bool:
        """Whether this is a delete marker."""
        return self.content is None


@dataclass
class Upload:
    """A multipart upload that is under way; ``parts`` maps part numbers to files."""

    id: str
    key: str
    owner: str
    started_at: float
    options: WriteOptions
    parts: dict[int, Path] = field(default_factory=dict)


@dataclass(frozen=True)
class Listing:
    """One page of keys: objects, common prefixes, and where the next page starts (empty at the end)."""

    objects: list[StoredObject]
    prefixes: list[str]
    next_after: str


@dataclass
class Bucket:
    """A bucket; ``settings`` maps a subresource (``lifecycle``) to its document as sent, ``policy`` is JSON text."""

    name: str
    owner: str
    region: str
    created_at: float
    directory: Path
    policy: str = ""
    settings: dict[str, bytes] = field(default_factory=dict)
    uploads: dict[str, Upload] = field(default_factory=dict)
    versions: dict[str, list[StoredObject]] = field(default_factory=dict)
    keys: list[str] = field(default_factory=list)
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    @property
    def arn(self) -> str:
        """The bucket's ARN."""
        return f"arn:{partition_of(self.region)}:s3:::{self.name}"

    def keep(self, body: bytes) -> Path | bytes:
        """``body``, or a new file of the bucket that holds it where it is large."""
        return body if len(body) <= MEMORY_BYTES else self.write_file(body)

    def write_file(self, body: bytes) -> Path:
        """A new file of the bucket that holds ``body``."""
        number = next(self._numbers)
        if number == 1:
            self.directory.mkdir(parents=True, exist_ok=True)
        path = self.directory / str(number)
        path.write_bytes(body)
        return path

    def current(self, key: str) -> StoredObject | None:
        """The object that ``key`` names now."""
        versions = self.versions.get(key)
        return versions[-1] if versions and not versions[-1].is_marker else None

    def version(self, key: str, version_id: str) -> StoredObject | None:
        """One version of an object, delete markers included."""
        return next((each for each in self.versions.get(key, ()) if each.version_id == version_id), None)

    def add(self, stored: StoredObject) -> None:
        """Put a version on top; one with the same version id (the unversioned one) goes."""
        self.remove(stored.key, stored.version_id)
        if stored.key not in self.versions:
            self.versions[stored.key] = []
            insort(self.keys, stored.key)
        self.versions[stored.key].append(stored)

    def remove(self, key: str, version_id: str) -> None:
        """Forget one version and its file; nothing happens when there is none."""
        version = self.version(key, version_id)
        if version is None:
            return
        if isinstance(version.content, Path):
            version.content.unlink(missing_ok=True)
        self.versions[key].remove(version)
        if not self.versions[key]:
            del self.versions[key]
            del self.keys[bisect_left(self.keys, key)]

    def keys_from(self, prefix: str, after: str = "") -> Iterator[str]:
        """Keys that start with ``prefix`` and sort behind ``after``, in order."""
        start = bisect_left(self.keys, max(prefix, after))
        for key in itertools.islice(self.keys, start, None):
            if not key.startswith(prefix):
                return
            if key > after:
                yield key

    def listing(self, prefix: str, delimiter: str, after: str, limit: int) -> Listing:
        """A page of at most ``limit`` objects and common prefixes that sort behind ``after``."""
        objects: list[StoredObject] = []
        prefixes: list[str] = []
        last = after
        for key in self.keys_from(prefix, after):
            stored = self.current(key)
            common = _common_prefix(key, prefix, delimiter)
            if stored is None or (common and (common == after or (prefixes and prefixes[-1] == common))):
                continue
            if len(objects) + len(prefixes) >= limit:
                return Listing(objects, prefixes, last)
            if common:
                prefixes.append(common)
            else:
                objects.append(stored)
            last = common or key
        return Listing(objects, prefixes, "")


def _common_prefix(key: str, prefix: str, delimiter: str) -> str:
    cut = key.find(delimiter, len(prefix)) if delimiter else -1
    return key[: cut + len(delimiter)] if cut >= 0 else ""


def plain_etag(body: bytes) -> str:
    """ETag of an object that came in one piece."""
    return hashlib.md5(body, usedforsecurity=False).hexdigest()


def multipart_etag(parts: list[bytes]) -> str:
    """ETag of an object that came in ``parts``: ``<hex>-<number of parts>``."""
    digests = b"".join(hashlib.md5(part, usedforsecurity=False).digest() for part in parts)
    return f"{plain_etag(digests)}-{len(parts)}"
