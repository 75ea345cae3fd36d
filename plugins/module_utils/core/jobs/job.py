# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Remote jobs as values, and one waiter for many of them (design section 5).

A job is what a run starts on AWS and a later run must find again: an export, an import, the settings of a table. Values
here are JSON-safe and hold no secrets: they travel through registered results, and the ledger keeps them.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Literal, Protocol, TypeAlias, get_args

from .. import sdk
from ..account import Account, Side
from ..errors import FerryError, InvalidInput, ServiceError, error_from, is_known
from .aws_errors import is_passing

JobName = Literal["export", "import", "backup", "copy", "restore", "direct", "count", "verify", "settings"]
State = Literal["planned", "pending", "running", "completed", "failed", "cancelled", "not_needed"]
PendingReason = Literal["", "slot", "point_in_time_recovery", "backup_plan", "settings", "waiter", "job"]


@dataclass(frozen=True)
class Job:
    """One remote job of one table.

    ``name`` is the table (an import's, a restore's, a direct copy's and settings' destination table, else the source
    table). ``arn`` is what its list call knows it by: with AWS Backup the job's id, which is no ARN. ``pending`` waits
    for ``pending_reason`` (``job``: the one before it on the table's way, ``waiter``: its own work) and is started by
    the waiter; ``not_needed`` was done by an earlier run: ``result`` is its.
    ``request`` is what is needed to start it again exactly so, ``attempt`` the number of earlier jobs of this table and
    purpose that must not be used again. ``failure`` is why it failed, as ``FerryError.to_failure`` gives it: error,
    cause, next_step and details; empty while it has not.
    """

    kind: JobName
    name: str
    state: State = "planned"
    arn: str = ""
    pending_reason: PendingReason = ""
    request: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] = field(default_factory=dict)
    failure: dict[str, Any] = field(default_factory=dict)
    migration_id: str = "default"
    attempt: int = 0

    @property
    def open(self) -> bool:
        """Whether a waiter has something to wait for."""
        return self.state in ("pending", "running")

    @property
    def timed_out(self) -> bool:
        """Whether a waiter gave up while the job was still open; it goes on, and the next run finds it."""
        return bool(self.result.get("timed_out"))

    @property
    def foreseen(self) -> Job:
        """The job as check mode shows it: what a run would leave to the waiter is only planned."""
        return replace(self, state="planned", pending_reason="") if self.state == "pending" else self

    @property
    def reported(self) -> tuple[str, str] | None:
        """Code and message of a failure that AWS itself reports of the job; None where it failed otherwise."""
        details = self.failure.get("details") or {}
        if "code" in details and "message" in details:
            return str(details["code"]), str(details["message"])
        return None

    @property
    def failure_code(self) -> str:
        """AWS's code where AWS reports the failure, else the name of the error; "" without a failure."""
        return self.reported[0] if self.reported else str(self.failure.get("error", ""))

    @property
    def failure_message(self) -> str:
        """AWS's message where AWS reports the failure, else cause and next step."""
        if self.reported:
            return self.reported[1]
        return f"{self.failure.get('cause', '')} {self.failure.get('next_step', '')}".strip()

    def to_dict(self) -> dict[str, Any]:
        """The job as JSON-safe data; ``failure_code`` and ``failure_message`` are for readers only."""
        return {**asdict(self), "failure_code": self.failure_code, "failure_message": self.failure_message}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Job:
        """The job from ``to_dict``'s data; unknown members are ignored. Raises InvalidInput when it is not a job."""
        values = {item.name: data[item.name] for item in fields(cls) if item.name in data}
        if values.get("kind") not in get_args(JobName) or values.get("state", "planned") not in get_args(State):
            raise InvalidInput(
                "The job is not one that a start verb returned.", "Pass the job of a start verb or job_wait."
            )
        values.setdefault("failure", _failure_of_words(data))
        return replace(cls(values["kind"], str(values.get("name", ""))), **values)


@dataclass(frozen=True)
class WaitItem:
    """One job to wait for. ``name`` is the caller's key for it (the host); sides as the jobs' kinds need them.

    ``then`` are the jobs that follow on the table's way, each when the one before it has completed.
    """

    name: str
    source: Account | None
    destination: Account | None
    job: Job
    then: tuple[Job, ...] = ()

    def need(self, side: Side) -> Account:
        """The account of ``side``. Raises InvalidInput without one."""
        account = self.source if side == "source" else self.destination
        if account is None:
            kind = self.job.kind
            raise InvalidInput(f"The {kind}'s {side} account is missing.", f"Give {side}.", table=self.job.name)
        return account


@dataclass(frozen=True)
class WaitResult:
    """How all jobs stand: of each way the ``jobs`` that was reached last, and in ``ways`` all of them.

    ``started`` has name and kind of those that the waiter started, ``poll_calls`` counts calls per kind.
    """

    jobs: dict[str, Job]
    poll_calls: dict[str, dict[str, int]]
    started: frozenset[tuple[str, JobName]] = frozenset()
    ways: dict[str, tuple[Job, ...]] = field(default_factory=dict)


@dataclass(frozen=True)
class Pause:
    """Where a job stands and when it wants to go on.

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
    """One page of a list call: the state of each ARN on it, and where the list goes on.

    ``percents`` are those that AWS tells of running jobs, for the progress lines.
    """

    states: Mapping[str, State]
    next_token: str = ""
    percents: Mapping[str, float] = field(default_factory=dict)


Steps: TypeAlias = Generator[Pause, str | None, Job]


class JobKind(Protocol):
    """What the waiter must know about a kind of job."""

    def account(self, item: WaitItem) -> Account:
        """The account that runs the job."""

    def list_page(self, account: Account, next_token: str) -> Page:
        """One page of the kind's list call, newest jobs first; one API call."""

    def run(self, item: WaitItem, waiting_since: float, clock: Callable[[], float]) -> Steps:
        """Bring the job from where it stands to its end. May be begun again from any job it paused with; with a job
        that runs it pauses for the end first.

        ``waiting_since`` is when the waiter began, by ``clock``.
        """

    def after(self, job: Job, before: Job) -> Job | None:
        """``job``, which waited for ``before``, with what that one left for it; None where it must not go on."""

    def explain(self, job: Job, destination: Account | None) -> FerryError:
        """Why ``job`` failed or was cancelled; ``destination`` is asked where it knows more than the job."""


class _Explained:
    """What is so for most kinds of jobs."""

    def explain(self, job: Job, destination: Account | None) -> FerryError:
        """The error that the job failed with."""
        return failure_of(job)


class SourceJobs(_Explained):
    """What kinds of jobs have in common that run in the source account."""

    def account(self, item: WaitItem) -> Account:
        """The source's. Raises InvalidInput without one."""
        return item.need("source")


class DestinationJobs(_Explained):
    """What kinds of jobs have in common that run in the destination account."""

    def account(self, item: WaitItem) -> Account:
        """The destination's. Raises InvalidInput without one."""
        return item.need("destination")


class OwnWork(DestinationJobs):
    """What kinds of jobs have in common that are the waiter's own work: AWS lists none of them."""

    def list_page(self, account: Account, next_token: str) -> Page:
        """Empty."""
        return Page({})


def begun(
    job: Job,
    begin: Callable[[Job], Job],
    refusal: Callable[[Exception], FerryError],
    is_full: Callable[[Exception], bool] = lambda error: sdk.error_code(error) == "LimitExceededException",
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


def ended_with(job: Job, error: BaseException) -> Job:
    """``job`` failed with ``error``; ``failure_of`` gives the error back."""
    return replace(job, state="failed", pending_reason="", failure=_to_failure(error))


def _to_failure(error: BaseException) -> dict[str, Any]:
    if isinstance(error, FerryError):
        return error.to_failure()
    next_step = "Run again: jobs already started are found and continued."
    if isinstance(error, sdk.ClientError):
        # Its text is left out: AWS quotes the signed headers where a signature is wrong.
        code = sdk.error_code(error)
        return ServiceError(f"AWS answered {code}.", next_step, details={"code": code}).to_failure()
    cause = f"{type(error).__name__}: {error}"
    return {"error": type(error).__name__, "cause": f"{cause.rstrip('.')}.", "next_step": next_step, "details": {}}


def _failure_of_words(data: Mapping[str, Any]) -> dict[str, Any]:
    """The failure of a job that version 0.2.0 stored: a code, of AWS's or the name of an error, and a message."""
    code, message = str(data.get("failure_code") or ""), str(data.get("failure_message") or "")
    if not code and not message:
        return {}
    if is_known(code):
        return {"error": code, "cause": message, "next_step": "", "details": {}}
    return ServiceError(
        f"AWS reported {code}{f': {message}' if message else ''}".rstrip(".") + ".",
        "Fix the cause AWS reports, then run again.",
        details={"code": code, "message": message},
    ).to_failure()


def failure_of(job: Job, unknown: type[FerryError] = ServiceError) -> FerryError:
    """Why ``job`` failed or was cancelled: the error that it failed with, naming its table; of type ``unknown`` where
    nothing says why."""
    if not job.failure:
        return unknown(f"The {job.kind} {job.arn} is {job.state}.".replace("  ", " "), "Run again.", table=job.name)
    return error_from(job.failure).for_table(job.name)
