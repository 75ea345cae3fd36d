# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's data plane: transactions."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack

from lab.dynamodb import values
from lab.dynamodb.expressions import Projection
from lab.dynamodb.items import (
    ItemRules,
    Write,
    consumed_capacity,
    json_answer,
    placeholders_of,
    planned_delete,
    planned_put,
    planned_update,
    projected,
    projection_of,
    usable_table,
)
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.values import Item
from lab.dynamodb.words import belief, validation
from lab.errors import AwsError
from lab.world import Context

TRANSACTION = belief(
    "test_transactions", "transaction-all-or-nothing",
    "A transaction happens whole or not at all; TransactionCanceledException tells the reason of each part",
    "AWS API reference dynamodb:TransactWriteItems",
)  # fmt: skip


def transact_write_items(context: Context, params: Shape) -> Shape:
    """TransactWriteItems, without remembering ClientRequestToken."""
    makers = {"Put": planned_put, "Update": planned_update, "Delete": planned_delete, "ConditionCheck": _checking}
    writes = [makers[kind](context, part) for entry in params["TransactItems"] for kind, part in entry.items()]
    _refuse_repeated([(write.table, write.key) for write in writes])
    reasons: list[Shape] = []
    time = context.world.clock.now()
    with ExitStack() as stack:
        # Always in the same order, so that two transactions cannot wait for each other.
        for store in sorted({write.table.store for write in writes}, key=id):
            stack.enter_context(store.transaction())
        for write in writes:
            try:
                write.perform(time)
                reasons.append({"Code": "None"})
            except AwsError as error:
                code = (
                    "ValidationError" if error.code == "ValidationException" else error.code.removesuffix("Exception")
                )
                reasons.append({"Code": code, "Message": error.message, **error.members})
        _refuse_cancelled(reasons)
    sizes: dict[str, float] = {}
    for write in writes:
        sizes[write.table.name] = sizes.get(write.table.name, 0.0) + 2.0
    consumed = [shape for name, units in sizes.items() if (shape := consumed_capacity(params, name, units))]
    return {"ConsumedCapacity": consumed} if consumed else {}


def _checking(context: Context, params: Shape) -> Write:
    """A ConditionCheck: a write that leaves the item as it is."""
    write = planned_delete(context, params)

    def same(old: Item | None) -> tuple[Item, int] | None:
        return None if old is None else (old, values.item_size(old))

    return Write(write.table, write.key, write.condition, same, write.shown_on_failure)


def _refuse_repeated(keys: list[tuple[Table, Item]]) -> None:
    if len({(table.table_id, table.store.position(key)) for table, key in keys}) < len(keys):
        raise validation(TRANSACTION, "Transaction request cannot include multiple operations on one item")


def _refuse_cancelled(reasons: list[Shape]) -> None:
    codes = ", ".join(reason["Code"] for reason in reasons)
    if any(reason["Code"] != "None" for reason in reasons):
        text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
        raise TRANSACTION.error("TransactionCanceledException", text, CancellationReasons=reasons)


def transact_get_items(context: Context, params: Shape) -> bytes:
    """TransactGetItems."""
    gets: list[tuple[Table, Item, Projection | None]] = []
    for entry in params["TransactItems"]:
        part = entry["Get"]
        table = usable_table(context, part["TableName"])
        placeholders = placeholders_of(part)
        projection = projection_of(part, placeholders)
        placeholders.refuse_unused()
        gets.append((table, ItemRules(table).key(part["Key"]), projection))
    _refuse_repeated([(table, key) for table, key, _ in gets])
    answers: list[bytes] = []
    with ExitStack() as stack:
        for store in sorted({table.store for table, _, _ in gets}, key=id):
            stack.enter_context(store.lock)
        for table, key, projection in gets:
            body = table.store.get(key)
            answers.append(json_answer({"Item": None if body is None else projected(body, projection)}))
    return json_answer({"Responses": b"[%s]" % b",".join(answers)})


OPERATIONS: dict[str, Callable[[Context, Shape], Shape | bytes]] = {
    "TransactWriteItems": transact_write_items,
    "TransactGetItems": transact_get_items,
}
