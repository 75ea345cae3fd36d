# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""One run of the Spark job by itself, into a table that is there: begun, found again, followed, stopped.

There is no record. What stands for it is an object of the staging bucket, written before the request is sent and only
where there is none (S3's If-None-Match): its key has the run's token, so that the same call finds the same run,
whatever version of the collection made it, and of two controllers one begins it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import partial
from itertools import count
from typing import Any

from ....spark.plan import JobPlan
from ... import sdk
from ...account import Account
from ...aws_errors import is_passing, is_slot, is_throttle
from ...change import Change
from ...errors import (
    DestinationExists,
    FerryError,
    InvalidInput,
    JobTimeout,
    MissingTable,
    StagingBucketUnusable,
    TableUnusable,
    TableVanished,
    in_words,
)
from ...exports.manifest import read_manifest
from ...jobs.token import TOKEN_DIGITS, canonical
from ...record.intention import LISTED
from ...record.lease import iso
from ...table.definition import TableDefinition
from ...table.refused_items import without_keys
from . import delivery
from .engine import Request, RunStatus
from .engines import ENGINES, described, require_choices
from .planning import SparkOptions, bucket_of, plan_key, plan_of, submission_of
from .results import JobTotals, failed_run, files_left, read_totals, refusal, started_run
from .room import require_room

GAP = 10.0  # seconds between looks at a run
ROOM_TRIES = 3  # with a gap after each, before a verb says that there is no room
FULL_EXPORT, JSON = "FULL_EXPORT", "DYNAMODB_JSON"


@dataclass(frozen=True)
class RunOptions:
    """Which run. ``spark.table`` is the table of the destination; either ``manifest_key``, the summary of an export in
    the bucket, or ``plan``, the S3 URI of a plan, says what it brings. ``token`` names the run where it is given: it is
    begun once, whatever becomes of it. With ``overwrite`` the table may have items."""

    spark: SparkOptions
    manifest_key: str = ""
    plan: str = ""
    token: str = ""
    overwrite: bool = False


@dataclass(frozen=True)
class Intended:
    """What was written before a run was asked for: its ``request``, when, in epoch seconds, and, once AWS has answered,
    its id. ``never``: no list shows it, and by now none of its requests can arrive any more; it is not written."""

    request: Request
    asked_at: float
    run_id: str = ""
    never: bool = False

    def to_json(self) -> bytes:
        """As an object's content."""
        values = {"request": self.request.to_dict(), "asked_at": self.asked_at, "run_id": self.run_id}
        return json.dumps(values).encode()

    @classmethod
    def from_json(cls, content: bytes) -> Intended:
        """The intention of ``to_json``'s content. Raises ValueError, KeyError or TypeError for anything else."""
        data = json.loads(content)
        return cls(Request.from_dict(data["request"]), float(data["asked_at"]), data["run_id"])


@dataclass(frozen=True)
class RunAttempt:
    """A run as it stands, by its token. Without ``intended`` it was never asked for, with an empty ``run_id`` it is not
    known whether AWS has begun it; ``unclear`` says that one runs which may be it."""

    token: str
    intended: Intended | None = None
    run_id: str = ""
    status: RunStatus | None = None
    unclear: bool = False

    @property
    def open(self) -> bool:
        """Whether it runs, or may."""
        if self.intended is None or self.intended.never:
            return False
        return self.status is None or self.status.state == "running"


class SingleRun:
    """The runs that bring just this export, or plan, into just this table; ``begun`` are those that were begun here."""

    def __init__(self, destination: Account, options: RunOptions, table: TableDefinition) -> None:
        self.destination, self.options, self.table = destination, options, table
        self.spark = options.spark
        self.engine = ENGINES[self.spark.engine]
        self.bucket = bucket_of(destination, self.spark)
        self.begun: list[Change] = []
        self.plan = self._given_plan() if options.plan else self._export_plan()

    @classmethod
    def of(cls, destination: Account, options: RunOptions) -> SingleRun:
        """The runs of ``options``, of which nothing is changed yet.

        Raises InvalidInput, MissingTable, TableUnusable, and what read_manifest does.
        """
        name = options.spark.table
        if options.token and not re.fullmatch(r"[A-Za-z0-9-]{1,40}", options.token):
            raise InvalidInput(
                f"run_token is {options.token!r}.", "Give it at most 40 letters, digits and hyphens.", table=name
            )
        require_choices(options.spark.engine, options.spark.choices, name)
        table = TableDefinition.find(destination, name)
        if table is None:
            raise MissingTable(
                f"There is no table {name} in the destination account.",
                "Create it first: the job writes items only.",
                table=name,
            )
        if table.status != "ACTIVE":
            raise TableUnusable(f"The table {name} is {table.status}.", "Run again when it is ACTIVE.", table=name)
        return cls(destination, options, table)

    # The plan

    def _export_plan(self) -> JobPlan:
        manifest = read_manifest(self.bucket, self.options.manifest_key)
        if manifest.export_type != FULL_EXPORT or manifest.output_format != JSON:
            raise InvalidInput(
                f"The export {manifest.export_arn} is {manifest.export_type} in {manifest.output_format}.",
                f"Make a full export in {JSON}.",
            )
        return plan_of(self.destination, self.spark, self.table, self.table, manifest)

    def _given_plan(self) -> JobPlan:
        root = f"s3://{self.bucket.name}/"
        if not self.options.plan.startswith(root):
            raise InvalidInput(
                f"The plan {self.options.plan} is not in the bucket {self.bucket.name}.",
                "Set bucket to that of the plan, and plan to its S3 URI.",
            )
        plan = JobPlan.from_json(self.bucket.read(self.options.plan.removeprefix(root)))
        made_for = (plan.table, plan.table_id, plan.bucket, plan.region)
        if made_for != (self.table.name, self.table.table_id, self.bucket.name, self.destination.region):
            raise InvalidInput(
                f"The plan {self.options.plan} is for the table {plan.table} ({plan.table_id}) in {plan.region}.",
                f"Set name to that table, or make a plan for {self.table.name} ({self.table.table_id}).",
            )
        return plan

    def _token(self, number: int) -> str:
        parts = (self.table.arn, self.table.table_id, self.plan.results_prefix, number)
        return hashlib.sha256(canonical(parts).encode()).hexdigest()[:TOKEN_DIGITS]

    def _of(self, token: str) -> JobPlan:
        return replace(self.plan, run=token)

    def _key(self, token: str) -> str:
        return f"{self.plan.prefix}runs/{token}/request.json"

    # Found again

    def look(self) -> RunAttempt:
        """The run that goes on, or may; else the last one where everything is there, or where its token was given; else
        the one that is to be begun. Only reads.

        Raises StagingBucketUnusable, FerryError.
        """
        if self.options.token:
            return self._look_at(self.options.token)
        last: RunAttempt | None = None
        for number in count():
            attempt = self._look_at(self._token(number))
            if attempt.open:
                return attempt
            if attempt.intended is not None and attempt.intended.never:
                continue
            if attempt.intended is None:
                return last if last is not None and not self.left() else attempt
            last = attempt
        raise AssertionError("unreachable")

    def left(self) -> int:
        """How many files have no result yet."""
        return len(files_left(self.bucket, self.plan))

    def _look_at(self, token: str) -> RunAttempt:
        intended = self._read(token)
        if intended is None:
            return RunAttempt(token)
        run_id, unclear = intended.run_id, False
        engine = ENGINES[intended.request.engine]
        try:
            if not run_id:
                since = datetime.fromtimestamp(intended.asked_at, UTC)
                started = partial(started_run, self.bucket, self._of(token))
                found = engine.find(self.destination, intended.request, since, started)
                run_id, unclear = found.id, found.unclear
            if not run_id:
                never = not unclear and self._now() >= intended.asked_at + engine.window.closes_after_asked
                return RunAttempt(token, replace(intended, never=never), unclear=unclear)
            return RunAttempt(token, intended, run_id, self._described(intended, run_id))
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise self._explained(error, f"looking for the {engine.noun}") from error

    def _read(self, token: str) -> Intended | None:
        content = self.bucket.find(self._key(token))
        if content is None:
            return None
        try:
            return Intended.from_json(content)
        except (ValueError, KeyError, TypeError) as error:
            raise StagingBucketUnusable(
                f"s3://{self.bucket.name}/{self._key(token)} is not what was written there when a run was asked for.",
                "Find out who writes to the bucket. When no run goes on, set run_token to a new one.",
            ) from error

    def _described(self, intended: Intended, run_id: str) -> RunStatus:
        """As the waiter sees it: stopped where AWS does not know the run any more."""
        listed = self._now() > intended.asked_at + LISTED
        return described(self.destination, intended.request, run_id, listed=listed)

    # Begun

    def changes(self, attempt: RunAttempt) -> list[Change]:
        """What ``start`` would do about ``attempt``. Raises DestinationExists for a table with items, and what
        require_room does."""
        if attempt.intended is not None or not self.left():
            return []
        require_room(self.destination, self.spark.engine, self.spark.choices, self.table.name)
        self._require_free(attempt.token)
        return [self._change(attempt.token)]

    def _change(self, token: str) -> Change:
        after = {"engine": self.spark.engine, "workers": self.spark.choices.workers, "token": token}
        return Change(f"{self.engine.noun} into {self.table.name}", None, after, "billed")

    def start(self, attempt: RunAttempt) -> RunAttempt:
        """``attempt`` begun, where it was not yet; one that another controller began at the same moment is that one's.

        Raises JobTimeout while it is not known whether it was begun, or has to wait for others of the account;
        MissingLibrary, NotOurs and FerryError.
        """
        if attempt.intended is None:
            return self._begun(attempt.token) if self.left() else attempt
        if attempt.open and not attempt.run_id:
            return self._settled(attempt, attempt.intended)
        if attempt.intended.never:
            if not self.options.token:
                return self.start(self.look())
            raise InvalidInput(
                f"The run {attempt.token} was asked for, and AWS has not begun it.",
                "Set run_token to another one, or leave it out.",
                table=self.table.name,
            )
        return attempt

    def _require_free(self, token: str) -> None:
        """Raises DestinationExists where the table has items that no run of just this plan has brought."""
        if self.options.overwrite or self.left() < len(self.plan.files):
            return
        if any(each.key.endswith("/started.json") for each in self.bucket.objects(f"{self.plan.prefix}runs/")):
            return
        try:
            found = self.destination.client("dynamodb").scan(
                TableName=self.table.name, Limit=1, Select="COUNT", ConsistentRead=True
            )
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise self._explained(error, "looking for items") from error
        if found["Count"]:
            raise DestinationExists(
                f"The table {self.table.name} has items, and those of the export with the same key would replace them.",
                "Set overwrite to true if they may, or name an empty table.",
                table=self.table.name,
            )

    def _begun(self, token: str) -> RunAttempt:
        payload = delivery.build(self.spark.choices.wheels)
        delivery.deliver(self.bucket, payload, delivery.folder_of(self.destination))
        plan = self._of(token)
        folders = sorted({f"{file.key.rpartition('/')[0]}/*" for file in plan.files})
        submission = submission_of(self.destination, self.spark, self.table, plan, payload, folders)
        try:
            submission = self.engine.fitted(self.destination, submission)
            scope = self.engine.place(self.destination, submission)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise self._explained(error, f"preparing the {self.engine.noun}") from error
        intended = Intended(self.engine.request(submission, scope), self._now())
        self.bucket.put(plan_key(plan), plan.to_json())
        if not self.bucket.put_new(self._key(token), intended.to_json()):
            return self.start(self._look_at(token))
        try:
            return self._sent_when_there_is_room(token, intended)
        except sdk.ClientError as error:
            if is_passing(error) and not is_throttle(error):
                return self.start(self._look_at(token))
            # AWS has answered that it has not begun the run, and nobody else can have asked for it.
            self.bucket.delete([self._key(token)])
            self._forget(token)
            if is_slot(error) or is_throttle(error):
                raise JobTimeout(
                    f"AWS begins no more runs now: {sdk.told(error)}.",
                    "Run again when others have ended; or set wait.",
                    table=self.table.name,
                ) from error
            raise self._explained(error, f"starting the {self.engine.noun}") from error
        except sdk.BotoCoreError:  # the answer was lost
            return self.start(self._look_at(token))

    def _sent_when_there_is_room(self, token: str, intended: Intended) -> RunAttempt:
        """As ``_sent``, some times where AWS has no room: a new application takes some seconds to be made."""
        for _try in range(ROOM_TRIES):
            try:
                return self._sent(token, intended)
            except sdk.ClientError as error:
                if not is_slot(error):
                    raise
            self.destination.sleep(GAP)
        return self._sent(token, intended)

    def _sent(self, token: str, intended: Intended) -> RunAttempt:
        engine = ENGINES[intended.request.engine]
        known = replace(intended, run_id=engine.begin(self.destination, intended.request))
        self.begun.append(self._change(token))
        with suppress(FerryError):  # else it is found by its token
            self.bucket.put(self._key(token), known.to_json())
        return RunAttempt(token, known, known.run_id, RunStatus("running"))

    def _settled(self, attempt: RunAttempt, intended: Intended) -> RunAttempt:
        """``attempt``, whose answer was lost and which no list shows, sent again where its token makes that safe; else
        raises JobTimeout, until it can no longer begin."""
        engine = ENGINES[intended.request.engine]
        if not attempt.unclear and engine.window.repeat:
            again = replace(intended, asked_at=self._now())
            self.bucket.put(self._key(attempt.token), again.to_json())
            try:
                return self._sent(attempt.token, again)
            except (sdk.ClientError, sdk.BotoCoreError) as error:
                raise self._explained(error, f"starting the {engine.noun}") from error
        why = "one runs of which AWS does not say whose it is" if attempt.unclear else "its answer was lost"
        raise JobTimeout(
            f"Whether AWS has begun the {engine.noun} is not known yet: {why}.",
            f"Run again after {iso(intended.asked_at + engine.window.closes_after_asked)}, or set wait.",
            table=self.table.name,
            details={"run_token": attempt.token},
        )

    def waited(self, attempt: RunAttempt, timeout: float, progress: Callable[[str], None]) -> RunAttempt:
        """``attempt`` begun and at its end, which is not judged yet. Raises JobTimeout after ``timeout`` seconds, and
        as ``start``."""
        end = self._now() + timeout
        while True:
            try:
                attempt = self.start(attempt)
                if not attempt.open:
                    return attempt
                failure = JobTimeout(
                    f"The {self.engine.noun} {attempt.run_id} still runs after {in_words(timeout)}.",
                    "Run again, with a longer wait_timeout if necessary: the run goes on, and is found.",
                    table=self.table.name,
                    details={"run": self.shown(attempt)},
                )
            except JobTimeout as error:
                failure = error
            if self._now() + GAP > end:
                raise failure
            progress(f"{self.table.name}: waiting for the {self.engine.noun} {attempt.run_id}".rstrip())
            self.destination.sleep(GAP)
            attempt = self._look_at(attempt.token)

    # Judged

    def totals(self, attempt: RunAttempt) -> JobTotals | None:
        """What has become of the items, None while the run goes on, or before it. Its plan, which may have salts, is
        removed.

        Raises SparkJobFailed or the job's own error where files are left, ItemRefused for items that could not be
        written, CountMismatch, TableVanished.
        """
        if attempt.open:
            return None
        there = TableDefinition.find(self.destination, self.table.name)
        if there is None or there.table_id != self.plan.table_id:
            raise TableVanished(
                f"The table {self.table.name}, which the run was to fill, is gone or another one now.",
                "Find out who deleted it.",
                table=self.table.name,
            )
        self._forget(attempt.token)
        plan, left = self._of(attempt.token), self.left()
        if left:
            status = attempt.status or RunStatus("cancelled", "AWS has not begun it")
            error = failed_run(self.bucket, plan, self.engine.noun, attempt.run_id, status, left)
            more = " The next run goes on with the files that are left"
            more += f"; set run_token to another one than {attempt.token}." if self.options.token else "."
            details = {**error.details, "run": self.shown(attempt)}
            raise type(error)(error.cause, f"{error.next_step}{more}", table=self.table.name, details=details)
        totals = read_totals(self.bucket, plan)
        if totals.not_written():
            raise without_keys(refusal(plan, totals), self.spark.refused_path)
        return totals

    def _forget(self, token: str) -> None:
        key = plan_key(self._of(token))
        if self.options.plan != f"s3://{self.bucket.name}/{key}":
            with suppress(FerryError):
                self.bucket.delete([key])

    # Stopped

    def stop(self, attempt: RunAttempt) -> None:
        """Ask AWS to stop the run ``attempt``, which ends later. Raises JobTimeout while it is not known whether there
        is one, FerryError."""
        if attempt.intended is None or not attempt.open:
            return
        engine = ENGINES[attempt.intended.request.engine]
        if not attempt.run_id:
            window = engine.window
            raise JobTimeout(
                f"Whether AWS has begun the {engine.noun} is not known yet: its answer was lost.",
                f"Run again after {iso(attempt.intended.asked_at + window.closes_after_asked)}.",
                table=self.table.name,
            )
        try:
            engine.stop(self.destination, attempt.intended.request.scope, attempt.run_id)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            raise self._explained(error, f"stopping the {engine.noun}") from error

    # Shown

    def noun(self, attempt: RunAttempt) -> str:
        """What messages call the run ``attempt``."""
        return ENGINES[attempt.intended.request.engine].noun if attempt.intended else self.engine.noun

    def shown(self, attempt: RunAttempt) -> dict[str, Any]:
        """The run ``attempt`` as JSON-safe data."""
        request = attempt.intended.request if attempt.intended else None
        status = attempt.status
        return {
            "id": attempt.run_id,
            "token": attempt.token,
            "engine": request.engine if request else self.spark.engine,
            "scope": request.scope if request else "",
            "message": status.message if status else "",
            "cost": dict(status.cost) if status else {},
        }

    def _now(self) -> float:
        return self.destination.now().timestamp()

    def _explained(self, error: Exception, doing: str) -> FerryError:
        return self.destination.explain(error, doing, self.table.name)
