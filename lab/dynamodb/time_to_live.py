# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time to live (measured/settings 2.3, 2.4)."""

from __future__ import annotations

import json
from collections.abc import Callable

from lab.dynamodb import limits
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.words import belief, in_use, validation
from lab.world import Context, World

CREATING = belief(
    "test_time_to_live", "ttl-while-creating",
    "While the table is CREATING, TTL is ResourceInUseException to change and a ValidationException to read",
    "measured/settings 2.3 [TABLE-115]",
)  # fmt: skip
REPEATED = belief(
    "test_time_to_live", "ttl-repeat-is-an-error",
    "TTL already on, off, or on with another attribute is a ValidationException, checked before the cooldown",
    "measured/settings 2.4 [TABLE-146, TABLE-147]",
)  # fmt: skip
COOLDOWN = belief(
    "test_time_to_live", "ttl-cooldown",
    "A TTL change is refused for about 31 minutes after the last accepted one; refused tries do not extend it",
    "measured/settings 2.4 [TABLE-143]",
)  # fmt: skip
EXPIRED = belief(
    "test_time_to_live", "ttl-expired-items",
    "Expired items (a number of epoch seconds, not over five years ago) are deleted within a few days: the lab plays "
    "either, that they stay or that they go before a call of the data plane, once an hour",
    "AWS developer guide, Using time to live; when they go is unknown", confirmed=False,
)  # fmt: skip
SETTLED = belief(
    "test_time_to_live", "ttl-settled-at-once",
    "A TTL change is seen at the first read; never configured and off both read DISABLED without an attribute",
    "measured/settings 2.4 [TABLE-144, TABLE-145]",
)  # fmt: skip
THROTTLED = belief(
    "test_time_to_live", "ttl-reads-throttled",
    "Four DescribeTimeToLive pass at once on one HTTP connection, then one every two seconds: `Rate exceeded`",
    "measured/more 10 [TABLE-403, TABLE-360]",
)  # fmt: skip


OLDEST_SECONDS = 5 * 365 * 86400.0


def update_time_to_live(context: Context, params: Shape) -> Shape:
    """UpdateTimeToLive."""
    table = registry(context).require_known(context, params["TableName"], "settings")
    now = context.world.clock.now()
    if table.status(now) == "CREATING":
        raise in_use(CREATING, f"Table {table.name} is being created")
    specification, current = params["TimeToLiveSpecification"], table.ttl
    attribute, enable = specification["AttributeName"], specification["Enabled"]
    if not enable and current.attribute is None:
        raise validation(REPEATED, "TimeToLive is already disabled")
    if current.attribute not in (None, attribute):
        raise validation(
            REPEATED,
            f"TimeToLive is active on a different AttributeName: current AttributeName is {current.attribute}",
        )
    if enable and current.attribute == attribute:
        raise validation(REPEATED, "TimeToLive is already enabled")
    if now < current.changed_at + context.world.timings.seconds("ttl.cooldown"):
        raise validation(COOLDOWN, "Time to live has been modified multiple times within a fixed interval")
    current.attribute, current.changed_at = (attribute if enable else None), now
    return {"TimeToLiveSpecification": {"Enabled": enable, "AttributeName": attribute}}


def describe_time_to_live(context: Context, params: Shape) -> Shape:
    """DescribeTimeToLive."""
    limits.take_read_of_connection(context, THROTTLED, burst=4, per_second=0.5)
    table = registry(context).require(context, params["TableName"])
    status = table.status(context.world.clock.now())
    if status in ("CREATING", "DELETING"):
        raise validation(
            CREATING,
            f"Cannot describe time to live while table is in {status} state: Current table state is {status}",
        )
    if table.ttl.attribute is None:
        return {"TimeToLiveDescription": {"TimeToLiveStatus": "DISABLED"}}
    return {"TimeToLiveDescription": {"TimeToLiveStatus": "ENABLED", "AttributeName": table.ttl.attribute}}


def delete_expired(world: World, table: Table) -> None:
    """Delete what has expired in ``table``, where the world's behaviours say so and it is time."""
    now, ttl = world.clock.now(), table.ttl
    if ttl.attribute is None or world.behaviours["dynamodb.expired_items"] != "deleted":
        return
    with table.store.lock:
        if now < ttl.swept_at + world.timings.seconds("ttl.sweep"):
            return
        ttl.swept_at = now
        with table.store.transaction():
            for item in [json.loads(body) for _, body in table.store.items_at(now)]:
                moment = item.get(ttl.attribute, {}).get("N")
                if moment is not None and now - OLDEST_SECONDS < float(moment) < now:
                    table.store.delete(item, now)


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {
    "UpdateTimeToLive": update_time_to_live,
    "DescribeTimeToLive": describe_time_to_live,
}
