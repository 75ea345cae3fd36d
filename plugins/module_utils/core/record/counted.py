# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Counting who needs a shared statement or grant, in the table of the records (found.md A11).

Tables are its users. One that another run holds, whose job runs, or that a late request may still reach stays a user
whoever asks: what it needs is kept and listed, nobody waits for it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager

from ..change import NotCarried
from ..errors import Held, RecordBusy
from .lease import iso
from .removal import keeps
from .run import HeldElsewhere, Run
from .status import held_words
from .store import Everything, RecordStore
from .takeover import GRACE
from .uses import Uses, named, user_id, user_name

TRIES = 10  # for others who write the same item in between
NAMED = 3  # of the tables that need something, those that are named
ADD_WAIT = 120  # seconds for another run's taking away, or for its last requests once it has ended
ADD_LOOK = 2.0

_RESTORED = (
    "the record table was restored since its users were counted: run migrate for all inventories of the account pair,"
    " which counts them anew, then cleanup"
)


class Counted:
    """The users ``tables`` (names in the destination) of ``migration``, for the statements that one verb changes.

    ``run`` joins this process's run when something is written; ``now`` is AWS's time. ``left`` says afterwards what was
    kept, and for whom. Follows ``statements.users.Users``.
    """

    def __init__(
        self,
        store: RecordStore,
        run: Callable[[], Run],
        now: Callable[[], float],
        migration: str,
        tables: Iterable[str],
        *,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._store = store
        self._join = run
        self._now = now
        self._migration = migration
        self._tables = {user_id(migration, table): table for table in tables}
        self._sleep = sleep
        self._kept: dict[str, str] = {}
        self._own = ""

    @property
    def left(self) -> list[NotCarried]:
        """What stays, and why."""
        return [NotCarried(named(resource), why) for resource, why in sorted(self._kept.items())]

    def add(self, resource: str) -> None:
        """Count the tables as users of ``resource``.

        Waits while another run takes it away; finishes that where the run has ended. Raises Held after two minutes,
        RecordLost, TakenOver, and what the table of the records raises.
        """
        ids, end = frozenset(self._tables), self._now() + ADD_WAIT
        while True:
            uses = self._store.read_uses(resource)
            counted = uses is not None and ids <= uses.users and uses.home == self._store.home
            if counted and uses is not None and not uses.closing:
                return
            run = self._run()
            if uses is None or not uses.closing:
                uses = self._store.add_users(resource, ids, self._names())
                if not uses.closing:
                    return
            why, again = self._being_taken(run, uses)
            if not why:
                # It may be gone or not: who adds writes it again anyway.
                self._close(run, uses)
                self._store.end_closing(resource, run.id)
                continue
            if self._now() >= end:
                raise Held(
                    f"The {named(resource)} is being taken away: {why}.",
                    "Run again once that run has ended.",
                    details={"run": uses.closing, "again": again},
                )
            self._sleep(ADD_LOOK)

    def needed(self, resource: str) -> bool:
        """Whether ``resource`` would stay if the tables left it now. Reads only."""
        uses = self._store.read_uses(resource)
        everything = self._store.everything()
        staying = self._staying(everything)
        if uses is not None and uses.home != self._store.home:
            return self._keep(resource, _RESTORED)
        if uses is not None and uses.closing:
            lease = everything.leases.get(uses.closing)
            if lease is None or lease.ended is not None or self._now() > lease.until + GRACE:
                return False
            return self._keep(resource, f"it is being taken away: {held_words(lease, uses.closing, self._now())}")
        return self._keep(resource, self._why(everything, uses, staying))

    def needing(self, resource: str) -> frozenset[str] | None:
        """The tables of the users of ``resource``, without ours that may leave. None where some user is not known by
        name, where the record table was restored since, and while it is taken away. Reads only."""
        uses = self._store.read_uses(resource)
        if uses is None or uses.home != self._store.home or uses.closing:
            return None
        everything = self._store.everything()
        users = uses.users - (frozenset(self._tables) - frozenset(self._staying(everything)))
        recorded = {user_id(record.migration, record.name): record.name for record in everything.records}
        known = {**uses.tables, **recorded, **self._tables}
        return frozenset(known[user] for user in users) if users <= known.keys() else None

    @contextmanager
    def leave(self, resource: str, *, there: bool = True) -> Iterator[bool]:
        """True when nobody else needs ``resource``: it is to be taken away within the context.

        Where that fails, or the process dies, the resource stays marked, and the next one who comes finishes it. Raises
        RecordBusy where others keep changing its users, and as ``add``.
        """
        if not self._begin(resource, there):
            yield False
            return
        yield True
        self._store.end_closing(resource, self._run().id)
        self._kept.pop(resource, None)

    def _begin(self, resource: str, there: bool) -> bool:
        """Whether this run now takes ``resource`` away; otherwise the tables that may leave it have left."""
        for _try in range(TRIES):
            uses = self._store.read_uses(resource)
            if uses is None and not there:
                return False
            if uses is not None and uses.home != self._store.home:
                return not self._keep(resource, _RESTORED)
            run = self._run()
            if uses is not None and uses.closing:
                why, _again = self._being_taken(run, uses)
                if why:
                    return not self._keep(resource, f"it is being taken away: {why}")
                if self._close(run, uses):
                    return True
                continue
            everything = self._store.everything()
            staying = self._staying(everything)
            uncounted = frozenset(staying) - (uses.users if uses else frozenset())
            if uncounted or uses is None:
                # What nobody counted yet: an item makes it exclusive.
                self._store.add_users(resource, uncounted or frozenset(self._tables), self._names(uncounted))
                continue
            why = self._why(everything, uses, staying)
            if not why:
                if self._close(run, uses):
                    return True
                continue
            leaving = uses.users & (frozenset(self._tables) - frozenset(staying))
            left = self._store.remove_users(resource, leaving, uses.names) if leaving else uses
            if left is not None and left.users and not left.closing:
                self._keep(resource, why)
                return False
        raise RecordBusy(f"Others keep changing who needs the {named(resource)}.", "Run again: what is left is found.")

    def _names(self, users: Iterable[str] = ()) -> list[str]:
        """What the uses have of these tables' names; of all for none."""
        wanted = set(users) or set(self._tables)
        return [user_name(self._migration, table) for user, table in self._tables.items() if user in wanted]

    def _run(self) -> Run:
        run = self._join()
        self._own = run.id
        return run

    def _close(self, run: Run, uses: Uses) -> bool:
        closing = self._store.begin_closing(uses, run.id)
        return closing is not None and closing.closing == run.id

    def _being_taken(self, run: Run, uses: Uses) -> tuple[str, float]:
        """Why what ``uses.closing`` began to take away cannot be finished yet, and when to look again; "" where it can,
        since that run has ended and nothing of it can arrive any more."""
        freed = run.freed(uses.closing)
        if isinstance(freed, HeldElsewhere):
            return freed.words, freed.again
        if not freed.passed(run.clock.now()):
            return f"requests of run {uses.closing}, which has ended, may arrive until {iso(freed.at)}", freed.at
        return "", 0.0

    def _staying(self, everything: Everything) -> dict[str, str]:
        """Those of the tables that need it yet, with the reason: held by another run, or not at rest."""
        staying: dict[str, str] = {}
        now = self._now()
        for record in everything.records:
            user = user_id(self._migration, record.name)
            if record.migration != self._migration or user not in self._tables:
                continue
            lease = everything.leases.get(record.run)
            if record.run and record.run != self._own and lease is not None and lease.ended is None:
                staying[user] = held_words(lease, record.run, now)
            elif why := keeps(record, self._migration, frozenset(), now):
                staying[user] = why
        return staying

    def _why(self, everything: Everything, uses: Uses | None, staying: Mapping[str, str]) -> str:
        """Who needs it besides the tables that leave, in words; empty for nobody."""
        others = (uses.users if uses else frozenset()) - frozenset(self._tables)
        words = [f"{self._tables[user]} ({why})" for user, why in staying.items()]
        now = self._now()
        for record in everything.records:
            if user_id(record.migration, record.name) in others:
                others -= {user_id(record.migration, record.name)}
                held = f", {held_words(everything.leases.get(record.run), record.run, now)}" if record.run else ""
                words.append(f"{record.name} (migration {record.migration}{held})")
        known = uses.named_users(others) if uses else {}
        words = sorted(words) + [f"{name} without a record" for name in sorted(known.values())]
        more, unknown = len(words[NAMED:]), len(others - set(known))
        words = words[:NAMED]
        if more:
            words.append(f"{more} more")
        if unknown:
            words.append(f"{unknown} without a record")
        return f"tables need it yet, {', '.join(words)}" if words else ""

    def _keep(self, resource: str, why: str) -> bool:
        if why:
            self._kept[resource] = why
        return bool(why)
