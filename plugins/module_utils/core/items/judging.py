# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Says whether what two sides of a comparison have under a key is equal, and in which form to digest items."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass

from .answers import Key, Slice
from .carried import Carried
from .differences import CompareOptions, Kind
from .digest import Form, canonical_item, in_form, is_expired


def form_of(mine: Mapping[Key, Slice], theirs: Mapping[Key, bytes], carried: Carried) -> Form:
    """The cheapest form that all pairs of equal items share."""
    both = [(bytes(mine[key]), bytes(carried.of_item(item))) for key, item in theirs.items() if key in mine]
    equal = [(one, other) for one, other in both if one != other and canonical_item(one) == canonical_item(other)]
    if not equal:
        return "raw"
    return "sorted" if all(in_form("sorted", one) == in_form("sorted", other) for one, other in equal) else "canonical"


@dataclass
class Sight:
    """What the destination has under a key, None for nothing, and what the source has for it: anything, anything that
    has not expired, the same."""

    there: bytes | None
    any: bool = False
    live: bool = False
    equal: bool = False


class Judging:
    """Says of a key whether both sides are equal."""

    def __init__(self, options: CompareOptions) -> None:
        self._ignore_expired = options.ignore_expired
        self._carried = options.carried

    def see(self, sight: Sight, item: Slice, now: float) -> None:
        """Take in an item that the source has for the key."""
        sight.any = True
        sight.live |= not self.is_expired(item, now)
        if sight.there is not None and not sight.equal:
            sight.equal = bytes(item) == sight.there or self._same(item, sight.there)

    def kind(self, sight: Sight, now: float) -> Kind | None:
        """How both sides differ, None where they do not."""
        if not sight.live and (sight.there is None or self.is_expired(sight.there, now)):
            return None
        if not sight.any:
            return "extra"
        if sight.there is None:
            return "missing"
        return None if sight.equal else "different"

    def is_expired(self, item: Slice, now: float) -> bool:
        """Whether the item is to be left out."""
        name = self._ignore_expired
        return bool(name) and is_expired(json.loads(bytes(item)).get(name, {}).get("N", ""), now)

    def _same(self, mine: Slice, theirs: bytes) -> bool:
        return canonical_item(self._carried.of_item(mine)) == canonical_item(self._carried.of_item(theirs))
