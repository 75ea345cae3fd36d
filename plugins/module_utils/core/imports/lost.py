# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Imports of ours that no record knows: of verbs used alone, or because it was lost or came back older.

They are found in AWS's list (design section 6, "Lost or old record").
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from ..account import Account
from ..destination import all_imports, imports_of, is_staged_by, read_import
from ..errors import ImportLocked, PrefixNotData, StagingBucketUnusable
from ..exports.manifest import read_manifest, summary_key
from ..exports.staging import StagingBucket
from ..jobs.job import Job
from ..route import Route
from ..steps.standing import Filling
from .import_request import KIND
from .import_status import described


def imports_of_route(destination: Account, route: Route, data_prefix: str = "") -> Iterator[Job]:
    """The imports of what this route has staged, or of ``data_prefix``, into its table by AWS's list: newest first.

    Their attempts count up. What a running or completed one imports is read from the export's manifest, where that is
    still there. Raises ImportLocked while an import that is not ours makes the table, what Account.explain gives.
    """
    listed = list(imports_of(destination, destination.table_arn(route.destination_table)))
    ours = [each for each in listed if is_staged_by(route, each) or (data_prefix and _prefix(each) == data_prefix)]
    for summary in listed:
        if summary.get("ImportStatus") == "IN_PROGRESS" and summary not in ours:
            raise ImportLocked(
                f"An import of {_prefix(summary)} runs into the table {route.destination_table}, and is not of this"
                " migration.",
                "Wait for that import, or choose another destination_table.",
                table=route.source_table,
                details={"import_arn": summary["ImportArn"]},
            )
    for number, summary in enumerate(ours):
        description = read_import(destination, str(summary["ImportArn"]))
        if description is not None:
            yield replace(_job_of(destination, route, description), attempt=len(ours) - 1 - number)


def running_import(destination: Account, route: Route) -> Job | None:
    """The import from this route's staging prefix that runs into its table; None without one."""
    for summary in imports_of(destination, destination.table_arn(route.destination_table)):
        if summary.get("ImportStatus") == "IN_PROGRESS" and is_staged_by(route, summary):
            description = read_import(destination, str(summary["ImportArn"]))
            if description is not None and description.get("ImportStatus") == "IN_PROGRESS":
                return _job_of(destination, route, description)
    return None


def fillings(destination: Account) -> Iterator[Filling]:
    """All imports of what TableFerry has staged, whatever became of them: one list."""
    for summary in all_imports(destination):
        route = Route.of_prefix(_prefix(summary), destination.account_id, destination.region)
        name = str(summary.get("TableArn", "")).rpartition("/")[2]
        if route is not None:
            runs = summary.get("ImportStatus") == "IN_PROGRESS"
            yield Filling("an import", name, runs, replace(route, destination_table=name))


def _prefix(summary: Mapping[str, Any]) -> str:
    return str(summary.get("S3BucketSource", {}).get("S3KeyPrefix", ""))


def _job_of(destination: Account, route: Route, description: Mapping[str, Any]) -> Job:
    place = description["S3BucketSource"]
    bucket = StagingBucket(destination, place["S3Bucket"], place.get("S3BucketOwner") or destination.account_id)
    members = ("ClientToken", "S3BucketSource", "InputFormat", "InputCompressionType", "TableCreationParameters")
    request = {
        "purpose": "import",
        "route": route.to_dict(),
        "bucket": bucket.to_dict(),
        "call": {member: description[member] for member in members if member in description},
        "source": {},
        "export": {},
        "replaces": "",
        "refused_path": "",
    }
    blank = Job(KIND, route.destination_table, request=request, migration_id=route.migration_id)
    job = described(blank, description)
    if job.state not in ("running", "completed"):
        return job
    try:
        manifest = read_manifest(bucket, summary_key(place["S3KeyPrefix"]))
    except (PrefixNotData, StagingBucketUnusable):  # what was staged is gone, or may not be read any more
        if job.state == "running":
            raise
        return job
    about = {
        "arn": manifest.export_arn,
        "manifest_key": manifest.key,
        "item_count": manifest.item_count,
        "time": manifest.export_time,
        "changed": dict(manifest.changed),
    }
    read = {"table_arn": manifest.table_arn, "table_id": manifest.table_id}
    return replace(job, request={**request, "source": read, "export": about})
