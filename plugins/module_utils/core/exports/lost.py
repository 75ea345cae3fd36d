# Copyright: TableFerry contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later

"""Exports of ours that no record knows: of verbs used alone, or because it was lost or came back older.

They are found in AWS's list, and by the objects that are written before each export (design section 6, "Lost or old
record").
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace

from ..account import Account
from ..destination import imports_of
from ..errors import StagingBucketUnusable
from ..jobs.job import Job
from ..jobs.tracking import NUMBERS_PER_ATTEMPT, Tracking
from ..route import Route
from ..steps.source_jobs import SourceJob, in_seconds
from ..table.definition import json_safe
from .at_once import ITEMS
from .export_request import KIND, ExportOptions
from .export_status import exports_of, find_by_token, serves
from .manifest import FOLDER
from .recovery import read_recovery
from .staging import StagingBucket

PROBE = "tableferry-probe"  # the object that shows, before any cost, that the source may write


@dataclass(frozen=True)
class LostExport:
    """An export that serves, if one does, and the numbers of the attempts whose tokens AWS's list shows."""

    serving: Job | None = None
    attempts: Collection[int] = ()


def running_export(source: Account, route: Route) -> Job | None:
    """The export of the table into this route's staging prefix that runs; None without one."""
    for description in exports_of(source, source.table_arn(route.source_table)):
        if description["ExportStatus"] == "IN_PROGRESS" and description.get("S3Prefix") == route.export_prefix:
            return Job(KIND, route.source_table, "running", description["ExportArn"])
    return None


def running_exports(source: Account, tables: Collection[str]) -> Iterator[SourceJob]:
    """The exports of the ``tables`` into prefixes of ours that run: one list, and a call for each that does."""
    doing = "listing exports"
    for summary in source.pages("dynamodb", "list_exports", "ExportSummaries", doing, MaxResults=25):
        arn = str(summary["ExportArn"])
        table = arn.partition(":table/")[2].partition("/")[0]
        if summary.get("ExportStatus") != "IN_PROGRESS" or table not in tables:
            continue
        description = json_safe(source.ask("dynamodb", "describe_export", doing, ExportArn=arn)["ExportDescription"])
        route = Route.of_prefix(f"{description.get('S3Prefix', '')}/", "", "")
        if route is not None:
            since = str(description.get("StartTime") or description.get("ExportTime", ""))
            made = route.destination_table
            yield SourceJob("an export", table, in_seconds(since), route.migration_id, destination_table=made)


def lost_export(
    source: Account,
    destination: Account,
    bucket: StagingBucket,
    requested: Job,
    options: ExportOptions,
    record: Tracking,
) -> LostExport:
    """The export of ``requested`` that an earlier run has begun, where the ``record`` knows of no job at all.

    One that the table was filled from once, or whose import failed, serves no more (design section 11), nor does one
    whose files were removed. AWS's list is asked only where an object in the bucket says that an export may have been
    begun, or where the next one names no time: its token would be that of an earlier one. Reads only.
    """
    if record.record.jobs or record.record.state != "claimed":
        return LostExport()
    probed = was_probed(bucket, requested)
    if not probed and read_recovery(source, requested.name).newest is not None:
        return LostExport()
    last = find_by_token(source, requested)
    if last is None:
        return LostExport()
    attempts = (last.attempt // NUMBERS_PER_ATTEMPT + 1,)
    if not probed or not serves(source, last, requested, options) or was_imported(destination, last):
        return LostExport(attempts=attempts)
    return LostExport(last, attempts)


def lost_exports(source: Account, destination: Account, job: Job) -> Iterator[Job]:
    """The exports that earlier runs of this migration have begun of the source of ``job`` for other destination tables,
    where no record says so any more: found by the objects that are written before each export, then by their tokens.

    Reads only; nothing is found in a bucket that may not be listed.
    """
    bucket = StagingBucket.from_dict(destination, job.request["bucket"])
    route = Route.from_dict(job.request["route"])
    plain = replace(route, destination_table=route.source_table)
    places = [] if route == plain else [plain]
    begin, end = f"{plain.export_prefix}!", f"/{FOLDER}{PROBE}"
    try:
        keys = [each.key for each in bucket.objects(begin) if each.key.endswith(end)]
    except StagingBucketUnusable:
        keys = []
    for key in keys:
        place = Route.of_prefix(key, route.destination_account_id, route.destination_region)
        if place not in (None, route):
            places.append(place)
    asked = {name: value for name, value in job.request.items() if name != ITEMS}
    for place in places:
        call = {**asked["call"], "S3Prefix": place.export_prefix}
        requested = replace(job, request={**asked, "route": place.to_dict(), "call": call})
        found = find_by_token(source, requested) if was_probed(bucket, requested) else None
        if found is not None:
            yield found


def was_probed(bucket: StagingBucket, requested: Job) -> bool:
    """Whether the object lies in the ``bucket`` that is written before each export is begun: without it none was."""
    return bucket.find(f"{requested.request['call']['S3Prefix']}/{FOLDER}{PROBE}") is not None


def was_imported(destination: Account, export: Job) -> bool:
    """Whether AWS's list shows an import of ``export`` into its destination table."""
    name = Route.from_dict(export.request["route"]).destination_table
    prefix = f"{export.request['call']['S3Prefix']}/{FOLDER}{export.arn.rpartition('/')[2]}/"
    return any(
        str(summary.get("S3BucketSource", {}).get("S3KeyPrefix", "")).startswith(prefix)
        for summary in imports_of(destination, destination.table_arn(name))
    )
