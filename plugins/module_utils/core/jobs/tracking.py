# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One table's record as the jobs of its migration use it: what a kind of job writes before and after its calls.

A job that begins something on AWS is written before it is sent (``intend``), with its answer (``begun``) and at its end
(``ended``, ``filled``, ``broken``); the next run reads it back with ``latest``. Design section 6, "Intentions".
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from typing import Any

from .. import sdk
from ..aws_errors import is_passing
from ..errors import FerryError, Held, NotYet, RecordBusy, RecordLost, StepNotAllowed
from ..record import intended, intention, merging, transitions
from ..record.fence import LET_GO, Fence
from ..record.gate import Attempts
from ..record.intention import Step, Window
from ..record.lease import VERB
from ..record.parts import noted
from ..record.record import DELETE, FILL, JobEntry, Record, Source, table_key
from ..record.rules import Moment
from ..record.run import HeldElsewhere, Run
from ..record.transitions import Gone
from .entries import described, entry_of, job_of_entry, to_text, token_of
from .job import Job
from .token import canonical

NUMBERS_PER_ATTEMPT = 1000  # numbers for tokens that each attempt of a table has for itself
LOOK_AGAIN = 60.0  # seconds until a job is looked at again that runs and serves nobody


class Tracking:
    """The record of the destination table ``name``, which ``run`` holds or is about to. For one thread at a time.

    ``record`` is the record as it was last read or written. Every write is one conditional write; all raise TakenOver
    when another run took the table, RecordChanged, RecordLost, and LeaseOver when the run's lease is over.
    """

    def __init__(self, run: Run | None, name: str, record: Record | None = None) -> None:
        """Without a ``run``, as in check mode, ``record`` can only be read."""
        self._run = run
        self.name = name
        self._record = record
        self._intended: set[str] = set()
        self._lost: set[str] = set()
        self._unanswered: tuple[Record, Record] | None = None  # what the last write was to replace, and by what

    @property
    def run(self) -> Run:
        """The run that works on the table. Raises StepNotAllowed in check mode."""
        if self._run is None:
            raise StepNotAllowed("Check mode changes nothing.", "Run without check mode.", table=self.name)
        return self._run

    @property
    def may_write(self) -> bool:
        """Whether there is a run that may hold the table."""
        return self._run is not None

    # Reading

    @property
    def record(self) -> Record:
        """The record, read at first use. Raises RecordLost where there is none, though its migration was started."""
        if self._record is None:
            self._record = self.find()
        if self._record is None:
            raise RecordLost(
                "There is no record of this table: it was removed after migration_start had written it.",
                "Make sure that nobody else works on this table, then run again.",
                table=self.name,
            )
        return self._record

    def find(self) -> Record | None:
        """The record as it is now; None where there is none."""
        self._record = self.run.read(table_key(self.name))
        return self._record

    @property
    def held(self) -> bool:
        """Whether this run holds the table."""
        return self.record.run == self.run.id

    def require_held(self) -> None:
        """Raises TakenOver, or Held, unless this run holds the table: before changes that the record does not see."""
        if not self.held:
            self.run.renew(VERB)
            raise Held("This run does not hold the table any more, and changes nothing.", "Run again.", table=self.name)

    def latest(self, purpose: str) -> Job | None:
        """The newest job of ``purpose`` in the present attempt, as it was last written; None without one.

        ``planned``: it is intended, and whether AWS got the request is not known: look for it, then ``next_step``.
        Closed intentions were never begun and are left out.
        """
        found = [
            job
            for job in self.record.jobs
            if job.purpose == purpose and job.attempt == self.record.attempt and job.state != "closed"
        ]
        return job_of_entry(found[-1]) if found else None

    def former(self, purpose: str) -> Job | None:
        """A job of ``purpose`` that an earlier attempt left open, as it was last written; None without one."""
        entry = self.record.open_job(purpose)
        return job_of_entry(entry) if entry is not None and entry.attempt != self.record.attempt else None

    def open_jobs(self, kinds: Collection[str]) -> list[Job]:
        """The jobs of ``kinds`` that may still run, or be begun, of every attempt, as they were last written."""
        return [job_of_entry(job) for job in self.record.jobs if job.is_open and job.kind in kinds]

    @property
    def open_fill(self) -> bool:
        """Whether something makes the table, or may be begun that does."""
        return self.record.open_job(FILL) is not None

    def number(self, purpose: str) -> int:
        """What the next job of ``purpose`` has as ``Job.attempt``, so that its token is a new one."""
        earlier = [job for job in self.record.jobs if (job.purpose, job.attempt) == (purpose, self.record.attempt)]
        return (self.record.attempt - 1) * NUMBERS_PER_ATTEMPT + len(earlier)

    def take(self, take_over: str = "") -> HeldElsewhere | None:
        """Take the record as it is now for this run; who holds it, where somebody does. Raises RecordChanged."""
        self.find()
        taken = self.run.hold(self.record, take_over)
        if isinstance(taken, HeldElsewhere):
            return taken
        self._record = taken.record
        return None

    # Calls that begin something

    def about(self) -> AbstractContextManager[Attempts]:
        """Calls of this thread within are about this table; the context says whether all were answered."""
        return self.run.gate.about(self.name)

    @contextmanager
    def sending(
        self,
        job: Job,
        purpose: str,
        token: str = "",
        *,
        may_be_ours: Callable[[Exception], bool] = lambda error: False,
    ) -> Iterator[Attempts]:
        """The request of ``job`` is sent within: its intention is written first, and closed where AWS refuses it for
        good. A passing error or a full quota keeps it, and so do those that ``may_be_ours``: it may have been begun.
        """
        token = token or token_of(job)
        self.intend(job, purpose, token)
        with self.about() as attempts:
            try:
                yield attempts
            except sdk.ClientError as error:
                if not is_passing(error) and not may_be_ours(error):
                    self.refused(job, attempts, token)
                raise
            finally:
                if not attempts.all_answered:
                    self._lost.add(token)

    def intend(self, job: Job, purpose: str, token: str = "") -> None:
        """``job`` is about to be sent: written with its exact request. Sent again with its token, that is noted.

        ``purpose`` is ``FILL`` for what makes the destination table (an import, a restore, CreateTable), else the
        method's own word. ``token`` is the call's, by default the one in the job's request. Raises StepNotAllowed where
        a job of this purpose runs or may be begun already.
        """
        token = token or token_of(job)
        if self._has(token):
            self._write(lambda record, now: intended.asked(record, now, token))
            return
        kind, request = job.kind, to_text(job)
        self._write(
            lambda record, now: intended.intend(record, now, purpose=purpose, kind=kind, token=token, request=request)
        )
        self._intended.add(token)

    def adopt(self, job: Job, purpose: str, token: str = "") -> None:
        """``job`` runs, and serves this table without having been begun for it. Raises StepNotAllowed beside another
        one of this purpose."""
        entry = entry_of(job, purpose, self.record.attempt, self.now(), token)
        self._write(lambda record, now: intended.adopt_job(record, now, entry))

    def begun(self, job: Job, token: str = "", table_id: str = "") -> None:
        """AWS took ``job``, or it was found: it has an ARN, and maybe the ``table_id`` of the table that it fills,
        which then is this record's (``filling``). Written once."""
        token = token or token_of(job)
        entry = self._entry(token)
        if (entry.state, entry.arn) != ("begun", job.arn):
            self._write(lambda record, now: self._begun(record, now, job, token, table_id))
        elif entry.purpose == FILL and self.record.state == "claimed" and table_id:
            self._write(lambda record, now: transitions.filling(record, now, token, table_id))

    def begun_of(self, job: Job, source: Source) -> None:
        """``begun``, where the answer shows that ``source`` was made anew after it was looked at. One write."""
        token, arn, request = token_of(job), job.arn, to_text(job)
        self._write(lambda record, now: intended.begun_of(record, now, token, arn=arn, request=request, source=source))

    def made(self, job: Job, token: str, table_id: str) -> None:
        """CreateTable, the call ``token``, was answered with ``table_id``: ``filling``, and the call is over."""
        self._write(lambda record, now: transitions.filling(record, now, token, table_id))

    def refused(self, job: Job, attempts: Attempts, token: str = "") -> None:
        """AWS refused ``job`` for good: its intention is closed, if all ``attempts`` to send it were answered. Where
        one was not, or another process sent it before, it stays open: the next run looks for the job first."""
        token = token or token_of(job)
        if attempts.all_answered and token in self._intended - self._lost and self._has(token):
            result = {"failure": job.failure} if job.failure else {}
            self._write(lambda record, now: intended.refused(record, now, token, all_answered=True, result=result))

    def next_step(self, job: Job, window: Window, listed_at: float, *, wanted: bool = True, token: str = "") -> Step:
        """What to do with an intention whose job was not found by a list made at ``listed_at`` (``now``): send its
        request unchanged, wait, or close it (``not_begun``). ``wanted`` is False where it must not be sent again."""
        entry, moment = self._entry(token or token_of(job)), self._moment()
        return intention.step(
            entry,
            window,
            moment.now,
            fence=self.record.fence,
            listed_at=listed_at,
            unanswered=moment.unanswered,
            wanted=wanted,
        )

    def not_begun(self, job: Job, window: Window, listed_at: float, token: str = "") -> None:
        """Close an intention: a list made at ``listed_at`` lacks it and nothing of it can come. Raises NotYet."""
        token = token or token_of(job)
        self._write(lambda record, now: intended.not_begun(record, now, token, window, listed_at=listed_at))

    def ended(self, job: Job, keep: Collection[str] = (), token: str = "") -> None:
        """``job`` has ended. ``keep`` names what of its request a later run needs; the rest is dropped."""
        token = token or token_of(job)
        if self._entry(token).is_open:
            self._write(lambda record, now: self._ended(record, now, job, keep, token))

    def close(self, job: Job, window: Window, listed_at: float, keep: Collection[str] = ()) -> None:
        """End or close the entry of ``job``, which serves no more, as AWS showed it at ``listed_at`` (``now``): nothing
        where it is over. ``keep`` is as in ``ended``. Raises NotYet while the job runs, or may be begun."""
        entry = self.record.job(token_of(job))
        if entry is None or not entry.is_open:
            return
        if not job.arn:
            self.not_begun(job, window, listed_at)
        elif job.open:
            raise NotYet(
                f"The {job.kind} {job.arn} of an earlier run is not the one that is asked for, and no other one is"
                " begun while it runs.",
                "Run again when it has ended.",
                table=job.name,
                details={"until": self.now() + LOOK_AGAIN},
            )
        else:
            self.ended(job, keep)

    def was_never_begun(self, job: Job, window: Window, listed_at: float) -> bool:
        """Whether no request of an intention, which a list made at ``listed_at`` does not show, can begin it any more.
        Check mode does not know."""
        return self.may_write and self.next_step(job, window, listed_at, wanted=False) == "close"

    # From state to state

    def filled(
        self,
        job: Job,
        *,
        seen_table_id: str,
        evidence: Mapping[str, Any],
        data_as_of: Mapping[str, Any],
        keep: Collection[str] = (),
        token: str = "",
    ) -> None:
        """``job`` brought all items, and DescribeTable shows ``seen_table_id``: it is ended and the table filled."""
        token = token or token_of(job)

        def steps(record: Record, now: Moment) -> Record:
            record = self._ended(record, now, job, keep, token)
            return transitions.filled(
                record, now, seen_table_id=seen_table_id, whole=True, evidence=evidence, data_as_of=data_as_of
            )

        self._write(steps)

    def broken(
        self, job: Job, *, seen_table_id: str, why: str, next: str, keep: Collection[str] = (), token: str = ""
    ) -> None:
        """``job`` has ended and the table is not whole; ``next`` says the ways out."""
        token = token or token_of(job)

        def steps(record: Record, now: Moment) -> Record:
            record = self._ended(record, now, job, keep, token)
            return transitions.broken(record, now, seen_table_id=seen_table_id, why=why, next=next)

        self._write(steps)

    def fill_again(self, method: str, *, seen_table_id: str) -> None:
        """``broken`` -> ``filling``: its own ``method``, which can go on with half a table, does so. Raises NotYet."""
        self._write(
            lambda record, now: transitions.fill_again(record, now, method, seen_table_id=seen_table_id, resumable=True)
        )

    def filled_by_comparison(
        self, *, seen_table_id: str, comparison: Mapping[str, Any], data_as_of: Mapping[str, Any]
    ) -> None:
        """``broken`` -> ``filled``: a full comparison found both tables equal. Raises NotYet."""
        self._write(
            lambda record, now: transitions.filled_by_comparison(
                record,
                now,
                seen_table_id=seen_table_id,
                comparison=comparison,
                full=True,
                equal=True,
                data_as_of=data_as_of,
            )
        )

    def note(self, evidence: Mapping[str, Any], source_arn: str = "") -> None:
        """What was found of the items, those of ``source_arn``, since they were brought: beside what is known."""
        self._write(lambda record, now: noted(record, evidence, source_arn))

    def settled(self, seen_table_id: str, settings: Mapping[str, Any]) -> None:
        """The settings were applied and read back; ``settings`` is what is reported of them."""

        def steps(record: Record, now: Moment) -> Record:
            record = transitions.settled(record, now, seen_table_id=seen_table_id, read_back=True)
            return replace(record, evidence={**record.evidence, "settings": dict(settings)})

        self._write(steps)

    def done(self, seen_table_id: str, verified: Mapping[str, Any], *, acceptable: bool = True) -> None:
        """The table was judged: ``done``, and let go in the same write. Raises NotYet."""

        def steps(record: Record, now: Moment) -> Record:
            record = transitions.done(
                record, now, seen_table_id=seen_table_id, verified=verified, acceptable=acceptable
            )
            return transitions.let_go(record, now)

        self._write(steps)

    def new_attempt(self, method: str, *, gone: Gone | None = None, source: Source | None = None) -> None:
        """Any state -> ``claimed`` with a new number: see ``transitions.new_attempt``. Raises NotYet."""
        self._write(lambda record, now: transitions.new_attempt(record, now, method=method, gone=gone, source=source))

    def claim_again(self, migration: str, source: Source, method: str) -> None:
        """A claim under which nothing was begun is now for another migration or source."""
        self._write(
            lambda record, now: transitions.claim_again(record, now, migration=migration, source=source, method=method)
        )

    def begin_part(self, source: Source, method: str, heads: Mapping[str, str]) -> None:
        """The part of ``source`` of a table that is merged of several is under way: see ``merging.begin_part``. Raises
        NotYet."""
        self._write(lambda record, now: merging.begin_part(record, now, source=source, method=method, heads=heads))

    def above(self, attempts: Collection[int]) -> None:
        """The attempt that begins gets a number above ``attempts``, those of our tokens in AWS's lists."""
        self._write(lambda record, now: transitions.above(record, now, attempts))

    def begin_anew(self, method: str, *, table_exists: bool, filled_by_others: bool, fill: Job | None = None) -> None:
        """A record that came back with an older table of the records begins anew, with the job ``fill`` where one of
        ours makes the table now. Raises NotYet, DestinationExists."""
        home = self.run.store.home
        adopted = None if fill is None else entry_of(fill, FILL, self.record.highest_attempt + 1, self.now())
        self._write(
            lambda record, now: transitions.begin_anew_from_restored(
                record,
                now,
                home=home,
                table_exists=table_exists,
                filled_by_others=filled_by_others,
                method=method,
                attempts_listed=(),
                adopted=adopted,
            )
        )

    def intend_deletion(self) -> None:
        """The copy is about to be deleted. Raises NotYet before the fence, StepNotAllowed while something fills it."""
        table_id = self.record.table_id
        job = Job("deletion", self.name, request={"table_id": table_id})
        if self.record.open_job(DELETE) is None:
            self.intend(job, DELETE, f"delete {table_id} {self.record.ver}")

    def deleted(self) -> None:
        """The deletion that was intended took effect: DescribeTable finds no table."""
        entry = self.record.open_job(DELETE)
        if entry is not None:
            token = entry.token
            self._write(lambda record, now: intended.ended(record, now, token, ok=True, result={}))

    def broken_by_change(self, why: str, next: str) -> None:
        """``filling`` -> ``broken``: the method was changed over half a table."""
        seen = self.record.table_id
        self._write(lambda record, now: transitions.broken(record, now, seen_table_id=seen, why=why, next=next))

    def change_method(self, method: str) -> None:
        """Before a table is made: another method. Raises NotYet, StepNotAllowed."""
        if self.record.method != method:
            self._write(lambda record, now: intended.change_method(record, now, method))

    def let_go(self, next: str = "") -> None:
        """The run's work on the table ends; ``next`` says what the user should do. Nothing where it is not held."""
        if self.held:
            self._record = self.run.let_go(self.record, next)

    # Waiting

    def fence_left(self, *, dynamodb_only: bool = False) -> float:
        """Seconds until items, settings, deletions and ``done`` may come: until nothing of a former holder, or of an
        unanswered request of this run, can arrive. 0 when they may.

        ``dynamodb_only``: of what DynamoDB itself executes, items and deletions. Once it refuses the former holder's
        signatures as expired, which is asked now and then, these need not wait any longer.
        """
        if dynamodb_only:
            self.run.probe(self.name)
        moment = self._moment()
        quiet = 0.0 if moment.unanswered is None else moment.unanswered + LET_GO
        passes = Fence(self.record.fence, moment.signed_until).passes(moment.expired_since if dynamodb_only else None)
        return max(0.0, passes - moment.now, quiet - moment.now)

    def now(self) -> float:
        """AWS's time in epoch seconds."""
        return self.run.clock.now()

    # Within

    def _moment(self) -> Moment:
        return self.run.moment(self.name)

    def _write(self, change: Callable[[Record, Moment], Record]) -> None:
        if self._unanswered is not None and self._has_passed(*self._unanswered, change):
            return
        before = self.record
        self.require_held()
        after = change(before, self._moment())
        if after != before:
            self._unanswered = before, after
            try:
                self._record = self.run.write(before, after)
            except RecordBusy:
                raise
            except FerryError:
                self._unanswered = None
                raise
            self._unanswered = None

    def _has_passed(self, before: Record, after: Record, change: Callable[[Record, Moment], Record]) -> bool:
        """Whether the last write, which had no answer, took effect and was this ``change``; reads the record anew."""
        self.find()
        self._unanswered = None
        passed = self.record.run == after.run and self.record.step == after.step != before.step
        return passed and change(before, self._moment()).step == after.step

    def _entry(self, token: str) -> JobEntry:
        entry = self.record.job(token)
        if entry is None:
            raise StepNotAllowed(
                f"The record has no job with the token {token}.", "Run again: nothing was begun.", table=self.name
            )
        return entry

    def _has(self, token: str) -> bool:
        entry = self.record.job(token)
        return entry is not None and entry.state == "intended"

    def _begun(self, record: Record, now: Moment, job: Job, token: str, table_id: str) -> Record:
        record = intended.begun(record, now, token, arn=job.arn, table_id=table_id)
        if self._entry(token).purpose == FILL and record.state == "claimed" and table_id:
            record = transitions.filling(record, now, token, table_id)
        return record

    def _ended(self, record: Record, now: Moment, job: Job, keep: Collection[str], token: str) -> Record:
        entry = record.job(token)
        if entry is None or not entry.is_open:
            return record
        table_id = str(job.result.get("table_id") or "") if entry.purpose == FILL else ""
        if job.arn and (entry.arn != job.arn or (table_id and record.state == "claimed")):
            record = self._begun(record, now, job, token, table_id)
        request = {name: job.request[name] for name in keep if name in job.request}
        result = {"job": json.loads(canonical({**described(job), "request": request, "result": job.result}))}
        if job.failure:
            result["job"]["failure"] = json.loads(canonical(job.failure))
        return intended.ended(record, now, token, ok=job.state == "completed", result=result)
