# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The lease of a run (``run#<id>`` / ``lease``): how long its process may send requests that change something.

Values and pure rules; the store writes them (design section 6, "Lease"). All times are AWS's, in epoch seconds.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from ..errors import RecordTooNew, in_words
from .attributes import Item, from_item, to_item
from .process import Process

WAITER = 90  # the waiter renews to now + 90 ..
WAITER_EVERY = 20  # .. every 20 s, in a thread
VERB = 300  # every other verb renews to now + 300 ..
VERB_BELOW = 120  # .. when less than 120 s are left
SCHEMA = 1


@dataclass(frozen=True)
class Ended:
    """The run that ended a lease (itself, when it let go), when, and the fence of what it had sent."""

    by: str
    at: int
    fence: int

    def to_dict(self) -> dict[str, Any]:
        """As plain data."""
        return {"by": self.by, "at": self.at, "fence": self.fence}


@dataclass(frozen=True)
class Lease:
    """The lease of ``run``. ``renewed`` is when it last was; ``who`` is missing where another run wrote it as ended
    because there was none. ``totals`` are those of the run's report; ``unanswered`` is the date of the newest request
    without an answer that a process of the run left behind, 0 for none."""

    run: str
    until: int = 0
    renewed: int = 0
    ended: Ended | None = None
    who: Process | None = None
    totals: Mapping[str, Any] = field(default_factory=dict)
    unanswered: int = 0

    @property
    def key(self) -> dict[str, dict[str, str]]:
        """Its key in the table of the records."""
        return key(self.run)

    def to_item(self) -> dict[str, dict[str, Any]]:
        """As DynamoDB's item."""
        values: dict[str, Any] = {"schema": SCHEMA, "until": self.until, "renewed": self.renewed}
        if self.ended is not None:
            values["ended"] = self.ended.to_dict()
        if self.who is not None:
            values["who"] = self.who.to_dict()
        if self.unanswered:
            values["unanswered"] = self.unanswered
        if self.totals:
            values["totals"] = self.totals
        return {**self.key, **to_item(values)}

    @classmethod
    def from_item(cls, item: Item) -> Lease:
        """The lease of DynamoDB's ``item``. Raises RecordTooNew for one of a newer version."""
        values = from_item(item)
        if values.get("schema", 1) > SCHEMA:
            raise RecordTooNew(
                f"A newer version of TableFerry wrote the lease {values['pk']} (schema {values['schema']}).",
                "Use that version, or a newer one, for this account.",
            )
        ended, who = values.get("ended"), values.get("who")
        return cls(
            str(values["pk"]).removeprefix("run#"),
            values.get("until", 0),
            values.get("renewed", 0),
            Ended(ended["by"], ended["at"], ended["fence"]) if ended else None,
            Process.from_dict(who) if who else None,
            values.get("totals", {}),
            values.get("unanswered", 0),
        )


def key(run: str) -> dict[str, dict[str, str]]:
    """The key of a run's lease in the table of the records."""
    return {"pk": {"S": f"run#{run}"}, "sk": {"S": "lease"}}


def run_id(process: Process, number: int = 1) -> str:
    """The id of the ``number``-th run of an ansible-playbook process: all its workers find the same one."""
    parts = (process.host, process.boot, process.pid_ns, process.pid, process.started, number)
    return hashlib.sha256("\0".join(map(str, parts)).encode()).hexdigest()[:16]


def until_for(seconds: int, now: float, ahead: float) -> int:
    """The ``until`` of a renewal for ``seconds``.

    What the local clock is ahead is added: botocore signs by the local clock, and a signature's date is held to
    ``until`` as well.
    """
    return math.floor(now + seconds + ahead)


def is_due(until: float, now: float) -> bool:
    """Whether a verb that is not the waiter renews now."""
    return until - now < VERB_BELOW


def lapsed(lease: Lease, now: float) -> bool:
    """Whether the lease ran out. It is not lost by that: its run may renew it until somebody ends it."""
    return now > lease.until


def held_by(lease: Lease, now: float) -> str:
    """Who holds, in words: ``held by ann@ci-7 since 2026-01-31T07:00:00Z, renewed 12 s ago``."""
    renewed = f"renewed {in_words(now - lease.renewed)} ago"
    if lease.who is None:
        return f"held by run {lease.run}, {renewed}"
    return f"held by {lease.who.user}@{lease.who.host} since {iso(lease.who.since)}, {renewed}"


def iso(moment: float) -> str:
    """AWS's time in words, to the second."""
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
