# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Random histories of two or three runs over one table: late requests, stops, kills, lost answers, letting go.

Whatever happens, no request can change a table any more once its record says settled or done: AWS executes one until
its signature is 15 minutes old, or for 60 s after its process or connection has gone.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from ansible_collections.tableferry.aws.plugins.module_utils.core import errors
from ansible_collections.tableferry.aws.plugins.module_utils.core.record import rules, transitions
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.gate import Attempt
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.lease import WAITER
from ansible_collections.tableferry.aws.plugins.module_utils.core.record.run import Taken

from .two import SIGNATURE_WINDOW, Aws, Controller

CLOSED = 60  # seconds in which what was sent before still arrives
HOLDER = 3  # the number of whoever holds the table
PAUSES = st.sampled_from([0, 1, 13, 30, 45, 61, 100, 311, 600, 850, 900, 911])
Action = tuple[str, int, int]


@st.composite
def histories(draw: st.DrawFn) -> list[Action]:
    """Rounds of one holder after the other: it sends, something becomes of it, another one comes and goes on."""
    actions: list[Action] = []

    def add(name: str, number: int = HOLDER) -> None:
        actions.append((name, number, draw(PAUSES) if name == "advance" else 0))

    for _ in range(draw(st.integers(1, 4))):
        for _ in range(draw(st.integers(0, 2))):
            add("send")
            add(draw(st.sampled_from(["answer", "lose", "advance"])))
        add(draw(st.sampled_from(["kill", "let go", "end", "worker", "advance", "renew"])))
        number = draw(st.integers(0, 3))
        for _ in range(draw(st.integers(0, 2))):
            add("advance")
            add(draw(st.sampled_from(["take", "take over"])), number)
        for _ in range(draw(st.integers(0, 3))):
            add("advance")
            add(draw(st.sampled_from(["step", "step", "send", "renew"])))
    return actions


@dataclass
class Sent:
    """A request on its way; AWS may execute it until ``over``."""

    by: Controller
    attempt: Attempt
    over: float


@dataclass
class History:
    """One AWS, its runs (the first two on one machine) and what is under way."""

    aws: Aws = field(default_factory=Aws)
    sent: list[Sent] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.runs = [self.aws.controller("one", "ci"), self.aws.controller("two", "ci"), self.aws.controller("three")]
        self.dead: set[str] = set()
        self.runs[0].to_filled()

    def do(self, action: str, number: int, pause: int) -> None:
        holder = self.runs[0].read().run
        run = next((each for each in self.runs if each.run.id == holder), self.runs[0])
        run = run if number == HOLDER else self.runs[number]
        if action == "advance":
            self.aws.advance(pause)
        elif run.name not in self.dead:
            try:
                getattr(self, action.replace(" ", "_"))(run)
            except errors.FerryError as refusal:
                assert refusal.next_step
        self.check()

    def check(self) -> None:
        """Nothing that is under way can reach a table that is called settled or done."""
        if self.runs[0].run.store.read("table#orders").state in ("settled", "done"):  # type: ignore[union-attr]
            assert not [each for each in self.sent if self.aws.now < each.over]

    def send(self, run: Controller) -> None:
        record = run.read()
        if record.run != run.run.id or record.state != "filled":
            return
        rules.require_fence(record, run.moment())
        attempt = run.run.gate.leave(self.aws.now, "orders")
        self.sent.append(Sent(run, attempt, self.aws.now + SIGNATURE_WINDOW))

    def answer(self, run: Controller) -> None:
        for each in [each for each in self.sent if each.by is run][-1:]:
            run.run.gate.answered(each.attempt)
            self.sent.remove(each)

    def lose(self, run: Controller) -> None:
        for each in [each for each in self.sent if each.by is run and not each.attempt.lost][-1:]:
            run.run.gate.lost(each.attempt)
            each.over = min(each.over, max(each.attempt.date + CLOSED, self.aws.now))

    def kill(self, run: Controller) -> None:
        self.dead.add(run.name)
        run.die()
        for each in self.sent:
            if each.by is run:
                each.over = min(each.over, self.aws.now + CLOSED)

    def take(self, run: Controller) -> None:
        run.run.hold(run.read())

    def take_over(self, run: Controller) -> None:
        """The user says so, truly: of a run that is dead."""
        record = run.read()
        if record.run in {each.run.id for each in self.runs if each.name in self.dead}:
            assert isinstance(run.run.hold(record, take_over=record.run), Taken)

    def step(self, run: Controller) -> None:
        record, seen = run.read(), {"seen_table_id": "T1"}
        more: dict[str, Any] = {"read_back": True} if record.state == "filled" else {"verified": {}, "acceptable": True}
        change = transitions.settled if record.state == "filled" else transitions.done
        run.run.write(record, change(record, run.moment(), **seen, **more))

    def let_go(self, run: Controller) -> None:
        self.close_all(run)
        run.run.let_go(run.read())

    def end(self, run: Controller) -> None:
        self.close_all(run)
        run.run.end()
        run.begin()

    def worker(self, run: Controller) -> None:
        """A worker of the run leaves, the next one begins."""
        self.close_all(run)
        run.run.leave()
        run.begin()

    def renew(self, run: Controller) -> None:
        run.run.renew(WAITER)

    def close_all(self, run: Controller) -> None:
        while any(each.by is run and not each.attempt.lost for each in self.sent):
            self.lose(run)


@settings(max_examples=150)
@given(histories())
def test_no_late_request_reaches_a_table_that_is_settled(history: list[Action]) -> None:
    world = History()
    try:
        for action, number, pause in history:
            world.do(action, number, pause)
        # Whatever happened, a fresh run brings the table to its end once all time has passed.
        fresh = world.aws.controller("fresh")
        world.aws.advance(2000)
        fresh.run.renew(WAITER)
        record = fresh.read()
        if record.state != "done":
            assert isinstance(fresh.run.hold(record), Taken)
            world.aws.advance(1)
            while fresh.read().state != "done":
                world.step(fresh)
                world.check()
    finally:
        world.aws.close()
