# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the verbs that start a job have in common: the result, and waiting for the job."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from ..core.account import Account
from ..core.change import Change, to_diff
from ..core.errors import FerryError, Held, JobTimeout, in_words
from ..core.jobs.job import Job
from ..core.jobs.kind import WaitItem
from ..core.migration import explain, noun, wait_for
from .spec import Progress


def start_result(job: Job, changes: Sequence[Change], obstacle: FerryError | None = None) -> dict[str, Any]:
    """The result of a verb that starts a job. ``obstacle`` is what would prevent the start that check mode predicts."""
    sentences = [f"{job.name}: the {noun(job)} is {job.state.replace('_', ' ')}."]
    if obstacle:
        first = "" if isinstance(obstacle, Held) else "Fix this first: "  # nothing is to be fixed of one that is held
        sentences.append(f"{first}{obstacle.cause} {obstacle.next_step}")
    return {
        "changed": bool(changes),
        "job": job.to_dict(),
        "changes": [change.to_dict() for change in changes],
        "diff": to_diff(changes, f"{noun(job)} of {job.name}"),
        "obstacle": str(obstacle or ""),
        "obstacle_error": "" if obstacle is None else type(obstacle).__name__,
        "obstacles": [] if obstacle is None else obstacle.problems,
        "msg": " ".join(sentences),
        **({"warnings": [f"{job.name}: {job.issues}"]} if job.issues else {}),
    }


def finished(job: Job, source: Account | None, destination: Account | None, timeout: float, progress: Progress) -> Job:
    """Wait for ``job`` and return it completed. Raises JobTimeout, or the error that explains why it failed."""
    if job.open:
        job = wait_for([WaitItem(job.name, source, destination, job)], timeout, progress).jobs[job.name]
    if job.timed_out:
        raise JobTimeout(
            f"The {noun(job)} is still {job.state} after {in_words(timeout)}.",
            "Run again, with a longer wait_timeout if necessary: jobs already started are found and continued.",
            table=job.name,
            details={"job": job.to_dict()},
        )
    if job.state in ("failed", "cancelled"):
        error = explain(job, destination)
        error.details.setdefault("job", job.to_dict())
        raise error
    return job
