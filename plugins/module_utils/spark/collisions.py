# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Whether two items of an export get one key in the destination: a pass over the files before anything is written.

It runs only where the steps do not keep keys apart provably. Only digests of keys are shuffled, many in one value, so
that no item passes through the JVM. Keys are personal data: the first ones are named in an object of the bucket alone.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from itertools import islice
from typing import Any

from ..core.errors import CollidingKeys
from ..core.items.answers import Key, KeyReader, Slice
from ..core.items.carried import Carried
from ..core.items.digest import key_texts
from ..core.items.exported import read_items
from ..core.items.transform.compiled import Transform
from ..core.items.transform.tally import Tally
from .plan import JobPlan
from .storage import Bucket

DIGEST_BYTES = 16
BUCKET_DIGESTS = 250_000  # of one place that are in memory together, about 25 MB
HELD_DIGESTS = 500_000  # of a task before it hands them on
MOST_NAMED = 10


@dataclass(frozen=True)
class Shared:
    """What one place has: ``count`` digests that came more than once, ``lost`` items more than digests, and the first
    of those digests."""

    count: int = 0
    lost: int = 0
    digests: tuple[bytes, ...] = ()


@dataclass(frozen=True)
class Collisions:
    """``count`` keys of the destination are those of several items: ``lost`` items of the source would be overwritten
    by others. ``first`` has, for some of these keys, those of the source that become it, both in DynamoDB's JSON."""

    count: int = 0
    lost: int = 0
    first: Sequence[Mapping[str, Any]] = field(default_factory=tuple, repr=False)

    def to_json(self) -> bytes:
        """As an object's content."""
        return json.dumps({"count": self.count, "lost": self.lost, "first": list(self.first)}).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Collisions:
        """What ``to_json`` wrote."""
        found = json.loads(content)
        return cls(found["count"], found["lost"], tuple(found["first"]))


def places_for(items: int, slots: int) -> int:
    """In how many places the digests of ``items`` are compared, so that each fits memory."""
    return max(1, slots, -(-items // BUCKET_DIGESTS))


def digests_of(plan: JobPlan, storage: Bucket, carried: Carried, places: int) -> Iterator[tuple[int, bytes]]:
    """The digests of the keys that the plan's files get, joined, with the place where they are compared.

    Raises what read_items and Bucket.stream raise.
    """
    transform, tally = plan.transform(), Tally()
    keys = _destination_keys(transform)
    held: list[list[bytes]] = [[] for _each in range(places)]
    count = 0
    for items in _pieces(plan, storage, carried):
        made = transform.of_items(items, tally)
        for digest in _digests(keys.of_items(made) if made else ()):
            held[int.from_bytes(digest[:8], "big") % places].append(digest)
        count += len(made)
        if count >= HELD_DIGESTS:
            yield from _joined(held)
            held, count = [[] for _each in range(places)], 0
    yield from _joined(held)


def _joined(held: Sequence[Sequence[bytes]]) -> Iterator[tuple[int, bytes]]:
    return ((place, b"".join(digests)) for place, digests in enumerate(held) if digests)


def shared(blobs: Iterable[bytes]) -> Shared:
    """What the digests of one place, as ``digests_of`` joined them, have in common."""
    seen: set[bytes] = set()
    doubled: dict[bytes, None] = {}
    lost: int = 0
    for blob in blobs:
        for at in range(0, len(blob), DIGEST_BYTES):
            digest = blob[at : at + DIGEST_BYTES]
            if digest in seen:
                lost += 1
                doubled[digest] = None
            else:
                seen.add(digest)
    return Shared(len(doubled), lost, tuple(islice(doubled, MOST_NAMED)))


def named(
    plan: JobPlan, storage: Bucket, carried: Carried, digests: frozenset[bytes]
) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """For items of the plan's files whose key has one of ``digests``: the digest, the key, and the item's key in the
    source, at most MOST_NAMED for a digest."""
    transform, tally = plan.transform(), Tally()
    keys, sources = _destination_keys(transform), KeyReader(plan.definition.source.table.attributes)
    counts: Counter[bytes] = Counter()
    for items in _pieces(plan, storage, carried):
        for item in items:
            made = [keys.of(each) for each in transform.of_item(item, tally)]
            for key, digest in zip(made, _digests(made), strict=True):
                if digest in digests and counts[digest] < MOST_NAMED:
                    counts[digest] += 1
                    yield digest, {"key": keys.to_json(key), "source": sources.to_json(sources.of(item))}


def collisions(found: Sequence[Shared], names: Iterable[tuple[bytes, Mapping[str, Any]]]) -> Collisions:
    """What all places have found, with the keys of the first."""
    grouped: dict[bytes, dict[str, Any]] = {}
    for digest, name in names:
        entry = grouped.setdefault(digest, {"key": name["key"], "sources": []})
        if len(entry["sources"]) < MOST_NAMED:
            entry["sources"].append(name["source"])
    count, lost = sum(each.count for each in found), sum(each.lost for each in found)
    return Collisions(count, lost, tuple(grouped.values()))


def first_digests(found: Sequence[Shared]) -> frozenset[bytes]:
    """The digests whose keys are named."""
    return frozenset([digest for each in found for digest in each.digests][:MOST_NAMED])


def refusal(plan: JobPlan, found: Collisions) -> CollidingKeys:
    """Why nothing is written."""
    return CollidingKeys(
        f"The steps give {found.lost:,} items of the source a key that another one has.",
        f"Correct the steps. s3://{plan.bucket}/{plan.collisions_key} names the first keys. With on_collision any, one"
        " item of each key is kept and the others are lost.",
        table=plan.table,
        details={"lost": found.lost, "object": plan.collisions_key},
    )


def _pieces(plan: JobPlan, storage: Bucket, carried: Carried) -> Iterator[Sequence[Slice]]:
    for file in plan.files:
        for items in read_items(storage.stream(file.key), file):
            yield carried.of_page(b"".join(items), items)


def _destination_keys(transform: Transform) -> KeyReader:
    return KeyReader(transform.keys.destination.table.attributes)


def _digests(keys: Sequence[Key]) -> list[bytes]:
    return [blake2b(text, digest_size=DIGEST_BYTES).digest() for text in key_texts(keys)]
