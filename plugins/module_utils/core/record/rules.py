# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What the steps from state to state rest on: each function refuses what is not allowed, or not yet."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import Held, NotYet, Replaced, StateUnknown, StepNotAllowed
from . import fence as fences
from .fence import Fence
from .lease import iso
from .record import FILL, WRITE, JobEntry, Record, State


@dataclass(frozen=True)
class Moment:
    """When a step is taken, by which run, and what of that run is still under way for the table.

    ``unanswered``: date of the newest request that changes something and has no answer; its connection is closed.
    ``expired_since``: when DynamoDB refused as expired a GetItem signed with the date of the former holder's
    ``until``; it shortens the fence for steps that rest on DynamoDB's own calls alone. ``signed_until`` is that date.
    """

    run: str
    now: float
    unanswered: float | None = None
    signed_until: int | None = None
    expired_since: float | None = None


def require_current(record: Record, home: str, seen_table_id: str) -> None:
    """Raises StateUnknown for a record that was restored, while a table stands under the name: all it proves is a
    ``done`` with the same TableId, and only for reporting."""
    if record.home == home or not seen_table_id or (record.is_done and record.table_id == seen_table_id):
        return
    raise StateUnknown(
        "The record is from another table of the records, restored from a backup: how far the destination table is"
        " nobody knows.",
        "Compare it in full and take it over with adopt: true, or delete it (its deletion protection is on) and"
        " run again.",
        table=record.name,
    )


def require_fence(record: Record, moment: Moment, *, dynamodb_only: bool = False) -> None:
    """Raises NotYet while a request of a former holder may still take effect.

    ``dynamodb_only``: the step rests on DynamoDB's own calls, which ``moment.expired_since`` may have shown to be over.
    """
    fence = Fence(record.fence, moment.signed_until)
    expired = moment.expired_since if dynamodb_only else None
    if not fence.passed(moment.now, expired):
        raise not_yet(record, "requests of a former run may still arrive", fence.passes(expired))


def require_quiet(record: Record, moment: Moment) -> None:
    """Raises NotYet while a request of this run that has no answer may still take effect."""
    if moment.unanswered is not None and moment.now < moment.unanswered + fences.LET_GO:
        raise not_yet(record, "a request of this run has no answer", moment.unanswered + fences.LET_GO)


def require_step(record: Record, moment: Moment, before: State, doing: str, seen_table_id: str) -> None:
    """Raises unless the record is in the state ``before``, this run holds it, our table is there, nothing under way."""
    require_held(record, moment)
    require_state(record, before, doing=doing)
    require_seen(record, seen_table_id)
    require_fence(record, moment)
    require_quiet(record, moment)


def require_held(record: Record, moment: Moment) -> None:
    """Raises Held unless the run of ``moment`` holds the record."""
    if record.run != moment.run:
        whose = f"run {record.run} holds it" if record.run else "nobody holds it, and it was not claimed"
        raise Held(
            f"Nothing was changed: {whose}.",
            "Run again once that run has ended; status shows which run holds which table.",
            table=record.name,
            details={"run": record.run},
        )


def require_state(record: Record, *states: State, doing: str) -> None:
    """Raises StepNotAllowed unless the record is in one of ``states``; ``doing`` is what was to be done."""
    if record.state not in states:
        raise not_allowed(record, f"only a table that is {' or '.join(states)} can {doing}")


def require_no_writer(record: Record) -> None:
    """Raises StepNotAllowed while a job may still write into the table."""
    for purpose in (FILL, WRITE):
        job = record.open_job(purpose)
        if job is not None:
            raise not_allowed(record, f"its {job.kind} is {job.state} and may still write: it is waited for")


def require_table(record: Record) -> None:
    """Raises StepNotAllowed where no table of ours is known."""
    if not record.table_id:
        raise not_allowed(record, "there is no table of ours")


def require_seen(record: Record, seen_table_id: str) -> None:
    """Raises StepNotAllowed, Replaced unless the table seen is the record's."""
    require_table(record)
    if not seen_table_id:
        raise not_allowed(record, f"its table {record.table_id} is not there")
    if seen_table_id != record.table_id:
        raise replaced(record, seen_table_id, record.table_id)


def require_compared(record: Record, full: bool, equal: bool) -> None:
    """Raises StepNotAllowed unless both tables were compared in full and are equal."""
    if not full or not equal:
        raise not_allowed(record, "only a full comparison that finds both tables equal makes it whole")


def job_of(record: Record, token: str, *states: str) -> JobEntry:
    """The job of ``token``. Raises StepNotAllowed where there is none, or not in one of ``states``."""
    job = record.job(token)
    if job is None:
        raise not_allowed(record, f"it has no job with the token {token}")
    if job.state not in states:
        raise not_allowed(record, f"its {job.kind} is {job.state}")
    return job


def not_allowed(record: Record, why: str) -> StepNotAllowed:
    """The error for a step that the record does not allow: ``why``."""
    return StepNotAllowed(
        f"The record says {record.state} (attempt {record.attempt}), and {why}.",
        "Nothing was changed. Run again: the table goes on from where its record says it is.",
        table=record.name,
        details={"state": record.state, "attempt": record.attempt},
    )


def not_yet(record: Record, why: str, until: float) -> NotYet:
    """The error for a step for which only time is missing, ``until`` when (epoch seconds)."""
    return NotYet(
        f"Not before {iso(until)}: {why}.",
        "Run again after that; nothing was changed.",
        table=record.name,
        details={"state": record.state, "until": until},
    )


# Both ways out of a copy that was replaced; the playbooks status, migrate and verify all say them.
REPLACED_NEXT = (
    "It is not touched. To have the copy under this name, delete that table, if nobody needs it, and run migrate: the"
    " data is brought anew. To keep that table, run cleanup with remove_record, which forgets the copy, then choose"
    " another destination_table and run migrate."
)


# The table goes first: cleanup leaves it, and without its record it is a table that another migration refuses.
_FREED = "then run cleanup of its migration with remove_record: both together free the name"


def ways_out(record: Record) -> str:
    """What to do about a name whose ``record`` is another's, for ``status`` and ``migrate``.

    The record is the only evidence of what was brought there, so it goes last, once nobody needs what it is about.
    """
    if record.is_done:
        given_up = f"Only if nobody needs the finished copy that is there: delete it, {_FREED}."
    elif record.table_id:
        given_up = (
            "Or run that migration to its end. Only if nobody needs it: delete its copy,"
            f" {_FREED}. Its record goes with abandon: true."
        )
    else:
        given_up = (
            "Or run that migration to its end. Only if nobody needs it: run its cleanup with remove_record and abandon:"
            " true, which frees the name."
        )
    return f"Choose another destination name. {given_up}"


def replaced_cause(name: str, seen: str, known: str) -> str:
    """What a record and its table say of a copy whose name another table, ``seen``, has taken."""
    return (
        f"The table {name} was made anew: its TableId is {seen}, and the copy that this migration made had {known}. So"
        " somebody deleted the copy, and this is a table of somebody's own."
    )


def deleted(record: Record) -> tuple[str, str]:
    """What is to be said of a copy that the ``record`` knows and that is not there, and what to do about it."""
    if record.is_done:
        return (
            "It was migrated, but the copy has been deleted since.",
            "Run migrate to have it made again; if nobody needs it, run cleanup with remove_record.",
        )
    return "Its copy has been deleted since.", "Run migrate: the data is brought anew."


def source_gone(record: Record) -> tuple[str, str] | None:
    """What is to be said of a ``record`` whose source table is not there any more, and what to do about it; None where
    the copy lacks items, or nothing of the source is needed any more."""
    if record.state not in ("filled", "settled"):
        return None
    lacks = "only its settings, which were not all set, can be read no more" if record.state == "filled" else ""
    lacks = lacks or "only their comparison was still to come"
    keeps = " It has deletion protection on until you take it off." if record.evidence.get("protected") else ""
    settings = "set the settings that you need on it yourself, then " if record.state == "filled" else ""
    return (
        f"The source table {record.source.arn} is not there any more. The copy has all its items; {lacks}.",
        f"To keep the copy, {settings}run cleanup with remove_record and abandon: true, which forgets it and leaves the"
        f" table.{keeps}",
    )


def source_renewed(record: Record) -> tuple[str, str]:
    """What is to be said of a copy whose source table was made anew, and what to do about it."""
    return (
        "The source table was made anew since.",
        f"The copy {record.name} is of the former one. To have the new one copied, delete the copy, if nobody needs it,"
        " and run migrate.",
    )


def replaced(record: Record, seen: str, known: str) -> Replaced:
    """The error for another table, ``seen``, under the name of the one that is ``known``."""
    return Replaced(
        replaced_cause(record.name, seen, known),
        REPLACED_NEXT,
        table=record.name,
        details={"table_id": seen, "filled_table_id": known},
    )
