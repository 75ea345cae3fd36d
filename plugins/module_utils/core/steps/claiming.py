# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Taking a table for a run before anything is begun: what its record says, who holds it, what stands under its name.

Design section 6, "Takeover" and "States". Whatever needs time is waited for by the waiter, with a job of the kind
``claim``, so that one table that another run holds never stops the others.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TypeAlias

from .. import sdk
from ..account import Account
from ..aws_errors import IN_USE
from ..change import Change
from ..destination import has_mark, is_being_imported, unknown_state, was_filled_by_us
from ..errors import Claimed as TakenFirst
from ..errors import (
    DestinationExists,
    FerryError,
    MissingTable,
    NotYet,
    RecordChanged,
    Replaced,
    StateUnknown,
    TableBroken,
    TakenOver,
)
from ..jobs.entries import entry_of
from ..jobs.job import Job
from ..jobs.tracking import Tracking
from ..record import merging, rules, transitions
from ..record.lease import held_by
from ..record.parts import of_source
from ..record.record import DELETE, FILL, WRITE, JobEntry, Record, Source, table_key
from ..record.rules import Moment
from ..record.run import HeldElsewhere, Run
from ..record.store import RecordStore
from ..record.transitions import LOOKS_APART, Gone
from ..route import Route
from ..table.definition import TableDefinition
from ..table_status import Phase, phase_of, require_usable
from .lost_record import FindFill, Importing, find_filling, is_lost, no_fill

LOOK_GAP = 10.0  # seconds between looks at a table that another run holds
GONE_GAP = 5.0  # seconds between looks at a table that is being deleted
PART_GAP = 2.0  # seconds between looks at a table that this run merges of another source first
TRIES = 5  # reads of a record that others write at the same time


@dataclass(frozen=True)
class Choice:
    """What a run is about to do with a destination table. ``method`` is the method's name, ``resumes`` whether it goes
    on with half a table. ``replace_broken`` allows to delete a copy that is not whole (safe mode is off), ``take_over``
    is a run whose process is gone, as the user says. ``find_fill`` finds the job of an earlier run that makes the
    table now, for a record that was lost. ``heads`` are what the keys of its items begin with where other sources share
    the table (``merge``), None where none may."""

    source_table: str
    table: str
    migration: str
    method: str
    resumes: bool
    replace_broken: bool = False
    take_over: str = ""
    find_fill: FindFill = no_fill
    heads: Mapping[str, str] | None = None


@dataclass(frozen=True)
class Records:
    """The table of the records in a destination. ``run`` joins this process's run, when a table is to be taken;
    ``importing`` says whether an import into a name of the destination runs. It is the ``first`` look of
    this process, or that of a waiter."""

    store: RecordStore
    run: Callable[[], Run]
    importing: Importing = is_being_imported
    first: bool = True


@dataclass(frozen=True)
class Finished:
    """The record says ``done``, and the copy stands. ``definition`` is the source's, the copy's where there is no
    source any more. ``renewed``: the source was made anew since."""

    record: Record
    definition: TableDefinition
    renewed: bool = False


@dataclass(frozen=True)
class Later:
    """Not now: look again in ``seconds``. ``words`` say why; ``holder`` is the run that holds the table, if one does;
    ``missing_since`` is when our copy was first looked for and not found."""

    seconds: float
    words: str
    held: HeldElsewhere | None = None
    missing_since: float | None = None


Claim: TypeAlias = Tracking | Finished | Later


def look(
    store: RecordStore | None, source: Account, destination: Account, choice: Choice
) -> tuple[Record | None, TableDefinition | None, TableDefinition | None]:
    """The record, the destination's table and the source's; None for what is not there. Reads only.

    Raises Claimed for another migration's record, StateUnknown, DestinationExists, Replaced and TableUnusable for what
    no run may work on.
    """
    record = store.read(table_key(choice.table)) if store is not None else None
    there = TableDefinition.find(destination, choice.table)
    here = TableDefinition.find(source, choice.source_table)
    if record is None and store is not None and there is not None:
        record = store.read(table_key(choice.table))  # another run may have made both between the two calls
    if record is None or store is None:
        if choice.heads is not None:
            merging.require_heads(choice.heads, choice.source_table)
        if there is not None and choice.find_fill(destination, there) is None:
            raise not_known(destination, choice, there, _source_arn(source, choice))
        return None, there, here
    words, mine = "", (choice.migration, _source_arn(source, choice))
    if record.run and (record.migration, record.source.arn) != mine:
        lease = store.read_lease(record.run)
        words = held_by(lease, lease.renewed) if lease is not None else f"held by run {record.run}"
    if not record.is_untouched:
        merging.require_mergeable(record, *mine, choice.heads, words)
    elif choice.heads is not None:
        merging.require_heads(choice.heads, choice.source_table)
    seen = there.table_id if there is not None else ""
    if is_lost(record, store.home, there) and choice.find_fill(destination, there) is not None:
        return record, there, here
    rules.require_current(record, store.home, seen)
    if record.table_id and seen not in ("", record.table_id):
        raise rules.replaced(record, seen, record.table_id)
    if record.is_done and there is not None:
        require_usable(there.raw)
    return record, there, here


def finished(
    record: Record | None, there: TableDefinition | None, here: TableDefinition | None, source_arn: str
) -> Finished | None:
    """The finished table that a look showed, as far as the source is concerned; None where there is something to do."""
    record = of_source(record, source_arn) if record is not None else None
    if record is None or there is None or not record.is_done or record.table_id != there.table_id:
        return None
    return Finished(record, here or there, here is not None and here.table_id != record.source.table_id)


def claim(
    records: Records,
    source: Account,
    destination: Account,
    choice: Choice,
    missing_since: float | None = None,
) -> Claim:
    """The table taken for this run and ready for its method, what is finished, or what is to be waited for.

    ``missing_since``: when an earlier call of this process did not find our copy. Raises what ``look`` raises,
    MissingTable, and TableBroken for a copy that is not whole and that the method cannot go on with.
    """
    for _try in range(TRIES):
        record, there, here = look(records.store, source, destination, choice)
        source_arn = _source_arn(source, choice)
        done = finished(record, there, here, source_arn)
        if done is not None:
            return done
        if here is None:
            here = _source_table(source, choice, record)
        now_source = Source(here.arn, here.table_id)
        run = records.run()
        before = merging.waits_for(record, source_arn, run.id, first=records.first) if record is not None else ""
        if before:
            return Later(PART_GAP, f"{choice.table} is merged of several sources: the part of {before} comes first")
        try:
            if record is None:
                held = _first(run, records.importing, destination, choice, there, now_source)
            else:
                taken = run.hold(record, choice.take_over)
                if isinstance(taken, HeldElsewhere):
                    seconds = max(1.0, min(LOOK_GAP, taken.again - run.clock.now()))
                    return Later(seconds, taken.words, held=taken)
                held = taken.record
        except (RecordChanged, TakenFirst):
            continue  # somebody was faster: read what stands there now
        with suppress(RecordChanged):  # this run, for another source of the table
            return _taken(Tracking(run, choice.table, held), destination, choice, there, now_source, missing_since)
    raise busy(choice.source_table)


def _source_table(source: Account, choice: Choice, record: Record | None) -> TableDefinition:
    """The source table. Raises MissingTable, with what is to be done about a copy that has all items."""
    try:
        return TableDefinition.read(source, choice.source_table)
    except MissingTable as missing:
        words = rules.source_gone(record) if record is not None else None
        if words is None:
            raise
        raise MissingTable(*words, table=choice.source_table, details=missing.details) from missing


def busy(table: str) -> RecordChanged:
    """The error for a record that others write all the time."""
    return RecordChanged("Others write the record of this table at the same time.", "Run again.", table=table)


def _taken(
    record: Tracking,
    destination: Account,
    choice: Choice,
    there: TableDefinition | None,
    source: Source,
    missing_since: float | None,
) -> Tracking | Later:
    try:
        return _prepared(record, destination, choice, there, source, missing_since)
    except NotYet as early:
        return later(record, early)
    except RecordChanged:
        raise  # it is no more as it was taken: nothing to give back
    except FerryError as error:
        give_back(record, error)
        raise


def _first(
    run: Run,
    importing: Importing,
    destination: Account,
    choice: Choice,
    there: TableDefinition | None,
    source: Source,
) -> Record:
    moment = Moment(run.id, run.clock.now())
    others, fill = find_filling(destination, choice.table, there, choice.find_fill, importing)
    if fill is not None:
        source = Source(source.arn, fill.job.request.get("source", {}).get("table_id") or source.table_id)
    claimed = transitions.claim(
        table_key(choice.table),
        moment,
        home=run.store.home,
        migration=choice.migration,
        source=source,
        method=choice.method if fill is None else fill.method,
        table_exists=False,
        filled_by_others=others,
        adopted=None if fill is None else entry_of(fill.job, FILL, 1, moment.now),
    )
    if choice.heads is not None:
        claimed = merging.first_part(claimed, choice.heads)
    return run.claim(claimed)


def _prepared(
    record: Tracking,
    destination: Account,
    choice: Choice,
    there: TableDefinition | None,
    source: Source,
    missing_since: float | None,
) -> Tracking | Later:
    """``record``, which this run holds, where its method may go on. Raises NotYet where only time is missing."""
    seen = there.table_id if there is not None else ""
    if record.record.home != record.run.store.home:
        others, fill = find_filling(destination, choice.table, there, choice.find_fill)
        record.begin_anew(
            choice.method if fill is None else fill.method,
            table_exists=bool(seen) and fill is None,
            filled_by_others=others,
            fill=None if fill is None else fill.job,
        )
    state = record.record
    own = state.migration == choice.migration
    if not own or (source.arn not in state.sources and not (state.parts and choice.heads is not None)):
        record.claim_again(choice.migration, source, choice.method)
        state = record.record
    filling = _filling(state)
    if state.open_job(DELETE) is not None:
        if there is not None:
            return _deleted(record, destination, there)
        record.deleted()
        record.new_attempt(choice.method, source=source)
    elif state.table_id and not seen and filling is None:
        if missing_since is None or record.now() - missing_since < LOOKS_APART:
            first = record.now() if missing_since is None else missing_since
            words = f"The copy {choice.table} is gone: looked for again before its data is brought anew"
            return Later(max(1.0, first + LOOKS_APART - record.now()), words, missing_since=first)
        record.new_attempt(choice.method, gone=Gone(missing_since, record.now()), source=source)
    elif transitions.source_was_replaced(state, source):
        if state.table_id or filling is not None:
            raise Replaced(
                f"The source table was made anew since its copy {choice.table} was begun: its TableId was"
                f" {state.source.table_id}, now it is {source.table_id}.",
                f"Delete the copy {choice.table}, if nobody needs it, and run again: the new source is copied.",
                table=choice.source_table,
                details={"source_table_id": source.table_id},
            )
        record.new_attempt(choice.method, source=source)
    if choice.heads is not None:
        record.begin_part(source, choice.method, choice.heads)
    _choose_method(record, choice)
    if record.record.state == "broken" and not choice.resumes:
        if choice.replace_broken and there is not None:
            return _deleted(record, destination, there)
        raise _broken(record.record, choice)
    if there is not None and not record.record.table_id and record.record.open_job(FILL) is None:
        raise not_known(destination, choice, there, source.arn)
    return record


def _filling(record: Record) -> JobEntry | None:
    """The job that fills the table, or may be begun that does."""
    return record.open_job(FILL) or record.open_job(WRITE)


def _choose_method(record: Tracking, choice: Choice) -> None:
    """Another method before its table is made; what fills it already decides the outcome itself."""
    state = record.record
    if state.method == choice.method or state.state in ("filled", "settled"):
        return
    if _filling(state) is not None:
        return
    if state.state == "claimed":
        record.change_method(choice.method)
        return
    changed = _changed(state, choice)
    if state.state == "filling":
        record.broken_by_change(changed.cause, changed.next_step)
    if not choice.replace_broken:
        raise changed


def require_whole(record: Record, choice: Choice) -> None:
    """Raises TableBroken, as ``claim`` does, for a copy that stands, is not whole, and that nothing goes on with as it
    is. Reads nothing: for a plan."""
    if choice.replace_broken or _filling(record) is not None:
        return
    if record.method != choice.method and record.state in ("filling", "broken"):
        raise _changed(record, choice)
    if record.state == "broken" and not choice.resumes:
        raise _broken(record, choice)


def _broken(record: Record, choice: Choice) -> TableBroken:
    """The error for a copy that is not whole: why, and the ways out, as they were found when it failed."""
    return TableBroken(str(record.evidence.get("broken", "")), record.next, table=choice.source_table)


def _changed(record: Record, choice: Choice) -> TableBroken:
    """Why another method does not go on with half a table, and the ways out."""
    found = TableBroken(
        f"The method {record.method} has begun to fill the table, and the method is now {choice.method}.",
        f"Go on with {record.method} instead of {choice.method}; or delete the copy {choice.table} and run again.",
        table=choice.source_table,
    )
    if record.state == "filling":
        return found
    return TableBroken(str(record.evidence.get("broken", "")), found.next_step, table=choice.source_table)


def foreseen(
    record: Record, there: TableDefinition | None, choice: Choice, here: TableDefinition | None = None
) -> Record:
    """The ``record`` as ``claim`` would leave it, for check mode: as it is, or begun anew where our copy was deleted,
    or is deleted by the run (safe mode is off): then the deletion is among its jobs, see ``replacing``.

    ``here`` is the source's table: of a merge the part under way is taken for done. Raises TableBroken where the method
    may not go on."""
    if here is not None:
        record = merging.foreseen(record, Source(here.arn, here.table_id), choice.method, choice.heads)
    if _filling(record) is not None:
        return record
    anew = replace(
        record, state="claimed", attempt=record.highest_attempt + 1, method=choice.method, table_id="", evidence={}
    )
    if record.table_id and there is None:
        return anew
    changed = record.method != choice.method and record.state in ("filling", "broken")
    if changed and not choice.replace_broken:
        raise _changed(record, choice)
    is_broken = changed or record.state == "broken"
    if there is None or not choice.replace_broken or not is_broken or (choice.resumes and not changed):
        return record
    deletion = Job("deletion", there.name, request={"table_id": there.table_id})
    return anew.with_job(entry_of(deletion, DELETE, record.attempt, 0.0, f"delete {there.table_id}"))


def replacing(record: Tracking | None) -> tuple[Change, ...]:
    """The deletion that was ``foreseen``; nothing without one."""
    if record is None or record.record.open_job(DELETE) is None:
        return ()
    return (Change(f"table {record.name}", "a copy that is not whole", None, "destructive"),)


def _deleted(record: Tracking, destination: Account, there: TableDefinition) -> Later:
    """Our copy, which is not whole, is deleted: exactly this table, and only once nothing can reach it any more."""
    seconds = record.fence_left(dynamodb_only=True)
    if seconds > 0:
        return Later(min(seconds, LOOK_GAP), f"The copy {there.name} is deleted once no former request can reach it")
    if there.table_id == record.record.table_id and phase_of(there.status) is not Phase.GOING:
        record.intend_deletion()
        dynamodb = destination.client("dynamodb")
        try:
            if there.raw.get("DeletionProtectionEnabled"):
                dynamodb.update_table(TableName=there.name, DeletionProtectionEnabled=False)
            dynamodb.delete_table(TableName=there.name)
        except (sdk.ClientError, sdk.BotoCoreError) as error:
            if sdk.error_code(error) not in IN_USE:
                raise destination.explain(error, "deleting the copy", there.name) from error
            # Its tags are locked for a moment, or it is being updated (measured/import-export-table 1.10).
            return Later(GONE_GAP, f"The copy {there.name}, which is not whole, is deleted once AWS has changed it")
    return Later(GONE_GAP, f"The copy {there.name}, which is not whole, is being deleted")


def data_removed(record: Tracking, kinds: Collection[str]) -> None:
    """What jobs of these ``kinds`` made is gone: where nothing else was made, the next run begins a new attempt."""
    state = record.record
    made = [job.kind for job in state.jobs if job.attempt == state.attempt and job.state == "done"]
    is_open = any(job.is_open for job in state.jobs)
    if state.state == "claimed" and made and set(made) <= set(kinds) and not is_open:
        record.new_attempt(state.method)


def give_back(record: Tracking, error: FerryError) -> None:
    """Let the table go, with what the user should do; what is to be done about the part of another source stays. Raises
    TakenOver where this run saw another one's work."""
    words = rules.source_gone(record.record)
    gone = words is not None and isinstance(error, MissingTable) and error.details.get("side") == "source"
    next_step = "" if isinstance(error, TakenFirst) else error.next_step
    try:
        record.let_go(" ".join(words) if words is not None and gone else next_step)
    except FerryError as other:
        if isinstance(other, TakenOver):
            raise other.for_table(error.table) from error


def later(record: Tracking, early: NotYet) -> Later:
    """What a step waits for that only needs time."""
    until = float(early.details.get("until", 0))
    seconds = min(max(until - record.now(), 1.0), LOOK_GAP)
    return Later(seconds, early.cause.rstrip("."))


def not_known(
    destination: Account, choice: Choice, there: TableDefinition, source_arn: str
) -> StateUnknown | DestinationExists:
    """The error for a table under the name that no record says that we made."""
    marked = has_mark(destination, there, choice.migration, source_arn)
    if marked or was_filled_by_us(destination, there, _route(destination, choice, source_arn)):
        known_by = "carries the tags of this migration" if marked else "was made by a job of this migration"
        return unknown_state(there, choice.source_table, known_by)
    return DestinationExists(
        f"The table {there.name} exists in {destination.region} of account {destination.account_id} and was not made by"
        " this migration.",
        "Choose another destination_table, or delete the table yourself; TableFerry overwrites nothing.",
        table=choice.source_table,
        details={"table_arn": there.arn, "table_id": there.table_id},
    )


def _route(destination: Account, choice: Choice, source_arn: str) -> Route:
    region, account_id = source_arn.split(":", 5)[3:5]
    return Route(
        source_account_id=account_id,
        source_region=region,
        source_table=choice.source_table,
        destination_account_id=destination.account_id,
        destination_region=destination.region,
        destination_table=choice.table,
        migration_id=choice.migration,
    )


def _source_arn(source: Account, choice: Choice) -> str:
    return source.table_arn(choice.source_table)
