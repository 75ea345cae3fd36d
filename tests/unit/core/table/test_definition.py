# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

from __future__ import annotations

import json
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import sdk
from ansible_collections.tableferry.aws.plugins.module_utils.core.account import Account, AccountSpec
from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import AccessDenied, InvalidInput, MissingTable
from ansible_collections.tableferry.aws.plugins.module_utils.core.table.definition import TableDefinition, json_safe

DESCRIBED = {
    "TableName": "orders",
    "TableArn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders",
    "TableId": "d1",
    "TableStatus": "ACTIVE",
    "CreationDateTime": datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC),
    "AttributeDefinitions": [
        {"AttributeName": "customer", "AttributeType": "S"},
        {"AttributeName": "id", "AttributeType": "N"},
    ],
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "BillingModeSummary": {"BillingMode": "PAY_PER_REQUEST"},
    "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0, "NumberOfDecreasesToday": 0},
    "OnDemandThroughput": {"MaxReadRequestUnits": 50, "MaxWriteRequestUnits": -1},
    "WarmThroughput": {"ReadUnitsPerSecond": 12000, "WriteUnitsPerSecond": 4000, "Status": "ACTIVE"},
    "GlobalSecondaryIndexes": [
        {
            "IndexName": "by_customer",
            "IndexArn": "arn:aws:dynamodb:eu-west-1:111111111111:table/orders/index/by_customer",
            "KeySchema": [{"AttributeName": "customer", "KeyType": "HASH"}],
            "Projection": {"ProjectionType": "ALL"},
            "IndexStatus": "ACTIVE",
            "ProvisionedThroughput": {"ReadCapacityUnits": 0, "WriteCapacityUnits": 0},
        }
    ],
    "ItemCount": 3,
    "TableSizeBytes": 99,
}


class Client:
    def __init__(self, error=None):
        self.error = error

    def describe_table(self, TableName):
        if self.error:
            raise sdk.ClientError({"Error": {"Code": self.error, "Message": "no"}}, "DescribeTable")
        return {"Table": {**DESCRIBED, "TableName": TableName}, "ResponseMetadata": {"RequestId": "1"}}


def account(monkeypatch, client):
    side = Account(
        AccountSpec.from_mapping(
            "source",
            {
                "region": "eu-west-1",
                "access_key": "a",
                "secret_key": "b",
                "role_arn": "arn:aws:iam::111111111111:role/ferry",
            },
        )
    )
    monkeypatch.setattr(side, "client", lambda service, **_: client)
    return side


def test_absent_members_have_aws_meaning():
    bare = {key: DESCRIBED[key] for key in ("TableName", "AttributeDefinitions", "KeySchema")}
    table = TableDefinition.from_dict(
        {**bare, "ProvisionedThroughput": {"ReadCapacityUnits": 5, "WriteCapacityUnits": 2}}
    )
    assert (table.billing_mode, table.table_class, table.sse, table.stream) == ("PROVISIONED", "STANDARD", None, None)
    assert table.provisioned_throughput == {"ReadCapacityUnits": 5, "WriteCapacityUnits": 2}
    assert not table.deletion_protection


def test_on_demand_shows_no_capacity_and_no_absent_maxima():
    table = TableDefinition.from_dict(DESCRIBED)
    assert table.billing_mode == "PAY_PER_REQUEST"
    assert table.provisioned_throughput is None
    assert table.on_demand_throughput == {"MaxReadRequestUnits": 50}
    assert table.index("by_customer").provisioned_throughput is None
    assert (table.account_id, table.region) == ("111111111111", "eu-west-1")


def test_stream_arn_of_a_disabled_stream_is_none():
    table = TableDefinition.from_dict({**DESCRIBED, "LatestStreamArn": "arn:old"})
    assert (table.stream, table.stream_arn) == (None, "")


def test_round_trip_is_json_and_equal():
    table = TableDefinition.from_dict({"Table": DESCRIBED})
    again = TableDefinition.from_dict(json.loads(json.dumps(table.to_dict())))
    assert again == table
    assert again.raw["CreationDateTime"] == "2026-01-02T03:04:05+00:00"


@pytest.mark.parametrize("missing", ["TableName", "AttributeDefinitions", "KeySchema"])
def test_incomplete_definitions_are_refused(missing):
    with pytest.raises(InvalidInput, match=missing):
        TableDefinition.from_dict({key: value for key, value in DESCRIBED.items() if key != missing})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"TableStatus": "UPDATING"}, "the table is UPDATING"),
        ({"SSEDescription": {"Status": "UPDATING"}}, "encryption is UPDATING"),
        ({"WarmThroughput": {"Status": "UPDATING"}}, "warm throughput is UPDATING"),
        (
            {"GlobalSecondaryIndexes": [{**DESCRIBED["GlobalSecondaryIndexes"][0], "IndexStatus": "CREATING"}]},
            "index by_customer is CREATING",
        ),
        ({"SSEDescription": {"Status": "ENABLED", "SSEType": "KMS", "KMSMasterKeyArn": "arn:k"}}, ""),
        ({}, ""),
    ],
)
def test_active_is_not_idle(change, words):
    assert TableDefinition.from_dict({**DESCRIBED, **change}).busy == words


def test_read_and_find(monkeypatch):
    assert TableDefinition.read(account(monkeypatch, Client()), "orders").name == "orders"
    gone = account(monkeypatch, Client("ResourceNotFoundException"))
    assert TableDefinition.find(gone, "orders") is None
    with pytest.raises(MissingTable, match="eu-west-1") as missing:
        TableDefinition.read(gone, "orders")
    assert str(missing.value).startswith("orders: ")
    assert "Region" in missing.value.next_step
    with pytest.raises(AccessDenied, match="orders"):
        TableDefinition.read(account(monkeypatch, Client("AccessDeniedException")), "orders")


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text() | st.datetimes(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_json_safe_is_json_and_idempotent(value):
    safe = json_safe(value)
    assert json.loads(json.dumps(safe)) == safe
    assert json_safe(safe) == safe
