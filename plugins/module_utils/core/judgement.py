# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table: are its items there, and how do we know (design section 8).

What all methods share; how its tables are judged is each method's own. The waiter judges a table as the last of its
jobs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal, TypeAlias

from .account import Account
from .errors import (
    BackupFailed,
    ChecksumMismatch,
    CopyFailed,
    CountMismatch,
    ExportFailed,
    FerryError,
    ImportFailed,
    InvalidInput,
    JobTimeout,
    RestoreFailed,
    SparkJobFailed,
    StagingBucketUnusable,
    TableUnusable,
)
from .items.carried import REPLICATION
from .jobs.job import Job, ended_with, failure_of
from .jobs.kind import Made, OwnWork, Pause, Steps, WaitItem
from .jobs.tracking import Tracking
from .record.parts import lacking
from .record.record import Record
from .record.status import repaired_since
from .steps import claim_job, claiming, settings_job
from .steps.background import Workbench
from .steps.comparison import compared_with, require_equal, unseen_by
from .table.definition import TableDefinition
from .table_status import require_usable

Verify: TypeAlias = Literal["counts", "sample", "full", "none"]
Counts: TypeAlias = Literal["counts", "none"]  # what is left of it for a method: the comparison is a job of its own

# What is the matter with one table: part of its judgement, where other errors are raised.
TABLE_FAILURES = (
    ExportFailed,
    ImportFailed,
    BackupFailed,
    CopyFailed,
    RestoreFailed,
    SparkJobFailed,
    CountMismatch,
    ChecksumMismatch,
    StagingBucketUnusable,
    TableUnusable,
    JobTimeout,
)


@dataclass(frozen=True)
class JudgeChoice:
    """What the user chose for judging the table ``name`` of the destination. ``source_table`` is the source's name
    where it is another one; ``verify_checksums`` reads all data files; with ``writes_stopped`` counts must be equal."""

    name: str
    source_table: str = ""
    verify: Verify = "counts"
    verify_checksums: bool = False
    writes_stopped: bool = False

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return asdict(self)


@dataclass(frozen=True)
class JudgeOptions:
    """How a method judges: as in ``JudgeChoice``. ``counted`` is the job that counted both tables where there is one,
    ``look`` is called between data files that are read, and may end that."""

    source_table: str = ""
    verify: Counts = "counts"
    checksums: bool = False
    writes_stopped: bool = False
    counted: Job | None = None
    look: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Judgement:
    """How a table ended. Counts are None where nobody knows them; ``failure`` is what a caller raises.

    ``data_as_of`` says which instant of the source the items show, by the time (ISO 8601) ``from`` which on and ``to``
    which they were read; both are the same for an export. Empty where nobody knows. ``notes`` are what the user should
    know besides. ``lacks`` are the sources, by ARN, whose items a table of several sources is yet to get.
    """

    status: Literal["migrated", "copied", "failed"]
    items_source: int | None
    items_destination: int | None
    bytes: int | None
    verified: Verify
    reason: str = ""
    failure: FerryError | None = None
    data_as_of: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()
    lacks: Sequence[str] = ()

    def to_dict(self) -> dict[str, Any]:
        """The judgement as JSON-safe data, without ``failure``."""
        return {
            "status": self.status,
            "items_source": self.items_source,
            "items_destination": self.items_destination,
            "bytes": self.bytes,
            "verified": self.verified,
            "reason": self.reason,
            "data_as_of": dict(self.data_as_of),
            "notes": list(self.notes),
            "lacks": list(self.lacks),
        }


def span(result: Mapping[str, Any], begun: str = "start_time", ended: str = "end_time") -> dict[str, str]:
    """``data_as_of`` of a job that read the items from ``begun`` to ``ended``; {} where it does not tell both."""
    times = {"from": str(result.get(begun) or ""), "to": str(result.get(ended) or "")}
    return times if all(times.values()) else {}


def instant(time: str) -> dict[str, str]:
    """``data_as_of`` of items that all show one ``time`` (ISO 8601); {} where it is not known."""
    if not time:
        return {}
    shown = datetime.fromisoformat(time).isoformat()  # an export's manifest writes it with milliseconds and a Z
    return {"from": shown, "to": shown}


def by_record(judged: Judgement, record: Record) -> Judgement:
    """``judged`` with what the ``record`` of the table knows: which instant it shows, that it is not the first, and
    whose items are yet to come."""
    notes = (*judged.notes, *_made_again(record))
    return replace(judged, data_as_of=record.data_as_of or judged.data_as_of, notes=notes, lacks=tuple(lacking(record)))


def _made_again(record: Record) -> tuple[str, ...]:
    """That the copy is not the first, for the run that made it."""
    if not record.replaces:
        return ()
    instant_of = record.replaces.get("data_as_of", {}).get("to")
    return (f"the copy{f' of {instant_of}' if instant_of else ''} had been deleted; made again",)


def nothing_to_judge(name: str) -> InvalidInput:
    """The error for jobs none of which makes a table."""
    return InvalidInput("There is no job that makes a table.", "Pass all jobs of the table's migration.", table=name)


def not_ended(job: Job, details: dict[str, Any]) -> JobTimeout:
    """The error for a ``job`` that is still open."""
    waits = f"waits for {job.pending_reason.replace('_', ' ')}" if job.pending_reason else "is still running"
    state = job.result.get("aws_state")
    return JobTimeout(
        f"The {job.kind} {job.arn} {waits}{f' (AWS says {state})' if state else ''}.".replace("  ", " "),
        "Run again, with a longer wait_timeout if necessary: jobs already started are found and continued.",
        details=details,
    )


def check_table(
    destination: Account, job: Job, work: str, done: str, error: type[FerryError] = ImportFailed
) -> TableDefinition:
    """The table that ``job`` made, where it is there, is the same one still and can be used.

    ``work`` and ``done`` are what messages call the job: "import", "imported". Raises ``error``, TableUnusable, and
    what Account.explain gives where AWS cannot be asked.
    """
    table = TableDefinition.find(destination, job.name)
    made_id = job.result.get("table_id")
    if table is None:
        raise error(
            f"The table {job.name} does not exist, though its {work} completed.",
            f"Find out who deleted it, then run again: it is {done} anew.",
        )
    if made_id and table.table_id != made_id:
        raise error(
            f"The table {job.name} is not the one that was {done}: its id is {table.table_id}, not {made_id}.",
            f"Delete it, if nobody needs it, and run again: it is {done} anew. To keep it, choose another"
            " destination_table.",
        )
    require_usable(table.raw)
    return table


def with_comparison(judged: Judgement, comparison: Job | None, name: str) -> Judgement:
    """``judged`` with what the ``comparison`` says, which has seen more than the counts."""
    if comparison is None or comparison.state == "planned" or (judged.status == "failed" and comparison.open):
        return judged
    try:
        if comparison.open:
            raise JobTimeout(
                "The comparison of all items has not ended.",
                "Run again: it is made anew.",
                details={"kind": comparison.kind},
            )
        if comparison.state == "failed":
            raise failure_of(comparison)
        require_equal(comparison)
    except FerryError as error:
        failure = error.for_table(name)
        return replace(judged, status="failed", verified="none", reason=failure.cause, failure=failure)
    if judged.failure:
        return judged
    earlier = f"Compared by an earlier run, at {comparison.result.get('end_time')}; `verify` compares anew."
    note = earlier if comparison.state == "not_needed" else ""
    if export := compared_with(comparison.result):
        note += f" Compared with {export}."
    if marked := comparison.result.get("marked_destination"):
        items = "item of the copy has" if marked == 1 else "items of the copy have"
        note += f" {marked} {items} attributes {REPLICATION}, as in the source; these were not compared."
    if unseen := unseen_by(comparison.result):
        note += f" {unseen}"
    return replace(judged, verified=comparison.result["level"], reason=f"{judged.reason} {note.strip()}".strip())


def judge_claim(job: Job) -> Judgement:
    """A table that an earlier run finished, or that this one could not take: ``job`` is its claim."""
    if job.state == "not_needed":
        known = job.result["verified"]
        when = f"Finished by an earlier run, at {known.get('at', '')}."
        repaired = repaired_since(job.result.get("evidence", {}))
        when += f" {repaired}" if repaired else ""
        renewed = " The source table was made anew since." if job.result.get("source_renewed") else ""
        return Judgement(
            "migrated",
            known.get("items_source"),
            known.get("items_destination"),
            known.get("bytes"),
            known.get("verified", "none"),
            f"{known.get('reason', '')} {when}{renewed}".strip(),
            data_as_of=job.result["data_as_of"],
            notes=tuple(known.get("notes") or ()),
            lacks=tuple(job.result.get("lacks") or ()),
        )
    failure = failure_of(job) if job.state == "failed" else claim_job.refusal(job)
    failure = failure.for_table(job.name)
    return Judgement("failed", None, None, None, "none", failure.cause, failure)


def judge_adoption(job: Job) -> Judgement:
    """A table that is there by a full comparison alone: ``job`` adopted it, or its record says so already."""
    counts = [job.result.get(name) for name in ("items_source", "items_destination")]
    if job.state not in ("completed", "not_needed"):
        failure = (not_ended(job, {"kind": job.kind}) if job.open else failure_of(job)).for_table(job.name)
        return Judgement("failed", counts[0], counts[1], None, "none", failure.cause, failure)
    words = f"Whole by a full comparison, at {job.result.get('end_time')}, which found both tables equal."
    return Judgement("migrated", counts[0], counts[1], None, "full", words)


def conclude(record: Tracking, destination: Account, judged: Judgement, jobs: Sequence[Job]) -> Iterator[float]:
    """Steps, as seconds to wait, that let the table go as ``judged``: in its ``record`` it is ``done`` where it was
    migrated and all its settings are set. Raises as ``Tracking.done``."""
    if judged.failure is not None:
        claiming.give_back(record, judged.failure)
    elif judged.status != "migrated":  # only copied: the table is made by a later run
        record.let_go()
    elif not record.record.is_done:
        yield from _write_done(record, destination, judged, jobs)


def _write_done(record: Tracking, destination: Account, judged: Judgement, jobs: Sequence[Job]) -> Iterator[float]:
    there = TableDefinition.find(destination, record.name)
    seen = there.table_id if there is not None else ""
    settings = next((job for job in jobs if job.kind == settings_job.KIND), None)
    if settings is None or settings.state not in ("completed", "not_needed"):
        record.let_go("Run again: the settings are not all set.")
        return
    known = judged.to_dict()
    known.pop("lacks")  # true of this moment only
    verified = {
        **known,
        "notes": [note for note in judged.notes if note not in _made_again(record.record)],
        "at": datetime.fromtimestamp(record.now(), UTC).isoformat(timespec="seconds"),
        "run": record.run.id,
    }
    while (seconds := record.fence_left()) > 0:
        yield min(seconds, claiming.LOOK_GAP)
    record.done(seen, verified)


# As a job: a table is let go when it is ready, not when all tables are

KIND = "judge"
AT_ONCE = 2  # tables whose data files are read at the same time

Look: TypeAlias = Callable[[], None]
Judge: TypeAlias = Callable[[JudgeChoice, Account | None, Account, Sequence[Job], Tracking | None, Look], Judgement]


def judge_job(choice: JudgeChoice) -> Job:
    """The job that judges a table as the user chose, for ``WaitItem.last``."""
    return Job(KIND, choice.name, "pending", pending_reason="waiter", request=choice.to_dict())


def is_tracked(jobs: Iterable[Job]) -> bool:
    """Whether judging the ``jobs`` needs the record: not where an earlier run finished, this one took nothing, or the
    waiter has judged them."""
    return all(job.kind != claim_job.KIND and not _has_judged(job) for job in jobs)


def known_judgement(jobs: Iterable[Job]) -> Judgement | None:
    """The judgement that the waiter came to; None where it came to none. Raises what kept it from judging."""
    job = next((job for job in jobs if _has_judged(job)), None)
    if job is None:
        return None
    failure = failure_of(job) if job.failure else None
    if failure is not None and not job.result:
        raise failure
    return Judgement(**job.result, failure=failure)


def _has_judged(job: Job) -> bool:
    return job.kind == KIND and job.state in ("completed", "failed")


class JudgeKind(OwnWork):
    """Judgements, for the waiter. ``judge`` comes to one, and calls what it is given while it reads for long."""

    noun: ClassVar[str] = "judgement"
    plural: ClassVar[str] = "judgements"

    def __init__(self, judge: Judge) -> None:
        self._judge = judge
        self._workbench = Workbench(AT_ONCE)

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Judge the table by the jobs before this one; its record says so, and the table is let go."""
        destination, jobs, job = self.account(item), item.before, replace(item.job, pending_reason="")
        record = item.record if is_tracked(jobs) else None
        try:
            choice = JudgeChoice(**job.request)
        except TypeError as error:
            raise InvalidInput("The judgement's options are not valid.", "Pass judge.", table=job.name) from error
        running = replace(job, state="running")

        def judged(look: Callable[[], None]) -> Judgement:
            return self._judge(choice, item.source, destination, jobs, record, look)

        if choice.verify_checksums:  # reads all data files: other jobs go on meanwhile
            found = yield from self._workbench.steps(running, lambda show: judged(lambda: show(running)))
        else:
            found = judged(lambda: None)
        if record is not None:
            for seconds in conclude(record, destination, found, jobs):
                yield Pause(replace(item.job, pending_reason="fence"), "time", seconds)
        job = replace(job, state="completed", result=found.to_dict())
        return ended_with(job, found.failure) if found.failure is not None else job

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """It comes whatever was made."""
        return job
