# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""A run at work: its lease kept, other runs' leases looked at, its requests held to ``until``.

One per ansible-playbook process and table of the records; its workers find it by its process and share its lease. The
room's front: ``Run.join`` opens it, ``read``, ``claim``, ``hold``, ``write`` and ``let_go`` are about tables, ``keep``
renews in a thread, ``end`` lets everything go, ``interrupt`` and ``abandon`` are for a process that is asked to end.
"""

from __future__ import annotations

import math
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from typing import Any

from .. import errors
from ..errors import (
    CredentialsError,
    FerryError,
    LeaseOver,
    ParentGone,
    RecordBusy,
    RecordChanged,
    RecordLost,
    TakenOver,
    interrupted,
)
from . import fence as fences
from . import lease as leases
from . import process as processes
from . import takeover, transitions
from .clock import AwsClock
from .fence import Fence
from .gate import Gate
from .lease import Ended, Lease
from .process import Process
from .record import Record, table_key
from .rules import Moment
from .store import RecordStore
from .takeover import Free, Holds

SOONEST_EXPIRY = 300  # seconds after its date in which AWS takes a signature at least (aws.md J)
PROBE_EVERY = 10
LOOK_EVERY = 1.0  # seconds: on some systems a look at another process starts one
LETTING_GO_AT_ONCE = 8
RUNS_TRIED = 1000  # an ansible-playbook process has one run for each of its playbooks at most


@dataclass(frozen=True)
class HeldElsewhere:
    """A table that this run could not take: ``holder`` works on it, as ``words`` say; look again at ``again``."""

    holder: str
    words: str
    again: float

    def refusal(self, table: str, by_take_over: bool = True) -> errors.Held:
        """The error of ``table`` once nobody waits any longer; ``by_take_over``: the verb has that option."""
        way = f"take_over: {self.holder} takes over at once" if by_take_over else "its hold ends within minutes"
        return errors.Held(
            f"Another run works on this table, {self.words}.",
            f"Run again once it has ended. If its process is gone for certain, {way}.",
            table=table,
            details={"run": self.holder},
        )


@dataclass(frozen=True)
class Taken:
    """A table that this run holds now. ``fence`` is that of its former holders, ``why`` says how it came free where it
    was taken over, ``former`` is the run that held it."""

    record: Record
    fence: Fence
    former: str = ""
    why: str = ""


def held_lines(held: Iterable[HeldElsewhere]) -> list[str]:
    """A line for each run that holds tables which wait: ``held by ann@ci-7 since .., renewed 12 s ago: 12 tables``, and
    what shortens that."""
    waiting = list(held)
    words = {each.holder: each.words for each in waiting}
    counts = Counter(each.holder for each in waiting)
    return [
        f"{words[run]}: {count} table{'s' if count > 1 else ''}. If its process is gone for certain, start again with"
        f" take_over: {run}, and items and settings wait up to {takeover.TAKE_OVER} s"
        for run, count in sorted(counts.items())
    ]


class Run:
    """See the module. Safe to use from many threads. Made by ``join``."""

    def __init__(
        self,
        lease: Lease,
        store: RecordStore,
        clock: AwsClock,
        here: Process,
        start_of: Callable[[int], str],
    ) -> None:
        self.id = lease.run
        self.store = store
        self.clock = clock
        self.here = here
        self.began = float(lease.who.since) if lease.who is not None else clock.now()
        self.gate = Gate(clock, lambda: self.until, self._before_sending)
        # Whether DynamoDB refuses by now what was signed at a date (``probe.Prober``).
        self.refuses: Callable[[int], bool] = lambda date: False
        self._start_of = start_of
        self._lock = threading.Lock()
        self._until = float(lease.until)
        self._waiting, self._waits_until = False, -math.inf
        self._ended: Ended | None = lease.ended
        self._left_behind = lease.unanswered
        self._looked = -math.inf
        self._lost: RecordLost | None = None
        self._seen_gone: dict[str, float] = {}
        self._expired: dict[int, float] = {}
        self._probed: dict[int, float] = {}
        self._ending: dict[str, tuple[Fence, str]] = {}
        self._held: dict[str, Record] = {}  # the tables that this process holds, as it last knew them
        self._interrupted = self._abandoned = False
        self.keys_ended: CredentialsError | None = None  # nothing can be written into the records any more
        store.allowed = self.require_lease

    @classmethod
    def join(
        cls,
        store: RecordStore,
        clock: AwsClock,
        parent: Process,
        *,
        start_of: Callable[[int], str] = processes.start_of,
        attend: Callable[[str], None] = lambda run: None,
    ) -> Run:
        """The run of the ansible-playbook process ``parent``, begun if it has none that goes on.

        ``attend`` is called with the run's id before its lease is looked at.
        Raises ClockOff, TakenOver when another run ended it, ParentGone when the process has ended.
        """
        clock.require_right()
        if not parent.started or start_of(parent.pid) != parent.started:
            raise _parent_gone()
        for number in range(1, RUNS_TRIED):
            now = clock.now()
            until = leases.until_for(leases.VERB - 1, now, clock.ahead())
            who = replace(parent, since=math.floor(now))
            attend(leases.run_id(parent, number))
            begun = Lease(leases.run_id(parent, number), until, math.floor(now), who=who)
            lease = store.begin_lease(begun)
            if lease.ended is not None and lease.ended.by == lease.run:
                continue  # it let go itself: this process's next playbook is another run
            run = cls(lease, store, clock, parent, start_of)
            run._waits_until = leases.until_for(leases.WAITER, now, clock.ahead())  # it was not ended then
            run._require_not_ended()
            if lease is begun:
                run.renew(leases.VERB)  # a permission that is missing shows before anything is billed
            return run
        raise RecordBusy("This process has begun too many runs.", "Start ansible-playbook anew.")

    # The lease

    @property
    def until(self) -> float:
        """AWS's time until which this run may send requests that change something, as AWS has acknowledged it; see
        ``waiting`` too."""
        return min(self._until, self._waits_until) if self._waiting else self._until

    def look(self) -> None:
        """Raises when this run must stop: Interrupted, ParentGone, TakenOver, RecordLost. No call; for every turn of a
        loop.

        The parent is looked at once a second at most.
        """
        if self._interrupted:
            raise interrupted()
        elapsed = self.clock.elapsed()
        if elapsed - self._looked >= LOOK_EVERY:
            if self._start_of(self.here.pid) != self.here.started:
                raise _parent_gone()
            self._looked = elapsed
        if self._lost is not None:
            raise self._lost
        self._require_not_ended()

    def _before_sending(self) -> None:
        """``look``, and after 90 s without renewal a verb renews first: so one that was stopped learns who took over
        because the user said so, who waits for no later request."""
        self.look()
        if not self._waiting and self._waits_until < self.clock.now() <= self._until:
            self.renew(leases.VERB)

    def require_lease(self) -> None:
        """``look``, and renewed where less than 120 s are left. Raises LeaseOver where that did not help.

        Between ``interrupt`` and ``abandon`` the answers that still come may be written.
        """
        if self._abandoned:
            raise interrupted()
        if self._interrupted:
            self._require_not_ended()
        else:
            self.look()
            self.renew_if_due()
        if self.clock.now() > self.until:
            raise LeaseOver(
                "The run's lease is over and could not be renewed.",
                "Run again: the table goes on from where its record says it is.",
                details={"until": self.until},
            )

    def renew_if_due(self) -> None:
        """Renew to now + 300 s where less than 120 s are left: for every verb that is not the waiter, before it starts
        or writes. By the local clock too, which dates the signatures and may have jumped."""
        if leases.is_due(self._until, self.clock.now() + self.clock.ahead()) or self.clock.now() > self.until:
            self.renew(leases.VERB)

    def renew(self, seconds: int) -> None:
        """Renew the lease for ``seconds``. A lapsed one too, after a look at the table of the records: it is lost only
        when another run has ended it (TakenOver) or its table is another one (RecordLost)."""
        self.look()
        now = self.clock.now()
        try:
            if now > self.until:
                self.store.require_home()
                now = self.clock.now()
            until = leases.until_for(seconds, now, self.clock.ahead())
            waits_until = leases.until_for(leases.WAITER, now, self.clock.ahead())
            lease = self.store.renew_lease(self.id, until, math.floor(now))
        except RecordLost as lost:
            self._lost = lost
            raise
        with self._lock:
            if lease.ended is not None:
                self._ended = lease.ended
            else:
                self._until = max(self._until, float(lease.until))
                self._waits_until = max(self._waits_until, float(waits_until))
        self._require_not_ended()

    @contextmanager
    def waiting(self) -> Iterator[None]:
        """Within, requests leave for 90 s after the last renewal only, though a verb's longer ``until`` may stand."""
        self.renew(leases.WAITER)
        self._waiting = True
        try:
            yield
        finally:
            self._waiting = False

    @contextmanager
    def keep(self, pause: Callable[[threading.Event, float], bool] | None = None) -> Iterator[None]:
        """Renew every 20 s to now + 90 s, in a thread, as long as the context lasts: for the waiter.

        ``pause`` waits on the event for seconds and says whether it was set; given by tests. What ends the run is
        raised by the next ``look``; a table of the records that does not answer is tried again at the next turn.
        """
        stop = threading.Event()
        wait = pause or threading.Event.wait

        def turns() -> None:
            while not wait(stop, leases.WAITER_EVERY):
                try:
                    self.renew(leases.WAITER)
                except (ParentGone, RecordLost, TakenOver):
                    return
                except FerryError as error:  # a throttle, a session that is renewed: the next turn may get through
                    self.keys_ended = error if isinstance(error, CredentialsError) and error.for_good else None

        thread = threading.Thread(target=turns, name="tableferry-lease", daemon=True)
        with self.waiting():
            thread.start()
            try:
                yield
            finally:
                stop.set()
                thread.join()

    def end(self, totals: Mapping[str, Any] | None = None) -> None:
        """Let everything go: this run begins nothing more. Once, and before any host is failed.

        What other processes of the run left behind counts too (``leave``).
        """
        lease = self.store.read_lease(self.id)
        self._left_behind = max(self._left_behind, lease.unanswered if lease else 0)
        fence = fences.let_go(self._unanswered(None))
        own = Ended(self.id, math.floor(self.clock.now()), fence.at)
        lease = self.store.let_lease_go(self.id, own, totals)
        self._ended = lease.ended
        if lease.ended is not None and lease.ended.by != self.id:
            raise _taken_over(self.id, lease.ended)

    def leave(self) -> None:
        """At the end of a process of this run that is not the run's end: what it sent and has no answer to is noted for
        the others. Only then does it cost a call."""
        date = self.gate.unanswered()
        if date is not None:
            self.store.note_unanswered(self.id, math.ceil(date))

    # A process that is asked to end

    def interrupt(self) -> None:
        """Begin nothing more: no request that changes something leaves, and the next ``look`` raises Interrupted.
        Answers may still come, and be written into the records."""
        self._interrupted = True
        self.gate.stop()

    def abandon(self, seconds: float) -> None:
        """After ``interrupt``, and once the answers are in or their connections closed: let this process's tables go,
        for up to ``seconds``, and note what has no answer for the run's other processes. It may follow the end of
        ansible-playbook. Tables for which the time is too short come free with the lease."""
        self._abandoned = True
        end = time.monotonic() + seconds
        with self._lock:
            held = list(self._held.values())
        pool = ThreadPoolExecutor(LETTING_GO_AT_ONCE, "letting-go")
        for each in [pool.submit(self._abandon, record, end) for record in held]:
            with suppress(FerryError):  # it comes free with the lease
                each.result()
        pool.shutdown()
        self.leave()

    def _abandon(self, record: Record, end: float) -> None:
        for _try in range(2):
            if time.monotonic() > end or record.run != self.id:
                return
            try:
                self.store.let_go(record, transitions.let_go(record, self.moment(record.name)))
                return
            except RecordChanged:  # a thread of ours wrote an answer just before
                record = self.store.read(record.key) or replace(record, run="")

    def _keep_in_mind(self, record: Record) -> Record:
        with self._lock:
            if record.run == self.id:
                self._held[record.key] = record
            else:
                self._held.pop(record.key, None)
        return record

    def leave_unseen(self) -> None:
        """The run's other processes cannot see this one: whatever it may send counts as unanswered for them."""
        self.store.note_unanswered(self.id, math.ceil(self.until))

    def _unanswered(self, subject: str | None) -> float | None:
        """Date of the newest request of this run without an answer, of this process or of one that has left."""
        own = self.gate.unanswered(subject)
        return max(own or 0, self._left_behind) or None

    def _require_not_ended(self) -> None:
        if self._ended is not None:
            raise _taken_over(self.id, self._ended)

    # Tables

    def moment(self, subject: str) -> Moment:
        """Now, for a step of the destination table ``subject``, with what is known of its former holders' requests."""
        signed = self.fence(subject).signed_until
        expired = None if signed is None else self._expired.get(signed)
        return Moment(self.id, self.clock.now(), self._unanswered(subject), signed, expired)

    def fence(self, subject: str) -> Fence:
        """The fence of the former holders of ``subject``, which this run holds now."""
        record = self._held.get(table_key(subject))
        return Fence() if record is None else record.fenced

    def probe(self, subject: str) -> None:
        """Ask AWS whether DynamoDB's own calls of the former holders of ``subject`` are over already.

        Asked every ten seconds at most, and not before AWS could refuse. What comes of it is in ``moment``; an endpoint
        that never refuses old signatures, or does not answer, leaves the fence as it is.
        """
        fence, now = self.fence(subject), self.clock.now()
        signed = fence.signed_until
        if signed is None or signed in self._expired or fence.passed(now) or now < signed + SOONEST_EXPIRY:
            return
        if now < self._probed.get(signed, 0) + PROBE_EVERY:
            return
        self._probed[signed] = now
        with suppress(FerryError):
            if self.refuses(signed):
                self._expired[signed] = self.clock.now()

    def read(self, key: str) -> Record | None:
        """The record under ``key``; None if there is none. Raises RecordTooNew."""
        record = self.store.read(key)
        return None if record is None else self._keep_in_mind(record)

    def hold(self, record: Record, take_over: str = "") -> Taken | HeldElsewhere:
        """Take ``record``, as just read, for this run, if nobody holds it or its holder is gone.

        The holder's lease is ended first, which frees all its tables. Raises RecordChanged when somebody was faster:
        read again.
        """
        if record.run == self.id:
            self._keep_in_mind(record)
            return Taken(record, record.fenced)
        fence, why = Fence(), ""
        if record.run:
            freed = self._free(record.run, take_over)
            if isinstance(freed, HeldElsewhere):
                return freed
            fence, why = freed
        taken = transitions.take(record, Moment(self.id, self.clock.now()), fence)
        taken = self._keep_in_mind(self.store.take(record, taken))
        return Taken(taken, taken.fenced, record.run, why)

    def claim(self, record: Record) -> Record:
        """Write the first record of a name (``transitions.claim``). Raises Claimed."""
        return self._keep_in_mind(self.store.claim(record))

    def write(self, before: Record, after: Record) -> Record:
        """Write ``after``, made of ``before`` by ``transitions``. Raises TakenOver when another run took the table,
        RecordChanged, RecordLost."""
        try:
            return self._keep_in_mind(self.store.write(before, after))
        except RecordChanged:
            self._require_still_mine()
            raise

    def let_go(self, record: Record, next: str = "") -> Record:
        """Let the table go: done, failed or refused. ``next`` says what the user should do."""
        moment = self.moment(record.name)
        return self.write(record, transitions.let_go(record, moment, next))

    def freed(self, holder: str) -> Fence | HeldElsewhere:
        """The fence of run ``holder``, whose lease has ended or was ended here; HeldElsewhere while it may go on.

        Of this run itself: of what it sent and has no answer to.
        """
        if holder == self.id:
            return fences.let_go(self._unanswered(None))
        freed = self._free(holder, "")
        return freed if isinstance(freed, HeldElsewhere) else freed[0]

    def _require_still_mine(self) -> None:
        lease = self.store.read_lease(self.id)
        if lease is not None and lease.ended is not None:
            self._ended = lease.ended
            self._require_not_ended()

    def _free(self, holder: str, take_over: str) -> tuple[Fence, str] | HeldElsewhere:
        """The fence of ``holder``, whose lease has ended or was ended here; HeldElsewhere while it may go on."""
        if holder in self._ending:
            return self._ending[holder]
        lease = self.store.read_lease(holder)
        now = self.clock.now()
        answer = takeover.assess(lease, holder, now, gone_since=self._gone_since(lease, now), take_over=take_over)
        if isinstance(answer, Holds):
            return HeldElsewhere(holder, answer.words, answer.again)
        if isinstance(answer, Free):
            by = lease.ended.by if lease and lease.ended else ""
            return answer.fence, "" if by == holder else f"run {holder} was ended by run {by}"
        ended = answer.ended(self.id, now)
        after = self.store.end_lease(holder, ended, lease)
        if after.ended is None:  # it renewed at this moment: it lives
            self._seen_gone.pop(holder, None)
            return HeldElsewhere(holder, leases.held_by(after, now), after.until + takeover.GRACE + 1.0)
        if after.ended != ended:
            return Fence(after.ended.fence), f"run {holder} was ended by run {after.ended.by}"
        self._ending[holder] = (answer.fence, f"taken over from run {holder}: {answer.why}")
        return self._ending[holder]

    def _gone_since(self, lease: Lease | None, now: float) -> float | None:
        if lease is None or lease.who is None or not processes.is_gone(lease.who, self.here, self._start_of):
            if lease is not None:
                self._seen_gone.pop(lease.run, None)
            return None
        return self._seen_gone.setdefault(lease.run, now)


def _taken_over(run: str, ended: Ended) -> TakenOver:
    if ended.by == run:
        return TakenOver(
            "This run has ended: its report is written, and it begins nothing more.",
            "Run the playbook again.",
            details={"by": ended.by, "at": ended.at},
        )
    return TakenOver(
        f"Run {ended.by} took over from this one at {leases.iso(ended.at)}: this run begins nothing more.",
        "Follow the other run: status shows how far it is. Nothing is lost, what this run began goes on there.",
        details={"by": ended.by, "at": ended.at},
    )


def _parent_gone() -> ParentGone:
    return ParentGone(
        "The ansible-playbook process that this work was for has ended.",
        "Run the playbook again: it goes on from where the records say the tables are.",
    )
