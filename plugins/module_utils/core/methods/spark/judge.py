# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table that a Spark job has filled."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...account import Account
from ...errors import CountMismatch, FerryError, JobTimeout
from ...imports.judge import judge_import
from ...items.carried import REPLICATION
from ...jobs.job import Job, failure_of
from ...judgement import Counts, Judgement, JudgeOptions, check_table, instant, not_ended


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
    notes += _left_out(result)
    verified: Counts = "counts" if proven else "none"
    shown = written if counted is None else counted
    return Judgement("migrated", read, shown, None, verified, " ".join(notes), data_as_of=data_as_of)


def judge_changed_import(
    name: str,
    source: Account | None,
    destination: Account,
    before: Sequence[Job | None],
    job: Job,
    options: JudgeOptions,
) -> Judgement:
    """Judge the table that the import ``job`` made of what a Spark job has changed; ``before`` are the export, the
    look for colliding keys, None where there was none, and that job. AWS must have imported all that the job has
    written, and the job have written all that it read, or say what became of it. Raises what Account.explain gives
    where AWS cannot be asked."""
    for each in before:
        if each is not None and each.state in ("failed", "cancelled"):
            failed = failure_of(each).for_table(name)
            read = each.result.get("read")
            return Judgement("failed", read, None, None, "none", failed.cause, failed, instant(""))
    judged = judge_import(
        name,
        source,
        destination,
        before[-1],
        job,
        verify=options.verify,
        checksums=options.checksums,
        writes_stopped=options.writes_stopped,
        look=options.look,
    )
    changed = (job.request.get("export") or {}).get("changed") or {}
    if judged.failure is not None or not changed:
        return judged
    notes = [*filter(None, [judged.reason]), *_left_out(changed["spark"])]
    items = {name: changed[name] for name in ("items_source", "items_destination")}
    return replace(judged, **items, reason=" ".join(notes))


def _left_out(result: Mapping[str, Any]) -> list[str]:
    """What of the items that a job has read is not in the table, by what it has counted."""
    notes = []
    if out := sum((result.get("kept_out") or {}).values()):
        notes.append(f"{out} of {result.get('read')} items were kept out by a step.")
    if left := sum((result.get("refused") or {}).values()):
        notes.append(f"{left} items that a step could not take were left out.")
    if lost := result.get("lost"):
        notes.append(f"{lost} items were lost: others have their keys.")
    if shortened := result.get("shortened"):
        items = f"{shortened} item{'' if shortened == 1 else 's'}"
        notes.append(f"Of {items} the attributes {REPLICATION}, were left out.")
    return notes
