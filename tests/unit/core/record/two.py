# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Two controllers and one AWS in the test's process: the lab's DynamoDB without HTTP, under a clock that tests turn.

The records are real items under real conditions. What the runs send for their tables goes through ``Network``, which
delivers when the test says so, and refuses what was signed too long ago, as AWS does.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from botocore import xform_name
from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core.record import (
    intended,
    record_table,
    rules,
    transitions,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import (
    FILL,
    Record,
    Source,
    table_key,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Run, Taken
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from lab import protocol
from lab.assembly import build_world
from lab.caller import Caller
from lab.errors import AwsError
from lab.world import Context

ACCOUNT = "222222222222"
SOURCE = Source("arn:aws:dynamodb:eu-west-1:111111111111:table/orders", "source-id")
KEY = table_key("orders")
SIGNATURE_WINDOW = 900
T0 = 1_800_000_000.0


class Client:
    """DynamoDB of the lab by botocore's method names.

    ``interrupt(moment, operation)`` is asked before and after each call and may raise. ``lost`` are the numbers of the
    calls whose first answer is lost, so that botocore sends them again.
    """

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.interrupt: Callable[[str, str], None] = lambda moment, operation: None
        self.lost: frozenset[int] = frozenset()
        self.calls = 0

    def __getattr__(self, name: str) -> Callable[..., Any]:
        operation = _OPERATIONS[name]

        def call(**params: Any) -> Any:
            self.calls += 1
            self.interrupt("before", operation)
            if self.calls in self.lost:
                with suppress(ClientError):
                    self._aws.dynamodb(operation, params)
            answer = self._aws.dynamodb(operation, params)
            self.interrupt("after", operation)
            return answer

        return call


class Aws:
    """One world, its time standing still but for ``advance``."""

    def __init__(self) -> None:
        self.world = build_world(("lab.dynamodb.service.DynamoDbService",), scale=0.0)
        clock = self.world.clock
        clock.now = lambda: T0 + clock.offset  # type: ignore[method-assign]
        self._caller = Caller(ACCOUNT, f"arn:aws:iam::{ACCOUNT}:root", "root", f"arn:aws:iam::{ACCOUNT}:root")
        self.processes: dict[int, str] = {}
        self._pids = itertools.count(1000)

    def close(self) -> None:
        self.world.close()

    @property
    def now(self) -> float:
        return self.world.clock.now()

    def advance(self, seconds: float) -> None:
        self.world.advance(seconds)

    def dynamodb(self, operation: str, params: dict[str, Any]) -> Any:
        context = Context(self.world, self._caller, "eu-west-1", "dynamodb", operation, protocol.request_id())
        self.world.tick()
        try:
            answer = self.world.services["dynamodb"].handle(context, operation, params)
        except AwsError as refused:
            members = {name: value for name, value in refused.members.items() if value is not None}
            error = {"Error": {"Code": refused.code, "Message": refused.message}, **members}
            raise ClientError(error, operation) from None  # type: ignore[arg-type]
        if isinstance(answer, bytes):
            answer = json.loads(answer)
        if "Table" in answer:
            at = answer["Table"]["CreationDateTime"]
            answer["Table"]["CreationDateTime"] = at if isinstance(at, datetime) else datetime.fromtimestamp(at, UTC)
        return answer

    def controller(self, name: str, host: str = "") -> Controller:
        """A controller: a process on a host of its own, unless ``host`` names one."""
        host, pid = host or name, next(self._pids)
        self.processes[pid] = f"start-{name}"
        return Controller(self, name, Process("ann", host, f"boot-{host}", "pid:[1]", pid, f"start-{name}"))

    def replace_record_table(self, keep: bool) -> None:
        """The table of the records is deleted and made anew; with ``keep`` as a restored backup of what it holds."""
        self.restore_record_table(self.dynamodb("Scan", {"TableName": "tableferry"})["Items"] if keep else [])

    def restore_record_table(self, items: list[Any]) -> None:
        """The table of the records is made anew, with ``items``."""
        self.dynamodb("UpdateTable", {"TableName": "tableferry", "DeletionProtectionEnabled": False})
        self.dynamodb("DeleteTable", {"TableName": "tableferry"})
        self.advance(60)
        record_table.find_or_create(Client(self), "tableferry", sleep=self.advance, clock=lambda: self.now)
        for item in items:
            self.dynamodb("PutItem", {"TableName": "tableferry", "Item": item})


@dataclass
class Controller:
    """A run, begun at once, and what it does for the table ``orders``."""

    aws: Aws
    name: str
    process: Process
    client: Client = field(init=False)
    run: Run = field(init=False)
    clock: AwsClock = field(init=False)

    def __post_init__(self) -> None:
        self.client = Client(self.aws)
        self.clock = AwsClock(lambda: self.aws.now - T0, lambda: self.aws.now)
        self.clock.observe(self.aws.now, self.aws.now - T0)
        self.begin()

    def begin(self) -> None:
        aws = self.aws

        def sleep(_seconds: float) -> None:  # whole seconds, which the tests count on
            aws.advance(1)

        table = record_table.find_or_create(self.client, "tableferry", sleep=sleep, clock=lambda: aws.now)
        store = RecordStore(self.client, table)
        self.run = Run.join(store, self.clock, self.process, start_of=lambda pid: self.aws.processes.get(pid, ""))

    def die(self) -> None:
        """SIGKILL."""
        del self.aws.processes[self.process.pid]

    def read(self) -> Record:
        record = self.run.store.read(KEY)
        assert record is not None
        return record

    def claim(self, method: str = "s3", migration: str = "m") -> Record:
        return self.run.claim(
            transitions.claim(
                KEY,
                self.moment(),
                home=self.run.store.home,
                migration=migration,
                source=SOURCE,
                method=method,
                table_exists=False,
                filled_by_others=False,
            )
        )

    def moment(self, **more: Any) -> rules.Moment:
        return self.run.moment("orders", **more)

    def step(self, change: Callable[..., Record], *args: Any, **more: Any) -> Record:
        """One transition of the record as it stands, written."""
        before = self.read()
        return self.run.write(before, change(before, self.moment(), *args, **more))

    def take(self, **more: Any) -> Taken:
        taken = self.run.hold(self.read(), **more)
        assert isinstance(taken, Taken), taken
        return taken

    def to_filling(self, method: str = "direct", table_id: str = "T1") -> Record:
        self.claim(method)
        self.step(intended.intend, purpose=FILL, kind="create", token="t1", request="{}")
        return self.step(transitions.filling, "t1", table_id)

    def to_filled(self, table_id: str = "T1") -> Record:
        self.to_filling(table_id=table_id)
        return self.step(
            transitions.filled, seen_table_id=table_id, whole=True, evidence={"items": 2}, data_as_of={"at": 1}
        )

    def to_settled(self, table_id: str = "T1") -> Record:
        self.to_filled(table_id)
        return self.step(transitions.settled, seen_table_id=table_id, read_back=True)


@dataclass(frozen=True)
class Request:
    """A request that changes something, as it left."""

    what: str
    signed: float


class Network:
    """Requests on their way: AWS executes one when the test delivers it."""

    def __init__(self, aws: Aws) -> None:
        self._aws = aws
        self.executed: list[str] = []

    def send(self, by: Controller, what: str) -> tuple[Request, Any]:
        """Have a request of ``by`` leave through its gate, signed by its clock."""
        attempt = by.run.gate.leave(self._aws.now, "orders")
        return Request(what, self._aws.now), attempt

    def deliver(self, request: Request) -> bool:
        """AWS executes it, unless its signature is too old."""
        if self._aws.now - request.signed > SIGNATURE_WINDOW:
            return False
        self.executed.append(request.what)
        return True


_OPERATIONS = {
    xform_name(name): name
    for name in (
        "CreateTable", "DeleteItem", "DeleteTable", "DescribeTable", "GetItem", "PutItem", "Scan", "UpdateItem",
        "UpdateTable",
    )
}  # fmt: skip
