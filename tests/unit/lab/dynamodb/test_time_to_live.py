# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Time to live."""

from __future__ import annotations

import pytest

from lab.dynamodb import time_to_live as rules

INVALID = "ValidationException"
ON_DEMAND = {
    "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}


def params(attribute="expires", enabled=True):
    return {"TableName": "tbl", "TimeToLiveSpecification": {"Enabled": enabled, "AttributeName": attribute}}


def read(desk):
    return desk("DescribeTimeToLive", TableName="tbl")["TimeToLiveDescription"]


def test_ttl_while_creating(desk):
    desk.world.timings.set("table.creating", 8)
    desk("CreateTable", TableName="tbl", **ON_DEMAND)
    text = "Cannot describe time to live while table is in CREATING state"
    desk.refused(rules.CREATING, INVALID, text, "DescribeTimeToLive", TableName="tbl")
    desk.wait(3)
    desk.refused(rules.CREATING, "ResourceInUseException", "Table tbl is being created", "UpdateTimeToLive", **params())
    desk.wait(6)
    desk("UpdateTimeToLive", **params())
    desk("DeleteTable", TableName="tbl")
    desk.refused(rules.CREATING, INVALID, "table is in DELETING state", "DescribeTimeToLive", TableName="tbl")


def test_ttl_repeat_is_an_error(desk):
    desk.table()
    desk.refused(rules.REPEATED, INVALID, "TimeToLive is already disabled", "UpdateTimeToLive", **params(enabled=False))
    desk("UpdateTimeToLive", **params())
    desk.refused(rules.REPEATED, INVALID, "TimeToLive is already enabled", "UpdateTimeToLive", **params())
    text = "active on a different AttributeName: current AttributeName is expires"
    for enabled in (True, False):
        desk.refused(rules.REPEATED, INVALID, text, "UpdateTimeToLive", **params("other", enabled))


def test_ttl_cooldown(desk):
    desk.table()
    desk("UpdateTimeToLive", **params())
    text = "Time to live has been modified multiple times within a fixed interval"
    for seconds in (8, 1803):
        desk.wait(seconds)
        desk.refused(rules.COOLDOWN, INVALID, text, "UpdateTimeToLive", **params(enabled=False))
    desk.wait(60)
    assert desk("UpdateTimeToLive", **params(enabled=False)) == {
        "TimeToLiveSpecification": {"Enabled": False, "AttributeName": "expires"}
    }
    desk.refused(rules.COOLDOWN, INVALID, text, "UpdateTimeToLive", **params())


@pytest.mark.parametrize("scale", [0.01])
def test_ttl_cooldown_scales(desk, scale):
    desk.table()
    desk.world.timings.scale = scale
    desk("UpdateTimeToLive", **params())
    desk.wait(1840 * scale + 1)
    desk("UpdateTimeToLive", **params(enabled=False))


def test_ttl_settled_at_once(desk):
    desk.table()
    assert read(desk) == {"TimeToLiveStatus": "DISABLED"}
    desk("UpdateTimeToLive", **params("pk"))  # a key attribute is accepted
    assert read(desk) == {"TimeToLiveStatus": "ENABLED", "AttributeName": "pk"}
    desk.wait(1900)
    desk("UpdateTimeToLive", **params("pk", False))
    assert read(desk) == {"TimeToLiveStatus": "DISABLED"}
    assert desk.status() == "ACTIVE"


def test_ttl_reads_throttled(desk):
    desk.table()
    desk.world.throttles.enabled, desk.connection = True, 1
    for _ in range(4):
        desk("DescribeTimeToLive", TableName="tbl")
    code, text = "ThrottlingException", "Rate exceeded"
    desk.refused(rules.THROTTLED, code, text, "DescribeTimeToLive", TableName="tbl")
    desk.connection = 2
    desk("DescribeTimeToLive", TableName="tbl")
    desk.connection = 1
    desk.wait(2.1)
    desk("DescribeTimeToLive", TableName="tbl")
    desk.refused(rules.THROTTLED, code, text, "DescribeTimeToLive", TableName="tbl")


def test_ttl_expired_items(desk):
    desk.table()
    desk("UpdateTimeToLive", **params("expires"))
    now = int(desk.world.clock.now())
    for name, kind, moment in (
        ("past", "N", now - 60), ("soon", "N", now + 86400), ("text", "S", now - 60),
        ("ancient", "N", now - 6 * 31536000),
    ):  # fmt: skip
        desk.put(pk={"S": name}, expires={kind: str(moment)})
    desk.put(pk={"S": "never"})

    def names():
        return {each["pk"]["S"] for each in desk("Scan", TableName="tbl")["Items"]}

    everything = {"past", "soon", "text", "ancient", "never"}
    desk.wait(7 * 86400)
    assert names() == everything
    desk.world.behaviours.choose("dynamodb.expired_items", "deleted")
    assert names() == everything - {"past", "soon"}
    desk.put(pk={"S": "late"}, expires={"N": str(now)})
    assert "late" in names()
    desk.wait(3600)
    assert names() == everything - {"past", "soon"}
