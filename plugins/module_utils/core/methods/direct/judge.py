# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table that was copied through this machine."""

from __future__ import annotations

from ...account import Account
from ...errors import CountMismatch, FerryError, JobTimeout
from ...items.carried import REPLICATION
from ...jobs.job import Job, failure_of
from ...judgement import Counts, Judgement, check_table, span
from ...steps import transformed
from .evidence import distinct_items


def judge_direct(
    name: str, destination: Account, job: Job, *, verify: Counts = "counts", writes_stopped: bool = False
) -> Judgement:
    """Judge the table that a direct copy filled: every item was acknowledged, and a consistent scan counted as many.

    More items than were copied are no loss: somebody writes to the destination, or the source lost some while a killed
    copy waited to go on. Items are read one after the other: with ``writes_stopped`` all show the same instant. Raises
    what Account.explain gives where AWS cannot be asked.
    """
    result = job.result
    copied, counted = result.get("items"), result.get("counted")
    read, kept = result.get("items_read", copied), distinct_items(result) if copied is not None else 0
    data_as_of = span(result, "data_from")
    if writes_stopped and data_as_of:
        data_as_of["to"] = data_as_of["from"]
    try:
        if job.open:
            raise JobTimeout(f"The copy of {job.name} has not ended.", "Run again: it continues where it stopped.")
        if job.state == "failed":
            raise failure_of(job)
        check_table(destination, job, "copy", "copied")
        if verify == "counts" and counted is not None and counted < kept:
            raise CountMismatch(
                f"{kept} items were copied, a scan of the destination counts {counted}.",
                "Keep the source. Compare the tables with the playbook verify before you copy again.",
                details={"items_source": read, "items_destination": counted},
            )
    except FerryError as error:
        failed = error.for_table(name)
        return Judgement("failed", read, counted, result.get("bytes"), "none", failed.cause, failed, data_as_of)
    verified: Counts = "counts" if verify == "counts" and counted == kept else "none"
    note = ""
    if verify == "counts" and counted not in (None, kept):
        note = f"{kept} items were copied, the destination has {counted}: was one of the tables written to?"
    if shortened := result.get("shortened"):
        items = f"{shortened} item{'' if shortened == 1 else 's'}"
        note = f"{note} Of {items} the attributes {REPLICATION}, were left out.".strip()
    note = " ".join(filter(None, (note, *transformed.left_out(job))))
    return Judgement(
        "migrated",
        read,
        counted,
        result.get("bytes"),
        verified,
        note,
        data_as_of=data_as_of,
        notes=(transformed.note(job, result["items_read"], result["items"]),) if "items_read" in result else (),
    )
