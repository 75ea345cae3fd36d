# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the waiter must know about a kind of job, and the values that both exchange (design section 5)."""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from typing import ClassVar, Literal, Protocol, TypeAlias

from .. import sdk
from ..account import Account, Side
from ..aws_errors import is_passing, is_slot
from ..errors import FerryError, InvalidInput
from ..record.lease import iso
from .job import Job, State, failure_of
from .tracking import Tracking

FENCE_GAP = 10.0  # seconds between looks whether a former run's requests are over


@dataclass(frozen=True)
class WaitItem:
    """One job to wait for. ``name`` is the caller's key for it (the host); sides as the jobs' kinds need them.

    ``then`` are the table's jobs that follow, each when the one before it has completed; ``last`` comes when they have
    completed or were left out. ``before`` are the table's jobs before this one, as they ended. ``record`` is what is
    known of the table, and written with every call; None for a verb that is used alone.
    """

    name: str
    source: Account | None
    destination: Account | None
    job: Job
    then: tuple[Job, ...] = ()
    record: Tracking | None = None
    last: Job | None = None
    before: tuple[Job, ...] = ()

    def need(self, side: Side) -> Account:
        """The account of ``side``. Raises InvalidInput without one."""
        account = self.source if side == "source" else self.destination
        if account is None:
            kind = self.job.kind
            raise InvalidInput(f"The {kind}'s {side} account is missing.", f"Give {side}.", table=self.job.name)
        return account


@dataclass(frozen=True)
class WaitResult:
    """How all jobs stand: in ``jobs`` the last one that each table reached, in ``ways`` all of a table's jobs.

    ``started`` has name and kind of those that the waiter started, ``poll_calls`` counts calls per kind.
    ``changed`` has the names of those of which it started a job, or saw one end that an earlier run had started.
    ``spans`` says for each job that was waited for, by table and kind, from when to when: AWS's time as ISO 8601, the
    end "" where the wait did not see it.
    """

    jobs: dict[str, Job]
    poll_calls: dict[str, dict[str, int]]
    started: frozenset[tuple[str, str]] = frozenset()
    ways: dict[str, tuple[Job, ...]] = field(default_factory=dict)
    changed: frozenset[str] = frozenset()
    spans: dict[str, dict[str, tuple[str, str]]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    """Where a job stands and when it continues.

    ``time``: in ``seconds``. ``slot``: when another job of its kind, account and Region has ended, or some time later.
    ``end``: when a listing shows it ended; the state that it showed is sent in, "" when the job is to look itself.
    ``adopted``: an earlier run started the job, or AWS did by itself.
    """

    job: Job
    until: Literal["time", "slot", "end"]
    seconds: float = 0.0
    adopted: bool = False


@dataclass(frozen=True)
class Page:
    """One page of a list call: the state of each ARN on it, and where the list continues.

    ``percents`` are those that AWS tells of running jobs, for the progress lines; ``waiting`` are AWS's own words for
    those that it has taken and not begun to work on.
    """

    states: Mapping[str, State]
    next_token: str = ""
    percents: Mapping[str, float] = field(default_factory=dict)
    waiting: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Instead:
    """What a job ends with whose place others take: the ``jobs`` that now are the table's, from this one on.

    ``started``: the first of them was begun, or something was changed for it.
    """

    jobs: tuple[Job, ...]
    started: bool = False


Steps: TypeAlias = Generator[Pause, str | None, Job]
AnySteps: TypeAlias = Generator[Pause, str | None, Job | Instead]


@dataclass(frozen=True)
class Made:
    """The table that a job made or looked at, for the jobs after it; without ids the job made none.

    ``whole``: nothing shows that it lacks items. ``counted``: an earlier run has counted them.
    """

    table_id: str = ""
    table_arn: str = ""
    whole: bool = True
    counted: bool = False


def made_of(job: Job, *, whole: bool = True) -> Made:
    """The table whose id and ARN the job's result has."""
    return Made(str(job.result.get("table_id", "")), str(job.result.get("table_arn", "")), whole)


class JobKind(Protocol):
    """What the waiter must know about a kind of job. Messages call one job ``noun``, progress lines many ``plural``."""

    noun: ClassVar[str]
    plural: ClassVar[str]

    def account(self, item: WaitItem) -> Account:
        """The account that runs the job."""

    def list_scope(self, item: WaitItem) -> str:
        """What else the list call needs, such as an application; jobs of one scope share its pages."""

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of the kind's list call in ``scope``, newest jobs first; one API call."""

    def describes_end(self, item: WaitItem) -> bool:
        """Whether the job, once a list shows that it has ended, is read by a describe call, which AWS throttles."""

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> AnySteps:
        """Bring the job from where it stands to its end. May be started again from any job it paused with; with a job
        that runs it pauses for the end first.

        ``waiting_since`` is when the waiter began, by ``clock``.
        """

    def made(self, job: Job) -> Made:
        """The table that the ended ``job`` made or looked at."""

    def after(self, job: Job, before: Job, made: Made) -> Job | None:
        """``job``, which waited for ``before``, with what that one left for it; None where it must not start.

        ``made`` is what ``before``'s own kind says of its table: only a kind of the same method reads more of
        ``before``.
        """

    def explain(self, job: Job, destination: Account | None) -> FerryError:
        """Why ``job`` failed or was cancelled; ``destination`` is asked where it knows more than the job."""

    def shared_place(self, job: Job, other: Job) -> str:
        """Where the planned ``job`` will leave what ``other``, of this kind too, is for: one serves both; "" where
        each is needed."""


class _Usual:
    """What is so for most kinds of jobs."""

    def list_scope(self, item: WaitItem) -> str:
        """None: the list call shows all jobs of an account and Region."""
        return ""

    def describes_end(self, item: WaitItem) -> bool:
        """It is."""
        return True

    def made(self, job: Job) -> Made:
        """No table."""
        return Made()

    def explain(self, job: Job, destination: Account | None) -> FerryError:
        """The error that the job failed with."""
        return failure_of(job)

    def shared_place(self, job: Job, other: Job) -> str:
        """None: each job serves one table."""
        return ""


class SourceJobs(_Usual):
    """What kinds of jobs have in common that run in the source account."""

    def account(self, item: WaitItem) -> Account:
        """The source's. Raises InvalidInput without one."""
        return item.need("source")


class DestinationJobs(_Usual):
    """What kinds of jobs have in common that run in the destination account."""

    def account(self, item: WaitItem) -> Account:
        """The destination's. Raises InvalidInput without one."""
        return item.need("destination")


class OwnWork(DestinationJobs):
    """What kinds of jobs have in common that are the waiter's own work: AWS lists none of them."""

    def list_page(self, account: Account, scope: str, next_token: str) -> Page:
        """Empty."""
        return Page({})

    def describes_end(self, item: WaitItem) -> bool:
        """No: there is nothing to describe."""
        return False


def past_fence(job: Job, record: Tracking | None, *, dynamodb_only: bool = False) -> Generator[Pause, str | None, None]:
    """Pauses with ``job`` until no request of a former run, and none of this one without an answer, can reach the
    table: before items, settings and deletions. ``dynamodb_only``: as in ``Tracking.fence_left``."""
    while record is not None and (seconds := record.fence_left(dynamodb_only=dynamodb_only)) > 0:
        until = {"fenced_until": iso(record.now() + seconds)}
        waiting = replace(job, state="pending", pending_reason="fence", result={**job.result, **until})
        yield Pause(waiting, "time", min(seconds, FENCE_GAP))


def begun(
    job: Job,
    begin: Callable[[Job], Job],
    refusal: Callable[[Exception], FerryError],
    is_full: Callable[[Exception], bool] = is_slot,
) -> Steps:
    """Steps that send a pending job's request by ``begin`` until AWS takes it, waiting for a slot while a quota
    ``is_full``. Raises ``refusal`` for what AWS refuses for good, the SDK's error for what may work later."""
    while job.state == "pending":
        try:
            job = begin(job)
        except sdk.ClientError as error:
            if is_full(error):
                yield Pause(job, "slot")
            elif is_passing(error):
                raise
            else:
                raise refusal(error) from error
    return job
