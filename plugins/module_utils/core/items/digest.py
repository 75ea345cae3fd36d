# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Digests of items, equal exactly when the items are, and sums of digests that do not depend on their order.

Three forms of an item are digested. Its bytes as they arrived: cheap, and enough to say that two items are equal. Its
attributes in order, for tables that keep them in another one: nearly as cheap. Its canonical form: needed to say that
two are not equal, since sets have no order either, and numbers many texts.
"""

from __future__ import annotations

import base64
import binascii
import os
import re
from array import array
from collections.abc import Callable, Iterable, MutableSequence, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from hashlib import blake2b, sha256
from itertools import repeat
from typing import Any, Literal

from ..errors import MissingLibrary
from . import surrogates
from .answers import Key, Raw, Slice, Struct, canonical_number, malformed, msgspec, split

try:
    from xxhash import xxh3_128_intdigest
except ImportError:
    xxh3_128_intdigest = None  # type: ignore[assignment]

DIGEST_BYTES = 16
LISTED_BUCKETS = 1 << 18  # whose sums are Python's integers, of about 50 bytes each
_64_BITS = (1 << 64) - 1
_FIVE_YEARS = 5 * 365 * 86400


Form = Literal["raw", "sorted", "canonical"]  # each says of more items that they are equal, and costs more
DigestChoice = Literal["auto", "sha256"]
Function = Literal["xxh3", "blake2b", "sha256"]
_SECRET_BYTES = 64  # a whole block of SHA-256: its state after the secret is computed once


@dataclass(frozen=True)
class Digests:
    """How the items of one comparison are digested, in all its readings and worker processes.

    XXH3-128 is the fastest and not cryptographic: who writes items can make two that it takes for equal. SHA-256 begins
    with a secret that is random for each comparison, so nobody can look for items whose digests, or sums of these,
    are equal.
    """

    function: Function
    secret: bytes = field(default_factory=partial(os.urandom, _SECRET_BYTES), repr=False)

    @classmethod
    def chosen(cls, choice: DigestChoice) -> Digests:
        """SHA-256 where it is asked for, or else XXH3-128 where the package xxhash is installed, or else BLAKE2b."""
        if choice == "sha256":
            return cls("sha256")
        return cls("blake2b" if xxh3_128_intdigest is None else "xxh3")

    def raw(self, items: Sequence[Slice]) -> list[int]:
        """The digests of the items' bytes. Raises MissingLibrary."""
        if self.function == "xxh3":
            if xxh3_128_intdigest is None:
                raise MissingLibrary(
                    "A worker process has no Python library xxhash, and the process that started it has.",
                    "Install it for the Python that runs Ansible, or set digest to sha256.",
                )
            return list(map(xxh3_128_intdigest, items, repeat(int.from_bytes(self.secret[:8], "little"))))
        if self.function == "blake2b":
            return [int.from_bytes(blake2b(item, digest_size=DIGEST_BYTES).digest(), "little") for item in items]
        begun = sha256(self.secret)
        digests = []
        for item in items:
            whole = begun.copy()
            whole.update(item)
            digests.append(int.from_bytes(whole.digest()[:DIGEST_BYTES], "little"))
        return digests

    def of(self, form: Form, items: Sequence[Slice]) -> list[int]:
        """The digests of the items in ``form``. Raises ServiceError for anything but an item, MissingLibrary."""
        return self.raw(items if form == "raw" else [in_form(form, item) for item in items])


def key_texts(keys: Sequence[Key]) -> list[bytes]:
    """A text of each of a table's ``keys`` that no other one has: the first of two values is with its length."""
    if keys and len(keys[0]) == 1:
        texts = [value for (value,) in keys]
    else:
        texts = [f"{len(one)}:{one}{other}" for one, other in keys]
    return [text.encode("utf-8", "surrogatepass") for text in texts]


def in_form(form: Form, item: Slice) -> bytes:
    """The item in ``form``. Raises ServiceError for anything but an item."""
    if form == "raw":
        return bytes(item)
    return sorted_item(item) if form == "sorted" else canonical_item(item)


def sorted_item(item: Slice) -> bytes:
    """The item with the attributes of all its maps in order, its values as they arrived, without parsing them.

    Equal forms are equal items; equal items may have several forms. Raises ServiceError for anything but an item.
    """
    try:
        decode_flat, decode_value, encode = _coders()
        attributes = decode_flat(item)
        if _NESTED.search(item):
            for name, value in attributes.items():
                if bytes(value).startswith(_NESTING):
                    attributes[name] = Raw(encode(decode_value(value)))
        return encode(attributes)
    except msgspec.MsgspecError as error:
        if surrogates.hidden(bytes(item)) is None:
            raise malformed("a read of items", "", error) from error
        return _with_surrogates(item, error)


@cache
def _coders() -> tuple[Callable[[Slice], dict[str, Raw]], Callable[[Slice], _Value], Callable[[Any], bytes]]:
    """Made once: to look at a type costs more than to decode an item."""
    decoder = msgspec.json.Decoder
    encode = msgspec.json.Encoder(order="deterministic").encode
    return decoder(dict[str, Raw]).decode, decoder(_Value).decode, encode


_NESTED = re.compile(rb'\{"(?:M":\{|L":\[)')
_NESTING = (b'{"M"', b'{"L"')
_ABSENT = Raw(b"")


class _Value(Struct, omit_defaults=True, forbid_unknown_fields=True, gc=False):
    """A value whose maps can be sorted; all other values stay bytes."""

    M: dict[str, _Value] | None = None
    L: list[_Value] | None = None
    S: Raw = _ABSENT
    N: Raw = _ABSENT
    B: Raw = _ABSENT
    BOOL: Raw = _ABSENT
    NULL: Raw = _ABSENT
    SS: Raw = _ABSENT
    NS: Raw = _ABSENT
    BS: Raw = _ABSENT


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
    not depend on the order of reading; one vanishes by chance with odds of 2**-128. Beyond ``LISTED_BUCKETS`` buckets
    take 8 bytes each, and the odds are 2**-64.
    """

    def __init__(self, buckets: int) -> None:
        """``buckets`` is a power of two."""
        self.sums: MutableSequence[int] = [0] * buckets if buckets <= LISTED_BUCKETS else array("Q", bytes(8 * buckets))
        self._mask = buckets - 1
        self._narrow = buckets > LISTED_BUCKETS

    def add(self, digests: Iterable[int]) -> None:
        """Add items of the source."""
        sums, mask = self.sums, self._mask
        if self._narrow:
            for digest in digests:
                bucket = digest & mask
                sums[bucket] = (sums[bucket] + (digest >> 64)) & _64_BITS
        else:
            for digest in digests:
                sums[digest & mask] += digest

    def subtract(self, digests: Iterable[int]) -> None:
        """Subtract items of the destination."""
        sums, mask = self.sums, self._mask
        if self._narrow:
            for digest in digests:
                bucket = digest & mask
                sums[bucket] = (sums[bucket] - (digest >> 64)) & _64_BITS
        else:
            for digest in digests:
                sums[digest & mask] -= digest

    def merge(self, sums: Sequence[int]) -> None:
        """Add the sums of another worker."""
        mine = self.sums
        for bucket, (one, other) in enumerate(zip(mine, sums, strict=True)):
            if other:
                mine[bucket] = (one + other) & _64_BITS if self._narrow else one + other

    def differing(self) -> Sequence[int]:
        """The buckets in which source and destination are not equal."""
        modulus = 1 << (8 * DIGEST_BYTES)
        differing = (bucket for bucket, total in enumerate(self.sums) if total % modulus)
        return array("L", differing) if self._narrow else list(differing)
