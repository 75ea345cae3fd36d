# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table of a comparison, read by key and by sample."""

from __future__ import annotations

import random

from .answers import Key
from .client import Client
from .differences import CompareOptions
from .lookup import Lookup
from .scan import Scanner, Segment, SegmentPage
from .tables import ItemTable
from .throttle import Rate, Throttle

SAMPLE_DRAW = 10  # keys drawn from one segment of a table
MOST_SEGMENTS = 1_000_000  # of a Scan (aws.md H)


class KeyedTable:
    """One table, read by key and by sample."""

    def __init__(self, table: ItemTable, rate: Rate | None, options: CompareOptions) -> None:
        self.table = table
        self.client = Client(table.endpoint, options.retry_policy, options.bounds)
        self.throttle = Throttle(rate) if rate else None
        self.lookup = Lookup(self.client, table, self.throttle)
        self.keys = self.lookup.keys
        self._scanner = Scanner(table, metered=rate is not None)

    def page(self, segment: Segment, limit: int) -> SegmentPage:
        """One page of at most ``limit`` items."""
        pages: list[SegmentPage] = []

        def read() -> float:
            pages.append(self._scanner.read(self.client, segment, limit))
            return pages[0].units or 0.0

        if self.throttle is None:
            read()
        else:
            self.throttle.spend(limit, read)
        return pages[0]

    def draw(self, keys: int) -> list[Key]:
        """Up to ``keys`` keys from random segments; all keys of a table that has no more."""
        drawn: dict[Key, None] = {}
        places = -(-keys // SAMPLE_DRAW)
        total = min(MOST_SEGMENTS, max(places, self.table.item_count // SAMPLE_DRAW))
        while total > 1 and len(drawn) < keys:
            for number in random.sample(range(total), min(total, places)):
                self._note(self.page(Segment(number, total), SAMPLE_DRAW), drawn)
            total //= 32
        segment: Segment | None = Segment(0, 1)
        while segment is not None and len(drawn) < keys:
            page = self.page(segment, keys)
            self._note(page, drawn)
            segment = Segment(0, 1, page.next_key) if page.next_key else None
        return list(drawn)[:keys]

    def _note(self, page: SegmentPage, drawn: dict[Key, None]) -> None:
        if page.items:
            drawn.update(dict.fromkeys(self.keys.of_page(page.body)))
