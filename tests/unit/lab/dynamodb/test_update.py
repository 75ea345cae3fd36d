# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""UpdateTable: what goes together, what is admitted while something runs, table class and deletion protection."""

from __future__ import annotations

import pytest

from lab.dynamodb import admission, capacity
from lab.dynamodb import update as rules

INVALID, IN_USE = "ValidationException", "ResourceInUseException"
CAPACITY = {"ReadCapacityUnits": 5, "WriteCapacityUnits": 5}
STREAM = {"StreamEnabled": True, "StreamViewType": "KEYS_ONLY"}
KEY = [{"AttributeName": "pk", "KeyType": "HASH"}]
PROVISIONED = {"BillingMode": "PROVISIONED", "ProvisionedThroughput": {"ReadCapacityUnits": 9, "WriteCapacityUnits": 9}}
INDEX = {"IndexName": "g-a", "KeySchema": KEY, "Projection": {"ProjectionType": "ALL"}}
CREATE = {
    "GlobalSecondaryIndexUpdates": [{"Create": INDEX}],
    "AttributeDefinitions": [{"AttributeName": "pk", "AttributeType": "S"}],
}
DELETE = {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "g-b"}}]}
ENCRYPT = {"SSESpecification": {"Enabled": True}}
CLASS = {"TableClass": "STANDARD_INFREQUENT_ACCESS"}
PROTECT = {"DeletionProtectionEnabled": True}
WARM = {"WarmThroughput": {"ReadUnitsPerSecond": 13000}}
MAXIMUM = {"OnDemandThroughput": {"MaxReadRequestUnits": 50}}


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


def test_update_of_nothing(refuse, desk):
    refuse(rules.NOTHING, "At least one of")  # there is no table
    desk.table()
    refuse(rules.NOTHING, "At least one of", GlobalSecondaryIndexUpdates=[])
    refuse(rules.NOTHING, "List of GlobalSecondaryIndexUpdates is empty", **PROTECT, GlobalSecondaryIndexUpdates=[])
    assert desk.describe()["DeletionProtectionEnabled"] is False


@pytest.mark.parametrize(
    ("members", "text"),
    [
        ({**ENCRYPT, **CLASS}, "Server-Side Encryption modification must be the only"),
        ({**CLASS, **PROTECT}, "TableClass modification must be the only"),
        ({**PROTECT, **WARM}, "DeletionProtection modification must be the only"),
        ({**WARM, "BillingMode": "PAY_PER_REQUEST"}, "WarmThroughput must be the only operation"),
        ({**WARM, **CREATE}, "Create global secondary index cannot be specified when updating WarmThroughput"),
    ],
)
def test_alone_in_the_call(desk, refuse, members, text):
    desk.table()
    refuse(rules.ALONE, text, **members)


def test_maxima_with_billing_only(desk, refuse, update):
    desk.table()
    refuse(rules.MAXIMA_WITH_MODE, "can only be combined with BillingMode", **MAXIMUM, StreamSpecification=STREAM)
    update(**MAXIMUM, BillingMode="PAY_PER_REQUEST")
    assert desk.describe()["OnDemandThroughput"] == {"MaxReadRequestUnits": 50}


def test_stream_without_capacity(desk, refuse, update):
    desk.table()
    text = "You cannot modify stream status while updating table IOPS"
    refuse(rules.STREAM_WITHOUT_CAPACITY, text, StreamSpecification=STREAM, ProvisionedThroughput=CAPACITY)
    refuse(rules.STREAM_WITHOUT_CAPACITY, text, StreamSpecification=STREAM, **PROVISIONED)
    refuse(rules.STREAM_WITHOUT_CAPACITY, "while changing stream status", StreamSpecification=STREAM, **CREATE)
    update(StreamSpecification=STREAM, BillingMode="PAY_PER_REQUEST")
    assert desk.describe()["StreamSpecification"] == STREAM


def test_index_without_capacity(desk, refuse, update):
    desk.table()
    text = "You cannot create or delete index while updating table IOPS"
    refuse(rules.INDEX_WITHOUT_CAPACITY, text, ProvisionedThroughput=CAPACITY, **CREATE)
    refuse(rules.INDEX_WITHOUT_CAPACITY, text, ProvisionedThroughput=CAPACITY, **DELETE)
    update(BillingMode="PAY_PER_REQUEST", **CREATE)
    assert desk.describe()["GlobalSecondaryIndexes"][0]["IndexStatus"] == "CREATING"


def test_one_vector_index_at_a_time(desk, refuse, update):
    desk.table()
    vector = {
        "IndexName": "vec", "VectorAttribute": {"AttributeName": "v"}, "Projection": {"ProjectionType": "ALL"},
        "Dimensions": 3, "DistanceFunction": "COSINE",
    }  # fmt: skip
    create = {"VectorIndexUpdates": [{"Create": vector}]}
    refuse(rules.VECTOR_ALONE, "Only 1 online index", "LimitExceededException", **create, BillingMode="PAY_PER_REQUEST")
    update(**create)
    assert desk.describe()["VectorIndexes"][0]["IndexStatus"] == "CREATING"
    desk.wait(600)
    assert desk.describe()["VectorIndexes"][0]["IndexStatus"] == "ACTIVE"
    update(VectorIndexUpdates=[{"Delete": {"IndexName": "vec"}}])
    desk.wait(10)
    assert "VectorIndexes" not in desk.describe()


def test_refused_call_changes_nothing(desk, refuse):
    desk.table()
    delete = {"GlobalSecondaryIndexUpdates": [{"Delete": {"IndexName": "ghost"}}]}
    with pytest.raises(Exception, match="ghost"):
        desk("UpdateTable", TableName="tbl", BillingMode="PAY_PER_REQUEST", **CREATE | delete)
    two = {"GlobalSecondaryIndexUpdates": [*CREATE["GlobalSecondaryIndexUpdates"], *BAD_UPDATE]}
    with pytest.raises(Exception, match="ghost"):
        desk("UpdateTable", TableName="tbl", **{**CREATE, **two})
    assert "GlobalSecondaryIndexes" not in desk.describe()
    assert desk.status() == "ACTIVE"


def test_limited_call_changes_nothing(desk, update):
    """A call is throttled whole; no-ops and deletion protection are exempt (measured/import-export-table 1.11)."""
    desk.table()
    desk.world.throttles.enabled = True
    for number in range(6):
        desk("CreateTable", TableName=f"other-{number}", KeySchema=KEY, BillingMode="PAY_PER_REQUEST",
             AttributeDefinitions=CREATE["AttributeDefinitions"])  # fmt: skip
    with pytest.raises(Exception, match="control plane requests"):
        update(BillingMode="PAY_PER_REQUEST", **CREATE)
    assert "GlobalSecondaryIndexes" not in desk.describe()
    update(BillingMode="PAY_PER_REQUEST")
    update(**PROTECT)


BAD_UPDATE = [{"Update": {"IndexName": "ghost", "OnDemandThroughput": {"MaxReadRequestUnits": 5}}}]


def test_class_twice_in_thirty_days(desk, update, refuse):
    desk.table()
    update(TableClass="STANDARD")
    assert desk.status() == "ACTIVE"
    for name in ("STANDARD_INFREQUENT_ACCESS", "STANDARD"):
        update(TableClass=name)
        desk.wait(5)
    text = "Updates to TableClass are limited to 2 times in 30 day(s)."
    refuse(rules.CLASS_BUDGET, text, "LimitExceededException", **CLASS)
    refuse(rules.CLASS_BUDGET, text, "LimitExceededException", TableClass="STANDARD")
    desk.wait(30 * 86400)
    update(**CLASS)


def test_class_switch_shows_old(desk, update):
    desk.table(TableClass="STANDARD")
    answer = update(**CLASS)
    assert (answer["TableStatus"], answer["TableClassSummary"]) == ("UPDATING", {"TableClass": "STANDARD"})
    desk.wait(5)
    assert desk.describe()["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    assert desk.status() == "ACTIVE"


def test_class_lost_after_encryption(desk, update):
    desk.table(TableClass="STANDARD")
    update(**CLASS)
    assert desk.status() == "UPDATING"
    update(**ENCRYPT)
    assert desk.status() == "ACTIVE"
    update(TableClass="STANDARD")
    desk.wait(60)
    assert desk.describe()["TableClassSummary"]["TableClass"] == "STANDARD_INFREQUENT_ACCESS"
    update(TableClass="STANDARD")  # the lost call spent no budget
    desk.wait(60)
    assert desk.describe()["TableClassSummary"]["TableClass"] == "STANDARD"


def test_protection_flips_every_fifteen_seconds(desk, update, refuse):
    desk.table()
    update(DeletionProtectionEnabled=False)  # arms nothing
    assert update(**PROTECT)["DeletionProtectionEnabled"] is True
    text = "modified within the previous 15000 milliseconds. Please try again after 20"
    refuse(rules.PROTECTION_COOLDOWN, text, "ThrottlingException", DeletionProtectionEnabled=False)
    refuse(rules.PROTECTION_COOLDOWN, text, "ThrottlingException", **PROTECT)
    desk.wait(15)
    update(DeletionProtectionEnabled=False)
    assert desk.describe()["DeletionProtectionEnabled"] is False


RUNNING = {
    "stream": {"StreamSpecification": STREAM},
    "class": CLASS,
    "to_provisioned": PROVISIONED,
    "encryption": ENCRYPT,
    "warm": WARM,
    "index": CREATE,
}
REFUSED = [
    ("stream", {"StreamSpecification": {"StreamEnabled": False}}, "Can't change stream status"),
    ("stream", CLASS, "Can't update table class when stream status is being updated. Table: tbl"),
    ("stream", MAXIMUM, "OnDemandThroughput cannot be updated while stream status update is in progress"),
    ("stream", CREATE, "Can't create or delete an index when stream status is being updated."),
    ("class", CLASS, "TableClassUpdateInProgress: STANDARD_INFREQUENT_ACCESS"),
    ("class", {"StreamSpecification": STREAM}, "Can't change stream status when a table class update is in progress"),
    ("class", CREATE, "when a table class update is in progress"),
    ("class", MAXIMUM, "while TableClass update is in progress"),
    ("to_provisioned", {"ProvisionedThroughput": CAPACITY}, "Table IOPS are currently being updated. Table: tbl"),
    ("to_provisioned", {"StreamSpecification": STREAM}, "Can't enable or disable stream while table IOPS"),
    ("index", {"StreamSpecification": STREAM}, "Can't change stream status when an index is being created"),
    ("index", MAXIMUM, "while index creation is in progress for indexes: [g-a]"),
]
ADMITTED = [
    ("stream", ENCRYPT), ("stream", PROTECT), ("stream", WARM), ("class", ENCRYPT), ("class", PROTECT), ("class", WARM),
    ("to_provisioned", PROTECT), ("to_provisioned", ENCRYPT), ("encryption", CLASS), ("encryption", PROTECT),
    ("encryption", {"StreamSpecification": STREAM}), ("encryption", CREATE), ("encryption", WARM), ("warm", MAXIMUM),
    ("warm", {"StreamSpecification": STREAM}), ("warm", CREATE), ("index", PROTECT), ("index", ENCRYPT),
]  # fmt: skip
DELETE_TEXTS = {
    "stream": "Cannot delete table while stream is being enabled/disabled.",
    "class": "in the process of being updated",
    "to_provisioned": "in the process of being updated",
    "encryption": "in the process of being updated",
    "warm": "in the process of being updated",
    "index": "Cannot delete table while indexes are being created, updated, or deleted.",
}


def test_admitted_while_running(desk):
    """The measured cells of the two matrices, each on a table of its own."""
    for number, (running, change, text) in enumerate(REFUSED):
        name = f"refused-{number}"
        desk.table(name)
        desk("UpdateTable", TableName=name, **RUNNING[running])
        named = text.replace("Table: tbl", f"Table: {name}")
        desk.refused(admission.ADMITTED, IN_USE, named, "UpdateTable", TableName=name, **change)
    for number, (running, change) in enumerate(ADMITTED):
        name = f"admitted-{number}"
        desk.table(name)
        desk("UpdateTable", TableName=name, **RUNNING[running])
        desk("UpdateTable", TableName=name, **change)
    for running, text in DELETE_TEXTS.items():
        desk.table(f"kept-{running}")
        desk("UpdateTable", TableName=f"kept-{running}", **RUNNING[running])
        desk.refused(admission.ADMITTED, IN_USE, text, "DeleteTable", TableName=f"kept-{running}")


def test_updating_refuses_unmeasured(desk, update, refuse):
    desk.table()
    update(StreamSpecification=STREAM)
    refuse(admission.NOT_MEASURED, "in the process of being updated", IN_USE, **PROVISIONED)


def test_settings_calls_pass_while_updating(desk, update):
    """Different interfaces do not lock each other (measured/settings 2.1 [TABLE-435])."""
    arn = desk.table()["TableArn"]
    update(StreamSpecification=STREAM)
    desk("TagResource", ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}])
    desk("UpdateTimeToLive", TableName="tbl", TimeToLiveSpecification={"Enabled": True, "AttributeName": "a"})
    desk(
        "UpdateContinuousBackups",
        TableName="tbl",
        PointInTimeRecoverySpecification={"PointInTimeRecoveryEnabled": True},
    )
    desk("UpdateContributorInsights", TableName="tbl", ContributorInsightsAction="ENABLE")
    assert desk.status() == "UPDATING"


def test_empty_block_beside(desk, refuse):
    desk.table()
    with pytest.raises(Exception, match="InternalFailure") as caught:
        desk("UpdateTable", TableName="tbl", OnDemandThroughput={})
    assert (caught.value.status, caught.value.rule) == (500, capacity.EMPTY_BLOCK.name)
