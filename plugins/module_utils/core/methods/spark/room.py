# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room for a run: what it takes of what an account may have at a time, and what to say while AWS has none for it.

A run that can never have its workers is refused, where that can be known before the export is billed; all others wait:
for AWS, or for runs of the same waiter. EMR Serverless begins a driver wherever there is room for that alone, and too
many drivers would leave no executor for any of them.
"""

from __future__ import annotations

import re
from collections.abc import Generator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ...account import Account
from ...errors import AccessDenied, InvalidInput, JobTimeout, QuotaTooSmall
from ...jobs.job import AWS_WAITS, LACK, Job
from ...jobs.kind import Pause
from ...judgement import not_ended
from ...record.lease import iso
from ...table.quotas import allowed_by
from ..options import SparkChoices
from .emr_cluster import EmrStep
from .emr_serverless import DRIVER, EXECUTOR, EmrServerless
from .followed_runs import FollowedRuns
from .glue import WORKER_TYPE, Glue
from .planning import SparkOptions

LEAST_VCPUS = 16  # at a time in a Region, unless the account's quota was raised (EMR Serverless user guide, quotas)
_VCPUS_QUOTA = ("emr-serverless", "L-D05C8A75")  # Max concurrent vCPUs per account
_PARTS: Mapping[str, str] = {"cpu": "vCPUs", "memory": "GB of memory", "disk": "GB of disk"}  # of a maximumCapacity
IN_LINE = "in_line"  # in the result of a job that waits for others of its waiter: what they have


@dataclass(frozen=True)
class Room:
    """What a run takes, in words, and what to do where there is not enough of it."""

    needs: str
    ways: str


def room_of(engine: str, choices: SparkChoices) -> Room:
    """What a run of ``choices`` takes on the ``engine``. A cluster is the user's, or has its own quotas."""
    if engine == EmrServerless.name:
        application = f", raise the maximumCapacity of {choices.application_id}" if choices.application_id else ""
        return Room(
            f"{vcpus(choices)} vCPUs for {choices.workers} workers",
            f"set fewer workers in spark{application}, or have the quota 'Max concurrent vCPUs per account' of EMR"
            " Serverless raised in Service Quotas",
        )
    if engine == Glue.name:
        return Room(
            f"{choices.workers} workers of type {choices.worker_type or WORKER_TYPE}",
            "set fewer workers, or a smaller worker_type, in spark, or have the quotas 'Max task DPUs per account' and"
            " 'Max concurrent job runs per account' of AWS Glue raised in Service Quotas",
        )
    return Room(f"{choices.workers} machines", "set fewer workers in spark")


def vcpus(choices: SparkChoices) -> int:
    """The vCPUs of all workers of a run on EMR Serverless."""
    return needed_by(choices)["cpu"]


def needed_by(choices: SparkChoices) -> Mapping[str, int]:
    """What a run on EMR Serverless takes of its application: vCPUs, and GB of memory and of disk, of its driver and at
    least one executor."""
    executors = max(1, choices.workers - 1)
    return {part: DRIVER[part] + EXECUTOR[part] * executors for part in _PARTS}


def require_room(account: Account, engine: str, choices: SparkChoices, table: str) -> None:
    """Raises QuotaTooSmall where a run of ``choices`` on the ``engine`` can never have its workers in ``account``: the
    application may not have as many, or the account. Raises InvalidInput for a release that the user's application, or
    cluster, does not have. What may not be read is not held against the table. Raises what Account.explain gives for an
    application that is not there."""
    if engine == EmrStep.name and choices.release:
        release = _release_of_cluster(account, choices.cluster_id, table)
        _require_release(f"cluster {choices.cluster_id} of EMR", release, choices, table)
    if engine != EmrServerless.name:
        return
    if choices.application_id:
        _require_application(account, choices, table)
    if vcpus(choices) > LEAST_VCPUS:
        _require_quota(account, engine, choices, table)


def require_ever(account: Account, engine: str, choices: SparkChoices, table: str) -> None:
    """As ``require_room``, and asks for the account's quota however little the run needs: for one that AWS has just
    refused for lack of capacity."""
    require_room(account, engine, choices, table)
    if engine == EmrServerless.name and vcpus(choices) <= LEAST_VCPUS:
        _require_quota(account, engine, choices, table)


def _require_quota(account: Account, engine: str, choices: SparkChoices, table: str) -> None:
    needed, most = vcpus(choices), allowed_by(account, *_VCPUS_QUOTA)
    if most is not None and needed > most:
        raise QuotaTooSmall(
            f"The Spark job needs {room_of(engine, choices).needs}, and account {account.account_id} may have {most} at"
            f" a time on EMR Serverless in {account.region}.",
            "Set fewer workers in spark, or have the quota 'Max concurrent vCPUs per account' of EMR Serverless raised"
            " in Service Quotas; then run again.",
            table=table,
            details={"quota": "vCPUs of EMR Serverless", "needed": needed, "allowed": most},
        )


def _require_application(account: Account, choices: SparkChoices, table: str) -> None:
    id_, needed = choices.application_id, needed_by(choices)
    application = _application(account, id_, table)
    _require_release(f"application {id_} of EMR Serverless", application.get("releaseLabel"), choices, table)
    for part, most in _maximum(application).items():
        if needed[part] > most:
            raise QuotaTooSmall(
                f"The Spark job needs {needed[part]} {_PARTS[part]} for {choices.workers} workers, and the application"
                f" {id_} of EMR Serverless may have {most} at a time (its maximumCapacity).",
                "Set fewer workers in spark, or raise the maximumCapacity of the application; then run again.",
                table=table,
                details={"quota": "maximumCapacity", "needed": needed[part], "allowed": most},
            )


def _require_release(place: str, release: str | None, choices: SparkChoices, table: str) -> None:
    """Raises InvalidInput where the ``release`` of the user's ``place`` is known, and ``choices`` name another one: the
    job would ask for a Python that the place does not have."""
    if choices.release and release and choices.release != release:
        raise InvalidInput(
            f"release of spark is {choices.release}, and the {place} has {release}.",
            "Leave release out, or name one that has that release; then run again.",
            table=table,
        )


def _application(account: Account, id_: str, table: str) -> Mapping[str, Any]:
    """The application as AWS describes it; nothing where it may not be read. Raises what Account.explain gives for one
    that is not there."""
    doing = f"looking at the application {id_}"
    try:
        answer = account.ask("emr-serverless", "get_application", doing, table, applicationId=id_)
    except AccessDenied:
        return {}
    application: Mapping[str, Any] = answer["application"]
    return application


def _release_of_cluster(account: Account, id_: str, table: str) -> str:
    """The release of a cluster; "" where it may not be read. Raises as ``_application``."""
    try:
        answer = account.ask("emr", "describe_cluster", f"looking at the cluster {id_}", table, ClusterId=id_)
    except AccessDenied:
        return ""
    return str(answer["Cluster"].get("ReleaseLabel") or "")


def _maximum(application: Mapping[str, Any]) -> dict[str, int]:
    """How much an ``application`` may have at a time of the parts that it has a maximum for."""
    maximum: Mapping[str, str] = application.get("maximumCapacity") or {}
    found = {part: re.match(r"[0-9]+", maximum.get(part, "")) for part in _PARTS}  # "8 vCPU"
    return {part: int(size[0]) for part, size in found.items() if size is not None}


def place_of(account: Account, choices: SparkChoices) -> str:
    """Where runs share what AWS lets them have: the user's application, else the account's Region."""
    return choices.application_id or f"{account.account_id} {account.region}"


def in_line(
    job: Job, account: Account, options: SparkOptions, runs: FollowedRuns, arn: str
) -> Generator[Pause, str | None, None]:
    """Pauses until the run of ``job``, into the table ``arn``, has room beside the other ``runs`` of its waiter. AWS is
    not asked for the quota while all of them fit what every account may have. Raises as ``require_room``."""
    choices = options.choices
    if options.engine != EmrServerless.name:
        return
    place, needs, most = place_of(account, choices), needed_by(choices), {"cpu": LEAST_VCPUS}
    if choices.application_id:
        most = _maximum(_application(account, choices.application_id, options.table))
    elif not runs.take(place, arn, needs, most):
        allowed = allowed_by(account, *_VCPUS_QUOTA)
        most = {} if allowed is None else {"cpu": allowed}
    parts = ", ".join(f"{size} {_PARTS[part]}" for part, size in most.items())
    why = f"Other tables of this run have what their application, or the account, may have at a time: {parts}."
    waiting = replace(job, state="pending", pending_reason="slot", result={**job.result, IN_LINE: why})
    while not runs.take(place, arn, needs, most):
        yield Pause(waiting, "slot")


def lacking(job: Job, options: SparkOptions, message: str, now: float) -> Job:
    """``job`` in line again, as AWS had no room for its run at ``now``, in epoch seconds; ``message`` is AWS's."""
    since = (job.result.get(LACK) or {}).get("since", iso(now))
    needs = room_of(options.engine, options.choices).needs
    lack = {"since": since, "last": iso(now), "message": message.rstrip("."), "needs": needs}
    return replace(job, state="pending", pending_reason="slot", arn="", result={**job.result, LACK: lack})


def unfinished(job: Job) -> JobTimeout:
    """The error for a ``job`` that is still open: where AWS had no room for its run, or has not yet given it its
    workers, also how much it needs."""
    error = not_ended(job, {"arn": job.arn})
    lack, waits, others = job.result.get(LACK), job.result.get(AWS_WAITS), job.result.get(IN_LINE)
    if not lack and not waits and not others:
        return error
    options = SparkOptions.from_dict(job.request["options"])
    room = room_of(options.engine, options.choices)
    why = f" AWS says {waits}: it has not its workers yet." if waits else ""
    why += f" {others}" if others else ""
    if lack:
        when = f"since {lack['since']}, last at {lack['last']}"
        why += f" AWS has refused it for lack of capacity {when}: {lack['message']}."
    return JobTimeout(
        f"{error.cause}{why} It needs {room.needs}.",
        f"If others use what the account may have, wait until they have ended; else {room.ways}. {error.next_step}",
        table=error.table,
        details=error.details,
    )
