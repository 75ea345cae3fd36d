# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was asked and what was started: every request that reached the lab, and every job that AWS would bill."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, NamedTuple

READING_PREFIXES = (
    "Describe", "List", "Get", "Head", "Query", "Scan", "BatchGet", "Assume", "TransactGet", "LookUp", "Lookup",
    "Search", "Filter", "Simulate",
)  # fmt: skip


def is_mutating(operation: str) -> bool:
    """Whether ``operation`` changes anything, by its name."""
    return not operation.startswith(READING_PREFIXES)


class Entry(NamedTuple):
    """One request. ``time`` is the world's epoch seconds, ``principal_arn`` empty where the signature was refused,
    ``signed`` the signature's date as it was sent (``20261130T010203Z``), empty where there is none."""

    time: float
    account: str
    region: str
    service: str
    operation: str
    mutating: bool
    principal_arn: str
    status: int
    error_code: str
    request_id: str
    signed: str

    @property
    def ok(self) -> bool:
        """Whether the request succeeded."""
        return self.status < 400


class StartedJob(NamedTuple):
    """A job that was started, by a request or by a backup plan; answering a known token starts none.

    ``kind`` is ``export``, ``import``, ``backup``, ``copy``, ``restore``, ``glue`` or ``emr``; ``resource`` the
    source's ARN (of an import the new table's, of a copy or restore the recovery point's, of a run of AWS Glue its
    job's, of EMR its application's or cluster's), ``id`` the job's id or ARN.
    """

    time: float
    kind: str
    account: str
    region: str
    resource: str
    id: str


class RequestLog:
    """The requests and jobs so far, in order. Safe to use from any thread; counting looks at no single entry."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: list[Entry] = []
        self._counts: Counter[tuple[str, str, str, str, bool, str, bool]] = Counter()
        self._jobs: list[StartedJob] = []

    def add(self, entry: Entry) -> None:
        """Add one request."""
        kind = (
            entry.account, entry.region, entry.service, entry.operation, entry.mutating, entry.error_code, entry.ok
        )  # fmt: skip
        with self._lock:
            self._entries.append(entry)
            self._counts[kind] += 1

    def count(
        self,
        operation: str = "",
        *,
        account: str = "",
        region: str = "",
        service: str = "",
        mutating: bool | None = None,
        error_code: str | None = None,
        ok: bool | None = None,
    ) -> int:
        """How many requests there were; ``operation`` is ``ImportTable`` or ``dynamodb.ImportTable``."""
        service, operation = _split(operation, service)
        filters = (account or None, region or None, service or None, operation or None, mutating, error_code, ok)
        with self._lock:
            kinds = list(self._counts.items())
        return sum(
            number
            for kind, number in kinds
            if all(chosen is None or chosen == value for chosen, value in zip(filters, kind, strict=True))
        )

    def calls(self, operation: str = "", **filters: Any) -> list[Entry]:
        """The requests with this operation and these members (``account``, ``status``, ``ok`` ...), in order."""
        service, operation = _split(operation, filters.pop("service", ""))
        filters |= {name: value for name, value in (("service", service), ("operation", operation)) if value}
        with self._lock:
            entries = list(self._entries)
        return [entry for entry in entries if all(getattr(entry, name) == value for name, value in filters.items())]

    def add_job(self, job: StartedJob) -> None:
        """Add a job."""
        with self._lock:
            self._jobs.append(job)

    def jobs(self, kind: str = "", **filters: Any) -> list[StartedJob]:
        """The jobs of a kind with these members (``account``, ``resource`` ...), in order."""
        filters |= {"kind": kind} if kind else {}
        with self._lock:
            jobs = list(self._jobs)
        return [job for job in jobs if all(getattr(job, name) == value for name, value in filters.items())]

    def mutating_calls(self, **filters: Any) -> list[Entry]:
        """The requests that changed something, or tried to."""
        return self.calls(mutating=True, **filters)

    def summary(self) -> list[dict[str, Any]]:
        """One row per kind of request, with its number."""
        names = ("account", "region", "service", "operation", "mutating", "error_code", "ok")
        with self._lock:
            kinds = sorted(self._counts.items())
        return [{**dict(zip(names, kind, strict=True)), "count": number} for kind, number in kinds]

    def clear(self) -> None:
        """Forget all requests and jobs."""
        with self._lock:
            self._entries.clear()
            self._counts.clear()
            self._jobs.clear()


def _split(operation: str, service: str) -> tuple[str, str]:
    before, dot, after = operation.partition(".")
    return (before, after) if dot else (service, operation)
