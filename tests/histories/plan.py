# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens in a history: runs of ansible-playbook, and what goes wrong at which of their calls."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass, replace

METHODS = ("s3", "backup", "direct")
TABLE = "orders"
CALLS = 130  # about as many as a run makes: a fault at a later call is never met in most runs
CHANGES = 26  # the same of the calls that change something, the record's own among them
CHANGING = "changing"
# The operations by which a method brings its data.
BEGIN = {
    "s3": ("ExportTableToPointInTime", "ImportTable"),
    "backup": ("StartBackupJob", "StartCopyJob", "StartRestoreJob"),
    "direct": ("CreateTable", "BatchWriteItem", "BatchWriteItem"),
}

# What may happen at a call, and how often it is drawn. ``seconds`` of the fault say for how long, or how late.
KINDS = {
    "kill before": 4,  # the process is gone and the request was not sent
    "kill after": 4,  # it is gone before it reads the answer
    "kill late": 3,  # it is gone, and the request arrives later
    "lost": 2,  # the connection breaks, the request never arrives
    "lost answer": 3,  # the request is executed, the connection breaks
    "late": 4,  # the connection breaks, the request arrives later
    "error": 2,  # HTTP 500, not executed
    "error after": 2,  # HTTP 500, executed all the same
    "throttle": 2,  # refused, may be repeated
    "stop": 3,  # SIGSTOP before the request is signed
    "stop signed": 3,  # SIGSTOP between the signature and the request
    "slow": 2,  # the answer takes its time
    "user deletes": 2,
    "user replaces": 2,
    "source written": 3,
    "source erased": 2,
    "source made anew": 1,
}
USER = tuple(kind for kind in KINDS if kind.startswith(("user", "source")))
# How late a request may come whose connection is closed (design section 6, "Let go"); and as long as its signature is
# taken, where its process is gone and nobody can see that.
LATE = (1.0, 5.0, 20.0, 40.0, 55.0)
LATE_UNSEEN = (55.0, 330.0, 400.0, 600.0, 880.0)
SECONDS = (1.0, 5.0, 20.0, 45.0, 90.0, 200.0, 290.0, 600.0, 880.0, 1300.0)


@dataclass(frozen=True)
class Fault:
    """At the call ``call`` of the run ``run``: ``kind``, for ``seconds``. ``again``: the SDK repeats the request.

    ``of`` says which calls count: those of an operation, those that change something (``CHANGING``), or all ("").
    """

    run: int
    call: int
    kind: str
    seconds: float = 0.0
    again: bool = False
    of: str = ""


@dataclass(frozen=True)
class PlannedRun:
    """One ansible-playbook: on the machine ``host``, begun ``delay`` seconds after the one before it has begun, or
    ended (``after``)."""

    method: str
    host: str = "one"
    delay: float = 0.0
    after: bool = True
    replace_failed: bool = False
    take_over: bool = False


@dataclass(frozen=True)
class Plan:
    """A history: drawn from ``seed`` for ``method``. Lists do not show what is younger than ``stale`` seconds; requests
    are taken ``window`` seconds after their signature; controllers are interrupted at a call by ``switch``."""

    seed: int
    method: str
    runs: tuple[PlannedRun, ...]
    faults: tuple[Fault, ...]
    stale: float = 0.0
    window: float = 300.0
    switch: float = 0.2

    def smaller(self) -> Iterator[Plan]:
        """The plan with one thing less each."""
        for at, _fault in enumerate(self.faults):
            yield replace(self, faults=self.faults[:at] + self.faults[at + 1 :])
        for at, _run in enumerate(self.runs):
            if len(self.runs) > 1:
                kept = tuple(
                    replace(fault, run=fault.run - (fault.run > at)) for fault in self.faults if fault.run != at
                )
                yield replace(self, runs=self.runs[:at] + self.runs[at + 1 :], faults=kept)
        for at, run in enumerate(self.runs):
            for plain in (
                replace(run, method=self.method),
                replace(run, take_over=False),
                replace(run, replace_failed=False),
                replace(run, after=True),
                replace(run, delay=0.0),
            ):
                if plain != run:
                    yield replace(self, runs=(*self.runs[:at], plain, *self.runs[at + 1 :]))
        for name in ("stale", "switch"):
            if getattr(self, name):
                yield replace(self, **{name: 0.0})

    def __str__(self) -> str:
        lines = [
            f"method {self.method}, seed {self.seed}: stale {self.stale:g} s, window {self.window:g} s,"
            f" switch {self.switch:g}"
        ]
        lines += [f"  run {number}: {run}" for number, run in enumerate(self.runs)]
        lines += [f"  {fault}" for fault in self.faults]
        return "\n".join(lines)


def draw(method: str, seed: int) -> Plan:
    """The history of ``seed``: the same one each time."""
    chance = random.Random(f"{method} {seed}")
    others = [name for name in METHODS if name != method]
    runs = []
    for number in range(chance.choice((1, 2, 2, 2, 3))):
        changed = number > 0 and chance.random() < 0.15
        runs.append(
            PlannedRun(
                chance.choice(others) if changed else method,
                chance.choice(("one", "one", "two")),
                chance.choice((0.0, 0.0, 1.0, 4.0, 15.0, 60.0, 400.0, 1200.0)) if number else 0.0,
                chance.random() < 0.5,
                replace_failed=chance.random() < 0.1,
                take_over=chance.random() < 0.1,
            )
        )
    faults = []
    for _number in range(chance.choice((1, 2, 3, 4, 6))):
        kind = chance.choices(tuple(KINDS), tuple(KINDS.values()))[0]
        begins = (chance.choice(BEGIN[method]), 2)
        of, most = chance.choice((("", CALLS), (CHANGING, CHANGES), begins, begins))
        run, at, again = chance.randrange(len(runs)), chance.randint(1, most), chance.random() < 0.5
        unseen = [each.host for each in runs].count(runs[run].host) == 1 and not any(each.take_over for each in runs)
        seconds = SECONDS
        if "late" in kind:
            seconds = LATE_UNSEEN if unseen and kind == "kill late" else LATE
        faults.append(Fault(run, at, kind, chance.choice(seconds), again, of))
    return Plan(
        seed,
        method,
        tuple(runs),
        tuple(faults),
        stale=chance.choice((0.0, 0.0, 3.0, 20.0)),
        window=chance.choice((300.0, 900.0, 900.0)),
        switch=chance.choice((0.05, 0.2, 0.5)),
    )
