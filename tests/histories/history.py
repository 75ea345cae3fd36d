# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A history played on the lab, and held to the promises: see ``World``."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import pairwise
from typing import Any

from botocore.exceptions import ClientError

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import FerryError
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import Judgement
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.record import Record, key_of, table_key
from lab.request_log import StartedJob, is_mutating
from tests.histories import stand_ins
from tests.histories.controller import LOOKS_NEW, Controller
from tests.histories.plan import BESIDE, SPARK_METHODS, TABLE, Fault, Plan, PlannedRun
from tests.histories.promises import Broken, difference
from tests.histories.spark import SPARK_JOBS, STEPS, add_spark, outcome_of, plan_of
from tests.histories.turns import Turns
from tests.histories.user import User
from tests.unit.on_lab.in_process import InProcess
from tests.unit.on_lab.methods.backup.ready import Ready
from tests.unit.on_lab.staged import Staged

RECORDS = "tableferry"
FILLS = ("import", "restore", *SPARK_JOBS)
INSTANT = ("s3", "glue", "emr")  # whose items are those of one moment
DONE = ("done", "following", "handed_over")
LIMIT = 40_000.0  # seconds of the world for the runs of a plan: a lease, a fence and a wait for each
LAST_RUNS = 6  # runs that nothing disturbs, of which one must end the migration
RACE = 60.0  # seconds: who replaces the copy while we look at it may meet a request that was on its way
TIMINGS = {
    "export__full": 4.0,
    "import__visible": 1.0,
    "import__creating": 2.0,
    "import__completing": 0.5,
    "pitr__latest_lag": 6.0,
}
# The user deletes the copy, and then a killed run's CreateTable arrives: nobody can tell whose table that is.
LATE_TABLE = "a late table"
# Ends that only the user can mend, and what in a history gives cause for them.
ENDS: Mapping[str, tuple[str, ...]] = {
    "Replaced": ("user replaces", "source made anew", LATE_TABLE),
    "DestinationExists": ("user replaces",),
    "StateUnknown": ("user replaces", "record lost"),
    "TableBroken": ("another method", "source erased", "source written"),
    "MissingTable": ("source made anew",),
}


Attempts = frozenset[str]  # that expect a job: of an export those of several destination tables, as in "2 of orders"


@dataclass(frozen=True)
class Violation:
    """A promise that was not kept, in a history of ``plan``; ``trace`` is what happened."""

    plan: Plan
    words: str
    trace: tuple[str, ...]

    @property
    def kind(self) -> str:
        """The first word or two: which promise."""
        return self.words.partition(":")[0]

    def __str__(self) -> str:
        return "\n".join((self.words, str(self.plan), *self.trace))


class World:
    """One history. The promises:

    - ``migrated`` (a judgement, or a record that is ``done``) is said only of a copy that has all items of the source
      as of ``data_as_of``, and no others;
    - no job is billed twice: none begins beside another one of its kind, nor after one of its attempt that counts, and
      none that the record does not expect;
    - what a copy had that was known to the record is never brought again: the next attempt brings the source as it is
      then;
    - nothing of ours changes the copy once its record is ``done``, which stays so, nor does a request that is overtaken
      by those of another run;
    - nothing changes a table under the copy's name that is the user's;
    - a run that does not migrate says what to do, and so does the record that it lets go;
    - once nothing disturbs it, the migration ends, unless only the user can go on.
    """

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.chance = random.Random(f"history {plan.method} {plan.seed}")
        self.trace: list[tuple[float, str, str]] = []
        self.alive: set[int] = set()
        self.controllers: list[Controller] = []
        self._nonces = 0
        self.state = ""  # of the record
        self._holder = ""  # the run that holds it
        self._held: dict[str, float] = {}  # when a run last wrote it
        self._copies: list[float] = []  # when it was written with the TableId of our copy
        self._records_lost: list[float] = []
        self._failed = ""
        self._begun: list[tuple[StartedJob, Attempts]] = []
        self.aws = self._made()
        self.aws.world.behaviours.choose("dynamodb.export_just_after_pitr", plan.just_after)
        self.aws.trace = self.trace  # type: ignore[attr-defined]
        self._destination = self.aws.landscape["accounts"]["destination"]["account_id"]
        self.user = User(self.aws)
        self.began = self.aws.clock
        self.turns = Turns(self.aws, self.chance, LIMIT)
        add = self.aws.world.request_log.add_job

        def begun(job: StartedJob) -> None:
            add(job)
            if job.kind in SPARK_JOBS:
                job = job._replace(resource=f"table/{plan_of(self.aws, job).table}")
            beside = self.record(BESIDE) if any(run.copy == BESIDE for run in self.plan.runs) else None
            records = [record for record in (self.record(), beside) if record is not None]
            if job.kind == "import" or job.kind in SPARK_JOBS:
                records = [record for record in records if job.resource.endswith(f"/{record.name}")]
            kind = SPARK_JOBS.get(job.kind, job.kind)
            expected = [
                record for record in records if any(entry.is_open and entry.kind == kind for entry in record.jobs)
            ]
            attempts = frozenset(f"{record.attempt} of {record.name}" for record in expected)
            self.note("AWS", f"begins {job.kind}, attempt {_words(attempts)}: {job.id[-20:]}")
            if not expected:
                self.fail(f"billed unexpected: a {job.kind} begins, and the record has no intention of it")
            self._begun.append((job, attempts))

        self.aws.world.request_log.add_job = begun  # type: ignore[method-assign]

    def _made(self) -> Staged:
        backups = "backup" in (self.plan.method, *(run.method for run in self.plan.runs))
        made = Ready({}, **TIMINGS) if backups else Staged({}, False, **TIMINGS)
        if self.plan.method in SPARK_METHODS:
            add_spark(made, random.Random(f"spark {self.plan.seed}").choice(STEPS))
        return made

    # What happened

    def fail(self, words: str) -> None:
        """A promise is broken by what an event of the lab does: ``play`` raises it."""
        self._failed = self._failed or words

    def note(self, who: str, what: str) -> None:
        """A line of the trace."""
        self.trace.append((self.aws.clock, who, what))

    def broken(self, words: str, *more: str) -> None:
        """A promise is broken: the history ends here."""
        for each in more:
            self.note("here", each)
        raise Broken(words)

    def lines(self) -> tuple[str, ...]:
        """The trace, with seconds since the history began."""
        return tuple(f"{at - self.began:9.2f} {who}: {what}" for at, who, what in self.trace)

    def nonce(self) -> str:
        """A new one, the same in each playing."""
        self._nonces += 1
        return f"w{self._nonces}"

    # The record

    def record(self, copy: str = TABLE) -> Record | None:
        """The record of a destination table, as it is."""
        try:
            answer = self.aws.client("dynamodb", "destination").get_item(
                TableName=RECORDS, Key=key_of(table_key(copy)), ConsistentRead=True
            )
        except ClientError:
            return None
        return Record.from_item(answer["Item"]) if "Item" in answer else None

    def _lose_record(self) -> None:
        """The user removes the table's record, once nothing that fills the copy can be under way."""
        record = self.record()
        if record is not None and record.state in ("filled", "settled", "done"):
            key = key_of(table_key(TABLE))
            self.aws.client("dynamodb", "destination").delete_item(TableName=RECORDS, Key=key)
            self.state = ""
            self.user.acted.append("record lost")
            self._records_lost.append(self.aws.clock)
            self.note("user", "record lost")

    def holder(self, copy: str) -> str:
        """The run that holds the table: for a user who says that its process is gone."""
        record = self.record(copy)
        return record.run if record else ""

    # Calls

    def execute(
        self,
        controller: Controller,
        operation: str,
        params: Mapping[str, Any],
        account: str,
        answer: Callable[[], Any],
        late: float,
    ) -> Any:
        """AWS does what it was asked; ``late`` is when a request was sent that arrives late, else 0."""
        touched = self._touched(operation, params, account)
        try:
            answered = answer()
        except ClientError as error:
            code = error.response["Error"]["Code"]
            self.note(controller.name, f"{'late ' if late else ''}{controller.calls} {operation}: {code}")
            raise
        what = ""
        if params.get("TableName") == RECORDS and "Item" in params:
            written = {name: next(iter(value.values())) for name, value in params["Item"].items()}
            what = " ".join(written[name] for name in ("pk", "state", "run") if name in written)
            if written["pk"] == table_key(TABLE):
                self._recorded(written)
        self.note(controller.name, f"{'late ' if late else ''}{controller.calls} {operation} {what}")
        if late and operation == "CreateTable" and "user deletes" in self.user.acted:
            self.user.acted.append(LATE_TABLE)
        if touched:
            self._require_in_order(controller, operation, touched, late)
        since = self.user.foreign.get(touched)
        if touched and since is not None and not late:
            age = self.aws.clock - since - controller.stopped
            if age > RACE or controller.saw == touched:
                known = "which it had seen" if controller.saw == touched else f"{age:.0f} s old"
                self.broken(f"a foreign table changed: {operation} by {controller.name}, {known}")
        if operation == "DescribeTable" and params["TableName"] == TABLE and account == self._destination:
            controller.saw = answered["Table"]["TableId"]
        return answered

    def _recorded(self, written: Mapping[str, Any]) -> None:
        """The record was written."""
        before, self.state = self.state, written["state"]
        self._holder = written.get("run", "")
        self._held[self._holder] = self.aws.clock
        if written.get("table_id"):
            self._copies.append(self.aws.clock)
        if before in DONE and self.state not in DONE and not self._may_begin_anew:
            self.fail(f"done was taken back: the record is {self.state} again")

    def _require_in_order(self, controller: Controller, operation: str, touched: str, late: float) -> None:
        """A call has changed the copy: nothing may do so once it is ``done``, nor after another run has changed it."""
        record = self.record()
        words = f"{operation} by {controller.name}{', late' if late else ''}"
        if record is not None and record.is_done and record.table_id == touched:
            self.fail(f"touched after done: {words}")
        last = late or controller.signed
        if not late and controller.run_id != self._holder:
            last = min(last, self._held.get(controller.run_id, last))
        for other in self.controllers:
            if other is not controller and other.changed.get(touched, -1.0) > last:
                self.fail(
                    f"overtaken: {words}, {self.aws.clock - last:.0f} s old, after {other.name} changed the table"
                )
        if not late:
            controller.changed[touched] = self.aws.clock

    def later(self, seconds: float, execute: Callable[..., Any]) -> None:
        """A request arrives ``seconds`` later; nobody hears the answer."""
        sent = self.aws.clock

        def arrive() -> None:
            try:
                execute(late=sent)
            except ClientError:
                return

        self.aws.world.schedule(seconds, arrive)

    def _touched(self, operation: str, params: Mapping[str, Any], account: str) -> str:
        """The TableId of the copy, or of what stands under its name, where the call changes it."""
        if not is_mutating(operation) or account != self._destination:
            return ""
        named = params.get("TableName") == TABLE or TABLE in params.get("RequestItems", {})
        named = named or str(params.get("ResourceArn", "")).endswith(f"table/{TABLE}")
        return self.user.table_id("destination") if named else ""

    def make_stale(self, operation: str, params: Mapping[str, Any], answer: dict[str, Any]) -> None:
        """Lists lack what is too young, and DescribeTable may not know a table that was just made."""
        stale = self.plan.stale
        if not stale:
            return
        now = self.aws.clock
        if operation == "DescribeTable" and params.get("TableName") == TABLE:
            age = now - answer["Table"]["CreationDateTime"].timestamp()
            if age < min(stale, LOOKS_NEW):
                response = {"Error": {"Code": "ResourceNotFoundException", "Message": "stale"}}
                metadata = {"ResponseMetadata": {"HTTPStatusCode": 400}}
                raise ClientError({**response, **metadata}, operation)  # type: ignore[typeddict-item]
        if operation.startswith("List"):
            young = {job.id for job, _attempt in self._begun if now - job.time < stale}
            for value in answer.values():
                if isinstance(value, list):
                    value[:] = [each for each in value if not (isinstance(each, dict) and _names_one(each, young))]

    # Promises

    def judged(self, controller: Controller, judged: Judgement) -> None:
        """A run judged its table."""
        self.note(controller.name, f"judged {judged.status}: {judged.reason}")
        if judged.status != "migrated":
            if not judged.failure or not judged.failure.next_step:
                self.broken(f"no word: {judged.status} without what to do next: {judged.reason}")
            return
        self.require_whole(controller.began, controller.planned.copy)

    def require_whole(self, since: float, copy: str = TABLE) -> None:
        """What is called migrated has all items. ``since``: what the user did after it may not have been seen yet."""
        record = self.record(copy)
        if record is not None and record.state in ("filled", "settled"):
            return  # its settings are not all set: the record is let go with what to do
        if record is None or not record.is_done:
            self.broken(f"migrated: but the record is {record.state if record else 'not there'}")
            return
        seen = self.user.table_id("destination", copy)
        if seen != record.table_id:
            if not any(at >= since for at in self.user.deleted):
                self.broken(f"migrated: but the table is {seen or 'not there'}, not {record.table_id}")
            return
        try:
            have = self.user.items("destination", copy)
        except ClientError:
            return  # it is being deleted
        as_of = dict(record.data_as_of)
        wrong = difference(
            have, self.user.versions, as_of, instant=record.method in INSTANT and "comparison" not in record.evidence
        )
        if wrong:
            self.broken(f"migrated without all items: {wrong}; data_as_of {as_of}")

    def ended(self, controller: Controller) -> None:
        """A run ended, by itself or not."""
        word = controller.word
        if word is None:
            return
        self.note(controller.name, f"ended: {type(word).__name__} {word}")
        if isinstance(word, FerryError) and not word.next_step:
            self.broken(f"no word: {type(word).__name__} without what to do next")
        record = self.record(controller.planned.copy)
        if isinstance(word, FerryError) and record and not record.run and not record.is_done and not record.next:
            self.broken(f"no word: the record is {record.state}, nobody's, and does not say what to do next")

    def require_billed_once(self) -> None:
        """No job beside another of its kind, nor after one that counts in its attempt; nor in a later attempt where
        nothing has happened that gives cause for it."""
        # An export is of all destination tables of its source, an import of its own.
        for kind, table in sorted({(job.kind, _made_by(job)) for job, _attempt in self._begun}):
            jobs = [(job, attempt) for job, attempt in self._begun if (job.kind, _made_by(job)) == (kind, table)]
            for (first, earlier), (second, later) in pairwise(jobs):
                ended, counts = self._outcome(first)
                if ended is None or ended > second.time:
                    self.broken(f"billed twice: a second {kind} began beside the first ({first.id[-20:]})")
                if kind == "export" and self._exported(first) != self._exported(second):
                    continue  # of the table that was made anew
                deleted = kind in FILLS and any(first.time <= at <= second.time for at in self.user.deleted)
                anew = any(first.time <= at <= second.time for at in self._records_lost)  # with the first attempt
                if counts and earlier & later and not deleted and not anew:
                    self.broken(f"billed twice: a second {kind} in attempt {_words(later)}, the first counts")
                if counts and not self._may_begin_anew:
                    self.broken(f"billed twice: a second {kind}, in attempt {_words(later)}, without a cause")
                known = any(first.time <= at <= second.time for at in self._copies)
                if counts and known and kind in FILLS and self._brings(first) == self._brings(second):
                    self.broken(f"served twice: a second {kind} of the data that the first has brought")

    def _exported(self, job: StartedJob) -> str:
        """The TableId of the source that an export is of."""
        described = self.aws.client("dynamodb", "source").describe_export(ExportArn=job.id)
        return str(described["ExportDescription"]["TableId"])

    def _brings(self, job: StartedJob) -> str:
        """Where the data of an import or a restore lies."""
        if job.kind == "import":
            described = self.aws.client("dynamodb", "destination").describe_import(ImportArn=job.id)
            return str(described["ImportTableDescription"]["S3BucketSource"]["S3KeyPrefix"])
        if job.kind in SPARK_JOBS:
            return plan_of(self.aws, job).files[0].key
        restore = self.aws.client("backup", "destination").describe_restore_job(RestoreJobId=job.id)
        return str(restore["RecoveryPointArn"])

    def _outcome(self, job: StartedJob) -> tuple[float | None, bool]:
        """When a job ended, and whether it counts."""
        side = "source" if job.kind in ("export", "backup", "copy") else "destination"
        dynamodb, backup = self.aws.client("dynamodb", side), self.aws.client("backup", side)
        if job.kind == "export":
            found = dynamodb.describe_export(ExportArn=job.id)["ExportDescription"]
            # One that was asked for at once, without an instant, is compared with what a Scan showed before.
            compared = found.get("ExportTime") == found.get("StartTime") and "source erased" in self.user.acted
            compared = compared or (self.plan.just_after == "empty" and not found.get("ItemCount"))
            return _seconds(found.get("EndTime")), found["ExportStatus"] != "FAILED" and not compared
        if job.kind == "import":
            found = dynamodb.describe_import(ImportArn=job.id)["ImportTableDescription"]
            return _seconds(found.get("EndTime")), found["ImportStatus"] == "COMPLETED"
        if job.kind == "backup":
            found = backup.describe_backup_job(BackupJobId=job.id)
            return _seconds(found.get("CompletionDate")), found["State"] == "COMPLETED"
        if job.kind == "copy":
            found = backup.describe_copy_job(CopyJobId=job.id)["CopyJob"]
            return _seconds(found.get("CompletionDate")), found["State"] == "COMPLETED"
        if job.kind in SPARK_JOBS:
            return outcome_of(self.aws, job)
        found = backup.describe_restore_job(RestoreJobId=job.id)
        return _seconds(found.get("CompletionDate")), found["Status"] == "COMPLETED"

    # Playing

    def play(self) -> None:
        """The runs of the plan, and then runs that nothing disturbs. Raises Broken."""
        for number, planned in enumerate(self.plan.runs):
            self._add(number, planned, self.plan.faults)
        self._wait_for_turns()
        self.aws.advance(40.0)
        copies = dict.fromkeys(run.copy for run in self.plan.runs)
        for copy in copies:
            self._end(copy)
        self.aws.advance(1500.0)  # whatever is still on its way arrives
        for copy in copies:
            record = self.record(copy)
            if record is not None and record.is_done:
                self.require_whole(self.began, copy)
        self.require_billed_once()
        if self._failed:
            self.broken(self._failed)
        if self.aws.world.event_errors:
            self.broken("the lab: an event failed", *self.aws.world.event_errors)

    def _end(self, copy: str) -> None:
        """Runs that nothing disturbs, until the migration of a destination table is at its end."""
        method = next(run.method for run in reversed(self.plan.runs) if run.copy == copy)
        for _number in range(LAST_RUNS):
            self.turns = Turns(self.aws, self.chance, LIMIT)
            undisturbed = PlannedRun(method, "last", adopt="record lost" in self.user.acted, copy=copy)
            last = self._add(len(self.controllers), undisturbed, ())
            self._wait_for_turns()
            if self._is_end(last):
                return
            self.aws.advance(30.0)
        self.broken(f"no end: {LAST_RUNS} undisturbed runs, the last ended with {last.word!r}")

    def _wait_for_turns(self) -> None:
        try:
            self.turns.play()
        except TimeoutError as error:
            self.broken(f"no end: {error}")

    def _add(self, number: int, planned: PlannedRun, faults: tuple[Fault, ...]) -> Controller:
        controller = Controller(self, number, planned, [fault for fault in faults if fault.run == number])
        before = self.controllers[-1] if self.controllers else None

        def work() -> None:
            while planned.after and before is not None and not before.actor.over:
                self.turns.sleep(controller.actor, 5.0)
            if planned.delay:
                self.turns.sleep(controller.actor, planned.delay)
            if planned.adopt and number < len(self.plan.runs):
                self._lose_record()
            controller.play()

        self.controllers.append(controller)
        self.turns.add(controller.actor, work)
        return controller

    @property
    def _may_begin_anew(self) -> bool:
        """Whether something gives cause for another attempt after one that counts."""
        return bool({*self.user.acted} & {"user deletes", "user replaces", "source made anew"}) or self._changed_method

    @property
    def _changed_method(self) -> bool:
        return len({run.method for run in self.plan.runs}) > 1

    def _is_end(self, last: Controller) -> bool:
        """Whether the migration is at its end: migrated, or refused for what only the user can mend."""
        if last.judged is not None and last.judged.status == "migrated":
            return True
        name = type(last.word).__name__
        if name not in ENDS:
            return False
        acted = {*self.user.acted, *(["another method"] if self._changed_method else [])}
        if not acted & set(ENDS[name]):
            self.broken(f"refused without cause: {name} {last.word}")
        return True


def _words(attempts: Attempts) -> str:
    return ", ".join(sorted(attempts))


def _made_by(job: StartedJob) -> str:
    """The table that an import makes, or a Spark job fills; empty for other jobs."""
    return job.resource.rpartition("/")[2] if job.kind in ("import", *SPARK_JOBS) else ""


def _names_one(summary: Mapping[str, Any], ids: set[str]) -> bool:
    return any(value in ids for value in summary.values() if isinstance(value, str))


def _seconds(date: datetime | None) -> float | None:
    return date.timestamp() if date is not None else None


def play(plan: Plan) -> Violation | None:
    """Play a history; what it broke."""
    return _played(plan)[1]


def ends(plan: Plan) -> list[str]:
    """Play a history: how its runs judged the table, "" where one did not come to that. Raises Broken."""
    world, found = _played(plan)
    if found is not None:
        raise Broken(str(found))
    return [each.judged.status if each.judged else "" for each in world.controllers]


def _played(plan: Plan) -> tuple[World, Violation | None]:
    box: list[World] = []
    with stand_ins.in_place(lambda: box[0].aws.clock if box else stand_ins.EPOCH):
        try:
            world = World(plan)
            box.append(world)
            world.play()
        except Broken as broken:
            return world, Violation(plan, str(broken), world.lines())
        finally:
            InProcess.close_all()
    return world, None


def shrunk(found: Violation, tries: int = 200) -> Violation:
    """The same kind of violation with as little as possible happening."""
    going = True
    while going and tries > 0:
        going = False
        for smaller in found.plan.smaller():
            tries -= 1
            again = play(smaller)
            if again is not None and again.kind == found.kind:
                found, going = again, True
                break
            if tries <= 0:
                break
    return found


def plain(method: str) -> Plan:
    """A history in which nothing goes wrong."""
    return replace(Plan(0, method, (PlannedRun(method),), ()), switch=0.0)
