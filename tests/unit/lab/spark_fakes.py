# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A local Spark that runs nothing: tests of the engines' rules end its runs by hand."""

from __future__ import annotations

import json
from typing import Any

from lab.assembly import build_world
from lab.protocol import service_model
from lab.spark.runs import OnEnd, Outcome, SparkRun, SparkRuns, Submission
from lab.world import World
from tests.unit.lab.backup.conftest import unknown_members
from tests.unit.lab.dynamodb.conftest import Desk, administrator

ACCOUNT, OTHER = "111111111111", "222222222222"
REGION = "eu-west-1"
LEAST = ("lab.services.sts.StsService", "lab.services.iam.IamService")


class FakeRun(SparkRun):
    """A run that a test ends."""

    def __init__(self, submission: Submission, on_end: OnEnd) -> None:
        self.submission = submission
        self.stopped = False
        self._on_end = on_end

    def stop(self) -> None:
        """Stop, as the real one does: the outcome follows."""
        self.stopped = True
        self._on_end(Outcome("stopped", "", 1.0))

    def end(self, message: str = "") -> None:
        """Succeed, or fail with a message."""
        self._on_end(Outcome("failed" if message else "succeeded", message, 1.0))


class FakeRuns(SparkRuns):
    """The local Spark of a world."""

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self.runs: list[FakeRun] = []

    def submit(self, submission: Submission, on_end: OnEnd) -> FakeRun:
        """Start a run."""
        self.runs.append(FakeRun(submission, on_end))
        return self.runs[-1]


def still_world(service: str) -> World:
    """A world with STS, IAM and ``service`` (a dotted class name), two accounts and no throttles, whose time passes by
    ``advance`` alone."""
    world = build_world([*LEAST, service], ticks=False)
    now = world.clock.real_now()
    world.clock.real_now = lambda: now  # type: ignore[method-assign]
    world.throttles.enabled = False
    world.accounts.add(ACCOUNT)
    world.accounts.add(OTHER)
    world.put(FakeRuns(world))
    return world


class Engine:
    """An account's administrator at a Spark engine; every request and answer must be one of botocore's model."""

    def __init__(self, world: World, service: str, desk: Desk | None = None) -> None:
        self.world = world
        self.service = service
        self.desk = desk or administrator(world, ACCOUNT)

    def __call__(self, operation: str, **params: Any) -> dict[str, Any]:
        """The answer to ``operation``."""
        model = service_model(self.service)
        assert model is not None
        shapes = model.operation_model(operation)
        assert shapes.input_shape is None or unknown_members(params, shapes.input_shape) == []
        answer = self.desk(operation, self.service, **params)
        if shapes.output_shape is not None:
            assert unknown_members(answer, shapes.output_shape) == []
        return answer

    def as_user(self, *statements: dict[str, Any]) -> Engine:
        """A user of the account with these statements as its only policy."""
        identity = self.world.identity
        name = f"user-{len(identity.users)}"
        identity.add_user(ACCOUNT, name).inline["only"] = policy(*statements)
        credential = identity.credential(identity.add_access_key(ACCOUNT, name).id)
        assert credential is not None
        return Engine(self.world, self.service, Desk(self.world, credential.caller))

    @property
    def spark(self) -> list[FakeRun]:
        """The runs that the local Spark was given."""
        return self.world.part(FakeRuns).runs

    def wait(self, seconds: float) -> None:
        """Let time pass."""
        self.world.advance(seconds)


def policy(*statements: dict[str, Any]) -> str:
    """A policy document of these statements."""
    return json.dumps({"Version": "2012-10-17", "Statement": list(statements)})


def trust(service: str, **members: Any) -> str:
    """A trust policy for a service."""
    return policy({"Effect": "Allow", "Principal": {"Service": service}, "Action": "sts:AssumeRole", **members})


def allow(*actions: str, resource: str = "*", **members: Any) -> dict[str, Any]:
    """A statement that allows actions."""
    return {"Effect": "Allow", "Action": list(actions), "Resource": resource, **members}
