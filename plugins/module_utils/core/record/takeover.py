# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking over from a run that is gone: whether its lease may be ended, and from when its requests are over.

Pure. The lease is ended first, by one write that frees all its tables; each table is then taken when it is needed
(design section 6, "Fence", "Takeover").
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from ..errors import in_words
from ..signing.clock_off import MOST_OFF
from . import fence as fences
from .fence import Fence
from .lease import VERB, WAITER, Ended, Lease, held_by

GRACE = 10  # seconds after ``until`` in which a run is still left its lease
LETTING_GO = 12  # a process that has gone is looked at again for so long: its verbs may be letting go
LETTING_GO_EVERY = 3  # seconds between these looks
TAKE_OVER = WAITER + fences.ANSWERED + fences.LET_GO  # seconds after ``take_over`` at which the fence is at the latest


@dataclass(frozen=True)
class Free:
    """Nobody holds: the lease has ended. ``fence`` is of what its run had sent."""

    fence: Fence


@dataclass(frozen=True)
class MayEnd:
    """The lease may be ended, with ``fence``; ``why`` completes "taken over from run ..: "."""

    fence: Fence
    why: str

    def ended(self, by: str, now: float) -> Ended:
        """What the run ``by`` writes into the lease."""
        return Ended(by, math.floor(now), self.fence.at)


@dataclass(frozen=True)
class Holds:
    """Somebody holds, in ``words``; look again at ``again`` at the earliest."""

    words: str
    again: float


def assess(
    lease: Lease | None, run: str, now: float, *, gone_since: float | None = None, take_over: str = ""
) -> Free | MayEnd | Holds:
    """What another run may do about the lease of ``run``.

    ``lease`` None: there is none. ``gone_since``: when its process was first seen gone from this machine, and ever
    since. ``take_over``: the run id that the user gave as ``take_over``.
    """
    if lease is None:
        # Without its lease a run can renew no more, so its last ``until`` was one that it had got before now.
        latest = now + VERB + MOST_OFF
        return MayEnd(fences.by_signature(latest), "it has no lease any more")
    if lease.ended is not None:
        # Nothing of it is signed later than ``until``, whatever its fence goes by.
        return Free(Fence(lease.ended.fence, math.ceil(lease.until) or None))
    reasons = []
    if gone_since is not None and now >= gone_since + LETTING_GO:
        reasons.append(MayEnd(fences.gone(gone_since), "its process is gone from this machine"))
    if now > lease.until + GRACE:
        reasons.append(MayEnd(fences.by_signature(lease.until), f"its lease ran out {in_words(now - lease.until)} ago"))
    if take_over and take_over == run:
        # A waiter's own limit may be sooner than the lease's, which a verb before it has set (``Run.waiting``).
        latest = min(lease.until, now + WAITER)
        reasons.append(MayEnd(fences.taken_over(now, latest), "take_over says that its process is gone"))
    if reasons:
        return min(reasons, key=lambda reason: reason.fence.at)
    again = lease.until + GRACE + 1.0
    if gone_since is not None:
        again = min(again, gone_since + LETTING_GO, now + LETTING_GO_EVERY)
    return Holds(held_by(lease, now), again)
