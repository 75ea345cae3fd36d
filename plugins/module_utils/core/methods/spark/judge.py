# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table that a Spark job has filled."""

from __future__ import annotations

from collections.abc import Sequence

from ...account import Account
from ...errors import CountMismatch, FerryError, JobTimeout
from ...items.carried import REPLICATION
from ...jobs.job import Job, failure_of
from ...judgement import Counts, Judgement, check_table, instant, not_ended


def judge_spark(name: str, destination: Account, before: Sequence[Job], job: Job, *, verify: Counts) -> Judgement:
    """Judge the table by the equation of the job: what the manifest counts was read, and all that was read was written,
    or kept out by a step; and by the jobs that came ``before`` it. Raises what Account.explain gives where AWS cannot
    be asked."""
    result = job.result
    read, written, counted = result.get("read"), result.get("written"), result.get("counted")
    lost = int(result.get("lost") or 0)
    distinct = None if written is None else written - lost
    data_as_of = instant(str(result.get("export_time") or ""))
    try:
        for each in (*before, job):
            if each.state in ("failed", "cancelled"):
                raise failure_of(each)
            if each.open:
                raise not_ended(each, {"arn": each.arn})
        if job.state == "planned":
            raise JobTimeout("The Spark job was not started.", "Run again without check mode.")
        check_table(destination, job, "Spark job", "filled")
        if verify == "counts" and counted is not None and distinct is not None and counted < distinct:
            raise CountMismatch(
                f"{distinct} items were written, a scan of the destination counts {counted}.",
                "Keep the source. Compare the tables with the playbook verify before you copy again.",
                details={"items_source": read, "items_destination": counted},
            )
    except FerryError as error:
        failed = error.for_table(name)
        return Judgement("failed", read, counted, None, "none", failed.cause, failed, data_as_of)
    proven = verify == "counts" and read is not None and counted in (None, distinct)
    notes = []
    if verify == "counts" and counted not in (None, distinct):
        notes.append(f"{distinct} items were written, the destination has {counted}: was it written to?")
    if out := sum((result.get("kept_out") or {}).values()):
        notes.append(f"{out} of {read} items were kept out by a step.")
    if left := sum((result.get("refused") or {}).values()):
        notes.append(f"{left} items that a step could not take were left out.")
    if lost:
        notes.append(f"{lost} items were lost: others have their keys.")
    if shortened := result.get("shortened"):
        items = f"{shortened} item{'' if shortened == 1 else 's'}"
        notes.append(f"Of {items} the attributes {REPLICATION}, were left out.")
    verified: Counts = "counts" if proven else "none"
    shown = written if counted is None else counted
    return Judgement("migrated", read, shown, None, verified, " ".join(notes), data_as_of=data_as_of)
