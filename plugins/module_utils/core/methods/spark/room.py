# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Room for a run: what it takes of what an account may have at a time, and what to say while AWS has none for it.

A run that can never have its workers is refused, where that can be known before the export is billed; all others wait.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace

from ...account import Account
from ...errors import AccessDenied, JobTimeout, QuotaTooSmall
from ...jobs.job import AWS_WAITS, LACK, Job
from ...judgement import not_ended
from ...record.lease import iso
from ...table.quotas import allowed_by
from ..options import SparkChoices
from .emr_serverless import DRIVER_CORES, EXECUTOR_CORES, EmrServerless
from .glue import WORKER_TYPE, Glue
from .planning import SparkOptions

LEAST_VCPUS = 16  # at a time in a Region, unless the account's quota was raised (EMR Serverless user guide, quotas)
_VCPUS_QUOTA = ("emr-serverless", "L-D05C8A75")  # Max concurrent vCPUs per account


@dataclass(frozen=True)
class Room:
    """What a run takes, in words, and what to do where there is not enough of it."""

    needs: str
    ways: str


def room_of(engine: str, choices: SparkChoices) -> Room:
    """What a run of ``choices`` takes on the ``engine``. A cluster is the user's, or has its own quotas."""
    if engine == EmrServerless.name:
        return Room(
            f"{vcpus(choices)} vCPUs for {choices.workers} workers",
            "set fewer workers in spark, or have the quota 'Max concurrent vCPUs per account' of EMR Serverless raised"
            " in Service Quotas",
        )
    if engine == Glue.name:
        return Room(
            f"{choices.workers} workers of type {choices.worker_type or WORKER_TYPE}",
            "set fewer workers, or a smaller worker_type, in spark, or have the quotas 'Max task DPUs per account' and"
            " 'Max concurrent job runs per account' of AWS Glue raised in Service Quotas",
        )
    return Room(f"{choices.workers} machines", "set fewer workers in spark")


def vcpus(choices: SparkChoices) -> int:
    """The vCPUs of all workers of a run on EMR Serverless: of its driver, and of at least one executor."""
    return DRIVER_CORES + EXECUTOR_CORES * max(1, choices.workers - 1)


def require_room(account: Account, engine: str, choices: SparkChoices, table: str) -> None:
    """Raises QuotaTooSmall where a run of ``choices`` on the ``engine`` can never have its workers in ``account``: the
    application may not have as many, or the account. What may not be read is not held against the table. Raises what
    Account.explain gives for an application that is not there."""
    if engine != EmrServerless.name:
        return
    if choices.application_id:
        _require_application(account, choices, table)
    if vcpus(choices) > LEAST_VCPUS:
        require_quota(account, engine, choices, table)


def require_quota(account: Account, engine: str, choices: SparkChoices, table: str) -> None:
    """Raises QuotaTooSmall where a run of ``choices`` needs more than AWS lets the ``account`` have. To be asked where
    AWS has just refused one for lack of capacity, and where it needs more than what every account may have."""
    if engine != EmrServerless.name:
        return
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
    id_ = choices.application_id
    try:
        answer = account.ask(
            "emr-serverless", "get_application", f"looking at the application {id_}", table, applicationId=id_
        )
    except AccessDenied:
        return
    maximum = re.match(r"[0-9]+", (answer["application"].get("maximumCapacity") or {}).get("cpu", ""))  # "8 vCPU"
    if maximum is not None and vcpus(choices) > int(maximum[0]):
        raise QuotaTooSmall(
            f"The Spark job needs {room_of(EmrServerless.name, choices).needs}, and the application {id_} of EMR"
            f" Serverless may have {maximum[0]} at a time (its maximumCapacity).",
            "Set fewer workers in spark, or raise the maximumCapacity of the application; then run again.",
            table=table,
            details={"quota": "maximumCapacity", "needed": vcpus(choices), "allowed": int(maximum[0])},
        )


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
    lack, waits = job.result.get(LACK), job.result.get(AWS_WAITS)
    if not lack and not waits:
        return error
    options = SparkOptions.from_dict(job.request["options"])
    room = room_of(options.engine, options.choices)
    why = f" AWS says {waits}: it has not its workers yet." if waits else ""
    if lack:
        when = f"since {lack['since']}, last at {lack['last']}"
        why += f" AWS has refused it for lack of capacity {when}: {lack['message']}."
    return JobTimeout(
        f"{error.cause}{why} It needs {room.needs}.",
        f"If others use what the account may have, wait until they have ended; else {room.ways}. {error.next_step}",
        table=error.table,
        details=error.details,
    )
