# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What shows that a direct copy has all items: its counts, in the record of the table and in the table's tag."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from ...errors import CountMismatch
from ...items.checkpoint import Counts as CopyCounts
from ...jobs.job import Job
from ...jobs.tracking import Tracking
from ...steps.transforms import EVIDENCE, items_token, transform_word
from ...table.ownership import COPY_TAG

_NUMBERS = ("items", "bytes", "counted")
# What a transformed copy counts besides: the source's items, and what became of those that were not written.
OF_TRANSFORM = ("items_read", "added", "kept_out", "refused", "lost")


def distinct_items(result: Mapping[str, Any]) -> int:
    """How many items the copy has by its ``result``: those that were written, without those that another one with the
    same key was written over."""
    return int(result["items"]) - int(result.get("lost", 0))


def mark_of(source_id: str, result: Mapping[str, Any]) -> str:
    """The tag's value: a tag takes no more than letters, digits, spaces and + - = . _ : / @."""
    numbers = {name: result[name] for name in _NUMBERS if result.get(name) is not None}
    words = " ".join(f"{name}={value}" for name, value in numbers.items())
    mark = transform_word(result.get(EVIDENCE, {}).get("fingerprint", ""))
    return f"{source_id} {words} from={result['data_from']} at={result['end_time']}{mark}"


def copied_by(tags: Mapping[str, str], source_id: str) -> dict[str, Any] | None:
    """What ``mark_of`` says of a copy of just this source table, None where there is no such mark."""
    copied_id, *parts = tags.get(COPY_TAG, "").split(" ")
    values = dict(part.partition("=")[::2] for part in parts)
    numbers = {name: int(values[name]) for name in _NUMBERS if values.get(name, "").isdigit()}
    times = {"end_time": values.get("at", ""), "data_from": values.get("from", "")}
    return {**numbers, **times} if copied_id == source_id and "items" in numbers else None


def filled_by(record: Tracking) -> dict[str, Any] | None:
    """What the ``record`` says of a copy that has all items, None before that."""
    if record.record.state not in ("filled", "settled"):
        return None
    evidence = record.record.evidence
    written = "items_written" if "items_written" in evidence else "items_source"
    names = {"items": written, "counted": "items_destination"}
    names |= {name: name for name in ("bytes", "end_time", "shortened", *OF_TRANSFORM)}
    return {name: evidence[known] for name, known in names.items() if evidence.get(known) is not None}


def counts_of(counts: CopyCounts, *, transformed: bool) -> dict[str, Any]:
    """What a copy counted, as members of a job's result: ``items`` were written. Of a transformed one also what became
    of the others, by the numbers of the steps."""
    found: dict[str, Any] = {"items": counts.items, "bytes": counts.bytes}
    if counts.shortened:
        found["shortened"] = counts.shortened
    if not transformed:
        return found
    return {
        **found,
        "items_read": counts.read,
        "added": counts.added,
        "kept_out": {str(step): count for step, count in sorted(counts.kept_out.items())},
        "refused": {str(step): count for step, count in sorted(counts.refused.items())},
    }


def require_counted(job: Job) -> None:
    """Raises CountMismatch where the copy has fewer items than were written with keys of their own."""
    copied, counted = distinct_items(job.result), job.result.get("counted")
    if counted is not None and counted < copied:
        raise CountMismatch(
            f"{copied} items were copied, a scan of the destination counts {counted}.",
            "Keep the source. Compare the tables with the playbook verify before you copy again.",
            table=job.name,
            details={"items_source": copied, "items_destination": counted},
        )


def record_filled(record: Tracking, job: Job, seen_table_id: str, *, writes_stopped: bool) -> None:
    """All items are there. They are as of a span from the first read of this table's first copy on, and as of one
    instant only if nobody wrote to the source meanwhile. The settings take deletion protection off."""
    result = job.result
    token = items_token(result["table_id"], result.get("transform", {}).get("fingerprint", ""))
    entry = record.record.job(token)
    first = datetime.fromtimestamp(entry.intended_at, UTC).isoformat(timespec="seconds") if entry else ""
    last = datetime.fromtimestamp(record.now(), UTC).isoformat(timespec="seconds")
    record.filled(
        job,
        seen_table_id=seen_table_id,
        evidence={
            "items_source": result.get("items_read", result["items"]),
            "items_destination": result.get("counted"),
            "bytes": result["bytes"],
            "end_time": result["end_time"],
            "protected": True,
            **({"shortened": result["shortened"]} if result.get("shortened") else {}),
            **({"items_written": result["items"]} if "transform" in result else {}),
            **{name: result[name] for name in (*OF_TRANSFORM, EVIDENCE) if name in result},
        },
        data_as_of={"from": first, "to": first if writes_stopped else last},
        token=token,
    )
