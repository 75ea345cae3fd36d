# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports and imports of ours that no record knows, because it was lost or an older one came back: found in AWS's lists
(design section 6, "Lost or old record")."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass

from ...account import Account
from ...destination import imports_of, is_staged_by, read_import
from ...jobs.job import Job
from ...jobs.tracking import NUMBERS_PER_ATTEMPT, Tracking
from ...route import Route
from .export_request import ExportOptions
from .export_status import find_by_token, serves
from .import_status import described
from .manifest import FOLDER, read_manifest, summary_key
from .staging import StagingBucket

PROBE = "tableferry-probe"  # the object that shows, before any cost, that the source may write


@dataclass(frozen=True)
class LostExport:
    """An export that serves, if one does, and the numbers of the attempts whose tokens AWS's list shows."""

    serving: Job | None = None
    attempts: Collection[int] = ()


def running_import(destination: Account, route: Route) -> Job | None:
    """The import from this route's staging prefix that runs into its table; None without one.

    What it imports is read from the export's manifest. Raises StagingBucketUnusable, what Account.explain gives.
    """
    for summary in imports_of(destination, destination.table_arn(route.destination_table)):
        if summary.get("ImportStatus") != "IN_PROGRESS" or not is_staged_by(route, summary):
            continue
        description = read_import(destination, str(summary["ImportArn"]))
        if description is None or description.get("ImportStatus") != "IN_PROGRESS":
            continue
        place = description["S3BucketSource"]
        bucket = StagingBucket(destination, place["S3Bucket"], place.get("S3BucketOwner") or destination.account_id)
        manifest = read_manifest(bucket, summary_key(place["S3KeyPrefix"]))
        members = ("ClientToken", "S3BucketSource", "InputFormat", "InputCompressionType", "TableCreationParameters")
        request = {
            "purpose": "import",
            "route": route.to_dict(),
            "bucket": bucket.to_dict(),
            "call": {member: description[member] for member in members if member in description},
            "source": {"table_arn": manifest.table_arn, "table_id": manifest.table_id},
            "export": {
                "arn": manifest.export_arn,
                "manifest_key": manifest.key,
                "item_count": manifest.item_count,
                "time": manifest.export_time,
            },
            "replaces": "",
            "refused_path": "",
        }
        job = Job("import", route.destination_table, request=request, migration_id=route.migration_id)
        return described(job, description)
    return None


def lost_export(
    source: Account,
    destination: Account,
    bucket: StagingBucket,
    requested: Job,
    options: ExportOptions,
    record: Tracking,
) -> LostExport:
    """The export of ``requested`` that an earlier run has begun, where the ``record`` knows of no job at all.

    One that the table was filled from once, or whose import failed, serves no more (design section 11). AWS's list is
    asked only where an object in the bucket says that an export may have been begun. Reads only.
    """
    if record.record.jobs or record.record.state != "claimed":
        return LostExport()
    if bucket.find(f"{requested.request['call']['S3Prefix']}/{FOLDER}{PROBE}") is None:
        return LostExport()
    last = find_by_token(source, requested)
    if last is None:
        return LostExport()
    attempts = (last.attempt // NUMBERS_PER_ATTEMPT + 1,)
    if not serves(last, requested, options) or _was_imported(destination, last):
        return LostExport(attempts=attempts)
    return LostExport(last, attempts)


def _was_imported(destination: Account, export: Job) -> bool:
    """Whether AWS's list shows an import of ``export`` into its destination table."""
    name = Route.from_dict(export.request["route"]).destination_table
    prefix = f"{export.request['call']['S3Prefix']}/{FOLDER}{export.arn.rpartition('/')[2]}/"
    return any(
        str(summary.get("S3BucketSource", {}).get("S3KeyPrefix", "")).startswith(prefix)
        for summary in imports_of(destination, destination.table_arn(name))
    )
