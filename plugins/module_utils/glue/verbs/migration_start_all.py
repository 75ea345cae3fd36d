# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Starts the migrations of many tables."""

from __future__ import annotations

from typing import Any

from ...core.jobs.job import Job
from ...core.migration import kinds
from ..many import SPEC, run_many
from ..spec import Progress, Verb
from . import migration_start


def run(params: dict[str, Any], check_mode: bool, progress: Progress) -> dict[str, Any]:
    """What migration_start does, for each of the tables. Their definitions, which are long, are left out."""
    result = run_many(migration_start.VERB, migration_start.start_one, params, check_mode)
    begun = [table for table in result["tables"].values() if not table.get("failed")]
    for table in begun:
        del table["table"]
    if check_mode:
        _share(begun, result["diff"])
    return result


def _share(tables: list[dict[str, Any]], diffs: list[dict[str, Any]]) -> None:
    """Jobs that are foreseen for several of ``tables`` and that one of them will begin for all: the others say so, in
    their changes and in their ``diffs``. A run finds it out when it begins them."""
    made, earlier = kinds(), dict[tuple[str, str, str], list[Job]]()
    for table, diff in zip(tables, diffs, strict=True):
        job = Job.from_dict(table["job"])
        if job.state != "planned":
            continue
        kind, others = made[job.kind], earlier.setdefault((job.kind, job.name, table["record"]["record_table"]), [])
        place = next(filter(None, (kind.shared_place(other, job) for other in others)), "")
        others.append(job)
        for change in table["changes"]:
            if place and change["what"] == f"{kind.noun} of {job.name}":
                change |= {"after": {"shared": place}, "risk": "safe"}
                diff["after"][change["what"]] = change["after"]


VERB = Verb("migration_start_all", SPEC, run, services=migration_start.VERB.services)
