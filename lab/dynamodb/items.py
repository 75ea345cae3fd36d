# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's data plane: what a table demands of an item, and the operations on a single one."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from lab.dynamodb import expressions, values
from lab.dynamodb.expressions import Condition, Placeholders, Projection
from lab.dynamodb.model import Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.spending import Spent, consumed_capacity, read_units, written
from lab.dynamodb.time_to_live import delete_expired
from lab.dynamodb.values import KEY_BYTES, MAX_ITEM_BYTES, Item
from lab.dynamodb.words import belief, invalid, validation
from lab.world import Context

NOT_READY = belief(
    "test_items", "items-need-an-active-table",
    "The data plane answers ResourceNotFoundException until a table is ACTIVE; so too while it is DELETING (a guess)",
    "measured/import-export-table 1.7",
)  # fmt: skip
ITEM_KEY = belief(
    "test_items", "item-has-its-key",
    "An item has its key attributes, of the right types, not empty, 2048 bytes for the hash and 1024 for the range key",
    "aws.md H",
)  # fmt: skip
INDEX_KEY = belief(
    "test_items", "index-key-type",
    "An item whose attribute is an index's key must have the key's type, no empty value, and as a hash key at most "
    "2048, as a range key at most 1024 bytes",
    "AWS developer guide, Global secondary indexes",
)  # fmt: skip
KEY_MATCHES = belief(
    "test_items", "key-matches-schema",
    "A Key is exactly the table's key attributes",
    "AWS API reference dynamodb:GetItem",
)  # fmt: skip
BATCH_KEY = belief(
    "test_items", "batch-key-type",
    "In BatchWriteItem an item whose key has another type does not match the schema; PutItem names the types",
    "tests that run on AWS: nubo-db/dynamodb-conformance, tests/tier3/error-messages/batchWriteItem",
)  # fmt: skip
KEY_DIFFERS = "The provided key element does not match the schema"
ITEM_SIZE = belief(
    "test_items", "item-size-limit",
    "An item has at most 400 KB, names included",
    "aws.md H",
)  # fmt: skip
CONDITION_FAILED = belief(
    "test_items", "condition-fails",
    "A write whose condition does not hold is ConditionalCheckFailedException and changes nothing",
    "AWS API reference dynamodb:PutItem",
)  # fmt: skip
RETURN_VALUES = belief(
    "test_items", "return-values",
    "PutItem and DeleteItem return NONE or ALL_OLD, UpdateItem old or new ones, all or those updated",
    "AWS API reference dynamodb:UpdateItem",
)  # fmt: skip
UPDATED_PARTS = belief(
    "test_items", "updated-parts-alone",
    "UPDATED_OLD and UPDATED_NEW show the paths that were written, not the whole attributes that hold them",
    "ScyllaDB's tests, which run on AWS: alternator/test_returnvalues.py",
)  # fmt: skip
REMOVING_MAKES_NOTHING = belief(
    "test_items", "removing-makes-no-item",
    "An UpdateItem that only removes (REMOVE, DELETE) makes no item where there is none; one without expression does",
    "ScyllaDB's tests, which run on AWS: alternator/test_returnvalues.py (DELETE: by analogy)",
)  # fmt: skip
NO_LEGACY = belief(
    "test_items", "no-legacy-parameters",
    "The lab has no legacy conditions (Expected, ScanFilter..): it refuses them rather than to ignore them",
    "AWS developer guide, Legacy conditional parameters", confirmed=False,
)  # fmt: skip

_LEGACY = (
    "AttributesToGet", "AttributeUpdates", "ConditionalOperator", "Expected", "KeyConditions", "QueryFilter",
    "ScanFilter",
)  # fmt: skip


class ItemRules:
    """What a table demands of an item; made once for many items."""

    def __init__(self, table: Table, *, of_indexes: bool = True, in_batch: bool = False) -> None:
        """Without ``of_indexes`` the keys of indexes are not looked at: an index then lacks what it does not take.
        ``in_batch``: BatchWriteItem has words of its own."""
        self._in_batch = in_batch
        types = {each["AttributeName"]: each["AttributeType"] for each in table.attribute_definitions}
        self._keys = [(key["AttributeName"], types[key["AttributeName"]], key["KeyType"]) for key in table.key_schema]
        self._index_keys = [
            (key["AttributeName"], types[key["AttributeName"]], key["KeyType"], index.name)
            for index in (table.indexes.values() if of_indexes else ())
            for key in index.key_schema
            if key["AttributeName"] in types and key["AttributeName"] not in table.key_attributes
        ]

    def checked(self, raw: Any) -> tuple[Item, int]:
        """``raw`` in canonical form, and its size; ValidationException for what the table does not take."""
        item, size = values.canonical_item(raw)
        self._check_keys(item)
        for name, kind, key_type, index in self._index_keys:
            if name in item:
                self._check_index_key(item[name], name, kind, key_type, index)
        if size > MAX_ITEM_BYTES:
            raise validation(ITEM_SIZE, "Item size has exceeded the maximum allowed size")
        return item, size

    def key(self, raw: Any) -> Item:
        """A ``Key`` parameter in canonical form."""
        key = values.canonical_item(raw)[0]
        names = {name for name, _, _ in self._keys}
        if key.keys() != names or any(kind not in key[name] for name, kind, _ in self._keys):
            raise validation(KEY_MATCHES, KEY_DIFFERS)
        self._check_keys(key)
        return key

    def _check_keys(self, item: Item) -> None:
        for name, kind, key_type in self._keys:
            value = item.get(name)
            if value is None:
                raise invalid(ITEM_KEY, f"Missing the key {name} in the item")
            actual, content = values.content_of(value)
            if actual != kind and self._in_batch:
                raise validation(BATCH_KEY, KEY_DIFFERS)
            if actual != kind:
                raise invalid(ITEM_KEY, f"Type mismatch for key {name} expected: {kind} actual: {actual}")
            if not content:
                text = (
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                    f"an empty {'string' if kind == 'S' else 'binary'} value. Key: {name}"
                )
                raise validation(ITEM_KEY, text)
            if kind != "N" and _bytes_of(value) > KEY_BYTES[key_type]:
                text = (
                    "Size of hashkey has exceeded the maximum size limit of2048 bytes"
                    if key_type == "HASH"
                    else "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
                )
                raise invalid(ITEM_KEY, text)

    @staticmethod
    def _check_index_key(value: values.AttributeValue, name: str, kind: str, key_type: str, index: str) -> None:
        actual, content = values.content_of(value)
        if actual != kind:
            text = f"Type mismatch for Index Key {name} Expected: {kind} Actual: {actual} IndexName: {index}"
            raise invalid(INDEX_KEY, text)
        if not content:
            text = (
                "One or more parameter values are not valid. A value specified for a secondary index key is not "
                "supported. The AttributeValue for a key attribute cannot contain an empty "
                f"{'string' if kind == 'S' else 'binary'} value. IndexName: {index}, IndexKey: {name}"
            )
            raise validation(INDEX_KEY, text)
        if kind != "N" and _bytes_of(value) > KEY_BYTES[key_type]:
            text = (
                "Size of hashkey has exceeded the maximum size limit of2048 bytes"
                if key_type == "HASH"
                else "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
            )
            raise invalid(INDEX_KEY, f"{text} IndexName: {index}, IndexKey: {name}")


def _bytes_of(value: values.AttributeValue) -> int:
    kind, content = values.content_of(value)
    return values.text_size(content) if kind == "S" else values.binary_size(content)


def usable_table(context: Context, name: str) -> Table:
    """The table ``name``; ResourceNotFoundException unless it is ready for the data plane."""
    table = registry(context).resolve(context, name)
    if table is None or not table.usable(context.world.clock.now()):
        raise NOT_READY.error("ResourceNotFoundException", "Requested resource not found")
    delete_expired(context.world, table)
    return table


def refuse_legacy(params: Shape) -> None:
    """ValidationException for a call with legacy parameters."""
    used = [name for name in _LEGACY if name in params]
    if used:
        raise validation(NO_LEGACY, f"The lab does not know the legacy parameters {', '.join(used)}")


def placeholders_of(params: Shape) -> Placeholders:
    """What the expressions of a call may refer to by ``#`` and ``:`` names."""
    return Placeholders(params.get("ExpressionAttributeNames"), params.get("ExpressionAttributeValues"))


def projection_of(params: Shape, placeholders: Placeholders) -> Projection | None:
    """The parsed ProjectionExpression; None where the call has none."""
    text = params.get("ProjectionExpression")
    return None if text is None else expressions.parse_projection(text, placeholders)


def json_answer(members: Mapping[str, Any]) -> bytes:
    """A JSON answer in which ``bytes`` are JSON already; members that are None are left out."""
    parts = [
        b'"%s":%s' % (name.encode(), value if isinstance(value, bytes) else json.dumps(value).encode())
        for name, value in members.items()
        if value is not None
    ]
    return b"{%s}" % b",".join(parts)


def projected(body: bytes, projection: Projection | None) -> bytes:
    """The parts of an item, as JSON, that a projection lets through; all without one."""
    return body if projection is None else values.dump(projection.of(json.loads(body)))


# Single items


def get_item(context: Context, params: Shape) -> bytes:
    """GetItem."""
    refuse_legacy(params)
    table = usable_table(context, params["TableName"])
    placeholders = placeholders_of(params)
    projection = projection_of(params, placeholders)
    placeholders.refuse_unused()
    body, size = table.store.sized(ItemRules(table).key(params["Key"])) or (None, 0)
    spent = Spent(read_units(size, params.get("ConsistentRead", False)))
    return json_answer(
        {
            "Item": None if body is None else projected(body, projection),
            "ConsumedCapacity": consumed_capacity(params, table, spent),
        }
    )


@dataclass(frozen=True)
class Write:
    """A write that is yet to happen. ``make`` gives the new item and its size from the old item, or None to delete.

    ``key`` holds at least the key attributes, ``updated`` the paths of an UpdateExpression.
    """

    table: Table
    key: Item
    condition: Condition | None
    make: Callable[[Item | None], tuple[Item, int] | None]
    shown_on_failure: bool = False
    updated: tuple[expressions.Path, ...] = ()

    def perform(self, time: float) -> tuple[Item | None, tuple[Item, int] | None]:
        """Write; returns the old item, and the new one with its size. ConditionalCheckFailedException."""
        store = self.table.store
        with store.transaction():
            body = store.get(self.key)
            old = None if body is None else json.loads(body)
            if self.condition is not None and not self.condition.holds(old or {}):
                shown = {"Item": old} if old and self.shown_on_failure else {}
                raise CONDITION_FAILED.error(
                    "ConditionalCheckFailedException", "The conditional request failed", **shown
                )
            new = self.make(old)
            if new is not None:
                store.put(*new, time)
            else:
                store.delete(self.key, time)
            return old, new


def _condition(params: Shape, placeholders: Placeholders) -> Condition | None:
    text = params.get("ConditionExpression")
    return None if text is None else expressions.parse_condition("ConditionExpression", text, placeholders)


def planned_put(context: Context, params: Shape) -> Write:
    """The write of PutItem's parameters, checked."""
    table = usable_table(context, params["TableName"])
    placeholders = placeholders_of(params)
    condition = _condition(params, placeholders)
    placeholders.refuse_unused()
    item, size = ItemRules(table).checked(params["Item"])
    return Write(table, item, condition, lambda old: (item, size), _shows(params))


def planned_delete(context: Context, params: Shape) -> Write:
    """The write of DeleteItem's parameters, checked."""
    table = usable_table(context, params["TableName"])
    placeholders = placeholders_of(params)
    condition = _condition(params, placeholders)
    placeholders.refuse_unused()
    return Write(table, ItemRules(table).key(params["Key"]), condition, lambda old: None, _shows(params))


def planned_update(context: Context, params: Shape) -> Write:
    """The write of UpdateItem's parameters, checked."""
    table = usable_table(context, params["TableName"])
    placeholders = placeholders_of(params)
    text = params.get("UpdateExpression")
    update = expressions.Update()
    if text is not None:
        update = expressions.parse_update(text, placeholders, table.key_attributes)
    condition = _condition(params, placeholders)
    placeholders.refuse_unused()
    rules = ItemRules(table)
    key = rules.key(params["Key"])

    def make(old: Item | None) -> tuple[Item, int] | None:
        if old is None and update.only_removes:
            return None  # see REMOVING_MAKES_NOTHING
        return rules.checked(update.apply(old or dict(key)))

    return Write(table, key, condition, make, _shows(params), tuple(update.paths()))


def _shows(params: Shape) -> bool:
    return bool(params.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD")


def _written(context: Context, params: Shape, write: Write, allowed: Iterable[str]) -> Shape:
    return_values = params.get("ReturnValues", "NONE")
    if return_values not in allowed:
        raise validation(RETURN_VALUES, "Return values set to invalid value")
    old, new = write.perform(context.world.clock.now())
    answer: Shape = {}
    shown = (new[0] if new else None) if return_values.endswith("_NEW") else old
    if return_values.startswith("UPDATED") and shown is not None:
        shown = Projection(write.updated).of(shown) if write.updated else None  # see UPDATED_PARTS
    if return_values != "NONE" and shown:
        answer["Attributes"] = shown
    consumed = consumed_capacity(params, write.table, lambda: written(write.table, old, new[0] if new else None))
    return answer | ({"ConsumedCapacity": consumed} if consumed else {})


def put_item(context: Context, params: Shape) -> Shape:
    """PutItem."""
    refuse_legacy(params)
    return _written(context, params, planned_put(context, params), ("NONE", "ALL_OLD"))


def delete_item(context: Context, params: Shape) -> Shape:
    """DeleteItem."""
    refuse_legacy(params)
    return _written(context, params, planned_delete(context, params), ("NONE", "ALL_OLD"))


def update_item(context: Context, params: Shape) -> Shape:
    """UpdateItem."""
    refuse_legacy(params)
    allowed = ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
    return _written(context, params, planned_update(context, params), allowed)


OPERATIONS: dict[str, Callable[[Context, Shape], Shape | bytes]] = {
    "GetItem": get_item,
    "PutItem": put_item,
    "UpdateItem": update_item,
    "DeleteItem": delete_item,
}
