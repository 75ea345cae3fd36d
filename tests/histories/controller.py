# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""ansible-playbook with its verbs, each a process of its own, over clients whose calls can go wrong in every way."""

from __future__ import annotations

import itertools
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import Any

from botocore.exceptions import ClientError, ConnectionClosedError

from ansible_collections.tableferry.aws.plugins.module_utils.core.errors import (
    FerryError,
    ParentGone,
    RecordLost,
    TakenOver,
)
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.job import Job
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.kind import WaitItem
from ansible_collections.tableferry.aws.plugins.module_utils.core.jobs.tracking import Tracking
from ansible_collections.tableferry.aws.plugins.module_utils.core.judgement import JudgeChoice, Judgement, judge_job
from ansible_collections.tableferry.aws.plugins.module_utils.core.methods.options import BackupChoices, MigrationOptions
from ansible_collections.tableferry.aws.plugins.module_utils.core.migration import judge, start, wait_for
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import lease as leases
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import record_table
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.clock import AwsClock
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.gate import changes_something
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.process import Process
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Run
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.store import RecordStore
from ansible_collections.tableferry.aws.plugins.module_utils.core.steps.claiming import Records
from tests.histories.plan import CHANGING, TABLE, USER, Fault, PlannedRun
from tests.histories.promises import Broken
from tests.histories.turns import Actor
from tests.unit.on_lab.in_process import Client, InProcessAccount, Killed, failure
from tests.unit.on_lab.staged import BUCKET

A_CALL = 0.05  # seconds
LOOKS_NEW = 20.0  # seconds for which DescribeTable may not know a new table, where lists are stale
LONGEST_WINDOW = 900.0  # seconds for which a service takes a signature
ANSWER = 60.0  # seconds that an SDK waits for an answer


class HistoryAccount(InProcessAccount):
    """An account of a controller's, whose clients are its own."""

    def __init__(self, controller: Controller, name: str) -> None:
        super().__init__(controller.world.aws, name, name)
        self.controller = controller
        self.aws = controller  # type: ignore[assignment]
        self._world = controller.world.aws

    def client(self, service: str, region: str | None = None, *, retries: int = 8) -> Client:
        """A client, made at once. Its requests that change something ask the gate of the run, if there is one."""
        return HistoryClient(self.controller, self._caller, service, self.controller.guarded, repeats=retries > 0)

    def own_client(self, service: str, **_config: Any) -> Client:  # type: ignore[override]
        """A client that no gate guards."""
        return HistoryClient(self.controller, self._caller, service, False, repeats=True)


class HistoryClient(Client):
    """A client whose calls are its controller's."""

    checks = False

    def __init__(self, controller: Controller, caller: Any, service: str, guarded: bool, *, repeats: bool) -> None:
        aws = controller.world.aws
        super().__init__(aws, caller, service, aws.region)
        self._controller, self._guarded, self._repeats = controller, guarded, repeats

    def _watch(self, operation: Any, params: dict[str, Any]) -> Any:
        def execute(late: float = 0.0) -> Any:
            return self._controller.world.execute(
                self._controller, operation.name, params, self._account, lambda: self._answer(operation, params), late
            )

        return self._controller.call(self._service, operation.name, params, execute, self._guarded, self._repeats)

    @property
    def _account(self) -> str:
        return str(self._caller.account_id)


class Controller:
    """One ansible-playbook of the plan: ``play`` migrates the table and ends the run. Its ``word`` is the last one."""

    _pids = itertools.count(1)

    def __init__(self, world: Any, number: int, planned: PlannedRun, faults: Sequence[Fault]) -> None:
        self.world = world
        self.number = number
        self.planned = planned
        self.actor = Actor(f"run {number}", world.aws.clock)
        self.calls = 0
        self._counts: Counter[str] = Counter()
        self.guarded = False
        self.saw = ""  # TableId under the copy's name, as it was last described
        self.stopped = 0.0  # seconds since the present call began
        self.signed = 0.0  # when the present call was signed
        self.changed: dict[str, float] = {}  # when it last changed a table under the copy's name, by TableId
        self.run_id = ""
        self.began = 0.0
        self.word: BaseException | None = None
        self.judged: Judgement | None = None
        self._faults = faults
        self._run: Run | None = None
        self._keeps = False
        self._renewed = 0.0
        self._renewing = False
        host = planned.host
        self._process = Process("ann", host, f"boot-{host}", "ns", number + 1, f"start-{number + 1}")
        self.source, self.destination = HistoryAccount(self, "source"), HistoryAccount(self, "destination")

    @property
    def name(self) -> str:
        """As in a trace."""
        return self.actor.name

    # The playbook

    def play(self) -> None:
        """The playbook for one table: start, wait, judge, and the report's task whatever comes of it."""
        self.began = self.world.aws.clock
        self.world.alive.add(self._process.pid)
        try:
            try:
                self.judged = self._migrate()
                self.word = self.judged.failure
            except FerryError as error:
                self.word = error
            with suppress(FerryError), self._verb() as records:
                if self.began_run:
                    records.run().end()
        except (Broken, Killed):
            self.word = None
            self.world.note(self.name, "stops here")
            raise
        except BaseException as error:
            self.word = error
            self.world.broken(f"{self.name} ended with {error!r}", traceback.format_exc())
        finally:
            self.world.alive.discard(self._process.pid)
            self.world.ended(self)

    began_run = False

    def _migrate(self) -> Judgement:
        planned = self.planned
        options = MigrationOptions(
            TABLE,
            destination_table=planned.copy,
            method=planned.method,
            bucket=BUCKET,
            enable_point_in_time_recovery=True,
            replace_failed=planned.replace_failed,
            adopt=planned.adopt,
            backup=BackupChoices(),
        )
        with self._verb() as records:
            take_over = self.world.holder(planned.copy) if planned.take_over else ""
            migration = start(self.source, self.destination, options, records, take_over)
        jobs = tuple(Job.from_dict(part.to_dict()) for part in (migration.job, *migration.then))
        self.world.note(self.name, f"started {jobs[0].kind} {jobs[0].state}")
        if any(job.open for job in jobs):
            with self._verb() as records:
                run = records.run()
                last = judge_job(JudgeChoice(planned.copy, source_table=TABLE))
                record = Tracking(run, planned.copy)
                item = WaitItem(planned.copy, self.source, self.destination, jobs[0], jobs[1:], record, last)
                with self._kept(run):
                    waited = wait_for([item], 7200.0, self._line, lambda: self.world.aws.clock, self.sleep)
            jobs = tuple(Job.from_dict(part.to_dict()) for part in waited.ways[planned.copy])
        with self._verb() as records:
            record = Tracking(records.run(), planned.copy)
            judged = judge(
                planned.copy,
                self.source,
                self.destination,
                jobs,
                source_table=TABLE,
                record=record,
                sleep=self.sleep,
            )
            self.world.judged(self, judged)
        return judged

    def _line(self, line: str) -> None:
        self.world.note(self.name, line)

    # A verb

    @contextmanager
    def _verb(self) -> Iterator[Records]:
        """What a verb's process has: a store, and the playbook's run once it is needed."""
        self._run, self.guarded = None, False
        try:
            client = self.destination.own_client("dynamodb")
            table = record_table.find_or_create(
                client, record_table.DEFAULT_NAME, clock=lambda: self.world.aws.clock, sleep=self.sleep
            )
            store = RecordStore(client, table, nonce=self.world.nonce)

            def join() -> Run:
                if self._run is None:
                    clock = AwsClock(lambda: self.world.aws.clock, lambda: self.world.aws.clock, offset=0.0)
                    self._run = Run.join(store, clock, self._process, start_of=self._start_of)
                    self._run.refuses = lambda date: self.world.aws.clock > date + self.world.plan.window
                    self.guarded = self.began_run = True
                    self.run_id = self._run.id
                return self._run

            yield Records(store, join)
            if self._run is not None:
                with suppress(FerryError):
                    self._run.leave()
        finally:
            self._run, self.guarded = None, False

    def _start_of(self, pid: int) -> str:
        return f"start-{pid}" if pid in self.world.alive else ""

    @contextmanager
    def _kept(self, run: Run) -> Iterator[None]:
        """The lease is renewed while the waiter works and pauses, as its thread does."""
        with run.waiting():
            self._keeps, self._renewed = True, self.world.aws.clock
            try:
                yield
            finally:
                self._keeps = False

    def _renew(self) -> None:
        if not self._keeps or self._renewing or self._run is None:
            return
        if self.world.aws.clock < self._renewed + leases.WAITER_EVERY:
            return
        self._renewing, self._renewed = True, self.world.aws.clock
        try:
            self._run.renew(leases.WAITER)
        except (ParentGone, RecordLost, TakenOver):
            self._keeps = False
        except FerryError:
            pass
        finally:
            self._renewing = False

    # Time

    @property
    def clock(self) -> float:
        """The world's time, in epoch seconds."""
        return float(self.world.aws.clock)

    def pause(self, seconds: float) -> None:
        """As ``sleep``."""
        self.sleep(seconds)

    def sleep(self, seconds: float) -> None:
        """Pause while other controllers go on; the lease is kept meanwhile."""
        end = self.world.aws.clock + max(seconds, 0.001)
        while (left := end - self.world.aws.clock) > 0:
            self._renew()
            left = end - self.world.aws.clock
            step = min(left, leases.WAITER_EVERY) if self._keeps else left
            if step > 0:
                self.world.turns.sleep(self.actor, step)

    def _stopped(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT ``seconds`` later: nothing of the process goes on meanwhile."""
        self.stopped += seconds
        self.world.turns.sleep(self.actor, seconds)

    # A call

    def call(
        self,
        service: str,
        operation: str,
        params: dict[str, Any],
        execute: Callable[..., Any],
        guarded: bool,
        repeats: bool,
    ) -> Any:
        """A call through the SDK, which repeats what was not answered where the fault says so and the client does."""
        if self.actor.killed:
            raise Killed(self.name)
        self._renew()
        self.calls += 1
        self.stopped = 0.0
        changes = changes_something(operation)
        state = f"@{self.world.state}"
        kinds = {"", operation, state, *((CHANGING, f"{state} {CHANGING}") if changes else ())}
        self._counts.update(kinds)
        faults = [fault for fault in self._faults if fault.of in kinds and fault.call == self._counts[fault.of]]
        for fault in tuple(faults):
            if fault.kind in USER:
                self.world.user.act(fault.kind)
                faults.remove(fault)
        world = self.world
        window = world.plan.window if service == "dynamodb" else LONGEST_WINDOW
        world.aws.world.advance(A_CALL)
        if world.chance.random() < world.plan.switch and world.turns.others(self.actor):
            world.turns.sleep(self.actor, 0.0)
        while True:
            fault = faults.pop(0) if faults else None
            kind, seconds = (fault.kind, fault.seconds) if fault else ("", 0.0)
            if fault:
                world.note(self.name, f"call {self.calls} {operation}: {kind}, {seconds:g} s")
            if kind == "kill before":
                self._die()
            if kind == "stop":
                self._stopped(seconds)
            gate = self._run.gate if guarded and self._run is not None and changes else None
            self.signed = world.aws.clock
            attempt = gate.leave(self.signed) if gate else None
            answered = False
            try:
                if kind == "kill after":
                    with suppress(ClientError):
                        execute()
                    self._die()
                if kind == "hangs late":
                    self.sleep(ANSWER)
                    kind, seconds = "late", min(seconds, window - ANSWER)
                if kind in ("kill late", "late") and seconds <= window:
                    world.later(seconds, execute)
                if kind == "kill late":
                    self._die()
                if kind == "lost answer":
                    with suppress(ClientError):
                        execute()
                if kind in ("lost", "lost answer", "late"):
                    if repeats and fault and fault.again:
                        continue
                    raise ConnectionClosedError(endpoint_url="https://aws")
                if kind in ("error", "error after"):
                    if kind == "error after":
                        with suppress(ClientError):
                            execute()
                    if repeats and fault and fault.again:
                        continue
                    raise failure("InternalServerError", "Try again.", operation, 500)
                if kind == "throttle":
                    answered = True
                    raise failure("ThrottlingException", "Rate exceeded", operation)
                if kind == "refused":
                    answered = True
                    raise failure("AccessDeniedException", "You may not do this now.", operation)
                if kind == "stop signed":
                    self._stopped(seconds)
                    if seconds > window:
                        answered = True
                        raise failure("InvalidSignatureException", "Signature expired", operation)
                answer = self._executed(operation, params, execute)
                if kind == "slow":
                    self.sleep(min(seconds, ANSWER))
                answered = True
                return answer
            except ClientError as error:
                answered = answered or error.response["ResponseMetadata"]["HTTPStatusCode"] < 500
                raise
            finally:
                if gate and attempt:
                    (gate.answered if answered else gate.lost)(attempt)

    def _executed(self, operation: str, params: dict[str, Any], execute: Callable[..., Any]) -> Any:
        answer = execute()
        self.world.make_stale(operation, params, answer)
        return answer

    def _die(self) -> None:
        """SIGKILL."""
        self.actor.killed = True
        self.world.alive.discard(self._process.pid)
        raise Killed(self.name)
