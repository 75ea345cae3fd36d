# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's data plane: items in batches."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping

from lab.dynamodb.expressions import Projection
from lab.dynamodb.items import (
    ItemRules,
    json_answer,
    placeholders_of,
    projected,
    projection_of,
    refuse_legacy,
    usable_table,
)
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.spending import Spent, consumed_capacity, read_units, written
from lab.dynamodb.values import Item
from lab.dynamodb.words import belief, validation
from lab.world import Context

BATCH_DUPLICATES = belief(
    "test_batches", "batch-without-duplicates",
    "A batch names each key once (numbers compared as numbers), at most 25 writes or 100 reads",
    "aws.md H",
)  # fmt: skip
ONE_REQUEST = belief(
    "test_batches", "batch-entry-is-one-request",
    "An entry of BatchWriteItem is a PutRequest or a DeleteRequest: both or none is refused, in words that are a guess",
    "AWS API reference dynamodb:WriteRequest", confirmed=False,
)  # fmt: skip
UNPROCESSED = belief(
    "test_batches", "unprocessed-items",
    "A batch may come back with 200 and some of its items unprocessed, to be sent again",
    "aws.md H",
)  # fmt: skip

BATCH_READ_BYTES = 16 * 1024 * 1024
NO_DUPLICATES = "Provided list of item keys contains duplicates"


def batch_write_item(context: Context, params: Shape) -> Shape:
    """BatchWriteItem: each write by itself, none with a condition."""
    requests: Mapping[str, list[Shape]] = params["RequestItems"]
    if sum(map(len, requests.values())) > 25:
        raise validation(BATCH_DUPLICATES, "Too many items requested for the BatchWriteItem call")
    planned: list[tuple[Table, list[tuple[Item, int | None]]]] = []
    for name, entries in requests.items():
        table = usable_table(context, name)
        rules = ItemRules(table, in_batch=True)
        writes: list[tuple[Item, int | None]] = []
        seen: set[bytes] = set()
        for entry in entries:
            if len(entry) != 1:
                raise validation(
                    ONE_REQUEST, "Each entry of a BatchWriteItem has either a PutRequest or a DeleteRequest"
                )
            if "PutRequest" in entry:
                writes.append(rules.checked(entry["PutRequest"]["Item"]))
            else:
                writes.append((rules.key(entry["DeleteRequest"]["Key"]), None))
            seen.add(table.store.position(writes[-1][0]))
        if len(seen) < len(entries):
            raise validation(BATCH_DUPLICATES, NO_DUPLICATES)
        planned.append((table, writes))
    left = _unprocessed(context, params, sum(map(len, requests.values())))
    unprocessed: dict[str, list[Shape]] = {}
    units: list[Shape] = []
    counted = params.get("ReturnConsumedCapacity", "NONE") != "NONE"
    time = context.world.clock.now()
    for (name, entries), (table, writes) in zip(requests.items(), planned, strict=True):
        done = max(0, len(writes) - left)
        if done < len(writes):
            unprocessed[name] = entries[done:]
            left -= len(writes) - done
        spent = Spent()
        with table.store.transaction():
            for item, size in writes[:done]:
                old = table.store.delete(item, time) if size is None else table.store.put(item, size, time)
                if counted:
                    found = None if old is None else json.loads(old)
                    spent.add(written(table, found, None if size is None else item))
        consumed = consumed_capacity(params, table, spent)
        units += [consumed] if consumed else []
    return {"UnprocessedItems": unprocessed} | ({"ConsumedCapacity": units} if units else {})


def _unprocessed(context: Context, params: Shape, most: int) -> int:
    """How many items of this batch a fault leaves unprocessed."""
    fault = context.world.faults.take(
        "unprocessed_items", f"dynamodb.{context.operation}", params, context.caller.account_id
    )
    return 0 if fault is None else min(most, int(fault.values.get("count", most)))


def batch_get_item(context: Context, params: Shape) -> bytes:
    """BatchGetItem: up to 100 items and 16 MB."""
    requests: Mapping[str, Shape] = params["RequestItems"]
    if sum(len(request["Keys"]) for request in requests.values()) > 100:
        raise validation(BATCH_DUPLICATES, "Too many items requested for the BatchGetItem call")
    planned: list[tuple[str, Table, list[Item], Projection | None]] = []
    for name, request in requests.items():
        refuse_legacy(request)
        table = usable_table(context, name)
        placeholders = placeholders_of(request)
        projection = projection_of(request, placeholders)
        placeholders.refuse_unused()
        rules = ItemRules(table)
        keys = [rules.key(key) for key in request["Keys"]]
        if len({table.store.position(key) for key in keys}) < len(keys):
            raise validation(BATCH_DUPLICATES, NO_DUPLICATES)
        planned.append((name, table, keys, projection))
    left = _unprocessed(context, params, sum(len(keys) for _, _, keys, _ in planned))
    responses: dict[str, bytes] = {}
    unprocessed: dict[str, Shape] = {}
    units: list[Shape] = []
    total = 0
    for name, table, keys, projection in planned:
        done = max(0, len(keys) - left)
        bodies: list[bytes] = []
        consistent = requests[name].get("ConsistentRead", False)
        read = 0.0
        for position, key in enumerate(keys[:done]):
            body, size = table.store.sized(key) or (None, 0)
            if total + size > BATCH_READ_BYTES:
                done = position
                break
            read += read_units(size, consistent)
            total += size
            if body is not None:
                bodies.append(body)
        if done < len(keys):
            unprocessed[name] = {**requests[name], "Keys": keys[done:]}
            left = max(0, left - (len(keys) - done))
        responses[name] = b"[%s]" % b",".join(projected(body, projection) for body in bodies)
        consumed = consumed_capacity(params, table, Spent(read))
        units += [consumed] if consumed else []
    return json_answer(
        {"Responses": json_answer(responses), "UnprocessedKeys": unprocessed, "ConsumedCapacity": units or None}
    )


OPERATIONS: dict[str, Callable[[Context, Shape], Shape | bytes]] = {
    "BatchGetItem": batch_get_item,
    "BatchWriteItem": batch_write_item,
}
