# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What work on items is bound to: until when it may write, and when it must stop.

A run that holds a lease writes nothing after the lease's ``until`` and signs nothing with a later date; without a lease
nothing limits it. The items know leases by these small protocols alone, so that they run without the records.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Protocol

CHANGING = frozenset({"BatchWriteItem", "DeleteItem", "PutItem"})  # what the items send that changes something
TURN_SECONDS = 0.5  # between looks at most, within pauses too
# For which requests of a process may still take effect after its end, which closes its sockets: what they had sent may
# be under way. The same time in which the records' fences let requests without an answer arrive (fence.LET_GO).
LATE_SECONDS = 60.0


class Permit(Protocol):
    """Lets requests that change something leave. Safe to use from many threads."""

    @property
    def until(self) -> float:
        """AWS's time in epoch seconds until which they may leave."""

    @property
    def stopped(self) -> bool:
        """Whether none may leave any more: the run was interrupted."""

    def left(self) -> float:
        """Seconds until then, from now."""

    def leave(self, date: float, subject: str) -> Any:
        """Note a request for the table ``subject`` that leaves now, signed with ``date`` (epoch seconds). Raises
        LeaseOver, and then it must not be sent; it may be tried again, since a lease can be renewed. Raises Interrupted
        once it is ``stopped``: answers that are outstanding are waited for then."""

    def answered(self, attempt: Any) -> None:
        """AWS answered what ``leave`` returned: nothing more comes of it."""

    def lost(self, attempt: Any, date: float | None = None) -> None:
        """There will be no answer: the connection is closed, or AWS failed and may still be at work.

        ``date`` is that of the newest such request, where ``attempt`` stands for all of a worker process.
        """


class ParentSocket(Protocol):
    """A worker's connection with its parent."""

    def fileno(self) -> int:
        """For selectors."""

    def hear(self) -> None:
        """Take in what has arrived. Raises ParentGone, EOFError, OSError when the parent has gone."""


@dataclass(frozen=True)
class Bounds:
    """``permit`` is asked before each request that changes something. ``look`` is called on every turn and at least
    twice a second in pauses; what it raises ends the work. ``parent`` is set in worker processes only."""

    permit: Permit | None = None
    look: Callable[[], None] | None = None
    parent: ParentSocket | None = None


FREE = Bounds()


def pause(seconds: float, look: Callable[[], None] | None) -> None:
    """Sleep, and look meanwhile. Raises what ``look`` does."""
    end = time.monotonic() + seconds
    while look is not None:
        look()
        left = end - time.monotonic()
        if left <= 0.0:
            return
        time.sleep(min(left, TURN_SECONDS))
    time.sleep(seconds)


def sure_from(lost: float) -> float:
    """From when on a request that was ``lost`` at a time of the monotonic clock, its connection closed or its answer a
    failure, can take effect no more."""
    return lost + LATE_SECONDS


def elapsed() -> float:
    """Seconds since some moment, the same for all processes of this machine, by a clock that goes on while the machine
    sleeps (Linux and Darwin have one)."""
    return time.clock_gettime(_CLOCK)


# Both are missing from the typing of platforms that have not got them.
_CLOCK: int = next(
    number
    for name in ("CLOCK_BOOTTIME", "CLOCK_MONOTONIC_RAW", "CLOCK_MONOTONIC")
    if (number := getattr(time, name, None)) is not None
)
