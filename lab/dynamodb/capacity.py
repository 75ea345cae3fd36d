# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Capacity of tables and indexes: provisioned throughput with its decreases, on-demand maxima, warm throughput, modes.

Each ``plan_*`` checks one change against the table as it is and returns what applies it, or None where it changes
nothing; nothing is changed before all parts of a call have been checked: a refused UpdateTable is atomic
(measured/indexes-capacity 2 [TABLE-380]).
"""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Literal

from lab.dynamodb import admission, creation
from lab.dynamodb.model import ON_DEMAND_WARM, Billing, BillingMode, Index, Job, Shape, Table, Throughput, Warm
from lab.dynamodb.words import belief, invalid, over_limit, validation
from lab.errors import AwsError
from lab.world import Context

Apply = Callable[[], None]

SAME_CAPACITY = belief(
    "test_capacity", "same-capacity-refused",
    "The capacity that a table or index already has is an error, not a no-op",
    "measured/indexes-capacity 3 [TABLE-057]",
)  # fmt: skip
DECREASES = belief(
    "test_capacity", "four-decreases-a-day",
    "Four decreases per table, and per index, and UTC day; then one each hour after the last accepted; midnight resets",
    "measured/indexes-capacity 3 [TABLE-157, TABLE-326, TABLE-185]",
)  # fmt: skip
CAPACITY_ON_DEMAND = belief(
    "test_capacity", "no-capacity-on-demand",
    "Capacity of an on-demand table or its indexes cannot be changed",
    "measured/indexes-capacity 2 [TABLE-152]",
)  # fmt: skip
SWITCH_NEEDS_CAPACITY = belief(
    "test_capacity", "switch-to-provisioned-names-all",
    "A switch to PROVISIONED needs capacity of the table and an Update of every global index in the same call",
    "measured/indexes-capacity 3 [TABLE-152, TABLE-056]",
)  # fmt: skip
SWITCH_TO_ON_DEMAND = belief(
    "test_capacity", "switch-to-on-demand-takes-no-capacity",
    "A switch to PAY_PER_REQUEST refuses ProvisionedThroughput and takes OnDemandThroughput",
    "measured/indexes-capacity 3 [TABLE-056]",
)  # fmt: skip
SWITCH_SHOWN_AT_ONCE = belief(
    "test_capacity", "switch-shown-at-once",
    "Describe shows the target mode at once, long before the table is ACTIVE; the first switch takes longest",
    "measured/indexes-capacity 3 [TABLE-064], 4",
)  # fmt: skip
SWITCH_DROPS_MAXIMA = belief(
    "test_capacity", "switch-drops-maxima",
    "A switch to PROVISIONED drops the on-demand maxima; one to PAY_PER_REQUEST counts a decrease of each index",
    "measured/indexes-capacity 3 [TABLE-153]",
)  # fmt: skip
REVERSAL_LOST = belief(
    "test_capacity", "billing-reversal-lost",
    "PAY_PER_REQUEST sent while a switch to PROVISIONED runs is answered 200 and dropped",
    "measured/indexes-capacity 3 [TABLE-452]",
)  # fmt: skip
MAXIMA_MERGE = belief(
    "test_capacity", "maxima-merge",
    "On-demand maxima change at once and merge by member; -1 clears, is echoed for a second and then left out",
    "measured/indexes-capacity 3 [TABLE-178, TABLE-182]",
)  # fmt: skip
MAXIMA_RANGE = belief(
    "test_capacity", "maximum-range-at-update",
    "A maximum of 0 or below -1 is out of range",
    "measured/indexes-capacity 3 [TABLE-051]",
)  # fmt: skip
MAXIMA_MODE = belief(
    "test_capacity", "maximum-judged-by-old-mode",
    "OnDemandThroughput on a PROVISIONED table is refused, by the old mode while a switch runs",
    "measured/indexes-capacity 3 [TABLE-369]",
)  # fmt: skip
WARM_ONLY_UP = belief(
    "test_capacity", "warm-only-up",
    "Warm throughput is never lowered; the same value is 200",
    "measured/indexes-capacity 3 [TABLE-179, TABLE-155]",
)  # fmt: skip
WARM_SLOW = belief(
    "test_capacity", "warm-increase-is-slow",
    "An increase keeps the table ACTIVE and shows the old units as UPDATING; a second one meanwhile wins",
    "measured/indexes-capacity 3 [TABLE-459]",
)  # fmt: skip
WARM_MAINTENANCE = belief(
    "test_capacity", "warm-during-allocation",
    "Warm throughput while an index is allocated is HTTP 500 `Table is under system maintenance`, for a while",
    "measured/indexes-capacity 3 [TABLE-458]",
)  # fmt: skip
WARM_FOLLOWS_CAPACITY = belief(
    "test_capacity", "warm-follows-capacity",
    "Warm throughput is the highest capacity ever provisioned, and 12000/4000 from a switch to on-demand on",
    "measured/indexes-capacity 3 [TABLE-061, TABLE-134]",
)  # fmt: skip
OLD_VALUES_ECHOED = belief(
    "test_capacity", "old-capacity-echoed",
    "Answers to capacity, warm throughput and index updates show the old values until the change is done",
    "measured/indexes-capacity 3 [TABLE-060, TABLE-165]",
)  # fmt: skip

CHANGES_DATED_AT_ONCE = belief(
    "test_capacity", "capacity-change-dated-at-once",
    "The answer to a new capacity has the old units and counter, but the new date of the increase or decrease",
    "measured/more 6 [TABLE-060, TABLE-184]",
)  # fmt: skip
SWITCH_SETTLES_LATE = belief(
    "test_capacity", "switch-settles-late",
    "A switch to on demand shows the old warm throughput and no date of its own until ACTIVE, and dates a decrease "
    "that it does not count; whether that date stays is open: behaviour dynamodb.decrease_date_of_switch",
    "measured/more 6 [TABLE-064, TABLE-183]",
)  # fmt: skip
MAXIMA_ANSWER = belief(
    "test_capacity", "maxima-answered-active",
    "New on-demand maxima of the table are in force with the answer, which says ACTIVE",
    "measured/more 6 [TABLE-178]",
)  # fmt: skip

DECREASES_A_DAY = 4
CLEARED = -1


# Provisioned throughput


def plan_throughput(context: Context, table: Table, throughput: Shape) -> Apply:
    """A new capacity of the table, for a call without a change of mode."""
    if table.billing.mode == "PAY_PER_REQUEST":
        raise invalid(
            CAPACITY_ON_DEMAND,
            "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when BillingMode is PAY_PER_REQUEST",
        )
    admission.admit(table, "throughput")
    check_throughput(context, table.billing.throughput, throughput)

    def apply() -> None:

        current = table.billing.throughput

        def finish() -> None:
            table.jobs.pop("throughput", None)
            current.uncounted = 0
            _set_units(current, table.billing.warm, throughput)

        current.uncounted = int(count_decrease(context, current, throughput))
        _date_increase(context, current, throughput)
        table.jobs["throughput"] = Job("throughput", updating=True, target=throughput)
        context.world.schedule(context.world.timings.seconds("throughput.changing"), finish)

    return apply


def check_throughput(context: Context, current: Throughput, throughput: Shape, index: str = "") -> None:
    """Refuse ``throughput`` where it changes nothing, exceeds a quota or needs a decrease that is used up."""
    if (throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]) == (current.read, current.write):
        subject = f"the index {index}" if index else "the table"
        raise validation(
            SAME_CAPACITY,
            f"The provisioned throughput for {subject} will not change. The requested value equals the current value. "
            f"Current ReadCapacityUnits provisioned for {subject}: {current.read}. Requested ReadCapacityUnits: "
            f"{throughput['ReadCapacityUnits']}. Current WriteCapacityUnits provisioned for {subject}: "
            f"{current.write}. Requested WriteCapacityUnits: {throughput['WriteCapacityUnits']}.",
        )
    creation.check_units(context, {"ProvisionedThroughput": throughput}, index)
    creation.check_account_units(
        context,
        [{"ProvisionedThroughput": throughput}],
        replaced={"ReadCapacityUnits": current.read, "WriteCapacityUnits": current.write},
    )
    if _is_decrease(current, throughput):
        _check_decreases(context, current)


def _is_decrease(current: Throughput, throughput: Shape) -> bool:
    return bool(throughput["ReadCapacityUnits"] < current.read or throughput["WriteCapacityUnits"] < current.write)


def _check_decreases(context: Context, current: Throughput) -> None:
    now, seconds = context.world.clock.now(), context.world.timings.seconds
    today = current.decreases_today(now, context.world.timings)
    if not context.world.quotas or today < DECREASES_A_DAY:
        return
    last = current.decreases[-1]
    if now < last + seconds("throughput.interval"):
        day = seconds("throughput.day")
        next_time = min(last + seconds("throughput.interval"), (now // day + 1) * day if day else now)
        raise over_limit(
            DECREASES,
            "Provisioned throughput decreases are limited within a given UTC day. After the first 4 decreases, each "
            "subsequent decrease in the same UTC day can be performed at most once every 3600 seconds. Number of "
            f"decreases today: {today}. Last decrease at {_moment(last)}. Next decrease can be made "
            f"at {_moment(next_time)}",
        )


def _moment(seconds: float) -> str:
    moment = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return f"{moment:%A, %B} {moment.day}, {moment:%Y at} {moment:%I:%M:%S %p} Coordinated Universal Time"


def count_decrease(context: Context, current: Throughput, throughput: Shape) -> bool:
    """Count ``throughput`` where it lowers anything, and tell so: both members together are one decrease."""
    lowers = _is_decrease(current, throughput)
    if lowers:
        current.last_decrease = context.world.clock.now()
        current.decreases.append(current.last_decrease)
    return lowers


def set_throughput(context: Context, current: Throughput, warm: Warm, throughput: Shape) -> None:
    """Apply ``throughput``; warm throughput rises with it."""
    _date_increase(context, current, throughput)
    _set_units(current, warm, throughput)


def _date_increase(context: Context, current: Throughput, throughput: Shape) -> None:
    if throughput["ReadCapacityUnits"] > current.read or throughput["WriteCapacityUnits"] > current.write:
        current.last_increase = context.world.clock.now()


def _set_units(current: Throughput, warm: Warm, throughput: Shape) -> None:
    read, write = throughput["ReadCapacityUnits"], throughput["WriteCapacityUnits"]
    current.read, current.write = read, write
    raise_warm(warm, {"ReadUnitsPerSecond": read, "WriteUnitsPerSecond": write})


def raise_warm(warm: Warm, floor: Shape) -> None:
    """Lift warm throughput to at least ``floor``."""
    warm.units = {member: max(value, floor.get(member, 0)) for member, value in warm.units.items()}


# Billing mode


def plan_billing(context: Context, table: Table, params: Shape) -> Apply | None:
    """A call with BillingMode, and the capacity or the maxima that come with it."""
    mode: BillingMode = params["BillingMode"]
    capacity = params.get("ProvisionedThroughput")
    running = table.jobs.get("to_provisioned")
    if running is not None and mode == "PAY_PER_REQUEST":
        return None
    if mode == table.billing.mode:
        if mode == "PROVISIONED":
            return plan_throughput(context, table, capacity)  # type: ignore[arg-type]
        if "to_on_demand" in table.jobs:
            admission.admit(table, "billing")
        return None
    admission.admit(table, "billing")
    if mode == "PROVISIONED":
        return _plan_to_provisioned(context, table, params)
    return _plan_to_on_demand(context, table)


def _plan_to_provisioned(context: Context, table: Table, params: Shape) -> Apply:
    updates = {
        update["Update"]["IndexName"]: update["Update"]
        for update in params.get("GlobalSecondaryIndexUpdates", ())
        if "Update" in update
    }
    for index in table.global_indexes:
        if "ProvisionedThroughput" not in updates.get(index.name, {}):
            raise validation(SWITCH_NEEDS_CAPACITY, f"ProvisionedThroughput must be specified for index: {index.name}")
    capacity = params["ProvisionedThroughput"]
    creation.check_units(context, params)
    for name, update in updates.items():
        creation.check_units(context, update, name)
    creation.check_account_units(context, [params, *updates.values()])

    def apply() -> None:
        billing = table.billing
        billing.mode, billing.on_demand = "PROVISIONED", {}
        set_throughput(context, billing.throughput, billing.warm, capacity)
        for index in table.global_indexes:
            index.on_demand = {}
            set_throughput(context, index.throughput, index.warm, updates[index.name]["ProvisionedThroughput"])
        _switch(context, table, "to_provisioned", "billing.to_provisioned", lambda: None)

    return apply


def _plan_to_on_demand(context: Context, table: Table) -> Apply:
    def apply() -> None:
        billing, now = table.billing, context.world.clock.now()
        again = billing.switched_to_on_demand is not None
        billing.mode = "PAY_PER_REQUEST"
        capacity, earlier = billing.throughput, billing.throughput.last_decrease
        capacity.read = capacity.write = 0
        capacity.last_decrease = now
        for index in table.global_indexes:
            count_decrease(context, index.throughput, {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0})
            index.throughput.read = index.throughput.write = 0

        def finish() -> None:
            billing.switched_to_on_demand = now
            raise_warm(billing.warm, ON_DEMAND_WARM)
            for index in table.global_indexes:
                raise_warm(index.warm, ON_DEMAND_WARM)
            if context.world.behaviours["dynamodb.decrease_date_of_switch"] == "gone":
                capacity.last_decrease = earlier

        timing = "billing.to_on_demand_again" if again else "billing.to_on_demand"
        _switch(context, table, "to_on_demand", timing, finish)

    return apply


def _switch(
    context: Context, table: Table, kind: Literal["to_provisioned", "to_on_demand"], timing: str, finish: Apply
) -> None:
    table.jobs[kind] = Job(kind, updating=True, target=table.billing.mode)

    def end() -> None:
        table.jobs.pop(kind, None)
        finish()

    context.world.schedule(context.world.timings.seconds(timing), end)


# On-demand maxima


def plan_on_demand(context: Context, table: Table, params: Shape) -> Apply:
    """New on-demand maxima of the table."""
    maxima = params["OnDemandThroughput"]
    mode = params.get("BillingMode") or ("PROVISIONED" if "to_on_demand" in table.jobs else table.billing.mode)
    check_maxima(context, maxima, mode)
    if "BillingMode" not in params:
        admission.admit(table, "on_demand")

    def apply() -> None:
        set_maxima(context, table, table.billing, maxima)

    return apply


def check_maxima(context: Context, maxima: Shape, mode: str, index: str = "") -> None:
    """Refuse maxima in the wrong mode, out of range or above the quota."""
    for member, value in maxima.items():
        if mode == "PROVISIONED":
            raise invalid(
                MAXIMA_MODE,
                f"{member} for OnDemandThroughput cannot be specified when table BillingMode is PROVISIONED.",
            )
        if value < 1 and value != CLEARED:
            subject = f"index : {index}" if index else "table"
            raise invalid(
                MAXIMA_RANGE, f"Requested {member} for OnDemandThroughput for {subject} is outside of valid range"
            )
    creation.check_units(context, {"OnDemandThroughput": maxima}, index)


def set_maxima(context: Context, table: Table, owner: Billing | Index, maxima: Shape) -> None:
    """Merge ``maxima`` into the maxima of ``owner`` (the table's billing or an index); -1 is shown a moment longer."""
    merged = {**owner.on_demand, **maxima}
    owner.on_demand = merged
    if CLEARED not in maxima.values():
        return
    delay = context.world.timings.seconds("on_demand.clearing")
    table.billing.clearing_until = context.world.clock.now() + delay

    def clear() -> None:
        owner.on_demand = {member: value for member, value in owner.on_demand.items() if value != CLEARED}

    context.world.schedule(delay, clear)


# Warm throughput


def plan_warm(context: Context, table: Table, warm: Warm, units: Shape, index: str = "") -> Apply | None:
    """A higher warm throughput of the table or of ``index``."""
    if any(running.kind == "index_allocating" for running in admission.under_way(table)):
        raise WARM_MAINTENANCE.error(
            "InternalServerError", "Table is under system maintenance, please try again later", 500, "server"
        )
    if not index:
        admission.admit(table, "warm")
    for member, value in units.items():
        if value < warm.units[member]:
            subject = f"index {index}" if index else "table"
            raise invalid(
                WARM_ONLY_UP,
                f"Requested {member} for WarmThroughput for {subject} is lower than current WarmThroughput, decreasing "
                "WarmThroughput is not supported",
            )
    creation.check_units(context, {"WarmThroughput": units}, index)
    target = {**warm.units, **units}
    if target == warm.units:
        return None

    def apply() -> None:
        if warm.event is not None:
            warm.event.cancel()
        warm.target = target

        def finish() -> None:
            warm.units, warm.target, warm.raised = {**warm.units, **target}, None, True
            if not index:
                table.jobs.pop("warm", None)

        if not index:
            table.jobs["warm"] = Job("warm", updating=False, target=target)
        seconds = context.world.timings.seconds("warm.again" if warm.raised else "warm.first")
        warm.event = context.world.schedule(seconds, finish)

    return apply


def empty_member() -> AwsError:
    """What AWS answers to an empty block that stands alone: our request is wrong, for good."""
    return EMPTY_BLOCK.error("InternalFailure", "", 500, "server")


EMPTY_BLOCK = belief(
    "test_capacity", "empty-block",
    "An empty OnDemandThroughput or WarmThroughput alone is HTTP 500 InternalFailure, beside others it is dropped",
    "measured/indexes-capacity 3 [TABLE-437, TABLE-456]",
)  # fmt: skip
