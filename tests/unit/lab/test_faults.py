# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong on purpose."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from lab.world import World

SOURCE, DESTINATION = "111111111111", "222222222222"
Refused = Callable[..., tuple[str, int]]


def test_fault_fails_some_calls(gate_lab: Any, refused: Refused) -> None:
    tables = gate_lab.client("dynamodb")
    gate_lab.world.faults.add(
        operation="dynamodb.DescribeTable", code="Odd", message="m", status=503, after=1, times=2,
        match={"TableName": "orders"},
    )  # fmt: skip
    tables.describe_table(TableName="orders")
    tables.describe_table(TableName="others")
    assert [refused(tables.describe_table, TableName="orders") for _ in range(2)] == [("Odd", 503)] * 2
    tables.describe_table(TableName="orders")
    assert gate_lab.world.request_log.count(error_code="Odd") == 2


def test_faults_by_account_and_kind(gate_lab: Any, refused: Refused) -> None:
    faults = gate_lab.world.faults
    faults.add(operation="*", kind="expired_token", account=DESTINATION, times=3)
    gate_lab.client("s3").list_buckets()
    destination = gate_lab.destination
    assert refused(gate_lab.client("dynamodb", destination).list_tables) == ("ExpiredTokenException", 400)
    assert refused(gate_lab.client("sts", destination).get_caller_identity) == ("ExpiredToken", 403)
    assert refused(gate_lab.client("s3", destination).list_buckets) == ("ExpiredToken", 400)
    faults.add(operation="s3.*", kind="throttle")
    assert refused(gate_lab.client("s3").list_buckets) == ("SlowDown", 503)
    faults.add(operation="DescribeTable", kind="throttle", times=-1)
    tables = gate_lab.client("dynamodb")
    for _ in range(5):
        assert refused(tables.describe_table, TableName="orders") == ("ThrottlingException", 400)
    faults.clear()
    tables.describe_table(TableName="orders")


def test_answer_may_be_lost_after_the_work(gate_lab: Any, refused: Refused) -> None:
    gate_lab.world.faults.add(operation="DeleteTable", when="after")
    assert refused(gate_lab.client("dynamodb").delete_table, TableName="orders") == ("InternalServerError", 500)
    assert [context.operation for context, _ in gate_lab.tables.asked] == ["DeleteTable"]


def test_services_take_their_own_kinds(world: World) -> None:
    fault = world.faults.add(operation="dynamodb.BatchWriteItem", kind="unprocessed_items", values={"count": 3})
    assert not world.faults.concern("dynamodb.BatchWriteItem", SOURCE)
    assert world.faults.take("unprocessed_items", "dynamodb.PutItem", {}, SOURCE) is None
    assert world.faults.take("unprocessed_items", "dynamodb.BatchWriteItem", {}, SOURCE) is fault
    assert world.faults.take("unprocessed_items", "dynamodb.BatchWriteItem", {}, SOURCE) is None


def test_nested_members_are_matched(world: World) -> None:
    world.faults.add(operation="ImportTable", kind="job_failure", match={"TableCreationParameters.TableName": "orders"})
    params = {"TableCreationParameters": {"TableName": "others"}}
    assert world.faults.take("job_failure", "dynamodb.ImportTable", params, SOURCE) is None
    params = {"TableCreationParameters": {"TableName": "orders"}}
    assert world.faults.take("job_failure", "dynamodb.ImportTable", params, SOURCE) is not None
