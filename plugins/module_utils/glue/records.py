# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""From a verb to the table of the records: opened for reading, or joined by the run that the verb works for."""

from __future__ import annotations

import threading
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from ..core.account import Account, AccountSpec
from ..core.destination import is_being_imported
from ..core.errors import FerryError, RecordDenied, RecordLost, TakenOver
from ..core.jobs.tracking import Tracking
from ..core.record import process, record_table
from ..core.record.clock import AwsClock
from ..core.record.counted import Counted
from ..core.record.probe import Prober
from ..core.record.record import Record, table_key
from ..core.record.run import Run
from ..core.record.store import RecordStore
from ..core.statements.users import ALONE, Users
from ..core.steps.claiming import Records
from ..core.steps.holding import Pause, held_elsewhere, hold, no_pause
from .interruption import ATTENDING
from .spec import MIGRATION_OPTIONS

# The record of a table, as migration_start returns it.
RECORD_OF: dict[str, Any] = {
    "type": "dict",
    "options": {"table": {"type": "str", "required": True}, "record_table": {"type": "str", "required": True}},
}
RECORD_OPTIONS: dict[str, Any] = {"record_table": {"type": "str", "default": record_table.DEFAULT_NAME}}
# Of verbs that change what several tables share: which tables need it.
USERS_OPTIONS: dict[str, Any] = {
    **MIGRATION_OPTIONS,
    **RECORD_OPTIONS,
    "tables": {"type": "list", "elements": "str", "default": []},
}


def open_run(account: Account, name: str, *, create: bool = True) -> Run | None:
    """The run of the ansible-playbook process that this verb works for, in the table ``name`` of the destination.

    None where there is no table and ``create`` is false. Raises as ``RecordStore.open`` and ``Run.join``.
    """
    clock = AwsClock()
    ATTENDING.expect()
    store = RecordStore.open(account, name, clock, create=create)
    return None if store is None else _joined(account, store, clock)


def _joined(account: Account, store: RecordStore, clock: AwsClock) -> Run:
    run = Run.join(store, clock, process.describe(process.playbook()), attend=ATTENDING.attend)
    run.refuses = Prober(account, store.table.name)
    ATTENDING.join(run)
    return run


class RecordTables:
    """The record tables that one verb uses, each opened once; this process's run is joined when it is first needed.

    Requests of ``accounts`` that change something are held to the leases of the runs that were joined. ``importing`` is
    that of ``Records``. Safe to use from many threads.
    """

    def __init__(self, importing: Callable[[Account, str], bool] = is_being_imported) -> None:
        self._importing = importing
        self._lock = threading.RLock()
        self._opened: dict[tuple[AccountSpec, str], _Opened] = {}
        self._to_read: dict[tuple[AccountSpec, str], RecordStore | None] = {}
        self._known_runs: dict[tuple[AccountSpec, str, str], bool] = {}
        ATTENDING.expect()

    def records(self, destination: Account, name: str, *others: Account | None) -> Records:
        """The record table ``name`` of the ``destination``, created if there is none; ``others`` are accounts that the
        run uses as well. Raises as ``RecordStore.open``."""
        with self._lock:
            opened = self._opened.get((destination.spec, name))
            if opened is None:
                clock = AwsClock()
                store = RecordStore.open(destination, name, clock)
                if store is None:
                    raise record_table.gone(name)
                opened = self._opened[destination.spec, name] = _Opened(store, clock)
        found = opened

        def run() -> Run:
            with self._lock:
                return found.run(destination, *others)

        return Records(found.store, run, self._importing)

    def to_read(self, destination: Account, name: str) -> RecordStore | None:
        """As ``open_to_read``, asked once for all tables."""
        key = (destination.spec, name)
        with self._lock:
            if key not in self._to_read:
                self._to_read[key], _now = open_to_read(destination, name)
            return self._to_read[key]

    def knows_run(self, destination: Account, name: str, run: str) -> bool:
        """Whether the record table ``name`` has a lease of ``run``, asked once for all tables."""
        key = (destination.spec, name, run)
        with self._lock:
            if key not in self._known_runs:
                store = self.to_read(destination, name)
                self._known_runs[key] = store is not None and store.read_lease(run) is not None
            return self._known_runs[key]

    def hold(
        self, destination: Account, name: str, table: str, *others: Account | None, pause: Pause = no_pause
    ) -> Tracking | None:
        """The record of ``table`` taken for this run, None without record or record table. Raises Held where it does
        not come free while ``pause`` waits."""
        if RecordStore.open(destination, name, AwsClock(), create=False) is None:
            return None
        return hold(self.records(destination, name, *others), table, pause)

    def counted(
        self, destination: Account, name: str, migration: str, tables: Sequence[str], *others: Account | None
    ) -> Counted | None:
        """Counts ``tables`` as users of what they share, None where there is no record table ``name``. Raises as
        ``RecordStore.open``."""
        opened = self._opened.get((destination.spec, name))
        if opened is None:
            clock = AwsClock()
            store = RecordStore.open(destination, name, clock, create=False)
            if store is None:
                return None
            opened = self._opened[destination.spec, name] = _Opened(store, clock)
        found = opened
        return Counted(found.store, lambda: found.run(destination, *others), found.clock.now, migration, tables)

    def tracking(self, destination: Account, of: Mapping[str, str], *others: Account | None) -> Tracking:
        """The record ``of`` a table (``RECORD_OF``) for this process's run."""
        return Tracking(self.records(destination, of["record_table"], *others).run(), of["table"])

    @contextmanager
    def kept(self) -> Iterator[None]:
        """All joined runs renew their leases in threads within."""
        with ExitStack() as stack:
            for opened in self._opened.values():
                if opened.joined is not None:
                    # A run that is over fails the tables of its destination alone, when they write.
                    with suppress(RecordLost, TakenOver):
                        stack.enter_context(opened.joined.keep())
            yield

    def leave(self) -> None:
        """At the end of the verb: what it sent without an answer is noted for the run's other processes."""
        for opened in self._opened.values():
            if opened.joined is not None:
                # What cannot be noted any more is covered by the lease's own fence.
                with suppress(FerryError):
                    opened.joined.leave()


@dataclass
class _Opened:
    store: RecordStore
    clock: AwsClock
    joined: Run | None = None
    guarded: list[Account] = field(default_factory=list)

    def run(self, destination: Account, *others: Account | None) -> Run:
        if self.joined is None:
            self.joined = _joined(destination, self.store, self.clock)
        for account in (destination, *others):
            if account is not None and account not in self.guarded:
                account.watch_clients(self.joined.gate.guard)
                self.guarded.append(account)
        return self.joined


@dataclass(frozen=True)
class Sharing:
    """Who counts the users of what a verb changes; ``counted`` is None where nobody does."""

    users: Users
    counted: Counted | None
    warning: str = ""

    def result(self, taken: bool) -> dict[str, Any]:
        """``left``, and a warning where something was taken (or would be) that may have had other users."""
        left = [entry.to_dict() for entry in self.counted.left] if self.counted else []
        return {"left": left, **({"warnings": [self.warning]} if taken and self.warning else {})}


@contextmanager
def sharing(params: Mapping[str, Any], destination: Account, *others: Account | None) -> Iterator[Sharing]:
    """The users of what a verb with ``USERS_OPTIONS`` changes: counted where tables are given, in the record table if
    there is one. Raises as ``RecordStore.open``."""
    name, tables = params["record_table"], RecordTables()
    if not params["tables"] or not name:
        yield Sharing(ALONE, None)
        return
    try:
        counted = tables.counted(destination, name, params["migration_id"], params["tables"], *others)
        if counted is None:
            words = f"There is no record table {name}: tables of other inventories that need this were not counted."
            yield Sharing(ALONE, None, words)
        else:
            yield Sharing(counted, counted)
    finally:
        tables.leave()


def open_to_read(account: Account, name: str) -> tuple[RecordStore | None, float]:
    """The store in the table ``name``, which is not made, and AWS's time. Raises RecordDenied with a policy that is
    enough for reading."""
    clock = AwsClock()
    try:
        return RecordStore.open(account, name, clock, create=False), clock.now()
    except RecordDenied as denied:
        raise record_table.narrowed(denied, name, account.table_arn(name), record_table.READING) from denied


def record_of(store: RecordStore | None, table: str) -> Record | None:
    """The record of the destination ``table`` in ``store``; None without one, or without a ``store``."""
    return None if store is None else store.read(table_key(table))


def read_record(destination: Account, name: str, table: str) -> Tracking | None:
    """The record of the destination ``table``, which can only be read; None without one, or without the permission."""
    with suppress(RecordDenied):
        store, _now = open_to_read(destination, name)
        record = record_of(store, table)
        return Tracking(None, table, record) if record is not None else None
    return None


def has_recorded(record: Tracking | None, kinds: Collection[str]) -> bool:
    """Whether jobs of these ``kinds`` are in the ``record``."""
    return record is not None and any(job.kind in kinds for job in record.record.jobs)


def refuse_held(destination: Account, name: str, table: str) -> None:
    """For verbs that are used alone and need no record: raises Held while another run works on ``table``.

    Without a record table, or permission to read it, there is nothing to look at.
    """
    try:
        store = RecordStore.open(destination, name, AwsClock(), create=False)
        record = record_of(store, table)
    except RecordDenied:
        return
    held = held_elsewhere(store, destination, record)
    if held is not None:
        raise held
