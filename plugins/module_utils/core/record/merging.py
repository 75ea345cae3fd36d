# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Several sources in one destination table (``merge``): which part may begin, and when.

One part is brought after the other: the record is that of the part under way, and each part keeps what is known of it
when it is done. Parts may share a table only where no item of one can have the key of an item of another: by the
constant text that the transform puts at the beginning of a key attribute (``heads``). Design section 6, ``parts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from ..errors import Claimed, KeysNotApart
from . import transitions
from .parts import is_done_for, is_unwritten, kept_apart
from .record import Part, Record, Source
from .rules import Moment, not_allowed, require_fence, require_held, require_quiet

EACH = "Set merge to true for each of the sources from the first run on, each with a transform of its own."


def shown(heads: Mapping[str, str]) -> str:
    """What keys begin with, in words."""
    return " and ".join(f"{name} begins with {head!r}" for name, head in sorted(heads.items()))


def require_heads(heads: Mapping[str, str], table: str) -> None:
    """Raises KeysNotApart where no key attribute of the items begins with a constant text."""
    if not heads:
        raise KeysNotApart(
            "The keys of a source that is merged with others must begin with a constant text, and its transform gives"
            " no key attribute one.",
            'Add a step such as set: {pk: "TENANT#acme#{pk}"}, with another text for each source, after which no other'
            " step writes that attribute.",
            table=table,
        )


def require_mergeable(
    record: Record, migration: str, source_arn: str, heads: Mapping[str, str] | None, held_words: str = ""
) -> None:
    """Raises Claimed where the name is not this migration's, or not one for this source too; KeysNotApart where keys of
    the source are not provably others than those of the parts that the ``record`` knows.

    ``heads`` are those of the source, None where it is not to be merged.
    """
    part = record.parts.get(source_arn)
    if record.migration != migration or heads is None or not record.parts:
        try:
            transitions.require_same(record, migration, source_arn, held_words)
        except Claimed as error:
            if record.migration != migration or not (record.parts or heads is not None):
                raise
            words = "is merged of several sources" if record.parts else "was not begun as one that is merged"
            cause, ways = f"{error.cause} It {words}.", f"{EACH} {error.next_step}"
            raise Claimed(cause, ways, table=error.table, details=error.details) from error
        return
    if part is not None and part.state == "filled":
        return
    require_heads(heads, record.name)
    for arn, other in record.parts.items():
        if arn != source_arn and not kept_apart(heads, other.heads):
            raise not_apart(record.name, (source_arn, heads), (arn, other.heads))


def not_apart(name: str, one: tuple[str, Mapping[str, str]], other: tuple[str, Mapping[str, str]]) -> KeysNotApart:
    """The error for the first of two sources of the table ``name``, each its ARN and heads, that are not kept apart."""
    (source_arn, heads), (arn, other_heads) = one, other
    return KeysNotApart(
        f"Keys of {source_arn.rpartition('/')[2]} are not provably others than those of {arn} in the same"
        f" table: {shown(heads)}, there {shown(other_heads) or 'nothing is known'}, and one is the beginning of"
        " the other, or they are of different attributes.",
        "Give the same key attribute of each source a constant text at its beginning, none of which begins"
        " with another one: end each with a sign that is in none of the names, as in TENANT#acme#.",
        table=name,
        details={"source": arn},
    )


def waits_for(record: Record, source_arn: str, run: str, *, first: bool = False) -> str:
    """The ARN of the source whose part this ``run`` brings now, before that of ``source_arn``; "" for none. At the
    ``first`` look the host of a part that is not done may be about to go on with it."""
    if not record.parts or record.source.arn == source_arn or record.is_done:
        return ""
    return record.source.arn if record.run == run or (first and _is_begun(record)) else ""


def _is_begun(record: Record) -> bool:
    """Whether the part under way cannot be put off."""
    return record.state != "claimed" or any(job.is_open for job in record.jobs)


def first_part(record: Record, heads: Mapping[str, str]) -> Record:
    """A claim under which nothing was begun, as that of the first source of several."""
    return replace(record, parts={record.source.arn: Part("claimed", record.attempt, heads=dict(heads))})


def begin_part(record: Record, moment: Moment, *, source: Source, method: str, heads: Mapping[str, str]) -> Record:
    """The record with the part of ``source`` under way: the first one, the next one after one that is done, or the one
    that was under way already.

    Raises Claimed while the part of another source is under way and not done, KeysNotApart, and NotYet while requests
    of a former holder may still arrive.
    """
    require_held(record, moment)
    require_mergeable(record, record.migration, source.arn, heads)
    if not record.parts:
        if not replace(record, run="").is_untouched:
            raise not_allowed(record, "it was not begun as one that is merged")
        return first_part(replace(record, source=source, method=method), heads)
    if is_done_for(record, source.arn) and source.arn in record.parts:
        raise not_allowed(record, f"the part of {source.arn} is done")
    if record.source.arn == source.arn:
        if not is_unwritten(record):
            return record
        part = Part(record.state, record.attempt, heads=dict(heads))
        return replace(record, method=method, parts={**record.parts, source.arn: part})
    if record.state != "done" and _is_begun(record):
        raise Claimed(
            f"The part of {record.source.arn} is not done yet ({record.state}), and a table is merged of one source"
            " after the other.",
            f"Bring that one to its end first.{f' {record.next}' if record.next else ''}",
            table=record.name,
            details={"source": record.source.arn, "state": record.state},
        )
    require_fence(record, moment)
    require_quiet(record, moment)
    return _begun(record, source, method, heads)


def _begun(record: Record, source: Source, method: str, heads: Mapping[str, str]) -> Record:
    number = record.highest_attempt + 1
    state = "filling" if record.table_id else "claimed"
    part = Part(state, number, heads=dict(heads))  # type: ignore[arg-type]
    return replace(
        record,
        state=state,  # type: ignore[arg-type]
        attempt=number,
        source=source,
        method=method,
        evidence={},
        verified={},
        data_as_of={},
        next="",
        parts={**record.parts, source.arn: part},
    )


def foreseen(record: Record, source: Source, method: str, heads: Mapping[str, str] | None) -> Record:
    """The record as ``begin_part`` would leave it when the part under way is done, for check mode."""
    if heads is None or not record.parts or record.source.arn == source.arn:
        return record
    return _begun(record, source, method, heads)
