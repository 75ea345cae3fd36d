# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Runs of ours that no record knows, because it was lost or came back older (design section 6, "Lost or old record").

They are found by an object that is written beside the plan before a run is asked for. It says where the run is, and
which export it reads: AWS's lists do not, and may lack the run's arguments.
"""

from __future__ import annotations

import json
from collections.abc import Collection
from dataclasses import replace
from datetime import UTC, datetime
from functools import partial
from typing import Any

from ....spark.plan import JobPlan
from ... import sdk
from ...account import Account
from ...errors import JobTimeout, StagingBucketUnusable
from ...exports.export_request import PURPOSE as EXPORT
from ...exports.memory import KEPT as OF_EXPORT
from ...exports.staging import StagingBucket
from ...jobs.job import Job
from ...jobs.tracking import Tracking
from ...record.lease import iso
from ...record.record import FILL, WRITE
from ...route import Route
from ...table.definition import TableDefinition
from .engine import Request
from .engines import ENGINES, KIND, described
from .planning import work_folder
from .results import started_run

_NAME = "/intended.json"
_FOUND, _RUN = "found", "lost_run"  # in the request of the job that stands for the table's making
_CREATE = "create_table"


def intended_key(plan_key: str) -> str:
    """The object beside that of the plan."""
    return f"{plan_key.rpartition('/')[0]}{_NAME}"


def note_intended(bucket: StagingBucket, plan_key: str, job: Job, asked_at: float) -> None:
    """Write down that the run of a plan is about to be asked for, as ``job``, whose request has its export too."""
    bucket.put(intended_key(plan_key), json.dumps({**job.to_dict(), "asked_at": asked_at}).encode())


def running_run(
    destination: Account, bucket: StagingBucket, route: Route, there: TableDefinition, engines: Collection[str]
) -> Job | None:
    """The run on one of ``engines`` that goes on and writes into the table ``there`` for the ``route``, as a job that
    makes the table: ``adopt_run`` writes into its record what it is. None without one.

    Raises JobTimeout while it is not known whether AWS has begun one.
    """
    try:
        keys = [each.key for each in bucket.objects(work_folder(destination, there)) if each.key.endswith(_NAME)]
    except StagingBucketUnusable:  # gone, or may not be listed: then nothing is found
        return None
    for key in keys:
        values = _read(bucket, key)
        if values is None:
            continue
        job = Job.from_dict(values)
        about = job.request["export"].get("request", {}).get("source", {})
        request = Request.from_dict(job.request["run"])
        if (
            job.migration_id != route.migration_id
            or str(about.get("table_arn", "")).split(":")[3:] != route.source_arn.split(":")[3:]
            or request.engine not in engines
        ):
            continue
        plan = _plan(bucket, job, request)
        found = _running(destination, bucket, job, request, plan, float(values["asked_at"])) if plan else None
        if found is not None:
            call = {"call": {"ClientToken": f"{_RUN} {request.run}"}, "source": about, _FOUND: found.to_dict()}
            return Job(_CREATE, route.destination_table, "running", request=call, migration_id=route.migration_id)
    return None


def adopt_run(record: Tracking) -> None:
    """Where the ``record`` was begun with what ``running_run`` found: it has the run and its export, and the table is
    being filled. Of writes that did not all pass, the next run makes those that are missing."""
    making = record.latest(FILL)
    if making is None or making.state != "running" or _FOUND not in making.request:
        return
    run = Job.from_dict(making.request[_FOUND])
    export = Job.from_dict(run.request["export"])
    token = str(run.request["run"]["run"])
    if record.latest(EXPORT) is None:
        record.adopt(export, EXPORT)
    record.ended(replace(export, state="completed"), OF_EXPORT)
    if record.latest(WRITE) is None:
        kept = {name: value for name, value in run.request.items() if name != "export"}
        record.adopt(replace(run, request=kept), WRITE, token)
    record.made(making, making.request["call"]["ClientToken"], str(run.result["table_id"]))


def running_alike(destination: Account, bucket: StagingBucket, plan: JobPlan, known: Collection[str]) -> Job | None:
    """The run that goes on and does the work of ``plan``, a look or objects, with its export for its table, and is none
    of those whose tokens are ``known``: its record was lost. It may be by other steps. None without one.

    Raises JobTimeout while it is not known whether AWS has begun one.
    """
    for each in bucket.objects(f"{plan.prefix}runs/"):
        values = _read(bucket, each.key) if each.key.endswith(_NAME) else None
        if values is None:
            continue
        job = Job.from_dict(values)
        request = Request.from_dict(job.request["run"])
        own = _plan(bucket, job, request) if request.run not in known else None
        if own is None or own.work != plan.work:
            continue
        found = _running(destination, bucket, job, request, own, float(values["asked_at"]))
        if found is not None:
            return found
    return None


def _plan(bucket: StagingBucket, job: Job, request: Request) -> JobPlan | None:
    """The plan of the run, None of one that has ended: its plan was removed."""
    try:
        return replace(JobPlan.from_json(bucket.read(job.request["plan"])), run=request.run)
    except StagingBucketUnusable:
        return None


def _running(
    destination: Account, bucket: StagingBucket, job: Job, request: Request, plan: JobPlan, asked_at: float
) -> Job | None:
    engine = ENGINES[request.engine]
    try:
        since, started = datetime.fromtimestamp(asked_at, UTC), partial(started_run, bucket, plan)
        found = engine.find(destination, request, since, started)
        if found.id:
            going = described(destination, request, found.id, listed=True).state == "running"
            return replace(job, state="running", arn=found.id, result={"table_id": plan.table_id}) if going else None
    except (sdk.ClientError, sdk.BotoCoreError) as error:
        raise destination.explain(error, f"looking for the {engine.noun}", job.name) from error
    until = asked_at + engine.window.closes_after_asked
    if found.unclear or destination.now().timestamp() < until:
        raise JobTimeout(
            f"No record knows whether AWS has begun a {engine.noun} for the table {job.name}, which was asked for.",
            f"Run again after {iso(until)}.",
            table=job.name,
        )
    return None


def _read(bucket: StagingBucket, key: str) -> dict[str, Any] | None:
    """The object, None for one that is not what was written there."""
    try:
        values: dict[str, Any] = json.loads(bucket.find(key) or b"{}")
    except ValueError:
        return None
    return values if {"request", "asked_at"} <= set(values) and values.get("kind") == KIND else None
