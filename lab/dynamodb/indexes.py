# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Global secondary indexes of a live table: added with a backfill, changed, and deleted (indexes-capacity 2)."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from lab.dynamodb import admission, capacity, creation, limits
from lab.dynamodb.model import Index, Shape, Table
from lab.dynamodb.tables import new_index
from lab.dynamodb.words import belief, in_use, invalid, over_limit, validation
from lab.world import Context

Apply = Callable[[], None]

ONE_AT_A_TIME = belief(
    "test_indexes", "one-index-at-a-time",
    "One index is created or deleted per call and per table at a time, else LimitExceededException",
    "measured/indexes-capacity 2 [TABLE-159]",
)  # fmt: skip
ONCE_IN_A_CALL = belief(
    "test_indexes", "index-once-in-a-call",
    "An index is named once in a call, and each entry holds one action",
    "measured/indexes-capacity 2 [TABLE-160]",
)  # fmt: skip
CREATE_SHAPE = belief(
    "test_indexes", "index-create-shape",
    "A Create needs AttributeDefinitions of its keys; the table's own definitions stand, whatever is sent for them",
    "measured/indexes-capacity 2 [TABLE-162, TABLE-358]",
)  # fmt: skip
NAME_TAKEN = belief(
    "test_indexes", "index-name-taken",
    "A Create of a name that an index has, a local one too, is a ValidationException; of one DELETING, in use",
    "measured/indexes-capacity 2 [TABLE-137, TABLE-166]",
)  # fmt: skip
TOO_MANY = belief(
    "test_indexes", "twenty-indexes",
    "The 21st global index is LimitExceededException in UpdateTable",
    "measured/indexes-capacity 2 [TABLE-169]",
)  # fmt: skip
CAPACITY = belief(
    "test_indexes", "index-create-capacity",
    "On a PROVISIONED table a Create needs both capacities",
    "measured/indexes-capacity 2 [TABLE-152]",
)  # fmt: skip
UPDATE_ON_DEMAND = belief(
    "test_indexes", "index-capacity-on-demand",
    "On an on-demand table the capacity of an index cannot be updated",
    "measured/indexes-capacity 2 [TABLE-152]",
)  # fmt: skip
UNKNOWN = belief(
    "test_indexes", "unknown-index",
    "An unknown index is ResourceNotFoundException, for warm throughput HTTP 500 InternalFailure without a text",
    "measured/indexes-capacity 2 [TABLE-161]",
)  # fmt: skip
LOCAL_STAYS = belief(
    "test_indexes", "local-index-stays",
    "Local indexes cannot be changed or deleted",
    "measured/indexes-capacity 2 [TABLE-137]",
)  # fmt: skip
BACKFILLED = belief(
    "test_indexes", "index-backfilled",
    "A new index is allocated (table UPDATING), then backfilled (table ACTIVE), and holds the items with its key once "
    "ACTIVE",
    "measured/indexes-capacity 2 [TABLE-148, TABLE-165]; emulators.md 9",
)  # fmt: skip
LEFT_OUT = belief(
    "test_indexes", "index-backfill-leaves-out",
    "An item whose key of a new index has another type, is empty or too long is left out of it and stays in the table",
    "ScyllaDB's tests, which run on AWS: alternator/test_gsi.py",
)  # fmt: skip
PRUNED = belief(
    "test_indexes", "index-delete-prunes",
    "A deleted index vanishes after DELETING, and its attributes leave AttributeDefinitions",
    "measured/indexes-capacity 2 [TABLE-151, TABLE-166]",
)  # fmt: skip
BUSY = belief(
    "test_indexes", "index-busy",
    "An index in allocation takes neither Update nor Delete, one DELETING nothing; a second ODT Update is in use",
    "measured/indexes-capacity 2 [TABLE-149, TABLE-150, TABLE-135]",
)  # fmt: skip
EMPTY_WARM = belief(
    "test_indexes", "index-warm-empty",
    "An empty WarmThroughput of an index is a ValidationException before anything else is looked at",
    "measured/indexes-capacity 3 [TABLE-456]",
)  # fmt: skip
NO_ACTION = belief(
    "test_indexes", "index-update-without-action",
    "An entry of GlobalSecondaryIndexUpdates without an action is a ValidationException",
    "measured/more 7 [TABLE-437, TABLE-442]",
)  # fmt: skip
RETYPED = belief(
    "test_indexes", "definition-of-another-type",
    "UpdateTable that defines a known attribute with another type ignores it, or refuses it: behaviour "
    "dynamodb.redefined_attribute",
    "measured/indexes-capacity 2 [TABLE-162, TABLE-358] ignored; ScyllaDB's tests, which run on AWS, refused",
    confirmed=False,
)  # fmt: skip
UPDATING = belief(
    "test_indexes", "index-update-keeps-table-active",
    "Capacity or maxima of an index change with IndexStatus UPDATING while the table stays ACTIVE",
    "measured/indexes-capacity 2 [TABLE-148]",
)  # fmt: skip


def check_shape(updates: Sequence[Shape]) -> None:
    """Refuse what is wrong in GlobalSecondaryIndexUpdates, whatever the state of the table."""
    for update in updates:
        if not update:
            raise invalid(
                NO_ACTION,
                "One of GlobalSecondaryIndexUpdate.Update, GlobalSecondaryIndexUpdate.Create, "
                "GlobalSecondaryIndexUpdate.Delete must not be null",
            )
        warm = update.get("Update", {}).get("WarmThroughput")
        if warm == {}:
            raise invalid(
                EMPTY_WARM,
                "WarmThroughput must have at least one of ReadUnitsPerSecond or WriteUnitsPerSecond specified for "
                f"index: {update['Update']['IndexName']}",
            )
        if len(update) > 1:
            raise invalid(
                ONCE_IN_A_CALL,
                "Only one global secondary index action is allowed per GlobalSecondaryIndexUpdate object",
            )
    names = [action["IndexName"] for update in updates for action in update.values()]
    for name in names:
        if names.count(name) > 1:
            raise invalid(
                ONCE_IN_A_CALL,
                f"Only one global secondary index update per index is allowed simultaneously. Index: {name}",
            )
    if sum("Update" not in update for update in updates) > 1:
        raise _one_at_a_time()


def _one_at_a_time() -> Exception:
    return over_limit(ONE_AT_A_TIME, "Only 1 online index can be created or deleted simultaneously per table")


def plan(context: Context, table: Table, params: Shape, switching: bool) -> list[Apply | None]:
    """Check the actions of a call. ``switching``: its change to PROVISIONED applies the capacities."""
    steps: list[Apply | None] = []
    for update in params["GlobalSecondaryIndexUpdates"]:
        (action, shape), *_ = update.items()
        if action == "Create":
            steps.append(_plan_create(context, table, shape, params))
        elif action == "Delete":
            steps.append(_plan_delete(context, table, shape["IndexName"]))
        else:
            steps += _plan_update(context, table, shape, params, switching)
    return steps


# Create


def _plan_create(context: Context, table: Table, shape: Shape, params: Shape) -> Apply:
    name = shape["IndexName"]
    there = table.indexes.get(name)
    if there is not None and there.status == "DELETING":
        raise in_use(BUSY, f"Index is being deleted. Table: {table.name} Index: {name}")
    if there is not None:
        raise invalid(NAME_TAKEN, f"Attempting to create an index which already exists: {name}")
    creation.check_name(name)
    defined = {each["AttributeName"]: each for each in params.get("AttributeDefinitions", ())}
    defined |= {each["AttributeName"]: each for each in table.attribute_definitions}
    if context.world.behaviours["dynamodb.redefined_attribute"] == "refused":
        for each in params.get("AttributeDefinitions", ()):
            if each["AttributeType"] != defined[each["AttributeName"]]["AttributeType"]:
                raise invalid(RETYPED, f"Attribute {each['AttributeName']} is already defined with another type")
    creation.check_key_schema(shape["KeySchema"], creation.KEY_ATTRIBUTES_OF_EACH_KIND)
    keys = [key["AttributeName"] for key in shape["KeySchema"]]
    if "AttributeDefinitions" not in params or any(key not in defined for key in keys):
        raise invalid(CREATE_SHAPE, f"AttributeDefinitions is not specified for index: {name}")
    creation.check_projection(shape["Projection"])
    _check_create_capacity(context, table, shape, params.get("BillingMode", table.billing.mode))
    admission.admit(table, "index_create")
    if any(index.status in ("CREATING", "DELETING") for index in table.global_indexes):
        raise _one_at_a_time()
    most = context.world.quota(context.account_id, limits.GLOBAL_INDEXES)
    if len(table.global_indexes) >= most:
        raise over_limit(TOO_MANY, f"Number of global secondary indexes exceeds per-table limit of {most}")

    def apply() -> None:
        known = {each["AttributeName"] for each in table.attribute_definitions}
        table.attribute_definitions = sorted(
            [*table.attribute_definitions, *(defined[key] for key in dict.fromkeys(keys) if key not in known)],
            key=lambda each: each["AttributeName"],
        )
        _allocate(context, table, shape)

    return apply


def _check_create_capacity(context: Context, table: Table, shape: Shape, mode: str) -> None:
    name, given = shape["IndexName"], shape.get("ProvisionedThroughput")
    if mode == "PROVISIONED" and not given:
        raise invalid(CAPACITY, f"Both ReadCapacityUnits and WriteCapacityUnits must be specified for index: {name}")
    if mode == "PAY_PER_REQUEST" and given:
        raise invalid(
            UPDATE_ON_DEMAND,
            f"ProvisionedThroughput should not be specified for index: {name} when BillingMode is PAY_PER_REQUEST",
        )
    capacity.check_maxima(context, shape.get("OnDemandThroughput", {}), mode, name)
    creation.check_units(context, shape, name)
    creation.check_account_units(context, [shape])


def _allocate(context: Context, table: Table, shape: Shape) -> None:
    world = context.world
    index = new_index(table, shape, "global")
    index.backfilling = False
    table.indexes[index.name] = index

    def backfill() -> None:
        index.backfilling = True
        table.store.add_index(index.name, index.key_schema, index.projection, table.attribute_definitions)
        index.event = world.schedule(world.timings.seconds("index.backfilling"), finish)

    def finish() -> None:
        index.status, index.backfilling, index.event = "ACTIVE", None, None

    index.event = world.schedule(world.timings.seconds("index.allocating"), backfill)


# Delete


def _global_index(table: Table, name: str, verb: str) -> Index:
    index = table.indexes.get(name)
    if index is None:
        raise UNKNOWN.error(
            "ResourceNotFoundException", f"Requested resource not found: Index {name} for table {table.name}"
        )
    if not index.is_global:
        raise invalid(LOCAL_STAYS, f"Cannot {verb} an index that is not a GlobalSecondaryIndex: {name}")
    if index.status == "DELETING":
        raise in_use(BUSY, f"Index is being deleted. Table: {table.name} Index: {name}")
    return index


def _plan_delete(context: Context, table: Table, name: str) -> Apply:
    index = _global_index(table, name, "delete")
    if index.status == "CREATING" and not index.backfilling:
        raise in_use(
            BUSY,
            "Index creation is in resource allocation phase. Retry deletion during backfilling phase or when the "
            f"index is active. Table: {table.name} Index: {name}",
        )
    admission.admit(table, "index_delete")
    if any(other.status in ("CREATING", "DELETING") for other in table.global_indexes if other is not index):
        raise _one_at_a_time()

    def apply() -> None:
        if index.event is not None:
            index.event.cancel()
        index.status, index.backfilling = "DELETING", None

        def finish() -> None:
            del table.indexes[name]
            table.insights.pop(name, None)
            table.store.remove_index(name)
            used = {key for other in table.indexes.values() for key in other.key_attributes} | set(table.key_attributes)
            table.attribute_definitions = [
                each for each in table.attribute_definitions if each["AttributeName"] in used
            ]

        index.event = context.world.schedule(context.world.timings.seconds("index.deleting"), finish)

    return apply


# Update


def _plan_update(context: Context, table: Table, shape: Shape, params: Shape, switching: bool) -> list[Apply | None]:
    name = shape["IndexName"]
    if name not in table.indexes and "WarmThroughput" in shape:
        raise UNKNOWN.error("InternalFailure", "", 500, "server")
    index = _global_index(table, name, "update")
    if index.status == "CREATING" and not index.backfilling:
        raise in_use(BUSY, f"Index is being created but is not backfilling yet. Table: {table.name} Index: {name}")
    mode = params.get("BillingMode", table.billing.mode)
    steps: list[Apply | None] = []
    if "ProvisionedThroughput" in shape and not switching:
        steps.append(_plan_throughput(context, index, shape["ProvisionedThroughput"], mode))
    if maxima := shape.get("OnDemandThroughput"):
        steps += _plan_maxima(context, table, index, maxima, mode)
    if warm := shape.get("WarmThroughput"):
        steps.append(capacity.plan_warm(context, table, index.warm, warm, name))
    return steps


def _plan_throughput(context: Context, index: Index, throughput: Shape, mode: str) -> Apply:
    if mode == "PAY_PER_REQUEST":
        raise validation(
            UPDATE_ON_DEMAND,
            f"One or more parameter values were invalid: The only Updates for index: {index.name} when "
            "TableThroughputMode is PAY_PER_REQUEST can be to OnDemandThroughput, WarmThroughput",
        )
    capacity.check_throughput(context, index.throughput, throughput, index.name)

    def apply() -> None:
        capacity.count_decrease(context, index.throughput, throughput)
        _update(context, index, lambda: capacity.set_throughput(context, index.throughput, index.warm, throughput))

    return apply


def _plan_maxima(context: Context, table: Table, index: Index, maxima: Shape, mode: str) -> list[Apply]:
    capacity.check_maxima(context, maxima, mode, index.name)
    current = {**index.on_demand, **(index.pending_on_demand or {})}
    if maxima.items() <= current.items():
        return []
    if index.status == "UPDATING":
        raise in_use(BUSY, f"Index is being updated. Table: {table.name} Index: {index.name}")

    def apply() -> None:
        index.pending_on_demand = maxima

        def finish() -> None:
            index.pending_on_demand = None
            capacity.set_maxima(context, table, index, maxima)

        _update(context, index, finish)

    return [apply]


def _update(context: Context, index: Index, finish: Apply) -> None:
    if index.status == "ACTIVE":
        index.status = "UPDATING"

    def end() -> None:
        if index.status == "UPDATING":
            index.status = "ACTIVE"
        finish()

    context.world.schedule(context.world.timings.seconds("index.updating"), end)
