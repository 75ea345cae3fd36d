# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the method needs of an engine that runs the Spark job: AWS Glue, EMR Serverless or a cluster of EMR.

An engine is a value without state. Its calls raise the SDK's errors as they are: the waiter sorts them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from ... import sdk
from ...account import Account
from ...aws_errors import DENIED
from ...jobs.job import State
from ...jobs.kind import Page
from ...record.intention import Window
from ...statements.marks import own
from ..options import SparkChoices

SLACK = timedelta(minutes=2)  # by which the clocks of AWS's services may differ: lists are read back that much further
NAME = "tableferry"  # what everything that is made here begins with
RUN_TAG, MIGRATION_TAG = "tableferry:run", "tableferry:migration"


@dataclass(frozen=True)
class Submission:
    """One run of the job, whatever runs it. ``plan``, ``script``, ``package`` and ``logs`` are S3 URIs, ``run`` is
    its token (40 hex digits), ``policy`` the session policy (JSON, at most 2,048 characters) that leaves it one table
    and its prefix; ``tags`` are those of all that is made for it."""

    run: str
    table: str
    migration_id: str
    plan: str
    script: str
    package: str
    logs: str
    role_arn: str
    policy: str
    choices: SparkChoices
    tags: Mapping[str, str] = field(default_factory=dict)

    @property
    def arguments(self) -> tuple[str, ...]:
        """The script's arguments: they stand in logs, and so say no more than where the plan is."""
        return ("--plan", self.plan, "--run", self.run)

    @property
    def name(self) -> str:
        """What the run is called where an engine takes a name."""
        return name_of(self.run)

    def of_release(self, release: str) -> Submission:
        """The same on a ``release`` of the engine."""
        return replace(self, choices=replace(self.choices, release=release))


def answered(ask: Callable[[], Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """The answer of a call that only says more about something; None for a caller who may not ask."""
    try:
        return ask()
    except sdk.ClientError as error:
        if sdk.error_code(error) not in DENIED:
            raise
        return None


def tags_of(account: Account, migration_id: str) -> dict[str, str]:
    """The tags of what is made in ``account`` for a migration: those that its user wants, and ours."""
    return {**own(account), MIGRATION_TAG: migration_id}


def name_of(run: str) -> str:
    """The name of the run with the token ``run``."""
    return f"{NAME}-{run}"


@dataclass(frozen=True)
class Request:
    """A run as it is written down before it is sent: ``call`` is the exact request (JSON-safe), ``scope`` where it
    runs: the Glue job's name, the ids of an application or a cluster; "" for a cluster of its own."""

    engine: str
    scope: str
    run: str
    call: Mapping[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """As JSON-safe data."""
        return {"engine": self.engine, "scope": self.scope, "run": self.run, "call": dict(self.call)}

    @classmethod
    def from_dict(cls, data: Mapping[str, Any]) -> Request:
        """The request of ``to_dict``'s data."""
        return cls(data["engine"], data["scope"], data["run"], data["call"])


@dataclass(frozen=True)
class Started:
    """What the job wrote first: what its engine calls the run ("" where it did not know), and when."""

    engine_run: str


@dataclass(frozen=True)
class Found:
    """The id of a run that was looked for, "" for none. ``unclear``: one runs of which AWS does not say whose it is."""

    id: str = ""
    unclear: bool = False


@dataclass(frozen=True)
class RunStatus:
    """How a run stands. ``message`` is AWS's, ``full`` says that it failed for lack of capacity, as a rule before
    it did anything; ``cost`` is what AWS bills: seconds, and hours of DPUs or of vCPUs and memory."""

    state: State
    message: str = ""
    full: bool = False
    cost: Mapping[str, float] = field(default_factory=dict)


class Engine(Protocol):
    """AWS's side of a run. ``window`` says whether its request may be sent again, and when it cannot arrive any more;
    ``noun`` is what messages call it."""

    name: ClassVar[str]
    noun: ClassVar[str]
    window: ClassVar[Window]

    def fitted(self, account: Account, submission: Submission) -> Submission:
        """``submission`` as the user's application or cluster takes it, where one is named: its release decides which
        Python is asked for, and not every cluster takes a role for a step. Raises InvalidInput."""

    def place(self, account: Account, submission: Submission, *, make: bool = True) -> str:
        """The ``scope`` that the run belongs to: found, or made unless ``make`` is False, then "" for none."""

    def request(self, submission: Submission, scope: str) -> Request:
        """The run's request in ``scope``."""

    def begin(self, account: Account, request: Request) -> str:
        """Send the request once; the run's id."""

    def find(self, account: Account, request: Request, since: datetime, started: Callable[[], Started | None]) -> Found:
        """The run of ``request``, which was not asked for before ``since``. ``started`` reads what the job itself left,
        for lists that do not say whose a run is."""

    def page(self, account: Account, scope: str, next_token: str) -> Page:
        """One page of the runs in ``scope``, newest first; one call."""

    def describe(self, account: Account, scope: str, run_id: str) -> RunStatus:
        """How one run stands; one call."""

    def stop(self, account: Account, scope: str, run_id: str) -> None:
        """Ask AWS to stop a run; it ends later."""
