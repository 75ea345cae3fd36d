# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Judges whether a table has arrived."""

from __future__ import annotations

from typing import Any

from ...core.job import Job
from ...core.verify import Judgement, judge, judge_restore
from ..accounts import Accounts
from ..outcome import failure
from ..spec import SHARED_OPTIONS, Progress, Verb, account_option

SPEC: dict[str, Any] = {
    **SHARED_OPTIONS,
    "name": {"type": "str", "required": True},
    "source": account_option(required=True),
    "destination": account_option(required=True),
    "source_table": {"type": "str"},
    "export_job": {"type": "dict"},
    "import_job": {"type": "dict"},
    "backup_jobs": {"type": "list", "elements": "dict"},
    "verify": {"type": "str", "choices": ["counts", "none"], "default": "counts"},
    "verify_checksums": {"type": "bool", "default": False},
    "writes_stopped": {"type": "bool", "default": False},
}


def _judge(params: dict[str, Any], accounts: Accounts) -> Judgement:
    source = accounts.get("source", params["source"])
    destination = accounts.get("destination", params["destination"])
    if params["backup_jobs"]:
        return judge_restore(
            params["name"],
            source,
            destination,
            params["source_table"] or params["name"],
            [Job.from_dict(job) for job in params["backup_jobs"]],
            verify=params["verify"],
            writes_stopped=params["writes_stopped"],
        )
    return judge(
        params["name"],
        source,
        destination,
        Job.from_dict(params["export_job"]) if params["export_job"] else None,
        Job.from_dict(params["import_job"]),
        verify=params["verify"],
        checksums=params["verify_checksums"],
    )


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """The judgement; it fails where the table has not arrived."""
    judgement = _judge(params, Accounts(params))
    failed = failure(judgement.failure.for_table(params["name"])) if judgement.failure else {}
    return {"changed": False, **judgement.to_dict(), **failed}


VERB = Verb(
    "migration_judge",
    SPEC,
    run,
    services=("dynamodb", "logs", "s3", "sts"),
    rules={
        "required_one_of": [("import_job", "backup_jobs")],
        "mutually_exclusive": [("import_job", "backup_jobs"), ("export_job", "backup_jobs")],
    },
)
