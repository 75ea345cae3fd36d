# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What every method is made of: how it brings the items of a table, and how such a table is judged.

``core/migration.py`` lists the methods that there are; no method imports another one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import ClassVar, Literal, Protocol, TypeAlias

from ..account import Account
from ..change import Change, NotCarried
from ..errors import FerryError, InvalidInput, LocalSecondaryIndexes
from ..exports.loading import Loader
from ..items.answers import require_msgspec
from ..jobs.job import Job
from ..jobs.kind import JobKind
from ..jobs.tracking import Tracking
from ..judgement import Judgement, JudgeOptions
from ..plan.facts import Between, TableFacts, Wishes
from ..plan.forecast import Forecast
from ..plan.prices import Prices
from ..route import Route
from ..steps.lost_record import Fill
from ..steps.readable import require_readable
from ..steps.source_jobs import SourceJob
from ..steps.standing import Filling
from ..table.definition import TableDefinition
from ..table.preview import MadeBy, as_imported
from .options import AUTO, MigrationOptions

# What the data needs in the accounts beforehand: a staging bucket, vaults of AWS Backup, or nothing.
Needs: TypeAlias = Literal["staged", "backed_up", ""]


@dataclass(frozen=True)
class ItemJobs:
    """The jobs that bring the items: the first ``job``, those that follow ``then``, and what they change.

    ``maker`` is the one of them that makes the table, as it was planned; None where none is made, as by a copy of a
    backup alone. ``as_made`` says which settings its table will have. ``obstacle`` is what must be fixed before the
    first job can start; only a preview has one.
    """

    job: Job
    then: tuple[Job, ...]
    changes: tuple[Change, ...]
    definition: TableDefinition
    maker: Job | None
    left: tuple[NotCarried, ...] = ()
    obstacle: FerryError | None = None
    warnings: tuple[str, ...] = ()
    as_made: MadeBy = as_imported


class Method(Protocol):
    """A way for the items of a table.

    ``path`` is the way in words. ``local_secondary_indexes``: whether the tables it makes can have some. ``counts``:
    whether its own jobs count the items. ``transforms``: whether steps can change the items on its way. ``kinds`` are
    the kinds of its jobs, each made anew for one waiter. ``loader`` is how it loads an export into the destination,
    None where it begins with none. ``compares_export``: whether a comparison reads that export instead of the source
    table while it is there.
    """

    name: ClassVar[str]
    path: ClassVar[str]
    local_secondary_indexes: ClassVar[bool]
    data_needs: ClassVar[Needs]
    counts: ClassVar[bool]
    loader: ClassVar[Loader | None]
    compares_export: ClassVar[bool]
    kinds: ClassVar[Mapping[str, Callable[[], JobKind]]]
    resumes: ClassVar[bool]
    transforms: ClassVar[bool]

    def require(self, definition: TableDefinition, options: MigrationOptions) -> None:
        """Raises what a start refuses of the source table ``definition`` whatever AWS answers, for a plan. Makes no
        call."""

    def require_room(self, destination: Account, options: MigrationOptions) -> None:
        """Raises what a start refuses of the place in ``destination`` that ``options.spark`` names, and of no other
        option, for a plan: what AWS says of it is the same for all tables that have it. Reads only."""

    def start(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """Start the first job, or find the one of an earlier run. Raises what refuses it before anything is billed.

        ``record`` is the table's, which this run holds: what is begun is written there first, and jobs of earlier runs
        are found there. It is in one of the states claimed, filling, filled, settled or broken, and its table, where it
        has one, was seen a moment ago.
        """

    def preview(
        self, source: Account, destination: Account, options: MigrationOptions, record: Tracking | None = None
    ) -> ItemJobs:
        """All that ``start`` and the jobs after it would do; reads only. ``record`` can only be read, too."""

    def running_fill(
        self, destination: Account, options: MigrationOptions, route: Route, there: TableDefinition | None
    ) -> Job | None:
        """The job of this method on AWS that makes the route's table now, as an earlier run has begun it: where the
        record that knew it was lost. ``there`` is what stands under the table's name. Reads only."""

    def fillings(self, destination: Account) -> Iterator[Filling]:
        """The jobs of this method on AWS that make tables of the destination, or made them: one list. Reads only."""

    def source_jobs(self, source: Account, tables: Collection[str]) -> Iterator[SourceJob]:
        """The jobs of this method that run in the source account, of its ``tables``: one list. Reads only."""

    def between(self, source: Account, destination: Account, wishes: Wishes) -> Between:
        """What the method has to know of a pair of accounts before it can forecast a table. Reads only."""

    def forecast(self, facts: TableFacts, between: Between, prices: Prices) -> Forecast:
        """Whether the method can move the table, how long that takes and what it costs. Makes no call."""

    def judge(
        self, name: str, source: Account | None, destination: Account, jobs: Sequence[Job], options: JudgeOptions
    ) -> Judgement:
        """Judge the table ``name`` of the destination that the ``jobs``, in their order, have made.

        The table's own failure is part of the judgement. Raises InvalidInput where no job makes a table, and what
        Account.explain gives where AWS cannot be asked.
        """


def loaders_of(methods: Iterable[Method]) -> tuple[Loader, ...]:
    """The loaders of those ``methods`` that begin with an export."""
    return tuple(dict.fromkeys(method.loader for method in methods if method.loader is not None))


def find_fill(
    methods: Iterable[Method],
    source: Account,
    options: MigrationOptions,
    destination: Account,
    there: TableDefinition | None,
) -> Fill | None:
    """The job of one of the ``methods`` that makes the table now, whatever the method of ``options`` is. Reads only."""
    route = Route(
        source_account_id=source.account_id,
        source_region=source.region,
        source_table=options.table,
        destination_account_id=destination.account_id,
        destination_region=destination.region,
        destination_table=options.made_table,
        migration_id=options.migration_id,
    )
    for method in methods:
        job = method.running_fill(destination, options, route, there)
        if job is not None:
            return Fill(method.name, job)
    return None


def transforming(methods: Iterable[Method]) -> list[str]:
    """The names of those on whose way steps can change items."""
    return [method.name for method in methods if method.transforms]


def require_transforming(method: Method, methods: Iterable[Method], options: MigrationOptions) -> None:
    """Raises InvalidInput where steps are to change the items, and no step can on the way of ``method``, naming those
    of the ``methods`` on whose way it can."""
    if options.transform is None or method.transforms:
        return
    others = ", ".join(transforming(methods))
    fills = " and it brings the items of this table already," if options.method not in (AUTO, method.name) else ""
    raise InvalidInput(
        f"The method {method.name} cannot change items on the way{fills.rstrip(',')}.",
        f"Methods that can: {others}. Use one of them, or leave transform out.",
        table=options.table,
    )


@contextmanager
def naming_methods(methods: Mapping[str, Method]) -> Iterator[None]:
    """A table that is refused for its local secondary indexes is told which methods can create them.

    Raises LocalSecondaryIndexes anew.
    """
    try:
        yield
    except LocalSecondaryIndexes as error:
        others = ", ".join(name for name, method in methods.items() if method.local_secondary_indexes)
        raise LocalSecondaryIndexes(
            error.cause, f"Methods that can: {others}.", table=error.table, details=error.details
        ) from error


def require_library(method: Method, options: MigrationOptions) -> None:
    """Raises MissingLibrary where this machine will read items, to copy or to compare them, and cannot. Makes no
    call."""
    if not method.data_needs or _reads_after(method, options):  # no data is kept anywhere: a direct copy
        require_msgspec()


def require_reading(method: Method, source: Account, destination: Account, options: MigrationOptions) -> None:
    """Raises MissingLibrary and AccessDenied where items will be read after AWS has billed the way there, and cannot
    be: for lack of a library on this machine, or of permissions on either side."""
    require_library(method, options)
    if _reads_after(method, options) and method.data_needs:  # a direct copy reads before anything else is billed
        here = [] if method.compares_export else [(source, options.table)]
        compared = options.verify in ("sample", "full")
        require_readable([*here, (destination, options.made_table)], compared=compared)


def _reads_after(method: Method, options: MigrationOptions) -> bool:
    return options.verify in ("sample", "full") or (not method.counts and options.verify != "none")
