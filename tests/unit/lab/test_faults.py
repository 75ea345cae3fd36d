# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What goes wrong on purpose."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest
from botocore.exceptions import ClientError, ConnectionClosedError

from lab.client import LabClient
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


def test_connection_closes_before_or_after_the_call(gate_lab: Any) -> None:
    tables, faults, log = gate_lab.client("dynamodb"), gate_lab.world.faults, gate_lab.world.request_log
    faults.add(operation="DeleteTable", kind="disconnect")
    faults.add(operation="DeleteTable", kind="disconnect", when="after", times=2)
    for name in ("orders", "orders", "missing"):
        with pytest.raises(ConnectionClosedError):
            tables.delete_table(TableName=name)
    # The first was never done, the second was; the third was refused, and its refusal was lost as well.
    assert [params["TableName"] for _, params in gate_lab.tables.asked] == ["orders", "missing"]
    assert [entry.error_code for entry in log.calls("DeleteTable")] == ["ConnectionDropped"] * 3


@pytest.mark.parametrize(("window", "seconds", "refused"), [
    ("15 minutes", 600, False), ("15 minutes", 1000, True), ("5 minutes", 200, False), ("5 minutes", 600, True),
])  # fmt: skip
def test_late_request_is_executed_or_refused_by_its_date(
    gate_lab: Any, window: str, seconds: int, refused: bool
) -> None:
    tables, world = gate_lab.client("dynamodb"), gate_lab.world
    world.behaviours.choose("signature.window", window)
    world.faults.add(operation="DeleteTable", kind="late", values={"seconds": seconds})
    with pytest.raises(ConnectionClosedError):
        tables.delete_table(TableName="orders")
    world.advance(seconds - 10)
    assert world.request_log.count("DeleteTable") == len(gate_lab.tables.asked) == 0
    tables.describe_table(TableName="orders")
    world.advance(11)
    (entry,) = world.request_log.calls("DeleteTable")
    assert (entry.error_code, entry.ok) == (("InvalidSignatureException", False) if refused else ("", True))
    assert [context.operation for context, _ in gate_lab.tables.asked] == [
        "DescribeTable", *(() if refused else ("DeleteTable",))
    ]  # fmt: skip
    assert world.event_errors == []


def test_late_request_of_a_session_that_has_ended_is_refused(gate_lab: Any) -> None:
    world = gate_lab.world
    session = gate_lab.client("sts").get_session_token(DurationSeconds=900)["Credentials"]
    world.advance(800)
    world.faults.add(operation="DeleteTable", kind="late", values={"seconds": 200})
    with pytest.raises(ConnectionClosedError):
        gate_lab.client("dynamodb", session).delete_table(TableName="orders")
    world.advance(200)
    assert world.request_log.count("DeleteTable", error_code="ExpiredTokenException") == 1


def test_held_call_is_done_and_answered_when_released(gate_lab: Any) -> None:
    tables, lab = gate_lab.client("dynamodb"), LabClient(gate_lab.server.endpoint_url, {})
    hold = lab.hold(operation="dynamodb.*", mutating=True, after=1)
    tables.delete_table(TableName="first")
    tables.describe_table(TableName="first")
    answered = threading.Event()

    def delete() -> None:
        tables.delete_table(TableName="second")
        answered.set()

    thread = threading.Thread(target=delete)
    thread.start()
    while not lab.held(hold):
        pass
    assert gate_lab.tables.asked[-1][1] == {"TableName": "second"} and not answered.is_set()
    lab.release(hold)
    thread.join()
    assert answered.is_set()


def test_faults_of_the_records_table(gate_lab: Any, refused: Refused) -> None:
    tables, faults = gate_lab.client("dynamodb"), gate_lab.world.faults
    faults.add(operation="UpdateItem", kind="kms_denied", match={"TableName": "orders"})
    faults.add(operation="UpdateItem", kind="throttle")
    update = {"TableName": "orders", "Key": {"pk": {"S": "a"}}}
    with pytest.raises(ClientError, match=r"\(AccessDeniedException\) .* KMS key access denied error: "):
        tables.update_item(**update)
    assert refused(tables.update_item, **update) == ("ThrottlingException", 400)
    tables.update_item(**update)


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
