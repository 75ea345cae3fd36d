# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The jobs of one kind in one account: when they start, and whether a look lists or describes (design section 5)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

from ..account import Account
from ..aws_errors import is_passing, is_throttle
from .job import Job, State
from .kind import AnySteps, JobKind, WaitItem
from .progress import JobPace

LIST_PAGE = 25  # the most that a list page holds; AWS may give fewer (measured/import-export-table 1.4)
BURST = 9  # describes at once before AWS throttles their tail (measured/import-export-table 1.11)
BURST_GAP = 0.25  # seconds between bursts, while AWS lets us
THROTTLED_GAP = 1.5  # seconds between starts or bursts after a throttle (measured/import-export-table 1.11)
SHORTEST_ROUND, LONGEST_ROUND = 0.5, 20.0  # seconds between looks
PAGE_GAP = 0.05  # seconds between looks for each page of a list: many pages are looked at less often
ROUND_SHARE = 0.05  # a look after each twentieth of the time that nothing happened in
SHORTEST_PROBE, LONGEST_PROBE = 2.0, 30.0  # seconds between tries for a slot that others may have freed
SHORTEST_RETRY, LONGEST_RETRY = 1.0, 30.0  # seconds before a call is made again that failed in passing
SHORT_THROTTLES = 5  # in a row
LONG_FAILING, SLOW_RETRY = 25, 120.0  # after so many in a row, about 10 minutes, that many seconds
LIST_FAILURES = 3  # lists in a row that failed in passing: then some jobs are described before each further list

Phase = Literal["due", "busy", "end", "slot", "over"]


def round_bound(jobs: int) -> int:
    """The most calls that one look at ``jobs`` jobs of a group may cost (design section 5)."""
    return math.ceil(jobs / LIST_PAGE) + 1


@dataclass(eq=False)
class Entry:
    """One job under way. ``job`` is where it stands; ``steps`` brings it on, None after a failure in passing."""

    table: TableJobs
    item: WaitItem
    job: Job
    group: Group
    phase: Phase = "due"
    due: float = 0.0
    steps: AnySteps | None = None
    reading: Literal["", "describe", "result"] = ""  # what going on now is: a poll, the look at an ended job, neither
    probing: bool = False  # its next step tries for a slot that none of our jobs left
    listed: State | Literal[""] = ""  # the end that a listing showed
    aws_state: str = ""  # AWS's word for it, while a listing shows that AWS has not begun to work on it
    pace: JobPace = field(default_factory=JobPace)  # how far it is, by listings or by the job itself
    failures: int = 0
    described: float = 0.0  # when it was last asked for by itself
    ended_before: bool = False  # an earlier run has seen its end
    entered: str = ""  # when it was reached, by AWS's time
    since: float = 0.0  # the same by the waiter's clock


@dataclass(eq=False)
class TableJobs:
    """The jobs of one table, one after the other; ``at`` is the one that was reached, ``last`` comes after all."""

    item: WaitItem
    jobs: list[Job]
    last: Job | None = None
    at: int = 0
    entry: Entry | None = None

    @property
    def reached(self) -> Job:
        """The job that was reached."""
        return self.jobs[self.at]

    @property
    def at_last(self) -> bool:
        """Whether that is the one after all, which begins nothing on AWS."""
        return self.item.last is not None and self.reached.kind == self.item.last.kind


@dataclass(frozen=True)
class Look:
    """What a round of list calls looks for, and the most calls that it may cost."""

    arns: frozenset[str]
    bound: int


@dataclass
class Listing:
    """What a round of list calls showed, and whether the pass over the list is complete."""

    states: dict[str, State] = field(default_factory=dict)
    percents: dict[str, float] = field(default_factory=dict)
    waiting: dict[str, str] = field(default_factory=dict)
    calls: int = 0
    complete: bool = False
    error: Exception | None = None


@dataclass(eq=False)
class Group:
    """The jobs of one kind in one account, Region and list scope: they share list pages, quotas and throttles."""

    kind: JobKind
    name: str
    account: Account
    scope: str = ""
    entries: list[Entry] = field(default_factory=list)
    next_round: float = 0.0
    last_event: float = 0.0
    cursor: str = ""
    seen: set[str] = field(default_factory=set)  # ARNs that this pass over the list showed
    missing: set[str] = field(default_factory=set)  # ARNs that the last pass did not show: the next round describes
    lists: bool = True
    list_failures: int = 0  # in a row, in passing
    credits: int = 0
    probe_at: float = 0.0
    probe_gap: float = SHORTEST_PROBE
    start_gap: float = 0.0
    next_start: float = 0.0
    burst_left: int = BURST
    burst_gap: float = BURST_GAP
    next_burst: float = 0.0
    rounds: int = 0
    list_calls: int = 0
    describe_calls: int = 0
    result_calls: int = 0
    largest_round: int = 0
    largest_bound: int = 0

    def waiting(self, phase: Phase) -> list[Entry]:
        """The jobs that stand there."""
        return [entry for entry in self.entries if entry.phase == phase]

    # Sending work out

    def due(self, now: float) -> list[Entry]:
        """The jobs that may continue at ``now``: describes go out in bursts, other steps are not held back."""
        if now >= self.next_burst:
            self.burst_left, self.next_burst = BURST, now + self.burst_gap
        return [entry for entry in self.waiting("due") if entry.due <= now and self._allowed(entry)]

    def _allowed(self, entry: Entry) -> bool:
        if not self.is_counted(entry):
            return True
        self.burst_left -= 1
        return self.burst_left >= 0

    def is_counted(self, entry: Entry) -> bool:
        """Whether going on with ``entry`` is a describe, which counts in a burst."""
        return entry.job.state == "running" and (entry.reading == "describe" or self.kind.describes_end(entry.item))

    def release_starts(self, now: float) -> None:
        """Let as many waiting jobs start as have ended; and one more from time to time, for slots that others freed."""
        for entry in self.waiting("slot"):
            if now < self.next_start:
                return
            entry.probing = self.credits == 0
            if not entry.probing:
                self.credits -= 1
            elif now >= self.probe_at:
                self.probe_at = now + self.probe_gap
                self.probe_gap = min(self.probe_gap * 2, LONGEST_PROBE)
            else:
                return
            self.next_start = now + self.start_gap
            entry.phase, entry.due = "due", now

    def look(self, now: float) -> Look | None:
        """One round: describe the jobs where that is cheaper, else what to list."""
        waiting = self.waiting("end")
        bound = round_bound(len(waiting))
        self.rounds += 1
        self.largest_bound = max(self.largest_bound, bound)
        self.next_round = now + self._round_gap(now)
        missing = [entry for entry in waiting if entry.job.arn in self.missing]
        if len(waiting) <= math.ceil(len(waiting) / LIST_PAGE) or not self.lists:
            self._describe(waiting, now)
        elif self.list_failures >= LIST_FAILURES:
            self.list_failures -= 1
            self._describe(_longest_not_described(waiting)[:bound], now)
        elif missing:
            self.missing = set()
            self._describe(_longest_not_described(missing)[:bound], now)
        else:
            return Look(frozenset(entry.job.arn for entry in waiting), bound)
        return None

    def _describe(self, entries: Sequence[Entry], now: float) -> None:
        for entry in entries:
            entry.phase, entry.due, entry.reading, entry.listed, entry.described = "due", now, "describe", "", now
        self.largest_round = max(self.largest_round, len(entries))

    def _round_gap(self, now: float) -> float:
        pages = len(self.waiting("end")) / LIST_PAGE
        return min(max((now - self.last_event) * ROUND_SHARE, pages * PAGE_GAP, SHORTEST_ROUND), LONGEST_ROUND)

    def next_event(self, *, listing: bool) -> float:
        """When there is something to do; ``listing``: a list of the group's jobs is under way."""
        times = [math.inf]
        if self.waiting("end") and not listing:
            times.append(self.next_round)
        if self.waiting("slot"):
            times.append(max(self.next_start, 0.0 if self.credits else self.probe_at))
        due = [entry.due for entry in self.waiting("due")]
        if due:
            times.append(max(min(due), self.next_burst) if self.burst_left <= 0 else min(due))
        return min(times)

    # In a thread

    def list_pages(self, look: Look) -> Listing:
        """Pages of the list until every job looked for was seen, the list ends or the round may cost no more.

        Goes on where the round before stopped.
        """
        listing = Listing()
        seen = set(self.seen)
        token, self.cursor = self.cursor, ""
        while listing.calls < look.bound:
            listing.calls += 1
            try:
                page = self.kind.list_page(self.account, self.scope, token)
            except Exception as error:  # the loop decides what a refused list means
                listing.error = error
                return listing
            listing.states |= page.states
            listing.percents |= page.percents
            listing.waiting |= page.waiting
            seen |= set(page.states)
            token = page.next_token
            if not token or look.arns <= seen:
                listing.complete = True
                return listing
        self.cursor = token
        return listing

    # Taking results in

    def listed(self, listing: Listing, now: float) -> None:
        """Take in what a list showed: jobs that have ended continue."""
        self.list_calls += listing.calls
        if listing.error is not None and not is_passing(listing.error):
            self.lists = False  # not allowed, or broken: describe calls do without
        elif listing.error is not None:
            self.list_failures += 1
            self.next_round = now + max(THROTTLED_GAP, self._round_gap(now) * 2)
        else:
            self.list_failures = 0
        self.seen |= set(listing.states)
        waiting = self.waiting("end")
        for entry in waiting:
            entry.pace.note(now, listing.percents.get(entry.job.arn))
            if entry.job.arn in listing.states:
                entry.aws_state = listing.waiting.get(entry.job.arn, "")
            state = listing.states.get(entry.job.arn, "running")
            if state != "running":
                entry.phase, entry.due, entry.reading, entry.listed = "due", now, "result", state
        if listing.complete:
            # A job leaves the list when its table is deleted or created again (measured/import-export-table 1.4).
            self.missing = {entry.job.arn for entry in waiting if entry.job.arn not in self.seen}
            self.seen.clear()
        self.largest_round = max(self.largest_round, listing.calls)

    def stepped(self, entry: Entry) -> None:
        """Count the call that ``entry`` went on with."""
        self.describe_calls += entry.reading == "describe"
        self.result_calls += entry.reading == "result"
        entry.reading = ""

    def note_start(self, entry: Entry, now: float) -> None:
        """A job of the group has begun."""
        self.last_event, self.probe_gap = now, SHORTEST_PROBE
        self.next_round = min(self.next_round, now + SHORTEST_ROUND)
        if entry.probing:
            self.probe_at = now  # one slot was free: there may be more

    def note_full(self, entry: Entry, now: float) -> None:
        """No slot was free for the start of ``entry``: it goes to the back of the line, so that a table which AWS keeps
        refusing stops no other. The slot that it tried to take is spent; those of other ended jobs are not."""
        self._to_the_back(entry)
        self.probe_at = max(self.probe_at, now + self.probe_gap)

    def _to_the_back(self, entry: Entry) -> None:
        self.entries.remove(entry)
        self.entries.append(entry)

    def retry(self, entry: Entry, error: Exception, now: float) -> None:
        """Put ``entry``, whose last call failed in passing, in line again."""
        longest = LONGEST_RETRY if entry.failures <= LONG_FAILING else SLOW_RETRY
        gap = min(SHORTEST_RETRY * 2 ** min(entry.failures - 1, LONG_FAILING), longest)
        entry.phase, entry.due = "due", now + gap
        if not is_throttle(error):
            return
        if entry.job.state == "running":
            self.burst_gap = THROTTLED_GAP
            # A burst of ours passes soon; what throttles for longer does not end by more calls.
            entry.due = now + (max(gap, THROTTLED_GAP) if entry.failures > SHORT_THROTTLES else THROTTLED_GAP)
        else:
            self.start_gap = THROTTLED_GAP
            entry.due = now + max(gap, THROTTLED_GAP)
        if entry.job.pending_reason == "slot":  # in line again: many retries of their own would throttle each other
            entry.phase = "slot"
            self.next_start = entry.due
            self.credits += not entry.probing

    def add_calls(self, total: dict[str, int]) -> None:
        """Add the group's calls to ``total``: ``list`` and ``describe`` are polls, ``result`` reads an ended job."""
        for name, value in (
            ("rounds", self.rounds),
            ("list", self.list_calls),
            ("describe", self.describe_calls),
            ("result", self.result_calls),
        ):
            total[name] = total.get(name, 0) + value
        total["largest_round"] = max(total.get("largest_round", 0), self.largest_round)
        total["bound"] = max(total.get("bound", 0), self.largest_bound)


def _longest_not_described(entries: Sequence[Entry]) -> list[Entry]:
    return sorted(entries, key=lambda entry: entry.described)
