# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Point-in-time recovery of a source table: what can be exported, turning it on, waiting until it is usable."""

from __future__ import annotations

from collections.abc import Callable, Generator
from dataclasses import dataclass
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from ..account import Account
from ..errors import PointInTimeRecoveryNotReady, in_words
from ..jobs.job import Job
from ..jobs.kind import Pause
from ..table.ownership import put_mark

RECOVERY_TAG = "tableferry:point-in-time-recovery"
SHORTEST_LOOK, LONGEST_LOOK = 1.0, 15.0  # seconds between looks at point-in-time recovery that was just turned on


@dataclass(frozen=True)
class RecoveryWindow:
    """Point-in-time recovery of a table (measured/settings 2.5): the instants an export can show.

    ``asked_at`` is when AWS said so, by its own clock.
    """

    enabled: bool
    asked_at: datetime
    earliest: datetime | None = None
    latest: datetime | None = None

    @property
    def newest(self) -> datetime | None:
        """The newest whole second that can be exported, None while recovery was only just turned on.

        For 5 minutes Latest stays at the time of turning on; an export then may be empty (aws.md A3).
        """
        if not self.enabled or self.earliest is None or self.latest is None or self.latest <= self.earliest:
            return None
        whole = self.latest.replace(microsecond=0)
        return whole if whole > self.earliest else None

    @property
    def moment(self) -> datetime:
        """The first whole second that lies after the answer: what was written before it was asked for lies before."""
        return self.asked_at.replace(microsecond=0) + timedelta(seconds=1)

    def newest_since(self, not_before: str) -> datetime | None:
        """``newest`` where it is not before that instant, None as long as it is; "" stands for any."""
        newest = self.newest
        return newest if newest and (not not_before or newest >= datetime.fromisoformat(not_before)) else None


def read_recovery(source: Account, table: str) -> RecoveryWindow:
    """The table's point-in-time recovery by one call. Raises what Account.explain gives."""
    doing = "reading point-in-time recovery"
    answer = source.ask("dynamodb", "describe_continuous_backups", doing, table, TableName=table)
    description = answer["ContinuousBackupsDescription"].get("PointInTimeRecoveryDescription", {})
    date = answer.get("ResponseMetadata", {}).get("HTTPHeaders", {}).get("date")
    return RecoveryWindow(
        asked_at=parsedate_to_datetime(date) if date else source.now(),
        enabled=description.get("PointInTimeRecoveryStatus") == "ENABLED",
        earliest=description.get("EarliestRestorableDateTime"),
        latest=description.get("LatestRestorableDateTime"),
    )


def turn_on_recovery(source: Account, job: Job) -> bool:
    """Turn point-in-time recovery on where it is off; False when AWS cannot do it yet (measured 1.2)."""
    if read_recovery(source, job.name).enabled:
        return True
    specification: dict[str, Any] = {"PointInTimeRecoveryEnabled": True}
    if job.request["point_in_time_recovery_days"]:
        specification["RecoveryPeriodInDays"] = job.request["point_in_time_recovery_days"]
    doing = "turning point-in-time recovery on"
    made = job.request["source"]
    put_mark(source, made["table_arn"], made["table_id"], (RECOVERY_TAG, job.migration_id), doing, job.name)
    answer = source.ask(
        "dynamodb",
        "update_continuous_backups",
        doing,
        job.name,
        missing=("ContinuousBackupsUnavailableException",),
        TableName=job.name,
        PointInTimeRecoverySpecification=specification,
    )
    return answer is not None


def wait_for_recovery(
    source: Account, job: Job, waiting_since: float, clock: Callable[[], float]
) -> Generator[Pause, str | None, datetime]:
    """Wait, as a kind's steps do, until point-in-time recovery reaches back past its beginning, and up to the moment
    that ``job`` has to show, where it names one (``not_before``): the newest instant.

    Turns it on where ``job`` allows that and AWS could not do it before. Raises PointInTimeRecoveryNotReady.
    """
    gap = SHORTEST_LOOK
    allowed, not_before = float(job.request["point_in_time_recovery_wait"]), job.request.get("not_before", "")
    while True:
        window = read_recovery(source, job.name)
        newest = window.newest_since(not_before)
        if newest is not None:
            return newest
        if not window.enabled and job.request["enable_point_in_time_recovery"]:
            turn_on_recovery(source, job)
        if clock() - waiting_since >= allowed:
            after = in_words(allowed)
            raise PointInTimeRecoveryNotReady(
                f"Point-in-time recovery was not usable after {after}."
                if window.newest is None
                else f"The newest instant that can be exported was still before {not_before} after {after}.",
                "It takes about 5 minutes: set point_in_time_recovery_wait higher, or run again.",
                table=job.name,
            )
        yield Pause(job, "time", gap)
        gap = min(gap * 1.25, LONGEST_LOOK)
