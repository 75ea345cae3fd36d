# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The parts of a record whose table is merged of several sources (``merge``): what is known of each.

The record is that of the part under way; a part that is done keeps what was known of it then. Design section 6,
``parts``.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from .record import ITEMS, WRITE, Part, Record, Source


def kept_apart(one: Mapping[str, str], other: Mapping[str, str]) -> bool:
    """Whether items whose key attributes begin as ``one`` says never have the keys of those that ``other`` is of."""
    return any(
        name in other and not head.startswith(other[name]) and not other[name].startswith(head)
        for name, head in one.items()
    )


def of_source(record: Record, source_arn: str) -> Record:
    """The ``record`` as far as the source ``source_arn`` is concerned: done where its part is, and not begun where
    another one is under way."""
    part = record.parts.get(source_arn, Part("claimed", record.highest_attempt + 1))
    if not record.parts or (part.state != "filled" and record.source.arn == source_arn):
        return record
    return replace(
        record,
        state="done" if part.state == "filled" else "claimed",
        source=Source(source_arn, part.source_id),
        method=part.method,
        attempt=part.attempt,
        evidence=part.evidence,
        verified=part.verified,
        data_as_of=part.data_as_of,
        next="",
    )


def noted(record: Record, evidence: Mapping[str, Any], source_arn: str = "") -> Record:
    """The ``record`` with more ``evidence``: of a merge, of the part of ``source_arn`` where that is done."""
    part = record.parts.get(source_arn)
    if part is not None and part.state == "filled":
        part = replace(part, evidence={**part.evidence, **evidence})
        record = replace(record, parts={**record.parts, source_arn: part})
        if record.source.arn != source_arn:
            return record
    return replace(record, evidence={**record.evidence, **evidence})


def is_done_for(record: Record, source_arn: str) -> bool:
    """Whether all items of the source are there, compared, by the ``record``."""
    part = record.parts.get(source_arn)
    return record.is_done if part is None else part.state == "filled"


def is_to_come(record: Record, source_arn: str) -> bool:
    """Whether the table has items of other sources, and those of ``source_arn`` are yet to be brought: it is a new one,
    or the copy was deleted and made anew without it."""
    part = record.parts.get(source_arn)
    if part is None:
        return bool(record.parts)
    return bool(record.table_id) and record.source.arn != source_arn and part.state != "filled"


def lacking(record: Record) -> list[str]:
    """The sources, by ARN, other than the record's, whose items the table lacks: it was made anew without them, or
    nothing was begun for them."""
    return sorted(arn for arn, part in record.parts.items() if part.state != "filled" and arn != record.source.arn)


def is_later_part(record: Record) -> bool:
    """Whether the table had items of another source before the part under way."""
    return any(part.state == "filled" for arn, part in record.parts.items() if arn != record.source.arn)


def is_first_part(record: Record) -> bool:
    """Whether the table has the settings of the record's source: of a merge, of the one that was done first."""
    return record.attempt <= min((part.attempt for part in record.parts.values()), default=record.attempt)


def is_unwritten(record: Record) -> bool:
    """Whether no item of the part under way was written: nothing was to write any."""
    wrote = any(record.last_job(purpose) is not None for purpose in (ITEMS, WRITE))
    return record.state == "claimed" or (record.state == "filling" and is_later_part(record) and not wrote)


def part_done(record: Record) -> Record:
    """A ``record`` that has just become done, with the part under way kept among the others. The data of all is as of
    the span of all parts."""
    if not record.parts:
        return record
    part = Part(
        "filled",
        record.attempt,
        record.data_as_of,
        source_id=record.source.table_id,
        method=record.method,
        heads=record.heads,
        evidence=record.evidence,
        verified=record.verified,
    )
    parts = {**record.parts, record.source.arn: part}
    return replace(record, parts=parts, data_as_of=_span([each.data_as_of for each in parts.values()]))


def _span(times: list[Mapping[str, Any]]) -> dict[str, Any]:
    begun = [str(each["from"]) for each in times if each.get("from")]
    ended = [str(each["to"]) for each in times if each.get("to")]
    return {"from": min(begun), "to": max(ended)} if begun and ended else {}
