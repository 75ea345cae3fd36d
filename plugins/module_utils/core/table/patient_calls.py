# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Calls on one table that wait for errors that pass and give up on others, without ever sleeping.

A call here is a generator: it yields the seconds until it is to be resumed, and returns the answer. So one process
serves hundreds of tables at once.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Callable, Generator, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Protocol, TypeVar

from .. import sdk
from ..account import Account
from ..aws_errors import (
    CONNECTION,
    EXPIRED,
    FRESH_ROLE_SECONDS,
    INTERNAL,
    THROTTLES,
    UNAVAILABLE,
    is_wrong_request,
    reason,
    refusal_of,
)
from ..errors import MissingTable, Replaced, SettingFailed, in_words
from ..table_status import Phase, advice, phase_of
from .definition import Shape, TableDefinition

Result = TypeVar("Result")
Steps = Generator[float, None, Result]

SETTLE_SECONDS = 86400.0  # the backfill of a large table takes hours; the waiter's own time limit comes first
LOOK_SECONDS = 5.0  # for which a look at a table counts: to delete one and make another takes longer
DROPPED_AFTER_SECONDS = 60.0
_AGAIN_AFTER = re.compile(r"try again after (\d{4}-\d\d-\d\dT[\d:.]+Z)")
_READS = ("describe_", "get_", "list_")


@dataclass(frozen=True)
class Passing:
    """An error that passes: its codes and a phrase of its text, after how long to try again, and for how long."""

    codes: frozenset[str]
    phrase: str
    pause_seconds: float
    patience_seconds: float


def _of(code: str, phrase: str, pause_seconds: float, patience_seconds: float) -> Passing:
    return Passing(frozenset({code}), phrase, pause_seconds, patience_seconds)


# The first match counts. Codes alone are not enough: lasting errors share them with passing ones
# (measured/settings 2.1, 2.4, measured/indexes-capacity 5.10).
PASSING = (
    _of("ThrottlingException", "modified within the previous 15000 milliseconds", 3, 120),
    Passing(THROTTLES, "", 2, 600),
    _of("LimitExceededException", "Table tags are being updated", 1, 120),  # measured/import-export-table 1.10
    _of("LimitExceededException", "Only 1 online index", 10, SETTLE_SECONDS),
    _of("LimitExceededException", "simultaneously", 10, SETTLE_SECONDS),
    _of("LimitExceededException", "decreases are limited", 300, 4000),  # one an hour; measured/indexes-capacity 3
    _of("ResourceInUseException", "", 2, SETTLE_SECONDS),
    _of("ContinuousBackupsUnavailableException", "", 2, 300),  # measured/settings 2.3
    _of("ValidationException", "multiple times within a fixed interval", 60, 2400),  # TTL; measured/settings 2.4
    _of("ValidationException", "while table is in CREATING state", 2, 3600),
    _of("ValidationException", "must be ACTIVE to enable ContributorInsights", 3, SETTLE_SECONDS),
    _of("ValidationException", "Unable to assume IAM role", 5, 120),  # a service-linked role made this moment
    # A principal of the policy was made a moment ago; one that is gone stays refused (aws.md, TABLE-211).
    _of("ValidationException", "Invalid principal in policy", 5, FRESH_ROLE_SECONDS),
    _of("ValidationException", "replica is being added", 30, 1800),
    # Every API but DescribeTable forgets a new table for some seconds (measured/settings 2.3).
    _of("ResourceNotFoundException", "", 2, 60),
    _of("TableNotFoundException", "", 2, 60),
    _of("ConcurrentUpdateException", "", 2, 120),
    _of("InternalServerError", "under system maintenance", 15, SETTLE_SECONDS),  # measured/indexes-capacity 3
    _of("InternalServiceException", "", 3, 120),
    Passing(INTERNAL, "", 3, 30),  # a wrong key type is a 500 for ever: bounded (measured/settings 2.10)
    # As long as the waiter has time: whatever keeps AWS away for an hour keeps all settings.
    Passing(UNAVAILABLE, "", 3, SETTLE_SECONDS),
    Passing(EXPIRED, "", 2, 30),
    _of("ConnectionClosedError", "", 2, SETTLE_SECONDS),
    Passing(CONNECTION, "", 5, SETTLE_SECONDS),
)


class Caller(Protocol):
    """What settings are read through: a table, and calls on its account."""

    @property
    def account(self) -> Account:
        """The account of the table."""

    @property
    def definition(self) -> TableDefinition:
        """The table."""

    def call(self, operation: str, *, service: str = "dynamodb", **parameters: Any) -> Steps[Shape]:
        """The answer of ``operation`` (in botocore's snake case)."""


@dataclass(frozen=True)
class Reader:
    """Calls that return at once or raise the SDK's error; botocore waits out throttling."""

    account: Account
    definition: TableDefinition

    def call(self, operation: str, *, service: str = "dynamodb", **parameters: Any) -> Steps[Shape]:
        """The answer; never yields. Raises ClientError, BotoCoreError."""
        yield from ()
        answer: Shape = getattr(self.account.client(service), operation)(**parameters)
        return answer


class Target:
    """The table that settings are applied to. Calls yield while AWS is busy; ``settle`` waits until it is idle."""

    def __init__(
        self, account: Account, name: str, table_id: str = "", clock: Callable[[], float] = time.monotonic
    ) -> None:
        """``name`` of the table; it is first read by ``refresh`` or ``settle``, and must be the one with
        ``table_id`` where that is known. ``clock`` in seconds, also of sleep."""
        self.account = account
        self.name = name
        self._table_id = table_id
        self._clock = clock
        self._looked = -math.inf
        self._definition: TableDefinition | None = None

    @property
    def definition(self) -> TableDefinition:
        """The table as it was last read."""
        if self._definition is None:
            raise RuntimeError("the table was not read yet")
        return self._definition

    def call(self, operation: str, *, service: str = "dynamodb", **parameters: Any) -> Steps[Shape]:
        """The answer, after as many attempts as PASSING allows. Raises SettingFailed; before a change also what
        ``refresh`` raises, where the last look at the table is not from just now."""
        waited: dict[Passing, float] = {}
        while True:
            if not operation.startswith(_READS) and self._clock() - self._looked > LOOK_SECONDS:
                yield from self.refresh()
            try:
                client = self.account.client(service, retries=0)
                answer: Shape = getattr(client, operation)(**parameters)
                return answer
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                passing = passing_state(error)
                spent = waited.get(passing, 0.0) if passing else 0.0
                if passing is None or spent >= passing.patience_seconds:
                    raise self._failed(operation, error, spent) from error
                pause = pause_of(passing, spent, sdk.error_message(error), datetime.now(UTC))
                waited[passing] = spent + pause
            yield pause

    def refresh(self) -> Steps[TableDefinition]:
        """The definition as it is now. Raises MissingTable when the table no longer exists, Replaced when another one
        has its name."""
        looked = self._clock()
        try:
            answer = yield from self.call("describe_table", TableName=self.name)
        except SettingFailed as error:
            if error.details.get("code") == "ResourceNotFoundException":
                raise MissingTable(
                    f"The table no longer exists in {self.account.region} of the {self.account.side} account.",
                    "Check whether somebody deleted it, or its KMS key became unusable while it was being created.",
                    table=self.name,
                ) from error
            raise
        definition = TableDefinition.from_dict(answer["Table"])
        if self._table_id not in ("", definition.table_id):
            raise Replaced(
                f"The table was deleted and created again: its id is {definition.table_id}, not {self._table_id}.",
                "Its settings are left as they are. Find out who created it, then run again.",
                table=self.name,
            )
        self._looked = looked
        self._definition = definition
        return definition

    def settle(self) -> Steps[TableDefinition]:
        """Wait until AWS has finished all changes of the table. Raises SettingFailed when it cannot."""
        for pause in paces(SETTLE_SECONDS):
            definition = yield from self.refresh()
            if phase_of(definition.status) in (Phase.GOING, Phase.LOST):
                raise SettingFailed(f"The table is {definition.status}.", advice(definition.raw), table=definition.name)
            if not definition.busy:
                return definition
            yield pause
        raise SettingFailed(
            f"AWS is still changing the table: {self.definition.busy}.", "Run again later.", table=self.name
        )

    def update(self, landed: Callable[[TableDefinition], bool], **members: Any) -> Steps[None]:
        """One UpdateTable with ``members``, from one settled state to the next, repeated once if AWS dropped it.

        One setting per call: AWS rejects nearly every pair (measured/settings 2.1). A 200 may have no effect
        (measured/settings 2.2, 2.7), so ``landed`` checks the settled definition.
        """
        for _attempt in range(2):
            if landed((yield from self.settle())):
                return
            yield from self.call("update_table", TableName=self.name, **members)
            for pause in paces(DROPPED_AFTER_SECONDS):
                if landed((yield from self.settle())):
                    return
                yield pause
        raise SettingFailed(
            f"AWS accepted {', '.join(members)}, but the table does not show it.",
            "Run again. If that does not help, set it by hand.",
            table=self.name,
        )

    def _failed(self, operation: str, error: Exception, spent: float) -> SettingFailed:
        code, message = sdk.error_code(error), sdk.error_message(error)
        tried = f" for {in_words(spent)}" if spent else ""
        return SettingFailed(
            f"AWS rejected {operation}{tried}: {reason(code, message or 'no text', sdk.request_id(error))}.",
            _advice(error),
            table=self.name,
            details={"code": code, "operation": operation, **refusal_of(error).details},
        )


def passing_state(error: Exception) -> Passing | None:
    """The entry of PASSING for ``error``, None when trying again is futile.

    An InternalFailure without text is a wrong request of ours (measured/indexes-capacity 5.11), never a retry.
    """
    code, message = sdk.error_code(error), sdk.error_message(error)
    if is_wrong_request(code, message):
        return None
    return next((item for item in PASSING if code in item.codes and item.phrase in message), None)


def pause_of(passing: Passing, spent: float, message: str, now: datetime) -> float:
    """Seconds until the next attempt: what AWS says, else the entry's pause, growing up to three times."""
    match = _AGAIN_AFTER.search(message)
    if match:
        remaining = (datetime.fromisoformat(match[1].replace("Z", "+00:00")) - now).total_seconds()
        return min(max(remaining, 0.5), 16.0)
    return min(passing.pause_seconds + spent / 4, passing.pause_seconds * 3)


def paces(limit_seconds: float) -> Iterator[float]:
    """Growing pauses (half a second to 15 seconds) that last ``limit_seconds`` in all."""
    pause, total = 0.5, 0.0
    while total < limit_seconds:
        yield pause
        total += pause
        pause = min(pause * 1.5, 15.0)


def run_now(steps: Steps[Result]) -> Result:
    """The result of ``steps`` that never wait, such as those with a Reader."""
    try:
        next(steps)
    except StopIteration as stopped:
        result: Result = stopped.value
        return result
    raise RuntimeError("these steps have to wait")


def _advice(error: Exception) -> str:
    refusal = refusal_of(error)
    if refusal.kind == "denied":
        return refusal.next_step or "Allow the action for the principal of the destination, then run again."
    if refusal.quota:
        return f"{refusal.next_step} Only this setting is missing."
    return "Fix the cause AWS reports, then run again: only this setting is missing."
