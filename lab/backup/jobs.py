# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What backup, copy and restore jobs have in common: tokens, turns, planned failures, lists (aws.md C4, C6)."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable
from typing import Literal, TypeVar

from lab.backup import vaults
from lab.backup.model import DAY_SECONDS, BackupJob, CopyJob, Job, Shape
from lab.backup.registry import backups, here, registry_of
from lab.backup.words import belief, invalid_parameter, not_found
from lab.errors import AwsError
from lab.faults import Fault
from lab.request_log import StartedJob
from lab.world import Context, World

TOKEN = belief(
    "test_jobs", "job-token",
    "A known IdempotencyToken answers the job that it made and starts nothing, whatever else the request says",
    "aws.md C4; of a request that differs: a guess", confirmed=False,
)  # fmt: skip
TOKEN_FORM = belief(
    "test_jobs", "job-token-form",
    "An IdempotencyToken has 1 to 50 of the characters a-z A-Z 0-9 - _ .",
    "aws.md C2",
)  # fmt: skip
ONE_AT_A_TIME = belief(
    "test_jobs", "one-job-per-resource",
    "One backup or copy job of a resource runs at a time, the next waits in CREATED",
    "aws.md C4, C6",
)  # fmt: skip
LISTED = belief(
    "test_jobs", "jobs-listed",
    "Jobs are listed newest first, with filters by state, resource, vault, type, account and time; ListBackupJobs goes "
    "back 30 days",
    "aws.md C4; botocore's service model backup",
)  # fmt: skip
OTHERS_30_DAYS = belief(
    "test_jobs", "other-jobs-listed-30-days",
    "ListCopyJobs and ListRestoreJobs go back 30 days too",
    "aws.md C4 (of backup jobs)", confirmed=False,
)  # fmt: skip
OWN_JOBS = belief(
    "test_jobs", "jobs-of-the-own-account",
    "A job is described and listed in the account and Region that started it, nowhere else",
    "aws.md C4 (copies are not known to be visible in the destination)", confirmed=False,
)  # fmt: skip

_TOKEN = re.compile(r"[a-zA-Z0-9\-_.]{1,50}")
LISTED_SECONDS = 30 * DAY_SECONDS
AnyJob = TypeVar("AnyJob", bound=Job)


def once(context: Context, params: Shape, make: Callable[[], AnyJob]) -> AnyJob:
    """The job of the request's IdempotencyToken, made unless there is one.

    A refusal after the token was taken is given again as well (aws.md C4).
    """
    token = params.get("IdempotencyToken")
    if not token:
        return make()
    if not _TOKEN.fullmatch(token):
        raise invalid_parameter(TOKEN_FORM, "IdempotencyToken must contain 1 to 50 alphanumeric or '-_.' characters.")
    place = (here(context), context.operation, token)
    tokens = backups(context).tokens
    known = tokens.get(place)
    if isinstance(known, AwsError):
        raise known
    if known is None:
        known = tokens[place] = make()
    return known  # type: ignore[return-value]


def note(job: Job, kind: Literal["backup", "copy", "restore"], resource: str) -> None:
    """Add a job that starts to the world's request log."""
    where = job.context
    where.world.request_log.add_job(StartedJob(job.created_at, kind, where.account_id, where.region, resource, job.id))


def spend(context: Context, params: Shape, refusal: AwsError) -> AwsError:
    """Answer the request's token with ``refusal`` from now on; returns it, to be raised."""
    if token := params.get("IdempotencyToken"):
        backups(context).tokens[here(context), context.operation, token] = refusal
    return refusal


def planned(context: Context, operation: str, params: Shape) -> Fault | None:
    """The failure planned for this job."""
    return context.world.faults.take("job_failure", f"backup.{operation}", params, context.account_id)


def end(job: Job, state: str, message: str = "") -> None:
    """End the job, and start the next one of its resource."""
    job.state, job.message, job.completed_at = state, message, job.context.world.clock.now()
    waiting = [rival for rival in _rivals(job) if rival.waiting is not None and not rival.ended]
    if waiting:
        first = min(waiting, key=lambda rival: rival.created_at)
        assert first.waiting is not None
        job.context.world.schedule(0, first.waiting)


def take_turn(job: BackupJob | CopyJob, run: Callable[[], None]) -> None:
    """``run`` the job, now or when no other backup or copy of its resource runs any more.

    A planned failure with the state CREATED makes it wait forever.
    """
    stuck = job.planned is not None and job.planned.values.get("state") == "CREATED"
    if job.ended or stuck:
        return
    if any(rival.running for rival in _rivals(job)):
        job.waiting = lambda: take_turn(job, run)
        return
    job.waiting = None
    run()


def _rivals(job: Job) -> list[BackupJob | CopyJob]:
    registry = registry_of(job.context.world)
    if not isinstance(job, BackupJob | CopyJob):
        return []
    others: list[BackupJob | CopyJob] = [*registry.backups, *registry.copies]
    return [
        other
        for other in others
        if other is not job and (other.place, other.resource_arn) == (job.place, job.resource_arn)
    ]


def fail_as_planned(job: Job) -> bool:
    """Whether a planned failure ended the job; its ``values`` may name the state to end in."""
    fault = job.planned
    if fault is None:
        return False
    end(job, fault.values.get("state", "FAILED"), fault.message or "An internal error occurred.")
    return True


def share_done(job: Job, seconds: float) -> float:
    """How much of the job is done by now, from 0 to 1; ``seconds`` is what it takes in all."""
    if job.state in ("COMPLETED", "PARTIAL"):
        return 1.0
    if job.started_at is None or job.state not in ("RUNNING", "ABORTING"):
        return 0.0
    passed = job.context.world.clock.now() - job.started_at
    return min(0.99, passed / seconds) if seconds else 0.99


def find(context: Context, jobs: Iterable[AnyJob], job_id: str) -> AnyJob:
    """The caller's job of that id, or ResourceNotFoundException."""
    job = next((each for each in jobs if each.id == job_id and each.place == here(context)), None)
    if job is None:
        raise not_found(OWN_JOBS, f"Job {job_id} does not exist.")
    return job


def listing(
    context: Context,
    member: str,
    jobs: Iterable[AnyJob],
    params: Shape,
    shape: Callable[[AnyJob], Shape],
    filters: Iterable[tuple[str, str]],
) -> Shape:
    """The page of the caller's jobs that ``params`` ask for; ``filters`` pair parameters with members of the shape."""
    oldest = context.world.clock.now() - LISTED_SECONDS
    mine = [job for job in jobs if job.place == here(context) and job.created_at >= oldest and _in_time(job, params)]
    mine.sort(key=lambda job: (job.created_at, job.id), reverse=True)
    shown = [shape(job) for job in mine]
    for parameter, name in filters:
        if (value := params.get(parameter)) is not None:
            shown = [each for each in shown if each.get(name) == value]
    if (account := params.get("ByAccountId")) not in (None, "*", context.account_id):
        shown = [each for each in shown if each["AccountId"] == account]
    if params.get("ByResourceType") not in (None, "DynamoDB") or params.get("ByParentJobId"):
        shown = []
    return vaults.listing(member, shown, params)


def _in_time(job: Job, params: Shape) -> bool:
    done = job.completed_at
    return (
        params.get("ByCreatedAfter", -math.inf) < job.created_at < params.get("ByCreatedBefore", math.inf)
        and ("ByCompleteAfter" not in params or (done is not None and done > params["ByCompleteAfter"]))
        and ("ByCompleteBefore" not in params or (done is not None and done < params["ByCompleteBefore"]))
    )


def minutes(world: World, number: float) -> float:
    """Seconds that ``minutes`` of a window last in this world."""
    return number * world.timings.seconds("backup.minute")
