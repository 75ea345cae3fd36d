# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's data plane: Query and Scan, page by page."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass

from lab.dynamodb import expressions, values
from lab.dynamodb.expressions import Condition, KeyCondition, Placeholders, Projection
from lab.dynamodb.items import (
    KEY_MATCHES,
    json_answer,
    placeholders_of,
    projected,
    projection_of,
    refuse_legacy,
    usable_table,
)
from lab.dynamodb.model import Index, Shape, Table
from lab.dynamodb.spending import consumed_capacity, read, read_units, scan_units
from lab.dynamodb.store import PAGE_BYTES, KeyEncoder, Page, after_all, segment_bounds
from lab.dynamodb.values import Item
from lab.dynamodb.words import belief, invalid, validation
from lab.world import Context

PAGES = belief(
    "test_reading", "pages-of-one-megabyte",
    "Scan and Query read 1 MB or Limit items, then filter; LastEvaluatedKey comes even with an empty page",
    "aws.md H",
)  # fmt: skip
SEGMENTS = belief(
    "test_reading", "scan-segments",
    "Segment and TotalSegments come together, Segment below TotalSegments, a start key with the segment it is from",
    "AWS API reference dynamodb:Scan",
)  # fmt: skip
COUNT_ONLY = belief(
    "test_reading", "select-count",
    "Select=COUNT answers Count and ScannedCount without items, and takes no projection",
    "AWS API reference dynamodb:Scan",
)  # fmt: skip
INDEX_READS = belief(
    "test_reading", "index-reads",
    "An index is read by its name once it is filled; global ones not consistently, and only what they project",
    "AWS API reference dynamodb:Query",
)  # fmt: skip
START_KEY = belief(
    "test_reading", "start-key",
    "ExclusiveStartKey holds exactly the key attributes of table and index, within what is queried",
    "AWS API reference dynamodb:Query",
)  # fmt: skip
SELECT = belief(
    "test_reading", "select-fits-index",
    "ALL_PROJECTED_ATTRIBUTES needs an index, a global index refuses attributes that it does not project; texts "
    "are guesses",
    "AWS API reference dynamodb:Query", confirmed=False,
)  # fmt: skip
FETCHED = belief(
    "test_reading", "local-index-fetches",
    "A local index fetches what it does not project from the table, item by item, each at the cost of the whole item",
    "ScyllaDB's tests, which run on AWS: alternator/test_lsi.py; AWS developer guide, Local secondary indexes",
)  # fmt: skip
ONE_ROW = belief(
    "test_reading", "one-row-is-not-restarted",
    "A Query that names a whole key takes no ExclusiveStartKey; one beside the sort key's test has words of its own",
    "dynalite's tests, which run on AWS: test/query.js; that a table without sort key answers the same is a guess",
    confirmed=False,
)  # fmt: skip
KEYS_ARE_QUERIED = belief(
    "test_reading", "filter-without-keys",
    "A Query's filter names no key attribute",
    "AWS API reference dynamodb:Query",
)  # fmt: skip


_NOT_RESTARTED = "The query can return at most one row and cannot be restarted"
_OTHER_RANGE = "The provided starting key does not match the range key predicate"


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
    def fetches(self) -> bool:
        """Whether a local index must look up the items in the table."""
        if self.index is None or self.index.is_global or self.index.projection["ProjectionType"] == "ALL":
            return False
        if self.select == "ALL_ATTRIBUTES":
            return True
        return not self.table.store.projects(self.index.name, _named(self.projection))

    @property
    def counts_only(self) -> bool:
        """Whether only the count is asked for."""
        return self.select == "COUNT"


def _reading(context: Context, params: Shape) -> _Reading:
    refuse_legacy(params)
    table = usable_table(context, params["TableName"])
    index = _index(table, params)
    placeholders = placeholders_of(params)
    text = params.get("FilterExpression")
    condition = None if text is None else expressions.parse_condition("FilterExpression", text, placeholders)
    projection = projection_of(params, placeholders)
    if index is None and params.get("Select") == "ALL_PROJECTED_ATTRIBUTES":
        reading = "Querying" if context.operation == "Query" else "Scanning"
        raise validation(SELECT, f"ALL_PROJECTED_ATTRIBUTES can be used only when {reading} using an IndexName")
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
        lacking = sorted(name for name in _named(projection) if not table.store.projects(index.name, [name]))
        if lacking:
            text = f"Global secondary index {index.name} does not project [{', '.join(lacking)}]"
            raise invalid(SELECT, text)
    return _Reading(table, index, placeholders, condition, projection, select)


def _named(projection: Projection | None) -> set[str]:
    """The attributes, without their parts, that a projection names."""
    return {str(path.parts[0]) for path in (projection.paths if projection else ())}


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


def _start(
    reading: _Reading, params: Shape, lower: bytes, upper: bytes, outside: Callable[[Item, bytes], str]
) -> bytes | None:
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
        raise validation(START_KEY, outside(key, position))
    return position


def _page_answer(reading: _Reading, params: Shape, page: Page, units: float) -> bytes:
    """The answer for a page that cost ``units``, without what a local index fetches."""
    rows = page.rows
    bodies = [row.body for row in rows]
    fetched = 0.0
    if reading.fetches:
        for place, body in enumerate(bodies):
            bodies[place], size = reading.table.store.sized(json.loads(body)) or (body, 0)
            fetched += read_units(size, params.get("ConsistentRead", False))
    if reading.filter is not None:
        bodies = [body for body in bodies if reading.filter.holds(json.loads(body))]
    items = None
    if not reading.counts_only:
        items = b"[%s]" % b",".join(projected(body, reading.projection) for body in bodies)
    last = None
    if page.more:
        item = json.loads(rows[-1].body)
        last = {name: item[name] for name in reading.table.store.key_names(reading.index_name)}
    return json_answer(
        {
            "Items": items,
            "Count": len(bodies),
            "ScannedCount": len(rows),
            "LastEvaluatedKey": last,
            "ConsumedCapacity": consumed_capacity(params, reading.table, read(units, reading.index, fetched)),
        }
    )


def scan(context: Context, params: Shape) -> bytes:
    """Scan."""
    reading = _reading(context, params)
    reading.placeholders.refuse_unused()
    segment, total = params.get("Segment"), params.get("TotalSegments")
    if (segment is None) != (total is None):
        lacking, given = (
            ("TotalSegments", "Segment parameter") if total is None else ("Segment", "parameter TotalSegments")
        )
        text = f"The {lacking} parameter is required but was not present in the request when {given} is present"
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
    after = _start(reading, params, lower, upper, lambda key, position: outside)
    page = reading.table.store.page(
        index=reading.index_name,
        lower=lower,
        upper=upper,
        after=after,
        limit=params.get("Limit"),
        limit_bytes=PAGE_BYTES,
        bodies=not reading.counts_only or reading.filter is not None or reading.fetches,
    )
    last = page.rows[-1].key if page.more else upper
    consistent = params.get("ConsistentRead", False)
    return _page_answer(reading, params, page, scan_units(reading.table, page.rows, after or lower, last, consistent))


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
    if condition.names_one_row and "ExclusiveStartKey" in params and (reading.index is None or encoder.range_names):
        raise validation(ONE_ROW, _NOT_RESTARTED)

    def outside(key: Item, position: bytes) -> str:
        if not condition.operator:
            return "The provided starting key is outside query boundaries based on provided conditions"
        # Beside the test of the sort key, whatever the partition, or within it in another partition.
        moved = encoder.partition(condition.partition) + position[len(encoder.partition(key)) :]
        return _NOT_RESTARTED if lower <= moved < upper else _OTHER_RANGE

    page = reading.table.store.page(
        index=reading.index_name,
        lower=lower,
        upper=upper,
        after=_start(reading, params, lower, upper, outside),
        backward=not params.get("ScanIndexForward", True),
        limit=params.get("Limit"),
        limit_bytes=PAGE_BYTES,
        bodies=not reading.counts_only or reading.filter is not None or reading.fetches,
    )
    units = read_units(sum(row.size for row in page.rows), params.get("ConsistentRead", False))
    return _page_answer(reading, params, page, units)


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


OPERATIONS: dict[str, Callable[[Context, Shape], bytes]] = {
    "Query": query,
    "Scan": scan,
}
