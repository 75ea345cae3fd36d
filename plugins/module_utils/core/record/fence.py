# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The fence: the time from which no request of a former holder can take effect (design section 6, "Let go", "Fence").

Pure rules over AWS's time in epoch seconds. Fences are whole seconds, rounded up; 0 is none.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

# After the connection of the newest request without an answer was closed. What a network keeps for longer and delivers
# all the same is not prevented: AWS takes it until its signature is 5 or 15 minutes old (aws.md J). To wait for that
# after each lost answer and each killed run would hold all tables up for what no network was seen to do. Such a request
# sets what this run has set already: it shows only where somebody changed just that in the meantime.
LET_GO = 60
GONE = 60  # after a holder was seen gone from this machine
SIGNATURE = 910  # after the date of the last signature: AWS takes them for 5 or 15 minutes (aws.md J), 10 s to spare
# A request that left may wait so long for its connection and its answer (``Account.client``, ``items.transport``).
ANSWERED = 70
EXPIRED = 15  # after AWS refused a signature of that date as expired: since then it refuses all older ones


@dataclass(frozen=True)
class Fence:
    """``at``: from when on nothing of the former holders takes effect.

    ``signed_until`` is the latest date of their signatures where that alone is why ``at`` is so late; once AWS has
    refused a request of that date as expired, DynamoDB's own calls need not wait for ``at``. Else None.
    """

    at: int = 0
    signed_until: int | None = None

    def passed(self, now: float, expired_since: float | None = None) -> bool:
        """Whether nothing can come any more at ``now``.

        ``expired_since``: when DynamoDB refused as expired a GetItem signed with the date ``signed_until``; given only
        where the answer is about DynamoDB's own calls.
        """
        return now >= self.passes(expired_since)

    def passes(self, expired_since: float | None = None) -> float:
        """When ``passed`` becomes true."""
        if expired_since is None or self.signed_until is None:
            return self.at
        return min(self.at, expired_since + EXPIRED)


def let_go(unanswered: float | None) -> Fence:
    """Of a holder that let go; ``unanswered`` is the date of its newest request without an answer, if any."""
    return Fence() if unanswered is None else Fence(math.ceil(unanswered + LET_GO))


def gone(seen: float) -> Fence:
    """Of a holder that was first seen gone from this machine at ``seen``."""
    return Fence(math.ceil(seen + GONE))


def by_signature(until: float) -> Fence:
    """Of a holder of which nothing is known but that it signed nothing after ``until``."""
    return Fence(math.ceil(until + SIGNATURE), math.ceil(until))


def taken_over(now: float, sends_until: float) -> Fence:
    """Of a holder whose process is gone, as the user said at ``now``; one that lives all the same sends nothing after
    ``sends_until``, and closes its connections ``ANSWERED`` seconds later."""
    return Fence(math.ceil(max(now + GONE, sends_until + ANSWERED + LET_GO)))


def both(one: Fence, other: Fence, now: float) -> Fence:
    """The fence of two holders, one after the other: the later one, never the sooner.

    One that has passed at ``now`` counts no more; the way past a signature's fence stays open only if it is the only
    reason to wait.
    """
    waiting = [fence for fence in (one, other) if not fence.passed(now)]
    if not waiting:
        return max(one, other, key=lambda fence: fence.at)
    at = max(fence.at for fence in waiting)
    signed = [fence.signed_until for fence in waiting if fence.signed_until is not None]
    return Fence(at, max(signed) if len(signed) == len(waiting) else None)
