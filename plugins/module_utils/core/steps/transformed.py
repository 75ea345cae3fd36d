# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""What became of a table's items under a transform, in the same words for every method. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..jobs.job import Job

BY_TABLE = "0"  # the number of the table itself among the steps: it refuses items for their key or size


def note(job: Job, read: int, written: int) -> str:
    """What became of all items by the counts in the result of ``job``, which has ``read`` and ``written`` so many."""
    result = job.result
    words = [f"{result['added']} added by functions"] if result.get("added") else []
    words += [f"{count} kept out by {_step(job, number)}" for number, count in _counts(result, "kept_out")]
    words += [f"{count} refused by {_step(job, number)}" for number, count in _counts(result, "refused")]
    if result.get("lost"):
        words.append(f"{result['lost']} written over by others of the same key")
    return f"transformed: {read} items read, {', '.join([*words, f'{written} written'])}"


def left_out(job: Job) -> list[str]:
    """What is missing in the table though no step was to keep it out: items that steps could not take, by step, and
    those whose key others have; a sentence each."""
    refused = _counts(job.result, "refused")
    told = []
    if total := sum(count for _number, count in refused):
        steps = ", ".join(f"{count} refused by {_step(job, number)}" for number, count in refused)
        told.append(f"{total} item{' was' if total == 1 else 's were'} left out: {steps}.")
    if lost := job.result.get("lost"):
        told.append(f"{lost} item{' was' if lost == 1 else 's were'} lost: others have their keys.")
    return told


def _counts(result: Mapping[str, Any], name: str) -> list[tuple[str, int]]:
    """The counts of ``name`` by the numbers of the steps, in their order."""
    found = ((str(number), int(count)) for number, count in (result.get(name) or {}).items() if count)
    return sorted(found, key=lambda each: int(each[0]))


def _step(job: Job, number: str) -> str:
    """A step by its number and its kind, as far as the request of ``job`` tells it."""
    if number == BY_TABLE:
        return "the table, for key or size"
    steps = ((job.request.get("options") or {}).get("transform") or {}).get("steps") or ()
    kinds = [str(kind) for step in steps for kind in list(step)[:1]]
    at = int(number)
    return f"step {at} ({kinds[at - 1]})" if at <= len(kinds) else f"step {at}"
