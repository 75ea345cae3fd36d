# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""An intention: a job or call that was written before it was sent, and what to do when its answer is not known.

Write the intention, call, write the answer. Without an answer: look for the job; not found, send the same request again
as long as its window allows; closed as not begun only when no request of it can be executed any more (design section 6,
"Intentions"). Which window a kind of job has says the caller; nothing here knows the kinds.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from .fence import LET_GO, SIGNATURE
from .record import JobEntry

Step = Literal["send", "wait", "close"]

LISTED = 60  # seconds after which AWS's lists show what it took


@dataclass(frozen=True)
class Window:
    """When a request of a kind may be sent again with its token, and when its intention may be closed.

    ``repeat``: seconds after ``intended_at`` in which the token finds the job that it began; 0 for never, None for any
    time. ``after_fence``: it is sent again only after the fence. The intention is closed once ``fence`` has passed by
    ``closes_after_fence`` and ``asked_at`` by ``closes_after_asked`` seconds, and a list made since shows nothing.
    """

    repeat: int | None
    after_fence: bool = False
    closes_after_fence: int = 0
    closes_after_asked: int = 0


# AWS forgets ClientToken of exports and imports after 8 hours: an hour is left for the request's way.
CLIENT_TOKEN = Window(repeat=7 * 3600, closes_after_fence=LISTED)
# AWS Backup documents no window for its IdempotencyToken.
BACKUP_TOKEN = Window(repeat=3600, closes_after_asked=SIGNATURE + LISTED)
# CreateTable: a name is there once, and the tags carry the intention's nonce.
UNIQUE_NAME = Window(repeat=None)
# DeleteTable: the caller looks at the TableId before each.
DELETION = Window(repeat=None, after_fence=True)
# EMR Serverless documents no window for its clientToken.
RUN_TOKEN = Window(repeat=3600, closes_after_asked=SIGNATURE + LISTED)
# Glue and EMR on EC2: every request begins a run.
NO_TOKEN = Window(repeat=0, closes_after_asked=SIGNATURE + LISTED)

# To replace a job that signs requests itself, such as a Spark job: stopped, at its end, and then so many seconds.
OWN_SIGNATURES = SIGNATURE


def repeats_until(entry: JobEntry, window: Window) -> float:
    """Until when the same request may be sent again."""
    return math.inf if window.repeat is None else entry.intended_at + window.repeat


def closable_at(entry: JobEntry, window: Window, fence: float, unanswered: float | None = None) -> float:
    """From when a list without the job shows that it was never begun.

    ``fence`` is that of all former holders; ``unanswered`` the date of the newest request of this run without an
    answer, whose twin may still arrive for 60 s.
    """
    over = max(fence, 0 if unanswered is None else unanswered + LET_GO)
    return max(over + window.closes_after_fence, entry.asked_at + window.closes_after_asked)


def step(
    entry: JobEntry,
    window: Window,
    now: float,
    *,
    fence: float,
    listed_at: float,
    unanswered: float | None = None,
    wanted: bool = True,
) -> Step:
    """What to do with an intention whose job was looked for and not found at ``listed_at``.

    ``wanted`` is False when the job is not to be begun any more, as after a change of the method.
    """
    may_send = window.repeat != 0 and now < repeats_until(entry, window) and (not window.after_fence or now >= fence)
    if wanted and may_send:
        return "send"
    if listed_at >= closable_at(entry, window, fence, unanswered):
        return "close"
    return "wait"
