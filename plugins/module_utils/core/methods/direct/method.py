# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The method direct: the table is read and written through this machine."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from typing import ClassVar

from ...account import Account
from ...change import NotCarried
from ...exports.loading import Loader
from ...jobs.job import Job
from ...jobs.kind import JobKind
from ...jobs.tracking import Tracking
from ...judgement import Judgement, JudgeOptions, nothing_to_judge
from ...plan.facts import Between, TableFacts, Wishes
from ...plan.forecast import Forecast
from ...plan.prices import Prices
from ...route import Route
from ...steps.source_jobs import SourceJob
from ...steps.standing import Filling
from ...table.definition import TableDefinition
from ...table.own_apis import Tags
from ...table.preview import as_created
from ...table.replication import kept_by_copy, left_by_copy
from ...table.transforming import may_be_refused
from ..method import ItemJobs, Needs
from ..options import MigrationOptions
from .copy_job import DirectKind, DirectPlan, plan_direct, require_checkpoints, require_rates
from .forecast import forecast
from .judge import judge_direct
from .options import DirectOptions


class DirectMethod:
    """Read and write through this machine."""

    name: ClassVar[str] = "direct"
    path: ClassVar[str] = "parallel scan and batch write through the controller"
    local_secondary_indexes: ClassVar[bool] = True
    data_needs: ClassVar[Needs] = ""
    counts: ClassVar[bool] = True
    resumes: ClassVar[bool] = True
    transforms: ClassVar[bool] = True
    loader: ClassVar[Loader | None] = None
    compares_export: ClassVar[bool] = False
    kinds: ClassVar[Mapping[str, Callable[[], JobKind]]] = {"direct": DirectKind}

    def require(self, definition: TableDefinition, options: MigrationOptions) -> None:
        """Raises InvalidInput, and CheckpointUnusable."""
        require_rates(definition, options.items)
        require_checkpoints(options.items, options.table)

    def require_room(self, destination: Account, options: MigrationOptions) -> None:
        """Nothing: no job of it has a place of the user's."""

    def start(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """The copy planned; the waiter makes it. Raises what plan_direct raises."""
        plan = _planned(source, destination, options, record)
        if may_be_refused(options.transform, plan.definition):
            plan.changes.clear()  # not before the items were looked at: the waiter says when it has made the table
        return _jobs(plan, plan.job, left_by_copy(plan.definition) if plan.job.open else ())

    def preview(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """The copy foreseen. Raises what plan_direct raises."""
        plan = _planned(source, destination, options, record)
        return _jobs(plan, plan.job.foreseen, left_by_copy(plan.definition, source) if plan.job.open else ())

    def running_fill(
        self, destination: Account, options: MigrationOptions, route: Route, there: TableDefinition | None
    ) -> Job | None:
        """None: a direct copy runs in a process of ours alone."""
        return None

    def fillings(self, destination: Account) -> Iterator[Filling]:
        """None, as ``running_fill``."""
        return iter(())

    def source_jobs(self, source: Account, tables: Collection[str]) -> Iterator[SourceJob]:
        """None, as ``running_fill``."""
        return iter(())

    def between(self, source: Account, destination: Account, wishes: Wishes) -> Between:
        """Nothing that a table does not say."""
        return Between()

    def forecast(self, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
        """A copy through this machine; see ``forecast.py``."""
        return forecast(self.name, facts, between, prices)

    def judge(
        self, name: str, source: Account | None, destination: Account, jobs: Sequence[Job], options: JudgeOptions
    ) -> Judgement:
        """Judge the table that was copied; see ``judge_direct``."""
        copy = next((job for job in jobs if job.kind in self.kinds), None)
        if copy is None:
            raise nothing_to_judge(name)
        return judge_direct(name, destination, copy, verify=options.verify, writes_stopped=options.writes_stopped)


def _jobs(plan: DirectPlan, job: Job, left: tuple[NotCarried, ...]) -> ItemJobs:
    return ItemJobs(
        job,
        (),
        tuple(plan.changes),
        plan.definition,
        plan.job,
        left,
        warnings=kept_by_copy(plan.definition) if plan.job.open else (),
        as_made=as_created,
    )


def _planned(source: Account, destination: Account, options: MigrationOptions, record: Tracking | None) -> DirectPlan:
    return plan_direct(
        source,
        destination,
        DirectOptions(
            table=options.table,
            destination_table=options.made_table,
            migration_id=options.migration_id,
            kms_key_map=options.kms_key_map,
            warm_throughput=options.warm_throughput,
            indexes_after=options.indexes_after,
            leave_indexes=options.leave_indexes,
            items=options.items,
            count=options.verify != "none",
            writes_stopped=options.backup.writes_stopped,
            carry_tags=Tags.name not in options.defer,
            transform=options.transform,
        ),
        record,
    )
