# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of the Spark job that need the package's libraries: what is left to do, and one task's share of it.

A run takes up only files without a result, so that one which was killed goes on, and one after the end does nothing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import urlsplit

from ..core.errors import FerryError, InvalidInput, TableVanished
from ..core.items import memory
from ..core.items.answers import KeyReader
from ..core.items.carried import CARRIED, EVERYTHING, Carried
from ..core.items.client import Client, Endpoint
from ..core.items.exported import ExportedFile
from ..core.items.lanes import Lanes
from ..core.items.tables import ItemTable, carried_between, find_table
from ..core.items.throttle import Rate, Throttle
from ..core.items.write import Writer
from .collisions import Collisions, Shared, collisions, digests_of, named, refusal
from .files import FileResult, FilesTask
from .objects import ObjectsTask
from .plan import JobPlan, shares
from .storage import Bucket

WRITES_AT_ONCE = 128  # requests of a task under way; a slot writes 100,000 items/s with fewer (spark.md 1)


@dataclass(frozen=True)
class Work:
    """What a run has to do: its plan, and the shares of its ``tasks``; none where all is done, or nothing is to be
    written. ``looks`` are the shares of the look for colliding keys that comes before; none where it is over, or steps
    keep keys apart."""

    plan: JobPlan
    tasks: tuple[tuple[ExportedFile, ...], ...]
    looks: tuple[tuple[ExportedFile, ...], ...] = ()

    def messages(self) -> list[bytes]:
        """One message for each task; ``write_share`` takes them."""
        return [share_of(self.plan, task, len(self.tasks)) for task in self.tasks]

    def looked_at(self) -> list[bytes]:
        """One message for each share of the look."""
        return [share_of(self.plan, task, len(self.looks)) for task in self.looks]

    @property
    def items(self) -> int:
        """How many items all files have."""
        return sum(file.items for file in self.plan.files)


def begin(uri: str, run: str, slots: int, engine_run: str = "") -> Work:
    """Read the plan at ``uri``, note that the run began, and share what is left to do among ``slots``. ``engine_run``
    is what the engine calls the run: by it the run is found where AWS does not list its arguments.

    Raises InvalidInput for a plan that is not this run's, InvalidTransform, CollidingKeys where an earlier look found
    some, and ServiceError.
    """
    where = urlsplit(uri)
    key = where.path.lstrip("/")
    plan = JobPlan.from_json(_bucket(where.netloc).read(key))
    if plan.run != run:
        raise InvalidInput(f"The plan at {key} is of the run {plan.run}, not of {run}.", "Start the job anew.")
    storage = bucket_of(plan)
    storage.write(plan.started_key, json.dumps({"run": run, "plan": key, "engine_run": engine_run}).encode())
    with _told(plan, storage):
        apart = plan.kept_apart or plan.transform().keys.apart
        done = storage.keys(plan.results_prefix)
        todo = plan.left(done | storage.keys(plan.objects) if plan.objects else done)
        if plan.work == "look":
            looks = [] if apart or plan.collisions_key in done else shares(plan.files, slots)
            return Work(plan, (), tuple(map(tuple, looks)))
        looks = []
        if plan.collisions_key in done:
            _require_apart(plan, Collisions.from_json(storage.read(plan.collisions_key)))
        elif todo and not apart:
            looks = shares(plan.files, slots)
        return Work(plan, tuple(map(tuple, shares(todo, slots))), tuple(map(tuple, looks)))


def looked(plan: JobPlan, found: Sequence[Shared], names: Iterable[tuple[bytes, Mapping[str, Any]]]) -> None:
    """Note what the look has found. Raises CollidingKeys for keys that collide and may not, where it was not all that
    the run was for: whoever asked for a look reads the note."""
    storage = bucket_of(plan)
    outcome = collisions(found, names)
    with _told(plan, storage):
        storage.write(plan.collisions_key, outcome.to_json())
        if plan.work == "write":
            _require_apart(plan, outcome)


def _require_apart(plan: JobPlan, found: Collisions) -> None:
    if found.lost and not plan.lose_colliding:
        raise refusal(plan, found)


@contextmanager
def _told(plan: JobPlan, storage: Bucket) -> Iterator[None]:
    """An error of ours is noted in the bucket: an engine tells of it no more than the end of a log."""
    try:
        yield
    except FerryError as error:
        with suppress(FerryError):
            storage.write(plan.failed_key, json.dumps(error.to_failure()).encode())
        raise


def share_of(plan: JobPlan, files: Sequence[ExportedFile], tasks: int) -> bytes:
    """The plan of one of ``tasks``: only its ``files``, and its part of the rate."""
    return replace(plan, files=tuple(files), rate=plan.rate / tasks).to_json()


def digest_share(message: bytes, places: int) -> Iterator[tuple[int, bytes]]:
    """What ``digests_of`` gives of one share's files."""
    plan = JobPlan.from_json(message)
    storage = bucket_of(plan)
    with _told(plan, storage):
        yield from digests_of(plan, storage, _carried(plan), places)


def name_share(message: bytes, digests: frozenset[bytes]) -> Iterator[tuple[bytes, dict[str, Any]]]:
    """What ``named`` gives of one share's files."""
    plan = JobPlan.from_json(message)
    yield from named(plan, bucket_of(plan), _carried(plan), digests)


def write_share(message: bytes) -> None:
    """Write one task's files, into the table or to objects, each with its result object.

    Raises TableVanished where another table has taken the name, and what FilesTask.run and ObjectsTask.run do.
    """
    plan = JobPlan.from_json(message)
    storage = bucket_of(plan)
    with _told(plan, storage):
        _write_share(plan, storage)


def _write_share(plan: JobPlan, storage: Bucket) -> None:
    results = {file.key: plan.result_key(file) for file in plan.files}

    def done(result: FileResult) -> None:
        storage.write(results[result.key], json.dumps(result.to_json()).encode())

    keys = KeyReader(plan.definition.source.table.attributes)
    if plan.objects:
        objects = ObjectsTask(
            storage, plan.transform(), keys, _carried(plan), lambda file: storage.stream(file.key), plan.object_key
        )
        objects.run(plan.files, done)
        return
    table = _made_table(plan)
    throttle = Throttle(Rate(plan.rate)) if plan.rate else None
    lanes, client = Lanes(), Client(table.endpoint)
    writer = Writer(lanes, client, table, WRITES_AT_ONCE, throttle)
    carried = carried_between(table, table, CARRIED)
    task = FilesTask(
        lanes, writer, plan.transform(), keys, carried, lambda file: storage.stream(file.key), done, throttle
    )
    try:
        with memory.for_items():
            task.run(plan.files)
    finally:
        lanes.close()
        client.close()


def _made_table(plan: JobPlan) -> ItemTable:
    """The plan's table. Raises TableVanished where another one has taken its name."""
    table = find_table(_endpoint(plan), plan.table)
    if table.table_id != plan.table_id:
        raise TableVanished(
            f"The table is another one now ({table.table_id}, not {plan.table_id}).",
            "Find out who made it. Nothing is written into it.",
            table=plan.table,
        )
    return table


def _carried(plan: JobPlan) -> Carried:
    """What travels of items: everything where keys need it. Raises TableVanished."""
    if plan.table_id:
        table = _made_table(plan)
        return carried_between(table, table, CARRIED)
    keys = [each.name for _index, schema in plan.transform().keys.destination for each in schema.attributes]
    return CARRIED if all(map(CARRIED.has, keys)) else EVERYTHING


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
