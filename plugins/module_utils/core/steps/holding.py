# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a table that has a record for work outside the waiter: a repair, a cleanup. Design section 6, "Takeover"."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress

from ..account import Account
from ..errors import Held, RecordChanged, in_words
from ..jobs.tracking import Tracking
from ..record import process
from ..record.record import Record, table_key
from ..record.run import HeldElsewhere
from ..record.store import RecordStore
from ..record.takeover import LETTING_GO, Holds, assess
from .claiming import TRIES, Records, busy

# Seconds within which a table comes free whose run's process is gone from this machine: first it is looked at again
# for LETTING_GO, then what it sent may still arrive (GONE of record/fence).
PATIENCE = 90.0
SOURCE_GAP = 1.0  # seconds between looks at a table that this run holds for another source

# Waits so many seconds for what the words say. False: that is too long, nothing was waited for.
Pause = Callable[[float, str], bool]


def no_pause(_seconds: float, _words: str) -> bool:
    """For work that waits for nobody."""
    return False


class Patience:
    """A ``Pause`` of PATIENCE seconds in all, which says once what it waits for."""

    def __init__(self, say: Callable[[str], None], sleep: Callable[[float], None]) -> None:
        """``say`` gets a line for the user."""
        self._say, self._sleep = say, sleep
        self._left, self._said = PATIENCE, ""

    def __call__(self, seconds: float, words: str) -> bool:
        """As ``Pause`` says."""
        if seconds > self._left:
            return False
        if words != self._said:
            self._say(words)
        self._said = words
        self._left -= seconds
        self._sleep(seconds)
        return True


def hold(records: Records, table: str, pause: Pause = no_pause) -> Tracking | None:
    """The record of ``table`` taken for this run; None where there is no record.

    Raises Held for one that another run holds, or held until a moment ago, where that lasts longer than ``pause``
    waits, and as ``claim`` where others write it all the time.
    """
    tries = 0
    while True:
        record = records.store.read(table_key(table))
        if record is None:
            return None
        run = records.run()
        tries += 1
        if tries > TRIES:
            raise busy(table)
        if record.parts and record.run == run.id:  # another process of this run, for another source of a merge
            if not pause(SOURCE_GAP, f"{table}: waiting, this run works on another source of it"):
                raise Held("This run works on another source of the table.", "Run again after that.", table=table)
            tries = 0
            continue
        with suppress(RecordChanged):  # somebody was faster: read what stands there now
            taken = run.hold(record)
            if not isinstance(taken, HeldElsewhere):
                break
            seconds = max(1.0, taken.again - run.clock.now())
            # A holder that lives renews its lease long before that.
            if seconds > LETTING_GO or not pause(seconds, f"{table}: waiting for its former run, {taken.words}"):
                raise taken.refusal(table, by_take_over=False)
            tries = 0
    tracking = Tracking(run, table, taken.record)
    seconds = tracking.fence_left()
    arriving = "requests of the run that held this table may still arrive"
    if seconds > 0 and not pause(seconds, f"{table}: waiting, {arriving}"):
        tracking.let_go()
        raise Held(
            f"{arriving.capitalize()} for {in_words(seconds)}.",
            "Run again after that.",
            table=table,
        )
    return tracking


def held_elsewhere(store: RecordStore | None, destination: Account, record: Record | None) -> Held | None:
    """The error for a table that another run holds by its ``record``, which is only read; None where this one may take
    it: its holder is this run, or is over. Reads the holder's lease."""
    if store is None or record is None or not record.run:
        return None
    lease, here = store.read_lease(record.run), process.describe(process.playbook())
    if lease is None or (lease.who is not None and (lease.who.same_as(here) or process.is_gone(lease.who, here))):
        return None
    holds = assess(lease, record.run, destination.now().timestamp())
    if not isinstance(holds, Holds):
        return None
    return HeldElsewhere(record.run, holds.words, holds.again).refusal(record.name, by_take_over=False)
