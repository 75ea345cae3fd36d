# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Checks whether a table was migrated completely."""

from __future__ import annotations

from typing import Any

from ...core.judgement import is_tracked
from ...core.migration import job_from, judge
from ..accounts import Accounts
from ..outcome import failure
from ..records import RECORD_OF, RecordTables
from ..spec import BOTH_ACCOUNTS_OPTIONS, SHARED_OPTIONS, Parameters, Progress, Verb

JUDGING: dict[str, Any] = {
    "source_table": {"type": "str"},
    "verify": {"type": "str", "choices": ["counts", "sample", "full", "none"], "default": "counts"},
    "verify_checksums": {"type": "bool", "default": False},
    "writes_stopped": {"type": "bool", "default": False},
}
SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "name": {"type": "str", "required": True},
    **BOTH_ACCOUNTS_OPTIONS,
    **JUDGING,
    "jobs": {"type": "list", "elements": "dict", "required": True},
    "record": RECORD_OF,
}


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The judgement; a failure where the table was not migrated completely."""
    tables = RecordTables()
    try:
        return judge_one(Accounts(params), tables, params, check_mode)
    finally:
        tables.leave()


def judge_one(accounts: Accounts, tables: RecordTables, params: Parameters, check_mode: bool) -> dict[str, Any]:
    """The judgement of one table with the options of ``SPEC``, in ``accounts`` and ``tables`` that many may share."""
    source, destination = accounts.get("source", params["source"]), accounts.get("destination", params["destination"])
    jobs = [job_from(job) for job in params["jobs"]]
    record = None
    if params["record"] and not check_mode and is_tracked(jobs):
        record = tables.tracking(destination, params["record"], source)
    judgement = judge(
        params["name"],
        source,
        destination,
        jobs,
        source_table=params["source_table"] or "",
        verify=params["verify"],
        checksums=params["verify_checksums"],
        writes_stopped=params["writes_stopped"],
        record=record,
    )
    failed = failure(judgement.failure.for_table(params["name"])) if judgement.failure else {}
    return {"changed": False, **judgement.to_dict(), **failed}


VERB = Verb("migration_judge", SPEC, run, services=("dynamodb", "logs", "s3", "sts"))
