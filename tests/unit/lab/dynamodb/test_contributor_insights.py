# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Contributor Insights."""

from __future__ import annotations

import pytest

from lab.dynamodb import contributor_insights as rules

KEY = [{"AttributeName": "pk", "KeyType": "HASH"}]
KEYS = [*KEY, {"AttributeName": "sk", "KeyType": "RANGE"}]
ALL = {"ProjectionType": "ALL"}
INDEX = {"IndexName": "g-a", "KeySchema": KEY, "Projection": ALL}
ON_DEMAND = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


@pytest.fixture
def update(desk):
    def update(action="ENABLE", name="tbl", **more):
        return desk("UpdateContributorInsights", TableName=name, ContributorInsightsAction=action, **more)

    return update


def read(desk, name="tbl", **more):
    return desk("DescribeContributorInsights", TableName=name, **more)


def test_insights_unknown_index(desk):
    definitions = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
    local = {"IndexName": "l-a", "KeySchema": KEYS, "Projection": ALL}
    desk.table(KeySchema=KEYS, AttributeDefinitions=definitions, LocalSecondaryIndexes=[local])
    for name in ("l-a", "ghost"):
        text = f"Requested resource not found: Index: {name} not found for table: tbl"
        missing = ("ResourceNotFoundException", text, "DescribeContributorInsights")
        desk.refused(rules.UNKNOWN_INDEX, *missing, TableName="tbl", IndexName=name)


def test_insights_need_active(desk):
    desk.world.timings.set("table.creating", 8)
    desk("CreateTable", TableName="tbl", **ON_DEMAND)
    desk.wait(3)
    enable = {"TableName": "tbl", "ContributorInsightsAction": "ENABLE"}
    text = "TableStatus must be ACTIVE to enable ContributorInsights."
    desk.refused(rules.NOT_ACTIVE, "ValidationException", text, "UpdateContributorInsights", **enable)
    desk.wait(6)
    create = {"GlobalSecondaryIndexUpdates": [{"Create": INDEX}]}
    definitions = [{"AttributeName": "pk", "AttributeType": "S"}]
    desk("UpdateTable", TableName="tbl", **create, AttributeDefinitions=definitions)
    desk.wait(40)
    text = "IndexStatus must be ACTIVE"
    desk.refused(rules.NOT_ACTIVE, "ValidationException", text, "UpdateContributorInsights", **enable, IndexName="g-a")


def test_insights_mode_resets(desk, update):
    desk.table()
    update(ContributorInsightsMode="THROTTLED_KEYS")
    desk.wait(2)
    assert read(desk)["ContributorInsightsMode"] == "THROTTLED_KEYS"
    assert update()["ContributorInsightsMode"] == "ACCESSED_AND_THROTTLED_KEYS"


def test_insights_states(desk, update):
    desk.table(GlobalSecondaryIndexes=[INDEX])
    assert read(desk) == {"TableName": "tbl", "ContributorInsightsStatus": "DISABLED"}
    assert update(IndexName="g-a")["ContributorInsightsStatus"] == "ENABLING"
    desk.wait(2)
    shown = read(desk, IndexName="g-a")
    assert (shown["ContributorInsightsStatus"], len(shown["ContributorInsightsRuleList"])) == ("ENABLED", 2)
    assert update(IndexName="g-a")["ContributorInsightsStatus"] == "ENABLED"
    assert update("DISABLE", IndexName="g-a")["ContributorInsightsStatus"] == "DISABLING"
    desk.wait(3)
    assert read(desk, IndexName="g-a")["ContributorInsightsStatus"] == "DISABLED"
    assert "LastUpdateDateTime" in read(desk, IndexName="g-a")
    assert update("DISABLE", IndexName="g-a")["ContributorInsightsStatus"] == "DISABLED"


def test_insights_rule_quota(desk, update):
    for number in range(51):
        desk.table(f"t{number:02}")
        update(name=f"t{number:02}")
    assert read(desk, "t50")["ContributorInsightsStatus"] == "ENABLING"
    desk.wait(3)
    assert read(desk, "t49")["ContributorInsightsStatus"] == "ENABLED"
    failed = read(desk, "t50")
    assert (failed["ContributorInsightsStatus"], failed["FailureException"]["ExceptionName"]) == (
        "FAILED", "LimitExceededException",
    )  # fmt: skip
    update("DISABLE", "t00")
    desk.wait(60)
    assert read(desk, "t50")["ContributorInsightsStatus"] == "FAILED"
    update(name="t50")
    desk.wait(2)
    assert read(desk, "t50")["ContributorInsightsStatus"] == "ENABLED"


def test_insights_listed(desk, update):
    for name in ("aaa", "bbb", "ccc"):
        desk.table(name, GlobalSecondaryIndexes=[INDEX])
    update(name="bbb", IndexName="g-a")
    update(name="bbb")
    summaries = desk("ListContributorInsights")["ContributorInsightsSummaries"]
    assert [(each["TableName"], each.get("IndexName")) for each in summaries] == [("bbb", None), ("bbb", "g-a")]
    page = desk("ListContributorInsights", MaxResults=2)
    assert page["ContributorInsightsSummaries"] == []
    page = desk("ListContributorInsights", MaxResults=2, NextToken=page["NextToken"])
    assert len(page["ContributorInsightsSummaries"]) == 2
    assert desk("ListContributorInsights", TableName="aaa")["ContributorInsightsSummaries"] == []
    # The index takes its entry along.
    desk("UpdateTable", TableName="bbb", GlobalSecondaryIndexUpdates=[{"Delete": {"IndexName": "g-a"}}])
    desk.wait(10)
    assert len(desk("ListContributorInsights", TableName="bbb")["ContributorInsightsSummaries"]) == 1


def test_insights_rule_names(desk, update):
    definitions = [{"AttributeName": name, "AttributeType": "S"} for name in ("pk", "sk")]
    desk.table(KeySchema=KEYS, AttributeDefinitions=definitions, GlobalSecondaryIndexes=[INDEX])

    def names(**params):
        desk.wait(5)
        return read(desk, **params)["ContributorInsightsRuleList"]

    update()
    update(IndexName="g-a")
    first = names()
    assert (len(first), len(names(IndexName="g-a"))) == (4, 2)
    update(ContributorInsightsMode="THROTTLED_KEYS")
    narrowed = names()
    assert len(narrowed) == 2 and set(narrowed) < set(first)
    update("DISABLE")
    desk.wait(5)
    update()
    assert len(again := names()) == 4 and set(again).isdisjoint(first)
