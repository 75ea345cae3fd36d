# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What CreateTable and ImportTable refuse."""

from __future__ import annotations

from typing import Any

import pytest

from lab.dynamodb import creation as rules

KEY = [{"AttributeName": "pk", "KeyType": "HASH"}]
KEYS = [*KEY, {"AttributeName": "sk", "KeyType": "RANGE"}]
DEFINITION = {"AttributeName": "pk", "AttributeType": "S"}
DEFINITIONS = [DEFINITION, {"AttributeName": "sk", "AttributeType": "S"}]
ON_DEMAND = {"KeySchema": KEY, "AttributeDefinitions": [DEFINITION], "BillingMode": "PAY_PER_REQUEST"}
CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
PROVISIONED = {"KeySchema": KEY, "AttributeDefinitions": [DEFINITION], "ProvisionedThroughput": CAPACITY}
ALL = {"ProjectionType": "ALL"}
INVALID = "ValidationException"


def index(name: str = "g-a", keys: list[dict[str, str]] = KEY, **members: Any) -> dict[str, Any]:
    return {"IndexName": name, "KeySchema": keys, "Projection": ALL, **members}


@pytest.fixture
def refuse(desk):
    def refuse(rule, text, code=INVALID, **params):
        desk.refused(rule, code, text, "CreateTable", TableName="tbl", **params)

    return refuse


def test_provisioned_needs_capacity(refuse):
    refuse(rules.CAPACITY_NEEDED, "must both be specified", KeySchema=KEY, AttributeDefinitions=[DEFINITION])
    refuse(rules.CAPACITY_NEEDED, "not specified for index: g-a", **PROVISIONED, GlobalSecondaryIndexes=[index()])


def test_on_demand_takes_no_capacity(refuse):
    refuse(rules.NO_CAPACITY, "Neither ReadCapacityUnits", **ON_DEMAND, ProvisionedThroughput=CAPACITY)
    refuse(
        rules.NO_CAPACITY, "should not be specified for index: g-a",
        **ON_DEMAND, GlobalSecondaryIndexes=[index(ProvisionedThroughput=CAPACITY)],
    )  # fmt: skip


def test_maximum_needs_on_demand(refuse):
    refuse(rules.MAXIMUM_NEEDS_ON_DEMAND, "PROVISIONED.", **PROVISIONED, OnDemandThroughput={"MaxReadRequestUnits": 5})


@pytest.mark.parametrize("value", [0, -1])
def test_maximum_range_at_create(refuse, desk, value):
    refuse(rules.MAXIMUM_RANGE, "for table is outside", **ON_DEMAND, OnDemandThroughput={"MaxReadRequestUnits": value})
    wrong = index(OnDemandThroughput={"MaxWriteRequestUnits": value})
    refuse(rules.MAXIMUM_RANGE, "for index : g-a", **ON_DEMAND, GlobalSecondaryIndexes=[wrong])
    assert desk.table(OnDemandThroughput={"MaxReadRequestUnits": 7})["OnDemandThroughput"] == {"MaxReadRequestUnits": 7}


def test_warm_not_below_initial(refuse, desk):
    refuse(rules.WARM_FLOOR, "initial throughput", **ON_DEMAND, WarmThroughput={"ReadUnitsPerSecond": 11999})
    refuse(rules.WARM_FLOOR, "ReadCapacityUnits", **PROVISIONED, WarmThroughput={"ReadUnitsPerSecond": 4})
    table = desk.table(WarmThroughput={"ReadUnitsPerSecond": 13000})
    assert table["WarmThroughput"] == {"ReadUnitsPerSecond": 13000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}


def test_attribute_definitions_exact(refuse):
    refuse(rules.DEFINITIONS_EXACT, "Number of attributes", **{**ON_DEMAND, "AttributeDefinitions": DEFINITIONS})
    refuse(rules.DEFINITIONS_EXACT, "is duplicated: pk", **{**ON_DEMAND, "AttributeDefinitions": [DEFINITION] * 2})
    two = {**ON_DEMAND, "AttributeDefinitions": DEFINITIONS}
    # An unused definition hides that the index is wrong too.
    wrong = index(Projection={})
    refuse(rules.DEFINITIONS_EXACT, "Some AttributeDefinitions are not used", **two, GlobalSecondaryIndexes=[wrong])
    missing = index(keys=[{"AttributeName": "q", "KeyType": "HASH"}])
    refuse(rules.DEFINITIONS_EXACT, "Keys: [q]", **ON_DEMAND, GlobalSecondaryIndexes=[missing])


def test_key_schema_order(refuse, desk):
    swapped = [KEYS[1], KEYS[0]]
    refuse(rules.KEY_ORDER, "not a HASH", **{**ON_DEMAND, "KeySchema": swapped, "AttributeDefinitions": DEFINITIONS})
    hashes = [{"AttributeName": name, "KeyType": "HASH"} for name in "abcde"]
    ranges = [{"AttributeName": name, "KeyType": "RANGE"} for name in "fghi"]
    definitions = [DEFINITION, *({"AttributeName": name, "AttributeType": "S"} for name in "abcdefghi")]
    of_two = {**ON_DEMAND, "KeySchema": hashes[:2], "AttributeDefinitions": definitions[1:3]}
    refuse(rules.KEY_ORDER, "not a RANGE", **of_two)
    five = {**ON_DEMAND, "AttributeDefinitions": definitions[:6], "GlobalSecondaryIndexes": [index(keys=hashes)]}
    refuse(rules.KEY_ORDER, "exceeds the maximum allowed number of HASH", **five)
    eight = index(keys=[*hashes[:4], *ranges])
    table = desk.table(
        AttributeDefinitions=[each for each in definitions if each["AttributeName"] != "e"],
        GlobalSecondaryIndexes=[eight],
    )
    assert table["GlobalSecondaryIndexes"][0]["KeySchema"] == eight["KeySchema"]


@pytest.mark.parametrize(
    ("projection", "text"),
    [
        ({}, "Unknown ProjectionType: null"),
        ({"ProjectionType": "INCLUDE"}, "NonKeyAttributes is not specified"),
        ({"ProjectionType": "KEYS_ONLY", "NonKeyAttributes": ["a"]}, "is KEYS_ONLY, but"),
        ({"ProjectionType": "INCLUDE", "NonKeyAttributes": ["x", "x"]}, "Duplicate element in NonKeyAttributes: x"),
    ],
)
def test_projection_type(refuse, projection, text):
    refuse(rules.PROJECTION, text, **ON_DEMAND, GlobalSecondaryIndexes=[index(Projection=projection)])


def test_index_counts(refuse, desk):
    refuse(rules.INDEX_COUNT, "is empty", **ON_DEMAND, GlobalSecondaryIndexes=[])
    many = [index(f"g-{number}") for number in range(21)]
    refuse(rules.INDEX_COUNT, "limit of 20", **ON_DEMAND, GlobalSecondaryIndexes=many)
    local = {**ON_DEMAND, "KeySchema": KEYS, "AttributeDefinitions": DEFINITIONS}
    refuse(rules.INDEX_COUNT, "limit of 5", **local, LocalSecondaryIndexes=[index(f"l-{n}", KEYS) for n in range(6)])
    assert len(desk.table(GlobalSecondaryIndexes=many[:20])["GlobalSecondaryIndexes"]) == 20


def test_local_index_shape(refuse, desk):
    local = {**ON_DEMAND, "KeySchema": KEYS, "AttributeDefinitions": DEFINITIONS}
    refuse(
        rules.LOCAL_INDEX, "does not have a range key, which", **{**ON_DEMAND, "AttributeDefinitions": DEFINITIONS},
        LocalSecondaryIndexes=[index("l-a", KEYS)],
    )  # fmt: skip
    other = [{"AttributeName": "sk", "KeyType": "HASH"}, {"AttributeName": "pk", "KeyType": "RANGE"}]
    refuse(rules.LOCAL_INDEX, "same leading hash key", **local, LocalSecondaryIndexes=[index("l-a", other)])
    refuse(rules.LOCAL_INDEX, "range key for index: l-a", **local, LocalSecondaryIndexes=[index("l-a")])
    table = desk.table(**local, LocalSecondaryIndexes=[index("l-a", KEYS)])
    assert "IndexStatus" not in table["LocalSecondaryIndexes"][0]


def test_index_names_unique(refuse):
    local = {**ON_DEMAND, "KeySchema": KEYS, "AttributeDefinitions": DEFINITIONS}
    both = {"GlobalSecondaryIndexes": [index("dup")], "LocalSecondaryIndexes": [index("dup", KEYS)]}
    refuse(rules.INDEX_NAMES, "Duplicate index name: dup", **local, **both)


def test_stream_at_create(refuse):
    refuse(
        rules.STREAM_AT_CREATE, "UpdateViewType is required", **ON_DEMAND, StreamSpecification={"StreamEnabled": True}
    )
    off = {"StreamEnabled": False, "StreamViewType": "KEYS_ONLY"}
    refuse(rules.STREAM_AT_CREATE, "should not be specified", **ON_DEMAND, StreamSpecification=off)


def test_vector_index_needs_on_demand(refuse, desk):
    vector = {
        "IndexName": "vec", "VectorAttribute": {"AttributeName": "v"}, "Projection": ALL, "Dimensions": 3,
        "DistanceFunction": "COSINE",
    }  # fmt: skip
    refuse(rules.VECTOR_ON_DEMAND, "PAY_PER_REQUEST", **PROVISIONED, VectorIndexes=[vector])
    refuse(rules.VECTOR_ON_DEMAND, "limit of 5", **ON_DEMAND, VectorIndexes=[vector] * 6)
    shown = desk.table(VectorIndexes=[vector])["VectorIndexes"][0]
    assert vector.items() <= shown.items()
    assert shown["IndexStatus"] == "ACTIVE"


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ab", "must be at least 3 characters long and at most 255 characters long"),
        ("a" * 256, "must be at least 3 characters long and at most 255 characters long"),
        ("a b", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
        ("äöü", "Member must satisfy regular expression pattern: [a-zA-Z0-9_.-]+"),
    ],
)
def test_names_of_three_to_255(refuse, name, text):
    refuse(rules.NAMES, text, **ON_DEMAND, GlobalSecondaryIndexes=[index(name)])


def test_table_exists(desk, refuse):
    desk("CreateTable", TableName="tbl", **ON_DEMAND)
    refuse(rules.EXISTS, "Table is being created: tbl", "ResourceInUseException", **ON_DEMAND)
    desk.wait(3)
    refuse(rules.EXISTS, "Table already exists: tbl", "ResourceInUseException", **PROVISIONED)
    desk("DeleteTable", TableName="tbl")
    refuse(rules.EXISTS, "Table already exists: tbl", "ResourceInUseException", **ON_DEMAND)


def test_capacity_quota(desk, refuse):
    over = {**PROVISIONED, "ProvisionedThroughput": {"ReadCapacityUnits": 40001, "WriteCapacityUnits": 1}}
    refuse(rules.CAPACITY_QUOTA, "Per table maximum: 40000", "LimitExceededException", **over)
    maximum = {"MaxReadRequestUnits": 40001}
    refuse(rules.CAPACITY_QUOTA, "TableMaxRead", "LimitExceededException", **ON_DEMAND, OnDemandThroughput=maximum)
    full = {**PROVISIONED, "ProvisionedThroughput": {"ReadCapacityUnits": 40000, "WriteCapacityUnits": 1}}
    desk("CreateTable", TableName="aaa", **full)
    desk("CreateTable", TableName="bbb", **full)
    refuse(rules.CAPACITY_QUOTA, "exceeded for the account", "LimitExceededException", **PROVISIONED)
    desk.world.quotas = False
    desk("CreateTable", TableName="tbl", **over)


@pytest.mark.parametrize("member", ["AttributeDefinitions", "KeySchema"])
def test_creation_needs_key_and_definitions(refuse, member):
    at = member[0].lower() + member[1:]
    text = f"Value null at '{at}' failed to satisfy constraint: Member must not be null"
    refuse(rules.MEMBERS, text, **{name: value for name, value in ON_DEMAND.items() if name != member})
    refuse(rules.MEMBERS, "attribute have no definition", **{**ON_DEMAND, "AttributeDefinitions": []})
