# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Continuous backups and point-in-time recovery (measured/settings 2.3, 2.5)."""

from __future__ import annotations

from collections.abc import Callable

from lab.dynamodb import limits
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, validation
from lab.world import Context

NOT_YET = belief(
    "test_continuous_backups", "pitr-after-active",
    "Until about two seconds after ACTIVE a change of PITR is ContinuousBackupsUnavailableException; reading is 200",
    "measured/settings 2.3 [TABLE-115, TABLE-116]",
)  # fmt: skip
PERIOD = belief(
    "test_continuous_backups", "pitr-period",
    "RecoveryPeriodInDays is 35 unless given, changes in place, is refused beside a disable and forgotten by it",
    "measured/settings 2.5 [TABLE-084]",
)  # fmt: skip
IDEMPOTENT = belief(
    "test_continuous_backups", "pitr-idempotent",
    "PITR changes at once and repeats are 200; only turning it off and on moves EarliestRestorableDateTime",
    "measured/settings 2.5 [TABLE-083, TABLE-085]",
)  # fmt: skip
LATEST_PINNED = belief(
    "test_continuous_backups", "pitr-latest-pinned",
    "LatestRestorableDateTime stands at the enable time for five minutes, then trails now by five minutes",
    "measured/settings 2.5 [TABLE-385]",
)  # fmt: skip
BACKUPS_STATUS = belief(
    "test_continuous_backups", "continuous-backups-enable-themselves",
    "ContinuousBackupsStatus is not PITR: it turns ENABLED by itself about three seconds after ACTIVE",
    "measured/settings 2.5 [TABLE-083, TABLE-111]",
)  # fmt: skip
THROTTLED = belief(
    "test_continuous_backups", "pitr-throttled",
    "About eleven UpdateContinuousBackups pass at once, then `Rate exceeded`",
    "measured/settings 2.5 [TABLE-383]",
)  # fmt: skip

READS_THROTTLED = belief(
    "test_continuous_backups", "pitr-reads-throttled",
    "Eleven DescribeContinuousBackups pass at once on one HTTP connection, then about one a second: `Rate exceeded`",
    "measured/more 10 [TABLE-403]; the pace is a guess",
)  # fmt: skip

PERIOD_DAYS = 35


def update_continuous_backups(context: Context, params: Shape) -> Shape:
    """UpdateContinuousBackups."""
    specification = params["PointInTimeRecoverySpecification"]
    enable, days = specification["PointInTimeRecoveryEnabled"], specification.get("RecoveryPeriodInDays")
    if not enable and days is not None:
        raise validation(
            PERIOD,
            "Invalid Request: Cannot specify RecoveryPeriodInDays when disabling point-in-time recovery.",
        )
    world = context.world
    family = f"dynamodb.continuous-backups.{context.region}"
    if not world.throttles.admits(context.account_id, family, burst=11, per_second=5):
        raise THROTTLED.error("ThrottlingException", "Rate exceeded")
    table = registry(context).require_known(context, params["TableName"], "backups")
    now = world.clock.now()
    if table.deleting_at is None and now < table.active_at + world.timings.seconds("pitr.available"):
        raise NOT_YET.error(
            "ContinuousBackupsUnavailableException",
            f"Backups are being enabled for the table: {table.name}. Please retry later",
        )
    pitr = table.pitr
    if enable and not pitr.enabled:
        pitr.enabled, pitr.enabled_at, pitr.window_days = True, now, PERIOD_DAYS
        table.store.enable_journal(now)
    elif not enable and pitr.enabled:
        pitr.enabled, pitr.window_days = False, PERIOD_DAYS
        table.store.disable_journal()
    if days is not None:
        pitr.window_days = days
    return _description(context, table)


def describe_continuous_backups(context: Context, params: Shape) -> Shape:
    """DescribeContinuousBackups."""
    limits.take_read_of_connection(context, READS_THROTTLED, burst=11, per_second=1)
    return _description(context, registry(context).require_known(context, params["TableName"], "backups"))


def _description(context: Context, table: Table) -> Shape:
    now, pitr = context.world.clock.now(), table.pitr
    ready = now >= table.active_at + context.world.timings.seconds("backups.enabled") or pitr.enabled
    recovery: Shape = {"PointInTimeRecoveryStatus": "ENABLED" if pitr.enabled else "DISABLED"}
    if pitr.enabled:
        recovery |= {
            "RecoveryPeriodInDays": pitr.window_days,
            "EarliestRestorableDateTime": pitr.earliest(now),
            "LatestRestorableDateTime": pitr.latest(now),
        }
    return {
        "ContinuousBackupsDescription": {
            "ContinuousBackupsStatus": "ENABLED" if ready else "DISABLED",
            "PointInTimeRecoveryDescription": recovery,
        }
    }


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "UpdateContinuousBackups": update_continuous_backups,
    "DescribeContinuousBackups": describe_continuous_backups,
}
