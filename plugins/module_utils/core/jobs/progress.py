# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How the waiter's jobs get on, in a few lines of text that are good in a terminal, in AWX and in a file.

What is left of a job is told only where the job itself says how far it is: by AWS's percentage, by the segments of a
copy, by the results of a Spark job. Exports and imports say nothing before their end (aws.md B2), nor do copies of
AWS Backup: theirs is not guessed.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .job import LACK, Job

NAMED = 10  # of the tables that run longest
LINE_GAP, QUIET_GAP = 5.0, 60.0  # seconds between blocks, when something changed and when not
# Of the time that is over: after 10 minutes a block a minute, so that the log of a long run can be read.
GAP_SHARE, NAMES_SHARE = 0.1, 0.2
# What must have been seen of a job before its end is estimated: seconds, and percent that it advanced.
SEEN_SECONDS, SEEN_PERCENT = 10.0, 1.0


@dataclass(frozen=True)
class Reached:
    """How far a job was ``at`` a time in seconds: percent, and items where it counts them; None where it does not."""

    at: float
    percent: float | None = None
    items: int | None = None


@dataclass
class JobPace:
    """What was seen of a job's progress: at first, when a block told of it, and last."""

    first: Reached | None = None
    told: Reached | None = None
    last: Reached | None = None

    def note(self, now: float, percent: float | None, items: int | None = None) -> None:
        """The job is so far now. Where nothing has moved, only the time is newer: a pace that stands still sinks."""
        if percent is None and items is None:
            return
        self.last = Reached(now, percent, items)
        if self.first is None or _is_back(self.last, self.first):
            self.first = self.told = self.last

    def left(self, now: float) -> float | None:
        """Seconds that the job still takes about, at the pace that was seen; None where too little was seen, or the
        job says no percentage."""
        first, last = self.first, self.last
        if first is None or last is None or first.percent is None or last.percent is None or last.percent >= 100:
            return None
        seconds, gained = last.at - first.at, last.percent - first.percent
        if seconds < SEEN_SECONDS or gained < SEEN_PERCENT:
            return None
        left = (100 - last.percent) * seconds / gained - (now - last.at)
        return left if left >= 1 else None

    def rate(self) -> float | None:
        """Items per second since the last block told of it; None where it counts none, or none came."""
        told, last = self.told, self.last
        if told is None or last is None or told.items is None or last.items is None or last.at <= told.at:
            return None
        return (last.items - told.items) / (last.at - told.at) or None

    def tell(self) -> None:
        """A block has told of it."""
        self.told = self.last


def _is_back(now: Reached, before: Reached) -> bool:
    """Whether the job began again."""
    return (now.percent or 0.0) < (before.percent or 0.0) or (now.items or 0) < (before.items or 0)


@dataclass(frozen=True)
class Running:
    """A job that runs: its table, what it is called, for how many seconds it runs, and what was seen of it.

    ``items_about`` is how many items there are, by a description that may be 6 hours old; 0 where nobody knows.
    ``aws_state`` is AWS's word for it while AWS has not begun to work on it.
    """

    name: str
    kind: str
    noun: str
    seconds: float
    pace: JobPace
    items_about: int = 0
    aws_state: str = ""

    @property
    def percent(self) -> float | None:
        """How far it is."""
        return self.pace.last.percent if self.pace.last else None


class Telling:
    """When to say what of many jobs. ``begun`` is when the wait began, by the clock of the later ``now``."""

    def __init__(self, begun: float = 0.0) -> None:
        self._begun = self._last_at = self._named_at = begun
        self._last = ""

    @property
    def next_at(self) -> float:
        """When a block is due though nothing changed."""
        return self._last_at + QUIET_GAP

    def is_due(self, now: float) -> bool:
        """Whether a block may be told again."""
        return now - self._last_at >= _gap(now - self._begun)

    def block(
        self,
        now: float,
        plurals: Mapping[str, str],
        jobs: Sequence[Job],
        running: Sequence[Running],
        last: bool = False,
    ) -> list[str]:
        """The lines to tell now of ``jobs``, whose kinds are called as in ``plurals``; none where nothing changed.

        ``last``: the wait is over, the line is told in any case.
        """
        if not last and not self.is_due(now):
            return []
        kinds = {kind: [job for job in jobs if job.kind == kind] for kind in dict.fromkeys(job.kind for job in jobs)}
        at = {kind: [each for each in running if each.kind == kind] for kind in kinds}
        counted = {
            kind: progress_line(plurals[kind], of, [each.percent for each in at[kind] if each.percent is not None])
            for kind, of in kinds.items()
        }
        seen = "; ".join(counted.values())
        if not seen or (not last and seen == self._last and now - self._last_at < QUIET_GAP):
            return []
        lines = [
            f"{'; '.join(_with_pace(counted[kind], at[kind], now) for kind in kinds)}, {duration(now - self._begun)}"
        ]
        self._last, self._last_at = seen, now
        named = max(QUIET_GAP, (now - self._begun) * NAMES_SHARE)
        if not last and running and now - self._named_at >= named:
            self._named_at = now
            lines.append(names_line(running, now))
        for each in running:
            each.pace.tell()
        return lines


class TellingOne:
    """When to say what of the work on one table, which is called ``noun`` and began at ``begun``."""

    def __init__(self, name: str, noun: str, begun: float) -> None:
        self._name, self._noun, self._begun = name, noun, begun
        self._last_at, self._last = begun, Reached(begun)
        self._pace = JobPace()

    def line(self, now: float, percent: float, items: int) -> str:
        """The line to tell now, where the work is so far and has read so many items; "" for none."""
        self._pace.note(now, percent, items)
        if now - self._last_at < _gap(now - self._begun):
            return ""
        if (percent, items) == (self._last.percent, self._last.items) and now - self._last_at < QUIET_GAP:
            return ""
        rate, left = self._pace.rate(), self._pace.left(now)
        words = [
            f"{self._name}: {self._noun} {percent:.0f} %",
            f"{items:,} items read",
            *([f"{rate:,.0f} items/s"] if rate else []),
            *([f"about {rough(left)} left"] if left is not None else []),
            duration(now - self._begun),
        ]
        self._last_at, self._last = now, Reached(now, percent, items)
        self._pace.tell()
        return ", ".join(words)


def _gap(over: float) -> float:
    """Seconds between blocks when ``over`` seconds of the work are over."""
    return min(max(LINE_GAP, over * GAP_SHARE), QUIET_GAP)


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
        (sum(job.open and LACK in job.result for job in jobs), _lacking(jobs)),
        (sum(job.state == "running" or (job.open and job.pending_reason == "settings") for job in jobs), "running"),
    ):
        if count:
            parts.append(f"{count} {words}")
    rounded = sorted({round(percent) for percent in percents})
    if rounded:
        parts[-1] += f" ({rounded[0]}{f' to {rounded[-1]}' if len(rounded) > 1 else ''} %)"
    return ", ".join(parts)


def _with_pace(line: str, running: Sequence[Running], now: float) -> str:
    """``line`` of a kind with the items per second of those that run, and how long they still take where all say so."""
    rates = [rate for each in running if (rate := each.pace.rate()) is not None]
    left = [seconds for each in running if (seconds := each.pace.left(now)) is not None]
    words = [f"{sum(rates):,.0f} items/s"] if rates else []
    if left and len(left) == len(running):
        words.append(f"about {rough(max(left))} left")
    if not words:
        return line
    if line.endswith(" %)"):
        return f"{line[:-1]}, {', '.join(words)})"
    return f"{line} ({', '.join(words)})"


def _fenced(jobs: Iterable[Job]) -> str:
    until = max((str(job.result.get("fenced_until", "")) for job in jobs if job.pending_reason == "fence"), default="")
    if not until:
        return "waiting until no former request can arrive"
    return f"waiting until {until}, when no request of a former run can arrive any more"


def _lacking(jobs: Iterable[Job]) -> str:
    """Since when AWS has no capacity for some of the ``jobs``, when it last said so, and what each of them needs."""
    lacks = [job.result[LACK] for job in jobs if job.open and LACK in job.result]
    if not lacks:
        return ""
    since, last = min(each["since"] for each in lacks), max(each["last"] for each in lacks)
    needs = " or ".join(sorted({each["needs"] for each in lacks}))
    return f"refused for lack of capacity since {since}, last at {last} ({needs} needed)"


def names_line(running: Iterable[Running], now: float) -> str:
    """The tables whose jobs run, by name, those that run longest first; of more than ten the slowest ten.

    ``running: orders (direct copy 2m10s, 45 % of about 1,200,000 items, about 2m40s left), users (import 1m50s)``
    """
    found = sorted(running, key=lambda each: (-each.seconds, each.name))
    word = "slowest" if len(found) > NAMED else "running"
    return f"{word}: " + ", ".join(f"{each.name} ({_state(each, now)})" for each in found[:NAMED])


def _state(running: Running, now: float) -> str:
    words = [f"{running.noun} {duration(running.seconds)}"]
    if running.aws_state:
        words.append(f"AWS says {running.aws_state}")
    if running.percent is not None:
        of = f" of about {running.items_about:,} items" if running.items_about else ""
        words.append(f"{running.percent:.0f} %{of}")
    left = running.pace.left(now)
    if left is not None:
        words.append(f"about {rough(left)} left")
    return ", ".join(words)


def point_of(job: Job) -> tuple[float | None, int | None]:
    """How far ``job`` says that it is: percent, and items where it counts them."""
    result: Mapping[str, Any] = job.result
    percent = result.get("percent", result.get("percent_done"))
    items = result.get("items") if "percent" in result else None
    return (None if percent is None else float(percent), None if items is None else int(items))


def rough(seconds: float) -> str:
    """``seconds`` that are an estimate, rounded up: ``25s``, ``2m10s``, ``14m00s`` or ``1h10m``."""
    step = next(step for below, step in ((60, 5), (600, 10), (3600, 60), (float("inf"), 600)) if seconds < below)
    return duration(-(-seconds // step) * step)


def duration(seconds: float) -> str:
    """``2m10s``, ``1h02m`` or ``9s``."""
    whole = int(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
