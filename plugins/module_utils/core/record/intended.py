# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Intentions and jobs in a record: pure functions ``record -> record``, as in ``transitions``."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import intention
from .intention import Window
from .record import DELETE, FILL, JobEntry, Record, Source
from .rules import (
    Moment,
    job_of,
    not_allowed,
    not_yet,
    require_fence,
    require_held,
    require_no_writer,
    require_state,
    require_table,
)


def intend(record: Record, moment: Moment, *, purpose: str, kind: str, token: str, request: str) -> Record:
    """The intention of a job or call of the present attempt, written before it is sent.

    Never beside one of the same purpose that runs or may be begun. What makes our table is intended only while there
    is none, what deletes it only once the fence has passed.
    """
    require_held(record, moment)
    running = record.open_job(purpose)
    if running is not None:
        raise not_allowed(record, f"the {running.kind} for the purpose {purpose} is {running.state} already")
    if record.job(token) is not None:
        raise not_allowed(record, f"the token {token} was used already, and AWS would answer with that job")
    if purpose == FILL:
        require_state(record, "claimed", doing=f"begin {kind}")
        deletion = record.open_job(DELETE)
        if deletion is not None:
            raise not_allowed(record, "its deletion is under way")
    if purpose == DELETE:
        require_table(record)
        require_no_writer(record)
        require_fence(record, moment, dynamodb_only=True)
    at = math.floor(moment.now)
    return record.with_job(JobEntry(purpose, kind, record.attempt, token, request, at, at))


def adopt_job(record: Record, moment: Moment, entry: JobEntry) -> Record:
    """A job of ours that runs and that the record does not know, as after an older record came back.

    What fills cannot be called off: it decides the method's outcome, whatever the method is now.
    """
    require_held(record, moment)
    known = record.open_job(entry.purpose)
    if known is not None and known.token != entry.token:
        raise not_allowed(record, f"another {known.kind} for the purpose {entry.purpose} is {known.state}")
    if entry.purpose == FILL:
        require_state(record, "claimed", doing=f"adopt {entry.kind}")
    return record.with_job(entry)


def asked(record: Record, moment: Moment, token: str) -> Record:
    """The intention ``token``, about to be sent again."""
    require_held(record, moment)
    return record.with_job(replace(job_of(record, token, "intended"), asked_at=math.floor(moment.now)))


def begun(record: Record, moment: Moment, token: str, *, arn: str = "", table_id: str = "") -> Record:
    """The job ``token``, answered or found: AWS calls it ``arn``, the table it makes ``table_id``."""
    require_held(record, moment)
    job = job_of(record, token, "intended", "begun")
    return record.with_job(
        replace(job, state="begun", arn=arn or job.arn, table_id=table_id or job.table_id, request=job.request)
    )


def begun_of(record: Record, moment: Moment, token: str, *, arn: str, request: str, source: Source) -> Record:
    """The job ``token`` as ``begun``, of a ``source`` that was made anew after it was looked at: the claim and the
    ``request`` are of that table from now on. Only while nothing makes our copy."""
    require_held(record, moment)
    require_state(record, "claimed", doing="be of a source that was made anew")
    require_no_writer(record)
    record = begun(record, moment, token, arn=arn)
    return replace(record.with_job(replace(job_of(record, token, "begun"), request=request)), source=source)


def ended(record: Record, moment: Moment, token: str, *, ok: bool, result: Mapping[str, Any]) -> Record:
    """The job ``token`` at its end, with what matters of AWS's description of it."""
    require_held(record, moment)
    job = job_of(record, token, "intended", "begun")
    return record.with_job(replace(job, state="done" if ok else "failed", result=dict(result), request=""))


def refused(
    record: Record, moment: Moment, token: str, *, all_answered: bool, result: Mapping[str, Any] | None = None
) -> Record:
    """The intention ``token``, which AWS refused. It is closed only if every attempt of that call was answered:
    one that was not may have begun the job."""
    require_held(record, moment)
    job = job_of(record, token, "intended")
    if not all_answered:
        raise not_allowed(record, f"an attempt to begin {job.kind} has no answer: look for the job first")
    return record.with_job(replace(job, state="closed", result=dict(result or {}), request=""))


def not_begun(record: Record, moment: Moment, token: str, window: Window, *, listed_at: float) -> Record:
    """The intention ``token``, closed: a list made at ``listed_at``, when none of its requests could be executed any
    more, does not show it."""
    require_held(record, moment)
    job = job_of(record, token, "intended")
    at = intention.closable_at(job, window, record.fence, moment.unanswered)
    if listed_at < at:
        raise not_yet(record, f"a request that begins {job.kind} may still be executed", at)
    return record.with_job(replace(job, state="closed", request=""))


def change_method(record: Record, moment: Moment, method: str) -> Record:
    """The record before its table is made, going another way. Half a table keeps its method: see ``broken``."""
    require_held(record, moment)
    if method == record.method:
        return record
    require_state(record, "claimed", doing=f"change to the method {method}")
    running = record.open_job(FILL)
    if running is not None:
        raise not_allowed(record, f"a {running.kind} is {running.state} and cannot be called off: it is waited for")
    require_fence(record, moment)
    return replace(record, method=method)
