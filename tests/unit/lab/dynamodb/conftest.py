# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""DynamoDB's control plane without a server: handlers are asked as the gate asks them, permission included."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from lab.assembly import build_world
from lab.caller import Caller
from lab.dynamodb.registry import TableRegistry
from lab.policy import request_tags
from lab.rules import Rule, RuleBroken
from lab.world import Context, World
from tests.unit.lab.dynamodb.data_plane import WITH_INDEXES

SOURCE, DESTINATION = "111111111111", "222222222222"
REGION = "eu-west-1"
SERVICES = (
    "lab.services.kms.KmsService",
    "lab.s3.service.S3Service",
    "lab.services.logs.LogsService",
    "lab.services.kinesis.KinesisService",
    "lab.dynamodb.service.DynamoDbService",
)
KEY = [{"AttributeName": "pk", "KeyType": "HASH"}]
DEFINITIONS = [{"AttributeName": "pk", "AttributeType": "S"}]
ON_DEMAND: dict[str, Any] = {
    "KeySchema": KEY, "AttributeDefinitions": DEFINITIONS, "BillingMode": "PAY_PER_REQUEST"
}  # fmt: skip
PROVISIONED: dict[str, Any] = {
    "KeySchema": KEY,
    "AttributeDefinitions": DEFINITIONS,
    "ProvisionedThroughput": {"ReadCapacityUnits": 10, "WriteCapacityUnits": 10},
}


class Desk:
    """One caller's calls. Each runs what is due first, as the gate does."""

    def __init__(self, world: World, caller: Caller) -> None:
        self.world = world
        self.caller = caller
        self.connection = 0

    def __call__(self, operation: str, service: str = "dynamodb", **params: Any) -> dict[str, Any]:
        """The answer to ``operation``."""
        context = Context(self.world, self.caller, REGION, service, operation, "request-id", connection=self.connection)
        asked = self.world.services[service]
        with self.world.lock:
            self.world.tick()
            tags = request_tags(params)
            for needed in asked.authorization(context, operation, params):
                self.world.require(self.caller, replace(needed, conditions={**tags, **needed.conditions}), REGION)
            answer = asked.handle(context, operation, params)
        return json.loads(answer) if isinstance(answer, bytes) else answer  # type: ignore[no-any-return]

    def refused(self, rule: Rule, code: str, text: str, operation: str, **params: Any) -> str:
        """Demand that ``rule`` refuses the call with ``code`` and ``text`` in its message; answers the message."""
        with pytest.raises(RuleBroken) as caught:
            self(operation, **params)
        assert (caught.value.rule, caught.value.code) == (rule.name, code)
        assert text in caught.value.message
        return caught.value.message

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.advance(seconds)

    def table(self, name: str = "tbl", **members: Any) -> dict[str, Any]:
        """An ACTIVE on-demand table, settled so far that PITR can be turned on."""
        self("CreateTable", TableName=name, **{**ON_DEMAND, **members})
        self.wait(30)
        return self.describe(name)

    def describe(self, name: str = "tbl") -> dict[str, Any]:
        """DescribeTable's ``Table``."""
        table: dict[str, Any] = self("DescribeTable", TableName=name)["Table"]
        return table

    def status(self, name: str = "tbl") -> str:
        """TableStatus."""
        return str(self.describe(name)["TableStatus"])

    def put(self, name: str = "tbl", **item: Any) -> None:
        """Store an item, past the data plane."""
        table = self.world.part(TableRegistry).find(self.caller.account_id, REGION, name)
        table.store.put(item)


@pytest.fixture
def world() -> Iterator[World]:
    """Two accounts with KMS, Kinesis and DynamoDB; throttles off, quotas on."""
    made = build_world(services=SERVICES)
    made.throttles.enabled = False
    for account in (SOURCE, DESTINATION):
        made.accounts.add(account)
    yield made
    made.close()


def administrator(world: World, account: str) -> Desk:
    """The desk of an administrator of ``account``."""
    key = world.identity.add_administrator(account)
    credential = world.identity.credential(key.id)
    assert credential is not None
    return Desk(world, credential.caller)


@pytest.fixture
def desk(world: World) -> Desk:
    """An administrator of the source account."""
    return administrator(world, SOURCE)


@pytest.fixture
def other_desk(world: World) -> Desk:
    """An administrator of the destination account."""
    return administrator(world, DESTINATION)


@pytest.fixture
def tables(desk: Any) -> Any:
    """The desk with a table ``tbl`` that has both keys and both kinds of index."""
    desk.table("tbl", **WITH_INDEXES)
    return desk
