# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Looks for items that steps would make into one, for the waiter: a run of the Spark job of its own, between the export
and the table, which is not made where keys collide.

What a look has found stays in the staging bucket: it is not begun, and billed, again for the same export and steps.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import replace
from typing import Any, ClassVar

from ....spark.collisions import Collisions
from ....spark.plan import JobPlan
from ...errors import FerryError, JobTimeout, StagingBucketUnusable
from ...jobs.job import Job, ended_with
from ...jobs.kind import Made, Pause, Steps, WaitItem
from ...record.lease import iso
from ...record.record import LOOK
from ...table.definition import TableDefinition
from ...table.refused_items import colliding
from ...table.transforming import may_be_refused
from .engine import RunStatus
from .engines import ENGINES, LOOK_KIND
from .lost import running_alike
from .planning import exported, look_plan_of
from .results import failed_run
from .spark_job import LOOK_GAP, SparkKind, TableWork

OR_ELSE = (
    "If you have corrected items of the source instead, set export_max_age to 0 for the next run: the export that is"
    " there is used again otherwise."
)


class LookKind(SparkKind):
    """Looks, for the waiter."""

    kind: ClassVar[str] = LOOK_KIND
    noun: ClassVar[str] = "look for colliding keys"
    plural: ClassVar[str] = "looks for colliding keys"

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Look, by the run that an earlier process has begun or by a new one; not where it is known what is found."""
        work = _LookWork(item, self)
        try:
            return (yield from work.looked(item.job))
        finally:
            work.leave()

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """The look at just that export."""
        return replace(job, request={**job.request, "export": before.to_dict()})

    def made(self, job: Job) -> Made:
        """No table."""
        return Made()


class FolderWork(TableWork):
    """Work whose runs touch no table: what they leave lies in a folder of the bucket, and so does what is known of a
    run whose record was lost."""

    def lost(self, job: Job, wanted: JobPlan) -> Generator[Pause, str | None, Job | None]:
        """``job`` as a run that goes on and that no record knows, as its record was lost: it is in this one then, and
        none is billed again. None without one, once none can begin any more."""
        known = {entry.token for entry in self.record.record.jobs}
        while True:
            try:
                lost = running_alike(self.destination, self.bucket, wanted, known)
            except JobTimeout:
                until = {"fenced_until": iso(self.record.now() + LOOK_GAP)}
                waiting = replace(job, state="pending", pending_reason="fence", result={**job.result, **until})
                yield Pause(waiting, "time", LOOK_GAP)
                continue
            if lost is None:
                return None
            kept = {name: value for name, value in lost.request.items() if name != "export"}
            self.record.adopt(replace(lost, request=kept), self.purpose, str(lost.request["run"]["run"]))
            return self._joined(job, lost)


class _LookWork(FolderWork):
    """The look for one table, by one process."""

    purpose: ClassVar[str] = LOOK

    def looked(self, job: Job) -> Steps:
        """``job`` at its end: completed where no keys collide, not needed where that is known; failed where some do."""
        if self.record.record.state in ("filled", "settled"):
            return replace(job, state="not_needed", pending_reason="")
        if job.state != "running":
            job = yield from self.resumed(job)
        source = TableDefinition.read(self.item.need("source"), self.options.table)
        needed, wanted = may_be_refused(self.options.transform, source), self._wanted(job, source)
        while True:
            if job.state != "running":
                if not needed:  # only the end of a run by other steps was to be seen
                    return replace(job, state="not_needed", pending_reason="")
                known = self._found(wanted)
                if known is not None:
                    return self._ending(replace(job, state="not_needed"), wanted, known)
                lost = yield from self.lost(job, wanted)
                if lost is None and self._found(wanted) is not None:  # it has ended meanwhile
                    continue
                job = lost or (yield from self._begun(job, None, wanted))
            plan = self.plan_run(job)
            job, status = yield from self.followed(job)
            if status is None:
                continue
            found = self._found(plan)
            if found is not None:
                ended = replace(job, state="completed")
            else:
                ended = ended_with(job, self._unfinished(job, plan, status))
            self._ended(ended)
            self.forget(job)
            if plan.collisions_key == wanted.collisions_key:
                return ended if found is None else self._ending(ended, plan, found)
            job = replace(job, state="pending", pending_reason="", arn="")

    def _wanted(self, job: Job, source: TableDefinition) -> JobPlan:
        """The plan of the look that is asked for now; a run that goes on may be one by other steps."""
        manifest = exported(self.bucket, Job.from_dict(job.request.get("export") or {}))
        return look_plan_of(self.destination, self.options, source, manifest)

    def _found(self, plan: JobPlan) -> Collisions | None:
        """What a look by ``plan`` has found; None where none has come to its end."""
        content = self.bucket.find(plan.collisions_key)
        if content is None:
            return None
        try:
            return Collisions.from_json(content)
        except (ValueError, TypeError, KeyError) as error:
            raise StagingBucketUnusable(
                f"s3://{self.bucket.name}/{plan.collisions_key} is not what a look for colliding keys has found.",
                "Delete it, then run again.",
                table=self.options.table,
            ) from error

    def _unfinished(self, job: Job, plan: JobPlan, status: RunStatus) -> FerryError:
        """Why the run of ``job`` has found out nothing."""
        noun = ENGINES[self.options.engine].noun
        error = failed_run(self.bucket, plan, noun, job.arn, status, len(plan.files))
        ways = f"{error.next_step} Then run again: the look for colliding keys is made anew."
        return type(error)(error.cause, ways, table=error.table, details=error.details)

    def _ending(self, job: Job, plan: JobPlan, found: Collisions) -> Job:
        """``job``, which has ended, by what was ``found``: failed where keys collide. Those go to the user's file,
        never into a message."""
        read = sum(file.items for file in plan.files)
        result: dict[str, Any] = {**job.result, "read": read, "count": found.count, "lost": found.lost}
        job = replace(job, pending_reason="", result=result)
        if not found.lost:
            return job
        error: FerryError = colliding(
            found.count,
            found.lost,
            read,
            found.first,
            table=self.options.table,
            path=self.options.refused_path,
            or_else=OR_ELSE,
        )
        made = self.record.record.table_id
        return ended_with(job, error.of_made_table(made) if made else error)
