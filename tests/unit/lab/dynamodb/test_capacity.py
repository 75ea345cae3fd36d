# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Billing modes, provisioned capacity, on-demand maxima and warm throughput."""

from __future__ import annotations

import pytest

from lab.dynamodb import capacity as rules
from lab.dynamodb.registry import NOT_FOUND

INVALID = "ValidationException"
KEY = [{"AttributeName": "pk", "KeyType": "HASH"}]
INDEX = {"IndexName": "g-a", "KeySchema": KEY, "Projection": {"ProjectionType": "ALL"}}
DAY = 86400


def units(read, write=None):
    return {"ReadCapacityUnits": read, "WriteCapacityUnits": read if write is None else write}


def index_update(name="g-a", **members):
    return {"GlobalSecondaryIndexUpdates": [{"Update": {"IndexName": name, **members}}]}


@pytest.fixture
def update(desk):
    def update(**params):
        return desk("UpdateTable", TableName="tbl", **params)["TableDescription"]

    return update


@pytest.fixture
def refuse(desk):
    def refuse(rule, text, code=INVALID, **params):
        return desk.refused(rule, code, text, "UpdateTable", TableName="tbl", **params)

    return refuse


@pytest.fixture
def provisioned(desk):
    """A PROVISIONED table of 100/100 with an index of the same."""
    index = {**INDEX, "ProvisionedThroughput": units(100)}
    return desk.table(BillingMode="PROVISIONED", ProvisionedThroughput=units(100), GlobalSecondaryIndexes=[index])


def capacity_of(table):
    shown = table["ProvisionedThroughput"]
    return shown["ReadCapacityUnits"], shown["WriteCapacityUnits"]


def test_same_capacity_refused(provisioned, refuse, update):
    refuse(
        rules.SAME_CAPACITY,
        "The provisioned throughput for the table will not change",
        ProvisionedThroughput=units(100),
    )
    same = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units(100)}
    refuse(rules.SAME_CAPACITY, "The requested value equals the current value", **same)
    refuse(rules.SAME_CAPACITY, "for the index g-a will not", **index_update(ProvisionedThroughput=units(100)))
    update(ProvisionedThroughput=units(100, 101))


def test_four_decreases_a_day(desk, provisioned, refuse, update):
    # Begin at midnight UTC, so that the hours of the test lie in one day.
    desk.wait(DAY - desk.world.clock.now() % DAY + 1)
    for read in (90, 80, 70, 60):
        update(ProvisionedThroughput=units(read, 200 - read))
        desk.wait(3)
    assert desk.describe()["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 4
    text = "Number of decreases today: 4"
    refuse(rules.DECREASES, text, "LimitExceededException", ProvisionedThroughput=units(50))
    update(ProvisionedThroughput=units(300))  # increases always pass
    desk.wait(3)
    update(**index_update(ProvisionedThroughput=units(50)))  # the index has a budget of its own
    desk.wait(3540)
    refuse(rules.DECREASES, text, "LimitExceededException", ProvisionedThroughput=units(50))
    desk.wait(70)
    update(ProvisionedThroughput=units(250))
    desk.wait(60)
    refuse(rules.DECREASES, "Next decrease", "LimitExceededException", ProvisionedThroughput=units(50))
    desk.wait(DAY)
    assert desk.describe()["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 0
    assert "LastDecreaseDateTime" in desk.describe()["ProvisionedThroughput"]
    update(ProvisionedThroughput=units(50))


def test_no_capacity_on_demand(desk, refuse):
    desk.table()
    refuse(rules.CAPACITY_ON_DEMAND, "Neither ReadCapacityUnits", ProvisionedThroughput=units(5))


def test_switch_to_provisioned_names_all(desk, refuse, update):
    desk.table(GlobalSecondaryIndexes=[INDEX])
    alone = {"BillingMode": "PROVISIONED"}
    refuse(rules.SWITCH_NEEDS_CAPACITY, "must be specified when BillingMode is PROVISIONED", **alone)
    table_only = {**alone, "ProvisionedThroughput": units(5)}
    refuse(rules.SWITCH_NEEDS_CAPACITY, "must be specified for index: g-a", **table_only)
    update(**table_only, **index_update(ProvisionedThroughput=units(7)))
    table = desk.describe()
    assert (capacity_of(table), capacity_of(table["GlobalSecondaryIndexes"][0])) == ((5, 5), (7, 7))


def test_switch_to_on_demand_takes_no_capacity(desk, provisioned, refuse, update):
    wrong = {"BillingMode": "PAY_PER_REQUEST", "ProvisionedThroughput": units(5)}
    refuse(rules.SWITCH_TO_ON_DEMAND, "cannot be specified when BillingMode is PAY_PER_REQUEST", **wrong)
    update(BillingMode="PAY_PER_REQUEST", OnDemandThroughput={"MaxReadRequestUnits": 9})
    table = desk.describe()
    assert table["OnDemandThroughput"] == {"MaxReadRequestUnits": 9}
    assert (capacity_of(table), capacity_of(table["GlobalSecondaryIndexes"][0])) == ((0, 0), (0, 0))


def test_switch_shown_at_once(desk, provisioned, update):
    answer = update(BillingMode="PAY_PER_REQUEST")
    assert (answer["TableStatus"], answer["BillingModeSummary"]["BillingMode"]) == ("UPDATING", "PAY_PER_REQUEST")
    desk.wait(110)
    assert desk.status() == "UPDATING"
    desk.wait(12)
    assert desk.status() == "ACTIVE"
    back = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": units(5)}
    update(**back, **index_update(ProvisionedThroughput=units(5)))
    desk.wait(80)
    assert desk.status() == "UPDATING"
    desk.wait(8)
    assert desk.describe()["BillingModeSummary"]["BillingMode"] == "PROVISIONED"
    update(BillingMode="PAY_PER_REQUEST")
    desk.wait(5)
    assert desk.status() == "ACTIVE"
    assert update(BillingMode="PAY_PER_REQUEST")["TableStatus"] == "UPDATING"  # a no-op
    assert desk.status() == "ACTIVE"


def test_switch_drops_maxima(desk, update):
    maximum = {"MaxReadRequestUnits": 9}
    desk.table(OnDemandThroughput=maximum, GlobalSecondaryIndexes=[{**INDEX, "OnDemandThroughput": maximum}])
    update(BillingMode="PROVISIONED", ProvisionedThroughput=units(5), **index_update(ProvisionedThroughput=units(5)))
    desk.wait(100)
    assert "OnDemandThroughput" not in desk.describe()
    assert "OnDemandThroughput" not in desk.describe()["GlobalSecondaryIndexes"][0]
    update(BillingMode="PAY_PER_REQUEST")
    table = desk.describe()
    counters = [
        each["ProvisionedThroughput"]["NumberOfDecreasesToday"] for each in (table, *table["GlobalSecondaryIndexes"])
    ]
    assert counters == [0, 1]


def test_billing_reversal_lost(desk, update):
    desk.table()
    update(BillingMode="PROVISIONED", ProvisionedThroughput=units(5))
    answer = update(BillingMode="PAY_PER_REQUEST")
    assert (answer["BillingModeSummary"]["BillingMode"], capacity_of(answer)) == ("PAY_PER_REQUEST", (0, 0))
    desk.wait(100)
    table = desk.describe()
    assert (table["BillingModeSummary"]["BillingMode"], capacity_of(table)) == ("PROVISIONED", (5, 5))


def test_maxima_merge(desk, update):
    desk.table(OnDemandThroughput={"MaxReadRequestUnits": 5})
    update(OnDemandThroughput={"MaxWriteRequestUnits": 6})
    assert desk.describe()["OnDemandThroughput"] == {"MaxReadRequestUnits": 5, "MaxWriteRequestUnits": 6}
    assert desk.status() == "ACTIVE"
    answer = update(OnDemandThroughput={"MaxReadRequestUnits": -1})
    assert answer["OnDemandThroughput"]["MaxReadRequestUnits"] == -1
    desk.wait(2)
    assert desk.describe()["OnDemandThroughput"] == {"MaxWriteRequestUnits": 6}
    update(OnDemandThroughput={"MaxWriteRequestUnits": -1})
    desk.wait(2)
    assert "OnDemandThroughput" not in desk.describe()


@pytest.mark.parametrize("value", [0, -2])
def test_maximum_range_at_update(desk, refuse, value):
    desk.table(GlobalSecondaryIndexes=[INDEX])
    maximum = {"OnDemandThroughput": {"MaxReadRequestUnits": value}}
    refuse(rules.MAXIMA_RANGE, "for table is outside of valid range", **maximum)
    refuse(rules.MAXIMA_RANGE, "for index : g-a is outside", **index_update(**maximum))


def test_maximum_judged_by_old_mode(desk, provisioned, refuse, update):
    maximum = {"OnDemandThroughput": {"MaxReadRequestUnits": 5}}
    refuse(rules.MAXIMA_MODE, "when table BillingMode is PROVISIONED.", **maximum)
    update(BillingMode="PAY_PER_REQUEST")
    refuse(rules.MAXIMA_MODE, "when table BillingMode is PROVISIONED.", **maximum)
    desk.wait(130)
    update(**maximum)


def test_warm_only_up(desk, refuse, update):
    desk.table(GlobalSecondaryIndexes=[INDEX])
    lower = {"WarmThroughput": {"WriteUnitsPerSecond": 3999}}
    refuse(rules.WARM_ONLY_UP, "for table is lower than current WarmThroughput, decreasing", **lower)
    refuse(rules.WARM_ONLY_UP, "for index g-a is lower", **index_update(**lower))
    update(WarmThroughput={"WriteUnitsPerSecond": 4000})
    assert desk.describe()["WarmThroughput"]["Status"] == "ACTIVE"


def test_warm_increase_is_slow(desk, update):
    desk.table()
    update(WarmThroughput={"ReadUnitsPerSecond": 13000})
    shown = {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "UPDATING"}
    assert (desk.status(), desk.describe()["WarmThroughput"]) == ("ACTIVE", shown)
    desk.wait(400)
    update(WarmThroughput={"ReadUnitsPerSecond": 14000})
    desk.wait(400)
    assert desk.describe()["WarmThroughput"] == shown
    desk.wait(60)
    assert desk.describe()["WarmThroughput"] == {**shown, "ReadUnitsPerSecond": 14000, "Status": "ACTIVE"}
    update(WarmThroughput={"ReadUnitsPerSecond": 15000})
    desk.wait(3)
    assert desk.describe()["WarmThroughput"]["ReadUnitsPerSecond"] == 15000


def test_warm_during_allocation(desk, update, refuse):
    desk.table()
    update(
        GlobalSecondaryIndexUpdates=[{"Create": INDEX}],
        AttributeDefinitions=[{"AttributeName": "pk", "AttributeType": "S"}],
    )
    warm = {"WarmThroughput": {"ReadUnitsPerSecond": 13000}}
    refuse(rules.WARM_MAINTENANCE, "Table is under system maintenance", "InternalServerError", **warm)
    desk.wait(40)
    update(**warm)


def test_warm_follows_capacity(desk, provisioned, update):
    shown = {"ReadUnitsPerSecond": 100, "WriteUnitsPerSecond": 100, "Status": "ACTIVE"}
    assert desk.describe()["WarmThroughput"] == shown
    update(ProvisionedThroughput=units(200, 50))
    desk.wait(3)
    assert desk.describe()["WarmThroughput"] == {**shown, "ReadUnitsPerSecond": 200}
    update(BillingMode="PAY_PER_REQUEST")
    assert desk.describe()["WarmThroughput"] == {**shown, "ReadUnitsPerSecond": 200}
    desk.wait(200)
    table = desk.describe()
    for each in (table, *table["GlobalSecondaryIndexes"]):
        assert each["WarmThroughput"] == {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"}


def test_old_capacity_echoed(desk, provisioned, update):
    answer = update(ProvisionedThroughput=units(200))
    assert (answer["TableStatus"], capacity_of(answer), capacity_of(desk.describe())) == (
        "UPDATING",
        (100, 100),
        (100, 100),
    )
    desk.wait(3)
    assert (desk.status(), capacity_of(desk.describe())) == ("ACTIVE", (200, 200))
    answer = update(**index_update(ProvisionedThroughput=units(300)))
    assert capacity_of(answer["GlobalSecondaryIndexes"][0]) == (100, 100)
    desk.wait(4)
    assert capacity_of(desk.describe()["GlobalSecondaryIndexes"][0]) == (300, 300)


def test_capacity_change_dated_at_once(desk, provisioned, update):
    start = desk.world.clock.now()
    for sent, dated, undated in (
        (200, "LastIncreaseDateTime", "LastDecreaseDateTime"),
        (50, "LastDecreaseDateTime", ""),
    ):
        before = desk.describe()["ProvisionedThroughput"]
        answer = update(ProvisionedThroughput=units(sent))["ProvisionedThroughput"]
        assert {**before, dated: answer[dated]} == answer
        assert answer[dated] >= start and undated not in answer
        assert desk.describe()["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 0
        desk.wait(3)
    assert desk.describe()["ProvisionedThroughput"]["NumberOfDecreasesToday"] == 1


@pytest.mark.parametrize("choice", ["gone", "kept"])
def test_switch_settles_late(desk, provisioned, update, choice):
    desk.world.behaviours.choose("dynamodb.decrease_date_of_switch", choice)
    for shown in (update(BillingMode="PAY_PER_REQUEST"), desk.describe()):
        assert (shown["TableStatus"], shown["BillingModeSummary"]) == ("UPDATING", {"BillingMode": "PAY_PER_REQUEST"})
        capacity = shown["ProvisionedThroughput"]
        assert (capacity_of(shown), capacity["NumberOfDecreasesToday"]) == ((0, 0), 0)
        assert "LastDecreaseDateTime" in capacity
        assert shown["WarmThroughput"]["ReadUnitsPerSecond"] == 100
    desk.wait(200)
    shown = desk.describe()
    assert "LastUpdateToPayPerRequestDateTime" in shown["BillingModeSummary"]
    assert ("LastDecreaseDateTime" in shown["ProvisionedThroughput"]) is (choice == "kept")


def test_maxima_answered_active(desk, update):
    desk.table()
    answer = update(OnDemandThroughput={"MaxReadRequestUnits": 50})
    assert (answer["TableStatus"], answer["OnDemandThroughput"]) == ("ACTIVE", {"MaxReadRequestUnits": 50})


def test_empty_block(desk, refuse, update):
    missing = "Table: tbl not found"
    for name in ("OnDemandThroughput", "WarmThroughput"):
        desk.refused(NOT_FOUND, "ResourceNotFoundException", missing, "UpdateTable", TableName="tbl", **{name: {}})
    desk.table()
    for name in ("OnDemandThroughput", "WarmThroughput"):
        assert refuse(rules.EMPTY_BLOCK, "", "InternalFailure", **{name: {}}) == ""
    update(OnDemandThroughput={}, DeletionProtectionEnabled=True)
    assert desk.describe()["DeletionProtectionEnabled"] is True


def test_update_quota(desk, provisioned, refuse):
    from lab.dynamodb.creation import CAPACITY_QUOTA

    limit = "LimitExceededException"
    refuse(CAPACITY_QUOTA, "above the per table maximum", limit, ProvisionedThroughput=units(40001))
    refuse(CAPACITY_QUOTA, "above the per index maximum", limit, **index_update(ProvisionedThroughput=units(40001)))
