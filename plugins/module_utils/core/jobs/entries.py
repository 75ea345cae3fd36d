# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A job as an entry of its table's record, and back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from ..record import record as records
from ..record.record import JobEntry
from .job import Job, State
from .token import TOKEN_MEMBERS, canonical

_STATES: Mapping[records.JobState, State] = {
    "intended": "planned",
    "begun": "running",
    "done": "completed",
    "failed": "failed",
    "closed": "cancelled",  # it was never begun; its request is gone
}


def entry_of(job: Job, purpose: str, attempt: int, now: float, token: str = "") -> JobEntry:
    """What a record has of a ``job`` that runs and that no run of this record has begun."""
    at = math.floor(now)
    return JobEntry(purpose, job.kind, attempt, token or token_of(job), to_text(job), at, at, job.arn, state="begun")


def token_of(job: Job) -> str:
    """The token in the job's call."""
    call = job.request.get("call", {})
    return next((str(call[member]) for member in TOKEN_MEMBERS if member in call), "")


def described(job: Job) -> dict[str, Any]:
    """Which job it is, as entries hold it."""
    return {"name": job.name, "attempt": job.attempt, "migration_id": job.migration_id}


def to_text(job: Job) -> str:
    """The job's request as an entry holds it: canonical JSON."""
    return canonical({**described(job), "request": job.request})


def job_of_entry(entry: JobEntry) -> Job:
    """The job of a record's entry, as it was written."""
    values = json.loads(entry.request) if entry.request else dict(entry.result.get("job", {}))
    return Job(
        entry.kind,
        str(values.get("name", "")),
        _STATES[entry.state],
        entry.arn,
        request=dict(values.get("request", {})),
        result=dict(values.get("result", {})),
        failure=dict(values.get("failure", {})),
        migration_id=str(values.get("migration_id", "default")),
        attempt=int(values.get("attempt", 0)),
    )
