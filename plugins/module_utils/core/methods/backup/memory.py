# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What a table's record keeps of its backup, copy and restore, and which of them may be begun (design section 6).

AWS Backup documents no window for its IdempotencyToken and its lists do not show it: a job whose answer was lost is
found by what it works on and by when it was begun.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Generator, Iterable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar

from ...errors import NotYet
from ...jobs.entries import token_of
from ...jobs.job import Job
from ...jobs.kind import FENCE_GAP, Pause
from ...jobs.token import canonical, with_token
from ...jobs.tracking import Tracking
from ...record.intention import BACKUP_TOKEN
from ...table.definition import Shape
from .calls import moment
from .history import CLOCKS

TOKEN = "IdempotencyToken"

# What of a job's request a later run needs when it has ended.
KEPT: Collection[str] = ("purpose", "route", "source", "call", "plan", "max_age", "destination_vault", "count")

Planned = TypeVar("Planned")


def sending(
    record: Tracking | None, job: Job, purpose: str, may_be_ours: Callable[[Exception], bool] = lambda error: False
) -> AbstractContextManager[object]:
    """The request of ``job`` is sent within: in the ``record`` its intention is written first."""
    return record.sending(job, purpose, may_be_ours=may_be_ours) if record is not None else nullcontext()


def write(record: Tracking | None, job: Job, purpose: str) -> None:
    """``job`` as it now is, begun or ended, in the ``record``; one that it does not know is adopted."""
    if record is None or not job.arn:
        return
    entry = record.record.job(token_of(job))
    if entry is None:
        record.adopt(replace(job, state="running"), purpose)
    elif entry.is_open and entry.arn != job.arn:
        record.begun(job)
    if not job.open:
        record.ended(job, KEPT)


def adopted(job: Job, job_id: str) -> Job:
    """``job``, which somebody else began as ``job_id``, with a token that no request has."""
    return replace(job, request={**job.request, "call": {**job.request["call"], TOKEN: f"adopted {job_id}"}})


def begun_since(record: Tracking, job: Job, listed: Iterable[Shape], key: str) -> Shape | None:
    """The first of the ``listed`` jobs that was begun after the intention of ``job``; none that the record knows by
    its id, the member ``key``."""
    entry = record.record.job(token_of(job))
    if entry is None:
        return None
    known = {each.arn for each in record.record.jobs}
    since = datetime.fromtimestamp(entry.intended_at, UTC) - CLOCKS
    found = [each for each in listed if each[key] not in known and (moment(each["CreationDate"]) or since) >= since]
    return min(found, key=lambda each: str(each["CreationDate"]), default=None)


def is_since_intention(record: Tracking, job: Job, created: datetime) -> bool:
    """Whether a job that AWS answered with was begun by the intention of ``job``, and not by an older request."""
    entry = record.record.job(token_of(job))
    slack = timedelta(minutes=5)
    return entry is None or created >= datetime.fromtimestamp(entry.intended_at, UTC) - slack


def to_intend(
    record: Tracking, requested: Job, purpose: str, last: Job | None, listed_at: float, number: int = 0
) -> Job:
    """The job to begin: the one that was intended and not found, unchanged, as long as it may be sent; else a new one.

    Its number is ``number`` at least. Raises NotYet while one that is not to be sent any more may still be begun.
    """
    if last is not None and last.state == "planned":
        wanted = _without_token(last) == _without_token(requested)
        if not record.may_write or record.next_step(last, BACKUP_TOKEN, listed_at, wanted=wanted) == "send":
            return last
        record.not_begun(last, BACKUP_TOKEN, listed_at)
    elif last is not None and record.may_write:
        record.close(last, BACKUP_TOKEN, listed_at, KEPT)
    return fresh(record, requested, purpose, number)


def fresh(record: Tracking, requested: Job, purpose: str, number: int = 0) -> Job:
    """``requested`` with a number and a token that the record has not seen yet."""
    number = max(number, record.number(purpose))
    while True:
        job = with_token(replace(requested, attempt=number), TOKEN)
        if record.record.job(token_of(job)) is None:
            return job
        number += 1


def close_former(record: Tracking, purpose: str, describe: Callable[[Job], Job], listed_at: float) -> None:
    """End or close what an earlier attempt left open for ``purpose``. Raises NotYet while it runs, or may be begun."""
    former = record.former(purpose)
    if former is None or not record.may_write:
        return
    record.close(describe(former) if former.arn else former, BACKUP_TOKEN, listed_at, KEPT)


def patiently(plan: Callable[[], Planned], job: Job, record: Tracking | None) -> Generator[Pause, str | None, Planned]:
    """Steps that end with what ``plan`` returns, once it is not too early for it any more."""
    while True:
        try:
            return plan()
        except NotYet as early:
            if record is None:
                raise
            left = float(early.details.get("until", 0)) - record.now()
            yield Pause(replace(job, pending_reason="fence"), "time", min(max(left, 1.0), FENCE_GAP))


def _without_token(job: Job) -> str:
    call: Mapping[str, Any] = job.request["call"]
    return canonical({name: value for name, value in call.items() if name != TOKEN})
