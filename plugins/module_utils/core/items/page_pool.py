# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The pages of a copy between reading and writing, in one worker."""

from __future__ import annotations

import math
import time
from collections import Counter, defaultdict, deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Protocol

from .answers import KeyReader, Raw, Slice
from .carried import Carried
from .checkpoint import Counts
from .lanes import LOOK_SECONDS
from .permit import sure_from
from .scan import PAGE_BYTES, Segment, SegmentPage
from .throttle import Throttle
from .transforming import Changing
from .write import WRITE_UNIT_BYTES, RefusedItem, Writer, Written, batches, distinct, most_items

POOL_BYTES = 24 * 1024 * 1024  # of pages on their way, read or under way to the destination, per worker
ASIDE_BYTES = 16 * 1024 * 1024  # besides, of batches that AWS keeps throttling, per worker
STUCK_BATCHES = 2  # of a page, and of a segment: as many show whether its partition takes more
SPREAD_BATCHES = 8  # at a time from each page, the oldest first: so not all end, and are replaced, at once
POOL_SECONDS = 2.0  # of the write rate, where there is one: what was read long ago may have changed since


class Segments(Protocol):
    """What a worker asks the desk for."""

    def next_segment(self) -> Segment | None:
        """See Checkpoint.next_segment."""

    def advance(self, number: int, next_key: bytes, counts: Counts) -> None:
        """See Checkpoint.advance."""

    def refuse(self, item: RefusedItem) -> None:
        """The destination refuses an item: its page is never reported. Raises ItemRefused for too many."""

    def fail(self, number: int, failed: Counts) -> None:
        """The counts of all pages of segment ``number`` in which a step could not take an item, where such items fail
        the copy: they are never reported. Raises ItemRefused for too many."""


@dataclass(eq=False)
class _Work:
    """A page on its way: the batches that wait, how many are under way, not yet acknowledged, and stuck. ``size`` is
    that of the page, which is kept by the batches that wait, in bytes. ``refused``: with an item that AWS, or a step,
    takes never; ``failed``: with one that a step does not take.
    ``begin`` is the segment as it was read to get the page. ``lost_at`` is as for ``Written``.
    """

    begin: Segment
    next_key: bytes
    size: int
    waiting: list[list[Slice]]
    counts: Counts
    open: int
    under_way: int = 0
    stuck: int = 0
    refused: bool = False
    failed: bool = False
    lost_at: float = -math.inf

    @property
    def segment(self) -> int:
        """The segment's number."""
        return self.begin.number


class PagePool:
    """The pages between reading and writing.

    The next batch is of the page with the fewest under way: so writes are spread over the segments, and a hot partition
    delays its own page only: of a page with stuck batches nothing more is written, and its segment is not read on. A
    page's bytes are given back when its last batch is sent; it is reported to the desk when all before it in its
    segment are acknowledged.

    A partition of a large table has more segments than there is memory for their pages. Where the stuck ones take half
    of it, further ones are set down: what waits of them is forgotten, what is under way is not sent again once AWS has
    refused it, and when nothing of them is under way, they are to be read again after the last page that was
    acknowledged. That is not before most of the others are no longer stuck. No item is read again while a request with
    an older version of it may still take effect: none is under way then, and one that was lost has LATE_SECONDS.
    """

    def __init__(
        self,
        desk: Segments,
        writer: Writer,
        keys: KeyReader,
        carried: Carried,
        throttle: Throttle | None,
        changing: Changing | None = None,
    ) -> None:
        """``keys`` reads those of the source; ``changing`` transforms items."""
        self._desk = desk
        self._writer = writer
        self._keys = keys
        self._carried = carried
        self._throttle = throttle
        self._changing = changing
        self._waiting: list[_Work] = []
        self._batches = 0  # that wait
        self._rows: dict[int, deque[_Work]] = defaultdict(deque)
        self._stuck: Counter[int] = Counter()
        self._set_down: dict[int, Segment | None] = {}  # with the first page of each that came too late, if one did
        self._to_read_again: dict[int, float] = {}  # segments, and when they may be
        self.rewind: Callable[[Segment], None] = lambda _segment: None
        self._bytes = 0
        self._page_bytes = PAGE_BYTES
        self._open = 0

    @property
    def most_bytes(self) -> int:
        """How many bytes may be requested, wait or be under way before no more pages are requested."""
        if self._throttle is None:
            return POOL_BYTES
        return min(POOL_BYTES, int(self._throttle.units_in(POOL_SECONDS) * WRITE_UNIT_BYTES))

    @property
    def empty(self) -> bool:
        """Whether all pages taken in are acknowledged, or to be read again."""
        return not self._open and not self._set_down

    @property
    def kept_bytes(self) -> int:
        """What the pages that wait, and the batches of all others, take of memory."""
        return self._bytes + self._writer.bytes + self._writer.bytes_aside

    @property
    def most_pages(self) -> int:
        """How many pages may be on their way from the source now."""
        if self._writer.bytes_aside >= ASIDE_BYTES:
            return 0
        room = max(1, self.most_bytes) - self._bytes - self._writer.bytes
        return max(0, -(-room // self._page_bytes))

    def has_room_for(self, segment: int) -> bool:
        """Whether more pages of a segment may be requested: not while AWS takes nothing of it."""
        if self._stuck[segment] >= STUCK_BATCHES or segment in self._set_down:
            return False
        at = self._to_read_again.get(segment)
        return at is None or (self._held() <= self._most_held // 2 and time.monotonic() >= at)

    @property
    def _most_held(self) -> int:
        return min(self.most_bytes, ASIDE_BYTES) // 2

    def _held(self) -> int:
        """The bytes of the pages of segments that are stuck and not set down."""
        return sum(work.size for number in self._holding() for work in self._rows[number] if work.open)

    def _holding(self) -> list[int]:
        return [number for number, stuck in self._stuck.items() if stuck and number not in self._set_down]

    def take(self, page: SegmentPage) -> None:
        """Take in a page."""
        self._page_bytes = max(self._page_bytes, len(page.body))
        number = page.segment.number
        if number in self._set_down:
            self._set_down[number] = self._set_down[number] or page.segment
            return
        self._to_read_again.pop(number, None)
        items = distinct(page.items, self._keys.of_page(page.body)) if page.items else []
        kept = self._carried.of_page(page.body, items)
        counts = Counts(
            0,
            len(page.body),
            page.units,
            duplicates=page.count - len(items),
            shortened=self._carried.shortened(items, kept),
        )
        size = made_size = len(page.body)
        if self._changing is None:
            counts, made = counts + Counts(len(items), read=len(items)), kept
        else:
            changed = self._changing.of(kept)
            counts, made = counts + changed.counts, changed.items
            made_size = sum(map(len, made))
            # An item that no step has changed keeps its page.
            size = made_size + (size if Raw in set(map(type, made)) else 0)
            self._page_bytes = max(self._page_bytes, size)
        waiting = batches(made, most_items(self._throttle, len(made), made_size))
        failed = bool(counts.refused) and self._changing is not None and not self._changing.skip_errors
        work = _Work(page.segment, page.next_key, size, waiting, counts, len(waiting), refused=failed, failed=failed)
        row = self._rows[work.segment]
        row.append(work)
        self._open += 1
        if failed:
            self._desk.fail(number, _failed(row))
        if waiting:
            self._bytes += work.size
            self._waiting.append(work)
            self._batches += len(waiting)
        else:
            self._settle(work)

    def write(self) -> float:
        """Write as many batches as may be under way; the seconds until there may be one more."""
        self._writer.expect(self._batches)
        while self._waiting:
            if delay := self._writer.delay():
                return delay
            work = min(self._waiting, key=_turn)
            if work.stuck >= STUCK_BATCHES:
                break
            batch = work.waiting.pop()
            self._batches -= 1
            if not work.waiting:
                self._waiting.remove(work)
                self._bytes -= work.size
            work.under_way += 1
            self._writer.put(batch, Writing(self, work))
        return LOOK_SECONDS

    def acknowledge(self, work: _Work, written: Written) -> None:
        """AWS has acknowledged a batch of ``work``."""
        work.under_way -= 1
        work.open -= 1
        work.lost_at = max(work.lost_at, written.lost_at)
        if written.units is not None or written.resent:
            work.counts += Counts(write_units=written.units, resent=written.resent)
        if not work.open:
            self._settle(work)
        self._clear(work.segment)

    def stick(self, work: _Work, batches: int) -> None:
        """So many more ``batches`` of ``work`` are stuck."""
        work.stuck += batches
        self._stuck[work.segment] += batches
        if not self._stuck[work.segment]:
            del self._stuck[work.segment]
        elif batches > 0 and self._held() > self._most_held:
            self._set_down_one()

    def gives_up(self, work: _Work) -> bool:
        """Whether a stuck batch of ``work`` is not to be sent again."""
        return work.segment in self._set_down

    def gave_up(self, work: _Work) -> None:
        """Nothing of a batch of ``work`` is under way, and it is not sent again."""
        work.under_way -= 1
        self._clear(work.segment)

    def _set_down_one(self) -> None:
        """Set down the segment that has been stuck for the shortest time."""
        number = self._holding()[-1]
        self._set_down[number] = None
        for work in self._rows[number]:
            if work.waiting:
                self._batches -= len(work.waiting)
                work.waiting.clear()
                self._waiting.remove(work)
                self._bytes -= work.size

    def _clear(self, number: int) -> None:
        """Have a segment that is set down read again, when nothing of it is under way."""
        row = self._rows[number]
        if number not in self._set_down or any(work.under_way for work in row):
            return
        late = self._set_down.pop(number)
        begin = row[0].begin if row else late
        lost_at = max((work.lost_at for work in row), default=-math.inf)
        self._open -= sum(1 for work in row if work.open)
        if any(work.failed for work in row):
            self._desk.fail(number, Counts())  # they are met again
        row.clear()
        self._stuck.pop(number, None)
        if begin is not None:
            self._to_read_again[number] = sure_from(lost_at)
            self.rewind(begin)

    def refuse(self, work: _Work, item: RefusedItem) -> None:
        """AWS refuses an item of ``work``. Raises ItemRefused for too many."""
        work.refused = True
        self._desk.refuse(item)

    def _settle(self, work: _Work) -> None:
        """Report the segment's written pages to the desk, in their order; none from a refused item on, so that the next
        run tries again."""
        self._open -= 1
        row = self._rows[work.segment]
        while row and not row[0].open and not row[0].refused:
            head = row.popleft()
            self._desk.advance(head.segment, head.next_key, head.counts)


@dataclass(eq=False)
class Writing:
    """One batch under way, and the page that it is of."""

    pool: PagePool
    work: _Work
    stuck: int = 0

    def acknowledge(self, written: Written) -> None:
        """AWS has acknowledged it."""
        if self.stuck:
            self.pool.stick(self.work, -1)
        self.pool.acknowledge(self.work, written)

    def stick(self) -> None:
        """AWS keeps taking nothing of it."""
        self.stuck = 1
        self.pool.stick(self.work, 1)

    def refuse(self, item: RefusedItem) -> None:
        """AWS refuses one of its items."""
        self.pool.refuse(self.work, item)

    @property
    def gives_up(self) -> bool:
        """Whether it is not to be sent again."""
        return self.pool.gives_up(self.work)

    def gave_up(self) -> None:
        """It is not sent again."""
        if self.stuck:
            self.pool.stick(self.work, -1)
        self.pool.gave_up(self.work)


def _failed(row: Iterable[_Work]) -> Counts:
    """The counts of the pages with items that a step does not take."""
    return sum((work.counts for work in row if work.failed), Counts())


def _turn(work: _Work) -> tuple[bool, int]:
    return work.stuck >= STUCK_BATCHES, work.under_way // SPREAD_BATCHES
