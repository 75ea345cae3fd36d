# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What was called, what goes wrong on purpose, and the world's time."""

from __future__ import annotations

import json
import threading
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any
from urllib.error import HTTPError

import pytest

from lab.assembly import SERVICES, build_world
from lab.request_log import is_mutating
from lab.services.iam import IamService
from lab.world import World

SOURCE, DESTINATION = "111111111111", "222222222222"
Refused = Callable[..., tuple[str, int]]


@pytest.fixture
def world() -> Iterator[World]:
    made = World(scale=0.5)
    yield made
    made.close()


def control(lab: Any, path: str, content: Any = None, method: str = "") -> Any:
    body = None if content is None else json.dumps(content).encode()
    request = urllib.request.Request(
        f"{lab.server.endpoint_url}/_lab/{path}", body, method=method or ("GET" if body is None else "POST")
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)


def test_books_keep_every_call(gate_lab: Any, refused: Refused) -> None:
    tables = gate_lab.client("dynamodb")
    tables.describe_table(TableName="orders")
    refused(tables.describe_table, TableName="missing")
    tables.delete_table(TableName="orders")
    gate_lab.client("dynamodb", gate_lab.destination).delete_table(TableName="orders")
    gate_lab.client("s3").put_object(Bucket="staging", Key="a", Body=b"")
    refused(gate_lab.client("s3").get_object, Bucket="staging", Key="missing")
    books = gate_lab.world.books
    assert books.count() == 6
    assert books.count("DescribeTable") == books.count("dynamodb.DescribeTable") == 2
    assert books.count("DescribeTable", ok=True) == 1
    assert books.count("s3.DescribeTable") == 0
    assert books.count(error_code="ResourceNotFoundException") == 1
    assert books.count(error_code="NoSuchKey", service="s3") == 1
    assert books.count(mutating=True, account=SOURCE) == 2
    assert [entry.operation for entry in books.mutating_calls(account=DESTINATION)] == ["DeleteTable"]
    entry = books.calls("DescribeTable")[1]
    assert (entry.account, entry.region, entry.status) == (SOURCE, "eu-west-1", 400)
    assert entry.principal_arn == f"arn:aws:iam::{SOURCE}:user/administrator"
    books.clear()
    assert books.count() == 0
    assert books.calls() == []


@pytest.mark.parametrize(
    ("operation", "mutating"),
    [
        ("DescribeTable", False),
        ("BatchGetItem", False),
        ("Query", False),
        ("AssumeRole", False),
        ("HeadObject", False),
        ("PutItem", True),
        ("ExportTableToPointInTime", True),
        ("CreateGrant", True),
        ("UntagResource", True),
    ],
)
def test_reading_is_told_by_the_name(operation: str, mutating: bool) -> None:
    assert is_mutating(operation) is mutating


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
    assert gate_lab.world.books.count(error_code="Odd") == 2


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


def test_events_happen_when_due(world: World) -> None:
    happened: list[tuple[str, float]] = []
    start = world.clock.now()

    def note(name: str) -> None:
        happened.append((name, world.clock.now() - start))

    def first() -> None:
        note("first")
        world.schedule(50, lambda: note("led to"))

    world.schedule(100, lambda: note("second"))
    world.schedule(10, first)
    world.schedule(20, lambda: note("cancelled")).cancel()
    world.schedule(1000, lambda: note("later"))
    world.advance(200)
    assert [name for name, _ in happened] == ["first", "led to", "second"]
    assert [round(when) for _, when in happened] == [10, 60, 100]
    assert round(world.clock.now() - start) == 200


def test_time_passes_by_itself(world: World) -> None:
    happened = threading.Event()
    world.schedule(0.01, happened.set)
    assert happened.wait(10)


def test_broken_event_stops_nothing(world: World, capsys: pytest.CaptureFixture[str]) -> None:
    happened: list[int] = []

    def broken() -> None:
        raise RuntimeError("broken event")

    world.schedule(1, broken)
    world.schedule(2, lambda: happened.append(1))
    world.advance(3)
    assert happened == [1]
    assert "broken event" in world.event_errors[0]
    assert "broken event" in capsys.readouterr().err


def test_timings(world: World) -> None:
    assert world.timings.seconds("export.full") == pytest.approx(152.7 / 2)
    world.timings.set("export.full", 3)
    assert world.timings.seconds("export.full") == 3
    world.timings.define("mine", 8)
    assert world.timings.seconds("mine") == 4
    with pytest.raises(KeyError):
        world.timings.set("unheard", 1)


def test_throttles(world: World) -> None:
    world.timings.scale = 1.0

    def call(refused_count: bool = False) -> bool:
        return world.throttles.admits(SOURCE, "export", burst=3, per_second=0.5, refused_count=refused_count)

    assert [call() for _ in range(5)] == [True, True, True, False, False]
    assert world.throttles.admits(DESTINATION, "export", burst=3, per_second=0.5)
    world.advance(2.1)
    assert [call(), call()] == [True, False]
    call(refused_count=True)
    world.advance(2.1)
    assert not call()
    world.quotas = False
    assert call()


def test_control_api(gate_lab: Any) -> None:
    assert control(gate_lab, "clock")["offset"] == 0
    assert control(gate_lab, "clock", {"advance": 60})["offset"] == 60
    assert control(gate_lab, "timings", {"export.full": 2})["export.full"] == 2
    assert control(gate_lab, "quotas", {"enforced": False}) == {"enforced": False}
    planned = control(gate_lab, "faults", [{"operation": "dynamodb.Scan", "times": 2}, {"kind": "throttle"}])
    assert [(fault["operation"], fault["kind"], fault["times"]) for fault in planned] == [
        ("dynamodb.Scan", "error", 2),
        ("*", "throttle", 1),
    ]
    assert control(gate_lab, "faults", method="DELETE") == []
    gate_lab.client("dynamodb").describe_table(TableName="orders")
    books = control(gate_lab, "books?operation=DescribeTable&ok=true&entries=1")
    assert (books["count"], books["entries"][0]["service"], len(books["summary"])) == (1, "dynamodb", 1)
    assert control(gate_lab, "books", method="DELETE") == {"count": 0}
    state = control(gate_lab, "state", {"timings": {"export.full": 5}, "advance": 1, "quotas": True})
    assert (state["timings"]["export.full"], state["quotas"], state["calls"]) == (5, True, 0)
    assert {account["id"] for account in state["accounts"]} == {SOURCE, DESTINATION}


@pytest.mark.parametrize(
    ("path", "content", "status"),
    [
        ("clock", {"advance": -1}, 400),
        ("clock", {}, 400),
        ("timings", {"unheard": 1}, 400),
        ("faults", {"kind": "odd"}, 400),
        ("faults", {"often": 1}, 400),
        ("state", {"odd": 1}, 400),
        ("nothing", {}, 404),
    ],
)
def test_control_api_refuses(gate_lab: Any, path: str, content: Any, status: int) -> None:
    with pytest.raises(HTTPError) as failure:
        control(gate_lab, path, content)
    assert failure.value.code == status
    assert json.load(failure.value)["error"]


def test_part_is_found_by_its_class() -> None:
    world = build_world(SERVICES[:2])
    assert world.part(IamService) is world.services["iam"]
    with pytest.raises(LookupError, match="This world has no Event"):
        world.part(threading.Event)
    event = world.put(threading.Event())
    assert world.part(threading.Event) is event
    world.close()


def test_world_removes_its_files() -> None:
    world = World()
    (world.data_directory / "file").write_text("x")
    world.close()
    assert not world.data_directory.exists()


def test_assembly_names_every_service_once() -> None:
    assert len(set(SERVICES)) == len(SERVICES) == 11
    world = build_world(SERVICES[:2])
    assert list(world.services) == ["sts", "iam"]
    world.close()
