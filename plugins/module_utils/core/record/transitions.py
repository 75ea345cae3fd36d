# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""How a record may go on: pure functions ``record -> record``, each refusing what the table of states does not allow.

A function takes what was seen (a TableId, a list, an end) and when; it raises StepNotAllowed where the record is not
there yet, NotYet where only time is missing (``details["until"]``), Replaced where another table stands under the name,
Claimed for another migration. The store writes the result only over the version it was made from, and only for the run
that holds it. Design section 6, "States"; every rule in bold there is held by a test that names it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from ..errors import Claimed, DestinationExists
from . import fence as fences
from . import parts as merged
from .fence import Fence
from .record import DELETE, FILL, ITEMS, JobEntry, Part, Record, Source
from .rules import (
    Moment,
    job_of,
    not_allowed,
    not_yet,
    replaced,
    require_compared,
    require_fence,
    require_held,
    require_no_writer,
    require_quiet,
    require_seen,
    require_state,
    require_step,
    ways_out,
)

BY_COMPARISON = "comparison"  # as ``filled_by`` in the evidence: nothing else says that the items are there
LOOKS_APART = 30  # seconds between the two looks that show that a table is gone


# Claiming and holding


def claim(
    key: str,
    moment: Moment,
    *,
    home: str,
    migration: str,
    source: Source,
    method: str,
    table_exists: bool,
    filled_by_others: bool,
    attempts_listed: Iterable[int] = (),
    adopted: JobEntry | None = None,
) -> Record:
    """The first record of a destination name.

    ``table_exists``: a table of that name is there. ``filled_by_others``: an import or restore into the name runs that
    is not ours. ``attempts_listed``: the numbers of our tokens in AWS's lists. ``adopted``: a job of ours that runs
    already, from a record that was lost.
    """
    name = key.partition("#")[2]
    if filled_by_others:
        raise DestinationExists(
            "An import or restore that is not ours runs into this name: whichever ends first makes the table.",
            "Wait for its end, or choose another destination name, then run again.",
            table=name,
        )
    fills = adopted is not None and adopted.purpose == FILL
    if table_exists and not fills:
        raise DestinationExists(
            "The destination has a table of this name, and no record says that we made it.",
            "Choose another destination name, or remove the table if nobody needs it.",
            table=name,
        )
    attempt = adopted.attempt if adopted else max([0, *attempts_listed]) + 1
    record = Record(key, home, migration, source, method, run=moment.run, attempt=attempt)
    return record.with_job(adopted) if adopted else record


def require_same(record: Record, migration: str, source_arn: str, held_words: str = "") -> None:
    """Raises Claimed when the destination name belongs to another migration, or is filled from another table.

    ``held_words`` say who holds it, if anybody does. A merge has several sources: its record has ``parts``.
    """
    if record.migration == migration and source_arn in record.sources:
        return
    whose = f"migration {record.migration}" if record.migration != migration else "this migration"
    since = f", {held_words}" if held_words else ""
    raise Claimed(
        f"The destination name is claimed by {whose} for the source {record.source.arn} ({record.state}{since}).",
        ways_out(record),
        table=record.name,
        details={"migration": record.migration, "source": record.source.arn, "state": record.state},
    )


def source_was_replaced(record: Record, source: Source) -> bool:
    """Whether the source table was made anew since: a done record is reported with that word, one before ``done``
    needs a new attempt."""
    return record.source.arn == source.arn and record.source.table_id != source.table_id


def take(record: Record, moment: Moment, fence: Fence) -> Record:
    """The record held by ``moment.run``, ``fence`` being that of the run which held it (whose lease has ended).

    The record's fence never becomes sooner. Why an unfinished table was refused before is no word for this run any
    more; the ways out of a broken one stay.
    """
    next = "" if record.state in ("claimed", "filling", "filled", "settled") else record.next
    signed = fences.both(fence, record.fenced, moment.now).signed_until or 0
    return replace(record, run=moment.run, fence=max(record.fence, fence.at), signed_until=signed, next=next)


def claim_again(record: Record, moment: Moment, *, migration: str, source: Source, method: str) -> Record:
    """A claim under which nothing was begun, now that of another migration or source; its fence stays."""
    require_held(record, moment)
    if not replace(record, run="").is_untouched:
        raise not_allowed(record, "only a claim under which nothing was begun passes to another migration")
    return replace(record, migration=migration, source=source, method=method, parts={})


def let_go(record: Record, moment: Moment, next: str = "") -> Record:
    """The record held by nobody; ``next`` says what the user should do, where there is something to do.

    A fence that has not passed yet stays: the holder before us may have requests under way as well.
    """
    require_held(record, moment)
    own = fences.let_go(moment.unanswered)
    kept = Fence() if record.fenced.passed(moment.now) else record.fenced
    signed = fences.both(own, kept, moment.now).signed_until
    return replace(record, run="", fence=max(own.at, kept.at), signed_until=signed or 0, next=next or record.next)


def say(record: Record, moment: Moment, next: str) -> Record:
    """The record with what the user should do next."""
    require_held(record, moment)
    return replace(record, next=next)


# From state to state


def filling(record: Record, moment: Moment, token: str, table_id: str) -> Record:
    """``claimed`` -> ``filling``: the job or call ``token`` makes the table ``table_id``, as its own answer says."""
    require_held(record, moment)
    require_state(record, "claimed", doing="become filling")
    job = job_of(record, token, "intended", "begun")
    if job.purpose != FILL or job.attempt != record.attempt:
        raise not_allowed(record, f"the {job.kind} of attempt {job.attempt} does not fill attempt {record.attempt}")
    if not table_id:
        raise not_allowed(record, f"the answer of {job.kind} names no table yet")
    if job.table_id not in ("", table_id):
        raise replaced(record, table_id, job.table_id)
    # A call that is no job of AWS's, such as CreateTable, is over with its answer.
    entry = (
        replace(job, table_id=table_id, state="begun")
        if job.arn
        else replace(job, table_id=table_id, state="done", request="")
    )
    return replace(record.with_job(entry), state="filling", table_id=table_id)


def fill_again(record: Record, moment: Moment, method: str, *, seen_table_id: str, resumable: bool) -> Record:
    """``broken`` -> ``filling``: its own method goes on with half a table. ``resumable``: that method can (direct,
    Spark)."""
    require_held(record, moment)
    require_state(record, "broken", doing="be filled again")
    if method != record.method or not resumable:
        raise not_allowed(record, f"only the method that began it, {record.method}, may go on, and only if it can")
    require_seen(record, seen_table_id)
    require_fence(record, moment, dynamodb_only=True)
    require_quiet(record, moment)
    return replace(record, state="filling", evidence={}, verified={}, next="")


def filled(
    record: Record,
    moment: Moment,
    *,
    seen_table_id: str,
    whole: bool,
    evidence: Mapping[str, Any],
    data_as_of: Mapping[str, Any],
) -> Record:
    """``filling`` -> ``filled``: ``whole`` is the method's judgement over ``evidence`` (what filled it, how many
    items), and DescribeTable shows our table: that a job completed says nothing about what stands there now."""
    require_held(record, moment)
    require_state(record, "filling", doing="become filled")
    require_no_writer(record)
    if not whole:
        raise not_allowed(record, "what filled it did not bring all items")
    require_seen(record, seen_table_id)
    return replace(record, state="filled", evidence=dict(evidence), data_as_of=dict(data_as_of), next="")


def filled_by_comparison(
    record: Record,
    moment: Moment,
    *,
    seen_table_id: str,
    comparison: Mapping[str, Any],
    full: bool,
    equal: bool,
    data_as_of: Mapping[str, Any] | None = None,
) -> Record:
    """``broken`` -> ``filled``: compared in full and equal, after a repair too. ``data_as_of`` is when it was read."""
    require_held(record, moment)
    require_state(record, "broken", doing="become filled by a comparison")
    require_no_writer(record)
    require_compared(record, full, equal)
    require_seen(record, seen_table_id)
    require_fence(record, moment)
    require_quiet(record, moment)
    return replace(
        record,
        state="filled",
        evidence={"comparison": dict(comparison), "filled_by": BY_COMPARISON},
        verified={},
        data_as_of=dict(data_as_of or {}),
        next="",
    )


def is_by_comparison(record: Record) -> bool:
    """Whether all that says that the items are there is a full comparison which found both tables equal."""
    return record.evidence.get("filled_by") == BY_COMPARISON


def proves_nothing(record: Record, home: str) -> bool:
    """Whether a table under the name is unknown in spite of the ``record``: it was restored with an older backup of the
    table of the records, or it knows of no table and of no job that makes one."""
    if record.home != home:
        return True
    return record.state == "claimed" and not record.table_id and record.open_job(FILL) is None


def adopt(
    key: str,
    moment: Moment,
    *,
    home: str,
    migration: str,
    source: Source,
    method: str,
    table_id: str,
    comparison: Mapping[str, Any],
    full: bool,
    equal: bool,
    data_as_of: Mapping[str, Any],
    attempts_listed: Iterable[int] = (),
) -> Record:
    """A record ``filled`` for a table with our tags that has none (``adopt: true``): compared in full, equal."""
    attempt = max([0, *attempts_listed]) + 1
    record = Record(key, home, migration, source, method, run=moment.run, attempt=attempt, table_id=table_id)
    require_compared(record, full, equal)
    evidence = {"comparison": dict(comparison), "filled_by": BY_COMPARISON, "adopted": True}
    return replace(record, state="filled", evidence=evidence, data_as_of=dict(data_as_of))


def settled(record: Record, moment: Moment, *, seen_table_id: str, read_back: bool) -> Record:
    """``filled`` -> ``settled``: the settings were applied and read back."""
    require_step(record, moment, "filled", "become settled", seen_table_id)
    if not read_back:
        raise not_allowed(record, "its settings were not read back as they were set")
    return replace(record, state="settled")


def done(
    record: Record, moment: Moment, *, seen_table_id: str, verified: Mapping[str, Any], acceptable: bool
) -> Record:
    """``settled`` -> ``done``: compared as asked, and ``acceptable``: equal, or with a difference that ``verify``
    allows. Nobody's request can reach the table any more, our own without an answer neither."""
    require_step(record, moment, "settled", "become done", seen_table_id)
    if not acceptable:
        raise not_allowed(record, "it was compared and differs from the source by more than verify allows")
    return merged.part_done(replace(record, state="done", verified=dict(verified), next=""))


def following(record: Record, moment: Moment, *, seen_table_id: str) -> Record:
    """``done`` -> ``following``: the source's later changes are carried over."""
    require_step(record, moment, "done", "begin to follow its source", seen_table_id)
    return replace(record, state="following")


def handed_over(record: Record, moment: Moment, *, seen_table_id: str, data_as_of: Mapping[str, Any]) -> Record:
    """``done`` or ``following`` -> ``handed_over``: the applications use the copy."""
    state = record.state if record.state in ("done", "following") else "done"
    require_step(record, moment, state, "be handed over", seen_table_id)
    return replace(record, state="handed_over", data_as_of=dict(data_as_of) or record.data_as_of)


def broken(record: Record, moment: Moment, *, seen_table_id: str, why: str, next: str) -> Record:
    """``filling`` -> ``broken``: the fill ended and is not whole, or the method was changed over half a table.

    ``next`` says the ways out. A job that still runs is waited for and judged by its own method first.
    """
    require_held(record, moment)
    require_state(record, "filling", doing="become broken")
    require_no_writer(record)
    if not next:
        raise not_allowed(record, "a table that is not whole needs a word on what to do")
    require_seen(record, seen_table_id)
    return replace(record, state="broken", evidence={"broken": why}, next=next)


@dataclass(frozen=True)
class Gone:
    """Two looks, ``first`` and ``second`` (when), that did not find the record's TableId in the destination."""

    first: float
    second: float


def new_attempt(
    record: Record,
    moment: Moment,
    *,
    method: str,
    gone: Gone | None = None,
    attempts_listed: Iterable[int] = (),
    source: Source | None = None,
) -> Record:
    """Any state -> ``claimed`` with a new number, after our table is gone or when a fill failed before it made one.

    ``gone`` shows that it is; needed unless there never was a table, or we deleted it. ``source``: as it is now. The
    number is above those of the record, of its jobs and of all tokens of ours in AWS's lists; so the data is brought by
    a new export or backup.
    """
    require_held(record, moment)
    require_no_writer(record)
    deletion = record.last_job(DELETE)
    deleted = deletion is not None and deletion.state == "done"
    only_part = gone is None and not deleted and merged.is_later_part(record) and merged.is_unwritten(record)
    if record.table_id and not deleted and not only_part:
        if gone is None:
            raise not_allowed(record, f"its table {record.table_id} was not looked for")
        if gone.second - gone.first < LOOKS_APART:
            raise not_yet(record, "its table was looked for once", gone.first + LOOKS_APART)
    require_fence(record, moment)
    require_quiet(record, moment)
    number = max([record.highest_attempt, *attempts_listed]) + 1
    if only_part:  # the table stays, with the items of the other parts
        return replace(record, attempt=number, method=method, source=source or record.source, next="")
    lost = record.replaces
    if record.table_id and not deleted:
        lost = {"table_id": record.table_id, "data_as_of": dict(record.data_as_of)}
    jobs = tuple(
        replace(job, state="closed", request="") if job.purpose in (DELETE, ITEMS) and job.is_open else job
        for job in record.jobs
    )
    return replace(
        record,
        state="claimed",
        attempt=number,
        method=method,
        source=source or record.source,
        table_id="",
        jobs=jobs,
        evidence={},
        verified={},
        data_as_of={},
        parts={arn: Part("claimed", number, heads=part.heads) for arn, part in record.parts.items()},
        replaces=lost,
        next="",
    )


def begin_anew_from_restored(
    record: Record,
    moment: Moment,
    *,
    home: str,
    table_exists: bool,
    filled_by_others: bool,
    method: str,
    attempts_listed: Iterable[int],
    adopted: JobEntry | None = None,
) -> Record:
    """A record that came back with an older backup of the table of the records, begun anew: what it says is old.

    Only where no table stands under the name; ``adopted`` is a job of ours that runs. See ``require_current``.
    """
    if record.home == home:
        raise not_allowed(record, "it was not restored")
    if record.run != moment.run:
        raise not_allowed(record, "another run holds it")
    require_fence(record, moment)
    new = claim(
        record.key,
        moment,
        home=home,
        migration=record.migration,
        source=record.source,
        method=method,
        table_exists=table_exists,
        filled_by_others=filled_by_others,
        attempts_listed=(record.highest_attempt, *attempts_listed),
        adopted=adopted,
    )
    return replace(new, fence=record.fence, ver=record.ver)


def above(record: Record, moment: Moment, attempts_listed: Iterable[int]) -> Record:
    """A claimed record that knows no job, its attempt above those of the tokens that AWS's lists show."""
    require_held(record, moment)
    require_state(record, "claimed", doing="get a number above those of AWS's lists")
    if record.jobs:
        raise not_allowed(record, "it has begun jobs under its number")
    return replace(record, attempt=max([record.attempt, *(each + 1 for each in attempts_listed)]))
