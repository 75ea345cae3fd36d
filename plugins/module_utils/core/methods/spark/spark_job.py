# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Spark jobs, for the waiter: make the table, begin a run of the job, follow it, and judge what it has left.

What a run has begun is never begun again: it is found by its token. A run that goes on after another one takes up only
the files without a result (design section 6, "Intentions").
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from ....spark.plan import JobPlan
from ... import sdk
from ...account import Account
from ...aws_errors import RUNS_FULL, is_passing, is_throttle
from ...data_plane import count_items, item_table
from ...destination import make_table
from ...errors import FerryError, InvalidInput, Refused, SparkJobFailed, TableVanished
from ...exports.kept_export import EVIDENCE as EXPORT
from ...exports.kept_export import evidence_of
from ...exports.manifest import Manifest
from ...jobs.entries import job_of_entry
from ...jobs.job import LACK, Job, ended_with
from ...jobs.kind import DestinationJobs, Made, Page, Pause, Steps, WaitItem, made_of, past_fence
from ...jobs.tracking import Tracking
from ...judgement import instant
from ...record.gate import Attempts
from ...record.intention import LISTED, OWN_SIGNATURES
from ...record.lease import iso
from ...record.record import WRITE
from ...steps.background import Workbench, bounds_of
from ...steps.transforms import EVIDENCE, BeganWith, fingerprint_of, holds_table, require_same_transform
from ...table.definition import TableDefinition
from ...table.refused_items import without_keys
from . import delivery
from .engine import Request, RunStatus
from .engines import ENGINES, KEPT, KIND, LOOK_KIND, described
from .followed_runs import FollowedRuns
from .lost import intended_key, note_intended
from .planning import (
    SparkOptions,
    bucket_of,
    epoch_of,
    exported,
    new_run,
    own_exports,
    plan_key,
    plan_of,
    submission_of,
)
from .results import (
    JobTotals,
    failed_run,
    failure_left,
    files_left,
    percent_done,
    read_totals,
    refusal,
    started_run,
    with_way_on,
)
from .room import in_line, lacking, needed_by, place_of, require_ever

AT_ONCE = 4  # tables that one waiter counts at the same time
NOTHING = "wrote_nothing"  # of a run's result: it ended before the job itself began
LOOK_GAP = 10.0  # seconds between looks for a run whose answer was lost


class SparkKind(DestinationJobs):
    """Spark jobs, for the waiter."""

    kind: ClassVar[str] = KIND
    noun: ClassVar[str] = "Spark job"
    plural: ClassVar[str] = "Spark jobs"

    def __init__(self) -> None:
        self._workbench = Workbench(AT_ONCE)
        self.runs = FollowedRuns()

    def list_scope(self, item: WaitItem) -> str:
        """The engine. Where in it the runs are is known once they have begun."""
        return str(item.job.request["options"]["engine"])

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of the runs of one of the engine's scopes, which are listed one after the other."""
        scopes = self.runs.scopes(account, scope)
        number, _space, token = next_token.partition(" ")
        at = int(number or 0)
        if at >= len(scopes):
            return Page({})
        page = ENGINES[scope].page(account, scopes[at], token)
        running = [run for run, state in page.states.items() if state == "running"]
        now = account.now().timestamp()
        percents = {run: found for run in running if (found := self.runs.percent_of(run, now)) is not None}
        page = replace(page, percents=percents)
        if page.next_token:
            return replace(page, next_token=f"{at} {page.next_token}")
        return replace(page, next_token=f"{at + 1} " if at + 1 < len(scopes) else "")

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Bring the table's items: by the run that an earlier process has begun, else by a new one."""
        work = TableWork(item, self)
        try:
            return (yield from self._brought(item.job, work, clock))
        finally:
            work.leave()

    def _brought(self, job: Job, work: TableWork, clock: Callable[[], float]) -> Steps:
        if job.state != "running":
            if work.record.record.state in ("filled", "settled"):
                return replace(job, state="not_needed", pending_reason="", result=_known(work.record))
            job = yield from work.resumed(job)
        if job.state != "running":
            job = yield from work.made(job, clock)
        try:
            return (yield from work.filled(job))
        except Refused as error:
            raise error.of_made_table(str(job.result.get("table_id", ""))) from error

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """The Spark job over just that export, or over the one that was looked at before."""
        looked = before.kind == LOOK_KIND
        export = before.request["export"] if looked else before.to_dict()
        return replace(job, request={**job.request, "export": export, "kept_apart": looked})

    def made(self, job: Job) -> Made:
        """The table with all items: a job that lacks some has failed."""
        return made_of(job)

    def counted(
        self, job: Job, table: str, destination: Account, record: Tracking
    ) -> Generator[Pause, str | None, int]:
        """Steps that count the items of the destination's ``table``."""

        def count(show: Callable[[Job], None]) -> int:
            bounds = bounds_of(record, lambda: show(job))
            own = item_table(destination, table, bounds).only(record.record.heads)
            return count_items(own, lambda _: show(job), bounds)

        return (yield from self._workbench.steps(job, count))


class TableWork:
    """The work on one table, by one process. ``purpose`` is that of its runs in the record."""

    purpose: ClassVar[str] = WRITE

    def __init__(self, item: WaitItem, kind: SparkKind) -> None:
        if item.record is None:
            raise InvalidInput(
                "A Spark job is begun only with a record: without one nobody could tell whether it runs already.",
                "Set record to true.",
                table=item.job.name,
            )
        self.item, self.record = item, item.record
        self.kind = kind
        self.destination = kind.account(item)
        self.options = SparkOptions.from_dict(item.job.request["options"])
        self.engine = ENGINES[self.options.engine]
        self.bucket = bucket_of(self.destination, self.options)
        self._arn = self.destination.table_arn(self.options.made_table)

    # Found again

    def resumed(self, job: Job) -> Steps:
        """``job`` running, where an earlier process, or an earlier try, has begun a run that has not ended; else as it
        was, with nothing left that may still begin."""
        while (entry := self.record.record.open_job(self.purpose)) is not None:
            last = job_of_entry(entry)
            if last.state == "running":
                return self._joined(job, last)
            request = Request.from_dict(last.request["run"])
            engine = ENGINES[request.engine]
            since = datetime.fromtimestamp(entry.intended_at, UTC)
            listed_at = self.record.now()
            plan = replace(self._plan(last), run=request.run)
            try:
                found = engine.find(self.destination, request, since, partial(started_run, self.bucket, plan))
            except sdk.ClientError as error:
                raise self._explained(error, f"looking for the {engine.noun}") from error
            if found.id:
                self.record.begun(replace(last, arn=found.id), request.run)
                continue
            window = engine.window
            step = "wait" if found.unclear else self.record.next_step(last, window, listed_at, token=request.run)
            if step == "send":
                return (yield from self._sent(job, last))
            if step == "close":
                self.record.not_begun(last, window, listed_at, request.run)
                return job
            until = {"fenced_until": iso(self.record.now() + LOOK_GAP)}
            yield Pause(
                replace(job, state="pending", pending_reason="fence", result={**job.result, **until}), "time", LOOK_GAP
            )
        return job

    def _joined(self, job: Job, last: Job) -> Job:
        """``job`` as the run ``last`` that goes on, of the table that its plan names."""
        plan = self._plan(last)
        made = {"table_id": plan.table_id, "table_arn": self.destination.table_arn(plan.table)} if plan.table_id else {}
        request = {**job.request, **{name: last.request[name] for name in KEPT if name in last.request}}
        return replace(
            job, state="running", pending_reason="", arn=last.arn, request=request, result={**job.result, **made}
        )

    def _plan(self, job: Job) -> JobPlan:
        """The plan that was written for the run of ``job``."""
        return JobPlan.from_json(self.bucket.read(job.request["plan"]))

    # Begun

    def made(self, job: Job, clock: Callable[[], float]) -> Steps:
        """``job`` with the table that was made, after which nothing of former runs can arrive."""
        source, options = self.item.need("source"), self.options
        definition = TableDefinition.read(source, options.table)
        if holds_table(self.record.record, self.destination, options.made_table):
            require_same_transform(self.record.record, fingerprint_of(options.transform, definition), options.table)
        waiting = replace(job, state="pending", pending_reason="")
        table = yield from make_table(
            source,
            self.destination,
            options.shape(definition),
            options.made_table,
            waiting,
            clock,
            kms_key_map=options.kms_key_map,
            warm_throughput=options.warm_throughput,
            carry_tags=options.carry_tags,
            record=self.record,
        )
        made = {"table_id": table.table_id, "table_arn": table.arn}
        job = replace(waiting, result={**job.result, **made})
        yield from past_fence(job, self.record, dynamodb_only=True)
        self.record.require_held()
        if self.record.record.state == "broken":
            self.record.fill_again(self.record.record.method, seen_table_id=table.table_id)
        return job

    def filled(self, job: Job) -> Steps:
        """``job``, of a table that is made, at its end."""
        while True:
            if job.state != "running":
                source = TableDefinition.read(self.item.need("source"), self.options.table)
                table = self._table(job)
                export = Job.from_dict(job.request.get("export") or {})
                plan = plan_of(self.destination, self.options, source, table, exported(self.bucket, export))
                plan = replace(plan, kept_apart=bool(job.request.get("kept_apart")))
                if not files_left(self.bucket, plan):
                    return (yield from self._judged(job, plan, RunStatus("completed")))
                job = yield from self._begun(job, table, plan)
            job, status = yield from self.followed(job)
            if status is not None:
                judged = yield from self._judged(job, self.plan_run(job), status)
                self.forget(judged)
                return judged

    def followed(self, job: Job) -> Generator[Pause, str | None, tuple[Job, RunStatus | None]]:
        """``job``, whose run was begun, at the run's end, and how that ended; None where AWS had no capacity for it:
        the next one may be begun, for what is left."""
        request = Request.from_dict(job.request["run"])
        following, runs = job, self.kind.runs
        runs.take(place_of(self.destination, self.options.choices), self._arn, needed_by(self.options.choices), {})
        runs.add(self.destination, request, job.arn, lambda: percent_done(self.bucket, self._plan(following)))
        status = RunStatus("running")
        while status.state == "running":
            yield Pause(job, "end")
            status = self._described(job, request)
            done = runs.percent_of(job.arn, self.record.now()) if status.state == "running" else None
            if done is not None:
                job = replace(job, result={**job.result, "percent": done})
        self.leave()
        full = status.full and failure_left(self.bucket, self.plan_run(job)) is None
        over = ("percent",) if full else ("percent", LACK)
        kept = {name: value for name, value in job.result.items() if name not in over}
        job = replace(job, result={**kept, "cost": dict(status.cost), "ended_at": self.record.now()})
        if not full:
            return job, status
        never = self.bucket.find(self.plan_run(job).started_key) is None
        ended = replace(job, result={**job.result, NOTHING: True}) if never else job
        self._ended(ended_with(ended, SparkJobFailed(f"{status.message}.", "Run again later.")))
        job = lacking(job, self.options, status.message, self.record.now())
        yield Pause(job, "slot")
        return job, None

    def leave(self) -> None:
        """The table's run, if it has one, takes nothing of its application any more."""
        self.kind.runs.leave(self._arn)

    def plan_run(self, job: Job) -> JobPlan:
        """The plan of the run of ``job``, with its token."""
        return replace(self._plan(job), run=job.request["run"]["run"])

    def _described(self, job: Job, request: Request) -> RunStatus:
        """How the run stands; as stopped where AWS does not know it any more, as after somebody deleted its job."""
        entry = self.record.record.job(request.run)
        listed = entry is not None and self.record.now() > entry.asked_at + LISTED
        return described(self.destination, request, job.arn, listed=listed)

    def _begun(self, job: Job, table: TableDefinition | None, plan: JobPlan) -> Steps:
        """``job`` running: script, package and plan are in the bucket, and the engine has taken the run. Raises
        QuotaTooSmall where AWS had no capacity for the one before, and can never have it."""
        if LACK in job.result:
            require_ever(self.destination, self.options.engine, self.options.choices, self.options.table)
        yield from in_line(job, self.destination, self.options, self.kind.runs, self._arn)
        payload = delivery.build(self.options.choices.wheels)
        delivery.deliver(self.bucket, payload, delivery.folder_of(self.destination))
        plan = replace(plan, run=new_run(self.record, plan))
        submission = submission_of(self.destination, self.options, table, plan, payload, own_exports(plan))
        try:
            submission = self.engine.fitted(self.destination, submission)
            scope = self.engine.place(self.destination, submission)
        except sdk.ClientError as error:
            if is_passing(error):
                raise
            raise self._explained(error, f"preparing the {self.engine.noun}") from error
        self.bucket.put(plan_key(plan), plan.to_json())
        run: dict[str, Any] = {
            "call": {"ClientToken": plan.run},
            "run": self.engine.request(submission, scope).to_dict(),
            "plan": plan_key(plan),
        }
        if table is not None:
            began = BeganWith(self._mark(), plan.definition.at or 0.0).to_dict()
            run[EVIDENCE] = {**began, "table_id": plan.table_id}
        intended = Job(KIND, job.name, request=run, migration_id=job.migration_id)
        noted = replace(intended, request={**run, "export": job.request["export"]})
        note_intended(self.bucket, plan_key(plan), noted, self.record.now())
        return (yield from self._sent(job, intended))

    def _sent(self, job: Job, intended: Job) -> Steps:
        """``job`` running, its request sent as it was written down, once for each time that AWS has refused it for
        lack of room. An answer that was lost, or says nothing, is looked for by the next try."""
        request = Request.from_dict(intended.request["run"])
        engine, waiting = ENGINES[request.engine], replace(job, state="pending", pending_reason="slot")
        while True:
            attempts: Attempts | None = None
            try:
                with self.record.sending(intended, self.purpose, request.run) as attempts:
                    run_id = engine.begin(self.destination, request)
                break
            except sdk.ClientError as error:
                if attempts is not None and attempts.all_answered and is_throttle(error):
                    if sdk.error_code(error) in RUNS_FULL:
                        waiting = lacking(waiting, self.options, sdk.told(error), self.record.now())
                    yield Pause(waiting, "slot")
                elif is_passing(error):
                    raise
                else:
                    raise self._explained(error, f"starting the {engine.noun}") from error
        intended = replace(intended, arn=run_id)
        self.record.begun(intended, request.run)
        started = {"start_time": iso(self.record.now())}
        return replace(
            job,
            state="running",
            pending_reason="",
            arn=run_id,
            request={**job.request, **intended.request},
            result={**job.result, **started},
        )

    @property
    def _skips(self) -> bool:
        return self.options.transform is not None and self.options.transform.errors == "skip"

    def _mark(self) -> str:
        """The fingerprint of the transform."""
        source = TableDefinition.read(self.item.need("source"), self.options.table)
        return fingerprint_of(self.options.transform, source)

    def forget(self, job: Job) -> None:
        """Remove the plan of a run that has ended: it has the salts. Who may not delete leaves it to the bucket's rule
        for left-overs."""
        with suppress(FerryError):
            self.bucket.delete([job.request["plan"], intended_key(job.request["plan"])])

    def _table(self, job: Job) -> TableDefinition:
        table = TableDefinition.read(self.destination, self.options.made_table)
        if table.table_id != job.result["table_id"]:
            raise self._vanished(table.table_id)
        return table

    # Judged

    def _judged(self, job: Job, plan: JobPlan, status: RunStatus) -> Steps:
        """The ``job`` at its end, and the record with it: filled, or broken with the ways out."""
        there = TableDefinition.find(self.destination, plan.table)
        if there is None or there.table_id != plan.table_id:
            return self._ended(ended_with(job, self._vanished("" if there is None else there.table_id)))
        left = files_left(self.bucket, plan)
        if left and self.bucket.find(plan.started_key) is None:
            job = replace(job, result={**job.result, NOTHING: True})
        if left:
            noun = ENGINES[self.options.engine].noun
            return self._broken(job, failed_run(self.bucket, plan, noun, job.arn, status, len(left)))
        try:
            totals = read_totals(self.bucket, plan)
            if totals.not_written(skip=self._skips):
                raise without_keys(refusal(plan, totals), self.options.refused_path)
        except FerryError as error:
            if is_passing(error):
                raise
            return self._broken(job, error)
        yield from self._signatures_over(job)
        result = {**job.result, **totals.to_dict(), "end_time": iso(self.record.now())}
        manifest = exported(self.bucket, Job.from_dict(job.request["export"]))
        result |= {"item_count": manifest.item_count, "export_time": manifest.export_time}
        if self.options.count:
            table, waiting = self.options.made_table, replace(job, state="running")
            result["counted"] = yield from self.kind.counted(waiting, table, self.destination, self.record)
        job = replace(job, state="completed", pending_reason="", result=result)
        self._fill(job, totals, manifest)
        return job

    def _fill(self, job: Job, totals: JobTotals, manifest: Manifest) -> None:
        result = job.result
        began = job.request.get(EVIDENCE) or {"fingerprint": self._mark(), "at": epoch_of(result["export_time"]) or 0.0}
        evidence = {
            EVIDENCE: {name: began[name] for name in ("fingerprint", "at")},
            "items_source": totals.read,
            "items_destination": totals.written,
            "counted": result.get("counted"),
            "end_time": result["end_time"],
            "protected": True,
            "spark": {**totals.to_dict(), "cost": result.get("cost", {})},
            EXPORT: evidence_of(self.bucket, manifest),
            "run": job.arn,
        }
        token = str(job.request.get("run", {}).get("run", ""))
        self.record.filled(
            job,
            seen_table_id=result["table_id"],
            evidence=evidence,
            data_as_of=instant(result["export_time"]),
            keep=KEPT,
            token=token or "none",
        )

    def _broken(self, job: Job, error: FerryError) -> Job:
        """The ``job`` failed with ``error``, and the table lacks items; the words say the ways out."""
        error = with_way_on(error, job.name, merged=bool(self.record.record.heads))
        failed = ended_with(job, error)
        if self.record.record.state != "filling":
            return self._ended(failed)
        token = str(job.request.get("run", {}).get("run", "none"))
        self.record.broken(
            failed, seen_table_id=job.result["table_id"], why=error.cause, next=error.next_step, keep=KEPT, token=token
        )
        return failed

    def _ended(self, job: Job) -> Job:
        token = str(job.request.get("run", {}).get("run", ""))
        if token:
            self.record.ended(job, KEPT, token)
        return job

    def _signatures_over(self, job: Job) -> Generator[Pause, str | None, None]:
        """Pauses until nothing that a run which failed has signed can arrive any more: the table is about to be handed
        to its users. A run that wrote objects for an import has signed nothing for a table."""
        until = 0.0
        for entry in self.record.record.jobs:
            if entry.purpose != WRITE or entry.state != "failed":
                continue
            last = job_of_entry(entry)
            if EVIDENCE in last.request and not last.result.get(NOTHING):
                until = max(until, float(last.result.get("ended_at", 0)) + OWN_SIGNATURES)
        while (seconds := until - self.record.now()) > 0:
            waits = {**job.result, "fenced_until": iso(until)}
            yield Pause(replace(job, state="pending", pending_reason="fence", result=waits), "time", min(seconds, 10.0))

    def _vanished(self, seen: str) -> TableVanished:
        what = f"is another one now ({seen})" if seen else "is gone"
        return TableVanished(
            f"The copy {self.options.made_table}, which the Spark job fills, {what}.",
            "Find out who deleted it, then run again: its data is brought anew.",
            table=self.options.made_table,
        )

    def _explained(self, error: Exception, doing: str) -> FerryError:
        return self.destination.explain(error, doing, self.options.table)


def _known(record: Tracking) -> dict[str, Any]:
    """What the record says of a table that has all items."""
    evidence = record.record.evidence
    spark = dict(evidence.get("spark") or {})
    known = {"counted": evidence.get("counted"), "end_time": evidence.get("end_time"), "item_count": spark.get("read")}
    return {"table_id": record.record.table_id, **spark, **{name: value for name, value in known.items() if value}}
