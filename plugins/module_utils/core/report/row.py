# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happened to one table, as data. Pure: values in, values out. ``docs/report.schema.json`` describes it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from ..steps.settings_job import KIND as SETTINGS

Row = dict[str, Any]

MOVED = ("migrated", "copied")  # the statuses of tables whose data is in the destination
DRIFT = ("drift", "drift_applied")  # of a settings job's result: of finished tables only
AS_TEXT = 1.5  # how much longer, at most, items are as text than AWS counts them, as plans take it too
_JOB = ("kind", "state", "arn")


@dataclass(frozen=True)
class TablePlace:
    """Where a table is. ``account_id`` and ``region`` are "" where nobody knows them."""

    table: str = ""
    account_id: str = ""
    region: str = ""

    @property
    def arn(self) -> str:
        """The table's ARN, "" where account or Region is not known. The partition is the Region's."""
        if not self.account_id or not self.region:
            return ""
        return f"arn:{partition_of(self.region)}:dynamodb:{self.region}:{self.account_id}:table/{self.table}"

    def to_dict(self) -> dict[str, str]:
        """As JSON-safe data."""
        return {"table": self.table, "account_id": self.account_id, "region": self.region, "arn": self.arn}


@dataclass(frozen=True)
class Way:
    """From where to where a table goes, under which migration id."""

    source: TablePlace = TablePlace()
    destination: TablePlace = TablePlace()
    migration_id: str = "default"


NO_WAY = Way()


def partition_of(region: str) -> str:
    """The partition of a ``region``: aws, aws-cn or aws-us-gov."""
    return {"cn": "aws-cn", "us-gov": "aws-us-gov"}.get(region.rpartition("-")[0].rpartition("-")[0], "aws")


def row(
    name: str,
    method: str,
    *,
    judgement: Mapping[str, Any] | None = None,
    jobs: Mapping[str, Mapping[str, Any]] | None = None,
    spans: Mapping[str, Sequence[str]] | None = None,
    failure: Mapping[str, Any] | None = None,
    way: Way = NO_WAY,
) -> Row:
    """The row of the table that the inventory calls ``name``.

    ``settings_drift`` is there where the settings of a finished table were looked at: in what they differ at the end of
    the run. ``settings_applied`` are those that this run has applied to a finished table.
    ``lacks`` are the sources, by ARN, whose items a table of several sources is yet to get, where there are any.
    ``judgement`` is migration_judge's result, ``jobs`` are the table's jobs by kind, as data and in their
    order, ``spans`` from when to when they were at work as the waiter saw it, ``failure`` the first failed result of
    the table: it decides, whatever came before it.
    """
    judged, jobs, seen = judgement or {}, jobs or {}, spans or {}
    settings = jobs.get(SETTINGS, {}).get("result", {})
    carried, left = (list(settings.get(part, ())) for part in ("settings_carried", "settings_left"))
    drift = {f"settings_{name.removeprefix('drift_')}": list(settings[name]) for name in DRIFT if name in settings}
    about = size_about(judged, jobs)
    if failure is not None:
        status = "refused" if failure.get("ferry_status") == "refused" else "failed"
        reason = str(failure.get("msg") or "")
    elif judged:
        status, reason = judged.get("status", "failed"), str(judged.get("reason") or "")
    else:
        status, reason = "failed", "The run ended before the table was judged."
    return {
        "name": name,
        "method": method,
        "status": status,
        "migration_id": way.migration_id,
        "source": way.source.to_dict(),
        "destination": way.destination.to_dict(),
        "items_source": judged.get("items_source"),
        "items_destination": judged.get("items_destination"),
        "bytes": size_of_source(jobs),
        **({"bytes_about": about} if about else {}),
        "seconds": seconds_of(jobs.values()),
        "verified": judged.get("verified", "none") if status == "migrated" else "none",
        "data_as_of": dict(judged.get("data_as_of") or {}),
        "jobs": [_job(job, seen.get(kind, ())) for kind, job in jobs.items() if kind],
        "settings_carried": carried,
        "settings_left": left,
        **drift,
        "reason": reason,
        "warnings": list(judged.get("notes") or ()),
        "next": str((failure or {}).get("next_step") or ""),
        **({"lacks": list(judged["lacks"])} if judged.get("lacks") else {}),
    }


def size_of_source(jobs: Mapping[str, Mapping[str, Any]]) -> int | None:
    """The source table's size in bytes as DynamoDB tells it (``TableSizeBytes``), when its settings were carried; None
    where DynamoDB has not told it yet. What a method moves is no measure of it: the items as JSON, or as a backup."""
    return next((int(result["source_bytes"]) for result in _noted(jobs) if result.get("source_bytes")), None)


def size_about(judged: Mapping[str, Any], jobs: Mapping[str, Mapping[str, Any]]) -> list[int] | None:
    """Between which sizes, in bytes, the items are that went, where DynamoDB has not told the table's yet: what its
    export was billed for, or what the method moved, which is their text.
    None where DynamoDB has told it, or the run does not know either."""
    billed = next((int(result["billed_bytes"]) for result in _noted(jobs) if result.get("billed_bytes")), None)
    moved = billed or judged.get("bytes")
    if size_of_source(jobs) is not None or moved is None:
        return None
    return [billed or round(moved / AS_TEXT), int(moved)]


def _noted(jobs: Mapping[str, Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The results of ``jobs``, and what an earlier run has noted of the settings."""
    results = [job.get("result") or {} for job in jobs.values()]
    return [*results, *((result.get("evidence") or {}).get("settings") or {} for result in results)]


def settings_of_source(jobs: Mapping[str, Mapping[str, Any]]) -> set[str]:
    """The names of the settings that the source table has, as far as carrying them showed it: in this run, or in an
    earlier one that finished the table and noted it."""
    noted = _noted(jobs)
    carried = {str(name) for result in noted for name in result.get("settings_carried") or ()}
    return carried | {
        str(left["what"]).partition(".")[0] for result in noted for left in result.get("settings_left") or ()
    }


def _job(job: Mapping[str, Any], span: Sequence[str]) -> dict[str, str]:
    """A job as the report shows it: its times are AWS's where AWS tells them, else the waiter's; "" for none."""
    result = job.get("result") or {}
    times = [str(result.get("start_time") or ""), str(result.get("end_time") or "")]
    if not times[0] and times[1] and result.get("seconds") and _time(times[1]):
        times[0] = _before(times[1], float(result["seconds"]))
    if not all(times) and job.get("state") != "not_needed":
        times = [own or seen for own, seen in zip(times, [*span, "", ""], strict=False)]
    return {**{name: str(job.get(name) or "") for name in _JOB}, "start": _utc(times[0]), "end": _utc(times[1])}


def _utc(text: str) -> str:
    found = _time(text)
    return "" if found is None else found.astimezone(UTC).isoformat(timespec="milliseconds")


def _before(end: str, seconds: float) -> str:
    found = _time(end)
    return "" if found is None else (found - timedelta(seconds=seconds)).isoformat(timespec="seconds")


def seconds_of(jobs: Iterable[Mapping[str, Any]]) -> float | None:
    """Seconds from the start of the first job to the end of the last one that tell theirs, by one clock: AWS's, or of a
    direct copy this machine's; None where that is not known."""
    timed = [job["result"] for job in jobs if job.get("result", {}).get("start_time")]
    begun, ended = (_time(timed[at].get(name)) if timed else None for at, name in ((0, "start_time"), (-1, "end_time")))
    return round((ended - begun).total_seconds(), 1) if begun and ended else None


def _time(text: Any) -> datetime | None:
    try:
        return datetime.fromisoformat(text) if text else None
    except (TypeError, ValueError):
        return None


def expected(entry: Mapping[str, Any], status: str) -> bool:
    """Whether a table ended with the ``status`` that its inventory expects, by default ``migrated``."""
    return bool(entry["status"] == (status or "migrated"))
