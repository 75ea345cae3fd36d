# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Which transform brought the items of a table, as its record says: another one never goes on with it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from ..account import Account
from ..errors import FerryError, TransformChanged
from ..items.transform.hashing import salts_needed
from ..jobs.entries import job_of_entry
from ..record import transitions
from ..record.record import FILL, ITEMS, WRITE, Record
from ..table.definition import TableDefinition
from ..table.ownership import COPY_TAG
from ..table.transforming import TransformChoices, definition_for, fingerprint, salts_of

EVIDENCE = "transform"  # the member of a record's evidence
_WORD = "transform="


@dataclass(frozen=True)
class BeganWith:
    """The transform by which items were first written, by its ``fingerprint``, "" for none; ``at`` is the time by
    which items expire in it, in epoch seconds, 0 where it is not known."""

    fingerprint: str
    at: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """As evidence of a record."""
        return {"fingerprint": self.fingerprint, "at": self.at}


def items_token(table_id: str, mark: str) -> str:
    """The token of writing items into a table, one for each table and transform, whose fingerprint is ``mark``: a copy
    that goes on has the same."""
    return f"{ITEMS} {table_id}{f' {mark}' if mark else ''}"


def began_with(record: Record) -> BeganWith | None:
    """The transform by which items of the record's table were written; None where none were yet, or where only a
    comparison says that they are there."""
    known = record.evidence.get(EVIDENCE)
    if known:
        return BeganWith(str(known["fingerprint"]), float(known["at"]))
    made = record.last_job(FILL)
    staged = (job_of_entry(made).request.get("export") or {}).get("changed") or {} if made is not None else {}
    if staged:  # the import of what a job has changed
        return BeganWith(str(staged[EVIDENCE]["fingerprint"]), float(staged[EVIDENCE]["at"]))
    for entry in reversed(record.part_jobs):
        if entry.purpose == WRITE and entry.state == "closed":  # never begun
            continue
        written = job_of_entry(entry).request.get(EVIDENCE) if entry.purpose == WRITE else None
        if written and record.table_id and written["table_id"] == record.table_id:
            return BeganWith(str(written["fingerprint"]), float(written["at"]))
        words = entry.token.split(" ")
        if entry.purpose == ITEMS and record.table_id and words[:2] == [ITEMS, record.table_id]:
            return BeganWith("".join(words[2:]), float(entry.intended_at))
    unknown = record.state in ("claimed", "filling") or transitions.is_by_comparison(record) or _is_empty(record)
    return None if unknown else BeganWith("")


def _is_empty(record: Record) -> bool:
    """Whether nothing wrote into the broken table but possibly this machine: it was made by a call, since a job of
    AWS's, which has an ARN, brings items, and no job was to write into it."""
    made = record.last_job(FILL)
    return record.state == "broken" and made is not None and not made.arn and record.last_job(WRITE) is None


def fingerprint_of(choices: TransformChoices | None, table: TableDefinition) -> str:
    """The fingerprint of what was chosen, "" for no transform. Raises InvalidTransform for files that were changed."""
    return fingerprint(choices, definition_for(choices, table, None)) if choices is not None else ""


def transform_word(mark: str) -> str:
    """The fingerprint ``mark`` as a word of the tag that a complete copy carries; "" for none."""
    return f" {_WORD}{mark}" if mark else ""


def require_marked_transform(tags: Mapping[str, str], mark: str, name: str, source_table: str) -> None:
    """Raises TransformChanged where the ``tags`` of the table ``name``, of which no record can be read, name another
    transform than ``mark``, or where nothing says that it was this one."""
    copied = tags.get(COPY_TAG, "").split(" ")
    before = next((word.removeprefix(_WORD) for word in copied if word.startswith(_WORD)), "")
    if before != mark:
        raise _another(name, before, mark, source_table)


def holds_table(record: Record, destination: Account, name: str) -> bool:
    """Whether the record's table is there: its items, by whatever steps, go with it when somebody deletes it. Raises
    FerryError."""
    there = TableDefinition.find(destination, name) if record.table_id else None
    return there is not None and there.table_id == record.table_id


def require_same_transform(record: Record, mark: str, source_table: str) -> None:
    """Raises TransformChanged where items of the record's table were written by another transform than ``mark``."""
    began = began_with(record)
    if began is None or began.fingerprint == mark:
        return
    raise _another(record.name, began.fingerprint, mark, source_table)


def _another(name: str, before: str, now: str, source_table: str) -> TransformChanged:
    """The error for a copy of which it is not known that it has items: steps may have kept out all of them."""
    as_before = (
        "Set transform, its names and values, the salts and functions as they were" if before else "Leave transform out"
    )
    return TransformChanged(
        f"The copy {name} was filled, or begun, {_words(before, now)}.",
        f"{as_before}, and run again; or delete the copy {name}, whose deletion protection is on while it is filled,"
        " and run again.",
        table=source_table,
        details={"transform": before},
    )


def changed_since(record: Record, choices: TransformChoices | None, table: TableDefinition) -> str:
    """A warning that the transform of a finished table is another one by now; "" where it is not."""
    began = began_with(record)
    if began is None or (choices is None and not began.fingerprint):
        return ""
    if choices is not None and began.fingerprint:
        unset = sorted(set(salts_needed(choices.steps)) - set(salts_of(choices)))
        if unset:
            return (
                f"{record.name}: whether its transform has changed since it was migrated is not known, because"
                f" {', '.join(name.removeprefix('env:') for name in unset)} is not set."
            )
    try:
        mark = fingerprint_of(choices, table)
    except FerryError as error:
        return f"{record.name}: whether its transform has changed since it was migrated is not known: {error.cause}"
    if mark == began.fingerprint:
        return ""
    return (
        f"{record.name}: its transform has changed since it was migrated: it was filled"
        f" {_words(began.fingerprint, mark)}, and is left as it is. To have its items brought anew, delete the copy and"
        " run again."
    )


def _words(before: str, now: str) -> str:
    if not before:
        return "without a transform, and there is one now"
    return "by other transform steps, salts or functions" if now else "by a transform, and there is none now"


def time_of(record: Record | None, there: TableDefinition) -> float:
    """The time by which items expire in the copy ``there``, in epoch seconds: the record's, or that of its making."""
    began = began_with(record) if record is not None else None
    if began is not None and began.at:
        return began.at
    created = there.raw.get("CreationDateTime")
    return datetime.fromisoformat(str(created)).timestamp() if created else 0.0
