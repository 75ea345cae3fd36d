# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Waits for the jobs of many tables at once."""

from __future__ import annotations

from typing import Any

from ...core.change import Change, to_diff
from ...core.errors import FerryError
from ...core.jobs.job import ended_with
from ...core.jobs.kind import WaitItem, WaitResult
from ...core.judgement import JudgeChoice, judge_job
from ...core.migration import job_from, wait_for
from ..accounts import Accounts
from ..records import RECORD_OF, RecordTables
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option, given
from .migration_judge import JUDGING

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "jobs": {
        "type": "list",
        "elements": "dict",
        "required": True,
        "options": {
            "name": {"type": "str", "required": True},
            "source": account_option(),
            "destination": account_option(),
            "job": {"type": "dict", "required": True},
            "then": {"type": "list", "elements": "dict", "default": []},
            "record": RECORD_OF,
            "judge": {"type": "dict", "options": {"name": {"type": "str", "required": True}, **JUDGING}},
        },
    },
    "wait_timeout": {"type": "int", "default": 86400},
    "progress": {"type": "bool", "default": True},
}


def _item(accounts: Accounts, entry: dict[str, Any], tables: RecordTables | None) -> WaitItem:
    try:
        job, then = job_from(entry["job"]), tuple(map(job_from, entry.get("then", ())))
        source = accounts.find("source", entry["source"])
        destination = accounts.find("destination", entry["destination"])
        record = None
        if tables is not None and destination is not None and entry.get("record"):
            try:
                record = tables.tracking(destination, entry["record"], source)
            except FerryError as error:  # tables of other destinations go on
                job = ended_with(job, error)
        asked = entry.get("judge")
        last = judge_job(JudgeChoice(**given(asked, asked))) if asked else None
        return WaitItem(entry["name"], source, destination, job, then, record, last)
    except FerryError as error:
        raise error.for_table(entry["name"]) from error


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """Wait until all jobs have ended; in check mode return their states and start none."""
    accounts = Accounts(params)
    tables = None if check_mode else RecordTables()
    items = [_item(accounts, entry, tables) for entry in params["jobs"]]
    if tables is None:
        jobs = {item.name: (item.job, *item.then) for item in items}
        first = {name: follow[0] for name, follow in jobs.items()}
        pending = [(name, job.kind) for name, follow in jobs.items() for job in follow if job.state == "pending"]
        return _result(WaitResult(first, {}, frozenset(pending), jobs))
    try:
        with tables.kept():
            return _result(wait_for(items, params["wait_timeout"], progress if params["progress"] else _silent))
    finally:
        tables.leave()


def _silent(line: str) -> None:
    """Prints nothing."""


def _result(result: WaitResult) -> dict[str, Any]:
    changes = [Change(f"{kind} of {name}", "pending", "started", "billed") for name, kind in sorted(result.started)]
    warnings = [f"{job.name}: {job.issues}" for jobs in result.ways.values() for job in jobs if job.issues]
    return {
        "changed": bool(changes),
        **({"warnings": list(dict.fromkeys(warnings))} if warnings else {}),
        "tables_changed": sorted(result.changed),
        "jobs": {name: job.to_dict() for name, job in result.jobs.items()},
        "ways": {name: [job.to_dict() for job in jobs] for name, jobs in result.ways.items()},
        "poll_calls": result.poll_calls,
        "spans": {name: {kind: list(span) for kind, span in spans.items()} for name, spans in result.spans.items()},
        "diff": to_diff(changes, "jobs"),
    }


VERB = Verb("job_wait", SPEC, run, services=("application-autoscaling", "dynamodb", "kms", "logs", "s3", "sts"))
