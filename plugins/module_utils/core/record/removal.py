# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Removing records and their table (``record_cleanup``): only what this run holds, listed otherwise.

What ``cleanup`` removes is forgotten for good: a later run knows such a table by its tags only and does not touch it.
Tables that are forgotten are no users of shared statements any more.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass

from ..change import Change, NotCarried
from ..errors import FerryError, RecordChanged
from .lease import iso
from .record import ITEMS, Record, table_key
from .run import HeldElsewhere, Run
from .status import held_words
from .store import Everything, RecordStore, in_use
from .uses import Uses, user_ids

GIVE_UP = "give it up with abandon: true"


@dataclass(frozen=True)
class Removal:
    """What was removed, or would be, what stays and why, and what the user should know."""

    changes: tuple[Change, ...] = ()
    left: tuple[NotCarried, ...] = ()
    warnings: tuple[str, ...] = ()


def keeps(record: Record, migration: str, sources: frozenset[str], now: float) -> str:
    """Why the record of a table stays, whoever holds it; empty where it may go.

    ``sources`` are the ARNs of the source tables that it may be of, empty for any.
    """
    if record.migration != migration:
        return f"it belongs to the migration {record.migration}"
    if sources and not sources & record.sources:
        return f"it is of the source {record.source.arn}"
    job = next((job for job in record.jobs if job.is_open and job.purpose != ITEMS), None)
    if job is not None:
        words = f"its {job.kind} is {job.state}{f' ({job.arn})' if job.arn else ''}"
        ways = "run cleanup" if record.is_done else "run migrate to the end of it first, or cleanup"
        return f"{words}: {ways} again when it has ended"
    if now < record.fence:
        return f"requests of the run that worked on it may arrive until {iso(record.fence)}: run cleanup again then"
    return ""


def keeps_record(
    record: Record, migration: str, sources: frozenset[str], now: float, abandoned: Collection[str] = ()
) -> str:
    """As ``keeps``; also because a run is to go on with the table, unless it is one of those ``abandoned``."""
    why = keeps(record, migration, sources, now)
    if why or record.name in abandoned or not record.is_under_way:
        return why
    made = sorted({job.kind for job in record.jobs if job.attempt == record.attempt and job.state == "done"})
    begun = (
        f"the table is not finished ({', '.join([record.state, *made])}), and AWS would bill what was begun once more"
    )
    return f"{begun}: run migrate to its end, or {GIVE_UP}"


def plan_removal(
    store: RecordStore,
    names: Sequence[str],
    migration: str,
    sources: frozenset[str],
    now: float,
    abandoned: Collection[str] = (),
) -> Removal:
    """What ``remove`` would do as things stand; takes nothing. Check mode asks it."""
    everything = store.everything()
    changes, left, warnings, gone = [], [], [], set()
    for record in _of(everything, names):
        lease = everything.leases.get(record.run)
        lives = record.run and lease is not None and lease.ended is None
        kept = keeps_record(record, migration, sources, now, abandoned)
        why = held_words(lease, record.run, now) if lives else kept
        if why:
            left.append(_left(record.name, why))
            continue
        changes.append(_change(store, record))
        warnings += _warnings(record)
        gone.add(record.key)
    records = tuple(record for record in everything.records if record.key not in gone)
    forgotten = _forgotten(names, migration, records)
    open_uses = [uses for uses in everything.uses if not uses.closing]
    changes += [_users_change(uses, forgotten) for uses in open_uses if uses.users & forgotten]
    unused = [uses for uses in open_uses if uses.users and uses.users <= forgotten]
    left += [_unused(uses) for uses in unused]
    stay = tuple(uses for uses in everything.uses if uses not in unused)
    after = Everything(records, everything.leases, stay, everything.unreadable)
    left += _unreadable(everything, names)
    if in_use(after, "", now):
        left += _runs_alone(store, after, "", now)
        return Removal(tuple(changes), tuple(left), tuple(warnings))
    return Removal((*changes, _table_change(store)), tuple(left), tuple(warnings))


def remove(
    run: Run, names: Sequence[str], migration: str, sources: frozenset[str], abandoned: Collection[str] = ()
) -> Removal:
    """Remove the records of the destination tables ``names``, and the record table when nothing is left in it.

    Each record is taken first; one that another run holds, or whose jobs or requests may still do something, stays and
    is listed, and so is one with which a run is to go on, unless it is ``abandoned``. ``run`` has ended afterwards.
    """
    store = run.store
    changes: list[Change] = []
    left: list[NotCarried] = []
    warnings: list[str] = []
    everything = store.everything()
    try:
        for record in _of(everything, names):
            why = _remove_one(run, record, migration, sources, abandoned)
            if why:
                left.append(_left(record.name, why))
            else:
                changes.append(_change(store, record))
                warnings += _warnings(record)
        _remove_exports(store, migration)
        users, unused = _remove_users(run, names, migration)
        changes, left = changes + users, left + unused
        left += _unreadable(everything, names)
        now = run.clock.now()
        after = store.everything()
        if not in_use(after, run.id, now) and store.remove_table(run.id, now):
            return Removal((*changes, _table_change(store)), tuple(left), tuple(warnings))
        left += _runs_alone(store, after, run.id, now)
        store.remove_ended_leases(store.everything(), now)
    except FerryError:
        with suppress(FerryError):
            run.end()
        raise
    run.end()
    return Removal(tuple(changes), tuple(left), tuple(warnings))


def _remove_one(run: Run, record: Record, migration: str, sources: frozenset[str], abandoned: Collection[str]) -> str:
    """Why the record stays; empty once it is removed."""
    now = run.clock.now()
    # Who holds it comes before what is not finished.
    why = (
        keeps(record, migration, sources, now)
        if record.run
        else keeps_record(record, migration, sources, now, abandoned)
    )
    if why:
        return why
    try:
        held = run.hold(record)
        if isinstance(held, HeldElsewhere):
            return held.words
        why = keeps_record(held.record, migration, sources, run.clock.now(), abandoned)
        if why:
            run.let_go(held.record)
            return why
        run.store.remove(held.record)
    except RecordChanged as changed:
        return changed.cause
    return ""


def _remove_exports(store: RecordStore, migration: str) -> None:
    """The records of exports go with the last destination table of their source."""
    everything = store.everything()
    used = {(record.migration, arn) for record in everything.records for arn in record.sources}
    for shared in everything.exports:
        if shared.migration == migration and (shared.migration, shared.source.arn) not in used:
            with suppress(RecordChanged):  # another destination has just begun to use it
                store.remove(shared)


def _remove_users(run: Run, names: Sequence[str], migration: str) -> tuple[list[Change], list[NotCarried]]:
    """Tables that have no record any more need no statement. What nobody needs then stands still, and is listed."""
    everything = run.store.everything()
    forgotten = _forgotten(names, migration, everything.records)
    changes, left = [], []
    for uses in everything.uses:
        if uses.closing or not uses.users & forgotten:
            continue
        changes.append(_users_change(uses, forgotten))
        after = run.store.remove_users(uses.arn, uses.users & forgotten, uses.names)
        if after is None or after.users or after.closing:
            continue
        closing = run.store.begin_closing(after, run.id)
        if closing is not None and closing.closing == run.id:
            run.store.end_closing(uses.arn, run.id)
            left.append(_unused(uses))
    return changes, left


def _forgotten(names: Sequence[str], migration: str, records: Sequence[Record]) -> frozenset[str]:
    """The users that tables without a record were."""
    known = {record.key for record in records}
    return user_ids(migration, (name for name in names if table_key(name) not in known))


def _users_change(uses: Uses, forgotten: frozenset[str]) -> Change:
    before, after = (f"needed by {len(users)} tables" for users in (uses.users, uses.users - forgotten))
    return Change(f"users of {uses.name}", before, after)


def _unused(uses: Uses) -> NotCarried:
    return NotCarried(uses.name, "no table needs it any more: a cleanup of the whole inventory removes it")


def _runs_alone(store: RecordStore, after: Everything, run: str, now: float) -> list[NotCarried]:
    """Why the record table stays where nothing but leases of runs is left in it, for the run that asks, ``run``."""
    if after.records or after.uses or after.unreadable:
        return []
    runs = in_use(after, run, now)
    if not runs:
        return []
    why = f"{' and '.join(runs)} may still use it: run cleanup again once it has ended, or its lease has run out"
    return [NotCarried(f"the record table {store.table.name}", why)]


def _of(everything: Everything, names: Sequence[str]) -> list[Record]:
    keys = set(map(table_key, names))
    return sorted((record for record in everything.records if record.key in keys), key=lambda record: record.key)


def _unreadable(everything: Everything, names: Sequence[str]) -> list[NotCarried]:
    keys = set(map(table_key, names))
    return [_left(each.key.partition("#")[2], each.why) for each in everything.unreadable if each.key in keys]


def _left(name: str, why: str) -> NotCarried:
    return NotCarried(f"the record of {name}", why)


def _change(store: RecordStore, record: Record) -> Change:
    before = {"migration": record.migration, "state": record.state, "method": record.method}
    return Change(f"dynamodb.table.{store.table.name}.{record.name}", before, None, "destructive")


def _table_change(store: RecordStore) -> Change:
    return Change(f"dynamodb.table.{store.table.name}", "record table, empty", None, "destructive")


def _warnings(record: Record) -> list[str]:
    if not record.is_under_way:
        return []
    return [
        f"{record.name}: its record says {record.state}, not done. Without it, later runs report the destination table"
        " as owned, state unknown, and do not touch it."
    ]
