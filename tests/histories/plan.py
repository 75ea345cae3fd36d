# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What happens in a history: runs of ansible-playbook, and what goes wrong at which of their calls."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

METHODS = ("s3", "backup", "direct")
SPARK_METHODS = ("glue", "emr")  # apart: seeds of the others draw the same histories as before
TABLE = "orders"
BESIDE = "beside"  # another destination table of the same source
CALLS = 130  # about as many as a run makes: a fault at a later call is never met in most runs
CHANGES = 26  # the same of the calls that change something, the record's own among them
CHANGING = "changing"
# The operations by which a method brings its data, and how many calls of each a run makes. The first CreateTable makes
# the table of the records.
BEGIN = {
    "s3": (("ExportTableToPointInTime", 1), ("ImportTable", 1)),
    "backup": (("StartBackupJob", 1), ("StartCopyJob", 1), ("StartRestoreJob", 1)),
    "direct": (("CreateTable", 2), ("BatchWriteItem", 3), ("BatchWriteItem", 3)),
    "glue": (("ExportTableToPointInTime", 1), ("CreateTable", 2), ("CreateJob", 1), ("StartJobRun", 1)),
    "emr": (("ExportTableToPointInTime", 1), ("CreateTable", 2), ("CreateApplication", 1), ("StartJobRun", 1)),
}
# Those that change the copy, of the record, of the lease; and the looks before them.
SETTINGS = {
    "s3": (("TagResource", 2), ("UpdateTimeToLive", 1)),
    "backup": (("TagResource", 1), ("UpdateTimeToLive", 1)),
    "direct": (("TagResource", 2), ("UpdateTimeToLive", 1), ("UpdateTable", 1)),
    "glue": (("TagResource", 2), ("UpdateTimeToLive", 1), ("UpdateTable", 1)),
    "emr": (("TagResource", 2), ("UpdateTimeToLive", 1), ("UpdateTable", 1)),
}
KEPT = (("PutItem", 10), ("UpdateItem", 3))
LOOKS = (("DescribeTable", 18), ("ListContributorInsights", 1), ("ListTagsOfResource", 6))
POLLS = {
    "s3": (("DescribeExport", 6), ("DescribeImport", 6), ("ListImports", 3)),
    "backup": (("DescribeBackupJob", 4), ("DescribeCopyJob", 4), ("DescribeRestoreJob", 4), ("ListRestoreJobs", 2)),
    "direct": (("Scan", 6),),
    "glue": (("DescribeExport", 6), ("GetJobRun", 2), ("GetJobRuns", 3), ("PutObject", 5)),
    "emr": (("DescribeExport", 6), ("GetJobRun", 2), ("ListJobRuns", 3), ("PutObject", 5)),
}
# States of the record, how many calls a run makes in each, and how many that change something.
STATES = (("", 10, 3), ("claimed", 40, 10), ("filling", 20, 6), ("filled", 20, 4), ("settled", 6, 2))

# What may happen at a call, and how often it is drawn. ``seconds`` of the fault say for how long, or how late.
KINDS = {
    "kill before": 4,  # the process is gone and the request was not sent
    "kill after": 4,  # it is gone before it reads the answer
    "kill late": 3,  # it is gone, and the request arrives later
    "lost": 2,  # the connection breaks, the request never arrives
    "lost answer": 3,  # the request is executed, the connection breaks
    "late": 4,  # the connection breaks, the request arrives later
    "hangs late": 2,  # nobody answers for as long as the SDK waits; then as ``late``
    "error": 2,  # HTTP 500, not executed
    "error after": 2,  # HTTP 500, executed all the same
    "throttle": 2,  # refused, may be repeated
    "refused": 1,  # refused for good, as where a permission is missing for a moment
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
LATE = (1.0, 5.0, 20.0, 40.0, 55.0, 58.0, 58.0)
LATE_UNSEEN = (55.0, 95.0, 110.0, 150.0, 290.0, 330.0, 400.0, 600.0, 880.0, 898.0)
SECONDS = (1.0, 5.0, 20.0, 45.0, 90.0, 200.0, 290.0, 600.0, 880.0, 1300.0)
# A stopped controller wakes at the borders of a lease (90 s, 10 s of grace), of a window and of a fence.
STOPS = (60.0, 85.0, 95.0, 105.0, 120.0, 310.0, 600.0, 905.0, 1000.0, 1030.0, 1060.0, 1100.0, 1230.0, 1260.0, 1300.0)
SHORT_STOPS = (5.0, 20.0, 45.0, 60.0, 75.0)
# A request of a run that is taken over by the user's word comes within so many seconds of its signature.
NOTICED = 125.0

Spot = tuple[str, int]  # which calls, and how many of them a run makes


@dataclass(frozen=True)
class Fault:
    """At the call ``call`` of the run ``run``: ``kind``, for ``seconds``. ``again``: the SDK repeats the request.

    ``of`` says which calls count: those of an operation, those that change something (``CHANGING``), those while the
    record is in a state (``@filling``, and ``@filling changing``), or all ("").
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
    ended (``after``). ``adopt``: the user has lost the table's record before it, and lets it adopt the copy. ``copy``
    is the destination table."""

    method: str
    host: str = "one"
    delay: float = 0.0
    after: bool = True
    replace_failed: bool = False
    take_over: bool = False
    adopt: bool = False
    copy: str = TABLE


@dataclass(frozen=True)
class Plan:
    """A history: drawn from ``seed`` for ``method``. Lists do not show what is younger than ``stale`` seconds; DynamoDB
    takes requests ``window`` seconds after their signature; controllers are interrupted at a call by ``switch``; an
    export just after point-in-time recovery was turned on is ``just_after``: current, or empty."""

    seed: int
    method: str
    runs: tuple[PlannedRun, ...]
    faults: tuple[Fault, ...]
    stale: float = 0.0
    window: float = 300.0
    switch: float = 0.2
    just_after: str = "current"

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
                replace(run, adopt=False),
                replace(run, replace_failed=False),
                replace(run, after=True),
                replace(run, delay=0.0),
                replace(run, copy=TABLE),
            ):
                if plain != run:
                    yield replace(self, runs=(*self.runs[:at], plain, *self.runs[at + 1 :]))
        for name in ("stale", "switch"):
            if getattr(self, name):
                yield replace(self, **{name: 0.0})
        if self.just_after != "current":
            yield replace(self, just_after="current")

    def __str__(self) -> str:
        lines = [
            f"method {self.method}, seed {self.seed}: stale {self.stale:g} s, window {self.window:g} s,"
            f" switch {self.switch:g}, an export just after recovery {self.just_after}"
        ]
        lines += [f"  run {number}: {run}" for number, run in enumerate(self.runs)]
        lines += [f"  {fault}" for fault in self.faults]
        return "\n".join(lines)


def draw(method: str, seed: int, theme: str = "") -> Plan:
    """The history of ``seed``: the same one each time.

    What goes wrong is not strewn evenly: each history has a theme, which brings things together that are dangerous
    together, and draws what is left open. ``theme`` is the name of one, drawn by default.
    """
    chance = random.Random(f"{method} {seed}")
    drawn = chance.choices(tuple(THEMES), tuple(THEMES.values()))[0]
    named = {each.__name__.strip("_"): each for each in THEMES}
    runs, faults = (named[theme] if theme else drawn)(chance, method)
    return Plan(
        seed,
        method,
        tuple(runs),
        tuple(_as_said(runs, fault) for fault in faults),
        stale=chance.choice((0.0, 0.0, 3.0, 20.0)),
        window=chance.choice((300.0, 900.0, 900.0)),
        switch=chance.choice((0.05, 0.2, 0.5)),
        just_after=chance.choice(("current", "current", "empty")),
    )


def _as_said(runs: Sequence[PlannedRun], fault: Fault) -> Fault:
    """``fault``, no later than the design says that a request may come.

    By the signature's date alone where nobody can see the end of its process; soon after the connection was closed
    where somebody can, and where the process lets go or the user says that it is gone.
    """
    alone = [run.host for run in runs].count(runs[fault.run].host) == 1
    unseen = alone and not any(run.take_over for run in runs) and fault.kind == "kill late"
    if "late" in fault.kind and not unseen:
        return replace(fault, seconds=min(fault.seconds, max(LATE)))
    if fault.kind == "stop signed" and any(run.take_over for run in runs):
        return replace(fault, seconds=min(fault.seconds, NOTICED))
    return fault


Drawn = tuple[list[PlannedRun], list[Fault]]


def _dangerous(method: str) -> tuple[Spot, ...]:
    """Calls at which something is begun or written."""
    return (*BEGIN[method], *BEGIN[method], *SETTINGS[method], *SETTINGS[method], *KEPT)


def _spots(method: str) -> tuple[Spot, ...]:
    """All calls, in groups."""
    states = [(f"@{state}", calls) for state, calls, _changes in STATES]
    changing = [(f"@{state} {CHANGING}", changes) for state, _calls, changes in STATES]
    return (("", CALLS), (CHANGING, CHANGES), *_dangerous(method), *LOOKS, *POLLS[method], *states, *changing)


def _fault(chance: random.Random, run: int, kind: str, spots: Sequence[Spot], seconds: Sequence[float]) -> Fault:
    of, most = chance.choice(spots)
    return Fault(run, chance.randint(1, most), kind, chance.choice(seconds), chance.random() < 0.5, of)


def _any_fault(chance: random.Random, run: int, kind: str, spots: Sequence[Spot]) -> Fault:
    seconds = (*LATE, *LATE_UNSEEN) if "late" in kind else STOPS if "stop" in kind else SECONDS
    return _fault(chance, run, kind, spots, seconds)


def _mixed(chance: random.Random, method: str) -> Drawn:
    """Anything anywhere."""
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
    kinds = chance.choices(tuple(KINDS), tuple(KINDS.values()), k=chance.choice((1, 2, 3, 4, 6)))
    spots = _spots(method)
    return runs, [_any_fault(chance, chance.randrange(len(runs)), kind, spots) for kind in kinds]


def _swarm(chance: random.Random, method: str) -> Drawn:
    """Few kinds of faults at few kinds of calls, but many of them."""
    runs = [
        PlannedRun(method, chance.choice(("one", "two")), chance.choice((0.0, 0.0, 1.0, 15.0)), chance.random() < 0.5)
        for _number in range(chance.choice((2, 2, 3)))
    ]
    kinds = chance.sample(tuple(KINDS), chance.choice((1, 2, 2, 3)))
    spots = chance.sample(_spots(method), chance.choice((1, 2, 3)))
    return runs, [
        _any_fault(chance, chance.randrange(len(runs)), chance.choice(kinds), spots)
        for _number in range(chance.choice((3, 5, 8)))
    ]


def _gone_writer(chance: random.Random, method: str) -> Drawn:
    """A controller dies with a request under way, and another one, elsewhere, begins at once."""
    runs = [PlannedRun(method, "two"), PlannedRun(method, "one", chance.choice((0.0, 0.0, 1.0, 60.0, 400.0)))]
    faults = [_fault(chance, 0, "kill late", _dangerous(method), LATE_UNSEEN)]
    if chance.random() < 0.3:
        faults.append(_any_fault(chance, 1, chance.choice(tuple(KINDS)), _spots(method)))
    return runs, faults


def _gone_twice(chance: random.Random, method: str) -> Drawn:
    """As ``_gone_writer``, and the other one ends as well, while it waits for what the first has sent; then a third."""
    first = (*SETTINGS[method], *SETTINGS[method], *BEGIN[method])
    runs = [
        PlannedRun(method, "two"),
        PlannedRun(method, "one", 400.0),
        PlannedRun(method, chance.choice(("one", "one", "three")), chance.choice((0.0, 0.0, 15.0))),
    ]
    kind = chance.choice(("kill before", "kill before", "kill after", "lost", "refused"))
    faults = [
        _fault(chance, 0, "kill late", first, (400.0, 600.0, 880.0, 898.0)),
        Fault(1, chance.randint(9, 45), kind),  # it has taken the table at its eighth call, or so
    ]
    return runs, faults


def _stopped_holder(chance: random.Random, method: str) -> Drawn:
    """A controller is stopped and wakes again; others begin meanwhile."""
    runs = [PlannedRun(method, "two")]
    for _number in range(chance.choice((1, 1, 2))):
        host = chance.choice(("one", "one", "two"))
        runs.append(PlannedRun(method, host, chance.choice((0.0, 1.0, 4.0, 15.0, 60.0, 400.0)), after=False))
    spots = (*_dangerous(method), *_spots(method))
    if chance.random() < 0.5:  # woken between its looks, it renews its lease and goes on
        spots = (*POLLS[method], *LOOKS, ("@filling", 20), ("@filled", 20))
    faults = [
        _fault(chance, 0, chance.choice(("stop", "stop", "stop signed")), spots, STOPS)
        for _number in range(chance.choice((1, 1, 2)))
    ]
    if chance.random() < 0.3:
        faults.append(_any_fault(chance, 1, chance.choice(tuple(KINDS)), spots))
    return runs, faults


def _no_answer(chance: random.Random, method: str) -> Drawn:
    """Answers get lost on one machine, and the next run begins at once."""
    runs = [
        PlannedRun(method, delay=chance.choice((0.0, 0.0, 0.0, 15.0)), after=chance.random() < 0.8)
        for _number in range(chance.choice((2, 2, 3)))
    ]
    kinds = ("late", "late", "hangs late", "kill late", "kill late", "kill late", "lost answer", "error after", "lost")
    faults = []
    for _number in range(chance.choice((1, 1, 2))):
        following = chance.choice(("", "", "refused", "refused", "error"))
        spots = _dangerous(method) if not following else (*SETTINGS[method], *BEGIN[method])
        kind = chance.choice(kinds if not following else ("late", "late", "hangs late", "lost answer"))
        fault = _fault(chance, chance.choice((0, 0, 1)), kind, spots, LATE)
        faults.append(fault)
        if following == "refused":  # the repetition of the same call, or the next one
            again = chance.random() < 0.5
            faults[-1] = replace(fault, again=again)
            faults.append(replace(fault, kind="refused", call=fault.call + (not again), again=False))
        elif following:  # until nobody repeats it any more
            faults += [replace(fault, kind="error", call=fault.call + number, again=False) for number in range(1, 7)]
    return runs, faults


def _refused_early(chance: random.Random, method: str) -> Drawn:
    """A run is refused something and lets its table go, and the next one begins at once: lists and looks lag behind."""
    runs = [
        PlannedRun(method, chance.choice(("one", "two")), chance.choice((0.0, 0.0, 0.0, 15.0)))
        for _number in range(chance.choice((2, 2, 3)))
    ]
    spots = (("@filling", 12), ("@filling", 12), ("@claimed", 40), ("@claimed changing", 10), *SETTINGS[method])
    faults = [_fault(chance, number, "refused", spots, (0.0,)) for number in range(chance.choice((1, 1, 2)))]
    if chance.random() < 0.3:
        faults.append(_any_fault(chance, 1, chance.choice(tuple(KINDS)), _spots(method)))
    return runs, faults


def _user_between(chance: random.Random, method: str) -> Drawn:
    """The user deletes or replaces the copy, or makes the source anew, between our looks and our calls."""
    runs = [
        PlannedRun(method, chance.choice(("one", "two")), chance.choice((0.0, 0.0, 15.0)))
        for _number in range(chance.choice((1, 2, 2)))
    ]
    states = [spot for spot in _spots(method) if spot[0].startswith("@fill") or spot[0].startswith("@settled")]
    spots = (*states, *LOOKS, *(POLLS[method] * 4), *_dangerous(method))
    kinds = ("user deletes", "user deletes", "user replaces", "user replaces", "source made anew", "source written")
    faults = [_fault(chance, chance.randrange(len(runs)), chance.choice(kinds), spots, (0.0,))]
    if chance.random() < 0.6:
        faults.append(_any_fault(chance, 0, chance.choice(("kill after", "kill late", "stop", "late")), spots))
    return runs, faults


def _unwatched(chance: random.Random, method: str) -> Drawn:
    """A run ends when it has begun what fills the copy. That is done with nobody there, and then the user deletes or
    replaces the copy, before the next run has seen it or when that is at work; or does so when all is done."""
    delay = chance.choice((0.0, 15.0, 60.0, 400.0, 400.0))
    runs = [PlannedRun(method, chance.choice(("one", "one", "two"))), PlannedRun(method, delay=delay)]
    acts = chance.choice(("user replaces", "user replaces", "user deletes"))
    spots = (("", 10), ("DescribeTable", 3), ("@claimed", 12), ("@filling", 12), ("@done", 4))
    faults = [_fault(chance, 1, acts, spots, (0.0,))]
    if chance.random() < 0.75:
        of, _most = BEGIN[method][-1]
        faults.append(Fault(0, 1, chance.choice(("kill after", "kill after", "kill late")), chance.choice(LATE), of=of))
    return runs, faults


def _adopted(chance: random.Random, method: str) -> Drawn:
    """The record is lost when the copy is filled, and a run that something happens to adopts it."""
    runs = [PlannedRun(method), PlannedRun(method, chance.choice(("one", "two")), adopt=True)]
    if chance.random() < 0.5:
        runs.append(PlannedRun(method, "two", chance.choice((0.0, 1.0, 15.0))))
    faults = []
    if chance.random() < 0.5:
        of, most = chance.choice((("@filled", 12), ("@settled", 4)))
        faults.append(Fault(0, chance.randint(1, most), "kill before", of=of))
    spots = (
        ("", 30),
        ("DescribeTable", 8),
        ("Scan", 4),
        ("PutItem", 4),
        *SETTINGS[method],
        ("@filled", 12),
        ("@done", 4),
    )
    for _number in range(chance.choice((1, 1, 2))):
        faults.append(_any_fault(chance, 1, chance.choice(tuple(KINDS)), spots))
    return runs, faults


def _another_method(chance: random.Random, method: str) -> Drawn:
    """A run ends on its way, and the next one goes another way."""
    runs = [PlannedRun(method, chance.choice(("one", "two")))]
    for _number in range(chance.choice((1, 1, 2))):
        name, host = chance.choice(METHODS), chance.choice(("one", "one", "three"))
        delay, replaces = chance.choice((0.0, 0.0, 15.0, 400.0)), chance.random() < 0.5
        runs.append(PlannedRun(name, host, delay, replace_failed=replaces))
    states = [spot for spot in _spots(method) if spot[0].startswith("@claimed") or spot[0].startswith("@filling")]
    spots = (*states, *BEGIN[method])
    faults = [_any_fault(chance, 0, chance.choice(("kill before", "kill after", "kill late", "late", "stop")), spots)]
    if chance.random() < 0.4:
        faults.append(_any_fault(chance, 1, chance.choice(tuple(KINDS)), (*_spots(method), ("DeleteTable", 1))))
    return runs, faults


def _taken_over(chance: random.Random, method: str) -> Drawn:
    """The user says that a run is gone: it is, or it lives and notices."""
    runs = [
        PlannedRun(method, "two"),
        PlannedRun(method, "one", chance.choice((0.0, 4.0, 15.0, 60.0)), chance.random() < 0.5, take_over=True),
    ]
    kinds = ("kill before", "kill after", "kill late", "late", "hangs late", "lost", "slow", "stop", "stop signed")
    spots = (*_dangerous(method), *_dangerous(method), *_spots(method))
    faults = []
    for _number in range(chance.choice((1, 1, 2))):
        kind = chance.choice(kinds)
        if "stop" in kind and chance.random() < 0.8:  # it wakes when the other one is at work
            stops = chance.choice((SHORT_STOPS, (105.0, 230.0, 250.0, 285.0), (230.0, 250.0, 285.0)))
            faults.append(_fault(chance, 0, kind, (*SETTINGS[method], *BEGIN[method]), stops))
            runs[1] = replace(runs[1], delay=chance.choice((7.0, 10.0, 15.0, 60.0)), after=False)
        else:
            faults.append(_any_fault(chance, 0, kind, spots))
    return runs, faults


def _together(chance: random.Random, method: str) -> Drawn:
    """Controllers begin at the same moment, and one of them is held up between its looks and its writes."""
    runs = [
        PlannedRun(method, chance.choice(("one", "two")), chance.choice((0.0, 0.0, 0.3, 1.0)), after=False)
        for _number in range(chance.choice((2, 2, 3)))
    ]
    spots = (("@ changing", 3), ("PutItem", 4), ("@", 12), ("@claimed", 20), ("@claimed changing", 4), *BEGIN[method])
    kinds = ("stop", "stop", "slow", "kill after", "late", "lost answer")
    return runs, [
        _fault(chance, chance.randrange(2), chance.choice(kinds), spots, SHORT_STOPS)
        for _number in range(chance.choice((1, 2)))
    ]


def _beside(chance: random.Random, method: str) -> Drawn:
    """Two destination tables of the source, which share its export, one run after the other or both at once."""
    if method != "s3":
        return _together(chance, method)
    runs = []
    for number in range(chance.choice((2, 2, 3, 4))):
        copy = (BESIDE, TABLE)[number % 2] if chance.random() < 0.8 else chance.choice((TABLE, BESIDE))
        delay, after = chance.choice((0.0, 0.0, 0.3, 4.0, 15.0, 400.0)), chance.random() < 0.5
        runs.append(PlannedRun(method, chance.choice(("one", "two")), delay, after, copy=copy))
    begin, export = BEGIN[method], (("ExportTableToPointInTime", 1), ("PutItem", 6), ("UpdateContinuousBackups", 1))
    spots = (*export, *export, *begin, *POLLS[method], ("ListExports", 2), ("Scan", 2), *_spots(method))
    kinds = [kind for kind in KINDS if kind != "user replaces"] + ["source made anew", "source erased"]
    return runs, [
        _any_fault(chance, chance.randrange(len(runs)), chance.choice(kinds), spots)
        for _number in range(chance.choice((1, 1, 2, 3)))
    ]


# How often each is drawn.
THEMES: dict[Callable[[random.Random, str], Drawn], int] = {
    _mixed: 3,
    _swarm: 3,
    _gone_writer: 5,
    _gone_twice: 3,
    _stopped_holder: 3,
    _no_answer: 5,
    _refused_early: 2,
    _user_between: 3,
    _unwatched: 3,
    _adopted: 2,
    _another_method: 2,
    _taken_over: 3,
    _together: 2,
    _beside: 4,
}
