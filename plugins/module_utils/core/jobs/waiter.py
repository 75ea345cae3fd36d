# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One waiter for the jobs of many tables: lists instead of describing, starts what waits for a slot (design section 5).

Each job is a generator of its kind which says what it waits for. A few threads bring the generators forward; the loop
here only decides which, so that a hundred tables cost one small process.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass, field, replace
from typing import Any, Literal, TypeAlias

from .. import sdk
from ..account import Account
from .aws_errors import is_passing, is_throttle
from .job import Job, JobKind, JobName, Pause, State, Steps, WaitItem, WaitResult, ended_with

THREADS = 8
LIST_PAGE = 25  # the most that a list page holds; AWS may give fewer (measured/import-export-table 1.4)
BURST = 9  # describes at once before AWS throttles their tail (measured/import-export-table 1.11)
BURST_GAP = 0.25  # seconds between bursts, while AWS lets us
THROTTLED_GAP = 1.5  # seconds between starts or bursts after a throttle (measured/import-export-table 1.11)
SHORTEST_ROUND, LONGEST_ROUND = 1.0, 20.0  # seconds between looks
ROUND_SHARE = 0.05  # a look after each twentieth of the time that nothing happened in
SHORTEST_PROBE, LONGEST_PROBE = 2.0, 30.0  # seconds between tries for a slot that others may have freed
SHORTEST_RETRY, LONGEST_RETRY = 1.0, 30.0  # seconds before a call is made again that failed in passing
LIST_FAILURES = 3  # lists in a row that failed in passing: then some jobs are described before each further list
PASSING_FAILURES = 25  # in a row, about 10 minutes: then the table is given up
LINE_GAP, QUIET_LINE_GAP = 5.0, 60.0  # seconds between progress lines, when something changed and when not

Phase = Literal["due", "busy", "end", "slot", "over"]
Outcome: TypeAlias = Pause | Job | Exception


def kinds() -> dict[str, JobKind]:
    """Every kind of job that can be waited for."""
    from ..backup.backup_jobs import BackupKind
    from ..backup.copy_jobs import CopyKind
    from ..backup.restore_jobs import RestoreKind
    from ..counting import CountKind
    from ..direct import DirectKind
    from ..export import ExportKind
    from ..importing import ImportKind
    from ..settings_job import SettingsKind
    from ..verification import VerifyKind

    return {
        "export": ExportKind(),
        "import": ImportKind(),
        "backup": BackupKind(),
        "copy": CopyKind(),
        "restore": RestoreKind(),
        "count": CountKind(),
        "direct": DirectKind(),
        "verify": VerifyKind(),
        "settings": SettingsKind(),
    }


def wait_for(
    items: Sequence[WaitItem],
    timeout: float = 86400.0,
    progress: Callable[[str], None] = lambda line: None,
    clock: Callable[[], float] = time.monotonic,
    sleep: Callable[[float], None] = time.sleep,
) -> WaitResult:
    """Wait until every job has ended or ``timeout`` seconds are over; start those that are pending.

    Jobs that have ended, or were never started (``planned``), come back as they are. One table's failure is its job's
    ``failed``, never an exception. A job still open at the end of ``timeout`` has ``result["timed_out"]``. ``progress``
    gets a line of text now and then; ``clock`` counts seconds, ``sleep`` waits them.
    """
    return Waiter(progress=progress, clock=clock, sleep=sleep).wait(items, timeout)


@dataclass(eq=False)
class _Entry:
    """One job under way. ``job`` is where it stands; ``steps`` brings it on, None after a failure in passing."""

    way: _Way
    item: WaitItem
    job: Job
    group: _Group
    phase: Phase = "due"
    due: float = 0.0
    steps: Steps | None = None
    reading: Literal["", "describe", "result"] = ""  # what going on now is: a poll, the look at an ended job, neither
    probing: bool = False  # going on now tries for a slot that nobody of ours left
    told: State | Literal[""] = ""  # what a listing said of it
    percent: float | None = None  # how far a listing, or the job itself, said it is
    failures: int = 0
    described: float = 0.0  # when it was last asked for by itself


@dataclass(eq=False)
class _Way:
    """The jobs of one table, one after the other; ``at`` is the one that was reached."""

    item: WaitItem
    jobs: list[Job]
    at: int = 0
    entry: _Entry | None = None

    @property
    def reached(self) -> Job:
        return self.jobs[self.at]


@dataclass
class _Listing:
    """What a round of list calls showed, and whether the pass over the list is complete."""

    states: dict[str, State] = field(default_factory=dict)
    percents: dict[str, float] = field(default_factory=dict)
    calls: int = 0
    complete: bool = False
    error: Exception | None = None


@dataclass(eq=False)
class _Group:
    """The jobs of one kind in one account and Region: they share list pages, quotas and throttles."""

    kind: JobKind
    name: str
    account: Account
    entries: list[_Entry] = field(default_factory=list)
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

    def waiting(self, phase: Phase) -> list[_Entry]:
        return [entry for entry in self.entries if entry.phase == phase]


def round_bound(jobs: int) -> int:
    """The most calls that one look at ``jobs`` jobs of a group may cost (design section 5)."""
    return math.ceil(jobs / LIST_PAGE) + 1


class Waiter:
    """Waits for many jobs. One instance waits once."""

    def __init__(
        self,
        *,
        progress: Callable[[str], None],
        clock: Callable[[], float],
        sleep: Callable[[float], None],
        job_kinds: dict[str, JobKind] | None = None,
    ) -> None:
        self._progress = progress
        self._clock = clock
        self._sleep = sleep
        self._kinds = kinds() if job_kinds is None else job_kinds
        self._groups: dict[tuple[str, str, str], _Group] = {}
        self._ways: dict[str, _Way] = {}
        self._started: set[tuple[str, JobName]] = set()
        self._flying: dict[Future[Any], _Entry | _Group] = {}
        self._begun = self._told_at = 0.0
        self._told = ""
        self._closing = False

    def wait(self, items: Sequence[WaitItem], timeout: float) -> WaitResult:
        """Wait for ``items``; see ``wait_for``."""
        self._begun = self._told_at = self._clock()
        for item in items:
            self._ways[item.name] = way = _Way(item, [item.job, *item.then])
            self._go_on(way)
        with ThreadPoolExecutor(THREADS) as pool:
            while any(way.entry for way in self._ways.values()):
                if self._clock() - self._begun >= timeout:
                    break
                self._send(pool)
                self._tell()
                self._pass_time(timeout)
            # What is under way is waited for: its answers (an ARN!) must not be lost.
            self._closing = True
            while self._flying:
                self._collect(wait(self._flying, return_when=FIRST_COMPLETED).done)
        for way in self._ways.values():
            if way.entry and way.entry.steps:
                way.entry.steps.close()  # what works beside it is to stop
            if way.reached.open:
                way.jobs[way.at] = replace(way.reached, result={**way.reached.result, "timed_out": True})
        if self._groups:
            self._tell(last=True)
        return WaitResult(
            {name: way.reached for name, way in self._ways.items()},
            self._calls(),
            frozenset(self._started),
            {name: tuple(way.jobs) for name, way in self._ways.items()},
        )

    def _go_on(self, way: _Way) -> None:
        """Put the next job of the way in line; none, at its end or where a job did not complete."""
        way.entry = None
        while not way.reached.open:
            if way.reached.state not in ("completed", "not_needed") or way.at + 1 == len(way.jobs):
                return
            before, job = way.reached, way.jobs[way.at + 1]
            following = self._kinds[job.kind].after(job, before) if job.pending_reason == "job" else job
            if following is None:
                return
            way.at += 1
            way.jobs[way.at] = following
        if not self._closing:
            self._enter(way)

    def _enter(self, way: _Way) -> None:
        item = replace(way.item, job=way.reached)
        kind = self._kinds[item.job.kind]
        try:
            account = kind.account(item)
            key = (item.job.kind, account.account_id, account.region)
        except Exception as error:  # one table's account that cannot be reached is that table's failure
            way.jobs[way.at] = ended_with(item.job, error)
            return
        now = self._clock()
        group = self._groups.setdefault(key, _Group(kind, item.job.kind, account, last_event=now))
        told = {key: value for key, value in item.job.result.items() if key != "timed_out"}
        way.entry = entry = _Entry(way, item, replace(item.job, result=told), group, due=now)
        group.entries.append(entry)
        if item.job.state == "running":
            entry.phase = "end"
        elif item.job.pending_reason == "slot":
            entry.phase = "slot"

    # Sending work out

    def _send(self, pool: ThreadPoolExecutor) -> None:
        now = self._clock()
        for group in self._groups.values():
            self._release_starts(group, now)
            if now >= group.next_burst:
                group.burst_left, group.next_burst = BURST, now + group.burst_gap
            for entry in group.entries:
                if entry.phase == "due" and entry.due <= now and self._allowed(group, entry):
                    entry.phase = "busy"
                    self._flying[pool.submit(self._advance, entry)] = entry
            if group.waiting("end") and now >= group.next_round and group not in self._flying.values():
                self._look(pool, group, now)

    @staticmethod
    def _allowed(group: _Group, entry: _Entry) -> bool:
        """Describes go out in bursts; other steps are not held back."""
        if entry.job.state != "running":
            return True
        group.burst_left -= 1
        return group.burst_left >= 0

    def _release_starts(self, group: _Group, now: float) -> None:
        """Let as many waiting jobs start as have ended; and one more from time to time, for slots that others freed."""
        for entry in group.waiting("slot"):
            if now < group.next_start:
                return
            entry.probing = group.credits == 0
            if not entry.probing:
                group.credits -= 1
            elif now >= group.probe_at:
                group.probe_at = now + group.probe_gap
                group.probe_gap = min(group.probe_gap * 2, LONGEST_PROBE)
            else:
                return
            group.next_start = now + group.start_gap
            entry.phase, entry.due = "due", now

    def _look(self, pool: ThreadPoolExecutor, group: _Group, now: float) -> None:
        """One round: describe the jobs where that is cheaper, list pages otherwise."""
        waiting = group.waiting("end")
        bound = round_bound(len(waiting))
        group.rounds += 1
        group.largest_bound = max(group.largest_bound, bound)
        group.next_round = now + self._round_gap(group, now)
        missing = [entry for entry in waiting if entry.job.arn in group.missing]
        if len(waiting) <= math.ceil(len(waiting) / LIST_PAGE) or not group.lists:
            self._describe(group, waiting, now)
        elif group.list_failures >= LIST_FAILURES:
            group.list_failures -= 1
            self._describe(group, self._longest_not_described(waiting)[:bound], now)
        elif missing:
            group.missing = set()
            self._describe(group, self._longest_not_described(missing)[:bound], now)
        else:
            wanted = frozenset(entry.job.arn for entry in waiting)
            self._flying[pool.submit(self._list, group, wanted, bound)] = group

    @staticmethod
    def _longest_not_described(entries: Sequence[_Entry]) -> list[_Entry]:
        return sorted(entries, key=lambda entry: entry.described)

    def _describe(self, group: _Group, entries: Sequence[_Entry], now: float) -> None:
        for entry in entries:
            entry.phase, entry.due, entry.reading, entry.told, entry.described = "due", now, "describe", "", now
        group.largest_round = max(group.largest_round, len(entries))

    @staticmethod
    def _round_gap(group: _Group, now: float) -> float:
        return min(max((now - group.last_event) * ROUND_SHARE, SHORTEST_ROUND), LONGEST_ROUND)

    # In the threads

    def _advance(self, entry: _Entry) -> Outcome:
        try:
            if entry.steps is None:
                item = replace(entry.item, job=entry.job)
                entry.steps = entry.group.kind.run(item, self._begun, self._clock)
                first = next(entry.steps)
                if entry.job.state != "running" or first.until != "end":
                    return first
            return entry.steps.send(entry.told)
        except StopIteration as end:
            ended: Job = end.value
            return ended
        except Exception as error:  # shown in the job: one table's failure must not end the others
            return error

    @staticmethod
    def _list(group: _Group, wanted: frozenset[str], bound: int) -> _Listing:
        """Pages of the list until every wanted job was seen, the list ends or the round may cost no more.

        Goes on where the round before stopped.
        """
        found = _Listing()
        seen = set(group.seen)
        token, group.cursor = group.cursor, ""
        while found.calls < bound:
            found.calls += 1
            try:
                page = group.kind.list_page(group.account, token)
            except Exception as error:  # the loop decides what a refused list means
                found.error = error
                return found
            found.states |= page.states
            found.percents |= page.percents
            seen |= set(page.states)
            token = page.next_token
            if not token or wanted <= seen:
                found.complete = True
                return found
        group.cursor = token
        return found

    # Taking results in

    def _pass_time(self, timeout: float) -> None:
        now = self._clock()
        pause = max(min(self._next_event(), self._begun + timeout) - now, 0.0)
        if self._flying:
            self._collect(wait(self._flying, timeout=max(pause, 0.01), return_when=FIRST_COMPLETED).done)
        elif pause:
            self._sleep(pause)

    def _next_event(self) -> float:
        """When there is something to do, were no call under way."""
        times = [self._told_at + QUIET_LINE_GAP]
        for group in self._groups.values():
            if group.waiting("end") and group not in self._flying.values():
                times.append(group.next_round)
            if group.waiting("slot"):
                times.append(max(group.next_start, 0.0 if group.credits else group.probe_at))
            due = [entry.due for entry in group.waiting("due")]
            if due:
                times.append(max(min(due), group.next_burst) if group.burst_left <= 0 else min(due))
        return min(times)

    def _collect(self, futures: set[Future[Any]]) -> None:
        for future in futures:
            about = self._flying.pop(future)
            if isinstance(about, _Group):
                self._listed(about, future.result())
            else:
                self._advanced(about, future.result())

    def _listed(self, group: _Group, found: _Listing) -> None:
        now = self._clock()
        group.list_calls += found.calls
        if found.error is not None and not is_passing(found.error):
            group.lists = False  # not allowed, or broken: describe calls do without
        elif found.error is not None:
            group.list_failures += 1
            group.next_round = now + max(THROTTLED_GAP, self._round_gap(group, now) * 2)
        else:
            group.list_failures = 0
        group.seen |= set(found.states)
        waiting = group.waiting("end")
        for entry in waiting:
            entry.percent = found.percents.get(entry.job.arn, entry.percent)
            told = found.states.get(entry.job.arn, "running")
            if told != "running":
                entry.phase, entry.due, entry.reading, entry.told = "due", now, "result", told
        if found.complete:
            # A job leaves the list when its table is deleted or made anew (measured/import-export-table 1.4).
            group.missing = {entry.job.arn for entry in waiting if entry.job.arn not in group.seen}
            group.seen.clear()
        group.largest_round = max(group.largest_round, found.calls)

    def _advanced(self, entry: _Entry, outcome: Outcome) -> None:
        now, group = self._clock(), entry.group
        group.describe_calls += entry.reading == "describe"
        group.result_calls += entry.reading == "result"
        entry.reading = ""
        if isinstance(outcome, Exception):
            self._failed(entry, outcome, now)
            return
        entry.failures = 0
        was = entry.job
        if isinstance(outcome, Job):
            entry.job, entry.phase = outcome, "over"
        else:
            entry.job, entry.phase, entry.due = outcome.job, "due", now + outcome.seconds
            entry.percent = outcome.job.result.get("percent", entry.percent)
            if outcome.until != "time":
                entry.phase = outcome.until
        if was.state == "pending" and entry.job.state in ("running", "completed"):
            if not (isinstance(outcome, Pause) and outcome.adopted):
                self._started.add((entry.item.name, entry.job.kind))
            group.last_event, group.probe_gap = now, SHORTEST_PROBE
            group.next_round = min(group.next_round, now + SHORTEST_ROUND)
            if entry.probing:
                group.probe_at = now  # one slot was free: there may be more
        elif entry.phase == "slot" and was.pending_reason == "slot":
            group.credits = 0
            group.probe_at = max(group.probe_at, now + group.probe_gap)
        entry.probing = False
        if entry.phase == "over":
            group.credits += was.state == "running"
            self._over(entry, now)
        else:
            entry.way.jobs[entry.way.at] = entry.job

    def _over(self, entry: _Entry, now: float) -> None:
        entry.group.last_event = now
        entry.group.entries.remove(entry)
        entry.way.jobs[entry.way.at] = entry.job
        self._go_on(entry.way)

    def _failed(self, entry: _Entry, error: Exception, now: float) -> None:
        entry.steps = None
        entry.failures += 1
        group = entry.group
        if not is_passing(error) or entry.failures > PASSING_FAILURES:
            entry.job, entry.phase = self._given_up(entry, error), "over"
            self._over(entry, now)
            return
        gap = min(SHORTEST_RETRY * 2 ** (entry.failures - 1), LONGEST_RETRY)
        entry.phase, entry.due = "due", now + gap
        if is_throttle(error):
            if entry.job.state == "running":
                group.burst_gap = THROTTLED_GAP
            else:
                group.start_gap = THROTTLED_GAP
            entry.due = now + (THROTTLED_GAP if entry.job.state == "running" else max(gap, THROTTLED_GAP))
            if entry.job.pending_reason == "slot":  # in line again: many retries of their own would throttle each other
                entry.phase = "slot"
                group.next_start = entry.due
                group.credits += not entry.probing

    @staticmethod
    def _given_up(entry: _Entry, error: Exception) -> Job:
        job = entry.job
        if isinstance(error, (sdk.ClientError, sdk.BotoCoreError)):
            doing = f"following the {job.kind} {job.arn}" if job.arn else f"starting the {job.kind}"
            error = entry.group.account.explain(error, doing, job.name)
        failed = ended_with(job, error)
        if not job.arn:
            return failed
        cause = f"{failed.failure['cause']} The {job.kind} {job.arn} could not be followed; it may still be running."
        next_step = f"{failed.failure['next_step']} The next run finds the {job.kind}.".strip()
        return replace(failed, failure={**failed.failure, "cause": cause, "next_step": next_step})

    def _calls(self) -> dict[str, dict[str, int]]:
        """Calls per kind: ``list`` and ``describe`` are polls, ``result`` reads one ended job each."""
        calls: dict[str, dict[str, int]] = {}
        for group in self._groups.values():
            total = calls.setdefault(group.name, {})
            for name, value in (
                ("rounds", group.rounds),
                ("list", group.list_calls),
                ("describe", group.describe_calls),
                ("result", group.result_calls),
            ):
                total[name] = total.get(name, 0) + value
            total["largest_round"] = max(total.get("largest_round", 0), group.largest_round)
            total["bound"] = max(total.get("bound", 0), group.largest_bound)
        return calls

    # Progress

    def _percents(self, kind: str) -> list[float]:
        """How far AWS says that the jobs of ``kind`` are which still run."""
        entries = [entry for group in self._groups.values() if group.name == kind for entry in group.entries]
        return [entry.percent for entry in entries if entry.percent is not None]

    def _tell(self, *, last: bool = False) -> None:
        now = self._clock()
        if not last and now - self._told_at < LINE_GAP:
            return
        jobs = [job for way in self._ways.values() for job in way.jobs]
        line = "; ".join(
            progress_line(name, [job for job in jobs if job.kind == name], self._percents(name))
            for name in dict.fromkeys(job.kind for job in jobs)
        )
        if line and (last or line != self._told or now - self._told_at >= QUIET_LINE_GAP):
            self._progress(f"{line}, {duration(now - self._begun)}")
            self._told, self._told_at = line, now


_PLURALS = {
    "export": "exports",
    "import": "imports",
    "backup": "backups",
    "copy": "copies",
    "restore": "restores",
    "count": "counts",
    "direct": "direct copies",
    "verify": "comparisons",
    "settings": "settings",
}


def progress_line(kind: str, jobs: Sequence[Job], percents: Iterable[float] = ()) -> str:
    """``restores 37/100 done, 2 failed, 3 waiting for a slot, 58 running (12 to 90 %)``.

    ``percents`` are those that were told of open jobs.
    """
    failed = sum(job.state in ("failed", "cancelled") for job in jobs)
    done = sum(not job.open for job in jobs) - failed
    parts = [f"{_PLURALS.get(kind, kind)} {done}/{len(jobs)} done"]
    for count, words in (
        (failed, "failed"),
        (sum(job.open and job.pending_reason == "slot" for job in jobs), "waiting for a slot"),
        (
            sum(job.open and job.pending_reason == "point_in_time_recovery" for job in jobs),
            "waiting for point-in-time recovery",
        ),
        (sum(job.open and job.pending_reason == "backup_plan" for job in jobs), "waiting for the backup plan"),
        (sum(job.state == "running" or (job.open and job.pending_reason == "settings") for job in jobs), "running"),
    ):
        if count:
            parts.append(f"{count} {words}")
    told = sorted({round(percent) for percent in percents})
    if told:
        parts[-1] += f" ({told[0]}{f' to {told[-1]}' if len(told) > 1 else ''} %)"
    return ", ".join(parts)


def duration(seconds: float) -> str:
    """``2m10s``, ``1h02m`` or ``9s``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
