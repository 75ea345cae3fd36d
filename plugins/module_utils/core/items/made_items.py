# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Items of one side of a comparison whose keys may differ: what is made of them, where they belong, which are kept.

Where a key of the destination does not tell the source's, items are in the bucket of their key of the destination, not
in that of their digest. So a bucket that is read again has all that the source has for a key, though it was changed
since, and though several items of the source may have become one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from .answers import Key, KeyAttribute, KeyReader, Slice
from .digest import Digests, Form, is_expired
from .transform.compiled import Transform
from .transform.tally import Tally


@dataclass(frozen=True)
class ExportStream:
    """Items of an exported table with this ``key``, in pieces; ``pieces`` opens their stream anew."""

    key: tuple[KeyAttribute, ...]
    pieces: Callable[[], Iterable[Sequence[Slice]]]
    item_count: int = 0


@dataclass(frozen=True)
class Looked:
    """What a side looks for and how: see Reading."""

    buckets: int
    now: float
    ignore_expired: str
    digests: Digests
    form: Form
    looked_into: bytes
    by_key: bool


@dataclass(frozen=True)
class MadeItems:
    """What became of some items: how many are compared, how many of those made had expired, how many were made of which
    by the transform; and the digests to sum, or keys to keep, each with a digest, and with its key in the source."""

    items: int
    expired: int
    tally: Tally | None
    digests: Sequence[int] = ()
    kept: Sequence[tuple[Key, int]] = ()
    origins: Sequence[Key] = ()


class Making:
    """Makes of items what is compared. For one thread."""

    def __init__(self, looked: Looked, reader: KeyReader, transform: Transform | None, origins: KeyReader | None):
        """``reader`` reads keys of the destination; ``origins`` those of the source, on its side where they are to be
        kept."""
        self._looked = looked
        self._reader = reader
        self._transform = transform
        self._origins = origins

    def of(self, items: Sequence[Slice]) -> MadeItems:
        """What becomes of ``items``, from which what does not travel is left out. Raises ServiceError."""
        tally, made, sources = self._made(items)
        live: Sequence[int] = range(len(made))
        if self._looked.ignore_expired and made:
            numbers = self._reader.numbers_of_items(made)
            live = [at for at in live if not is_expired(numbers[at], self._looked.now)]
        counted = len(live), len(made) - len(live), tally
        if not made:
            return MadeItems(*counted)
        if self._looked.by_key:
            return self._by_key(items, made, sources, live, counted)
        digests = self._looked.digests.of(self._looked.form, [made[at] for at in live])
        if not self._looked.looked_into:
            return MadeItems(*counted, digests)
        chosen = [made[at] for at, digest in zip(live, digests, strict=True) if self._is_looked_into(digest)]
        return MadeItems(*counted, kept=self._kept(chosen)) if chosen else MadeItems(*counted)

    def _made(self, items: Sequence[Slice]) -> tuple[Tally | None, Sequence[Slice], Sequence[int]]:
        """The counts, and the items made; where keys are kept, for each of these the number of the one that it was made
        of."""
        if self._transform is None:
            return None, items, range(len(items))
        tally = Tally()
        if self._origins is None or not self._looked.looked_into:
            made = self._transform.of_items(items, tally)
            return tally, made, ()
        made, sources = [], []
        for number, item in enumerate(items):
            each = self._transform.of_item(item, tally)
            made += each
            sources += [number] * len(each)
        return tally, made, sources

    def _kept(self, items: Sequence[Slice]) -> list[tuple[Key, int]]:
        """The keys of items with digests of their canonical form."""
        exact = self._looked.digests.of("canonical", items)
        return list(zip(self._reader.of_items(items), exact, strict=True))

    def _by_key(
        self,
        items: Sequence[Slice],
        made: Sequence[Slice],
        sources: Sequence[int],
        live: Sequence[int],
        counted: tuple[int, int, Tally | None],
    ) -> MadeItems:
        keys = self._reader.of_items(made)
        texts = ["\0".join(key).encode("utf-8", "surrogatepass") for key in keys]
        places = self._looked.digests.raw(texts)
        if not self._looked.looked_into:
            mask = self._looked.buckets - 1
            digests = self._looked.digests.of(self._looked.form, [made[at] for at in live])
            placed = zip(live, digests, strict=True)
            return MadeItems(*counted, [digest & ~mask | places[at] & mask for at, digest in placed])
        chosen = [at for at, place in enumerate(places) if self._is_looked_into(place)]
        unexpired = set(live)
        alive = [at for at in chosen if at in unexpired]
        exact = dict.fromkeys(chosen, 0)
        exact |= zip(alive, self._looked.digests.of("canonical", [made[at] for at in alive]), strict=True)
        if self._origins is None:
            return MadeItems(*counted, kept=[(keys[at], exact[at]) for at in alive])
        # Also those that have expired: where one is, what the destination has is not extra.
        origins = self._origins.of_items([items[sources[at]] for at in chosen]) if chosen else []
        return MadeItems(*counted, kept=[(keys[at], exact[at]) for at in chosen], origins=origins)

    def _is_looked_into(self, place: int) -> bool:
        bucket = place & (self._looked.buckets - 1)
        return bool(self._looked.looked_into[bucket >> 3] >> (bucket & 7) & 1)
