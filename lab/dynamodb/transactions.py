# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's data plane: transactions."""

from __future__ import annotations

import hashlib
import json
import threading
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field

from lab.dynamodb import values
from lab.dynamodb.expressions import Projection
from lab.dynamodb.items import (
    INDEX_KEY,
    ITEM_KEY,
    ITEM_SIZE,
    KEY_MATCHES,
    ItemRules,
    Write,
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
from lab.dynamodb.spending import Spent, consumed_capacity, read_units, written
from lab.dynamodb.values import Item
from lab.dynamodb.words import belief, validation
from lab.errors import AwsError
from lab.rules import Rule, RuleBroken
from lab.world import Context

TRANSACTION = belief(
    "test_transactions", "transaction-all-or-nothing",
    "A transaction happens whole or not at all; TransactionCanceledException tells the reason of each part",
    "AWS API reference dynamodb:TransactWriteItems",
)  # fmt: skip
REASONS = belief(
    "test_transactions", "cancellation-reasons",
    "A transaction with an item or key that its table does not take is cancelled before any condition is looked at: "
    "ValidationError for the first such part, None for all others; wrong expressions are ValidationException",
    "ScyllaDB's tests, which run on AWS: alternator/test_transact.py",
)  # fmt: skip
TOKEN = belief(
    "test_transactions", "transaction-token",
    "For 10 minutes a transaction with the same ClientRequestToken succeeds without doing anything, at the cost of a "
    "read, and one with other parts is IdempotentParameterMismatchException; cancelled ones are forgotten (a guess)",
    "AWS API reference dynamodb:TransactWriteItems; ScyllaDB's tests, which run on AWS: alternator/test_transact.py",
)  # fmt: skip
SIZE = belief(
    "test_transactions", "transaction-size",
    "The items of a transaction have at most 4 MB together; code and text are a guess",
    "AWS API reference dynamodb:TransactWriteItems", confirmed=False,
)  # fmt: skip
ONE_ACTION = belief(
    "test_transactions", "one-action-per-part",
    "Each part of TransactWriteItems is exactly one of ConditionCheck, Put, Delete and Update; the text is a guess",
    "AWS API reference dynamodb:TransactWriteItems", confirmed=False,
)  # fmt: skip

TOKEN_SECONDS = 600.0
_MOST_BYTES = 4 * 1024 * 1024
_OF_ITEMS = frozenset(each.name for each in (ITEM_KEY, INDEX_KEY, KEY_MATCHES, ITEM_SIZE, values.NESTING))


@dataclass
class Tokens:
    """The ClientRequestTokens of the last 10 minutes, each with what it stood for."""

    seen: dict[tuple[str, str, str], tuple[float, str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def known(self, context: Context, params: Shape) -> bool:
        """Whether the transaction was done already; IdempotentParameterMismatchException where it was another one."""
        now = context.world.clock.now()
        with self.lock:
            self.seen = {key: entry for key, entry in self.seen.items() if now < entry[0] + TOKEN_SECONDS}
            entry = self.seen.get(_place(context, params))
        if entry is not None and entry[1] != _content(params):
            text = "The request uses the same client token as a previous, but non-identical request."
            raise TOKEN.error("IdempotentParameterMismatchException", text)
        return entry is not None

    def remember(self, context: Context, params: Shape) -> None:
        """The transaction is done."""
        with self.lock:
            self.seen[_place(context, params)] = (context.world.clock.now(), _content(params))


def _place(context: Context, params: Shape) -> tuple[str, str, str]:
    return context.account_id, context.region, params["ClientRequestToken"]


def _content(params: Shape) -> str:
    return hashlib.sha256(json.dumps(params, sort_keys=True).encode()).hexdigest()


def transact_write_items(context: Context, params: Shape) -> Shape:
    """TransactWriteItems."""
    makers = {"Put": planned_put, "Update": planned_update, "Delete": planned_delete, "ConditionCheck": _checking}
    parts: list[tuple[str, Shape]] = []
    for entry in params["TransactItems"]:
        if len(entry) != 1:
            text = "TransactItems can only contain one of Check, Put, Update or Delete"
            raise validation(ONE_ACTION, text)
        parts += entry.items()
    writes: list[Write] = []
    reasons: list[Shape] = []
    for kind, part in parts:
        try:
            writes.append(makers[kind](context, part))
            reasons.append({"Code": "None"})
        except RuleBroken as error:
            if error.rule not in _OF_ITEMS:
                raise
            first = all(reason["Code"] == "None" for reason in reasons)
            reasons.append(_reason(error) if first else {"Code": "None"})
    _refuse_cancelled(REASONS, reasons)
    _refuse_repeated([(write.table, write.key) for write in writes])
    tokens = context.world.part(Tokens)
    token = "ClientRequestToken" in params
    reasons, done = [], []
    time = context.world.clock.now()
    with ExitStack() as stack:
        # Always in the same order, so that two transactions cannot wait for each other.
        for store in sorted({write.table.store for write in writes}, key=id):
            stack.enter_context(store.transaction())
        if token and tokens.known(context, params):
            return _repeated(params, writes)
        for write in writes:
            try:
                done.append(write.perform(time))
                reasons.append({"Code": "None"})
            except AwsError as error:
                reasons.append(_reason(error))
        _refuse_cancelled(TRANSACTION, reasons)
        if sum(new[1] if new else 0 for _, new in done) > _MOST_BYTES:
            raise validation(SIZE, "Transaction request cannot include more than 4 MB of items")
        if token:
            tokens.remember(context, params)
    spent = [
        (write.table, written(write.table, old, new[0] if new else None))
        for write, (old, new) in zip(writes, done, strict=True)
    ]
    return _with_capacity(params, spent)


def _repeated(params: Shape, writes: list[Write]) -> Shape:
    """The answer to a transaction that was done already: it has read the items."""
    sizes = [(write.table, (write.table.store.sized(write.key) or (b"", 0))[1]) for write in writes]
    return _with_capacity(params, [(table, Spent(read_units(size, True))) for table, size in sizes])


def _with_capacity(params: Shape, parts: list[tuple[Table, Spent]]) -> Shape:
    tables = {table.table_id: table for table, _ in parts}
    spent = {identifier: Spent() for identifier in tables}
    for table, units in parts:
        spent[table.table_id].add(units, 2.0)  # see spending.TWICE
    consumed = [consumed_capacity(params, tables[identifier], units) for identifier, units in spent.items()]
    return {"ConsumedCapacity": [each for each in consumed if each]} if any(consumed) else {}


def _reason(error: AwsError) -> Shape:
    code = "ValidationError" if error.code == "ValidationException" else error.code.removesuffix("Exception")
    return {"Code": code, "Message": error.message, **error.members}


def _checking(context: Context, params: Shape) -> Write:
    """A ConditionCheck: a write that leaves the item as it is."""
    write = planned_delete(context, params)

    def same(old: Item | None) -> tuple[Item, int] | None:
        return None if old is None else (old, values.item_size(old))

    return Write(write.table, write.key, write.condition, same, write.shown_on_failure)


def _refuse_repeated(keys: list[tuple[Table, Item]]) -> None:
    if len({(table.table_id, table.store.position(key)) for table, key in keys}) < len(keys):
        raise validation(TRANSACTION, "Transaction request cannot include multiple operations on one item")


def _refuse_cancelled(rule: Rule, reasons: list[Shape]) -> None:
    codes = ", ".join(reason["Code"] for reason in reasons)
    if any(reason["Code"] != "None" for reason in reasons):
        text = f"Transaction cancelled, please refer cancellation reasons for specific reasons [{codes}]"
        raise rule.error("TransactionCanceledException", text, CancellationReasons=reasons)


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
    spent: list[tuple[Table, Spent]] = []
    total = 0
    with ExitStack() as stack:
        for store in sorted({table.store for table, _, _ in gets}, key=id):
            stack.enter_context(store.lock)
        for table, key, projection in gets:
            body, size = table.store.sized(key) or (None, 0)
            answers.append(json_answer({"Item": None if body is None else projected(body, projection)}))
            spent.append((table, Spent(read_units(size, True))))
            total += size
    if total > _MOST_BYTES:
        raise validation(SIZE, "Transaction request cannot include more than 4 MB of items")
    return json_answer({"Responses": b"[%s]" % b",".join(answers), **_with_capacity(params, spent)})


OPERATIONS: dict[str, Callable[[Context, Shape], Shape | bytes]] = {
    "TransactWriteItems": transact_write_items,
    "TransactGetItems": transact_get_items,
}
