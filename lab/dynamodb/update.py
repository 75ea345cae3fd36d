# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""UpdateTable: one concern in a call, checked whole before anything is changed (measured/settings 2.1)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from lab.dynamodb import admission, capacity, creation, encryption, indexes, limits, snapshots, streams
from lab.dynamodb.model import Job, Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.tables import NO_GLOBAL_TABLES, description, refuse_unsettled
from lab.dynamodb.words import belief, invalid, not_found, over_limit, validation
from lab.world import Context

Apply = Callable[[], None]

NOTHING = belief(
    "test_update", "update-of-nothing",
    "A call that changes nothing, or with an empty list of index updates alone, is refused even for a missing table",
    "measured/indexes-capacity 2 [TABLE-015, TABLE-359]",
)  # fmt: skip
ALONE = belief(
    "test_update", "alone-in-the-call",
    "Encryption, table class, deletion protection and warm throughput are each alone in a call, named in this order",
    "measured/settings 2.1 [TABLE-433]",
)  # fmt: skip
MAXIMA_WITH_MODE = belief(
    "test_update", "maxima-with-billing-only",
    "OnDemandThroughput is combined with BillingMode only",
    "measured/settings 2.1 [TABLE-382]",
)  # fmt: skip
STREAM_WITHOUT_CAPACITY = belief(
    "test_update", "stream-without-capacity",
    "A stream change goes with BillingMode PAY_PER_REQUEST, not with capacity, PROVISIONED or an index",
    "measured/settings 2.1 [TABLE-382]",
)  # fmt: skip
INDEX_WITHOUT_CAPACITY = belief(
    "test_update", "index-without-capacity",
    "Creating or deleting an index goes with BillingMode PAY_PER_REQUEST or index updates, not with capacity",
    "measured/indexes-capacity 2 [TABLE-174, TABLE-382]",
)  # fmt: skip
VECTOR_ALONE = belief(
    "test_update", "one-vector-index-at-a-time",
    "One vector index is created or deleted in a call, and nothing else",
    "aws.md G", confirmed=False,
)  # fmt: skip
ATOMIC = belief(
    "test_update", "refused-call-changes-nothing",
    "The valid parts of a refused call are not applied",
    "measured/indexes-capacity 2 [TABLE-380]",
)  # fmt: skip
CLASS_BUDGET = belief(
    "test_update", "class-twice-in-thirty-days",
    "A table's class changes twice in 30 days; the same class is a free 200 before and refused after",
    "measured/settings 2.7 [TABLE-177, TABLE-283]",
)  # fmt: skip
CLASS_SLOW = belief(
    "test_update", "class-switch-shows-old",
    "A class switch answers UPDATING with the old summary, which flips when the table is ACTIVE",
    "measured/settings 2.7 [TABLE-284]",
)  # fmt: skip
CLASS_LOST = belief(
    "test_update", "class-lost-after-encryption",
    "Encryption changed during a class switch makes the table ACTIVE at once; a second class call is then 200 and lost",
    "measured/settings 2.7 [TABLE-285]",
)  # fmt: skip
PROTECTION_COOLDOWN = belief(
    "test_update", "protection-flips-every-fifteen-seconds",
    "Deletion protection flips once in 15 seconds; within them even the same value is throttled",
    "measured/settings 2.8 [TABLE-003, TABLE-054]",
)  # fmt: skip

_CONCERNS = (
    "ProvisionedThroughput", "BillingMode", "StreamSpecification", "GlobalSecondaryIndexUpdates", "SSESpecification",
    "DeletionProtectionEnabled", "OnDemandThroughput", "WarmThroughput", "TableClass", "VectorIndexUpdates",
)  # fmt: skip
_LONERS = (
    ("SSESpecification", "Server-Side Encryption"),
    ("TableClass", "TableClass"),
    ("DeletionProtectionEnabled", "DeletionProtection"),
)
_REPLICATION = ("ReplicaUpdates", "GlobalTableWitnessUpdates", "MultiRegionConsistency")
# These answer with the table's true status, all others say UPDATING even where nothing changes.
_ANSWERING_TRUE_STATUS = frozenset({"SSESpecification", "DeletionProtectionEnabled", "WarmThroughput"})
CLASS_CHANGES = 2


def update_table(context: Context, params: Shape) -> Shape:
    """UpdateTable."""
    given = [name for name in _CONCERNS if params.get(name) not in (None, [])]
    encryption.check_shape(params.get("SSESpecification"))
    _refuse_combinations(params, given)
    table = registry(context).require(context, params["TableName"])
    if not given:
        raise capacity.empty_member()
    if table.origin == "restore" and table.status(context.world.clock.now()) == "CREATING":
        raise not_found(snapshots.INVISIBLE, f"Table: {table.name}")
    refuse_unsettled(context, table)
    steps = [step for step in _plan(context, table, params, given) if step is not None]
    if steps and given != ["DeletionProtectionEnabled"]:
        limits.take_control_plane_write(context)
    for apply in steps:
        apply()
    return {"TableDescription": _answer(context, table, params, given)}


def _refuse_combinations(params: Shape, given: list[str]) -> None:
    if any(params.get(name) for name in _REPLICATION):
        raise validation(NO_GLOBAL_TABLES, "Global tables are not available in this account")
    if not given:
        raise validation(
            NOTHING,
            "At least one of ProvisionedThroughput, BillingMode, UpdateStreamEnabled, GlobalSecondaryIndexUpdates, "
            "SSESpecification, ReplicaUpdates, MultiAccountReplicaReady, ReplicaTransitRoleArn, "
            "MultiRegionConsistency, DeletionProtectionEnabled, OnDemandThroughput, WarmThroughput or TableClass is "
            "required",
        )
    for name in ("OnDemandThroughput", "WarmThroughput"):
        if params.get(name) == {}:
            given.remove(name)
    if params.get("GlobalSecondaryIndexUpdates") == []:
        raise invalid(NOTHING, "List of GlobalSecondaryIndexUpdates is empty")
    updates: Sequence[Shape] = params.get("GlobalSecondaryIndexUpdates", ())
    _refuse_company(given, updates)
    indexes.check_shape(updates)
    _refuse_capacity_beside(params, given, updates)
    if "VectorIndexUpdates" in given and (len(given) > 1 or len(params["VectorIndexUpdates"]) > 1):
        raise over_limit(VECTOR_ALONE, "Only 1 online index can be created or deleted simultaneously per table")


def _refuse_company(given: list[str], updates: Sequence[Shape]) -> None:
    if len(given) < 2:
        return
    for member, name in _LONERS:
        if member in given:
            raise invalid(ALONE, f"{name} modification must be the only operation in the request")
    if "WarmThroughput" in given and any("Create" in update for update in updates):
        raise validation(ALONE, "Create global secondary index cannot be specified when updating WarmThroughput")
    if "WarmThroughput" in given:
        raise validation(ALONE, "WarmThroughput must be the only operation in the request")
    if "OnDemandThroughput" in given and set(given) != {"OnDemandThroughput", "BillingMode"}:
        raise validation(
            MAXIMA_WITH_MODE, "OnDemandThroughput can only be combined with BillingMode in an UpdateTable request"
        )


def _refuse_capacity_beside(params: Shape, given: list[str], updates: Sequence[Shape]) -> None:
    mode = params.get("BillingMode")
    changes_index = any("Update" not in update for update in updates)
    moves_capacity = "ProvisionedThroughput" in given or mode == "PROVISIONED"
    if "StreamSpecification" in given and changes_index:
        raise validation(STREAM_WITHOUT_CAPACITY, "You cannot create or delete index while changing stream status")
    if "StreamSpecification" in given and (moves_capacity or updates):
        raise validation(STREAM_WITHOUT_CAPACITY, "You cannot modify stream status while updating table IOPS")
    if changes_index and moves_capacity:
        raise validation(INDEX_WITHOUT_CAPACITY, "You cannot create or delete index while updating table IOPS")
    if mode == "PROVISIONED" and "ProvisionedThroughput" not in given:
        raise invalid(
            capacity.SWITCH_NEEDS_CAPACITY, "ProvisionedThroughput must be specified when BillingMode is PROVISIONED"
        )
    if mode == "PAY_PER_REQUEST" and "ProvisionedThroughput" in given:
        raise invalid(
            capacity.SWITCH_TO_ON_DEMAND,
            "ProvisionedThroughput cannot be specified when BillingMode is PAY_PER_REQUEST",
        )


def _plan(context: Context, table: Table, params: Shape, given: list[str]) -> list[Apply | None]:
    mode = params.get("BillingMode")
    steps: list[Apply | None] = []
    if mode is not None:
        steps.append(capacity.plan_billing(context, table, params))
    elif "ProvisionedThroughput" in given:
        steps.append(capacity.plan_throughput(context, table, params["ProvisionedThroughput"]))
    if "OnDemandThroughput" in given:
        steps.append(capacity.plan_on_demand(context, table, params))
    if "WarmThroughput" in given:
        steps.append(capacity.plan_warm(context, table, table.billing.warm, params["WarmThroughput"]))
    if "StreamSpecification" in given:
        steps.append(streams.plan(context, table, params["StreamSpecification"]))
    if "TableClass" in given:
        steps.append(_plan_class(context, table, params["TableClass"]))
    if "SSESpecification" in given:
        steps.append(encryption.plan(context, table, params["SSESpecification"]))
    if "DeletionProtectionEnabled" in given:
        steps.append(_plan_protection(context, table, params["DeletionProtectionEnabled"]))
    if "GlobalSecondaryIndexUpdates" in given:
        switching = mode == "PROVISIONED" and table.billing.mode == "PAY_PER_REQUEST"
        steps += indexes.plan(context, table, params, switching)
    if "VectorIndexUpdates" in given:
        steps.append(_plan_vector_index(context, table, params["VectorIndexUpdates"][0]))
    return steps


def _plan_class(context: Context, table: Table, table_class: str) -> Apply | None:
    job = table.jobs.get("class")
    if job is not None and not job.updating:
        return None  # lost, see CLASS_LOST
    now, seconds = context.world.clock.now(), context.world.timings.seconds
    current = table.table_class
    current.changes = [change for change in current.changes if now < change + seconds("class.window")]
    if len(current.changes) >= CLASS_CHANGES and job is None:
        raise over_limit(CLASS_BUDGET, "Updates to TableClass are limited to 2 times in 30 day(s).")
    admission.admit(table, "class")
    if table_class == current.value:
        return None

    def start() -> None:
        current.changes.append(now)

        def finish() -> None:
            current.value, current.shown = table_class, True  # type: ignore[assignment]
            current.updated_at = context.world.clock.now()
            table.jobs.pop("class", None)

        table.jobs["class"] = Job("class", updating=True, target=table_class)
        context.world.schedule(seconds("class.changing"), finish)

    return start


def _plan_protection(context: Context, table: Table, enabled: bool) -> Apply:
    now, protection = context.world.clock.now(), table.protection
    free_at = protection.flipped_at + context.world.timings.seconds("protection.cooldown")
    if now < free_at and math.isfinite(protection.flipped_at):
        raise PROTECTION_COOLDOWN.error(
            "ThrottlingException",
            f"Deletion protection setting for table {table.name} modified within the previous 15000 milliseconds. "
            f"Please try again after {limits.moment(free_at)}",
        )

    def flip() -> None:
        if enabled != protection.enabled:
            protection.enabled, protection.flipped_at = enabled, now

    return flip


def _plan_vector_index(context: Context, table: Table, update: Shape) -> Apply:
    (action, shape), *_ = update.items()
    name = shape["IndexName"]
    there = [index for index in table.vector_indexes if index["IndexName"] == name]
    if action == "Delete" and not there:
        raise indexes.UNKNOWN.error(
            "ResourceNotFoundException", f"Requested resource not found: Index {name} for table {table.name}"
        )
    if action == "Create" and (there or name in table.indexes):
        raise invalid(indexes.NAME_TAKEN, f"Attempting to create an index which already exists: {name}")
    creation.check_name(name)
    admission.admit(table, "index_create" if action == "Create" else "index_delete")

    def start() -> None:
        if action == "Delete":
            there[0]["IndexStatus"] = "DELETING"
            context.world.schedule(
                context.world.timings.seconds("index.deleting"), lambda: table.vector_indexes.remove(there[0])
            )
            return
        index = {**shape, "IndexStatus": "CREATING"}
        table.vector_indexes.append(index)
        delay = sum(context.world.timings.seconds(f"index.{phase}") for phase in ("allocating", "backfilling"))
        context.world.schedule(delay, lambda: index.update(IndexStatus="ACTIVE"))

    return start


def _answer(context: Context, table: Table, params: Shape, given: list[str]) -> Shape:
    """The table as UpdateTable answers it: a no-op says UPDATING, a dropped reversal is shown as if applied."""
    shown = description(context, table)
    if "SSESpecification" in given:
        shown["TableStatus"] = "ACTIVE"
    elif not _ANSWERING_TRUE_STATUS.intersection(given) and given != ["OnDemandThroughput"]:
        shown["TableStatus"] = "UPDATING"
    if params.get("BillingMode", table.billing.mode) != table.billing.mode:
        shown.setdefault("BillingModeSummary", {})["BillingMode"] = params["BillingMode"]
        shown["ProvisionedThroughput"] |= {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0}
    return shown


OPERATIONS: dict[str, Callable[[Context, Shape], Shape]] = {"UpdateTable": update_table}
