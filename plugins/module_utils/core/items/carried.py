# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What of an item travels: copies write it, comparisons compare it, repairs restore it.

Code that moves or compares items takes a ``Carried`` and needs to know nothing more about what is left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from .answers import Raw, Slice, joined, split

REPLICATION_PREFIX = "aws:rep:"  # of the attributes that old global tables keep in items (design section 11)

REPLICATION = f"{REPLICATION_PREFIX}*, which old global tables keep in items"  # in words


@dataclass(frozen=True)
class Carried:
    """All attributes of an item but those whose names begin with ``left_out``; all where that is empty."""

    left_out: str = REPLICATION_PREFIX

    def has(self, name: str) -> bool:
        """Whether the attribute ``name`` travels."""
        return not self.left_out or not name.startswith(self.left_out)

    def of_page(self, body: bytes, items: Sequence[Slice]) -> Sequence[Slice]:
        """What travels of ``items``, slices of the answer ``body``; the same sequence where nothing is left out."""
        if not self._search(body):
            return items
        return [self.of_item(item) for item in items]

    @staticmethod
    def shortened(items: Sequence[Slice], kept: Sequence[Slice]) -> int:
        """Of how many ``items`` something was left out, where ``kept`` is what ``of_page`` made of them."""
        return 0 if kept is items else sum(one is not other for one, other in zip(items, kept, strict=True))

    def of_item(self, item: Slice) -> Slice:
        """What travels of one item; the same bytes where nothing is left out."""
        if not self._search(item):
            return item
        attributes: dict[str, Raw] = split(item, dict[str, Raw])
        kept = {name: value for name, value in attributes.items() if self.has(name)}
        return item if len(kept) == len(attributes) else joined(kept)

    def _search(self, text: Slice) -> bool:
        """Whether ``text`` may hold a name that is left out; without parsing, so a value may look like one."""
        # From the end: twice as fast as a pattern, five times as fast as ``in``.
        return bool(self.left_out) and bytes(text).rfind(self._sought) >= 0

    @cached_property
    def _sought(self) -> bytes:
        return f'"{self.left_out}'.encode()


CARRIED = Carried()
EVERYTHING = Carried("")  # for tables with such attributes in their keys: an item without its key cannot be written
