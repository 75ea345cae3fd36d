# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's data plane: items one by one, in batches, in transactions, by Query and by Scan."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from lab.dynamodb import expressions, values
from lab.dynamodb.expressions import Condition, KeyCondition, Placeholders, Projection
from lab.dynamodb.model import Index, Shape, Table
from lab.dynamodb.registry import registry
from lab.dynamodb.store import PAGE_BYTES, KeyEncoder, Page, after_all, segment_bounds
from lab.dynamodb.values import MAX_ITEM_BYTES, Item
from lab.dynamodb.words import belief, invalid, validation
from lab.errors import AwsError
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
    "An item whose attribute is an index's key must have the key's type, and no empty value",
    "AWS developer guide, Global secondary indexes",
)  # fmt: skip
KEY_MATCHES = belief(
    "test_items", "key-matches-schema",
    "A Key is exactly the table's key attributes",
    "AWS API reference dynamodb:GetItem",
)  # fmt: skip
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
BATCH_DUPLICATES = belief(
    "test_items", "batch-without-duplicates",
    "A batch names each key once (numbers compared as numbers), at most 25 writes or 100 reads",
    "aws.md H",
)  # fmt: skip
UNPROCESSED = belief(
    "test_items", "unprocessed-items",
    "A batch may come back with 200 and some of its items unprocessed, to be sent again",
    "aws.md H",
)  # fmt: skip
PAGES = belief(
    "test_items", "pages-of-one-megabyte",
    "Scan and Query read 1 MB or Limit items, then filter; LastEvaluatedKey comes even with an empty page",
    "aws.md H",
)  # fmt: skip
SEGMENTS = belief(
    "test_items", "scan-segments",
    "Segment and TotalSegments come together, Segment below TotalSegments, a start key with the segment it is from",
    "AWS API reference dynamodb:Scan",
)  # fmt: skip
COUNT_ONLY = belief(
    "test_items", "select-count",
    "Select=COUNT answers Count and ScannedCount without items, and takes no projection",
    "AWS API reference dynamodb:Scan",
)  # fmt: skip
INDEX_READS = belief(
    "test_items", "index-reads",
    "An index is read by its name once it is filled; global ones not consistently, and only what they project",
    "AWS API reference dynamodb:Query",
)  # fmt: skip
START_KEY = belief(
    "test_items", "start-key",
    "ExclusiveStartKey holds exactly the key attributes of table and index, within what is queried",
    "AWS API reference dynamodb:Query",
)  # fmt: skip
KEYS_ARE_QUERIED = belief(
    "test_items", "filter-without-keys",
    "A Query's filter names no key attribute",
    "AWS API reference dynamodb:Query",
)  # fmt: skip
TRANSACTION = belief(
    "test_items", "transaction-all-or-nothing",
    "A transaction happens whole or not at all; TransactionCanceledException tells the reason of each part",
    "AWS API reference dynamodb:TransactWriteItems",
)  # fmt: skip
RETURN_VALUES = belief(
    "test_items", "return-values",
    "PutItem and DeleteItem return NONE or ALL_OLD, UpdateItem old or new ones, all or those updated",
    "AWS API reference dynamodb:UpdateItem",
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
_KEY_BYTES = {"HASH": 2048, "RANGE": 1024}
BATCH_READ_BYTES = 16 * 1024 * 1024
NO_DUPLICATES = "Provided list of item keys contains duplicates"


class ItemRules:
    """What a table demands of an item; made once for many items."""

    def __init__(self, table: Table) -> None:
        types = {each["AttributeName"]: each["AttributeType"] for each in table.attribute_definitions}
        self._keys = [(key["AttributeName"], types[key["AttributeName"]], key["KeyType"]) for key in table.key_schema]
        self._index_keys = [
            (name, types[name], index.name)
            for index in table.indexes.values()
            for name in index.key_attributes
            if name in types and name not in table.key_attributes
        ]

    def checked(self, raw: Any) -> tuple[Item, int]:
        """``raw`` made canonical, and its size; ValidationException for what the table does not take."""
        item, size = values.canonical_item(raw)
        self._check_keys(item)
        for name, kind, index in self._index_keys:
            if name in item:
                self._check_index_key(item[name], name, kind, index)
        if size > MAX_ITEM_BYTES:
            raise validation(ITEM_SIZE, "Item size has exceeded the maximum allowed size")
        return item, size

    def key(self, raw: Any) -> Item:
        """A ``Key`` parameter made canonical."""
        key = values.canonical_item(raw)[0]
        names = {name for name, _, _ in self._keys}
        if key.keys() != names or any(kind not in key[name] for name, kind, _ in self._keys):
            raise validation(KEY_MATCHES, "The provided key element does not match the schema")
        self._check_keys(key)
        return key

    def _check_keys(self, item: Item) -> None:
        for name, kind, key_type in self._keys:
            value = item.get(name)
            if value is None:
                raise invalid(ITEM_KEY, f"Missing the key {name} in the item")
            actual, content = values.content_of(value)
            if actual != kind:
                raise invalid(ITEM_KEY, f"Type mismatch for key {name} expected: {kind} actual: {actual}")
            if not content:
                text = (
                    "One or more parameter values are not valid. The AttributeValue for a key attribute cannot contain "
                    f"an empty {'string' if kind == 'S' else 'binary'} value. Key: {name}"
                )
                raise validation(ITEM_KEY, text)
            if kind != "N" and _bytes_of(value) > _KEY_BYTES[key_type]:
                text = (
                    "Size of hashkey has exceeded the maximum size limit of2048 bytes"
                    if key_type == "HASH"
                    else "Aggregated size of all range keys has exceeded the size limit of 1024 bytes"
                )
                raise invalid(ITEM_KEY, text)

    @staticmethod
    def _check_index_key(value: values.AttributeValue, name: str, kind: str, index: str) -> None:
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


def _bytes_of(value: values.AttributeValue) -> int:
    kind, content = values.content_of(value)
    return values.text_size(content) if kind == "S" else values.binary_size(content)


def _table(context: Context, name: str) -> Table:
    table = registry(context).resolve(context, name)
    if table is None or not table.usable(context.world.clock.now()):
        raise NOT_READY.error("ResourceNotFoundException", "Requested resource not found")
    return table


def _refuse_legacy(params: Shape) -> None:
    used = [name for name in _LEGACY if name in params]
    if used:
        raise validation(NO_LEGACY, f"The lab does not know the legacy parameters {', '.join(used)}")


def _placeholders(params: Shape) -> Placeholders:
    return Placeholders(params.get("ExpressionAttributeNames"), params.get("ExpressionAttributeValues"))


def _projection(params: Shape, placeholders: Placeholders) -> Projection | None:
    text = params.get("ProjectionExpression")
    return None if text is None else expressions.parse_projection(text, placeholders)


def _answer(members: Mapping[str, Any]) -> bytes:
    """A JSON answer in which ``bytes`` are JSON already; members that are None are left out."""
    parts = [
        b'"%s":%s' % (name.encode(), value if isinstance(value, bytes) else json.dumps(value).encode())
        for name, value in members.items()
        if value is not None
    ]
    return b"{%s}" % b",".join(parts)


def _projected(body: bytes, projection: Projection | None) -> bytes:
    return body if projection is None else values.dump(projection.of(json.loads(body)))


# Capacity


def _read_units(size: int, consistent: bool) -> float:
    return max(1, -(-size // 4096)) * (1.0 if consistent else 0.5)


def _consumed(params: Shape, table: str, units: float, index: Index | None = None) -> Shape | None:
    """ConsumedCapacity as asked for; writes to indexes are not counted."""
    wanted = params.get("ReturnConsumedCapacity", "NONE")
    if wanted == "NONE":
        return None
    consumed: Shape = {"TableName": table, "CapacityUnits": units}
    if wanted == "INDEXES":
        consumed["Table"] = {"CapacityUnits": 0.0 if index else units}
        if index is not None:
            kind = "GlobalSecondaryIndexes" if index.is_global else "LocalSecondaryIndexes"
            consumed[kind] = {index.name: {"CapacityUnits": units}}
    return consumed


def _write_units(*sizes: int) -> float:
    return float(max(1, -(-max(sizes) // 1024)))


# Single items


def get_item(context: Context, params: Shape) -> bytes:
    """GetItem."""
    _refuse_legacy(params)
    table = _table(context, params["TableName"])
    placeholders = _placeholders(params)
    projection = _projection(params, placeholders)
    placeholders.refuse_unused()
    body = table.store.get(ItemRules(table).key(params["Key"]))
    units = _read_units(len(body or b""), params.get("ConsistentRead", False))
    return _answer(
        {
            "Item": None if body is None else _projected(body, projection),
            "ConsumedCapacity": _consumed(params, table.name, units),
        }
    )


@dataclass(frozen=True)
class _Write:
    """One write to be. ``make`` gives the new item and its size from the old item, or None to delete.

    ``key`` holds at least the key attributes, ``updated`` the paths of an UpdateExpression.
    """

    table: Table
    key: Item
    condition: Condition | None
    make: Callable[[Item | None], tuple[Item, int] | None]
    shown_on_failure: bool = False
    updated: tuple[expressions.Path, ...] = ()

    def perform(self, time: float) -> tuple[Item | None, tuple[Item, int] | None]:
        """Do it; the old item, and the new one with its size. ConditionalCheckFailedException when it must not be."""
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


def _putting(context: Context, params: Shape) -> _Write:
    table = _table(context, params["TableName"])
    placeholders = _placeholders(params)
    condition = _condition(params, placeholders)
    placeholders.refuse_unused()
    item, size = ItemRules(table).checked(params["Item"])
    return _Write(table, item, condition, lambda old: (item, size), _shows(params))


def _deleting(context: Context, params: Shape) -> _Write:
    table = _table(context, params["TableName"])
    placeholders = _placeholders(params)
    condition = _condition(params, placeholders)
    placeholders.refuse_unused()
    return _Write(table, ItemRules(table).key(params["Key"]), condition, lambda old: None, _shows(params))


def _updating(context: Context, params: Shape) -> _Write:
    table = _table(context, params["TableName"])
    placeholders = _placeholders(params)
    text = params.get("UpdateExpression")
    update = expressions.Update()
    if text is not None:
        update = expressions.parse_update(text, placeholders, table.key_attributes)
    condition = _condition(params, placeholders)
    placeholders.refuse_unused()
    rules = ItemRules(table)
    key = rules.key(params["Key"])

    def make(old: Item | None) -> tuple[Item, int]:
        return rules.checked(update.apply(old or dict(key)))

    return _Write(table, key, condition, make, _shows(params), tuple(update.paths()))


def _shows(params: Shape) -> bool:
    return bool(params.get("ReturnValuesOnConditionCheckFailure") == "ALL_OLD")


def _written(context: Context, params: Shape, write: _Write, allowed: Iterable[str]) -> Shape:
    wanted = params.get("ReturnValues", "NONE")
    if wanted not in allowed:
        raise validation(RETURN_VALUES, "Return values set to invalid value")
    old, new = write.perform(context.world.clock.now())
    answer: Shape = {}
    shown = (new[0] if new else None) if wanted.endswith("_NEW") else old
    if wanted.startswith("UPDATED") and shown is not None:
        whole = [expressions.Path(path.parts[:1]) for path in write.updated]
        shown = Projection(tuple(whole)).of(shown) if whole else None
    if wanted != "NONE" and shown:
        answer["Attributes"] = shown
    sizes = [values.item_size(old) if old else 0, new[1] if new else 0]
    consumed = _consumed(params, write.table.name, _write_units(*sizes))
    return answer | ({"ConsumedCapacity": consumed} if consumed else {})


def put_item(context: Context, params: Shape) -> Shape:
    """PutItem."""
    _refuse_legacy(params)
    return _written(context, params, _putting(context, params), ("NONE", "ALL_OLD"))


def delete_item(context: Context, params: Shape) -> Shape:
    """DeleteItem."""
    _refuse_legacy(params)
    return _written(context, params, _deleting(context, params), ("NONE", "ALL_OLD"))


def update_item(context: Context, params: Shape) -> Shape:
    """UpdateItem."""
    _refuse_legacy(params)
    allowed = ("NONE", "ALL_OLD", "ALL_NEW", "UPDATED_OLD", "UPDATED_NEW")
    return _written(context, params, _updating(context, params), allowed)


# Batches


def batch_write_item(context: Context, params: Shape) -> Shape:
    """BatchWriteItem: each write by itself, none with a condition."""
    requests: Mapping[str, list[Shape]] = params["RequestItems"]
    if sum(map(len, requests.values())) > 25:
        raise validation(BATCH_DUPLICATES, "Too many items requested for the BatchWriteItem call")
    planned: list[tuple[Table, list[tuple[Item, int | None]]]] = []
    for name, entries in requests.items():
        table = _table(context, name)
        rules = ItemRules(table)
        writes: list[tuple[Item, int | None]] = []
        seen: set[bytes] = set()
        for entry in entries:
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
    time = context.world.clock.now()
    for (name, entries), (table, writes) in zip(requests.items(), planned, strict=True):
        done = max(0, len(writes) - left)
        if done < len(writes):
            unprocessed[name] = entries[done:]
            left -= len(writes) - done
        with table.store.transaction():
            for item, size in writes[:done]:
                if size is None:
                    table.store.delete(item, time)
                else:
                    table.store.put(item, size, time)
        consumed = _consumed(params, table.name, sum(_write_units(size or 0) for _, size in writes[:done]))
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
        _refuse_legacy(request)
        table = _table(context, name)
        placeholders = _placeholders(request)
        projection = _projection(request, placeholders)
        placeholders.refuse_unused()
        rules = ItemRules(table)
        keys = [rules.key(key) for key in request["Keys"]]
        if len({table.store.position(key) for key in keys}) < len(keys):
            raise validation(BATCH_DUPLICATES, NO_DUPLICATES)
        planned.append((name, table, keys, projection))
    left = _unprocessed(context, params, sum(len(keys) for _, _, keys, _ in planned))
    found: dict[str, bytes] = {}
    unprocessed: dict[str, Shape] = {}
    units: list[Shape] = []
    total = 0
    for name, table, keys, projection in planned:
        done = max(0, len(keys) - left)
        bodies: list[bytes] = []
        for position, key in enumerate(keys[:done]):
            body = table.store.get(key)
            if body is not None and total + len(body) > BATCH_READ_BYTES:
                done = position
                break
            if body is not None:
                total += len(body)
                bodies.append(body)
        if done < len(keys):
            unprocessed[name] = {**requests[name], "Keys": keys[done:]}
            left = max(0, left - (len(keys) - done))
        found[name] = b"[%s]" % b",".join(_projected(body, projection) for body in bodies)
        consistent = requests[name].get("ConsistentRead", False)
        read = sum(_read_units(len(body), consistent) for body in bodies)
        consumed = _consumed(params, table.name, read)
        units += [consumed] if consumed else []
    return _answer({"Responses": _answer(found), "UnprocessedKeys": unprocessed, "ConsumedCapacity": units or None})


# Query and Scan


@dataclass(frozen=True)
class _Reading:
    """What Query and Scan have in common, parsed."""

    table: Table
    index: Index | None
    placeholders: Placeholders
    filter: Condition | None
    projection: Projection | None
    select: str

    @property
    def index_name(self) -> str | None:
        """The index's name in the store."""
        return self.index.name if self.index else None

    @property
    def counts_only(self) -> bool:
        """Whether no item is wanted."""
        return self.select == "COUNT"


def _reading(context: Context, params: Shape) -> _Reading:
    _refuse_legacy(params)
    table = _table(context, params["TableName"])
    index = _index(table, params)
    placeholders = _placeholders(params)
    text = params.get("FilterExpression")
    condition = None if text is None else expressions.parse_condition("FilterExpression", text, placeholders)
    projection = _projection(params, placeholders)
    select = params.get("Select") or ("SPECIFIC_ATTRIBUTES" if projection else "ALL_PROJECTED_ATTRIBUTES")
    if projection is not None and select != "SPECIFIC_ATTRIBUTES":
        text = "get only the Count" if select == "COUNT" else f"get {select}"
        raise validation(COUNT_ONLY, f"Cannot specify the ProjectionExpression when choosing to {text}")
    if projection is None and select == "SPECIFIC_ATTRIBUTES":
        text = "Must specify the AttributesToGet or ProjectionExpression when choosing to get SPECIFIC_ATTRIBUTES"
        raise validation(COUNT_ONLY, text)
    if index is not None and index.is_global:
        if params.get("ConsistentRead"):
            raise validation(INDEX_READS, "Consistent reads are not supported on global secondary indexes")
        if select == "ALL_ATTRIBUTES" and index.projection["ProjectionType"] != "ALL":
            text = f"Select type ALL_ATTRIBUTES is not supported for global secondary index {index.name} because its "
            raise invalid(INDEX_READS, f"{text}projection type is not ALL")
    return _Reading(table, index, placeholders, condition, projection, select)


def _index(table: Table, params: Shape) -> Index | None:
    name = params.get("IndexName")
    if name is None:
        return None
    index = table.indexes.get(name)
    if index is None:
        raise validation(INDEX_READS, f"The table does not have the specified index: {name}")
    if index.is_global and index.status == "CREATING":
        raise validation(INDEX_READS, f"Cannot read from backfilling global secondary index: {name}")
    return index


def _start(reading: _Reading, params: Shape, lower: bytes, upper: bytes, outside: str) -> bytes | None:
    """The position of ExclusiveStartKey, which must lie between ``lower`` and ``upper``."""
    if "ExclusiveStartKey" not in params:
        return None
    key = values.canonical_item(params["ExclusiveStartKey"])[0]
    store = reading.table.store
    types = {each["AttributeName"]: each["AttributeType"] for each in reading.table.attribute_definitions}
    names = store.key_names(reading.index_name)
    if key.keys() != set(names) or any(types[name] not in key[name] for name in names):
        text = "The provided starting key is invalid: The provided key element does not match the schema"
        raise validation(START_KEY, text)
    position = store.position(key, reading.index_name)
    if not lower <= position < upper:
        raise validation(START_KEY, outside)
    return position


def _page_answer(reading: _Reading, params: Shape, page: Page) -> bytes:
    rows = page.rows
    bodies = [row.body for row in rows]
    if reading.index and not reading.index.is_global and reading.select == "ALL_ATTRIBUTES":
        bodies = [reading.table.store.get(json.loads(body)) or body for body in bodies]
    if reading.filter is not None:
        bodies = [body for body in bodies if reading.filter.holds(json.loads(body))]
    items = None
    if not reading.counts_only:
        items = b"[%s]" % b",".join(_projected(body, reading.projection) for body in bodies)
    last = None
    if page.more:
        item = json.loads(rows[-1].body)
        last = {name: item[name] for name in reading.table.store.key_names(reading.index_name)}
    units = _read_units(sum(row.size for row in rows), params.get("ConsistentRead", False))
    return _answer(
        {
            "Items": items,
            "Count": len(bodies),
            "ScannedCount": len(rows),
            "LastEvaluatedKey": last,
            "ConsumedCapacity": _consumed(params, reading.table.name, units, reading.index),
        }
    )


def scan(context: Context, params: Shape) -> bytes:
    """Scan."""
    reading = _reading(context, params)
    reading.placeholders.refuse_unused()
    segment, total = params.get("Segment"), params.get("TotalSegments")
    if (segment is None) != (total is None):
        lacking, given = ("TotalSegments", "Segment") if total is None else ("Segment", "TotalSegments")
        text = (
            f"The {lacking} parameter is required but was not present in the request when {given} parameter is present"
        )
        raise validation(SEGMENTS, text)
    segment, total = segment or 0, total or 1
    if segment >= total:
        text = "The Segment parameter is zero-based and must be less than parameter TotalSegments: Segment: "
        raise validation(SEGMENTS, f"{text}{segment} is not less than TotalSegments: {total}")
    lower, upper = segment_bounds(segment, total)
    outside = (
        "The provided starting key is invalid: Invalid ExclusiveStartKey. Please use ExclusiveStartKey with correct "
        f"Segment. TotalSegments: {total} Segment: {segment}"
    )
    page = reading.table.store.page(
        index=reading.index_name,
        lower=lower,
        upper=upper,
        after=_start(reading, params, lower, upper, outside),
        limit=params.get("Limit"),
        limit_bytes=PAGE_BYTES,
        bodies=not reading.counts_only or reading.filter is not None,
    )
    return _page_answer(reading, params, page)


def query(context: Context, params: Shape) -> bytes:
    """Query."""
    reading = _reading(context, params)
    text = params.get("KeyConditionExpression")
    if text is None:
        raise validation(
            KEY_MATCHES,
            "Either the KeyConditions or KeyConditionExpression parameter must be specified in the request.",
        )
    encoder = KeyEncoder.of(reading.index.key_schema if reading.index else reading.table.key_schema)
    types = {each["AttributeName"]: each["AttributeType"] for each in reading.table.attribute_definitions}
    condition = expressions.parse_key_condition(
        text, reading.placeholders, encoder.hash_names, encoder.range_names, types
    )
    reading.placeholders.refuse_unused()
    for path in reading.filter.paths() if reading.filter else ():
        if path.parts[0] in encoder.names:
            text = "Filter Expression can only contain non-primary key attributes: Primary key attribute: "
            raise validation(KEYS_ARE_QUERIED, f"{text}{path.parts[0]}")
    lower, upper = key_bounds(encoder, condition)
    outside = "The provided starting key is outside query boundaries based on provided conditions"
    page = reading.table.store.page(
        index=reading.index_name,
        lower=lower,
        upper=upper,
        after=_start(reading, params, lower, upper, outside),
        backward=not params.get("ScanIndexForward", True),
        limit=params.get("Limit"),
        limit_bytes=PAGE_BYTES,
        bodies=not reading.counts_only or reading.filter is not None,
    )
    return _page_answer(reading, params, page)


def key_bounds(encoder: KeyEncoder, condition: KeyCondition) -> tuple[bytes, bytes]:
    """The lowest key that meets a key condition, and a bound above the highest."""
    prefix = encoder.partition(condition.partition) + b"".join(map(values.encode_key, condition.leading))
    lower, upper = prefix, after_all(prefix)
    if condition.operator == "begins_with":
        start = prefix + values.key_prefix(condition.bounds[0])
        return start, after_all(start)
    places = [prefix + values.encode_key(bound) for bound in condition.bounds]
    if condition.operator in ("=", ">=", "BETWEEN"):
        lower = places[0]
    elif condition.operator == ">":
        lower = after_all(places[0])
    if condition.operator in ("=", "<=", "BETWEEN"):
        upper = after_all(places[-1])
    elif condition.operator == "<":
        upper = places[0]
    return lower, upper


# Transactions


def transact_write_items(context: Context, params: Shape) -> Shape:
    """TransactWriteItems, without remembering ClientRequestToken."""
    makers = {"Put": _putting, "Update": _updating, "Delete": _deleting, "ConditionCheck": _checking}
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
    consumed = [shape for name, units in sizes.items() if (shape := _consumed(params, name, units))]
    return {"ConsumedCapacity": consumed} if consumed else {}


def _checking(context: Context, params: Shape) -> _Write:
    """A ConditionCheck writes what is there."""
    write = _deleting(context, params)

    def same(old: Item | None) -> tuple[Item, int] | None:
        return None if old is None else (old, values.item_size(old))

    return _Write(write.table, write.key, write.condition, same, write.shown_on_failure)


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
    wanted: list[tuple[Table, Item, Projection | None]] = []
    for entry in params["TransactItems"]:
        part = entry["Get"]
        table = _table(context, part["TableName"])
        placeholders = _placeholders(part)
        projection = _projection(part, placeholders)
        placeholders.refuse_unused()
        wanted.append((table, ItemRules(table).key(part["Key"]), projection))
    _refuse_repeated([(table, key) for table, key, _ in wanted])
    answers: list[bytes] = []
    with ExitStack() as stack:
        for store in sorted({table.store for table, _, _ in wanted}, key=id):
            stack.enter_context(store.lock)
        for table, key, projection in wanted:
            body = table.store.get(key)
            answers.append(_answer({"Item": None if body is None else _projected(body, projection)}))
    return _answer({"Responses": b"[%s]" % b",".join(answers)})


OPERATIONS: dict[str, Callable[[Context, Shape], Shape | bytes]] = {
    "GetItem": get_item,
    "PutItem": put_item,
    "UpdateItem": update_item,
    "DeleteItem": delete_item,
    "BatchGetItem": batch_get_item,
    "BatchWriteItem": batch_write_item,
    "Query": query,
    "Scan": scan,
    "TransactWriteItems": transact_write_items,
    "TransactGetItems": transact_get_items,
}
# Each table's store has a lock of its own; nobody waits for the world's.
LOCKS_ITSELF = frozenset(OPERATIONS)
