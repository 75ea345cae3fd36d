# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One waiter for the jobs of many tables: lists instead of describing, starts what waits for a slot (design section 5).

Each job is a generator of its kind which says what it waits for. A few threads bring the generators forward; the loop
here only decides which, so that a hundred tables cost one small process.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import suppress
from dataclasses import replace
from typing import Any, TypeAlias

from .. import sdk
from ..aws_errors import code_of, is_away, is_expired, is_passing
from ..errors import CredentialsError, FerryError, LeaseOver, RecordBusy
from ..items.kept_connections import KEPT
from .group import Entry, Group, TableJobs
from .job import AWS_WAITS, NOT_FOLLOWED, Job, ended_with
from .kind import Instead, JobKind, OwnWork, Pause, WaitItem, WaitResult
from .progress import QUIET_GAP, Running, Telling, point_of

THREADS = 8
QUEUED = THREADS + 2  # calls sent out at once: the rest are put in line again when one has been answered
# In a row, about 10 minutes: then a table is given up of which no job runs, unless AWS is away as a whole.
PASSING_FAILURES = 25
AWAY_FAILURES = 5  # in a row, half a minute: then a line says that AWS does not answer
SHORT_TURN, LONG_TURN = 0.01, 0.25  # seconds that a turn of the loop lasts at least, and with all threads busy

Outcome: TypeAlias = Pause | Job | Instead | Exception


def _turn(entry: Entry) -> tuple[int, bool, int]:
    """The order in which due entries are sent: first jobs that AWS is to start, as it works on them meanwhile; then the
    ends of its jobs; then work of our own that follows them, such as settings."""
    at = entry.table.at
    return at if isinstance(entry.group.kind, OwnWork) else 0, entry.job.state == "running", at


class Waiter:
    """Waits for many jobs. One instance waits once.

    ``kinds`` are the kinds of jobs by name. ``progress`` gets a line of text now and then; ``clock`` counts seconds,
    ``sleep`` waits them. ``look`` is called on every turn; what it raises ends the wait.
    """

    def __init__(
        self,
        kinds: Mapping[str, JobKind],
        *,
        progress: Callable[[str], None] = lambda line: None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
        look: Callable[[], None] = lambda: None,
    ) -> None:
        self._progress = progress
        self._clock = clock
        self._sleep = sleep
        self._look = look
        self._kinds = kinds
        self._groups: dict[tuple[str, str, str, str], Group] = {}
        self._tables: dict[str, TableJobs] = {}
        self._started: set[tuple[str, str]] = set()
        self._followed: set[str] = set()
        self._spans: dict[str, dict[str, tuple[str, str]]] = {}
        self._flying: dict[Future[Any], Entry | Group] = {}
        self._begun = 0.0
        self._telling = Telling()
        self._away_line_at: float | None = None
        self._closing = False

    def wait(self, items: Sequence[WaitItem], timeout: float) -> WaitResult:
        """Wait until every job has ended or ``timeout`` seconds are over; start those that are pending.

        Jobs that have ended, or were never started (``planned``), come back as they are. One table's failure is its
        job's ``failed``, never an exception. A job still open at the end of ``timeout`` has ``result["timed_out"]``.
        """
        self._begun = self._clock()
        self._telling = Telling(self._begun)
        for item in items:
            self._tables[item.name] = table = TableJobs(item, [item.job, *item.then], item.last)
            self._go_on(table)
        with ThreadPoolExecutor(THREADS) as pool:
            while any(table.entry for table in self._tables.values()):
                if self._clock() - self._begun >= timeout:
                    break
                self._look()
                KEPT.close_old()
                self._send(pool)
                self._tell()
                self._pass_time(timeout)
                self._stop_following()
            # What is under way is waited for: its answers (an ARN!) must not be lost.
            self._closing = True
            while self._flying:
                self._collect(wait(self._flying, return_when=FIRST_COMPLETED).done)
        for table in self._tables.values():
            if table.entry and table.entry.steps:
                table.entry.steps.close()  # work of its own must stop
            if table.reached.open:
                waits = {AWS_WAITS: table.entry.aws_state} if table.entry and table.entry.aws_state else {}
                result = {**table.reached.result, "timed_out": True, **waits}
                table.jobs[table.at] = replace(table.reached, result=result)
        if self._groups:
            self._tell(last=True)
        return WaitResult(
            {name: table.reached for name, table in self._tables.items()},
            self._calls(),
            frozenset(self._started),
            {name: tuple(table.jobs) for name, table in self._tables.items()},
            frozenset({name for name, _kind in self._started} | self._followed),
            self._spans,
        )

    def _stop_following(self) -> None:
        """A job that AWS runs is not waited for where its end cannot be written down: the session of the account that
        has the records is over for good, whichever account the job is in."""
        for table in list(self._tables.values()):
            entry, record = table.entry, table.item.record
            if entry is None or entry.phase != "end" or record is None or record.run.keys_ended is None:
                continue
            self._failed(entry, record.run.keys_ended, self._clock())

    def _go_on(self, table: TableJobs) -> None:
        """Put the next job of the table in line; none, at its end or where a job did not complete."""
        table.entry = None
        while not table.reached.open:
            if table.reached.state not in ("completed", "not_needed"):
                return
            following = self._following(table)
            if following is not None:
                table.at += 1
                table.jobs[table.at] = following
            elif table.last is not None:
                table.jobs.append(table.last)
                table.at, table.last = len(table.jobs) - 1, None
            else:
                return
        if not self._closing:
            self._enter(table)

    def _following(self, table: TableJobs) -> Job | None:
        """The job after the one that was reached; None at the end of all, and where the others are left out."""
        if table.at + 1 == len(table.jobs):
            return None
        before, job = table.reached, table.jobs[table.at + 1]
        if job.pending_reason != "job":
            return job
        return self._kinds[job.kind].after(job, before, self._kinds[before.kind].made(before))

    def _enter(self, table: TableJobs) -> None:
        item = replace(table.item, job=table.reached, before=tuple(table.jobs[: table.at]))
        kind = self._kinds[item.job.kind]
        try:
            account = kind.account(item)
            scope = kind.list_scope(item)
            key = (item.job.kind, account.account_id, account.region, scope)
        except Exception as error:  # one table's account that cannot be reached is that table's failure
            table.jobs[table.at] = ended_with(item.job, error)
            return
        now = self._clock()
        group = self._groups.setdefault(key, Group(kind, item.job.kind, account, scope, last_event=now))
        result = {name: value for name, value in item.job.result.items() if name not in ("timed_out", AWS_WAITS)}
        table.entry = entry = Entry(table, item, replace(item.job, result=result), group, due=now)
        entry.entered, entry.since = account.now().isoformat(), now
        self._spans.setdefault(item.name, {})[item.job.kind] = (entry.entered, "")
        group.entries.append(entry)
        if item.job.state == "running":
            entry.phase = "end"
        elif item.job.pending_reason == "slot":
            entry.phase = "slot"

    # Sending work out

    def _send(self, pool: ThreadPoolExecutor) -> None:
        now, due = self._clock(), list[Entry]()
        for group in self._groups.values():
            group.release_starts(now)
            due += group.due(now)
            if group.waiting("end") and now >= group.next_round and group not in self._flying.values():
                look = group.look(now)
                if look is not None:
                    self._flying[pool.submit(group.list_pages, look)] = group
        # Describes of running jobs are few, and counted: they are never held back.
        for entry in sorted(due, key=_turn):
            if entry.group.is_counted(entry) or len(self._flying) < QUEUED:
                entry.phase = "busy"
                self._flying[pool.submit(self._advance, entry)] = entry

    # In a thread

    def _advance(self, entry: Entry) -> Outcome:
        record = entry.item.record
        if record is None:
            return self._advance_one(entry)
        with record.about():
            outcome = self._advance_one(entry)
        failed = self._failed_for_good(entry, outcome)
        if failed is not None:
            # Now, not when the other tables are ready: another run may go on with it meanwhile.
            with suppress(FerryError):
                record.let_go(entry.group.kind.explain(failed, entry.item.destination).next_step)
        return outcome

    def _failed_for_good(self, entry: Entry, outcome: Outcome) -> Job | None:
        """The job that failed with ``outcome``; None where it did not, or is tried again."""
        if isinstance(outcome, Exception):
            return None if self._is_tried_again(entry, outcome, entry.failures + 1) else self._given_up(entry, outcome)
        return outcome if isinstance(outcome, Job) and outcome.state in ("failed", "cancelled") else None

    @staticmethod
    def _is_tried_again(entry: Entry, error: Exception, failures: int) -> bool:
        # A lease that lapsed, as while AWS could not be reached, is renewed by the thread that keeps it.
        away = is_away(error) or isinstance(error, (LeaseOver, RecordBusy))
        # A job that AWS runs is only looked at: the request is not at fault, and the job goes on. Credentials that
        # have expired for ten minutes are not renewed by anybody.
        followed = entry.job.state == "running" and bool(entry.job.arn) and not is_expired(error)
        return away or (is_passing(error) and (followed or failures <= PASSING_FAILURES))

    def _advance_one(self, entry: Entry) -> Outcome:
        try:
            if entry.steps is None:
                entry.ended_before = self._has_ended(entry)
                item = replace(entry.item, job=entry.job)
                entry.steps = entry.group.kind.run(item, self._begun, self._clock)
                first = next(entry.steps)
                if entry.job.state != "running" or first.until != "end":
                    return first
            return entry.steps.send(entry.listed)
        except StopIteration as end:
            ended: Job | Instead = end.value
            return ended
        except Exception as error:  # shown in the job: one table's failure must not end the others
            return error

    @staticmethod
    def _has_ended(entry: Entry) -> bool:
        """Whether an earlier run has seen the end of the job, which is only read once more."""
        if entry.item.record is None or not (entry.job.arn and entry.job.state == "running"):
            return False
        return any(job.arn == entry.job.arn and not job.is_open for job in entry.item.record.record.jobs)

    # Taking results in

    def _pass_time(self, timeout: float) -> None:
        now = self._clock()
        pause = max(min(self._next_event(), self._begun + timeout) - now, 0.0)
        if self._flying:
            # With as many under way as there may be, only an answer lets more be sent.
            pause = max(pause, LONG_TURN if len(self._flying) >= QUEUED else SHORT_TURN)
            self._collect(wait(self._flying, timeout=pause, return_when=FIRST_COMPLETED).done)
        elif pause:
            self._sleep(pause)

    def _next_event(self) -> float:
        """When there is something to do, were no call under way."""
        flying = self._flying.values()
        groups = (group.next_event(listing=group in flying) for group in self._groups.values())
        return min([self._telling.next_at, *groups])

    def _collect(self, futures: set[Future[Any]]) -> None:
        for future in futures:
            about = self._flying.pop(future)
            if isinstance(about, Group):
                about.listed(future.result(), self._clock())
            else:
                self._advanced(about, future.result())

    def _advanced(self, entry: Entry, outcome: Outcome) -> None:
        now, group = self._clock(), entry.group
        group.stepped(entry)
        if isinstance(outcome, Exception):
            self._failed(entry, outcome, now)
            return
        entry.failures = 0
        if isinstance(outcome, Instead):
            self._replaced(entry, outcome, now)
            return
        was = entry.job
        if isinstance(outcome, Job):
            entry.job, entry.phase = outcome, "over"
        else:
            entry.job, entry.phase, entry.due = outcome.job, "due", now + outcome.seconds
            entry.pace.note(now, *point_of(outcome.job))
            if outcome.until != "time":
                entry.phase = outcome.until
        if was.state == "pending" and entry.job.state in ("running", "completed"):
            if not (isinstance(outcome, Pause) and outcome.adopted) and not entry.table.at_last:
                self._started.add((entry.item.name, entry.job.kind))
            group.note_start(entry, now)
        elif entry.phase == "slot" and was.pending_reason == "slot":
            group.note_full(entry, now)
        entry.probing = False
        if entry.phase == "over":
            group.credits += was.state == "running"
            followed = was.state == "running" and not entry.ended_before and not entry.table.at_last
            if followed and entry.job.state == "completed":
                self._followed.add(entry.item.name)
            self._over(entry, now)
        else:
            entry.table.jobs[entry.table.at] = entry.job

    def _over(self, entry: Entry, now: float) -> None:
        entry.group.last_event = now
        ended = entry.group.account.now().isoformat()
        self._spans[entry.item.name][entry.job.kind] = (entry.entered, ended)
        entry.group.entries.remove(entry)
        entry.table.jobs[entry.table.at] = entry.job
        self._go_on(entry.table)

    def _replaced(self, entry: Entry, instead: Instead, now: float) -> None:
        """Other jobs take the place of the one that has ended."""
        table, group = entry.table, entry.group
        group.last_event = now
        group.entries.remove(entry)
        table.jobs[table.at :] = instead.jobs
        if instead.started:
            self._started.add((entry.item.name, table.reached.kind))
        table.entry = None
        if not table.reached.open:
            self._go_on(table)
        elif not self._closing:
            self._enter(table)

    def _failed(self, entry: Entry, error: Exception, now: float) -> None:
        entry.steps = None
        entry.failures += 1
        if self._is_tried_again(entry, error, entry.failures):
            entry.group.retry(entry, error, now)
            self._tell_away(entry, error, now)
            return
        entry.job, entry.phase = self._given_up(entry, error), "over"
        self._over(entry, now)

    def _given_up(self, entry: Entry, error: Exception) -> Job:
        job, noun = entry.job, self._kinds[entry.job.kind].noun
        if isinstance(error, (sdk.ClientError, sdk.BotoCoreError)):
            doing = f"following the {noun} {job.arn}" if job.arn else f"starting the {noun}"
            error = entry.group.account.explain(error, doing, job.name)
        failed = ended_with(job, error)
        if not job.arn:
            return failed
        cause = f"{failed.failure['cause']} The {noun} {job.arn} could not be followed; it may still be running."
        next_step = f"{failed.failure['next_step']} The next run finds the {noun}.".strip()
        details = {**failed.failure["details"], NOT_FOLLOWED: True}
        return replace(failed, failure={**failed.failure, "cause": cause, "next_step": next_step, "details": details})

    def _calls(self) -> dict[str, dict[str, int]]:
        """Calls per kind; see ``Group.add_calls``."""
        calls: dict[str, dict[str, int]] = {}
        for group in self._groups.values():
            group.add_calls(calls.setdefault(group.name, {}))
        return calls

    # Progress

    def _tell_away(self, entry: Entry, error: Exception, now: float) -> None:
        """One line a minute for all tables while AWS does not answer, or a side's session has ended."""
        why, patience = f"AWS does not answer, or throttles ({code_of(error) or type(error).__name__})", AWAY_FAILURES
        if isinstance(error, CredentialsError) and error.details.get("session_ended"):
            why, patience = error.cause.rstrip("."), 1
        quiet = self._away_line_at is not None and now - self._away_line_at < QUIET_GAP
        if quiet or entry.failures < patience:
            return
        self._away_line_at = now
        self._progress(f"waiting: {why}: {entry.item.name} and others try again")

    def _tell(self, *, last: bool = False) -> None:
        now = self._clock()
        if not last and not self._telling.is_due(now):
            return
        jobs = [job for table in self._tables.values() for job in table.jobs]
        entries = [entry for group in self._groups.values() for entry in group.entries if entry.job.state == "running"]
        running = [
            Running(
                entry.item.name,
                entry.job.kind,
                self._kinds[entry.job.kind].noun,
                now - entry.since,
                entry.pace,
                int(entry.job.result.get("items_about") or 0),
                entry.aws_state,
            )
            for entry in entries
        ]
        plurals = {job.kind: self._kinds[job.kind].plural for job in jobs}
        for line in self._telling.block(now, plurals, jobs, running, last):
            self._progress(line)
