# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A table that cannot be taken yet, as a job: the waiter looks again until it can, and then its migration starts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, ClassVar, TypeAlias

from ..errors import FerryError, Held, error_from
from ..jobs.job import Job
from ..jobs.kind import AnySteps, Instead, Made, OwnWork, Pause, WaitItem
from ..record.parts import lacking
from ..record.run import HeldElsewhere, held_lines
from .claiming import Choice, Finished, Later

KIND = "claim"
FIRST_GAP = 2.0  # seconds in which the tables of a wait are looked at for the first time
LINES_GAP = 60.0  # seconds between the lines about holders


def waiting_job(choice: Choice, waits: Later, options: Mapping[str, Any]) -> Job:
    """The job of a table that cannot be taken yet: the waiter takes it, and then starts its migration."""
    return Job(
        KIND,
        choice.table,
        "pending",
        pending_reason="held" if waits.held else "fence",
        request={"options": dict(options), "take_over": choice.take_over, "missing_since": waits.missing_since},
        result=_words(waits, choice.source_table),
        migration_id=choice.migration,
    )


def _words(waits: Later, table: str) -> dict[str, Any]:
    if waits.held is None:
        return {"words": waits.words}
    return {"words": waits.words, "holder": waits.held.holder, "refusal": waits.held.refusal(table).to_failure()}


def finished_job(done: Finished) -> Job:
    """The job of a table whose record says ``done``: its evidence is the result."""
    record = done.record
    result = {
        "state": record.state,
        "method": record.method,
        "table_id": record.table_id,
        "evidence": dict(record.evidence),
        "verified": dict(record.verified),
        "data_as_of": dict(record.data_as_of),
        "source_renewed": done.renewed,
        "lacks": lacking(record),
    }
    return Job(KIND, record.name, "not_needed", result=result, migration_id=record.migration)


def refusal(job: Job) -> FerryError:
    """Why a table that was waited for was not taken."""
    if job.result.get("refusal"):
        return error_from(job.result["refusal"])
    return Held(f"{job.result.get('words', 'The table could not be taken')}.", "Run again after that.", table=job.name)


Begin: TypeAlias = Callable[[WaitItem, Job], Instead | Later]


class ClaimKind(OwnWork):
    """Tables that wait until they can be taken, for the waiter. ``begin`` takes one and starts its migration: the jobs
    that take this one's place, or what it still waits for. ``progress`` gets a line a minute for each holder."""

    noun: ClassVar[str] = "claim"
    plural: ClassVar[str] = "claims"

    def __init__(self, begin: Begin, progress: Callable[[str], None] = lambda line: None) -> None:
        self._begin = begin
        self._progress = progress
        self._held: dict[str, HeldElsewhere] = {}
        self._lines_at: float | None = None
        self._first_at: float | None = None  # when the first table of this wait was seen to be held

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> AnySteps:
        """Look again until the table can be taken; then its other jobs take this one's place."""
        job = item.job
        while True:
            begun = self._begin(item, job)
            if not isinstance(begun, Later):
                self._held.pop(item.name, None)
                return begun
            if begun.held is not None:
                self._held[item.name] = begun.held
            else:
                self._held.pop(item.name, None)
            self._tell(clock)
            request = {**job.request, "missing_since": begun.missing_since}
            reason = "held" if begun.held else "fence"
            job = replace(job, pending_reason=reason, request=request, result=_words(begun, job.name))  # type: ignore[arg-type]
            yield Pause(job, "time", begun.seconds)

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """Nothing comes before it."""
        return job

    def _tell(self, clock: Callable[[], float]) -> None:
        """A line for each holder; not before all tables were looked at, or it would count the first one alone."""
        if self._first_at is None and self._held:
            self._first_at = clock()
        if self._first_at is None or clock() - self._first_at < FIRST_GAP:
            return
        if self._lines_at is not None and clock() - self._lines_at < LINES_GAP:
            return
        lines = held_lines(tuple(self._held.values()))
        if lines:
            self._lines_at = clock()
        for line in lines:
            self._progress(f"waiting: {line}")
