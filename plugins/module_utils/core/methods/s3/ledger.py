# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was started, kept in the staging bucket, so that a killed run loses nothing (design section 11).

Before a job is started, the job with its exact request is written; once it runs, its ARN is added; when it ends, its
result. A later run reads the newest entry of a purpose and continues from there. The objects are jobs as JSON.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ...errors import ImportLocked, InvalidInput, StagingBucketUnusable
from ...jobs.job import Job
from ...route import Route
from .staging import ConditionFailed, StagingBucket

VERSION = 1

_ENTRY = re.compile(r"(?P<purpose>[a-z0-9-]+)-(?P<attempt>\d+)\.json")


@dataclass(frozen=True)
class Lock:
    """Who reserved a destination's name, since when, and the object's ETag."""

    route: Route
    tag: str
    written: datetime


class Ledger:
    """The ledger of one table's route, and the lock on its destination name."""

    def __init__(self, bucket: StagingBucket, route: Route) -> None:
        self.bucket = bucket
        self.route = route

    def latest(self, *purposes: str) -> dict[str, Job]:
        """The newest entry of each purpose, or of these: one listing and one read per purpose.

        Raises StagingBucketUnusable (also for an entry that cannot be read: ignoring it would forget a started job),
        InvalidInput when the entries are about another destination.
        """
        newest: dict[str, int] = {}
        for stored in self.bucket.objects(self.route.ledger_prefix):
            match = _ENTRY.fullmatch(stored.key.removeprefix(self.route.ledger_prefix))
            if match and (not purposes or match["purpose"] in purposes):
                newest[match["purpose"]] = max(int(match["attempt"]), newest.get(match["purpose"], 0))
        return {purpose: self._read(self.key(purpose, attempt)) for purpose, attempt in newest.items()}

    def keys(self) -> list[str]:
        """The keys of all entries."""
        return [stored.key for stored in self.bucket.objects(self.route.ledger_prefix)]

    def key(self, purpose: str, attempt: int) -> str:
        """The key of one entry."""
        return f"{self.route.ledger_prefix}{purpose}-{attempt}.json"

    def write(self, job: Job) -> None:
        """Write ``job`` under its purpose and attempt. Raises StagingBucketUnusable, FerryError."""
        body = {"version": VERSION, **job.to_dict()}
        self.bucket.put(self.key(job.request["purpose"], job.attempt), _to_json(body))

    def lock(self, job: Job) -> None:
        """Reserve the destination's name for ``job``. A lock of the same route may be taken again.

        Raises ImportLocked with the holder in ``details`` when another route holds it.
        """
        try:
            self.bucket.put(self.route.lock_key, self._lock_body(), if_absent=True)
        except ConditionFailed:
            held = self.holder()
            if held is not None and held.route != self.route:
                route = held.route
                raise ImportLocked(
                    f"An import into {route.destination_table} of {route.source_account_id}/{route.source_table}"
                    f" (migration {route.migration_id}) holds s3://{self.bucket.name}/{route.lock_key}.",
                    "Wait for that import, run cleanup for it, or choose another destination_table.",
                    table=job.name,
                    details={"holder": route.to_dict()},
                ) from None

    def take_over(self, tag: str) -> None:
        """Replace a stale lock, seen with ETag ``tag``. Raises ConditionFailed when another run was faster."""
        self.bucket.put(self.route.lock_key, self._lock_body(), if_tag=tag)

    def _lock_body(self) -> bytes:
        return _to_json({"version": VERSION, "route": self.route.to_dict()})

    def holder(self) -> Lock | None:
        """Who holds the lock; None when the name is not locked."""
        stored = self.bucket.find_with_tag(self.route.lock_key)
        if stored is None:
            return None
        body, tag, written = stored
        try:
            return Lock(Route.from_dict(json.loads(body)["route"]), tag, written)
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(self.route.lock_key) from error

    def _read(self, key: str) -> Job:
        try:
            job = Job.from_dict(json.loads(self.bucket.read(key)))
            route = Route.from_dict(job.request["route"])
        except (ValueError, KeyError, TypeError) as error:
            raise self._unreadable(key) from error
        if route != self.route:
            raise InvalidInput(
                f"The ledger s3://{self.bucket.name}/{key} is about another destination"
                f" ({route.destination_account_id}/{route.destination_region}/{route.destination_table}).",
                "Set another migration_id for this migration.",
                table=self.route.source_table,
            )
        return job

    def _unreadable(self, key: str) -> StagingBucketUnusable:
        return StagingBucketUnusable(
            f"s3://{self.bucket.name}/{key} was not written by TableFerry, or was changed.",
            "Find out which job it describes, then delete the object and run again.",
            table=self.route.source_table,
        )


def ledger_of(job: Job, bucket: StagingBucket) -> Ledger:
    """The ledger that ``job`` belongs to, in ``bucket``."""
    return Ledger(bucket, Route.from_dict(job.request["route"]))


def _to_json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, indent=1, sort_keys=True).encode()
