# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the Spark job that need the package's libraries: what is left to do, and one task's share of it.

A run takes up only files without a result, so that one which was killed goes on, and one after the end does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import InvalidInput, TableVanished
from ..core.items.answers import KeyReader
from ..core.items.carried import CARRIED
from ..core.items.client import Client, Endpoint
from ..core.items.exported import ExportedFile
from ..core.items.lanes import Lanes
from ..core.items.tables import carried_between, find_table
from ..core.items.throttle import Rate, Throttle
from ..core.items.write import Writer
from .files import FileResult, FilesTask
from .plan import JobPlan, shares
from .storage import Bucket

WRITES_AT_ONCE = 128  # requests of a task under way; a slot writes 100,000 items/s with fewer (spark.md 1)


@dataclass(frozen=True)
class Work:
    """What a run has to do: its plan, and the shares of its tasks; none where all is done."""

    plan: JobPlan
    tasks: tuple[tuple[ExportedFile, ...], ...]

    def messages(self) -> list[bytes]:
        """One message for each task; ``write_share`` takes them."""
        return [share_of(self.plan, task, len(self.tasks)) for task in self.tasks]


def begin(uri: str, run: str, slots: int) -> Work:
    """Read the plan at ``uri``, note that the run began, and share what is left to do among ``slots``.

    Raises InvalidInput for a plan that is not this run's, and ServiceError.
    """
    where = urlsplit(uri)
    key = where.path.lstrip("/")
    plan = JobPlan.from_json(_bucket(where.netloc).read(key))
    if plan.run != run:
        raise InvalidInput(f"The plan at {key} is of the run {plan.run}, not of {run}.", "Start the job anew.")
    storage = bucket_of(plan)
    storage.write(plan.started_key, json.dumps({"run": run, "plan": key}).encode())
    done = storage.keys(plan.results_prefix)
    todo = [file for file in plan.files if plan.result_key(file) not in done]
    return Work(plan, tuple(tuple(share) for share in shares(todo, slots)))


def share_of(plan: JobPlan, files: Sequence[ExportedFile], tasks: int) -> bytes:
    """The plan of one of ``tasks``: only its ``files``, and its part of the rate."""
    return replace(plan, files=tuple(files), rate=plan.rate / tasks).to_json()


def write_share(message: bytes) -> None:
    """Write one task's files, each with its result object.

    Raises TableVanished where another table has taken the name, and what FilesTask.run does.
    """
    plan = JobPlan.from_json(message)
    storage = bucket_of(plan)
    endpoint = _endpoint(plan)
    table = find_table(endpoint, plan.table)
    if table.table_id != plan.table_id:
        raise TableVanished(
            f"The table is another one now ({table.table_id}, not {plan.table_id}).",
            "Find out who made it. Nothing is written into it.",
            table=plan.table,
        )
    throttle = Throttle(Rate(plan.rate)) if plan.rate else None
    lanes, client = Lanes(), Client(endpoint)
    writer = Writer(lanes, client, table, WRITES_AT_ONCE, throttle)
    results = {file.key: plan.result_key(file) for file in plan.files}

    def done(result: FileResult) -> None:
        storage.write(results[result.key], json.dumps(result.to_json()).encode())

    keys = KeyReader(plan.definition.source.table.attributes)
    carried = carried_between(table, table, CARRIED)
    task = FilesTask(
        lanes, writer, plan.transform(), keys, carried, lambda file: storage.stream(file.key), done, throttle
    )
    try:
        task.run(plan.files)
    finally:
        lanes.close()
        client.close()


def bucket_of(plan: JobPlan) -> Bucket:
    """The plan's staging bucket."""
    return _bucket(plan.bucket, plan.bucket_owner, plan.region, plan.s3_url, plan.key_arn)


def _bucket(name: str, owner: str = "", region: str = "", url: str = "", key_arn: str = "") -> Bucket:
    client = _session().create_client("s3", region_name=region or None, endpoint_url=url or None)
    return Bucket(client, name, owner, key_arn)


def _endpoint(plan: JobPlan) -> Endpoint:
    session = _session()

    def credentials() -> _Keys:
        return _Keys(session.get_credentials().get_frozen_credentials())

    return Endpoint(plan.dynamodb_url, plan.region, credentials, "destination")


class _Keys:
    """Keys as requests are signed with."""

    def __init__(self, frozen: Any) -> None:
        self.access_key: str = frozen.access_key
        self.secret_key: str = frozen.secret_key
        self.session_token: str = frozen.token or ""


def _session() -> Any:
    """A botocore session, with the credentials of the job's role as the engine gives them."""
    import botocore.session

    return botocore.session.Session()
