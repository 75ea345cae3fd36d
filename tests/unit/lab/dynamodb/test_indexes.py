# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Global secondary indexes of a live table."""

from __future__ import annotations

import pytest

from lab.dynamodb import indexes as rules
from lab.dynamodb.registry import TableRegistry

INVALID, IN_USE, LIMIT = "ValidationException", "ResourceInUseException", "LimitExceededException"
KEY = [{"AttributeName": "pk", "KeyType": "HASH"}]
ALL = {"ProjectionType": "ALL"}
ATTRIBUTES = [{"AttributeName": "pk", "AttributeType": "S"}]


def index(name="g-a", attribute="pk", **members):
    keys = [{"AttributeName": attribute, "KeyType": "HASH"}]
    return {"IndexName": name, "KeySchema": keys, "Projection": ALL, **members}


def create(name="g-b", attribute="pk", **members):
    definitions = [{"AttributeName": attribute, "AttributeType": "S"}]
    shape = index(name, attribute, **members)
    return {"GlobalSecondaryIndexUpdates": [{"Create": shape}], "AttributeDefinitions": definitions}


def delete(name="g-a"):
    return {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": name}}]}


def change(name="g-a", **members):
    return {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": name, **members}}]}


MAXIMUM = {"OnDemandThroughput": {"MaxReadRequestUnits": 5}}


@pytest.fixture
def update(desk):
    def update(**params):
        return desk("UpdateTable", TableName="tbl", **params)["TableDescription"]

    return update


@pytest.fixture
def refuse(desk):
    def refuse(rule, text, code=INVALID, **params):
        desk.refused(rule, code, text, "UpdateTable", TableName="tbl", **params)

    return refuse


@pytest.fixture
def table(desk):
    """An on-demand table with one index, g-a."""
    return desk.table(GlobalSecondaryIndexes=[index()])


def shown(desk, name="g-b"):
    return next(each for each in desk.describe()["GlobalSecondaryIndexes"] if each["IndexName"] == name)


def test_one_index_at_a_time(desk, table, refuse, update):
    text = "Only 1 online index can be created or deleted simultaneously per table"
    both = {
        **create(),
        "GlobalSecondaryIndexUpdates": [*create()["GlobalSecondaryIndexUpdates"], {"Delete": {"IndexName": "g-a"}}],
    }
    refuse(rules.ONE_AT_A_TIME, text, LIMIT, **both)
    update(**create())
    refuse(rules.ONE_AT_A_TIME, text, LIMIT, **create("g-c"))
    refuse(rules.ONE_AT_A_TIME, text, LIMIT, **delete())
    desk.wait(40)
    assert shown(desk)["Backfilling"] is True
    refuse(rules.ONE_AT_A_TIME, text, LIMIT, **create("g-c"))


def test_index_once_in_a_call(table, refuse):
    updates = [{"Delete": {"IndexName": "g-a"}}, {"Create": index()}]
    text = "Only one global secondary index update per index is allowed simultaneously. Index: g-a"
    refuse(rules.ONCE_IN_A_CALL, text, GlobalSecondaryIndexUpdates=updates, AttributeDefinitions=ATTRIBUTES)
    entry = {"Delete": {"IndexName": "g-a"}, "Create": index("g-b")}
    refuse(rules.ONCE_IN_A_CALL, "Only one global secondary index action", GlobalSecondaryIndexUpdates=[entry])


def test_index_create_shape(desk, table, refuse, update):
    without = {"GlobalSecondaryIndexUpdates": [{"Create": index("g-b", "b")}]}
    refuse(rules.CREATE_SHAPE, "AttributeDefinitions is not specified for index: g-b", **without)
    refuse(rules.CREATE_SHAPE, "for index: g-b", **without, AttributeDefinitions=ATTRIBUTES)
    wrong_type = {"AttributeName": "pk", "AttributeType": "N"}
    unused = {"AttributeName": "unused", "AttributeType": "S"}
    new = {"AttributeName": "b", "AttributeType": "S"}
    update(**without, AttributeDefinitions=[wrong_type, unused, new])
    assert desk.describe()["AttributeDefinitions"] == [new, *ATTRIBUTES]


def test_index_name_taken(desk, table, refuse, update):
    refuse(rules.NAME_TAKEN, "Attempting to create an index which already exists", **create("g-a"))
    update(**delete())
    refuse(rules.BUSY, "Index is being deleted. Table: tbl Index: g-a", IN_USE, **create("g-a"))


def test_twenty_indexes(desk, refuse):
    desk.table(GlobalSecondaryIndexes=[index(f"g-{number}") for number in range(20)])
    refuse(rules.TOO_MANY, "exceeds per-table limit of 20", LIMIT, **create("g-20"))


def test_index_create_capacity(desk, refuse, update):
    capacity = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
    desk.table(BillingMode="PROVISIONED", ProvisionedThroughput=capacity)
    refuse(rules.CAPACITY, "Both ReadCapacityUnits and WriteCapacityUnits must be specified", **create())
    update(**create(ProvisionedThroughput=capacity))


def test_index_capacity_on_demand(table, refuse):
    capacity = {"ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}}
    text = "The only Updates for index: g-a when TableThroughputMode is PAY_PER_REQUEST"
    refuse(rules.UPDATE_ON_DEMAND, text, **change(**capacity))
    refuse(rules.UPDATE_ON_DEMAND, "should not be specified for index: g-b", **create(**capacity))


def test_unknown_index(table, refuse):
    missing = "ResourceNotFoundException"
    refuse(
        rules.UNKNOWN, "Requested resource not found: Index ghost for table tbl", missing, **change("ghost", **MAXIMUM)
    )
    refuse(rules.UNKNOWN, "Index ghost for table tbl", missing, **delete("ghost"))
    warm = {"WarmThroughput": {"ReadUnitsPerSecond": 13000}}
    refuse(rules.UNKNOWN, "", "InternalFailure", **change("ghost", **warm))


def test_local_index_stays(desk, refuse):
    keys = [*KEY, {"AttributeName": "sk", "KeyType": "RANGE"}]
    definitions = [*ATTRIBUTES, {"AttributeName": "sk", "AttributeType": "S"}]
    local = {"IndexName": "l-a", "KeySchema": keys, "Projection": ALL}
    desk.table(KeySchema=keys, AttributeDefinitions=definitions, LocalSecondaryIndexes=[local])
    refuse(rules.LOCAL_STAYS, "Cannot delete an index that is not a GlobalSecondaryIndex: l-a", **delete("l-a"))
    refuse(rules.LOCAL_STAYS, "Cannot update an index", **change("l-a", **MAXIMUM))
    refuse(rules.NAME_TAKEN, "already exists", **create("l-a"))


def test_index_backfilled(desk, table, update):
    store = desk.world.part(TableRegistry).find("111111111111", "eu-west-1", "tbl").store
    for number in range(3):
        desk.put(pk={"S": str(number)}, b={"S": "x"})
    desk.put(pk={"S": "without"})
    answer = update(**create(attribute="b"))
    added = answer["GlobalSecondaryIndexes"][1]
    assert (answer["TableStatus"], added["IndexStatus"], added["Backfilling"]) == ("UPDATING", "CREATING", False)
    assert "g-b" not in store.index_names()
    desk.wait(34)
    assert (desk.status(), shown(desk)["IndexStatus"], shown(desk)["Backfilling"]) == ("ACTIVE", "CREATING", True)
    assert store.count("g-b") == 3
    desk.wait(510)
    assert shown(desk)["IndexStatus"] == "ACTIVE"
    assert "Backfilling" not in shown(desk)


def test_index_backfill_leaves_out(desk, table, update):
    store = desk.world.part(TableRegistry).find("111111111111", "eu-west-1", "tbl").store
    keys = [{"S": "x" * 2048}, {"S": "x" * 2049}, {"S": ""}, {"N": "1"}, {"S": "x"}]
    for number, key in enumerate(keys):
        desk.put(pk={"S": str(number)}, b=key)
    update(**create(attribute="b"))
    desk.wait(600)
    assert (shown(desk)["IndexStatus"], store.count("g-b"), store.count()) == ("ACTIVE", 2, len(keys))


def test_index_delete_prunes(desk, update):
    definitions = [*ATTRIBUTES, {"AttributeName": "b", "AttributeType": "S"}]
    desk.table(AttributeDefinitions=definitions, GlobalSecondaryIndexes=[index("g-b", "b")])
    answer = update(**delete("g-b"))
    assert (answer["TableStatus"], answer["GlobalSecondaryIndexes"][0]["IndexStatus"]) == ("UPDATING", "DELETING")
    assert len(desk.describe()["AttributeDefinitions"]) == 2
    desk.wait(5)
    table = desk.describe()
    assert table["AttributeDefinitions"] == ATTRIBUTES
    assert "GlobalSecondaryIndexes" not in table
    assert table["TableStatus"] == "ACTIVE"


def test_index_busy(desk, table, refuse, update):
    update(**change(**MAXIMUM))
    update(**change(**MAXIMUM))  # the same again
    other = {"OnDemandThroughput": {"MaxReadRequestUnits": 6}}
    refuse(rules.BUSY, "Index is being updated. Table: tbl Index: g-a", IN_USE, **change(**other))
    desk.wait(4)
    assert shown(desk, "g-a")["OnDemandThroughput"] == {"MaxReadRequestUnits": 5}
    update(**create())
    refuse(rules.BUSY, "Index is being created but is not backfilling yet", IN_USE, **change("g-b", **MAXIMUM))
    refuse(rules.BUSY, "Index creation is in resource allocation phase", IN_USE, **delete("g-b"))
    desk.wait(34)
    update(**delete("g-b"))
    refuse(rules.BUSY, "Index is being deleted. Table: tbl Index: g-b", IN_USE, **change("g-b", **MAXIMUM))
    desk.wait(600)
    assert [each["IndexName"] for each in desk.describe()["GlobalSecondaryIndexes"]] == ["g-a"]
    assert not desk.world.event_errors


def test_index_warm_empty(refuse):
    refuse(rules.EMPTY_WARM, "must have at least one of", **change("ghost", WarmThroughput={}))


def test_index_update_keeps_table_active(desk, table, update):
    update(**change(**MAXIMUM))
    assert (desk.status(), shown(desk, "g-a")["IndexStatus"]) == ("ACTIVE", "UPDATING")
    desk.wait(4)
    assert shown(desk, "g-a")["IndexStatus"] == "ACTIVE"


def test_protection_does_not_guard_indexes(desk, update):
    """measured/indexes-capacity 2 [TABLE-166]."""
    desk.table(GlobalSecondaryIndexes=[index()], DeletionProtectionEnabled=True)
    assert update(**delete())["GlobalSecondaryIndexes"][0]["IndexStatus"] == "DELETING"


def test_index_update_without_action(desk):
    desk.table()
    text = "GlobalSecondaryIndexUpdate.Delete must not be null"
    updates = {"GlobalSecondaryIndexUpdates": [{}]}
    desk.refused(rules.NO_ACTION, INVALID, text, "UpdateTable", TableName="tbl", **updates)


def test_definition_of_another_type(desk):
    desk.table()
    request = create("g-b", "other")
    request["AttributeDefinitions"].append({"AttributeName": "pk", "AttributeType": "N"})
    desk.world.behaviours.choose("dynamodb.redefined_attribute", "refused")
    desk.refused(rules.RETYPED, INVALID, "another type", "UpdateTable", TableName="tbl", **request)
    desk.world.behaviours.choose("dynamodb.redefined_attribute", "ignored")
    answer = desk("UpdateTable", TableName="tbl", **request)["TableDescription"]
    assert {"AttributeName": "pk", "AttributeType": "S"} in answer["AttributeDefinitions"]
