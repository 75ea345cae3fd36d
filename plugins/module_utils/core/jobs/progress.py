# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the waiter's jobs get on, in a line of text."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .job import Job

NAMED = 10  # of the tables that run longest


def progress_line(plural: str, jobs: Sequence[Job], percents: Iterable[float] = ()) -> str:
    """``restores 37/100 done, 2 failed, 3 waiting for a slot, 58 running (12 to 90 %)``.

    ``plural`` is what the ``jobs`` are called, ``percents`` say how far those are that run.
    """
    unknown = sum(job.not_followed for job in jobs)
    failed = sum(job.state in ("failed", "cancelled") for job in jobs) - unknown
    done = sum(not job.open for job in jobs) - failed - unknown
    parts = [f"{plural} {done}/{len(jobs)} done"]
    for count, words in (
        (failed, "failed"),
        (unknown, "not followed"),
        (sum(job.open and job.pending_reason == "slot" for job in jobs), "waiting for a slot"),
        (
            sum(job.open and job.pending_reason == "point_in_time_recovery" for job in jobs),
            "waiting for point-in-time recovery",
        ),
        (sum(job.open and job.pending_reason == "backup_plan" for job in jobs), "waiting for the backup plan"),
        (
            sum(job.open and job.pending_reason == "source_table" for job in jobs),
            "waiting until their tables are ACTIVE",
        ),
        (sum(job.open and job.pending_reason == "held" for job in jobs), "held by other runs"),
        (sum(job.open and job.pending_reason == "fence" for job in jobs), _fenced(jobs)),
        (sum(job.state == "running" or (job.open and job.pending_reason == "settings") for job in jobs), "running"),
    ):
        if count:
            parts.append(f"{count} {words}")
    rounded = sorted({round(percent) for percent in percents})
    if rounded:
        parts[-1] += f" ({rounded[0]}{f' to {rounded[-1]}' if len(rounded) > 1 else ''} %)"
    return ", ".join(parts)


def _fenced(jobs: Iterable[Job]) -> str:
    until = max((str(job.result.get("fenced_until", "")) for job in jobs if job.pending_reason == "fence"), default="")
    if not until:
        return "waiting until no former request can arrive"
    return f"waiting until {until}, when no request of a former run can arrive any more"


def slowest_line(running: Iterable[tuple[str, str, float]]) -> str:
    """The ten tables whose jobs run longest, by name; "" where no more than ten run, which a user sees without it.

    ``running`` has of each its table, what it is at, and for how many seconds.
    """
    found = sorted(running, key=lambda each: (-each[2], each[0]))
    if len(found) <= NAMED:
        return ""
    return "slowest: " + ", ".join(f"{name} ({noun} {duration(seconds)})" for name, noun, seconds in found[:NAMED])


def duration(seconds: float) -> str:
    """``2m10s``, ``1h02m`` or ``9s``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
