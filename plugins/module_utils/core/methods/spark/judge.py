# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""The judgement of a table that a Spark job has filled."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from ...account import Account
from ...errors import CountMismatch, FerryError, JobTimeout
from ...imports.judge import judge_import
from ...items.carried import REPLICATION
from ...jobs.job import Job, failure_of
from ...judgement import Counts, Judgement, JudgeOptions, check_table, instant
from ...steps import transformed
from .room import unfinished


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
                raise unfinished(each)
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
    reasons = []
    if verify == "counts" and counted not in (None, distinct):
        reasons.append(f"{distinct} items were written, the destination has {counted}: was it written to?")
    reasons += _left_out(job)
    verified: Counts = "counts" if proven else "none"
    shown = written if counted is None else counted
    reason = " ".join(reasons)
    return Judgement("migrated", read, shown, None, verified, reason, data_as_of=data_as_of, notes=_notes(job))


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
        if each is not None and (each.open or each.state in ("failed", "cancelled")):
            failed = (unfinished(each) if each.open else failure_of(each)).for_table(name)
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
    # What an earlier run has counted stands with what was imported; its steps are those of the job.
    made = replace(before[-1] or job, result=changed["spark"])
    items = {name: changed[name] for name in ("items_source", "items_destination")}
    return replace(
        judged,
        **items,
        reason=" ".join(filter(None, [judged.reason, *_left_out(made)])),
        notes=(*judged.notes, *_notes(made)),
    )


def _notes(job: Job) -> tuple[str, ...]:
    """What became of the items, where steps have changed them or kept some out; nothing without a transform."""
    result = job.result
    changed = any(result.get(name) for name in ("added", "kept_out", "refused", "lost"))
    if "read" not in result or not (changed or (job.request.get("options") or {}).get("transform")):
        return ()
    return (transformed.note(job, result["read"], result["written"]),)


def _left_out(job: Job) -> list[str]:
    """What of the items that a ``job`` has read is not in the table, by what it has counted."""
    told = transformed.left_out(job)
    if shortened := job.result.get("shortened"):
        items = f"{shortened} item{'' if shortened == 1 else 's'}"
        told.append(f"Of {items} the attributes {REPLICATION}, were left out.")
    return told
