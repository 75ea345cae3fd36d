# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of items, equal exactly when the items are, and sums of digests that do not depend on their order.

Two forms of an item are digested. Its bytes as they arrived: cheap, and enough to say that two items are equal. Its
canonical form: needed to say that two are not, since attributes and sets have no order and numbers many texts.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable, Sequence
from hashlib import blake2b
from typing import Any

from . import surrogates
from .answers import Slice, canonical_number, malformed, msgspec, split

DIGEST_BYTES = 16
_FIVE_YEARS = 5 * 365 * 86400


def raw_digest(item: Slice) -> int:
    """The digest of an item's bytes."""
    return int.from_bytes(blake2b(item, digest_size=DIGEST_BYTES).digest(), "little")


def canonical_digest(item: Slice) -> int:
    """The digest of an item's canonical form. Raises ServiceError for anything but an item."""
    return raw_digest(canonical_item(item))


def canonical_item(item: Slice) -> bytes:
    """The item in the one form that all forms of it in answers share.

    Names and members of sets are sorted, numbers as ``canonical_number`` gives them, binaries in one base64. What
    DynamoDB takes for different stays different: types, the order of lists, empty values and absent ones. Raises
    ServiceError for anything but an item.
    """
    try:
        attributes = msgspec.json.decode(item)
        _settle(attributes)
        return msgspec.json.encode(attributes, order="sorted")
    except (msgspec.MsgspecError, AttributeError, TypeError) as error:
        return _with_surrogates(item, error)


def _with_surrogates(item: Slice, error: Exception) -> bytes:
    """The canonical form of an item that msgspec refuses with ``error``."""
    try:
        attributes = split(item, Any)
        _settle(attributes)
        return surrogates.written(attributes)
    except (msgspec.MsgspecError, AttributeError, TypeError):
        raise malformed("a read of items", "", error) from error


def _settle(attributes: dict[str, dict[str, Any]]) -> None:
    """Make the values of ``attributes`` canonical, in place."""
    for value in attributes.values():
        for kind, content in value.items():
            if kind == "N":
                value[kind] = canonical_number(content)
            elif kind not in _AS_THEY_ARE:
                _settle_value(value, kind, content)


_AS_THEY_ARE = frozenset({"S", "BOOL", "NULL"})


def _settle_value(value: dict[str, Any], kind: str, content: Any) -> None:
    if kind == "B":
        value[kind] = _canonical_binary(content)
    elif kind == "M":
        _settle(content)
    elif kind == "L":
        for member in content:
            _settle({"": member})
    elif kind == "SS":
        content.sort()
    elif kind == "NS":
        value[kind] = sorted(map(canonical_number, content))
    elif kind == "BS":
        value[kind] = sorted(map(_canonical_binary, content))


def _canonical_binary(text: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode()
    except binascii.Error:
        return text


def is_expired(number: str, now: float) -> bool:
    """Whether a time to live (the attribute's number, "" for none) has passed at ``now``, in epoch seconds.

    A time more than five years ago does not expire an item (AWS developer guide, Using time to live).
    """
    try:
        return bool(number) and 0 < now - float(number) < _FIVE_YEARS
    except ValueError:
        return False


class BucketSums:
    """The sum of the source's digests minus the sum of the destination's, in buckets: 0 where both have the same items.

    An item's bucket is chosen by its digest, so equal items share one, and a difference shows in at least one. Sums do
    not depend on the order of reading; one vanishes by chance with odds of 2**-128.
    """

    def __init__(self, buckets: int) -> None:
        """``buckets`` is a power of two."""
        self.sums = [0] * buckets
        self._mask = buckets - 1

    def add(self, digests: Iterable[int]) -> None:
        """Add items of the source."""
        sums, mask = self.sums, self._mask
        for digest in digests:
            sums[digest & mask] += digest

    def subtract(self, digests: Iterable[int]) -> None:
        """Subtract items of the destination."""
        sums, mask = self.sums, self._mask
        for digest in digests:
            sums[digest & mask] -= digest

    def merge(self, sums: Sequence[int]) -> None:
        """Add the sums of another worker."""
        self.sums = [one + other for one, other in zip(self.sums, sums, strict=True)]

    def differing(self) -> list[int]:
        """The buckets in which source and destination are not equal."""
        modulus = 1 << (8 * DIGEST_BYTES)
        return [bucket for bucket, total in enumerate(self.sums) if total % modulus]
